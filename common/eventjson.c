#include "common/eventjson.h"

#include "common/eventjson_desc.h"

#include <stdlib.h>

void
hq_eventjson_init(struct hq_eventjson *e)
{
    *e = (struct hq_eventjson){0};
    hq_map_init(&e->running, 0);
}

void
hq_eventjson_fini(struct hq_eventjson *e)
{
    hq_map_fini(&e->running);
    hq_buf_fini(&e->part_desc);
}

/* ---- one line */
struct line {
    struct hq_eventjson *e;
    struct hq_json j;
    struct hq_buf *out;
    hq_wall_ms at;
    uint64_t *count;
};

static void
line_begin(struct line *l, hq_wall_ms at)
{
    l->e->last_ms = HQ_MAX(l->e->last_ms, at);
    l->at = l->e->last_ms;
    hq_json_init(&l->j, l->out, false);
    hq_json_object(&l->j);
    hq_json_key(&l->j, "event");
    hq_json_object(&l->j);
}

/* `type` is the last key of all events but those with keys behind it, who put it themselves (type NULL). */
static void
line_end(struct line *l, const char *type)
{
    if (type != NULL) {
        hq_json_put_strz(&l->j, "type", type);
    }
    hq_json_object_end(&l->j);
    hq_json_key(&l->j, "time");
    hq_json_time(&l->j, l->at);
    hq_json_object_end(&l->j);
    hq_buf_byte(l->out, '\n');
    (*l->count)++;
}

static void
put_global_id(struct hq_json *j, uint32_t job, uint32_t task)
{
    hq_json_object(j);
    hq_json_put_u64(j, "job_id", job);
    hq_json_put_u64(j, "job_task_id", task);
    hq_json_object_end(j);
}

static void
put_max_fails(struct hq_json *j, bool has, uint32_t n)
{
    hq_json_key(j, "max_fails");
    if (has) {
        hq_json_u64(j, n);
    } else {
        hq_json_null(j);
    }
}

/* ---- tasks */
struct started {
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    uint32_t worker;
    const uint32_t *nodes;
    size_t node_count;
    hq_wall_ms at;
};

static void
add_started(struct line *l, const struct started *s)
{
    line_begin(l, s->at);
    hq_json_put_u64(&l->j, "instance", s->instance);
    hq_json_put_u64(&l->j, "job", s->job);
    hq_json_put_u64(&l->j, "task", s->task);
    hq_json_put_strz(&l->j, "type", "task-started");
    if (s->variant > 0) {
        hq_json_put_u64(&l->j, "variant", s->variant);
    }
    if (s->node_count > 1) {
        hq_json_key(&l->j, "workers");
        hq_json_array(&l->j);
        for (size_t i = 0; i < s->node_count; i++) {
            hq_json_u64(&l->j, s->nodes[i]);
        }
        hq_json_array_end(&l->j);
    } else {
        hq_json_put_u64(&l->j, "worker", s->worker);
    }
    line_end(l, NULL);
    hq_map_set(&l->e->running, hq_map_key2(s->job, s->task), (uint64_t)s->instance + 1);
}

static bool
ids_ok(const Hq__Ranges *ids, uint64_t *ret_count)
{
    uint64_t count = 0;

    if (ids == NULL || ids->n_packed % 3 != 0) {
        return false;
    }
    for (size_t i = 0; i < ids->n_packed; i += 3) {
        uint64_t last = ids->packed[i] + (uint64_t)(ids->packed[i + 1] - 1) * ids->packed[i + 2];
        if (ids->packed[i + 1] == 0 || ids->packed[i + 2] == 0 || last > UINT32_MAX) {
            return false;
        }
        count += ids->packed[i + 1];
    }
    *ret_count = count;
    return true;
}

/* One task of a range with its times. */
struct span_item {
    uint32_t task;
    hq_wall_ms started;
    hq_wall_ms at; /* of the event that the sort is for */
    bool is_end;
};

static int
item_cmp(const void *a, const void *b)
{
    const struct span_item *x = a;
    const struct span_item *y = b;

    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    if (x->is_end != y->is_end) {
        return x->is_end ? 1 : -1; /* a start before an end of the same moment */
    }
    return x->task < y->task ? -1 : x->task > y->task;
}

