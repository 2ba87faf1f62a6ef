/* Job definition files: every key, what is refused with which line under which mark, graphs and their cycles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "hq/jobfile.h"

struct read {
    struct hq_arena arena;
    struct doc doc;
    struct jobfile file;
    struct hq_err err;
    int rc;
};

static void
read_init(struct read *r, const char *text, bool is_yaml)
{
    memset(r, 0, sizeof *r);
    hq_arena_init(&r->arena, 0);
    struct hq_str s = hq_str_from(text);
    r->rc = is_yaml ? doc_parse_yaml(&r->doc, s, &r->arena, &r->err) : doc_parse_toml(&r->doc, s, &r->arena, &r->err);
    if (r->rc == 0) {
        r->rc = jobfile_read(&r->file, &r->doc, "job.toml", &r->arena, &r->err);
    }
    if (r->rc == 0 && !r->file.is_array) {
        r->rc = jobfile_check_graph(&r->file, NULL, &r->err);
    }
}

static void
read_fini(struct read *r)
{
    jobfile_fini(&r->file);
    hq_arena_fini(&r->arena);
}

/* ---- refused */

#define HEAD(line, column) "Deserialization error: TOML parse error at line " line ", column " column "\n"
/* Errors inside tables say where. */
#define IN(key) "In job.toml, task 1, key `" key "`\n"
#define T "[[task]]\ncommand=[\"true\"]\n"

