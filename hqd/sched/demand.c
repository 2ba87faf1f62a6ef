#include "hqd/sched/demand.h"

#include "hqd/core/alloc.h"
#include "hqd/core/worker.h"
#include "hqd/sched/fit.h"
#include "hqd/sched/plan.h"

#include <stdlib.h>

#define UNLIMITED ((int64_t)1 << 60)

struct names { /* resources that tasks or queues name and no worker has ever had: numbered behind the core's */
    struct hq_str *v;
    size_t count;
    size_t cap;
};

struct renamed { /* a need that was given such a number for the time of the question */
    struct need *need;
};

struct demand {
    struct core *core;
    const struct core_now *now;
    struct hq_arena *arena;
    struct names names;
    struct renamed *renamed;
    size_t renamed_count;
    size_t renamed_cap;
    struct alloc_queue **queues; /* active, with room */
    size_t queue_count;
    struct worker **workers; /* imagined; those of queues[i] from first[i] to first[i + 1] */
    size_t worker_count;
    size_t *first;
};

/* ---- names */
static uint32_t
number_of(struct demand *d, struct hq_str name)
{
    for (uint32_t i = 0; i < d->core->res_count; i++) {
        if (hq_str_is(name, d->core->res[i])) {
            return i;
        }
    }
    for (size_t i = 0; i < d->names.count; i++) {
        if (hq_str_eq(d->names.v[i], name)) {
            return d->core->res_count + (uint32_t)i;
        }
    }
    hq_arena_grow(d->arena, &d->names.v, &d->names.cap, d->names.count + 1, sizeof(*d->names.v));
    d->names.v[d->names.count++] = name;
    return d->core->res_count + (uint32_t)d->names.count - 1;
}

static void
number_needs(struct demand *d, struct cls *cls)
{
    for (uint32_t i = 0; i < cls->variant_count; i++) {
        const struct hq_variant *from = &cls->request.variants[i];
        for (uint32_t k = 0; k < cls->variants[i].need_count; k++) {
            struct need *need = &cls->variants[i].needs[k];
            if (need->res == RES_NONE) {
                hq_arena_grow(d->arena, &d->renamed, &d->renamed_cap, d->renamed_count + 1, sizeof(*d->renamed));
                d->renamed[d->renamed_count++].need = need;
                need->res = number_of(d, from->entries[k].name);
            }
        }
    }
}

/* ---- imagined workers */
static bool
has_cpus(const struct hq_pools *pools)
{
    return hq_pools_find(pools, HQ_STR("cpus")) != NULL;
}

static void
set_totals(struct demand *d, const struct alloc_queue *q, int64_t *total, uint32_t count, bool *ret_any_cpus)
{
    bool is_known = q->shape.count > 0;
    bool is_described = !is_known && q->params.has_pools && has_cpus(&q->params.pools);
    const struct hq_pools *pools = is_known ? &q->shape : &q->params.pools;
    *ret_any_cpus = !is_known && !is_described;
    for (uint32_t r = 0; r < count; r++) {
        total[r] = is_known ? 0 : UNLIMITED; /* of what nobody described there may be any amount */
    }
    for (size_t i = 0; (is_known || is_described) && i < pools->count; i++) {
        total[number_of(d, pools->v[i].name)] = (int64_t)hq_pool_size(&pools->v[i]);
    }
}

static struct worker *
imagine(struct demand *d, const struct alloc_queue *q, uint32_t number)
{
    struct worker *w = hq_arena_alloc(d->arena, sizeof(*w));
    uint32_t count = d->core->res_count + (uint32_t)d->names.count;
    bool any_cpus;
    w->id.v = number;
    w->place = WORKER_HERE;
    w->res_count = count;
    w->total = hq_arena_array(d->arena, count + 1u, sizeof(*w->total));
    w->plan_free = hq_arena_array(d->arena, count + 1u, sizeof(*w->plan_free));
    set_totals(d, q, w->total, count, &any_cpus);
    memcpy(w->plan_free, w->total, count * sizeof(*w->total));
    w->free = w->total;
    w->is_planned = true;
    w->registered_ms = d->now->wall_ms;
    hq_ms own_ms = q->params.worker_time_limit_ms;
    /* A real worker starts some time after its allocation: a task that needs every second of it would never run. */
    w->config.time_limit_ms = (own_ms > 0 ? HQ_MIN(own_ms, q->params.time_limit_ms) : q->params.time_limit_ms) - 1;
    w->config.min_utilization_x10000 = any_cpus ? 0 : q->params.min_utilization_x10000;
    return w;
}

