/* sdnotify.h - readiness and watchdog towards systemd ($NOTIFY_SOCKET). Without the variable nothing happens.
 *
 * Errors     negative errno; 0 also when nobody listens for it. Callers may ignore failures.
 */
#ifndef HQ_COMMON_SDNOTIFY_H
#define HQ_COMMON_SDNOTIFY_H

#include "common/id.h"

int hq_sdnotify(const char *state);   /* "READY=1", "STOPPING=1", "STATUS=..." */
hq_ms hq_sdnotify_watchdog_ms(void);  /* half of $WATCHDOG_USEC if it is meant for us; 0 = none: send "WATCHDOG=1" that often */

#endif
