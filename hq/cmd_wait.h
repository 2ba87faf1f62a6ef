/* cmd_wait.h - waiting for jobs, shared by job wait and submit --wait.
 *
 * Errors     as follow.h: 0 only if all jobs were seen completed.
 */
#ifndef HQ_HQ_CMD_WAIT_H
#define HQ_HQ_CMD_WAIT_H

#include "hq/follow.h"

/* Blocks until every selected job is completed (without_close: terminated). with_fail: exit status 1 when a job failed
 * or was canceled (text in err). Unknown ids are logged. */
HQ_MUST_CHECK int wait_for_jobs(struct hq_cli *cli, const struct selector *jobs, bool without_close, bool with_fail,
                                struct hq_err *err);

#endif