static const struct {
    const char *text;
    const char *error;
} refused[] = {
    {"", "Deserialization error: No tasks defined"},
    {"name = \"x\"\n", "Deserialization error: No tasks defined"},
    {T "[array]\nids=\"1\"\ncommand=[\"true\"]\n",
     "Deserialization error: Definition of array job and individual task cannot be mixed"},
    {"[array]\ncommand=[\"true\"]\n",
     "Deserialization error: One of attributes of array must be defined: 'ids', 'entries'"},
    {"[array]\nids=\"1-3\"\nentries=[\"a\"]\ncommand=[\"true\"]\n",
     "Deserialization error: Items 'ids' and 'entries' does not match"},
    {"[array]\nids=\"3-1\"\ncommand=[\"true\"]\n",
     HEAD("2", "5") "  |\n2 | ids=\"3-1\"\n  |     ^^^^^\nUnexpected end of input found while attempting to parse "
                    "Integer range, "
                    "expected something else:\n  3-1\n  |\n  --- Invalid range\n\n"},
    {"[array]\nids=[1,2]\ncommand=[\"true\"]\n",
     HEAD("2", "5") "  |\n2 | ids=[1,2]\n  |     ^^^^^\ninvalid type: sequence, expected a string\n"},
    {"[array]\nids=\"1\"\n", HEAD("1", "1") "  |\n1 | [array]\n  | ^^^^^^^\nmissing field `command`\n"},
    {"[[task]]\nid=1\n", HEAD("1", "1") "  |\n1 | [[task]]\n  | ^^^^^^^^\nmissing field `command`\n"},
    {"[[task]]\ncommand=\"true\"\n", HEAD("2", "9") "  |\n2 | command=\"true\"\n  |         ^^^^^^\ninvalid type: "
                                                    "string \"true\", expected a sequence\n" IN("task.command")},
    {"[[task]]\ncommand=[]\n",
     HEAD("2", "9") "  |\n2 | command=[]\n  |         ^^\na command needs at least the program\n" IN("task.command")},
    {"nam = \"x\"\n" T,
     HEAD("1", "1") "  |\n1 | nam = \"x\"\n  | ^^^\nunknown field `nam`, expected one of `name`, `max_fails`, "
                    "`task`, `array`, `stream`, `data_layer`\n"},
    {T "frob=1\n", HEAD("3", "1") "  |\n3 | frob=1\n  | ^^^^\nunknown field `frob`\n" IN("task")},
    {T "id=-1\n", HEAD("3", "4") "  |\n3 | id=-1\n  |    ^^\ninvalid value: integer `-1`, expected u32\n"},
    {T "id=\"a\"\n", HEAD("3", "4") "  |\n3 | id=\"a\"\n  |    ^^^\ninvalid type: string \"a\", expected u32\n"},
    {T "deps=[\"a\"]\n",
     HEAD("3", "7") "  |\n3 | deps=[\"a\"]\n  |       ^^^\ninvalid type: string \"a\", expected u32\n"},
    {T "time_limit=10\n",
     HEAD("3", "12") "  |\n3 | time_limit=10\n  |            ^^\ninvalid type: integer `10`, expected a "
                     "string\n" IN("task.time_limit")},
    {T "time_limit=\"10\"\n",
     HEAD("3", "12") "  |\n3 | time_limit=\"10\"\n  |            ^^^^\ntime unit needed, for example "
                     "10sec or 10ms\n" IN("task.time_limit")},
    {T "env={A=1}\n",
     HEAD("3",
          "8") "  |\n3 | env={A=1}\n  |        ^\ninvalid type: integer `1`, expected a byte string\n" IN("task.env")},
    {T "env={\"\"=\"1\"}\n",
     HEAD("3", "6") "  |\n3 | env={\"\"=\"1\"}\n  |      ^^\na variable's name must not be empty nor contain `=`\n" IN(
         "task.env")},
    {T "pin=\"x\"\n",
     HEAD("3", "5") "  |\n3 | pin=\"x\"\n  |     ^^^\nunknown variant `x`, expected one of `none`, `taskset`, "
                    "`omp`\n" IN("task.pin")},
    {T "crash_limit=0\n", HEAD("3", "13") "  |\n3 | crash_limit=0\n  |             ^\nCrash limit cannot be 0. Use "
                                          "`never-restart` or `unlimited` instead.\n" IN("task.crash_limit")},
    {T "crash_limit=70000\n", HEAD("3", "13") "  |\n3 | crash_limit=70000\n  |             ^^^^^\nout of range "
                                              "integral type conversion attempted\n" IN("task.crash_limit")},
    {T "crash_limit=\"x\"\n", HEAD("3", "13") "  |\n3 | crash_limit=\"x\"\n  |             ^^^\nInvalid crash limit: "
                                              "ParseIntError { kind: InvalidDigit }\n" IN("task.crash_limit")},
    {T "priority=3000000000\n",
     HEAD("3", "10") "  |\n3 | priority=3000000000\n  |          ^^^^^^^^^^\ninvalid value: integer "
                     "`3000000000`, expected i32\n" IN("task.priority")},
    {T "task_dir=\"yes\"\n", HEAD("3", "10") "  |\n3 | task_dir=\"yes\"\n  |          ^^^^^\ninvalid type: string "
                                             "\"yes\", expected a boolean\n" IN("task.task_dir")},
    {T "stdout={path=\"a\",on_close=\"x\"}\n",
     HEAD("3", "27") "  |\n3 | stdout={path=\"a\",on_close=\"x\"}\n  |                  "
                     "         ^^^\nunknown variant `x`, expected `none` or "
                     "`rm-if-finished`\n" IN("task.stdout")},
    {T "stdout=1\n",
     HEAD("3", "8") "  |\n3 | stdout=1\n  |        ^\ninvalid type: integer `1`, expected a string containing file "
                    "path or a structure with two attributes (`path` and `on_close`)\n" IN("task.stdout")},
    {T "cwd=\"%{CWD}\"\n",
     HEAD("3", "5") "  |\n3 | cwd=\"%{CWD}\"\n  |     ^^^^^^^^\nWorking directory path cannot contain the "
                    "working directory placeholder `%{CWD}`.\n" IN("task.cwd")},
    {T "[[task.request]]\nresources={cpus=0}\n",
     HEAD("4",
          "17") "  |\n4 | resources={cpus=0}\n  |                 ^\nUnexpected end of input found, expected something "
                "else:\n  0\n  |\n  --- Zero resources cannot be requested\n\n" IN("task.request.resources")},
    {T "[[task.request]]\nresources={cpus=-1.5}\n",
     HEAD("4", "17") "  |\n4 | resources={cpus=-1.5}\n  |                 ^^^^\ninvalid amount of a resource\n" IN(
         "task.request.resources")},
    {T "[[task.request]]\nresources={cpus=nan}\n",
     HEAD("4", "17") "  |\n4 | resources={cpus=nan}\n  |                 ^^^\ninvalid amount of a resource\n" IN(
         "task.request.resources")},
    {T "[[task.request]]\nresources={cpus=true}\n",
     HEAD("4", "17") "  |\n4 | resources={cpus=true}\n  |                 "
                     "^^^^\ninvalid type: boolean `true`, expected a number or a "
                     "string\n" IN("task.request.resources")},
    {T "[[task.request]]\nresources={my_res=1}\n",
     HEAD("4", "12") "  |\n4 | resources={my_res=1}\n  |            ^^^^^^\n`my_res` is no name of a resource\n" IN(
         "task.request.resources")},
    {T "[[task.request]]\nweight=0\n",
     HEAD("4", "8") "  |\n4 | weight=0\n  |        ^\nResource weight has to be positive number\n" IN(
         "task.request.weight")},
    {T "[[task.request]]\nfrob=2\n",
     HEAD("4", "1") "  |\n4 | frob=2\n  | ^^^^\nunknown field `frob`, expected one of "
                    "`n_nodes`, `time_request`, `resources`, `weight`\n" IN("task.request")},
    {T "[[task.request]]\nn_nodes=2\nnodes=2\n",
     HEAD("5", "1") "  |\n5 | nodes=2\n  | ^^^^^\nduplicate field `n_nodes`\n" IN("task.request")},
    {"name=\"a\\nb\"\n" T,
     HEAD("1", "6") "  |\n1 | name=\"a\\nb\"\n  |      ^^^^^^\nname cannot have a newline or a tab\n"},
    {"max_fails=-1\n" T,
     HEAD("1", "11") "  |\n1 | max_fails=-1\n  |           ^^\ninvalid value: integer `-1`, expected u32\n"},
    {"stream=1\n" T,
     HEAD("1", "8") "  |\n1 | stream=1\n  |        ^\ninvalid type: integer `1`, expected path string\n"},
    {"stream=\"s\"\nstream_log=\"t\"\n" T,
     HEAD("2", "1") "  |\n2 | stream_log=\"t\"\n  | ^^^^^^^^^^\nduplicate field `stream`\n"},
    {"data_layer=1\n" T,
     HEAD("1", "12") "  |\n1 | data_layer=1\n  |            ^\ninvalid type: integer `1`, expected a "
                     "boolean\n"},
    {T "id=1\n" T "id=1\n", "Error: Task 1 is defined multiple times"},
    {T "id=1\ndeps=[1]\n",
     "Error: Task 1 is part of dependency cycle or has an invalid dependencies\nEach of these depends on "
     "the next: 1 -> 1"},
    {T "id=1\ndeps=[2]\n",
     "Error: Task 1 is part of dependency cycle or has an invalid dependencies\nThere is no task 2"},
    {T "id=9\ndeps=[1]\n" T "id=1\ndeps=[2]\n" T "id=2\ndeps=[3]\n" T "id=3\ndeps=[1]\n",
     "Error: Task 1 is part of dependency cycle or has an invalid dependencies\nEach of these depends on the next: 1 "
     "-> 2 -> 3 -> "
     "1"},
    {T "id=4294967295\n" T, "Error: No task id is left behind 4294967295"},
};

