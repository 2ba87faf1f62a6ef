/* host.c - life and end of a step on this node. */
#include "hq-workerd/stepd/host_impl.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FLUSH_MS 500
#define EXIT_TOLD 130 /* ended by SIGINT: nobody looks at it */

static double
seconds(hq_ms ms)
{
    return (double)ms / 1000.0;
}

uint32_t
host_node_of(const struct host *h, uint32_t rank)
{
    uint32_t low = 0, high = h->node_count; /* node_first ascends */

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (h->node_first[mid] <= rank) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

/* ---- the end */

void
host_end_all(struct host *h, int sig)
{
    if (h->is_ending) {
        return;
    }
    h->is_ending = true;
    for (uint32_t i = 0; h->ranks != NULL && i < h->local_count; i++) {
        h->local[i].is_own_end = h->local[i].is_started && !h->local[i].has_ended && ranks_has_ended(h->ranks, i);
    }
    if (h->ranks != NULL && ranks_running(h->ranks) > 0) {
        ranks_signal(h->ranks, sig);
        ranks_signal(h->ranks, SIGCONT); /* a stopped one would not hear it */
    }
    ev_timer_set(&h->grace, seconds(sig == SIGINT ? HOST_INT_GRACE_MS : HOST_GRACE_MS), 0.);
    ev_timer_start(h->loop, &h->grace);
    ev_timer_start(h->loop, &h->end_limit);
}

static void
on_grace(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct host *h = w->data;

    (void)loop;
    (void)revents;
    h->is_killed = true;
    if (h->ranks != NULL) {
        ranks_signal(h->ranks, SIGKILL);
    }
    host_look(h);
}

/* All ranks of all nodes below us have ended. */
static void
finish(struct host *h)
{
    h->is_done = true;
    h->exit_code = h->is_told ? EXIT_TOLD : h->first.is_set ? HQ_MAX(h->first.exit_code, 1) : 0;
    if (h->has_start && !host_is_root(h)) {
        host_send_ended(h);
        h->exit_code = h->is_told ? EXIT_TOLD : 0; /* the failure is the root's to report */
    } else if (h->first.is_set && !h->is_told) {
        host_write_error(h);
        if (h->first.is_node_lost) {
            host_send_abort(h, h->self); /* for the worker: the task is to start again */
        }
    }
    ev_break(h->loop, EVBREAK_ALL);
}

static bool
children_are(const struct host *h, bool up)
{
    for (uint32_t i = 0; i < h->child_count; i++) {
        if (!(up ? h->children[i].is_up : h->children[i].has_ended)) {
            return false;
        }
    }
    return true;
}

/* Have all ranks of this node ended? Then whatever they left behind ends, too. */
static void
look_local_end(struct host *h)
{
    if (h->is_local_done || (h->has_launched ? ranks_running(h->ranks) > 0 : !h->is_ending)) {
        return;
    }
    h->is_local_done = true;
    if (h->ranks != NULL) {
        ranks_sweep(h->ranks, HOST_SWEEP_MS);
    }
    if (h->out != NULL) {
        rankout_finish(h->out);
    }
}

static void
look_start(struct host *h)
{
    struct hq_err err = {0};

    if (!h->is_ready || h->is_ending || !children_are(h, true)) {
        return;
    }
    if (!h->has_gone_up) {
        h->has_gone_up = true;
        if (host_is_root(h)) {
            h->has_go = true;
        } else {
            host_send_up(h);
        }
    }
    if (h->has_go && !h->has_launched) {
        h->has_launched = true;
        host_send_go(h);
        if (host_launch(h, &err) < 0) {
            host_fail_node(h, err.text);
        }
    }
}

void
host_look(struct host *h)
{
    if (h->is_done) {
        return;
    }
    look_start(h);
    look_local_end(h);
    if (h->is_local_done && children_are(h, false)) {
        finish(h);
    }
}

static void
on_end_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct host *h = w->data;

    (void)loop;
    (void)revents;
    for (uint32_t i = 0; i < h->child_count; i++) {
        h->children[i].has_ended = true; /* hqd ends those nodes; the task does not wait for them */
    }
    host_look(h);
}

