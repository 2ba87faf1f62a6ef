/* Tasks queued ahead on workers: how many, for whom, and how they are taken back. */
#include "tests/unit/build.h"

#include "hqd/sched/prefill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
add_worker(struct rig *r, const char *pools)
{
    struct query_server q;
    rig_worker(r, pools, NULL);
    query_server(r->core, &q);
    rig_turn(r, q.last_worker.v, "");
}

/* "placed=4 queued=4" of the n-th worker's only class */
static bool
has_queue(const struct rig *r, const char *text)
{
    struct hq_buf dump = HQ_BUF_INIT;
    query_dump(r->core, true, &dump);
    bool has = strstr(dump.ptr, text) != NULL;
    hq_buf_fini(&dump);
    return has;
}

static void
depth_follows_what_was_measured(void **state)
{
    (void)state;
    static const struct {
        uint32_t placed;
        int64_t mean_ms;     /* -1 = unknown */
        uint64_t per_second; /* tasks that ended */
        uint32_t round_trip_us;
        uint32_t want;
        uint64_t share; /* left for each worker */
    } cases[] = {
        {4, -1, 0, 0, 4, 0},    /* nothing known: one for each slot ... */
        {400, -1, 0, 0, 40, 0}, /* ... up to 40 */
        {4, 60000, 0, 0, 1, 0}, /* long ones: one */
        {64, 10000, 6, 0, 7, 0},
        {64, 1000, 64, 0, 64 + 3, 0}, /* up to a second: one for each slot, and 50 ms of work */
        {64, 100, 640, 0, 64 + 32, 0},
        {64, 0, 16000, 0, 64 + 800, 0},
        {64, 0, 16000, 100000, 4096, 0}, /* a far worker: four round trips, bounded */
        {1, 0, 1000000, 0, 4096, 0},
        {64, 100, 640, 0, 64 + 32, 300},    /* the end of the class is near */
        {64, 100, 640, 0, 100, 400},        /* a quarter of what is left ... */
        {64, 100, 640, 0, 64 + 128, 10000}, /* ... up to 200 ms */
        {64, 10000, 6, 0, 7 + 1, 10000},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct worker w = {.round_trip_us = cases[i].round_trip_us};
        struct worker_use use = {.placed = cases[i].placed,
                                 .mean_ms_x16 = cases[i].mean_ms < 0 ? -1 : cases[i].mean_ms * 16};
        use.rate_x1000 = cases[i].per_second * 1000;
        uint32_t got = prefill_depth(&use, &w, cases[i].share, 5000);
        if (got != cases[i].want) {
            fail_msg("case %zu: %u instead of %u", i, got, cases[i].want);
        }
    }
}

static void
rate_is_taken_over_time(void **state)
{
    (void)state;
    struct worker w = {0};
    struct worker_use use = {.placed = 10, .mean_ms_x16 = 0, .ended_count = 500, .rate_from_ms = 1000};
    (void)prefill_depth(&use, &w, 0, 1010);
    assert_int_equal(use.rate_x1000, 0); /* too soon to tell */
    (void)prefill_depth(&use, &w, 0, 1050);
    assert_int_equal(use.rate_x1000, 10000000); /* 500 in 50 ms */
    assert_int_equal(use.ended_count, 0);
    use.ended_count = 100;
    (void)prefill_depth(&use, &w, 0, 1100);
    assert_int_equal(use.rate_x1000, 6000000); /* half way to 2,000 a second */
}

/* Instant tasks: a few turns later hundreds travel at once. */
static void
instant_tasks_travel_in_hundreds(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=64");
    rig_array(&r, &(struct rig_job){.count = 100000});
    rig_schedule(&r);
    uint32_t next = 0;
    uint32_t largest = 0;
    for (int round = 0; round < 20; round++) {
        struct query_job q;
        assert_true(query_job(r.core, (hq_job_id){1}, &q));
        char news[64];
        struct hq_buf dump = HQ_BUF_INIT;
        query_dump(r.core, true, &dump);
        const char *at = strstr(dump.ptr, " held=");
        assert_non_null(at);
        uint32_t held = (uint32_t)strtoul(at + 6, NULL, 10);
        hq_buf_fini(&dump);
        largest = HQ_MAX(largest, held);
        r.duration_ms = 1;
        (void)snprintf(news, sizeof(news), "finish 1@%u-%u", next, next + held - 1);
        next += held;
        rig_wait(&r, 2);
        rig_turn(&r, 1, news);
        rig_schedule(&r);
    }
    assert_true(largest > 1000);
    rig_fini(&r);
}

