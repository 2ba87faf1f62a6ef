#include "hq/desc_print.h"

#include "common/eventjson_desc.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/request.h"
#include "hq/submit_args.h"

#include <stdio.h>
#include <stdlib.h>

/* Arguments beyond these bounds are not shown; tasks get them unchanged. */
#define SHOWN_ARGS_MAX 128u
#define SHOWN_ARG_BYTES_MAX 256u

/* ---- resources */

/* Weights are single floats in the reference: their shortest decimal form is what users know ("2.5", "429496.72"). */
static void
fmt_weight(struct hq_buf *b, uint64_t weight_x10000)
{
    float f = (float)weight_x10000 / 10000.0f;
    char text[32];
    for (int precision = 1; precision <= 9; precision++) {
        (void)snprintf(text, sizeof text, "%.*g", precision, (double)f);
        if (strtof(text, NULL) == f) {
            break;
        }
    }
    if (strchr(text, 'e') != NULL) {
        (void)snprintf(text, sizeof text, "%.4f", (double)f);
    }
    hq_buf_cstr(b, text);
}

/* A whole node has a cpu, nobody asked for it. */
static bool
is_implied(const Hq__RequestEntry *e)
{
    return hq_str_is(desc_str(e->name), "cpus") && e->policy == HQ__POLICY__POLICY_COMPACT && e->amount <= HQ_AMOUNT_ONE;
}

static void
fmt_variant(struct hq_buf *b, const Hq__Variant *v)
{
    bool is_first = v->n_nodes == 0;
    if (v->n_nodes > 0) {
        hq_buf_printf(b, "nodes: %u", v->n_nodes);
    }
    for (size_t ix = 0; ix < v->n_entries; ix++) {
        const Hq__RequestEntry *e = v->entries[ix];
        if (v->n_nodes > 0 && is_implied(e)) {
            continue;
        }
        hq_buf_printf(b, "%s%.*s: ", is_first ? "" : "\n", HQ_STR_FMT(desc_str(e->name)));
        hq_request_print_amount(e->amount, (enum hq_policy)e->policy, b);
        is_first = false;
    }
    if (v->weight != 0 && v->weight != 10000) {
        hq_buf_cstr(b, "\n[weight: ");
        fmt_weight(b, v->weight);
        hq_buf_byte(b, ']');
    }
}

void
desc_fmt_resources(struct hq_buf *b, const Hq__TaskDesc *d)
{
    size_t count = d->request != NULL ? d->request->n_variants : 0;
    for (size_t ix = 0; ix < count; ix++) {
        if (count > 1) {
            hq_buf_printf(b, "%s# Variant %zu\n", ix > 0 ? "\n\n" : "", ix + 1);
        }
        fmt_variant(b, d->request->variants[ix]);
    }
}

/* ---- command, environment, limits */

static size_t
shown_args(const Hq__TaskDesc *d)
{
    return HQ_MIN(d->n_args, (size_t)SHOWN_ARGS_MAX);
}

static struct hq_str
shown_arg(const Hq__TaskDesc *d, size_t ix, char *mem, size_t mem_bytes)
{
    struct hq_str arg = desc_str(d->args[ix]);
    if (arg.len <= SHOWN_ARG_BYTES_MAX) {
        return arg;
    }
    (void)snprintf(mem, mem_bytes, "<%zu bytes>", arg.len);
    return hq_str_from(mem);
}

void
desc_fmt_command(struct hq_buf *b, const Hq__TaskDesc *d)
{
    char mem[SHOWN_ARGS_MAX][32];
    struct hq_str args[SHOWN_ARGS_MAX];
    size_t count = shown_args(d);
    for (size_t ix = 0; ix < count; ix++) {
        args[ix] = shown_arg(d, ix, mem[ix], sizeof mem[ix]);
    }
    hq_fmt_command(b, args, count);
}

static void
fmt_ranks(struct hq_buf *b, const Hq__TaskDesc *d)
{
    const Hq__Mpi *m = d->mpi;
    if (m->ranks > 0) {
        hq_buf_printf(b, "%u", m->ranks);
    } else if (m->ranks_per_node > 0) {
        hq_buf_printf(b, "%u per node", m->ranks_per_node);
    } else {
        hq_buf_cstr(b, "as many as cpus allow");
    }
    if (m->cpus_per_rank > 0) {
        hq_buf_printf(b, ", %u cpu%s each", m->cpus_per_rank, m->cpus_per_rank == 1 ? "" : "s");
    }
    if (m->oversubscribe) {
        hq_buf_cstr(b, ", oversubscribed");
    }
    if (m->wire_up != HQ__MPI_WIRE_UP__MPI_WIRE_UP_ANY) {
        hq_buf_cstr(b, m->wire_up == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMIX ? ", PMIx" : ", PMI-1");
    }
}

