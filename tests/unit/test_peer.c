/* test_peer.c - links between nodes: both ways, late, lost, under pressure, and among strangers who mean no good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/seal.h"
#include "hq-workerd/framed.h"
#include "hq-workerd/peer.h"
#include "tests/unit/turns.h"

#define DIAL_MS 1500
#define STRANGER_MS 1500

static const unsigned char good_key[HQ_SEAL_KEY_BYTES] = "the key of nodes 0 and 1";
static const unsigned char bad_key[HQ_SEAL_KEY_BYTES] = "a key that is made up";

struct node {
    struct ev_loop *loop;
    struct peers *peers;
    struct peer *peer; /* the other node; made at the first need */
    struct step_node other;
    struct hq_str address;
    const unsigned char *key;
    uint32_t ix;
    int listen_fd;
    uint16_t port;
    bool is_known; /* the task, here */
    uint32_t asked;
    uint32_t frames, rooms, lost;
    size_t bytes;
    struct hq_buf text; /* short frames, joined by blanks */
    uint32_t next;      /* frames that begin with a number: the next one */
    char why[128];
};

struct world {
    struct ev_loop *loop;
    struct node at[2];
};

static void
on_frame(void *ctx, struct hq_str frame)
{
    struct node *n = ctx;

    n->frames++;
    n->bytes += frame.len;
    if (frame.len < 16) {
        hq_buf_printf(&n->text, "%.*s ", HQ_STR_FMT(frame));
    } else {
        assert_int_equal(n->next++, framed_get_le32(frame.ptr));
    }
}

static void
on_room(void *ctx)
{
    ((struct node *)ctx)->rooms++;
}

static void
on_lost(void *ctx, const char *why)
{
    struct node *n = ctx;

    n->lost++;
    (void)snprintf(n->why, sizeof n->why, "%s", why);
}

static struct peer *
node_peer(struct node *n)
{
    const struct peer_conf conf = {.name = {7, 3, 1, n->ix, 1 - n->ix},
                                   .key = n->key,
                                   .node = &n->other,
                                   .ctx = n,
                                   .on_frame = on_frame,
                                   .on_room = on_room,
                                   .on_lost = on_lost};

    if (n->peer == NULL) {
        assert_int_equal(0, peer_create(&n->peer, n->peers, &conf));
    }
    return n->peer;
}

static struct peer *
find(void *ctx, const struct peer_name *name)
{
    struct node *n = ctx;

    n->asked++;
    bool is_it = name->job == 7 && name->task == 3 && name->instance == 1 && name->called == n->ix &&
                 name->caller == 1 - n->ix;
    return n->is_known && is_it ? node_peer(n) : NULL;
}

static void
world_init(struct world *w)
{
    *w = (struct world){.loop = ev_loop_new(EVFLAG_AUTO)};
    assert_int_equal(0, hq_seal_start(NULL));
    for (uint32_t i = 0; i < 2; i++) {
        struct node *n = &w->at[i];
        *n = (struct node){.loop = w->loop, .ix = i, .key = good_key, .is_known = true, .address = HQ_STR("127.0.0.1")};
        n->listen_fd = listen_on_loopback(&n->port);
        const struct peers_conf conf = {.loop = w->loop, .listen_fd = n->listen_fd, .ctx = n, .find = find,
                                         .dial_ms = DIAL_MS, .stranger_ms = STRANGER_MS};
        assert_int_equal(0, peers_create(&n->peers, &conf, NULL));
        peers_expect(n->peers, true);
    }
    for (uint32_t i = 0; i < 2; i++) {
        w->at[i].other = (struct step_node){.host = HQ_STR("127.0.0.1"), .port = w->at[1 - i].port};
    }
}

static void
world_fini(struct world *w)
{
    for (uint32_t i = 0; i < 2; i++) {
        peer_destroy(w->at[i].peer);
        peers_destroy(w->at[i].peers);
        hq_buf_fini(&w->at[i].text);
        (void)close(w->at[i].listen_fd);
    }
    ev_loop_destroy(w->loop);
}

#define RUN_UNTIL(w, cond) TURN_UNTIL((w)->loop, (void)0, cond)

static void
run_for(struct world *w, hq_ms ms)
{
    for (hq_ms until_ms = hq_clock_ms() + ms; hq_clock_ms() < until_ms;) {
        turn_once(w->loop);
    }
}

static void
say(struct node *n, const char *text)
{
    assert_int_equal(0, peer_send(node_peer(n), hq_str_from(text)));
}

