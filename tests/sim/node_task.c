/* A simulated worker's tasks: lengths and fates, starts and ends, commands carried out. */
#include "tests/sim/node_impl.h"

#include "hqd/core/idlist.h"
#include "tests/sim/check.h"

#include <stdio.h>
#include <stdlib.h>

#define REPORT_START_MS 3 /* shorter tasks are reported by their end alone */

/* ---- tasks and their fate */
static uint64_t
mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

hq_ms
node_task_ms(const struct world *w, uint32_t job, uint32_t task)
{
    uint64_t h = mix(w->seed * 31 + hq_map_key2(job, task));
    switch (mix(w->seed + job) % 4) { /* jobs have a character */
    case 0:
        return (hq_ms)(h % 3);
    case 1:
        return (hq_ms)(h % 200);
    case 2:
        return (hq_ms)(h % 10 < 9 ? h % 400 : h % 8000);
    default:
        return (hq_ms)(h % 3000);
    }
}

bool
node_task_fails(const struct world *w, uint32_t job, uint32_t task)
{
    return mix(w->seed * 17 + hq_map_key2(task, job)) % 37 == 0;
}

void
node_add_item(struct items *l, struct item it)
{
    hq_xgrow(&l->v, &l->cap, l->count + 1, sizeof(*l->v));
    l->v[l->count++] = it;
}

void
node_drop_held(struct node *n, size_t ix)
{
    if (n->held[ix].is_running) {
        n->free_x10000 += n->held[ix].cpus_x10000;
    }
    memmove(&n->held[ix], &n->held[ix + 1], (n->held_count - ix - 1) * sizeof(*n->held));
    n->held_count--;
}

struct item
node_item_of(const struct held *h, enum item_kind kind)
{
    return (struct item){.kind = kind,
                         .job = h->job,
                         .task = h->task,
                         .instance = h->instance,
                         .variant = h->variant,
                         .start_ms = h->start_ms};
}

static void
on_task_end(struct world *w, void *ctx, uint64_t run)
{
    struct node *n = ctx;
    for (size_t i = 0; i < n->held_count; i++) {
        struct held *h = &n->held[i];
        if (!h->is_running || h->run != run) {
            continue;
        }
        struct item it = node_item_of(h, node_task_fails(w, h->job, h->task) ? ITEM_FAILED : ITEM_FINISHED);
        if (h->has_ranks && mix(w->seed + run + h->task) % 5 == 0) {
            it.kind = ITEM_RETURNED; /* another node is gone, as far as this one can tell */
            it.reason = RETURN_REASON_NODE_LOST;
        }
        it.duration_ms = (uint64_t)(world_wall(w) - h->start_ms);
        node_add_item(&n->news, it);
        node_drop_held(n, i);
        node_pump(n);
        return;
    }
}

void
node_start_tasks(struct node *n)
{
    for (size_t i = 0; i < n->held_count && n->free_x10000 > 0 && n->state != NODE_LEAVING; i++) {
        struct held *h = &n->held[i];
        if (h->is_running || (int64_t)h->cpus_x10000 > n->free_x10000) {
            continue;
        }
        if (h->cpus_x10000 > 10000 && world_chance(n->w, 1, 60)) {
            struct item it = node_item_of(h, ITEM_RETURNED); /* no fitting set of cpus */
            it.reason = RETURN_REASON_REJECTED;
            node_add_item(&n->news, it);
            node_drop_held(n, i--);
            continue;
        }
        h->is_running = true;
        h->start_ms = world_wall(n->w);
        h->run = ++n->run_count;
        n->free_x10000 -= h->cpus_x10000;
        check_started(n->w, h->job, h->task, h->instance);
        hq_ms length_ms = node_task_ms(n->w, h->job, h->task);
        if (length_ms >= REPORT_START_MS) {
            node_add_item(&n->news, node_item_of(h, ITEM_STARTED));
        }
        world_at(n->w, n->w->now_ms + length_ms, on_task_end, n, h->run);
    }
}

/* ---- commands */
bool
node_is_member_of(const struct node *n, const uint32_t member[3])
{
    return n->is_member && memcmp(n->member, member, sizeof(n->member)) == 0;
}

static void
join(struct node *n, const struct reply_command *c)
{
    const uint32_t member[3] = {c->job, c->task, c->instance};
    if (node_is_member_of(n, member)) {
        return; /* said again after a registration */
    }
    if (hq_map_find(&n->bodies, hq_map_key2(c->job, c->desc_id)) == NULL) {
        world_fail(n->w, "worker %u joins without body %u of job %u", n->worker, c->desc_id, c->job);
    } else if (n->is_member || n->held_count > 0 || c->node_ix == 0 || c->node_ix >= c->node_count) {
        world_fail(n->w, "worker %u joins %u@%u as node %u of %u: member=%d, holds %zu tasks", n->worker, c->job,
                   c->task, c->node_ix, c->node_count, n->is_member, n->held_count);
    }
    n->is_member = true;
    memcpy(n->member, member, sizeof(member));
}

