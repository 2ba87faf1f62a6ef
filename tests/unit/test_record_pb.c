/* Records as bytes: what goes out comes back, also through the packing by hand; peek sees what decode sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/rng.h"
#include "hqd/record_pb.h"

static struct hq_arena arena;

static int
setup(void **state)
{
    (void)state;
    hq_arena_init(&arena, 0);
    return 0;
}
static int
teardown(void **state)
{
    (void)state;
    hq_arena_fini(&arena);
    return 0;
}

/* Encodes, decodes, and encodes again: the same bytes, so nothing was lost. */
static struct record
round_trip(const struct record *rec, uint32_t job, uint32_t worker)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf again = HQ_BUF_INIT;
    struct hq_buf bytes = HQ_BUF_INIT;
    struct record got = {0};
    struct hq_err err = {0};
    record_pb_encode(rec, &arena, &bytes);
    struct hq_str kept = hq_arena_str(&arena, hq_buf_view(&bytes));
    hq_buf_fini(&bytes);
    int rc = record_pb_decode(kept, &arena, &got, &err);
    if (rc != 1) {
        fail_msg("kind %d: rc %d %s", rec->kind, rc, err.text);
    }
    assert_int_equal(got.kind, rec->kind);
    assert_int_equal(got.time_ms, rec->time_ms);
    record_pb_encode(&got, &arena, &again);
    assert_true(hq_str_eq(hq_buf_view(&again), kept));
    struct record_peek p;
    assert_int_equal(record_pb_peek(kept, &p), 0);
    assert_int_equal(p.kind, rec->kind);
    assert_int_equal(p.time_ms, rec->time_ms);
    assert_int_equal(p.job, job);
    assert_int_equal(p.worker, worker);
    return got;
}

static struct hq_range some_ranges[] = {{.first = 0, .count = 300, .step = 1}, {.first = 4000000000u, .count = 2, .step = 7}};
static const struct hq_ranges ids = {.v = some_ranges, .count = 2};

static void
test_hand_packed(void **state)
{
    (void)state;
    int64_t started[302];
    uint64_t durations[302];
    struct hq_rng rng;
    hq_rng_init(&rng, 7);
    for (size_t i = 0; i < 302; i++) {
        started[i] = hq_rng_between(&rng, i % 3 == 0 ? INT64_MIN : -300, i % 3 == 0 ? INT64_MAX : 300);
        durations[i] = i % 5 == 0 ? UINT64_MAX : hq_rng_below(&rng, 400);
    }
    uint32_t nodes[] = {4, 1, 300};
    struct record rec = {.kind = RECORD_TASKS_ASSIGNED,
                         .time_ms = 1769860800123,
                         .u.tasks_assigned = {.worker = {300},
                                              .job = {70000},
                                              .instance = 2,
                                              .variant = 1,
                                              .ids = ids,
                                              .nodes = nodes,
                                              .node_count = 3}};
    struct record got = round_trip(&rec, 70000, 300);
    assert_int_equal(got.u.tasks_assigned.ids.count, 2);
    assert_int_equal(got.u.tasks_assigned.ids.v[1].first, 4000000000u);
    assert_int_equal(got.u.tasks_assigned.nodes[2], 300);

    rec = (struct record){.kind = RECORD_TASKS_STARTED,
                          .time_ms = 5,
                          .u.tasks_started = {.worker = {1},
                                              .tasks = {.job = {2},
                                                        .ids = ids,
                                                        .times = {.base_ms = 99, .started = started, .count = 302}},
                                              .nodes = nodes,
                                              .node_count = 1}};
    got = round_trip(&rec, 2, 1);
    assert_memory_equal(got.u.tasks_started.tasks.times.started, started, sizeof started);
    assert_null(got.u.tasks_started.tasks.times.duration_ms);

    rec = (struct record){
        .kind = RECORD_TASKS_FINISHED,
        .time_ms = 5,
        .u.tasks_finished = {
            .worker = {9},
            .tasks = {.job = {3},
                      .instance = 1,
                      .ids = ids,
                      .times = {.base_ms = 99, .started = started, .duration_ms = durations, .count = 302}}}};
    got = round_trip(&rec, 3, 9);
    assert_memory_equal(got.u.tasks_finished.tasks.times.started, started, sizeof started);
    assert_memory_equal(got.u.tasks_finished.tasks.times.duration_ms, durations, sizeof durations);
}

