#include "tests/sim/elastic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "hq-allocd/core/plan.h"
#include "hqd/core/query_alloc.h"
#include "tests/sim/elastic_impl.h"

#define SEEDS 12u
#define STEP_MS 10000
#define DAY_MS (10 * 3600000)
#define OWN_AT_MS 3600000
#define BUSY_MS (2 * 3600000) /* work comes fast until then, and slowly afterwards */

static const struct scenario {
    const char *name;
    size_t queue_count;
    struct equeue queues[ELASTIC_QUEUES_MAX];
    uint32_t own_workers; /* of no allocation: they cost nothing and come an hour later */
    int saved_x1000_min;  /* over all seeds */
} scenarios[] = {
    {"one queue", 1, {{12 * 3600000, 4, 2}}, 0, 0}, /* the oldest worker first is the one with the least life */
    {"two queues", 2, {{12 * 3600000, 4, 2}, {4 * 3600000, 2, 3}}, 0, 0},
    {"own workers", 2, {{12 * 3600000, 4, 2}, {4 * 3600000, 2, 3}}, 3, 50},
};

hq_ms
elastic_task_ms(const struct elastic *e, uint32_t job, uint32_t task)
{
    struct hq_rng rng;
    hq_rng_init(&rng, e->seed * 1000003 + job * 4099 + task);
    return hq_rng_between(&rng, ELASTIC_TASK_MS_MAX / 4, ELASTIC_TASK_MS_MAX - STEP_MS);
}

static void
take_record(struct elastic *e, const struct record *rec)
{
    if (rec->kind == RECORD_TASKS_RESTARTED) {
        e->restarted += hq_ranges_size(&rec->u.tasks_restarted.ids);
    }
    if (rec->kind != RECORD_TASKS_FINISHED) {
        return;
    }
    const struct tasks_finished *done = &rec->u.tasks_finished.tasks;
    struct ejob *job = &e->jobs[done->job.v - 1];
    struct hq_ranges_iter it = hq_ranges_iter(&done->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        e->finished++;
        e->twice += job->ended[id]++ > 0;
    }
}

static void
take_effects(struct elastic *e)
{
    for (size_t i = 0; i < e->fx.count; i++) {
        const struct effect *fx = &e->fx.v[i];
        if (fx->kind == EFFECT_RECORD) {
            take_record(e, &fx->u.record);
        } else if (fx->kind == EFFECT_TURN) {
            enode_take_turn(e, &fx->u.turn);
        }
    }
}

void
elastic_step(struct elastic *e, const struct input *in)
{
    e->now.committed_seq = core_newest_seq(e->core);
    effects_clear(&e->fx);
    core_step(e->core, in, &e->now, &e->fx);
    take_effects(e);
}

static void
schedule(struct elastic *e)
{
    e->now.committed_seq = core_newest_seq(e->core);
    effects_clear(&e->fx);
    core_schedule(e->core, &e->now, &e->fx);
    take_effects(e);
}

/* ---- work */
static void
submit(struct elastic *e, uint32_t tasks, uint32_t cpus)
{
    static const struct hq_str args[] = {{.ptr = "true", .len = 4}};
    struct hq_request_entry entry = {.name = HQ_STR("cpus"), .amount = cpus * HQ_AMOUNT_ONE};
    struct hq_variant v = {
        .entries = &entry, .entry_count = 1, .weight_x10000 = 10000, .min_time_ms = ELASTIC_TASK_MS_MAX};
    struct task_desc d = {
        .args = args, .arg_count = 1, .crash_limit = 5, .request = {.variants = &v, .variant_count = 1}};
    struct submit_part part = {.descs = &d, .desc_count = 1};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = ++e->handle, .request_id = e->handle}};
    HQ_ASSERT(e->job_count < ELASTIC_JOBS_MAX);
    struct ejob *job = &e->jobs[e->job_count++];
    *job = (struct ejob){.cpus = cpus, .tasks = tasks, .ended = hq_xcalloc(tasks, 1)};
    in.u.submit = (struct input_submit){.name = HQ_STR("j"), .auto_count = tasks, .parts = &part, .part_count = 1};
    elastic_step(e, &in);
    e->submitted += tasks;
}

