/* test_link.c - the worker's link against an hqd of a few lines: what is sent again, in which order commands run, how it
 * comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ev.h>
#include <sodium.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/net.h"
#include "common/wire.h"
#include "hq-workerd/link.h"
#include "hq-workerd/taskdir.h"

#include "proto/common.pb-c.h"
#include "proto/turn.pb-c.h"

#define DEADLINE_MS 20000
#define TURNS_MAX 64

struct turn_seen {
    struct hq_net_req req;
    uint64_t peer_id, request_id, seq, ack;
    uint32_t finished; /* tasks in it */
    uint32_t first_id;
    bool is_unsettled, is_answered;
    int leaving;
};

struct world {
    struct ev_loop *loop;
    struct hq_net_server *server;
    struct link *link;
    struct report *report;
    struct link_worker worker;
    struct hq_pools pools;
    struct hq_access access;
    char dir[64];
    /* hqd's side */
    uint32_t worker_id;     /* given to who registers; 0 = refuse */
    bool keeps_id;          /* gives back the id that was asked for */
    char incarnation[17];
    uint32_t registers;
    uint64_t next_turn_seq; /* of the last Register */
    uint32_t held;          /* groups in it */
    struct turn_seen turns[TURNS_MAX];
    uint32_t turn_count;
    /* the worker's side */
    uint32_t registered, is_new, lost, back, left, refused;
    uint32_t jobs[16]; /* of FORGET_JOB commands, in order */
    uint32_t job_count;
};

static void
answer(struct world *w, const struct hq_net_req *req, uint16_t type, uint64_t request_id, const ProtobufCMessage *m)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;

    assert_int_equal(0, hq_wire_pack(&b, type, request_id, m, NULL));
    assert_int_equal(0, hq_net_answer(w->server, req, hq_buf_view(&b)));
}

static void
answer_error(struct world *w, const struct hq_net_req *req, uint64_t request_id, int code)
{
    Hq__Error e = HQ__ERROR__INIT;

    e.code = code;
    answer(w, req, HQ__MESSAGE_TYPE__TYPE_ERROR, request_id, &e.base);
}

static void
on_register(struct world *w, const struct hq_net_req *req, uint64_t id, const Hq__Register *m)
{
    Hq__Registered r = HQ__REGISTERED__INIT;

    w->registers++;
    w->next_turn_seq = m->next_turn_seq;
    w->held = (uint32_t)m->n_held;
    if (w->worker_id == 0) {
        answer_error(w, req, id, -EACCES);
        return;
    }
    r.worker_id = w->keeps_id && m->worker_id != 0 ? m->worker_id : w->worker_id;
    r.hqd_incarnation = (ProtobufCBinaryData){.data = (uint8_t *)w->incarnation, .len = 16};
    r.next_command_seq = 1;
    r.heartbeat_ms = 5000;
    answer(w, req, HQ__MESSAGE_TYPE__TYPE_REGISTERED, id, &r.base);
}

static void
on_request(void *ctx, const struct hq_net_peer *peer, const struct hq_net_req *req, struct hq_str payload)
{
    struct world *w = ctx;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct hq_wire_head head;
    struct hq_str body;
    ProtobufCMessage *m;

    hq_arena_init(&arena, 0);
    assert_int_equal(0, hq_wire_head(payload, &head, &body, NULL));
    if (head.type == HQ__MESSAGE_TYPE__TYPE_REGISTER) {
        assert_int_equal(0, hq_wire_unpack(body, &hq__register__descriptor, &arena, &m, NULL));
        on_register(w, req, head.request_id, (const Hq__Register *)(const void *)m);
        return;
    }
    assert_int_equal(HQ__MESSAGE_TYPE__TYPE_TURN, head.type);
    assert_int_equal(0, hq_wire_unpack(body, &hq__turn__descriptor, &arena, &m, NULL));
    const Hq__Turn *t = (const Hq__Turn *)(const void *)m;
    if (t->hqd_incarnation.len != 16 || memcmp(t->hqd_incarnation.data, w->incarnation, 16) != 0) {
        answer_error(w, req, head.request_id, -ESTALE);
        return;
    }
    assert_true(w->turn_count < TURNS_MAX);
    struct turn_seen *seen = &w->turns[w->turn_count++];
    *seen = (struct turn_seen){.req = *req, .peer_id = peer->id, .request_id = head.request_id, .seq = t->turn_seq,
                               .ack = t->ack_command_seq, .is_unsettled = t->is_unsettled, .leaving = (int)t->leaving};
    if (t->n_finished > 0) {
        seen->finished = t->finished[0]->ids->packed[1];
        seen->first_id = t->finished[0]->ids->packed[0];
    }
}

