/* The part of the door that is about allocations: records change them here and nowhere else. */
#include "common/mem.h"
#include "hqd/core/alloc.h"
#include "hqd/core/pack.h"
#include "hqd/core/reply.h"

#include <stdlib.h>

/* ---- life of the objects */
struct alloc *
alloc_create(void)
{
    return hq_xalloc(sizeof(struct alloc));
}

static void
allocation_free(struct allocation *a)
{
    free(a->id);
    free(a->work_dir);
    free(a->text);
    free(a->reason);
    free(a);
}

static void
queue_free(struct alloc_queue *q)
{
    for (size_t i = 0; i < q->alloc_count; i++) {
        allocation_free(q->allocs[i]);
    }
    free(q->allocs);
    free(q->blob);
    free(q->shape_blob);
    free(q->pause_reason);
    free(q->last_error);
    free(q);
}

void
alloc_destroy(struct alloc *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->queue_count; i++) {
        queue_free(a->queues[i]);
    }
    for (size_t i = 0; i < a->trial_count; i++) {
        free(a->trials[i]->blob);
        free(a->trials[i]);
    }
    free(a->queues);
    free(a->trials);
    free(a->gone);
    free(a->gone_at);
    free(a);
}

static void
touch(struct core *core, struct alloc_queue *q, struct allocation *a)
{
    q->changed = ++core->alloc->version;
    if (a != NULL) {
        a->changed = q->changed;
    }
}

static void
set_text(char **to, struct hq_str from)
{
    free(*to);
    *to = from.len == 0 ? NULL : hq_str_dupz(from);
}

/* ---- queues */
static struct alloc_params
pack_params(struct pack *p, const struct alloc_params *from)
{
    struct alloc_params to = *from;
    to.name = pack_str(p, from->name);
    to.additional_args = pack_strs(p, from->additional_args, from->additional_arg_count);
    to.worker_args = pack_strs(p, from->worker_args, from->worker_arg_count);
    to.start_cmd = pack_str(p, from->start_cmd);
    to.stop_cmd = pack_str(p, from->stop_cmd);
    to.wrap_cmd = pack_str(p, from->wrap_cmd);
    to.pools = pack_pools(p, &from->pools);
    return to;
}

struct alloc_params
alloc_params_copy(const struct alloc_params *from, void **ret_blob)
{
    struct pack p = {0};
    (void)pack_params(&p, from); /* measures */
    *ret_blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = *ret_blob};
    return pack_params(&p, from);
}

static void
apply_created(struct core *core, const struct record_alloc_queue *rec)
{
    struct alloc *all = core->alloc;
    if (rec->queue.v < core->next_queue) {
        return; /* known already */
    }
    struct alloc_queue *q = hq_xalloc(sizeof(*q));
    q->id = rec->queue;
    q->params = alloc_params_copy(&rec->params, &q->blob);
    q->owner_uid = rec->owner_uid;
    q->next_number = 1;
    hq_xgrow(&all->queues, &all->queue_cap, all->queue_count + 1, sizeof(*all->queues));
    all->queues[all->queue_count++] = q;
    core->next_queue = rec->queue.v + 1;
    touch(core, q, NULL);
    reply_remember_queue(core, rec->request_id, rec->owner_uid, rec->queue);
}

/* A removed queue without live allocations is no more. */
static void
reap(struct core *core, struct alloc_queue *q)
{
    struct alloc *all = core->alloc;
    if (!q->is_removed || q->live_count > 0) {
        return;
    }
    size_t ix = 0;
    while (all->queues[ix] != q) {
        ix++;
    }
    memmove(&all->queues[ix], &all->queues[ix + 1], (all->queue_count - ix - 1) * sizeof(*all->queues));
    all->queue_count--;
    hq_xgrow(&all->gone, &all->gone_cap, all->gone_count + 1, sizeof(*all->gone));
    hq_xgrow(&all->gone_at, &all->gone_at_cap, all->gone_count + 1, sizeof(*all->gone_at));
    all->gone[all->gone_count] = q->id.v;
    all->gone_at[all->gone_count++] = ++all->version;
    queue_free(q);
}

