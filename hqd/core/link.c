#include "hqd/core/link.h"

#include "common/mem.h"
#include "hqd/core/command.h"
#include "hqd/core/orders.h"

#include <stdlib.h>

/* Newest turn whose records are on disk. */
static uint64_t
ack_of(struct worker *w, uint64_t committed_seq)
{
    uint32_t done = 0;
    while (done < w->receipt_count && w->receipts[done].seq <= committed_seq) {
        w->receipt_acked = w->receipts[done].turn_seq;
        done++;
    }
    w->receipt_count -= done;
    memmove(w->receipts, w->receipts + done, w->receipt_count * sizeof(*w->receipts));
    return w->receipt_acked;
}

static struct turn_answer *
add_answer(struct ctx *ctx, struct worker *w, uint64_t handle, enum effect_when when)
{
    struct effect *e = effects_add(ctx->fx, EFFECT_TURN, when, ctx->core->last_seq);
    e->u.turn =
        (struct turn_answer){.handle = handle, .worker = w->id, .ack_turn_seq = ack_of(w, ctx->now->committed_seq)};
    return &e->u.turn;
}

static void
answer_empty(struct ctx *ctx, struct worker *w, uint64_t handle)
{
    (void)add_answer(ctx, w, handle, EFFECT_NOW);
}

/* One turn has one answer. A handle whose turn came again by another one gets an error: nobody listens there. */
void
link_supersede(struct ctx *ctx, struct worker *w, uint64_t handle)
{
    link_refuse(ctx, w->id, handle, -EAGAIN, "This turn was sent again.");
}

static struct turn_answer *
add_batch_answer(struct ctx *ctx, struct worker *w, const struct batch *b, uint64_t handle)
{
    struct turn_answer *a = add_answer(ctx, w, handle, EFFECT_AFTER_WRITE);
    /* A worker that gets back a task it has returned must know that the return is on disk: it would say it again after
     * a restart of hqd, of a task that it holds. */
    bool is_given_again = a->ack_turn_seq < w->returned_turn && orders_has_assign(b);
    if (is_given_again || orders_commit_seq(ctx->core, b) > ctx->now->committed_seq) {
        ctx->fx->v[ctx->fx->count - 1].when = EFFECT_AFTER_COMMIT;
        a->ack_turn_seq = w->turn_seq; /* true by then: its records come before this answer */
    }
    return a;
}

static void
give_batch(struct ctx *ctx, struct worker *w, const struct batch *b, uint64_t handle)
{
    struct hq_arena *arena = &ctx->fx->arena;
    size_t n = 0;
    for (const struct pending *p = b->list.head; p != NULL; p = p->next) {
        n++;
    }
    struct command *commands = hq_arena_array(arena, n, sizeof(*commands));
    size_t made = 0;
    for (const struct pending *p = b->list.head; p != NULL; p = p->next) {
        if (command_make(ctx->core, w, p, arena, &commands[made])) {
            made++;
        }
    }
    struct turn_answer *a = add_batch_answer(ctx, w, b, handle);
    a->command_seq = b->command_seq;
    a->commands = commands;
    a->command_count = made;
}

static struct open_turn
shift_open(struct worker *w)
{
    struct open_turn t = w->open[0];
    w->open[0] = w->open[1];
    w->open_count--;
    return t;
}

/* Commands to the oldest open turn, then empty answers until only one waits. */
static void
talk_one(struct ctx *ctx, struct worker *w)
{
    w->is_talking = false;
    while (w->open_count > 0 && (w->out_urgent > 0 || w->open_count > 1)) {
        struct open_turn t = shift_open(w);
        if (w->out_urgent > 0) {
            give_batch(ctx, w, orders_take(w, t.turn_seq), t.handle);
        } else {
            answer_empty(ctx, w, t.handle);
        }
    }
}

void
link_talk(struct ctx *ctx)
{
    struct core *core = ctx->core;
    for (size_t i = 0; i < core->talker_count; i++) {
        talk_one(ctx, core->talkers[i]);
    }
    core->talker_count = 0;
}

void
link_hold(struct ctx *ctx, struct worker *w, uint64_t handle, uint64_t turn_seq)
{
    if (w->open_count == HQ_ARRAY_LEN(w->open)) {
        answer_empty(ctx, w, shift_open(w).handle);
    }
    w->open[w->open_count++] = (struct open_turn){.handle = handle, .turn_seq = turn_seq};
    if (w->out_urgent > 0 || w->open_count > 1) {
        orders_wake(ctx->core, w);
    }
    link_timer_set(ctx->core, w, TIMER_ANSWER, ctx->now->mono_ms + w->config.heartbeat_ms);
}

