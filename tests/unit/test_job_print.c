/* Job commands fed with hand-made answers: text, JSON and quiet form to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/job_print.h"
#include "tests/unit/answers.h"

/* ---- ids */

static void
test_ids(void **state)
{
    (void)state;
    static const struct {
        enum hq_out_mode mode;
        bool with_color;
        const char *submitted;
        const char *opened;
    } rows[] = {
        {HQ_OUT_CLI, false, "Job submitted successfully, job ID: 7\n", "Job 7 is open.\n"},
        {HQ_OUT_CLI, true, "Job submitted \033[32msuccessfully\033[0m, job ID: 7\n", "Job \033[32m7\033[0m is open.\n"},
        {HQ_OUT_JSON, false, "{\n  \"id\": 7\n}\n", "{\n  \"id\": 7\n}\n"},
        {HQ_OUT_QUIET, false, "7\n", "7\n"},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        struct sink s;
        sink_init(&s, rows[ix].mode, rows[ix].with_color);
        job_print_submitted(&s.out, 7);
        sink_check(&s, rows[ix].submitted);
        sink_init(&s, rows[ix].mode, rows[ix].with_color);
        job_print_opened(&s.out, 7);
        sink_check(&s, rows[ix].opened);
    }
}

/* ---- list and summary */

struct jobs {
    Hq__JobInfo info[3];
    Hq__JobCounts counts[3];
    Hq__JobInfo *v[3];
};

