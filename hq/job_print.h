/* job_print.h - results of job commands in the three output modes (spec section "Jobs").
 *
 * Purpose    printing only: answers go in, text comes out, so that hand-made answers test it.
 * Threads    pure but for `out`.
 * Units      ms.
 */
#ifndef HQ_HQ_JOB_PRINT_H
#define HQ_HQ_JOB_PRINT_H

#include "common/out.h"
#include "common/out_json.h"
#include "hq/paths.h"

#include "proto/client.pb-c.h"

void job_print_submitted(struct hq_out *out, uint32_t job); /* submit, submit-file */
void job_print_opened(struct hq_out *out, uint32_t job);

/* ---- job list */
struct job_list_print {
    Hq__JobInfo *const *jobs;
    size_t count;
    uint64_t total_count; /* of all jobs hqd knows */
    bool is_verbose;
};
void job_print_list(struct hq_out *out, const struct job_list_print *l);
void job_print_summary(struct hq_out *out, const uint64_t counts[HQ_STATES]); /* by enum hq_task_state */
/* {"cancel_reason": ..., "task_stats": {...}} */
void job_json_info(struct hq_json *j, const Hq__JobInfo *job);

/* ---- job info */
struct job_detail {
    const Hq__JobDetailAnswer *answer; /* of the first page */
    Hq__TaskDesc **descs;              /* by number, all pages */
    size_t desc_count;
    size_t desc_cap;
};
void job_print_info(struct hq_out *out, const struct job_detail *d, struct hq_arena *arena);
void job_print_failed(struct hq_out *out,
                      const Hq__JobDetailAnswer *a); /* the table of failed tasks, if there are any */
/* Everything of the JSON object but the tasks: opens the object, ends behind the key "tasks". */
void job_json_detail(struct hq_json *j, const struct job_detail *d, struct hq_arena *arena);
/* The submit that a description belongs to; NULL = damaged answer. */
const Hq__SubmitInfo *job_detail_submit(const struct job_detail *d, uint32_t desc_id);
void job_detail_paths(struct paths *ret, const struct job_detail *d, const Hq__SubmitInfo *submit,
                      const Hq__TaskDesc *desc, struct hq_arena *arena);

#endif
