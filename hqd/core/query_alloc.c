#include "hqd/core/query_alloc.h"

#include "hqd/core/alloc.h"
#include "hqd/sched/demand.h"

#define RECENT_MS 3600000 /* ended ones that hq-allocd is told of: what of them shows up late is no stray */

uint32_t
query_alloc_ids(const struct core *core, struct hq_arena *arena, const uint32_t **ret, size_t *ret_count)
{
    const struct alloc *a = core->alloc;
    uint32_t *ids = hq_arena_array(arena, HQ_MAX(a->queue_count, (size_t)1), sizeof(*ids));
    for (size_t i = 0; i < a->queue_count; i++) {
        ids[i] = a->queues[i]->id.v;
    }
    *ret = ids;
    *ret_count = a->queue_count;
    return core->next_queue - 1;
}

uint64_t
query_alloc_version(const struct core *core)
{
    return core->alloc->version;
}

bool
query_alloc_is_needed(const struct core *core)
{
    return core->alloc->queue_count > 0 || core->alloc->trial_count > 0;
}

uint32_t
query_alloc_live_count(const struct core *core)
{
    return alloc_live_count(core);
}

static struct query_allocation
show_allocation(const struct allocation *a)
{
    return (struct query_allocation){
        .number = a->number,
        .allocation_id = hq_str_from(a->id),
        .state = a->state,
        .worker_count = a->worker_count,
        .work_dir = hq_str_from(a->work_dir),
        .planned_ms = a->planned_ms,
        .queued_ms = a->queued_ms,
        .started_ms = a->started_ms,
        .ended_ms = a->ended_ms,
        .connected = a->connected,
        .lost = a->lost,
        .reason = hq_str_from(a->reason),
        .is_reason_permanent = a->is_reason_permanent,
        .text = hq_str_from(a->text),
    };
}

static bool
is_shown(const struct query_alloc_args *args, const struct allocation *a)
{
    if (args->allocation_id.len > 0) {
        return a->id != NULL && hq_str_is(args->allocation_id, a->id);
    }
    if (!args->with_allocs || a->number <= args->after_number || (!args->with_planned && a->state == ALLOC_PLANNED)) {
        return false;
    }
    bool is_recent = args->since > 0 || !alloc_is_over(a) || args->now_ms - a->ended_ms < RECENT_MS;
    return args->only_live ? a->changed > args->since && is_recent : true;
}

static void
add_allocs(const struct alloc_queue *q, const struct query_alloc_args *args, size_t *bytes, struct hq_arena *arena,
           struct query_alloc_queue *to, bool *ret_has_more)
{
    size_t cap = 0;
    for (size_t i = 0; i < q->alloc_count; i++) {
        const struct allocation *a = q->allocs[i];
        if (!is_shown(args, a)) {
            continue;
        }
        if (*bytes >= args->bytes_max) {
            *ret_has_more = true;
            return;
        }
        hq_arena_grow(arena, &to->allocs, &cap, to->alloc_count + 1, sizeof(*to->allocs));
        to->allocs[to->alloc_count] = show_allocation(a);
        const struct query_allocation *shown = &to->allocs[to->alloc_count++];
        *bytes += 120 + shown->allocation_id.len + shown->work_dir.len + shown->reason.len + shown->text.len;
    }
}

static struct query_alloc_queue
show_queue(const struct core *core, const struct alloc_queue *q, hq_wall_ms now_ms)
{
    struct query_alloc_queue to = {
        .queue = q->id,
        .params = &q->params,
        .is_paused = q->is_paused,
        .is_removed = q->is_removed,
        .pause_reason = hq_str_from(q->pause_reason),
        .last_error = hq_str_from(q->last_error),
        .shape = q->shape.count > 0 ? &q->shape : NULL,
        .next_number = q->next_number,
        .submit_fails = q->submit_fails,
        .alloc_fails = q->alloc_fails,
        .step = q->step,
        .last_attempt_ms = q->last_attempt_ms,
        .next_attempt_ms = q->next_attempt_ms,
        .granted_ms = q->granted_ms,
        .used_ms = alloc_used_ms(core, q, now_ms),
    };
    for (size_t i = 0; i < q->alloc_count; i++) {
        const struct allocation *a = q->allocs[i];
        to.queued_count += a->state == ALLOC_PLANNED || a->state == ALLOC_QUEUED;
        to.running_count += a->state == ALLOC_RUNNING;
        if (a->state == ALLOC_RUNNING && a->started_ms < now_ms) {
            to.granted_ms += (now_ms - a->started_ms) * a->worker_count;
        }
    }
    return to;
}

void
query_alloc_list(const struct core *core, const struct query_alloc_args *args, struct hq_arena *arena,
                 struct query_alloc_list *ret)
{
    size_t bytes = 0;
    size_t cap = 0;
    *ret = (struct query_alloc_list){0};
    for (size_t i = 0; i < core->alloc->queue_count && !ret->has_more; i++) {
        const struct alloc_queue *q = core->alloc->queues[i];
        if ((args->queue.v != 0 && q->id.v != args->queue.v) || (q->is_removed && !args->with_removed) ||
            (args->since > 0 && q->changed <= args->since)) {
            continue;
        }
        struct query_alloc_queue to = show_queue(core, q, args->now_ms);
        add_allocs(q, args, &bytes, arena, &to, &ret->has_more);
        if (args->allocation_id.len > 0 && to.alloc_count == 0) {
            continue;
        }
        hq_arena_grow(arena, &ret->queues, &cap, ret->count + 1, sizeof(*ret->queues));
        ret->queues[ret->count++] = to;
    }
}

void
query_alloc_gone(const struct core *core, uint64_t since, struct hq_arena *arena, uint32_t **ret, size_t *ret_count)
{
    const struct alloc *a = core->alloc;
    size_t from = a->gone_count;
    while (from > 0 && a->gone_at[from - 1] > since) {
        from--;
    }
    *ret_count = a->gone_count - from;
    *ret = hq_arena_array(arena, HQ_MAX(*ret_count, (size_t)1), sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        (*ret)[i] = a->gone[from + i];
    }
}

void
query_alloc_trials(const struct core *core, struct hq_arena *arena, struct query_alloc_trial **ret, size_t *ret_count)
{
    const struct alloc *a = core->alloc;
    *ret = hq_arena_array(arena, HQ_MAX(a->trial_count, (size_t)1), sizeof(**ret));
    *ret_count = a->trial_count;
    for (size_t i = 0; i < a->trial_count; i++) {
        (*ret)[i] = (struct query_alloc_trial){.trial = a->trials[i]->id, .params = &a->trials[i]->params};
    }
}

void
query_demand(struct core *core, const struct core_now *now, struct hq_arena *arena, struct query_demand **ret,
             size_t *ret_count)
{
    alloc_sample(core, now->wall_ms);
    demand_count(core, now, arena, ret, ret_count);
}
