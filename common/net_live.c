#include "common/net_live.h"

#include <time.h>

#include "common/clock.h"
#include "common/net_kick.h"

#define END_MS 2000 /* nng needs some ms; more means that its reaper is stuck */

void
hq_live_init(struct hq_live *l)
{
    pthread_condattr_t attr;
    *l = (struct hq_live){0};
    (void)pthread_condattr_init(&attr); /* these cannot fail on Linux */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&l->lock, NULL);
}

void
hq_live_fini(struct hq_live *l)
{
    (void)pthread_cond_destroy(&l->changed); /* no thread is left */
    (void)pthread_mutex_destroy(&l->lock);
}

bool
hq_live_event_thr(struct hq_live *l, nng_pipe pipe, nng_pipe_ev event)
{
    pthread_mutex_lock(&l->lock);
    if (event == NNG_PIPE_EV_ADD_PRE) {
        l->count++;
    } else if (l->count > 0) {
        l->count--;
    }
    bool is_closing = l->is_closing;
    bool is_ignored = l->is_abandoned;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (is_closing && event == NNG_PIPE_EV_ADD_PRE) {
        (void)nng_pipe_close(pipe); /* safe here: nothing is being read yet */
        return false;
    }
    return !is_ignored;
}

uint32_t
hq_live_count_thr(struct hq_live *l)
{
    pthread_mutex_lock(&l->lock);
    uint32_t count = l->count;
    pthread_mutex_unlock(&l->lock);
    return count;
}

bool
hq_live_wait(struct hq_live *l, hq_ms wait_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
    int64_t ns = until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += wait_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    int rc = 0;
    pthread_mutex_lock(&l->lock);
    while (l->count > 0 && rc == 0) {
        rc = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    }
    bool is_empty = l->count == 0;
    pthread_mutex_unlock(&l->lock);
    return is_empty;
}

bool
hq_live_end(struct hq_live *l, uint16_t port, const char *ipc_path)
{
    pthread_mutex_lock(&l->lock);
    l->is_closing = true;
    pthread_mutex_unlock(&l->lock);
    hq_ms deadline_ms = hq_clock_ms() + END_MS;
    bool is_empty = false;
    do { /* a connection that was being accepted during one walk is found by the next */
        hq_kick_all(port, ipc_path);
        is_empty = hq_live_wait(l, 50);
    } while (!is_empty && hq_clock_ms() < deadline_ms);
    if (!is_empty) {
        pthread_mutex_lock(&l->lock);
        l->is_abandoned = true;
        pthread_mutex_unlock(&l->lock);
    }
    return is_empty;
}
