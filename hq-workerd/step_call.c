/* step_call.c - local processes that want a command to be run on another node of their task. */
#include "hq-workerd/step_impl.h"

#include <errno.h>

#include "common/limits.h"
#include "hq-workerd/taskdir.h"

static void
caller_over(struct step_conn *c, int32_t exit_code, struct hq_str error)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf frame = HQ_BUF_INIT;
    const struct step_rexec end = {.what = STEP_MSG_REXEC_END, .exit_code = exit_code, .error = error};

    c->state = CONN_OVER; /* the caller hangs up once it has read this */
    step_msg_pack_rexec(&frame, c->step->desc->node_ix, c->step->desc->node_ix, &end);
    conn_send(c, hq_buf_view(&frame));
}

/* By its name, whole or up to the first dot where one of the two is given no further, or by an address. */
static bool
node_is(const struct step_node *n, struct hq_str host)
{
    bool is_short = hq_str_find_byte(host, '.') < 0 || hq_str_find_byte(n->host, '.') < 0;

    if (hq_str_eq(n->host, host) ||
        (is_short && hq_str_eq(taskdir_short_name(n->host), taskdir_short_name(host)))) {
        return true;
    }
    for (size_t i = 0; i < n->address_count; i++) {
        if (hq_str_eq(n->addresses[i], host)) {
            return true;
        }
    }
    return false;
}

/* node_count: none. We come first: each node has an address 127.0.0.1. */
static uint32_t
find_node(const struct step_desc *d, struct hq_str host)
{
    uint32_t i = 0;

    if (hq_str_is(host, "localhost") || node_is(&d->nodes[d->node_ix], host)) {
        return d->node_ix;
    }
    while (i < d->node_count && !node_is(&d->nodes[i], host)) {
        i++;
    }
    return i;
}

static int
caller_on_open(struct step_conn *c, const struct step_rexec *open)
{
    struct step *st = c->step;
    HQ_AUTO(hq_buf_fini) struct hq_buf error = HQ_BUF_INIT;
    struct step_rexec out = *open;

    if (c->state != CONN_CALLER) {
        return -EPROTO;
    }
    uint32_t node = find_node(st->desc, open->host);
    if (node < st->desc->node_count) {
        c->node = node;
        c->stream = out.stream = ++st->next_stream;
        c->state = CONN_CALLING;
        step_send_rexec(st, node, &out);
        return 0;
    }
    hq_buf_printf(&error, "%.*s is no node of this task", HQ_STR_FMT(open->host));
    caller_over(c, STEP_EXIT_LOST, hq_buf_view(&error));
    return 0;
}

int
caller_on_frame(struct step_conn *c, struct hq_str frame)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct step_rexec r;

    hq_arena_init(&arena, STEP_ARENA_BYTES);
    int rc = step_msg_rexec(frame, &arena, &r);
    if (rc < 0 || c->state == CONN_OVER) {
        return rc; /* what it still says does not matter */
    }
    if (r.what == STEP_MSG_REXEC_OPEN) {
        return caller_on_open(c, &r);
    }
    if (r.what != STEP_MSG_REXEC_DATA || r.channel != 0 || c->state != CONN_CALLING) {
        return -EPROTO;
    }
    r.stream = c->stream;
    c->sent += r.data.len;
    step_send_rexec(c->step, c->node, &r);
    if (c->sent >= STEP_WINDOW_BYTES) {
        framed_pause(c->framed, true);
    }
    return 0;
}

/* The caller has taken all of it: the other side may send more. */
void
caller_on_drained(struct step_conn *c)
{
    const struct step_rexec ack = {.what = STEP_MSG_REXEC_ACK, .stream = c->stream, .bytes = (uint32_t)c->taken};

    if (c->state == CONN_CALLING && c->taken > 0 && framed_queued(c->framed) == 0) {
        c->taken = 0;
        step_send_rexec(c->step, c->node, &ack);
    }
}

void
conns_on_rexec(struct step *st, uint32_t node, const struct step_rexec *r)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf frame = HQ_BUF_INIT;
    struct step_conn *c = st->steps->conns;

    while (c != NULL && !(c->step == st && c->state == CONN_CALLING && c->node == node && c->stream == r->stream)) {
        c = c->next;
    }
    if (c == NULL) {
        return; /* it hung up: the other side hears of it, or has */
    }
    if (r->what == STEP_MSG_REXEC_END) {
        caller_over(c, r->exit_code, r->error);
    } else if (r->what == STEP_MSG_REXEC_ACK) {
        c->sent -= HQ_MIN(c->sent, r->bytes);
        if (c->sent < STEP_WINDOW_BYTES / 2) {
            framed_pause(c->framed, false);
        }
    } else if (c->taken + r->data.len > 2 * STEP_WINDOW_BYTES) {
        caller_over(c, STEP_EXIT_LOST, HQ_STR("the other node sends more than was agreed"));
    } else {
        step_msg_pack_rexec(&frame, st->desc->node_ix, st->desc->node_ix, r);
        c->taken += r->data.len;
        conn_send(c, hq_buf_view(&frame));
        caller_on_drained(c);
    }
}

void
conns_on_lost(struct step *st, uint32_t node, struct hq_str why)
{
    for (struct step_conn *c = st->steps->conns; c != NULL; c = c->next) {
        if (c->step == st && c->state == CONN_CALLING && c->node == node) {
            caller_over(c, STEP_EXIT_LOST, why);
        }
    }
}

int
caller_begin(struct step_conn *c, struct step *st)
{
    if (st == NULL) {
        return -EPERM;
    }
    if (c->steps->stream_count >= STEP_STREAMS_MAX) {
        return -ENOSPC;
    }
    c->steps->stream_count++;
    c->step = st;
    c->state = CONN_CALLER;
    framed_set_max(c->framed, HQ_STEP_MSG_BYTES_MAX);
    return 0;
}
