/* hq's way to hqd, against a small server in a child process: answers, refusals, and a server that goes and returns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/access.h"
#include "common/mem.h"
#include "common/net.h"
#include "common/serverdir.h"
#include "common/wire.h"
#include "hq/client.h"
#include "hq/cmd_wait.h"
#include "hq/follow.h"

#include "proto/client.pb-c.h"

static char dir[64];
static char sock[96];

/* ---- the server: what it does depends on the path of debug-dump, and on how often it was asked */

struct server {
    struct ev_loop *loop;
    struct hq_net_server *net;
    int watches;
};

static void
send_answer(struct server *s, const struct hq_net_req *req, uint16_t type, uint64_t id, const ProtobufCMessage *msg)
{
    struct hq_buf out = HQ_BUF_INIT;
    if (hq_wire_pack(&out, type, id, msg, NULL) != 0 || hq_net_answer(s->net, req, hq_buf_view(&out)) != 0) {
        _exit(3);
    }
    hq_buf_fini(&out);
}

static void
answer_dump(struct server *s, const struct hq_net_req *req, uint64_t id, struct hq_str path)
{
    if (hq_str_is(path, "refuse")) {
        Hq__Error e = HQ__ERROR__INIT;
        e.code = -EACCES;
        e.text.data = (uint8_t *)"Could not write debug dump: no";
        e.text.len = strlen("Could not write debug dump: no");
        send_answer(s, req, HQ__MESSAGE_TYPE__TYPE_ERROR, id, &e.base);
    } else if (hq_str_is(path, "odd")) {
        Hq__Empty e = HQ__EMPTY__INIT;
        send_answer(s, req, HQ__MESSAGE_TYPE__TYPE_SUBMITTED, id, &e.base);
    } else if (hq_str_is(path, "version")) {
        static const char other[] = {'H', 'Q', 99, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        (void)hq_net_answer(s->net, req, hq_str_make(other, sizeof other));
    } else if (hq_str_is(path, "die")) {
        _exit(0);
    } else {
        Hq__Empty e = HQ__EMPTY__INIT;
        send_answer(s, req, HQ__MESSAGE_TYPE__TYPE_DONE, id, &e.base);
    }
}

/* First a running job, then the connection breaks and a new server comes; that one says that the job is completed. */
static void
answer_watch(struct server *s, const struct hq_net_req *req, uint64_t id)
{
    Hq__JobWatchAnswer a = HQ__JOB_WATCH_ANSWER__INIT;
    Hq__JobInfo job = HQ__JOB_INFO__INIT;
    Hq__JobCounts counts = HQ__JOB_COUNTS__INIT;
    Hq__JobInfo *jobs[] = {&job};
    if (++s->watches == 2) {
        ev_break(s->loop, EVBREAK_ALL);
        return;
    }
    job.job = 7;
    job.counts = &counts;
    counts.running = s->watches == 1;
    counts.finished = s->watches != 1;
    a.version = (uint64_t)s->watches;
    a.jobs = jobs;
    a.n_jobs = 1;
    send_answer(s, req, HQ__MESSAGE_TYPE__TYPE_JOB_WATCH_ANSWER, id, &a.base);
}

static void
on_request(void *ctx, const struct hq_net_peer *peer, const struct hq_net_req *req, struct hq_str payload)
{
    struct server *s = ctx;
    struct hq_wire_head head;
    struct hq_str body;
    struct hq_arena arena;
    ProtobufCMessage *msg = NULL;
    (void)peer;
    if (hq_wire_head(payload, &head, &body, NULL) != 0) {
        _exit(4);
    }
    hq_arena_init(&arena, 0);
    switch (head.type) {
    case HQ__MESSAGE_TYPE__TYPE_DEBUG_DUMP:
        if (hq_wire_unpack(body, &hq__debug_dump__descriptor, &arena, &msg, NULL) != 0) {
            _exit(5);
        }
        const Hq__DebugDump *d = (const Hq__DebugDump *)(const void *)msg;
        answer_dump(s, req, head.request_id, hq_str_make((const char *)d->path.data, d->path.len));
        break;
    case HQ__MESSAGE_TYPE__TYPE_JOB_WATCH:
        answer_watch(s, req, head.request_id);
        break;
    default:
        _exit(6);
    }
    hq_arena_fini(&arena);
}

static void
serve(int ready_fd)
{
    struct server s = {.loop = ev_loop_new(0)};
    for (int round = 0; round < 3; round++) {
        struct hq_net_server_conf conf = {.loop = s.loop,
                                          .role = HQ_ROLE_CLIENT,
                                          .ipc_path = sock,
                                          .ipc_uid = getuid(),
                                          .ctx = &s,
                                          .on_request = on_request};
        if (hq_net_server_create(&s.net, &conf, NULL) != 0) {
            _exit(2);
        }
        if (round == 0) {
            (void)!write(ready_fd, "r", 1);
        }
        ev_run(s.loop, 0); /* ends when the connection is to break */
        hq_net_server_destroy(s.net, 0);
    }
    _exit(0);
}

static pid_t
start_server(void)
{
    int fds[2];
    char c;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        serve(fds[1]);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &c, 1), 1);
    close(fds[0]);
    return pid;
}

