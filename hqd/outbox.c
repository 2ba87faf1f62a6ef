#include "hqd/outbox.h"

#include <stdlib.h>

#include "common/mem.h"

void
outbox_init(struct outbox *o, outbox_send_fn send, void *ctx)
{
    *o = (struct outbox){.ctx = ctx, .send = send};
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
outbox_put(struct outbox *o, enum effect_when when, uint64_t after_seq, uint64_t handle, struct hq_buf *bytes)
{
    switch (when) {
    case EFFECT_NOW:
        o->send(o->ctx, handle, hq_buf_view(bytes));
        hq_buf_clear(bytes);
        break;
    case EFFECT_AFTER_WRITE:
        add(&o->written, after_seq, INT64_MAX, handle, bytes);
        break;
    case EFFECT_AFTER_COMMIT:
        add(&o->committed, after_seq, INT64_MAX, handle, bytes);
        break;
    }
}

void
outbox_put_question(struct outbox *o, uint64_t after_seq, hq_ms until_ms, uint64_t handle, struct hq_buf *bytes)
{
    add(&o->questions, after_seq, until_ms, handle, bytes);
}

static void
release_list(struct outbox *o, struct out_items *list, uint64_t seq, hq_ms now_ms)
{
    struct out_item *item;
    while ((item = STAILQ_FIRST(list)) != NULL && (item->after_seq <= seq || item->until_ms <= now_ms)) {
        o->late_count += item->after_seq > seq;
        o->send(o->ctx, item->handle, hq_buf_view(&item->bytes));
        pop(list);
    }
}

void
outbox_release(struct outbox *o, uint64_t written_seq, uint64_t committed_seq, hq_ms now_ms)
{
    release_list(o, &o->written, written_seq, now_ms);
    release_list(o, &o->committed, committed_seq, now_ms);
    release_list(o, &o->questions, committed_seq, now_ms);
}

hq_ms
outbox_next_ms(const struct outbox *o)
{
    const struct out_item *item = STAILQ_FIRST(&o->questions);
    return item == NULL ? INT64_MAX : item->until_ms;
}

bool
outbox_is_empty(const struct outbox *o)
{
    return STAILQ_EMPTY(&o->written) && STAILQ_EMPTY(&o->committed) && STAILQ_EMPTY(&o->questions);
}
