/* Requests, answers, reconnects and notes between good peers, over real sockets. Bad ones: test_net_hostile.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "tests/unit/networld.h"

/* ---- round trips */

struct way {
    const char *name;
    enum world_door door;
    const unsigned char *secret;
};
static const struct way ways[] = {
    {"sealed", WORLD_TCP, world_secret},
    {"plain", WORLD_TCP, NULL},
    {"ipc", WORLD_IPC, world_secret},
    {"abstract", WORLD_ABSTRACT, world_secret},
};

struct big_reply {
    bool is_done;
    const char *want;
    size_t want_len;
};

static void
on_big_reply(void *ctx, int rc, struct hq_str payload)
{
    struct big_reply *b = ctx;
    assert_int_equal(rc, 0);
    assert_int_equal(payload.len, b->want_len);
    assert_memory_equal(payload.len == 0 ? "" : payload.ptr, b->want, b->want_len);
    b->is_done = true;
}

static bool
is_big_done(void *arg)
{
    return ((struct big_reply *)arg)->is_done;
}

static void
test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4000, 100000, HQ_MSG_BYTES_MAX};
    char *text = hq_xalloc(HQ_MSG_BYTES_MAX + 1);
    for (size_t ix = 0; ix < HQ_MSG_BYTES_MAX; ix++) {
        text[ix] = (char)(ix * 7 + ix / 251);
    }
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(ways); ix++) {
        struct world w;
        world_open(&w, ways[ix].door, ways[ix].secret);
        struct hq_net_client *c = world_client(&w, ways[ix].door, ways[ix].secret);
        for (size_t jx = 0; jx < HQ_ARRAY_LEN(sizes); jx++) {
            struct big_reply b = {.want = text, .want_len = sizes[jx]};
            assert_int_equal(hq_net_call(c, hq_str_make(text, sizes[jx]), WORLD_MS, on_big_reply, &b, NULL), 0);
            assert_true(world_until(&w, is_big_done, &b));
            struct world_asker a = {
                .conf = {.role = HQ_ROLE_CLIENT, .secret = ways[ix].secret, .port = w.port},
                .payload = text,
                .payload_len = sizes[jx],
                .count = 3,
            };
            a.conf.host = ways[ix].door == WORLD_TCP ? "127.0.0.1" : NULL;
            a.conf.ipc_path = ways[ix].door == WORLD_TCP ? NULL : w.ipc_path;
            world_asker_run(&w, &a);
            if (a.rc != 0) {
                fail_msg("%s, %zu bytes: %s", ways[ix].name, sizes[jx], a.err.text);
            }
            assert_int_equal(a.answer_len, sizes[jx]);
            assert_memory_equal(a.answer, text, sizes[jx]);
            assert_int_equal(a.answer[a.answer_len], '\0');
            free(a.answer);
        }
        struct hq_err err = {0};
        struct hq_str long_one = hq_str_make(text, HQ_MSG_BYTES_MAX + 1);
        assert_int_equal(hq_net_call(c, long_one, 1000, on_big_reply, NULL, &err), -EMSGSIZE);
        assert_int_equal(hq_net_answer(w.server, &w.requests[0].req, long_one), -EMSGSIZE);
        const struct hq_net_peer *p = &w.requests[0].peer;
        bool is_local = ways[ix].door != WORLD_TCP;
        assert_int_equal(p->is_local, is_local);
        assert_int_equal(p->uid, is_local ? geteuid() : UINT32_MAX);
        assert_int_equal(p->pid, is_local ? getpid() : 0);
        assert_int_equal(p->role, HQ_ROLE_CLIENT);
        assert_int_equal(strncmp(p->addr, is_local ? "local" : "127.0.0.1:", is_local ? 6 : 10), 0);
        assert_true(world_until_count(&w, &w.gone_count, HQ_ARRAY_LEN(sizes))); /* the askers */
        hq_net_client_destroy(c);
        assert_true(world_until_count(&w, &w.gone_count, HQ_ARRAY_LEN(sizes) + 1));
        assert_int_equal(w.bad_count, 0);
        world_close(&w);
    }
    free(text);
}

