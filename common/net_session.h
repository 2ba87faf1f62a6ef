/* net_session.h - the server's tables: connections, peers, and what each may do. Private to net_*.c.
 *
 * Purpose    a *pipe* is one connection. A *peer* is who speaks: on ipc and in plain mode the connection itself; sealed
 *            a session, which may move from one connection to the next. Here are their bounds; net_peer.c talks.
 * Ownership  the tables own pipes and peers.
 * Threads    loop only.
 * Limits     HQ_SESSIONS_MAX, HQ_NET_STRANGERS_MAX, HQ_NET_STRIKES_MAX, HQ_NET_ORPHAN_MS_MAX, HQ_HANDSHAKE_MS_MAX.
 */
#ifndef HQ_COMMON_NET_SESSION_H
#define HQ_COMMON_NET_SESSION_H

#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define uthash_fatal(msg) abort() /* tables of pointers: without memory for them nothing works */
#include <uthash.h>

#include "common/net_priv.h"

struct hq_pipe;

struct hq_peer {
    uint64_t id; /* also the session id on the wire: random, so that a restarted server does not know old ones */
    bool is_sealed;
    bool is_announced; /* on_request was called: on_peer_gone is owed */
    struct hq_seal seal;
    struct hq_pipe *pipe; /* where it spoke last; NULL = orphan */
    hq_ms orphan_at_ms;
    TAILQ_ENTRY(hq_peer) orphans;
    UT_hash_handle hh;
};
TAILQ_HEAD(hq_peer_list, hq_peer);

struct hq_remote { /* who is at the other end, for closing and for log lines */
    bool is_local;
    uint32_t uid;
    int32_t pid;
    uint16_t family; /* AF_INET, AF_INET6 or AF_UNIX */
    uint16_t port;   /* network order */
    unsigned char ip[16];
    char addr[64];
};

struct hq_pipe {
    uint32_t id;
    struct hq_remote remote;
    struct hq_peer *peer;    /* who speaks here; NULL = nobody yet */
    struct hq_peer *pending; /* session opened here that carried no message yet */
    uint32_t inflight_count;
    uint8_t strike_count;
    bool is_stranger; /* in the list of strangers */
    bool is_kicked;   /* nothing it says counts; closed with the next sweep */
    bool is_swept;    /* the sweep has been there */
    hq_ms since_ms;
    TAILQ_ENTRY(hq_pipe) strangers;
    TAILQ_ENTRY(hq_pipe) kicks;
    UT_hash_handle hh;
};
TAILQ_HEAD(hq_pipe_list, hq_pipe);

struct hq_sessions {
    struct hq_pipe *pipes;         /* uthash by id */
    struct hq_peer *peers;         /* uthash by id */
    struct hq_pipe_list strangers; /* oldest first */
    struct hq_pipe_list kicks;
    struct hq_peer_list orphans; /* oldest first */
    uint32_t stranger_count;
};

void hq_sessions_init(struct hq_sessions *t);
void hq_sessions_fini(struct hq_sessions *t);

struct hq_pipe *hq_pipe_find(struct hq_sessions *t, uint32_t id);
/* NULL without memory. A TCP connection is a stranger until hq_pipe_greet. */
struct hq_pipe *hq_pipe_add(struct hq_sessions *t, uint32_t id, const struct hq_remote *remote, hq_ms now_ms);
/* The connection ended. Returns the id of a peer that is gone thereby and was announced, else 0. */
uint64_t hq_pipe_remove(struct hq_sessions *t, struct hq_pipe *p, hq_ms now_ms);
/* A valid message came: no stranger any more, old strikes are forgiven. */
void hq_pipe_greet(struct hq_sessions *t, struct hq_pipe *p);
/* Marks for closing. Its peer stays (an orphan once the connection has ended). */
void hq_pipe_kick(struct hq_sessions *t, struct hq_pipe *p);
/* The oldest stranger beyond the bound or the time, not yet kicked; NULL = none. */
struct hq_pipe *hq_pipe_overdue(struct hq_sessions *t, hq_ms now_ms);

struct hq_peer *hq_peer_find(struct hq_sessions *t, uint64_t id);
/* The peer of a plain or local connection, made with its first message; NULL without memory. */
struct hq_peer *hq_peer_of_pipe(struct hq_sessions *t, struct hq_pipe *p);
/* A new session, pending on p (replacing one that was); NULL = no memory or HQ_SESSIONS_MAX sessions with connections.
 */
struct hq_peer *hq_peer_open(struct hq_sessions *t, struct hq_pipe *p);
/* The session spoke on p with a message newer than all before: p is its connection now, an older one is kicked.
 * Returns the id of the announced peer that p served until now and that is gone thereby, else 0. */
uint64_t hq_peer_bind(struct hq_sessions *t, struct hq_peer *peer, struct hq_pipe *p, hq_ms now_ms);
/* Forgets the peer and kicks its connection. */
void hq_peer_forget(struct hq_sessions *t, struct hq_peer *peer);
/* Forgets orphans whose time is over. */
void hq_peer_expire(struct hq_sessions *t, hq_ms now_ms);
/* When to look again at strangers and orphans, as a span; -1 = nothing to wait for. */
hq_ms hq_sessions_next_ms(const struct hq_sessions *t, hq_ms now_ms);

#endif
