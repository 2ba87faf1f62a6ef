/* Workers that end, and what becomes of their tasks: crash limits, idle clocks, deadlines. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void
add_worker(struct rig *r)
{
    struct query_server q;
    rig_worker(r, "cpus=4", NULL);
    query_server(r->core, &q);
    rig_turn(r, q.last_worker.v, "");
    rig_schedule(r);
    rig_clear(r);
}

static void
connection_lost(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r);
    rig_array(&r, &(struct rig_job){.count = 6});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-1");
    rig_schedule(&r);
    rig_clear(&r);
    rig_gone(&r, 1);
    rig_wait(&r, 1999);
    rig_expect(&r, "");
    rig_wait(&r, 1);
    rig_expect(&r, "turn(now) #4 worker=1 error -116\n"
                   "record worker-lost worker=1 reason=connection\n"
                   "record tasks-restarted job=1 ids=2-5\n"
                   "record tasks-restarted job=1 ids=0-1 crash\n"
                   "gone worker=1\n");
    rig_expect_counts(&r, 1, "6/0/0/0/0/0");
    rig_turn(&r, 1, "finish 1@0-1"); /* given up: nothing it says counts */
    rig_expect(&r, "turn(now) #5 worker=1 error -116\n");
    add_worker(&r);
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
back_in_time(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r);
    rig_gone(&r, 1);
    rig_wait(&r, 1500);
    rig_turn(&r, 1, ""); /* a turn is as good as a connection */
    rig_wait(&r, 3000);
    assert_false(rig_saw(&r, "worker-lost"));
    rig_gone(&r, 1);
    rig_wait(&r, 500);
    rig_step(&r, &(struct input){.kind = INPUT_PEER_BACK, .u.peer.worker = {1}});
    rig_wait(&r, 3000);
    assert_false(rig_saw(&r, "worker-lost"));
    rig_fini(&r);
}

static void
silent(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r);
    rig_wait(&r, 10000);
    rig_turn(&r, 1, "");
    rig_clear(&r);
    rig_wait(&r, 16000);
    assert_false(rig_saw(&r, "worker-lost")); /* not more than two heartbeats yet */
    rig_wait(&r, 1);
    assert_true(rig_saw(&r, "worker-lost worker=1 reason=heartbeat"));
    rig_fini(&r);
}

