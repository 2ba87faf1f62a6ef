/* Task states: every cell of the table, pages that appear late and grow. */
#include "hqd/core/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
every_cell(void **state)
{
    (void)state;
    /* Rows by state, columns by event: assign unassign start finish fail cancel abort restart. */
    static const char *const want[TASK_STATES] = {
        [TASK_NONE] = "--------",     [TASK_WAITING] = "A---FCB-",  [TASK_ASSIGNED] = "-WRDFCBW",
        [TASK_RUNNING] = "---DFCBW",  [TASK_FINISHED] = "--------", [TASK_FAILED] = "--------",
        [TASK_CANCELED] = "--------", [TASK_ABORTED] = "--------",
    };
    static const char letters[TASK_STATES] = {
        [TASK_NONE] = '-',     [TASK_WAITING] = 'W', [TASK_ASSIGNED] = 'A', [TASK_RUNNING] = 'R',
        [TASK_FINISHED] = 'D', [TASK_FAILED] = 'F',  [TASK_CANCELED] = 'C', [TASK_ABORTED] = 'B',
    };
    for (int s = 0; s < TASK_STATES; s++) {
        for (int e = 0; e < TASK_EVENTS; e++) {
            assert_int_equal(letters[task_next[s][e]], want[s][e]);
        }
    }
}

static void
final_states_stay(void **state)
{
    (void)state;
    for (unsigned s = 0; s < TASK_STATES; s++) {
        for (int e = 0; e < TASK_EVENTS && task_is_ended(s); e++) {
            assert_int_equal(task_next[s][e], TASK_NONE);
        }
        assert_int_equal(task_is_held(s), s == TASK_ASSIGNED || s == TASK_RUNNING);
        assert_true(strlen(task_state_name(s)) > 0);
    }
    assert_int_equal(task_state_word(TASK_ASSIGNED), TASK_WORD_WAITING);
    assert_int_equal(task_state_word(TASK_ABORTED), TASK_WORD_ABORTED);
}

static void
pages_appear_late(void **state)
{
    (void)state;
    struct task_table t = {0};
    task_table_grow(&t, 1000000);
    assert_int_equal(t.page_count, 977);
    for (uint32_t i = 0; i < t.page_count; i++) {
        assert_null(t.pages[i]);
    }
    assert_int_equal(task_state_at(&t, 999999), TASK_WAITING);
    struct task_page *p = task_table_page(&t, 5000);
    page_state(p)[5000 % TASK_PAGE_TASKS] = TASK_RUNNING;
    assert_int_equal(task_state_at(&t, 5000), TASK_RUNNING);
    assert_int_equal(task_state_at(&t, 5001), TASK_WAITING);
    assert_null(task_table_peek(&t, 3000));
    assert_int_equal(task_page_size(&t, 976), 1000000 - 976 * TASK_PAGE_TASKS);
    task_table_fini(&t);
}

static void
last_page_grows(void **state)
{
    (void)state;
    struct task_table t = {0};
    task_table_grow(&t, 3);
    struct task_page *p = task_table_page(&t, 2);
    page_started(p)[2] = 11;
    page_ended(p)[2] = 12;
    page_worker(p)[2] = 13;
    page_instance(p)[2] = 14;
    page_crashes(p)[2] = 15;
    page_variant(p)[2] = 16;
    page_state(p)[2] = TASK_FAILED;
    p->held = 1;
    for (uint32_t n = 4; n < 3000; n += 97) {
        task_table_grow(&t, n);
        p = task_table_peek(&t, 2);
        assert_true(p->cap >= task_page_size(&t, 0));
        assert_int_equal(page_started(p)[2], 11);
        assert_int_equal(page_ended(p)[2], 12);
        assert_int_equal(page_worker(p)[2], 13);
        assert_int_equal(page_instance(p)[2], 14);
        assert_int_equal(page_crashes(p)[2], 15);
        assert_int_equal(page_variant(p)[2], 16);
        assert_int_equal(page_state(p)[2], TASK_FAILED);
        assert_int_equal(page_state(p)[1], TASK_WAITING);
        assert_int_equal(task_state_at(&t, n - 1), TASK_WAITING);
        assert_int_equal(p->held, 1);
    }
    task_table_fini(&t);
}

/* A page without memory that ended in one state keeps it for its tasks when others join the page. */
static void
uniform_page_grows(void **state)
{
    (void)state;
    struct task_table t = {0};
    task_table_grow(&t, 10);
    t.uniform[0] = TASK_CANCELED;
    task_table_grow(&t, 20);
    assert_int_equal(task_state_at(&t, 9), TASK_CANCELED);
    assert_int_equal(task_state_at(&t, 10), TASK_WAITING);
    task_table_fini(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),      cmocka_unit_test(final_states_stay),  cmocka_unit_test(pages_appear_late),
        cmocka_unit_test(last_page_grows), cmocka_unit_test(uniform_page_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
