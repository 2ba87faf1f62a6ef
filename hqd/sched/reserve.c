#include "hqd/sched/reserve.h"

#include "hqd/core/worker.h"
#include "hqd/sched/class.h"
#include "hqd/sched/fit.h"
#include "hqd/sched/gang.h"
#include "hqd/sched/plan.h"

#include <stdlib.h>

/* ---- who waits */
static bool
wants_all(const struct cls *cls)
{
    for (uint32_t v = 0; v < cls->variant_count; v++) {
        for (uint32_t i = 0; i < cls->variants[v].need_count; i++) {
            if (cls->variants[v].needs[i].is_all) {
                return true;
            }
        }
    }
    return false;
}

static bool
is_overdue(const struct cls *cls, hq_ms now_ms)
{
    return cls->waiting_from_ms != 0 && now_ms - cls->waiting_from_ms > RESERVE_AFTER_MS;
}

/* Everything of something, and not for the first time: at first the value decides alone, as it does for all. */
static bool
wants_worker(const struct cls *cls, hq_ms now_ms)
{
    return cls->queued == 0 && cls->waiting_from_ms != 0 && now_ms > cls->waiting_from_ms && wants_all(cls);
}

bool
reserve_is_wanted(const struct cls *cls, hq_ms now_ms)
{
    return cls->is_gang || is_overdue(cls, now_ms) || wants_worker(cls, now_ms);
}

void
reserve_note_progress(struct cls *cls, hq_ms now_ms)
{
    cls->waiting_from_ms = now_ms;
}

static void
wake_at(struct core *core, hq_ms at_ms)
{
    if (core->reserve_at_ms == 0 || at_ms < core->reserve_at_ms) {
        core->reserve_at_ms = at_ms;
    }
}

bool
reserve_begin(struct core *core, hq_ms now_ms)
{
    bool any = false;
    core->reserve_at_ms = 0;
    for (uint32_t i = 0; i < core->active_count; i++) {
        struct cls *cls = core->active[i];
        cls->waiting_from_ms = cls->waiting_from_ms == 0 ? now_ms : cls->waiting_from_ms;
        any = any || reserve_is_wanted(cls, now_ms);
        bool is_soon = now_ms == cls->waiting_from_ms && wants_all(cls);
        hq_ms due_ms = cls->waiting_from_ms + (is_soon ? 0 : RESERVE_AFTER_MS) + 1;
        if (due_ms > now_ms) {
            wake_at(core, due_ms);
        }
    }
    for (size_t i = 0; core->has_reservation && i < core->worker_count; i++) {
        if (core->workers[i]->is_reserved) {
            core->workers[i]->is_reserved = false;
            worker_dirty(core, core->workers[i]);
        }
    }
    core->has_reservation = false;
    return any;
}

/* ---- single-node classes */
static hq_ms
mean_ms(const struct worker *w)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < w->use_count; i++) {
        most = w->uses[i].placed > 0 ? HQ_MAX(most, w->uses[i].mean_ms_x16 / 16) : most;
    }
    return most;
}

static bool
place_one(struct pass *p, struct cls *cls)
{
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        for (uint32_t v = 0; pass_is_open(w) && v < cls->variant_count; v++) {
            if (plan_fits(p, w, cls, v) > 0) {
                plan_place(w, cls, v, 1);
                return true;
            }
        }
    }
    return false;
}

/* Others have what the class waits for: where only its own tasks run, one of them is followed by the next anyway. */
static bool
has_others(const struct worker *w, const struct cls *cls)
{
    for (uint32_t i = 0; i < w->use_count; i++) {
        if (w->uses[i].cls != cls && w->uses[i].placed > 0) {
            return true;
        }
    }
    return false;
}

