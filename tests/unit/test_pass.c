/* One pass: the promises of the specification about values, priorities, gaps, multi-node tasks, minimal utilization. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Jobs are numbered by their place. "PRIORITY:CPUS" or "PRIORITY:CPUSxCOUNT", blanks between; '*' = all cpus;
 * "wN" behind gives a weight of N/100. */
static void
submit_jobs(struct rig *r, const char *text)
{
    struct hq_str rest = hq_str_from(text);
    struct hq_str word;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, ' ', &word);
        char *spec = hq_str_dupz(word);
        char *at = NULL;
        struct rig_job j = {.priority = (int32_t)strtoul(spec, &at, 10), .count = 1};
        assert_int_equal(*at, ':');
        double cpus = at[1] == '*' ? -1 : strtod(at + 1, &at);
        at = at[0] == ':' ? at + 2 : at;
        struct hq_request *req = rig_cpus(r, cpus);
        if (*at == 'x') {
            j.count = (uint32_t)strtoul(at + 1, &at, 10);
        }
        if (*at == 'w') {
            req->variants[0].weight_x10000 = strtoul(at + 1, &at, 10) * 100;
        }
        assert_int_equal(*at, '\0');
        j.request = req;
        rig_array(r, &j);
        free(spec);
    }
}

/* What each worker was given, placed tasks only: "1: 1x2 3x1; 2: 2x1" = worker 1 has two tasks of job 1 and one of 3. */
static char *
placements(const struct rig *r)
{
    struct hq_buf out = HQ_BUF_INIT;
    struct hq_arena arena;
    struct query_server server;
    struct query_job_list list;
    hq_arena_init(&arena, 0);
    query_server(r->core, &server);
    query_job_list(r->core, &(struct query_job_list_args){.bytes_max = SIZE_MAX}, &arena, &list);
    for (uint32_t w = 1; w <= server.last_worker.v; w++) {
        hq_buf_printf(&out, "%s%u:", w == 1 ? "" : "; ", w);
        for (size_t i = 0; i < list.count; i++) {
            /* The dump names holder and state of each task. */
            struct hq_buf dump = HQ_BUF_INIT;
            query_dump(r->core, true, &dump);
            char head[32];
            char holder[32];
            (void)snprintf(head, sizeof(head), "job %u ", list.jobs[i].job.v);
            (void)snprintf(holder, sizeof(holder), " worker=%u ", w);
            uint32_t n = 0;
            bool is_mine = false;
            struct hq_str rest = hq_buf_view(&dump);
            struct hq_str line;
            while (rest.len > 0) {
                (void)hq_str_split(&rest, '\n', &line);
                char *text = hq_str_dupz(line);
                if (hq_str_starts(line, HQ_STR("job ")) || hq_str_starts(line, HQ_STR("worker "))) {
                    is_mine = strncmp(text, head, strlen(head)) == 0;
                }
                n += is_mine && strstr(text, holder) != NULL && strstr(text, " assigned ") != NULL;
                free(text);
            }
            hq_buf_fini(&dump);
            if (n > 0) {
                hq_buf_printf(&out, " %ux%u", list.jobs[i].job.v, n);
            }
        }
    }
    hq_arena_fini(&arena);
    return hq_buf_take(&out);
}

static void
expect_placements(const struct rig *r, const char *what, const char *text)
{
    char *got = placements(r);
    if (strcmp(got, text) != 0) {
        fail_msg("%s: \"%s\" instead of \"%s\"", what, got, text);
    }
    free(got);
}

struct scene {
    const char *workers; /* cpus of each, blanks between */
    const char *jobs;
    const char *want;
};

static void
play(const struct scene *s)
{
    struct rig r;
    rig_init(&r);
    struct hq_str rest = hq_str_from(s->workers);
    struct hq_str word;
    for (uint32_t id = 1; rest.len > 0; id++) {
        (void)hq_str_split(&rest, ' ', &word);
        char pools[32];
        (void)snprintf(pools, sizeof(pools), "cpus=%.*s", HQ_STR_FMT(word));
        rig_worker(&r, pools, NULL);
        rig_turn(&r, id, "");
    }
    submit_jobs(&r, s->jobs);
    rig_schedule(&r);
    expect_placements(&r, s->jobs, s->want);
    rig_clear(&r);
    rig_expect(&r, ""); /* invariants */
    rig_fini(&r);
}

