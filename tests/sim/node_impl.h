/* node_impl.h - inside of a simulated worker; for node.c, node_task.c and node_link.c only. */
#ifndef HQ_TESTS_SIM_NODE_IMPL_H
#define HQ_TESTS_SIM_NODE_IMPL_H

#include "tests/sim/node.h"

#define HEARTBEAT_MS 4000
#define RESEND_MS 1500 /* no answer to a turn that should have come by then; long polls: a heartbeat more */
#define TICK_MS 400

enum item_kind {
    ITEM_STARTED,
    ITEM_FINISHED,
    ITEM_FAILED,
    ITEM_RETURNED,
};

struct item { /* one piece of news */
    enum item_kind kind;
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    hq_wall_ms start_ms;
    uint64_t duration_ms;
    enum return_reason reason;
};

struct items {
    struct item *v;
    size_t count;
    size_t cap;
};

struct sent_turn { /* until hqd has it on disk */
    struct sent_turn *next;
    uint32_t refs;
    uint32_t worker; /* as it was called then */
    uint64_t seq;
    uint64_t ack_command_seq;
    struct items items;
    enum lost_reason leaving;
    bool is_unsettled;
    bool is_answered;
    hq_ms sent_ms;
};

struct held {
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    uint32_t cpus_x10000;
    bool has_ranks; /* on several nodes: may lose one */
    bool is_running;
    hq_wall_ms start_ms;
    uint64_t run; /* number of this start: end events of others are stale */
};

enum node_state {
    NODE_JOINING,
    NODE_IN,
    NODE_LEAVING,
    NODE_DEAD,
};

struct node {
    struct world *w;
    uint32_t ix;
    uint64_t incarnation;
    char name[16];
    char group[16];
    uint32_t cpus;
    int64_t free_x10000;
    enum node_state state;
    uint32_t worker;
    uint64_t join_count;
    hq_ms join_ms; /* last registration sent */
    uint64_t turn_seq;
    uint64_t command_seq;
    struct sent_turn *turns; /* oldest first */
    struct items news;
    bool is_split_due; /* first turn after a return: may come in two halves */
    struct reply *early[4];
    size_t early_count;
    struct held *held;
    size_t held_count;
    size_t held_cap;
    uint64_t run_count;
    struct hq_map bodies; /* job, desc -> cpus */
    struct hq_map ranks;  /* job, desc -> 1: tasks of several ranks */
    bool is_member;       /* works for this task of another worker */
    uint32_t member[3];   /* job, task, instance */
    hq_ms cut_until_ms;
    bool is_pump_due;
    hq_ms time_limit_ms; /* 0 = none */
};

/* ---- node_task.c: what it has and does */
void node_add_item(struct items *l, struct item it);
struct item node_item_of(const struct held *h, enum item_kind kind);
void node_drop_held(struct node *n, size_t ix);
void node_start_tasks(struct node *n);
void node_carry_out(struct node *n, const struct reply *r);
void node_leave(struct node *n, enum lost_reason reason);
bool node_is_member_of(const struct node *n, const uint32_t member[3]);

/* ---- node_link.c: what it says */
void node_free_turn(struct sent_turn *t);
bool node_is_cut(const struct node *n);
size_t node_open_turns(const struct node *n);
void node_send_turn(struct node *n, enum lost_reason leaving);
void node_post(struct node *n, struct sent_turn *t);
void node_post_join(struct node *n);
/* Registers: everything that hqd may not have is news again. */
void node_begin_join(struct node *n);
/* Something has changed: starts what can start, says what is to be said. */
void node_pump(struct node *n);

#endif
