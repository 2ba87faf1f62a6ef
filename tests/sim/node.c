#include "tests/sim/node.h"

#include "hqd/core/idlist.h"
#include "tests/sim/check.h"

#include <stdio.h>
#include <stdlib.h>

#define HEARTBEAT_MS 4000
#define RESEND_MS 1500 /* no answer to a turn that should have come by then; long polls: a heartbeat more */
#define TICK_MS 400
#define REPORT_START_MS 3 /* shorter tasks are reported by their end alone */

enum item_kind {
    ITEM_STARTED,
    ITEM_FINISHED,
    ITEM_FAILED,
    ITEM_RETURNED,
};

struct item { /* one piece of news */
    enum item_kind kind;
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    hq_wall_ms start_ms;
    uint64_t duration_ms;
    enum return_reason reason;
};

struct items {
    struct item *v;
    size_t count;
    size_t cap;
};

struct sent_turn { /* until hqd has it on disk */
    struct sent_turn *next;
    uint32_t refs;
    uint64_t seq;
    uint64_t ack_command_seq;
    struct items items;
    enum lost_reason leaving;
    bool is_unsettled;
    bool is_answered;
    hq_ms sent_ms;
};

struct held {
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    uint32_t cpus_x10000;
    bool is_running;
    hq_wall_ms start_ms;
    uint64_t run; /* number of this start: end events of others are stale */
};

enum node_state {
    NODE_JOINING,
    NODE_IN,
    NODE_LEAVING,
    NODE_DEAD,
};

struct node {
    struct world *w;
    uint32_t ix;
    uint64_t incarnation;
    char name[16];
    char group[16];
    uint32_t cpus;
    int64_t free_x10000;
    enum node_state state;
    uint32_t worker;
    uint64_t join_count;
    hq_ms join_ms; /* last registration sent */
    uint64_t turn_seq;
    uint64_t command_seq;
    struct sent_turn *turns; /* oldest first */
    struct items news;
    bool is_split_due; /* first turn after a return: may come in two halves */
    struct reply *early[4];
    size_t early_count;
    struct held *held;
    size_t held_count;
    size_t held_cap;
    uint64_t run_count;
    struct hq_map bodies; /* job, desc -> cpus */
    hq_ms cut_until_ms;
    bool is_pump_due;
    hq_ms time_limit_ms; /* 0 = none */
};

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

static void
add_item(struct items *l, struct item it)
{
    hq_xgrow(&l->v, &l->cap, l->count + 1, sizeof(*l->v));
    l->v[l->count++] = it;
}

static void
free_turn(struct sent_turn *t)
{
    if (t != NULL && --t->refs == 0) {
        free(t->items.v);
        free(t);
    }
}

static void pump(struct node *n);

static void
drop_held(struct node *n, size_t ix)
{
    if (n->held[ix].is_running) {
        n->free_x10000 += n->held[ix].cpus_x10000;
    }
    memmove(&n->held[ix], &n->held[ix + 1], (n->held_count - ix - 1) * sizeof(*n->held));
    n->held_count--;
}

static struct item
item_of(const struct held *h, enum item_kind kind)
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
        struct item it = item_of(h, node_task_fails(w, h->job, h->task) ? ITEM_FAILED : ITEM_FINISHED);
        it.duration_ms = (uint64_t)(world_wall(w) - h->start_ms);
        add_item(&n->news, it);
        drop_held(n, i);
        pump(n);
        return;
    }
}

static void
start_tasks(struct node *n)
{
    for (size_t i = 0; i < n->held_count && n->free_x10000 > 0 && n->state != NODE_LEAVING; i++) {
        struct held *h = &n->held[i];
        if (h->is_running || (int64_t)h->cpus_x10000 > n->free_x10000) {
            continue;
        }
        if (h->cpus_x10000 > 10000 && world_chance(n->w, 1, 60)) {
            struct item it = item_of(h, ITEM_RETURNED); /* no fitting set of cpus */
            it.reason = RETURN_REASON_REJECTED;
            add_item(&n->news, it);
            drop_held(n, i--);
            continue;
        }
        h->is_running = true;
        h->start_ms = world_wall(n->w);
        h->run = ++n->run_count;
        n->free_x10000 -= h->cpus_x10000;
        check_started(n->w, h->job, h->task, h->instance);
        hq_ms length_ms = node_task_ms(n->w, h->job, h->task);
        if (length_ms >= REPORT_START_MS) {
            add_item(&n->news, item_of(h, ITEM_STARTED));
        }
        world_at(n->w, n->w->now_ms + length_ms, on_task_end, n, h->run);
    }
}

