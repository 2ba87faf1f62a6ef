/* follow.h - long polls of clients: job watches, and followers of the journal.
 *
 * Purpose    a request that has nothing to say yet is held here until something has changed or its time is up.
 * Ownership  owns copies of selections and the ring of events that are published but not stored.
 * Units      ms of the monotonic clock.
 * Limits     held requests are bounded per peer; FOLLOW_EVENTS_MAX events (older ones are lost to slow followers);
 *            FOLLOW_WAIT_MS_MAX a poll; watches are looked at FOLLOW_LOOKS_PER_S times a second.
 */
#ifndef HQ_HQD_FOLLOW_H
#define HQ_HQD_FOLLOW_H

#include <sys/queue.h>

#include "common/id.h"
#include "hqd/core/effect.h"
#include "proto/client.pb-c.h"

#define FOLLOW_EVENTS_MAX 1024u
#define FOLLOW_WAIT_MS_MAX 30000
#define FOLLOW_LOOKS_PER_S 20
#define FOLLOW_BACK_MS 500 /* who polls comes back within that, or is not waited for at the end */

struct shell;
struct peer;

struct watch {
    TAILQ_ENTRY(watch) link;
    uint64_t handle;
    struct selection jobs; /* heap copy */
    uint64_t version;
    hq_ms until_ms;
};
struct follower {
    TAILQ_ENTRY(follower) link;
    uint64_t handle;
    uint64_t after_seq;
    hq_ms until_ms;
};
struct follow_event {
    uint64_t number;    /* counts from 1 */
    uint64_t after_seq; /* it came behind this record */
    struct hq_buf body; /* packed Record */
};
struct follow {
    TAILQ_HEAD(, watch) watches;
    TAILQ_HEAD(, follower) followers;
    struct follow_event events[FOLLOW_EVENTS_MAX]; /* by number % FOLLOW_EVENTS_MAX */
    uint64_t event_next;
    hq_ms looked_ms;    /* at the watches */
    bool is_look_due;
};

void follow_init(struct follow *f);
void follow_fini(struct follow *f);
void follow_on_watch(struct shell *s, uint64_t handle, const Hq__JobWatch *m);
void follow_on_follow(struct shell *s, struct peer *p, uint64_t handle, const Hq__Follow *m);
/* after_seq: the record it came behind. */
void follow_add_event(struct shell *s, const struct record *rec, uint64_t after_seq);
/* A commit, or new events. Answers what can be answered; returns when to be called again, INT64_MAX = no need. */
hq_ms follow_progress(struct shell *s, hq_ms now_ms);
/* Orderly end: everybody is told. Returns until when somebody is expected who has just been answered and does not know of
 * the end yet; 0 = nobody. */
hq_ms follow_stop(struct shell *s, hq_ms now_ms);

#endif
