/* Options of submit: what each grammar takes and refuses, with the texts users know, and merging with directives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "hq/submit_args.h"

#define WORDS_MAX 16

static const struct hq_command submit_command = {.name = "submit",
                                                 .help = "Submit.",
                                                 .opts = submit_opts,
                                                 .opt_count = SUBMIT_OPTS,
                                                 .args_bytes = sizeof(struct submit_args)};
static const struct hq_command *const root = &submit_command;

struct run {
    struct hq_arena arena;
    struct hq_parsed parsed;
    struct hq_buf text;
    struct hq_buf hints;
    enum hq_optab_end end;
    struct submit_args *args;
};

/* Words separated by '|'. */
static void
run_init(struct run *r, const char *line)
{
    memset(r, 0, sizeof *r);
    hq_arena_init(&r->arena, 0);
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0;
    argv[argc++] = hq_arena_strz(&r->arena, HQ_STR("hq submit"));
    struct hq_str rest = hq_str_from(line);
    bool has_more = true;
    while (has_more) {
        struct hq_str word;
        has_more = hq_str_split(&rest, '|', &word);
        assert_true(argc < WORDS_MAX);
        argv[argc++] = hq_arena_strz(&r->arena, word);
    }
    struct hq_optab tab = {.root = root, .arena = &r->arena};
    r->end = hq_optab_parse_command(&tab, root, "hq submit", argc, argv, &r->parsed, &r->text, &r->hints);
    r->args = r->parsed.args;
}

static void
run_fini(struct run *r)
{
    hq_buf_fini(&r->text);
    hq_buf_fini(&r->hints);
    hq_arena_fini(&r->arena);
}

/* ---- refused on the command line */