void
link_repeat(struct ctx *ctx, struct worker *w, uint64_t handle, uint64_t turn_seq)
{
    for (const struct batch *b = w->batches; b != NULL; b = b->next) {
        if (b->turn_seq == turn_seq) {
            give_batch(ctx, w, b, handle);
            return;
        }
    }
    for (uint32_t i = 0; i < w->open_count; i++) {
        if (w->open[i].turn_seq == turn_seq) {
            /* The connection it came by may be gone: the new one waits in its place. */
            uint64_t old = w->open[i].handle;
            w->open[i].handle = handle;
            link_supersede(ctx, w, old);
            return;
        }
    }
    answer_empty(ctx, w, handle);
}

void
link_acked(struct worker *w, uint64_t command_seq)
{
    if (command_seq > w->command_seq) {
        return; /* a late copy from before it registered anew: it never got these */
    }
    while (w->batches != NULL && w->batches->command_seq <= command_seq) {
        struct batch *b = w->batches;
        w->batches = b->next;
        orders_free_batch(b);
    }
    if (w->is_retracting && w->retract_seq != 0 && w->retract_seq <= command_seq) {
        w->is_retracting = false;
        w->retract_seq = 0;
    }
}

void
link_receipt(struct core *core, struct worker *w, uint64_t turn_seq)
{
    if (w->receipt_count == RECEIPTS_MAX) {
        w->receipt_count--; /* the newest two become one: acknowledged a little later */
    }
    w->receipts[w->receipt_count++] = (struct receipt){.turn_seq = turn_seq, .seq = core->last_seq};
}

void
link_heartbeat(struct ctx *ctx, struct worker *w)
{
    while (w->open_count > 0) {
        answer_empty(ctx, w, shift_open(w).handle);
    }
}

void
link_refuse(struct ctx *ctx, hq_worker_id worker, uint64_t handle, int code, const char *text)
{
    struct effect *e = effects_add(ctx->fx, EFFECT_TURN, EFFECT_NOW, ctx->core->last_seq);
    e->u.turn = (struct turn_answer){.handle = handle, .worker = worker, .code = code, .text = hq_str_from(text)};
}

void
link_refuse_open(struct ctx *ctx, struct worker *w)
{
    while (w->open_count > 0) {
        struct open_turn t = shift_open(w);
        link_refuse(ctx, w->id, t.handle, -ESTALE, "The worker is not registered.");
    }
    if (w->early != NULL) {
        link_refuse(ctx, w->id, w->early->turn.handle, -ESTALE, "The worker is not registered.");
        free(w->early->blob);
        free(w->early);
        w->early = NULL;
    }
}

void
link_farewell(struct ctx *ctx, struct worker *w, uint64_t handle, uint64_t turn_seq)
{
    struct turn_answer *a = add_answer(ctx, w, handle, EFFECT_AFTER_COMMIT);
    a->ack_turn_seq = turn_seq;
}

void
link_clear(struct core *core, struct worker *w)
{
    orders_free(&w->out);
    w->out_urgent = 0;
    while (w->batches != NULL) {
        struct batch *b = w->batches;
        w->batches = b->next;
        orders_free_batch(b);
    }
    if (w->early != NULL) {
        free(w->early->blob);
        free(w->early);
        w->early = NULL;
    }
    w->open_count = 0;
    w->receipt_count = 0;
    w->receipt_acked = 0;
    w->returned_turn = 0;
    w->is_retracting = false;
    w->retract_seq = 0;
    w->block_count = 0;
    hq_map_clear(&w->bodies);
    hq_map_clear(&w->confirmed);
    for (enum timer_kind k = TIMER_SILENT; k < WORKER_TIMERS; k++) {
        link_timer_clear(core, w, k);
    }
}

/* ---- timers */
void
link_timer_set(struct core *core, struct worker *w, enum timer_kind kind, hq_ms at_ms)
{
    hq_heap_set(&core->timers, &w->timers[kind].node, at_ms, w->id.v);
}

void
link_timer_clear(struct core *core, struct worker *w, enum timer_kind kind)
{
    hq_heap_remove(&core->timers, &w->timers[kind].node);
}
