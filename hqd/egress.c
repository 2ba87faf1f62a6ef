#include "hqd/egress.h"

#include "common/limits.h"
#include "common/log.h"
#include "hqd/convert.h"

#include "proto/alloc.pb-c.h"

#define NEW(Type, init)                                                                                                \
    Type *m = hq_arena_alloc(arena, sizeof *m);                                                                        \
    init(m)

void
egress_pack(struct hq_buf *out, uint16_t type, uint64_t request_id, const ProtobufCMessage *msg)
{
    struct hq_err err = {0};
    if (hq_wire_pack(out, type, request_id, msg, &err) < 0) {
        hq_log_error("An answer could not be sent: %s type=%u", err.text, type);
        egress_error(out, request_id, err.code, hq_str_from(err.text));
    }
}

void
egress_error(struct hq_buf *out, uint64_t request_id, int code, struct hq_str text)
{
    Hq__Error m;
    hq__error__init(&m);
    m.code = code;
    m.text = conv_bytes(hq_str_sub(text, 0, HQ_ERR_TEXT_BYTES));
    int rc = hq_wire_pack(out, HQ__MESSAGE_TYPE__TYPE_ERROR, request_id, &m.base, NULL);
    HQ_ASSERT(rc == 0); /* bounded by HQ_ERR_TEXT_BYTES */
}

void
egress_done(struct hq_buf *out, uint64_t request_id)
{
    Hq__Empty m;
    hq__empty__init(&m);
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_DONE, request_id, &m.base);
}

static Hq__JobResults *
out_job_results(const struct answer *a, struct hq_arena *arena)
{
    NEW(Hq__JobResults, hq__job_results__init);
    m->n_results = a->job_count;
    m->results = hq_arena_array(arena, a->job_count, sizeof m->results[0]);
    for (size_t i = 0; i < a->job_count; i++) {
        Hq__JobResult *r = hq_arena_alloc(arena, sizeof *r);
        hq__job_result__init(r);
        r->job = a->jobs[i].job.v;
        r->kind = (Hq__JobResultKind)a->jobs[i].kind;
        r->canceled = a->jobs[i].canceled;
        r->ended_before = a->jobs[i].ended_before;
        r->text = conv_bytes(a->jobs[i].text);
        m->results[i] = r;
    }
    return m;
}

static Hq__WorkerResults *
out_worker_results(const struct answer *a, struct hq_arena *arena)
{
    NEW(Hq__WorkerResults, hq__worker_results__init);
    m->n_results = a->worker_count;
    m->results = hq_arena_array(arena, a->worker_count, sizeof m->results[0]);
    for (size_t i = 0; i < a->worker_count; i++) {
        Hq__WorkerResult *r = hq_arena_alloc(arena, sizeof *r);
        hq__worker_result__init(r);
        r->worker = a->workers[i].worker.v;
        r->kind = (Hq__WorkerResultKind)a->workers[i].kind;
        r->text = conv_bytes(a->workers[i].text);
        m->results[i] = r;
    }
    return m;
}

void
egress_answer(struct hq_buf *out, uint64_t request_id, const struct answer *a, struct hq_arena *arena)
{
    switch (a->kind) {
    case ANSWER_ERROR:
        egress_error(out, request_id, a->code, a->text);
        break;
    case ANSWER_DONE:
        egress_done(out, request_id);
        break;
    case ANSWER_SUBMITTED: {
        Hq__Submitted m;
        hq__submitted__init(&m);
        m.job = a->job.v;
        egress_pack(out, HQ__MESSAGE_TYPE__TYPE_SUBMITTED, request_id, &m.base);
        break;
    }
    case ANSWER_JOB_RESULTS:
        egress_pack(out, HQ__MESSAGE_TYPE__TYPE_JOB_RESULTS, request_id, &out_job_results(a, arena)->base);
        break;
    case ANSWER_FORGOTTEN: {
        Hq__JobForgotten m;
        hq__job_forgotten__init(&m);
        m.forgotten = a->forgotten;
        m.ignored = a->ignored;
        egress_pack(out, HQ__MESSAGE_TYPE__TYPE_JOB_FORGOTTEN, request_id, &m.base);
        break;
    }
    case ANSWER_ALLOC_ADDED: {
        Hq__AllocAdded m;
        hq__alloc_added__init(&m);
        m.queue = a->queue.v;
        egress_pack(out, HQ__MESSAGE_TYPE__TYPE_ALLOC_ADDED, request_id, &m.base);
        break;
    }
    case ANSWER_WORKER_RESULTS:
        egress_pack(out, HQ__MESSAGE_TYPE__TYPE_WORKER_RESULTS, request_id, &out_worker_results(a, arena)->base);
        break;
    }
}

static Hq__Leave *
out_leave(const struct command_leave *l, struct hq_arena *arena)
{
    NEW(Hq__Leave, hq__leave__init);
    m->job = l->job.v;
    m->task = l->task;
    m->instance = l->instance;
    return m;
}

void
egress_registered(struct hq_buf *out, uint64_t request_id, const struct registered *r, struct hq_str server_uid,
                  struct hq_str incarnation, struct hq_arena *arena)
{
    if (r->code < 0) {
        egress_error(out, request_id, r->code, r->text);
        return;
    }
    Hq__Registered m;
    hq__registered__init(&m);
    m.worker_id = r->worker.v;
    m.server_uid = conv_bytes(server_uid);
    m.hqd_incarnation = conv_bytes(incarnation);
    m.next_command_seq = r->next_command_seq;
    m.n_drop = r->drop_count;
    m.drop = hq_arena_array(arena, r->drop_count, sizeof m.drop[0]);
    for (size_t i = 0; i < r->drop_count; i++) {
        m.drop[i] = conv_out_held(&r->drop[i], arena);
    }
    m.heartbeat_ms = (uint64_t)r->heartbeat_ms;
    m.member = r->is_member ? out_leave(&r->member, arena) : NULL;
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_REGISTERED, request_id, &m.base);
}