/* What the queue may have waiting, and what has started and not come yet: hq-allocd takes those off. */
static uint32_t
possible_workers(const struct alloc_queue *q)
{
    uint64_t n = (uint64_t)q->params.backlog * q->params.max_workers_per_alloc;
    for (size_t i = 0; i < q->alloc_count; i++) {
        const struct allocation *a = q->allocs[i];
        n += a->state == ALLOC_RUNNING && a->connected < a->worker_count ? a->worker_count - a->connected : 0;
    }
    return (uint32_t)HQ_MIN(n, (uint64_t)DEMAND_WORKERS_MAX);
}

static bool
has_room(const struct alloc_queue *q)
{
    uint64_t queued = 0;
    uint64_t workers = 0;
    for (size_t i = 0; i < q->alloc_count; i++) {
        const struct allocation *a = q->allocs[i];
        queued += a->state == ALLOC_PLANNED || a->state == ALLOC_QUEUED;
        workers += alloc_is_over(a) ? 0 : a->worker_count;
    }
    return !q->is_paused && !q->is_removed && queued < q->params.backlog &&
           (q->params.max_worker_count == 0 || workers < q->params.max_worker_count);
}

static void
imagine_all(struct demand *d)
{
    const struct alloc *all = d->core->alloc;
    d->queues = hq_arena_array(d->arena, all->queue_count + 1, sizeof(*d->queues));
    d->first = hq_arena_array(d->arena, all->queue_count + 2, sizeof(*d->first));
    size_t room = 0;
    for (size_t i = 0; i < all->queue_count; i++) {
        struct alloc_queue *q = all->queues[i];
        if (has_room(q)) {
            d->queues[d->queue_count++] = q;
            room += possible_workers(q);
            for (size_t k = 0; k < q->params.pools.count; k++) { /* all names are known before arrays are sized */
                (void)number_of(d, q->params.pools.v[k].name);
            }
            for (size_t k = 0; k < q->shape.count; k++) {
                (void)number_of(d, q->shape.v[k].name);
            }
        }
    }
    room = HQ_MIN(room, (size_t)DEMAND_WORKERS_MAX);
    d->workers = hq_arena_array(d->arena, room + 1, sizeof(*d->workers));
    for (size_t i = 0; i < d->queue_count; i++) {
        d->first[i] = d->worker_count;
        uint32_t n = possible_workers(d->queues[i]);
        for (uint32_t k = 0; k < n && d->worker_count < room; k++) {
            d->workers[d->worker_count] = imagine(d, d->queues[i], (uint32_t)d->worker_count + 1);
            d->worker_count++;
        }
    }
    d->first[d->queue_count] = d->worker_count;
}

/* ---- the question */
static void
plan_levels(struct pass *p)
{
    struct core *core = p->core;
    for (uint32_t i = 0; i < core->active_count;) {
        uint32_t end = i + 1;
        while (end < core->active_count && core->active[end]->priority == core->active[i]->priority) {
            end++;
        }
        plan_level(p, i, i, end);
        if (end < core->active_count) {
            plan_hold(p, i, end);
        }
        i = end;
    }
}

static bool
has_work(const struct worker *w)
{
    for (uint32_t i = 0; i < w->use_count; i++) {
        if (w->uses[i].planned > 0) {
            return true;
        }
    }
    return false;
}

/* Share of its cpus that the tasks would use; plan.c judges real workers the same way, by numbers that may lack here. */
static bool
is_thin(struct demand *d, const struct worker *w)
{
    uint32_t cpus = number_of(d, HQ_STR("cpus"));
    if (w->config.min_utilization_x10000 == 0 || cpus >= w->res_count || w->total[cpus] == UNLIMITED) {
        return false;
    }
    int64_t used = w->total[cpus] - w->plan_free[cpus];
    return used * 10000 < w->total[cpus] * (int64_t)w->config.min_utilization_x10000;
}

