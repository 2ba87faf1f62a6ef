#include "hq-allocd/runner.h"

#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/proc.h"
#include "hq-allocd/aside.h"

#define GRACE_MS 2000 /* after its end: for pipes that its children hold open */

extern char **environ;

struct launch { /* of one program: done aside, since its directory or itself may lie on a filesystem that hangs */
    struct run *run;
    char **argv;
    char **envp;
    char *dir;
    int rc;
    struct hq_proc proc;
    int fds[2]; /* our ends of its stdout and stderr */
};

struct run {
    TAILQ_ENTRY(run) link;
    struct runner *runner;
    struct launch *launch; /* until it begins */
    hq_ms timeout_ms;
    runner_fn fn;
    void *ctx;
    bool is_started; /* or being started */
    bool is_ended;
    struct batch_result result;
    struct hq_proc proc;
    int fds[2];
    struct hq_buf text[2];
    struct ev_io read[2];
    struct ev_io end;
    struct ev_timer timer;
};

struct runner {
    struct ev_loop *loop;
    struct aside *local;  /* starts programs without a directory */
    struct aside *shared; /* those with one */
    TAILQ_HEAD(, run) runs;
    size_t count;
    size_t started;
    struct ev_timer kick; /* starts what waits, from the loop */
};

static void
free_words(char **v)
{
    for (size_t i = 0; v != NULL && v[i] != NULL; i++) {
        free(v[i]);
    }
    free(v);
}

static void
launch_free(void *item)
{
    struct launch *l = item;
    for (size_t i = 0; i < 2; i++) {
        hq_fs_closep(&l->fds[i]);
    }
    (void)hq_proc_kill(&l->proc, SIGKILL); /* nobody will read what it says */
    hq_proc_fini(&l->proc);
    free_words(l->argv);
    free_words(l->envp);
    free(l->dir);
    free(l);
}

static void
run_free(struct run *r)
{
    struct runner *all = r->runner;
    TAILQ_REMOVE(&all->runs, r, link);
    all->count--;
    all->started -= r->is_started;
    for (size_t i = 0; i < 2; i++) {
        ev_io_stop(all->loop, &r->read[i]);
        hq_fs_closep(&r->fds[i]);
        hq_buf_fini(&r->text[i]);
    }
    ev_io_stop(all->loop, &r->end);
    ev_timer_stop(all->loop, &r->timer);
    hq_proc_fini(&r->proc);
    if (r->launch != NULL) {
        launch_free(r->launch);
    }
    free(r);
}

static void
set_timer(struct run *r, hq_ms ms)
{
    ev_timer_stop(r->runner->loop, &r->timer);
    ev_timer_set(&r->timer, (double)ms / 1e3, 0.);
    ev_timer_start(r->runner->loop, &r->timer);
}

static void
kick(struct runner *all)
{
    if (!ev_is_active(&all->kick)) {
        ev_timer_set(&all->kick, 0., 0.);
        ev_timer_start(all->loop, &all->kick);
    }
}

static void
finish(struct run *r)
{
    struct runner *all = r->runner;
    r->result.out = hq_buf_view(&r->text[0]);
    r->result.err = hq_buf_view(&r->text[1]);
    r->fn(r->ctx, &r->result);
    run_free(r);
    kick(all);
}

static void
finish_if_done(struct run *r)
{
    if (r->is_ended && r->fds[0] < 0 && r->fds[1] < 0) {
        finish(r);
    }
}

static void
on_output(struct ev_loop *loop, ev_io *w, int revents)
{
    struct run *r = w->data;
    size_t ix = w == &r->read[0] ? 0 : 1;
    char bytes[16384];
    (void)revents;
    ssize_t n = read(r->fds[ix], bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        size_t room = BATCH_OUTPUT_BYTES_MAX - HQ_MIN(r->text[ix].len, (size_t)BATCH_OUTPUT_BYTES_MAX);
        hq_buf_add(&r->text[ix], bytes, HQ_MIN((size_t)n, room));
        r->result.is_cut = r->result.is_cut || (size_t)n > room;
        return;
    }
    ev_io_stop(loop, w);
    hq_fs_closep(&r->fds[ix]);
    finish_if_done(r);
}

static void
on_end(struct ev_loop *loop, ev_io *w, int revents)
{
    struct run *r = w->data;
    (void)revents;
    if (hq_proc_reap(&r->proc, &r->result.status) == -EAGAIN) {
        return;
    }
    ev_io_stop(loop, w);
    r->is_ended = true;
    set_timer(r, GRACE_MS);
    finish_if_done(r);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct run *r = w->data;
    (void)revents;
    if (r->is_ended) { /* what it printed by now is all */
        for (size_t i = 0; i < 2; i++) {
            ev_io_stop(loop, &r->read[i]);
            hq_fs_closep(&r->fds[i]);
        }
        finish(r);
        return;
    }
    r->result.is_timed_out = true;
    (void)kill(-r->proc.pid, SIGKILL);     /* its session: it leads it, and is not reaped yet */
    (void)hq_proc_kill(&r->proc, SIGKILL); /* its end comes by the pidfd */
}

static int
open_pipes(struct launch *l, int ret_write[2], struct hq_err *err)
{
    for (size_t i = 0; i < 2; i++) {
        int p[2];
        if (pipe2(p, O_CLOEXEC) < 0) {
            return hq_err_sys(err, -errno, "Cannot make a pipe");
        }
        l->fds[i] = p[0];
        ret_write[i] = p[1];
        if (fcntl(p[0], F_SETFL, O_NONBLOCK) < 0) {
            return hq_err_sys(err, -errno, "Cannot set up a pipe");
        }
    }
    return 0;
}

