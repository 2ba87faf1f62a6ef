/* #HQ lines and shebang: words, what ends the scan, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/directive.h"

static void
print_words(struct hq_buf *b, const struct hq_strv *words)
{
    for (size_t ix = 0; ix < words->count; ix++) {
        hq_buf_printf(b, "<%.*s>", HQ_STR_FMT(words->v[ix]));
    }
}

/* HQ_STR is no constant expression in C11, so it can't stand in a static table. */
#define TEXT(literal) {.ptr = "" literal "", .len = sizeof(literal) - 1}

static const struct {
    const char *line;
    const char *words; /* or the error */
} words[] = {
    {"", ""},
    {"   ", ""},
    {"--name=x --cpus 2", "<--name=x><--cpus><2>"},
    {"a  \t b", "<a><b>"},
    {"a\tb", "<a\tb>"},
    {"--cpus=\"2 compact\" x", "<--cpus=2 compact><x>"},
    {"\"a b\"", "<a b>"},
    {"--env \"A=x\\\"y\" --name a\\ b", "<--env><A=x\"y><--name><a b>"},
    {"a\\\"b", "<a\"b>"},
    {"--name='a b'", "<--name='a><b'>"},
    {"$HOME *", "<$HOME><*>"},
    {"--name \"unclosed", "Parse error\nexpected \"\"\" at the end of input"},
    {"--name=\"\"", "Parse error\nexpected: Escaped at character 8: \"\\\"\""},
    {"a\\b", "Parse error\nexpected: Escaped at character 1: \"\\\\b\""},
    {"\"a\\ b\"", "Parse error\nexpected: Escaped at character 2: \"\\\\ b\\\"\""},
    {"a\\", "Parse error\nexpected: Escaped at character 1: \"\\\\\""},
    {"\"a\"b", "Parse error\nexpected: end of the word at character 3: \"b\""},
};

static void
test_words(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(words); ix++) {
        struct hq_arena arena;
        hq_arena_init(&arena, 0);
        struct hq_err err = {0};
        struct hq_strv v = {0};
        struct hq_buf got = HQ_BUF_INIT;
        if (directive_words(&v, hq_str_from(words[ix].line), &arena, &err) < 0) {
            assert_int_equal(err.code, -EINVAL);
            hq_buf_cstr(&got, err.text);
        } else {
            print_words(&got, &v);
        }
        assert_string_equal(got.ptr != NULL ? got.ptr : "", words[ix].words);
        hq_buf_fini(&got);
        hq_arena_fini(&arena);
    }
}

static void
test_zero_byte(void **state)
{
    (void)state;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct hq_err err = {0};
    struct hq_strv v = {0};
    assert_int_equal(directive_words(&v, HQ_STR("--name=a\0b"), &arena, &err), -EINVAL);
    assert_string_equal(err.text, "Parse error\nzero byte at character 8");
    struct directives d = {0};
    assert_int_equal(directive_scan(&d, HQ_STR("#HQ --name=\0\n"), &arena, &err), -EINVAL);
    hq_arena_fini(&arena);
}

static const struct {
    struct hq_str text;
    const char *got; /* shebang | words */
} scripts[] = {
    {{"", 0}, "|"},
    {TEXT("#!/bin/bash -l\n# c\n\n  #HQ --name=a\n#HQ --array 1-3\n#HQnothing\necho\n#HQ --priority 7\n"),
     "</bin/bash><-l>|<--name=a><--array><1-3>"},
    {TEXT("#HQ --name=a"), "|<--name=a>"},
    {TEXT("#HQ\n#HQ  \n#HQ x\n"), "|<x>"},
    {TEXT("#HQ\t--name=a\n#HQ b\n"), "|<b>"},
    {TEXT(" #!/bin/sh\n#HQ a\n"), "|<a>"},
    {TEXT("\n#!/bin/sh\n#HQ a\n"), "|<a>"},
    {TEXT("#!/bin/sh\r\n#HQ a\r\n\r\n#HQ b\r\necho\r\n"), "</bin/sh>|<a><b>"},
    {TEXT("echo\n#HQ a\n"), "|"},
    {TEXT("\0\n#HQ a\n"), "|"},
    {TEXT("#HQ \xff\xfe\n"), "|<\xff\xfe>"},
    {TEXT("#!\n#HQ a\n"), "|<a>"},
};

static void
test_scan(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(scripts); ix++) {
        struct hq_arena arena;
        hq_arena_init(&arena, 0);
        struct hq_err err = {0};
        struct directives d;
        assert_int_equal(directive_scan(&d, scripts[ix].text, &arena, &err), 0);
        struct hq_buf got = HQ_BUF_INIT;
        print_words(&got, &d.shebang);
        hq_buf_byte(&got, '|');
        print_words(&got, &d.words);
        assert_string_equal(got.ptr, scripts[ix].got);
        hq_buf_fini(&got);
        hq_arena_fini(&arena);
    }
}

static void
test_scan_refuses_bad_words(void **state)
{
    (void)state;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct hq_err err = {0};
    struct directives d;
    assert_int_equal(directive_scan(&d, HQ_STR("#HQ a\n#HQ \"b\n"), &arena, &err), -EINVAL);
    assert_int_equal(directive_scan(&d, HQ_STR("#!/bin/sh \"x\n"), &arena, &err), -EINVAL);
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(test_zero_byte),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_refuses_bad_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
