/* Task commands fed with hand-made answers: text, JSON and quiet form to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/explain_print.h"
#include "hq/task_print.h"
#include "tests/unit/answers.h"

struct page { /* tasks 1-4 and 8: finished, failed, failed before its start, running, waiting */
    Hq__TaskPageAnswer answer;
    Hq__Ranges ids;
    uint32_t packed[6];
    uint8_t states[5];
    uint8_t flags[5];
    uint32_t worker[5];
    uint32_t instance[5];
    int64_t started[5];
    uint64_t duration[5];
    uint32_t desc_id[1];
    Hq__WorkerName worker_name;
    Hq__WorkerName *workers[1];
    Hq__TaskError error[2];
    Hq__TaskError *errors[2];
    Hq__TaskDeps deps;
    Hq__TaskDeps *depses[1];
    uint32_t dep_ids[2];
};

static void
page_init(struct page *p)
{
    memset(p, 0, sizeof *p);
    hq__task_page_answer__init(&p->answer);
    hq__ranges__init(&p->ids);
    memcpy(p->packed, (uint32_t[]){1, 4, 1, 8, 1, 1}, sizeof p->packed);
    p->ids.packed = p->packed;
    p->ids.n_packed = 6;
    p->answer.ids = &p->ids;
    memcpy(p->states, (uint8_t[]){2, 3, 3, 1, 0}, 5);
    memcpy(p->flags, (uint8_t[]){2, 2, 0, 1, 0}, 5);
    memcpy(p->worker, (uint32_t[]){1, 1, 0, 1, 0}, sizeof p->worker);
    memcpy(p->instance, (uint32_t[]){0, 1, 0, 0, 0}, sizeof p->instance);
    memcpy(p->started, (int64_t[]){1769860800000, -500, 0, 1000, 0}, sizeof p->started);
    memcpy(p->duration, (uint64_t[]){1004, 20, 0, 0, 0}, sizeof p->duration);
    p->answer.states = (ProtobufCBinaryData){5, p->states};
    p->answer.has_start = (ProtobufCBinaryData){5, p->flags};
    p->answer.worker = p->worker;
    p->answer.instance = p->instance;
    p->answer.started = p->started;
    p->answer.duration_ms = p->duration;
    p->answer.desc_id = p->desc_id;
    p->answer.n_worker = p->answer.n_instance = p->answer.n_started = p->answer.n_duration_ms = 5;
    p->answer.n_desc_id = 1;
    hq__worker_name__init(&p->worker_name);
    p->worker_name.worker = 1;
    p->worker_name.host = bytes_of("node1");
    p->workers[0] = &p->worker_name;
    p->answer.workers = p->workers;
    p->answer.n_workers = 1;
    for (size_t ix = 0; ix < 2; ix++) {
        hq__task_error__init(&p->error[ix]);
        p->error[ix].task = (uint32_t)ix + 2;
        p->error[ix].text = bytes_of(ix == 0 ? "Program terminated with exit code 3." : "short");
        p->error[ix].at_ms = 1769860805000;
        p->errors[ix] = &p->error[ix];
    }
    p->answer.errors = p->errors;
    p->answer.n_errors = 2;
    hq__task_deps__init(&p->deps);
    p->deps.task = 4;
    p->dep_ids[0] = 1;
    p->dep_ids[1] = 3;
    p->deps.deps = p->dep_ids;
    p->deps.n_deps = 2;
    p->depses[0] = &p->deps;
    p->answer.deps = p->depses;
    p->answer.n_deps = 1;
    p->answer.job_found = true;
    p->answer.now_ms = 1769860801500;
}

static void
open_page(struct task_pages *pages, const struct page *p)
{
    struct hq_err err = {0};
    task_pages_init(pages, NULL, 14, &(struct task_filter){0});
    assert_int_equal(task_pages_open(pages, &p->answer, &err), 1);
}

