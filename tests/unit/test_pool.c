/* Pools of a worker: grammar, checks, printed forms, coupling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "common/limits.h"
#include "common/pool.h"

#define TOKEN "Unexpected token found while attempting to parse "
#define END "Unexpected end of input found while attempting to parse "

static int
setup(void **state)
{
    static struct hq_arena arena;
    hq_arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static int
teardown(void **state)
{
    hq_arena_fini(*state);
    return 0;
}

static void
test_good(void **state)
{
    static const struct {
        const char *text;
        bool is_cpus;
        enum hq_pool_kind kind;
        hq_amount size;
        const char *printed;
    } cases[] = {
        {"4", true, HQ_POOL_RANGE, 40000, "range(0-3)"},
        {"1", true, HQ_POOL_RANGE, 10000, "[0]"},
        {"1_0", true, HQ_POOL_RANGE, 100000, "range(0-9)"},
        {"0", true, HQ_POOL_SUM, 0, "sum(0)"},
        {"2x3", false, HQ_POOL_GROUPS, 60000, "[[0,1,2],[3,4,5]]"},
        {"1x3", true, HQ_POOL_LIST, 30000, "[0,1,2]"},
        {"[[0,1],[2,3]]", true, HQ_POOL_GROUPS, 40000, "[[0,1],[2,3]]"},
        {" [ [ 0 , 1 ] , [ 2 ] ] ", false, HQ_POOL_GROUPS, 30000, "[[0,1],[2]]"},
        {"[[5,7]]", false, HQ_POOL_LIST, 20000, "[5,7]"},
        {"[a, b]", false, HQ_POOL_LIST, 20000, "[a,b]"},
        {"[a,\"b c\"]", false, HQ_POOL_LIST, 20000, "[a,b c]"},
        {"[\"x,]\",y]", false, HQ_POOL_LIST, 20000, "[x,],y]"},
        {"[f(1)]", false, HQ_POOL_LIST, 10000, "[f(1)]"},
        {"list(1, 2)", false, HQ_POOL_LIST, 20000, "[1,2]"},
        {"range(10-123)", false, HQ_POOL_RANGE, 1140000, "range(10-123)"},
        {"range ( 5 - 5 )", false, HQ_POOL_RANGE, 10000, "[5]"},
        {"indices(1-3)", false, HQ_POOL_RANGE, 30000, "range(1-3)"},
        {"range(0-4294967295)", false, HQ_POOL_RANGE, 42949672960000, "range(0-4294967295)"},
        {"sum(1000.5)", false, HQ_POOL_SUM, 10005000, "sum(1000.5)"},
        {"sum( 7 )", false, HQ_POOL_SUM, 70000, "sum(7)"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_pool p = {0};
        struct hq_err err = {0};
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        struct hq_str text = hq_str_from(cases[i].text);
        assert_int_equal(hq_pool_parse(&p, HQ_STR("foo"), text, cases[i].is_cpus, *state, &err), 0);
        assert_int_equal(p.kind, cases[i].kind);
        assert_true(hq_str_is(p.name, "foo"));
        assert_true(hq_pool_size(&p) == cases[i].size);
        hq_pool_print_full(&p, &b);
        assert_string_equal(b.ptr, cases[i].printed);
    }
}

static void
test_bad_cpus(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"", END "number, expected [ or range or sum:\n(the input was empty)"},
        {"x", TOKEN "resource kind, expected range or sum:\n  x\n  |\n  --- Unexpected token `x`\n"},
        {"no-ht", TOKEN "resource kind, expected range or sum:\n  no-ht\n  |\n  --- Unexpected token `no`\n"},
        {"-1", TOKEN "number, expected [ or range or sum:\n  -1\n  |\n  --- Unexpected token `-`\n"},
        {"[]", END
         "resource kind, expected something else:\n  []\n  |\n  --- List has to contain at least a single element\n"},
        {"[[]]", END "resource kind, expected something else:\n  [[]]\n   |\n   --- Each group has to contain at least "
                     "a single element\n"},
        {"[1,1]", END "resource kind, expected something else:\n  [1,1]\n  |\n  --- List items have to be unique\n"},
        {"[[1,1]]",
         END "resource kind, expected something else:\n  [[1,1]]\n  |\n  --- Group items have to be unique\n"},
        {"2x", END "number, expected something else:\n  2x\n    |\n    --- Unexpected end of input\n"},
        {"4x4x4", TOKEN "number, expected <end of input> or _:\n  4x4x4\n     |\n     --- Unexpected token `x`\n"},
        {"range(5-2)", END
         "resource kind, expected something else:\n  range(5-2)\n  |\n  --- Start must be greater or equal to end\n"},
        {"range(5)", TOKEN "number, expected - or _:\n  range(5)\n         |\n         --- Unexpected token `)`\n"},
        {"sum()", TOKEN "number, expected something else:\n  sum()\n      |\n      --- Unexpected token `)`\n"},
        {"[1,2", END "resource kind, expected , or ]:\n  [1,2\n      |\n      --- Unexpected end of input\n"},
        {"4294967296", END
         "resource kind, expected something else:\n  4294967296\n  |\n  --- Cannot parse as 4-byte unsigned integer\n"},
        {"0x3", END
         "resource kind, expected something else:\n  0x3\n  |\n  --- List has to contain at least a single element\n"},
        {"3x0", END "resource kind, expected something else:\n  3x0\n  |\n  --- Each group has to contain at least a "
                    "single element\n"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_pool p = {0};
        struct hq_err err = {0};
        assert_int_equal(hq_pool_parse(&p, HQ_STR("cpus"), hq_str_from(cases[i].text), true, *state, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void
test_bad_defs(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"foo", END "resource name, expected =:\n  foo\n     |\n     --- Unexpected end of input\n"},
        {"foo=", END "number, expected [ or range or sum:\n  foo=\n      |\n      --- Unexpected end of input\n"},
        {"foo=8", END "number, expected _ or x:\n  foo=8\n       |\n       --- Unexpected end of input\n"},
        {"foo=sum(1.23456)", END
         "sum, expected something else:\n  foo=sum(1.23456)\n          |\n          --- Resource precision exceeded\n"},
        {"foo=sum(x)",
         TOKEN "number, expected something else:\n  foo=sum(x)\n          |\n          --- Unexpected token `x`\n"},
        {"f_o=sum(1)", TOKEN "resource name, expected =:\n  f_o=sum(1)\n   |\n   --- Unexpected token `_`\n"},
        {"1f=sum(1)", TOKEN "resource name, expected identifier:\n  1f=sum(1)\n  |\n  --- Unexpected token `1`\n"},
        {"foo=[]", END "resource kind, expected something else:\n  foo=[]\n      |\n      --- List has to contain at "
                       "least a single element\n"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_pool p = {0};
        struct hq_err err = {0};
        assert_int_equal(hq_pool_parse_def(&p, hq_str_from(cases[i].text), *state, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
    }
    struct hq_pool p = {0};
    assert_int_equal(hq_pool_parse_def(&p, HQ_STR(" gpus/amd = range(1-2)"), *state, NULL), 0);
    assert_true(hq_str_is(p.name, "gpus/amd"));
}

static void
test_strange(void **state)
{
    static const struct hq_str texts[] = {
        {.ptr = "[1\0,\0", .len = 5},
        {.ptr = "[\"a", .len = 3},
        {.ptr = "[\xff", .len = 2},
        {.ptr = "[[1],2]", .len = 7},
        {.ptr = "[1,[2]]", .len = 7},
        {.ptr = "[1,]", .len = 4},
        {.ptr = "[,1]", .len = 4},
        {.ptr = "[[1],]", .len = 6},
        {.ptr = "[[1]", .len = 4},
        {.ptr = "[1]x", .len = 4},
        {.ptr = "range(1-2)3", .len = 11},
        {.ptr = "sum(1", .len = 5},
        {.ptr = "sum1", .len = 4},
        {.ptr = "[1 2]", .len = 5},
        {.ptr = "[a\"b\"]", .len = 6},
        {.ptr = "2 x 2", .len = 5},
        {.ptr = "range(1-4294967296)", .len = 19},
        {.ptr = "list()", .len = 6},
        {.ptr = "[\"\",\"\"]", .len = 7},
        {.ptr = "300x2", .len = 5},
        {.ptr = "2x40000", .len = 7},
        {.ptr = "4294967295x4294967295", .len = 21},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(texts); i++) {
        struct hq_pool p = {0};
        struct hq_err err = {0};
        assert_int_equal(hq_pool_parse(&p, HQ_STR("foo"), texts[i], false, *state, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf huge = HQ_BUF_INIT;
    struct hq_pool p = {0};
    hq_buf_byte(&huge, '[');
    for (uint32_t i = 0; i < HQ_POOL_VALUES_MAX; i++) {
        hq_buf_printf(&huge, "%s%u", i == 0 ? "" : ",", i);
    }
    hq_buf_byte(&huge, ']');
    assert_int_equal(hq_pool_parse(&p, HQ_STR("foo"), hq_buf_view(&huge), false, *state, NULL), 0);
    assert_int_equal(p.groups[0].count, HQ_POOL_VALUES_MAX);
    huge.ptr[huge.len - 1] = ',';
    hq_buf_cstr(&huge, "z]");
    assert_int_equal(hq_pool_parse(&p, HQ_STR("foo"), hq_buf_view(&huge), false, *state, NULL), -EINVAL);
    hq_buf_clear(&huge);
    hq_buf_cstr(&huge, "[[g]");
    for (uint32_t i = 1; i < HQ_POOL_GROUPS_MAX; i++) {
        hq_buf_printf(&huge, ",[%u]", i);
    }
    hq_buf_byte(&huge, ']');
    assert_int_equal(hq_pool_parse(&p, HQ_STR("foo"), hq_buf_view(&huge), false, *state, NULL), 0);
    assert_int_equal(p.group_count, HQ_POOL_GROUPS_MAX);
    huge.ptr[huge.len - 1] = ',';
    hq_buf_cstr(&huge, "[z]]");
    assert_int_equal(hq_pool_parse(&p, HQ_STR("foo"), hq_buf_view(&huge), false, *state, NULL), -EINVAL);
}

/* Pools from "name=kind" words separated by blanks; the name cpus takes a plain number too. */
static struct hq_pools
make(struct hq_arena *arena, const char *text)
{
    struct hq_pools pools = {.v = hq_arena_array(arena, 16, sizeof *pools.v)};
    struct hq_str rest = hq_str_from(text);
    while (rest.len > 0) {
        struct hq_str kind, name;
        hq_str_split(&rest, ' ', &kind);
        hq_str_split(&kind, '=', &name);
        assert_int_equal(hq_pool_parse(&pools.v[pools.count++], name, kind, hq_str_is(name, "cpus"), arena, NULL), 0);
    }
    return pools;
}

