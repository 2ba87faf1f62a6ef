/* Read-only answers: lists in pages, columns, long polls. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
begin(struct rig *r)
{
    rig_init(r);
    rig_worker(r, "cpus=4", NULL);
    rig_turn(r, 1, "");
}

static void
lists_jobs(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    for (int i = 0; i < 20; i++) {
        rig_array(&r, &(struct rig_job){.count = 2});
    }
    rig_open(&r);
    rig_cancel(&r, "3-5", "why");
    rig_forget(&r, "4");
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0");
    static const struct {
        const char *ids; /* NULL = no selection */
        uint32_t mask;
        bool plus_open;
        const char *want; /* ids */
        size_t missing;
    } cases[] = {
        {NULL, 0, false, "1-3,5-21", 0},
        {NULL, 1u << JOB_WORD_RUNNING, false, "1", 0},
        {NULL, 1u << JOB_WORD_RUNNING, true, "1,21", 0},
        {NULL, 1u << JOB_WORD_CANCELED, false, "3,5", 0},
        {"3-6,30", 0, false, "3,5-6", 2},
        {"30", 0, false, "", 1},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct query_job_list_args args = {
            .has_selection = cases[i].ids != NULL, .state_mask = cases[i].mask, .plus_open = cases[i].plus_open};
        args.bytes_max = 300; /* a few rows a page */
        if (args.has_selection) {
            args.jobs = (struct selection){.kind = SELECT_KIND_RANGES, .ids = rig_ranges(&r, cases[i].ids)};
        }
        struct hq_buf got = HQ_BUF_INIT;
        struct hq_ranges_runs runs = {.out = &got};
        struct query_job_list list;
        size_t missing = 0;
        uint32_t pages = 0;
        do {
            query_job_list(r.core, &args, &r.arena, &list);
            missing += list.not_found_count;
            for (size_t k = 0; k < list.count; k++) {
                hq_ranges_runs_add(&runs, list.jobs[k].job.v);
                args.after_job = list.jobs[k].job;
            }
            pages++;
        } while (list.has_more);
        hq_ranges_runs_end(&runs);
        assert_string_equal(got.ptr == NULL ? "" : got.ptr, cases[i].want);
        assert_int_equal(missing, cases[i].missing);
        assert_true(i != 0 || pages > 3);
        assert_int_equal(list.total_count, 20);
        assert_int_equal(list.last_job.v, 21);
        hq_buf_fini(&got);
    }
    struct query_job q;
    assert_true(query_job(r.core, (hq_job_id){3}, &q));
    assert_true(hq_str_is(q.cancel_reason, "why"));
    assert_int_equal(q.owner_uid, 1000);
    rig_fini(&r);
}

static void
details_of_a_job(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_open(&r);
    rig_array(&r, &(struct rig_job){.job = 1, .ids = "5-9,1"});
    rig_array(&r, &(struct rig_job){.job = 1, .ids = "20-26:2", .cpus = 2});
    rig_schedule(&r);
    rig_turn(&r, 1, "fail 1@5");
    rig_turn(&r, 1, "fail 1@1");
    struct query_job_detail d;
    assert_false(query_job_detail(r.core, (hq_job_id){9}, 0, 1 << 20, &r.arena, &d));
    assert_true(query_job_detail(r.core, (hq_job_id){1}, 0, 1 << 20, &r.arena, &d));
    assert_int_equal(d.submit_count, 2);
    assert_int_equal(d.submits[0].task_count, 6);
    assert_int_equal(d.submits[1].first_desc, 1);
    assert_int_equal(d.desc_count, 2);
    assert_int_equal(d.desc_next, 0);
    assert_int_equal(d.descs[1]->request.variants[0].entries[0].amount, 2 * HQ_AMOUNT_ONE);
    struct hq_buf ids = HQ_BUF_INIT;
    hq_ranges_print(&d.submits[0].ids, &ids); /* as given */
    assert_string_equal(ids.ptr, "5-9,1");
    hq_buf_clear(&ids);
    hq_ranges_print(&d.task_ids, &ids);
    assert_string_equal(ids.ptr, "1,5-9,20-26:2");
    hq_buf_fini(&ids);
    assert_int_equal(d.failed_count, 2);
    assert_int_equal(d.failed[0].task, 1); /* by id, not by time */
    assert_int_equal(d.failed[1].task, 5);
    assert_true(d.failed[0].error_seq > d.failed[1].error_seq);
    assert_true(hq_str_is(d.failed[0].worker_host, "node1"));
    assert_int_equal(d.worker_count, 1);
    assert_true(query_job_detail(r.core, (hq_job_id){1}, 0, 1, &r.arena, &d)); /* one description a page */
    assert_int_equal(d.desc_count, 1);
    assert_int_equal(d.desc_next, 1);
    rig_fini(&r);
}

