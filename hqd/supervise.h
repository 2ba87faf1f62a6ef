/* supervise.h - runs hq-allocd while there are allocation queues.
 *
 * Purpose    started with the first queue (or trial), started again when it dies: after a moment, then later and later.
 *            It loses nothing by dying: its state is ours.
 * Ownership  owns the child's pidfd.
 * Threads    loop thread; starting blocks until the child has executed hq-allocd (a few ms).
 * Units      ms.
 */
#ifndef HQ_HQD_SUPERVISE_H
#define HQ_HQD_SUPERVISE_H

#include <ev.h>

#include "common/id.h"
#include "common/proc.h"

struct shell;

struct supervise {
    struct shell *shell;
    const char *dir; /* instance directory; NULL = somebody else runs hq-allocd */
    struct hq_proc proc;
    struct ev_io watch;
    bool is_running;
    hq_ms started_ms;
    hq_ms next_ms; /* not started before */
    uint32_t quick_ends;
};

void supervise_init(struct supervise *v, struct shell *s, const char *dir);
void supervise_fini(struct supervise *v); /* ends the child */
/* Starts it when it is needed; returns when to be called again, INT64_MAX = no need. */
hq_ms supervise_progress(struct supervise *v, hq_ms now_ms);

#endif