/* How near the worker is to having room: the smallest share of what a task needs that is free; below 0: never. */
static double
nearness(const struct pass *p, const struct worker *w, const struct cls *cls)
{
    hq_ms now_ms = p->ctx->now->mono_ms;
    hq_ms runs_ms = mean_ms(w);
    double best = -1;
    hq_ms late_ms = cls->waiting_from_ms + HQ_MAX((hq_ms)RESERVE_AFTER_MS, RESERVE_TASKS * runs_ms) + 1;
    bool is_late = now_ms >= late_ms;
    if (!is_late && is_overdue(cls, now_ms)) {
        wake_at(p->core, late_ms);
    }
    for (uint32_t v = 0; v < cls->variant_count; v++) {
        const struct cls_variant *k = &cls->variants[v];
        bool is_due = is_late || wants_worker(cls, now_ms);
        if (!is_due || fit_total(k, w) == 0 || fit_is_blocked(w, cls, v) ||
            !fit_time(k, w, p->ctx->now->wall_ms + runs_ms)) {
            continue;
        }
        double least = 1;
        for (uint32_t i = 0; i < k->need_count; i++) {
            uint32_t r = k->needs[i].res;
            double need = k->needs[i].is_all ? (double)w->total[r] : (double)k->needs[i].amount;
            least = HQ_MIN(least, (double)HQ_MAX(w->plan_free[r], (int64_t)0) / need);
        }
        best = HQ_MAX(best, least);
    }
    return best;
}

static void
reserve_one(struct pass *p, struct cls *cls)
{
    struct worker *best = NULL;
    double best_nearness = -1;
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        if (!pass_is_open(w) || !has_others(w, cls) || gang_is_group_reserved(p, w->group)) {
            continue;
        }
        double near = nearness(p, w, cls);
        if (near >= 0 && w->id.v == cls->reserved_worker) {
            best = w; /* what has been freed there stays of use */
            break;
        }
        if (near > best_nearness) {
            best = w;
            best_nearness = near;
        }
    }
    cls->reserved_worker = best == NULL ? 0 : best->id.v;
    if (best != NULL) {
        best->is_reserved = true;
        p->core->has_reservation = true;
    }
}

/* ---- a level */
struct candidate {
    struct cls *cls;
    bool is_overdue;
    hq_ms waiting_from_ms;
};

/* Those that have waited too long first, the longest in front; the others by age. */
static int
cmp_candidate(const void *pa, const void *pb)
{
    const struct candidate *a = pa;
    const struct candidate *b = pb;
    if (a->is_overdue != b->is_overdue) {
        return a->is_overdue ? -1 : 1;
    }
    if (a->is_overdue && a->waiting_from_ms != b->waiting_from_ms) {
        return a->waiting_from_ms < b->waiting_from_ms ? -1 : 1;
    }
    return class_order(a->cls, b->cls);
}

static void
serve(struct pass *p, struct cls *cls)
{
    if (cls->is_gang) {
        while (cls->left > 0 && gang_try_start(p, cls)) {
        }
        if (cls->left > 0) {
            gang_reserve(p, cls);
        }
        return;
    }
    /* The first time the value decides: it has not been passed over yet. */
    bool has_waited = is_overdue(cls, p->ctx->now->mono_ms) || cls->reserved_worker != 0;
    if (has_waited && place_one(p, cls)) {
        cls->reserved_worker = 0;
    } else {
        reserve_one(p, cls);
    }
}

void
reserve_level(struct pass *p, uint32_t from, uint32_t to)
{
    struct core *core = p->core;
    struct candidate *v = NULL;
    size_t n = 0;
    size_t cap = 0;
    for (uint32_t i = from; i < to; i++) {
        struct cls *cls = core->active[i];
        if (cls->left > 0 && reserve_is_wanted(cls, p->ctx->now->mono_ms)) {
            hq_arena_grow(&p->ctx->fx->arena, &v, &cap, n + 1, sizeof(*v));
            v[n++] = (struct candidate){cls, is_overdue(cls, p->ctx->now->mono_ms), cls->waiting_from_ms};
        }
    }
    if (n > 1) {
        qsort(v, n, sizeof(*v), cmp_candidate);
    }
    for (size_t i = 0; i < n; i++) {
        serve(p, v[i].cls);
    }
}
