#include "tests/sim/cluster/node.h"

#include "common/mem.h"

#include <stdlib.h>

#define OPEN_TURNS_MAX 2u
#define LINGER_US 1000 /* with tasks in reserve news may gather for that long */

void
vtasks_add(struct vtasks *l, struct vtask *t)
{
    hq_xgrow(&l->v, &l->cap, l->count + 1, sizeof(struct vtask *));
    l->v[l->count++] = t;
}

struct node *
node_create(struct cluster *c, uint32_t ix, const int64_t *total)
{
    struct node *n = hq_xalloc(sizeof(*n));
    n->c = c;
    n->ix = ix;
    memcpy(n->total, total, sizeof(n->total));
    memcpy(n->free, total, sizeof(n->free));
    n->send = (struct event){.kind = EVENT_SEND, .node = n};
    for (uint32_t i = 0; i < CLUSTER_LANES; i++) {
        n->lanes[i].tail = &n->lanes[i].head;
    }
    return n;
}

static void
free_tasks(struct vtasks *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->v[i]);
    }
    free(l->v);
}

void
node_destroy(struct node *n)
{
    for (uint32_t i = 0; i < CLUSTER_LANES; i++) {
        while (n->lanes[i].head != NULL) {
            struct vtask *t = n->lanes[i].head;
            n->lanes[i].head = t->next;
            free(t);
        }
    }
    free(n->starts.v); /* they run, or are among the ends */
    free_tasks(&n->ends);
    free_tasks(&n->returns);
    free(n);
}

/* ---- tasks */
static const int64_t *
wants(const struct cluster_job *j, uint32_t variant)
{
    return variant == 0 ? j->amount : j->other;
}

/* Tasks of equal request wait in one lane: that of the first such job. */
static uint32_t
lane_of(const struct node *n, uint32_t job, uint32_t variant)
{
    const struct cluster_job *j = &n->c->jobs[job - 1];
    for (uint32_t i = 0; i < job - 1; i++) {
        const struct cluster_job *other = &n->c->jobs[i];
        if (other->nodes == j->nodes && memcmp(wants(other, variant), wants(j, variant), sizeof(j->amount)) == 0) {
            return 2 * i + variant;
        }
    }
    return 2 * (job - 1) + variant;
}

static int64_t
amount_of(const struct node *n, const struct vtask *t, uint32_t r)
{
    const struct cluster_job *j = &n->c->jobs[t->job - 1];
    int64_t amount = wants(j, t->variant)[r];
    return j->nodes > 0 ? 0 : amount == CLUSTER_ALL ? n->total[r] : amount;
}

static bool
has_room(const struct node *n, const struct vtask *t)
{
    for (uint32_t r = 0; r < CLUSTER_RES; r++) {
        if (n->free[r] < amount_of(n, t, r)) {
            return false;
        }
    }
    return true;
}

void
node_touch_busy(struct node *n)
{
    n->busy += (double)(n->total[0] - n->free[0]) * (double)(n->c->now_us - n->busy_at_us);
    n->busy_at_us = n->c->now_us;
}

static void
book(struct node *n, const struct vtask *t, int64_t sign)
{
    node_touch_busy(n);
    for (uint32_t r = 0; r < CLUSTER_RES; r++) {
        n->free[r] -= sign * amount_of(n, t, r);
    }
}

static void
start_next(struct node *n, uint32_t lane)
{
    struct lane *l = &n->lanes[lane];
    struct vtask *t = l->head;
    const struct cluster_job *j = &n->c->jobs[t->job - 1];
    l->head = t->next;
    if (l->head == NULL) {
        l->tail = &l->head;
    }
    n->waiting--;
    book(n, t, 1);
    t->start_us = n->c->now_us;
    t->end = (struct event){.kind = EVENT_TASK_END, .node = n};
    vtasks_add(&n->starts, t);
    cluster_at(n->c, t->start_us + (j->lengths_us != NULL ? j->lengths_us[t->task] : j->length_us), &t->end);
    if (n->c->on_start != NULL) {
        n->c->on_start(n->c->ctx, &(struct cluster_start){t->job, t->task, n->ix, t->start_us});
    }
}

