/* From demand to submissions: the worked table of the specification, and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base.h"
#include "hq-allocd/core/plan.h"

#define MANY 1000u

struct row {
    const char *name;
    struct plan_queue q;
    struct plan_alloc allocs[4];
    struct plan_nodes multi[3];
    uint32_t want[8];
};

static const struct row rows[] = {
    {"max workers cut the last",
     {.backlog = 4, .max_workers_per_alloc = 2, .max_workers = 3, .single = 4},
     {{0}},
     {{0}},
     {2, 1}},
    {"multi first, then single",
     {.backlog = 4, .max_workers_per_alloc = 2, .single = 3, .multi_count = 1},
     {{0}},
     {{2, 2}},
     {2, 2, 2, 1}},
    {"one of two is settled",
     {.backlog = 4, .max_workers_per_alloc = 3, .multi_count = 1, .alloc_count = 2},
     {{3, true, 3}, {1, true, 1}},
     {{2, 2}},
     {2}},
    {"what a settled one leaves settles single ones",
     {.backlog = 5, .max_workers_per_alloc = 2, .single = 4, .multi_count = 1, .alloc_count = 1},
     {{3, true, 3}},
     {{2, 2}},
     {2, 2, 1}},
    {"many wanted", {.backlog = 2, .max_workers_per_alloc = 4, .max_workers = 6, .single = MANY}, {{0}}, {{0}}, {4, 2}},
    {"nothing wanted", {.backlog = 2, .max_workers_per_alloc = 4}, {{0}}, {{0}}, {0}},
    {"backlog full",
     {.backlog = 1, .max_workers_per_alloc = 1, .single = 5, .alloc_count = 1},
     {{1, true, 1}},
     {{0}},
     {0}},
    {"running ones leave the backlog free",
     {.backlog = 1, .max_workers_per_alloc = 1, .single = 5, .alloc_count = 1},
     {{1, false, 0}},
     {{0}},
     {1}},
    {"running, workers not there yet: settled",
     {.backlog = 1, .max_workers_per_alloc = 1, .single = 1, .alloc_count = 1},
     {{1, false, 1}},
     {{0}},
     {0}},
    {"running ones count for max workers",
     {.backlog = 4, .max_workers_per_alloc = 2, .max_workers = 3, .single = 5, .alloc_count = 1},
     {{2, false, 0}},
     {{0}},
     {1}},
    {"one of its workers came before the others",
     {.backlog = 4, .max_workers_per_alloc = 3, .multi_count = 1, .alloc_count = 1},
     {{3, false, 2}},
     {{3, 1}},
     {0}},
    {"too large for the queue", {.backlog = 4, .max_workers_per_alloc = 2, .multi_count = 1}, {{0}}, {{3, 1}}, {0}},
    {"largest first", {.backlog = 4, .max_workers_per_alloc = 4, .multi_count = 2}, {{0}}, {{2, 1}, {4, 1}}, {4, 2}},
    {"max workers below the size",
     {.backlog = 4, .max_workers_per_alloc = 4, .max_workers = 1, .multi_count = 1},
     {{0}},
     {{4, 1}},
     {1}},
    {"keep warm without demand", {.backlog = 4, .max_workers_per_alloc = 2, .keep_warm = 3}, {{0}}, {{0}}, {2, 1}},
    {"keep warm is there",
     {.backlog = 4, .max_workers_per_alloc = 2, .keep_warm = 2, .alloc_count = 1},
     {{2, false, 0}},
     {{0}},
     {0}},
    {"keep warm is on its way",
     {.backlog = 4, .max_workers_per_alloc = 2, .keep_warm = 3, .alloc_count = 1},
     {{2, true, 2}},
     {{0}},
     {1}},
    {"an ending one is replaced",
     {.backlog = 4, .max_workers_per_alloc = 2, .ending = 2, .alloc_count = 1},
     {{2, false, 0}},
     {{0}},
     {2}},
    {"its replacement waits already",
     {.backlog = 4, .max_workers_per_alloc = 2, .ending = 2, .alloc_count = 2},
     {{2, false, 0}, {2, true, 2}},
     {{0}},
     {0}},
    {"keep warm outlives an ending one",
     {.backlog = 4, .max_workers_per_alloc = 2, .keep_warm = 2, .ending = 2, .alloc_count = 1},
     {{2, false, 0}},
     {{0}},
     {2}},
};

static void
test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct plan_queue q = rows[i].q;
        q.allocs = rows[i].allocs;
        q.multi = rows[i].multi;
        uint32_t got[PLAN_SUBMITS_MAX];
        size_t count = plan_submits(&q, got, PLAN_SUBMITS_MAX);
        size_t want = 0;
        while (want < 8 && rows[i].want[want] != 0) {
            want++;
        }
        if (count != want) {
            fail_msg("%s: %zu submissions, not %zu", rows[i].name, count, want);
        }
        for (size_t k = 0; k < want; k++) {
            if (got[k] != rows[i].want[k]) {
                fail_msg("%s: submission %zu has %u workers, not %u", rows[i].name, k, got[k], rows[i].want[k]);
            }
        }
    }
}

static void
test_bound(void **state)
{
    (void)state;
    struct plan_queue q = {.backlog = 100000, .max_workers_per_alloc = 1, .single = 100000};
    uint32_t got[8];
    assert_int_equal(plan_submits(&q, got, 8), 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
