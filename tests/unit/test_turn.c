/* Turns: numbers, repetitions, turns out of order, held answers, receipts, what a worker may say. */
#include "tests/unit/build.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void
one_worker(struct rig *r, const char *pools)
{
    rig_init(r);
    rig_worker(r, pools, NULL);
    rig_turn(r, 1, "");
    rig_schedule(r);
    rig_clear(r);
}

static void
holds_the_newest_turn(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=1"); /* #1 registered, #2 turn 1 */
    rig_turn(&r, 1, "");
    rig_schedule(&r);
    rig_expect(&r, "turn(now) #2 worker=1 ack=2\n"); /* the older one is answered */
    rig_wait(&r, 8000);
    rig_expect(&r, "turn(now) #3 worker=1 ack=2\n"); /* a heartbeat has passed */
    rig_wait(&r, 7999);
    rig_expect(&r, "");
    rig_fini(&r);
}

static void
repeats_the_same_answer(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=1");
    rig_array(&r, &(struct rig_job){0});
    rig_schedule(&r);
    rig_clear(&r);
    r.command_seq[1] = 0; /* the answer was lost: the worker does not know of command 1 */
    rig_turn_seq(&r, 1, 1, "");
    rig_expect(&r,
               "turn(write) #4 worker=1 ack=1 command=1 [body job=1 desc=0] [assign job=1 desc=0 instance=0 ids=0]\n");
    r.command_seq[1] = 1;
    rig_turn_seq(&r, 1, 2, "finish 1@0");
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "0/0/1/0/0/0");
    rig_clear(&r);
    rig_turn_seq(&r, 1, 1, ""); /* acknowledged meanwhile: nothing to say */
    rig_expect(&r, "turn(now) #6 worker=1 ack=2\n");
    rig_turn_seq(&r, 1, 2, "finish 1@0"); /* repeated while it is held: the new handle waits */
    rig_expect(&r, "turn(now) #5 worker=1 error -11\n");
    rig_wait(&r, 8000);
    rig_expect(&r, "turn(now) #7 worker=1 ack=2\n");
    rig_fini(&r);
}

static void
keeps_one_early_turn(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=4");
    rig_array(&r, &(struct rig_job){.count = 4});
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn_seq(&r, 1, 3, "finish 1@2-3");
    rig_expect(&r, ""); /* it overtook turn 2 */
    rig_expect_counts(&r, 1, "4/0/0/0/0/0");
    rig_turn_seq(&r, 1, 3, "finish 1@2-3");
    rig_expect(&r, "turn(now) #4 worker=1 error -11\n");
    rig_turn_seq(&r, 1, 2, "finish 1@0-1");
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "0/0/4/0/0/0");
    assert_true(rig_saw(&r, "turn(now) #6 worker=1"));
    assert_false(rig_saw(&r, "#5")); /* the early one is held now, as the newest */
    rig_clear(&r);
    rig_turn_seq(&r, 1, 9, ""); /* too far ahead */
    rig_expect(&r, "turn(now) #7 worker=1 error -116\n");
    rig_turn_seq(&r, 5, 1, ""); /* nobody */
    rig_expect(&r, "turn(now) #8 worker=5 error -116\n");
    rig_fini(&r);
}

static void
receipts_follow_the_disk(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 2});
    rig_schedule(&r);
    uint64_t on_disk = r.now.committed_seq;
    rig_turn(&r, 1, "finish 1@0");
    r.now.committed_seq = on_disk; /* the disk is slow */
    rig_turn(&r, 1, "finish 1@1");
    r.now.committed_seq = on_disk;
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "turn(now) #4 worker=1 ack=1")); /* only the first turn is known to be there */
    r.now.committed_seq = core_newest_seq(r.core);
    rig_clear(&r);
    rig_wait(&r, 8000);
    assert_true(rig_saw(&r, "turn(now) #5 worker=1 ack=3"));
    rig_fini(&r);
}