/* Answers the k-th turn seen; command_seq 0 = without commands, else one that names `job`. */
static void
answer_turn(struct world *w, uint32_t k, uint64_t ack, uint64_t command_seq, uint32_t job)
{
    Hq__TurnAnswer a = HQ__TURN_ANSWER__INIT;
    Hq__Command c = HQ__COMMAND__INIT, *commands[1] = {&c};

    a.ack_turn_seq = ack;
    a.command_seq = command_seq;
    c.what_case = HQ__COMMAND__WHAT_FORGET_JOB;
    c.forget_job = job;
    if (command_seq != 0) {
        a.commands = commands;
        a.n_commands = 1;
    }
    w->turns[k].is_answered = true;
    answer(w, &w->turns[k].req, HQ__MESSAGE_TYPE__TYPE_TURN_ANSWER, w->turns[k].request_id, &a.base);
}

/* ---- the worker's callbacks */

static void
on_registered(void *ctx, const struct link_registered *r, bool is_new)
{
    struct world *w = ctx;

    (void)r;
    w->registered++;
    w->is_new += is_new;
}

static int
list_held(void *ctx, struct link_held_list *ret)
{
    (void)ctx;
    ret->v = hq_xcalloc(1, sizeof(*ret->v));
    ret->count = ret->cap = 1;
    ret->v[0] = (struct link_held){.job_id = 1};
    hq_ranges_add(&ret->v[0].ids, 900, 2, 1);
    return 0;
}

static void
on_commands(void *ctx, struct link_command *commands, size_t count)
{
    struct world *w = ctx;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(LINK_FORGET_JOB, commands[i].kind);
        w->jobs[w->job_count++] = commands[i].job_id;
    }
}

static void
on_lost(void *ctx)
{
    ((struct world *)ctx)->lost++;
}
static void
on_back(void *ctx)
{
    ((struct world *)ctx)->back++;
}
static void
on_left(void *ctx)
{
    ((struct world *)ctx)->left++;
}
static void
on_refused(void *ctx, const struct hq_err *err)
{
    assert_true(err->code < 0);
    ((struct world *)ctx)->refused++;
}
static bool
take_overview(void *ctx, struct link_overview *ret)
{
    (void)ctx;
    (void)ret;
    return false;
}

/* ---- set-up */

static void
world_listen(struct world *w, const unsigned char *key)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    struct hq_net_server_conf conf = {.loop = w->loop, .role = HQ_ROLE_WORKER, .host = "127.0.0.1", .secret = key,
                                      .ipc_uid = UINT32_MAX, .ctx = w, .on_request = on_request};
    struct hq_err err = {0};

    assert_int_equal(0, hq_net_server_create(&w->server, &conf, &err));
    hq_access_fini(&w->access);
    w->access = HQ_ACCESS_INIT;
    w->access.version = hq_xstrdup(HQ_VERSION);
    hq_access_set_side(&w->access.worker, "127.0.0.1", hq_net_server_port(w->server), key);
    hq_buf_printf(&path, "%s/access.json", w->dir);
    (void)unlink(path.ptr); /* of the server before */
    assert_int_equal(0, hq_access_store(&w->access, path.ptr, &err));
}

