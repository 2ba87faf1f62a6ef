#include "hqd/core/turn.h"

#include "common/mem.h"
#include "hqd/core/join.h"
#include "hqd/core/link.h"
#include "hqd/core/lost.h"
#include "hqd/core/news.h"
#include "hqd/core/pack.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

/* ---- a turn that overtook its predecessor */
static void *
pack_groups(struct pack *p, const void *from, size_t count, size_t item_bytes)
{
    return pack_copy(p, from, count, item_bytes);
}

static struct input_turn
pack_turn(struct pack *p, const struct input_turn *t)
{
    struct input_turn copy = *t;
    struct tasks_started *started = pack_groups(p, t->started, t->started_count, sizeof(*started));
    for (size_t i = 0; i < t->started_count; i++) {
        struct tasks_started g = t->started[i];
        g.ids = pack_ranges(p, &g.ids);
        g.times = pack_times(p, &g.times);
        if (started != NULL) {
            started[i] = g;
        }
    }
    struct tasks_finished *finished = pack_groups(p, t->finished, t->finished_count, sizeof(*finished));
    for (size_t i = 0; i < t->finished_count; i++) {
        struct tasks_finished g = t->finished[i];
        g.ids = pack_ranges(p, &g.ids);
        g.times = pack_times(p, &g.times);
        if (finished != NULL) {
            finished[i] = g;
        }
    }
    struct task_failed *failed = pack_groups(p, t->failed, t->failed_count, sizeof(*failed));
    for (size_t i = 0; i < t->failed_count; i++) {
        struct hq_str error = pack_str(p, t->failed[i].error);
        if (failed != NULL) {
            failed[i].error = error;
        }
    }
    struct tasks_returned *returned = pack_groups(p, t->returned, t->returned_count, sizeof(*returned));
    for (size_t i = 0; i < t->returned_count; i++) {
        struct hq_ranges ids = pack_ranges(p, &t->returned[i].ids);
        if (returned != NULL) {
            returned[i].ids = ids;
        }
    }
    struct task_notify *notifies = pack_groups(p, t->notifies, t->notify_count, sizeof(*notifies));
    for (size_t i = 0; i < t->notify_count; i++) {
        struct hq_str message = pack_str(p, t->notifies[i].message);
        if (notifies != NULL) {
            notifies[i].message = message;
        }
    }
    copy.started = started;
    copy.finished = finished;
    copy.failed = failed;
    copy.returned = returned;
    copy.notifies = notifies;
    copy.overview = NULL; /* a sample may be missed */
    return copy;
}

static void
keep_early(struct ctx *ctx, struct worker *w, const struct input_turn *t)
{
    if (w->early != NULL) {
        /* Repeated while it waits: the first copy counts, the new handle waits in place of the old one. */
        uint64_t old = w->early->turn.handle;
        w->early->turn.handle = t->handle;
        link_supersede(ctx, w, old);
        return;
    }
    struct pack p = {0};
    (void)pack_turn(&p, t); /* measures */
    struct early_turn *early = hq_xalloc(sizeof(*early));
    early->blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = early->blob};
    early->turn = pack_turn(&p, t);
    w->early = early;
}

/* ---- the next turn */
/* False: the worker is gone with it. */
static bool
accept_turn(struct ctx *ctx, struct worker *w, const struct input_turn *t)
{
    w->turn_seq = t->turn_seq;
    const char *lie = news_take(ctx, w, t);
    if (lie != NULL) {
        lost_declare(ctx, w, LOST_CONNECTION);
        link_refuse(ctx, w->id, t->handle, -EPROTO, lie);
        return false;
    }
    if (t->leaving != LOST_NONE) {
        enum lost_reason reason = w->stopping != LOST_NONE ? w->stopping : t->leaving;
        lost_declare(ctx, w, reason);
        link_farewell(ctx, w, t->handle, t->turn_seq);
        return false;
    }
    link_acked(w, t->ack_command_seq);
    if (w->is_settling && !t->is_unsettled) {
        join_settle(ctx, w);
    }
    w->has_settled = w->has_settled || !t->is_unsettled;
    link_receipt(ctx->core, w, t->turn_seq);
    link_hold(ctx, w, t->handle, t->turn_seq);
    return true;
}

void
turn_on_input(struct ctx *ctx, const struct input *in)
{
    const struct input_turn *t = &in->u.turn;
    struct worker *w = core_worker(ctx->core, t->worker.v);
    if (ctx->core->is_stopping) {
        link_refuse(ctx, t->worker, t->handle, -ESHUTDOWN, "The server is stopping.");
        return;
    }
    if (w == NULL || w->place != WORKER_HERE) {
        link_refuse(ctx, t->worker, t->handle, -ESTALE, "The worker is not registered.");
        return;
    }
    w->heard_ms = ctx->now->mono_ms;
    if (!worker_is_reachable(w)) {
        worker_dirty(ctx->core, w);
    }
    w->is_doubted = false;
    if (w->gone_at_ms != 0) {
        w->gone_at_ms = 0;
        lost_watch(ctx, w);
    }
    if (t->round_trip_us != 0) {
        w->round_trip_us = t->round_trip_us;
    }
    if (t->turn_seq <= w->turn_seq) {
        link_acked(w, t->ack_command_seq);
        link_repeat(ctx, w, t->handle, t->turn_seq);
        return;
    }
    if (t->turn_seq > w->turn_seq + 2) {
        link_refuse(ctx, t->worker, t->handle, -ESTALE, "A turn is missing.");
        return;
    }
    if (t->turn_seq == w->turn_seq + 2) {
        keep_early(ctx, w, t);
        return;
    }
    if (accept_turn(ctx, w, t) && w->early != NULL && w->early->turn.turn_seq == w->turn_seq + 1) {
        struct early_turn *early = w->early;
        w->early = NULL;
        (void)accept_turn(ctx, w, &early->turn); /* effects may point into it: freed with the next list */
        effects_own(ctx->fx, early->blob);
        free(early);
    }
}
