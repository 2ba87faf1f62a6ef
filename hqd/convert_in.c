#include "hqd/convert.h"

#include <inttypes.h>

#include "common/limits.h"

int
conv_in_ranges(const Hq__Ranges *m, struct hq_ranges *ret, struct hq_err *err)
{
    if (m == NULL || m->n_packed == 0) {
        *ret = HQ_RANGES_INIT;
        return 0;
    }
    if (m->n_packed % 3 != 0) {
        return hq_err_set(err, -EINVAL, "Ranges are no triplets");
    }
    struct hq_ranges r = {.v = (struct hq_range *)m->packed, .count = m->n_packed / 3};
    /* The usual case, one run: nothing to compare it with. */
    if (r.count == 1 && r.v[0].step == 1 && r.v[0].count > 0 && r.v[0].first <= UINT32_MAX - (r.v[0].count - 1)) {
        *ret = r;
        return 0;
    }
    int rc = hq_ranges_check(&r, err);
    if (rc == 0) {
        *ret = r;
    }
    return rc;
}

/* A set that must not be empty. */
static int
in_some_ranges(const Hq__Ranges *m, struct hq_ranges *ret, struct hq_err *err)
{
    int rc = conv_in_ranges(m, ret, err);
    if (rc == 0 && ret->count == 0) {
        rc = hq_err_set(err, -EINVAL, "A list of tasks is empty");
    }
    if (rc == 0 && hq_ranges_size(ret) > HQ_TASKS_PER_SUBMIT_MAX) {
        rc = hq_err_set(err, -E2BIG, "More than %u tasks", HQ_TASKS_PER_SUBMIT_MAX);
    }
    return rc;
}

int
conv_in_selection(const Hq__Selector *m, struct selection *ret, struct hq_err *err)
{
    struct selection s = {.kind = SELECT_KIND_ALL};
    if (m == NULL) {
        *ret = s;
        return 0;
    }
    if (m->kind == HQ__SELECT_KIND__SELECT_LAST) {
        s.kind = SELECT_KIND_LAST;
    } else if (m->kind == HQ__SELECT_KIND__SELECT_RANGES) {
        s.kind = SELECT_KIND_RANGES;
        int rc = conv_in_ranges(m->ids, &s.ids, err);
        if (rc < 0) {
            return rc;
        }
    } else if (m->kind != HQ__SELECT_KIND__SELECT_ALL) {
        return hq_err_set(err, -EINVAL, "Unknown kind of selector %d", (int)m->kind);
    }
    *ret = s;
    return 0;
}

static int
in_variant(const Hq__Variant *m, struct hq_arena *arena, struct hq_variant *ret, struct hq_err *err)
{
    if (m->n_entries > HQ_RESOURCES_MAX) {
        return hq_err_set(err, -EINVAL, "More than %u resources in one request", HQ_RESOURCES_MAX);
    }
    ret->entries = hq_arena_array(arena, m->n_entries, sizeof ret->entries[0]);
    ret->entry_count = m->n_entries;
    for (size_t i = 0; i < m->n_entries; i++) {
        const Hq__RequestEntry *e = m->entries[i];
        if ((uint32_t)e->policy >= HQ_POLICIES) {
            return hq_err_set(err, -EINVAL, "Unknown resource policy %d", (int)e->policy);
        }
        ret->entries[i] = (struct hq_request_entry){
            .name = conv_str(e->name), .amount = e->amount, .policy = (enum hq_policy)e->policy};
    }
    ret->n_nodes = m->n_nodes;
    ret->min_time_ms = conv_ms(m->min_time_ms);
    ret->weight_x10000 = m->weight == 0 ? 10000 : m->weight;
    return hq_variant_sort(ret, err);
}

