#include "hqd/sched/plan.h"

#include "hqd/core/worker.h"
#include "hqd/sched/class.h"
#include "hqd/sched/fit.h"
#include "hqd/sched/level.h"
#include "hqd/sched/reserve.h"

#include <stdlib.h>

/* ---- placing */
static bool
is_allowed(const struct pass *p, const struct worker *w, const struct cls *cls, uint32_t variant)
{
    return (w->block_count == 0 || !fit_is_blocked(w, cls, variant)) &&
           fit_time(&cls->variants[variant], w, p->ctx->now->wall_ms);
}

/* Tasks that ask for nothing are limited by what the worker has of them already. */
static uint32_t
limit_of(const struct worker *w, const struct cls *cls, uint32_t variant)
{
    uint32_t limit = (uint32_t)HQ_MIN(cls->left, (uint64_t)UINT32_MAX);
    if (cls->variants[variant].need_count > 0) {
        return limit;
    }
    uint32_t have = 0;
    for (uint32_t i = 0; i < w->use_count; i++) {
        if (w->uses[i].cls == cls && w->uses[i].variant == variant) {
            have = w->uses[i].placed + w->uses[i].planned;
        }
    }
    return have >= FIT_UNBOUNDED ? 0 : HQ_MIN(limit, FIT_UNBOUNDED - have);
}

uint32_t
plan_fits(const struct pass *p, const struct worker *w, const struct cls *cls, uint32_t variant)
{
    const struct cls_variant *v = &cls->variants[variant];
    uint32_t n = fit_count(v, w->plan_free, w->total, w->res_count, limit_of(w, cls, variant));
    return n > 0 && is_allowed(p, w, cls, variant) ? n : 0;
}

void
plan_place(struct worker *w, struct cls *cls, uint32_t variant, uint32_t n)
{
    struct worker_use *use = worker_use_get(w, cls, variant);
    use->planned += n;
    cls->left -= n;
    fit_book(&cls->variants[variant], w->plan_free, w->total, w->res_count, n);
}

static void
add_up_free(struct pass *p)
{
    p->res_count = p->core->res_count;
    for (size_t i = 0; i < p->core->worker_count; i++) { /* imagined ones may have what no real one has */
        p->res_count = HQ_MAX(p->res_count, p->core->workers[i]->res_count);
    }
    p->free_sum = hq_arena_array(&p->ctx->fx->arena, HQ_MAX(p->res_count, 1u), sizeof(double));
    for (size_t i = 0; i < p->core->worker_count; i++) {
        const struct worker *w = p->core->workers[i];
        for (uint32_t r = 0; pass_is_open(w) && r < w->res_count; r++) {
            p->free_sum[r] += (double)HQ_MAX(w->free[r], (int64_t)0);
        }
    }
}

/* Share of the free cluster that one task takes, times its weight (spec/workers.md 9.3). */
static double
value_of(const struct pass *p, const struct worker *w, const struct cls_variant *v)
{
    double sum = 0;
    for (uint32_t i = 0; i < v->need_count; i++) {
        const struct need *need = &v->needs[i];
        if (need->res < w->res_count && p->free_sum[need->res] > 0) {
            double amount = need->is_all ? (double)w->total[need->res] : (double)need->amount;
            sum += amount / p->free_sum[need->res];
        }
    }
    return sum * (double)v->weight_x10000;
}

/* Several classes or variants compete: the one that makes most of this worker first, until nothing fits. */
static void
place_best(struct pass *p, struct worker *w, uint32_t from, uint32_t to)
{
    for (;;) {
        struct cls *best = NULL;
        uint32_t best_variant = 0;
        uint32_t best_n = 0;
        double best_value = -1;
        for (uint32_t i = from; i < to; i++) {
            struct cls *cls = p->core->active[i];
            for (uint32_t k = 0; cls->left > 0 && !cls->is_gang && k < cls->variant_count; k++) {
                uint32_t n = plan_fits(p, w, cls, k);
                double value = n == 0 ? -1 : n * value_of(p, w, &cls->variants[k]);
                if (value > best_value) {
                    best = cls;
                    best_variant = k;
                    best_n = n;
                    best_value = value;
                }
            }
        }
        if (best == NULL) {
            return;
        }
        plan_place(w, best, best_variant, best_n);
    }
}

static struct cls *
only_class(const struct pass *p, uint32_t from, uint32_t to)
{
    struct cls *only = NULL;
    for (uint32_t i = from; i < to; i++) {
        struct cls *cls = p->core->active[i];
        if (cls->left == 0 || cls->is_gang) {
            continue;
        }
        if (only != NULL || cls->variant_count > 1) {
            return NULL;
        }
        only = cls;
    }
    return only;
}

static bool
any_left(const struct pass *p, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (p->core->active[i]->left > 0 && !p->core->active[i]->is_gang) {
            return true;
        }
    }
    return false;
}

void
plan_level(struct pass *p, uint32_t above, uint32_t from, uint32_t to)
{
    if (!any_left(p, from, to)) {
        return;
    }
    struct cls *only = above == from ? only_class(p, from, to) : NULL;
    if (only == NULL && p->free_sum == NULL) {
        add_up_free(p);
    }
    if (only == NULL) {
        level_plan(p, above, from, to);
    }
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        if (!pass_is_open(w)) {
            continue;
        }
        if (only == NULL) {
            place_best(p, w, from, to);
            continue;
        }
        uint32_t n = plan_fits(p, w, only, 0);
        if (n > 0) {
            plan_place(w, only, 0, n);
        }
        if (only->left == 0) {
            return;
        }
    }
}

