/* indices.c - take and give values. A request is checked whole before anything of it is taken. */
#include "hq-workerd/core/indices_impl.h"

#include <stdlib.h>

#include "common/mem.h"

static void
pool_init_values(struct pool_state *p, const struct hq_pool *pool, struct hq_arena *arena)
{
    p->value_count = (uint32_t)(hq_pool_size(pool) / HQ_AMOUNT_ONE);
    p->labels = hq_arena_array(arena, p->value_count, sizeof(*p->labels));
    p->left = hq_arena_array(arena, p->value_count, sizeof(*p->left));
    p->group_count = pool->kind == HQ_POOL_RANGE ? 1 : (uint32_t)pool->group_count;
    p->groups = hq_arena_array(arena, p->group_count, sizeof(*p->groups));
    uint32_t at = 0;
    for (uint32_t g = 0; g < p->group_count; g++) {
        uint32_t size = pool->kind == HQ_POOL_RANGE ? p->value_count : (uint32_t)pool->groups[g].count;
        p->groups[g] = (struct group){.first = at, .size = size, .free_count = size};
        for (uint32_t i = 0; i < size; i++, at++) {
            p->left[at] = HQ_AMOUNT_ONE;
            if (pool->kind == HQ_POOL_RANGE) {
                p->labels[at] = hq_str_from(hq_arena_printf(arena, "%u", pool->range_first + i));
            } else {
                p->labels[at] = hq_arena_str(arena, pool->groups[g].values[i]);
            }
        }
    }
    HQ_ASSERT(at == p->value_count);
    if (p->group_count == 1) {
        p->stack = hq_arena_array(arena, p->value_count, sizeof(*p->stack));
        for (uint32_t i = 0; i < p->value_count; i++) {
            p->stack[i] = i;
        }
        p->stack_count = p->value_count;
    }
}

int
indices_create(struct indices **ret, const struct hq_pools *pools, struct hq_err *err)
{
    struct indices *ix = hq_try_alloc(sizeof(*ix));

    if (ix == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot keep the worker's resources");
    }
    hq_arena_init(&ix->arena, 0);
    ix->pools = hq_arena_array(&ix->arena, pools->count, sizeof(*ix->pools));
    ix->pool_count = pools->count;
    for (size_t i = 0; i < pools->count; i++) {
        struct pool_state *p = &ix->pools[i];
        p->name = hq_arena_str(&ix->arena, pools->v[i].name);
        p->size = p->free = hq_pool_size(&pools->v[i]);
        p->is_sum = pools->v[i].kind == HQ_POOL_SUM;
        if (!p->is_sum) {
            pool_init_values(p, &pools->v[i], &ix->arena);
        }
    }
    ix->couplings = hq_arena_array(&ix->arena, pools->coupling_count, sizeof(*ix->couplings));
    ix->coupling_count = pools->coupling_count;
    if (pools->coupling_count > 0) {
        memcpy(ix->couplings, pools->couplings, pools->coupling_count * sizeof(*ix->couplings));
    }
    *ret = ix;
    return 0;
}

void
indices_destroy(struct indices *ix)
{
    if (ix != NULL) {
        hq_arena_fini(&ix->arena);
        free(ix);
    }
}

static struct pool_state *
indices_find(const struct indices *ix, struct hq_str name, uint32_t *ret_ix)
{
    for (size_t i = 0; i < ix->pool_count; i++) {
        if (hq_str_eq(ix->pools[i].name, name)) {
            *ret_ix = (uint32_t)i;
            return &ix->pools[i];
        }
    }
    return NULL;
}

bool
indices_can_ever(const struct indices *ix, const struct hq_variant *v)
{
    for (size_t i = 0; i < v->entry_count && v->n_nodes == 0; i++) {
        uint32_t pool_ix;
        const struct pool_state *p = indices_find(ix, v->entries[i].name, &pool_ix);
        if (p == NULL || p->size == 0 || (v->entries[i].policy != HQ_POLICY_ALL && v->entries[i].amount > p->size)) {
            return false;
        }
    }
    return true;
}

static hq_amount
entry_amount(const struct pool_state *p, const struct hq_request_entry *e)
{
    return e->policy == HQ_POLICY_ALL ? p->size : e->amount;
}