static void
apply_queue_event(struct core *core, const struct record *rec)
{
    struct alloc_queue *q = alloc_queue_find(core, rec->u.alloc_queue_event.queue);
    if (q == NULL) {
        return;
    }
    touch(core, q, NULL);
    if (rec->kind == RECORD_ALLOC_QUEUE_REMOVED) {
        q->is_removed = true;
        reap(core, q);
    } else if (rec->kind == RECORD_ALLOC_QUEUE_PAUSED) {
        q->is_paused = true;
        set_text(&q->pause_reason, rec->u.alloc_queue_event.text);
    } else {
        q->is_paused = false;
        set_text(&q->pause_reason, HQ_STR_NULL);
        q->submit_fails = 0; /* or it would pause itself again at once */
        q->alloc_fails = 0;
        q->step = 0;
    }
}

static void
apply_shape(struct core *core, const struct record_alloc_shape *rec)
{
    struct alloc_queue *q = alloc_queue_find(core, rec->queue);
    if (q == NULL) {
        return;
    }
    struct pack p = {0};
    (void)pack_pools(&p, &rec->pools); /* measures */
    void *blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = blob};
    q->shape = pack_pools(&p, &rec->pools);
    free(q->shape_blob);
    q->shape_blob = blob;
    touch(core, q, NULL);
}

/* ---- allocations */
/* The oldest of those that are over goes when there are too many. */
static void
drop_oldest(struct alloc_queue *q)
{
    if (q->alloc_count < ALLOC_KEPT_MAX + q->live_count) {
        return;
    }
    for (size_t i = 0; i < q->alloc_count; i++) {
        if (alloc_is_over(q->allocs[i])) {
            allocation_free(q->allocs[i]);
            memmove(&q->allocs[i], &q->allocs[i + 1], (q->alloc_count - i - 1) * sizeof(*q->allocs));
            q->alloc_count--;
            return;
        }
    }
}

static void
apply_planned(struct core *core, struct alloc_queue *q, const struct record_allocation *rec, hq_wall_ms at_ms)
{
    if (rec->number < q->next_number) {
        return; /* known already */
    }
    drop_oldest(q);
    struct allocation *a = hq_xalloc(sizeof(*a));
    a->number = rec->number;
    a->worker_count = rec->worker_count;
    a->work_dir = hq_str_dupz(rec->work_dir);
    a->planned_ms = at_ms;
    hq_xgrow(&q->allocs, &q->alloc_cap, q->alloc_count + 1, sizeof(*q->allocs));
    q->allocs[q->alloc_count++] = a;
    q->next_number = rec->number + 1;
    q->last_attempt_ms = at_ms;
    q->live_count++;
    touch(core, q, a);
}

static void
count_worker(struct allocation *a, const struct worker *w)
{
    bool is_quick = (w->reason == LOST_CONNECTION || w->reason == LOST_HEARTBEAT) &&
                    w->ended_ms - w->registered_ms <= ALLOC_QUICK_MS;
    a->lost++;
    a->lost_quick += is_quick;
}

static bool
is_of(const struct worker *w, const struct alloc_queue *q, const struct allocation *a)
{
    return a->id != NULL && w->config.manager == q->params.manager && hq_str_is(w->config.manager_job_id, a->id);
}

static void
apply_queued(struct core *core, struct alloc_queue *q, struct allocation *a, const struct record_allocation *rec,
             hq_wall_ms at_ms)
{
    if (a->state != ALLOC_PLANNED) {
        return;
    }
    a->state = ALLOC_QUEUED;
    a->queued_ms = at_ms;
    set_text(&a->id, rec->allocation_id);
    q->submit_fails = 0;
    q->step = q->alloc_fails == 0 ? 0 : q->step;
    set_text(&q->last_error, HQ_STR_NULL);
    for (size_t i = 0; i < core->worker_count; i++) { /* some may have been faster than the answer of the submission */
        struct worker *w = core->workers[i];
        if (is_of(w, q, a) && w->alloc_queue == 0 && w->registered_ms >= a->planned_ms) {
            w->alloc_queue = q->id.v;
            w->is_compact = q->params.is_compact;
            w->alloc_number = a->number;
            a->connected++;
            core->alloc->is_check_due = true;
            if (w->place == WORKER_LOST) {
                count_worker(a, w);
            }
        }
    }
}

