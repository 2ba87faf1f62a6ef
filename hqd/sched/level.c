#include "hqd/sched/level.h"

#include "hqd/sched/fit.h"
#include "hqd/sched/level_impl.h"
#include "hqd/sched/plan.h"

/* ---- the problem */
static uint32_t
res_number(struct level *l, uint32_t res)
{
    for (uint32_t i = 0; i < l->res_count; i++) {
        if (l->res[i] == res) {
            return i;
        }
    }
    if (l->res_count == KNAPSACK_RES_MAX) {
        return RES_NONE;
    }
    l->res[l->res_count] = res;
    l->share[l->res_count] = l->p->free_sum[res] > 0 ? 1 / l->p->free_sum[res] : 0;
    return l->res_count++;
}

/* False: it asks for nothing, for what nobody has, or there are too many already. */
static bool
make_item(struct level *l, struct cls *cls, uint32_t variant, double scale, struct item *ret)
{
    const struct cls_variant *v = &cls->variants[variant];
    *ret = (struct item){.cls = cls, .cls_ix = l->cls_count, .variant = variant};
    ret->scale = (double)v->weight_x10000 * scale;
    for (uint32_t i = 0; i < v->need_count; i++) {
        const struct need *need = &v->needs[i];
        uint32_t r = need->res < l->p->res_count ? res_number(l, need->res) : RES_NONE;
        if (r == RES_NONE) {
            return false;
        }
        ret->amount[r] = need->is_all ? -1 : (int64_t)need->amount;
        ret->is_all = ret->is_all || need->is_all;
        ret->size += need->is_all ? 0 : (double)need->amount * l->share[r];
    }
    ret->value = ret->size * ret->scale;
    return ret->is_all || ret->size > 0;
}

void
level_make_items(struct level *l, uint32_t from, uint32_t to, double scale)
{
    for (uint32_t i = from; i < to && l->cls_count < KNAPSACK_CLASSES_MAX; i++) {
        struct cls *cls = l->p->core->active[i];
        uint32_t before = l->item_count;
        for (uint32_t v = 0; cls->left > 0 && !cls->is_gang && v < cls->variant_count; v++) {
            struct item *it = &l->items[l->item_count];
            if (l->item_count < KNAPSACK_ITEMS_MAX && make_item(l, cls, v, scale, it)) {
                l->weight_max = HQ_MAX(l->weight_max, it->scale);
                l->item_count++;
            }
        }
        if (l->item_count > before) {
            l->classes[l->cls_count] = cls;
            l->left[l->cls_count] = l->all[l->cls_count] = cls->left;
            l->cls_count++;
        }
    }
}

void
level_make_rows(struct level *l)
{
    struct hq_arena *arena = &l->p->ctx->fx->arena;
    size_t most = l->p->worker_count;
    l->rows = hq_arena_array(arena, HQ_MAX(most, (size_t)1), sizeof(*l->rows));
    uint32_t *caps = NULL;
    for (size_t i = 0; i < most; i++) {
        struct worker *w = l->p->workers[i];
        bool any = false;
        if (!pass_is_open(w)) {
            continue;
        }
        caps = caps != NULL ? caps : hq_arena_array(arena, l->item_count * 2, sizeof(*caps));
        for (uint32_t k = 0; k < l->item_count; k++) {
            caps[k] = plan_fits(l->p, w, l->items[k].cls, l->items[k].variant);
            any = any || caps[k] > 0;
        }
        if (any) {
            l->rows[l->row_count++] = (struct row){.w = w, .worker_ix = i, .cap = caps, .n = caps + l->item_count};
            caps = NULL;
        }
    }
}

/* ---- one worker's choice */
static int64_t
amount_of(const struct level *l, const struct row *row, const struct item *it, uint32_t r)
{
    return it->amount[r] == -1 ? row->w->total[l->res[r]] : it->amount[r];
}

double
level_task_value(const struct level *l, const struct row *row, const struct item *it)
{
    if (!it->is_all) {
        return it->value;
    }
    double size = 0;
    for (uint32_t r = 0; r < l->res_count; r++) {
        size += (double)amount_of(l, row, it, r) * l->share[r];
    }
    return size * it->scale;
}

