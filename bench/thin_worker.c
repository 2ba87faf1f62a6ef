/* thin_worker.c - workers that speak the real protocol and start no process: what they are given is finished at once.
 *
 * Registers W workers of N cpus each over the worker port of a server directory's access file, then takes turns until
 * the server ends or tells them to stop. Measures hqd alone: everything of a task but its process. What is reported is
 * what hq-workerd would report of tasks that take less than a millisecond. With -p each worker pauses before its next
 * turn: a job that goes on for a while without a process. With -l it lies once it has tasks: 1 reports the end of others that
 * nobody gave it, 2 gives them fewer times than there are tasks.
 */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/count.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/net.h"
#include "common/serverdir.h"
#include "common/wire.h"
#include "proto/common.pb-c.h"
#include "proto/turn.pb-c.h"

#define WORKERS_MAX 1024u
#define GROUPS_MAX 64u /* (job, instance, variant) of one answer; more are reported one by one anyway */
#define ANSWER_BYTES_MAX (64u << 20)

struct group { /* tasks of one answer that share job, instance and variant */
    uint32_t job;
    uint32_t instance;
    uint32_t variant;
    uint32_t *packed;
    size_t packed_len, packed_cap;
    size_t task_count;
};

struct worker {
    struct fleet *fleet;
    struct hq_net_client *client;
    uint32_t id;
    unsigned char incarnation[16];
    unsigned char hqd_incarnation[16];
    uint64_t turn_seq;
    uint64_t command_seq;
    uint64_t request_id;
    bool is_leaving;
    ev_timer pause;
    struct group groups[GROUPS_MAX];
    size_t group_count;
};

struct fleet {
    struct ev_loop *loop;
    struct worker workers[WORKERS_MAX];
    uint32_t count;
    uint32_t alive;
    uint32_t slots;
    int64_t heartbeat_ms;
    uint32_t pause_ms; /* before a turn that says that tasks have ended */
    uint32_t lie;
    uint64_t tasks;
    uint64_t turns;
    uint64_t empty_turns;
    int status;
    /* columns of zeros: starts and durations below a millisecond */
    int64_t *zeros_started;
    uint64_t *zeros_duration;
    size_t zeros_cap;
};

static void send_turn(struct worker *w);

static void
leave(struct worker *w, int status, const char *why)
{
    struct fleet *f = w->fleet;

    if (why != NULL) {
        fprintf(stderr, "thin worker %u: %s\n", w->id, why);
    }
    if (status != 0) {
        f->status = status;
    }
    w->is_leaving = true;
    if (--f->alive == 0) {
        ev_break(f->loop, EVBREAK_ALL);
    }
}

static void
call(struct worker *w, uint16_t type, const ProtobufCMessage *msg, hq_net_reply_fn fn)
{
    struct hq_err err = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf buf = HQ_BUF_INIT;
    int rc = hq_wire_pack(&buf, type, ++w->request_id, msg, &err);

    if (rc == 0) {
        rc = hq_net_call(w->client, hq_buf_view(&buf), 2 * w->fleet->heartbeat_ms + 20000, fn, w, &err);
    }
    if (rc < 0) {
        leave(w, 1, err.text);
    }
}

/* The message of an expected type in `arena`, or NULL after leaving. */
static ProtobufCMessage *
unpack_answer(struct worker *w, int rc, struct hq_str payload, uint16_t type, const ProtobufCMessageDescriptor *desc,
              struct hq_arena *arena)
{
    struct hq_err err = {0};
    struct hq_wire_head head;
    struct hq_str body;
    ProtobufCMessage *msg = NULL;

    if (rc == -ECONNRESET || rc == -ECONNREFUSED) {
        leave(w, 0, NULL); /* the server ended */
        return NULL;
    }
    if (rc == 0) {
        rc = hq_wire_head(payload, &head, &body, &err);
    }
    if (rc == 0 && head.type != type) {
        rc = hq_err_set(&err, -EPROTO, "answer of type %u", head.type);
    }
    if (rc == 0) {
        rc = hq_wire_unpack(body, desc, arena, &msg, &err);
    }
    if (rc < 0) {
        leave(w, 1, err.text[0] != '\0' ? err.text : strerror(-rc));
        return NULL;
    }
    return msg;
}

