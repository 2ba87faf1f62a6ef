/* Byte views, buffers, escaping, UTF-8, columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"

static void
test_compare(void **state)
{
    (void)state;
    assert_true(hq_str_eq(HQ_STR_NULL, HQ_STR("")));
    assert_false(hq_str_eq(HQ_STR("a"), HQ_STR("b")));
    assert_false(hq_str_eq(HQ_STR("a"), HQ_STR("ab")));
    assert_true(hq_str_cmp(HQ_STR("a"), HQ_STR("ab")) < 0);
    assert_true(hq_str_cmp(HQ_STR("b"), HQ_STR("ab")) > 0);
    assert_true(hq_str_cmp(HQ_STR("\xff"), HQ_STR("a")) > 0); /* bytes, not chars */
    assert_int_equal(hq_str_cmp(HQ_STR_NULL, HQ_STR("")), 0);
    assert_true(hq_str_starts(HQ_STR("abc"), HQ_STR("ab")));
    assert_true(hq_str_starts(HQ_STR("abc"), HQ_STR_NULL));
    assert_false(hq_str_starts(HQ_STR("a"), HQ_STR("ab")));
    assert_true(hq_str_ends(HQ_STR("abc"), HQ_STR("bc")));
    assert_true(hq_str_ends(HQ_STR_NULL, HQ_STR_NULL));
    assert_false(hq_str_ends(HQ_STR("c"), HQ_STR("bc")));
}

static void
test_parts(void **state)
{
    (void)state;
    assert_true(hq_str_is(hq_str_trim(HQ_STR(" \t\na b\r\n ")), "a b"));
    assert_int_equal(hq_str_trim(HQ_STR("  ")).len, 0);
    assert_int_equal(hq_str_trim(HQ_STR_NULL).len, 0);
    assert_true(hq_str_is(hq_str_sub(HQ_STR("abcdef"), 2, 4), "cd"));
    assert_true(hq_str_is(hq_str_sub(HQ_STR("abc"), 2, 99), "c"));
    assert_true(hq_str_is(hq_str_sub(HQ_STR("abc"), 99, 2), ""));
    assert_int_equal(hq_str_find(HQ_STR("hello"), HQ_STR("ll")), 2);
    assert_int_equal(hq_str_find(HQ_STR("hello"), HQ_STR("lll")), -1);
    assert_int_equal(hq_str_find(HQ_STR_NULL, HQ_STR("x")), -1);
    assert_int_equal(hq_str_find(HQ_STR("x"), HQ_STR_NULL), 0);
    assert_int_equal(hq_str_find_byte(hq_str_make("a\0b", 3), '\0'), 1);
    assert_int_equal(hq_str_find_byte(HQ_STR_NULL, 'x'), -1);
    struct hq_str rest = HQ_STR("a,,b");
    struct hq_str head;
    assert_true(hq_str_split(&rest, ',', &head));
    assert_true(hq_str_is(head, "a") && hq_str_is(rest, ",b"));
    assert_true(hq_str_split(&rest, ',', &head));
    assert_true(hq_str_is(head, "") && hq_str_is(rest, "b"));
    assert_false(hq_str_split(&rest, ',', &head));
    assert_true(hq_str_is(head, "b") && hq_str_is(rest, ""));
    char *copy = hq_str_dupz(HQ_STR_NULL);
    assert_string_equal(copy, "");
    free(copy);
}

