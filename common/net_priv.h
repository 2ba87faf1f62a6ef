/* net_priv.h - what the files of net share. Nobody else includes it.
 *
 * Purpose    Server side: net_server.c sockets, net_local.c the local one, net_peer.c what frames mean, net_answer.c
 *            answers, net_session.c peers and connections, net_upkeep.c time-outs. On nng, for TCP and notes: net_nng.c
 *            set-up and error codes, net_kick.c and net_live.c closing, net_pub.c notes.
 *            Client side, on plain sockets: net_dial.c and net_resolve.c, net_conn.c a connection that comes back,
 *            net_call.c calls, net_ask.c the blocking form, net_sub.c notes.
 *            Both: net_frame.c frames and the client's half of a session.
 * Layout     body of every SP message, little endian:
 *              head    type(u8) version(u8) role(u8) reason(u8)
 *              PLAIN   head, payload                                   both ways; ipc, or no secret
 *              HELLO   head, Noise message 1 (48)                      client -> server
 *              WELCOME head, Noise message 2 around session id(u64)    server -> client
 *              SEALED  head, session(u64), counter(u64), sealed { two u64, payload }
 *                      request: session and counter of an earlier copy of it, or 0 0
 *                      answer:  counter of the request it answers, enum hq_answer_status
 *              UNKNOWN head, session(u64), counter(u64)                server -> client: no such session, not looked at
 *              REFUSED head with enum hq_refusal as reason             server -> client
 *            The role is part of the handshake's prologue: with the same secret, roles still do not mix.
 * Threads    all on the loop's thread but names in _thr.
 */
#ifndef HQ_COMMON_NET_PRIV_H
#define HQ_COMMON_NET_PRIV_H

#include <nng/nng.h>

#include "common/limits.h"
#include "common/net.h"
#include "common/seal.h"

#define HQ_FRAME_VERSION 1u
#define HQ_FRAME_HEAD_BYTES 4u
#define HQ_FRAME_PREFIX_BYTES 16u /* the two u64 inside of the seal */
#define HQ_FRAME_SEALED_BYTES (HQ_FRAME_HEAD_BYTES + 16u + HQ_FRAME_PREFIX_BYTES + HQ_SEAL_TAG_BYTES)
#define HQ_FRAME_HELLO_BYTES (HQ_FRAME_HEAD_BYTES + HQ_SEAL_HELLO_BYTES)
#define HQ_FRAME_WELCOME_BYTES (HQ_FRAME_HELLO_BYTES + 8u)
#define HQ_FRAME_UNKNOWN_BYTES (HQ_FRAME_HEAD_BYTES + 16u)
_Static_assert(HQ_MSG_BYTES_MAX + HQ_FRAME_SEALED_BYTES + 64u <= HQ_FRAME_BYTES_MAX, "nng must let our frames pass");

enum hq_frame_type {
    HQ_FRAME_PLAIN = 1,
    HQ_FRAME_HELLO = 2,
    HQ_FRAME_WELCOME = 3,
    HQ_FRAME_SEALED = 4,
    HQ_FRAME_UNKNOWN = 5,
    HQ_FRAME_REFUSED = 6,
    HQ_FRAME_TYPES,
};

enum hq_refusal {
    HQ_REFUSAL_SECRET = 1,  /* the handshake was made with another secret */
    HQ_REFUSAL_SEALED = 2,  /* sealed frames only */
    HQ_REFUSAL_PLAIN = 3,   /* plain frames only */
    HQ_REFUSAL_VERSION = 4, /* another HQ_FRAME_VERSION */
    HQ_REFUSAL_ROLE = 5,    /* this port is for the other role */
    HQ_REFUSALS,
};

enum hq_answer_status {
    HQ_ANSWER_OK = 0,
    HQ_ANSWER_RAN_BEFORE = 1, /* the earlier copy was accepted: this one was not looked at */
};

struct hq_frame { /* parsed; fields that the type lacks are 0 */
    enum hq_frame_type type;
    uint8_t role;
    uint8_t reason;
    uint64_t session;
    uint64_t counter;
    struct hq_str body; /* what follows */
};

