/* count.h - numbers on the command lines of the bench's programs.
 *
 * Errors     0 for what is no number, or is above the largest.
 */
#ifndef HQ_BENCH_COUNT_H
#define HQ_BENCH_COUNT_H

#include <stdint.h>

#include "common/num.h"

static inline uint32_t
parse_count(const char *text, uint32_t max)
{
    uint32_t value;

    return hq_num_u32(hq_str_from(text), &value, NULL) < 0 || value > max ? 0 : value;
}

#endif
