#include "hqd/core/jobreq.h"

#include "hqd/core/job.h"
#include "hqd/core/owner.h"
#include "hqd/core/reply.h"
#include "hqd/core/select.h"

#define COMPLETED_STATES                                                                                               \
    (1u << JOB_WORD_FINISHED | 1u << JOB_WORD_FAILED | 1u << JOB_WORD_CANCELED | 1u << JOB_WORD_ABORTED)

void
job_check_end(struct ctx *ctx, struct job *job)
{
    if (!job_is_terminated(job) || job->is_completed) {
        return;
    }
    struct record rec = {.u.job.job = job->id};
    if (job->is_open) {
        rec.kind = RECORD_JOB_IDLE;
        core_publish(ctx, &rec);
    } else {
        rec.kind = RECORD_JOB_COMPLETED;
        core_emit(ctx, &rec);
    }
}

void
jobreq_on_open(struct ctx *ctx, const struct input *in)
{
    const struct input_job_open *open = &in->u.job_open;
    if (reply_repeat(ctx, in)) {
        return;
    }
    if (ctx->core->next_job == UINT32_MAX) {
        reply_error(ctx, in, -EOVERFLOW, "There are no job ids left.");
        return;
    }
    struct record rec = {
        .kind = RECORD_JOB_OPENED,
        .u.job_opened =
            {
                .job = {ctx->core->next_job},
                .name = open->name,
                .has_max_fails = open->has_max_fails,
                .max_fails = open->max_fails,
                .submit_dir = open->submit_dir,
                .owner_uid = in->from.uid,
                .request_id = in->from.request_id,
            },
    };
    core_emit(ctx, &rec);
    reply_submitted(ctx, in, rec.u.job_opened.job);
}

static bool
is_open(const struct job *job)
{
    return job->is_open;
}

static void
close_one(struct ctx *ctx, uint32_t uid, struct job_result *result)
{
    struct job *job = core_job(ctx->core, result->job.v);
    if (job == NULL) {
        result->kind = JOB_RESULT_NOT_FOUND;
    } else if (!owner_may_change(job, uid)) {
        result->kind = JOB_RESULT_REFUSED;
        result->text = owner_refusal(job, &ctx->fx->arena);
    } else if (!job->is_open) {
        result->kind = JOB_RESULT_NOTHING_LEFT;
    } else {
        struct record rec = {.kind = RECORD_JOB_CLOSED, .u.job.job = job->id};
        core_emit(ctx, &rec);
        job_check_end(ctx, job);
        result->kind = JOB_RESULT_DONE;
    }
}

void
jobreq_on_close(struct ctx *ctx, const struct input *in)
{
    if (reply_repeat(ctx, in)) {
        return;
    }
    struct select_ids ids;
    if (select_jobs(ctx->core, &in->u.job_close.jobs, is_open, &ctx->fx->arena, &ids) < 0) {
        reply_error(ctx, in, -E2BIG, "More than %u job ids in one request.", SELECT_IDS_MAX);
        return;
    }
    struct job_result *results = hq_arena_array(&ctx->fx->arena, ids.count, sizeof(*results));
    for (size_t i = 0; i < ids.count; i++) {
        results[i].job.v = ids.v[i];
        close_one(ctx, in->from.uid, &results[i]);
    }
    reply_jobs(ctx, in, results, ids.count);
}

void
jobreq_on_forget(struct ctx *ctx, const struct input *in)
{
    if (reply_repeat(ctx, in)) {
        return;
    }
    struct select_ids ids;
    if (select_jobs(ctx->core, &in->u.job_forget.jobs, NULL, &ctx->fx->arena, &ids) < 0) {
        reply_error(ctx, in, -E2BIG, "More than %u job ids in one request.", SELECT_IDS_MAX);
        return;
    }
    uint32_t mask = in->u.job_forget.state_mask == 0 ? COMPLETED_STATES : in->u.job_forget.state_mask;
    struct idlist forgotten = {.arena = &ctx->fx->arena};
    uint64_t count = 0;
    for (size_t i = 0; i < ids.count; i++) {
        const struct job *job = core_job(ctx->core, ids.v[i]);
        if (job != NULL && job->is_completed && (mask & 1u << job_state(job)) != 0 &&
            owner_may_change(job, in->from.uid)) {
            idlist_add(&forgotten, job->id.v, 1, 1);
            count++;
        }
    }
    if (count > 0) {
        struct record rec = {.kind = RECORD_JOB_FORGOTTEN, .u.job_forgotten.jobs = forgotten.r};
        core_emit(ctx, &rec);
    }
    reply_forgotten(ctx, in, count, ids.count - count);
}
