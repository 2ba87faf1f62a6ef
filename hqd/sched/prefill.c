#include "hqd/sched/prefill.h"

#include "hqd/core/job.h"
#include "hqd/core/orders.h"
#include "hqd/core/worker.h"
#include "hqd/sched/class.h"
#include "hqd/sched/fit.h"

#define HORIZON_MS 50       /* of work at the measured rate: several round trips and a commit */
#define HORIZON_FAR_MS 200  /* while there is plenty: fewer, larger turns */
#define PLENTY 4            /* times the far depth: what is left for each worker then */
#define RATE_WINDOW_MS 20   /* a rate is taken over at least this long */
#define SHORT_TASK_MS 1000  /* tasks up to here: one waits for each slot */
#define FIRST_DEPTH_MAX 40u /* before anything was measured */
#define STEAL_SPACING_MS 2
#define STEAL_DRAIN_MS 20 /* a queue that is empty sooner is left alone: taking back costs as long */

/* ---- depth */
static void
update_rate(struct worker_use *use, hq_ms now_ms)
{
    hq_ms span_ms = now_ms - use->rate_from_ms;
    if (use->rate_from_ms == 0 || span_ms < RATE_WINDOW_MS) {
        return;
    }
    uint64_t rate = use->ended_count * 1000000u / (uint64_t)span_ms;
    use->rate_x1000 = use->rate_x1000 == 0 ? rate : (use->rate_x1000 + rate) / 2;
    use->rate_from_ms = now_ms;
    use->ended_count = 0;
}

uint32_t
prefill_depth(struct worker_use *use, const struct worker *w, uint64_t share, hq_ms now_ms)
{
    uint64_t slots = (uint64_t)use->placed + use->planned;
    if (use->mean_ms_x16 < 0) {
        return (uint32_t)HQ_MIN(slots, (uint64_t)FIRST_DEPTH_MAX);
    }
    update_rate(use, now_ms);
    uint64_t mean_ms = (uint64_t)use->mean_ms_x16 / 16;
    uint64_t per_slot = mean_ms <= SHORT_TASK_MS ? slots : (slots * SHORT_TASK_MS + mean_ms - 1) / mean_ms;
    uint64_t horizon_ms = HQ_MAX((uint64_t)HORIZON_MS, (uint64_t)w->round_trip_us * 4 / 1000);
    /* Until a first window is over, count what has ended in it as if it were all. */
    uint64_t rate_x1000 = use->rate_x1000 != 0 ? use->rate_x1000 : use->ended_count * 1000000u / RATE_WINDOW_MS;
    uint64_t depth = per_slot + rate_x1000 * horizon_ms / 1000000u;
    uint64_t far = per_slot + rate_x1000 * HORIZON_FAR_MS / 1000000u;
    depth = HQ_MAX(depth, HQ_MIN(far, share / PLENTY)); /* near the end of a class queues get short: its tail stays short */
    return (uint32_t)HQ_MIN(depth, (uint64_t)PREFILL_DEPTH_MAX);
}

/* Highest priority that is left over and that this worker could run. */
static bool
top_priority(const struct pass *p, const struct worker *w, int32_t *ret)
{
    for (uint32_t i = 0; i < p->core->active_count; i++) {
        const struct cls *cls = p->core->active[i];
        if (cls->left > 0 && !cls->is_gang && fit_is_able(cls, w, p->ctx->now->wall_ms)) {
            *ret = cls->priority;
            return true;
        }
    }
    return false;
}

static void
plan_use(struct pass *p, struct worker *w, struct worker_use *use)
{
    struct cls *cls = use->cls;
    uint64_t sharers = HQ_MAX(cls->worker_count + cls->planned_workers, 1u);
    uint64_t share = (cls->left + sharers - 1) / sharers;
    uint32_t depth = prefill_depth(use, w, share, p->ctx->now->mono_ms);
    if (use->queued > depth / 2) {
        return; /* few large refills instead of many small ones */
    }
    uint64_t n = HQ_MIN(HQ_MIN((uint64_t)(depth - use->queued), share), cls->left);
    use->planned_ahead = (uint32_t)n;
    cls->left -= n;
}

