/* join.h - workers that register: new ones, and those that come back with what they hold.
 *
 * Purpose    a worker that comes back (hqd was restarted, or lost its session) says what it holds. What hqd knows the
 * same way stays; what hqd gave to others or ended meanwhile is dropped by the worker; what hqd believed there and the
 * worker neither holds nor reports in its first turn after that is given anew.
 */
#ifndef HQ_HQD_CORE_JOIN_H
#define HQ_HQD_CORE_JOIN_H

#include "hqd/core/state.h"

void join_on_register(struct ctx *ctx, const struct input *in);
/* The first turn after a return has told everything. */
void join_settle(struct ctx *ctx, struct worker *w);

#endif
