/* bench.h - how fast the core alone is: lines "name value unit". */
#ifndef HQ_TESTS_SIM_BENCH_H
#define HQ_TESTS_SIM_BENCH_H

/* only: "flow", "pass", "graph", "memory"; NULL = all */
int bench_run(const char *only);

#endif
