#include "hqd/core/worker.h"

#include "common/mem.h"
#include "hqd/core/job.h"
#include "hqd/core/link.h"
#include "hqd/core/orders.h"
#include "hqd/core/pack.h"
#include "hqd/sched/class.h"
#include "hqd/sched/fit.h"

#include <stdlib.h>

#define USES_IDLE_MAX 16u       /* classes a worker is measured for though it has none of their tasks */
#define SWEEP_COVERED_MIN 1024u /* a list shorter than this is not worth a sweep */

/* ---- resources booked */
struct worker_use *
worker_use_find(struct worker *w, const struct cls *cls, uint32_t variant)
{
    for (uint32_t i = 0; i < w->use_count; i++) {
        if (w->uses[i].cls == cls && w->uses[i].variant == variant) {
            return &w->uses[i];
        }
    }
    return NULL;
}

static void
drop_use(struct worker *w, uint32_t ix)
{
    w->uses[ix] = w->uses[--w->use_count];
}

struct worker_use *
worker_use_get(struct worker *w, struct cls *cls, uint32_t variant)
{
    struct worker_use *use = worker_use_find(w, cls, variant);
    if (use != NULL) {
        return use;
    }
    for (uint32_t i = 0; w->use_count >= USES_IDLE_MAX && i < w->use_count; i++) {
        if (w->uses[i].placed + w->uses[i].queued + w->uses[i].planned + w->uses[i].planned_ahead == 0) {
            drop_use(w, i--);
        }
    }
    if (w->use_count == w->use_cap) {
        w->use_cap = w->use_cap == 0 ? 2 : w->use_cap * 2;
        w->uses = hq_xrealloc(w->uses, w->use_cap, sizeof(*w->uses));
    }
    use = &w->uses[w->use_count++];
    *use = (struct worker_use){.cls = cls, .variant = variant, .mean_ms_x16 = -1};
    return use;
}

static void
queue_more(struct core *core, struct worker_use *use, uint32_t n)
{
    struct cls *cls = use->cls;
    if (cls->queued == 0) {
        if (core->queued_class_count == core->queued_class_cap) {
            core->queued_class_cap = core->queued_class_cap == 0 ? 4 : core->queued_class_cap * 2;
            core->queued_classes = hq_xrealloc(core->queued_classes, core->queued_class_cap, sizeof(struct cls *));
        }
        cls->queued_ix = core->queued_class_count;
        core->queued_classes[core->queued_class_count++] = cls;
    }
    use->queued += n;
    cls->queued += n;
}

static void
queue_less(struct core *core, struct worker_use *use, uint32_t n)
{
    struct cls *cls = use->cls;
    HQ_ASSERT(use->queued >= n && cls->queued >= n);
    use->queued -= n;
    cls->queued -= n;
    if (n > 0 && cls->queued == 0) {
        struct cls *last = core->queued_classes[--core->queued_class_count];
        core->queued_classes[cls->queued_ix] = last;
        last->queued_ix = cls->queued_ix;
    }
}

void
worker_book(struct core *core, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n)
{
    struct worker_use *use = worker_use_get(w, cls, variant);
    const struct cls_variant *v = &cls->variants[variant];
    uint32_t fits = fit_count(v, w->free, w->total, w->res_count, n);
    fit_book(v, w->free, w->total, w->res_count, fits);
    cls->worker_count += use->placed + use->queued == 0;
    use->placed += fits;
    if (fits < n) {
        queue_more(core, use, n - fits);
    }
}

/* Something became free: queued tasks that fit now will be started by the worker, best class first. */
static void
promote(struct core *core, struct worker *w)
{
    for (;;) {
        struct worker_use *best = NULL;
        uint32_t best_fits = 0;
        for (uint32_t i = 0; i < w->use_count; i++) {
            struct worker_use *use = &w->uses[i];
            if (use->queued == 0 || (best != NULL && class_order(best->cls, use->cls) < 0)) {
                continue;
            }
            uint32_t fits = fit_count(&use->cls->variants[use->variant], w->free, w->total, w->res_count, use->queued);
            if (fits > 0) {
                best = use;
                best_fits = fits;
            }
        }
        if (best == NULL) {
            return;
        }
        fit_book(&best->cls->variants[best->variant], w->free, w->total, w->res_count, best_fits);
        best->placed += best_fits;
        queue_less(core, best, best_fits);
    }
}

