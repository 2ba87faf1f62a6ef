/* taskdir.h - a task's own directory: made in the work directory, removed with its contents when the task ends.
 *
 * Purpose    HQ_TASK_DIR, the error file in it (HQ_ERROR_FILENAME), and host files of multi-node tasks.
 * Ownership  paths are heap memory of the caller.
 * Threads    launcher threads.
 * Errors     negative errno.
 * Limits     TASKDIR_ERROR_BYTES of an error file are read; TASKDIR_DEPTH_MAX levels are removed.
 */
#ifndef HQ_WORKERD_TASKDIR_H
#define HQ_WORKERD_TASKDIR_H

#include "common/err.h"
#include "common/str.h"

#define TASKDIR_ERROR_NAME "hq-error"
#define TASKDIR_NODE_NAME "hq-nodefile"
#define TASKDIR_HOST_NAME "hq-hostfile"
#define TASKDIR_ERROR_BYTES 2048u
#define TASKDIR_DEPTH_MAX 512u

HQ_MUST_CHECK int taskdir_create(char **ret, const char *work_dir, struct hq_err *err);
/* hq-hostfile with the full names, hq-nodefile with the short ones, one per line in the order given. */
HQ_MUST_CHECK int taskdir_write_hosts(const char *dir, const struct hq_str *hosts, size_t count, struct hq_err *err);
/* Name up to its first dot; names of digits and dots only stay whole. */
struct hq_str taskdir_short_name(struct hq_str host);
/* Appends the error text that the task left behind; false without such a file. */
bool taskdir_read_error(const char *dir, struct hq_buf *ret);
void taskdir_remove(const char *dir); /* follows no links; what cannot be removed stays */

#endif
