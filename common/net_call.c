/* net_call.c - calls through nng: one REQ socket, a context and an aio per call that is out.
 *
 * A call waits (QUEUED) until there is a session, then is OUT until nng is done with it. The receive is posted only
 * after the send has completed: both at once crash nng 1.5.2 on a time-out. nng's own re-sending is off (a resent frame
 * would be a replay), so a connection that breaks ends the call. An aio is never cancelled but by destroy: its time-out
 * ends it.
 */
#include "common/net_client.h"

#include <nng/protocol/reqrep0/req.h>

#include <ev.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/bridge.h"
#include "common/clock.h"
#include "common/mem.h"

#define HANDSHAKE_MS 5000
#define GRACE_MS 2000 /* our timer behind nng's: should nng stay silent, the call still ends */
#define PROBE_MS 1000 /* for the local socket, while its queue is full */

enum call_state {
    CALL_FREE,
    CALL_QUEUED, /* waits for a session */
    CALL_OUT,    /* nng has it */
    CALL_DEAD,   /* its owner was answered by our timer, nng still has it */
};

struct call {
    struct hq_calls *calls;
    enum call_state state;
    bool is_again;             /* sent once more after "unknown session" */
    struct hq_chan_ref ref;    /* of the copy that is out */
    struct hq_chan_ref before; /* of the earlier copy */
    hq_ms deadline_ms;
    ev_timer timer;
    char *payload; /* kept while it may have to be sent again */
    size_t payload_len;
    hq_net_reply_fn fn;
    void *ctx;
    bool has_ctx;
    nng_ctx nng;
    nng_aio *aio;
    /* thr while OUT, the loop's otherwise */
    bool is_sent;
    int rv;
    nng_msg *msg;
};

struct hq_calls {
    struct ev_loop *loop;
    nng_socket sock;
    struct hq_bridge *bridge;
    struct hq_chan chan;
    _Atomic uint32_t pipe_count; /* thr */
    bool is_greeting;            /* the handshake is out */
    struct call hello;
    struct call calls[HQ_NET_CALLS_MAX];
};

/* ---- nng's threads */

static void
calls_on_pipe_thr(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct hq_calls *cs = arg;
    uint32_t uid = 0;
    int32_t pid = 0;
    switch (event) {
    case NNG_PIPE_EV_ADD_PRE: /* the only place where closing is safe */
        if (hq_nng_peer_uid(pipe, &uid, &pid) && !hq_net_uid_is_trusted(uid)) {
            (void)nng_pipe_close(pipe);
        }
        break;
    case NNG_PIPE_EV_ADD_POST:
        atomic_fetch_add(&cs->pipe_count, 1);
        break;
    case NNG_PIPE_EV_REM_POST:
        atomic_store(&cs->pipe_count, 0); /* a dialer has one connection; events may come in the wrong order */
        break;
    case NNG_PIPE_EV_NUM:
        break;
    }
}

static int32_t
left_ms(const struct call *c)
{
    hq_ms left = c->deadline_ms - hq_clock_ms();
    return (int32_t)HQ_MIN(HQ_MAX(left, (hq_ms)1), (hq_ms)INT32_MAX); /* a time-out of 0 has a fault of its own */
}

static void call_on_done(void *ctx, void *item);

static void
call_on_aio_thr(void *arg)
{
    struct call *c = arg;
    int rv = nng_aio_result(c->aio);
    if (rv == 0 && !c->is_sent) {
        c->is_sent = true;
        nng_aio_set_timeout(c->aio, left_ms(c));
        nng_ctx_recv(c->nng, c->aio);
        return;
    }
    nng_msg *m = nng_aio_get_msg(c->aio);
    nng_aio_set_msg(c->aio, NULL);
    if (rv != 0 && !c->is_sent && m != NULL) {
        nng_msg_free(m); /* a failed send gives the message back */
        m = NULL;
    }
    c->rv = rv;
    c->msg = rv == 0 ? m : NULL;
    hq_bridge_post_must_thr(c->calls->bridge, call_on_done, c, NULL); /* at most one per call */
}

/* ---- the loop's thread */

static void
call_reset(struct call *c)
{
    ev_timer_stop(c->calls->loop, &c->timer);
    free(c->payload);
    c->payload = NULL;
    c->state = CALL_FREE;
    c->fn = NULL;
}

