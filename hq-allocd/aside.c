#include "hq-allocd/aside.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "common/bridge.h"
#include "common/mem.h"

#define END_WAIT_S 2 /* for the work in hand when all ends */
#define BRIDGE_ITEMS 1024u

struct entry {
    STAILQ_ENTRY(entry) link;
    const struct aside_calls *calls;
    void *item;
};

struct aside {
    struct ev_loop *loop;
    struct hq_bridge *bridge;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    STAILQ_HEAD(, entry) entries;
    bool is_ending;
    bool is_over;
};

static void
drop_entry(void *ctx, void *item)
{
    struct entry *e = item;
    (void)ctx;
    e->calls->drop(e->item);
    free(e);
}

static void
on_done(void *ctx, void *item)
{
    struct aside *a = ctx;
    struct entry *e = item;
    ev_unref(a->loop);
    e->calls->done(e->item);
    free(e);
}

static void *
run_thr(void *ctx)
{
    struct aside *a = ctx;
    (void)pthread_mutex_lock(&a->mutex);
    for (;;) {
        while (STAILQ_EMPTY(&a->entries) && !a->is_ending) {
            (void)pthread_cond_wait(&a->changed, &a->mutex);
        }
        if (a->is_ending) {
            break;
        }
        struct entry *e = STAILQ_FIRST(&a->entries);
        STAILQ_REMOVE_HEAD(&a->entries, link);
        (void)pthread_mutex_unlock(&a->mutex);
        e->calls->work(e->item);
        (void)pthread_mutex_lock(&a->mutex);
        if (a->is_ending) { /* the loop may be gone: whoever waits for us drops it */
            STAILQ_INSERT_HEAD(&a->entries, e, link);
            break;
        }
        hq_bridge_post_must_thr(a->bridge, on_done, a, e);
    }
    a->is_over = true;
    (void)pthread_cond_signal(&a->changed);
    (void)pthread_mutex_unlock(&a->mutex);
    return NULL;
}

struct aside *
aside_create(struct ev_loop *loop)
{
    struct aside *a = hq_xalloc(sizeof *a);
    pthread_condattr_t clock;
    sigset_t all, before;
    a->loop = loop;
    STAILQ_INIT(&a->entries);
    (void)pthread_mutex_init(&a->mutex, NULL); /* these four cannot fail on Linux */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&a->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    int rc = hq_bridge_create(&a->bridge, loop, BRIDGE_ITEMS, drop_entry, NULL);
    HQ_ASSERT(rc == 0);
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&a->thread, NULL, run_thr, a);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    HQ_ASSERT(rc == 0);
    return a;
}

void
aside_destroy(struct aside *a)
{
    if (a == NULL) {
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += END_WAIT_S;
    (void)pthread_mutex_lock(&a->mutex);
    a->is_ending = true;
    (void)pthread_cond_signal(&a->changed);
    int rc = 0;
    while (!a->is_over && rc == 0) {
        rc = pthread_cond_timedwait(&a->changed, &a->mutex, &until);
    }
    bool is_over = a->is_over;
    (void)pthread_mutex_unlock(&a->mutex);
    if (!is_over) {
        (void)pthread_detach(a->thread);
        return;
    }
    (void)pthread_join(a->thread, NULL);
    hq_bridge_destroy(a->bridge);
    while (!STAILQ_EMPTY(&a->entries)) {
        struct entry *e = STAILQ_FIRST(&a->entries);
        STAILQ_REMOVE_HEAD(&a->entries, link);
        drop_entry(a, e);
    }
    (void)pthread_cond_destroy(&a->changed);
    (void)pthread_mutex_destroy(&a->mutex);
    free(a);
}

void
aside_put(struct aside *a, const struct aside_calls *calls, void *item)
{
    struct entry *e = hq_xalloc(sizeof *e);
    *e = (struct entry){.calls = calls, .item = item};
    ev_ref(a->loop);
    (void)pthread_mutex_lock(&a->mutex);
    STAILQ_INSERT_TAIL(&a->entries, e, link);
    (void)pthread_cond_signal(&a->changed);
    (void)pthread_mutex_unlock(&a->mutex);
}
