/* agent.c - life of the agent, bodies, and what hqd commands. */
#include "hq-workerd/core/agent_impl.h"

#include <stdlib.h>

#include "common/mem.h"

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

int
agent_reserve(struct agent *a, size_t count)
{
    return hq_try_grow(&a->fx, &a->fx_cap, a->fx_count + count, sizeof(*a->fx));
}

struct agent_fx *
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

/* ---- commands */

int
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
        return AGENT_GIVEN_BACK; /* hqd learns from our end that they did not start */
    }
    int rc = agent_reserve(a, 1);
    if (rc == 0 && indices_can_ever(a->indices, v)) {
        rc = agent_lane(a, v, &lane_ix);
    } else if (rc == 0) {
        rc = -ENOSPC;
    }
    if (rc < 0 && batch->hidden_id == 0) {
        rc = report_push_returned(a->conf.report, batch->body->job_id, batch->instance, batch->variant, REPORT_REJECTED,
                                  &batch->ids);
        return rc < 0 ? rc : AGENT_GIVEN_BACK;
    }
    if (rc < 0) {
        return rc;
    }
    if (v->min_time_ms > 0 && a->conf.life_end_ms != INT64_MAX) {
        batch->latest_start_ms = a->conf.life_end_ms - v->min_time_ms;
    }
    struct agent_fx *fx = agent_add(a, AGENT_FX_PUSH);
    fx->lane_ix = lane_ix;
    fx->batch = batch;
    owned = NULL;
    a->lanes[lane_ix]->waiting += count;
    agent_open_slots(a, lane_ix);
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
agent_on_end_hidden(struct agent *a, uint64_t hidden_id)
{
    struct lane_match match = {.any_job = true, .any_instance = true, .hidden_id = hidden_id};

    return agent_withdraw(a, &match, NULL, AGENT_FORGET, true);
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
    if (why != AGENT_FORGET && gone->hidden_id == 0) {
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
    agent_free_slot(a, slot_ix);
}

