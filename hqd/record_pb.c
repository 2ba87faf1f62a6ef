#include "hqd/record_pb.h"

#include "hqd/convert.h"

/* ---- by hand: the records of assignments, starts and ends. Written from their last byte to their first, so that the
 * length of each part is known when it is written. Field numbers are those of proto/journal.proto and turn.proto. */

struct back {
    unsigned char *at; /* first byte written so far */
};

#define TAG_VARINT(field) (((uint32_t)(field) << 3) | 0u)
#define TAG_BYTES(field) (((uint32_t)(field) << 3) | 2u)
#define VARINT_BYTES_MAX 10u

static inline void
back_varint(struct back *b, uint64_t v)
{
    if (v < 0x80u) {
        *--b->at = (unsigned char)v;
        return;
    }
    unsigned bits = 64u - (unsigned)__builtin_clzll(v);
    unsigned bytes = (bits + 6u) / 7u;
    b->at -= bytes;
    unsigned char *p = b->at;
    for (unsigned i = 0; i + 1 < bytes; i++) {
        p[i] = (unsigned char)(v | 0x80u);
        v >>= 7;
    }
    p[bytes - 1] = (unsigned char)v;
}

static inline uint64_t
zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static void
back_field(struct back *b, unsigned field, uint64_t v)
{
    if (v != 0) { /* proto3: zero is not written */
        back_varint(b, v);
        back_varint(b, TAG_VARINT(field));
    }
}

/* Closes a part that began (that is: ends) at `end`. */
static void
back_close(struct back *b, unsigned field, const unsigned char *end)
{
    back_varint(b, (uint64_t)(end - b->at));
    back_varint(b, TAG_BYTES(field));
}

static void
back_ranges(struct back *b, unsigned field, const struct hq_ranges *r)
{
    const unsigned char *end = b->at;
    if (r->count > 0) {
        for (size_t i = r->count; i-- > 0;) {
            back_varint(b, r->v[i].step);
            back_varint(b, r->v[i].count);
            back_varint(b, r->v[i].first);
        }
        back_close(b, 1, end); /* packed */
    }
    back_close(b, field, end);
}

static void
back_times(struct back *b, unsigned field, const struct task_times *t)
{
    if (t->count == 0) {
        return;
    }
    const unsigned char *end = b->at;
    if (t->duration_ms != NULL) {
        for (size_t i = t->count; i-- > 0;) {
            back_varint(b, t->duration_ms[i]);
        }
        back_close(b, 3, end);
    }
    const unsigned char *started_end = b->at;
    for (size_t i = t->count; i-- > 0;) {
        back_varint(b, zigzag(t->started[i]));
    }
    back_close(b, 2, started_end);
    back_field(b, 1, (uint64_t)t->base_ms);
    back_close(b, field, end);
}

static void
back_nodes(struct back *b, unsigned field, const uint32_t *nodes, size_t count)
{
    const unsigned char *end = b->at;
    if (count == 0) {
        return;
    }
    for (size_t i = count; i-- > 0;) {
        back_varint(b, nodes[i]);
    }
    back_close(b, field, end);
}

static void
back_assigned(struct back *b, const struct record_tasks_assigned *t)
{
    back_nodes(b, 6, t->nodes, t->node_count);
    back_ranges(b, 5, &t->ids);
    back_field(b, 4, t->variant);
    back_field(b, 3, t->instance);
    back_field(b, 2, t->job.v);
    back_field(b, 1, t->worker.v);
}

static void
back_started(struct back *b, const struct record_tasks_started *t)
{
    back_nodes(b, 3, t->nodes, t->node_count);
    const unsigned char *end = b->at;
    back_times(b, 5, &t->tasks.times);
    back_ranges(b, 4, &t->tasks.ids);
    back_field(b, 3, t->tasks.variant);
    back_field(b, 2, t->tasks.instance);
    back_field(b, 1, t->tasks.job.v);
    back_close(b, 2, end);
    back_field(b, 1, t->worker.v);
}