/* ---- orderly */

static void
test_both_ways(void **state)
{
    struct world w;
    struct node *a = &w.at[0], *b = &w.at[1];
    char *large = calloc(1, HQ_STEP_MSG_BYTES_MAX + 1);

    (void)state;
    world_init(&w);
    say(a, "one");
    say(a, "two");
    assert_int_equal(0, peer_send(a->peer, hq_str_make(large, HQ_STEP_MSG_BYTES_MAX)));
    assert_int_equal(-EMSGSIZE, peer_send(a->peer, hq_str_make(large, HQ_STEP_MSG_BYTES_MAX + 1)));
    RUN_UNTIL(&w, b->frames == 3);
    assert_string_equal("one two ", b->text.ptr);
    assert_int_equal(6 + HQ_STEP_MSG_BYTES_MAX, b->bytes);
    say(b, "back");
    RUN_UNTIL(&w, a->frames == 1);
    assert_string_equal("back ", a->text.ptr);
    assert_int_equal(0, a->asked); /* b did not have to call */
    run_for(&w, PEER_LOST_MS + 500); /* it is kept alive */
    say(b, "still");
    say(a, "here");
    RUN_UNTIL(&w, a->frames == 2 && b->frames == 4);
    assert_int_equal(0, a->lost + b->lost);
    world_fini(&w);
    free(large);
}

static void
test_both_call_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct world w;
        world_init(&w);
        say(&w.at[0], "a1");
        say(&w.at[1], "b1");
        for (int k = 0; k < i; k++) { /* other moments each time */
            ev_run(w.loop, EVRUN_NOWAIT);
        }
        say(&w.at[0], "a2");
        say(&w.at[1], "b2");
        RUN_UNTIL(&w, w.at[0].frames == 2 && w.at[1].frames == 2);
        say(&w.at[0], "a3");
        say(&w.at[1], "b3");
        RUN_UNTIL(&w, w.at[0].frames == 3 && w.at[1].frames == 3);
        assert_string_equal("b1 b2 b3 ", w.at[0].text.ptr);
        assert_string_equal("a1 a2 a3 ", w.at[1].text.ptr);
        run_for(&w, 50);
        assert_int_equal(0, w.at[0].lost + w.at[1].lost);
        world_fini(&w);
    }
}

/* The other node hears of the task later than we. */
static void
test_known_late(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.at[1].is_known = false;
    peers_expect(w.at[1].peers, false);
    say(&w.at[0], "early");
    run_for(&w, 300);
    assert_int_equal(0, w.at[1].asked); /* sent away unread */
    peers_expect(w.at[1].peers, true);
    RUN_UNTIL(&w, w.at[1].asked >= 2);
    w.at[1].is_known = true;
    RUN_UNTIL(&w, w.at[1].frames == 1);
    assert_string_equal("early ", w.at[1].text.ptr);
    world_fini(&w);
}

/* A name that nobody knows, addresses where nobody listens: then the right one. */
static void
test_addresses_in_turn(void **state)
{
    struct hq_str addresses[] = {HQ_STR("no number"), HQ_STR("127.0.0.2"), HQ_STR("127.0.0.1")};
    struct world w;

    (void)state;
    world_init(&w);
    w.at[0].other.host = HQ_STR("no-such-host.invalid");
    w.at[0].other.addresses = addresses;
    w.at[0].other.address_count = HQ_ARRAY_LEN(addresses);
    say(&w.at[0], "found");
    RUN_UNTIL(&w, w.at[1].frames == 1);
    world_fini(&w);
}

static void
test_end(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    say(&w.at[0], "x");
    RUN_UNTIL(&w, w.at[1].frames == 1);
    peer_destroy(w.at[0].peer);
    w.at[0].peer = NULL;
    RUN_UNTIL(&w, w.at[1].lost == 1);
    assert_string_equal("the connection has ended", w.at[1].why);
    assert_true(peer_is_lost(w.at[1].peer));
    assert_int_equal(-ENOTCONN, peer_send(w.at[1].peer, HQ_STR("y")));
    run_for(&w, 100);
    assert_int_equal(1, w.at[1].lost); /* told once */
    world_fini(&w);
}

static void
test_nobody_there(void **state)
{
    struct world w;
    hq_ms begin_ms = hq_clock_ms();

    (void)state;
    world_init(&w);
    w.at[1].is_known = false;
    say(&w.at[0], "x");
    RUN_UNTIL(&w, w.at[0].lost == 1);
    assert_true(hq_clock_ms() - begin_ms >= DIAL_MS);
    assert_non_null(strstr(w.at[0].why, "no connection: "));
    world_fini(&w);
}

