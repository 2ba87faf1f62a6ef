/* Option tables: every rule of the syntax, every error text, and what else the tables make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/optab.h"

struct globals {
    struct hq_str dir;
    int mode;
    bool debug;
};
static const char *const modes[] = {"cli", "json", "quiet", NULL};
static const struct hq_opt global_opts[] = {
    {.name = "server-dir",
     .hint = "SERVER_DIR",
     .env = "T_DIR",
     .parse = hq_opt_str,
     .at = offsetof(struct globals, dir),
     .flags = HQ_OPT_GLOBAL | HQ_OPT_NONEMPTY,
     .complete = HQ_COMPLETE_DIR,
     .help = "Directory."},
    {.name = "output-mode",
     .env = "T_MODE",
     .parse = hq_opt_word,
     .at = offsetof(struct globals, mode),
     .values = modes,
     .def = "cli",
     .flags = HQ_OPT_GLOBAL,
     .help = "Mode."},
    {.name = "debug",
     .env = "T_DEBUG",
     .at = offsetof(struct globals, debug),
     .flags = HQ_OPT_GLOBAL,
     .help = "Debug."},
};

struct submit {
    struct hq_str name;
    struct hq_ranges array;
    uint32_t nodes;
    int32_t priority;
    struct hq_str cpus;
    int pin;
    bool wait;
    bool progress;
    struct hq_strv env;
    int64_t limit_ms;
    uint32_t weight;
    struct hq_str stream;
    struct hq_strv command;
};
#define S(f) offsetof(struct submit, f)
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

static const struct hq_opt submit_opts[] = {
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

struct list {
    bool all;
    uint32_t filter;
    bool verbose;
};
static const char *const states[] = {"waiting", "running", "finished", NULL};
static const struct hq_opt list_opts[] = {
    {.name = "all", .at = offsetof(struct list, all), .conflicts = "filter", .help = "All of them."},
    {.name = "filter",
     .parse = hq_opt_words,
     .at = offsetof(struct list, filter),
     .values = states,
     .flags = HQ_OPT_REPEAT,
     .help = "States."},
    {.name = "verbose", .short_name = 'v', .at = offsetof(struct list, verbose), .help = "More columns."},
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
     .args_bytes = sizeof(struct list),
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
     .opts = submit_opts,
     .opt_count = HQ_ARRAY_LEN(submit_opts),
     .args_bytes = sizeof(struct submit),
     .run = run_nothing},
    {.name = "submit-file", .help = "Submits a file.", .run = run_nothing},
    {.name = "resubmit", .help = "Gone.", .instead = "use `hq submit --array`"},
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
     .opts = submit_opts,
     .opt_count = HQ_ARRAY_LEN(submit_opts),
     .args_bytes = sizeof(struct submit),
     .run = run_nothing},
    {.name = "jobs",
     .help = "Lists jobs.",
     .opts = list_opts,
     .opt_count = HQ_ARRAY_LEN(list_opts),
     .args_bytes = sizeof(struct list),
     .run = run_nothing,
     .instead = "hq job list"},
};
static const struct hq_command root = {
    .name = "hq", .help = "Runs tasks.", .subs = root_subs, .sub_count = HQ_ARRAY_LEN(root_subs)};

struct run { /* of one command line */
    struct hq_arena arena;
    struct globals globals;
    struct hq_parsed parsed;
    struct hq_buf text;
    struct hq_buf hints;
    enum hq_optab_end end;
    char line[256];
    char *argv[32];
    int argc;
};

static struct hq_optab
table(struct run *r, char *const *envp)
{
    return (struct hq_optab){.root = &root,
                             .globals = global_opts,
                             .global_count = HQ_ARRAY_LEN(global_opts),
                             .global_args = &r->globals,
                             .version = "hyperqueue 1.2.3",
                             .envp = envp,
                             .arena = &r->arena};
}

