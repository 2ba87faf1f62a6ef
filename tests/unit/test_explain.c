/* Where a task could run: every connected worker's whole against every variant, as text. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* "END dependencies waiting/all", then an item a line. */
static void
expect(struct rig *r, uint32_t job, uint32_t task, const char *want)
{
    static const char *const ends[] = {"found", "no job", "no task", "ended"};
    static const char *const kinds[] = {"resource", "time", "nodes"};
    struct query_explain x;
    struct hq_buf got = HQ_BUF_INIT;
    enum query_explain_end end =
        query_explain(r->core, (hq_job_id){job}, (hq_task_ix){task}, r->now.wall_ms, &r->arena, &x);
    hq_buf_printf(&got, "%s %u/%u\n", ends[end], x.waiting_deps, x.dep_count);
    for (size_t i = 0; i < x.count; i++) {
        const struct query_explain_item *e = &x.items[i];
        hq_buf_printf(&got, "worker=%u variant=%u %s", e->worker.v, e->variant, kinds[e->kind]);
        if (e->kind == QUERY_EXPLAIN_RESOURCE) {
            hq_buf_cstr(&got, " ");
            hq_buf_str(&got, e->name);
        }
        if (e->is_unlimited) {
            hq_buf_printf(&got, " %lu of no end", (unsigned long)e->requested);
        } else {
            hq_buf_printf(&got, " %lu of %lu", (unsigned long)e->requested, (unsigned long)e->provided);
        }
        hq_buf_cstr(&got, e->is_enough ? "\n" : " too few\n");
    }
    assert_string_equal(got.ptr, want);
    hq_buf_fini(&got);
}

static void
names_what_is_missing(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "gpus", 2, "cpus", 4)});
    expect(&r, 1, 0, "found 0/0\n");
    rig_worker(&r, "cpus=4 gpus=1", NULL);
    rig_worker(&r, "cpus=2", NULL);
    rig_worker(&r, "cpus=8 gpus=2", NULL);
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=1 variant=0 resource cpus 40000 of 40000\n"
           "worker=1 variant=0 resource gpus 20000 of 10000 too few\n"
           "worker=2 variant=0 resource cpus 40000 of 20000 too few\n"
           "worker=2 variant=0 resource gpus 20000 of 0 too few\n"
           "worker=3 variant=0 resource cpus 40000 of 80000\n"
           "worker=3 variant=0 resource gpus 20000 of 20000\n");
    rig_turn(&r, 1, "leave");
    rig_turn(&r, 2, "leave");
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=3 variant=0 resource cpus 40000 of 80000\n"
           "worker=3 variant=0 resource gpus 20000 of 20000\n");
    rig_fini(&r);
}

static void
counts_life_that_is_left(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.min_time_ms = 60000});
    rig_worker(&r, "cpus=1", NULL);
    r.worker_time_limit_ms = 90000;
    rig_worker(&r, "cpus=1", NULL);
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=1 variant=0 time 60000 of no end\n"
           "worker=1 variant=0 resource cpus 10000 of 10000\n"
           "worker=2 variant=0 time 60000 of 90000\n"
           "worker=2 variant=0 resource cpus 10000 of 10000\n");
    rig_turn(&r, 1, "leave");
    r.now.wall_ms += 40000;
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=2 variant=0 time 60000 of 50000 too few\n"
           "worker=2 variant=0 resource cpus 10000 of 10000\n");
    r.now.wall_ms += 400000;
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=2 variant=0 time 60000 of 0 too few\n"
           "worker=2 variant=0 resource cpus 10000 of 10000\n");
    rig_fini(&r);
}

/* A task of many nodes asks for members of one group, whatever they have. */
static void
counts_the_group(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 2)});
    rig_worker(&r, "cpus=1", "a");
    rig_worker(&r, "cpus=1", "b");
    rig_worker(&r, "cpus=1", "b");
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=1 variant=0 nodes 2 of 1 too few\n"
           "worker=2 variant=0 nodes 2 of 2\n"
           "worker=3 variant=0 nodes 2 of 2\n");
    rig_turn(&r, 3, "leave");
    expect(&r, 1, 0,
           "found 0/0\n"
           "worker=1 variant=0 nodes 2 of 1 too few\n"
           "worker=2 variant=0 nodes 2 of 1 too few\n");
    rig_fini(&r);
}

static void
counts_dependencies(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_graph(&r, 0, "1 2 3:1,2 4");
    rig_worker(&r, "cpus=4", NULL);
    expect(&r, 1, 3, "found 2/2\nworker=1 variant=0 resource cpus 10000 of 40000\n");
    expect(&r, 1, 4, "found 0/0\nworker=1 variant=0 resource cpus 10000 of 40000\n");
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@1 finish 1@1");
    expect(&r, 1, 3, "found 1/2\nworker=1 variant=0 resource cpus 10000 of 40000\n");
    rig_fini(&r);
}

static void
knows_what_has_no_answer(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.ids = "0-3"});
    rig_worker(&r, "cpus=4", NULL);
    expect(&r, 2, 0, "no job 0/0\n");
    expect(&r, 1, 4, "no task 0/0\n");
    rig_schedule(&r);
    rig_turn(&r, 1, "start 1@0-3 finish 1@0 fail 1@1");
    expect(&r, 1, 0, "ended 0/0\n");
    expect(&r, 1, 1, "ended 0/0\n");
    expect(&r, 1, 2, "found 0/0\nworker=1 variant=0 resource cpus 10000 of 40000\n");
    rig_cancel(&r, "1", "enough");
    expect(&r, 1, 3, "ended 0/0\n");
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_is_missing),    cmocka_unit_test(counts_life_that_is_left),
        cmocka_unit_test(counts_the_group),         cmocka_unit_test(counts_dependencies),
        cmocka_unit_test(knows_what_has_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
