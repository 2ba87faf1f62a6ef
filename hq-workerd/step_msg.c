/* step_msg.c - frames looked at, decoded, made. */
#include "hq-workerd/step_msg.h"

#include <string.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire.h"
#include "hq-workerd/msg_bytes.h"

#include "proto/step.pb-c.h"

/* ---- looking without decoding */

static bool
take_varint(struct hq_str *rest, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        unsigned char c = (unsigned char)rest->ptr[0];
        *rest = hq_str_sub(*rest, 1, rest->len);
        v |= (uint64_t)(c & 0x7f) << shift;
        if ((c & 0x80) == 0) {
            *ret = v;
            return true;
        }
    }
    return false;
}

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_32 = 5,
};

static bool
take_field(struct hq_str *rest, uint64_t *ret_number, uint64_t *ret_type, uint64_t *ret_value)
{
    uint64_t tag, skip = 0;

    if (!take_varint(rest, &tag)) {
        return false;
    }
    *ret_number = tag >> 3;
    *ret_type = tag & 7;
    *ret_value = 0;
    switch (*ret_type) {
    case WIRE_VARINT:
        return take_varint(rest, ret_value);
    case WIRE_64:
        skip = 8;
        break;
    case WIRE_32:
        skip = 4;
        break;
    case WIRE_BYTES:
        if (!take_varint(rest, &skip)) {
            return false;
        }
        break;
    default: /* not our enum: any number may stand on the wire */
        return false;
    }
    if (skip > rest->len) {
        return false;
    }
    *rest = hq_str_sub(*rest, (size_t)skip, rest->len);
    return true;
}

int
step_msg_peek(struct hq_str frame, struct step_head *ret)
{
    struct hq_str rest = frame;
    struct step_head h = {0};

    while (rest.len > 0) {
        uint64_t number, type, value;
        if (!take_field(&rest, &number, &type, &value) || number == 0) {
            return -EPROTO;
        }
        if (number <= 2) {
            if (type != WIRE_VARINT || value >= HQ_STEP_NODES_MAX) {
                return -EPROTO;
            }
            *(number == 1 ? &h.from : &h.to) = (uint32_t)value;
        } else if (number <= STEP_MSG_REXEC_ACK) {
            if (type != WIRE_BYTES || h.what != 0) { /* twice: decoders would take the last, we don't guess */
                return -EPROTO;
            }
            h.what = (uint32_t)number;
        }
    }
    *ret = h;
    return 0;
}

/* ---- decoding */

static int
unpack(struct hq_str frame, struct hq_arena *arena, Hq__StepMsg__WhatCase what, const Hq__StepMsg **ret)
{
    ProtobufCMessage *base;
    int rc = hq_wire_unpack(frame, &hq__step_msg__descriptor, arena, &base, NULL);

    if (rc < 0) {
        return rc;
    }
    const Hq__StepMsg *m = (const Hq__StepMsg *)(const void *)base;
    *ret = m;
    return what != HQ__STEP_MSG__WHAT__NOT_SET && m->what_case != what ? -EPROTO : 0;
}

int
step_msg_hello(struct hq_str frame, struct hq_arena *arena, struct step_hello *ret)
{
    const Hq__StepMsg *m;
    int rc = unpack(frame, arena, HQ__STEP_MSG__WHAT_HELLO, &m);

    if (rc < 0) {
        return rc;
    }
    if (m->hello->kind != HQ__STEP_KIND__STEP_RANKS && m->hello->kind != HQ__STEP_KIND__STEP_REXEC) {
        return -EPROTO;
    }
    *ret = (struct step_hello){.token = msg_str(m->hello->token), .is_rexec = m->hello->kind == HQ__STEP_KIND__STEP_REXEC};
    return 0;
}

int
step_msg_abort_is_lost(struct hq_str frame, struct hq_arena *arena, bool *ret)
{
    const Hq__StepMsg *m;
    int rc = unpack(frame, arena, HQ__STEP_MSG__WHAT_ABORT, &m);

    if (rc == 0) {
        *ret = m->abort->is_node_lost;
    }
    return rc;
}

