/* alloc add: options to a queue's parameters, and what must not stand in its script. */
#include "hq/cmd_alloc.h"

#include "common/num.h"

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
