/* Journals: files of any bytes, good frames with any bodies, and bodies alone: as records, as their summary for prune, as the
 * lines of `journal export`. */
#include "tests/fuzz/fuzz.h"

#include "common/eventjson.h"
#include "common/record.h"
#include "common/wire.h"
#include "hqd/record_pb.h"

#define ID 0x0123456789abcdefu

static int
read_file(const char *path, uint64_t *ret_count, struct hq_err *err)
{
    struct hq_record_reader r = {0};
    struct hq_record rec;
    int rc = hq_record_reader_open(&r, path, err);
    uint64_t last_seq = 0;
    *ret_count = 0;
    while (rc == 0) {
        rc = hq_record_next(&r, &rec, err);
        if (rc <= 0) {
            break;
        }
        MUST(rec.seq > last_seq && rec.body.len <= r.buf_cap);
        last_seq = rec.seq;
        (*ret_count)++;
        rc = 0;
    }
    hq_record_reader_close(&r);
    return rc;
}

/* Bodies of the input, each behind a byte of its length, as a journal: all come out again, whatever follows them. */
static void
try_frames(struct fuzz *f)
{
    unsigned char head[HQ_RECORD_HEAD_BYTES];
    struct hq_record_head h = {.major = HQ_RECORD_MAJOR, .first_seq = 1, .journal_id = ID};
    struct hq_buf file = HQ_BUF_INIT;
    struct hq_err err = {0};
    uint64_t seq = 0;
    uint64_t count = 0;
    hq_record_head_pack(head, &h);
    hq_buf_add(&file, head, sizeof head);
    for (uint8_t len = fuzz_byte(f); len != 0 && len <= f->text.len; len = fuzz_byte(f)) {
        uint64_t gap = len % 7 == 6 ? len : 0;
        hq_record_add(&file, seq, seq + 1 + gap, hq_str_sub(f->text, 0, len));
        seq += 1 + gap;
        count++;
        f->text = hq_str_sub(f->text, len, f->text.len);
    }
    hq_buf_str(&file, f->text);
    struct fuzz made = {.text = hq_buf_view(&file)};
    uint64_t seen = 0;
    int rc = read_file(fuzz_file(&made), &seen, &err);
    MUST(rc < 0 || seen >= count);
    MUST_TELL(rc, err);
    hq_buf_fini(&file);
}

static int
try_record(struct fuzz *f, struct hq_err *err)
{
    struct record rec;
    struct record again;
    struct record_peek peek;
    struct hq_buf out[2] = {HQ_BUF_INIT, HQ_BUF_INIT};
    int peeked = record_pb_peek(f->text, &peek);
    int rc = record_pb_decode(f->text, &f->arena, &rec, err);
    if (rc == 1) {
        MUST(peeked >= 0 && peek.kind == rec.kind);
        record_pb_encode(&rec, &f->arena, &out[0]);
        MUST(record_pb_decode(hq_buf_view(&out[0]), &f->arena, &again, NULL) == 1);
        record_pb_encode(&again, &f->arena, &out[1]);
        MUST(hq_str_eq(hq_buf_view(&out[0]), hq_buf_view(&out[1])));
    }
    hq_buf_fini(&out[0]);
    hq_buf_fini(&out[1]);
    return rc;
}

static void
forget(void *out)
{
    hq_buf_clear(out);
}

/* A set of a few bytes may stand for all ids there are: no harm but time. */
static bool
is_short(const Hq__Record *rec)
{
    const Hq__Ranges *ids = NULL;
    uint64_t count = 0;
    if (rec->body_case == HQ__RECORD__BODY_TASKS_CANCELED) {
        ids = rec->tasks_canceled->ids;
    } else if (rec->body_case == HQ__RECORD__BODY_TASKS_ABORTED) {
        ids = rec->tasks_aborted->ids;
    } else if (rec->body_case == HQ__RECORD__BODY_TASKS_RESTARTED) {
        ids = rec->tasks_restarted->ids;
    }
    for (size_t i = 1; ids != NULL && i < ids->n_packed; i += 3) {
        count += ids->packed[i];
    }
    return count <= 100000;
}

static int
try_lines(struct fuzz *f, struct hq_err *err)
{
    struct hq_eventjson e;
    struct hq_buf out = HQ_BUF_INIT;
    uint64_t count = 0;
    int rc = 0;
    hq_eventjson_init(&e);
    e.full = forget;
    e.full_ctx = &out;
    while (rc == 0 && f->text.len > 0) {
        uint8_t len = fuzz_byte(f);
        ProtobufCMessage *msg = NULL;
        rc = hq_wire_unpack(hq_str_sub(f->text, 0, len), &hq__record__descriptor, &f->arena, &msg, err);
        const Hq__Record *rec = (const Hq__Record *)(const void *)msg;
        if (rc == 0 && is_short(rec)) {
            rc = hq_eventjson_add(&e, rec, &out, &count, err);
        }
        MUST(out.len < HQ_EVENTJSON_FULL_BYTES + (1u << 16));
        f->text = hq_str_sub(f->text, len, f->text.len);
    }
    hq_eventjson_fini(&e);
    hq_buf_fini(&out);
    return rc;
}

void
fuzz_one(struct fuzz *f)
{
    struct hq_err err = {0};
    uint64_t count;
    int rc = 0;
    switch (fuzz_byte(f) % 4) {
    case 0:
        rc = read_file(fuzz_file(f), &count, &err);
        break;
    case 1:
        try_frames(f);
        break;
    case 2:
        rc = try_record(f, &err);
        break;
    default:
        rc = try_lines(f, &err);
        break;
    }
    MUST_TELL(rc, err);
}
