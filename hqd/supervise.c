#include "hqd/supervise.h"

#include <signal.h>

#include "common/clock.h"
#include "common/siblings.h"
#include "hqd/core/query_alloc.h"
#include "hqd/shell_impl.h"

#define AGAIN_MS_MIN 100
#define AGAIN_MS_MAX 30000
#define QUICK_MS 60000 /* one that lived longer starts again at once */
#define END_MS 2000    /* for its end with ours */

static void
plan_next(struct supervise *v, hq_ms now_ms)
{
    v->quick_ends = now_ms - v->started_ms < QUICK_MS ? v->quick_ends + 1 : 0;
    hq_ms wait_ms = AGAIN_MS_MIN;
    for (uint32_t i = 1; i < v->quick_ends && wait_ms < AGAIN_MS_MAX; i++) {
        wait_ms *= 2;
    }
    v->next_ms = now_ms + HQ_MIN(wait_ms, (hq_ms)AGAIN_MS_MAX);
}

static void
on_end(struct ev_loop *loop, ev_io *w, int revents)
{
    struct supervise *v = w->data;
    int status;
    int pid = (int)v->proc.pid;
    (void)revents;
    if (hq_proc_reap(&v->proc, &status) == -EAGAIN) {
        return;
    }
    ev_io_stop(loop, w);
    HQ_AUTO(hq_buf_fini) struct hq_buf how = HQ_BUF_INIT;
    hq_proc_describe(&how, status);
    hq_log_warn("hq-allocd ended, it will be started again: %s pid=%d", how.ptr, pid);
    hq_proc_fini(&v->proc);
    v->is_running = false;
    plan_next(v, hq_clock_ms());
    shell_arm_wait_timer(v->shell);
}

void
supervise_init(struct supervise *v, struct shell *s, const char *dir)
{
    *v = (struct supervise){.shell = s, .dir = dir, .proc = HQ_PROC_INIT};
    ev_init(&v->watch, on_end);
    v->watch.data = v;
}

void
supervise_fini(struct supervise *v)
{
    int status;
    if (v->shell == NULL || !v->is_running) {
        return;
    }
    ev_io_stop(v->shell->loop, &v->watch);
    (void)hq_proc_kill(&v->proc, SIGTERM); /* it may have ended */
    if (hq_proc_wait(&v->proc, END_MS, &status) < 0) {
        (void)hq_proc_kill(&v->proc, SIGKILL);
        if (hq_proc_wait(&v->proc, END_MS, &status) < 0) {
            hq_log_warn("hq-allocd does not end pid=%d", (int)v->proc.pid);
        }
    }
    hq_proc_fini(&v->proc);
    v->is_running = false;
}

static int
start(struct supervise *v, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    int rc = hq_sibling_path(&path, "hq-allocd", err);
    if (rc < 0) {
        return rc;
    }
    char *argv[] = {path.ptr, (char[]){"--server-dir"}, (char *)(uintptr_t)v->dir, NULL};
    const struct hq_proc_fd fds[] = {{-1, 0}, {2, 1}, {2, 2}}; /* our standard output belongs to whoever started us */
    struct hq_proc_conf conf = {.path = path.ptr,
                                .argv = argv,
                                .fds = fds,
                                .fd_count = HQ_ARRAY_LEN(fds),
                                .death_signal = SIGKILL,
                                .new_session = true}; /* Ctrl-C is for us: it has allocations to cancel yet */
    return hq_proc_start(&v->proc, &conf, err);
}

hq_ms
supervise_progress(struct supervise *v, hq_ms now_ms)
{
    struct shell *s = v->shell;
    if (v->dir == NULL || v->is_running || s->is_stopping || !query_alloc_is_needed(s->core)) {
        return INT64_MAX;
    }
    if (now_ms < v->next_ms) {
        return v->next_ms;
    }
    struct hq_err err = {0};
    v->started_ms = now_ms;
    if (start(v, &err) < 0) {
        hq_log_error("hq-allocd could not be started: %s", err.text);
        plan_next(v, now_ms);
        (void)hq_err_prefix(&err, "hq-allocd could not be started");
        alloc_turn_not_there(s, err.text);
        return v->next_ms;
    }
    v->is_running = true;
    ev_io_set(&v->watch, v->proc.pidfd, EV_READ);
    ev_io_start(s->loop, &v->watch);
    return INT64_MAX;
}
