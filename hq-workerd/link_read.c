/* link_read.c - Registered and TurnAnswer out of bytes, checked. */
#include "hq-workerd/link_msg.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire.h"

#include "proto/common.pb-c.h"
#include "proto/turn.pb-c.h"

static struct hq_str
msg_str(ProtobufCBinaryData b)
{
    return hq_str_make((const char *)b.data, b.len);
}

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
read_variant(const Hq__Variant *m, struct hq_arena *arena, struct hq_variant *ret, struct hq_err *err)
{
    if (m->n_entries > HQ_RESOURCES_MAX) {
        return hq_err_set(err, -EPROTO, "Too many resources in a request");
    }
    *ret = (struct hq_variant){.n_nodes = m->n_nodes,
                               .min_time_ms = (int64_t)HQ_MIN(m->min_time_ms, (uint64_t)INT64_MAX / 2),
                               .weight_x10000 = m->weight == 0 ? 10000 : m->weight,
                               .entry_count = m->n_entries};
    ret->entries = hq_arena_array(arena, m->n_entries, sizeof(*ret->entries));
    for (size_t i = 0; i < m->n_entries; i++) {
        const Hq__RequestEntry *e = m->entries[i];
        if ((uint32_t)e->policy >= HQ_POLICIES || (e->amount == 0 && e->policy != HQ__POLICY__POLICY_ALL)) {
            return hq_err_set(err, -EPROTO, "A resource request makes no sense");
        }
        ret->entries[i] = (struct hq_request_entry){
            .name = hq_arena_str(arena, msg_str(e->name)), .amount = e->amount, .policy = (enum hq_policy)e->policy};
    }
    return 0;
}

