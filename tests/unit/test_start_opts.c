/* Options of server start and worker start, and the tables both print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/start_opts.h"

static struct hq_arena arena;
static struct hq_buf text;
static struct hq_buf hints;

static enum hq_optab_end
parse(const struct hq_opt *opts, size_t count, size_t args_bytes, const char *const *words, struct hq_parsed *ret)
{
    static struct hq_global_args globals;
    static struct hq_command cmd;
    char *argv[16];
    int argc = 0;
    cmd = (struct hq_command){.name = "hq", .help = "x", .opts = opts, .opt_count = count, .args_bytes = args_bytes};
    globals = (struct hq_global_args){0};
    struct hq_optab tab = {.root = &cmd,
                           .globals = hq_global_opts,
                           .global_count = HQ_GLOBAL_OPTS,
                           .global_args = &globals,
                           .arena = &arena};
    static char name[] = "hq";
    argv[argc++] = name;
    for (; *words != NULL; words++) {
        argv[argc++] = hq_arena_strz(&arena, hq_str_from(*words));
    }
    hq_buf_clear(&text);
    hq_buf_clear(&hints);
    return hq_optab_parse(&tab, argc, argv, ret, &text, &hints);
}

static enum hq_optab_end
parse_worker(const char *const *words, struct hq_parsed *ret)
{
    return parse(hq_worker_start_opts, HQ_WORKER_START_OPTS, sizeof(struct hq_worker_start_args), words, ret);
}

static enum hq_optab_end
parse_server(const char *const *words, struct hq_parsed *ret)
{
    return parse(hq_server_start_opts, HQ_SERVER_START_OPTS, sizeof(struct hq_server_start_args), words, ret);
}

static int
set_up(void **state)
{
    (void)state;
    hq_arena_init(&arena, 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    hq_arena_fini(&arena);
    hq_buf_fini(&text);
    hq_buf_fini(&hints);
    return 0;
}

static void
test_worker_defaults(void **state)
{
    (void)state;
    struct hq_parsed p;
    static const char *const none[] = {NULL};
    assert_int_equal(parse_worker(none, &p), HQ_OPTAB_RUN);
    const struct hq_worker_start_args *a = p.args;
    assert_int_equal(a->detect, HQ_DETECT_ALL);
    assert_int_equal(a->heartbeat_ms, 8000);
    assert_int_equal(a->retract_check_ms, 30000);
    assert_int_equal(a->on_server_lost, HQ_LOST_RECONNECT);
    assert_int_equal(a->manager, HQ_MANAGER_DETECT);
    assert_int_equal(a->min_utilization_x10000, 0);
    assert_false(hq_parsed_given(&p, "cpus"));
}

static void
test_worker_values(void **state)
{
    (void)state;
    struct hq_parsed p;
    static const char *const words[] = {"--cpus=2x4",
                                        "--resource",
                                        "foo=[a,b]",
                                        "--resource=mem=sum(10.5)",
                                        "--detect-resources=cpus,gpus/amd",
                                        "--on-server-lost",
                                        "finish-running",
                                        "--min-utilization=0.3",
                                        "--overview-interval=10s",
                                        "--manager=slurm",
                                        "--group=",
                                        NULL};
    assert_int_equal(parse_worker(words, &p), HQ_OPTAB_RUN);
    const struct hq_worker_start_args *a = p.args;
    assert_true(hq_parsed_given(&p, "cpus"));
    assert_int_equal(a->cpus.kind, HQ_POOL_GROUPS);
    assert_int_equal(a->resources.count, 2);
    assert_true(hq_str_is(a->resources.v[1].name, "mem"));
    assert_int_equal(a->detect, HQ_DETECT_CPUS | HQ_DETECT_AMD);
    assert_int_equal(a->on_server_lost, HQ_LOST_FINISH_RUNNING);
    assert_int_equal(a->min_utilization_x10000, 3000);
    assert_int_equal(a->overview_ms, 10000);
    assert_int_equal(a->manager, HQ_MANAGER_SLURM);
}

static void
test_worker_old_spellings(void **state)
{
    (void)state;
    struct hq_parsed p;
    static const char *const words[] = {"--no-detect-resources", "--on-worker-lost=stop", NULL};
    static const char *const both[] = {"--no-detect-resources", "--detect-resources=all", NULL};
    assert_int_equal(parse_worker(words, &p), HQ_OPTAB_RUN);
    const struct hq_worker_start_args *a = p.args;
    assert_int_equal(a->detect, 0); /* not overwritten by the default of --detect-resources */
    assert_int_equal(a->on_server_lost, HQ_LOST_STOP);
    assert_string_equal(hints.ptr, "Option --no-detect-resources is an older spelling, use --detect-resources=none\n"
                                   "Option --on-worker-lost is an older spelling, use --on-server-lost\n");
    assert_int_equal(parse_worker(both, &p), HQ_OPTAB_USAGE);
}

