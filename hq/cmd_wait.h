/* cmd_wait.h - waiting for jobs: job wait, job progress, the older hq wait and hq progress; shared with submit --wait.
 *
 * Ownership  argument structs lie in the arena of the parser.
 * Errors     as follow.h: 0 only if all jobs were seen completed.
 */
#ifndef HQ_HQ_CMD_WAIT_H
#define HQ_HQ_CMD_WAIT_H

#include "hq/follow.h"

struct job_wait_args {
    struct hq_selector jobs;
    bool without_close;
    bool fail;
};
#define JOB_WAIT_OPTS 3
extern const struct hq_opt job_wait_opts[JOB_WAIT_OPTS];

struct job_progress_args {
    struct hq_selector jobs;
    bool fail;
};
#define JOB_PROGRESS_OPTS 2
extern const struct hq_opt job_progress_opts[JOB_PROGRESS_OPTS];
#define OLD_WAIT_OPTS 1
extern const struct hq_opt old_wait_opts[OLD_WAIT_OPTS]; /* hq wait, hq progress; struct job_progress_args */

/* Blocks until every selected job is completed (without_close: terminated). with_fail: exit status 1 when a job failed
 * or was canceled (text in err). Unknown ids are logged. */
HQ_MUST_CHECK int wait_for_jobs(struct hq_cli *cli, const struct hq_selector *jobs, bool without_close, bool with_fail,
                                struct hq_err *err);

#endif