static void
end_server(pid_t pid)
{
    int status;
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)unlink(sock);
}

/* ---- the directory that the client finds */

static int
make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "%s", "/tmp/hq-test-client-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(sock, sizeof sock, "%s/s", dir);
    struct hq_access a = HQ_ACCESS_INIT;
    char path[128];
    a.version = hq_xstrdup(HQ_VERSION);
    unsigned char key[HQ_SECRET_BYTES] = {1};
    hq_access_set_side(&a.client, "127.0.0.1", 1, key); /* nobody listens on port 1 */
    snprintf(path, sizeof path, "%s/%s", dir, HQ_ACCESS_NAME);
    int rc = hq_access_store(&a, path, NULL);
    hq_access_fini(&a);
    struct hq_endpoint e = {.protocol = HQ_WIRE_VERSION, .ipc = sock};
    return rc == 0 ? hq_endpoint_store(&e, dir, NULL) : rc;
}

static int
remove_dir(void **state)
{
    (void)state;
    static const char *const names[] = {HQ_ACCESS_NAME, HQ_ENDPOINT_NAME, "s"};
    char path[128];
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(names); ix++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[ix]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static void
cli_init(struct hq_cli *cli)
{
    *cli = (struct hq_cli){0};
    cli->globals.server_dir = hq_str_from(dir);
    hq_arena_init(&cli->arena, 0);
    hq_out_init(&cli->out, HQ_OUT_CLI, false, -1);
}

static void
cli_fini(struct hq_cli *cli)
{
    client_fini(cli);
    hq_out_fini(&cli->out);
    hq_arena_fini(&cli->arena);
}

static int
dump(struct hq_cli *cli, const char *path, bool is_plain, struct hq_err *err)
{
    Hq__DebugDump req = HQ__DEBUG_DUMP__INIT;
    req.path.data = (uint8_t *)hq_arena_strz(&cli->arena, hq_str_from(path));
    req.path.len = strlen(path);
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_DEBUG_DUMP,
                             .request = &req.base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_DONE,
                             .is_plain_error = is_plain};
    *err = (struct hq_err){0};
    return client_call(cli, &q, NULL, err);
}

static void
test_answers(void **state)
{
    (void)state;
    struct hq_cli cli;
    struct hq_err err;
    pid_t pid = start_server();
    cli_init(&cli);
    assert_int_equal(dump(&cli, "fine", false, &err), 0);
    assert_int_equal(dump(&cli, "refuse", false, &err), -EREMOTEIO);
    assert_string_equal(err.text, "Error: Could not write debug dump: no");
    assert_int_equal(dump(&cli, "refuse", true, &err), -EREMOTEIO);
    assert_string_equal(err.text, "Could not write debug dump: no");
    assert_int_equal(dump(&cli, "odd", false, &err), -EPROTO);
    assert_int_equal(dump(&cli, "version", false, &err), -EPROTONOSUPPORT);
    assert_string_equal(err.text, "Hyperqueue version mismatch detected.\n"
                                  "The server speaks protocol 99, but the current protocol is 1.");
    assert_int_equal(dump(&cli, "fine", false, &err), 0);
    assert_int_equal(dump(&cli, "die", false, &err), -ECONNRESET);
    assert_string_equal(err.text, "Connection closed");
    cli_fini(&cli);
    end_server(pid);
}

static void
test_nobody_listens(void **state)
{
    (void)state;
    struct hq_cli cli;
    struct hq_err err;
    char want[512];
    cli_init(&cli);
    assert_int_equal(dump(&cli, "fine", false, &err), -ECONNREFUSED);
    snprintf(want, sizeof want,
             "Access token found but HQ server 127.0.0.1:1 is unreachable.\n"
             "Try to (re)start the server using `hq server start --server-dir %s`\n\n"
             "Caused by:\n    Connection refused (os error 111)",
             dir);
    assert_string_equal(err.text, want);
    cli_fini(&cli);
}

static void
test_no_directory(void **state)
{
    (void)state;
    struct hq_cli cli;
    struct hq_err err;
    cli_init(&cli);
    cli.globals.server_dir = HQ_STR("/nonexistent");
    assert_true(dump(&cli, "fine", false, &err) < 0);
    assert_string_equal(err.text,
                        "Invalid server directory\n\nCaused by:\n    Error: \"/nonexistent\" is not a directory");
    cli_fini(&cli);
}

/* The server breaks the second watch off and comes back: the wait goes on and ends well. */
static void
test_wait_survives_restart(void **state)
{
    (void)state;
    struct hq_cli cli;
    struct hq_err err = {0};
    struct hq_selector jobs = {.kind = HQ_SELECT_ALL};
    pid_t pid = start_server();
    cli_init(&cli);
    assert_int_equal(wait_for_jobs(&cli, &jobs, false, true, &err), 0);
    cli_fini(&cli);
    end_server(pid);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_no_directory),
        cmocka_unit_test(test_wait_survives_restart),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
