/* Demand: the worked tables of the specification, asked of the scheduler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hqd/core/query_alloc.h"
#include "tests/unit/build.h"

struct queue_spec {
    const char *cpus; /* described resources "cpus=4 gpus=2", NULL = none */
    uint32_t backlog;
    uint32_t per_alloc;
    uint32_t min_utilization_x10000;
    hq_ms time_limit_ms; /* 0 = 1 h */
};

static struct hq_pools
make_pools(struct rig *r, const char *text)
{
    struct hq_pools pools = {.v = hq_arena_array(&r->arena, 8, sizeof(*pools.v))};
    struct hq_str rest = hq_str_from(text);
    for (bool has_more = text[0] != '\0'; has_more;) {
        struct hq_str word;
        struct hq_str name;
        has_more = hq_str_split(&rest, ' ', &word);
        (void)hq_str_split(&word, '=', &name);
        bool is_cpus = hq_str_is(name, "cpus");
        HQ_AUTO(hq_buf_fini) struct hq_buf kind = HQ_BUF_INIT;
        hq_buf_printf(&kind, is_cpus ? "%.*s" : "sum(%.*s)", HQ_STR_FMT(word));
        assert_int_equal(hq_pool_parse(&pools.v[pools.count++], name, hq_buf_view(&kind), is_cpus, &r->arena, NULL), 0);
    }
    assert_int_equal(hq_pools_sort(&pools, NULL), 0);
    return pools;
}

static void
add_queue(struct rig *r, const struct queue_spec *q)
{
    struct input in = {.kind = INPUT_ALLOC_ADD, .from = {.handle = ++r->handle, .uid = r->uid}};
    in.u.alloc_add.params = (struct alloc_params){
        .manager = WORKER_MANAGER_SLURM,
        .time_limit_ms = q->time_limit_ms == 0 ? 3600000 : q->time_limit_ms,
        .idle_timeout_ms = 300000,
        .backlog = HQ_MAX(q->backlog, 1u),
        .max_workers_per_alloc = HQ_MAX(q->per_alloc, 1u),
        .min_utilization_x10000 = q->min_utilization_x10000,
    };
    if (q->cpus != NULL) {
        in.u.alloc_add.params.has_pools = true;
        in.u.alloc_add.params.pools = make_pools(r, q->cpus);
    }
    rig_step(r, &in);
    rig_clear(r);
}

static void
report(struct rig *r, enum alloc_report_kind kind, uint32_t queue, uint32_t number, uint32_t workers, const char *id)
{
    struct alloc_report rep = {.kind = kind,
                               .a = {.queue = {queue},
                                     .number = number,
                                     .worker_count = workers,
                                     .work_dir = HQ_STR("/d"),
                                     .allocation_id = hq_str_from(id)}};
    struct input in = {.kind = INPUT_ALLOC_REPORTS, .u.alloc_reports = {.v = &rep, .count = 1}};
    rig_step(r, &in);
    rig_clear(r);
}

/* A queue whose workers are known: one came, and went. */
static void
learn(struct rig *r, uint32_t queue, const char *pools)
{
    struct record rec = {.kind = RECORD_ALLOC_QUEUE_SHAPE, .seq = core_newest_seq(r->core) + 1};
    rec.u.alloc_shape = (struct record_alloc_shape){.queue = {queue}, .pools = make_pools(r, pools)};
    assert_int_equal(core_apply(r->core, &rec, NULL), 0);
}

static void
expect(struct rig *r, const char *want)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
    struct query_demand *v;
    size_t count;
    hq_arena_init(&arena, 0);
    rig_schedule(r);
    query_demand(r->core, &r->now, &arena, &v, &count);
    for (size_t i = 0; i < count; i++) {
        hq_buf_printf(&got, "%s%u:%u", i == 0 ? "" : " ", v[i].queue.v, v[i].single);
        for (size_t k = 0; k < v[i].multi_count; k++) {
            hq_buf_printf(&got, "+%ux%u", v[i].multi[k].count, v[i].multi[k].nodes);
        }
        if (v[i].ending > 0) {
            hq_buf_printf(&got, " ending %u", v[i].ending);
        }
    }
    assert_string_equal(got.len == 0 ? "" : got.ptr, want);
    rig_clear(r);
}

static void
test_too_large(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 3});
    rig_array(&r, &(struct rig_job){.count = 5, .cpus = 8});
    expect(&r, "1:0");
    rig_fini(&r);
}

static void
test_as_many_as_needed(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=2", .backlog = 5, .per_alloc = 2});
    rig_array(&r, &(struct rig_job){.count = 5, .cpus = 2});
    expect(&r, "1:5");
    rig_array(&r, &(struct rig_job){.count = 50, .cpus = 2});
    expect(&r, "1:10"); /* no more than the queue can ask for */
    rig_fini(&r);
}

