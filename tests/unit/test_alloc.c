/* Queues and allocations in the core: requests, reports, workers that come and go, and the same state after a replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hqd/core/query_alloc.h"
#include "tests/unit/build.h"

static void
add(struct rig *r, const struct alloc_params *more, bool with_trial)
{
    struct input in = {.kind = INPUT_ALLOC_ADD,
                       .from = {.handle = ++r->handle, .request_id = 7000 + r->handle, .uid = r->uid}};
    in.u.alloc_add.params = *more;
    in.u.alloc_add.params.manager = WORKER_MANAGER_SLURM;
    in.u.alloc_add.params.time_limit_ms = 3600000;
    in.u.alloc_add.params.idle_timeout_ms = 300000;
    in.u.alloc_add.params.backlog = HQ_MAX(more->backlog, 1u);
    in.u.alloc_add.params.max_workers_per_alloc = HQ_MAX(more->max_workers_per_alloc, 1u);
    in.u.alloc_add.with_trial = with_trial;
    rig_step(r, &in);
}

static void
pause_queue(struct rig *r, uint32_t queue, bool is_pause)
{
    struct input in = {.kind = INPUT_ALLOC_PAUSE, .from = {.handle = ++r->handle, .uid = r->uid}};
    in.u.alloc_pause = (struct input_alloc_pause){.queue = {queue}, .is_pause = is_pause};
    rig_step(r, &in);
}

static void
remove_queue(struct rig *r, uint32_t queue, bool is_forced)
{
    struct input in = {.kind = INPUT_ALLOC_REMOVE, .from = {.handle = ++r->handle, .uid = r->uid}};
    in.u.alloc_remove = (struct input_alloc_remove){.queue = {queue}, .is_forced = is_forced};
    rig_step(r, &in);
}

static void
report(struct rig *r, const struct alloc_report *rep)
{
    struct input in = {.kind = INPUT_ALLOC_REPORTS, .u.alloc_reports = {.v = rep, .count = 1}};
    rig_step(r, &in);
}

#define REPORT(KIND, ...)                                                                                              \
    report(&r, &(struct alloc_report){.kind = ALLOC_REPORT_##KIND, .a = {.queue = {1}, .number = __VA_ARGS__}})

static void
test_life(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_clear(&r);
    add(&r, &(struct alloc_params){.name = HQ_STR("q")}, false);
    assert_true(rig_saw(&r, "alloc-queue-created queue=1 name=\"q\""));
    assert_true(rig_saw(&r, "queue=1"));
    REPORT(PLANNED, 2, .worker_count = 1, .work_dir = HQ_STR("/d"));
    assert_false(rig_saw(&r, "allocation-planned")); /* not the next number */
    REPORT(PLANNED, 1, .worker_count = 1, .work_dir = HQ_STR("/d"));
    assert_true(rig_saw(&r, "allocation-planned queue=1 number=1 workers=1"));
    rig_clear(&r);
    REPORT(PLANNED, 1, .worker_count = 1, .work_dir = HQ_STR("/d"));
    REPORT(STARTED, 1);
    REPORT(FINISHED, 1);
    assert_false(rig_saw(&r, "allocation-")); /* repeated, or it can't be */
    REPORT(QUEUED, 1, .allocation_id = HQ_STR("77"));
    assert_true(rig_saw(&r, "allocation-queued queue=1 number=1 workers=1 id=\"77\""));
    REPORT(STARTED, 1);
    assert_true(rig_saw(&r, "allocation-started queue=1 number=1 workers=1 id=\"77\""));
    rig_wait(&r, 60000);
    REPORT(FINISHED, 1, .is_failed = true, .text = HQ_STR("NODE_FAIL"));
    assert_true(rig_saw(&r, "allocation-finished queue=1 number=1 workers=1 failed id=\"77\" text=\"NODE_FAIL\""));
    rig_clear(&r);
    REPORT(FINISHED, 1);
    REPORT(QUEUED, 1, .allocation_id = HQ_STR("78"));
    assert_false(rig_saw(&r, "allocation-")); /* over is over */
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
test_counters(void **state)
{
    (void)state;
    struct rig r;
    struct query_alloc_list list;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    rig_init(&r);
    add(&r, &(struct alloc_params){0}, false);
    for (uint32_t n = 1; n <= 3; n++) {
        REPORT(PLANNED, n, .worker_count = 1, .work_dir = HQ_STR("/d"));
        REPORT(REFUSED, n, .is_failed = n < 3, .text = HQ_STR("no such queue")); /* the third was lost on the way */
    }
    query_alloc_list(r.core, &(struct query_alloc_args){.with_allocs = true, .bytes_max = SIZE_MAX}, &arena, &list);
    assert_int_equal(list.queues[0].submit_fails, 2);
    assert_int_equal(list.queues[0].step, 2);
    assert_int_equal(list.queues[0].alloc_count, 0);
    assert_int_equal(list.queues[0].next_number, 4); /* numbers are never given again */
    assert_true(hq_str_is(list.queues[0].last_error, "no such queue"));
    pause_queue(&r, 1, true);
    pause_queue(&r, 1, false);
    query_alloc_list(r.core, &(struct query_alloc_args){.bytes_max = SIZE_MAX}, &arena, &list);
    assert_int_equal(list.queues[0].submit_fails + list.queues[0].step, 0); /* resume begins anew */
    for (uint32_t n = 4; n <= 5; n++) {
        char id[8] = {(char)('0' + n)};
        REPORT(PLANNED, n, .worker_count = 2, .work_dir = HQ_STR("/d"));
        REPORT(QUEUED, n, .allocation_id = hq_str_from(id));
        REPORT(STARTED, n);
        rig_wait(&r, 1000);
        REPORT(FINISHED, n, .is_failed = n == 4);
        query_alloc_list(r.core, &(struct query_alloc_args){.bytes_max = SIZE_MAX}, &arena, &list);
        assert_int_equal(list.queues[0].alloc_fails, n == 4);
        assert_int_equal(list.queues[0].step, n == 4);
        assert_int_equal(list.queues[0].granted_ms, (n - 3) * 2000);
    }
    rig_check_replay(&r);
    rig_restart(&r, "boot-2");
    query_alloc_list(r.core, &(struct query_alloc_args){.with_allocs = true, .bytes_max = SIZE_MAX}, &arena, &list);
    assert_int_equal(list.queues[0].alloc_count, 2);
    assert_int_equal(list.queues[0].next_number, 6);
    rig_fini(&r);
}

