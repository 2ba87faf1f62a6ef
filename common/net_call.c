/* net_call.c - calls in the loop: one connection, one session, a slot per call that is out.
 *
 * A call waits (QUEUED) until there is a connection and a session, then is OUT until its answer comes, its time ends or
 * the connection does. Nothing is sent again but after "unknown session" (seal.h), once.
 */
#include "common/net_client.h"

#include <ev.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/net_conn.h"

#define HANDSHAKE_MS 5000

enum call_state {
    CALL_FREE,
    CALL_QUEUED,
    CALL_OUT,
};

struct call {
    struct hq_calls *calls;
    enum call_state state;
    bool is_again;             /* sent once more after "unknown session" */
    uint32_t request_id;       /* of the copy that is out */
    struct hq_chan_ref ref;    /* of the copy that is out */
    struct hq_chan_ref before; /* of the earlier copy */
    ev_timer timer;
    char *payload; /* kept while it may have to be sent again */
    size_t payload_len;
    hq_net_reply_fn fn;
    void *ctx;
};

struct hq_calls {
    struct ev_loop *loop;
    struct hq_conn *conn;
    enum hq_role role;
    bool has_secret;
    unsigned char secret[HQ_SECRET_BYTES];
    struct hq_chan chan;
    bool chan_is_local; /* which kind of connection chan is for */
    uint32_t last_id;
    uint32_t hello_id; /* of the handshake that is out; 0 = none */
    ev_timer hello_timer;
    struct call calls[HQ_NET_CALLS_MAX];
    uint32_t depth; /* callbacks that are running */
    bool is_dead;   /* destroyed by one of them: freed behind it */
};

static void calls_pump(struct hq_calls *cs);

static void
calls_free(struct hq_calls *cs)
{
    hq_chan_fini(&cs->chan);
    sodium_memzero(cs->secret, sizeof(cs->secret));
    free(cs);
}

static void
call_reset(struct call *c)
{
    ev_timer_stop(c->calls->loop, &c->timer);
    free(c->payload);
    c->payload = NULL;
    c->state = CALL_FREE;
}

/* Tells the owner, who may destroy the client: false = cs is gone. */
static bool
call_finish(struct call *c, int rc, struct hq_str payload)
{
    struct hq_calls *cs = c->calls;
    hq_net_reply_fn fn = c->fn;
    void *ctx = c->ctx;
    call_reset(c);
    cs->depth++;
    fn(ctx, rc, payload);
    cs->depth--;
    if (cs->is_dead && cs->depth == 0) {
        calls_free(cs);
        return false;
    }
    return !cs->is_dead;
}

/* All calls in that state; calls made meanwhile by the callbacks are left alone. */
static bool
calls_fail(struct hq_calls *cs, enum call_state state, int rc)
{
    bool was_there[HQ_NET_CALLS_MAX];
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        was_there[ix] = cs->calls[ix].state == state;
    }
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        if (was_there[ix] && cs->calls[ix].state == state && !call_finish(&cs->calls[ix], rc, HQ_STR_NULL)) {
            return false;
        }
    }
    return true;
}

/* ---- sending */

static struct hq_str
put_id(struct hq_calls *cs, unsigned char out[4], uint32_t *ret_id)
{
    cs->last_id = (cs->last_id + 1) | UINT32_C(0x80000000);
    for (size_t ix = 0; ix < 4; ix++) {
        out[ix] = (unsigned char)(cs->last_id >> (24 - 8 * ix));
    }
    *ret_id = cs->last_id;
    return hq_str_make((const char *)out, 4);
}

static int
call_send(struct call *c)
{
    struct hq_calls *cs = c->calls;
    size_t len = hq_chan_request_bytes(&cs->chan, c->payload_len);
    HQ_AUTO(hq_mem_freep) unsigned char *out = hq_try_alloc(len);
    if (out == NULL) {
        return -ENOMEM;
    }
    int rc = hq_chan_request(&cs->chan, hq_str_make(c->payload, c->payload_len), c->before, out, &c->ref);
    if (rc < 0) {
        return rc;
    }
    unsigned char id[4];
    struct hq_str head = put_id(cs, id, &c->request_id);
    c->state = CALL_OUT;
    hq_conn_send(cs->conn, head, hq_str_make((const char *)out, len));
    return 0;
}

static void
calls_greet(struct hq_calls *cs)
{
    unsigned char hello[HQ_FRAME_HELLO_BYTES];
    unsigned char id[4];
    if (hq_chan_hello(&cs->chan, hello) < 0) {
        return; /* no random numbers, no session: the calls time out */
    }
    struct hq_str head = put_id(cs, id, &cs->hello_id);
    ev_now_update(cs->loop);
    ev_timer_set(&cs->hello_timer, HANDSHAKE_MS / 1e3, 0.);
    ev_timer_start(cs->loop, &cs->hello_timer);
    hq_conn_send(cs->conn, head, hq_str_make((const char *)hello, sizeof(hello)));
}

/* Sends what waits, or sees to a session first. Never calls back: what cannot be sent ends by its timer. */
static void
calls_pump(struct hq_calls *cs)
{
    if (!hq_conn_is_up(cs->conn)) {
        return;
    }
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        struct call *c = &cs->calls[ix];
        if (c->state != CALL_QUEUED) {
            continue;
        }
        if (!cs->chan.is_open) {
            if (cs->hello_id == 0) {
                calls_greet(cs);
            }
            return;
        }
        (void)call_send(c); /* without memory: stays queued */
    }
}

