#include "hq/submit_build.h"

#include "common/limits.h"
#include "common/placeholder.h"
#include "hq/desc_print.h"
#include "hq/selector_wire.h"
#include "hq/submit_mpi.h"

#include <stdlib.h>

static bool
is_given(const struct submit_input *in, const char *name)
{
    return submit_args_given(in->given, name);
}

/* ---- resources */

/* The request of command line and directives, checked. */
static int
make_variant(struct hq_variant *ret, const struct submit_input *in, struct hq_arena *arena, struct hq_err *err)
{
    const struct submit_args *a = in->args;
    bool has_cpus = false;
    for (size_t ix = 0; ix < a->resources.count; ix++) {
        has_cpus = has_cpus || hq_str_is(a->resources.v[ix].name, "cpus");
    }
    if (has_cpus && is_given(in, "cpus")) {
        return hq_err_set(err, -EINVAL, "--cpus and --resource cpus=... cannot be combined");
    }
    struct hq_variant v = {
        .entries = hq_arena_array(arena, a->resources.count + 1, sizeof *v.entries),
        .n_nodes = a->nodes,
        .min_time_ms = a->time_request_ms,
        .weight_x10000 = is_given(in, "weight") ? a->weight_x10000 : 10000,
    };
    for (size_t ix = 0; ix < a->resources.count; ix++) {
        v.entries[v.entry_count++] = a->resources.v[ix];
    }
    if (is_given(in, "cpus")) {
        v.entries[v.entry_count++] =
            (struct hq_request_entry){.name = HQ_STR("cpus"), .amount = a->cpus.amount, .policy = a->cpus.policy};
    } else if (!has_cpus) {
        v.entries[v.entry_count++] =
            (struct hq_request_entry){.name = HQ_STR("cpus"),
                                      .amount = a->nodes > 0 ? HQ_AMOUNT_ONE : submit_mpi_cpus(&a->mpi),
                                      .policy = HQ_POLICY_COMPACT};
    }
    int rc = hq_variant_sort(&v, err);
    if (rc == 0) {
        rc = hq_request_check(&(struct hq_request){.variants = &v, .variant_count = 1}, err);
    }
    if (rc == 0) {
        rc = hq_mpi_check(&a->mpi, &v, err);
    }
    if (rc == 0) {
        *ret = v;
    }
    return rc;
}

static Hq__Variant *
variant_wire(const struct hq_variant *v, struct hq_arena *arena)
{
    Hq__Variant *w = hq_arena_alloc(arena, sizeof *w);
    hq__variant__init(w);
    w->n_nodes = v->n_nodes;
    w->min_time_ms = (uint64_t)v->min_time_ms;
    w->weight = v->weight_x10000;
    w->n_entries = v->entry_count;
    w->entries = hq_arena_array(arena, v->entry_count, sizeof *w->entries);
    for (size_t ix = 0; ix < v->entry_count; ix++) {
        Hq__RequestEntry *e = hq_arena_alloc(arena, sizeof *e);
        hq__request_entry__init(e);
        e->name = desc_bytes(v->entries[ix].name);
        e->amount = v->entries[ix].amount;
        e->policy = (Hq__Policy)v->entries[ix].policy;
        w->entries[ix] = e;
    }
    return w;
}
_Static_assert((int)HQ_POLICY_ALL == HQ__POLICY__POLICY_ALL && (int)HQ_POLICY_SCATTER == HQ__POLICY__POLICY_SCATTER &&
                   (int)HQ_POLICY_TIGHT == HQ__POLICY__POLICY_TIGHT,
               "policies have the numbers of the wire");
_Static_assert((int)SUBMIT_PIN_OMP == HQ__PIN_MODE__PIN_OMP && (int)SUBMIT_PIN_TASKSET == HQ__PIN_MODE__PIN_TASKSET,
               "pin modes have the numbers of the wire");

Hq__Request *
submit_request_wire(const struct hq_request *r, struct hq_arena *arena)
{
    Hq__Request *w = hq_arena_alloc(arena, sizeof *w);
    hq__request__init(w);
    w->n_variants = r->variant_count;
    w->variants = hq_arena_array(arena, r->variant_count, sizeof *w->variants);
    for (size_t ix = 0; ix < r->variant_count; ix++) {
        w->variants[ix] = variant_wire(&r->variants[ix], arena);
    }
    return w;
}

