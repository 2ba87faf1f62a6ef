/* test_steps.c - two nodes of one task in one loop, each with real processes and a hq-stepd that the test plays. */
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
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/wire.h"
#include "hq-workerd/framed.h"
#include "hq-workerd/step.h"
#include "hq-workerd/step_msg.h"
#include "tests/unit/launch.h"
#include "tests/unit/turns.h"

#include "proto/step.pb-c.h"

#define JOB 1u /* launch_make_body's */
#define TASK 4u
#define INSTANCE 2u

struct node {
    struct world *w;
    struct launch f; /* its launcher, in a directory of its own */
    struct steps *steps;
    struct step_desc *desc;
    struct body *body;
    int listen_fd;
    uint32_t slots;
    uint32_t ended, hidden_ended, tasks_ended;
    enum run_end end; /* of the last run that is not hidden */
    char *error;
};

struct world {
    struct ev_loop *loop;
    struct node at[2];
};

struct stepd { /* played by the test */
    int fd;
    struct hq_buf in;
    struct hq_arena arena;
};

/* ---- what the shell does for steps */

static void
push(struct node *n, struct batch *b)
{
    const struct image *image;
    struct grant *g;

    assert_int_equal(0, prepare_image(&image, b->body, b->variant, &n->f.conf.run.prepare, "uid"));
    assert_int_equal(0, launcher_push(n->f.l, 0, b));
    assert_int_equal(0, grant_create(&g, NULL, 0));
    assert_int_equal(0, launcher_open(n->f.l, n->slots++, 0, g));
}

static int
launch_hidden(void *ctx, struct batch *batch)
{
    assert_true(batch->hidden_id != 0);
    push(ctx, batch);
    return 0;
}

static void
kill_matching(struct node *n, const struct lane_match *match)
{
    struct launcher_runs runs = {0};
    struct lane_gone_list gone = {0};

    assert_int_equal(0, launcher_withdraw(n->f.l, match, &gone));
    assert_int_equal(0, launcher_find(n->f.l, match, &runs));
    for (size_t i = 0; i < runs.count; i++) {
        hq_ms until_ms = hq_clock_ms() + TURNS_DEADLINE_MS;
        while (launcher_signal(n->f.l, runs.v[i], SIGKILL) == -EAGAIN) {
            assert_true(hq_clock_ms() < until_ms);
        }
    }
    lane_gone_list_fini(&gone);
    free(runs.v);
}

static void
end_task(void *ctx, uint32_t job, uint32_t task, uint32_t instance)
{
    struct hq_range one = {.first = task, .count = 1, .step = 1};
    struct hq_ranges ids = {.v = &one, .count = 1};
    const struct lane_match match = {.job_id = job, .instance = instance, .ids = &ids};

    ((struct node *)ctx)->tasks_ended++;
    kill_matching(ctx, &match);
}

static void
end_run(void *ctx, uint64_t hidden_id)
{
    const struct lane_match match = {.any_job = true, .any_instance = true, .hidden_id = hidden_id};

    kill_matching(ctx, &match);
}

static void
take_events(struct node *n)
{
    struct run_event *e;
    size_t count = launcher_drain(n->f.l, false, &e);

    for (size_t i = 0; i < count; i++) {
        steps_judge(n->steps, &e[i]);
        steps_on_event(n->steps, &e[i]);
        if (e[i].kind == RUN_ENDED) {
            n->ended++;
            n->hidden_ended += e[i].hidden_id != 0;
            if (e[i].hidden_id == 0) {
                n->end = e[i].end;
                free(n->error);
                n->error = e[i].error;
                continue;
            }
        }
        free(e[i].error);
    }
}

/* ---- the world */

static struct step_desc *
make_desc(const uint16_t ports[2], uint32_t node_ix)
{
    struct step_desc *d = step_desc_create(2, node_ix);

    for (uint32_t i = 0; i < 2; i++) {
        d->nodes[i] = (struct step_node){.host = i == 0 ? HQ_STR("n0.example") : HQ_STR("n1.example"), .port = ports[i], .ranks = 3};
        d->nodes[i].addresses = hq_arena_array(&d->arena, 1, sizeof(struct hq_str));
        d->nodes[i].addresses[0] = HQ_STR("127.0.0.1");
        d->nodes[i].address_count = 1;
        memset(d->keys[i], i == node_ix ? 0 : 'k', STEP_KEY_BYTES);
    }
    return d;
}

