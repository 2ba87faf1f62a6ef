#include "common/record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/limits.h"
#include "common/mem.h"

#define MAGIC "HQJRNL\r\n"
#define MAGIC_BYTES 8u
#define CRC_BYTES 4u
#define MARK_BODY_BYTES 8u
#define READ_BYTES (256u << 10)

enum frame_kind {
    FRAME_NEXT = 0,
    FRAME_NUMBERED = 1,
    FRAME_MARK = 2,
};
#define MARK_FIRST_BYTE ((MARK_BODY_BYTES << 2) | FRAME_MARK) /* the varint of a mark's head is one byte */
#define MARK_FRAME_BYTES (1u + CRC_BYTES + MARK_BODY_BYTES)

static void
put_le(unsigned char *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        p[i] = (unsigned char)(v >> (8u * i));
    }
}

static uint64_t
get_le(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << (8u * i);
    }
    return v;
}

static size_t
put_varint(unsigned char *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80u) {
        p[n++] = (unsigned char)(v | 0x80u);
        v >>= 7;
    }
    p[n++] = (unsigned char)v;
    return n;
}

/* Bytes used, 0 = more are needed, -EBADMSG = longer than any 64-bit number. */
static int
get_varint(struct hq_str s, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (i == 9 && c > 1) {
            return -EBADMSG;
        }
        v |= (uint64_t)(c & 0x7fu) << (7u * i);
        if (c < 0x80u) {
            *ret = v;
            return (int)(i + 1);
        }
    }
    return 0;
}

static uint32_t
frame_crc(uint64_t head, uint64_t seq, struct hq_str body)
{
    unsigned char fixed[16];
    put_le(fixed, head, 8);
    put_le(fixed + 8, seq, 8);
    return hq_crc32c(hq_crc32c(0, fixed, sizeof fixed), body.ptr, body.len);
}

void
hq_record_head_pack(unsigned char ret[HQ_RECORD_HEAD_BYTES], const struct hq_record_head *head)
{
    memset(ret, 0, HQ_RECORD_HEAD_BYTES);
    memcpy(ret, MAGIC, MAGIC_BYTES);
    put_le(ret + 8, head->major, 2);
    put_le(ret + 10, head->minor, 2);
    put_le(ret + 12, head->segment_ix, 4);
    put_le(ret + 16, head->first_seq, 8);
    put_le(ret + 24, head->journal_id, 8);
    put_le(ret + 32, hq_crc32c(0, ret, 32), 4);
}

int
hq_record_head_parse(struct hq_record_head *ret, struct hq_str bytes, struct hq_err *err)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t magic_len = HQ_MIN(bytes.len, (size_t)MAGIC_BYTES);
    if (bytes.len >= MAGIC_BYTES && memcmp(p, MAGIC, magic_len) != 0) {
        return hq_err_set(err, -EBADMSG, "Invalid journal format");
    }
    if (bytes.len < HQ_RECORD_HEAD_BYTES) {
        return hq_err_set(err, -ENODATA, "failed to fill whole buffer");
    }
    struct hq_record_head h = {
        .major = (uint16_t)get_le(p + 8, 2),
        .minor = (uint16_t)get_le(p + 10, 2),
        .segment_ix = (uint32_t)get_le(p + 12, 4),
        .first_seq = get_le(p + 16, 8),
        .journal_id = get_le(p + 24, 8),
    };
    /* The version is read before the check sum: a later version may lay the rest out otherwise. */
    if (h.major > HQ_RECORD_MAJOR || (h.major == HQ_RECORD_MAJOR && h.minor > HQ_RECORD_MINOR)) {
        return hq_err_set(err,
                          -EPROTONOSUPPORT,
                          "Cannot load newer journal file; journal file: %u.%u, current HQ supports: %u.%u",
                          h.major,
                          h.minor,
                          HQ_RECORD_MAJOR,
                          HQ_RECORD_MINOR);
    }
    if (h.major != HQ_RECORD_MAJOR) {
        return hq_err_set(err,
                          -EPROTONOSUPPORT,
                          "Journal version mismatch; journal file: %u.%u, current HQ supports: %u.%u",
                          h.major,
                          h.minor,
                          HQ_RECORD_MAJOR,
                          HQ_RECORD_MINOR);
    }
    if (get_le(p + 32, 4) != hq_crc32c(0, p, 32) || h.segment_ix > HQ_RECORD_SEGMENTS_MAX || h.first_seq == 0) {
        return hq_err_set(err, -EBADMSG, "Invalid journal format");
    }
    *ret = h;
    return 0;
}

