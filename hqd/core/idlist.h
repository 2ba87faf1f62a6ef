/* idlist.h - id ranges that grow in an arena: what records and commands carry.
 *
 * Purpose    the same merging as hq_ranges_add, without heap memory.
 * Ownership  r.v lies in the arena; never hq_ranges_fini it.
 */
#ifndef HQ_HQD_CORE_IDLIST_H
#define HQ_HQD_CORE_IDLIST_H

#include "common/arena.h"
#include "common/ranges.h"

struct idlist {
    struct hq_arena *arena;
    struct hq_ranges r;
};

void idlist_add(struct idlist *l, uint32_t first, uint32_t count, uint32_t step);
/* Heap copy for what outlives a call; hq_ranges_fini frees it. */
struct hq_ranges idlist_dup(const struct hq_ranges *r);

#endif
