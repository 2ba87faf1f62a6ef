#include "hq/submit_args.h"

#include "common/limits.h"
#include "common/num.h"
#include "common/parse.h"
#include "hq/submit_mpi.h"

#include <string.h>

/* ---- stdio: none | [PATH][:rm-if-finished] */

static const struct hq_str mode_word = {.ptr = "rm-if-finished", .len = 14};

static int
stdio_error(struct hq_err *err, struct hq_str text, const struct hq_parse_fault *fault)
{
    (void)hq_parse_fault(err, text, fault);
    return hq_err_prefix(err, "Cannot parse stream");
}

/* Is the text behind a colon meant as a mode? Modes are words of small letters and dashes; anything else is a path
 * that happens to contain a colon. */
static bool
is_mode_like(struct hq_str s)
{
    for (size_t ix = 0; ix < s.len; ix++) {
        if ((s.ptr[ix] < 'a' || s.ptr[ix] > 'z') && s.ptr[ix] != '-') {
            return false;
        }
    }
    return s.len > 0;
}

static int
stdio_bad_mode(struct hq_err *err, struct hq_str text, size_t mode_at)
{
    struct hq_str before = hq_str_sub(text, 0, mode_at - 1);
    if (hq_str_ends(before, HQ_STR(":rm-if-finished"))) {
        return stdio_error(err, text, &(struct hq_parse_fault){.at = mode_at - 1, .expected = "<end of input>"});
    }
    size_t same = 0;
    while (same < mode_word.len && mode_at + same < text.len && text.ptr[mode_at + same] == mode_word.ptr[same]) {
        same++;
    }
    char expected[] = {same < mode_word.len ? mode_word.ptr[same] : '\0', '\0'};
    struct hq_parse_fault fault = {
        .at = mode_at + same,
        .context = same < mode_word.len ? "rm-if-finished" : NULL,
        .expected = same < mode_word.len ? expected : "<end of input>",
    };
    return stdio_error(err, text, &fault);
}

int
submit_parse_stdio(struct hq_str text, struct submit_stdio *ret, struct hq_err *err)
{
    size_t from = 0;
    while (from < text.len && text.ptr[from] == ' ') {
        from++;
    }
    struct hq_str path = hq_str_sub(text, from, text.len);
    if (path.len == 0) {
        return stdio_error(err, path, &(struct hq_parse_fault){.at = 0});
    }
    struct submit_stdio out = {.path = path};
    if (hq_str_is(path, "none")) {
        out.is_none = true;
        out.path = HQ_STR_NULL;
    } else if (hq_str_ends(path, HQ_STR(":rm-if-finished"))) {
        out.remove_if_finished = true;
        out.path = hq_str_sub(path, 0, path.len - mode_word.len - 1);
    } else {
        size_t colon = path.len;
        while (colon > 0 && path.ptr[colon - 1] != ':') {
            colon--;
        }
        if (colon > 0 && is_mode_like(hq_str_sub(path, colon, path.len))) {
            return stdio_bad_mode(err, text, from + colon);
        }
    }
    *ret = out;
    return 0;
}

static int
parse_stdio(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)arena;
    return submit_parse_stdio(value, target, err);
}

/* ---- crash limit, weight, name */

int
submit_parse_crash_limit(struct hq_str text, uint32_t *ret, struct hq_err *err)
{
    if (hq_str_is(text, "never-restart")) {
        *ret = SUBMIT_CRASH_NEVER;
        return 0;
    }
    if (hq_str_is(text, "unlimited")) {
        *ret = SUBMIT_CRASH_UNLIMITED;
        return 0;
    }
    const char *kind = text.len == 0 ? "Empty" : NULL;
    uint32_t v = 0;
    for (size_t ix = 0; ix < text.len && kind == NULL; ix++) {
        if (text.ptr[ix] == '+' && ix == 0 && text.len > 1) {
            continue;
        }
        if (text.ptr[ix] < '0' || text.ptr[ix] > '9') {
            kind = "InvalidDigit";
        } else if ((v = v * 10 + (uint32_t)(text.ptr[ix] - '0')) > HQ_CRASH_LIMIT_MAX) {
            kind = "PosOverflow";
        }
    }
    if (kind != NULL) {
        return hq_err_set(err, -EINVAL, "Invalid crash limit: ParseIntError { kind: %s }", kind);
    }
    if (v == 0) {
        return hq_err_set(err, -EINVAL, "Crash limit cannot be 0. Use `never-restart` or `unlimited` instead.");
    }
    *ret = v;
    return 0;
}

static int
parse_crash_limit(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                  struct hq_err *err)
{
    (void)opt;
    (void)arena;
    return submit_parse_crash_limit(value, target, err);
}

static int
parse_weight(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)arena;
    return hq_weight_parse(value, target, err);
}

