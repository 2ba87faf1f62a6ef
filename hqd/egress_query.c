#include "hqd/egress.h"

#include "hqd/convert.h"

#define UNCONST(type, p) ((type)(uintptr_t)(p)) /* protobuf-c has no const; packing only reads */

/* ---- jobs. Rows of long lists are packed by hand, straight behind the envelope: 10,000 of them as protobuf-c structs cost more
 * in page faults than all the rest of the answer. Field numbers are those of JobInfo and JobCounts. */

#define VARINT_BYTES_MAX 10u
#define ROW_FIXED_BYTES (14u * (VARINT_BYTES_MAX + 1u)) /* all of a row but its texts */

static inline size_t
put_varint(unsigned char *p, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80u; v >>= 7) {
        p[n++] = (unsigned char)(v | 0x80u);
    }
    p[n++] = (unsigned char)v;
    return n;
}

static inline size_t
put_field(unsigned char *p, unsigned field, uint64_t v)
{
    if (v == 0) {
        return 0; /* proto3 */
    }
    p[0] = (unsigned char)(field << 3);
    return 1 + put_varint(p + 1, v);
}

static size_t
put_bytes(unsigned char *p, unsigned field, const void *bytes, size_t len)
{
    if (len == 0) {
        return 0;
    }
    p[0] = (unsigned char)((field << 3) | 2u);
    size_t n = 1 + put_varint(p + 1, len);
    memcpy(p + n, bytes, len);
    return n + len;
}

static void
add_job_row(struct hq_buf *out, unsigned field, const struct query_job *j)
{
    unsigned char counts[6 * (VARINT_BYTES_MAX + 1)];
    size_t counts_len = 0;
    const uint64_t values[] = {j->counts.waiting,
                               j->counts.running,
                               j->counts.finished,
                               j->counts.failed,
                               j->counts.canceled,
                               j->counts.aborted};
    for (unsigned i = 0; i < HQ_ARRAY_LEN(values); i++) {
        counts_len += put_field(counts + counts_len, i + 1, values[i]);
    }
    hq_buf_reserve(out, ROW_FIXED_BYTES + j->name.len + j->cancel_reason.len);
    /* The row's length stands before it: it is written behind a gap for the length, which is closed then. */
    unsigned char *begin = (unsigned char *)out->ptr + out->len;
    unsigned char *row = begin + 1 + VARINT_BYTES_MAX;
    size_t n = put_field(row, 1, j->job.v);
    n += put_bytes(row + n, 2, j->name.ptr, j->name.len);
    row[n++] = (3u << 3) | 2u; /* also when all are zero: readers expect the message */
    n += put_varint(row + n, counts_len);
    memcpy(row + n, counts, counts_len);
    n += counts_len;
    n += put_field(row + n, 4, j->is_open);
    n += put_field(row + n, 5, j->has_cancel_reason);
    n += put_bytes(row + n, 6, j->cancel_reason.ptr, j->cancel_reason.len);
    n += put_field(row + n, 7, j->owner_uid);
    begin[0] = (unsigned char)((field << 3) | 2u);
    size_t head = 1 + put_varint(begin + 1, n);
    memmove(begin + head, row, n);
    out->len += head + n;
    out->ptr[out->len] = '\0';
}

static void
add_job_rows(struct hq_buf *out, unsigned field, const struct query_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_job_row(out, field, &jobs[i]);
    }
}

void
egress_job_list(struct hq_buf *out, uint64_t request_id, const struct query_job_list *l)
{
    Hq__JobListAnswer m;
    hq__job_list_answer__init(&m);
    m.total_count = l->total_count;
    m.n_not_found = l->not_found_count;
    m.not_found = UNCONST(uint32_t *, l->not_found);
    m.has_more = l->has_more;
    m.last_job = l->last_job.v;
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_JOB_LIST_ANSWER, request_id, &m.base);
    add_job_rows(out, 1, l->jobs, l->count); /* JobListAnswer.jobs */
}