static const struct {
    const char *line;
    const char *text; /* the message up to the pointer to --help */
} refused[] = {
    {"--stdout=|x",
     "error: invalid value '' for '--stdout <STDOUT>': Cannot parse stream: Unexpected end of input found, "
     "expected something else:\n(the input was empty)\n"},
    {"--stdout|a:foo|x", "error: invalid value 'a:foo' for '--stdout <STDOUT>': Cannot parse stream: Unexpected token "
                         "found while attempting to "
                         "parse rm-if-finished, expected r:\n  a:foo\n    |\n    --- Unexpected token `f`\n\n"},
    {"--stderr|a:rm-if-finishedx|x",
     "error: invalid value 'a:rm-if-finishedx' for '--stderr <STDERR>': Cannot parse stream: Unexpected token found, "
     "expected "
     "<end of input>:\n  a:rm-if-finishedx\n                  |\n                  --- Unexpected token `x`\n\n"},
    {"--stdout|a:rm-if-finished:x|x",
     "error: invalid value 'a:rm-if-finished:x' for '--stdout <STDOUT>': Cannot parse stream: Unexpected token found, "
     "expected <end of input>:\n  a:rm-if-finished:x\n                  |\n                  --- Unexpected token "
     "`:`\n\n"},
    {"--crash-limit|0|x", "error: Crash limit cannot be 0. Use `never-restart` or `unlimited` instead.\n"},
    {"--crash-limit|x|x", "error: Invalid crash limit: ParseIntError { kind: InvalidDigit }\n"},
    {"--crash-limit=-1|x", "error: Invalid crash limit: ParseIntError { kind: InvalidDigit }\n"},
    {"--crash-limit|65536|x", "error: Invalid crash limit: ParseIntError { kind: PosOverflow }\n"},
    {"--crash-limit=|x", "error: Invalid crash limit: ParseIntError { kind: Empty }\n"},
    {"--weight|0|x", "error: invalid value '0' for '--weight <WEIGHT>': Resource weight has to be positive number\n"},
    {"--weight=-1|x", "error: invalid value '-1' for '--weight <WEIGHT>': Resource weight has to be positive number\n"},
    {"--weight|0.00001|x",
     "error: invalid value '0.00001' for '--weight <WEIGHT>': Resource weight has to be positive number\n"},
    {"--weight|inf|x",
     "error: invalid value 'inf' for '--weight <WEIGHT>': Resource weight has to be positive number\n"},
    {"--weight|1e6|x", "error: invalid value '1e6' for '--weight <WEIGHT>': Resource weight is too large\n"},
    {"--env==x|x",
     "error: invalid value '=x' for '--env <ENV>': The name of an environment variable must not be empty\n"},
    {"--weight|x|x", "error: invalid value 'x' for '--weight <WEIGHT>': invalid float literal\n"},
    {"--weight|0x10|x", "error: invalid value '0x10' for '--weight <WEIGHT>': invalid float literal\n"},
    {"--weight|nan|x", "error: invalid value 'nan' for '--weight <WEIGHT>': invalid float literal\n"},
    {"--weight| 1|x", "error: invalid value ' 1' for '--weight <WEIGHT>': invalid float literal\n"},
    {"--pin=x|x", "error: invalid value 'x' for '--pin <PIN>'\n  [possible values: taskset, omp]\n"},
    {"--directives=x|x",
     "error: invalid value 'x' for '--directives <DIRECTIVES>'\n  [possible values: auto, file, stdin, off]\n"},
    {"--env=|x", "error: invalid value '' for '--env <ENV>': Environment variable must not be empty\n"},
    {"--nodes|2|--cpus|2|x", "error: the argument '--nodes <NODES>' cannot be used with '--cpus <CPUS>'\n"},
    {"--pin|taskset|--nodes|0|x", "error: the argument '--pin <PIN>' cannot be used with '--nodes <NODES>'\n"},
    {"--each-line|a|--from-json|b|x",
     "error: the argument '--each-line <EACH_LINE>' cannot be used with '--from-json <FROM_JSON>'\n"},
    {"--wait|--progress|x", "error: the argument '--wait' cannot be used with '--progress'\n"},
    {"--name|a|--name|b|x", "error: the argument '--name <NAME>' cannot be used multiple times\n"},
    {"--log|a|--stream|b|x", "error: the argument '--stream <STREAM>' cannot be used"},
    {"--stream=|x", "error: a value is required for '--stream <STREAM>' but none was supplied\n"},
    {"--cwd=|x", "error: a value is required for '--cwd <CWD>' but none was supplied\n"},
    {"--array|3-1|x", "error: invalid value '3-1' for '--array <ARRAY>': "},
    {"--cpus|0|x", "error: invalid value '0' for '--cpus <CPUS>': "},
    {"--resource|my_res=1|x", "error: invalid value 'my_res=1' for '--resource <RESOURCE>': "},
    {"--time-limit|1x|x", "error: invalid value '1x' for '--time-limit <TIME_LIMIT>': Could not parse PBS walltime."},
    {"--max-fails|x|x", "error: invalid value 'x' for '--max-fails <MAX_FAILS>': invalid digit found in string\n"},
    {"--job|last|x", "error: invalid value 'last' for '--job <JOB>': invalid digit found in string\n"},
    {"--priority=99999999999|x",
     "error: invalid value '99999999999' for '--priority <PRIORITY>': number too large to fit in target type\n"},
    {"--array|5",
     "error: the following required arguments were not provided:\n  <COMMANDS>...\n\nUsage: hq submit --array <ARRAY> "
     "<COMMANDS>...\n"},
    {"--frobnicate|x", "error: unexpected argument '--frobnicate' found\n"},
};

static void
test_refused(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(refused); ix++) {
        struct run r;
        run_init(&r, refused[ix].line);
        if (r.end != HQ_OPTAB_USAGE || strncmp(r.text.ptr, refused[ix].text, strlen(refused[ix].text)) != 0) {
            fail_msg("%s: end %d\n%s", refused[ix].line, (int)r.end, r.text.ptr != NULL ? r.text.ptr : "");
        }
        run_fini(&r);
    }
}