static const uint32_t some_cpus[] = {2, 5, 9};

static void
node_init(struct world *w, struct node *n, int listen_fd)
{
    struct hq_err err = {0};
    const struct steps_conf conf = {.loop = w->loop,
                                    .listen_fd = listen_fd,
                                    .launcher = NULL,
                                    .cpus = some_cpus,
                                    .cpu_count = HQ_ARRAY_LEN(some_cpus),
                                    .ctx = n,
                                    .launch = launch_hidden,
                                    .end_task = end_task,
                                    .end_run = end_run};
    struct steps_conf own = conf;
    struct hq_buf path = HQ_BUF_INIT;

    n->w = w;
    n->listen_fd = listen_fd;
    launch_init(&n->f, 2, 50);
    launcher_destroy(n->f.l); /* another one, with a hq-stepd */
    launch_make_file(&n->f, "stepd", "#!/bin/sh\ncd \"${0%/*}\"; echo \"$$ ${HQ_ACCESS_KEY##*:} $*\" > up.p; mv up.p up; exec sleep 1000\n",
                     0700);
    hq_buf_printf(&path, "%s/stepd", n->f.dir);
    n->f.conf.run.prepare.stepd_path = hq_buf_take(&path);
    assert_int_equal(0, launcher_create(&n->f.l, &n->f.conf, &err));
    own.launcher = n->f.l;
    assert_int_equal(0, steps_create(&n->steps, &own, &err));
    n->body = launch_make_body(&n->f, (const char *const[]){"prog", "arg", NULL});
    n->body->mpi = (struct hq_mpi){.is_on = true, .ranks_per_node = 3, .tag_output = true};
    n->body->with_task_dir = true;
    n->body->request.variants[0].n_nodes = 2;
    n->body->out = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = HQ_STR("o.%{TASK_ID}.%{RANK}")};
}

static void
world_init(struct world *w)
{
    int fds[2];
    uint16_t ports[2];

    *w = (struct world){.loop = ev_loop_new(EVFLAG_AUTO)};
    for (uint32_t i = 0; i < 2; i++) {
        fds[i] = listen_on_loopback(&ports[i]);
    }
    for (uint32_t i = 0; i < 2; i++) {
        node_init(w, &w->at[i], fds[i]);
        w->at[i].desc = make_desc(ports, i);
    }
}

static void
world_fini(struct world *w)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct node *n = &w->at[i];
        char *stepd = (char *)(uintptr_t)n->f.conf.run.prepare.stepd_path;
        const struct lane_match all = {.any_job = true, .any_instance = true};
        kill_matching(n, &all);
        steps_destroy(n->steps);
        (void)close(n->listen_fd);
        launch_fini(&n->f);
        body_unref(n->body);
        step_desc_unref(n->desc);
        free(n->error);
        free(stepd);
    }
    ev_loop_destroy(w->loop);
}

static void
turn(struct world *w)
{
    turn_once(w->loop);
    take_events(&w->at[0]);
    take_events(&w->at[1]);
}

#define RUN_UNTIL(w, cond) TURN_UNTIL((w)->loop, (take_events(&(w)->at[0]), take_events(&(w)->at[1])), cond)

/* "PID TOKEN ARGS" that the node's hq-stepd has written. */
static bool
is_up(struct node *n, struct hq_buf *text)
{
    struct hq_buf path = HQ_BUF_INIT;

    hq_buf_clear(text);
    hq_buf_printf(&path, "%s/up", n->f.dir);
    int rc = hq_fs_read(text, path.ptr, 4096, NULL);
    hq_buf_fini(&path);
    return rc == 0 && text->len > 0;
}

static void
start_root(struct world *w)
{
    struct node *n = &w->at[0];
    struct batch *b = batch_create(n->body);

    assert_int_equal(0, steps_add_root(n->steps, n->body, TASK, INSTANCE, n->desc));
    hq_ranges_add(&b->ids, TASK, 1, 1);
    b->instance = INSTANCE;
    b->step = step_desc_ref(n->desc);
    push(n, b);
}

static void
join(struct world *w)
{
    struct node *n = &w->at[1];
    const struct steps_join j = {
        .body = n->body, .task = TASK, .instance = INSTANCE, .entry = HQ_STR("row"), .desc = n->desc};

    assert_int_equal(0, steps_join(n->steps, &j, NULL));
    assert_int_equal(0, steps_join(n->steps, &j, NULL)); /* named again: nothing new */
    assert_int_equal(1, steps_count(n->steps));
}

