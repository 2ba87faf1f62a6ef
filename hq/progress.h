/* progress.h - the progress line: drawn from counters, rewritten in place.
 *
 * Purpose    job progress, submit --progress (present form) and hq progress (form of 0.18).
 * Errors     those of follow.h.
 */
#ifndef HQ_HQ_PROGRESS_H
#define HQ_HQ_PROGRESS_H

#include "hq/follow.h"

enum progress_form {
    PROGRESS_NOW = 0,
    PROGRESS_OLD = 1,       /* "(4 RUNNING, 232 FINISHED)" */
    PROGRESS_SUBMITTED = 2, /* as NOW, of a job submitted just now: shown although it may have ended already */
};

/* Shows the jobs until all are completed. *ret_failed, *ret_canceled: did any task end so? (NULL allowed) */
HQ_MUST_CHECK int progress_run(struct hq_cli *cli, const struct hq_selector *jobs, enum progress_form form,
                               bool *ret_failed, bool *ret_canceled, struct hq_err *err);
/* One line without the redraw sequence. */
void progress_line(struct hq_buf *b, Hq__JobInfo *const *jobs, size_t count, enum progress_form form, bool with_color);

#endif
