#include "hq/report.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/num.h"
#include "hq/desc_print.h"

void
report_init(struct report *r)
{
    *r = (struct report){.start_ms = -1, .end_ms = -1};
    hq_arena_init(&r->arena, 0);
    hq_map_init(&r->worker_ix, 0);
    hq_map_init(&r->job_ix, 0);
    hq_map_init(&r->live_ix, 0);
    hq_map_init(&r->allocations, 0);
}

void
report_fini(struct report *r)
{
    for (size_t i = 0; i < r->kind_count; i++) {
        for (size_t k = 0; k < r->kinds[i].pool_count; k++) {
            curve_fini(&r->kinds[i].pools[k].used);
        }
        steps_fini(&r->kinds[i].running);
    }
    for (size_t i = 0; i < r->class_count; i++) {
        spread_fini(&r->classes[i].finished);
        spread_fini(&r->classes[i].failed);
    }
    for (size_t i = 0; i < r->job_count; i++) {
        report_submits_fini(&r->jobs[i]);
    }
    steps_fini(&r->queued);
    report_parts_free(r->parts);
    hq_map_fini(&r->worker_ix);
    hq_map_fini(&r->job_ix);
    hq_map_fini(&r->live_ix);
    hq_map_fini(&r->allocations);
    hq_arena_fini(&r->arena);
    *r = (struct report){0};
}

/* ---- the span */

int
report_scan(struct report *r, const Hq__Record *rec, struct hq_err *err)
{
    if (r->record_count == 0 && rec->body_case != HQ__RECORD__BODY_SERVER_STARTED) {
        return hq_err_set(err, -EBADMSG, "Journal does not start with server start event");
    }
    if (r->record_count++ == 0) {
        r->first_ms = r->last_ms = (hq_wall_ms)rec->time_ms;
    }
    r->last_ms = HQ_MAX(r->last_ms, (hq_wall_ms)rec->time_ms);
    return 0;
}

int
report_begin(struct report *r, hq_ms start_ms, hq_ms end_ms, struct hq_err *err)
{
    hq_wall_ms from_ms = r->first_ms;
    hq_wall_ms until_ms = r->last_ms;

    if (r->record_count == 0) {
        return hq_err_set(err, -ENODATA, "Empty journal");
    }
    if (start_ms >= 0) {
        from_ms = start_ms < until_ms - from_ms ? from_ms + start_ms : until_ms;
    }
    if (end_ms >= 0 && end_ms < until_ms - r->first_ms) {
        until_ms = HQ_MAX(r->first_ms + end_ms, from_ms);
    }
    r->start_ms = start_ms;
    r->end_ms = end_ms;
    r->grid = grid_make(from_ms, until_ms);
    return 0;
}

static bool
is_within(const struct report *r, hq_wall_ms at_ms)
{
    return at_ms >= r->grid.from_ms && at_ms <= r->grid.until_ms;
}

/* ---- workers */

static double
pool_amount(const Hq__Pool *p)
{
    size_t count = 0;

    if (p->kind == HQ__POOL_KIND__POOL_SUM) {
        return (double)p->sum / 10000.0;
    }
    if (p->kind == HQ__POOL_KIND__POOL_RANGE) {
        return (double)p->range_last - (double)p->range_first + 1.0;
    }
    for (size_t g = 0; g < p->n_groups; g++) {
        count += p->groups[g]->n_values;
    }
    return (double)count;
}

/* Memory differs by a little from node to node: one decimal, so that equal nodes are of one kind. */
static void
print_kind(const Hq__Pools *pools, struct hq_buf *out)
{
    for (size_t i = 0; pools != NULL && i < pools->n_pools; i++) {
        double tenths = floor(pool_amount(pools->pools[i]) * 10.0);
        hq_buf_cstr(out, i == 0 ? "" : ", ");
        hq_buf_str(out, desc_str(pools->pools[i]->name));
        hq_buf_byte(out, ':');
        hq_num_x10000_print(out, tenths < 1e15 && tenths > 0.0 ? (uint64_t)tenths * 1000 : 0);
    }
}

