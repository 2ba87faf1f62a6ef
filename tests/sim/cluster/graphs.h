/* graphs.h - makespan of random graphs of tasks against what can't be beaten. */
#ifndef HQ_TESTS_SIM_CLUSTER_GRAPHS_H
#define HQ_TESTS_SIM_CLUSTER_GRAPHS_H

#include "common/base.h"

/* Prints the distribution beside list scheduling by b-level and a random scheduler; 1 when ours is beyond its bounds. */
uint32_t graphs_run(uint64_t first_seed, uint32_t seeds);

#endif
