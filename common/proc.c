#include "common/proc.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_WAIT_MS 5000 /* for the end after SIGKILL: only a process stuck in a system call needs longer */

enum step {
    STEP_DEATH_SIGNAL = 0,
    STEP_SESSION,
    STEP_DUP,
    STEP_DIR,
    STEP_EXEC,
};
static const char *const step_texts[] = {
    [STEP_DEATH_SIGNAL] = "parent-death signal",
    [STEP_SESSION] = "new session",
    [STEP_DUP] = "file descriptors",
    [STEP_DIR] = "working directory",
    [STEP_EXEC] = "exec",
};

struct failure { /* from child to parent, below PIPE_BUF */
    int code;
    int step;
};

/* What the child needs, made before it exists. */
struct image {
    const struct hq_proc_conf *conf;
    const char *path;
    char *const *envp;
    int from[HQ_PROC_FDS_MAX]; /* copies above every target number */
    int report_fd;
    pid_t parent;
};

HQ_NORETURN static void
child_fail(const struct image *img, enum step step)
{
    struct failure f = {.code = errno, .step = (int)step};
    if (write(img->report_fd, &f, sizeof f) < 0) {
        _exit(127); /* the parent is gone, or sees a closed pipe and the status */
    }
    _exit(127);
}

/* Runs in the child: async-signal-safe calls only. */
HQ_NORETURN static void
child_run(const struct image *img)
{
    const struct hq_proc_conf *conf = img->conf;
    sigset_t none;
    if (conf->death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, conf->death_signal) < 0) {
            child_fail(img, STEP_DEATH_SIGNAL);
        }
        if (getppid() != img->parent) { /* it ended before the line above */
            errno = ESRCH;
            child_fail(img, STEP_DEATH_SIGNAL);
        }
    }
    if (conf->new_session && setsid() < 0) {
        child_fail(img, STEP_SESSION);
    }
    /* What we ourselves inherited without the flag shall not go on; kernels before 5.11 lack the call. */
    (void)close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    for (size_t i = 0; i < conf->fd_count; i++) {
        if (dup2(img->from[i], conf->fds[i].to) < 0) {
            child_fail(img, STEP_DUP);
        }
    }
    if (conf->dir != NULL && chdir(conf->dir) < 0) {
        child_fail(img, STEP_DIR);
    }
    (void)signal(SIGPIPE, SIG_DFL); /* ours is ignored, which exec would hand on */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    execve(img->path, conf->argv, img->envp);
    child_fail(img, STEP_EXEC);
}

/* Appends the program's path: as given, or the first executable of that name in PATH. */
static int
find_program(struct hq_buf *ret, const char *path, struct hq_err *err)
{
    if (strchr(path, '/') != NULL) {
        hq_buf_cstr(ret, path);
        return 0;
    }
    const char *env = getenv("PATH");
    struct hq_str dirs = hq_str_from(env != NULL ? env : "/usr/local/bin:/usr/bin:/bin");
    for (bool has_more = true; has_more;) {
        struct hq_str dir;
        has_more = hq_str_split(&dirs, ':', &dir);
        hq_buf_clear(ret);
        hq_buf_str(ret, dir.len > 0 ? dir : HQ_STR("."));
        hq_buf_byte(ret, '/');
        hq_buf_cstr(ret, path);
        if (access(ret->ptr, X_OK) == 0) {
            return 0;
        }
    }
    return hq_err_sys(err, -ENOENT, "Cannot start %s", path);
}

static void
close_copies(struct image *img)
{
    for (size_t i = 0; i < img->conf->fd_count; i++) {
        hq_fs_closep(&img->from[i]);
    }
}

/* Copies of all sources, and the report pipe, above the highest target: no dup2 of the child can hit one of them. */
static int
copy_fds(struct image *img, struct hq_err *err)
{
    const struct hq_proc_conf *conf = img->conf;
    int floor = 3;
    for (size_t i = 0; i < conf->fd_count; i++) {
        img->from[i] = -1;
        floor = HQ_MAX(floor, conf->fds[i].to + 1);
    }
    HQ_AUTO(hq_fs_closep) int null_fd = hq_fs_open("/dev/null", O_RDWR, 0, err);
    if (null_fd < 0) {
        return null_fd;
    }
    for (size_t i = 0; i < conf->fd_count; i++) {
        int from = conf->fds[i].from < 0 ? null_fd : conf->fds[i].from;
        img->from[i] = fcntl(from, F_DUPFD_CLOEXEC, floor);
        if (img->from[i] < 0) {
            return hq_err_sys(err, -errno, "Cannot copy file descriptor %d", from);
        }
    }
    int report_fd = fcntl(img->report_fd, F_DUPFD_CLOEXEC, floor);
    if (report_fd < 0) {
        return hq_err_sys(err, -errno, "Cannot copy file descriptor %d", img->report_fd);
    }
    hq_fs_closep(&img->report_fd);
    img->report_fd = report_fd;
    return 0;
}