/* The owner may destroy the client in its callback: nothing is touched behind it. */
static void
call_finish(struct call *c, int rc, struct hq_str payload)
{
    hq_net_reply_fn fn = c->fn;
    void *ctx = c->ctx;
    call_reset(c);
    fn(ctx, rc, payload);
}

static void
call_timer(struct call *c, hq_ms wait_ms)
{
    ev_timer_stop(c->calls->loop, &c->timer);
    ev_now_update(c->calls->loop); /* a long turn of the loop must not shorten the wait */
    ev_timer_set(&c->timer, (double)HQ_MAX(wait_ms, (hq_ms)1) / 1e3, 0.);
    ev_timer_start(c->calls->loop, &c->timer);
}

/* Hands a message to nng. */
static void
call_launch(struct call *c, nng_msg *m)
{
    c->state = CALL_OUT;
    c->is_sent = false;
    c->rv = 0;
    c->msg = NULL;
    call_timer(c, left_ms(c) + GRACE_MS);
    nng_aio_set_msg(c->aio, m);
    nng_aio_set_timeout(c->aio, left_ms(c));
    nng_ctx_send(c->nng, c->aio);
}

static int
call_open(struct call *c)
{
    int rv = 0;
    if (!c->has_ctx) {
        rv = nng_ctx_open(&c->nng, c->calls->sock);
        c->has_ctx = rv == 0;
    }
    if (rv == 0 && c->aio == NULL) {
        rv = nng_aio_alloc(&c->aio, call_on_aio_thr, c);
    }
    return hq_nng_errno(rv);
}

static int
call_send(struct call *c)
{
    struct hq_calls *cs = c->calls;
    nng_msg *m = NULL;
    int rc = hq_nng_errno(nng_msg_alloc(&m, hq_chan_request_bytes(&cs->chan, c->payload_len)));
    if (rc < 0) {
        return rc;
    }
    rc = hq_chan_request(&cs->chan, hq_str_make(c->payload, c->payload_len), c->before, nng_msg_body(m), &c->ref);
    if (rc < 0) {
        nng_msg_free(m);
        return rc;
    }
    call_launch(c, m);
    return 0;
}

static int
calls_greet(struct hq_calls *cs)
{
    struct call *h = &cs->hello;
    nng_msg *m = NULL;
    int rc = call_open(h);
    if (rc == 0) {
        rc = hq_nng_errno(nng_msg_alloc(&m, HQ_FRAME_HELLO_BYTES));
    }
    if (rc == 0) {
        rc = hq_chan_hello(&cs->chan, nng_msg_body(m));
    }
    if (rc < 0) {
        if (m != NULL) {
            nng_msg_free(m);
        }
        return rc;
    }
    cs->is_greeting = true;
    h->deadline_ms = hq_clock_ms() + HANDSHAKE_MS;
    call_launch(h, m);
    return 0;
}

/* Sends what waits, or sees to a session first. Never calls back: a failure ends the call from its timer. */
static void
calls_pump(struct hq_calls *cs)
{
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        struct call *c = &cs->calls[ix];
        if (c->state != CALL_QUEUED) {
            continue;
        }
        if (cs->chan.is_open) {
            if (call_send(c) < 0) {
                c->rv = NNG_ENOMEM; /* told by the timer */
                call_timer(c, 0);
            }
        } else if (!cs->is_greeting && cs->hello.state == CALL_FREE) {
            if (calls_greet(cs) < 0) {
                return; /* tried again with the next call; those that wait time out */
            }
        }
    }
}

static void
call_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct call *c = w->data;
    struct hq_calls *cs = c->calls;
    if (c == &cs->hello) { /* nng is silent: the handshake is over, its aio still out */
        c->state = CALL_DEAD;
        cs->is_greeting = false;
        return;
    }
    int rc = atomic_load(&cs->pipe_count) > 0 ? -ETIMEDOUT : -ECONNREFUSED;
    if (c->state == CALL_QUEUED) {
        call_finish(c, c->rv != 0 ? hq_nng_errno(c->rv) : rc, HQ_STR_NULL);
        return;
    }
    HQ_ASSERT(c->state == CALL_OUT);
    hq_net_reply_fn fn = c->fn;
    void *ctx = c->ctx;
    free(c->payload);
    c->payload = NULL;
    c->state = CALL_DEAD;
    fn(ctx, rc, HQ_STR_NULL);
}

