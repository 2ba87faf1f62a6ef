#include "tests/sim/fault.h"

#include "tests/sim/node.h"

static void
restart(struct world *w, void *ctx, uint64_t arg)
{
    (void)ctx;
    (void)arg;
    if (w->core == NULL) {
        world_start_hqd(w);
    }
}

static struct node *
random_node(struct world *w)
{
    for (int tries = 0; tries < 10 && w->node_count > 0; tries++) {
        struct node *n = w->nodes[hq_rng_below(&w->rng, w->node_count)];
        if (node_is_alive(n)) {
            return n;
        }
    }
    return NULL;
}

static void
add_node(struct world *w)
{
    node_add(w, 1 + (uint32_t)hq_rng_below(&w->rng, 6), world_chance(w, 1, 3) ? "other" : "default");
}

static void
hurt_worker(struct world *w)
{
    struct node *n = random_node(w);
    if (n == NULL) {
        add_node(w);
    } else if (world_chance(w, 1, 2)) {
        node_kill(w, n, world_chance(w, 3, 4));
    } else {
        node_cut(w, n, hq_rng_between(&w->rng, 10, 12000));
    }
    if (world_chance(w, 2, 3)) {
        add_node(w);
    }
}

void
fault_step(struct world *w)
{
    uint64_t dice = hq_rng_below(&w->rng, 100);
    if (dice < 12 && (w->faults & FAULT_WORKER) != 0) {
        hurt_worker(w);
    } else if (dice < 17 && (w->faults & FAULT_KILL) != 0 && w->core != NULL) {
        world_kill_hqd(w, false);
        world_at(w, w->now_ms + hq_rng_between(&w->rng, 1, 4000), restart, NULL, 0);
    } else if (dice < 20 && (w->faults & FAULT_HOST) != 0 && w->core != NULL) {
        world_kill_hqd(w, true);
        world_at(w, w->now_ms + hq_rng_between(&w->rng, 100, 20000), restart, NULL, 0);
    } else if (dice < 23 && (w->faults & FAULT_DISK) != 0) {
        w->disk_bad_until_ms = w->now_ms + hq_rng_between(&w->rng, 10, 6000);
    } else if (dice < 26) {
        add_node(w);
    } else if (dice < 29 && (w->faults & FAULT_STOP) != 0 && w->core != NULL) {
        world_stop_hqd(w);
        world_at(w, w->now_ms + hq_rng_between(&w->rng, 1, 9000), restart, NULL, 0);
    }
}

void
fault_heal(struct world *w)
{
    w->is_healing = true;
    w->disk_bad_until_ms = 0;
    restart(w, NULL, 0);
    for (int i = 0; i < 3; i++) {
        node_add(w, 8, "default");
    }
}
