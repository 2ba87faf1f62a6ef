#include "hqd/core/reply.h"

#include "common/mem.h"

#include <stdarg.h>
#include <stdlib.h>

static struct answered *
remember(struct core *core, uint64_t request_id, uint32_t uid, enum answer_kind kind)
{
    if (request_id == 0) {
        return NULL;
    }
    if (core->answered == NULL) {
        core->answered = hq_xcalloc(ANSWERED_MAX, sizeof(*core->answered));
    }
    struct answered *slot = &core->answered[core->answered_next];
    if (slot->request_id != 0 && hq_map_get(&core->answered_ix, slot->request_id, 0) == core->answered_next + 1) {
        (void)hq_map_del(&core->answered_ix, slot->request_id);
    }
    free(slot->results);
    *slot = (struct answered){.request_id = request_id, .uid = uid, .kind = kind};
    hq_map_set(&core->answered_ix, request_id, core->answered_next + 1);
    core->answered_next = (core->answered_next + 1) % ANSWERED_MAX;
    return slot;
}

void
reply_remember_job(struct core *core, uint64_t request_id, uint32_t uid, hq_job_id job)
{
    struct answered *a = remember(core, request_id, uid, ANSWER_SUBMITTED);
    if (a != NULL) {
        a->job = job;
    }
}

void
reply_remember_queue(struct core *core, uint64_t request_id, uint32_t uid, hq_queue_id queue)
{
    struct answered *a = remember(core, request_id, uid, ANSWER_ALLOC_ADDED);
    if (a != NULL) {
        a->queue = queue;
    }
}

void
reply_fini(struct core *core)
{
    for (uint32_t i = 0; core->answered != NULL && i < ANSWERED_MAX; i++) {
        free(core->answered[i].results);
    }
    free(core->answered);
    core->answered = NULL;
    hq_map_fini(&core->answered_ix);
}

/* handle 0: hqd itself asked (a signal), nobody waits; the shell skips such answers. */
static struct answer *
add(struct ctx *ctx, uint64_t handle, enum answer_kind kind, enum effect_when when)
{
    struct effect *e = effects_add(ctx->fx, EFFECT_ANSWER, when, ctx->core->last_seq);
    e->u.answer = (struct answer){.handle = handle, .kind = kind};
    return &e->u.answer;
}

bool
reply_repeat(struct ctx *ctx, const struct input *in)
{
    struct core *core = ctx->core;
    uint64_t ix = in->from.request_id == 0 ? 0 : hq_map_get(&core->answered_ix, in->from.request_id, 0);
    if (ix == 0) {
        return false;
    }
    const struct answered *known = &core->answered[ix - 1];
    if (known->uid != in->from.uid) {
        return false;
    }
    struct answer *a = add(ctx, in->from.handle, known->kind, EFFECT_AFTER_COMMIT);
    a->job = known->job;
    a->queue = known->queue;
    a->forgotten = known->forgotten;
    a->ignored = known->ignored;
    if (known->kind == ANSWER_JOB_RESULTS) {
        a->jobs = known->results;
        a->job_count = known->result_count;
    } else if (known->kind == ANSWER_WORKER_RESULTS) {
        a->workers = known->results;
        a->worker_count = known->result_count;
    }
    return true;
}

void
reply_error(struct ctx *ctx, const struct input *in, int code, const char *fmt, ...)
{
    struct hq_buf text = HQ_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    struct answer *a = add(ctx, in->from.handle, ANSWER_ERROR, EFFECT_NOW);
    a->code = code;
    a->text = hq_arena_str(&ctx->fx->arena, hq_buf_view(&text));
    hq_buf_fini(&text);
}

void
reply_done(struct ctx *ctx, const struct input *in)
{
    (void)add(ctx, in->from.handle, ANSWER_DONE, EFFECT_AFTER_COMMIT);
}

void
reply_submitted(struct ctx *ctx, const struct input *in, hq_job_id job)
{
    add(ctx, in->from.handle, ANSWER_SUBMITTED, EFFECT_AFTER_COMMIT)->job = job;
}

void
reply_alloc_added(struct ctx *ctx, const struct input *in, hq_queue_id queue)
{
    add(ctx, in->from.handle, ANSWER_ALLOC_ADDED, EFFECT_AFTER_COMMIT)->queue = queue;
}

/* Texts of results lie in the effects' arena or are literals: the copy keeps none of them that is not empty. */
void
reply_jobs(struct ctx *ctx, const struct input *in, const struct job_result *results, size_t count)
{
    struct answer *a = add(ctx, in->from.handle, ANSWER_JOB_RESULTS, EFFECT_AFTER_COMMIT);
    a->jobs = results;
    a->job_count = count;
    for (size_t i = 0; i < count; i++) {
        if (results[i].text.len > 0) {
            return; /* refusals changed nothing: asked again they are the same */
        }
    }
    struct answered *known = count > ANSWERED_RESULTS_MAX
                                 ? NULL
                                 : remember(ctx->core, in->from.request_id, in->from.uid, ANSWER_JOB_RESULTS);
    if (known != NULL && count > 0) {
        known->results = hq_xmemdup(results, count * sizeof(*results));
        known->result_count = count;
    }
}

void
reply_forgotten(struct ctx *ctx, const struct input *in, uint64_t forgotten, uint64_t ignored)
{
    struct answer *a = add(ctx, in->from.handle, ANSWER_FORGOTTEN, EFFECT_AFTER_COMMIT);
    a->forgotten = forgotten;
    a->ignored = ignored;
    struct answered *known = remember(ctx->core, in->from.request_id, in->from.uid, ANSWER_FORGOTTEN);
    if (known != NULL) {
        known->forgotten = forgotten;
        known->ignored = ignored;
    }
}

void
reply_workers(struct ctx *ctx, const struct input *in, const struct worker_result *results, size_t count)
{
    struct answer *a = add(ctx, in->from.handle, ANSWER_WORKER_RESULTS, EFFECT_AFTER_COMMIT);
    a->workers = results;
    a->worker_count = count;
    struct answered *known = count > ANSWERED_RESULTS_MAX
                                 ? NULL
                                 : remember(ctx->core, in->from.request_id, in->from.uid, ANSWER_WORKER_RESULTS);
    if (known != NULL && count > 0) {
        known->results = hq_xmemdup(results, count * sizeof(*results));
        known->result_count = count;
    }
}