static void
plan_on_imagined(struct demand *d, struct effects *fx)
{
    struct core *core = d->core;
    struct ctx ctx = {.core = core, .now = d->now, .fx = fx};
    struct pass p = {
        .ctx = &ctx, .core = core, .workers = d->workers, .worker_count = d->worker_count, .nodes_left = PASS_NODES_MAX};
    struct worker **real = core->workers;
    size_t real_count = core->worker_count;
    core->workers = d->workers; /* shares and holds are those of the imagined cluster */
    core->worker_count = d->worker_count;
    plan_levels(&p);
    core->workers = real;
    core->worker_count = real_count;
}

/* Each class of multi-node tasks goes to the first queue that can hold it. */
static void
count_multi(struct demand *d, struct query_demand *v)
{
    for (uint32_t i = 0; i < d->core->active_count; i++) {
        const struct cls *cls = d->core->active[i];
        if (!cls->is_gang || cls->ready == 0) {
            continue;
        }
        for (size_t k = 0; k < d->queue_count; k++) {
            const struct alloc_queue *q = d->queues[k];
            const struct worker *w = d->first[k] < d->first[k + 1] ? d->workers[d->first[k]] : NULL;
            if (w == NULL || q->params.max_workers_per_alloc < cls->variants[0].n_nodes ||
                !fit_time(&cls->variants[0], w, d->now->wall_ms) || fit_total(&cls->variants[0], w) == 0) {
                continue;
            }
            size_t cap = v[k].multi_count; /* grows rarely: one class, one entry */
            hq_arena_grow(d->arena, &v[k].multi, &cap, v[k].multi_count + 1, sizeof(*v[k].multi));
            v[k].multi[v[k].multi_count++] = (struct query_demand_nodes){
                .nodes = cls->variants[0].n_nodes, .count = (uint32_t)HQ_MIN(cls->ready, (uint64_t)q->params.backlog)};
            break;
        }
    }
}

/* Workers of the queue whose life ends within the lead time while there is work for more than their rest. */
static uint32_t
count_ending(const struct demand *d, const struct alloc_queue *q)
{
    uint32_t n = 0;
    uint64_t ready = 0;
    for (uint32_t i = 0; i < d->core->active_count; i++) {
        ready += d->core->active[i]->ready;
    }
    for (uint32_t i = 0; i < d->core->queued_class_count; i++) {
        ready += d->core->queued_classes[i]->queued;
    }
    for (size_t i = 0; q->params.lead_time_ms > 0 && ready > 0 && i < q->alloc_count; i++) {
        const struct allocation *a = q->allocs[i];
        hq_wall_ms end_ms = a->started_ms + q->params.time_limit_ms;
        n += a->state == ALLOC_RUNNING && end_ms - d->now->wall_ms <= q->params.lead_time_ms ? a->worker_count : 0;
    }
    return n;
}

void
demand_count(struct core *core, const struct core_now *now, struct hq_arena *arena, struct query_demand **ret,
             size_t *ret_count)
{
    struct demand d = {.core = core, .now = now, .arena = arena};
    for (uint32_t i = 0; i < core->active_count; i++) {
        core->active[i]->left = core->active[i]->ready;
        number_needs(&d, core->active[i]);
    }
    imagine_all(&d);
    if (d.worker_count > 0 && core->active_count > 0) {
        struct effects fx;
        effects_init(&fx);
        plan_on_imagined(&d, &fx);
        effects_fini(&fx);
    }
    struct query_demand *v = hq_arena_array(arena, d.queue_count + 1, sizeof(*v));
    for (size_t i = 0; i < d.queue_count; i++) {
        v[i].queue = d.queues[i]->id;
        v[i].ending = count_ending(&d, d.queues[i]);
        for (size_t k = d.first[i]; k < d.first[i + 1]; k++) {
            v[i].single += has_work(d.workers[k]) && !is_thin(&d, d.workers[k]);
        }
    }
    count_multi(&d, v);
    for (size_t i = 0; i < d.worker_count; i++) {
        free(d.workers[i]->uses);
    }
    for (size_t i = 0; i < d.renamed_count; i++) {
        d.renamed[i].need->res = RES_NONE;
    }
    *ret = v;
    *ret_count = d.queue_count;
}
