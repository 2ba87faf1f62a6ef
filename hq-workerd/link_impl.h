/* link_impl.h - state shared by link.c (life, attempts), link_register.c and link_turns.c. */
#ifndef HQ_WORKERD_LINK_IMPL_H
#define HQ_WORKERD_LINK_IMPL_H

#include <ev.h>
#include <pthread.h>

#include "common/bridge.h"
#include "common/rng.h"
#include "hq-workerd/link.h"

#define LINK_OUT_MAX 2u
#define LINK_CALLS_MAX 8u            /* with those of earlier epochs */
#define LINK_EARLY_MAX 4u            /* answers that came before their predecessor */
#define LINK_REGISTER_MS 5000
#define LINK_REGISTER_EVERY_MS 500   /* sooner only with the pauses of a lost connection */
#define LINK_FIRST_MS_MAX 60000      /* how long a new worker tries to find hqd */
#define LINK_BACKOFF_MS_MIN 50
#define LINK_BACKOFF_MS_MAX 2000
#define LINK_ARENA_BYTES_MAX ((size_t)64 << 20)

struct turn {
    struct turn *next; /* ascending numbers */
    uint64_t seq;
    struct hq_buf news;
    enum link_reason leaving;
    bool is_unsettled;
    bool is_out;
    bool is_answered;
};

struct call { /* one request that is out */
    struct link *link;
    uint64_t epoch;
    uint64_t turn_seq; /* 0 = Register */
    bool is_used;
};

struct early {
    uint64_t command_seq;
    struct hq_buf message;
};

enum link_state {
    LINK_REGISTERING = 1,
    LINK_UP,
    LINK_WAITING, /* for the next attempt */
    LINK_READING, /* the access file */
    LINK_ENDED,   /* refused, or left */
};

struct reader { /* the helper thread's, then the loop's */
    struct link *link;
    struct hq_access access;
    struct hq_buf instance;
    int rc;
};

struct link {
    struct link_conf conf;
    enum link_state state;
    struct hq_net_client *client;
    struct hq_access access; /* what the client was made of */
    struct hq_bridge *bridge;
    pthread_t reader_thread;
    bool is_reading;
    ev_timer linger;
    ev_timer retry;
    struct hq_rng rng;
    hq_ms backoff_ms;
    hq_ms started_ms;
    hq_ms registered_ms; /* last time */
    uint64_t epoch;
    uint64_t next_request_id;
    struct call calls[LINK_CALLS_MAX];
    uint32_t out_count; /* turns of this epoch */
    struct turn *turns, **turns_tail;
    uint32_t turn_count;
    uint64_t next_turn_seq;
    uint64_t declared_seq; /* in the last Register: the first turn that follows it */
    uint64_t command_seq; /* carried out */
    struct early early[LINK_EARLY_MAX];
    uint32_t worker_id;
    unsigned char hqd_incarnation[LINK_ID_BYTES];
    hq_ms turn_timeout_ms;
    hq_ms last_news_ms;
    hq_ms linger_ms; /* as link_news was told last */
    int64_t probe_us; /* when the second turn was sent: the answer to the first comes at once */
    uint32_t round_trip_us;
    int64_t linger_us; /* how long news wait here, on average */
    enum link_reason leaving;
    bool is_settled; /* since the last Register all news from before it are told */
    bool is_lost;
};

/* ---- link.c */
void link_lose(struct link *l, int rc, const char *what);       /* tries again after a pause */
void link_end_refused(struct link *l, const struct hq_err *err);     /* ends */
struct call *link_new_call(struct link *l, uint64_t turn_seq);  /* NULL: too many are out */

/* ---- link_register.c */
void link_register(struct link *l);

/* ---- link_turns.c */
void link_drop_turns(struct link *l, uint64_t up_to_seq);
void link_drop_early(struct link *l);
/* Sends what has to leave now. */
void link_pump(struct link *l);
void link_on_linger(struct ev_loop *loop, ev_timer *w, int revents);

#endif
