/* node.h - a worker of cluster.h: lanes of waiting tasks by request, as hq-workerd has them; news that may wait a little. */
#ifndef HQ_TESTS_SIM_CLUSTER_NODE_H
#define HQ_TESTS_SIM_CLUSTER_NODE_H

#include "tests/sim/cluster/cluster.h"

enum event_kind {
    EVENT_TASK_END,
    EVENT_TURN,   /* a message of a worker is there */
    EVENT_ANSWER, /* one of hqd is there */
    EVENT_SEND,   /* a worker has waited long enough with its news */
    EVENT_PASS,
    EVENT_TIMER,
};

struct event {
    struct hq_heap_node heap;
    enum event_kind kind;
    struct node *node;
};

struct vtask {
    struct event end;
    struct vtask *next; /* in its lane */
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    int64_t start_us;
    int64_t end_us; /* 0 = runs */
};

#define CLUSTER_LANES (2 * CLUSTER_JOBS_MAX) /* by job and variant */

struct lane { /* of one request */
    struct vtask *head;
    struct vtask **tail;
};

struct vtasks {
    struct vtask **v;
    size_t count;
    size_t cap;
};

/* What travels. */
struct turn_message {
    struct event event;
    struct vtasks starts;
    struct vtasks ends;
    struct vtasks returns;
    uint64_t turn_seq;
    uint64_t ack_command_seq;
};

struct order { /* of tasks: given, or wanted back */
    bool is_retract;
    uint32_t job;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
};

struct answer_message {
    struct event event;
    uint64_t command_seq;
    struct order *orders;
    size_t order_count;
    size_t order_cap;
};

struct node {
    struct cluster *c;
    uint32_t ix;
    int64_t total[CLUSTER_RES];
    int64_t free[CLUSTER_RES];
    struct lane lanes[CLUSTER_LANES];
    uint64_t waiting;
    double busy; /* cpus (x 10000) x us */
    int64_t busy_at_us;
    uint64_t turn_seq;
    uint64_t command_seq;
    uint32_t open_turns;
    struct event send;
    struct vtasks starts; /* news */
    struct vtasks ends;
    struct vtasks returns;
};

struct node *node_create(struct cluster *c, uint32_t ix, const int64_t *total);
void node_destroy(struct node *n);
void node_end_task(struct vtask *t);
/* Sends what there is, when a turn is free and the news is urgent or has waited for more to come. */
void node_send(struct node *n, bool has_waited);
void node_take(struct node *n, struct answer_message *m);
void node_touch_busy(struct node *n);
void vtasks_add(struct vtasks *l, struct vtask *t);

/* ---- cluster.c */
void cluster_at(struct cluster *c, int64_t at_us, struct event *e);

#endif
