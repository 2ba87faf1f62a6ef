#include "hq/report_priv.h"

#include "hq/desc_print.h"

#include <stdlib.h>

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
        stairs_fini(&r->kinds[i].running);
    }
    for (size_t i = 0; i < r->class_count; i++) {
        spread_fini(&r->classes[i].finished);
        spread_fini(&r->classes[i].failed);
    }
    for (size_t i = 0; i < r->job_count; i++) {
        report_submits_fini(&r->jobs[i]);
    }
    stairs_fini(&r->queued);
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

/* ---- other records */

static struct report_job *
add_job(struct report *r, uint32_t id, struct hq_str name, hq_wall_ms at_ms)
{
    struct report_job *job = report_find_job(r, id);

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
        stairs_add(&r->queued, &r->grid, at_ms, (double)a->worker_count);
    } else if (!is_queued && hq_map_find(&r->allocations, key) != NULL) {
        stairs_add(&r->queued, &r->grid, at_ms, -(double)hq_map_get(&r->allocations, key, 0));
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
    report_cut_all(r, at_ms);
    for (size_t i = 0; i < r->worker_count; i++) {
        report_end_worker(r, &r->workers[i], at_ms, "server stopped");
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
        report_add_worker(r, rec->worker_connected, at_ms);
        return 0;
    case HQ__RECORD__BODY_WORKER_LOST:
        report_end_worker(r, report_find_worker(r, rec->worker_lost->worker), at_ms, lost_word(rec->worker_lost));
        return 0;
    case HQ__RECORD__BODY_JOB_OPENED:
        add_job(r, rec->job_opened->job, desc_str(rec->job_opened->name), at_ms)->is_open = true;
        return 0;
    case HQ__RECORD__BODY_JOB_CLOSED:
        job = report_find_job(r, rec->job_closed->job);
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
        return report_add_started(r, rec->tasks_started, err);
    case HQ__RECORD__BODY_TASKS_FINISHED:
        return report_add_finished(r, rec->tasks_finished, err);
    case HQ__RECORD__BODY_TASK_FAILED:
        return report_add_failed(r, rec->task_failed, err);
    case HQ__RECORD__BODY_TASKS_CANCELED:
        return report_add_ended(r, rec->tasks_canceled->job, rec->tasks_canceled->ids, at_ms, report_take_cancel, err);
    case HQ__RECORD__BODY_TASKS_ABORTED:
        return report_add_ended(r, rec->tasks_aborted->job, rec->tasks_aborted->ids, at_ms, report_take_abort, err);
    case HQ__RECORD__BODY_TASKS_RESTARTED:
        return report_add_ended(r, rec->tasks_restarted->job, rec->tasks_restarted->ids, at_ms, report_take_restart,
                                err);
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
        report_end_run(r, &run);
    }
    free(r->live);
    r->live = NULL;
    r->live_count = r->live_cap = 0;
    hq_map_clear(&r->live_ix);
}
