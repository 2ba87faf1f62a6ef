/* gang.h - multi-node tasks: whole idle workers of one group.
 *
 * Purpose    takes the lowest ids of a group that has enough idle members; the first is the root. A class that finds
 * none reserves the members of one group that are free first: they get nothing else, and what is queued ahead on them
 * is taken back. One reservation a group, in order of priority and age.
 */
#ifndef HQ_HQD_SCHED_GANG_H
#define HQ_HQD_SCHED_GANG_H

#include "hqd/sched/pass.h"

/* Starts one task of the class; false: no group has enough idle members. May be the last one: then the class leaves the
 * list of active ones. */
bool gang_try_start(struct pass *p, struct cls *cls);
/* The members of one group without a reservation that will be free first; none when no group is large enough. */
void gang_reserve(struct pass *p, const struct cls *cls);
bool gang_is_group_reserved(const struct pass *p, uint32_t group);

#endif
