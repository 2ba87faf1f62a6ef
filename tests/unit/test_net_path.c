/* Somebody on the path who knows no key: repeats, spoils, swaps, lies. Nothing runs twice, nothing false is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "common/limits.h"
#include "common/net_priv.h"
#include "tests/unit/networld.h"

enum attack {
    ATTACK_NONE,
    ATTACK_REPEAT,        /* every sealed request twice */
    ATTACK_SPOIL_REQUEST, /* one bit of it */
    ATTACK_SPOIL_ANSWER,
    ATTACK_SWAP_ANSWERS,  /* two answers change their request ids */
    ATTACK_LIE_AFTER,     /* lets it pass, then says that the session is unknown */
    ATTACK_LIE_INSTEAD,   /* keeps it, says that the session is unknown */
    ATTACK_REFUSE,        /* says that the server refused */
    ATTACK_PLAIN_ANSWER,  /* answers in the server's place, without a seal */
    ATTACK_PLAIN_WELCOME, /* the same to a handshake */
    ATTACK_FORGE_WELCOME,
};

struct mallory {
    enum attack attack;
    unsigned char hello[256]; /* the last of each, with its request id */
    size_t hello_len;
    unsigned char sealed[256];
    size_t sealed_len;
    unsigned char swap_id[4];
    size_t swap_count;
};

static enum path_verdict
answer_instead(struct path *p, const unsigned char *id, const unsigned char *frame, size_t len)
{
    unsigned char body[4 + 256];
    memcpy(body, id, 4);
    memcpy(body + 4, frame, len);
    path_inject(p, false, body, 4 + len);
    return PATH_DROP;
}

static enum path_verdict
on_request_frame(struct mallory *m, struct path *p, unsigned char *body, size_t len)
{
    unsigned char *frame = body + 4;
    unsigned char lie[HQ_FRAME_UNKNOWN_BYTES];
    const unsigned char plain[] = {HQ_FRAME_PLAIN, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, 0, 'o', 'k'};
    const unsigned char refusal[] = {HQ_FRAME_REFUSED, HQ_FRAME_VERSION, HQ_ROLE_CLIENT, HQ_REFUSAL_SECRET};
    if (frame[0] == HQ_FRAME_HELLO) {
        memcpy(m->hello, body, len);
        m->hello_len = len;
        if (m->attack == ATTACK_PLAIN_WELCOME) {
            return answer_instead(p, body, plain, sizeof(plain));
        }
        return PATH_PASS;
    }
    assert_int_equal(frame[0], HQ_FRAME_SEALED);
    assert_true(len <= sizeof(m->sealed));
    memcpy(m->sealed, body, len);
    m->sealed_len = len;
    hq_frame_head(lie, HQ_FRAME_UNKNOWN, HQ_ROLE_CLIENT, 0);
    memcpy(lie + HQ_FRAME_HEAD_BYTES, frame + HQ_FRAME_HEAD_BYTES, 16);
    enum attack attack = m->attack;
    switch (attack) {
    case ATTACK_REPEAT:
        path_inject(p, true, body, len);
        return PATH_PASS;
    case ATTACK_SPOIL_REQUEST:
        body[len - 1] ^= 1;
        return PATH_PASS;
    case ATTACK_LIE_AFTER:
        m->attack = ATTACK_NONE;
        path_inject(p, true, body, len);
        return answer_instead(p, body, lie, sizeof(lie));
    case ATTACK_LIE_INSTEAD:
        m->attack = ATTACK_NONE;
        return answer_instead(p, body, lie, sizeof(lie));
    case ATTACK_REFUSE:
        return answer_instead(p, body, refusal, sizeof(refusal));
    case ATTACK_PLAIN_ANSWER:
        return answer_instead(p, body, plain, sizeof(plain));
    case ATTACK_NONE:
    case ATTACK_SPOIL_ANSWER:
    case ATTACK_SWAP_ANSWERS:
    case ATTACK_PLAIN_WELCOME:
    case ATTACK_FORGE_WELCOME:
        break;
    }
    return PATH_PASS;
}

