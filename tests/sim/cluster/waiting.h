/* waiting.h - how long anything waits that needs much at once, under endless streams of small tasks. */
#ifndef HQ_TESTS_SIM_CLUSTER_WAITING_H
#define HQ_TESTS_SIM_CLUSTER_WAITING_H

#include "common/base.h"

/* Prints a table; the number of worlds in which something waited longer than promised. */
uint32_t waiting_run(uint64_t first_seed, uint32_t seeds);

#endif
