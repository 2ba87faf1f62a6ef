/* host.c - life and end of a step on this node. */
#include "hq-workerd/stepd/host_impl.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"

#define FLUSH_MS 500
#define EXIT_TOLD 130 /* ended by SIGINT: nobody looks at it */
#define ERROR_FILE_BYTES 2048u
#define ECHO_MS 1000 /* an end this much later may be what an MPI library gave up for */

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

/* ---- failures */

/* The first failure in time, but an echo comes behind what it may be the echo of. */
static bool
is_earlier(const struct host_failure *a, const struct host_failure *b)
{
    hq_wall_ms apart_ms = a->at_ms < b->at_ms ? b->at_ms - a->at_ms : a->at_ms - b->at_ms;

    if (a->is_echo != b->is_echo && apart_ms < ECHO_MS) {
        return b->is_echo;
    }
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->rank < b->rank;
}

static void
keep_failure(struct host *h, const struct host_failure *why)
{
    bool is_lost = h->first.is_node_lost || why->is_node_lost;

    if (!h->first.is_set || is_earlier(why, &h->first)) {
        hq_buf_fini(&h->first.text);
        h->first = *why;
        h->first.text = HQ_BUF_INIT;
        hq_buf_str(&h->first.text, hq_buf_view(&why->text));
    }
    h->first.is_node_lost = is_lost; /* a loss also makes ranks of other nodes fail */
}

static void
tell_neighbours(struct host *h, uint32_t told_by)
{
    if (!host_is_root(h) && host_parent(h) != told_by) {
        host_send_abort(h, host_parent(h));
    }
    for (uint32_t i = 0; i < h->child_count; i++) {
        if (h->children[i].node != told_by && !h->children[i].has_ended) {
            host_send_abort(h, h->children[i].node);
        }
    }
}

void
host_fail(struct host *h, const struct host_failure *why, uint32_t told_by)
{
    bool is_news = !h->is_ending;

    keep_failure(h, why);
    if (is_news) {
        host_end_all(h);
        tell_neighbours(h, told_by);
    }
}

void
host_fail_node(struct host *h, const char *text)
{
    struct host_failure why = {
        .is_set = true,
        .at_ms = hq_clock_wall_ms(),
        .rank = HOST_NO_RANK,
        .node = h->self,
        .exit_code = 1,
    };

    hq_buf_cstr(&why.text, text);
    host_fail(h, &why, h->self);
    hq_buf_fini(&why.text);
}

/* What the rank left for us in the error file of this node. */
static bool
read_error_file(struct hq_buf *ret)
{
    const char *path = getenv("HQ_ERROR_FILENAME");

    if (path == NULL || access(path, F_OK) < 0) {
        return false;
    }
    return hq_fs_read(ret, path, ERROR_FILE_BYTES, NULL) == 0 && ret->len > 0;
}

static const char *
signal_name(int sig)
{
    const char *name = sigabbrev_np(sig);

    return name == NULL || sig == 16 || sig > 19 ? NULL : name; /* those that texts of tasks name */
}

void
host_fail_rank(struct host *h, uint32_t rank, int exit_code, int sig, const char *text)
{
    struct host_failure why = {
        .is_set = true,
        .is_echo = exit_code > UINT8_MAX,
        .at_ms = hq_clock_wall_ms(),
        .rank = rank,
        .node = h->self,
        .exit_code = exit_code & UINT8_MAX,
        .signal = (uint32_t)sig,
    };

    if (text != NULL) {
        hq_buf_cstr(&why.text, text);
    } else if (sig != 0) {
        const char *name = signal_name(sig);
        hq_buf_printf(&why.text, "Program terminated with exit code -1. Received signal %d (%s%s).", sig,
                      name == NULL ? "" : "SIG", name == NULL ? "unknown" : name);
    } else if (!read_error_file(&why.text)) {
        hq_buf_printf(&why.text, "Program terminated with exit code %d.", exit_code);
    }
    host_fail(h, &why, h->self);
    hq_buf_fini(&why.text);
}

/* ---- the end */

void
host_end_all(struct host *h)
{
    if (h->is_ending) {
        return;
    }
    h->is_ending = true;
    for (uint32_t i = 0; h->ranks != NULL && i < h->local_count; i++) {
        h->local[i].is_own_end = h->local[i].is_started && !h->local[i].has_ended && ranks_has_ended(h->ranks, i);
    }
    if (h->ranks != NULL && ranks_running(h->ranks) > 0) {
        ranks_signal(h->ranks, SIGTERM);
        ranks_signal(h->ranks, SIGCONT); /* a stopped one would not hear it */
    }
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

/* "rank 3 on n2: Program terminated with exit code 7." */
static void
print_failure(const struct host *h, struct hq_buf *out)
{
    const struct host_failure *f = &h->first;
    const char *host = f->node < h->node_count ? h->hosts[f->node] : "?";

    if (f->rank != HOST_NO_RANK) {
        hq_buf_printf(out, "rank %u on %s: ", f->rank, host);
    } else if (h->has_start) {
        hq_buf_printf(out, "node %s: ", host);
    }
    hq_buf_str(out, hq_buf_view(&f->text));
}

/* The worker reads the text of the task there. A rank's own text of this node is in the failure already. */
static void
write_error(const struct host *h)
{
    const char *path = getenv("HQ_ERROR_FILENAME");
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    print_failure(h, &text);
    if (path == NULL || hq_fs_replace(path, hq_buf_view(&text), 0644, NULL) < 0) {
        hq_buf_byte(&text, '\n');
        (void)!hq_fs_write_all(STDERR_FILENO, text.ptr, text.len); /* nowhere else to say it */
    }
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
        write_error(h);
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

/* Cancel, time limit, or the end of the worker: no failure of ours. */
static void
on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct host *h = w->data;

    (void)loop;
    (void)revents;
    h->is_told = true;
    if (h->ranks != NULL && w->signum == SIGINT) {
        ranks_signal(h->ranks, SIGINT); /* they are no part of our process group */
    }
    if (!h->is_ending) {
        host_end_all(h);
        if (h->has_start) {
            tell_neighbours(h, h->self);
        }
    }
    host_look(h);
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
