/* test_indices.c - the worked tables of spec/workers.md section 10, and random streams that must lose nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/rng.h"
#include "hq-workerd/core/indices.h"

/* A worker from "name=kind" texts, at most 8 of them, already in order of their names. */
static struct indices *
make_worker(const char *const *pools_text, const char *coupling)
{
    struct hq_arena arena;
    struct hq_pool v[8];
    struct hq_pools pools = {.v = v};
    struct hq_err err = {0};
    struct indices *ix = NULL;

    hq_arena_init(&arena, 0);
    for (; pools_text[pools.count] != NULL; pools.count++) {
        struct hq_str kind = hq_str_from(pools_text[pools.count]), name;
        assert_true(hq_str_split(&kind, '=', &name));
        assert_int_equal(0, hq_pool_parse(&v[pools.count], name, kind, hq_str_is(name, "cpus"), &arena, &err));
    }
    if (coupling != NULL) {
        assert_int_equal(0, hq_coupling_parse(&pools, hq_str_from(coupling), &arena, &err));
    }
    assert_int_equal(0, indices_create(&ix, &pools, &err));
    hq_arena_fini(&arena);
    return ix;
}

/* Takes "cpus=4 compact" (several separated by "; "). */
static enum indices_take
take(struct indices *ix, const char *request, struct allocation **ret)
{
    struct hq_arena arena;
    struct hq_request_entry entries[8];
    struct hq_variant v = {.entries = entries, .weight_x10000 = 10000};
    struct hq_str rest = hq_str_from(request), one;
    struct hq_err err = {0};

    hq_arena_init(&arena, 0);
    for (bool more = true; more;) {
        more = hq_str_split(&rest, ';', &one);
        assert_int_equal(0, hq_request_parse_entry(hq_str_trim(one), &entries[v.entry_count++], &arena, &err));
    }
    enum indices_take rc = indices_take(ix, &v, ret);
    hq_arena_fini(&arena);
    return rc;
}

static void
print_values(const struct indices *ix, const struct allocation *a, size_t entry, struct hq_buf *out)
{
    for (uint32_t k = 0; k < a->entries[entry].value_count; k++) {
        if (k > 0) {
            hq_buf_byte(out, ',');
        }
        hq_buf_str(out, indices_value(ix, &a->entries[entry], k));
    }
}

static void
expect_take(struct indices *ix, const char *request, const char *values, struct allocation **ret)
{
    struct hq_buf text = HQ_BUF_INIT;

    if (take(ix, request, ret) != INDICES_TAKEN) {
        fail_msg("%s: not taken", request);
    }
    print_values(ix, *ret, 0, &text);
    if (!hq_str_is(hq_buf_view(&text), values)) {
        fail_msg("%s: got %s instead of %s", request, text.ptr, values);
    }
    hq_buf_fini(&text);
}

static void
test_three_free_groups(void **state)
{
    static const struct {
        const char *request, *values;
    } rows[] = {
        {"cpus=1", "3"},
        {"cpus=3", "1,2,3"},
        {"cpus=3 tight", "3,2,1"},
        {"cpus=3 scatter", "3,7,11"},
        {"cpus=4 compact", "0,1,2,3"},
        {"cpus=4 compact!", "0,1,2,3"},
        {"cpus=4 tight", "3,2,1,0"},
        {"cpus=4 tight!", "3,2,1,0"},
        {"cpus=4 scatter", "2,3,7,11"},
        {"cpus=6", "1,2,3,5,6,7"},
        {"cpus=6 tight", "7,6,5,4,3,2"},
        {"cpus=6 scatter", "2,3,6,7,10,11"},
        {"cpus=9", "1,2,3,5,6,7,9,10,11"},
        {"cpus=9 tight", "11,10,9,8,7,6,5,4,3"},
        {"cpus=9 scatter", "1,2,3,5,6,7,9,10,11"},
        {"cpus=2.5", "2,3,1"},
        {"cpus=2.5 tight", "3,2,1"},
        {"cpus=2.5 scatter", "3,7,11"},
        {"cpus=4.5", "2,3,6,7,1"},
        {"cpus=4.5 tight", "7,6,5,4,3"},
        {"cpus=4.5 scatter", "2,3,7,11,6"},
        {"cpus=all", "0,1,2,3,4,5,6,7,8,9,10,11"},
        {"cpus=0.5", "3"},
    };
    static const char *const worker[] = {"cpus=3x4", NULL};

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct allocation *a;
        expect_take(ix, rows[i].request, rows[i].values, &a);
        assert_false(indices_is_all_free(ix));
        indices_give(ix, a);
        assert_true(indices_is_all_free(ix));
    }
    indices_destroy(ix);
}

