/* aside.h - work that may block, done by a thread beside the loop, one after another.
 *
 * Purpose    files on a shared filesystem that hangs and programs that lie there: the loop goes on talking with hqd.
 * Ownership  an item belongs to the aside from aside_put until done() gets it back on the loop; what never came that far
 *            goes to drop().
 * Threads    put, create and destroy on the loop's thread; work() runs on the thread of the aside and must touch its item
 *            only; done() and drop() run on the loop's thread.
 * Errors     none of its own: work() keeps its result in the item.
 * Limits     as many items as allocations and commands put; a work that never returns holds back what stands behind it.
 */
#ifndef HQ_HQ_ALLOCD_ASIDE_H
#define HQ_HQ_ALLOCD_ASIDE_H

#include "common/base.h"

struct ev_loop;
struct aside;

struct aside_calls {
    void (*work)(void *item);
    void (*done)(void *item);
    void (*drop)(void *item);
};

struct aside *aside_create(struct ev_loop *loop); /* aborts when no thread can be had: at the start only */
/* Waits a moment for what is being done; a thread that is stuck stays behind, with its item, until the process ends.
 * NULL is fine. */
void aside_destroy(struct aside *a);
/* Keeps the loop alive until done() was called. `calls` must outlive it: a table. */
void aside_put(struct aside *a, const struct aside_calls *calls, void *item);

#endif
