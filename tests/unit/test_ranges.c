/* Id ranges: grammar, error texts, set operations against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/ranges.h"
#include "common/rng.h"

static void
test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *printed;
        uint64_t size;
        uint32_t first, last_given; /* ids at both ends in the order written */
    } cases[] = {
        {"0", "0", 1, 0, 0},
        {"1-3,7,0-0", "1-3,7,0", 5, 1, 0},
        {"9,1-3", "9,1-3", 4, 9, 3},
        {"0-10:2", "0-10:2", 6, 0, 10},
        {"0-10:2,1-9:2", "0-10:2,1-9:2", 11, 0, 9},
        {"1-10:3,20", "1-10:3,20", 5, 1, 20},
        {" 1 , 2-3\t,\n4 ", "1,2-3,4", 4, 1, 4},
        {"1_000-1___001", "1000-1001", 2, 1000, 1001},
        {"0-4294967294", "0-4294967294", 4294967295, 0, 4294967294},
        {"4294967295", "4294967295", 1, UINT32_MAX, UINT32_MAX},
        {"0-4294967295:4294967295", "0-4294967295:4294967295", 2, 0, UINT32_MAX},
        {"1-4294967295:2,0-4294967294:2", "1-4294967295:2,0-4294967294:2", 4294967296, 1, 4294967294},
        {"5-6:1", "5-6", 2, 5, 6},
        {"3-10:5", "3-8:5", 2, 3, 8}, /* the printed end is an id */
        {"6-9:3,0-4:2", "6-9:3,0-4:2", 5, 6, 4},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        struct hq_err err = {0};
        assert_int_equal(hq_ranges_parse(&r, hq_str_from(cases[i].text), &err), 0);
        hq_ranges_print(&r, &b);
        assert_string_equal(b.ptr, cases[i].printed);
        assert_true(hq_ranges_size(&r) == cases[i].size);
        assert_int_equal(hq_ranges_at(&r, 0), cases[i].first);
        assert_int_equal(hq_ranges_at(&r, cases[i].size - 1), cases[i].last_given);
        assert_int_equal(hq_ranges_check(&r, NULL), 0);
        HQ_AUTO(hq_ranges_fini) struct hq_ranges again = HQ_RANGES_INIT;
        assert_int_equal(hq_ranges_parse(&again, hq_buf_view(&b), NULL), 0);
        assert_int_equal(again.count, r.count);
        assert_memory_equal(again.v, r.v, r.count * sizeof *r.v);
    }
}

#define INVALID(text)                                                                                                  \
    "Unexpected end of input found while attempting to parse Integer range, expected something else:\n  " text         \
    "\n  |\n  --- Invalid range\n"

