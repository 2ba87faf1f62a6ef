/* hqd's queues and allocations as of its last answer. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/wire.h"
#include "hq-allocd/state.h"

#define HINT_MS 2000    /* from the loss of the last worker to the next look */
#define KEPT_MS 3600000 /* ended allocations, so that what of them shows up late is known */

struct mirror_queue *
mirror_queue(const struct allocd *a, uint32_t id)
{
    struct mirror_queue *q;
    LIST_FOREACH(q, &a->queues, link)
    {
        if (q->id == id) {
            return q;
        }
    }
    return NULL;
}

struct mirror_alloc *
mirror_alloc(const struct mirror_queue *q, uint32_t number)
{
    struct mirror_alloc *m;
    LIST_FOREACH(m, &q->allocs, link)
    {
        if (m->number == number) {
            return m;
        }
    }
    return NULL;
}

bool
mirror_is_live(const struct mirror_alloc *m)
{
    return m->state == HQ__ALLOC_STATE__ALLOC_PLANNED || m->state == HQ__ALLOC_STATE__ALLOC_QUEUED ||
           m->state == HQ__ALLOC_STATE__ALLOC_RUNNING;
}

const struct batch *
mirror_batch(const struct mirror_queue *q)
{
    return q->info->params->manager == HQ__MANAGER__MANAGER_PBS ? &batch_pbs : &batch_slurm;
}

uint32_t
mirror_manager(const struct batch *b)
{
    return b == &batch_pbs ? 0 : 1;
}

struct hq_str
mirror_script(const struct mirror_alloc *m, struct hq_arena *arena)
{
    return hq_str_from(hq_arena_printf(arena, "%s/hq-submit.sh", m->dir == NULL ? "" : m->dir));
}

static void
alloc_free(struct mirror_alloc *m)
{
    LIST_REMOVE(m, link);
    free(m->id);
    free(m->dir);
    free(m->reason);
    free(m->look.why);
    free(m);
}

static void
queue_free(struct mirror_queue *q)
{
    while (!LIST_EMPTY(&q->allocs)) {
        alloc_free(LIST_FIRST(&q->allocs));
    }
    LIST_REMOVE(q, link);
    hq_arena_fini(&q->arena);
    free(q);
}

void
mirror_clear(struct allocd *a)
{
    while (!LIST_EMPTY(&a->queues)) {
        queue_free(LIST_FIRST(&a->queues));
    }
    for (size_t i = 0; i < REFUSED_DIRS_KEPT; i++) {
        free(a->refused_dirs[i]);
        a->refused_dirs[i] = NULL;
    }
}

static void
set_text(char **to, ProtobufCBinaryData from)
{
    free(*to);
    *to = from.len == 0 ? NULL : hq_str_dupz(hq_str_make((const char *)from.data, from.len));
}

/* Ascending by number: so they are submitted. */
static void
insert(struct mirror_queue *q, struct mirror_alloc *m)
{
    struct mirror_alloc *before = NULL;
    struct mirror_alloc *at;
    LIST_FOREACH(at, &q->allocs, link)
    {
        if (at->number > m->number) {
            break;
        }
        before = at;
    }
    if (before == NULL) {
        LIST_INSERT_HEAD(&q->allocs, m, link);
    } else {
        LIST_INSERT_AFTER(before, m, link);
    }
}

static void
merge_alloc(struct mirror_queue *q, const Hq__AllocationInfo *m)
{
    hq_ms now_ms = hq_clock_ms();
    struct mirror_alloc *to = mirror_alloc(q, m->number);
    if (to == NULL) {
        to = hq_xalloc(sizeof *to);
        to->number = m->number;
        to->phase = PHASE_UNSURE;
        insert(q, to);
    } else if (m->lost_count != to->lost || m->connected_count != to->connected) {
        /* Workers that end tell of the end of their allocation. */
        track_hint(&to->track, now_ms, HINT_MS);
    }
    to->is_stale = false;
    if (to->state != m->state) {
        to->is_over_told = false;
        to->track.looks = 0;
    }
    to->state = m->state;
    to->worker_count = m->worker_count;
    to->connected = m->connected_count;
    to->lost = m->lost_count;
    to->track.has_run = to->track.has_run || m->connected_count > 0 || m->state == HQ__ALLOC_STATE__ALLOC_RUNNING;
    to->planned_ms = (hq_wall_ms)m->planned_ms;
    to->started_ms = (hq_wall_ms)m->started_ms;
    to->ended_ms = (hq_wall_ms)m->ended_ms;
    set_text(&to->id, m->allocation_id);
    set_text(&to->dir, m->work_dir);
}

/* The message lies in the turn's arena: what is kept is packed and unpacked into the queue's own. */
static bool
keep_info(struct mirror_queue *q, const Hq__AllocQueueInfo *m)
{
    size_t bytes = hq__alloc_queue_info__get_packed_size(m);
    uint8_t *packed = hq_xalloc(bytes + 1);
    (void)hq__alloc_queue_info__pack(m, packed);
    hq_arena_reset(&q->arena);
    ProtobufCMessage *copy = NULL;
    int rc = hq_wire_unpack(hq_str_make((const char *)packed, bytes), &hq__alloc_queue_info__descriptor, &q->arena,
                            &copy, NULL);
    free(packed);
    q->info = rc < 0 ? NULL : (const Hq__AllocQueueInfo *)(const void *)copy;
    return q->info != NULL && q->info->params != NULL;
}

