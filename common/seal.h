/* seal.h - Noise handshake, sealed messages, replay window. Computation over libsodium; net_*.c carries the bytes.
 *
 * Purpose    Noise_NNpsk0_25519_ChaChaPoly_SHA256, exactly (Noise specification, revision 34). Whoever knows the
 *            32-byte secret of a role may open a session of that role; both sides are authenticated by it; each session
 *            has fresh keys (forward secrecy). Message patterns are rows of tokens: NK for site mode is a row more and
 *            one token. After the handshake messages carry an explicit counter as nonce (11.4 of the specification) and
 *            the receiver keeps a window of counters seen, as WireGuard: a message is accepted once, order does not
 *            matter inside the window. A session belongs to a peer and survives its connections.
 * Ownership  plain structs in the caller's memory. _fini wipes the keys; call it also after a failure.
 * Threads    no state but libsodium's; any thread after hq_seal_start().
 * Errors     -EACCES the handshake message was not made with our secret (or role, or version: the prologue);
 *            -EBADMSG damaged or forged; -EALREADY a counter seen before or older than the window; -EPROTO wrong size
 *            or order; -EOVERFLOW the counter is used up.
 * Limits     HQ_SEAL_MSGS_MAX messages per session and direction; window of HQ_SEAL_WINDOW counters.
 *
 * What somebody on the path can do, knowing no secret:
 *   - Drop, delay, reorder: always. Calls time out and are asked again by their owner.
 *   - Replay a sealed message: refused by the window, whatever connection it comes on. Replay the first handshake
 *     message: the server makes keys for a session that nobody can use (the replayer lacks the ephemeral key). It lives
 *     only with the connection that asked for it, one per connection; connections without a valid sealed message are
 *     bounded in number (HQ_NET_STRANGERS_MAX) and time (HQ_HANDSHAKE_MS_MAX), each may try HQ_NET_STRIKES_MAX times.
 *     No request rides on a handshake message, so a replay has no effect beyond that.
 *   - Forge the frames that carry no seal because one side has no keys yet or any more: REFUSED (the client fails its
 *     calls with -EACCES: no more than dropping them would do) and UNKNOWN ("I have no such session and did not look at
 *     your request"). UNKNOWN must name session and counter of a request that is out. The client then opens a new
 *     session (authenticated, so the liar cannot pose as the server) and sends the request once more, and *inside the
 *     seal* it names session and counter of the first copy. A server that does have that session knows that the UNKNOWN
 *     was a lie. If it has seen the first copy, it does not run the second and says so (-ECONNRESET: the first may have
 *     run); if not, it marks the first as seen and runs the second. So a forger can make a call fail, never run twice.
 *   - Take over the route of a session by delivering one of its fresh messages on a connection of his own, as with
 *     WireGuard's roaming: the answer goes to him, sealed, and the peer sees its connection end and comes back.
 *   - See sizes and times of messages, and session ids.
 */
#ifndef HQ_COMMON_SEAL_H
#define HQ_COMMON_SEAL_H

#include "common/err.h"
#include "common/str.h"

#define HQ_SEAL_KEY_BYTES 32u
#define HQ_SEAL_TAG_BYTES 16u
#define HQ_SEAL_HASH_BYTES 32u
#define HQ_SEAL_HELLO_BYTES (HQ_SEAL_KEY_BYTES + HQ_SEAL_TAG_BYTES) /* handshake message around an empty payload */
#define HQ_SEAL_MSGS_MAX (UINT64_C(1) << 60) /* WireGuard's REJECT_AFTER_MESSAGES, rounded down */
#define HQ_SEAL_WINDOW_WORDS 8u
#define HQ_SEAL_WINDOW ((HQ_SEAL_WINDOW_WORDS - 1u) * 64u) /* 448 > requests in flight of one peer by far */

/* Keyed BLAKE2b: one key for each text, none of them tells of another or of `key`. */
void hq_seal_derive(unsigned char out[HQ_SEAL_KEY_BYTES], const unsigned char key[HQ_SEAL_KEY_BYTES], struct hq_str text);

/* libsodium's set-up; once per process, any number of times. */
HQ_MUST_CHECK int hq_seal_start(struct hq_err *err);

enum hq_seal_side {
    HQ_SEAL_INITIATOR = 0, /* the client */
    HQ_SEAL_RESPONDER = 1,
};

