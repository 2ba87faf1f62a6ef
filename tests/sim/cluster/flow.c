#include "tests/sim/cluster/flow.h"

#include "common/mem.h"
#include "tests/sim/cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND_US 1000000
#define ROUND_TRIP_US 1000
#define TAIL_WORKERS 16u
#define TAIL_CORES 256u
#define END_US (3600 * (int64_t)SECOND_US)

static void
set_up(struct cluster *c, uint32_t workers, uint32_t cpus)
{
    cluster_init(c, ROUND_TRIP_US);
    for (uint32_t i = 0; i < workers; i++) {
        cluster_add_worker(c, (const int64_t[CLUSTER_RES]){cpus * 10000, 0});
    }
    cluster_run(c, SECOND_US, 0);
}

/* Ideal: all cores work from the submit on until everything is done. */
static void
utilisation(const char *name, uint32_t workers, uint32_t cpus, int64_t length_us, uint32_t rounds)
{
    static struct cluster c;
    set_up(&c, workers, cpus);
    struct cluster_job job = {.count = workers * cpus * rounds, .amount = {10000, 0}, .length_us = length_us};
    int64_t begin_us = c.now_us;
    uint32_t id = cluster_submit(&c, &job);
    cluster_run(&c, END_US, id);
    double ideal_us = (double)length_us * rounds;
    (void)printf("%s %.4f of_ideal\n", name, ideal_us / (double)(c.last_end_us[id - 1] - begin_us));
    (void)printf("%s_turns %.1f tasks\n", name, (double)job.count / (double)c.turns);
    (void)fflush(stdout);
    cluster_fini(&c);
}

/* One queue without any latency: who is free takes the next task. */
static double
one_queue_us(const int64_t *lengths_us, uint32_t count)
{
    static int64_t free_us[TAIL_CORES];
    int64_t last_us = 0;
    for (uint32_t k = 0; k < TAIL_CORES; k++) {
        free_us[k] = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first = 0;
        for (uint32_t k = 1; k < TAIL_CORES; k++) {
            first = free_us[k] < free_us[first] ? k : first;
        }
        free_us[first] += lengths_us[i];
        last_us = HQ_MAX(last_us, free_us[first]);
    }
    return (double)last_us;
}

/* Lengths of which few are long: what is left at the end must spread over all workers. */
static void
tail(const char *name, uint64_t seeds, int64_t mean_us, uint32_t rounds)
{
    static struct cluster c;
    double sum = 0;
    double worst = 0;
    double retracted = 0;
    struct cluster_job job = {.count = TAIL_CORES * rounds, .amount = {10000, 0}};
    int64_t *lengths_us = hq_xcalloc(job.count, sizeof(*lengths_us));
    job.lengths_us = lengths_us;
    for (uint64_t seed = 0; seed < seeds; seed++) {
        struct hq_rng rng;
        hq_rng_init(&rng, seed);
        set_up(&c, TAIL_WORKERS, TAIL_CORES / TAIL_WORKERS);
        for (uint32_t i = 0; i < job.count; i++) {
            lengths_us[i] = mean_us / 2 + (int64_t)hq_rng_below(&rng, (uint64_t)mean_us);
            lengths_us[i] *= hq_rng_below(&rng, 50) == 0 ? 10 : 1;
        }
        int64_t begin_us = c.now_us;
        uint32_t id = cluster_submit(&c, &job);
        cluster_run(&c, END_US, id);
        double share = (double)(c.last_end_us[id - 1] - begin_us) / one_queue_us(lengths_us, job.count);
        sum += share;
        worst = HQ_MAX(worst, share);
        retracted += (double)c.retracted / job.count;
        cluster_fini(&c);
    }
    (void)printf("%s_mean %.4f of_one_queue\n", name, sum / (double)seeds);
    (void)printf("%s_worst %.4f of_one_queue\n", name, worst);
    (void)printf("%s_retracted %.4f tasks\n", name, retracted / (double)seeds);
    (void)fflush(stdout);
    free(lengths_us);
}

/* CPU time of the core, the simulated workers and the messages together: what the core takes alone is less. */
static void
mixed(void)
{
    static struct cluster c;
    static const struct cluster_job jobs[] = {
        {.amount = {10000, 2500}, .policy = HQ_POLICY_COMPACT},
        {.amount = {20000, 5000}, .other = {60000, 0}, .policy = HQ_POLICY_TIGHT},
        {.amount = {40000, 0}, .policy = HQ_POLICY_FORCE_COMPACT},
        {.amount = {10000, 15000}, .other = {80000, 0}, .policy = HQ_POLICY_SCATTER},
        {.amount = {5000, 0}, .policy = HQ_POLICY_COMPACT},
        {.amount = {30000, 7500}, .policy = HQ_POLICY_FORCE_TIGHT},
    };
    cluster_init(&c, ROUND_TRIP_US);
    for (uint32_t i = 0; i < 64; i++) {
        cluster_add_worker(&c, (const int64_t[CLUSTER_RES]){128 * 10000, 8 * 10000});
    }
    cluster_run(&c, SECOND_US, 0);
    clock_t begin = clock();
    uint64_t tasks = 0;
    for (size_t i = 0; i < HQ_ARRAY_LEN(jobs); i++) {
        struct cluster_job job = jobs[i];
        job.count = 200000;
        job.length_us = 10000;
        tasks += job.count;
        (void)cluster_submit(&c, &job);
    }
    for (uint32_t id = 1; id <= c.job_count; id++) {
        cluster_run(&c, END_US, id);
    }
    (void)printf("flow_mixed_requests %.0f tasks/s\n", (double)tasks / ((double)(clock() - begin) / CLOCKS_PER_SEC));
    (void)fflush(stdout);
    cluster_fini(&c);
}

void
flow_run(void)
{
    mixed();
    utilisation("flow_utilisation_100ms", 64, 128, 100000, 100);
    utilisation("flow_utilisation_10ms", 64, 128, 10000, 200);
    tail("flow_tail_1ms", 10, 1000, 100);
    tail("flow_tail_10ms", 10, 10000, 40);
    tail("flow_tail_100ms", 10, 100000, 20);
    tail("flow_tail_1s", 10, 1000000, 10);
}
