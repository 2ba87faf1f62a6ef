#include "hqd/core/core.h"

#include "common/mem.h"
#include "hqd/core/alloc.h"
#include "hqd/core/cancel.h"
#include "hqd/core/job.h"
#include "hqd/core/jobreq.h"
#include "hqd/core/join.h"
#include "hqd/core/link.h"
#include "hqd/core/orders.h"
#include "hqd/core/lost.h"
#include "hqd/core/reply.h"
#include "hqd/core/resume.h"
#include "hqd/core/submit.h"
#include "hqd/core/turn.h"
#include "hqd/core/worker.h"
#include "hqd/sched/pass.h"

#include <stdlib.h>

#define PEER_GONE_MS 2000
#define RETURN_GRACE_MS 60000
#define STOP_GRACE_MS 60000

int
core_create(struct core **ret, const struct core_conf *conf, struct hq_err *err)
{
    struct core *core = hq_try_alloc(sizeof(*core));
    if (core == NULL) {
        return hq_err_set(err, -ENOMEM, "Not enough memory for the state");
    }
    core->conf = *conf;
    core->conf.peer_gone_ms = conf->peer_gone_ms > 0 ? conf->peer_gone_ms : PEER_GONE_MS;
    core->conf.return_grace_ms = conf->return_grace_ms > 0 ? conf->return_grace_ms : RETURN_GRACE_MS;
    core->conf.stop_grace_ms = conf->stop_grace_ms > 0 ? conf->stop_grace_ms : STOP_GRACE_MS;
    core->is_ended = true;
    core->next_job = 1;
    core->next_worker = 1;
    core->next_queue = 1;
    core->next_class = 1;
    core->alloc = alloc_create();
    hq_map_init(&core->classes, conf->seed);
    hq_map_init(&core->answered_ix, conf->seed);
    hq_map_init(&core->by_incarnation, conf->seed);
    *ret = core;
    return 0;
}

void
core_destroy(struct core *core)
{
    if (core == NULL) {
        return;
    }
    for (size_t i = 0; i < core->worker_count; i++) {
        core->workers[i]->use_count = 0; /* nothing is counted any more while jobs and classes go */
    }
    for (uint32_t i = 0; i < core->job_cap; i++) {
        job_free(core, core->jobs[i]);
    }
    for (size_t i = 0; i < core->worker_count; i++) {
        worker_free(core, core->workers[i]);
    }
    for (uint32_t i = 0; i < core->res_count; i++) {
        free(core->res[i]);
    }
    for (uint32_t i = 0; i < core->group_count; i++) {
        free(core->groups[i]);
    }
    alloc_destroy(core->alloc);
    submit_upload_clear(core);
    reply_fini(core);
    hq_map_fini(&core->classes);
    hq_map_fini(&core->by_incarnation);
    hq_heap_fini(&core->timers);
    free(core->jobs);
    free(core->workers);
    free(core->res);
    free(core->groups);
    free(core->active);
    free(core->queued_classes);
    free(core->dirty);
    free(core->talkers);
    free(core->changed_jobs);
    free(core->ended_jobs);
    free(core->server_uid);
    free(core->boot_id);
    free(core);
}

