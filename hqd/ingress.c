#include "hqd/ingress.h"

#include "common/limits.h"
#include "hqd/convert.h"

#include "proto/alloc.pb-c.h"

#define ROW(T, D, message, I, C)                                                                                       \
    {                                                                                                                  \
        .type = HQ__MESSAGE_TYPE__TYPE_##T, .door = (D), .desc = &hq__##message##__descriptor, .name = #T,            \
        .input = (enum input_kind)(I), .is_change = (C)                                                                \
    }

static const struct ingress_row rows[] = {
    ROW(SERVER_INFO, PEER_CLIENTS, empty, 0, false),
    ROW(SERVER_STOP, PEER_CLIENTS, empty, INPUT_SERVER_STOP, false),
    ROW(SUBMIT_PART, PEER_CLIENTS, submit_part, 0, true),
    ROW(SUBMIT, PEER_CLIENTS, submit, INPUT_SUBMIT, true),
    ROW(JOB_OPEN, PEER_CLIENTS, job_open, INPUT_JOB_OPEN, true),
    ROW(JOB_CLOSE, PEER_CLIENTS, job_select, INPUT_JOB_CLOSE, true),
    ROW(JOB_CANCEL, PEER_CLIENTS, job_cancel, INPUT_JOB_CANCEL, true),
    ROW(JOB_FORGET, PEER_CLIENTS, job_forget, INPUT_JOB_FORGET, true),
    ROW(JOB_LIST, PEER_CLIENTS, job_list, 0, false),
    ROW(JOB_DETAIL, PEER_CLIENTS, job_detail_request, 0, false),
    ROW(TASK_PAGE, PEER_CLIENTS, task_page_request, 0, false),
    ROW(JOB_WATCH, PEER_CLIENTS, job_watch, 0, false),
    ROW(WORKER_LIST, PEER_CLIENTS, worker_list, 0, false),
    ROW(WORKER_STOP, PEER_CLIENTS, worker_select, INPUT_WORKER_STOP, true),
    ROW(FOLLOW, PEER_CLIENTS, follow, 0, false),
    ROW(TASK_EXPLAIN, PEER_CLIENTS, task_explain, 0, false),
    ROW(JOURNAL_FLUSH, PEER_CLIENTS, empty, 0, false),
    ROW(JOURNAL_PRUNE, PEER_CLIENTS, empty, 0, true),
    ROW(DEBUG_DUMP, PEER_CLIENTS, debug_dump, 0, false),
    ROW(ALLOC_ADD, PEER_CLIENTS, alloc_add, INPUT_ALLOC_ADD, true),
    ROW(ALLOC_LIST, PEER_CLIENTS, alloc_list, 0, false),
    ROW(ALLOC_PAUSE, PEER_CLIENTS, alloc_pause, INPUT_ALLOC_PAUSE, true),
    ROW(ALLOC_REMOVE, PEER_CLIENTS, alloc_remove, INPUT_ALLOC_REMOVE, true),
    ROW(ALLOC_TURN, PEER_CLIENTS, alloc_turn, INPUT_ALLOC_REPORTS, false), /* refused by alloc_turn.c if need be */
    ROW(REGISTER, PEER_WORKERS, register, INPUT_REGISTER, true),
    ROW(TURN, PEER_WORKERS, turn, INPUT_TURN, false), /* news in it are held back by net_turn while need be */
};

int
ingress_open(enum peer_door door, struct hq_str payload, struct hq_arena *arena, struct ingress_msg *ret,
             struct hq_err *err)
{
    *ret = (struct ingress_msg){0};
    struct hq_str body;
    int rc = hq_wire_head(payload, &ret->head, &body, err);
    if (rc < 0) {
        return rc;
    }
    const struct ingress_row *row = NULL;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows) && row == NULL; i++) {
        row = rows[i].type == ret->head.type ? &rows[i] : NULL;
    }
    if (row == NULL) {
        return hq_err_set(err, -EBADMSG, "Unknown type of message %u", ret->head.type);
    }
    if (row->door != door) {
        return hq_err_set(err, -EACCES, "%s is not a request for this port", row->name);
    }
    ProtobufCMessage *msg = NULL;
    rc = hq_wire_unpack(body, row->desc, arena, &msg, err);
    if (rc < 0) {
        return hq_err_prefix(err, "%s", row->name);
    }
    ret->row = row;
    ret->msg = msg;
    ret->body = body;
    return 0;
}

#define AS(Type, m) ((const Type *)(const void *)(m))

