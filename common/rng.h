/* rng.h - seeded pseudo-random numbers (xoshiro256**): jitter, tests, simulation. Never for secrets. */
#ifndef HQ_COMMON_RNG_H
#define HQ_COMMON_RNG_H

#include "common/id.h"

struct hq_rng {
    uint64_t s[4];
};

void hq_rng_init(struct hq_rng *r, uint64_t seed); /* any seed, the same numbers everywhere */
uint64_t hq_rng_u64(struct hq_rng *r);
uint64_t hq_rng_below(struct hq_rng *r, uint64_t n);              /* 0..n-1, unbiased; n > 0 */
int64_t hq_rng_between(struct hq_rng *r, int64_t low, int64_t high); /* both inclusive, low <= high */
bool hq_rng_chance(struct hq_rng *r, uint32_t num, uint32_t den); /* true with num / den */
double hq_rng_f64(struct hq_rng *r);                              /* [0, 1) */
hq_ms hq_rng_jitter(struct hq_rng *r, hq_ms ms, uint32_t percent); /* ms +- percent, evenly */

#endif
