/* alloc add: options to a queue's parameters. Values are checked as the worker will check them, so that a queue whose
 * workers could never start is refused here. */
#include "hq/cmd_alloc.h"

#include "common/num.h"

static struct hq_opt const *
worker_row(const char *name)
{
    for (size_t i = 0; i < HQ_WORKER_START_OPTS; i++) {
        if (strcmp(hq_worker_start_opts[i].name, name) == 0) {
            return &hq_worker_start_opts[i];
        }
    }
    HQ_ASSERT(name == NULL); /* the row exists */
    return NULL;
}

/* Text as typed, when the worker's own parser takes it. */
static int
parse_as_worker(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    max_align_t scratch[16];
    const struct hq_opt *row = worker_row(opt->name);
    int rc = row->parse(opt->values == NULL ? row : opt, value, scratch, arena, err);
    if (rc == 0) {
        *(struct hq_str *)target = value;
    }
    return rc;
}

static int
parse_cpus(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    struct alloc_pool_text *t = target;
    int rc = hq_pool_parse(&t->pool, HQ_STR("cpus"), value, true, arena, err);
    t->text = value;
    return rc;
}

static int
parse_resource(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    struct alloc_pool_texts *list = target;
    struct alloc_pool_text t = {.text = value};
    int rc = hq_pool_parse_def(&t.pool, value, arena, err);
    if (rc == 0) {
        hq_arena_grow(arena, &list->v, &list->cap, list->count + 1, sizeof *list->v);
        list->v[list->count++] = t;
    }
    return rc;
}

static int
parse_utilization(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                  struct hq_err *err)
{
    return worker_row(opt->name)->parse(opt, value, target, arena, err);
}

/* A number of workers that is at least 1. */
static int
parse_positive(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    uint32_t v;
    int rc = hq_opt_id(opt, value, &v, arena, err);
    if (rc < 0) {
        return rc;
    }
    if (v == 0) {
        return hq_err_set(err, -EINVAL, "%s has to be at least 1",
                          opt->short_name == 'b' ? "Backlog" : "Max workers per allocation");
    }
    *(uint32_t *)target = v;
    return 0;
}

static const char *const lost_words[] = {"stop", "finish-running", NULL, "reconnect", NULL};

#define A(field) offsetof(struct alloc_add_args, field)

