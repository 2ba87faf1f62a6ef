/* How well work flows: waiting, utilisation, makespan, in virtual time.
 *
 *   cluster waiting|flow|graphs [--seeds N] [--first S]
 */
#include "common/str.h"
#include "tests/sim/cluster/flow.h"
#include "tests/sim/cluster/graphs.h"
#include "tests/sim/cluster/waiting.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 20u

int
main(int argc, char **argv)
{
    uint64_t first = 1;
    uint32_t seeds = SEEDS_DEFAULT;
    struct hq_str what = argc > 1 ? hq_str_from(argv[1]) : HQ_STR("");
    for (int i = 2; i + 1 < argc; i += 2) {
        struct hq_str arg = hq_str_from(argv[i]);
        if (hq_str_is(arg, "--seeds")) {
            seeds = (uint32_t)strtoull(argv[i + 1], NULL, 10);
        } else if (hq_str_is(arg, "--first")) {
            first = strtoull(argv[i + 1], NULL, 10);
        }
    }
    if (hq_str_is(what, "waiting")) {
        return waiting_run(first, seeds) == 0 ? 0 : 1;
    }
    if (hq_str_is(what, "flow")) {
        flow_run();
        return 0;
    }
    if (hq_str_is(what, "graphs")) {
        return graphs_run(first, seeds) == 0 ? 0 : 1;
    }
    (void)fprintf(stderr, "waiting, flow or graphs?\n");
    return 2;
}
