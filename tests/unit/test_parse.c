/* The shared error text of small grammars, plain and coloured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/parse.h"

static void
test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct hq_parse_fault fault;
        const char *want;
    } cases[] = {
        {"12-x",
         {.at = 3, .context = "number"},
         "Unexpected token found while attempting to parse number, expected something else:\n"
         "  12-x\n"
         "     |\n"
         "     --- Unexpected token `x`\n"},
        {"1,",
         {.at = 2, .context = "number"},
         "Unexpected end of input found while attempting to parse number, expected something else:\n"
         "  1,\n"
         "    |\n"
         "    --- Unexpected end of input\n"},
        {"",
         {.at = 0, .context = "number", .expected = "all"},
         "Unexpected end of input found while attempting to parse number, expected all:\n"
         "(the input was empty)"},
        {"0-10,5",
         {.at = 0, .note = "Ranges overlap"},
         "Unexpected end of input found, expected something else:\n"
         "  0-10,5\n"
         "  |\n"
         "  --- Ranges overlap\n"},
        {"zero",
         {.at = 0, .token_bytes = 4, .expected = "all"},
         "Unexpected token found, expected all:\n"
         "  zero\n"
         "  |\n"
         "  --- Unexpected token `zero`\n"},
        /* columns, not bytes; a broken byte is one column; control characters never reach the terminal */
        {"\xc3\xa4\xe4\xb8\xad"
         "x",
         {.at = 5},
         "Unexpected token found, expected something else:\n"
         "  \xc3\xa4\xe4\xb8\xadx\n"
         "     |\n"
         "     --- Unexpected token `x`\n"},
        {"\xff\033",
         {.at = 1},
         "Unexpected token found, expected something else:\n"
         "  \xef\xbf\xbd\xef\xbf\xbd\n"
         "   |\n"
         "   --- Unexpected token `\xef\xbf\xbd`\n"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        assert_int_equal(hq_parse_fault(&err, hq_str_from(cases[i].text), &cases[i].fault), -EINVAL);
        assert_string_equal(err.text, cases[i].want);
        assert_int_equal(hq_parse_fault(NULL, hq_str_from(cases[i].text), &cases[i].fault), -EINVAL);
    }
}

/* A huge input is shown around the fault only, and the mark stays below it. */
static void
test_long_input(void **state)
{
    (void)state;
    static const size_t places[] = {0, 5, 150, 50000, 99950, 100000};
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_rep(&text, 'a', 100000);
    for (size_t i = 0; i < HQ_ARRAY_LEN(places); i++) {
        struct hq_err err = {0};
        HQ_AUTO(hq_buf_fini) struct hq_buf input = HQ_BUF_INIT;
        hq_buf_str(&input, hq_buf_view(&text));
        if (places[i] < input.len) {
            input.ptr[places[i]] = '!';
        }
        (void)hq_parse_fault(&err, hq_buf_view(&input), &(struct hq_parse_fault){.at = places[i]});
        struct hq_str rest = hq_str_from(err.text);
        struct hq_str heading, line, bar;
        assert_true(rest.len < 1000);
        assert_true(hq_str_split(&rest, '\n', &heading));
        assert_true(hq_str_split(&rest, '\n', &line));
        assert_true(hq_str_split(&rest, '\n', &bar));
        assert_true(hq_str_ends(bar, HQ_STR("|")));
        if (places[i] < input.len) {
            assert_int_equal(hq_str_find_byte(line, '!'), bar.len - 1);
        } else {
            assert_int_equal(line.len, bar.len - 1);
        }
    }
}

static void
test_colors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"Unexpected end of input found while attempting to parse Integer range, expected something else:\n"
         "  3-1\n"
         "  |\n"
         "  --- Invalid range\n",
         "Unexpected end of input found while attempting to parse \033[33mInteger range\033[0m, expected something "
         "else:\n"
         "  \033[31m3-1\033[0m\n"
         "  \033[31m|\033[0m\n"
         "  \033[31m--- \033[0m\033[31mInvalid range\033[0m\n"},
        {"Unexpected token found, expected =:\n"
         "  a-b=1\n"
         "   |\n"
         "   --- Unexpected token `-`\n",
         "Unexpected token found, expected =:\n"
         "  a\033[31m-\033[0mb=1\n"
         "   \033[31m|\033[0m\n"
         "   \033[31m--- \033[0m\033[31mUnexpected token `-`\033[0m\n"},
        {"Unexpected end of input found, expected =:\n"
         "  foo\n"
         "     |\n"
         "     --- Unexpected end of input\n",
         "Unexpected end of input found, expected =:\n"
         "  foo\n"
         "     \033[31m|\033[0m\n"
         "     \033[31m--- \033[0m\033[31mUnexpected end of input\033[0m\n"},
        {"invalid digit found in string", "invalid digit found in string"},
        {"a\nb\nc\nd\n", "a\nb\nc\nd\n"},
        {"", ""},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_parse_color(&b, hq_str_from(cases[i].text));
        assert_true(hq_str_is(hq_buf_view(&b), cases[i].want));
    }
}

static void
test_steps(void **state)
{
    (void)state;
    struct hq_str s = HQ_STR(" \t12_3x");
    assert_int_equal(hq_parse_blanks(s, 0), 2);
    assert_int_equal(hq_parse_blanks(s, 2), 2);
    assert_int_equal(hq_parse_blanks(s, s.len), s.len);
    assert_int_equal(hq_parse_digits(s, 2), 6);
    assert_int_equal(hq_parse_digits(s, 6), 6);
    assert_int_equal(hq_parse_digits(HQ_STR("_1"), 0), 0);
    assert_int_equal(hq_parse_digits(HQ_STR_NULL, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_input),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
