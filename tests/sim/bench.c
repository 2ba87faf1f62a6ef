/* The core alone: instant tasks through submit, assign, start and finish; passes; graphs; memory.
 * All times are CPU time of this thread: what else runs on the machine does not count. */
#include "tests/sim/bench.h"

#include "hqd/core/core.h"
#include "hqd/core/idlist.h"
#include "hqd/record_pb.h"

#include "common/mem.h"
#include "common/rng.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SLOTS 64u
#define TURNS_PER_LOOP 16u /* messages that one loop turn of the daemon drains under load */
#define ZEROS (1u << 16)

struct thin { /* a worker that ends tasks as soon as it has them */
    struct idlist ids;
    struct hq_arena arena;
    uint64_t turn_seq;
    uint64_t command_seq;
};

struct bench {
    struct core *core;
    struct effects fx;
    struct core_now now;
    int64_t start_ns;
    struct thin *workers;
    uint32_t worker_count;
    uint64_t handle;
    uint64_t assigned;
    uint64_t finished;
    uint64_t turns;
    uint64_t passes;
    int64_t pass_ns;
    struct hq_buf journal; /* when bytes are asked for */
    uint64_t journal_bytes;
    bool is_journaled;
    uint32_t only_job; /* 0 = workers note the tasks of all jobs */
    int64_t *zeros;
};

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t
heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void
set_now(struct bench *b)
{
    int64_t ms = (now_ns() - b->start_ns) / 1000000;
    b->now.mono_ms = 1000 + ms;
    b->now.wall_ms = 1700000000000 + ms;
    b->now.committed_seq = core_newest_seq(b->core);
}

static void
take_turn(struct bench *b, const struct turn_answer *t)
{
    struct thin *w = &b->workers[t->worker.v - 1];
    if (t->command_seq > 0) {
        w->command_seq = t->command_seq;
    }
    for (size_t i = 0; i < t->command_count; i++) {
        const struct command *c = &t->commands[i];
        if (c->kind != COMMAND_ASSIGN || (b->only_job != 0 && c->u.assign.job.v != b->only_job)) {
            continue;
        }
        for (size_t k = 0; k < c->u.assign.ids.count; k++) {
            const struct hq_range *r = &c->u.assign.ids.v[k];
            idlist_add(&w->ids, r->first, r->count, r->step);
            b->assigned += r->count;
        }
    }
}

static void
take_effects(struct bench *b)
{
    for (size_t i = 0; i < b->fx.count; i++) {
        const struct effect *e = &b->fx.v[i];
        if (e->kind == EFFECT_TURN) {
            take_turn(b, &e->u.turn);
        } else if (e->kind == EFFECT_RECORD && b->is_journaled) {
            hq_buf_clear(&b->journal);
            record_pb_encode(&e->u.record, &b->fx.arena, &b->journal);
            b->journal_bytes += b->journal.len + 6; /* frame: length, CRC */
        }
    }
}

static void
step(struct bench *b, const struct input *in)
{
    effects_clear(&b->fx);
    core_step(b->core, in, &b->now, &b->fx);
    take_effects(b);
}

static void
schedule(struct bench *b)
{
    int64_t begin_ns = now_ns();
    effects_clear(&b->fx);
    core_schedule(b->core, &b->now, &b->fx);
    b->pass_ns += now_ns() - begin_ns;
    b->passes++;
    take_effects(b);
    set_now(b);
}

static void
send_turn(struct bench *b, uint32_t ix)
{
    struct thin *w = &b->workers[ix];
    struct tasks_finished done = {.job = {1}};
    struct input in = {.kind = INPUT_TURN};
    struct input_turn *t = &in.u.turn;
    t->handle = ++b->handle;
    t->worker.v = ix + 1;
    t->turn_seq = ++w->turn_seq;
    t->ack_command_seq = w->command_seq;
    t->round_trip_us = 300;
    if (w->ids.r.count > 0) {
        done.ids = w->ids.r;
        size_t n = (size_t)hq_ranges_size(&done.ids);
        done.times = (struct task_times){
            .base_ms = b->now.wall_ms, .started = b->zeros, .duration_ms = (const uint64_t *)b->zeros, .count = n};
        b->finished += n;
        t->finished = &done;
        t->finished_count = 1;
    }
    b->turns++;
    step(b, &in);
    hq_arena_reset(&w->arena);
    w->ids = (struct idlist){.arena = &w->arena};
}