/* A receiver that does not read: we hold a bounded part, hear of room, lose nothing, and nobody is taken for dead. */
static void
test_pressure(void **state)
{
    enum { FRAME = 60000 };
    struct world w;
    struct node *a = &w.at[0], *b = &w.at[1];
    unsigned char *frame = calloc(1, FRAME);
    uint32_t sent = 0;

    (void)state;
    world_init(&w);
    say(a, "x");
    RUN_UNTIL(&w, b->frames == 1);
    peer_pause(b->peer, true);
    hq_ms full_ms = hq_clock_ms() + PEER_LOST_MS + 500;
    while (!peer_is_full(a->peer) || hq_clock_ms() < full_ms) {
        if (!peer_is_full(a->peer)) {
            framed_put_le32(frame, sent++);
            assert_int_equal(0, peer_send(a->peer, hq_str_make((const char *)frame, FRAME)));
        }
        turn_once(w.loop);
    }
    assert_int_equal(0, a->lost + b->lost);
    assert_int_equal(1, b->frames);
    assert_int_equal(0, a->rooms);
    peer_pause(b->peer, false);
    RUN_UNTIL(&w, b->next == sent && a->rooms == 1);
    assert_int_equal(0, a->lost + b->lost);
    world_fini(&w);
    free(frame);
}

/* Who sends on although it is full loses the link, not our memory. */
static void
test_no_heed(void **state)
{
    struct world w;
    struct node *a = &w.at[0];
    char *frame = calloc(1, HQ_STEP_MSG_BYTES_MAX);
    int rc = 0;

    (void)state;
    world_init(&w);
    say(a, "x");
    RUN_UNTIL(&w, w.at[1].frames == 1);
    peer_pause(w.at[1].peer, true);
    for (uint32_t i = 0; rc == 0 && i < 100; i++) {
        framed_put_le32(frame, i);
        rc = peer_send(a->peer, hq_str_make(frame, HQ_STEP_MSG_BYTES_MAX));
    }
    assert_int_equal(-ENOBUFS, rc);
    assert_int_equal(0, a->lost); /* never from inside */
    RUN_UNTIL(&w, a->lost == 1);
    world_fini(&w);
    free(frame);
}

/* ---- strangers */

static int
dial(const struct node *n)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(n->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(0, connect(fd, (const struct sockaddr *)&sa, sizeof sa));
    return fd;
}