static void
end_allocation(struct alloc_queue *q, struct allocation *a, bool is_failed, hq_wall_ms at_ms)
{
    a->state = is_failed ? ALLOC_FAILED : ALLOC_FINISHED;
    a->ended_ms = at_ms;
    q->live_count--;
}

static void
apply_finished(struct alloc_queue *q, struct allocation *a, const struct record_allocation *rec, hq_wall_ms at_ms)
{
    bool had_run = a->state == ALLOC_RUNNING;
    hq_wall_ms end_ms = rec->ended_ms > a->planned_ms && rec->ended_ms < at_ms ? rec->ended_ms : at_ms;
    if (a->started_ms == 0 && rec->started_ms >= a->planned_ms && rec->started_ms <= end_ms) {
        a->started_ms = rec->started_ms;
    }
    set_text(&a->text, rec->text);
    end_allocation(q, a, rec->is_failed, end_ms);
    if (a->started_ms != 0) {
        q->granted_ms += (end_ms - a->started_ms) * a->worker_count;
    }
    if (q->is_removed) {
        return;
    }
    if (rec->is_failed) {
        q->alloc_fails++;
        q->step++;
    } else if (had_run || a->started_ms != 0) {
        q->alloc_fails = 0;
        q->step = 0;
    }
}

static void
apply_refused(struct alloc_queue *q, struct allocation *a, const struct record_allocation *rec)
{
    q->submit_fails += rec->is_failed; /* else nobody's fault: the batch system was out of reach */
    q->step += rec->is_failed;
    set_text(&q->last_error, rec->text);
    size_t ix = 0;
    while (q->allocs[ix] != a) {
        ix++;
    }
    memmove(&q->allocs[ix], &q->allocs[ix + 1], (q->alloc_count - ix - 1) * sizeof(*q->allocs));
    q->alloc_count--;
    q->live_count--;
    allocation_free(a);
}

static void
apply_allocation(struct core *core, const struct record *rec)
{
    const struct record_allocation *body = &rec->u.allocation;
    struct alloc_queue *q = alloc_queue_find(core, body->queue);
    if (q == NULL) {
        return;
    }
    if (rec->kind == RECORD_ALLOCATION_PLANNED) {
        apply_planned(core, q, body, rec->time_ms);
        return;
    }
    struct allocation *a = alloc_find(q, body->number);
    if (a == NULL || alloc_is_over(a)) {
        return;
    }
    touch(core, q, a);
    if (rec->kind == RECORD_ALLOCATION_QUEUED) {
        apply_queued(core, q, a, body, rec->time_ms);
    } else if (rec->kind == RECORD_ALLOCATION_STARTED) {
        a->state = ALLOC_RUNNING;
        a->started_ms = rec->time_ms;
    } else if (rec->kind == RECORD_ALLOCATION_FINISHED) {
        apply_finished(q, a, body, rec->time_ms);
    } else {
        apply_refused(q, a, body);
    }
    reap(core, q);
}

bool
alloc_apply(struct core *core, const struct record *rec)
{
    if (rec->kind < RECORD_ALLOC_QUEUE_CREATED || rec->kind > RECORD_ALLOCATION_REFUSED) {
        return false;
    }
    if (rec->kind == RECORD_ALLOC_QUEUE_CREATED) {
        apply_created(core, &rec->u.alloc_queue);
    } else if (rec->kind == RECORD_ALLOC_QUEUE_SHAPE) {
        apply_shape(core, &rec->u.alloc_shape);
    } else if (rec->kind <= RECORD_ALLOC_QUEUE_RESUMED) {
        apply_queue_event(core, rec);
    } else {
        apply_allocation(core, rec);
    }
    return true;
}

