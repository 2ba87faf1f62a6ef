/* shell.c - life of the worker: set-up, timers, end. */
#include "hq-workerd/shell_impl.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sdnotify.h"

#define POLL_MS 4            /* with tasks that come and go the launcher is looked at that often, without being woken */
#define POLL_BUSY_MS 10      /* with many of them */
#define POLL_BUSY_EVENTS 8u
#define RATE_WINDOW_MS 50
#define LEAVE_MS 2000        /* how long the last news may take */
#define FDS_RESERVED 64u     /* for nng, files of launches, sockets, libraries */

/* ---- the end */

static uint32_t
running_now(struct wshell *s)
{
    return launcher_running(s->launcher);
}

/* What the worker may not leave: also our part in tasks of other workers, as long as hqd will say when it is over. */
static uint32_t
busy_now(struct wshell *s)
{
    return running_now(s) + (s->lifetime.is_lost_for_good ? 0 : steps_count(s->steps));
}

static void
log_end(struct wshell *s, enum lifetime_end why, uint32_t running)
{
    switch (why) {
    case LIFETIME_END_LIMIT:
        hq_log_info("Time limit reached");
        break;
    case LIFETIME_END_SIGNAL:
        hq_log_info("Worker received an external stop notification");
        break;
    case LIFETIME_END_SERVER_LOST:
        if (running > 0) {
            hq_log_info("Waiting for stopping running tasks");
        }
        break;
    case LIFETIME_END_FINISHED:
        if (s->lifetime.has_dropped) {
            hq_log_info("All running tasks were finished");
        } else if (s->lifetime.policy == LIFETIME_FINISH_RUNNING) {
            hq_log_info("No running tasks remain");
        }
        break;
    case LIFETIME_END_ORDER:
    case LIFETIME_END_IDLE:
    case LIFETIME_GOES_ON:
        break;
    }
}

static enum link_reason
leave_reason(enum lifetime_end why)
{
    switch (why) {
    case LIFETIME_END_ORDER:
        return LINK_REASON_STOPPED;
    case LIFETIME_END_IDLE:
        return LINK_REASON_IDLE;
    case LIFETIME_END_LIMIT:
        return LINK_REASON_TIME_LIMIT;
    case LIFETIME_END_SIGNAL:
    case LIFETIME_END_SERVER_LOST:
    case LIFETIME_END_FINISHED:
    case LIFETIME_GOES_ON:
        break;
    }
    return LINK_REASON_CONNECTION;
}

void
wshell_begin_end(struct wshell *s, enum lifetime_end why)
{
    if (s->end != LIFETIME_GOES_ON) {
        return;
    }
    uint32_t running = running_now(s);
    s->end = why;
    s->end_by_ms = hq_clock_ms() + LIFETIME_KILL_MS;
    log_end(s, why, running);
    (void)hq_sdnotify("STOPPING=1"); /* nobody may listen */
    /* hqd is told first: it can give the tasks to others while we still wait for them to end. */
    if (lifetime_exit_status(why) == 0 && s->link != NULL && s->is_connected) {
        link_leave(s->link, leave_reason(why));
    } else {
        s->has_left = true;
    }
    steps_leave_all(s->steps);
    if (agent_on_give_up(s->agent, true) < 0) {
        hq_log_warn("Out of memory: running tasks get the signal of a worker that is gone");
        s->end_by_ms = 0;
    }
    wshell_do_effects(s);
}

/* True when nothing is left to wait for. */
static bool
is_over(struct wshell *s, hq_ms now_ms)
{
    if (s->end == LIFETIME_GOES_ON) {
        return false;
    }
    if (now_ms >= s->end_by_ms) {
        return true;
    }
    bool told = s->has_left || now_ms >= s->end_by_ms - LIFETIME_KILL_MS + LEAVE_MS;
    return told && running_now(s) == 0;
}

static void
finish(struct wshell *s)
{
    if (s->end == LIFETIME_END_SERVER_LOST && s->refusal.code == 0 && s->lifetime.end == LIFETIME_END_SERVER_LOST) {
        hq_log_info("All running tasks were stopped");
    }
    treekill_all_orphans(s->treekill);
    s->exit_status = lifetime_exit_status(s->end);
    if (s->exit_status == 0) {
        hq_log_info("Worker stopping");
    }
    ev_break(s->conf.loop, EVBREAK_ALL);
}

/* ---- timers */

static hq_ms
next_due_ms(struct wshell *s, hq_ms now_ms)
{
    hq_ms next = HQ_MIN(agent_next_ms(s->agent), treekill_next_ms(s->treekill));

    next = HQ_MIN(next, steps_next_ms(s->steps));
    if (s->end != LIFETIME_GOES_ON) {
        hq_ms told_by_ms = s->has_left ? s->end_by_ms : s->end_by_ms - LIFETIME_KILL_MS + LEAVE_MS;
        return HQ_MIN(next, told_by_ms > now_ms ? told_by_ms : s->end_by_ms);
    }
    next = HQ_MIN(next, lifetime_next_ms(&s->lifetime, now_ms, busy_now(s)));
    next = HQ_MIN(next, s->retract_check_at_ms);
    return HQ_MIN(next, s->overview_at_ms);
}

