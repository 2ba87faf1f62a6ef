/* worker.h - a worker: what it has, what was given to it.
 *
 * Purpose    bookkeeping that records drive: resources booked, tasks held. Who speaks with it is link.h and turn.h.
 *            Tasks of a class and variant on a worker are `placed` (resources are booked for them) or `queued` (ahead).
 *            Which is which is not known per task: when one ends, a queued one of its class takes its place, as the
 *            worker does it.
 *            What a worker holds is a list of ranges that only grows; a sweep drops what the pages no longer know as
 * held, each time twice as much is covered as is held: O(1) a task, whatever order they end in. Ownership core->workers
 * owns them.
 */
#ifndef HQ_HQD_CORE_WORKER_H
#define HQ_HQD_CORE_WORKER_H

#include "hqd/core/state.h"

struct worker *worker_create(struct core *core, const struct record_worker_connected *rec, hq_wall_ms at_ms);
void worker_free(struct core *core, struct worker *w);

struct worker_use *worker_use_find(struct worker *w, const struct cls *cls, uint32_t variant);
struct worker_use *worker_use_get(struct worker *w, struct cls *cls, uint32_t variant);
/* n more tasks: as many as fit are placed, the rest is queued. */
void worker_book(struct core *core, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n);
/* n tasks ended or went back; `running` of them were running. */
void worker_unbook(struct core *core, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n,
                   uint32_t running);
void worker_start(struct core *core, struct worker *w, struct cls *cls, uint32_t variant, uint32_t n);
/* The class is about to be freed. */
/* Something ends there: what was turned down for the lack of a fitting set of indices may fit now. */
void worker_unblock(struct worker *w);
void worker_forget_class(struct core *core, const struct cls *cls);

void worker_hold(struct core *core, struct worker *w, const struct job *job, uint32_t pos, uint32_t count);
/* w->ranges become exactly what it holds, sorted. */
void worker_sweep(const struct core *core, struct worker *w);

/* The next pass looks at it. */
void worker_dirty(struct core *core, struct worker *w);
/* May be given tasks. */
bool worker_is_ready(const struct worker *w);
/* It was heard of, or nobody asked; its connection stands. */
bool worker_is_reachable(const struct worker *w);
bool worker_is_idle(const struct worker *w);      /* nothing assigned, no part of a multi-node task */
uint32_t worker_assigned(const struct worker *w); /* those whose resources it holds */
/* The live multi-node task that another worker leads and this one works for; NULL = none. */
const struct gang *worker_membership(const struct core *core, const struct worker *w);
bool worker_has_ranks(const struct core *core, const struct worker *w); /* of that task */
/* A multi-node task begins or ends. */
void worker_gang_begin(struct core *core, struct job *job, const struct gang *gang);
void worker_gang_end(struct core *core, struct job *job, struct gang *gang);

#endif
