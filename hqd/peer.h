/* peer.h - who speaks, and the requests that still wait for an answer.
 *
 * Purpose    a peer is a session (TCP) or a connection (ipc). A request gets a handle, never 0 and never used twice, by
 *            which core and shell name it until it is answered or its peer has gone.
 * Ownership  peers own their requests and unfinished uploads; pointers hold until peers_gone or peers_fini.
 * Threads    loop thread.
 * Limits     HQ_INFLIGHT_PER_PEER_MAX requests a peer (common/net holds it); HQ_UPLOADS_PER_PEER_MAX uploads.
 */
#ifndef HQ_HQD_PEER_H
#define HQ_HQD_PEER_H

#include <sys/queue.h>

#include "common/map.h"
#include "common/net.h"
#include "hqd/upload.h"

enum peer_door { /* which of hqd's two servers */
    PEER_CLIENTS = 0,
    PEER_WORKERS = 1,
};
#define PEER_DOORS 2

struct request {
    LIST_ENTRY(request) link; /* of its peer; unused slots: next free one */
    struct peer *peer;        /* NULL = free slot */
    struct hq_net_req route;
    uint64_t request_id;      /* of the envelope */
    uint32_t slot;
    uint32_t generation;
    bool is_turn;
    bool is_spent;            /* a turn whose request was answered by a heartbeat: its answer needs another's route */
};

struct peer_answer { /* to a turn that is spent, and no other turn is here */
    STAILQ_ENTRY(peer_answer) link;
    struct hq_buf bytes;
};

struct peer {
    enum peer_door door;
    struct hq_net_peer net;   /* role, uid, address */
    uint32_t worker;          /* the worker that speaks here, 0 = none */
    bool is_connected;
    LIST_HEAD(, request) requests;
    STAILQ_HEAD(, peer_answer) undelivered;
    struct uploads uploads;
    uint64_t event_next;      /* follow: first event not sent yet; 0 = never followed */
    hq_ms polled_ms;          /* watch, follow: when the last answer left that did not say that hqd ends; 0 = none */
};

struct peers {
    struct hq_map by_id[PEER_DOORS];
    struct hq_map by_worker;  /* worker id -> peer */
    struct request **slots;   /* stable addresses */
    size_t slot_count;
    size_t slot_cap;
    LIST_HEAD(, request) free_slots;
    uint32_t owner_uid;       /* uid of peers that come by TCP */
};

void peers_init(struct peers *ps, uint64_t seed, uint32_t owner_uid);
void peers_fini(struct peers *ps);
/* The peer, made at its first request. */
struct peer *peers_get(struct peers *ps, enum peer_door door, const struct hq_net_peer *net);
struct peer *peers_find(const struct peers *ps, enum peer_door door, uint64_t id); /* NULL = none */
/* Its last connection ended: requests and uploads are dropped. A peer that is a worker stays (it may come back under the
 * same id) until peers_forget_worker; *ret_worker is its number, else 0. */
void peers_gone(struct peers *ps, enum peer_door door, uint64_t id, uint32_t *ret_worker);
void peers_set_worker(struct peers *ps, struct peer *p, uint32_t worker);
struct peer *peers_of_worker(const struct peers *ps, uint32_t worker); /* NULL = none */
void peers_forget_worker(struct peers *ps, uint32_t worker);
uint32_t peer_uid(const struct peers *ps, const struct peer *p);

uint64_t request_open(struct peers *ps, struct peer *p, const struct hq_net_req *route, uint64_t request_id,
                      bool is_turn);
/* A handle that nobody waits behind: for what the shell itself asks of the core. */
uint64_t request_open_own(struct peers *ps);
const struct request *request_find(const struct peers *ps, uint64_t handle); /* NULL = gone or answered */
/* Marks a turn's route as used: its answer will go by another one. */
void request_spend(struct peers *ps, uint64_t handle);
/* The oldest turn of the peer whose route is not used, and uses it. false = none. */
bool peer_take_route(struct peer *p, struct request *ret);
void peer_keep_answer(struct peer *p, struct hq_str bytes);
/* The first answer kept; the caller frees it. false = none. */
bool peer_pop_answer(struct peer *p, struct hq_buf *ret);
void peer_drop_answers(struct peer *p);
/* Ends the request: *ret is its copy (ret->peer may be NULL for an own one). false = gone already. */
bool request_close(struct peers *ps, uint64_t handle, struct request *ret);

#endif