/* 64 instant tasks of one worker cost little over two bytes each: the figure for the journal depends on it. */
static void
test_size_of_a_batch(void **state)
{
    (void)state;
    int64_t started[64] = {0};
    uint64_t durations[64] = {0};
    struct hq_range r = {.first = 900000, .count = 64, .step = 1};
    struct record rec = {
        .kind = RECORD_TASKS_FINISHED,
        .time_ms = 1769860800123,
        .u.tasks_finished = {
            .worker = {16},
            .tasks = {.job = {1},
                      .ids = {.v = &r, .count = 1},
                      .times = {.base_ms = 1769860800123, .started = started, .duration_ms = durations, .count = 64}}}};
    HQ_AUTO(hq_buf_fini) struct hq_buf bytes = HQ_BUF_INIT;
    record_pb_encode(&rec, &arena, &bytes);
    assert_true(bytes.len <= 64 * 2 + 48);
}

static void
test_jobs(void **state)
{
    (void)state;
    struct hq_str args[] = {HQ_STR("a"), HQ_STR_NULL, hq_str_make("\xff\x01", 2)};
    struct env_var env[] = {{HQ_STR("K"), HQ_STR("v")}};
    struct hq_request_entry entries[] = {{HQ_STR("cpus"), 25000, HQ_POLICY_FORCE_TIGHT}, {HQ_STR("gpus/amd"), 0, HQ_POLICY_ALL}};
    struct hq_variant variants[] = {{.entries = entries, .entry_count = 2, .min_time_ms = 5, .weight_x10000 = 7},
                                    {.n_nodes = 3, .weight_x10000 = 10000}};
    struct task_desc descs[] = {{.args = args,
                                 .arg_count = 3,
                                 .env = env,
                                 .env_count = 1,
                                 .cwd = HQ_STR("/w"),
                                 .out = {.kind = STDIO_KIND_STREAM},
                                 .err = {.path = HQ_STR("%{TASK_ID}.err"), .remove_if_finished = true},
                                 .pin = PIN_MODE_OMP,
                                 .task_dir = true,
                                 .has_stdin = true,
                                 .time_limit_ms = 1000,
                                 .priority = -5,
                                 .crash_limit = CRASH_LIMIT_UNLIMITED,
                                 .request = {.variants = variants, .variant_count = 1}}};
    uint32_t lens[302] = {1, 0, 2};
    struct record rec = {.kind = RECORD_JOB_SUBMITTED,
                         .time_ms = 1,
                         .u.job_submitted = {.job = {4},
                                             .is_new = true,
                                             .name = HQ_STR("name"),
                                             .has_max_fails = true,
                                             .max_fails = 0,
                                             .submit_dir = HQ_STR("/d"),
                                             .stream_dir = HQ_STR("s"),
                                             .owner_uid = 1000,
                                             .request_id = UINT64_MAX,
                                             .upload_id = 77,
                                             .part_count = 1,
                                             .ids = ids,
                                             .part = {.descs = descs,
                                                      .desc_count = 1,
                                                      .ids = ids,
                                                      .entries = {.lens = lens, .count = 302, .data = HQ_STR("xyz")},
                                                      .stdin_data = HQ_STR("input")}}};
    struct record got = round_trip(&rec, 4, 0);
    const struct record_job_submitted *s = &got.u.job_submitted;
    assert_true(s->has_max_fails);
    assert_int_equal(s->part.descs[0].priority, -5);
    assert_int_equal(s->part.descs[0].request.variants[0].entries[0].policy, HQ_POLICY_FORCE_TIGHT);
    assert_true(hq_str_eq(s->part.descs[0].args[2], args[2]));
    assert_true(s->part.descs[0].err.remove_if_finished);
    assert_int_equal(s->part.entries.lens[2], 2);
    assert_false(s->part.descs[0].mpi.is_on);

    descs[0].pin = PIN_MODE_NONE;
    descs[0].mpi = (struct hq_mpi){.is_on = true,
                                   .ranks = 1,
                                   .cpus_per_rank = 2,
                                   .oversubscribe = true,
                                   .tag_output = true,
                                   .wire_up = HQ_MPI_PMI1};
    got = round_trip(&rec, 4, 0);
    const struct hq_mpi *mpi = &s->part.descs[0].mpi;
    assert_true(mpi->is_on && mpi->oversubscribe && mpi->tag_output && mpi->wire_up == HQ_MPI_PMI1);
    assert_true(mpi->ranks == 1 && mpi->ranks_per_node == 0 && mpi->cpus_per_rank == 2);

    uint32_t graph_ids[] = {3, 1};
    uint32_t deps[] = {1};
    uint32_t dep_count[] = {1, 0};
    uint32_t desc[] = {0, 0};
    rec = (struct record){
        .kind = RECORD_SUBMIT_PART,
        .u.submit_part = {.upload_id = 77,
                          .part = {.graph = {.ids = graph_ids,
                                             .desc = desc,
                                             .dep_count = dep_count,
                                             .count = 2,
                                             .deps = deps,
                                             .dep_total = 1}}}};
    got = round_trip(&rec, 0, 0);
    assert_int_equal(got.u.submit_part.part.graph.deps[0], 1);
    struct record_peek p;
    HQ_AUTO(hq_buf_fini) struct hq_buf bytes = HQ_BUF_INIT;
    record_pb_encode(&rec, &arena, &bytes);
    assert_int_equal(record_pb_peek(hq_buf_view(&bytes), &p), 0);
    assert_int_equal(p.upload_id, 77);
}

