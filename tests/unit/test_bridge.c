/* The bridge: order, bound, back-pressure, and being destroyed at awkward moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/bridge.h"

struct log {
    struct hq_bridge *bridge;
    struct ev_loop *loop;
    unsigned count;
    uintptr_t items[4096];
    unsigned dropped;
};

static void
note(void *ctx, void *item)
{
    struct log *l = ctx;
    assert_true(l->count < 4096);
    l->items[l->count++] = (uintptr_t)item;
}

static void
note_dropped(void *ctx, void *item)
{
    (void)item;
    ((struct log *)ctx)->dropped++;
}

static void
open_log(struct log *l, uint32_t items_max)
{
    memset(l, 0, sizeof(*l));
    l->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(l->loop);
    assert_int_equal(hq_bridge_create(&l->bridge, l->loop, items_max, note_dropped, NULL), 0);
}

static void
test_order_and_bound(void **state)
{
    (void)state;
    static struct log l;
    open_log(&l, 3);
    for (uintptr_t ix = 0; ix < 3; ix++) {
        assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)ix), 0);
    }
    assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)9), -EAGAIN);
    hq_bridge_post_must_thr(l.bridge, note, &l, (void *)3);
    assert_int_equal(hq_bridge_drain(l.bridge), 4);
    assert_int_equal(hq_bridge_drain(l.bridge), 0);
    for (uintptr_t ix = 0; ix < 4; ix++) {
        assert_int_equal(l.items[ix], ix);
    }
    assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)5), 0); /* dropped below */
    hq_bridge_destroy(l.bridge);
    assert_int_equal(l.count, 4);
    assert_int_equal(l.dropped, 1);
    hq_bridge_destroy(NULL);
    ev_loop_destroy(l.loop);
}

enum { POSTERS = 4, POSTS = 1000 };

static void *
poster_main(void *arg)
{
    struct log *l = arg;
    for (uintptr_t ix = 0; ix < POSTS; ix++) {
        if (hq_bridge_post_wait_thr(l->bridge, note, l, (void *)ix) != 0) {
            abort();
        }
    }
    return NULL;
}

/* More than fits, from several threads: posters wait, nothing is lost, each one's items stay in order. */
static void
test_back_pressure(void **state)
{
    (void)state;
    static struct log l;
    open_log(&l, 7);
    pthread_t threads[POSTERS];
    for (int ix = 0; ix < POSTERS; ix++) {
        assert_int_equal(pthread_create(&threads[ix], NULL, poster_main, &l), 0);
    }
    ev_ref(l.loop); /* the bridge alone does not keep the loop */
    while (l.count < POSTERS * POSTS) {
        ev_run(l.loop, EVRUN_ONCE);
    }
    ev_unref(l.loop);
    for (int ix = 0; ix < POSTERS; ix++) {
        assert_int_equal(pthread_join(threads[ix], NULL), 0);
    }
    unsigned seen[POSTS] = {0};
    for (unsigned ix = 0; ix < l.count; ix++) {
        uintptr_t item = l.items[ix];
        assert_true(item == 0 || seen[item] < seen[item - 1]); /* its forerunner came before it */
        seen[item]++;
    }
    hq_bridge_destroy(l.bridge);
    ev_loop_destroy(l.loop);
}

static void
test_loop_may_end(void **state)
{
    (void)state;
    static struct log l;
    open_log(&l, 3);
    ev_run(l.loop, 0); /* returns: nothing else keeps it */
    hq_bridge_destroy(l.bridge);
    ev_loop_destroy(l.loop);
}

static void
post_another(void *ctx, void *item)
{
    struct log *l = ctx;
    note(ctx, item);
    if ((uintptr_t)item < 5) { /* what is posted meanwhile waits for the next drain */
        assert_int_equal(hq_bridge_post_thr(l->bridge, post_another, ctx, (void *)((uintptr_t)item + 1)), 0);
    }
}

static void
run_loop_inside(void *ctx, void *item)
{
    struct log *l = ctx;
    note(ctx, item);
    assert_int_equal(hq_bridge_post_thr(l->bridge, note, ctx, (void *)77), 0);
    ev_run(l->loop, EVRUN_NOWAIT); /* the wake-up comes in here and must not get lost */
    assert_int_equal(hq_bridge_drain(l->bridge), 0);
    assert_int_equal(l->count, 1);
}

static void
test_nesting(void **state)
{
    (void)state;
    static struct log l;
    open_log(&l, 3);
    assert_int_equal(hq_bridge_post_thr(l.bridge, post_another, &l, (void *)0), 0);
    for (unsigned ix = 0; ix < 6; ix++) {
        assert_int_equal(hq_bridge_drain(l.bridge), 1);
    }
    assert_int_equal(hq_bridge_drain(l.bridge), 0);
    l.count = 0;
    assert_int_equal(hq_bridge_post_thr(l.bridge, run_loop_inside, &l, (void *)1), 0);
    ev_ref(l.loop);
    while (l.count < 2) {
        ev_run(l.loop, EVRUN_ONCE);
    }
    ev_unref(l.loop);
    assert_int_equal(l.items[1], 77);
    hq_bridge_destroy(l.bridge);
    ev_loop_destroy(l.loop);
}

static void
destroy_inside(void *ctx, void *item)
{
    struct log *l = ctx;
    note(ctx, item);
    hq_bridge_destroy(l->bridge);
}

static void
test_destroyed_by_its_own_item(void **state)
{
    (void)state;
    static struct log l;
    open_log(&l, 10);
    assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)1), 0);
    assert_int_equal(hq_bridge_post_thr(l.bridge, destroy_inside, &l, (void *)2), 0);
    assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)3), 0);
    assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)4), 0);
    assert_int_equal(hq_bridge_drain(l.bridge), 2);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.dropped, 2);
    ev_loop_destroy(l.loop);
}

static void
test_burst(void **state)
{
    (void)state;
    static struct log l;
    open_log(&l, 4096); /* more than is kept between bursts */
    for (int round = 0; round < 3; round++) {
        l.count = 0;
        for (uintptr_t ix = 0; ix < 4096; ix++) {
            assert_int_equal(hq_bridge_post_thr(l.bridge, note, &l, (void *)ix), 0);
        }
        assert_int_equal(hq_bridge_drain(l.bridge), 4096);
        assert_int_equal(l.items[4095], 4095);
    }
    hq_bridge_destroy(l.bridge);
    ev_loop_destroy(l.loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bound),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_loop_may_end),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_destroyed_by_its_own_item),
        cmocka_unit_test(test_burst),
    };
    return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
