/* net_peer.c - what a frame means to the server: who may say what, and what bad input gets. */
#include "common/net_server.h"

#include <string.h>

#include "common/clock.h"

/* One more bad frame of this connection; too many end it. */
static void
strike(struct hq_net_server *s, struct hq_pipe *p, const char *why)
{
    hq_server_bad(s, &p->remote, why);
    p->strike_count++;
    if (p->strike_count >= HQ_NET_STRIKES_MAX) {
        hq_pipe_kick(&s->table, p);
        hq_server_kick_soon(s);
    }
}

static void
refuse(struct hq_net_server *s, struct hq_pipe *p, const uint8_t route[8], enum hq_refusal reason, const char *why)
{
    nng_msg *m = hq_server_msg(route, HQ_FRAME_HEAD_BYTES);
    if (m != NULL) {
        hq_frame_head(nng_msg_body(m), HQ_FRAME_REFUSED, s->conf.role, (uint8_t)reason);
        hq_server_send(s, m);
    }
    strike(s, p, why);
}

void
hq_server_drop(struct hq_net_server *s, struct hq_peer *peer)
{
    uint64_t id = peer->is_announced ? peer->id : 0;
    hq_peer_forget(&s->table, peer);
    hq_server_kick_soon(s);
    hq_server_gone(s, id);
}

static void
deliver(struct hq_net_server *s, struct hq_pipe *p, uint64_t counter, const uint8_t route[8], struct hq_str payload)
{
    struct hq_peer *peer = p->peer;
    HQ_ASSERT(peer != NULL);
    if (p->inflight_count >= HQ_INFLIGHT_PER_PEER_MAX) {
        hq_server_bad(s, &p->remote, "too many requests without an answer");
        hq_server_drop(s, peer);
        return;
    }
    p->inflight_count++;
    peer->is_announced = true;
    struct hq_net_peer who = {.id = peer->id,
                              .role = s->conf.role,
                              .is_local = p->remote.is_local,
                              .uid = p->remote.uid,
                              .pid = p->remote.pid};
    _Static_assert(sizeof(who.addr) == sizeof(p->remote.addr), "copied whole");
    memcpy(who.addr, p->remote.addr, sizeof(who.addr));
    struct hq_net_req req = {.peer_id = peer->id, .counter = counter, .pipe = p->id};
    memcpy(req.route, route, sizeof(req.route));
    s->conf.on_request(s->conf.ctx, &who, &req, payload); /* p and peer may be gone behind this */
}

static void
on_plain(struct hq_net_server *s, struct hq_pipe *p, const uint8_t route[8], const struct hq_frame *f)
{
    if (s->has_secret && !p->remote.is_local) {
        refuse(s, p, route, HQ_REFUSAL_SEALED, "a message without encryption");
        return;
    }
    if (f->role != s->conf.role) {
        refuse(s, p, route, HQ_REFUSAL_ROLE, "a client on the workers' port, or the reverse");
        return;
    }
    if (hq_peer_of_pipe(&s->table, p) == NULL) {
        hq_server_bad(s, &p->remote, "no memory for another peer");
        return;
    }
    hq_pipe_greet(&s->table, p);
    deliver(s, p, 0, route, f->body);
}

static int
make_session(struct hq_net_server *s, struct hq_pipe *p, struct hq_seal_hs *hs, unsigned char *out)
{
    struct hq_peer *peer = hq_peer_open(&s->table, p);
    if (peer == NULL) {
        return -ENOMEM;
    }
    unsigned char id[8];
    size_t len = 0;
    hq_put_u64(id, peer->id);
    hq_frame_head(out, HQ_FRAME_WELCOME, s->conf.role, 0);
    int rc = hq_seal_hs_write(hs, hq_str_make((const char *)id, sizeof(id)), out + HQ_FRAME_HEAD_BYTES,
                              HQ_FRAME_WELCOME_BYTES - HQ_FRAME_HEAD_BYTES, &len);
    if (rc == 0) {
        rc = hq_seal_hs_split(hs, &peer->seal);
    }
    if (rc < 0) {
        hq_peer_forget(&s->table, peer);
    }
    return rc;
}

/* A wrong secret costs us a few hashes; the two curve operations come only after the secret has proved right. */
static void
on_hello(struct hq_net_server *s, struct hq_pipe *p, const uint8_t route[8], const struct hq_frame *f)
{
    if (f->role != s->conf.role) {
        refuse(s, p, route, HQ_REFUSAL_ROLE, "a client on the workers' port, or the reverse");
        return;
    }
    unsigned char prologue[8];
    struct hq_seal_hs hs;
    size_t len = 0;
    hq_frame_prologue(prologue, s->conf.role);
    hq_seal_hs_init(&hs, HQ_SEAL_RESPONDER, hq_str_make((const char *)prologue, sizeof(prologue)), s->secret, NULL);
    if (hq_seal_hs_read(&hs, f->body, NULL, 0, &len) != 0) {
        hq_seal_hs_fini(&hs);
        refuse(s, p, route, HQ_REFUSAL_SECRET, "a wrong secret key");
        return;
    }
    nng_msg *m = hq_server_msg(route, HQ_FRAME_WELCOME_BYTES);
    int rc = m == NULL ? -ENOMEM : make_session(s, p, &hs, nng_msg_body(m));
    hq_seal_hs_fini(&hs);
    if (rc < 0) {
        nng_msg_free(m);
        strike(s, p, "no room for another session");
        return;
    }
    hq_server_send(s, m);
    p->strike_count++; /* forgiven with the first sealed message; a replayed handshake never gets there */
    if (p->strike_count > HQ_NET_STRIKES_MAX) {
        strike(s, p, "handshakes that lead nowhere");
    }
}