static void
test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"", "Unexpected end of input found while attempting to parse number, expected something else:\n(the input was "
             "empty)"},
        {"3-1", INVALID("3-1")},
        {"5:2", INVALID("5:2")},
        {"5-5:1", INVALID("5-5:1")},
        {"1-3:0", INVALID("1-3:0")},
        {"1-3:5", INVALID("1-3:5")},
        {"0-4294967295", INVALID("0-4294967295")},
        {"1-2-3",
         "Unexpected token found while attempting to parse Integer range, expected , or : or <end of input> or _:\n"
         "  1-2-3\n     |\n     --- Unexpected token `-`\n"},
        {"0-10,5", "Unexpected end of input found, expected something else:\n  0-10,5\n  |\n  --- Ranges overlap\n"},
        {"1,1", "Unexpected end of input found, expected something else:\n  1,1\n  |\n  --- Ranges overlap\n"},
        {"12-x", "Unexpected token found while attempting to parse number, expected something else:\n"
                 "  12-x\n     |\n     --- Unexpected token `x`\n"},
        {"1,", "Unexpected end of input found while attempting to parse number, expected something else:\n"
               "  1,\n    |\n    --- Unexpected end of input\n"},
        {"1-", "Unexpected end of input found while attempting to parse number, expected something else:\n"
               "  1-\n    |\n    --- Unexpected end of input\n"},
        {"_1", "Unexpected token found while attempting to parse number, expected something else:\n"
               "  _1\n  |\n  --- Unexpected token `_`\n"},
        {"4294967296", "Unexpected end of input found while attempting to parse start, expected something else:\n"
                       "  4294967296\n  |\n  --- Cannot parse as 4-byte unsigned integer\n"},
        {"1-4294967296", "Unexpected end of input found while attempting to parse end, expected something else:\n"
                         "  1-4294967296\n    |\n    --- Cannot parse as 4-byte unsigned integer\n"},
        {"all", "Unexpected token found while attempting to parse number, expected something else:\n"
                "  all\n  |\n  --- Unexpected token `a`\n"},
        {"5x", "Unexpected token found while attempting to parse Integer range, expected , or - or : or <end of input> "
               "or _:\n"
               "  5x\n   |\n   --- Unexpected token `x`\n"},
        {"5 6", "Unexpected token found while attempting to parse Integer range, expected , or <end of input>:\n"
                "  5 6\n    |\n    --- Unexpected token `6`\n"},
        {"7,3-1", "Unexpected end of input found while attempting to parse Integer range, expected something else:\n"
                  "  7,3-1\n    |\n    --- Invalid range\n"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_ranges r = HQ_RANGES_INIT;
        struct hq_err err = {0};
        assert_int_equal(hq_ranges_parse(&r, hq_str_from(cases[i].text), &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
        assert_null(r.v);
    }
}

static void
test_strange_bytes(void **state)
{
    (void)state;
    static const struct hq_str texts[] = {
        {.ptr = "1\0002", .len = 3}, {.ptr = "1,\0", .len = 3},
        {.ptr = "\0", .len = 1},     {.ptr = "1\xff", .len = 2},
        {.ptr = "\xc3", .len = 1},   {.ptr = ",", .len = 1},
        {.ptr = "-", .len = 1},      {.ptr = "1--2", .len = 4},
        {.ptr = "1-2::3", .len = 6}, {.ptr = ",1", .len = 2},
        {.ptr = "1,,2", .len = 4},   {.ptr = "1-2:", .len = 4},
        {.ptr = "+1", .len = 2},     {.ptr = "-1", .len = 2},
        {.ptr = "1 - 2", .len = 5},  {.ptr = "99999999999999999999", .len = 20},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(texts); i++) {
        struct hq_ranges r = HQ_RANGES_INIT;
        struct hq_err err = {0};
        assert_int_equal(hq_ranges_parse(&r, texts[i], &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

static void
test_overlap_of_steps(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_overlap;
    } cases[] = {
        {"0-20:4,2-18:4", false},
        {"0-20:4,1-19:6", false}, /* even against odd */
        {"0-20:4,3-18:5", true},  /* 8 */
        {"0-12:4,3-18:5", true},  /* 8 */
        {"0-4:4,3-18:5", false},  /* 8 lies behind the first */
        {"0-100:7,1-100:11", true},
        {"0-5:5,10-15:5", false},
        {"0-10:5,10-15:5", true},
        {"0-4294967290:10,5-4294967285:10", false},
        {"0-4294967290:10,4294967285", false},
        {"0-4294967290:10,4294967290", true},
        {"1-4294967291:4294967290,0-4294967295:4294967295", false},
        {"3-4294967294:2147483647,0-4294967295:4294967295", false},
        {"0-4294967294:2147483647,2147483647", true},
        {"100,0-98:2,1-99:2", false},
        {"100,0-98:2,1-99:2,55", true},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
        assert_int_equal(hq_ranges_parse(&r, hq_str_from(cases[i].text), NULL), cases[i].is_overlap ? -EINVAL : 0);
    }
}

static void
test_limits(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    for (uint32_t i = 0; i < HQ_RANGES_MAX; i++) {
        hq_buf_printf(&text, "%s%u", i == 0 ? "" : ",", (HQ_RANGES_MAX - i) * 2);
    }
    HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
    struct hq_err err = {0};
    assert_int_equal(hq_ranges_parse(&r, hq_buf_view(&text), &err), 0);
    assert_int_equal(r.count, HQ_RANGES_MAX);
    hq_buf_cstr(&text, ",1");
    HQ_AUTO(hq_ranges_fini) struct hq_ranges none = HQ_RANGES_INIT;
    assert_int_equal(hq_ranges_parse(&none, hq_buf_view(&text), &err), -E2BIG);
    /* many ranges across each other must end in an answer, not in hours of checks */
    hq_buf_clear(&text);
    for (uint32_t i = 0; i < 100000; i++) {
        hq_buf_printf(&text, "%s%u-%u:200000", i == 0 ? "" : ",", 99999 - i, 4000000000u - i);
    }
    assert_int_equal(hq_ranges_parse(&none, hq_buf_view(&text), &err), -E2BIG);
    /* one step, a million singles */
    HQ_AUTO(hq_ranges_fini) struct hq_ranges big = HQ_RANGES_INIT;
    hq_ranges_add(&big, 0, HQ_RANGES_MAX + 1, 2);
    assert_int_equal(hq_ranges_sorted(&none, &big, &err), -E2BIG);
    assert_int_equal(hq_ranges_ascending(&none, &big, &err), 0);
    assert_int_equal(none.count, 1);
}

static void
test_check(void **state)
{
    (void)state;
    static const struct {
        struct hq_range v[3];
        size_t count;
        int rc;
    } cases[] = {
        {{{0, 0, 1}}, 0, 0},
        {{{1, 3, 1}, {5, 1, 1}}, 2, 0},
        {{{5, 1, 1}, {1, 3, 1}}, 2, 0},
        {{{1, 0, 1}}, 1, -EINVAL},
        {{{1, 2, 0}}, 1, -EINVAL},
        {{{UINT32_MAX, 2, 1}}, 1, -EINVAL},
        {{{0, UINT32_MAX, UINT32_MAX}}, 1, -EINVAL},
        {{{0, 2, UINT32_MAX}}, 1, 0},
        {{{1, 3, 1}, {3, 1, 1}}, 2, -EINVAL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_range copy[3];
        memcpy(copy, cases[i].v, sizeof copy);
        struct hq_ranges r = {.v = copy, .count = cases[i].count, .cap = 3};
        assert_int_equal(hq_ranges_check(&r, NULL), cases[i].rc);
    }
}

static void
test_add_merges(void **state)
{
    (void)state;
    HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_ranges_add(&r, 1, 1, 7);
    hq_ranges_add(&r, 2, 1, 1);
    hq_ranges_add(&r, 3, 4, 1);
    hq_ranges_add(&r, 8, 2, 1);
    hq_ranges_add(&r, 10, 2, 5);
    hq_ranges_add(&r, 20, 1, 1);
    hq_ranges_add(&r, 19, 1, 1);
    hq_ranges_add(&r, UINT32_MAX, 1, 1);
    hq_ranges_add(&r, 0, 1, 1); /* does not continue the last id */
    hq_ranges_print(&r, &b);
    assert_string_equal(b.ptr, "1-6,8-9,10-15:5,20,19,4294967295,0");
}

static void
test_runs(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    struct hq_ranges_runs s = {.out = &b};
    static const uint32_t ids[] = {1, 2, 3, 5, 8, 9, UINT32_MAX};
    for (size_t i = 0; i < HQ_ARRAY_LEN(ids); i++) {
        hq_ranges_runs_add(&s, ids[i]);
    }
    hq_ranges_runs_end(&s);
    assert_string_equal(b.ptr, "1-3,5,8-9,4294967295");
    hq_buf_clear(&b);
    s = (struct hq_ranges_runs){.out = &b};
    hq_ranges_runs_end(&s);
    assert_int_equal(b.len, 0);
    hq_ranges_runs_add_run(&s, 0, 9);
    hq_ranges_runs_add_run(&s, 10, 11);
    hq_ranges_runs_add(&s, 13);
    hq_ranges_runs_end(&s);
    assert_string_equal(b.ptr, "0-11,13");
}

static int
by_value(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Random sets against plain arrays of ids: size, order, has, max, overlap, both sorted forms. */
static void
test_model(void **state)
{
    (void)state;
    struct hq_rng rng;
    hq_rng_init(&rng, 42);
    size_t overlaps = 0;
    for (int round = 0; round < 3000; round++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        uint32_t ids[1000];
        size_t count = 0;
        size_t parts = 1 + hq_rng_below(&rng, 4);
        for (size_t i = 0; i < parts; i++) {
            uint32_t first = (uint32_t)hq_rng_below(&rng, 120);
            uint32_t step = 1 + (uint32_t)hq_rng_below(&rng, 9);
            uint32_t n = 1 + (uint32_t)hq_rng_below(&rng, 12);
            hq_buf_printf(&text, i == 0 ? "%u" : ",%u", first);
            if (n > 1) {
                hq_buf_printf(&text, "-%u:%u", first + (n - 1) * step, step);
            }
            for (uint32_t k = 0; k < n; k++) {
                ids[count++] = first + k * step;
            }
        }
        uint32_t sorted[1000];
        memcpy(sorted, ids, count * sizeof *ids);
        qsort(sorted, count, sizeof *sorted, by_value);
        bool is_overlap = false;
        for (size_t i = 1; i < count; i++) {
            is_overlap = is_overlap || sorted[i] == sorted[i - 1];
        }
        HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
        assert_int_equal(hq_ranges_parse(&r, hq_buf_view(&text), NULL), is_overlap ? -EINVAL : 0);
        overlaps += is_overlap;
        if (is_overlap) {
            continue;
        }
        assert_true(hq_ranges_size(&r) == count);
        struct hq_ranges_iter it = hq_ranges_iter(&r);
        uint32_t id, max;
        for (size_t i = 0; i < count; i++) {
            assert_true(hq_ranges_next(&it, &id));
            assert_int_equal(id, ids[i]);
            assert_int_equal(hq_ranges_at(&r, i), ids[i]);
        }
        assert_false(hq_ranges_next(&it, &id));
        assert_true(hq_ranges_max(&r, &max));
        assert_int_equal(max, sorted[count - 1]);
        for (uint32_t probe = 0; probe < 240; probe++) {
            assert_int_equal(hq_ranges_has(&r, probe),
                             bsearch(&probe, sorted, count, sizeof *sorted, by_value) != NULL);
        }
        HQ_AUTO(hq_ranges_fini) struct hq_ranges runs = HQ_RANGES_INIT;
        HQ_AUTO(hq_ranges_fini) struct hq_ranges ascending = HQ_RANGES_INIT;
        assert_int_equal(hq_ranges_sorted(&runs, &r, NULL), 0);
        assert_int_equal(hq_ranges_ascending(&ascending, &r, NULL), 0);
        const struct hq_ranges *forms[] = {&runs, &ascending};
        for (size_t f = 0; f < HQ_ARRAY_LEN(forms); f++) {
            it = hq_ranges_iter(forms[f]);
            for (size_t i = 0; i < count; i++) {
                assert_true(hq_ranges_next(&it, &id));
                assert_int_equal(id, sorted[i]);
            }
            assert_false(hq_ranges_next(&it, &id));
        }
        for (size_t i = 0; i < runs.count; i++) {
            assert_int_equal(runs.v[i].step, 1);
            assert_true(i == 0 || runs.v[i].first > hq_range_last(&runs.v[i - 1]) + 1);
        }
    }
    assert_true(overlaps > 100 && overlaps < 2900);
}

static void
test_whole_span(void **state)
{
    (void)state;
    HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
    HQ_AUTO(hq_ranges_fini) struct hq_ranges sorted = HQ_RANGES_INIT;
    hq_ranges_add(&r, 100, UINT32_MAX - 100, 1);
    hq_ranges_add(&r, 0, 200, 1);
    hq_ranges_add(&r, UINT32_MAX - 5, 6, 1);
    assert_int_equal(hq_ranges_sorted(&sorted, &r, NULL), 0);
    assert_true(hq_ranges_size(&sorted) == UINT64_C(4294967296));
    assert_int_equal(hq_ranges_check(&sorted, NULL), 0);
    uint32_t max;
    HQ_AUTO(hq_ranges_fini) struct hq_ranges empty = HQ_RANGES_INIT;
    assert_false(hq_ranges_max(&empty, &max));
    assert_int_equal(hq_ranges_sorted(&empty, &empty, NULL), 0);
    assert_int_equal(hq_ranges_ascending(&empty, &empty, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_bad),
        cmocka_unit_test(test_strange_bytes), cmocka_unit_test(test_overlap_of_steps),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_check),
        cmocka_unit_test(test_add_merges),    cmocka_unit_test(test_runs),
        cmocka_unit_test(test_model),         cmocka_unit_test(test_whole_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
