#include "common/start_opts.h"

#include "common/num.h"
#include "common/out_quiet.h"
#include "common/out_table.h"

/* Tables and documents of one server and one worker: printed by hq, and by the daemons when they have started. */

/* ---- server */

static void
server_table(const struct hq_server_view *v, struct hq_out *out)
{
    HQ_AUTO(hq_table_fini) struct hq_table t;
    HQ_AUTO(hq_buf_fini) struct hq_buf date = HQ_BUF_INIT;
    hq_table_init_vertical(&t);
    if (v->server_dir.len > 0) {
        hq_table_row(&t, "Server directory", v->server_dir, HQ_COLOR_NONE);
    }
    hq_table_row(&t, "Server UID", v->server_uid, HQ_COLOR_NONE);
    hq_table_row(&t, "Client host", v->client_host, HQ_COLOR_NONE);
    hq_table_rowf(&t, "Client port", "%u", v->client_port);
    hq_table_row(&t, "Worker host", v->worker_host, HQ_COLOR_NONE);
    hq_table_rowf(&t, "Worker port", "%u", v->worker_port);
    hq_table_row(&t, "Version", v->version, HQ_COLOR_NONE);
    hq_table_rowf(&t, "Pid", "%d", v->pid);
    hq_date_utc(&date, v->started_at_ms);
    hq_table_row(&t, "Start date", hq_buf_view(&date), HQ_COLOR_NONE);
    hq_table_row(&t, "Journal path", v->journal_path, HQ_COLOR_NONE);
    hq_table_print(&t, out);
}

static void
put_str_or_null(struct hq_json *j, const char *key, struct hq_str v)
{
    hq_json_key(j, key);
    if (v.len > 0) {
        hq_json_str(j, v);
    } else {
        hq_json_null(j);
    }
}

static void
server_json(const struct hq_server_view *v, struct hq_out *out)
{
    struct hq_json j;
    hq_json_begin_document(&j, out);
    hq_json_object(&j);
    hq_json_put_str(&j, "client_host", v->client_host);
    hq_json_put_u64(&j, "client_port", v->client_port);
    put_str_or_null(&j, "journal_path", v->journal_path);
    hq_json_put_i64(&j, "pid", v->pid);
    put_str_or_null(&j, "server_dir", v->server_dir);
    hq_json_put_str(&j, "server_uid", v->server_uid);
    hq_json_put_time(&j, "start_date", v->started_at_ms);
    hq_json_put_str(&j, "version", v->version);
    hq_json_put_str(&j, "worker_host", v->worker_host);
    hq_json_put_u64(&j, "worker_port", v->worker_port);
    hq_json_object_end(&j);
    hq_json_end_document(&j, out);
}

void
hq_server_view_print(const struct hq_server_view *v, bool is_start, struct hq_out *out)
{
    switch (out->mode) {
    case HQ_OUT_CLI:
        server_table(v, out);
        break;
    case HQ_OUT_JSON:
        server_json(v, out);
        break;
    case HQ_OUT_QUIET:
        if (is_start) {
            hq_quiet_text(out, v->server_dir);
        }
        break;
    }
}

/* ---- worker */

static const struct {
    const char *word;
    enum hq_color color;
} worker_states[] = {
    [HQ_WORKER_RUNNING] = {"RUNNING", HQ_COLOR_GREEN},
    [HQ_WORKER_STOPPED] = {"STOPPED", HQ_COLOR_MAGENTA},
    [HQ_WORKER_CONNECTION_LOST] = {"CONNECTION LOST", HQ_COLOR_RED},
    [HQ_WORKER_HEARTBEAT_LOST] = {"HEARTBEAT LOST", HQ_COLOR_RED},
    [HQ_WORKER_IDLE_TIMEOUT] = {"IDLE TIMEOUT", HQ_COLOR_CYAN},
    [HQ_WORKER_TIME_LIMIT] = {"TIME LIMIT REACHED", HQ_COLOR_CYAN},
};

const char *
hq_worker_state_word(enum hq_worker_state s)
{
    return worker_states[s].word;
}

enum hq_color
hq_worker_state_color(enum hq_worker_state s)
{
    return worker_states[s].color;
}

static void
span_row(struct hq_table *t, const char *label, int64_t ms, bool zero_is_none)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    if (ms == 0 && zero_is_none) {
        hq_buf_cstr(&b, "None");
    } else {
        hq_duration_print(&b, hq_ns_from_ms(ms));
    }
    hq_table_row(t, label, hq_buf_view(&b), HQ_COLOR_NONE);
}

static void
runtime_row(struct hq_table *t, const struct hq_worker_view *v)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    if (v->multi_node != 0) {
        hq_buf_printf(&b, "running multinode task; %s node", v->multi_node == 1 ? "main" : "secondary");
    } else {
        hq_buf_printf(&b, "assigned tasks: %u", v->assigned_tasks);
        if (v->running_tasks > 0) {
            hq_buf_printf(&b, "; running tasks: %u", v->running_tasks);
        }
        hq_buf_cstr(&b, v->is_reserved ? "; reserved for a multi-node task" : "");
    }
    hq_table_row(t, "Runtime Info", hq_buf_view(&b), HQ_COLOR_NONE);
}