/* ---- turns */

static Hq__Body *
out_body(const struct command_body *b, struct hq_arena *arena)
{
    NEW(Hq__Body, hq__body__init);
    m->job = b->job.v;
    m->desc_id = b->desc_id;
    m->desc = conv_out_desc(b->desc, arena);
    m->submit_dir = conv_bytes(b->submit_dir);
    m->stream_dir = conv_bytes(b->stream_dir);
    m->stdin_bytes = b->stdin_bytes;
    return m;
}

static Hq__Assign *
out_assign(const struct command_assign *a, struct hq_arena *arena)
{
    NEW(Hq__Assign, hq__assign__init);
    m->job = a->job.v;
    m->desc_id = a->desc_id;
    m->instance = a->instance;
    m->variant = a->variant;
    m->ids = conv_out_ranges(&a->ids, arena);
    m->entries = conv_out_entries(&a->entries, arena);
    m->n_node_hosts = a->node_count;
    m->node_hosts = hq_arena_array(arena, a->node_count, sizeof m->node_hosts[0]);
    for (size_t i = 0; i < a->node_count; i++) {
        m->node_hosts[i] = conv_bytes(a->node_hosts[i]);
    }
    m->step = conv_out_step(a->step, arena);
    return m;
}

static Hq__Join *
out_join(const struct command_join *j, struct hq_arena *arena)
{
    NEW(Hq__Join, hq__join__init);
    m->job = j->job.v;
    m->desc_id = j->desc_id;
    m->task = j->task;
    m->instance = j->instance;
    m->entry = conv_bytes(j->entry);
    m->step = conv_out_step(j->step, arena);
    return m;
}

static void
out_tasks_command(const struct command *c, Hq__Command *m, struct hq_arena *arena)
{
    const struct command_tasks *t = &c->u.tasks;
    if (c->kind == COMMAND_RETRACT) {
        m->what_case = HQ__COMMAND__WHAT_RETRACT;
        m->retract = hq_arena_alloc(arena, sizeof *m->retract);
        hq__retract__init(m->retract);
        m->retract->job = t->job.v;
        m->retract->instance = t->instance;
        m->retract->ids = conv_out_ranges(&t->ids, arena);
    } else {
        m->what_case = HQ__COMMAND__WHAT_CANCEL;
        m->cancel = hq_arena_alloc(arena, sizeof *m->cancel);
        hq__cancel__init(m->cancel);
        m->cancel->job = t->job.v;
        m->cancel->ids = conv_out_ranges(&t->ids, arena);
    }
}

static Hq__StdinPart *
out_stdin(const struct command_stdin *s, struct hq_arena *arena)
{
    NEW(Hq__StdinPart, hq__stdin_part__init);
    m->job = s->job.v;
    m->submit = s->submit;
    m->offset = s->offset;
    m->data = conv_bytes(s->data);
    return m;
}

static Hq__Command *
out_command(const struct command *c, struct hq_arena *arena)
{
    NEW(Hq__Command, hq__command__init);
    switch (c->kind) {
    case COMMAND_BODY:
        m->what_case = HQ__COMMAND__WHAT_BODY;
        m->body = out_body(&c->u.body, arena);
        break;
    case COMMAND_ASSIGN:
        m->what_case = HQ__COMMAND__WHAT_ASSIGN;
        m->assign = out_assign(&c->u.assign, arena);
        break;
    case COMMAND_RETRACT:
    case COMMAND_CANCEL:
        out_tasks_command(c, m, arena);
        break;
    case COMMAND_FORGET_JOB:
        m->what_case = HQ__COMMAND__WHAT_FORGET_JOB;
        m->forget_job = c->u.forget_job.v;
        break;
    case COMMAND_STOP:
        m->what_case = HQ__COMMAND__WHAT_STOP;
        m->stop = (Hq__WorkerLostReason)c->u.stop;
        break;
    case COMMAND_OVERVIEW:
        m->what_case = HQ__COMMAND__WHAT_OVERVIEW_MS;
        m->overview_ms = (uint64_t)c->u.overview_ms;
        break;
    case COMMAND_STDIN_PART:
        m->what_case = HQ__COMMAND__WHAT_STDIN_PART;
        m->stdin_part = out_stdin(&c->u.stdin_part, arena);
        break;
    case COMMAND_JOIN:
        m->what_case = HQ__COMMAND__WHAT_JOIN;
        m->join = out_join(&c->u.join, arena);
        break;
    case COMMAND_LEAVE:
        m->what_case = HQ__COMMAND__WHAT_LEAVE;
        m->leave = out_leave(&c->u.leave, arena);
        break;
    }
    return m;
}

void
egress_turn(struct hq_buf *out, uint64_t request_id, const struct turn_answer *t, struct hq_arena *arena)
{
    if (t->code < 0) {
        egress_error(out, request_id, t->code, t->text);
        return;
    }
    Hq__TurnAnswer m;
    hq__turn_answer__init(&m);
    m.command_seq = t->command_seq;
    m.ack_turn_seq = t->ack_turn_seq;
    m.n_commands = t->command_count;
    m.commands = hq_arena_array(arena, t->command_count, sizeof m.commands[0]);
    for (size_t i = 0; i < t->command_count; i++) {
        m.commands[i] = out_command(&t->commands[i], arena);
    }
    egress_pack(out, HQ__MESSAGE_TYPE__TYPE_TURN_ANSWER, request_id, &m.base);
}
