/* flow.h - how much of a cluster works, and how long the tail of an array is. */
#ifndef HQ_TESTS_SIM_CLUSTER_FLOW_H
#define HQ_TESTS_SIM_CLUSTER_FLOW_H

/* Prints lines "name value unit". */
void flow_run(void);

#endif
