/* level.h - several classes or variants of one priority compete for workers: who gets what.
 *
 * Purpose    the sum of shares of the free cluster times weights (spec/workers.md 9.3) as large as a bounded effort makes it.
 *            First each worker in turn takes its best mix (knapsack.h). Then a few workers at a time give theirs up and
 *            choose again, by values that are bent at random; what is better stays.
 * Ownership  scratch in the arena of the pass.
 * Cost       O(classes x workers) and at most PASS_NODES_MAX steps of search in a pass.
 */
#ifndef HQ_HQD_SCHED_LEVEL_H
#define HQ_HQD_SCHED_LEVEL_H

#include "hqd/sched/pass.h"

/* Classes of one priority: active[from .. to). Of active[above .. from) all tasks are planned somewhere: they may move, if
 * more of this level fits then. Leaves what the search left out (see its limits) to the caller. */
void level_plan(struct pass *p, uint32_t above, uint32_t from, uint32_t to);

#endif