void
egress_job_watch(struct hq_buf *out, uint64_t request_id, const struct query_watch *w, struct hq_str incarnation)
{
    Hq__JobWatchAnswer m;
    hq__job_watch_answer__init(&m);
    m.version = w->version;
    m.n_not_found = w->not_found_count;
    m.not_found = UNCONST(uint32_t *, w->not_found);
    m.hqd_incarnation = conv_bytes(incarnation);
    m.is_stopping = w->is_stopping;
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_JOB_WATCH_ANSWER, request_id, &m.base);
    add_job_rows(out, 2, w->jobs, w->count); /* JobWatchAnswer.jobs */
}

static Hq__WorkerInfo *
out_worker(const struct query_worker *w, struct hq_arena *arena)
{
    Hq__WorkerInfo *m = hq_arena_alloc(arena, sizeof *m);
    hq__worker_info__init(m);
    m->worker = w->worker.v;
    m->config = conv_out_config(w->config, arena);
    m->started_ms = (uint64_t)w->started_ms;
    m->ended_ms = (uint64_t)w->ended_ms;
    m->reason = (Hq__WorkerLostReason)w->reason;
    m->assigned_tasks = w->assigned_tasks;
    m->running_tasks = w->running_tasks;
    m->is_reserved = w->is_reserved;
    m->multi_node = w->multi_node;
    m->last_job = w->last_job.v;
    m->last_task = w->last_task;
    m->last_started_ms = (uint64_t)w->last_started_ms;
    return m;
}

void
egress_worker_list(struct hq_buf *out, uint64_t request_id, const struct query_worker_list *l, struct hq_arena *arena)
{
    Hq__WorkerListAnswer m;
    hq__worker_list_answer__init(&m);
    m.n_workers = l->count;
    m.workers = hq_arena_array(arena, l->count, sizeof m.workers[0]);
    for (size_t i = 0; i < l->count; i++) {
        m.workers[i] = out_worker(&l->workers[i], arena);
    }
    m.n_not_found = l->not_found_count;
    m.not_found = UNCONST(uint32_t *, l->not_found);
    m.has_more = l->has_more;
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_WORKER_LIST_ANSWER, request_id, &m.base);
}

void
egress_explain(struct hq_buf *out, uint64_t request_id, const struct query_explain *e, struct hq_arena *arena)
{
    Hq__TaskExplainAnswer m;
    hq__task_explain_answer__init(&m);
    m.job = e->job.v;
    m.task = e->task;
    m.dep_count = e->dep_count;
    m.waiting_deps = e->waiting_deps;
    m.n_items = e->count;
    m.items = hq_arena_array(arena, e->count, sizeof m.items[0]);
    for (size_t i = 0; i < e->count; i++) {
        Hq__ExplainItem *w = hq_arena_alloc(arena, sizeof *w);
        hq__explain_item__init(w);
        w->worker = e->items[i].worker.v;
        w->variant = e->items[i].variant;
        w->kind = (Hq__ExplainKind)e->items[i].kind;
        w->type = conv_bytes(e->items[i].name);
        w->provided = e->items[i].provided;
        w->requested = e->items[i].requested;
        w->is_unlimited = e->items[i].is_unlimited;
        w->is_enough = e->items[i].is_enough;
        m.items[i] = w;
    }
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_TASK_EXPLAIN_ANSWER, request_id, &m.base);
}
_Static_assert((int)QUERY_EXPLAIN_TIME == HQ__EXPLAIN_KIND__EXPLAIN_TIME &&
                   (int)QUERY_EXPLAIN_NODES == HQ__EXPLAIN_KIND__EXPLAIN_NODES,
               "kinds have the numbers of the wire");

static Hq__JobInfo *
out_job(const struct query_job *j, struct hq_arena *arena)
{
    struct both {
        Hq__JobInfo info;
        Hq__JobCounts counts;
    } *b = hq_arena_alloc(arena, sizeof *b);
    hq__job_info__init(&b->info);
    hq__job_counts__init(&b->counts);
    b->counts.waiting = j->counts.waiting;
    b->counts.running = j->counts.running;
    b->counts.finished = j->counts.finished;
    b->counts.failed = j->counts.failed;
    b->counts.canceled = j->counts.canceled;
    b->counts.aborted = j->counts.aborted;
    b->info.job = j->job.v;
    b->info.name = conv_bytes(j->name);
    b->info.counts = &b->counts;
    b->info.is_open = j->is_open;
    b->info.has_cancel_reason = j->has_cancel_reason;
    b->info.cancel_reason = conv_bytes(j->cancel_reason);
    b->info.owner_uid = j->owner_uid;
    return &b->info;
}