/* ---- description */

struct env_row {
    struct submit_env_var var;
    size_t order;
};

static int
by_key_then_order(const void *pa, const void *pb)
{
    const struct env_row *a = pa;
    const struct env_row *b = pb;
    int c = hq_str_cmp(a->var.key, b->var.key);
    return c != 0 ? c : (a->order > b->order) - (a->order < b->order);
}

void
submit_env_wire(Hq__TaskDesc *desc, const struct submit_env *env, struct hq_arena *arena, bool *ret_twice)
{
    struct env_row *rows = hq_arena_array(arena, env->count + 1, sizeof *rows);
    for (size_t ix = 0; ix < env->count; ix++) {
        rows[ix] = (struct env_row){.var = env->v[ix], .order = ix};
    }
    qsort(rows, env->count, sizeof *rows, by_key_then_order);
    desc->env = hq_arena_array(arena, env->count + 1, sizeof *desc->env);
    *ret_twice = false;
    for (size_t ix = 0; ix < env->count; ix++) {
        if (ix + 1 < env->count && hq_str_eq(rows[ix].var.key, rows[ix + 1].var.key)) {
            *ret_twice = true;
            continue;
        }
        Hq__EnvVar *v = hq_arena_alloc(arena, sizeof *v);
        hq__env_var__init(v);
        v->key = desc_bytes(rows[ix].var.key);
        v->value = desc_bytes(rows[ix].var.value);
        desc->env[desc->n_env++] = v;
    }
}

Hq__Stdio *
submit_stdio_wire(const struct submit_stdio *io, bool is_set, bool is_streamed, struct hq_arena *arena)
{
    Hq__Stdio *w = hq_arena_alloc(arena, sizeof *w);
    hq__stdio__init(w);
    if (!is_set) {
        w->kind = is_streamed ? HQ__STDIO_KIND__STDIO_STREAM : HQ__STDIO_KIND__STDIO_FILE;
        return w;
    }
    w->kind = io->is_none ? HQ__STDIO_KIND__STDIO_NONE : HQ__STDIO_KIND__STDIO_FILE;
    w->path = desc_bytes(io->path);
    w->remove_if_finished = io->remove_if_finished;
    return w;
}

int
submit_check_cwd(struct hq_str cwd, struct hq_err *err)
{
    if ((hq_placeholder_bits(cwd) & HQ_PH_BIT(HQ_PH_CWD)) != 0) {
        return hq_err_set(err, -EINVAL,
                          "Working directory path cannot contain the working directory placeholder `%%{CWD}`.");
    }
    return 0;
}

static int
check_size(const Hq__TaskDesc *desc, struct hq_err *err)
{
    size_t bytes = 0;
    for (size_t ix = 0; ix < desc->n_args; ix++) {
        bytes += desc->args[ix].len + 1;
    }
    for (size_t ix = 0; ix < desc->n_env; ix++) {
        bytes += desc->env[ix]->key.len + desc->env[ix]->value.len + 2;
    }
    if (bytes > HQ_ARGS_BYTES_MAX) {
        return hq_err_set(err, -E2BIG, "Arguments and environment have %zu bytes; at most %u are possible", bytes,
                          HQ_ARGS_BYTES_MAX);
    }
    return 0;
}

