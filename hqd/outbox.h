/* outbox.h - answers that wait until the journal is far enough.
 *
 * Purpose    nothing leaves before what it says is in the kernel (AFTER_WRITE) or on disk (AFTER_COMMIT). Questions whose
 *            answer shows records that are not on disk yet wait as well, but with a time limit. Who waits for a promise
 *            too long is told of once (on_late): the shell keeps the asker patient, the promise still waits.
 * Ownership  takes the bytes; knows requests by their handle only: one whose peer has gone is dropped when its time comes.
 * Units      ms of the monotonic clock.
 * Limits     one item per request; requests are bounded per peer.
 */
#ifndef HQ_HQD_OUTBOX_H
#define HQ_HQD_OUTBOX_H

#include <sys/queue.h>

#include "common/id.h"
#include "common/str.h"
#include "hqd/core/effect.h"

struct out_item {
    STAILQ_ENTRY(out_item) link;
    uint64_t handle;
    uint64_t after_seq;
    hq_ms until_ms;       /* questions: answered anyway then; promises: late then, INT64_MAX = told already */
    struct hq_buf bytes;
};
STAILQ_HEAD(out_items, out_item);

typedef void (*outbox_send_fn)(void *ctx, uint64_t handle, struct hq_str bytes);
/* Returns when to tell again, INT64_MAX = never. */
typedef hq_ms (*outbox_late_fn)(void *ctx, uint64_t handle);

struct outbox {
    struct out_items written;   /* each list ascending by after_seq */
    struct out_items committed;
    struct out_items questions;
    void *ctx;
    outbox_send_fn send;
    outbox_late_fn on_late;
    uint64_t late_count;        /* questions answered before the commit */
};

void outbox_init(struct outbox *o, outbox_send_fn send, outbox_late_fn on_late, void *ctx);
void outbox_fini(struct outbox *o);
/* Takes the memory of `bytes` (which is empty then), or sends at once when the journal is already there. */
void outbox_put(struct outbox *o, enum effect_when when, uint64_t after_seq, hq_ms late_ms, uint64_t handle,
                struct hq_buf *bytes);
void outbox_put_question(struct outbox *o, uint64_t after_seq, hq_ms until_ms, uint64_t handle, struct hq_buf *bytes);
void outbox_release(struct outbox *o, uint64_t written_seq, uint64_t committed_seq, hq_ms now_ms);
hq_ms outbox_next_ms(const struct outbox *o); /* when somebody's time is up; INT64_MAX = nobody's */
bool outbox_is_empty(const struct outbox *o);

#endif
