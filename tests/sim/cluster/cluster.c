#include "tests/sim/cluster/cluster.h"

#include "common/mem.h"
#include "tests/sim/cluster/node.h"

#include <stdlib.h>

#define WALL_MS 1700000000000
#define PASS_US 50 /* what arrives within it is one loop turn of hqd */
#define HEARTBEAT_MS 8000

static struct core_now
core_time(const struct cluster *c)
{
    return (struct core_now){.mono_ms = 1000 + c->now_us / 1000,
                             .wall_ms = WALL_MS + c->now_us / 1000,
                             .committed_seq = core_newest_seq(c->core)};
}

void
cluster_at(struct cluster *c, int64_t at_us, struct event *e)
{
    hq_heap_set(&c->events, &e->heap, at_us, c->tie++);
}

/* ---- what hqd wants done */
static void
add_order(struct answer_message *m, struct order of, const struct hq_ranges *ids)
{
    hq_xgrow(&m->orders, &m->order_cap, m->order_count + 1, sizeof(*m->orders));
    struct order *o = &m->orders[m->order_count++];
    *o = of;
    for (size_t i = 0; i < ids->count; i++) {
        hq_ranges_add(&o->ids, ids->v[i].first, ids->v[i].count, ids->v[i].step);
    }
}

static void
send_answer(struct cluster *c, const struct turn_answer *t)
{
    struct answer_message *m = hq_xalloc(sizeof(*m));
    m->event = (struct event){.kind = EVENT_ANSWER, .node = c->nodes[t->worker.v - 1]};
    m->command_seq = t->command_seq;
    HQ_ASSERT(t->code == 0);
    for (size_t i = 0; i < t->command_count; i++) {
        const struct command *k = &t->commands[i];
        if (k->kind == COMMAND_ASSIGN) {
            const struct command_assign *a = &k->u.assign;
            add_order(m, (struct order){.job = a->job.v, .instance = a->instance, .variant = a->variant}, &a->ids);
        } else if (k->kind == COMMAND_RETRACT) {
            const struct command_tasks *a = &k->u.tasks;
            add_order(m, (struct order){.is_retract = true, .job = a->job.v, .instance = a->instance}, &a->ids);
        }
    }
    cluster_at(c, c->now_us + c->half_trip_us, &m->event);
}

static void
carry_out(struct cluster *c)
{
    for (size_t i = 0; i < c->fx.count; i++) {
        if (c->fx.v[i].kind == EFFECT_TURN) {
            send_answer(c, &c->fx.v[i].u.turn);
        }
    }
    int64_t due_ms = core_next_timer(c->core);
    int64_t at_us = due_ms == INT64_MAX ? INT64_MAX : (due_ms - 1000) * 1000;
    if (at_us != INT64_MAX && at_us < c->timer_at_us) {
        struct event *e = hq_xalloc(sizeof(*e));
        e->kind = EVENT_TIMER;
        c->timer_at_us = at_us;
        cluster_at(c, HQ_MAX(at_us, c->now_us + 1), e);
    }
}

static void
give(struct cluster *c, const struct input *in)
{
    struct core_now now = core_time(c);
    effects_clear(&c->fx);
    core_step(c->core, in, &now, &c->fx);
    carry_out(c);
    if (!c->is_pass_due) {
        struct event *e = hq_xalloc(sizeof(*e));
        e->kind = EVENT_PASS;
        c->is_pass_due = true;
        cluster_at(c, c->now_us + PASS_US, e);
    }
}

static void
run_pass(struct cluster *c)
{
    struct core_now now = core_time(c);
    c->is_pass_due = false;
    c->passes++;
    effects_clear(&c->fx);
    core_schedule(c->core, &now, &c->fx);
    carry_out(c);
}

/* ---- turns */
struct one { /* a group of a single task */
    struct hq_range range;
    int64_t started;
    uint64_t duration_ms;
};

static struct task_times
times_of(struct one *o, const struct vtask *t)
{
    o->started = 0;
    o->duration_ms = (uint64_t)(t->end_us - t->start_us) / 1000;
    return (struct task_times){.base_ms = WALL_MS + t->start_us / 1000,
                               .started = &o->started,
                               .duration_ms = t->end_us == 0 ? NULL : &o->duration_ms,
                               .count = 1};
}

static struct hq_ranges
ids_of(struct one *o, const struct vtask *t)
{
    o->range = (struct hq_range){.first = t->task, .count = 1, .step = 1};
    return (struct hq_ranges){.v = &o->range, .count = 1};
}

static size_t
put_starts(const struct turn_message *m, struct one *ones, struct tasks_started *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < m->starts.count; i++) {
        const struct vtask *t = m->starts.v[i];
        if (t->end_us == 0) {
            ret[n++] = (struct tasks_started){
                .job = {t->job}, .instance = t->instance, .variant = t->variant, .ids = ids_of(&ones[i], t),
                .times = times_of(&ones[i], t)};
        }
    }
    return n;
}