static int
make_desc(Hq__TaskDesc **ret, const struct submit_input *in, struct hq_arena *arena, struct hq_err *err)
{
    const struct submit_args *a = in->args;
    struct hq_variant variant;
    int rc = make_variant(&variant, in, arena, err);
    if (rc < 0) {
        return rc;
    }
    Hq__TaskDesc *d = hq_arena_alloc(arena, sizeof *d);
    hq__task_desc__init(d);
    d->args = hq_arena_array(arena, in->command_count, sizeof *d->args);
    for (size_t ix = 0; ix < in->command_count; ix++) {
        d->args[d->n_args++] = desc_bytes(in->command[ix]);
    }
    bool is_twice;
    submit_env_wire(d, &a->env, arena, &is_twice);
    d->cwd = desc_bytes(a->cwd);
    bool is_streamed = is_given(in, "stream");
    d->stdout = submit_stdio_wire(&a->to_stdout, is_given(in, "stdout"), is_streamed, arena);
    d->stderr = submit_stdio_wire(&a->to_stderr, is_given(in, "stderr"), is_streamed, arena);
    d->pin = (Hq__PinMode)a->pin;
    d->task_dir = a->task_dir;
    /* 0 means none on the wire: a limit of no time at all is the shortest there is. */
    d->time_limit_ms = is_given(in, "time-limit") ? (uint64_t)HQ_MAX(a->time_limit_ms, 1) : 0;
    d->priority = a->priority;
    d->crash_limit = a->crash_limit;
    d->request = submit_request_wire(&(struct hq_request){.variants = &variant, .variant_count = 1}, arena);
    d->has_stdin = in->has_stdin;
    d->mpi = submit_mpi_wire(&a->mpi, arena);
    *ret = d;
    return check_size(d, err);
}

/* ---- request */

struct hq_str
submit_default_name(struct hq_str program)
{
    struct hq_str s = program;
    while (hq_str_ends(s, HQ_STR("/")) || hq_str_ends(s, HQ_STR("/."))) {
        s = hq_str_sub(s, 0, s.len - 1);
    }
    size_t from = s.len;
    while (from > 0 && s.ptr[from - 1] != '/') {
        from--;
    }
    s = hq_str_sub(s, from, s.len);
    bool is_none = s.len == 0 || hq_str_is(s, ".") || hq_str_is(s, "..");
    return is_none ? HQ_STR("job") : s;
}

int
submit_check(const struct submit_input *in, struct hq_arena *arena, struct hq_err *err)
{
    static const char *const of_job[] = {"name", "max-fails"};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(of_job) && is_given(in, "job"); ix++) {
        if (is_given(in, of_job[ix])) {
            return hq_err_set(err, -EINVAL, "Parameter --%s is not allowed when submitting to an open job.",
                              of_job[ix]);
        }
    }
    struct hq_variant unused;
    int rc = submit_check_name(in->args->name, err);
    if (rc == 0) {
        rc = submit_mpi_check(in, err);
    }
    if (rc == 0) {
        rc = make_variant(&unused, in, arena, err);
    }
    return rc;
}

int
submit_build(Hq__Submit **ret, const struct submit_input *in, struct hq_arena *arena, struct hq_err *err)
{
    const struct submit_args *a = in->args;
    Hq__TaskDesc *desc = NULL;
    int rc = submit_check_cwd(a->cwd, err);
    if (rc == 0) {
        rc = make_desc(&desc, in, arena, err);
    }
    if (rc < 0) {
        return rc;
    }
    Hq__SubmitPart *part = hq_arena_alloc(arena, sizeof *part);
    hq__submit_part__init(part);
    part->descs = hq_arena_array(arena, 1, sizeof *part->descs);
    part->descs[0] = desc;
    part->n_descs = 1;
    Hq__Submit *s = hq_arena_alloc(arena, sizeof *s);
    hq__submit__init(s);
    s->job = is_given(in, "job") ? a->job : 0;
    s->name = desc_bytes(is_given(in, "name") ? a->name : submit_default_name(a->command.v[0]));
    if (s->job == 0) {
        s->has_max_fails = is_given(in, "max-fails");
        s->max_fails = a->max_fails;
    }
    s->submit_dir = desc_bytes(in->submit_dir);
    s->stream_dir = desc_bytes(a->stream);
    s->part = part;
    if (!in->has_entries && is_given(in, "array")) {
        part->ids = selector_ranges_wire(&a->array, arena);
    } else if (!in->has_entries) {
        s->auto_count = 1;
    }
    *ret = s;
    return 0;
}

/* ---- warnings */

static void
warn(struct hq_strv *ret, struct hq_arena *arena, const char *text)
{
    hq_arena_grow(arena, &ret->v, &ret->cap, ret->count + 1, sizeof *ret->v);
    ret->v[ret->count++] = hq_str_from(text);
}