/* Starts and ends of all tasks of a range, in the order of their times. *ret: heap, *ret_count items. */
static int
expand(const Hq__Ranges *ids, const Hq__TaskTimes *times, bool with_ends, struct span_item **ret, size_t *ret_count,
       struct hq_err *err)
{
    uint64_t count;
    size_t n = 0;
    size_t k = 0;
    hq_wall_ms at;

    if (!ids_ok(ids, &count) || times == NULL || times->n_started != count ||
        times->n_duration_ms != (with_ends ? count : 0)) {
        return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
    }
    struct span_item *v = calloc(count * 2 + 1, sizeof(*v));
    if (v == NULL) {
        return hq_err_set(err, -ENOMEM, "Out of memory");
    }
    at = (hq_wall_ms)times->base_ms;
    for (size_t i = 0; i < ids->n_packed; i += 3) {
        for (uint32_t c = 0; c < ids->packed[i + 1]; c++, k++) {
            uint32_t task = ids->packed[i] + c * ids->packed[i + 2];
            at = (hq_wall_ms)((uint64_t)at + (uint64_t)times->started[k]);
            v[n++] = (struct span_item){.task = task, .started = at, .at = at};
            if (with_ends) {
                v[n++] = (struct span_item){.task = task,
                                            .started = at,
                                            .at = (hq_wall_ms)((uint64_t)at + times->duration_ms[k]),
                                            .is_end = true};
            }
        }
    }
    qsort(v, n, sizeof(*v), item_cmp);
    *ret = v;
    *ret_count = n;
    return 0;
}

