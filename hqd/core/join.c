#include "hqd/core/join.h"

#include "hqd/core/job.h"
#include "hqd/core/link.h"
#include "hqd/core/orders.h"
#include "hqd/core/lost.h"
#include "hqd/core/news.h"
#include "hqd/core/step.h"
#include "hqd/core/worker.h"

/* ---- what it holds */
struct claims {
    struct ctx *ctx;
    struct worker *w;
    bool may_adopt; /* first return since the host crashed: assignments may be known to the worker alone */
    struct held_tasks *drop;
    size_t drop_count;
};

/* A task that waits here but was given to that worker: the record went down with the host. */
static bool
is_adoptable(const struct claims *c, const struct job *job, uint32_t pos, const struct held_tasks *g)
{
    struct task_page *p = task_table_peek(&job->tasks, pos);
    struct ready_node *node = job_node(job, pos);
    uint32_t next = p == NULL ? 0 : page_instance(p)[pos % TASK_PAGE_TASKS];
    return c->may_adopt && task_state_at(&job->tasks, pos) == TASK_WAITING && g->instance >= next &&
           posset_has(&node->set, pos) && !node->cls->is_gang && g->variant < node->cls->variant_count;
}

static bool
is_held_here(const struct worker *w, const struct job *job, uint32_t pos, uint32_t instance)
{
    struct task_page *p = task_table_peek(&job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    return p != NULL && task_is_held(page_state(p)[at]) && page_worker(p)[at] == w->id.v &&
           page_instance(p)[at] == instance;
}

static void
adopt(struct claims *c, const struct job *job, const struct held_tasks *g, const struct hq_ranges *ids)
{
    struct record rec = {.kind = RECORD_TASKS_ASSIGNED};
    rec.u.tasks_assigned = (struct record_tasks_assigned){
        .worker = c->w->id, .job = job->id, .instance = g->instance, .variant = g->variant, .ids = *ids};
    core_emit(c->ctx, &rec);
}

static void
take_claim(struct claims *c, const struct held_tasks *g)
{
    struct hq_arena *arena = &c->ctx->fx->arena;
    struct job *job = core_job(c->ctx->core, g->job.v);
    struct idlist adopted = {.arena = arena};
    struct idlist dropped = {.arena = arena};
    struct hq_ranges_iter it = hq_ranges_iter(&g->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        uint32_t pos;
        if (job == NULL || !idset_find(&job->ids, id, &pos)) {
            idlist_add(&dropped, id, 1, 1);
            continue;
        }
        if (is_adoptable(c, job, pos, g)) {
            idlist_add(&adopted, id, 1, 1);
        } else if (!is_held_here(c->w, job, pos, g->instance)) {
            idlist_add(&dropped, id, 1, 1);
            continue;
        }
        hq_map_set(&c->w->confirmed, hq_map_key2(job->id.v, pos), 1);
    }
    if (adopted.r.count > 0) {
        adopt(c, job, g, &adopted.r);
    }
    if (dropped.r.count > 0) {
        struct held_tasks *d = &c->drop[c->drop_count++];
        *d = (struct held_tasks){.job = g->job,
                                 .instance = g->instance,
                                 .variant = g->variant,
                                 .ids = dropped.r,
                                 .is_running = g->is_running};
    }
    if (job != NULL && g->is_running) {
        struct record rec = {.kind = RECORD_TASKS_STARTED};
        struct tasks_started *to = &rec.u.tasks_started.tasks;
        rec.u.tasks_started.worker = c->w->id;
        *to = (struct tasks_started){
            .job = g->job, .instance = g->instance, .variant = g->variant, .ids = g->ids, .times = g->times};
        if (news_filter(c->ctx, job, c->w, g->instance, true, &to->ids, &to->times) > 0) {
            core_emit(c->ctx, &rec);
        }
    }
}

static void
give_back(struct ctx *ctx, struct worker *w, struct job *job, const struct idlist *waiting,
          const struct idlist *running)
{
    struct record rec = {.kind = RECORD_TASKS_UNASSIGNED};
    if (waiting->r.count > 0) {
        rec.u.tasks_unassigned = (struct record_tasks_unassigned){.worker = w->id, .job = job->id, .ids = waiting->r};
        core_emit(ctx, &rec);
    }
    if (running->r.count > 0) {
        rec = (struct record){.kind = RECORD_TASKS_RESTARTED};
        rec.u.tasks_restarted = (struct record_tasks_restarted){.job = job->id, .ids = running->r};
        core_emit(ctx, &rec);
    }
}

void
join_settle(struct ctx *ctx, struct worker *w)
{
    worker_sweep(ctx->core, w);
    for (size_t i = 0; i < w->range_count;) {
        struct job *job = core_job(ctx->core, w->ranges[i].job);
        struct idlist waiting = {.arena = &ctx->fx->arena};
        struct idlist running = {.arena = &ctx->fx->arena};
        for (; i < w->range_count && w->ranges[i].job == job->id.v; i++) {
            for (uint32_t k = 0; k < w->ranges[i].count; k++) {
                uint32_t pos = w->ranges[i].first + k;
                if (hq_map_find(&w->confirmed, hq_map_key2(job->id.v, pos)) == NULL) {
                    bool has_started = task_state_at(&job->tasks, pos) == TASK_RUNNING;
                    job_add_ids(job, pos, 1, has_started ? &running : &waiting);
                }
            }
        }
        give_back(ctx, w, job, &waiting, &running);
    }
    hq_map_clear(&w->confirmed);
    w->is_settling = false;
    worker_dirty(ctx->core, w);
}

/* ---- registration */
static struct worker *
find_known(const struct core *core, const struct input_register *reg)
{
    uint64_t key;
    memcpy(&key, reg->incarnation, sizeof(key));
    struct worker *w = hq_map_get_ptr(&core->by_incarnation, key);
    if (w == NULL || memcmp(w->incarnation, reg->incarnation, INCARNATION_BYTES) != 0 ||
        (reg->worker.v != 0 && reg->worker.v != w->id.v)) {
        return NULL;
    }
    return w;
}

static struct worker *
add_worker(struct ctx *ctx, const struct input_register *reg)
{
    struct record rec = {.kind = RECORD_WORKER_CONNECTED};
    rec.u.worker_connected = (struct record_worker_connected){
        .worker = {ctx->core->next_worker},
        .config = reg->config,
        .incarnation = {.ptr = (const char *)reg->incarnation, .len = INCARNATION_BYTES},
        .started_ms = reg->started_ms,
    };
    core_emit(ctx, &rec);
    return core_worker(ctx->core, rec.u.worker_connected.worker.v);
}

static void
begin(struct ctx *ctx, struct worker *w, const struct input_register *reg)
{
    link_refuse_open(ctx, w);
    link_clear(ctx->core, w);
    w->place = WORKER_HERE;
    w->gone_at_ms = 0;
    w->is_doubted = false;
    w->heard_ms = ctx->now->mono_ms;
    w->turn_seq = reg->next_turn_seq - 1;
    w->is_settling = w->held > 0;
    w->has_settled = false;
    const struct gang *gang = worker_membership(ctx->core, w);
    if (gang != NULL) {
        orders_join(ctx->core, w, core_job(ctx->core, w->gang_job.v), gang, step_node_ix(gang, w->id));
    }
    if (w->stopping != LOST_NONE) {
        orders_stop(ctx->core, w, w->stopping);
    }
    lost_watch(ctx, w);
    worker_dirty(ctx->core, w);
}

static void
answer(struct ctx *ctx, const struct worker *w, const struct claims *c, uint64_t handle)
{
    struct effect *e = effects_add(ctx->fx, EFFECT_REGISTERED, EFFECT_AFTER_COMMIT, ctx->core->last_seq);
    e->u.registered = (struct registered){
        .handle = handle,
        .worker = w->id,
        .next_command_seq = w->command_seq + 1,
        .drop = c->drop,
        .drop_count = c->drop_count,
        .heartbeat_ms = w->config.heartbeat_ms,
    };
    const struct gang *gang = worker_membership(ctx->core, w);
    if (gang != NULL) {
        e->u.registered.is_member = true;
        e->u.registered.member =
            (struct command_leave){.job = w->gang_job,
                                   .task = job_task_id(core_job(ctx->core, w->gang_job.v), gang->pos),
                                   .instance = gang->instance};
    }
}

void
join_on_register(struct ctx *ctx, const struct input *in)
{
    const struct input_register *reg = &in->u.reg;
    if (ctx->core->is_stopping) {
        struct effect *e = effects_add(ctx->fx, EFFECT_REGISTERED, EFFECT_NOW, ctx->core->last_seq);
        e->u.registered =
            (struct registered){.handle = reg->handle, .code = -ESHUTDOWN, .text = HQ_STR("The server is stopping.")};
        return;
    }
    struct worker *w = find_known(ctx->core, reg);
    struct claims c = {.ctx = ctx};
    c.drop = hq_arena_array(&ctx->fx->arena, HQ_MAX(reg->held_count, (size_t)1), sizeof(*c.drop));
    if (w == NULL) {
        w = add_worker(ctx, reg);
        begin(ctx, w, reg);
        for (size_t i = 0; i < reg->held_count; i++) {
            c.drop[c.drop_count++] = reg->held[i];
        }
    } else {
        c.w = w;
        c.may_adopt = w->place == WORKER_AWAY && ctx->core->is_after_crash;
        begin(ctx, w, reg);
        for (size_t i = 0; i < reg->held_count; i++) {
            take_claim(&c, &reg->held[i]);
        }
    }
    lost_note_idle(ctx, w);
    answer(ctx, w, &c, reg->handle);
}