static void
bench_init(struct bench *b, uint32_t workers, uint32_t cpus)
{
    struct hq_err err = {0};
    struct hq_pool pool = {.name = HQ_STR("cpus"), .kind = HQ_POOL_RANGE, .range_last = cpus - 1};
    struct core_identity id = {.server_uid = HQ_STR("bench"), .boot_id = HQ_STR("boot")};
    *b = (struct bench){.start_ns = now_ns(), .worker_count = workers};
    HQ_ASSERT(core_create(&b->core, &(struct core_conf){.seed = 1}, &err) == 0);
    effects_init(&b->fx);
    b->zeros = hq_xcalloc(ZEROS, sizeof(*b->zeros));
    b->workers = hq_xcalloc(workers, sizeof(*b->workers));
    set_now(b);
    core_resume(b->core, &id, &b->now, &b->fx);
    for (uint32_t i = 0; i < workers; i++) {
        struct input in = {.kind = INPUT_REGISTER};
        in.u.reg = (struct input_register){.handle = ++b->handle, .next_turn_seq = 1};
        memcpy(in.u.reg.incarnation, &i, sizeof(i));
        in.u.reg.config = (struct worker_config){.hostname = HQ_STR("n"),
                                                 .group = HQ_STR("default"),
                                                 .heartbeat_ms = 8000,
                                                 .pools = {.v = &pool, .count = 1}};
        hq_arena_init(&b->workers[i].arena, 0);
        b->workers[i].ids.arena = &b->workers[i].arena;
        step(b, &in);
        send_turn(b, i);
    }
    schedule(b);
}

static void
bench_fini(struct bench *b)
{
    core_destroy(b->core);
    effects_fini(&b->fx);
    hq_buf_fini(&b->journal);
    for (uint32_t i = 0; i < b->worker_count; i++) {
        hq_arena_fini(&b->workers[i].arena);
    }
    free(b->workers);
    free(b->zeros);
}

/* ---- submits */
static const struct hq_str bench_args[] = {{.ptr = "true", .len = 4}};

static void
submit_array(struct bench *b, uint32_t tasks, hq_amount cpus, int32_t priority)
{
    struct hq_request_entry e = {.name = HQ_STR("cpus"), .amount = cpus};
    struct hq_variant v = {.entries = &e, .entry_count = 1, .weight_x10000 = 10000};
    struct task_desc d = {.args = bench_args,
                          .arg_count = 1,
                          .crash_limit = 5,
                          .priority = priority,
                          .request = {.variants = &v, .variant_count = 1}};
    struct submit_part part = {.descs = &d, .desc_count = 1};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = ++b->handle}};
    in.u.submit = (struct input_submit){.name = HQ_STR("bench"), .auto_count = tasks, .parts = &part, .part_count = 1};
    step(b, &in);
}

static void
print(const char *name, double value, const char *unit)
{
    (void)printf("%s %.6g %s\n", name, value, unit);
}

/* ---- flow */
static uint32_t end_one_each(struct bench *b, uint32_t turns_per_loop);

static void
run_to_end(struct bench *b, uint64_t tasks)
{
    while (b->finished < tasks) {
        for (uint32_t i = 0; i < b->worker_count; i++) {
            if (b->workers[i].ids.r.count > 0) {
                send_turn(b, i);
            }
            if ((i + 1) % TURNS_PER_LOOP == 0) {
                schedule(b);
            }
        }
        schedule(b);
    }
}