int
step_msg_rexec(struct hq_str frame, struct hq_arena *arena, struct step_rexec *ret)
{
    const Hq__StepMsg *m;
    int rc = unpack(frame, arena, HQ__STEP_MSG__WHAT__NOT_SET, &m);

    if (rc < 0) {
        return rc;
    }
    switch ((int)m->what_case) {
    case HQ__STEP_MSG__WHAT_REXEC_OPEN:
        *ret = (struct step_rexec){.stream = m->rexec_open->stream,
                                   .host = msg_str(m->rexec_open->host),
                                   .command = msg_str(m->rexec_open->command),
                                   .cwd = msg_str(m->rexec_open->cwd),
                                   .is_for_run = true};
        break;
    case HQ__STEP_MSG__WHAT_REXEC_DATA:
        *ret = (struct step_rexec){.stream = m->rexec_data->stream,
                                   .channel = m->rexec_data->channel,
                                   .data = msg_str(m->rexec_data->data),
                                   .is_for_run = m->rexec_data->channel == 0};
        break;
    case HQ__STEP_MSG__WHAT_REXEC_END:
        *ret = (struct step_rexec){.stream = m->rexec_end->stream,
                                   .exit_code = m->rexec_end->exit_code,
                                   .error = msg_str(m->rexec_end->error),
                                   .is_gone = m->rexec_end->is_gone,
                                   .is_for_run = m->rexec_end->is_gone};
        break;
    case HQ__STEP_MSG__WHAT_REXEC_ACK:
        *ret = (struct step_rexec){.stream = m->rexec_ack->stream,
                                   .bytes = m->rexec_ack->bytes,
                                   .is_stdin = m->rexec_ack->is_stdin,
                                   .is_for_run = !m->rexec_ack->is_stdin};
        break;
    default: /* generated enum: any other message */
        return -EPROTO;
    }
    ret->what = (enum step_what)m->what_case;
    return ret->what == STEP_MSG_REXEC_DATA && ret->channel > 2 ? -EPROTO : 0;
}
_Static_assert((int)STEP_MSG_HELLO == HQ__STEP_MSG__WHAT_HELLO && (int)STEP_MSG_ENDED == HQ__STEP_MSG__WHAT_ENDED &&
                   (int)STEP_MSG_ABORT == HQ__STEP_MSG__WHAT_ABORT &&
                   (int)STEP_MSG_REXEC_OPEN == HQ__STEP_MSG__WHAT_REXEC_OPEN &&
                   (int)STEP_MSG_REXEC_DATA == HQ__STEP_MSG__WHAT_REXEC_DATA &&
                   (int)STEP_MSG_REXEC_END == HQ__STEP_MSG__WHAT_REXEC_END &&
                   (int)STEP_MSG_REXEC_ACK == HQ__STEP_MSG__WHAT_REXEC_ACK,
               "numbers of the wire");

/* ---- packing */

static void
pack(struct hq_buf *out, Hq__StepMsg *m, uint32_t from, uint32_t to, Hq__StepMsg__WhatCase what)
{
    m->from = from;
    m->to = to;
    m->what_case = what;
    size_t bytes = protobuf_c_message_get_packed_size(&m->base);
    hq_buf_reserve(out, bytes + 1);
    out->len += protobuf_c_message_pack(&m->base, (uint8_t *)out->ptr + out->len);
}

void
step_msg_pack_rexec(struct hq_buf *out, uint32_t from, uint32_t to, const struct step_rexec *r)
{
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__RexecOpen open = HQ__REXEC_OPEN__INIT;
    Hq__RexecData data = HQ__REXEC_DATA__INIT;
    Hq__RexecEnd end = HQ__REXEC_END__INIT;
    Hq__RexecAck ack = HQ__REXEC_ACK__INIT;

    switch (r->what) {
    case STEP_MSG_REXEC_OPEN:
        open.stream = r->stream;
        open.host = msg_bytes(r->host);
        open.command = msg_bytes(r->command);
        open.cwd = msg_bytes(r->cwd);
        m.rexec_open = &open;
        break;
    case STEP_MSG_REXEC_DATA:
        data.stream = r->stream;
        data.channel = r->channel;
        data.data = msg_bytes(r->data);
        m.rexec_data = &data;
        break;
    case STEP_MSG_REXEC_END:
        end.stream = r->stream;
        end.exit_code = r->exit_code;
        end.error = msg_bytes(r->error);
        end.is_gone = r->is_gone;
        m.rexec_end = &end;
        break;
    case STEP_MSG_REXEC_ACK:
        ack.stream = r->stream;
        ack.bytes = r->bytes;
        ack.is_stdin = r->is_stdin;
        m.rexec_ack = &ack;
        break;
    case STEP_MSG_HELLO:
    case STEP_MSG_ENDED:
    case STEP_MSG_ABORT:
        HQ_ASSERT(r->what == STEP_MSG_REXEC_OPEN); /* no message of a remote command */
    }
    pack(out, &m, from, to, (Hq__StepMsg__WhatCase)r->what);
}