/* ---- the played hq-stepd */

static void
stepd_send(struct stepd *d, const Hq__StepMsg *m)
{
    struct hq_buf out = HQ_BUF_INIT;
    unsigned char head[FRAMED_HEAD_BYTES];

    assert_int_equal(0, hq_wire_pack_bare(&out, &m->base, HQ_STEP_MSG_BYTES_MAX, NULL));
    framed_put_le32(head, (uint32_t)out.len);
    (void)!send(d->fd, head, sizeof head, MSG_NOSIGNAL);
    (void)!send(d->fd, out.ptr, out.len, MSG_NOSIGNAL);
    hq_buf_fini(&out);
}

static void
stepd_connect(struct stepd *d, struct node *n, const char *token, Hq__StepKind kind)
{
    int ends[2];
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__StepHello hello = HQ__STEP_HELLO__INIT;

    *d = (struct stepd){0};
    hq_arena_init(&d->arena, 0);
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
    d->fd = ends[0];
    hello.token.data = (uint8_t *)(uintptr_t)token;
    hello.token.len = strlen(token);
    hello.kind = kind;
    m.what_case = HQ__STEP_MSG__WHAT_HELLO;
    m.hello = &hello;
    stepd_send(d, &m);
    steps_on_connect(n->steps, ends[1], HQ_STR_NULL);
}

/* For the process that the node has started. */
static void
stepd_connect_own(struct world *w, struct stepd *d, struct node *n)
{
    struct hq_buf text = HQ_BUF_INIT;
    struct hq_str rest, word, token;

    RUN_UNTIL(w, is_up(n, &text));
    rest = hq_str_trim(hq_buf_view(&text));
    (void)hq_str_split(&rest, ' ', &word);
    (void)hq_str_split(&rest, ' ', &token);
    assert_true(hq_str_is(rest, "ranks prog arg"));
    char *z = hq_str_dupz(token);
    stepd_connect(d, n, z, HQ__STEP_KIND__STEP_RANKS);
    free(z);
    hq_buf_fini(&text);
}

