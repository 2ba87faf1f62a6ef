/* agent.c - lanes, slots and what to do next. */
#include "hq-workerd/core/agent.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/map.h"
#include "common/mem.h"

enum slot_state {
    SLOT_FREE = 0,
    SLOT_FRESH,   /* opened or resumed, nothing heard of it yet */
    SLOT_WORKING, /* has started a task since */
    SLOT_RESTING, /* idle while launching is paused */
};

struct slot {
    enum slot_state state;
    uint32_t lane_ix;
    uint32_t next_free; /* SLOT_FREE: list of free slots, UINT32_MAX = end */
    struct allocation *allocation;
    uint64_t serial;      /* of the run that is in it; 0 = none that we know */
    uint64_t muted;       /* nothing is told of this run */
    hq_ms deadline_ms;    /* of the run; INT64_MAX = none */
};

struct lane_info {
    struct hq_arena arena;
    struct hq_variant variant; /* entries lie in the arena */
    bool is_used;
    uint64_t waiting; /* pushed and neither started nor withdrawn, as far as we were told */
    uint32_t slots;
    uint32_t fresh;
};

struct agent {
    struct agent_conf conf;
    struct indices *indices;
    struct hq_map bodies;  /* job, desc -> struct body */
    struct hq_map of_job;  /* job -> first struct body */
    struct lane_info **lanes;
    size_t lane_count, lane_cap;
    struct slot *slots;
    size_t slot_count, slot_cap;
    uint32_t free_slot;
    uint32_t open_slots;
    uint32_t resting;
    uint32_t running;
    hq_ms next_deadline_ms; /* not later than the earliest one */
    struct agent_fx *fx;
    size_t fx_count, fx_cap;
    struct agent_fx *taken; /* handed out: their ids are freed with the next ones */
    size_t taken_count, taken_cap;
    bool is_paused;
    bool is_ending;
};

int
agent_create(struct agent **ret, const struct agent_conf *conf, struct hq_err *err)
{
    struct agent *a = hq_try_alloc(sizeof(*a));

    if (a == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot create the agent");
    }
    int rc = indices_create(&a->indices, conf->pools, err);
    if (rc < 0) {
        free(a);
        return rc;
    }
    a->conf = *conf;
    hq_map_init(&a->bodies, 1);
    hq_map_init(&a->of_job, 2);
    a->free_slot = UINT32_MAX;
    a->next_deadline_ms = INT64_MAX;
    *ret = a;
    return 0;
}

void
agent_destroy(struct agent *a)
{
    if (a == NULL) {
        return;
    }
    uint64_t key, value;
    for (size_t it = 0; hq_map_next(&a->bodies, &it, &key, &value);) {
        body_unref((struct body *)(uintptr_t)value);
    }
    hq_map_fini(&a->bodies);
    hq_map_fini(&a->of_job);
    for (size_t i = 0; i < a->fx_count; i++) {
        batch_unref(a->fx[i].batch);
        hq_ranges_fini(&a->fx[i].ids);
    }
    for (size_t i = 0; i < a->taken_count; i++) {
        hq_ranges_fini(&a->taken[i].ids);
    }
    for (size_t i = 0; i < a->slot_count; i++) {
        free(a->slots[i].allocation);
    }
    for (size_t i = 0; i < a->lane_count; i++) {
        hq_arena_fini(&a->lanes[i]->arena);
        free(a->lanes[i]);
    }
    indices_destroy(a->indices);
    free(a->lanes);
    free(a->slots);
    free(a->fx);
    free(a->taken);
    free(a);
}

size_t
agent_take_effects(struct agent *a, struct agent_fx **ret)
{
    for (size_t i = 0; i < a->taken_count; i++) {
        hq_ranges_fini(&a->taken[i].ids);
    }
    struct agent_fx *empty = a->taken;
    size_t empty_cap = a->taken_cap;
    a->taken = a->fx;
    a->taken_count = a->fx_count;
    a->taken_cap = a->fx_cap;
    a->fx = empty;
    a->fx_count = 0;
    a->fx_cap = empty_cap;
    for (size_t i = 0; i < a->taken_count; i++) {
        a->taken[i].match.ids = a->taken[i].match.has_ids ? &a->taken[i].ids : NULL;
    }
    *ret = a->taken;
    return a->taken_count;
}

/* Room for effects is made first, so that nothing changes without memory. */
static int
agent_reserve(struct agent *a, size_t count)
{
    return hq_try_grow(&a->fx, &a->fx_cap, a->fx_count + count, sizeof(*a->fx));
}

static struct agent_fx *
agent_add(struct agent *a, enum agent_fx_kind kind)
{
    HQ_ASSERT(a->fx_count < a->fx_cap);
    struct agent_fx *fx = &a->fx[a->fx_count++];
    *fx = (struct agent_fx){.kind = kind};
    return fx;
}

