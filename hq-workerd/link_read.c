/* link_read.c - Registered and TurnAnswer out of bytes, checked. */
#include "hq-workerd/link_read.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire.h"
#include "hq-workerd/msg_bytes.h"

static int
read_ranges(const Hq__Ranges *m, struct hq_arena *arena, struct hq_ranges *ret, struct hq_err *err)
{
    if (m == NULL || m->n_packed == 0 || m->n_packed % 3 != 0 || m->n_packed / 3 > HQ_RANGES_MAX) {
        return hq_err_set(err, -EPROTO, "Ids of tasks are no triplets");
    }
    struct hq_ranges r = {.count = m->n_packed / 3};
    r.v = hq_arena_array(arena, r.count, sizeof(*r.v));
    memcpy(r.v, m->packed, r.count * sizeof(*r.v));
    if (hq_ranges_check(&r, err) < 0) {
        return hq_err_prefix(err, "Ids of tasks");
    }
    if (hq_ranges_size(&r) > HQ_MSG_BYTES_MAX) { /* hqd sends at most some thousands */
        return hq_err_set(err, -EPROTO, "Too many tasks at once");
    }
    *ret = r;
    return 0;
}

static int
read_join(const Hq__Join *m, struct link_command *ret, struct hq_err *err)
{
    *ret = (struct link_command){.kind = LINK_JOIN,
                                 .job_id = m->job,
                                 .desc_id = m->desc_id,
                                 .task_id = m->task,
                                 .instance = m->instance,
                                 .data = msg_str(m->entry)};
    if (m->step == NULL) {
        return hq_err_set(err, -EPROTO, "A task without its nodes was joined");
    }
    return link_read_step(m->step, &ret->step, err);
}

static int
read_assign(const Hq__Assign *m, struct hq_arena *arena, struct link_command *ret, struct hq_err *err)
{
    *ret = (struct link_command){.kind = LINK_ASSIGN,
                                 .job_id = m->job,
                                 .desc_id = m->desc_id,
                                 .instance = m->instance,
                                 .variant = m->variant};
    int rc = read_ranges(m->ids, arena, &ret->ids, err);
    if (rc < 0) {
        return rc;
    }
    uint64_t count = hq_ranges_size(&ret->ids);
    if (m->entries != NULL && m->entries->n_lens > 0) {
        size_t at = 0;
        if (m->entries->n_lens != count) {
            return hq_err_set(err, -EPROTO, "Entries and ids of an assignment differ in number");
        }
        ret->entries = hq_arena_array(arena, m->entries->n_lens, sizeof(*ret->entries));
        for (size_t i = 0; i < m->entries->n_lens; i++) {
            if (m->entries->lens[i] > m->entries->data.len - at) {
                return hq_err_set(err, -EPROTO, "Entries of an assignment are cut off");
            }
            ret->entries[i] = hq_str_make((const char *)m->entries->data.data + at, m->entries->lens[i]);
            at += m->entries->lens[i];
        }
    }
    ret->host_count = m->n_node_hosts;
    ret->hosts = hq_arena_array(arena, m->n_node_hosts, sizeof(*ret->hosts));
    for (size_t i = 0; i < m->n_node_hosts; i++) {
        ret->hosts[i] = msg_str(m->node_hosts[i]);
    }
    return m->step == NULL ? 0 : link_read_step(m->step, &ret->step, err);
}

static int
read_command(const Hq__Command *m, struct hq_arena *arena, struct link_command *ret, struct hq_err *err)
{
    *ret = (struct link_command){0};
    switch (m->what_case) {
    case HQ__COMMAND__WHAT_BODY:
        return link_read_body(m->body, ret, err);
    case HQ__COMMAND__WHAT_ASSIGN:
        return read_assign(m->assign, arena, ret, err);
    case HQ__COMMAND__WHAT_RETRACT:
        ret->kind = LINK_RETRACT;
        ret->job_id = m->retract->job;
        ret->instance = m->retract->instance;
        return read_ranges(m->retract->ids, arena, &ret->ids, err);
    case HQ__COMMAND__WHAT_CANCEL:
        ret->kind = LINK_CANCEL;
        ret->job_id = m->cancel->job;
        return read_ranges(m->cancel->ids, arena, &ret->ids, err);
    case HQ__COMMAND__WHAT_FORGET_JOB:
        ret->kind = LINK_FORGET_JOB;
        ret->job_id = m->forget_job;
        return 0;
    case HQ__COMMAND__WHAT_STOP:
        ret->kind = LINK_STOP;
        ret->reason = (enum link_reason)m->stop;
        return 0;
    case HQ__COMMAND__WHAT_OVERVIEW_MS:
        ret->kind = LINK_OVERVIEW;
        ret->overview_ms = (int64_t)HQ_MIN(m->overview_ms, (uint64_t)INT64_MAX / 2);
        return 0;
    case HQ__COMMAND__WHAT_STDIN_PART:
        ret->kind = LINK_STDIN_PART;
        ret->job_id = m->stdin_part->job;
        ret->submit = m->stdin_part->submit;
        ret->offset = m->stdin_part->offset;
        ret->data = msg_str(m->stdin_part->data);
        return 0;
    case HQ__COMMAND__WHAT_JOIN:
        return read_join(m->join, ret, err);
    case HQ__COMMAND__WHAT_LEAVE:
        ret->kind = LINK_LEAVE;
        ret->job_id = m->leave->job;
        ret->task_id = m->leave->task;
        ret->instance = m->leave->instance;
        return 0;
    case HQ__COMMAND__WHAT__NOT_SET:
    case _HQ__COMMAND__WHAT__CASE_IS_INT_SIZE:
        break;
    }
    return hq_err_set(err, -EPROTO, "A command that this version does not know");
}

