#include "hqd/core/alloc.h"

#include "common/mem.h"
#include "hqd/core/reply.h"

#include <stdlib.h>

static const char *const state_names[ALLOC_STATES] = {
    [ALLOC_PLANNED] = "planned",   [ALLOC_QUEUED] = "queued", [ALLOC_RUNNING] = "running",
    [ALLOC_FINISHED] = "finished", [ALLOC_FAILED] = "failed",
};

const char *
alloc_state_name(enum alloc_state s)
{
    return state_names[s];
}

bool
alloc_is_over(const struct allocation *a)
{
    return a->state == ALLOC_FINISHED || a->state == ALLOC_FAILED;
}

struct alloc_queue *
alloc_queue_find(const struct core *core, hq_queue_id id)
{
    for (size_t i = 0; i < core->alloc->queue_count; i++) {
        if (core->alloc->queues[i]->id.v == id.v) {
            return core->alloc->queues[i];
        }
    }
    return NULL;
}

struct allocation *
alloc_find(const struct alloc_queue *q, uint32_t number)
{
    for (size_t i = q->alloc_count; i > 0; i--) { /* asked for are the newest ones */
        if (q->allocs[i - 1]->number == number) {
            return q->allocs[i - 1];
        }
    }
    return NULL;
}

uint32_t
alloc_live_count(const struct core *core)
{
    uint32_t n = 0;
    for (size_t i = 0; i < core->alloc->queue_count; i++) {
        n += core->alloc->queues[i]->live_count;
    }
    return n;
}

/* ---- requests */
static struct alloc_queue *
shown_queue(const struct core *core, hq_queue_id id)
{
    struct alloc_queue *q = alloc_queue_find(core, id);
    return q == NULL || q->is_removed ? NULL : q;
}

static void
emit_queue_event(struct ctx *ctx, enum record_kind kind, hq_queue_id queue, struct hq_str text)
{
    struct record rec = {.kind = kind};
    rec.u.alloc_queue_event = (struct record_alloc_queue_event){.queue = queue, .text = text};
    core_emit(ctx, &rec);
}

static hq_queue_id
create_queue(struct ctx *ctx, const struct alloc_params *params, const struct input_client *from)
{
    struct record rec = {.kind = RECORD_ALLOC_QUEUE_CREATED};
    rec.u.alloc_queue = (struct record_alloc_queue){
        .queue = {ctx->core->next_queue},
        .params = *params,
        .owner_uid = from->uid,
        .request_id = from->request_id,
    };
    core_emit(ctx, &rec);
    return rec.u.alloc_queue.queue;
}

static void
begin_trial(struct ctx *ctx, const struct input *in)
{
    struct alloc *a = ctx->core->alloc;
    for (size_t i = 0; i < a->trial_count; i++) { /* asked again while it runs */
        if (in->from.request_id != 0 && a->trials[i]->from.request_id == in->from.request_id) {
            a->trials[i]->from.handle = in->from.handle;
            return;
        }
    }
    struct alloc_trial *t = hq_xalloc(sizeof(*t));
    t->id = ++a->next_trial;
    t->from = in->from;
    t->is_only = in->u.alloc_add.is_trial_only;
    t->params = alloc_params_copy(&in->u.alloc_add.params, &t->blob);
    hq_xgrow(&a->trials, &a->trial_cap, a->trial_count + 1, sizeof(*a->trials));
    a->trials[a->trial_count++] = t;
    a->version++;
}

void
alloc_on_add(struct ctx *ctx, const struct input *in)
{
    const struct input_alloc_add *add = &in->u.alloc_add;
    if (reply_repeat(ctx, in)) {
        return;
    }
    if (ctx->core->alloc->queue_count + ctx->core->alloc->trial_count >= ALLOC_QUEUES_MAX) {
        reply_error(ctx, in, -ENOSPC, "There are %u allocation queues already", ALLOC_QUEUES_MAX);
    } else if (add->with_trial || add->is_trial_only) {
        begin_trial(ctx, in);
    } else {
        reply_alloc_added(ctx, in, create_queue(ctx, &add->params, &in->from));
    }
}

