/* hq worker deploy-ssh: host files, words for the shell of the other side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hq/cmd_deploy.h"

static void
test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want; /* "host port;" each, or the error */
    } cases[] = {
        {"a", "a 0;"},
        {"a\nb:22\n", "a 0;b 22;"},
        {"\n  a:2222 \r\n\t\n\nb", "a 2222;b 0;"},
        {"u@node1:1", "u@node1 1;"},
        {"::1", "::1 0;"},
        {"[::1]\n[fe80::1]:22", "::1 0;fe80::1 22;"},
        {"", "There is no host in it"},
        {"\n \n", "There is no host in it"},
        {"a:", "Cannot parse port from a:"},
        {"a:x", "Cannot parse port from a:x"},
        {"a:0", "Cannot parse port from a:0"},
        {"a:65536", "Cannot parse port from a:65536"},
        {"[::1]:", "Cannot parse port from [::1]:"},
        {"[::1", "Cannot parse host from [::1"},
        {"[::1]x", "Cannot parse host from [::1]x"},
        {":22", "Cannot parse host from :22"},
        {"-oProxyCommand=x", "Cannot parse host from -oProxyCommand=x"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_arena arena;
        struct deploy_hosts hosts;
        struct hq_err err = {0};
        HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
        hq_arena_init(&arena, 0);
        if (deploy_parse_hosts(hq_str_from(cases[i].text), &hosts, &arena, &err) < 0) {
            hq_buf_cstr(&got, err.text);
        } else {
            for (size_t k = 0; k < hosts.count; k++) {
                hq_buf_printf(&got, "%.*s %u;", HQ_STR_FMT(hosts.v[k].host), hosts.v[k].port);
            }
        }
        assert_string_equal(got.ptr, cases[i].want);
        hq_arena_fini(&arena);
    }
}

static void
test_too_many_hosts(void **state)
{
    (void)state;
    struct hq_arena arena;
    struct deploy_hosts hosts;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    for (unsigned i = 0; i < DEPLOY_HOSTS_MAX; i++) {
        hq_buf_cstr(&text, "h\n");
    }
    assert_int_equal(deploy_parse_hosts(hq_buf_view(&text), &hosts, &arena, NULL), 0);
    assert_int_equal(hosts.count, DEPLOY_HOSTS_MAX);
    hq_buf_cstr(&text, "h\n");
    assert_int_equal(deploy_parse_hosts(hq_buf_view(&text), &hosts, &arena, NULL), -E2BIG);
    hq_arena_fini(&arena);
}

static void
test_quote(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"--cpus=4", "--cpus=4"},         {"", "''"},
        {"a b", "'a b'"},                 {"[[0,1],[2]]", "'[[0,1],[2]]'"},
        {"it's", "'it'\\''s'"},           {"$HOME;rm", "'$HOME;rm'"},
        {"/opt/hq/hq", "/opt/hq/hq"},     {"~x", "'~x'"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
        deploy_quote(&got, hq_str_from(cases[i][0]));
        assert_string_equal(got.ptr, cases[i][1]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_too_many_hosts),
        cmocka_unit_test(test_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