static void
world_init(struct world *w)
{
    static const unsigned char key[HQ_SECRET_BYTES] = "a key of thirty-two bytes, so so";
    struct link_conf conf;
    struct hq_err err = {0};

    *w = (struct world){.worker_id = 7, .keeps_id = true};
    assert_true(sodium_init() >= 0);
    hq_log_init(false, "off", false);
    memcpy(w->incarnation, "first incarnation", sizeof w->incarnation - 1); /* 16 bytes, NUL behind */
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/hq-test-link-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->loop = ev_loop_new(EVFLAG_AUTO);
    world_listen(w, key);
    w->report = report_create();
    w->worker = (struct link_worker){.hostname = HQ_STR("n"), .heartbeat_ms = 5000, .pools = &w->pools};
    conf = (struct link_conf){.loop = w->loop, .server_dir = w->dir, .worker = &w->worker, .report = w->report,
                              .calls = {.ctx = w, .on_registered = on_registered, .list_held = list_held,
                                        .on_commands = on_commands, .on_lost = on_lost, .on_back = on_back,
                                        .on_refused = on_refused, .on_left = on_left, .take_overview = take_overview}};
    assert_int_equal(0, link_create(&w->link, &conf, &w->access, &err));
}

static void
world_fini(struct world *w)
{
    link_destroy(w->link);
    hq_net_server_destroy(w->server, 100);
    report_destroy(w->report);
    hq_access_fini(&w->access);
    ev_loop_destroy(w->loop);
    taskdir_remove(w->dir);
}

static void
stop_waiting(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)t;
    (void)revents;
}

/* Runs the loop until the counter has reached the value. */
static void
run_until(struct world *w, const uint32_t *counter, uint32_t value)
{
    hq_ms until_ms = hq_clock_ms() + DEADLINE_MS;
    ev_timer wake;

    ev_timer_init(&wake, stop_waiting, 0.5, 0.5);
    ev_timer_start(w->loop, &wake);
    while (*counter < value) {
        assert_true(hq_clock_ms() < until_ms);
        ev_run(w->loop, EVRUN_ONCE);
    }
    ev_timer_stop(w->loop, &wake);
}

static void
finish_tasks(struct world *w, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct report_task t = {.job_id = 1, .task_id = first + i, .started_ms = 1, .ended_ms = 2};
        assert_int_equal(0, report_push_finished(w->report, &t));
    }
    link_news(w->link, LINK_URGENT_MS);
}

/* ---- tests */

static void
test_turns(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    run_until(&w, &w.turn_count, 1); /* one is parked at once */
    assert_int_equal(1, w.registered);
    assert_int_equal(7, link_worker_id(w.link));
    assert_int_equal(0, w.held); /* the first time it holds nothing */
    assert_int_equal(1, w.turns[0].seq);
    assert_int_equal(0, w.turns[0].finished);
    assert_false(w.turns[0].is_unsettled);
    finish_tasks(&w, 10, 3);
    run_until(&w, &w.turn_count, 2); /* news go in a second one, all in one */
    assert_int_equal(2, w.turns[1].seq);
    assert_int_equal(3, w.turns[1].finished);
    finish_tasks(&w, 20, 1); /* and now they wait: two are out */
    answer_turn(&w, 0, 1, 1, 51);
    run_until(&w, &w.turn_count, 3);
    assert_int_equal(1, w.job_count);
    assert_int_equal(51, w.jobs[0]);
    assert_int_equal(3, w.turns[2].seq);
    assert_int_equal(1, w.turns[2].ack); /* the command was carried out */
    assert_int_equal(20, w.turns[2].first_id);
    assert_int_equal(0, w.lost);
    world_fini(&w);
}

static void
test_commands_in_order(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    run_until(&w, &w.turn_count, 1);
    finish_tasks(&w, 10, 1);
    run_until(&w, &w.turn_count, 2);
    answer_turn(&w, 1, 2, 2, 52); /* the later one comes first */
    answer_turn(&w, 0, 2, 1, 51);
    run_until(&w, &w.job_count, 2);
    assert_int_equal(51, w.jobs[0]);
    assert_int_equal(52, w.jobs[1]);
    run_until(&w, &w.turn_count, 3);
    answer_turn(&w, 2, 3, 2, 52); /* again: skipped */
    run_until(&w, &w.turn_count, 4);
    assert_int_equal(2, w.job_count);
    assert_int_equal(2, w.turns[3].ack);
    world_fini(&w);
}