const struct hq_opt alloc_add_opts[ALLOC_ADD_OPTS] = {
    {.name = "time-limit",
     .short_name = 't',
     .parse = hq_opt_span,
     .at = A(time_limit_ms),
     .flags = HQ_OPT_REQUIRED,
     .help = "Walltime of each allocation."},
    {.name = "backlog",
     .short_name = 'b',
     .parse = parse_positive,
     .at = A(backlog),
     .def = "1",
     .help = "Most allocations that wait in the batch system at once."},
    {.name = "max-workers-per-alloc",
     .short_name = 'm',
     .parse = parse_positive,
     .at = A(max_workers_per_alloc),
     .def = "1",
     .help = "Most nodes of one allocation."},
    {.name = "max-worker-count",
     .parse = hq_opt_u32,
     .at = A(max_worker_count),
     .help = "Most workers of the queue, waiting and running; no limit unless given."},
    {.name = "name",
     .short_name = 'n',
     .parse = hq_opt_str,
     .at = A(name),
     .help = "Stands in names of batch jobs and directories."},
    {.name = "cpus", .parse = parse_cpus, .at = A(cpus), .help = "CPUs of each worker, as in worker start."},
    {.name = "resource",
     .parse = parse_resource,
     .at = A(resources),
     .flags = HQ_OPT_REPEAT,
     .help = "Another resource of each worker, as in worker start."},
    {.name = "coupling",
     .parse = hq_opt_str,
     .at = A(coupling),
     .help = "Groups that lie together, as in worker start."},
    {.name = "group",
     .parse = hq_opt_str,
     .at = A(group),
     .help = "Group of the workers; the allocation's ID unless given."},
    {.name = "detect-resources",
     .parse = parse_as_worker,
     .at = A(detect),
     .flags = HQ_OPT_RAW_USAGE,
     .help = "What workers detect: all, none, or a list of cpus,mem,gpus/nvidia,gpus/amd."},
    {.name = "no-hyper-threading",
     .at = A(no_hyper_threading),
     .help = "Workers use one hardware thread of each core."},
    {.name = "overview-interval",
     .parse = parse_as_worker,
     .at = A(overview),
     .help = "Period of hardware readings of the workers, with a unit (10s)."},
    {.name = "min-utilization",
     .parse = parse_utilization,
     .at = A(min_utilization_x10000),
     .def = "0",
     .help = "A worker counts as wanted, and gets tasks, only if at least this part of its CPUs is used (0.0 to 1.0)."},
    {.name = "idle-timeout",
     .parse = hq_opt_span,
     .at = A(idle_timeout_ms),
     .def = "5m",
     .help = "Workers without a task for that long stop, and give their node back."},
    {.name = "on-server-lost",
     .parse = parse_as_worker,
     .at = A(on_server_lost),
     .values = lost_words,
     .def = "finish-running",
     .flags = HQ_OPT_MORE_WORDS,
     .help = "What happens to running tasks when the server is gone."},
    {.name = "worker-time-limit",
     .parse = hq_opt_span,
     .at = A(worker_time_limit_ms),
     .help = "Workers stop after that long; the allocation's time limit unless given."},
    {.name = "worker-start-cmd", .parse = hq_opt_str, .at = A(start_cmd), .help = "Shell command before each worker."},
    {.name = "worker-stop-cmd",
     .parse = hq_opt_str,
     .at = A(stop_cmd),
     .help = "Shell command after each worker; it may not get to run when the allocation is killed."},
    {.name = "worker-wrap-cmd", .parse = hq_opt_str, .at = A(wrap_cmd), .help = "Words put before `hq worker start`."},
    {.name = "no-dry-run", .at = A(no_dry_run), .help = "Does not submit and cancel a trial allocation first."},
    {.name = "lead-time",
     .parse = hq_opt_span,
     .at = A(lead_time_ms),
     .help = "Submits the next allocation that long before one ends while work goes on; off unless given."},
    {.name = "keep-warm",
     .parse = hq_opt_u32,
     .at = A(keep_warm),
     .help = "Workers that are there whatever the demand; none unless given."},
    {.name = "compact",
     .at = A(compact),
     .help = "Gathers work on the workers with the least time left, so that others go idle and are given back."},
    {.name = "timelimit", .parse = hq_opt_span, .at = A(time_limit_ms), .flags = HQ_OPT_OLD, .instead = "--time-limit"},
    {.name = "workers-per-alloc",
     .short_name = 'w',
     .parse = parse_positive,
     .at = A(max_workers_per_alloc),
     .flags = HQ_OPT_OLD,
     .instead = "--max-workers-per-alloc"},
    {.name = "wrap-worker-cmd",
     .parse = hq_opt_str,
     .at = A(wrap_cmd),
     .flags = HQ_OPT_OLD,
     .instead = "--worker-wrap-cmd"},
    {.name = "ADDITIONAL_ARGS",
     .parse = hq_opt_strv,
     .at = A(extra),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REPEAT,
     .help = "Options for the batch system, as they stand in its script."},
};

/* ---- the message */
static ProtobufCBinaryData
bytes_of(struct hq_str s)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)s.ptr, .len = s.len};
}

struct words {
    struct hq_arena *arena;
    ProtobufCBinaryData *v;
    size_t count;
    size_t cap;
};

static void
add_word(struct words *w, const char *word)
{
    hq_arena_grow(w->arena, &w->v, &w->cap, w->count + 1, sizeof *w->v);
    w->v[w->count++] = bytes_of(hq_str_from(word));
}

/* "text" for a shell, whatever is in it. */
static const char *
quoted(struct hq_str text, struct hq_arena *arena)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_buf_byte(&b, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("\"\\$`", text.ptr[i]) != NULL) {
            hq_buf_byte(&b, '\\');
        }
        hq_buf_byte(&b, text.ptr[i]);
    }
    hq_buf_byte(&b, '"');
    return hq_arena_strz(arena, hq_buf_view(&b));
}

/* Bare when that is safe, as the reference writes it. */
static const char *
bare(struct hq_str text, struct hq_arena *arena)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@%,";
    bool is_safe = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        is_safe = is_safe && text.ptr[i] != '\0' && strchr(safe, text.ptr[i]) != NULL;
    }
    return is_safe ? hq_arena_strz(arena, text) : quoted(text, arena);
}

static const char *
span(int64_t ms, struct hq_arena *arena)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_duration_print(&b, hq_ns_from_ms(ms));
    return quoted(hq_buf_view(&b), arena);
}

static void
add_value(struct words *w, const char *option, const char *value)
{
    add_word(w, option);
    add_word(w, value);
}