/* ---- messages to hqd */
struct groups {
    struct tasks_started *started;
    struct tasks_finished *finished;
    struct task_failed *failed;
    struct tasks_returned *returned;
    struct input_turn turn;
};

static bool
same_group(const struct item *a, const struct item *b)
{
    return a->kind == b->kind && a->job == b->job && a->instance == b->instance && a->variant == b->variant &&
           a->reason == b->reason && a->kind != ITEM_FAILED;
}

/* May v[count] join the group v[0..count)? A set of ids has none twice. */
static bool
fits_group(const struct item *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (v[i].task == v[count].task) {
            return false;
        }
    }
    return same_group(&v[0], &v[count]);
}

/* Items of one group. */
static void
add_group(struct groups *g, const struct item *v, size_t count, struct hq_arena *arena)
{
    struct idlist ids = {.arena = arena};
    int64_t *started = hq_arena_array(arena, count, sizeof(*started));
    uint64_t *duration = hq_arena_array(arena, count, sizeof(*duration));
    hq_wall_ms last_ms = v[0].start_ms;
    for (size_t i = 0; i < count; i++) {
        idlist_add(&ids, v[i].task, 1, 1);
        started[i] = v[i].start_ms - last_ms;
        last_ms = v[i].start_ms;
        duration[i] = v[i].duration_ms;
    }
    struct task_times times = {.base_ms = v[0].start_ms, .started = started, .count = count};
    hq_job_id job = {v[0].job};
    switch (v[0].kind) {
    case ITEM_STARTED:
        g->started[g->turn.started_count++] = (struct tasks_started){
            .job = job, .instance = v[0].instance, .variant = v[0].variant, .ids = ids.r, .times = times};
        return;
    case ITEM_FINISHED:
        times.duration_ms = duration;
        g->finished[g->turn.finished_count++] = (struct tasks_finished){
            .job = job, .instance = v[0].instance, .variant = v[0].variant, .ids = ids.r, .times = times};
        return;
    case ITEM_FAILED:
        g->failed[g->turn.failed_count++] = (struct task_failed){.job = job,
                                                                 .task = v[0].task,
                                                                 .instance = v[0].instance,
                                                                 .started_ms = v[0].start_ms,
                                                                 .ended_ms = v[0].start_ms + (hq_wall_ms)duration[0],
                                                                 .error = HQ_STR("simulated")};
        return;
    case ITEM_RETURNED:
        g->returned[g->turn.returned_count++] =
            (struct tasks_returned){.job = job, .instance = v[0].instance, .ids = ids.r, .reason = v[0].reason};
        return;
    }
}

struct message {
    struct node *node;
    struct sent_turn *turn;
};

static bool
is_cut(const struct node *n)
{
    return n->w->now_ms < n->cut_until_ms;
}

static void
turn_arrives(struct world *w, void *ctx, uint64_t arg)
{
    struct message *m = ctx;
    struct sent_turn *t = m->turn;
    struct node *n = m->node;
    (void)arg;
    if (w->core != NULL && !is_cut(n)) {
        struct hq_arena arena;
        hq_arena_init(&arena, 0);
        size_t max = t->items.count + 1;
        struct groups g = {
            .started = hq_arena_array(&arena, max, sizeof(*g.started)),
            .finished = hq_arena_array(&arena, max, sizeof(*g.finished)),
            .failed = hq_arena_array(&arena, max, sizeof(*g.failed)),
            .returned = hq_arena_array(&arena, max, sizeof(*g.returned)),
        };
        for (size_t i = 0; i < t->items.count;) {
            size_t end = i + 1;
            while (end < t->items.count && fits_group(&t->items.v[i], end - i)) {
                end++;
            }
            add_group(&g, &t->items.v[i], end - i, &arena);
            i = end;
        }
        g.turn.handle = world_handle(w, &(struct asker){.node = n, .turn_seq = t->seq});
        g.turn.worker.v = n->worker;
        g.turn.turn_seq = t->seq;
        g.turn.ack_command_seq = t->ack_command_seq;
        g.turn.started = g.started;
        g.turn.finished = g.finished;
        g.turn.failed = g.failed;
        g.turn.returned = g.returned;
        g.turn.leaving = t->leaving;
        g.turn.is_unsettled = t->is_unsettled;
        g.turn.round_trip_us = 4000;
        (void)world_give(w, &(struct input){.kind = INPUT_TURN, .u.turn = g.turn});
        hq_arena_fini(&arena);
    }
    free_turn(t);
    free(m);
}

