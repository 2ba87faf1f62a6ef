/* A node of an allocation: takes what it is given, runs what fits, leaves when it has been idle or its time is over. */
#include "tests/sim/elastic_impl.h"

#include <stdio.h>

static struct eheld *
find(struct enode *n, uint32_t job, uint32_t task)
{
    for (size_t i = 0; i < n->held_count; i++) {
        if (n->held[i].job == job && n->held[i].task == task) {
            return &n->held[i];
        }
    }
    return NULL;
}

static void
drop(struct elastic *e, struct enode *n, struct eheld *h)
{
    if (h->is_running) {
        n->free_cpus += e->jobs[h->job - 1].cpus;
    }
    *h = n->held[--n->held_count];
}

static void
assign(struct enode *n, const struct command_assign *c)
{
    struct hq_ranges_iter it = hq_ranges_iter(&c->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        HQ_ASSERT(n->held_count < ELASTIC_HELD_MAX && find(n, c->job.v, id) == NULL);
        n->held[n->held_count++] =
            (struct eheld){.job = c->job.v, .task = id, .instance = c->instance, .variant = c->variant};
    }
}

static void
retract(struct elastic *e, struct enode *n, const struct command_tasks *c)
{
    struct hq_ranges_iter it = hq_ranges_iter(&c->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        struct eheld *h = find(n, c->job.v, id);
        if (h != NULL && !h->is_running && h->instance == c->instance && n->returned_count < ELASTIC_HELD_MAX) {
            n->returned[n->returned_count++] = *h;
            drop(e, n, h);
        }
    }
}

void
enode_take_turn(struct elastic *e, const struct turn_answer *t)
{
    for (uint32_t i = 0; i < e->node_count; i++) {
        struct enode *n = &e->nodes[i];
        if (n->worker != t->worker.v || n->worker == 0) {
            continue;
        }
        if (n->is_leaving) {
            return; /* what it held open is refused */
        }
        HQ_ASSERT(t->code == 0);
        n->command_seq = t->command_seq > 0 ? t->command_seq : n->command_seq;
        for (size_t k = 0; k < t->command_count; k++) {
            const struct command *c = &t->commands[k];
            if (c->kind == COMMAND_ASSIGN) {
                assign(n, &c->u.assign);
            } else if (c->kind == COMMAND_RETRACT) {
                retract(e, n, &c->u.tasks);
            }
        }
        return;
    }
}

/* What could not end any more before the node does goes back, as a worker does it. */
static void
start_tasks(struct elastic *e, struct enode *n)
{
    bool is_too_late = n->life_end_ms - e->now.wall_ms < ELASTIC_TASK_MS_MAX;
    for (size_t i = 0; i < n->held_count; i++) {
        struct eheld *h = &n->held[i];
        uint32_t cpus = e->jobs[h->job - 1].cpus;
        if (h->is_running) {
            continue;
        }
        if (is_too_late && n->returned_count < ELASTIC_HELD_MAX) {
            h->reason = RETURN_REASON_NO_TIME;
            n->returned[n->returned_count++] = *h;
            drop(e, n, h);
            i--;
        } else if (cpus <= n->free_cpus) {
            h->is_running = true;
            h->start_ms = e->now.wall_ms;
            h->end_ms = h->start_ms + elastic_task_ms(e, h->job, h->task);
            n->free_cpus -= cpus;
        }
    }
}

struct news {
    struct hq_range ids[3 * ELASTIC_HELD_MAX];
    int64_t zero;
    uint64_t lengths[ELASTIC_HELD_MAX];
    struct tasks_started started[ELASTIC_HELD_MAX];
    struct tasks_finished finished[ELASTIC_HELD_MAX];
    struct tasks_returned returned[ELASTIC_HELD_MAX];
};

static struct hq_ranges
one_id(struct hq_range *at, uint32_t id)
{
    *at = (struct hq_range){.first = id, .count = 1, .step = 1};
    return (struct hq_ranges){.v = at, .count = 1};
}

