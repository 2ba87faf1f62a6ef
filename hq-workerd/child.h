/* child.h - the few steps between clone and exec.
 *
 * Purpose    child_spawn starts one program from a finished plan: vfork-like clone with a pidfd, then only system calls.
 *            The child shares our memory until exec, so it writes step and errno of a failure straight into the plan.
 * Ownership  the plan and all it points to belong to the caller and stay untouched until child_spawn returns.
 * Threads    any thread whose signals are all blocked and which lives as long as the process (the parent-death signal is
 *            tied to it); one call at a time per stack.
 * Errors     negative errno; plan->step says which step failed (CHILD_STEP_CLONE: no process was made).
 * Limits     CHILD_STACK_BYTES: the child calls nothing deep.
 */
#ifndef HQ_WORKERD_CHILD_H
#define HQ_WORKERD_CHILD_H

#include "common/base.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#define CHILD_STACK_BYTES ((size_t)65536)

enum child_step {
    CHILD_STEP_NONE = 0,
    CHILD_STEP_CLONE,
    CHILD_STEP_SESSION,
    CHILD_STEP_AFFINITY,
    CHILD_STEP_LIMIT,
    CHILD_STEP_FDS,
    CHILD_STEP_CWD,
    CHILD_STEP_EXEC,
};

struct child_plan {
    const char *const *paths; /* NULL-terminated: tried in order as execvp does */
    char *const *argv;
    char *const *envp;
    const char *cwd;
    int fds[3];                     /* become 0, 1, 2; all above 2 */
    const cpu_set_t *cpus;          /* NULL = as we are */
    size_t cpus_bytes;
    const sigset_t *mask;           /* signal mask of the program */
    const struct rlimit *nofile;    /* NULL = as we have it */
    pid_t parent_pid;               /* ours */
    int leaf_fd;                    /* cgroup.procs of the task's control group; 0 = none */
    /* written by the child when it fails */
    enum child_step step;
    int error;                      /* positive errno */
    uint32_t path_ix;               /* of the path that error is about */
};

/* Returns 0 with *ret_pid and *ret_pidfd (CLOEXEC) once the program runs. `stack` is CHILD_STACK_BYTES long. */
HQ_MUST_CHECK int child_spawn(struct child_plan *plan, void *stack, pid_t *ret_pid, int *ret_pidfd);

#endif
