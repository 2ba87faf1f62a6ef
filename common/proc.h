/* proc.h - start a program with exactly the fds given, hold it by pidfd, wait with a deadline.
 *
 * Ownership  struct hq_proc owns its pidfd until hq_proc_fini, which neither kills nor waits.
 * Threads    any; the child calls only async-signal-safe functions.
 * Errors     negative errno; a failed exec comes back as the child's errno, with the step in the text.
 */
#ifndef HQ_COMMON_PROC_H
#define HQ_COMMON_PROC_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

#include <sys/types.h>

struct hq_proc_fd {
    int from; /* ours; -1 = /dev/null */
    int to;   /* number in the child */
};

struct hq_proc_conf {
    const char *path;              /* absolute, or looked up in PATH when it has no slash */
    char *const *argv;             /* NULL-terminated */
    char *const *envp;             /* NULL = ours */
    const char *dir;               /* NULL = ours */
    const struct hq_proc_fd *fds;  /* 0, 1, 2 not named here are inherited; all else is closed on exec */
    size_t fd_count;               /* at most HQ_PROC_FDS_MAX */
    int death_signal;              /* sent when the starting *thread* ends; 0 = none */
    bool new_session;
};
#define HQ_PROC_FDS_MAX 16u

struct hq_proc {
    pid_t pid;
    int pidfd; /* readable when it has ended; -1 = none */
};
#define HQ_PROC_INIT ((struct hq_proc){.pid = 0, .pidfd = -1})

HQ_MUST_CHECK int hq_proc_start(struct hq_proc *ret, const struct hq_proc_conf *conf, struct hq_err *err);
int hq_proc_kill(const struct hq_proc *p, int sig); /* -ESRCH after its end */
/* Reaps without waiting: -EAGAIN while it runs. *ret_status as of waitpid. */
HQ_MUST_CHECK int hq_proc_reap(struct hq_proc *p, int *ret_status);
/* Blocks at most timeout_ms (< 0: no limit), then reaps; -ETIMEDOUT. For hq and tests, never in a loop thread. */
HQ_MUST_CHECK int hq_proc_wait(struct hq_proc *p, hq_ms timeout_ms, int *ret_status);
void hq_proc_fini(struct hq_proc *p); /* also the cleanup form */
/* Runs to the end, `in` on stdin, stdout and stderr collected up to bytes_max each (the rest is dropped). Kills at the deadline:
 * -ETIMEDOUT. fds of conf must not name 0, 1, 2. Blocking: for hq and tests. */
HQ_MUST_CHECK int hq_proc_run(const struct hq_proc_conf *conf, struct hq_str in, struct hq_buf *ret_out,
                              struct hq_buf *ret_err, size_t bytes_max, hq_ms timeout_ms, int *ret_status,
                              struct hq_err *err);
/* "exit status 3", "signal 9" */
void hq_proc_describe(struct hq_buf *out, int status);

#endif