static void
test_task_list(void **state)
{
    (void)state;
    struct page p;
    struct task_pages pages;
    struct task_row row;
    page_init(&p);
    for (int verbose = 0; verbose < 2; verbose++) {
        struct sink s;
        struct task_list_print l;
        sink_init(&s, HQ_OUT_CLI, false);
        task_list_init(&l, verbose != 0, verbose != 0);
        open_page(&pages, &p);
        while (task_pages_row(&pages, &row)) {
            task_list_add(&l, 14, &row, &pages);
        }
        hq_table_print(&l.table, &s.out);
        assert_int_equal(l.has_cut, verbose == 0);
        sink_check(
            &s, verbose == 0
                    ? "+---------+----------+--------+----------+---------------------+\n"
                      "| Task ID | State    | Worker | Makespan | Error               |\n"
                      "+---------+----------+--------+----------+---------------------+\n"
                      "|       1 | FINISHED | node1  | 1s 4ms   |                     |\n"
                      "|       2 | FAILED   | node1  | 20ms     | Program terminat... |\n"
                      "|       3 | FAILED   |        |          | short               |\n"
                      "|       4 | RUNNING  | node1  | 1s       |                     |\n"
                      "|       8 | WAITING  |        |          |                     |\n"
                      "+---------+----------+--------+----------+---------------------+\n"
                    : "+--------+---------+----------+--------+----------+--------------------------------------+\n"
                      "| Job ID | Task ID | State    | Worker | Makespan | Error                                |\n"
                      "+--------+---------+----------+--------+----------+--------------------------------------+\n"
                      "|     14 |       1 | FINISHED | node1  | 1s 4ms   |                                      |\n"
                      "|     14 |       2 | FAILED   | node1  | 20ms     | Program terminated with exit code 3. |\n"
                      "|     14 |       3 | FAILED   |        |          | short                                |\n"
                      "|     14 |       4 | RUNNING  | node1  | 1s       |                                      |\n"
                      "|     14 |       8 | WAITING  |        |          |                                      |\n"
                      "+--------+---------+----------+--------+----------+--------------------------------------+\n");
        task_list_fini(&l);
        task_pages_fini(&pages);
    }
}

static const char want_tasks[] = "[\n"
                                 "  {\n    \"cwd\": \"/home/u/work\",\n    \"finished_at\": \"<time>\",\n    \"id\": "
                                 "1,\n    \"started_at\": \"<time>\",\n"
                                 "    \"state\": \"finished\",\n    \"stderr\": \"/home/u/work/job-14/1.stderr\",\n"
                                 "    \"stdout\": \"/home/u/work/job-14/1.stdout\",\n    \"worker\": 1\n  },\n"
                                 "  {\n    \"cwd\": \"/home/u/work\",\n    \"error\": \"Program terminated with exit "
                                 "code 3.\",\n    \"finished_at\": \"<time>\",\n"
                                 "    \"id\": 2,\n    \"started_at\": \"<time>\",\n    \"state\": \"failed\",\n    "
                                 "\"stderr\": \"/home/u/work/job-14/2.stderr\",\n"
                                 "    \"stdout\": \"/home/u/work/job-14/2.stdout\",\n    \"worker\": 1\n  },\n"
                                 "  {\n    \"error\": \"short\",\n    \"finished_at\": \"<time>\",\n    \"id\": 3,\n   "
                                 " \"state\": \"failed\"\n  },\n"
                                 "  {\n    \"cwd\": \"/home/u/work\",\n    \"id\": 4,\n    \"started_at\": "
                                 "\"<time>\",\n    \"state\": \"running\",\n"
                                 "    \"stderr\": \"/home/u/work/job-14/4.stderr\",\n    \"stdout\": "
                                 "\"/home/u/work/job-14/4.stdout\",\n    \"worker\": 1\n  },\n"
                                 "  {\n    \"id\": 8,\n    \"state\": \"waiting\"\n  }\n"
                                 "]";

/* Times are looked at elsewhere: here they become <time>. */
static void
without_times(struct hq_buf *out, const char *text)
{
    for (const char *at; (at = strstr(text, "\"2026-")) != NULL;) {
        hq_buf_add(out, text, (size_t)(at - text));
        hq_buf_cstr(out, "\"<time>\"");
        text = strchr(at + 1, '"') + 1;
    }
    hq_buf_cstr(out, text);
}

static void
test_task_json(void **state)
{
    (void)state;
    struct info i;
    struct page p;
    struct task_pages pages;
    struct task_row row;
    struct sink s;
    struct hq_json j;
    struct task_paths paths;
    info_init(&i);
    page_init(&p);
    sink_init(&s, HQ_OUT_JSON, false);
    task_paths_init(&paths, &i.detail, &s.arena);
    hq_json_begin_document(&j, &s.out);
    hq_json_array(&j);
    open_page(&pages, &p);
    while (task_pages_row(&pages, &row)) {
        task_json(&j, &row, task_paths_get(&paths, row.desc_id));
    }
    hq_json_array_end(&j);
    struct hq_buf got = HQ_BUF_INIT;
    without_times(&got, s.out.buf.ptr);
    assert_string_equal(got.ptr, want_tasks);
    assert_null(task_paths_get(&paths, 1));
    hq_buf_fini(&got);
    task_pages_fini(&pages);
    hq_out_fini(&s.out);
    hq_arena_fini(&s.arena);
}