/* Each loss kills what ran; what the limit says decides. */
static void
crash_limits(void **state)
{
    (void)state;
    static const struct {
        uint32_t limit;
        bool never;
        int crashes; /* that it survives */
        const char *error;
    } cases[] = {
        {0, false, 4, "the task has occurred 5 times in this situation and limit was reached."}, /* the default, 5 */
        {1, false, 0, "the task has occurred 1 times"},
        {2, false, 1, "the task has occurred 2 times"},
        {0, true, 0, "Task was running on a lost worker while never restart flag was set."},
        {UINT32_MAX, false, 20, NULL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct rig r;
        rig_init(&r);
        rig_array(&r, &(struct rig_job){.crash_limit = cases[i].limit, .never_restart = cases[i].never});
        for (int crash = 0; crash <= cases[i].crashes; crash++) {
            char news[32];
            uint32_t worker = (uint32_t)crash + 1;
            add_worker(&r);
            (void)snprintf(news, sizeof(news), "start 1@0#%d", crash);
            rig_turn(&r, worker, news);
            rig_expect_counts(&r, 1, "0/1/0/0/0/0");
            rig_clear(&r);
            rig_gone(&r, worker);
            rig_wait(&r, 2000);
            bool is_last = crash == cases[i].crashes && cases[i].error != NULL;
            assert_int_equal(rig_saw(&r, "task-failed"), is_last);
            assert_int_equal(rig_saw(&r, "tasks-restarted job=1 ids=0 crash"), !is_last);
        }
        if (cases[i].error != NULL) {
            assert_true(rig_saw(&r, cases[i].error));
            rig_expect_counts(&r, 1, "0/0/0/1/0/0");
        }
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* An orderly end counts for nothing, except that never-restart means never. */
static void
orderly_ends(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r);
    rig_array(&r, &(struct rig_job){.crash_limit = 1});
    rig_array(&r, &(struct rig_job){.never_restart = true});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0 start 2@0");
    rig_clear(&r);
    rig_stop_worker(&r, 1);
    assert_true(rig_saw(&r, "1:done"));
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[stop stopped]"));
    rig_clear(&r);
    rig_turn(&r, 1, "leave");
    assert_true(rig_saw(&r, "worker-lost worker=1 reason=stopped")); /* the order, not what the worker says */
    assert_true(rig_saw(&r, "tasks-restarted job=1 ids=0\n"));
    assert_true(rig_saw(&r, "never restart flag was set"));
    assert_true(rig_saw(&r, "turn(commit) #7 worker=1 ack=3")); /* it may end: its last turn is in the journal */
    rig_clear(&r);
    rig_stop_worker(&r, 1);
    rig_stop_worker(&r, 7);
    rig_expect(&r, "answer(commit) #8 1:stopped-before\n"
                   "answer(commit) #9 7:not-found\n");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
stops_in_a_minute(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r);
    rig_stop_worker(&r, 1);
    rig_array(&r, &(struct rig_job){0});
    rig_schedule(&r);
    assert_false(rig_saw(&r, "tasks-assigned")); /* it gets nothing any more */
    rig_clear(&r);
    for (int i = 0; i < 9; i++) { /* speaks, but does not end */
        rig_wait(&r, 6000);
        rig_turn(&r, 1, "");
        rig_schedule(&r);
    }
    assert_false(rig_saw(&r, "worker-lost"));
    rig_wait(&r, 6000);
    assert_true(rig_saw(&r, "worker-lost worker=1 reason=stopped"));
    rig_fini(&r);
}

static void
time_limit_of_a_worker(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r);
    rig_turn(&r, 1, "leave");
    assert_true(rig_saw(&r, "worker-lost worker=1 reason=time-limit"));
    rig_fini(&r);
}

static void
keep_alive(struct rig *r, uint32_t worker, hq_ms ms)
{
    while (ms > 0) {
        hq_ms step = HQ_MIN(ms, (hq_ms)4000);
        rig_wait(r, step);
        rig_turn(r, worker, "");
        rig_schedule(r);
        ms -= step;
    }
}

static void
idle_timeout(void **state)
{
    (void)state;
    struct rig r;
    rig_init_conf(&r, &(struct core_conf){.idle_timeout_ms = 60000});
    add_worker(&r);
    keep_alive(&r, 1, 56000);
    rig_array(&r, &(struct rig_job){0}); /* work comes in time: the clock starts anew when it has ended */
    rig_schedule(&r);
    keep_alive(&r, 1, 30000);
    assert_false(rig_saw(&r, "[stop"));
    rig_turn(&r, 1, "finish 1@0");
    rig_schedule(&r);
    keep_alive(&r, 1, 56000);
    assert_false(rig_saw(&r, "[stop"));
    keep_alive(&r, 1, 8000);
    assert_true(rig_saw(&r, "[stop idle]"));
    rig_turn(&r, 1, "leave");
    assert_true(rig_saw(&r, "worker-lost worker=1 reason=idle"));
    /* A worker's own value wins. */
    r.worker_idle_ms = 10000;
    rig_worker(&r, "cpus=1", NULL);
    rig_turn(&r, 2, "");
    rig_schedule(&r);
    rig_clear(&r);
    keep_alive(&r, 2, 12000);
    assert_true(rig_saw(&r, "[stop idle]"));
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_lost),        cmocka_unit_test(back_in_time), cmocka_unit_test(silent),
        cmocka_unit_test(crash_limits),           cmocka_unit_test(orderly_ends), cmocka_unit_test(stops_in_a_minute),
        cmocka_unit_test(time_limit_of_a_worker), cmocka_unit_test(idle_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
