/* Effects and records as text: one line each, for tests, the simulator and debug logs. */
#include "hqd/core/effect.h"

static const char *const record_names[RECORD_KINDS] = {
    [RECORD_SERVER_STARTED] = "server-started",
    [RECORD_SERVER_STOPPED] = "server-stopped",
    [RECORD_WORKER_CONNECTED] = "worker-connected",
    [RECORD_WORKER_LOST] = "worker-lost",
    [RECORD_WORKER_OVERVIEW] = "worker-overview",
    [RECORD_JOB_OPENED] = "job-opened",
    [RECORD_SUBMIT_PART] = "submit-part",
    [RECORD_JOB_SUBMITTED] = "job-submitted",
    [RECORD_JOB_CLOSED] = "job-closed",
    [RECORD_JOB_CANCELED] = "job-canceled",
    [RECORD_JOB_FORGOTTEN] = "job-forgotten",
    [RECORD_JOB_COMPLETED] = "job-completed",
    [RECORD_JOB_IDLE] = "job-idle",
    [RECORD_TASKS_ASSIGNED] = "tasks-assigned",
    [RECORD_TASKS_UNASSIGNED] = "tasks-unassigned",
    [RECORD_TASKS_STARTED] = "tasks-started",
    [RECORD_TASKS_FINISHED] = "tasks-finished",
    [RECORD_TASK_FAILED] = "task-failed",
    [RECORD_TASKS_CANCELED] = "tasks-canceled",
    [RECORD_TASKS_ABORTED] = "tasks-aborted",
    [RECORD_TASKS_RESTARTED] = "tasks-restarted",
    [RECORD_TASK_NOTIFIED] = "task-notified",
    [RECORD_COUNTERS] = "counters",
    [RECORD_JOB_SNAPSHOT] = "job-snapshot",
    [RECORD_ALLOC_QUEUE_CREATED] = "alloc-queue-created",
    [RECORD_ALLOC_QUEUE_REMOVED] = "alloc-queue-removed",
    [RECORD_ALLOC_QUEUE_PAUSED] = "alloc-queue-paused",
    [RECORD_ALLOC_QUEUE_RESUMED] = "alloc-queue-resumed",
    [RECORD_ALLOC_QUEUE_SHAPE] = "alloc-queue-shape",
    [RECORD_ALLOCATION_PLANNED] = "allocation-planned",
    [RECORD_ALLOCATION_QUEUED] = "allocation-queued",
    [RECORD_ALLOCATION_STARTED] = "allocation-started",
    [RECORD_ALLOCATION_FINISHED] = "allocation-finished",
    [RECORD_ALLOCATION_REFUSED] = "allocation-refused",
};

static const char *const when_names[] = {
    [EFFECT_NOW] = "now",
    [EFFECT_AFTER_WRITE] = "write",
    [EFFECT_AFTER_COMMIT] = "commit",
};

static const char *const reason_names[] = {
    [LOST_NONE] = "none",           [LOST_STOPPED] = "stopped", [LOST_CONNECTION] = "connection",
    [LOST_HEARTBEAT] = "heartbeat", [LOST_IDLE] = "idle",       [LOST_TIME_LIMIT] = "time-limit",
};
_Static_assert(HQ_ARRAY_LEN(reason_names) == LOST_REASONS, "a reason without a name");

static const char *const job_result_names[] = {
    [JOB_RESULT_DONE] = "done",
    [JOB_RESULT_NOT_FOUND] = "not-found",
    [JOB_RESULT_NOTHING_LEFT] = "nothing-left",
    [JOB_RESULT_REFUSED] = "refused",
};

static const char *const worker_result_names[] = {
    [WORKER_RESULT_DONE] = "done",
    [WORKER_RESULT_NOT_FOUND] = "not-found",
    [WORKER_RESULT_STOPPED_BEFORE] = "stopped-before",
    [WORKER_RESULT_REFUSED] = "refused",
};

const char *
record_kind_name(enum record_kind kind)
{
    return kind < RECORD_KINDS && record_names[kind] != NULL ? record_names[kind] : "unknown";
}

