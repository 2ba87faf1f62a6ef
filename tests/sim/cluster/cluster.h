/* cluster.h - the real core and workers without faults in virtual time: how long things take.
 *
 * Purpose    tests/sim/world.h asks whether all stays right when things break; this asks how well work flows: waiting,
 *            utilisation, makespan. Tasks have any request and a length; a message takes half a round trip.
 * Ownership  cluster_init/_fini: all memory is the cluster's; callbacks get borrowed pointers.
 * Units      us of virtual time; the core sees ms. Amounts in 1/10000.
 */
#ifndef HQ_TESTS_SIM_CLUSTER_CLUSTER_H
#define HQ_TESTS_SIM_CLUSTER_CLUSTER_H

#include "common/heap.h"
#include "common/map.h"
#include "common/rng.h"
#include "common/request.h"
#include "hqd/core/core.h"

#define CLUSTER_RES 2u /* cpus, gpus */
#define CLUSTER_ALL (-1)
#define CLUSTER_JOBS_MAX 64u

struct node; /* a worker */

struct cluster_job { /* tasks 0 .. count-1 */
    uint32_t count;
    int32_t priority;
    uint32_t nodes;               /* multi-node; 0 = not */
    int64_t amount[CLUSTER_RES];  /* CLUSTER_ALL; 0 = not asked for */
    int64_t other[CLUSTER_RES];   /* a second variant; all 0 = none */
    enum hq_policy policy;        /* of amount and other; ALL stays ALL */
    int64_t length_us;            /* of each task, or */
    const int64_t *lengths_us;    /* by task */
    const uint32_t *dep_count;    /* graph: of each task, NULL = array */
    const uint32_t *deps;
};

struct cluster_start { /* of one task */
    uint32_t job;
    uint32_t task;
    uint32_t worker; /* from 0 */
    int64_t at_us;
};

struct cluster {
    struct core *core;
    struct effects fx;
    int64_t now_us;
    int64_t half_trip_us;
    uint64_t handle;
    struct hq_heap events;
    uint64_t tie;
    struct node **nodes;
    uint32_t node_count;
    struct cluster_job jobs[CLUSTER_JOBS_MAX]; /* by id - 1 */
    uint32_t job_count;
    uint64_t ended[CLUSTER_JOBS_MAX];
    int64_t last_end_us[CLUSTER_JOBS_MAX];
    bool is_pass_due;
    int64_t timer_at_us;
    uint64_t passes;
    uint64_t turns;
    uint64_t retracted;
    void (*on_start)(void *ctx, const struct cluster_start *s);
    void *ctx;
};

void cluster_init(struct cluster *c, int64_t round_trip_us);
void cluster_fini(struct cluster *c);
void cluster_add_worker(struct cluster *c, const int64_t *total);
/* Returns the id. */
uint32_t cluster_submit(struct cluster *c, const struct cluster_job *job);
/* Runs until the time, or until all tasks of the job have ended (0 = no such job). */
void cluster_run(struct cluster *c, int64_t until_us, uint32_t job);
/* Core-time in use: sum over workers of cpus x us, so far. */
double cluster_busy(const struct cluster *c);

#endif