void
hq_record_add(struct hq_buf *out, uint64_t last_seq, uint64_t seq, struct hq_str body)
{
    HQ_ASSERT(body.len <= HQ_RECORD_BYTES_MAX);
    HQ_ASSERT(seq > last_seq);
    bool is_next = seq == last_seq + 1;
    uint64_t head = ((uint64_t)body.len << 2) | (is_next ? FRAME_NEXT : FRAME_NUMBERED);
    unsigned char fixed[HQ_RECORD_FRAME_HEAD_MAX];
    size_t n = put_varint(fixed, head);
    if (!is_next) {
        n += put_varint(fixed + n, seq);
    }
    put_le(fixed + n, frame_crc(head, seq, body), CRC_BYTES);
    hq_buf_add(out, fixed, n + CRC_BYTES);
    hq_buf_str(out, body);
}

void
hq_record_add_mark(struct hq_buf *out, uint64_t journal_id, uint64_t synced_bytes)
{
    unsigned char frame[MARK_FRAME_BYTES];
    frame[0] = MARK_FIRST_BYTE;
    put_le(frame + 1 + CRC_BYTES, synced_bytes, MARK_BODY_BYTES);
    struct hq_str body = hq_str_make((const char *)frame + 1 + CRC_BYTES, MARK_BODY_BYTES);
    put_le(frame + 1, frame_crc(MARK_FIRST_BYTE, journal_id, body), CRC_BYTES);
    hq_buf_add(out, frame, sizeof frame);
}

int
hq_record_frame(struct hq_record_frame *ret, struct hq_str bytes, uint64_t last_seq, uint64_t journal_id)
{
    uint64_t head = 0;
    int n = get_varint(bytes, &head);
    if (n <= 0) {
        return n;
    }
    uint64_t body_len = head >> 2;
    unsigned kind = (unsigned)(head & 3u);
    if (body_len > HQ_RECORD_BYTES_MAX || kind > FRAME_MARK || (kind == FRAME_MARK && body_len != MARK_BODY_BYTES)) {
        return -EBADMSG;
    }
    size_t at = (size_t)n;
    uint64_t seq = last_seq + 1;
    if (kind == FRAME_NUMBERED) {
        n = get_varint(hq_str_sub(bytes, at, bytes.len), &seq);
        if (n <= 0) {
            return n;
        }
        at += (size_t)n;
        if (seq <= last_seq) {
            return -EBADMSG;
        }
    }
    if (bytes.len - at < CRC_BYTES + body_len) {
        return 0;
    }
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    uint64_t crc = get_le(p + at, CRC_BYTES);
    at += CRC_BYTES;
    struct hq_str body = hq_str_sub(bytes, at, at + (size_t)body_len);
    if (crc != frame_crc(head, kind == FRAME_MARK ? journal_id : seq, body)) {
        return -EBADMSG;
    }
    *ret = (struct hq_record_frame){
        .is_mark = kind == FRAME_MARK,
        .seq = kind == FRAME_MARK ? 0 : seq,
        .synced_bytes = kind == FRAME_MARK ? get_le(p + at, MARK_BODY_BYTES) : 0,
        .body = body,
        .frame_bytes = at + (size_t)body_len,
    };
    return 1;
}

char *
hq_record_segment_path(const char *path, uint32_t segment_ix, uint32_t live_ix)
{
    struct hq_buf b = HQ_BUF_INIT;
    hq_buf_cstr(&b, path);
    if (segment_ix != live_ix) {
        hq_buf_printf(&b, ".%" PRIu32, segment_ix);
    }
    return hq_buf_take(&b);
}

/* ---- reader */