static enum path_verdict
on_answer_frame(struct mallory *m, struct path *p, unsigned char *body, size_t len)
{
    unsigned char id[4];
    bool is_welcome = body[4] == HQ_FRAME_WELCOME;
    if (m->attack == ATTACK_FORGE_WELCOME && is_welcome) {
        body[len - 1] ^= 1;
    } else if (m->attack == ATTACK_SPOIL_ANSWER && !is_welcome) {
        body[len - 1] ^= 1;
    } else if (m->attack == ATTACK_SWAP_ANSWERS && !is_welcome) {
        memcpy(id, body, 4);
        if (m->swap_count++ == 0) { /* keeps the first, sends it under the second one's id and the reverse */
            memcpy(m->swap_id, id, 4);
            memcpy(m->sealed, body, len);
            m->sealed_len = len;
            return PATH_DROP;
        }
        memcpy(m->sealed, id, 4);
        memcpy(body, m->swap_id, 4);
        path_inject(p, false, m->sealed, m->sealed_len);
    }
    return PATH_PASS;
}

static enum path_verdict
mallory(void *ctx, struct path *p, bool is_to_server, unsigned char *body, size_t len)
{
    assert_true(len >= 8);
    return is_to_server ? on_request_frame(ctx, p, body, len) : on_answer_frame(ctx, p, body, len);
}

struct scene {
    struct world w;
    struct mallory m;
    struct path *path;
    struct hq_net_client *client;
};

static void
scene_open(struct scene *s)
{
    *s = (struct scene){0};
    world_open(&s->w, WORLD_TCP, world_secret);
    s->path = path_open(&s->w, mallory, &s->m);
    struct hq_net_client_conf conf = {
        .loop = s->w.loop,
        .host = "127.0.0.1",
        .port = path_port(s->path),
        .secret = world_secret,
        .role = HQ_ROLE_CLIENT,
    };
    assert_int_equal(hq_net_client_create(&s->client, &conf, NULL), 0);
}

static void
scene_close(struct scene *s)
{
    hq_net_client_destroy(s->client);
    path_close(s->path);
    world_close(&s->w);
}

static void
test_repeated_request(void **state)
{
    (void)state;
    struct scene s;
    struct world_reply r;
    scene_open(&s);
    s.m.attack = ATTACK_REPEAT;
    assert_int_equal(world_ask(&s.w, s.client, "once", &r), 0);
    assert_true(world_until_count(&s.w, &s.w.bad_count, 1));
    assert_int_equal(s.w.request_count, 1);
    assert_non_null(strstr(s.w.bad_why, "repeated"));
    s.m.attack = ATTACK_NONE;
    struct raw other = raw_connect(&s.w, false); /* and on a connection of his own */
    raw_greet(&other, 0x30);
    raw_request(&other, 1, s.m.sealed + 4, s.m.sealed_len - 4);
    assert_true(world_until_count(&s.w, &s.w.bad_count, 2));
    assert_int_equal(world_ask(&s.w, s.client, "still here", &r), 0);
    assert_int_equal(s.w.request_count, 2);
    assert_int_equal(s.w.gone_count, 0);
    raw_close(&other);
    scene_close(&s);
}

static void
test_spoilt_frames(void **state)
{
    (void)state;
    struct scene s;
    struct world_reply r;
    scene_open(&s);
    assert_int_equal(world_ask(&s.w, s.client, "good", &r), 0);
    s.m.attack = ATTACK_SPOIL_REQUEST;
    for (size_t ix = 1; ix <= HQ_NET_STRIKES_MAX; ix++) { /* the last one costs the connection */
        world_call(s.client, "spoilt", ix < HQ_NET_STRIKES_MAX ? 50 : WORLD_MS, &r);
        assert_true(world_until_done(&s.w, &r));
        assert_int_equal(r.rc, ix < HQ_NET_STRIKES_MAX ? -ETIMEDOUT : -ECONNRESET);
        assert_int_equal(s.w.bad_count, ix);
    }
    assert_int_equal(s.w.request_count, 1);
    s.m.attack = ATTACK_NONE;
    assert_int_equal(world_ask(&s.w, s.client, "good", &r), 0); /* the session is as it was */
    assert_true(s.w.requests[1].peer.id == s.w.requests[0].peer.id);
    s.m.attack = ATTACK_SPOIL_ANSWER;
    assert_int_equal(world_ask(&s.w, s.client, "spoilt answer", &r), -EPROTO);
    s.m.attack = ATTACK_SWAP_ANSWERS;
    struct world_reply both[2];
    world_call(s.client, "first", WORLD_MS, &both[0]);
    world_call(s.client, "second", WORLD_MS, &both[1]);
    assert_true(world_until_done(&s.w, &both[0]));
    assert_true(world_until_done(&s.w, &both[1]));
    assert_int_equal(both[0].rc, -EPROTO);
    assert_int_equal(both[1].rc, -EPROTO);
    s.m.attack = ATTACK_PLAIN_ANSWER;
    assert_int_equal(world_ask(&s.w, s.client, "no seal", &r), -EPROTO);
    s.m.attack = ATTACK_REFUSE;
    assert_int_equal(world_ask(&s.w, s.client, "no right", &r), -EACCES);
    s.m.attack = ATTACK_NONE;
    assert_int_equal(world_ask(&s.w, s.client, "good", &r), 0);
    assert_true(s.w.requests[s.w.request_count - 1].peer.id == s.w.requests[0].peer.id);
    scene_close(&s);
}