void
alloc_on_pause(struct ctx *ctx, const struct input *in)
{
    const struct input_alloc_pause *p = &in->u.alloc_pause;
    if (shown_queue(ctx->core, p->queue) == NULL) {
        reply_error(ctx, in, -ENOENT, "Queue %u that should have been %s was not found", p->queue.v,
                    p->is_pause ? "paused" : "resumed");
        return;
    }
    emit_queue_event(ctx, p->is_pause ? RECORD_ALLOC_QUEUE_PAUSED : RECORD_ALLOC_QUEUE_RESUMED, p->queue, HQ_STR_NULL);
    reply_done(ctx, in);
}

void
alloc_on_remove(struct ctx *ctx, const struct input *in)
{
    const struct input_alloc_remove *r = &in->u.alloc_remove;
    const struct alloc_queue *q = shown_queue(ctx->core, r->queue);
    if (q == NULL) {
        reply_error(ctx, in, -ENOENT, "Allocation queue not found");
        return;
    }
    for (size_t i = 0; !r->is_forced && i < q->alloc_count; i++) {
        if (q->allocs[i]->state == ALLOC_RUNNING) {
            reply_error(ctx, in, -EBUSY,
                        "Allocation queue has running jobs, so it will not be removed. Use `--force` if you want to "
                        "remove the queue anyway");
            return;
        }
    }
    emit_queue_event(ctx, RECORD_ALLOC_QUEUE_REMOVED, r->queue, HQ_STR_NULL);
    reply_done(ctx, in);
}

/* ---- reports of hq-allocd */
static void
end_trial(struct ctx *ctx, const struct alloc_report *r)
{
    struct alloc *a = ctx->core->alloc;
    size_t ix = 0;
    while (ix < a->trial_count && a->trials[ix]->id != r->trial) {
        ix++;
    }
    if (ix == a->trial_count) {
        return; /* told before */
    }
    struct alloc_trial *t = a->trials[ix];
    struct input in = {.kind = INPUT_ALLOC_ADD, .from = t->from};
    if (r->a.is_failed) {
        reply_error(ctx, &in, -EREMOTEIO, "%.*s", HQ_STR_FMT(r->a.text));
    } else if (t->is_only) {
        reply_alloc_added(ctx, &in, (hq_queue_id){0});
    } else {
        reply_alloc_added(ctx, &in, create_queue(ctx, &t->params, &t->from));
        effects_own(ctx->fx, t->blob); /* the record points into it */
        t->blob = NULL;
    }
    a->trials[ix] = a->trials[--a->trial_count];
    a->version++;
    free(t->blob);
    free(t);
}

static void
set_reason(struct ctx *ctx, struct alloc_queue *q, struct allocation *a, const struct alloc_report *r)
{
    if (hq_str_eq(hq_str_from(a->reason), r->a.text) && a->is_reason_permanent == r->is_permanent) {
        return;
    }
    free(a->reason);
    a->reason = r->a.text.len == 0 ? NULL : hq_str_dupz(r->a.text);
    a->is_reason_permanent = r->is_permanent;
    (void)ctx;
    (void)q; /* shown to users only: hq-allocd is not told what it said itself */
}

static void
emit_allocation(struct ctx *ctx, enum record_kind kind, const struct record_allocation *body)
{
    struct record rec = {.kind = kind};
    rec.u.allocation = *body;
    core_emit(ctx, &rec);
}

/* Which record a report makes of an allocation in that state; 0 = none: repeated, or too late. */
static const enum record_kind report_record[ALLOC_REPORT_KINDS][ALLOC_STATES] = {
    [ALLOC_REPORT_QUEUED] = {[ALLOC_PLANNED] = RECORD_ALLOCATION_QUEUED},
    [ALLOC_REPORT_REFUSED] = {[ALLOC_PLANNED] = RECORD_ALLOCATION_REFUSED},
    [ALLOC_REPORT_STARTED] = {[ALLOC_QUEUED] = RECORD_ALLOCATION_STARTED},
    [ALLOC_REPORT_FINISHED] =
        {[ALLOC_QUEUED] = RECORD_ALLOCATION_FINISHED, [ALLOC_RUNNING] = RECORD_ALLOCATION_FINISHED},
};

static void
on_allocation_report(struct ctx *ctx, struct alloc_queue *q, const struct alloc_report *r)
{
    struct allocation *a = alloc_find(q, r->a.number);
    if (r->kind == ALLOC_REPORT_PLANNED) {
        if (a == NULL && r->a.number == q->next_number && !q->is_removed) {
            emit_allocation(ctx, RECORD_ALLOCATION_PLANNED, &r->a);
        }
        return;
    }
    if (a == NULL) {
        return;
    }
    if (r->kind == ALLOC_REPORT_REASON) {
        set_reason(ctx, q, a, r);
        return;
    }
    enum record_kind kind = report_record[r->kind][a->state];
    if (kind != 0) {
        struct record_allocation body = r->a;
        body.worker_count = a->worker_count;
        if (kind != RECORD_ALLOCATION_QUEUED) {
            body.allocation_id = hq_arena_str(&ctx->fx->arena, hq_str_from(a->id));
        }
        emit_allocation(ctx, kind, &body);
    }
}

