/* job.h - a job: its submits, ids, counters, state.
 *
 * Purpose    lookups between task ids, positions, submits and classes; open and close requests.
 * Ownership  job_create's result belongs to core->jobs; job_free frees everything the job has.
 * Cost       lookups O(log runs) or O(log submits).
 */
#ifndef HQ_HQD_CORE_JOB_H
#define HQ_HQD_CORE_JOB_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

struct job *job_create(struct core *core, hq_job_id id, struct hq_str name, struct hq_str submit_dir,
                       uint32_t owner_uid);
void job_free(struct core *core, struct job *job); /* out of core->jobs already; holds nothing */
/* Into core->jobs. */
void job_insert(struct core *core, struct job *job);
void job_remove(struct core *core, struct job *job);

struct submit *job_submit_at(const struct job *job, uint32_t pos);
hq_task_ix job_task_id(const struct job *job, uint32_t pos);
uint32_t job_desc_id(const struct job *job, uint32_t pos);
const struct task_desc *job_desc(const struct job *job, uint32_t pos);
const struct task_desc *job_desc_by_id(const struct job *job, uint32_t desc_id, const struct submit **ret_submit);
struct ready_node *job_node(const struct job *job, uint32_t pos);
/* Node of a class, made when there is none; counts the class reference. */
struct ready_node *job_node_get(struct core *core, struct job *job, const struct hq_request *request, int32_t priority);
/* Appends the ids of positions [pos, pos + count). */
void job_add_ids(const struct job *job, uint32_t pos, uint32_t count, struct idlist *into);

/* Walks ids of a record or message as stretches of positions that lie in one page and one submit. Unknown ids are
 * skipped. `k` is the place of the first one among all ids (columns stand beside them). */
struct job_walk {
    const struct job *job;
    const struct hq_ranges *ids;
    size_t ix;     /* range */
    uint32_t done; /* ids of it that were walked */
    uint64_t k_next;
    /* result */
    uint32_t pos;
    uint32_t count;
    uint64_t k;
};
void job_walk_init(struct job_walk *w, const struct job *job, const struct hq_ranges *ids);
bool job_walk_next(struct job_walk *w);

enum job_state_word job_state(const struct job *job);
bool job_is_terminated(const struct job *job); /* no task waits or runs */
uint64_t job_ended(const struct job *job);
/* Marks it for a note and as changed by the newest record. */
void job_changed(struct core *core, struct job *job);
/* Live multi-node task at a position; NULL for others. */
struct gang *job_gang(const struct job *job, uint32_t pos);
void job_add_failure(struct job *job, uint32_t pos, uint64_t seq); /* a task fails once */
uint64_t job_failure_seq(const struct job *job, uint32_t pos);

/* Emits job-completed when the job has just become complete; publishes job-idle for an open one that ran out of tasks.
 * Called after tasks ended or the job was closed. */
void job_check_end(struct ctx *ctx, struct job *job);

#endif