static void
test_worker_errors(void **state)
{
    (void)state;
#define MORE "\nFor more information, try '--help'.\n"
    static const struct {
        const char *word;
        const char *want;
    } cases[] = {
        {"--detect-resources=cpus,foo", "error: invalid variant: foo\n\nUsage: hq [OPTIONS]\n" MORE},
        {"--detect-resources=", "error: invalid variant: \n\nUsage: hq [OPTIONS]\n" MORE},
        {"--min-utilization=1.5", "error: invalid value '1.5' for '--min-utilization <MIN_UTILIZATION>': Minimal "
                                  "utilization has to be in the interval [0.0, 1.0].\n" MORE},
        {"--min-utilization=x", "error: invalid value 'x' for '--min-utilization <MIN_UTILIZATION>': invalid float "
                                "literal\n" MORE},
        {"--overview-interval=10", "error: invalid value '10' for '--overview-interval <OVERVIEW_INTERVAL>': time unit "
                                   "needed, for example 10sec or 10ms\n" MORE},
        {"--on-server-lost=foo", "error: invalid value 'foo' for '--on-server-lost <ON_SERVER_LOST>'\n  [possible "
                                 "values: stop, finish-running, reconnect]\n" MORE},
        {"--cpus=x", "error: invalid value 'x' for '--cpus <CPUS>': Unexpected token found while attempting to parse "
                     "resource kind, expected range or sum:\n  x\n  |\n  --- Unexpected token `x`\n\n" MORE},
        {"--resource=foo",
         "error: invalid value 'foo' for '--resource <RESOURCE>': Unexpected end of input found while "
         "attempting to parse resource name, expected =:\n  foo\n     |\n     --- Unexpected end of "
         "input\n\n" MORE},
        {"extra", "error: unexpected argument 'extra' found\n\nUsage: hq [OPTIONS]\n" MORE},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_parsed p;
        const char *words[] = {cases[ix].word, NULL};
        assert_int_equal(parse_worker(words, &p), HQ_OPTAB_USAGE);
        assert_string_equal(text.ptr, cases[ix].want);
    }
}

static void
test_server_values(void **state)
{
    (void)state;
    struct hq_parsed p;
    static const char *const words[] = {
        "--host=h", "--client-port", "0", "--event-log-path=j", "--event-store-size=9", "--idle-timeout=5m", NULL};
    assert_int_equal(parse_server(words, &p), HQ_OPTAB_RUN);
    const struct hq_server_start_args *a = p.args;
    assert_true(hq_str_is(a->host, "h"));
    assert_true(hq_str_is(a->journal, "j"));
    assert_true(hq_parsed_given(&p, "client-port"));
    assert_false(hq_parsed_given(&p, "worker-port"));
    assert_int_equal(a->idle_timeout_ms, 300000);
    assert_string_equal(hints.ptr, "Option --event-log-path is an older spelling, use --journal\n"
                                   "Option --event-store-size has no effect any more\n");
    static const char *const empty[] = {"--journal=", NULL};
    assert_int_equal(parse_server(empty, &p), HQ_OPTAB_USAGE);
    assert_string_equal(text.ptr, "error: a value is required for '--journal <JOURNAL>' but none was supplied\n" MORE);
}

