/* Bad peers: what they get, and that good ones do not notice. Somebody on the path: test_net_path.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/net_priv.h"
#include "tests/unit/networld.h"

/* ---- keys and roles */

static void
test_wrong_keys(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum world_door door;
        const unsigned char *server;
        const unsigned char *client;
        enum hq_role role;
        int want;
    } cases[] = {
        {"right", WORLD_TCP, world_secret, world_secret, HQ_ROLE_CLIENT, 0},
        {"wrong secret", WORLD_TCP, world_secret, world_other_secret, HQ_ROLE_CLIENT, -EACCES},
        {"none", WORLD_TCP, world_secret, NULL, HQ_ROLE_CLIENT, -EACCES},
        {"one too many", WORLD_TCP, NULL, world_secret, HQ_ROLE_CLIENT, -EACCES},
        {"role, sealed", WORLD_TCP, world_secret, world_secret, HQ_ROLE_WORKER, -EACCES},
        {"role, plain", WORLD_TCP, NULL, NULL, HQ_ROLE_WORKER, -EACCES},
        {"role, ipc", WORLD_IPC, world_secret, world_secret, HQ_ROLE_WORKER, -EACCES},
        {"no secret on ipc", WORLD_IPC, world_secret, NULL, HQ_ROLE_CLIENT, 0},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct world w;
        world_open(&w, cases[ix].door, cases[ix].server);
        bool is_tcp = cases[ix].door == WORLD_TCP;
        struct hq_net_client_conf conf = {
            .loop = w.loop,
            .host = is_tcp ? "127.0.0.1" : NULL,
            .port = w.port,
            .ipc_path = is_tcp ? NULL : w.ipc_path,
            .secret = cases[ix].client,
            .role = cases[ix].role,
        };
        struct hq_net_client *c = NULL;
        assert_int_equal(hq_net_client_create(&c, &conf, NULL), 0);
        struct world_reply r;
        int rc = world_ask(&w, c, "let me in", &r);
        struct world_asker a = {.conf = conf, .payload = "me too", .payload_len = 6};
        a.conf.loop = NULL;
        world_asker_run(&w, &a);
        if (rc != cases[ix].want || a.rc != cases[ix].want) {
            fail_msg("%s: call %d, ask %d", cases[ix].name, rc, a.rc);
        }
        free(a.answer);
        assert_int_equal(w.request_count, rc == 0 ? 2 : 0);
        assert_int_equal(w.bad_count, rc == 0 ? 0 : 2);
        assert_true(rc == 0 || strlen(a.err.text) > 0);
        hq_net_client_destroy(c);
        world_close(&w);
    }
}

/* ---- bytes before and after the greeting */

/* A good peer by hand: it asks without a secret on ipc, or is refused in order on TCP. Milliseconds until it was heard.
 */
static bool
has_greeting(void *arg)
{
    char buf[16];
    return raw_peek(arg, buf, sizeof(buf)) != 0; /* or it was closed again */
}

static bool
has_bytes(void *arg)
{
    char buf[16];
    return raw_peek(arg, buf, sizeof(buf)) >= (ssize_t)sizeof(buf);
}

static int64_t
good_peer_ms(struct world *w, bool is_ipc)
{
    const unsigned char plain[] = {HQ_FRAME_PLAIN, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, 0, 'h', 'i'};
    int64_t from_us = hq_clock_us();
    struct raw r = raw_connect(w, is_ipc);
    raw_greet(&r, 0x30);
    raw_request(&r, 1, plain, sizeof(plain));
    assert_true(world_until(w, has_bytes, &r)); /* greeting and the head of a frame */
    raw_close(&r);
    return (hq_clock_us() - from_us) / 1000;
}

