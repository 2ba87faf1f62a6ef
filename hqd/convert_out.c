#include "hqd/convert.h"

#include <stdint.h>

/* protobuf-c's structs are not const-correct; packing only reads. */
#define UNCONST(type, p) ((type)(uintptr_t)(p))

ProtobufCBinaryData
conv_bytes(struct hq_str s)
{
    return (ProtobufCBinaryData){.len = s.len, .data = UNCONST(uint8_t *, s.ptr)};
}

#define NEW(arena, Type, init)                                                                                         \
    Type *m = hq_arena_alloc((arena), sizeof *m);                                                                      \
    init(m)

Hq__Ranges *
conv_out_ranges(const struct hq_ranges *r, struct hq_arena *arena)
{
    _Static_assert(sizeof(struct hq_range) == 3 * sizeof(uint32_t), "a range is one packed triplet");
    NEW(arena, Hq__Ranges, hq__ranges__init);
    m->n_packed = r->count * 3;
    m->packed = UNCONST(uint32_t *, r->v);
    return m;
}

static Hq__Policy
out_policy(enum hq_policy p)
{
    static const Hq__Policy map[HQ_POLICIES] = {
        [HQ_POLICY_COMPACT] = HQ__POLICY__POLICY_COMPACT,
        [HQ_POLICY_FORCE_COMPACT] = HQ__POLICY__POLICY_FORCE_COMPACT,
        [HQ_POLICY_TIGHT] = HQ__POLICY__POLICY_TIGHT,
        [HQ_POLICY_FORCE_TIGHT] = HQ__POLICY__POLICY_FORCE_TIGHT,
        [HQ_POLICY_SCATTER] = HQ__POLICY__POLICY_SCATTER,
        [HQ_POLICY_ALL] = HQ__POLICY__POLICY_ALL,
    };
    return map[p];
}

static Hq__Variant *
out_variant(const struct hq_variant *v, struct hq_arena *arena)
{
    NEW(arena, Hq__Variant, hq__variant__init);
    m->n_entries = v->entry_count;
    m->entries = hq_arena_array(arena, v->entry_count, sizeof m->entries[0]);
    for (size_t i = 0; i < v->entry_count; i++) {
        Hq__RequestEntry *e = hq_arena_alloc(arena, sizeof *e);
        hq__request_entry__init(e);
        e->name = conv_bytes(v->entries[i].name);
        e->amount = v->entries[i].amount;
        e->policy = out_policy(v->entries[i].policy);
        m->entries[i] = e;
    }
    m->n_nodes = v->n_nodes;
    m->min_time_ms = (uint64_t)v->min_time_ms;
    m->weight = v->weight_x10000;
    return m;
}

Hq__Request *
conv_out_request(const struct hq_request *r, struct hq_arena *arena)
{
    NEW(arena, Hq__Request, hq__request__init);
    m->n_variants = r->variant_count;
    m->variants = hq_arena_array(arena, r->variant_count, sizeof m->variants[0]);
    for (size_t i = 0; i < r->variant_count; i++) {
        m->variants[i] = out_variant(&r->variants[i], arena);
    }
    return m;
}

static Hq__Stdio *
out_stdio(const struct stdio_desc *d, struct hq_arena *arena)
{
    static const Hq__StdioKind kinds[] = {
        [STDIO_KIND_FILE] = HQ__STDIO_KIND__STDIO_FILE,
        [STDIO_KIND_NONE] = HQ__STDIO_KIND__STDIO_NONE,
        [STDIO_KIND_STREAM] = HQ__STDIO_KIND__STDIO_STREAM,
    };
    NEW(arena, Hq__Stdio, hq__stdio__init);
    m->kind = kinds[d->kind];
    m->path = conv_bytes(d->path);
    m->remove_if_finished = d->remove_if_finished;
    return m;
}

ProtobufCBinaryData *
conv_out_strs(const struct hq_str *v, size_t count, struct hq_arena *arena)
{
    ProtobufCBinaryData *out = hq_arena_array(arena, count, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        out[i] = conv_bytes(v[i]);
    }
    return out;
}

Hq__TaskDesc *
conv_out_desc(const struct task_desc *d, struct hq_arena *arena)
{
    static const Hq__PinMode pins[] = {
        [PIN_MODE_NONE] = HQ__PIN_MODE__PIN_NONE,
        [PIN_MODE_TASKSET] = HQ__PIN_MODE__PIN_TASKSET,
        [PIN_MODE_OMP] = HQ__PIN_MODE__PIN_OMP,
    };
    NEW(arena, Hq__TaskDesc, hq__task_desc__init);
    m->n_args = d->arg_count;
    m->args = conv_out_strs(d->args, d->arg_count, arena);
    m->n_env = d->env_count;
    m->env = hq_arena_array(arena, d->env_count, sizeof m->env[0]);
    for (size_t i = 0; i < d->env_count; i++) {
        Hq__EnvVar *e = hq_arena_alloc(arena, sizeof *e);
        hq__env_var__init(e);
        e->key = conv_bytes(d->env[i].key);
        e->value = conv_bytes(d->env[i].value);
        m->env[i] = e;
    }
    m->cwd = conv_bytes(d->cwd);
    m->stdout = out_stdio(&d->out, arena);
    m->stderr = out_stdio(&d->err, arena);
    m->pin = pins[d->pin];
    m->task_dir = d->task_dir;
    m->time_limit_ms = (uint64_t)d->time_limit_ms;
    m->priority = d->priority;
    m->crash_limit = d->crash_limit;
    m->request = conv_out_request(&d->request, arena);
    m->has_stdin = d->has_stdin;
    m->stdin_from = d->stdin_from;
    m->stdin_bytes = d->stdin_bytes;
    m->mpi = conv_out_mpi(&d->mpi, arena);
    return m;
}