/* bent: by item, or NULL. */
static void
load(struct level *l, const struct row *row, const uint64_t *left, const struct bend *bent)
{
    struct knapsack *k = &l->k;
    k->item_count = 0;
    k->res_count = l->res_count;
    for (uint32_t r = 0; r < l->res_count; r++) {
        k->free[r] = l->res[r] < row->w->res_count ? HQ_MAX(row->w->plan_free[l->res[r]], (int64_t)0) : 0;
        k->share[r] = l->share[r];
    }
    for (uint32_t i = 0; row->value > 0 && i < l->item_count; i++) { /* what it has already */
        for (uint32_t r = 0; row->n[i] > 0 && r < l->res_count; r++) {
            k->free[r] -= row->n[i] * amount_of(l, row, &l->items[i], r);
        }
    }
    for (uint32_t c = 0; c < l->cls_count; c++) {
        k->left[c] = (uint32_t)HQ_MIN(left[c], (uint64_t)UINT32_MAX);
    }
    for (uint32_t i = 0; i < l->item_count; i++) {
        const struct item *it = &l->items[i];
        if (row->cap[i] == 0 || left[it->cls_ix] == 0 || (bent != NULL && bent[i].cap == 0)) {
            continue;
        }
        struct knapsack_item *to = &k->items[k->item_count++];
        double value = level_task_value(l, row, it);
        to->size = value / it->scale;
        to->value = bent == NULL ? value : value * bent[i].factor;
        to->cap = bent == NULL ? row->cap[i] : HQ_MIN(row->cap[i], bent[i].cap);
        to->cls = it->cls_ix;
        to->tag = i;
        memcpy(to->amount, it->amount, sizeof(to->amount));
        for (uint32_t r = 0; it->is_all && r < l->res_count; r++) {
            to->amount[r] = amount_of(l, row, it, r);
        }
    }
}

double
level_room(const struct level *l, const struct row *row)
{
    double size = 0;
    for (uint32_t r = 0; r < l->res_count; r++) {
        bool is_there = l->res[r] < row->w->res_count && row->w->plan_free[l->res[r]] > 0;
        size += is_there ? (double)row->w->plan_free[l->res[r]] * l->share[r] : 0;
    }
    return size;
}

