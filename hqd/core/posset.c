#include "hqd/core/posset.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

void
posset_fini(struct posset *s)
{
    free(s->v);
    *s = (struct posset){0};
}

/* Index of the first range that begins behind pos. */
static uint32_t
upper(const struct posset *s, uint32_t pos)
{
    const struct posrange *v = s->v + s->head;
    uint32_t low = 0;
    uint32_t high = s->count;
    if (high > 0 && v[high - 1].first <= pos) {
        return high; /* appending is the usual case */
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (v[mid].first <= pos) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void
make_room(struct posset *s)
{
    if (s->head + s->count < s->cap) {
        return;
    }
    if (s->head > s->cap / 2) {
        memmove(s->v, s->v + s->head, s->count * sizeof(*s->v));
        s->head = 0;
        return;
    }
    uint32_t cap = s->cap == 0 ? 2 : s->cap * 2;
    HQ_ASSERT(cap > s->cap);
    s->v = hq_xrealloc(s->v, cap, sizeof(*s->v));
    s->cap = cap;
}

static void
insert_at(struct posset *s, uint32_t ix, struct posrange r)
{
    if (s->head > 0 && ix < s->count / 2 + 1) {
        struct posrange *v = s->v + s->head;
        memmove(v - 1, v, ix * sizeof(*v));
        s->head--;
    } else {
        make_room(s);
        struct posrange *v = s->v + s->head;
        memmove(v + ix + 1, v + ix, (s->count - ix) * sizeof(*v));
    }
    s->v[s->head + ix] = r;
    s->count++;
}

static void
delete_at(struct posset *s, uint32_t ix)
{
    struct posrange *v = s->v + s->head;
    if (ix < s->count / 2) {
        memmove(v + 1, v, ix * sizeof(*v));
        s->head++;
    } else {
        memmove(v + ix, v + ix + 1, (s->count - ix - 1) * sizeof(*v));
    }
    s->count--;
    if (s->count == 0) {
        s->head = 0;
    }
}

void
posset_add(struct posset *s, uint32_t first, uint32_t count)
{
    if (count == 0) {
        return;
    }
    uint32_t ix = upper(s, first);
    struct posrange *v = s->v == NULL ? NULL : s->v + s->head;
    bool joins_before = ix > 0 && v[ix - 1].first + v[ix - 1].count == first;
    bool joins_behind = ix < s->count && first + count == v[ix].first;
    HQ_ASSERT(ix == 0 || v[ix - 1].first + v[ix - 1].count <= first);
    HQ_ASSERT(ix == s->count || first + count <= v[ix].first);
    s->size += count;
    if (joins_before && joins_behind) {
        v[ix - 1].count += count + v[ix].count;
        delete_at(s, ix);
    } else if (joins_before) {
        v[ix - 1].count += count;
    } else if (joins_behind) {
        v[ix].first = first;
        v[ix].count += count;
    } else {
        insert_at(s, ix, (struct posrange){.first = first, .count = count});
    }
}

uint32_t
posset_remove(struct posset *s, uint32_t first, uint32_t count)
{
    uint32_t removed = 0;
    uint64_t end = (uint64_t)first + count;
    uint32_t ix = 0;
    if (s->count > 0 && s->v[s->head].first + s->v[s->head].count <= first) {
        ix = upper(s, first);
        ix = ix > 0 ? ix - 1 : 0;
    }
    while (ix < s->count) {
        struct posrange *r = &s->v[s->head + ix];
        uint64_t r_end = (uint64_t)r->first + r->count;
        if (r->first >= end) {
            break;
        }
        if (r_end <= first) {
            ix++;
            continue;
        }
        uint32_t from = HQ_MAX(r->first, first);
        uint32_t to = (uint32_t)HQ_MIN(r_end, end);
        removed += to - from;
        if (from == r->first && to == r_end) {
            delete_at(s, ix);
        } else if (from == r->first) {
            r->first = to;
            r->count = (uint32_t)(r_end - to);
            break;
        } else {
            r->count = from - r->first;
            ix++;
            if (to < r_end) {
                insert_at(s, ix, (struct posrange){.first = to, .count = (uint32_t)(r_end - to)});
                break;
            }
        }
    }
    s->size -= removed;
    return removed;
}

bool
posset_has(const struct posset *s, uint32_t pos)
{
    uint32_t ix = upper(s, pos);
    if (ix == 0) {
        return false;
    }
    const struct posrange *r = posset_range(s, ix - 1);
    return pos - r->first < r->count;
}
