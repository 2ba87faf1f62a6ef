/* plan.h - the placement part of a pass: levels of priority, value, holds.
 *
 * Purpose    fills use->planned of workers and takes it off cls->left and worker->plan_free.
 */
#ifndef HQ_HQD_SCHED_PLAN_H
#define HQ_HQD_SCHED_PLAN_H

#include "hqd/sched/pass.h"

/* Classes of one priority: active[from .. to). */
void plan_level(struct pass *p, uint32_t from, uint32_t to);
/* Could any class from active[from] on start anywhere among the workers looked at? */
bool plan_any_fits(const struct pass *p, uint32_t from);
/* What classes of the level could not place is held back from lower ones. */
void plan_hold(struct pass *p, uint32_t from, uint32_t to);
/* Takes plans back that leave a worker under its minimal utilization. */
void plan_drop_thin(struct pass *p);

#endif
