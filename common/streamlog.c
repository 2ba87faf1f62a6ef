#include "common/streamlog.h"

#include "common/crc32c.h"

#define MAGIC "HQSTREAM"

static void
put_u16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static void
put_u32(unsigned char *p, uint32_t v)
{
    put_u16(p, (uint16_t)v);
    put_u16(p + 2, (uint16_t)(v >> 16));
}

static uint16_t
get_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t
get_u32(const unsigned char *p)
{
    return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

/* Over the head without its sum, then the UID. */
static uint32_t
head_crc(const unsigned char *head, struct hq_str uid)
{
    return hq_crc32c(hq_crc32c(0, head, HQ_STREAM_HEAD_BYTES - 4), uid.ptr, uid.len);
}

void
hq_stream_head_pack(const struct hq_stream_head *head, struct hq_buf *out)
{
    unsigned char b[HQ_STREAM_HEAD_BYTES];

    HQ_ASSERT(head->server_uid.len <= HQ_STREAM_UID_BYTES_MAX);
    memcpy(b, MAGIC, 8);
    put_u16(b + 8, HQ_STREAM_VERSION);
    put_u16(b + 10, (uint16_t)head->server_uid.len);
    put_u32(b + 12, head->worker.v);
    put_u32(b + 16, head_crc(b, head->server_uid));
    hq_buf_add(out, b, sizeof(b));
    hq_buf_str(out, head->server_uid);
}

int
hq_stream_head_parse(struct hq_str bytes, struct hq_stream_head *ret, size_t *ret_bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.ptr;
    struct hq_str uid;

    if (bytes.len < HQ_STREAM_HEAD_BYTES) {
        return -ENODATA;
    }
    uid.len = get_u16(b + 10);
    if (memcmp(b, MAGIC, 8) != 0 || get_u16(b + 8) != HQ_STREAM_VERSION || uid.len > HQ_STREAM_UID_BYTES_MAX) {
        return -EBADMSG;
    }
    if (bytes.len < HQ_STREAM_HEAD_BYTES + uid.len) {
        return -ENODATA;
    }
    uid.ptr = bytes.ptr + HQ_STREAM_HEAD_BYTES;
    if (get_u32(b + 16) != head_crc(b, uid)) {
        return -EBADMSG;
    }
    *ret = (struct hq_stream_head){.server_uid = uid, .worker = {get_u32(b + 12)}};
    *ret_bytes = HQ_STREAM_HEAD_BYTES + uid.len;
    return 0;
}

void
hq_stream_record_pack(const struct hq_stream_record *rec, const void *data,
                      unsigned char ret[HQ_STREAM_RECORD_HEAD_BYTES])
{
    HQ_ASSERT(rec->size <= HQ_STREAM_CHUNK_BYTES_MAX);
    HQ_ASSERT(rec->kind == HQ_STREAM_DATA || rec->size == 0);
    put_u32(ret + 4, hq_crc32c(0, data, rec->size));
    put_u32(ret + 8, rec->size);
    put_u32(ret + 12, (uint32_t)(uint64_t)rec->at_ms);
    put_u32(ret + 16, (uint32_t)((uint64_t)rec->at_ms >> 32));
    put_u32(ret + 20, rec->job.v);
    put_u32(ret + 24, rec->task);
    put_u32(ret + 28, rec->instance);
    ret[32] = rec->channel;
    ret[33] = (unsigned char)rec->kind;
    put_u16(ret + 34, rec->rank1);
    put_u32(ret, hq_crc32c(0, ret + 4, HQ_STREAM_RECORD_HEAD_BYTES - 4));
}

int
hq_stream_record_parse(struct hq_str bytes, struct hq_stream_record *ret)
{
    const unsigned char *b = (const unsigned char *)bytes.ptr;

    if (bytes.len < HQ_STREAM_RECORD_HEAD_BYTES) {
        return -ENODATA;
    }
    uint32_t size = get_u32(b + 8);
    if (get_u32(b) != hq_crc32c(0, b + 4, HQ_STREAM_RECORD_HEAD_BYTES - 4) || b[32] > 1 || b[33] > HQ_STREAM_END ||
        size > HQ_STREAM_CHUNK_BYTES_MAX || (b[33] == HQ_STREAM_END && size != 0)) {
        return -EBADMSG;
    }
    *ret = (struct hq_stream_record){.job = {get_u32(b + 20)},
                                     .task = get_u32(b + 24),
                                     .instance = get_u32(b + 28),
                                     .channel = b[32],
                                     .rank1 = get_u16(b + 34),
                                     .kind = (enum hq_stream_kind)b[33],
                                     .at_ms = (hq_wall_ms)(get_u32(b + 12) | (uint64_t)get_u32(b + 16) << 32),
                                     .size = size,
                                     .data_crc = get_u32(b + 4)};
    return 0;
}