int
submit_check_name(struct hq_str name, struct hq_err *err)
{
    if (hq_str_find_byte(name, '\n') >= 0 || hq_str_find_byte(name, '\t') >= 0) {
        return hq_err_set(err, -EINVAL, "name cannot have a newline or a tab");
    }
    return 0;
}

/* ---- requests, environment, pin */

static int
parse_cpus(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)arena;
    struct submit_amount *a = target;
    return hq_request_parse_amount(value, &a->amount, &a->policy, err);
}

static int
parse_resource(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    struct submit_entries *list = target;
    struct hq_request_entry entry;
    int rc = hq_request_parse_entry(value, &entry, arena, err);
    if (rc < 0) {
        return rc;
    }
    hq_arena_grow(arena, &list->v, &list->cap, list->count + 1, sizeof *list->v);
    list->v[list->count++] = entry;
    return 0;
}

static int
parse_env(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    struct submit_env *list = target;
    if (value.len == 0) {
        return hq_err_set(err, -EINVAL, "Environment variable must not be empty");
    }
    struct hq_str rest = value;
    struct hq_str key;
    (void)hq_str_split(&rest, '=', &key); /* without '=': all of it is the key, the value is empty */
    if (key.len == 0) {
        return hq_err_set(err, -EINVAL, "The name of an environment variable must not be empty");
    }
    hq_arena_grow(arena, &list->v, &list->cap, list->count + 1, sizeof *list->v);
    list->v[list->count++] = (struct submit_env_var){.key = key, .value = rest};
    return 0;
}

static const char *const pin_words[] = {"taskset", "omp", NULL, "none", NULL};
static const char *const directives_words[] = {"auto", "file", "stdin", "off", NULL};

static int
parse_pin(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)arena;
    static const struct {
        const char *word;
        enum submit_pin pin;
    } rows[] = {{"taskset", SUBMIT_PIN_TASKSET}, {"omp", SUBMIT_PIN_OMP}, {"none", SUBMIT_PIN_NONE}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        if (hq_str_is(value, rows[ix].word)) {
            *(int *)target = (int)rows[ix].pin;
            return 0;
        }
    }
    return hq_err_set(err, -EINVAL, "unknown pin mode");
}

/* ---- ranks */

static const char *const mpi_words[] = {"pmix", "pmi1", NULL, "any", NULL};

static int
parse_mpi(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)arena;
    struct hq_mpi *m = target;
    m->is_on = true;
    return submit_parse_wire_up(value, &m->wire_up, err);
}

static int
parse_count(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    int rc = hq_opt_u32(opt, value, target, arena, err);
    if (rc == 0 && *(uint32_t *)target == 0) {
        return hq_err_set(err, -EINVAL, "must be at least 1");
    }
    return rc;
}

/* ---- the table */

