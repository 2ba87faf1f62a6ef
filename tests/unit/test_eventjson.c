/* Event lines: the shape of each type, tasks of ranges in the order of their times, refused records. */
#include "common/eventjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static ProtobufCBinaryData
bytes(const char *s)
{
    union {
        const char *c;
        uint8_t *u;
    } v = {.c = s};
    return (ProtobufCBinaryData){.len = strlen(s), .data = v.u};
}

static void
expect(struct hq_eventjson *e, const Hq__Record *rec, const char *lines)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    struct hq_err err = {0};
    uint64_t count = 0;
    uint64_t newlines = 0;

    assert_int_equal(hq_eventjson_add(e, rec, &out, &count, &err), 0);
    for (size_t i = 0; i < out.len; i++) {
        newlines += out.ptr[i] == '\n';
    }
    assert_int_equal(count, newlines);
    assert_string_equal(out.len == 0 ? "" : out.ptr, lines);
}

static void
test_short_tasks_get_their_start(void **state)
{
    (void)state;
    struct hq_eventjson e;
    uint32_t ids[] = {4, 2, 1};
    int64_t started[] = {5, 10};
    uint64_t duration[] = {20, 2};
    Hq__Ranges r = HQ__RANGES__INIT;
    Hq__TaskTimes t = HQ__TASK_TIMES__INIT;
    Hq__TasksFinished f = HQ__TASKS_FINISHED__INIT;
    Hq__TasksFinishedRecord fr = HQ__TASKS_FINISHED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;

    r.packed = ids;
    r.n_packed = 3;
    t.base_ms = 1769860800000;
    t.started = started;
    t.n_started = 2;
    t.duration_ms = duration;
    t.n_duration_ms = 2;
    f.job = 7;
    f.ids = &r;
    f.times = &t;
    fr.worker = 3;
    fr.tasks = &f;
    rec.time_ms = 1769860800100;
    rec.body_case = HQ__RECORD__BODY_TASKS_FINISHED;
    rec.tasks_finished = &fr;
    hq_eventjson_init(&e);
    expect(&e, &rec,
           "{\"event\":{\"instance\":0,\"job\":7,\"task\":4,\"type\":\"task-started\",\"worker\":3},\"time\":\"2026-01-31T12:00:00.005Z\"}\n"
           "{\"event\":{\"instance\":0,\"job\":7,\"task\":5,\"type\":\"task-started\",\"worker\":3},\"time\":\"2026-01-31T12:00:00.015Z\"}\n"
           "{\"event\":{\"job\":7,\"task\":5,\"type\":\"task-finished\"},\"time\":\"2026-01-31T12:00:00.017Z\"}\n"
           "{\"event\":{\"job\":7,\"task\":4,\"type\":\"task-finished\"},\"time\":\"2026-01-31T12:00:00.025Z\"}\n");

    /* columns that do not fit together */
    struct hq_err err = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    uint64_t count = 0;
    t.n_duration_ms = 1;
    assert_int_equal(hq_eventjson_add(&e, &rec, &out, &count, &err), -EBADMSG);
    t.n_duration_ms = 2;
    ids[2] = UINT32_MAX;
    assert_int_equal(hq_eventjson_add(&e, &rec, &out, &count, &err), -EBADMSG);
    f.ids = NULL;
    assert_int_equal(hq_eventjson_add(&e, &rec, &out, &count, &err), -EBADMSG);
    fr.tasks = NULL;
    assert_int_equal(hq_eventjson_add(&e, &rec, &out, &count, &err), -EBADMSG);
    assert_int_equal(out.len, 0);
    hq_eventjson_fini(&e);
}