static void
shares_what_is_left(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=4");
    add_worker(&r, "cpus=4");
    rig_array(&r, &(struct rig_job){.count = 11});
    rig_schedule(&r);
    /* Three are left over: two for one, one for the other. */
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=0 ids=0-5\n"));
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=0 ids=6-10\n"));
    rig_fini(&r);
}

static void
a_dry_worker_gets_what_another_returns(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 4});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-1");
    rig_clear(&r);
    add_worker(&r, "cpus=2");
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[retract job=1 ids=3,2]"));
    assert_false(rig_saw(&r, "worker=2 job=1")); /* not before worker 1 has given them back */
    rig_clear(&r);
    rig_wait(&r, 50);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "retract"));    /* asked once */
    rig_turn(&r, 1, "start 1@2 return 1@3"); /* one was faster */
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=0 ids=3\n"));
    assert_false(rig_saw(&r, "worker=2 job=1 instance=0 ids=2"));
    rig_check_replay(&r);
    rig_fini(&r);
}

/* A queue that is empty sooner than it could be moved stays where it is. */
static void
short_queues_stay(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 40});
    rig_schedule(&r);
    r.duration_ms = 1;
    for (int i = 0; i < 18; i++) {
        char news[32];
        (void)snprintf(news, sizeof(news), "finish 1@%d-%d", 2 * i, 2 * i + 1);
        rig_wait(&r, 2);
        rig_turn(&r, 1, news);
        rig_schedule(&r);
    }
    assert_true(has_queue(&r, "placed=2 queued=2"));
    add_worker(&r, "cpus=2");
    rig_clear(&r);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "retract"));
    rig_fini(&r);
}

static void
a_higher_priority_clears_queues(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 10});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-1");
    rig_clear(&r);
    rig_array(&r, &(struct rig_job){.count = 1, .priority = 5});
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[retract job=1 ids=3,2]"));
    rig_turn(&r, 1, "return 1@2-3");
    rig_clear(&r);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "tasks-assigned")); /* nothing free, and no lower ones queued again */
    rig_turn(&r, 1, "finish 1@0");
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=2 instance=0 ids=0\n"));
    rig_fini(&r);
}

/* What is kept for a higher priority steals nothing: it would be given back and asked for again, without end. */
static void
kept_workers_do_not_steal(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 4});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-1");
    rig_worker(&r, "cpus=4 gpus=1", NULL);
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "cpus", 3, "gpus", 1), .priority = 5});
    rig_turn(&r, 2, "");
    rig_schedule(&r); /* three of four cpus */
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "cpus", 4, "gpus", 1), .priority = 5});
    rig_clear(&r);
    for (int i = 0; i < 10; i++) {
        rig_schedule(&r);
        rig_wait(&r, 10);
    }
    assert_false(rig_saw(&r, "retract"));
    rig_fini(&r);
}

/* A queued task takes the place of one of its class that ended; others wait for the sums. */
static void
queued_ones_follow_on(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_worker(&r, "cpus=2");
    rig_array(&r, &(struct rig_job){.count = 4});
    rig_schedule(&r);
    assert_true(has_queue(&r, "placed=2 queued=2"));
    rig_turn(&r, 1, "finish 1@0");
    assert_true(has_queue(&r, "placed=2 queued=1"));
    rig_turn(&r, 1, "finish 1@1-2");
    assert_true(has_queue(&r, "placed=1 queued=0"));
    rig_clear(&r);
    rig_expect(&r, "");
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_follows_what_was_measured),
        cmocka_unit_test(rate_is_taken_over_time),
        cmocka_unit_test(instant_tasks_travel_in_hundreds),
        cmocka_unit_test(shares_what_is_left),
        cmocka_unit_test(a_dry_worker_gets_what_another_returns),
        cmocka_unit_test(short_queues_stay),
        cmocka_unit_test(a_higher_priority_clears_queues),
        cmocka_unit_test(kept_workers_do_not_steal),
        cmocka_unit_test(queued_ones_follow_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