static void
test_sort_and_check(void **state)
{
    static const struct {
        const char *text;
        const char *error; /* of the check, NULL = good */
    } cases[] = {
        {"cpus=4 foo=sum(1) a=[x]", NULL},
        {"cpus=sum(4)", "Resource kind `sum` cannot be used with CPUs. CPUs must have identity"},
        {"cpus=0", "Resource kind `sum` cannot be used with CPUs. CPUs must have identity"},
        {"foo=sum(0)", "Resource foo is empty"},
        {"cpus=[[1,2],[2]]", "Invalid resource definition for cpus: GenericError(\"Non unique indices\")"},
        {"foo=range(0-65535)", NULL},
        {"foo=range(0-65536)", "Resource foo has too many values (at most 65536 are allowed)"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        struct hq_pools pools = make(*state, cases[i].text);
        assert_int_equal(hq_pools_sort(&pools, &err), 0);
        assert_int_equal(hq_pools_check(&pools, &err) < 0, cases[i].error != NULL);
        assert_string_equal(err.text, cases[i].error != NULL ? cases[i].error : "");
    }
    struct hq_err err = {0};
    struct hq_pools pools = make(*state, "foo=sum(1) bar=[1] foo=sum(2)");
    assert_int_equal(hq_pools_sort(&pools, &err), -EINVAL);
    assert_string_equal(err.text, "Resource foo defined twice");
    pools = make(*state, "foo=sum(1) bar=[1] abc=2x2");
    assert_int_equal(hq_pools_sort(&pools, &err), 0);
    assert_true(hq_str_is(pools.v[0].name, "abc") && hq_str_is(pools.v[2].name, "foo"));
    assert_ptr_equal(hq_pools_find(&pools, HQ_STR("bar")), &pools.v[1]);
    assert_ptr_equal(hq_pools_find(&pools, HQ_STR("foo")), &pools.v[2]);
    assert_null(hq_pools_find(&pools, HQ_STR("fo")));
    assert_null(hq_pools_find(&pools, HQ_STR_NULL));
}

/* What a peer could send. */
static void
test_check_of_foreign(void **state)
{
    (void)state;
    struct hq_str values[2] = {HQ_STR("a"), HQ_STR("b")};
    struct hq_pool_group groups[2] = {{.values = values, .count = 2}, {.values = NULL, .count = 0}};
    struct hq_pool pool = {.name = HQ_STR("foo"), .kind = HQ_POOL_LIST, .groups = groups, .group_count = 1};
    struct hq_pools pools = {.v = &pool, .count = 1};
    assert_int_equal(hq_pools_check(&pools, NULL), 0);
    pool.group_count = 0;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.group_count = 2;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.kind = HQ_POOL_GROUPS;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL); /* an empty group */
    groups[1] = (struct hq_pool_group){.values = values, .count = 1};
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL); /* "a" twice */
    groups[1].values = &values[1];
    groups[0].count = 1;
    assert_int_equal(hq_pools_check(&pools, NULL), 0);
    groups[0].count = SIZE_MAX;
    assert_int_equal(hq_pools_check(&pools, NULL), -E2BIG);
    groups[0].count = 1;
    pool.group_count = HQ_POOL_GROUPS_MAX + 1;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.group_count = 2;
    pool.kind = (enum hq_pool_kind)9;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.kind = HQ_POOL_SUM;
    pool.sum = HQ_AMOUNT_MAX + 1;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.sum = HQ_AMOUNT_MAX;
    assert_int_equal(hq_pools_check(&pools, NULL), 0);
    pool.kind = HQ_POOL_RANGE;
    pool.range_first = 2;
    pool.range_last = 1;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.range_last = 2;
    pool.name = HQ_STR("a b");
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pool.name = HQ_STR("a");
    struct hq_coupling c = {.resource1_ix = 0, .resource2_ix = 0, .weight = 1};
    pools.couplings = &c;
    pools.coupling_count = 1;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL); /* no groups there */
    pool.kind = HQ_POOL_GROUPS;
    assert_int_equal(hq_pools_check(&pools, NULL), 0);
    c.group2_ix = 2;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    c.group2_ix = 1;
    c.resource2_ix = 1;
    assert_int_equal(hq_pools_check(&pools, NULL), -EINVAL);
    pools.count = HQ_RESOURCES_MAX + 1;
    assert_int_equal(hq_pools_check(&pools, NULL), -E2BIG);
}

