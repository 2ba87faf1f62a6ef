/* peer.h - links between the hq-workerds of one task: plain TCP, each pair of nodes under a key of its own.
 *
 * Purpose    frames of bytes from node to node, in order. A link is made when the first frame is sent: the name of the host
 *            is tried, then its addresses in the order given. Who is called looks the caller's pair up (find).
 * Ownership  peers borrows the listening socket. A peer belongs to its maker; it borrows host, addresses until destroy and
 *            copies the key.
 * Threads    loop thread. Names are resolved on threads of their own.
 * Units      ms.
 * Errors     on_lost, once, from the loop: no node could be reached for PEER_DIAL_MS, or the link ended, or nothing was
 *            heard for PEER_LOST_MS. A link that was lost is not made again.
 * Limits     PEER_STRANGERS_MAX callers that have not shown a key, PEER_STRANGER_MS each; frames of HQ_STEP_MSG_BYTES_MAX;
 *            peer_is_full at PEER_QUEUE_BYTES: senders hold back; -ENOBUFS at PEER_QUEUE_BYTES_MAX.
 *
 * On the wire each frame has a 32-bit length (framed.h). First one of the caller: PEER_HELLO_BYTES in clear that name job,
 * task, instance and both nodes, which are the prologue of the handshake, and behind them its first message
 * (Noise_NNpsk0_25519_ChaChaPoly_SHA256). The called one answers with the second message, or hangs up: not known here
 * (yet). Then sealed frames; their counters are not sent: TCP keeps the order, so anything repeated, left out or changed
 * does not open. An empty frame says "still here". A repeated first message makes keys that its sender doesn't have: a call
 * counts only once a sealed frame of it has opened. Both nodes of a pair may call at the same time: then there are two
 * connections, each node sends all it has on the one that came up first at its end.
 */
#ifndef HQ_WORKERD_PEER_H
#define HQ_WORKERD_PEER_H

#include "common/err.h"
#include "common/str.h"
#include "hq-workerd/core/stepdesc.h"

#define PEER_PING_MS 500
#define PEER_LOST_MS 2000
#define PEER_DIAL_MS 10000      /* until the first link is there: the other node may hear of the task later than we */
#define PEER_ATTEMPT_MS 1500    /* one address */
#define PEER_NAME_MS 300        /* for the name of the host; then its addresses are tried */
#define PEER_NAMES_MAX 16u      /* looked up at once; more nodes are called by their addresses */
#define PEER_SLOW_MS 60000      /* after a name that took too long: so long only addresses, where there are any */
#define PEER_RETRY_MS 100       /* between two rounds over the addresses */
#define PEER_STRANGERS_MAX 128u /* beyond, the oldest is closed */
#define PEER_STRANGER_MS 5000
#define PEER_QUEUE_BYTES ((size_t)4 << 20)
#define PEER_QUEUE_BYTES_MAX ((size_t)64 << 20)
#define PEER_HELLO_BYTES 24u

struct ev_loop;
struct peers; /* the listener, and all links of all tasks */
struct peer;  /* one link */

struct peer_name {
    uint32_t job, task, instance;
    uint32_t caller, called; /* indices of nodes */
};

struct peers_conf {
    struct ev_loop *loop;
    int listen_fd; /* -1 = nobody can call us */
    void *ctx;
    /* Somebody says that he is name->caller: the peer for that node, or NULL: no such task here. */
    struct peer *(*find)(void *ctx, const struct peer_name *name);
    int64_t dial_ms, stranger_ms; /* 0 = PEER_DIAL_MS, PEER_STRANGER_MS */
};
HQ_MUST_CHECK int peers_create(struct peers **ret, const struct peers_conf *conf, struct hq_err *err);
void peers_destroy(struct peers *p); /* after all peers; NULL is fine */
/* There are tasks whose nodes may call. While there are none, callers are sent away unread. */
void peers_expect(struct peers *p, bool is_expecting);

struct peer_conf {
    struct peer_name name; /* caller = we, called = the other */
    const unsigned char *key;
    const struct step_node *node; /* the other */
    void *ctx;
    void (*on_frame)(void *ctx, struct hq_str frame); /* these may destroy the peer */
    void (*on_room)(void *ctx);                       /* not full any more */
    void (*on_lost)(void *ctx, const char *why);
};
HQ_MUST_CHECK int peer_create(struct peer **ret, struct peers *p, const struct peer_conf *conf);
void peer_destroy(struct peer *peer); /* what has been sent before still leaves if the socket takes it at once; NULL is fine */
/* Dials if there is no link. -ENOTCONN it was lost; -EMSGSIZE; -ENOBUFS, -ENOMEM: on_lost follows. */
HQ_MUST_CHECK int peer_send(struct peer *peer, struct hq_str frame);
bool peer_is_full(const struct peer *peer);
bool peer_is_lost(const struct peer *peer);
void peer_pause(struct peer *peer, bool is_paused); /* reads no more, and does not count silence meanwhile */

#endif
