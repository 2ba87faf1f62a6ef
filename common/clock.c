#include "common/clock.h"

#include <time.h>

static int64_t
read_clock(clockid_t id, int64_t per_second)
{
    struct timespec ts = {0};
    int rc = clock_gettime(id, &ts);
    HQ_ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * per_second + (int64_t)ts.tv_nsec / (1000000000 / per_second);
}

hq_ms
hq_clock_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t
hq_clock_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

hq_wall_ms
hq_clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000);
}

int32_t
hq_clock_utc_offset_s(hq_wall_ms at)
{
    time_t secs = (time_t)(at >= 0 ? at / 1000 : (at - 999) / 1000);
    struct tm tm = {0};
    if (localtime_r(&secs, &tm) == NULL) {
        return 0; /* a year beyond int: UTC is as good as anything */
    }
    return (int32_t)tm.tm_gmtoff;
}
