/* posset.h - sorted set of task positions as disjoint ranges: the ready tasks of one job and class.
 *
 * Purpose    take from the front, add anywhere (usually behind the end), remove anywhere.
 * Ownership  the set owns `v`.
 * Cost       front and end O(1); in between O(log n) to find and a memmove of the shorter side.
 */
#ifndef HQ_HQD_CORE_POSSET_H
#define HQ_HQD_CORE_POSSET_H

#include "common/base.h"

struct posrange {
    uint32_t first;
    uint32_t count;
};

struct posset {
    struct posrange *v; /* ranges lie at v[head .. head + count) */
    uint32_t head;
    uint32_t count;
    uint32_t cap;
    uint32_t size; /* positions */
};

void posset_fini(struct posset *s);
/* None of them may be in the set. */
void posset_add(struct posset *s, uint32_t first, uint32_t count);
/* Removes those that are in the set; number removed. */
uint32_t posset_remove(struct posset *s, uint32_t first, uint32_t count);
bool posset_has(const struct posset *s, uint32_t pos);
static inline const struct posrange *
posset_range(const struct posset *s, uint32_t ix)
{
    return &s->v[s->head + ix];
}

#endif
