/* Log lines: form, levels, filters, escaping, rate limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define AT INT64_C(1769860800123)

static void
test_forms(void **state)
{
    (void)state;
    static const struct {
        struct hq_log_form form;
        enum hq_log_level level;
        const char *file;
        const char *text;
        const char *want;
    } cases[] = {
        {{0}, HQ_LOG_INFO, "hqd/core/job.c", "Job 1 canceled", "2026-01-31T12:00:00Z INFO Job 1 canceled\n"},
        {{0}, HQ_LOG_ERROR, "x.c", "a\nb\033[0m\\", "2026-01-31T12:00:00Z ERROR a\\nb\\x1b[0m\\\\\n"},
        {{.is_long = true},
         HQ_LOG_INFO,
         "hqd/core/job.c",
         "text",
         "[2026-01-31T12:00:00.123Z INFO  hqd::core::job] text\n"},
        {{.is_long = true}, HQ_LOG_DEBUG, "main.c", "text", "[2026-01-31T12:00:00.123Z DEBUG main] text\n"},
        {{.with_color = true},
         HQ_LOG_ERROR,
         "x.c",
         "Job 99 not found",
         "\033[30m2026-01-31T12:00:00Z\033[0m \033[1m\033[31mERROR\033[0m Job 99 not found\n"},
        {{.with_color = true},
         HQ_LOG_INFO,
         "x.c",
         "t",
         "\033[30m2026-01-31T12:00:00Z\033[0m \033[1m\033[32mINFO\033[0m t\n"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_log_format(&b, cases[i].form, cases[i].level, cases[i].file, AT, hq_str_from(cases[i].text));
        assert_string_equal(b.ptr, cases[i].want);
    }
}

static void
test_long_line(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    for (int i = 0; i < 10000; i++) {
        hq_buf_cstr(&text, "\xe4\xb8\xad");
    }
    hq_log_format(&b, (struct hq_log_form){0}, HQ_LOG_INFO, "x.c", AT, hq_buf_view(&text));
    assert_true(b.len < HQ_LOG_BYTES_MAX + 100);
    assert_true(hq_str_ends(hq_buf_view(&b), HQ_STR("...\n")));
    assert_true(hq_str_is_utf8(hq_buf_view(&b)));
}

static void
test_levels(void **state)
{
    (void)state;
    static const struct {
        bool debug;
        const char *filter;
        enum hq_log_level highest;
    } cases[] = {
        {false, NULL, HQ_LOG_INFO},
        {true, NULL, HQ_LOG_DEBUG},
        {false, "", HQ_LOG_INFO},
        {false, "error", HQ_LOG_ERROR},
        {true, "error", HQ_LOG_ERROR},
        {false, "warn", HQ_LOG_WARN},
        {false, "debug", HQ_LOG_DEBUG},
        {false, "hq=debug", HQ_LOG_DEBUG},
        {false, "hyperqueue::server=trace", HQ_LOG_TRACE},
        {false, "tokio=trace", HQ_LOG_INFO},
        {false, "off", HQ_LOG_OFF},
        {false, "error,hq=info", HQ_LOG_INFO},
        {false, "nonsense", HQ_LOG_INFO},
        {false, "TRACE", HQ_LOG_TRACE},
        {false, ",=,hqd= warn ,", HQ_LOG_WARN},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        hq_log_init(cases[i].debug, cases[i].filter, false);
        for (int level = HQ_LOG_ERROR; level <= HQ_LOG_TRACE; level++) {
            assert_int_equal(hq_log_on((enum hq_log_level)level), level <= (int)cases[i].highest);
        }
    }
    hq_log_init(false, NULL, false);
}

/* The whole way to stderr, which is a pipe here. */
static void
test_write(void **state)
{
    (void)state;
    int fds[2];
    char text[400];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 10);
    assert_true(kept >= 0);
    assert_true(dup2(fds[1], 2) == 2);
    errno = EBUSY;
    hq_log_init(true, NULL, false);
    hq_log_warn("Worker %d lost", 3);
    hq_log_trace("not %s", "shown");
    hq_log_init(false, NULL, false);
    hq_log_debug("not shown");
    hq_log_info("last");
    assert_int_equal(errno, EBUSY);
    assert_true(dup2(kept, 2) == 2);
    close(kept);
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    assert_true(n > 0);
    text[n] = '\0';
    struct hq_str rest = hq_str_from(text);
    struct hq_str line;
    assert_true(hq_str_split(&rest, '\n', &line));
    assert_true(hq_str_starts(line, HQ_STR("[20")));
    assert_true(hq_str_ends(line, HQ_STR("Z WARN  tests::unit::test_log] Worker 3 lost")));
    assert_true(hq_str_split(&rest, '\n', &line));
    assert_true(hq_str_ends(line, HQ_STR("Z INFO last")));
    assert_int_equal(rest.len, 0);
}

static void
test_ratelimit(void **state)
{
    (void)state;
    struct hq_ratelimit r = {.burst = 2, .period_ms = 1000};
    uint32_t dropped = 99;
    assert_true(hq_ratelimit_pass(&r, 0, &dropped));
    assert_int_equal(dropped, 0);
    assert_true(hq_ratelimit_pass(&r, 10, &dropped));
    assert_false(hq_ratelimit_pass(&r, 20, &dropped));
    assert_false(hq_ratelimit_pass(&r, 999, &dropped));
    assert_true(hq_ratelimit_pass(&r, 1001, &dropped));
    assert_int_equal(dropped, 2);
    assert_true(hq_ratelimit_pass(&r, 1002, &dropped));
    assert_int_equal(dropped, 0);
    assert_false(hq_ratelimit_pass(&r, 1003, &dropped));
    assert_true(hq_ratelimit_pass(&r, 500000, &dropped));
    assert_int_equal(dropped, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms), cmocka_unit_test(test_long_line), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_write), cmocka_unit_test(test_ratelimit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
