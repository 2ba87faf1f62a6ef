/* Files of streamed output: any bytes, and good records (made of the input) with any tail. All that is indexed can be read, or
 * is told as damaged. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <unistd.h>

#include "hq/stream_index.h"

/* The reader wants the suffix. */
static const char *
with_suffix(const char *path)
{
    static char name[64];
    if (name[0] == '\0') {
        (void)snprintf(name, sizeof name, "/tmp/hq-fuzz-stream-%ld" HQ_STREAM_SUFFIX, (long)getpid());
        MUST(symlink(path, name) == 0);
    }
    return name;
}

static void
check_index(const struct stream_index *ix)
{
    struct stream_summary sum;
    struct hq_buf out = HQ_BUF_INIT;
    uint32_t *live = NULL;
    stream_index_summary(ix, &sum);
    size_t count = stream_index_live(ix, (hq_job_id){0}, &live);
    MUST(count <= ix->stream_count && sum.file_count <= 1);
    for (size_t i = 0; i < count; i++) {
        const struct stream *s = &ix->streams[live[i]];
        MUST(s->is_live && stream_index_find(ix, s->job, s->task) == s);
        size_t steps = 0;
        for (uint32_t c = s->first; c != STREAM_NO_CHUNK; c = ix->chunks[c].next) {
            MUST(++steps <= ix->chunk_count);
            hq_buf_clear(&out);
            struct hq_err err = {0};
            int rc = stream_index_read(ix, &ix->chunks[c], &out, &err);
            MUST(rc < 0 ? err.text[0] != '\0' : out.len == ix->chunks[c].size);
        }
    }
    free(live);
    hq_buf_fini(&out);
}

static void
try_parts(struct hq_str text)
{
    struct hq_stream_head head;
    struct hq_stream_record rec;
    size_t bytes = 0;
    if (hq_stream_head_parse(text, &head, &bytes) == 0) {
        MUST(bytes <= text.len && head.server_uid.len <= HQ_STREAM_UID_BYTES_MAX);
    }
    if (hq_stream_record_parse(text, &rec) == 0) {
        MUST(rec.size <= HQ_STREAM_CHUNK_BYTES_MAX && rec.channel < 2);
    }
}

/* Each record of the input: three bytes of job, task and instance, one of channel and kind, one of length, its data. */
static void
make_file(struct fuzz *f, struct hq_buf *out)
{
    struct hq_stream_head head = {.server_uid = HQ_STR("uid123"), .worker = {1}};
    hq_stream_head_pack(&head, out);
    while (f->text.len > 4) {
        unsigned char packed[HQ_STREAM_RECORD_HEAD_BYTES];
        struct hq_stream_record rec = {.job = {fuzz_byte(f)}, .task = fuzz_byte(f), .instance = fuzz_byte(f)};
        uint8_t what = fuzz_byte(f);
        if (what == 255) {
            break; /* the rest is the tail */
        }
        rec.channel = what & 1;
        rec.kind = (what & 6) == 6 ? HQ_STREAM_END : HQ_STREAM_DATA;
        uint8_t size = rec.kind == HQ_STREAM_END ? 0 : fuzz_byte(f);
        rec.size = (uint32_t)HQ_MIN((size_t)size, f->text.len);
        hq_stream_record_pack(&rec, f->text.ptr, packed);
        hq_buf_add(out, packed, sizeof packed);
        hq_buf_add(out, f->text.ptr, rec.size);
        f->text = hq_str_sub(f->text, rec.size, f->text.len);
    }
    hq_buf_str(out, f->text);
}

void
fuzz_one(struct fuzz *f)
{
    struct hq_buf made = HQ_BUF_INIT;
    struct stream_index *ix = NULL;
    struct hq_err err = {0};
    uint8_t which = fuzz_byte(f);
    try_parts(f->text);
    if ((which & 1) != 0) {
        make_file(f, &made);
        f->text = hq_buf_view(&made);
    }
    int rc = stream_index_create(&ix, with_suffix(fuzz_file(f)), HQ_STR_NULL, &err);
    MUST_TELL(rc, err);
    MUST((which & 1) == 0 || rc == 0);
    if (rc == 0) {
        check_index(ix);
    }
    stream_index_destroy(ix);
    hq_buf_fini(&made);
}