static void
ids(const struct hq_ranges *r, struct hq_buf *out)
{
    hq_buf_cstr(out, " ids=");
    hq_ranges_print(r, out);
}

static void
text(const char *name, struct hq_str s, struct hq_buf *out)
{
    if (s.len > 0) {
        hq_buf_printf(out, " %s=\"", name);
        hq_buf_escaped(out, s);
        hq_buf_byte(out, '"');
    }
}

static void
times(const struct task_times *t, struct hq_buf *out)
{
    hq_wall_ms at = t->base_ms;
    for (size_t i = 0; i < t->count && i < 4; i++) {
        at += t->started[i];
        hq_buf_printf(out, "%s%lld", i == 0 ? " at=" : ",", (long long)at);
        if (t->duration_ms != NULL) {
            hq_buf_printf(out, "+%llu", (unsigned long long)t->duration_ms[i]);
        }
    }
    if (t->count > 4) {
        hq_buf_cstr(out, ",...");
    }
}

static void
nodes(const uint32_t *v, size_t n, struct hq_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        hq_buf_printf(out, "%s%u", i == 0 ? " nodes=" : ",", v[i]);
    }
}

static void
started(const struct record_tasks_started *r, struct hq_buf *out)
{
    hq_buf_printf(out, " worker=%u job=%u instance=%u", r->worker.v, r->tasks.job.v, r->tasks.instance);
    ids(&r->tasks.ids, out);
    times(&r->tasks.times, out);
    nodes(r->nodes, r->node_count, out);
}

static void
job_submitted(const struct record_job_submitted *r, struct hq_buf *out)
{
    hq_buf_printf(out, " job=%u uid=%u", r->job.v, r->owner_uid);
    hq_buf_cstr(out, r->is_new ? " new" : " attached");
    text("name", r->is_new ? r->name : r->own_name, out);
    if (r->has_max_fails) {
        hq_buf_printf(out, " max-fails=%u", r->max_fails);
    }
    if (r->part_count > 0) {
        hq_buf_printf(out, " parts=%u", r->part_count);
    }
    if (r->is_graph) {
        hq_buf_printf(out, " graph=%zu", r->part.graph.count);
    } else {
        ids(&r->ids, out);
    }
}

static void
allocation(const struct record_allocation *r, struct hq_buf *out)
{
    hq_buf_printf(out, " queue=%u number=%u workers=%u%s", r->queue.v, r->number, r->worker_count,
                  r->is_failed ? " failed" : "");
    text("id", r->allocation_id, out);
    text("text", r->text, out);
}

