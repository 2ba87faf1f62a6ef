/* test_lifetime.c - when a worker ends, for each policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hq-workerd/core/lifetime.h"

static void
test_goes_on(void **state)
{
    struct lifetime l;

    (void)state;
    lifetime_init(&l, LIFETIME_STOP, 100, 0, 0);
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 1000000000, 0));
    assert_int_equal(INT64_MAX, lifetime_next_ms(&l, 100, 0));
}

static void
test_time_limit(void **state)
{
    struct lifetime l;

    (void)state;
    lifetime_init(&l, LIFETIME_RECONNECT, 100, 1000, 0);
    assert_int_equal(1100, lifetime_next_ms(&l, 100, 3));
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 1099, 3));
    assert_int_equal(LIFETIME_END, lifetime_look(&l, 1100, 3));
    assert_int_equal(LIFETIME_END_LIMIT, l.end);
    assert_int_equal(0, lifetime_exit_status(l.end));
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 5000, 3)); /* said once */
    assert_int_equal(INT64_MAX, lifetime_next_ms(&l, 5000, 3));
    /* No overflow. */
    lifetime_init(&l, LIFETIME_RECONNECT, 100, INT64_MAX, 0);
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, INT64_MAX - 1, 0));
    /* It holds while hqd is away, too. */
    lifetime_init(&l, LIFETIME_RECONNECT, 0, 5000, 0);
    lifetime_on_lost(&l, 1000);
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 4999, 1));
    assert_int_equal(LIFETIME_END, lifetime_look(&l, 5000, 1));
    assert_int_equal(LIFETIME_END_LIMIT, l.end);
}

static void
test_orders(void **state)
{
    static const enum lifetime_end ends[] = {LIFETIME_END_ORDER, LIFETIME_END_IDLE, LIFETIME_END_SIGNAL};
    struct lifetime l;

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(ends); i++) {
        lifetime_init(&l, LIFETIME_STOP, 0, 100, 0);
        lifetime_on_end(&l, ends[i]);
        assert_int_equal(7, lifetime_next_ms(&l, 7, 1));
        lifetime_on_end(&l, LIFETIME_END_LIMIT); /* the first reason stays */
        assert_int_equal(LIFETIME_END, lifetime_look(&l, 7, 1));
        assert_int_equal(ends[i], l.end);
        assert_int_equal(0, lifetime_exit_status(l.end));
        assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 500, 1));
    }
}

static void
test_stop_when_lost(void **state)
{
    struct lifetime l;

    (void)state;
    lifetime_init(&l, LIFETIME_STOP, 0, 0, 0);
    lifetime_on_lost(&l, 1000);
    lifetime_on_lost(&l, 2500); /* still the same loss */
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 1000 + LIFETIME_GRACE_MS - 1, 1));
    assert_int_equal(1000 + LIFETIME_GRACE_MS, lifetime_next_ms(&l, 1500, 1));
    lifetime_on_back(&l);
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, 10000, 1));
    lifetime_on_lost(&l, 20000);
    assert_int_equal(LIFETIME_END, lifetime_look(&l, 20000 + LIFETIME_GRACE_MS, 1));
    assert_int_equal(LIFETIME_END_SERVER_LOST, l.end);
    assert_int_equal(1, lifetime_exit_status(l.end));
    /* An orderly end of hqd needs no patience. */
    lifetime_init(&l, LIFETIME_STOP, 0, 0, 0);
    lifetime_on_server_end(&l, 1000);
    assert_int_equal(LIFETIME_END, lifetime_look(&l, 1000, 0));
    assert_int_equal(LIFETIME_END_FINISHED, l.end);
    assert_int_equal(1, lifetime_exit_status(l.end));
}

static void
test_finish_running(void **state)
{
    struct lifetime l;
    const hq_ms at = 1000 + LIFETIME_GRACE_MS;

    (void)state;
    lifetime_init(&l, LIFETIME_FINISH_RUNNING, 0, 0, 0);
    lifetime_on_lost(&l, 1000);
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, at - 1, 2));
    assert_int_equal(LIFETIME_DROP_WAITING, lifetime_look(&l, at, 2));
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, at + 1, 2)); /* said once */
    assert_int_equal(INT64_MAX, lifetime_next_ms(&l, at + 1, 2));     /* without limit */
    assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, at + 1000000000, 1));
    assert_int_equal(LIFETIME_END, lifetime_look(&l, at + 1000000001, 0));
    assert_int_equal(LIFETIME_END_FINISHED, l.end);
    lifetime_init(&l, LIFETIME_FINISH_RUNNING, 0, 0, 0);
    lifetime_on_server_end(&l, 1000);
    assert_int_equal(LIFETIME_END, lifetime_look(&l, 1000, 0));
    assert_false(l.has_dropped);
}

static void
test_reconnect(void **state)
{
    static const struct {
        hq_ms idle_timeout_ms, patience_ms;
    } rows[] = {{0, LIFETIME_RECONNECT_MS}, {60000, 60000}};
    struct lifetime l;

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        hq_ms at = 1000 + LIFETIME_GRACE_MS;
        lifetime_init(&l, LIFETIME_RECONNECT, 0, 0, rows[i].idle_timeout_ms);
        lifetime_on_lost(&l, 1000);
        assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, at + 100000000, 1)); /* as long as anything runs */
        at += 100000001;
        assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, at, 0));
        assert_int_equal(at + rows[i].patience_ms, lifetime_next_ms(&l, at, 0));
        assert_int_equal(LIFETIME_NOTHING, lifetime_look(&l, at + rows[i].patience_ms - 1, 0));
        assert_int_equal(LIFETIME_END, lifetime_look(&l, at + rows[i].patience_ms, 0));
        assert_int_equal(LIFETIME_END_FINISHED, l.end);
        assert_int_equal(1, lifetime_exit_status(l.end));
    }
    /* An orderly end means stop. */
    lifetime_init(&l, LIFETIME_RECONNECT, 0, 0, 0);
    lifetime_on_server_end(&l, 1000);
    assert_int_equal(LIFETIME_END, lifetime_look(&l, 1000, 2));
    assert_int_equal(LIFETIME_END_SERVER_LOST, l.end);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),        cmocka_unit_test(test_time_limit), cmocka_unit_test(test_orders),
        cmocka_unit_test(test_stop_when_lost), cmocka_unit_test(test_finish_running), cmocka_unit_test(test_reconnect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