static uint32_t
find_kind(struct report *r, const Hq__Pools *pools)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    bool is_rest = r->kind_count + 1 >= REPORT_KINDS_MAX;

    print_kind(pools, &text);
    const char *name = text.ptr == NULL ? "" : text.ptr;
    for (size_t i = 0; i < r->kind_count; i++) {
        if (strcmp(r->kinds[i].text, name) == 0) {
            return (uint32_t)i;
        }
    }
    if (r->kind_count == REPORT_KINDS_MAX) {
        return REPORT_KINDS_MAX - 1;
    }
    struct report_kind k = {.text = hq_arena_strz(&r->arena, is_rest ? HQ_STR("other workers") : hq_str_from(name))};
    k.pool_count = pools == NULL || is_rest ? 0 : pools->n_pools;
    k.pools = hq_arena_array(&r->arena, k.pool_count + 1, sizeof(*k.pools));
    for (size_t i = 0; i < k.pool_count; i++) {
        k.pools[i].name = hq_arena_str(&r->arena, desc_str(pools->pools[i]->name));
        k.pools[i].amount = pool_amount(pools->pools[i]);
    }
    hq_arena_grow(&r->arena, &r->kinds, &r->kind_cap, r->kind_count + 1, sizeof(*r->kinds));
    r->kinds[r->kind_count] = k;
    return (uint32_t)r->kind_count++;
}

static struct report_worker *
find_worker(const struct report *r, uint32_t id)
{
    uint64_t ix = hq_map_get(&r->worker_ix, id, 0);
    return ix == 0 ? NULL : &r->workers[ix - 1];
}

static void
add_worker(struct report *r, const Hq__WorkerConnected *c, hq_wall_ms at_ms)
{
    struct report_worker w = {.id = c->worker, .from_ms = at_ms, .until_ms = INT64_MAX};

    if (find_worker(r, c->worker) != NULL) {
        return;
    }
    w.kind_ix = find_kind(r, c->config == NULL ? NULL : c->config->pools);
    if (c->config != NULL) {
        w.hostname = hq_arena_str(&r->arena, desc_str(c->config->hostname));
    }
    if (r->worker_count < REPORT_WORKERS_SHOWN) {
        w.heat = hq_arena_array(&r->arena, REPORT_HEAT_CELLS, sizeof(*w.heat));
    }
    hq_arena_grow(&r->arena, &r->workers, &r->worker_cap, r->worker_count + 1, sizeof(*r->workers));
    r->workers[r->worker_count++] = w;
    hq_map_set(&r->worker_ix, c->worker, r->worker_count);
    steps_add(&r->kinds[w.kind_ix].running, &r->grid, at_ms, 1.0);
}

static void
end_worker(struct report *r, struct report_worker *w, hq_wall_ms at_ms, const char *why)
{
    if (w != NULL && w->end == NULL) {
        w->until_ms = at_ms;
        w->end = why;
        steps_add(&r->kinds[w->kind_ix].running, &r->grid, at_ms, -1.0);
    }
}

/* ---- runs */

static void
add_heat(struct report *r, struct report_worker *w, hq_wall_ms from_ms, hq_wall_ms until_ms)
{
    double cell_ms = (double)(r->grid.until_ms - r->grid.from_ms) / REPORT_HEAT_CELLS;

    w->busy_ms += (double)(until_ms - from_ms);
    if (w->heat == NULL) {
        return;
    }
    double from = (double)(from_ms - r->grid.from_ms) / cell_ms;
    double until = (double)(until_ms - r->grid.from_ms) / cell_ms;
    for (size_t i = (size_t)from; i < REPORT_HEAT_CELLS && (double)i < until; i++) {
        w->heat[i] += (float)(HQ_MIN(until, (double)i + 1.0) - HQ_MAX(from, (double)i));
    }
}

/* What one task had of one worker. */
static void
add_use(struct report *r, struct report_worker *w, const struct report_class *c, hq_wall_ms from_ms, hq_wall_ms until_ms)
{
    if (w == NULL || !grid_clip(&r->grid, &from_ms, &until_ms)) {
        return;
    }
    const struct report_kind *k = &r->kinds[w->kind_ix];
    add_heat(r, w, from_ms, until_ms);
    for (size_t i = 0; c != NULL && i < k->pool_count; i++) {
        struct report_pool *p = &k->pools[i];
        double share = c->is_gang ? 1.0 : 0.0;
        for (size_t n = 0; !c->is_gang && n < c->need_count; n++) {
            if (hq_str_eq(c->needs[n].name, p->name) && p->amount > 0.0) {
                share = c->needs[n].amount < 0.0 ? 1.0 : c->needs[n].amount / p->amount;
            }
        }
        if (share > 0.0) {
            curve_add(&p->used, &r->grid, from_ms, until_ms, share);
        }
    }
}

static struct report_job *
find_job(const struct report *r, uint32_t id)
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