static void
jobs_init(struct jobs *j)
{
    for (size_t ix = 0; ix < 3; ix++) {
        hq__job_info__init(&j->info[ix]);
        hq__job_counts__init(&j->counts[ix]);
        j->info[ix].counts = &j->counts[ix];
        j->v[ix] = &j->info[ix];
    }
    j->info[0].job = 1;
    j->info[0].name = bytes_of("one");
    j->counts[0].running = 1;
    j->info[1].job = 2;
    j->info[1].name = bytes_of("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
    j->counts[1].canceled = 3;
    j->counts[1].finished = 1;
    j->info[1].has_cancel_reason = true;
    j->info[1].cancel_reason = bytes_of("wrong input");
    j->info[2].job = 13;
    j->info[2].name = bytes_of("series");
    j->info[2].is_open = true;
}

static void
test_list(void **state)
{
    (void)state;
    struct jobs j;
    struct sink s;
    jobs_init(&j);
    sink_init(&s, HQ_OUT_CLI, false);
    job_print_list(&s.out, &(struct job_list_print){.jobs = j.v, .count = 3, .total_count = 4, .is_verbose = true});
    sink_check(&s, "+-----+----------------------------------------------------+----------+-------+---------------+\n"
                   "| ID  | Name                                               | State    | Tasks | Cancel Reason |\n"
                   "+-----+----------------------------------------------------+----------+-------+---------------+\n"
                   "|   1 | one                                                | RUNNING  | 1     |               |\n"
                   "|   2 | nnnnnnnnnnnnnnnnnnnnnnnn...nnnnnnnnnnnnnnnnnnnnnnn | CANCELED | 4     | wrong input   |\n"
                   "| *13 | series                                             | OPENED   | 0     |               |\n"
                   "+-----+----------------------------------------------------+----------+-------+---------------+\n"
                   "* = Open jobs\n"
                   "There are 4 jobs in total. Use `--all` to display all jobs.\n");
    sink_init(&s, HQ_OUT_CLI, false);
    job_print_list(&s.out, &(struct job_list_print){.total_count = 1});
    sink_check(&s, "+----+------+-------+-------+\n| ID | Name | State | Tasks |\n+----+------+-------+-------+\n"
                   "There is 1 job in total. Use `--all` to display all jobs.\n");
    sink_init(&s, HQ_OUT_QUIET, false);
    job_print_list(&s.out, &(struct job_list_print){.jobs = j.v, .count = 3, .total_count = 4, .is_verbose = true});
    sink_check(&s, "1 RUNNING\n2 CANCELED\n13 OPENED\n");
    sink_init(&s, HQ_OUT_JSON, false);
    job_print_list(&s.out, &(struct job_list_print){0});
    sink_check(&s, "[]\n");
    sink_init(&s, HQ_OUT_JSON, false);
    job_print_list(&s.out, &(struct job_list_print){.jobs = j.v + 1, .count = 1, .total_count = 4});
    sink_check(
        &s, "[\n  {\n    \"cancel_reason\": \"wrong input\",\n    \"id\": 2,\n    \"is_open\": false,\n"
            "    \"name\": \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\",\n    \"task_count\": 4,\n"
            "    \"task_stats\": {\n      \"aborted\": 0,\n      \"canceled\": 3,\n      \"failed\": 0,\n"
            "      \"finished\": 1,\n      \"running\": 0,\n      \"waiting\": 0\n    }\n  }\n]\n");
}

static void
test_summary(void **state)
{
    (void)state;
    uint64_t counts[HQ_STATES] = {[HQ_STATE_RUNNING] = 2, [HQ_STATE_FINISHED] = 12};
    struct sink s;
    sink_init(&s, HQ_OUT_CLI, false);
    job_print_summary(&s.out, counts);
    sink_check(
        &s,
        "+----------+-------+\n| Status   | Count |\n+----------+-------+\n| RUNNING  |     2 |\n| WAITING  |     0 |\n"
        "| FINISHED |    12 |\n| FAILED   |     0 |\n| ABORTED  |     0 |\n| CANCELED |     0 |\n"
        "+----------+-------+\n");
    sink_init(&s, HQ_OUT_QUIET, false);
    job_print_summary(&s.out, counts);
    sink_check(&s, "RUNNING 2\nWAITING 0\nFINISHED 12\nFAILED 0\nABORTED 0\nCANCELED 0\n");
    sink_init(&s, HQ_OUT_JSON, false);
    job_print_summary(&s.out, counts);
    sink_check(&s, "{\n  \"Aborted\": 0,\n  \"Canceled\": 0,\n  \"Failed\": 0,\n  \"Finished\": 12,\n  \"Running\": "
                   "2,\n  \"Waiting\": "
                   "0\n}\n");
    counts[HQ_STATE_OPENED] = 1;
    sink_init(&s, HQ_OUT_JSON, false);
    job_print_summary(&s.out, counts);
    sink_check(&s, "{\n  \"Aborted\": 0,\n  \"Canceled\": 0,\n  \"Failed\": 0,\n  \"Finished\": 12,\n  \"Opened\": 1,\n"
                   "  \"Running\": 2,\n  \"Waiting\": 0\n}\n");
    sink_init(&s, HQ_OUT_QUIET, false);
    job_print_summary(&s.out, counts);
    sink_check(&s, "RUNNING 2\nWAITING 0\nFINISHED 12\nFAILED 0\nABORTED 0\nCANCELED 0\nOPENED 1\n");
}

/* ---- job info */

static void
test_info_table(void **state)
{
    (void)state;
    struct info i;
    struct sink s;
    info_init(&i);
    sink_init(&s, HQ_OUT_CLI, false);
    job_print_info(&s.out, &i.detail, &s.arena);
    sink_check(&s, "+----------------------+--------------------------------------------+\n"
                   "| ID                   | 14                                         |\n"
                   "| Name                 | prog                                       |\n"
                   "| State                | [########################................] |\n"
                   "|                      | RUNNING (1)                                |\n"
                   "|                      | FAILED (2)                                 |\n"
                   "|                      | WAITING (2)                                |\n"
                   "| Cancel Reason        |                                            |\n"
                   "| Session              | closed                                     |\n"
                   "| Tasks                | 5; Ids: 1-10:3,20                          |\n"
                   "| Workers              | node1,node2, … (3 total)                   |\n"
                   "| Resources            | cpus: 4 compact!                           |\n"
                   "|                      | [weight: 2.5]                              |\n"
                   "| Pin                  | omp                                        |\n"
                   "| Priority             | -5                                         |\n"
                   "| Command              | prog                                       |\n"
                   "|                      | -x                                         |\n"
                   "| Stdout               | /home/u/work/job-14/%{TASK_ID}.stdout      |\n"
                   "| Stderr               | /home/u/work/job-14/%{TASK_ID}.stderr      |\n"
                   "| Environment          | Z=1                                        |\n"
                   "| Working directory    | /home/u/work                               |\n"
                   "| Task time limit      | 1h 30m 500ms                               |\n"
                   "| Crash limit          | 5                                          |\n"
                   "| Submission date      | 2026-01-31 12:00:00 UTC                    |\n"
                   "| Submission directory | /home/u/work                               |\n"
                   "| Makespan             | 1m 5s                                      |\n"
                   "+----------------------+--------------------------------------------+\n"
                   "+---------+--------+-------+\n"
                   "| Task ID | Worker | Error |\n"
                   "+---------+--------+-------+\n"
                   "| 4       | node1  | two   |\n"
                   "|         |        | lines |\n"
                   "+---------+--------+-------+\n"
                   "2 tasks failed. (1 shown)\n");
}

/* One task, ended: a word for the state, the time until its end, no worker any more. */
static void
test_info_of_one_task(void **state)
{
    (void)state;
    struct info i;
    struct sink s;
    info_init(&i);
    memset(&i.counts, 0, sizeof i.counts);
    hq__job_counts__init(&i.counts);
    i.counts.finished = 1;
    i.ids.n_packed = 3;
    i.packed[1] = 1;
    i.answer.n_failed = 0;
    i.answer.n_worker_hosts = i.answer.worker_count = 0;
    i.answer.finished_ms = i.answer.submitted_ms + 20;
    sink_init(&s, HQ_OUT_CLI, true);
    job_print_info(&s.out, &i.detail, &s.arena);
    assert_non_null(strstr(s.out.buf.ptr, "\033[32mFINISHED"));
    assert_null(strstr(s.out.buf.ptr, "Ids: 1-"));
    assert_non_null(strstr(s.out.buf.ptr, "1; Ids: 1"));
    assert_non_null(strstr(s.out.buf.ptr, "20ms"));
    assert_null(strstr(s.out.buf.ptr, "tasks failed"));
    hq_out_fini(&s.out);
    hq_arena_fini(&s.arena);
}

static void
test_info_of_open_job(void **state)
{
    (void)state;
    struct info i;
    struct sink s;
    info_init(&i);
    hq__job_counts__init(&i.counts);
    i.job.is_open = true;
    i.answer.n_submits = i.answer.n_failed = i.answer.n_worker_hosts = 0;
    i.answer.worker_count = 0;
    i.detail.desc_count = 0;
    i.answer.has_max_fails = true;
    i.answer.max_fails = 2;
    sink_init(&s, HQ_OUT_CLI, false);
    job_print_info(&s.out, &i.detail, &s.arena);
    sink_check(&s, "+-----------------+--------------------------------------------+\n"
                   "| ID              | 14                                         |\n"
                   "| Name            | prog                                       |\n"
                   "| State           | [........................................] |\n"
                   "| Cancel Reason   |                                            |\n"
                   "| Session         | open                                       |\n"
                   "| Tasks           | 0                                          |\n"
                   "| Workers         |                                            |\n"
                   "| Submission date | 2026-01-31 12:00:00 UTC                    |\n"
                   "| Makespan        | 1m 5s                                      |\n"
                   "+-----------------+--------------------------------------------+\n");
    struct hq_json j;
    sink_init(&s, HQ_OUT_JSON, false);
    hq_json_begin_document(&j, &s.out);
    job_json_detail(&j, &i.detail, &s.arena);
    hq_json_null(&j);
    hq_json_object_end(&j);
    assert_non_null(strstr(s.out.buf.ptr, "\"finished_at\": \"2026-01-31T12:01:05"));
    assert_non_null(strstr(s.out.buf.ptr, "\"max_fails\": 2,"));
    assert_non_null(strstr(s.out.buf.ptr, "\"submits\": [],"));
    hq_out_fini(&s.out);
    hq_arena_fini(&s.arena);
}

static void
test_info_json(void **state)
{
    (void)state;
    struct info i;
    struct sink s;
    struct hq_json j;
    info_init(&i);
    sink_init(&s, HQ_OUT_JSON, false);
    hq_json_begin_document(&j, &s.out);
    job_json_detail(&j, &i.detail, &s.arena);
    hq_json_array(&j);
    hq_json_array_end(&j);
    hq_json_object_end(&j);
    hq_json_end_document(&j, &s.out);
    static const char want[] =
        "  \"submits\": [\n    {\n      \"array\": {\n        \"crash_limit\": 5,\n        \"pin_mode\": "
        "\"openmp\",\n        \"priority\": -5,\n        \"program\": {\n          \"args\": [\n            "
        "\"prog\",\n            \"-x\"\n          ],\n          \"cwd\": \"/home/u/work\",\n          \"env\": "
        "{\n            \"HQ_MINE\": \"7\",\n            \"Z\": \"1\"\n          },\n          \"stderr\": "
        "\"/home/u/work/job-14/%{TASK_ID}.stderr\",\n          \"stdout\": "
        "\"/home/u/work/job-14/%{TASK_ID}.stdout\"\n        },\n        \"resources\": [\n          {\n"
        "            \"min_time\": 600.0,\n            \"n_nodes\": 0,\n            \"resources\": [\n"
        "              {\n                \"request\": {\n                  \"ForceCompact\": 40000\n"
        "                },\n                \"resource\": \"cpus\"\n              }\n            ],\n"
        "            \"weight\": 25000\n          }\n        ],\n        \"task_dir\": false,\n        "
        "\"time_limit\": 5400.5\n      }\n    }\n  ],\n  \"tasks\": []\n}\n";
    const char *at = strstr(s.out.buf.ptr, "  \"submits\"");
    assert_non_null(at);
    assert_string_equal(at, want);
    assert_non_null(strstr(s.out.buf.ptr, "{\n  \"finished_at\": null,\n  \"info\": {\n"));
    hq_out_fini(&s.out);
    hq_arena_fini(&s.arena);
}

/* What foreign bytes could say that does not fit together must not bring hq down. */
static void
test_damaged_detail(void **state)
{
    (void)state;
    struct info i;
    struct sink s;
    info_init(&i);
    i.job.counts = NULL;
    i.desc.request = NULL;
    i.submit.ids = NULL;
    i.submit.first_desc = 9;
    sink_init(&s, HQ_OUT_CLI, false);
    job_print_info(&s.out, &i.detail, &s.arena);
    assert_non_null(strstr(s.out.buf.ptr, "| Tasks                | 0 "));
    assert_null(job_detail_submit(&i.detail, 0));
    hq_out_fini(&s.out);
    hq_arena_fini(&s.arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_info_table),
        cmocka_unit_test(test_info_of_one_task),
        cmocka_unit_test(test_info_of_open_job),
        cmocka_unit_test(test_info_json),
        cmocka_unit_test(test_damaged_detail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