static void
test_bad_greetings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        bool is_reset;
    } cases[] = {
        {"close", "", 0, false},
        {"reset", "", 0, true},
        {"partial", "\0SP", 3, false},
        {"partial, reset", "\0SP\0\0\x30", 6, true},
        {"http", "GET / HTTP/1.1\r\n\r\n", 18, false},
        {"zeros", "\0\0\0\0\0\0\0\0\0\0\0\0", 12, false},
        {"a length", "\0\0\0\0\0\0\0\5hello", 13, false},
        {"almost", "\0SP\1\0\x30\0\0", 8, false},
        {"other protocol", "\0SP\0\0\x20\0\0", 8, false},
        {"greeting only", "\0SP\0\0\x30\0\0", 8, false},
        {"greeting, random", "\0SP\0\0\x30\0\0\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6", 18, false},
    };
    struct world w;
    world_open(&w, WORLD_BOTH, world_secret);
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        for (int is_ipc = 0; is_ipc < 2; is_ipc++) {
            int64_t best_ms = INT64_MAX; /* nng's pause after such a peer is 100 ms: every time, not once in three */
            for (int attempt = 0; attempt < 3 && best_ms >= 80; attempt++) {
                for (int jx = 0; jx < 10; jx++) {
                    struct raw r = raw_connect(&w, is_ipc != 0);
                    raw_send(&r, cases[ix].bytes, cases[ix].len);
                    if (cases[ix].is_reset) {
                        raw_reset(&r);
                    } else {
                        raw_close(&r);
                    }
                }
                world_turn(&w, 5); /* nng has seen them by now, and would be in its pause */
                int64_t took_ms = good_peer_ms(&w, is_ipc != 0);
                best_ms = HQ_MIN(best_ms, took_ms);
            }
            if (best_ms >= 80) {
                fail_msg("%s: a good peer waited %d ms", cases[ix].name, (int)best_ms);
            }
        }
    }
    world_close(&w);
}

static void
test_bad_frames(void **state)
{
    (void)state;
    enum { BODY_BYTES = 128 };
    static const struct {
        const char *name;
        unsigned char body[BODY_BYTES];
        size_t len;
        bool is_bad;  /* on_bad_peer is told */
        int answered; /* type of the answer, 0 = none */
    } cases[] = {
        {"nothing", {0}, 0, true, 0},
        {"short", {HQ_FRAME_PLAIN, 1, 1}, 3, true, 0},
        {"type 0", {0, 1, 1, 0}, 4, true, 0},
        {"type 7", {HQ_FRAME_TYPES, 1, 1, 0}, 4, true, 0},
        {"type 255", {255, 1, 1, 0}, 4, true, 0},
        {"version", {HQ_FRAME_HELLO, 2, 1, 0}, 60, true, HQ_FRAME_REFUSED},
        {"plain", {HQ_FRAME_PLAIN, 1, 1, 0, 'h', 'i'}, 6, true, HQ_FRAME_REFUSED},
        {"hello, cut", {HQ_FRAME_HELLO, 1, 1, 0}, HQ_FRAME_HELLO_BYTES - 1, true, 0},
        {"hello, long", {HQ_FRAME_HELLO, 1, 1, 0}, HQ_FRAME_HELLO_BYTES + 1, true, 0},
        {"hello, zeros", {HQ_FRAME_HELLO, 1, 1, 0}, HQ_FRAME_HELLO_BYTES, true, HQ_FRAME_REFUSED},
        {"hello, role", {HQ_FRAME_HELLO, 1, 2, 0}, HQ_FRAME_HELLO_BYTES, true, HQ_FRAME_REFUSED},
        {"welcome", {HQ_FRAME_WELCOME, 1, 1, 0}, HQ_FRAME_WELCOME_BYTES, true, 0},
        {"unknown", {HQ_FRAME_UNKNOWN, 1, 1, 0}, HQ_FRAME_UNKNOWN_BYTES, true, 0},
        {"refused", {HQ_FRAME_REFUSED, 1, 1, 1}, HQ_FRAME_HEAD_BYTES, true, 0},
        {"sealed, cut", {HQ_FRAME_SEALED, 1, 1, 0}, HQ_FRAME_SEALED_BYTES - 1, true, 0},
        {"sealed, no such session", {HQ_FRAME_SEALED, 1, 1, 0, 9}, HQ_FRAME_SEALED_BYTES, false, HQ_FRAME_UNKNOWN},
    };
    struct world w;
    world_open(&w, WORLD_TCP, world_secret);
    struct hq_net_client *c = world_client(&w, WORLD_TCP, world_secret);
    struct world_reply reply;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        size_t bad_before = w.bad_count;
        struct raw r = raw_connect(&w, false);
        raw_greet(&r, 0x30);
        raw_request(&r, 7, cases[ix].body, cases[ix].len);
        if (cases[ix].is_bad) {
            assert_true(world_until_count(&w, &w.bad_count, bad_before + 1));
        }
        if (cases[ix].answered != 0) {
            assert_true(world_until(&w, has_bytes, &r));
            unsigned char in[64] = {0};
            while (raw_peek(&r, in, sizeof(in)) < 8 + 8 + 4 + 4) { /* greeting, length, id, head */
                world_turn(&w, 1);
            }
            assert_int_equal(in[8 + 8 + 4], cases[ix].answered);
        }
        for (unsigned jx = 1; cases[ix].is_bad && jx < HQ_NET_STRIKES_MAX; jx++) {
            raw_request(&r, 7 + jx, cases[ix].body, cases[ix].len);
        }
        if (cases[ix].is_bad && !world_until(&w, raw_is_closed, &r)) {
            fail_msg("%s: still connected after %u times", cases[ix].name, HQ_NET_STRIKES_MAX);
        }
        raw_close(&r);
        assert_int_equal(world_ask(&w, c, "good", &reply), 0);
    }
    assert_int_equal(w.request_count, HQ_ARRAY_LEN(cases));
    hq_net_client_destroy(c);
    world_close(&w);
}