static void
values(void **state)
{
    (void)state;
    static const struct scene scenes[] = {
        {"4 4", "0:2 0:2", "1: 1x1 2x1; 2:"},  {"4 4", "0:2 0:2 0:2", "1: 1x1 2x1; 2: 3x1"},
        {"4 4", "0:2 0:3", "1: 2x1; 2: 1x1"},  {"4", "0:3w100 0:2w149", "1: 1x1"},
        {"4", "0:3w100 0:2w151", "1: 2x1"},    {"12", "0:3x4w110 0:*w100", "1: 1x4"},
        {"12", "0:3x4w100 0:*w110", "1: 2x1"}, {"12", "0:5x4 0:7x4", "1: 1x2 2x2"},
        {"5 5 5", "0:1 0:1 0:1", "1: 1x1 2x1 3x1; 2:; 3:"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(scenes); i++) {
        play(&scenes[i]);
    }
}

static void
priorities(void **state)
{
    (void)state;
    static const struct scene scenes[] = {
        {"4", "1:5 0:4", "1: 2x1"},             /* an impossible task blocks nobody */
        {"12", "1:8x2 0:4", "1: 1x2 2x1"},      /* the gap is given away (one of job 1 is queued ahead) */
        {"6", "1:3x3 0:2", "1: 1x3"},           /* no gap (the third one is queued ahead) */
        {"4", "9:2 7:1 6:2 5:1", "1: 1x1 2x1"}, /* 5 may not jump over 6 */
        {"4 4", "1:4 0:4x2", "1: 1x1; 2: 2x2"}, /* what is left over is for the next */
        {"2", "0:1x2 5:1x2", "1: 2x2"},         /* the higher one first, though younger */
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(scenes); i++) {
        play(&scenes[i]);
    }
}

/* A worker of three with one busy is kept for a task of three. */
static void
holds_the_only_worker(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=3", NULL);
    rig_turn(&r, 1, "");
    submit_jobs(&r, "5:1");
    rig_schedule(&r);
    submit_jobs(&r, "3:3 1:1");
    rig_schedule(&r);
    expect_placements(&r, "kept", "1: 1x1");
    rig_fini(&r);
}

/* Of two such workers only one is kept for one such task. */
static void
holds_one_of_two(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=3", NULL);
    rig_turn(&r, 1, "");
    submit_jobs(&r, "5:1 5:2"); /* fill the first, so that the next one goes to the second */
    rig_schedule(&r);
    rig_worker(&r, "cpus=3", NULL);
    rig_turn(&r, 2, "");
    submit_jobs(&r, "5:1");
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 2@0");
    rig_schedule(&r);
    expect_placements(&r, "one busy on each", "1: 1x1; 2: 3x1");
    submit_jobs(&r, "3:3 1:2");
    rig_schedule(&r);
    expect_placements(&r, "kept", "1: 1x1; 2: 3x1 5x1");
    rig_fini(&r);
}

static void
several_resources(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=6 gpus=2", NULL);
    rig_turn(&r, 1, "");
    rig_array(&r, &(struct rig_job){.count = 10, .request = rig_cpus(&r, 2)});
    rig_array(&r, &(struct rig_job){.count = 10, .request = rig_two(&r, "cpus", 2, "gpus", 1)});
    rig_schedule(&r);
    /* Two with a GPU, one without; what is queued ahead of both comes behind what is to start. */
    assert_true(rig_saw(&r, "job=2 instance=0 ids=0-1\n"));
    assert_true(rig_saw(&r, "job=1 instance=0 ids=0\n"));
    assert_true(rig_saw(&r, "job=2 instance=0 ids=2-3\n"));
    assert_true(rig_saw(&r, "job=1 instance=0 ids=1\n"));
    struct hq_buf dump = HQ_BUF_INIT;
    query_dump(r.core, true, &dump);
    assert_non_null(strstr(dump.ptr, "placed=2 queued=2"));
    assert_non_null(strstr(dump.ptr, "placed=1 queued=1"));
    hq_buf_fini(&dump);
    rig_array(&r, &(struct rig_job){.count = 1, .request = rig_two(&r, "cpus", 1, "fpgas", 1)});
    rig_clear(&r);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "job=3"));     /* nobody has that */
    rig_worker(&r, "cpus=1 fpgas=1", NULL); /* now somebody has */
    rig_turn(&r, 2, "");
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=3"));
    rig_fini(&r);
}

