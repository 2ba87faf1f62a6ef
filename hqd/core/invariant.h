/* invariant.h - checks of the whole state, for tests and the simulator.
 *
 * Purpose    what must hold between any two inputs, counted anew from the tasks: counters, queues, bookings.
 * Errors     false, with the first violation in `out`.
 * Cost       O(everything): never in the daemon's loop.
 */
#ifndef HQ_HQD_CORE_INVARIANT_H
#define HQ_HQD_CORE_INVARIANT_H

#include "hqd/core/core.h"

bool invariant_check(const struct core *core, struct hq_buf *out);

#endif
