/* What the batch systems say: one status command each, and what follows from it. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-allocd/state.h"

/* ---- verdicts */
void
look_tell_end(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m, bool is_failed, struct hq_str why,
              const struct batch_row *row)
{
    if (m->is_over_told) {
        return;
    }
    m->is_over_told = true;
    Hq__AllocReport *r = link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_FINISHED, q->id, m->number);
    r->is_failed = is_failed;
    link_set_bytes(&r->text, why);
    r->started_ms = row == NULL ? 0 : (uint64_t)row->started_ms;
    r->ended_ms = row == NULL ? 0 : (uint64_t)row->ended_ms;
}

static void
tell_reason(struct allocd *a, const struct batch *b, struct mirror_queue *q, struct mirror_alloc *m,
            const struct batch_row *row)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    bool is_waiting = row->state == BATCH_PENDING || row->state == BATCH_HELD;
    if (is_waiting || row->state == BATCH_UNKNOWN) {
        hq_buf_printf(&text, "%.*s%s%.*s", HQ_STR_FMT(row->word), row->reason.len > 0 ? ": " : "",
                      HQ_STR_FMT(row->reason));
    }
    if (hq_str_eq(hq_buf_view(&text), hq_str_from(m->reason))) {
        return;
    }
    free(m->reason);
    m->reason = text.len == 0 ? NULL : hq_xstrdup(text.ptr);
    Hq__AllocReport *r = link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_REASON, q->id, m->number);
    link_set_bytes(&r->text, hq_buf_view(&text));
    r->is_permanent = row->state == BATCH_HELD || b->is_permanent(row->reason);
}

static enum track_seen
seen_of(enum batch_state s)
{
    static const enum track_seen map[] = {
        [BATCH_UNKNOWN] = TRACK_SEEN_UNKNOWN, [BATCH_PENDING] = TRACK_SEEN_WAITING,
        [BATCH_HELD] = TRACK_SEEN_WAITING,    [BATCH_RUNNING] = TRACK_SEEN_RUNNING,
        [BATCH_ENDED_OK] = TRACK_SEEN_OK,     [BATCH_ENDED_FAILED] = TRACK_SEEN_FAILED,
    };
    return map[s];
}

static void
act_on(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m, enum track_verdict v,
       const struct batch_row *row)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    if (row != NULL) {
        hq_buf_printf(&why, "%.*s%s%.*s", HQ_STR_FMT(row->word), row->reason.len > 0 ? ": " : "",
                      HQ_STR_FMT(row->reason));
    }
    switch (v) {
    case TRACK_NOTHING:
        break;
    case TRACK_STARTED:
        if (m->state == HQ__ALLOC_STATE__ALLOC_QUEUED) {
            (void)link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_STARTED, q->id, m->number);
        }
        break;
    case TRACK_FINISHED:
        look_tell_end(a, q, m, false, HQ_STR_NULL, row);
        break;
    case TRACK_FAILED:
        /* What we cancelled ourselves is no failure. */
        look_tell_end(a, q, m, !(m->is_canceling || m->must_go || q->info->is_removed || a->is_stopping),
                      hq_buf_view(&why), row);
        break;
    case TRACK_REQUEUED:
        hq_log_warn("Allocation %s was put back into the queue after it had run: it is cancelled", m->id);
        m->must_go = true;
        break;
    case TRACK_VANISHED:
        look_tell_end(a, q, m, !m->track.has_run, HQ_STR("the batch system does not know it any more"), NULL);
        break;
    }
}

static void
judge(struct allocd *a, const struct batch *b, struct mirror_queue *q, struct mirror_alloc *m,
      const struct batch_rows *rows, hq_ms now_ms)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    const struct batch_row *row = batch_find_row(rows, hq_str_from(m->id), mirror_script(m, &arena), m->planned_ms);
    enum track_verdict v;
    if (row == NULL) {
        v = track_on_absent(&m->track, &a->conf.track, now_ms);
    } else {
        v = track_on_row(&m->track, &a->conf.track, seen_of(row->state), now_ms);
        tell_reason(a, b, q, m, row);
    }
    act_on(a, q, m, v, row);
}

/* ---- status of all */
struct look {
    struct allocd *a;
    const struct batch *batch;
};

static void
set_problem(struct allocd *a, struct hq_str text)
{
    if (!hq_str_eq(text, hq_str_from(a->problem))) {
        free(a->problem);
        a->problem = text.len == 0 ? NULL : hq_str_dupz(text);
    }
}