static bool
is_closed(int fd)
{
    char text[4096];
    ssize_t got;

    while ((got = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0) {
    }
    return got == 0 || (errno != EAGAIN && errno != EINTR);
}

struct caller { /* node 0, made by hand */
    int fd;
    struct hq_seal_hs hs;
    struct hq_seal seal;
    unsigned char hello[FRAMED_HEAD_BYTES + PEER_HELLO_BYTES + HQ_SEAL_HELLO_BYTES];
};

static void
caller_hello(struct caller *c, const unsigned char *key, uint32_t task)
{
    const uint32_t v[] = {7, task, 1, 0, 1};
    unsigned char *at = c->hello + FRAMED_HEAD_BYTES;
    size_t len;

    framed_put_le32(c->hello, PEER_HELLO_BYTES + HQ_SEAL_HELLO_BYTES);
    memcpy(at, "HQP1", 4);
    for (size_t i = 0; i < HQ_ARRAY_LEN(v); i++) {
        framed_put_le32(at + 4 + 4 * i, v[i]);
    }
    hq_seal_hs_init(&c->hs, HQ_SEAL_INITIATOR, hq_str_make((const char *)at, PEER_HELLO_BYTES), key, NULL);
    assert_int_equal(0, hq_seal_hs_write(&c->hs, HQ_STR_NULL, at + PEER_HELLO_BYTES, HQ_SEAL_HELLO_BYTES, &len));
}

static void
put(int fd, const void *p, size_t len)
{
    (void)!send(fd, p, len, MSG_NOSIGNAL); /* who has hung up misses it */
}

/* Reads the answer and makes the keys. */
static void
caller_finish(struct world *w, struct caller *c)
{
    unsigned char answer[FRAMED_HEAD_BYTES + HQ_SEAL_HELLO_BYTES], none[1];
    size_t len;

    RUN_UNTIL(w, recv(c->fd, answer, sizeof answer, MSG_DONTWAIT | MSG_PEEK) == (ssize_t)sizeof answer);
    assert_int_equal((ssize_t)sizeof answer, recv(c->fd, answer, sizeof answer, 0));
    assert_int_equal(HQ_SEAL_HELLO_BYTES, framed_get_le32(answer));
    assert_int_equal(0, hq_seal_hs_read(&c->hs, hq_str_make((const char *)answer + FRAMED_HEAD_BYTES, HQ_SEAL_HELLO_BYTES),
                                        none, 0, &len));
    assert_int_equal(0, hq_seal_hs_split(&c->hs, &c->seal));
}

static size_t
caller_seal(struct caller *c, const char *text, unsigned char *out)
{
    uint64_t counter;
    size_t len = strlen(text);

    framed_put_le32(out, (uint32_t)(len + HQ_SEAL_TAG_BYTES));
    assert_int_equal(0, hq_seal_close(&c->seal, hq_str_make(text, len), out + FRAMED_HEAD_BYTES, &counter));
    return FRAMED_HEAD_BYTES + len + HQ_SEAL_TAG_BYTES;
}

static void
caller_open(struct world *w, struct caller *c)
{
    unsigned char frame[64];

    c->fd = dial(&w->at[1]);
    caller_hello(c, good_key, 3);
    put(c->fd, c->hello, sizeof c->hello);
    caller_finish(w, c);
    put(c->fd, frame, caller_seal(c, "", frame));
    put(c->fd, frame, caller_seal(c, "mine", frame));
    RUN_UNTIL(w, w->at[1].frames == 1);
}

static void
test_nonsense(void **state)
{
    struct caller wrong = {0}, other = {0}, shorter = {0};
    unsigned char longer[256] = {0}, damaged[sizeof wrong.hello];
    struct world w;

    (void)state;
    world_init(&w);
    caller_hello(&wrong, bad_key, 3);
    caller_hello(&other, good_key, 4);
    caller_hello(&shorter, good_key, 3);
    memcpy(damaged, shorter.hello, sizeof damaged);
    damaged[sizeof damaged - 1] ^= 1;
    memcpy(longer, shorter.hello, sizeof shorter.hello);
    framed_put_le32(longer, PEER_HELLO_BYTES + HQ_SEAL_HELLO_BYTES + 1);
    framed_put_le32(shorter.hello, PEER_HELLO_BYTES + HQ_SEAL_HELLO_BYTES - 1);
    const struct {
        const void *bytes;
        size_t len;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\xff\xff\xff\xff", 4},
        {"\0\0\0\0", 4},
        {"\1\0\0\0x", 5},
        {"notify hq0-0-abc 5\nhello", 24},
        {wrong.hello, sizeof wrong.hello},
        {other.hello, sizeof other.hello},
        {shorter.hello, sizeof shorter.hello},
        {longer, sizeof longer},
        {damaged, sizeof damaged},
    };
    say(&w.at[0], "real"); /* one good link among them */
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        int fd = dial(&w.at[1]);
        put(fd, rows[i].bytes, rows[i].len);
        RUN_UNTIL(&w, is_closed(fd));
        (void)close(fd);
    }
    say(&w.at[0], "link");
    RUN_UNTIL(&w, w.at[1].frames == 2);
    assert_string_equal("real link ", w.at[1].text.ptr);
    assert_int_equal(0, w.at[0].lost + w.at[1].lost);
    hq_seal_hs_fini(&wrong.hs);
    hq_seal_hs_fini(&other.hs);
    hq_seal_hs_fini(&shorter.hs);
    world_fini(&w);
}

/* What was overheard is said again: the hello gets an answer that is worth nothing, the rest nothing at all. */
static void
test_repeated(void **state)
{
    struct caller c = {0};
    unsigned char frame[64];
    struct world w;

    (void)state;
    world_init(&w);
    c.fd = dial(&w.at[1]);
    caller_hello(&c, good_key, 3);
    put(c.fd, c.hello, sizeof c.hello);
    caller_finish(&w, &c);
    size_t len = caller_seal(&c, "", frame);
    put(c.fd, frame, len);
    int fd = dial(&w.at[1]);
    put(fd, c.hello, sizeof c.hello);
    put(fd, frame, len);
    RUN_UNTIL(&w, is_closed(fd));
    (void)close(fd);
    assert_int_equal(0, w.at[1].lost);
    put(c.fd, frame, caller_seal(&c, "mine", frame));
    RUN_UNTIL(&w, w.at[1].frames == 1);
    assert_string_equal("mine ", w.at[1].text.ptr);
    (void)close(c.fd);
    hq_seal_fini(&c.seal);
    world_fini(&w);
}

