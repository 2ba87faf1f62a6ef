/* bench.h - how fast the core alone is: lines "name value unit". */
#ifndef HQ_TESTS_SIM_BENCH_H
#define HQ_TESTS_SIM_BENCH_H

int bench_run(void);

#endif