/* The connection breaks with one turn acknowledged and two not: these come again with their numbers. */
static void
test_sent_again(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    run_until(&w, &w.turn_count, 1);
    finish_tasks(&w, 10, 1);
    run_until(&w, &w.turn_count, 2);
    answer_turn(&w, 0, 1, 0, 0);
    finish_tasks(&w, 20, 2);
    run_until(&w, &w.turn_count, 3);
    hq_net_kick(w.server, w.turns[2].peer_id);
    run_until(&w, &w.turn_count, 5);
    assert_int_equal(1, w.lost);
    assert_int_equal(1, w.back);
    assert_int_equal(2, w.registers);
    assert_int_equal(1, w.held);
    assert_int_equal(2, w.next_turn_seq);
    assert_int_equal(0, w.is_new - 1); /* only the first registration was new */
    assert_int_equal(2, w.turns[3].seq);
    assert_int_equal(10, w.turns[3].first_id);
    assert_true(w.turns[3].is_unsettled);
    assert_int_equal(3, w.turns[4].seq);
    assert_int_equal(20, w.turns[4].first_id);
    assert_int_equal(2, w.turns[4].finished);
    assert_false(w.turns[4].is_unsettled); /* with it all is told */
    world_fini(&w);
}

/* hqd was restarted and does not know the incarnation that turns name. */
static void
test_stale(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    run_until(&w, &w.turn_count, 1);
    (void)snprintf(w.incarnation, sizeof w.incarnation, "second incarnati");
    finish_tasks(&w, 10, 1);
    run_until(&w, &w.registers, 2);
    run_until(&w, &w.turn_count, 3); /* the parked one and the news, under the new name */
    assert_int_equal(1, w.turns[1].seq);
    assert_int_equal(2, w.turns[2].seq);
    assert_int_equal(10, w.turns[2].first_id);
    world_fini(&w);
}

/* It was given up: another id, nothing of before counts, numbers go on as declared. */
static void
test_new_id(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    run_until(&w, &w.turn_count, 1);
    finish_tasks(&w, 10, 1);
    run_until(&w, &w.turn_count, 2);
    w.worker_id = 8;
    w.keeps_id = false;
    hq_net_kick(w.server, w.turns[1].peer_id);
    run_until(&w, &w.turn_count, 3);
    assert_int_equal(2, w.is_new);
    assert_int_equal(8, link_worker_id(w.link));
    assert_int_equal(w.next_turn_seq, w.turns[2].seq);
    assert_int_equal(0, w.turns[2].finished);
    assert_true(report_is_empty(w.report));
    world_fini(&w);
}

/* Another port and another key: the access file says where. */
static void
test_moved(void **state)
{
    static const unsigned char key[HQ_SECRET_BYTES] = "another key of thirty-two bytes.";
    struct world w;

    (void)state;
    world_init(&w);
    run_until(&w, &w.turn_count, 1);
    hq_net_server_destroy(w.server, 0);
    run_until(&w, &w.lost, 1);
    world_listen(&w, key);
    finish_tasks(&w, 10, 1);
    run_until(&w, &w.turn_count, 3);
    assert_int_equal(1, w.back);
    assert_int_equal(1, w.turns[1].seq);
    assert_int_equal(10, w.turns[2].first_id);
    world_fini(&w);
}

static void
test_leave(void **state)
{
    struct world w;

    (void)state;
    for (int with_error = 0; with_error < 2; with_error++) {
        world_init(&w);
        run_until(&w, &w.turn_count, 1);
        finish_tasks(&w, 10, 1);
        link_leave(w.link, LINK_REASON_TIME_LIMIT);
        run_until(&w, &w.turn_count, 2);
        assert_int_equal(LINK_REASON_TIME_LIMIT, w.turns[1].leaving);
        assert_int_equal(10, w.turns[1].first_id); /* the last news go with it */
        if (with_error) {
            answer_error(&w, &w.turns[1].req, w.turns[1].request_id, -ESTALE);
        } else {
            answer_turn(&w, 1, 2, 0, 0);
        }
        run_until(&w, &w.left, 1);
        assert_int_equal(1, w.registers);
        world_fini(&w);
    }
}

static void
test_refused(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.worker_id = 0;
    run_until(&w, &w.refused, 1);
    assert_int_equal(0, w.registered);
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),  cmocka_unit_test(test_commands_in_order), cmocka_unit_test(test_sent_again),
        cmocka_unit_test(test_stale),  cmocka_unit_test(test_new_id),            cmocka_unit_test(test_moved),
        cmocka_unit_test(test_leave),  cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