Hq__Entries *
conv_out_entries(const struct task_entries *e, struct hq_arena *arena)
{
    if (e->count == 0) {
        return NULL;
    }
    NEW(arena, Hq__Entries, hq__entries__init);
    m->n_lens = e->count;
    m->lens = UNCONST(uint32_t *, e->lens);
    m->data = conv_bytes(e->data);
    return m;
}

Hq__GraphTasks *
conv_out_graph(const struct graph_tasks *g, struct hq_arena *arena)
{
    if (g->count == 0) {
        return NULL;
    }
    NEW(arena, Hq__GraphTasks, hq__graph_tasks__init);
    m->n_ids = m->n_desc = m->n_dep_count = g->count;
    m->ids = UNCONST(uint32_t *, g->ids);
    m->desc = UNCONST(uint32_t *, g->desc);
    m->dep_count = UNCONST(uint32_t *, g->dep_count);
    m->n_deps = g->dep_total;
    m->deps = UNCONST(uint32_t *, g->deps);
    return m;
}

static Hq__Pool *
out_pool(const struct hq_pool *p, struct hq_arena *arena)
{
    static const Hq__PoolKind kinds[] = {
        [HQ_POOL_LIST] = HQ__POOL_KIND__POOL_LIST,
        [HQ_POOL_RANGE] = HQ__POOL_KIND__POOL_RANGE,
        [HQ_POOL_GROUPS] = HQ__POOL_KIND__POOL_GROUPS,
        [HQ_POOL_SUM] = HQ__POOL_KIND__POOL_SUM,
    };
    NEW(arena, Hq__Pool, hq__pool__init);
    m->name = conv_bytes(p->name);
    m->kind = kinds[p->kind];
    m->n_groups = p->group_count;
    m->groups = hq_arena_array(arena, p->group_count, sizeof m->groups[0]);
    for (size_t i = 0; i < p->group_count; i++) {
        Hq__PoolGroup *g = hq_arena_alloc(arena, sizeof *g);
        hq__pool_group__init(g);
        g->n_values = p->groups[i].count;
        g->values = conv_out_strs(p->groups[i].values, p->groups[i].count, arena);
        m->groups[i] = g;
    }
    m->range_first = p->range_first;
    m->range_last = p->range_last;
    m->sum = p->sum;
    return m;
}

Hq__Pools *
conv_out_pools(const struct hq_pools *p, struct hq_arena *arena)
{
    NEW(arena, Hq__Pools, hq__pools__init);
    m->n_pools = p->count;
    m->pools = hq_arena_array(arena, p->count, sizeof m->pools[0]);
    for (size_t i = 0; i < p->count; i++) {
        m->pools[i] = out_pool(&p->v[i], arena);
    }
    m->n_couplings = p->coupling_count;
    m->couplings = hq_arena_array(arena, p->coupling_count, sizeof m->couplings[0]);
    for (size_t i = 0; i < p->coupling_count; i++) {
        const struct hq_coupling *from = &p->couplings[i];
        Hq__Coupling *c = hq_arena_alloc(arena, sizeof *c);
        hq__coupling__init(c);
        c->resource1 = from->resource1_ix;
        c->group1 = from->group1_ix;
        c->resource2 = from->resource2_ix;
        c->group2 = from->group2_ix;
        c->weight = from->weight;
        m->couplings[i] = c;
    }
    return m;
}