static void
post(struct node *n, struct sent_turn *t)
{
    for (int copies = world_is_repeated(n->w) ? 2 : 1; copies > 0; copies--) {
        hq_ms delay_ms = world_delay(n->w);
        if (delay_ms < 0) {
            continue;
        }
        struct message *m = hq_xalloc(sizeof(*m));
        *m = (struct message){.node = n, .turn = t};
        t->refs++;
        world_at(n->w, n->w->now_ms + delay_ms, turn_arrives, m, 0);
    }
    t->sent_ms = n->w->now_ms;
    if (n->w->is_verbose) {
        (void)printf("%8lld %s sends turn %llu, has command %llu\n", (long long)n->w->now_ms, n->name,
                     (unsigned long long)t->seq, (unsigned long long)n->command_seq);
    }
}

static size_t
open_turns(const struct node *n)
{
    size_t open = 0;
    for (const struct sent_turn *t = n->turns; t != NULL; t = t->next) {
        open += !t->is_answered;
    }
    return open;
}

static void
send_turn(struct node *n, enum lost_reason leaving)
{
    struct sent_turn *t = hq_xalloc(sizeof(*t));
    t->refs = 1;
    t->seq = ++n->turn_seq;
    t->ack_command_seq = n->command_seq;
    t->leaving = leaving;
    t->items = n->news;
    n->news = (struct items){0};
    if (n->is_split_due && t->items.count > 1 && leaving == LOST_NONE) {
        /* The first turn after a return says half of it; the rest follows in the next one. */
        size_t half = t->items.count / 2;
        for (size_t i = half; i < t->items.count; i++) {
            add_item(&n->news, t->items.v[i]);
        }
        t->items.count = half;
        t->is_unsettled = true;
    }
    n->is_split_due = false;
    struct sent_turn **end = &n->turns;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = t;
    post(n, t);
}

static void
on_pump(struct world *w, void *ctx, uint64_t arg)
{
    struct node *n = ctx;
    (void)w;
    (void)arg;
    n->is_pump_due = false;
    if (n->state != NODE_IN) {
        return;
    }
    start_tasks(n);
    size_t open = open_turns(n);
    if (open == 0 || (open < 2 && n->news.count > 0)) {
        send_turn(n, LOST_NONE);
    }
}

static void
pump(struct node *n)
{
    if (n->state == NODE_JOINING) {
        start_tasks(n);
    }
    if (!n->is_pump_due) {
        n->is_pump_due = true;
        world_at(n->w, n->w->now_ms + (hq_ms)hq_rng_below(&n->w->rng, 3), on_pump, n, 0);
    }
}

/* ---- registration */
static struct worker_config
config_of(const struct node *n, struct hq_arena *arena)
{
    struct hq_pool *pool = hq_arena_alloc(arena, sizeof(*pool));
    *pool = (struct hq_pool){.name = HQ_STR("cpus"), .kind = HQ_POOL_RANGE, .range_last = n->cpus - 1};
    return (struct worker_config){.hostname = hq_str_from(n->name),
                                  .group = hq_str_from(n->group),
                                  .heartbeat_ms = HEARTBEAT_MS,
                                  .time_limit_ms = n->time_limit_ms,
                                  .pools = {.v = pool, .count = 1}};
}

struct join_message {
    struct node *node;
    struct input_register reg;
    struct hq_arena arena;
    uint64_t number;
};