/* Words are separated by blanks; '' is the empty word. */
static void
run_line(struct run *r, const char *line, char *const *envp)
{
    *r = (struct run){0};
    hq_arena_init(&r->arena, 0);
    snprintf(r->line, sizeof r->line, "hq%s%s", line[0] == '\0' ? "" : " ", line);
    char *save = NULL;
    for (char *w = strtok_r(r->line, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert_true(r->argc < 31);
        r->argv[r->argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
    }
    struct hq_optab tab = table(r, envp);
    r->end = hq_optab_parse(&tab, r->argc, r->argv, &r->parsed, &r->text, &r->hints);
}

static void
run_fini(struct run *r)
{
    hq_buf_fini(&r->text);
    hq_buf_fini(&r->hints);
    hq_arena_fini(&r->arena);
}

#define MORE "\nFor more information, try '--help'.\n"
#define SUBMIT_USAGE "\nUsage: hq submit [OPTIONS] <COMMANDS>...\n" MORE

static const struct {
    const char *line;
    const char *text;
} errors[] = {
    /* values */
    {"--server-dir= job list",
     "error: a value is required for '--server-dir <SERVER_DIR>' but none was supplied\n" MORE},
    {"--output-mode=xml job list",
     "error: invalid value 'xml' for '--output-mode <OUTPUT_MODE>'\n  [possible values: cli, json, quiet]\n" MORE},
    {"--output-mode=JSON job list",
     "error: invalid value 'JSON' for '--output-mode <OUTPUT_MODE>'\n  [possible values: cli, json, quiet]\n" MORE},
    {"job list --filter=", "error: a value is required for '--filter <FILTER>' but none was supplied\n"
                           "  [possible values: waiting, running, finished]\n" MORE},
    {"job list --filter running,done", "error: invalid value 'done' for '--filter <FILTER>'\n"
                                       "  [possible values: waiting, running, finished]\n" MORE},
    {"server --client-port 70000",
     "error: invalid value '70000' for '--client-port <CLIENT_PORT>': 70000 is not in 0..=65535\n" MORE},
    {"submit --nodes=-1 x", "error: invalid value '-1' for '--nodes <NODES>': -1 is not in 0..=4294967295\n" MORE},
    {"submit --nodes x true", "error: invalid value 'x' for '--nodes <NODES>': invalid digit found in string\n" MORE},
    {"submit --priority=99999999999 x",
     "error: invalid value '99999999999' for '--priority <PRIORITY>': number too large to fit in target type\n" MORE},
    {"submit --weight=-1 x", "error: invalid value '-1' for '--weight <WEIGHT>': invalid digit found in string\n" MORE},
    {"submit --array 3-1 true", "error: invalid value '3-1' for '--array <ARRAY>': Unexpected end of input found while "
                                "attempting to parse Integer "
                                "range, expected something else:\n  3-1\n  |\n  --- Invalid range\n\n" MORE},
    {"submit --array= true", "error: invalid value '' for '--array <ARRAY>': Unexpected end of input found while "
                             "attempting to parse number, expected something else:\n(the input was empty)\n" MORE},
    {"submit --time-limit xx true", "error: invalid value 'xx' for '--time-limit <TIME_LIMIT>': Could not parse PBS "
                                    "walltime. Use either `HH:MM:SS` or "
                                    "humantime format (2hours): NumberExpected(0)\n" MORE},
    {"submit --crash-limit 0 true", "error: Crash limit cannot be 0.\n"},
    {"submit --pin=x true", "error: invalid value 'x' for '--pin <PIN>'\n  [possible values: taskset, omp]\n" MORE},
    {"submit --array -- true", "error: a value is required for '--array <ARRAY>' but none was supplied\n" MORE},
    {"submit --name", "error: a value is required for '--name <NAME>' but none was supplied\n" MORE},
    {"submit --name --wait x", "error: a value is required for '--name <NAME>' but none was supplied\n" MORE},
    {"submit --name -t x", "error: a value is required for '--name <NAME>' but none was supplied\n" MORE},
    {"submit --wait=1 x", "error: unexpected value '1' for '--wait' found; no more were expected\n" SUBMIT_USAGE},
    /* unknown words */
    {"-v", "error: unexpected argument '-v' found\n\nUsage: hq [OPTIONS] <COMMAND>\n" MORE},
    {"job list -x", "error: unexpected argument '-x' found\n\nUsage: hq job list [OPTIONS]\n" MORE},
    {"jobz", "error: unrecognized subcommand 'jobz'\n\n  tip: a similar subcommand exists: 'job'\n\n"
             "Usage: hq [OPTIONS] <COMMAND>\n" MORE},
    {"help", "error: unrecognized subcommand 'help'\n\nUsage: hq [OPTIONS] <COMMAND>\n" MORE},
    {"job resubmit 1", "error: unrecognized subcommand 'resubmit'\n\n"
                       "  tip: some similar subcommands exist: 'submit-file', 'submit'\n"
                       "  tip: use `hq submit --array`\n\nUsage: hq job [OPTIONS] <COMMAND>\n" MORE},
    {"job resubmi",
     "error: unrecognized subcommand 'resubmi'\n\n"
     "  tip: some similar subcommands exist: 'submit-file', 'submit'\n\nUsage: hq job [OPTIONS] <COMMAND>\n" MORE},
    {"--out=json job list", "error: unexpected argument '--out' found\n\n"
                            "  tip: a similar argument exists: '--output-mode'\n\n"
                            "Usage: hq --output-mode <OUTPUT_MODE> <COMMAND>\n" MORE},
    {"job list 1", "error: unexpected argument '1' found\n\nUsage: hq job list [OPTIONS]\n" MORE},
    {"job info 1 2", "error: unexpected argument '2' found\n\nUsage: hq job info [OPTIONS] <SELECTOR>\n" MORE},
    {"job info 1 --foo", "error: unexpected argument '--foo' found\n\n"
                         "  tip: to pass '--foo' as a value, use '-- --foo'\n\nUsage: hq job info <SELECTOR>\n" MORE},
    {"submit --frobnicate true", "error: unexpected argument '--frobnicate' found\n\n"
                                 "  tip: to pass '--frobnicate' as a value, use '-- --frobnicate'\n" SUBMIT_USAGE},
    {"submit --array --frobnicate true", "error: unexpected argument '--frobnicate' found\n\n"
                                         "  tip: to pass '--frobnicate' as a value, use '-- --frobnicate'\n\n"
                                         "Usage: hq submit --array <ARRAY> <COMMANDS>...\n" MORE},
    {"submit -x true", "error: unexpected argument '-x' found\n\n"
                       "  tip: to pass '-x' as a value, use '-- -x'\n" SUBMIT_USAGE},
    {"job -V", "error: unexpected argument '-V' found\n\nUsage: hq job [OPTIONS] <COMMAND>\n" MORE},
    {"job list --al", "error: unexpected argument '--al' found\n\n  tip: a similar argument exists: '--all'\n\n"
                      "Usage: hq job list --all\n" MORE},
    /* repetitions and conflicts */
    {"job list --output-mode=json --output-mode=json", "error: the argument '--output-mode <OUTPUT_MODE>' cannot be "
                                                       "used multiple times\n\nUsage: hq job list [OPTIONS]\n" MORE},
    {"submit --name a --name b true",
     "error: the argument '--name <NAME>' cannot be used multiple times\n" SUBMIT_USAGE},
    {"submit --wait --wait true", "error: the argument '--wait' cannot be used multiple times\n" SUBMIT_USAGE},
    {"submit --log a --stream b true",
     "error: the argument '--stream <STREAM>' cannot be used multiple times\n" SUBMIT_USAGE},
    {"job list --all --filter waiting",
     "error: the argument '--all' cannot be used with '--filter <FILTER>'\n\nUsage: hq job list --all\n" MORE},
    {"submit --wait --progress true",
     "error: the argument '--wait' cannot be used with '--progress'\n\nUsage: hq submit --wait <COMMANDS>...\n" MORE},
    {"submit --nodes 2 --pin omp true", "error: the argument '--nodes <NODES>' cannot be used with '--pin <PIN>'\n\n"
                                        "Usage: hq submit --nodes <NODES> <COMMANDS>...\n" MORE},
    {"submit --wait --pin taskset --nodes 0 true",
     "error: the argument '--pin <PIN>' cannot be used with '--nodes <NODES>'\n\n"
     "Usage: hq submit --wait --pin <PIN> <COMMANDS>...\n" MORE},
    {"submit --nodes 0 --cpus 1 --pin true",
     "error: the argument '--nodes <NODES>' cannot be used with:\n  --cpus <CPUS>\n  --pin <PIN>\n\n"
     "Usage: hq submit --nodes <NODES> <COMMANDS>...\n" MORE},
    /* missing ones */
    {"submit", "error: the following required arguments were not provided:\n  <COMMANDS>...\n\n"
               "Usage: hq submit <COMMANDS>...\n" MORE},
    {"submit --", "error: the following required arguments were not provided:\n  <COMMANDS>...\n\n"
                  "Usage: hq submit <COMMANDS>...\n" MORE},
    {"job submit --env true", "error: the following required arguments were not provided:\n  <COMMANDS>...\n\n"
                              "Usage: hq job submit --env <ENV> <COMMANDS>...\n" MORE},
    {"server full.json --client-port 1",
     "error: the following required arguments were not provided:\n  --worker-port <WORKER_PORT>\n\n"
     "Usage: hq server --client-port <CLIENT_PORT> --worker-port <WORKER_PORT> <ACCESS_FILE>\n" MORE},
    {"--output-mode json", "error: 'hq' requires a subcommand but one was not provided\n"
                           "  [subcommands: server, job, submit]\n\nUsage: hq [OPTIONS] <COMMAND>\n" MORE},
};

static void
test_errors(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(errors); ix++) {
        struct run r;
        run_line(&r, errors[ix].line, NULL);
        if (r.text.ptr == NULL || strcmp(r.text.ptr, errors[ix].text) != 0) {
            print_error("hq %s\nwanted:\n%s\ngot:\n%s\n", errors[ix].line, errors[ix].text, r.text.ptr);
            fail();
        }
        assert_int_equal(r.end, HQ_OPTAB_USAGE);
        run_fini(&r);
    }
}

static void
test_submit_words(void **state)
{
    (void)state;
    struct run r;
    run_line(&r, "submit --name a --env X=1 --env Y=2 -t 1:30 foo --array 1-4 --server-dir /x", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    const struct submit *a = r.parsed.args;
    assert_true(hq_str_is(a->name, "a"));
    assert_int_equal(a->env.count, 2);
    assert_true(hq_str_is(a->env.v[1], "Y=2"));
    assert_int_equal(a->limit_ms, 90000);
    assert_int_equal(a->command.count, 5);
    assert_true(hq_str_is(a->command.v[1], "--array"));
    assert_int_equal(r.globals.dir.len, 0); /* swallowed by the program */
    assert_string_equal(r.parsed.path, "hq submit");
    assert_true(hq_parsed_given(&r.parsed, "name"));
    assert_false(hq_parsed_given(&r.parsed, "array"));
    assert_false(hq_parsed_given(&r.parsed, "nodes")); /* a default is not given */
    assert_int_equal(r.parsed.word_count, 1);
    assert_int_equal(r.parsed.word_ix[0], 1);
    run_fini(&r);

    run_line(&r, "submit --wait -- --odd -- x", NULL);
    a = r.parsed.args;
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_int_equal(a->command.count, 3);
    assert_true(hq_str_is(a->command.v[0], "--odd"));
    assert_true(hq_str_is(a->command.v[1], "--"));
    run_fini(&r);
}

/* A value may begin with a dash, glued or not; the reference knew only the glued form. */
static void
test_dashed_values(void **state)
{
    (void)state;
    static const char *const lines[] = {"submit --priority -5 x", "submit --priority=-5 x"};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(lines); ix++) {
        struct run r;
        run_line(&r, lines[ix], NULL);
        assert_int_equal(r.end, HQ_OPTAB_RUN);
        assert_int_equal(((const struct submit *)r.parsed.args)->priority, -5);
        run_fini(&r);
    }
    struct run r;
    run_line(&r, "submit --name - --time-limit=5 x", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_true(hq_str_is(((const struct submit *)r.parsed.args)->name, "-"));
    run_fini(&r);
}

/* The value of --pin is optional: only one of its own words is taken. */
static void
test_optional_value(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int pin;
        size_t words;
    } cases[] = {
        {"submit --pin true", 0, 1},    {"submit --pin omp true", 1, 1},   {"submit --pin none true", 2, 1},
        {"submit --pin=omp omp", 1, 1}, {"submit --pin --wait a b", 0, 2},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct run r;
        run_line(&r, cases[ix].line, NULL);
        assert_int_equal(r.end, HQ_OPTAB_RUN);
        const struct submit *a = r.parsed.args;
        assert_int_equal(a->pin, cases[ix].pin);
        assert_int_equal(a->command.count, cases[ix].words);
        run_fini(&r);
    }
}

static void
test_globals_and_environment(void **state)
{
    (void)state;
    static char env_mode[] = "T_MODE=quiet";
    static char env_dir[] = "T_DIR=/e";
    static char env_bad[] = "T_MODE=xml";
    static char env_true[] = "T_DEBUG=1";
    static char env_empty[] = "T_DEBUG=";
    static char env_yes[] = "T_DEBUG=yes";
    char *good[] = {env_mode, env_dir, env_true, NULL};
    char *bad[] = {env_bad, NULL};
    char *empty[] = {env_empty, NULL};
    char *yes[] = {env_yes, NULL};
    struct run r;

    run_line(&r, "job list", good);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_int_equal(r.globals.mode, 2);
    assert_true(hq_str_is(r.globals.dir, "/e"));
    assert_true(r.globals.debug);
    run_fini(&r);

    run_line(&r, "--server-dir /a job --output-mode=json list", good); /* at any position; flag beats variable */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_int_equal(r.globals.mode, 1);
    assert_true(hq_str_is(r.globals.dir, "/a"));
    assert_int_equal(r.parsed.word_ix[1], 5);
    run_fini(&r);

    run_line(&r, "job list", bad);
    assert_int_equal(r.end, HQ_OPTAB_USAGE);
    assert_string_equal(r.text.ptr, "error: invalid value 'xml' for '--output-mode <OUTPUT_MODE>'\n"
                                    "  [possible values: cli, json, quiet]\n" MORE);
    run_fini(&r);

    run_line(&r, "--output-mode=cli job list", bad); /* not looked at when the flag is given */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    run_fini(&r);

    run_line(&r, "job list", empty); /* was a usage error; means false now */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_false(r.globals.debug);
    run_fini(&r);

    run_line(&r, "job list", yes);
    assert_int_equal(r.end, HQ_OPTAB_USAGE);
    assert_string_equal(r.text.ptr,
                        "error: invalid value 'yes' for '--debug'\n  [possible values: true, false]\n" MORE);
    run_fini(&r);
}

static void
test_lists_add_up(void **state)
{
    (void)state;
    struct run r;
    run_line(&r, "job list --filter waiting,finished --filter running -v", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    const struct list *a = r.parsed.args;
    assert_int_equal(a->filter, 7);
    assert_true(a->verbose);
    run_fini(&r);
}

static void
test_old_spellings(void **state)
{
    (void)state;
    struct run r;
    run_line(&r, "submit --log=out x", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_true(hq_str_is(((const struct submit *)r.parsed.args)->stream, "out"));
    assert_true(hq_parsed_given(&r.parsed, "stream"));
    assert_string_equal(r.hints.ptr, "Option --log is an older spelling, use --stream\n");
    run_fini(&r);
    run_line(&r, "jobs --all", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_string_equal(r.hints.ptr, "Command `hq jobs` is an older spelling, use `hq job list`\n");
    run_fini(&r);
    run_line(&r, "job sum", NULL); /* an alias */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_string_equal(r.parsed.cmd->name, "summary");
    run_fini(&r);
}

static void
test_help_and_version(void **state)
{
    (void)state;
    struct run r;
    run_line(&r, "--version", NULL);
    assert_int_equal(r.end, HQ_OPTAB_INFO);
    assert_string_equal(r.text.ptr, "hyperqueue 1.2.3\n");
    run_fini(&r);
    run_line(&r, "job list -h --foo", NULL);
    assert_int_equal(r.end, HQ_OPTAB_INFO);
    assert_string_equal(r.text.ptr, "Lists jobs.\n\nUsage: hq job list [OPTIONS]\n\nOptions:\n"
                                    "      --all                 All of them.\n"
                                    "      --filter <FILTER>...  States.\n"
                                    "  -v, --verbose             More columns.\n"
                                    "  -h, --help                Prints a summary; --help tells all.\n");
    run_fini(&r);
    run_line(&r, "job list --help", NULL);
    assert_int_equal(r.end, HQ_OPTAB_INFO);
    assert_non_null(strstr(r.text.ptr, "GLOBAL OPTIONS:\n      --server-dir <SERVER_DIR>\n"));
    assert_non_null(strstr(r.text.ptr, "[environment: T_MODE]"));
    assert_non_null(strstr(r.text.ptr, "[possible values: cli, json, quiet]"));
    run_fini(&r);
    run_line(&r, "job", NULL); /* help on stderr, exit 2 */
    assert_int_equal(r.end, HQ_OPTAB_USAGE);
    assert_non_null(strstr(r.text.ptr, "Commands:\n  list "));
    assert_null(strstr(r.text.ptr, "resubmit"));
    run_fini(&r);
}

static void
test_directives(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        const char *text; /* NULL = fine */
    } cases[] = {
        {{"--name=a", "--env", "X=1", NULL}, NULL},
        {{"--wait", NULL},
         "error: unexpected argument '--wait' found\n\n  tip: a similar argument exists: '--weight'\n\n"
         "Usage: #HQ <hq submit parameters>\n"},
        {{"foo", NULL}, "error: unexpected argument 'foo' found\n\nUsage: #HQ <hq submit parameters>\n"},
        {{"--name=a", "--name=b", NULL},
         "error: the argument '--name <NAME>' cannot be used multiple times\n\nUsage: #HQ <hq submit parameters>\n"},
        {{"--server-dir=/x", NULL},
         "error: unexpected argument '--server-dir' found\n\nUsage: #HQ <hq submit parameters>\n"},
        {{"-h", NULL}, "error: unexpected argument '-h' found\n\nUsage: #HQ <hq submit parameters>\n"},
        {{"--array=3-1", NULL},
         "error: invalid value '3-1' for '--array <ARRAY>': Unexpected end of input found while attempting to parse "
         "Integer range, expected something else:\n  3-1\n  |\n  --- Invalid range\n\n"},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_arena arena;
        struct hq_buf text = HQ_BUF_INIT;
        struct submit args = {0};
        struct hq_str words[4];
        size_t count = 0;
        uint64_t given = 0;
        hq_arena_init(&arena, 0);
        for (; cases[ix].words[count] != NULL; count++) {
            words[count] = hq_str_from(cases[ix].words[count]);
        }
        bool is_fine = hq_optab_parse_directives(submit_opts, HQ_ARRAY_LEN(submit_opts), words, count, &args, &arena,
                                                 &given, &text, NULL);
        assert_int_equal(is_fine, cases[ix].text == NULL);
        if (cases[ix].text != NULL) {
            assert_string_equal(text.ptr, cases[ix].text);
        } else {
            assert_int_equal(given, hq_opt_bit(submit_opts, HQ_ARRAY_LEN(submit_opts), "name") |
                                        hq_opt_bit(submit_opts, HQ_ARRAY_LEN(submit_opts), "env"));
            assert_int_equal(args.env.count, 1);
        }
        hq_buf_fini(&text);
        hq_arena_fini(&arena);
    }
}

static void
test_colors(void **state)
{
    (void)state;
    struct run r = {0};
    struct hq_optab tab = table(&r, NULL);
    char hq[] = "hq";
    char jobz[] = "jobz";
    char *argv[] = {hq, jobz, NULL};
    tab.color_err = true;
    hq_arena_init(&r.arena, 0);
    assert_int_equal(hq_optab_parse(&tab, 2, argv, &r.parsed, &r.text, &r.hints), HQ_OPTAB_USAGE);
    assert_string_equal(r.text.ptr, "\x1b[1m\x1b[31merror:\x1b[0m unrecognized subcommand '\x1b[33mjobz\x1b[0m'\n\n"
                                    "  \x1b[32mtip:\x1b[0m a similar subcommand exists: '\x1b[32mjob\x1b[0m'\n\n"
                                    "\x1b[1m\x1b[4mUsage:\x1b[0m \x1b[1mhq\x1b[0m [OPTIONS] <COMMAND>\n\n"
                                    "For more information, try '\x1b[1m--help\x1b[0m'.\n");
    run_fini(&r);
}

static void
test_other_products(void **state)
{
    (void)state;
    struct run r = {0};
    hq_arena_init(&r.arena, 0);
    struct hq_optab tab = table(&r, NULL);
    struct hq_buf b = HQ_BUF_INIT;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(shells); ix++) {
        hq_buf_clear(&b);
        assert_true(hq_optab_completion(&tab, shells[ix], &b));
        assert_non_null(strstr(b.ptr, "submit"));
        assert_null(strstr(b.ptr, "resubmit"));
        assert_null(strstr(b.ptr, "hq jobs"));
        assert_null(strstr(b.ptr, "--log"));
    }
    assert_false(hq_optab_completion(&tab, "tcsh", &b));
    hq_buf_clear(&b);
    hq_optab_man(&tab, &root, "hq", "2026-01-31", &b);
    assert_non_null(strstr(b.ptr, ".TH \"hq\" \"1\" \"2026-01-31\" \"hyperqueue 1.2.3\""));
    assert_non_null(strstr(b.ptr, "\\fB\\-\\-pin <PIN>\\fR"));
    hq_buf_clear(&b);
    hq_optab_markdown(&tab, &b);
    assert_non_null(strstr(b.ptr, "## `hq job list`"));
    assert_non_null(strstr(b.ptr, "| `-t, --time-limit <TIME_LIMIT>` |"));
    hq_buf_fini(&b);
    hq_arena_fini(&r.arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_submit_words),
        cmocka_unit_test(test_dashed_values),
        cmocka_unit_test(test_optional_value),
        cmocka_unit_test(test_globals_and_environment),
        cmocka_unit_test(test_lists_add_up),
        cmocka_unit_test(test_old_spellings),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_other_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