static void
set_tick(struct wshell *s)
{
    hq_ms now_ms = hq_clock_ms(), next = next_due_ms(s, now_ms);

    ev_timer_stop(s->conf.loop, &s->tick);
    if (next == INT64_MAX) {
        return;
    }
    ev_now_update(s->conf.loop);
    ev_timer_set(&s->tick, (double)HQ_MAX(next - now_ms, (hq_ms)0) / 1000.0, 0.);
    ev_timer_start(s->conf.loop, &s->tick);
}

static void
look_at_life(struct wshell *s, hq_ms now_ms)
{
    if (s->end != LIFETIME_GOES_ON) {
        return;
    }
    switch (lifetime_look(&s->lifetime, now_ms, busy_now(s))) {
    case LIFETIME_NOTHING:
        break;
    case LIFETIME_DROP_WAITING:
        hq_log_info("Waiting for finishing running tasks");
        if (agent_on_finish_running(s->agent) < 0) {
            hq_log_warn("Out of memory: waiting tasks may still start");
        }
        break;
    case LIFETIME_END:
        wshell_begin_end(s, s->lifetime.end);
        break;
    }
}

/* How long news may wait: a third of the time in which what is queued here gets used up. */
static hq_ms
linger_ms(struct wshell *s, hq_ms now_ms)
{
    uint64_t waiting = agent_numbers(s->agent).waiting;
    hq_ms window_ms = now_ms - s->rate_since_ms;

    if (window_ms >= RATE_WINDOW_MS) {
        uint64_t rate = s->ended_count * 1000 / (uint64_t)window_ms;
        s->rate_per_s = window_ms > 10 * RATE_WINDOW_MS ? rate : (s->rate_per_s + rate) / 2;
        s->rate_since_ms = now_ms;
        s->ended_count = 0;
    }
    if (waiting == 0) {
        return LINK_URGENT_MS;
    }
    return (hq_ms)HQ_MAX(waiting * 1000 / HQ_MAX(s->rate_per_s, (uint64_t)1) / 3, (uint64_t)LINK_URGENT_MS);
}

void
wshell_after(struct wshell *s)
{
    hq_ms now_ms = hq_clock_ms();

    agent_on_time(s->agent, now_ms);
    wshell_do_effects(s);
    look_at_life(s, now_ms);
    wshell_do_effects(s);
    if (s->link != NULL) {
        link_news(s->link, linger_ms(s, now_ms));
    }
    if (is_over(s, now_ms)) {
        finish(s);
        return;
    }
    set_tick(s);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct wshell *s = w->data;
    hq_ms now_ms = hq_clock_ms();

    (void)loop;
    (void)revents;
    treekill_on_time(s->treekill, now_ms);
    steps_on_time(s->steps, now_ms);
    if (now_ms >= s->retract_check_at_ms) {
        s->retract_check_at_ms = now_ms + s->conf.worker.retract_check_ms;
        if (agent_check_time(s->agent, hq_clock_wall_ms()) < 0) {
            hq_log_warn("Out of memory: waiting tasks were not checked against the time left");
        }
    }
    if (now_ms >= s->overview_at_ms) {
        link_nudge(s->link);
        if (now_ms >= s->overview_at_ms) { /* no turn could leave: the next one that does takes a later sample */
            s->overview_at_ms = now_ms + HQ_MIN(s->overview_ms, (int64_t)1000);
        }
    }
    wshell_after(s);
}

static void
on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
    (void)hq_sdnotify("WATCHDOG=1"); /* nobody may listen */
}

/* ---- launcher and signals */

static size_t
drain(struct wshell *s, bool will_poll)
{
    hq_ms now_ms = hq_clock_ms();
    hq_wall_ms now_wall_ms = hq_clock_wall_ms();
    struct run_event *events;
    size_t count = launcher_drain(s->launcher, will_poll, &events);
    bool any_ended = false;

    for (size_t i = 0; i < count; i++) {
        steps_judge(s->steps, &events[i]);
        agent_on_event(s->agent, &events[i], now_ms, now_wall_ms);
        steps_on_event(s->steps, &events[i]);
        s->ended_count += events[i].kind == RUN_ENDED;
        any_ended = any_ended || events[i].kind == RUN_ENDED;
        free(events[i].error);
        events[i].error = NULL;
    }
    if (any_ended) {
        treekill_on_ended(s->treekill, now_ms);
    }
    return count;
}