static void
back_finished(struct back *b, const struct record_tasks_finished *t)
{
    const unsigned char *end = b->at;
    back_times(b, 5, &t->tasks.times);
    back_ranges(b, 4, &t->tasks.ids);
    back_field(b, 3, t->tasks.variant);
    back_field(b, 2, t->tasks.instance);
    back_field(b, 1, t->tasks.job.v);
    back_close(b, 2, end);
    back_field(b, 1, t->worker.v);
}

#define HAND_BYTES(ranges, times, nodes)                                                                               \
    (256u + VARINT_BYTES_MAX * (3u * (ranges) + 2u * (times) + (nodes)))

static bool
encode_by_hand(const struct record *rec, struct hq_arena *arena, struct hq_buf *out)
{
    size_t bytes;
    if (rec->kind == RECORD_TASKS_ASSIGNED) {
        const struct record_tasks_assigned *t = &rec->u.tasks_assigned;
        bytes = HAND_BYTES(t->ids.count, 0, t->node_count);
    } else if (rec->kind == RECORD_TASKS_STARTED) {
        const struct record_tasks_started *t = &rec->u.tasks_started;
        bytes = HAND_BYTES(t->tasks.ids.count, t->tasks.times.count, t->node_count);
    } else if (rec->kind == RECORD_TASKS_FINISHED) {
        const struct record_tasks_finished *t = &rec->u.tasks_finished;
        bytes = HAND_BYTES(t->tasks.ids.count, t->tasks.times.count, 0);
    } else {
        return false;
    }
    unsigned char *scratch = hq_arena_alloc(arena, bytes);
    unsigned char *end = scratch + bytes;
    struct back b = {.at = end};
    if (rec->kind == RECORD_TASKS_ASSIGNED) {
        back_assigned(&b, &rec->u.tasks_assigned);
    } else if (rec->kind == RECORD_TASKS_STARTED) {
        back_started(&b, &rec->u.tasks_started);
    } else {
        back_finished(&b, &rec->u.tasks_finished);
    }
    back_close(&b, (unsigned)rec->kind, end);
    back_field(&b, 2, (uint64_t)rec->time_ms);
    HQ_ASSERT(b.at >= scratch);
    hq_buf_add(out, b.at, (size_t)(end - b.at));
    return true;
}

/* ---- by protobuf-c */

#define NEW(Type, init)                                                                                                \
    Type *m = hq_arena_alloc(arena, sizeof *m);                                                                        \
    init(m)

static Hq__ServerStarted *
out_server_started(const struct record_server_started *r, struct hq_arena *arena)
{
    NEW(Hq__ServerStarted, hq__server_started__init);
    m->server_uid = conv_bytes(r->server_uid);
    m->incarnation = conv_bytes(r->incarnation);
    m->version = conv_bytes(r->version);
    m->boot_id = conv_bytes(r->boot_id);
    m->host = conv_bytes(r->host);
    m->pid = r->pid;
    return m;
}

static Hq__WorkerConnected *
out_worker_connected(const struct record_worker_connected *r, struct hq_arena *arena)
{
    NEW(Hq__WorkerConnected, hq__worker_connected__init);
    m->worker = r->worker.v;
    m->config = conv_out_config(&r->config, arena);
    m->incarnation = conv_bytes(r->incarnation);
    m->started_ms = (uint64_t)r->started_ms;
    return m;
}

static Hq__WorkerLost *
out_worker_lost(const struct record_worker_lost *r, struct hq_arena *arena)
{
    NEW(Hq__WorkerLost, hq__worker_lost__init);
    m->worker = r->worker.v;
    m->reason = (Hq__WorkerLostReason)r->reason;
    return m;
}

static Hq__WorkerOverview *
out_worker_overview(const struct record_worker_overview *r, struct hq_arena *arena)
{
    NEW(Hq__WorkerOverview, hq__worker_overview__init);
    m->worker = r->worker.v;
    m->overview = conv_out_overview(&r->overview, arena);
    return m;
}

