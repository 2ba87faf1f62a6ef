#include "hqd/core/idlist.h"

#include "common/mem.h"

/* The last range takes the new one in when both continue in the same step. */
static bool
merges(struct hq_range *last, uint32_t first, uint32_t count, uint32_t step)
{
    uint64_t end = last->first + (uint64_t)(last->count - 1) * last->step;
    if (first <= end || (uint64_t)last->count + count > UINT32_MAX) {
        return false;
    }
    uint64_t gap = first - end;
    if (last->count == 1) {
        /* Two lone ids become a stepped range only when they are neighbours: 3,7 stays two ids for readers. */
        if ((count == 1 && gap == 1) || (count > 1 && step == gap)) {
            last->step = (uint32_t)gap;
            last->count += count;
            return true;
        }
        return false;
    }
    if (gap == last->step && (count == 1 || step == gap)) {
        last->count += count;
        return true;
    }
    return false;
}

void
idlist_add(struct idlist *l, uint32_t first, uint32_t count, uint32_t step)
{
    if (l->r.count > 0 && merges(&l->r.v[l->r.count - 1], first, count, step)) {
        return;
    }
    hq_arena_grow(l->arena, &l->r.v, &l->r.cap, l->r.count + 1, sizeof(*l->r.v));
    l->r.v[l->r.count++] = (struct hq_range){.first = first, .count = count, .step = count == 1 ? 1 : step};
}

struct hq_ranges
idlist_dup(const struct hq_ranges *r)
{
    struct hq_ranges copy = {.count = r->count, .cap = r->count};
    if (r->count > 0) {
        copy.v = hq_xmemdup(r->v, r->count * sizeof(*r->v));
    }
    return copy;
}
