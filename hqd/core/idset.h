/* idset.h - task ids of a submit or job as sorted runs, each id with its position.
 *
 * Purpose    tasks are stored by position (0, 1, 2 ... in a job); people and workers name them by id.
 *            A run maps first, first + step, ... to pos, pos + 1, ...; the spans of runs are disjoint and ascending.
 * Ownership  the set owns `v`.
 * Errors     -EEXIST an id twice (*ret_id says which); -E2BIG more than HQ_RANGES_MAX runs.
 * Cost       find O(log runs). Ranges whose spans interleave (0-10:2,1-11:2) are taken apart, ids one by one.
 */
#ifndef HQ_HQD_CORE_IDSET_H
#define HQ_HQD_CORE_IDSET_H

#include "common/ranges.h"

struct idrun {
    uint32_t first;
    uint32_t count;
    uint32_t step;
    uint32_t pos;
};

struct idset {
    struct idrun *v;
    size_t count;
    size_t cap;
};

void idset_fini(struct idset *s);
/* Positions from first_pos on in ascending order of the ids. With *ret_order not NULL: set to NULL when `ranges` was in
 * ascending order, else to a heap array: place in the order written, by position. */
HQ_MUST_CHECK int idset_build(struct idset *ret, const struct hq_ranges *ranges, uint32_t first_pos,
                              uint32_t **ret_order, uint32_t *ret_id);
/* ids[i] in any order (a graph); *ret_order as above but never NULL when count > 0. */
HQ_MUST_CHECK int idset_build_list(struct idset *ret, const uint32_t *ids, size_t count, uint32_t first_pos,
                                   uint32_t **ret_order, uint32_t *ret_id);
/* Adds all of `more`; `into` is untouched on failure. */
HQ_MUST_CHECK int idset_merge(struct idset *into, const struct idset *more, uint32_t *ret_id);
/* What idset_merge would say, without doing it. */
HQ_MUST_CHECK int idset_merge_check(const struct idset *a, const struct idset *b, uint32_t *ret_id);
/* Run that has the id, or NULL. */
const struct idrun *idset_run(const struct idset *s, uint32_t id);
bool idset_find(const struct idset *s, uint32_t id, uint32_t *ret_pos);
/* Smallest id that is in both sets. */
bool idset_common(const struct idset *a, const struct idset *b, uint32_t *ret_id);
/* The run that has a position; for sets whose positions ascend with the ids (one submit). */
const struct idrun *idset_run_at(const struct idset *s, uint32_t pos);
bool idset_max(const struct idset *s, uint32_t *ret);
uint64_t idset_size(const struct idset *s);

static inline uint32_t
idrun_last(const struct idrun *r)
{
    return r->first + (r->count - 1) * r->step;
}

#endif