static void
test_refused(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(refused); ix++) {
        struct read r;
        read_init(&r, refused[ix].text, false);
        assert_true(r.rc < 0);
        assert_string_equal(r.err.text, refused[ix].error);
        read_fini(&r);
    }
}

/* Text that is no TOML: the place counts, the reason is the library's. */
static void
test_no_toml(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *place;
    } rows[] = {
        {"name = \n", "TOML parse error at line 1, column 8\n"},
        {"[[task]]\ncommand=[\"true\"\nid=1\n", "TOML parse error at line 3, column 1\n"},
        {"a=1\na=2\n", "TOML parse error at line 2"},
        {"[[@[task]]\n", "TOML parse error at line 1, column 3\n"}, /* the library asserts that no such key comes */
        {"a=\"\xff\"\n", "TOML parse error at line 1, column 3\n"},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        struct read r;
        read_init(&r, rows[ix].text, false);
        assert_int_equal(r.rc, -EINVAL);
        if (strncmp(r.err.text, rows[ix].place, strlen(rows[ix].place)) != 0) {
            fail_msg("%s", r.err.text);
        }
        read_fini(&r);
    }
}

/* ---- taken: the same in both languages */

static void
print_task(struct hq_buf *b, const struct jobfile_task *t)
{
    hq_buf_printf(b, " {id=%u", t->id);
    for (size_t ix = 0; ix < t->command_count; ix++) {
        hq_buf_printf(b, " <%.*s>", HQ_STR_FMT(t->command[ix]));
    }
    for (size_t ix = 0; ix < t->env.count; ix++) {
        hq_buf_printf(b, " %.*s=%.*s", HQ_STR_FMT(t->env.v[ix].key), HQ_STR_FMT(t->env.v[ix].value));
    }
    hq_buf_printf(b, " cwd=%.*s out=%d%s%.*s%s", HQ_STR_FMT(t->cwd), t->has_stdout,
                  t->to_stdout.is_none ? "<none>" : "", HQ_STR_FMT(t->to_stdout.path),
                  t->to_stdout.remove_if_finished ? "!" : "");
    hq_buf_printf(b, " in=%.*s pin=%d dir=%d limit=%lld prio=%d crash=%u", HQ_STR_FMT(t->stdin_text), t->pin,
                  t->task_dir, (long long)t->time_limit_ms, t->priority, t->crash_limit);
    for (size_t ix = 0; ix < t->request.variant_count; ix++) {
        const struct hq_variant *v = &t->request.variants[ix];
        hq_buf_printf(b, " (nodes=%u time=%lld weight=%llu", v->n_nodes, (long long)v->min_time_ms,
                      (unsigned long long)v->weight_x10000);
        for (size_t k = 0; k < v->entry_count; k++) {
            hq_buf_printf(b, " %.*s:", HQ_STR_FMT(v->entries[k].name));
            hq_request_print_amount(v->entries[k].amount, v->entries[k].policy, b);
        }
        hq_buf_byte(b, ')');
    }
    for (size_t ix = 0; ix < t->dep_count; ix++) {
        hq_buf_printf(b, " after %u", t->deps[ix]);
    }
    hq_buf_byte(b, '}');
}

