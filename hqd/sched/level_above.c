/* level_above.c - a level together with those above, whose tasks are all placed: they may move, so that more of this one fits. */
#include "hqd/sched/fit.h"
#include "hqd/sched/level_impl.h"
#include "hqd/sched/plan.h"

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
        level_make_items(l, first, end, scale);
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
        double value = h->n * level_task_value(l, row, &l->items[item]);
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
    uint32_t nodes = level_first_nodes(l);
    for (size_t i = 0; i < l->row_count; i++) {
        level_choose(l, &l->rows[i], own, nodes);
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
        size += level_room(l, row);
        for (uint32_t k = 0; k < l->own_from; k++) {
            size -= row->n[k] * level_task_value(l, row, &l->items[k]) / l->items[k].scale;
        }
    }
    for (uint32_t i = l->own_from; i < l->item_count; i++) {
        weight_max = HQ_MAX(weight_max, l->items[i].scale);
    }
    l->bound = HQ_MAX(size, 0.0) * weight_max;
}

void
level_plan_below(struct level *l, uint32_t above, uint32_t from, uint32_t to)
{
    struct had_list had = {0};
    take_back(l->p, above, from, &had);
    make_upper_items(l, above, from);
    for (size_t i = 0; i < had.count; i++) {
        if (item_of(l, &had.v[i]) == UINT32_MAX) {
            plan_place(l->p->workers[had.v[i].worker_ix], had.v[i].cls, had.v[i].variant, had.v[i].n);
        }
    }
    level_make_items(l, from, to, 1);
    level_make_rows(l);
    give_back(l, &had);
    choose_below(l);
    bound_by_rest(l);
}
