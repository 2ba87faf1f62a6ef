#include "common/eventjson.h"

#include "common/eventjson_desc.h"
#include "common/eventjson_priv.h"

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
void
hq_eventjson_begin(struct hq_eventjson_line *l, hq_wall_ms at)
{
    l->e->last_ms = HQ_MAX(l->e->last_ms, at);
    l->at = l->e->last_ms;
    hq_json_init(&l->j, l->out, false);
    hq_json_object(&l->j);
    hq_json_key(&l->j, "event");
    hq_json_object(&l->j);
}

/* `type` is the last key of all events but those with keys behind it, who put it themselves (type NULL). */
void
hq_eventjson_end(struct hq_eventjson_line *l, const char *type)
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
    hq_eventjson_make_room(l);
}

void
hq_eventjson_make_room(struct hq_eventjson_line *l)
{
    if (l->e->full != NULL && l->out->len >= HQ_EVENTJSON_FULL_BYTES) {
        l->e->full(l->e->full_ctx);
    }
}

void
hq_eventjson_put_task(struct hq_json *j, uint32_t job, uint32_t task)
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
add_submitted(struct hq_eventjson_line *l, const Hq__JobSubmitted *r, hq_wall_ms at)
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
    hq_eventjson_begin(l, at);
    hq_json_put_bool(&l->j, "closed_job", r->is_new);
    hq_json_put_u64(&l->j, "job", r->job);
    hq_json_key(&l->j, "job_desc");
    hq_json_object(&l->j);
    put_max_fails(&l->j, r->is_new && r->has_max_fails, r->max_fails);
    hq_json_put_str(&l->j, "name", hq_pb_str(r->is_new ? r->name : r->own_name));
    hq_json_object_end(&l->j);
    hq_json_key(&l->j, "submit_desc");
    hq_json_submit_desc(&l->j, &s);
    hq_eventjson_end(l, "job-created");
    if (kept != NULL) {
        hq__task_desc__free_unpacked(kept, NULL);
    }
    e->graph_tasks = 0;
    hq_buf_clear(&e->part_desc);
}

static void
add_job_line(struct hq_eventjson_line *l, const char *key, uint32_t job, const char *type, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_put_u64(&l->j, key, job);
    hq_eventjson_end(l, type);
}

static void
add_opened(struct hq_eventjson_line *l, const Hq__JobOpened *r, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_put_u64(&l->j, "job_id", r->job);
    put_max_fails(&l->j, r->has_max_fails, r->max_fails);
    hq_json_put_str(&l->j, "name", hq_pb_str(r->name));
    hq_eventjson_end(l, "job-open");
}

static void
add_cancel(struct hq_eventjson_line *l, const Hq__JobCancelRecord *r, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_put_u64(&l->j, "job_id", r->job);
    hq_json_put_str(&l->j, "reason", hq_pb_str(r->reason));
    hq_eventjson_end(l, "job-cancel");
}

static void
add_notify(struct hq_eventjson_line *l, const Hq__TaskNotified *r, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_key(&l->j, "message");
    hq_json_array(&l->j);
    for (size_t i = 0; i < r->message.len; i++) {
        hq_json_u64(&l->j, r->message.data[i]);
    }
    hq_json_array_end(&l->j);
    hq_json_key(&l->j, "task_id");
    hq_eventjson_put_task(&l->j, r->job, r->task);
    hq_json_put_strz(&l->j, "type", "task-notify");
    hq_json_put_u64(&l->j, "worker_id", r->worker);
    hq_eventjson_end(l, NULL);
}

/* ---- server and workers */
static void
add_server(struct hq_eventjson_line *l, const Hq__ServerStarted *r, hq_wall_ms at)
{
    l->e->last_ms = 0; /* another run: its clock may stand before the last line of the run before */
    hq_eventjson_begin(l, at);
    hq_json_put_str(&l->j, "server_uid", hq_pb_str(r->server_uid));
    hq_eventjson_end(l, "server-start");
}

static void
add_connected(struct hq_eventjson_line *l, const Hq__WorkerConnected *r, hq_wall_ms at)
{
    static const Hq__WorkerConfig empty = HQ__WORKER_CONFIG__INIT;

    hq_eventjson_begin(l, at);
    hq_json_key(&l->j, "configuration");
    hq_json_worker_config(&l->j, r->config == NULL ? &empty : r->config);
    hq_json_put_u64(&l->j, "id", r->worker);
    hq_eventjson_end(l, "worker-connected");
}