/* Forks with all signals blocked, so that no handler of ours runs in the child. */
static pid_t
fork_child(const struct image *img)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = _Fork();
    if (pid == 0) {
        child_run(img);
    }
    int saved = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

/* Waits for exec (the pipe closes) or the child's report. */
static int
read_report(int fd, const char *path, struct hq_err *err)
{
    struct failure f;
    ssize_t n;
    do {
        n = read(fd, &f, sizeof f);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof f) {
        return 0;
    }
    return hq_err_sys(err, -f.code, "Cannot start %s (%s)", path, step_texts[f.step]);
}

static int
start_image(struct hq_proc *ret, struct image *img, int report_read_fd, struct hq_err *err)
{
    struct hq_proc proc = {.pid = fork_child(img), .pidfd = -1};
    int rc = proc.pid < 0 ? -errno : 0;
    close_copies(img);
    hq_fs_closep(&img->report_fd);
    if (rc < 0) {
        return hq_err_sys(err, rc, "Cannot start %s", img->path);
    }
    proc.pidfd = pidfd_open(proc.pid, 0);
    rc = proc.pidfd < 0 ? hq_err_sys(err, -errno, "Cannot watch %s", img->path) : 0;
    if (rc < 0) {
        (void)kill(proc.pid, SIGKILL); /* our own child, not reaped: the pid is still its */
    } else {
        rc = read_report(report_read_fd, img->path, err);
    }
    if (rc < 0) {
        int status;
        (void)waitpid(proc.pid, &status, 0); /* the reason is known already */
        hq_proc_fini(&proc);
        return rc;
    }
    *ret = proc;
    return 0;
}

int
hq_proc_start(struct hq_proc *ret, const struct hq_proc_conf *conf, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    int report[2];
    HQ_ASSERT(conf->fd_count <= HQ_PROC_FDS_MAX);
    int rc = find_program(&path, conf->path, err);
    if (rc < 0) {
        return rc;
    }
    if (pipe2(report, O_CLOEXEC) < 0) {
        return hq_err_sys(err, -errno, "Cannot make a pipe");
    }
    struct image img = {
        .conf = conf,
        .path = path.ptr,
        .envp = conf->envp != NULL ? conf->envp : environ,
        .report_fd = report[1],
        .parent = getpid(),
    };
    rc = copy_fds(&img, err);
    if (rc == 0) {
        rc = start_image(ret, &img, report[0], err);
    }
    close_copies(&img);
    hq_fs_closep(&img.report_fd);
    hq_fs_closep(&report[0]);
    return rc;
}

int
hq_proc_kill(const struct hq_proc *p, int sig)
{
    if (p->pidfd < 0) {
        return -ESRCH;
    }
    return pidfd_send_signal(p->pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int
hq_proc_reap(struct hq_proc *p, int *ret_status)
{
    int status = 0;
    pid_t pid = waitpid(p->pid, &status, WNOHANG);
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        return -EAGAIN;
    }
    *ret_status = status;
    hq_proc_fini(p);
    return 0;
}

/* Time left until deadline_ms as poll wants it; deadline_ms < 0 = none. */
static int
poll_timeout(hq_ms deadline_ms)
{
    if (deadline_ms < 0) {
        return -1;
    }
    hq_ms left = deadline_ms - hq_clock_ms();
    return (int)HQ_MIN(HQ_MAX(left, (hq_ms)0), (hq_ms)INT32_MAX);
}

int
hq_proc_wait(struct hq_proc *p, hq_ms timeout_ms, int *ret_status)
{
    hq_ms deadline_ms = timeout_ms < 0 ? -1 : hq_clock_ms() + timeout_ms;
    for (;;) {
        struct pollfd pfd = {.fd = p->pidfd, .events = POLLIN};
        int n = poll(&pfd, 1, poll_timeout(deadline_ms));
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            return hq_proc_reap(p, ret_status);
        }
        if (n == 0 && deadline_ms >= 0 && hq_clock_ms() >= deadline_ms) {
            return -ETIMEDOUT;
        }
    }
}

void
hq_proc_fini(struct hq_proc *p)
{
    hq_fs_closep(&p->pidfd);
    *p = HQ_PROC_INIT;
}

/* ---- run to the end */

struct drain {
    int fd;
    struct hq_buf *out;
};

/* Reads what is there; closes the fd at its end. */
static void
drain_read(struct drain *d, size_t bytes_max)
{
    char bytes[16384];
    while (d->fd >= 0) {
        ssize_t n = read(d->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            hq_fs_closep(&d->fd);
            return;
        }
        size_t room = d->out->len < bytes_max ? bytes_max - d->out->len : 0;
        hq_buf_add(d->out, bytes, HQ_MIN((size_t)n, room));
    }
}