/* Inside a link any wrong frame ends it: changed, repeated, left out, too long, too short. */
static void
test_wrong_frame(void **state)
{
    (void)state;
    for (int row = 0; row < 5; row++) {
        struct caller c = {0};
        unsigned char frame[64];
        struct world w;
        world_init(&w);
        caller_open(&w, &c);
        size_t len = caller_seal(&c, "next", frame);
        switch (row) {
        case 0:
            frame[len - 1] ^= 1;
            break;
        case 1:
            put(c.fd, frame, len);
            break;
        case 2:
            len = caller_seal(&c, "after", frame);
            break;
        case 3:
            framed_put_le32(frame, HQ_STEP_MSG_BYTES_MAX + HQ_SEAL_TAG_BYTES + 1);
            break;
        case 4:
            framed_put_le32(frame, HQ_SEAL_TAG_BYTES - 1);
            break;
        }
        put(c.fd, frame, len);
        RUN_UNTIL(&w, w.at[1].lost == 1);
        assert_int_equal(row == 1 ? 2 : 1, w.at[1].frames);
        assert_true(is_closed(c.fd));
        (void)close(c.fd);
        hq_seal_fini(&c.seal);
        world_fini(&w);
    }
}

/* The first sealed frame must be empty: memory for large ones is only for those who are known. */
static void
test_large_first_frame(void **state)
{
    struct caller c = {0};
    unsigned char frame[256];
    char text[101] = {0};
    struct world w;

    (void)state;
    world_init(&w);
    memset(text, 'x', sizeof text - 1);
    c.fd = dial(&w.at[1]);
    caller_hello(&c, good_key, 3);
    put(c.fd, c.hello, sizeof c.hello);
    caller_finish(&w, &c);
    put(c.fd, frame, caller_seal(&c, text, frame));
    RUN_UNTIL(&w, is_closed(c.fd));
    assert_int_equal(0, w.at[1].frames);
    (void)close(c.fd);
    hq_seal_fini(&c.seal);
    world_fini(&w);
}

static void
test_silence(void **state)
{
    struct caller c = {0};
    struct world w;

    (void)state;
    world_init(&w);
    caller_open(&w, &c);
    hq_ms begin_ms = hq_clock_ms();
    RUN_UNTIL(&w, w.at[1].lost == 1);
    hq_ms took_ms = hq_clock_ms() - begin_ms;
    assert_in_range(took_ms, PEER_LOST_MS - 200, PEER_LOST_MS + 2000);
    assert_string_equal("nothing was heard of it for 2 s", w.at[1].why);
    (void)close(c.fd);
    hq_seal_fini(&c.seal);
    world_fini(&w);
}

/* Too many, and for too long. */
static void
test_idle_strangers(void **state)
{
    int fds[PEER_STRANGERS_MAX + 3];
    struct world w;

    (void)state;
    world_init(&w);
    hq_ms begin_ms = hq_clock_ms();
    for (size_t i = 0; i < HQ_ARRAY_LEN(fds); i++) {
        fds[i] = dial(&w.at[1]);
        put(fds[i], "\x48\0\0\0HQP1", 8); /* a hello that stops */
        turn_once(w.loop);
    }
    RUN_UNTIL(&w, is_closed(fds[2])); /* the oldest ones made room */
    if (hq_clock_ms() - begin_ms < STRANGER_MS / 2) {
        assert_false(is_closed(fds[3]));
    }
    say(&w.at[0], "real");
    RUN_UNTIL(&w, w.at[1].frames == 1);
    RUN_UNTIL(&w, is_closed(fds[PEER_STRANGERS_MAX + 2]));
    for (size_t i = 0; i < HQ_ARRAY_LEN(fds); i++) {
        assert_true(is_closed(fds[i]));
        (void)close(fds[i]);
    }
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_both_call_at_once),
        cmocka_unit_test(test_known_late),   cmocka_unit_test(test_addresses_in_turn),
        cmocka_unit_test(test_end),          cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_pressure),     cmocka_unit_test(test_no_heed),
        cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_wrong_frame),  cmocka_unit_test(test_large_first_frame),
        cmocka_unit_test(test_silence),      cmocka_unit_test(test_idle_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
