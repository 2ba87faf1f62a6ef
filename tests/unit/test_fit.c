/* What fits: sums, `all`, time, blocks. */
#include "hqd/sched/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ONE ((int64_t)HQ_AMOUNT_ONE)

static void
counts(void **state)
{
    (void)state;
    static const struct {
        struct need needs[2];
        uint32_t need_count;
        int64_t free[2];
        uint32_t limit;
        uint32_t want;
    } cases[] = {
        {{{.res = 0, .amount = HQ_AMOUNT_ONE}}, 1, {4 * ONE, 0}, 100, 4},
        {{{.res = 0, .amount = HQ_AMOUNT_ONE}}, 1, {4 * ONE, 0}, 3, 3},
        {{{.res = 0, .amount = HQ_AMOUNT_ONE}}, 1, {ONE - 1, 0}, 100, 0},
        {{{.res = 0, .amount = HQ_AMOUNT_ONE}}, 1, {-ONE, 0}, 100, 0},
        {{{.res = 0, .amount = HQ_AMOUNT_ONE / 2}}, 1, {4 * ONE, 0}, 100, 8},
        {{{.res = 0, .amount = 3 * HQ_AMOUNT_ONE}}, 1, {8 * ONE, 0}, 100, 2},
        {{{.res = 0, .amount = 1}}, 1, {8 * ONE, 0}, UINT32_MAX, 80000},
        {{{.res = 0, .amount = HQ_AMOUNT_ONE}, {.res = 1, .amount = 2 * HQ_AMOUNT_ONE}}, 2, {8 * ONE, 5 * ONE}, 100, 2},
        {{{.res = 0, .amount = HQ_AMOUNT_ONE}, {.res = 1, .amount = HQ_AMOUNT_ONE}}, 2, {8 * ONE, 0}, 100, 0},
        {{{.res = RES_NONE, .amount = HQ_AMOUNT_ONE}}, 1, {8 * ONE, 8 * ONE}, 100, 0},
        {{{.res = 7, .amount = HQ_AMOUNT_ONE}}, 1, {8 * ONE, 8 * ONE}, 100, 0}, /* joined after the worker */
        {{{.res = 0, .is_all = true}}, 1, {8 * ONE, 0}, 100, 1},
        {{{.res = 0, .is_all = true}}, 1, {8 * ONE - 1, 0}, 100, 0},
        {{{.res = 1, .is_all = true}}, 1, {8 * ONE, 0}, 100, 0}, /* none of it at all */
        {{{0}}, 0, {0, 0}, 5, 5},
        {{{0}}, 0, {0, 0}, UINT32_MAX, FIT_UNBOUNDED},
    };
    const int64_t total[2] = {8 * ONE, 0};
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct need needs[2] = {cases[i].needs[0], cases[i].needs[1]};
        struct cls_variant v = {.needs = needs, .need_count = cases[i].need_count};
        uint32_t got = fit_count(&v, cases[i].free, total, 2, cases[i].limit);
        if (got != cases[i].want) {
            fail_msg("case %zu: %u instead of %u", i, got, cases[i].want);
        }
    }
}

static void
books_and_gives_back(void **state)
{
    (void)state;
    struct need needs[2] = {{.res = 0, .amount = 5000}, {.res = 1, .is_all = true}};
    struct cls_variant v = {.needs = needs, .need_count = 2};
    int64_t total[2] = {8 * ONE, 3 * ONE};
    int64_t free_now[2] = {8 * ONE, 3 * ONE};
    fit_book(&v, free_now, total, 2, 1);
    assert_int_equal(free_now[0], 8 * ONE - 5000);
    assert_int_equal(free_now[1], 0);
    fit_book(&v, free_now, total, 2, -1);
    assert_int_equal(free_now[0], 8 * ONE);
    assert_int_equal(free_now[1], 3 * ONE);
}

static void
time_left(void **state)
{
    (void)state;
    static const struct {
        hq_ms limit_ms; /* of a worker that registered at 1000 */
        hq_ms min_time_ms;
        hq_wall_ms now_ms;
        bool fits;
    } cases[] = {
        {0, 1000000, 5000, true},                          /* no limit */
        {1000, 0, 1500, true},    {1000, 500, 1500, true}, /* equality passes */
        {1000, 501, 1500, false}, {1000, 1, 2001, false},  {1000, INT64_MAX, 1500, false},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct worker w = {.registered_ms = 1000, .config.time_limit_ms = cases[i].limit_ms};
        struct cls_variant v = {.min_time_ms = cases[i].min_time_ms};
        assert_int_equal(fit_time(&v, &w, cases[i].now_ms), cases[i].fits);
    }
}

static void
blocks(void **state)
{
    (void)state;
    struct cls a = {.id = 1};
    struct cls b = {.id = 2};
    struct worker_block v[] = {{.cls = &a, .variant = 1}};
    struct worker w = {.blocks = v, .block_count = 1};
    assert_true(fit_is_blocked(&w, &a, 1));
    assert_false(fit_is_blocked(&w, &a, 0));
    assert_false(fit_is_blocked(&w, &b, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(books_and_gives_back),
        cmocka_unit_test(time_left),
        cmocka_unit_test(blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