static void
take_assign(struct worker *w, const Hq__Assign *assign)
{
    struct group *g = NULL;

    for (size_t i = 0; i < w->group_count && g == NULL; i++) {
        if (w->groups[i].job == assign->job && w->groups[i].instance == assign->instance &&
            w->groups[i].variant == assign->variant) {
            g = &w->groups[i];
        }
    }
    if (g == NULL && w->group_count < GROUPS_MAX) {
        g = &w->groups[w->group_count++];
        g->job = assign->job;
        g->instance = assign->instance;
        g->variant = assign->variant;
        g->packed_len = 0;
        g->task_count = 0;
    }
    if (g == NULL) {
        leave(w, 1, "more jobs in one answer than this bench expects");
        return;
    }
    if (assign->ids == NULL) {
        return;
    }
    hq_xgrow(&g->packed, &g->packed_cap, g->packed_len + assign->ids->n_packed, sizeof *g->packed);
    memcpy(g->packed + g->packed_len, assign->ids->packed, assign->ids->n_packed * sizeof *g->packed);
    g->packed_len += assign->ids->n_packed;
    for (size_t i = 1; i < assign->ids->n_packed; i += 3) {
        g->task_count += assign->ids->packed[i];
    }
}

static void
on_turn_answer(void *ctx, int rc, struct hq_str payload)
{
    struct worker *w = ctx;
    struct hq_arena arena;
    const Hq__TurnAnswer *answer;

    hq_arena_init(&arena, ANSWER_BYTES_MAX);
    answer = (const Hq__TurnAnswer *)unpack_answer(w, rc, payload, HQ__MESSAGE_TYPE__TYPE_TURN_ANSWER,
                                                   &hq__turn_answer__descriptor, &arena);
    if (answer == NULL) {
        hq_arena_fini(&arena);
        return;
    }
    if (answer->command_seq != 0) {
        w->command_seq = answer->command_seq;
    }
    w->fleet->turns++;
    w->fleet->empty_turns += answer->n_commands == 0;
    for (size_t i = 0; i < answer->n_commands && !w->is_leaving; i++) {
        const Hq__Command *command = answer->commands[i];

        if (command->what_case == HQ__COMMAND__WHAT_ASSIGN) {
            take_assign(w, command->assign);
        } else if (command->what_case == HQ__COMMAND__WHAT_STOP) {
            leave(w, 0, NULL);
        }
    }
    hq_arena_fini(&arena);
    if (w->is_leaving) {
        return;
    }
    if (w->group_count > 0 && w->fleet->pause_ms > 0) {
        ev_timer_set(&w->pause, w->fleet->pause_ms / 1e3, 0);
        ev_timer_start(w->fleet->loop, &w->pause);
    } else {
        send_turn(w);
    }
}

static void
on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    send_turn(timer->data);
}