static void
test_long_task_starts_once(void **state)
{
    (void)state;
    struct hq_eventjson e;
    uint32_t ids[] = {0, 1, 1};
    uint32_t nodes[] = {5, 6};
    int64_t started[] = {0};
    Hq__Ranges r = HQ__RANGES__INIT;
    Hq__TaskTimes t = HQ__TASK_TIMES__INIT;
    Hq__TasksStarted s = HQ__TASKS_STARTED__INIT;
    Hq__TasksStartedRecord sr = HQ__TASKS_STARTED_RECORD__INIT;
    Hq__TaskFailed f = HQ__TASK_FAILED__INIT;
    Hq__TaskFailedRecord fr = HQ__TASK_FAILED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;

    r.packed = ids;
    r.n_packed = 3;
    t.base_ms = 1769860800123;
    t.started = started;
    t.n_started = 1;
    s.job = 9;
    s.variant = 1;
    s.ids = &r;
    s.times = &t;
    sr.worker = 5;
    sr.tasks = &s;
    sr.nodes = nodes;
    sr.n_nodes = 2;
    rec.body_case = HQ__RECORD__BODY_TASKS_STARTED;
    rec.tasks_started = &sr;
    hq_eventjson_init(&e);
    expect(&e, &rec,
           "{\"event\":{\"instance\":0,\"job\":9,\"task\":0,\"type\":\"task-started\",\"variant\":1,\"workers\":[5,6]},"
           "\"time\":\"2026-01-31T12:00:00.123Z\"}\n");

    /* hqd crashed and is back: the task ran on, its start is not told again */
    Hq__ServerStarted up = HQ__SERVER_STARTED__INIT;
    up.server_uid = bytes("aB3xYz");
    rec.time_ms = 1769860800500;
    rec.body_case = HQ__RECORD__BODY_SERVER_STARTED;
    rec.server_started = &up;
    expect(&e, &rec,
           "{\"event\":{\"server_uid\":\"aB3xYz\",\"type\":\"server-start\"},\"time\":\"2026-01-31T12:00:00.500Z\"}\n");

    f.job = 9;
    f.started_ms = 1769860800123;
    f.ended_ms = 1769860801000;
    f.error = bytes("a\"b");
    fr.worker = 5;
    fr.task = &f;
    rec.body_case = HQ__RECORD__BODY_TASK_FAILED;
    rec.task_failed = &fr;
    expect(&e, &rec,
           "{\"event\":{\"error\":\"a\\\"b\",\"job\":9,\"task\":0,\"type\":\"task-failed\"},\"time\":\"2026-01-31T12:00:01Z\"}\n");
    hq_eventjson_fini(&e);
}

static void
test_submit_of_parts(void **state)
{
    (void)state;
    struct hq_eventjson e;
    uint32_t ids[] = {1, 4, 3};
    uint32_t graph_ids[] = {1, 2, 3};
    Hq__Ranges r = HQ__RANGES__INIT;
    Hq__TaskDesc d = HQ__TASK_DESC__INIT;
    Hq__TaskDesc *descs[] = {&d};
    Hq__GraphTasks g = HQ__GRAPH_TASKS__INIT;
    Hq__SubmitPartStored part = HQ__SUBMIT_PART_STORED__INIT;
    Hq__SubmitPartStored last = HQ__SUBMIT_PART_STORED__INIT;
    Hq__JobSubmitted job = HQ__JOB_SUBMITTED__INIT;
    Hq__Record rec = HQ__RECORD__INIT;

    d.crash_limit = 5;
    part.descs = descs;
    part.n_descs = 1;
    rec.time_ms = 1769860800000;
    rec.body_case = HQ__RECORD__BODY_SUBMIT_PART;
    rec.submit_part = &part;
    hq_eventjson_init(&e);
    expect(&e, &rec, "");
    r.packed = ids;
    r.n_packed = 3;
    job.job = 2;
    job.is_new = true;
    job.name = bytes("sim");
    job.submit_dir = bytes("/home/u");
    job.ids = &r;
    job.part = &last;
    rec.body_case = HQ__RECORD__BODY_JOB_SUBMITTED;
    rec.job_submitted = &job;
    expect(&e, &rec,
           "{\"event\":{\"closed_job\":true,\"job\":2,\"job_desc\":{\"max_fails\":null,\"name\":\"sim\"},\"submit_desc\":"
           "{\"stream_path\":null,\"submit_dir\":\"/home/u\",\"task_desc\":{\"crash_limit\":{\"MaxCrashes\":5},\"ids\":"
           "{\"ranges\":[{\"count\":10,\"start\":1,\"step\":3}]},\"priority\":0,\"resources\":{\"variants\":[]},"
           "\"time_limit\":null}},\"type\":\"job-created\"},\"time\":\"2026-01-31T12:00:00Z\"}\n");

    /* a graph in two parts; attached to an open job under a name of its own */
    g.ids = graph_ids;
    g.n_ids = 3;
    part.graph = &g;
    last.graph = &g;
    rec.body_case = HQ__RECORD__BODY_SUBMIT_PART;
    rec.submit_part = &part;
    expect(&e, &rec, "");
    job.is_new = false;
    job.is_graph = true;
    job.own_name = bytes("alone");
    rec.body_case = HQ__RECORD__BODY_JOB_SUBMITTED;
    rec.job_submitted = &job;
    expect(&e, &rec,
           "{\"event\":{\"closed_job\":false,\"job\":2,\"job_desc\":{\"max_fails\":null,\"name\":\"alone\"},\"submit_desc\":"
           "{\"stream_path\":null,\"submit_dir\":\"/home/u\",\"task_desc\":{\"n_tasks\":6}},\"type\":\"job-created\"},"
           "\"time\":\"2026-01-31T12:00:00Z\"}\n");
    hq_eventjson_fini(&e);
}

