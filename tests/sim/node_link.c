/* A simulated worker's half of the protocol: turns, registrations, answers in order. */
#include "tests/sim/node_impl.h"

#include "hqd/core/idlist.h"
#include "tests/sim/check.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- turns */
void
node_free_turn(struct sent_turn *t)
{
    if (t != NULL && --t->refs == 0) {
        free(t->items.v);
        free(t);
    }
}

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

bool
node_is_cut(const struct node *n)
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
    if (w->core != NULL && !node_is_cut(n)) {
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
        g.turn.worker.v = t->worker; /* late copies still name the one they were of */
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
    node_free_turn(t);
    free(m);
}

void
node_post(struct node *n, struct sent_turn *t)
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

size_t
node_open_turns(const struct node *n)
{
    size_t open = 0;
    for (const struct sent_turn *t = n->turns; t != NULL; t = t->next) {
        open += !t->is_answered;
    }
    return open;
}

void
node_send_turn(struct node *n, enum lost_reason leaving)
{
    struct sent_turn *t = hq_xalloc(sizeof(*t));
    t->refs = 1;
    t->seq = ++n->turn_seq;
    t->worker = n->worker;
    t->ack_command_seq = n->command_seq;
    t->leaving = leaving;
    t->items = n->news;
    n->news = (struct items){0};
    if (n->is_split_due && t->items.count > 1 && leaving == LOST_NONE) {
        /* The first turn after a return says half of it; the rest follows in the next one. */
        size_t half = t->items.count / 2;
        for (size_t i = half; i < t->items.count; i++) {
            node_add_item(&n->news, t->items.v[i]);
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
    node_post(n, t);
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
    node_start_tasks(n);
    size_t open = node_open_turns(n);
    if (open == 0 || (open < 2 && n->news.count > 0)) {
        node_send_turn(n, LOST_NONE);
    }
}

void
node_pump(struct node *n)
{
    if (n->state == NODE_JOINING) {
        node_start_tasks(n);
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
    if (w->core != NULL && !node_is_cut(m->node)) {
        struct input in = {.kind = INPUT_REGISTER, .u.reg = m->reg};
        in.u.reg.handle = world_handle(w, &(struct asker){.node = m->node, .request = m->number});
        (void)world_give(w, &in);
    }
    hq_arena_fini(&m->arena);
    free(m);
}

void
node_post_join(struct node *n)
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
void
node_begin_join(struct node *n)
{
    struct items all = {0};
    n->state = NODE_JOINING;
    n->join_count++;
    while (n->turns != NULL) {
        struct sent_turn *t = n->turns;
        n->turns = t->next;
        for (size_t i = 0; i < t->items.count; i++) {
            node_add_item(&all, t->items.v[i]);
        }
        node_free_turn(t);
    }
    for (size_t i = 0; i < n->news.count; i++) {
        node_add_item(&all, n->news.v[i]);
    }
    free(n->news.v);
    n->news = all;
    for (size_t i = 0; i < n->early_count; i++) {
        reply_free(n->early[i]);
    }
    n->early_count = 0;
    n->is_split_due = world_chance(n->w, 1, 2);
    node_post_join(n);
}

void
node_on_registered(struct node *n, uint64_t number, const struct reply *r)
{
    if (n->state != NODE_JOINING || r->code < 0 || number != n->join_count || node_is_cut(n)) {
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
            node_drop_held(n, i - 1);
        }
    }
    if (is_other) {
        n->news.count = 0;
    }
    n->is_member = n->is_member && r->is_member && node_is_member_of(n, r->member);
    n->worker = r->worker;
    n->command_seq = r->next_command_seq - 1;
    n->state = NODE_IN;
    node_pump(n);
}

/* ---- answers */
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
    node_carry_out(n, r);
    for (size_t i = 0; i < n->early_count; i++) {
        if (n->early[i]->command_seq == n->command_seq + 1) {
            struct reply *next = n->early[i];
            n->early[i] = n->early[--n->early_count];
            node_carry_out(n, next);
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
        if (t->seq > ack) {
            at = &t->next;
            continue;
        }
        for (size_t i = 0; i < t->items.count; i++) {
            const struct item *it = &t->items.v[i];
            if (it->kind == ITEM_FINISHED || it->kind == ITEM_FAILED) {
                check_promised(n->w, it->job, it->task);
            }
        }
        t->items.count = 0; /* never said again, though its own answer may still be on its way */
        if (t->is_answered) {
            *at = t->next;
            node_free_turn(t);
        } else {
            at = &t->next;
        }
    }
}

void
node_on_reply(struct node *n, uint64_t turn_seq, struct reply *r)
{
    if (n->state == NODE_DEAD || node_is_cut(n)) {
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
            node_begin_join(n);
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
        node_pump(n);
    }
}

void
node_free_event(struct world_event *e)
{
    if (e->fn == turn_arrives) {
        struct message *m = e->ctx;
        node_free_turn(m->turn);
        free(m);
    } else if (e->fn == join_arrives) {
        struct join_message *m = e->ctx;
        hq_arena_fini(&m->arena);
        free(m);
    }
}
