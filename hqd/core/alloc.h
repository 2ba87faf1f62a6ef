/* alloc.h - allocation queues and allocations: what must be remembered of them, and what follows from it.
 *
 * Purpose    hq-allocd plans and looks, the state is here. An allocation is on record before it is submitted (planned),
 *            so that nothing is ever submitted that nobody knows of. A removed queue stays until its last allocation is
 *            known to be gone. Workers find their allocation by manager and id; that they came or went decides as much
 *            as the batch system's word.
 * Ownership  core->alloc owns queues and allocations.
 * Units      wall clock ms.
 * Limits     ALLOC_QUEUES_MAX queues, ALLOC_KEPT_MAX ended allocations a queue (the oldest go).
 * Errors     reports about what is not known, or what is over, change nothing: they may be repetitions.
 */
#ifndef HQ_HQD_CORE_ALLOC_H
#define HQ_HQD_CORE_ALLOC_H

#include "hqd/core/state.h"

#define ALLOC_QUEUES_MAX 1000u
#define ALLOC_KEPT_MAX 1000u
#define ALLOC_QUICK_MS 60000 /* a worker lost that soon after it came was never any good */

struct allocation {
    /* durable */
    uint32_t number;
    enum alloc_state state;
    uint32_t worker_count;
    char *id; /* NULL until it is queued */
    char *work_dir;
    char *text; /* why it ended; NULL = nothing to say */
    hq_wall_ms planned_ms;
    hq_wall_ms queued_ms;
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;
    /* derived: workers that named its id */
    uint32_t connected;
    uint32_t lost;
    uint32_t lost_quick; /* by connection or heartbeat, within ALLOC_QUICK_MS */
    /* link */
    char *reason; /* of the batch system; NULL = none */
    bool is_reason_permanent;
    uint64_t changed; /* alloc version */
};

struct alloc_queue {
    hq_queue_id id;
    /* durable */
    void *blob;
    struct alloc_params params;
    uint32_t owner_uid;
    bool is_paused;
    bool is_removed;    /* waits for the end of its allocations */
    char *pause_reason; /* by itself; NULL = by the user */
    char *last_error;   /* of a submission */
    void *shape_blob;
    struct hq_pools shape; /* of the worker that came last; count 0 = none came */
    uint32_t next_number;
    uint32_t submit_fails;
    uint32_t alloc_fails;
    uint32_t step;
    hq_wall_ms last_attempt_ms;
    hq_ms granted_ms;           /* node time of ended allocations */
    struct allocation **allocs; /* by number */
    size_t alloc_count;
    size_t alloc_cap;
    /* derived */
    uint32_t live_count; /* allocations that are not over */
    /* link */
    uint64_t changed;
    hq_wall_ms next_attempt_ms; /* under a rate limit; 0 = none */
    hq_ms used_ms;              /* node time with tasks, as sampled since this process started */
    uint32_t busy_workers;      /* at the last sample */
};

struct alloc_trial {
    uint64_t id;
    struct input_client from;
    void *blob;
    struct alloc_params params;
    bool is_only;
};

struct alloc {
    struct alloc_queue **queues; /* ascending */
    size_t queue_count;
    size_t queue_cap;
    struct alloc_trial **trials;
    size_t trial_count;
    size_t trial_cap;
    uint64_t next_trial;
    uint64_t version;  /* grows with each change */
    uint32_t *gone;    /* queues that are no more, in order; hq-allocd is told */
    uint64_t *gone_at; /* version */
    size_t gone_count;
    size_t gone_cap;
    size_t gone_at_cap;
    bool is_check_due; /* workers came or went */
    hq_wall_ms sampled_ms;
};

struct alloc *alloc_create(void);
void alloc_destroy(struct alloc *a);
struct alloc_queue *alloc_queue_find(const struct core *core, hq_queue_id id); /* also removed ones */
struct allocation *alloc_find(const struct alloc_queue *q, uint32_t number);
bool alloc_is_over(const struct allocation *a);
/* Allocations that are not over, of all queues. */
uint32_t alloc_live_count(const struct core *core);
const char *alloc_state_name(enum alloc_state s);

/* Node time with tasks on it, of all workers of the queue so far. */
hq_ms alloc_used_ms(const struct core *core, const struct alloc_queue *q, hq_wall_ms now_ms);
/* Which workers have tasks now; what was so at the last call counts until this one. O(workers) */
void alloc_sample(struct core *core, hq_wall_ms now_ms);

/* ---- requests and reports */
void alloc_on_add(struct ctx *ctx, const struct input *in);
void alloc_on_pause(struct ctx *ctx, const struct input *in);
void alloc_on_remove(struct ctx *ctx, const struct input *in);
void alloc_on_reports(struct ctx *ctx, const struct input *in);
/* What follows from workers that came or went since the last call. After each step. */
void alloc_check(struct ctx *ctx);

/* Deep copy into one heap block. */
struct alloc_params alloc_params_copy(const struct alloc_params *from, void **ret_blob);

/* ---- the door */
bool alloc_apply(struct core *core, const struct record *rec); /* false: not a record of ours */
void alloc_apply_worker(struct core *core, struct worker *w);
void alloc_apply_worker_lost(struct core *core, const struct worker *w);

void alloc_dump(const struct core *core, struct hq_buf *out);

#endif
