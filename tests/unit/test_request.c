/* Resource requests: amounts, policies, entries, whole requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "common/limits.h"
#include "common/request.h"

static void
test_good_amounts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        hq_amount amount;
        enum hq_policy policy;
        const char *printed;
    } cases[] = {
        {"1", 10000, HQ_POLICY_COMPACT, "1 compact"},
        {"4 compact", 40000, HQ_POLICY_COMPACT, "4 compact"},
        {"2compact", 20000, HQ_POLICY_COMPACT, "2 compact"},
        {"2  compact!", 20000, HQ_POLICY_FORCE_COMPACT, "2 compact!"},
        {"2 tight", 20000, HQ_POLICY_TIGHT, "2 tight"},
        {"0.5 tight!", 5000, HQ_POLICY_FORCE_TIGHT, "0.5 tight!"},
        {"3 scatter", 30000, HQ_POLICY_SCATTER, "3 scatter"},
        {"all", 0, HQ_POLICY_ALL, "all"},
        {"1_0.5_0", 105000, HQ_POLICY_COMPACT, "10.5 compact"},
        {"0.0001", 1, HQ_POLICY_COMPACT, "0.0001 compact"},
        {"4294967295.9999", HQ_AMOUNT_MAX, HQ_POLICY_COMPACT, "4294967295.9999 compact"},
        {"2 ", 20000, HQ_POLICY_COMPACT, "2 compact"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        hq_amount amount = 7;
        enum hq_policy policy = HQ_POLICY_SCATTER;
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        assert_int_equal(hq_request_parse_amount(hq_str_from(cases[i].text), &amount, &policy, NULL), 0);
        assert_true(amount == cases[i].amount);
        assert_int_equal(policy, cases[i].policy);
        hq_request_print_amount(amount, policy, &b);
        assert_string_equal(b.ptr, cases[i].printed);
    }
}

#define TOKEN "Unexpected token found"
#define END "Unexpected end of input found"

static void
test_bad_amounts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"0", END ", expected something else:\n  0\n  |\n  --- Zero resources cannot be requested\n"},
        {"0.0", END ", expected something else:\n  0.0\n  |\n  --- Zero resources cannot be requested\n"},
        {"x", TOKEN ", expected all:\n  x\n  |\n  --- Unexpected token `x`\n"},
        {"zero", TOKEN ", expected all:\n  zero\n  |\n  --- Unexpected token `zero`\n"},
        {"2 fast", TOKEN ", expected <end of input> or c or s or t:\n  2 fast\n    |\n    --- Unexpected token `f`\n"},
        {"1.23456", END ", expected something else:\n  1.23456\n  |\n  --- Resource precision exceeded\n"},
        {"-1", TOKEN " while attempting to parse number, expected all:\n  -1\n  |\n  --- Unexpected token `-`\n"},
        {"", END " while attempting to parse number, expected all:\n(the input was empty)"},
        {"2 compact !",
         TOKEN ", expected <end of input>:\n  2 compact !\n           |\n           --- Unexpected token ` `\n"},
        {"all!", TOKEN ", expected <end of input>:\n  all!\n     |\n     --- Unexpected token `!`\n"},
        {"2 comp", END ", expected a:\n  2 comp\n        |\n        --- Unexpected end of input\n"},
        {"2 scatter!",
         TOKEN ", expected <end of input>:\n  2 scatter!\n           |\n           --- Unexpected token `!`\n"},
        {"4294967296",
         END ", expected something else:\n  4294967296\n  |\n  --- Cannot parse as 4-byte unsigned integer\n"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        hq_amount amount = 7;
        enum hq_policy policy = HQ_POLICY_SCATTER;
        assert_int_equal(hq_request_parse_amount(hq_str_from(cases[i].text), &amount, &policy, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
        assert_true(amount == 7 && policy == HQ_POLICY_SCATTER);
    }
    static const struct hq_str strange[] = {
        {.ptr = "1\0", .len = 2},       {.ptr = "1.", .len = 2},           {.ptr = "1._5", .len = 4},
        {.ptr = " 1", .len = 2},        {.ptr = "1.5.5", .len = 5},        {.ptr = "1\xff", .len = 2},
        {.ptr = "all ", .len = 4},      {.ptr = "all2", .len = 4},         {.ptr = "1 all", .len = 5},
        {.ptr = "1 Compact", .len = 9}, {.ptr = "1 compact!!", .len = 11}, {.ptr = "18446744073709551616", .len = 20},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(strange); i++) {
        hq_amount amount;
        enum hq_policy policy;
        assert_int_equal(hq_request_parse_amount(strange[i], &amount, &policy, NULL), -EINVAL);
    }
}

static void
test_entries(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name; /* NULL = refused */
        const char *error;
    } cases[] = {
        {"gpus/nvidia=0.5", "gpus/nvidia", NULL},
        {"foo = 2 tight", "foo", NULL},
        {"a1/=all", "a1/", NULL},
        {"foo", NULL, END ", expected =:\n  foo\n     |\n     --- Unexpected end of input\n"},
        {"foo=", NULL,
         END " while attempting to parse number, expected all:\n  foo=\n      |\n      --- Unexpected end of input\n"},
        {"foo=0", NULL,
         END ", expected something else:\n  foo=0\n      |\n      --- Zero resources cannot be requested\n"},
        {"=1", NULL, TOKEN ", expected something else:\n  =1\n  |\n  --- Unexpected token `=`\n"},
        {"1a=1", NULL, TOKEN ", expected something else:\n  1a=1\n  |\n  --- Unexpected token `1`\n"},
        {"my_res=1", NULL, TOKEN ", expected =:\n  my_res=1\n    |\n    --- Unexpected token `_`\n"},
        {"a-b=1", NULL, TOKEN ", expected =:\n  a-b=1\n   |\n   --- Unexpected token `-`\n"},
        {"", NULL, END ", expected something else:\n(the input was empty)"},
    };
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        struct hq_request_entry e = {0};
        int rc = hq_request_parse_entry(hq_str_from(cases[i].text), &e, &arena, &err);
        assert_int_equal(rc, cases[i].name != NULL ? 0 : -EINVAL);
        if (cases[i].name != NULL) {
            assert_true(hq_str_is(e.name, cases[i].name));
        } else {
            assert_string_equal(err.text, cases[i].error);
        }
    }
    assert_true(hq_resource_name_ok(HQ_STR("gpus/nvidia")));
    assert_false(hq_resource_name_ok(HQ_STR("/a")));
    assert_false(hq_resource_name_ok(HQ_STR_NULL));
    assert_false(hq_resource_name_ok(hq_str_make("a\0", 2)));
    assert_false(hq_resource_name_ok(HQ_STR("\xc3\xa4")));
    hq_arena_fini(&arena);
}

