/* load.h - a client that asks for everything, and asks again when it hears nothing. */
#ifndef HQ_TESTS_SIM_LOAD_H
#define HQ_TESTS_SIM_LOAD_H

#include "tests/sim/world.h"

struct load *load_create(struct world *w);
void load_destroy(struct load *l);
/* One random request. */
void load_step(struct world *w);
/* Closes all open jobs: the end of a run. */
void load_close_all(struct world *w);
void load_on_reply(struct world *w, uint64_t request, const struct reply *r);
/* Requests without an answer. */
size_t load_waiting(const struct world *w);

#endif
