/* ref_alloc.c - choose groups by trying all, take values by walking over all. */
#include "tests/unit/ref_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool
is_grouped(const struct ref_worker *w, const struct ref_want *want)
{
    return w->pools[want->pool].groups > 1 && want->policy != HQ_POLICY_ALL && want->policy != HQ_POLICY_SCATTER;
}

static int
free_in(const struct ref_pool *p, int group, bool is_empty)
{
    int count = 0;

    for (int v = 0; v < p->values; v++) {
        count += (group < 0 || p->group_of[v] == group) && (is_empty || p->left[v] == 10000);
    }
    return count;
}

/* The broken value of the group with the least that still holds `fraction`; with `largest`: with the most. -1: none. */
static int
broken_in(const struct ref_pool *p, int group, unsigned fraction, bool largest)
{
    int best = -1;

    for (int v = 0; v < p->values; v++) {
        if ((group >= 0 && p->group_of[v] != group) || p->left[v] == 0 || p->left[v] == 10000 || p->left[v] < fraction) {
            continue;
        }
        if (best < 0 || (largest ? p->left[v] > p->left[best] : p->left[v] <= p->left[best])) {
            best = v;
        }
    }
    return best;
}

/* Can the chosen groups (bits) hold the amount? */
static bool
holds(const struct ref_pool *p, unsigned bits, unsigned amount, bool is_empty)
{
    int whole = 0;
    bool has_broken = false;

    for (int g = 0; g < p->groups; g++) {
        if (bits >> g & 1) {
            whole += free_in(p, g, is_empty);
            has_broken = has_broken || (!is_empty && broken_in(p, g, amount % 10000, false) >= 0);
        }
    }
    int need = (int)(amount / 10000);
    return whole > need || (whole == need && (amount % 10000 == 0 || has_broken));
}

/* -1024 per group and the couplings, times 320000; and the fit beside it. */
static int64_t
score_of(const struct ref_worker *w, const struct ref_want *wants, int count, const unsigned *bits, int64_t *ret_fit)
{
    int64_t base = 0, fit = 0;

    for (int i = 0; i < count; i++) {
        const struct ref_pool *p = &w->pools[wants[i].pool];
        int64_t free_count = 0;
        unsigned broken = 0;
        for (int g = 0; g < p->groups && bits[i] != 0; g++) {
            if (bits[i] >> g & 1) {
                int v = broken_in(p, g, wants[i].amount % 10000, true);
                base -= 1024 * INT64_C(320000);
                free_count += free_in(p, g, false);
                broken = v >= 0 && p->left[v] > broken ? p->left[v] : broken;
            }
        }
        fit += bits[i] == 0 ? 0 : wants[i].amount % 10000 != 0 ? (int64_t)broken * 512 : free_count * -10000;
    }
    for (int c = 0; c < w->coupling_count; c++) {
        bool end[2] = {false, false};
        for (int i = 0; i < count; i++) {
            for (int e = 0; e < 2; e++) {
                end[e] = end[e] || (w->couplings[c].pool[e] == wants[i].pool && bits[i] >> w->couplings[c].group[e] & 1);
            }
        }
        base += end[0] && end[1] ? w->couplings[c].weight * INT64_C(320000) : 0;
    }
    *ret_fit = fit;
    return base;
}

/* Does `a` have the lower groups? */
static bool
is_lower(const unsigned *a, const unsigned *b, int count)
{
    for (int i = 0; i < count; i++) {
        for (int g = 0; g < REF_GROUPS; g++) {
            unsigned x = a[i] >> g & 1, y = b[i] >> g & 1;
            if (x != y) {
                return x > y;
            }
        }
    }
    return false;
}

/* All choices of groups for all wants together (at most two): the best one, or false. */
static bool
choose(const struct ref_worker *w, const struct ref_want *wants, int count, unsigned *best)
{
    int64_t best_score = INT64_MIN, best_base = INT64_MIN, empty_base = INT64_MIN;
    bool is_strict = false, found = false;
    unsigned top[2] = {1, 1};

    for (int i = 0; i < count; i++) {
        top[i] = is_grouped(w, &wants[i]) ? 1U << w->pools[wants[i].pool].groups : 1;
        is_strict = is_strict || (top[i] > 1 && (wants[i].policy == HQ_POLICY_FORCE_COMPACT ||
                                                 wants[i].policy == HQ_POLICY_FORCE_TIGHT));
    }
    for (unsigned a = 0; a < top[0]; a++) {
        for (unsigned b = 0; b < top[1]; b++) {
            unsigned bits[2] = {a, b};
            bool now = true, empty = true, wasted = false;
            for (int i = 0; i < count; i++) {
                const struct ref_pool *p = &w->pools[wants[i].pool];
                now = now && (top[i] == 1 || holds(p, bits[i], wants[i].amount, false));
                empty = empty && (top[i] == 1 || holds(p, bits[i], wants[i].amount, true));
                for (int g = 0; g < p->groups; g++) { /* a group that gives nothing is no choice */
                    wasted = wasted || ((bits[i] >> g & 1) && free_in(p, g, false) == 0 &&
                                        (wants[i].amount % 10000 == 0 || broken_in(p, g, wants[i].amount % 10000, false) < 0));
                }
            }
            int64_t fit, base = score_of(w, wants, count, bits, &fit);
            empty_base = empty && base > empty_base ? base : empty_base;
            if (!now || wasted) {
                continue;
            }
            int64_t score = is_strict ? base * 10000 + fit : base + fit;
            best_base = base > best_base ? base : best_base;
            if (!found || score > best_score || (score == best_score && is_lower(bits, best, count))) {
                memcpy(best, bits, sizeof bits);
                best_score = score;
                found = true;
            }
        }
    }
    return found && (!is_strict || best_base + 1 >= empty_base);
}