/* What is shown of a task depends on its state: aborted ones have no worker, canceled ones no times. */
static void
test_task_json_of_ended_tasks(void **state)
{
    (void)state;
    static const struct {
        enum hq_task_state state;
        const char *json;
    } rows[] = {
        {HQ_STATE_CANCELED,
         "{\"cwd\":\"/home/u/work\",\"id\":3,\"state\":\"canceled\",\"stderr\":\"/home/u/work/job-14/3.stderr\","
         "\"stdout\":\"/home/u/work/job-14/3.stdout\"}"},
        {HQ_STATE_ABORTED, "{\"id\":3,\"state\":\"aborted\"}"},
        {HQ_STATE_WAITING, "{\"id\":3,\"state\":\"waiting\"}"},
    };
    struct info i;
    struct hq_arena arena;
    info_init(&i);
    hq_arena_init(&arena, 0);
    struct task_paths paths;
    task_paths_init(&paths, &i.detail, &arena);
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        struct task_row row = {.id = 3, .state = rows[ix].state, .worker = 1, .started_ms = 5, .ended_ms = 9};
        struct hq_buf got = HQ_BUF_INIT;
        struct hq_json j;
        hq_json_init(&j, &got, false);
        task_json(&j, &row, task_paths_get(&paths, 0));
        assert_string_equal(got.ptr, rows[ix].json);
        hq_buf_fini(&got);
    }
    hq_arena_fini(&arena);
}

static void
test_multi_node_json(void **state)
{
    (void)state;
    static const uint32_t nodes[] = {4, 2};
    struct task_row row = {
        .id = 0, .state = HQ_STATE_RUNNING, .worker = 4, .started_ms = 1769860800000, .nodes = nodes, .node_count = 2};
    struct hq_buf got = HQ_BUF_INIT;
    struct hq_json j;
    hq_json_init(&j, &got, false);
    task_json(&j, &row, NULL);
    assert_non_null(strstr(got.ptr, "\"workers\":[4,2]"));
    hq_buf_fini(&got);
}

static void
test_task_info(void **state)
{
    (void)state;
    struct info i;
    struct page p;
    struct task_pages pages;
    struct task_row row;
    struct task_paths paths;
    struct sink s;
    bool has_cut = false;
    info_init(&i);
    page_init(&p);
    sink_init(&s, HQ_OUT_CLI, false);
    task_paths_init(&paths, &i.detail, &s.arena);
    open_page(&pages, &p);
    for (int n = 0; n < 4; n++) {
        assert_true(task_pages_row(&pages, &row));
    }
    task_print_info(
        &s.out, &row,
        &(struct task_info_print){.desc = &i.desc, .paths = task_paths_get(&paths, 0), .utc_offset_s = 3600}, &pages,
        &has_cut);
    assert_false(has_cut);
    task_pages_fini(&pages);
    sink_check(&s, "+--------------+------------------------------+\n"
                   "| Task ID      | 4                            |\n"
                   "| State        | RUNNING                      |\n"
                   "| Command      | prog                         |\n"
                   "|              | -x                           |\n"
                   "| Environment  | Z=1                          |\n"
                   "| Worker       | node1                        |\n"
                   "| Start        | 31.01.2026 13:00:00          |\n"
                   "| End          |                              |\n"
                   "| Makespan     | 1s                           |\n"
                   "| Workdir      | /home/u/work                 |\n"
                   "| Stdout       | /home/u/work/job-14/4.stdout |\n"
                   "| Stderr       | /home/u/work/job-14/4.stderr |\n"
                   "| Time limit   | 1h 30m 500ms                 |\n"
                   "| Resources    | cpus: 4 compact!             |\n"
                   "|              | [weight: 2.5]                |\n"
                   "| Priority     | -5                           |\n"
                   "| Pin          | omp                          |\n"
                   "| Task dir     | no                           |\n"
                   "| Crash limit  | 5                            |\n"
                   "| Dependencies | 1,3                          |\n"
                   "| Error        |                              |\n"
                   "+--------------+------------------------------+\n");
}