static const char toml[] =
    "name = \"graph\"\nmax_fails = 2\nstream = \"out\"\ndata_layer = false\n"
    "[[task]]\nid = 5\ncommand = [\"bash\", \"-c\", \"echo $FOO\"]\nenv = { FOO = \"bar\", \"A B\" = \"c\" }\n"
    "[[task]]\ncommand = [\"cat\"]\nstdin = \"text\"\ndeps = [5]\nstdout = \"a:rm-if-finished\"\ncwd = \"sub\"\npin = "
    "\"taskset\"\n"
    "task_dir = true\ntime_limit = \"1m 10s\"\npriority = -2\ncrash_limit = 12\n"
    "[[task.request]]\nresources = { cpus = \"2 compact!\", \"gpus/nvidia\" = 0.5, foo = 3 }\ntime_request = "
    "\"10s\"\nweight = 2.5\n"
    "[[task.request]]\nresources = { cpus = 0.33333 }\n"
    "[[task]]\nid = 2\ncommand = [\"false\"]\ndeps = [5, 6]\ncrash_limit = \"never-restart\"\ntime_limit = \"0\"\n"
    "stdout = { path = \"x\", on_close = \"rm-if-finished\", extra = 1 }\nrequest = []\n";
static const char yaml[] =
    "name: graph\nmax_fails: 2\nstream: out\ndata_layer: false\ntask:\n"
    "- id: 5\n  command: [bash, -c, echo $FOO]\n  env:\n    FOO: bar\n    A B: c\n"
    "- command: [cat]\n  stdin: text\n  deps: [5]\n  stdout: a:rm-if-finished\n  cwd: sub\n  pin: taskset\n  task_dir: "
    "true\n"
    "  time_limit: 1m 10s\n  priority: -2\n  crash_limit: 12\n  request:\n"
    "  - resources: {cpus: 2 compact!, gpus/nvidia: 0.5, foo: 3}\n    time_request: 10s\n    weight: 2.5\n"
    "  - resources: {cpus: 0.33333}\n"
    "- id: 2\n  command: [\"false\"]\n  deps: [5, 6]\n  crash_limit: never-restart\n  time_limit: \"0\"\n"
    "  stdout: {path: x, mode: rm-if-finished, extra: 1}\n  request: []\n";
