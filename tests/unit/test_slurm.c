/* Slurm: command lines and what sbatch, squeue and scancel print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hq-allocd/slurm.h"
#include "tests/unit/recording.h"

static void
test_lines(void **state)
{
    (void)state;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    batch_slurm.submit(&cmd, "/d/hq-submit.sh");
    assert_string_equal(cmd.argv[0], "sbatch");
    assert_string_equal(cmd.argv[1], "/d/hq-submit.sh");
    assert_null(cmd.argv[2]);
    bool has_no_requeue = false;
    for (size_t i = 0; i < cmd.env_count; i++) {
        has_no_requeue = has_no_requeue || strcmp(cmd.env[i], "SBATCH_NO_REQUEUE=1") == 0;
    }
    assert_true(has_no_requeue);
    cmd = (struct batch_cmd){.arena = &arena};
    batch_slurm.cancel(&cmd, "17");
    assert_string_equal(cmd.argv[0], "scancel");
    assert_string_equal(cmd.argv[1], "17");
}

static void
test_submit(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *out;
        const char *err;
        enum batch_outcome want;
        const char *id;
    } cases[] = {
        {0, "Submitted batch job 1001\n", "", BATCH_OK, "1001"},
        {0, "submitted BATCH job 7 on cluster x\n", "", BATCH_OK, "7"},
        {0, "Dear user,\nquota is low\n  Submitted batch job 8\nbye\n", "", BATCH_OK, "8"},
        {0, "Job eingereicht: 9\n", "", BATCH_AMBIGUOUS, NULL}, /* another language: look */
        {0, "", "", BATCH_AMBIGUOUS, NULL},
        {0, "Submitted batch job \n", "", BATCH_AMBIGUOUS, NULL},
        {1, "Submitted batch job 10\n", "trouble afterwards", BATCH_AMBIGUOUS, NULL},
        {1, "some output", "sbatch: error: invalid partition specified: x", BATCH_REJECTED, NULL},
        {1, "", "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
         BATCH_AMBIGUOUS, NULL},
        {1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", BATCH_AMBIGUOUS,
         NULL},
        {1, "", "sbatch: error: Batch job submission failed: Requested time limit is invalid", BATCH_REJECTED, NULL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_arena_fini) struct hq_arena arena;
        HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
        hq_arena_init(&arena, 0);
        struct batch_result r = recording_made(cases[i].code, cases[i].out, cases[i].err);
        struct hq_str id = HQ_STR_NULL;
        enum batch_outcome got = batch_slurm.submitted(&r, &arena, &id, &why);
        if (got != cases[i].want) {
            fail_msg("case %zu: outcome %d, not %d", i, (int)got, (int)cases[i].want);
        }
        if (cases[i].id != NULL) {
            assert_string_equal(id.ptr, cases[i].id);
        }
    }
}

static void
test_killed(void **state)
{
    (void)state;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    struct hq_str id;
    struct batch_result killed = {.status = 9};
    assert_int_equal(batch_slurm.submitted(&killed, &arena, &id, &why), BATCH_AMBIGUOUS);
    struct batch_result missing = {.start_errno = ENOENT};
    hq_buf_clear(&why);
    assert_int_equal(batch_slurm.submitted(&missing, &arena, &id, &why), BATCH_REJECTED);
    assert_string_equal(why.ptr, "sbatch start failed\n\nCaused by:\n    No such file or directory (os error 2)");
}

static void
test_states(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum batch_state want;
    } cases[] = {
        {"PENDING", BATCH_PENDING},
        {"CONFIGURING", BATCH_PENDING},
        {"RUNNING", BATCH_RUNNING},
        {"COMPLETING", BATCH_RUNNING},
        {"SUSPENDED", BATCH_RUNNING},
        {"COMPLETED", BATCH_ENDED_OK},
        {"TIMEOUT", BATCH_ENDED_OK},
        {"CANCELLED", BATCH_ENDED_FAILED},
        {"CANCELLED by 1000", BATCH_ENDED_FAILED},
        {"FAILED", BATCH_ENDED_FAILED},
        {"NODE_FAIL", BATCH_ENDED_FAILED},
        {"OUT_OF_MEMORY", BATCH_ENDED_FAILED},
        {"PREEMPTED", BATCH_ENDED_FAILED},
        {"DEADLINE", BATCH_ENDED_FAILED},
        {"BOOT_FAIL", BATCH_ENDED_FAILED},
        {"DREAMING", BATCH_UNKNOWN},
        {"", BATCH_UNKNOWN},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        if (slurm_state(hq_str_from(cases[i].word)) != cases[i].want) {
            fail_msg("%s", cases[i].word);
        }
    }
}