void
worker_unbook(struct core *core, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n, uint32_t running)
{
    struct worker_use *use = worker_use_find(w, cls, variant);
    HQ_ASSERT(use != NULL && use->placed + use->queued >= n && use->running >= running);
    /* What ran had its place, also when the news of its successor's start came first: then both are booked. Of the rest
     * (short ones are told of by their end alone) the next one takes the place, so one less is queued. */
    uint32_t from_queue = HQ_MIN(n - running, use->queued);
    uint32_t from_placed = n - from_queue;
    queue_less(core, use, from_queue);
    use->running -= running;
    use->placed -= from_placed;
    cls->worker_count -= n > 0 && use->placed + use->queued == 0;
    if (from_placed > 0) {
        fit_book(&cls->variants[variant], w->free, w->total, w->res_count, -(int64_t)from_placed);
        promote(core, w);
    }
    worker_dirty(core, w);
}

static bool
is_overbooked(const struct worker *w, const struct cls_variant *v)
{
    for (uint32_t i = 0; i < v->need_count; i++) {
        if (v->needs[i].res < w->res_count && w->free[v->needs[i].res] < 0) {
            return true;
        }
    }
    return false;
}

/* The worker has started something else in the place of tasks that we took for placed: they wait there still. */
static void
demote(struct core *core, struct worker *w, const struct worker_use *started)
{
    for (uint32_t i = 0; i < w->use_count; i++) {
        struct worker_use *use = &w->uses[i];
        const struct cls_variant *v = &use->cls->variants[use->variant];
        uint32_t n = 0;
        while (use != started && use->placed > use->running && is_overbooked(w, v)) {
            fit_book(v, w->free, w->total, w->res_count, -1);
            use->placed--;
            n++;
        }
        if (n > 0) {
            queue_more(core, use, n);
        }
    }
}

void
worker_start(struct core *core, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n)
{
    struct worker_use *use = worker_use_find(w, cls, variant);
    HQ_ASSERT(use != NULL && use->running + n <= use->placed + use->queued);
    use->running += n;
    if (use->running > use->placed) {
        /* The worker chose another class than we thought: believe it. */
        uint32_t more = use->running - use->placed;
        fit_book(&cls->variants[variant], w->free, w->total, w->res_count, more);
        use->placed += more;
        queue_less(core, use, more);
        if (is_overbooked(w, &cls->variants[variant])) {
            demote(core, w, use);
            promote(core, w); /* something smaller may fit instead */
        }
    }
}

void
worker_unblock(struct worker *w)
{
    for (size_t i = 0; i < w->block_count; i++) {
        if (!w->blocks[i].is_forever) {
            w->blocks[i--] = w->blocks[--w->block_count];
        }
    }
}

void
worker_forget_class(struct core *core, const struct cls *cls)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        struct worker *w = core->workers[i];
        for (uint32_t k = 0; k < w->use_count; k++) {
            if (w->uses[k].cls == cls) {
                HQ_ASSERT(w->uses[k].placed + w->uses[k].queued == 0);
                drop_use(w, k--);
            }
        }
        for (size_t k = 0; k < w->block_count; k++) {
            if (w->blocks[k].cls == cls) {
                w->blocks[k--] = w->blocks[--w->block_count];
            }
        }
    }
}

/* ---- tasks held */
static int
cmp_range(const void *pa, const void *pb)
{
    const struct held_range *a = pa;
    const struct held_range *b = pb;
    if (a->job != b->job) {
        return a->job < b->job ? -1 : 1;
    }
    return a->first < b->first ? -1 : a->first > b->first;
}

