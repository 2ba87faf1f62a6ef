/* Output: colours, tables as the specification draws them, the JSON writer, the bar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/out.h"
#include "common/out_json.h"
#include "common/out_quiet.h"
#include "common/out_table.h"

static void
test_want_color(void **state)
{
    (void)state;
    static const struct {
        enum hq_color_choice choice;
        bool is_tty;
        struct hq_color_env env;
        bool want;
    } cases[] = {
        {HQ_COLORS_AUTO, true, {0}, true},
        {HQ_COLORS_AUTO, false, {0}, false},
        {HQ_COLORS_AUTO, true, {.term = "xterm", .clicolor = "1"}, true},
        {HQ_COLORS_AUTO, true, {.no_color = "1"}, false},
        {HQ_COLORS_AUTO, true, {.no_color = ""}, true}, /* empty counts as unset */
        {HQ_COLORS_AUTO, true, {.term = "dumb"}, false},
        {HQ_COLORS_AUTO, true, {.clicolor = "0"}, false},
        {HQ_COLORS_ALWAYS, false, {.no_color = "1", .term = "dumb", .clicolor = "0"}, true},
        {HQ_COLORS_NEVER, true, {0}, false},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        assert_int_equal(hq_out_want_color(cases[ix].choice, cases[ix].is_tty, &cases[ix].env), cases[ix].want);
    }
}

static const struct hq_column job_columns[] = {{"ID", HQ_COLUMN_RIGHT}, {"Name", 0}, {"State", 0}, {"Tasks", 0}};

static void
check_table(const struct hq_table *t, bool with_color, const char *want)
{
    struct hq_out out;
    hq_out_init(&out, HQ_OUT_CLI, with_color, -1);
    hq_table_print(t, &out);
    assert_string_equal(out.buf.ptr, want);
    hq_out_fini(&out);
}

static void
test_horizontal(void **state)
{
    (void)state;
    struct hq_table t;
    hq_table_init(&t, job_columns, 4);
    check_table(&t, false,
                "+----+------+-------+-------+\n"
                "| ID | Name | State | Tasks |\n"
                "+----+------+-------+-------+\n"); /* an empty list has no bottom line */
    hq_table_addf(&t, "%d", 1);
    hq_table_addz(&t, "sleep");
    hq_table_add(&t, HQ_STR("RUNNING"), HQ_COLOR_YELLOW);
    hq_table_addz(&t, "10");
    hq_table_addz(&t, "*2");
    hq_table_addz(&t, "job");
    hq_table_add(&t, HQ_STR("OPENED"), HQ_COLOR_CYAN);
    hq_table_addz(&t, "0");
    check_table(&t, false,
                "+----+-------+---------+-------+\n"
                "| ID | Name  | State   | Tasks |\n"
                "+----+-------+---------+-------+\n"
                "|  1 | sleep | RUNNING | 10    |\n"
                "| *2 | job   | OPENED  | 0     |\n"
                "+----+-------+---------+-------+\n");
    check_table(&t, true,
                "+----+-------+---------+-------+\n"
                "|\x1b[0m \x1b[1mID\x1b[0m |\x1b[0m \x1b[1mName\x1b[0m  |\x1b[0m \x1b[1mState\x1b[0m   |\x1b[0m \x1b[1mTasks\x1b[0m |\n"
                "+----+-------+---------+-------+\n"
                "|  1 | sleep |\x1b[0m \x1b[33mRUNNING\x1b[0m | 10    |\n"
                "| *2 | job   |\x1b[0m \x1b[36mOPENED\x1b[0m  | 0     |\n"
                "+----+-------+---------+-------+\n");
    hq_table_fini(&t);
}

