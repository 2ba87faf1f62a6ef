/* Commands with a kill time-out: ends, output, what hangs, what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ev.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "hq-allocd/runner.h"

struct seen {
    struct ev_loop *loop;
    uint32_t *left;
    bool is_called;
    int start_errno;
    bool is_timed_out;
    int status;
    size_t out_len;
    char out[256];
    char err[256];
};

static void
on_end(void *ctx, const struct batch_result *r)
{
    struct seen *s = ctx;
    assert_false(s->is_called);
    s->is_called = true;
    s->start_errno = r->start_errno;
    s->is_timed_out = r->is_timed_out;
    s->status = r->status;
    s->out_len = r->out.len;
    for (size_t i = 0; i < r->out.len && i < sizeof s->out - 1; i++) {
        s->out[i] = r->out.ptr[i];
    }
    for (size_t i = 0; i < r->err.len && i < sizeof s->err - 1; i++) {
        s->err[i] = r->err.ptr[i];
    }
    if (--*s->left == 0) {
        ev_break(s->loop, EVBREAK_ALL);
    }
}

static void
run_all(const char *const *scripts, hq_ms timeout_ms, struct seen *seen, size_t count)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct runner *runner = runner_create(loop);
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    uint32_t left = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct batch_cmd cmd = {.arena = &arena};
        seen[i] = (struct seen){.loop = loop, .left = &left};
        if (scripts[i][0] == '/') {
            batch_arg(&cmd, scripts[i]);
        } else {
            batch_arg(&cmd, "sh");
            batch_arg(&cmd, "-c");
            batch_arg(&cmd, scripts[i]);
            batch_env(&cmd, "LC_ALL=C");
            batch_env(&cmd, "HQ_RUNNER_TEST=new");
        }
        runner_start(runner, &cmd, "/", timeout_ms, on_end, &seen[i]);
        assert_false(seen[i].is_called);
    }
    ev_run(loop, 0);
    assert_int_equal(runner_count(runner), 0);
    runner_destroy(runner);
    hq_arena_fini(&arena);
    ev_loop_destroy(loop);
}

static void
test_ends(void **state)
{
    (void)state;
    static const char *const scripts[] = {"echo out; echo err >&2; exit 3", "pwd", "kill -9 $$", "/no/such/program",
                                          "echo $HQ_RUNNER_TEST$LC_ALL"};
    struct seen s[5];
    assert_int_equal(setenv("HQ_RUNNER_TEST", "old", 1), 0);
    run_all(scripts, 60000, s, 5);
    assert_int_equal(WEXITSTATUS(s[0].status), 3);
    assert_string_equal(s[0].out, "out\n");
    assert_string_equal(s[0].err, "err\n");
    assert_string_equal(s[1].out, "/\n");
    assert_true(WIFSIGNALED(s[2].status));
    assert_int_equal(s[3].start_errno, ENOENT);
    assert_string_equal(s[4].out, "newC\n");
}

static void
test_hangs(void **state)
{
    (void)state;
    /* the second one leaves a child behind that keeps the pipe open; the third ignores what it can */
    static const char *const scripts[] = {"echo early; sleep 1000", "sleep 5 & echo parent",
                                          "trap '' TERM INT; sleep 1000; sleep 1000"};
    struct seen s[3];
    hq_ms began_ms = hq_clock_ms();
    run_all(scripts, 300, s, 3);
    assert_true(hq_clock_ms() - began_ms < 30000);
    assert_true(s[0].is_timed_out);
    assert_string_equal(s[0].out, "early\n");
    assert_false(s[1].is_timed_out);
    assert_string_equal(s[1].out, "parent\n");
    assert_true(s[2].is_timed_out);
}

static void
test_bounds(void **state)
{
    (void)state;
    static const char *const scripts[] = {"head -c 20000000 /dev/zero"};
    struct seen s[1];
    run_all(scripts, 60000, s, 1);
    assert_int_equal(s[0].out_len, BATCH_OUTPUT_BYTES_MAX);
    assert_int_equal(s[0].status, 0);
}

static void
test_many(void **state)
{
    (void)state;
    const char *scripts[3 * RUNNER_MAX];
    static struct seen s[3 * RUNNER_MAX];
    for (size_t i = 0; i < HQ_ARRAY_LEN(scripts); i++) {
        scripts[i] = "echo x";
    }
    run_all(scripts, 60000, s, HQ_ARRAY_LEN(scripts));
    for (size_t i = 0; i < HQ_ARRAY_LEN(scripts); i++) {
        assert_string_equal(s[i].out, "x\n");
    }
}

static void
test_destroy(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct runner *runner = runner_create(loop);
    struct hq_arena arena;
    uint32_t left = 2;
    struct seen s = {.loop = loop, .left = &left};
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    batch_arg(&cmd, "sleep");
    batch_arg(&cmd, "1000");
    runner_start(runner, &cmd, NULL, 60000, on_end, &s);
    ev_run(loop, EVRUN_ONCE);
    runner_start(runner, &cmd, NULL, 60000, on_end, &s); /* one runs, one waits */
    runner_destroy(runner);
    assert_false(s.is_called);
    hq_arena_fini(&arena);
    ev_loop_destroy(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ends), cmocka_unit_test(test_hangs),
                                       cmocka_unit_test(test_bounds), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_destroy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
