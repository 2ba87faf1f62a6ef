/* track.h - what the batch system's word about an allocation means. Unknown is not finished.
 *
 * Purpose    one allocation: a row, the absence of a row, or silence become a verdict, and the time of the next look.
 *            An id is not an identity: the row was matched by id, script and submit time before.
 * Threads    pure.
 * Units      ms of the monotonic clock.
 */
#ifndef HQ_HQ_ALLOCD_TRACK_H
#define HQ_HQ_ALLOCD_TRACK_H

#include "common/id.h"

#define TRACK_MISSES_MAX 3u /* looks without a row before a job that was known is given up ... */

enum track_seen { /* batch states as the shell translates them */
                  TRACK_SEEN_UNKNOWN = 0,
                  TRACK_SEEN_WAITING,
                  TRACK_SEEN_RUNNING,
                  TRACK_SEEN_OK,
                  TRACK_SEEN_FAILED,
};

enum track_verdict {
    TRACK_NOTHING = 0,
    TRACK_STARTED,  /* it runs */
    TRACK_FINISHED, /* over, not failed */
    TRACK_FAILED,
    TRACK_REQUEUED, /* it ran and waits again: workers nobody expects; cancel it */
    TRACK_VANISHED, /* the batch system knows nothing of it for long */
};

struct track_conf {
    hq_ms miss_gap_ms; /* ... and at least this long between the first and the last of them */
    hq_ms look_min_ms; /* first look after a submission; doubles */
    hq_ms look_max_ms; /* refresh interval */
};

struct track {
    bool has_run; /* seen running, or a worker connected */
    uint32_t misses;
    hq_ms first_miss_ms;
    hq_ms next_look_ms; /* 0 = at once */
    uint32_t looks;     /* since something last happened */
};

enum track_verdict track_on_row(struct track *t, const struct track_conf *conf, enum track_seen seen, hq_ms now_ms);
enum track_verdict track_on_absent(struct track *t, const struct track_conf *conf, hq_ms now_ms);
/* No answer at all: nothing is learned. */
void track_on_silence(struct track *t, const struct track_conf *conf, hq_ms now_ms);
/* Something happened (submitted, a worker came or went): look again soon, in wait_ms. */
void track_hint(struct track *t, hq_ms now_ms, hq_ms wait_ms);

#endif