#define NOON INT64_C(1769860800000)

static const struct hq_server_view server = {.server_uid = {"aB3xYz", 6},
                                             .client_host = {"127.0.0.1", 9},
                                             .client_port = 41001,
                                             .worker_host = {"127.0.0.1", 9},
                                             .worker_port = 41002,
                                             .version = {"1.0.0", 5},
                                             .pid = 12345,
                                             .started_at_ms = NOON};

static void
test_server_view(void **state)
{
    (void)state;
    struct hq_out out;
    struct hq_server_view v = server;
    hq_out_init(&out, HQ_OUT_CLI, false, -1);
    hq_server_view_print(&v, false, &out);
    assert_string_equal(out.buf.ptr, "+--------------+-------------------------+\n"
                                     "| Server UID   | aB3xYz                  |\n"
                                     "| Client host  | 127.0.0.1               |\n"
                                     "| Client port  | 41001                   |\n"
                                     "| Worker host  | 127.0.0.1               |\n"
                                     "| Worker port  | 41002                   |\n"
                                     "| Version      | 1.0.0                   |\n"
                                     "| Pid          | 12345                   |\n"
                                     "| Start date   | 2026-01-31 12:00:00 UTC |\n"
                                     "| Journal path |                         |\n"
                                     "+--------------+-------------------------+\n");
    hq_buf_clear(&out.buf);
    out.mode = HQ_OUT_JSON;
    v.server_dir = HQ_STR("/home/u/.hq-server");
    v.journal_path = HQ_STR("j.bin");
    hq_server_view_print(&v, true, &out);
    assert_string_equal(
        out.buf.ptr, "{\n  \"client_host\": \"127.0.0.1\",\n  \"client_port\": 41001,\n  \"journal_path\": \"j.bin\",\n"
                     "  \"pid\": 12345,\n  \"server_dir\": \"/home/u/.hq-server\",\n  \"server_uid\": \"aB3xYz\",\n"
                     "  \"start_date\": \"2026-01-31T12:00:00.000000000Z\",\n  \"version\": \"1.0.0\",\n"
                     "  \"worker_host\": \"127.0.0.1\",\n  \"worker_port\": 41002\n}\n");
    hq_buf_clear(&out.buf);
    out.mode = HQ_OUT_QUIET;
    hq_server_view_print(&v, false, &out); /* server info says nothing */
    assert_int_equal(out.buf.len, 0);
    hq_server_view_print(&v, true, &out);
    assert_string_equal(out.buf.ptr, "/home/u/.hq-server\n");
    hq_out_fini(&out);
}

