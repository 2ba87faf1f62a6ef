#include "hqd/core/resume.h"

#include "common/mem.h"
#include "hqd/core/cancel.h"
#include "hqd/core/job.h"
#include "hqd/core/lost.h"
#include "hqd/core/submit.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

/* Tasks held by workers that no record names any more (pruned): they start again. */
static void
free_strays(struct ctx *ctx, struct job *job)
{
    struct idlist ids = {.arena = &ctx->fx->arena};
    for (uint32_t ix = 0; job->held > 0 && ix < job->tasks.page_count; ix++) {
        struct task_page *p = job->tasks.pages[ix];
        uint32_t size = task_page_size(&job->tasks, ix);
        for (uint32_t i = 0; p != NULL && p->held > 0 && i < size; i++) {
            if (task_is_held(page_state(p)[i]) && core_worker(ctx->core, page_worker(p)[i]) == NULL) {
                job_add_ids(job, ix * TASK_PAGE_TASKS + i, 1, &ids);
            }
        }
    }
    if (ids.r.count > 0) {
        struct record rec = {.kind = RECORD_TASKS_RESTARTED};
        rec.u.tasks_restarted = (struct record_tasks_restarted){.job = job->id, .ids = ids.r};
        core_emit(ctx, &rec);
    }
}

/* What the end of the old process cut in half. */
static void
finish_job(struct ctx *ctx, struct job *job)
{
    free_strays(ctx, job);
    if (!job->is_open && job->has_max_fails && job->counts.failed > job->max_fails) {
        (void)cancel_rest(ctx, job, RECORD_TASKS_ABORTED);
    }
    if (!job->is_open) {
        job_check_end(ctx, job);
    }
}

static void
await_workers(struct ctx *ctx)
{
    struct core *core = ctx->core;
    for (size_t i = 0; i < core->worker_count; i++) {
        struct worker *w = core->workers[i];
        if (w->place == WORKER_LOST) {
            if (w->held > 0 || w->gang_job.v != 0) {
                lost_release(ctx, w);
            }
            continue;
        }
        w->place = WORKER_AWAY;
        w->gone_at_ms = ctx->now->mono_ms + core->conf.return_grace_ms;
        lost_watch(ctx, w);
    }
}

static bool
is_other_boot(const struct core *core, struct hq_str boot_id)
{
    return core->boot_id != NULL && !hq_str_eq(boot_id, hq_str_make(core->boot_id, core->boot_id_len));
}

void
core_resume(struct core *core, const struct core_identity *id, const struct core_now *now, struct effects *fx)
{
    struct ctx ctx = {.core = core, .now = now, .fx = fx};
    HQ_ASSERT(!core->is_started);
    core->is_started = true;
    memcpy(core->step_key, id->step_key, sizeof(core->step_key));
    bool is_crash = is_other_boot(core, id->boot_id) && !core->is_ended;
    struct record rec = {.kind = RECORD_SERVER_STARTED};
    rec.u.server_started = (struct record_server_started){
        .server_uid = id->server_uid,
        .incarnation = id->incarnation,
        .version = id->version,
        .boot_id = id->boot_id,
        .host = id->host,
        .pid = id->pid,
    };
    core_emit(&ctx, &rec);
    await_workers(&ctx);
    for (uint32_t i = 0; i < core->job_cap; i++) {
        if (core->jobs[i] != NULL && !core->jobs[i]->is_completed) {
            finish_job(&ctx, core->jobs[i]);
        }
    }
    /* Idle open jobs of the past are no news. */
    for (size_t i = 0; i < core->ended_count; i++) {
        struct job *job = core_job(core, core->ended_jobs[i]);
        if (job != NULL) {
            job->is_end_noted = false;
        }
    }
    core->ended_count = 0;
    /* Nor is what the replay changed. */
    for (size_t i = 0; i < core->changed_count; i++) {
        struct job *job = core_job(core, core->changed_jobs[i]);
        if (job != NULL) {
            job->is_changed = false;
        }
    }
    core->changed_count = 0;
    core->is_worker_changed = false;
    if (is_crash) {
        core->is_after_crash = true;
        core->quiet_until_ms = now->mono_ms + core->conf.return_grace_ms;
    }
}

bool
resume_is_quiet(struct core *core, const struct core_now *now)
{
    if (core->quiet_until_ms == 0) {
        return false;
    }
    bool any_away = false;
    for (size_t i = 0; i < core->worker_count; i++) {
        any_away = any_away || core->workers[i]->place == WORKER_AWAY || core->workers[i]->is_settling;
    }
    if (!any_away || now->mono_ms >= core->quiet_until_ms) {
        core->quiet_until_ms = 0;
        return false;
    }
    return true;
}
