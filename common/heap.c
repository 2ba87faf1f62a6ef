#include "common/heap.h"

#include "common/mem.h"

#include <stdlib.h>

void
hq_heap_fini(struct hq_heap *h)
{
    int saved = errno;
    for (size_t i = 0; i < h->count; i++) {
        h->v[i].node->pos = 0;
    }
    free(h->v);
    *h = HQ_HEAP_INIT;
    errno = saved;
}

static bool
is_before(const struct hq_heap_slot *a, const struct hq_heap_slot *b)
{
    return a->key < b->key || (a->key == b->key && a->tie < b->tie);
}

static void
put(struct hq_heap *h, size_t ix, const struct hq_heap_slot *slot)
{
    h->v[ix] = *slot;
    slot->node->pos = ix + 1;
}

/* Moves the hole at ix up, then down, to where `slot` belongs. O(log n) */
static void
settle(struct hq_heap *h, size_t ix, const struct hq_heap_slot *slot)
{
    while (ix > 0) {
        size_t parent = (ix - 1) / 2;
        if (!is_before(slot, &h->v[parent])) {
            break;
        }
        put(h, ix, &h->v[parent]);
        ix = parent;
    }
    for (;;) {
        size_t child = 2 * ix + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && is_before(&h->v[child + 1], &h->v[child])) {
            child++;
        }
        if (!is_before(&h->v[child], slot)) {
            break;
        }
        put(h, ix, &h->v[child]);
        ix = child;
    }
    put(h, ix, slot);
}

void
hq_heap_set(struct hq_heap *h, struct hq_heap_node *node, int64_t key, uint64_t tie)
{
    size_t ix;
    if (node->pos == 0) {
        if (h->count == h->cap) {
            hq_xgrow(&h->v, &h->cap, h->count + 1, sizeof *h->v);
        }
        ix = h->count++;
    } else {
        ix = node->pos - 1;
        HQ_ASSERT(ix < h->count);
        HQ_ASSERT(h->v[ix].node == node);
    }
    settle(h, ix, &(struct hq_heap_slot){.key = key, .tie = tie, .node = node});
}

void
hq_heap_remove(struct hq_heap *h, struct hq_heap_node *node)
{
    if (node->pos == 0) {
        return;
    }
    size_t ix = node->pos - 1;
    HQ_ASSERT(ix < h->count);
    HQ_ASSERT(h->v[ix].node == node);
    node->pos = 0;
    struct hq_heap_slot last = h->v[--h->count];
    if (ix < h->count) {
        settle(h, ix, &last);
    }
}

struct hq_heap_node *
hq_heap_pop(struct hq_heap *h)
{
    struct hq_heap_node *node = hq_heap_top(h);
    if (node != NULL) {
        hq_heap_remove(h, node);
    }
    return node;
}
