/* turn.h - turns of workers: sequence numbers, and what their news mean.
 *
 * Purpose    turn k + 1 is accepted once, whatever the network repeats; k + 2 that overtook it waits (one per worker);
 *            older ones get their old answer again. What a worker says of a task counts only if that worker holds that
 *            instance of it.
 */
#ifndef HQ_HQD_CORE_TURN_H
#define HQ_HQD_CORE_TURN_H

#include "hqd/core/state.h"

void turn_on_input(struct ctx *ctx, const struct input *in);

#endif
