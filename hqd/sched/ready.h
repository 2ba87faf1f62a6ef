/* ready.h - tasks that could start: per class, by job age, then position.
 *
 * Purpose    a class has a heap of ready nodes (one per job) keyed by job id; a node has its positions as ranges.
 * Ownership  nodes belong to jobs.
 * Cost       per range: O(log jobs of the class) when a node becomes ready or empty, else that of posset.
 */
#ifndef HQ_HQD_SCHED_READY_H
#define HQ_HQD_SCHED_READY_H

#include "hqd/core/state.h"

void ready_add(struct core *core, struct ready_node *node, uint32_t first, uint32_t count);
/* Those that are there; number removed. */
uint32_t ready_remove(struct core *core, struct ready_node *node, uint32_t first, uint32_t count);
void ready_clear(struct core *core, struct ready_node *node);
/* First node of the class; NULL when none is ready. */
struct ready_node *ready_front(const struct cls *cls);

#endif
