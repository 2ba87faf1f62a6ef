/* The progress line in both forms, and what job counters amount to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "hq/progress.h"

struct counts { /* of one job */
    uint64_t waiting, running, finished, failed, canceled, aborted;
    bool is_open;
};

static void
make_job(Hq__JobInfo *job, Hq__JobCounts *counts, const struct counts *c)
{
    hq__job_info__init(job);
    hq__job_counts__init(counts);
    job->counts = counts;
    job->is_open = c->is_open;
    counts->waiting = c->waiting;
    counts->running = c->running;
    counts->finished = c->finished;
    counts->failed = c->failed;
    counts->canceled = c->canceled;
    counts->aborted = c->aborted;
}

static const struct {
    struct counts jobs[2];
    size_t count;
    const char *now;
    const char *old;
} lines[] = {
    {{{.waiting = 9764, .running = 4, .finished = 232}},
     1,
     "[##......................................] 0/1 jobs, 232/10000 tasks 4 RUNNING 232 FINISHED",
     "[##......................................] 0/1 jobs, 232/10000 tasks (4 RUNNING, 232 FINISHED)"},
    {{{.waiting = 3}},
     1,
     "[........................................] 0/1 jobs, 0/3 tasks ",
     "[........................................] 0/1 jobs, 0/3 tasks "},
    {{{.finished = 3}, {.failed = 1, .canceled = 1, .aborted = 1}},
     2,
     "[########################################] 2/2 jobs, 6/6 tasks 3 FINISHED 1 FAILED 1 CANCELED 1 ABORTED",
     "[########################################] 2/2 jobs, 5/6 tasks (3 FINISHED, 1 FAILED, 1 CANCELED)"},
    {{{.finished = 2, .is_open = true}},
     1,
     "[########################################] 0/1 jobs, 2/2 tasks 2 FINISHED", /* open: not completed */
     "[########################################] 0/1 jobs, 2/2 tasks (2 FINISHED)"},
    {{{0}},
     0,
     "[........................................] 0/0 jobs, 0/0 tasks ",
     "[........................................] 0/0 jobs, 0/0 tasks "},
};

static void
test_lines(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(lines); ix++) {
        Hq__JobInfo jobs[2];
        Hq__JobCounts counts[2];
        Hq__JobInfo *list[2] = {&jobs[0], &jobs[1]};
        struct hq_buf b = HQ_BUF_INIT;
        for (size_t k = 0; k < lines[ix].count; k++) {
            make_job(&jobs[k], &counts[k], &lines[ix].jobs[k]);
        }
        progress_line(&b, list, lines[ix].count, PROGRESS_NOW, false);
        assert_string_equal(b.ptr, lines[ix].now);
        hq_buf_clear(&b);
        progress_line(&b, list, lines[ix].count, PROGRESS_OLD, false);
        assert_string_equal(b.ptr, lines[ix].old);
        hq_buf_fini(&b);
    }
}

static void
test_colors(void **state)
{
    (void)state;
    Hq__JobInfo job;
    Hq__JobCounts counts;
    Hq__JobInfo *list[] = {&job};
    struct hq_buf b = HQ_BUF_INIT;
    make_job(&job, &counts, &(struct counts){.running = 1, .waiting = 39});
    progress_line(&b, list, 1, PROGRESS_NOW, true);
    assert_string_equal(b.ptr, "[\x1b[33m#\x1b[0m.......................................] 0/1 jobs, 0/40 tasks 1 "
                               "\x1b[33mRUNNING\x1b[0m");
    hq_buf_fini(&b);
}

static void
test_job_states(void **state)
{
    (void)state;
    static const struct {
        struct counts c;
        enum hq_task_state want;
        bool is_terminated;
        bool is_completed;
    } cases[] = {
        {{.running = 1, .waiting = 1, .failed = 1}, HQ_STATE_RUNNING, false, false},
        {{.waiting = 1, .failed = 1}, HQ_STATE_WAITING, false, false},
        {{.failed = 1, .aborted = 1, .canceled = 1, .is_open = true}, HQ_STATE_FAILED, true, false},
        {{.aborted = 1, .canceled = 1}, HQ_STATE_ABORTED, true, true},
        {{.canceled = 1, .finished = 1}, HQ_STATE_CANCELED, true, true},
        {{.finished = 1, .is_open = true}, HQ_STATE_OPENED, true, false},
        {{.finished = 1}, HQ_STATE_FINISHED, true, true},
        {{0}, HQ_STATE_FINISHED, true, true},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        Hq__JobInfo job;
        Hq__JobCounts counts;
        make_job(&job, &counts, &cases[ix].c);
        assert_int_equal(follow_job_state(&job), cases[ix].want);
        assert_int_equal(follow_is_terminated(&job), cases[ix].is_terminated);
        assert_int_equal(follow_is_completed(&job), cases[ix].is_completed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_job_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
