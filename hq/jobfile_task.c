#include "hq/jobfile.h"

#include "common/limits.h"
#include "hq/submit_build.h"
#include "hq/submit_mpi.h"

#define TASK(target) ((struct jobfile_task *)(target))

static int
read_command(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile_task *t = TASK(target);
    if (n->kind != DOC_ARRAY) {
        return jobfile_fail_type(r, n, "a sequence");
    }
    if (n->count == 0) {
        return jobfile_fail(r, n->at, "a command needs at least the program");
    }
    t->command = hq_arena_array(r->arena, n->count, sizeof *t->command);
    int rc = 0;
    for (size_t ix = 0; ix < n->count && rc == 0; ix++) {
        rc = jobfile_string(r, n->items[ix].value, "a string", &t->command[t->command_count++]);
    }
    return rc;
}

static int
read_env(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct submit_env *env = &TASK(target)->env;
    if (n->kind != DOC_TABLE) {
        return jobfile_fail_type(r, n, "a map");
    }
    hq_arena_grow(r->arena, &env->v, &env->cap, n->count, sizeof *env->v);
    for (size_t ix = 0; ix < n->count; ix++) {
        const struct doc_item *item = &n->items[ix];
        struct submit_env_var *var = &env->v[env->count++];
        var->key = item->key;
        if (item->key.len == 0 || hq_str_find_byte(item->key, '=') >= 0) {
            return jobfile_fail(r, item->key_at, "a variable's name must not be empty nor contain `=`");
        }
        int rc = jobfile_string(r, item->value, "a byte string", &var->value);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int
read_cwd(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct hq_err why = {0};
    int rc = jobfile_string(r, n, "path string", &TASK(target)->cwd);
    if (rc == 0 && submit_check_cwd(TASK(target)->cwd, &why) < 0) {
        rc = jobfile_fail(r, n->at, "%s", why.text);
    }
    return rc;
}

/* ---- stdout and stderr: a path or `none`, or a table of path and mode. A colon is part of the path here. */

static int
read_stdio_table(struct jobfile_reader *r, const struct doc_node *n, struct submit_stdio *io)
{
    for (size_t ix = 0; ix < n->count; ix++) {
        const struct doc_item *item = &n->items[ix];
        struct hq_str mode;
        int rc = 0;
        if (hq_str_is(item->key, "path")) {
            rc = jobfile_string(r, item->value, "path string", &io->path);
        } else if (hq_str_is(item->key, "on_close") || hq_str_is(item->key, "mode")) {
            rc = jobfile_string(r, item->value, "a string", &mode);
            if (rc == 0 && !hq_str_is(mode, "none") && !hq_str_is(mode, "rm-if-finished")) {
                rc = jobfile_fail(r, item->value->at, "unknown variant `%.*s`, expected `none` or `rm-if-finished`",
                                  HQ_STR_FMT(mode));
            }
            io->remove_if_finished = rc == 0 && hq_str_is(mode, "rm-if-finished");
        } /* other keys have always been let through here */
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int
read_stdio(struct jobfile_reader *r, const struct doc_node *n, struct submit_stdio *io)
{
    if (n->kind == DOC_TABLE) {
        return read_stdio_table(r, n, io);
    }
    if (n->kind != DOC_STRING) {
        return jobfile_fail_type(
            r, n, "a string containing file path or a structure with two attributes (`path` and `on_close`)");
    }
    if (hq_str_is(n->text, "none")) {
        io->is_none = true;
    } else {
        io->path = n->text;
    }
    return 0;
}

static int
read_stdout(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    TASK(target)->has_stdout = true;
    return read_stdio(r, n, &TASK(target)->to_stdout);
}

static int
read_stderr(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    TASK(target)->has_stderr = true;
    return read_stdio(r, n, &TASK(target)->to_stderr);
}

static int
read_stdin(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_string(r, n, "a string", &TASK(target)->stdin_text);
}

/* ---- how it runs */

static int
read_pin(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    static const char *const words[] = {"none", "taskset", "omp"};
    struct hq_str word;
    int rc = jobfile_string(r, n, "a string", &word);
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(words) && rc == 0; ix++) {
        if (hq_str_is(word, words[ix])) {
            TASK(target)->pin = (int)ix;
            return 0;
        }
    }
    return rc < 0 ? rc
                  : jobfile_fail(r, n->at, "unknown variant `%.*s`, expected one of `none`, `taskset`, `omp`",
                                 HQ_STR_FMT(word));
}
_Static_assert(SUBMIT_PIN_NONE == 0 && SUBMIT_PIN_TASKSET == 1 && SUBMIT_PIN_OMP == 2, "order of the words");

static int
read_task_dir(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_bool(r, n, &TASK(target)->task_dir);
}

static int
read_time_limit(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_duration(r, n, &TASK(target)->time_limit_ms);
}

static int
read_priority(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    if (n->kind != DOC_INT) {
        return jobfile_fail_type(r, n, "i32");
    }
    if (n->i < INT32_MIN || n->i > INT32_MAX) {
        return jobfile_fail(r, n->at, "invalid value: integer `%lld`, expected i32", (long long)n->i);
    }
    TASK(target)->priority = (int32_t)n->i;
    return 0;
}

static int
read_crash_limit(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct hq_err why = {0};
    struct hq_str text;
    if (n->kind == DOC_INT) {
        if (n->i < 0 || n->i > HQ_CRASH_LIMIT_MAX) {
            return jobfile_fail(r, n->at, "out of range integral type conversion attempted");
        }
        text = hq_str_from(hq_arena_printf(r->arena, "%lld", (long long)n->i));
    } else if (n->kind != DOC_STRING) {
        return jobfile_fail_type(r, n, "a number or a string");
    } else {
        text = n->text;
    }
    if (submit_parse_crash_limit(text, &TASK(target)->crash_limit, &why) < 0) {
        return jobfile_fail(r, n->at, "%s", why.text);
    }
    return 0;
}

static int
read_request(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    return jobfile_read_request(r, n, &TASK(target)->request);
}

/* ---- only in [[task]], only in [array] */

static int
read_id(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    TASK(target)->has_id = true;
    return jobfile_u32(r, n, &TASK(target)->id);
}

static int
read_deps(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile_task *t = TASK(target);
    if (n->kind != DOC_ARRAY) {
        return jobfile_fail_type(r, n, "a sequence");
    }
    t->deps = hq_arena_array(r->arena, n->count + 1, sizeof *t->deps);
    int rc = 0;
    for (size_t ix = 0; ix < n->count && rc == 0; ix++) {
        rc = jobfile_u32(r, n->items[ix].value, &t->deps[t->dep_count++]);
    }
    return rc;
}

static int
read_ids(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile_task *t = TASK(target);
    struct hq_err why = {0};
    struct hq_str text;
    int rc = jobfile_string(r, n, "a string", &text);
    if (rc == 0 && hq_ranges_parse(&t->ids, text, &why) < 0) {
        rc = jobfile_fail(r, n->at, "%s", why.text);
    }
    t->has_ids = rc == 0;
    return rc;
}

static int
read_entries(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile_task *t = TASK(target);
    struct hq_err why = {0};
    if (n->kind != DOC_ARRAY) {
        return jobfile_fail_type(r, n, "a sequence");
    }
    t->has_entries = true;
    for (size_t ix = 0; ix < n->count; ix++) {
        struct hq_str text;
        int rc = jobfile_string(r, n->items[ix].value, "a byte string", &text);
        if (rc == 0 && entries_add(&t->entries, text, &why) < 0) {
            rc = jobfile_fail(r, n->items[ix].value->at, "%s", why.text);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

#define COMMON_KEYS                                                                                                    \
    {.name = "command", .read = read_command}, {.name = "env", .read = read_env}, {.name = "cwd", .read = read_cwd},   \
        {.name = "stdout", .read = read_stdout}, {.name = "stderr", .read = read_stderr},                              \
        {.name = "stdin", .read = read_stdin}, {.name = "pin", .read = read_pin},                                      \
        {.name = "task_dir", .read = read_task_dir}, {.name = "time_limit", .read = read_time_limit},                  \
        {.name = "priority", .read = read_priority}, {.name = "crash_limit", .read = read_crash_limit},                \
        {.name = "mpi", .read = jobfile_read_mpi}, {.name = "ranks", .read = jobfile_read_ranks},                      \
        {.name = "ranks_per_node", .read = jobfile_read_ranks_per_node},                                               \
        {.name = "cpus_per_rank", .read = jobfile_read_cpus_per_rank},                                                 \
        {.name = "oversubscribe", .read = jobfile_read_oversubscribe},                                                 \
        {.name = "tag_output", .read = jobfile_read_tag_output},                                                       \
    {                                                                                                                  \
        .name = "request", .read = read_request                                                                        \
    }

static const struct jobfile_key task_keys[] = {
    COMMON_KEYS,
    {.name = "id", .read = read_id, .is_plain = true},
    {.name = "deps", .read = read_deps, .is_plain = true},
};
static const struct jobfile_key array_keys[] = {
    COMMON_KEYS,
    {.name = "ids", .read = read_ids, .is_plain = true},
    {.name = "entries", .read = read_entries, .is_plain = true},
};
static const struct jobfile_table task_table = {.keys = task_keys, .count = HQ_ARRAY_LEN(task_keys), .unknown = ""};
static const struct jobfile_table array_table = {.keys = array_keys, .count = HQ_ARRAY_LEN(array_keys), .unknown = ""};

/* cpus = 1 compact, or one for each rank */
static void
default_request(struct hq_request *ret, const struct hq_mpi *mpi, struct hq_arena *arena)
{
    struct hq_variant *v = hq_arena_alloc(arena, sizeof *v);
    v->entries = hq_arena_alloc(arena, sizeof *v->entries);
    v->entries[0] =
        (struct hq_request_entry){.name = HQ_STR("cpus"), .amount = submit_mpi_cpus(mpi), .policy = HQ_POLICY_COMPACT};
    v->entry_count = 1;
    v->weight_x10000 = 10000;
    *ret = (struct hq_request){.variants = v, .variant_count = 1};
}

int
jobfile_read_task(struct jobfile_reader *r, const struct doc_node *n, bool is_array, struct jobfile_task *ret)
{
    ret->crash_limit = 5;
    int rc = jobfile_read_table(r, n, is_array ? &array_table : &task_table, ret);
    if (rc == 0 && ret->command_count == 0) {
        rc = jobfile_fail(r, n->at, "missing field `command`");
    }
    if (rc == 0 && ret->request.variant_count == 0) {
        default_request(&ret->request, &ret->mpi, r->arena);
    }
    return rc == 0 ? jobfile_check_mpi(r, n, ret) : rc;
}
