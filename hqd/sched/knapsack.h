/* knapsack.h - what a worker makes the most of: how many tasks of which request, so that they fit and their value is largest.
 *
 * Purpose    branch and bound over a few requests. The first answer is that of filling by value for size, largest first;
 *            every further one is better.
 * Ownership  the caller's struct; nothing is allocated.
 * Units      values are doubles in any unit; amounts in 1/10000; sizes are shares of the cluster.
 * Cost       bounded by `nodes_max`: about 30 ns each.
 * Limits     KNAPSACK_ITEMS_MAX requests, KNAPSACK_RES_MAX resources: callers leave out what is more.
 */
#ifndef HQ_HQD_SCHED_KNAPSACK_H
#define HQ_HQD_SCHED_KNAPSACK_H

#include "common/base.h"
#include "common/id.h"

#define KNAPSACK_ITEMS_MAX 32u
#define KNAPSACK_RES_MAX 8u
#define KNAPSACK_CLASSES_MAX 32u

struct knapsack_item {
    double value; /* of one task; not above 0: left out */
    double size;  /* of one task: sum of share x amount; above 0 */
    uint32_t cap; /* at most that many */
    uint32_t cls; /* items of one class share knapsack.left[cls] */
    uint32_t tag; /* the caller's */
    int64_t amount[KNAPSACK_RES_MAX];
};

struct knapsack {
    /* in */
    struct knapsack_item items[KNAPSACK_ITEMS_MAX];
    uint32_t item_count;
    uint32_t res_count;
    int64_t free[KNAPSACK_RES_MAX];
    double share[KNAPSACK_RES_MAX]; /* size of one unit */
    uint32_t left[KNAPSACK_CLASSES_MAX];
    uint32_t nodes_max;
    /* out */
    uint32_t best[KNAPSACK_ITEMS_MAX]; /* by place in `items`, which are sorted now */
    double best_value;
    double bound; /* nothing is better than that */
    uint32_t nodes;
    /* scratch: what items from this one on can reach */
    uint32_t n[KNAPSACK_ITEMS_MAX];
    double rest_density[KNAPSACK_ITEMS_MAX + 1];
    double rest_value[KNAPSACK_ITEMS_MAX + 1];
    double rest_per_unit[KNAPSACK_ITEMS_MAX + 1][KNAPSACK_RES_MAX]; /* < 0: some item does without it */
    uint32_t rest_res[KNAPSACK_ITEMS_MAX + 1];                      /* bits: used by some item */
};

/* Nothing is better than that; much cheaper. */
double knapsack_bound(struct knapsack *k);
void knapsack_solve(struct knapsack *k);

#endif
