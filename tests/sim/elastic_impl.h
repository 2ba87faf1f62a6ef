/* elastic_impl.h - inside of the elastic cluster; for elastic.c and elastic_node.c only. */
#ifndef HQ_TESTS_SIM_ELASTIC_IMPL_H
#define HQ_TESTS_SIM_ELASTIC_IMPL_H

#include "common/rng.h"
#include "hqd/core/core.h"

#define ELASTIC_NODES_MAX 512u
#define ELASTIC_JOBS_MAX 512u
#define ELASTIC_NODE_CPUS 8u
#define ELASTIC_HELD_MAX 64u
#define ELASTIC_IDLE_MS 300000
#define ELASTIC_TASK_MS_MAX 1500000 /* the time request of all tasks */

#define ELASTIC_QUEUES_MAX 2u

struct equeue {
    hq_ms time_limit_ms;
    uint32_t nodes; /* of one allocation */
    uint32_t backlog;
};

struct ejob {
    uint32_t cpus;
    uint32_t tasks;
    uint8_t *ended; /* times each task has finished */
};

struct eheld {
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    bool is_running;
    bool is_told;
    hq_wall_ms start_ms;
    hq_wall_ms end_ms;
    enum return_reason reason; /* once it goes back */
};

struct ealloc {
    uint32_t queue;
    uint32_t number;
    uint32_t node_count;
    uint32_t alive;
    hq_wall_ms starts_ms; /* its wait in the batch queue is over */
    bool is_started;
    bool is_over;
    hq_wall_ms started_ms;
    hq_wall_ms time_limit_ms;
};

struct enode {
    uint32_t worker;      /* 0 = not here */
    struct ealloc *alloc; /* NULL = of none */
    hq_wall_ms life_end_ms;
    hq_wall_ms busy_at_ms; /* last time it held a task */
    uint64_t turn_seq;
    uint64_t command_seq;
    uint32_t free_cpus;
    struct eheld held[ELASTIC_HELD_MAX];
    size_t held_count;
    struct eheld returned[ELASTIC_HELD_MAX];
    size_t returned_count;
    bool is_leaving;
};

struct elastic {
    struct core *core;
    const struct equeue *queues;
    struct effects fx;
    struct core_now now;
    struct hq_rng rng; /* of the work: the same in both runs of a seed */
    struct hq_rng wait_rng;
    uint64_t seed;
    uint64_t handle;
    struct enode nodes[ELASTIC_NODES_MAX];
    uint32_t node_count; /* ever */
    struct ejob jobs[ELASTIC_JOBS_MAX];
    uint32_t job_count;
    struct ealloc allocs[ELASTIC_NODES_MAX];
    uint32_t alloc_count;
    uint64_t submitted;
    uint64_t finished;
    uint64_t restarted;
    uint64_t twice;
    hq_wall_ms paid_ms; /* node time */
    hq_wall_ms used_ms; /* core time of finished tasks */
};

void elastic_step(struct elastic *e, const struct input *in);
hq_ms elastic_task_ms(const struct elastic *e, uint32_t job, uint32_t task);

/* ---- elastic_node.c */
void enode_register(struct elastic *e, struct ealloc *a); /* NULL: of no allocation, it stays */
void enode_take_turn(struct elastic *e, const struct turn_answer *t);
/* One step of time: ends, starts, the turn, and the end of the node when it has been idle or its time is over. */
void enode_live(struct elastic *e, struct enode *n);

#endif
