#include "hq/worker_read.h"

#include <errno.h>

static struct hq_str
text_of(ProtobufCBinaryData d)
{
    return hq_str_make((const char *)d.data, d.len);
}

static int
damaged(struct hq_err *err)
{
    return hq_err_set(err, -EPROTO, "The server sent a damaged description of a worker");
}

static int
read_groups(struct hq_pool *ret, const Hq__Pool *p, struct hq_arena *arena)
{
    ret->groups = hq_arena_array(arena, p->n_groups, sizeof *ret->groups);
    ret->group_count = p->n_groups;
    for (size_t g = 0; g < p->n_groups; g++) {
        struct hq_pool_group *group = &ret->groups[g];
        group->count = p->groups[g]->n_values;
        group->values = hq_arena_array(arena, group->count, sizeof *group->values);
        for (size_t ix = 0; ix < group->count; ix++) {
            group->values[ix] = text_of(p->groups[g]->values[ix]);
        }
    }
    return p->n_groups > 0 ? 0 : -EPROTO;
}

static int
read_pool(struct hq_pool *ret, const Hq__Pool *p, struct hq_arena *arena)
{
    ret->name = text_of(p->name);
    switch ((int)p->kind) { /* open in proto3: any number may come */
    case HQ__POOL_KIND__POOL_LIST:
        ret->kind = HQ_POOL_LIST;
        return read_groups(ret, p, arena);
    case HQ__POOL_KIND__POOL_GROUPS:
        ret->kind = HQ_POOL_GROUPS;
        return read_groups(ret, p, arena);
    case HQ__POOL_KIND__POOL_RANGE:
        ret->kind = HQ_POOL_RANGE;
        ret->range_first = p->range_first;
        ret->range_last = p->range_last;
        return p->range_first <= p->range_last ? 0 : -EPROTO;
    case HQ__POOL_KIND__POOL_SUM:
        ret->kind = HQ_POOL_SUM;
        ret->sum = p->sum;
        return 0;
    default:
        return -EPROTO;
    }
}

int
worker_read_pools(struct hq_pools *ret, const Hq__Pools *wire, struct hq_arena *arena, struct hq_err *err)
{
    size_t count = wire == NULL ? 0 : wire->n_pools;
    *ret = (struct hq_pools){.v = hq_arena_array(arena, count, sizeof *ret->v)};
    for (size_t ix = 0; ix < count; ix++) {
        if (read_pool(&ret->v[ret->count++], wire->pools[ix], arena) < 0) {
            return damaged(err);
        }
    }
    ret->coupling_count = wire == NULL ? 0 : wire->n_couplings;
    ret->couplings = hq_arena_array(arena, ret->coupling_count, sizeof *ret->couplings);
    for (size_t ix = 0; ix < ret->coupling_count; ix++) {
        const Hq__Coupling *c = wire->couplings[ix];
        if (c->resource1 >= count || c->resource2 >= count) {
            return damaged(err);
        }
        ret->couplings[ix] = (struct hq_coupling){.resource1_ix = c->resource1,
                                                  .group1_ix = c->group1,
                                                  .resource2_ix = c->resource2,
                                                  .group2_ix = c->group2,
                                                  .weight = c->weight};
    }
    return 0;
}

static const enum hq_worker_state states[] = {
    [HQ__WORKER_LOST_REASON__LOST_REASON_NONE] = HQ_WORKER_RUNNING,
    [HQ__WORKER_LOST_REASON__LOST_REASON_STOPPED] = HQ_WORKER_STOPPED,
    [HQ__WORKER_LOST_REASON__LOST_REASON_CONNECTION] = HQ_WORKER_CONNECTION_LOST,
    [HQ__WORKER_LOST_REASON__LOST_REASON_HEARTBEAT] = HQ_WORKER_HEARTBEAT_LOST,
    [HQ__WORKER_LOST_REASON__LOST_REASON_IDLE] = HQ_WORKER_IDLE_TIMEOUT,
    [HQ__WORKER_LOST_REASON__LOST_REASON_TIME_LIMIT] = HQ_WORKER_TIME_LIMIT,
};
static const int managers[] = {
    [HQ__MANAGER__MANAGER_NONE] = HQ_MANAGER_NONE,
    [HQ__MANAGER__MANAGER_PBS] = HQ_MANAGER_PBS,
    [HQ__MANAGER__MANAGER_SLURM] = HQ_MANAGER_SLURM,
};

static int
read_config(struct hq_worker_view *ret, const Hq__WorkerConfig *c, struct hq_arena *arena, struct hq_err *err)
{
    struct hq_pools *pools = hq_arena_alloc(arena, sizeof *pools);
    ret->hostname = text_of(c->hostname);
    ret->listen_address = text_of(c->listen_address);
    ret->work_dir = text_of(c->work_dir);
    ret->heartbeat_ms = (int64_t)c->heartbeat_ms;
    ret->idle_timeout_ms = (int64_t)c->idle_timeout_ms;
    ret->overview_ms = (int64_t)c->overview_ms;
    ret->time_limit_ms = (int64_t)c->time_limit_ms;
    ret->min_utilization_x10000 = c->min_utilization;
    ret->pid = (int32_t)c->pid;
    ret->group = text_of(c->group);
    ret->manager_job_id = text_of(c->manager_job_id);
    if ((size_t)c->manager >= HQ_ARRAY_LEN(managers) || (unsigned)c->on_server_lost > HQ_LOST_FINISH_RUNNING) {
        return damaged(err);
    }
    ret->manager = managers[c->manager];
    ret->on_server_lost = (enum hq_on_server_lost)c->on_server_lost; /* the same numbers */
    ret->pools = pools;
    return worker_read_pools(pools, c->pools, arena, err);
}

int
worker_read(struct hq_worker_view *ret, const Hq__WorkerInfo *w, struct hq_arena *arena, struct hq_err *err)
{
    if (w->config == NULL || (size_t)w->reason >= HQ_ARRAY_LEN(states)) {
        return damaged(err);
    }
    *ret = (struct hq_worker_view){.worker_id = w->worker,
                                   .state = states[w->reason],
                                   .started_at_ms = (hq_wall_ms)w->started_ms,
                                   .ended_at_ms = (hq_wall_ms)w->ended_ms,
                                   .has_last_task = w->last_job != 0,
                                   .last_job_id = w->last_job,
                                   .last_task_id = w->last_task,
                                   .last_task_at_ms = (hq_wall_ms)w->last_started_ms,
                                   .has_runtime = w->ended_ms == 0,
                                   .assigned_tasks = w->assigned_tasks,
                                   .running_tasks = w->running_tasks,
                                   .is_reserved = w->is_reserved,
                                   .multi_node = (int)HQ_MIN(w->multi_node, 2u)};
    return read_config(ret, w->config, arena, err);
}
