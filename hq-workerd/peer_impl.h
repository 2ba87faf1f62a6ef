/* peer_impl.h - state shared by peer.c (links), peer_wire.c (connections) and peer_dial.c (calling). */
#ifndef HQ_WORKERD_PEER_IMPL_H
#define HQ_WORKERD_PEER_IMPL_H

#include <ev.h>

#include "common/id.h"
#include "common/limits.h"
#include "common/net_dial.h"
#include "common/seal.h"
#include "hq-workerd/framed.h"
#include "hq-workerd/peer.h"

#define PEER_HELLO_FRAME_BYTES (PEER_HELLO_BYTES + HQ_SEAL_HELLO_BYTES)
#define PEER_TICK_MS 100
#define PEER_ADDRS_MAX (HQ_RESOLVE_ADDRS_MAX + HQ_ADDRESSES_MAX)

enum wire_state {
    WIRE_STRANGER = 1, /* somebody has called and said nothing right */
    WIRE_ANSWERED,     /* his hello was right: perhaps a repeated one */
    WIRE_CALLED,       /* we have said hello */
    WIRE_UP,
};

struct wire { /* one connection */
    struct wire *next; /* among the strangers, oldest first */
    struct peers *peers;
    struct peer *peer; /* NULL while WIRE_STRANGER */
    struct framed *framed;
    enum wire_state state;
    struct hq_seal_hs hs;
    struct hq_seal seal;
    uint64_t received; /* sealed frames: the counter of the next one */
    hq_ms since_ms;
};

enum dial_state {
    DIAL_NOT = 0,
    DIAL_NAMING,     /* the name is being looked up */
    DIAL_CONNECTING, /* to addrs[addr_ix] */
    DIAL_CALLING,    /* peer->out has said hello there */
    DIAL_PAUSING,    /* all addresses were tried */
};

struct dial {
    enum dial_state state;
    struct hq_resolve *resolve;
    struct hq_addr addrs[PEER_ADDRS_MAX];
    size_t addr_count, addr_ix;
    int fd; /* DIAL_CONNECTING */
    ev_io connected;
    hq_ms begin_ms;   /* of all attempts */
    hq_ms attempt_ms; /* of this state */
    int error;        /* of the last attempt */
};

struct peer {
    struct peer *next, **at; /* of all */
    struct peers *peers;
    struct peer_conf conf;
    unsigned char key[HQ_SEAL_KEY_BYTES];
    struct wire *out; /* we called: WIRE_CALLED or WIRE_UP */
    struct wire *in;  /* we were called: WIRE_UP */
    struct wire *tx;  /* the one that we send on */
    struct dial dial;
    unsigned char *pending; /* before there is one: frames behind their lengths */
    size_t pending_len, pending_cap;
    hq_ms heard_ms, sent_ms;
    int error; /* a frame could not be sent */
    bool was_full;
    bool is_paused;
    bool is_lost;
};

struct peers {
    struct peers_conf conf;
    ev_io callers;
    ev_timer tick;
    hq_ms ticked_ms;
    struct peer *first;
    uint32_t name_count;   /* being looked up; each is a thread, which may last longer than our patience */
    hq_ms names_again_ms;  /* the resolver is slow until then */
    struct wire *strangers;
    uint32_t stranger_count;
    bool is_expecting;
};

/* ---- peer_wire.c */
/* Takes the socket, also on failure. */
HQ_MUST_CHECK int wire_create(struct wire **ret, struct peers *p, int fd, enum wire_state state);
void wire_destroy(struct wire *w); /* NULL is fine */
HQ_MUST_CHECK int wire_call(struct wire *w, struct peer *peer); /* hello */
HQ_MUST_CHECK int wire_send(struct wire *w, struct hq_str frame); /* WIRE_UP */

/* ---- peer.c */
void peer_on_up(struct peer *peer, struct wire *w);
void peer_on_frame(struct peer *peer, struct hq_str frame);
void peer_on_drained(struct peer *peer, struct wire *w);
void peer_on_wire_end(struct peer *peer, struct wire *w, int rc); /* destroys the wire */
void peer_lose(struct peer *peer, const char *why);
void stranger_drop(struct wire *w);
void stranger_take(struct wire *w); /* out of the list */

/* ---- peer_dial.c */
void dial_begin(struct peer *peer);
void dial_stop(struct peer *peer); /* peer->out too, unless it is up */
void dial_failed(struct peer *peer, int rc);
void dial_on_time(struct peer *peer, hq_ms now_ms);

#endif