static void
test_small_kinds(void **state)
{
    (void)state;
    static const enum record_kind job_kinds[] = {RECORD_JOB_CLOSED, RECORD_JOB_COMPLETED};
    for (size_t i = 0; i < HQ_ARRAY_LEN(job_kinds); i++) {
        struct record rec = {.kind = job_kinds[i], .time_ms = 3, .u.job.job = {12}};
        assert_int_equal(round_trip(&rec, 12, 0).u.job.job.v, 12);
    }
    static const enum record_kind ended[] = {RECORD_TASKS_CANCELED, RECORD_TASKS_ABORTED};
    for (size_t i = 0; i < HQ_ARRAY_LEN(ended); i++) {
        struct record rec = {.kind = ended[i], .time_ms = 3, .u.tasks_ended = {.job = {12}, .ids = ids}};
        assert_int_equal(round_trip(&rec, 12, 0).u.tasks_ended.ids.count, 2);
    }
    struct record rec = {.kind = RECORD_SERVER_STARTED, .u.server_started = {.server_uid = HQ_STR("aB3xYz"), .pid = 9}};
    assert_true(hq_str_is(round_trip(&rec, 0, 0).u.server_started.server_uid, "aB3xYz"));
    rec = (struct record){.kind = RECORD_SERVER_STOPPED};
    (void)round_trip(&rec, 0, 0);
    rec = (struct record){.kind = RECORD_JOB_CANCELED, .u.job_canceled = {.job = {1}, .has_reason = true}};
    assert_true(round_trip(&rec, 1, 0).u.job_canceled.has_reason);
    rec = (struct record){.kind = RECORD_TASK_FAILED,
                          .u.task_failed = {.worker = {2}, .task = {.job = {1}, .task = 7, .error = HQ_STR("no")}}};
    assert_true(hq_str_is(round_trip(&rec, 1, 2).u.task_failed.task.error, "no"));
    rec = (struct record){.kind = RECORD_WORKER_LOST, .u.worker_lost = {.worker = {2}, .reason = LOST_HEARTBEAT}};
    assert_int_equal(round_trip(&rec, 0, 2).u.worker_lost.reason, LOST_HEARTBEAT);
    rec = (struct record){.kind = RECORD_TASKS_RESTARTED, .u.tasks_restarted = {.job = {1}, .ids = ids, .is_crash = true}};
    assert_true(round_trip(&rec, 1, 0).u.tasks_restarted.is_crash);
    rec = (struct record){.kind = RECORD_COUNTERS, .u.counters = {.next_job = 9, .next_worker = 8}};
    assert_int_equal(round_trip(&rec, 0, 0).u.counters.next_worker, 8);
    rec = (struct record){.kind = RECORD_JOB_FORGOTTEN, .u.job_forgotten.jobs = ids};
    assert_int_equal(round_trip(&rec, 0, 0).u.job_forgotten.jobs.count, 2);
}