static void
leave(struct node *n, const struct reply_command *c)
{
    const uint32_t member[3] = {c->job, c->task, c->instance};
    n->is_member = n->is_member && !node_is_member_of(n, member);
}

static void
assign(struct node *n, const struct reply_command *c)
{
    uint64_t *cpus = hq_map_find(&n->bodies, hq_map_key2(c->job, c->desc_id));
    if (cpus == NULL) {
        world_fail(n->w, "worker %u: no body %u of job %u", n->worker, c->desc_id, c->job);
        return;
    }
    if (n->is_member) {
        world_fail(n->w, "worker %u: job %u assigned though it works for %u@%u", n->worker, c->job, n->member[0],
                   n->member[1]);
        return;
    }
    bool has_ranks = c->node_count > 1 && hq_map_find(&n->ranks, hq_map_key2(c->job, c->desc_id)) != NULL;
    check_entries(n->w, c);
    struct hq_ranges_iter it = hq_ranges_iter(&c->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        for (size_t i = 0; i < n->held_count; i++) {
            if (n->held[i].job == c->job && n->held[i].task == id) {
                world_fail(n->w, "worker %u: %u@%u assigned though it is held", n->worker, c->job, id);
                return;
            }
        }
        hq_xgrow(&n->held, &n->held_cap, n->held_count + 1, sizeof(*n->held));
        n->held[n->held_count++] =
            (struct held){.job = c->job,
                          .task = id,
                          .instance = c->instance,
                          .variant = c->variant,
                          .has_ranks = has_ranks,
                          .cpus_x10000 = c->node_count > 0 ? 0 : (uint32_t)(*cpus >> 32 * c->variant)};
    }
}

static void
take_back(struct node *n, const struct reply_command *c)
{
    for (size_t i = n->held_count; i > 0; i--) {
        const struct held *h = &n->held[i - 1];
        if (h->job != c->job || !hq_ranges_has(&c->ids, h->task)) {
            continue;
        }
        if (c->kind == COMMAND_CANCEL) {
            node_drop_held(n, i - 1);
        } else if (!h->is_running && h->instance == c->instance) {
            node_add_item(&n->news, node_item_of(h, ITEM_RETURNED));
            node_drop_held(n, i - 1);
        }
    }
    if (c->kind == COMMAND_CANCEL) {
        /* Nothing is reported about them any more. */
        size_t kept = 0;
        for (size_t i = 0; i < n->news.count; i++) {
            if (n->news.v[i].job != c->job || !hq_ranges_has(&c->ids, n->news.v[i].task)) {
                n->news.v[kept++] = n->news.v[i];
            }
        }
        n->news.count = kept;
    }
}

static void
on_dead(struct world *w, void *ctx, uint64_t arg)
{
    struct node *n = ctx;
    (void)arg;
    if (n->state == NODE_LEAVING) {
        node_kill(w, n, true); /* its last turn was not answered in time */
    }
}

void
node_leave(struct node *n, enum lost_reason reason)
{
    n->state = NODE_LEAVING;
    while (n->held_count > 0) {
        node_drop_held(n, n->held_count - 1);
    }
    node_send_turn(n, reason);
    world_at(n->w, n->w->now_ms + 5000, on_dead, n, 0);
}

void
node_carry_out(struct node *n, const struct reply *r)
{
    n->command_seq = r->command_seq;
    for (size_t i = 0; i < r->command_count && n->state == NODE_IN; i++) {
        const struct reply_command *c = &r->commands[i];
        switch (c->kind) {
        case COMMAND_BODY:
            hq_map_set(&n->bodies, hq_map_key2(c->job, c->desc_id), hq_map_key2(c->cpus_x10000[1], c->cpus_x10000[0]));
            if (c->has_ranks) {
                hq_map_set(&n->ranks, hq_map_key2(c->job, c->desc_id), 1);
            }
            break;
        case COMMAND_ASSIGN:
            assign(n, c);
            break;
        case COMMAND_RETRACT:
        case COMMAND_CANCEL:
            take_back(n, c);
            break;
        case COMMAND_STOP:
            node_leave(n, c->stop);
            break;
        case COMMAND_JOIN:
            join(n, c);
            break;
        case COMMAND_LEAVE:
            leave(n, c);
            break;
        case COMMAND_FORGET_JOB:
        case COMMAND_OVERVIEW:
        case COMMAND_STDIN_PART:
            break;
        }
    }
}
