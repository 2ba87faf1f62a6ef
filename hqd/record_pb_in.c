#include "hqd/record_pb.h"

#include "common/wire.h"
#include "hqd/convert.h"

static int
in_submitted(const Hq__JobSubmitted *m, struct hq_arena *arena, struct record_job_submitted *r, struct hq_err *err)
{
    *r = (struct record_job_submitted){.job = {m->job},
                                       .is_new = m->is_new != 0,
                                       .name = conv_str(m->name),
                                       .has_max_fails = m->has_max_fails != 0,
                                       .max_fails = m->max_fails,
                                       .submit_dir = conv_str(m->submit_dir),
                                       .stream_dir = conv_str(m->stream_dir),
                                       .owner_uid = m->owner_uid,
                                       .request_id = m->request_id,
                                       .upload_id = m->upload_id,
                                       .part_count = m->part_count,
                                       .is_graph = m->is_graph != 0,
                                       .own_name = conv_str(m->own_name)};
    int rc = conv_in_ranges(m->ids, &r->ids, err);
    const Hq__SubmitPartStored *p = m->part;
    if (rc == 0 && p == NULL) {
        rc = hq_err_set(err, -EINVAL, "A submit without its last part");
    }
    if (rc == 0) {
        rc = conv_in_part(p->descs, p->n_descs, p->ids, p->entries, p->graph, p->stdin, arena, &r->part, err);
    }
    return rc;
}

/* Records about jobs and the server. */
static int
in_job_body(const Hq__Record *m, struct hq_arena *arena, struct record *r, struct hq_err *err)
{
    switch ((int)m->body_case) {
    case RECORD_SERVER_STARTED:
        r->u.server_started = (struct record_server_started){.server_uid = conv_str(m->server_started->server_uid),
                                                             .incarnation = conv_str(m->server_started->incarnation),
                                                             .version = conv_str(m->server_started->version),
                                                             .boot_id = conv_str(m->server_started->boot_id),
                                                             .host = conv_str(m->server_started->host),
                                                             .pid = m->server_started->pid};
        return 1;
    case RECORD_SERVER_STOPPED:
        return 1;
    case RECORD_JOB_OPENED:
        r->u.job_opened = (struct record_job_opened){.job = {m->job_opened->job},
                                                     .name = conv_str(m->job_opened->name),
                                                     .has_max_fails = m->job_opened->has_max_fails != 0,
                                                     .max_fails = m->job_opened->max_fails,
                                                     .submit_dir = conv_str(m->job_opened->submit_dir),
                                                     .owner_uid = m->job_opened->owner_uid,
                                                     .request_id = m->job_opened->request_id};
        return 1;
    case RECORD_SUBMIT_PART: {
        const Hq__SubmitPartStored *p = m->submit_part;
        struct record_submit_part *to = &r->u.submit_part;
        to->upload_id = p->upload_id;
        int rc = conv_in_part(p->descs, p->n_descs, p->ids, p->entries, p->graph, p->stdin, arena, &to->part, err);
        return rc < 0 ? rc : 1;
    }
    case RECORD_JOB_SUBMITTED: {
        int rc = in_submitted(m->job_submitted, arena, &r->u.job_submitted, err);
        return rc < 0 ? rc : 1;
    }
    case RECORD_JOB_CLOSED:
        r->u.job.job.v = m->job_closed->job;
        return 1;
    case RECORD_JOB_COMPLETED:
        r->u.job.job.v = m->job_completed->job;
        return 1;
    case RECORD_JOB_CANCELED:
        r->u.job_canceled = (struct record_job_canceled){.job = {m->job_canceled->job},
                                                         .has_reason = m->job_canceled->has_reason != 0,
                                                         .reason = conv_str(m->job_canceled->reason)};
        return 1;
    case RECORD_JOB_FORGOTTEN: {
        int rc = conv_in_ranges(m->job_forgotten->jobs, &r->u.job_forgotten.jobs, err);
        return rc < 0 ? rc : 1;
    }
    case RECORD_COUNTERS:
        r->u.counters = (struct record_counters){.next_job = m->counters->next_job,
                                                 .next_worker = m->counters->next_worker,
                                                 .next_queue = m->counters->next_queue,
                                                 .server_uid = conv_str(m->counters->server_uid)};
        return 1;
    default: /* newer than this program, or published only */
        return 0;
    }
}