/* Answers leave in any order and find their question. */
static void
test_late_answers(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(ways); ix++) {
        struct world w;
        world_open(&w, ways[ix].door, ways[ix].secret);
        w.mode = WORLD_HOLD;
        struct hq_net_client *c = world_client(&w, ways[ix].door, ways[ix].secret);
        struct world_reply replies[HQ_NET_CALLS_MAX];
        char texts[HQ_NET_CALLS_MAX][16];
        for (size_t jx = 0; jx < HQ_NET_CALLS_MAX; jx++) {
            snprintf(texts[jx], sizeof(texts[jx]), "question %zu", jx);
            world_call(c, texts[jx], WORLD_MS, &replies[jx]);
        }
        struct hq_err err = {0};
        assert_int_equal(hq_net_call(c, HQ_STR("one more"), 1000, on_big_reply, NULL, &err), -EBUSY);
        assert_true(world_until_count(&w, &w.request_count, HQ_NET_CALLS_MAX));
        for (size_t jx = HQ_NET_CALLS_MAX; jx-- > 0;) {
            struct hq_str answer = hq_str_from(w.requests[jx].text);
            assert_int_equal(hq_net_answer(w.server, &w.requests[jx].req, answer), 0);
        }
        for (size_t jx = 0; jx < HQ_NET_CALLS_MAX; jx++) {
            assert_true(world_until_done(&w, &replies[jx]));
            assert_int_equal(replies[jx].rc, 0);
            assert_string_equal(replies[jx].text, texts[jx]);
        }
        for (size_t jx = 1; jx < HQ_NET_CALLS_MAX; jx++) { /* all of one peer */
            assert_true(w.requests[jx].peer.id == w.requests[0].peer.id);
        }
        hq_net_client_destroy(c);
        world_close(&w);
    }
}

/* ---- the other side goes */

static void
test_kick(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(ways); ix++) {
        struct world w;
        world_open(&w, ways[ix].door, ways[ix].secret);
        w.mode = WORLD_KICK;
        struct hq_net_client *c = world_client(&w, ways[ix].door, ways[ix].secret);
        struct world_reply r;
        assert_int_equal(world_ask(&w, c, "throw me out", &r), -ECONNRESET);
        uint64_t first = w.requests[0].peer.id;
        assert_int_equal(hq_net_answer(w.server, &w.requests[0].req, HQ_STR("too late")), 0); /* nobody there */
        w.mode = WORLD_ECHO;
        assert_int_equal(world_ask(&w, c, "again", &r), 0); /* a new peer, by itself */
        assert_true(w.requests[w.request_count - 1].peer.id != first);
        assert_int_equal(w.gone_count, 0); /* who kicks knows */
        hq_net_client_destroy(c);
        world_close(&w);
    }
}

static void
test_server_restart(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(ways); ix++) {
        struct world w;
        world_open(&w, ways[ix].door, ways[ix].secret);
        struct hq_net_client *c = world_client(&w, ways[ix].door, ways[ix].secret);
        struct world_reply r;
        assert_int_equal(world_ask(&w, c, "before", &r), 0);
        struct world_asker a = {
            .conf = {.role = HQ_ROLE_CLIENT, .secret = ways[ix].secret, .port = w.port},
            .payload = "asked",
            .payload_len = 5,
            .is_kept = true,
        };
        a.conf.host = ways[ix].door == WORLD_TCP ? "127.0.0.1" : NULL;
        a.conf.ipc_path = ways[ix].door == WORLD_TCP ? NULL : w.ipc_path;
        world_asker_run(&w, &a);
        assert_int_equal(a.rc, 0);
        free(a.answer);
        w.mode = WORLD_HOLD;
        world_call(c, "held", WORLD_MS, &r);
        assert_true(world_until_count(&w, &w.request_count, 3));
        world_restart(&w);
        assert_true(world_until_done(&w, &r));
        assert_int_equal(r.rc, -ECONNRESET);
        w.mode = WORLD_ECHO;
        struct world_reply both[2]; /* a new handshake, by itself; each arrives once */
        world_call(c, "after 1", WORLD_MS, &both[0]);
        world_call(c, "after 2", WORLD_MS, &both[1]);
        assert_true(world_until_done(&w, &both[0]));
        assert_true(world_until_done(&w, &both[1]));
        assert_int_equal(both[0].rc, 0);
        assert_int_equal(both[1].rc, 0);
        assert_int_equal(w.request_count, 5);
        assert_true(w.requests[3].peer.id != w.requests[0].peer.id);
        a.is_kept =
            false; /* the blocking form too: its connection ended meanwhile, its session is not known any more */
        a.answer = NULL;
        world_asker_run(&w, &a);
        assert_int_equal(a.rc, 0);
        free(a.answer);
        assert_int_equal(w.request_count, 6);
        assert_int_equal(w.bad_count, 0);
        hq_net_client_destroy(c);
        world_close(&w);
    }
}

