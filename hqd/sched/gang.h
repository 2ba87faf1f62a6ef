/* gang.h - multi-node tasks: whole idle workers of one group.
 *
 * Purpose    takes the lowest ids of a group that has enough idle members; the first is the root. A class that finds
 * none reserves the members of one group that are free first: they get nothing else, and what is queued ahead on them
 * is taken back. One reservation a group, in order of priority and age.
 */
#ifndef HQ_HQD_SCHED_GANG_H
#define HQ_HQD_SCHED_GANG_H

#include "hqd/sched/pass.h"

/* Clears the reservations of the last pass. True when there is multi-node work: then all workers are looked at. */
bool gang_begin(struct core *core);
/* Classes of one priority: active[from .. to). */
void gang_level(struct pass *p, uint32_t from, uint32_t to);

#endif
