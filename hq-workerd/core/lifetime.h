/* lifetime.h - when a worker ends: time limit, orders, hqd gone.
 *
 * Purpose    one small state machine that says what to do; the shell does it and says when it is done.
 * Ownership  caller's memory, no heap.
 * Threads    loop thread. Pure.
 * Units      ms of the monotonic clock.
 */
#ifndef HQ_WORKERD_CORE_LIFETIME_H
#define HQ_WORKERD_CORE_LIFETIME_H

#include "common/id.h"

#define LIFETIME_RECONNECT_MS (10 * 60 * 1000) /* how long an idle worker tries to find hqd again */
#define LIFETIME_GRACE_MS 2000                 /* a connection that is back by then was never lost */
#define LIFETIME_KILL_MS 5000                  /* in total for ending all tasks */

enum lifetime_policy { /* the same numbers as in proto/common.proto */
    LIFETIME_RECONNECT = 0,
    LIFETIME_STOP = 1,
    LIFETIME_FINISH_RUNNING = 2,
};

enum lifetime_end { /* why this worker ends */
    LIFETIME_GOES_ON = 0,
    LIFETIME_END_ORDER,       /* hqd said so: exit 0 */
    LIFETIME_END_IDLE,        /* the same, because of the idle timeout */
    LIFETIME_END_LIMIT,       /* exit 0 */
    LIFETIME_END_SIGNAL,      /* exit 0 */
    LIFETIME_END_SERVER_LOST, /* running tasks are killed; exit 1 */
    LIFETIME_END_FINISHED,    /* hqd is gone, running tasks have finished or there were none; exit 1 */
};

enum lifetime_act {
    LIFETIME_NOTHING = 0,
    LIFETIME_DROP_WAITING, /* hqd is gone and running tasks may finish: start no more */
    LIFETIME_END,          /* end for the reason in `end` */
};

struct lifetime {
    enum lifetime_policy policy;
    hq_ms limit_at_ms;       /* end of the time limit; INT64_MAX = none */
    hq_ms idle_timeout_ms;   /* 0 = none: LIFETIME_RECONNECT_MS */
    hq_ms lost_at_ms;        /* 0 = hqd is there */
    hq_ms nothing_since_ms;  /* while lost: since when nothing runs; 0 = something does */
    bool has_dropped;
    bool is_lost_for_good;   /* hqd ended orderly */
    enum lifetime_end end;   /* set once */
    bool is_end_said;
};

void lifetime_init(struct lifetime *l, enum lifetime_policy policy, hq_ms started_ms, hq_ms time_limit_ms,
                   hq_ms idle_timeout_ms);
void lifetime_on_lost(struct lifetime *l, hq_ms now_ms);       /* no answer, no connection; repeats are fine */
void lifetime_on_server_end(struct lifetime *l, hq_ms now_ms); /* hqd said that it ends */
void lifetime_on_back(struct lifetime *l);                     /* registered again */
void lifetime_on_end(struct lifetime *l, enum lifetime_end end); /* an order or a signal; the first reason stays */
/* What to do now. LIFETIME_END is said once. `running` = tasks with a process. */
enum lifetime_act lifetime_look(struct lifetime *l, hq_ms now_ms, uint32_t running);
/* When to look again; INT64_MAX = only after the next event. */
hq_ms lifetime_next_ms(const struct lifetime *l, hq_ms now_ms, uint32_t running);
int lifetime_exit_status(enum lifetime_end end);

#endif