static const char want[] =
    " {id=5 <bash> <-c> <echo $FOO> A B=c FOO=bar cwd= out=0 in= pin=0 dir=0 limit=0 prio=0 crash=5 (nodes=0 time=0 "
    "weight=10000 "
    "cpus:1 compact)}"
    " {id=6 <cat> cwd=sub out=1a:rm-if-finished in=text pin=1 dir=1 limit=70000 prio=-2 crash=12 (nodes=0 time=10000 "
    "weight=25000 "
    "cpus:2 compact! foo:3 compact gpus/nvidia:0.5 compact) (nodes=0 time=0 weight=10000 cpus:0.3334 compact) after 5}"
    " {id=2 <false> cwd= out=1x! in= pin=0 dir=0 limit=1 prio=0 crash=0 (nodes=0 time=0 weight=10000 cpus:1 compact) "
    "after 5 after "
    "6}";

static int
by_key(const void *pa, const void *pb)
{
    const struct submit_env_var *a = pa;
    const struct submit_env_var *b = pb;
    return hq_str_cmp(a->key, b->key);
}

static void
test_every_key(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        struct read r;
        read_init(&r, n == 0 ? toml : yaml, n == 1);
        if (r.rc < 0) {
            fail_msg("%s", r.err.text);
        }
        assert_true(r.file.has_name && hq_str_is(r.file.name, "graph"));
        assert_true(r.file.has_max_fails && r.file.max_fails == 2);
        assert_true(r.file.has_stream && hq_str_is(r.file.stream, "out"));
        assert_int_equal(r.file.task_count, 3);
        struct hq_buf got = HQ_BUF_INIT;
        for (size_t ix = 0; ix < r.file.task_count; ix++) {
            struct jobfile_task *t = &r.file.tasks[ix];
            if (t->env.count > 1) {
                qsort(t->env.v, t->env.count, sizeof *t->env.v, by_key); /* TOML tables come by key */
            }
            print_task(&got, t);
        }
        assert_string_equal(got.ptr, want);
        hq_buf_fini(&got);
        read_fini(&r);
    }
}

static void
test_arrays(void **state)
{
    (void)state;
    struct read r;
    read_init(&r, "[array]\nids=\"7,2-3\"\nentries=[\"a\",\"\",\"c\"]\ncommand=[\"x\"]\n", false);
    assert_int_equal(r.rc, 0);
    assert_true(r.file.is_array && r.file.tasks[0].has_ids && r.file.tasks[0].has_entries);
    assert_int_equal(hq_ranges_at(&r.file.tasks[0].ids, 0), 7);
    assert_int_equal(r.file.tasks[0].entries.count, 3);
    assert_int_equal(r.file.tasks[0].entries.data.len, 2);
    read_fini(&r);
    read_init(&r, "array:\n  entries: [a, \"1\"]\n  command: [x]\n", true);
    assert_int_equal(r.rc, 0);
    assert_false(r.file.tasks[0].has_ids);
    assert_int_equal(r.file.tasks[0].entries.count, 2);
    read_fini(&r);
}

static void
test_automatic_ids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *known;
        uint32_t ids[3];
    } rows[] = {
        {T T T, NULL, {1, 2, 3}},
        {T T "id=7\n" T, NULL, {8, 7, 9}},
        {T T T, "0,4-6", {7, 8, 9}},
        {T T "id=2\n" T "deps=[4]\n", "4", {5, 2, 6}},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        struct read r;
        struct hq_ranges known = HQ_RANGES_INIT;
        memset(&r, 0, sizeof r);
        hq_arena_init(&r.arena, 0);
        assert_int_equal(doc_parse_toml(&r.doc, hq_str_from(rows[ix].text), &r.arena, &r.err), 0);
        assert_int_equal(jobfile_read(&r.file, &r.doc, "job.toml", &r.arena, &r.err), 0);
        if (rows[ix].known != NULL) {
            assert_int_equal(hq_ranges_parse(&known, hq_str_from(rows[ix].known), &r.err), 0);
        }
        assert_int_equal(jobfile_check_graph(&r.file, rows[ix].known != NULL ? &known : NULL, &r.err), 0);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(r.file.tasks[k].id, rows[ix].ids[k]);
        }
        hq_ranges_fini(&known);
        read_fini(&r);
    }
}