static void
test_damaged_pages(void **state)
{
    (void)state;
    struct hq_err err = {0};
    for (int n = 0; n < 7; n++) {
        struct page p;
        struct task_pages pages;
        page_init(&p);
        switch (n) {
        case 0:
            p.ids.n_packed = 5;
            break;
        case 1:
            p.packed[1] = 0;
            break;
        case 2:
            p.answer.states.len = 4;
            break;
        case 3:
            p.answer.n_worker = 4;
            break;
        case 4:
            p.answer.n_started = 1;
            break;
        case 5:
            p.answer.n_desc_id = 2;
            break;
        default:
            p.packed[0] = UINT32_MAX;
            break;
        }
        task_pages_init(&pages, NULL, 14, &(struct task_filter){0});
        assert_int_equal(task_pages_open(&pages, &p.answer, &err), -EPROTO);
        task_pages_fini(&pages);
    }
    struct page p;
    struct task_pages pages;
    struct task_row row;
    page_init(&p);
    p.states[0] = 77; /* a state of a later version */
    p.worker_name.worker = 9;
    open_page(&pages, &p);
    assert_true(task_pages_row(&pages, &row));
    assert_int_equal(row.state, HQ_STATE_WAITING);
    assert_true(hq_str_is(row.worker_host, "N/A"));
    task_pages_fini(&pages);
}

/* ---- explain */

static void
test_explain(void **state)
{
    (void)state;
    Hq__ExplainItem items[5];
    Hq__ExplainItem *v[5];
    for (size_t ix = 0; ix < 5; ix++) {
        hq__explain_item__init(&items[ix]);
        v[ix] = &items[ix];
        items[ix].worker = ix < 4 ? 1 : 2;
        items[ix].variant = ix == 3 ? 1 : 0;
        items[ix].type = bytes_of("cpus");
        items[ix].kind = HQ__EXPLAIN_KIND__EXPLAIN_RESOURCE;
        items[ix].provided = 80000;
        items[ix].requested = 40000;
        items[ix].is_enough = true;
    }
    items[0].kind = HQ__EXPLAIN_KIND__EXPLAIN_TIME;
    items[0].provided = 1500000;
    items[0].requested = 3600000;
    items[0].is_enough = false;
    items[2].type = bytes_of("gpus/nvidia");
    items[2].provided = 0;
    items[2].requested = 1;
    items[4].kind = HQ__EXPLAIN_KIND__EXPLAIN_NODES;
    items[4].provided = 1;
    items[4].requested = 3;
    items[4].is_enough = false;
    Hq__TaskExplainAnswer a = HQ__TASK_EXPLAIN_ANSWER__INIT;
    a.job = 1;
    a.task = 3;
    a.dep_count = 2;
    a.waiting_deps = 1;
    a.items = v;
    a.n_items = 5;
    struct sink s;
    sink_init(&s, HQ_OUT_CLI, false);
    explain_print_table(&s.out, &a);
    sink_check(&s, "Task 1@3 is not ready to run, because 1/2 dependencies are not finished.\n"
                   "The task can run on 1 worker: 1\n"
                   "+-----------+-----------+---------+-------------+--------------+---------+\n"
                   "| Worker Id | Runnable  | Variant | Type        | Provides     | Request |\n"
                   "+-----------+-----------+---------+-------------+--------------+---------+\n"
                   "| 1         | Yes (1/2) | 0       | time        | 25m          | 1h      |\n"
                   "|           |           |         | cpus        | 8            | 4       |\n"
                   "|           |           |         | gpus/nvidia | 0            | 0.0001  |\n"
                   "|           |           | 1       | cpus        | 8            | 4       |\n"
                   "| 2         | No        | 0       | nodes       | group size 1 | 3       |\n"
                   "+-----------+-----------+---------+-------------+--------------+---------+\n");
    items[0].is_unlimited = true;
    sink_init(&s, HQ_OUT_JSON, false);
    explain_print_json(&s.out, &a);
    assert_non_null(
        strstr(s.out.buf.ptr, "\"min_time\": {\n                  \"nanos\": 0,\n                  \"secs\": 3600\n"));
    assert_non_null(strstr(s.out.buf.ptr, "\"remaining_time\": null"));
    assert_non_null(strstr(s.out.buf.ptr,
                           "\"WorkerGroup\": {\n                \"group_size\": 1,\n                \"n_nodes\": 3\n"));
    assert_non_null(strstr(s.out.buf.ptr, "\"n_waiting_deps\": 1"));
    hq_out_fini(&s.out);
    hq_arena_fini(&s.arena);
    a.n_items = 0;
    a.waiting_deps = 0;
    sink_init(&s, HQ_OUT_CLI, false);
    explain_print_table(&s.out, &a);
    sink_check(&s, "Task 1@3 is ready to run because its all 2 dependencies are finished.\n"
                   "There is no worker where the task can run.\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_list),
        cmocka_unit_test(test_task_json),
        cmocka_unit_test(test_task_json_of_ended_tasks),
        cmocka_unit_test(test_multi_node_json),
        cmocka_unit_test(test_task_info),
        cmocka_unit_test(test_damaged_pages),
        cmocka_unit_test(test_explain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