/* "Unknown session" is the one word of a stranger that makes a client send twice. It must not make anything run twice.
 */
static void
test_unknown_session_lies(void **state)
{
    (void)state;
    struct scene s;
    struct world_reply r;
    scene_open(&s);
    assert_int_equal(world_ask(&s.w, s.client, "good", &r), 0);
    s.m.attack = ATTACK_LIE_AFTER; /* the first copy ran: the second must not, and the client must know */
    assert_int_equal(world_ask(&s.w, s.client, "once", &r), -ECONNRESET);
    assert_int_equal(s.w.request_count, 2);
    assert_string_equal(s.w.requests[1].text, "once");
    assert_int_equal(world_ask(&s.w, s.client, "good", &r), 0);
    s.m.attack = ATTACK_LIE_INSTEAD; /* the first copy did not come: the second runs */
    world_call(s.client, "only one", WORLD_MS, &r);
    while (s.m.attack == ATTACK_LIE_INSTEAD) {
        world_turn(&s.w, 1);
    }
    unsigned char kept[256];
    size_t kept_len = s.m.sealed_len;
    memcpy(kept, s.m.sealed, kept_len);
    assert_true(world_until_done(&s.w, &r));
    assert_int_equal(r.rc, 0);
    assert_int_equal(s.w.request_count, 4);
    size_t bad_before = s.w.bad_count;
    path_inject(s.path, true, kept, kept_len); /* and when the first copy comes after all, it does not */
    assert_true(world_until_count(&s.w, &s.w.bad_count, bad_before + 1));
    assert_int_equal(s.w.request_count, 4);
    assert_int_equal(world_ask(&s.w, s.client, "good", &r), 0);
    assert_int_equal(s.w.request_count, 5);
    scene_close(&s);
}

static void
test_false_welcomes(void **state)
{
    (void)state;
    struct scene s;
    struct world_reply r;
    scene_open(&s);
    s.m.attack = ATTACK_FORGE_WELCOME;
    assert_int_equal(world_ask(&s.w, s.client, "x", &r), -EACCES);
    s.m.attack = ATTACK_PLAIN_WELCOME;
    assert_int_equal(world_ask(&s.w, s.client, "x", &r), -EPROTO);
    assert_int_equal(s.w.request_count, 0);
    s.m.attack = ATTACK_NONE;
    assert_int_equal(world_ask(&s.w, s.client, "x", &r), 0);
    scene_close(&s);
}

/* A captured hello opens a session that nobody can use: bounded by the connection and its strikes. */
static void
test_repeated_hello(void **state)
{
    (void)state;
    struct scene s;
    struct world_reply r;
    scene_open(&s);
    assert_int_equal(world_ask(&s.w, s.client, "x", &r), 0);
    struct raw raw = raw_connect(&s.w, false);
    raw_greet(&raw, 0x30);
    for (uint32_t ix = 0; ix <= HQ_NET_STRIKES_MAX; ix++) {
        raw_request(&raw, ix, s.m.hello + 4, s.m.hello_len - 4);
    }
    assert_true(world_until(&s.w, raw_is_closed, &raw));
    assert_int_equal(s.w.request_count, 1);
    assert_int_equal(s.w.gone_count, 0); /* sessions that never spoke are nobody's business */
    raw_close(&raw);
    assert_int_equal(world_ask(&s.w, s.client, "x", &r), 0);
    scene_close(&s);
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeated_request),     cmocka_unit_test(test_spoilt_frames),
        cmocka_unit_test(test_unknown_session_lies), cmocka_unit_test(test_false_welcomes),
        cmocka_unit_test(test_repeated_hello),
    };
    return cmocka_run_group_tests_name("net_path", tests, NULL, world_end);
}
