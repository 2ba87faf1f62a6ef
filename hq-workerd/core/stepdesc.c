/* stepdesc.c - life time of the shared description of a step. */
#include "hq-workerd/core/stepdesc.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct step_desc *
step_desc_create(uint32_t node_count, uint32_t node_ix)
{
    struct step_desc *d = hq_try_alloc(sizeof(*d));

    if (d == NULL) {
        return NULL;
    }
    HQ_ASSERT(node_ix < node_count);
    atomic_init(&d->refs, 1);
    hq_arena_init(&d->arena, 0);
    d->nodes = hq_arena_array(&d->arena, node_count, sizeof(*d->nodes));
    d->keys = hq_arena_array(&d->arena, node_count, sizeof(*d->keys));
    d->node_count = node_count;
    d->node_ix = node_ix;
    return d;
}

struct step_desc *
step_desc_ref(struct step_desc *d)
{
    unsigned before = atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);

    HQ_ASSERT(before > 0);
    return d;
}

void
step_desc_unref(struct step_desc *d)
{
    if (d == NULL || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    explicit_bzero(d->keys, d->node_count * sizeof(*d->keys));
    hq_arena_fini(&d->arena);
    free(d);
}