/* ---- the connection tells */

static void
calls_on_up(void *ctx, bool is_local)
{
    struct hq_calls *cs = ctx;
    if (cs->chan_is_local != is_local) { /* a session belongs to one kind; on ipc there is none */
        hq_chan_fini(&cs->chan);
        hq_chan_init(&cs->chan, cs->role, is_local || !cs->has_secret ? NULL : cs->secret);
        cs->chan_is_local = is_local;
    }
    calls_pump(cs);
}

static void
hello_end(struct hq_calls *cs)
{
    cs->hello_id = 0;
    ev_timer_stop(cs->loop, &cs->hello_timer);
}

static void
calls_on_down(void *ctx, int rc)
{
    struct hq_calls *cs = ctx;
    (void)rc; /* however it ended: what was out may have run */
    hello_end(cs);
    (void)calls_fail(cs, CALL_OUT, -ECONNRESET);
}

static void
hello_on_frame(struct hq_calls *cs, char *body, size_t len)
{
    hello_end(cs);
    int rc = hq_chan_welcome(&cs->chan, hq_str_make(body, len), NULL);
    if (rc < 0) { /* refused: nobody who waits for a session gets one */
        (void)calls_fail(cs, CALL_QUEUED, rc);
        return;
    }
    calls_pump(cs);
}

/* 0: waits for a new session */
static int
call_again(struct call *c)
{
    if (c->is_again) {
        return -EPROTO; /* unknown twice: not a server of ours */
    }
    c->is_again = true;
    c->before = c->ref;
    c->state = CALL_QUEUED;
    calls_pump(c->calls);
    return 0;
}

static void
call_on_frame(struct call *c, char *body, size_t len)
{
    struct hq_str payload = HQ_STR_NULL;
    int rc = hq_chan_answer(&c->calls->chan, c->ref, body, len, &payload, NULL);
    if (rc == HQ_CHAN_UNKNOWN) {
        rc = call_again(c);
        if (rc == 0) {
            return;
        }
    }
    (void)call_finish(c, rc, payload); /* nothing is touched behind it */
}

static void
calls_on_frame(void *ctx, char *body, size_t len)
{
    struct hq_calls *cs = ctx;
    if (len < 4) {
        return; /* answers nothing */
    }
    uint32_t id = 0;
    for (size_t ix = 0; ix < 4; ix++) {
        id = id << 8 | (unsigned char)body[ix];
    }
    if (id == cs->hello_id && id != 0) {
        hello_on_frame(cs, body + 4, len - 4);
        return;
    }
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        struct call *c = &cs->calls[ix];
        if (c->state == CALL_OUT && c->request_id == id) {
            call_on_frame(c, body + 4, len - 4);
            return;
        }
    }
    /* else: an answer that came after its call had ended */
}

/* ---- time */

static void
call_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct call *c = w->data;
    int rc = hq_conn_is_up(c->calls->conn) ? -ETIMEDOUT : hq_conn_error(c->calls->conn);
    (void)call_finish(c, rc, HQ_STR_NULL);
}

static void
hello_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct hq_calls *cs = w->data;
    hello_end(cs);
    calls_pump(cs); /* another one, while calls wait */
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
    char *copy = hq_try_alloc(payload.len + 1);
    if (copy == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot prepare a request of %zu bytes", payload.len);
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
    c->state = CALL_QUEUED;
    ev_now_update(cs->loop); /* a long turn of the loop must not shorten the wait */
    ev_timer_set(&c->timer, (double)HQ_MAX(timeout_ms, (hq_ms)1) / 1e3, 0.);
    ev_timer_start(cs->loop, &c->timer);
    calls_pump(cs);
    return 0;
}

/* ---- life */

struct hq_calls *
hq_calls_create(const struct hq_net_client *c, struct ev_loop *loop)
{
    struct hq_calls *cs = hq_xalloc(sizeof(*cs));
    cs->loop = loop;
    cs->role = c->role;
    cs->has_secret = c->has_secret;
    memcpy(cs->secret, c->secret, sizeof(cs->secret));
    hq_chan_init(&cs->chan, c->role, c->has_secret ? c->secret : NULL);
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        cs->calls[ix].calls = cs;
        ev_timer_init(&cs->calls[ix].timer, call_on_timer, 0., 0.);
        cs->calls[ix].timer.data = &cs->calls[ix];
    }
    ev_timer_init(&cs->hello_timer, hello_on_timer, 0., 0.);
    cs->hello_timer.data = cs;
    cs->conn = hq_conn_create(&(struct hq_conn_conf){
        .loop = loop,
        .ipc_path = c->ipc_path,
        .host = c->host,
        .port = c->port,
        .own = HQ_SP_REQ,
        .peer = HQ_SP_REP,
        .ctx = cs,
        .on_up = calls_on_up,
        .on_down = calls_on_down,
        .on_frame = calls_on_frame,
    });
    return cs;
}

void
hq_calls_destroy(struct hq_calls *cs)
{
    if (cs == NULL) {
        return;
    }
    hq_conn_destroy(cs->conn);
    hello_end(cs);
    for (size_t ix = 0; ix < HQ_NET_CALLS_MAX; ix++) {
        call_reset(&cs->calls[ix]);
    }
    if (cs->depth > 0) {
        cs->is_dead = true;
    } else {
        calls_free(cs);
    }
}
