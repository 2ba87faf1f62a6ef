/* test_framed.c - frames in pieces, together, too long, cut off; queues, pauses, destruction from callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "hq-workerd/framed.h"

#define MAX_BYTES 1000u

struct side {
    struct ev_loop *loop;
    struct framed *f;
    int other; /* the raw end */
    struct hq_buf got; /* "LENGTH:FIRST " of each frame */
    uint32_t count, drained, ends;
    int rc;
    uint32_t destroy_at, pause_at; /* frame number; 0 = never */
};

static void
on_frame(void *ctx, unsigned char *body, size_t len)
{
    struct side *s = ctx;

    s->count++;
    hq_buf_printf(&s->got, "%zu:%.*s ", len, len > 0, (const char *)body);
    if (s->pause_at == s->count) {
        framed_pause(s->f, true);
    }
    if (s->destroy_at == s->count) {
        framed_destroy(s->f);
        s->f = NULL;
    }
}

static void
on_drained(void *ctx)
{
    ((struct side *)ctx)->drained++;
}

static void
on_end(void *ctx, int rc)
{
    struct side *s = ctx;

    s->ends++;
    s->rc = rc;
}

static void
side_init(struct side *s)
{
    int ends[2];
    const struct framed_calls calls = {.ctx = s, .on_frame = on_frame, .on_drained = on_drained, .on_end = on_end};

    *s = (struct side){.loop = ev_loop_new(EVFLAG_AUTO)};
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
    s->other = ends[1];
    assert_int_equal(0, framed_create(&s->f, s->loop, ends[0], MAX_BYTES, &calls));
}

static void
side_fini(struct side *s)
{
    framed_destroy(s->f);
    if (s->other >= 0) {
        (void)close(s->other);
    }
    hq_buf_fini(&s->got);
    ev_loop_destroy(s->loop);
}

static void
say(struct side *s, const char *bytes, size_t len)
{
    assert_int_equal((ssize_t)len, send(s->other, bytes, len, MSG_NOSIGNAL));
}

static void
run_until(struct side *s, const uint32_t *counter, uint32_t at_least)
{
    hq_ms until_ms = hq_clock_ms() + 10000;

    while (*counter < at_least) {
        assert_true(hq_clock_ms() < until_ms);
        ev_run(s->loop, EVRUN_ONCE);
    }
}

static void
run_what_is_there(struct side *s)
{
    for (int i = 0; i < 4; i++) {
        ev_run(s->loop, EVRUN_NOWAIT);
    }
}

#define SAY(s, text) say((s), text, sizeof(text) - 1)

static void
test_whole_and_in_pieces(void **state)
{
    static const char three[] = "\3\0\0\0abc\0\0\0\0\1\0\0\0x";
    struct side s;

    (void)state;
    side_init(&s);
    say(&s, three, sizeof three - 1);
    run_until(&s, &s.count, 3);
    assert_string_equal("3:a 0: 1:x ", s.got.ptr);
    hq_buf_clear(&s.got);
    for (size_t i = 0; i < sizeof three - 1; i++) {
        say(&s, three + i, 1);
        run_what_is_there(&s);
    }
    run_until(&s, &s.count, 6);
    assert_string_equal("3:a 0: 1:x ", s.got.ptr);
    (void)close(s.other);
    s.other = -1;
    run_until(&s, &s.ends, 1);
    assert_int_equal(0, s.rc);
    run_what_is_there(&s);
    assert_int_equal(1, s.ends);
    side_fini(&s);
}

static void
test_bad_ends(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool hangs_up;
        int rc;
        uint32_t count;
    } rows[] = {
        {"\1\0\0\0a\xe9\3\0\0", 9, false, -EMSGSIZE, 1}, /* 1001 */
        {"\xff\xff\xff\xff", 4, false, -EMSGSIZE, 0},
        {"\2\0\0\0a", 5, true, -EPROTO, 0},
        {"\2\0", 2, true, -EPROTO, 0},
        {"", 0, true, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct side s;
        side_init(&s);
        say(&s, rows[i].bytes, rows[i].len);
        if (rows[i].hangs_up) {
            (void)close(s.other);
            s.other = -1;
        }
        run_until(&s, &s.ends, 1);
        assert_int_equal(rows[i].rc, s.rc);
        assert_int_equal(rows[i].count, s.count);
        side_fini(&s);
    }
}