static void
test_vertical(void **state)
{
    (void)state;
    struct hq_table t;
    hq_table_init_vertical(&t);
    hq_table_rowf(&t, "ID", "%d", 1);
    hq_table_row(&t, "State", HQ_STR("[##]\n\x1b[33mRUNNING (4)\x1b[0m\n"), HQ_COLOR_NONE); /* final newline: no line */
    hq_table_rowz(&t, "Name", "\xe4\xb8\xad\xe6\x96\x87");                                  /* two wide characters */
    hq_table_rowz(&t, "Cancel Reason", "");
    check_table(&t, false,
                "+---------------+-------------+\n"
                "| ID            | 1           |\n"
                "| State         | [##]        |\n"
                "|               | \x1b[33mRUNNING (4)\x1b[0m |\n"
                "| Name          | \xe4\xb8\xad\xe6\x96\x87        |\n"
                "| Cancel Reason |             |\n"
                "+---------------+-------------+\n");
    hq_table_fini(&t);
}

static void
test_multi_line_neighbours(void **state)
{
    (void)state;
    static const struct hq_column columns[] = {{"A", HQ_COLUMN_RIGHT}, {"B", HQ_COLUMN_PLAIN_HEAD}};
    struct hq_table t;
    hq_table_init(&t, columns, 2);
    hq_table_addz(&t, "1");
    hq_table_addz(&t, "x\n\nyy");
    check_table(&t, false, "+---+----+\n| A | B  |\n+---+----+\n| 1 | x  |\n|   |    |\n|   | yy |\n+---+----+\n");
    hq_table_fini(&t);
}

static void
test_formatters(void **state)
{
    (void)state;
    struct hq_buf b = HQ_BUF_INIT;
    static const struct {
        uint64_t bytes;
        const char *want;
    } sizes[] = {{0, "0 B"},
                 {1230, "1230 B"},
                 {2047, "2047 B"},
                 {2048, "2.00 KiB"},
                 {300001, "292.97 KiB"},
                 {2u << 20, "2.00 MiB"},
                 {UINT64_C(500245593620), "465.89 GiB"}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(sizes); ix++) {
        hq_buf_clear(&b);
        hq_fmt_size(&b, sizes[ix].bytes);
        assert_string_equal(b.ptr, sizes[ix].want);
    }
    static const struct {
        const char *in;
        size_t columns;
        const char *want;
    } wraps[] = {
        {"word word word", 9, "word word\nword"},
        {"word word word ", 20, "word word word "},
        {"abcdefgh", 3, "abc\ndef\ngh"},
        {"a\nb", 5, "a\nb"},
        {"", 5, ""},
        {"aa bbbbbb", 4, "aa\nbbbb\nbb"},
        {"ab cd", 2, "ab\ncd"},
        {"\xe4\xb8\xad\xe6\x96\x87", 3, "\xe4\xb8\xad\n\xe6\x96\x87"},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(wraps); ix++) {
        hq_buf_clear(&b);
        hq_fmt_wrapped(&b, hq_str_from(wraps[ix].in), wraps[ix].columns);
        hq_buf_reserve(&b, 1);
        hq_buf_cstr(&b, "");
        assert_string_equal(b.ptr, wraps[ix].want);
    }
    hq_buf_clear(&b);
    hq_fmt_middle_cut(&b, HQ_STR("0123456789012345678901234567890123456789012345678901"), 50);
    assert_string_equal(b.ptr, "012345678901234567890123...90123456789012345678901");
    assert_int_equal(b.len, 50);
    hq_buf_clear(&b);
    hq_fmt_middle_cut(&b, HQ_STR("01234567890123456789012345678901234567890123456789"), 50);
    assert_int_equal(b.len, 50);
    hq_buf_clear(&b);
    hq_fmt_cut(&b, HQ_STR("Program terminated with"), 16);
    assert_string_equal(b.ptr, "Program terminat...");
    hq_buf_clear(&b);
    hq_fmt_cut(&b, HQ_STR("Program ended :"), 16);
    assert_string_equal(b.ptr, "Program ended :");
    hq_buf_clear(&b);
    struct hq_str args[] = {HQ_STR("sh"), HQ_STR_NULL, HQ_STR("-c")};
    hq_fmt_command(&b, args, 3);
    assert_string_equal(b.ptr, "sh\n\n-c");
    hq_buf_fini(&b);
}