static void
test_workers(void **state)
{
    (void)state;
    struct hq_str values[] = {HQ_STR("0"), HQ_STR("1")};
    struct hq_pool_group groups[] = {{.values = values, .count = 1}, {.values = values + 1, .count = 1}};
    struct hq_pool pools[] = {{.name = HQ_STR("cpus"), .kind = HQ_POOL_GROUPS, .groups = groups, .group_count = 2},
                              {.name = HQ_STR("mem"), .kind = HQ_POOL_SUM, .sum = 12345}};
    struct hq_str addresses[] = {HQ_STR("10.0.0.1"), HQ_STR("fd00::1")};
    struct record rec = {.kind = RECORD_WORKER_CONNECTED,
                         .u.worker_connected = {.worker = {5},
                                                .incarnation = HQ_STR("0123456789abcdef"),
                                                .started_ms = 4,
                                                .config = {.hostname = HQ_STR("h"),
                                                           .addresses = addresses,
                                                           .address_count = 2,
                                                           .heartbeat_ms = 8000,
                                                           .on_server_lost = WORKER_ON_LOST_FINISH_RUNNING,
                                                           .manager = WORKER_MANAGER_SLURM,
                                                           .pools = {.v = pools, .count = 2}}}};
    struct record got = round_trip(&rec, 0, 5);
    assert_int_equal(got.u.worker_connected.config.pools.v[1].sum, 12345);
    assert_int_equal(got.u.worker_connected.config.address_count, 2);
    assert_true(hq_str_is(got.u.worker_connected.config.addresses[1], "fd00::1"));
    float cpu[] = {1.5f, 100.0f};
    uint64_t net[] = {1, 2, 3, 4, 5, 6};
    struct gpu_load gpus[] = {{.family = HQ_STR("Nvidia"), .id = HQ_STR("0"), .processor_percent = 3.5f}};
    rec = (struct record){.kind = RECORD_WORKER_OVERVIEW,
                          .u.worker_overview = {.worker = {5},
                                                .overview = {.at_ms = 8,
                                                             .cpu_percent = cpu,
                                                             .cpu_count = 2,
                                                             .gpus = gpus,
                                                             .gpu_count = 1,
                                                             .network = net,
                                                             .network_count = 6}}};
    got = round_trip(&rec, 0, 5);
    assert_true(hq_str_is(got.u.worker_overview.overview.gpus[0].family, "Nvidia"));
}

static void
test_foreign_bytes(void **state)
{
    (void)state;
    struct record rec;
    struct record_peek p;
    struct hq_err err = {0};
    /* a kind of the future is skipped; "published only" kinds are never applied */
    assert_int_equal(record_pb_decode(HQ_STR("\x10\x05\x82\x06\x02\x08\x01"), &arena, &rec, &err), 0);
    assert_int_equal(record_pb_decode(HQ_STR("\x7a\x02\x08\x01"), &arena, &rec, &err), 0);
    /* cut, or against the rules */
    assert_true(record_pb_decode(HQ_STR("\x10"), &arena, &rec, &err) < 0);
    assert_true(record_pb_decode(HQ_STR("\x9a\x01\x02\x08\x01"), &arena, &rec, &err) < 0); /* finished, without tasks */
    const struct hq_str bad[] = {HQ_STR("\x10"), HQ_STR("\x9a\x01\x7f"), HQ_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                                 HQ_STR("\xf2\x80\x80\x80\x80\x80\x01\x02\x08\x01"), HQ_STR("\x75" "abc"), HQ_STR("\x73")};
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        assert_int_equal(record_pb_peek(bad[i], &p), -EBADMSG);
    }
    /* fields of the future, of fixed widths, are skipped by both */
    const struct hq_str later[] = {HQ_STR("\x72\x02\x08\x01\xc5\x84\xa1\x34" "abcd"), HQ_STR("\xc1\x84\xa1\x34" "abcdefgh" "\x72\x02\x08\x01")};
    for (size_t i = 0; i < HQ_ARRAY_LEN(later); i++) {
        assert_int_equal(record_pb_decode(later[i], &arena, &rec, &err), 1);
        assert_int_equal(record_pb_peek(later[i], &p), 0);
        assert_int_equal(p.kind, rec.kind);
        assert_int_equal(p.job, 1);
    }
    struct hq_rng rng;
    hq_rng_init(&rng, 99);
    for (int i = 0; i < 20000; i++) {
        char bytes[40];
        size_t len = hq_rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (char)hq_rng_u64(&rng);
        }
        int rc = record_pb_peek(hq_str_make(bytes, len), &p);
        assert_true(rc == 0 || rc == -EBADMSG);
        assert_true(record_pb_decode(hq_str_make(bytes, len), &arena, &rec, &err) <= 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hand_packed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_size_of_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
