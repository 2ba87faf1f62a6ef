/* test_lane.c - order of tasks, entries beside their ids, withdrawals from the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/rng.h"
#include "hq-workerd/core/lane.h"

static struct batch *
make_batch(uint32_t job, uint32_t instance, uint32_t first, uint32_t count, uint32_t step, bool with_entries)
{
    struct body *body = body_create(job, 0);
    struct batch *b = batch_create(body);

    body_unref(body);
    b->instance = instance;
    hq_ranges_add(&b->ids, first, count, step);
    if (with_entries) {
        b->data = hq_xcalloc(count, 16);
        b->entries = hq_xcalloc(count, sizeof(*b->entries));
        for (uint32_t i = 0; i < count; i++) {
            int len = snprintf(b->data + 16 * i, 16, "e%u", first + i * step);
            b->entries[i] = hq_str_make(b->data + 16 * i, (size_t)len);
        }
    }
    return b;
}

/* Takes everything: "1.5=e5 ..." as job.id with entry. */
static void
take_all(struct lane *l, struct hq_buf *out)
{
    struct lane_task t;

    while (lane_take(l, 1000, &t) == LANE_TAKEN) {
        hq_buf_printf(out, "%s%u.%u", out->len > 0 ? " " : "", t.batch->body->job_id, t.task_id);
        if (t.batch->entries != NULL) {
            hq_buf_printf(out, "=%.*s", HQ_STR_FMT(t.entry));
        }
        lane_task_drop(&t);
    }
}

static void
expect_all(struct lane *l, const char *text)
{
    struct hq_buf out = HQ_BUF_INIT;

    take_all(l, &out);
    assert_string_equal(text, out.ptr == NULL ? "" : out.ptr);
    assert_int_equal(0, l->size);
    assert_null(l->head);
    hq_buf_fini(&out);
}

static void
test_order(void **state)
{
    struct lane l;

    (void)state;
    lane_init(&l);
    expect_all(&l, "");
    lane_push(&l, make_batch(1, 0, 10, 3, 2, true));
    lane_push(&l, make_batch(2, 0, 0, 2, 1, false));
    assert_int_equal(5, l.size);
    expect_all(&l, "1.10=e10 1.12=e12 1.14=e14 2.0 2.1");
    lane_push(&l, make_batch(3, 0, 7, 1, 1, false));
    expect_all(&l, "3.7");
    lane_fini(&l);
}

static void
test_withdraw(void **state)
{
    static const struct {
        const char *ids; /* NULL = all */
        uint32_t job;
        bool any_job, any_instance;
        uint32_t instance;
        const char *gone, *left;
    } rows[] = {
        {"3-5", 1, false, true, 0, "1:3-5", "1.2=e2 1.6=e6 1.7=e7 2.1 2.2 2.3 1.100"},
        {"1-1000", 1, false, false, 0, "1:2-7", "2.1 2.2 2.3 1.100"},
        {"1-1000", 1, false, true, 0, "1:2-7 1:100", "2.1 2.2 2.3"},
        {"1,3", 2, false, true, 0, "2:1,3", "1.2=e2 1.3=e3 1.4=e4 1.5=e5 1.6=e6 1.7=e7 2.2 1.100"},
        {"1", 1, false, true, 0, "", "1.2=e2 1.3=e3 1.4=e4 1.5=e5 1.6=e6 1.7=e7 2.1 2.2 2.3 1.100"}, /* 1 was taken before */
        {NULL, 0, true, true, 0, "1:2-7 2:1-3 1:100", ""},
        {"100", 1, false, false, 4, "1:100", "1.2=e2 1.3=e3 1.4=e4 1.5=e5 1.6=e6 1.7=e7 2.1 2.2 2.3"},
        {"2", 9, false, true, 0, "", "1.2=e2 1.3=e3 1.4=e4 1.5=e5 1.6=e6 1.7=e7 2.1 2.2 2.3 1.100"},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct hq_ranges ids = HQ_RANGES_INIT;
        struct lane_gone_list gone = {0};
        struct hq_buf text = HQ_BUF_INIT;
        struct lane_task t;
        struct lane l;
        lane_init(&l);
        lane_push(&l, make_batch(1, 0, 1, 7, 1, true));
        lane_push(&l, make_batch(2, 0, 1, 3, 1, false));
        lane_push(&l, make_batch(1, 4, 100, 1, 1, false));
        assert_int_equal(LANE_TAKEN, lane_take(&l, 0, &t));
        assert_int_equal(1, t.task_id);
        if (rows[i].ids != NULL) {
            assert_int_equal(0, hq_ranges_parse(&ids, hq_str_from(rows[i].ids), NULL));
        }
        struct lane_match m = {.job_id = rows[i].job,
                               .ids = rows[i].ids == NULL ? NULL : &ids,
                               .any_job = rows[i].any_job,
                               .any_instance = rows[i].any_instance,
                               .instance = rows[i].instance};
        assert_int_equal(0, lane_withdraw(&l, &m, &gone));
        for (size_t k = 0; k < gone.count; k++) {
            hq_buf_printf(&text, "%s%u:", k > 0 ? " " : "", gone.v[k].job_id);
            hq_ranges_print(&gone.v[k].ids, &text);
        }
        assert_string_equal(rows[i].gone, text.ptr == NULL ? "" : text.ptr);
        expect_all(&l, rows[i].left);
        assert_string_equal("e1", t.entry.ptr); /* the texts of a running task stay */
        lane_task_drop(&t);
        lane_gone_list_fini(&gone);
        hq_buf_fini(&text);
        hq_ranges_fini(&ids);
        lane_fini(&l);
    }
}

