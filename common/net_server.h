/* net_server.h - the server object, shared by net_server.c (sockets), net_peer.c (what a frame means), net_answer.c and
 * net_upkeep.c. Private.
 *
 * Threads    loop only, but the fields marked thr.
 */
#ifndef HQ_COMMON_NET_SERVER_H
#define HQ_COMMON_NET_SERVER_H

#include <ev.h>

#include "common/bridge.h"
#include "common/net_live.h"
#include "common/net_local.h"
#include "common/net_session.h"

struct hq_net_receive { /* one outstanding receive of nng; armed again once the loop has seen its message */
    struct hq_net_server *server;
    nng_aio *aio;
};

struct hq_net_held { /* an answer that nng had no room for */
    STAILQ_ENTRY(hq_net_held) held;
    nng_msg *msg;
};

struct hq_net_server {
    struct hq_net_server_conf conf; /* pointers in it are not used after create */
    bool has_secret;
    unsigned char secret[HQ_SECRET_BYTES];
    struct hq_local *local; /* NULL = none */
    uint16_t port;
    nng_socket sock; /* TCP only */
    nng_listener tcp;
    struct hq_bridge *bridge;
    struct hq_net_receive receives[HQ_NET_RECEIVES];
    struct hq_sessions table;
    STAILQ_HEAD(hq_net_held_list, hq_net_held) held;
    ev_timer retry;  /* answers held */
    ev_timer expire; /* strangers and orphans */
    ev_timer sweep;  /* kicked connections */
    ev_timer trim;   /* memory of many connections that went */
    hq_ms swept_at_ms;
    hq_ms trimmed_at_ms;
    uint32_t removed_count;   /* connections that went since then */
    uint32_t trim_seen_count; /* of them, when the timer was set */
    bool is_closing;
    struct hq_live live;
};

/* net_peer.c: one received message; `body` is writable. */
void hq_server_handle(struct hq_net_server *s, struct hq_pipe *p, const uint8_t route[8], char *body, size_t len);
/* Ends a peer that misbehaves: forgets it, closes its connection, tells the owner if it knew of it. */
void hq_server_drop(struct hq_net_server *s, struct hq_peer *peer);

/* net_server.c */
void hq_server_gone(struct hq_net_server *s, uint64_t peer_id); /* 0: nobody */
void hq_server_bad(struct hq_net_server *s, const struct hq_remote *remote, const char *why);

/* net_upkeep.c */
void hq_server_upkeep_init(struct hq_net_server *s);
void hq_server_upkeep_fini(struct hq_net_server *s);
void hq_server_kick_soon(struct hq_net_server *s);     /* after hq_pipe_kick */
void hq_server_expire_soon(struct hq_net_server *s);   /* after changes of strangers and orphans */
void hq_server_close_overdue(struct hq_net_server *s); /* strangers beyond their number or time */
void hq_server_trim_soon(struct hq_net_server *s);     /* after each connection that went */

/* net_answer.c */
/* A message of body_bytes (uninitialised) addressed to the sender of `route`; NULL without memory. */
nng_msg *hq_server_msg(const uint8_t route[8], size_t body_bytes);
void hq_server_send(struct hq_net_server *s, nng_msg *msg); /* takes msg */
void hq_server_flush(struct hq_net_server *s);              /* what is held */
void hq_server_on_retry(struct ev_loop *loop, ev_timer *w, int revents);

#endif