static void
test_bar(void **state)
{
    (void)state;
    static const struct {
        struct hq_bar_counts counts;
        size_t filled;
    } cases[] = {
        {{.total = 0}, 0},
        {{.total = 100, .by_state = {[HQ_STATE_FINISHED] = 20, [HQ_STATE_RUNNING] = 4, [HQ_STATE_FAILED] = 1}}, 11},
        {{.total = 10000, .by_state = {[HQ_STATE_FINISHED] = 232, [HQ_STATE_RUNNING] = 4}}, 2},
        {{.total = 3, .by_state = {[HQ_STATE_FINISHED] = 3}}, 40},
        {{.total = 3, .by_state = {[HQ_STATE_CANCELED] = 1, [HQ_STATE_FAILED] = 1, [HQ_STATE_FINISHED] = 1}}, 40},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_buf b = HQ_BUF_INIT;
        hq_fmt_bar(&b, &cases[ix].counts, false);
        assert_int_equal(b.len, 42);
        size_t filled = 0;
        while (b.ptr[1 + filled] == '#') {
            filled++;
        }
        assert_int_equal(filled, cases[ix].filled);
        assert_int_equal(b.ptr[41], ']');
        hq_buf_fini(&b);
    }
    struct hq_buf b = HQ_BUF_INIT;
    struct hq_bar_counts c = {.total = 40, .by_state = {[HQ_STATE_FAILED] = 1, [HQ_STATE_ABORTED] = 2}};
    hq_fmt_bar(&b, &c, true);
    assert_string_equal(b.ptr, "[\x1b[31m#\x1b[0m\x1b[91m##\x1b[0m.....................................]");
    hq_buf_fini(&b);
}

static void
test_json_pretty(void **state)
{
    (void)state;
    struct hq_out out;
    struct hq_json j;
    hq_out_init(&out, HQ_OUT_JSON, true, -1);
    assert_false(out.with_color); /* never in JSON */
    hq_json_begin_document(&j, &out);
    hq_json_object(&j);
    hq_json_put_bool(&j, "a", true);
    hq_json_key(&j, "b");
    hq_json_array(&j);
    hq_json_array_end(&j);
    hq_json_key(&j, "c");
    hq_json_object(&j);
    hq_json_object_end(&j);
    hq_json_key(&j, "d");
    hq_json_array(&j);
    hq_json_u64(&j, UINT64_MAX);
    hq_json_i64(&j, -1);
    hq_json_null(&j);
    hq_json_array_end(&j);
    hq_json_put_seconds(&j, "e", 8000);
    hq_json_put_seconds(&j, "f", 500);
    hq_json_put_str(&j, "g", HQ_STR("q\"\\\n\t\x01\xc3\xa9\xff"));
    hq_json_put_time(&j, "h", 0);
    hq_json_put_time(&j, "i", INT64_C(1769860800123));
    hq_json_key(&j, "j");
    hq_json_span(&j, 1500);
    hq_json_object_end(&j);
    hq_json_end_document(&j, &out);
    assert_string_equal(out.buf.ptr,
                        "{\n  \"a\": true,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    18446744073709551615,\n"
                        "    -1,\n    null\n  ],\n  \"e\": 8.0,\n  \"f\": 0.5,\n"
                        "  \"g\": \"q\\\"\\\\\\n\\t\\u0001\xc3\xa9\xef\xbf\xbd\",\n  \"h\": null,\n"
                        "  \"i\": \"2026-01-31T12:00:00.123000000Z\",\n  \"j\": {\n    \"nanos\": 500000000,\n"
                        "    \"secs\": 1\n  }\n}\n");
    assert_true(out.has_document);
    hq_out_fini(&out);
}

static void
test_json_compact(void **state)
{
    (void)state;
    struct hq_buf b = HQ_BUF_INIT;
    struct hq_json j;
    hq_json_init(&j, &b, false);
    hq_json_object(&j);
    hq_json_key_u64(&j, 10); /* sorted as text */
    hq_json_array(&j);
    hq_json_f64(&j, 0.1);
    hq_json_f64(&j, (double)0.3f);
    hq_json_array_end(&j);
    hq_json_key_u64(&j, 2);
    hq_json_null(&j);
    hq_json_key_u64(&j, 21);
    hq_json_null(&j);
    hq_json_object_end(&j);
    assert_string_equal(b.ptr, "{\"10\":[0.1,0.30000001192092896],\"2\":null,\"21\":null}");
    hq_buf_fini(&b);
}

