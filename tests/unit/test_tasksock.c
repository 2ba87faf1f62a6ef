/* test_tasksock.c - notifications of tasks: whole, in pieces, too long, nonsense, too many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ev.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "hq-workerd/tasksock.h"

struct world {
    struct ev_loop *loop;
    struct tasksock *sock;
    char token[64], message[2048];
    uint32_t count;
};

static const char *
on_notify(void *ctx, struct hq_str token, struct hq_str message)
{
    struct world *w = ctx;

    (void)snprintf(w->token, sizeof w->token, "%.*s", HQ_STR_FMT(token));
    (void)snprintf(w->message, sizeof w->message, "%.*s", HQ_STR_FMT(message));
    w->count++;
    return hq_str_is(token, "wrong") ? "no such task is running here" : NULL;
}

static void
world_init(struct world *w)
{
    struct hq_err err = {0};

    *w = (struct world){.loop = ev_loop_new(EVFLAG_AUTO)};
    assert_true(sodium_init() >= 0);
    assert_int_equal(0, tasksock_create(&w->sock, w->loop, "/tmp", on_notify, NULL, w, &err));
}

static void
world_fini(struct world *w)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s", tasksock_path(w->sock));
    tasksock_destroy(w->sock);
    assert_int_equal(-1, access(path, F_OK));
    ev_loop_destroy(w->loop);
}

static int
dial(struct world *w)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", tasksock_path(w->sock));
    assert_int_equal(0, connect(fd, (const struct sockaddr *)&sa, sizeof sa));
    return fd;
}

/* The whole answer, until the other side ends the connection. */
static void
expect_answer(struct world *w, int fd, const char *text)
{
    hq_ms until_ms = hq_clock_ms() + 10000;
    char answer[256] = {0};
    size_t len = 0;

    for (;;) {
        ssize_t got = recv(fd, answer + len, sizeof answer - 1 - len, 0);
        if (got == 0) {
            break;
        }
        len += got > 0 ? (size_t)got : 0;
        assert_true(hq_clock_ms() < until_ms);
        ev_run(w->loop, EVRUN_NOWAIT);
    }
    assert_string_equal(text, answer);
    (void)close(fd);
}

static void
say(int fd, const void *text, size_t len)
{
    assert_int_equal((ssize_t)len, send(fd, text, len, MSG_NOSIGNAL));
}

static void
test_requests(void **state)
{
    static const struct {
        const char *request, *answer, *message; /* NULL = nobody was told */
    } rows[] = {
        {"notify hq0-1-abc 5\nhello", "ok\n", "hello"},
        {"notify t 0\n", "ok\n", ""},
        {"notify t 3\nab\nrest", "ok\n", "ab\n"}, /* what follows is ignored */
        {"notify wrong 1\nx", "error no such task is running here\n", "x"},
        {"notify t 1025\n", "error message limit exceeded\n", NULL},
        {"notify t 99999999999\n", "error bad request\n", NULL},
        {"notify t -1\n", "error bad request\n", NULL},
        {"notify t\n", "error bad request\n", NULL},
        {"other t 1\nx", "error bad request\n", NULL},
        {"\n", "error bad request\n", NULL},
    };
    struct world w;

    (void)state;
    world_init(&w);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        int fd = dial(&w);
        w.count = 0;
        say(fd, rows[i].request, strlen(rows[i].request));
        expect_answer(&w, fd, rows[i].answer);
        assert_int_equal(rows[i].message != NULL, w.count);
        if (rows[i].message != NULL) {
            assert_string_equal(rows[i].message, w.message);
        }
    }
    world_fini(&w);
}

static void
test_pieces(void **state)
{
    char head[] = "notify tok 1024\n", body[HQ_NOTIFY_BYTES_MAX];
    struct world w;

    (void)state;
    world_init(&w);
    int fd = dial(&w);
    memset(body, 'm', sizeof body);
    for (size_t i = 0; i < sizeof head - 1; i++) {
        say(fd, head + i, 1);
        ev_run(w.loop, EVRUN_NOWAIT);
    }
    say(fd, body, 1000);
    ev_run(w.loop, EVRUN_NOWAIT);
    assert_int_equal(0, w.count);
    say(fd, body, 24);
    expect_answer(&w, fd, "ok\n");
    assert_int_equal(1024, strlen(w.message));
    assert_string_equal("tok", w.token);
    /* A head without an end. */
    fd = dial(&w);
    say(fd, body, sizeof body);
    expect_answer(&w, fd, "error bad request\n");
    /* Who hangs up early is forgotten. */
    fd = dial(&w);
    say(fd, head, 5);
    ev_run(w.loop, EVRUN_NOWAIT);
    (void)close(fd);
    ev_run(w.loop, EVRUN_NOWAIT);
    world_fini(&w);
}

/* More silent ones than there is room for: they wait in the backlog, and are served once there is room. */
static void
test_many(void **state)
{
    int fds[TASKSOCK_PEERS_MAX + 8];
    struct world w;

    (void)state;
    world_init(&w);
    for (size_t i = 0; i < HQ_ARRAY_LEN(fds); i++) {
        fds[i] = dial(&w);
        ev_run(w.loop, EVRUN_NOWAIT);
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(fds); i++) {
        say(fds[i], "notify t 1\nx", 12);
        expect_answer(&w, fds[i], "ok\n");
    }
    assert_int_equal(HQ_ARRAY_LEN(fds), w.count);
    world_fini(&w);
}

static void
test_file(void **state)
{
    struct world w;
    struct stat st;
    struct hq_err err = {0};
    char long_dir[200];

    (void)state;
    world_init(&w);
    assert_int_equal(0, stat(tasksock_path(w.sock), &st));
    assert_int_equal(0600, st.st_mode & 0777);
    assert_non_null(strstr(tasksock_path(w.sock), "/tmp/hq-lc-"));
    world_fini(&w);
    memset(long_dir, 'd', sizeof long_dir - 1);
    long_dir[sizeof long_dir - 1] = '\0';
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    assert_int_equal(-ENAMETOOLONG, tasksock_create(&w.sock, loop, long_dir, on_notify, NULL, &w, &err));
    assert_int_equal(-ENOENT, tasksock_create(&w.sock, loop, "/nonexistent", on_notify, NULL, &w, &err));
    ev_loop_destroy(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
