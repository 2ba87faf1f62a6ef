/* test_link_msg.c - messages of turns: what goes out can be read back, what comes in is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/wire.h"
#include "hq-workerd/link_msg.h"

#include "proto/turn.pb-c.h"

static void
pack(struct hq_buf *out, const ProtobufCMessage *m)
{
    size_t size = protobuf_c_message_get_packed_size(m);

    hq_buf_clear(out);
    hq_buf_reserve(out, size + 1);
    (void)protobuf_c_message_pack(m, (uint8_t *)out->ptr);
    out->len = size;
}

static ProtobufCBinaryData
bytes(const char *text)
{
    union {
        const char *in;
        uint8_t *out;
    } p = {.in = text};

    return (ProtobufCBinaryData){.data = p.out, .len = strlen(text)};
}

/* Head and news are packed apart; together they must be one message. */
static void
test_turn(void **state)
{
    struct report *r = report_create();
    struct report_task t = {.job_id = 1, .task_id = 7, .instance = 2, .started_ms = 1000, .ended_ms = 1003};
    struct hq_buf news = HQ_BUF_INIT, out = HQ_BUF_INIT;
    struct hq_arena arena;
    struct turn_news n;
    unsigned char id[LINK_ID_BYTES] = {1, 2, 3};
    struct hq_wire_head head;
    struct hq_str body;
    ProtobufCMessage *base;
    struct hq_err err = {0};

    (void)state;
    hq_arena_init(&arena, 0);
    assert_int_equal(0, report_push_finished(r, &t));
    t.task_id = 8;
    assert_int_equal(0, report_push_finished(r, &t));
    t.task_id = 9;
    assert_int_equal(0, report_push_failed(r, &t, HQ_STR("oops")));
    assert_int_equal(0, report_push_notify(r, 1, 9, HQ_STR("hi")));
    report_pack(r, &arena, &n);
    struct link_gpu gpu = {.family = "Amd", .id = HQ_STR("c1"), .memory_percent = 5};
    float cpu = 12.5f;
    struct link_overview o = {.at_ms = 5, .cpu_percent = &cpu, .cpu_count = 1, .gpus = &gpu, .gpu_count = 1};
    link_pack_news(&news, &n, &o, &arena);
    struct link_turn_head h = {.worker_id = 3, .hqd_incarnation = id, .turn_seq = 99, .ack_command_seq = 4,
                               .leaving = LINK_REASON_IDLE, .round_trip_us = 70, .is_unsettled = true};
    assert_int_equal(0, link_pack_turn(&out, 5, &h, hq_buf_view(&news), &err));
    assert_int_equal(0, hq_wire_head(hq_buf_view(&out), &head, &body, &err));
    assert_int_equal(HQ__MESSAGE_TYPE__TYPE_TURN, head.type);
    assert_int_equal(5, head.request_id);
    assert_int_equal(0, hq_wire_unpack(body, &hq__turn__descriptor, &arena, &base, &err));
    const Hq__Turn *m = (const Hq__Turn *)(const void *)base;
    assert_int_equal(3, m->worker_id);
    assert_int_equal(99, m->turn_seq);
    assert_int_equal(4, m->ack_command_seq);
    assert_int_equal(HQ__WORKER_LOST_REASON__LOST_REASON_IDLE, m->leaving);
    assert_int_equal(70, m->round_trip_us);
    assert_true(m->is_unsettled);
    assert_int_equal(1, m->n_finished);
    assert_int_equal(3, m->finished[0]->ids->n_packed);
    assert_int_equal(2, m->finished[0]->ids->packed[1]);
    assert_int_equal(3, m->finished[0]->times->duration_ms[1]);
    assert_int_equal(9, m->failed[0]->task);
    assert_memory_equal("oops", m->failed[0]->error.data, 4);
    assert_int_equal(1, m->n_notifies);
    assert_true(m->overview->cpu_percent[0] == 12.5f);
    assert_string_equal("Amd", m->overview->gpus[0]->family);
    report_destroy(r);
    hq_buf_fini(&news);
    hq_buf_fini(&out);
    hq_arena_fini(&arena);
}

/* A short task costs about two bytes. */
static void
test_size(void **state)
{
    struct report *r = report_create();
    struct hq_buf news = HQ_BUF_INIT;
    struct hq_arena arena;
    struct turn_news n;

    (void)state;
    hq_arena_init(&arena, 0);
    for (uint32_t i = 0; i < 1000; i++) { /* two slots, a task a millisecond, out of order by pairs */
        struct report_task t = {.job_id = 5, .task_id = 100000 + (i ^ 1), .started_ms = 1800000000000 + i, .ended_ms = 1800000000002 + i};
        assert_int_equal(0, report_push_finished(r, &t));
    }
    report_pack(r, &arena, &n);
    link_pack_news(&news, &n, NULL, &arena);
    assert_true(news.len < 2100);
    report_destroy(r);
    hq_buf_fini(&news);
    hq_arena_fini(&arena);
}