/* The handshake failed for good (not: the connection ended): all that wait for it fail. */
static void
calls_fail_queued(struct hq_calls *cs, int rc)
{
    struct {
        hq_net_reply_fn fn;
        void *ctx;
    } out[HQ_NET_CALLS_MAX];
    size_t count = 0;
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        struct call *c = &cs->calls[ix];
        if (c->state == CALL_QUEUED) {
            out[count].fn = c->fn;
            out[count++].ctx = c->ctx;
            call_reset(c);
        }
    }
    for (size_t ix = 0; ix < count; ix++) {
        out[ix].fn(out[ix].ctx, rc, HQ_STR_NULL);
    }
}

static void
hello_on_done(struct hq_calls *cs)
{
    struct call *h = &cs->hello;
    bool was_dead = h->state == CALL_DEAD;
    nng_msg *m = h->msg;
    h->msg = NULL;
    ev_timer_stop(cs->loop, &h->timer);
    h->state = CALL_FREE;
    cs->is_greeting = false;
    int rc = hq_nng_errno(h->rv);
    if (m != NULL && !was_dead) {
        rc = hq_chan_welcome(&cs->chan, hq_str_make(nng_msg_body(m), nng_msg_len(m)), NULL);
        if (rc == -EACCES || rc == -EPROTO || rc == -EPROTONOSUPPORT) {
            nng_msg_free(m);
            calls_fail_queued(cs, rc);
            return;
        }
    }
    if (m != NULL) {
        nng_msg_free(m);
    }
    calls_pump(cs); /* sends, or starts over while calls still have time */
}

/* 1: waits again */
static int
call_again(struct call *c)
{
    if (c->is_again) {
        return -EPROTO; /* unknown twice: not a server of ours */
    }
    c->is_again = true;
    c->before = c->ref;
    c->state = CALL_QUEUED;
    call_timer(c, left_ms(c));
    calls_pump(c->calls);
    return 1;
}

static void
call_on_done(void *ctx, void *item)
{
    (void)item;
    struct call *c = ctx;
    struct hq_calls *cs = c->calls;
    if (c == &cs->hello) {
        hello_on_done(cs);
        return;
    }
    nng_msg *m = c->msg;
    c->msg = NULL;
    if (c->state == CALL_DEAD) {
        if (m != NULL) {
            nng_msg_free(m);
        }
        call_reset(c);
        return;
    }
    HQ_ASSERT(c->state == CALL_OUT);
    struct hq_str payload = HQ_STR_NULL;
    int rc = hq_nng_errno(c->rv);
    if (rc == 0) {
        rc = hq_chan_answer(&cs->chan, c->ref, nng_msg_body(m), nng_msg_len(m), &payload, NULL);
        if (rc == HQ_CHAN_UNKNOWN) {
            nng_msg_free(m);
            m = NULL;
            rc = call_again(c);
            if (rc > 0) {
                return;
            }
        }
    } else if (rc == -ETIMEDOUT && atomic_load(&cs->pipe_count) == 0) {
        rc = -ECONNREFUSED;
    }
    call_finish(c, rc, payload);
    if (m != NULL) {
        nng_msg_free(m);
    }
}

int
hq_net_call(struct hq_net_client *client, struct hq_str payload, hq_ms timeout_ms, hq_net_reply_fn fn, void *ctx,
            struct hq_err *err)
{
    struct hq_calls *cs = client->calls;
    HQ_ASSERT(cs != NULL);
    if (payload.len > HQ_MSG_BYTES_MAX) {
        return hq_err_set(err, -EMSGSIZE, "A message of %zu bytes is over the limit of %u", payload.len,
                          HQ_MSG_BYTES_MAX);
    }
    struct call *c = NULL;
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX && c == NULL; ix++) {
        c = cs->calls[ix].state == CALL_FREE ? &cs->calls[ix] : NULL;
    }
    if (c == NULL) {
        return hq_err_set(err, -EBUSY, "Too many requests are out (%u)", HQ_NET_CALLS_MAX);
    }
    int rc = call_open(c);
    char *copy = rc < 0 ? NULL : hq_try_alloc(payload.len + 1);
    if (rc < 0 || copy == NULL) {
        return hq_err_sys(err, rc < 0 ? rc : -ENOMEM, "Cannot prepare a request");
    }
    if (payload.len > 0) {
        memcpy(copy, payload.ptr, payload.len);
    }
    c->payload = copy;
    c->payload_len = payload.len;
    c->fn = fn;
    c->ctx = ctx;
    c->is_again = false;
    c->before = (struct hq_chan_ref){0};
    c->rv = 0;
    c->deadline_ms = hq_clock_ms() + HQ_MAX(timeout_ms, (hq_ms)1);
    c->state = CALL_QUEUED;
    call_timer(c, left_ms(c));
    calls_pump(cs);
    return 0;
}