static int
in_part(const Hq__SubmitPart *p, struct hq_arena *arena, struct submit_part *ret, struct hq_err *err)
{
    return conv_in_part(p->descs, p->n_descs, p->ids, p->entries, p->graph, p->stdin, arena, ret, err);
}

int
ingress_check_part(const ProtobufCMessage *msg, struct hq_arena *arena, struct hq_err *err)
{
    struct submit_part part;
    return in_part(AS(Hq__SubmitPart, msg), arena, &part, err);
}

struct submit_sums { /* what must hold over all parts together */
    uint64_t tasks;
    uint64_t entries;
    uint64_t stdin_bytes;
    size_t descs;
};

static int
check_submit(const struct input_submit *s, struct hq_err *err)
{
    struct submit_sums sum = {0};
    for (size_t i = 0; i < s->part_count; i++) {
        const struct submit_part *p = &s->parts[i];
        sum.tasks += hq_ranges_size(&p->ids) + p->graph.count;
        sum.entries += p->entries.count;
        sum.stdin_bytes += p->stdin_data.len;
        sum.descs += p->desc_count;
        bool is_mixed = s->is_graph ? p->ids.count > 0 || p->entries.count > 0 : p->graph.count > 0;
        if (is_mixed) {
            return hq_err_set(err, -EINVAL, "A submit is either an array or a graph");
        }
    }
    if (sum.descs == 0 || (!s->is_graph && sum.descs != 1)) {
        return hq_err_set(err, -EINVAL, "An array has one description of its tasks");
    }
    if (sum.tasks > HQ_TASKS_PER_SUBMIT_MAX || sum.entries > HQ_TASKS_PER_SUBMIT_MAX ||
        s->auto_count > HQ_TASKS_PER_SUBMIT_MAX) {
        return hq_err_set(err, -E2BIG, "A submit has more than %u tasks", HQ_TASKS_PER_SUBMIT_MAX);
    }
    if (sum.tasks > 0 && sum.entries > 0 && sum.tasks != sum.entries) {
        return hq_err_set(err, -EINVAL, "Entries and ids differ in number");
    }
    if (sum.stdin_bytes > HQ_STDIN_BYTES_MAX) {
        return hq_err_set(err, -E2BIG, "Standard input is over %u bytes", HQ_STDIN_BYTES_MAX);
    }
    return 0;
}

static int
in_submit(const Hq__Submit *m, struct uploads *uploads, struct hq_arena *arena, struct input_submit *s,
          struct hq_err *err)
{
    *s = (struct input_submit){.job = {m->job},
                               .name = conv_str(m->name),
                               .has_max_fails = m->has_max_fails != 0,
                               .max_fails = m->max_fails,
                               .submit_dir = conv_str(m->submit_dir),
                               .stream_dir = conv_str(m->stream_dir),
                               .is_graph = m->is_graph != 0,
                               .auto_count = m->auto_count,
                               .upload_id = m->upload_id};
    if (m->part == NULL || s->name.len > HQ_NAME_BYTES_MAX || s->submit_dir.len > HQ_NAME_BYTES_MAX ||
        s->stream_dir.len > HQ_NAME_BYTES_MAX) {
        return hq_err_set(err, -EINVAL, "A submit without its last part, or with a name over %u bytes", HQ_NAME_BYTES_MAX);
    }
    struct upload *up = NULL;
    int rc = m->upload_id == 0 ? 0 : uploads_find(uploads, m->upload_id, m->part_count, &up, err);
    size_t before = up == NULL ? 0 : up->count;
    struct submit_part *parts = hq_arena_array(arena, before + 1, sizeof *parts);
    for (size_t i = 0; i < before && rc == 0; i++) {
        ProtobufCMessage *part = NULL;
        rc = hq_wire_unpack(upload_part(up, (uint32_t)i), &hq__submit_part__descriptor, arena, &part, err);
        if (rc == 0) {
            rc = in_part(AS(Hq__SubmitPart, part), arena, &parts[i], err);
        }
    }
    if (rc == 0) {
        rc = in_part(m->part, arena, &parts[before], err);
    }
    if (rc < 0) {
        return rc;
    }
    s->parts = parts;
    s->part_count = before + 1;
    return check_submit(s, err);
}

static int
in_forget(const Hq__JobForget *m, struct input_job_forget *f, struct hq_err *err)
{
    *f = (struct input_job_forget){0};
    for (size_t i = 0; i < m->n_states; i++) {
        if (m->states[i] > JOB_WORD_FINISHED) {
            return hq_err_set(err, -EINVAL, "Unknown job state %u", m->states[i]);
        }
        f->state_mask |= 1u << m->states[i];
    }
    return conv_in_selection(m->jobs, &f->jobs, err);
}