void
desc_row_ranks(struct hq_table *t, const Hq__TaskDesc *d)
{
    if (d->mpi != NULL) {
        desc_row(t, "Ranks", fmt_ranks, d);
    }
}

static int
by_key(const void *pa, const void *pb)
{
    const Hq__EnvVar *const *a = pa;
    const Hq__EnvVar *const *b = pb;
    return hq_str_cmp(desc_str((*a)->key), desc_str((*b)->key));
}

static const Hq__EnvVar **
sorted_env(const Hq__TaskDesc *d)
{
    const Hq__EnvVar **v = hq_xcalloc(d->n_env + 1, sizeof *v);
    for (size_t ix = 0; ix < d->n_env; ix++) {
        v[ix] = d->env[ix];
    }
    qsort(v, d->n_env, sizeof *v, by_key);
    return v;
}

void
desc_fmt_env(struct hq_buf *b, const Hq__TaskDesc *d)
{
    const Hq__EnvVar **v = sorted_env(d);
    bool is_first = true;
    for (size_t ix = 0; ix < d->n_env; ix++) {
        struct hq_str key = desc_str(v[ix]->key);
        if (!hq_str_starts(key, HQ_STR("HQ_"))) {
            hq_buf_printf(b, "%s%.*s=%.*s", is_first ? "" : "\n", HQ_STR_FMT(key), HQ_STR_FMT(desc_str(v[ix]->value)));
            is_first = false;
        }
    }
    free(v);
}

void
desc_fmt_time_limit(struct hq_buf *b, const Hq__TaskDesc *d)
{
    if (d->time_limit_ms == 0) {
        hq_buf_cstr(b, "None");
    } else {
        hq_duration_print(b, hq_ns_from_ms((hq_ms)d->time_limit_ms));
    }
}

void
desc_fmt_crash_limit(struct hq_buf *b, const Hq__TaskDesc *d)
{
    if (d->crash_limit == SUBMIT_CRASH_NEVER) {
        hq_buf_cstr(b, "never-restart");
    } else if (d->crash_limit == SUBMIT_CRASH_UNLIMITED) {
        hq_buf_cstr(b, "unlimited");
    } else {
        hq_buf_u64(b, d->crash_limit);
    }
}

void
desc_row(struct hq_table *t, const char *label, void (*fmt)(struct hq_buf *, const Hq__TaskDesc *),
         const Hq__TaskDesc *d)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    fmt(&cell, d);
    hq_table_row(t, label, hq_buf_view(&cell), HQ_COLOR_NONE);
}

const char *
desc_pin_word(const Hq__TaskDesc *d)
{
    return d->pin == HQ__PIN_MODE__PIN_TASKSET ? "taskset" : d->pin == HQ__PIN_MODE__PIN_OMP ? "omp" : "none";
}

/* ---- JSON */

static void
json_request(struct hq_json *j, const Hq__RequestEntry *e)
{
    static const char *const keys[HQ_POLICIES] = {
        [HQ_POLICY_COMPACT] = "Compact", [HQ_POLICY_FORCE_COMPACT] = "ForceCompact",
        [HQ_POLICY_TIGHT] = "Tight",     [HQ_POLICY_FORCE_TIGHT] = "ForceTight",
        [HQ_POLICY_SCATTER] = "Scatter", [HQ_POLICY_ALL] = "All",
    };
    const char *key = (unsigned)e->policy < HQ_POLICIES ? keys[e->policy] : "Compact";
    hq_json_object(j);
    hq_json_key(j, "request");
    if (e->policy == HQ__POLICY__POLICY_ALL) {
        hq_json_strz(j, key);
    } else {
        hq_json_object(j);
        hq_json_put_u64(j, key, e->amount);
        hq_json_object_end(j);
    }
    hq_json_put_str(j, "resource", desc_str(e->name));
    hq_json_object_end(j);
}

/* The order of the reference: cpus, what workers detect, then names of the user's own. */
static int
rank(const Hq__RequestEntry *e)
{
    static const char *const first[] = {"cpus", "gpus/nvidia", "gpus/amd", "mem"};
    int ix = 0;
    while (ix < (int)HQ_ARRAY_LEN(first) && !hq_str_is(desc_str(e->name), first[ix])) {
        ix++;
    }
    return ix;
}

