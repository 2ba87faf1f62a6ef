/* streamlog.h - the file format of streamed task output: head, then records that are only appended.
 *
 * Layout     head:   "HQSTREAM" version(u16) uid_bytes(u16) worker(u32) crc(u32), then the server UID; integers LE.
 *            record: head_crc(u32) data_crc(u32) size(u32) time_ms(i64) job(u32) task(u32) instance(u32)
 *                    channel(u8) kind(u8) rank1(u16), then `size` bytes of data. head_crc covers the 32 bytes behind it.
 * Purpose    one worker appends all output of all its tasks of a directory to one file; readers may follow.
 * Ownership  views only; no memory of its own.
 * Threads    pure.
 * Units      sizes in bytes, times wall clock ms. Channel 0 = stdout, 1 = stderr. rank1 is the rank plus 1 of a task of
 *            several ranks, 0 = of none.
 * Errors     -ENODATA: more bytes are needed (the torn tail of a file that is written); -EBADMSG: no record of ours.
 * Limits     HQ_STREAM_CHUNK_BYTES_MAX of data in a record; a server UID of HQ_STREAM_UID_BYTES_MAX.
 */
#ifndef HQ_COMMON_STREAMLOG_H
#define HQ_COMMON_STREAMLOG_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

#define HQ_STREAM_SUFFIX ".hqs"
#define HQ_STREAM_VERSION 1u
#define HQ_STREAM_UID_BYTES_MAX 64u
#define HQ_STREAM_HEAD_BYTES 20u /* before the UID */
#define HQ_STREAM_RECORD_HEAD_BYTES 36u
#define HQ_STREAM_CHUNK_BYTES_MAX (1u << 20)

struct hq_stream_head {
    struct hq_str server_uid;
    hq_worker_id worker;
};
void hq_stream_head_pack(const struct hq_stream_head *head, struct hq_buf *out);
/* The UID is a view into `bytes`; *ret_bytes is the length of the head. */
HQ_MUST_CHECK int hq_stream_head_parse(struct hq_str bytes, struct hq_stream_head *ret, size_t *ret_bytes);

enum hq_stream_kind {
    HQ_STREAM_DATA = 0,
    HQ_STREAM_END = 1, /* of all channels of this instance; no data */
};
struct hq_stream_record {
    hq_job_id job;
    hq_task_ix task;
    uint32_t instance;
    uint8_t channel;
    uint16_t rank1; /* 0 = of no rank, or one beyond 65,534 */
    enum hq_stream_kind kind;
    hq_wall_ms at_ms;
    uint32_t size; /* of the data */
    uint32_t data_crc;
};
/* `data` of rec->size bytes is read for its sum, not copied; data_crc of `rec` is ignored. */
void hq_stream_record_pack(const struct hq_stream_record *rec, const void *data,
                           unsigned char ret[HQ_STREAM_RECORD_HEAD_BYTES]);
HQ_MUST_CHECK int hq_stream_record_parse(struct hq_str bytes, struct hq_stream_record *ret);

#endif
