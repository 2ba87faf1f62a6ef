/* net_answer.c - answers leave: sealed, addressed, held back while nng has no room. */
#include "common/net_server.h"

#include <nng/nng.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define RETRY_S 0.005

nng_msg *
hq_server_msg(const uint8_t route[8], size_t body_bytes)
{
    nng_msg *m = NULL;
    if (nng_msg_alloc(&m, body_bytes) != 0) {
        return NULL;
    }
    if (nng_msg_header_append(m, route, 8) != 0) {
        nng_msg_free(m);
        return NULL;
    }
    return m;
}

static void
server_hold(struct hq_net_server *s, nng_msg *msg)
{
    struct hq_net_held *h = hq_try_alloc(sizeof(*h));
    if (h == NULL) {
        nng_msg_free(msg); /* as if lost on the way: the peer's call times out */
        return;
    }
    h->msg = msg;
    STAILQ_INSERT_TAIL(&s->held, h, held);
    if (!ev_is_active(&s->retry)) {
        ev_timer_set(&s->retry, RETRY_S, 0.);
        ev_timer_start(s->conf.loop, &s->retry);
    }
}

void
hq_server_send(struct hq_net_server *s, nng_msg *msg)
{
    const uint8_t *route = nng_msg_header(msg);
    if (s->local != NULL && (route[0] & HQ_LOCAL_ID >> 24) != 0) {
        hq_local_send(s->local, route, hq_str_make(nng_msg_body(msg), nng_msg_len(msg)));
        nng_msg_free(msg);
        return;
    }
    int rv = STAILQ_EMPTY(&s->held) ? nng_sendmsg(s->sock, msg, NNG_FLAG_NONBLOCK) : NNG_EAGAIN;
    if (rv == NNG_EAGAIN) {
        server_hold(s, msg);
    } else if (rv != 0) {
        nng_msg_free(msg); /* the socket is closed: there is nobody to answer */
    }
}

void
hq_server_flush(struct hq_net_server *s)
{
    struct hq_net_held *h;
    while ((h = STAILQ_FIRST(&s->held)) != NULL) {
        int rv = nng_sendmsg(s->sock, h->msg, NNG_FLAG_NONBLOCK);
        if (rv == NNG_EAGAIN) {
            return;
        }
        if (rv != 0) {
            nng_msg_free(h->msg);
        }
        STAILQ_REMOVE_HEAD(&s->held, held);
        free(h);
    }
}

void
hq_server_on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)revents;
    struct hq_net_server *s = w->data;
    hq_server_flush(s);
    if (!STAILQ_EMPTY(&s->held)) {
        ev_timer_set(w, RETRY_S, 0.);
        ev_timer_start(loop, w);
    }
}

int
hq_net_answer(struct hq_net_server *s, const struct hq_net_req *req, struct hq_str payload)
{
    if (payload.len > HQ_MSG_BYTES_MAX) {
        return -EMSGSIZE;
    }
    struct hq_pipe *p = hq_pipe_find(&s->table, req->pipe);
    struct hq_peer *peer = p == NULL || p->is_kicked ? NULL : p->peer;
    if (peer == NULL || peer->id != req->peer_id) {
        return 0; /* gone, or on another connection now: it has seen this one end */
    }
    size_t bytes = payload.len + (peer->is_sealed ? HQ_FRAME_SEALED_BYTES : HQ_FRAME_HEAD_BYTES);
    nng_msg *m = hq_server_msg(req->route, bytes);
    if (m == NULL) {
        return -ENOMEM;
    }
    unsigned char *out = nng_msg_body(m);
    if (peer->is_sealed) {
        const uint64_t prefix[2] = {req->counter, HQ_ANSWER_OK};
        uint64_t own = 0;
        int rc = hq_frame_seal(out, &peer->seal, s->conf.role, peer->id, prefix, payload, &own);
        if (rc < 0) {
            nng_msg_free(m);
            return rc;
        }
    } else {
        hq_frame_head(out, HQ_FRAME_PLAIN, s->conf.role, 0);
        if (payload.len > 0) {
            memcpy(out + HQ_FRAME_HEAD_BYTES, payload.ptr, payload.len);
        }
    }
    if (p->inflight_count > 0) {
        p->inflight_count--;
    }
    hq_server_send(s, m);
    return 0;
}