/* At most one turn is out: it carries all that the last answer brought, finished. */
static void
send_turn(struct worker *w)
{
    struct fleet *f = w->fleet;
    Hq__Turn turn = HQ__TURN__INIT;
    Hq__TasksFinished finished[GROUPS_MAX];
    Hq__TasksFinished *finished_ptrs[GROUPS_MAX];
    Hq__Ranges ranges[GROUPS_MAX];
    Hq__TaskTimes times[GROUPS_MAX];
    uint64_t now_ms = (uint64_t)hq_clock_wall_ms();

    for (size_t i = 0; i < w->group_count; i++) {
        struct group *g = &w->groups[i];

        if (g->task_count > f->zeros_cap) {
            size_t count = g->task_count * 2;

            f->zeros_started = hq_xrealloc(f->zeros_started, count, sizeof *f->zeros_started);
            f->zeros_duration = hq_xrealloc(f->zeros_duration, count, sizeof *f->zeros_duration);
            memset(f->zeros_started, 0, count * sizeof *f->zeros_started);
            memset(f->zeros_duration, 0, count * sizeof *f->zeros_duration);
            f->zeros_cap = count;
        }
        hq__ranges__init(&ranges[i]);
        ranges[i].packed = g->packed;
        ranges[i].n_packed = g->packed_len;
        hq__tasks_finished__init(&finished[i]);
        hq__task_times__init(&times[i]);
        finished[i].job = f->lie == 1 ? g->job + 1000 : g->job;
        finished[i].instance = g->instance;
        finished[i].variant = g->variant;
        finished[i].ids = &ranges[i];
        finished[i].times = &times[i];
        finished_ptrs[i] = &finished[i];
        f->tasks += g->task_count;
    }
    for (size_t i = 0; i < w->group_count; i++) { /* the columns have stopped moving */
        times[i].base_ms = now_ms;
        times[i].started = f->zeros_started;
        times[i].n_started = w->groups[i].task_count;
        times[i].duration_ms = f->zeros_duration;
        times[i].n_duration_ms = f->lie == 2 ? 0 : w->groups[i].task_count;
    }
    turn.worker_id = w->id;
    turn.hqd_incarnation = (ProtobufCBinaryData){.len = sizeof w->hqd_incarnation, .data = w->hqd_incarnation};
    turn.turn_seq = ++w->turn_seq;
    turn.ack_command_seq = w->command_seq;
    turn.n_finished = w->group_count;
    turn.finished = finished_ptrs;
    turn.round_trip_us = 200;
    w->group_count = 0;
    call(w, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, on_turn_answer);
}

static void
on_registered(void *ctx, int rc, struct hq_str payload)
{
    struct worker *w = ctx;
    struct hq_arena arena;
    const Hq__Registered *reg;

    hq_arena_init(&arena, ANSWER_BYTES_MAX);
    reg = (const Hq__Registered *)unpack_answer(w, rc, payload, HQ__MESSAGE_TYPE__TYPE_REGISTERED,
                                                &hq__registered__descriptor, &arena);
    if (reg != NULL && reg->hqd_incarnation.len != sizeof w->hqd_incarnation) {
        leave(w, 1, "an incarnation of another size");
        reg = NULL;
    }
    if (reg != NULL) {
        w->id = reg->worker_id;
        memcpy(w->hqd_incarnation, reg->hqd_incarnation.data, sizeof w->hqd_incarnation);
        send_turn(w);
    }
    hq_arena_fini(&arena);
}

static ProtobufCBinaryData
bytes(const char *text, char *storage, size_t storage_bytes)
{
    (void)snprintf(storage, storage_bytes, "%s", text);
    return (ProtobufCBinaryData){.len = strlen(storage), .data = (uint8_t *)storage};
}

static void
register_worker(struct worker *w)
{
    char host[32], group[16], dir[16], listen[64], name[16];
    Hq__Register reg = HQ__REGISTER__INIT;
    Hq__WorkerConfig config = HQ__WORKER_CONFIG__INIT;
    Hq__Pools pools = HQ__POOLS__INIT;
    Hq__Pool pool = HQ__POOL__INIT;
    Hq__Pool *pool_ptr = &pool;

    (void)snprintf(host, sizeof host, "thin%u", (unsigned)(w - w->fleet->workers));
    (void)snprintf(listen, sizeof listen, "%s:1", host);
    /* Who, where and when: another worker with the same one would be taken for this one come back. */
    uint32_t who[4] = {(uint32_t)(w - w->fleet->workers), (uint32_t)getpid(), (uint32_t)hq_clock_us(), 1};
    memcpy(w->incarnation, who, sizeof w->incarnation);
    pool.name = bytes("cpus", name, sizeof name);
    pool.kind = HQ__POOL_KIND__POOL_RANGE;
    pool.range_first = 0;
    pool.range_last = w->fleet->slots - 1;
    pools.n_pools = 1;
    pools.pools = &pool_ptr;
    config.hostname = (ProtobufCBinaryData){.len = strlen(host), .data = (uint8_t *)host};
    config.listen_address = (ProtobufCBinaryData){.len = strlen(listen), .data = (uint8_t *)listen};
    config.group = bytes("default", group, sizeof group);
    config.work_dir = bytes("/tmp", dir, sizeof dir);
    config.heartbeat_ms = (uint64_t)w->fleet->heartbeat_ms;
    config.retract_check_ms = 30000;
    config.on_server_lost = HQ__ON_SERVER_LOST__LOST_STOP;
    config.pid = (uint32_t)getpid();
    config.pools = &pools;
    reg.incarnation = (ProtobufCBinaryData){.len = sizeof w->incarnation, .data = w->incarnation};
    reg.config = &config;
    reg.next_turn_seq = 1;
    reg.started_ms = (uint64_t)hq_clock_wall_ms();
    call(w, HQ__MESSAGE_TYPE__TYPE_REGISTER, &reg.base, on_registered);
}