static int
read_request(const Hq__Request *m, struct hq_arena *arena, struct hq_request *ret, struct hq_err *err)
{
    if (m == NULL || m->n_variants == 0 || m->n_variants > HQ_VARIANTS_MAX) {
        return hq_err_set(err, -EPROTO, "A task without a resource request");
    }
    ret->variant_count = m->n_variants;
    ret->variants = hq_arena_array(arena, m->n_variants, sizeof(*ret->variants));
    for (size_t i = 0; i < m->n_variants; i++) {
        int rc = read_variant(m->variants[i], arena, &ret->variants[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int
read_stdio(const Hq__Stdio *m, struct hq_arena *arena, struct body_stdio *ret, struct hq_err *err)
{
    if (m == NULL) {
        return 0; /* a file with the default path */
    }
    if ((uint32_t)m->kind >= BODY_STDIO_KINDS) {
        return hq_err_set(err, -EPROTO, "Unknown kind of output");
    }
    *ret = (struct body_stdio){.kind = (enum body_stdio_kind)m->kind,
                               .path = hq_arena_str(arena, msg_str(m->path)),
                               .remove_if_finished = m->remove_if_finished};
    return 0;
}

static bool
has_zero(ProtobufCBinaryData b)
{
    return b.len > 0 && memchr(b.data, 0, b.len) != NULL;
}

static int
read_args(const Hq__TaskDesc *d, struct body *b, struct hq_err *err)
{
    if (d->n_args == 0) {
        return hq_err_set(err, -EPROTO, "A task without a program");
    }
    b->arg_count = d->n_args;
    b->args = hq_arena_array(&b->arena, d->n_args, sizeof(*b->args));
    for (size_t i = 0; i < d->n_args; i++) {
        if (has_zero(d->args[i])) {
            return hq_err_set(err, -EPROTO, "A zero byte in an argument");
        }
        b->args[i] = hq_arena_str(&b->arena, msg_str(d->args[i]));
    }
    b->env_count = d->n_env;
    b->env = hq_arena_array(&b->arena, d->n_env, sizeof(*b->env));
    for (size_t i = 0; i < d->n_env; i++) {
        if (has_zero(d->env[i]->key) || has_zero(d->env[i]->value)) {
            return hq_err_set(err, -EPROTO, "A variable that cannot be set");
        }
        b->env[i].key = hq_arena_str(&b->arena, msg_str(d->env[i]->key));
        b->env[i].value = hq_arena_str(&b->arena, msg_str(d->env[i]->value));
    }
    return 0;
}

static int
read_mpi(const Hq__Mpi *m, struct hq_mpi *ret, struct hq_err *err)
{
    if (m == NULL) {
        return 0;
    }
    if ((uint32_t)m->wire_up > HQ_MPI_PMI1) {
        return hq_err_set(err, -EPROTO, "Unknown way to start ranks");
    }
    *ret = (struct hq_mpi){.is_on = true,
                           .ranks_per_node = m->ranks_per_node,
                           .ranks = m->ranks,
                           .cpus_per_rank = m->cpus_per_rank,
                           .oversubscribe = m->oversubscribe,
                           .tag_output = m->tag_output,
                           .wire_up = (enum hq_mpi_wire_up)m->wire_up};
    return 0;
}

static int
read_body(const Hq__Body *m, struct link_command *ret, struct hq_err *err)
{
    const Hq__TaskDesc *d = m->desc;

    if (d == NULL || has_zero(m->submit_dir) || has_zero(d->cwd) || (uint32_t)d->pin >= BODY_PINS ||
        (d->stdout != NULL && has_zero(d->stdout->path)) || (d->stderr != NULL && has_zero(d->stderr->path))) {
        return hq_err_set(err, -EPROTO, "A body makes no sense");
    }
    HQ_AUTO(body_unrefp) struct body *b = body_create(m->job, m->desc_id);
    if (b == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot keep a body");
    }
    b->cwd = hq_arena_str(&b->arena, msg_str(d->cwd));
    b->submit_dir = hq_arena_str(&b->arena, msg_str(m->submit_dir));
    b->stream_dir = hq_arena_str(&b->arena, msg_str(m->stream_dir));
    b->pin = (enum body_pin)d->pin;
    b->with_task_dir = d->task_dir || d->mpi != NULL;
    b->time_limit_ms = (int64_t)HQ_MIN(d->time_limit_ms, (uint64_t)INT64_MAX / 2);
    int rc = read_args(d, b, err);
    rc = rc < 0 ? rc : read_stdio(d->stdout, &b->arena, &b->out, err);
    rc = rc < 0 ? rc : read_stdio(d->stderr, &b->arena, &b->err, err);
    rc = rc < 0 ? rc : read_request(d->request, &b->arena, &b->request, err);
    rc = rc < 0 ? rc : read_mpi(d->mpi, &b->mpi, err);
    if (rc == 0) {
        ret->kind = LINK_BODY;
        ret->job_id = m->job;
        ret->desc_id = m->desc_id;
        ret->stdin_bytes = d->has_stdin ? m->stdin_bytes : 0;
        ret->body = b;
        b = NULL;
    }
    return rc;
}

static int
read_node(const Hq__StepNode *m, struct hq_arena *arena, struct step_node *ret, struct hq_err *err)
{
    if (m->host.len == 0 || m->host.len > HQ_NAME_BYTES_MAX || has_zero(m->host) || m->port > UINT16_MAX ||
        m->ranks > HQ_STEP_RANKS_MAX) {
        return hq_err_set(err, -EPROTO, "A node of a task makes no sense");
    }
    ret->host = hq_arena_str(arena, msg_str(m->host));
    ret->port = (uint16_t)m->port;
    ret->ranks = m->ranks;
    ret->address_count = HQ_MIN(m->n_addresses, (size_t)HQ_ADDRESSES_MAX);
    ret->addresses = hq_arena_array(arena, ret->address_count, sizeof(*ret->addresses));
    for (size_t i = 0; i < ret->address_count; i++) {
        ret->addresses[i] = hq_arena_str(arena, msg_str(m->addresses[i]));
    }
    return 0;
}

static int
read_step(const Hq__Step *m, struct step_desc **ret, struct hq_err *err)
{
    int rc = 0;

    if (m->n_nodes == 0 || m->n_nodes > HQ_STEP_NODES_MAX || m->n_keys != m->n_nodes || m->node_index >= m->n_nodes) {
        return hq_err_set(err, -EPROTO, "The nodes of a task make no sense");
    }
    HQ_AUTO(step_desc_unrefp) struct step_desc *d = step_desc_create((uint32_t)m->n_nodes, m->node_index);
    if (d == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot keep the nodes of a task");
    }
    for (uint32_t i = 0; i < d->node_count && rc == 0; i++) {
        rc = read_node(m->nodes[i], &d->arena, &d->nodes[i], err);
        if (rc == 0 && i != d->node_ix) {
            if (m->keys[i].len != STEP_KEY_BYTES) {
                return hq_err_set(err, -EPROTO, "The key for another node is missing");
            }
            memcpy(d->keys[i], m->keys[i].data, STEP_KEY_BYTES);
        }
    }
    if (rc == 0) {
        *ret = d;
        d = NULL;
    }
    return rc;
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
    return read_step(m->step, &ret->step, err);
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
    return m->step == NULL ? 0 : read_step(m->step, &ret->step, err);
}

static int
read_command(const Hq__Command *m, struct hq_arena *arena, struct link_command *ret, struct hq_err *err)
{
    *ret = (struct link_command){0};
    switch (m->what_case) {
    case HQ__COMMAND__WHAT_BODY:
        return read_body(m->body, ret, err);
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