/* A job id that a worker has seen must not be given again after a power cut. */
static void
new_jobs_wait_for_the_disk(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=2");
    uint64_t on_disk = r.now.committed_seq;
    rig_array(&r, &(struct rig_job){.count = 200});
    r.now.committed_seq = on_disk;
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "turn(commit) #2"));
    r.now.committed_seq = core_newest_seq(r.core) - 1; /* the submit is there, the assignment is not */
    rig_turn(&r, 1, "finish 1@0-1");
    r.now.committed_seq = core_newest_seq(r.core) - 1;
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "turn(write) #4"));
    rig_fini(&r);
}

/* News that crossed with what hqd did meanwhile: not counted, and nobody is blamed for it. */
static void
believes_only_the_holder(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 2});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0");
    rig_gone(&r, 1);
    rig_wait(&r, 2000); /* given up: both tasks have instance 1 now */
    rig_worker(&r, "cpus=2", NULL);
    rig_turn(&r, 2, "");
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 2, "finish 1@0 fail 1@1 start 1@1 return 1@0"); /* instances of before */
    rig_expect(&r, "");
    rig_turn(&r, 2, "finish 1@0-1#1");
    assert_true(rig_saw(&r, "tasks-finished worker=2 job=1 instance=1 ids=0-1"));
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 2, "finish 1@0-1#1 fail 1@0#1 return 1@1#1 start 1@1#1"); /* again */
    rig_expect(&r, "");
    rig_expect_counts(&r, 1, "0/0/2/0/0/0");
    rig_fini(&r);
}

/* The sentence of the last step's refusal. */
static struct hq_str
told_why(const struct rig *r)
{
    struct hq_str why = HQ_STR_NULL;
    for (size_t i = 0; i < r->fx.count; i++) {
        if (r->fx.v[i].kind == EFFECT_TURN && r->fx.v[i].u.turn.code == -EPROTO) {
            why = r->fx.v[i].u.turn.text;
        }
    }
    return why;
}

/* What no honest worker can say: it is lost with all that it held, the true part counts, and hqd stays in order. */
static void
drops_who_reports_nonsense(void **state)
{
    static const struct {
        const char *news, *why;
        const char *counts; /* of job 1 behind it */
    } rows[] = {
        {"finish 7@0", "a job that never was", "4/0/0/0/0/0"},
        {"start 7@0", "a job that never was", "4/0/0/0/0/0"},
        {"fail 0@0", "a job that never was", "4/0/0/0/0/0"},
        {"finish 1@99", "a task that its job does not have", "4/0/0/0/0/0"},
        {"finish 1@0-1,99", "a task that its job does not have", "2/0/2/0/0/0"}, /* 0 and 1 are its own */
        {"start 1@0-2", "a task that it was not given", "4/0/0/0/0/0"},          /* 2 is with the other */
        {"finish 1@2", "a task that it was not given", "4/0/0/0/0/0"},
        {"fail 1@3", "a task that it was not given", "4/0/0/0/0/0"},
        {"finish 2@0", "a task that it was not given", "4/0/0/0/0/0"}, /* waits */
        {"finish 1@0#1", "an instance that nobody was given", "4/0/0/0/0/0"},
        {"finish 1@0 finish 1@3", "a task that it was not given", "3/0/1/0/0/0"},
        {"leave finish 7@0", "a job that never was", "4/0/0/0/0/0"},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct rig r;
        one_worker(&r, "cpus=1");
        rig_worker(&r, "cpus=1", NULL);
        rig_turn(&r, 2, "");
        rig_array(&r, &(struct rig_job){.count = 4});
        rig_array(&r, &(struct rig_job){.cpus = 64});
        rig_schedule(&r);
        rig_clear(&r);
        rig_turn(&r, 1, rows[i].news);
        if (!hq_str_is(told_why(&r), rows[i].why) || !rig_saw(&r, "record worker-lost worker=1 reason=connection")) {
            fail_msg("%s: %s", rows[i].news, r.log.ptr);
        }
        rig_clear(&r);
        rig_expect_counts(&r, 1, rows[i].counts);
        rig_turn(&r, 1, ""); /* it is nobody now */
        assert_true(rig_saw(&r, "worker=1 error -116"));
        rig_clear(&r);
        rig_schedule(&r);
        rig_turn(&r, 2, "finish 1@2"); /* the other one is not touched */
        assert_true(rig_saw(&r, "tasks-finished worker=2"));
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* A worker that came back tells first what hqd may have forgotten: only then it must say what can be. */
static void
trusts_who_has_not_settled(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=1");
    rig_array(&r, &(struct rig_job){.count = 2});
    rig_schedule(&r);
    rig_worker_again(&r, 1, NULL, 0);
    rig_clear(&r);
    rig_turn(&r, 1, "finish 1@1 unsettled");
    assert_false(rig_saw(&r, "error"));
    rig_turn(&r, 1, "finish 1@1");
    assert_false(rig_saw(&r, "error"));
    rig_turn(&r, 1, "finish 1@77");
    assert_true(rig_saw(&r, "error -71"));
    rig_fini(&r);
}

static void
takes_back_and_gives_again(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=1");
    rig_array(&r, &(struct rig_job){.count = 3});
    rig_schedule(&r);
    uint64_t on_disk = r.now.committed_seq;
    rig_turn(&r, 1, "start 1@0 return 1@1");
    r.now.committed_seq = on_disk;
    rig_clear(&r);
    rig_schedule(&r);
    /* The worker must know that its return is on disk before it holds the task again. */
    assert_true(rig_saw(&r, "turn(commit) #4 worker=1 ack=2 command=2 [assign job=1 desc=0 instance=0 ids=1"));
    rig_expect_counts(&r, 1, "2/1/0/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
sends_entries_with_their_tasks(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.ids = "10-12", .entries = "a\nbb\n\n"});
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=10-12 entries=\"abb\""));
    rig_clear(&r);
    rig_array(&r, &(struct rig_job){.ids = "7,5", .entries = "seven\nfive\n"}); /* out of order */
    rig_turn(&r, 1, "finish 1@10-12");
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=5,7 entries=\"fiveseven\""));
    rig_fini(&r);
}

