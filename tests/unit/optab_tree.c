#include "tests/unit/optab_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const modes[] = {"cli", "json", "quiet", NULL};
static const struct hq_opt global_opts[] = {
    {.name = "server-dir",
     .hint = "SERVER_DIR",
     .env = "T_DIR",
     .parse = hq_opt_str,
     .at = offsetof(struct optab_globals, dir),
     .flags = HQ_OPT_GLOBAL | HQ_OPT_NONEMPTY,
     .complete = HQ_COMPLETE_DIR,
     .help = "Directory."},
    {.name = "output-mode",
     .env = "T_MODE",
     .parse = hq_opt_word,
     .at = offsetof(struct optab_globals, mode),
     .values = modes,
     .def = "cli",
     .flags = HQ_OPT_GLOBAL,
     .help = "Mode."},
    {.name = "debug",
     .env = "T_DEBUG",
     .at = offsetof(struct optab_globals, debug),
     .flags = HQ_OPT_GLOBAL,
     .help = "Debug."},
};

#define S(f) offsetof(struct optab_submit, f)
static const char *const pins[] = {"taskset", "omp", NULL, "none", NULL};

static int
parse_limit(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)value;
    (void)target;
    (void)arena;
    return hq_err_set(err, -EINVAL, "Crash limit cannot be 0.");
}