static bool
stepd_has_frame(struct stepd *d)
{
    char chunk[4096];
    ssize_t got;

    while ((got = recv(d->fd, chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
        hq_buf_add(&d->in, chunk, (size_t)got);
    }
    return d->in.len >= FRAMED_HEAD_BYTES && d->in.len - FRAMED_HEAD_BYTES >= framed_get_le32(d->in.ptr);
}

static const Hq__StepMsg *
stepd_take(struct world *w, struct stepd *d)
{
    ProtobufCMessage *base;

    RUN_UNTIL(w, stepd_has_frame(d));
    uint32_t len = framed_get_le32(d->in.ptr);
    hq_arena_reset(&d->arena);
    char *body = hq_arena_strz(&d->arena, hq_str_make(d->in.ptr + FRAMED_HEAD_BYTES, len));
    assert_int_equal(0, hq_wire_unpack(hq_str_make(body, len), &hq__step_msg__descriptor, &d->arena, &base, NULL));
    d->in.len -= FRAMED_HEAD_BYTES + len;
    memmove(d->in.ptr, d->in.ptr + FRAMED_HEAD_BYTES + len, d->in.len);
    return (const Hq__StepMsg *)(const void *)base;
}

static bool
stepd_is_hung_up(struct stepd *d)
{
    char c;

    return recv(d->fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void
stepd_fini(struct stepd *d)
{
    (void)close(d->fd);
    hq_buf_fini(&d->in);
    hq_arena_fini(&d->arena);
}

static void
stepd_send_up(struct stepd *d, uint32_t from, uint32_t to)
{
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__StepUp up = HQ__STEP_UP__INIT;

    up.nodes = 1;
    m.from = from;
    m.to = to;
    m.what_case = HQ__STEP_MSG__WHAT_UP;
    m.up = &up;
    stepd_send(d, &m);
}

static void
stepd_send_abort(struct stepd *d, uint32_t from, uint32_t to, bool is_node_lost)
{
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__StepAbort a = HQ__STEP_ABORT__INIT;

    a.is_node_lost = is_node_lost;
    m.from = from;
    m.to = to;
    m.what_case = HQ__STEP_MSG__WHAT_ABORT;
    m.abort = &a;
    stepd_send(d, &m);
}

static pid_t
stepd_pid(struct node *n)
{
    struct hq_buf text = HQ_BUF_INIT;

    assert_true(is_up(n, &text));
    pid_t pid = (pid_t)strtoul(text.ptr, NULL, 10);
    hq_buf_fini(&text);
    return pid;
}

/* Both nodes with their hq-stepds, who have read how to start. */
static void
begin(struct world *w, struct stepd *root, struct stepd *other)
{
    world_init(w);
    start_root(w);
    join(w);
    stepd_connect_own(w, root, &w->at[0]);
    stepd_connect_own(w, other, &w->at[1]);
    (void)stepd_take(w, root);
    (void)stepd_take(w, other);
}

/* ---- tests */

static bool
bytes_are(ProtobufCBinaryData b, const char *text)
{
    return hq_str_is(hq_str_make((const char *)b.data, b.len), text);
}

static void
test_start_and_frames(void **state)
{
    struct world w;
    struct stepd root, other, late;
    char path[128];

    (void)state;
    world_init(&w);
    start_root(&w);
    join(&w);
    stepd_connect_own(&w, &other, &w.at[1]);
    const Hq__StepMsg *m = stepd_take(&w, &other);
    assert_int_equal(HQ__STEP_MSG__WHAT_START, m->what_case);
    const Hq__StepStart *s = m->start;
    assert_true(s->job == JOB && s->task == TASK && s->instance == INSTANCE && s->node_index == 1 && s->n_nodes == 2);
    assert_true(bytes_are(s->nodes[0]->host, "n0.example") && s->nodes[1]->ranks == 3);
    assert_true(s->mpi->ranks_per_node == 3 && s->mpi->tag_output);
    assert_int_equal(3, s->n_cpus);
    assert_memory_equal(some_cpus, s->cpus, sizeof some_cpus);
    (void)snprintf(path, sizeof path, "%s/o.4.%%{RANK}", w.at[1].f.dir);
    assert_true(bytes_are(s->stdout_path, path) && s->stderr_path.len == 0 && bytes_are(s->server_uid, "uid"));

    stepd_send_up(&other, 1, 0); /* before the root's hq-stepd is there */
    stepd_send_up(&other, 1, 0);
    stepd_connect_own(&w, &root, &w.at[0]);
    m = stepd_take(&w, &root);
    assert_true(m->what_case == HQ__STEP_MSG__WHAT_START && m->start->node_index == 0);
    for (int i = 0; i < 2; i++) {
        m = stepd_take(&w, &root);
        assert_true(m->what_case == HQ__STEP_MSG__WHAT_UP && m->from == 1 && m->to == 0 && m->up->nodes == 1);
    }
    stepd_send_up(&root, 0, 1);
    m = stepd_take(&w, &other);
    assert_true(m->what_case == HQ__STEP_MSG__WHAT_UP && m->from == 0);

    stepd_connect(&late, &w.at[0], "hq0-0-nonsense", HQ__STEP_KIND__STEP_RANKS);
    RUN_UNTIL(&w, stepd_is_hung_up(&late));
    stepd_fini(&late);
    stepd_connect_own(&w, &late, &w.at[0]); /* a rank that plays hq-stepd: there is one */
    RUN_UNTIL(&w, stepd_is_hung_up(&late));
    stepd_fini(&late);
    stepd_send_up(&root, 1, 1); /* in another's name */
    RUN_UNTIL(&w, stepd_is_hung_up(&root));
    stepd_fini(&root);
    stepd_fini(&other);
    world_fini(&w);
}

static void
test_killed_stepd_is_told(void **state)
{
    struct world w;
    struct stepd root, other;

    (void)state;
    begin(&w, &root, &other);
    assert_int_equal(0, kill(stepd_pid(&w.at[1]), SIGKILL));
    RUN_UNTIL(&w, w.at[1].hidden_ended == 1);
    turn(&w);
    assert_false(stepd_has_frame(&root)); /* its connection may still have a last word in it */
    stepd_fini(&other);
    const Hq__StepMsg *m = stepd_take(&w, &root);
    assert_true(m->what_case == HQ__STEP_MSG__WHAT_ABORT && m->from == 1 && !m->abort->is_node_lost);
    assert_true(m->abort->why->rank == UINT32_MAX && m->abort->why->node == 1 && m->abort->why->signal == SIGKILL);
    assert_true(bytes_are(m->abort->why->text, "hq-stepd on n1.example was killed by signal 9 (SIGKILL)"));
    stepd_fini(&root);
    world_fini(&w);
}

/* Its last word was that all is over: nothing to add. Then the root ends, and the other node hears of it. */
static void
test_orderly_end(void **state)
{
    struct world w;
    struct stepd root, other;

    (void)state;
    begin(&w, &root, &other);
    stepd_send_abort(&other, 1, 0, false);
    assert_int_equal(HQ__STEP_MSG__WHAT_ABORT, stepd_take(&w, &root)->what_case);
    assert_int_equal(0, kill(stepd_pid(&w.at[0]), SIGKILL));
    RUN_UNTIL(&w, steps_count(w.at[0].steps) == 0);
    assert_int_equal(1, w.at[0].tasks_ended);
    assert_int_equal(RUN_END_FAILED, w.at[0].end);
    assert_string_equal("hq-stepd, which hosts the ranks of this node, was killed by signal 9 (SIGKILL).", w.at[0].error);
    const Hq__StepMsg *m = stepd_take(&w, &other);
    assert_true(m->what_case == HQ__STEP_MSG__WHAT_NODE_LOST && m->node_lost->node == 0);
    steps_leave(w.at[1].steps, JOB, TASK, INSTANCE + 1); /* unknown */
    assert_int_equal(1, steps_count(w.at[1].steps));
    steps_leave(w.at[1].steps, JOB, TASK, INSTANCE);
    RUN_UNTIL(&w, w.at[1].hidden_ended == 1);
    assert_int_equal(1, w.at[1].tasks_ended);
    RUN_UNTIL(&w, stepd_is_hung_up(&other));
    stepd_fini(&root);
    stepd_fini(&other);
    world_fini(&w);
}

/* Three ways in which the root learns that a node is lost; each makes its failure one that hqd starts again. */
static void
test_lost_node(void **state)
{
    (void)state;
    for (int row = 0; row < 4; row++) {
        struct world w;
        struct stepd root, other;
        begin(&w, &root, &other);
        stepd_send_up(&other, 1, 0);
        assert_int_equal(HQ__STEP_MSG__WHAT_UP, stepd_take(&w, &root)->what_case);
        switch (row) {
        case 0: /* the link breaks */
            steps_leave_all(w.at[1].steps);
            assert_int_equal(HQ__STEP_MSG__WHAT_NODE_LOST, stepd_take(&w, &root)->what_case);
            break;
        case 1: /* another node says so */
            stepd_send_abort(&other, 1, 0, true);
            assert_int_equal(HQ__STEP_MSG__WHAT_ABORT, stepd_take(&w, &root)->what_case);
            break;
        case 2: /* hq-stepd says so */
            stepd_send_abort(&root, 0, 0, true);
            turn(&w);
            break;
        case 3: /* nobody: it just fails */
            stepd_send_abort(&root, 0, 0, false);
            turn(&w);
            break;
        }
        assert_int_equal(0, kill(stepd_pid(&w.at[0]), SIGKILL));
        RUN_UNTIL(&w, steps_count(w.at[0].steps) == 0);
        assert_int_equal(row == 3 ? RUN_END_FAILED : RUN_END_NODE_LOST, w.at[0].end);
        stepd_fini(&root);
        stepd_fini(&other);
        world_fini(&w);
    }
}

static void
test_registered_again(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    join(&w);
    steps_on_registered(w.at[1].steps, true, JOB, TASK, INSTANCE);
    assert_int_equal(1, steps_count(w.at[1].steps));
    start_root(&w);
    steps_on_registered(w.at[0].steps, false, 0, 0, 0); /* roots are held tasks: hqd says of those itself */
    assert_int_equal(1, steps_count(w.at[0].steps));
    steps_on_registered(w.at[1].steps, true, JOB, TASK, INSTANCE + 1);
    assert_int_equal(0, steps_count(w.at[1].steps));
    world_fini(&w);
}

static void
caller_send_open(struct stepd *d, const char *host, const char *command)
{
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__RexecOpen o = HQ__REXEC_OPEN__INIT;

    o.host.data = (uint8_t *)(uintptr_t)host;
    o.host.len = strlen(host);
    o.command.data = (uint8_t *)(uintptr_t)command;
    o.command.len = strlen(command);
    m.what_case = HQ__STEP_MSG__WHAT_REXEC_OPEN;
    m.rexec_open = &o;
    stepd_send(d, &m);
}

/* Output on both channels, then the end; the secret of the step is what the command has, here and there. */
static void
test_remote_commands(void **state)
{
    static const struct {
        const char *host;
        uint32_t node; /* 2 = none */
    } rows[] = {{"n1", 1}, {"n1.example", 1}, {"n0", 0}, {"localhost", 0}, {"127.0.0.1", 0}, {"n1.elsewhere", 2}, {"", 2}};
    struct world w;
    struct stepd root;
    struct hq_buf key = HQ_BUF_INIT;

    (void)state;
    world_init(&w);
    start_root(&w);
    w.at[1].body->mpi.is_on = false;
    join(&w);
    stepd_connect_own(&w, &root, &w.at[0]);
    (void)stepd_take(&w, &root);
    assert_true(is_up(&w.at[0], &key));
    struct hq_str rest = hq_buf_view(&key), token;
    (void)hq_str_split(&rest, ' ', &token);
    (void)hq_str_split(&rest, ' ', &token);
    char *own = hq_str_dupz(token);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct stepd caller;
        struct hq_buf out = HQ_BUF_INIT;
        const Hq__StepMsg *m;
        uint32_t job = 0, task = 0;
        stepd_connect(&caller, &w.at[0], own, HQ__STEP_KIND__STEP_REXEC);
        caller_send_open(&caller, rows[i].host, "echo ${HQ_ACCESS_KEY##*:}; exit 5");
        while ((m = stepd_take(&w, &caller))->what_case == HQ__STEP_MSG__WHAT_REXEC_DATA) {
            hq_buf_add(&out, m->rexec_data->data.data, m->rexec_data->data.len);
        }
        assert_int_equal(HQ__STEP_MSG__WHAT_REXEC_END, m->what_case);
        assert_int_equal(rows[i].node == 2 ? 255 : 5, m->rexec_end->exit_code);
        assert_int_equal(rows[i].node == 2, m->rexec_end->error.len > 0);
        if (rows[i].node < 2) {
            const struct node *there = &w.at[rows[i].node];
            assert_true(steps_check_secret(there->steps, hq_str_trim(hq_buf_view(&out)), &job, &task));
            assert_true(job == JOB && task == TASK);
        }
        hq_buf_fini(&out);
        stepd_fini(&caller);
    }
    free(own);
    hq_buf_fini(&key);
    stepd_fini(&root);
    world_fini(&w);
}

static void
test_peek(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int rc;
        struct step_head head;
    } rows[] = {
        {"", 0, 0, {0, 0, 0}},
        {"\x08\x03\x10\x80\x01\x3a\x02xy", 9, 0, {3, 128, 7}},
        {"\x3a\x00\x08\x01", 4, 0, {1, 0, 7}}, /* any order */
        {"\xa2\x06\x01x\x10\x02", 6, 0, {0, 2, 0}}, /* a field of a later version */
        {"\x08\x80\x08", 3, -EPROTO, {0, 0, 0}}, /* node 1024 */
        {"\x08", 1, -EPROTO, {0, 0, 0}},
        {"\x0a\x01x", 3, -EPROTO, {0, 0, 0}}, /* from as bytes */
        {"\x38\x01", 2, -EPROTO, {0, 0, 0}},  /* a fence as a number */
        {"\x3a\x05xy", 4, -EPROTO, {0, 0, 0}},
        {"\x3a\x00\x2a\x00", 4, -EPROTO, {0, 0, 0}}, /* two messages in one */
        {"\x00\x01", 2, -EPROTO, {0, 0, 0}},
        {"\x0b", 1, -EPROTO, {0, 0, 0}}, /* a group */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, -EPROTO, {0, 0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct step_head head = {0};
        assert_int_equal(rows[i].rc, step_msg_peek(hq_str_make(rows[i].bytes, rows[i].len), &head));
        assert_memory_equal(&rows[i].head, &head, sizeof head);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peek),          cmocka_unit_test(test_start_and_frames), cmocka_unit_test(test_killed_stepd_is_told),
        cmocka_unit_test(test_orderly_end),   cmocka_unit_test(test_lost_node),        cmocka_unit_test(test_registered_again),
        cmocka_unit_test(test_remote_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