/* ---- workers */
static struct allocation *
allocation_of(const struct core *core, const struct worker *w, struct alloc_queue **ret_queue)
{
    struct alloc_queue *q = w->alloc_queue == 0 ? NULL : alloc_queue_find(core, (hq_queue_id){w->alloc_queue});
    *ret_queue = q;
    return q == NULL ? NULL : alloc_find(q, w->alloc_number);
}

static void
attach(struct core *core, struct worker *w)
{
    if (w->config.manager == WORKER_MANAGER_NONE) {
        return;
    }
    for (size_t i = 0; i < core->alloc->queue_count; i++) {
        const struct alloc_queue *q = core->alloc->queues[i];
        for (size_t k = q->alloc_count; k > 0; k--) { /* ids are used again: the newest one */
            if (is_of(w, q, q->allocs[k - 1])) {
                w->alloc_queue = q->id.v;
                w->is_compact = q->params.is_compact;
                w->alloc_number = q->allocs[k - 1]->number;
                return;
            }
        }
    }
}

void
alloc_apply_worker(struct core *core, struct worker *w)
{
    struct alloc_queue *q;
    attach(core, w);
    struct allocation *a = allocation_of(core, w, &q);
    if (a != NULL) {
        a->connected++;
        core->alloc->is_check_due = true;
        touch(core, q, a);
    }
}

void
alloc_apply_worker_lost(struct core *core, const struct worker *w)
{
    struct alloc_queue *q;
    struct allocation *a = allocation_of(core, w, &q);
    if (a != NULL) {
        count_worker(a, w);
        core->alloc->is_check_due = true;
        touch(core, q, a);
    }
}

hq_ms
alloc_used_ms(const struct core *core, const struct alloc_queue *q, hq_wall_ms now_ms)
{
    hq_ms since_ms = HQ_MAX(now_ms - core->alloc->sampled_ms, (hq_ms)0);
    return q->used_ms + (hq_ms)q->busy_workers * since_ms;
}

void
alloc_sample(struct core *core, hq_wall_ms now_ms)
{
    struct alloc *all = core->alloc;
    for (size_t i = 0; i < all->queue_count; i++) {
        all->queues[i]->used_ms = alloc_used_ms(core, all->queues[i], now_ms);
        all->queues[i]->busy_workers = 0;
    }
    all->sampled_ms = now_ms;
    for (size_t i = 0; i < core->worker_count; i++) {
        const struct worker *w = core->workers[i];
        bool is_busy = w->place == WORKER_HERE && w->alloc_queue != 0 && (w->held > 0 || w->gang_job.v != 0);
        struct alloc_queue *q = is_busy ? alloc_queue_find(core, (hq_queue_id){w->alloc_queue}) : NULL;
        if (q != NULL) {
            q->busy_workers++;
        }
    }
}

/* ---- text */
void
alloc_dump(const struct core *core, struct hq_buf *out)
{
    for (size_t i = 0; i < core->alloc->queue_count; i++) {
        const struct alloc_queue *q = core->alloc->queues[i];
        hq_buf_printf(out, "queue %u next=%u fails=%u/%u step=%u attempt=%lld granted=%lld%s%s", q->id.v,
                      q->next_number, q->submit_fails, q->alloc_fails, q->step, (long long)q->last_attempt_ms,
                      (long long)q->granted_ms, q->is_paused ? " paused" : "", q->is_removed ? " removed" : "");
        for (size_t k = 0; k < q->shape.count; k++) {
            hq_buf_printf(out, " %.*s=", HQ_STR_FMT(q->shape.v[k].name));
            hq_pool_print_full(&q->shape.v[k], out);
        }
        hq_buf_byte(out, '\n');
        for (size_t k = 0; k < q->alloc_count; k++) {
            const struct allocation *a = q->allocs[k];
            hq_buf_printf(out, "  allocation %u %s workers=%u planned=%lld queued=%lld started=%lld ended=%lld",
                          a->number, alloc_state_name(a->state), a->worker_count, (long long)a->planned_ms,
                          (long long)a->queued_ms, (long long)a->started_ms, (long long)a->ended_ms);
            hq_buf_printf(out, " id=%s came=%u lost=%u\n", a->id == NULL ? "" : a->id, a->connected, a->lost);
        }
    }
}
