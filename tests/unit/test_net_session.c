/* Tables of connections and peers: every move of a session, and every bound. Time is passed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/net_session.h"

static const struct hq_remote tcp = {.family = AF_INET, .addr = "127.0.0.1:1"};
static const struct hq_remote ipc = {.is_local = true, .family = AF_UNIX, .pid = 7, .addr = "local"};

static struct hq_pipe *
add(struct hq_sessions *t, uint32_t id, const struct hq_remote *remote, hq_ms now_ms)
{
    struct hq_pipe *p = hq_pipe_add(t, id, remote, now_ms);
    assert_non_null(p);
    assert_ptr_equal(hq_pipe_find(t, id), p);
    return p;
}

/* A session that has spoken on p. */
static struct hq_peer *
spoken(struct hq_sessions *t, struct hq_pipe *p, hq_ms now_ms)
{
    struct hq_peer *peer = hq_peer_open(t, p);
    assert_non_null(peer);
    assert_true(hq_peer_bind(t, peer, p, now_ms) == 0);
    hq_pipe_greet(t, p);
    peer->is_announced = true;
    return peer;
}

static void
test_plain_peer_is_its_connection(void **state)
{
    (void)state;
    struct hq_sessions t;
    hq_sessions_init(&t);
    struct hq_pipe *p = add(&t, 1, &ipc, 0);
    assert_int_equal(t.stranger_count, 0); /* the kernel knows who that is */
    struct hq_peer *peer = hq_peer_of_pipe(&t, p);
    assert_non_null(peer);
    assert_ptr_equal(hq_peer_of_pipe(&t, p), peer);
    uint64_t id = peer->id;
    assert_true(id != 0);
    peer->is_announced = true;
    assert_true(hq_pipe_remove(&t, p, 5) == id);
    assert_null(hq_peer_find(&t, id));
    p = add(&t, 2, &ipc, 0); /* one that never spoke is nobody's loss */
    assert_non_null(hq_peer_of_pipe(&t, p));
    assert_true(hq_pipe_remove(&t, p, 5) == 0);
    assert_true(hq_sessions_next_ms(&t, 5) == -1);
    hq_sessions_fini(&t);
}

static void
test_session_moves(void **state)
{
    (void)state;
    struct hq_sessions t;
    hq_sessions_init(&t);
    struct hq_pipe *a = add(&t, 1, &tcp, 0);
    struct hq_peer *peer = spoken(&t, a, 0);
    uint64_t id = peer->id;
    assert_null(a->pending);
    assert_true(hq_pipe_remove(&t, a, 100) == id); /* gone, but not forgotten */
    assert_ptr_equal(hq_peer_find(&t, id), peer);
    struct hq_pipe *b = add(&t, 2, &tcp, 200);
    assert_true(hq_peer_bind(&t, peer, b, 200) == 0);
    assert_ptr_equal(b->peer, peer);
    peer->is_announced = true;
    struct hq_pipe *c = add(&t, 3, &tcp, 300); /* it comes over a third one while the second still seems alive */
    assert_true(hq_peer_bind(&t, peer, c, 300) == 0);
    assert_true(b->is_kicked);
    assert_null(b->peer);
    assert_true(hq_pipe_remove(&t, b, 400) == 0); /* not its last connection */
    assert_true(hq_pipe_remove(&t, c, 500) == id);
    hq_peer_expire(&t, 500 + HQ_NET_ORPHAN_MS_MAX - 1);
    assert_ptr_equal(hq_peer_find(&t, id), peer);
    hq_peer_expire(&t, 500 + HQ_NET_ORPHAN_MS_MAX);
    assert_null(hq_peer_find(&t, id));
    hq_sessions_fini(&t);
}

static void
test_new_session_on_an_old_connection(void **state)
{
    (void)state;
    struct hq_sessions t;
    hq_sessions_init(&t);
    struct hq_pipe *p = add(&t, 1, &tcp, 0);
    struct hq_peer *old = spoken(&t, p, 0);
    uint64_t old_id = old->id;
    struct hq_peer *new = hq_peer_open(&t, p);
    assert_ptr_equal(p->pending, new);
    assert_ptr_equal(p->peer, old);
    assert_true(hq_peer_bind(&t, new, p, 50) == old_id); /* the old one has no connection any more */
    assert_ptr_equal(hq_peer_find(&t, old_id), old);     /* known for a while: a lie about it must show */
    assert_ptr_equal(p->peer, new);
    assert_true(hq_peer_bind(&t, new, p, 60) == 0);
    hq_sessions_fini(&t);
}