static void
cancels_on_the_worker(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 1000});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-1");
    rig_schedule(&r);
    rig_clear(&r);
    rig_cancel(&r, "1", "no more");
    rig_schedule(&r);
    rig_expect(&r, "record job-canceled job=1 reason=\"no more\"\n"
                   "record tasks-canceled job=1 ids=0-999\n"
                   "record job-completed job=1\n"
                   "answer(commit) #5 1:done(1000,0)\n"
                   "turn(write) #4 worker=1 ack=2 command=2 [cancel job=1 ids=0-3]\n");
    rig_turn(&r, 1, "finish 1@0-1"); /* too late: not counted */
    rig_expect(&r, "");
    rig_expect_counts(&r, 1, "0/0/0/0/1000/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
forgets_bodies_of_ended_jobs(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=1");
    uint32_t told = 0;
    for (uint32_t job = 1; job <= 150; job++) {
        char news[32];
        rig_array(&r, &(struct rig_job){0});
        rig_schedule(&r);
        (void)snprintf(news, sizeof(news), "finish %u@0", job);
        rig_turn(&r, 1, news);
        told += rig_saw(&r, "[forget job=");
        rig_clear(&r);
    }
    assert_true(told > 0 && told < 20); /* many at once, now and then */
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_newest_turn),      cmocka_unit_test(repeats_the_same_answer),
        cmocka_unit_test(keeps_one_early_turn),       cmocka_unit_test(receipts_follow_the_disk),
        cmocka_unit_test(new_jobs_wait_for_the_disk), cmocka_unit_test(believes_only_the_holder),
        cmocka_unit_test(drops_who_reports_nonsense), cmocka_unit_test(trusts_who_has_not_settled),
        cmocka_unit_test(takes_back_and_gives_again), cmocka_unit_test(sends_entries_with_their_tasks),
        cmocka_unit_test(cancels_on_the_worker),      cmocka_unit_test(forgets_bodies_of_ended_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
