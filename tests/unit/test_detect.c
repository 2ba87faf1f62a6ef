/* test_detect.c - this machine, labels of GPUs, texts of batch systems and of /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/log.h"
#include "hq-workerd/detect.h"
#include "hq-workerd/manager.h"
#include "hq-workerd/measure.h"

static void
test_this_machine(void **state)
{
    struct hq_arena arena;
    struct hq_pool p;

    (void)state;
    hq_arena_init(&arena, 0);
    detect_cpus(&p, false, &arena);
    assert_true(hq_pool_size(&p) >= HQ_AMOUNT_ONE);
    hq_arena_fini(&arena);
}

static void
test_gpu_labels(void **state)
{
    static const struct {
        const char *value;
        size_t count;
        bool is_duplicate;
        const char *last;
    } rows[] = {
        {"0,1", 2, false, "1"},  {"GPU-abc", 1, false, "GPU-abc"}, {"0, 1", 2, false, " 1"}, {"", 0, false, NULL},
        {"0,,1", 0, false, NULL}, {"0,0", 0, true, NULL},           {",", 0, false, NULL},   {"0,1,", 0, false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct hq_arena arena;
        struct hq_str *labels = NULL;
        bool is_duplicate;
        hq_arena_init(&arena, 0);
        assert_int_equal(rows[i].count, detect_gpu_labels(hq_str_from(rows[i].value), &labels, &is_duplicate, &arena));
        assert_int_equal(rows[i].is_duplicate, is_duplicate);
        if (rows[i].count > 0) {
            assert_true(hq_str_is(labels[rows[i].count - 1], rows[i].last));
        }
        hq_arena_fini(&arena);
    }
}

static void
test_gpus(void **state)
{
    char *const both[] = {"CUDA_VISIBLE_DEVICES=0,GPU-x", "ROCR_VISIBLE_DEVICES=3", NULL};
    char *const none[] = {"CUDA_VISIBLE_DEVICES=", NULL};
    struct hq_arena arena;
    struct hq_pool p[2];

    (void)state;
    hq_arena_init(&arena, 0);
    assert_int_equal(2, detect_gpus(p, HQ_DETECT_ALL, both, &arena));
    assert_true(hq_str_is(p[0].name, "gpus/nvidia"));
    assert_int_equal(2, p[0].groups[0].count);
    assert_true(hq_str_is(p[1].name, "gpus/amd"));
    assert_int_equal(1, detect_gpus(p, HQ_DETECT_AMD, both, &arena));
    assert_true(hq_str_is(p[0].name, "gpus/amd"));
    assert_int_equal(0, detect_gpus(p, HQ_DETECT_CPUS, both, &arena));
    assert_int_equal(0, detect_gpus(p, HQ_DETECT_ALL, none, &arena));
    hq_arena_fini(&arena);
}

static void
test_slurm(void **state)
{
    static const struct {
        const char *text;
        int64_t left_ms; /* 0 = refused */
    } rows[] = {
        {"JobId=1 JobName=x\n   RunTime=00:01:00 TimeLimit=01:00:00 TimeMin=N/A\n", 3540000},
        {"   RunTime=1-00:00:01 TimeLimit=2-00:00:00\n", 86399000},
        {" RunTime=00:00:30 TimeLimit=00:00:10\n", 1000}, /* over: not the same as no limit */
        {"   RunTime=00:01:00 TimeLimit=UNLIMITED\n", 0},
        {"   RunTime=00:01:00\n", 0},
        {"", 0},
        {"RunTime=1:2:3 TimeLimit=99999999999999999999\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct hq_err err = {0};
        int64_t left_ms = 0;
        int rc = manager_parse_slurm(hq_str_from(rows[i].text), &left_ms, &err);
        assert_int_equal(rows[i].left_ms == 0 ? -EINVAL : 0, rc);
        assert_int_equal(rows[i].left_ms, left_ms);
    }
}

