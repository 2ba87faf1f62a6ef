/* Work beside the loop: order, results, what hangs, what is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "hq-allocd/aside.h"

struct item {
    char *log; /* one letter per call */
    char name;
    int wait_fd;  /* < 0: none; else the work hangs until it can be read */
    int begun_fd; /* told then */
    pthread_t worked_by;
};

static void
work(void *p)
{
    struct item *i = p;
    char byte;
    if (i->wait_fd >= 0) {
        (void)!write(i->begun_fd, "x", 1);
        (void)!read(i->wait_fd, &byte, 1);
    }
    i->worked_by = pthread_self();
}

static void
note(struct item *i, char what)
{
    size_t len = strlen(i->log);
    i->log[len] = what;
    i->log[len + 1] = i->name;
}

static void
done(void *p)
{
    struct item *i = p;
    assert_false(pthread_equal(i->worked_by, pthread_self()));
    note(i, '+');
}

static void
drop(void *p)
{
    note(p, '-');
}

static const struct aside_calls calls = {.work = work, .done = done, .drop = drop};

static void
test_order(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct aside *a = aside_create(loop);
    char log[64] = "";
    struct item items[5];
    for (size_t i = 0; i < HQ_ARRAY_LEN(items); i++) {
        items[i] = (struct item){.log = log, .name = (char)('a' + i), .wait_fd = -1};
        aside_put(a, &calls, &items[i]);
    }
    ev_run(loop, 0); /* returns when nothing is out any more */
    assert_string_equal(log, "+a+b+c+d+e");
    aside_destroy(a);
    aside_destroy(NULL);
    assert_string_equal(log, "+a+b+c+d+e");
    ev_loop_destroy(loop);
}

struct pipes {
    int go[2];
    int begun[2];
};

static void
put_hanging(struct aside *a, struct item *item, char *log, struct pipes *p)
{
    char byte;
    assert_int_equal(pipe(p->go), 0);
    assert_int_equal(pipe(p->begun), 0);
    *item = (struct item){.log = log, .name = 'a', .wait_fd = p->go[0], .begun_fd = p->begun[1]};
    aside_put(a, &calls, item);
    assert_int_equal(read(p->begun[0], &byte, 1), 1);
}

/* The loop goes on while the work hangs; what had not come to its end is dropped, once each. */
static void
test_hang(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct aside *a = aside_create(loop);
    char log[64] = "";
    struct pipes p;
    struct item items[2] = {{0}, {.log = log, .name = 'b', .wait_fd = -1}};
    put_hanging(a, &items[0], log, &p);
    aside_put(a, &calls, &items[1]);
    ev_run(loop, EVRUN_NOWAIT);
    assert_string_equal(log, "");
    assert_int_equal(write(p.go[1], "x", 1), 1); /* it ends while we wait for it */
    aside_destroy(a);
    const char *dropped = strchr(log, '-'); /* the first one may have come to its end before */
    assert_non_null(dropped);
    assert_non_null(strchr(dropped, 'b'));
    for (size_t i = 0; i < 2; i++) {
        (void)close(p.go[i]);
        (void)close(p.begun[i]);
    }
    ev_loop_destroy(loop);
}

/* One that never ends does not keep the program from ending; it and the thread stay behind. */
static void
test_stuck(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct aside *a = aside_create(loop);
    static char log[64];
    static struct item item;
    struct pipes p;
    put_hanging(a, &item, log, &p);
    hq_ms began_ms = hq_clock_ms();
    aside_destroy(a);
    assert_in_range(hq_clock_ms() - began_ms, 1900, 20000);
    assert_string_equal(log, "");
    ev_loop_destroy(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_hang),
                                       cmocka_unit_test(test_stuck)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
