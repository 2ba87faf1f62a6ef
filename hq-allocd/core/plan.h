/* plan.h - from demand and limits to submissions.
 *
 * Purpose    one queue at a time: what is wanted, what waits already and what the user allows become a list of
 *            allocations to submit, each with its number of workers (nodes).
 * Ownership  arrays are the caller's.
 * Threads    pure: no clock, no system call.
 * Units      workers = nodes.
 * Limits     PLAN_SUBMITS_MAX allocations in one plan: a larger backlog is filled by the next plans.
 * Cost       O(allocations x sizes wanted).
 */
#ifndef HQ_HQ_ALLOCD_PLAN_H
#define HQ_HQ_ALLOCD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_SUBMITS_MAX 256u

struct plan_alloc {
    uint32_t workers; /* asked for */
    bool is_queued;   /* counts against the backlog: planned, or accepted and not started */
    uint32_t awaited; /* workers that have not connected yet: what they will take is settled */
};

struct plan_nodes { /* count allocations of at least that many nodes */
    uint32_t nodes;
    uint32_t count;
};

struct plan_queue {
    uint32_t backlog;
    uint32_t max_workers_per_alloc;
    uint32_t max_workers;            /* queued and running over the queue; 0 = no limit */
    const struct plan_alloc *allocs; /* those that are not over */
    size_t alloc_count;
    uint32_t single; /* single-node workers that would get work */
    const struct plan_nodes *multi;
    size_t multi_count;
    uint32_t keep_warm; /* workers wanted whatever the demand */
    uint32_t ending;    /* workers of allocations near their end whose work goes on: to be replaced */
};

/* Workers of each allocation to submit, in order; at most `cap`. */
size_t plan_submits(const struct plan_queue *q, uint32_t *ret_workers, size_t cap);

#endif
