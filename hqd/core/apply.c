/* The door: records change durable state here and in apply_task.c and nowhere else, live and in a replay. */
#include "common/mem.h"
#include "hqd/core/alloc.h"
#include "hqd/core/apply_task.h"
#include "hqd/core/job.h"
#include "hqd/core/link.h"
#include "hqd/core/reply.h"
#include "hqd/core/submit.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

/* ---- server and workers */
static void
set_text(char **to, struct hq_str from)
{
    free(*to);
    *to = hq_str_dupz(from);
}

/* What an orderly end left running starts again; a worker of that run is nobody's any more. */
static void
drop_workers(struct core *core)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        struct worker *w = core->workers[i];
        worker_sweep(core, w);
        w->place = WORKER_LOST;
        for (size_t k = 0; k < w->range_count; k++) {
            struct job *job = core_job(core, w->ranges[k].job);
            for (uint32_t p = 0; p < w->ranges[k].count; p++) {
                apply_restart_one(core, job, w->ranges[k].first + p, false);
            }
        }
    }
    for (size_t i = 0; i < core->worker_count; i++) {
        worker_free(core, core->workers[i]);
    }
    core->worker_count = 0;
    core->dirty_count = 0;
    core->talker_count = 0;
    hq_map_clear(&core->by_incarnation);
}

static void
apply_server_started(struct core *core, const struct record_server_started *rec)
{
    bool is_new_boot = core->boot_id != NULL && (core->boot_id_len != rec->boot_id.len ||
                                                 memcmp(core->boot_id, rec->boot_id.ptr, rec->boot_id.len) != 0);
    if (is_new_boot && !core->is_ended) {
        /* The host crashed: assignments may have been made that no record tells of. Their numbers are burnt. */
        for (uint32_t i = 0; i < core->job_cap; i++) {
            struct job *job = core->jobs[i];
            if (job != NULL && !job->is_completed) {
                job->instance_floor = HQ_MAX(job->instance_floor, job->instance_max) + 1;
            }
        }
    }
    if (core->is_ended && core->boot_id != NULL) {
        core->next_worker++; /* a gap after each orderly end, as the reference has it */
    }
    submit_upload_clear(core);
    set_text(&core->server_uid, rec->server_uid);
    set_text(&core->boot_id, rec->boot_id);
    core->boot_id_len = rec->boot_id.len;
    core->is_ended = false;
}

static uint64_t
incarnation_key(const unsigned char *bytes)
{
    uint64_t key;
    memcpy(&key, bytes, sizeof(key));
    return key;
}

static void
apply_worker_connected(struct core *core, const struct record_worker_connected *rec, hq_wall_ms at_ms)
{
    if (rec->worker.v < core->next_worker) {
        return; /* known already */
    }
    struct worker *w = worker_create(core, rec, at_ms);
    hq_xgrow(&core->workers, &core->worker_cap, core->worker_count + 1, sizeof(struct worker *));
    core->workers[core->worker_count++] = w;
    core->next_worker = rec->worker.v + 1;
    hq_map_set_ptr(&core->by_incarnation, incarnation_key(w->incarnation), w);
    core->worker_version = core->last_seq;
    core->is_worker_changed = true;
    alloc_apply_worker(core, w);
}

static void
apply_worker_lost(struct core *core, const struct record_worker_lost *rec, hq_wall_ms at_ms)
{
    struct worker *w = core_worker(core, rec->worker.v);
    if (w == NULL || w->place == WORKER_LOST) {
        return;
    }
    w->place = WORKER_LOST;
    w->reason = rec->reason;
    w->ended_ms = at_ms;
    w->is_reserved = false;
    if (!w->is_root && !worker_has_ranks(core, w)) {
        w->gang_job.v = 0; /* a plain task of several nodes goes on without it; ranks end: lost.c */
    }
    if (hq_map_get_ptr(&core->by_incarnation, incarnation_key(w->incarnation)) == w) {
        (void)hq_map_del(&core->by_incarnation, incarnation_key(w->incarnation));
    }
    core->worker_version = core->last_seq;
    core->is_worker_changed = true;
    alloc_apply_worker_lost(core, w);
}

/* ---- jobs */
static void
apply_job_opened(struct core *core, const struct record_job_opened *rec, hq_wall_ms at_ms)
{
    if (rec->job.v < core->next_job) {
        return;
    }
    struct job *job = job_create(core, rec->job, rec->name, rec->submit_dir, rec->owner_uid);
    job->is_open = true;
    job->has_max_fails = rec->has_max_fails;
    job->max_fails = rec->max_fails;
    job->submitted_ms = at_ms;
    job_insert(core, job);
    core->next_job = rec->job.v + 1;
    job_changed(core, job);
    reply_remember_job(core, rec->request_id, rec->owner_uid, rec->job);
}

