#include "common/eventjson_desc.h"

#include "common/num.h"
#include "common/start_opts.h"

static void
put_span_or_null(struct hq_json *j, const char *key, uint64_t ms)
{
    hq_json_key(j, key);
    if (ms == 0) {
        hq_json_null(j);
    } else {
        hq_json_span(j, (int64_t)ms);
    }
}

static void
pool_kind(struct hq_json *j, const Hq__Pool *p)
{
    hq_json_object(j);
    switch (p->kind) {
    case HQ__POOL_KIND__POOL_LIST:
        hq_json_key(j, "List");
        hq_json_object(j);
        hq_json_key(j, "values");
        hq_json_array(j);
        for (size_t g = 0; g < p->n_groups; g++) {
            for (size_t i = 0; i < p->groups[g]->n_values; i++) {
                hq_json_str(j, hq_pb_str(p->groups[g]->values[i]));
            }
        }
        hq_json_array_end(j);
        hq_json_object_end(j);
        break;
    case HQ__POOL_KIND__POOL_GROUPS:
        hq_json_key(j, "Groups");
        hq_json_object(j);
        hq_json_key(j, "groups");
        hq_json_array(j);
        for (size_t g = 0; g < p->n_groups; g++) {
            hq_json_array(j);
            for (size_t i = 0; i < p->groups[g]->n_values; i++) {
                hq_json_str(j, hq_pb_str(p->groups[g]->values[i]));
            }
            hq_json_array_end(j);
        }
        hq_json_array_end(j);
        hq_json_object_end(j);
        break;
    case HQ__POOL_KIND__POOL_RANGE:
        hq_json_key(j, "Range");
        hq_json_object(j);
        hq_json_put_u64(j, "end", p->range_last);
        hq_json_put_u64(j, "start", p->range_first);
        hq_json_object_end(j);
        break;
    default: /* POOL_SUM; protobuf enums are open, a foreign kind shows as an empty sum */
        hq_json_key(j, "Sum");
        hq_json_object(j);
        hq_json_put_u64(j, "size", p->sum);
        hq_json_object_end(j);
        break;
    }
    hq_json_object_end(j);
}