static void
test_worker_view(void **state)
{
    (void)state;
    struct hq_str values[] = {HQ_STR("a"), HQ_STR("b c")};
    struct hq_pool_group group = {values, 2};
    struct hq_pool pools[] = {
        {.name = HQ_STR("cpus"), .kind = HQ_POOL_RANGE, .range_first = 0, .range_last = 3},
        {.name = HQ_STR("foo"), .kind = HQ_POOL_LIST, .groups = &group, .group_count = 1},
        {.name = HQ_STR("mem"), .kind = HQ_POOL_SUM, .sum = 20485000},
    };
    struct hq_pools all = {.v = pools, .count = 3};
    struct hq_worker_view v = {.worker_id = 1,
                               .hostname = HQ_STR("node1"),
                               .started_at_ms = NOON + 120,
                               .listen_address = HQ_STR("node1:41003"),
                               .work_dir = HQ_STR("/wd"),
                               .heartbeat_ms = 8000,
                               .time_limit_ms = 3600000,
                               .min_utilization_x10000 = 3000,
                               .pools = &all,
                               .pid = 12345,
                               .group = HQ_STR("default"),
                               .manager = HQ_MANAGER_NONE,
                               .has_last_task = true,
                               .last_job_id = 1,
                               .last_task_id = 3,
                               .last_task_at_ms = NOON,
                               .has_runtime = true,
                               .assigned_tasks = 2,
                               .running_tasks = 1,
                               .is_reserved = true};
    struct hq_out out;
    hq_out_init(&out, HQ_OUT_CLI, false, -1);
    hq_worker_view_table(&v, &out);
    assert_string_equal(
        out.buf.ptr,
        "+-------------------+---------------------------------------------------------------------+\n"
        "| Worker            | 1                                                                   |\n"
        "| State             | RUNNING                                                             |\n"
        "| Hostname          | node1                                                               |\n"
        "| Started           | \"2026-01-31T12:00:00.120000000Z\"                                    |\n"
        "| Data provider     | node1:41003                                                         |\n"
        "| Working directory | /wd                                                                 |\n"
        "| Heartbeat         | 8s                                                                  |\n"
        "| Idle timeout      | None                                                                |\n"
        "| Overview interval | None                                                                |\n"
        "| Resources         | cpus: 4                                                             |\n"
        "|                   | foo: 2                                                              |\n"
        "|                   | mem: 2.00 GiB                                                       |\n"
        "| Time Limit        | 1h                                                                  |\n"
        "| Process pid       | 12345                                                               |\n"
        "| Group             | default                                                             |\n"
        "| Manager           | None                                                                |\n"
        "| Manager Job ID    | N/A                                                                 |\n"
        "| Last task started | 1@3; Time: \"2026-01-31T12:00:00.000000000Z\"                         |\n"
        "| Runtime Info      | assigned tasks: 2; running tasks: 1; reserved for a multi-node task |\n"
        "+-------------------+---------------------------------------------------------------------+\n");
    hq_buf_clear(&out.buf);
    out.mode = HQ_OUT_JSON;
    v.manager = HQ_MANAGER_SLURM;
    v.manager_job_id = HQ_STR("4155");
    v.multi_node = 2;
    v.ended_at_ms = NOON;
    hq_worker_view_print_start(&v, &out);
    static const char *const parts[] = {
        "[\n  {\n    \"allocation\": {\n      \"id\": \"4155\",\n      \"manager\": \"Slurm\"\n    },\n",
        "\"min_utilization\": 0.30000001192092896,\n      \"on_server_lost\": \"reconnect\",\n",
        "\"coupling\": {\n          \"weights\": []\n        },\n",
        "{\n            \"end\": 3,\n            \"kind\": \"range\",\n            \"name\": \"cpus\",\n            "
        "\"start\": 0\n",
        "\"name\": \"foo\",\n            \"values\": [\n              \"a\",\n              \"b c\"\n",
        "\"size\": 20485000\n",
        "\"ended\": {\n      \"at\": \"2026-01-31T12:00:00.000000000Z\"\n    },\n    \"id\": 1,\n",
        "\"last_task_started\": {\n      \"task_id\": {\n        \"job_id\": 1,\n        \"job_task_id\": 3\n      },\n"
        "      \"time\": \"2026-01-31T12:00:00.000000000Z\"\n    },\n",
        "\"runtime_info\": {\n      \"MultiNodeTask\": {\n        \"main_node\": false\n      }\n    },\n",
        "\"time_limit\": 3600.0,\n      \"work_dir\": \"/wd\"\n",
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(parts); ix++) {
        if (strstr(out.buf.ptr, parts[ix]) == NULL) {
            fail_msg("not found: %s\nin %s", parts[ix], out.buf.ptr);
        }
    }
    hq_out_fini(&out);
}

static void
test_worker_states(void **state)
{
    (void)state;
    assert_string_equal(hq_worker_state_word(HQ_WORKER_TIME_LIMIT), "TIME LIMIT REACHED");
    assert_int_equal(hq_worker_state_color(HQ_WORKER_STOPPED), HQ_COLOR_MAGENTA);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_defaults),      cmocka_unit_test(test_worker_values),
        cmocka_unit_test(test_worker_old_spellings), cmocka_unit_test(test_worker_errors),
        cmocka_unit_test(test_server_values),        cmocka_unit_test(test_server_view),
        cmocka_unit_test(test_worker_view),          cmocka_unit_test(test_worker_states),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