static int
read_head(int fd, const char *path, struct hq_record_head *ret, struct hq_err *err)
{
    char bytes[HQ_RECORD_HEAD_BYTES];
    size_t len = 0;
    while (len < sizeof bytes) {
        ssize_t n = pread(fd, bytes + len, sizeof bytes - len, (off_t)len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return hq_err_sys(err, -errno, "Cannot read journal file `%s`", path);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return hq_record_head_parse(ret, hq_str_make(bytes, len), err);
}

/* Opens one file of the journal and puts the reader at its first frame. */
static int
open_segment(struct hq_record_reader *r, uint32_t ix, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *path = hq_record_segment_path(r->path, ix, r->head.segment_ix);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return hq_err_sys(err, -errno, "Cannot open event log file at `%s`", path);
    }
    struct hq_record_head head;
    struct hq_record_head next = r->head;
    int rc = read_head(fd, path, &head, err);
    if (rc == 0 && (head.journal_id != r->head.journal_id || head.segment_ix != ix)) {
        /* -EAGAIN: a prune replaced the files between two of our opens; a reader beside the writer starts again. */
        rc = hq_err_set(err, -EAGAIN, "Journal file `%s` belongs to another journal", path);
    }
    if (rc == 0 && ix + 1 < r->head.segment_ix) {
        HQ_AUTO(hq_mem_freep) char *next_path = hq_record_segment_path(r->path, ix + 1, r->head.segment_ix);
        int next_fd = open(next_path, O_RDONLY | O_CLOEXEC);
        rc = next_fd < 0 ? hq_err_sys(err, -errno, "Cannot open event log file at `%s`", next_path)
                         : read_head(next_fd, next_path, &next, err);
        if (next_fd >= 0) {
            (void)close(next_fd);
        }
    }
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    if (r->fd >= 0) {
        (void)close(r->fd);
    }
    r->fd = fd;
    r->segment_ix = ix;
    r->segment_until = ix == r->head.segment_ix ? UINT64_MAX : next.first_seq;
    r->last_seq = head.first_seq - 1;
    r->file_offset = HQ_RECORD_HEAD_BYTES;
    r->buf_at = r->buf_len = 0;
    r->is_eof = false;
    return 0;
}

int
hq_record_reader_open(struct hq_record_reader *r, const char *path, struct hq_err *err)
{
    *r = (struct hq_record_reader){.fd = -1, .until_seq = UINT64_MAX, .until_offset = UINT64_MAX};
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0) {
        return hq_err_sys(err, -errno, "Cannot open event log file at `%s`", path);
    }
    int rc = read_head(r->fd, path, &r->head, err);
    if (rc == 0) {
        r->path = hq_xstrdup(path);
        rc = open_segment(r, 0, err);
    }
    if (rc < 0) {
        hq_record_reader_close(r);
    }
    return rc;
}

void
hq_record_reader_close(struct hq_record_reader *r)
{
    if (r->path == NULL && r->buf == NULL && r->fd <= 0) {
        return; /* zeroed or never opened */
    }
    if (r->fd >= 0) {
        (void)close(r->fd);
    }
    free(r->path);
    free(r->buf);
    *r = (struct hq_record_reader){.fd = -1};
}

int
hq_record_reader_seek(struct hq_record_reader *r, uint32_t segment_ix, uint64_t offset, uint64_t last_seq,
                      struct hq_err *err)
{
    if (segment_ix != r->segment_ix) {
        int rc = open_segment(r, segment_ix, err);
        if (rc < 0) {
            return rc;
        }
    }
    r->file_offset = offset;
    r->last_seq = last_seq;
    r->buf_at = r->buf_len = 0;
    r->is_eof = false;
    return 0;
}

void
hq_record_reader_bound(struct hq_record_reader *r, uint64_t until_seq, uint64_t until_offset)
{
    r->until_seq = until_seq;
    r->until_offset = until_offset;
}

/* Reads on, growing the buffer when one frame fills it. */
static int
fill(struct hq_record_reader *r, struct hq_err *err)
{
    if (r->buf_at > 0) {
        memmove(r->buf, r->buf + r->buf_at, r->buf_len - r->buf_at);
        r->buf_len -= r->buf_at;
        r->buf_at = 0;
    }
    if (r->buf_len == r->buf_cap) {
        size_t cap = r->buf_cap == 0 ? READ_BYTES : r->buf_cap * 2;
        char *grown = hq_try_realloc(r->buf, cap, 1);
        if (grown == NULL) {
            return hq_err_set(err, -ENOMEM, "Out of memory while reading the journal");
        }
        r->buf = grown;
        r->buf_cap = cap;
    }
    uint64_t from = r->file_offset + r->buf_len;
    size_t want = r->buf_cap - r->buf_len;
    if (r->segment_ix == r->head.segment_ix && r->until_offset != UINT64_MAX) {
        want = from >= r->until_offset ? 0 : (size_t)HQ_MIN((uint64_t)want, r->until_offset - from);
    }
    ssize_t n = 0;
    while (want > 0 && (n = pread(r->fd, r->buf + r->buf_len, want, (off_t)from)) < 0 && errno == EINTR) {
    }
    if (n < 0) {
        return hq_err_sys(err, -errno, "Cannot read journal file `%s`", r->path);
    }
    r->buf_len += (size_t)n;
    r->is_eof = n == 0;
    return 0;
}