/* ---- taken */

static void
print_stdio(struct hq_buf *b, const char *name, const struct submit_stdio *io)
{
    hq_buf_printf(b, " %s=%s%.*s%s", name, io->is_none ? "<none>" : "", HQ_STR_FMT(io->path),
                  io->remove_if_finished ? "!" : "");
}

/* Everything that was given, as one line. */
static void
print_args(struct hq_buf *b, const struct run *r)
{
    const struct submit_args *a = r->args;
    uint64_t given = r->parsed.typed;
    hq_buf_printf(b, "crash=%u priority=%d directives=%d pin=%d", a->crash_limit, a->priority, a->directives, a->pin);
    if (submit_args_given(given, "stdout")) {
        print_stdio(b, "stdout", &a->to_stdout);
    }
    if (submit_args_given(given, "stderr")) {
        print_stdio(b, "stderr", &a->to_stderr);
    }
    if (submit_args_given(given, "weight")) {
        hq_buf_printf(b, " weight=%llu", (unsigned long long)a->weight_x10000);
    }
    if (submit_args_given(given, "cpus")) {
        hq_buf_printf(b, " cpus=%llu:%d", (unsigned long long)a->cpus.amount, (int)a->cpus.policy);
    }
    if (submit_args_given(given, "stream")) {
        hq_buf_printf(b, " stream=%.*s", HQ_STR_FMT(a->stream));
    }
    for (size_t ix = 0; ix < a->resources.count; ix++) {
        hq_buf_printf(b, " %.*s=%llu", HQ_STR_FMT(a->resources.v[ix].name),
                      (unsigned long long)a->resources.v[ix].amount);
    }
    for (size_t ix = 0; ix < a->env.count; ix++) {
        hq_buf_printf(b, " <%.*s><%.*s>", HQ_STR_FMT(a->env.v[ix].key), HQ_STR_FMT(a->env.v[ix].value));
    }
    hq_buf_cstr(b, " --");
    for (size_t ix = 0; ix < a->command.count; ix++) {
        hq_buf_printf(b, " %.*s", HQ_STR_FMT(a->command.v[ix]));
    }
}

static const struct {
    const char *line;
    const char *args;
} taken[] = {
    {"x", "crash=5 priority=0 directives=0 pin=0 -- x"},
    {"x|--array|1-4", "crash=5 priority=0 directives=0 pin=0 -- x --array 1-4"},
    {"--|-x", "crash=5 priority=0 directives=0 pin=0 -- -x"},
    {"--priority|-5|x", "crash=5 priority=-5 directives=0 pin=0 -- x"},
    {"--crash-limit|unlimited|x", "crash=4294967295 priority=0 directives=0 pin=0 -- x"},
    {"--crash-limit|never-restart|x", "crash=0 priority=0 directives=0 pin=0 -- x"},
    {"--crash-limit|+7|x", "crash=7 priority=0 directives=0 pin=0 -- x"},
    {"--crash-limit|65535|x", "crash=65535 priority=0 directives=0 pin=0 -- x"},
    {"--pin|x", "crash=5 priority=0 directives=0 pin=1 -- x"},
    {"--pin|omp|x", "crash=5 priority=0 directives=0 pin=2 -- x"},
    {"--pin|none|x", "crash=5 priority=0 directives=0 pin=0 -- x"},
    {"--pin|--directives|off|x", "crash=5 priority=0 directives=3 pin=1 -- x"},
    {"--stdout|none|--stderr|a b|x", "crash=5 priority=0 directives=0 pin=0 stdout=<none> stderr=a b -- x"},
    {"--stdout|:rm-if-finished|x", "crash=5 priority=0 directives=0 pin=0 stdout=! -- x"},
    {"--stdout|a:rm-if-finished|x", "crash=5 priority=0 directives=0 pin=0 stdout=a! -- x"},
    {"--stdout|  a|x", "crash=5 priority=0 directives=0 pin=0 stdout=a -- x"},
    {"--stdout|none:rm-if-finished|x", "crash=5 priority=0 directives=0 pin=0 stdout=none! -- x"},
    {"--stdout|d:1/o|--stderr|10:20|x", "crash=5 priority=0 directives=0 pin=0 stdout=d:1/o stderr=10:20 -- x"},
    {"--weight|2.5|x", "crash=5 priority=0 directives=0 pin=0 weight=25000 -- x"},
    {"--weight|1.23456|x", "crash=5 priority=0 directives=0 pin=0 weight=12346 -- x"},
    {"--weight|429496.7295|x", "crash=5 priority=0 directives=0 pin=0 weight=4294967295 -- x"},
    {"--cpus|2scatter|--resource|foo=0.5|--resource|bar=3|x",
     "crash=5 priority=0 directives=0 pin=0 cpus=20000:4 foo=5000 bar=30000 -- x"},
    {"--env|A=1|--env|B|--env|C=x=y|x", "crash=5 priority=0 directives=0 pin=0 <A><1> <B><> <C><x=y> -- x"},
    {"--log|d|x", "crash=5 priority=0 directives=0 pin=0 stream=d -- x"},
    {"--array|1-4|x|y z|", "crash=5 priority=0 directives=0 pin=0 -- x y z "},
};