static void
worker_args(Hq__AllocParams *ret, const struct alloc_add_args *a, struct hq_arena *arena)
{
    struct words w = {.arena = arena};
    if (a->cpus.text.len > 0) {
        add_value(&w, "--cpus", quoted(a->cpus.text, arena));
    }
    for (size_t i = 0; i < a->resources.count; i++) {
        add_value(&w, "--resource", quoted(a->resources.v[i].text, arena));
    }
    if (a->coupling.len > 0) {
        add_value(&w, "--coupling", quoted(a->coupling, arena));
    }
    if (a->group.len > 0) {
        add_value(&w, "--group", bare(a->group, arena));
    }
    if (a->no_hyper_threading) {
        add_word(&w, "--no-hyper-threading");
    }
    if (a->detect.len > 0) {
        add_value(&w, "--detect-resources", bare(a->detect, arena));
    }
    if (a->overview.len > 0) {
        add_value(&w, "--overview-interval", quoted(a->overview, arena));
    }
    if (a->min_utilization_x10000 > 0) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_num_x10000_print(&b, a->min_utilization_x10000);
        add_value(&w, "--min-utilization", hq_arena_strz(arena, hq_buf_view(&b)));
    }
    add_value(&w, "--on-server-lost", quoted(a->on_server_lost, arena));
    add_value(&w, "--time-limit",
              span(a->worker_time_limit_ms > 0 ? a->worker_time_limit_ms : a->time_limit_ms, arena));
    ret->worker_args = w.v;
    ret->n_worker_args = w.count;
}

/* ---- what must not stand in the script */
static int
check_name(struct hq_str name, struct hq_err *err)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == 127 || strchr("/\\\"'`$", c) != NULL) {
            return hq_err_set(err, -EINVAL,
                              "The name of a queue may not hold blanks, quotes, slashes or control characters");
        }
    }
    return name.len > 200 ? hq_err_set(err, -EINVAL, "The name of a queue is over 200 bytes") : 0;
}

static bool
is_option(struct hq_str word, const char *name)
{
    size_t len = strlen(name);
    return hq_str_starts(word, hq_str_from(name)) && (word.len == len || word.ptr[len] == '=');
}

static bool
sets_nodes_or_time(struct hq_str word, struct hq_str before, bool is_pbs)
{
    if (!is_pbs) {
        bool is_short = word.len >= 2 && word.ptr[0] == '-' && (word.ptr[1] == 'N' || word.ptr[1] == 't');
        return is_short || is_option(word, "--nodes") || is_option(word, "--time");
    }
    struct hq_str list = HQ_STR_NULL;
    if (hq_str_is(before, "-l")) {
        list = word;
    } else if (hq_str_starts(word, HQ_STR("-l")) && word.len > 2) {
        list = hq_str_sub(word, 2, word.len);
    }
    for (bool has_more = list.len > 0; has_more;) {
        struct hq_str item;
        has_more = hq_str_split(&list, ',', &item);
        item = hq_str_trim(item);
        if (is_option(item, "select") || is_option(item, "nodes") || is_option(item, "walltime")) {
            return true;
        }
    }
    return false;
}

/* Both batch systems read quotes in directive lines as a shell does. */
static bool
is_quoting_open(struct hq_str word, char *quote)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        if (c == '\\' && *quote != '\'') {
            if (++i == word.len) {
                return true; /* it would take the next blank, or the end of the line */
            }
        } else if (*quote == 0 && (c == '"' || c == '\'')) {
            *quote = c;
        } else if (c == *quote) {
            *quote = 0;
        }
    }
    return false;
}

static int
check_extra(const struct alloc_add_args *a, bool is_pbs, struct hq_err *err)
{
    struct hq_str before = HQ_STR_NULL;
    char quote = 0;
    for (size_t i = 0; i < a->extra.count; i++) {
        struct hq_str word = a->extra.v[i];
        if (hq_str_find_byte(word, '\n') >= 0) {
            return hq_err_set(err, -EINVAL, "An argument of the batch system holds a newline");
        }
        if (sets_nodes_or_time(word, before, is_pbs)) {
            return hq_err_set(err, -EINVAL,
                              "The argument `%.*s` sets the number of nodes or the time limit. Use "
                              "--max-workers-per-alloc and --time-limit instead",
                              HQ_STR_FMT(word));
        }
        if (is_quoting_open(word, &quote)) {
            quote = '\\';
            break;
        }
        before = word;
    }
    if (quote != 0) {
        return hq_err_set(err, -EINVAL, "The arguments of the batch system hold a quote without its end");
    }
    return 0;
}

