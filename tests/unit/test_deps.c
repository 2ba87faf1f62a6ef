/* Graphs: order of starts, failure spread, refusals, dependencies on earlier submits. */
#include "tests/unit/build.h"

#include "common/rng.h"
#include "hqd/core/deps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void
with_worker(struct rig *r)
{
    rig_init(r);
    rig_worker(r, "cpus=8", NULL);
    rig_turn(r, 1, "");
    rig_schedule(r);
    rig_clear(r);
}

static void
starts_in_order(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_graph(&r, 0, "1 2:1 3:1 4:2,3 9");
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=0 ids=1,9\n"));
    rig_turn(&r, 1, "finish 1@1");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=0 ids=2-3\n"));
    rig_turn(&r, 1, "finish 1@3");
    rig_clear(&r);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "tasks-assigned")); /* 4 waits for 2 */
    rig_turn(&r, 1, "finish 1@2");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=4\n"));
    rig_turn(&r, 1, "finish 1@4,9");
    assert_true(rig_saw(&r, "job-completed job=1"));
    rig_expect_counts(&r, 1, "0/0/5/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
failure_aborts_what_depends(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_graph(&r, 0, "1 2:1 3:2 4:3,5 5 6:5");
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 1, "fail 1@1");
    rig_expect(&r, "record tasks-started worker=1 job=1 instance=0 ids=1 at=999995\n"
                   "record tasks-aborted job=1 ids=2-4\n"
                   "record task-failed worker=1 job=1 task=1 instance=0 error=\"boom\"\n");
    rig_turn(&r, 1, "finish 1@5");
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@6");
    rig_expect_counts(&r, 1, "0/0/2/1/0/3");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
refuses(void **state)
{
    (void)state;
    static const struct {
        const char *graph;
        const char *text;
    } cases[] = {
        {"1 2 1", "Task 1 is defined multiple times"},
        {"1 2:7", "Task 2 is part of dependency cycle or has an invalid dependencies"},
        {"1 2:2", "Task 2 is part of dependency cycle or has an invalid dependencies"},
        {"1:2 2:1", "Task 1 is part of dependency cycle or has an invalid dependencies"},
        {"5 1:3 2:1 3:2 4:3", "is part of dependency cycle or has an invalid dependencies"},
    };
    struct rig r;
    with_worker(&r);
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        rig_graph(&r, 0, cases[i].graph);
        assert_true(rig_saw(&r, cases[i].text));
        assert_false(rig_saw(&r, "job-submitted"));
        rig_clear(&r);
    }
    /* The task named is on the cycle, not one behind it. */
    rig_graph(&r, 0, "9:1 1:2 2:1");
    assert_false(rig_saw(&r, "Task 9"));
    rig_clear(&r);
    rig_graph(&r, 0, "1 2:1"); /* nothing of the refused ones is left: this is job 1 */
    assert_true(rig_saw(&r, "submitted job=1"));
    rig_fini(&r);
}

static void
reaches_back_to_earlier_submits(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_open(&r);
    rig_graph(&r, 1, "1 2");
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@1");
    rig_clear(&r);
    rig_graph(&r, 1, "10:1 11:2 12:11,2");
    assert_true(rig_saw(&r, "submitted job=1"));
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=10\n")); /* its predecessor has finished */
    rig_turn(&r, 1, "finish 1@2,10");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=11\n"));
    rig_turn(&r, 1, "fail 1@11");
    rig_expect_counts(&r, 1, "0/0/3/1/0/1");
    rig_clear(&r);
    rig_graph(&r, 1, "20:11");
    assert_true(rig_saw(&r, "Invalid dependency on 11"));
    rig_graph(&r, 1, "2");
    assert_true(rig_saw(&r, "Task 2 already exists in job 1."));
    rig_check_replay(&r);
    rig_fini(&r);
}

/* A failure in an earlier submit reaches tasks of a later one. */
static void
spreads_across_submits(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_open(&r);
    rig_graph(&r, 1, "1");
    rig_graph(&r, 1, "2:1 3:2");
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 1, "fail 1@1");
    assert_true(rig_saw(&r, "tasks-aborted job=1 ids=2-3"));
    assert_true(rig_saw(&r, "event job-idle job=1"));
    rig_fini(&r);
}

/* Restarted tasks do not release their successors twice. */
static void
survives_restarts(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_graph(&r, 0, "1 2:1 3:1,2");
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@1");
    rig_gone(&r, 1);
    rig_wait(&r, 3000);
    rig_worker(&r, "cpus=8", NULL);
    rig_turn(&r, 2, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=1 ids=1\n"));
    rig_turn(&r, 2, "finish 1@1#1");
    rig_schedule(&r);
    rig_turn(&r, 2, "finish 1@2");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=3\n"));
    rig_turn(&r, 2, "finish 1@3");
    rig_expect_counts(&r, 1, "0/0/3/0/0/0");
    rig_fini(&r);
}

/* Random graphs against a plain search for cycles: edges to earlier ids only are fine, one edge back may close a cycle. */
static void
cycles_are_found(void **state)
{
    (void)state;
    enum { N = 40 };
    struct hq_rng rng;
    hq_rng_init(&rng, 3);
    for (int round = 0; round < 300; round++) {
        bool edge[N][N] = {{false}};
        uint32_t ids[N];
        uint32_t desc[N] = {0};
        uint32_t dep_count[N] = {0};
        uint32_t deps[N * 4];
        size_t total = 0;
        for (uint32_t i = 0; i < N; i++) {
            ids[i] = 100 + i;
            uint32_t want = (uint32_t)hq_rng_below(&rng, 3);
            for (uint32_t k = 0; k < want; k++) {
                uint32_t to = (uint32_t)hq_rng_below(&rng, hq_rng_chance(&rng, 1, 30) ? N : HQ_MAX(i, 1u));
                if (to != i) {
                    deps[total++] = 100 + to;
                    dep_count[i]++;
                    edge[i][to] = true;
                }
            }
        }
        for (int k = 0; k < N; k++) { /* transitive closure */
            for (int i = 0; i < N; i++) {
                for (int j = 0; j < N; j++) {
                    edge[i][j] = edge[i][j] || (edge[i][k] && edge[k][j]);
                }
            }
        }
        bool has_cycle = false;
        for (int i = 0; i < N; i++) {
            has_cycle = has_cycle || edge[i][i];
        }
        struct submit_part part = {
            .graph = {.ids = ids, .desc = desc, .dep_count = dep_count, .count = N, .deps = deps, .dep_total = total}};
        struct graph_flat g;
        struct hq_err err = {0};
        assert_int_equal(deps_flatten(&g, &part, 1), 0);
        int rc = deps_check(NULL, &g, 1, &err);
        assert_int_equal(rc < 0, has_cycle);
        if (rc < 0) {
            uint32_t named = (uint32_t)strtoul(err.text + 5, NULL, 10) - 100;
            assert_true(named < N && edge[named][named]);
        }
        deps_flat_fini(&g);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_in_order),
        cmocka_unit_test(failure_aborts_what_depends),
        cmocka_unit_test(refuses),
        cmocka_unit_test(reaches_back_to_earlier_submits),
        cmocka_unit_test(spreads_across_submits),
        cmocka_unit_test(survives_restarts),
        cmocka_unit_test(cycles_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
