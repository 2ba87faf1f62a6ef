/* test_pmi1.c - sentences of PMI-1, good and bad, and the key-value space behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hq-workerd/stepd/pmi1.h"

/* What a rank says and hears, in the order of a start; states: n new, r ready, b barrier, d done. */
struct talk {
    const char *line;
    const char *answer; /* NULL: refused */
    enum pmi1_event event;
    enum pmi1_state before, after;
};
static const struct talk talks[] = {
    {"cmd=init pmi_version=1 pmi_subversion=1", "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n",
     PMI1_STARTED, PMI1_NEW, PMI1_READY},
    {"cmd=init pmi_version=2 pmi_subversion=0", "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1\n",
     PMI1_STARTED, PMI1_NEW, PMI1_READY},
    {"cmd=init pmi_version=1", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=init pmi_version=1", "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n", PMI1_STARTED, PMI1_DONE,
     PMI1_READY},
    {"cmd=get_maxes", "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=4096\n", PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=get_maxes", NULL, PMI1_NOTHING, PMI1_NEW, PMI1_NEW},
    {"cmd=get_appnum", "cmd=appnum appnum=0\n", PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=get_my_kvsname", "cmd=my_kvsname kvsname=space\n", PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=get_universe_size", "cmd=universe_size size=6\n", PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=put kvsname=space key=a value=b c", "cmd=put_result rc=0 msg=success\n", PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=put kvsname=other key=a value=b", "cmd=put_result rc=-1 msg=unknown_kvsname\n", PMI1_NOTHING, PMI1_READY,
     PMI1_READY},
    {"cmd=put kvsname=space key=a=b value=c", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=put kvsname=space value=b", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=get kvsname=space key=PMI_process_mapping", "cmd=get_result rc=0 msg=success value=(vector,(0,2,3))\n",
     PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=get kvsname=space key=nothing", "cmd=get_result rc=-1 msg=key_nothing_not_found value=unknown\n", PMI1_NOTHING,
     PMI1_READY, PMI1_READY},
    {"cmd=get kvsname=space", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=barrier_in", "", PMI1_BARRIER, PMI1_READY, PMI1_IN_BARRIER},
    {"cmd=barrier_in", NULL, PMI1_NOTHING, PMI1_IN_BARRIER, PMI1_IN_BARRIER},
    {"cmd=get_appnum", NULL, PMI1_NOTHING, PMI1_IN_BARRIER, PMI1_IN_BARRIER},
    {"cmd=finalize", "cmd=finalize_ack\n", PMI1_FINALIZED, PMI1_READY, PMI1_DONE},
    {"cmd=finalize", NULL, PMI1_NOTHING, PMI1_DONE, PMI1_DONE},
    {"cmd=abort exitcode=42", "", PMI1_ABORTED, PMI1_READY, PMI1_READY},
    {"cmd=abort exitcode=42", "", PMI1_ABORTED, PMI1_IN_BARRIER, PMI1_IN_BARRIER},
    {"cmd=abort exitcode=x", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=publish_name service=a port=b", "cmd=publish_result rc=-1 info=not_supported msg=not_supported\n", PMI1_NOTHING,
     PMI1_READY, PMI1_READY},
    {"cmd=lookup_name service=a", "cmd=lookup_result rc=-1 info=not_supported msg=not_supported\n", PMI1_NOTHING,
     PMI1_READY, PMI1_READY},
    {"cmd=unpublish_name service=a", "cmd=unpublish_result rc=-1 info=not_supported msg=not_supported\n", PMI1_NOTHING,
     PMI1_READY, PMI1_READY},
    {"mcmd=spawn", "", PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=spawn", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"mcmd=get", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"   ", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"cmd=nonsense", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"hello", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
    {"key=a cmd=get", NULL, PMI1_NOTHING, PMI1_READY, PMI1_READY},
};

static struct pmi1 *
make_space(void)
{
    return pmi1_create(6, HQ_STR("space"), HQ_STR("(vector,(0,2,3))"));
}

static void
test_talk(void **state)
{
    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(talks); i++) {
        const struct talk *t = &talks[i];
        struct pmi1 *p = make_space();
        struct pmi1_peer peer = {.state = t->before};
        struct hq_buf answer = HQ_BUF_INIT;
        enum pmi1_event event;
        int32_t code = -1;
        struct hq_err err = {0};
        int rc = pmi1_line(p, &peer, hq_str_from(t->line), &answer, &event, &code, &err);
        if ((rc == 0) != (t->answer != NULL)) {
            fail_msg("%s: rc %d", t->line, rc);
        }
        assert_string_equal(t->answer == NULL ? "" : t->answer, answer.ptr == NULL ? "" : answer.ptr);
        assert_int_equal(t->event, event);
        assert_int_equal(t->after, peer.state);
        assert_int_equal(t->event == PMI1_ABORTED ? 42 : -1, code);
        if (rc < 0) {
            assert_int_equal(-EPROTO, rc);
            assert_non_null(strstr(err.text, "PMI"));
        }
        hq_buf_fini(&answer);
        pmi1_destroy(p);
    }
}

static int
say(struct pmi1 *p, struct pmi1_peer *peer, const char *line, struct hq_buf *answer)
{
    enum pmi1_event event;
    int32_t code;

    hq_buf_clear(answer);
    return pmi1_line(p, peer, hq_str_from(line), answer, &event, &code, NULL);
}

/* What one node's ranks put is what the other's get after the fence. */
static void
test_exchange(void **state)
{
    struct pmi1 *a = make_space(), *b = make_space();
    struct pmi1_peer x = {.state = PMI1_READY}, y = {.state = PMI1_READY};
    struct hq_buf answer = HQ_BUF_INIT, puts = HQ_BUF_INIT;

    (void)state;
    assert_int_equal(0, say(a, &x, "cmd=put kvsname=space key=bc-0 value=tcp#10.0.0.1:77$", &answer));
    assert_int_equal(0, say(a, &x, "cmd=put kvsname=space key=bc-0 value=again", &answer));
    assert_string_equal("cmd=put_result rc=-1 msg=duplicate_key\n", answer.ptr);
    assert_int_equal(0, say(b, &y, "cmd=put kvsname=space key=bc-1 value=tcp#10.0.0.2:78$", &answer));
    assert_int_equal(0, say(b, &y, "cmd=barrier_in", &answer));
    pmi1_take_puts(a, &puts);
    pmi1_take_puts(b, &puts);
    assert_string_equal("bc-0=tcp#10.0.0.1:77$\nbc-1=tcp#10.0.0.2:78$\n", puts.ptr);
    assert_int_equal(0, pmi1_add_puts(b, hq_buf_view(&puts), NULL));
    hq_buf_clear(&answer);
    pmi1_barrier_out(&y, &answer);
    assert_string_equal("cmd=barrier_out\n", answer.ptr);
    assert_int_equal(PMI1_READY, y.state);
    assert_int_equal(0, say(b, &y, "cmd=get kvsname=space key=bc-0", &answer));
    assert_string_equal("cmd=get_result rc=0 msg=success value=tcp#10.0.0.1:77$\n", answer.ptr);
    hq_buf_clear(&puts);
    pmi1_take_puts(b, &puts);
    assert_int_equal(0, puts.len); /* once */
    hq_buf_clear(&answer);
    pmi1_barrier_out(&x, &answer); /* it did not wait */
    assert_int_equal(0, answer.len);
    hq_buf_fini(&answer);
    hq_buf_fini(&puts);
    pmi1_destroy(a);
    pmi1_destroy(b);
}

static void
test_bad_puts(void **state)
{
    static const char *const bad[] = {"no-newline", "noequals\n", "=x\n", "a=1\nb"};

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        struct pmi1 *p = make_space();
        assert_int_equal(-EPROTO, pmi1_add_puts(p, hq_str_from(bad[i]), NULL));
        pmi1_destroy(p);
    }
}

static void
test_bounds(void **state)
{
    struct pmi1 *p = make_space();
    struct pmi1_peer peer = {.state = PMI1_READY};
    struct hq_buf line = HQ_BUF_INIT, answer = HQ_BUF_INIT;

    (void)state;
    hq_buf_cstr(&line, "cmd=put kvsname=space key=");
    hq_buf_rep(&line, 'k', PMI1_KEY_BYTES_MAX);
    hq_buf_cstr(&line, " value=");
    hq_buf_rep(&line, 'v', PMI1_VALUE_BYTES_MAX);
    assert_int_equal(0, say(p, &peer, line.ptr, &answer));
    assert_string_equal("cmd=put_result rc=0 msg=success\n", answer.ptr);
    hq_buf_byte(&line, 'v');
    line.ptr[26] = 'x'; /* another key */
    assert_int_equal(-EPROTO, say(p, &peer, line.ptr, &answer));
    hq_buf_clear(&line);
    hq_buf_cstr(&line, "cmd=put kvsname=space key=");
    hq_buf_rep(&line, 'k', PMI1_KEY_BYTES_MAX + 1);
    assert_int_equal(-EPROTO, say(p, &peer, line.ptr, &answer));
    hq_buf_clear(&line);
    hq_buf_rep(&line, 'c', PMI1_LINE_BYTES_MAX + 1);
    assert_int_equal(-EPROTO, say(p, &peer, line.ptr, &answer));
    hq_buf_fini(&line);
    hq_buf_fini(&answer);
    pmi1_destroy(p);
}

/* A spawn is refused as a whole: the lines inside are no commands. */
static void
test_spawn(void **state)
{
    static const char *const inside[] = {"nprocs=2", "execname=a.out", "cmd=abort exitcode=1", "endcmdx"};
    struct pmi1 *p = make_space();
    struct pmi1_peer peer = {.state = PMI1_READY};
    struct hq_buf answer = HQ_BUF_INIT;

    (void)state;
    assert_int_equal(0, say(p, &peer, "mcmd=spawn", &answer));
    for (size_t i = 0; i < HQ_ARRAY_LEN(inside); i++) {
        assert_int_equal(0, say(p, &peer, inside[i], &answer));
        assert_int_equal(0, answer.len);
    }
    assert_int_equal(0, say(p, &peer, "endcmd", &answer));
    assert_string_equal("cmd=spawn_result rc=-1 msg=not_supported\n", answer.ptr);
    assert_int_equal(0, say(p, &peer, "cmd=get_appnum", &answer));
    assert_string_equal("cmd=appnum appnum=0\n", answer.ptr);
    hq_buf_fini(&answer);
    pmi1_destroy(p);
}

static void
test_mapping(void **state)
{
    static const struct {
        uint32_t ranks[5];
        size_t count;
        const char *text;
    } cases[] = {
        {{4}, 1, "(vector,(0,1,4))"},
        {{2, 2}, 2, "(vector,(0,2,2))"},
        {{2, 2, 3}, 3, "(vector,(0,2,2),(2,1,3))"},
        {{1, 2, 1, 1, 1}, 5, "(vector,(0,1,1),(1,1,2),(2,3,1))"},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_buf out = HQ_BUF_INIT;
        pmi1_print_mapping(&out, cases[i].ranks, cases[i].count);
        assert_string_equal(cases[i].text, out.ptr);
        hq_buf_fini(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk),   cmocka_unit_test(test_exchange), cmocka_unit_test(test_bad_puts),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_spawn),    cmocka_unit_test(test_mapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
