/* link.h - what hqd wants to say to a worker: commands queued, sent, acknowledged; turns that wait for an answer.
 *
 * Purpose    a turn is a long poll. The newest turn of a worker is held until there is something to say, a second one
 *            comes or a heartbeat has passed. An answer with commands is kept until the worker says that it has it, and
 * is given again, the same, to a repetition of its turn. Ownership  the worker owns its lists. Units      bytes are
 * estimates of the encoded size. Limits     one answer carries LINK_ANSWER_BYTES (HQ_PAGE_BYTES), or one command that
 * is larger.
 */
#ifndef HQ_HQD_CORE_LINK_H
#define HQ_HQD_CORE_LINK_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

/* ---- commands; they leave with the next answer */
/* Positions must be of one description and instance. Puts the body in front when the worker lacks it. */
struct link_assign {
    struct job *job;
    uint32_t desc_id;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    bool is_gang;
    uint32_t gang_pos;
};
void link_assign(struct core *core, struct worker *w, const struct link_assign *a);
void link_retract(struct core *core, struct worker *w, hq_job_id job, uint32_t instance, const struct hq_ranges *ids);
void link_cancel(struct core *core, struct worker *w, hq_job_id job, const struct hq_ranges *ids);
void link_stop(struct core *core, struct worker *w, enum lost_reason reason);

/* ---- turns */
/* The turn waits for its answer; an older one is answered at the end of the loop turn. */
void link_hold(struct ctx *ctx, struct worker *w, uint64_t handle, uint64_t turn_seq);
void link_supersede(struct ctx *ctx, struct worker *w, uint64_t handle);
/* A repetition of turn `turn_seq`: the same answer again, or an empty one. */
void link_repeat(struct ctx *ctx, struct worker *w, uint64_t handle, uint64_t turn_seq);
void link_acked(struct worker *w, uint64_t command_seq);
void link_receipt(struct core *core, struct worker *w, uint64_t turn_seq);
/* End of a loop turn: everybody who has something to say. */
void link_talk(struct ctx *ctx);
/* The held turn has waited for a heartbeat. */
void link_heartbeat(struct ctx *ctx, struct worker *w);
/* Error to one handle: -ESTALE makes the worker register again. */
void link_refuse(struct ctx *ctx, hq_worker_id worker, uint64_t handle, int code, const char *text);
/* All open turns are refused (worker lost, or registered again). */
void link_refuse_open(struct ctx *ctx, struct worker *w);
/* The last answer of a worker that leaves: says that the turn is in the journal. */
void link_farewell(struct ctx *ctx, struct worker *w, uint64_t handle, uint64_t turn_seq);
/* Forgets commands, bodies, receipts, timers: the worker registers again or is gone. */
void link_clear(struct core *core, struct worker *w);

/* ---- timers */
void link_timer_set(struct core *core, struct worker *w, enum timer_kind kind, hq_ms at_ms);
void link_timer_clear(struct core *core, struct worker *w, enum timer_kind kind);

#endif