/* ---- bodies */

int
agent_on_body(struct agent *a, struct body *body)
{
    uint64_t key = hq_map_key2(body->job_id, body->desc_id);
    struct body *old = hq_map_get_ptr(&a->bodies, key);

    if (old != NULL) { /* the same again, after hqd has lost track of what we have: the present one is as good */
        body_unref(body);
        return 0;
    }
    int rc = hq_map_try_set(&a->bodies, key, (uint64_t)(uintptr_t)body);
    if (rc == 0) {
        body->next_of_job = hq_map_get_ptr(&a->of_job, body->job_id);
        rc = hq_map_try_set(&a->of_job, body->job_id, (uint64_t)(uintptr_t)body);
        if (rc < 0) {
            (void)hq_map_del(&a->bodies, key);
        }
    }
    if (rc < 0) {
        body_unref(body);
    }
    return rc;
}

struct body *
agent_find_body(const struct agent *a, uint32_t job_id, uint32_t desc_id)
{
    return hq_map_get_ptr(&a->bodies, hq_map_key2(job_id, desc_id));
}

void
agent_on_forget_job(struct agent *a, uint32_t job_id)
{
    struct body *b = hq_map_get_ptr(&a->of_job, job_id);

    (void)hq_map_del(&a->of_job, job_id);
    while (b != NULL) {
        struct body *next = b->next_of_job;
        (void)hq_map_del(&a->bodies, hq_map_key2(b->job_id, b->desc_id));
        body_unref(b);
        b = next;
    }
}

/* ---- lanes */

static bool
variant_eq(const struct hq_variant *x, const struct hq_variant *y)
{
    if ((x->n_nodes > 0) != (y->n_nodes > 0)) {
        return false;
    }
    if (x->n_nodes > 0) {
        return true; /* they book nothing here */
    }
    if (x->entry_count != y->entry_count) {
        return false;
    }
    for (size_t i = 0; i < x->entry_count; i++) {
        const struct hq_request_entry *e = &x->entries[i], *f = &y->entries[i];
        if (e->amount != f->amount || e->policy != f->policy || !hq_str_eq(e->name, f->name)) {
            return false;
        }
    }
    return true;
}

static void
lane_set_variant(struct lane_info *l, const struct hq_variant *v)
{
    struct hq_request in = {.variants = &l->variant, .variant_count = 1}, out = {0};

    hq_arena_reset(&l->arena);
    l->variant = *v;
    hq_request_copy(&out, &in, &l->arena);
    l->variant = out.variants[0];
    l->is_used = true;
}

/* The lane of a request; a lane that nobody uses is taken for a new one. */
static int
agent_lane(struct agent *a, const struct hq_variant *v, uint32_t *ret_ix)
{
    size_t unused = SIZE_MAX;

    for (size_t i = 0; i < a->lane_count; i++) {
        struct lane_info *l = a->lanes[i];
        if (l->is_used && variant_eq(&l->variant, v)) {
            *ret_ix = (uint32_t)i;
            return 0;
        }
        if (l->waiting == 0 && l->slots == 0) {
            unused = i;
        }
    }
    if (unused == SIZE_MAX) {
        if (a->lane_count >= HQ_LANES_MAX) {
            return -ENOSPC;
        }
        int rc = hq_try_grow(&a->lanes, &a->lane_cap, a->lane_count + 1, sizeof(*a->lanes));
        struct lane_info *l = rc == 0 ? hq_try_alloc(sizeof(*l)) : NULL;
        if (l == NULL) {
            return -ENOMEM;
        }
        hq_arena_init(&l->arena, 0);
        unused = a->lane_count;
        a->lanes[a->lane_count++] = l;
    }
    lane_set_variant(a->lanes[unused], v);
    *ret_ix = (uint32_t)unused;
    return 0;
}

/* ---- slots */

static int
agent_slot(struct agent *a, uint32_t *ret_ix)
{
    if (a->free_slot == UINT32_MAX) {
        if (a->slot_count >= HQ_SLOTS_MAX) {
            return -ENOSPC;
        }
        int rc = hq_try_grow(&a->slots, &a->slot_cap, a->slot_count + 1, sizeof(*a->slots));
        if (rc < 0) {
            return rc;
        }
        a->slots[a->slot_count] = (struct slot){.next_free = UINT32_MAX};
        a->free_slot = (uint32_t)a->slot_count++;
    }
    *ret_ix = a->free_slot;
    a->free_slot = a->slots[*ret_ix].next_free;
    return 0;
}

