/* run.c - start and end of one task on a launcher thread. */
#include "hq-workerd/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "hq-workerd/hidden.h"
#include "hq-workerd/output.h"
#include "hq-workerd/stdin.h"
#include "hq-workerd/taskdir.h"

static const char *const signal_names[] = {
    [SIGHUP] = "SIGHUP",   [SIGINT] = "SIGINT",   [SIGQUIT] = "SIGQUIT", [SIGILL] = "SIGILL",   [SIGTRAP] = "SIGTRAP",
    [SIGABRT] = "SIGABRT", [SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",   [SIGKILL] = "SIGKILL", [SIGUSR1] = "SIGUSR1",
    [SIGSEGV] = "SIGSEGV", [SIGUSR2] = "SIGUSR2", [SIGPIPE] = "SIGPIPE", [SIGALRM] = "SIGALRM", [SIGTERM] = "SIGTERM",
    [SIGCHLD] = "SIGCHLD", [SIGCONT] = "SIGCONT", [SIGSTOP] = "SIGSTOP",
};

const char *
run_signal_name(int sig)
{
    bool known = sig > 0 && (size_t)sig < HQ_ARRAY_LEN(signal_names) && signal_names[sig] != NULL;

    return known ? signal_names[sig] : "unknown";
}

int
run_thread_init(struct run_thread *t, const struct run_conf *conf)
{
    void *p = mmap(NULL, CHILD_STACK_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (p == MAP_FAILED) {
        return -errno;
    }
    if (mprotect(p, 4096, PROT_NONE) < 0) { /* an overflow faults instead of writing over something */
        int rc = -errno;
        (void)munmap(p, CHILD_STACK_BYTES + 4096);
        return rc;
    }
    *t = (struct run_thread){.conf = conf, .stack = (char *)p + 4096};
    return 0;
}

void
run_thread_fini(struct run_thread *t)
{
    if (t->stack != NULL) {
        (void)munmap((char *)t->stack - 4096, CHILD_STACK_BYTES + 4096);
    }
    scratch_fini(&t->scratch);
    *t = (struct run_thread){0};
}

static bool
is_scarce(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -EAGAIN;
}

struct run_fds { /* -1 = none; /dev/null is not among them */
    int in, out, err;
};

static void
run_fds_close(struct run_fds *f)
{
    hq_fs_closep(&f->in);
    if (f->err != f->out) {
        hq_fs_closep(&f->err);
    }
    hq_fs_closep(&f->out);
    *f = (struct run_fds){-1, -1, -1};
}

static int
run_open_one(const struct body_stdio *stdio, const char *name, const char *path, bool is_later, int *ret_fd,
             struct hq_err *err)
{
    enum output_step step;
    int fd = output_open(path, is_later, &step);

    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (is_scarce(fd)) {
        return fd;
    }
    if (step == OUTPUT_STEP_DIR) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        output_print_dir_error(&text, name, path, stdio->remove_if_finished, fd);
        (void)hq_err_set(err, fd, "%s", text.ptr);
        return -ENOTDIR; /* tells the caller that nothing of the task was seen yet */
    }
    (void)hq_err_set(err, fd, "Creating stream file failed: %s", hq_err_os(fd));
    return -EIO;
}

static int
run_open_stream(struct run *run, struct streams *streams, struct run_fds *f, struct hq_err *err)
{
    const struct body *b = run->image->body;
    const struct stream_open what = {
        .dir = run->image->stream_dir,
        .server_uid = hq_str_from(run->image->server_uid),
        .job = {b->job_id},
        .task = run->task.task_id,
        .instance = run->task.batch->instance,
        .with_channel = {b->out.kind == BODY_STDIO_STREAM, b->err.kind == BODY_STDIO_STREAM},
        .is_ranked = b->mpi.is_on,
    };
    int fds[2];

    if (what.dir == NULL || run->task.batch->hidden != NULL) {
        return 0;
    }
    int rc = stream_open(streams, &what, &run->stream, fds, err);
    if (rc == 0) {
        f->out = fds[0];
        f->err = fds[1];
    }
    return rc == 0 || is_scarce(rc) ? rc : -EIO;
}

/* 0, scarce errno, -ENOTDIR (directory), -EIO (file) with the text set. */
static int
run_open_files(struct run *run, const struct prepared *p, struct streams *streams, struct run_fds *f, struct hq_err *err)
{
    const struct body *b = run->image->body;
    bool is_later = run->task.batch->instance > 0;

    if (run->task.batch->hidden != NULL) {
        return 0; /* output goes to the root, or comes from another node */
    }
    int rc = run_open_stream(run, streams, f, err);

    if (rc == 0 && p->out_path != NULL) {
        rc = run_open_one(&b->out, "stdout", p->out_path, is_later, &f->out, err);
    }
    if (rc == 0 && p->err_path != NULL) {
        if (p->out_path != NULL && strcmp(p->out_path, p->err_path) == 0) {
            f->err = f->out; /* one description: they don't overwrite each other */
        } else {
            rc = run_open_one(&b->err, "stderr", p->err_path, is_later, &f->err, err);
        }
    }
    if (rc == 0 && b->stdin_data != NULL) {
        f->in = stdin_open(b);
        rc = f->in < 0 ? f->in : 0;
        if (rc < 0 && !is_scarce(rc)) {
            (void)hq_err_sys(err, rc, "Cannot open the data for stdin");
            rc = -EIO;
        }
    }
    return rc;
}

/* A text file without an interpreter line is a shell script, as execvp has it. */
static int
run_spawn_shell(struct run_thread *t, struct run *run, struct child_plan *plan, pid_t *ret_pid)
{
    const struct image *im = run->image;
    char **argv = hq_try_calloc(im->argc + 2, sizeof(*argv));
    const char *paths[2] = {"/bin/sh", NULL};
    struct child_plan sh = *plan;

    if (argv == NULL) {
        return -ENOMEM;
    }
    memcpy(argv, im->sh_argv, (im->argc + 1) * sizeof(*argv));
    memcpy(&argv[1], &im->paths[plan->path_ix], sizeof(*argv));
    sh.argv = argv;
    sh.paths = paths;
    int rc = child_spawn(&sh, t->stack, ret_pid, &run->pidfd);
    plan->step = sh.step;
    plan->error = sh.error;
    free(argv);
    return rc;
}

static int
run_spawn(struct run_thread *t, struct run *run, struct child_plan *plan, pid_t *ret_pid, struct hq_err *err)
{
    int rc = child_spawn(plan, t->stack, ret_pid, &run->pidfd);

    if ((rc == -ENOENT || rc == -ENOTDIR) && plan->step == CHILD_STEP_CWD) {
        rc = output_mkdirs(plan->cwd);
        if (rc < 0 && !is_scarce(rc)) {
            HQ_AUTO(hq_buf_fini) struct hq_buf os = HQ_BUF_INIT;
            output_print_os(&os, rc);
            return hq_err_set(err, rc, "Could not create working directory: %s", os.ptr);
        }
        rc = rc < 0 ? rc : child_spawn(plan, t->stack, ret_pid, &run->pidfd);
    }
    if (rc == -ENOEXEC && plan->step == CHILD_STEP_EXEC) {
        rc = run_spawn_shell(t, run, plan, ret_pid);
    }
    if (rc == 0 || is_scarce(rc)) {
        return rc;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    switch (plan->step) {
    case CHILD_STEP_CWD:
        hq_buf_printf(&text, "Could not enter working directory %s: %s", plan->cwd, hq_err_os(rc));
        break;
    case CHILD_STEP_AFFINITY: /* what users know of taskset: its reason on stderr, its exit status as the task's end */
        (void)dprintf(plan->fds[2], "hq: cannot bind the task to its CPUs, this machine has none of them: %s\n", hq_err_os(rc));
        hq_buf_printf(&text, "Program terminated with exit code 1.");
        break;
    case CHILD_STEP_EXEC:
        if (run->image->body->mpi.is_on) {
            hq_buf_printf(&text, "Cannot start hq-stepd, which hosts the ranks: %s: %s", plan->paths[0], hq_err_os(rc));
        } else {
            prepare_exec_error(&text, run->image, plan->cwd, -rc);
        }
        break;
    case CHILD_STEP_NONE:
    case CHILD_STEP_CLONE:
    case CHILD_STEP_SESSION:
    case CHILD_STEP_LIMIT:
    case CHILD_STEP_FDS:
        hq_buf_printf(&text, "Cannot start a process: %s", hq_err_os(rc));
        break;
    }
    return hq_err_set(err, rc, "%s", text.ptr);
}

static int
run_make_task_dir(struct run_thread *t, struct run *run, struct hq_err *err)
{
    const struct batch *b = run->task.batch;

    if (b->body->is_remote || (!b->body->with_task_dir && !run->image->is_multi_node)) {
        return 0;
    }
    int rc = taskdir_create(&run->task_dir, t->conf->work_dir, err);
    if (rc == 0 && run->image->is_multi_node) {
        rc = taskdir_write_hosts(run->task_dir, b->hosts, b->host_count, err);
    }
    return rc;
}

static int
run_check_stepd(const struct run *run, const struct run_conf *conf, struct hq_err *err)
{
    if (run->image->body->mpi.is_on && conf->prepare.stepd_path == NULL) {
        return hq_err_set(err, -EOPNOTSUPP, "Tasks of several ranks (--mpi) need the program hq-stepd beside hq-workerd");
    }
    return 0;
}

static void
run_keep_removals(struct run *run, const struct prepared *p)
{
    const struct body *b = run->image->body;

    if (p->out_path != NULL && b->out.remove_if_finished) {
        run->out_remove = hq_str_dupz(hq_str_from(p->out_path));
    }
    if (p->err_path != NULL && b->err.remove_if_finished) {
        run->err_remove = hq_str_dupz(hq_str_from(p->err_path));
    }
}

static void
run_clear(struct run *run)
{
    stream_abandon(run->stream); /* of a run that was not started */
    run->stream = NULL;
    if (run->task_dir != NULL) {
        taskdir_remove(run->task_dir);
    }
    hq_mem_freep(&run->task_dir);
    hq_mem_freep(&run->out_remove);
    hq_mem_freep(&run->err_remove);
}

int
run_start(struct run_thread *t, struct run *run, const struct grant *grant, pid_t *ret_pid, struct hq_err *err)
{
    const struct run_conf *conf = t->conf;
    struct hidden *hidden = run->task.batch->hidden;
    struct run_fds fds = {-1, -1, -1};
    struct prepared p;
    int rc = run_check_stepd(run, conf, err);
    rc = rc < 0 ? rc : run_make_task_dir(t, run, err);
    struct prepare_task in = {.task = &run->task, .image = run->image, .grant = grant, .secret = run->secret,
                              .task_dir = run->task_dir};

    run->pidfd = -1;
    if (rc == 0) {
        prepare_paths(&in, &t->scratch, &p);
        rc = prepare_env(&in, &conf->prepare, &t->scratch, &p, err);
    }
    if (rc == 0) {
        rc = run_open_files(run, &p, conf->streams, &fds, err);
    }
    run->started_ms = rc == -ENOTDIR ? 0 : hq_clock_wall_ms();
    if (rc == 0) {
        const struct run_fds given =
            hidden == NULL ? fds : (struct run_fds){hidden->fds[0], hidden->fds[1], hidden->fds[2]}; /* the batch's */
        struct child_plan plan = {
            .paths = run->image->paths,
            .argv = run->image->argv,
            .envp = p.envp,
            .cwd = p.cwd,
            .fds = {given.in >= 0 ? given.in : conf->null_in, given.out >= 0 ? given.out : conf->null_out,
                    given.err >= 0 ? given.err : conf->null_out},
            .cpus = p.cpus,
            .cpus_bytes = p.cpus_bytes,
            .mask = conf->task_mask,
            .nofile = conf->task_nofile,
            .parent_pid = conf->pid,
            .leaf_fd = run->image->body->is_remote ? 0 : run->leaf.procs_fd,
        };
        rc = run_spawn(t, run, &plan, ret_pid, err);
    }
    run_fds_close(&fds);
    if (rc == 0) {
        run_keep_removals(run, &p);
        if (hidden != NULL) {
            hidden_close(hidden); /* the other ends must see when the process closes its own */
        }
        return 0;
    }
    run_clear(run);
    if (is_scarce(rc)) {
        (void)hq_err_sys(err, rc, "Cannot start a process");
        return RUN_SCARCE;
    }
    return rc;
}

void
run_abandon(struct run *run)
{
    run_clear(run);
    lane_task_drop(&run->task);
}

static enum run_end
run_judge(const struct run *run, enum run_why why, const siginfo_t *info, struct hq_buf *ret_error)
{
    if (why == RUN_WHY_TIME_LIMIT) {
        hq_buf_cstr(ret_error, "Time limit reached");
        return RUN_END_FAILED;
    }
    if (why == RUN_WHY_UNWATCHED) {
        hq_buf_cstr(ret_error, "The end of the process cannot be watched for: out of memory");
        return RUN_END_FAILED;
    }
    if (info->si_code == CLD_EXITED && info->si_status == 0) {
        return RUN_END_FINISHED;
    }
    if (run->task_dir != NULL && taskdir_read_error(run->task_dir, ret_error)) {
        return RUN_END_FAILED;
    }
    if (info->si_code == CLD_EXITED) {
        hq_buf_printf(ret_error, "Program terminated with exit code %d.", info->si_status);
    } else if (run->image->body->mpi.is_on) {
        hq_buf_printf(ret_error, "hq-stepd, which hosts the ranks of this node, was killed by signal %d (%s).",
                      info->si_status, run_signal_name(info->si_status));
    } else {
        hq_buf_printf(ret_error, "Program terminated with exit code -1. Received signal %d (%s).", info->si_status,
                      run_signal_name(info->si_status));
    }
    return RUN_END_FAILED;
}

enum run_end
run_end(struct run *run, pid_t pid, enum run_why why, struct hq_buf *ret_error)
{
    siginfo_t info = {0};

    /* The leader is not reaped yet, so the number of its group is nobody else's. What a remote command leaves behind (the
     * daemon of an mpirun, which may not have left the group yet) lives on until its task ends here. */
    if (!run->image->body->is_remote || why != RUN_WHY_NONE) {
        (void)kill(-pid, SIGKILL);
    }
    leaf_kill(&run->leaf); /* nobody of an earlier task is in it, and remote commands never were */
    while (waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
    hq_fs_closep(&run->pidfd);
    run->exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    enum run_end end = run_judge(run, why, &info, ret_error);
    if (run->stream != NULL) {
        int rc = stream_close(run->stream);
        run->stream = NULL;
        if (rc < 0 && end == RUN_END_FINISHED) {
            hq_buf_printf(ret_error, "Streaming: Cannot write into %s: %s", run->image->stream_dir, hq_err_os(rc));
            end = RUN_END_FAILED;
        }
    }
    if (end == RUN_END_FINISHED && why != RUN_WHY_CANCEL) { /* a cancelled task may end well, but did not finish */
        if (run->out_remove != NULL) {
            output_remove(run->out_remove);
        }
        if (run->err_remove != NULL) {
            output_remove(run->err_remove);
        }
    }
    run_clear(run);
    return end;
}