Hq__WorkerConfig *
conv_out_config(const struct worker_config *c, struct hq_arena *arena)
{
    static const Hq__OnServerLost losts[] = {
        [WORKER_ON_LOST_RECONNECT] = HQ__ON_SERVER_LOST__LOST_RECONNECT,
        [WORKER_ON_LOST_STOP] = HQ__ON_SERVER_LOST__LOST_STOP,
        [WORKER_ON_LOST_FINISH_RUNNING] = HQ__ON_SERVER_LOST__LOST_FINISH_RUNNING,
    };
    static const Hq__Manager managers[] = {
        [WORKER_MANAGER_NONE] = HQ__MANAGER__MANAGER_NONE,
        [WORKER_MANAGER_PBS] = HQ__MANAGER__MANAGER_PBS,
        [WORKER_MANAGER_SLURM] = HQ__MANAGER__MANAGER_SLURM,
    };
    NEW(arena, Hq__WorkerConfig, hq__worker_config__init);
    m->hostname = conv_bytes(c->hostname);
    m->group = conv_bytes(c->group);
    m->work_dir = conv_bytes(c->work_dir);
    m->listen_address = conv_bytes(c->listen_address);
    m->heartbeat_ms = (uint64_t)c->heartbeat_ms;
    m->idle_timeout_ms = (uint64_t)c->idle_timeout_ms;
    m->time_limit_ms = (uint64_t)c->time_limit_ms;
    m->overview_ms = (uint64_t)c->overview_ms;
    m->retract_check_ms = (uint64_t)c->retract_check_ms;
    m->min_utilization = c->min_utilization_x10000;
    m->on_server_lost = losts[c->on_server_lost];
    m->manager = managers[c->manager];
    m->manager_job_id = conv_bytes(c->manager_job_id);
    m->manager_time_limit_ms = (uint64_t)c->manager_time_limit_ms;
    m->manager_memory_mb = c->manager_memory_mb;
    m->pid = c->pid;
    m->pools = conv_out_pools(&c->pools, arena);
    m->host_boot_id = conv_bytes(c->host_boot_id);
    m->n_gpu_families = c->gpu_family_count;
    m->gpu_families = conv_out_strs(c->gpu_families, c->gpu_family_count, arena);
    m->is_idle_timeout_set = c->is_idle_timeout_set;
    m->n_addresses = c->address_count;
    m->addresses = conv_out_strs(c->addresses, c->address_count, arena);
    return m;
}

Hq__Overview *
conv_out_overview(const struct overview *o, struct hq_arena *arena)
{
    NEW(arena, Hq__Overview, hq__overview__init);
    m->at_ms = (uint64_t)o->at_ms;
    m->n_cpu_percent = o->cpu_count;
    m->cpu_percent = UNCONST(float *, o->cpu_percent);
    m->memory_total = o->memory_total_bytes;
    m->memory_free = o->memory_free_bytes;
    m->n_gpus = o->gpu_count;
    m->gpus = hq_arena_array(arena, o->gpu_count, sizeof m->gpus[0]);
    for (size_t i = 0; i < o->gpu_count; i++) {
        Hq__GpuLoad *g = hq_arena_alloc(arena, sizeof *g);
        hq__gpu_load__init(g);
        g->family = hq_arena_strz(arena, o->gpus[i].family);
        g->id = conv_bytes(o->gpus[i].id);
        g->processor_percent = o->gpus[i].processor_percent;
        g->memory_percent = o->gpus[i].memory_percent;
        m->gpus[i] = g;
    }
    m->n_network = o->network_count;
    m->network = UNCONST(uint64_t *, o->network);
    return m;
}

Hq__TaskTimes *
conv_out_times(const struct task_times *t, struct hq_arena *arena)
{
    if (t->count == 0) {
        return NULL;
    }
    NEW(arena, Hq__TaskTimes, hq__task_times__init);
    m->base_ms = (uint64_t)t->base_ms;
    m->n_started = t->count;
    m->started = UNCONST(int64_t *, t->started);
    m->n_duration_ms = t->duration_ms == NULL ? 0 : t->count;
    m->duration_ms = UNCONST(uint64_t *, t->duration_ms);
    return m;
}

Hq__HeldTasks *
conv_out_held(const struct held_tasks *h, struct hq_arena *arena)
{
    NEW(arena, Hq__HeldTasks, hq__held_tasks__init);
    m->job = h->job.v;
    m->instance = h->instance;
    m->variant = h->variant;
    m->ids = conv_out_ranges(&h->ids, arena);
    m->is_running = h->is_running;
    m->times = conv_out_times(&h->times, arena);
    return m;
}

Hq__TasksStarted *
conv_out_started(const struct tasks_started *t, struct hq_arena *arena)
{
    NEW(arena, Hq__TasksStarted, hq__tasks_started__init);
    m->job = t->job.v;
    m->instance = t->instance;
    m->variant = t->variant;
    m->ids = conv_out_ranges(&t->ids, arena);
    m->times = conv_out_times(&t->times, arena);
    return m;
}

Hq__TasksFinished *
conv_out_finished(const struct tasks_finished *t, struct hq_arena *arena)
{
    NEW(arena, Hq__TasksFinished, hq__tasks_finished__init);
    m->job = t->job.v;
    m->instance = t->instance;
    m->variant = t->variant;
    m->ids = conv_out_ranges(&t->ids, arena);
    m->times = conv_out_times(&t->times, arena);
    return m;
}

Hq__TaskFailed *
conv_out_failed(const struct task_failed *t, struct hq_arena *arena)
{
    NEW(arena, Hq__TaskFailed, hq__task_failed__init);
    m->job = t->job.v;
    m->task = t->task;
    m->instance = t->instance;
    m->variant = t->variant;
    m->started_ms = (uint64_t)t->started_ms;
    m->ended_ms = (uint64_t)t->ended_ms;
    m->error = conv_bytes(t->error);
    return m;
}