/* ---- life */

static void
call_init(struct call *c, struct hq_calls *cs)
{
    c->calls = cs;
    ev_timer_init(&c->timer, call_on_timer, 0., 0.);
    c->timer.data = c;
}

/* The local socket first, if a server of a trusted user listens there now. */
static int
calls_url(const struct hq_net_client *c, char url[HQ_NNG_URL_BYTES], bool *ret_is_local, struct hq_err *err)
{
    *ret_is_local = false;
    int rc = -ECONNREFUSED;
    if (c->ipc_path != NULL) {
        rc = hq_net_ipc_probe(c->ipc_path, HQ_SP_REQ, hq_clock_ms() + PROBE_MS, err);
        if (rc == 0) {
            *ret_is_local = true;
            return hq_nng_url_ipc(url, c->ipc_path, err);
        }
    }
    return c->host == NULL ? rc : hq_nng_url_tcp(url, c->host, c->port, err);
}

static int
calls_open(struct hq_calls *cs, const struct hq_net_client *c, struct hq_err *err)
{
    char url[HQ_NNG_URL_BYTES];
    bool is_local = false;
    int rc = calls_url(c, url, &is_local, err);
    if (rc < 0) {
        return rc;
    }
    hq_chan_init(&cs->chan, c->role, is_local || !c->has_secret ? NULL : c->secret);
    int rv = nng_req0_open(&cs->sock);
    if (rv != 0) {
        cs->sock = (nng_socket)NNG_SOCKET_INITIALIZER;
    }
    if (rv == 0) { /* before any context */
        rv = nng_socket_set_ms(cs->sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    }
    for (int ev = NNG_PIPE_EV_ADD_PRE; rv == 0 && ev <= NNG_PIPE_EV_REM_POST; ev++) {
        rv = nng_pipe_notify(cs->sock, (nng_pipe_ev)ev, calls_on_pipe_thr, cs);
    }
    if (rv != 0) {
        return hq_err_set(err, hq_nng_errno(rv), "Cannot open a socket: %s", nng_strerror(rv));
    }
    return hq_nng_dial(cs->sock, url, err);
}

int
hq_calls_create(struct hq_calls **ret, const struct hq_net_client *c, struct ev_loop *loop, struct hq_err *err)
{
    struct hq_calls *cs = hq_xalloc(sizeof(*cs));
    cs->loop = loop;
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        call_init(&cs->calls[ix], cs);
    }
    call_init(&cs->hello, cs);
    int rc = hq_bridge_create(&cs->bridge, loop, HQ_NET_CALLS_MAX + 1, NULL, err);
    if (rc == 0) {
        struct hq_nng_mask mask;
        hq_nng_enter(&mask);
        rc = calls_open(cs, c, err);
        hq_nng_leave(&mask);
    }
    if (rc < 0) {
        hq_calls_destroy(cs);
        return rc;
    }
    *ret = cs;
    return 0;
}

static void
call_fini(struct call *c)
{
    ev_timer_stop(c->calls->loop, &c->timer);
    if (c->aio != NULL) {
        nng_aio_stop(c->aio); /* waits for its callback, which waits for nothing */
    }
}

static void
call_free(struct call *c)
{
    if (c->aio != NULL) {
        nng_msg *m = nng_aio_get_msg(c->aio);
        if (m != NULL) {
            nng_msg_free(m);
        }
        nng_aio_free(c->aio);
    }
    if (c->msg != NULL) {
        nng_msg_free(c->msg);
    }
    free(c->payload);
}

void
hq_calls_destroy(struct hq_calls *cs)
{
    if (cs == NULL) {
        return;
    }
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        call_fini(&cs->calls[ix]);
    }
    call_fini(&cs->hello);
    if (nng_socket_id(cs->sock) > 0) {
        (void)nng_close(cs->sock); /* nothing to do about a failure */
    }
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        call_free(&cs->calls[ix]);
    }
    call_free(&cs->hello);
    hq_bridge_destroy(cs->bridge);
    hq_chan_fini(&cs->chan);
    free(cs);
}
