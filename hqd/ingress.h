/* ingress.h - bytes from outside to typed, checked inputs: sizes, versions, rights, grammar; here and only here.
 *
 * Purpose    one row per message type says who may send it, how long it may be and whether it changes state.
 * Ownership  decoded messages lie in the arena; inputs point into them (and into the upload).
 * Errors     ingress_open: -EPROTO no message of ours (drop the peer), -EPROTONOSUPPORT other version, -EBADMSG damaged or
 *            unknown type, -EMSGSIZE, -EACCES not from this door. ingress_input: -EINVAL and others; the text is for
 *            the one who asked.
 * Limits     limits.h; INGRESS_ARENA_BYTES_MAX of decoded message per request.
 */
#ifndef HQ_HQD_INGRESS_H
#define HQ_HQD_INGRESS_H

#include "common/wire.h"
#include "hqd/core/input.h"
#include "hqd/peer.h"

#define INGRESS_ARENA_BYTES_MAX (64u << 20)

struct ingress_row {
    uint16_t type;
    enum peer_door door;
    const ProtobufCMessageDescriptor *desc;
    const char *name;
    enum input_kind input; /* 0 = a question, or something of the shell's own */
    bool is_change;        /* refused while the journal can't be written */
};

struct ingress_msg {
    struct hq_wire_head head;
    const struct ingress_row *row;
    const ProtobufCMessage *msg;
    struct hq_str body;    /* the protobuf bytes */
};
/* ret->head is set as soon as it could be read (for the answer), also when the rest fails. */
HQ_MUST_CHECK int ingress_open(enum peer_door door, struct hq_str payload, struct hq_arena *arena,
                               struct ingress_msg *ret, struct hq_err *err);
/* For rows with an input. Submits take their parts from `uploads`; turns must name `incarnation` (-ESTALE). */
HQ_MUST_CHECK int ingress_input(const struct ingress_msg *m, struct uploads *uploads, struct hq_str incarnation,
                                struct hq_arena *arena, struct input *ret, struct hq_err *err);
/* A part alone: is it well-formed? */
HQ_MUST_CHECK int ingress_check_part(const ProtobufCMessage *msg, struct hq_arena *arena, struct hq_err *err);

#endif