static Hq__SubmitInfo *
out_submit(const struct query_submit *s, struct hq_arena *arena)
{
    Hq__SubmitInfo *m = hq_arena_alloc(arena, sizeof *m);
    hq__submit_info__init(m);
    m->submit_dir = conv_bytes(s->submit_dir);
    m->stream_dir = conv_bytes(s->stream_dir);
    m->submitted_ms = (uint64_t)s->submitted_ms;
    m->is_graph = s->is_graph;
    m->ids = conv_out_ranges(&s->ids, arena);
    m->task_count = s->task_count;
    m->first_desc = s->first_desc;
    m->desc_count = s->desc_count;
    return m;
}

void
egress_job_detail(struct hq_buf *out, uint64_t request_id, const struct query_job_detail *d, hq_wall_ms now_ms,
                  struct hq_str server_uid, struct hq_arena *arena)
{
    Hq__JobDetailAnswer m;
    hq__job_detail_answer__init(&m);
    m.info = out_job(&d->info, arena);
    m.has_max_fails = d->has_max_fails;
    m.max_fails = d->max_fails;
    m.submitted_ms = (uint64_t)d->submitted_ms;
    m.finished_ms = (uint64_t)d->finished_ms;
    m.n_submits = d->submit_count;
    m.submits = hq_arena_array(arena, d->submit_count, sizeof m.submits[0]);
    for (size_t i = 0; i < d->submit_count; i++) {
        m.submits[i] = out_submit(&d->submits[i], arena);
    }
    m.n_descs = d->desc_count;
    m.descs = hq_arena_array(arena, d->desc_count, sizeof m.descs[0]);
    for (size_t i = 0; i < d->desc_count; i++) {
        m.descs[i] = conv_out_desc(d->descs[i], arena);
    }
    m.desc_next = d->desc_next;
    m.n_worker_hosts = d->worker_host_count;
    m.worker_hosts = hq_arena_array(arena, d->worker_host_count, sizeof m.worker_hosts[0]);
    for (size_t i = 0; i < d->worker_host_count; i++) {
        m.worker_hosts[i] = conv_bytes(d->worker_hosts[i]);
    }
    m.worker_count = d->worker_count;
    m.task_ids = conv_out_ranges(&d->task_ids, arena);
    m.now_ms = (uint64_t)now_ms;
    m.server_uid = conv_bytes(server_uid);
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_JOB_DETAIL_ANSWER, request_id, &m.base);
}

/* A packed message may be continued: fields of a repeated kind add up, wherever they stand. */
static void
add_message(struct hq_buf *out, uint8_t field, const ProtobufCMessage *msg)
{
    size_t bytes = protobuf_c_message_get_packed_size(msg);
    hq_buf_byte(out, (char)((field << 3) | 2));
    size_t v = bytes;
    for (; v >= 0x80u; v >>= 7) {
        hq_buf_byte(out, (char)(v | 0x80u));
    }
    hq_buf_byte(out, (char)v);
    hq_buf_reserve(out, bytes);
    out->len += protobuf_c_message_pack(msg, (uint8_t *)out->ptr + out->len);
    out->ptr[out->len] = '\0';
}

void
egress_job_detail_add_failed(struct hq_buf *out, const struct query_failed *f, struct hq_str error)
{
    Hq__FailedTask m;
    hq__failed_task__init(&m);
    m.task = f->task;
    m.worker = f->worker.v;
    m.worker_host = conv_bytes(f->worker_host);
    m.error = conv_bytes(error);
    add_message(out, 9, &m.base); /* JobDetailAnswer.failed */
}

/* ---- tasks */

