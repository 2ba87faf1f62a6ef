/* test_topology.c - what is detected on other machines: synthetic ones, one of our own making in tests/data, and dumps of real
 * ones (HQ_TEST_DATA). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/start_opts.h"
#include "hq-workerd/detect.h"

struct machine {
    const char *source; /* of hwloc: "synthetic:..." or a file; "data:" = below HQ_TEST_DATA */
    bool one_per_core;
    const char *summary; /* whole */
    const char *full;    /* beginning of the full form of each pool, joined by "; " */
};

static const struct machine own_machines[] = {
    {"synthetic:Package:2 NUMANode:4 Core:16 PU:2", false, "cpus 8x32; mem 8.00 GiB", "[[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,"},
    {"synthetic:Package:2 NUMANode:4 Core:16 PU:2", true, "cpus 8x16; mem 8.00 GiB", "[[0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30],[32,"},
    {"synthetic:Package:2 NUMANode:2 Core:16 PU:2", false, "cpus 4x32; mem 4.00 GiB", "[[0,1,2,3,"},
    {"synthetic:Package:2 NUMANode:2 Core:16 PU:2", true, "cpus 4x16; mem 4.00 GiB", "[[0,2,4,6,"},
    /* as text "57" < "9" */
    {"synthetic:Package:1 NUMANode:1 Core:2 PU:2(indexes=9,57,103,4)", true, "cpus 2; mem 1.00 GiB", "[4,9]"},
    {"synthetic:Package:1 NUMANode:1 Core:4 PU:1", false, "cpus 4; mem 1.00 GiB", "[0,1,2,3]"},
    /* nodes that the system counts against the order of their cpus: groups go by the system's count */
    {"synthetic:Package:1 NUMANode:4(indexes=3,1,2,0) Core:2 PU:1", false, "cpus 4x2; mem 4.00 GiB", "[[6,7],[2,3],[4,5],[0,1]]"},
    {"tests/data/topologies/4n4c2t-8gpu.xml", false, "cpus 4x8; gpus/amd 1; gpus/nvidia 8; mem 4.00 GiB",
     "[[0,1,2,3,4,5,6,7],[8,9,10,11,12,13,14,15],[16,17,18,19,20,21,22,23],[24,25,26,27,28,29,30,31]]; [0]; range(0-7); sum(4096)"},
    {"tests/data/topologies/4n4c2t-8gpu.xml", true, "cpus 4x4; gpus/amd 1; gpus/nvidia 8; mem 4.00 GiB",
     "[[0,2,4,6],[8,10,12,14],[16,18,20,22],[24,26,28,30]]; [0]; range(0-7)"},
};

static const struct machine real_machines[] = {
    {"data:16amd64-8n2c-cpusets.xml", false, "cpus 2x1 4x2; mem 40.00 GiB", "[[0,1],[2,3],[5],[6],[12,13],[14,15]]; sum(40960)"},
    {"data:16amd64-8n2c-cpusets.xml", true, "cpus 2x1 4x2; mem 40.00 GiB", "[[0,1],[2,3],[5],[6],[12,13],[14,15]]"},
    {"data:16em64t-4s2c2t-offlines.xml", false, "cpus 7", "[0,1,3,4,6,12,15]"}, /* says nothing of memory */
    {"data:16em64t-4s2c2t-offlines.xml", true, "cpus 6", "[0,1,3,4,6,15]"},
    {"data:32em64t-2n8c2t-pci-wholeio.xml", false, "cpus 2x16; gpus/nvidia 3; mem 63.97 GiB",
     "[[0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23],[8,9,10,11,12,13,14,15,24,25,26,27,28,29,30,31]]; range(0-2); sum(65507.8046)"},
    {"data:32em64t-2n8c2t-pci-wholeio.xml", true, "cpus 2x8; gpus/nvidia 3; mem 63.97 GiB",
     "[[0,1,2,3,4,5,6,7],[8,9,10,11,12,13,14,15]]"},
    {"data:power8gpudistances.xml", false, "cpus 2x8; gpus/nvidia 4; mem 127.60 GiB",
     "[[0,1,8,9,16,17,24,25],[80,81,88,89,96,97,104,105]]; range(0-3)"},
    {"data:power8gpudistances.xml", true, "cpus 2x4; gpus/nvidia 4; mem 127.60 GiB", "[[0,8,16,24],[80,88,96,104]]"},
    {"data:192em64t-24n8c2t.xml", false, "cpus 24x16; mem 743.61 GiB", "[[0,1,2,3,4,5,6,7,192,193,"}, /* its VGA is no GPU */
    {"data:192em64t-24n8c2t.xml", true, "cpus 24x8; mem 743.61 GiB", "[[0,1,2,3,4,5,6,7],[8,9,10,11,12,13,14,15],[16,"},
};

static void
machine_enter(const char *source)
{
    struct hq_buf path = HQ_BUF_INIT;

    if (strncmp(source, "synthetic:", 10) == 0) {
        assert_int_equal(0, setenv("HWLOC_SYNTHETIC", source + 10, 1));
    } else {
        bool is_data = strncmp(source, "data:", 5) == 0;
        hq_buf_printf(&path, "%s%s%s", is_data ? getenv("HQ_TEST_DATA") : "", is_data ? "/topologies/" : "",
                      is_data ? source + 5 : source);
        assert_int_equal(0, setenv("HWLOC_XMLFILE", path.ptr, 1));
    }
    assert_int_equal(0, setenv("HWLOC_THISSYSTEM", "0", 1));
    hq_buf_fini(&path);
}

static void
machine_leave(void)
{
    (void)unsetenv("HWLOC_SYNTHETIC");
    (void)unsetenv("HWLOC_XMLFILE");
    (void)unsetenv("HWLOC_THISSYSTEM");
}