static void
test_rows(void **state)
{
    (void)state;
    struct batch_row row;
    assert_true(slurm_row(HQ_STR("12|PENDING|1700000000|1700000500|1700004100|Resources|/d/a b|c/hq-submit.sh"), &row));
    assert_true(hq_str_is(row.id, "12"));
    assert_int_equal(row.state, BATCH_PENDING);
    assert_int_equal(row.submitted_ms, 1700000000000);
    assert_int_equal(row.started_ms, 0); /* estimates */
    assert_int_equal(row.ended_ms, 0);
    assert_true(hq_str_is(row.reason, "Resources"));
    assert_true(hq_str_is(row.script, "/d/a b|c/hq-submit.sh"));
    assert_true(slurm_row(HQ_STR("12|PENDING|1|N/A|N/A|JobHeldUser|/s"), &row));
    assert_int_equal(row.state, BATCH_HELD);
    assert_true(slurm_row(HQ_STR("12|COMPLETED|1|5|9|None|/s"), &row));
    assert_int_equal(row.started_ms, 5000);
    assert_int_equal(row.ended_ms, 9000);
    assert_int_equal(row.reason.len, 0);
    assert_true(slurm_row(HQ_STR("12|RUNNING|99999999999999999999|-5|2026-01-01|x|/s"), &row)); /* dates out of range */
    assert_int_equal(row.submitted_ms, 0);
    assert_int_equal(row.started_ms, 0);
    static const char *const bad[] = {"",
                                      "12",
                                      "12|RUNNING",
                                      "|||||||",
                                      "a b|RUNNING|1|2|3|r|/s",
                                      "slurm_load_jobs error: Unable to contact slurm controller"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        assert_false(slurm_row(hq_str_from(bad[i]), &row));
    }
}

/* 10,000 lines of unrelated jobs and noise: ours is found, nothing else is taken for it. */
static void
test_crowd(void **state)
{
    (void)state;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    for (uint32_t i = 0; i < 10000; i++) {
        hq_buf_printf(&out, "%u|RUNNING|1700000000|1700000001|1700009999|None|/home/x/job%u.sh\n", 20000 + i, i);
        if (i == 5000) {
            hq_buf_cstr(&out,
                        "*** maintenance on monday ***\n77|RUNNING|1700000000|1700000001|9|None|/s/1/hq-submit.sh\n");
        }
    }
    struct batch_result r = {.out = hq_buf_view(&out)};
    struct batch_rows rows = {0};
    assert_int_equal(batch_slurm.statuses(&r, 0, &arena, &rows, &why), BATCH_OK);
    assert_int_equal(rows.count, 10001);
    batch_sort_rows(&rows);
    const struct batch_row *row = batch_find_row(&rows, HQ_STR_NULL, HQ_STR("/s/1/hq-submit.sh"), 1700000000000);
    assert_non_null(row);
    assert_true(hq_str_is(row->id, "77"));
    assert_null(batch_find_row(&rows, HQ_STR("20001"), HQ_STR("/s/1/hq-submit.sh"), 0));
}

static void
test_down(void **state)
{
    (void)state;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    struct batch_rows rows = {0};
    struct batch_result r = recording_made(1, "", "slurm_load_jobs error: Unable to contact slurm controller");
    assert_int_equal(batch_slurm.statuses(&r, 0, &arena, &rows, &why), BATCH_UNREACHABLE);
    struct batch_result cut = {.is_timed_out = true, .status = 9, .out = HQ_STR("77|RUNNING|1|2|3|None|/s\n")};
    assert_int_equal(batch_slurm.statuses(&cut, 0, &arena, &rows, &why), BATCH_UNREACHABLE);
    assert_int_equal(rows.count, 0); /* half an answer is none */
    struct batch_result gone =
        recording_made(1, "", "scancel: error: Kill job error on job id 5: Invalid job id specified");
    assert_int_equal(batch_slurm.canceled(&gone, &why), BATCH_GONE);
    struct batch_result fine = recording_made(0, "", "");
    assert_int_equal(batch_slurm.canceled(&fine, &why), BATCH_OK);
    assert_int_equal(batch_slurm.canceled(&r, &why), BATCH_UNREACHABLE);
    struct batch_result denied =
        recording_made(1, "", "scancel: error: Kill job error on job id 5: Access/permission denied");
    assert_int_equal(batch_slurm.canceled(&denied, &why), BATCH_REJECTED);
    assert_true(batch_slurm.is_permanent(HQ_STR("PartitionTimeLimit")));
    assert_false(batch_slurm.is_permanent(HQ_STR("Resources")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_submit), cmocka_unit_test(test_killed),
        cmocka_unit_test(test_states), cmocka_unit_test(test_rows),   cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