static const char *
manager_word(int manager)
{
    return manager == HQ_MANAGER_PBS ? "PBS" : manager == HQ_MANAGER_SLURM ? "SLURM" : "None";
}

void
hq_worker_view_table(const struct hq_worker_view *v, struct hq_out *out)
{
    HQ_AUTO(hq_table_fini) struct hq_table t;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_table_init_vertical(&t);
    hq_table_rowf(&t, "Worker", "%u", v->worker_id);
    hq_table_row(&t, "State", hq_str_from(hq_worker_state_word(v->state)), hq_worker_state_color(v->state));
    hq_table_row(&t, "Hostname", v->hostname, HQ_COLOR_NONE);
    hq_buf_byte(&b, '"');
    hq_date_rfc3339_nanos(&b, v->started_at_ms);
    hq_buf_byte(&b, '"');
    hq_table_row(&t, "Started", hq_buf_view(&b), HQ_COLOR_NONE);
    hq_table_row(&t, "Data provider", v->listen_address, HQ_COLOR_NONE);
    hq_table_row(&t, "Working directory", v->work_dir, HQ_COLOR_NONE);
    span_row(&t, "Heartbeat", v->heartbeat_ms, false);
    span_row(&t, "Idle timeout", v->idle_timeout_ms, true);
    span_row(&t, "Overview interval", v->overview_ms, true);
    hq_buf_clear(&b);
    hq_pools_print_summary(v->pools, "\n", ": ", &b);
    hq_table_row(&t, "Resources", hq_buf_view(&b), HQ_COLOR_NONE);
    span_row(&t, "Time Limit", v->time_limit_ms, true);
    if (v->pid > 0) {
        hq_table_rowf(&t, "Process pid", "%d", v->pid);
    } else {
        hq_table_rowz(&t, "Process pid", "N/A");
    }
    hq_table_row(&t, "Group", v->group, HQ_COLOR_NONE);
    hq_table_rowz(&t, "Manager", manager_word(v->manager));
    hq_table_row(&t, "Manager Job ID", v->manager_job_id.len > 0 ? v->manager_job_id : HQ_STR("N/A"), HQ_COLOR_NONE);
    hq_buf_clear(&b);
    if (v->has_last_task) {
        hq_buf_printf(&b, "%u@%u; Time: \"", v->last_job_id, v->last_task_id);
        hq_date_rfc3339_nanos(&b, v->last_task_at_ms);
        hq_buf_byte(&b, '"');
    }
    hq_table_row(&t, "Last task started", hq_buf_view(&b), HQ_COLOR_NONE);
    if (v->has_runtime) {
        runtime_row(&t, v);
    }
    hq_table_print(&t, out);
}

static void
pool_json(const struct hq_pool *p, struct hq_json *j)
{
    static const char *const kinds[] = {
        [HQ_POOL_LIST] = "list", [HQ_POOL_RANGE] = "range", [HQ_POOL_GROUPS] = "groups", [HQ_POOL_SUM] = "sum"};
    hq_json_object(j);
    if (p->kind == HQ_POOL_RANGE) {
        hq_json_put_u64(j, "end", p->range_last);
    }
    if (p->kind == HQ_POOL_GROUPS) {
        hq_json_key(j, "groups");
        hq_json_array(j);
        for (size_t g = 0; g < p->group_count; g++) {
            hq_json_array(j);
            for (size_t ix = 0; ix < p->groups[g].count; ix++) {
                hq_json_str(j, p->groups[g].values[ix]);
            }
            hq_json_array_end(j);
        }
        hq_json_array_end(j);
    }
    hq_json_put_strz(j, "kind", kinds[p->kind]);
    hq_json_put_str(j, "name", p->name);
    if (p->kind == HQ_POOL_SUM) {
        hq_json_put_u64(j, "size", p->sum);
    } else if (p->kind == HQ_POOL_RANGE) {
        hq_json_put_u64(j, "start", p->range_first);
    } else if (p->kind == HQ_POOL_LIST) {
        hq_json_key(j, "values");
        hq_json_array(j);
        for (size_t ix = 0; p->group_count > 0 && ix < p->groups[0].count; ix++) {
            hq_json_str(j, p->groups[0].values[ix]);
        }
        hq_json_array_end(j);
    }
    hq_json_object_end(j);
}

void
hq_coupling_json(const struct hq_coupling *c, struct hq_json *j)
{
    hq_json_object(j);
    hq_json_put_u64(j, "group1_idx", c->group1_ix);
    hq_json_put_u64(j, "group2_idx", c->group2_ix);
    hq_json_put_u64(j, "resource1_idx", c->resource1_ix);
    hq_json_put_u64(j, "resource2_idx", c->resource2_ix);
    hq_json_put_u64(j, "weight", c->weight);
    hq_json_object_end(j);
}

