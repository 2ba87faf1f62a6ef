/* check.h - what must hold in every run, whatever breaks.
 *
 * Purpose    one final record per task; no instance number started twice; what was told to a client or a worker as durable
 *            is in the journal after every crash; entries belong to their tasks; everything ends when all is well again.
 *            (Invariants of the state and equality of replays are checked by world.c at every step.)
 */
#ifndef HQ_TESTS_SIM_CHECK_H
#define HQ_TESTS_SIM_CHECK_H

#include "tests/sim/world.h"

struct check *check_create(void);
void check_destroy(struct check *c);
void check_record(struct world *w, const struct record *rec);
/* The journal lost its end: what was promised must still be there. */
void check_truncated(struct world *w);
void check_started(struct world *w, uint32_t job, uint32_t task, uint32_t instance);
void check_entries(struct world *w, const struct reply_command *c);
/* A worker was told that hqd has this end on disk. */
void check_promised(struct world *w, uint32_t job, uint32_t task);
/* A client was told that its request made this job. */
void check_submitted(struct world *w, uint64_t request, uint32_t job);
/* All jobs have ended, and all nodes have left the tasks they worked for. */
bool check_is_done(struct world *w);
void check_print(struct world *w, struct hq_buf *out);

#endif