static Hq__JobOpened *
out_job_opened(const struct record_job_opened *r, struct hq_arena *arena)
{
    NEW(Hq__JobOpened, hq__job_opened__init);
    m->job = r->job.v;
    m->name = conv_bytes(r->name);
    m->has_max_fails = r->has_max_fails;
    m->max_fails = r->max_fails;
    m->submit_dir = conv_bytes(r->submit_dir);
    m->owner_uid = r->owner_uid;
    m->request_id = r->request_id;
    return m;
}

static Hq__SubmitPartStored *
out_part(uint64_t upload_id, const struct submit_part *p, struct hq_arena *arena)
{
    NEW(Hq__SubmitPartStored, hq__submit_part_stored__init);
    m->upload_id = upload_id;
    m->n_descs = p->desc_count;
    m->descs = hq_arena_array(arena, p->desc_count, sizeof m->descs[0]);
    for (size_t i = 0; i < p->desc_count; i++) {
        m->descs[i] = conv_out_desc(&p->descs[i], arena);
    }
    m->ids = p->ids.count == 0 ? NULL : conv_out_ranges(&p->ids, arena);
    m->entries = conv_out_entries(&p->entries, arena);
    m->graph = conv_out_graph(&p->graph, arena);
    m->stdin = conv_bytes(p->stdin_data);
    return m;
}

static Hq__JobSubmitted *
out_job_submitted(const struct record_job_submitted *r, struct hq_arena *arena)
{
    NEW(Hq__JobSubmitted, hq__job_submitted__init);
    m->job = r->job.v;
    m->is_new = r->is_new;
    m->name = conv_bytes(r->name);
    m->has_max_fails = r->has_max_fails;
    m->max_fails = r->max_fails;
    m->submit_dir = conv_bytes(r->submit_dir);
    m->stream_dir = conv_bytes(r->stream_dir);
    m->owner_uid = r->owner_uid;
    m->request_id = r->request_id;
    m->upload_id = r->upload_id;
    m->part_count = r->part_count;
    m->part = out_part(0, &r->part, arena);
    m->is_graph = r->is_graph;
    m->ids = r->ids.count == 0 ? NULL : conv_out_ranges(&r->ids, arena);
    m->own_name = conv_bytes(r->own_name);
    return m;
}

static Hq__JobCancelRecord *
out_job_canceled(const struct record_job_canceled *r, struct hq_arena *arena)
{
    NEW(Hq__JobCancelRecord, hq__job_cancel_record__init);
    m->job = r->job.v;
    m->has_reason = r->has_reason;
    m->reason = conv_bytes(r->reason);
    return m;
}

static Hq__TasksEndedRecord *
out_tasks_ended(const struct record_tasks_ended *r, struct hq_arena *arena)
{
    NEW(Hq__TasksEndedRecord, hq__tasks_ended_record__init);
    m->job = r->job.v;
    m->ids = conv_out_ranges(&r->ids, arena);
    return m;
}

static Hq__TasksUnassigned *
out_tasks_unassigned(const struct record_tasks_unassigned *r, struct hq_arena *arena)
{
    NEW(Hq__TasksUnassigned, hq__tasks_unassigned__init);
    m->worker = r->worker.v;
    m->job = r->job.v;
    m->ids = conv_out_ranges(&r->ids, arena);
    return m;
}

static Hq__TaskFailedRecord *
out_task_failed(const struct record_task_failed *r, struct hq_arena *arena)
{
    NEW(Hq__TaskFailedRecord, hq__task_failed_record__init);
    m->worker = r->worker.v;
    m->task = conv_out_failed(&r->task, arena);
    return m;
}

static Hq__TasksRestarted *
out_tasks_restarted(const struct record_tasks_restarted *r, struct hq_arena *arena)
{
    NEW(Hq__TasksRestarted, hq__tasks_restarted__init);
    m->job = r->job.v;
    m->ids = conv_out_ranges(&r->ids, arena);
    m->is_crash = r->is_crash;
    return m;
}

