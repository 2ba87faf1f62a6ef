/* groups.c - which groups (sockets, NUMA nodes) serve a request.
 *
 * One decision for all compact and tight entries of a request: fewest groups, then strongest coupling, then best fit,
 * as one sum that is maximised (spec/workers.md section 10). A depth-first search over group after group tries "taken"
 * first, so that among equals the lowest groups win; a bound on what the rest can still bring cuts it short. Worst case
 * exponential, so it stops after INDICES_STEPS_MAX steps; a greedy choice found before is then what it has at least.
 * Without coupling and with up to about 16 groups it is exact. Cost O(groups) in the common case of one group each. */
#include "hq-workerd/core/indices_impl.h"

#include <string.h>

/* The sum in units of 1/320000, so that its parts are whole numbers. */
#define SCORE_GROUP (INT64_C(-1024) * 320000)
#define SCORE_WEIGHT INT64_C(320000)
#define SCORE_FREE INT64_C(-10000)           /* a 32nd per free value */
#define SCORE_BROKEN (INT64_C(16) * 320000 / (int64_t)HQ_AMOUNT_ONE) /* 16 per whole, counted in amounts */
#define SCORE_FIT_MAX (INT64_C(16) * 320000)

struct search {
    const struct indices *ix;
    const struct group_need *needs;
    size_t count;
    struct group_choice now;
    struct group_choice *best;
    bool is_empty;    /* look at the worker as if nothing ran */
    bool with_fit;    /* else groups and coupling alone */
    int64_t base_factor;
    int64_t coupling_max; /* of all couplings together */
    int64_t best_score;
    bool has_best;
    uint32_t steps;
};

bool
group_best_broken(const struct pool_state *p, const struct group *g, hq_amount fraction, uint32_t *ret_value)
{
    bool found = false;

    for (uint32_t v = g->first; v < g->first + g->size; v++) {
        if (p->left[v] > 0 && p->left[v] < HQ_AMOUNT_ONE && p->left[v] >= fraction &&
            (!found || p->left[v] <= p->left[*ret_value])) {
            *ret_value = v;
            found = true;
        }
    }
    return found;
}

hq_amount
group_largest_broken(const struct pool_state *p, const struct group *g)
{
    hq_amount largest = 0;

    for (uint32_t v = g->first; v < g->first + g->size; v++) {
        if (p->left[v] < HQ_AMOUNT_ONE) {
            largest = HQ_MAX(largest, p->left[v]);
        }
    }
    return largest;
}

static uint32_t
search_free(const struct search *s, const struct group *g)
{
    return s->is_empty ? g->size : g->free_count;
}

static hq_amount
search_broken(const struct search *s, const struct group_need *n, const struct group *g)
{
    hq_amount fraction = n->amount % HQ_AMOUNT_ONE;
    hq_amount largest = s->is_empty || fraction == 0 ? 0 : group_largest_broken(n->pool, g);

    return largest >= fraction ? largest : 0;
}

static bool
need_is_met(const struct group_need *n, uint64_t free_count, bool has_broken)
{
    uint64_t whole = n->amount / HQ_AMOUNT_ONE;

    if (n->amount % HQ_AMOUNT_ONE == 0) {
        return free_count >= whole;
    }
    return free_count > whole || (free_count == whole && has_broken);
}

static int64_t
search_coupling(const struct search *s)
{
    int64_t sum = 0;

    for (size_t i = 0; i < s->ix->coupling_count; i++) {
        const struct hq_coupling *c = &s->ix->couplings[i];
        bool first = false, second = false;
        for (size_t k = 0; k < s->count; k++) {
            first = first || (s->needs[k].pool_ix == c->resource1_ix && s->now.chosen[k][c->group1_ix] != 0);
            second = second || (s->needs[k].pool_ix == c->resource2_ix && s->now.chosen[k][c->group2_ix] != 0);
        }
        sum += first && second ? (int64_t)c->weight * SCORE_WEIGHT : 0;
    }
    return sum;
}

static int64_t
search_fit(const struct search *s)
{
    int64_t sum = 0;

    for (size_t k = 0; k < s->count; k++) {
        const struct group_need *n = &s->needs[k];
        hq_amount broken = 0;
        int64_t free_count = 0;
        for (uint32_t g = 0; g < n->pool->group_count; g++) {
            if (s->now.chosen[k][g] != 0) {
                broken = HQ_MAX(broken, search_broken(s, n, &n->pool->groups[g]));
                free_count += search_free(s, &n->pool->groups[g]);
            }
        }
        sum += n->amount % HQ_AMOUNT_ONE != 0 ? (int64_t)broken * SCORE_BROKEN : free_count * SCORE_FREE;
    }
    return sum;
}

static void
search_leaf(struct search *s, uint32_t chosen_count)
{
    int64_t score = ((int64_t)chosen_count * SCORE_GROUP + search_coupling(s)) * s->base_factor;

    if (s->with_fit) {
        score += search_fit(s);
    }
    if (s->has_best && score <= s->best_score) {
        return;
    }
    s->has_best = true;
    s->best_score = score;
    for (size_t k = 0; s->best != NULL && k < s->count; k++) {
        memcpy(s->best->chosen[k], s->now.chosen[k], s->needs[k].pool->group_count);
    }
}