static void
slot_free(struct agent *a, uint32_t slot_ix)
{
    struct slot *s = &a->slots[slot_ix];
    struct lane_info *l = a->lanes[s->lane_ix];

    indices_give(a->indices, s->allocation);
    if (s->state == SLOT_FRESH) {
        l->fresh--;
    }
    l->slots--;
    a->open_slots--;
    *s = (struct slot){.next_free = a->free_slot};
    a->free_slot = slot_ix;
}

/* Opens slots of a lane while tasks wait that no fresh slot will take, and resources are there. */
static enum indices_take
lane_open_slots(struct agent *a, uint32_t lane_ix)
{
    struct lane_info *l = a->lanes[lane_ix];
    enum indices_take rc = INDICES_TAKEN;

    while (!a->is_paused && l->waiting > l->fresh) {
        struct allocation *allocation;
        uint32_t slot_ix;
        if (agent_reserve(a, 1) < 0) {
            return INDICES_NO_MEMORY;
        }
        rc = indices_take(a->indices, &l->variant, &allocation);
        if (rc != INDICES_TAKEN) {
            return rc;
        }
        if (agent_slot(a, &slot_ix) < 0) {
            indices_give(a->indices, allocation);
            return INDICES_NO_MEMORY;
        }
        a->slots[slot_ix] = (struct slot){
            .state = SLOT_FRESH, .lane_ix = lane_ix, .allocation = allocation, .deadline_ms = INT64_MAX};
        l->slots++;
        l->fresh++;
        a->open_slots++;
        struct agent_fx *fx = agent_add(a, AGENT_FX_OPEN);
        fx->slot_ix = slot_ix;
        fx->lane_ix = lane_ix;
        fx->allocation = allocation;
    }
    return rc;
}

static int
agent_withdraw(struct agent *a, const struct lane_match *match, const struct hq_ranges *ids, enum agent_withdraw why,
               bool with_running)
{
    int rc = agent_reserve(a, 2);

    if (rc < 0) {
        return rc;
    }
    for (int k = 0; k < (with_running ? 2 : 1); k++) {
        struct agent_fx *fx = agent_add(a, k == 0 ? AGENT_FX_WITHDRAW : AGENT_FX_FIND);
        fx->match = *match;
        fx->why = why;
        fx->match.ids = NULL; /* set when the effect is taken: it still moves */
        fx->match.has_ids = ids != NULL;
        for (size_t i = 0; ids != NULL && i < ids->count; i++) {
            hq_ranges_add(&fx->ids, ids->v[i].first, ids->v[i].count, ids->v[i].step);
        }
    }
    return 0;
}

/* Tasks of one lane that cannot be started as things are: back to hqd with the reason. */
static void
lane_reject(struct agent *a, uint32_t lane_ix)
{
    struct lane_match match = {.any_job = true, .any_instance = true, .has_lane = true, .lane_ix = lane_ix};

    (void)!agent_withdraw(a, &match, NULL, AGENT_RETURN_REJECTED, false); /* without memory they wait on */
}

/* Every lane with waiting tasks gets a chance; one that nothing serves and that the values left cannot serve is refused. */
static void
agent_fill(struct agent *a)
{
    for (size_t i = 0; i < a->lane_count && !a->is_paused; i++) {
        struct lane_info *l = a->lanes[i];
        if (l->waiting > l->fresh && lane_open_slots(a, (uint32_t)i) == INDICES_REFUSED && l->slots == 0) {
            lane_reject(a, (uint32_t)i);
        }
    }
}

/* ---- commands */

int
agent_on_assign(struct agent *a, struct batch *batch, struct hq_err *err)
{
    HQ_AUTO(batch_unrefp) struct batch *owned = batch;
    uint64_t count = hq_ranges_size(&batch->ids);
    uint32_t lane_ix = 0;

    if (batch->variant >= batch->body->request.variant_count) {
        return hq_err_set(err, -EPROTO, "Variant %u of %zu assigned", batch->variant, batch->body->request.variant_count);
    }
    const struct hq_variant *v = &batch->body->request.variants[batch->variant];
    if (count == 0 || a->is_ending) {
        return 0; /* hqd learns from our end that they did not start */
    }
    int rc = agent_reserve(a, 1);
    if (rc == 0 && indices_can_ever(a->indices, v)) {
        rc = agent_lane(a, v, &lane_ix);
    } else if (rc == 0) {
        rc = -ENOSPC;
    }
    if (rc < 0) {
        return report_push_returned(a->conf.report, batch->body->job_id, batch->instance, batch->variant, REPORT_REJECTED,
                                    &batch->ids);
    }
    if (v->min_time_ms > 0 && a->conf.life_end_ms != INT64_MAX) {
        batch->latest_start_ms = a->conf.life_end_ms - v->min_time_ms;
    }
    struct agent_fx *fx = agent_add(a, AGENT_FX_PUSH);
    fx->lane_ix = lane_ix;
    fx->batch = batch;
    owned = NULL;
    a->lanes[lane_ix]->waiting += count;
    if (lane_open_slots(a, lane_ix) == INDICES_REFUSED && a->lanes[lane_ix]->slots == 0) {
        lane_reject(a, lane_ix);
    }
    return 0;
}

