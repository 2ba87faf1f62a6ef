/* net_conn.h - the client's end of an SP connection, in the loop: dials, greets, carries frames, comes back. Private.
 *
 * Purpose    what REQ and SUB sockets of nng would do, without its threads: those hang for ever when a socket is closed
 *            while a message arrives (docs/decisions/002). The local socket is tried first at each attempt, then TCP.
 * Ownership  a frame is the callback's until it returns; it may be changed in place.
 * Threads    loop only.
 * Units      ms.
 * Errors     on_down and hq_conn_error: why it ended or could not be made, negative errno.
 * Limits     frames of HQ_FRAME_BYTES_MAX; a larger one ends the connection (-EMSGSIZE). HQ_CONN_ATTEMPT_MS for one
 *            attempt, HQ_CONN_PAUSE_MS_MIN to _MAX between two. What is queued for sending is bounded by the caller.
 */
#ifndef HQ_COMMON_NET_CONN_H
#define HQ_COMMON_NET_CONN_H

#include "common/net_dial.h"

#define HQ_CONN_ATTEMPT_MS 5000
#define HQ_CONN_PAUSE_MS_MIN 50
#define HQ_CONN_PAUSE_MS_MAX 500

struct hq_conn;

struct hq_conn_conf {
    struct ev_loop *loop;
    const char *ipc_path; /* NULL = none */
    const char *host;     /* NULL = none */
    uint16_t port;
    enum hq_sp own; /* HQ_SP_REQ or HQ_SP_SUB */
    enum hq_sp peer;
    void *ctx;
    void (*on_up)(void *ctx, bool is_local);
    void (*on_down)(void *ctx, int rc); /* only after on_up */
    void (*on_frame)(void *ctx, char *body, size_t len);
};

/* Begins to dial; no callback comes from inside. */
struct hq_conn *hq_conn_create(const struct hq_conn_conf *conf);
void hq_conn_destroy(struct hq_conn *c); /* from callbacks too; NULL is fine */
bool hq_conn_is_up(const struct hq_conn *c);
int hq_conn_error(const struct hq_conn *c); /* of the last attempt; -ETIMEDOUT before the first has ended */
/* Sends one frame of two parts, or queues what the socket does not take. Only while up. */
void hq_conn_send(struct hq_conn *c, struct hq_str head, struct hq_str body);

#endif