static void
test_register(void **state)
{
    struct hq_arena arena;
    struct hq_pool pools_v[2];
    struct hq_pools pools = {.v = pools_v, .count = 2};
    const char *const families[] = {"Nvidia", NULL};
    const struct hq_str addresses[] = {HQ_STR("10.0.0.1"), HQ_STR("127.0.0.1")};
    struct link_worker w = {.hostname = HQ_STR("node1"), .group = HQ_STR("g"), .work_dir = HQ_STR("/wd"),
                            .listen_address = HQ_STR("node1:1"), .heartbeat_ms = 8000, .min_utilization_x10000 = 3000,
                            .manager = HQ_MANAGER_SLURM, .manager_job_id = HQ_STR("55"), .pools = &pools,
                            .gpu_families = families, .started_ms = 77, .pid = 12, .addresses = addresses,
                            .address_count = 2};
    hq_wall_ms started[2] = {1000, 1010};
    struct link_held_list held = {0};
    struct hq_buf out = HQ_BUF_INIT;
    struct hq_wire_head head;
    struct hq_str body;
    ProtobufCMessage *base;
    struct hq_err err = {0};

    (void)state;
    hq_arena_init(&arena, 0);
    assert_int_equal(0, hq_pool_parse(&pools_v[0], HQ_STR("cpus"), HQ_STR("[[0,1],[2]]"), true, &arena, &err));
    assert_int_equal(0, hq_pool_parse(&pools_v[1], HQ_STR("mem"), HQ_STR("sum(10.5)"), false, &arena, &err));
    held.v = hq_xcalloc(1, sizeof(*held.v));
    held.count = 1;
    held.v[0] = (struct link_held){.job_id = 4, .instance = 1, .is_running = true};
    held.v[0].started_ms = hq_xmemdup(started, sizeof started);
    hq_ranges_add(&held.v[0].ids, 5, 2, 1);
    for (uint32_t worker_id = 0; worker_id < 2; worker_id++) {
        hq_buf_clear(&out);
        assert_int_equal(0, link_pack_register(&out, 1, &w, worker_id, 9, &held, &err));
        assert_int_equal(0, hq_wire_head(hq_buf_view(&out), &head, &body, &err));
        assert_int_equal(0, hq_wire_unpack(body, &hq__register__descriptor, &arena, &base, &err));
        const Hq__Register *m = (const Hq__Register *)(const void *)base;
        assert_int_equal(9, m->next_turn_seq);
        assert_int_equal(worker_id, m->n_held); /* who was never registered holds nothing */
        assert_int_equal(HQ__MANAGER__MANAGER_SLURM, m->config->manager);
        assert_int_equal(2, m->config->pools->n_pools);
        assert_int_equal(2, m->config->pools->pools[0]->n_groups);
        assert_int_equal(105000, m->config->pools->pools[1]->sum);
        assert_int_equal(1, m->config->n_gpu_families);
        assert_int_equal(2, m->config->n_addresses);
        assert_memory_equal("10.0.0.1", m->config->addresses[0].data, 8);
        if (worker_id > 0) {
            assert_int_equal(1000, m->held[0]->times->base_ms);
            assert_int_equal(0, m->held[0]->times->started[0]);
            assert_int_equal(10, m->held[0]->times->started[1]);
        }
    }
    link_held_list_fini(&held);
    hq_buf_fini(&out);
    hq_arena_fini(&arena);
}

