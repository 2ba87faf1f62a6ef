/* net_local.h - the server's local socket, in the loop: what nng's ipc listener would do, without its threads. Private.
 *
 * Purpose    accepts, greets, carries SP's requests and replies. Who speaks and what it may say is net_peer.c's business.
 * Ownership  a frame is the callback's until it returns; it may be changed in place.
 * Threads    loop only.
 * Errors     hq_local_create: negative errno. A connection that breaks the rules of SP ends.
 * Limits     frames of HQ_FRAME_BYTES_MAX, HQ_NET_GREETING_MAX connections that have not greeted, HQ_HANDSHAKE_MS_MAX to do
 *            so. A peer that does not read its answers is not read either: what waits for it are the answers to what it
 *            had asked by then, at most HQ_INFLIGHT_PER_PEER_MAX.
 */
#ifndef HQ_COMMON_NET_LOCAL_H
#define HQ_COMMON_NET_LOCAL_H

#include "common/net_session.h"

#define HQ_LOCAL_ID 0x80000000u /* set in the numbers of these connections, never in those of nng's */

struct hq_local;

struct hq_local_conf {
    struct ev_loop *loop;
    const char *path; /* begins with '@' = abstract */
    uint32_t uid;     /* the only one allowed; UINT32_MAX = all */
    void *ctx;
    void (*on_foreign)(void *ctx, const struct hq_remote *remote); /* of another user: closed */
    void (*on_open)(void *ctx, uint32_t id, const struct hq_remote *remote);
    void (*on_frame)(void *ctx, uint32_t id, const uint8_t route[8], char *body, size_t len);
    void (*on_gone)(void *ctx, uint32_t id);
};
/* Callbacks may send, but not close or destroy. */

HQ_MUST_CHECK int hq_local_create(struct hq_local **ret, const struct hq_local_conf *conf, struct hq_err *err);
/* The answer to the request whose route was handed out; nothing happens when its connection has gone. */
void hq_local_send(struct hq_local *l, const uint8_t route[8], struct hq_str body);
void hq_local_close(struct hq_local *l, uint32_t id); /* on_gone comes from inside */
/* Sends what is queued and waits until all peers have hung up; no callback comes any more. */
void hq_local_linger(struct hq_local *l, hq_ms wait_ms);
void hq_local_destroy(struct hq_local *l); /* NULL is fine; no callback comes */

#endif
