#include "hq-allocd/shell.h"

#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"
#include "common/optab.h"
#include "common/sdnotify.h"
#include "common/siblings.h"
#include "hq-allocd/state.h"

#define TICK_MS_MAX 500          /* a change of demand becomes a decision within a second, whatever the tick */
#define SUBMIT_MS_DEFAULT 130000 /* sbatch itself gives up after two minutes without a controller */

static hq_ms
knob(const struct shell_args *args, const char *name, hq_ms fallback)
{
    const char *text = hq_optab_env(args->envp, name);
    uint64_t v;
    struct hq_err err = {0};
    if (text == NULL) {
        return fallback;
    }
    if (hq_num_u64(hq_str_from(text), &v, &err) < 0 || v > 1000000000) {
        hq_log_warn("%s is not used: %s", name, err.code < 0 ? err.text : "too large");
        return fallback;
    }
    return (hq_ms)v;
}

static void
read_knobs(struct allocd_conf *c, const struct shell_args *args)
{
    c->refresh_ms = HQ_MAX(knob(args, "HQ_AUTOALLOC_REFRESH_INTERVAL_MS", 1800000), (hq_ms)10);
    c->tick_ms = HQ_MIN(knob(args, "HQ_AUTOALLOC_SCHEDULE_TICK_INTERVAL_MS", 5000), (hq_ms)TICK_MS_MAX);
    c->alloc_fails_max = (uint32_t)HQ_MAX(knob(args, "HQ_AUTOALLOC_MAX_ALLOCATION_FAILS", 3), (hq_ms)1);
    c->command_ms = HQ_MAX(knob(args, "HQ_AUTOALLOC_COMMAND_TIMEOUT_MS", SUBMIT_MS_DEFAULT), (hq_ms)10);
    c->lookup_gap_ms = knob(args, "HQ_AUTOALLOC_LOOKUP_GAP_MS", 10000);
    c->track = (struct track_conf){.miss_gap_ms = knob(args, "HQ_AUTOALLOC_MISS_GAP_MS", 60000),
                                   .look_min_ms = HQ_MIN(c->refresh_ms, (hq_ms)5000),
                                   .look_max_ms = c->refresh_ms};
}

static void
arm(struct allocd *a, hq_ms at_ms)
{
    ev_timer_stop(a->loop, &a->timer);
    if (at_ms == INT64_MAX) {
        return;
    }
    hq_ms wait_ms = HQ_MAX(at_ms - hq_clock_ms(), (hq_ms)0);
    ev_now_update(a->loop);
    ev_timer_set(&a->timer, (double)HQ_MIN(wait_ms, (hq_ms)3600000) / 1e3, 0.);
    ev_timer_start(a->loop, &a->timer);
}

static void
on_turn_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct allocd *a = w->data;
    (void)loop;
    (void)revents;
    if (!a->is_due) {
        return;
    }
    hq_ms now_ms = hq_clock_ms();
    a->is_due = false;
    hq_ms next_ms = submit_progress(a, now_ms);
    next_ms = HQ_MIN(next_ms, look_progress(a, now_ms));
    next_ms = HQ_MIN(next_ms, strays_progress(a, now_ms));
    next_ms = HQ_MIN(next_ms, link_progress(a, now_ms)); /* last: with the reports of the others */
    arm(a, a->is_due ? now_ms : next_ms);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct allocd *a = w->data;
    (void)loop;
    (void)revents;
    a->is_due = true;
}

static void
on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct allocd *a = w->data;
    (void)revents;
    a->is_ending = true;
    ev_break(loop, EVBREAK_ALL);
}

/* Before the loop: a directory of users may be far away. */
static void
find_user(struct allocd *a)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char bytes[4096];
    if (getpwuid_r(geteuid(), &entry, bytes, sizeof bytes, &found) == 0 && found != NULL &&
        strlen(found->pw_name) < sizeof a->user) {
        memcpy(a->user, found->pw_name, strlen(found->pw_name) + 1);
    }
}

static void
init_watchers(struct allocd *a)
{
    ev_prepare_init(&a->turn_end, on_turn_end);
    ev_init(&a->timer, on_timer);
    ev_signal_init(&a->sigterm, on_signal, SIGTERM);
    ev_signal_init(&a->sigint, on_signal, SIGINT);
    a->turn_end.data = a->timer.data = a->sigterm.data = a->sigint.data = a;
    ev_prepare_start(a->loop, &a->turn_end);
    ev_signal_start(a->loop, &a->sigterm);
    ev_signal_start(a->loop, &a->sigint);
}

int
shell_main(const struct shell_args *args)
{
    struct allocd a = {.server_dir = args->server_dir};
    struct hq_err err = {0};
    read_knobs(&a.conf, args);
    if (hq_sibling_path(&a.hq_path, "hq", &err) < 0) {
        hq_log_error("%s", err.text);
        return 1;
    }
    find_user(&a);
    a.loop = ev_loop_new(EVFLAG_AUTO); /* not the default loop: that one takes SIGCHLD and our children's ends */
    if (a.loop == NULL) {
        hq_log_error("The event loop could not be made");
        return 1;
    }
    LIST_INIT(&a.queues);
    LIST_INIT(&a.trials);
    link_init(&a);
    a.runner = runner_create(a.loop);
    init_watchers(&a);
    a.is_due = true;
    (void)hq_sdnotify("READY=1"); /* nobody may listen */
    while (!a.is_ending) {
        ev_run(a.loop, 0);
    }
    runner_destroy(a.runner);
    link_fini(&a);
    mirror_clear(&a);
    trial_clear(&a);
    hq_buf_fini(&a.instance);
    hq_buf_fini(&a.hq_path);
    ev_loop_destroy(a.loop);
    return a.exit_status;
}