static void
test_registered(void **state)
{
    struct hq_buf b = HQ_BUF_INIT;
    struct hq_arena arena;
    struct link_registered r;
    struct hq_err err = {0};
    uint32_t ids[3] = {1, 2, 1};

    (void)state;
    hq_arena_init(&arena, 0);
    for (int bad = 0; bad < 6; bad++) {
        Hq__Registered m = HQ__REGISTERED__INIT;
        Hq__HeldTasks drop = HQ__HELD_TASKS__INIT, *drops[1] = {&drop};
        Hq__Ranges ranges = HQ__RANGES__INIT;
        m.worker_id = bad == 1 ? 0 : 4;
        m.hqd_incarnation = bytes(bad == 2 ? "short" : "0123456789abcdef");
        m.next_command_seq = bad == 3 ? 0 : 7;
        m.server_uid = bytes("uid");
        drop.job = 9;
        ranges.packed = ids;
        ranges.n_packed = bad == 4 ? 2 : 3;
        ids[1] = bad == 5 ? 0 : 2;
        drop.ids = &ranges;
        m.drop = drops;
        m.n_drop = 1;
        Hq__Leave member = HQ__LEAVE__INIT;
        member.job = 3;
        member.task = 8;
        member.instance = 2;
        m.member = &member;
        pack(&b, &m.base);
        assert_int_equal(bad == 0 ? 0 : -EPROTO, link_read_registered(hq_buf_view(&b), &arena, &r, &err) < 0 ? -EPROTO : 0);
        if (bad == 0) {
            assert_int_equal(4, r.worker_id);
            assert_true(hq_str_is(r.server_uid, "uid"));
            assert_int_equal(2, hq_ranges_size(&r.drop[0].ids));
            assert_true(r.has_member && r.member_job == 3 && r.member_task == 8 && r.member_instance == 2);
        }
    }
    assert_true(link_read_registered(HQ_STR("\xff\xff\xff"), &arena, &r, &err) < 0);
    hq_buf_fini(&b);
    hq_arena_fini(&arena);
}

struct answer { /* one command in an answer, made wrong in one way at a time */
    Hq__TurnAnswer m;
    Hq__Command command, *commands[1];
    Hq__Body body;
    Hq__TaskDesc desc;
    ProtobufCBinaryData args[2];
    Hq__EnvVar env, *envs[1];
    Hq__Request request;
    Hq__Variant variant, *variants[1];
    Hq__RequestEntry entry, *entries[1];
    Hq__Stdio out;
    Hq__Assign assign;
    Hq__Ranges ids;
    uint32_t packed[3];
    Hq__Entries task_entries;
    uint32_t lens[2];
};

static void
answer_init(struct answer *a, bool is_body)
{
    *a = (struct answer){.m = HQ__TURN_ANSWER__INIT, .command = HQ__COMMAND__INIT, .body = HQ__BODY__INIT,
                         .desc = HQ__TASK_DESC__INIT, .env = HQ__ENV_VAR__INIT, .request = HQ__REQUEST__INIT,
                         .variant = HQ__VARIANT__INIT, .entry = HQ__REQUEST_ENTRY__INIT, .out = HQ__STDIO__INIT,
                         .assign = HQ__ASSIGN__INIT, .ids = HQ__RANGES__INIT, .task_entries = HQ__ENTRIES__INIT};
    a->m.command_seq = 3;
    a->m.ack_turn_seq = 2;
    a->commands[0] = &a->command;
    a->m.commands = a->commands;
    a->m.n_commands = 1;
    a->args[0] = bytes("prog");
    a->args[1] = bytes("x y");
    a->desc.args = a->args;
    a->desc.n_args = 2;
    a->env.key = bytes("K");
    a->env.value = bytes("V");
    a->envs[0] = &a->env;
    a->desc.env = a->envs;
    a->desc.n_env = 1;
    a->entry.name = bytes("cpus");
    a->entry.amount = 10000;
    a->entries[0] = &a->entry;
    a->variant.entries = a->entries;
    a->variant.n_entries = 1;
    a->variants[0] = &a->variant;
    a->request.variants = a->variants;
    a->request.n_variants = 1;
    a->desc.request = &a->request;
    a->desc.stdout = &a->out;
    a->body.job = 5;
    a->body.desc_id = 1;
    a->body.desc = &a->desc;
    a->body.submit_dir = bytes("/home");
    a->packed[0] = 10;
    a->packed[1] = 2;
    a->packed[2] = 1;
    a->ids.packed = a->packed;
    a->ids.n_packed = 3;
    a->lens[0] = 1;
    a->lens[1] = 3;
    a->task_entries.lens = a->lens;
    a->task_entries.n_lens = 2;
    a->task_entries.data = bytes("abcd");
    a->assign.job = 5;
    a->assign.desc_id = 1;
    a->assign.ids = &a->ids;
    a->assign.entries = &a->task_entries;
    a->command.what_case = is_body ? HQ__COMMAND__WHAT_BODY : HQ__COMMAND__WHAT_ASSIGN;
    if (is_body) {
        a->command.body = &a->body;
    } else {
        a->command.assign = &a->assign;
    }
}

