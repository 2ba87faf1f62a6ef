#include "hq/report_priv.h"

#include "common/mem.h"

struct report_job *
report_find_job(const struct report *r, uint32_t id)
{
    uint64_t ix = hq_map_get(&r->job_ix, id, 0);
    return ix == 0 ? NULL : &r->jobs[ix - 1];
}

static void
keep_run(struct report *r, const struct report_run *run)
{
    if (run->until_ms < r->grid.from_ms || run->from_ms > r->grid.until_ms) {
        return;
    }
    if (r->run_count < REPORT_RUNS_MAX) {
        hq_arena_grow(&r->arena, &r->runs, &r->run_cap, r->run_count + 1, sizeof(*r->runs));
        r->runs[r->run_count] = *run;
        r->runs[r->run_count].nodes = NULL;
    }
    r->run_count++;
}

void
report_end_run(struct report *r, const struct report_run *run)
{
    struct report_class *c = run->class_ix < r->class_count ? &r->classes[run->class_ix] : NULL;
    struct report_job *job = report_find_job(r, run->job);
    uint64_t length_ms = run->until_ms > run->from_ms ? (uint64_t)(run->until_ms - run->from_ms) : 0;
    struct report_worker *w = report_find_worker(r, run->worker);

    report_add_use(r, w, c, run->from_ms, run->until_ms);
    for (size_t i = 1; i < run->node_count; i++) { /* the first one is the root */
        report_add_use(r, report_find_worker(r, run->nodes[i]), c, run->from_ms, run->until_ms);
    }
    if (w != NULL && report_is_within(r, run->until_ms)) {
        w->task_count++;
    }
    if (c != NULL && !run->is_cut && report_is_within(r, run->until_ms)) {
        spread_add(run->is_failed ? &c->failed : &c->finished, length_ms);
    }
    if (job != NULL) {
        job->sum_ms += (double)length_ms;
        job->max_ms = HQ_MAX(job->max_ms, length_ms);
        job->first_ms = job->first_ms == 0 ? run->from_ms : HQ_MIN(job->first_ms, run->from_ms);
        job->last_ms = HQ_MAX(job->last_ms, run->until_ms);
    }
    keep_run(r, run);
}

/* Takes a running task out of the table; false: it does not run. */
bool
report_take_live(struct report *r, uint32_t job, uint32_t task, struct report_run *ret)
{
    uint64_t key = hq_map_key2(job, task);
    uint64_t ix = hq_map_get(&r->live_ix, key, 0);

    if (ix == 0) {
        return false;
    }
    *ret = r->live[ix - 1];
    (void)hq_map_del(&r->live_ix, key);
    r->live[ix - 1] = r->live[--r->live_count];
    if (ix - 1 < r->live_count) {
        hq_map_set(&r->live_ix, hq_map_key2(r->live[ix - 1].job, r->live[ix - 1].task), ix);
    }
    return true;
}

/* It did not come to its own end. */
void
report_cut_live(struct report *r, uint32_t job, uint32_t task, hq_wall_ms at_ms)
{
    struct report_run run;

    if (report_take_live(r, job, task, &run)) {
        run.until_ms = HQ_MAX(at_ms, run.from_ms);
        run.is_cut = true;
        report_end_run(r, &run);
    }
}

void
report_cut_all(struct report *r, hq_wall_ms at_ms)
{
    while (r->live_count > 0) {
        report_cut_live(r, r->live[0].job, r->live[0].task, at_ms);
    }
}

void
report_add_live(struct report *r, const struct report_run *run)
{
    report_cut_live(r, run->job, run->task, run->from_ms); /* its end was pruned */
    hq_xgrow(&r->live, &r->live_cap, r->live_count + 1, sizeof(*r->live));
    r->live[r->live_count++] = *run;
    hq_map_set(&r->live_ix, hq_map_key2(run->job, run->task), r->live_count);
}