static void
flow(uint32_t workers, uint32_t tasks)
{
    struct bench b;
    char name[64];
    bench_init(&b, workers, SLOTS);
    b.passes = 0;
    b.pass_ns = 0;
    b.turns = 0;
    int64_t begin_ns = now_ns();
    submit_array(&b, tasks, HQ_AMOUNT_ONE, 0);
    schedule(&b);
    run_to_end(&b, tasks);
    double seconds = (double)(now_ns() - begin_ns) / 1e9;
    (void)snprintf(name, sizeof(name), "core_tasks_%u_workers", workers);
    print(name, tasks / seconds, "tasks/s");
    (void)snprintf(name, sizeof(name), "core_tasks_per_turn_%u_workers", workers);
    print(name, (double)tasks / (double)b.turns, "tasks");
    (void)snprintf(name, sizeof(name), "core_end_of_turn_%u_workers", workers);
    print(name, (double)b.pass_ns / (double)b.passes, "ns");
    bench_fini(&b);
}

/* The worst case for messages: each turn tells of one task. */
static void
singles(uint32_t workers, uint32_t tasks)
{
    struct bench b;
    bench_init(&b, workers, SLOTS);
    b.only_job = 1;
    submit_array(&b, tasks, HQ_AMOUNT_ONE, 0);
    schedule(&b);
    int64_t begin_ns = now_ns();
    uint64_t ended = 0;
    while (ended < tasks) {
        ended += end_one_each(&b, TURNS_PER_LOOP);
    }
    print("core_tasks_one_a_turn_1000_workers", tasks / ((double)(now_ns() - begin_ns) / 1e9), "tasks/s");
    bench_fini(&b);
}

static void
memory(void)
{
    struct bench b;
    bench_init(&b, 16, SLOTS);
    b.is_journaled = true;
    size_t before = heap_bytes();
    submit_array(&b, 1000000, HQ_AMOUNT_ONE, 0);
    print("core_memory_after_submit_1000000", (double)(heap_bytes() - before) / 1024, "KiB");
    b.journal_bytes = 0;
    run_to_end(&b, 1000000);
    print("core_memory_all_finished_1000000", (double)(heap_bytes() - before) / 1024, "KiB");
    print("core_journal_per_task", (double)b.journal_bytes / 1e6, "bytes");
    bench_fini(&b);
}

/* ---- one pass over many classes */
/* One task of the job ends on each worker that has one. */
static uint32_t
end_one_each(struct bench *b, uint32_t turns_per_loop)
{
    uint32_t ended = 0;
    for (uint32_t i = 0; i < b->worker_count; i++) {
        struct thin *w = &b->workers[i];
        if (w->ids.r.count == 0) {
            continue;
        }
        struct hq_range *next = &w->ids.r.v[0];
        struct hq_range one = {.first = next->first, .count = 1, .step = 1};
        struct tasks_finished done = {.job = {b->only_job}, .ids = {.v = &one, .count = 1}};
        done.times = (struct task_times){
            .base_ms = b->now.wall_ms, .started = b->zeros, .duration_ms = (const uint64_t *)b->zeros, .count = 1};
        struct input in = {.kind = INPUT_TURN};
        in.u.turn = (struct input_turn){.handle = ++b->handle,
                                        .worker = {i + 1},
                                        .turn_seq = ++w->turn_seq,
                                        .ack_command_seq = w->command_seq,
                                        .finished = &done,
                                        .finished_count = 1};
        next->first += next->step;
        if (--next->count == 0) {
            w->ids.r.count--;
            memmove(w->ids.r.v, w->ids.r.v + 1, w->ids.r.count * sizeof(*w->ids.r.v));
        }
        step(b, &in);
        if (++ended % turns_per_loop == 0) {
            schedule(b);
        }
    }
    schedule(b);
    return ended;
}

/* CPU time of a pass in which so many of 1,000 workers had an end, with 20 classes of so many tasks in all; `ret_idle` is the
 * pass that fills the idle cluster. */
static double
pass_ns(uint32_t changed, uint32_t tasks, double *ret_idle)
{
    struct bench b;
    bench_init(&b, 1000, SLOTS);
    for (int k = 0; k < 20; k++) {
        submit_array(&b, tasks / 20, HQ_AMOUNT_ONE * (hq_amount)(1 + k % 5), k / 4);
    }
    b.only_job = 17; /* of the highest priority, fills workers without a rest */
    b.passes = 0;
    b.pass_ns = 0;
    schedule(&b);
    *ret_idle = (double)b.pass_ns;
    b.worker_count = changed;
    b.pass_ns = 0;
    b.passes = 0;
    uint64_t ended = 0;
    for (int round = 0; round < 10; round++) {
        ended += end_one_each(&b, UINT32_MAX);
    }
    HQ_ASSERT(ended == 10 * (uint64_t)changed);
    b.worker_count = 1000;
    double ns = (double)b.pass_ns / (double)b.passes;
    bench_fini(&b);
    return ns;
}

