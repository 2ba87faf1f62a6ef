#include "hqd/sched/level.h"

#include "common/rng.h"
#include "hqd/sched/fit.h"
#include "hqd/sched/knapsack.h"
#include "hqd/sched/plan.h"

#define FIRST_NODES 200u       /* of them at one worker's first choice */
#define AGAIN_NODES 60u        /* and at a later one */
#define GOOD_ENOUGH 0.999      /* of what can't be had anyway */
#define ROUNDS_MAX 600u
#define LEVEL_SCALE 300.0
#define NOTHING 1e-11          /* relative: sums in another order differ by less */
#define SIDEWAYS_ROWS_MAX 32u  /* with so few workers what is as good is taken too: a way to what is better */
#define CHOICE_NODES 4u        /* what it costs to set up one choice */
#define BENT_CAP_MAX 16u
#define TOGETHER_MAX 4u /* workers that choose again at a time */

struct item {
    struct cls *cls;
    uint32_t cls_ix;
    uint32_t variant;
    bool is_all;
    double scale; /* weight; many times more for each level above the lowest one */
    double value; /* unless is_all */
    double size;
    int64_t amount[KNAPSACK_RES_MAX]; /* -1: all */
};

struct row { /* a worker that can run something */
    struct worker *w;
    size_t worker_ix; /* in the pass */
    uint32_t *cap; /* by item: as many fit when nothing else is given */
    uint32_t *n;   /* given now */
    double value;
    double room; /* value if it could be filled evenly */
};

struct bend { /* what makes a worker choose otherwise */
    double factor; /* on the value */
    uint32_t cap;
};

struct level {
    struct pass *p;
    struct item *items;
    uint32_t item_count;
    uint32_t own_from; /* items before this one are of higher levels: all their tasks are placed and may only move */
    uint32_t cls_count;
    struct cls *classes[KNAPSACK_CLASSES_MAX];
    uint64_t left[KNAPSACK_CLASSES_MAX];
    uint64_t all[KNAPSACK_CLASSES_MAX]; /* tasks, given or left */
    uint32_t res[KNAPSACK_RES_MAX]; /* of the core, by our number */
    double share[KNAPSACK_RES_MAX];
    uint32_t res_count;
    double weight_max;
    struct row *rows;
    size_t row_count;
    double above; /* value of all tasks of higher levels */
    double bound; /* of the rest of the value: nothing is better than that */
    double value;
    struct hq_rng rng;
    struct knapsack k;
};

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

static void
make_items(struct level *l, uint32_t from, uint32_t to, double scale)
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

static void
make_rows(struct level *l)
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

static double
task_value(const struct level *l, const struct row *row, const struct item *it)
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
        double value = task_value(l, row, it);
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

static double
room_of(const struct level *l, const struct row *row)
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
static void
choose(struct level *l, struct row *row, const struct bend *bent, uint32_t nodes_max)
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
        gain += l->k.best[i] * task_value(l, row, &l->items[tag]);
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

static void
give_up(struct level *l, struct row *row)
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
static uint32_t
first_nodes(const struct level *l)
{
    uint32_t each = (uint32_t)(l->p->nodes_left / (2 * HQ_MAX(l->row_count, (size_t)1)));
    return HQ_MAX(10u, HQ_MIN(each, FIRST_NODES));
}

static void
choose_in_turn(struct level *l)
{
    const struct row *last = NULL; /* chose among plenty */
    double last_bound = 0;
    uint32_t nodes = first_nodes(l);
    for (size_t i = 0; i < l->row_count; i++) {
        struct row *row = &l->rows[i];
        row->room = room_of(l, row) * l->weight_max;
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
        choose(l, row, NULL, nodes);
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
            best[it->cls_ix] = HQ_MAX(best[it->cls_ix], task_value(l, &l->rows[k], it));
        }
    }
    for (uint32_t c = 0; c < l->cls_count; c++) {
        sum += best[c] * (double)l->all[c];
    }
    l->bound = HQ_MIN(l->bound, sum);
}

/* ---- a few again */
struct saved {
    struct row *row;
    uint32_t n[KNAPSACK_ITEMS_MAX];
    double value;
};

static void
save(const struct level *l, struct row *row, struct saved *ret)
{
    ret->row = row;
    ret->value = row->value;
    memcpy(ret->n, row->n, l->item_count * sizeof(ret->n[0]));
}

static void
restore(struct level *l, const struct saved *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        give_up(l, s[i].row);
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < l->item_count; k++) {
            s[i].row->n[k] = s[i].n[k];
            l->left[l->items[k].cls_ix] -= s[i].n[k];
        }
        s[i].row->value = s[i].value;
        l->value += s[i].value;
    }
}

/* Other values, and now and then fewer of something, or nothing of it. */
static void
bend(struct level *l, const struct row *row, struct bend *ret)
{
    for (uint32_t i = 0; i < l->item_count; i++) {
        ret[i] = (struct bend){.factor = 0.7 + 0.6 * hq_rng_f64(&l->rng), .cap = row->cap[i]};
        if (row->cap[i] > 0 && hq_rng_below(&l->rng, 3) == 0) {
            ret[i].cap = (uint32_t)hq_rng_below(&l->rng, HQ_MIN(row->cap[i], BENT_CAP_MAX));
        }
    }
}