const struct hq_opt optab_submit_opts[OPTAB_SUBMIT_OPTS] = {
    {.name = "name", .parse = hq_opt_str, .at = S(name), .flags = HQ_OPT_DIRECTIVE, .help = "Name."},
    {.name = "array", .parse = hq_opt_ranges, .at = S(array), .flags = HQ_OPT_DIRECTIVE, .help = "Ids."},
    {.name = "nodes",
     .parse = hq_opt_u32,
     .at = S(nodes),
     .def = "0",
     .conflicts = "cpus pin",
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Nodes."},
    {.name = "priority",
     .parse = hq_opt_i32,
     .at = S(priority),
     .def = "0",
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Priority."},
    {.name = "cpus", .parse = hq_opt_str, .at = S(cpus), .flags = HQ_OPT_DIRECTIVE, .help = "CPUs."},
    {.name = "pin",
     .parse = hq_opt_word,
     .at = S(pin),
     .values = pins,
     .bare = "taskset",
     .flags = HQ_OPT_OPTIONAL_VALUE | HQ_OPT_MORE_WORDS | HQ_OPT_DIRECTIVE,
     .help = "Pinning."},
    {.name = "wait", .at = S(wait), .conflicts = "progress", .help = "Waits."},
    {.name = "progress", .at = S(progress), .help = "Shows progress."},
    {.name = "env", .parse = hq_opt_strv, .at = S(env), .flags = HQ_OPT_REPEAT | HQ_OPT_DIRECTIVE, .help = "Variable."},
    {.name = "time-limit",
     .short_name = 't',
     .parse = hq_opt_span,
     .at = S(limit_ms),
     .flags = HQ_OPT_DIRECTIVE,
     .help = "Limit."},
    {.name = "crash-limit", .parse = parse_limit, .at = S(nodes), .flags = HQ_OPT_RAW_ERROR, .help = "Crashes."},
    {.name = "weight", .parse = hq_opt_id, .at = S(weight), .flags = HQ_OPT_DIRECTIVE, .help = "Weight."},
    {.name = "stream",
     .parse = hq_opt_str,
     .at = S(stream),
     .flags = HQ_OPT_NONEMPTY | HQ_OPT_DIRECTIVE,
     .help = "Stream."},
    {.name = "log",
     .parse = hq_opt_str,
     .at = S(stream),
     .flags = HQ_OPT_NONEMPTY | HQ_OPT_OLD | HQ_OPT_DIRECTIVE,
     .instead = "--stream"},
    {.name = "COMMANDS",
     .parse = hq_opt_strv,
     .at = S(command),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_TRAILING | HQ_OPT_REQUIRED,
     .help = "Program."},
};

static const char *const states[] = {"waiting", "running", "finished", NULL};
static const struct hq_opt list_opts[] = {
    {.name = "all", .at = offsetof(struct optab_list, all), .conflicts = "filter", .help = "All of them."},
    {.name = "filter",
     .parse = hq_opt_words,
     .at = offsetof(struct optab_list, filter),
     .values = states,
     .flags = HQ_OPT_REPEAT,
     .help = "States."},
    {.name = "verbose", .short_name = 'v', .at = offsetof(struct optab_list, verbose), .help = "More columns."},
};
struct info {
    uint32_t job;
};
static const struct hq_opt info_opts[] = {
    {.name = "SELECTOR",
     .parse = hq_opt_id,
     .at = offsetof(struct info, job),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Job."},
};
struct access {
    uint16_t client;
    uint16_t worker;
    struct hq_str file;
};
static const struct hq_opt access_opts[] = {
    {.name = "client-port",
     .parse = hq_opt_port,
     .at = offsetof(struct access, client),
     .flags = HQ_OPT_REQUIRED,
     .help = "Port."},
    {.name = "worker-port",
     .parse = hq_opt_port,
     .at = offsetof(struct access, worker),
     .flags = HQ_OPT_REQUIRED,
     .help = "Port."},
    {.name = "ACCESS_FILE",
     .parse = hq_opt_str,
     .at = offsetof(struct access, file),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "File."},
};

static int
run_nothing(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)cli;
    (void)p;
    (void)err;
    return 0;
}

static const char *const summary_aliases[] = {"sum", NULL};
static const struct hq_command job_subs[] = {
    {.name = "list",
     .help = "Lists jobs.",
     .opts = list_opts,
     .opt_count = HQ_ARRAY_LEN(list_opts),
     .args_bytes = sizeof(struct optab_list),
     .run = run_nothing},
    {.name = "summary", .help = "Counts jobs.", .aliases = summary_aliases, .run = run_nothing},
    {.name = "info",
     .help = "Shows jobs.",
     .opts = info_opts,
     .opt_count = HQ_ARRAY_LEN(info_opts),
     .args_bytes = sizeof(struct info),
     .run = run_nothing},
    {.name = "submit",
     .help = "Submits.",
     .opts = optab_submit_opts,
     .opt_count = OPTAB_SUBMIT_OPTS,
     .args_bytes = sizeof(struct optab_submit),
     .run = run_nothing},
    {.name = "submit-file", .help = "Submits a file.", .run = run_nothing},
    {.name = "resubmit", .help = "Gone.", .instead = "use `hq submit --array`"},
};
struct log {
    struct hq_str dir;
};
static const struct hq_opt log_opts[] = {
    {.name = "PATH",
     .parse = hq_opt_str,
     .at = offsetof(struct log, dir),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Directory."},
};
static const struct hq_command log_subs[] = {
    {.name = "summary", .help = "Sums up.", .run = run_nothing},
    {.name = "cat",
     .help = "Prints.",
     .opts = info_opts,
     .opt_count = HQ_ARRAY_LEN(info_opts),
     .args_bytes = sizeof(struct info),
     .run = run_nothing},
};
static const struct hq_command root_subs[] = {
    {.name = "server",
     .help = "The server.",
     .opts = access_opts,
     .opt_count = HQ_ARRAY_LEN(access_opts),
     .args_bytes = sizeof(struct access),
     .run = run_nothing},
    {.name = "job", .help = "Jobs.", .subs = job_subs, .sub_count = HQ_ARRAY_LEN(job_subs)},
    {.name = "submit",
     .help = "Submits.",
     .opts = optab_submit_opts,
     .opt_count = OPTAB_SUBMIT_OPTS,
     .args_bytes = sizeof(struct optab_submit),
     .run = run_nothing},
    {.name = "log",
     .help = "Streamed output.",
     .opts = log_opts,
     .opt_count = HQ_ARRAY_LEN(log_opts),
     .args_bytes = sizeof(struct log),
     .subs = log_subs,
     .sub_count = HQ_ARRAY_LEN(log_subs)},
    {.name = "jobs",
     .help = "Lists jobs.",
     .opts = list_opts,
     .opt_count = HQ_ARRAY_LEN(list_opts),
     .args_bytes = sizeof(struct optab_list),
     .run = run_nothing,
     .instead = "hq job list"},
};
const struct hq_command optab_root = {
    .name = "hq", .help = "Runs tasks.", .subs = root_subs, .sub_count = HQ_ARRAY_LEN(root_subs)};

struct hq_optab
optab_tree(struct optab_run *r, char *const *envp)
{
    return (struct hq_optab){.root = &optab_root,
                             .globals = global_opts,
                             .global_count = HQ_ARRAY_LEN(global_opts),
                             .global_args = &r->globals,
                             .version = "hyperqueue 1.2.3",
                             .envp = envp,
                             .arena = &r->arena};
}

void
optab_run(struct optab_run *r, const char *line, char *const *envp)
{
    *r = (struct optab_run){0};
    hq_arena_init(&r->arena, 0);
    snprintf(r->line, sizeof r->line, "hq%s%s", line[0] == '\0' ? "" : " ", line);
    char *save = NULL;
    for (char *w = strtok_r(r->line, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert_true(r->argc < 31);
        r->argv[r->argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
    }
    struct hq_optab tab = optab_tree(r, envp);
    r->end = hq_optab_parse(&tab, r->argc, r->argv, &r->parsed, &r->text, &r->hints);
}

void
optab_run_fini(struct optab_run *r)
{
    hq_buf_fini(&r->text);
    hq_buf_fini(&r->hints);
    hq_arena_fini(&r->arena);
}
