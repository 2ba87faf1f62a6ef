/* Lines and JSON elements as entries: what is one, what is chosen, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/limits.h"
#include "hq/entries.h"

/* "[a][b] ids=1-2" */
static void
print_entries(struct hq_buf *b, const struct entries *e)
{
    size_t at = 0;
    for (size_t ix = 0; ix < e->count; ix++) {
        hq_buf_byte(b, '[');
        hq_buf_escaped(b, hq_str_make(e->data.ptr + at, e->lens[ix]));
        hq_buf_byte(b, ']');
        at += e->lens[ix];
    }
    assert_int_equal(at, e->data.len);
    if (e->has_ids) {
        hq_buf_cstr(b, " ids=");
        hq_ranges_print(&e->ids, b);
    }
}

/* HQ_STR is no constant expression in C11, so it can't stand in a static table. */
#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        .ptr = "" literal "", .len = sizeof(literal) - 1                                                               \
    }

static const struct {
    struct hq_str text;
    const char *only; /* NULL = all */
    const char *got;
} lines[] = {
    {{"", 0}, NULL, ""},
    {TEXT("a\n"), NULL, "[a]"},
    {TEXT("a"), NULL, "[a]"},
    {TEXT("\n"), NULL, "[]"},
    {TEXT("first\nsecond line\n\n  blanks  \ncr\r\nlast"), NULL, "[first][second line][][  blanks  ][cr\\x0d][last]"},
    {TEXT("a\n\xff\n"), NULL, "[a][\\xff]"},
    {TEXT("a\0b\nc\n"), "1", "[c] ids=1"}, /* the damaged line is not chosen */
    {TEXT("0\n1\n2\n3\n"), "1-3,9", "[1][2][3] ids=1-3"},
    {TEXT("0\n1\n2\n3\n4\n5\n6\n"), "5-6,0-4:2", "[0][2][4][5][6] ids=0,2,4-6"},
    {TEXT("0\n1\n"), "100", " ids="},
    {TEXT("0\n1\n2\n"), "0-4294967295:3", "[0] ids=0"},
    {TEXT("0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"), "0-10:3,1-10:3", "[0][1][3][4][6][7][9] ids=0-1,3-4,6-7,9"},
};

static void
test_lines(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(lines); ix++) {
        struct hq_buf text = HQ_BUF_INIT;
        struct hq_buf got = HQ_BUF_INIT;
        struct hq_ranges only = HQ_RANGES_INIT;
        struct hq_err err = {0};
        struct entries e;
        hq_buf_str(&text, lines[ix].text);
        if (lines[ix].only != NULL) {
            assert_int_equal(hq_ranges_parse(&only, hq_str_from(lines[ix].only), &err), 0);
        }
        assert_int_equal(entries_from_lines(&e, &text, lines[ix].only != NULL ? &only : NULL, &err), 0);
        print_entries(&got, &e);
        assert_string_equal(got.ptr != NULL ? got.ptr : "", lines[ix].got);
        entries_fini(&e);
        hq_ranges_fini(&only);
        hq_buf_fini(&got);
        hq_buf_fini(&text);
    }
}

static void
test_too_long_line(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct entries e;
    struct hq_buf text = HQ_BUF_INIT;
    hq_buf_cstr(&text, "short\n");
    hq_buf_rep(&text, 'x', HQ_ENTRY_BYTES_MAX);
    assert_int_equal(entries_from_lines(&e, &text, NULL, &err), 0);
    entries_fini(&e);
    hq_buf_cstr(&text, "short\n");
    hq_buf_rep(&text, 'x', HQ_ENTRY_BYTES_MAX + 1);
    assert_int_equal(entries_from_lines(&e, &text, NULL, &err), -E2BIG);
    assert_string_equal(err.text, "Entry 1 has 524289 bytes; at most 524288 are possible");
    hq_buf_fini(&text);
}

