#include "hqd/core/effect.h"

#include "common/mem.h"

#include <stdlib.h>

void
effects_init(struct effects *fx)
{
    *fx = (struct effects){0};
    hq_arena_init(&fx->arena, 0);
}

static void
free_owned(struct effects *fx)
{
    for (size_t i = 0; i < fx->owned_count; i++) {
        free(fx->owned[i]);
    }
    fx->owned_count = 0;
}

void
effects_fini(struct effects *fx)
{
    free_owned(fx);
    free(fx->owned);
    free(fx->v);
    hq_arena_fini(&fx->arena);
    *fx = (struct effects){0};
}

void
effects_clear(struct effects *fx)
{
    free_owned(fx);
    fx->count = 0;
    hq_arena_reset(&fx->arena);
}

void
effects_own(struct effects *fx, void *heap)
{
    hq_xgrow(&fx->owned, &fx->owned_cap, fx->owned_count + 1, sizeof(void *));
    fx->owned[fx->owned_count++] = heap;
}

struct effect *
effects_add(struct effects *fx, enum effect_kind kind, enum effect_when when, uint64_t after_seq)
{
    hq_xgrow(&fx->v, &fx->cap, fx->count + 1, sizeof(*fx->v));
    struct effect *e = &fx->v[fx->count++];
    e->kind = kind;
    e->when = when;
    e->after_seq = after_seq;
    return e;
}