/* Fewest further groups that could hold what is missing, if all were as large as the largest one left; UINT32_MAX: none. */
static uint32_t
search_missing(const struct search *s, const struct group_need *n, uint32_t group_ix, uint64_t free_count)
{
    uint64_t whole = n->amount / HQ_AMOUNT_ONE, largest = 0;

    if (free_count >= whole) {
        return 0;
    }
    for (uint32_t g = group_ix; g < n->pool->group_count; g++) {
        largest = HQ_MAX(largest, search_free(s, &n->pool->groups[g]));
    }
    return largest == 0 ? UINT32_MAX : (uint32_t)((whole - free_count + largest - 1) / largest);
}

/* One step: group `group_ix` of need `need_ix` taken or not. */
static void
search_visit(struct search *s, size_t need_ix, uint32_t group_ix, uint64_t free_count, bool has_broken,
             uint32_t chosen_count)
{
    if (++s->steps > INDICES_STEPS_MAX) {
        return;
    }
    if (need_ix == s->count) {
        search_leaf(s, chosen_count);
        return;
    }
    const struct group_need *n = &s->needs[need_ix];
    bool is_met = need_is_met(n, free_count, has_broken);
    bool more_may_pay = s->coupling_max + SCORE_GROUP > 0;
    uint32_t missing = search_missing(s, n, group_ix, free_count);
    if (missing > n->pool->group_count) {
        return;
    }
    int64_t bound = ((int64_t)(chosen_count + missing) * SCORE_GROUP + s->coupling_max) * s->base_factor;
    if (s->has_best && bound + (s->with_fit ? SCORE_FIT_MAX * (int64_t)s->count : 0) <= s->best_score) {
        return;
    }
    if (group_ix == n->pool->group_count || (is_met && !more_may_pay)) {
        if (is_met) {
            search_visit(s, need_ix + 1, 0, 0, false, chosen_count);
        }
        return;
    }
    const struct group *g = &n->pool->groups[group_ix];
    hq_amount broken = search_broken(s, n, g);
    if (search_free(s, g) > 0 || broken > 0) {
        s->now.chosen[need_ix][group_ix] = 1;
        search_visit(s, need_ix, group_ix + 1, free_count + search_free(s, g), has_broken || broken > 0, chosen_count + 1);
        s->now.chosen[need_ix][group_ix] = 0;
    }
    search_visit(s, need_ix, group_ix + 1, free_count, has_broken, chosen_count);
}

/* Largest groups first until the need is met: a choice to begin with, and what stays if the search is cut off. */
static bool
search_greedy(struct search *s)
{
    uint32_t chosen_count = 0;

    for (size_t k = 0; k < s->count; k++) {
        const struct group_need *n = &s->needs[k];
        uint64_t free_count = 0;
        bool has_broken = false;
        while (!need_is_met(n, free_count, has_broken)) {
            uint32_t pick = n->pool->group_count, pick_free = 0;
            for (uint32_t g = 0; g < n->pool->group_count; g++) {
                uint32_t f = search_free(s, &n->pool->groups[g]) + (search_broken(s, n, &n->pool->groups[g]) > 0);
                if (s->now.chosen[k][g] == 0 && f > pick_free) {
                    pick = g;
                    pick_free = f;
                }
            }
            if (pick == n->pool->group_count) {
                return false;
            }
            s->now.chosen[k][pick] = 1;
            free_count += search_free(s, &n->pool->groups[pick]);
            has_broken = has_broken || search_broken(s, n, &n->pool->groups[pick]) > 0;
            chosen_count++;
        }
    }
    search_leaf(s, chosen_count);
    s->best_score--; /* an equal one of the search is better: it takes the lowest groups */
    for (size_t k = 0; k < s->count; k++) {
        memset(s->now.chosen[k], 0, s->needs[k].pool->group_count);
    }
    return true;
}

static bool
search_run(struct search *s)
{
    for (size_t k = 0; k < s->count; k++) {
        memset(s->now.chosen[k], 0, s->needs[k].pool->group_count);
    }
    if (!search_greedy(s)) {
        return false;
    }
    search_visit(s, 0, 0, 0, false, 0);
    return true;
}

bool
groups_choose(const struct indices *ix, const struct group_need *needs, size_t count, struct hq_arena *arena,
              struct group_choice *ret)
{
    struct search s = {.ix = ix, .needs = needs, .count = count, .best = ret, .with_fit = true, .base_factor = 1};
    bool is_strict = false;

    for (size_t i = 0; i < ix->coupling_count; i++) {
        s.coupling_max += (int64_t)ix->couplings[i].weight * SCORE_WEIGHT;
    }
    for (size_t k = 0; k < count; k++) {
        s.now.chosen[k] = hq_arena_alloc(arena, needs[k].pool->group_count);
        ret->chosen[k] = hq_arena_alloc(arena, needs[k].pool->group_count);
        is_strict = is_strict || needs[k].is_strict;
    }
    if (is_strict) {
        struct search now = s, empty = s;
        now.best = empty.best = NULL;
        now.with_fit = empty.with_fit = false;
        empty.is_empty = true;
        /* Groups and coupling alone decide here: with the fit in it, unequal groups would be refused for being large. */
        if (!search_run(&now) || !search_run(&empty) || now.best_score + 1 < empty.best_score) {
            return false;
        }
        s.base_factor = 10000; /* and here they come first */
    }
    return search_run(&s);
}