void
record_print(const struct record *rec, struct hq_buf *out)
{
    if (rec->seq != 0) {
        hq_buf_printf(out, "%llu ", (unsigned long long)rec->seq);
    }
    hq_buf_cstr(out, record_kind_name(rec->kind));
    switch (rec->kind) {
    case RECORD_SERVER_STARTED:
        text("uid", rec->u.server_started.server_uid, out);
        text("boot", rec->u.server_started.boot_id, out);
        break;
    case RECORD_SERVER_STOPPED:
        break;
    case RECORD_WORKER_CONNECTED:
        hq_buf_printf(out, " worker=%u", rec->u.worker_connected.worker.v);
        text("host", rec->u.worker_connected.config.hostname, out);
        break;
    case RECORD_WORKER_LOST:
        hq_buf_printf(out, " worker=%u reason=%s", rec->u.worker_lost.worker.v,
                      reason_names[rec->u.worker_lost.reason]);
        break;
    case RECORD_WORKER_OVERVIEW:
        hq_buf_printf(out, " worker=%u", rec->u.worker_overview.worker.v);
        break;
    case RECORD_JOB_OPENED:
        hq_buf_printf(out, " job=%u uid=%u", rec->u.job_opened.job.v, rec->u.job_opened.owner_uid);
        text("name", rec->u.job_opened.name, out);
        break;
    case RECORD_SUBMIT_PART:
        hq_buf_printf(out, " upload=%llu", (unsigned long long)rec->u.submit_part.upload_id);
        break;
    case RECORD_JOB_SUBMITTED:
        job_submitted(&rec->u.job_submitted, out);
        break;
    case RECORD_JOB_CLOSED:
    case RECORD_JOB_COMPLETED:
    case RECORD_JOB_IDLE:
        hq_buf_printf(out, " job=%u", rec->u.job.job.v);
        break;
    case RECORD_JOB_CANCELED:
        hq_buf_printf(out, " job=%u", rec->u.job_canceled.job.v);
        text("reason", rec->u.job_canceled.reason, out);
        break;
    case RECORD_JOB_FORGOTTEN:
        ids(&rec->u.job_forgotten.jobs, out);
        break;
    case RECORD_TASKS_ASSIGNED:
        hq_buf_printf(out, " worker=%u job=%u instance=%u", rec->u.tasks_assigned.worker.v, rec->u.tasks_assigned.job.v,
                      rec->u.tasks_assigned.instance);
        if (rec->u.tasks_assigned.variant > 0) {
            hq_buf_printf(out, " variant=%u", rec->u.tasks_assigned.variant);
        }
        ids(&rec->u.tasks_assigned.ids, out);
        nodes(rec->u.tasks_assigned.nodes, rec->u.tasks_assigned.node_count, out);
        break;
    case RECORD_TASKS_UNASSIGNED:
        hq_buf_printf(out, " worker=%u job=%u", rec->u.tasks_unassigned.worker.v, rec->u.tasks_unassigned.job.v);
        ids(&rec->u.tasks_unassigned.ids, out);
        break;
    case RECORD_TASKS_STARTED:
        started(&rec->u.tasks_started, out);
        break;
    case RECORD_TASKS_FINISHED:
        hq_buf_printf(out, " worker=%u job=%u instance=%u", rec->u.tasks_finished.worker.v,
                      rec->u.tasks_finished.tasks.job.v, rec->u.tasks_finished.tasks.instance);
        ids(&rec->u.tasks_finished.tasks.ids, out);
        times(&rec->u.tasks_finished.tasks.times, out);
        break;
    case RECORD_TASK_FAILED:
        hq_buf_printf(out, " worker=%u job=%u task=%u instance=%u", rec->u.task_failed.worker.v,
                      rec->u.task_failed.task.job.v, rec->u.task_failed.task.task, rec->u.task_failed.task.instance);
        text("error", rec->u.task_failed.task.error, out);
        break;
    case RECORD_TASKS_CANCELED:
    case RECORD_TASKS_ABORTED:
        hq_buf_printf(out, " job=%u", rec->u.tasks_ended.job.v);
        ids(&rec->u.tasks_ended.ids, out);
        break;
    case RECORD_TASKS_RESTARTED:
        hq_buf_printf(out, " job=%u", rec->u.tasks_restarted.job.v);
        ids(&rec->u.tasks_restarted.ids, out);
        hq_buf_cstr(out, rec->u.tasks_restarted.is_crash ? " crash" : "");
        break;
    case RECORD_TASK_NOTIFIED:
        hq_buf_printf(out, " worker=%u job=%u task=%u", rec->u.task_notified.worker.v,
                      rec->u.task_notified.notify.job.v, rec->u.task_notified.notify.task);
        text("message", rec->u.task_notified.notify.message, out);
        break;
    case RECORD_COUNTERS:
        hq_buf_printf(out, " job=%u worker=%u queue=%u", rec->u.counters.next_job, rec->u.counters.next_worker,
                      rec->u.counters.next_queue);
        break;
    case RECORD_ALLOC_QUEUE_CREATED:
        hq_buf_printf(out, " queue=%u", rec->u.alloc_queue.queue.v);
        text("name", rec->u.alloc_queue.params.name, out);
        break;
    case RECORD_ALLOC_QUEUE_REMOVED:
    case RECORD_ALLOC_QUEUE_PAUSED:
    case RECORD_ALLOC_QUEUE_RESUMED:
        hq_buf_printf(out, " queue=%u", rec->u.alloc_queue_event.queue.v);
        text("text", rec->u.alloc_queue_event.text, out);
        break;
    case RECORD_ALLOC_QUEUE_SHAPE:
        hq_buf_printf(out, " queue=%u", rec->u.alloc_shape.queue.v);
        break;
    case RECORD_ALLOCATION_PLANNED:
    case RECORD_ALLOCATION_QUEUED:
    case RECORD_ALLOCATION_STARTED:
    case RECORD_ALLOCATION_FINISHED:
    case RECORD_ALLOCATION_REFUSED:
        allocation(&rec->u.allocation, out);
        break;
    case RECORD_JOB_SNAPSHOT:
        hq_buf_printf(out, " job=%u", rec->u.job_snapshot.job.v);
        break;
    }
}

