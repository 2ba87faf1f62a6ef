/* Workers as hqd sends them: what is read, and what is refused. Wire forms of selections, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "hq/selector_wire.h"
#include "hq/worker_read.h"

static struct hq_arena arena;

static int
set_up(void **state)
{
    (void)state;
    hq_arena_init(&arena, 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    hq_arena_fini(&arena);
    return 0;
}

static ProtobufCBinaryData
bytes(const char *s)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)hq_arena_strz(&arena, hq_str_from(s)), .len = strlen(s)};
}

struct worker { /* one valid answer, to be spoiled */
    Hq__WorkerInfo info;
    Hq__WorkerConfig config;
    Hq__Pools pools;
    Hq__Pool cpus, mem, list;
    Hq__PoolGroup group;
    Hq__Coupling coupling;
    Hq__Pool *pool_list[3];
    Hq__PoolGroup *group_list[1];
    Hq__Coupling *coupling_list[1];
    ProtobufCBinaryData values[2];
};

static void
make_worker(struct worker *w)
{
    hq__worker_info__init(&w->info);
    hq__worker_config__init(&w->config);
    hq__pools__init(&w->pools);
    hq__pool__init(&w->cpus);
    hq__pool__init(&w->mem);
    hq__pool__init(&w->list);
    hq__pool_group__init(&w->group);
    hq__coupling__init(&w->coupling);
    w->info.worker = 3;
    w->info.config = &w->config;
    w->info.started_ms = 1000;
    w->info.last_job = 7;
    w->info.last_task = 0;
    w->info.assigned_tasks = 2;
    w->config.hostname = bytes("node1");
    w->config.heartbeat_ms = 8000;
    w->config.manager = HQ__MANAGER__MANAGER_SLURM;
    w->config.on_server_lost = HQ__ON_SERVER_LOST__LOST_STOP;
    w->config.pools = &w->pools;
    w->cpus.name = bytes("cpus");
    w->cpus.kind = HQ__POOL_KIND__POOL_RANGE;
    w->cpus.range_last = 3;
    w->list.name = bytes("foo");
    w->list.kind = HQ__POOL_KIND__POOL_LIST;
    w->list.groups = w->group_list;
    w->list.n_groups = 1;
    w->group_list[0] = &w->group;
    w->values[0] = bytes("a");
    w->values[1] = bytes("b");
    w->group.values = w->values;
    w->group.n_values = 2;
    w->mem.name = bytes("mem");
    w->mem.kind = HQ__POOL_KIND__POOL_SUM;
    w->mem.sum = 20485000;
    w->pool_list[0] = &w->cpus;
    w->pool_list[1] = &w->list;
    w->pool_list[2] = &w->mem;
    w->pools.pools = w->pool_list;
    w->pools.n_pools = 3;
    w->coupling.resource2 = 1;
    w->coupling.weight = 256;
    w->coupling_list[0] = &w->coupling;
    w->pools.couplings = w->coupling_list;
    w->pools.n_couplings = 1;
}

static void
test_read(void **state)
{
    (void)state;
    struct worker w;
    struct hq_worker_view v;
    make_worker(&w);
    assert_int_equal(worker_read(&v, &w.info, &arena, NULL), 0);
    assert_int_equal(v.worker_id, 3);
    assert_int_equal(v.state, HQ_WORKER_RUNNING);
    assert_true(v.has_runtime);
    assert_true(v.has_last_task);
    assert_int_equal(v.manager, HQ_MANAGER_SLURM);
    assert_int_equal(v.on_server_lost, HQ_LOST_STOP);
    assert_int_equal(v.pools->count, 3);
    assert_int_equal(v.pools->v[0].range_last, 3);
    assert_true(hq_str_is(v.pools->v[1].groups[0].values[1], "b"));
    assert_int_equal(v.pools->v[2].sum, 20485000);
    assert_int_equal(v.pools->coupling_count, 1);
    w.info.ended_ms = 5;
    w.info.reason = HQ__WORKER_LOST_REASON__LOST_REASON_IDLE;
    assert_int_equal(worker_read(&v, &w.info, &arena, NULL), 0);
    assert_int_equal(v.state, HQ_WORKER_IDLE_TIMEOUT);
    assert_false(v.has_runtime);
}