static int
in_register(const Hq__Register *m, struct hq_arena *arena, struct input_register *r, struct hq_err *err)
{
    if (m->incarnation.len != INCARNATION_BYTES) {
        return hq_err_set(err, -EINVAL, "An incarnation has %u bytes", INCARNATION_BYTES);
    }
    *r = (struct input_register){.worker = {m->worker_id},
                                 .held_count = m->n_held,
                                 .next_turn_seq = m->next_turn_seq == 0 ? 1 : m->next_turn_seq,
                                 .started_ms = conv_ms(m->started_ms)};
    memcpy(r->incarnation, m->incarnation.data, INCARNATION_BYTES);
    struct held_tasks *held = hq_arena_array(arena, m->n_held, sizeof *held);
    for (size_t i = 0; i < m->n_held; i++) {
        int rc = conv_in_held(m->held[i], &held[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    r->held = held;
    return conv_in_config(m->config, arena, &r->config, err);
}

/* One list of a turn: an array in the arena, each item through its own check. */
#define IN_LIST(field, type, conv)                                                                                     \
    do {                                                                                                               \
        struct type *list = hq_arena_array(arena, m->n_##field, sizeof *list);                                         \
        for (size_t i = 0; i < m->n_##field; i++) {                                                                    \
            int list_rc = conv(m->field[i], &list[i], err);                                                            \
            if (list_rc < 0) {                                                                                         \
                return list_rc;                                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        t->field = list;                                                                                               \
    } while (0)

static int
in_turn(const Hq__Turn *m, struct hq_str incarnation, struct hq_arena *arena, struct input_turn *t, struct hq_err *err)
{
    if (!hq_str_eq(conv_str(m->hqd_incarnation), incarnation)) {
        return hq_err_set(err, -ESTALE, "This server was started again: register again");
    }
    *t = (struct input_turn){.worker = {m->worker_id},
                             .turn_seq = m->turn_seq,
                             .ack_command_seq = m->ack_command_seq,
                             .started_count = m->n_started,
                             .finished_count = m->n_finished,
                             .failed_count = m->n_failed,
                             .returned_count = m->n_returned,
                             .notify_count = m->n_notifies,
                             .round_trip_us = m->round_trip_us,
                             .is_unsettled = m->is_unsettled != 0};
    if (m->turn_seq == 0) {
        return hq_err_set(err, -EINVAL, "Turns count from 1");
    }
    IN_LIST(started, tasks_started, conv_in_started);
    IN_LIST(finished, tasks_finished, conv_in_finished);
    IN_LIST(failed, task_failed, conv_in_failed);
    IN_LIST(returned, tasks_returned, conv_in_returned);
    IN_LIST(notifies, task_notify, conv_in_notify);
    if (m->overview != NULL) {
        struct overview *o = hq_arena_alloc(arena, sizeof *o);
        int rc = conv_in_overview(m->overview, arena, o, err);
        if (rc < 0) {
            return rc;
        }
        t->overview = o;
    }
    return conv_in_lost(m->leaving, &t->leaving, err);
}

/* Kinds of a later version are skipped: what an old hqd does not understand it need not do. */
static int
in_reports(const Hq__AllocTurn *m, struct hq_arena *arena, struct input_alloc_reports *r, struct hq_err *err)
{
    if (m->incarnation.len != INCARNATION_BYTES) {
        return hq_err_set(err, -EINVAL, "An incarnation has %u bytes", INCARNATION_BYTES);
    }
    struct alloc_report *v = hq_arena_array(arena, m->n_reports, sizeof *v);
    *r = (struct input_alloc_reports){.v = v};
    for (size_t i = 0; i < m->n_reports; i++) {
        const Hq__AllocReport *from = m->reports[i];
        int kind = (int)from->kind;
        if (kind < ALLOC_REPORT_PLANNED || kind >= ALLOC_REPORT_KINDS) {
            continue;
        }
        if (from->allocation_id.len > HQ_NAME_BYTES_MAX || from->work_dir.len > HQ_NAME_BYTES_MAX ||
            from->text.len > HQ_NAME_BYTES_MAX || (kind == ALLOC_REPORT_PLANNED && from->worker_count == 0) ||
            (kind == ALLOC_REPORT_QUEUED && from->allocation_id.len == 0)) {
            return hq_err_set(err, -EINVAL, "A report about an allocation without its content, or over %u bytes",
                              HQ_NAME_BYTES_MAX);
        }
        v[r->count++] = (struct alloc_report){.kind = (enum alloc_report_kind)kind,
                                              .a = {.queue = {from->queue},
                                                    .number = from->number,
                                                    .allocation_id = conv_str(from->allocation_id),
                                                    .worker_count = from->worker_count,
                                                    .work_dir = conv_str(from->work_dir),
                                                    .is_failed = from->is_failed != 0,
                                                    .text = conv_str(from->text),
                                                    .started_ms = conv_ms(from->started_ms),
                                                    .ended_ms = conv_ms(from->ended_ms)},
                                              .trial = from->trial,
                                              .is_permanent = from->is_permanent != 0};
    }
    return 0;
}

int
ingress_input(const struct ingress_msg *m, struct uploads *uploads, struct hq_str incarnation, struct hq_arena *arena,
              struct input *ret, struct hq_err *err)
{
    HQ_ASSERT(m->row->input != 0);
    *ret = (struct input){.kind = m->row->input};
    switch (m->row->input) {
    case INPUT_SUBMIT:
        return in_submit(AS(Hq__Submit, m->msg), uploads, arena, &ret->u.submit, err);
    case INPUT_JOB_OPEN: {
        const Hq__JobOpen *o = AS(Hq__JobOpen, m->msg);
        if (o->name.len > HQ_NAME_BYTES_MAX || o->submit_dir.len > HQ_NAME_BYTES_MAX) {
            return hq_err_set(err, -EINVAL, "The name of a job is over %u bytes", HQ_NAME_BYTES_MAX);
        }
        ret->u.job_open = (struct input_job_open){.name = conv_str(o->name),
                                                  .has_max_fails = o->has_max_fails != 0,
                                                  .max_fails = o->max_fails,
                                                  .submit_dir = conv_str(o->submit_dir)};
        return 0;
    }
    case INPUT_JOB_CLOSE:
        return conv_in_selection(AS(Hq__JobSelect, m->msg)->jobs, &ret->u.job_close.jobs, err);
    case INPUT_JOB_CANCEL: {
        const Hq__JobCancel *c = AS(Hq__JobCancel, m->msg);
        if (c->reason.len > HQ_REASON_BYTES_MAX) {
            return hq_err_set(err, -EINVAL, "The reason is over %u bytes", HQ_REASON_BYTES_MAX);
        }
        ret->u.job_cancel.has_reason = c->has_reason != 0;
        ret->u.job_cancel.reason = conv_str(c->reason);
        return conv_in_selection(c->jobs, &ret->u.job_cancel.jobs, err);
    }
    case INPUT_JOB_FORGET:
        return in_forget(AS(Hq__JobForget, m->msg), &ret->u.job_forget, err);
    case INPUT_WORKER_STOP:
        return conv_in_selection(AS(Hq__WorkerSelect, m->msg)->workers, &ret->u.worker_stop.workers, err);
    case INPUT_REGISTER:
        return in_register(AS(Hq__Register, m->msg), arena, &ret->u.reg, err);
    case INPUT_TURN:
        return in_turn(AS(Hq__Turn, m->msg), incarnation, arena, &ret->u.turn, err);
    case INPUT_ALLOC_ADD: {
        const Hq__AllocAdd *a = AS(Hq__AllocAdd, m->msg);
        ret->u.alloc_add.with_trial = a->with_trial != 0;
        ret->u.alloc_add.is_trial_only = a->is_trial_only != 0;
        return conv_in_alloc_params(a->params, arena, &ret->u.alloc_add.params, err);
    }
    case INPUT_ALLOC_PAUSE:
        ret->u.alloc_pause = (struct input_alloc_pause){.queue = {AS(Hq__AllocPause, m->msg)->queue},
                                                        .is_pause = AS(Hq__AllocPause, m->msg)->is_pause != 0};
        return 0;
    case INPUT_ALLOC_REMOVE:
        ret->u.alloc_remove = (struct input_alloc_remove){.queue = {AS(Hq__AllocRemove, m->msg)->queue},
                                                          .is_forced = AS(Hq__AllocRemove, m->msg)->is_forced != 0};
        return 0;
    case INPUT_ALLOC_REPORTS:
        return in_reports(AS(Hq__AllocTurn, m->msg), arena, &ret->u.alloc_reports, err);
    case INPUT_SERVER_STOP:
    case INPUT_PEER_GONE:
    case INPUT_PEER_BACK:
    case INPUT_NONSENSE:
    case INPUT_TIMER:
        break;
    }
    return 0;
}