static void
test_one_group(void **state)
{
    static const char *const worker[] = {"cpus=range(0-3)", "gpus/nvidia=[0,1,2,x]", "mem=sum(100)", NULL};
    struct allocation *a, *b, *c;

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    expect_take(ix, "cpus=4 scatter", "3,2,1,0", &a);
    assert_int_equal(INDICES_BUSY, take(ix, "cpus=0.1", &b));
    indices_give(ix, a);
    expect_take(ix, "cpus=1", "3", &a);
    expect_take(ix, "cpus=1", "2", &b);
    indices_give(ix, a); /* the one released last comes first */
    expect_take(ix, "cpus=1", "3", &a);
    indices_give(ix, b);
    expect_take(ix, "cpus=2", "2,1", &b);
    indices_give(ix, b);
    indices_give(ix, a);
    expect_take(ix, "gpus/nvidia=1.5", "x,2", &a);
    expect_take(ix, "gpus/nvidia=0.5", "2", &b); /* the broken one is filled before another is broken */
    assert_int_equal(INDICES_BUSY, take(ix, "gpus/nvidia=all", &c));
    indices_give(ix, a);
    indices_give(ix, b);
    expect_take(ix, "gpus/nvidia=all", "2,x,1,0", &c);
    indices_give(ix, c);
    assert_true(indices_is_all_free(ix));
    indices_destroy(ix);
}

static void
test_fractions(void **state)
{
    static const char *const worker[] = {"cpus=range(0-3)", NULL};
    struct allocation *a, *b, *c, *d, *e;

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    expect_take(ix, "cpus=0.5", "3", &a);
    expect_take(ix, "cpus=0.75", "2", &b); /* does not fit the half */
    expect_take(ix, "cpus=0.25", "2", &c); /* the quarter fits best */
    expect_take(ix, "cpus=0.25", "3", &d);
    expect_take(ix, "cpus=2", "1,0", &e);
    struct allocation *f;
    expect_take(ix, "cpus=0.25", "3", &f);
    indices_give(ix, e);
    indices_give(ix, c);
    indices_give(ix, d);
    /* 2 and 3 each have a quarter: together a half, but of two values */
    expect_take(ix, "cpus=2", "1,0", &e);
    assert_int_equal(INDICES_REFUSED, take(ix, "cpus=0.5", &c));
    expect_take(ix, "cpus=0.25", "3", &c);
    indices_give(ix, c);
    indices_give(ix, f);
    indices_give(ix, e);
    indices_give(ix, b);
    indices_give(ix, a);
    assert_true(indices_is_all_free(ix));
    indices_destroy(ix);
}

static void
test_all_needs_everything(void **state)
{
    static const char *const worker[] = {"cpus=2x2", "mem=sum(100.5)", NULL};
    struct allocation *a, *b;

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    assert_int_equal(INDICES_TAKEN, take(ix, "cpus=1; mem=0.5", &a));
    assert_int_equal(INDICES_BUSY, take(ix, "cpus=all", &b));
    assert_int_equal(INDICES_BUSY, take(ix, "mem=all", &b));
    assert_int_equal(INDICES_TAKEN, take(ix, "mem=100", &b));
    assert_int_equal(0, b->entries[0].value_count);
    indices_give(ix, b);
    indices_give(ix, a);
    assert_int_equal(INDICES_TAKEN, take(ix, "cpus=all; mem=all", &a));
    assert_int_equal(1005000, a->entries[1].amount);
    indices_give(ix, a);
    assert_int_equal(INDICES_NEVER, take(ix, "cpus=5", &a));
    assert_int_equal(INDICES_NEVER, take(ix, "cpus=1; mem=101", &a));
    assert_int_equal(INDICES_NEVER, take(ix, "foo=1", &a));
    assert_true(indices_is_all_free(ix));
    indices_destroy(ix);
}

/* Free values per group [1,3,4]. */
static void
test_best_fit(void **state)
{
    static const struct {
        const char *request, *values;
    } rows[] = {
        {"cpus=1", "0"},         {"cpus=3", "4,5,6"},          {"cpus=5", "0,8,9,10,11"},
        {"cpus=6", "4,5,6,9,10,11"}, {"cpus=6 tight", "11,10,9,8,6,5"}, {"cpus=8", "0,4,5,6,8,9,10,11"},
    };
    static const char *const worker[] = {"cpus=3x4", NULL};
    struct allocation *a, *b, *c;

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    expect_take(ix, "cpus=3", "1,2,3", &a);
    expect_take(ix, "cpus=4", "4,5,6,7", &b);
    indices_give(ix, b);
    expect_take(ix, "cpus=2 scatter", "0,7", &b); /* group 0 has one left, then group 1 */
    indices_give(ix, b);
    expect_take(ix, "cpus=1 compact", "0", &b); /* best fit */
    expect_take(ix, "cpus=1 compact", "7", &c);
    indices_give(ix, b);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        expect_take(ix, rows[i].request, rows[i].values, &b);
        indices_give(ix, b);
    }
    indices_give(ix, a);
    indices_give(ix, c);
    assert_true(indices_is_all_free(ix));
    indices_destroy(ix);
}

