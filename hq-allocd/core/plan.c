#include "hq-allocd/core/plan.h"

#include "common/base.h"

#define SIZES_MAX 64u /* different node counts looked at; the largest first come first */

struct open { /* what is still wanted */
    struct plan_nodes multi[SIZES_MAX];
    size_t multi_count;
    uint64_t single;
};

/* Sizes that fit into an allocation, largest first. */
static void
take_sizes(const struct plan_queue *q, struct open *o)
{
    for (size_t i = 0; i < q->multi_count && o->multi_count < SIZES_MAX; i++) {
        struct plan_nodes m = q->multi[i];
        if (m.count == 0 || m.nodes == 0 || m.nodes > q->max_workers_per_alloc) {
            continue;
        }
        size_t at = o->multi_count++;
        while (at > 0 && o->multi[at - 1].nodes < m.nodes) {
            o->multi[at] = o->multi[at - 1];
            at--;
        }
        o->multi[at] = m;
    }
}

/* Workers on their way: each multi-node wish that fits is settled, the rest settles single ones. */
static void
settle(const struct plan_alloc *a, struct open *o)
{
    uint64_t left = a->awaited;
    for (size_t i = 0; i < o->multi_count; i++) {
        /* Some of its workers may have come before the others: they wait together for the task. */
        if (o->multi[i].count > 0 && left > 0 && a->workers >= o->multi[i].nodes) {
            o->multi[i].count--;
            left -= HQ_MIN(left, (uint64_t)o->multi[i].nodes);
            break; /* one allocation runs one of them at a time */
        }
    }
    o->single -= HQ_MIN(o->single, left);
}

struct room {
    uint64_t slots;   /* allocations that may still wait */
    uint64_t workers; /* that may still be asked for */
};

static bool
add(struct room *room, uint32_t workers, uint32_t *ret_workers, size_t *count, size_t cap)
{
    uint32_t n = (uint32_t)HQ_MIN((uint64_t)workers, room->workers);
    if (room->slots == 0 || n == 0 || *count == cap) {
        return false;
    }
    room->slots--;
    room->workers -= n;
    ret_workers[(*count)++] = n;
    return true;
}

static struct room
room_of(const struct plan_queue *q, uint64_t *ret_workers)
{
    uint64_t queued = 0;
    uint64_t workers = 0;
    for (size_t i = 0; i < q->alloc_count; i++) {
        queued += q->allocs[i].is_queued;
        workers += q->allocs[i].workers;
    }
    *ret_workers = workers;
    uint64_t max = q->max_workers == 0 ? UINT64_MAX : q->max_workers;
    return (struct room){.slots = queued >= q->backlog ? 0 : q->backlog - queued,
                         .workers = max > workers ? max - workers : 0};
}

size_t
plan_submits(const struct plan_queue *q, uint32_t *ret_workers, size_t cap)
{
    struct open o = {.single = q->single};
    uint64_t have;
    struct room room = room_of(q, &have);
    uint64_t lasting = have - HQ_MIN(have, (uint64_t)q->ending);
    uint64_t warm = q->keep_warm > lasting ? q->keep_warm - lasting : 0; /* those on their way are among `have` */
    o.single += q->ending;
    take_sizes(q, &o);
    for (size_t i = 0; i < q->alloc_count; i++) {
        settle(&q->allocs[i], &o);
    }
    o.single = HQ_MAX(o.single, warm);
    size_t count = 0;
    for (size_t i = 0; i < o.multi_count; i++) {
        while (o.multi[i].count > 0) {
            if (!add(&room, o.multi[i].nodes, ret_workers, &count, cap)) {
                return count;
            }
            o.multi[i].count--;
        }
    }
    while (o.single > 0) {
        uint32_t n = (uint32_t)HQ_MIN(o.single, (uint64_t)q->max_workers_per_alloc);
        if (!add(&room, n, ret_workers, &count, cap)) {
            return count;
        }
        o.single -= n;
    }
    return count;
}