/* Item that fills the worker alone as well as any mix could; of several the oldest. UINT32_MAX: there is none. */
static uint32_t
fills_alone(const struct level *l, const struct row *row)
{
    for (uint32_t i = 0; i < l->item_count; i++) {
        const struct item *it = &l->items[i];
        uint64_t n = HQ_MIN((uint64_t)row->cap[i], l->left[it->cls_ix]);
        if (n > 0 && !it->is_all && (double)n * it->value >= row->room * (1 - NOTHING)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Adds to what it has what is best from what is left. */
void
level_choose(struct level *l, struct row *row, const struct bend *bent, uint32_t nodes_max)
{
    load(l, row, l->left, bent);
    l->k.nodes_max = HQ_MIN(nodes_max, l->p->nodes_left);
    knapsack_solve(&l->k);
    l->p->nodes_left -= HQ_MIN(l->k.nodes + CHOICE_NODES, l->p->nodes_left);
    double gain = 0;
    for (uint32_t i = 0; i < l->k.item_count; i++) {
        uint32_t tag = l->k.items[i].tag;
        row->n[tag] += l->k.best[i];
        l->left[l->items[tag].cls_ix] -= l->k.best[i];
        gain += l->k.best[i] * level_task_value(l, row, &l->items[tag]);
    }
    row->value += gain;
    l->value += gain;
}

static void
take(struct level *l, struct row *row, uint32_t item)
{
    const struct item *it = &l->items[item];
    row->n[item] = (uint32_t)HQ_MIN((uint64_t)row->cap[item], l->left[it->cls_ix]);
    row->value = row->n[item] * it->value;
    l->left[it->cls_ix] -= row->n[item];
    l->value += row->value;
}

void
level_give_up(struct level *l, struct row *row)
{
    for (uint32_t i = 0; i < l->item_count; i++) {
        l->left[l->items[i].cls_ix] += row->n[i];
        row->n[i] = 0;
    }
    l->value -= row->value;
    row->value = 0;
}

/* ---- all workers in turn */
static bool
is_like(const struct level *l, const struct row *a, const struct row *b)
{
    if (memcmp(a->cap, b->cap, l->item_count * sizeof(*a->cap)) != 0) {
        return false;
    }
    for (uint32_t r = 0; r < l->res_count; r++) {
        if (a->w->res_count <= l->res[r] || b->w->res_count <= l->res[r] ||
            a->w->plan_free[l->res[r]] != b->w->plan_free[l->res[r]] ||
            a->w->total[l->res[r]] != b->w->total[l->res[r]]) {
            return false;
        }
    }
    return true;
}

/* Every class has more left than the worker could take. */
static bool
is_plenty(const struct level *l, const struct row *row)
{
    uint64_t most[KNAPSACK_CLASSES_MAX] = {0};
    for (uint32_t i = 0; i < l->item_count; i++) {
        most[l->items[i].cls_ix] += row->cap[i];
    }
    for (uint32_t c = 0; c < l->cls_count; c++) {
        if (most[c] > l->left[c]) {
            return false;
        }
    }
    return true;
}

static void
copy_choice(struct level *l, struct row *row, const struct row *from)
{
    for (uint32_t i = 0; i < l->item_count; i++) {
        row->n[i] = from->n[i];
        l->left[l->items[i].cls_ix] -= row->n[i];
    }
    row->value = from->value;
    l->value += row->value;
}

/* Half of all effort for the first choices. */
uint32_t
level_first_nodes(const struct level *l)
{
    uint32_t each = (uint32_t)(l->p->nodes_left / (2 * HQ_MAX(l->row_count, (size_t)1)));
    return HQ_MAX(10u, HQ_MIN(each, FIRST_NODES));
}

static void
choose_in_turn(struct level *l)
{
    const struct row *last = NULL; /* chose among plenty */
    double last_bound = 0;
    uint32_t nodes = level_first_nodes(l);
    for (size_t i = 0; i < l->row_count; i++) {
        struct row *row = &l->rows[i];
        row->room = level_room(l, row) * l->weight_max;
        uint32_t alone = fills_alone(l, row);
        if (alone != UINT32_MAX) {
            take(l, row, alone);
            l->bound += row->value;
            continue;
        }
        bool has_plenty = is_plenty(l, row);
        if (has_plenty && last != NULL && is_like(l, row, last)) {
            copy_choice(l, row, last);
            l->bound += last_bound;
            continue;
        }
        double bound = 0;
        if (!has_plenty) { /* what it could make of all tasks, not of those that the ones before it left */
            load(l, row, l->all, NULL);
            bound = knapsack_bound(&l->k);
        }
        level_choose(l, row, NULL, nodes);
        if (has_plenty) {
            bound = l->k.nodes < nodes ? row->value : l->k.bound;
            last = row;
            last_bound = bound;
        }
        l->bound += bound;
    }
}

/* No class can bring more than all its tasks at the best of its variants. */
static void
bound_by_classes(struct level *l)
{
    double best[KNAPSACK_CLASSES_MAX] = {0};
    double sum = 0;
    for (uint32_t i = l->own_from; i < l->item_count; i++) {
        const struct item *it = &l->items[i];
        best[it->cls_ix] = HQ_MAX(best[it->cls_ix], it->value);
        for (size_t k = 0; it->is_all && k < l->row_count; k++) {
            best[it->cls_ix] = HQ_MAX(best[it->cls_ix], level_task_value(l, &l->rows[k], it));
        }
    }
    for (uint32_t c = 0; c < l->cls_count; c++) {
        sum += best[c] * (double)l->all[c];
    }
    l->bound = HQ_MIN(l->bound, sum);
}

/* ---- the whole */
static void
plan_alone(struct level *l, uint32_t from, uint32_t to)
{
    level_make_items(l, from, to, 1);
    level_make_rows(l);
    choose_in_turn(l);
}

void
level_plan(struct pass *p, uint32_t above, uint32_t from, uint32_t to)
{
    struct level *l = hq_arena_alloc(&p->ctx->fx->arena, sizeof(*l));
    l->p = p;
    l->items = hq_arena_array(&p->ctx->fx->arena, KNAPSACK_ITEMS_MAX, sizeof(*l->items));
    hq_rng_init(&l->rng, p->core->conf.seed);
    if (above < from) {
        level_plan_below(l, above, from, to);
    } else {
        plan_alone(l, from, to);
    }
    bound_by_classes(l);
    level_improve(l);
    for (size_t i = 0; i < l->row_count; i++) {
        for (uint32_t k = 0; k < l->item_count; k++) {
            if (l->rows[i].n[k] > 0) {
                plan_place(l->rows[i].w, l->items[k].cls, l->items[k].variant, l->rows[i].n[k]);
            }
        }
    }
}
