/* test_ingress_turn.c - a good turn and a good registration, each spoilt in one place: refused with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "hqd/convert.h"
#include "hqd/ingress.h"

static const struct hq_str incarnation = {.ptr = "0123456789abcdef", .len = 16};
static char long_text[HQ_ERROR_TEXT_BYTES_MAX + HQ_NOTIFY_BYTES_MAX + HQ_NAME_BYTES_MAX + 1];

struct mail { /* a worker's message with everything in it */
    Hq__Turn turn;
    Hq__Register reg;
    Hq__WorkerConfig config;
    Hq__Pools pools;
    Hq__Pool cpus, gpus;
    Hq__Pool *pool_list[2];
    Hq__PoolGroup group;
    Hq__PoolGroup *groups[1];
    ProtobufCBinaryData values[2];
    Hq__HeldTasks held;
    Hq__HeldTasks *helds[1];
    Hq__Ranges ids;
    uint32_t packed[6];
    Hq__TaskTimes starts, ends;
    int64_t started[4];
    uint64_t duration[4];
    Hq__TasksStarted s;
    Hq__TasksStarted *ss[1];
    Hq__TasksFinished f;
    Hq__TasksFinished *fs[1];
    Hq__TaskFailed bad;
    Hq__TaskFailed *bads[1];
    Hq__TasksReturned r;
    Hq__TasksReturned *rs[1];
    Hq__Notify n;
    Hq__Notify *ns[1];
};

static ProtobufCBinaryData
text(const char *s)
{
    return conv_bytes(hq_str_from(s));
}

static void
mail_init_turn(struct mail *m)
{
    hq__turn__init(&m->turn);
    hq__ranges__init(&m->ids);
    hq__task_times__init(&m->starts);
    hq__task_times__init(&m->ends);
    hq__tasks_started__init(&m->s);
    hq__tasks_finished__init(&m->f);
    hq__task_failed__init(&m->bad);
    hq__tasks_returned__init(&m->r);
    hq__notify__init(&m->n);
    static const uint32_t four[6] = {0, 2, 1, 10, 2, 5}; /* 0-1, 10 and 15 */
    memcpy(m->packed, four, sizeof four);
    m->ids.packed = m->packed;
    m->ids.n_packed = 6;
    m->starts.base_ms = m->ends.base_ms = 1000;
    m->starts.started = m->ends.started = m->started;
    m->starts.n_started = m->ends.n_started = m->ends.n_duration_ms = 4;
    m->ends.duration_ms = m->duration;
    m->s.ids = m->f.ids = m->r.ids = &m->ids;
    m->s.times = &m->starts;
    m->f.times = &m->ends;
    m->s.job = m->f.job = m->bad.job = m->r.job = m->n.job = 1;
    m->ss[0] = &m->s;
    m->fs[0] = &m->f;
    m->bads[0] = &m->bad;
    m->rs[0] = &m->r;
    m->ns[0] = &m->n;
    m->turn.hqd_incarnation = conv_bytes(incarnation);
    m->turn.worker_id = 1;
    m->turn.turn_seq = 3;
    m->turn.n_started = m->turn.n_finished = m->turn.n_failed = m->turn.n_returned = m->turn.n_notifies = 1;
    m->turn.started = m->ss;
    m->turn.finished = m->fs;
    m->turn.failed = m->bads;
    m->turn.returned = m->rs;
    m->turn.notifies = m->ns;
}

static void
mail_init_register(struct mail *m)
{
    hq__register__init(&m->reg);
    hq__worker_config__init(&m->config);
    hq__pools__init(&m->pools);
    hq__pool__init(&m->cpus);
    hq__pool__init(&m->gpus);
    hq__pool_group__init(&m->group);
    hq__held_tasks__init(&m->held);
    m->cpus.name = text("cpus");
    m->cpus.kind = HQ__POOL_KIND__POOL_RANGE;
    m->cpus.range_last = 3;
    m->values[0] = text("a");
    m->values[1] = text("b");
    m->group.values = m->values;
    m->group.n_values = 2;
    m->groups[0] = &m->group;
    m->gpus.name = text("gpus");
    m->gpus.kind = HQ__POOL_KIND__POOL_LIST;
    m->gpus.groups = m->groups;
    m->gpus.n_groups = 1;
    m->pool_list[0] = &m->cpus;
    m->pool_list[1] = &m->gpus;
    m->pools.pools = m->pool_list;
    m->pools.n_pools = 2;
    m->config.hostname = text("node");
    m->config.group = text("default");
    m->config.heartbeat_ms = 8000;
    m->config.pools = &m->pools;
    m->held.job = 1;
    m->held.ids = &m->ids;
    m->held.is_running = true;
    m->held.times = &m->starts;
    m->helds[0] = &m->held;
    m->reg.incarnation = conv_bytes(incarnation);
    m->reg.config = &m->config;
    m->reg.held = m->helds;
    m->reg.n_held = 1;
}