static void
count_planned(struct pass *p)
{
    for (uint32_t i = 0; i < p->core->active_count; i++) {
        p->core->active[i]->planned_workers = 0;
    }
    for (size_t i = 0; i < p->worker_count; i++) {
        const struct worker *w = p->workers[i];
        for (uint32_t k = 0; k < w->use_count; k++) {
            const struct worker_use *use = &w->uses[k];
            use->cls->planned_workers += use->planned > 0 && use->placed + use->queued == 0;
        }
    }
}

void
prefill_plan(struct pass *p)
{
    count_planned(p);
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        int32_t priority;
        if (!pass_is_open(w) || w->use_count == 0 || w->is_retracting || !top_priority(p, w, &priority)) {
            continue;
        }
        for (uint32_t k = 0; k < w->use_count; k++) {
            struct worker_use *use = &w->uses[k];
            if (use->cls->priority == priority && use->cls->left > 0 && use->placed + use->planned > 0 &&
                !fit_is_blocked(w, use->cls, use->variant)) {
                plan_use(p, w, use);
            }
        }
    }
}

/* ---- taking back */
struct retract {
    struct pass *p;
    struct worker *w;
    struct job *job;
    uint32_t instance;
    struct idlist ids;
};

static void
send_retract(struct retract *r)
{
    if (r->ids.r.count > 0) {
        orders_retract(r->p->core, r->w, r->job->id, r->instance, &r->ids.r);
        r->w->is_retracting = true;
    }
    r->ids = (struct idlist){.arena = &r->p->ctx->fx->arena};
}

/* The last n tasks of the class that have not started: the worker starts them in the order it got them. */
static void
retract_tail(struct pass *p, struct worker *w, const struct cls *cls, uint32_t n)
{
    struct retract r = {.p = p, .w = w, .ids.arena = &p->ctx->fx->arena};
    worker_sweep(p->core, w);
    for (size_t i = w->range_count; i > 0 && n > 0; i--) {
        const struct held_range *h = &w->ranges[i - 1];
        struct job *job = core_job(p->core, h->job);
        for (uint32_t k = h->count; k > 0 && n > 0; k--) {
            uint32_t pos = h->first + k - 1;
            struct task_page *page = task_table_page(&job->tasks, pos);
            uint32_t at = pos % TASK_PAGE_TASKS;
            if (page_state(page)[at] != TASK_ASSIGNED || job_node(job, pos)->cls != cls) {
                continue;
            }
            if (job != r.job || page_instance(page)[at] != r.instance) {
                send_retract(&r);
                r.job = job;
                r.instance = page_instance(page)[at];
            }
            job_add_ids(job, pos, 1, &r.ids);
            n--;
        }
    }
    send_retract(&r);
}

/* A class that is left over takes precedence over lower ones queued on workers that could run it. */
static void
retract_lower(struct pass *p)
{
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        int32_t priority;
        if (!worker_is_ready(w) || w->is_retracting || w->use_count == 0 || !top_priority(p, w, &priority)) {
            continue;
        }
        for (uint32_t k = 0; k < w->use_count; k++) {
            if (w->uses[k].queued > 0 && w->uses[k].cls->priority < priority) {
                retract_tail(p, w, w->uses[k].cls, w->uses[k].queued);
            }
        }
    }
}

static bool
is_slow(const struct worker_use *use, const struct worker *w)
{
    uint64_t drain_ms = STEAL_DRAIN_MS + 1;
    if (use->rate_x1000 > 0) {
        drain_ms = (uint64_t)use->queued * 1000000u / use->rate_x1000;
    } else if (use->mean_ms_x16 >= 0 && use->placed > 0) {
        drain_ms = (uint64_t)use->queued * (uint64_t)use->mean_ms_x16 / 16 / use->placed;
    }
    return drain_ms > HQ_MAX((uint64_t)STEAL_DRAIN_MS, (uint64_t)w->round_trip_us * 2 / 1000);
}

