/* Ids and positions: runs, order written, interleaved steps, merges. */
#include "hqd/core/idset.h"

#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct hq_ranges
parse(const char *text)
{
    struct hq_ranges r = HQ_RANGES_INIT;
    struct hq_err err = {0};
    assert_int_equal(hq_ranges_parse(&r, hq_str_from(text), &err), 0);
    return r;
}

/* "first+count:step@pos ..." */
static void
expect(const struct idset *s, const char *text)
{
    struct hq_buf got = HQ_BUF_INIT;
    for (size_t i = 0; i < s->count; i++) {
        hq_buf_printf(&got, "%s%u+%u:%u@%u", i == 0 ? "" : " ", s->v[i].first, s->v[i].count, s->v[i].step,
                      s->v[i].pos);
    }
    assert_string_equal(got.ptr == NULL ? "" : got.ptr, text);
    hq_buf_fini(&got);
}

static void
builds(void **state)
{
    (void)state;
    static const struct {
        const char *ids;
        const char *runs;
        const char *order; /* NULL = as written */
    } cases[] = {
        {"0-9", "0+10:1@100", NULL},
        {"7", "7+1:1@100", NULL},
        {"0-10:2", "0+6:2@100", NULL},
        {"5-9,1-3", "1+3:1@100 5+5:1@103", "5 6 7 0 1 2 3 4"},
        {"1-3,4-6", "1+6:1@100", NULL},
        {"4-6,1-3", "1+6:1@100", "3 4 5 0 1 2"},
        {"0-6:2,1-7:2", "0+8:1@100", "0 4 1 5 2 6 3 7"},
        {"0-8:4,2", "0+2:2@100 4+2:4@102", "0 3 1 2"},
        {"10,20,30", "10+3:10@100", NULL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_ranges r = parse(cases[i].ids);
        struct idset s = {0};
        uint32_t *order = NULL;
        uint32_t id;
        assert_int_equal(idset_build(&s, &r, 100, &order, &id), 0);
        expect(&s, cases[i].runs);
        assert_int_equal(idset_size(&s), hq_ranges_size(&r));
        if (cases[i].order == NULL) {
            assert_null(order);
        } else {
            struct hq_buf got = HQ_BUF_INIT;
            for (uint64_t k = 0; k < hq_ranges_size(&r); k++) {
                hq_buf_printf(&got, "%s%u", k == 0 ? "" : " ", order[k]);
            }
            assert_string_equal(got.ptr, cases[i].order);
            hq_buf_fini(&got);
        }
        free(order);
        idset_fini(&s);
        hq_ranges_fini(&r);
    }
}

static void
refuses_an_id_twice(void **state)
{
    (void)state;
    struct hq_range v[] = {{.first = 0, .count = 4, .step = 2}, {.first = 3, .count = 2, .step = 1}};
    struct hq_ranges r = {.v = v, .count = 2};
    struct idset s = {0};
    uint32_t id = 0;
    assert_int_equal(idset_build(&s, &r, 0, NULL, &id), -EEXIST);
    assert_int_equal(id, 4);
    uint32_t list[] = {3, 1, 2, 1};
    uint32_t *order = NULL;
    assert_int_equal(idset_build_list(&s, list, 4, 0, &order, &id), -EEXIST);
    assert_int_equal(id, 1);
}

static void
finds_both_ways(void **state)
{
    (void)state;
    struct hq_ranges r = parse("100-200:5,7,10-19");
    struct idset s = {0};
    uint32_t id;
    assert_int_equal(idset_build(&s, &r, 50, NULL, &id), 0);
    uint32_t pos = 50;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t at;
        if (!hq_ranges_has(&r, i)) {
            assert_false(idset_find(&s, i, &at));
            continue;
        }
        assert_true(idset_find(&s, i, &at));
        assert_int_equal(at, pos);
        const struct idrun *run = idset_run_at(&s, pos);
        assert_non_null(run);
        assert_int_equal(run->first + (pos - run->pos) * run->step, i);
        pos++;
    }
    assert_null(idset_run_at(&s, pos));
    assert_null(idset_run_at(&s, 49));
    uint32_t last;
    assert_true(idset_max(&s, &last));
    assert_int_equal(last, 200);
    idset_fini(&s);
    hq_ranges_fini(&r);
    assert_false(idset_max(&s, &last));
}

