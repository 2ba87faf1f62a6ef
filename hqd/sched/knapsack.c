#include "hqd/sched/knapsack.h"

#include <string.h>

#define NOTHING 1e-12 /* relative: sums in another order differ by less */

static bool
goes_before(const struct knapsack_item *a, const struct knapsack_item *b)
{
    double x = a->value * b->size;
    double y = b->value * a->size;
    if (x > y * (1 + NOTHING) || y > x * (1 + NOTHING)) {
        return x > y;
    }
    return a->size > b->size; /* what is left over takes the small ones */
}

/* Few, and mostly in order already: by insertion, which keeps the caller's order among equals. */
static void
sort_items(struct knapsack *k)
{
    for (uint32_t i = 1; i < k->item_count; i++) {
        if (!goes_before(&k->items[i], &k->items[i - 1])) {
            continue;
        }
        struct knapsack_item it = k->items[i];
        uint32_t at = i;
        for (; at > 0 && goes_before(&it, &k->items[at - 1]); at--) {
            k->items[at] = k->items[at - 1];
        }
        k->items[at] = it;
    }
}

static void
look_ahead(struct knapsack *k)
{
    uint32_t n = k->item_count;
    k->rest_density[n] = k->rest_value[n] = 0;
    k->rest_res[n] = 0;
    for (uint32_t r = 0; r < k->res_count; r++) {
        k->rest_per_unit[n][r] = 0;
    }
    for (uint32_t i = n; i-- > 0;) {
        const struct knapsack_item *it = &k->items[i];
        k->rest_density[i] = it->value / it->size;
        k->rest_value[i] = k->rest_value[i + 1] + it->value * it->cap;
        k->rest_res[i] = k->rest_res[i + 1];
        for (uint32_t r = 0; r < k->res_count; r++) {
            double behind = k->rest_per_unit[i + 1][r];
            double here = it->amount[r] > 0 ? it->value / (double)it->amount[r] : -1;
            k->rest_per_unit[i][r] = here < 0 || behind < 0 ? -1 : HQ_MAX(here, behind);
            k->rest_res[i] |= it->amount[r] > 0 ? 1u << r : 0;
        }
    }
}

/* The most that items from `at` on can add to what is free now: as if they could be cut, and used all resources evenly. */
static double
even_bound(const struct knapsack *k, uint32_t at)
{
    double size = 0;
    for (uint32_t r = 0; r < k->res_count; r++) {
        size += (k->rest_res[at] >> r & 1u) != 0 ? (double)k->free[r] * k->share[r] : 0;
    }
    return size * k->rest_density[at];
}

/* The same, and for each resource that all of them need: as if nothing else limited them. */
static double
bound_of(const struct knapsack *k, uint32_t at)
{
    double bound = HQ_MIN(k->rest_value[at], even_bound(k, at));
    for (uint32_t r = 0; r < k->res_count; r++) {
        if ((k->rest_res[at] >> r & 1u) != 0 && k->rest_per_unit[at][r] >= 0) {
            bound = HQ_MIN(bound, (double)k->free[r] * k->rest_per_unit[at][r]);
        }
    }
    return bound;
}

static uint32_t
most_of(const struct knapsack *k, const struct knapsack_item *it)
{
    uint32_t most = HQ_MIN(it->cap, k->left[it->cls]);
    for (uint32_t r = 0; r < k->res_count && most > 0; r++) {
        if (it->amount[r] > 0 && (int64_t)most * it->amount[r] > k->free[r]) {
            most = (uint32_t)(k->free[r] / it->amount[r]);
        }
    }
    return most;
}

static void
take(struct knapsack *k, uint32_t at, int64_t n)
{
    const struct knapsack_item *it = &k->items[at];
    k->left[it->cls] -= (uint32_t)n;
    k->n[at] += (uint32_t)n;
    for (uint32_t r = 0; r < k->res_count; r++) {
        k->free[r] -= n * it->amount[r];
    }
}

static bool
is_better(const struct knapsack *k, double value)
{
    return value > k->best_value * (1 + NOTHING) + NOTHING * k->bound;
}

static void
search(struct knapsack *k, uint32_t at, double value)
{
    if (is_better(k, value)) {
        k->best_value = value;
        memcpy(k->best, k->n, k->item_count * sizeof(k->n[0]));
    }
    uint32_t most = 0;
    while (at < k->item_count && most == 0) { /* over what has no room */
        most = most_of(k, &k->items[at++]);
    }
    if (most == 0) {
        return;
    }
    at--;
    take(k, at, most);
    for (uint32_t n = most;; n--) {
        double with = value + n * k->items[at].value;
        /* Fewer of this one never leave more hope for the next ones by the even bound: items are sorted. */
        bool is_over = k->nodes >= k->nodes_max || !is_better(k, with + even_bound(k, at + 1));
        if (is_better(k, with) || (!is_over && is_better(k, with + bound_of(k, at + 1)))) {
            k->nodes++;
            search(k, at + 1, with);
        }
        if (is_over) {
            take(k, at, -(int64_t)n);
            return;
        }
        if (n == 0) {
            return;
        }
        take(k, at, -1);
    }
}

double
knapsack_bound(struct knapsack *k)
{
    sort_items(k);
    look_ahead(k);
    return bound_of(k, 0);
}

void
knapsack_solve(struct knapsack *k)
{
    k->bound = knapsack_bound(k);
    k->best_value = 0;
    k->nodes = 0;
    memset(k->best, 0, sizeof(k->best));
    memset(k->n, 0, sizeof(k->n));
    search(k, 0, 0);
}
