/* Answers to workers as bytes: what a step says, who joins and leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/wire.h"
#include "hqd/convert.h"
#include "hqd/egress.h"

static const struct hq_str addresses[] = {{.ptr = "10.0.0.1", .len = 8}, {.ptr = "fd00::1", .len = 7}};
static const struct step_node nodes[] = {
    {.host = {.ptr = "n1.x", .len = 4}, .addresses = addresses, .address_count = 2, .port = 4001, .ranks = 3},
    {.host = {.ptr = "n2.x", .len = 4}, .ranks = 2},
};
static const unsigned char keys[2][STEP_KEY_BYTES] = {{1, 2, 3}, {0}};
static const struct step step_of_second = {.nodes = nodes, .node_count = 2, .node_ix = 1, .keys = keys};

static void *
unpack(const struct hq_buf *out, uint16_t type, const ProtobufCMessageDescriptor *kind)
{
    struct hq_wire_head head;
    struct hq_str body;
    assert_int_equal(hq_wire_head(hq_buf_view(out), &head, &body, NULL), 0);
    assert_int_equal(head.type, type);
    return protobuf_c_message_unpack(kind, NULL, body.len, (const uint8_t *)body.ptr);
}

static void
check_step(const Hq__Step *s)
{
    assert_non_null(s);
    assert_int_equal(s->node_index, 1);
    assert_int_equal(s->n_nodes, 2);
    assert_int_equal(s->n_keys, 2);
    assert_int_equal(s->nodes[0]->n_addresses, 2);
    assert_true(hq_str_is(conv_str(s->nodes[0]->addresses[1]), "fd00::1"));
    assert_true(hq_str_is(conv_str(s->nodes[1]->host), "n2.x"));
    assert_true(s->nodes[0]->port == 4001 && s->nodes[0]->ranks == 3 && s->nodes[1]->ranks == 2);
    assert_int_equal(s->keys[0].len, STEP_KEY_BYTES);
    assert_memory_equal(s->keys[0].data, keys[0], STEP_KEY_BYTES);
    assert_int_equal(s->keys[1].len, 0); /* its own */
}

static void
joins_and_leaves(void **state)
{
    (void)state;
    static const struct hq_range one[] = {{.first = 5, .count = 1, .step = 1}};
    const struct command commands[] = {
        {.kind = COMMAND_JOIN,
         .u.join = {.job = {4}, .desc_id = 2, .task = 5, .instance = 3, .entry = HQ_STR("e"), .step = &step_of_second}},
        {.kind = COMMAND_LEAVE, .u.leave = {.job = {4}, .task = 5, .instance = 3}},
        {.kind = COMMAND_ASSIGN, .u.assign = {.job = {4}, .ids = {.v = (struct hq_range *)(uintptr_t)one, .count = 1}, .step = &step_of_second}},
        {.kind = COMMAND_ASSIGN, .u.assign = {.job = {4}, .ids = {.v = (struct hq_range *)(uintptr_t)one, .count = 1}}},
    };
    struct turn_answer t = {.handle = 1, .command_seq = 1, .commands = commands, .command_count = 4};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    egress_turn(&out, 9, &t, &arena);
    Hq__TurnAnswer *m = unpack(&out, HQ__MESSAGE_TYPE__TYPE_TURN_ANSWER, &hq__turn_answer__descriptor);
    assert_non_null(m);
    assert_int_equal(m->n_commands, 4);
    const Hq__Join *j = m->commands[0]->join;
    assert_int_equal(m->commands[0]->what_case, HQ__COMMAND__WHAT_JOIN);
    assert_true(j->job == 4 && j->desc_id == 2 && j->task == 5 && j->instance == 3);
    assert_true(hq_str_is(conv_str(j->entry), "e"));
    check_step(j->step);
    const Hq__Leave *l = m->commands[1]->leave;
    assert_int_equal(m->commands[1]->what_case, HQ__COMMAND__WHAT_LEAVE);
    assert_true(l->job == 4 && l->task == 5 && l->instance == 3);
    check_step(m->commands[2]->assign->step);
    assert_null(m->commands[3]->assign->step);
    hq__turn_answer__free_unpacked(m, NULL);
    hq_arena_fini(&arena);
}

static void
membership(void **state)
{
    (void)state;
    for (int is_member = 0; is_member < 2; is_member++) {
        struct registered r = {.handle = 1, .worker = {3}, .next_command_seq = 1, .is_member = is_member == 1};
        r.member = (struct command_leave){.job = {4}, .task = 5, .instance = 6};
        HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
        struct hq_arena arena;
        hq_arena_init(&arena, 0);
        egress_registered(&out, 9, &r, HQ_STR("uid"), HQ_STR("0123456789abcdef"), &arena);
        Hq__Registered *m = unpack(&out, HQ__MESSAGE_TYPE__TYPE_REGISTERED, &hq__registered__descriptor);
        assert_non_null(m);
        assert_int_equal(m->member != NULL, is_member);
        assert_true(m->member == NULL || (m->member->job == 4 && m->member->task == 5 && m->member->instance == 6));
        hq__registered__free_unpacked(m, NULL);
        hq_arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(joins_and_leaves), cmocka_unit_test(membership)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
