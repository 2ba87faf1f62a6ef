/* Words of --on-notify, as a POSIX shell splits them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/notify.h"

static const struct {
    const char *text;
    const char *words;
} cases[] = {
    {"echo got", "<echo><got>"},
    {"  a \t b\nc ", "<a><b><c>"},
    {"bash -c 'echo \"$0\" x'", "<bash><-c><echo \"$0\" x>"},
    {"a\"b c\"d'e f'g", "<ab cde fg>"},
    {"a\\ b \\\"", "<a b><\">"},
    {"\"a\\\"b\\\\c\\d\\$e\"", "<a\"b\\c\\d$e>"},
    {"\"a\\\nb\"", "<ab>"},
    {"'a\\b'", "<a\\b>"},
    {"a '' \"\"", "<a><><>"},
    {"$HOME *", "<$HOME><*>"},
    {"a 'b", "<a 'b>"},
    {"a \"b", "<a \"b>"},
    {"a b\\", "<a b\\>"},
    {"", "<>"},
    {"  ", "<  >"},
};

static void
test_split(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_arena arena;
        struct hq_strv words;
        struct hq_buf got = HQ_BUF_INIT;
        hq_arena_init(&arena, 0);
        notify_split(&words, hq_str_from(cases[ix].text), &arena);
        for (size_t k = 0; k < words.count; k++) {
            hq_buf_printf(&got, "<%.*s>", HQ_STR_FMT(words.v[k]));
        }
        assert_string_equal(got.ptr, cases[ix].words);
        hq_buf_fini(&got);
        hq_arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
