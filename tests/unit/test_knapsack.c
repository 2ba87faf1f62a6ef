/* The best mix for one worker: what bounded search finds is what trying everything finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"
#include "hqd/sched/knapsack.h"

static double
try_all(struct knapsack *k, uint32_t at)
{
    if (at == k->item_count) {
        return 0;
    }
    const struct knapsack_item *it = &k->items[at];
    double best = try_all(k, at + 1);
    uint32_t n = 0;
    for (bool has_room = true; has_room && n < it->cap && k->left[it->cls] > 0;) {
        for (uint32_t r = 0; r < k->res_count; r++) {
            has_room = has_room && k->free[r] >= it->amount[r];
        }
        if (has_room) {
            n++;
            k->left[it->cls]--;
            for (uint32_t r = 0; r < k->res_count; r++) {
                k->free[r] -= it->amount[r];
            }
            best = HQ_MAX(best, n * it->value + try_all(k, at + 1));
        }
    }
    k->left[it->cls] += n;
    for (uint32_t r = 0; r < k->res_count; r++) {
        k->free[r] += n * it->amount[r];
    }
    return best;
}

static void
make(struct knapsack *k, struct hq_rng *rng)
{
    memset(k, 0, sizeof(*k));
    k->res_count = 1 + (uint32_t)hq_rng_below(rng, 3);
    k->item_count = 1 + (uint32_t)hq_rng_below(rng, 6);
    k->nodes_max = 1000000;
    for (uint32_t r = 0; r < k->res_count; r++) {
        k->free[r] = (int64_t)hq_rng_below(rng, 200000);
        k->share[r] = 1.0 / (double)hq_rng_between(rng, 100000, 1000000);
    }
    for (uint32_t i = 0; i < k->item_count; i++) {
        struct knapsack_item *it = &k->items[i];
        it->tag = i;
        it->cls = (uint32_t)hq_rng_below(rng, 4);
        it->cap = 1 + (uint32_t)hq_rng_below(rng, 6);
        it->amount[hq_rng_below(rng, k->res_count)] = 10000 * hq_rng_between(rng, 1, 9);
        for (uint32_t r = 0; r < k->res_count; r++) {
            it->amount[r] += hq_rng_below(rng, 2) == 0 ? 2500 * hq_rng_between(rng, 1, 12) : 0;
            it->size += (double)it->amount[r] * k->share[r];
        }
        it->value = it->size * (double)hq_rng_between(rng, 5, 20);
    }
    for (uint32_t c = 0; c < 4; c++) {
        k->left[c] = (uint32_t)hq_rng_below(rng, 8);
    }
}

static void
check(const struct knapsack *k, const struct knapsack *before)
{
    double value = 0;
    uint32_t of_class[KNAPSACK_CLASSES_MAX] = {0};
    for (uint32_t r = 0; r < k->res_count; r++) {
        int64_t used = 0;
        for (uint32_t i = 0; i < k->item_count; i++) {
            used += k->best[i] * k->items[i].amount[r];
        }
        assert_true(used <= before->free[r]);
        assert_int_equal(k->free[r], before->free[r]); /* given back */
    }
    for (uint32_t i = 0; i < k->item_count; i++) {
        assert_true(k->best[i] <= k->items[i].cap);
        of_class[k->items[i].cls] += k->best[i];
        value += k->best[i] * k->items[i].value;
    }
    for (uint32_t c = 0; c < 4; c++) {
        assert_true(of_class[c] <= before->left[c]);
    }
    assert_true(value >= k->best_value * 0.999999 && value <= k->best_value * 1.000001);
    assert_true(k->best_value <= k->bound * 1.000001);
}

static void
same_as_trying_everything(void **state)
{
    (void)state;
    struct hq_rng rng;
    hq_rng_init(&rng, 1);
    for (int i = 0; i < 3000; i++) {
        struct knapsack k;
        make(&k, &rng);
        struct knapsack before = k;
        double best = try_all(&k, 0);
        k = before;
        knapsack_solve(&k);
        check(&k, &before);
        assert_true(k.best_value >= best * 0.999999 && k.best_value <= best * 1.000001);
    }
}

/* Without effort it is still a filling by value for size that leaves no room for the best item. */
static void
bounded_effort(void **state)
{
    (void)state;
    struct hq_rng rng;
    hq_rng_init(&rng, 2);
    for (int i = 0; i < 3000; i++) {
        struct knapsack k;
        make(&k, &rng);
        k.nodes_max = 1;
        struct knapsack before = k;
        double best = try_all(&k, 0);
        k = before;
        knapsack_solve(&k);
        check(&k, &before);
        assert_true(k.nodes <= 1 + KNAPSACK_ITEMS_MAX);
        assert_true((k.best_value > 0) == (best > 0));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_trying_everything),
        cmocka_unit_test(bounded_effort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