/* Records about tasks. */
static int
in_task_body(const Hq__Record *m, struct record *r, struct hq_err *err)
{
    int rc = 0;
    switch ((int)m->body_case) {
    case RECORD_TASKS_ASSIGNED: {
        const Hq__TasksAssigned *t = m->tasks_assigned;
        r->u.tasks_assigned = (struct record_tasks_assigned){.worker = {t->worker},
                                                             .job = {t->job},
                                                             .instance = t->instance,
                                                             .variant = t->variant,
                                                             .nodes = t->nodes,
                                                             .node_count = t->n_nodes};
        rc = conv_in_ranges(t->ids, &r->u.tasks_assigned.ids, err);
        break;
    }
    case RECORD_TASKS_UNASSIGNED:
        r->u.tasks_unassigned.worker.v = m->tasks_unassigned->worker;
        r->u.tasks_unassigned.job.v = m->tasks_unassigned->job;
        rc = conv_in_ranges(m->tasks_unassigned->ids, &r->u.tasks_unassigned.ids, err);
        break;
    case RECORD_TASKS_STARTED:
        r->u.tasks_started.worker.v = m->tasks_started->worker;
        r->u.tasks_started.nodes = m->tasks_started->nodes;
        r->u.tasks_started.node_count = m->tasks_started->n_nodes;
        rc = conv_in_started(m->tasks_started->tasks, &r->u.tasks_started.tasks, err);
        break;
    case RECORD_TASKS_FINISHED:
        r->u.tasks_finished.worker.v = m->tasks_finished->worker;
        rc = conv_in_finished(m->tasks_finished->tasks, &r->u.tasks_finished.tasks, err);
        break;
    case RECORD_TASK_FAILED:
        r->u.task_failed.worker.v = m->task_failed->worker;
        rc = conv_in_failed(m->task_failed->task, &r->u.task_failed.task, err);
        break;
    case RECORD_TASKS_CANCELED:
        r->u.tasks_ended.job.v = m->tasks_canceled->job;
        rc = conv_in_ranges(m->tasks_canceled->ids, &r->u.tasks_ended.ids, err);
        break;
    case RECORD_TASKS_ABORTED:
        r->u.tasks_ended.job.v = m->tasks_aborted->job;
        rc = conv_in_ranges(m->tasks_aborted->ids, &r->u.tasks_ended.ids, err);
        break;
    case RECORD_TASKS_RESTARTED:
        r->u.tasks_restarted.job.v = m->tasks_restarted->job;
        r->u.tasks_restarted.is_crash = m->tasks_restarted->is_crash != 0;
        rc = conv_in_ranges(m->tasks_restarted->ids, &r->u.tasks_restarted.ids, err);
        break;
    default:
        return 0;
    }
    return rc < 0 ? rc : 1;
}

static int
in_worker_body(const Hq__Record *m, struct hq_arena *arena, struct record *r, struct hq_err *err)
{
    int rc = 0;
    switch ((int)m->body_case) {
    case RECORD_WORKER_CONNECTED:
        r->u.worker_connected.worker.v = m->worker_connected->worker;
        r->u.worker_connected.incarnation = conv_str(m->worker_connected->incarnation);
        r->u.worker_connected.started_ms = conv_ms(m->worker_connected->started_ms);
        rc = conv_in_config(m->worker_connected->config, arena, &r->u.worker_connected.config, err);
        break;
    case RECORD_WORKER_LOST:
        r->u.worker_lost.worker.v = m->worker_lost->worker;
        rc = conv_in_lost(m->worker_lost->reason, &r->u.worker_lost.reason, err);
        break;
    case RECORD_WORKER_OVERVIEW:
        r->u.worker_overview.worker.v = m->worker_overview->worker;
        rc = conv_in_overview(m->worker_overview->overview, arena, &r->u.worker_overview.overview, err);
        break;
    default:
        return 0;
    }
    return rc < 0 ? rc : 1;
}