static void
join_arrives(struct world *w, void *ctx, uint64_t arg)
{
    struct join_message *m = ctx;
    (void)arg;
    if (w->core != NULL && !is_cut(m->node)) {
        struct input in = {.kind = INPUT_REGISTER, .u.reg = m->reg};
        in.u.reg.handle = world_handle(w, &(struct asker){.node = m->node, .request = m->number});
        (void)world_give(w, &in);
    }
    hq_arena_fini(&m->arena);
    free(m);
}

static void
post_join(struct node *n)
{
    hq_ms delay_ms = world_delay(n->w);
    n->join_ms = n->w->now_ms;
    if (delay_ms < 0) {
        return;
    }
    struct join_message *m = hq_xalloc(sizeof(*m));
    m->node = n;
    m->number = n->join_count;
    hq_arena_init(&m->arena, 0);
    m->reg = (struct input_register){.worker = {n->worker}, .next_turn_seq = n->turn_seq + 1};
    memcpy(m->reg.incarnation, &n->incarnation, sizeof(n->incarnation));
    m->reg.config = config_of(n, &m->arena);
    struct held_tasks *held = hq_arena_array(&m->arena, n->held_count + 1, sizeof(*held));
    for (size_t i = 0; i < n->held_count && n->worker != 0; i++) {
        const struct held *h = &n->held[i];
        struct idlist ids = {.arena = &m->arena};
        int64_t *started = hq_arena_array(&m->arena, 1, sizeof(*started));
        idlist_add(&ids, h->task, 1, 1);
        held[m->reg.held_count++] =
            (struct held_tasks){.job = {h->job},
                                .instance = h->instance,
                                .variant = h->variant,
                                .ids = ids.r,
                                .is_running = h->is_running,
                                .times = {.base_ms = h->start_ms, .started = started, .count = 1}};
    }
    m->reg.held = held;
    world_at(n->w, n->w->now_ms + delay_ms, join_arrives, m, 0);
}

/* Everything that hqd may not have is news again. */
static void
begin_join(struct node *n)
{
    struct items all = {0};
    n->state = NODE_JOINING;
    n->join_count++;
    while (n->turns != NULL) {
        struct sent_turn *t = n->turns;
        n->turns = t->next;
        for (size_t i = 0; i < t->items.count; i++) {
            add_item(&all, t->items.v[i]);
        }
        free_turn(t);
    }
    for (size_t i = 0; i < n->news.count; i++) {
        add_item(&all, n->news.v[i]);
    }
    free(n->news.v);
    n->news = all;
    for (size_t i = 0; i < n->early_count; i++) {
        reply_free(n->early[i]);
    }
    n->early_count = 0;
    n->is_split_due = world_chance(n->w, 1, 2);
    post_join(n);
}

void
node_on_registered(struct node *n, uint64_t number, const struct reply *r)
{
    if (n->state != NODE_JOINING || r->code < 0 || number != n->join_count || is_cut(n)) {
        return;
    }
    bool is_other = n->worker != 0 && n->worker != r->worker;
    for (size_t i = n->held_count; i > 0; i--) {
        const struct held *h = &n->held[i - 1];
        bool is_dropped = is_other;
        for (size_t k = 0; k < r->command_count; k++) {
            is_dropped = is_dropped || (r->commands[k].job == h->job && hq_ranges_has(&r->commands[k].ids, h->task));
        }
        if (is_dropped) {
            drop_held(n, i - 1);
        }
    }
    if (is_other) {
        n->news.count = 0;
    }
    n->worker = r->worker;
    n->command_seq = r->next_command_seq - 1;
    n->state = NODE_IN;
    pump(n);
}