static Hq__StepNode *
pack_node(const struct step_node *n, struct hq_arena *arena)
{
    Hq__StepNode *m = hq_arena_alloc(arena, sizeof(*m));

    hq__step_node__init(m);
    m->host = msg_bytes(n->host);
    m->port = n->port;
    m->ranks = n->ranks;
    m->n_addresses = n->address_count;
    m->addresses = hq_arena_array(arena, n->address_count, sizeof(*m->addresses));
    for (size_t i = 0; i < n->address_count; i++) {
        m->addresses[i] = msg_bytes(n->addresses[i]);
    }
    return m;
}

void
step_msg_pack_start(struct hq_buf *out, const struct step_start *s)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__StepStart start = HQ__STEP_START__INIT;
    Hq__Mpi mpi = HQ__MPI__INIT;

    hq_arena_init(&arena, 0);
    mpi.ranks_per_node = s->mpi->ranks_per_node;
    mpi.ranks = s->mpi->ranks;
    mpi.cpus_per_rank = s->mpi->cpus_per_rank;
    mpi.oversubscribe = s->mpi->oversubscribe;
    mpi.tag_output = s->mpi->tag_output;
    mpi.wire_up = (Hq__MpiWireUp)s->mpi->wire_up;
    start.job = s->job;
    start.task = s->task;
    start.instance = s->instance;
    start.node_index = s->desc->node_ix;
    start.mpi = &mpi;
    start.n_nodes = s->desc->node_count;
    start.nodes = hq_arena_array(&arena, start.n_nodes, sizeof(*start.nodes));
    for (uint32_t i = 0; i < s->desc->node_count; i++) {
        start.nodes[i] = pack_node(&s->desc->nodes[i], &arena);
    }
    start.n_cpus = s->cpu_count;
    start.cpus = hq_arena_array(&arena, s->cpu_count, sizeof(*start.cpus));
    if (s->cpu_count > 0) {
        memcpy(start.cpus, s->cpus, s->cpu_count * sizeof(*start.cpus));
    }
    start.stdout_path = msg_bytes(s->out_path);
    start.stderr_path = msg_bytes(s->err_path);
    start.server_uid = msg_bytes(s->server_uid);
    start.stdout_in_frames = s->is_out_framed;
    start.stderr_in_frames = s->is_err_framed;
    m.start = &start;
    pack(out, &m, s->desc->node_ix, s->desc->node_ix, HQ__STEP_MSG__WHAT_START);
}

void
step_msg_pack_abort(struct hq_buf *out, uint32_t from, uint32_t to, const struct step_failure *why)
{
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__StepAbort abort_msg = HQ__STEP_ABORT__INIT;
    Hq__StepFailure failure = HQ__STEP_FAILURE__INIT;

    failure.at_ms = (uint64_t)why->at_ms;
    failure.rank = UINT32_MAX; /* of no rank */
    failure.node = why->node;
    failure.exit_code = why->exit_code;
    failure.signal = why->signal;
    failure.text = msg_bytes(why->text);
    abort_msg.why = &failure;
    m.abort = &abort_msg;
    pack(out, &m, from, to, HQ__STEP_MSG__WHAT_ABORT);
}

void
step_msg_pack_node_lost(struct hq_buf *out, uint32_t to, uint32_t node, struct hq_str text)
{
    Hq__StepMsg m = HQ__STEP_MSG__INIT;
    Hq__StepNodeLost lost = HQ__STEP_NODE_LOST__INIT;

    lost.node = node;
    lost.text = msg_bytes(text);
    m.node_lost = &lost;
    pack(out, &m, to, to, HQ__STEP_MSG__WHAT_NODE_LOST);
}
