/* task_print.h - tasks in the three output modes (spec section "Tasks").
 *
 * Purpose    printing only: rows go in, text comes out, so that hand-made answers test it.
 * Threads    pure but for `out`.
 * Units      ms; the offset of the local time zone comes from the caller.
 */
#ifndef HQ_HQ_TASK_PRINT_H
#define HQ_HQ_TASK_PRINT_H

#include "common/out_json.h"
#include "common/out_table.h"
#include "hq/job_print.h"
#include "hq/task_page.h"

/* Paths of the descriptions of one job, made when first needed. */
struct task_paths {
    const struct job_detail *detail;
    struct paths *v;
    bool *is_made;
    struct hq_arena *arena;
};
void task_paths_init(struct task_paths *p, const struct job_detail *d, struct hq_arena *arena);
/* NULL when the job has no such description (a damaged answer, or one that is older than the task). */
const struct paths *task_paths_get(struct task_paths *p, uint32_t desc_id);

/* One task object. */
void task_json(struct hq_json *j, const struct task_row *row, const struct paths *paths);

/* ---- task list */
struct task_list_print {
    struct hq_table table;
    bool with_job;
    bool is_verbose;
    bool has_cut; /* an error message was cut */
};
void task_list_init(struct task_list_print *l, bool with_job, bool is_verbose);
void task_list_fini(struct task_list_print *l);
void task_list_add(struct task_list_print *l, uint32_t job, const struct task_row *row, const struct task_pages *pages);

/* ---- task info */
struct task_info_print {
    const Hq__TaskDesc *desc;
    const struct paths *paths;
    int32_t utc_offset_s;
    bool is_verbose;
};
/* *ret_cut is set when the error message was cut, else left alone. pages: for the names of several workers. */
void task_print_info(struct hq_out *out, const struct task_row *row, const struct task_info_print *info,
                     const struct task_pages *pages, bool *ret_cut);

#endif