int
agent_on_retract(struct agent *a, uint32_t job_id, uint32_t instance, const struct hq_ranges *ids)
{
    struct lane_match match = {.job_id = job_id, .instance = instance};

    return agent_withdraw(a, &match, ids, AGENT_RETURN_RETRACTED, false);
}

int
agent_on_cancel(struct agent *a, uint32_t job_id, const struct hq_ranges *ids)
{
    struct lane_match match = {.job_id = job_id, .any_instance = true};

    return agent_withdraw(a, &match, ids, AGENT_FORGET, true);
}

int
agent_on_drop(struct agent *a, uint32_t job_id, uint32_t instance, const struct hq_ranges *ids)
{
    struct lane_match match = {.job_id = job_id, .instance = instance};

    return agent_withdraw(a, &match, ids, AGENT_FORGET, true);
}

int
agent_on_give_up(struct agent *a, bool for_good)
{
    struct lane_match all = {.any_job = true, .any_instance = true};
    int rc = agent_reserve(a, 3);

    if (rc == 0 && for_good && !a->is_ending) {
        a->is_ending = true;
        a->is_paused = true;
        (void)agent_add(a, AGENT_FX_PAUSE);
    }
    return rc < 0 ? rc : agent_withdraw(a, &all, NULL, AGENT_FORGET, true);
}

int
agent_on_finish_running(struct agent *a)
{
    struct lane_match all = {.any_job = true, .any_instance = true};
    int rc = agent_reserve(a, 2);

    if (rc == 0 && !a->is_paused) {
        a->is_paused = true;
        (void)agent_add(a, AGENT_FX_PAUSE);
    }
    a->is_ending = true;
    return rc < 0 ? rc : agent_withdraw(a, &all, NULL, AGENT_FORGET, false);
}

int
agent_check_time(struct agent *a, hq_wall_ms now_wall_ms)
{
    struct lane_match late = {.any_job = true, .any_instance = true, .too_late_at_ms = now_wall_ms};

    return a->conf.life_end_ms == INT64_MAX ? 0 : agent_withdraw(a, &late, NULL, AGENT_RETURN_NO_TIME, false);
}

/* ---- answers of the shell */

void
agent_on_withdrawn(struct agent *a, uint32_t lane_ix, enum agent_withdraw why, const struct lane_gone *gone)
{
    struct lane_info *l = a->lanes[lane_ix];
    uint64_t count = hq_ranges_size(&gone->ids);

    HQ_ASSERT(l->waiting >= count);
    l->waiting -= count;
    if (why != AGENT_FORGET) {
        /* Without memory hqd hears nothing; it asks again, or learns from the next Register what we have. */
        (void)!report_push_returned(a->conf.report, gone->job_id, gone->instance, gone->variant, (enum report_reason)why,
                                    &gone->ids);
    }
}

void
agent_on_found(struct agent *a, uint32_t slot_ix, uint64_t serial)
{
    HQ_ASSERT(slot_ix < a->slot_count);
    a->slots[slot_ix].muted = serial;
    if (agent_reserve(a, 1) == 0) {
        struct agent_fx *fx = agent_add(a, AGENT_FX_KILL);
        fx->slot_ix = slot_ix;
        fx->serial = serial;
        fx->kill_why = RUN_WHY_CANCEL;
    }
}

void
agent_on_open_failed(struct agent *a, uint32_t slot_ix)
{
    slot_free(a, slot_ix);
}

/* ---- events */

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
    if (s->muted != e->serial) {
        (void)!report_push_started(a->conf.report, &t); /* its end will tell */
    }
}

static void
agent_on_ended(struct agent *a, struct slot *s, const struct run_event *e)
{
    struct report_task t = event_task(e);
    int rc = 0;

    if (s->serial == e->serial) {
        a->running--; /* it was started */
    } else {
        slot_take_run(a, s, e->serial);
    }
    if (s->muted != e->serial) {
        rc = e->end == RUN_END_FINISHED ? report_push_finished(a->conf.report, &t)
                                        : report_push_failed(a->conf.report, &t, hq_str_make(e->error, e->error_len));
    }
    (void)rc; /* without memory hqd misses the end until the next Register; we go on */
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
            slot_free(a, (uint32_t)i);
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
