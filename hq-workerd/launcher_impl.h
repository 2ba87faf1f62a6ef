/* launcher_impl.h - state shared by launcher.c (threads) and launcher_ops.c (what the loop asks for). */
#ifndef HQ_WORKERD_LAUNCHER_IMPL_H
#define HQ_WORKERD_LAUNCHER_IMPL_H

#include <pthread.h>

#include "hq-workerd/launcher.h"
#include "hq-workerd/watch.h"

enum slot_state {
    SLOT_CLOSED = 0,
    SLOT_QUEUED,   /* waits for a thread */
    SLOT_STARTING, /* a thread has it */
    SLOT_RUNNING,  /* has a process */
    SLOT_STALLED,  /* waits until something is free again */
    SLOT_IDLE,     /* the agent was told */
};

struct slot {
    uint32_t ix;
    enum slot_state state;
    struct lane *lane;
    uint32_t lane_ix;
    struct grant *grant;
    struct run run;
    struct slot *next; /* in queue or stalled */
};

struct slot_list {
    struct slot *head;
    struct slot **tail;
};

struct thread {
    struct launcher *launcher;
    struct run_thread run;
    pthread_t id;
};

struct launcher {
    struct launcher_conf conf;
    struct watch *watch;
    int event_fd;
    pthread_mutex_t lock; /* guards all below, and state and run of slots but for the thread that has one */
    pthread_cond_t room;
    struct slot **slots;
    size_t slot_count, slot_cap;
    struct lane **lanes;
    size_t lane_count, lane_cap;
    struct slot_list queue, stalled;
    uint32_t stalled_count;
    uint32_t running; /* SLOT_STARTING and SLOT_RUNNING */
    uint32_t alone_tries;
    uint64_t next_serial;
    struct run_event *events, *drained;
    size_t event_count;
    bool loop_polls;
    bool is_paused;
    bool is_ending;
    struct thread threads[LAUNCHER_THREADS_MAX];
    uint32_t thread_count; /* started */
};

static inline void
slot_list_init(struct slot_list *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static inline void
slot_list_push(struct slot_list *q, struct slot *s)
{
    s->next = NULL;
    *q->tail = s;
    q->tail = &s->next;
}

static inline struct slot *
slot_list_pop(struct slot_list *q)
{
    struct slot *s = q->head;

    if (s != NULL) {
        q->head = s->next;
        if (q->head == NULL) {
            q->tail = &q->head;
        }
    }
    return s;
}

#endif