static void
test_latest_start(void **state)
{
    struct lane l;
    struct lane_task t;
    struct lane_gone_list gone = {0};
    struct batch *b = make_batch(1, 0, 1, 2, 1, false);
    struct lane_match late = {.any_job = true, .any_instance = true};

    (void)state;
    lane_init(&l);
    b->latest_start_ms = 500;
    lane_push(&l, b);
    lane_push(&l, make_batch(2, 0, 5, 1, 1, false));
    assert_int_equal(LANE_TAKEN, lane_take(&l, 500, &t)); /* just in time */
    lane_task_drop(&t);
    assert_int_equal(LANE_TOO_LATE, lane_take(&l, 501, &t));
    late.too_late_at_ms = 500;
    assert_int_equal(0, lane_withdraw(&l, &late, &gone));
    assert_int_equal(0, gone.count);
    late.too_late_at_ms = 501;
    assert_int_equal(0, lane_withdraw(&l, &late, &gone));
    assert_int_equal(1, gone.count);
    assert_int_equal(1, gone.v[0].job_id);
    assert_int_equal(LANE_TAKEN, lane_take(&l, 501, &t));
    assert_int_equal(2, t.batch->body->job_id);
    lane_task_drop(&t);
    lane_gone_list_fini(&gone);
    lane_fini(&l);
}

/* Random pushes, takes and withdrawals: each task comes out exactly once, with its own entry. */
static void
test_random(void **state)
{
    enum { TASKS = 5000 };

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint8_t *seen = hq_xcalloc(TASKS, 1);
        struct hq_rng rng;
        struct lane l;
        uint32_t next = 0, out = 0;
        hq_rng_init(&rng, seed);
        lane_init(&l);
        while (out < TASKS) {
            uint32_t kind = (uint32_t)hq_rng_below(&rng, 4);
            if (kind == 0 && next < TASKS) {
                uint32_t count = (uint32_t)hq_rng_between(&rng, 1, 40);
                count = HQ_MIN(count, TASKS - next);
                lane_push(&l, make_batch(1, 0, next, count, 1, hq_rng_chance(&rng, 1, 2)));
                next += count;
            } else if (kind == 1) {
                struct hq_ranges ids = HQ_RANGES_INIT;
                struct lane_gone_list gone = {0};
                hq_ranges_add(&ids, (uint32_t)hq_rng_below(&rng, TASKS), (uint32_t)hq_rng_between(&rng, 1, 10),
                              (uint32_t)hq_rng_between(&rng, 1, 3));
                struct lane_match m = {.job_id = 1, .ids = &ids, .any_instance = true};
                assert_int_equal(0, lane_withdraw(&l, &m, &gone));
                for (size_t i = 0; i < gone.count; i++) {
                    struct hq_ranges_iter it = hq_ranges_iter(&gone.v[i].ids);
                    uint32_t id;
                    while (hq_ranges_next(&it, &id)) {
                        assert_true(hq_ranges_has(&ids, id));
                        assert_int_equal(0, seen[id]++);
                        out++;
                    }
                }
                lane_gone_list_fini(&gone);
                hq_ranges_fini(&ids);
            } else {
                struct lane_task t;
                if (lane_take(&l, 0, &t) == LANE_TAKEN) {
                    char text[16];
                    assert_int_equal(0, seen[t.task_id]++);
                    out++;
                    (void)snprintf(text, sizeof text, "e%u", t.task_id);
                    assert_true(t.batch->entries == NULL || hq_str_is(t.entry, text));
                    lane_task_drop(&t);
                }
            }
        }
        assert_int_equal(0, l.size);
        lane_fini(&l);
        free(seen);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_withdraw),
        cmocka_unit_test(test_latest_start),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
