#include "hqd/outbox.h"

#include <stdlib.h>

#include "common/mem.h"

void
outbox_init(struct outbox *o, outbox_send_fn send, outbox_late_fn on_late, void *ctx)
{
    *o = (struct outbox){.ctx = ctx, .send = send, .on_late = on_late};
    STAILQ_INIT(&o->written);
    STAILQ_INIT(&o->committed);
    STAILQ_INIT(&o->questions);
}

static void
pop(struct out_items *list)
{
    struct out_item *item = STAILQ_FIRST(list);
    STAILQ_REMOVE_HEAD(list, link);
    hq_buf_fini(&item->bytes);
    free(item);
}

static void
drop_all(struct out_items *list)
{
    while (!STAILQ_EMPTY(list)) {
        pop(list);
    }
}

void
outbox_fini(struct outbox *o)
{
    drop_all(&o->written);
    drop_all(&o->committed);
    drop_all(&o->questions);
}

static void
add(struct out_items *list, uint64_t after_seq, hq_ms until_ms, uint64_t handle, struct hq_buf *bytes)
{
    struct out_item *item = hq_xalloc(sizeof *item);
    item->handle = handle;
    item->after_seq = after_seq;
    item->until_ms = until_ms;
    item->bytes = *bytes;
    *bytes = HQ_BUF_INIT;
    STAILQ_INSERT_TAIL(list, item, link);
}

void
outbox_put(struct outbox *o, enum effect_when when, uint64_t after_seq, hq_ms late_ms, uint64_t handle,
           struct hq_buf *bytes)
{
    switch (when) {
    case EFFECT_NOW:
        o->send(o->ctx, handle, hq_buf_view(bytes));
        hq_buf_clear(bytes);
        break;
    case EFFECT_AFTER_WRITE:
        add(&o->written, after_seq, late_ms, handle, bytes);
        break;
    case EFFECT_AFTER_COMMIT:
        add(&o->committed, after_seq, late_ms, handle, bytes);
        break;
    }
}

void
outbox_put_question(struct outbox *o, uint64_t after_seq, hq_ms until_ms, uint64_t handle, struct hq_buf *bytes)
{
    add(&o->questions, after_seq, until_ms, handle, bytes);
}

static void
send_first(struct outbox *o, struct out_items *list)
{
    struct out_item *item = STAILQ_FIRST(list);
    o->send(o->ctx, item->handle, hq_buf_view(&item->bytes));
    pop(list);
}

/* What the journal allows; who waits on, too long, is told of. */
static void
release_promises(struct outbox *o, struct out_items *list, uint64_t seq, hq_ms now_ms)
{
    struct out_item *item;
    while ((item = STAILQ_FIRST(list)) != NULL && item->after_seq <= seq) {
        send_first(o, list);
    }
    STAILQ_FOREACH (item, list, link) {
        if (item->until_ms == INT64_MAX) {
            continue;
        }
        if (item->until_ms > now_ms) {
            break; /* later ones came later */
        }
        item->until_ms = o->on_late(o->ctx, item->handle);
    }
}

void
outbox_release(struct outbox *o, uint64_t written_seq, uint64_t committed_seq, hq_ms now_ms)
{
    struct out_item *item;
    release_promises(o, &o->written, written_seq, now_ms);
    release_promises(o, &o->committed, committed_seq, now_ms);
    while ((item = STAILQ_FIRST(&o->questions)) != NULL &&
           (item->after_seq <= committed_seq || item->until_ms <= now_ms)) {
        o->late_count += item->after_seq > committed_seq;
        send_first(o, &o->questions);
    }
}

static hq_ms
list_next_ms(const struct out_items *list)
{
    const struct out_item *item;
    STAILQ_FOREACH (item, list, link) {
        if (item->until_ms != INT64_MAX) {
            return item->until_ms;
        }
    }
    return INT64_MAX;
}

hq_ms
outbox_next_ms(const struct outbox *o)
{
    hq_ms written_ms = list_next_ms(&o->written);
    hq_ms committed_ms = list_next_ms(&o->committed);
    hq_ms questions_ms = list_next_ms(&o->questions);
    return HQ_MIN(questions_ms, HQ_MIN(written_ms, committed_ms));
}

bool
outbox_is_empty(const struct outbox *o)
{
    return STAILQ_EMPTY(&o->written) && STAILQ_EMPTY(&o->committed) && STAILQ_EMPTY(&o->questions);
}
