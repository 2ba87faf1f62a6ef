/* Look-ups: what became of submissions whose end nobody knows. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "hq-allocd/script.h"
#include "hq-allocd/state.h"

#define LOOKUPS_MIN 2u /* look-ups that find nothing before a submission counts as lost */

static void
lookup_found(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m, const struct batch_rows *rows,
             hq_ms now_ms)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    const struct batch_row *row = batch_find_row(rows, HQ_STR_NULL, mirror_script(m, &arena), m->planned_ms);
    m->look.is_running = false;
    m->look.tries = HQ_MAX(m->look.tries, 1u);
    if (row != NULL) {
        submit_accepted(a, m, q->id, row->id);
        return;
    }
    if (m->look.misses++ == 0) {
        m->look.first_miss_ms = now_ms;
    }
    bool is_long = now_ms - m->look.first_miss_ms >= a->conf.lookup_gap_ms;
    if (m->look.misses >= LOOKUPS_MIN && is_long) {
        submit_lost(a, m, q->id);
    } else {
        m->look.next_ms = now_ms + a->conf.lookup_gap_ms;
    }
}

static void
lookup_silent(struct mirror_alloc *m, hq_ms now_ms)
{
    m->look.is_running = false;
    m->look.tries++;
    m->look.next_ms = now_ms + backoff_retry_ms(m->look.tries, LOOK_RETRY_MS_MIN, LOOK_RETRY_MS_MAX);
}

struct lookup { /* PBS: find by name, then ask about those */
    struct allocd *a;
    uint32_t queue;
    uint32_t number;
    const struct batch *batch;
};

static struct mirror_alloc *
lookup_alloc(const struct lookup *l, struct mirror_queue **ret_queue)
{
    *ret_queue = mirror_queue(l->a, l->queue);
    struct mirror_alloc *m = *ret_queue == NULL ? NULL : mirror_alloc(*ret_queue, l->number);
    return m != NULL && m->phase == PHASE_UNSURE && m->state == HQ__ALLOC_STATE__ALLOC_PLANNED ? m : NULL;
}

static void
on_lookup_status(void *ctx, const struct batch_result *r)
{
    struct lookup *l = ctx;
    struct mirror_queue *q;
    struct mirror_alloc *m = lookup_alloc(l, &q);
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    struct batch_rows rows = {0};
    hq_arena_init(&arena, 0);
    l->a->is_due = true;
    int32_t offset_s = hq_clock_utc_offset_s(hq_clock_wall_ms());
    enum batch_outcome outcome = l->batch->statuses(r, offset_s, &arena, &rows, &why);
    batch_sort_rows(&rows);
    if (m != NULL && outcome == BATCH_OK) {
        lookup_found(l->a, q, m, &rows, hq_clock_ms());
    } else if (m != NULL) {
        lookup_silent(m, hq_clock_ms());
    }
    free(l);
}

static void
on_lookup_ids(void *ctx, const struct batch_result *r)
{
    struct lookup *l = ctx;
    struct mirror_queue *q;
    struct mirror_alloc *m = lookup_alloc(l, &q);
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    struct hq_str *ids;
    size_t count;
    hq_arena_init(&arena, 0);
    l->a->is_due = true;
    enum batch_outcome outcome = l->batch->found(r, &arena, &ids, &count, &why);
    if (m != NULL && outcome == BATCH_OK && count > 0) {
        struct batch_cmd cmd = {.arena = &arena};
        l->batch->status(&cmd, ids, count);
        runner_start(l->a->runner, &cmd, NULL, l->a->conf.command_ms, on_lookup_status, l);
        return;
    }
    if (m != NULL && outcome == BATCH_OK) {
        lookup_found(l->a, q, m, &(struct batch_rows){0}, hq_clock_ms());
    } else if (m != NULL) {
        lookup_silent(m, hq_clock_ms());
    }
    free(l);
}

void
lookup_begin(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m)
{
    const struct batch *b = mirror_batch(q);
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    struct lookup *l = hq_xalloc(sizeof *l);
    *l = (struct lookup){.a = a, .queue = q->id, .number = m->number, .batch = b};
    m->look.is_running = true;
    if (b->find == NULL) {
        b->status(&cmd, NULL, 0);
        runner_start(a->runner, &cmd, NULL, a->conf.command_ms, on_lookup_status, l);
        return;
    }
    const Hq__AllocParams *p = q->info->params;
    script_job_name(hq_str_make((const char *)p->name.data, p->name.len), q->id, m->number, &name);
    b->find(&cmd, name.ptr);
    runner_start(a->runner, &cmd, NULL, a->conf.command_ms, on_lookup_ids, l);
}
