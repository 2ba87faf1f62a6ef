/* child.c - after clone the child runs on its own stack in our memory: system calls only, no libc state, no locks.
 *
 * Calls go through syscall(2), so that neither sanitizers nor the dynamic linker put their own code in between. */
#include "hq-workerd/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_SANITIZE __attribute__((no_sanitize("address", "undefined", "thread")))
#define KERNEL_SIGSET_BYTES 8 /* 64 signals */

/* The thread sanitizer's clone(3) changes the state of the calling thread in the child, which here is the same memory: from
 * then on it would see no lock of that thread. glibc's other name of the same function is left alone. */
#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifdef HAS_TSAN
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define child_clone __clone
#else
#define child_clone clone
#endif

NO_SANITIZE static void
child_fail(struct child_plan *plan, enum child_step step, int error)
{
    plan->step = step;
    plan->error = error;
    (void)syscall(SYS_exit_group, 127); /* does not return */
}

/* As execvp: what is not there is passed by, a file that may not be executed is remembered, anything else ends it. */
NO_SANITIZE static void
child_exec(struct child_plan *plan)
{
    int kept = ENOENT;
    uint32_t kept_ix = 0;

    for (uint32_t i = 0; plan->paths[i] != NULL; i++) {
        (void)syscall(SYS_execve, plan->paths[i], plan->argv, plan->envp); /* comes back only with an error */
        switch (errno) {
        case ENOENT:
        case ENOTDIR:
        case ESTALE:
        case ENODEV:
        case ETIMEDOUT:
            break;
        case EACCES:
            kept = EACCES;
            kept_ix = i;
            break;
        default:
            plan->path_ix = i;
            child_fail(plan, CHILD_STEP_EXEC, errno);
        }
    }
    plan->path_ix = kept_ix;
    child_fail(plan, CHILD_STEP_EXEC, kept);
}

/* A shell that starts hq-workerd in the background makes it ignore these two, but a cancelled task is told by SIGINT. */
NO_SANITIZE static void
child_heed_signals(void)
{
    static const unsigned long heed[4] = {0}; /* the kernel's struct sigaction: SIG_DFL, no flags, no mask */

    (void)syscall(SYS_rt_sigaction, SIGINT, heed, NULL, KERNEL_SIGSET_BYTES); /* both numbers exist: cannot fail */
    (void)syscall(SYS_rt_sigaction, SIGQUIT, heed, NULL, KERNEL_SIGSET_BYTES);
}

NO_SANITIZE static int
child_main(void *arg)
{
    struct child_plan *plan = arg;

    child_heed_signals();
    if (plan->leaf_fd > 0) { /* before anything of the task can fork. If it fails, the process group is what there is. */
        (void)syscall(SYS_write, plan->leaf_fd, "0", (size_t)1);
    }
    if (syscall(SYS_setsid) < 0) {
        child_fail(plan, CHILD_STEP_SESSION, errno);
    }
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0) {
        child_fail(plan, CHILD_STEP_SESSION, errno);
    }
    if (syscall(SYS_getppid) != plan->parent_pid) { /* it died before the line above */
        child_fail(plan, CHILD_STEP_SESSION, ESRCH);
    }
    if (plan->cpus != NULL && syscall(SYS_sched_setaffinity, 0, plan->cpus_bytes, plan->cpus) < 0) {
        child_fail(plan, CHILD_STEP_AFFINITY, errno);
    }
    if (plan->nofile != NULL && syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, plan->nofile, NULL) < 0) {
        child_fail(plan, CHILD_STEP_LIMIT, errno);
    }
    for (int fd = 0; fd < 3; fd++) { /* dup3 without flags: the copy stays open on exec */
        if (syscall(SYS_dup3, plan->fds[fd], fd, 0) < 0) {
            child_fail(plan, CHILD_STEP_FDS, errno);
        }
    }
    if (syscall(SYS_chdir, plan->cwd) < 0) {
        child_fail(plan, CHILD_STEP_CWD, errno);
    }
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, plan->mask, NULL, KERNEL_SIGSET_BYTES) < 0) {
        child_fail(plan, CHILD_STEP_SESSION, errno);
    }
    child_exec(plan);
    return 127;
}

NO_SANITIZE int
child_spawn(struct child_plan *plan, void *stack, pid_t *ret_pid, int *ret_pidfd)
{
    int pidfd = -1;

    plan->step = CHILD_STEP_NONE;
    plan->error = 0;
    plan->path_ix = 0;
    /* CLONE_VFORK: this thread sleeps until exec or exit, so stack and plan are the child's alone meanwhile. */
    pid_t pid = child_clone(child_main, (char *)stack + CHILD_STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                            plan, &pidfd);
    if (pid < 0) {
        plan->step = CHILD_STEP_CLONE;
        plan->error = errno;
        return -errno;
    }
    if (plan->step != CHILD_STEP_NONE) {
        siginfo_t info;
        while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR) {
        }
        (void)close(pidfd);
        return -plan->error;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