/* ---- effects */
static void
answer(const struct answer *a, struct hq_buf *out)
{
    hq_buf_printf(out, " #%llu", (unsigned long long)a->handle);
    switch (a->kind) {
    case ANSWER_ERROR:
        hq_buf_printf(out, " error %d", a->code);
        text("text", a->text, out);
        return;
    case ANSWER_DONE:
        hq_buf_cstr(out, " done");
        return;
    case ANSWER_SUBMITTED:
        hq_buf_printf(out, " submitted job=%u", a->job.v);
        return;
    case ANSWER_JOB_RESULTS:
        for (size_t i = 0; i < a->job_count; i++) {
            const struct job_result *r = &a->jobs[i];
            hq_buf_printf(out, " %u:%s", r->job.v, job_result_names[r->kind]);
            if (r->canceled + r->ended_before > 0) {
                hq_buf_printf(out, "(%llu,%llu)", (unsigned long long)r->canceled, (unsigned long long)r->ended_before);
            }
        }
        return;
    case ANSWER_FORGOTTEN:
        hq_buf_printf(out, " forgotten=%llu ignored=%llu", (unsigned long long)a->forgotten,
                      (unsigned long long)a->ignored);
        return;
    case ANSWER_ALLOC_ADDED:
        hq_buf_printf(out, " queue=%u", a->queue.v);
        return;
    case ANSWER_WORKER_RESULTS:
        for (size_t i = 0; i < a->worker_count; i++) {
            hq_buf_printf(out, " %u:%s", a->workers[i].worker.v, worker_result_names[a->workers[i].kind]);
        }
        return;
    }
}

/* Ranks by node; plain multi-node tasks have none. */
static void
step(const struct step *s, struct hq_buf *out)
{
    for (uint32_t i = 0; s != NULL && s->nodes[0].ranks > 0 && i < s->node_count; i++) {
        hq_buf_printf(out, "%s%u", i == 0 ? " ranks=" : ",", s->nodes[i].ranks);
    }
}

static void
command(const struct command *c, struct hq_buf *out)
{
    switch (c->kind) {
    case COMMAND_BODY:
        hq_buf_printf(out, " [body job=%u desc=%u]", c->u.body.job.v, c->u.body.desc_id);
        return;
    case COMMAND_ASSIGN:
        hq_buf_printf(out, " [assign job=%u desc=%u instance=%u", c->u.assign.job.v, c->u.assign.desc_id,
                      c->u.assign.instance);
        if (c->u.assign.variant > 0) {
            hq_buf_printf(out, " variant=%u", c->u.assign.variant);
        }
        ids(&c->u.assign.ids, out);
        text("entries", c->u.assign.entries.data, out);
        for (size_t i = 0; i < c->u.assign.node_count; i++) {
            hq_buf_cstr(out, i == 0 ? " hosts=" : ",");
            hq_buf_str(out, c->u.assign.node_hosts[i]);
        }
        step(c->u.assign.step, out);
        hq_buf_byte(out, ']');
        return;
    case COMMAND_RETRACT:
    case COMMAND_CANCEL:
        hq_buf_printf(out, " [%s job=%u", c->kind == COMMAND_RETRACT ? "retract" : "cancel", c->u.tasks.job.v);
        ids(&c->u.tasks.ids, out);
        hq_buf_byte(out, ']');
        return;
    case COMMAND_FORGET_JOB:
        hq_buf_printf(out, " [forget job=%u]", c->u.forget_job.v);
        return;
    case COMMAND_STOP:
        hq_buf_printf(out, " [stop %s]", reason_names[c->u.stop]);
        return;
    case COMMAND_OVERVIEW:
        hq_buf_printf(out, " [overview %lld]", (long long)c->u.overview_ms);
        return;
    case COMMAND_JOIN:
        hq_buf_printf(out, " [join job=%u desc=%u task=%u instance=%u node=%u/%u", c->u.join.job.v, c->u.join.desc_id,
                      c->u.join.task, c->u.join.instance, c->u.join.step->node_ix, c->u.join.step->node_count);
        text("entry", c->u.join.entry, out);
        step(c->u.join.step, out);
        hq_buf_byte(out, ']');
        return;
    case COMMAND_LEAVE:
        hq_buf_printf(out, " [leave job=%u task=%u instance=%u]", c->u.leave.job.v, c->u.leave.task,
                      c->u.leave.instance);
        return;
    case COMMAND_STDIN_PART:
        hq_buf_printf(out, " [stdin job=%u offset=%llu bytes=%zu]", c->u.stdin_part.job.v,
                      (unsigned long long)c->u.stdin_part.offset, c->u.stdin_part.data.len);
        return;
    }
}

