/* Servers in other processes: stopped, killed, of another user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/num.h"
#include "tests/unit/networld.h"

extern char **environ;

static volatile sig_atomic_t child_stop;

static void
on_child_term(int sig)
{
    (void)sig;
    child_stop = 1;
}

static bool
child_should_end(void *arg)
{
    (void)arg;
    return child_stop != 0 || getppid() == 1;
}

static uint32_t
number(const char *text)
{
    uint32_t v = 0;
    return hq_num_u32(hq_str_from(text), &v, NULL) == 0 ? v : 0;
}

/* argv: --server PORT IPC UID; writes its port to standard output once it listens. */
static int
child_main(char **argv)
{
    struct world w = {.loop = ev_loop_new(EVFLAG_AUTO)};
    signal(SIGTERM, on_child_term);
    uint32_t uid = (uint32_t)number(argv[3]);
    if (uid != geteuid() && setuid(uid) != 0) {
        return 1;
    }
    struct world made;
    world_open(&made, 0, world_secret);
    hq_net_server_destroy(made.server, 0);
    made.port = (uint16_t)number(argv[1]);
    made.conf.port = made.port;
    made.conf.host = "127.0.0.1";
    made.conf.ipc_path = strcmp(argv[2], "-") == 0 ? NULL : argv[2];
    made.conf.ipc_uid = UINT32_MAX;
    struct hq_err err = {0};
    if (hq_net_server_create(&made.server, &made.conf, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    uint16_t port = hq_net_server_port(made.server);
    if (write(STDOUT_FILENO, &port, sizeof(port)) != sizeof(port)) {
        return 1;
    }
    int64_t until_ms = hq_clock_ms() + 60000; /* never for ever, whatever becomes of the parent */
    while (hq_clock_ms() < until_ms && !child_should_end(NULL)) {
        (void)world_until(&made, child_should_end, NULL);
    }
    world_close(&made);
    ev_loop_destroy(w.loop);
    return 0;
}

struct child {
    pid_t pid;
    uint16_t port;
};

static struct child
child_start(uint16_t port, const char *ipc, uint32_t uid)
{
    struct child c = {0};
    char port_text[16];
    char uid_text[16];
    snprintf(port_text, sizeof(port_text), "%u", port);
    snprintf(uid_text, sizeof(uid_text), "%u", uid);
    char self[256];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(n > 0);
    self[n] = '\0';
    char server[] = "--server";
    char *ipc_text = hq_xstrdup(ipc);
    char *argv[] = {self, server, port_text, ipc_text, uid_text, NULL};
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fds[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&c.pid, self, &fa, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&fa);
    close(fds[1]);
    assert_int_equal(read(fds[0], &c.port, sizeof(c.port)), sizeof(c.port));
    close(fds[0]);
    free(ipc_text);
    return c;
}

static void
child_end(struct child *c, int sig)
{
    int status = 0;
    assert_int_equal(kill(c->pid, sig), 0);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    if (sig == SIGTERM) {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* No event tells of a stopped peer: only time does. */
static void
test_stopped_server(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 0, NULL); /* only its loop */
    struct child s = child_start(0, w.ipc_path, (uint32_t)geteuid());
    w.port = s.port;
    struct hq_net_client *tcp = world_client(&w, WORLD_TCP, world_secret);
    struct hq_net_client *ipc = world_client(&w, WORLD_IPC, NULL);
    struct world_reply r[2];
    assert_int_equal(world_ask(&w, tcp, "a", &r[0]), 0);
    assert_int_equal(world_ask(&w, ipc, "a", &r[0]), 0);
    assert_int_equal(kill(s.pid, SIGSTOP), 0);
    world_call(tcp, "b", 200, &r[0]);
    world_call(ipc, "b", 200, &r[1]);
    struct world_asker ask = {
        .conf = {.ipc_path = w.ipc_path, .role = HQ_ROLE_CLIENT},
        .payload = "x",
        .payload_len = 1,
        .timeout_ms = 200,
    };
    world_asker_run(&w, &ask);
    assert_int_equal(ask.rc, -ETIMEDOUT);
    assert_true(ask.took_ms >= 200 && ask.took_ms < 2000);
    assert_true(world_until_done(&w, &r[0]));
    assert_true(world_until_done(&w, &r[1]));
    assert_int_equal(r[0].rc, -ETIMEDOUT);
    assert_int_equal(r[1].rc, -ETIMEDOUT);
    /* the listener's queue is full: askers wait instead of failing */
    int fds[1024];
    size_t count = 0;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", w.ipc_path);
    for (; count < HQ_ARRAY_LEN(fds); count++) {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[count], (struct sockaddr *)&un, sizeof(un)) != 0) {
            assert_int_equal(errno, EAGAIN);
            close(fds[count]);
            break;
        }
    }
    assert_true(count > 0 && count < HQ_ARRAY_LEN(fds));
    world_asker_run(&w, &ask);
    assert_int_equal(ask.rc, -ETIMEDOUT);
    ask.timeout_ms = WORLD_MS - 500;
    assert_int_equal(kill(s.pid, SIGCONT), 0);
    world_asker_run(&w, &ask);
    assert_int_equal(ask.rc, 0);
    free(ask.answer);
    for (size_t ix = 0; ix < count; ix++) {
        close(fds[ix]);
    }
    assert_int_equal(world_ask(&w, tcp, "c", &r[0]), 0);
    assert_int_equal(world_ask(&w, ipc, "c", &r[0]), 0);
    hq_net_client_destroy(tcp);
    hq_net_client_destroy(ipc);
    child_end(&s, SIGTERM);
    world_close(&w);
}

/* kill -9 under load, again and again: calls end at once, every client comes back. */
static void
test_killed_server(void **state)
{
    (void)state;
    enum { CLIENTS = 6, ROUNDS = 5 };
    struct world w;
    world_open(&w, 0, NULL);
    struct child s = child_start(0, "-", (uint32_t)geteuid());
    w.port = s.port;
    struct hq_net_client *clients[CLIENTS];
    for (size_t ix = 0; ix < CLIENTS; ix++) {
        clients[ix] = world_client(&w, WORLD_TCP, world_secret);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world_reply r[CLIENTS][2];
        for (size_t ix = 0; ix < CLIENTS; ix++) {
            world_call(clients[ix], "1", WORLD_MS, &r[ix][0]);
            world_call(clients[ix], "2", WORLD_MS, &r[ix][1]);
        }
        for (size_t ix = 0; ix < CLIENTS; ix++) {
            assert_true(world_until_done(&w, &r[ix][0]));
            assert_true(world_until_done(&w, &r[ix][1]));
            assert_int_equal(r[ix][0].rc, 0);
            assert_int_equal(r[ix][1].rc, 0);
        }
        assert_int_equal(kill(s.pid, SIGSTOP), 0); /* so that the next ones are out for certain */
        for (size_t ix = 0; ix < CLIENTS; ix++) {
            world_call(clients[ix], "3", WORLD_MS, &r[ix][0]);
        }
        world_turn(&w, 20);
        child_end(&s, SIGKILL);
        for (size_t ix = 0; ix < CLIENTS; ix++) {
            assert_true(world_until_done(&w, &r[ix][0]));
            assert_int_equal(r[ix][0].rc, -ECONNRESET);
        }
        s = child_start(w.port, "-", (uint32_t)geteuid());
    }
    for (size_t ix = 0; ix < CLIENTS; ix++) {
        hq_net_client_destroy(clients[ix]);
    }
    child_end(&s, SIGTERM);
    world_close(&w);
}

/* Both ends look at the other's uid. Needs root to become somebody else. */
static void
test_foreign_uid(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    struct world w;
    world_open(&w, 0, NULL);
    snprintf(w.ipc_path, sizeof(w.ipc_path), "@hq-test-net-foreign-%d", (int)getpid()); /* two runs at a time */
    struct child s = child_start(0, w.ipc_path, 65534);
    struct world_asker ask = {
        .conf = {.ipc_path = w.ipc_path, .role = HQ_ROLE_CLIENT}, .payload = "x", .payload_len = 1};
    world_asker_run(&w, &ask);
    assert_int_equal(ask.rc, -EACCES); /* root does not talk to a server of uid 65534 */
    struct hq_net_client *c = world_client(&w, WORLD_ABSTRACT, NULL);
    struct world_reply r;
    world_call(c, "x", 200, &r);
    assert_true(world_until_done(&w, &r));
    assert_int_equal(r.rc, -EACCES);
    hq_net_client_destroy(c);
    child_end(&s, SIGTERM);
    world_close(&w);

    world_open(&w, WORLD_ABSTRACT, world_secret); /* anybody reaches an abstract socket, only our uid may speak */
    pid_t pid = fork();
    if (pid == 0) { /* no nng in here: net_ask has none */
        if (setuid(65534) != 0) {
            _exit(1);
        }
        struct hq_net_client_conf mine = {.ipc_path = w.ipc_path, .role = HQ_ROLE_CLIENT};
        char *answer = NULL;
        size_t len = 0;
        int rc = hq_net_client_create(&c, &mine, NULL);
        rc = rc < 0 ? rc : hq_net_ask(c, HQ_STR("let me in"), 2000, &answer, &len, NULL);
        _exit(rc == -ECONNRESET ? 0 : 2);
    }
    assert_true(world_until_count(&w, &w.bad_count, 1));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(w.request_count, 0);
    assert_non_null(strstr(w.bad_why, "another user"));
    world_close(&w);
}

int
main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--server") == 0) {
        return child_main(argv + 1);
    }
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_server),
        cmocka_unit_test(test_killed_server),
        cmocka_unit_test(test_foreign_uid),
    };
    return cmocka_run_group_tests_name("net_process", tests, NULL, world_end);
}
