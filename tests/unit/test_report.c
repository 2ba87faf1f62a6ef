/* test_report.c - columns of a turn; what is told once and what not at all; bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "hq-workerd/core/report.h"

static struct report_task
task(uint32_t job, uint32_t id, uint32_t instance, hq_wall_ms started_ms, hq_wall_ms ended_ms)
{
    return (struct report_task){
        .job_id = job, .task_id = id, .instance = instance, .started_ms = started_ms, .ended_ms = ended_ms};
}

static void
start(struct report *r, uint32_t job, uint32_t id, uint32_t instance, hq_wall_ms at)
{
    struct report_task t = task(job, id, instance, at, 0);

    assert_int_equal(0, report_push_started(r, &t));
}

static void
finish(struct report *r, uint32_t job, uint32_t id, uint32_t instance, hq_wall_ms from, hq_wall_ms to)
{
    struct report_task t = task(job, id, instance, from, to);

    assert_int_equal(0, report_push_finished(r, &t));
}

static void
print_groups(struct hq_buf *out, char name, const struct turn_group *g, size_t count)
{
    for (size_t i = 0; i < count; i++, g++) {
        hq_buf_printf(out, "%c%u.%u[", name, g->job_id, g->instance);
        for (size_t k = 0; k < g->range_len; k += 3) {
            hq_buf_printf(out, "%s%u+%u/%u", k > 0 ? " " : "", g->ranges[k], g->ranges[k + 1], g->ranges[k + 2]);
        }
        hq_buf_printf(out, "]@%lld", (long long)g->base_ms);
        for (size_t k = 0; k < g->count; k++) {
            hq_buf_printf(out, ",%lld", (long long)g->started[k]);
            if (g->duration_ms != NULL) {
                hq_buf_printf(out, "~%llu", (unsigned long long)g->duration_ms[k]);
            }
        }
        hq_buf_byte(out, ';');
    }
}

static void
expect_turn(struct report *r, const char *text)
{
    struct hq_arena arena;
    struct turn_news n;
    struct hq_buf out = HQ_BUF_INIT;

    hq_arena_init(&arena, 0);
    report_pack(r, &arena, &n);
    print_groups(&out, 's', n.started, n.started_count);
    print_groups(&out, 'f', n.finished, n.finished_count);
    for (size_t i = 0; i < n.failed_count; i++) {
        hq_buf_printf(&out, "x%u.%u=%.*s;", n.failed[i].task.job_id, n.failed[i].task.task_id,
                      HQ_STR_FMT(n.failed[i].error));
    }
    for (size_t i = 0; i < n.returned_count; i++) {
        hq_buf_printf(&out, "r%u!%d[%u+%u/%u];", n.returned[i].job_id, (int)n.returned[i].reason,
                      n.returned[i].ranges[0], n.returned[i].ranges[1], n.returned[i].ranges[2]);
    }
    for (size_t i = 0; i < n.notify_count; i++) {
        hq_buf_printf(&out, "n%u.%u=%.*s;", n.notifies[i].job_id, n.notifies[i].task_id,
                      HQ_STR_FMT(n.notifies[i].message));
    }
    assert_string_equal(text, out.ptr == NULL ? "" : out.ptr);
    hq_buf_fini(&out);
    hq_arena_fini(&arena);
}

static void
test_columns(void **state)
{
    struct report *r = report_create();

    (void)state;
    expect_turn(r, "");
    assert_true(report_is_empty(r));
    /* Two slots finish out of order: sorted, one range, small numbers. */
    finish(r, 1, 5, 0, 1000, 1003);
    finish(r, 1, 4, 0, 999, 1004);
    finish(r, 1, 6, 0, 1003, 1003);
    finish(r, 2, 5, 0, 1001, 1000); /* the clock was set back */
    finish(r, 1, 9, 1, 2000, 2500);
    assert_false(report_is_empty(r));
    expect_turn(r, "f1.0[4+3/1]@999,0~5,1~3,3~0;f1.1[9+1/1]@2000,0~500;f2.0[5+1/1]@1001,0~0;");
    assert_true(report_is_empty(r));
    /* Steps and single ids. */
    finish(r, 1, 10, 0, 0, 0);
    finish(r, 1, 13, 0, 0, 0);
    finish(r, 1, 16, 0, 0, 0);
    finish(r, 1, 17, 0, 0, 0);
    finish(r, 1, 30, 0, 0, 0);
    finish(r, 1, 4000000000, 0, 0, 0);
    expect_turn(r, "f1.0[10+3/3 17+1/1 30+1/1 4000000000+1/1]@0,0~0,0~0,0~0,0~0,0~0,0~0;");
    report_destroy(r);
}

