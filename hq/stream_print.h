/* stream_print.h - the results of `output-log` and of the older `log` over an opened stream index.
 *
 * Purpose    one function for each sub-command; the old form has task ids only and says when a stream closes.
 * Ownership  none kept.
 * Errors     -ENOENT "Job 9 not found", "Task 5 not found"; -EBUSY "Stream for task 0 is not finished"; -EBADMSG damaged data.
 */
#ifndef HQ_HQ_STREAM_PRINT_H
#define HQ_HQ_STREAM_PRINT_H

#include "common/out.h"
#include "common/ranges.h"
#include "hq/stream_index.h"

struct stream_select {
    hq_job_id job;                 /* 0 = all (show only) */
    const struct hq_ranges *tasks; /* NULL = all of the job; printed in this order */
    int channel;                   /* -1 = both (show only) */
    bool allow_unfinished;
    bool is_old;                   /* `hq log`: no job ids */
    bool show_empty;               /* old form: close lines of tasks that printed nothing too */
};

void stream_print_summary(const struct stream_index *ix, const char *path, bool is_old, struct hq_out *out);
void stream_print_jobs(const struct stream_index *ix, struct hq_out *out);
HQ_MUST_CHECK int stream_print_show(const struct stream_index *ix, const struct stream_select *sel, struct hq_out *out,
                                    struct hq_err *err);
HQ_MUST_CHECK int stream_print_cat(const struct stream_index *ix, const struct stream_select *sel, struct hq_out *out,
                                   struct hq_err *err);
HQ_MUST_CHECK int stream_print_export(const struct stream_index *ix, const struct stream_select *sel,
                                      struct hq_out *out, struct hq_err *err);

#endif
