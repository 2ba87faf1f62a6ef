/* query_alloc.h - read-only answers about allocation queues, and what the scheduler would give their workers.
 *
 * Purpose    as query.h: the shell turns them into messages.
 * Ownership  arrays lie in the caller's arena; strings, parameters and pools point into the core until its next change.
 * Units      wall clock ms, 0 = never.
 */
#ifndef HQ_HQD_CORE_QUERY_ALLOC_H
#define HQ_HQD_CORE_QUERY_ALLOC_H

#include "common/arena.h"
#include "hqd/core/core.h"

/* Queues that are still there (removed ones too, while they have live allocations), ascending; highest id ever given. */
uint32_t query_alloc_ids(const struct core *core, struct hq_arena *arena, const uint32_t **ret, size_t *ret_count);
/* Grows with each change; hq-allocd asks for what is newer than what it knows. */
uint64_t query_alloc_version(const struct core *core);
/* Is there something for hq-allocd to do or to watch? */
bool query_alloc_is_needed(const struct core *core);
uint32_t query_alloc_live_count(const struct core *core);

struct query_allocation {
    uint32_t number;
    struct hq_str allocation_id;
    enum alloc_state state;
    uint32_t worker_count;
    struct hq_str work_dir;
    hq_wall_ms planned_ms;
    hq_wall_ms queued_ms;
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;
    uint32_t connected;
    uint32_t lost;
    struct hq_str reason;
    bool is_reason_permanent;
    struct hq_str text;
};

struct query_alloc_queue {
    hq_queue_id queue;
    const struct alloc_params *params;
    bool is_paused;
    bool is_removed;
    struct hq_str pause_reason;
    struct hq_str last_error;
    const struct hq_pools *shape; /* NULL = no worker came yet */
    uint32_t next_number;
    uint32_t submit_fails;
    uint32_t alloc_fails;
    uint32_t step;
    hq_wall_ms last_attempt_ms;
    hq_wall_ms next_attempt_ms; /* under a rate limit; 0 = none */
    uint32_t queued_count;      /* allocations: planned ones too */
    uint32_t running_count;
    hq_ms granted_ms; /* node time, running ones up to now */
    hq_ms used_ms;    /* of that, with tasks */
    struct query_allocation *allocs;
    size_t alloc_count;
};

struct query_alloc_args {
    hq_queue_id queue;           /* none = all */
    struct hq_str allocation_id; /* not empty: that allocation alone, whatever its queue */
    bool with_allocs;            /* those of the queues */
    bool with_planned;           /* also those that are not submitted yet */
    bool with_removed;           /* also queues that are being removed */
    bool only_live; /* those that are not over or ended an hour ago, and those that changed after `since` */
    uint32_t after_number;
    uint64_t since; /* version: only what changed after it; 0 = all */
    size_t bytes_max;
    hq_wall_ms now_ms;
};
struct query_alloc_list {
    struct query_alloc_queue *queues; /* ascending */
    size_t count;
    bool has_more; /* allocations of the last queue */
};
void query_alloc_list(const struct core *core, const struct query_alloc_args *args, struct hq_arena *arena,
                      struct query_alloc_list *ret);

/* Queues that are no more since that version. */
void query_alloc_gone(const struct core *core, uint64_t since, struct hq_arena *arena, uint32_t **ret,
                      size_t *ret_count);

struct query_alloc_trial {
    uint64_t trial;
    const struct alloc_params *params;
};
void query_alloc_trials(const struct core *core, struct hq_arena *arena, struct query_alloc_trial **ret,
                        size_t *ret_count);

struct query_demand_nodes {
    uint32_t nodes;
    uint32_t count;
};
struct query_demand {
    hq_queue_id queue;
    uint32_t single; /* workers that would get at least one task */
    struct query_demand_nodes *multi;
    size_t multi_count;
    uint32_t ending; /* workers that end within the lead time while work goes on */
};
/* Of active queues with room, ascending (hqd/sched/demand.c). */
void query_demand(struct core *core, const struct core_now *now, struct hq_arena *arena, struct query_demand **ret,
                  size_t *ret_count);

#endif