static void
test_coupling(void **state)
{
    static const struct {
        const char *pools;
        const char *text;
        const char *error; /* NULL = good */
    } cases[] = {
        {"cpus=2x2 foo=2x2", "cpus[0]:foo[1]", NULL},
        {"cpus=2x2", "cpus[0]:cpus[1],cpus[1]:cpus[0]", NULL},
        {"cpus=2x2", " cpus [ 0 ] : cpus [1] = 7 , cpus[1]:cpus[1] ", NULL},
        {"cpus=1", "foo", "Missing ':'"},
        {"cpus=2x2", "cpus[0]", "Missing ':'"},
        {"cpus=2x2", "", "Missing ':'"},
        {"cpus=2x2", "cpus[0]:cpus[1],", "Missing ':'"},
        {"cpus=2x2", "cpus:cpus[1]", "Missing '['"},
        {"cpus=2x2", "cpus[0:cpus[1]", "Missing ']'"},
        {"cpus=1", "cpus[0]:foo[0]", "Resource not found: foo"},
        {"cpus=2x2", "cpus[0]:foo[0]", "Resource not found: foo"},
        {"cpus=2x2", "cpus[0]:cpus[5]", "Invalid group id 5 for resource 'cpus'"},
        {"cpus=1", "cpus[0]:cpus[0]", "Resource 'cpus' has only a single group"},
        {"cpus=2x2", "cpus[0]:cpus[1],cpus[0]:cpus[1]=2", "Repeated coupling definition"},
        {"cpus=2x2", "cpus[0]:cpus[1]=x", "Invalid weight: x"},
        {"cpus=2x2", "cpus[0]:cpus[1]=65536", "Invalid weight: 65536"},
        {"cpus=2x2", "cpus[0]:cpus[1]=", "Invalid weight: "},
        {"cpus=2x2", "cpus[999]:cpus[1]", "Invalid group index: 999"},
        {"cpus=2x2", "cpus[256]:cpus[1]", "Invalid group index: 256"},
        {"cpus=2x2", "cpus[-1]:cpus[1]", "Invalid group index: -1"},
        {"cpus=2x2", "cpus[0]x:cpus[1]", "Unexpected text in coupling: x"},
        {"cpus=2x2", "cpus[0]:cpus[1]x", "Unexpected text in coupling: x"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        struct hq_pools pools = make(*state, cases[i].pools);
        assert_int_equal(hq_pools_sort(&pools, &err), 0);
        int rc = hq_coupling_parse(&pools, hq_str_from(cases[i].text), *state, &err);
        assert_int_equal(rc, cases[i].error == NULL ? 0 : -EINVAL);
        assert_string_equal(err.text, cases[i].error == NULL ? "" : cases[i].error);
        assert_int_equal(hq_pools_check(&pools, NULL), 0);
    }
    struct hq_pools pools = make(*state, "cpus=2x2 bar=2x1");
    assert_int_equal(hq_pools_sort(&pools, NULL), 0);
    assert_int_equal(hq_coupling_parse(&pools, HQ_STR("cpus[0]:bar[1]=3,cpus[1]:bar[0]"), *state, NULL), 0);
    assert_int_equal(pools.coupling_count, 2);
    const struct hq_coupling *c = pools.couplings; /* bar comes before cpus, its first group before the second */
    assert_true(c[0].resource1_ix == 0 && c[0].group1_ix == 0 && c[0].resource2_ix == 1 && c[0].group2_ix == 1);
    assert_true(c[1].resource1_ix == 0 && c[1].group1_ix == 1 && c[1].resource2_ix == 1 && c[1].group2_ix == 0);
    assert_int_equal(c[0].weight, 256);
    assert_int_equal(c[1].weight, 3);
    HQ_AUTO(hq_buf_fini) struct hq_buf many = HQ_BUF_INIT;
    hq_buf_rep(&many, ',', HQ_COUPLINGS_MAX);
    assert_int_equal(hq_coupling_parse(&pools, hq_buf_view(&many), *state, NULL), -E2BIG);
}

static void
test_printing(void **state)
{
    struct hq_pools pools = make(
        *state, "cpus=[[0,1],[2,3]] gpus/nvidia=[a,\"b\"] mem=sum(2048.5) foo=range(10-12) bar=[[1,2],[3]] one=[7]");
    assert_int_equal(hq_pools_sort(&pools, NULL), 0);
    assert_int_equal(hq_coupling_parse(&pools, HQ_STR("cpus[0]:bar[1]=3,cpus[1]:bar[0]"), *state, NULL), 0);
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_pools_print_summary(&pools, "; ", " ", &b);
    assert_string_equal(b.ptr, "bar 1x1 1x2 [coupled]; cpus 2x2 [coupled]; foo 3; gpus/nvidia 2; mem 2.00 GiB; one 1");
    struct hq_pools copy;
    hq_pools_copy(&copy, &pools, *state);
    hq_buf_clear(&b);
    hq_pools_print_summary(&copy, "\n", ": ", &b);
    assert_string_equal(b.ptr,
                        "bar: 1x1 1x2 [coupled]\ncpus: 2x2 [coupled]\nfoo: 3\ngpus/nvidia: 2\nmem: 2.00 GiB\none: 1");
    static const struct {
        const char *text;
        const char *printed;
    } cases[] = {
        {"mem=sum(511.99)", "mem 511.99 MiB"},
        {"mem=sum(512)", "mem 0.50 GiB"},
        {"mem=sum(8192.0078)", "mem 8.00 GiB"},
        {"zzz=[[a,b],[c,d],[e,f,g,h,i,j],[k,l]]", "zzz 3x2 1x6"},
        {"cpus=2x64", "cpus 2x64"},
        {"foo=sum(0.5)", "foo 0.5"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        pools = make(*state, cases[i].text);
        hq_buf_clear(&b);
        hq_pools_print_summary(&pools, "; ", " ", &b);
        assert_string_equal(b.ptr, cases[i].printed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_bad_cpus),       cmocka_unit_test(test_bad_defs),
        cmocka_unit_test(test_strange),  cmocka_unit_test(test_sort_and_check), cmocka_unit_test(test_check_of_foreign),
        cmocka_unit_test(test_coupling), cmocka_unit_test(test_printing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