static Hq__TaskNotified *
out_task_notified(const struct record_task_notified *r, struct hq_arena *arena)
{
    NEW(Hq__TaskNotified, hq__task_notified__init);
    m->worker = r->worker.v;
    m->job = r->notify.job.v;
    m->task = r->notify.task;
    m->message = conv_bytes(r->notify.message);
    return m;
}

static Hq__Counters *
out_counters(const struct record_counters *r, struct hq_arena *arena)
{
    NEW(Hq__Counters, hq__counters__init);
    m->next_job = r->next_job;
    m->next_worker = r->next_worker;
    m->next_queue = r->next_queue;
    m->server_uid = conv_bytes(r->server_uid);
    return m;
}

static Hq__AllocQueueCreated *
out_alloc_queue(const struct record_alloc_queue *r, struct hq_arena *arena)
{
    NEW(Hq__AllocQueueCreated, hq__alloc_queue_created__init);
    m->queue = r->queue.v;
    m->params = conv_out_alloc_params(&r->params, arena);
    m->owner_uid = r->owner_uid;
    m->request_id = r->request_id;
    return m;
}

static void
out_alloc(const struct record *rec, Hq__Record *m, struct hq_arena *arena)
{
    if (rec->kind == RECORD_ALLOC_QUEUE_CREATED) {
        m->alloc_queue_created = out_alloc_queue(&rec->u.alloc_queue, arena);
    } else if (rec->kind == RECORD_ALLOC_QUEUE_SHAPE) {
        m->alloc_queue_shape = hq_arena_alloc(arena, sizeof *m->alloc_queue_shape);
        hq__alloc_queue_shape__init(m->alloc_queue_shape);
        m->alloc_queue_shape->queue = rec->u.alloc_shape.queue.v;
        m->alloc_queue_shape->pools = conv_out_pools(&rec->u.alloc_shape.pools, arena);
    } else if (rec->kind <= RECORD_ALLOC_QUEUE_RESUMED) {
        Hq__AllocQueueEvent *e = hq_arena_alloc(arena, sizeof *e);
        hq__alloc_queue_event__init(e);
        e->queue = rec->u.alloc_queue_event.queue.v;
        e->text = conv_bytes(rec->u.alloc_queue_event.text);
        m->alloc_queue_removed = e; /* the bodies of a oneof share their place */
    } else {
        m->allocation_planned = conv_out_allocation(&rec->u.allocation, arena);
    }
}

/* JobClosed, JobCompleted and JobIdle differ in their type only. */
static void
out_job_only(const struct record *rec, Hq__Record *m, struct hq_arena *arena)
{
    if (rec->kind == RECORD_JOB_CLOSED) {
        m->job_closed = hq_arena_alloc(arena, sizeof *m->job_closed);
        hq__job_closed__init(m->job_closed);
        m->job_closed->job = rec->u.job.job.v;
    } else if (rec->kind == RECORD_JOB_COMPLETED) {
        m->job_completed = hq_arena_alloc(arena, sizeof *m->job_completed);
        hq__job_completed__init(m->job_completed);
        m->job_completed->job = rec->u.job.job.v;
    } else {
        m->job_idle = hq_arena_alloc(arena, sizeof *m->job_idle);
        hq__job_idle__init(m->job_idle);
        m->job_idle->job = rec->u.job.job.v;
    }
}

