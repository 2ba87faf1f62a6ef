#include "tests/sim/bench.h"

int
bench_run(void)
{
    return 0;
}