static void
variants(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=16 gpus=4", NULL);
    rig_turn(&r, 1, "");
    struct hq_request *a = rig_two(&r, "cpus", 1, "gpus", 1);
    struct hq_request *b = rig_cpus(&r, 4);
    struct hq_variant v[2] = {a->variants[0], b->variants[0]};
    struct hq_request both = {.variants = v, .variant_count = 2};
    rig_array(&r, &(struct rig_job){.count = 7, .request = &both});
    rig_schedule(&r);
    rig_clear(&r);
    struct hq_buf dump = HQ_BUF_INIT;
    query_dump(r.core, true, &dump);
    assert_non_null(strstr(dump.ptr, "variant=0 placed=4 queued=0"));
    assert_non_null(strstr(dump.ptr, "variant=1 placed=3 queued=0"));
    hq_buf_fini(&dump);
    rig_expect(&r, "");
    rig_fini(&r);
}

static void
life_of_a_worker(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    r.worker_time_limit_ms = 60000;
    rig_worker(&r, "cpus=4", NULL);
    rig_turn(&r, 1, "");
    rig_wait(&r, 1000);
    rig_array(&r, &(struct rig_job){.min_time_ms = 60000});
    rig_array(&r, &(struct rig_job){.min_time_ms = 59000});
    rig_schedule(&r);
    expect_placements(&r, "time", "1: 2x1");
    r.worker_time_limit_ms = 0;
    rig_worker(&r, "cpus=1", NULL);
    rig_schedule(&r);
    expect_placements(&r, "time", "1: 2x1; 2: 1x1");
    rig_fini(&r);
}

static void
multi_node(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=4", "a");
    rig_worker(&r, "cpus=4", "b");
    rig_turn(&r, 1, "");
    rig_turn(&r, 2, "");
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 2)});
    rig_array(&r, &(struct rig_job){.count = 4, .cpus = 4, .priority = -1});
    rig_schedule(&r);
    /* No group has two: nothing is held back for it. */
    expect_placements(&r, "two groups", "1: 2x2; 2: 2x2");
    rig_worker(&r, "cpus=4", "b");
    rig_turn(&r, 3, "");
    rig_turn(&r, 2, "start 2@2");
    rig_clear(&r);
    rig_schedule(&r);
    /* Workers 2 and 3 are kept; the one queued ahead on 2 is asked back, 3 gets nothing else. */
    assert_true(rig_saw(&r, "retract job=2 ids=3"));
    assert_false(rig_saw(&r, "tasks-assigned worker=3"));
    struct hq_arena arena;
    struct query_worker_list list;
    hq_arena_init(&arena, 0);
    query_worker_list(r.core, &(struct query_worker_list_args){.bytes_max = SIZE_MAX}, &arena, &list);
    assert_int_equal(list.count, 3);
    assert_false(list.workers[0].is_reserved);
    assert_true(list.workers[1].is_reserved && list.workers[2].is_reserved);
    rig_turn(&r, 2, "finish 2@2 return 2@3");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=0 ids=0 nodes=2,3\n"));
    assert_true(rig_saw(&r, "hosts=node2,node3]"));
    query_worker_list(r.core, &(struct query_worker_list_args){.bytes_max = SIZE_MAX}, &arena, &list);
    assert_int_equal(list.workers[1].multi_node, 1);
    assert_int_equal(list.workers[2].multi_node, 2);
    rig_turn(&r, 2, "start 1@0");
    assert_true(rig_saw(&r, "tasks-started worker=2 job=1 instance=0 ids=0 at=999990 nodes=2,3"));
    rig_gone(&r, 3); /* not the root: the task goes on */
    rig_wait(&r, 2500);
    rig_expect_counts(&r, 1, "0/1/0/0/0/0");
    rig_turn(&r, 2, "finish 1@0");
    rig_clear(&r);
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "0/0/1/0/0/0");
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=2")); /* free again for others */
    rig_check_replay(&r);
    hq_arena_fini(&arena);
    rig_fini(&r);
}

static void
minimal_utilization(void **state)
{
    (void)state;
    for (uint32_t tasks = 2; tasks <= 3; tasks++) {
        struct rig r;
        rig_init(&r);
        r.worker_min_utilization_x10000 = 5100;
        rig_worker(&r, "cpus=12", NULL);
        rig_turn(&r, 1, "");
        rig_array(&r, &(struct rig_job){.count = tasks, .cpus = 3});
        rig_schedule(&r);
        expect_placements(&r, "utilization", tasks == 2 ? "1:" : "1: 1x3");
        rig_fini(&r);
    }
}

