/* lost.h - workers that end: told to stop, idle, gone, silent; and what becomes of their tasks.
 *
 * Purpose    spec/workers.md 4 and 12: a crash counts against the crash limit of what ran, an orderly end does not.
 */
#ifndef HQ_HQD_CORE_LOST_H
#define HQ_HQD_CORE_LOST_H

#include "hqd/core/state.h"

/* The worker is gone: record, tasks restarted or failed, open turns refused. */
void lost_declare(struct ctx *ctx, struct worker *w, enum lost_reason reason);
/* Its tasks only: of a worker that the journal knows as lost while records of its tasks were cut off. */
void lost_release(struct ctx *ctx, struct worker *w);
/* `root` gave these tasks of several ranks back, which it holds, because another node of theirs is gone: as if the worker
 * there were lost. */
void lost_node(struct ctx *ctx, struct worker *root, struct job *job, const struct hq_ranges *ids);
void lost_on_stop(struct ctx *ctx, const struct input *in);
void lost_on_peer_gone(struct ctx *ctx, const struct input *in);
void lost_on_peer_back(struct ctx *ctx, const struct input *in);
void lost_on_nonsense(struct ctx *ctx, const struct input *in);
/* Sets the timer of the next deadline: peer gone, told to stop, silent. */
void lost_watch(struct ctx *ctx, struct worker *w);
/* Starts, keeps or ends the idle clock. */
void lost_note_idle(struct ctx *ctx, struct worker *w);
/* A timer of the worker is due. */
void lost_on_timer(struct ctx *ctx, struct worker *w, enum timer_kind kind);

#endif