static int
through(uint16_t type, const ProtobufCMessage *msg, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf bytes = HQ_BUF_INIT;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct uploads uploads = {0};
    struct ingress_msg m;
    struct input in;

    hq_arena_init(&arena, INGRESS_ARENA_BYTES_MAX);
    assert_int_equal(0, hq_wire_pack(&bytes, type, 7, msg, NULL));
    int rc = ingress_open(PEER_WORKERS, hq_buf_view(&bytes), &arena, &m, err);
    rc = rc < 0 ? rc : ingress_input(&m, &uploads, incarnation, &arena, &in, err);
    uploads_fini(&uploads);
    return rc;
}

typedef void (*spoil_fn)(struct mail *m);
#define SPOIL(name, statement) static void name(struct mail *m) { statement; }

SPOIL(nothing, (void)m)
SPOIL(turn_zero, m->turn.turn_seq = 0)
SPOIL(half_triplet, m->ids.n_packed = 5)
SPOIL(no_ids, m->ids.n_packed = 0)
SPOIL(empty_range, m->packed[1] = 0)
SPOIL(no_step, m->packed[5] = 0)
SPOIL(same_twice, m->packed[3] = 1)
SPOIL(beyond_all_ids, m->packed[3] = UINT32_MAX)
SPOIL(endless, m->packed[4] = UINT32_MAX)
SPOIL(fewer_starts, m->starts.n_started = 3)
SPOIL(ends_of_starts, (m->starts.duration_ms = m->duration, m->starts.n_duration_ms = 4))
SPOIL(no_times, m->s.times = NULL)
SPOIL(fewer_ends, m->ends.n_duration_ms = 3)
SPOIL(long_error, m->bad.error = text(long_text))
SPOIL(odd_reason, m->r.reason = (Hq__ReturnReason)99)
SPOIL(negative_reason, m->r.reason = (Hq__ReturnReason)-1)
SPOIL(long_note, m->n.message = text(long_text))
SPOIL(odd_leaving, m->turn.leaving = (Hq__WorkerLostReason)77)
SPOIL(short_incarnation, m->reg.incarnation.len = 15)
SPOIL(no_config, m->reg.config = NULL)
SPOIL(no_heartbeat, m->config.heartbeat_ms = 0)
SPOIL(long_name, m->config.hostname = text(long_text))
SPOIL(no_pools, m->config.pools = NULL)
SPOIL(backwards, m->cpus.range_first = 9)
SPOIL(odd_pool, m->cpus.kind = (Hq__PoolKind)9)
SPOIL(nothing_of_it, (m->gpus.kind = HQ__POOL_KIND__POOL_SUM, m->gpus.sum = 0))
SPOIL(value_twice, m->values[1] = text("a"))
SPOIL(no_values, m->group.n_values = 0)
SPOIL(pool_twice, m->gpus.name = text("cpus"))
SPOIL(pool_without_name, m->gpus.name = text(""))
SPOIL(odd_policy, m->config.on_server_lost = (Hq__OnServerLost)9)

static void
check_table(uint16_t type, const spoil_fn *spoils, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mail m = {0};
        struct hq_err err = {0};
        mail_init_turn(&m);
        mail_init_register(&m);
        spoils[i](&m);
        int rc = through(type, type == HQ__MESSAGE_TYPE__TYPE_TURN ? &m.turn.base : &m.reg.base, &err);
        if (i == 0 ? rc != 0 : rc >= 0 || rc == -ESTALE || err.text[0] == '\0') { /* the first is not spoilt */
            fail_msg("row %zu: %d %s", i, rc, err.text);
        }
    }
}

static void
test_turns(void **state)
{
    static const spoil_fn spoils[] = {
        nothing,        turn_zero, half_triplet, no_ids,         empty_range, no_step,    same_twice, beyond_all_ids,  endless,
        fewer_starts, ends_of_starts, no_times,    fewer_ends, long_error, odd_reason,      negative_reason, long_note, odd_leaving};

    (void)state;
    check_table(HQ__MESSAGE_TYPE__TYPE_TURN, spoils, HQ_ARRAY_LEN(spoils));
}

static void
test_registrations(void **state)
{
    static const spoil_fn spoils[] = {nothing,   short_incarnation, no_config,     no_heartbeat, long_name,   no_pools,   backwards,
                                      odd_pool,  nothing_of_it,     value_twice,   no_values,    pool_twice,  pool_without_name,
                                      odd_policy, no_ids,            fewer_starts, same_twice,   half_triplet};

    (void)state;
    check_table(HQ__MESSAGE_TYPE__TYPE_REGISTER, spoils, HQ_ARRAY_LEN(spoils));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns), cmocka_unit_test(test_registrations)};

    memset(long_text, 'x', sizeof long_text - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