static void
test_strict(void **state)
{
    static const char *const two[] = {"cpus=2x4", NULL};
    static const char *const three[] = {"cpus=3x4", NULL};
    static const char *const unequal[] = {"cpus=[[0,1,2,3],[4,5,6,7,8,9,10,11,12,13,14,15]]", NULL};
    struct allocation *a, *b, *c;

    (void)state;
    struct indices *ix = make_worker(two, NULL);
    expect_take(ix, "cpus=3 compact!", "1,2,3", &a);
    expect_take(ix, "cpus=3 compact!", "5,6,7", &b);
    assert_int_equal(INDICES_REFUSED, take(ix, "cpus=2 compact!", &c));
    assert_int_equal(INDICES_REFUSED, take(ix, "cpus=2 tight!", &c));
    expect_take(ix, "cpus=2 compact", "0,4", &c);
    indices_give(ix, c);
    indices_give(ix, b);
    expect_take(ix, "cpus=2 compact!", "6,7", &b);
    indices_give(ix, a);
    indices_give(ix, b);
    indices_destroy(ix);

    ix = make_worker(three, NULL);
    expect_take(ix, "cpus=5 compact!", "1,2,3,6,7", &a); /* two groups */
    assert_int_equal(INDICES_REFUSED, take(ix, "cpus=7 compact!", &b)); /* free [1,2,4] */
    indices_give(ix, a);
    expect_take(ix, "cpus=10 compact!", "0,1,2,3,5,6,7,9,10,11", &a);
    indices_give(ix, a);
    indices_destroy(ix);

    ix = make_worker(unequal, NULL); /* the small group busy: the large one is as good, one group is one group */
    expect_take(ix, "cpus=4 compact!", "0,1,2,3", &a);
    expect_take(ix, "cpus=2 compact!", "14,15", &b);
    indices_give(ix, a);
    indices_give(ix, b);
    indices_destroy(ix);
}

/* Four groups of 6 with 4, 4, 3 and 3 taken: the threes share a group. How many groups does a request get then? */
static void
test_groups_used(void **state)
{
    static const struct {
        const char *request;
        size_t groups;
    } rows[] = {{"cpus=6", 1}, {"cpus=7", 2}, {"cpus=8", 2}, {"cpus=9", 3}, {"cpus=6 tight", 1}, {"cpus=8 tight", 2}, {"cpus=9 tight", 3}};
    static const char *const worker[] = {"cpus=4x6", NULL};
    static const char *const taken[] = {"cpus=4", "cpus=4", "cpus=3", "cpus=3"};
    struct allocation *held[4], *a;

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    for (size_t i = 0; i < HQ_ARRAY_LEN(taken); i++) {
        assert_int_equal(INDICES_TAKEN, take(ix, taken[i], &held[i]));
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        unsigned seen = 0;
        assert_int_equal(INDICES_TAKEN, take(ix, rows[i].request, &a));
        for (uint32_t k = 0; k < a->entries[0].value_count; k++) {
            seen |= 1U << a->entries[0].value_ix[k] / 6;
        }
        assert_int_equal(rows[i].groups, __builtin_popcount(seen));
        indices_give(ix, a);
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(taken); i++) {
        indices_give(ix, held[i]);
    }
    assert_true(indices_is_all_free(ix));
    indices_destroy(ix);
}

static void
test_coupling(void **state)
{
    static const char *const worker[] = {"cpus=3x4", "gpus=3x2", NULL};
    struct allocation *a, *b, *c, *d;

    (void)state;
    for (int coupled = 0; coupled < 2; coupled++) {
        struct indices *ix =
            make_worker(worker, coupled ? "cpus[0]:gpus[0],cpus[1]:gpus[1],cpus[2]:gpus[2]" : NULL);
        expect_take(ix, "cpus=8", "0,1,2,3,4,5,6,7", &a);
        expect_take(ix, "cpus=4", "8,9,10,11", &b);
        indices_give(ix, a); /* free cpus [4,4,0] */
        expect_take(ix, "gpus=2", "0,1", &a); /* free gpus [0,2,2] */
        enum indices_take rc = take(ix, "cpus=8 compact!; gpus=4 compact!", &c);
        assert_int_equal(coupled ? INDICES_REFUSED : INDICES_TAKEN, rc);
        if (!coupled) {
            indices_give(ix, c);
        }
        /* the pair that belongs together is taken, though the lower group of cpus is free too */
        expect_take(ix, "cpus=2; gpus=2", coupled ? "6,7" : "2,3", &d);
        indices_give(ix, d);
        indices_give(ix, a);
        indices_give(ix, b);
        assert_true(indices_is_all_free(ix));
        indices_destroy(ix);
    }
}

