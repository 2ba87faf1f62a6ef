/* prefill.h - tasks that workers hold beyond what runs, so that a freed core starts the next one without a round trip.
 *
 * Purpose    depth follows what was measured: tasks that end per second times a horizon, at least something for each
 * slot while tasks are short. hqd takes them back when others run dry or a higher priority comes, and gives them to
 *            another worker only after the first one has returned them.
 * Units      ms; rates in tasks per 1000 s.
 * Limits     PREFILL_DEPTH_MAX tasks of a class on a worker.
 */
#ifndef HQ_HQD_SCHED_PREFILL_H
#define HQ_HQD_SCHED_PREFILL_H

#include "hqd/sched/pass.h"

#define PREFILL_DEPTH_MAX 4096u

/* Queue-ahead that the use should have now; share: tasks left for each worker that has the class. */
uint32_t prefill_depth(struct worker_use *use, const struct worker *w, uint64_t share, hq_ms now_ms);
/* Fills use->planned_ahead of the workers looked at. */
void prefill_plan(struct pass *p);
/* Asks back what a higher priority, or a dry worker, needs. After the assignments of the pass. */
void prefill_retract(struct pass *p);

#endif
