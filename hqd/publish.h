/* publish.h - notes: hints that something changed, at most one per topic and commit.
 *
 * Purpose    effects mark topics; after a commit each marked topic gets one note with the newest record number, a busy
 *            one PUBLISH_PER_S at most: the last mark is never lost, it only waits.
 * Ownership  owns its topics; the publisher is the caller's.
 * Units      ms of the monotonic clock.
 * Limits     one entry per topic that was marked within the last second.
 */
#ifndef HQ_HQD_PUBLISH_H
#define HQ_HQD_PUBLISH_H

#include <sys/queue.h>

#include "common/map.h"
#include "common/net.h"
#include "hqd/core/effect.h"

#define PUBLISH_PER_S 20

struct topic {
    TAILQ_ENTRY(topic) link;
    uint64_t key;
    uint64_t after_seq;  /* newest record of the mark */
    hq_ms sent_ms;
    bool is_marked;
};
TAILQ_HEAD(topics, topic);

struct publish {
    struct hq_net_pub *pub; /* NULL: nobody can listen */
    struct hq_str incarnation;
    struct hq_map by_key;
    struct topics marked;
    struct topics quiet;    /* sent not long ago; oldest first */
    struct hq_buf scratch;
};

void publish_init(struct publish *p, struct hq_net_pub *pub, struct hq_str incarnation, uint64_t seed);
void publish_fini(struct publish *p);
void publish_mark(struct publish *p, const struct note *note, uint64_t after_seq);
/* Sends what is due; returns when to be called again without another commit, INT64_MAX = not needed. */
hq_ms publish_flush(struct publish *p, uint64_t committed_seq, hq_ms now_ms);

#endif