static void
pages_of_tasks(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_array(&r, &(struct rig_job){.count = 5000});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-3 fail 1@2");
    rig_turn(&r, 1, "finish 1@0");
    struct query_task_page_args args = {.job = {1}, .bytes_max = 20000};
    struct query_task_page p;
    uint64_t rows = 0;
    uint32_t pages = 0;
    do {
        assert_true(query_task_page(r.core, &args, &r.arena, &p));
        assert_int_equal(hq_ranges_size(&p.ids), p.count);
        assert_int_equal(p.ids.count, 1);
        assert_int_equal(p.ids.v[0].first, rows);
        rows += p.count;
        pages++;
        args.has_after = true;
        args.after_task = (hq_task_ix)(rows - 1);
    } while (p.has_more);
    assert_int_equal(rows, 5000);
    assert_true(pages > 5);
    args = (struct query_task_page_args){.job = {1}, .bytes_max = 1 << 20};
    args.state_mask = 1u << TASK_WORD_RUNNING | 1u << TASK_WORD_FAILED | 1u << TASK_WORD_FINISHED;
    assert_true(query_task_page(r.core, &args, &r.arena, &p));
    assert_int_equal(p.count, 4);
    assert_int_equal(p.states[0], TASK_WORD_FINISHED);
    assert_int_equal(p.states[2], TASK_WORD_FAILED);
    assert_int_equal(p.started_ms[0], 999990);
    assert_int_equal(p.ended_ms[0], 1000000);
    assert_int_equal(p.ended_ms[1], 0);
    assert_int_equal(p.worker[1], 1);
    assert_true(p.is_one_desc);
    assert_int_equal(p.error_count, 1);
    assert_int_equal(p.errors[0].task, 2);
    assert_true(p.errors[0].seq > 0);
    assert_int_equal(p.worker_count, 1);
    assert_true(hq_str_is(p.workers[0].host, "node1"));
    args = (struct query_task_page_args){.job = {1}, .bytes_max = 1 << 20, .has_ids = true};
    args.ids = rig_ranges(&r, "4999,7000-7002,3");
    args.ids_only = true;
    assert_true(query_task_page(r.core, &args, &r.arena, &p));
    assert_int_equal(p.count, 2);
    assert_int_equal(p.ids.v[0].first, 3);
    assert_int_equal(p.not_found_count, 3);
    args.job.v = 2;
    assert_false(query_task_page(r.core, &args, &r.arena, &p));
    /* A range far behind the job's last task ends quickly and names a thousand. */
    args = (struct query_task_page_args){.job = {1}, .bytes_max = 1 << 20, .has_ids = true};
    struct hq_range all = {.first = 0, .count = UINT32_MAX, .step = 1};
    args.ids = (struct hq_ranges){.v = &all, .count = 1};
    args.ids_only = true;
    assert_true(query_task_page(r.core, &args, &r.arena, &p));
    assert_int_equal(p.count, 5000);
    assert_int_equal(p.not_found_count, 1000);
    rig_fini(&r);
}

static void
dependencies_of_tasks(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_graph(&r, 0, "3:1,2 1 2:1");
    struct query_task_page_args args = {.job = {1}, .bytes_max = 1 << 20, .with_deps = true};
    struct query_task_page p;
    assert_true(query_task_page(r.core, &args, &r.arena, &p));
    assert_int_equal(p.count, 3);
    assert_int_equal(p.deps_count, 2);
    assert_int_equal(p.deps[0].task, 2);
    assert_int_equal(p.deps[1].task, 3);
    assert_int_equal(p.deps[1].count, 2);
    assert_int_equal(p.deps[1].deps[0], 1);
    assert_int_equal(p.deps[1].deps[1], 2);
    rig_fini(&r);
}