void
wshell_take_events(struct wshell *s)
{
    (void)drain(s, false);
    ev_feed_event(s->conf.loop, &s->launcher_ready, EV_READ); /* their effects are carried out from the loop */
}

static void
on_launcher(struct ev_loop *loop, ev_io *w, int revents)
{
    struct wshell *s = w->data;

    (void)revents;
    (void)drain(s, true);
    if (!ev_is_active(&s->poll)) {
        ev_now_update(loop);
        ev_timer_set(&s->poll, (double)POLL_MS / 1000.0, 0.);
        ev_timer_start(loop, &s->poll);
    }
    wshell_after(s);
}

static void
on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct wshell *s = w->data;
    size_t count = drain(s, true);

    (void)revents;
    if (count == 0) {
        count = drain(s, false); /* nothing going on: from now on the launcher wakes us */
    } else {
        ev_now_update(loop);
        ev_timer_set(&s->poll, (double)(count >= POLL_BUSY_EVENTS ? POLL_BUSY_MS : POLL_MS) / 1000.0, 0.);
        ev_timer_start(loop, &s->poll);
    }
    if (count > 0) {
        wshell_after(s);
    }
}

static void
on_signal(struct ev_loop *loop, ev_io *w, int revents)
{
    struct wshell *s = w->data;
    struct signalfd_siginfo info;

    (void)loop;
    (void)revents;
    while (read(s->conf.signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (s->end != LIFETIME_GOES_ON) {
            s->end_by_ms = hq_clock_ms(); /* asked twice: no more patience */
        }
        lifetime_on_end(&s->lifetime, LIFETIME_END_SIGNAL);
    }
    wshell_after(s);
}

static const char *
on_notify(void *ctx, struct hq_str token, struct hq_str message)
{
    struct wshell *s = ctx;
    uint32_t job, task;

    if (!launcher_check_secret(s->launcher, token, &job, &task) && !steps_check_secret(s->steps, token, &job, &task)) {
        return "no such task is running here";
    }
    int rc = report_push_notify(s->report, job, task, message);
    if (rc == 0) {
        link_news(s->link, LINK_URGENT_MS);
    }
    return rc == -ENOMEM ? "out of memory" : NULL; /* too many at once: dropped, as any hint may be */
}

/* ---- life */

static int
open_null(int flags, int *ret_fd, struct hq_err *err)
{
    *ret_fd = open("/dev/null", flags | O_CLOEXEC);
    return *ret_fd < 0 ? hq_err_sys(err, -errno, "Cannot open /dev/null") : 0;
}

static int
make_launcher(struct wshell *s, struct hq_err *err)
{
    const struct wshell_conf *c = &s->conf;
    struct launcher_conf conf = {.thread_count = c->launcher_threads};
    int rc = open_null(O_RDONLY, &s->run_conf.null_in, err);

    rc = rc < 0 ? rc : open_null(O_WRONLY, &s->run_conf.null_out, err);
    if (rc < 0) {
        return rc;
    }
    s->run_conf.prepare = (struct prepare_conf){
        .envp = c->envp, .hq_path = c->hq_path, .stepd_path = c->stepd_path, .key_socket = tasksock_path(s->tasksock)};
    s->run_conf.work_dir = hq_str_dupz(c->worker.work_dir);
    s->run_conf.task_mask = c->task_mask;
    s->run_conf.task_nofile = c->task_nofile;
    s->run_conf.pid = getpid();
    s->run_conf.leaves = leaves_create();
    rc = streams_create(&s->run_conf.streams, err);
    if (rc < 0) {
        return rc;
    }
    conf.run = s->run_conf;
    /* Each run needs one fd for its whole life (its slot some for a control group), and a few more while it is being started. */
    uint32_t reserved = FDS_RESERVED + 4 * c->launcher_threads, each = 1 + (conf.run.leaves == NULL ? 0 : LEAF_FDS);
    conf.runs_max = c->fds_max > reserved + each ? (c->fds_max - reserved) / each : 1;
    randombytes_buf(conf.key, sizeof conf.key);
    return launcher_create(&s->launcher, &conf, err);
}

static int
make_agent(struct wshell *s, struct hq_err *err)
{
    const struct link_worker *w = &s->conf.worker;
    struct agent_conf conf = {.pools = w->pools, .life_end_ms = INT64_MAX};

    s->report = report_create();
    s->stdin_store = stdin_store_create();
    if (s->report == NULL || s->stdin_store == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot start");
    }
    conf.report = s->report;
    if (w->time_limit_ms > 0 && __builtin_add_overflow(w->started_ms, w->time_limit_ms, &conf.life_end_ms)) {
        conf.life_end_ms = INT64_MAX;
    }
    return agent_create(&s->agent, &conf, err);
}

static void
start_watchers(struct wshell *s)
{
    struct ev_loop *loop = s->conf.loop;
    hq_ms watchdog_ms = hq_sdnotify_watchdog_ms();

    ev_io_init(&s->launcher_ready, on_launcher, launcher_fd(s->launcher), EV_READ);
    ev_io_init(&s->signal_ready, on_signal, s->conf.signal_fd, EV_READ);
    s->launcher_ready.data = s->signal_ready.data = s->poll.data = s->tick.data = s;
    ev_io_start(loop, &s->launcher_ready);
    ev_io_start(loop, &s->signal_ready);
    if (watchdog_ms > 0) {
        ev_timer_init(&s->watchdog, on_watchdog, 0., (double)watchdog_ms / 1000.0);
        ev_timer_start(loop, &s->watchdog);
    }
}

int
wshell_create(struct wshell **ret, const struct wshell_conf *conf, struct hq_err *err)
{
    struct wshell *s = hq_try_alloc(sizeof(*s));

    if (s == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot start");
    }
    s->conf = *conf;
    s->is_first_time = true;
    s->run_conf.null_in = s->run_conf.null_out = -1;
    s->overview_ms = conf->worker.overview_ms;
    s->overview_at_ms = s->overview_ms > 0 ? hq_clock_ms() + s->overview_ms : INT64_MAX;
    s->retract_check_at_ms = conf->worker.time_limit_ms > 0 ? hq_clock_ms() + conf->worker.retract_check_ms : INT64_MAX;
    ev_timer_init(&s->poll, on_poll, 0., 0.);
    ev_timer_init(&s->tick, on_tick, 0., 0.);
    /* The limit is counted from the start of the process, which was a moment ago. */
    hq_ms age_ms = HQ_MAX(hq_clock_wall_ms() - conf->worker.started_ms, 0);
    lifetime_init(&s->lifetime, (enum lifetime_policy)conf->worker.on_server_lost, hq_clock_ms() - age_ms,
                  conf->worker.time_limit_ms, conf->worker.idle_timeout_ms);
    int rc = tasksock_create(&s->tasksock, conf->loop, conf->tmp_dir, on_notify, wshell_on_frames, s, err);
    rc = rc < 0 ? rc : make_agent(s, err);
    rc = rc < 0 ? rc : make_launcher(s, err);
    rc = rc < 0 ? rc : treekill_create(&s->treekill, s->launcher, tasksock_path(s->tasksock), err);
    rc = rc < 0 ? rc : wshell_make_steps(s, err);
    if (rc == 0) {
        s->measure = measure_create(hq_pools_find(conf->worker.pools, HQ_STR("gpus/nvidia")) != NULL,
                                    hq_pools_find(conf->worker.pools, HQ_STR("gpus/amd")) != NULL);
        start_watchers(s);
        struct link_conf link = {.loop = conf->loop,
                                 .server_dir = conf->server_dir,
                                 .worker = &s->conf.worker,
                                 .report = s->report,
                                 .calls = wshell_link_calls};
        link.calls.ctx = s;
        rc = link_create(&s->link, &link, conf->access, err);
    }
    if (rc < 0) {
        wshell_destroy(s);
        return rc;
    }
    *ret = s;
    return 0;
}

int
wshell_run(struct wshell *s, struct hq_err *err)
{
    wshell_after(s);
    if (!is_over(s, hq_clock_ms())) {
        ev_run(s->conf.loop, 0);
    }
    if (s->exit_status != 0) {
        if (s->refusal.code != 0) {
            *err = s->refusal;
        } else {
            (void)hq_err_set(err, -ENOTCONN, "Server connection closed");
        }
    }
    return s->exit_status;
}

void
wshell_destroy(struct wshell *s)
{
    if (s == NULL) {
        return;
    }
    if (s->launcher != NULL) {
        ev_io_stop(s->conf.loop, &s->launcher_ready);
        ev_io_stop(s->conf.loop, &s->signal_ready);
    }
    ev_timer_stop(s->conf.loop, &s->poll);
    ev_timer_stop(s->conf.loop, &s->tick);
    ev_timer_stop(s->conf.loop, &s->watchdog);
    link_destroy(s->link);
    tasksock_destroy(s->tasksock);
    steps_destroy(s->steps);
    treekill_destroy(s->treekill);
    launcher_destroy(s->launcher);
    streams_destroy(s->run_conf.streams);
    leaves_destroy(s->run_conf.leaves);
    agent_destroy(s->agent);
    report_destroy(s->report);
    stdin_store_destroy(s->stdin_store);
    measure_destroy(s->measure);
    hq_fs_closep(&s->run_conf.null_in);
    hq_fs_closep(&s->run_conf.null_out);
    union {
        const char *in;
        char *out;
    } work_dir = {.in = s->run_conf.work_dir};
    free(work_dir.out);
    free(s->server_uid);
    free(s->cpus);
    free(s);
}
