/* net_session.c - tables of connections and peers. Every change of "who speaks on which connection" is made here. */
#include "common/net_session.h"

#include <sodium.h>
#include <string.h>

#include "common/mem.h"

void
hq_sessions_init(struct hq_sessions *t)
{
    *t = (struct hq_sessions){0};
    TAILQ_INIT(&t->strangers);
    TAILQ_INIT(&t->kicks);
    TAILQ_INIT(&t->orphans);
}

static void
peer_free(struct hq_sessions *t, struct hq_peer *peer)
{
    if (peer->is_sealed && peer->pipe == NULL) {
        TAILQ_REMOVE(&t->orphans, peer, orphans);
    }
    HASH_DEL(t->peers, peer);
    sodium_memzero(&peer->seal, sizeof(peer->seal));
    free(peer);
}

static void
stranger_remove(struct hq_sessions *t, struct hq_pipe *p)
{
    if (p->is_stranger) {
        TAILQ_REMOVE(&t->strangers, p, strangers);
        t->stranger_count--;
        p->is_stranger = false;
    }
}

static void
kick_remove(struct hq_sessions *t, struct hq_pipe *p)
{
    if (p->is_kicked && !p->is_swept) {
        TAILQ_REMOVE(&t->kicks, p, kicks);
    }
}

void
hq_sessions_fini(struct hq_sessions *t)
{
    struct hq_pipe *p;
    struct hq_pipe *next_pipe;
    HASH_ITER(hh, t->pipes, p, next_pipe)
    {
        (void)hq_pipe_remove(t, p, 0); /* nobody is told at the end */
    }
    struct hq_peer *peer;
    struct hq_peer *next_peer;
    HASH_ITER(hh, t->peers, peer, next_peer)
    {
        peer_free(t, peer);
    }
    HQ_ASSERT(t->stranger_count == 0);
    HQ_ASSERT(TAILQ_EMPTY(&t->orphans));
}

struct hq_pipe *
hq_pipe_find(struct hq_sessions *t, uint32_t id)
{
    struct hq_pipe *p = NULL;
    HASH_FIND(hh, t->pipes, &id, sizeof(id), p);
    return p;
}

