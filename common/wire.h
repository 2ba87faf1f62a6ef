/* wire.h - the envelope of every message: magic, version, type, request id, then one protobuf message.
 *
 * Layout     'H' 'Q' version(u8) flags(u8, 0) type(u16 LE) reserved(u16, 0) request_id(u64 LE), then protobuf bytes.
 * Purpose    a receiver knows version, type and size bound before it decodes anything.
 * Ownership  views point into the payload; unpacked messages live in the arena.
 * Threads    no state; any thread.
 * Errors     -EPROTO not ours or damaged; -EPROTONOSUPPORT other protocol version (all of *ret is set, so that the
 *            answer can name the request); -EMSGSIZE; -ENOMEM the arena is full.
 * Limits     HQ_MSG_BYTES_MAX; unpacking takes what the arena allows. Message types must not contain themselves:
 *            protobuf-c decodes by recursion (tests/unit/test_wire.c walks all descriptors).
 */
#ifndef HQ_COMMON_WIRE_H
#define HQ_COMMON_WIRE_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#include <protobuf-c/protobuf-c.h>

#define HQ_WIRE_VERSION 1u
#define HQ_WIRE_HEAD_BYTES 16u

struct hq_wire_head {
    uint8_t version;
    uint16_t type;       /* enum Hq__MessageType of proto/common.proto */
    uint64_t request_id; /* chosen by the asker, the same when it asks again; copied into the answer */
};

/* Appends head and packed message to `out`. -EMSGSIZE over HQ_MSG_BYTES_MAX (out is restored). */
HQ_MUST_CHECK int hq_wire_pack(struct hq_buf *out, uint16_t type, uint64_t request_id, const ProtobufCMessage *msg,
                               struct hq_err *err);
/* The same without a head and with a bound of the caller's: journal records. */
HQ_MUST_CHECK int hq_wire_pack_bare(struct hq_buf *out, const ProtobufCMessage *msg, size_t bytes_max,
                                    struct hq_err *err);
/* Reads the head; *ret_body is the protobuf part. */
HQ_MUST_CHECK int hq_wire_head(struct hq_str payload, struct hq_wire_head *ret, struct hq_str *ret_body,
                               struct hq_err *err);
/* Decodes into the arena (bounded by the arena's limit); -EPROTO damaged. The message needs no freeing. */
HQ_MUST_CHECK int hq_wire_unpack(struct hq_str body, const ProtobufCMessageDescriptor *desc, struct hq_arena *arena,
                                 ProtobufCMessage **ret, struct hq_err *err);

#endif
