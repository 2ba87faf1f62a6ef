/* link.h - turns that wait for an answer, and answers until they are acknowledged.
 *
 * Purpose    a turn is a long poll. The newest turn of a worker is held until there is something to say, a second one
 *            comes or a heartbeat has passed. An answer with commands is kept until the worker says that it has it, and
 * is given again, the same, to a repetition of its turn. Ownership  the worker owns its lists. Units      bytes are
 * estimates of the encoded size. Limits     one answer carries LINK_ANSWER_BYTES (HQ_PAGE_BYTES), or one command that
 * is larger.
 */
#ifndef HQ_HQD_CORE_LINK_H
#define HQ_HQD_CORE_LINK_H

#include "hqd/core/state.h"

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