static void
test_batches_and_notes(void **state)
{
    (void)state;
    struct hq_eventjson e;
    uint32_t ids[] = {1, 2, 1, 9, 1, 1};
    Hq__Ranges r = HQ__RANGES__INIT;
    Hq__TasksEndedRecord ended = HQ__TASKS_ENDED_RECORD__INIT;
    Hq__TaskNotified n = HQ__TASK_NOTIFIED__INIT;
    Hq__WorkerLost lost = HQ__WORKER_LOST__INIT;
    Hq__Record rec = HQ__RECORD__INIT;

    r.packed = ids;
    r.n_packed = 6;
    ended.job = 3;
    ended.ids = &r;
    rec.time_ms = 1769860800000;
    rec.body_case = HQ__RECORD__BODY_TASKS_CANCELED;
    rec.tasks_canceled = &ended;
    hq_eventjson_init(&e);
    expect(&e, &rec,
           "{\"event\":{\"tasks\":[{\"job_id\":3,\"job_task_id\":1},{\"job_id\":3,\"job_task_id\":2},"
           "{\"job_id\":3,\"job_task_id\":9}],\"type\":\"task-canceled\"},\"time\":\"2026-01-31T12:00:00Z\"}\n");
    n.worker = 5;
    n.job = 12;
    n.message = bytes("hi");
    rec.body_case = HQ__RECORD__BODY_TASK_NOTIFIED;
    rec.task_notified = &n;
    expect(&e, &rec,
           "{\"event\":{\"message\":[104,105],\"task_id\":{\"job_id\":12,\"job_task_id\":0},\"type\":\"task-notify\","
           "\"worker_id\":5},\"time\":\"2026-01-31T12:00:00Z\"}\n");
    lost.worker = 1;
    lost.reason = HQ__WORKER_LOST_REASON__LOST_REASON_HEARTBEAT;
    rec.time_ms = 5; /* a clock that went back */
    rec.body_case = HQ__RECORD__BODY_WORKER_LOST;
    rec.worker_lost = &lost;
    expect(&e, &rec,
           "{\"event\":{\"id\":1,\"reason\":\"HeartbeatLost\",\"type\":\"worker-lost\"},\"time\":\"2026-01-31T12:00:00Z\"}\n");
    hq_eventjson_fini(&e);
}

