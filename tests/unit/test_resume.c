/* Restarts of hqd: killed, lost with its host, ended orderly; workers that come back with what they hold. */
#include "hqd/record_pb.h"
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct held_tasks
held(struct rig *r, uint32_t job, const char *ids, bool is_running)
{
    struct held_tasks h = {.job = {job}, .ids = rig_ranges(r, ids), .is_running = is_running};
    size_t n = (size_t)hq_ranges_size(&h.ids);
    h.times =
        (struct task_times){.base_ms = 999000, .started = hq_arena_array(&r->arena, n, sizeof(int64_t)), .count = n};
    return h;
}

/* Worker 1 runs 0 and 1, has 2 and 3 queued ahead. */
static void
begin(struct rig *r)
{
    rig_init(r);
    rig_worker(r, "cpus=2", NULL);
    rig_turn(r, 1, "");
    rig_array(r, &(struct rig_job){.count = 10});
    rig_schedule(r);
    rig_turn(r, 1, "start 1@0-1");
    rig_schedule(r);
    rig_clear(r);
}

static void
running_tasks_go_on(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_restart(&r, "boot1");
    rig_expect(&r, "record server-started uid=\"abc123\" boot=\"boot1\"\n");
    rig_expect_counts(&r, 1, "8/2/0/0/0/0");
    rig_turn(&r, 1, ""); /* of the old hqd: register first */
    rig_expect(&r, "turn(now) #5 worker=1 error -116\n");
    struct held_tasks h[] = {held(&r, 1, "0-1", true), held(&r, 1, "2-3", false)};
    rig_worker_again(&r, 1, h, 2);
    rig_expect(&r, "registered(commit) #6 worker=1 command=1\n");
    rig_turn(&r, 1, "finish 1@0");
    rig_schedule(&r);
    assert_false(rig_saw(&r, "restarted"));
    assert_false(rig_saw(&r, "unassigned"));
    rig_expect_counts(&r, 1, "8/1/1/0/0/0");
    rig_wait(&r, 70000); /* it answers its turns by the clock of the test: silence ends it in the end */
    rig_check_replay(&r);
    rig_fini(&r);
}