static void
test_damaged(void **state)
{
    (void)state;
    for (int spoil = 0; spoil < 7; spoil++) {
        struct worker w;
        struct hq_worker_view v;
        struct hq_err err = {0};
        make_worker(&w);
        switch (spoil) {
        case 0:
            w.info.config = NULL;
            break;
        case 1:
            w.info.reason = (Hq__WorkerLostReason)99;
            break;
        case 2:
            w.config.manager = (Hq__Manager)-1;
            break;
        case 3:
            w.config.on_server_lost = (Hq__OnServerLost)3;
            break;
        case 4:
            w.cpus.range_first = 4; /* behind its end */
            break;
        case 5:
            w.list.n_groups = 0;
            break;
        default:
            w.coupling.resource2 = 3; /* there are three pools */
            break;
        }
        assert_int_equal(worker_read(&v, &w.info, &arena, &err), -EPROTO);
        assert_string_equal(err.text, "The server sent a damaged description of a worker");
    }
}

static void
test_selections(void **state)
{
    (void)state;
    struct hq_selector s = {0};
    assert_int_equal(selector_parse(NULL, HQ_STR("1-3,10-20:5"), &s, &arena, NULL), 0);
    Hq__Selector *wire = selector_wire(&s, &arena);
    static const uint32_t want[] = {1, 3, 1, 10, 3, 5};
    assert_int_equal(wire->kind, HQ__SELECT_KIND__SELECT_RANGES);
    assert_int_equal(wire->ids->n_packed, 6);
    assert_memory_equal(wire->ids->packed, want, sizeof want);
    struct hq_ranges back = HQ_RANGES_INIT;
    assert_int_equal(selector_ranges_read(&back, wire->ids, NULL), 0);
    assert_int_equal(hq_ranges_size(&back), 6);
    hq_ranges_fini(&back);
    hq_ranges_fini(&s.ids);

    assert_int_equal(selector_parse(NULL, HQ_STR("all"), &s, &arena, NULL), 0);
    assert_int_equal(selector_wire(&s, &arena)->kind, HQ__SELECT_KIND__SELECT_ALL);
    assert_int_equal(selector_parse_one(NULL, HQ_STR("last"), &s, &arena, NULL), 0);
    assert_int_equal(s.kind, HQ_SELECT_LAST);
    assert_int_equal(selector_parse_one(NULL, HQ_STR("5"), &s, &arena, NULL), 0);
    assert_int_equal(s.kind, HQ_SELECT_RANGES);
    assert_true(hq_ranges_has(&s.ids, 5));
    hq_ranges_fini(&s.ids);
    assert_true(selector_parse_one(NULL, HQ_STR("1-2"), &s, &arena, NULL) < 0);
}

static void
test_damaged_ranges(void **state)
{
    (void)state;
    static const struct {
        uint32_t v[4];
        size_t count;
    } cases[] = {
        {{1, 2}, 2}, {{1, 0, 1}, 3}, {{1, 2, 0}, 3}, {{UINT32_MAX, 2, 1}, 3}, {{0, UINT32_MAX, UINT32_MAX}, 3}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        Hq__Ranges wire = HQ__RANGES__INIT;
        struct hq_ranges r = HQ_RANGES_INIT;
        uint32_t copy[4];
        memcpy(copy, cases[ix].v, sizeof copy);
        wire.packed = copy;
        wire.n_packed = cases[ix].count;
        assert_int_equal(selector_ranges_read(&r, &wire, NULL), -EPROTO);
        hq_ranges_fini(&r);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_selections),
        cmocka_unit_test(test_damaged_ranges),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
