/* demand.h - how many more workers of a queue's shape the ready tasks would fill.
 *
 * Purpose    the same scheduler (plan.c: priority, weight, variants, holds) is run on imagined idle workers, in the order
 *            of the queues; those that get a task are wanted. What connected workers can take is not ready any more when
 *            this is asked, and tasks that wait for dependencies are not ready yet.
 * Ownership  the answer lies in the arena. The core is left as it was (only scratch fields of classes are used).
 * Cost       O(classes x imagined workers); at most DEMAND_WORKERS_MAX workers over all queues.
 */
#ifndef HQ_HQD_SCHED_DEMAND_H
#define HQ_HQD_SCHED_DEMAND_H

#include "hqd/core/query_alloc.h"

#define DEMAND_WORKERS_MAX 10000u

void demand_count(struct core *core, const struct core_now *now, struct hq_arena *arena, struct query_demand **ret,
                  size_t *ret_count);

#endif