static void
tell_tasks(struct elastic *e, struct enode *n, struct news *m, struct input_turn *t)
{
    size_t ix = 0;
    for (size_t i = 0; i < n->held_count;) {
        struct eheld *h = &n->held[i];
        struct task_times times = {.base_ms = h->start_ms, .started = &m->zero, .count = 1};
        if (h->is_running && !h->is_told) {
            h->is_told = true;
            m->started[t->started_count++] = (struct tasks_started){.job = {h->job},
                                                                    .instance = h->instance,
                                                                    .variant = h->variant,
                                                                    .ids = one_id(&m->ids[ix++], h->task),
                                                                    .times = times};
        }
        if (!h->is_running || h->end_ms > e->now.wall_ms) {
            i++;
            continue;
        }
        m->lengths[t->finished_count] = (uint64_t)(h->end_ms - h->start_ms);
        times.duration_ms = &m->lengths[t->finished_count];
        e->used_ms += (h->end_ms - h->start_ms) * e->jobs[h->job - 1].cpus;
        m->finished[t->finished_count++] = (struct tasks_finished){.job = {h->job},
                                                                   .instance = h->instance,
                                                                   .variant = h->variant,
                                                                   .ids = one_id(&m->ids[ix++], h->task),
                                                                   .times = times};
        drop(e, n, h);
    }
    for (size_t i = 0; i < n->returned_count; i++) {
        const struct eheld *h = &n->returned[i];
        m->returned[t->returned_count++] = (struct tasks_returned){.job = {h->job},
                                                                   .instance = h->instance,
                                                                   .variant = h->variant,
                                                                   .ids = one_id(&m->ids[ix++], h->task),
                                                                   .reason = h->reason};
    }
    n->returned_count = 0;
}

static void
send_turn(struct elastic *e, struct enode *n, enum lost_reason leaving)
{
    static struct news m;
    struct input in = {.kind = INPUT_TURN};
    struct input_turn *t = &in.u.turn;
    *t = (struct input_turn){.handle = ++e->handle,
                             .worker = {n->worker},
                             .turn_seq = ++n->turn_seq,
                             .ack_command_seq = n->command_seq,
                             .started = m.started,
                             .finished = m.finished,
                             .returned = m.returned,
                             .round_trip_us = 300,
                             .leaving = leaving};
    tell_tasks(e, n, &m, t);
    elastic_step(e, &in);
}

void
enode_register(struct elastic *e, struct ealloc *a)
{
    struct hq_pool pool = {.name = HQ_STR("cpus"), .kind = HQ_POOL_RANGE, .range_last = ELASTIC_NODE_CPUS - 1};
    char id[16];
    struct input in = {.kind = INPUT_REGISTER};
    HQ_ASSERT(e->node_count < ELASTIC_NODES_MAX);
    uint32_t ix = e->node_count++;
    struct enode *n = &e->nodes[ix];
    *n = (struct enode){.worker = ix + 1, /* as the core counts them */
                        .alloc = a,
                        .life_end_ms = a == NULL ? INT64_MAX / 2 : e->now.wall_ms + a->time_limit_ms,
                        .busy_at_ms = e->now.wall_ms,
                        .free_cpus = ELASTIC_NODE_CPUS};
    in.u.reg = (struct input_register){.handle = ++e->handle, .next_turn_seq = 1, .started_ms = e->now.wall_ms};
    memcpy(in.u.reg.incarnation, &ix, sizeof ix);
    in.u.reg.config = (struct worker_config){.hostname = HQ_STR("n"),
                                             .group = HQ_STR("default"),
                                             .heartbeat_ms = 60000,
                                             .idle_timeout_ms = a == NULL ? 0 : ELASTIC_IDLE_MS,
                                             .is_idle_timeout_set = true,
                                             .pools = {.v = &pool, .count = 1}};
    if (a != NULL) {
        (void)snprintf(id, sizeof id, "%u", (uint32_t)(a - e->allocs) + 1);
        in.u.reg.config.time_limit_ms = a->time_limit_ms;
        in.u.reg.config.manager = WORKER_MANAGER_SLURM;
        in.u.reg.config.manager_job_id = hq_str_from(id);
    }
    elastic_step(e, &in);
    send_turn(e, n, LOST_NONE);
}

void
enode_live(struct elastic *e, struct enode *n)
{
    bool is_late = e->now.wall_ms >= n->life_end_ms;
    send_turn(e, n, LOST_NONE); /* what it has ended and started since; it takes what it is given */
    start_tasks(e, n);
    if (n->held_count > 0) {
        n->busy_at_ms = e->now.wall_ms;
    }
    bool is_idle = n->alloc != NULL && e->now.wall_ms - n->busy_at_ms >= ELASTIC_IDLE_MS;
    if (!is_late && !is_idle) {
        return;
    }
    n->is_leaving = true;
    send_turn(e, n, is_late ? LOST_TIME_LIMIT : LOST_IDLE);
    n->worker = 0;
    n->alloc->alive--;
}
