/* agent_slots.c - which lane a request goes to, and how many of its tasks may run. */
#include "hq-workerd/core/agent_impl.h"

#include "common/limits.h"
#include "common/mem.h"

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

int
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

void
agent_free_slot(struct agent *a, uint32_t slot_ix)
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

/* Tasks of one lane that cannot be started as things are: back to hqd with the reason. */
static void
lane_reject(struct agent *a, uint32_t lane_ix)
{
    struct lane_match match = {.any_job = true, .any_instance = true, .has_lane = true, .lane_ix = lane_ix};

    (void)!agent_withdraw(a, &match, NULL, AGENT_RETURN_REJECTED, false); /* without memory they wait on */
}

/* Does something end that hqd gave up already? Its values are counted as free there, and not yet here. */
static bool
is_room_coming(const struct agent *a)
{
    for (size_t i = 0; i < a->slot_count; i++) {
        if (a->slots[i].state != SLOT_FREE && a->slots[i].muted != 0) {
            return true;
        }
    }
    return false;
}

void
agent_open_slots(struct agent *a, uint32_t lane_ix)
{
    if (lane_open_slots(a, lane_ix) == INDICES_REFUSED && a->lanes[lane_ix]->slots == 0 && !is_room_coming(a)) {
        lane_reject(a, lane_ix); /* the totals would do, the values left don't, and nobody here will make room for it */
    }
}

void
agent_fill(struct agent *a)
{
    for (uint32_t i = 0; i < a->lane_count && !a->is_paused; i++) {
        if (a->lanes[i]->waiting > a->lanes[i]->fresh) {
            agent_open_slots(a, i);
        }
    }
}