static void
take_value(struct ref_pool *p, struct ref_grant *g, int v)
{
    assert_int_equal(10000, p->left[v]);
    p->left[v] = 0;
    g->v[g->count++] = v;
}

static int
last_free(const struct ref_pool *p, int group)
{
    for (int v = p->values - 1; v >= 0; v--) {
        if (p->group_of[v] == group && p->left[v] == 10000) {
            return v;
        }
    }
    return -1;
}

static bool
take_fraction(struct ref_pool *p, struct ref_grant *g, int group, unsigned fraction)
{
    int v = broken_in(p, group, fraction, false);

    if (v < 0) {
        v = p->groups == 1 && p->stacked > 0 ? p->stack[--p->stacked] : last_free(p, group);
    }
    if (v < 0) {
        return false;
    }
    p->left[v] -= fraction;
    g->v[g->count++] = v;
    g->fraction = fraction;
    return true;
}

static int
compare_int(const void *a, const void *b)
{
    const int *x = a, *y = b;

    return *x - *y;
}

static void
take_round(struct ref_pool *p, struct ref_grant *grant, unsigned bits, unsigned amount)
{
    int g = 0;

    for (unsigned taken = 0; taken < amount / 10000; g = (g + 1) % p->groups) {
        int v = bits >> g & 1 ? last_free(p, g) : -1;
        if (v >= 0) {
            take_value(p, grant, v);
            taken++;
        }
    }
    qsort(grant->v, (size_t)grant->count, sizeof(grant->v[0]), compare_int);
    while (amount % 10000 != 0 && !((bits >> g & 1) && take_fraction(p, grant, g, amount % 10000))) {
        g = (g + 1) % p->groups;
    }
}

static void
take_tight(struct ref_pool *p, struct ref_grant *grant, unsigned bits, unsigned amount)
{
    while (amount > 0) {
        int biggest = -1, rest = -1;
        for (int g = 0; g < p->groups; g++) {
            if (!(bits >> g & 1)) {
                continue;
            }
            if (holds(p, 1U << g, amount, false) && (rest < 0 || free_in(p, g, false) < free_in(p, rest, false))) {
                rest = g;
            }
            if (biggest < 0 || free_in(p, g, false) >= free_in(p, biggest, false)) {
                biggest = g;
            }
        }
        int from = rest >= 0 ? rest : biggest, v;
        while (amount >= 10000 && (v = last_free(p, from)) >= 0) {
            take_value(p, grant, v);
            amount -= 10000;
        }
        if (rest >= 0 && amount > 0) {
            assert_true(take_fraction(p, grant, from, amount));
            amount = 0;
        }
    }
}

static void
take_pool(struct ref_pool *p, struct ref_grant *grant, const struct ref_want *want, unsigned bits)
{
    unsigned amount = want->amount;

    if (p->groups == 1) {
        for (unsigned i = 0; i < amount / 10000; i++) {
            take_value(p, grant, p->stack[--p->stacked]);
        }
        assert_true(amount % 10000 == 0 || take_fraction(p, grant, 0, amount % 10000));
    } else if (want->policy == HQ_POLICY_ALL) {
        for (int v = 0; v < p->values; v++) {
            take_value(p, grant, v);
        }
    } else if (want->policy == HQ_POLICY_TIGHT || want->policy == HQ_POLICY_FORCE_TIGHT) {
        take_tight(p, grant, bits, amount);
    } else {
        take_round(p, grant, want->policy == HQ_POLICY_SCATTER ? ~0U : bits, amount);
    }
}

enum indices_take
ref_take(struct ref_worker *w, struct ref_want *wants, int count, struct ref_grant *grants)
{
    unsigned bits[2] = {0, 0};
    enum indices_take rc = INDICES_TAKEN;

    for (int i = 0; i < count; i++) {
        const struct ref_pool *p = &w->pools[wants[i].pool];
        unsigned total = 0, size = (unsigned)p->values * 10000;
        wants[i].amount = wants[i].policy == HQ_POLICY_ALL ? size : wants[i].amount;
        if (wants[i].amount > size) {
            return INDICES_NEVER;
        }
        for (int v = 0; v < p->values; v++) {
            total += p->left[v];
        }
        int most = broken_in(p, -1, 0, true);
        unsigned fraction = wants[i].amount % 10000 == 0 || most < 0 ? 0 : p->left[most];
        if (wants[i].amount > total) {
            rc = INDICES_BUSY;
        } else if (rc == INDICES_TAKEN && wants[i].amount > (unsigned)free_in(p, -1, false) * 10000 + fraction) {
            rc = INDICES_REFUSED;
        }
    }
    if (rc != INDICES_TAKEN) {
        return rc;
    }
    if (!choose(w, wants, count, bits)) {
        return INDICES_REFUSED;
    }
    for (int i = 0; i < count; i++) {
        grants[i] = (struct ref_grant){.pool = wants[i].pool};
        take_pool(&w->pools[wants[i].pool], &grants[i], &wants[i], bits[i]);
    }
    return INDICES_TAKEN;
}

void
ref_give(struct ref_worker *w, const struct ref_grant *grant)
{
    struct ref_pool *p = &w->pools[grant->pool];

    for (int k = grant->count - 1; k >= 0; k--) {
        int v = grant->v[k];
        p->left[v] += grant->fraction > 0 && k == grant->count - 1 ? grant->fraction : 10000;
        if (p->left[v] == 10000 && p->groups == 1) {
            p->stack[p->stacked++] = v;
        }
    }
}