static void
out_times(const struct query_task_page *p, Hq__TaskPageAnswer *m, struct hq_arena *arena)
{
    m->n_started = m->n_duration_ms = p->count;
    m->started = hq_arena_array(arena, p->count, sizeof m->started[0]);
    m->duration_ms = hq_arena_array(arena, p->count, sizeof m->duration_ms[0]);
    unsigned char *has_start = hq_arena_array(arena, p->count, 1);
    hq_wall_ms last_ms = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->started_ms[i] == 0) {
            continue;
        }
        m->started[i] = p->started_ms[i] - last_ms;
        last_ms = p->started_ms[i];
        has_start[i] = 1;
        if (p->ended_ms[i] != 0) {
            has_start[i] = 2;
            m->duration_ms[i] = p->ended_ms[i] > p->started_ms[i] ? (uint64_t)(p->ended_ms[i] - p->started_ms[i]) : 0;
        }
    }
    m->has_start = (ProtobufCBinaryData){.data = has_start, .len = p->count};
}

static void
out_page_lists(const struct query_task_page *p, Hq__TaskPageAnswer *m, struct hq_arena *arena)
{
    m->n_workers = p->worker_count;
    m->workers = hq_arena_array(arena, p->worker_count, sizeof m->workers[0]);
    for (size_t i = 0; i < p->worker_count; i++) {
        Hq__WorkerName *w = hq_arena_alloc(arena, sizeof *w);
        hq__worker_name__init(w);
        w->worker = p->workers[i].worker.v;
        w->host = conv_bytes(p->workers[i].host);
        m->workers[i] = w;
    }
    m->n_deps = p->deps_count;
    m->deps = hq_arena_array(arena, p->deps_count, sizeof m->deps[0]);
    for (size_t i = 0; i < p->deps_count; i++) {
        Hq__TaskDeps *d = hq_arena_alloc(arena, sizeof *d);
        hq__task_deps__init(d);
        d->task = p->deps[i].task;
        d->n_deps = p->deps[i].count;
        d->deps = UNCONST(uint32_t *, p->deps[i].deps);
        m->deps[i] = d;
    }
    m->n_nodes = p->nodes_count;
    m->nodes = hq_arena_array(arena, p->nodes_count, sizeof m->nodes[0]);
    for (size_t i = 0; i < p->nodes_count; i++) {
        Hq__TaskNodes *n = hq_arena_alloc(arena, sizeof *n);
        hq__task_nodes__init(n);
        n->task = p->nodes[i].task;
        n->n_workers = p->nodes[i].count;
        n->workers = UNCONST(uint32_t *, p->nodes[i].workers);
        m->nodes[i] = n;
    }
}

void
egress_task_page(struct hq_buf *out, uint64_t request_id, hq_job_id job, const struct query_task_page *p,
                 hq_wall_ms now_ms, struct hq_arena *arena)
{
    Hq__TaskPageAnswer m;
    hq__task_page_answer__init(&m);
    m.job = job.v;
    m.job_found = true;
    m.ids = conv_out_ranges(&p->ids, arena);
    m.states = (ProtobufCBinaryData){.data = p->states, .len = p->count};
    if (p->instance != NULL) { /* else ids_only */
        m.n_instance = p->count;
        m.instance = p->instance;
        m.n_desc_id = p->is_one_desc && p->count > 0 ? 1 : p->count;
        m.desc_id = p->desc_id;
        m.n_worker = p->count;
        m.worker = p->worker;
        out_times(p, &m, arena);
    }
    out_page_lists(p, &m, arena);
    m.n_not_found = p->not_found_count;
    m.not_found = p->not_found;
    m.has_more = p->has_more;
    m.now_ms = (uint64_t)now_ms;
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_TASK_PAGE_ANSWER, request_id, &m.base);
}

void
egress_task_page_add_error(struct hq_buf *out, hq_task_ix task, struct hq_str error, hq_wall_ms at_ms)
{
    Hq__TaskError m;
    hq__task_error__init(&m);
    m.task = task;
    m.text = conv_bytes(error);
    m.at_ms = (uint64_t)at_ms;
    add_message(out, 10, &m.base); /* TaskPageAnswer.errors */
}
