/* Rate limit of a queue, and the reasons to pause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hq-allocd/core/backoff.h"

static void
test_delays(void **state)
{
    (void)state;
    static const hq_ms minutes[] = {0, 1, 15, 30, 60, 60, 60};
    for (uint32_t step = 0; step < HQ_ARRAY_LEN(minutes); step++) {
        struct backoff b = {.step = step, .last_attempt_ms = 5000};
        assert_int_equal(backoff_next_ms(&b), step == 0 ? 0 : 5000 + minutes[step] * 60000);
    }
    struct backoff never = {.step = 3};
    assert_int_equal(backoff_next_ms(&never), 0);
}

static void
test_pause(void **state)
{
    (void)state;
    assert_null(backoff_pause_reason(&(struct backoff){.submit_fails = 9, .alloc_fails = 2}, 3));
    assert_string_equal(backoff_pause_reason(&(struct backoff){.submit_fails = 10}, 3), "too many failed submissions");
    assert_string_equal(backoff_pause_reason(&(struct backoff){.alloc_fails = 3}, 3), "too many failed allocations");
    assert_null(backoff_pause_reason(&(struct backoff){.alloc_fails = 3}, 4));
}

static void
test_retry(void **state)
{
    (void)state;
    assert_int_equal(backoff_retry_ms(0, 100, 1000), 100);
    assert_int_equal(backoff_retry_ms(2, 100, 1000), 400);
    assert_int_equal(backoff_retry_ms(9, 100, 1000), 1000);
    assert_int_equal(backoff_retry_ms(UINT32_MAX, 100, 1000), 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_delays), cmocka_unit_test(test_pause),
                                       cmocka_unit_test(test_retry)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