/* Reads what went through a pipe. */
static void
read_all(int fd, char *buf, size_t size)
{
    ssize_t n = read(fd, buf, size - 1);
    assert_true(n >= 0);
    buf[n] = '\0';
}

static void
test_modes(void **state)
{
    (void)state;
    static const struct {
        enum hq_out_mode mode;
        const char *error; /* a non-NULL one is printed */
        const char *to_stdout;
        const char *to_stderr;
    } cases[] = {
        {HQ_OUT_CLI, NULL, "", ""},
        {HQ_OUT_JSON, NULL, "{}\n", ""},
        {HQ_OUT_QUIET, NULL, "", ""},
        {HQ_OUT_CLI, "No\nserver", "", "No\nserver\n"},
        {HQ_OUT_QUIET, "No\nserver", "", "No\nserver\n"},
        {HQ_OUT_JSON, "No\nserver", "{\n  \"error\": \"No\\nserver\"\n}\n", ""},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        int to_out[2];
        int to_err[2];
        char buf[256];
        struct hq_out out;
        assert_int_equal(pipe(to_out), 0);
        assert_int_equal(pipe(to_err), 0);
        hq_out_init(&out, cases[ix].mode, false, to_out[1]);
        if (cases[ix].error != NULL) {
            hq_out_error(&out, to_err[1], cases[ix].error);
        }
        assert_int_equal(hq_out_finish(&out), 0);
        close(to_out[1]);
        close(to_err[1]);
        read_all(to_out[0], buf, sizeof buf);
        assert_string_equal(buf, cases[ix].to_stdout);
        read_all(to_err[0], buf, sizeof buf);
        assert_string_equal(buf, cases[ix].to_stderr);
        close(to_out[0]);
        close(to_err[0]);
        hq_out_fini(&out);
    }
}

static void
test_write_error_is_kept(void **state)
{
    (void)state;
    struct hq_out out;
    hq_out_init(&out, HQ_OUT_CLI, false, -1);
    hq_out_line(&out, "%s", "lost");
    assert_int_equal(hq_out_finish(&out), -EBADF);
    hq_out_fini(&out);
}

static void
test_quiet(void **state)
{
    (void)state;
    struct hq_out out;
    hq_out_init(&out, HQ_OUT_QUIET, true, -1);
    hq_quiet_id(&out, 7);
    hq_quiet_id_state(&out, 8, hq_state_word(HQ_STATE_RUNNING));
    hq_quiet_count(&out, hq_state_word(HQ_STATE_ABORTED), 3);
    hq_quiet_text(&out, HQ_STR("/dir"));
    assert_string_equal(out.buf.ptr, "7\n8 RUNNING\nABORTED 3\n/dir\n");
    hq_out_fini(&out);
}

static void
test_state_colors(void **state)
{
    (void)state;
    assert_int_equal(hq_state_color(HQ_STATE_ABORTED), HQ_COLOR_BLUE);
    assert_int_equal(hq_state_count_color(HQ_STATE_ABORTED), HQ_COLOR_BRIGHT_RED);
    assert_string_equal(hq_state_title(HQ_STATE_OPENED), "Opened");
    assert_string_equal(hq_state_lower[HQ_STATE_FAILED], "failed");
    assert_null(hq_state_lower[HQ_STATES]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_want_color),  cmocka_unit_test(test_horizontal),
        cmocka_unit_test(test_vertical),    cmocka_unit_test(test_multi_line_neighbours),
        cmocka_unit_test(test_formatters),  cmocka_unit_test(test_bar),
        cmocka_unit_test(test_json_pretty), cmocka_unit_test(test_json_compact),
        cmocka_unit_test(test_modes),       cmocka_unit_test(test_write_error_is_kept),
        cmocka_unit_test(test_quiet),       cmocka_unit_test(test_state_colors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
