/* test_policies.c - every policy against a reference that tries all choices of groups (ref_alloc.c): small machines, random
 * streams, each answer and each list of values the same. */
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
#include "tests/unit/ref_alloc.h"

enum { HELD = 12 };

static void
ref_init(struct ref_worker *w, struct hq_rng *rng)
{
    static const char *const names[REF_POOLS] = {"cpus", "gpus"};

    *w = (struct ref_worker){.count = REF_POOLS};
    for (int i = 0; i < REF_POOLS; i++) {
        struct ref_pool *p = &w->pools[i];
        p->name = names[i];
        p->groups = (int)hq_rng_below(rng, REF_GROUPS) + 1;
        for (int g = 0; g < p->groups; g++) {
            p->size[g] = (int)hq_rng_below(rng, REF_VALUES / REF_GROUPS) + 1;
            for (int k = 0; k < p->size[g]; k++) {
                p->left[p->values] = 10000;
                p->stack[p->values] = p->values;
                p->group_of[p->values++] = g;
            }
        }
        p->stacked = p->groups == 1 ? p->values : 0;
    }
    for (int c = 0; c < REF_COUPLINGS && w->pools[0].groups > 1 && w->pools[1].groups > 1; c++) {
        static const int weights[] = {1, 256, 256, 1000, 3000};
        struct ref_coupling made = {.pool = {0, (int)hq_rng_below(rng, REF_POOLS)}, .weight = weights[hq_rng_below(rng, 5)]};
        bool is_known = false;
        for (int e = 0; e < 2; e++) {
            made.group[e] = (int)hq_rng_below(rng, (uint64_t)w->pools[made.pool[e]].groups);
        }
        for (int k = 0; k < w->coupling_count; k++) {
            is_known = is_known || (memcmp(w->couplings[k].pool, made.pool, sizeof made.pool) == 0 &&
                                    memcmp(w->couplings[k].group, made.group, sizeof made.group) == 0);
        }
        if (!is_known) {
            w->couplings[w->coupling_count++] = made;
        }
    }
}

static struct indices *
make_real(const struct ref_worker *w)
{
    struct hq_pool pools[REF_POOLS];
    struct hq_coupling couplings[REF_COUPLINGS];
    struct hq_pools all = {.v = pools, .count = REF_POOLS, .couplings = couplings, .coupling_count = (size_t)w->coupling_count};
    struct hq_arena arena;
    struct hq_err err = {0};
    struct indices *ix = NULL;

    hq_arena_init(&arena, 0);
    for (int i = 0; i < REF_POOLS; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        const struct ref_pool *p = &w->pools[i];
        for (int v = 0; v < p->values; v++) {
            bool is_first = v == 0 || p->group_of[v] != p->group_of[v - 1];
            hq_buf_printf(&text, "%s%d", v == 0 ? "[[" : is_first ? "],[" : ",", v);
        }
        hq_buf_cstr(&text, "]]");
        assert_int_equal(0, hq_pool_parse(&pools[i], hq_str_from(p->name), hq_buf_view(&text), i == 0, &arena, &err));
    }
    for (int c = 0; c < w->coupling_count; c++) {
        const struct ref_coupling *from = &w->couplings[c];
        couplings[c] = (struct hq_coupling){.resource1_ix = (uint32_t)from->pool[0],
                                            .group1_ix = (uint32_t)from->group[0],
                                            .resource2_ix = (uint32_t)from->pool[1],
                                            .group2_ix = (uint32_t)from->group[1],
                                            .weight = (uint32_t)from->weight};
    }
    assert_int_equal(0, indices_create(&ix, &all, &err));
    hq_arena_fini(&arena);
    return ix;
}

static enum indices_take
real_take(struct indices *ix, const struct ref_worker *w, const struct ref_want *wants, int count, struct allocation **ret)
{
    struct hq_request_entry entries[REF_POOLS];
    struct hq_variant v = {.entries = entries, .entry_count = (size_t)count, .weight_x10000 = 10000};

    for (int i = 0; i < count; i++) {
        entries[i] = (struct hq_request_entry){
            .name = hq_str_from(w->pools[wants[i].pool].name), .amount = wants[i].amount, .policy = wants[i].policy};
    }
    return indices_take(ix, &v, ret);
}

