/* class.h - tasks of equal resource request (with variants, time request, weight) and priority.
 *
 * Purpose    the scheduler's unit: a pass costs O(classes x workers), never O(tasks). A request is stored once per
 * class; descriptions of tasks point to it. Ownership  class_get counts a reference, class_put drops it; a class
 * without references is freed. Cost       get: one hash of the request.
 */
#ifndef HQ_HQD_SCHED_CLASS_H
#define HQ_HQD_SCHED_CLASS_H

#include "hqd/core/state.h"

struct cls *class_get(struct core *core, const struct hq_request *request, int32_t priority);
void class_put(struct core *core, struct cls *cls);
/* Makes names of a worker's resources known; true when there was a new one. */
bool class_add_resources(struct core *core, const struct hq_pools *pools);
uint32_t class_resource(const struct core *core, struct hq_str name); /* RES_NONE = unknown */
/* Into and out of core->active. */
void class_activate(struct core *core, struct cls *cls);
void class_deactivate(struct core *core, struct cls *cls);
/* -1, 0, 1: a goes before b (priority, then age). */
int class_order(const struct cls *a, const struct cls *b);

#endif
