/* Plans and submissions. An allocation is submitted only when hqd has its plan on disk. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-allocd/script.h"
#include "hq-allocd/state.h"

#define AWAITED_MS 300000 /* workers of a running allocation that have not come by then are not waited for */
#define FIRST_LOOK_MS 2000

/* ---- planning */
static uint32_t
awaited(const struct mirror_alloc *m, hq_wall_ms wall_ms)
{
    if (m->state != HQ__ALLOC_STATE__ALLOC_RUNNING) {
        return m->worker_count;
    }
    bool is_young = wall_ms - m->started_ms < AWAITED_MS;
    return is_young && m->connected < m->worker_count ? m->worker_count - m->connected : 0;
}

static void
tell_next_attempt(struct allocd *a, struct mirror_queue *q, hq_wall_ms next_ms)
{
    if (q->next_attempt_ms != next_ms) {
        q->next_attempt_ms = next_ms;
        link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_REASON, q->id, 0)->ended_ms = (uint64_t)next_ms;
    }
}

static struct backoff
backoff_of(const struct mirror_queue *q)
{
    return (struct backoff){.submit_fails = q->info->submit_fails,
                            .alloc_fails = q->info->alloc_fails,
                            .step = q->info->step,
                            .last_attempt_ms = (hq_wall_ms)q->info->last_attempt_ms};
}

/* May the queue submit? Tells hqd when it pauses by itself. */
static bool
may_submit(struct allocd *a, struct mirror_queue *q, hq_wall_ms wall_ms, hq_ms *ret_wait_ms)
{
    struct backoff b = backoff_of(q);
    if (q->info->is_paused || q->info->is_removed || q->is_pause_told || q->plans_out > 0) {
        return false;
    }
    const char *reason = backoff_pause_reason(&b, a->conf.alloc_fails_max);
    if (reason != NULL) {
        q->is_pause_told = true;
        link_set_bytes(&link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_PAUSED, q->id, 0)->text,
                       hq_str_from(reason));
        return false;
    }
    hq_wall_ms next_ms = backoff_next_ms(&b);
    bool is_limited = next_ms > wall_ms;
    tell_next_attempt(a, q, is_limited ? next_ms : 0);
    *ret_wait_ms = is_limited ? next_ms - wall_ms : INT64_MAX;
    return !is_limited;
}

static void
plan_queue(struct allocd *a, struct mirror_queue *q, hq_wall_ms wall_ms)
{
    const Hq__AllocParams *p = q->info->params;
    struct plan_alloc *allocs;
    size_t count = 0;
    struct mirror_alloc *m;
    LIST_FOREACH(m, &q->allocs, link)
    {
        count++;
    }
    allocs = hq_xcalloc(count + 1, sizeof *allocs);
    count = 0;
    LIST_FOREACH(m, &q->allocs, link)
    {
        if (mirror_is_live(m)) {
            allocs[count++] = (struct plan_alloc){.workers = m->worker_count,
                                                  .is_queued = m->state != HQ__ALLOC_STATE__ALLOC_RUNNING,
                                                  .awaited = awaited(m, wall_ms)};
        }
    }
    struct plan_queue plan = {.backlog = p->backlog,
                              .max_workers_per_alloc = p->max_workers_per_alloc,
                              .max_workers = p->max_worker_count,
                              .allocs = allocs,
                              .alloc_count = count,
                              .single = q->single,
                              .multi = q->multi,
                              .multi_count = q->multi_count,
                              .keep_warm = p->keep_warm,
                              .ending = q->ending};
    uint32_t workers[PLAN_SUBMITS_MAX];
    size_t n = plan_submits(&plan, workers, PLAN_SUBMITS_MAX);
    free(allocs);
    struct backoff b = backoff_of(q);
    n = b.step > 0 ? HQ_MIN(n, (size_t)1) : n; /* after failures one is enough to see */
    for (size_t i = 0; i < n; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
        uint32_t number = q->next_number++;
        q->has_failed = false;
        script_dir(hq_buf_view(&a->instance), hq_str_make((const char *)p->name.data, p->name.len), q->id, number,
                   &dir);
        Hq__AllocReport *r = link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_PLANNED, q->id, number);
        r->worker_count = workers[i];
        link_set_bytes(&r->work_dir, hq_buf_view(&dir));
        q->plans_out++;
    }
}

static hq_ms
plan_all(struct allocd *a, hq_ms now_ms)
{
    hq_wall_ms wall_ms = hq_clock_wall_ms();
    hq_ms next_ms = INT64_MAX;
    struct mirror_queue *q;
    if (a->is_stopping || a->version == 0) {
        return INT64_MAX;
    }
    if (now_ms < a->planned_at_ms + a->conf.tick_ms) {
        return a->planned_at_ms + a->conf.tick_ms;
    }
    bool has_planned = false;
    LIST_FOREACH(q, &a->queues, link)
    {
        hq_ms wait_ms = INT64_MAX;
        uint32_t before = q->plans_out;
        if (may_submit(a, q, wall_ms, &wait_ms)) {
            plan_queue(a, q, wall_ms);
        }
        has_planned = has_planned || q->plans_out != before;
        next_ms = wait_ms == INT64_MAX ? next_ms : HQ_MIN(next_ms, now_ms + wait_ms);
    }
    a->planned_at_ms = has_planned ? now_ms : a->planned_at_ms;
    return next_ms;
}

/* ---- submitting */
struct submission {
    struct allocd *a;
    uint32_t queue;
    uint32_t number;
    const struct batch *batch;
};

