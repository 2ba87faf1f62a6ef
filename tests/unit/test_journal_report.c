/* hq journal report: curves, counters, spreads; and what records add up to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hq/desc_print.h"
#include "hq/report.h"

#define T0 INT64_C(1000000)

/* ---- grid */

static void
test_grid(void **state)
{
    (void)state;
    static const struct {
        int64_t span_ms;
        int64_t cell_ms;
        size_t cells;
    } cases[] = {{0, 1, 1},
                 {1, 1, 1},
                 {1199, 1, 1199},
                 {1200, 2, 600},
                 {12000, 20, 600},
                 {86400000, 100000, 864},
                 {INT64_C(1) << 50, 1000000000000, 1126}};
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct grid g = grid_make(T0, T0 + cases[i].span_ms);
        assert_int_equal(g.cell_ms, cases[i].cell_ms);
        assert_int_equal(g.cells, cases[i].cells);
        assert_true(g.cells <= GRID_CELLS);
        assert_int_equal(grid_cell(&g, g.until_ms), g.cells - 1);
    }
}

static void
test_curve(void **state)
{
    (void)state;
    struct grid g = grid_make(T0, T0 + 2000); /* cells of 2 ms */
    static const struct {
        int64_t from, until;
        double value;
        const char *want;
    } cases[] = {
        {0, 2000, 1.0, "[[0.0,1.0],[2.0,1.0]]"},
        {-50, 5000, 0.5, "[[0.0,0.5],[2.0,0.5]]"},
        {100, 200, 2.0, "[[0.0,0.0],[0.1,2.0],[0.2,0.0],[2.0,0.0]]"},
        {101, 103, 1.0, "[[0.0,0.0],[0.1,0.5],[0.104,0.0],[2.0,0.0]]"},
        {101, 102, 1.0, "[[0.0,0.0],[0.1,0.5],[0.102,0.0],[2.0,0.0]]"},
        {1999, 2000, 1.0, "[[0.0,0.0],[1.998,0.5],[2.0,0.5]]"},
        {2000, 2100, 1.0, "[]"},
        {7, 7, 1.0, "[]"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct curve c = {0};
        HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
        curve_add(&c, &g, T0 + cases[i].from, T0 + cases[i].until, cases[i].value);
        curve_print(&c, &g, &got);
        assert_string_equal(got.ptr, cases[i].want);
        curve_fini(&c);
    }
}

/* The sum of all cells is the sum of all intervals, whatever they are. */
static void
test_curve_keeps_the_area(void **state)
{
    (void)state;
    struct grid g = grid_make(0, 7777);
    struct curve c = {0};
    double want = 0.0, got = 0.0, level = 0.0;
    uint64_t seed = 1;
    for (int i = 0; i < 1000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        hq_wall_ms from_ms = (hq_wall_ms)(seed >> 33) % 7777;
        hq_wall_ms until_ms = from_ms + (hq_wall_ms)(seed >> 50) % 900;
        curve_add(&c, &g, from_ms, until_ms, 1.0);
        want += (double)(HQ_MIN(until_ms, g.until_ms) - from_ms);
    }
    for (size_t i = 0; i < g.cells; i++) {
        level += c.step[i];
        got += level + c.part[i];
    }
    double last_missing =
        (double)((int64_t)g.cells * g.cell_ms - 7777) / (double)g.cell_ms * level; /* behind the end */
    assert_true(fabs((got - last_missing) * (double)g.cell_ms - want) < 1e-3 * want);
    curve_fini(&c);
}

static void
test_steps(void **state)
{
    (void)state;
    struct grid g = grid_make(T0, T0 + 1000);
    struct stairs s = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
    stairs_print(&s, &g, &got);
    assert_string_equal(got.ptr, "[]");
    hq_buf_clear(&got);
    stairs_add(&s, &g, T0 - 500, 2.0); /* before: what it begins with */
    stairs_add(&s, &g, T0 + 10, 1.0);
    stairs_add(&s, &g, T0 + 10, 1.0);
    stairs_add(&s, &g, T0 + 500, -4.0);
    stairs_add(&s, &g, T0 + 1001, 9.0); /* behind */
    stairs_print(&s, &g, &got);
    assert_string_equal(got.ptr, "[[0.0,2.0],[0.01,4.0],[0.5,0.0],[1.0,0.0]]");
    stairs_fini(&s);
}

static void
test_spread(void **state)
{
    (void)state;
    struct spread s = {0};
    assert_true(spread_quantile_ms(&s, 0.5) < 1e-9);
    for (uint64_t i = 1; i <= 100000; i++) {
        spread_add(&s, i);
    }
    for (int q = 0; q <= 100; q += 5) {
        double want = 1.0 + 99999.0 * q / 100.0;
        assert_true(fabs(spread_quantile_ms(&s, q / 100.0) - want) <= 0.02 * want + 1.0);
    }
    assert_int_equal(s.min_ms, 1);
    assert_int_equal(s.max_ms, 100000);
    spread_add(&s, UINT64_MAX); /* nonsense of a clock: kept at the top */
    assert_true(spread_quantile_ms(&s, 1.0) > 1e10);
    spread_fini(&s);
}

/* ---- records */

struct feed {
    struct report r;
    bool is_scan;
};

static void
feed(struct feed *f, Hq__Record *rec, int64_t at_ms, Hq__Record__BodyCase kind)
{
    struct hq_err err = {0};
    rec->time_ms = (uint64_t)(T0 + at_ms);
    rec->body_case = kind;
    int rc = f->is_scan ? report_scan(&f->r, rec, &err) : report_add(&f->r, rec, &err);
    if (rc < 0) {
        fail_msg("%s", err.text);
    }
}

static void
feed_start(struct feed *f)
{
    Hq__ServerStarted m = HQ__SERVER_STARTED__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    m.server_uid = desc_bytes(HQ_STR("abc"));
    rec.server_started = &m;
    feed(f, &rec, 0, HQ__RECORD__BODY_SERVER_STARTED);
}

static void
feed_worker(struct feed *f, uint32_t id, int64_t at_ms)
{
    Hq__Pool pool = HQ__POOL__INIT;
    Hq__Pools pools = HQ__POOLS__INIT;
    Hq__Pool *v[] = {&pool};
    Hq__WorkerConfig config = HQ__WORKER_CONFIG__INIT;
    Hq__WorkerConnected m = HQ__WORKER_CONNECTED__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    pool.name = desc_bytes(HQ_STR("cpus"));
    pool.kind = HQ__POOL_KIND__POOL_RANGE;
    pool.range_last = 3;
    pools.pools = v;
    pools.n_pools = 1;
    config.hostname = desc_bytes(HQ_STR("n"));
    config.pools = &pools;
    m.worker = id;
    m.config = &config;
    rec.worker_connected = &m;
    feed(f, &rec, at_ms, HQ__RECORD__BODY_WORKER_CONNECTED);
}

static void
feed_job(struct feed *f, uint32_t job, uint32_t count, uint64_t cpus_x10000, uint32_t nodes)
{
    Hq__RequestEntry entry = HQ__REQUEST_ENTRY__INIT;
    Hq__RequestEntry *entries[] = {&entry};
    Hq__Variant variant = HQ__VARIANT__INIT;
    Hq__Variant *variants[] = {&variant};
    Hq__Request request = HQ__REQUEST__INIT;
    Hq__TaskDesc desc = HQ__TASK_DESC__INIT;
    Hq__TaskDesc *descs[] = {&desc};
    Hq__SubmitPartStored part = HQ__SUBMIT_PART_STORED__INIT;
    Hq__Ranges ids = HQ__RANGES__INIT;
    uint32_t packed[] = {0, count, 1};
    Hq__JobSubmitted m = HQ__JOB_SUBMITTED__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    entry.name = desc_bytes(HQ_STR("cpus"));
    entry.amount = cpus_x10000;
    variant.entries = entries;
    variant.n_entries = 1;
    variant.n_nodes = nodes;
    request.variants = variants;
    request.n_variants = 1;
    desc.request = &request;
    part.descs = descs;
    part.n_descs = 1;
    ids.packed = packed;
    ids.n_packed = 3;
    m.job = job;
    m.is_new = true;
    m.name = desc_bytes(HQ_STR("</script>"));
    m.part = &part;
    m.ids = &ids;
    rec.job_submitted = &m;
    feed(f, &rec, 10, HQ__RECORD__BODY_JOB_SUBMITTED);
}

static void
feed_started(struct feed *f, uint32_t worker, uint32_t job, uint32_t task, int64_t at_ms, uint32_t second_node)
{
    Hq__Ranges ids = HQ__RANGES__INIT;
    uint32_t packed[] = {task, 1, 1};
    uint32_t nodes[] = {worker, second_node};
    int64_t started[] = {0};
    Hq__TaskTimes times = HQ__TASK_TIMES__INIT;
    Hq__TasksStarted tasks = HQ__TASKS_STARTED__INIT;
    Hq__TasksStartedRecord m = HQ__TASKS_STARTED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    ids.packed = packed;
    ids.n_packed = 3;
    times.base_ms = (uint64_t)(T0 + at_ms);
    times.started = started;
    times.n_started = 1;
    tasks.job = job;
    tasks.ids = &ids;
    tasks.times = &times;
    m.worker = worker;
    m.tasks = &tasks;
    m.nodes = nodes;
    m.n_nodes = second_node == 0 ? 0 : 2;
    rec.tasks_started = &m;
    feed(f, &rec, at_ms, HQ__RECORD__BODY_TASKS_STARTED);
}

/* Tasks 0 .. count - 1, one after the other: each begins 100 ms after the last one and takes 200 ms. */
static void
feed_finished(struct feed *f, uint32_t worker, uint32_t job, uint32_t first, uint32_t count, int64_t from_ms)
{
    Hq__Ranges ids = HQ__RANGES__INIT;
    uint32_t packed[] = {first, count, 1};
    int64_t started[8];
    uint64_t duration[8];
    Hq__TaskTimes times = HQ__TASK_TIMES__INIT;
    Hq__TasksFinished tasks = HQ__TASKS_FINISHED__INIT;
    Hq__TasksFinishedRecord m = HQ__TASKS_FINISHED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    for (uint32_t i = 0; i < count; i++) {
        started[i] = i == 0 ? 0 : 100;
        duration[i] = 200;
    }
    ids.packed = packed;
    ids.n_packed = 3;
    times.base_ms = (uint64_t)(T0 + from_ms);
    times.started = started;
    times.n_started = count;
    times.duration_ms = duration;
    times.n_duration_ms = count;
    tasks.job = job;
    tasks.ids = &ids;
    tasks.times = &times;
    m.worker = worker;
    m.tasks = &tasks;
    rec.tasks_finished = &m;
    feed(f, &rec, from_ms + 200 + 100 * (count - 1), HQ__RECORD__BODY_TASKS_FINISHED);
}

static void
feed_ended(struct feed *f, uint32_t job, uint32_t task, int64_t at_ms, bool is_cancel)
{
    Hq__Ranges ids = HQ__RANGES__INIT;
    uint32_t packed[] = {task, 1, 1};
    Hq__TasksEndedRecord m = HQ__TASKS_ENDED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    ids.packed = packed;
    ids.n_packed = 3;
    m.job = job;
    m.ids = &ids;
    if (is_cancel) {
        rec.tasks_canceled = &m;
    } else {
        rec.tasks_aborted = &m;
    }
    feed(f, &rec, at_ms, is_cancel ? HQ__RECORD__BODY_TASKS_CANCELED : HQ__RECORD__BODY_TASKS_ABORTED);
}

static void
feed_failed(struct feed *f, uint32_t worker, uint32_t job, uint32_t task, int64_t from_ms, int64_t until_ms)
{
    Hq__TaskFailed task_failed = HQ__TASK_FAILED__INIT;
    Hq__TaskFailedRecord m = HQ__TASK_FAILED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    task_failed.job = job;
    task_failed.task = task;
    task_failed.started_ms = from_ms < 0 ? 0 : (uint64_t)(T0 + from_ms);
    task_failed.ended_ms = (uint64_t)(T0 + until_ms);
    m.worker = worker;
    m.task = &task_failed;
    rec.task_failed = &m;
    feed(f, &rec, until_ms, HQ__RECORD__BODY_TASK_FAILED);
}

/* Two workers of four cpus. Job 1: six tasks of one cpu. Job 2: one task of two nodes. */
static void
story(struct feed *f)
{
    feed_start(f);
    feed_worker(f, 1, 0);
    feed_worker(f, 2, 0);
    feed_job(f, 1, 6, 10000, 0);
    feed_job(f, 2, 1, 0, 2);
    feed_finished(f, 1, 1, 0, 3, 100); /* 100-300, 200-400, 300-500 */
    feed_started(f, 2, 1, 3, 100, 0);
    feed_ended(f, 1, 3, 400, true); /* ran 300 ms, canceled */
    feed_failed(f, 2, 1, 4, 500, 600);
    feed_failed(f, 2, 1, 5, -1, 620); /* could not be started */
    feed_started(f, 1, 2, 0, 700, 2);
    Hq__ServerStopped stop = HQ__SERVER_STOPPED__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    rec.server_stopped = &stop;
    feed(f, &rec, 1000, HQ__RECORD__BODY_SERVER_STOPPED);
}

static void
tell(struct feed *f, hq_ms start_ms, hq_ms end_ms)
{
    struct hq_err err = {0};
    *f = (struct feed){.is_scan = true};
    report_init(&f->r);
    story(f);
    f->is_scan = false;
    assert_int_equal(report_begin(&f->r, start_ms, end_ms, &err), 0);
    story(f);
    report_finish(&f->r);
}

static void
test_story(void **state)
{
    (void)state;
    struct feed f;
    tell(&f, -1, -1);
    assert_int_equal(f.r.worker_count, 2);
    assert_int_equal(f.r.kind_count, 1);
    assert_string_equal(f.r.kinds[0].text, "cpus:4");
    assert_int_equal(f.r.class_count, 2);
    assert_string_equal(f.r.classes[0].text, "cpus: 1 compact");
    assert_string_equal(f.r.classes[1].text, "nodes: 2");
    assert_int_equal(f.r.classes[0].finished.count, 3);
    assert_int_equal(f.r.classes[0].failed.count, 1);
    assert_int_equal(f.r.classes[1].finished.count, 0);
    const struct report_job *j = &f.r.jobs[0];
    assert_int_equal(j->total, 6);
    assert_int_equal(j->finished, 3);
    assert_int_equal(j->failed, 2);
    assert_int_equal(j->canceled, 1);
    assert_true(fabs(j->sum_ms - (3 * 200 + 300 + 100)) < 1e-6);
    assert_int_equal(f.r.run_count, 6);
    /* 0.25 of a worker for each task of one cpu; both workers whole for the last 300 ms. */
    HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
    curve_print(&f.r.kinds[0].pools[0].used, &f.r.grid, &got);
    assert_string_equal(got.ptr, "[[0.0,0.0],[0.1,0.5],[0.2,0.75],[0.4,0.25],[0.6,0.0],[0.7,2.0],[1.0,2.0]]");
    assert_true(fabs(f.r.workers[0].busy_ms - (3 * 200 + 300)) < 1e-6);
    report_fini(&f.r);
}

static void
test_filter(void **state)
{
    (void)state;
    struct feed f;
    HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
    tell(&f, 350, 550);
    assert_int_equal(f.r.classes[0].finished.count, 2); /* one had ended before */
    assert_int_equal(f.r.classes[0].failed.count, 0);   /* it ended later */
    curve_print(&f.r.kinds[0].pools[0].used, &f.r.grid, &got);
    assert_string_equal(got.ptr, "[[0.0,0.75],[0.05,0.25],[0.2,0.25]]");
    hq_buf_clear(&got);
    stairs_print(&f.r.kinds[0].running, &f.r.grid, &got);
    assert_string_equal(got.ptr, "[[0.0,2.0],[0.2,2.0]]");
    report_fini(&f.r);
    tell(&f, 5000, -1); /* behind everything */
    assert_int_equal(f.r.grid.cells, 1);
    report_fini(&f.r);
}

static void
test_page(void **state)
{
    (void)state;
    struct feed f;
    HQ_AUTO(hq_buf_fini) struct hq_buf page = HQ_BUF_INIT;
    tell(&f, -1, 800);
    report_print(&f.r, &page);
    struct hq_str text = hq_buf_view(&page);
    assert_true(hq_str_find(text, HQ_STR("<h1 class=\"report-title\">HQ Journal Report</h1>")) >= 0);
    assert_true(hq_str_find(text, HQ_STR("<b>upto 800ms</b><span>Time filtering</span>")) >= 0);
    assert_true(hq_str_find(text, HQ_STR("const finished_tasks = [3];\nconst failed_tasks = [1];")) >= 0);
    assert_true(hq_str_find(text, HQ_STR("&lt;/script&gt;")) >= 0);
    ptrdiff_t end = hq_str_find(text, HQ_STR("</script>"));
    assert_true(end > 0 && hq_str_find(hq_str_sub(text, (size_t)end + 9, text.len), HQ_STR("</script>")) < 0);
    report_fini(&f.r);
}

#define MANY_WORKERS 400u
#define MANY_JOBS 2000u
#define MANY_TASKS 500u /* of each job: a million together */

static void
many(struct feed *f)
{
    feed_start(f);
    for (uint32_t worker = 1; worker <= MANY_WORKERS; worker++) {
        feed_worker(f, worker, 0);
    }
    for (uint32_t job = 1; job <= MANY_JOBS; job++) {
        feed_job(f, job, MANY_TASKS, 10000, 0);
        for (uint32_t first = 0; first < MANY_TASKS; first += 8) {
            uint32_t count = HQ_MIN(8u, MANY_TASKS - first);
            feed_finished(f, 1 + (job + first) % MANY_WORKERS, job, first, count, 100 * (int64_t)job + first);
        }
    }
}

/* What is drawn is bounded: a page of a million tasks can be opened. */
static void
test_million_tasks(void **state)
{
    (void)state;
    struct feed f = {.is_scan = true};
    struct hq_err err = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf page = HQ_BUF_INIT;
    report_init(&f.r);
    many(&f);
    f.is_scan = false;
    assert_int_equal(report_begin(&f.r, -1, -1, &err), 0);
    many(&f);
    report_finish(&f.r);
    report_print(&f.r, &page);
    assert_true(f.r.run_count == (size_t)MANY_JOBS * MANY_TASKS);
    assert_true(hq_str_find(hq_buf_view(&page), HQ_STR("const finished_tasks = [1000000];")) >= 0);
    if (page.len >= 5u << 20) {
        fail_msg("the page has %zu bytes", page.len);
    }
    report_fini(&f.r);
}

static void
test_bad_journals(void **state)
{
    (void)state;
    struct report r;
    struct hq_err err = {0};
    Hq__Record rec = HQ__RECORD__INIT;
    Hq__JobClosed closed = HQ__JOB_CLOSED__INIT;
    report_init(&r);
    assert_int_equal(report_begin(&r, -1, -1, &err), -ENODATA);
    assert_string_equal(err.text, "Empty journal");
    rec.body_case = HQ__RECORD__BODY_JOB_CLOSED;
    rec.job_closed = &closed;
    assert_int_equal(report_scan(&r, &rec, &err), -EBADMSG);
    assert_string_equal(err.text, "Journal does not start with server start event");
    report_fini(&r);

    struct feed f = {.is_scan = true};
    Hq__Ranges ids = HQ__RANGES__INIT;
    uint32_t packed[] = {0, 3, 1};
    Hq__TaskTimes times = HQ__TASK_TIMES__INIT;
    Hq__TasksFinished tasks = HQ__TASKS_FINISHED__INIT;
    Hq__TasksFinishedRecord finished = HQ__TASKS_FINISHED_RECORD__INIT;
    report_init(&f.r);
    feed_start(&f);
    assert_int_equal(report_begin(&f.r, -1, -1, &err), 0);
    ids.packed = packed;
    ids.n_packed = 3;
    tasks.ids = &ids;
    tasks.times = &times; /* no columns */
    finished.tasks = &tasks;
    rec.time_ms = T0;
    rec.body_case = HQ__RECORD__BODY_TASKS_FINISHED;
    rec.tasks_finished = &finished;
    assert_int_equal(report_add(&f.r, &rec, &err), -EBADMSG);
    tasks.times = NULL;
    assert_int_equal(report_add(&f.r, &rec, &err), -EBADMSG);
    finished.tasks = NULL;
    assert_int_equal(report_add(&f.r, &rec, &err), -EBADMSG);
    report_fini(&f.r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),         cmocka_unit_test(test_curve),  cmocka_unit_test(test_curve_keeps_the_area),
        cmocka_unit_test(test_steps),        cmocka_unit_test(test_spread), cmocka_unit_test(test_story),
        cmocka_unit_test(test_filter),       cmocka_unit_test(test_page),   cmocka_unit_test(test_million_tasks),
        cmocka_unit_test(test_bad_journals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
