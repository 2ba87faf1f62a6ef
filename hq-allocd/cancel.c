/* Cancels: of queues that go, of the server's end, of what must not be there. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-allocd/state.h"

struct cancel {
    struct allocd *a;
    uint32_t queue;
    uint32_t number;
    const struct batch *batch;
    char *id;
};

static void
on_canceled(void *ctx, const struct batch_result *r)
{
    struct cancel *c = ctx;
    struct allocd *a = c->a;
    struct mirror_queue *q = mirror_queue(a, c->queue);
    struct mirror_alloc *m = q == NULL ? NULL : mirror_alloc(q, c->number);
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    enum batch_outcome outcome = c->batch->canceled(r, &why);
    hq_ms now_ms = hq_clock_ms();
    a->is_due = true;
    if (m != NULL) {
        m->is_canceling = false;
        if (outcome == BATCH_OK || outcome == BATCH_GONE) {
            look_tell_end(a, q, m, false,
                          m->must_go ? HQ_STR("put back into the queue by the batch system") : HQ_STR("cancelled"),
                          NULL);
        } else {
            m->next_cancel_ms = now_ms + backoff_retry_ms(m->cancel_tries, LOOK_RETRY_MS_MIN, LOOK_RETRY_MS_MAX);
            if (m->cancel_tries++ == 0) {
                Hq__AllocReport *left = link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_LEFT, q->id, m->number);
                link_set_bytes(&left->allocation_id, hq_str_from(c->id));
                link_set_bytes(&left->text, hq_buf_view(&why));
            }
        }
    } else if (outcome != BATCH_OK && outcome != BATCH_GONE) {
        hq_log_warn("Job %s could not be cancelled: %s", c->id, why.ptr);
    }
    free(c->id);
    free(c);
}

void
cancel_begin(struct allocd *a, const struct batch *b, uint32_t queue, uint32_t number, struct hq_str id)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    struct cancel *c = hq_xalloc(sizeof *c);
    *c = (struct cancel){.a = a, .queue = queue, .number = number, .batch = b, .id = hq_str_dupz(id)};
    b->cancel(&cmd, hq_arena_strz(&arena, id));
    runner_start(a->runner, &cmd, NULL, a->conf.command_ms, on_canceled, c);
}