static void
steal_class(struct pass *p, struct cls *cls)
{
    uint64_t total = 0;
    for (size_t i = 0; i < p->core->worker_count; i++) {
        struct worker *w = p->core->workers[i];
        for (uint32_t k = 0; worker_is_ready(w) && !w->is_retracting && k < w->use_count; k++) {
            if (w->uses[k].cls == cls && w->uses[k].queued > 0 && is_slow(&w->uses[k], w)) {
                total += w->uses[k].queued;
            }
        }
    }
    uint64_t need = HQ_MIN(cls->need, total);
    for (size_t i = 0; i < p->core->worker_count && need > 0; i++) {
        struct worker *w = p->core->workers[i];
        for (uint32_t k = 0; worker_is_ready(w) && !w->is_retracting && k < w->use_count; k++) {
            const struct worker_use *use = &w->uses[k];
            if (use->cls == cls && use->queued > 0 && is_slow(use, w)) {
                uint64_t n = (cls->need * use->queued + total - 1) / total;
                n = HQ_MIN(HQ_MIN(n, (uint64_t)use->queued), need);
                need -= n;
                retract_tail(p, w, cls, (uint32_t)n);
                break;
            }
        }
    }
}

/* Tasks of the class that a dry worker could start at once. None where the next pass would not place them: kept for a
 * higher priority, or under a minimal utilization; they would come back, and be asked for again. */
static uint32_t
could_start(const struct pass *p, const struct worker *w, const struct cls *cls)
{
    int32_t priority;
    if (!pass_is_open(w) || w->config.min_utilization_x10000 > 0) {
        return 0;
    }
    uint32_t limit = (uint32_t)HQ_MIN(cls->queued, (uint64_t)UINT32_MAX);
    for (uint32_t k = 0; k < cls->variant_count; k++) {
        const struct cls_variant *v = &cls->variants[k];
        uint32_t n = v->need_count == 0 ? 0 : fit_count(v, w->free, w->total, w->res_count, limit);
        if (n > 0 && !fit_is_blocked(w, cls, k) && fit_time(v, w, p->ctx->now->wall_ms)) {
            return top_priority(p, w, &priority) && priority > cls->priority ? 0 : n;
        }
    }
    return 0;
}

/* Sums up what dry workers among `workers` could start of classes that are only queued elsewhere. */
static bool
find_dry(struct pass *p, struct worker **workers, size_t count)
{
    bool any = false;
    for (uint32_t q = 0; q < p->core->queued_class_count; q++) {
        struct cls *cls = p->core->queued_classes[q];
        cls->need = 0;
        for (size_t i = 0; cls->ready == 0 && i < count; i++) {
            cls->need += could_start(p, workers[i], cls);
        }
        any = any || cls->need > 0;
    }
    return any;
}

static void
steal(struct pass *p)
{
    struct core *core = p->core;
    hq_ms now_ms = p->ctx->now->mono_ms;
    bool was_hungry = core->is_hungry;
    core->is_hungry = false;
    if (core->queued_class_count == 0) {
        return;
    }
    struct worker **workers = was_hungry ? core->workers : p->workers;
    size_t count = was_hungry ? core->worker_count : p->worker_count;
    if (!find_dry(p, workers, count)) {
        return;
    }
    if (now_ms < core->steal_at_ms) {
        core->is_hungry = true; /* looked at again when the timer comes */
        return;
    }
    core->steal_at_ms = now_ms + STEAL_SPACING_MS;
    for (uint32_t q = 0; q < core->queued_class_count; q++) {
        if (core->queued_classes[q]->need > 0) {
            steal_class(p, core->queued_classes[q]);
        }
    }
}

/* These workers are to run empty. */
static void
retract_reserved(struct pass *p)
{
    for (size_t i = 0; i < p->core->worker_count; i++) {
        struct worker *w = p->core->workers[i];
        if (!w->is_reserved || w->is_retracting) {
            continue;
        }
        for (uint32_t k = 0; k < w->use_count; k++) {
            if (w->uses[k].queued > 0) {
                retract_tail(p, w, w->uses[k].cls, w->uses[k].queued);
            }
        }
    }
}

void
prefill_retract(struct pass *p)
{
    if (p->core->has_reservation) {
        retract_reserved(p);
    }
    if (p->core->active_count > 0 && p->core->queued_class_count > 0) {
        retract_lower(p);
    }
    steal(p);
}