struct hq_pipe *
hq_pipe_add(struct hq_sessions *t, uint32_t id, const struct hq_remote *remote, hq_ms now_ms)
{
    HQ_ASSERT(hq_pipe_find(t, id) == NULL);
    struct hq_pipe *p = hq_try_alloc(sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    p->id = id;
    p->remote = *remote;
    p->since_ms = now_ms;
    HASH_ADD(hh, t->pipes, id, sizeof(p->id), p);
    if (!remote->is_local) {
        p->is_stranger = true;
        TAILQ_INSERT_TAIL(&t->strangers, p, strangers);
        t->stranger_count++;
    }
    return p;
}

/* The peer has no connection any more; true: it was announced, so its end must be told. */
static bool
peer_orphan(struct hq_sessions *t, struct hq_peer *peer, hq_ms now_ms)
{
    bool was_announced = peer->is_announced;
    peer->is_announced = false;
    peer->pipe = NULL;
    if (peer->is_sealed) {
        peer->orphan_at_ms = now_ms;
        TAILQ_INSERT_TAIL(&t->orphans, peer, orphans);
    } else {
        peer_free(t, peer);
    }
    return was_announced;
}

uint64_t
hq_pipe_remove(struct hq_sessions *t, struct hq_pipe *p, hq_ms now_ms)
{
    uint64_t gone = 0;
    if (p->peer != NULL) {
        uint64_t id = p->peer->id;
        gone = peer_orphan(t, p->peer, now_ms) ? id : 0;
    }
    if (p->pending != NULL) {
        peer_free(t, p->pending);
    }
    stranger_remove(t, p);
    kick_remove(t, p);
    HASH_DEL(t->pipes, p);
    free(p);
    return gone;
}

void
hq_pipe_greet(struct hq_sessions *t, struct hq_pipe *p)
{
    stranger_remove(t, p);
    p->strike_count = 0;
}

void
hq_pipe_kick(struct hq_sessions *t, struct hq_pipe *p)
{
    if (!p->is_kicked) {
        stranger_remove(t, p);
        p->is_kicked = true;
        TAILQ_INSERT_TAIL(&t->kicks, p, kicks);
    }
}

struct hq_pipe *
hq_pipe_overdue(struct hq_sessions *t, hq_ms now_ms)
{
    struct hq_pipe *p = TAILQ_FIRST(&t->strangers);
    bool is_overdue =
        p != NULL && (t->stranger_count > HQ_NET_STRANGERS_MAX || now_ms - p->since_ms >= HQ_HANDSHAKE_MS_MAX);
    return is_overdue ? p : NULL;
}

struct hq_peer *
hq_peer_find(struct hq_sessions *t, uint64_t id)
{
    struct hq_peer *peer = NULL;
    HASH_FIND(hh, t->peers, &id, sizeof(id), peer);
    return peer;
}

static struct hq_peer *
peer_add(struct hq_sessions *t, struct hq_pipe *p, bool is_sealed)
{
    struct hq_peer *peer = hq_try_alloc(sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    do {
        randombytes_buf(&peer->id, sizeof(peer->id));
    } while (peer->id == 0 || hq_peer_find(t, peer->id) != NULL);
    peer->is_sealed = is_sealed;
    peer->pipe = p;
    HASH_ADD(hh, t->peers, id, sizeof(peer->id), peer);
    return peer;
}

struct hq_peer *
hq_peer_of_pipe(struct hq_sessions *t, struct hq_pipe *p)
{
    if (p->peer == NULL) {
        p->peer = peer_add(t, p, false);
    }
    return p->peer;
}

struct hq_peer *
hq_peer_open(struct hq_sessions *t, struct hq_pipe *p)
{
    if (p->pending != NULL) {
        peer_free(t, p->pending);
        p->pending = NULL;
    }
    if (HASH_COUNT(t->peers) >= HQ_SESSIONS_MAX) {
        struct hq_peer *oldest = TAILQ_FIRST(&t->orphans);
        if (oldest == NULL) {
            return NULL;
        }
        peer_free(t, oldest);
    }
    p->pending = peer_add(t, p, true);
    return p->pending;
}

uint64_t
hq_peer_bind(struct hq_sessions *t, struct hq_peer *peer, struct hq_pipe *p, hq_ms now_ms)
{
    if (p->peer == peer) {
        return 0;
    }
    struct hq_pipe *old = peer->pipe;
    if (old == NULL) {
        TAILQ_REMOVE(&t->orphans, peer, orphans);
    } else if (old->pending == peer) {
        old->pending = NULL;
    } else {
        HQ_ASSERT(old->peer == peer);
        old->peer = NULL;
        hq_pipe_kick(t, old);
    }
    uint64_t gone = 0;
    if (p->peer != NULL) {
        uint64_t id = p->peer->id;
        gone = peer_orphan(t, p->peer, now_ms) ? id : 0;
    }
    p->peer = peer;
    peer->pipe = p;
    return gone;
}

void
hq_peer_forget(struct hq_sessions *t, struct hq_peer *peer)
{
    struct hq_pipe *p = peer->pipe;
    if (p != NULL && p->pending == peer) {
        p->pending = NULL;
    } else if (p != NULL) {
        HQ_ASSERT(p->peer == peer);
        p->peer = NULL;
        hq_pipe_kick(t, p);
    }
    peer_free(t, peer);
}

void
hq_peer_expire(struct hq_sessions *t, hq_ms now_ms)
{
    struct hq_peer *peer;
    while ((peer = TAILQ_FIRST(&t->orphans)) != NULL && now_ms - peer->orphan_at_ms >= HQ_NET_ORPHAN_MS_MAX) {
        peer_free(t, peer);
    }
}

hq_ms
hq_sessions_next_ms(const struct hq_sessions *t, hq_ms now_ms)
{
    hq_ms next = -1;
    const struct hq_pipe *p = TAILQ_FIRST(&t->strangers);
    if (p != NULL) {
        next = HQ_MAX(p->since_ms + HQ_HANDSHAKE_MS_MAX - now_ms, (hq_ms)0);
    }
    const struct hq_peer *peer = TAILQ_FIRST(&t->orphans);
    if (peer != NULL) {
        hq_ms at = HQ_MAX(peer->orphan_at_ms + HQ_NET_ORPHAN_MS_MAX - now_ms, (hq_ms)0);
        next = next < 0 ? at : HQ_MIN(next, at);
    }
    return next;
}