int
conv_in_request(const Hq__Request *m, struct hq_arena *arena, struct hq_request *ret, struct hq_err *err)
{
    _Static_assert(HQ__POLICY__POLICY_ALL == (int)HQ_POLICY_ALL && HQ_POLICY_ALL + 1 == HQ_POLICIES, "policies differ");
    if (m == NULL || m->n_variants == 0 || m->n_variants > HQ_VARIANTS_MAX) {
        return hq_err_set(err, -EINVAL, "A resource request has 1 to %u variants", HQ_VARIANTS_MAX);
    }
    struct hq_request r = {.variants = hq_arena_array(arena, m->n_variants, sizeof r.variants[0]),
                           .variant_count = m->n_variants};
    for (size_t i = 0; i < m->n_variants; i++) {
        int rc = in_variant(m->variants[i], arena, &r.variants[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    int rc = hq_request_check(&r, err);
    if (rc == 0) {
        *ret = r;
    }
    return rc;
}

static int
in_stdio(const Hq__Stdio *m, struct stdio_desc *ret, struct hq_err *err)
{
    if (m == NULL) {
        *ret = (struct stdio_desc){.kind = STDIO_KIND_FILE};
        return 0;
    }
    if ((uint32_t)m->kind > STDIO_KIND_STREAM) {
        return hq_err_set(err, -EINVAL, "Unknown kind of output %d", (int)m->kind);
    }
    *ret = (struct stdio_desc){.kind = (enum stdio_kind)m->kind,
                               .path = conv_str(m->path),
                               .remove_if_finished = m->remove_if_finished != 0};
    return 0;
}

static bool
has_nul(struct hq_str s)
{
    return hq_str_find_byte(s, '\0') >= 0;
}

static int
in_args_env(const Hq__TaskDesc *m, struct hq_arena *arena, struct task_desc *d, struct hq_err *err)
{
    size_t bytes = 0;
    struct hq_str *args = hq_arena_array(arena, m->n_args, sizeof *args);
    for (size_t i = 0; i < m->n_args; i++) {
        args[i] = conv_str(m->args[i]);
        bytes += args[i].len + 1;
        if (has_nul(args[i])) {
            return hq_err_set(err, -EINVAL, "An argument contains a zero byte");
        }
    }
    struct env_var *env = hq_arena_array(arena, m->n_env, sizeof *env);
    for (size_t i = 0; i < m->n_env; i++) {
        env[i] = (struct env_var){.key = conv_str(m->env[i]->key), .value = conv_str(m->env[i]->value)};
        bytes += env[i].key.len + env[i].value.len + 2;
        /* An empty name ("=x") is odd but harmless, and scripts that give one have always been served. */
        if (has_nul(env[i].key) || has_nul(env[i].value) || hq_str_find_byte(env[i].key, '=') >= 0) {
            return hq_err_set(err, -EINVAL, "The name of an environment variable is not usable");
        }
    }
    if (m->n_args == 0 || args[0].len == 0) {
        return hq_err_set(err, -EINVAL, "A task has no program");
    }
    if (bytes > HQ_ARGS_BYTES_MAX) {
        return hq_err_set(err, -E2BIG, "Arguments and environment are over %u bytes", HQ_ARGS_BYTES_MAX);
    }
    d->args = args;
    d->arg_count = m->n_args;
    d->env = env;
    d->env_count = m->n_env;
    return 0;
}

/* Nodes must have the cpus that their ranks need: the request says so from here on. */
static int
in_ranks(const Hq__TaskDesc *m, struct hq_arena *arena, struct task_desc *d, struct hq_err *err)
{
    int rc = conv_in_mpi(m->mpi, &d->mpi, err);
    if (rc == 0 && d->mpi.is_on && d->pin != PIN_MODE_NONE) {
        rc = hq_err_set(err, -EINVAL, "Ranks are always bound: no pin mode goes with them");
    }
    for (size_t i = 0; rc == 0 && i < d->request.variant_count; i++) {
        rc = hq_mpi_check(&d->mpi, &d->request.variants[i], err);
        hq_mpi_demand(&d->mpi, &d->request.variants[i], arena);
    }
    return rc;
}

int
conv_in_desc(const Hq__TaskDesc *m, struct hq_arena *arena, struct task_desc *ret, struct hq_err *err)
{
    struct task_desc d = {.cwd = conv_str(m->cwd),
                          .task_dir = m->task_dir != 0,
                          .has_stdin = m->has_stdin != 0,
                          .stdin_from = m->stdin_from,
                          .stdin_bytes = m->stdin_bytes,
                          .time_limit_ms = conv_ms(m->time_limit_ms),
                          .priority = m->priority,
                          .crash_limit = m->crash_limit};
    if ((uint32_t)m->pin > PIN_MODE_OMP) {
        return hq_err_set(err, -EINVAL, "Unknown pin mode %d", (int)m->pin);
    }
    if (d.crash_limit > HQ_CRASH_LIMIT_MAX && d.crash_limit != CRASH_LIMIT_UNLIMITED) {
        return hq_err_set(err, -EINVAL, "Crash limit is over %u", HQ_CRASH_LIMIT_MAX);
    }
    d.pin = (enum pin_mode)m->pin;
    int rc = in_args_env(m, arena, &d, err);
    if (rc == 0) {
        rc = in_stdio(m->stdout, &d.out, err);
    }
    if (rc == 0) {
        rc = in_stdio(m->stderr, &d.err, err);
    }
    if (rc == 0 && (has_nul(d.cwd) || has_nul(d.out.path) || has_nul(d.err.path))) {
        rc = hq_err_set(err, -EINVAL, "A path contains a zero byte");
    }
    if (rc == 0) {
        rc = conv_in_request(m->request, arena, &d.request, err);
    }
    if (rc == 0) {
        rc = in_ranks(m, arena, &d, err);
    }
    if (rc == 0) {
        *ret = d;
    }
    return rc;
}

static int
in_entries(const Hq__Entries *m, struct task_entries *ret, struct hq_err *err)
{
    *ret = (struct task_entries){0};
    if (m == NULL || m->n_lens == 0) {
        return 0;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_lens; i++) {
        sum += m->lens[i];
        if (m->lens[i] > HQ_ENTRY_BYTES_MAX) {
            return hq_err_set(err, -E2BIG, "An entry is over %u bytes", HQ_ENTRY_BYTES_MAX);
        }
    }
    if (sum != m->data.len) {
        return hq_err_set(err, -EINVAL, "Entries and their lengths differ");
    }
    *ret = (struct task_entries){.lens = m->lens, .count = m->n_lens, .data = conv_str(m->data)};
    return 0;
}

static int
in_graph(const Hq__GraphTasks *m, struct graph_tasks *ret, struct hq_err *err)
{
    *ret = (struct graph_tasks){0};
    if (m == NULL || m->n_ids == 0) {
        return 0;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_dep_count; i++) {
        sum += m->dep_count[i];
    }
    if (m->n_desc != m->n_ids || m->n_dep_count != m->n_ids || sum != m->n_deps) {
        return hq_err_set(err, -EINVAL, "Columns of a graph differ in length");
    }
    *ret = (struct graph_tasks){.ids = m->ids,
                                .desc = m->desc,
                                .dep_count = m->dep_count,
                                .count = m->n_ids,
                                .deps = m->deps,
                                .dep_total = m->n_deps};
    return 0;
}

int
conv_in_part(Hq__TaskDesc *const *descs, size_t desc_count, const Hq__Ranges *ids, const Hq__Entries *entries,
             const Hq__GraphTasks *graph, ProtobufCBinaryData stdin_data, struct hq_arena *arena,
             struct submit_part *ret, struct hq_err *err)
{
    struct submit_part p = {.desc_count = desc_count, .stdin_data = conv_str(stdin_data)};
    struct task_desc *all = hq_arena_array(arena, desc_count, sizeof *all);
    for (size_t i = 0; i < desc_count; i++) {
        int rc = conv_in_desc(descs[i], arena, &all[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    p.descs = all;
    int rc = conv_in_ranges(ids, &p.ids, err);
    if (rc == 0) {
        rc = in_entries(entries, &p.entries, err);
    }
    if (rc == 0) {
        rc = in_graph(graph, &p.graph, err);
    }
    if (rc == 0 && p.ids.count > 0 && p.entries.count > 0 && hq_ranges_size(&p.ids) != p.entries.count) {
        rc = hq_err_set(err, -EINVAL, "Entries and ids differ in number");
    }
    if (rc == 0 && p.ids.count > 0 && hq_ranges_size(&p.ids) > HQ_TASKS_PER_SUBMIT_MAX) {
        rc = hq_err_set(err, -E2BIG, "More than %u tasks in one submit", HQ_TASKS_PER_SUBMIT_MAX);
    }
    if (rc == 0) {
        *ret = p;
    }
    return rc;
}

static int
in_pool(const Hq__Pool *m, struct hq_arena *arena, struct hq_pool *ret, struct hq_err *err)
{
    if ((uint32_t)m->kind > HQ_POOL_SUM || m->n_groups > HQ_POOL_GROUPS_MAX) {
        return hq_err_set(err, -EINVAL, "A resource of the worker has an unknown shape");
    }
    *ret = (struct hq_pool){.name = conv_str(m->name),
                            .kind = (enum hq_pool_kind)m->kind,
                            .groups = hq_arena_array(arena, m->n_groups, sizeof ret->groups[0]),
                            .group_count = m->n_groups,
                            .range_first = m->range_first,
                            .range_last = m->range_last,
                            .sum = m->sum};
    for (size_t i = 0; i < m->n_groups; i++) {
        const Hq__PoolGroup *g = m->groups[i];
        struct hq_str *values = hq_arena_array(arena, g->n_values, sizeof *values);
        for (size_t k = 0; k < g->n_values; k++) {
            values[k] = conv_str(g->values[k]);
        }
        ret->groups[i] = (struct hq_pool_group){.values = values, .count = g->n_values};
    }
    return 0;
}

int
conv_in_pools(const Hq__Pools *m, struct hq_arena *arena, struct hq_pools *ret, struct hq_err *err)
{
    if (m == NULL || m->n_pools > HQ_RESOURCES_MAX || m->n_couplings > HQ_POOL_VALUES_MAX) {
        return hq_err_set(err, -EINVAL, "A worker has 1 to %u resources", HQ_RESOURCES_MAX);
    }
    struct hq_pools p = {.v = hq_arena_array(arena, m->n_pools, sizeof p.v[0]),
                         .count = m->n_pools,
                         .couplings = hq_arena_array(arena, m->n_couplings, sizeof p.couplings[0]),
                         .coupling_count = m->n_couplings};
    for (size_t i = 0; i < m->n_pools; i++) {
        int rc = in_pool(m->pools[i], arena, &p.v[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < m->n_couplings; i++) {
        const Hq__Coupling *c = m->couplings[i];
        p.couplings[i] = (struct hq_coupling){.resource1_ix = c->resource1,
                                              .group1_ix = c->group1,
                                              .resource2_ix = c->resource2,
                                              .group2_ix = c->group2,
                                              .weight = c->weight};
    }
    int rc = hq_pools_check(&p, err);
    if (rc == 0) {
        *ret = p;
    }
    return rc;
}

int
conv_in_config(const Hq__WorkerConfig *m, struct hq_arena *arena, struct worker_config *ret, struct hq_err *err)
{
    if (m == NULL || m->heartbeat_ms == 0) {
        return hq_err_set(err, -EINVAL, "A worker without a configuration");
    }
    if (m->hostname.len > HQ_NAME_BYTES_MAX || m->group.len > HQ_NAME_BYTES_MAX || m->manager_job_id.len > HQ_NAME_BYTES_MAX) {
        return hq_err_set(err, -EINVAL, "A name of the worker is over %u bytes", HQ_NAME_BYTES_MAX);
    }
    if ((uint32_t)m->on_server_lost > WORKER_ON_LOST_FINISH_RUNNING || (uint32_t)m->manager > WORKER_MANAGER_SLURM) {
        return hq_err_set(err, -EINVAL, "The configuration of the worker has unknown words");
    }
    struct worker_config c = {.hostname = conv_str(m->hostname),
                              .group = conv_str(m->group),
                              .work_dir = conv_str(m->work_dir),
                              .listen_address = conv_str(m->listen_address),
                              .heartbeat_ms = conv_ms(m->heartbeat_ms),
                              .idle_timeout_ms = conv_ms(m->idle_timeout_ms),
                              .time_limit_ms = conv_ms(m->time_limit_ms),
                              .overview_ms = conv_ms(m->overview_ms),
                              .retract_check_ms = conv_ms(m->retract_check_ms),
                              .min_utilization_x10000 = m->min_utilization,
                              .on_server_lost = (enum worker_on_lost)m->on_server_lost,
                              .manager = (enum worker_manager)m->manager,
                              .manager_job_id = conv_str(m->manager_job_id),
                              .manager_time_limit_ms = conv_ms(m->manager_time_limit_ms),
                              .manager_memory_mb = m->manager_memory_mb,
                              .pid = m->pid,
                              .host_boot_id = conv_str(m->host_boot_id),
                              .gpu_family_count = m->n_gpu_families,
                              .is_idle_timeout_set = m->is_idle_timeout_set != 0};
    struct hq_str *families = hq_arena_array(arena, m->n_gpu_families, sizeof *families);
    for (size_t i = 0; i < m->n_gpu_families; i++) {
        families[i] = conv_str(m->gpu_families[i]);
    }
    c.gpu_families = families;
    c.address_count = HQ_MIN(m->n_addresses, (size_t)HQ_ADDRESSES_MAX); /* best first */
    struct hq_str *addresses = hq_arena_array(arena, c.address_count, sizeof *addresses);
    for (size_t i = 0; i < c.address_count; i++) {
        addresses[i] = conv_str(m->addresses[i]);
    }
    c.addresses = addresses;
    int rc = conv_in_pools(m->pools, arena, &c.pools, err);
    if (rc == 0) {
        *ret = c;
    }
    return rc;
}

int
conv_in_times(const Hq__TaskTimes *m, uint64_t id_count, bool with_ends, struct task_times *ret, struct hq_err *err)
{
    if (m == NULL || m->n_started != id_count || m->n_duration_ms != (with_ends ? id_count : 0)) {
        return hq_err_set(err, -EINVAL, "Times and tasks differ in number");
    }
    *ret = (struct task_times){.base_ms = conv_ms(m->base_ms),
                               .started = m->started,
                               .duration_ms = with_ends ? m->duration_ms : NULL,
                               .count = m->n_started};
    return 0;
}

int
conv_in_started(const Hq__TasksStarted *m, struct tasks_started *ret, struct hq_err *err)
{
    if (m == NULL) {
        return hq_err_set(err, -EINVAL, "A part of the message is missing");
    }
    struct tasks_started t = {.job = {m->job}, .instance = m->instance, .variant = m->variant};
    int rc = in_some_ranges(m->ids, &t.ids, err);
    if (rc == 0) {
        rc = conv_in_times(m->times, hq_ranges_size(&t.ids), false, &t.times, err);
    }
    if (rc == 0) {
        *ret = t;
    }
    return rc;
}

int
conv_in_finished(const Hq__TasksFinished *m, struct tasks_finished *ret, struct hq_err *err)
{
    if (m == NULL) {
        return hq_err_set(err, -EINVAL, "A part of the message is missing");
    }
    struct tasks_finished t = {.job = {m->job}, .instance = m->instance, .variant = m->variant};
    int rc = in_some_ranges(m->ids, &t.ids, err);
    if (rc == 0) {
        rc = conv_in_times(m->times, hq_ranges_size(&t.ids), true, &t.times, err);
    }
    if (rc == 0) {
        *ret = t;
    }
    return rc;
}

int
conv_in_failed(const Hq__TaskFailed *m, struct task_failed *ret, struct hq_err *err)
{
    if (m == NULL) {
        return hq_err_set(err, -EINVAL, "A part of the message is missing");
    }
    if (m->error.len > HQ_ERROR_TEXT_BYTES_MAX) {
        return hq_err_set(err, -EINVAL, "An error text is over %u bytes", HQ_ERROR_TEXT_BYTES_MAX);
    }
    *ret = (struct task_failed){.job = {m->job},
                                .task = m->task,
                                .instance = m->instance,
                                .variant = m->variant,
                                .started_ms = conv_ms(m->started_ms),
                                .ended_ms = conv_ms(m->ended_ms),
                                .error = conv_str(m->error)};
    return 0;
}

int
conv_in_returned(const Hq__TasksReturned *m, struct tasks_returned *ret, struct hq_err *err)
{
    struct tasks_returned t = {.job = {m->job}, .instance = m->instance, .variant = m->variant};
    if ((uint32_t)m->reason > RETURN_REASON_NODE_LOST) {
        return hq_err_set(err, -EINVAL, "Unknown reason %d of a return", (int)m->reason);
    }
    t.reason = (enum return_reason)m->reason;
    int rc = in_some_ranges(m->ids, &t.ids, err);
    if (rc == 0) {
        *ret = t;
    }
    return rc;
}

int
conv_in_notify(const Hq__Notify *m, struct task_notify *ret, struct hq_err *err)
{
    if (m->message.len > HQ_NOTIFY_BYTES_MAX) {
        return hq_err_set(err, -EINVAL, "A notification is over %u bytes", HQ_NOTIFY_BYTES_MAX);
    }
    *ret = (struct task_notify){.job = {m->job}, .task = m->task, .message = conv_str(m->message)};
    return 0;
}

int
conv_in_held(const Hq__HeldTasks *m, struct held_tasks *ret, struct hq_err *err)
{
    struct held_tasks h = {
        .job = {m->job}, .instance = m->instance, .variant = m->variant, .is_running = m->is_running != 0};
    int rc = in_some_ranges(m->ids, &h.ids, err);
    if (rc == 0 && h.is_running) {
        rc = conv_in_times(m->times, hq_ranges_size(&h.ids), false, &h.times, err);
    }
    if (rc == 0) {
        *ret = h;
    }
    return rc;
}

int
conv_in_overview(const Hq__Overview *m, struct hq_arena *arena, struct overview *ret, struct hq_err *err)
{
    if (m == NULL || (m->n_network != 0 && m->n_network != 6)) {
        return hq_err_set(err, -EINVAL, "An overview has an unknown shape");
    }
    struct gpu_load *gpus = hq_arena_array(arena, m->n_gpus, sizeof *gpus);
    for (size_t i = 0; i < m->n_gpus; i++) {
        const Hq__GpuLoad *g = m->gpus[i];
        gpus[i] = (struct gpu_load){.family = hq_str_from(g->family),
                                    .id = conv_str(g->id),
                                    .processor_percent = g->processor_percent,
                                    .memory_percent = g->memory_percent};
    }
    *ret = (struct overview){.at_ms = conv_ms(m->at_ms),
                             .cpu_percent = m->cpu_percent,
                             .cpu_count = m->n_cpu_percent,
                             .memory_total_bytes = m->memory_total,
                             .memory_free_bytes = m->memory_free,
                             .gpus = gpus,
                             .gpu_count = m->n_gpus,
                             .network = m->n_network == 0 ? NULL : m->network,
                             .network_count = m->n_network};
    return 0;
}

int
conv_in_lost(Hq__WorkerLostReason reason, enum lost_reason *ret, struct hq_err *err)
{
    if ((uint32_t)reason >= LOST_REASONS) {
        return hq_err_set(err, -EINVAL, "Unknown reason %d of a worker's end", (int)reason);
    }
    *ret = (enum lost_reason)reason;
    return 0;
}
