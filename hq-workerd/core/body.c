/* body.c - life time of shared task descriptions. */
#include "hq-workerd/core/body.h"

#include <stdlib.h>

#include "common/mem.h"

struct body *
body_create(uint32_t job_id, uint32_t desc_id)
{
    struct body *b = hq_try_alloc(sizeof(*b));

    if (b == NULL) {
        return NULL;
    }
    atomic_init(&b->refs, 1);
    hq_arena_init(&b->arena, 0);
    b->job_id = job_id;
    b->desc_id = desc_id;
    return b;
}

struct body *
body_ref(struct body *b)
{
    unsigned before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

    HQ_ASSERT(before > 0);
    return b;
}

void
body_unref(struct body *b)
{
    if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    if (b->drop_extra != NULL) {
        b->drop_extra(b->extra);
    }
    if (b->drop_stdin != NULL) {
        b->drop_stdin(b->stdin_data);
    }
    hq_arena_fini(&b->arena);
    free(b);
}
