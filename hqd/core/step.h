/* step.h - what the nodes of one task learn of one another: hosts, addresses, ranks, and a key for each pair.
 *
 * Purpose    filled in when a command leaves, never stored: a function of the gang, the workers and the identity's step_key.
 * Ownership  results lie in the arena, texts in the workers' configurations.
 * Threads    pure.
 */
#ifndef HQ_HQD_CORE_STEP_H
#define HQ_HQD_CORE_STEP_H

#include "hqd/core/state.h"

/* Key of nodes i and j of a task, the same whichever comes first. */
void step_key(const struct core *core, const struct gang *gang, hq_job_id job, hq_task_ix task, uint32_t i, uint32_t j,
              unsigned char ret[STEP_KEY_BYTES]);
/* For the node `node_ix` of a multi-node task. */
const struct step *step_of_gang(const struct core *core, const struct job *job, const struct gang *gang,
                                uint32_t node_ix, struct hq_arena *arena);
/* For tasks of one description on one worker that have several ranks; NULL: they have one process. */
const struct step *step_of_one(const struct core *core, const struct task_desc *desc, uint32_t variant,
                               const struct worker *w, struct hq_arena *arena);
/* Estimate of the encoded bytes. */
uint64_t step_bytes(const struct core *core, const struct gang *gang);
/* Place of the worker among the gang's nodes; node_count = it is none. */
uint32_t step_node_ix(const struct gang *gang, hq_worker_id worker);

#endif
