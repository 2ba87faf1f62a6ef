/* Option tables: every rule of the syntax, and what else the tables make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/optab_tree.h"

static void
test_submit_words(void **state)
{
    (void)state;
    struct optab_run r;
    optab_run(&r, "submit --name a --env X=1 --env Y=2 -t 1:30 foo --array 1-4 --server-dir /x", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    const struct optab_submit *a = r.parsed.args;
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
    optab_run_fini(&r);

    optab_run(&r, "submit --wait -- --odd -- x", NULL);
    a = r.parsed.args;
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_int_equal(a->command.count, 3);
    assert_true(hq_str_is(a->command.v[0], "--odd"));
    assert_true(hq_str_is(a->command.v[1], "--"));
    optab_run_fini(&r);
}

static void
test_enclosing_positional(void **state)
{
    (void)state;
    struct optab_run r;
    optab_run(&r, "log out cat 5", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_true(hq_str_is(*(const struct hq_str *)r.parsed.parent_args, "out"));
    assert_int_equal(*(const uint32_t *)r.parsed.args, 5);
    optab_run_fini(&r);
    optab_run(&r, "job list", NULL);
    assert_null(r.parsed.parent_args);
    optab_run_fini(&r);
}

/* A value may begin with a dash, glued or not; the reference knew only the glued form. */
static void
test_dashed_values(void **state)
{
    (void)state;
    static const char *const lines[] = {"submit --priority -5 x", "submit --priority=-5 x"};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(lines); ix++) {
        struct optab_run r;
        optab_run(&r, lines[ix], NULL);
        assert_int_equal(r.end, HQ_OPTAB_RUN);
        assert_int_equal(((const struct optab_submit *)r.parsed.args)->priority, -5);
        optab_run_fini(&r);
    }
    struct optab_run r;
    optab_run(&r, "submit --name - --time-limit=5 x", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_true(hq_str_is(((const struct optab_submit *)r.parsed.args)->name, "-"));
    optab_run_fini(&r);
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
        struct optab_run r;
        optab_run(&r, cases[ix].line, NULL);
        assert_int_equal(r.end, HQ_OPTAB_RUN);
        const struct optab_submit *a = r.parsed.args;
        assert_int_equal(a->pin, cases[ix].pin);
        assert_int_equal(a->command.count, cases[ix].words);
        optab_run_fini(&r);
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
    struct optab_run r;

    optab_run(&r, "job list", good);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_int_equal(r.globals.mode, 2);
    assert_true(hq_str_is(r.globals.dir, "/e"));
    assert_true(r.globals.debug);
    optab_run_fini(&r);

    optab_run(&r, "--server-dir /a job --output-mode=json list", good); /* at any position; flag beats variable */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_int_equal(r.globals.mode, 1);
    assert_true(hq_str_is(r.globals.dir, "/a"));
    assert_int_equal(r.parsed.word_ix[1], 5);
    optab_run_fini(&r);

    optab_run(&r, "job list", bad);
    assert_int_equal(r.end, HQ_OPTAB_USAGE);
    assert_string_equal(r.text.ptr, "error: invalid value 'xml' for '--output-mode <OUTPUT_MODE>'\n"
                                    "  [possible values: cli, json, quiet]\n" OPTAB_MORE);
    optab_run_fini(&r);

    optab_run(&r, "--output-mode=cli job list", bad); /* not looked at when the flag is given */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    optab_run_fini(&r);

    optab_run(&r, "job list", empty); /* was a usage error; means false now */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_false(r.globals.debug);
    optab_run_fini(&r);

    optab_run(&r, "job list", yes);
    assert_int_equal(r.end, HQ_OPTAB_USAGE);
    assert_string_equal(r.text.ptr,
                        "error: invalid value 'yes' for '--debug'\n  [possible values: true, false]\n" OPTAB_MORE);
    optab_run_fini(&r);
}

