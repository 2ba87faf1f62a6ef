/* job_fetch.h - what several commands ask hqd about jobs.
 *
 * Ownership  answers lie in the arena given.
 * Errors     those of client_call. A job that does not exist is no error: *ret_found is false.
 */
#ifndef HQ_HQ_JOB_FETCH_H
#define HQ_HQ_JOB_FETCH_H

#include "hq/commands.h"
#include "hq/job_print.h"
#include "hq/selector_wire.h"

struct job_set {     /* the jobs of a selection */
    Hq__JobInfo **v; /* ascending */
    size_t count;
    size_t cap;
    uint32_t *not_found; /* ids of a selection by ranges, ascending */
    size_t not_found_count;
    size_t not_found_cap;
    uint64_t total_count;
    uint32_t last_job; /* highest id ever given, 0 = none */
};
struct job_set_query {
    const struct hq_selector *jobs; /* NULL = all */
    uint32_t state_mask;            /* bits by enum hq_task_state; 0 = every state */
    bool plus_open;
};

/* All pages of a job list. */
HQ_MUST_CHECK int job_fetch_set(struct hq_cli *cli, const struct job_set_query *q, struct job_set *ret,
                                struct hq_arena *arena, struct hq_err *err);
/* Puts the jobs into the order in which the selector names them. */
void job_set_order(struct job_set *set, const struct hq_selector *jobs, struct hq_arena *arena);
/* As keys of a JSON object are sorted: "10" before "2". */
void job_set_order_as_text(struct job_set *set);
/* with_descs: all pages of descriptions too, else the first one. */
HQ_MUST_CHECK int job_fetch_detail(struct hq_cli *cli, uint32_t job, bool with_descs, struct job_detail *ret,
                                   bool *ret_found, struct hq_arena *arena, struct hq_err *err);
/* Id of the one job that is meant; *ret_found false for "last" without any job. */
HQ_MUST_CHECK int job_fetch_one(struct hq_cli *cli, const struct hq_selector *job, uint32_t *ret, bool *ret_found,
                                struct hq_err *err);

#endif