/* ---- commands */
static void
assign(struct node *n, const struct reply_command *c)
{
    uint64_t *cpus = hq_map_find(&n->bodies, hq_map_key2(c->job, c->desc_id));
    if (cpus == NULL) {
        world_fail(n->w, "worker %u: no body %u of job %u", n->worker, c->desc_id, c->job);
        return;
    }
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
            drop_held(n, i - 1);
        } else if (!h->is_running && h->instance == c->instance) {
            add_item(&n->news, item_of(h, ITEM_RETURNED));
            drop_held(n, i - 1);
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

static void
leave(struct node *n, enum lost_reason reason)
{
    n->state = NODE_LEAVING;
    while (n->held_count > 0) {
        drop_held(n, n->held_count - 1);
    }
    send_turn(n, reason);
    world_at(n->w, n->w->now_ms + 5000, on_dead, n, 0);
}

static void
carry_out(struct node *n, const struct reply *r)
{
    n->command_seq = r->command_seq;
    for (size_t i = 0; i < r->command_count && n->state == NODE_IN; i++) {
        const struct reply_command *c = &r->commands[i];
        switch (c->kind) {
        case COMMAND_BODY:
            hq_map_set(&n->bodies, hq_map_key2(c->job, c->desc_id), hq_map_key2(c->cpus_x10000[1], c->cpus_x10000[0]));
            break;
        case COMMAND_ASSIGN:
            assign(n, c);
            break;
        case COMMAND_RETRACT:
        case COMMAND_CANCEL:
            take_back(n, c);
            break;
        case COMMAND_STOP:
            leave(n, c->stop);
            break;
        case COMMAND_FORGET_JOB:
        case COMMAND_OVERVIEW:
        case COMMAND_STDIN_PART:
            break;
        }
    }
}

/* In order of their numbers, whatever came first. */
static void
take_commands(struct node *n, struct reply *r)
{
    if (r->command_seq == 0 || r->command_seq <= n->command_seq) {
        return;
    }
    if (r->command_seq > n->command_seq + 1) {
        if (n->early_count < HQ_ARRAY_LEN(n->early)) {
            r->refs++;
            n->early[n->early_count++] = r;
        }
        return;
    }
    carry_out(n, r);
    for (size_t i = 0; i < n->early_count; i++) {
        if (n->early[i]->command_seq == n->command_seq + 1) {
            struct reply *next = n->early[i];
            n->early[i] = n->early[--n->early_count];
            carry_out(n, next);
            reply_free(next);
            i = (size_t)-1; /* look from the start again */
        }
    }
}

static void
forget_acked(struct node *n, uint64_t ack)
{
    struct sent_turn **at = &n->turns;
    while (*at != NULL) {
        struct sent_turn *t = *at;
        if (t->is_answered && t->seq <= ack) {
            for (size_t i = 0; i < t->items.count; i++) {
                const struct item *it = &t->items.v[i];
                if (it->kind == ITEM_FINISHED || it->kind == ITEM_FAILED) {
                    check_promised(n->w, it->job, it->task);
                }
            }
            *at = t->next;
            free_turn(t);
        } else {
            at = &t->next;
        }
    }
}

void
node_on_reply(struct node *n, uint64_t turn_seq, struct reply *r)
{
    if (n->state == NODE_DEAD || is_cut(n)) {
        return;
    }
    struct sent_turn *t = n->turns;
    while (t != NULL && t->seq != turn_seq) {
        t = t->next;
    }
    if (t == NULL || t->is_answered || n->state == NODE_JOINING) {
        return;
    }
    if (r->code == -EAGAIN) {
        return; /* to an older copy: the newest one will be answered */
    }
    if (r->code < 0) {
        if (n->state == NODE_IN) {
            begin_join(n);
        }
        return;
    }
    if (r->command_seq > n->command_seq + 1 && n->early_count == HQ_ARRAY_LEN(n->early)) {
        return; /* no room for one more that came too soon: as if it were lost */
    }
    t->is_answered = true;
    if (n->w->is_verbose) {
        (void)printf("%8lld %s gets answer to turn %llu: command %llu\n", (long long)n->w->now_ms, n->name,
                     (unsigned long long)turn_seq, (unsigned long long)r->command_seq);
    }
    if (n->state == NODE_LEAVING) {
        if (t->leaving != LOST_NONE) {
            n->state = NODE_DEAD;
        }
        return;
    }
    take_commands(n, r);
    forget_acked(n, r->ack_turn_seq);
    if (n->state == NODE_IN) {
        pump(n);
    }
}

/* ---- life */
static void
on_tick(struct world *w, void *ctx, uint64_t arg)
{
    struct node *n = ctx;
    (void)arg;
    if (n->state == NODE_DEAD) {
        return;
    }
    world_at(w, w->now_ms + TICK_MS, on_tick, n, 0);
    if (n->state == NODE_JOINING) {
        if (w->now_ms - n->join_ms > RESEND_MS) {
            post_join(n);
        }
        return;
    }
    for (struct sent_turn *t = n->turns; t != NULL; t = t->next) {
        bool is_newest = t->next == NULL;
        hq_ms wait_ms = is_newest ? HEARTBEAT_MS + RESEND_MS : RESEND_MS;
        if (!t->is_answered && w->now_ms - t->sent_ms > wait_ms) {
            post(n, t);
        }
    }
    if (n->state == NODE_IN) {
        pump(n);
    }
}

static void
on_time_limit(struct world *w, void *ctx, uint64_t arg)
{
    struct node *n = ctx;
    (void)arg;
    if (n->state == NODE_IN) {
        leave(n, LOST_TIME_LIMIT);
    } else if (n->state == NODE_JOINING) {
        node_kill(w, n, true);
    }
}

struct node *
node_add(struct world *w, uint32_t cpus, const char *group)
{
    struct node *n = hq_xalloc(sizeof(*n));
    n->w = w;
    n->ix = (uint32_t)w->node_count;
    n->incarnation = hq_rng_u64(&w->rng);
    n->cpus = cpus;
    n->free_x10000 = (int64_t)cpus * 10000;
    (void)snprintf(n->name, sizeof(n->name), "node%u", n->ix);
    (void)snprintf(n->group, sizeof(n->group), "%s", group);
    hq_map_init(&n->bodies, w->seed);
    hq_xgrow(&w->nodes, &w->node_cap, w->node_count + 1, sizeof(struct node *));
    w->nodes[w->node_count++] = n;
    if ((w->faults & LOAD_RICH) != 0 && !w->is_healing && world_chance(w, 1, 3)) {
        n->time_limit_ms = hq_rng_between(&w->rng, 2000, 60000);
        world_at(w, w->now_ms + n->time_limit_ms, on_time_limit, n, 0);
    }
    begin_join(n);
    world_at(w, w->now_ms + TICK_MS, on_tick, n, 0);
    return n;
}

static void
report_gone(struct world *w, void *ctx, uint64_t arg)
{
    const struct node *n = ctx;
    (void)arg;
    if (n->worker != 0) {
        (void)world_give(w, &(struct input){.kind = INPUT_PEER_GONE, .u.peer.worker = {n->worker}});
    }
}

void
node_kill(struct world *w, struct node *n, bool is_seen)
{
    n->state = NODE_DEAD;
    n->held_count = 0;
    if (is_seen) {
        world_at(w, w->now_ms + 1, report_gone, n, 0);
    }
}

void
node_cut(struct world *w, struct node *n, hq_ms for_ms)
{
    n->cut_until_ms = w->now_ms + for_ms;
    world_at(w, w->now_ms + 1, report_gone, n, 0);
}

void
node_destroy(struct node *n)
{
    while (n->turns != NULL) {
        struct sent_turn *t = n->turns;
        n->turns = t->next;
        free_turn(t);
    }
    for (size_t i = 0; i < n->early_count; i++) {
        reply_free(n->early[i]);
    }
    free(n->news.v);
    free(n->held);
    hq_map_fini(&n->bodies);
    free(n);
}

void
node_free_event(struct world_event *e)
{
    if (e->fn == turn_arrives) {
        struct message *m = e->ctx;
        free_turn(m->turn);
        free(m);
    } else if (e->fn == join_arrives) {
        struct join_message *m = e->ctx;
        hq_arena_fini(&m->arena);
        free(m);
    }
}

bool
node_is_alive(const struct node *n)
{
    return n->state == NODE_IN || n->state == NODE_JOINING;
}

uint32_t
node_worker(const struct node *n)
{
    return n->worker;
}

uint32_t
node_cpus(const struct node *n)
{
    return n->cpus;
}

void
node_print(const struct node *n, struct hq_buf *out)
{
    hq_buf_printf(out, "%s worker=%u state=%d cpus=%u held=%zu turns=%zu news=%zu\n", n->name, n->worker, (int)n->state,
                  n->cpus, n->held_count, open_turns(n), n->news.count);
}
