/* uplink.h - the socket to our hq-workerd: frames of StepMsg in both directions.
 *
 * Purpose    connects to the socket of HQ_ACCESS_KEY, says hello, then carries frames (little-endian uint32 length and
 *            one StepMsg, proto/step.proto). hq-workerd passes on what is for other nodes.
 * Ownership  a received message lives until its handler returns. Sent messages are copied.
 * Threads    loop thread.
 * Errors     negative errno; after UPLINK gone() was called nothing more comes and sends are dropped.
 * Limits     HQ_STEP_MSG_BYTES_MAX per frame; a longer one announced by the other side ends the link. What waits to be
 *            sent is bounded by its makers: they look at uplink_queued_bytes.
 */
#ifndef HQ_STEPD_UPLINK_H
#define HQ_STEPD_UPLINK_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

#include "proto/step.pb-c.h"

struct ev_loop;
struct uplink;

struct uplink_ops {
    void (*on_message)(void *ctx, const Hq__StepMsg *msg);
    void (*on_gone)(void *ctx, const char *why); /* once; the worker is gone or talks nonsense */
    void (*on_drained)(void *ctx);               /* all has been handed to the kernel after it had to wait; may be NULL */
};

/* `access_key` is the value of HQ_ACCESS_KEY: "SOCKET:TOKEN". Says hello as `kind`. */
HQ_MUST_CHECK int uplink_create(struct uplink **ret, struct ev_loop *loop, const char *access_key, Hq__StepKind kind,
                                const struct uplink_ops *ops, void *ctx, struct hq_err *err);
void uplink_destroy(struct uplink *u); /* NULL is fine; what was not sent is dropped */
HQ_MUST_CHECK int uplink_send(struct uplink *u, const Hq__StepMsg *msg); /* -EMSGSIZE, -EPIPE */
size_t uplink_queued_bytes(const struct uplink *u);
/* Waits until all has been handed to the kernel, at most timeout_ms: for the end of the process. */
void uplink_flush(struct uplink *u, hq_ms timeout_ms);

#endif