static void
test_zero_byte(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct entries e = {0};
    struct hq_buf text = HQ_BUF_INIT;
    hq_buf_str(&text, hq_str_make("a\nb\0c\n", 6));
    assert_int_equal(entries_from_lines(&e, &text, NULL, &err), -EINVAL);
    assert_string_equal(err.text, "Entry 1 has a zero byte, which no variable can hold");
    assert_int_equal(entries_add(&e, hq_str_make("\0", 1), &err), -EINVAL);
    assert_int_equal(e.count, 0);
    hq_buf_fini(&text);
}

static const struct {
    const char *text;
    const char *only;
    const char *got; /* or the error */
} documents[] = {
    {"[]", NULL, ""},
    {" [ 1 ,\n 1.50 , \"a\\\"b\" , {\"z\": 1, \"a\": [true, null]}, \"\\u017e\", [], 1e3, 100000000000000000000]", NULL,
     "[1][1.5][\"a\\\\\"b\"][{\"a\":[true,null],\"z\":1}][\"\xc5\xbe\"][[]][1000.0][1e+20]"},
    {"[9223372036854775807, 9223372036854775808, 18446744073709551615, 18446744073709551616, -9223372036854775808, "
     "-9223372036854775809]",
     NULL,
     "[9223372036854775807][9223372036854775808][18446744073709551615][1.8446744073709552e+19][-9223372036854775808]"
     "[-9.223372036854776e+18]"},
    {"[{\"n\": 18446744073709551615, \"18446744073709551615\": \"18446744073709551615\"}]", NULL,
     "[{\"18446744073709551615\":\"18446744073709551615\",\"n\":18446744073709551615}]"},
    {"[\"\\u0000n18446744073709551615\", 18446744073709551615]", NULL,
     "[\"\\\\u0000n18446744073709551615\"][18446744073709551615]"},
    {"[0.1, 1e-7, -0.0, 1e400]", NULL, "number out of range at line 1 column 23"},
    {"[0.1, 1e-7]", NULL, "[0.1][1e-7]"},
    {"[\"a\", \"b\", \"c\"]", "2,0,9", "[\"a\"][\"c\"] ids=0,2"},
    {"[{\"a\":1,\"a\":2}]", NULL, "[{\"a\":2}]"},
    {"{\"a\":1}", NULL, "f.json: The top element of the provided JSON file has to be an array"},
    {"3", NULL, "f.json: The top element of the provided JSON file has to be an array"},
    {"[1,\n 2,,3]", NULL, "expected value at line 2 column 4"},
    {"[1", NULL, "EOF while parsing a value at line 1 column 2"},
    {"", NULL, "EOF while parsing a value at line 1 column 0"},
    {"[1] x", NULL, "trailing characters at line 1 column 5"},
    {"[01]", NULL, "expected value at line 1 column 2"},
};

static void
test_json(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(documents); ix++) {
        struct hq_buf got = HQ_BUF_INIT;
        struct hq_ranges only = HQ_RANGES_INIT;
        struct hq_err err = {0};
        struct entries e;
        if (documents[ix].only != NULL) {
            assert_int_equal(hq_ranges_parse(&only, hq_str_from(documents[ix].only), &err), 0);
        }
        if (entries_from_json(&e, hq_str_from(documents[ix].text), "f.json", documents[ix].only != NULL ? &only : NULL,
                              &err) < 0) {
            hq_buf_cstr(&got, err.text);
        } else {
            print_entries(&got, &e);
            entries_fini(&e);
        }
        assert_string_equal(got.ptr != NULL ? got.ptr : "", documents[ix].got);
        hq_ranges_fini(&only);
        hq_buf_fini(&got);
    }
}

static void
test_invalid_utf8_is_refused(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct entries e;
    assert_true(entries_from_json(&e, HQ_STR("[\"\xff\"]"), "f.json", NULL, &err) < 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_too_long_line),           cmocka_unit_test(test_zero_byte),
        cmocka_unit_test(test_json),  cmocka_unit_test(test_invalid_utf8_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