static void
launch_thr(void *item)
{
    struct launch *l = item;
    int write_fds[2] = {-1, -1};
    struct hq_err err = {0};
    l->rc = open_pipes(l, write_fds, &err);
    if (l->rc == 0) {
        const struct hq_proc_fd fds[] = {{-1, 0}, {write_fds[0], 1}, {write_fds[1], 2}};
        struct hq_proc_conf conf = {.path = l->argv[0],
                                    .argv = l->argv,
                                    .envp = l->envp,
                                    .dir = l->dir,
                                    .fds = fds,
                                    .fd_count = HQ_ARRAY_LEN(fds),
                                    .death_signal = SIGKILL, /* the aside's thread ends with us */
                                    .new_session = true};
        l->rc = hq_proc_start(&l->proc, &conf, &err);
    }
    hq_fs_closep(&write_fds[0]);
    hq_fs_closep(&write_fds[1]);
}

static void
on_launched(void *item)
{
    struct launch *l = item;
    struct run *r = l->run;
    struct runner *all = r->runner;
    r->proc = l->proc;
    l->proc = HQ_PROC_INIT;
    for (size_t i = 0; i < 2; i++) {
        r->fds[i] = l->fds[i];
        l->fds[i] = -1;
    }
    int rc = l->rc;
    launch_free(l);
    if (rc < 0) {
        r->result.start_errno = -rc;
        hq_fs_closep(&r->fds[0]);
        hq_fs_closep(&r->fds[1]);
        finish(r);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        ev_io_set(&r->read[i], r->fds[i], EV_READ);
        ev_io_start(all->loop, &r->read[i]);
    }
    ev_io_set(&r->end, r->proc.pidfd, EV_READ);
    ev_io_start(all->loop, &r->end);
    set_timer(r, r->timeout_ms);
}

static void
begin(struct run *r)
{
    static const struct aside_calls calls = {.work = launch_thr, .done = on_launched, .drop = launch_free};
    struct runner *all = r->runner;
    struct launch *l = r->launch;
    r->is_started = true;
    all->started++;
    r->launch = NULL;
    aside_put(l->dir == NULL ? all->local : all->shared, &calls, l);
}

static void
on_kick(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct runner *all = w->data;
    (void)loop;
    (void)revents;
    struct run *next;
    for (struct run *r = TAILQ_FIRST(&all->runs); r != NULL && all->started < RUNNER_MAX; r = next) {
        next = TAILQ_NEXT(r, link);
        if (!r->is_started) {
            begin(r);
        }
    }
}

struct runner *
runner_create(struct ev_loop *loop)
{
    struct runner *all = hq_xalloc(sizeof *all);
    all->loop = loop;
    all->local = aside_create(loop);
    all->shared = aside_create(loop);
    TAILQ_INIT(&all->runs);
    ev_init(&all->kick, on_kick);
    all->kick.data = all;
    return all;
}

void
runner_destroy(struct runner *all)
{
    if (all == NULL) {
        return;
    }
    ev_timer_stop(all->loop, &all->kick);
    aside_destroy(all->local);
    aside_destroy(all->shared);
    while (!TAILQ_EMPTY(&all->runs)) {
        struct run *r = TAILQ_FIRST(&all->runs);
        if (r->proc.pidfd >= 0 && !r->is_ended) {
            int status;
            (void)hq_proc_kill(&r->proc, SIGKILL);
            if (hq_proc_wait(&r->proc, 1000, &status) < 0) {
                r->is_ended = true; /* stuck in the kernel: init will have it */
            }
        }
        run_free(r);
    }
    free(all);
}

/* Our environment with the command's assignments in place of equal names. */
static char **
merge_env(const struct batch_cmd *cmd)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **v = hq_xcalloc(count + cmd->env_count + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_replaced = false;
        for (size_t k = 0; k < cmd->env_count; k++) {
            size_t len = (size_t)(strchr(cmd->env[k], '=') - cmd->env[k]) + 1;
            is_replaced = is_replaced || strncmp(environ[i], cmd->env[k], len) == 0;
        }
        if (!is_replaced) {
            v[n++] = hq_xstrdup(environ[i]);
        }
    }
    for (size_t k = 0; k < cmd->env_count; k++) {
        v[n++] = hq_xstrdup(cmd->env[k]);
    }
    return v;
}

void
runner_start(struct runner *all, const struct batch_cmd *cmd, const char *dir, hq_ms timeout_ms, runner_fn fn,
             void *ctx)
{
    struct run *r = hq_xalloc(sizeof *r);
    struct launch *l = hq_xalloc(sizeof *l);
    HQ_ASSERT(cmd->argc > 0);
    *l = (struct launch){.run = r, .proc = HQ_PROC_INIT, .fds = {-1, -1}};
    l->argv = hq_xcalloc(cmd->argc + 1, sizeof *l->argv);
    for (size_t i = 0; i < cmd->argc; i++) {
        l->argv[i] = hq_xstrdup(cmd->argv[i]);
    }
    l->envp = merge_env(cmd);
    l->dir = dir == NULL ? NULL : hq_xstrdup(dir);
    r->runner = all;
    r->launch = l;
    r->timeout_ms = timeout_ms;
    r->fn = fn;
    r->ctx = ctx;
    r->proc = HQ_PROC_INIT;
    r->fds[0] = r->fds[1] = -1;
    ev_init(&r->read[0], on_output);
    ev_init(&r->read[1], on_output);
    ev_init(&r->end, on_end);
    ev_init(&r->timer, on_timer);
    r->read[0].data = r->read[1].data = r->end.data = r->timer.data = r;
    TAILQ_INSERT_TAIL(&all->runs, r, link);
    all->count++;
    kick(all);
}

struct aside *
runner_shared(const struct runner *all)
{
    return all->shared;
}

size_t
runner_count(const struct runner *all)
{
    return all->count;
}
