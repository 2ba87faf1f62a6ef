/* test_rankmap.c - ranks on made-up machines: who gets which cpus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/str.h"
#include "hq-workerd/stepd/rankmap.h"

static const struct {
    const char *machine; /* as hwloc makes it */
    const char *allowed; /* list of os indices; "" = all */
    uint32_t ranks, each;
    bool can_share;
    const char *want; /* a list per rank; NULL = refused */
    uint32_t want_each;
} cases[] = {
    {"core:4 pu:1", "", 4, 0, false, "0 1 2 3", 1},
    {"core:4 pu:1", "", 2, 0, false, "0-1 2-3", 2},
    {"core:4 pu:1", "", 1, 0, false, "0-3", 4},
    {"core:4 pu:1", "", 3, 0, false, "0 1 2", 1},
    {"core:4 pu:1", "1-2", 2, 0, false, "1 2", 1},
    {"core:4 pu:1", "", 5, 0, false, NULL, 0},
    {"core:4 pu:1", "", 5, 0, true, "0-3 0-3 0-3 0-3 0-3", 1},
    {"core:4 pu:1", "", 2, 3, false, NULL, 0},
    {"core:4 pu:1", "", 2, 3, true, "0-3 0-3", 3},
    {"core:4 pu:1", "7", 1, 0, false, NULL, 0}, /* a cpu that the machine has not */
    /* a core each, as long as there are cores; both threads of one with two cpus per rank */
    {"core:4 pu:2", "", 4, 1, false, "0 2 4 6", 1},
    {"core:4 pu:2", "", 4, 2, false, "0-1 2-3 4-5 6-7", 2},
    {"core:4 pu:2", "", 8, 1, false, "0 1 2 3 4 5 6 7", 1},
    {"core:4 pu:2", "", 5, 1, false, "0 1 2 3 4", 1},
    /* within one NUMA node where one has room */
    {"numa:2 core:6 pu:1", "", 2, 4, false, "0-3 6-9", 4},
    {"numa:2 core:6 pu:1", "", 3, 4, false, "0-3 6-9 4-5,10-11", 4},
    {"numa:2 core:6 pu:1", "", 3, 3, false, "0-2 3-5 6-8", 3},
    {"numa:2 core:6 pu:1", "", 6, 0, false, "0-1 2-3 4-5 6-7 8-9 10-11", 2},
    {"numa:2 core:6 pu:1", "4-11", 2, 4, false, "6-9 4-5,10-11", 4},
    {"pack:2 numa:2 core:2 pu:2", "", 4, 4, false, "0-3 4-7 8-11 12-15", 4},
    {"pack:2 numa:2 core:2 pu:2", "2-9", 2, 4, false, "4-7 2-3,8-9", 4},
};

static void
test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        hwloc_topology_t topology;
        hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
        struct rankmap map = {0};
        struct hq_buf text = HQ_BUF_INIT;
        assert_int_equal(0, hwloc_topology_init(&topology));
        assert_int_equal(0, hwloc_topology_set_synthetic(topology, cases[i].machine));
        assert_int_equal(0, hwloc_topology_load(topology));
        if (cases[i].allowed[0] == '\0') {
            hwloc_bitmap_copy(allowed, hwloc_topology_get_topology_cpuset(topology));
        } else {
            assert_int_equal(0, hwloc_bitmap_list_sscanf(allowed, cases[i].allowed));
            hwloc_bitmap_and(allowed, allowed, hwloc_topology_get_topology_cpuset(topology));
        }
        struct rankmap_conf conf = {
            .topology = topology,
            .allowed = allowed,
            .rank_count = cases[i].ranks,
            .cpus_per_rank = cases[i].each,
            .can_share = cases[i].can_share,
        };
        int rc = rankmap_make(&map, &conf, NULL);
        if ((rc == 0) != (cases[i].want != NULL)) {
            fail_msg("case %zu: rc %d", i, rc);
        }
        for (uint32_t r = 0; rc == 0 && r < map.rank_count; r++) {
            char list[64];
            assert_true(hwloc_bitmap_list_snprintf(list, sizeof list, map.sets[r]) > 0);
            hq_buf_printf(&text, "%s%s", r > 0 ? " " : "", list);
        }
        if (rc == 0) {
            if (strcmp(cases[i].want, text.ptr) != 0) {
                fail_msg("case %zu: %s, not %s", i, text.ptr, cases[i].want);
            }
            assert_int_equal(cases[i].want_each, map.cpus_per_rank);
            rankmap_fini(&map);
        }
        hq_buf_fini(&text);
        hwloc_bitmap_free(allowed);
        hwloc_topology_destroy(topology);
    }
}

/* 64 ranks, 128 NUMA-spread cpus: every cpu once. */
static void
test_large(void **state)
{
    hwloc_topology_t topology;
    struct rankmap map;

    (void)state;
    assert_int_equal(0, hwloc_topology_init(&topology));
    assert_int_equal(0, hwloc_topology_set_synthetic(topology, "pack:2 numa:4 core:16 pu:2"));
    assert_int_equal(0, hwloc_topology_load(topology));
    hwloc_bitmap_t seen = hwloc_bitmap_alloc();
    struct rankmap_conf conf = {
        .topology = topology,
        .allowed = hwloc_topology_get_topology_cpuset(topology),
        .rank_count = 64,
        .cpus_per_rank = 4,
    };
    assert_int_equal(0, rankmap_make(&map, &conf, NULL));
    for (uint32_t r = 0; r < 64; r++) {
        assert_int_equal(4, hwloc_bitmap_weight(map.sets[r]));
        assert_false(hwloc_bitmap_intersects(seen, map.sets[r]));
        hwloc_bitmap_or(seen, seen, map.sets[r]);
        hwloc_nodeset_t nodes = hwloc_bitmap_alloc();
        hwloc_cpuset_to_nodeset(topology, map.sets[r], nodes);
        assert_int_equal(1, hwloc_bitmap_weight(nodes));
        hwloc_bitmap_free(nodes);
    }
    assert_true(hwloc_bitmap_isequal(seen, conf.allowed));
    rankmap_fini(&map);
    hwloc_bitmap_free(seen);
    hwloc_topology_destroy(topology);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