static void
pools(struct hq_json *j, const Hq__Pools *p)
{
    hq_json_object(j);
    hq_json_key(j, "coupling");
    hq_json_object(j);
    hq_json_key(j, "weights");
    hq_json_array(j);
    for (size_t i = 0; p != NULL && i < p->n_couplings; i++) {
        const Hq__Coupling *c = p->couplings[i];
        hq_coupling_json(&(struct hq_coupling){.resource1_ix = c->resource1,
                                               .group1_ix = c->group1,
                                               .resource2_ix = c->resource2,
                                               .group2_ix = c->group2,
                                               .weight = c->weight},
                         j);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
    hq_json_key(j, "resources");
    hq_json_array(j);
    for (size_t i = 0; p != NULL && i < p->n_pools; i++) {
        hq_json_object(j);
        hq_json_key(j, "kind");
        pool_kind(j, p->pools[i]);
        hq_json_put_str(j, "name", hq_pb_str(p->pools[i]->name));
        hq_json_object_end(j);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
}

/* Inside a batch system: a JSON text within the JSON line. */
static void
job_manager(struct hq_json *j, const Hq__WorkerConfig *c)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    struct hq_json inner;

    hq_json_init(&inner, &text, false);
    hq_json_object_unsorted(&inner);
    hq_json_put_strz(&inner, "manager", c->manager == HQ__MANAGER__MANAGER_PBS ? "Pbs" : "Slurm");
    hq_json_put_str(&inner, "allocation_id", hq_pb_str(c->manager_job_id));
    put_span_or_null(&inner, "time_limit", c->manager_time_limit_ms);
    hq_json_key(&inner, "max_memory_mb");
    if (c->manager_memory_mb == 0) {
        hq_json_null(&inner);
    } else {
        hq_json_u64(&inner, c->manager_memory_mb);
    }
    hq_json_object_end(&inner);
    hq_json_str(j, hq_buf_view(&text));
}

void
hq_json_worker_config(struct hq_json *j, const Hq__WorkerConfig *c)
{
    static const char *const lost[] = {
        [HQ__ON_SERVER_LOST__LOST_RECONNECT] = "Reconnect",
        [HQ__ON_SERVER_LOST__LOST_STOP] = "Stop",
        [HQ__ON_SERVER_LOST__LOST_FINISH_RUNNING] = "FinishRunning",
    };
    HQ_AUTO(hq_buf_fini) struct hq_buf pid = HQ_BUF_INIT;

    hq_json_object(j);
    hq_json_key(j, "extra");
    hq_json_object(j);
    if (c->manager != HQ__MANAGER__MANAGER_NONE) {
        hq_json_key(j, "JobManager");
        job_manager(j, c);
    }
    hq_buf_u64(&pid, c->pid);
    hq_json_put_str(j, "ProcessPid", hq_buf_view(&pid));
    hq_json_object_end(j);
    hq_json_put_str(j, "group", hq_pb_str(c->group));
    hq_json_key(j, "heartbeat_interval");
    hq_json_span(j, (int64_t)c->heartbeat_ms);
    hq_json_put_str(j, "hostname", hq_pb_str(c->hostname));
    put_span_or_null(j, "idle_timeout", c->idle_timeout_ms);
    hq_json_put_str(j, "listen_address", hq_pb_str(c->listen_address));
    hq_json_key(j, "min_utilization");
    hq_json_f64(j, (double)((float)c->min_utilization / 10000.0f));
    hq_json_put_strz(j, "on_server_lost",
                     (size_t)c->on_server_lost < HQ_ARRAY_LEN(lost) ? lost[c->on_server_lost] : "Stop");
    hq_json_key(j, "overview_configuration");
    hq_json_object(j);
    hq_json_key(j, "gpu_families");
    hq_json_array(j);
    for (size_t i = 0; i < c->n_gpu_families; i++) {
        hq_json_str(j, hq_pb_str(c->gpu_families[i]));
    }
    hq_json_array_end(j);
    put_span_or_null(j, "send_interval", c->overview_ms);
    hq_json_object_end(j);
    hq_json_key(j, "resources");
    pools(j, c->pools);
    hq_json_key(j, "retract_check_interval");
    hq_json_span(j, (int64_t)c->retract_check_ms);
    put_span_or_null(j, "time_limit", c->time_limit_ms);
    hq_json_put_str(j, "work_dir", hq_pb_str(c->work_dir));
    hq_json_object_end(j);
}

static void
gpus(struct hq_json *j, const Hq__Overview *o, const char *key, const char *family)
{
    bool is_any = false;

    hq_json_key(j, key);
    for (size_t i = 0; i < o->n_gpus; i++) {
        const Hq__GpuLoad *g = o->gpus[i];
        if (!hq_str_is(hq_str_from(g->family), family)) {
            continue;
        }
        if (!is_any) {
            hq_json_object(j);
            hq_json_key(j, "gpus");
            hq_json_array(j);
            is_any = true;
        }
        hq_json_object(j);
        hq_json_put_str(j, "id", hq_pb_str(g->id));
        hq_json_key(j, "mem_usage");
        hq_json_f64(j, (double)g->memory_percent);
        hq_json_key(j, "processor_usage");
        hq_json_f64(j, (double)g->processor_percent);
        hq_json_object_end(j);
    }
    if (is_any) {
        hq_json_array_end(j);
        hq_json_object_end(j);
    } else {
        hq_json_null(j);
    }
}

static void
network(struct hq_json *j, const Hq__Overview *o)
{
    static const struct {
        const char *key;
        size_t ix; /* rx bytes, packets, errors; tx bytes, packets, errors */
    } columns[] = {{"rx_bytes", 0}, {"rx_errors", 2}, {"rx_packets", 1},
                   {"tx_bytes", 3}, {"tx_errors", 5}, {"tx_packets", 4}};

    hq_json_object(j);
    for (size_t i = 0; i < HQ_ARRAY_LEN(columns); i++) {
        hq_json_put_u64(j, columns[i].key, columns[i].ix < o->n_network ? o->network[columns[i].ix] : 0);
    }
    hq_json_object_end(j);
}

#define ALLOC_IDLE_MS_DEFAULT 300000u /* alloc add --idle-timeout */

static void
texts(struct hq_json *j, const char *key, const ProtobufCBinaryData *v, size_t count)
{
    hq_json_key(j, key);
    hq_json_array(j);
    for (size_t i = 0; i < count; i++) {
        hq_json_str(j, hq_pb_str(v[i]));
    }
    hq_json_array_end(j);
}

static void
text_or_null(struct hq_json *j, const char *key, ProtobufCBinaryData v)
{
    hq_json_key(j, key);
    if (v.len == 0) {
        hq_json_null(j);
    } else {
        hq_json_str(j, hq_pb_str(v));
    }
}

void
hq_json_alloc_params(struct hq_json *j, const Hq__AllocParams *p)
{
    hq_json_object(j);
    texts(j, "additional_args", p->additional_args, p->n_additional_args);
    hq_json_put_u64(j, "backlog", p->backlog);
    hq_json_key(j, "cli_resource_descriptor");
    if (p->pools == NULL) {
        hq_json_null(j);
    } else {
        pools(j, p->pools);
    }
    hq_json_key(j, "idle_timeout");
    if (p->idle_timeout_ms == ALLOC_IDLE_MS_DEFAULT) {
        hq_json_null(j); /* not given */
    } else {
        hq_json_span(j, (int64_t)p->idle_timeout_ms);
    }
    hq_json_put_strz(j, "manager", p->manager == HQ__MANAGER__MANAGER_PBS ? "Pbs" : "Slurm");
    hq_json_key(j, "max_worker_count");
    if (p->max_worker_count == 0) {
        hq_json_null(j);
    } else {
        hq_json_u64(j, p->max_worker_count);
    }
    hq_json_put_u64(j, "max_workers_per_alloc", p->max_workers_per_alloc);
    hq_json_key(j, "min_utilization");
    hq_json_f64(j, (double)((float)p->min_utilization / 10000.0F)); /* the reference keeps 32 bits of it */
    text_or_null(j, "name", p->name);
    hq_json_key(j, "timelimit");
    hq_json_span(j, (int64_t)p->time_limit_ms);
    texts(j, "worker_args", p->worker_args, p->n_worker_args);
    text_or_null(j, "worker_start_cmd", p->worker_start_cmd);
    text_or_null(j, "worker_stop_cmd", p->worker_stop_cmd);
    text_or_null(j, "worker_wrap_cmd", p->worker_wrap_cmd);
    hq_json_object_end(j);
}

void
hq_json_overview(struct hq_json *j, const Hq__Overview *o)
{
    hq_json_object(j);
    hq_json_key(j, "state");
    hq_json_object(j);
    gpus(j, o, "amd_gpus", "Amd");
    hq_json_key(j, "cpu_usage");
    hq_json_object(j);
    hq_json_key(j, "cpu_per_core_percent_usage");
    hq_json_array(j);
    for (size_t i = 0; i < o->n_cpu_percent; i++) {
        hq_json_f64(j, (double)o->cpu_percent[i]);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
    hq_json_key(j, "memory_usage");
    hq_json_object(j);
    hq_json_put_u64(j, "free", o->memory_free);
    hq_json_put_u64(j, "total", o->memory_total);
    hq_json_object_end(j);
    hq_json_key(j, "network_usage");
    network(j, o);
    gpus(j, o, "nvidia_gpus", "Nvidia");
    hq_json_put_u64(j, "timestamp", o->at_ms / 1000);
    hq_json_object_end(j);
    hq_json_object_end(j);
}

static void
variants(struct hq_json *j, const Hq__Request *r)
{
    static const char *const policies[] = {
        [HQ__POLICY__POLICY_COMPACT] = "Compact", [HQ__POLICY__POLICY_FORCE_COMPACT] = "ForceCompact",
        [HQ__POLICY__POLICY_TIGHT] = "Tight",     [HQ__POLICY__POLICY_FORCE_TIGHT] = "ForceTight",
        [HQ__POLICY__POLICY_SCATTER] = "Scatter",
    };

    hq_json_object(j);
    hq_json_key(j, "variants");
    hq_json_array(j);
    for (size_t v = 0; r != NULL && v < r->n_variants; v++) {
        const Hq__Variant *var = r->variants[v];
        hq_json_object(j);
        hq_json_key(j, "min_time");
        hq_json_span(j, (int64_t)var->min_time_ms);
        hq_json_put_u64(j, "n_nodes", var->n_nodes);
        hq_json_key(j, "resources");
        hq_json_array(j);
        for (size_t i = 0; i < var->n_entries; i++) {
            const Hq__RequestEntry *e = var->entries[i];
            hq_json_object(j);
            hq_json_key(j, "policy");
            if ((size_t)e->policy >= HQ_ARRAY_LEN(policies)) {
                hq_json_strz(j, "All");
            } else {
                hq_json_object(j);
                hq_json_put_u64(j, policies[e->policy], e->amount);
                hq_json_object_end(j);
            }
            hq_json_put_str(j, "resource", hq_pb_str(e->name));
            hq_json_object_end(j);
        }
        hq_json_array_end(j);
        hq_json_put_u64(j, "weight", var->weight == 0 ? 10000 : var->weight);
        hq_json_object_end(j);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
}

static void
put_count(struct hq_json *j, const char *key, uint32_t v)
{
    if (v == 0) {
        hq_json_put_null(j, key);
    } else {
        hq_json_put_u64(j, key, v);
    }
}

void
hq_json_put_mpi(struct hq_json *j, const Hq__Mpi *m)
{
    if (m == NULL) {
        return;
    }
    hq_json_key(j, "mpi");
    hq_json_object(j);
    put_count(j, "cpus_per_rank", m->cpus_per_rank);
    hq_json_put_bool(j, "oversubscribe", m->oversubscribe);
    put_count(j, "ranks", m->ranks);
    put_count(j, "ranks_per_node", m->ranks_per_node);
    hq_json_put_bool(j, "tag_output", m->tag_output);
    hq_json_put_strz(j, "wire_up",
                     m->wire_up == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMIX   ? "pmix"
                     : m->wire_up == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMI1 ? "pmi1"
                                                                       : "any");
    hq_json_object_end(j);
}

static void
array_desc(struct hq_json *j, const Hq__TaskDesc *d, const Hq__Ranges *ids)
{
    hq_json_key(j, "crash_limit");
    if (d->crash_limit == 0) {
        hq_json_strz(j, "NeverRestart");
    } else if (d->crash_limit == UINT32_MAX) {
        hq_json_strz(j, "Unlimited");
    } else {
        hq_json_object(j);
        hq_json_put_u64(j, "MaxCrashes", d->crash_limit);
        hq_json_object_end(j);
    }
    hq_json_key(j, "ids");
    hq_json_object(j);
    hq_json_key(j, "ranges");
    hq_json_array(j);
    for (size_t i = 0; ids != NULL && i + 2 < ids->n_packed; i += 3) {
        uint32_t step = ids->packed[i + 2];
        hq_json_object(j);
        /* the reference's count covers start to end, whatever the step */
        hq_json_put_u64(j, "count", (uint64_t)(ids->packed[i + 1] - 1) * step + 1);
        hq_json_put_u64(j, "start", ids->packed[i]);
        hq_json_put_u64(j, "step", step);
        hq_json_object_end(j);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
    hq_json_put_mpi(j, d->mpi);
    hq_json_put_i64(j, "priority", d->priority);
    hq_json_key(j, "resources");
    variants(j, d->request);
    put_span_or_null(j, "time_limit", d->time_limit_ms);
}

void
hq_json_submit_desc(struct hq_json *j, const struct hq_json_submit *s)
{
    hq_json_object(j);
    hq_json_key(j, "stream_path");
    if (s->job->stream_dir.len == 0) {
        hq_json_null(j);
    } else {
        hq_json_str(j, hq_pb_str(s->job->stream_dir));
    }
    hq_json_put_str(j, "submit_dir", hq_pb_str(s->job->submit_dir));
    hq_json_key(j, "task_desc");
    hq_json_object(j);
    if (s->job->is_graph || s->desc == NULL) {
        hq_json_put_u64(j, "n_tasks", s->graph_tasks);
    } else {
        array_desc(j, s->desc, s->job->ids);
    }
    hq_json_object_end(j);
    hq_json_object_end(j);
}
