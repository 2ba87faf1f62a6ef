/* net_live.h - how many connections nng holds for a socket of ours, and closing that socket without a hang. Private.
 *
 * nng_close (and nng_pipe_close outside of ADD_PRE) while a message arrives blocks nng 1.5.2's reaper thread for ever:
 * the receive of the message's body is started on a receiver that was just stopped, and never ends. So connections are
 * shut down below nng first; it then sees each one end by itself, between two messages. Only then the socket is closed.
 *
 * Threads    _thr on nng's threads, the rest on the loop's.
 */
#ifndef HQ_COMMON_NET_LIVE_H
#define HQ_COMMON_NET_LIVE_H

#include <pthread.h>

#include "common/net_priv.h"

struct hq_live {
    pthread_mutex_t lock; /* thr: guards the rest */
    pthread_cond_t changed;
    uint32_t count;
    bool is_closing;   /* newcomers are refused */
    bool is_abandoned; /* the owner is gone: events mean nothing any more */
};

void hq_live_init(struct hq_live *l);
void hq_live_fini(struct hq_live *l);
/* First thing in a pipe callback, for ADD_PRE and REM_POST. False: ignore the event. */
bool hq_live_event_thr(struct hq_live *l, nng_pipe pipe, nng_pipe_ev event);
uint32_t hq_live_count_thr(struct hq_live *l);
/* Waits until no connection is left, at most wait_ms. */
bool hq_live_wait(struct hq_live *l, hq_ms wait_ms);
/* Refuses newcomers, shuts down all connections to that port or path, waits for their end. False: some are still there;
 * then the socket must not be closed and `l` must stay (events are ignored from now on). */
bool hq_live_end(struct hq_live *l, uint16_t port, const char *ipc_path);

#endif
