#include "tests/sim/cluster/graphs.h"

#include "common/mem.h"
#include "tests/sim/cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUND_TRIP_US 1000
#define END_US (100000 * (int64_t)1000000)
#define TASKS_MAX 2000u
#define DEPS_MAX 4u
/* Ours knows no lengths before they are measured: it is list scheduling in the order of ids, within (2 - 1/cores) of the
 * optimum; these are what it reaches. */
#define MEDIAN_MAX 1.25
#define WORST_MAX 2.0

struct graph {
    uint32_t count;
    uint32_t cores;
    uint32_t workers;
    int64_t lengths_us[TASKS_MAX];
    uint32_t dep_count[TASKS_MAX];
    uint32_t deps[TASKS_MAX * DEPS_MAX];
    size_t dep_total;
    double b_level[TASKS_MAX]; /* longest way from its start to the end */
    double bound_us;
};

static void
make(struct graph *g, uint64_t seed)
{
    struct hq_rng rng;
    hq_rng_init(&rng, seed);
    *g = (struct graph){.count = 200 + (uint32_t)hq_rng_below(&rng, TASKS_MAX - 200)};
    g->workers = 1 + (uint32_t)hq_rng_below(&rng, 8);
    g->cores = g->workers * (2 + (uint32_t)hq_rng_below(&rng, 15));
    uint32_t width = 4 + (uint32_t)hq_rng_below(&rng, 8 * g->cores); /* how far back a task looks for what it needs */
    double area_us = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        int64_t mean_us = hq_rng_below(&rng, 10) == 0 ? 2000000 : 200000;
        g->lengths_us[i] = mean_us / 10 + (int64_t)hq_rng_below(&rng, (uint64_t)(2 * mean_us));
        area_us += (double)g->lengths_us[i];
        uint32_t n = (uint32_t)hq_rng_below(&rng, DEPS_MAX + 1);
        for (uint32_t k = 0; k < n && i > 0; k++) {
            uint32_t dep = i - 1 - (uint32_t)hq_rng_below(&rng, HQ_MIN(i, width));
            bool is_new = true;
            for (uint32_t j = 0; j < g->dep_count[i]; j++) {
                is_new = is_new && g->deps[g->dep_total - 1 - j] != dep;
            }
            if (is_new) {
                g->deps[g->dep_total++] = dep;
                g->dep_count[i]++;
            }
        }
    }
    size_t at = g->dep_total;
    double longest_us = 0;
    for (uint32_t i = g->count; i-- > 0;) {
        g->b_level[i] += (double)g->lengths_us[i];
        longest_us = HQ_MAX(longest_us, g->b_level[i]);
        for (uint32_t k = 0; k < g->dep_count[i]; k++) {
            uint32_t dep = g->deps[--at];
            g->b_level[dep] = HQ_MAX(g->b_level[dep], g->b_level[i]);
        }
    }
    g->bound_us = HQ_MAX(longest_us, area_us / g->cores);
}

/* List scheduling without any latency: when a core is free it takes the ready task of the largest key. */
static double
list_schedule(const struct graph *g, const double *key)
{
    static int64_t end_us[TASKS_MAX];
    static bool is_started[TASKS_MAX];
    double now_us = 0;
    uint32_t busy = 0;
    uint32_t started = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        is_started[i] = false;
    }
    while (true) {
        while (busy < g->cores) {
            size_t at = 0;
            uint32_t best = UINT32_MAX;
            for (uint32_t i = 0; i < g->count; at += g->dep_count[i], i++) {
                bool is_ready = !is_started[i];
                for (uint32_t k = 0; is_ready && k < g->dep_count[i]; k++) {
                    uint32_t dep = g->deps[at + k];
                    is_ready = is_started[dep] && (double)end_us[dep] <= now_us;
                }
                best = is_ready && (best == UINT32_MAX || key[i] > key[best]) ? i : best;
            }
            if (best == UINT32_MAX) {
                break;
            }
            is_started[best] = true;
            end_us[best] = (int64_t)now_us + g->lengths_us[best];
            busy++;
            started++;
        }
        int64_t next_us = INT64_MAX;
        for (uint32_t i = 0; i < g->count; i++) {
            if (is_started[i] && (double)end_us[i] > now_us) {
                next_us = HQ_MIN(next_us, end_us[i]);
            }
        }
        if (next_us == INT64_MAX) {
            HQ_ASSERT(started == g->count);
            return now_us;
        }
        now_us = (double)next_us;
        busy = 0;
        for (uint32_t i = 0; i < g->count; i++) {
            busy += is_started[i] && (double)end_us[i] > now_us;
        }
    }
}

static double
run_ours(const struct graph *g)
{
    static struct cluster c;
    cluster_init(&c, ROUND_TRIP_US);
    for (uint32_t i = 0; i < g->workers; i++) {
        cluster_add_worker(&c, (const int64_t[CLUSTER_RES]){g->cores / g->workers * 10000, 0});
    }
    cluster_run(&c, 1000000, 0);
    int64_t begin_us = c.now_us;
    struct cluster_job job = {.count = g->count,
                              .amount = {10000, 0},
                              .lengths_us = g->lengths_us,
                              .dep_count = g->dep_count,
                              .deps = g->deps};
    uint32_t id = cluster_submit(&c, &job);
    cluster_run(&c, END_US, id);
    HQ_ASSERT(c.ended[id - 1] == g->count);
    double spent_us = (double)(c.last_end_us[id - 1] - begin_us);
    cluster_fini(&c);
    return spent_us;
}

static int
cmp_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void
print_row(const char *name, double *v, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += v[i];
    }
    qsort(v, n, sizeof(*v), cmp_double);
    (void)printf("| %s | %.3f | %.3f | %.3f | %.3f |\n", name, sum / n, v[n / 2], v[n * 9 / 10], v[n - 1]);
}

uint32_t
graphs_run(uint64_t first_seed, uint32_t seeds)
{
    static struct graph g;
    static double random_key[TASKS_MAX];
    double *ours = hq_xcalloc(seeds, sizeof(*ours));
    double *b_level = hq_xcalloc(seeds, sizeof(*b_level));
    double *at_random = hq_xcalloc(seeds, sizeof(*at_random));
    for (uint32_t s = 0; s < seeds; s++) {
        struct hq_rng rng;
        make(&g, first_seed + s);
        hq_rng_init(&rng, first_seed + s);
        for (uint32_t i = 0; i < g.count; i++) {
            random_key[i] = hq_rng_f64(&rng);
        }
        ours[s] = run_ours(&g) / g.bound_us;
        b_level[s] = list_schedule(&g, g.b_level) / g.bound_us;
        at_random[s] = list_schedule(&g, random_key) / g.bound_us;
    }
    (void)printf("Makespan of %u random graphs, in parts of the larger of critical path and area:\n\n", seeds);
    (void)printf("| scheduler | mean | median | 90 %% | worst |\n|---|---:|---:|---:|---:|\n");
    print_row("hq, lengths unknown, 1 ms round trip", ours, seeds);
    print_row("list by b-level, all lengths known", b_level, seeds);
    print_row("any ready task", at_random, seeds);
    bool is_good = ours[seeds / 2] <= MEDIAN_MAX && ours[seeds - 1] <= WORST_MAX;
    free(ours);
    free(b_level);
    free(at_random);
    return is_good ? 0 : 1;
}
