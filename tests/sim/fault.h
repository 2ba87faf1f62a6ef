/* fault.h - what goes wrong, by the kinds that are on. */
#ifndef HQ_TESTS_SIM_FAULT_H
#define HQ_TESTS_SIM_FAULT_H

#include "tests/sim/world.h"

/* Perhaps one fault, perhaps none. */
void fault_step(struct world *w);
/* Everything works again: hqd runs, the disk too, workers that can run all classes are there. */
void fault_heal(struct world *w);

#endif