static void
note_end(struct cluster *c, const struct vtask *t)
{
    c->ended[t->job - 1]++;
    c->last_end_us[t->job - 1] = HQ_MAX(c->last_end_us[t->job - 1], t->end_us);
}

static void
take_turn(struct cluster *c, struct turn_message *m)
{
    size_t most = m->starts.count + m->ends.count + m->returns.count + 1;
    struct one *ones = hq_xcalloc(most, sizeof(*ones));
    struct tasks_started *started = hq_xcalloc(m->starts.count + 1, sizeof(*started));
    struct tasks_finished *finished = hq_xcalloc(m->ends.count + 1, sizeof(*finished));
    struct tasks_returned *returned = hq_xcalloc(m->returns.count + 1, sizeof(*returned));
    struct input in = {.kind = INPUT_TURN};
    struct one *next = ones + m->starts.count;
    size_t started_count = put_starts(m, ones, started);
    for (size_t i = 0; i < m->ends.count; i++, next++) {
        const struct vtask *t = m->ends.v[i];
        finished[i] = (struct tasks_finished){
            .job = {t->job}, .instance = t->instance, .variant = t->variant, .ids = ids_of(next, t),
            .times = times_of(next, t)};
        note_end(c, t);
    }
    for (size_t i = 0; i < m->returns.count; i++, next++) {
        const struct vtask *t = m->returns.v[i];
        returned[i] = (struct tasks_returned){.job = {t->job},
                                              .instance = t->instance,
                                              .variant = t->variant,
                                              .ids = ids_of(next, t),
                                              .reason = RETURN_REASON_RETRACTED};
    }
    in.u.turn = (struct input_turn){.handle = ++c->handle,
                                    .worker = {m->event.node->ix + 1},
                                    .turn_seq = m->turn_seq,
                                    .ack_command_seq = m->ack_command_seq,
                                    .started = started,
                                    .started_count = started_count,
                                    .finished = finished,
                                    .finished_count = m->ends.count,
                                    .returned = returned,
                                    .returned_count = m->returns.count,
                                    .round_trip_us = (uint32_t)(2 * c->half_trip_us)};
    c->turns++;
    give(c, &in);
    free(ones);
    free(started);
    free(finished);
    free(returned);
}

static void
free_turn(struct turn_message *m)
{
    for (size_t i = 0; i < m->ends.count; i++) {
        free(m->ends.v[i]);
    }
    for (size_t i = 0; i < m->returns.count; i++) {
        free(m->returns.v[i]);
    }
    free(m->starts.v);
    free(m->ends.v);
    free(m->returns.v);
    free(m);
}

static void
free_answer(struct answer_message *m)
{
    for (size_t i = 0; i < m->order_count; i++) {
        hq_ranges_fini(&m->orders[i].ids);
    }
    free(m->orders);
    free(m);
}

/* ---- time */
static void
happen(struct cluster *c, struct event *e)
{
    switch (e->kind) {
    case EVENT_TASK_END:
        node_end_task(HQ_CONTAINER(e, struct vtask, end));
        return;
    case EVENT_TURN:
        take_turn(c, HQ_CONTAINER(e, struct turn_message, event));
        free_turn(HQ_CONTAINER(e, struct turn_message, event));
        return;
    case EVENT_ANSWER:
        node_take(e->node, HQ_CONTAINER(e, struct answer_message, event));
        free_answer(HQ_CONTAINER(e, struct answer_message, event));
        return;
    case EVENT_SEND:
        node_send(e->node, true);
        return;
    case EVENT_PASS:
        free(e);
        run_pass(c);
        return;
    case EVENT_TIMER:
        free(e);
        c->timer_at_us = INT64_MAX;
        give(c, &(struct input){.kind = INPUT_TIMER});
        return;
    }
}

void
cluster_run(struct cluster *c, int64_t until_us, uint32_t job)
{
    while (hq_heap_top_key(&c->events, INT64_MAX) <= until_us) {
        if (job != 0 && c->ended[job - 1] == c->jobs[job - 1].count) {
            return;
        }
        c->now_us = hq_heap_top_key(&c->events, 0);
        happen(c, HQ_CONTAINER(hq_heap_pop(&c->events), struct event, heap));
    }
    c->now_us = HQ_MAX(c->now_us, until_us);
}

double
cluster_busy(const struct cluster *c)
{
    double sum = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        node_touch_busy(c->nodes[i]);
        sum += c->nodes[i]->busy / 10000;
    }
    return sum;
}

/* ---- set-up */
void
cluster_init(struct cluster *c, int64_t round_trip_us)
{
    struct hq_err err = {0};
    struct core_identity id = {.server_uid = HQ_STR("cluster"), .boot_id = HQ_STR("boot")};
    *c = (struct cluster){.half_trip_us = round_trip_us / 2, .timer_at_us = INT64_MAX};
    HQ_ASSERT(core_create(&c->core, &(struct core_conf){.seed = 1}, &err) == 0);
    effects_init(&c->fx);
    struct core_now now = core_time(c);
    core_resume(c->core, &id, &now, &c->fx);
}