/* Whole free values and the largest broken one, over all groups. */
static bool
pool_has(const struct pool_state *p, hq_amount amount)
{
    uint64_t whole = 0;
    hq_amount largest = 0, fraction = amount % HQ_AMOUNT_ONE;

    for (uint32_t g = 0; g < p->group_count; g++) {
        whole += p->groups[g].free_count;
        if (fraction > 0) {
            largest = HQ_MAX(largest, group_largest_broken(p, &p->groups[g]));
        }
    }
    return amount <= whole * HQ_AMOUNT_ONE + (fraction > 0 ? largest : 0);
}

static bool
policy_is_grouped(enum hq_policy policy)
{
    return policy != HQ_POLICY_ALL && policy != HQ_POLICY_SCATTER;
}

/* ---- taking from one pool; what was checked before cannot fail here */

static uint32_t
group_take_last(struct pool_state *p, struct group *g)
{
    HQ_ASSERT(g->free_count > 0);
    for (uint32_t v = g->first + g->size; v-- > g->first;) {
        if (p->left[v] == HQ_AMOUNT_ONE) {
            p->left[v] = 0;
            g->free_count--;
            return v;
        }
    }
    HQ_ASSERT(false); /* free_count counts just these */
    return 0;
}

static uint32_t
stack_take(struct pool_state *p)
{
    HQ_ASSERT(p->stack_count > 0);
    uint32_t v = p->stack[--p->stack_count];
    HQ_ASSERT(p->left[v] == HQ_AMOUNT_ONE);
    p->left[v] = 0;
    p->groups[0].free_count--;
    return v;
}

/* The best-fitting broken value of the group, or a whole one that is broken for it; false when it has neither. */
static bool
group_take_fraction(struct pool_state *p, struct group *g, hq_amount fraction, uint32_t *ret)
{
    if (group_best_broken(p, g, fraction, ret)) {
        p->left[*ret] -= fraction;
        return true;
    }
    if (g->free_count == 0) {
        return false;
    }
    *ret = p->stack != NULL ? stack_take(p) : group_take_last(p, g);
    p->left[*ret] = HQ_AMOUNT_ONE - fraction;
    return true;
}