static bool
is_kept(const struct level *l, double before)
{
    bool is_small = l->row_count <= SIDEWAYS_ROWS_MAX;
    return is_small ? l->value >= before * (1 - NOTHING) : l->value > before * (1 + NOTHING);
}

/* Of three the one that makes least of what it has: where there are many, most are well filled. */
static struct row *
some_row(struct level *l)
{
    struct row *best = NULL;
    uint32_t tries = l->row_count <= SIDEWAYS_ROWS_MAX ? 1 : 3;
    for (uint32_t i = 0; i < tries; i++) {
        struct row *row = &l->rows[hq_rng_below(&l->rng, l->row_count)];
        if (best == NULL || row->room - row->value > best->room - best->value) {
            best = row;
        }
    }
    return best;
}

static void
choose_again(struct level *l, uint32_t count)
{
    struct saved s[TOGETHER_MAX];
    struct bend bent[KNAPSACK_ITEMS_MAX];
    double before = l->value;
    for (uint32_t i = 0; i < count; i++) {
        bool is_new;
        do {
            s[i].row = some_row(l);
            is_new = true;
            for (uint32_t k = 0; k < i; k++) {
                is_new = is_new && s[k].row != s[i].row;
            }
        } while (!is_new);
        save(l, s[i].row, &s[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        give_up(l, s[i].row);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_last = i + 1 == count; /* takes what the others have left */
        if (!is_last) {
            bend(l, s[i].row, bent);
        }
        choose(l, s[i].row, is_last ? NULL : bent, AGAIN_NODES);
    }
    if (!is_kept(l, before)) {
        restore(l, s, count);
    }
}

/* One worker gives all up for a task that found no room; the others take in of that what they can. */
static void
push_in(struct level *l)
{
    struct saved s[SIDEWAYS_ROWS_MAX];
    struct bend only[KNAPSACK_ITEMS_MAX] = {{0}};
    double before = l->value;
    struct row *row = &l->rows[hq_rng_below(&l->rng, l->row_count)];
    uint32_t item = l->own_from + (uint32_t)hq_rng_below(&l->rng, l->item_count - l->own_from);
    if (row->cap[item] == 0 || l->left[l->items[item].cls_ix] == 0) {
        return;
    }
    for (uint32_t i = 0; i < l->row_count; i++) {
        save(l, &l->rows[i], &s[i]);
    }
    only[item] = (struct bend){.factor = 1, .cap = 1};
    give_up(l, row);
    choose(l, row, only, AGAIN_NODES);
    choose(l, row, NULL, AGAIN_NODES);
    for (uint32_t i = 0; i < l->row_count; i++) {
        if (&l->rows[i] != row) {
            choose(l, &l->rows[i], NULL, AGAIN_NODES);
        }
    }
    if (!is_kept(l, before)) {
        restore(l, s, (uint32_t)l->row_count);
    }
}

static bool
is_good(const struct level *l)
{
    return l->value - l->above >= l->bound * GOOD_ENOUGH;
}

static void
improve(struct level *l)
{
    size_t bytes = l->item_count * sizeof(uint32_t);
    bool is_small = l->row_count <= SIDEWAYS_ROWS_MAX;
    uint32_t *first = is_small ? hq_arena_alloc(&l->p->ctx->fx->arena, l->row_count * bytes + 1) : NULL;
    double before = l->value;
    for (size_t i = 0; is_small && i < l->row_count; i++) {
        memcpy(first + i * l->item_count, l->rows[i].n, bytes);
    }
    for (uint32_t round = 0; round < ROUNDS_MAX && !is_good(l) && l->p->nodes_left > 0; round++) {
        uint32_t most = (uint32_t)HQ_MIN((size_t)TOGETHER_MAX, l->row_count);
        if (is_small && round % 2 == 0) {
            push_in(l);
        } else {
            choose_again(l, most <= 2 ? most : 2 + (uint32_t)hq_rng_below(&l->rng, most - 1));
        }
    }
    /* Nothing gained by going sideways: as it was, which is by the order of the workers. */
    for (size_t i = 0; is_small && l->value <= before * (1 + 2 * NOTHING) && i < l->row_count; i++) {
        memcpy(l->rows[i].n, first + i * l->item_count, bytes);
    }
}

/* ---- together with the levels above, whose tasks are all placed: they may move, so that more of this one fits */
struct had {
    size_t worker_ix;
    struct cls *cls;
    uint32_t variant;
    uint32_t n;
};

struct had_list {
    struct had *v;
    size_t count;
    size_t cap;
};

static void
take_back(struct pass *p, uint32_t above, uint32_t from, struct had_list *ret)
{
    int32_t highest = p->core->active[above]->priority;
    int32_t own = p->core->active[from]->priority;
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        /* One that was reserved meanwhile keeps what it has. */
        for (uint32_t k = 0; pass_is_open(w) && k < w->use_count; k++) {
            struct worker_use *use = &w->uses[k];
            if (use->planned == 0 || use->cls->priority > highest || use->cls->priority <= own) {
                continue;
            }
            hq_arena_grow(&p->ctx->fx->arena, &ret->v, &ret->cap, ret->count + 1, sizeof(*ret->v));
            ret->v[ret->count++] = (struct had){i, use->cls, use->variant, use->planned};
            use->cls->left += use->planned;
            fit_book(&use->cls->variants[use->variant], w->plan_free, w->total, w->res_count, -(int64_t)use->planned);
            use->planned = 0;
        }
    }
}

/* A level counts so many times more than the next one that nothing of it is given up for that. */
static void
make_upper_items(struct level *l, uint32_t above, uint32_t from)
{
    double scale = LEVEL_SCALE;
    for (uint32_t end = from; end > above;) {
        uint32_t first = end - 1;
        while (first > above && l->p->core->active[first - 1]->priority == l->p->core->active[first]->priority) {
            first--;
        }
        make_items(l, first, end, scale);
        scale *= LEVEL_SCALE;
        end = first;
    }
    l->own_from = l->item_count;
}

static uint32_t
item_of(const struct level *l, const struct had *h)
{
    for (uint32_t i = 0; i < l->own_from; i++) {
        if (l->items[i].cls == h->cls && l->items[i].variant == h->variant) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Each worker has again what it had. What is no item is out of the game. */
static void
give_back(struct level *l, const struct had_list *had)
{
    struct row **row_of = hq_arena_array(&l->p->ctx->fx->arena, l->p->worker_count, sizeof(struct row *));
    for (size_t i = 0; i < l->row_count; i++) {
        row_of[l->rows[i].worker_ix] = &l->rows[i];
    }
    for (size_t i = 0; i < had->count; i++) {
        const struct had *h = &had->v[i];
        uint32_t item = item_of(l, h);
        if (item == UINT32_MAX) {
            continue; /* placed again before the rows were made */
        }
        struct row *row = row_of[h->worker_ix];
        double value = h->n * task_value(l, row, &l->items[item]);
        row->n[item] = h->n;
        row->value += value;
        l->value += value;
        l->left[l->items[item].cls_ix] -= h->n;
    }
    l->above = l->value;
}

static void
choose_below(struct level *l)
{
    struct bend own[KNAPSACK_ITEMS_MAX] = {{0}};
    for (uint32_t i = l->own_from; i < l->item_count; i++) {
        own[i] = (struct bend){.factor = 1, .cap = UINT32_MAX};
    }
    uint32_t nodes = first_nodes(l);
    for (size_t i = 0; i < l->row_count; i++) {
        choose(l, &l->rows[i], own, nodes);
    }
}

/* What is free when all of the higher levels is placed somewhere. */
static void
bound_by_rest(struct level *l)
{
    double size = 0;
    double weight_max = 0;
    for (size_t i = 0; i < l->row_count; i++) {
        const struct row *row = &l->rows[i];
        size += room_of(l, row);
        for (uint32_t k = 0; k < l->own_from; k++) {
            size -= row->n[k] * task_value(l, row, &l->items[k]) / l->items[k].scale;
        }
    }
    for (uint32_t i = l->own_from; i < l->item_count; i++) {
        weight_max = HQ_MAX(weight_max, l->items[i].scale);
    }
    l->bound = HQ_MAX(size, 0.0) * weight_max;
}

/* ---- the whole */
static void
plan_alone(struct level *l, uint32_t from, uint32_t to)
{
    make_items(l, from, to, 1);
    make_rows(l);
    choose_in_turn(l);
}

static void
plan_below(struct level *l, uint32_t above, uint32_t from, uint32_t to)
{
    struct had_list had = {0};
    take_back(l->p, above, from, &had);
    make_upper_items(l, above, from);
    for (size_t i = 0; i < had.count; i++) {
        if (item_of(l, &had.v[i]) == UINT32_MAX) {
            plan_place(l->p->workers[had.v[i].worker_ix], had.v[i].cls, had.v[i].variant, had.v[i].n);
        }
    }
    make_items(l, from, to, 1);
    make_rows(l);
    give_back(l, &had);
    choose_below(l);
    bound_by_rest(l);
}

void
level_plan(struct pass *p, uint32_t above, uint32_t from, uint32_t to)
{
    struct level *l = hq_arena_alloc(&p->ctx->fx->arena, sizeof(*l));
    l->p = p;
    l->items = hq_arena_array(&p->ctx->fx->arena, KNAPSACK_ITEMS_MAX, sizeof(*l->items));
    hq_rng_init(&l->rng, p->core->conf.seed);
    if (above < from) {
        plan_below(l, above, from, to);
    } else {
        plan_alone(l, from, to);
    }
    bound_by_classes(l);
    improve(l);
    for (size_t i = 0; i < l->row_count; i++) {
        for (uint32_t k = 0; k < l->item_count; k++) {
            if (l->rows[i].n[k] > 0) {
                plan_place(l->rows[i].w, l->items[k].cls, l->items[k].variant, l->rows[i].n[k]);
            }
        }
    }
}
