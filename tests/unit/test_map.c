/* The hash map against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/map.h"
#include "common/rng.h"

#define KEYS 400

static void
check_all(const struct hq_map *m, const uint64_t *keys, const bool *is_in, const uint64_t *values)
{
    size_t inside = 0;
    for (size_t i = 0; i < KEYS; i++) {
        const uint64_t *p = hq_map_find(m, keys[i]);
        assert_int_equal(p != NULL, is_in[i]);
        assert_true(p == NULL || *p == values[i]);
        assert_true(hq_map_get(m, keys[i], 12345) == (is_in[i] ? values[i] : 12345));
        inside += is_in[i];
    }
    assert_int_equal(m->count, inside);
    uint64_t key, value;
    size_t seen = 0;
    for (size_t it = 0; hq_map_next(m, &it, &key, &value);) {
        size_t i = 0;
        while (i < KEYS && keys[i] != key) {
            i++;
        }
        assert_true(i < KEYS && is_in[i] && values[i] == value);
        seen++;
    }
    assert_int_equal(seen, inside);
}

static void
test_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        uint64_t keys[KEYS];
        uint64_t values[KEYS] = {0};
        bool is_in[KEYS] = {false};
        struct hq_rng rng;
        struct hq_map m;
        hq_rng_init(&rng, seed);
        hq_map_init(&m, seed * UINT64_C(0x123456789abcdef1));
        for (size_t i = 0; i < KEYS; i++) {
            /* neighbours, multiples of a large power of two, the ends of the range, and the seed itself */
            keys[i] = i < 100    ? i
                      : i < 200  ? (uint64_t)i << 40
                      : i == 200 ? UINT64_MAX
                      : i == 201 ? m.seed + 500
                                 : hq_rng_u64(&rng);
        }
        for (int step = 0; step < 20000; step++) {
            size_t i = hq_rng_below(&rng, KEYS);
            if (hq_rng_below(&rng, 5) < 3) {
                values[i] = hq_rng_u64(&rng);
                is_in[i] = true;
                hq_map_set(&m, keys[i], values[i]);
            } else {
                assert_int_equal(hq_map_del(&m, keys[i]), is_in[i]);
                is_in[i] = false;
            }
            if (step % 500 == 0) {
                check_all(&m, keys, is_in, values);
            }
        }
        check_all(&m, keys, is_in, values);
        hq_map_set(&m, keys[5], 0);
        *hq_map_find(&m, keys[5]) = 1; /* values may be changed in place */
        assert_true(hq_map_get(&m, keys[5], 0) == 1);
        hq_map_clear(&m);
        for (size_t i = 0; i < KEYS; i++) {
            is_in[i] = false;
        }
        check_all(&m, keys, is_in, values);
        hq_map_fini(&m);
        assert_null(hq_map_find(&m, 1));
        assert_false(hq_map_del(&m, 1));
    }
}

static void
test_pointers(void **state)
{
    (void)state;
    struct hq_map m;
    int x;
    hq_map_init(&m, 9);
    assert_null(hq_map_get_ptr(&m, 1));
    hq_map_set_ptr(&m, hq_map_key2(7, 3), &x);
    assert_ptr_equal(hq_map_get_ptr(&m, (UINT64_C(7) << 32) + 3), &x);
    assert_null(hq_map_get_ptr(&m, hq_map_key2(3, 7)));
    hq_map_set_ptr(&m, 0, &x);
    assert_ptr_equal(hq_map_get_ptr(&m, 0), &x);
    hq_map_reserve(&m, 1000);
    size_t slots = m.mask;
    for (uint64_t i = 0; i < 1000; i++) {
        hq_map_set(&m, i, i);
    }
    assert_int_equal(m.mask, slots); /* reserved means no growth */
    assert_int_equal(m.count, 1001);
    hq_map_fini(&m);
}

/* Keys in steps of a table's size must not pile up in one place. */
static void
test_spread(void **state)
{
    (void)state;
    struct hq_map m;
    hq_map_init(&m, 77);
    for (uint64_t i = 1; i <= 100000; i++) {
        hq_map_set(&m, i << 20, i);
    }
    size_t run = 0;
    size_t longest = 0;
    for (size_t i = 0; i <= m.mask; i++) {
        run = m.v[i].key != 0 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    assert_true(longest < 500);
    hq_map_fini(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