static int
answer_read(struct answer *a, struct hq_arena *arena, struct link_answer *ret)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    struct hq_err err = {0};

    pack(&b, &a->m.base);
    return link_read_answer(hq_arena_str(arena, hq_buf_view(&b)), arena, ret, &err);
}

static void
test_body(void **state)
{
    struct hq_arena arena;
    struct link_answer r;
    struct answer a;

    (void)state;
    hq_arena_init(&arena, 0);
    answer_init(&a, true);
    assert_int_equal(0, answer_read(&a, &arena, &r));
    assert_int_equal(3, r.command_seq);
    assert_int_equal(LINK_BODY, r.commands[0].kind);
    const struct body *b = r.commands[0].body;
    assert_int_equal(5, b->job_id);
    assert_true(hq_str_is(b->args[1], "x y"));
    assert_true(hq_str_is(b->env[0].key, "K"));
    assert_int_equal(10000, b->request.variants[0].weight_x10000);
    assert_int_equal(BODY_STDIO_FILE, b->err.kind);
    link_answer_fini(&r);
    for (int bad = 1; bad <= 12; bad++) {
        answer_init(&a, true);
        switch (bad) {
        case 1:
            a.desc.n_args = 0;
            break;
        case 2:
            a.args[1] = (ProtobufCBinaryData){.data = bytes("a\0b").data, .len = 3};
            break;
        case 3:
            a.env.key = (ProtobufCBinaryData){.data = bytes("K\0").data, .len = 2};
            break;
        case 4:
            a.desc.request = NULL;
            break;
        case 5:
            a.request.n_variants = 0;
            break;
        case 6:
            a.entry.amount = 0;
            break;
        case 7:
            a.entry.policy = (Hq__Policy)99;
            break;
        case 8:
            a.out.kind = (Hq__StdioKind)99;
            break;
        case 9:
            a.desc.pin = (Hq__PinMode)99;
            break;
        case 10:
            a.body.desc = NULL;
            break;
        case 11:
            a.out.path = (ProtobufCBinaryData){.data = bytes("a\0b").data, .len = 3};
            break;
        default:
            a.command.what_case = HQ__COMMAND__WHAT__NOT_SET;
            break;
        }
        int rc = answer_read(&a, &arena, &r);
        if (rc != -EPROTO) {
            fail_msg("case %d: %d", bad, rc);
        }
    }
    hq_arena_fini(&arena);
}

static void
test_assign(void **state)
{
    struct hq_arena arena;
    struct link_answer r;
    struct answer a;

    (void)state;
    hq_arena_init(&arena, 0);
    answer_init(&a, false);
    assert_int_equal(0, answer_read(&a, &arena, &r));
    struct body *body = body_create(5, 1);
    struct batch *batch = link_make_batch(&r.commands[0], body);
    assert_int_equal(2, hq_ranges_size(&batch->ids));
    assert_true(hq_str_is(batch->entries[0], "a"));
    assert_true(hq_str_is(batch->entries[1], "bcd"));
    batch_unref(batch);
    body_unref(body);
    link_answer_fini(&r);
    for (int bad = 1; bad <= 6; bad++) {
        answer_init(&a, false);
        switch (bad) {
        case 1:
            a.ids.n_packed = 0;
            break;
        case 2:
            a.packed[1] = 0; /* count */
            break;
        case 3:
            a.packed[0] = UINT32_MAX; /* goes over the end */
            break;
        case 4:
            a.lens[1] = 4; /* more than there is */
            break;
        case 5:
            a.task_entries.n_lens = 1; /* not one per id */
            break;
        default:
            a.packed[1] = 1u << 30; /* more than any message holds */
            a.assign.entries = NULL;
            break;
        }
        assert_true(answer_read(&a, &arena, &r) < 0);
    }
    hq_arena_fini(&arena);
}

/* ---- tasks of several nodes */

struct nodes { /* a Step of three nodes, seen from the second one */
    Hq__Step m;
    Hq__StepNode node[3];
    Hq__StepNode *list[3];
    ProtobufCBinaryData keys[3], addresses[2];
};

static void
nodes_init(struct nodes *n)
{
    static const char key[] = "0123456789abcdef0123456789abcdef";

    *n = (struct nodes){.m = HQ__STEP__INIT};
    for (uint32_t i = 0; i < 3; i++) {
        hq__step_node__init(&n->node[i]);
        n->node[i].host = bytes(i == 0 ? "n0.x" : i == 1 ? "n1.x" : "n2.x");
        n->node[i].port = 4000 + i;
        n->node[i].ranks = 2;
        n->list[i] = &n->node[i];
        n->keys[i] = bytes(key);
    }
    n->addresses[0] = bytes("10.0.0.1");
    n->addresses[1] = bytes("::1");
    n->node[0].addresses = n->addresses;
    n->node[0].n_addresses = 2;
    n->keys[1] = (ProtobufCBinaryData){0};
    n->m.nodes = n->list;
    n->m.n_nodes = n->m.n_keys = 3;
    n->m.keys = n->keys;
    n->m.node_index = 1;
}

