/* The worker's side of the builders: registrations and turns from a few words. */
#include "common/mem.h"
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* "cpus=4 gpus=2": ranges from 0. */
static struct hq_pools
make_pools(struct rig *r, const char *text)
{
    struct hq_pools pools = {.v = hq_arena_array(&r->arena, 8, sizeof(*pools.v))};
    struct hq_err err = {0};
    struct hq_str rest = hq_str_from(text);
    struct hq_str item;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, ' ', &item);
        struct hq_str value = item;
        struct hq_str name;
        assert_true(hq_str_split(&value, '=', &name));
        struct hq_pool *p = &pools.v[pools.count++];
        char *count = hq_str_dupz(value);
        *p =
            (struct hq_pool){.name = name, .kind = HQ_POOL_RANGE, .range_last = (uint32_t)strtoul(count, NULL, 10) - 1};
        free(count);
    }
    assert_int_equal(hq_pools_sort(&pools, &err), 0);
    return pools;
}

static void
fill_incarnation(unsigned char *bytes, uint32_t worker)
{
    memset(bytes, 0, INCARNATION_BYTES);
    bytes[0] = (unsigned char)worker;
    bytes[15] = 0xee;
}

static uint32_t
last_worker(const struct rig *r)
{
    struct query_server q;
    query_server(r->core, &q);
    return q.last_worker.v;
}

void
rig_worker(struct rig *r, const char *pools, const char *group)
{
    struct input in = {.kind = INPUT_REGISTER};
    struct input_register *reg = &in.u.reg;
    uint32_t next = last_worker(r) + 1;
    reg->handle = ++r->handle;
    fill_incarnation(reg->incarnation, next);
    reg->config = (struct worker_config){
        .hostname = hq_str_from(hq_arena_printf(&r->arena, "node%u", next)),
        .group = hq_str_from(group == NULL ? "default" : group),
        .heartbeat_ms = 8000,
        .pools = make_pools(r, pools),
        .idle_timeout_ms = r->worker_idle_ms,
        .is_idle_timeout_set = r->worker_idle_ms > 0,
        .time_limit_ms = r->worker_time_limit_ms,
        .min_utilization_x10000 = r->worker_min_utilization_x10000,
        .listen_address = hq_str_from(hq_arena_printf(&r->arena, "node%u:%u", next, 41000 + next)),
    };
    struct hq_str *address = hq_arena_alloc(&r->arena, sizeof(*address));
    *address = hq_str_from(hq_arena_printf(&r->arena, "10.0.0.%u", next));
    reg->config.addresses = address;
    reg->config.address_count = 1;
    reg->next_turn_seq = 1;
    reg->started_ms = r->now.wall_ms;
    rig_step(r, &in);
    uint32_t id = last_worker(r);
    assert_true(id < RIG_WORKERS);
    r->turn_seq[id] = 0;
    r->command_seq[id] = 0;
}

void
rig_worker_again(struct rig *r, uint32_t worker, const struct held_tasks *held, size_t held_count)
{
    struct input in = {.kind = INPUT_REGISTER};
    struct input_register *reg = &in.u.reg;
    reg->handle = ++r->handle;
    fill_incarnation(reg->incarnation, worker);
    reg->worker.v = worker;
    reg->config = (struct worker_config){.hostname = HQ_STR("again"),
                                         .group = HQ_STR("default"),
                                         .heartbeat_ms = 8000,
                                         .pools = make_pools(r, "cpus=4")};
    reg->held = held;
    reg->held_count = held_count;
    reg->next_turn_seq = r->turn_seq[worker] + 1;
    rig_step(r, &in);
}

/* ---- news */
struct news {
    struct rig *r;
    struct tasks_started started[16];
    struct tasks_finished finished[16];
    struct task_failed failed[16];
    struct tasks_returned returned[16];
    struct input_turn turn;
};