void
hq_pools_json(const struct hq_pools *pools, struct hq_json *j)
{
    hq_json_object(j);
    hq_json_key(j, "coupling");
    hq_json_object(j);
    hq_json_key(j, "weights");
    hq_json_array(j);
    for (size_t ix = 0; ix < pools->coupling_count; ix++) {
        hq_coupling_json(&pools->couplings[ix], j);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
    hq_json_key(j, "resources");
    hq_json_array(j);
    for (size_t ix = 0; ix < pools->count; ix++) {
        pool_json(&pools->v[ix], j);
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
}

static void
put_span_or_null(struct hq_json *j, const char *key, int64_t ms)
{
    if (ms == 0) {
        hq_json_put_null(j, key);
    } else {
        hq_json_put_seconds(j, key, ms);
    }
}

static void
configuration_json(const struct hq_worker_view *v, struct hq_json *j)
{
    hq_json_object(j);
    hq_json_put_str(j, "group", v->group);
    hq_json_put_seconds(j, "heartbeat_interval", v->heartbeat_ms);
    hq_json_put_str(j, "hostname", v->hostname);
    put_span_or_null(j, "idle_timeout", v->idle_timeout_ms);
    hq_json_put_str(j, "listen_address", v->listen_address);
    hq_json_key(j, "min_utilization");
    /* users know the value of a single-precision float here */
    hq_json_f64(j, (double)(float)((double)v->min_utilization_x10000 / 10000.0));
    hq_json_put_strz(j, "on_server_lost", hq_on_server_lost_word(v->on_server_lost));
    hq_json_key(j, "resources");
    hq_pools_json(v->pools, j);
    put_span_or_null(j, "time_limit", v->time_limit_ms);
    hq_json_put_str(j, "work_dir", v->work_dir);
    hq_json_object_end(j);
}

static void
runtime_json(const struct hq_worker_view *v, struct hq_json *j)
{
    if (!v->has_runtime) {
        hq_json_null(j);
        return;
    }
    hq_json_object(j);
    if (v->multi_node != 0) {
        hq_json_key(j, "MultiNodeTask");
        hq_json_object(j);
        hq_json_put_bool(j, "main_node", v->multi_node == 1);
    } else {
        hq_json_key(j, "SingleNodeTasks");
        hq_json_object(j);
        hq_json_put_u64(j, "assigned_tasks", v->assigned_tasks);
        hq_json_put_bool(j, "is_reserved", v->is_reserved);
        hq_json_put_u64(j, "running_tasks", v->running_tasks);
    }
    hq_json_object_end(j);
    hq_json_object_end(j);
}

static void
last_task_json(const struct hq_worker_view *v, struct hq_json *j)
{
    if (!v->has_last_task) {
        hq_json_null(j);
        return;
    }
    hq_json_object(j);
    hq_json_key(j, "task_id");
    hq_json_object(j);
    hq_json_put_u64(j, "job_id", v->last_job_id);
    hq_json_put_u64(j, "job_task_id", v->last_task_id);
    hq_json_object_end(j);
    hq_json_put_time(j, "time", v->last_task_at_ms);
    hq_json_object_end(j);
}

void
hq_worker_view_json(const struct hq_worker_view *v, struct hq_json *j)
{
    hq_json_object(j);
    hq_json_key(j, "allocation");
    if (v->manager == HQ_MANAGER_PBS || v->manager == HQ_MANAGER_SLURM) {
        hq_json_object(j);
        hq_json_put_str(j, "id", v->manager_job_id);
        hq_json_put_strz(j, "manager", v->manager == HQ_MANAGER_PBS ? "PBS" : "Slurm");
        hq_json_object_end(j);
    } else {
        hq_json_null(j);
    }
    hq_json_key(j, "configuration");
    configuration_json(v, j);
    hq_json_key(j, "ended");
    if (v->ended_at_ms == 0) {
        hq_json_null(j);
    } else {
        hq_json_object(j);
        hq_json_put_time(j, "at", v->ended_at_ms);
        hq_json_object_end(j);
    }
    hq_json_put_u64(j, "id", v->worker_id);
    hq_json_key(j, "last_task_started");
    last_task_json(v, j);
    hq_json_key(j, "runtime_info");
    runtime_json(v, j);
    hq_json_put_time(j, "started", v->started_at_ms);
    hq_json_object_end(j);
}

void
hq_worker_view_print_start(const struct hq_worker_view *v, struct hq_out *out)
{
    struct hq_json j;
    switch (out->mode) {
    case HQ_OUT_CLI:
        hq_worker_view_table(v, out);
        break;
    case HQ_OUT_JSON:
        hq_json_begin_document(&j, out);
        hq_json_array(&j);
        hq_worker_view_json(v, &j);
        hq_json_array_end(&j);
        hq_json_end_document(&j, out);
        break;
    case HQ_OUT_QUIET:
        break;
    }
}
