/* agent.h - decisions of a worker: commands of hqd and ends of tasks in, effects for the launcher out.
 *
 * Purpose    tasks wait in lanes, one per resource request. A slot is an allocation with a task in it: as many are opened
 *            as resources allow; when a task ends, the next one of the lane takes over its very allocation (the launcher
 *            does that by itself and tells); a slot without work gives its resources back and other lanes get a turn.
 * Ownership  takes over batches and references of bodies; effects hand batches on. Allocations in effects are borrowed until
 *            AGENT_FX_CLOSE of the slot. The report belongs to the caller.
 * Threads    loop thread. Pure: effects are carried out by the shell, in order, before the next call.
 * Units      ms; `now_ms` monotonic, wall clock where said.
 * Errors     -ENOMEM; -EPROTO for commands that make no sense (with the reason).
 * Limits     HQ_SLOTS_MAX, HQ_LANES_MAX.
 */
#ifndef HQ_WORKERD_CORE_AGENT_H
#define HQ_WORKERD_CORE_AGENT_H

#include "hq-workerd/core/event.h"
#include "hq-workerd/core/indices.h"
#include "hq-workerd/core/lane.h"
#include "hq-workerd/core/report.h"

struct agent;

enum agent_fx_kind {
    AGENT_FX_PUSH = 1, /* lane_ix, batch */
    AGENT_FX_OPEN,     /* slot_ix, lane_ix, allocation */
    AGENT_FX_RESUME,   /* slot_ix */
    AGENT_FX_CLOSE,    /* slot_ix */
    AGENT_FX_WITHDRAW, /* match, why: take waiting tasks back, then agent_on_withdrawn */
    AGENT_FX_FIND,     /* match: running tasks, then agent_on_found for each */
    AGENT_FX_KILL,     /* slot_ix, serial, kill_why */
    AGENT_FX_PAUSE,    /* start nothing */
    AGENT_FX_GO,
};

enum agent_withdraw { /* what becomes of the tasks */
    AGENT_RETURN_RETRACTED = REPORT_RETRACTED, /* these three are told to hqd */
    AGENT_RETURN_REJECTED = REPORT_REJECTED,
    AGENT_RETURN_NO_TIME = REPORT_NO_TIME,
    AGENT_FORGET, /* nothing is said of them */
};

struct agent_fx {
    enum agent_fx_kind kind;
    uint32_t slot_ix;
    uint32_t lane_ix;
    uint64_t serial;
    enum run_why kill_why;
    enum agent_withdraw why;
    struct batch *batch;
    const struct allocation *allocation;
    struct lane_match match; /* its ids lie in `ids` */
    struct hq_ranges ids;
};

struct agent_conf {
    const struct hq_pools *pools;
    hq_wall_ms life_end_ms; /* INT64_MAX = no time limit */
    struct report *report;
};

HQ_MUST_CHECK int agent_create(struct agent **ret, const struct agent_conf *conf, struct hq_err *err);
void agent_destroy(struct agent *a); /* NULL is fine */

/* ---- commands of hqd */
HQ_MUST_CHECK int agent_on_body(struct agent *a, struct body *body); /* takes over the reference; replaces an older one */
struct body *agent_find_body(const struct agent *a, uint32_t job_id, uint32_t desc_id);
#define AGENT_GIVEN_BACK 1 /* it cannot be queued here: hqd hears of it, or of our end */
/* `batch` has body, instance, variant, ids and entries; the agent takes it over, also on failure. */
HQ_MUST_CHECK int agent_on_assign(struct agent *a, struct batch *batch, struct hq_err *err);
HQ_MUST_CHECK int agent_on_retract(struct agent *a, uint32_t job_id, uint32_t instance, const struct hq_ranges *ids);
HQ_MUST_CHECK int agent_on_cancel(struct agent *a, uint32_t job_id, const struct hq_ranges *ids);
/* The same for one instance: hqd does not want them from this worker. */
HQ_MUST_CHECK int agent_on_drop(struct agent *a, uint32_t job_id, uint32_t instance, const struct hq_ranges *ids);
void agent_on_forget_job(struct agent *a, uint32_t job_id);
/* Everything goes: waiting tasks are forgotten, running ones killed, nothing is told. `for_good`: and nothing starts. */
HQ_MUST_CHECK int agent_on_give_up(struct agent *a, bool for_good);
/* One hidden run, waiting or running. */
HQ_MUST_CHECK int agent_on_end_hidden(struct agent *a, uint64_t hidden_id);
/* hqd is gone for good: start no more, running ones may end. */
HQ_MUST_CHECK int agent_on_finish_running(struct agent *a);

/* ---- what the shell found when it carried effects out */
void agent_on_withdrawn(struct agent *a, uint32_t lane_ix, enum agent_withdraw why, const struct lane_gone *gone);
void agent_on_found(struct agent *a, uint32_t slot_ix, uint64_t serial);
/* A slot could not be opened (no memory): its resources are free again. */
void agent_on_open_failed(struct agent *a, uint32_t slot_ix);

/* ---- launcher and time */
void agent_on_event(struct agent *a, const struct run_event *e, hq_ms now_ms, hq_wall_ms now_wall_ms);
/* After each batch of events or commands, and at agent_next_ms: time limits, a full report, slots that rest. */
void agent_on_time(struct agent *a, hq_ms now_ms);
/* Tasks whose time request no longer fits are given back. */
HQ_MUST_CHECK int agent_check_time(struct agent *a, hq_wall_ms now_wall_ms);
hq_ms agent_next_ms(const struct agent *a); /* of the next time limit; INT64_MAX = none */

/* Effects since the last call; valid until the next call of this function. */
size_t agent_take_effects(struct agent *a, struct agent_fx **ret);

/* Label of a value in an allocation of an effect. */
struct hq_str agent_value(const struct agent *a, const struct allocation_entry *e, uint32_t k);

struct agent_numbers {
    uint32_t running;   /* tasks that have started and not ended, muted ones too */
    uint64_t waiting;   /* tasks in lanes, as far as we were told */
    uint32_t slots;     /* open */
};
struct agent_numbers agent_numbers(const struct agent *a);

#endif
