/* test_lines.c - streams cut into whole lines, with and without tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "hq-workerd/stepd/lines.h"

static const struct {
    const char *tag;
    const char *in[4];  /* pieces as they are read */
    const char *out[5]; /* handed on after each, and at the end */
} cases[] = {
    {"", {"a\nb\n"}, {"a\nb\n", ""}},
    {"", {"a", "b\n", "c"}, {"", "ab\n", "", "c"}},
    {"", {"", "\n"}, {"", "\n", ""}},
    {"[3] ", {"a\nb", "\nc"}, {"[3] a\n", "[3] b\n", "[3] c"}},
    {"[3] ", {"\n\n"}, {"[3] \n[3] \n", ""}},
    {"[3] ", {"x"}, {"", "[3] x"}},
};

static void
test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct lines l = {0};
        struct hq_buf out = HQ_BUF_INIT;
        size_t k = 0;
        (void)snprintf(l.tag, sizeof l.tag, "%s", cases[i].tag);
        for (; k < HQ_ARRAY_LEN(cases[i].in) && cases[i].in[k] != NULL; k++) {
            hq_buf_clear(&out);
            lines_feed(&l, hq_str_from(cases[i].in[k]), &out);
            assert_string_equal(cases[i].out[k], out.ptr == NULL ? "" : out.ptr);
        }
        hq_buf_clear(&out);
        lines_end(&l, &out);
        assert_string_equal(cases[i].out[k], out.ptr == NULL ? "" : out.ptr);
        hq_buf_fini(&out);
        lines_fini(&l);
    }
}

/* A line without an end takes bounded memory; its tag stands once. */
static void
test_endless_line(void **state)
{
    struct lines l = {.tag = "[1] "};
    struct hq_buf out = HQ_BUF_INIT, piece = HQ_BUF_INIT;

    (void)state;
    hq_buf_rep(&piece, 'x', 50000);
    for (int i = 0; i < 10; i++) {
        lines_feed(&l, hq_buf_view(&piece), &out);
        assert_true(l.rest.len <= LINES_BYTES_MAX);
    }
    lines_feed(&l, HQ_STR("\ny\n"), &out);
    assert_int_equal(4 + 500000 + 1 + 4 + 2, out.len);
    assert_memory_equal("[1] xx", out.ptr, 6);
    assert_null(memchr(out.ptr + 4, '[', 500000));
    assert_string_equal("x\n[1] y\n", out.ptr + out.len - 8);
    hq_buf_fini(&out);
    hq_buf_fini(&piece);
    lines_fini(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_endless_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