static void
end_run(struct report *r, const struct report_run *run)
{
    struct report_class *c = run->class_ix < r->class_count ? &r->classes[run->class_ix] : NULL;
    struct report_job *job = find_job(r, run->job);
    uint64_t length_ms = run->until_ms > run->from_ms ? (uint64_t)(run->until_ms - run->from_ms) : 0;
    struct report_worker *w = find_worker(r, run->worker);

    add_use(r, w, c, run->from_ms, run->until_ms);
    for (size_t i = 1; i < run->node_count; i++) { /* the first one is the root */
        add_use(r, find_worker(r, run->nodes[i]), c, run->from_ms, run->until_ms);
    }
    if (w != NULL && is_within(r, run->until_ms)) {
        w->task_count++;
    }
    if (c != NULL && !run->is_cut && is_within(r, run->until_ms)) {
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
static bool
take_live(struct report *r, uint32_t job, uint32_t task, struct report_run *ret)
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
static void
cut_live(struct report *r, uint32_t job, uint32_t task, hq_wall_ms at_ms)
{
    struct report_run run;

    if (take_live(r, job, task, &run)) {
        run.until_ms = HQ_MAX(at_ms, run.from_ms);
        run.is_cut = true;
        end_run(r, &run);
    }
}

static void
cut_all(struct report *r, hq_wall_ms at_ms)
{
    while (r->live_count > 0) {
        cut_live(r, r->live[0].job, r->live[0].task, at_ms);
    }
}

static void
add_live(struct report *r, const struct report_run *run)
{
    cut_live(r, run->job, run->task, run->from_ms); /* its end was pruned */
    hq_xgrow(&r->live, &r->live_cap, r->live_count + 1, sizeof(*r->live));
    r->live[r->live_count++] = *run;
    hq_map_set(&r->live_ix, hq_map_key2(run->job, run->task), r->live_count);
}

/* ---- records of tasks */

/* Calls `take` for each id; times, if there are any, beside it. */
struct walk {
    struct report *r;
    uint32_t job, worker, variant;
    const uint32_t *nodes;
    size_t node_count;
    hq_wall_ms at_ms; /* of the record */
};
typedef void (*walk_fn)(const struct walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms);

static int
walk_ids(const struct walk *w, const Hq__Ranges *ids, const Hq__TaskTimes *times, bool with_ends, walk_fn take,
         struct hq_err *err)
{
    hq_wall_ms at_ms = times == NULL ? 0 : (hq_wall_ms)times->base_ms;
    size_t k = 0;

    for (size_t i = 0; ids != NULL && i + 2 < ids->n_packed; i += 3) {
        uint64_t task = ids->packed[i];
        for (uint32_t c = 0; c < ids->packed[i + 1]; c++, k++, task += ids->packed[i + 2]) {
            if (task > UINT32_MAX || (times != NULL && (k >= times->n_started || (with_ends && k >= times->n_duration_ms)))) {
                return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
            }
            at_ms = times == NULL ? 0 : (hq_wall_ms)((uint64_t)at_ms + (uint64_t)times->started[k]);
            take(w, (uint32_t)task, at_ms, with_ends && times != NULL ? times->duration_ms[k] : 0);
        }
    }
    return 0;
}

static void
take_start(const struct walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    (void)duration_ms; /* it runs */
    if (started_ms > w->r->grid.until_ms) {
        return;
    }
    add_live(w->r, &(struct report_run){.job = w->job,
                                        .task = task,
                                        .worker = w->worker,
                                        .class_ix = report_class_of(find_job(w->r, w->job), task, w->variant),
                                        .from_ms = started_ms,
                                        .nodes = w->nodes,
                                        .node_count = w->node_count});
}

static void
take_finish(const struct walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    struct report_run run;
    struct report_job *job = find_job(w->r, w->job);

    if (started_ms > w->r->grid.until_ms) {
        return;
    }
    if (!take_live(w->r, w->job, task, &run)) {
        run = (struct report_run){.job = w->job, .task = task, .worker = w->worker,
                                  .class_ix = report_class_of(job, task, w->variant)};
    }
    run.from_ms = started_ms;
    run.until_ms = (hq_wall_ms)((uint64_t)started_ms + duration_ms);
    end_run(w->r, &run);
    if (job != NULL && run.until_ms <= w->r->grid.until_ms) {
        job->finished++;
    }
}

static void
take_cancel(const struct walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    struct report_job *job = find_job(w->r, w->job);

    (void)started_ms;
    (void)duration_ms; /* there are no times in that record */
    cut_live(w->r, w->job, task, w->at_ms);
    if (job != NULL && w->at_ms <= w->r->grid.until_ms) {
        job->canceled++;
    }
}

static void
take_abort(const struct walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    struct report_job *job = find_job(w->r, w->job);

    (void)started_ms;
    (void)duration_ms;
    cut_live(w->r, w->job, task, w->at_ms);
    if (job != NULL && w->at_ms <= w->r->grid.until_ms) {
        job->aborted++;
    }
}

static void
take_restart(const struct walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    (void)started_ms;
    (void)duration_ms;
    cut_live(w->r, w->job, task, w->at_ms);
}

static int
add_started(struct report *r, const Hq__TasksStartedRecord *s, struct hq_err *err)
{
    const Hq__TasksStarted *t = s->tasks;
    struct walk w = {.r = r, .worker = s->worker};

    if (t == NULL || t->times == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    w.job = t->job;
    w.variant = t->variant;
    if (s->n_nodes > 1) {
        uint32_t *nodes = hq_arena_array(&r->arena, s->n_nodes, sizeof(*nodes));
        memcpy(nodes, s->nodes, s->n_nodes * sizeof(*nodes));
        w.nodes = nodes;
        w.node_count = s->n_nodes;
    }
    return walk_ids(&w, t->ids, t->times, false, take_start, err);
}

static int
add_finished(struct report *r, const Hq__TasksFinishedRecord *f, struct hq_err *err)
{
    const Hq__TasksFinished *t = f->tasks;

    if (t == NULL || t->times == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    struct walk w = {.r = r, .worker = f->worker, .job = t->job, .variant = t->variant};
    return walk_ids(&w, t->ids, t->times, true, take_finish, err);
}

static int
add_failed(struct report *r, const Hq__TaskFailedRecord *f, struct hq_err *err)
{
    const Hq__TaskFailed *t = f->task;
    struct report_run run;

    if (t == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without a task");
    }
    struct report_job *job = find_job(r, t->job);
    bool was_live = take_live(r, t->job, t->task, &run);
    if (!was_live) {
        run = (struct report_run){.job = t->job, .task = t->task, .worker = f->worker,
                                  .class_ix = report_class_of(job, t->task, t->variant)};
    }
    if (job != NULL && (hq_wall_ms)t->ended_ms <= r->grid.until_ms) {
        job->failed++;
    }
    if (t->started_ms != 0 || was_live) {
        run.from_ms = t->started_ms != 0 ? (hq_wall_ms)t->started_ms : run.from_ms;
        run.until_ms = HQ_MAX((hq_wall_ms)t->ended_ms, run.from_ms);
        run.is_failed = true;
        end_run(r, &run);
    }
    return 0;
}

static int
add_ended(struct report *r, uint32_t job, const Hq__Ranges *ids, hq_wall_ms at_ms, walk_fn take, struct hq_err *err)
{
    struct walk w = {.r = r, .job = job, .at_ms = at_ms};
    return walk_ids(&w, ids, NULL, false, take, err);
}

/* ---- other records */

static struct report_job *
add_job(struct report *r, uint32_t id, struct hq_str name, hq_wall_ms at_ms)
{
    struct report_job *job = find_job(r, id);

    if (job != NULL) {
        return job;
    }
    hq_arena_grow(&r->arena, &r->jobs, &r->job_cap, r->job_count + 1, sizeof(*r->jobs));
    job = &r->jobs[r->job_count++];
    *job = (struct report_job){.id = id, .name = hq_arena_str(&r->arena, name), .submitted_ms = at_ms};
    hq_map_set(&r->job_ix, id, r->job_count);
    return job;
}

static void
add_allocation(struct report *r, const Hq__AllocationEvent *a, hq_wall_ms at_ms, bool is_queued)
{
    uint64_t key = hq_map_key2(a->queue, a->number);

    if (is_queued && hq_map_find(&r->allocations, key) == NULL) {
        hq_map_set(&r->allocations, key, a->worker_count);
        steps_add(&r->queued, &r->grid, at_ms, (double)a->worker_count);
    } else if (!is_queued && hq_map_find(&r->allocations, key) != NULL) {
        steps_add(&r->queued, &r->grid, at_ms, -(double)hq_map_get(&r->allocations, key, 0));
        (void)hq_map_del(&r->allocations, key);
    }
}

static const char *
lost_word(const Hq__WorkerLost *l)
{
    static const char *const words[] = {
        [HQ__WORKER_LOST_REASON__LOST_REASON_NONE] = "connection lost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_STOPPED] = "stopped",
        [HQ__WORKER_LOST_REASON__LOST_REASON_CONNECTION] = "connection lost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_HEARTBEAT] = "heartbeat lost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_IDLE] = "idle timeout",
        [HQ__WORKER_LOST_REASON__LOST_REASON_TIME_LIMIT] = "time limit reached",
    };
    return (size_t)l->reason < HQ_ARRAY_LEN(words) ? words[l->reason] : "gone";
}

static void
add_stop(struct report *r, hq_wall_ms at_ms)
{
    cut_all(r, at_ms);
    for (size_t i = 0; i < r->worker_count; i++) {
        end_worker(r, &r->workers[i], at_ms, "server stopped");
    }
}

static void
add_submit(struct report *r, const Hq__JobSubmitted *s, hq_wall_ms at_ms)
{
    struct report_job *job = add_job(r, s->job, desc_str(s->name), at_ms);
    report_submit_done(r, job, s);
}

/* Records of ends tell of starts, too: of tasks that ran at the end of the span. */
static bool
says_of_before(const Hq__Record *rec)
{
    return rec->body_case == HQ__RECORD__BODY_TASKS_STARTED || rec->body_case == HQ__RECORD__BODY_TASKS_FINISHED ||
           rec->body_case == HQ__RECORD__BODY_TASK_FAILED || rec->body_case == HQ__RECORD__BODY_TASKS_CANCELED ||
           rec->body_case == HQ__RECORD__BODY_TASKS_ABORTED || rec->body_case == HQ__RECORD__BODY_TASKS_RESTARTED;
}

int
report_add(struct report *r, const Hq__Record *rec, struct hq_err *err)
{
    hq_wall_ms at_ms = (hq_wall_ms)rec->time_ms;
    struct report_job *job;

    if (at_ms > r->grid.until_ms && !says_of_before(rec)) {
        return 0;
    }
    switch (rec->body_case) {
    case HQ__RECORD__BODY_SERVER_STARTED:
        r->server_uid = hq_arena_str(&r->arena, desc_str(rec->server_started->server_uid));
        return 0;
    case HQ__RECORD__BODY_SERVER_STOPPED:
        add_stop(r, at_ms);
        return 0;
    case HQ__RECORD__BODY_WORKER_CONNECTED:
        add_worker(r, rec->worker_connected, at_ms);
        return 0;
    case HQ__RECORD__BODY_WORKER_LOST:
        end_worker(r, find_worker(r, rec->worker_lost->worker), at_ms, lost_word(rec->worker_lost));
        return 0;
    case HQ__RECORD__BODY_JOB_OPENED:
        add_job(r, rec->job_opened->job, desc_str(rec->job_opened->name), at_ms)->is_open = true;
        return 0;
    case HQ__RECORD__BODY_JOB_CLOSED:
        job = find_job(r, rec->job_closed->job);
        if (job != NULL) {
            job->is_open = false;
        }
        return 0;
    case HQ__RECORD__BODY_SUBMIT_PART:
        report_submit_part(r, rec->submit_part);
        return 0;
    case HQ__RECORD__BODY_JOB_SUBMITTED:
        add_submit(r, rec->job_submitted, at_ms);
        return 0;
    case HQ__RECORD__BODY_TASKS_STARTED:
        return add_started(r, rec->tasks_started, err);
    case HQ__RECORD__BODY_TASKS_FINISHED:
        return add_finished(r, rec->tasks_finished, err);
    case HQ__RECORD__BODY_TASK_FAILED:
        return add_failed(r, rec->task_failed, err);
    case HQ__RECORD__BODY_TASKS_CANCELED:
        return add_ended(r, rec->tasks_canceled->job, rec->tasks_canceled->ids, at_ms, take_cancel, err);
    case HQ__RECORD__BODY_TASKS_ABORTED:
        return add_ended(r, rec->tasks_aborted->job, rec->tasks_aborted->ids, at_ms, take_abort, err);
    case HQ__RECORD__BODY_TASKS_RESTARTED:
        return add_ended(r, rec->tasks_restarted->job, rec->tasks_restarted->ids, at_ms, take_restart, err);
    case HQ__RECORD__BODY_ALLOCATION_QUEUED:
        add_allocation(r, rec->allocation_queued, at_ms, true);
        return 0;
    case HQ__RECORD__BODY_ALLOCATION_FINISHED:
        add_allocation(r, rec->allocation_finished, at_ms, false);
        return 0;
    default: /* nothing that a curve or a table shows, or of a later version */
        return 0;
    }
}

void
report_finish(struct report *r)
{
    for (size_t i = 0; i < r->live_count; i++) { /* still running: they last until here, and have no outcome */
        struct report_run run = r->live[i];
        run.until_ms = HQ_MAX(r->grid.until_ms, run.from_ms);
        run.is_cut = true;
        end_run(r, &run);
    }
    free(r->live);
    r->live = NULL;
    r->live_count = r->live_cap = 0;
    hq_map_clear(&r->live_ix);
}