static void
work_arrives(struct elastic *e, hq_ms at_ms)
{
    if (at_ms == 0) {
        submit(e, 150, 1); /* what was left from the night */
        submit(e, 40, 4);
    }
    uint32_t one_in = at_ms < BUSY_MS ? 9 : 30; /* steps of ten seconds */
    if (at_ms < DAY_MS && hq_rng_below(&e->rng, one_in) == 0) {
        uint32_t cpus = 1u << hq_rng_below(&e->rng, 3);
        submit(e, (uint32_t)hq_rng_between(&e->rng, 1, at_ms < BUSY_MS ? 8 : 6), cpus);
    }
}

/* ---- allocations */
static void
report(struct elastic *e, enum alloc_report_kind kind, const struct ealloc *a, const char *id)
{
    struct alloc_report r = {.kind = kind,
                             .a = {.queue = {a->queue},
                                   .number = a->number,
                                   .worker_count = a->node_count,
                                   .allocation_id = hq_str_from(id),
                                   .work_dir = HQ_STR("/d")}};
    struct input in = {.kind = INPUT_ALLOC_REPORTS, .u.alloc_reports = {.v = &r, .count = 1}};
    elastic_step(e, &in);
}

static void
add_queue(struct elastic *e, size_t ix, bool is_compact)
{
    struct input in = {.kind = INPUT_ALLOC_ADD, .from = {.handle = ++e->handle, .request_id = e->handle}};
    in.u.alloc_add.params = (struct alloc_params){.manager = WORKER_MANAGER_SLURM,
                                                  .time_limit_ms = e->queues[ix].time_limit_ms,
                                                  .idle_timeout_ms = ELASTIC_IDLE_MS,
                                                  .backlog = e->queues[ix].backlog,
                                                  .max_workers_per_alloc = e->queues[ix].nodes,
                                                  .is_compact = is_compact};
    elastic_step(e, &in);
}

static void
submit_alloc(struct elastic *e, uint32_t queue, uint32_t nodes)
{
    char id[16];
    uint32_t number = 1;
    for (uint32_t i = 0; i < e->alloc_count; i++) {
        number += e->allocs[i].queue == queue;
    }
    HQ_ASSERT(e->alloc_count < ELASTIC_NODES_MAX);
    struct ealloc *a = &e->allocs[e->alloc_count++];
    *a = (struct ealloc){.queue = queue,
                         .number = number,
                         .node_count = nodes,
                         .starts_ms = e->now.wall_ms + hq_rng_between(&e->wait_rng, 30000, 600000),
                         .time_limit_ms = e->queues[queue - 1].time_limit_ms};
    (void)snprintf(id, sizeof id, "%u", e->alloc_count);
    report(e, ALLOC_REPORT_PLANNED, a, "");
    report(e, ALLOC_REPORT_QUEUED, a, id);
}

static void
plan(struct elastic *e)
{
    struct hq_arena arena;
    struct query_demand *demand;
    size_t count;
    hq_arena_init(&arena, 0);
    query_demand(e->core, &e->now, &arena, &demand, &count);
    for (size_t i = 0; i < count; i++) {
        static struct plan_alloc live[ELASTIC_NODES_MAX];
        struct plan_queue q = {.backlog = e->queues[demand[i].queue.v - 1].backlog,
                               .max_workers_per_alloc = e->queues[demand[i].queue.v - 1].nodes,
                               .allocs = live,
                               .single = demand[i].single};
        for (uint32_t k = 0; k < e->alloc_count; k++) {
            const struct ealloc *a = &e->allocs[k];
            if (a->queue == demand[i].queue.v && !a->is_over) {
                live[q.alloc_count++] = (struct plan_alloc){.workers = a->node_count,
                                                            .is_queued = !a->is_started,
                                                            .awaited = a->is_started ? 0 : a->node_count};
            }
        }
        uint32_t nodes[PLAN_SUBMITS_MAX];
        size_t n = plan_submits(&q, nodes, PLAN_SUBMITS_MAX);
        for (size_t k = 0; k < n; k++) {
            submit_alloc(e, demand[i].queue.v, nodes[k]);
        }
    }
    hq_arena_fini(&arena);
}

static void
allocs_live(struct elastic *e)
{
    for (uint32_t i = 0; i < e->alloc_count; i++) {
        struct ealloc *a = &e->allocs[i];
        if (!a->is_started && e->now.wall_ms >= a->starts_ms) {
            a->is_started = true;
            a->started_ms = e->now.wall_ms;
            report(e, ALLOC_REPORT_STARTED, a, "");
            for (uint32_t k = 0; k < a->node_count; k++) {
                enode_register(e, a);
            }
            a->alive = a->node_count;
        } else if (a->is_started && !a->is_over && a->alive == 0) {
            a->is_over = true;
            e->paid_ms += (e->now.wall_ms - a->started_ms) * a->node_count;
            report(e, ALLOC_REPORT_FINISHED, a, "");
        }
    }
}

