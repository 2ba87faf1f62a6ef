#include "tests/sim/node_impl.h"

#include "hqd/core/idlist.h"
#include "tests/sim/check.h"

#include <stdio.h>
#include <stdlib.h>

static void
on_tick(struct world *w, void *ctx, uint64_t arg)
{
    struct node *n = ctx;
    (void)arg;
    if (n->state == NODE_DEAD) {
        return;
    }
    world_at(w, w->now_ms + TICK_MS, on_tick, n, 0);
    if (n->state == NODE_JOINING) {
        if (w->now_ms - n->join_ms > RESEND_MS) {
            node_post_join(n);
        }
        return;
    }
    for (struct sent_turn *t = n->turns; t != NULL; t = t->next) {
        bool is_newest = t->next == NULL;
        hq_ms wait_ms = is_newest ? HEARTBEAT_MS + RESEND_MS : RESEND_MS;
        if (!t->is_answered && w->now_ms - t->sent_ms > wait_ms) {
            node_post(n, t);
        }
    }
    if (n->state == NODE_IN) {
        node_pump(n);
    }
}

static void
on_time_limit(struct world *w, void *ctx, uint64_t arg)
{
    struct node *n = ctx;
    (void)arg;
    if (n->state == NODE_IN) {
        node_leave(n, LOST_TIME_LIMIT);
    } else if (n->state == NODE_JOINING) {
        node_kill(w, n, true);
    }
}

struct node *
node_add(struct world *w, uint32_t cpus, const char *group)
{
    struct node *n = hq_xalloc(sizeof(*n));
    n->w = w;
    n->ix = (uint32_t)w->node_count;
    n->incarnation = hq_rng_u64(&w->rng);
    n->cpus = cpus;
    n->free_x10000 = (int64_t)cpus * 10000;
    (void)snprintf(n->name, sizeof(n->name), "node%u", n->ix);
    (void)snprintf(n->group, sizeof(n->group), "%s", group);
    hq_map_init(&n->bodies, w->seed);
    hq_map_init(&n->ranks, w->seed);
    hq_xgrow(&w->nodes, &w->node_cap, w->node_count + 1, sizeof(struct node *));
    w->nodes[w->node_count++] = n;
    if ((w->faults & LOAD_RICH) != 0 && !w->is_healing && world_chance(w, 1, 3)) {
        n->time_limit_ms = hq_rng_between(&w->rng, 2000, 60000);
        world_at(w, w->now_ms + n->time_limit_ms, on_time_limit, n, 0);
    }
    node_begin_join(n);
    world_at(w, w->now_ms + TICK_MS, on_tick, n, 0);
    return n;
}

static void
report_gone(struct world *w, void *ctx, uint64_t arg)
{
    const struct node *n = ctx;
    (void)arg;
    if (n->worker != 0) {
        (void)world_give(w, &(struct input){.kind = INPUT_PEER_GONE, .u.peer.worker = {n->worker}});
    }
}

void
node_kill(struct world *w, struct node *n, bool is_seen)
{
    n->state = NODE_DEAD;
    n->held_count = 0;
    if (is_seen) {
        world_at(w, w->now_ms + 1, report_gone, n, 0);
    }
}

void
node_cut(struct world *w, struct node *n, hq_ms for_ms)
{
    n->cut_until_ms = w->now_ms + for_ms;
    world_at(w, w->now_ms + 1, report_gone, n, 0);
}

void
node_destroy(struct node *n)
{
    while (n->turns != NULL) {
        struct sent_turn *t = n->turns;
        n->turns = t->next;
        node_free_turn(t);
    }
    for (size_t i = 0; i < n->early_count; i++) {
        reply_free(n->early[i]);
    }
    free(n->news.v);
    free(n->held);
    hq_map_fini(&n->bodies);
    hq_map_fini(&n->ranks);
    free(n);
}

bool
node_is_member(const struct node *n)
{
    return n->state == NODE_IN && n->is_member;
}

bool
node_is_alive(const struct node *n)
{
    return n->state == NODE_IN || n->state == NODE_JOINING;
}

uint32_t
node_worker(const struct node *n)
{
    return n->worker;
}

uint32_t
node_cpus(const struct node *n)
{
    return n->cpus;
}

void
node_print(const struct node *n, struct hq_buf *out)
{
    hq_buf_printf(out, "%s worker=%u state=%d cpus=%u held=%zu turns=%zu news=%zu", n->name, n->worker, (int)n->state,
                  n->cpus, n->held_count, node_open_turns(n), n->news.count);
    if (n->is_member) {
        hq_buf_printf(out, " works for %u@%u#%u", n->member[0], n->member[1], n->member[2]);
    }
    hq_buf_byte(out, '\n');
}
