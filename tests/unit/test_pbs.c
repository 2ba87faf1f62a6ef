/* PBS: command lines, and answers of a real OpenPBS as recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hq-allocd/pbs.h"
#include "tests/unit/recording.h"

struct world {
    struct hq_arena arena;
    struct hq_buf why;
};

static int
setup(void **state)
{
    static struct world w;
    hq_arena_init(&w.arena, 0);
    w.why = (struct hq_buf){0};
    *state = &w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    hq_arena_fini(&w->arena);
    hq_buf_fini(&w->why);
    return 0;
}

static void
check_line(struct world *w, const struct batch_cmd *cmd, const char *want)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    (void)w;
    for (size_t i = 0; i < cmd->argc; i++) {
        hq_buf_printf(&line, "%s%s", i == 0 ? "" : " ", cmd->argv[i]);
    }
    assert_null(cmd->argv[cmd->argc]);
    assert_string_equal(line.ptr, want);
}

static void
test_lines(void **state)
{
    struct world *w = *state;
    const struct hq_str ids[] = {HQ_STR("1.pbs"), HQ_STR("2.pbs")};
    struct batch_cmd cmd = {.arena = &w->arena};
    batch_pbs.submit(&cmd, "/d/hq-submit.sh");
    check_line(w, &cmd, "qsub /d/hq-submit.sh");
    cmd = (struct batch_cmd){.arena = &w->arena};
    batch_pbs.status(&cmd, ids, 1);
    check_line(w, &cmd, "qstat -f 1.pbs -F json -x");
    cmd = (struct batch_cmd){.arena = &w->arena};
    batch_pbs.status(&cmd, ids, 2);
    check_line(w, &cmd, "qstat -f -E 1.pbs 2.pbs -F json -x");
    cmd = (struct batch_cmd){.arena = &w->arena};
    batch_pbs.find(&cmd, "hq-1-1");
    check_line(w, &cmd, "qselect -x -N hq-1-1");
    cmd = (struct batch_cmd){.arena = &w->arena};
    batch_pbs.mine(&cmd, "user1");
    check_line(w, &cmd, "qselect -u user1");
    cmd = (struct batch_cmd){.arena = &w->arena};
    batch_pbs.cancel(&cmd, "1.pbs");
    check_line(w, &cmd, "qdel 1.pbs");
}

static void
test_submit(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name;
        enum batch_outcome want;
        const char *id;
    } cases[] = {
        {"qsub-ok", BATCH_OK, "0.pbs01"},
        {"down-qsub", BATCH_AMBIGUOUS, NULL},
        {"qsub-unknown-queue", BATCH_REJECTED, NULL},
        {"qsub-queue-disabled", BATCH_REJECTED, NULL},
        {"qsub-limit-3", BATCH_REJECTED, NULL},
        {"qsub-bad-resource", BATCH_REJECTED, NULL},
        {"qsub-walltime-over-max", BATCH_REJECTED, NULL},
        {"qsub-no-access", BATCH_REJECTED, NULL},
        {"qsub-script-missing", BATCH_REJECTED, NULL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct recording rec;
        struct hq_str id = HQ_STR_NULL;
        recording_load(&rec, cases[i].name);
        enum batch_outcome got = batch_pbs.submitted(&rec.r, &w->arena, &id, &w->why);
        if (got != cases[i].want) {
            fail_msg("%s: outcome %d, not %d", cases[i].name, (int)got, (int)cases[i].want);
        }
        if (cases[i].id != NULL) {
            assert_string_equal(id.ptr, cases[i].id);
        }
        recording_fini(&rec);
    }
}

static void
test_submit_odd(void **state)
{
    struct world *w = *state;
    static const struct {
        int code;
        const char *out;
        enum batch_outcome want;
        const char *id;
    } cases[] = {
        {0, "Welcome to the cluster\n12.pbs\n", BATCH_OK, "12.pbs"}, /* a banner of the site */
        {0, "", BATCH_AMBIGUOUS, NULL},
        {0, "no id here\n", BATCH_AMBIGUOUS, NULL},
        {1, "12.pbs\n", BATCH_AMBIGUOUS, NULL}, /* failed, and yet an id: look */
        {0, "12 pbs; rm -rf /\n", BATCH_AMBIGUOUS, NULL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct batch_result r = recording_made(cases[i].code, cases[i].out, "");
        struct hq_str id = HQ_STR_NULL;
        assert_int_equal(batch_pbs.submitted(&r, &w->arena, &id, &w->why), cases[i].want);
        if (cases[i].id != NULL) {
            assert_string_equal(id.ptr, cases[i].id);
        }
    }
    struct batch_result hung = {.is_timed_out = true, .status = 9};
    struct hq_str id;
    assert_int_equal(batch_pbs.submitted(&hung, &w->arena, &id, &w->why), BATCH_AMBIGUOUS);
    hq_buf_clear(&w->why);
    struct batch_result missing = {.start_errno = ENOENT};
    assert_int_equal(batch_pbs.submitted(&missing, &w->arena, &id, &w->why), BATCH_REJECTED);
    assert_string_equal(w->why.ptr, "qsub start failed\n\nCaused by:\n    No such file or directory (os error 2)");
    hq_buf_clear(&w->why);
    struct batch_result bad = recording_made(170, "", "qsub: Unknown queue\n");
    assert_int_equal(batch_pbs.submitted(&bad, &w->arena, &id, &w->why), BATCH_REJECTED);
    assert_string_equal(w->why.ptr,
                        "qsub execution failed\n\nCaused by:\n    Exit code: 170\n    Stderr: qsub: Unknown "
                        "queue\n    Stdout: ");
}