static void
apply_job_canceled(struct core *core, const struct record_job_canceled *rec)
{
    struct job *job = core_job(core, rec->job.v);
    if (job != NULL && rec->has_reason) {
        free((void *)(uintptr_t)job->cancel_reason.ptr); /* our own heap copy */
        job->cancel_reason = (struct hq_str){.ptr = hq_str_dupz(rec->reason), .len = rec->reason.len};
        job->has_cancel_reason = true;
        job_changed(core, job);
    }
}

static void
apply_jobs_forgotten(struct core *core, const struct hq_ranges *ids)
{
    struct hq_ranges_iter it = hq_ranges_iter(ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        struct job *job = core_job(core, id);
        if (job != NULL && job->held == 0) {
            job_remove(core, job);
            job_free(core, job);
        }
    }
    core->forget_version = core->last_seq;
}

static void
apply_job_closed(struct core *core, struct job *job)
{
    if (job != NULL) {
        job->is_open = false;
        job_changed(core, job);
    }
}

static void
apply_job_completed(struct core *core, struct job *job, hq_wall_ms at_ms)
{
    if (job != NULL && !job->is_completed) {
        job->is_completed = true;
        job->finished_ms = at_ms;
        job_changed(core, job);
    }
}

int
apply_record(struct core *core, const struct record *rec)
{
    switch (rec->kind) {
    case RECORD_SERVER_STARTED:
        apply_server_started(core, &rec->u.server_started);
        return 0;
    case RECORD_SERVER_STOPPED:
        drop_workers(core);
        core->is_ended = true;
        return 0;
    case RECORD_WORKER_CONNECTED:
        apply_worker_connected(core, &rec->u.worker_connected, rec->time_ms);
        return 0;
    case RECORD_WORKER_LOST:
        apply_worker_lost(core, &rec->u.worker_lost, rec->time_ms);
        return 0;
    case RECORD_JOB_OPENED:
        apply_job_opened(core, &rec->u.job_opened, rec->time_ms);
        return 0;
    case RECORD_SUBMIT_PART:
        submit_apply_part(core, &rec->u.submit_part);
        return 0;
    case RECORD_JOB_SUBMITTED:
        return submit_apply(core, &rec->u.job_submitted, rec->time_ms);
    case RECORD_JOB_CLOSED:
        apply_job_closed(core, core_job(core, rec->u.job.job.v));
        return 0;
    case RECORD_JOB_CANCELED:
        apply_job_canceled(core, &rec->u.job_canceled);
        return 0;
    case RECORD_JOB_FORGOTTEN:
        apply_jobs_forgotten(core, &rec->u.job_forgotten.jobs);
        return 0;
    case RECORD_JOB_COMPLETED:
        apply_job_completed(core, core_job(core, rec->u.job.job.v), rec->time_ms);
        return 0;
    case RECORD_TASKS_ASSIGNED:
        apply_tasks_assigned(core, &rec->u.tasks_assigned);
        return 0;
    case RECORD_TASKS_UNASSIGNED:
        apply_tasks_unassigned(core, &rec->u.tasks_unassigned);
        return 0;
    case RECORD_TASKS_STARTED:
        apply_tasks_started(core, &rec->u.tasks_started);
        return 0;
    case RECORD_TASKS_FINISHED:
        apply_tasks_finished(core, &rec->u.tasks_finished);
        return 0;
    case RECORD_TASK_FAILED:
        apply_tasks_failed(core, &rec->u.task_failed);
        return 0;
    case RECORD_TASKS_CANCELED:
        apply_tasks_ended(core, &rec->u.tasks_ended, TASK_ON_CANCEL, rec->time_ms);
        return 0;
    case RECORD_TASKS_ABORTED:
        apply_tasks_ended(core, &rec->u.tasks_ended, TASK_ON_ABORT, rec->time_ms);
        return 0;
    case RECORD_TASKS_RESTARTED:
        apply_tasks_restarted(core, &rec->u.tasks_restarted);
        return 0;
    case RECORD_COUNTERS:
        core->next_job = HQ_MAX(core->next_job, rec->u.counters.next_job);
        core->next_worker = HQ_MAX(core->next_worker, rec->u.counters.next_worker);
        core->next_queue = HQ_MAX(core->next_queue, rec->u.counters.next_queue);
        return 0;
    case RECORD_ALLOC_QUEUE_CREATED:
    case RECORD_ALLOC_QUEUE_REMOVED:
    case RECORD_ALLOC_QUEUE_PAUSED:
    case RECORD_ALLOC_QUEUE_RESUMED:
    case RECORD_ALLOC_QUEUE_SHAPE:
    case RECORD_ALLOCATION_PLANNED:
    case RECORD_ALLOCATION_QUEUED:
    case RECORD_ALLOCATION_STARTED:
    case RECORD_ALLOCATION_FINISHED:
    case RECORD_ALLOCATION_REFUSED:
        alloc_apply(core, rec);
        return 0;
    case RECORD_JOB_SNAPSHOT:    /* nobody writes them: prune keeps the records of living jobs as they are */
    case RECORD_WORKER_OVERVIEW: /* history for readers: no state */
    case RECORD_JOB_IDLE:
    case RECORD_TASK_NOTIFIED:
        return 0;
    }
    return 0;
}
