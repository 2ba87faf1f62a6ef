#include "common/wire.h"

#include <string.h>

#include "common/limits.h"

/* Little endian, whatever the machine: nodes of one cluster need not be alike. */
static void
put_le(unsigned char *p, uint64_t v, size_t bytes)
{
    for (size_t ix = 0; ix < bytes; ix++) {
        p[ix] = (unsigned char)(v >> (8 * ix));
    }
}

static uint64_t
get_le(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t ix = 0; ix < bytes; ix++) {
        v |= (uint64_t)p[ix] << (8 * ix);
    }
    return v;
}

/* Packs behind out->len; the size is known before a byte is written, so the buffer grows once. */
static void
pack_at_end(struct hq_buf *out, const ProtobufCMessage *msg, size_t bytes)
{
    hq_buf_reserve(out, bytes);
    size_t packed = protobuf_c_message_pack(msg, (uint8_t *)out->ptr + out->len);
    HQ_ASSERT(packed == bytes);
    out->len += packed;
    out->ptr[out->len] = '\0';
}

int
hq_wire_pack(struct hq_buf *out, uint16_t type, uint64_t request_id, const ProtobufCMessage *msg, struct hq_err *err)
{
    size_t bytes = protobuf_c_message_get_packed_size(msg);
    if (bytes > HQ_MSG_BYTES_MAX - HQ_WIRE_HEAD_BYTES) {
        return hq_err_set(err, -EMSGSIZE, "A message of %zu bytes is over the limit of %u", bytes, HQ_MSG_BYTES_MAX);
    }
    unsigned char head[HQ_WIRE_HEAD_BYTES] = {'H', 'Q', HQ_WIRE_VERSION};
    put_le(head + 4, type, 2);
    put_le(head + 8, request_id, 8);
    hq_buf_reserve(out, bytes + sizeof(head));
    hq_buf_add(out, head, sizeof(head));
    pack_at_end(out, msg, bytes);
    return 0;
}

int
hq_wire_pack_bare(struct hq_buf *out, const ProtobufCMessage *msg, size_t bytes_max, struct hq_err *err)
{
    size_t bytes = protobuf_c_message_get_packed_size(msg);
    if (bytes > bytes_max) {
        return hq_err_set(err, -EMSGSIZE, "A message of %zu bytes is over the limit of %zu", bytes, bytes_max);
    }
    pack_at_end(out, msg, bytes);
    return 0;
}

int
hq_wire_head(struct hq_str payload, struct hq_wire_head *ret, struct hq_str *ret_body, struct hq_err *err)
{
    unsigned char head[HQ_WIRE_HEAD_BYTES];
    if (payload.len < sizeof(head)) {
        return hq_err_set(err, -EPROTO, "A message of %zu bytes is shorter than its head", payload.len);
    }
    if (payload.len > HQ_MSG_BYTES_MAX) {
        return hq_err_set(err, -EMSGSIZE, "A message of %zu bytes is over the limit of %u", payload.len,
                          HQ_MSG_BYTES_MAX);
    }
    memcpy(head, payload.ptr, sizeof(head));
    if (head[0] != 'H' || head[1] != 'Q') {
        return hq_err_set(err, -EPROTO, "A message does not begin like one of ours");
    }
    struct hq_wire_head found = {
        .version = head[2], .type = (uint16_t)get_le(head + 4, 2), .request_id = get_le(head + 8, 8)};
    if (found.version != HQ_WIRE_VERSION) {
        *ret = found;
        return hq_err_set(err, -EPROTONOSUPPORT, "The other side speaks protocol version %u, this one speaks %u",
                          found.version, HQ_WIRE_VERSION);
    }
    if (head[3] != 0 || head[6] != 0 || head[7] != 0) {
        return hq_err_set(err, -EPROTO, "A message has unknown flags");
    }
    *ret = found;
    *ret_body = hq_str_sub(payload, sizeof(head), payload.len);
    return 0;
}

struct arena_allocator {
    struct hq_arena *arena;
    bool is_full;
};

static void *
wire_alloc(void *data, size_t bytes)
{
    struct arena_allocator *a = data;
    void *p = hq_arena_try(a->arena, bytes);
    a->is_full = a->is_full || p == NULL;
    return p;
}

static void
wire_free(void *data, void *p)
{
    (void)data; /* the arena goes as a whole */
    (void)p;
}

int
hq_wire_unpack(struct hq_str body, const ProtobufCMessageDescriptor *desc, struct hq_arena *arena,
               ProtobufCMessage **ret, struct hq_err *err)
{
    if (body.len > HQ_RECORD_BYTES_MAX) {
        return hq_err_set(err, -EMSGSIZE, "A message of %zu bytes is over the limit of %u", body.len,
                          HQ_RECORD_BYTES_MAX);
    }
    struct arena_allocator state = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = wire_alloc, .free = wire_free, .allocator_data = &state};
    const uint8_t *data = (const uint8_t *)(body.len == 0 ? "" : body.ptr);
    ProtobufCMessage *msg = protobuf_c_message_unpack(desc, &allocator, body.len, data);
    if (msg == NULL && state.is_full) {
        return hq_err_set(err, -ENOMEM, "A message of type %s needs more memory than allowed", desc->short_name);
    }
    if (msg == NULL) {
        return hq_err_set(err, -EPROTO, "A message of type %s is damaged", desc->short_name);
    }
    *ret = msg;
    return 0;
}