void
alloc_on_reports(struct ctx *ctx, const struct input *in)
{
    for (size_t i = 0; i < in->u.alloc_reports.count; i++) {
        const struct alloc_report *r = &in->u.alloc_reports.v[i];
        if (r->kind == ALLOC_REPORT_TRIAL) {
            end_trial(ctx, r);
            continue;
        }
        struct alloc_queue *q = alloc_queue_find(ctx->core, r->a.queue);
        if (q == NULL || r->kind == ALLOC_REPORT_LEFT) {
            continue; /* the shell logs what was left */
        }
        if (r->kind == ALLOC_REPORT_REASON && r->a.number == 0) {
            q->next_attempt_ms = r->a.ended_ms; /* of the queue as a whole */
            continue;
        }
        if (r->kind == ALLOC_REPORT_PAUSED) {
            if (!q->is_paused && !q->is_removed) {
                emit_queue_event(ctx, RECORD_ALLOC_QUEUE_PAUSED, q->id, r->a.text);
            }
            continue;
        }
        on_allocation_report(ctx, q, r);
    }
}

/* ---- what workers tell */
static void
check_allocation(struct ctx *ctx, struct alloc_queue *q, struct allocation *a)
{
    struct record_allocation body = {.queue = q->id, .number = a->number, .worker_count = a->worker_count};
    body.allocation_id = hq_arena_str(&ctx->fx->arena, hq_str_from(a->id));
    if (a->state == ALLOC_QUEUED && a->connected > 0) {
        emit_allocation(ctx, RECORD_ALLOCATION_STARTED, &body);
    }
    if (a->state == ALLOC_RUNNING && a->lost >= a->worker_count) {
        body.is_failed = a->lost_quick == a->lost;
        body.text = body.is_failed ? HQ_STR("all its workers were lost soon after they came") : HQ_STR_NULL;
        emit_allocation(ctx, RECORD_ALLOCATION_FINISHED, &body);
    }
}

static void
check_shape(struct ctx *ctx, struct alloc_queue *q)
{
    const struct worker *newest = NULL;
    for (size_t i = ctx->core->worker_count; i > 0 && newest == NULL; i--) {
        const struct worker *w = ctx->core->workers[i - 1];
        newest = w->place == WORKER_HERE && w->alloc_queue == q->id.v ? w : NULL;
    }
    if (newest == NULL) {
        return;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf known = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf now = HQ_BUF_INIT;
    for (size_t i = 0; i < q->shape.count; i++) {
        hq_buf_str(&known, q->shape.v[i].name);
        hq_pool_print_full(&q->shape.v[i], &known);
    }
    for (size_t i = 0; i < newest->config.pools.count; i++) {
        hq_buf_str(&now, newest->config.pools.v[i].name);
        hq_pool_print_full(&newest->config.pools.v[i], &now);
    }
    if (!hq_str_eq(hq_buf_view(&known), hq_buf_view(&now))) {
        struct record rec = {.kind = RECORD_ALLOC_QUEUE_SHAPE};
        rec.u.alloc_shape = (struct record_alloc_shape){.queue = q->id, .pools = newest->config.pools};
        core_emit(ctx, &rec);
    }
}

void
alloc_check(struct ctx *ctx)
{
    struct alloc *all = ctx->core->alloc;
    if (!all->is_check_due) {
        return;
    }
    all->is_check_due = false;
    for (size_t i = 0; i < all->queue_count; i++) {
        struct alloc_queue *q = all->queues[i];
        hq_queue_id id = q->id;
        for (size_t k = 0; k < q->alloc_count && q->live_count > 0; k++) {
            check_allocation(ctx, q, q->allocs[k]);
            if (i >= all->queue_count || all->queues[i] != q) {
                break; /* that was the last one of a removed queue */
            }
        }
        q = alloc_queue_find(ctx->core, id);
        if (q != NULL) {
            check_shape(ctx, q);
        }
    }
}
