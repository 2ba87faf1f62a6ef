/* Jobs: open, close, cancel, forget, max-fails, rights, repeated requests, refusals of submits. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void
expect_state(struct rig *r, uint32_t job, enum job_state_word word)
{
    struct query_job q;
    assert_true(query_job(r->core, (hq_job_id){job}, &q));
    assert_int_equal(q.state, word);
}

static void
with_worker(struct rig *r)
{
    rig_init(r);
    rig_worker(r, "cpus=4", NULL);
    rig_turn(r, 1, "");
    rig_schedule(r);
    rig_clear(r);
}

static void
life_of_an_open_job(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_open(&r);
    rig_expect(&r, "record job-opened job=1 uid=1000 name=\"open\"\n"
                   "answer(commit) #3 submitted job=1\n");
    expect_state(&r, 1, JOB_WORD_OPENED);
    rig_array(&r, &(struct rig_job){.job = 1, .count = 2});
    rig_array(&r, &(struct rig_job){.job = 1, .ids = "10-11"});
    rig_array(&r, &(struct rig_job){.job = 1}); /* behind the highest */
    rig_schedule(&r);
    rig_clear(&r);
    rig_turn(&r, 1, "finish 1@0-1,10-11");
    assert_true(rig_saw(&r, "ids=0-1,10-11 at"));
    assert_false(rig_saw(&r, "job-completed"));
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@12");
    assert_true(rig_saw(&r, "event job-idle job=1"));
    expect_state(&r, 1, JOB_WORD_OPENED);
    rig_clear(&r);
    rig_close(&r, "1");
    rig_expect(&r, "record job-closed job=1\n"
                   "record job-completed job=1\n"
                   "answer(commit) #9 1:done\n");
    expect_state(&r, 1, JOB_WORD_FINISHED);
    rig_close(&r, "1,4");
    rig_expect(&r, "answer(commit) #10 1:nothing-left 4:not-found\n");
    rig_array(&r, &(struct rig_job){.job = 1});
    rig_expect(&r, "answer(now) #11 error -22 text=\"Job 1 is not opened.\"\n");
    rig_array(&r, &(struct rig_job){.job = 1, .ids = "11"}); /* said before "not opened" */
    rig_expect(&r, "answer(now) #12 error -17 text=\"Task 11 already exists in job 1.\"\n");
    rig_array(&r, &(struct rig_job){.job = 9});
    rig_expect(&r, "answer(now) #13 error -2 text=\"Job 9 not found.\"\n");
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
empty_arrays_complete_at_once(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    struct task_desc d = {.args = &HQ_STR("x"), .arg_count = 1, .request = *rig_cpus(&r, 1)};
    struct submit_part part = {.descs = &d, .desc_count = 1};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = 1}};
    in.u.submit = (struct input_submit){.name = HQ_STR("e"), .parts = &part, .part_count = 1};
    rig_step(&r, &in);
    assert_true(rig_saw(&r, "job-completed job=1"));
    expect_state(&r, 1, JOB_WORD_FINISHED);
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
cancels(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_array(&r, &(struct rig_job){.count = 2});
    rig_array(&r, &(struct rig_job){.count = 3000});
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@0");
    rig_clear(&r);
    rig_cancel(&r, "1-3", NULL);
    assert_true(rig_saw(&r, "answer(commit) #6 1:done(1,1) 2:done(3000,0) 3:not-found"));
    rig_clear(&r);
    rig_cancel(&r, "1", "late");
    rig_expect(&r, "answer(commit) #7 1:nothing-left(0,2)\n");
    rig_cancel(&r, "all", "late"); /* those that wait or run: none */
    rig_expect(&r, "answer(commit) #8\n");
    struct query_job q;
    assert_true(query_job(r.core, (hq_job_id){1}, &q));
    assert_false(q.has_cancel_reason); /* kept only when something was canceled */
    expect_state(&r, 1, JOB_WORD_CANCELED);
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
reason_stays(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_open(&r);
    rig_array(&r, &(struct rig_job){.job = 1});
    rig_cancel(&r, "1", "first");
    rig_array(&r, &(struct rig_job){.job = 1});
    rig_cancel(&r, "1", NULL);
    struct query_job q;
    assert_true(query_job(r.core, (hq_job_id){1}, &q));
    assert_true(hq_str_is(q.cancel_reason, "first"));
    assert_true(q.is_open); /* stays open */
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
max_fails(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_array(&r, &(struct rig_job){.count = 3000, .has_max_fails = true, .max_fails = 1});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-3 fail 1@0");
    rig_expect_counts(&r, 1, "2996/3/0/1/0/0");
    rig_clear(&r);
    rig_turn(&r, 1, "fail 1@1");
    assert_true(rig_saw(&r, "tasks-aborted job=1 ids=2-2999\n"));
    assert_true(rig_saw(&r, "job-completed job=1"));
    rig_expect_counts(&r, 1, "0/0/0/2/0/2998");
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[cancel job=1 ids=2-7]"));
    expect_state(&r, 1, JOB_WORD_FAILED);
    rig_check_replay(&r);
    rig_fini(&r);
}

/* Tasks added to an open job over its limit start; the next failure aborts them. */
static void
max_fails_of_an_open_job(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    struct input in = {.kind = INPUT_JOB_OPEN, .from = {.handle = 90, .uid = 1000}};
    in.u.job_open = (struct input_job_open){.name = HQ_STR("o"), .has_max_fails = true, .max_fails = 0};
    rig_step(&r, &in);
    rig_array(&r, &(struct rig_job){.job = 1, .count = 3});
    rig_schedule(&r);
    rig_turn(&r, 1, "fail 1@0");
    rig_expect_counts(&r, 1, "0/0/0/1/0/2");
    rig_array(&r, &(struct rig_job){.job = 1, .count = 3});
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@3");
    rig_expect_counts(&r, 1, "2/0/1/1/0/2");
    rig_turn(&r, 1, "fail 1@4");
    rig_expect_counts(&r, 1, "0/0/1/2/0/3");
    rig_fini(&r);
}

static void
forgets(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_array(&r, &(struct rig_job){0});
    rig_array(&r, &(struct rig_job){0});
    rig_open(&r);
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 1@0");
    rig_clear(&r);
    rig_forget(&r, "1-5");
    rig_expect(&r, "record job-forgotten ids=1\n"
                   "answer(commit) #7 forgotten=1 ignored=4\n");
    struct query_job q;
    assert_false(query_job(r.core, (hq_job_id){1}, &q));
    rig_turn(&r, 1, "finish 1@0 start 1@0"); /* nobody knows it any more */
    rig_schedule(&r);
    rig_clear(&r);
    struct input in = {.kind = INPUT_JOB_FORGET, .from = {.handle = 50, .uid = 1000}};
    in.u.job_forget = (struct input_job_forget){.jobs = {.kind = SELECT_KIND_ALL}, .state_mask = 1u << JOB_WORD_FAILED};
    rig_turn(&r, 1, "finish 2@0");
    rig_schedule(&r);
    rig_clear(&r);
    rig_step(&r, &in); /* finished ones are not asked for */
    rig_expect(&r, "answer(commit) #50 forgotten=0 ignored=2\n");
    rig_array(&r, &(struct rig_job){0}); /* numbers are not given again */
    assert_true(rig_saw(&r, "submitted job=4"));
    rig_check_replay(&r);
    rig_fini(&r);
}

/* Thousands come and go: the table of jobs moves along. */
static void
forgets_by_the_thousand(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 2000; i++) {
            rig_open(&r);
        }
        rig_close(&r, "all");
        rig_clear(&r);
        char ids[48];
        (void)snprintf(ids, sizeof(ids), "%u-%u", round * 2000 + 1, round * 2000 + 1995); /* five of each stay */
        rig_forget(&r, ids);
        assert_true(rig_saw(&r, "forgotten=1995 ignored=0"));
    }
    struct query_job q;
    for (uint32_t id = 1; id <= 8000; id++) {
        assert_int_equal(query_job(r.core, (hq_job_id){id}, &q), (id - 1) % 2000 >= 1995);
    }
    rig_forget(&r, "all");
    rig_open(&r);
    assert_true(rig_saw(&r, "submitted job=8001"));
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
only_the_owner(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_open(&r);
    rig_array(&r, &(struct rig_job){.job = 1});
    r.uid = 1001;
    rig_clear(&r);
    rig_cancel(&r, "1", NULL);
    rig_close(&r, "1");
    rig_forget(&r, "1");
    rig_array(&r, &(struct rig_job){.job = 1});
    rig_expect(&r, "answer(commit) #5 1:refused\n"
                   "answer(commit) #6 1:refused\n"
                   "answer(commit) #7 forgotten=0 ignored=1\n"
                   "answer(now) #8 error -13 text=\"Submitting to job 1 failed; job belongs to user 1000\"\n");
    r.uid = 0; /* root may */
    rig_cancel(&r, "1", NULL);
    assert_true(rig_saw(&r, "1:done(1,0)"));
    rig_fini(&r);
}

/* A client that lost its answer asks again; after a restart of hqd too. */
static void
same_request_same_answer(void **state)
{
    (void)state;
    struct rig r;
    with_worker(&r);
    rig_array(&r, &(struct rig_job){.request_id = 77});
    rig_clear(&r);
    rig_array(&r, &(struct rig_job){.request_id = 77});
    rig_expect(&r, "answer(commit) #4 submitted job=1\n");
    rig_array(&r, &(struct rig_job){.request_id = 78});
    assert_true(rig_saw(&r, "submitted job=2"));
    rig_clear(&r);
    r.uid = 5; /* another user's number is no repetition */
    rig_array(&r, &(struct rig_job){.request_id = 77});
    assert_true(rig_saw(&r, "submitted job=3"));
    r.uid = 1000;
    struct hq_range two = {.first = 2, .count = 1, .step = 1};
    struct input cancel = {.kind = INPUT_JOB_CANCEL, .from = {.handle = 60, .uid = 1000, .request_id = 99}};
    cancel.u.job_cancel.jobs = (struct selection){.kind = SELECT_KIND_RANGES, .ids = {.v = &two, .count = 1}};
    rig_clear(&r);
    rig_step(&r, &cancel);
    assert_true(rig_saw(&r, "2:done(1,0)"));
    rig_clear(&r);
    cancel.from.handle = 61;
    rig_step(&r, &cancel);
    rig_expect(&r, "answer(commit) #61 2:done(1,0)\n");
    rig_restart(&r, "boot1");
    rig_clear(&r);
    rig_array(&r, &(struct rig_job){.request_id = 78});
    rig_expect(&r, "answer(commit) #7 submitted job=2\n");
    rig_fini(&r);
}

static void
forgets_old_requests(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    for (uint64_t i = 1; i <= 4096 + 10; i++) {
        struct input in = {.kind = INPUT_JOB_OPEN, .from = {.handle = i, .uid = 1000, .request_id = i}};
        rig_step(&r, &in);
    }
    rig_clear(&r);
    struct input in = {.kind = INPUT_JOB_OPEN, .from = {.handle = 1, .uid = 1000, .request_id = 4000}};
    rig_step(&r, &in);
    assert_true(rig_saw(&r, "submitted job=4000"));
    rig_clear(&r);
    in.from.request_id = 5; /* too long ago */
    rig_step(&r, &in);
    assert_true(rig_saw(&r, "submitted job=4107"));
    rig_fini(&r);
}

static void
refuses_bad_arrays(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.ids = "0-2", .entries = "a\nb\n"});
    rig_expect(&r, "answer(now) #1 error -22 text=\"The submit has 3 ids but 2 entries\"\n");
    rig_open(&r);
    rig_array(&r, &(struct rig_job){.job = 1, .ids = "4294967295"});
    rig_clear(&r);
    rig_array(&r, &(struct rig_job){.job = 1});
    rig_expect(&r, "answer(now) #4 error -75 text=\"There are not enough task ids behind 4294967295\"\n");
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_of_an_open_job),
        cmocka_unit_test(empty_arrays_complete_at_once),
        cmocka_unit_test(cancels),
        cmocka_unit_test(reason_stays),
        cmocka_unit_test(max_fails),
        cmocka_unit_test(max_fails_of_an_open_job),
        cmocka_unit_test(forgets),
        cmocka_unit_test(forgets_by_the_thousand),
        cmocka_unit_test(only_the_owner),
        cmocka_unit_test(same_request_same_answer),
        cmocka_unit_test(forgets_old_requests),
        cmocka_unit_test(refuses_bad_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
