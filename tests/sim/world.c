#include "tests/sim/world_impl.h"

#include "tests/sim/check.h"
#include "tests/sim/load.h"
#include "tests/sim/node.h"

#include <stdarg.h>
#include <stdlib.h>

#define WALL_START_MS 1700000000000
#define EVENTS_AT_ONCE_MAX 1000000u /* within one ms */

/* ---- time */
void
world_at(struct world *w, hq_ms at_ms, world_fn fn, void *ctx, uint64_t arg)
{
    struct world_event *e = hq_xalloc(sizeof(*e));
    e->fn = fn;
    e->ctx = ctx;
    e->arg = arg;
    hq_heap_set(&w->events, &e->heap, HQ_MAX(at_ms, w->now_ms), w->event_tie++);
}

void
world_run(struct world *w, hq_ms until_ms)
{
    uint32_t at_once = 0;
    while (!world_failed(w) && hq_heap_top_key(&w->events, INT64_MAX) <= until_ms) {
        hq_ms at_ms = hq_heap_top_key(&w->events, 0);
        at_once = at_ms == w->now_ms ? at_once + 1 : 0;
        w->now_ms = at_ms;
        if (at_once > EVENTS_AT_ONCE_MAX) {
            world_fail(w, "time stands still: a timer is always due");
        }
        struct world_event *e = HQ_CONTAINER(hq_heap_pop(&w->events), struct world_event, heap);
        e->fn(w, e->ctx, e->arg);
        free(e);
    }
    w->now_ms = HQ_MAX(w->now_ms, until_ms);
}

hq_wall_ms
world_wall(const struct world *w)
{
    return WALL_START_MS + w->now_ms + w->wall_offset_ms;
}

void
world_fail(struct world *w, const char *fmt, ...)
{
    if (world_failed(w)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&w->failure, fmt, ap);
    va_end(ap);
}

bool
world_chance(struct world *w, uint32_t num, uint32_t den)
{
    return hq_rng_chance(&w->rng, num, den);
}

/* ---- network */
hq_ms
world_delay(struct world *w)
{
    if ((w->faults & FAULT_LOSS) != 0 && !w->is_healing) {
        if (world_chance(w, 1, 40)) {
            return -1;
        }
        if (world_chance(w, 1, 30)) {
            return hq_rng_between(&w->rng, 5, 3000);
        }
    }
    return hq_rng_between(&w->rng, 0, 4);
}

bool
world_is_repeated(struct world *w)
{
    return (w->faults & FAULT_LOSS) != 0 && !w->is_healing && world_chance(w, 1, 40);
}

void
world_init(struct world *w, uint64_t seed, uint32_t faults)
{
    *w = (struct world){.seed = seed, .faults = faults, .now_ms = 1000, .timer_at_ms = INT64_MAX};
    hq_rng_init(&w->rng, seed);
    w->conf.seed = seed;
    effects_init(&w->fx);
    hq_map_init(&w->askers, seed);
    w->parcels_tail = &w->parcels;
    w->load = load_create(w);
    w->check = check_create();
    world_start_hqd(w);
}

void
world_fini(struct world *w)
{
    uint64_t key;
    uint64_t value;
    core_destroy(w->core);
    world_drop_parcels(w);
    while (w->events.count > 0) {
        struct world_event *e = HQ_CONTAINER(hq_heap_pop(&w->events), struct world_event, heap);
        if (e->fn == reply_deliver) {
            reply_free(e->ctx);
        } else {
            node_free_event(e);
        }
        free(e);
    }
    for (size_t it = 0; hq_map_next(&w->askers, &it, &key, &value);) {
        free((void *)(uintptr_t)value);
    }
    for (size_t i = 0; i < w->node_count; i++) {
        node_destroy(w->nodes[i]);
    }
    load_destroy(w->load);
    check_destroy(w->check);
    effects_fini(&w->fx);
    hq_map_fini(&w->askers);
    hq_heap_fini(&w->events);
    hq_buf_fini(&w->journal);
    hq_buf_fini(&w->failure);
    free(w->records);
    free(w->nodes);
}
