/* What waits for the journal leaves in order and not before; notes are rare; requests die with their peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hqd/outbox.h"
#include "hqd/peer.h"
#include "hqd/publish.h"

struct sent {
    struct hq_buf text; /* "handle:bytes " in order */
};

static void
on_send(void *ctx, uint64_t handle, struct hq_str bytes)
{
    struct sent *s = ctx;
    hq_buf_u64(&s->text, handle);
    hq_buf_byte(&s->text, ':');
    hq_buf_str(&s->text, bytes);
    hq_buf_byte(&s->text, ' ');
}

/* Tells once more after 100 ms for even handles. */
static hq_ms
on_late(void *ctx, uint64_t handle)
{
    struct sent *s = ctx;
    hq_buf_printf(&s->text, "late %u ", (unsigned)handle);
    return handle % 2 == 0 ? 6000 : INT64_MAX;
}

static void
expect(struct sent *s, const char *text)
{
    assert_string_equal(s->text.len == 0 ? "" : s->text.ptr, text);
    hq_buf_clear(&s->text);
}

static struct hq_buf
buf(const char *text)
{
    struct hq_buf b = HQ_BUF_INIT;
    hq_buf_cstr(&b, text);
    return b;
}

static void
test_marks(void **state)
{
    (void)state;
    struct sent sent = {0};
    struct outbox o;
    outbox_init(&o, on_send, on_late, &sent);
    struct hq_buf b = buf("now");
    outbox_put(&o, EFFECT_NOW, 100, INT64_MAX, 1, &b);
    hq_buf_fini(&b);
    expect(&sent, "1:now ");
    assert_true(outbox_is_empty(&o));

    b = buf("assign");
    outbox_put(&o, EFFECT_AFTER_WRITE, 5, 500, 2, &b);
    b = buf("submitted");
    outbox_put(&o, EFFECT_AFTER_COMMIT, 5, 5000, 3, &b);
    b = buf("canceled");
    outbox_put(&o, EFFECT_AFTER_COMMIT, 6, 5000, 4, &b);
    b = buf("list");
    outbox_put_question(&o, 6, 1000, 5, &b);
    assert_int_equal(b.len, 0); /* taken */
    outbox_release(&o, 4, 3, 10);
    expect(&sent, "");
    outbox_release(&o, 5, 4, 10);
    expect(&sent, "2:assign ");
    outbox_release(&o, 6, 5, 10);
    expect(&sent, "3:submitted ");
    assert_int_equal(outbox_next_ms(&o), 1000);
    outbox_release(&o, 5, 5, 999);
    expect(&sent, "");
    outbox_release(&o, 6, 5, 1000); /* a question is answered anyway, a promise is not */
    expect(&sent, "5:list ");
    assert_int_equal(o.late_count, 1);
    assert_int_equal(outbox_next_ms(&o), 5000);
    assert_false(outbox_is_empty(&o));
    outbox_release(&o, 6, 5, 5000);
    expect(&sent, "late 4 ");
    outbox_release(&o, 6, 5, 5999);
    expect(&sent, "");
    assert_int_equal(outbox_next_ms(&o), 6000);
    outbox_release(&o, 6, 6, 1001);
    expect(&sent, "4:canceled ");
    assert_true(outbox_is_empty(&o));
    assert_int_equal(outbox_next_ms(&o), INT64_MAX);
    b = buf("never");
    outbox_put(&o, EFFECT_AFTER_COMMIT, 9, 6000, 6, &b);
    outbox_release(&o, 6, 6, 6000);
    expect(&sent, "late 6 ");
    outbox_fini(&o); /* frees what never left */
    hq_buf_fini(&sent.text);
}

static void
test_notes_are_rare(void **state)
{
    (void)state;
    struct publish p;
    publish_init(&p, NULL, HQ_STR("incarnation"), 1);
    struct note job = {.topic = NOTE_JOB, .job = {7}};
    struct note server = {.topic = NOTE_SERVER};
    publish_mark(&p, &job, 10);
    publish_mark(&p, &job, 11);
    publish_mark(&p, &server, 10);
    assert_int_equal(publish_flush(&p, 9, 1000), INT64_MAX); /* nothing is on disk yet */
    assert_int_equal(publish_flush(&p, 10, 1001), INT64_MAX); /* server goes */
    assert_false(TAILQ_EMPTY(&p.marked));
    assert_int_equal(publish_flush(&p, 11, 1002), INT64_MAX); /* the job goes, once for two marks */
    assert_true(TAILQ_EMPTY(&p.marked));
    publish_mark(&p, &job, 12);
    assert_int_equal(publish_flush(&p, 12, 1003), 1002 + 1000 / PUBLISH_PER_S); /* too soon: later, not never */
    assert_int_equal(publish_flush(&p, 12, 1002 + 1000 / PUBLISH_PER_S), INT64_MAX);
    assert_true(TAILQ_EMPTY(&p.marked));
    assert_int_equal(publish_flush(&p, 12, 100000), INT64_MAX);
    assert_int_equal(p.by_key.count, 0); /* quiet topics cost nothing */
    publish_fini(&p);
}