static int
add_starts(struct line *l, const Hq__TasksStartedRecord *r, struct hq_err *err)
{
    struct span_item *v = NULL;
    size_t n = 0;
    int rc;

    if (r->tasks == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    rc = expand(r->tasks->ids, r->tasks->times, false, &v, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        add_started(l, &(struct started){.job = r->tasks->job,
                                         .task = v[i].task,
                                         .instance = r->tasks->instance,
                                         .variant = r->tasks->variant,
                                         .worker = r->worker,
                                         .nodes = r->nodes,
                                         .node_count = r->n_nodes,
                                         .at = v[i].at});
    }
    free(v);
    return rc;
}

static void
add_task_line(struct line *l, const char *type, uint32_t job, uint32_t task, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_put_u64(&l->j, "job", job);
    hq_json_put_u64(&l->j, "task", task);
    line_end(l, type);
}

static int
add_finished(struct line *l, const Hq__TasksFinishedRecord *r, struct hq_err *err)
{
    struct span_item *v = NULL;
    size_t n = 0;
    int rc;

    if (r->tasks == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    rc = expand(r->tasks->ids, r->tasks->times, true, &v, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint64_t key = hq_map_key2(r->tasks->job, v[i].task);
        if (v[i].is_end) {
            hq_map_del(&l->e->running, key);
            add_task_line(l, "task-finished", r->tasks->job, v[i].task, v[i].at);
        } else if (hq_map_get(&l->e->running, key, 0) != (uint64_t)r->tasks->instance + 1) {
            add_started(l, &(struct started){.job = r->tasks->job,
                                             .task = v[i].task,
                                             .instance = r->tasks->instance,
                                             .variant = r->tasks->variant,
                                             .worker = r->worker,
                                             .at = v[i].at});
        }
    }
    free(v);
    return rc;
}

static int
add_failed(struct line *l, const Hq__TaskFailedRecord *r, hq_wall_ms at, struct hq_err *err)
{
    const Hq__TaskFailed *t = r->task;

    if (t == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without a task");
    }
    uint64_t key = hq_map_key2(t->job, t->task);
    if (t->started_ms != 0 && hq_map_get(&l->e->running, key, 0) != (uint64_t)t->instance + 1) {
        add_started(l, &(struct started){.job = t->job,
                                         .task = t->task,
                                         .instance = t->instance,
                                         .variant = t->variant,
                                         .worker = r->worker,
                                         .at = (hq_wall_ms)t->started_ms});
    }
    hq_map_del(&l->e->running, key);
    line_begin(l, t->ended_ms == 0 ? at : (hq_wall_ms)t->ended_ms);
    hq_json_put_str(&l->j, "error", hq_pb_str(t->error));
    hq_json_put_u64(&l->j, "job", t->job);
    hq_json_put_u64(&l->j, "task", t->task);
    line_end(l, "task-failed");
    return 0;
}

static int
add_ended(struct line *l, const Hq__TasksEndedRecord *r, const char *type, hq_wall_ms at, struct hq_err *err)
{
    uint64_t count;

    if (!ids_ok(r->ids, &count)) {
        return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
    }
    line_begin(l, at);
    hq_json_key(&l->j, "tasks");
    hq_json_array(&l->j);
    for (size_t i = 0; i < r->ids->n_packed; i += 3) {
        for (uint32_t c = 0; c < r->ids->packed[i + 1]; c++) {
            uint32_t task = r->ids->packed[i] + c * r->ids->packed[i + 2];
            put_global_id(&l->j, r->job, task);
            hq_map_del(&l->e->running, hq_map_key2(r->job, task));
        }
    }
    hq_json_array_end(&l->j);
    line_end(l, type);
    return 0;
}

/* Waiting again: no line, but the next start is a new one. */
static int
forget_starts(struct hq_eventjson *e, const Hq__TasksRestarted *r, struct hq_err *err)
{
    uint64_t count;

    if (!ids_ok(r->ids, &count)) {
        return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
    }
    for (size_t i = 0; i < r->ids->n_packed; i += 3) {
        for (uint32_t c = 0; c < r->ids->packed[i + 1]; c++) {
            hq_map_del(&e->running, hq_map_key2(r->job, r->ids->packed[i] + c * r->ids->packed[i + 2]));
        }
    }
    return 0;
}

/* ---- jobs */
static void
keep_part(struct hq_eventjson *e, const Hq__SubmitPartStored *p)
{
    if (p->graph != NULL) {
        e->graph_tasks += p->graph->n_ids;
    }
    if (e->part_desc.len == 0 && p->n_descs > 0) {
        size_t bytes = hq__task_desc__get_packed_size(p->descs[0]);
        hq_buf_reserve(&e->part_desc, bytes);
        e->part_desc.len = hq__task_desc__pack(p->descs[0], (uint8_t *)e->part_desc.ptr);
    }
}

static void
add_submitted(struct line *l, const Hq__JobSubmitted *r, hq_wall_ms at)
{
    struct hq_eventjson *e = l->e;
    Hq__TaskDesc *kept = NULL;
    struct hq_json_submit s = {.job = r, .graph_tasks = e->graph_tasks};

    if (e->part_desc.len > 0) {
        kept = hq__task_desc__unpack(NULL, e->part_desc.len, (const uint8_t *)e->part_desc.ptr);
        s.desc = kept;
    }
    if (r->part != NULL) {
        s.graph_tasks += r->part->graph == NULL ? 0 : r->part->graph->n_ids;
        if (s.desc == NULL && r->part->n_descs > 0) {
            s.desc = r->part->descs[0];
        }
    }
    line_begin(l, at);
    hq_json_put_bool(&l->j, "closed_job", r->is_new);
    hq_json_put_u64(&l->j, "job", r->job);
    hq_json_key(&l->j, "job_desc");
    hq_json_object(&l->j);
    put_max_fails(&l->j, r->is_new && r->has_max_fails, r->max_fails);
    hq_json_put_str(&l->j, "name", hq_pb_str(r->is_new ? r->name : r->own_name));
    hq_json_object_end(&l->j);
    hq_json_key(&l->j, "submit_desc");
    hq_json_submit_desc(&l->j, &s);
    line_end(l, "job-created");
    if (kept != NULL) {
        hq__task_desc__free_unpacked(kept, NULL);
    }
    e->graph_tasks = 0;
    hq_buf_clear(&e->part_desc);
}

static void
add_job_line(struct line *l, const char *key, uint32_t job, const char *type, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_put_u64(&l->j, key, job);
    line_end(l, type);
}

static void
add_opened(struct line *l, const Hq__JobOpened *r, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_put_u64(&l->j, "job_id", r->job);
    put_max_fails(&l->j, r->has_max_fails, r->max_fails);
    hq_json_put_str(&l->j, "name", hq_pb_str(r->name));
    line_end(l, "job-open");
}

static void
add_cancel(struct line *l, const Hq__JobCancelRecord *r, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_put_u64(&l->j, "job_id", r->job);
    hq_json_put_str(&l->j, "reason", hq_pb_str(r->reason));
    line_end(l, "job-cancel");
}

static void
add_notify(struct line *l, const Hq__TaskNotified *r, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_key(&l->j, "message");
    hq_json_array(&l->j);
    for (size_t i = 0; i < r->message.len; i++) {
        hq_json_u64(&l->j, r->message.data[i]);
    }
    hq_json_array_end(&l->j);
    hq_json_key(&l->j, "task_id");
    put_global_id(&l->j, r->job, r->task);
    hq_json_put_strz(&l->j, "type", "task-notify");
    hq_json_put_u64(&l->j, "worker_id", r->worker);
    line_end(l, NULL);
}

/* ---- server and workers */
static void
add_server(struct line *l, const Hq__ServerStarted *r, hq_wall_ms at)
{
    l->e->last_ms = 0; /* another run: its clock may stand before the last line of the run before */
    line_begin(l, at);
    hq_json_put_str(&l->j, "server_uid", hq_pb_str(r->server_uid));
    line_end(l, "server-start");
}

static void
add_connected(struct line *l, const Hq__WorkerConnected *r, hq_wall_ms at)
{
    static const Hq__WorkerConfig empty = HQ__WORKER_CONFIG__INIT;

    line_begin(l, at);
    hq_json_key(&l->j, "configuration");
    hq_json_worker_config(&l->j, r->config == NULL ? &empty : r->config);
    hq_json_put_u64(&l->j, "id", r->worker);
    line_end(l, "worker-connected");
}

static void
add_lost(struct line *l, const Hq__WorkerLost *r, hq_wall_ms at)
{
    static const char *const reasons[] = {
        [HQ__WORKER_LOST_REASON__LOST_REASON_NONE] = "ConnectionLost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_STOPPED] = "Stopped",
        [HQ__WORKER_LOST_REASON__LOST_REASON_CONNECTION] = "ConnectionLost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_HEARTBEAT] = "HeartbeatLost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_IDLE] = "IdleTimeout",
        [HQ__WORKER_LOST_REASON__LOST_REASON_TIME_LIMIT] = "TimeLimitReached",
    };
    line_begin(l, at);
    hq_json_put_u64(&l->j, "id", r->worker);
    hq_json_put_strz(&l->j, "reason",
                     (size_t)r->reason < HQ_ARRAY_LEN(reasons) ? reasons[r->reason] : "ConnectionLost");
    line_end(l, "worker-lost");
}

static void
add_overview(struct line *l, const Hq__WorkerOverview *r, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_key(&l->j, "hw-state");
    if (r->overview == NULL) {
        hq_json_null(&l->j);
    } else {
        hq_json_overview(&l->j, r->overview);
    }
    hq_json_put_u64(&l->j, "id", r->worker);
    line_end(l, "worker-overview");
}

/* ---- allocations */
static void
add_queue_created(struct line *l, const Hq__AllocQueueCreated *r, hq_wall_ms at)
{
    static const Hq__AllocParams empty = HQ__ALLOC_PARAMS__INIT;

    line_begin(l, at);
    hq_json_key(&l->j, "params");
    hq_json_alloc_params(&l->j, r->params == NULL ? &empty : r->params);
    hq_json_put_u64(&l->j, "queue-id", r->queue);
    line_end(l, "autoalloc-queue-created");
}

static void
add_queue_removed(struct line *l, const Hq__AllocQueueEvent *r, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_put_u64(&l->j, "queue-id", r->queue);
    line_end(l, "autoalloc-queue-removed");
}

static void
add_allocation(struct line *l, const Hq__AllocationEvent *r, const char *type, bool with_count, hq_wall_ms at)
{
    line_begin(l, at);
    hq_json_put_str(&l->j, "allocation-id", hq_pb_str(r->allocation_id));
    hq_json_put_u64(&l->j, "queue-id", r->queue);
    hq_json_put_strz(&l->j, "type", type);
    if (with_count) {
        hq_json_put_u64(&l->j, "worker-count", r->worker_count);
    }
    line_end(l, NULL);
}

/* false: not about allocations. Plans, refusals, pauses and shapes are no events of the reference. */
static bool
add_alloc(struct line *l, const Hq__Record *rec, hq_wall_ms at)
{
    switch (rec->body_case) {
    case HQ__RECORD__BODY_ALLOC_QUEUE_CREATED:
        add_queue_created(l, rec->alloc_queue_created, at);
        return true;
    case HQ__RECORD__BODY_ALLOC_QUEUE_REMOVED:
        add_queue_removed(l, rec->alloc_queue_removed, at);
        return true;
    case HQ__RECORD__BODY_ALLOCATION_QUEUED:
        add_allocation(l, rec->allocation_queued, "autoalloc-allocation-queued", true, at);
        return true;
    case HQ__RECORD__BODY_ALLOCATION_STARTED:
        add_allocation(l, rec->allocation_started, "autoalloc-allocation-started", false, at);
        return true;
    case HQ__RECORD__BODY_ALLOCATION_FINISHED:
        add_allocation(l, rec->allocation_finished, "autoalloc-allocation-finished", false, at);
        return true;
    default:
        return false;
    }
}

int
hq_eventjson_add(struct hq_eventjson *e, const Hq__Record *rec, struct hq_buf *out, uint64_t *count,
                 struct hq_err *err)
{
    struct line l = {.e = e, .out = out, .count = count};
    hq_wall_ms at = (hq_wall_ms)rec->time_ms;

    switch (rec->body_case) {
    case HQ__RECORD__BODY_SERVER_STARTED:
        add_server(&l, rec->server_started, at);
        return 0;
    case HQ__RECORD__BODY_SERVER_STOPPED:
        line_begin(&l, at);
        line_end(&l, "server-stop");
        return 0;
    case HQ__RECORD__BODY_WORKER_CONNECTED:
        add_connected(&l, rec->worker_connected, at);
        return 0;
    case HQ__RECORD__BODY_WORKER_LOST:
        add_lost(&l, rec->worker_lost, at);
        return 0;
    case HQ__RECORD__BODY_WORKER_OVERVIEW:
        add_overview(&l, rec->worker_overview, at);
        return 0;
    case HQ__RECORD__BODY_JOB_OPENED:
        add_opened(&l, rec->job_opened, at);
        return 0;
    case HQ__RECORD__BODY_SUBMIT_PART:
        keep_part(e, rec->submit_part);
        return 0;
    case HQ__RECORD__BODY_JOB_SUBMITTED:
        add_submitted(&l, rec->job_submitted, at);
        return 0;
    case HQ__RECORD__BODY_JOB_CLOSED:
        add_job_line(&l, "job_id", rec->job_closed->job, "job-close", at);
        return 0;
    case HQ__RECORD__BODY_JOB_CANCELED:
        add_cancel(&l, rec->job_canceled, at);
        return 0;
    case HQ__RECORD__BODY_JOB_COMPLETED:
        add_job_line(&l, "job", rec->job_completed->job, "job-completed", at);
        return 0;
    case HQ__RECORD__BODY_JOB_IDLE:
        add_job_line(&l, "job_id", rec->job_idle->job, "job-idle", at);
        return 0;
    case HQ__RECORD__BODY_TASKS_STARTED:
        return add_starts(&l, rec->tasks_started, err);
    case HQ__RECORD__BODY_TASKS_FINISHED:
        return add_finished(&l, rec->tasks_finished, err);
    case HQ__RECORD__BODY_TASK_FAILED:
        return add_failed(&l, rec->task_failed, at, err);
    case HQ__RECORD__BODY_TASKS_CANCELED:
        return add_ended(&l, rec->tasks_canceled, "task-canceled", at, err);
    case HQ__RECORD__BODY_TASKS_ABORTED:
        return add_ended(&l, rec->tasks_aborted, "task-aborted", at, err);
    case HQ__RECORD__BODY_TASKS_RESTARTED:
        return forget_starts(e, rec->tasks_restarted, err);
    case HQ__RECORD__BODY_TASK_NOTIFIED:
        add_notify(&l, rec->task_notified, at);
        return 0;
    default: /* allocations, or: assignments, forget, counters, snapshots, and what a later version added: no event */
        (void)add_alloc(&l, rec, at);
        return 0;
    }
}