struct worker *
core_worker(const struct core *core, uint32_t id)
{
    size_t low = 0;
    size_t high = core->worker_count;
    if (high > 0 && id >= 1 && id <= high && core->workers[id - 1]->id.v == id) {
        return core->workers[id - 1]; /* no gap so far: the usual case */
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (core->workers[mid]->id.v == id) {
            return core->workers[mid];
        }
        if (core->workers[mid]->id.v < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

/* ---- records */
void
core_emit(struct ctx *ctx, struct record *rec)
{
    struct core *core = ctx->core;
    rec->seq = ++core->last_seq;
    core->last_ms = HQ_MAX(core->last_ms, ctx->now->wall_ms);
    rec->time_ms = core->last_ms;
    int rc = apply_record(core, rec);
    HQ_ASSERT(rc == 0);
    struct effect *e = effects_add(ctx->fx, EFFECT_RECORD, EFFECT_NOW, rec->seq - 1);
    e->u.record = *rec;
}

void
core_publish(struct ctx *ctx, struct record *rec)
{
    rec->seq = 0;
    rec->time_ms = HQ_MAX(ctx->core->last_ms, ctx->now->wall_ms);
    struct effect *e = effects_add(ctx->fx, EFFECT_EVENT, EFFECT_AFTER_COMMIT, ctx->core->last_seq);
    e->u.record = *rec;
}

int
core_apply(struct core *core, const struct record *rec, struct hq_err *err)
{
    if (rec->seq <= core->last_seq) {
        return hq_err_set(err, -EBADMSG, "Record %llu follows record %llu", (unsigned long long)rec->seq,
                          (unsigned long long)core->last_seq);
    }
    core->last_seq = rec->seq;
    core->last_ms = HQ_MAX(core->last_ms, rec->time_ms);
    int rc = apply_record(core, rec);
    if (rc < 0) {
        return hq_err_set(err, -EBADMSG, "Record %llu (%s) does not fit what came before it",
                          (unsigned long long)rec->seq, record_kind_name(rec->kind));
    }
    return 0;
}

void
core_check_ends(struct ctx *ctx)
{
    struct core *core = ctx->core;
    for (size_t i = 0; i < core->ended_count; i++) {
        struct job *job = core_job(core, core->ended_jobs[i]);
        if (job != NULL) {
            job->is_end_noted = false;
            job_check_end(ctx, job);
        }
    }
    core->ended_count = 0;
}

/* ---- inputs */
static void
on_timer(struct ctx *ctx)
{
    struct core *core = ctx->core;
    while (hq_heap_top_key(&core->timers, INT64_MAX) <= ctx->now->mono_ms) {
        struct timer *t = HQ_CONTAINER(hq_heap_pop(&core->timers), struct timer, node);
        lost_on_timer(ctx, t->worker, (enum timer_kind)(t - t->worker->timers));
    }
}

static void
on_server_stop(struct ctx *ctx, const struct input *in)
{
    struct core *core = ctx->core;
    for (size_t i = 0; i < core->worker_count; i++) {
        if (core->workers[i]->place == WORKER_HERE) {
            orders_stop(core, core->workers[i], LOST_CONNECTION); /* the server ends, nobody stopped the worker */
        }
    }
    link_talk(ctx);
    struct record rec = {.kind = RECORD_SERVER_STOPPED};
    core_emit(ctx, &rec);
    core->is_stopping = true;
    reply_done(ctx, in);
    struct effect *note = effects_add(ctx->fx, EFFECT_NOTE, EFFECT_AFTER_COMMIT, core->last_seq);
    note->u.note = (struct note){.topic = NOTE_SERVER};
    (void)effects_add(ctx->fx, EFFECT_STOP, EFFECT_AFTER_COMMIT, core->last_seq);
}

typedef void (*input_fn)(struct ctx *ctx, const struct input *in);
/* From clients: refused once the end has begun. */
static const input_fn client_handlers[INPUT_KINDS] = {
    [INPUT_SUBMIT] = submit_on_request,     [INPUT_JOB_OPEN] = jobreq_on_open,     [INPUT_JOB_CLOSE] = jobreq_on_close,
    [INPUT_JOB_CANCEL] = cancel_on_request, [INPUT_JOB_FORGET] = jobreq_on_forget, [INPUT_WORKER_STOP] = lost_on_stop,
    [INPUT_SERVER_STOP] = on_server_stop,
    [INPUT_ALLOC_ADD] = alloc_on_add,       [INPUT_ALLOC_PAUSE] = alloc_on_pause,  [INPUT_ALLOC_REMOVE] = alloc_on_remove,
};
static const input_fn other_handlers[INPUT_KINDS] = {
    [INPUT_REGISTER] = join_on_register,
    [INPUT_TURN] = turn_on_input,
    [INPUT_PEER_GONE] = lost_on_peer_gone,
    [INPUT_PEER_BACK] = lost_on_peer_back,
    [INPUT_NONSENSE] = lost_on_nonsense,
    [INPUT_ALLOC_REPORTS] = alloc_on_reports,
};

void
core_step(struct core *core, const struct input *in, const struct core_now *now, struct effects *fx)
{
    struct ctx ctx = {.core = core, .now = now, .fx = fx};
    HQ_ASSERT(core->is_started);
    HQ_ASSERT(in->kind >= INPUT_SUBMIT && in->kind < INPUT_KINDS);
    if (in->kind == INPUT_TIMER) {
        on_timer(&ctx);
    } else if (other_handlers[in->kind] != NULL) {
        other_handlers[in->kind](&ctx, in);
    } else if (core->is_stopping) {
        reply_error(&ctx, in, -ESHUTDOWN, "The server is stopping.");
    } else {
        client_handlers[in->kind](&ctx, in);
    }
    core_check_ends(&ctx);
    alloc_check(&ctx);
}

/* ---- end of a loop turn */
static void
add_notes(struct ctx *ctx)
{
    struct core *core = ctx->core;
    for (size_t i = 0; i < core->changed_count; i++) {
        struct job *job = core_job(core, core->changed_jobs[i]);
        if (job != NULL) {
            job->is_changed = false;
        }
        struct effect *e = effects_add(ctx->fx, EFFECT_NOTE, EFFECT_AFTER_COMMIT, core->last_seq);
        e->u.note = (struct note){.topic = NOTE_JOB, .job = {core->changed_jobs[i]}};
    }
    core->changed_count = 0;
    if (core->is_worker_changed) {
        core->is_worker_changed = false;
        struct effect *e = effects_add(ctx->fx, EFFECT_NOTE, EFFECT_AFTER_COMMIT, core->last_seq);
        e->u.note = (struct note){.topic = NOTE_WORKER};
    }
}

void
core_schedule(struct core *core, const struct core_now *now, struct effects *fx)
{
    struct ctx ctx = {.core = core, .now = now, .fx = fx};
    if (!core->is_stopping && !resume_is_quiet(core, now)) {
        pass_run(&ctx);
    }
    link_talk(&ctx);
    add_notes(&ctx);
}

hq_ms
core_next_timer(const struct core *core)
{
    hq_ms at = hq_heap_top_key(&core->timers, INT64_MAX);
    if (core->quiet_until_ms != 0) {
        at = HQ_MIN(at, core->quiet_until_ms);
    }
    if (core->is_hungry && core->quiet_until_ms == 0 && !core->is_stopping) { /* else no pass would look at it */
        at = HQ_MIN(at, core->steal_at_ms);
    }
    if (core->reserve_at_ms != 0 && core->quiet_until_ms == 0 && !core->is_stopping) {
        at = HQ_MIN(at, core->reserve_at_ms);
    }
    return at;
}

uint64_t
core_newest_seq(const struct core *core)
{
    return core->last_seq;
}

struct hq_str
core_server_uid(const struct core *core)
{
    return hq_str_from(core->server_uid);
}

bool
core_is_ended(const struct core *core)
{
    return core->is_ended;
}

void
core_checkpoint(struct core *core, const struct core_now *now, struct effects *fx)
{
    struct ctx ctx = {.core = core, .now = now, .fx = fx};
    struct record rec = {.kind = RECORD_COUNTERS};
    rec.u.counters = (struct record_counters){
        .next_job = core->next_job,
        .next_worker = core->next_worker,
        .next_queue = core->next_queue,
        .server_uid = core_server_uid(core),
    };
    core_emit(&ctx, &rec);
}