static void
check_machine(const struct machine *m)
{
    char *const no_env[] = {NULL};
    struct hq_arena arena;
    struct hq_pool v[8];
    struct hq_pools pools = {.v = v, .count = 1};
    struct hq_buf text = HQ_BUF_INIT;
    struct hq_err err = {0};

    machine_enter(m->source);
    hq_arena_init(&arena, 0);
    detect_cpus(&v[0], m->one_per_core, &arena);
    pools.count += detect_gpus(&v[1], HQ_DETECT_ALL, no_env, &arena);
    pools.count += detect_memory(&v[pools.count], &arena);
    assert_int_equal(0, hq_pools_sort(&pools, &err));
    assert_int_equal(0, hq_pools_check(&pools, &err));
    hq_pools_print_summary(&pools, "; ", " ", &text);
    if (!hq_str_is(hq_buf_view(&text), m->summary)) {
        fail_msg("%s: %s", m->source, text.ptr);
    }
    hq_buf_clear(&text);
    for (size_t i = 0; i < pools.count; i++) {
        hq_buf_cstr(&text, i == 0 ? "" : "; ");
        hq_pool_print_full(&v[i], &text);
    }
    if (!hq_str_starts(hq_buf_view(&text), hq_str_from(m->full))) {
        fail_msg("%s: %s", m->source, text.ptr);
    }
    hq_buf_fini(&text);
    hq_arena_fini(&arena);
    machine_leave();
}

static void
test_own_machines(void **state)
{
    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(own_machines); i++) {
        check_machine(&own_machines[i]);
    }
}

static void
test_real_machines(void **state)
{
    (void)state;
    if (getenv("HQ_TEST_DATA") == NULL) {
        print_message("skipped: topologies of real machines (HQ_TEST_DATA is not set)\n");
        skip();
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(real_machines); i++) {
        check_machine(&real_machines[i]);
    }
}

/* Cpus given by hand lose the second thread of each core, and nothing that is no cpu here. */
static void
test_drop_threads(void **state)
{
    static const struct {
        const char *given, *kept;
    } rows[] = {
        {"range(0-31)", "[0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30]"},
        {"[[0,1],[3,5]]", "[0]"},
        {"[[0,1],[3,8]]", "[[0],[8]]"},
        {"[1,3,99,x]", "[99,x]"},
    };

    (void)state;
    machine_enter("tests/data/topologies/4n4c2t-8gpu.xml");
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct hq_arena arena;
        struct hq_pool p;
        struct hq_buf text = HQ_BUF_INIT;
        hq_arena_init(&arena, 0);
        assert_int_equal(0, hq_pool_parse(&p, HQ_STR("cpus"), hq_str_from(rows[i].given), true, &arena, NULL));
        detect_drop_threads(&p, &arena);
        hq_pool_print_full(&p, &text);
        assert_string_equal(rows[i].kept, text.ptr);
        hq_buf_fini(&text);
        hq_arena_fini(&arena);
    }
    machine_leave();
}

/* The variables come before any device; one that is set, even without use, keeps devices from being counted. */
static void
test_gpu_variables(void **state)
{
    static const struct {
        const char *cuda, *rocr;
        uint32_t wanted;
        const char *found;
    } rows[] = {
        {NULL, NULL, HQ_DETECT_ALL, "gpus/amd 1; gpus/nvidia 8"},
        {"CUDA_VISIBLE_DEVICES=1,3", NULL, HQ_DETECT_ALL, "gpus/amd 1; gpus/nvidia 2"},
        {"CUDA_VISIBLE_DEVICES=", NULL, HQ_DETECT_ALL, "gpus/amd 1"},
        {"CUDA_VISIBLE_DEVICES=0,0", "ROCR_VISIBLE_DEVICES=0,1,2", HQ_DETECT_ALL, "gpus/amd 3"},
        {NULL, "ROCR_VISIBLE_DEVICES=4", HQ_DETECT_ALL, "gpus/amd 1; gpus/nvidia 8"},
        {NULL, NULL, HQ_DETECT_AMD, "gpus/amd 1"},
        {NULL, NULL, HQ_DETECT_NVIDIA, "gpus/nvidia 8"},
        {NULL, NULL, HQ_DETECT_CPUS | HQ_DETECT_MEM, ""},
    };

    (void)state;
    machine_enter("tests/data/topologies/4n4c2t-8gpu.xml");
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        char *env[3] = {0}, cuda[40], rocr[40];
        size_t count = 0;
        struct hq_arena arena;
        struct hq_pool v[DETECT_GPU_POOLS];
        struct hq_pools pools = {.v = v};
        struct hq_buf text = HQ_BUF_INIT;
        struct hq_err err = {0};
        if (rows[i].cuda != NULL) {
            (void)snprintf(cuda, sizeof cuda, "%s", rows[i].cuda);
            env[count++] = cuda;
        }
        if (rows[i].rocr != NULL) {
            (void)snprintf(rocr, sizeof rocr, "%s", rows[i].rocr);
            env[count++] = rocr;
        }
        hq_arena_init(&arena, 0);
        pools.count = detect_gpus(v, rows[i].wanted, env, &arena);
        assert_int_equal(0, hq_pools_sort(&pools, &err));
        hq_pools_print_summary(&pools, "; ", " ", &text);
        if (!hq_str_is(hq_buf_view(&text), rows[i].found)) {
            fail_msg("row %zu: %s", i, text.ptr);
        }
        hq_buf_fini(&text);
        hq_arena_fini(&arena);
    }
    machine_leave();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_machines),
        cmocka_unit_test(test_real_machines),
        cmocka_unit_test(test_drop_threads),
        cmocka_unit_test(test_gpu_variables),
    };

    hq_log_init(false, "off", false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