void
submit_warn_unknown(struct hq_strv *ret, struct hq_str path, uint32_t allowed, const char *what, struct hq_arena *arena)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf names = HQ_BUF_INIT;
    struct hq_str name;
    size_t count = 0;
    for (size_t at = 0; hq_placeholder_next_unknown(path, allowed, &at, &name); count++) {
        hq_buf_printf(&names, "%s`%.*s`", count > 0 ? ", " : "", HQ_STR_FMT(name));
    }
    if (count > 0) {
        warn(ret, arena,
             hq_arena_printf(arena, "Found unknown placeholder%s %s in %s", count > 1 ? "s" : "", names.ptr, what));
    }
}

/* Does the output go to files, and to which? */
static bool
is_file(const struct submit_input *in, const struct submit_stdio *io, const char *option)
{
    return is_given(in, option) ? !io->is_none : !is_given(in, "stream");
}

static void
warn_files(struct hq_strv *ret, const struct submit_input *in, uint64_t task_count, struct hq_arena *arena)
{
    bool has_out = is_file(in, &in->args->to_stdout, "stdout");
    bool has_err = is_file(in, &in->args->to_stderr, "stderr");
    uint64_t count = task_count * ((uint64_t)has_out + (uint64_t)has_err);
    if (task_count < 2 || count <= 999 || is_given(in, "stream")) {
        return;
    }
    warn(ret, arena,
         hq_arena_printf(arena,
                         "The job will create %llu files for %s%s%s. Consider using the `--stream` option to stream "
                         "all outputs into a single file",
                         (unsigned long long)count, has_out ? "stdout" : "", has_out && has_err ? " and " : "",
                         has_err ? "stderr" : ""));
}

static void
warn_same_file(struct hq_strv *ret, const struct submit_input *in, const struct submit_stdio *io, const char *option,
               struct hq_arena *arena)
{
    uint32_t task_bit = HQ_PH_BIT(HQ_PH_TASK_ID);
    bool has_task =
        (hq_placeholder_bits(io->path) & task_bit) != 0 || (hq_placeholder_bits(in->args->cwd) & task_bit) != 0;
    if (is_given(in, option) && !io->is_none && io->path.len > 0 && !has_task) {
        warn(ret, arena,
             hq_arena_printf(
                 arena,
                 "You have submitted an array job, but the `%s` path does not contain the task ID placeholder.\n"
                 "Individual tasks might thus overwrite the file. Consider adding `%%{TASK_ID}` to the `--%s` value.",
                 option, option));
    }
}

void
submit_warnings(struct hq_strv *ret, const struct submit_input *in, uint64_t task_count, struct hq_arena *arena)
{
    const struct submit_args *a = in->args;
    warn_files(ret, in, task_count, arena);
    if (task_count >= 2) {
        warn_same_file(ret, in, &a->to_stdout, "stdout", arena);
        warn_same_file(ret, in, &a->to_stderr, "stderr", arena);
    }
    submit_warn_unknown(ret, a->to_stdout.path, HQ_PH_IN_STDIO, "stdout path", arena);
    submit_warn_unknown(ret, a->to_stderr.path, HQ_PH_IN_STDIO, "stderr path", arena);
    submit_warn_unknown(ret, a->stream, HQ_PH_IN_STREAM, "log path", arena);
    submit_warn_unknown(ret, a->cwd, HQ_PH_IN_CWD, "working directory path", arena);
    Hq__TaskDesc unused = HQ__TASK_DESC__INIT;
    bool is_twice;
    submit_env_wire(&unused, &a->env, arena, &is_twice);
    if (is_twice) {
        warn(ret, arena, "Some environment variables were ignored. Check if you haven't used duplicate keys.");
    }
    if (is_given(in, "on-notify") && !a->wait && !a->progress) {
        warn(ret, arena, "The option `--on-notify` has no effect without `--wait` or `--progress`.");
    }
    if (is_given(in, "each-line") && !is_given(in, "array") && task_count == 0) {
        warn(ret, arena,
             hq_arena_printf(arena, "The file %.*s is empty: the job has no tasks", HQ_STR_FMT(a->each_line)));
    }
}