static void
test_oversized(void **state)
{
    (void)state;
    static const unsigned char lengths[][8] = {
        {0, 0, 0, 0, 0, 0x10, 0x10, 0x01}, /* one byte over HQ_FRAME_BYTES_MAX */
        {0, 0, 0, 2, 0, 0, 0, 0},          /* 8 GiB */
        {0x40, 0, 0, 0, 0, 0, 0, 0},       /* 2^62 */
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0, 0, 0, 0, 0, 0, 0, 3}, /* no room for the request id */
    };
    _Static_assert(HQ_FRAME_BYTES_MAX == 0x101000, "the first row is one more");
    struct world w;
    world_open(&w, WORLD_BOTH, NULL);
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(lengths); ix++) {
        for (int is_ipc = 0; is_ipc < 2; is_ipc++) {
            struct raw r = raw_connect(&w, is_ipc != 0);
            raw_greet(&r, 0x30);
            raw_send(&r, "\1", is_ipc != 0 ? 1 : 0);
            raw_send(&r, lengths[ix], 8);
            raw_send(&r, "\x80\0\0\1rest", 8);
            if (!world_until(&w, raw_is_closed, &r)) {
                fail_msg("length %zu is waited for", ix);
            }
            raw_close(&r);
        }
    }
    unsigned char *big = hq_xalloc(HQ_FRAME_BYTES_MAX); /* nng lets it pass, we do not */
    hq_frame_head(big, HQ_FRAME_PLAIN, HQ_ROLE_CLIENT, 0);
    struct raw r = raw_connect(&w, false);
    raw_greet(&r, 0x30);
    raw_request(&r, 1, big, HQ_FRAME_HEAD_BYTES + HQ_MSG_BYTES_MAX + 1);
    assert_true(world_until_count(&w, &w.bad_count, 1));
    assert_int_equal(w.request_count, 0);
    raw_request(&r, 2, big, HQ_FRAME_HEAD_BYTES + HQ_MSG_BYTES_MAX); /* the bound itself is fine */
    assert_true(world_until_count(&w, &w.request_count, 1));
    raw_close(&r);
    free(big);
    world_close(&w);
}

/* ---- too much, and then nothing */