static struct hq_net_peer
net(uint64_t id)
{
    struct hq_net_peer n = {.id = id, .role = HQ_ROLE_CLIENT, .is_local = true, .uid = 1234};
    return n;
}

static void
test_requests_die_with_their_peer(void **state)
{
    (void)state;
    struct peers ps;
    peers_init(&ps, 3, 1000);
    struct hq_net_peer a = net(1);
    struct hq_net_peer b = net(2);
    b.is_local = false;
    struct hq_net_req route = {.peer_id = 1};
    struct peer *pa = peers_get(&ps, PEER_CLIENTS, &a);
    struct peer *pb = peers_get(&ps, PEER_CLIENTS, &b);
    assert_int_equal(peer_uid(&ps, pa), 1234);
    assert_int_equal(peer_uid(&ps, pb), 1000);
    uint64_t h1 = request_open(&ps, pa, &route, 11, false);
    uint64_t h2 = request_open(&ps, pa, &route, 12, false);
    uint64_t h3 = request_open(&ps, pb, &route, 13, false);
    assert_true(h1 != 0 && h2 != 0 && h1 != h2);
    struct request r;
    assert_true(request_close(&ps, h1, &r));
    assert_int_equal(r.request_id, 11);
    assert_false(request_close(&ps, h1, &r)); /* answered once */
    uint32_t worker;
    peers_gone(&ps, PEER_CLIENTS, 1, &worker);
    assert_int_equal(worker, 0);
    assert_null(request_find(&ps, h2));
    assert_non_null(request_find(&ps, h3));
    uint64_t own = request_open_own(&ps);
    assert_true(own != 0);
    assert_null(request_find(&ps, own));
    uint64_t h4 = request_open(&ps, pb, &route, 14, false); /* reuses a slot, not a handle */
    assert_true(h4 != h1 && h4 != h2 && h4 != own);
    assert_null(request_find(&ps, h1));
    assert_null(request_find(&ps, 0));
    assert_null(request_find(&ps, UINT64_MAX));
    peers_fini(&ps);
}

static void
test_workers_move_between_sessions(void **state)
{
    (void)state;
    struct peers ps;
    peers_init(&ps, 3, 1000);
    struct hq_net_peer a = net(1);
    struct hq_net_peer b = net(2);
    uint32_t worker;
    peers_set_worker(&ps, peers_get(&ps, PEER_WORKERS, &a), 5);
    peers_gone(&ps, PEER_WORKERS, 1, &worker);
    assert_int_equal(worker, 5);
    assert_non_null(peers_of_worker(&ps, 5)); /* may come back under the same id */
    peers_set_worker(&ps, peers_get(&ps, PEER_WORKERS, &b), 5);
    assert_null(peers_find(&ps, PEER_WORKERS, 1)); /* came through a new session: the old one is nobody */
    assert_ptr_equal(peers_of_worker(&ps, 5), peers_find(&ps, PEER_WORKERS, 2));
    peers_set_worker(&ps, peers_find(&ps, PEER_WORKERS, 2), 6); /* the same process got another number */
    assert_null(peers_of_worker(&ps, 5));
    peers_forget_worker(&ps, 6);
    assert_null(peers_of_worker(&ps, 6));
    assert_non_null(peers_find(&ps, PEER_WORKERS, 2)); /* still connected */
    peers_gone(&ps, PEER_WORKERS, 2, &worker);
    assert_int_equal(worker, 0);
    assert_null(peers_find(&ps, PEER_WORKERS, 2));
    peers_forget_worker(&ps, 99);
    peers_fini(&ps);
}

static void
test_spent_turns(void **state)
{
    (void)state;
    struct peers ps;
    peers_init(&ps, 3, 1000);
    struct hq_net_peer a = net(1);
    struct hq_net_req route = {.peer_id = 1};
    struct peer *p = peers_get(&ps, PEER_WORKERS, &a);
    struct request r;
    uint64_t registration = request_open(&ps, p, &route, 1, false);
    uint64_t first = request_open(&ps, p, &route, 2, true);
    request_spend(&ps, first);
    assert_false(peer_take_route(p, &r)); /* neither a spent turn nor a registration lends its route */
    uint64_t second = request_open(&ps, p, &route, 3, true);
    (void)request_open(&ps, p, &route, 4, true);
    assert_true(peer_take_route(p, &r));
    assert_int_equal(r.request_id, 3); /* the older one */
    assert_true(request_find(&ps, second)->is_spent);
    assert_true(peer_take_route(p, &r));
    assert_int_equal(r.request_id, 4);
    assert_non_null(request_find(&ps, registration));
    struct hq_buf bytes;
    assert_false(peer_pop_answer(p, &bytes));
    peer_keep_answer(p, HQ_STR("one"));
    peer_keep_answer(p, HQ_STR("two"));
    assert_true(peer_pop_answer(p, &bytes));
    assert_string_equal(bytes.ptr, "one");
    hq_buf_fini(&bytes);
    peers_fini(&ps); /* frees the other */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_notes_are_rare),
        cmocka_unit_test(test_requests_die_with_their_peer),
        cmocka_unit_test(test_workers_move_between_sessions),
        cmocka_unit_test(test_spent_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
