#include "hq-workerd/stepd/ranks.h"

#include <dirent.h>
#include <ev.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/proc.h"

#define SWEEP_PAUSE_MS 5
#define STAT_BYTES_MAX 4096u

struct rank {
    struct ranks *owner;
    struct hq_proc proc;
    ev_io ended;
};

struct ranks {
    struct ev_loop *loop;
    ranks_end_fn fn;
    void *ctx;
    ev_signal child; /* orphans that ended: reaped at once */
    uint32_t count, running;
    struct rank v[];
};

static bool
is_rank(const struct ranks *r, pid_t pid)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->v[i].proc.pidfd >= 0 && r->v[i].proc.pid == pid) {
            return true;
        }
    }
    return false;
}

/* Reaps ended orphans. Stops at a rank: its own watcher is about to run, and calls us again. */
static void
reap_orphans(struct ranks *r)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        if (is_rank(r, info.si_pid)) {
            return;
        }
        (void)waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

static void
ranks_on_child(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    reap_orphans(w->data);
}

static void
rank_on_ended(struct ev_loop *loop, ev_io *w, int revents)
{
    struct rank *k = w->data;
    struct ranks *r = k->owner;
    int status = 0;

    (void)revents;
    int rc = hq_proc_reap(&k->proc, &status);
    if (rc == -EAGAIN) {
        return;
    }
    ev_io_stop(loop, w);
    if (rc < 0) { /* nobody else waits for it: not reached unless the kernel lies */
        hq_proc_fini(&k->proc);
        status = SIGKILL;
    }
    r->running--;
    reap_orphans(r);
    struct rank_end end = {.code = WEXITSTATUS(status)};
    if (WIFSIGNALED(status)) {
        end = (struct rank_end){.code = 128 + WTERMSIG(status), .signal = WTERMSIG(status)};
    }
    r->fn(r->ctx, (uint32_t)(k - r->v), end);
}

int
ranks_create(struct ranks **ret, struct ev_loop *loop, uint32_t count, ranks_end_fn fn, void *ctx, struct hq_err *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        return hq_err_sys(err, -errno, "Cannot become the reaper of the ranks' processes");
    }
    struct ranks *r = hq_try_alloc(sizeof(*r) + count * sizeof(r->v[0]));
    if (r == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot host %u ranks", count);
    }
    r->loop = loop;
    r->fn = fn;
    r->ctx = ctx;
    r->count = count;
    for (uint32_t i = 0; i < count; i++) {
        r->v[i].owner = r;
        r->v[i].proc = HQ_PROC_INIT;
    }
    ev_signal_init(&r->child, ranks_on_child, SIGCHLD);
    r->child.data = r;
    ev_signal_start(loop, &r->child);
    *ret = r;
    return 0;
}

void
ranks_destroy(struct ranks *r)
{
    if (r == NULL) {
        return;
    }
    ev_signal_stop(r->loop, &r->child);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->v[i].proc.pidfd >= 0) {
            (void)hq_proc_kill(&r->v[i].proc, SIGKILL); /* it may have ended */
            ev_io_stop(r->loop, &r->v[i].ended);
            hq_proc_fini(&r->v[i].proc);
        }
    }
    free(r);
}

/* Cpus are inherited: ours are changed for the moment of the start. */
static int
start_bound(struct hq_proc *ret, const struct hq_proc_conf *conf, const struct rank_spec *spec, struct hq_err *err)
{
    if (spec->cpus == NULL) {
        return hq_proc_start(ret, conf, err);
    }
    hwloc_cpuset_t before = hwloc_bitmap_alloc();
    bool is_known = hwloc_get_cpubind(spec->topology, before, HWLOC_CPUBIND_THREAD) == 0;
    /* Where binding is not allowed a rank runs unbound: slower, not wrong. */
    bool is_bound = is_known && hwloc_set_cpubind(spec->topology, spec->cpus, HWLOC_CPUBIND_THREAD) == 0;
    int rc = hq_proc_start(ret, conf, err);
    if (is_bound) {
        (void)hwloc_set_cpubind(spec->topology, before, HWLOC_CPUBIND_THREAD);
    }
    hwloc_bitmap_free(before);
    return rc;
}