static void
blocked_until_something_ends(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=4", NULL);
    rig_turn(&r, 1, "");
    rig_array(&r, &(struct rig_job){.cpus = 1});
    rig_array(&r, &(struct rig_job){.cpus = 2});
    rig_schedule(&r);
    expect_placements(&r, "start", "1: 1x1 2x1");
    rig_turn(&r, 1, "start 1@0 reject 2@0");
    rig_schedule(&r);
    expect_placements(&r, "turned down", "1:"); /* job 1 runs: no longer only assigned */
    rig_turn(&r, 1, "");
    rig_schedule(&r);
    expect_placements(&r, "still", "1:");
    rig_turn(&r, 1, "finish 1@0");
    rig_schedule(&r);
    expect_placements(&r, "again", "1: 2x1");
    rig_turn(&r, 1, "no-time 2@0");
    rig_schedule(&r);
    rig_array(&r, &(struct rig_job){.cpus = 1});
    rig_schedule(&r);
    rig_turn(&r, 1, "finish 3@0");
    rig_schedule(&r);
    expect_placements(&r, "for ever", "1:");
    rig_fini(&r);
}

/* Starts are told before ends: both are booked for a moment, none for longer. */
static void
ends_and_starts_in_one_turn(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=4", NULL);
    rig_turn(&r, 1, "");
    rig_array(&r, &(struct rig_job){.count = 12});
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-3");
    rig_turn(&r, 1, "finish 1@0-3 start 1@4-7");
    struct hq_buf dump = HQ_BUF_INIT;
    query_dump(r.core, true, &dump);
    assert_non_null(strstr(dump.ptr, "cpus=0/40000"));
    hq_buf_fini(&dump);
    rig_clear(&r);
    rig_expect(&r, "");
    rig_fini(&r);
}

static bool
is_reserved(const struct rig *r)
{
    struct hq_arena arena;
    struct query_worker_list list;
    hq_arena_init(&arena, 0);
    query_worker_list(r->core, &(struct query_worker_list_args){.bytes_max = SIZE_MAX}, &arena, &list);
    bool is = list.workers[0].is_reserved;
    hq_arena_fini(&arena);
    return is;
}

/* A class that was passed over for a minute gets the worker kept; one that asks for everything at once. */
static void
passed_over(void **state)
{
    (void)state;
    for (int is_all = 0; is_all < 2; is_all++) {
        struct rig r;
        rig_init(&r);
        rig_worker(&r, "cpus=4", NULL);
        rig_turn(&r, 1, "");
        rig_array(&r, &(struct rig_job){.count = 100});
        rig_schedule(&r);
        rig_turn(&r, 1, "start 1@0-3");
        rig_array(&r, &(struct rig_job){.cpus = is_all ? 0 : 3, .request = is_all ? rig_cpus(&r, -1) : NULL});
        rig_schedule(&r);
        assert_false(is_reserved(&r));
        for (int s = 0; s < 60 && !is_all; s++) {
            rig_wait(&r, 1000);
            rig_turn(&r, 1, "");
            rig_schedule(&r);
            assert_false(is_reserved(&r));
        }
        rig_clear(&r);
        rig_wait(&r, 2);
        rig_schedule(&r);
        assert_true(is_reserved(&r));
        rig_turn(&r, 1, "");
        rig_schedule(&r);
        assert_true(rig_saw(&r, "retract job=1"));
        rig_turn(&r, 1, "return 1@4-7 finish 1@0-3");
        rig_clear(&r);
        rig_schedule(&r);
        assert_true(rig_saw(&r, "tasks-assigned worker=1 job=2"));
        assert_false(is_reserved(&r));
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(priorities),
        cmocka_unit_test(holds_the_only_worker),
        cmocka_unit_test(holds_one_of_two),
        cmocka_unit_test(several_resources),
        cmocka_unit_test(variants),
        cmocka_unit_test(life_of_a_worker),
        cmocka_unit_test(multi_node),
        cmocka_unit_test(minimal_utilization),
        cmocka_unit_test(blocked_until_something_ends),
        cmocka_unit_test(ends_and_starts_in_one_turn),
        cmocka_unit_test(passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
