/* plan.h - the placement part of a pass: levels of priority, value, holds.
 *
 * Purpose    fills use->planned of workers and takes it off cls->left and worker->plan_free.
 */
#ifndef HQ_HQD_SCHED_PLAN_H
#define HQ_HQD_SCHED_PLAN_H

#include "hqd/sched/pass.h"

/* Classes of one priority: active[from .. to); above: see level_plan. */
void plan_level(struct pass *p, uint32_t above, uint32_t from, uint32_t to);
/* Where the levels begin that the one behind active[from .. to) may move: `above` or later. */
uint32_t plan_movable(const struct pass *p, uint32_t above, uint32_t from, uint32_t to);
/* How many more tasks of it fit what is planned to be free. */
uint32_t plan_fits(const struct pass *p, const struct worker *w, const struct cls *cls, uint32_t variant);
void plan_place(struct worker *w, struct cls *cls, uint32_t variant, uint32_t n);
/* Index behind the last of active[from .. end) that could start anywhere among the workers looked at. What fits nowhere
 * will not fit later in the pass: called with its own result again, it looks at each class in vain once. */
uint32_t plan_shrink(const struct pass *p, uint32_t from, uint32_t end);
/* What classes of the level could not place is held back from lower ones. */
void plan_hold(struct pass *p, uint32_t from, uint32_t to);
/* Takes plans back that leave a worker under its minimal utilization. */
void plan_drop_thin(struct pass *p);

#endif
