/* Commands for workers: bodies once, entries with their tasks, large answers in pieces, standard input in parts. */
#include "tests/unit/build.h"

#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
one_worker(struct rig *r, const char *pools)
{
    rig_init(r);
    rig_worker(r, pools, NULL);
    rig_turn(r, 1, "");
    rig_schedule(r);
    rig_clear(r);
}

static void
body_goes_once(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=1");
    rig_array(&r, &(struct rig_job){.count = 10});
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[body job=1 desc=0] [assign job=1"));
    rig_turn(&r, 1, "finish 1@0-1");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[assign job=1"));
    assert_false(rig_saw(&r, "[body"));
    struct held_tasks none = {0};
    rig_worker_again(&r, 1, &none, 0); /* it may have forgotten it with its session */
    rig_turn(&r, 1, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[body job=1 desc=0] [assign job=1"));
    rig_fini(&r);
}

/* Entries of a third of an answer each: two go with the first answer, the rest waits for the next turns. */
static void
large_answers_are_cut(void **state)
{
    (void)state;
    struct rig r;
    enum { TASKS = 7, BYTES = HQ_PAGE_BYTES / 3 };
    one_worker(&r, "cpus=8");
    char *lines = calloc(TASKS, BYTES + 1);
    for (int i = 0; i < TASKS; i++) {
        memset(lines + i * (BYTES + 1), 'a' + i, BYTES);
        lines[i * (BYTES + 1) + BYTES] = '\n';
    }
    lines[TASKS * (BYTES + 1) - 1] = '\0';
    rig_array(&r, &(struct rig_job){.count = TASKS, .ids = "0-6", .entries = lines});
    free(lines);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=0 ids=0-6\n")); /* one decision, one record */
    uint32_t answers = 0;
    size_t given = 0;
    for (int turn = 0; turn < 10; turn++) {
        for (size_t i = 0; i < r.fx.count; i++) {
            const struct effect *e = &r.fx.v[i];
            if (e->kind != EFFECT_TURN || e->u.turn.command_seq == 0) {
                continue;
            }
            size_t bytes = 0;
            for (size_t k = 0; k < e->u.turn.command_count; k++) {
                if (e->u.turn.commands[k].kind == COMMAND_ASSIGN) {
                    bytes += e->u.turn.commands[k].u.assign.entries.data.len;
                    given += hq_ranges_size(&e->u.turn.commands[k].u.assign.ids);
                }
            }
            assert_true(bytes > 0 && bytes <= HQ_PAGE_BYTES);
            answers++;
        }
        rig_turn(&r, 1, "");
        rig_schedule(&r);
    }
    assert_int_equal(given, TASKS);
    assert_true(answers >= 3);
    rig_fini(&r);
}

/* Ids far apart and out of order, more entries than one stride of the index. */
static void
entries_are_found(void **state)
{
    (void)state;
    struct rig r;
    one_worker(&r, "cpus=200");
    struct hq_buf lines = HQ_BUF_INIT;
    struct hq_buf want = HQ_BUF_INIT;
    for (int i = 0; i < 150; i++) {
        hq_buf_printf(&lines, "%d;\n", i);
    }
    for (int i = 75; i < 150; i++) { /* 0-74 were written second */
        hq_buf_printf(&want, "%d;", i);
    }
    for (int i = 0; i < 75; i++) {
        hq_buf_printf(&want, "%d;", i);
    }
    rig_array(&r, &(struct rig_job){.ids = "1000-1074,0-74", .entries = lines.ptr});
    rig_schedule(&r);
    assert_true(rig_saw(&r, "ids=0-74,1000-1074 entries="));
    assert_true(rig_saw(&r, want.ptr));
    hq_buf_fini(&lines);
    hq_buf_fini(&want);
    rig_check_replay(&r);
    rig_fini(&r);
}

static void
stdin_comes_before_the_body(void **state)
{
    (void)state;
    struct rig r;
    static char data[1200000];
    one_worker(&r, "cpus=1");
    memset(data, 'x', sizeof(data));
    struct hq_str arg = HQ_STR("cat");
    struct task_desc d = {.args = &arg, .arg_count = 1, .has_stdin = true, .request = *rig_cpus(&r, 1)};
    struct submit_part parts[2] = {{.descs = &d, .desc_count = 1, .stdin_data = {.ptr = data, .len = 700000}},
                                   {.stdin_data = {.ptr = data, .len = 500000}}};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = 50, .uid = 1000}};
    in.u.submit =
        (struct input_submit){.name = HQ_STR("c"), .auto_count = 1, .parts = parts, .part_count = 2, .upload_id = 9};
    rig_step(&r, &in);
    assert_true(rig_saw(&r, "submit-part upload=9"));
    rig_schedule(&r);
    assert_true(rig_saw(&r, "[stdin job=1 offset=0 bytes=524288]"));
    assert_false(rig_saw(&r, "[body")); /* the answer is full */
    rig_turn(&r, 1, "");
    rig_schedule(&r);
    rig_turn(&r, 1, "");
    rig_schedule(&r);
    const char *last = strstr(r.log.ptr, "[stdin job=1 offset=1048576 bytes=151424]");
    assert_non_null(last);
    const char *body = strstr(r.log.ptr, "[body job=1 desc=0]");
    assert_non_null(body);
    assert_true(last < body && body < strstr(r.log.ptr, "[assign job=1"));
    rig_check_replay(&r);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_goes_once),
        cmocka_unit_test(large_answers_are_cut),
        cmocka_unit_test(entries_are_found),
        cmocka_unit_test(stdin_comes_before_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