/* A session is the peer, not its connection: it comes back with its id. */
static void
test_session_survives_connection(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WORLD_TCP, world_secret);
    struct path *p = path_open(&w, NULL, NULL);
    struct hq_net_client_conf conf = {
        .loop = w.loop,
        .host = "127.0.0.1",
        .port = path_port(p),
        .secret = world_secret,
        .role = HQ_ROLE_CLIENT,
    };
    struct hq_net_client *c = NULL;
    assert_int_equal(hq_net_client_create(&c, &conf, NULL), 0);
    struct world_reply r;
    assert_int_equal(world_ask(&w, c, "one", &r), 0);
    for (size_t cuts = 1; cuts <= 3; cuts++) {
        w.mode = WORLD_HOLD;
        world_call(c, "held", WORLD_MS, &r);
        assert_true(world_until_count(&w, &w.request_count, 2 * cuts));
        struct hq_net_req held = w.requests[w.request_count - 1].req;
        path_cut(p);
        assert_true(world_until_done(&w, &r));
        assert_int_equal(r.rc, -ECONNRESET);
        assert_true(world_until_count(&w, &w.gone_count, cuts));
        assert_true(w.gone[cuts - 1] == w.requests[0].peer.id);
        w.mode = WORLD_ECHO;
        assert_int_equal(world_ask(&w, c, "back", &r), 0);
        assert_true(w.requests[w.request_count - 1].peer.id == w.requests[0].peer.id);
        assert_int_equal(hq_net_answer(w.server, &held, HQ_STR("stale")), 0); /* dropped, not misrouted */
    }
    assert_int_equal(w.bad_count, 0);
    hq_net_client_destroy(c);
    path_close(p);
    world_close(&w);
}

static void
on_never(void *ctx, int rc, struct hq_str payload)
{
    (void)ctx;
    (void)rc;
    (void)payload;
    fail_msg("a call of a destroyed client came back");
}

struct suicide {
    struct hq_net_client *client;
    bool is_done;
};

static void
on_reply_destroy(void *ctx, int rc, struct hq_str payload)
{
    struct suicide *s = ctx;
    (void)payload;
    assert_int_equal(rc, 0);
    hq_net_client_destroy(s->client);
    s->is_done = true;
}

static bool
is_destroyed(void *arg)
{
    return ((struct suicide *)arg)->is_done;
}

