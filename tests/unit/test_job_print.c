/* Job and task commands fed with hand-made answers: text, JSON and quiet form to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/desc_print.h"
#include "hq/explain_print.h"
#include "hq/job_print.h"
#include "hq/task_print.h"

static ProtobufCBinaryData
b(const char *s)
{
    return desc_bytes(hq_str_from(s));
}

struct sink {
    struct hq_out out;
    struct hq_arena arena;
};

static void
sink_init(struct sink *s, enum hq_out_mode mode, bool with_color)
{
    hq_out_init(&s->out, mode, with_color, -1);
    hq_arena_init(&s->arena, 0);
}

static void
sink_check(struct sink *s, const char *want)
{
    assert_string_equal(s->out.buf.ptr != NULL ? s->out.buf.ptr : "", want);
    hq_out_fini(&s->out);
    hq_arena_fini(&s->arena);
}

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
    j->info[0].name = b("one");
    j->counts[0].running = 1;
    j->info[1].job = 2;
    j->info[1].name = b("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
    j->counts[1].canceled = 3;
    j->counts[1].finished = 1;
    j->info[1].has_cancel_reason = true;
    j->info[1].cancel_reason = b("wrong input");
    j->info[2].job = 13;
    j->info[2].name = b("series");
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

struct info { /* an array 1-10:3,20 of five tasks, two of them failed */
    Hq__JobDetailAnswer answer;
    Hq__JobInfo job;
    Hq__JobCounts counts;
    Hq__SubmitInfo submit;
    Hq__SubmitInfo *submits[1];
    Hq__Ranges ids;
    uint32_t packed[6];
    Hq__TaskDesc desc;
    Hq__TaskDesc *descs[1];
    ProtobufCBinaryData args[2];
    Hq__EnvVar env[2];
    Hq__EnvVar *envs[2];
    Hq__Request request;
    Hq__Variant variant;
    Hq__Variant *variants[1];
    Hq__RequestEntry entry;
    Hq__RequestEntry *entries[1];
    Hq__FailedTask failed;
    Hq__FailedTask *faileds[1];
    ProtobufCBinaryData hosts[2];
    struct job_detail detail;
};

static void
info_desc(struct info *i)
{
    hq__task_desc__init(&i->desc);
    hq__request__init(&i->request);
    hq__variant__init(&i->variant);
    hq__request_entry__init(&i->entry);
    i->args[0] = b("prog");
    i->args[1] = b("-x");
    i->desc.args = i->args;
    i->desc.n_args = 2;
    hq__env_var__init(&i->env[0]);
    hq__env_var__init(&i->env[1]);
    i->env[0].key = b("Z");
    i->env[0].value = b("1");
    i->env[1].key = b("HQ_MINE");
    i->env[1].value = b("7");
    i->envs[0] = &i->env[0];
    i->envs[1] = &i->env[1];
    i->desc.env = i->envs;
    i->desc.n_env = 2;
    i->entry.name = b("cpus");
    i->entry.amount = 40000;
    i->entry.policy = HQ__POLICY__POLICY_FORCE_COMPACT;
    i->entries[0] = &i->entry;
    i->variant.entries = i->entries;
    i->variant.n_entries = 1;
    i->variant.min_time_ms = 600000;
    i->variant.weight = 25000;
    i->variants[0] = &i->variant;
    i->request.variants = i->variants;
    i->request.n_variants = 1;
    i->desc.request = &i->request;
    i->desc.time_limit_ms = 5400500;
    i->desc.pin = HQ__PIN_MODE__PIN_OMP;
    i->desc.priority = -5;
    i->desc.crash_limit = 5;
}

static void
info_init(struct info *i)
{
    memset(i, 0, sizeof *i);
    info_desc(i);
    hq__job_detail_answer__init(&i->answer);
    hq__job_info__init(&i->job);
    hq__job_counts__init(&i->counts);
    hq__submit_info__init(&i->submit);
    hq__ranges__init(&i->ids);
    hq__failed_task__init(&i->failed);
    i->job.job = 14;
    i->job.name = b("prog");
    i->job.counts = &i->counts;
    i->counts.failed = 2;
    i->counts.running = 1;
    i->counts.waiting = 2;
    memcpy(i->packed, (uint32_t[]){1, 4, 3, 20, 1, 1}, sizeof i->packed);
    i->ids.packed = i->packed;
    i->ids.n_packed = 6;
    i->submit.submit_dir = b("/home/u/work");
    i->submit.ids = &i->ids;
    i->submit.task_count = 5;
    i->submit.desc_count = 1;
    i->submits[0] = &i->submit;
    i->answer.info = &i->job;
    i->answer.submits = i->submits;
    i->answer.n_submits = 1;
    i->answer.server_uid = b("aB3xYz");
    i->answer.submitted_ms = 1769860800000; /* 2026-01-31 12:00:00 */
    i->answer.now_ms = i->answer.submitted_ms + 65000;
    i->failed.task = 4;
    i->failed.worker = 1;
    i->failed.worker_host = b("node1");
    i->failed.error = b("two\nlines");
    i->faileds[0] = &i->failed;
    i->answer.failed = i->faileds;
    i->answer.n_failed = 1;
    i->hosts[0] = b("node1");
    i->hosts[1] = b("node2");
    i->answer.worker_hosts = i->hosts;
    i->answer.n_worker_hosts = 2;
    i->answer.worker_count = 3;
    i->descs[0] = &i->desc;
    i->detail = (struct job_detail){.answer = &i->answer, .descs = i->descs, .desc_count = 1};
}

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

/* ---- tasks */

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
    p->worker_name.host = b("node1");
    p->workers[0] = &p->worker_name;
    p->answer.workers = p->workers;
    p->answer.n_workers = 1;
    for (size_t ix = 0; ix < 2; ix++) {
        hq__task_error__init(&p->error[ix]);
        p->error[ix].task = (uint32_t)ix + 2;
        p->error[ix].text = b(ix == 0 ? "Program terminated with exit code 3." : "short");
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
        items[ix].type = b("cpus");
        items[ix].kind = HQ__EXPLAIN_KIND__EXPLAIN_RESOURCE;
        items[ix].provided = 80000;
        items[ix].requested = 40000;
        items[ix].is_enough = true;
    }
    items[0].kind = HQ__EXPLAIN_KIND__EXPLAIN_TIME;
    items[0].provided = 1500000;
    items[0].requested = 3600000;
    items[0].is_enough = false;
    items[2].type = b("gpus/nvidia");
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
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_info_table),
        cmocka_unit_test(test_info_of_one_task),
        cmocka_unit_test(test_info_of_open_job),
        cmocka_unit_test(test_info_json),
        cmocka_unit_test(test_damaged_detail),
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