void
cluster_fini(struct cluster *c)
{
    while (hq_heap_top(&c->events) != NULL) {
        struct event *e = HQ_CONTAINER(hq_heap_pop(&c->events), struct event, heap);
        switch (e->kind) {
        case EVENT_TASK_END:
            free(HQ_CONTAINER(e, struct vtask, end));
            break;
        case EVENT_TURN:
            free_turn(HQ_CONTAINER(e, struct turn_message, event));
            break;
        case EVENT_ANSWER:
            free_answer(HQ_CONTAINER(e, struct answer_message, event));
            break;
        case EVENT_PASS:
        case EVENT_TIMER:
            free(e);
            break;
        case EVENT_SEND:
            break;
        }
    }
    for (uint32_t i = 0; i < c->node_count; i++) {
        node_destroy(c->nodes[i]);
    }
    hq_heap_fini(&c->events);
    free(c->nodes);
    core_destroy(c->core);
    effects_fini(&c->fx);
}

static const char *const res_names[CLUSTER_RES] = {"cpus", "gpus"};

void
cluster_add_worker(struct cluster *c, const int64_t *total)
{
    struct hq_pool pools[CLUSTER_RES];
    size_t n = 0;
    for (uint32_t r = 0; r < CLUSTER_RES; r++) {
        if (total[r] > 0) {
            pools[n++] = (struct hq_pool){
                .name = hq_str_from(res_names[r]), .kind = HQ_POOL_SUM, .sum = (hq_amount)total[r]};
        }
    }
    struct input in = {.kind = INPUT_REGISTER};
    in.u.reg = (struct input_register){.handle = ++c->handle, .next_turn_seq = 1};
    memcpy(in.u.reg.incarnation, &c->node_count, sizeof(c->node_count));
    in.u.reg.config = (struct worker_config){.hostname = HQ_STR("n"),
                                             .group = HQ_STR("default"),
                                             .heartbeat_ms = HEARTBEAT_MS,
                                             .pools = {.v = pools, .count = n}};
    c->nodes = hq_xrealloc(c->nodes, c->node_count + 1, sizeof(struct node *));
    c->nodes[c->node_count] = node_create(c, c->node_count, total);
    c->node_count++;
    give(c, &in);
    node_send(c->nodes[c->node_count - 1], false);
}

static size_t
put_entries(const struct cluster_job *job, const int64_t *amount, struct hq_request_entry *ret)
{
    size_t n = 0;
    for (uint32_t r = 0; r < CLUSTER_RES && job->nodes == 0; r++) {
        bool is_all = amount[r] == CLUSTER_ALL;
        if (amount[r] != 0) {
            ret[n++] = (struct hq_request_entry){.name = hq_str_from(res_names[r]),
                                                 .policy = is_all ? HQ_POLICY_ALL : job->policy,
                                                 .amount = is_all ? 0 : (hq_amount)amount[r]};
        }
    }
    return n;
}

uint32_t
cluster_submit(struct cluster *c, const struct cluster_job *job)
{
    static const struct hq_str args[] = {{.ptr = "true", .len = 4}};
    struct hq_request_entry e[2][CLUSTER_RES];
    struct hq_variant v[2] = {{.entries = e[0], .weight_x10000 = 10000, .n_nodes = job->nodes},
                              {.entries = e[1], .weight_x10000 = 10000}};
    v[0].entry_count = put_entries(job, job->amount, e[0]);
    v[1].entry_count = put_entries(job, job->other, e[1]);
    struct task_desc d = {.args = args,
                          .arg_count = 1,
                          .crash_limit = 5,
                          .priority = job->priority,
                          .request = {.variants = v, .variant_count = v[1].entry_count > 0 ? 2 : 1}};
    struct submit_part part = {.descs = &d, .desc_count = 1};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = ++c->handle}};
    in.u.submit = (struct input_submit){.name = HQ_STR("j"), .parts = &part, .part_count = 1};
    uint32_t *ids = hq_xcalloc(job->count, sizeof(*ids));
    uint32_t *desc = hq_xcalloc(job->count, sizeof(*desc));
    if (job->dep_count == NULL) {
        in.u.submit.auto_count = job->count;
    } else {
        size_t total = 0;
        for (uint32_t i = 0; i < job->count; i++) {
            ids[i] = i;
            total += job->dep_count[i];
        }
        in.u.submit.is_graph = true;
        part.graph = (struct graph_tasks){.ids = ids,
                                          .desc = desc,
                                          .dep_count = job->dep_count,
                                          .count = job->count,
                                          .deps = job->deps,
                                          .dep_total = total};
    }
    HQ_ASSERT(c->job_count < CLUSTER_JOBS_MAX);
    c->jobs[c->job_count++] = *job;
    give(c, &in);
    free(ids);
    free(desc);
    return c->job_count;
}
