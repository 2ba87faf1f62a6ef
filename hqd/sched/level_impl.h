/* level_impl.h - inside of level.c, level_again.c and level_above.c only. */
#ifndef HQ_HQD_SCHED_LEVEL_IMPL_H
#define HQ_HQD_SCHED_LEVEL_IMPL_H

#include "common/rng.h"
#include "hqd/sched/knapsack.h"
#include "hqd/sched/level.h"

#define FIRST_NODES 200u       /* of them at one worker's first choice */
#define AGAIN_NODES 60u        /* and at a later one */
#define GOOD_ENOUGH 0.999      /* of what can't be had anyway */
#define ROUNDS_MAX 600u
#define LEVEL_SCALE 300.0
#define NOTHING 1e-11          /* relative: sums in another order differ by less */
#define SIDEWAYS_ROWS_MAX 32u  /* with so few workers what is as good is taken too: a way to what is better */
#define CHOICE_NODES 4u        /* what it costs to set up one choice */
#define BENT_CAP_MAX 16u
#define TOGETHER_MAX 4u /* workers that choose again at a time */

struct item {
    struct cls *cls;
    uint32_t cls_ix;
    uint32_t variant;
    bool is_all;
    double scale; /* weight; many times more for each level above the lowest one */
    double value; /* unless is_all */
    double size;
    int64_t amount[KNAPSACK_RES_MAX]; /* -1: all */
};

struct row { /* a worker that can run something */
    struct worker *w;
    size_t worker_ix; /* in the pass */
    uint32_t *cap; /* by item: as many fit when nothing else is given */
    uint32_t *n;   /* given now */
    double value;
    double room; /* value if it could be filled evenly */
};

struct bend { /* what makes a worker choose otherwise */
    double factor; /* on the value */
    uint32_t cap;
};

struct level {
    struct pass *p;
    struct item *items;
    uint32_t item_count;
    uint32_t own_from; /* items before this one are of higher levels: all their tasks are placed and may only move */
    uint32_t cls_count;
    struct cls *classes[KNAPSACK_CLASSES_MAX];
    uint64_t left[KNAPSACK_CLASSES_MAX];
    uint64_t all[KNAPSACK_CLASSES_MAX]; /* tasks, given or left */
    uint32_t res[KNAPSACK_RES_MAX]; /* of the core, by our number */
    double share[KNAPSACK_RES_MAX];
    uint32_t res_count;
    double weight_max;
    struct row *rows;
    size_t row_count;
    double above; /* value of all tasks of higher levels */
    double bound; /* of the rest of the value: nothing is better than that */
    double value;
    struct hq_rng rng;
    struct knapsack k;
};

/* ---- level.c */
/* Adds classes active[from .. to) to the items. */
void level_make_items(struct level *l, uint32_t from, uint32_t to, double scale);
void level_make_rows(struct level *l);
double level_task_value(const struct level *l, const struct row *row, const struct item *it);
/* Share of the cluster that is free on the worker. */
double level_room(const struct level *l, const struct row *row);
/* Steps of search for each of the first choices. */
uint32_t level_first_nodes(const struct level *l);
/* Adds to what the worker has what is best from what is left. bent: by item, or NULL. */
void level_choose(struct level *l, struct row *row, const struct bend *bent, uint32_t nodes_max);
void level_give_up(struct level *l, struct row *row);

/* ---- level_again.c: a few workers choose again, while that helps */
void level_improve(struct level *l);

/* ---- level_above.c: the same with the levels above, whose tasks may move */
void level_plan_below(struct level *l, uint32_t above, uint32_t from, uint32_t to);

#endif