static void
test_states(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name;
        enum batch_outcome outcome;
        size_t count;
        enum batch_state first;
    } cases[] = {
        {"json-Q-not-yet-looked-at", BATCH_OK, 1, BATCH_PENDING},
        {"json-Q-too-much-mem", BATCH_OK, 1, BATCH_PENDING},
        {"json-H-held", BATCH_OK, 1, BATCH_HELD},
        {"json-H-prologue-exit2", BATCH_OK, 1, BATCH_HELD},
        {"json-W-waiting", BATCH_OK, 1, BATCH_PENDING},
        {"json-R-two-hosts", BATCH_OK, 1, BATCH_RUNNING},
        {"json-R-rerun", BATCH_OK, 1, BATCH_RUNNING},
        {"json-S-suspended", BATCH_OK, 1, BATCH_RUNNING},
        {"json-E-stageout-failing", BATCH_OK, 1, BATCH_RUNNING},
        {"json-F-exit0", BATCH_OK, 1, BATCH_ENDED_OK},
        {"json-F-exit1", BATCH_OK, 1, BATCH_ENDED_FAILED},
        {"json-F-qdel-running", BATCH_OK, 1, BATCH_ENDED_FAILED},
        {"json-F-walltime", BATCH_OK, 1, BATCH_ENDED_OK},
        {"json-F-afterok-of-failed", BATCH_OK, 1, BATCH_ENDED_FAILED}, /* F and 92 without an exit status */
        {"json-F-executable-missing", BATCH_OK, 1, BATCH_ENDED_FAILED},
        {"express-several", BATCH_OK, 4, BATCH_ENDED_OK},
        {"express-all-unknown", BATCH_OK, 0, BATCH_UNKNOWN},
        {"json-unknown-two", BATCH_OK, 0, BATCH_UNKNOWN},
        {"json-history-expired", BATCH_OK, 0, BATCH_UNKNOWN},
        {"json-several-one-unknown-first", BATCH_OK, 1, BATCH_HELD},    /* non-zero exit and valid output */
        {"nohistory-json-x-live", BATCH_UNREACHABLE, 0, BATCH_UNKNOWN}, /* no answer about a job that lives */
        {"down-qstat-json", BATCH_UNREACHABLE, 0, BATCH_UNKNOWN},
        {"strange-v-latin1-json", BATCH_OK, 1, BATCH_HELD}, /* a variable that is no UTF-8 */
        {"strange-v-quote-json", BATCH_OK, 1, BATCH_HELD},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct recording rec;
        struct batch_rows rows = {0};
        recording_load(&rec, cases[i].name);
        enum batch_outcome got = batch_pbs.statuses(&rec.r, 0, &w->arena, &rows, &w->why);
        if (got != cases[i].outcome || rows.count != cases[i].count ||
            (rows.count > 0 && rows.v[0].state != cases[i].first)) {
            fail_msg("%s: outcome %d with %zu rows, first %s", cases[i].name, (int)got, rows.count,
                     rows.count > 0 ? batch_state_name(rows.v[0].state) : "none");
        }
        recording_fini(&rec);
    }
}

static void
test_row(void **state)
{
    struct world *w = *state;
    struct recording rec;
    struct batch_rows rows = {0};
    recording_load(&rec, "json-R-two-hosts");
    assert_int_equal(batch_pbs.statuses(&rec.r, 3600, &w->arena, &rows, &w->why), BATCH_OK);
    assert_int_equal(rows.count, 1);
    const struct batch_row *row = &rows.v[0];
    assert_string_equal(row->id.ptr, "44.pbs01");
    assert_string_equal(row->word.ptr, "R");
    /* Tue Nov 24 22:00:03 2026 in a zone one hour east of Greenwich */
    assert_int_equal(row->submitted_ms, 1795554003000);
    assert_int_equal(row->started_ms, 1795554003000);
    assert_int_equal(row->ended_ms, 0);
    recording_fini(&rec);
}