static void
test_pauses_survive(void **state)
{
    (void)state;
    struct rig r;
    struct query_alloc_list list;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    rig_init(&r);
    add(&r, &(struct alloc_params){0}, false);
    REPORT(PAUSED, 0, .text = HQ_STR("too many failed submissions"));
    rig_restart(&r, "boot-2");
    query_alloc_list(r.core, &(struct query_alloc_args){.bytes_max = SIZE_MAX}, &arena, &list);
    assert_true(list.queues[0].is_paused);
    assert_true(hq_str_is(list.queues[0].pause_reason, "too many failed submissions"));
    rig_fini(&r);
}

static void
test_remove(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add(&r, &(struct alloc_params){0}, false);
    REPORT(PLANNED, 1, .worker_count = 1, .work_dir = HQ_STR("/d"));
    REPORT(QUEUED, 1, .allocation_id = HQ_STR("77"));
    REPORT(STARTED, 1);
    rig_clear(&r);
    remove_queue(&r, 1, false);
    assert_true(rig_saw(&r, "Allocation queue has running jobs, so it will not be removed. Use `--force`"));
    rig_clear(&r);
    remove_queue(&r, 1, true);
    assert_true(rig_saw(&r, "alloc-queue-removed queue=1"));
    rig_clear(&r);
    remove_queue(&r, 1, true);
    assert_true(rig_saw(&r, "Allocation queue not found"));
    pause_queue(&r, 1, true);
    assert_true(rig_saw(&r, "Queue 1 that should have been paused was not found"));
    pause_queue(&r, 1, false);
    assert_true(rig_saw(&r, "Queue 1 that should have been resumed was not found"));
    REPORT(PLANNED, 2, .worker_count = 1, .work_dir = HQ_STR("/d"));
    assert_false(rig_saw(&r, "allocation-planned")); /* nothing new for it */
    assert_true(query_alloc_is_needed(r.core));      /* until the last one is known to be gone */
    rig_check_replay(&r);
    REPORT(FINISHED, 1, .text = HQ_STR("cancelled"));
    assert_false(query_alloc_is_needed(r.core));
    rig_check_replay(&r);
    add(&r, &(struct alloc_params){0}, false);
    assert_true(rig_saw(&r, "alloc-queue-created queue=2"));
    rig_fini(&r);
}