/* Collects output until the program has ended: grandchildren that keep the pipes open don't count. */
static int
collect(struct hq_proc *p, struct drain drains[2], size_t bytes_max, hq_ms deadline_ms, int *ret_status)
{
    for (;;) {
        struct pollfd pfds[3] = {
            {.fd = p->pidfd, .events = POLLIN},
            {.fd = drains[0].fd, .events = POLLIN}, /* poll skips negative fds */
            {.fd = drains[1].fd, .events = POLLIN},
        };
        int n = poll(pfds, HQ_ARRAY_LEN(pfds), poll_timeout(deadline_ms));
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        drain_read(&drains[0], bytes_max);
        drain_read(&drains[1], bytes_max);
        int rc = hq_proc_reap(p, ret_status);
        if (rc != -EAGAIN) {
            drain_read(&drains[0], bytes_max); /* what came between the last read and the end */
            drain_read(&drains[1], bytes_max);
            return rc;
        }
        if (deadline_ms >= 0 && hq_clock_ms() >= deadline_ms) {
            return -ETIMEDOUT;
        }
    }
}

/* A file in memory that holds `in`, at its start. */
static int
make_input(struct hq_str in, struct hq_err *err)
{
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0) {
        return hq_err_sys(err, -errno, "Cannot make a file in memory");
    }
    int rc = hq_fs_write_all(fd, in.ptr, in.len);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        hq_fs_closep(&fd);
        return hq_err_sys(err, rc, "Cannot write a file in memory");
    }
    return fd;
}

int
hq_proc_run(const struct hq_proc_conf *conf, struct hq_str in, struct hq_buf *ret_out, struct hq_buf *ret_err,
            size_t bytes_max, hq_ms timeout_ms, int *ret_status, struct hq_err *err)
{
    HQ_AUTO(hq_fs_closep) int in_fd = make_input(in, err);
    int out_fds[2] = {-1, -1};
    int err_fds[2] = {-1, -1};
    struct hq_proc_fd fds[HQ_PROC_FDS_MAX];
    struct hq_proc proc = HQ_PROC_INIT;
    HQ_ASSERT(conf->fd_count + 3 <= HQ_PROC_FDS_MAX);
    if (in_fd < 0) {
        return in_fd;
    }
    int rc = pipe2(out_fds, O_CLOEXEC) < 0 || pipe2(err_fds, O_CLOEXEC) < 0 ? -errno : 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        /* only our end: O_NONBLOCK belongs to the open file, and each end of a pipe is one of its own */
        rc = fcntl(i == 0 ? out_fds[0] : err_fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    }
    if (rc < 0) {
        (void)hq_err_sys(err, rc, "Cannot make a pipe");
        goto out;
    }
    fds[0] = (struct hq_proc_fd){.from = in_fd, .to = 0};
    fds[1] = (struct hq_proc_fd){.from = out_fds[1], .to = 1};
    fds[2] = (struct hq_proc_fd){.from = err_fds[1], .to = 2};
    for (size_t i = 0; i < conf->fd_count; i++) {
        fds[3 + i] = conf->fds[i];
    }
    struct hq_proc_conf full = *conf;
    full.fds = fds;
    full.fd_count = conf->fd_count + 3;
    hq_ms deadline_ms = timeout_ms < 0 ? -1 : hq_clock_ms() + timeout_ms;
    rc = hq_proc_start(&proc, &full, err);
    if (rc < 0) {
        goto out;
    }
    hq_fs_closep(&out_fds[1]);
    hq_fs_closep(&err_fds[1]);
    struct drain drains[2] = {{.fd = out_fds[0], .out = ret_out}, {.fd = err_fds[0], .out = ret_err}};
    rc = collect(&proc, drains, bytes_max, deadline_ms, ret_status);
    out_fds[0] = drains[0].fd;
    err_fds[0] = drains[1].fd;
    if (rc < 0) {
        int status;
        (void)hq_proc_kill(&proc, SIGKILL);
        if (hq_proc_wait(&proc, KILL_WAIT_MS, &status) < 0) {
            hq_proc_fini(&proc); /* stuck in the kernel: it dies when it comes back */
        }
        (void)hq_err_sys(err, rc, "%s did not end", conf->path);
    }
out:
    hq_proc_fini(&proc);
    hq_fs_closep(&out_fds[0]);
    hq_fs_closep(&out_fds[1]);
    hq_fs_closep(&err_fds[0]);
    hq_fs_closep(&err_fds[1]);
    return rc;
}

void
hq_proc_describe(struct hq_buf *out, int status)
{
    if (WIFSIGNALED(status)) {
        hq_buf_printf(out, "signal %d", WTERMSIG(status));
    } else {
        hq_buf_printf(out, "exit status %d", WEXITSTATUS(status));
    }
}