static void
tell_refused(struct allocd *a, struct mirror_alloc *m, uint32_t queue, bool is_failed, struct hq_str why)
{
    m->phase = PHASE_TOLD;
    Hq__AllocReport *r = link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_REFUSED, queue, m->number);
    r->is_failed = is_failed; /* counts for the rate limit: somebody has to mend something */
    link_set_bytes(&r->text, why);
}

void
submit_accepted(struct allocd *a, struct mirror_alloc *m, uint32_t queue, struct hq_str id)
{
    files_begin_job_id(a, m->dir, id);
    m->phase = PHASE_TOLD;
    link_set_bytes(&link_report(a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_QUEUED, queue, m->number)->allocation_id, id);
    m->track.next_look_ms = hq_clock_ms() + HQ_MIN(a->conf.track.look_min_ms, (hq_ms)FIRST_LOOK_MS);
}

void
submit_lost(struct allocd *a, struct mirror_alloc *m, uint32_t queue)
{
    struct hq_str why = hq_str_from(m->look.why != NULL ? m->look.why : "The submission was cut off");
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "%.*s\nNo job of it was found afterwards", HQ_STR_FMT(why));
    tell_refused(a, m, queue, false, hq_buf_view(&text));
    struct mirror_queue *q = mirror_queue(a, queue);
    if (q != NULL) {
        strays_expect(a, mirror_batch(q)); /* it may show up after all */
    }
}

static void
on_submitted(void *ctx, const struct batch_result *r)
{
    struct submission *s = ctx;
    struct allocd *a = s->a;
    struct mirror_queue *q = mirror_queue(a, s->queue);
    struct mirror_alloc *m = q == NULL ? NULL : mirror_alloc(q, s->number);
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    struct hq_str id = HQ_STR_NULL;
    enum batch_outcome outcome = s->batch->submitted(r, &arena, &id, &why);
    a->is_due = true;
    if (m == NULL || m->phase != PHASE_SUBMITTING) {
        free(s); /* hqd knows more than we do: the looks find what was submitted */
        return;
    }
    switch (outcome) {
    case BATCH_OK:
        submit_accepted(a, m, s->queue, id);
        break;
    case BATCH_REJECTED:
    case BATCH_GONE:
        q->has_failed = true;
        tell_refused(a, m, s->queue, true, hq_buf_view(&why));
        break;
    case BATCH_UNREACHABLE:
    case BATCH_AMBIGUOUS:
        hq_log_warn("A submission into queue %u has an uncertain end, it is looked up: %s", s->queue, why.ptr);
        free(m->look.why);
        m->look.why = hq_xstrdup(why.ptr);
        m->phase = PHASE_UNSURE;
        m->look.tries = 1; /* it was submitted: a confirmation of the plan does not do it again */
        m->look.next_ms = hq_clock_ms();
        break;
    }
    free(s);
}

static void
on_script(struct allocd *a, uint32_t queue, uint32_t number, const char *path, const struct hq_err *err)
{
    struct mirror_queue *q = mirror_queue(a, queue);
    struct mirror_alloc *m = q == NULL ? NULL : mirror_alloc(q, number);
    a->is_due = true;
    if (m == NULL || m->phase != PHASE_WRITING || m->state != HQ__ALLOC_STATE__ALLOC_PLANNED) {
        return; /* hqd knows more than we do */
    }
    if (path == NULL) {
        tell_refused(a, m, queue, true, hq_str_from(err->text));
        return;
    }
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    struct submission *s = hq_xalloc(sizeof *s);
    *s = (struct submission){.a = a, .queue = queue, .number = number, .batch = mirror_batch(q)};
    m->phase = PHASE_SUBMITTING;
    s->batch->submit(&cmd, path);
    runner_start(a->runner, &cmd, m->dir, a->conf.command_ms, on_submitted, s);
}

static void
submit(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m)
{
    struct files_script what = {
        .queue = q->id, .number = m->number, .nodes = m->worker_count, .server_dir = a->instance.ptr, .dir = m->dir};
    m->phase = PHASE_WRITING;
    files_begin_script(a, q->info->params, &what, on_script);
}

/* One after another, in the order of their numbers; one that is looked up holds the others back: what was asked for
 * may be there already. */
static bool
is_queue_busy(const struct mirror_queue *q)
{
    const struct mirror_alloc *m;
    LIST_FOREACH(m, &q->allocs, link)
    {
        bool is_out = m->phase == PHASE_WRITING || m->phase == PHASE_SUBMITTING || m->phase == PHASE_UNSURE;
        if (m->state == HQ__ALLOC_STATE__ALLOC_PLANNED && is_out) {
            return true;
        }
    }
    return false;
}

static void
submit_next(struct allocd *a, struct mirror_queue *q)
{
    bool is_unwanted = q->info->is_removed || a->is_stopping;
    struct mirror_alloc *m;
    LIST_FOREACH(m, &q->allocs, link)
    {
        bool is_unsubmitted = m->phase == PHASE_NEW || m->phase == PHASE_WRITING;
        if (m->state != HQ__ALLOC_STATE__ALLOC_PLANNED || !is_unsubmitted) {
            continue;
        }
        if (is_unwanted) {
            tell_refused(a, m, q->id, false, HQ_STR("the queue is gone"));
        } else if (m->phase == PHASE_WRITING) {
            continue;
        } else if (q->has_failed) {
            tell_refused(a, m, q->id, false, HQ_STR("the one before it was refused"));
        } else if (!is_queue_busy(q)) {
            submit(a, q, m);
        }
    }
}

hq_ms
submit_progress(struct allocd *a, hq_ms now_ms)
{
    hq_ms next_ms = plan_all(a, now_ms);
    struct mirror_queue *q;
    LIST_FOREACH(q, &a->queues, link)
    {
        submit_next(a, q);
    }
    return next_ms;
}