static void
test_join(void **state)
{
    struct hq_arena arena;
    struct link_answer r;
    struct answer a;
    struct nodes n;
    Hq__Join join;

    (void)state;
    hq_arena_init(&arena, 0);
    for (int row = 0; row <= 9; row++) {
        answer_init(&a, false);
        nodes_init(&n);
        hq__join__init(&join);
        join.job = 5;
        join.desc_id = 1;
        join.task = 8;
        join.instance = 2;
        join.entry = bytes("row");
        join.step = &n.m;
        a.command.what_case = HQ__COMMAND__WHAT_JOIN;
        a.command.join = &join;
        switch (row) {
        case 1:
            join.step = NULL;
            break;
        case 2:
            n.m.n_nodes = n.m.n_keys = 0;
            break;
        case 3:
            n.m.node_index = 3;
            break;
        case 4:
            n.m.n_keys = 2;
            break;
        case 5:
            n.keys[2].len = 31;
            break;
        case 6:
            n.node[2].host.len = 0;
            break;
        case 7:
            n.node[2].port = 65536;
            break;
        case 8:
            n.node[2].ranks = (1u << 16) + 1;
            break;
        case 9:
            n.node[2].host = bytes("a\0b");
            n.node[2].host.len = 3;
            break;
        }
        int rc = answer_read(&a, &arena, &r);
        if (row > 0) {
            assert_int_equal(-EPROTO, rc);
            continue;
        }
        assert_int_equal(0, rc);
        const struct link_command *c = &r.commands[0];
        assert_true(c->kind == LINK_JOIN && c->job_id == 5 && c->desc_id == 1 && c->task_id == 8 && c->instance == 2);
        assert_true(hq_str_is(c->data, "row"));
        assert_true(c->step->node_count == 3 && c->step->node_ix == 1);
        assert_string_equal("n2.x", c->step->nodes[2].host.ptr);
        assert_true(c->step->nodes[2].port == 4002 && c->step->nodes[2].ranks == 2);
        assert_int_equal(2, c->step->nodes[0].address_count);
        assert_string_equal("::1", c->step->nodes[0].addresses[1].ptr);
        assert_memory_equal("0123456789abcdef", c->step->keys[0], 16);
        assert_int_equal(0, c->step->keys[1][0]);
        link_answer_fini(&r);
        assert_null(r.commands[0].step);
    }
    hq_arena_fini(&arena);
}

/* The batch shares the nodes, and the body says how many ranks. */
static void
test_assign_with_nodes(void **state)
{
    struct hq_arena arena;
    struct link_answer r;
    struct answer a;
    struct nodes n;
    Hq__Mpi mpi = HQ__MPI__INIT;

    (void)state;
    hq_arena_init(&arena, 0);
    answer_init(&a, false);
    nodes_init(&n);
    a.assign.step = &n.m;
    assert_int_equal(0, answer_read(&a, &arena, &r));
    struct body *body = body_create(5, 1);
    struct batch *batch = link_make_batch(&r.commands[0], body);
    assert_ptr_equal(r.commands[0].step, batch->step);
    link_answer_fini(&r);
    assert_string_equal("n0.x", batch->step->nodes[0].host.ptr); /* it holds them */
    batch_unref(batch);
    body_unref(body);
    answer_init(&a, true);
    mpi.ranks_per_node = 4;
    mpi.tag_output = true;
    a.desc.mpi = &mpi;
    assert_int_equal(0, answer_read(&a, &arena, &r));
    assert_true(r.commands[0].body->mpi.is_on && r.commands[0].body->mpi.ranks_per_node == 4);
    assert_true(r.commands[0].body->mpi.tag_output && r.commands[0].body->with_task_dir);
    link_answer_fini(&r);
    mpi.wire_up = (Hq__MpiWireUp)7;
    assert_int_equal(-EPROTO, answer_read(&a, &arena, &r));
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn),       cmocka_unit_test(test_size), cmocka_unit_test(test_register),
        cmocka_unit_test(test_registered), cmocka_unit_test(test_body), cmocka_unit_test(test_assign),
        cmocka_unit_test(test_join),       cmocka_unit_test(test_assign_with_nodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