static int
in_alloc_body(const Hq__Record *m, struct hq_arena *arena, struct record *r, struct hq_err *err)
{
    int rc = 0;
    switch ((int)m->body_case) {
    case RECORD_ALLOC_QUEUE_CREATED:
        r->u.alloc_queue.queue.v = m->alloc_queue_created->queue;
        r->u.alloc_queue.owner_uid = m->alloc_queue_created->owner_uid;
        r->u.alloc_queue.request_id = m->alloc_queue_created->request_id;
        rc = conv_in_alloc_params(m->alloc_queue_created->params, arena, &r->u.alloc_queue.params, err);
        break;
    case RECORD_ALLOC_QUEUE_REMOVED:
    case RECORD_ALLOC_QUEUE_PAUSED:
    case RECORD_ALLOC_QUEUE_RESUMED:
        r->u.alloc_queue_event = (struct record_alloc_queue_event){.queue = {m->alloc_queue_removed->queue},
                                                                   .text = conv_str(m->alloc_queue_removed->text)};
        break;
    case RECORD_ALLOC_QUEUE_SHAPE:
        r->u.alloc_shape.queue.v = m->alloc_queue_shape->queue;
        rc = conv_in_pools(m->alloc_queue_shape->pools, arena, &r->u.alloc_shape.pools, err);
        break;
    case RECORD_ALLOCATION_PLANNED:
    case RECORD_ALLOCATION_QUEUED:
    case RECORD_ALLOCATION_STARTED:
    case RECORD_ALLOCATION_FINISHED:
    case RECORD_ALLOCATION_REFUSED:
        conv_in_allocation(m->allocation_planned, &r->u.allocation);
        break;
    default:
        return 0;
    }
    return rc < 0 ? rc : 1;
}

int
record_pb_decode(struct hq_str body, struct hq_arena *arena, struct record *ret, struct hq_err *err)
{
    ProtobufCMessage *base = NULL;
    int rc = hq_wire_unpack(body, &hq__record__descriptor, arena, &base, err);
    if (rc < 0) {
        return hq_err_prefix(err, "Record");
    }
    const Hq__Record *m = (const Hq__Record *)(const void *)base;
    struct record r = {.time_ms = conv_ms(m->time_ms), .kind = (enum record_kind)m->body_case};
    rc = in_task_body(m, &r, err);
    if (rc == 0) {
        rc = in_job_body(m, arena, &r, err);
    }
    if (rc == 0) {
        rc = in_worker_body(m, arena, &r, err);
    }
    if (rc == 0) {
        rc = in_alloc_body(m, arena, &r, err);
    }
    if (rc == 1) {
        *ret = r;
    }
    return rc < 0 ? hq_err_prefix(err, "Record") : rc;
}

/* ---- peek: tags of the first levels only */

static int
next_varint(struct hq_str *rest, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; rest->len > 0 && shift < 64; shift += 7) {
        unsigned char c = (unsigned char)*rest->ptr;
        *rest = hq_str_sub(*rest, 1, rest->len);
        v |= (uint64_t)(c & 0x7fu) << shift;
        if (c < 0x80u) {
            *ret = v;
            return 0;
        }
    }
    return -EBADMSG;
}

/* Fixed widths occur in fields of later versions only: they are skipped. */
static int
next_field(struct hq_str *rest, uint32_t *ret_field, uint64_t *ret_value, struct hq_str *ret_bytes)
{
    enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, TAG_BYTES_MAX = 5 };
    uint64_t tag;
    uint64_t value = 0;
    size_t before = rest->len;
    if (next_varint(rest, &tag) < 0 || before - rest->len > TAG_BYTES_MAX) {
        return -EBADMSG;
    }
    tag &= UINT32_MAX; /* as protobuf-c reads it */
    unsigned wire = (unsigned)(tag & 7u);
    uint64_t skipped = wire == FIXED64 ? 8 : wire == FIXED32 ? 4 : 0;
    if (wire == VARINT || wire == BYTES) {
        if (next_varint(rest, &value) < 0) {
            return -EBADMSG;
        }
        skipped = wire == BYTES ? value : 0;
    } else if (skipped == 0) {
        return -EBADMSG; /* groups: not of this protocol */
    }
    if (skipped > rest->len) {
        return -EBADMSG;
    }
    *ret_field = (uint32_t)(tag >> 3);
    *ret_value = value;
    *ret_bytes = wire == BYTES ? hq_str_sub(*rest, 0, (size_t)value) : HQ_STR_NULL;
    *rest = hq_str_sub(*rest, (size_t)skipped, rest->len);
    return 0;
}

