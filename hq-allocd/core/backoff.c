#include "hq-allocd/core/backoff.h"

static const hq_ms delays_ms[BACKOFF_STEPS] = {0, 60000, 15 * 60000, 30 * 60000, 60 * 60000};

hq_wall_ms
backoff_next_ms(const struct backoff *b)
{
    hq_ms delay_ms = delays_ms[HQ_MIN(b->step, BACKOFF_STEPS - 1)];
    return delay_ms == 0 || b->last_attempt_ms == 0 ? 0 : b->last_attempt_ms + delay_ms;
}

const char *
backoff_pause_reason(const struct backoff *b, uint32_t alloc_fails_max)
{
    if (b->submit_fails >= BACKOFF_SUBMIT_FAILS_MAX) {
        return "too many failed submissions";
    }
    if (b->alloc_fails >= alloc_fails_max) {
        return "too many failed allocations";
    }
    return NULL;
}

hq_ms
backoff_retry_ms(uint32_t tries, hq_ms first_ms, hq_ms max_ms)
{
    hq_ms wait_ms = first_ms;
    for (uint32_t i = 0; i < tries && wait_ms < max_ms; i++) {
        wait_ms *= 2;
    }
    return HQ_MIN(wait_ms, max_ms);
}