static int
compare_u32(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Round the groups, one value per visit; then the fraction from the next group that has it. chosen NULL = all groups. */
static void
take_round(struct pool_state *p, const uint8_t *chosen, hq_amount amount, uint32_t *out)
{
    uint64_t whole = amount / HQ_AMOUNT_ONE;
    uint32_t g = 0, taken = 0;
    hq_amount fraction = amount % HQ_AMOUNT_ONE;

    while (taken < whole) {
        if ((chosen == NULL || chosen[g] != 0) && p->groups[g].free_count > 0) {
            out[taken++] = group_take_last(p, &p->groups[g]);
        }
        g = (g + 1) % p->group_count;
    }
    if (taken > 1) {
        qsort(out, taken, sizeof(*out), compare_u32); /* numbers go by group, then position */
    }
    for (uint32_t tries = 0; fraction > 0; tries++, g = (g + 1) % p->group_count) {
        HQ_ASSERT(tries < p->group_count);
        if ((chosen == NULL || chosen[g] != 0) && group_take_fraction(p, &p->groups[g], fraction, &out[taken])) {
            return;
        }
    }
}

static bool
group_holds(const struct pool_state *p, const struct group *g, hq_amount amount)
{
    uint64_t whole = amount / HQ_AMOUNT_ONE;
    hq_amount fraction = amount % HQ_AMOUNT_ONE;
    uint32_t v;

    return g->free_count >= whole + (fraction > 0) ||
           (fraction > 0 && g->free_count >= whole && group_best_broken(p, g, fraction, &v));
}

/* Empties the biggest chosen group until the smallest one that can holds the rest. */
static void
take_tight(struct pool_state *p, const uint8_t *chosen, hq_amount amount, uint32_t *out)
{
    uint32_t taken = 0;

    while (amount > 0) {
        struct group *rest = NULL, *biggest = NULL;
        for (uint32_t i = 0; i < p->group_count; i++) {
            struct group *g = &p->groups[i];
            if (chosen[i] == 0) {
                continue;
            }
            if (group_holds(p, g, amount) && (rest == NULL || g->free_count < rest->free_count)) {
                rest = g;
            }
            if (biggest == NULL || g->free_count >= biggest->free_count) {
                biggest = g;
            }
        }
        struct group *from = rest != NULL ? rest : biggest;
        HQ_ASSERT(from != NULL);
        HQ_ASSERT(rest != NULL || from->free_count > 0);
        while (from->free_count > 0 && amount >= HQ_AMOUNT_ONE) {
            out[taken++] = group_take_last(p, from);
            amount -= HQ_AMOUNT_ONE;
        }
        if (rest != NULL && amount > 0) {
            bool found = group_take_fraction(p, from, amount, &out[taken]);
            HQ_ASSERT(found);
            amount = 0;
        }
    }
}

static void
take_stack(struct pool_state *p, hq_amount amount, uint32_t *out)
{
    uint64_t whole = amount / HQ_AMOUNT_ONE;

    for (uint64_t i = 0; i < whole; i++) {
        out[i] = stack_take(p);
    }
    if (amount % HQ_AMOUNT_ONE > 0) {
        bool found = group_take_fraction(p, &p->groups[0], amount % HQ_AMOUNT_ONE, &out[whole]);
        HQ_ASSERT(found);
    }
}

static void
take_all(struct pool_state *p, uint32_t *out)
{
    for (uint32_t v = 0; v < p->value_count; v++) {
        HQ_ASSERT(p->left[v] == HQ_AMOUNT_ONE);
        p->left[v] = 0;
        out[v] = v;
    }
    for (uint32_t g = 0; g < p->group_count; g++) {
        p->groups[g].free_count = 0;
    }
}

static void
pool_take(struct pool_state *p, enum hq_policy policy, const uint8_t *chosen, struct allocation_entry *e)
{
    p->free -= e->amount;
    if (p->is_sum) {
        return;
    }
    e->fraction = e->amount % HQ_AMOUNT_ONE;
    if (p->stack != NULL) {
        take_stack(p, e->amount, e->value_ix);
    } else if (policy == HQ_POLICY_ALL) {
        take_all(p, e->value_ix);
    } else if (policy == HQ_POLICY_TIGHT || policy == HQ_POLICY_FORCE_TIGHT) {
        take_tight(p, chosen, e->amount, e->value_ix);
    } else {
        take_round(p, chosen, e->amount, e->value_ix);
    }
}

/* ---- a whole request */

static enum indices_take
indices_check(struct indices *ix, const struct hq_variant *v)
{
    enum indices_take rc = INDICES_TAKEN;

    if (!indices_can_ever(ix, v)) {
        return INDICES_NEVER;
    }
    for (size_t i = 0; i < v->entry_count; i++) {
        uint32_t pool_ix;
        const struct pool_state *p = indices_find(ix, v->entries[i].name, &pool_ix);
        hq_amount amount = entry_amount(p, &v->entries[i]);
        if (amount > p->free) {
            return INDICES_BUSY;
        }
        if (!p->is_sum && !pool_has(p, amount)) {
            rc = INDICES_REFUSED;
        }
    }
    return rc;
}

static bool
indices_choose(struct indices *ix, const struct hq_variant *v, struct hq_arena *arena, const uint8_t **chosen)
{
    struct group_need needs[HQ_RESOURCES_MAX];
    struct group_choice choice;
    size_t count = 0, at[HQ_RESOURCES_MAX];

    HQ_ASSERT(v->entry_count <= HQ_RESOURCES_MAX);
    for (size_t i = 0; i < v->entry_count; i++) {
        uint32_t pool_ix;
        const struct hq_request_entry *e = &v->entries[i];
        const struct pool_state *p = indices_find(ix, e->name, &pool_ix);
        chosen[i] = NULL;
        if (!p->is_sum && p->group_count > 1 && policy_is_grouped(e->policy)) {
            bool is_strict = e->policy == HQ_POLICY_FORCE_COMPACT || e->policy == HQ_POLICY_FORCE_TIGHT;
            at[count] = i;
            needs[count++] =
                (struct group_need){.pool = p, .pool_ix = pool_ix, .amount = e->amount, .is_strict = is_strict};
        }
    }
    if (count == 0) {
        return true;
    }
    if (!groups_choose(ix, needs, count, arena, &choice)) {
        return false;
    }
    for (size_t k = 0; k < count; k++) {
        chosen[at[k]] = choice.chosen[k];
    }
    return true;
}

static struct allocation *
allocation_create(struct indices *ix, const struct hq_variant *v)
{
    size_t values = 0;

    for (size_t i = 0; i < v->entry_count; i++) {
        uint32_t pool_ix;
        const struct pool_state *p = indices_find(ix, v->entries[i].name, &pool_ix);
        values += p->is_sum ? 0 : (entry_amount(p, &v->entries[i]) + HQ_AMOUNT_ONE - 1) / HQ_AMOUNT_ONE;
    }
    size_t head = sizeof(struct allocation) + v->entry_count * sizeof(struct allocation_entry);
    struct allocation *a = hq_try_alloc(head + values * sizeof(uint32_t));
    if (a == NULL) {
        return NULL;
    }
    uint32_t *at = (uint32_t *)(void *)((char *)a + head);
    a->entry_count = v->entry_count;
    for (size_t i = 0; i < v->entry_count; i++) {
        struct allocation_entry *e = &a->entries[i];
        const struct pool_state *p = indices_find(ix, v->entries[i].name, &e->pool_ix);
        e->name = p->name;
        e->amount = entry_amount(p, &v->entries[i]);
        if (!p->is_sum) {
            e->value_count = (uint32_t)((e->amount + HQ_AMOUNT_ONE - 1) / HQ_AMOUNT_ONE);
            e->value_ix = at;
            at += e->value_count;
        }
    }
    return a;
}

static const struct hq_variant no_resources = {.weight_x10000 = 10000};

enum indices_take
indices_take(struct indices *ix, const struct hq_variant *v, struct allocation **ret)
{
    const uint8_t *chosen[HQ_RESOURCES_MAX];
    struct hq_arena arena;

    if (v->n_nodes > 0) {
        v = &no_resources; /* hqd gives whole workers to such a task: there is nothing to count here */
    }
    enum indices_take rc = indices_check(ix, v);
    if (rc != INDICES_TAKEN) {
        return rc;
    }
    hq_arena_init(&arena, 0);
    if (!indices_choose(ix, v, &arena, chosen)) {
        hq_arena_fini(&arena);
        return INDICES_REFUSED;
    }
    struct allocation *a = allocation_create(ix, v);
    for (size_t i = 0; a != NULL && i < v->entry_count; i++) {
        pool_take(&ix->pools[a->entries[i].pool_ix], v->entries[i].policy, chosen[i], &a->entries[i]);
    }
    hq_arena_fini(&arena);
    if (a == NULL) {
        return INDICES_NO_MEMORY;
    }
    *ret = a;
    return INDICES_TAKEN;
}

static struct group *
pool_group_of(struct pool_state *p, uint32_t v)
{
    uint32_t g = 0;

    while (v >= p->groups[g].first + p->groups[g].size) {
        g++;
        HQ_ASSERT(g < p->group_count);
    }
    return &p->groups[g];
}

static void
pool_give_value(struct pool_state *p, uint32_t v, hq_amount amount)
{
    HQ_ASSERT(p->left[v] + amount <= HQ_AMOUNT_ONE);
    p->left[v] += amount;
    if (p->left[v] == HQ_AMOUNT_ONE) {
        pool_group_of(p, v)->free_count++;
        if (p->stack != NULL) {
            p->stack[p->stack_count++] = v;
        }
    }
}

void
indices_give(struct indices *ix, struct allocation *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->entry_count; i++) {
        struct allocation_entry *e = &a->entries[i];
        struct pool_state *p = &ix->pools[e->pool_ix];
        p->free += e->amount;
        HQ_ASSERT(p->free <= p->size);
        for (uint32_t k = e->value_count; k-- > 0;) { /* backwards: the next taker gets them in the same order */
            bool is_partial = e->fraction > 0 && k == e->value_count - 1;
            pool_give_value(p, e->value_ix[k], is_partial ? e->fraction : HQ_AMOUNT_ONE);
        }
    }
    free(a);
}

struct hq_str
indices_value(const struct indices *ix, const struct allocation_entry *e, uint32_t k)
{
    HQ_ASSERT(k < e->value_count);
    return ix->pools[e->pool_ix].labels[e->value_ix[k]];
}

bool
indices_is_all_free(const struct indices *ix)
{
    for (size_t i = 0; i < ix->pool_count; i++) {
        const struct pool_state *p = &ix->pools[i];
        if (p->free != p->size) {
            return false;
        }
        for (uint32_t v = 0; v < p->value_count; v++) {
            if (p->left[v] != HQ_AMOUNT_ONE) {
                return false;
            }
        }
    }
    return true;
}
