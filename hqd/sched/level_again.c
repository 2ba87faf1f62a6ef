/* level_again.c - the plan of a level made better: a few workers choose again, or one makes room. */
#include "hqd/sched/level_impl.h"

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
        level_give_up(l, s[i].row);
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
        level_give_up(l, s[i].row);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_last = i + 1 == count; /* takes what the others have left */
        if (!is_last) {
            bend(l, s[i].row, bent);
        }
        level_choose(l, s[i].row, is_last ? NULL : bent, AGAIN_NODES);
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
    level_give_up(l, row);
    level_choose(l, row, only, AGAIN_NODES);
    level_choose(l, row, NULL, AGAIN_NODES);
    for (uint32_t i = 0; i < l->row_count; i++) {
        if (&l->rows[i] != row) {
            level_choose(l, &l->rows[i], NULL, AGAIN_NODES);
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

void
level_improve(struct level *l)
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
