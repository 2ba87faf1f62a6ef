#include "hqd/sched/pass.h"

#include "hqd/core/job.h"
#include "hqd/core/orders.h"
#include "hqd/core/lost.h"
#include "hqd/core/worker.h"
#include "hqd/sched/class.h"
#include "hqd/sched/fit.h"
#include "hqd/sched/plan.h"
#include "hqd/sched/prefill.h"
#include "hqd/sched/ready.h"
#include "hqd/sched/reserve.h"

#include <stdlib.h>

bool
pass_is_open(const struct worker *w)
{
    return worker_is_ready(w) && w->gang_job.v == 0 && !w->is_reserved;
}

uint32_t
pass_instance(const struct job *job, uint32_t pos)
{
    struct task_page *p = task_table_peek(&job->tasks, pos);
    uint32_t own = p == NULL ? 0 : page_instance(p)[pos % TASK_PAGE_TASKS];
    return HQ_MAX(own, job->instance_floor);
}

/* ---- which workers */
static int
cmp_worker(const void *pa, const void *pb)
{
    const struct worker *a = *(struct worker *const *)pa;
    const struct worker *b = *(struct worker *const *)pb;
    bool a_last = a->config.min_utilization_x10000 > 0;
    bool b_last = b->config.min_utilization_x10000 > 0;
    if (a_last != b_last) {
        return a_last ? 1 : -1;
    }
    /* What costs nothing first; then where the least life is left to pay for, so that others go idle and end. */
    hq_wall_ms a_end_ms = a->is_compact ? fit_life_end_ms(a) : 0;
    hq_wall_ms b_end_ms = b->is_compact ? fit_life_end_ms(b) : 0;
    if (a_end_ms != b_end_ms) {
        return a_end_ms < b_end_ms ? -1 : 1;
    }
    return a->id.v < b->id.v ? -1 : a->id.v > b->id.v;
}

static void
choose_workers(struct pass *p, struct worker **from, size_t count)
{
    p->workers = hq_arena_array(&p->ctx->fx->arena, HQ_MAX(count, (size_t)1), sizeof(struct worker *));
    bool is_sorted = true;
    for (size_t i = 0; i < count; i++) {
        struct worker *w = from[i];
        if (!worker_is_ready(w)) {
            continue;
        }
        memcpy(w->plan_free, w->free, w->res_count * sizeof(*w->free));
        w->is_planned = true;
        for (uint32_t k = 0; k < w->use_count; k++) {
            w->uses[k].planned = 0;
            w->uses[k].planned_ahead = 0;
        }
        is_sorted = is_sorted && (p->worker_count == 0 || cmp_worker(&p->workers[p->worker_count - 1], &w) < 0);
        p->workers[p->worker_count++] = w;
    }
    if (!is_sorted) {
        qsort(p->workers, p->worker_count, sizeof(struct worker *), cmp_worker);
    }
}

/* ---- giving */
/* Positions from `pos` on, at most n, that will run with one instance number. */
static uint32_t
same_instance(const struct job *job, uint32_t pos, uint32_t n, uint32_t instance)
{
    uint32_t k = 0;
    while (k < n) {
        struct task_page *page = task_table_peek(&job->tasks, pos + k);
        uint32_t to_end = HQ_MIN(n - k, TASK_PAGE_TASKS - (pos + k) % TASK_PAGE_TASKS);
        if (page == NULL) {
            if (job->instance_floor != instance) {
                return k;
            }
            k += to_end;
            continue;
        }
        for (uint32_t i = 0; i < to_end; i++, k++) {
            if (pass_instance(job, pos + k) != instance) {
                return k;
            }
        }
    }
    return k;
}

struct gift {
    struct pass *p;
    struct worker *w;
    struct job *job;
    uint32_t instance;
    uint32_t variant;
    struct idlist all;           /* of the record */
    struct orders_assign *parts; /* of the commands: one description each */
    size_t part_count;
    size_t part_cap;
    struct idlist part_ids;
};

static void
end_part(struct gift *g)
{
    if (g->part_count > 0) {
        g->parts[g->part_count - 1].ids = g->part_ids.r;
    }
    g->part_ids = (struct idlist){.arena = &g->p->ctx->fx->arena};
}

static void
add_to_gift(struct gift *g, uint32_t pos, uint32_t n)
{
    job_add_ids(g->job, pos, n, &g->all);
    while (n > 0) {
        const struct submit *s = job_submit_at(g->job, pos);
        uint32_t run = s->desc_of == NULL ? HQ_MIN(n, s->first_pos + s->task_count - pos) : 1;
        uint32_t desc = job_desc_id(g->job, pos);
        if (g->part_count == 0 || g->parts[g->part_count - 1].desc_id != desc) {
            end_part(g);
            hq_arena_grow(&g->p->ctx->fx->arena, &g->parts, &g->part_cap, g->part_count + 1, sizeof(*g->parts));
            g->parts[g->part_count++] =
                (struct orders_assign){.job = g->job, .desc_id = desc, .instance = g->instance, .variant = g->variant};
        }
        job_add_ids(g->job, pos, run, &g->part_ids);
        pos += run;
        n -= run;
    }
}

