#include "hqd/sched/gang.h"

#include "hqd/core/job.h"
#include "hqd/core/orders.h"
#include "hqd/core/worker.h"
#include "hqd/sched/fit.h"
#include "hqd/sched/ready.h"
#include "hqd/sched/reserve.h"

#include <stdlib.h>

static bool
is_planned_for(const struct worker *w)
{
    for (uint32_t i = 0; i < w->use_count; i++) {
        if (w->uses[i].planned > 0) {
            return true;
        }
    }
    return false;
}

static bool
is_able(const struct pass *p, const struct worker *w, const struct cls *cls)
{
    return worker_is_ready(w) && worker_is_reachable(w) && fit_total(&cls->variants[0], w) > 0 && !fit_is_blocked(w, cls, 0) &&
           fit_time(&cls->variants[0], w, p->ctx->now->wall_ms);
}

static bool
is_free(const struct worker *w)
{
    return worker_is_idle(w) && !w->is_reserved && !is_planned_for(w);
}

static uint32_t
count_group(const struct pass *p, const struct cls *cls, uint32_t group, bool only_free)
{
    uint32_t n = 0;
    for (size_t i = 0; i < p->core->worker_count; i++) {
        const struct worker *w = p->core->workers[i];
        n += w->group == group && is_able(p, w, cls) && (!only_free || is_free(w));
    }
    return n;
}

bool
gang_is_group_reserved(const struct pass *p, uint32_t group)
{
    for (size_t i = 0; i < p->core->worker_count; i++) {
        if (p->core->workers[i]->group == group && p->core->workers[i]->is_reserved) {
            return true;
        }
    }
    return false;
}

static void
start(struct pass *p, struct cls *cls, uint32_t group)
{
    struct ctx *ctx = p->ctx;
    struct ready_node *node = ready_front(cls);
    struct job *job = node->job;
    uint32_t pos = posset_range(&node->set, 0)->first;
    uint32_t n_nodes = cls->variants[0].n_nodes;
    uint32_t *nodes = hq_arena_array(&ctx->fx->arena, n_nodes, sizeof(*nodes));
    uint32_t n = 0;
    for (size_t i = 0; i < p->core->worker_count && n < n_nodes; i++) {
        const struct worker *w = p->core->workers[i];
        if (w->group == group && is_able(p, w, cls) && is_free(w)) {
            nodes[n++] = w->id.v;
        }
    }
    struct idlist ids = {.arena = &ctx->fx->arena};
    uint32_t instance = pass_instance(job, pos);
    job_add_ids(job, pos, 1, &ids);
    struct record rec = {.kind = RECORD_TASKS_ASSIGNED};
    rec.u.tasks_assigned = (struct record_tasks_assigned){
        .worker = {nodes[0]}, .job = job->id, .instance = instance, .ids = ids.r, .nodes = nodes, .node_count = n};
    cls->left--;
    reserve_note_progress(cls, ctx->now->mono_ms);
    core_emit(ctx, &rec);
    orders_assign(p->core, core_worker(p->core, nodes[0]),
                  &(struct orders_assign){.job = job,
                                          .desc_id = job_desc_id(job, pos),
                                          .instance = instance,
                                          .ids = ids.r,
                                          .is_gang = true,
                                          .gang_pos = pos});
    const struct gang *gang = job_gang(job, pos);
    for (uint32_t i = 1; i < n; i++) {
        orders_join(p->core, core_worker(p->core, nodes[i]), job, gang, i);
    }
}

bool
gang_try_start(struct pass *p, struct cls *cls)
{
    for (uint32_t g = 0; g < p->core->group_count; g++) {
        if (count_group(p, cls, g, true) >= cls->variants[0].n_nodes) {
            start(p, cls, g);
            return true;
        }
    }
    return false;
}

static int
cmp_held(const void *pa, const void *pb)
{
    const struct worker *a = *(struct worker *const *)pa;
    const struct worker *b = *(struct worker *const *)pb;
    bool a_gang = a->gang_job.v != 0;
    bool b_gang = b->gang_job.v != 0;
    if (a_gang != b_gang) {
        return a_gang ? 1 : -1;
    }
    if (a->held != b->held) {
        return a->held < b->held ? -1 : 1;
    }
    return a->id.v < b->id.v ? -1 : a->id.v > b->id.v;
}

/* Idle ones first, so that a reservation that is half full does not move away from what it has. */
static void
reserve(struct pass *p, const struct cls *cls, uint32_t group)
{
    struct worker **v = hq_arena_array(&p->ctx->fx->arena, p->core->worker_count, sizeof(struct worker *));
    size_t n = 0;
    for (size_t i = 0; i < p->core->worker_count; i++) {
        struct worker *w = p->core->workers[i];
        if (w->group == group && is_able(p, w, cls)) {
            v[n++] = w;
        }
    }
    qsort(v, n, sizeof(struct worker *), cmp_held);
    for (size_t i = 0; i < n && i < cls->variants[0].n_nodes; i++) {
        v[i]->is_reserved = true;
        p->core->has_reservation = true;
    }
}

void
gang_reserve(struct pass *p, const struct cls *cls)
{
    for (uint32_t g = 0; g < p->core->group_count; g++) {
        if (count_group(p, cls, g, false) >= cls->variants[0].n_nodes && !gang_is_group_reserved(p, g)) {
            reserve(p, cls, g);
            return;
        }
    }
}
