/* Selectors of jobs and workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/selector.h"

static void
test_selector(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool with_all;
        int rc;
        enum hq_selector_kind kind;
        uint64_t size;
    } cases[] = {
        {"last", true, 0, HQ_SELECT_LAST, 0},         {"last", false, 0, HQ_SELECT_LAST, 0},
        {"all", true, 0, HQ_SELECT_ALL, 0},           {"all", false, -EINVAL, HQ_SELECT_ALL, 0},
        {"1-3,7", false, 0, HQ_SELECT_RANGES, 4},     {"LAST", true, -EINVAL, HQ_SELECT_LAST, 0},
        {"last,1", true, -EINVAL, HQ_SELECT_LAST, 0}, {"last-1", true, -EINVAL, HQ_SELECT_LAST, 0},
        {" last", true, -EINVAL, HQ_SELECT_LAST, 0},  {"", true, -EINVAL, HQ_SELECT_LAST, 0},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_selector s = {0};
        assert_int_equal(hq_selector_parse(&s, hq_str_from(cases[i].text), cases[i].with_all, NULL), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(s.kind, cases[i].kind);
            assert_true(hq_ranges_size(&s.ids) == cases[i].size);
        }
        hq_selector_fini(&s);
    }
    struct hq_err err = {0};
    struct hq_selector s = {0};
    assert_int_equal(hq_selector_parse(&s, HQ_STR("last-1"), true, &err), -EINVAL);
    assert_string_equal(err.text, "Unexpected token found while attempting to parse number, expected something else:\n"
                                  "  last-1\n  |\n  --- Unexpected token `l`\n");
}

static void
test_one(void **state)
{
    (void)state;
    bool is_last = false;
    uint32_t id = 9;
    struct hq_err err = {0};
    assert_int_equal(hq_selector_parse_one(HQ_STR("last"), &is_last, &id, &err), 0);
    assert_true(is_last);
    assert_int_equal(id, 9);
    assert_int_equal(hq_selector_parse_one(HQ_STR("1_2"), &is_last, &id, &err), 0);
    assert_false(is_last);
    assert_int_equal(id, 12);
    assert_int_equal(hq_selector_parse_one(HQ_STR("all"), &is_last, &id, &err), -EINVAL);
    assert_string_equal(err.text, "invalid digit found in string");
    assert_int_equal(hq_selector_parse_one(HQ_STR("1-2"), &is_last, &id, &err), -EINVAL);
    assert_int_equal(hq_selector_parse_one(HQ_STR("4294967296"), &is_last, &id, &err), -ERANGE);
    assert_int_equal(id, 12);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_selector), cmocka_unit_test(test_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
