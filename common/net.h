/* net.h - request and reply between processes: sealed, bounded, told of peers that go. Nobody but net_*.c knows nng.
 *
 * Purpose    server: listen, on_request, answer (at once or later), on_peer_gone, kick.
 *            client: dial, call (callback) or ask (blocking). publish / subscribe for hints.
 *            Sessions (Noise NNpsk0), replay windows, ipc peer credentials and the cures for nng live behind it.
 * Ownership  payload views are valid during the callback only. struct hq_net_req is plain data: copy it, answer later.
 * Threads    all functions and callbacks run on the loop's thread. nng's threads end at bridge.h.
 * Units      ms.
 * Errors     negative errno: -ETIMEDOUT nobody answered, -ECONNREFUSED nobody listens, -EHOSTUNREACH no host (both:
 *            hq_net_ask at once; hq_net_call when its time ended and there was still no connection), -ECONNRESET the
 *            connection ended with the request out (it may have run), -EACCES wrong secret, role or socket owner,
 *            -EPROTO the peer speaks something else, -EPROTONOSUPPORT another version of the frames, -EMSGSIZE, -EBUSY
 *            too many calls out.
 * Limits     limits.h: sizes, requests in flight per peer, sessions.
 */
#ifndef HQ_COMMON_NET_H
#define HQ_COMMON_NET_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

struct ev_loop;

#define HQ_SECRET_BYTES 32

enum hq_role { /* which secret a peer knew; on ipc: the kernel's word instead */
    HQ_ROLE_CLIENT = 1,
    HQ_ROLE_WORKER = 2,
};

struct hq_net_peer {
    uint64_t id;       /* session (sealed) or connection (ipc, plain); never reused in one process */
    enum hq_role role;
    bool is_local;     /* ipc: uid and pid come from the kernel */
    uint32_t uid;      /* local only, else UINT32_MAX */
    int32_t pid;       /* local only, else 0 */
    char addr[64];     /* "10.0.0.7:41234" or "local", for log lines */
};

struct hq_net_req { /* what an answer needs; copy freely; answer exactly once, or never if the peer is gone */
    uint64_t peer_id;
    uint64_t counter;  /* of the sealed request: bound into the sealed answer */
    uint32_t pipe;
    uint8_t route[8];
};

struct hq_net_server;

struct hq_net_server_conf {
    struct ev_loop *loop;
    enum hq_role role;              /* of those who come here */
    const char *host;               /* address to bind ("0.0.0.0"), NULL = no TCP */
    uint16_t port;                  /* 0 = any free one */
    const char *ipc_path;           /* NULL = no ipc; begins with '@' = abstract */
    const unsigned char *secret;    /* HQ_SECRET_BYTES; NULL = plain frames on TCP */
    uint32_t ipc_uid;               /* the only uid allowed on ipc; UINT32_MAX = all */
    void *ctx;
    void (*on_request)(void *ctx, const struct hq_net_peer *peer, const struct hq_net_req *req, struct hq_str payload);
    /* The last connection of a peer that had asked something ended. A sealed peer may come back with the same id
     * (within HQ_NET_ORPHAN_MS_MAX); then it simply asks again. Answers to what it had asked before are dropped. */
    void (*on_peer_gone)(void *ctx, uint64_t peer_id);
    void (*on_bad_peer)(void *ctx, const char *addr, const char *why); /* dropped; rate-limit the log line yourself */
};
/* Callbacks may answer and kick, but not destroy the server. NULL is fine for on_peer_gone and on_bad_peer. */

HQ_MUST_CHECK int hq_net_server_create(struct hq_net_server **ret, const struct hq_net_server_conf *conf,
                                       struct hq_err *err);
uint16_t hq_net_server_port(const struct hq_net_server *s); /* the bound TCP port */
/* Sends the answer; 0 also when the peer has gone meanwhile. -EMSGSIZE over HQ_MSG_BYTES_MAX. */
int hq_net_answer(struct hq_net_server *s, const struct hq_net_req *req, struct hq_str payload);
/* Closes its connection, forgets its session; no on_peer_gone follows. */
void hq_net_kick(struct hq_net_server *s, uint64_t peer_id);
/* Waits for all peers to hang up (they do once they have their last answer), at most wait_ms; then closes. NULL is
 * fine. */
void hq_net_server_destroy(struct hq_net_server *s, hq_ms wait_ms);

struct hq_net_client;

struct hq_net_client_conf {
    struct ev_loop *loop;           /* NULL for a client that only uses hq_net_ask */
    const char *ipc_path;           /* tried first when not NULL; the server's uid must be ours or 0 */
    const char *host;               /* NULL = ipc only */
    uint16_t port;
    const unsigned char *secret;    /* NULL = plain frames on TCP */
    enum hq_role role;
};

HQ_MUST_CHECK int hq_net_client_create(struct hq_net_client **ret, const struct hq_net_client_conf *conf,
                                       struct hq_err *err);
/* Calls out are dropped without a callback; may be called from a reply's callback. NULL is fine. */
void hq_net_client_destroy(struct hq_net_client *c);

typedef void (*hq_net_reply_fn)(void *ctx, int rc, struct hq_str payload); /* rc < 0: no payload */
/* One request; up to HQ_NET_CALLS_MAX may be out. Waits for a connection until the time-out. Never re-sent by itself,
 * but when the server said that it did not take it because it knows no such session (it was restarted). The memory is
 * copied. The callback comes exactly once if 0 is returned, never from inside the call. */
HQ_MUST_CHECK int hq_net_call(struct hq_net_client *c, struct hq_str payload, hq_ms timeout_ms, hq_net_reply_fn fn,
                              void *ctx, struct hq_err *err);
/* Blocking form for `hq`: connects on first use, sends, waits; *ret_payload is heap memory (free()). */
HQ_MUST_CHECK int hq_net_ask(struct hq_net_client *c, struct hq_str payload, hq_ms timeout_ms, char **ret_payload,
                             size_t *ret_len, struct hq_err *err);

/* Hints. A note may be lost; readers catch up by request (proto/note.proto). */
struct hq_net_pub;
HQ_MUST_CHECK int hq_net_pub_create(struct hq_net_pub **ret, struct ev_loop *loop, const char *host,
                                    const char *ipc_path, const unsigned char *secret, struct hq_err *err);
uint16_t hq_net_pub_port(const struct hq_net_pub *p);
void hq_net_pub_send(struct hq_net_pub *p, struct hq_str payload); /* sealed on TCP; up to HQ_NET_NOTE_BYTES_MAX */
void hq_net_pub_destroy(struct hq_net_pub *p);

struct hq_net_sub;
/* An empty payload means: connected (again), notes may have been missed; catch up by request. */
typedef void (*hq_net_note_fn)(void *ctx, struct hq_str payload);
HQ_MUST_CHECK int hq_net_sub_create(struct hq_net_sub **ret, struct ev_loop *loop, const char *host, uint16_t port,
                                    const char *ipc_path, const unsigned char *secret, hq_net_note_fn fn, void *ctx,
                                    struct hq_err *err);
void hq_net_sub_destroy(struct hq_net_sub *s);

/* The addresses behind a name as "10.0.0.7:41234, ..." for log lines; an address names itself. May block for long: not where
 * a loop runs. -EHOSTUNREACH: no such host, *out is as it was. */
HQ_MUST_CHECK int hq_net_addresses(const char *host, uint16_t port, struct hq_buf *out);

#endif