static void
fill_lane(struct node *n, uint32_t lane)
{
    while (n->lanes[lane].head != NULL && has_room(n, n->lanes[lane].head)) {
        start_next(n, lane);
    }
}

static void
fill(struct node *n)
{
    for (uint32_t i = 0; i < 2 * n->c->job_count; i++) {
        fill_lane(n, i);
    }
}

void
node_end_task(struct vtask *t)
{
    struct node *n = t->end.node;
    uint32_t lane = lane_of(n, t->job, t->variant);
    t->end_us = n->c->now_us;
    vtasks_add(&n->ends, t);
    book(n, t, -1);
    if (n->lanes[lane].head != NULL) {
        start_next(n, lane); /* the next one of its kind takes its place */
    } else {
        fill(n);
    }
    node_send(n, false);
}

/* ---- messages */
void
node_send(struct node *n, bool has_waited)
{
    bool has_news = n->starts.count + n->ends.count + n->returns.count > 0;
    bool is_urgent = n->returns.count > 0 || (n->waiting == 0 && n->ends.count > 0);
    if (n->open_turns >= OPEN_TURNS_MAX || (n->open_turns > 0 && !has_news)) {
        return;
    }
    if (n->open_turns > 0 && !is_urgent && !has_waited) {
        if (!hq_heap_has(&n->send.heap)) {
            cluster_at(n->c, n->c->now_us + LINGER_US, &n->send);
        }
        return;
    }
    hq_heap_remove(&n->c->events, &n->send.heap);
    struct turn_message *m = hq_xalloc(sizeof(*m));
    m->event = (struct event){.kind = EVENT_TURN, .node = n};
    m->starts = n->starts;
    m->ends = n->ends;
    m->returns = n->returns;
    n->starts = n->ends = n->returns = (struct vtasks){0};
    m->turn_seq = ++n->turn_seq;
    m->ack_command_seq = n->command_seq;
    n->open_turns++;
    cluster_at(n->c, n->c->now_us + n->c->half_trip_us, &m->event);
}

static void
queue_tasks(struct node *n, const struct order *o)
{
    struct lane *l = &n->lanes[lane_of(n, o->job, o->variant)];
    struct hq_ranges_iter it = hq_ranges_iter(&o->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        struct vtask *t = hq_xalloc(sizeof(*t));
        t->job = o->job;
        t->task = id;
        t->instance = o->instance;
        t->variant = o->variant;
        *l->tail = t;
        l->tail = &t->next;
        n->waiting++;
    }
}

static void
give_back(struct node *n, const struct order *o, uint32_t variant)
{
    struct lane *l = &n->lanes[lane_of(n, o->job, variant)];
    l->tail = &l->head;
    for (struct vtask *t = l->head, *next; t != NULL; t = next) {
        next = t->next;
        if (t->job == o->job && t->instance == o->instance && hq_ranges_has(&o->ids, t->task)) {
            vtasks_add(&n->returns, t);
            n->waiting--;
            n->c->retracted++;
        } else {
            *l->tail = t;
            l->tail = &t->next;
        }
    }
    *l->tail = NULL;
}

void
node_take(struct node *n, struct answer_message *m)
{
    n->open_turns--;
    n->command_seq = HQ_MAX(n->command_seq, m->command_seq);
    for (size_t i = 0; i < m->order_count; i++) {
        if (m->orders[i].is_retract) {
            give_back(n, &m->orders[i], 0);
            give_back(n, &m->orders[i], 1);
        } else {
            queue_tasks(n, &m->orders[i]);
            fill_lane(n, lane_of(n, m->orders[i].job, m->orders[i].variant)); /* in the order of the commands */
        }
    }
    fill(n);
    node_send(n, false);
}
