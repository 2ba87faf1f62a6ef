#include "hq/report_priv.h"

/* Calls `take` for each id; times, if there are any, beside it. */
struct report_walk {
    struct report *r;
    uint32_t job, worker, variant;
    const uint32_t *nodes;
    size_t node_count;
    hq_wall_ms at_ms; /* of the record */
};

static int
walk_ids(const struct report_walk *w, const Hq__Ranges *ids, const Hq__TaskTimes *times, bool with_ends,
         report_walk_fn take, struct hq_err *err)
{
    hq_wall_ms at_ms = times == NULL ? 0 : (hq_wall_ms)times->base_ms;
    size_t k = 0;

    for (size_t i = 0; ids != NULL && i + 2 < ids->n_packed; i += 3) {
        uint64_t task = ids->packed[i];
        for (uint32_t c = 0; c < ids->packed[i + 1]; c++, k++, task += ids->packed[i + 2]) {
            if (task > UINT32_MAX ||
                (times != NULL && (k >= times->n_started || (with_ends && k >= times->n_duration_ms)))) {
                return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
            }
            at_ms = times == NULL ? 0 : (hq_wall_ms)((uint64_t)at_ms + (uint64_t)times->started[k]);
            take(w, (uint32_t)task, at_ms, with_ends && times != NULL ? times->duration_ms[k] : 0);
        }
    }
    return 0;
}

static void
take_start(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    (void)duration_ms; /* it runs */
    if (started_ms > w->r->grid.until_ms) {
        return;
    }
    report_add_live(w->r,
                    &(struct report_run){.job = w->job,
                                         .task = task,
                                         .worker = w->worker,
                                         .class_ix = report_class_of(report_find_job(w->r, w->job), task, w->variant),
                                         .from_ms = started_ms,
                                         .nodes = w->nodes,
                                         .node_count = w->node_count});
}

static void
take_finish(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    struct report_run run;
    struct report_job *job = report_find_job(w->r, w->job);

    if (started_ms > w->r->grid.until_ms) {
        return;
    }
    if (!report_take_live(w->r, w->job, task, &run)) {
        run = (struct report_run){
            .job = w->job, .task = task, .worker = w->worker, .class_ix = report_class_of(job, task, w->variant)};
    }
    run.from_ms = started_ms;
    run.until_ms = (hq_wall_ms)((uint64_t)started_ms + duration_ms);
    report_end_run(w->r, &run);
    if (job != NULL && run.until_ms <= w->r->grid.until_ms) {
        job->finished++;
    }
}

void
report_take_cancel(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    struct report_job *job = report_find_job(w->r, w->job);

    (void)started_ms;
    (void)duration_ms; /* there are no times in that record */
    report_cut_live(w->r, w->job, task, w->at_ms);
    if (job != NULL && w->at_ms <= w->r->grid.until_ms) {
        job->canceled++;
    }
}

void
report_take_abort(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    struct report_job *job = report_find_job(w->r, w->job);

    (void)started_ms;
    (void)duration_ms;
    report_cut_live(w->r, w->job, task, w->at_ms);
    if (job != NULL && w->at_ms <= w->r->grid.until_ms) {
        job->aborted++;
    }
}

void
report_take_restart(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms)
{
    (void)started_ms;
    (void)duration_ms;
    report_cut_live(w->r, w->job, task, w->at_ms);
}

int
report_add_started(struct report *r, const Hq__TasksStartedRecord *s, struct hq_err *err)
{
    const Hq__TasksStarted *t = s->tasks;
    struct report_walk w = {.r = r, .worker = s->worker};

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

int
report_add_finished(struct report *r, const Hq__TasksFinishedRecord *f, struct hq_err *err)
{
    const Hq__TasksFinished *t = f->tasks;

    if (t == NULL || t->times == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    struct report_walk w = {.r = r, .worker = f->worker, .job = t->job, .variant = t->variant};
    return walk_ids(&w, t->ids, t->times, true, take_finish, err);
}

int
report_add_failed(struct report *r, const Hq__TaskFailedRecord *f, struct hq_err *err)
{
    const Hq__TaskFailed *t = f->task;
    struct report_run run;

    if (t == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without a task");
    }
    struct report_job *job = report_find_job(r, t->job);
    bool was_live = report_take_live(r, t->job, t->task, &run);
    if (!was_live) {
        run = (struct report_run){
            .job = t->job, .task = t->task, .worker = f->worker, .class_ix = report_class_of(job, t->task, t->variant)};
    }
    if (job != NULL && (hq_wall_ms)t->ended_ms <= r->grid.until_ms) {
        job->failed++;
    }
    if (t->started_ms != 0 || was_live) {
        run.from_ms = t->started_ms != 0 ? (hq_wall_ms)t->started_ms : run.from_ms;
        run.until_ms = HQ_MAX((hq_wall_ms)t->ended_ms, run.from_ms);
        run.is_failed = true;
        report_end_run(r, &run);
    }
    return 0;
}

int
report_add_ended(struct report *r, uint32_t job, const Hq__Ranges *ids, hq_wall_ms at_ms, report_walk_fn take,
                 struct hq_err *err)
{
    struct report_walk w = {.r = r, .job = job, .at_ms = at_ms};
    return walk_ids(&w, ids, NULL, false, take, err);
}