int
link_read_answer(struct hq_str body, struct hq_arena *arena, struct link_answer *ret, struct hq_err *err)
{
    ProtobufCMessage *base;
    int rc = hq_wire_unpack(body, &hq__turn_answer__descriptor, arena, &base, err);

    if (rc < 0) {
        return rc;
    }
    const Hq__TurnAnswer *m = (const Hq__TurnAnswer *)(const void *)base;
    struct link_answer a = {.command_seq = m->command_seq, .ack_turn_seq = m->ack_turn_seq};
    a.commands = hq_arena_array(arena, m->n_commands, sizeof(*a.commands));
    while (a.command_count < m->n_commands && rc == 0) {
        rc = read_command(m->commands[a.command_count], arena, &a.commands[a.command_count], err);
        a.command_count += rc == 0;
    }
    if (rc < 0) {
        link_answer_fini(&a);
        return rc;
    }
    *ret = a;
    return 0;
}

void
link_answer_fini(struct link_answer *a)
{
    for (size_t i = 0; i < a->command_count; i++) {
        body_unref(a->commands[i].body);
        a->commands[i].body = NULL;
        step_desc_unref(a->commands[i].step);
        a->commands[i].step = NULL;
    }
    a->command_count = 0;
}

int
link_read_registered(struct hq_str body, struct hq_arena *arena, struct link_registered *ret, struct hq_err *err)
{
    ProtobufCMessage *base;
    int rc = hq_wire_unpack(body, &hq__registered__descriptor, arena, &base, err);

    if (rc < 0) {
        return rc;
    }
    const Hq__Registered *m = (const Hq__Registered *)(const void *)base;
    if (m->worker_id == 0 || m->hqd_incarnation.len != LINK_ID_BYTES || m->next_command_seq == 0) {
        return hq_err_set(err, -EPROTO, "The answer to the registration makes no sense");
    }
    struct link_drop *drop = hq_arena_array(arena, m->n_drop, sizeof(*drop));
    for (size_t i = 0; i < m->n_drop && rc == 0; i++) {
        drop[i].job_id = m->drop[i]->job;
        drop[i].instance = m->drop[i]->instance;
        rc = read_ranges(m->drop[i]->ids, arena, &drop[i].ids, err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = (struct link_registered){.worker_id = m->worker_id,
                                    .server_uid = msg_str(m->server_uid),
                                    .next_command_seq = m->next_command_seq,
                                    .drop = drop,
                                    .drop_count = m->n_drop,
                                    .heartbeat_ms = (int64_t)HQ_MIN(m->heartbeat_ms, (uint64_t)INT64_MAX / 4)};
    memcpy(ret->hqd_incarnation, m->hqd_incarnation.data, LINK_ID_BYTES);
    if (m->member != NULL) {
        ret->has_member = true;
        ret->member_job = m->member->job;
        ret->member_task = m->member->task;
        ret->member_instance = m->member->instance;
    }
    return 0;
}

int
link_read_error(struct hq_str body, struct hq_arena *arena, struct hq_err *err)
{
    ProtobufCMessage *base;
    int rc = hq_wire_unpack(body, &hq__error__descriptor, arena, &base, err);

    if (rc < 0) {
        return rc;
    }
    const Hq__Error *m = (const Hq__Error *)(const void *)base;
    return hq_err_set(err, m->code < 0 ? m->code : -EPROTO, "%.*s", HQ_STR_FMT(msg_str(m->text)));
}

struct batch *
link_make_batch(const struct link_command *c, struct body *body)
{
    uint64_t count = hq_ranges_size(&c->ids);
    size_t bytes = 0;
    HQ_AUTO(batch_unrefp) struct batch *b = batch_create(body);

    if (b == NULL) {
        return NULL;
    }
    b->instance = c->instance;
    b->variant = c->variant;
    for (size_t i = 0; i < c->ids.count; i++) {
        hq_ranges_add(&b->ids, c->ids.v[i].first, c->ids.v[i].count, c->ids.v[i].step);
    }
    for (size_t i = 0; c->entries != NULL && i < count; i++) {
        bytes += c->entries[i].len;
    }
    for (size_t i = 0; i < c->host_count; i++) {
        bytes += c->hosts[i].len;
    }
    b->data = hq_try_alloc(bytes + 1);
    b->entries = c->entries == NULL ? NULL : hq_try_calloc((size_t)count, sizeof(*b->entries));
    b->hosts = c->host_count == 0 ? NULL : hq_try_calloc(c->host_count, sizeof(*b->hosts));
    if (b->data == NULL || (c->entries != NULL && b->entries == NULL) || (c->host_count > 0 && b->hosts == NULL)) {
        return NULL;
    }
    char *at = b->data;
    for (size_t i = 0; c->entries != NULL && i < count; i++) {
        b->entries[i] = hq_str_make(at, c->entries[i].len);
        at = mempcpy(at, c->entries[i].ptr, c->entries[i].len);
    }
    for (size_t i = 0; i < c->host_count; i++) {
        b->hosts[i] = hq_str_make(at, c->hosts[i].len);
        at = mempcpy(at, c->hosts[i].ptr, c->hosts[i].len);
    }
    b->host_count = c->host_count;
    b->step = c->step == NULL ? NULL : step_desc_ref(c->step);
    struct batch *ret = b;
    b = NULL;
    return ret;
}
