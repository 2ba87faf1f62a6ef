/* Errors: texts, causes, what is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "common/err.h"
#include "common/str.h"

static void
test_set(void **state)
{
    (void)state;
    struct hq_err err = {0};
    assert_int_equal(hq_err_set(&err, -EINVAL, "bad %s %d", "thing", 7), -EINVAL);
    assert_int_equal(err.code, -EINVAL);
    assert_string_equal(err.text, "bad thing 7");
    assert_int_equal(hq_err_set(&err, -ENOENT, "again: %s", err.text), -ENOENT); /* its own text as argument */
    assert_string_equal(err.text, "again: bad thing 7");
    assert_int_equal(hq_err_sys(&err, -ENOENT, "Cannot open %s", "/x"), -ENOENT);
    assert_string_equal(err.text, "Cannot open /x: No such file or directory (os error 2)");
    assert_int_equal(hq_err_prefix(&err, "Job %d", 3), -ENOENT);
    assert_string_equal(err.text, "Job 3: Cannot open /x: No such file or directory (os error 2)");
    assert_int_equal(hq_err_set(NULL, -EPERM, "x"), -EPERM);
    assert_int_equal(hq_err_sys(NULL, -EPERM, "x"), -EPERM);
    assert_int_equal(hq_err_prefix(NULL, "x"), -EINVAL);
    assert_int_equal(hq_err_wrap(NULL, "x"), -EINVAL);
}

static void
test_os(void **state)
{
    (void)state;
    assert_string_equal(hq_err_os(-ENOENT), "No such file or directory (os error 2)");
    assert_string_equal(hq_err_os(ECONNREFUSED), "Connection refused (os error 111)");
    assert_string_equal(hq_err_os(EEXIST), "File exists (os error 17)");
    assert_string_equal(hq_err_os(99999), "Unknown error 99999 (os error 99999)");
}

static void
test_wrap(void **state)
{
    (void)state;
    struct hq_err err = {0};
    (void)hq_err_set(&err, -ENOENT, "first\nsecond line");
    assert_int_equal(hq_err_wrap(&err, "outer %d\nmore", 1), -ENOENT);
    assert_string_equal(err.text, "outer 1\nmore\n\nCaused by:\n    first\n    second line");
    (void)hq_err_wrap(&err, "outermost");
    assert_string_equal(err.text,
                        "outermost\n\nCaused by:\n    0: outer 1\n       more\n    1: first\n       second line");
    (void)hq_err_set(&err, -ENOENT, "a");
    (void)hq_err_wrap(&err, "b");
    (void)hq_err_wrap(&err, "c");
    (void)hq_err_wrap(&err, "d");
    assert_string_equal(err.text, "d\n\nCaused by:\n    0: c\n    1: b\n    2: a");
}

static void
test_cut(void **state)
{
    (void)state;
    struct hq_err err = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_rep(&text, 'x', HQ_ERR_TEXT_BYTES - 1);
    (void)hq_err_set(&err, -EINVAL, "%s", text.ptr);
    assert_string_equal(err.text, text.ptr); /* fits exactly */
    hq_buf_byte(&text, 'x');
    (void)hq_err_set(&err, -EINVAL, "%s", text.ptr);
    assert_int_equal(strlen(err.text), HQ_ERR_TEXT_BYTES - 1);
    assert_true(hq_str_ends(hq_str_from(err.text), HQ_STR("xx...")));
    (void)hq_err_prefix(&err, "p");
    assert_true(hq_str_starts(hq_str_from(err.text), HQ_STR("p: xx")));
    (void)hq_err_wrap(&err, "w");
    (void)hq_err_wrap(&err, "v");
    assert_true(strlen(err.text) < HQ_ERR_TEXT_BYTES);
    /* never through a character */
    for (size_t shift = 0; shift < 4; shift++) {
        hq_buf_clear(&text);
        hq_buf_rep(&text, 'x', shift);
        for (int i = 0; i < 1000; i++) {
            hq_buf_cstr(&text, "\xe4\xb8\xad");
        }
        (void)hq_err_set(&err, -EINVAL, "%s", text.ptr);
        assert_true(hq_str_is_utf8(hq_str_from(err.text)));
        assert_true(hq_str_ends(hq_str_from(err.text), HQ_STR("...")));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_os),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