static void
on_signal(struct ev_loop *loop, ev_signal *watch, int events)
{
    (void)watch;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static int
usage(void)
{
    fputs("usage: thin_worker -d SERVER_DIR [-w WORKERS] [-s SLOTS] [-b HEARTBEAT_MS] [-p PAUSE_MS] [-l LIE]\n"
          "Prints \"ready\" when all are registering, and its counters at the end.\n",
          stderr);
    return 2;
}

static int
connect_all(struct fleet *f, const char *server_dir, struct hq_err *err)
{
    HQ_AUTO(hq_access_fini) struct hq_access access = HQ_ACCESS_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf instance = HQ_BUF_INIT;
    int rc = hq_serverdir_load_worker(&access, &instance, server_dir, err);

    for (uint32_t i = 0; i < f->count && rc == 0; i++) {
        struct hq_net_client_conf conf = {
            .loop = f->loop,
            .host = access.worker.host,
            .port = access.worker.port,
            .secret = access.worker.has_key ? access.worker.key : NULL,
            .role = HQ_ROLE_WORKER,
        };

        f->workers[i].fleet = f;
        ev_init(&f->workers[i].pause, on_pause_over);
        f->workers[i].pause.data = &f->workers[i];
        rc = hq_net_client_create(&f->workers[i].client, &conf, err);
        if (rc == 0) {
            register_worker(&f->workers[i]);
        }
    }
    return rc;
}

int
main(int argc, char **argv)
{
    struct fleet *f = hq_xalloc(sizeof *f);
    struct hq_err err = {0};
    const char *server_dir = NULL;
    ev_signal term, intr;
    int opt;

    f->count = 16;
    f->slots = 64;
    f->heartbeat_ms = 8000;
    while ((opt = getopt(argc, argv, "d:w:s:b:p:l:")) != -1) {
        switch (opt) {
        case 'd':
            server_dir = optarg;
            break;
        case 'w':
            f->count = parse_count(optarg, WORKERS_MAX);
            break;
        case 's':
            f->slots = parse_count(optarg, 65536);
            break;
        case 'b':
            f->heartbeat_ms = parse_count(optarg, 600000);
            break;
        case 'p':
            f->pause_ms = parse_count(optarg, 600000);
            break;
        case 'l':
            f->lie = parse_count(optarg, 2);
            break;
        default:
            return usage();
        }
    }
    if (server_dir == NULL || f->count == 0 || f->slots == 0 || f->heartbeat_ms == 0 || optind != argc) {
        return usage();
    }
    f->loop = ev_default_loop(0);
    f->alive = f->count;
    ev_signal_init(&term, on_signal, SIGTERM);
    ev_signal_start(f->loop, &term);
    ev_signal_init(&intr, on_signal, SIGINT);
    ev_signal_start(f->loop, &intr);
    if (connect_all(f, server_dir, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    puts("ready");
    (void)fflush(stdout);
    ev_run(f->loop, 0);
    printf("tasks=%llu turns=%llu empty_turns=%llu\n", (unsigned long long)f->tasks, (unsigned long long)f->turns,
           (unsigned long long)f->empty_turns);
    (void)fflush(stdout);
    _exit(f->status); /* nng_close may wait for peers (nng 1.5.2) */
}