static void
on_status(void *ctx, const struct batch_result *r)
{
    struct look *l = ctx;
    struct allocd *a = l->a;
    uint32_t ix = mirror_manager(l->batch);
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    struct batch_rows rows = {0};
    hq_ms now_ms = hq_clock_ms();
    hq_arena_init(&arena, 0);
    enum batch_outcome outcome = l->batch->statuses(r, hq_clock_utc_offset_s(hq_clock_wall_ms()), &arena, &rows, &why);
    batch_sort_rows(&rows);
    a->is_looking[ix] = false;
    a->is_due = true;
    bool is_answer = outcome == BATCH_OK;
    struct mirror_queue *q;
    struct mirror_alloc *m;
    LIST_FOREACH(q, &a->queues, link)
    {
        LIST_FOREACH(m, &q->allocs, link)
        {
            if (mirror_batch(q) != l->batch || m->id == NULL || !mirror_is_live(m)) {
                continue;
            }
            if (is_answer) {
                judge(a, l->batch, q, m, &rows, now_ms);
            } else {
                track_on_silence(&m->track, &a->conf.track, now_ms);
            }
        }
    }
    if (is_answer) {
        a->look_tries[ix] = 0;
        set_problem(a, HQ_STR_NULL);
        if (l->batch->mine == NULL) { /* it lists all jobs of this user */
            strays_sweep(a, l->batch, &rows);
            strays_swept(a, l->batch, now_ms);
        }
    } else {
        if (a->look_tries[ix]++ == 0) {
            hq_log_warn("The state of allocations could not be asked for: %s", why.ptr);
        }
        a->next_look_ms[ix] = now_ms + backoff_retry_ms(a->look_tries[ix], LOOK_RETRY_MS_MIN, LOOK_RETRY_MS_MAX);
        set_problem(a, hq_buf_view(&why));
    }
    free(l);
}

void
look_begin(struct allocd *a, const struct batch *b)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    struct hq_str *ids = NULL;
    size_t count = 0;
    size_t cap = 0;
    struct mirror_queue *q;
    struct mirror_alloc *m;
    LIST_FOREACH(q, &a->queues, link)
    {
        LIST_FOREACH(m, &q->allocs, link)
        {
            if (mirror_batch(q) == b && m->id != NULL && mirror_is_live(m)) {
                hq_arena_grow(&arena, &ids, &cap, count + 1, sizeof *ids);
                ids[count++] = hq_str_from(m->id);
            }
        }
    }
    if (count == 0 && b->find != NULL) {
        return; /* nothing to ask about */
    }
    struct look *l = hq_xalloc(sizeof *l);
    *l = (struct look){.a = a, .batch = b};
    a->is_looking[mirror_manager(b)] = true;
    b->status(&cmd, ids, count);
    runner_start(a->runner, &cmd, NULL, a->conf.command_ms, on_status, l);
}

void
look_soon(struct allocd *a)
{
    struct mirror_queue *q;
    struct mirror_alloc *m;
    LIST_FOREACH(q, &a->queues, link)
    {
        LIST_FOREACH(m, &q->allocs, link)
        {
            track_hint(&m->track, hq_clock_ms(), 0);
        }
    }
}

/* ---- what is due */
static hq_ms
check_alloc(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m, hq_ms now_ms, bool *ret_look)
{
    bool is_unwanted = q->info->is_removed || a->is_stopping || m->must_go;
    if (m->state == HQ__ALLOC_STATE__ALLOC_PLANNED) {
        if (m->phase != PHASE_UNSURE || m->look.is_running || q->plans_out > 0) {
            return INT64_MAX;
        }
        if (now_ms >= m->look.next_ms) {
            lookup_begin(a, q, m);
            return INT64_MAX;
        }
        return m->look.next_ms;
    }
    if (!mirror_is_live(m) || m->id == NULL || m->is_over_told) {
        return INT64_MAX;
    }
    if (is_unwanted && !m->is_canceling) {
        if (now_ms >= m->next_cancel_ms) {
            m->is_canceling = true;
            cancel_begin(a, mirror_batch(q), q->id, m->number, hq_str_from(m->id));
            return INT64_MAX;
        }
        return m->next_cancel_ms;
    }
    *ret_look = *ret_look || now_ms >= m->track.next_look_ms;
    return HQ_MAX(m->track.next_look_ms, now_ms + 1);
}

hq_ms
look_progress(struct allocd *a, hq_ms now_ms)
{
    hq_ms next_ms = INT64_MAX;
    bool is_due[MANAGERS] = {false, false};
    struct mirror_queue *q;
    struct mirror_alloc *m;
    LIST_FOREACH(q, &a->queues, link)
    {
        uint32_t ix = mirror_manager(mirror_batch(q));
        LIST_FOREACH(m, &q->allocs, link)
        {
            next_ms = HQ_MIN(next_ms, check_alloc(a, q, m, now_ms, &is_due[ix]));
        }
    }
    for (uint32_t ix = 0; ix < MANAGERS; ix++) {
        if (is_due[ix] && !a->is_looking[ix]) {
            if (now_ms >= a->next_look_ms[ix]) {
                look_begin(a, ix == 0 ? &batch_pbs : &batch_slurm);
            }
            next_ms = HQ_MAX(HQ_MIN(next_ms, a->next_look_ms[ix]), now_ms + 1);
        }
    }
    return next_ms;
}