/* Random requests against a plain count of who holds what: no value twice, nothing lost, refusals only with a reason. */
static void
test_random_streams(void **state)
{
    static const char *const worker[] = {"cpus=[[0,1,2,3],[4,5],[6,7,8,9,10,11],[12]]", "gpus=range(0-3)", "mem=sum(50)",
                                         NULL};
    static const char *const policies[] = {"compact", "compact!", "tight", "tight!", "scatter"};
    enum { HELD = 24 };

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct indices *ix = make_worker(worker, seed % 2 ? NULL : "cpus[0]:cpus[2]=2000,cpus[1]:cpus[3]");
        struct allocation *held[HELD] = {0};
        uint64_t used_cpu[13] = {0}, used_gpu[4] = {0}, used_mem = 0, used_cpus = 0;
        struct hq_rng rng;
        hq_rng_init(&rng, seed);
        for (int step = 0; step < 400; step++) {
            size_t at = hq_rng_below(&rng, HELD);
            bool is_give = held[at] != NULL;
            uint64_t cpus = hq_rng_chance(&rng, 1, 2) ? (uint64_t)hq_rng_between(&rng, 1, 6) * 10000 : hq_rng_below(&rng, 60000) + 1;
            uint64_t gpus = hq_rng_below(&rng, 15000) + 1, mem = hq_rng_below(&rng, 200000) + 1;
            if (!is_give) {
                char request[200];
                (void)snprintf(request, sizeof request, "cpus=%u.%04u %s; gpus=%u.%04u; mem=%u.%04u",
                               (unsigned)(cpus / 10000), (unsigned)(cpus % 10000), policies[hq_rng_below(&rng, 5)],
                               (unsigned)(gpus / 10000), (unsigned)(gpus % 10000), (unsigned)(mem / 10000),
                               (unsigned)(mem % 10000));
                enum indices_take rc = take(ix, request, &held[at]);
                if (rc == INDICES_BUSY) {
                    uint64_t used_gpus = used_gpu[0] + used_gpu[1] + used_gpu[2] + used_gpu[3];
                    assert_true(used_cpus + cpus > 130000 || used_gpus + gpus > 40000 || used_mem + mem > 500000);
                }
                if (rc != INDICES_TAKEN) {
                    held[at] = NULL;
                    continue;
                }
            }
            struct allocation *a = held[at];
            for (size_t i = 0; i < 2; i++) {
                const struct allocation_entry *e = &a->entries[i];
                uint64_t *used = i == 0 ? used_cpu : used_gpu, sum = 0;
                for (uint32_t k = 0; k < e->value_count; k++) {
                    uint64_t part = e->fraction > 0 && k + 1 == e->value_count ? e->fraction : 10000;
                    sum += part;
                    used[e->value_ix[k]] += is_give ? -part : part;
                    assert_true(used[e->value_ix[k]] <= 10000);
                }
                assert_int_equal(e->amount, sum);
            }
            used_cpus += is_give ? -a->entries[0].amount : a->entries[0].amount;
            used_mem += is_give ? -a->entries[2].amount : a->entries[2].amount;
            assert_true(used_mem <= 500000);
            if (is_give) {
                indices_give(ix, a);
                held[at] = NULL;
            }
        }
        for (size_t i = 0; i < HELD; i++) {
            indices_give(ix, held[i]);
        }
        assert_true(indices_is_all_free(ix));
        indices_destroy(ix);
    }
}

/* Many groups: the search is cut off, and what it has by then still holds the request. */
static void
test_many_groups(void **state)
{
    static const char *const worker[] = {"cpus=128x3", NULL};
    struct allocation *a, *b;

    (void)state;
    struct indices *ix = make_worker(worker, NULL);
    assert_int_equal(INDICES_TAKEN, take(ix, "cpus=128 scatter", &b));
    assert_int_equal(INDICES_TAKEN, take(ix, "cpus=151", &a));
    assert_int_equal(151, a->entries[0].value_count);
    indices_give(ix, a);
    indices_give(ix, b);
    assert_true(indices_is_all_free(ix));
    indices_destroy(ix);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_free_groups), cmocka_unit_test(test_one_group),
        cmocka_unit_test(test_fractions),         cmocka_unit_test(test_all_needs_everything),
        cmocka_unit_test(test_best_fit),          cmocka_unit_test(test_strict),
        cmocka_unit_test(test_groups_used),
        cmocka_unit_test(test_coupling),          cmocka_unit_test(test_random_streams),
        cmocka_unit_test(test_many_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