static void
passes(void)
{
    static const uint32_t changed[] = {125, 250, 500};
    static const uint32_t tasks[] = {5000000, 20000000};
    char name[64];
    double idle_ns;
    double ns = pass_ns(1000, 1000000, &idle_ns);
    print("core_pass_idle_cluster_1000x20", idle_ns, "ns");
    print("core_pass_1000x20", ns, "ns");
    for (size_t i = 0; i < HQ_ARRAY_LEN(changed); i++) {
        (void)snprintf(name, sizeof(name), "core_pass_changed_%u", changed[i]);
        print(name, pass_ns(changed[i], 1000000, &idle_ns), "ns");
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(tasks); i++) {
        (void)snprintf(name, sizeof(name), "core_pass_tasks_%u", tasks[i]);
        print(name, pass_ns(1000, tasks[i], &idle_ns), "ns");
    }
}

/* ---- graphs */
static void
graph(void)
{
    enum { TASKS = 100000, DEPS = 4 };
    struct bench b;
    struct hq_rng rng;
    bench_init(&b, 100, SLOTS);
    hq_rng_init(&rng, 7);
    uint32_t *ids = hq_xcalloc(TASKS, sizeof(*ids));
    uint32_t *desc = hq_xcalloc(TASKS, sizeof(*desc));
    uint32_t *count = hq_xcalloc(TASKS, sizeof(*count));
    uint32_t *deps = hq_xcalloc((size_t)TASKS * DEPS, sizeof(*deps));
    size_t total = 0;
    for (uint32_t i = 0; i < TASKS; i++) {
        ids[i] = i;
        for (int k = 0; k < DEPS && i >= 1000; k++) {
            deps[total++] = (uint32_t)hq_rng_below(&rng, i);
            count[i]++;
        }
    }
    struct hq_request_entry e = {.name = HQ_STR("cpus"), .amount = HQ_AMOUNT_ONE};
    struct hq_variant v = {.entries = &e, .entry_count = 1, .weight_x10000 = 10000};
    struct task_desc d = {.args = bench_args, .arg_count = 1, .request = {.variants = &v, .variant_count = 1}};
    struct submit_part part = {.descs = &d, .desc_count = 1};
    part.graph = (struct graph_tasks){
        .ids = ids, .desc = desc, .dep_count = count, .count = TASKS, .deps = deps, .dep_total = total};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = ++b.handle}};
    in.u.submit = (struct input_submit){.name = HQ_STR("g"), .is_graph = true, .parts = &part, .part_count = 1};
    size_t before = heap_bytes();
    int64_t begin_ns = now_ns();
    step(&b, &in);
    print("core_graph_submit_100000x4", (double)(now_ns() - begin_ns) / 1e6, "ms");
    print("core_graph_memory_without_edges", ((double)(heap_bytes() - before) - 8.0 * (double)total) / TASKS,
          "bytes/task");
    run_to_end(&b, TASKS);
    print("core_graph_run_100000x4", (double)(now_ns() - begin_ns) / 1e6, "ms");
    free(ids);
    free(desc);
    free(count);
    free(deps);
    bench_fini(&b);
}

static bool
wants(const char *only, const char *name)
{
    return only == NULL || strcmp(only, name) == 0;
}

int
bench_run(const char *only)
{
    if (wants(only, "flow")) {
        flow(10, 2000000);
        flow(100, 4000000);
        flow(1000, 4000000);
        singles(1000, 1000000);
    }
    if (wants(only, "pass")) {
        passes();
    }
    if (wants(only, "graph")) {
        graph();
    }
    if (wants(only, "memory")) {
        memory();
    }
    return 0;
}