static void
send_gift(struct gift *g)
{
    end_part(g);
    struct record rec = {.kind = RECORD_TASKS_ASSIGNED};
    rec.u.tasks_assigned = (struct record_tasks_assigned){
        .worker = g->w->id, .job = g->job->id, .instance = g->instance, .variant = g->variant, .ids = g->all.r};
    core_emit(g->p->ctx, &rec);
    for (size_t i = 0; i < g->part_count; i++) {
        orders_assign(g->p->core, g->w, &g->parts[i]);
    }
}

void
pass_assign(struct pass *p, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n)
{
    reserve_note_progress(cls, p->ctx->now->mono_ms);
    while (n > 0) {
        struct ready_node *node = ready_front(cls);
        HQ_ASSERT(node != NULL);
        struct gift g = {.p = p, .w = w, .job = node->job, .variant = variant};
        g.all.arena = g.part_ids.arena = &p->ctx->fx->arena;
        g.instance = pass_instance(node->job, posset_range(&node->set, 0)->first);
        bool is_whole = true;
        for (uint32_t i = 0; i < node->set.count && n > 0 && is_whole; i++) {
            const struct posrange *r = posset_range(&node->set, i);
            uint32_t want = HQ_MIN(n, r->count);
            uint32_t k = same_instance(node->job, r->first, want, g.instance);
            if (k > 0) {
                add_to_gift(&g, r->first, k);
            }
            n -= k;
            is_whole = k == want;
        }
        send_gift(&g);
    }
}

/* What is queued ahead comes behind all that is to start, or it would take the place of another class. */
static bool
is_mixed(const struct worker *w)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < w->use_count; k++) {
        n += w->uses[k].planned + w->uses[k].planned_ahead > 0;
    }
    return n > 1;
}

static void
give_all(struct pass *p)
{
    for (size_t i = 0; i < p->worker_count; i++) {
        struct worker *w = p->workers[i];
        bool in_two = is_mixed(w);
        /* By class: a class's first tasks go to the first worker. Applying moves no use to another place. */
        for (uint32_t k = 0; k < w->use_count; k++) {
            struct worker_use *use = &w->uses[k];
            uint32_t n = use->planned + (in_two ? 0 : use->planned_ahead);
            if (n > 0) {
                pass_assign(p, w, use->cls, use->variant, n);
            }
        }
        for (uint32_t k = 0; in_two && k < w->use_count; k++) {
            if (w->uses[k].planned_ahead > 0) {
                pass_assign(p, w, w->uses[k].cls, w->uses[k].variant, w->uses[k].planned_ahead);
            }
        }
        for (uint32_t k = 0; k < w->use_count; k++) {
            w->uses[k].planned = 0;
            w->uses[k].planned_ahead = 0;
        }
    }
}

/* ---- the pass */
static void
plan(struct pass *p)
{
    struct core *core = p->core;
    for (uint32_t i = 0; i < core->active_count; i++) {
        core->active[i]->left = core->active[i]->ready;
    }
    uint32_t last = plan_shrink(p, 0, core->active_count);
    uint32_t above = 0;
    for (uint32_t i = 0; i < last;) {
        uint32_t before = core->active_count;
        uint32_t end = i + 1;
        while (end < core->active_count && core->active[end]->priority == core->active[i]->priority) {
            end++;
        }
        reserve_level(p, i, end);
        uint32_t gone = before - core->active_count;
        end -= gone;
        plan_level(p, above, i, end);
        above = plan_movable(p, above, i, end);
        last -= HQ_MIN(gone, last);
        if (above == end) { /* else what fits nowhere may fit when tasks of this level move */
            last = plan_shrink(p, end, last);
        }
        if (end < last) {
            plan_hold(p, i, end);
        }
        i = end;
    }
    plan_drop_thin(p);
    prefill_plan(p);
}

static void
end_pass(struct pass *p)
{
    struct core *core = p->core;
    for (size_t i = 0; i < p->worker_count; i++) {
        p->workers[i]->is_planned = false;
    }
    for (size_t i = 0; i < core->dirty_count; i++) {
        struct worker *w = core->dirty[i];
        w->is_dirty = false;
        if (w->place != WORKER_LOST) {
            lost_note_idle(p->ctx, w);
        }
    }
    core->dirty_count = 0;
    if (core->is_any_class_new) {
        for (uint32_t i = 0; i < core->active_count; i++) {
            core->active[i]->is_new = false;
        }
        core->is_any_class_new = false;
    }
}

void
pass_run(struct ctx *ctx)
{
    struct core *core = ctx->core;
    bool is_steal_due = core->is_hungry && ctx->now->mono_ms >= core->steal_at_ms;
    bool is_reserve_due = core->reserve_at_ms != 0 && ctx->now->mono_ms >= core->reserve_at_ms;
    if (core->dirty_count == 0 && !core->is_any_class_new && !is_steal_due && !is_reserve_due) {
        return;
    }
    struct pass p = {.ctx = ctx, .core = core, .nodes_left = PASS_NODES_MAX};
    bool is_any_reserving = reserve_begin(core, ctx->now->mono_ms);
    if (core->is_any_class_new || is_any_reserving) {
        choose_workers(&p, core->workers, core->worker_count);
    } else {
        choose_workers(&p, core->dirty, core->dirty_count);
    }
    if (core->active_count > 0 && p.worker_count > 0) {
        plan(&p);
        give_all(&p);
    }
    prefill_retract(&p);
    end_pass(&p);
}