/* Is there a mark behind `offset` that says that this offset was on disk? O(rest of the file). */
static int
is_covered(const struct hq_record_reader *r, uint64_t offset, bool *ret, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *buf = hq_try_alloc(READ_BYTES);
    if (buf == NULL) {
        return hq_err_set(err, -ENOMEM, "Out of memory while reading the journal");
    }
    size_t len = 0;
    for (uint64_t at = offset + 1;;) {
        ssize_t n = pread(r->fd, buf + len, READ_BYTES - len, (off_t)(at + len));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return hq_err_sys(err, -errno, "Cannot read journal file `%s`", r->path);
        }
        if (n == 0) {
            *ret = false;
            return 0;
        }
        len += (size_t)n;
        size_t i = 0;
        for (; i + MARK_FRAME_BYTES <= len; i++) {
            struct hq_record_frame f;
            if ((unsigned char)buf[i] == MARK_FIRST_BYTE &&
                hq_record_frame(&f, hq_str_make(buf + i, MARK_FRAME_BYTES), 0, r->head.journal_id) == 1 &&
                f.synced_bytes > offset) {
                *ret = true;
                return 0;
            }
        }
        memmove(buf, buf + i, len - i);
        len -= i;
        at += i;
    }
}

/* No good frame at file_offset: the next file, the end, or damage. 1 = go on in the next file. */
static int
on_bad_frame(struct hq_record_reader *r, struct hq_err *err)
{
    if (r->segment_ix < r->head.segment_ix) {
        /* The writer left this file after a failed write: what counts of it ends where the next one begins. */
        if (r->last_seq + 1 >= r->segment_until) {
            int rc = open_segment(r, r->segment_ix + 1, err);
            return rc < 0 ? rc : 1;
        }
    } else {
        if (r->is_eof && r->buf_at == r->buf_len) {
            r->end = HQ_RECORD_END_CLEAN;
            return 0;
        }
        bool covered = false;
        int rc = is_covered(r, r->file_offset, &covered, err);
        if (rc < 0) {
            return rc;
        }
        if (!covered) {
            r->end = HQ_RECORD_END_TORN;
            return 0;
        }
    }
    HQ_AUTO(hq_mem_freep) char *path = hq_record_segment_path(r->path, r->segment_ix, r->head.segment_ix);
    return hq_err_set(err,
                      -EBADMSG,
                      "damaged record in `%s` at offset %" PRIu64 " (behind record %" PRIu64 ")",
                      path,
                      r->file_offset,
                      r->last_seq);
}

int
hq_record_next(struct hq_record_reader *r, struct hq_record *ret, struct hq_err *err)
{
    for (;;) {
        if (r->last_seq >= r->until_seq) {
            r->end = HQ_RECORD_END_UNTIL;
            return 0;
        }
        struct hq_str rest = r->buf == NULL ? HQ_STR_NULL : hq_str_make(r->buf + r->buf_at, r->buf_len - r->buf_at);
        struct hq_record_frame f;
        int rc = rest.len == 0 ? 0 : hq_record_frame(&f, rest, r->last_seq, r->head.journal_id);
        if (rc == 0 && !r->is_eof) {
            rc = fill(r, err);
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        bool is_void = rc == 1 && !f.is_mark && f.seq >= r->segment_until;
        if (rc != 1 || is_void) {
            rc = on_bad_frame(r, err);
            if (rc <= 0) {
                return rc;
            }
            continue;
        }
        uint64_t offset = r->file_offset;
        r->buf_at += f.frame_bytes;
        r->file_offset += f.frame_bytes;
        if (f.is_mark) {
            continue;
        }
        r->last_seq = f.seq;
        *ret = (struct hq_record){.seq = f.seq, .body = f.body, .segment_ix = r->segment_ix, .offset = offset};
        return 1;
    }
}
