/* Option tables: every error text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/optab_tree.h"

#define SUBMIT_USAGE "\nUsage: hq submit [OPTIONS] <COMMANDS>...\n" OPTAB_MORE

static const struct {
    const char *line;
    const char *text;
} errors[] = {
    /* values */
    {"--server-dir= job list",
     "error: a value is required for '--server-dir <SERVER_DIR>' but none was supplied\n" OPTAB_MORE},
    {"--output-mode=xml job list", "error: invalid value 'xml' for '--output-mode <OUTPUT_MODE>'\n  [possible values: "
                                   "cli, json, quiet]\n" OPTAB_MORE},
    {"--output-mode=JSON job list", "error: invalid value 'JSON' for '--output-mode <OUTPUT_MODE>'\n  [possible "
                                    "values: cli, json, quiet]\n" OPTAB_MORE},
    {"job list --filter=", "error: a value is required for '--filter <FILTER>' but none was supplied\n"
                           "  [possible values: waiting, running, finished]\n" OPTAB_MORE},
    {"job list --filter running,done", "error: invalid value 'done' for '--filter <FILTER>'\n"
                                       "  [possible values: waiting, running, finished]\n" OPTAB_MORE},
    {"server --client-port 70000",
     "error: invalid value '70000' for '--client-port <CLIENT_PORT>': 70000 is not in 0..=65535\n" OPTAB_MORE},
    {"submit --nodes=-1 x",
     "error: invalid value '-1' for '--nodes <NODES>': -1 is not in 0..=4294967295\n" OPTAB_MORE},
    {"submit --nodes x true",
     "error: invalid value 'x' for '--nodes <NODES>': invalid digit found in string\n" OPTAB_MORE},
    {"submit --priority=99999999999 x", "error: invalid value '99999999999' for '--priority <PRIORITY>': number too "
                                        "large to fit in target type\n" OPTAB_MORE},
    {"submit --weight=-1 x",
     "error: invalid value '-1' for '--weight <WEIGHT>': invalid digit found in string\n" OPTAB_MORE},
    {"submit --array 3-1 true", "error: invalid value '3-1' for '--array <ARRAY>': Unexpected end of input found while "
                                "attempting to parse Integer "
                                "range, expected something else:\n  3-1\n  |\n  --- Invalid range\n\n" OPTAB_MORE},
    {"submit --array= true",
     "error: invalid value '' for '--array <ARRAY>': Unexpected end of input found while "
     "attempting to parse number, expected something else:\n(the input was empty)\n" OPTAB_MORE},
    {"submit --time-limit xx true", "error: invalid value 'xx' for '--time-limit <TIME_LIMIT>': Could not parse PBS "
                                    "walltime. Use either `HH:MM:SS` or "
                                    "humantime format (2hours): NumberExpected(0)\n" OPTAB_MORE},
    {"submit --crash-limit 0 true", "error: Crash limit cannot be 0.\n"},
    {"submit --pin=x true",
     "error: invalid value 'x' for '--pin <PIN>'\n  [possible values: taskset, omp]\n" OPTAB_MORE},
    {"submit --array -- true", "error: a value is required for '--array <ARRAY>' but none was supplied\n" OPTAB_MORE},
    {"submit --name", "error: a value is required for '--name <NAME>' but none was supplied\n" OPTAB_MORE},
    {"submit --name --wait x", "error: a value is required for '--name <NAME>' but none was supplied\n" OPTAB_MORE},
    {"submit --name -t x", "error: a value is required for '--name <NAME>' but none was supplied\n" OPTAB_MORE},
    {"submit --wait=1 x", "error: unexpected value '1' for '--wait' found; no more were expected\n" SUBMIT_USAGE},
    /* unknown words */
    {"-v", "error: unexpected argument '-v' found\n\nUsage: hq [OPTIONS] <COMMAND>\n" OPTAB_MORE},
    {"job list -x", "error: unexpected argument '-x' found\n\nUsage: hq job list [OPTIONS]\n" OPTAB_MORE},
    {"jobz", "error: unrecognized subcommand 'jobz'\n\n  tip: a similar subcommand exists: 'job'\n\n"
             "Usage: hq [OPTIONS] <COMMAND>\n" OPTAB_MORE},
    {"help", "error: unrecognized subcommand 'help'\n\nUsage: hq [OPTIONS] <COMMAND>\n" OPTAB_MORE},
    {"job resubmit 1", "error: unrecognized subcommand 'resubmit'\n\n"
                       "  tip: some similar subcommands exist: 'submit-file', 'submit'\n"
                       "  tip: use `hq submit --array`\n\nUsage: hq job [OPTIONS] <COMMAND>\n" OPTAB_MORE},
    {"job resubmi", "error: unrecognized subcommand 'resubmi'\n\n"
                    "  tip: some similar subcommands exist: 'submit-file', 'submit'\n\nUsage: hq job [OPTIONS] "
                    "<COMMAND>\n" OPTAB_MORE},
    {"--out=json job list", "error: unexpected argument '--out' found\n\n"
                            "  tip: a similar argument exists: '--output-mode'\n\n"
                            "Usage: hq --output-mode <OUTPUT_MODE> <COMMAND>\n" OPTAB_MORE},
    {"job list 1", "error: unexpected argument '1' found\n\nUsage: hq job list [OPTIONS]\n" OPTAB_MORE},
    {"job info 1 2", "error: unexpected argument '2' found\n\nUsage: hq job info [OPTIONS] <SELECTOR>\n" OPTAB_MORE},
    {"job info 1 --foo",
     "error: unexpected argument '--foo' found\n\n"
     "  tip: to pass '--foo' as a value, use '-- --foo'\n\nUsage: hq job info <SELECTOR>\n" OPTAB_MORE},
    {"submit --frobnicate true", "error: unexpected argument '--frobnicate' found\n\n"
                                 "  tip: to pass '--frobnicate' as a value, use '-- --frobnicate'\n" SUBMIT_USAGE},
    {"submit --array --frobnicate true", "error: unexpected argument '--frobnicate' found\n\n"
                                         "  tip: to pass '--frobnicate' as a value, use '-- --frobnicate'\n\n"
                                         "Usage: hq submit --array <ARRAY> <COMMANDS>...\n" OPTAB_MORE},
    {"submit -x true", "error: unexpected argument '-x' found\n\n"
                       "  tip: to pass '-x' as a value, use '-- -x'\n" SUBMIT_USAGE},
    {"job -V", "error: unexpected argument '-V' found\n\nUsage: hq job [OPTIONS] <COMMAND>\n" OPTAB_MORE},
    {"job list --al", "error: unexpected argument '--al' found\n\n  tip: a similar argument exists: '--all'\n\n"
                      "Usage: hq job list --all\n" OPTAB_MORE},
    /* a command with a positional of its own and sub-commands */
    {"log out", "error: 'hq log' requires a subcommand but one was not provided\n  [subcommands: summary, cat]\n\n"
                "Usage: hq log [OPTIONS] <PATH> <COMMAND>\n" OPTAB_MORE},
    {"log out foo", "error: unexpected argument 'foo' found\n\nUsage: hq log [OPTIONS] <PATH> <COMMAND>\n" OPTAB_MORE},
    {"log out cat", "error: the following required arguments were not provided:\n  <SELECTOR>\n\n"
                    "Usage: hq log <PATH> cat <SELECTOR>\n" OPTAB_MORE},
    {"log cat 1", "error: the following required arguments were not provided:\n  <PATH>\n\n"
                  "Usage: hq log <PATH> <COMMAND>\n" OPTAB_MORE},
    /* repetitions and conflicts */
    {"job list --output-mode=json --output-mode=json",
     "error: the argument '--output-mode <OUTPUT_MODE>' cannot be "
     "used multiple times\n\nUsage: hq job list [OPTIONS]\n" OPTAB_MORE},
    {"submit --name a --name b true",
     "error: the argument '--name <NAME>' cannot be used multiple times\n" SUBMIT_USAGE},
    {"submit --wait --wait true", "error: the argument '--wait' cannot be used multiple times\n" SUBMIT_USAGE},
    {"submit --log a --stream b true",
     "error: the argument '--stream <STREAM>' cannot be used multiple times\n" SUBMIT_USAGE},
    {"job list --all --filter waiting",
     "error: the argument '--all' cannot be used with '--filter <FILTER>'\n\nUsage: hq job list --all\n" OPTAB_MORE},
    {"submit --wait --progress true", "error: the argument '--wait' cannot be used with '--progress'\n\nUsage: hq "
                                      "submit --wait <COMMANDS>...\n" OPTAB_MORE},
    {"submit --nodes 2 --pin omp true", "error: the argument '--nodes <NODES>' cannot be used with '--pin <PIN>'\n\n"
                                        "Usage: hq submit --nodes <NODES> <COMMANDS>...\n" OPTAB_MORE},
    {"submit --wait --pin taskset --nodes 0 true",
     "error: the argument '--pin <PIN>' cannot be used with '--nodes <NODES>'\n\n"
     "Usage: hq submit --wait --pin <PIN> <COMMANDS>...\n" OPTAB_MORE},
    {"submit --nodes 0 --cpus 1 --pin true",
     "error: the argument '--nodes <NODES>' cannot be used with:\n  --cpus <CPUS>\n  --pin <PIN>\n\n"
     "Usage: hq submit --nodes <NODES> <COMMANDS>...\n" OPTAB_MORE},
    /* missing ones */
    {"submit", "error: the following required arguments were not provided:\n  <COMMANDS>...\n\n"
               "Usage: hq submit <COMMANDS>...\n" OPTAB_MORE},
    {"submit --", "error: the following required arguments were not provided:\n  <COMMANDS>...\n\n"
                  "Usage: hq submit <COMMANDS>...\n" OPTAB_MORE},
    {"job submit --env true", "error: the following required arguments were not provided:\n  <COMMANDS>...\n\n"
                              "Usage: hq job submit --env <ENV> <COMMANDS>...\n" OPTAB_MORE},
    {"server full.json --client-port 1",
     "error: the following required arguments were not provided:\n  --worker-port <WORKER_PORT>\n\n"
     "Usage: hq server --client-port <CLIENT_PORT> --worker-port <WORKER_PORT> <ACCESS_FILE>\n" OPTAB_MORE},
    {"--output-mode json", "error: 'hq' requires a subcommand but one was not provided\n"
                           "  [subcommands: server, job, submit, log]\n\nUsage: hq [OPTIONS] <COMMAND>\n" OPTAB_MORE},
};

static void
test_errors(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(errors); ix++) {
        struct optab_run r;
        optab_run(&r, errors[ix].line, NULL);
        if (r.text.ptr == NULL || strcmp(r.text.ptr, errors[ix].text) != 0) {
            print_error("hq %s\nwanted:\n%s\ngot:\n%s\n", errors[ix].line, errors[ix].text, r.text.ptr);
            fail();
        }
        assert_int_equal(r.end, HQ_OPTAB_USAGE);
        optab_run_fini(&r);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
