/* ranges.h - sets of 32-bit ids as ranges: parse, print, iterate, set operations.
 *
 * Purpose    the grammar of spec section "ID ranges" (RANGES), and the sets that travel on the wire and in records.
 * Ownership  struct hq_ranges owns `v` (heap) until hq_ranges_fini.
 * Units      `count` is the real number of ids: 0-10:2 is {first 0, count 6, step 2}.
 * Errors     -EINVAL with the text that users see; -E2BIG over HQ_RANGES_MAX ranges; -ENOMEM.
 * Limits     HQ_RANGES_MAX ranges.
 */
#ifndef HQ_COMMON_RANGES_H
#define HQ_COMMON_RANGES_H

#include "common/err.h"
#include "common/str.h"

struct hq_range {
    uint32_t first;
    uint32_t count; /* >= 1, except 0 for the full 2^32 which is refused: never happens */
    uint32_t step;  /* >= 1; 1 when count is 1 */
};

struct hq_ranges {
    struct hq_range *v; /* heap */
    size_t count;
    size_t cap;
};
#define HQ_RANGES_INIT ((struct hq_ranges){0})

void hq_ranges_fini(struct hq_ranges *r); /* also the cleanup form */

/* Parses RANGES ("1-3,7,0-10:2", blanks around items, "_" in numbers). The order written is kept; overlaps are refused. */
HQ_MUST_CHECK int hq_ranges_parse(struct hq_ranges *ret, struct hq_str text, struct hq_err *err);
/* For sets from outside (wire, records): counts and steps, no id beyond 32 bits, no overlap. -EINVAL, -E2BIG. */
HQ_MUST_CHECK int hq_ranges_check(const struct hq_ranges *r, struct hq_err *err);
/* Appends one range; merges with the last one where it continues it. Aborts without memory. */
void hq_ranges_add(struct hq_ranges *r, uint32_t first, uint32_t count, uint32_t step);
/* Number of ids in all ranges. */
uint64_t hq_ranges_size(const struct hq_ranges *r);
bool hq_ranges_has(const struct hq_ranges *r, uint32_t id); /* O(ranges) */
/* Largest id; false when empty. */
bool hq_ranges_max(const struct hq_ranges *r, uint32_t *ret);
/* The k-th id in the order written; k < size. O(ranges). */
uint32_t hq_ranges_at(const struct hq_ranges *r, uint64_t k);
/* Sorted copy as disjoint runs of step 1; ids that occur twice count once. -E2BIG when that makes too many. */
HQ_MUST_CHECK int hq_ranges_sorted(struct hq_ranges *ret, const struct hq_ranges *r, struct hq_err *err);
/* Sorted copy in which each range begins behind the end of the one before; a stepped range stays whole unless it
 * interleaves with another. */
HQ_MUST_CHECK int hq_ranges_ascending(struct hq_ranges *ret, const struct hq_ranges *r, struct hq_err *err);
/* As the user gave it: "1-3,7,0-10:2". */
void hq_ranges_print(const struct hq_ranges *r, struct hq_buf *out);

/* Collects ascending ids and prints runs of consecutive ones as a-b, joined by commas ("1-3,5,8-9"). */
struct hq_ranges_runs {
    struct hq_buf *out;
    uint32_t first;
    uint32_t last;
    bool any;
    bool printed;
};
void hq_ranges_runs_add(struct hq_ranges_runs *s, uint32_t id);
void hq_ranges_runs_add_run(struct hq_ranges_runs *s, uint32_t first, uint32_t last); /* first > all before */
void hq_ranges_runs_end(struct hq_ranges_runs *s);

static inline uint32_t hq_range_last(const struct hq_range *g)
{
    return g->first + (g->count - 1) * g->step;
}

struct hq_ranges_iter {
    const struct hq_ranges *r;
    size_t ix;
    uint32_t k;
};
static inline struct hq_ranges_iter hq_ranges_iter(const struct hq_ranges *r)
{
    return (struct hq_ranges_iter){.r = r};
}
/* Next id in the order written; false at the end. */
static inline bool hq_ranges_next(struct hq_ranges_iter *it, uint32_t *ret)
{
    if (it->ix >= it->r->count) {
        return false;
    }
    const struct hq_range *g = &it->r->v[it->ix];
    *ret = g->first + it->k * g->step;
    if (++it->k >= g->count) {
        it->k = 0;
        it->ix++;
    }
    return true;
}

#endif
