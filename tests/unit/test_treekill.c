/* test_treekill.c - SIGINT, then SIGKILL; orphans that left their task's group; names of nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/num.h"
#include "hq-workerd/taskdir.h"
#include "hq-workerd/treekill.h"
#include "tests/unit/launch.h"

static struct treekill *
make_treekill(struct launch *f)
{
    struct treekill *t = NULL;
    struct hq_err err = {0};

    assert_int_equal(0, treekill_create(&t, f->l, "/tmp/hq-lc-test", &err));
    return t;
}

static struct launcher_run
the_run(struct launch *f)
{
    struct lane_match all = {.any_job = true, .any_instance = true};
    struct launcher_runs runs = {0};

    assert_int_equal(0, launcher_find(f->l, &all, &runs));
    assert_int_equal(1, runs.count);
    struct launcher_run run = runs.v[0];
    free(runs.v);
    return run;
}

/* The pid that the task wrote into the file. */
static pid_t
read_pid(struct launch *f, const char *name)
{
    struct hq_buf text = HQ_BUF_INIT;
    hq_ms until_ms = hq_clock_ms() + LAUNCH_DEADLINE_MS;
    char path[128];
    uint32_t pid = 0;

    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    while (hq_fs_read(&text, path, 100, NULL) < 0 || hq_num_u32(hq_str_trim(hq_buf_view(&text)), &pid, NULL) < 0) {
        hq_buf_clear(&text);
        assert_true(hq_clock_ms() < until_ms);
        (void)poll(NULL, 0, 1);
    }
    hq_buf_fini(&text);
    return (pid_t)pid;
}

static bool
is_alive(pid_t pid)
{
    char path[64];
    struct hq_buf text = HQ_BUF_INIT;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    bool alive = hq_fs_read(&text, path, 4096, NULL) == 0 && strstr(text.ptr, ") Z") == NULL;
    hq_buf_fini(&text);
    return alive;
}

static void
test_polite_first(void **state)
{
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    struct treekill *t = make_treekill(&f);
    struct body *b = launch_make_shell(&f, "trap 'echo int > int; exit 0' INT; echo $$ > p; mv p pid; while :; do sleep 0.01; done");
    launch_push(&f, b, 0, 1, 0);
    launch_open_slots(&f, 1);
    (void)read_pid(&f, "pid");
    treekill_start(t, the_run(&f), 1000);
    assert_int_equal(1000 + TREEKILL_GRACE_MS, treekill_next_ms(t));
    launch_wait_for(&f, 1, 1);
    assert_int_equal(1, f.finished);
    launch_expect_file(&f, "int", "int\n");
    treekill_on_time(t, 1000 + TREEKILL_GRACE_MS); /* nobody is there any more: over */
    assert_int_equal(INT64_MAX, treekill_next_ms(t));
    treekill_destroy(t);
    body_unref(b);
    launch_fini(&f);
}

static void
test_then_by_force(void **state)
{
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    struct treekill *t = make_treekill(&f);
    struct body *b = launch_make_shell(&f, "trap '' INT; echo $$ > p; mv p pid; while :; do sleep 1000; done");
    launch_push(&f, b, 0, 1, 0);
    launch_open_slots(&f, 1);
    pid_t pid = read_pid(&f, "pid");
    struct launcher_run run = the_run(&f);
    treekill_start(t, run, 1000);
    treekill_start(t, run, 1000); /* once is enough */
    treekill_on_time(t, 1000 + TREEKILL_GRACE_MS - 1);
    assert_true(is_alive(pid));
    treekill_on_time(t, 1000 + TREEKILL_GRACE_MS);
    launch_wait_for(&f, 1, 1);
    assert_string_equal("Program terminated with exit code -1. Received signal 9 (SIGKILL).", f.error);
    assert_int_equal(INT64_MAX, treekill_next_ms(t));
    treekill_destroy(t);
    body_unref(b);
    launch_fini(&f);
}

/* A process in a session of its own outlives its task until the sweep; that of a running task is spared. */
static void
test_orphans(void **state)
{
    struct launch f;
    hq_ms now_ms = 1000, until_ms = hq_clock_ms() + LAUNCH_DEADLINE_MS;

    (void)state;
    launch_init(&f, 1, 10);
    struct treekill *t = make_treekill(&f);
    struct body *b = launch_make_shell(&f, "setsid sh -c 'echo $$ > p'$HQ_TASK_ID'; mv p'$HQ_TASK_ID' pid'$HQ_TASK_ID'; exec sleep 1000' &"
                                           "while [ ! -e pid$HQ_TASK_ID ]; do sleep 0.01; done;"
                                           "if [ $HQ_TASK_ID = 1 ]; then (exit 0); while [ ! -e go ]; do sleep 0.01; done; fi");
    launch_push(&f, b, 0, 2, 0);
    launch_open_slots(&f, 1);
    pid_t first = read_pid(&f, "pid0"), second = read_pid(&f, "pid1"); /* the first task is over by now */
    launch_wait_for(&f, 1, 0);
    treekill_on_ended(t, now_ms);
    while (is_alive(first)) {
        assert_true(hq_clock_ms() < until_ms);
        now_ms += TREEKILL_SWEEP_MS;
        treekill_on_time(t, now_ms);
        (void)poll(NULL, 0, 1);
    }
    assert_true(is_alive(second));
    launch_make_file(&f, "go", "", 0644);
    launch_wait_for(&f, 2, 1);
    treekill_on_ended(t, now_ms);
    while (is_alive(second)) {
        assert_true(hq_clock_ms() < until_ms);
        now_ms += TREEKILL_SWEEP_MS;
        treekill_on_time(t, now_ms);
        (void)poll(NULL, 0, 1);
    }
    while (treekill_next_ms(t) != INT64_MAX) { /* and then there is nothing left to look for */
        assert_true(hq_clock_ms() < until_ms);
        now_ms += TREEKILL_SWEEP_MS;
        treekill_on_time(t, now_ms);
        (void)poll(NULL, 0, 1);
    }
    treekill_destroy(t);
    body_unref(b);
    launch_fini(&f);
}

static void
test_short_names(void **state)
{
    static const struct {
        const char *host, *name;
    } rows[] = {
        {"node1.cluster.example", "node1"}, {"node1", "node1"}, {"192.168.7.3", "192.168.7.3"}, {"", ""}, {".x", ""},
        {"1.2.3.4a", "1"},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        assert_true(hq_str_is(taskdir_short_name(hq_str_from(rows[i].host)), rows[i].name));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polite_first),
        cmocka_unit_test(test_then_by_force),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_short_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
