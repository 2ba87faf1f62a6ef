/* heap.h - binary heap of timers and queues: smallest (key, tie) first; nodes know their position.
 *
 * Purpose    add, move and remove in O(log n); top in O(1).
 * Ownership  nodes lie in the caller's objects and must leave the heap before those die. The heap owns its array.
 * Errors     aborts without memory.
 */
#ifndef HQ_COMMON_HEAP_H
#define HQ_COMMON_HEAP_H

#include "common/base.h"

struct hq_heap_node {
    size_t pos; /* 1-based; 0 = in no heap. Zeroed memory is a valid node */
};

struct hq_heap_slot {
    int64_t key;
    uint64_t tie;
    struct hq_heap_node *node;
};

struct hq_heap {
    struct hq_heap_slot *v; /* v[0] is the top */
    size_t count;
    size_t cap;
};
#define HQ_HEAP_INIT ((struct hq_heap){0})

/* The object around a node: HQ_CONTAINER(node, struct timer, heap_node) */
#define HQ_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

void hq_heap_fini(struct hq_heap *h); /* nodes left inside become free nodes */
/* Puts the node in, or moves it when it is in already. Equal (key, tie): no order promised. */
void hq_heap_set(struct hq_heap *h, struct hq_heap_node *node, int64_t key, uint64_t tie);
void hq_heap_remove(struct hq_heap *h, struct hq_heap_node *node); /* not in a heap: nothing happens */
static inline struct hq_heap_node *hq_heap_top(const struct hq_heap *h) /* NULL when empty */
{
    return h->count == 0 ? NULL : h->v[0].node;
}
static inline int64_t hq_heap_top_key(const struct hq_heap *h, int64_t if_empty)
{
    return h->count == 0 ? if_empty : h->v[0].key;
}
static inline int64_t hq_heap_key(const struct hq_heap *h, const struct hq_heap_node *node) /* node is in h */
{
    return h->v[node->pos - 1].key;
}
static inline bool hq_heap_has(const struct hq_heap_node *node)
{
    return node->pos != 0;
}
struct hq_heap_node *hq_heap_pop(struct hq_heap *h); /* NULL when empty */

#endif
