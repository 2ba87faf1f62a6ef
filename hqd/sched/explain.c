/* explain.c - where a task could run: its request against the whole of every connected worker. */
#include "common/pool.h"
#include "hqd/core/job.h"
#include "hqd/core/query.h"
#include "hqd/sched/fit.h"

struct explain_out {
    const struct core *core;
    const struct cls *cls;
    hq_wall_ms now_ms;
    struct hq_arena *arena;
    struct query_explain *ret;
    size_t cap;
};

static void
add(struct explain_out *o, const struct query_explain_item *item)
{
    hq_arena_grow(o->arena, &o->ret->items, &o->cap, o->ret->count + 1, sizeof *item);
    o->ret->items[o->ret->count++] = *item;
}

static void
add_time(struct explain_out *o, const struct worker *w, uint32_t variant, const struct hq_variant *v)
{
    hq_wall_ms end_ms = fit_life_end_ms(w);
    struct query_explain_item item = {.worker = w->id,
                                      .variant = variant,
                                      .kind = QUERY_EXPLAIN_TIME,
                                      .requested = (uint64_t)v->min_time_ms,
                                      .is_unlimited = end_ms == INT64_MAX};
    if (!item.is_unlimited) {
        item.provided = end_ms > o->now_ms ? (uint64_t)(end_ms - o->now_ms) : 0;
    }
    item.is_enough = item.is_unlimited || item.provided >= item.requested;
    add(o, &item);
}

static void
add_nodes(struct explain_out *o, const struct worker *w, uint32_t variant, const struct hq_variant *v)
{
    struct query_explain_item item = {
        .worker = w->id, .variant = variant, .kind = QUERY_EXPLAIN_NODES, .requested = v->n_nodes};
    for (size_t i = 0; i < o->core->worker_count; i++) {
        const struct worker *other = o->core->workers[i];
        item.provided += other->place == WORKER_HERE && other->group == w->group &&
                         fit_total(&o->cls->variants[variant], other) > 0;
    }
    item.is_enough = item.provided >= item.requested;
    add(o, &item);
}

static void
add_resource(struct explain_out *o, const struct worker *w, uint32_t variant, const struct hq_request_entry *e)
{
    const struct hq_pool *pool = hq_pools_find(&w->config.pools, e->name);
    struct query_explain_item item = {.worker = w->id,
                                      .variant = variant,
                                      .kind = QUERY_EXPLAIN_RESOURCE,
                                      .name = e->name,
                                      .requested = e->policy == HQ_POLICY_ALL ? 1 : e->amount,
                                      .provided = pool == NULL ? 0 : hq_pool_size(pool)};
    item.is_enough = item.provided >= item.requested;
    add(o, &item);
}

/* A whole node has a cpu, nobody asked for it. */
static bool
is_implied(const struct hq_variant *v, const struct hq_request_entry *e)
{
    return v->n_nodes > 0 && hq_str_is(e->name, "cpus") && e->policy != HQ_POLICY_ALL && e->amount <= HQ_AMOUNT_ONE;
}

/* cpus come first, as users know it; the others by name. */
static void
add_variant(struct explain_out *o, const struct worker *w, uint32_t variant, const struct hq_variant *v)
{
    if (v->min_time_ms > 0) {
        add_time(o, w, variant, v);
    }
    if (v->n_nodes > 0) {
        add_nodes(o, w, variant, v);
    }
    for (int others = 0; others < 2; others++) {
        for (size_t i = 0; i < v->entry_count; i++) {
            if (hq_str_is(v->entries[i].name, "cpus") == (others == 0) && !is_implied(v, &v->entries[i])) {
                add_resource(o, w, variant, &v->entries[i]);
            }
        }
    }
}

static void
count_deps(const struct job *job, uint32_t pos, struct query_explain *ret)
{
    const struct submit *s = job_submit_at(job, pos);
    uint32_t i = pos - s->first_pos;
    if (s->deps != NULL) {
        ret->dep_count = s->deps->pred_off[i + 1] - s->deps->pred_off[i];
        ret->waiting_deps = s->deps->waiting[i];
    }
}

enum query_explain_end
query_explain(const struct core *core, hq_job_id id, hq_task_ix task, hq_wall_ms now_ms, struct hq_arena *arena,
              struct query_explain *ret)
{
    *ret = (struct query_explain){.job = id, .task = task};
    const struct job *job = core_job(core, id.v);
    if (job == NULL) {
        return QUERY_EXPLAIN_NO_JOB;
    }
    uint32_t pos;
    if (!idset_find(&job->ids, task, &pos)) {
        return QUERY_EXPLAIN_NO_TASK;
    }
    if (task_is_ended(task_state_at(&job->tasks, pos))) {
        return QUERY_EXPLAIN_ENDED;
    }
    struct explain_out o = {.core = core, .cls = job_node(job, pos)->cls, .now_ms = now_ms, .arena = arena, .ret = ret};
    const struct hq_request *request = &job_desc(job, pos)->request;
    count_deps(job, pos, ret);
    for (size_t k = 0; k < core->worker_count; k++) {
        for (size_t i = 0; core->workers[k]->place == WORKER_HERE && i < request->variant_count; i++) {
            add_variant(&o, core->workers[k], (uint32_t)i, &request->variants[i]);
        }
    }
    return QUERY_EXPLAIN_FOUND;
}
