/* world_impl.h - inside of the simulated world; for world.c, world_hqd.c and reply_sim.c only. */
#ifndef HQ_TESTS_SIM_WORLD_IMPL_H
#define HQ_TESTS_SIM_WORLD_IMPL_H

#include "tests/sim/world.h"

/* ---- reply_sim.c */
struct reply *reply_copy_turn(const struct turn_answer *t);
struct reply *reply_copy_registered(const struct registered *g);
struct reply *reply_copy_answer(const struct answer *a);
/* Takes the reply over; the network may lose it. */
void reply_send(struct world *w, uint64_t handle, struct reply *r);
void reply_deliver(struct world *w, void *ctx, uint64_t handle); /* the event's function */

/* ---- world_hqd.c */
void world_drop_parcels(struct world *w);

#endif