#define AT(field) offsetof(struct submit_args, field)
const struct hq_opt submit_opts[SUBMIT_OPTS] = {
    {.name = "name",
     .parse = hq_opt_str,
     .at = AT(name),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Name of the job; by default the last part of the program's path."},
    {.name = "max-fails",
     .parse = hq_opt_u32,
     .at = AT(max_fails),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Abort the job's other tasks once more than this many have failed."},
    {.name = "cpus",
     .parse = parse_cpus,
     .at = AT(cpus),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "CPUs of each task: a number or all, and how they are chosen (compact, tight, scatter)."},
    {.name = "resource",
     .parse = parse_resource,
     .at = AT(resources),
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_REPEAT,
     .help = "Another resource of each task: NAME=AMOUNT, as for --cpus."},
    {.name = "nodes",
     .parse = hq_opt_u32,
     .at = AT(nodes),
     .conflicts = "cpus pin",
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Run each task on this many whole workers of one group."},
    {.name = "time-request",
     .parse = hq_opt_span,
     .at = AT(time_request_ms),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Start tasks only on workers that will live at least this long."},
    {.name = "weight",
     .parse = parse_weight,
     .at = AT(weight_x10000),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Weight of the request when the scheduler chooses between requests of one priority."},
    {.name = "pin",
     .parse = parse_pin,
     .at = AT(pin),
     .bare = "taskset",
     .values = pin_words,
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_OPTIONAL_VALUE | HQ_OPT_MORE_WORDS,
     .help = "Bind each task to the CPUs it was given."},
    {.name = "mpi",
     .parse = parse_mpi,
     .at = AT(mpi),
     .bare = "any",
     .values = mpi_words,
     .conflicts = "pin",
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_OPTIONAL_VALUE | HQ_OPT_MORE_WORDS,
     .help = "Start each task as ranks of an MPI program, on all its nodes; offered is PMIx and PMI-1, or one of them."},
    {.name = "ranks-per-node",
     .hint = "COUNT",
     .parse = parse_count,
     .at = AT(mpi.ranks_per_node),
     .conflicts = "ranks",
     .flags = HQ_OPT_DIRECTIVE,
     .help = "With --mpi: ranks on each node; by default as many as its cpus allow."},
    {.name = "ranks",
     .hint = "COUNT",
     .parse = parse_count,
     .at = AT(mpi.ranks),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "With --mpi: ranks of a task in total, spread evenly over its nodes."},
    {.name = "cpus-per-rank",
     .hint = "COUNT",
     .parse = parse_count,
     .at = AT(mpi.cpus_per_rank),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "With --mpi: cpus that each rank is bound to; by default an equal share."},
    {.name = "oversubscribe",
     .at = AT(mpi.oversubscribe),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "With --mpi: allow more ranks than cpus."},
    {.name = "tag-output",
     .at = AT(mpi.tag_output),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "With --mpi: begin each line of output with the number of its rank."},
    {.name = "cwd",
     .parse = hq_opt_str,
     .at = AT(cwd),
     .complete = HQ_COMPLETE_DIR,
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_NONEMPTY,
     .help = "Working directory of the tasks, relative to the present one; may hold placeholders."},
    {.name = "stdout",
     .parse = parse_stdio,
     .at = AT(to_stdout),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_DIRECTIVE,
     .help = "File for standard output, or none; :rm-if-finished at the end removes it after success."},
    {.name = "stderr",
     .parse = parse_stdio,
     .at = AT(to_stderr),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_DIRECTIVE,
     .help = "File for standard error output, as for --stdout."},
    {.name = "stream",
     .parse = hq_opt_str,
     .at = AT(stream),
     .complete = HQ_COMPLETE_DIR,
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_NONEMPTY,
     .help = "Directory into which the output of all tasks is streamed."},
    {.name = "log",
     .parse = hq_opt_str,
     .at = AT(stream),
     .instead = "--stream",
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_NONEMPTY | HQ_OPT_OLD | HQ_OPT_HIDDEN,
     .help = "Older spelling of --stream."},
    {.name = "env",
     .parse = parse_env,
     .at = AT(env),
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_REPEAT,
     .help = "Environment variable of the tasks: KEY=VALUE."},
    {.name = "each-line",
     .parse = hq_opt_str,
     .at = AT(each_line),
     .conflicts = "from-json",
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_NONEMPTY,
     .help = "Create a task for each line of the file; the line is in HQ_ENTRY."},
    {.name = "from-json",
     .parse = hq_opt_str,
     .at = AT(from_json),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_NONEMPTY,
     .help = "Create a task for each element of the JSON array in the file; the element is in HQ_ENTRY."},
    {.name = "array",
     .parse = hq_opt_ranges,
     .at = AT(array),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Create a task for each of these ids; with --each-line or --from-json only those lines or elements."},
    {.name = "priority",
     .parse = hq_opt_i32,
     .at = AT(priority),
     .def = "0",
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Tasks of higher priority start first."},
    {.name = "time-limit",
     .parse = hq_opt_span,
     .at = AT(time_limit_ms),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Longest run of one task; it fails when it takes longer."},
    {.name = "crash-limit",
     .parse = parse_crash_limit,
     .at = AT(crash_limit),
     .def = "5",
     .flags = HQ_OPT_DIRECTIVE | HQ_OPT_RAW_ERROR,
     .help = "How often a task may be lost with its worker: a number, never-restart or unlimited."},
    {.name = "task-dir",
     .at = AT(task_dir),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Give each task a temporary directory, named by HQ_TASK_DIR."},
    {.name = "job", .parse = hq_opt_id, .at = AT(job), .help = "Add the tasks to this open job."},
    {.name = "wait", .at = AT(wait), .conflicts = "progress", .help = "Wait until the job is completed."},
    {.name = "progress", .at = AT(progress), .help = "Show a progress bar until the job is completed."},
    {.name = "fail",
     .at = AT(fail),
     .help = "With --wait or --progress: exit with status 1 when tasks failed or were canceled."},
    {.name = "on-notify",
     .parse = hq_opt_str,
     .at = AT(on_notify),
     .complete = HQ_COMPLETE_COMMAND,
     .help = "With --wait or --progress: run this command for each notification of a task."},
    {.name = "stdin", .at = AT(with_stdin), .help = "Read standard input and give it to each task."},
    {.name = "directives",
     .parse = hq_opt_word,
     .at = AT(directives),
     .def = "auto",
     .values = directives_words,
     .help = "Where #HQ lines are looked for: in a script (auto), any file, standard input, or nowhere (off)."},
    {.name = "commands",
     .hint = "COMMANDS",
     .parse = hq_opt_strv,
     .at = AT(command),
     .complete = HQ_COMPLETE_COMMAND,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_TRAILING,
     .help = "Program and its arguments."},
};

bool
submit_args_given(uint64_t given, const char *name)
{
    return (given & hq_opt_bit(submit_opts, SUBMIT_OPTS, name)) != 0;
}

/* ---- command line and directives together */

struct merge_row { /* options of which one side wins */
    const char *name;
    size_t at;
    size_t bytes;
};
#define ROW(option, field)                                                                                             \
    {                                                                                                                  \
        option, AT(field), sizeof(((struct submit_args *)0)->field)                                                    \
    }
static const struct merge_row merge_rows[] = {
    ROW("name", name),
    ROW("max-fails", max_fails),
    ROW("cpus", cpus),
    ROW("nodes", nodes),
    ROW("time-request", time_request_ms),
    ROW("weight", weight_x10000),
    ROW("pin", pin),
    ROW("cpus-per-rank", mpi.cpus_per_rank),
    ROW("oversubscribe", mpi.oversubscribe),
    ROW("tag-output", mpi.tag_output),
    ROW("cwd", cwd),
    ROW("stdout", to_stdout),
    ROW("stderr", to_stderr),
    ROW("stream", stream),
    ROW("priority", priority),
    ROW("time-limit", time_limit_ms),
    ROW("crash-limit", crash_limit),
    ROW("task-dir", task_dir),
};
/* One unit: any of them on the command line puts those of the directives out of force. */
static const struct merge_row source_rows[] = {
    ROW("each-line", each_line),
    ROW("from-json", from_json),
    ROW("array", array),
};

/* The same: a number of ranks in total or per node. */
static const struct merge_row ranks_rows[] = {
    ROW("ranks-per-node", mpi.ranks_per_node),
    ROW("ranks", mpi.ranks),
};

static void
take_row(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
         const struct merge_row *row)
{
    uint64_t bit = hq_opt_bit(submit_opts, SUBMIT_OPTS, row->name);
    if ((dir_given & bit) != 0 && (*given & bit) == 0) {
        memcpy((char *)args + row->at, (const char *)dir + row->at, row->bytes);
        *given |= bit;
    }
}

static void
take_unit(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
          const struct merge_row *rows, size_t count)
{
    bool is_given = false;
    for (size_t ix = 0; ix < count; ix++) {
        is_given = is_given || submit_args_given(*given, rows[ix].name);
    }
    for (size_t ix = 0; ix < count && !is_given; ix++) {
        take_row(args, given, dir, dir_given, &rows[ix]);
    }
}

static void
take_mpi(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given)
{
    uint64_t bit = hq_opt_bit(submit_opts, SUBMIT_OPTS, "mpi");
    if ((dir_given & bit) != 0 && (*given & bit) == 0) {
        args->mpi.is_on = true;
        args->mpi.wire_up = dir->mpi.wire_up;
        *given |= bit;
    }
}

static void
join_lists(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
           struct hq_arena *arena)
{
    struct submit_entries *res = &args->resources;
    hq_arena_grow(arena, &res->v, &res->cap, res->count + dir->resources.count, sizeof *res->v);
    for (size_t ix = 0; ix < dir->resources.count; ix++) {
        res->v[res->count++] = dir->resources.v[ix];
    }
    /* The last one of a key counts: those of the command line go behind. */
    struct submit_env env = {0};
    hq_arena_grow(arena, &env.v, &env.cap, dir->env.count + args->env.count, sizeof *env.v);
    for (size_t ix = 0; ix < dir->env.count; ix++) {
        env.v[env.count++] = dir->env.v[ix];
    }
    for (size_t ix = 0; ix < args->env.count; ix++) {
        env.v[env.count++] = args->env.v[ix];
    }
    args->env = env;
    *given |=
        dir_given & (hq_opt_bit(submit_opts, SUBMIT_OPTS, "resource") | hq_opt_bit(submit_opts, SUBMIT_OPTS, "env"));
}

int
submit_args_merge(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
                  struct hq_arena *arena, struct hq_err *err)
{
    take_unit(args, given, dir, dir_given, source_rows, HQ_ARRAY_LEN(source_rows));
    take_unit(args, given, dir, dir_given, ranks_rows, HQ_ARRAY_LEN(ranks_rows));
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(merge_rows); ix++) {
        take_row(args, given, dir, dir_given, &merge_rows[ix]);
    }
    take_mpi(args, given, dir, dir_given);
    join_lists(args, given, dir, dir_given, arena);
    static const char *const no_nodes[][2] = {{"cpus", "--cpus <CPUS>"}, {"pin", "--pin <PIN>"}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(no_nodes); ix++) {
        if (submit_args_given(*given, "nodes") && submit_args_given(*given, no_nodes[ix][0])) {
            return hq_err_set(err, -EINVAL, "the argument '--nodes <NODES>' cannot be used with '%s'", no_nodes[ix][1]);
        }
    }
    return 0;
}