static void
add_lost(struct hq_eventjson_line *l, const Hq__WorkerLost *r, hq_wall_ms at)
{
    static const char *const reasons[] = {
        [HQ__WORKER_LOST_REASON__LOST_REASON_NONE] = "ConnectionLost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_STOPPED] = "Stopped",
        [HQ__WORKER_LOST_REASON__LOST_REASON_CONNECTION] = "ConnectionLost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_HEARTBEAT] = "HeartbeatLost",
        [HQ__WORKER_LOST_REASON__LOST_REASON_IDLE] = "IdleTimeout",
        [HQ__WORKER_LOST_REASON__LOST_REASON_TIME_LIMIT] = "TimeLimitReached",
    };
    hq_eventjson_begin(l, at);
    hq_json_put_u64(&l->j, "id", r->worker);
    hq_json_put_strz(&l->j, "reason",
                     (size_t)r->reason < HQ_ARRAY_LEN(reasons) ? reasons[r->reason] : "ConnectionLost");
    hq_eventjson_end(l, "worker-lost");
}

static void
add_overview(struct hq_eventjson_line *l, const Hq__WorkerOverview *r, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_key(&l->j, "hw-state");
    if (r->overview == NULL) {
        hq_json_null(&l->j);
    } else {
        hq_json_overview(&l->j, r->overview);
    }
    hq_json_put_u64(&l->j, "id", r->worker);
    hq_eventjson_end(l, "worker-overview");
}

/* ---- allocations */
static void
add_queue_created(struct hq_eventjson_line *l, const Hq__AllocQueueCreated *r, hq_wall_ms at)
{
    static const Hq__AllocParams empty = HQ__ALLOC_PARAMS__INIT;

    hq_eventjson_begin(l, at);
    hq_json_key(&l->j, "params");
    hq_json_alloc_params(&l->j, r->params == NULL ? &empty : r->params);
    hq_json_put_u64(&l->j, "queue-id", r->queue);
    hq_eventjson_end(l, "autoalloc-queue-created");
}

static void
add_queue_removed(struct hq_eventjson_line *l, const Hq__AllocQueueEvent *r, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_put_u64(&l->j, "queue-id", r->queue);
    hq_eventjson_end(l, "autoalloc-queue-removed");
}

static void
add_allocation(struct hq_eventjson_line *l, const Hq__AllocationEvent *r, const char *type, bool with_count,
               hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_put_str(&l->j, "allocation-id", hq_pb_str(r->allocation_id));
    hq_json_put_u64(&l->j, "queue-id", r->queue);
    hq_json_put_strz(&l->j, "type", type);
    if (with_count) {
        hq_json_put_u64(&l->j, "worker-count", r->worker_count);
    }
    hq_eventjson_end(l, NULL);
}

/* false: not about allocations. Plans, refusals, pauses and shapes are no events of the reference. */
static bool
add_alloc(struct hq_eventjson_line *l, const Hq__Record *rec, hq_wall_ms at)
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
hq_eventjson_add(struct hq_eventjson *e, const Hq__Record *rec, struct hq_buf *out, uint64_t *count, struct hq_err *err)
{
    struct hq_eventjson_line l = {.e = e, .out = out, .count = count};
    hq_wall_ms at = (hq_wall_ms)rec->time_ms;

    switch (rec->body_case) {
    case HQ__RECORD__BODY_SERVER_STARTED:
        add_server(&l, rec->server_started, at);
        return 0;
    case HQ__RECORD__BODY_SERVER_STOPPED:
        hq_eventjson_begin(&l, at);
        hq_eventjson_end(&l, "server-stop");
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
        return hq_eventjson_add_starts(&l, rec->tasks_started, err);
    case HQ__RECORD__BODY_TASKS_FINISHED:
        return hq_eventjson_add_finished(&l, rec->tasks_finished, err);
    case HQ__RECORD__BODY_TASK_FAILED:
        return hq_eventjson_add_failed(&l, rec->task_failed, at, err);
    case HQ__RECORD__BODY_TASKS_CANCELED:
        return hq_eventjson_add_ended(&l, rec->tasks_canceled, "task-canceled", at, err);
    case HQ__RECORD__BODY_TASKS_ABORTED:
        return hq_eventjson_add_ended(&l, rec->tasks_aborted, "task-aborted", at, err);
    case HQ__RECORD__BODY_TASKS_RESTARTED:
        return hq_eventjson_forget_starts(e, rec->tasks_restarted, err);
    case HQ__RECORD__BODY_TASK_NOTIFIED:
        add_notify(&l, rec->task_notified, at);
        return 0;
    default: /* allocations, or: assignments, forget, counters, snapshots, and what a later version added: no event */
        (void)add_alloc(&l, rec, at);
        return 0;
    }
}