uint32_t
plan_movable(const struct pass *p, uint32_t above, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (p->core->active[i]->left > 0 || p->core->active[i]->is_gang) {
            return to; /* something is held for it */
        }
    }
    return above < from && p->core->active[above]->priority != p->core->active[from - 1]->priority ? from : above;
}

/* ---- holding back. On a worker that could run k tasks of a class when empty, the class may come to use k times its
 * request; what is not in use by it yet is taken off what lower priorities see. The rest (the gap) is theirs. */
struct holder {
    struct worker *w;
    uint32_t slots;
    uint32_t variant;
    int64_t free; /* of the first resource it needs: the closest to starting one holds first */
};

static int
cmp_holder(const void *pa, const void *pb)
{
    const struct holder *a = pa;
    const struct holder *b = pb;
    if (a->free != b->free) {
        return a->free > b->free ? -1 : 1;
    }
    return a->w->id.v < b->w->id.v ? -1 : a->w->id.v > b->w->id.v;
}

static bool
could_hold(const struct pass *p, struct worker *w, const struct cls *cls, struct holder *ret)
{
    uint32_t in_use = 0;
    uint32_t total = 0;
    for (uint32_t k = 0; k < cls->variant_count && total == 0; k++) {
        if (is_allowed(p, w, cls, k)) {
            total = fit_total(&cls->variants[k], w);
            ret->variant = k;
        }
    }
    for (uint32_t i = 0; total > 0 && i < w->use_count; i++) {
        if (w->uses[i].cls == cls) {
            in_use += w->uses[i].placed + w->uses[i].planned;
        }
    }
    if (total <= in_use) {
        return false;
    }
    const struct cls_variant *v = &cls->variants[ret->variant];
    const int64_t *free_now = w->is_planned ? w->plan_free : w->free;
    ret->w = w;
    ret->slots = total - in_use;
    ret->free = v->need_count == 0 ? 0 : free_now[v->needs[0].res];
    return true;
}

static void
hold_class(struct pass *p, struct cls *cls)
{
    struct holder *v = hq_arena_array(&p->ctx->fx->arena, p->core->worker_count * 2, sizeof(*v));
    size_t n = 0;
    size_t with_free = 0;
    for (size_t i = 0; i < p->core->worker_count; i++) {
        struct worker *w = p->core->workers[i];
        n += pass_is_open(w) && could_hold(p, w, cls, &v[n]);
    }
    /* Those that have something free first, the most of it in front; all others by id. Few have: a short sort. */
    struct holder *order = v + p->core->worker_count;
    for (size_t i = 0; i < n; i++) {
        if (v[i].free > 0) {
            order[with_free++] = v[i];
        }
    }
    qsort(order, with_free, sizeof(*order), cmp_holder);
    size_t at = with_free;
    for (size_t i = 0; i < n; i++) {
        if (v[i].free <= 0) {
            order[at++] = v[i];
        }
    }
    v = order;
    uint64_t want = cls->left;
    for (size_t i = 0; i < n && want > 0; i++) {
        uint32_t take = (uint32_t)HQ_MIN((uint64_t)v[i].slots, want);
        want -= take;
        if (v[i].w->is_planned) {
            fit_book(&cls->variants[v[i].variant], v[i].w->plan_free, v[i].w->total, v[i].w->res_count, take);
        }
    }
}

static bool
fits_anywhere(const struct pass *p, const struct cls *cls)
{
    if (cls->left > 0 && reserve_is_wanted(cls, p->ctx->now->mono_ms)) {
        return true; /* it has a say though it fits nowhere */
    }
    for (size_t i = 0; cls->left > 0 && i < p->worker_count; i++) {
        const struct worker *w = p->workers[i];
        for (uint32_t v = 0; pass_is_open(w) && v < cls->variant_count; v++) {
            if (fit_count(&cls->variants[v], w->plan_free, w->total, w->res_count, 1) > 0) {
                return true;
            }
        }
    }
    return false;
}

uint32_t
plan_shrink(const struct pass *p, uint32_t from, uint32_t end)
{
    end = HQ_MIN(end, p->core->active_count);
    while (end > from && !fits_anywhere(p, p->core->active[end - 1])) {
        end--;
    }
    return end;
}

void
plan_hold(struct pass *p, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct cls *cls = p->core->active[i];
        if (cls->left > 0 && !cls->is_gang) {
            hold_class(p, cls);
        }
    }
}

/* ---- minimal utilization (spec/workers.md 9.6): nothing new, or at least that share of the cpus in use */
static bool
is_thin(const struct worker *w, uint32_t cpus)
{
    int64_t used = w->total[cpus] - w->free[cpus];
    bool any = false;
    for (uint32_t i = 0; i < w->use_count; i++) {
        const struct cls_variant *v = &w->uses[i].cls->variants[w->uses[i].variant];
        any = any || w->uses[i].planned > 0;
        for (uint32_t k = 0; k < v->need_count; k++) {
            if (v->needs[k].res == cpus) {
                int64_t one = v->needs[k].is_all ? w->total[cpus] : (int64_t)v->needs[k].amount;
                used += one * w->uses[i].planned;
            }
        }
    }
    return any && (double)used < (double)w->total[cpus] * w->config.min_utilization_x10000 / 10000.0;
}

void
plan_drop_thin(struct pass *p)
{
    uint32_t cpus = class_resource(p->core, HQ_STR("cpus"));
    for (size_t i = p->worker_count; i > 0; i--) {
        struct worker *w = p->workers[i - 1];
        if (w->config.min_utilization_x10000 == 0) {
            return; /* they come last */
        }
        if (cpus >= w->res_count || !is_thin(w, cpus)) {
            continue;
        }
        for (uint32_t k = 0; k < w->use_count; k++) {
            w->uses[k].cls->left += w->uses[k].planned;
            w->uses[k].planned = 0;
        }
    }
}