struct peek_rule { /* where job and worker are; 0 = it has none */
    uint8_t job;
    uint8_t worker;
    uint8_t upload;
    uint8_t queue;
    uint8_t nested_job; /* field of the message that holds the job in its field 1 */
};
static const struct peek_rule peek_rules[RECORD_KINDS] = {
    [RECORD_WORKER_CONNECTED] = {.worker = 1},
    [RECORD_WORKER_LOST] = {.worker = 1},
    [RECORD_WORKER_OVERVIEW] = {.worker = 1},
    [RECORD_JOB_OPENED] = {.job = 1},
    [RECORD_SUBMIT_PART] = {.upload = 1},
    [RECORD_JOB_SUBMITTED] = {.job = 1, .upload = 10},
    [RECORD_JOB_CLOSED] = {.job = 1},
    [RECORD_JOB_CANCELED] = {.job = 1},
    [RECORD_JOB_COMPLETED] = {.job = 1},
    [RECORD_TASKS_ASSIGNED] = {.job = 2, .worker = 1},
    [RECORD_TASKS_UNASSIGNED] = {.job = 2, .worker = 1},
    [RECORD_TASKS_STARTED] = {.worker = 1, .nested_job = 2},
    [RECORD_TASKS_FINISHED] = {.worker = 1, .nested_job = 2},
    [RECORD_TASK_FAILED] = {.worker = 1, .nested_job = 2},
    [RECORD_TASKS_CANCELED] = {.job = 1},
    [RECORD_TASKS_ABORTED] = {.job = 1},
    [RECORD_TASKS_RESTARTED] = {.job = 1},
    [RECORD_JOB_SNAPSHOT] = {.job = 1},
    [RECORD_ALLOC_QUEUE_CREATED] = {.queue = 1},
    [RECORD_ALLOC_QUEUE_REMOVED] = {.queue = 1},
    [RECORD_ALLOC_QUEUE_PAUSED] = {.queue = 1},
    [RECORD_ALLOC_QUEUE_RESUMED] = {.queue = 1},
    [RECORD_ALLOC_QUEUE_SHAPE] = {.queue = 1},
    [RECORD_ALLOCATION_PLANNED] = {.queue = 1},
    [RECORD_ALLOCATION_QUEUED] = {.queue = 1},
    [RECORD_ALLOCATION_STARTED] = {.queue = 1},
    [RECORD_ALLOCATION_FINISHED] = {.queue = 1},
    [RECORD_ALLOCATION_REFUSED] = {.queue = 1},
};

static int
peek_inner(struct hq_str rest, const struct peek_rule *rule, struct record_peek *p)
{
    while (rest.len > 0) {
        uint32_t field;
        uint64_t value;
        struct hq_str bytes;
        if (next_field(&rest, &field, &value, &bytes) < 0) {
            return -EBADMSG;
        }
        if (field == 0) {
            return -EBADMSG;
        }
        if (field == rule->job) {
            p->job = (uint32_t)value;
        } else if (field == rule->worker) {
            p->worker = (uint32_t)value;
        } else if (field == rule->queue) {
            p->queue = (uint32_t)value;
        } else if (field == rule->upload) {
            p->upload_id = value;
        } else if (field == rule->nested_job) {
            struct record_peek inner = {0};
            int rc = peek_inner(bytes, &(const struct peek_rule){.job = 1}, &inner);
            if (rc < 0) {
                return rc;
            }
            p->job = inner.job;
        }
    }
    return 0;
}

int
record_pb_peek(struct hq_str body, struct record_peek *ret)
{
    struct record_peek p = {0};
    while (body.len > 0) {
        uint32_t field;
        uint64_t value;
        struct hq_str bytes;
        if (next_field(&body, &field, &value, &bytes) < 0) {
            return -EBADMSG;
        }
        if (field == 2) {
            p.time_ms = (hq_wall_ms)value;
        } else if (field >= 3 && field < RECORD_KINDS) {
            p.kind = (enum record_kind)field;
            int rc = peek_inner(bytes, &peek_rules[field], &p);
            if (rc < 0) {
                return rc;
            }
        }
    }
    *ret = p;
    return 0;
}
