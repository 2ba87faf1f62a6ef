/* cancel.h - ends that do not come from a process: cancel by the user, abort by the system, failures and what follows
 * them.
 *
 * Cost       O(pages of the job + tasks that workers hold); a page of tasks nobody has seen is one step.
 */
#ifndef HQ_HQD_CORE_CANCEL_H
#define HQ_HQD_CORE_CANCEL_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

void cancel_on_request(struct ctx *ctx, const struct input *in);
/* Ends all tasks of the job that have not ended (RECORD_TASKS_CANCELED or RECORD_TASKS_ABORTED) and tells the workers
 * to kill what they have. Returns how many. */
uint64_t cancel_rest(struct ctx *ctx, struct job *job, enum record_kind kind);
/* A task has failed: aborts what depends on it, records it, ends the job over its max-fails. worker none = hqd failed
 * it without one. */
void cancel_fail(struct ctx *ctx, struct job *job, hq_worker_id worker, const struct task_failed *failed);

#endif
