/* mix.h - a random scheduling problem: workers with what is free on them, classes of tasks that want it.
 *
 * Purpose    one problem for four who solve it: the product's scheduler, first-fit, an exact solver, and who counts.
 * Units      amounts and weights in 1/10000; values are shares of the free cluster (spec of the objective: the sum over
 *            placements of amount / what is free of it in the whole cluster, times the weight).
 */
#ifndef HQ_TESTS_SIM_QUALITY_MIX_H
#define HQ_TESTS_SIM_QUALITY_MIX_H

#include "common/base.h"
#include "common/rng.h"

#define MIX_RES 3u /* cpus, gpus, mem */
#define MIX_WORKERS_MAX 100u
#define MIX_CLASSES_MAX 20u
#define MIX_VARIANTS_MAX 3u
#define MIX_ALL (-1)

struct mix_worker {
    int64_t total[MIX_RES];
    int64_t free[MIX_RES];
    int64_t life_ms; /* 0 = no end */
};

struct mix_variant {
    int64_t amount[MIX_RES]; /* 0 = not asked for; MIX_ALL */
    int64_t weight;
    int64_t min_time_ms;
};

struct mix_class {
    uint32_t count;
    int32_t priority;
    uint32_t variant_count;
    struct mix_variant variants[MIX_VARIANTS_MAX];
};

struct mix {
    uint32_t worker_count;
    uint32_t class_count;
    struct mix_worker workers[MIX_WORKERS_MAX];
    struct mix_class classes[MIX_CLASSES_MAX]; /* by priority, then age */
    double free_sum[MIX_RES];
};

/* Tasks of a class and variant on each worker. */
struct mix_plan {
    uint32_t n[MIX_WORKERS_MAX][MIX_CLASSES_MAX][MIX_VARIANTS_MAX];
};

enum mix_family {
    MIX_CPUS = 0, /* one resource, requests that leave holes */
    MIX_GPUS,     /* two resources, fractions */
    MIX_MEM,      /* three resources */
    MIX_VARIANTS, /* alternatives */
    MIX_WEIGHTS,  /* one resource, weights from 0.5 to 2 */
    MIX_BUSY,     /* workers partly in use, requests of everything, lives that end */
    MIX_LEVELS,   /* a higher priority that fits, a lower one that competes for the rest */
    MIX_LARGE,    /* 40 to 100 workers, 20 classes */
    MIX_FAMILIES,
};

const char *mix_family_name(enum mix_family family);
void mix_make(struct mix *m, enum mix_family family, uint64_t seed);
/* Share of the free cluster that one such task takes on the worker, times its weight. */
double mix_value(const struct mix *m, uint32_t worker, const struct mix_variant *v);
/* What one task takes of a resource there. */
int64_t mix_amount(const struct mix *m, uint32_t worker, const struct mix_variant *v, uint32_t res);
/* The most tasks of it that fit what is free of the worker. */
uint32_t mix_fit(const struct mix *m, uint32_t worker, const struct mix_variant *v, const int64_t *free);
/* Sum of the values of classes of that priority. */
double mix_plan_value(const struct mix *m, const struct mix_plan *p, int32_t priority);
/* NULL, or what is wrong with the plan. */
const char *mix_plan_check(const struct mix *m, const struct mix_plan *p);

/* ---- who solves it */
/* The product: a real core, one pass; its CPU time in us. */
double mix_solve_hq(const struct mix *m, struct mix_plan *ret);
/* Tasks by priority and age, each on the first worker that has room. */
void mix_solve_first_fit(const struct mix *m, struct mix_plan *ret);
/* The best that can be had of that priority when classes above it keep `above` tasks (NULL = all that they have are
 * placed). An upper bound when the solver ran out of time: then false. */
bool mix_solve_exact(const struct mix *m, int32_t priority, bool is_above_full, int limit_ms, double *ret_value);

#endif
