/* orders.h - commands for a worker: queued, cut into answers, made anew when an answer is repeated.
 *
 * Purpose    what has been decided for a worker waits here until a turn of it can be answered.
 * Ownership  the worker owns its queue and its batches.
 * Units      bytes are estimates of the encoded size.
 * Limits     one answer carries ORDERS_ANSWER_BYTES (HQ_PAGE_BYTES), or one command that is larger.
 */
#ifndef HQ_HQD_CORE_ORDERS_H
#define HQ_HQD_CORE_ORDERS_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

/* Positions must be of one description and instance. Puts the body in front when the worker lacks it. */
struct orders_assign {
    struct job *job;
    uint32_t desc_id;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    bool is_gang;
    uint32_t gang_pos;
};
void orders_assign(struct core *core, struct worker *w, const struct orders_assign *a);
/* The worker is node `node_ix` > 0 of a gang that begins, or that it has come back to. */
void orders_join(struct core *core, struct worker *w, const struct job *job, const struct gang *gang, uint32_t node_ix);
/* The gang has ended. */
void orders_leave(struct core *core, struct worker *w, const struct job *job, const struct gang *gang);
void orders_retract(struct core *core, struct worker *w, hq_job_id job, uint32_t instance, const struct hq_ranges *ids);
void orders_cancel(struct core *core, struct worker *w, hq_job_id job, const struct hq_ranges *ids);
void orders_stop(struct core *core, struct worker *w, enum lost_reason reason);

/* The end of this loop turn looks at it: it has commands, or two open turns. */
void orders_wake(struct core *core, struct worker *w);
/* Takes commands for one answer out of the queue; the batch waits in w->batches for its acknowledgement. */
struct batch *orders_take(struct worker *w, uint64_t turn_seq);
bool orders_has_assign(const struct batch *b);
/* Newest record that must be on disk before the batch may leave; 0 = none. Assignments wait for the kernel only, so that
 * a start does not wait for the disk. But a job id, or an instance number that a restart made, must be on disk before a
 * worker sees it: after a power cut hqd would give it again. */
uint64_t orders_commit_seq(const struct core *core, const struct batch *b);
void orders_free(struct pending_list *l);
void orders_free_batch(struct batch *b);

#endif