static void
test_long_cycle_is_shortened(void **state)
{
    (void)state;
    struct hq_buf text = HQ_BUF_INIT;
    for (int ix = 0; ix < 100; ix++) {
        hq_buf_printf(&text, "[[task]]\nid=%d\ncommand=[\"x\"]\ndeps=[%d]\n", ix, (ix + 1) % 100);
    }
    struct read r;
    read_init(&r, text.ptr, false);
    assert_true(r.rc < 0);
    assert_non_null(
        strstr(r.err.text, "next: 0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 7 -> 8 -> 9 -> ... (80 more) -> 90 -> 91 -> "));
    assert_non_null(strstr(r.err.text, " -> 99 -> 0"));
    read_fini(&r);
    hq_buf_fini(&text);
}

/* ---- YAML of its own */

static void
test_no_yaml(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        {"a: [1\n", "YAML parse error at line 2, column 1\n"},
        {"task:\n- a\x01" "b\n", "YAML parse error at line 2, column 4\n"},
        {"x: 1\n\n#\xff\n", "YAML parse error at line 3, column 2\n"},
        {"task: *x\n", "YAML parse error at line 1, column 7\n"},
        {"task: 1\ntask: 2\n", "YAML parse error at line 2, column 1\n  |\n2 | task: 2\n  | ^^^^\nduplicate key\n"},
        {"? [a]\n: 1\n", "YAML parse error at line 1, column 3\n  |\n1 | ? [a]\n  |   ^^^\na key has to be a scalar\n"},
        {"task: 1\n",
         "Deserialization error: YAML parse error at line 1, column 7\n  |\n1 | task: 1\n  |       ^\ninvalid type: "
         "integer `1`, expected a sequence\n"},
        {"- a\n", "Deserialization error: YAML parse error at line 1, column 1\n"},
        {"", "Deserialization error: No tasks defined"},
        {"task:\n- command: [x]\n  time_limit: ~\n", "Deserialization error: YAML parse error at line 3, column 15\n"},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        struct read r;
        read_init(&r, rows[ix].text, true);
        assert_int_equal(r.rc, -EINVAL);
        if (strncmp(r.err.text, rows[ix].error, strlen(rows[ix].error)) != 0) {
            fail_msg("%s", r.err.text);
        }
        read_fini(&r);
    }
}

/* A chain of aliases that doubles: the tree has a bound. */
static void
test_yaml_bomb(void **state)
{
    (void)state;
    struct hq_buf text = HQ_BUF_INIT;
    hq_buf_cstr(&text, "a0: &a0 [x,x]\n");
    for (int ix = 1; ix < 40; ix++) {
        hq_buf_printf(&text, "a%d: &a%d [*a%d,*a%d]\n", ix, ix, ix - 1, ix - 1);
    }
    struct read r;
    read_init(&r, text.ptr, true);
    assert_int_equal(r.rc, -EINVAL);
    assert_non_null(strstr(r.err.text, "too many values"));
    read_fini(&r);
    hq_buf_fini(&text);
}

static void
test_deep_nesting(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        struct hq_buf text = HQ_BUF_INIT;
        hq_buf_cstr(&text, n == 0 ? "a = " : "a: ");
        hq_buf_rep(&text, '[', 100);
        hq_buf_rep(&text, ']', 100);
        hq_buf_byte(&text, '\n');
        struct read r;
        read_init(&r, text.ptr, n == 1);
        assert_int_equal(r.rc, -EINVAL);
        assert_non_null(strstr(r.err.text, "nested too deeply"));
        read_fini(&r);
        hq_buf_fini(&text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_no_toml),
        cmocka_unit_test(test_every_key),     cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_automatic_ids), cmocka_unit_test(test_long_cycle_is_shortened),
        cmocka_unit_test(test_no_yaml),       cmocka_unit_test(test_yaml_bomb),
        cmocka_unit_test(test_deep_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
