#include "hqd/core/cancel.h"

#include "hqd/core/deps.h"
#include "hqd/core/job.h"
#include "hqd/core/orders.h"
#include "hqd/core/owner.h"
#include "hqd/core/reply.h"
#include "hqd/core/select.h"
#include "hqd/core/worker.h"

struct rest {
    struct ctx *ctx;
    struct job *job;
    struct idlist ids;
    uint64_t count;
    struct worker **workers; /* that hold some of them */
    size_t worker_count;
    size_t worker_cap;
};

static void
tell_worker(struct rest *r, uint32_t worker_id, uint32_t pos)
{
    struct worker *w = core_worker(r->ctx->core, worker_id);
    struct hq_arena *arena = &r->ctx->fx->arena;
    if (w == NULL || w->place == WORKER_LOST) {
        return;
    }
    if (w->cancel == NULL) {
        w->cancel = hq_arena_alloc(arena, sizeof(*w->cancel));
        w->cancel->arena = arena;
        hq_arena_grow(arena, &r->workers, &r->worker_cap, r->worker_count + 1, sizeof(struct worker *));
        r->workers[r->worker_count++] = w;
    }
    job_add_ids(r->job, pos, 1, w->cancel);
}

/* Collects those of [pos, pos + count) of one page that have not ended. */
static void
collect_page(struct rest *r, uint32_t pos, uint32_t count)
{
    struct task_page *p = task_table_peek(&r->job->tasks, pos);
    if (p == NULL) {
        if (!task_is_ended(r->job->tasks.uniform[pos / TASK_PAGE_TASKS])) {
            job_add_ids(r->job, pos, count, &r->ids);
            r->count += count;
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (pos + i) % TASK_PAGE_TASKS;
        unsigned char state = page_state(p)[at];
        if (task_is_ended(state)) {
            continue;
        }
        job_add_ids(r->job, pos + i, 1, &r->ids);
        r->count++;
        if (task_is_held(state)) {
            tell_worker(r, page_worker(p)[at], pos + i);
        }
    }
}

uint64_t
cancel_rest(struct ctx *ctx, struct job *job, enum record_kind kind)
{
    struct rest r = {.ctx = ctx, .job = job, .ids.arena = &ctx->fx->arena};
    if (job_is_terminated(job)) {
        return 0;
    }
    for (uint32_t ix = 0; ix < job->tasks.page_count; ix++) {
        collect_page(&r, ix * TASK_PAGE_TASKS, task_page_size(&job->tasks, ix));
    }
    for (size_t i = 0; i < r.worker_count; i++) {
        orders_cancel(ctx->core, r.workers[i], job->id, &r.workers[i]->cancel->r);
        r.workers[i]->cancel = NULL;
        worker_unblock(r.workers[i]); /* no news will come of the ends of these */
    }
    struct record rec = {.kind = kind, .u.tasks_ended = {.job = job->id, .ids = r.ids.r}};
    core_emit(ctx, &rec);
    return r.count;
}

static void
abort_dependants(struct ctx *ctx, struct job *job, uint32_t pos)
{
    uint32_t *v;
    size_t n = deps_descendants(job, pos, &ctx->fx->arena, &v);
    if (n == 0) {
        return;
    }
    struct idlist ids = {.arena = &ctx->fx->arena};
    for (size_t i = 0; i < n;) {
        uint32_t run = 1;
        while (i + run < n && v[i + run] == v[i] + run) {
            run++;
        }
        job_add_ids(job, v[i], run, &ids);
        i += run;
    }
    struct record rec = {.kind = RECORD_TASKS_ABORTED, .u.tasks_ended = {.job = job->id, .ids = ids.r}};
    core_emit(ctx, &rec);
}

void
cancel_fail(struct ctx *ctx, struct job *job, hq_worker_id worker, const struct task_failed *failed)
{
    uint32_t pos;
    HQ_ASSERT(idset_find(&job->ids, failed->task, &pos));
    abort_dependants(ctx, job, pos);
    struct record rec = {.kind = RECORD_TASK_FAILED, .u.task_failed = {.worker = worker, .task = *failed}};
    core_emit(ctx, &rec);
    if (job->has_max_fails && job->counts.failed > job->max_fails) {
        (void)cancel_rest(ctx, job, RECORD_TASKS_ABORTED);
    }
}

static bool
is_live(const struct job *job)
{
    return !job_is_terminated(job);
}

static void
cancel_one(struct ctx *ctx, const struct input *in, struct job_result *result)
{
    struct job *job = core_job(ctx->core, result->job.v);
    if (job == NULL) {
        result->kind = JOB_RESULT_NOT_FOUND;
        return;
    }
    result->ended_before = job_ended(job);
    if (!owner_may_change(job, in->from.uid)) {
        result->kind = JOB_RESULT_REFUSED;
        result->text = owner_refusal(job, &ctx->fx->arena);
        return;
    }
    if (job_is_terminated(job)) {
        result->kind = JOB_RESULT_NOTHING_LEFT;
        return;
    }
    struct record rec = {.kind = RECORD_JOB_CANCELED};
    rec.u.job_canceled = (struct record_job_canceled){
        .job = job->id, .has_reason = in->u.job_cancel.has_reason, .reason = in->u.job_cancel.reason};
    core_emit(ctx, &rec);
    result->kind = JOB_RESULT_DONE;
    result->canceled = cancel_rest(ctx, job, RECORD_TASKS_CANCELED);
}

void
cancel_on_request(struct ctx *ctx, const struct input *in)
{
    if (reply_repeat(ctx, in)) {
        return;
    }
    struct select_ids ids;
    if (select_jobs(ctx->core, &in->u.job_cancel.jobs, is_live, &ctx->fx->arena, &ids) < 0) {
        reply_error(ctx, in, -E2BIG, "More than %u job ids in one request.", SELECT_IDS_MAX);
        return;
    }
    struct job_result *results = hq_arena_array(&ctx->fx->arena, ids.count, sizeof(*results));
    for (size_t i = 0; i < ids.count; i++) {
        results[i].job.v = ids.v[i];
        cancel_one(ctx, in, &results[i]);
    }
    core_check_ends(ctx);
    reply_jobs(ctx, in, results, ids.count);
}
