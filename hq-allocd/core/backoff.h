/* backoff.h - when a queue may submit again, and when it must stop trying.
 *
 * Purpose    the rate limit of a queue from its counters, which are hqd's and journaled.
 * Threads    pure.
 * Units      ms since the epoch; delays in ms.
 */
#ifndef HQ_HQ_ALLOCD_BACKOFF_H
#define HQ_HQ_ALLOCD_BACKOFF_H

#include "common/id.h"

#define BACKOFF_SUBMIT_FAILS_MAX 10u /* refused in a row: the queue pauses */
#define BACKOFF_STEPS 5u

struct backoff {
    uint32_t submit_fails;      /* in a row */
    uint32_t alloc_fails;       /* in a row */
    uint32_t step;              /* failures since the last success */
    hq_wall_ms last_attempt_ms; /* 0 = never */
};

/* Before it nothing is submitted; 0 = at once. */
hq_wall_ms backoff_next_ms(const struct backoff *b);
/* Why the queue pauses by itself; NULL = it goes on. */
const char *backoff_pause_reason(const struct backoff *b, uint32_t alloc_fails_max);
/* Wait before a batch system that does not answer is asked again: doubles, with a ceiling. */
hq_ms backoff_retry_ms(uint32_t tries, hq_ms first_ms, hq_ms max_ms);

#endif
