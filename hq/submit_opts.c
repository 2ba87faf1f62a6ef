/* The option rows of submit. */
#include "hq/submit_args.h"

#include "hq/submit_mpi.h"

static int
parse_stdio(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)arena;
    return submit_parse_stdio(value, target, err);
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
     .help =
         "Start each task as ranks of an MPI program, on all its nodes; offered is PMIx and PMI-1, or one of them."},
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