static void
test_trials(void **state)
{
    (void)state;
    struct rig r;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct query_alloc_trial *trials;
    size_t count;
    hq_arena_init(&arena, 0);
    rig_init(&r);
    rig_clear(&r);
    add(&r, &(struct alloc_params){.name = HQ_STR("good")}, true);
    add(&r, &(struct alloc_params){.name = HQ_STR("bad")}, true);
    assert_false(rig_saw(&r, "alloc-queue-created"));
    query_alloc_trials(r.core, &arena, &trials, &count);
    assert_int_equal(count, 2);
    report(&r, &(struct alloc_report){.kind = ALLOC_REPORT_TRIAL, .trial = trials[0].trial});
    assert_true(rig_saw(&r, "alloc-queue-created queue=1 name=\"good\""));
    report(&r, &(struct alloc_report){.kind = ALLOC_REPORT_TRIAL,
                                      .trial = trials[1].trial,
                                      .a = {.is_failed = true, .text = HQ_STR("Could not submit allocation: no")}});
    assert_true(rig_saw(&r, "Could not submit allocation: no"));
    rig_clear(&r);
    report(&r, &(struct alloc_report){.kind = ALLOC_REPORT_TRIAL, .trial = trials[0].trial});
    assert_false(rig_saw(&r, "alloc")); /* told before */
    query_alloc_trials(r.core, &arena, &trials, &count);
    assert_int_equal(count, 0);
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
test_changes(void **state)
{
    (void)state;
    struct rig r;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct query_alloc_list list;
    uint32_t *gone;
    size_t gone_count;
    hq_arena_init(&arena, 0);
    rig_init(&r);
    add(&r, &(struct alloc_params){0}, false);
    add(&r, &(struct alloc_params){0}, false);
    uint64_t since = query_alloc_version(r.core);
    struct query_alloc_args args = {.with_allocs = true,
                                    .with_planned = true,
                                    .with_removed = true,
                                    .only_live = true,
                                    .since = since,
                                    .bytes_max = SIZE_MAX};
    query_alloc_list(r.core, &args, &arena, &list);
    assert_int_equal(list.count, 0);
    REPORT(PLANNED, 1, .worker_count = 1, .work_dir = HQ_STR("/d"));
    query_alloc_list(r.core, &args, &arena, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.queues[0].queue.v, 1);
    assert_int_equal(list.queues[0].alloc_count, 1);
    remove_queue(&r, 2, false);
    query_alloc_gone(r.core, since, &arena, &gone, &gone_count);
    assert_int_equal(gone_count, 1);
    assert_int_equal(gone[0], 2);
    query_alloc_gone(r.core, query_alloc_version(r.core), &arena, &gone, &gone_count);
    assert_int_equal(gone_count, 0);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),   cmocka_unit_test(test_counters), cmocka_unit_test(test_pauses_survive),
        cmocka_unit_test(test_remove), cmocka_unit_test(test_trials),   cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
