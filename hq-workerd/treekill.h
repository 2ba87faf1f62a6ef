/* treekill.h - ends tasks: SIGINT, after a second SIGKILL, and whatever of their process trees is left.
 *
 * Purpose    kills under way, and orphans: processes that left the group of their task (setsid) come to us as the
 *            subreaper when their parent ends. They are reaped, and ended when the task whose HQ_ACCESS_KEY they carry
 *            is over.
 * Ownership  borrows the launcher.
 * Threads    loop thread; orphans become children of the main thread, which starts no tasks itself.
 * Units      ms.
 */
#ifndef HQ_WORKERD_TREEKILL_H
#define HQ_WORKERD_TREEKILL_H

#include "hq-workerd/launcher.h"

#define TREEKILL_GRACE_MS 1000
#define TREEKILL_SWEEP_MS 100

struct treekill;

/* Is the secret one that outlives single runs? */
typedef bool (*treekill_is_alive_fn)(void *ctx, struct hq_str secret);
/* `key_socket`: first part of HQ_ACCESS_KEY. Becomes the subreaper of all its descendants. */
HQ_MUST_CHECK int treekill_create(struct treekill **ret, struct launcher *l, const char *key_socket, struct hq_err *err);
void treekill_set_alive(struct treekill *t, treekill_is_alive_fn fn, void *ctx);
void treekill_destroy(struct treekill *t);
/* SIGINT now; without memory SIGKILL at once. */
void treekill_start(struct treekill *t, struct launcher_run run, hq_ms now_ms);
void treekill_on_ended(struct treekill *t, hq_ms now_ms); /* tasks have ended: there may be orphans */
/* Does what is due. */
void treekill_on_time(struct treekill *t, hq_ms now_ms);
hq_ms treekill_next_ms(const struct treekill *t); /* INT64_MAX = nothing to do */
/* The worker ends: no orphan may outlive it. */
void treekill_all_orphans(struct treekill *t);

#endif