static void
test_find_and_cancel(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name;
        enum batch_outcome want;
        size_t count;
    } finds[] = {
        {"qselect-N-two", BATCH_OK, 2},
        {"qselect-x-N-none", BATCH_OK, 0},
        {"qselect-after-hung-qsub", BATCH_OK, 1},
        {"down-qselect", BATCH_UNREACHABLE, 0},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(finds); i++) {
        struct recording rec;
        struct hq_str *ids;
        size_t count;
        recording_load(&rec, finds[i].name);
        enum batch_outcome got = batch_pbs.found(&rec.r, &w->arena, &ids, &count, &w->why);
        if (got != finds[i].want || count != finds[i].count) {
            fail_msg("%s: outcome %d, %zu ids", finds[i].name, (int)got, count);
        }
        recording_fini(&rec);
    }
    static const struct {
        const char *name;
        enum batch_outcome want;
    } cancels[] = {
        {"qdel-queued", BATCH_OK},           {"qdel-running", BATCH_OK},       {"qdel-unknown", BATCH_GONE},
        {"qdel-finished", BATCH_GONE},       {"down-qdel", BATCH_UNREACHABLE}, {"qdel-bad-id", BATCH_REJECTED},
        {"other-user-qdel", BATCH_REJECTED},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cancels); i++) {
        struct recording rec;
        recording_load(&rec, cancels[i].name);
        enum batch_outcome got = batch_pbs.canceled(&rec.r, &w->why);
        if (got != cancels[i].want) {
            fail_msg("%s: outcome %d, not %d", cancels[i].name, (int)got, (int)cancels[i].want);
        }
        recording_fini(&rec);
    }
}

static void
test_times(void **state)
{
    (void)state;
    assert_int_equal(pbs_time(HQ_STR("Thu Jan  1 00:00:10 1970"), 0), 10000);
    assert_int_equal(pbs_time(HQ_STR("Tue Nov 24 22:00:03 2026"), 0), 1795557603000);
    assert_int_equal(pbs_time(HQ_STR("Sat Feb 29 12:00:00 2020"), 0), 1582977600000);
    static const char *const bad[] = {"",
                                      "Tue",
                                      "Tue Foo 24 22:00:03 2026",
                                      "Tue Nov 99 22:00:03 2026",
                                      "Tue Nov 24 22:00 2026",
                                      "Tue Nov 24 22:99:03 2026",
                                      "Tue Nov 24 22:00:03 99999",
                                      "a b c d e f",
                                      "Tue Nov 24 xx:00:03 2026"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        assert_int_equal(pbs_time(hq_str_from(bad[i]), 0), 0);
    }
}

static void
test_identity(void **state)
{
    struct world *w = *state;
    static const char json[] =
        "{\"Jobs\":{\"5.p\":{\"job_state\":\"R\",\"Submit_arguments\":\"/s/autoalloc/1/001/hq-submit.sh\",\"ctime\":"
        "\"Tue Nov 24 22:00:03 2026\"},\"6.p\":{\"job_state\":7},\"bad id\":{\"job_state\":\"Q\"},\"7.p\":[]}}";
    struct batch_result r = recording_made(0, json, "");
    struct batch_rows rows = {0};
    assert_int_equal(batch_pbs.statuses(&r, 0, &w->arena, &rows, &w->why), BATCH_OK);
    assert_int_equal(rows.count, 2); /* an id with a blank and a job that is a list are no jobs */
    struct hq_str script = HQ_STR("/s/autoalloc/1/001/hq-submit.sh");
    batch_sort_rows(&rows);
    assert_non_null(batch_find_row(&rows, HQ_STR("5.p"), script, 1795557603000));
    assert_non_null(batch_find_row(&rows, HQ_STR_NULL, script, 1795557603000));
    assert_null(batch_find_row(&rows, HQ_STR("5.p"), HQ_STR("/other/hq-submit.sh"), 0)); /* the id was given again */
    assert_null(batch_find_row(&rows, HQ_STR("5.p"), script, 1795557603000 + 3600000));  /* and long before */
    assert_null(batch_find_row(&rows, HQ_STR("9.p"), script, 0));
    assert_int_equal(rows.v[0].state, BATCH_UNKNOWN); /* the one without a script */
    assert_non_null(batch_find_row(&rows, HQ_STR("6.p"), HQ_STR("/s/x"), 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_submit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_submit_odd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find_and_cancel, setup, teardown),
        cmocka_unit_test(test_times),
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