static void
test_pending_sessions(void **state)
{
    (void)state;
    struct hq_sessions t;
    hq_sessions_init(&t);
    struct hq_pipe *p = add(&t, 1, &tcp, 0);
    uint64_t first = hq_peer_open(&t, p)->id;
    struct hq_peer *second = hq_peer_open(&t, p);
    assert_null(hq_peer_find(&t, first)); /* one per connection */
    struct hq_pipe *q = add(&t, 2, &tcp, 0);
    assert_true(hq_peer_bind(&t, second, q, 1) == 0); /* spoke first on another connection */
    assert_null(p->pending);
    assert_false(p->is_kicked);
    uint64_t third = hq_peer_open(&t, p)->id;
    assert_true(hq_pipe_remove(&t, p, 2) == 0);
    assert_null(hq_peer_find(&t, third)); /* goes with its connection */
    struct hq_peer *fourth = hq_peer_open(&t, q);
    hq_peer_forget(&t, fourth);
    assert_null(q->pending);
    assert_false(q->is_kicked);
    hq_peer_forget(&t, second);
    assert_true(q->is_kicked);
    assert_null(q->peer);
    hq_sessions_fini(&t);
}

static void
test_strangers(void **state)
{
    (void)state;
    struct hq_sessions t;
    hq_sessions_init(&t);
    for (uint32_t id = 1; id <= HQ_NET_STRANGERS_MAX; id++) {
        (void)add(&t, id, &tcp, id);
    }
    assert_null(hq_pipe_overdue(&t, 1000));
    (void)add(&t, 5000, &tcp, 1000);
    struct hq_pipe *oldest = hq_pipe_overdue(&t, 1000);
    assert_non_null(oldest);
    assert_int_equal(oldest->id, 1);
    hq_pipe_kick(&t, oldest);
    hq_pipe_kick(&t, oldest); /* twice is once */
    assert_null(hq_pipe_overdue(&t, 1000));
    hq_pipe_greet(&t, hq_pipe_find(&t, 2)); /* not a stranger any more: time does not matter */
    assert_true(hq_sessions_next_ms(&t, 1000) == 3 + HQ_HANDSHAKE_MS_MAX - 1000);
    assert_null(hq_pipe_overdue(&t, 3 + HQ_HANDSHAKE_MS_MAX - 1));
    assert_int_equal(hq_pipe_overdue(&t, 3 + HQ_HANDSHAKE_MS_MAX)->id, 3);
    assert_true(hq_sessions_next_ms(&t, 1000000) == 0);
    assert_true(hq_pipe_remove(&t, oldest, 0) == 0);
    hq_sessions_fini(&t);
}

/* Beyond the bound the oldest session without a connection goes; with connections on all, no new one is made. */
static void
test_session_bound(void **state)
{
    (void)state;
    struct hq_sessions t;
    hq_sessions_init(&t);
    uint64_t first = 0;
    uint64_t second = 0;
    for (uint32_t id = 1; id <= HQ_SESSIONS_MAX; id++) {
        struct hq_pipe *p = add(&t, id, &tcp, id);
        struct hq_peer *peer = spoken(&t, p, id);
        first = id == 1 ? peer->id : first;
        second = id == 2 ? peer->id : second;
        if (id <= 2) {
            assert_true(hq_pipe_remove(&t, p, id) == peer->id);
        }
    }
    struct hq_pipe *p = add(&t, HQ_SESSIONS_MAX + 1, &tcp, 0);
    assert_non_null(hq_peer_open(&t, p));
    assert_null(hq_peer_find(&t, first));
    assert_non_null(hq_peer_find(&t, second));
    struct hq_pipe *q = add(&t, HQ_SESSIONS_MAX + 2, &tcp, 0);
    assert_non_null(hq_peer_open(&t, q));
    assert_null(hq_peer_find(&t, second));
    struct hq_pipe *r = add(&t, HQ_SESSIONS_MAX + 3, &tcp, 0);
    assert_null(hq_peer_open(&t, r));
    assert_int_equal(HASH_COUNT(t.peers), HQ_SESSIONS_MAX);
    hq_sessions_fini(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_peer_is_its_connection),
        cmocka_unit_test(test_session_moves),
        cmocka_unit_test(test_new_session_on_an_old_connection),
        cmocka_unit_test(test_pending_sessions),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_session_bound),
    };
    return cmocka_run_group_tests_name("net_session", tests, NULL, NULL);
}