static void
test_destroy_with_calls_out(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(ways); ix++) {
        struct world w;
        world_open(&w, ways[ix].door, ways[ix].secret);
        for (size_t round = 0; round < 10; round++) { /* at different stages: before, while and after sending */
            w.mode = WORLD_HOLD;
            struct hq_net_client *c = world_client(&w, ways[ix].door, ways[ix].secret);
            size_t before = w.request_count;
            for (size_t jx = 0; jx < HQ_NET_CALLS_MAX; jx++) {
                assert_int_equal(hq_net_call(c, HQ_STR("x"), WORLD_MS, on_never, NULL, NULL), 0);
            }
            if (round % 3 != 0) {
                assert_true(world_until_count(&w, &w.request_count, before + (round % 3 == 1 ? 1 : HQ_NET_CALLS_MAX)));
            }
            int64_t from_ms = hq_clock_ms();
            hq_net_client_destroy(c);
            assert_true(hq_clock_ms() - from_ms < 1000);
        }
        w.mode = WORLD_ECHO;
        struct suicide s = {.client = world_client(&w, ways[ix].door, ways[ix].secret)};
        assert_int_equal(hq_net_call(s.client, HQ_STR("last"), WORLD_MS, on_reply_destroy, &s, NULL), 0);
        assert_int_equal(hq_net_call(s.client, HQ_STR("never told"), WORLD_MS, on_reply_destroy, &s, NULL), 0);
        assert_true(world_until(&w, is_destroyed, &s));
        world_close(&w);
    }
    struct world w; /* nobody there at all: the dialer is at work */
    world_open(&w, WORLD_TCP, world_secret);
    struct hq_net_client *c = world_client(&w, WORLD_TCP, world_secret);
    hq_net_server_destroy(w.server, 0);
    w.server = NULL;
    assert_int_equal(hq_net_call(c, HQ_STR("x"), WORLD_MS, on_never, NULL, NULL), 0);
    hq_net_client_destroy(c);
    world_close(&w);
}

/* ---- nobody there */

static void
test_nobody_listens(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WORLD_BOTH, world_secret);
    hq_net_server_destroy(w.server, 0); /* takes its socket file along */
    w.server = NULL;
    struct world_asker tcp = {
        .conf = {.host = "127.0.0.1", .port = w.port, .secret = world_secret, .role = HQ_ROLE_CLIENT},
        .payload = "x",
        .payload_len = 1,
    };
    world_asker_run(&w, &tcp);
    assert_int_equal(tcp.rc, -ECONNREFUSED);
    assert_true(tcp.took_ms < 1000);
    struct world_asker missing = tcp; /* no socket file */
    missing.conf.host = NULL;
    missing.conf.ipc_path = w.ipc_path;
    world_asker_run(&w, &missing);
    assert_int_equal(missing.rc, -ECONNREFUSED);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* a stale one: left by a killed server */
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", w.ipc_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    struct world_asker stale = missing;
    world_asker_run(&w, &stale);
    assert_int_equal(stale.rc, -ECONNREFUSED);
    assert_true(stale.took_ms < 1000);
    struct hq_err err = {0};
    struct world_reply r;
    struct hq_net_client *c = world_client(&w, WORLD_IPC, NULL);
    world_call(c, "x", 100, &r);
    assert_true(world_until_done(&w, &r));
    assert_int_equal(r.rc, -ECONNREFUSED);
    hq_net_client_destroy(c);
    c = world_client(&w, WORLD_TCP, world_secret);
    world_call(c, "x", 300, &r);
    assert_true(world_until_done(&w, &r));
    assert_int_equal(r.rc, -ECONNREFUSED);
    world_call(c, "y", WORLD_MS, &r); /* and if somebody comes, a call that still has time finds him */
    world_turn(&w, 50);
    struct hq_net_server_conf back = w.conf;
    back.port = w.port;
    back.ipc_path = w.ipc_path; /* the stale file is in nobody's way */
    assert_int_equal(hq_net_server_create(&w.server, &back, &err), 0);
    assert_true(world_until_done(&w, &r));
    assert_int_equal(r.rc, 0);
    hq_net_client_destroy(c);
    struct world_asker fallback = tcp; /* the local socket is gone, TCP is not */
    fallback.conf.ipc_path = "/nonexistent/socket";
    world_asker_run(&w, &fallback);
    assert_int_equal(fallback.rc, 0);
    free(fallback.answer);
    struct world_asker named = tcp;
    named.conf.host = "localhost";
    world_asker_run(&w, &named);
    assert_int_equal(named.rc, 0);
    free(named.answer);
    struct world_asker nowhere = tcp;
    nowhere.conf.host = "no.such.host.invalid";
    world_asker_run(&w, &nowhere);
    assert_int_equal(nowhere.rc, -EHOSTUNREACH);
    world_close(&w);
}

/* ---- notes */

struct reader {
    struct world *w;
    struct hq_net_sub *sub;
    size_t connected_count;
    size_t note_count;
    size_t last_len;
    char last[64];
};

