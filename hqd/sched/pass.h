/* pass.h - one scheduling pass: which ready tasks go to which worker.
 *
 * Purpose    plans on scratch copies of what is free, then emits assignments, one record and command per worker, job
 * and stretch. Order: priority, then (equal priority) what uses most of what is free on that worker, then age. A class
 * that is left over holds back what it could use from lower priorities. Cost       O(classes x workers looked at):
 * those where something changed, or all when a class became ready. Never O(tasks).
 */
#ifndef HQ_HQD_SCHED_PASS_H
#define HQ_HQD_SCHED_PASS_H

#include "hqd/core/state.h"

struct pass {
    struct ctx *ctx;
    struct core *core;
    struct worker **workers; /* looked at, by id; those with a minimal utilization last */
    size_t worker_count;
    double *free_sum; /* of all workers by resource, NULL = not added up yet */
    uint32_t res_count; /* of free_sum */
    uint32_t nodes_left; /* steps of search that this pass may still make */
};

/* Steps of search that a pass may make where several classes compete: half a millisecond. */
#define PASS_NODES_MAX 8000u

void pass_run(struct ctx *ctx);
/* May get single-node tasks in this pass. */
bool pass_is_open(const struct worker *w);
/* Gives n ready tasks of the class to the worker. */
void pass_assign(struct pass *p, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n);
/* Number that the next run of a task will have. */
uint32_t pass_instance(const struct job *job, uint32_t pos);

#endif
