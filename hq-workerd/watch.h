/* watch.h - pidfds of running tasks, waited for by all launcher threads at once.
 *
 * Purpose    a process that ends wakes exactly one thread, whichever is free: there is no thread per task and no signal.
 * Ownership  fds stay the caller's; closing a pidfd takes it out.
 * Threads    all functions from any thread.
 * Errors     negative errno.
 */
#ifndef HQ_WORKERD_WATCH_H
#define HQ_WORKERD_WATCH_H

#include "common/err.h"
#include "common/id.h"

struct watch;

HQ_MUST_CHECK int watch_create(struct watch **ret, struct hq_err *err);
void watch_destroy(struct watch *w); /* no thread may be waiting; NULL is fine */
HQ_MUST_CHECK int watch_add(struct watch *w, int pidfd, void *item);
void watch_wake(struct watch *w, uint32_t threads); /* so many waits return NULL */
/* The item of a process that has ended, or NULL: woken, or timeout_ms (< 0: none) is over. */
void *watch_wait(struct watch *w, hq_ms timeout_ms);

#endif