static void
test_allocations(void **state)
{
    (void)state;
    struct hq_eventjson e;
    ProtobufCBinaryData extra[] = {bytes("--partition=x")};
    ProtobufCBinaryData words[] = {bytes("--time-limit"), bytes("\"1h\"")};
    Hq__AllocParams params = HQ__ALLOC_PARAMS__INIT;
    Hq__AllocQueueCreated created = HQ__ALLOC_QUEUE_CREATED__INIT;
    Hq__AllocQueueEvent event = HQ__ALLOC_QUEUE_EVENT__INIT;
    Hq__AllocationEvent alloc = HQ__ALLOCATION_EVENT__INIT;
    Hq__Record rec = HQ__RECORD__INIT;

    params.manager = HQ__MANAGER__MANAGER_SLURM;
    params.backlog = 1;
    params.max_workers_per_alloc = 2;
    params.max_worker_count = 7;
    params.time_limit_ms = 3600000;
    params.idle_timeout_ms = 300000;
    params.min_utilization = 3000;
    params.name = bytes("q1");
    params.additional_args = extra;
    params.n_additional_args = 1;
    params.worker_args = words;
    params.n_worker_args = 2;
    params.worker_stop_cmd = bytes("bye");
    created.queue = 1;
    created.params = &params;
    rec.time_ms = 1769860800000;
    rec.body_case = HQ__RECORD__BODY_ALLOC_QUEUE_CREATED;
    rec.alloc_queue_created = &created;
    hq_eventjson_init(&e);
    expect(&e, &rec,
           "{\"event\":{\"params\":{\"additional_args\":[\"--partition=x\"],\"backlog\":1,\"cli_resource_descriptor\":null,"
           "\"idle_timeout\":null,\"manager\":\"Slurm\",\"max_worker_count\":7,\"max_workers_per_alloc\":2,"
           "\"min_utilization\":0.30000001192092896,\"name\":\"q1\",\"timelimit\":{\"nanos\":0,\"secs\":3600},"
           "\"worker_args\":[\"--time-limit\",\"\\\"1h\\\"\"],\"worker_start_cmd\":null,\"worker_stop_cmd\":\"bye\","
           "\"worker_wrap_cmd\":null},\"queue-id\":1,\"type\":\"autoalloc-queue-created\"},\"time\":\"2026-01-31T12:00:00Z\"}\n");
    alloc.queue = 1;
    alloc.number = 3;
    alloc.worker_count = 2;
    rec.body_case = HQ__RECORD__BODY_ALLOCATION_PLANNED;
    rec.allocation_planned = &alloc;
    expect(&e, &rec, "");
    alloc.allocation_id = bytes("77.pbs");
    rec.body_case = HQ__RECORD__BODY_ALLOCATION_QUEUED;
    expect(&e, &rec,
           "{\"event\":{\"allocation-id\":\"77.pbs\",\"queue-id\":1,\"type\":\"autoalloc-allocation-queued\",\"worker-count\":2},"
           "\"time\":\"2026-01-31T12:00:00Z\"}\n");
    rec.body_case = HQ__RECORD__BODY_ALLOCATION_STARTED;
    expect(&e, &rec,
           "{\"event\":{\"allocation-id\":\"77.pbs\",\"queue-id\":1,\"type\":\"autoalloc-allocation-started\"},"
           "\"time\":\"2026-01-31T12:00:00Z\"}\n");
    rec.body_case = HQ__RECORD__BODY_ALLOCATION_FINISHED;
    expect(&e, &rec,
           "{\"event\":{\"allocation-id\":\"77.pbs\",\"queue-id\":1,\"type\":\"autoalloc-allocation-finished\"},"
           "\"time\":\"2026-01-31T12:00:00Z\"}\n");
    event.queue = 1;
    rec.body_case = HQ__RECORD__BODY_ALLOC_QUEUE_REMOVED;
    rec.alloc_queue_removed = &event;
    expect(&e, &rec,
           "{\"event\":{\"queue-id\":1,\"type\":\"autoalloc-queue-removed\"},\"time\":\"2026-01-31T12:00:00Z\"}\n");
    hq_eventjson_fini(&e);
}

struct pieces {
    struct hq_buf *out;
    struct hq_buf all;
    size_t largest;
};

static void
take_piece(void *ctx)
{
    struct pieces *p = ctx;
    p->largest = HQ_MAX(p->largest, p->out->len);
    hq_buf_str(&p->all, hq_buf_view(p->out));
    hq_buf_clear(p->out);
}

/* One line that names very many tasks: the same text, in pieces, within bounds. */
static void
test_long_lines_leave_in_pieces(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf whole = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    uint32_t ids[] = {0, 300000, 2};
    Hq__Ranges r = HQ__RANGES__INIT;
    Hq__TasksEndedRecord ended = HQ__TASKS_ENDED_RECORD__INIT;
    Hq__Record rec = HQ__RECORD__INIT;
    struct pieces pieces = {.out = &out};
    struct hq_eventjson e;
    struct hq_err err = {0};
    uint64_t count = 0;
    r.packed = ids;
    r.n_packed = 3;
    ended.job = 3;
    ended.ids = &r;
    rec.body_case = HQ__RECORD__BODY_TASKS_CANCELED;
    rec.tasks_canceled = &ended;
    hq_eventjson_init(&e);
    assert_int_equal(hq_eventjson_add(&e, &rec, &whole, &count, &err), 0);
    e.full = take_piece;
    e.full_ctx = &pieces;
    assert_int_equal(hq_eventjson_add(&e, &rec, &out, &count, &err), 0);
    take_piece(&pieces);
    assert_true(whole.len > 10 * HQ_EVENTJSON_FULL_BYTES);
    assert_true(pieces.largest < HQ_EVENTJSON_FULL_BYTES + 1000);
    assert_true(hq_str_eq(hq_buf_view(&pieces.all), hq_buf_view(&whole)));
    hq_buf_fini(&pieces.all);
    hq_eventjson_fini(&e);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_tasks_get_their_start),
        cmocka_unit_test(test_long_task_starts_once),
        cmocka_unit_test(test_submit_of_parts),
        cmocka_unit_test(test_batches_and_notes), cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_long_lines_leave_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