static unsigned
random_amount(struct hq_rng *rng)
{
    static const unsigned parts[] = {1, 2500, 5000, 7500, 9999};
    unsigned whole = (unsigned)hq_rng_below(rng, 7) * 10000;

    return hq_rng_chance(rng, 2, 3) ? whole + 10000 : whole + parts[hq_rng_below(rng, HQ_ARRAY_LEN(parts))];
}

struct held {
    struct allocation *real;
    struct ref_grant grants[REF_POOLS];
    int count;
};

static void
check_same(uint64_t seed, int step, const struct allocation *real, const struct ref_grant *grants, int count)
{
    assert_int_equal(count, real->entry_count);
    for (int i = 0; i < count; i++) {
        const struct allocation_entry *e = &real->entries[i];
        bool is_same = e->value_count == (uint32_t)grants[i].count && e->fraction == grants[i].fraction;
        for (int k = 0; is_same && k < grants[i].count; k++) {
            is_same = e->value_ix[k] == (uint32_t)grants[i].v[k];
        }
        if (!is_same) {
            fail_msg("seed %llu step %d entry %d: other values", (unsigned long long)seed, step, i);
        }
    }
}

static void
step_take(struct indices *ix, struct ref_worker *w, struct hq_rng *rng, struct held *h, uint64_t seed, int step,
          unsigned counts[5])
{
    static const enum hq_policy policies[] = {HQ_POLICY_COMPACT, HQ_POLICY_FORCE_COMPACT, HQ_POLICY_TIGHT,
                                              HQ_POLICY_FORCE_TIGHT, HQ_POLICY_SCATTER, HQ_POLICY_ALL};
    struct ref_want wants[REF_POOLS] = {0};

    h->count = (int)hq_rng_below(rng, REF_POOLS) + 1;
    for (int i = 0; i < h->count; i++) {
        bool rarely_all = hq_rng_chance(rng, 1, 12);
        wants[i] = (struct ref_want){.pool = h->count == 1 ? (int)hq_rng_below(rng, REF_POOLS) : i,
                                     .amount = random_amount(rng),
                                     .policy = rarely_all ? HQ_POLICY_ALL : policies[hq_rng_below(rng, 5)]};
    }
    enum indices_take got = real_take(ix, w, wants, h->count, &h->real);
    enum indices_take want = ref_take(w, wants, h->count, h->grants);
    if (got != want) {
        fail_msg("seed %llu step %d: %d instead of %d", (unsigned long long)seed, step, (int)got, (int)want);
    }
    counts[got]++;
    if (got == INDICES_TAKEN) {
        check_same(seed, step, h->real, h->grants, h->count);
    } else {
        h->real = NULL;
    }
}

static void
test_against_reference(void **state)
{
    unsigned counts[5] = {0};

    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct held held[HELD] = {0};
        struct ref_worker w;
        struct hq_rng rng;
        hq_rng_init(&rng, seed);
        ref_init(&w, &rng);
        struct indices *ix = make_real(&w);
        for (int step = 0; step < 150; step++) {
            struct held *h = &held[hq_rng_below(&rng, HELD)];
            if (h->real == NULL) {
                step_take(ix, &w, &rng, h, seed, step, counts);
                continue;
            }
            indices_give(ix, h->real);
            h->real = NULL;
            for (int i = 0; i < h->count; i++) {
                ref_give(&w, &h->grants[i]);
            }
        }
        for (int i = 0; i < HELD; i++) {
            indices_give(ix, held[i].real);
        }
        assert_true(indices_is_all_free(ix));
        indices_destroy(ix);
    }
    for (int rc = INDICES_TAKEN; rc <= INDICES_NEVER; rc++) { /* else the streams are too easy */
        assert_true(counts[rc] > 500);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_reference)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
