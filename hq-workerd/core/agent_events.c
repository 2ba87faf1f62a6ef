/* agent_events.c - what launcher and clock bring. */
#include "hq-workerd/core/agent_impl.h"

#include "common/limits.h"

static struct report_task
event_task(const struct run_event *e)
{
    return (struct report_task){.job_id = e->job_id,
                                .task_id = e->task_id,
                                .instance = e->instance,
                                .variant = e->variant,
                                .started_ms = e->started_ms,
                                .ended_ms = e->ended_ms};
}

/* The event says that a task has left the lane. */
static void
slot_take_run(struct agent *a, struct slot *s, uint64_t serial)
{
    struct lane_info *l = a->lanes[s->lane_ix];

    if (s->serial == serial) {
        return;
    }
    s->serial = serial;
    s->deadline_ms = INT64_MAX;
    if (s->state == SLOT_FRESH) {
        s->state = SLOT_WORKING;
        l->fresh--;
    }
    HQ_ASSERT(l->waiting > 0);
    l->waiting--;
}

static void
agent_on_started(struct agent *a, struct slot *s, const struct run_event *e, hq_ms now_ms, hq_wall_ms now_wall_ms)
{
    struct report_task t = event_task(e);

    slot_take_run(a, s, e->serial);
    a->running++;
    if (e->time_limit_ms > 0) {
        hq_ms age_ms = HQ_MAX(now_wall_ms - e->started_ms, 0);
        if (__builtin_add_overflow(now_ms - age_ms, e->time_limit_ms, &s->deadline_ms)) {
            s->deadline_ms = INT64_MAX;
        }
        a->next_deadline_ms = HQ_MIN(a->next_deadline_ms, s->deadline_ms);
    }
    if (s->muted != e->serial && e->hidden_id == 0) {
        (void)!report_push_started(a->conf.report, &t); /* its end will tell */
    }
}

static int
agent_tell_end(struct agent *a, const struct run_event *e, const struct report_task *t)
{
    struct hq_range one = {.first = t->task_id, .count = 1, .step = 1};
    const struct hq_ranges ids = {.v = &one, .count = 1};

    switch (e->end) {
    case RUN_END_FINISHED:
        return report_push_finished(a->conf.report, t);
    case RUN_END_NODE_LOST:
        return report_push_returned(a->conf.report, t->job_id, t->instance, t->variant, REPORT_NODE_LOST, &ids);
    case RUN_END_FAILED:
        break;
    }
    return report_push_failed(a->conf.report, t, hq_str_make(e->error, e->error_len));
}

static void
agent_on_ended(struct agent *a, struct slot *s, const struct run_event *e)
{
    struct report_task t = event_task(e);

    if (s->serial == e->serial) {
        a->running--; /* it was started */
    } else {
        slot_take_run(a, s, e->serial);
    }
    if (s->muted != e->serial && e->hidden_id == 0) {
        (void)!agent_tell_end(a, e, &t); /* without memory hqd misses the end until the next Register; we go on */
    }
    s->deadline_ms = INT64_MAX;
    s->muted = 0;
}

static void
agent_on_idle(struct agent *a, struct slot *s, hq_wall_ms now_wall_ms)
{
    struct lane_info *l = a->lanes[s->lane_ix];

    if (s->state == SLOT_FRESH) {
        l->fresh--;
    }
    s->state = SLOT_RESTING;
    a->resting++;
    if (l->waiting > l->fresh) { /* nothing was taken although tasks wait: too late for the first of them? */
        (void)!agent_check_time(a, now_wall_ms); /* without memory the slot is tried again later */
    }
}

void
agent_on_event(struct agent *a, const struct run_event *e, hq_ms now_ms, hq_wall_ms now_wall_ms)
{
    HQ_ASSERT(e->slot_ix < a->slot_count);
    struct slot *s = &a->slots[e->slot_ix];

    HQ_ASSERT(s->state != SLOT_FREE);
    switch (e->kind) {
    case RUN_STARTED:
        agent_on_started(a, s, e, now_ms, now_wall_ms);
        break;
    case RUN_ENDED:
        agent_on_ended(a, s, e);
        break;
    case RUN_SLOT_IDLE:
        agent_on_idle(a, s, now_wall_ms);
        break;
    }
}

/* Slots that rest go on, or give their resources back; then other lanes get a turn. */
static void
agent_settle_slots(struct agent *a)
{
    bool any_closed = false;

    for (size_t i = 0; i < a->slot_count && a->resting > 0; i++) {
        struct slot *s = &a->slots[i];
        if (s->state != SLOT_RESTING || agent_reserve(a, 1) < 0) {
            continue;
        }
        struct lane_info *l = a->lanes[s->lane_ix];
        if (!a->is_paused && l->waiting > l->fresh) {
            agent_add(a, AGENT_FX_RESUME)->slot_ix = (uint32_t)i;
            s->state = SLOT_FRESH;
            l->fresh++;
            a->resting--;
        } else if (!a->is_paused || l->waiting == 0) {
            agent_add(a, AGENT_FX_CLOSE)->slot_ix = (uint32_t)i;
            agent_free_slot(a, (uint32_t)i);
            a->resting--;
            any_closed = true;
        }
    }
    if (any_closed) {
        agent_fill(a);
    }
}

/* hqd does not take our news: nothing new is started until there is room for what would come of it. */
static void
agent_check_report(struct agent *a)
{
    if (a->is_ending || agent_reserve(a, 1) < 0) {
        return;
    }
    if (!a->is_paused && report_is_full(a->conf.report)) {
        a->is_paused = true;
        (void)agent_add(a, AGENT_FX_PAUSE);
    } else if (a->is_paused && report_count(a->conf.report) < HQ_REPORT_EVENTS_MAX / 2 &&
               !report_is_full(a->conf.report)) {
        a->is_paused = false;
        (void)agent_add(a, AGENT_FX_GO);
        agent_fill(a);
    }
}

static void
agent_check_limits(struct agent *a, hq_ms now_ms)
{
    hq_ms next = INT64_MAX;

    if (now_ms < a->next_deadline_ms) {
        return;
    }
    for (size_t i = 0; i < a->slot_count; i++) {
        struct slot *s = &a->slots[i];
        if (s->state == SLOT_FREE || s->deadline_ms == INT64_MAX) {
            continue;
        }
        if (s->deadline_ms <= now_ms && agent_reserve(a, 1) == 0) {
            struct agent_fx *fx = agent_add(a, AGENT_FX_KILL);
            fx->slot_ix = (uint32_t)i;
            fx->serial = s->serial;
            fx->kill_why = RUN_WHY_TIME_LIMIT;
            s->deadline_ms = INT64_MAX;
        } else {
            next = HQ_MIN(next, s->deadline_ms);
        }
    }
    a->next_deadline_ms = next;
}

void
agent_on_time(struct agent *a, hq_ms now_ms)
{
    agent_check_limits(a, now_ms);
    agent_check_report(a);
    agent_settle_slots(a);
}

hq_ms
agent_next_ms(const struct agent *a)
{
    return a->next_deadline_ms;
}

struct hq_str
agent_value(const struct agent *a, const struct allocation_entry *e, uint32_t k)
{
    return indices_value(a->indices, e, k);
}

struct agent_numbers
agent_numbers(const struct agent *a)
{
    struct agent_numbers n = {.running = a->running, .slots = a->open_slots};

    for (size_t i = 0; i < a->lane_count; i++) {
        n.waiting += a->lanes[i]->waiting;
    }
    return n;
}
