/* record_pb.h - records as bytes: struct record <-> one message Record of proto/journal.proto.
 *
 * Purpose    bodies of journal frames and of FollowAnswer. The three records that a task causes are packed by hand,
 *            straight into the buffer; all others by protobuf-c.
 * Ownership  decoded records point into the bytes and the arena.
 * Errors     -EBADMSG: the bytes are no record, or break a rule that the core relies on (hqd/convert.h).
 * Limits     HQ_RECORD_BYTES_MAX.
 */
#ifndef HQ_HQD_RECORD_PB_H
#define HQ_HQD_RECORD_PB_H

#include "common/arena.h"
#include "common/err.h"
#include "hqd/core/record.h"

/* Appends the body of a record: time and content, no number. The arena is scratch memory. */
void record_pb_encode(const struct record *rec, struct hq_arena *arena, struct hq_buf *out);
/* 1 = *ret is set (its seq is the caller's business), 0 = a kind that this version does not know: skip it. */
HQ_MUST_CHECK int record_pb_decode(struct hq_str body, struct hq_arena *arena, struct record *ret, struct hq_err *err);

/* What prune looks at, without decoding the rest. */
struct record_peek {
    enum record_kind kind;
    hq_wall_ms time_ms;
    uint32_t job;    /* of records about one job, else 0 */
    uint32_t worker; /* of records about one worker, else 0 */
    uint32_t queue;  /* of records about allocations, else 0 */
    uint64_t upload_id; /* of a submit and its parts */
};
HQ_MUST_CHECK int record_pb_peek(struct hq_str body, struct record_peek *ret);

#endif