/* The sentences of a task that cannot be started. */
static int
start_failed(struct hq_err *err, int rc, char *const *argv)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    hq_buf_cstr(&text, "Cannot execute \"");
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (i > 0) {
            hq_buf_byte(&text, ' ');
        }
        hq_buf_utf8_lossy(&text, hq_str_from(argv[i]));
    }
    hq_buf_printf(&text, "\": %s", hq_err_os(rc));
    if (rc == -ENOENT) {
        hq_buf_printf(&text, "\nThe program that you have tried to execute (`%s`) was not found.", argv[0]);
    }
    return hq_err_set(err, rc, "%s", text.ptr);
}

int
ranks_start(struct ranks *r, uint32_t local, const struct rank_spec *spec, struct hq_err *err)
{
    HQ_ASSERT(local < r->count);
    struct rank *k = &r->v[local];
    HQ_ASSERT(k->proc.pidfd < 0);
    struct hq_proc_fd fds[] = {
        {.from = spec->stdio[0], .to = 0},
        {.from = spec->stdio[1], .to = 1},
        {.from = spec->stdio[2], .to = 2},
        {.from = spec->pmi_fd, .to = RANKS_PMI_FD},
    };
    struct hq_proc_conf conf = {
        .path = spec->argv[0],
        .argv = spec->argv,
        .envp = spec->envp,
        .fds = fds,
        .fd_count = spec->pmi_fd < 0 ? 3 : 4,
        .death_signal = SIGKILL,
        /* The kernel shares cpus out by session where autogroups are on: else ranks that spin would get one share for all. */
        .new_session = true,
    };

    int rc = start_bound(&k->proc, &conf, spec, err);
    if (rc < 0) {
        return start_failed(err, rc, spec->argv);
    }
    r->running++;
    ev_io_init(&k->ended, rank_on_ended, k->proc.pidfd, EV_READ);
    k->ended.data = k;
    ev_io_start(r->loop, &k->ended);
    return 0;
}

bool
ranks_has_ended(const struct ranks *r, uint32_t local)
{
    struct pollfd p = {.fd = r->v[local].proc.pidfd, .events = POLLIN};

    return p.fd < 0 || poll(&p, 1, 0) > 0;
}

uint32_t
ranks_running(const struct ranks *r)
{
    return r->running;
}

void
ranks_signal(struct ranks *r, int sig)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->v[i].proc.pidfd >= 0) {
            (void)hq_proc_kill(&r->v[i].proc, sig); /* it may have ended */
        }
    }
}

/* Parent of a process; 0 when it is gone. The name in /proc/PID/stat may hold anything: the last ')' ends it. */
static pid_t
parent_of(const char *pid)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT, text = HQ_BUF_INIT;
    uint32_t parent = 0;

    hq_buf_printf(&path, "/proc/%s/stat", pid);
    if (hq_fs_read(&text, path.ptr, STAT_BYTES_MAX, NULL) < 0) {
        return 0;
    }
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != ')') {
        at--;
    }
    struct hq_str rest = hq_str_trim(hq_str_sub(hq_buf_view(&text), at, text.len)), word;
    (void)hq_str_split(&rest, ' ', &word); /* the state */
    (void)hq_str_split(&rest, ' ', &word);
    return hq_num_u32(word, &parent, NULL) < 0 ? 0 : (pid_t)parent;
}

static void
kill_children(void)
{
    DIR *dir = opendir("/proc");
    const struct dirent *e;
    uint32_t pid;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (hq_num_u32(hq_str_from(e->d_name), &pid, NULL) == 0 && parent_of(e->d_name) == getpid()) {
            (void)kill((pid_t)pid, SIGKILL); /* a child of ours that nobody reaps but this thread: still the same */
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

void
ranks_sweep(struct ranks *r, hq_ms timeout_ms)
{
    hq_ms end_ms = hq_clock_ms() + timeout_ms;

    for (;;) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        }
        if ((pid < 0 && errno == ECHILD) || hq_clock_ms() >= end_ms) {
            break;
        }
        kill_children(); /* their own children come to us then: next round */
        (void)poll(NULL, 0, SWEEP_PAUSE_MS);
    }
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->v[i].proc.pidfd >= 0) {
            ev_io_stop(r->loop, &r->v[i].ended);
            hq_proc_fini(&r->v[i].proc);
        }
    }
    r->running = 0;
}
