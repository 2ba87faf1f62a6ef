/* clock.h - the only reads of clocks.
 *
 * Purpose    shells read time here and pass it in; pure code never includes this file.
 * Units      ms; two clocks, two types (id.h).
 */
#ifndef HQ_COMMON_CLOCK_H
#define HQ_COMMON_CLOCK_H

#include "common/id.h"

hq_ms hq_clock_ms(void);        /* CLOCK_MONOTONIC (stops in suspend) */
int64_t hq_clock_us(void);      /* CLOCK_MONOTONIC in microseconds: for measurements */
hq_wall_ms hq_clock_wall_ms(void);
int32_t hq_clock_utc_offset_s(hq_wall_ms at); /* of the local time zone at that instant */

#endif