/* Started while hqd was away; an assignment that never arrived; news that come in two turns. */
static void
states_are_reconciled(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_restart(&r, "boot1");
    rig_clear(&r);
    struct held_tasks h[] = {held(&r, 1, "1-2", true)}; /* 0 has ended, 2 has started, 3 never arrived */
    rig_worker_again(&r, 1, h, 1);
    rig_expect(&r, "record tasks-started worker=1 job=1 instance=0 ids=2 at=999000\n"
                   "registered(commit) #5 worker=1 command=1\n");
    rig_schedule(&r);
    rig_turn(&r, 1, "unsettled");
    rig_schedule(&r);
    rig_expect(&r, ""); /* more to come: nothing is given up yet */
    rig_turn(&r, 1, "finish 1@0");
    assert_true(rig_saw(&r, "tasks-finished worker=1 job=1 instance=0 ids=0"));
    assert_true(rig_saw(&r, "tasks-unassigned worker=1 job=1 ids=3\n"));
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=0 ids=3"));
    rig_expect_counts(&r, 1, "7/2/1/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

/* What is no longer its own: finished elsewhere, canceled, another job. */
static void
drops_what_is_not_its_own(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_array(&r, &(struct rig_job){.count = 2});
    rig_cancel(&r, "2", NULL);
    rig_restart(&r, "boot1");
    rig_clear(&r);
    struct held_tasks h[] = {held(&r, 1, "0-1", true), held(&r, 1, "2-4", false), held(&r, 2, "0-1", true),
                             held(&r, 9, "5", true)};
    rig_worker_again(&r, 1, h, 4);
    rig_expect(&r,
               "registered(commit) #7 worker=1 command=1 [drop job=1 instance=0 ids=4] [drop job=2 instance=0 ids=0-1]"
               " [drop job=9 instance=0 ids=5]\n");
    rig_fini(&r);
}

static void
gives_up_after_a_minute(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_restart(&r, "boot1");
    rig_worker(&r, "cpus=1", NULL); /* others go on meanwhile */
    rig_turn(&r, 2, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2"));
    rig_clear(&r);
    for (int i = 0; i < 7; i++) {
        rig_wait(&r, 8500);
        rig_turn(&r, 2, "");
        rig_schedule(&r);
    }
    assert_false(rig_saw(&r, "worker-lost"));
    rig_wait(&r, 501);
    assert_true(rig_saw(&r, "worker-lost worker=1 reason=connection"));
    assert_true(rig_saw(&r, "tasks-restarted job=1 ids=0-1 crash"));
    struct held_tasks h[] = {held(&r, 1, "0-1", true)};
    rig_clear(&r);
    rig_worker_again(&r, 1, h, 1); /* too late: a new number, everything is dropped */
    assert_true(rig_saw(&r, "worker=3 command=1 [drop job=1 instance=0 ids=0-1]"));
    rig_fini(&r);
}

/* The host lost power: numbers that may have been given are burnt, nothing is given out before the workers are back. */
static void
host_crash(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_array(&r, &(struct rig_job){.count = 1, .cpus = 2});
    rig_restart(&r, "boot2");
    rig_worker(&r, "cpus=8", NULL);
    rig_turn(&r, 2, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "tasks-assigned")); /* worker 1 may know more than the journal */
    struct held_tasks h[] = {held(&r, 1, "0-1", true), held(&r, 1, "2-3", false), held(&r, 1, "4", true)};
    rig_worker_again(&r, 1, h, 3); /* task 4: its assignment went down with the host */
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=0 ids=4\n"));
    assert_true(rig_saw(&r, "tasks-started worker=1 job=1 instance=0 ids=4"));
    assert_false(rig_saw(&r, "drop"));
    rig_schedule(&r);
    assert_false(rig_saw(&r, "instance=1")); /* it has not told all yet */
    rig_turn(&r, 1, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=1 ids=5-"));
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=2 instance=1 ids=0\n"));
    rig_turn(&r, 1, "finish 1@0-1,4");
    rig_expect_counts(&r, 1, "7/0/3/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
host_crash_without_workers(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_restart(&r, "boot2");
    rig_clear(&r);
    rig_wait(&r, 60000); /* worker 1 does not come back */
    assert_true(rig_saw(&r, "worker-lost worker=1"));
    rig_worker(&r, "cpus=2", NULL);
    rig_turn(&r, 2, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=1"));
    assert_false(rig_saw(&r, "instance=0"));
    rig_fini(&r);
}

static void
orderly_end(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    struct input stop = {.kind = INPUT_SERVER_STOP, .from = {.handle = 70, .uid = 1000}};
    rig_step(&r, &stop);
    rig_expect(&r, "turn(write) #4 worker=1 ack=2 command=2 [stop connection]\n"
                   "record server-stopped\n"
                   "answer(commit) #70 done\n"
                   "stop\n");
    rig_array(&r, &(struct rig_job){0});
    rig_turn(&r, 1, "");
    rig_worker_again(&r, 1, NULL, 0);
    rig_expect(&r, "answer(now) #5 error -108 text=\"The server is stopping.\"\n"
                   "turn(now) #6 worker=1 error -108\n"
                   "registered(now) #7 error -108\n");
    assert_true(core_is_ended(r.core));
    rig_restart(&r, "boot1");
    rig_expect_counts(&r, 1, "10/0/0/0/0/0"); /* what ran starts again, the counter of crashes stays */
    rig_clear(&r);
    rig_worker(&r, "cpus=2", NULL);
    assert_true(rig_saw(&r, "worker-connected worker=3")); /* with a gap */
    rig_turn(&r, 3, "");
    rig_clear(&r);
    rig_schedule(&r);
    /* One record for each instance number: the first ones ran before. */
    assert_true(rig_saw(&r, "tasks-assigned worker=3 job=1 instance=1 ids=0-3\n"));
    rig_fini(&r);
}

/* The old process died between two records that belong together. */
static void
half_done_things_are_finished(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_turn(&r, 1, "finish 1@0-3");
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@4-9");
    assert_true(rig_saw(&r, "job-completed"));
    r.record_count--; /* job-completed was not written */
    core_destroy(r.core);
    struct hq_err err = {0};
    assert_int_equal(core_create(&r.core, &r.conf, &err), 0);
    rig_reload(&r, "boot1");
    assert_true(rig_saw(&r, "record job-completed job=1"));
    rig_fini(&r);

    begin(&r);
    rig_gone(&r, 1);
    rig_wait(&r, 2000);
    assert_true(rig_saw(&r, "worker-lost"));
    r.record_count -= 2; /* the restarts of its tasks were not written */
    core_destroy(r.core);
    assert_int_equal(core_create(&r.core, &r.conf, &err), 0);
    rig_clear(&r);
    rig_reload(&r, "boot1");
    assert_true(rig_saw(&r, "tasks-restarted job=1 ids=2-3\n"));
    assert_true(rig_saw(&r, "tasks-restarted job=1 ids=0-1 crash\n"));
    rig_fini(&r);
}

/* A prune drops workers that are gone and keeps the records of living jobs that name them. */
static void
pruned_workers_leave_no_hole(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    rig_turn(&r, 1, "finish 1@0 fail 1@1");
    rig_schedule(&r);
    size_t kept = 0;
    for (size_t i = 0; i < r.record_count; i++) {
        struct record rec;
        struct hq_err err = {0};
        struct hq_str body = {.ptr = r.journal.ptr + r.records[i].at, .len = r.records[i].len};
        assert_int_equal(record_pb_decode(body, &r.arena, &rec, &err), 1);
        if (rec.kind != RECORD_WORKER_CONNECTED) {
            r.records[kept++] = r.records[i];
        }
    }
    assert_int_equal(kept, r.record_count - 1);
    r.record_count = kept;
    core_destroy(r.core);
    struct hq_err err = {0};
    assert_int_equal(core_create(&r.core, &r.conf, &err), 0);
    rig_clear(&r);
    rig_reload(&r, "boot1");
    assert_true(rig_saw(&r, "tasks-restarted job=1")); /* what it held starts again */
    rig_expect_counts(&r, 1, "8/0/1/1/0/0");
    rig_worker(&r, "cpus=8", NULL);
    rig_turn(&r, 1, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1"));
    rig_clear(&r);
    rig_expect(&r, ""); /* invariants */
    rig_fini(&r);
}

/* What must not be given again is said once more before records are dropped. */
static void
checkpoints_keep_the_numbers(void **state)
{
    (void)state;
    struct rig r;
    begin(&r);
    effects_clear(&r.fx);
    core_checkpoint(r.core, &r.now, &r.fx);
    assert_int_equal(r.fx.count, 1);
    assert_int_equal(r.fx.v[0].u.record.u.counters.next_job, 2);
    struct core *other;
    struct hq_err err = {0};
    assert_int_equal(core_create(&other, &r.conf, &err), 0);
    assert_int_equal(core_apply(other, &r.fx.v[0].u.record, &err), 0);
    struct query_server q;
    query_server(other, &q);
    assert_int_equal(q.last_job.v, 1);
    core_destroy(other);
    rig_fini(&r);
}

static void
refuses_records_out_of_order(void **state)
{
    (void)state;
    struct rig r;
    struct hq_err err = {0};
    rig_init(&r);
    struct record rec = {.seq = 1, .kind = RECORD_SERVER_STOPPED};
    assert_int_equal(core_apply(r.core, &rec, &err), -EBADMSG);
    rec = (struct record){.seq = 50, .kind = RECORD_JOB_CLOSED, .u.job.job = {77}}; /* gaps and unknown jobs are fine */
    assert_int_equal(core_apply(r.core, &rec, &err), 0);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_tasks_go_on),
        cmocka_unit_test(states_are_reconciled),
        cmocka_unit_test(drops_what_is_not_its_own),
        cmocka_unit_test(gives_up_after_a_minute),
        cmocka_unit_test(host_crash),
        cmocka_unit_test(host_crash_without_workers),
        cmocka_unit_test(orderly_end),
        cmocka_unit_test(half_done_things_are_finished),
        cmocka_unit_test(pruned_workers_leave_no_hole),
        cmocka_unit_test(checkpoints_keep_the_numbers),
        cmocka_unit_test(refuses_records_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