static void
test_plain_amounts(void **state)
{
    (void)state;
    hq_amount a = 0;
    assert_int_equal(hq_amount_parse(HQ_STR("12.5"), &a, NULL), 0);
    assert_true(a == 125000);
    assert_int_equal(hq_amount_parse(HQ_STR("0"), &a, NULL), 0);
    assert_true(a == 0);
    static const char *const bad[] = {"", "x", "1 ", "1.5x", "1x", "1.", "1.00001", "4294967296"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        assert_int_equal(hq_amount_parse(hq_str_from(bad[i]), &a, NULL), -EINVAL);
    }
}

static void
test_weights(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t v;
        const char *error;
    } cases[] = {
        {"1", 0, 10000, NULL},
        {"2.5", 0, 25000, NULL},
        {"1.23456", 0, 12346, NULL},
        {"1e2", 0, 1000000, NULL},
        {"0.0001", 0, 1, NULL},
        {"429496.7295", 0, 4294967295, NULL},
        {"0", -EINVAL, 0, "Resource weight has to be positive number"},
        {"-1", -EINVAL, 0, "Resource weight has to be positive number"},
        {"0.00001", -EINVAL, 0, "Resource weight has to be positive number"},
        {"x", -EINVAL, 0, "invalid float literal"},
        {"inf", -EINVAL, 0, "Resource weight has to be positive number"},
        {"nan", -EINVAL, 0, "invalid float literal"},
        {"1e10", -ERANGE, 0, "Resource weight is too large"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        uint64_t v = 0;
        assert_int_equal(hq_weight_parse(hq_str_from(cases[i].text), &v, &err), cases[i].rc);
        assert_true(v == cases[i].v);
        assert_string_equal(err.text, cases[i].error == NULL ? "" : cases[i].error);
    }
}

static struct hq_variant
one_cpu(struct hq_request_entry *entry)
{
    *entry = (struct hq_request_entry){.name = HQ_STR("cpus"), .amount = 10000};
    return (struct hq_variant){.entries = entry, .entry_count = 1, .weight_x10000 = 10000};
}

static void
test_sort(void **state)
{
    (void)state;
    struct hq_request_entry e[] = {{.name = HQ_STR("mem"), .amount = 1},
                                   {.name = HQ_STR("cpus"), .amount = 2},
                                   {.name = HQ_STR("gpus/amd"), .amount = 3}};
    struct hq_variant v = {.entries = e, .entry_count = 3, .weight_x10000 = 1};
    struct hq_err err = {0};
    assert_int_equal(hq_variant_sort(&v, &err), 0);
    assert_true(e[0].amount == 2 && e[1].amount == 3 && e[2].amount == 1);
    e[2].name = HQ_STR("cpus");
    assert_int_equal(hq_variant_sort(&v, &err), -EINVAL);
    assert_string_equal(err.text, "Resource 'cpus' defined more than once");
}