static void
test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
        const char *lossy;
    } cases[] = {
        {"", true, ""},
        {"plain", true, "plain"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\x80", false, "\xef\xbf\xbd"},
        {"\xc0\x80", false, "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xe0\x80\x80", false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* surrogate */
        {"\xf4\x90\x80\x80", false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* beyond U+10FFFF */
        {"\xf5", false, "\xef\xbf\xbd"},
        {"a\xe2\x82", false, "a\xef\xbf\xbd"}, /* cut off: one mark for the piece */
        {"\xe2\x82z", false, "\xef\xbf\xbdz"},
        {"\xf0\x9f\x98", false, "\xef\xbf\xbd"},
        {"\xf4\x8f\xbf\xbf", true, "\xf4\x8f\xbf\xbf"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        assert_int_equal(hq_str_is_utf8(hq_str_from(cases[i].text)), cases[i].is_valid);
        hq_buf_utf8_lossy(&b, hq_str_from(cases[i].text));
        assert_true(hq_str_is(hq_buf_view(&b), cases[i].lossy));
        assert_true(hq_str_is_utf8(hq_buf_view(&b)));
    }
}

static void
test_width(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"\xc3\xa4", 1},
        {"\xe4\xb8\xad\xe6\x96\x87", 4}, /* two Chinese characters */
        {"\xea\xb0\x80", 2},             /* Hangul syllable */
        {"e\xcc\x81", 1},                /* combining accent */
        {"\xf0\x9f\x98\x80", 2},         /* emoji */
        {"\xe2\x80\x8b", 0},             /* zero width space */
        {"\xef\xbc\xa1", 2},             /* full-width A */
        {"\xe2\x80\xa6", 1},             /* ellipsis */
        {"\033[1m\033[31mERROR\033[0m", 5},
        {"\033]0;title\aX", 1},
        {"\033]0;title\033\\X", 1},
        {"\033[", 0},
        {"\033", 0},
        {"a\tb\x7f", 2},
        {"\xff\xfe", 2},
        {"\xe2\x82", 2},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        assert_int_equal(hq_str_width(hq_str_from(cases[i].text)), cases[i].width);
    }
}

static void
test_buffers(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_buf_add(&b, NULL, 0);
    assert_string_equal(b.ptr, "");
    hq_buf_cstr(&b, "a");
    hq_buf_byte(&b, 'b');
    hq_buf_rep(&b, 'c', 3);
    hq_buf_u64(&b, 0);
    hq_buf_u64(&b, UINT64_MAX);
    hq_buf_byte(&b, ' ');
    hq_buf_i64(&b, INT64_MIN);
    hq_buf_i64(&b, -1);
    hq_buf_i64(&b, 5);
    assert_string_equal(b.ptr, "abccc018446744073709551615 -9223372036854775808-15");
    hq_buf_clear(&b);
    assert_string_equal(b.ptr, "");
    for (int i = 0; i < 1000; i++) { /* across every growth */
        hq_buf_printf(&b, "%d,", i);
    }
    assert_int_equal(b.len, 3890);
    assert_int_equal(strlen(b.ptr), 3890);
    HQ_AUTO(hq_buf_fini) struct hq_buf big = HQ_BUF_INIT;
    hq_buf_printf(&big, "%s|%s", b.ptr, b.ptr);
    assert_int_equal(big.len, 2 * 3890 + 1);
    char *taken = hq_buf_take(&big);
    assert_int_equal(strlen(taken), 2 * 3890 + 1);
    assert_null(big.ptr);
    free(taken);
    taken = hq_buf_take(&big);
    assert_string_equal(taken, "");
    free(taken);
}

static void
test_escapes(void **state)
{
    (void)state;
    static const struct {
        struct hq_str text;
        const char *escaped;
        const char *quoted;
    } cases[] = {
        {{.ptr = "plain \xc3\xa4", .len = 8}, "plain \xc3\xa4", "\"plain \xc3\xa4\""},
        {{.ptr = "a\nb\\", .len = 4}, "a\\nb\\\\", "\"a\\nb\\\\\""},
        {{.ptr = "\033[1m\0\x7f", .len = 6}, "\\x1b[1m\\x00\\x7f", "\"\\u{1b}[1m\\0\\u{7f}\""},
        {{.ptr = "\xff\xc3", .len = 2}, "\\xff\\xc3", "\"\\xFF\\xC3\""},
        {{.ptr = "\xc2\x9b", .len = 2}, "\\xc2\\x9b", "\"\\u{9b}\""},
        {{.ptr = "\"'\t\r", .len = 4}, "\"'\\x09\\x0d", "\"\\\"'\\t\\r\""},
        {{.ptr = NULL, .len = 0}, "", "\"\""},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf escaped = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf quoted = HQ_BUF_INIT;
        hq_buf_escaped(&escaped, cases[i].text);
        hq_buf_quoted(&quoted, cases[i].text);
        assert_true(hq_str_is(hq_buf_view(&escaped), cases[i].escaped));
        assert_string_equal(quoted.ptr, cases[i].quoted);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_parts),   cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_width),   cmocka_unit_test(test_buffers), cmocka_unit_test(test_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