static void
test_lists_add_up(void **state)
{
    (void)state;
    struct optab_run r;
    optab_run(&r, "job list --filter waiting,finished --filter running -v", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    const struct optab_list *a = r.parsed.args;
    assert_int_equal(a->filter, 7);
    assert_true(a->verbose);
    optab_run_fini(&r);
}

static void
test_old_spellings(void **state)
{
    (void)state;
    struct optab_run r;
    optab_run(&r, "submit --log=out x", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_true(hq_str_is(((const struct optab_submit *)r.parsed.args)->stream, "out"));
    assert_true(hq_parsed_given(&r.parsed, "stream"));
    assert_string_equal(r.hints.ptr, "Option --log is an older spelling, use --stream\n");
    optab_run_fini(&r);
    optab_run(&r, "jobs --all", NULL);
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_string_equal(r.hints.ptr, "Command `hq jobs` is an older spelling, use `hq job list`\n");
    optab_run_fini(&r);
    optab_run(&r, "job sum", NULL); /* an alias */
    assert_int_equal(r.end, HQ_OPTAB_RUN);
    assert_string_equal(r.parsed.cmd->name, "summary");
    optab_run_fini(&r);
}

static void
test_help_and_version(void **state)
{
    (void)state;
    struct optab_run r;
    optab_run(&r, "--version", NULL);
    assert_int_equal(r.end, HQ_OPTAB_INFO);
    assert_string_equal(r.text.ptr, "hyperqueue 1.2.3\n");
    optab_run_fini(&r);
    optab_run(&r, "job list -h --foo", NULL);
    assert_int_equal(r.end, HQ_OPTAB_INFO);
    assert_string_equal(r.text.ptr, "Lists jobs.\n\nUsage: hq job list [OPTIONS]\n\nOptions:\n"
                                    "      --all                 All of them.\n"
                                    "      --filter <FILTER>...  States.\n"
                                    "  -v, --verbose             More columns.\n"
                                    "  -h, --help                Prints a summary; --help tells all.\n");
    optab_run_fini(&r);
    optab_run(&r, "job list --help", NULL);
    assert_int_equal(r.end, HQ_OPTAB_INFO);
    assert_non_null(strstr(r.text.ptr, "GLOBAL OPTIONS:\n      --server-dir <SERVER_DIR>\n"));
    assert_non_null(strstr(r.text.ptr, "[environment: T_MODE]"));
    assert_non_null(strstr(r.text.ptr, "[possible values: cli, json, quiet]"));
    optab_run_fini(&r);
    optab_run(&r, "job", NULL); /* help on stderr, exit 2 */
    assert_int_equal(r.end, HQ_OPTAB_USAGE);
    assert_non_null(strstr(r.text.ptr, "Commands:\n  list "));
    assert_null(strstr(r.text.ptr, "resubmit"));
    optab_run_fini(&r);
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
        struct optab_submit args = {0};
        struct hq_str words[4];
        size_t count = 0;
        uint64_t given = 0;
        hq_arena_init(&arena, 0);
        for (; cases[ix].words[count] != NULL; count++) {
            words[count] = hq_str_from(cases[ix].words[count]);
        }
        bool is_fine = hq_optab_parse_directives(optab_submit_opts, OPTAB_SUBMIT_OPTS, words, count, &args, &arena,
                                                 &given, &text, NULL);
        assert_int_equal(is_fine, cases[ix].text == NULL);
        if (cases[ix].text != NULL) {
            assert_string_equal(text.ptr, cases[ix].text);
        } else {
            assert_int_equal(given, hq_opt_bit(optab_submit_opts, OPTAB_SUBMIT_OPTS, "name") |
                                        hq_opt_bit(optab_submit_opts, OPTAB_SUBMIT_OPTS, "env"));
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
    struct optab_run r = {0};
    struct hq_optab tab = optab_tree(&r, NULL);
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
    optab_run_fini(&r);
}

static void
test_other_products(void **state)
{
    (void)state;
    struct optab_run r = {0};
    hq_arena_init(&r.arena, 0);
    struct hq_optab tab = optab_tree(&r, NULL);
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
    hq_optab_man(&tab, &optab_root, "hq", "2026-01-31", &b);
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

        cmocka_unit_test(test_submit_words),
        cmocka_unit_test(test_enclosing_positional),
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
