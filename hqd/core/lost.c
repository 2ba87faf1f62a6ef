#include "hqd/core/lost.h"

#include "hqd/core/cancel.h"
#include "hqd/core/job.h"
#include "hqd/core/link.h"
#include "hqd/core/orders.h"
#include "hqd/core/reply.h"
#include "hqd/core/select.h"
#include "hqd/core/worker.h"

#define NEVER_TEXT "Task was running on a lost worker while never restart flag was set."
#define LIMIT_TEXT                                                                                                     \
    "Task was running on a worker that was lost; the task has occurred %u times in this situation and limit was "      \
    "reached."

/* ---- tasks of a lost worker */
struct release {
    struct ctx *ctx;
    struct worker *w;
    bool is_crash;
    bool has_run; /* though its start may not be known here */
    struct job *job;
    struct idlist plain;   /* start again, crash counter unchanged */
    struct idlist crashed; /* start again, counted */
    uint32_t *failed;      /* positions that must not start again */
    size_t failed_count;
    size_t failed_cap;
};

static void
release_task(struct release *r, uint32_t pos)
{
    struct task_page *p = task_table_page(&r->job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    bool was_running = page_state(p)[at] == TASK_RUNNING || r->has_run;
    uint32_t limit = job_desc(r->job, pos)->crash_limit;
    bool counts = was_running && r->is_crash;
    bool is_over = was_running && (limit == CRASH_LIMIT_NEVER_RESTART ||
                                   (counts && limit != CRASH_LIMIT_UNLIMITED && page_crashes(p)[at] + 1u >= limit));
    if (is_over) {
        hq_arena_grow(&r->ctx->fx->arena, &r->failed, &r->failed_cap, r->failed_count + 1, sizeof(*r->failed));
        r->failed[r->failed_count++] = pos;
    } else {
        job_add_ids(r->job, pos, 1, counts ? &r->crashed : &r->plain);
    }
}

static void
fail_over_limit(struct release *r, uint32_t pos)
{
    struct task_page *p = task_table_page(&r->job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    bool is_never = job_desc(r->job, pos)->crash_limit == CRASH_LIMIT_NEVER_RESTART;
    if (!task_is_held(page_state(p)[at])) {
        return; /* aborted by the failure of the one before */
    }
    struct task_failed f = {
        .job = r->job->id,
        .task = job_task_id(r->job, pos),
        .instance = page_instance(p)[at],
        .variant = page_variant(p)[at],
        .started_ms = page_started(p)[at],
        .ended_ms = r->ctx->now->wall_ms,
    };
    f.error = is_never ? hq_str_from(NEVER_TEXT)
                       : hq_str_from(hq_arena_printf(&r->ctx->fx->arena, LIMIT_TEXT, page_crashes(p)[at] + 1u));
    cancel_fail(r->ctx, r->job, (hq_worker_id){page_worker(p)[at]}, &f);
}

static void
end_job(struct release *r)
{
    if (r->job == NULL) {
        return;
    }
    struct record rec = {.kind = RECORD_TASKS_RESTARTED, .u.tasks_restarted = {.job = r->job->id}};
    if (r->plain.r.count > 0) {
        rec.u.tasks_restarted.ids = r->plain.r;
        core_emit(r->ctx, &rec);
    }
    if (r->crashed.r.count > 0) {
        rec.u.tasks_restarted.ids = r->crashed.r;
        rec.u.tasks_restarted.is_crash = true;
        core_emit(r->ctx, &rec);
    }
    for (size_t i = 0; i < r->failed_count; i++) {
        fail_over_limit(r, r->failed[i]);
    }
    struct hq_arena *arena = &r->ctx->fx->arena;
    r->plain = (struct idlist){.arena = arena};
    r->crashed = (struct idlist){.arena = arena};
    r->failed_count = 0;
}

/* A task of several ranks ends with any of its nodes: its root is told, a node that is left hears of it too. */
static void
release_membership(struct release *r)
{
    if (!worker_has_ranks(r->ctx->core, r->w)) {
        return;
    }
    const struct gang *gang = worker_membership(r->ctx->core, r->w);
    struct job *job = core_job(r->ctx->core, r->w->gang_job.v);
    struct worker *root = core_worker(r->ctx->core, gang->nodes[0]);
    if (root != NULL && root->place == WORKER_HERE) {
        struct idlist ids = {.arena = &r->ctx->fx->arena};
        job_add_ids(job, gang->pos, 1, &ids);
        orders_cancel(r->ctx->core, root, job->id, &ids.r);
    }
    r->job = job;
    release_task(r, gang->pos);
    end_job(r);
}

void
lost_release(struct ctx *ctx, struct worker *w)
{
    worker_sweep(ctx->core, w);
    struct release r = {.ctx = ctx, .w = w};
    struct hq_arena *arena = &ctx->fx->arena;
    r.is_crash = w->reason == LOST_CONNECTION || w->reason == LOST_HEARTBEAT;
    r.plain.arena = r.crashed.arena = arena;
    for (size_t i = 0; i < w->range_count; i++) {
        const struct held_range *h = &w->ranges[i];
        struct job *job = core_job(ctx->core, h->job);
        if (job != r.job) {
            end_job(&r);
            r.job = job;
        }
        for (uint32_t k = 0; k < h->count; k++) {
            release_task(&r, h->first + k);
        }
    }
    end_job(&r);
    release_membership(&r);
}

/* Which node is gone is not said, and this hqd may not have noticed yet. Those that are there hear of the task's end and
 * answer at once; until then none gets the next one. */
static void
doubt_nodes(const struct job *job, const struct hq_ranges *ids, struct core *core)
{
    struct job_walk walk;
    job_walk_init(&walk, job, ids);
    while (job_walk_next(&walk)) {
        for (uint32_t i = 0; i < walk.count; i++) {
            const struct gang *gang = job_gang(job, walk.pos + i);
            for (uint32_t k = 1; gang != NULL && k < gang->node_count; k++) {
                struct worker *w = core_worker(core, gang->nodes[k]);
                if (w != NULL) {
                    w->is_doubted = w->place == WORKER_HERE;
                }
            }
        }
    }
}

void
lost_node(struct ctx *ctx, struct worker *root, struct job *job, const struct hq_ranges *ids)
{
    doubt_nodes(job, ids, ctx->core);
    struct release r = {.ctx = ctx, .w = root, .is_crash = true, .has_run = true, .job = job};
    r.plain.arena = r.crashed.arena = &ctx->fx->arena;
    struct job_walk walk;
    job_walk_init(&walk, job, ids);
    while (job_walk_next(&walk)) {
        for (uint32_t i = 0; i < walk.count; i++) {
            release_task(&r, walk.pos + i);
        }
    }
    end_job(&r);
}

void
lost_declare(struct ctx *ctx, struct worker *w, enum lost_reason reason)
{
    HQ_ASSERT(w->place != WORKER_LOST);
    link_refuse_open(ctx, w);
    struct record rec = {.kind = RECORD_WORKER_LOST, .u.worker_lost = {.worker = w->id, .reason = reason}};
    core_emit(ctx, &rec);
    lost_release(ctx, w);
    link_clear(ctx->core, w);
    struct effect *e = effects_add(ctx->fx, EFFECT_WORKER_GONE, EFFECT_NOW, ctx->core->last_seq);
    e->u.worker_gone = w->id;
}

/* ---- told to stop */
static void
order_stop(struct ctx *ctx, struct worker *w, enum lost_reason reason)
{
    w->stopping = reason;
    w->stop_at_ms = ctx->now->mono_ms + ctx->core->conf.stop_grace_ms;
    orders_stop(ctx->core, w, reason);
    link_timer_clear(ctx->core, w, TIMER_IDLE);
    lost_watch(ctx, w);
}

static void
stop_one(struct ctx *ctx, struct worker_result *result)
{
    struct worker *w = core_worker(ctx->core, result->worker.v);
    if (w == NULL) {
        result->kind = WORKER_RESULT_NOT_FOUND;
    } else if (w->place == WORKER_LOST) {
        result->kind = WORKER_RESULT_STOPPED_BEFORE;
    } else {
        result->kind = WORKER_RESULT_DONE;
        if (w->stopping == LOST_NONE) {
            order_stop(ctx, w, LOST_STOPPED);
        }
    }
}

void
lost_on_stop(struct ctx *ctx, const struct input *in)
{
    if (reply_repeat(ctx, in)) {
        return;
    }
    struct select_ids ids;
    if (select_workers(ctx->core, &in->u.worker_stop.workers, false, &ctx->fx->arena, &ids) < 0) {
        reply_error(ctx, in, -E2BIG, "More than %u worker ids in one request.", SELECT_IDS_MAX);
        return;
    }
    struct worker_result *results = hq_arena_array(&ctx->fx->arena, ids.count, sizeof(*results));
    for (size_t i = 0; i < ids.count; i++) {
        results[i].worker.v = ids.v[i];
        stop_one(ctx, &results[i]);
    }
    reply_workers(ctx, in, results, ids.count);
}

/* ---- connection */
void
lost_on_peer_gone(struct ctx *ctx, const struct input *in)
{
    struct worker *w = core_worker(ctx->core, in->u.peer.worker.v);
    if (w != NULL && w->place == WORKER_HERE && w->gone_at_ms == 0) {
        w->gone_at_ms = ctx->now->mono_ms + ctx->core->conf.peer_gone_ms;
        lost_watch(ctx, w);
    }
}

void
lost_on_nonsense(struct ctx *ctx, const struct input *in)
{
    struct worker *w = core_worker(ctx->core, in->u.peer.worker.v);
    if (w != NULL && w->place == WORKER_HERE) {
        lost_declare(ctx, w, LOST_CONNECTION);
    }
}

void
lost_on_peer_back(struct ctx *ctx, const struct input *in)
{
    struct worker *w = core_worker(ctx->core, in->u.peer.worker.v);
    if (w != NULL && w->place == WORKER_HERE) {
        w->gone_at_ms = 0;
        worker_dirty(ctx->core, w);
        lost_watch(ctx, w);
    }
}

/* ---- time */
static hq_ms
deadline(const struct worker *w)
{
    hq_ms at = INT64_MAX;
    if (w->place == WORKER_HERE) {
        at = w->heard_ms + 2 * w->config.heartbeat_ms;
    }
    if (w->gone_at_ms != 0) {
        at = HQ_MIN(at, w->gone_at_ms);
    }
    if (w->stop_at_ms != 0) {
        at = HQ_MIN(at, w->stop_at_ms);
    }
    return at;
}

void
lost_watch(struct ctx *ctx, struct worker *w)
{
    if (w->place != WORKER_LOST) {
        link_timer_set(ctx->core, w, TIMER_SILENT, deadline(w));
    }
}

static hq_ms
idle_timeout(const struct core *core, const struct worker *w)
{
    return w->config.is_idle_timeout_set ? w->config.idle_timeout_ms : core->conf.idle_timeout_ms;
}

void
lost_note_idle(struct ctx *ctx, struct worker *w)
{
    hq_ms timeout_ms = idle_timeout(ctx->core, w);
    if (!worker_is_idle(w) || w->is_reserved) {
        w->idle_from_ms = 0;
        return;
    }
    if (w->idle_from_ms != 0 || w->place != WORKER_HERE || w->stopping != LOST_NONE) {
        return;
    }
    w->idle_from_ms = ctx->now->mono_ms;
    if (timeout_ms > 0) {
        link_timer_set(ctx->core, w, TIMER_IDLE, w->idle_from_ms + timeout_ms);
    }
}

static void
on_silent(struct ctx *ctx, struct worker *w)
{
    hq_ms now = ctx->now->mono_ms;
    hq_ms at = deadline(w);
    if (at > now || (at == now && w->gone_at_ms != at && w->stop_at_ms != at)) {
        /* Heard since the timer was set; "silent for more than two heartbeats" is one ms later. */
        link_timer_set(ctx->core, w, TIMER_SILENT, HQ_MAX(at, now + 1));
        return;
    }
    enum lost_reason reason = w->stopping;
    if (reason == LOST_NONE) {
        reason = w->gone_at_ms != 0 && w->gone_at_ms <= now ? LOST_CONNECTION : LOST_HEARTBEAT;
    }
    lost_declare(ctx, w, reason);
}

static void
on_idle(struct ctx *ctx, struct worker *w)
{
    hq_ms timeout_ms = idle_timeout(ctx->core, w);
    if (!worker_is_idle(w) || w->is_reserved || w->idle_from_ms == 0 || w->stopping != LOST_NONE) {
        return; /* the clock starts anew when it is idle again */
    }
    if (ctx->now->mono_ms - w->idle_from_ms < timeout_ms) {
        link_timer_set(ctx->core, w, TIMER_IDLE, w->idle_from_ms + timeout_ms);
        return;
    }
    order_stop(ctx, w, LOST_IDLE);
}

void
lost_on_timer(struct ctx *ctx, struct worker *w, enum timer_kind kind)
{
    switch (kind) {
    case TIMER_SILENT:
        on_silent(ctx, w);
        return;
    case TIMER_ANSWER:
        link_heartbeat(ctx, w);
        return;
    case TIMER_IDLE:
        on_idle(ctx, w);
        return;
    }
}