static void
merge_queue(struct allocd *a, const Hq__AllocQueueInfo *m)
{
    struct mirror_queue *q = mirror_queue(a, m->queue);
    if (q == NULL) {
        q = hq_xalloc(sizeof *q);
        q->id = m->queue;
        hq_arena_init(&q->arena, 0);
        LIST_INIT(&q->allocs);
        LIST_INSERT_HEAD(&a->queues, q, link);
    }
    Hq__AllocQueueInfo slim = *m; /* without its allocations */
    slim.n_allocations = 0;
    if (!keep_info(q, &slim)) {
        queue_free(q); /* not of this version of ours */
        return;
    }
    q->is_stale = false;
    q->is_pause_told = q->is_pause_told && !m->is_paused;
    q->next_number = m->next_number;
    for (size_t i = 0; i < m->n_allocations; i++) {
        merge_alloc(q, m->allocations[i]);
    }
}

void
mirror_confirmed(struct allocd *a, uint32_t queue, uint32_t number)
{
    struct mirror_queue *q = mirror_queue(a, queue);
    struct mirror_alloc *m = q == NULL ? NULL : mirror_alloc(q, number);
    if (q != NULL && q->plans_out > 0) {
        q->plans_out--;
    }
    if (m != NULL && m->state == HQ__ALLOC_STATE__ALLOC_PLANNED && m->phase == PHASE_UNSURE && m->look.tries == 0 &&
        !m->look.is_running) {
        m->phase = PHASE_NEW;
    }
}

static void
keep_dir(struct allocd *a, char *dir)
{
    char **slot = &a->refused_dirs[a->refused_next++ % REFUSED_DIRS_KEPT];
    if (*slot != NULL) {
        files_begin_remove(a, *slot);
    }
    free(*slot);
    *slot = dir;
}

void
mirror_refused(struct allocd *a, uint32_t queue, uint32_t number)
{
    struct mirror_queue *q = mirror_queue(a, queue);
    struct mirror_alloc *m = q == NULL ? NULL : mirror_alloc(q, number);
    if (m != NULL && m->state == HQ__ALLOC_STATE__ALLOC_PLANNED) {
        keep_dir(a, m->dir);
        m->dir = NULL;
        alloc_free(m);
    }
}

static void
merge_demand(struct allocd *a, const Hq__AllocTurnAnswer *m)
{
    struct mirror_queue *q;
    LIST_FOREACH(q, &a->queues, link)
    {
        q->single = q->ending = 0;
        q->multi_count = 0;
    }
    for (size_t i = 0; i < m->n_demand; i++) {
        const Hq__AllocDemand *d = m->demand[i];
        q = mirror_queue(a, d->queue);
        if (q == NULL) {
            continue;
        }
        q->single = d->single;
        q->ending = d->ending;
        for (size_t k = 0; k < d->n_multi && q->multi_count < HQ_ARRAY_LEN(q->multi); k++) {
            q->multi[q->multi_count++] = (struct plan_nodes){.nodes = d->multi[k]->nodes, .count = d->multi[k]->count};
        }
    }
}

static void
drop_old(struct allocd *a)
{
    hq_wall_ms now_ms = hq_clock_wall_ms();
    struct mirror_queue *next_q;
    for (struct mirror_queue *q = LIST_FIRST(&a->queues); q != NULL; q = next_q) {
        next_q = LIST_NEXT(q, link);
        struct mirror_alloc *next;
        for (struct mirror_alloc *m = LIST_FIRST(&q->allocs); m != NULL; m = next) {
            next = LIST_NEXT(m, link);
            if (m->is_stale || (!mirror_is_live(m) && now_ms - m->ended_ms > KEPT_MS)) {
                alloc_free(m);
            }
        }
        if (q->is_stale) {
            queue_free(q);
        }
    }
}

static void
mark_stale(struct allocd *a)
{
    struct mirror_queue *q;
    struct mirror_alloc *m;
    LIST_FOREACH(q, &a->queues, link)
    {
        q->is_stale = true;
        LIST_FOREACH(m, &q->allocs, link)
        {
            m->is_stale = true;
        }
    }
}

void
mirror_merge(struct allocd *a, const Hq__AllocTurnAnswer *m)
{
    struct mirror_queue *q;
    if (m->is_full) {
        mark_stale(a);
    }
    for (size_t i = 0; i < m->n_queues; i++) {
        merge_queue(a, m->queues[i]);
    }
    for (size_t i = 0; i < m->n_gone; i++) {
        q = mirror_queue(a, m->gone[i]);
        if (q != NULL) {
            queue_free(q);
        }
    }
    drop_old(a);
    merge_demand(a, m);
    if (m->is_full) { /* an earlier process of ours may have left something */
        LIST_FOREACH(q, &a->queues, link)
        {
            strays_expect(a, mirror_batch(q));
        }
    }
    a->is_stopping = m->is_stopping;
}
