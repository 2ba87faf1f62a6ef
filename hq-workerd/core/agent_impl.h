/* agent_impl.h - state shared by agent.c (life, bodies, commands), agent_slots.c (lanes and slots) and agent_events.c. */
#ifndef HQ_WORKERD_CORE_AGENT_IMPL_H
#define HQ_WORKERD_CORE_AGENT_IMPL_H

#include "common/map.h"
#include "hq-workerd/core/agent.h"

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

/* Room for effects is made first, so that nothing changes without memory. */
HQ_MUST_CHECK int agent_reserve(struct agent *a, size_t count);
struct agent_fx *agent_add(struct agent *a, enum agent_fx_kind kind); /* after agent_reserve */
HQ_MUST_CHECK int agent_withdraw(struct agent *a, const struct lane_match *match, const struct hq_ranges *ids,
                                 enum agent_withdraw why, bool with_running);
/* The lane of a request; a lane that nobody uses is taken for a new one. */
HQ_MUST_CHECK int agent_lane(struct agent *a, const struct hq_variant *v, uint32_t *ret_ix);
/* Opens slots of a lane while tasks wait that no fresh slot will take, and resources are there; refuses what cannot be. */
void agent_open_slots(struct agent *a, uint32_t lane_ix);
/* Every lane with waiting tasks gets a chance. */
void agent_fill(struct agent *a);
void agent_free_slot(struct agent *a, uint32_t slot_ix);

#endif