/* The sender was told "unknown session" for an earlier copy of this request. If that was a lie (seal.h), the earlier
 * copy may have run: then this one must not. If it has not come yet, it shall not be accepted any more. */
static bool
ran_before(struct hq_net_server *s, const struct hq_pipe *p, const uint64_t prefix[2])
{
    struct hq_peer *old = prefix[0] == 0 ? NULL : hq_peer_find(&s->table, prefix[0]);
    if (old == NULL || !old->is_sealed) {
        return false;
    }
    if ((old->pipe != NULL && old->pipe != p) || hq_seal_window_check(&old->seal.recv, prefix[1]) != 0) {
        return true;
    }
    hq_seal_window_mark(&old->seal.recv, prefix[1]);
    return false;
}

static void
answer_ran_before(struct hq_net_server *s, struct hq_peer *peer, uint64_t counter, const uint8_t route[8])
{
    nng_msg *m = hq_server_msg(route, HQ_FRAME_SEALED_BYTES);
    if (m == NULL) {
        return;
    }
    const uint64_t prefix[2] = {counter, HQ_ANSWER_RAN_BEFORE};
    uint64_t own = 0;
    if (hq_frame_seal(nng_msg_body(m), &peer->seal, s->conf.role, peer->id, prefix, HQ_STR_NULL, &own) < 0) {
        nng_msg_free(m);
        return;
    }
    hq_server_send(s, m);
}

static void
send_unknown(struct hq_net_server *s, const uint8_t route[8], const struct hq_frame *f)
{
    nng_msg *m = hq_server_msg(route, HQ_FRAME_UNKNOWN_BYTES);
    if (m == NULL) {
        return;
    }
    unsigned char *out = nng_msg_body(m);
    hq_frame_head(out, HQ_FRAME_UNKNOWN, s->conf.role, 0);
    hq_put_u64(out + HQ_FRAME_HEAD_BYTES, f->session);
    hq_put_u64(out + HQ_FRAME_HEAD_BYTES + 8, f->counter);
    hq_server_send(s, m);
}

static void
on_sealed(struct hq_net_server *s, struct hq_pipe *p, const uint8_t route[8], const struct hq_frame *f)
{
    struct hq_peer *peer = hq_peer_find(&s->table, f->session);
    if (peer == NULL || !peer->is_sealed) {
        send_unknown(s, route, f);
        return;
    }
    uint64_t prefix[2];
    struct hq_str payload;
    int rc = hq_frame_open(f, &peer->seal, prefix, &payload);
    if (rc < 0) {
        strike(s, p, rc == -EALREADY ? "a repeated message" : "a forged or damaged message");
        return;
    }
    bool is_newest = f->counter + 1 == peer->seal.recv.last;
    if (peer->pipe != p && !is_newest) {
        return; /* overtaken on its way by a newer connection of the same peer: the asker has seen this one end */
    }
    bool is_again = ran_before(s, p, prefix);
    uint64_t gone = hq_peer_bind(&s->table, peer, p, hq_clock_ms());
    hq_pipe_greet(&s->table, p);
    hq_server_kick_soon(s);
    hq_server_expire_soon(s);
    uint32_t pipe_id = p->id;
    uint64_t peer_id = peer->id;
    hq_server_gone(s, gone); /* a callback: p may be kicked by it, but stays in the table */
    if (hq_pipe_find(&s->table, pipe_id) != p || p->is_kicked || p->peer == NULL || p->peer->id != peer_id) {
        return;
    }
    if (is_again) {
        answer_ran_before(s, p->peer, f->counter, route);
        return;
    }
    deliver(s, p, f->counter, route, payload);
}

void
hq_server_handle(struct hq_net_server *s, struct hq_pipe *p, const uint8_t route[8], char *body, size_t len)
{
    struct hq_frame f;
    int rc = hq_frame_parse(hq_str_make(body, len), &f);
    if (rc == -EPROTONOSUPPORT) {
        refuse(s, p, route, HQ_REFUSAL_VERSION, "another version of the protocol");
        return;
    }
    bool is_known = rc == 0 && (f.type == HQ_FRAME_PLAIN || f.type == HQ_FRAME_HELLO || f.type == HQ_FRAME_SEALED);
    if (!is_known) {
        strike(s, p, "not a message of ours");
        return;
    }
    if (f.type == HQ_FRAME_PLAIN) {
        on_plain(s, p, route, &f);
    } else if (!s->has_secret || p->remote.is_local) {
        refuse(s, p, route, HQ_REFUSAL_PLAIN, "an encrypted message where none is expected");
    } else if (f.type == HQ_FRAME_HELLO) {
        on_hello(s, p, route, &f);
    } else {
        on_sealed(s, p, route, &f);
    }
}