/* ---- a day */
static bool
is_over(const struct elastic *e, hq_ms at_ms)
{
    bool is_over = at_ms >= DAY_MS && e->finished == e->submitted;
    for (uint32_t i = 0; i < e->alloc_count; i++) {
        is_over = is_over && e->allocs[i].is_over;
    }
    return is_over;
}

static void
run_day(struct elastic *e, const struct scenario *s, uint64_t seed, bool is_compact)
{
    struct hq_err err = {0};
    struct core_identity id = {.server_uid = HQ_STR("elastic"), .boot_id = HQ_STR("boot")};
    *e = (struct elastic){.seed = seed, .queues = s->queues, .now = {.mono_ms = 1000, .wall_ms = 1700000000000}};
    hq_rng_init(&e->rng, seed);
    hq_rng_init(&e->wait_rng, seed + 1000);
    int rc = core_create(&e->core, &(struct core_conf){.seed = seed}, &err);
    HQ_ASSERT(rc == 0);
    effects_init(&e->fx);
    core_resume(e->core, &id, &e->now, &e->fx);
    for (size_t i = 0; i < s->queue_count; i++) {
        add_queue(e, i, is_compact);
    }
    for (hq_ms at_ms = 0; at_ms < 3 * DAY_MS && !is_over(e, at_ms); at_ms += STEP_MS) {
        struct input timer = {.kind = INPUT_TIMER};
        work_arrives(e, at_ms);
        for (uint32_t i = 0; at_ms == OWN_AT_MS && i < s->own_workers; i++) {
            enode_register(e, NULL);
        }
        elastic_step(e, &timer);
        for (uint32_t i = 0; i < e->node_count; i++) {
            if (e->nodes[i].worker != 0) {
                enode_live(e, &e->nodes[i]);
            }
        }
        schedule(e);
        allocs_live(e);
        plan(e);
        e->now.mono_ms += STEP_MS;
        e->now.wall_ms += STEP_MS;
    }
}

static void
end_day(struct elastic *e)
{
    core_destroy(e->core);
    effects_fini(&e->fx);
    for (uint32_t i = 0; i < e->job_count; i++) {
        free(e->jobs[i].ended);
    }
}

struct sums {
    hq_wall_ms paid_ms;
    uint64_t tasks;
    uint64_t restarted;
};

static bool
run_scenario(struct elastic *e, const struct scenario *s)
{
    struct sums sums[2] = {{0}, {0}};
    bool is_right = true;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int compact = 0; compact < 2; compact++) {
            run_day(e, s, seed, compact != 0);
            if (e->finished != e->submitted || e->twice > 0) {
                is_right = false;
                (void)printf("FAILED %s seed=%" PRIu64 " compact=%d: %" PRIu64 " of %" PRIu64 " finished, %" PRIu64
                             " twice\n",
                             s->name, seed, compact, e->finished, e->submitted, e->twice);
            }
            sums[compact].paid_ms += e->paid_ms;
            sums[compact].tasks += e->finished;
            sums[compact].restarted += e->restarted;
            end_day(e);
        }
    }
    int64_t saved_x1000 = 1000 - 1000 * sums[1].paid_ms / sums[0].paid_ms;
    (void)printf("%-12s %7" PRIu64 " %10.1f %10.1f %8.1f %% %10" PRIu64 " / %" PRIu64 "\n", s->name, sums[0].tasks,
                 (double)sums[0].paid_ms / 3.6e6, (double)sums[1].paid_ms / 3.6e6, (double)saved_x1000 / 10,
                 sums[0].restarted, sums[1].restarted);
    return is_right && sums[0].tasks == sums[1].tasks && saved_x1000 >= s->saved_x1000_min;
}

int
elastic_run(void)
{
    struct elastic *e = hq_xalloc(sizeof *e);
    bool is_right = true;
    (void)printf("node-hours of allocations, seeds 1 to %u:\n%-12s %7s %10s %10s %10s %10s\n", SEEDS, "scenario",
                 "tasks", "plain", "--compact", "saved", "restarted");
    for (size_t i = 0; i < HQ_ARRAY_LEN(scenarios); i++) {
        is_right = run_scenario(e, &scenarios[i]) && is_right;
    }
    free(e);
    return is_right ? 0 : 1;
}