static void
turn(const struct turn_answer *t, struct hq_buf *out)
{
    hq_buf_printf(out, " #%llu worker=%u", (unsigned long long)t->handle, t->worker.v);
    if (t->code < 0) {
        hq_buf_printf(out, " error %d", t->code);
        return;
    }
    hq_buf_printf(out, " ack=%llu", (unsigned long long)t->ack_turn_seq);
    if (t->command_seq > 0) {
        hq_buf_printf(out, " command=%llu", (unsigned long long)t->command_seq);
    }
    for (size_t i = 0; i < t->command_count; i++) {
        command(&t->commands[i], out);
    }
}

static void
registered(const struct registered *r, struct hq_buf *out)
{
    hq_buf_printf(out, " #%llu", (unsigned long long)r->handle);
    if (r->code < 0) {
        hq_buf_printf(out, " error %d", r->code);
        return;
    }
    hq_buf_printf(out, " worker=%u command=%llu", r->worker.v, (unsigned long long)r->next_command_seq);
    for (size_t i = 0; i < r->drop_count; i++) {
        hq_buf_printf(out, " [drop job=%u instance=%u", r->drop[i].job.v, r->drop[i].instance);
        ids(&r->drop[i].ids, out);
        hq_buf_byte(out, ']');
    }
    if (r->is_member) {
        hq_buf_printf(out, " member=%u@%u#%u", r->member.job.v, r->member.task, r->member.instance);
    }
}

void
effect_print(const struct effect *e, struct hq_buf *out)
{
    switch (e->kind) {
    case EFFECT_RECORD:
        hq_buf_cstr(out, "record ");
        record_print(&e->u.record, out);
        return;
    case EFFECT_EVENT:
        hq_buf_cstr(out, "event ");
        record_print(&e->u.record, out);
        return;
    case EFFECT_ANSWER:
        hq_buf_printf(out, "answer(%s)", when_names[e->when]);
        answer(&e->u.answer, out);
        return;
    case EFFECT_REGISTERED:
        hq_buf_printf(out, "registered(%s)", when_names[e->when]);
        registered(&e->u.registered, out);
        return;
    case EFFECT_TURN:
        hq_buf_printf(out, "turn(%s)", when_names[e->when]);
        turn(&e->u.turn, out);
        return;
    case EFFECT_NOTE:
        switch (e->u.note.topic) {
        case NOTE_JOB:
            hq_buf_printf(out, "note job/%u", e->u.note.job.v);
            return;
        case NOTE_WORKER:
            hq_buf_cstr(out, "note worker");
            return;
        case NOTE_SERVER:
            hq_buf_cstr(out, "note server");
            return;
        }
        return;
    case EFFECT_WORKER_GONE:
        hq_buf_printf(out, "gone worker=%u", e->u.worker_gone.v);
        return;
    case EFFECT_STOP:
        hq_buf_cstr(out, "stop");
        return;
    }
}

void
effects_print(const struct effects *fx, struct hq_buf *out)
{
    for (size_t i = 0; i < fx->count; i++) {
        effect_print(&fx->v[i], out);
        hq_buf_byte(out, '\n');
    }
}
