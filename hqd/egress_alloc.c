/* Queues and allocations as messages. */
#include "hqd/egress_alloc.h"

#include "hqd/convert.h"

static Hq__AllocationInfo *
out_allocation(const struct query_allocation *a, struct hq_arena *arena)
{
    Hq__AllocationInfo *m = hq_arena_alloc(arena, sizeof *m);
    hq__allocation_info__init(m);
    m->number = a->number;
    m->allocation_id = conv_bytes(a->allocation_id);
    m->state = (Hq__AllocState)a->state;
    m->worker_count = a->worker_count;
    m->work_dir = conv_bytes(a->work_dir);
    m->planned_ms = (uint64_t)a->planned_ms;
    m->queued_ms = (uint64_t)a->queued_ms;
    m->started_ms = (uint64_t)a->started_ms;
    m->ended_ms = (uint64_t)a->ended_ms;
    m->connected_count = a->connected;
    m->lost_count = a->lost;
    m->reason = conv_bytes(a->reason);
    m->is_reason_permanent = a->is_reason_permanent;
    m->text = conv_bytes(a->text);
    return m;
}

static Hq__AllocQueueInfo *
out_queue(const struct query_alloc_queue *q, struct hq_arena *arena)
{
    Hq__AllocQueueInfo *m = hq_arena_alloc(arena, sizeof *m);
    hq__alloc_queue_info__init(m);
    m->queue = q->queue.v;
    m->params = conv_out_alloc_params(q->params, arena);
    m->is_paused = q->is_paused;
    m->pause_reason = conv_bytes(q->pause_reason);
    m->known_pools = q->shape == NULL ? NULL : conv_out_pools(q->shape, arena);
    m->n_allocations = q->alloc_count;
    m->allocations = hq_arena_array(arena, q->alloc_count, sizeof m->allocations[0]);
    for (size_t i = 0; i < q->alloc_count; i++) {
        m->allocations[i] = out_allocation(&q->allocs[i], arena);
    }
    m->next_number = q->next_number;
    m->submit_fails = q->submit_fails;
    m->alloc_fails = q->alloc_fails;
    m->step = q->step;
    m->last_attempt_ms = (uint64_t)q->last_attempt_ms;
    m->is_removed = q->is_removed;
    m->queued_count = q->queued_count;
    m->running_count = q->running_count;
    m->next_attempt_ms = (uint64_t)q->next_attempt_ms;
    m->granted_ms = (uint64_t)q->granted_ms;
    m->used_ms = (uint64_t)q->used_ms;
    m->last_error = conv_bytes(q->last_error);
    return m;
}

Hq__AllocQueueInfo **
egress_alloc_queues(const struct query_alloc_list *list, struct hq_arena *arena)
{
    Hq__AllocQueueInfo **v = hq_arena_array(arena, list->count, sizeof *v);
    for (size_t i = 0; i < list->count; i++) {
        v[i] = out_queue(&list->queues[i], arena);
    }
    return v;
}