static int
describe(Hq__AllocParams *ret, const struct alloc_add_args *a, struct hq_arena *arena, struct hq_err *err)
{
    struct hq_pools pools = {.v = hq_arena_array(arena, a->resources.count + 1, sizeof *pools.v)};
    if (a->cpus.text.len > 0 && a->cpus.pool.kind == HQ_POOL_SUM) {
        return hq_err_set(err, -EINVAL, "Resource kind `sum` cannot be used with CPUs. CPUs must have identity");
    }
    if (a->cpus.text.len > 0) {
        pools.v[pools.count++] = a->cpus.pool;
    }
    for (size_t i = 0; i < a->resources.count; i++) {
        if (a->cpus.text.len > 0 && hq_str_is(a->resources.v[i].pool.name, "cpus")) {
            return hq_err_set(err, -EINVAL, "Parameters --cpus and --resource cpus=... cannot be combined");
        }
        pools.v[pools.count++] = a->resources.v[i].pool;
    }
    if (pools.count == 0) {
        return 0;
    }
    int rc = hq_pools_sort(&pools, err);
    if (rc == 0 && a->coupling.len > 0) {
        struct hq_pools checked = pools;
        rc = hq_coupling_parse(&checked, a->coupling, arena, err);
    }
    if (rc < 0) {
        return rc;
    }
    ret->pools = hq_arena_alloc(arena, sizeof *ret->pools);
    hq__pools__init(ret->pools);
    ret->pools->pools = hq_arena_array(arena, pools.count, sizeof *ret->pools->pools);
    for (size_t i = 0; i < pools.count; i++) {
        const struct hq_pool *p = &pools.v[i];
        Hq__Pool *m = hq_arena_alloc(arena, sizeof *m);
        hq__pool__init(m);
        m->name = bytes_of(p->name);
        m->kind = (Hq__PoolKind)p->kind;
        m->range_first = p->range_first;
        m->range_last = p->range_last;
        m->sum = p->sum;
        m->n_groups = p->group_count;
        m->groups = hq_arena_array(arena, p->group_count, sizeof *m->groups);
        for (size_t g = 0; g < p->group_count; g++) {
            m->groups[g] = hq_arena_alloc(arena, sizeof *m->groups[g]);
            hq__pool_group__init(m->groups[g]);
            m->groups[g]->n_values = p->groups[g].count;
            m->groups[g]->values = hq_arena_array(arena, p->groups[g].count, sizeof *m->groups[g]->values);
            for (size_t k = 0; k < p->groups[g].count; k++) {
                m->groups[g]->values[k] = bytes_of(p->groups[g].values[k]);
            }
        }
        ret->pools->pools[ret->pools->n_pools++] = m;
    }
    return 0;
}

int
alloc_build(Hq__AllocParams *ret, const struct alloc_add_args *a, bool is_pbs, struct hq_arena *arena,
            struct hq_err *err)
{
    hq__alloc_params__init(ret);
    if (a->time_limit_ms <= 0) {
        return hq_err_set(err, -EINVAL, "The time limit of a queue cannot be zero");
    }
    if (a->worker_time_limit_ms > a->time_limit_ms) {
        return hq_err_set(err, -EINVAL, "Worker time limit cannot be larger than queue time limit");
    }
    int rc = check_name(a->name, err);
    if (rc == 0) {
        rc = check_extra(a, is_pbs, err);
    }
    if (rc == 0) {
        rc = describe(ret, a, arena, err);
    }
    ret->manager = is_pbs ? HQ__MANAGER__MANAGER_PBS : HQ__MANAGER__MANAGER_SLURM;
    ret->time_limit_ms = (uint64_t)a->time_limit_ms;
    ret->backlog = a->backlog;
    ret->max_workers_per_alloc = a->max_workers_per_alloc;
    ret->max_worker_count = a->max_worker_count;
    ret->name = bytes_of(a->name);
    ret->min_utilization = a->min_utilization_x10000;
    ret->idle_timeout_ms = (uint64_t)a->idle_timeout_ms;
    ret->worker_time_limit_ms = (uint64_t)a->worker_time_limit_ms;
    ret->worker_start_cmd = bytes_of(a->start_cmd);
    ret->worker_stop_cmd = bytes_of(a->stop_cmd);
    ret->worker_wrap_cmd = bytes_of(a->wrap_cmd);
    ret->lead_time_ms = (uint64_t)a->lead_time_ms;
    ret->keep_warm = a->keep_warm;
    ret->is_compact = a->compact;
    ret->n_additional_args = a->extra.count;
    ret->additional_args = hq_arena_array(arena, a->extra.count, sizeof *ret->additional_args);
    for (size_t i = 0; i < a->extra.count; i++) {
        ret->additional_args[i] = bytes_of(a->extra.v[i]);
    }
    worker_args(ret, a, arena);
    return rc;
}