struct hq_seal_hs { /* handshake: Noise's HandshakeState, SymmetricState and CipherState in one */
    enum hq_seal_side side;
    uint8_t next_ix; /* message whose turn it is */
    bool has_key;
    bool is_failed;
    uint64_t nonce;
    unsigned char hash[HQ_SEAL_HASH_BYTES];
    unsigned char chain[HQ_SEAL_HASH_BYTES];
    unsigned char key[HQ_SEAL_KEY_BYTES];
    unsigned char psk[HQ_SEAL_KEY_BYTES];
    unsigned char ephemeral[HQ_SEAL_KEY_BYTES]; /* private */
    unsigned char remote[HQ_SEAL_KEY_BYTES];    /* ephemeral public key of the other side */
};

/* `ephemeral` NULL: a fresh random key, as it must be outside of tests with fixed vectors. */
void hq_seal_hs_init(struct hq_seal_hs *hs, enum hq_seal_side side, struct hq_str prologue,
                     const unsigned char psk[HQ_SEAL_KEY_BYTES], const unsigned char *ephemeral);
void hq_seal_hs_fini(struct hq_seal_hs *hs); /* wipes */
/* Writes the next message: HQ_SEAL_HELLO_BYTES + payload.len bytes to out. */
HQ_MUST_CHECK int hq_seal_hs_write(struct hq_seal_hs *hs, struct hq_str payload, unsigned char *out, size_t cap,
                                   size_t *ret_len);
/* Reads the other side's next message; its payload (msg.len - HQ_SEAL_HELLO_BYTES bytes) goes to `payload`. */
HQ_MUST_CHECK int hq_seal_hs_read(struct hq_seal_hs *hs, struct hq_str msg, unsigned char *payload, size_t cap,
                                  size_t *ret_len);

struct hq_seal_window { /* RFC 6479: a ring of bits that moves by whole words */
    uint64_t last;      /* highest counter accepted, plus 1; 0 = none yet */
    uint64_t bits[HQ_SEAL_WINDOW_WORDS];
};
/* 0 fresh, -EALREADY seen or too old; changes nothing. */
HQ_MUST_CHECK int hq_seal_window_check(const struct hq_seal_window *w, uint64_t counter);
void hq_seal_window_mark(struct hq_seal_window *w, uint64_t counter);

struct hq_seal { /* an open session, one side of it */
    unsigned char send_key[HQ_SEAL_KEY_BYTES];
    unsigned char recv_key[HQ_SEAL_KEY_BYTES];
    uint64_t send_counter; /* of the next message */
    struct hq_seal_window recv;
};

/* After both messages: makes the session's keys and wipes the handshake. */
HQ_MUST_CHECK int hq_seal_hs_split(struct hq_seal_hs *hs, struct hq_seal *ret);
void hq_seal_fini(struct hq_seal *s); /* wipes */
/* Seals text (in place is fine: out == text.ptr) into text.len + HQ_SEAL_TAG_BYTES bytes under the next counter. */
HQ_MUST_CHECK int hq_seal_close(struct hq_seal *s, struct hq_str text, unsigned char *out, uint64_t *ret_counter);
/* Opens msg (in place is fine) into msg.len - HQ_SEAL_TAG_BYTES bytes; accepts each counter once. */
HQ_MUST_CHECK int hq_seal_open(struct hq_seal *s, uint64_t counter, struct hq_str msg, unsigned char *out);

/* Notes go to all at once and so cannot use a session: one symmetric key of hqd's incarnation, XChaCha20-Poly1305. The
 * 24-byte nonce is the publisher's random id (16) and a counter, so that no nonce repeats even if a key outlives a
 * process; readers drop a counter of the same publisher that does not grow. */
#define HQ_SEAL_NOTE_HEAD_BYTES 24u
struct hq_seal_note_pub {
    unsigned char key[HQ_SEAL_KEY_BYTES];
    unsigned char id[16];
    uint64_t counter;
};
struct hq_seal_note_sub {
    unsigned char key[HQ_SEAL_KEY_BYTES];
    unsigned char id[16]; /* of the publisher heard last */
    uint64_t next;        /* lowest counter accepted from it */
};
void hq_seal_note_pub_init(struct hq_seal_note_pub *p, const unsigned char key[HQ_SEAL_KEY_BYTES]);
void hq_seal_note_sub_init(struct hq_seal_note_sub *s, const unsigned char key[HQ_SEAL_KEY_BYTES]);
/* out: HQ_SEAL_NOTE_HEAD_BYTES + text.len + HQ_SEAL_TAG_BYTES bytes */
void hq_seal_note_close(struct hq_seal_note_pub *p, struct hq_str text, unsigned char *out);
/* out: msg.len - HQ_SEAL_NOTE_HEAD_BYTES - HQ_SEAL_TAG_BYTES bytes; -EPROTO, -EBADMSG, -EALREADY */
HQ_MUST_CHECK int hq_seal_note_open(struct hq_seal_note_sub *s, struct hq_str msg, unsigned char *out, size_t cap,
                                    size_t *ret_len);

#endif
