/* The generator: the same numbers everywhere, within bounds, evenly spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/rng.h"

static void
test_fixed_numbers(void **state)
{
    (void)state;
    /* xoshiro256** from splitmix64(0): computed independently */
    static const uint64_t want[] = {UINT64_C(0x99ec5f36cb75f2b4), UINT64_C(0xbf6e1f784956452a),
                                    UINT64_C(0x1a5f849d4933e6e0), UINT64_C(0x6aa594f1262d2d2c)};
    struct hq_rng r;
    hq_rng_init(&r, 0);
    for (size_t i = 0; i < HQ_ARRAY_LEN(want); i++) {
        assert_true(hq_rng_u64(&r) == want[i]);
    }
}

static void
test_bounds(void **state)
{
    (void)state;
    struct hq_rng r;
    hq_rng_init(&r, 1);
    size_t counts[10] = {0};
    for (int i = 0; i < 100000; i++) {
        counts[hq_rng_below(&r, 10)]++;
        int64_t v = hq_rng_between(&r, -3, 3);
        assert_true(v >= -3 && v <= 3);
        double f = hq_rng_f64(&r);
        assert_true(f >= 0.0 && f < 1.0);
        hq_ms j = hq_rng_jitter(&r, 1000, 20);
        assert_true(j >= 800 && j <= 1200);
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(counts); i++) {
        assert_true(counts[i] > 9500 && counts[i] < 10500);
    }
    assert_int_equal(hq_rng_below(&r, 1), 0);
    assert_true(hq_rng_between(&r, 5, 5) == 5);
    (void)hq_rng_between(&r, INT64_MIN, INT64_MAX);
    assert_true(hq_rng_jitter(&r, 0, 50) == 0);
    assert_true(hq_rng_jitter(&r, INT64_MAX / 2, 100) >= 0);
}

static void
test_chance(void **state)
{
    (void)state;
    struct hq_rng r;
    hq_rng_init(&r, 2);
    size_t hits = 0;
    for (int i = 0; i < 100000; i++) {
        hits += hq_rng_chance(&r, 1, 4);
        assert_false(hq_rng_chance(&r, 0, 3));
        assert_true(hq_rng_chance(&r, 3, 3));
    }
    assert_true(hits > 24000 && hits < 26000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_numbers),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