static void
add(struct idset *into, const char *ids, uint32_t pos)
{
    struct hq_ranges r = parse(ids);
    struct idset s = {0};
    uint32_t id;
    assert_int_equal(idset_build(&s, &r, pos, NULL, &id), 0);
    assert_int_equal(idset_merge_check(into, &s, &id), 0);
    assert_int_equal(idset_merge(into, &s, &id), 0);
    idset_fini(&s);
    hq_ranges_fini(&r);
}

static void
merges(void **state)
{
    (void)state;
    struct idset s = {0};
    add(&s, "0-9", 0);
    add(&s, "10-19", 10); /* automatic ids go on: still one run */
    expect(&s, "0+20:1@0");
    add(&s, "40-49", 20);
    add(&s, "30-33", 30); /* ids below, positions behind */
    expect(&s, "0+20:1@0 30+4:1@30 40+10:1@20");
    add(&s, "50-60:2", 34);
    add(&s, "51-55:2", 40); /* interleaved */
    uint32_t pos;
    assert_true(idset_find(&s, 51, &pos));
    assert_int_equal(pos, 40);
    assert_true(idset_find(&s, 52, &pos));
    assert_int_equal(pos, 35);
    assert_true(idset_find(&s, 60, &pos));
    assert_int_equal(pos, 39);
    idset_fini(&s);
}

static void
sees_common_ids(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        int common; /* -1 = none */
    } cases[] = {
        {"0-9", "10-19", -1},
        {"0-9", "9-12", 9},
        {"0-20:2", "1-21:2", -1},
        {"0-20:2", "1-21:3", 4},
        {"5", "5", 5},
        {"0-100:7", "50", -1},
        {"0-100:7", "49", 49},
        {"1,3,5", "2-6:2,7,5", 5},
        {"10-20", "0-30:15", 15},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct idset a = {0};
        struct idset b = {0};
        struct hq_ranges ra = parse(cases[i].a);
        struct hq_ranges rb = parse(cases[i].b);
        uint32_t id = 0;
        assert_int_equal(idset_build(&a, &ra, 0, NULL, &id), 0);
        assert_int_equal(idset_build(&b, &rb, 0, NULL, &id), 0);
        assert_int_equal(idset_common(&a, &b, &id), cases[i].common >= 0);
        assert_int_equal(idset_common(&b, &a, &id), cases[i].common >= 0);
        if (cases[i].common >= 0) {
            assert_int_equal(id, cases[i].common);
            assert_int_equal(idset_merge(&a, &b, &id), -EEXIST);
        }
        idset_fini(&a);
        idset_fini(&b);
        hq_ranges_fini(&ra);
        hq_ranges_fini(&rb);
    }
}

/* Random lists against a plain table. */
static void
agrees_with_a_table(void **state)
{
    (void)state;
    struct hq_rng rng;
    hq_rng_init(&rng, 42);
    for (int round = 0; round < 200; round++) {
        uint32_t where[256];
        uint32_t list[128];
        uint32_t n = 0;
        for (uint32_t i = 0; i < 256; i++) {
            where[i] = UINT32_MAX;
        }
        while (n < 100) {
            uint32_t id = (uint32_t)hq_rng_below(&rng, 256);
            if (where[id] == UINT32_MAX) {
                where[id] = n;
                list[n++] = id;
            }
        }
        struct idset s = {0};
        uint32_t *order = NULL;
        uint32_t bad;
        assert_int_equal(idset_build_list(&s, list, n, 0, &order, &bad), 0);
        uint32_t pos = 0;
        for (uint32_t id = 0; id < 256; id++) {
            uint32_t at;
            assert_int_equal(idset_find(&s, id, &at), where[id] != UINT32_MAX);
            if (where[id] != UINT32_MAX) {
                assert_int_equal(at, pos);
                assert_int_equal(order == NULL ? pos : order[pos], where[id]);
                pos++;
            }
        }
        free(order);
        idset_fini(&s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds), cmocka_unit_test(refuses_an_id_twice), cmocka_unit_test(finds_both_ways),
        cmocka_unit_test(merges), cmocka_unit_test(sees_common_ids),     cmocka_unit_test(agrees_with_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
