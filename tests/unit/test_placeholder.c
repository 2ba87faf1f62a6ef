/* Placeholders in paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/placeholder.h"

static struct hq_placeholders
some(void)
{
    struct hq_placeholders p = {0};
    hq_placeholders_set(&p, HQ_PH_JOB_ID, HQ_STR("7"));
    hq_placeholders_set(&p, HQ_PH_SUBMIT_DIR, HQ_STR("/home/%{TASK_ID}"));
    hq_placeholders_set(&p, HQ_PH_SERVER_UID, HQ_STR("aB3xYz"));
    return p;
}

static void
test_fill(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"%{JOB_ID}", "7"},
        {"job-%{JOB_ID}/%{TASK_ID}.stdout", "job-7/%{TASK_ID}.stdout"},
        {"%{SUBMIT_DIR}/x", "/home/%{TASK_ID}/x"}, /* inserted text is not scanned */
        {"%{SERVER_UID}%{SERVER_ID}", "aB3xYzaB3xYz"},
        {"50%-%{JOB_ID}", "50%-7"},
        {"%%{JOB_ID}", "%7"},
        {"%{NOPE}%{}%{job_id}%{ JOB_ID }", "%{NOPE}%{}%{job_id}%{ JOB_ID }"},
        {"%{JOB_ID", "%{JOB_ID"},
        {"%{x%{JOB_ID}}", "%{x%{JOB_ID}}"},
        {"%{JOB_ID}}", "7}"},
        {"%", "%"},
        {"%{", "%{"},
    };
    struct hq_placeholders p = some();
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_placeholder_fill(&b, hq_str_from(cases[i].text), &p);
        assert_true(hq_str_is(hq_buf_view(&b), cases[i].want));
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_placeholder_fill(&b, hq_str_make("\xff\0%{JOB_ID}\0", 12), &p);
    assert_true(hq_str_eq(hq_buf_view(&b), hq_str_make("\xff\0"
                                                       "7\0",
                                                       4)));
}

static void
test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *base;
        const char *want;
    } cases[] = {
        {"/abs/%{JOB_ID}", "/base", "/abs/7"},
        {"rel/%{JOB_ID}", "/base", "/base/rel/7"},
        {"rel", "/", "/rel"},
        {"", "/base", "/base/"},
        {"%{SUBMIT_DIR}", "/base", "/home/%{TASK_ID}"},
        {"%{NOPE}", "/base", "/base/%{NOPE}"}, /* completed all the same */
    };
    struct hq_placeholders p = some();
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_placeholder_fill_path(&b, hq_str_from(cases[i].text), hq_str_from(cases[i].base), &p);
        assert_string_equal(b.ptr, cases[i].want);
    }
}

static void
test_names(void **state)
{
    (void)state;
    for (int i = 0; i < HQ_PLACEHOLDERS; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_buf_printf(&b, "%%{%s}", hq_placeholder_name((enum hq_placeholder)i));
        assert_int_equal(hq_placeholder_bits(hq_buf_view(&b)), HQ_PH_BIT(i));
    }
    assert_int_equal(hq_placeholder_bits(HQ_STR("%{CWD}/%{TASK_ID}%{FOO}")),
                     HQ_PH_BIT(HQ_PH_CWD) | HQ_PH_BIT(HQ_PH_TASK_ID));
    assert_int_equal(hq_placeholder_bits(HQ_STR_NULL), 0);
}

static void
test_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t allowed;
        const char *want; /* names joined by "|" */
    } cases[] = {
        {"%{A}%{JOB_ID}%{}x%{B}", HQ_PH_IN_STDIO, "A||B|"},
        {"%{CWD}", HQ_PH_IN_STDIO, ""},
        {"%{CWD}", HQ_PH_IN_CWD, "CWD|"},
        {"%{TASK_ID}/%{JOB_ID}/%{SERVER_ID}", HQ_PH_IN_STREAM, "TASK_ID|"},
        {"%{open", HQ_PH_IN_STDIO, ""},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        size_t at = 0;
        struct hq_str name;
        while (hq_placeholder_next_unknown(hq_str_from(cases[i].text), cases[i].allowed, &at, &name)) {
            hq_buf_str(&b, name);
            hq_buf_byte(&b, '|');
        }
        assert_true(hq_str_is(hq_buf_view(&b), cases[i].want));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