static void
test_in_flight(void **state)
{
    (void)state;
    const unsigned char plain[] = {HQ_FRAME_PLAIN, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, 0, 'x'};
    for (int is_ipc = 0; is_ipc < 2; is_ipc++) {
        struct world w;
        world_open(&w, WORLD_BOTH, NULL);
        w.mode = WORLD_HOLD;
        struct raw r = raw_connect(&w, is_ipc != 0);
        raw_greet(&r, 0x30);
        for (uint32_t ix = 0; ix < HQ_INFLIGHT_PER_PEER_MAX; ix++) {
            raw_request(&r, ix, plain, sizeof(plain));
        }
        assert_true(world_until_count(&w, &w.request_count, HQ_INFLIGHT_PER_PEER_MAX));
        for (size_t ix = 0; ix < 5; ix++) { /* answered ones do not count */
            assert_int_equal(hq_net_answer(w.server, &w.requests[ix].req, HQ_STR("ok")), 0);
            raw_request(&r, 100 + (uint32_t)ix, plain, sizeof(plain));
        }
        assert_true(world_until_count(&w, &w.request_count, HQ_INFLIGHT_PER_PEER_MAX + 5));
        assert_int_equal(w.bad_count, 0);
        raw_request(&r, 200, plain, sizeof(plain));
        assert_true(world_until_count(&w, &w.gone_count, 1));
        assert_int_equal(w.bad_count, 1);
        assert_true(w.gone[0] == w.requests[0].peer.id);
        assert_true(world_until(&w, raw_is_closed, &r));
        assert_int_equal(w.request_count, HQ_INFLIGHT_PER_PEER_MAX + 5);
        assert_int_equal(hq_net_answer(w.server, &w.requests[9].req, HQ_STR("nobody there")), 0);
        raw_close(&r);
        world_turn(&w, 10);
        assert_int_equal(w.gone_count, 1); /* told once */
        world_close(&w);
    }
}

/* ---- on the local socket */

/* Sends what the socket takes, from where it stopped; true: it took some. */
static bool
push(const struct raw *r, const struct hq_buf *frame, size_t *at)
{
    ssize_t n = send(r->fd, frame->ptr + *at, frame->len - *at, MSG_DONTWAIT | MSG_NOSIGNAL);
    *at = n > 0 ? (*at + (size_t)n) % frame->len : *at;
    return n > 0;
}

