/* One task's way through the core, records, answers and commands as text. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void
runs_an_array(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.ids = "0-9"});
    rig_schedule(&r);
    rig_expect(&r, "record job-submitted job=1 uid=1000 new name=\"job\" ids=0-9\n"
                   "answer(commit) #1 submitted job=1\n");
    rig_worker(&r, "cpus=4", NULL);
    rig_turn(&r, 1, "");
    rig_expect(&r, "record worker-connected worker=1 host=\"node1\"\n"
                   "registered(commit) #2 worker=1 command=1\n");
    rig_schedule(&r);
    rig_expect(
        &r, "record tasks-assigned worker=1 job=1 instance=0 ids=0-7\n"
            "turn(write) #3 worker=1 ack=1 command=1 [body job=1 desc=0] [assign job=1 desc=0 instance=0 ids=0-7]\n");
    rig_turn(&r, 1, "start 1@0-3");
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "6/4/0/0/0/0");
    rig_expect(&r, "record tasks-started worker=1 job=1 instance=0 ids=0-3 at=999990,999990,999990,999990\n");
    rig_turn(&r, 1, "finish 1@0-3 start 1@4-7");
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "2/4/4/0/0/0");
    rig_turn(&r, 1, "finish 1@4-9");
    rig_clear(&r);
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "0/0/10/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

/* A task that starts and fails in one turn: readers see its start before what its failure aborts. */
static void
failure_names_its_start_first(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_graph(&r, 0, "1 2:1");
    rig_worker(&r, "cpus=4", NULL);
    rig_turn(&r, 1, "");
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 1, "fail 1@1");
    const char *started = strstr(r.log.ptr, "record tasks-started worker=1 job=1 instance=0 ids=1 ");
    const char *aborted = strstr(r.log.ptr, "record tasks-aborted job=1 ids=2\n");
    const char *failed = strstr(r.log.ptr, "record task-failed ");
    assert_true(started != NULL && aborted != NULL && failed != NULL && started < aborted && aborted < failed);
    rig_expect_counts(&r, 1, "0/0/0/1/0/1");
    rig_check_replay(&r);
    rig_fini(&r);
}

/* All nodes of a multi-node task are named, also when it starts and ends in one turn. */
static void
nodes_of_a_short_task(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=4", NULL);
    rig_worker(&r, "cpus=4", NULL);
    rig_worker(&r, "cpus=4", NULL);
    rig_array(&r, &(struct rig_job){.ids = "7", .request = rig_nodes(&r, 3)});
    for (uint32_t w = 1; w <= 3; w++) {
        rig_turn(&r, w, "");
    }
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 1, "finish 1@7");
    assert_true(rig_saw(&r, "record tasks-started worker=1 job=1 instance=0 ids=7 at=999990 nodes=1,2,3\n"));
    assert_true(rig_saw(&r, "record tasks-finished "));
    struct query_job_detail d;
    assert_true(query_job_detail(r.core, (hq_job_id){1}, 0, SIZE_MAX, &r.arena, &d));
    assert_int_equal(d.worker_count, 3);
    struct query_worker_list list;
    query_worker_list(r.core, &(struct query_worker_list_args){.bytes_max = SIZE_MAX}, &r.arena, &list);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(list.workers[i].last_job.v, 1);
        assert_int_equal(list.workers[i].last_task, 7);
    }
    rig_check_replay(&r);
    rig_fini(&r);
}

/* A checkpoint behind everything changes nothing, and numbers go on behind it when the rest is pruned. */
static void
checkpoint_keeps_numbers(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_open(&r);
    rig_worker(&r, "cpus=4", NULL);
    effects_clear(&r.fx);
    core_checkpoint(r.core, &r.now, &r.fx);
    assert_int_equal(r.fx.count, 1);
    const struct record_counters *c = &r.fx.v[0].u.record.u.counters;
    assert_int_equal(c->next_job, 2);
    assert_int_equal(c->next_worker, 2);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_an_array),
        cmocka_unit_test(failure_names_its_start_first),
        cmocka_unit_test(nodes_of_a_short_task),
        cmocka_unit_test(checkpoint_keeps_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
