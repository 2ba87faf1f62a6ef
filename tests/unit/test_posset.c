/* Sets of positions as ranges. */
#include "hqd/core/posset.h"

#include "common/rng.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
expect(const struct posset *s, const char *text)
{
    struct hq_buf got = HQ_BUF_INIT;
    for (uint32_t i = 0; i < s->count; i++) {
        hq_buf_printf(&got, "%s%u+%u", i == 0 ? "" : " ", posset_range(s, i)->first, posset_range(s, i)->count);
    }
    assert_string_equal(got.ptr == NULL ? "" : got.ptr, text);
    hq_buf_fini(&got);
}

static void
joins_neighbours(void **state)
{
    (void)state;
    struct posset s = {0};
    posset_add(&s, 10, 5);
    posset_add(&s, 20, 5);
    posset_add(&s, 0, 0);
    expect(&s, "10+5 20+5");
    posset_add(&s, 15, 5);
    expect(&s, "10+15");
    posset_add(&s, 5, 5);
    posset_add(&s, 25, 1);
    expect(&s, "5+21");
    assert_int_equal(s.size, 21);
    posset_fini(&s);
    assert_int_equal(s.size, 0);
}

static void
takes_away(void **state)
{
    (void)state;
    struct posset s = {0};
    posset_add(&s, 0, 100);
    assert_int_equal(posset_remove(&s, 0, 10), 10);
    assert_int_equal(posset_remove(&s, 50, 10), 10);
    expect(&s, "10+40 60+40");
    assert_int_equal(posset_remove(&s, 45, 20), 10);
    expect(&s, "10+35 65+35");
    assert_int_equal(posset_remove(&s, 200, 5), 0);
    assert_int_equal(posset_remove(&s, 0, 1000), 70);
    assert_int_equal(s.size, 0);
    assert_int_equal(s.count, 0);
    posset_add(&s, UINT32_MAX - 4, 4);
    assert_int_equal(posset_remove(&s, UINT32_MAX - 2, 2), 2);
    expect(&s, "4294967291+2");
    posset_fini(&s);
}

static void
agrees_with_a_table(void **state)
{
    (void)state;
    struct hq_rng rng;
    bool has[400] = {false};
    struct posset s = {0};
    hq_rng_init(&rng, 7);
    for (int round = 0; round < 20000; round++) {
        uint32_t first = (uint32_t)hq_rng_below(&rng, 390);
        uint32_t count = 1 + (uint32_t)hq_rng_below(&rng, 9);
        bool is_clear = true;
        uint32_t present = 0;
        for (uint32_t i = first; i < first + count; i++) {
            is_clear = is_clear && !has[i];
            present += has[i];
        }
        if (is_clear && hq_rng_chance(&rng, 2, 3)) {
            posset_add(&s, first, count);
            for (uint32_t i = first; i < first + count; i++) {
                has[i] = true;
            }
        } else {
            assert_int_equal(posset_remove(&s, first, count), present);
            for (uint32_t i = first; i < first + count; i++) {
                has[i] = false;
            }
        }
        uint32_t size = 0;
        for (uint32_t i = 0; i < 400; i++) {
            assert_int_equal(posset_has(&s, i), has[i]);
            size += has[i];
        }
        assert_int_equal(s.size, size);
        for (uint32_t i = 1; i < s.count; i++) { /* apart and in order */
            assert_true(posset_range(&s, i - 1)->first + posset_range(&s, i - 1)->count < posset_range(&s, i)->first);
        }
    }
    posset_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_neighbours),
        cmocka_unit_test(takes_away),
        cmocka_unit_test(agrees_with_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