static size_t
pull(const struct raw *r)
{
    static char into[1 << 18];
    ssize_t n = recv(r->fd, into, sizeof(into), MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

/* Who asks for more than it reads is not read either: what waits for it stays small, and others are served. */
static void
test_deaf_peer(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf frame = HQ_BUF_INIT;
    const unsigned char head[] = {1, 0, 0, 0, 0, 0, 1, 0, 8, 0x80, 0, 0, 1, HQ_FRAME_PLAIN, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, 0};
    char *text = hq_xcalloc(65536, 1);
    struct world w;
    world_open(&w, WORLD_IPC, NULL);
    struct raw r = raw_connect(&w, true);
    raw_greet(&r, 0x30);
    hq_buf_add(&frame, head, sizeof(head));
    hq_buf_add(&frame, text, 65536);
    size_t at = 0;
    for (int quiet = 0; quiet < 20; quiet++) {
        while (push(&r, &frame, &at)) {
            quiet = 0;
        }
        world_turn(&w, 2);
        assert_true(w.request_count < 64); /* two socket buffers, and one answer that did not fit */
    }
    assert_true(good_peer_ms(&w, true) < WORLD_MS);
    size_t count = w.request_count - 1;
    size_t got = 0;
    for (int64_t end_ms = hq_clock_ms() + WORLD_MS; w.request_count < count + 200 && hq_clock_ms() < end_ms;) {
        got += pull(&r);
        while (push(&r, &frame, &at)) {
        }
        world_turn(&w, 1);
    }
    assert_true(w.request_count >= count + 200); /* it reads: it goes on */
    for (int64_t end_ms = hq_clock_ms() + WORLD_MS; got < 8 + (w.request_count - 1) * frame.len && hq_clock_ms() < end_ms;) {
        got += pull(&r);
        world_turn(&w, 1);
    }
    assert_int_equal(got, 8 + (w.request_count - 1) * frame.len); /* its greeting, every answer */
    raw_close(&r);
    assert_true(world_until_count(&w, &w.gone_count, 2));
    free(text);
    world_close(&w);
}

/* One process, two connections: only the one that is meant ends. */
static void
test_kick_one_of_two(void **state)
{
    (void)state;
    const unsigned char plain[] = {HQ_FRAME_PLAIN, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, 0, 'x'};
    struct world w;
    world_open(&w, WORLD_IPC, NULL);
    struct raw stays = raw_connect(&w, true);
    struct raw goes = raw_connect(&w, true);
    raw_greet(&stays, 0x30);
    raw_greet(&goes, 0x30);
    w.mode = WORLD_HOLD;
    raw_request(&stays, 1, plain, sizeof(plain));
    assert_true(world_until_count(&w, &w.request_count, 1));
    w.mode = WORLD_KICK;
    raw_request(&goes, 2, plain, sizeof(plain));
    assert_true(world_until(&w, raw_is_closed, &goes));
    assert_int_equal(w.gone_count, 0); /* the owner did it itself */
    assert_int_equal(hq_net_answer(w.server, &w.requests[0].req, HQ_STR("still here")), 0);
    assert_true(world_until(&w, has_bytes, &stays));
    raw_close(&stays);
    raw_close(&goes);
    world_close(&w);
}

static bool
all_gone(void *arg)
{
    const struct world *w = arg;
    size_t peers = 0;
    for (size_t ix = 0; ix < w->request_count; ix++) { /* requests of one peer stand near each other */
        bool is_new = true;
        for (size_t jx = ix; jx-- > 0 && is_new && ix - jx < 2000;) {
            is_new = w->requests[jx].peer.id != w->requests[ix].peer.id;
        }
        peers += is_new;
    }
    return peers == w->gone_count;
}

static void
test_vanishing_peers(void **state)
{
    (void)state;
    const unsigned char plain[] = {HQ_FRAME_PLAIN, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, 0, 'x'};
    struct world w;
    world_open(&w, WORLD_BOTH, NULL);
    for (int ix = 0; ix < 50; ix++) {
        struct raw r = raw_connect(&w, true);
        raw_close(&r);
    }
    for (int ix = 0; ix < 300; ix++) {
        struct raw r = raw_connect(&w, ix % 3 == 0);
        raw_greet(&r, 0x30);
        for (uint32_t jx = 0; jx < 8; jx++) {
            raw_request(&r, jx, plain, sizeof(plain));
        }
        if (ix % 2 == 0) {
            raw_reset(&r);
        } else {
            raw_close(&r);
        }
        world_turn(&w, 0); /* the server is busy meanwhile */
    }
    assert_true(good_peer_ms(&w, false) < WORLD_MS);
    assert_true(good_peer_ms(&w, true) < WORLD_MS);
    assert_true(world_until(&w, all_gone, &w));
    assert_true(w.gone_count > 100);
    assert_int_equal(w.bad_count, 0);
    int64_t from_ms = hq_clock_ms();
    world_close(&w);
    assert_true(hq_clock_ms() - from_ms < 1000);
}

/* Who connects and says nothing: a bounded number, the oldest go. */
static void
test_strangers(void **state)
{
    (void)state;
    enum { PEERS = HQ_NET_STRANGERS_MAX + 100 };
    struct world w;
    world_open(&w, WORLD_TCP, world_secret);
    struct hq_net_client *c = world_client(&w, WORLD_TCP, world_secret);
    struct world_reply reply;
    assert_int_equal(world_ask(&w, c, "before", &reply), 0);
    static struct raw peers[PEERS];
    for (size_t ix = 0; ix < PEERS; ix++) {
        peers[ix] = raw_connect(&w, false);
        raw_greet(&peers[ix], 0x30);
        assert_true(world_until(&w, has_greeting, &peers[ix])); /* or the listener's queue would overflow */
    }
    assert_true(world_until_count(&w, &w.bad_count, 100));
    assert_int_equal(world_ask(&w, c, "after", &reply), 0);
    assert_int_equal(w.bad_count, 100);
    size_t closed = 0;
    for (size_t ix = 0; ix < 100; ix++) {
        closed += world_until(&w, raw_is_closed, &peers[ix]);
    }
    assert_int_equal(closed, 100);
    for (size_t ix = 100; ix < PEERS; ix++) {
        assert_false(raw_is_closed(&peers[ix]));
    }
    struct hq_net_client *late = world_client(&w, WORLD_TCP, world_secret);
    assert_int_equal(world_ask(&w, late, "late", &reply), 0);
    for (size_t ix = 0; ix < PEERS; ix++) {
        raw_close(&peers[ix]);
    }
    hq_net_client_destroy(late);
    hq_net_client_destroy(c);
    world_close(&w);
}

/* A server that is not one: to a client with a key it can do nothing but fail. */
struct nonsense {
    int listen_fd;
    const char *bytes;
    size_t len;
};

static void *
nonsense_main(void *arg)
{
    const struct nonsense *n = arg;
    int fd;
    char drop[512];
    while ((fd = accept4(n->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (send(fd, n->bytes, n->len, MSG_NOSIGNAL) == (ssize_t)n->len) {
            while (recv(fd, drop, sizeof(drop), 0) > 0) { /* until the client has had enough */
            }
        }
        close(fd);
    }
    return NULL;
}

static void
test_nonsense_servers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        int want;
    } cases[] = {
        {"http", "HTTP/1.1 400 Bad Request\r\n\r\n", 28, -EPROTO},
        {"pub", "\0SP\0\0\x20\0\0", 8, -EPROTO},
        {"silent", "", 0, -ETIMEDOUT},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct world w;
        world_open(&w, 0, NULL); /* only its loop */
        struct nonsense n = {.bytes = cases[ix].bytes, .len = cases[ix].len};
        struct sockaddr_in in = {.sin_family = AF_INET};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof(in);
        n.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(n.listen_fd, (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(listen(n.listen_fd, 16), 0);
        assert_int_equal(getsockname(n.listen_fd, (struct sockaddr *)&in, &len), 0);
        w.port = ntohs(in.sin_port);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, nonsense_main, &n), 0);
        struct world_asker a = {
            .conf = {.host = "127.0.0.1", .port = w.port, .secret = world_secret, .role = HQ_ROLE_CLIENT},
            .payload = "x",
            .payload_len = 1,
            .timeout_ms = 300,
        };
        world_asker_run(&w, &a);
        struct hq_net_client *c = world_client(&w, WORLD_TCP, world_secret);
        struct world_reply r;
        world_call(c, "x", 300, &r);
        assert_true(world_until_done(&w, &r));
        if (a.rc != cases[ix].want || r.rc != cases[ix].want) {
            fail_msg("%s: ask %d, call %d", cases[ix].name, a.rc, r.rc);
        }
        hq_net_client_destroy(c);
        shutdown(n.listen_fd, SHUT_RDWR);
        assert_int_equal(pthread_join(thread, NULL), 0);
        close(n.listen_fd);
        world_close(&w);
    }
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_keys),       cmocka_unit_test(test_bad_greetings),
        cmocka_unit_test(test_bad_frames),       cmocka_unit_test(test_oversized),
        cmocka_unit_test(test_in_flight),        cmocka_unit_test(test_deaf_peer),
        cmocka_unit_test(test_kick_one_of_two),  cmocka_unit_test(test_vanishing_peers),
        cmocka_unit_test(test_strangers),

        cmocka_unit_test(test_nonsense_servers),
    };
    return cmocka_run_group_tests_name("net_hostile", tests, NULL, world_end);
}