static void
test_taken(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(taken); ix++) {
        struct run r;
        run_init(&r, taken[ix].line);
        if (r.end != HQ_OPTAB_RUN) {
            fail_msg("%s: %s", taken[ix].line, r.text.ptr);
        }
        struct hq_buf b = HQ_BUF_INIT;
        print_args(&b, &r);
        assert_string_equal(b.ptr, taken[ix].args);
        hq_buf_fini(&b);
        run_fini(&r);
    }
}

static void
test_log_is_an_older_spelling(void **state)
{
    (void)state;
    struct run r;
    run_init(&r, "--log|d|x");
    assert_true(submit_args_given(r.parsed.given, "stream"));
    assert_string_equal(r.hints.ptr, "Option --log is an older spelling, use --stream\n");
    run_fini(&r);
}

/* ---- merging with directives */

struct merge_case {
    const char *line;
    const char *words; /* of directives */
    const char *args;  /* print_args of the result, or the error */
};
static const struct merge_case merges[] = {
    {"x", "--priority=3|--pin|omp|--crash-limit=2", "crash=2 priority=3 directives=0 pin=2 -- x"},
    {"--priority|0|x", "--priority=3", "crash=5 priority=0 directives=0 pin=0 -- x"},
    {"--stdout|a|x", "--stdout=b|--stderr=c", "crash=5 priority=0 directives=0 pin=0 stdout=a stderr=c -- x"},
    {"--env|A=1|x", "--env|A=2|--env|B=2", "crash=5 priority=0 directives=0 pin=0 <A><2> <B><2> <A><1> -- x"},
    {"--resource|a=1|x", "--resource|b=2|--cpus|3",
     "crash=5 priority=0 directives=0 pin=0 cpus=30000:0 a=10000 b=20000 -- x"},
    {"--cpus|1|x", "--cpus|3", "crash=5 priority=0 directives=0 pin=0 cpus=10000:0 -- x"},
    {"--weight|2|x", "--weight|3", "crash=5 priority=0 directives=0 pin=0 weight=20000 -- x"},
    {"x", "--weight|3", "crash=5 priority=0 directives=0 pin=0 weight=30000 -- x"},
    {"--stream|s|x", "--log|t", "crash=5 priority=0 directives=0 pin=0 stream=s -- x"},
    {"x", "--log|t", "crash=5 priority=0 directives=0 pin=0 stream=t -- x"},
    {"--nodes|2|x", "--cpus|3", "the argument '--nodes <NODES>' cannot be used with '--cpus <CPUS>'"},
    {"--pin|x", "--nodes|2", "the argument '--nodes <NODES>' cannot be used with '--pin <PIN>'"},
};