static void
add_range(struct worker *w, struct held_range r)
{
    struct held_range *last = w->range_count == 0 ? NULL : &w->ranges[w->range_count - 1];
    w->covered += r.count;
    if (last != NULL && last->job == r.job && last->first + last->count == r.first) {
        last->count += r.count;
        return;
    }
    hq_xgrow(&w->ranges, &w->range_cap, w->range_count + 1, sizeof(*w->ranges));
    w->ranges[w->range_count++] = r;
}

/* Those of [first, end) that the worker still holds. */
static void
keep_held(struct worker *w, const struct job *job, uint32_t first, uint32_t end)
{
    for (uint32_t pos = first; pos < end;) {
        struct task_page *p = task_table_peek(&job->tasks, pos);
        uint32_t page_end = HQ_MIN(end, pos - pos % TASK_PAGE_TASKS + TASK_PAGE_TASKS);
        for (; p != NULL && p->held > 0 && pos < page_end; pos++) {
            uint32_t at = pos % TASK_PAGE_TASKS;
            if (task_is_held(page_state(p)[at]) && page_worker(p)[at] == w->id.v) {
                add_range(w, (struct held_range){.job = job->id.v, .first = pos, .count = 1});
            }
        }
        pos = page_end;
    }
}

void
worker_sweep(const struct core *core, struct worker *w)
{
    struct held_range *old = w->ranges;
    size_t count = w->range_count;
    w->ranges = NULL;
    w->range_count = 0;
    w->range_cap = 0;
    w->covered = 0;
    if (count > 0) {
        qsort(old, count, sizeof(*old), cmp_range);
    }
    uint64_t seen = 0; /* behind the last position looked at: a task given twice is in two ranges */
    uint32_t seen_job = 0;
    for (size_t i = 0; i < count; i++) {
        const struct job *job = core_job(core, old[i].job);
        uint64_t end = (uint64_t)old[i].first + old[i].count;
        if (old[i].job != seen_job) {
            seen_job = old[i].job;
            seen = 0;
        }
        uint32_t from = (uint32_t)HQ_MAX(seen, (uint64_t)old[i].first);
        if (job != NULL && from < end) {
            keep_held(w, job, from, (uint32_t)end);
        }
        seen = HQ_MAX(seen, end);
    }
    free(old);
}

void
worker_hold(struct core *core, struct worker *w, const struct job *job, uint32_t pos, uint32_t count)
{
    add_range(w, (struct held_range){.job = job->id.v, .first = pos, .count = count});
    if (w->covered > SWEEP_COVERED_MIN && w->covered > 2 * (uint64_t)w->held) {
        worker_sweep(core, w);
    }
}

/* ---- state */
void
worker_dirty(struct core *core, struct worker *w)
{
    if (w->is_dirty || w->place == WORKER_LOST) {
        return;
    }
    w->is_dirty = true;
    hq_xgrow(&core->dirty, &core->dirty_cap, core->dirty_count + 1, sizeof(struct worker *));
    core->dirty[core->dirty_count++] = w;
}

bool
worker_is_ready(const struct worker *w)
{
    return w->place == WORKER_HERE && w->stopping == LOST_NONE && !w->is_settling;
}

bool
worker_is_reachable(const struct worker *w)
{
    return !w->is_doubted && w->gone_at_ms == 0;
}

bool
worker_is_idle(const struct worker *w)
{
    return w->held == 0 && w->gang_job.v == 0;
}

uint32_t
worker_assigned(const struct worker *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->use_count; i++) {
        n += w->uses[i].placed;
    }
    return n;
}

const struct gang *
worker_membership(const struct core *core, const struct worker *w)
{
    const struct job *job = w->gang_job.v == 0 || w->is_root ? NULL : core_job(core, w->gang_job.v);
    return job == NULL ? NULL : job_gang(job, w->gang_pos);
}

bool
worker_has_ranks(const struct core *core, const struct worker *w)
{
    const struct gang *gang = worker_membership(core, w);
    return gang != NULL && job_desc(core_job(core, w->gang_job.v), gang->pos)->mpi.is_on;
}