static void
out_body(const struct record *rec, Hq__Record *m, struct hq_arena *arena)
{
    switch (rec->kind) {
    case RECORD_SERVER_STARTED:
        m->server_started = out_server_started(&rec->u.server_started, arena);
        break;
    case RECORD_SERVER_STOPPED:
        m->server_stopped = hq_arena_alloc(arena, sizeof *m->server_stopped);
        hq__server_stopped__init(m->server_stopped);
        break;
    case RECORD_WORKER_CONNECTED:
        m->worker_connected = out_worker_connected(&rec->u.worker_connected, arena);
        break;
    case RECORD_WORKER_LOST:
        m->worker_lost = out_worker_lost(&rec->u.worker_lost, arena);
        break;
    case RECORD_WORKER_OVERVIEW:
        m->worker_overview = out_worker_overview(&rec->u.worker_overview, arena);
        break;
    case RECORD_JOB_OPENED:
        m->job_opened = out_job_opened(&rec->u.job_opened, arena);
        break;
    case RECORD_SUBMIT_PART:
        m->submit_part = out_part(rec->u.submit_part.upload_id, &rec->u.submit_part.part, arena);
        break;
    case RECORD_JOB_SUBMITTED:
        m->job_submitted = out_job_submitted(&rec->u.job_submitted, arena);
        break;
    case RECORD_JOB_CANCELED:
        m->job_canceled = out_job_canceled(&rec->u.job_canceled, arena);
        break;
    case RECORD_JOB_FORGOTTEN:
        m->job_forgotten = hq_arena_alloc(arena, sizeof *m->job_forgotten);
        hq__job_forgotten_record__init(m->job_forgotten);
        m->job_forgotten->jobs = conv_out_ranges(&rec->u.job_forgotten.jobs, arena);
        break;
    case RECORD_JOB_CLOSED:
    case RECORD_JOB_COMPLETED:
    case RECORD_JOB_IDLE:
        out_job_only(rec, m, arena);
        break;
    case RECORD_TASKS_UNASSIGNED:
        m->tasks_unassigned = out_tasks_unassigned(&rec->u.tasks_unassigned, arena);
        break;
    case RECORD_TASK_FAILED:
        m->task_failed = out_task_failed(&rec->u.task_failed, arena);
        break;
    case RECORD_TASKS_CANCELED:
        m->tasks_canceled = out_tasks_ended(&rec->u.tasks_ended, arena);
        break;
    case RECORD_TASKS_ABORTED:
        m->tasks_aborted = out_tasks_ended(&rec->u.tasks_ended, arena);
        break;
    case RECORD_TASKS_RESTARTED:
        m->tasks_restarted = out_tasks_restarted(&rec->u.tasks_restarted, arena);
        break;
    case RECORD_TASK_NOTIFIED:
        m->task_notified = out_task_notified(&rec->u.task_notified, arena);
        break;
    case RECORD_COUNTERS:
        m->counters = out_counters(&rec->u.counters, arena);
        break;
    case RECORD_ALLOC_QUEUE_CREATED:
    case RECORD_ALLOC_QUEUE_REMOVED:
    case RECORD_ALLOC_QUEUE_PAUSED:
    case RECORD_ALLOC_QUEUE_RESUMED:
    case RECORD_ALLOC_QUEUE_SHAPE:
    case RECORD_ALLOCATION_PLANNED:
    case RECORD_ALLOCATION_QUEUED:
    case RECORD_ALLOCATION_STARTED:
    case RECORD_ALLOCATION_FINISHED:
    case RECORD_ALLOCATION_REFUSED:
        out_alloc(rec, m, arena);
        break;
    case RECORD_TASKS_ASSIGNED:
    case RECORD_TASKS_STARTED:
    case RECORD_TASKS_FINISHED:
    case RECORD_JOB_SNAPSHOT: /* prune keeps the records of living jobs as they are: nobody emits snapshots */
        HQ_ASSERT(rec->kind == RECORD_COUNTERS);
        break;
    }
}

void
record_pb_encode(const struct record *rec, struct hq_arena *arena, struct hq_buf *out)
{
    if (encode_by_hand(rec, arena, out)) {
        return;
    }
    Hq__Record m;
    hq__record__init(&m);
    m.time_ms = (uint64_t)rec->time_ms;
    m.body_case = (Hq__Record__BodyCase)rec->kind;
    out_body(rec, &m, arena);
    size_t bytes = hq__record__get_packed_size(&m);
    hq_buf_reserve(out, bytes);
    out->len += hq__record__pack(&m, (uint8_t *)out->ptr + out->len);
    out->ptr[out->len] = '\0';
}