static void
test_check(void **state)
{
    (void)state;
    struct hq_request_entry entry;
    struct hq_variant variants[HQ_VARIANTS_MAX + 1];
    struct hq_err err = {0};
    for (size_t i = 0; i < HQ_ARRAY_LEN(variants); i++) {
        variants[i] = one_cpu(&entry);
    }
    struct hq_request r = {.variants = variants, .variant_count = 1};
    assert_int_equal(hq_request_check(&r, &err), 0);
    r.variant_count = HQ_VARIANTS_MAX;
    assert_int_equal(hq_request_check(&r, &err), 0);
    r.variant_count = HQ_VARIANTS_MAX + 1;
    assert_int_equal(hq_request_check(&r, &err), -E2BIG);
    r.variant_count = 0;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);

    r.variant_count = 1;
    entry.amount = 0;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    assert_string_equal(err.text, "Zero resources cannot be requested");
    entry.policy = HQ_POLICY_ALL;
    assert_int_equal(hq_request_check(&r, &err), 0);
    entry.amount = 1;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    entry.policy = (enum hq_policy)HQ_POLICIES;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    variants[0] = one_cpu(&entry);
    entry.amount = HQ_AMOUNT_MAX + 1;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    variants[0] = one_cpu(&entry);
    entry.name = HQ_STR("a b");
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    variants[0] = one_cpu(&entry);
    variants[0].weight_x10000 = 0;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    assert_string_equal(err.text, "Resource weight has to be positive number");
    variants[0] = one_cpu(&entry);
    variants[0].min_time_ms = -1;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    variants[0] = one_cpu(&entry);
    variants[0].entry_count = 0;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    variants[0].n_nodes = 2;
    assert_int_equal(hq_request_check(&r, &err), 0);
    r.variant_count = 2;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);

    struct hq_request_entry two[] = {{.name = HQ_STR("b"), .amount = 1}, {.name = HQ_STR("a"), .amount = 1}};
    variants[0] = (struct hq_variant){.entries = two, .entry_count = 2, .weight_x10000 = 1};
    r.variant_count = 1;
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    two[1].name = HQ_STR("b");
    assert_int_equal(hq_request_check(&r, &err), -EINVAL);
    assert_string_equal(err.text, "Resource 'b' defined more than once");
    variants[0].entry_count = HQ_RESOURCES_MAX + 1;
    assert_int_equal(hq_request_check(&r, &err), -E2BIG);
}

static void
test_copy_eq_hash(void **state)
{
    (void)state;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    char name[] = "cpus";
    struct hq_request_entry entry = {.name = hq_str_from(name), .amount = 5, .policy = HQ_POLICY_TIGHT};
    struct hq_variant v = {.entries = &entry, .entry_count = 1, .n_nodes = 0, .min_time_ms = 7, .weight_x10000 = 3};
    struct hq_request r = {.variants = &v, .variant_count = 1};
    struct hq_request copy;
    hq_request_copy(&copy, &r, &arena);
    assert_true(hq_request_eq(&r, &copy));
    assert_true(hq_request_hash(&r) == hq_request_hash(&copy));
    uint64_t before = hq_request_hash(&r);
    name[0] = 'g'; /* the copy has a name of its own */
    assert_false(hq_request_eq(&r, &copy));
    assert_true(hq_request_hash(&copy) == before);
    name[0] = 'c';
    struct {
        const char *what;
        struct hq_request_entry entry;
        struct hq_variant variant;
    } others[] = {
        {"amount", {.name = entry.name, .amount = 6, .policy = HQ_POLICY_TIGHT}, v},
        {"policy", {.name = entry.name, .amount = 5, .policy = HQ_POLICY_COMPACT}, v},
        {"name", {.name = HQ_STR("cpu"), .amount = 5, .policy = HQ_POLICY_TIGHT}, v},
        {"time", entry, {.entry_count = 1, .min_time_ms = 8, .weight_x10000 = 3}},
        {"weight", entry, {.entry_count = 1, .min_time_ms = 7, .weight_x10000 = 4}},
        {"nodes", entry, {.entry_count = 1, .n_nodes = 1, .min_time_ms = 7, .weight_x10000 = 3}},
        {"entries", entry, {.entry_count = 0, .min_time_ms = 7, .weight_x10000 = 3}},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(others); i++) {
        others[i].variant.entries = &others[i].entry;
        struct hq_request other = {.variants = &others[i].variant, .variant_count = 1};
        assert_false(hq_request_eq(&other, &copy));
        assert_true(hq_request_hash(&other) != hq_request_hash(&copy));
    }
    struct hq_request none = {0};
    assert_false(hq_request_eq(&none, &copy));
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_amounts),  cmocka_unit_test(test_bad_amounts),  cmocka_unit_test(test_entries),
        cmocka_unit_test(test_plain_amounts), cmocka_unit_test(test_weights),      cmocka_unit_test(test_sort),
        cmocka_unit_test(test_check),         cmocka_unit_test(test_copy_eq_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
