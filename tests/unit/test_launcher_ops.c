/* test_launcher_ops.c - what the loop asks of the launcher: signals, withdrawals, pauses; and with too few processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/num.h"
#include "tests/unit/launch.h"

static void
test_signals_and_marks(void **state)
{
    struct lane_match all = {.any_job = true, .any_instance = true};
    struct launcher_runs runs = {0};
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    struct body *b = launch_make_shell(&f, "echo up > up; exec sleep 1000");
    launch_push(&f, b, 0, 1, 0);
    launch_open_slots(&f, 1);
    launch_wait_started(&f, 1);
    assert_int_equal(0, launcher_find(f.l, &all, &runs));
    assert_int_equal(1, runs.count);
    assert_int_equal(0, launcher_mark(f.l, runs.v[0], RUN_WHY_TIME_LIMIT));
    struct launcher_run other = {.slot_ix = 0, .serial = runs.v[0].serial + 1};
    assert_int_equal(-ESRCH, launcher_signal(f.l, other, SIGKILL)); /* never another one's process */
    assert_int_equal(0, launcher_signal(f.l, runs.v[0], SIGINT));
    launch_wait_for(&f, 1, 1);
    assert_string_equal("Time limit reached", f.error);
    assert_int_equal(-ESRCH, launcher_signal(f.l, runs.v[0], SIGKILL));
    assert_int_equal(-ESRCH, launcher_mark(f.l, runs.v[0], RUN_WHY_CANCEL));
    free(runs.v);
    body_unref(b);
    launch_fini(&f);
}

/* What the leader leaves in its group ends with it. */
static void
test_group_ends(void **state)
{
    struct launch f;
    struct hq_buf text = HQ_BUF_INIT;
    char path[128];
    hq_ms until_ms = hq_clock_ms() + LAUNCH_DEADLINE_MS;
    uint32_t pid = 0;

    (void)state;
    launch_init(&f, 1, 10);
    launch_run_one(&f, launch_make_shell(&f, "sleep 1000 & echo $! > pid"), 0);
    assert_int_equal(1, f.finished);
    (void)snprintf(path, sizeof path, "%s/pid", f.dir);
    assert_int_equal(0, hq_fs_read(&text, path, 100, NULL));
    assert_int_equal(0, hq_num_u32(hq_str_trim(hq_buf_view(&text)), &pid, NULL));
    while (kill((pid_t)pid, 0) == 0) {
        char state_path[64];
        struct hq_buf stat_text = HQ_BUF_INIT;
        (void)snprintf(state_path, sizeof state_path, "/proc/%u/stat", pid);
        bool is_zombie = hq_fs_read(&stat_text, state_path, 4096, NULL) < 0 || strstr(stat_text.ptr, ") Z") != NULL;
        hq_buf_fini(&stat_text);
        if (is_zombie) {
            break; /* dead; init has not reaped it yet */
        }
        assert_true(hq_clock_ms() < until_ms);
        (void)poll(NULL, 0, 1);
    }
    hq_buf_fini(&text);
    launch_fini(&f);
}

static void
test_withdraw_and_pause(void **state)
{
    struct hq_ranges ids = HQ_RANGES_INIT;
    struct lane_gone_list gone = {0};
    struct launcher_held_list held = {0};
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    struct body *b = launch_make_shell(&f, "while [ ! -e go ]; do sleep 0.01; done");
    launch_push(&f, b, 0, 10, 0);
    launch_open_slots(&f, 1);
    launch_wait_started(&f, 1);
    assert_int_equal(0, launcher_list_held(f.l, &held));
    assert_int_equal(10, held.count);
    assert_true(held.v[0].started_ms > 0);
    assert_int_equal(0, held.v[1].started_ms);
    hq_ranges_add(&ids, 0, 8, 1);
    struct lane_match m = {.job_id = 1, .ids = &ids, .any_instance = true};
    assert_int_equal(0, launcher_withdraw(f.l, &m, &gone));
    assert_int_equal(1, gone.count);
    assert_int_equal(7, hq_ranges_size(&gone.v[0].ids)); /* 0 runs */
    launcher_pause(f.l, true);
    launch_make_file(&f, "go", "", 0644);
    launch_wait_for(&f, 1, 1);
    assert_int_equal(1, f.started);
    launcher_pause(f.l, false);
    launcher_resume(f.l, 0);
    launch_wait_for(&f, 3, 2);
    assert_int_equal(8, f.order[1]);
    assert_int_equal(9, f.order[2]);
    free(held.v);
    lane_gone_list_fini(&gone);
    hq_ranges_fini(&ids);
    body_unref(b);
    launch_fini(&f);
}

/* One process at a time is allowed: the other slots wait with their tasks, and nobody says idle before all have run. */
static void
test_too_few_processes(void **state)
{
    struct launch f;

    (void)state;
    launch_init(&f, 2, 1);
    struct body *b = launch_make_shell(&f, "sleep 0.01");
    launch_open_slots(&f, 4);
    launch_wait_for(&f, 0, 4);
    launch_push(&f, b, 0, 12, 0);
    for (uint32_t i = 0; i < 4; i++) {
        launcher_resume(f.l, i);
    }
    launch_wait_for(&f, 12, 8);
    assert_int_equal(12, f.finished);
    assert_int_equal(8, f.idle);
    body_unref(b);
    launch_fini(&f);
}

static void
test_secrets(void **state)
{
    struct launch f;
    struct hq_buf text = HQ_BUF_INIT;
    char path[128];
    uint32_t job = 0, task = 0;
    hq_ms until_ms = hq_clock_ms() + LAUNCH_DEADLINE_MS;

    (void)state;
    launch_init(&f, 1, 10);
    struct body *b = launch_make_shell(&f, "echo $HQ_ACCESS_KEY > k; mv k key; while [ ! -e go ]; do sleep 0.01; done");
    launch_push(&f, b, 4, 1, 0);
    launch_open_slots(&f, 1);
    (void)snprintf(path, sizeof path, "%s/key", f.dir);
    while (hq_fs_read(&text, path, 1000, NULL) < 0) {
        assert_true(hq_clock_ms() < until_ms);
        (void)poll(NULL, 0, 1);
    }
    struct hq_str rest = hq_str_trim(hq_buf_view(&text)), socket;
    assert_true(hq_str_split(&rest, ':', &socket));
    assert_true(hq_str_is(socket, "/tmp/hq-lc-test"));
    assert_true(launcher_check_secret(f.l, rest, &job, &task));
    assert_int_equal(1, job);
    assert_int_equal(4, task);
    static const char *const wrong[] = {"", "hq0", "hq0-0", "hq0-0-", "hq0-0-xxxxxxxx", "hq0-ffffffff-x", "hq0-g-x", "hq0--x"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(wrong); i++) {
        assert_false(launcher_check_secret(f.l, hq_str_from(wrong[i]), &job, &task));
    }
    launch_make_file(&f, "go", "", 0644);
    launch_wait_for(&f, 1, 1);
    assert_false(launcher_check_secret(f.l, rest, &job, &task)); /* it has ended */
    hq_buf_fini(&text);
    body_unref(b);
    launch_fini(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_and_marks),
        cmocka_unit_test(test_group_ends),
        cmocka_unit_test(test_withdraw_and_pause),
        cmocka_unit_test(test_too_few_processes),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