static void
test_pbs(void **state)
{
    static const struct {
        const char *text;
        int64_t left_ms;
    } rows[] = {
        {"{\"Jobs\":{\"5.x\":{\"Resource_List\":{\"walltime\":\"01:00:00\"},\"resources_used\":{\"walltime\":\"00:10:00\"}}}}",
         3000000},
        {"{\"Jobs\":{\"5.x\":{\"Resource_List\":{\"walltime\":\"00:01:40\"}}}}", 100000},
        {"{\"Jobs\":{\"5.x\":{\"Resource_List\":{\"walltime\":90}}}}", 90000},
        {"{\"Jobs\":{\"6.x\":{\"Resource_List\":{\"walltime\":\"01:00:00\"}}}}", 0},
        {"{\"Jobs\":{\"5.x\":{\"Resource_List\":{}}}}", 0},
        {"{\"Jobs\":[]}", 0},
        {"qstat: down", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct hq_err err = {0};
        int64_t left_ms = 0;
        int rc = manager_parse_pbs(hq_str_from(rows[i].text), HQ_STR("5.x"), &left_ms, &err);
        assert_int_equal(rows[i].left_ms == 0 ? -EINVAL : 0, rc);
        assert_int_equal(rows[i].left_ms, left_ms);
    }
}

static void
test_manager(void **state)
{
    char *const nothing[] = {"PATH=/nonexistent", NULL};
    char *const slurm[] = {"PATH=/nonexistent", "SLURM_JOBID=77", "SLURM_MEM_PER_NODE=1000", NULL};
    char *const slurm_text[] = {"PATH=/nonexistent", "SLURM_JOB_ID=78", "SLURM_MEM_PER_NODE=4G", NULL};
    char *const pbs[] = {"PATH=/nonexistent", "PBS_ENVIRONMENT=PBS_BATCH", "SLURM_JOB_ID=78", NULL};
    struct manager_info m;
    struct hq_arena arena;
    struct hq_err err = {0};

    (void)state;
    hq_arena_init(&arena, 0);
    assert_int_equal(0, manager_detect(&m, HQ_MANAGER_DETECT, nothing, &arena, &err));
    assert_int_equal(HQ_MANAGER_NONE, m.manager);
    assert_int_equal(-EINVAL, manager_detect(&m, HQ_MANAGER_PBS, nothing, &arena, &err));
    assert_string_equal("PBS_ENVIRONMENT not found. The process is not running under PBS", err.text);
    assert_int_equal(-EINVAL, manager_detect(&m, HQ_MANAGER_SLURM, nothing, &arena, &err));
    assert_string_equal("SLURM_JOB_ID/SLURM_JOBID not found. The process is not running under SLURM", err.text);
    assert_int_equal(-EINVAL, manager_detect(&m, HQ_MANAGER_PBS, pbs, &arena, &err)); /* without an id */
    assert_int_equal(0, manager_detect(&m, HQ_MANAGER_DETECT, slurm, &arena, &err));
    assert_int_equal(HQ_MANAGER_SLURM, m.manager);
    assert_true(hq_str_is(m.job_id, "77"));
    assert_int_equal(1000, m.memory_mb);
    assert_int_equal(0, m.time_left_ms); /* no scontrol: no limit */
    assert_int_equal(0, manager_detect(&m, HQ_MANAGER_DETECT, slurm_text, &arena, &err));
    assert_int_equal(0, m.memory_mb);
    assert_int_equal(0, manager_detect(&m, HQ_MANAGER_NONE, slurm, &arena, &err));
    assert_int_equal(HQ_MANAGER_NONE, m.manager);
    hq_arena_fini(&arena);
}

static void
test_measure(void **state)
{
    uint64_t busy[4], total[4], all, available, net[6];
    struct measure_gpu gpu[4];

    (void)state;
    assert_int_equal(2, measure_parse_stat(HQ_STR("cpu  9 9 9 9 9\ncpu0 10 1 5 100 4 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1\nintr 5\n"),
                                           busy, total, 4));
    assert_int_equal(16, busy[0]);
    assert_int_equal(120, total[0]);
    assert_int_equal(6, busy[1]);
    assert_int_equal(1, measure_parse_stat(HQ_STR("cpu0 1 1 1 1\ncpu1 1 1 1 1\n"), busy, total, 1));
    measure_parse_meminfo(HQ_STR("MemTotal:       8000 kB\nMemFree: 1 kB\nMemAvailable:   5000 kB\n"), &all, &available);
    assert_int_equal(8000 * 1024, all);
    assert_int_equal(5000 * 1024, available);
    measure_parse_net(HQ_STR("Inter-|   Receive\n face |bytes\n  lo: 1 2 3 0 0 0 0 0 4 5 6 0 0 0 0 0\neth0:10 20 30 0 0 0 0 0 40 50 60 0\n"),
                      net);
    static const uint64_t want[6] = {11, 22, 33, 44, 55, 66};
    assert_memory_equal(want, net, sizeof want);
    assert_int_equal(1, measure_parse_nvidia(HQ_STR("0000:07:00.0, 10 %, 100 MiB, 200 MiB\nnonsense\nx, [N/A], 1, 2\n"), gpu, 4));
    assert_string_equal("0000:07:00.0", gpu[0].id);
    assert_true(gpu[0].processor_percent == 10.0f);
    assert_true(gpu[0].memory_percent == 50.0f);
    assert_int_equal(1, measure_parse_amd(HQ_STR("{\"card0\":{\"PCI Bus\":\"0000:C1:00.0\",\"GPU use (%)\":\"7\","
                                                 "\"GPU memory use (%)\":\"25\"},\"card1\":{}}"), gpu, 4));
    assert_string_equal("0000:C1:00.0", gpu[0].id);
    assert_true(gpu[0].memory_percent == 25.0f);
    assert_int_equal(0, measure_parse_amd(HQ_STR("no json"), gpu, 4));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_gpu_labels), cmocka_unit_test(test_gpus),         cmocka_unit_test(test_slurm),
        cmocka_unit_test(test_pbs),        cmocka_unit_test(test_manager),      cmocka_unit_test(test_measure),
    };

    hq_log_init(false, "off", false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