/* -EPROTO not a frame, -EPROTONOSUPPORT another version. */
HQ_MUST_CHECK int hq_frame_parse(struct hq_str msg, struct hq_frame *ret);
void hq_frame_head(unsigned char *out, enum hq_frame_type type, enum hq_role role, uint8_t reason);
void hq_put_u64(unsigned char *p, uint64_t v);
uint64_t hq_get_u64(const unsigned char *p);
/* Writes HQ_FRAME_SEALED_BYTES + payload.len bytes; sizes are checked by the caller. */
HQ_MUST_CHECK int hq_frame_seal(unsigned char *out, struct hq_seal *seal, enum hq_role role, uint64_t session,
                                const uint64_t prefix[2], struct hq_str payload, uint64_t *ret_counter);
/* Opens f->body in place (it must lie in writable memory). */
HQ_MUST_CHECK int hq_frame_open(const struct hq_frame *f, struct hq_seal *seal, uint64_t ret_prefix[2],
                                struct hq_str *ret_payload);
void hq_frame_prologue(unsigned char out[8], enum hq_role role);
/* Sentence and code for a REFUSED frame. */
int hq_frame_refusal(uint8_t reason, struct hq_err *err);

/* The client's half: whether frames are sealed, its keys, its handshake. */
struct hq_chan {
    enum hq_role role;
    bool is_sealed; /* TCP with a secret */
    bool is_open;   /* a session exists, or none is needed */
    unsigned char secret[HQ_SECRET_BYTES];
    uint64_t session;
    struct hq_seal seal;
    struct hq_seal_hs hs;
};

struct hq_chan_ref { /* names one request of a client */
    uint64_t session;
    uint64_t counter;
};

#define HQ_CHAN_UNKNOWN 1 /* positive: not an error yet, a new session is needed */

void hq_chan_init(struct hq_chan *ch, enum hq_role role, const unsigned char *secret); /* NULL: plain */
void hq_chan_fini(struct hq_chan *ch);
void hq_chan_drop(struct hq_chan *ch); /* forgets the session */
/* Starts a handshake; out holds HQ_FRAME_HELLO_BYTES. */
HQ_MUST_CHECK int hq_chan_hello(struct hq_chan *ch, unsigned char *out);
HQ_MUST_CHECK int hq_chan_welcome(struct hq_chan *ch, struct hq_str msg, struct hq_err *err);
size_t hq_chan_request_bytes(const struct hq_chan *ch, size_t payload_len);
/* `before`: the earlier copy, or zeros; *ret_ref names this one. */
HQ_MUST_CHECK int hq_chan_request(struct hq_chan *ch, struct hq_str payload, struct hq_chan_ref before,
                                  unsigned char *out, struct hq_chan_ref *ret_ref);
/* The answer to `ref`; opened in place. 0, HQ_CHAN_UNKNOWN or negative. */
HQ_MUST_CHECK int hq_chan_answer(struct hq_chan *ch, struct hq_chan_ref ref, char *msg, size_t len,
                                 struct hq_str *ret_payload, struct hq_err *err);

/* ---- nng */
void hq_nng_cure(void);   /* nng_cure.c */
int hq_nng_errno(int rv); /* negative errno for nng's code */
/* Every first use of nng starts threads, which must not take our signals: wrap opens, dials and listens in these. */
struct hq_nng_mask {
    unsigned char saved[128]; /* a sigset_t */
};
void hq_nng_enter(struct hq_nng_mask *m);
void hq_nng_leave(const struct hq_nng_mask *m);
#define HQ_NNG_URL_BYTES 256u
HQ_MUST_CHECK int hq_nng_url_tcp(char out[HQ_NNG_URL_BYTES], const char *host, uint16_t port, struct hq_err *err);
HQ_MUST_CHECK int hq_nng_url_ipc(char out[HQ_NNG_URL_BYTES], const char *path, struct hq_err *err);
HQ_MUST_CHECK int hq_nng_listen(nng_socket sock, const char *url, int ipc_mode, nng_listener *ret, struct hq_err *err);
bool hq_nng_peer_uid(nng_pipe pipe, uint32_t *ret_uid, int32_t *ret_pid); /* false: not on ipc */

#endif