static void
test_min_utilization(void **state)
{
    (void)state;
    static const struct {
        const char *known;
        uint32_t backlog;
        uint32_t share;
        const char *want;
    } cases[] = {
        {"cpus=12", 1, 0, "1:1"}, {"cpus=12", 1, 3000, "1:1"}, {"cpus=12", 1, 5000, "1:0"},
        {"cpus=3", 2, 0, "1:2"},  {"cpus=3", 2, 5000, "1:2"},  {"cpus=3", 2, 7000, "1:1"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct rig r;
        rig_init(&r);
        add_queue(&r, &(struct queue_spec){.backlog = cases[i].backlog, .min_utilization_x10000 = cases[i].share});
        learn(&r, 1, cases[i].known);
        rig_array(&r, &(struct rig_job){.count = 1, .cpus = 3});
        rig_array(&r, &(struct rig_job){.count = 2, .cpus = 1});
        expect(&r, cases[i].want);
        rig_fini(&r);
    }
}

static void
test_min_utilization_described(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=8", .backlog = 1, .min_utilization_x10000 = 5000});
    rig_array(&r, &(struct rig_job){.count = 3});
    expect(&r, "1:0"); /* before any worker was seen */
    rig_array(&r, &(struct rig_job){.count = 1});
    expect(&r, "1:1");
    rig_fini(&r);
}

static void
test_order_of_queues(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){0});
    add_queue(&r, &(struct queue_spec){0});
    rig_array(&r, &(struct rig_job){.count = 1});
    expect(&r, "1:1 2:0");
    rig_fini(&r);
}

static void
test_probing(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.backlog = 5, .per_alloc = 4});
    rig_array(&r, &(struct rig_job){.count = 5000, .cpus = 64});
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "cpus", 1, "foo", 7), .count = 9});
    expect(&r, "1:1"); /* all waiting work fits one worker that nobody knows */
    rig_fini(&r);
}

static void
test_resources(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=8 gpus=4", .backlog = 3});
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "cpus", 1, "gpus", 2), .count = 10});
    expect(&r, "1:3");
    rig_fini(&r);
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=8", .backlog = 3});
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "cpus", 1, "gpus", 2), .count = 10});
    expect(&r, "1:2"); /* any number of GPUs may be there */
    rig_fini(&r);
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 5});
    rig_array(&r, &(struct rig_job){.request = rig_two(&r, "cpus", 2, "gpus", 1), .count = 6});
    expect(&r, "1:3");
    learn(&r, 1, "cpus=4"); /* a worker came: there are none */
    expect(&r, "1:0");
    rig_fini(&r);
}

static void
test_connected_workers(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 5});
    rig_worker(&r, "cpus=4", "default");
    rig_array(&r, &(struct rig_job){.count = 4});
    expect(&r, "1:0"); /* assigned tasks do not count */
    rig_fini(&r);
}

static void
test_dependencies(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=1", .backlog = 9});
    rig_graph(&r, 0, "1 2:1 3:1 4:2,3");
    expect(&r, "1:1");
    rig_fini(&r);
}

static void
test_time(void **state)
{
    (void)state;
    static const struct {
        int64_t min_time_ms;
        const char *want;
    } cases[] = {{3599999, "1:1"}, {3600000, "1:0"}, {7200000, "1:0"}}; /* all of it is never there */
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct rig r;
        rig_init(&r);
        add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 5});
        rig_array(&r, &(struct rig_job){.count = 1, .min_time_ms = cases[i].min_time_ms});
        expect(&r, cases[i].want);
        rig_fini(&r);
    }
}

static void
test_multi(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 4, .per_alloc = 2});
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 4, .per_alloc = 4});
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 2), .count = 2});
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 3), .count = 1});
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 5), .count = 1}); /* nobody can hold it */
    expect(&r, "1:0+2x2 2:0+1x3");
    rig_fini(&r);
}

static void
test_priority(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 1});
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 1});
    rig_array(&r, &(struct rig_job){.count = 4, .priority = 1});
    rig_array(&r, &(struct rig_job){.count = 4, .priority = 5});
    expect(&r, "1:1 2:1");
    rig_fini(&r);
}

static void
test_room(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_queue(&r, &(struct queue_spec){.cpus = "cpus=4", .backlog = 1});
    rig_array(&r, &(struct rig_job){.count = 9});
    expect(&r, "1:1");
    report(&r, ALLOC_REPORT_PLANNED, 1, 1, 1, "");
    expect(&r, ""); /* its backlog is full: nothing is asked */
    report(&r, ALLOC_REPORT_QUEUED, 1, 1, 1, "77");
    expect(&r, "");
    report(&r, ALLOC_REPORT_STARTED, 1, 1, 1, "77");
    expect(&r, "1:2"); /* one has started and its worker will come: what is beyond it is asked for, too */
    struct input pause = {.kind = INPUT_ALLOC_PAUSE, .from = {.handle = ++r.handle, .uid = r.uid}};
    pause.u.alloc_pause = (struct input_alloc_pause){.queue = {1}, .is_pause = true};
    rig_step(&r, &pause);
    expect(&r, "");
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_as_many_as_needed),
        cmocka_unit_test(test_min_utilization),
        cmocka_unit_test(test_min_utilization_described),
        cmocka_unit_test(test_order_of_queues),
        cmocka_unit_test(test_probing),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_connected_workers),
        cmocka_unit_test(test_dependencies),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_multi),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