static struct task_times
make_times(struct rig *r, const struct hq_ranges *ids, bool with_duration)
{
    size_t n = (size_t)hq_ranges_size(ids);
    int64_t *started = hq_arena_array(&r->arena, n, sizeof(*started));
    uint64_t *duration = hq_arena_array(&r->arena, n, sizeof(*duration));
    for (size_t i = 0; i < n; i++) {
        duration[i] = r->duration_ms == 0 ? 10 : r->duration_ms;
    }
    return (struct task_times){
        .base_ms = r->now.wall_ms - 10, .started = started, .duration_ms = with_duration ? duration : NULL, .count = n};
}

static void
add_news(struct news *n, struct hq_str verb, uint32_t job, uint32_t instance, const char *ids)
{
    struct rig *r = n->r;
    struct hq_ranges set = rig_ranges(r, ids);
    if (hq_str_is(verb, "start")) {
        n->started[n->turn.started_count++] =
            (struct tasks_started){.job = {job}, .instance = instance, .ids = set, .times = make_times(r, &set, false)};
    } else if (hq_str_is(verb, "finish")) {
        n->finished[n->turn.finished_count++] =
            (struct tasks_finished){.job = {job}, .instance = instance, .ids = set, .times = make_times(r, &set, true)};
    } else if (hq_str_is(verb, "fail")) {
        n->failed[n->turn.failed_count++] = (struct task_failed){
            .job = {job},
            .task = set.v[0].first,
            .instance = instance,
            .started_ms = r->now.wall_ms - 5,
            .ended_ms = r->now.wall_ms,
            .error = HQ_STR("boom"),
        };
    } else {
        enum return_reason why = hq_str_is(verb, "reject")      ? RETURN_REASON_REJECTED
                                 : hq_str_is(verb, "no-time")   ? RETURN_REASON_NO_TIME
                                 : hq_str_is(verb, "node-lost") ? RETURN_REASON_NODE_LOST
                                                                : RETURN_REASON_RETRACTED;
        assert_true(why != RETURN_REASON_RETRACTED || hq_str_is(verb, "return"));
        n->returned[n->turn.returned_count++] =
            (struct tasks_returned){.job = {job}, .instance = instance, .ids = set, .reason = why};
    }
}

void
rig_turn_seq(struct rig *r, uint32_t worker, uint64_t seq, const char *text)
{
    struct news n = {.r = r};
    struct hq_str rest = hq_str_from(text);
    struct hq_str word;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, ' ', &word);
        if (hq_str_is(word, "leave")) {
            n.turn.leaving = LOST_TIME_LIMIT;
            continue;
        }
        if (hq_str_is(word, "unsettled")) {
            n.turn.is_unsettled = true;
            continue;
        }
        struct hq_str verb = word;
        (void)hq_str_split(&rest, ' ', &word);
        char *target = hq_str_dupz(word); /* job@ids#instance */
        char *ids = NULL;
        uint32_t job = (uint32_t)strtoul(target, &ids, 10);
        assert_int_equal(*ids, '@');
        char *instance = strchr(ids, '#');
        if (instance != NULL) {
            *instance++ = '\0';
        }
        add_news(&n, verb, job, instance == NULL ? 0 : (uint32_t)strtoul(instance, NULL, 10), ids + 1);
        free(target);
    }
    n.turn.handle = ++r->handle;
    n.turn.worker.v = worker;
    n.turn.turn_seq = seq;
    n.turn.ack_command_seq = r->command_seq[worker];
    n.turn.started = n.started;
    n.turn.finished = n.finished;
    n.turn.failed = n.failed;
    n.turn.returned = n.returned;
    struct input in = {.kind = INPUT_TURN, .u.turn = n.turn};
    rig_step(r, &in);
}

void
rig_turn(struct rig *r, uint32_t worker, const char *text)
{
    rig_turn_seq(r, worker, ++r->turn_seq[worker], text);
}

void
rig_gone(struct rig *r, uint32_t worker)
{
    rig_step(r, &(struct input){.kind = INPUT_PEER_GONE, .u.peer.worker = {worker}});
}