static void
test_destroy_inside(void **state)
{
    struct side s;

    (void)state;
    side_init(&s);
    s.destroy_at = 2;
    SAY(&s, "\1\0\0\0a\1\0\0\0b\1\0\0\0c");
    run_until(&s, &s.count, 2);
    run_what_is_there(&s);
    assert_int_equal(2, s.count);
    assert_int_equal(0, s.ends);
    side_fini(&s);
}

static void
test_pause(void **state)
{
    struct side s;

    (void)state;
    side_init(&s);
    s.pause_at = 1;
    SAY(&s, "\1\0\0\0a\1\0\0\0b\1\0\0\0c");
    (void)close(s.other);
    s.other = -1;
    run_until(&s, &s.count, 1);
    run_what_is_there(&s);
    assert_int_equal(1, s.count);
    assert_int_equal(0, s.ends);
    framed_pause(s.f, false);
    run_until(&s, &s.ends, 1); /* the rest comes before the end */
    assert_string_equal("1:a 1:b 1:c ", s.got.ptr);
    assert_int_equal(0, s.rc);
    side_fini(&s);
}

static void
test_feed(void **state)
{
    struct side s;

    (void)state;
    side_init(&s);
    assert_int_equal(0, framed_feed(s.f, HQ_STR("\2\0\0\0y")));
    SAY(&s, "z");
    run_until(&s, &s.count, 1);
    assert_string_equal("2:y ", s.got.ptr);
    side_fini(&s);
}

/* More than the socket takes: it waits here, arrives whole, and then on_drained says so. */
static void
test_queue(void **state)
{
    struct side s;
    char body[900], chunk[65536];
    size_t sent = 0, got = 0;
    const size_t each = sizeof body + FRAMED_HEAD_BYTES;

    (void)state;
    side_init(&s);
    memset(body, 'q', sizeof body);
    while (framed_queued(s.f) < (size_t)1 << 20) {
        assert_int_equal(0, framed_send(s.f, hq_str_make(body, sizeof body)));
        sent += each;
    }
    while (got < sent) {
        ssize_t n = recv(s.other, chunk, sizeof chunk, 0);
        for (ssize_t i = 0; i < n; i++) { /* each byte is where it belongs */
            size_t at = (got + (size_t)i) % each;
            assert_int_equal(at == 0 ? (char)(sizeof body & 0xff) : at == 1 ? (char)(sizeof body >> 8) : at < 4 ? 0 : 'q',
                             chunk[i]);
        }
        got += n > 0 ? (size_t)n : 0;
        ev_run(s.loop, EVRUN_NOWAIT);
    }
    run_until(&s, &s.drained, 1);
    assert_int_equal(0, framed_queued(s.f));
    side_fini(&s);
}

/* The other side has gone, but what it said before counts, although we were about to send. */
static void
test_last_words(void **state)
{
    struct side s;

    (void)state;
    side_init(&s);
    SAY(&s, "\1\0\0\0a");
    (void)close(s.other);
    s.other = -1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(0, framed_send(s.f, HQ_STR("nobody is there")));
    }
    assert_int_equal(0, framed_queued(s.f));
    run_until(&s, &s.ends, 1);
    assert_string_equal("1:a ", s.got.ptr);
    side_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_in_pieces), cmocka_unit_test(test_bad_ends), cmocka_unit_test(test_destroy_inside),
        cmocka_unit_test(test_pause),               cmocka_unit_test(test_feed),     cmocka_unit_test(test_queue),
        cmocka_unit_test(test_last_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