static void
long_polls(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_array(&r, &(struct rig_job){.count = 2});
    rig_array(&r, &(struct rig_job){.count = 2});
    struct selection one = {.kind = SELECT_KIND_RANGES, .ids = rig_ranges(&r, "1")};
    struct selection all = {.kind = SELECT_KIND_ALL};
    struct query_watch w;
    assert_true(query_watch_changed(r.core, &one, 0));
    query_watch(r.core, &one, &r.arena, &w);
    assert_int_equal(w.count, 1);
    uint64_t version = w.version;
    assert_false(query_watch_changed(r.core, &one, version));
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 2@0");
    assert_false(query_watch_changed(r.core, &one, version)); /* another job */
    assert_true(query_watch_changed(r.core, &all, version));
    rig_turn(&r, 1, "finish 1@0-1");
    assert_true(query_watch_changed(r.core, &one, version));
    query_watch(r.core, &one, &r.arena, &w);
    assert_int_equal(w.jobs[0].counts.finished, 2);
    version = w.version;
    rig_forget(&r, "1");
    assert_true(query_watch_changed(r.core, &one, version)); /* gone is news too */
    query_watch(r.core, &one, &r.arena, &w);
    assert_int_equal(w.count, 0);
    assert_int_equal(w.not_found_count, 1);
    rig_fini(&r);
}

static void
lists_workers(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_worker(&r, "cpus=2 gpus=1", "g");
    rig_worker(&r, "cpus=2", NULL);
    rig_turn(&r, 3, "leave");
    rig_array(&r, &(struct rig_job){.count = 100});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-1");
    static const struct {
        enum query_worker_filter filter;
        const char *ids;
        size_t count;
        size_t missing;
    } cases[] = {
        {QUERY_WORKERS_ALL, NULL, 3, 0},  {QUERY_WORKERS_RUNNING, NULL, 2, 0}, {QUERY_WORKERS_OFFLINE, NULL, 1, 0},
        {QUERY_WORKERS_ALL, "2-5", 2, 2}, {QUERY_WORKERS_ALL, "9", 0, 1},
    };
    struct query_worker_list l;
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct query_worker_list_args args = {
            .filter = cases[i].filter, .has_selection = cases[i].ids != NULL, .bytes_max = 1 << 20};
        if (args.has_selection) {
            args.workers = (struct selection){.kind = SELECT_KIND_RANGES, .ids = rig_ranges(&r, cases[i].ids)};
        }
        query_worker_list(r.core, &args, &r.arena, &l);
        assert_int_equal(l.count, cases[i].count);
        assert_int_equal(l.not_found_count, cases[i].missing);
    }
    struct query_worker_list_args args = {.bytes_max = 1}; /* one a page */
    query_worker_list(r.core, &args, &r.arena, &l);
    assert_int_equal(l.count, 1);
    assert_true(l.has_more);
    assert_int_equal(l.workers[0].assigned_tasks, 4); /* queued ones are not counted */
    assert_int_equal(l.workers[0].running_tasks, 2);
    assert_int_equal(l.workers[0].last_job.v, 1);
    assert_int_equal(l.workers[0].last_task, 1);
    args.after_worker = l.workers[0].worker;
    query_worker_list(r.core, &args, &r.arena, &l);
    assert_int_equal(l.workers[0].worker.v, 2);
    args.after_worker.v = 2;
    query_worker_list(r.core, &args, &r.arena, &l);
    assert_int_equal(l.workers[0].reason, LOST_TIME_LIMIT);
    assert_true(l.workers[0].ended_ms > 0);
    assert_false(l.has_more);
    struct query_server s;
    query_server(r.core, &s);
    assert_int_equal(s.worker_count, 2);
    assert_int_equal(s.last_worker.v, 3);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_jobs),     cmocka_unit_test(details_of_a_job),
        cmocka_unit_test(pages_of_tasks), cmocka_unit_test(dependencies_of_tasks),
        cmocka_unit_test(long_polls),     cmocka_unit_test(lists_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
