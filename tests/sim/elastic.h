/* elastic.h - node-hours of allocations that come and go with the work, with and without compaction.
 *
 * Purpose    the core of hqd and the planner of hq-allocd over a working day in virtual time: allocations of several nodes wait
 *            in a batch queue, end when their nodes have been idle or their time is over, and are paid for node by node
 *            until their last node has left. No faults: what breaks is fault.c's.
 * Units      virtual ms; node-hours.
 */
#ifndef HQ_TESTS_SIM_ELASTIC_H
#define HQ_TESTS_SIM_ELASTIC_H

/* Prints a table of fixed seeds and returns 0 when no task was lost or run twice and compaction saved node-hours. */
int elastic_run(void);

#endif
