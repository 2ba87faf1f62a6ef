/* bridge.h - what foreign threads hand over to the loop: (function, context, item), in order, bounded.
 *
 * Purpose    the only way from nng's, launcher, writer and commit threads into the loop. A poster takes what it needs
 *            by value and posts; the function runs later on the loop's thread.
 * Ownership  a posted item belongs to the function that will run. Items that never ran because the bridge was destroyed
 *            go to the `drop` function of create (NULL: nothing to free).
 * Threads    names ending in _thr may be called from any thread; all others on the loop's thread.
 * Errors     -EAGAIN the queue is full, -ENOMEM; then the item still belongs to the caller.
 * Limits     items_max of create. Fate at the bound: the poster decides (hold its source back, or wait with
 *            post_wait_thr). One drain runs what was there when it began, so that posters cannot keep the loop from its
 *            other work.
 */
#ifndef HQ_COMMON_BRIDGE_H
#define HQ_COMMON_BRIDGE_H

#include "common/err.h"

struct ev_loop;
struct hq_bridge;

typedef void (*hq_bridge_fn)(void *ctx, void *item);

/* Starts watching; does not keep the loop alive by itself (ev_unref). */
HQ_MUST_CHECK int hq_bridge_create(struct hq_bridge **ret, struct ev_loop *loop, uint32_t items_max, hq_bridge_fn drop,
                                   struct hq_err *err);
/* Every poster must have stopped before. From inside a posted function too: what stands behind it is dropped. NULL is
 * fine. */
void hq_bridge_destroy(struct hq_bridge *b);

HQ_MUST_CHECK int hq_bridge_post_thr(struct hq_bridge *b, hq_bridge_fn fn, void *ctx, void *item);
/* Over the bound too: for facts that must not be lost and are few (a peer is gone). Aborts without memory. */
void hq_bridge_post_must_thr(struct hq_bridge *b, hq_bridge_fn fn, void *ctx, void *item);
/* Waits while the queue is full: back-pressure for our own threads. Never from an nng callback or the loop. */
HQ_MUST_CHECK int hq_bridge_post_wait_thr(struct hq_bridge *b, hq_bridge_fn fn, void *ctx, void *item);

/* Runs what has been posted so far; returns the number of items. The watcher calls it; tests and shutdown may. */
uint32_t hq_bridge_drain(struct hq_bridge *b);

#endif