/* ---- from outside */

static void
on_gone(void *ctx, const char *why)
{
    struct host *h = ctx;

    if (h->is_done) {
        return;
    }
    for (uint32_t i = 0; i < h->child_count; i++) {
        h->children[i].has_ended = true; /* no way to hear of them */
    }
    host_fail_node(h, why);
    host_look(h);
}

static void
on_link_drained(void *ctx)
{
    struct host *h = ctx;

    if (h->out != NULL) {
        rankout_pause(h->out, false);
    }
}

void
host_told(struct host *h, int sig, uint32_t told_by)
{
    h->is_told = true;
    if (!h->is_ending) {
        host_end_all(h, sig);
        if (h->has_start) {
            host_tell_neighbours(h, told_by);
        }
    }
    host_look(h);
}

static void
on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct host *h = w->data;

    (void)loop;
    (void)revents;
    host_told(h, w->signum, h->self);
}

static void
on_hello_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct host *h = w->data;

    (void)loop;
    (void)revents;
    host_fail_node(h, "The worker did not describe the step in time");
    host_look(h);
}

static void
on_closed_check(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct host *h = w->data;

    (void)revents;
    ev_timer_stop(loop, w);
    for (uint32_t i = 0; i < h->local_count; i++) {
        struct host_rank *k = &h->local[i];
        if (k->is_closed && !k->has_ended && !ranks_has_ended(h->ranks, i)) {
            host_fail_rank(h, h->first_rank + i, 1, 0, "Closed its connection to the launcher before MPI_Finalize.");
        }
        k->is_closed = false;
    }
    host_look(h);
}

static const struct uplink_ops link_ops = {
    .on_message = host_on_message,
    .on_gone = on_gone,
    .on_drained = on_link_drained,
};

static void
host_init(struct host *h, struct ev_loop *loop, char *const *argv)
{
    *h = (struct host){.loop = loop, .argv = argv};
    hq_arena_init(&h->arena, 0);
    ev_timer_init(&h->hello_limit, on_hello_limit, seconds(HOST_HELLO_MS), 0.);
    ev_timer_init(&h->grace, on_grace, seconds(HOST_GRACE_MS), 0.);
    ev_timer_init(&h->end_limit, on_end_limit, seconds(HOST_END_MS), 0.);
    ev_timer_init(&h->closed_check, on_closed_check, seconds(HOST_CLOSED_MS), seconds(HOST_CLOSED_MS));
    ev_signal_init(&h->on_int, on_signal, SIGINT);
    ev_signal_init(&h->on_term, on_signal, SIGTERM);
    h->hello_limit.data = h->grace.data = h->end_limit.data = h->closed_check.data = h;
    h->on_int.data = h->on_term.data = h;
    ev_timer_start(loop, &h->hello_limit);
    ev_signal_start(loop, &h->on_int);
    ev_signal_start(loop, &h->on_term);
}

/* What lies outside the process. The rest goes with it: threads of libpmix still run. */
static void
end_process(struct host *h)
{
    if (h->link != NULL) {
        uplink_flush(h->link, FLUSH_MS);
    }
    if (h->has_start && host_is_root(h)) {
        sink_fini(&h->sinks[0]);
        sink_fini(&h->sinks[1]);
    }
    host_clean(h);
}

int
host_run(char *const *argv)
{
    /* Not the default loop: that one reaps children by itself. */
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    const char *key = getenv("HQ_ACCESS_KEY");
    struct hq_err err = {0};
    struct host h;

    if (loop == NULL) {
        (void)fprintf(stderr, "hq-stepd: no event loop\n");
        return 1;
    }
    host_init(&h, loop, argv);
    if (uplink_create(&h.link, loop, key == NULL ? "" : key, HQ__STEP_KIND__STEP_RANKS, &link_ops, &h, &err) < 0) {
        host_fail_node(&h, err.text);
        host_look(&h);
    } else {
        ev_run(loop, 0);
    }
    end_process(&h);
    _exit(h.exit_code);
}
