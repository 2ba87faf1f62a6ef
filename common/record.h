/* record.h - framing of the journal: what lies between the bytes of a file and the body of a record.
 *
 * Layout     file:  head (HQ_RECORD_HEAD_BYTES), then frames.
 *            frame: varint(body length * 4 + kind), [varint seq], CRC32C (4 bytes LE), body.
 *            kinds: 0 record with the number after the last one; 1 record that says its number (after a gap);
 *                   2 mark: body = u64 LE; all bytes of this file before that offset were on disk when it was written.
 *            The CRC covers kind, length, sequence number (marks: the journal's id) and body: a number costs no byte and
 *            is checked all the same.
 * Purpose    tells a torn tail (what a crash leaves behind the last commit) from damage (what a commit had covered):
 *            damage is a bad frame below the offset that a later mark names.
 * Ownership  a record's body is a view into the reader's buffer until the next call.
 * Threads    none of its own; a reader belongs to one thread. Reads files: not for the loop.
 * Units      offsets and sizes in bytes, seq counts from 1.
 * Errors     -ENODATA shorter than a head, -EBADMSG no journal or damage (offset in the text), -EPROTONOSUPPORT another
 *            version; -ENOENT and other errno of open and read.
 * Limits     HQ_RECORD_BYTES_MAX a body; HQ_RECORD_SEGMENTS_MAX files of one journal.
 */
#ifndef HQ_COMMON_RECORD_H
#define HQ_COMMON_RECORD_H

#include "common/err.h"
#include "common/str.h"

#define HQ_RECORD_MAJOR 1u
#define HQ_RECORD_MINOR 0u
#define HQ_RECORD_HEAD_BYTES 40u
#define HQ_RECORD_FRAME_HEAD_MAX 24u /* all of a frame but its body */

struct hq_record_head {
    uint16_t major;
    uint16_t minor;
    uint32_t segment_ix;   /* number of older files PATH.0, PATH.1 ... that come before this one */
    uint64_t first_seq;    /* records of older files from this number on are void */
    uint64_t journal_id;   /* the same in all files of one journal; prune draws a new one */
};
void hq_record_head_pack(unsigned char ret[HQ_RECORD_HEAD_BYTES], const struct hq_record_head *head);
/* Errors with the texts of the specification (output.md 4.1), without a prefix. */
HQ_MUST_CHECK int hq_record_head_parse(struct hq_record_head *ret, struct hq_str bytes, struct hq_err *err);

/* Appends a frame; last_seq is the number of the record before it (first_seq - 1 at the start of a file). */
void hq_record_add(struct hq_buf *out, uint64_t last_seq, uint64_t seq, struct hq_str body);
void hq_record_add_mark(struct hq_buf *out, uint64_t journal_id, uint64_t synced_bytes);

struct hq_record_frame {
    bool is_mark;
    uint64_t seq;          /* of a record */
    uint64_t synced_bytes; /* of a mark */
    struct hq_str body;
    size_t frame_bytes;    /* the whole frame */
};
/* Reads the frame at the start of `bytes`: 1 = *ret is set, 0 = more bytes are needed, -EBADMSG no good frame. */
HQ_MUST_CHECK int hq_record_frame(struct hq_record_frame *ret, struct hq_str bytes, uint64_t last_seq,
                                  uint64_t journal_id);

/* ---- forward reader over all files of a journal */
struct hq_record {
    uint64_t seq;
    struct hq_str body;
    uint32_t segment_ix;
    uint64_t offset;       /* of its frame in that file */
};
enum hq_record_end { /* why there is no further record */
    HQ_RECORD_END_CLEAN = 0,
    HQ_RECORD_END_TORN = 1,    /* bytes behind the last good record that no commit covers */
    HQ_RECORD_END_UNTIL = 2,   /* the bound of hq_record_reader_bound was reached */
};
struct hq_record_reader {
    char *path;
    int fd;                    /* of the present file */
    struct hq_record_head head; /* of the last (live) file */
    uint32_t segment_ix;       /* present file; head.segment_ix is the live one */
    uint64_t segment_until;    /* first number that belongs to the next file; UINT64_MAX in the live one */
    uint64_t last_seq;
    uint64_t file_offset;      /* of buf[buf_at] */
    uint64_t until_seq;        /* records beyond are not returned */
    uint64_t until_offset;     /* live file: bytes beyond are not looked at */
    char *buf;
    size_t buf_cap;
    size_t buf_at;
    size_t buf_len;
    bool is_eof;
    enum hq_record_end end;
};
/* Opens PATH (the live file) and the first file of the journal. */
HQ_MUST_CHECK int hq_record_reader_open(struct hq_record_reader *r, const char *path, struct hq_err *err);
void hq_record_reader_close(struct hq_record_reader *r); /* also the cleanup form; zeroed is fine */
/* Goes to a known frame: its file, its offset and the number of the record before it. */
HQ_MUST_CHECK int hq_record_reader_seek(struct hq_record_reader *r, uint32_t segment_ix, uint64_t offset,
                                        uint64_t last_seq, struct hq_err *err);
/* For reading beside the writer: nothing beyond this number, and in the live file nothing beyond this offset. */
void hq_record_reader_bound(struct hq_record_reader *r, uint64_t until_seq, uint64_t until_offset);
/* 1 = *ret is the next record; 0 = the end (r->end says which, r->file_offset the end of the last good frame);
 * -EBADMSG: damage, the text names file and offset. */
HQ_MUST_CHECK int hq_record_next(struct hq_record_reader *r, struct hq_record *ret, struct hq_err *err);
/* "PATH" of the live file, "PATH.ix" of an older one. */
char *hq_record_segment_path(const char *path, uint32_t segment_ix, uint32_t live_ix);

#endif
