/* command.h - a pending order as the command that leaves now.
 *
 * Purpose    orders say what was decided by ids; descriptions, entries, hosts and keys are looked up when they leave, and
 *            again when an answer is repeated. What nobody needs any more does not leave.
 * Ownership  results point into the core's state, the order and the arena.
 * Threads    none.
 */
#ifndef HQ_HQD_CORE_COMMAND_H
#define HQ_HQD_CORE_COMMAND_H

#include "hqd/core/state.h"

#define COMMAND_STDIN_PART_BYTES (512u << 10)

/* False: its job or task ended meanwhile. */
bool command_make(const struct core *core, const struct worker *w, const struct pending *p, struct hq_arena *arena,
                  struct command *ret);
bool command_needs_job(enum command_kind kind); /* it is about a job that must be known */
/* What a description's tasks get of the submit's stdin. */
struct hq_str command_stdin(const struct task_desc *d, const struct submit *s);

#endif