void
worker_gang_begin(struct core *core, struct job *job, const struct gang *gang)
{
    for (uint32_t i = 0; i < gang->node_count; i++) {
        struct worker *w = core_worker(core, gang->nodes[i]);
        if (w != NULL) {
            w->gang_job = job->id;
            w->gang_pos = gang->pos;
            w->is_root = i == 0;
            w->idle_from_ms = 0;
        }
    }
}

void
worker_gang_end(struct core *core, struct job *job, struct gang *gang)
{
    gang->is_live = false;
    for (uint32_t i = 0; i < gang->node_count; i++) {
        struct worker *w = core_worker(core, gang->nodes[i]);
        if (w != NULL && w->gang_job.v == job->id.v && w->gang_pos == gang->pos) {
            if (i > 0 && core->is_started && w->place == WORKER_HERE) { /* the root knows, or is told to cancel */
                orders_leave(core, w, job, gang);
            }
            w->gang_job = (hq_job_id){0};
            w->is_root = false;
            worker_dirty(core, w);
        }
    }
}

/* ---- life */
static uint32_t
group_index(struct core *core, struct hq_str name)
{
    for (uint32_t i = 0; i < core->group_count; i++) {
        if (hq_str_is(name, core->groups[i])) {
            return i;
        }
    }
    core->groups = hq_xrealloc(core->groups, core->group_count + 1, sizeof(*core->groups));
    core->groups[core->group_count] = hq_str_dupz(name);
    return core->group_count++;
}

static void
set_resources(struct core *core, struct worker *w)
{
    (void)class_add_resources(core, &w->config.pools);
    w->res_count = core->res_count;
    w->total = hq_xcalloc(HQ_MAX(w->res_count, 1u), sizeof(*w->total));
    w->free = hq_xcalloc(HQ_MAX(w->res_count, 1u), sizeof(*w->free));
    w->plan_free = hq_xcalloc(HQ_MAX(w->res_count, 1u), sizeof(*w->plan_free));
    for (size_t i = 0; i < w->config.pools.count; i++) {
        const struct hq_pool *pool = &w->config.pools.v[i];
        uint32_t res = class_resource(core, pool->name);
        HQ_ASSERT(res < w->res_count);
        w->total[res] = (int64_t)hq_pool_size(pool);
        w->free[res] = w->total[res];
    }
}

struct worker *
worker_create(struct core *core, const struct record_worker_connected *rec, hq_wall_ms at_ms)
{
    struct worker *w = hq_xalloc(sizeof(*w));
    struct pack p = {0};
    (void)pack_config(&p, &rec->config); /* measures */
    w->blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = w->blob};
    w->config = pack_config(&p, &rec->config);
    w->id = rec->worker;
    w->registered_ms = at_ms;
    w->place = WORKER_AWAY;
    memcpy(w->incarnation, rec->incarnation.ptr, HQ_MIN(rec->incarnation.len, sizeof(w->incarnation)));
    w->group = group_index(core, w->config.group);
    set_resources(core, w);
    w->out.tail = &w->out.head;
    hq_map_init(&w->bodies, core->conf.seed ^ w->id.v);
    hq_map_init(&w->confirmed, core->conf.seed + w->id.v);
    for (size_t i = 0; i < WORKER_TIMERS; i++) {
        w->timers[i].worker = w;
    }
    return w;
}

void
worker_free(struct core *core, struct worker *w)
{
    if (w == NULL) {
        return;
    }
    link_clear(core, w);
    for (uint32_t i = 0; i < w->use_count; i++) {
        queue_less(core, &w->uses[i], w->uses[i].queued);
    }
    hq_map_fini(&w->bodies);
    hq_map_fini(&w->confirmed);
    free(w->uses);
    free(w->ranges);
    free(w->blocks);
    free(w->total);
    free(w->free);
    free(w->plan_free);
    free(w->blob);
    free(w);
}