static void
on_note(void *ctx, struct hq_str payload)
{
    struct reader *r = ctx;
    if (payload.len == 0) {
        r->connected_count++;
        return;
    }
    r->note_count++;
    r->last_len = payload.len;
    snprintf(r->last, sizeof(r->last), "%.*s", (int)HQ_MIN(payload.len, sizeof(r->last) - 1), payload.ptr);
}

/* What is published before the publisher's side of the connection is up is lost: publishes until it is heard. */
struct until_heard {
    struct hq_net_pub *pub;
    struct reader *r;
};

static bool
is_heard(void *arg)
{
    struct until_heard *u = arg;
    hq_net_pub_send(u->pub, HQ_STR("are you there"));
    return u->r->note_count > 0;
}

static void
test_notes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 0, NULL);
    struct hq_err err = {0};
    struct hq_net_pub *pub = NULL;
    assert_int_equal(hq_net_pub_create(&pub, w.loop, "127.0.0.1", w.ipc_path, world_secret, &err), 0);
    uint16_t port = hq_net_pub_port(pub);
    struct reader tcp = {.w = &w};
    struct reader ipc = {.w = &w};
    struct reader wrong = {.w = &w};
    assert_int_equal(hq_net_sub_create(&tcp.sub, w.loop, "127.0.0.1", port, NULL, world_secret, on_note, &tcp, &err),
                     0);
    assert_int_equal(hq_net_sub_create(&ipc.sub, w.loop, NULL, 0, w.ipc_path, NULL, on_note, &ipc, &err), 0);
    assert_int_equal(
        hq_net_sub_create(&wrong.sub, w.loop, "127.0.0.1", port, NULL, world_other_secret, on_note, &wrong, &err), 0);
    assert_true(world_until(&w, is_heard, &(struct until_heard){pub, &tcp}));
    assert_true(world_until(&w, is_heard, &(struct until_heard){pub, &ipc}));
    assert_true(world_until_count(&w, &wrong.connected_count, 1));
    size_t tcp_before = tcp.note_count;
    hq_net_pub_send(pub, HQ_STR("marker"));
    assert_true(world_until_count(&w, &tcp.note_count, tcp_before + 1));
    world_turn(&w, 20); /* what is under way arrives */
    size_t base_tcp = tcp.note_count;
    size_t base_ipc = ipc.note_count;
    for (int ix = 0; ix < 1000; ix++) { /* a burst is not lost while it fits the queues */
        char text[32];
        snprintf(text, sizeof(text), "note %d", ix);
        hq_net_pub_send(pub, hq_str_from(text));
    }
    assert_true(world_until_count(&w, &tcp.note_count, base_tcp + 1000));
    assert_true(world_until_count(&w, &ipc.note_count, base_ipc + 1000));
    assert_string_equal(tcp.last, "note 999");
    assert_string_equal(ipc.last, "note 999");
    assert_int_equal(wrong.note_count, 0);
    char long_note[HQ_NET_NOTE_BYTES_MAX];
    memset(long_note, 'n', sizeof(long_note));
    hq_net_pub_send(pub, hq_str_make(long_note, sizeof(long_note)));
    assert_true(world_until_count(&w, &tcp.note_count, base_tcp + 1001));
    assert_int_equal(tcp.last_len, HQ_NET_NOTE_BYTES_MAX);
    hq_net_pub_destroy(pub); /* it comes back elsewhere; on ipc at the same place */
    assert_int_equal(hq_net_pub_create(&pub, w.loop, NULL, w.ipc_path, world_secret, &err), 0);
    assert_true(world_until_count(&w, &ipc.connected_count, 2)); /* told: notes may have been missed */
    hq_net_pub_send(pub, HQ_STR("x"));
    hq_net_sub_destroy(ipc.sub);
    hq_net_sub_destroy(tcp.sub);
    hq_net_sub_destroy(wrong.sub);
    hq_net_pub_destroy(pub);
    world_close(&w);
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_kick),
        cmocka_unit_test(test_server_restart),
        cmocka_unit_test(test_session_survives_connection),
        cmocka_unit_test(test_destroy_with_calls_out),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_notes),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, world_end);
}
