/* spawn_limit.c - how many programs this machine can start and reap in a second, with nothing else around them.
 *
 * Every figure of hq with real processes is given as a ratio to this one. P threads share a counter of tasks; each
 * keeps up to `-j` children alive: posix_spawn, then reap the oldest. One child per thread (the default) is what a
 * worker of P cpus may run at once. With -o each child gets two fresh files as stdout and stderr, as a task of hq does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/count.h"

#define THREADS_MAX 256u
#define CHILDREN_MAX 64u

extern char **environ;

struct plan {
    char **argv;
    const char *out_dir; /* NULL = children keep our stdout and stderr */
    uint32_t task_count;
    uint32_t children; /* alive at once, per thread */
    bool use_pidfd;
    _Atomic uint32_t next;
    _Atomic uint32_t failed;
};

struct child {
    pid_t pid;
    int pidfd; /* -1 = reaped by waitpid */
};

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* 0 or a positive errno, as posix_spawn. */
static int
spawn_task(const struct plan *plan, uint32_t task, struct child *ret)
{
    posix_spawn_file_actions_t actions;
    char out[4096], err[4096];
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    int rc;

    if (plan->out_dir == NULL) {
        rc = posix_spawn(&ret->pid, plan->argv[0], NULL, NULL, plan->argv, environ);
    } else {
        (void)snprintf(out, sizeof out, "%s/%u.stdout", plan->out_dir, task);
        (void)snprintf(err, sizeof err, "%s/%u.stderr", plan->out_dir, task);
        rc = posix_spawn_file_actions_init(&actions);
        if (rc != 0) {
            return rc;
        }
        rc = posix_spawn_file_actions_addopen(&actions, 1, out, flags, 0666);
        if (rc == 0) {
            rc = posix_spawn_file_actions_addopen(&actions, 2, err, flags, 0666);
        }
        if (rc == 0) {
            rc = posix_spawn(&ret->pid, plan->argv[0], &actions, NULL, plan->argv, environ);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    ret->pidfd = -1;
    if (rc == 0 && plan->use_pidfd) {
        ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0u);
    }
    return rc;
}

static bool
reap_ok(struct child *child)
{
    siginfo_t info;
    int status = 0;

    if (child->pidfd >= 0) {
        memset(&info, 0, sizeof info);
        while (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
        }
        close(child->pidfd);
        return info.si_code == CLD_EXITED && info.si_status == 0;
    }
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void *
launch_thr(void *arg)
{
    struct plan *plan = arg;
    struct child ring[CHILDREN_MAX];
    uint32_t head = 0, alive = 0;

    for (;;) {
        uint32_t task = atomic_fetch_add(&plan->next, 1);

        if (task < plan->task_count) {
            if (alive == plan->children) {
                if (!reap_ok(&ring[head % CHILDREN_MAX])) {
                    atomic_fetch_add(&plan->failed, 1);
                }
                head++;
                alive--;
            }
            if (spawn_task(plan, task, &ring[(head + alive) % CHILDREN_MAX]) == 0) {
                alive++;
            } else {
                atomic_fetch_add(&plan->failed, 1);
            }
            continue;
        }
        while (alive > 0) {
            if (!reap_ok(&ring[head % CHILDREN_MAX])) {
                atomic_fetch_add(&plan->failed, 1);
            }
            head++;
            alive--;
        }
        return NULL;
    }
}

static int
usage(void)
{
    fputs("usage: spawn_limit [-n TASKS] [-p THREADS] [-j CHILDREN] [-o DIR] [-w waitpid|pidfd] PROGRAM [ARGS]\n"
          "Starts PROGRAM (an absolute path) TASKS times; prints one line: tasks, threads, seconds, tasks per second.\n",
          stderr);
    return 2;
}

int
main(int argc, char **argv)
{
    struct plan plan = {.task_count = 10000, .children = 1};
    pthread_t threads[THREADS_MAX];
    uint32_t thread_count = 2, started = 0;
    int64_t begin_ns, spent_ns;
    int opt;

    while ((opt = getopt(argc, argv, "+n:p:j:o:w:")) != -1) {
        switch (opt) {
        case 'n':
            plan.task_count = parse_count(optarg, 100000000);
            break;
        case 'p':
            thread_count = parse_count(optarg, THREADS_MAX);
            break;
        case 'j':
            plan.children = parse_count(optarg, CHILDREN_MAX);
            break;
        case 'o':
            plan.out_dir = optarg;
            break;
        case 'w':
            if (strcmp(optarg, "pidfd") != 0 && strcmp(optarg, "waitpid") != 0) {
                return usage();
            }
            plan.use_pidfd = strcmp(optarg, "pidfd") == 0;
            break;
        default:
            return usage();
        }
    }
    if (optind >= argc || plan.task_count == 0 || thread_count == 0 || plan.children == 0) {
        return usage();
    }
    plan.argv = argv + optind;
    if (plan.out_dir != NULL && mkdir(plan.out_dir, 0777) < 0 && errno != EEXIST) {
        perror(plan.out_dir);
        return 1;
    }

    begin_ns = now_ns();
    while (started < thread_count && pthread_create(&threads[started], NULL, launch_thr, &plan) == 0) {
        started++;
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    spent_ns = now_ns() - begin_ns;

    printf("tasks=%u threads=%u children=%u wait=%s files=%s failed=%u seconds=%.3f per_second=%.0f\n",
           plan.task_count, started, plan.children, plan.use_pidfd ? "pidfd" : "waitpid",
           plan.out_dir != NULL ? "yes" : "no", atomic_load(&plan.failed), (double)spent_ns / 1e9,
           (double)plan.task_count * 1e9 / (double)spent_ns);
    return started == thread_count && atomic_load(&plan.failed) == 0 ? 0 : 1;
}
