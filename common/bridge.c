/* bridge.c - two arrays that change places: posters fill one under the lock, the loop empties the other without it. */
#include "common/bridge.h"

#include <ev.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/mem.h"

struct item {
    hq_bridge_fn fn;
    void *ctx;
    void *item;
};

struct queue {
    struct item *items;
    size_t count;
    size_t cap;
};

struct hq_bridge {
    struct ev_loop *loop;
    ev_async wake;
    pthread_mutex_t lock; /* guards `in` and waiters */
    pthread_cond_t room;
    struct queue in;
    struct queue out; /* loop only; empty outside of a drain */
    size_t items_max;
    uint32_t waiters;
    hq_bridge_fn drop;
    bool is_draining;
    bool is_dead;     /* destroyed by a function it ran: the drain frees it */
    bool was_skipped; /* a wake-up came while draining (a function ran the loop): owed at the end */
};

/* A burst may leave large arrays behind; up to this they are kept for the next one. */
#define KEEP_ITEMS 1024u

static void
bridge_on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
    (void)loop;
    (void)revents;
    (void)hq_bridge_drain(w->data); /* the count is for tests */
}

int
hq_bridge_create(struct hq_bridge **ret, struct ev_loop *loop, uint32_t items_max, hq_bridge_fn drop,
                 struct hq_err *err)
{
    HQ_ASSERT(items_max > 0);
    struct hq_bridge *b = hq_try_alloc(sizeof(*b));
    if (b == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot create a queue into the event loop");
    }
    int rc = pthread_mutex_init(&b->lock, NULL);
    if (rc == 0) {
        rc = pthread_cond_init(&b->room, NULL);
        if (rc != 0) {
            (void)pthread_mutex_destroy(&b->lock); /* nobody has used it */
        }
    }
    if (rc != 0) {
        free(b);
        return hq_err_sys(err, -rc, "Cannot create a queue into the event loop");
    }
    b->loop = loop;
    b->items_max = items_max;
    b->drop = drop;
    ev_async_init(&b->wake, bridge_on_wake);
    b->wake.data = b;
    ev_async_start(loop, &b->wake);
    ev_unref(loop); /* a loop with nothing else to do may end */
    *ret = b;
    return 0;
}

static void
bridge_drop(struct hq_bridge *b, const struct item *items, size_t count)
{
    for (size_t ix = 0; b->drop != NULL && ix < count; ix++) {
        b->drop(items[ix].ctx, items[ix].item);
    }
}

static void
bridge_free(struct hq_bridge *b)
{
    bridge_drop(b, b->in.items, b->in.count);
    free(b->in.items);
    free(b->out.items);
    (void)pthread_cond_destroy(&b->room); /* posters have stopped */
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

void
hq_bridge_destroy(struct hq_bridge *b)
{
    if (b == NULL) {
        return;
    }
    HQ_ASSERT(!b->is_dead);
    ev_ref(b->loop);
    ev_async_stop(b->loop, &b->wake);
    if (b->is_draining) {
        b->is_dead = true;
    } else {
        bridge_free(b);
    }
}

/* Called with the lock held; gives it back. */
static int
bridge_append_unlock(struct hq_bridge *b, struct item item)
{
    int rc = hq_try_grow(&b->in.items, &b->in.cap, b->in.count + 1, sizeof(*b->in.items));
    bool was_empty = b->in.count == 0;
    if (rc == 0) {
        b->in.items[b->in.count++] = item;
    }
    pthread_mutex_unlock(&b->lock);
    if (rc == 0 && was_empty) {
        ev_async_send(b->loop, &b->wake);
    }
    return rc;
}

int
hq_bridge_post_thr(struct hq_bridge *b, hq_bridge_fn fn, void *ctx, void *item)
{
    pthread_mutex_lock(&b->lock);
    if (b->in.count >= b->items_max) {
        pthread_mutex_unlock(&b->lock);
        return -EAGAIN;
    }
    return bridge_append_unlock(b, (struct item){fn, ctx, item});
}

void
hq_bridge_post_must_thr(struct hq_bridge *b, hq_bridge_fn fn, void *ctx, void *item)
{
    pthread_mutex_lock(&b->lock);
    hq_xgrow(&b->in.items, &b->in.cap, b->in.count + 1, sizeof(*b->in.items));
    int rc = bridge_append_unlock(b, (struct item){fn, ctx, item});
    HQ_ASSERT(rc == 0); /* there is room now */
}

int
hq_bridge_post_wait_thr(struct hq_bridge *b, hq_bridge_fn fn, void *ctx, void *item)
{
    pthread_mutex_lock(&b->lock);
    while (b->in.count >= b->items_max) {
        b->waiters++;
        pthread_cond_wait(&b->room, &b->lock);
        b->waiters--;
    }
    return bridge_append_unlock(b, (struct item){fn, ctx, item});
}

uint32_t
hq_bridge_drain(struct hq_bridge *b)
{
    if (b->is_draining) {
        b->was_skipped = true; /* a function that runs the loop again must not overtake its own queue */
        return 0;
    }
    b->is_draining = true;
    pthread_mutex_lock(&b->lock);
    struct queue full = b->in;
    b->in = b->out;
    b->out = (struct queue){0};
    if (b->waiters > 0) {
        pthread_cond_broadcast(&b->room);
    }
    pthread_mutex_unlock(&b->lock);
    for (size_t ix = 0; ix < full.count; ix++) {
        full.items[ix].fn(full.items[ix].ctx, full.items[ix].item);
        if (b->is_dead) {
            bridge_drop(b, full.items + ix + 1, full.count - ix - 1);
            free(full.items);
            bridge_free(b);
            return (uint32_t)ix + 1;
        }
    }
    uint32_t count = (uint32_t)full.count;
    full.count = 0;
    if (full.cap > KEEP_ITEMS) {
        free(full.items);
        full = (struct queue){0};
    }
    b->out = full;
    b->is_draining = false;
    if (b->was_skipped) {
        b->was_skipped = false;
        ev_async_send(b->loop, &b->wake);
    }
    return count;
}