static void
json_variant(struct hq_json *j, const Hq__Variant *v)
{
    hq_json_object(j);
    hq_json_put_seconds(j, "min_time", (int64_t)v->min_time_ms);
    hq_json_put_u64(j, "n_nodes", v->n_nodes);
    hq_json_key(j, "resources");
    hq_json_array(j);
    for (int r = 0; r <= 4; r++) {
        for (size_t ix = 0; ix < v->n_entries; ix++) {
            if (rank(v->entries[ix]) == r) {
                json_request(j, v->entries[ix]);
            }
        }
    }
    hq_json_array_end(j);
    hq_json_put_u64(j, "weight", v->weight != 0 ? v->weight : 10000);
    hq_json_object_end(j);
}

static void
json_stdio(struct hq_json *j, const char *key, const Hq__Stdio *io, enum paths_stdio kind, const struct path *path,
           const char *graph_default, bool is_graph)
{
    hq_json_key(j, key);
    if (kind != PATHS_FILE) {
        hq_json_strz(j, kind == PATHS_NONE ? NULL : "<pipe>");
        return;
    }
    if (is_graph) {
        hq_json_str(j, io != NULL && io->path.len > 0 ? desc_str(io->path) : hq_str_from(graph_default));
        return;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    paths_fmt_shown(&b, path);
    hq_json_str(j, hq_buf_view(&b));
}

static void
json_program(struct hq_json *j, const Hq__TaskDesc *d, const struct paths *p, bool is_graph)
{
    hq_json_object(j);
    hq_json_key(j, "args");
    hq_json_array(j);
    for (size_t ix = 0; ix < shown_args(d); ix++) {
        char mem[32];
        hq_json_str(j, shown_arg(d, ix, mem, sizeof mem));
    }
    hq_json_array_end(j);
    HQ_AUTO(hq_buf_fini) struct hq_buf cwd = HQ_BUF_INIT;
    if (is_graph && d->cwd.len > 0) {
        hq_buf_str(&cwd, desc_str(d->cwd));
    } else {
        paths_fmt_shown(&cwd, &p->cwd);
    }
    hq_json_put_str(j, "cwd", hq_buf_view(&cwd));
    hq_json_key(j, "env");
    hq_json_object(j);
    const Hq__EnvVar **env = sorted_env(d);
    for (size_t ix = 0; ix < d->n_env; ix++) {
        if (ix == 0 || !hq_str_eq(desc_str(env[ix - 1]->key), desc_str(env[ix]->key))) {
            hq_json_key_str(j, desc_str(env[ix]->key));
            hq_json_str(j, desc_str(env[ix]->value));
        }
    }
    hq_json_object_end(j);
    free(env);
    json_stdio(j, "stderr", d->stderr, p->stderr_kind, &p->to_stderr, "%{CWD}/job-%{JOB_ID}/%{TASK_ID}.stderr",
               is_graph);
    json_stdio(j, "stdout", d->stdout, p->stdout_kind, &p->to_stdout, "%{CWD}/job-%{JOB_ID}/%{TASK_ID}.stdout",
               is_graph);
    hq_json_object_end(j);
}

void
desc_json(struct hq_json *j, const Hq__TaskDesc *d, const struct paths *p, bool is_graph)
{
    hq_json_object(j);
    hq_json_key(j, "crash_limit");
    if (d->crash_limit == SUBMIT_CRASH_NEVER) {
        hq_json_strz(j, "never-restart");
    } else if (d->crash_limit == SUBMIT_CRASH_UNLIMITED) {
        hq_json_strz(j, "unlimited");
    } else {
        hq_json_u64(j, d->crash_limit);
    }
    hq_json_put_mpi(j, d->mpi);
    hq_json_put_strz(j, "pin_mode",
                     d->pin == HQ__PIN_MODE__PIN_TASKSET ? "taskset"
                     : d->pin == HQ__PIN_MODE__PIN_OMP   ? "openmp"
                                                         : NULL);
    hq_json_put_i64(j, "priority", d->priority);
    hq_json_key(j, "program");
    json_program(j, d, p, is_graph);
    hq_json_key(j, "resources");
    hq_json_array(j);
    for (size_t ix = 0; d->request != NULL && ix < d->request->n_variants; ix++) {
        json_variant(j, d->request->variants[ix]);
    }
    hq_json_array_end(j);
    hq_json_put_bool(j, "task_dir", d->task_dir);
    hq_json_key(j, "time_limit");
    if (d->time_limit_ms == 0) {
        hq_json_null(j);
    } else {
        hq_json_seconds(j, (int64_t)d->time_limit_ms);
    }
    hq_json_object_end(j);
}
