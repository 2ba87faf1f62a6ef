/* link_read_task.c - bodies and nodes of tasks out of messages, checked. */
#include "hq-workerd/link_read.h"

#include "common/limits.h"
#include "common/mem.h"
#include "hq-workerd/msg_bytes.h"

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

int
link_read_body(const Hq__Body *m, struct link_command *ret, struct hq_err *err)
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

int
link_read_step(const Hq__Step *m, struct step_desc **ret, struct hq_err *err)
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
