/* reserve.h - nobody waits for ever: workers kept free for what needs much at once.
 *
 * Purpose    multi-node tasks, tasks that ask for all of something (from their second pass on), and every class that was passed over for more than
 *            RESERVE_AFTER_MS and ten times the mean task of a worker get a reservation, one at a time per group: what is
 *            queued ahead there is taken back, nothing of the same or a lower priority starts there. It begins at the
 *            latest when the longest task that runs there has ended.
 * Ownership  reservations live for one pass; each pass makes them anew, of the same workers while that makes sense.
 * Cost       O(workers) for each class that waits for one; nothing without such classes.
 */
#ifndef HQ_HQD_SCHED_RESERVE_H
#define HQ_HQD_SCHED_RESERVE_H

#include "hqd/sched/pass.h"

#define RESERVE_AFTER_MS 60000
#define RESERVE_TASKS 10 /* or that many times what a task of the worker takes */

/* Clears the reservations of the last pass. True when some class may need one: then all workers are looked at. */
bool reserve_begin(struct core *core, hq_ms now_ms);
/* Classes of one priority, active[from .. to), before others of it are placed: starts multi-node tasks, places one task of
 * each class that was passed over, or reserves. Classes may leave the list: their last task has started. */
void reserve_level(struct pass *p, uint32_t from, uint32_t to);
/* The class may get a reservation: of several nodes, of all of something, or passed over for too long. */
bool reserve_is_wanted(const struct cls *cls, hq_ms now_ms);
/* Tasks of the class were given out: it waits anew. */
void reserve_note_progress(struct cls *cls, hq_ms now_ms);

#endif