static struct hq_strv
split_words(const char *line, struct hq_arena *arena)
{
    struct hq_strv v = {0};
    struct hq_str rest = hq_str_from(line);
    bool has_more = true;
    while (has_more) {
        struct hq_str word;
        has_more = hq_str_split(&rest, '|', &word);
        hq_arena_grow(arena, &v.v, &v.cap, v.count + 1, sizeof *v.v);
        v.v[v.count++] = word;
    }
    return v;
}

static void
merge_one(const struct merge_case *c, struct hq_buf *got)
{
    struct run r;
    struct hq_err err = {0};
    run_init(&r, c->line);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    struct hq_strv words = split_words(c->words, &r.arena);
    struct submit_args dir = {0};
    uint64_t given = 0;
    assert_true(hq_optab_parse_directives(submit_opts, SUBMIT_OPTS, words.v, words.count, &dir, &r.arena, &given,
                                          &r.text, NULL));
    if (submit_args_merge(r.args, &r.parsed.typed, &dir, given, &r.arena, &err) < 0) {
        hq_buf_cstr(got, err.text);
    } else {
        print_args(got, &r);
    }
    run_fini(&r);
}

static void
test_merge(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(merges); ix++) {
        struct hq_buf b = HQ_BUF_INIT;
        merge_one(&merges[ix], &b);
        assert_string_equal(b.ptr, merges[ix].args);
        hq_buf_fini(&b);
    }
}

static void
test_sources_are_one_unit(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct run r;
    run_init(&r, "--array|7|x");
    struct submit_args dir = {0};
    dir.each_line = HQ_STR("lines");
    uint64_t given = hq_opt_bit(submit_opts, SUBMIT_OPTS, "each-line");
    assert_int_equal(submit_args_merge(r.args, &r.parsed.given, &dir, given, &r.arena, &err), 0);
    assert_false(submit_args_given(r.parsed.given, "each-line"));
    run_fini(&r);
    run_init(&r, "--task-dir|x");
    assert_int_equal(submit_args_merge(r.args, &r.parsed.given, &dir, given, &r.arena, &err), 0);
    assert_true(submit_args_given(r.parsed.given, "each-line"));
    assert_true(hq_str_is(r.args->each_line, "lines"));
    assert_true(r.args->task_dir);
    run_fini(&r);
}

/* Only these may stand in #HQ lines. */
static void
test_directive_rows(void **state)
{
    (void)state;
    static const char *const not_there[] = {"job",       "wait",  "progress",   "fail",
                                            "on-notify", "stdin", "directives", "commands"};
    size_t count = 0;
    for (size_t ix = 0; ix < SUBMIT_OPTS; ix++) {
        bool is_out = false;
        for (size_t k = 0; k < HQ_ARRAY_LEN(not_there); k++) {
            is_out = is_out || strcmp(submit_opts[ix].name, not_there[k]) == 0;
        }
        assert_int_equal((submit_opts[ix].flags & HQ_OPT_DIRECTIVE) == 0, is_out);
        count += is_out;
    }
    assert_int_equal(count, HQ_ARRAY_LEN(not_there));
}

static void
test_name(void **state)
{
    (void)state;
    struct hq_err err = {0};
    assert_int_equal(submit_check_name(HQ_STR("a b"), &err), 0);
    assert_int_equal(submit_check_name(HQ_STR("a\nb"), &err), -EINVAL);
    assert_string_equal(err.text, "name cannot have a newline or a tab");
    assert_int_equal(submit_check_name(HQ_STR("a\t"), &err), -EINVAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_log_is_an_older_spelling),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_sources_are_one_unit),
        cmocka_unit_test(test_directive_rows),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