static void
test_start_and_end_in_one_turn(void **state)
{
    struct report *r = report_create();
    struct report_task t = task(1, 3, 0, 7, 9);

    (void)state;
    start(r, 1, 1, 0, 5);
    start(r, 1, 2, 0, 6);
    start(r, 1, 3, 0, 7);
    finish(r, 1, 1, 0, 5, 8);
    assert_int_equal(0, report_push_failed(r, &t, HQ_STR("bad")));
    expect_turn(r, "s1.0[2+1/1]@6,0;f1.0[1+1/1]@5,0~3;x1.3=bad;");
    finish(r, 1, 2, 0, 6, 20); /* told before as started */
    expect_turn(r, "f1.0[2+1/1]@6,0~14;");
    /* The same id of another instance is another task. */
    start(r, 1, 1, 1, 5);
    finish(r, 1, 1, 0, 5, 8);
    expect_turn(r, "s1.1[1+1/1]@5,0;f1.0[1+1/1]@5,0~3;");
    report_destroy(r);
}

static void
test_returned_and_notifies(void **state)
{
    struct report *r = report_create();
    struct hq_ranges ids = HQ_RANGES_INIT;
    char text[HQ_NOTIFY_BYTES_MAX + 1] = {0};

    (void)state;
    hq_ranges_add(&ids, 3, 4, 2);
    assert_int_equal(0, report_push_returned(r, 1, 0, 0, REPORT_REJECTED, &ids));
    assert_int_equal(0, report_push_notify(r, 1, 2, HQ_STR("hello")));
    assert_int_equal(-ENOSPC, report_push_notify(r, 1, 2, hq_str_make(text, sizeof text)));
    expect_turn(r, "r1!1[3+4/2];n1.2=hello;");
    for (uint32_t i = 0; i < HQ_REPORT_NOTIFIES_MAX; i++) {
        assert_int_equal(0, report_push_notify(r, 1, i, HQ_STR("x")));
    }
    assert_int_equal(-ENOSPC, report_push_notify(r, 1, 2, HQ_STR("x")));
    report_clear(r);
    assert_true(report_is_empty(r));
    hq_ranges_fini(&ids);
    report_destroy(r);
}

/* More than one turn holds: ends never come before starts of the same task, nothing is lost or told twice. */
static void
test_several_turns(void **state)
{
    struct report *r = report_create();
    const uint32_t count = 3 * HQ_TURN_EVENTS_MAX + 17;
    uint8_t *started = hq_xcalloc(count, 1), *ended = hq_xcalloc(count, 1);
    uint32_t turns = 0;

    (void)state;
    for (uint32_t i = 0; i < count; i++) {
        start(r, 1, i, 0, i);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i % 3 == 0) {
            struct report_task t = task(1, i, 0, i, i + 1);
            char text[HQ_ERROR_TEXT_BYTES_MAX] = {0};
            memset(text, 'e', sizeof text);
            assert_int_equal(0, report_push_failed(r, &t, hq_str_make(text, sizeof text)));
        } else {
            finish(r, 1, i, 0, i, i + 1);
        }
    }
    for (; !report_is_empty(r); turns++) {
        struct hq_arena arena;
        struct turn_news n;
        size_t bytes = 0;
        hq_arena_init(&arena, 0);
        report_pack(r, &arena, &n);
        for (size_t k = 0; k < n.started_count + n.finished_count; k++) {
            bool is_start = k < n.started_count;
            const struct turn_group *g = is_start ? &n.started[k] : &n.finished[k - n.started_count];
            for (size_t i = 0; i < g->range_len; i += 3) {
                for (uint32_t j = 0; j < g->ranges[i + 1]; j++) {
                    uint32_t id = g->ranges[i] + j * g->ranges[i + 2];
                    assert_int_equal(0, (is_start ? started : ended)[id]++);
                    assert_false(is_start && ended[id]);
                }
            }
            bytes += g->count * 24;
        }
        for (size_t k = 0; k < n.failed_count; k++) {
            assert_int_equal(0, ended[n.failed[k].task.task_id]++);
            bytes += n.failed[k].error.len + 40;
        }
        assert_true(bytes < HQ_MSG_BYTES_MAX);
        hq_arena_fini(&arena);
    }
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(1, ended[i]);
    }
    assert_true(turns > 3);
    free(started);
    free(ended);
    report_destroy(r);
}

static void
test_full(void **state)
{
    struct report *r = report_create();

    (void)state;
    assert_false(report_is_full(r));
    for (uint32_t i = 0; i < HQ_REPORT_EVENTS_MAX; i++) {
        finish(r, 1, i, 0, 0, 0);
    }
    assert_true(report_is_full(r));
    report_clear(r);
    assert_false(report_is_full(r));
    report_destroy(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),         cmocka_unit_test(test_start_and_end_in_one_turn),
        cmocka_unit_test(test_returned_and_notifies), cmocka_unit_test(test_several_turns),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
