/* run.h - one run of a task: files opened, process made, end turned into an outcome.
 *
 * Purpose    everything of a launch that may block (files, directories, the exec itself), for launcher threads.
 * Ownership  struct run lies in its slot; run_start fills it, run_end releases what it holds.
 * Threads    launcher threads, one at a time per run.
 * Errors     run_start: 0; RUN_SCARCE (positive): out of fds, memory or processes, try again later, nothing is left
 *            behind; negative errno with the task's error text.
 */
#ifndef HQ_WORKERD_RUN_H
#define HQ_WORKERD_RUN_H

#include "hq-workerd/cgroup_leaf.h"
#include "hq-workerd/core/event.h"
#include "hq-workerd/prepare.h"
#include "hq-workerd/stream.h"

#define RUN_SCARCE 1
#define RUN_SECRET_BYTES 24 /* "hq0-1f-" and eight letters or digits */

struct run_conf { /* of the worker */
    struct prepare_conf prepare;
    const char *work_dir;
    int null_in;                  /* /dev/null, above 2 */
    int null_out;
    const sigset_t *task_mask;
    const struct rlimit *task_nofile; /* NULL = ours */
    pid_t pid;                    /* ours */
    struct streams *streams;
    struct leaves *leaves;        /* NULL = no control groups */
};

struct run {
    struct lane_task task;
    const struct image *image;
    uint64_t serial;              /* counts all runs of the process, from 1 */
    char secret[RUN_SECRET_BYTES]; /* of HQ_ACCESS_KEY */
    pid_t pid;                    /* kept by the launcher under its lock; 0 = none, or being reaped */
    int pidfd;
    hq_wall_ms started_ms;        /* 0 = failed before anything of it was seen */
    struct stream *stream;        /* streamed channels; NULL = none */
    char *task_dir;
    char *out_remove;             /* to be removed after success */
    char *err_remove;
    enum run_why why;             /* the same: why we ended it, if we did */
    struct leaf leaf;             /* of the slot: one task after the other */
    int exit_code;                /* after run_end: as a shell shows it; -1 before */
};

struct run_thread { /* of one launcher thread */
    const struct run_conf *conf;
    struct scratch scratch;
    void *stack;
};
HQ_MUST_CHECK int run_thread_init(struct run_thread *t, const struct run_conf *conf);
void run_thread_fini(struct run_thread *t);

/* `run` has task, image, serial and secret. */
HQ_MUST_CHECK int run_start(struct run_thread *t, struct run *run, const struct grant *grant, pid_t *ret_pid,
                            struct hq_err *err);
/* Kills what is left of the process group, reaps, cleans up. RUN_END_FINISHED or RUN_END_FAILED with text in *ret_error. */
enum run_end run_end(struct run *run, pid_t pid, enum run_why why, struct hq_buf *ret_error);
/* Releases what a run holds that was never started. */
void run_abandon(struct run *run);
/* "SIGKILL"; "unknown" for those without a name here. */
const char *run_signal_name(int sig);

#endif
