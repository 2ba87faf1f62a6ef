#include "hq/stream_print.h"

#include "common/mem.h"
#include "common/out_json.h"
#include "common/out_table.h"

#include <stdlib.h>

#define FLUSH_BYTES 262144u /* raw output leaves at this size: memory stays flat */

static void
flush_large(struct hq_out *out)
{
    if (out->buf.len >= FLUSH_BYTES) {
        hq_out_flush(out);
    }
}

/* ---- summary, jobs */
static void
summary_json(const struct stream_summary *s, const char *path, bool is_old, struct hq_out *out)
{
    struct hq_json j;

    hq_json_begin_document(&j, out);
    hq_json_object(&j);
    hq_json_put_strz(&j, "filename", path);
    hq_json_key(&j, "summary");
    hq_json_object(&j);
    if (!is_old) {
        hq_json_put_u64(&j, "n_files", s->file_count);
        hq_json_put_u64(&j, "n_jobs", s->job_count);
    }
    hq_json_put_u64(&j, "n_opened", s->opened_count);
    hq_json_put_u64(&j, "n_streams", s->stream_count);
    hq_json_put_u64(&j, "n_superseded", s->superseded_count);
    hq_json_put_u64(&j, "n_tasks", s->task_count);
    hq_json_put_u64(&j, "stderr_size", s->bytes[1]);
    hq_json_put_u64(&j, "stdout_size", s->bytes[0]);
    hq_json_put_u64(&j, "superseded_stderr_size", s->superseded_bytes[1]);
    hq_json_put_u64(&j, "superseded_stdout_size", s->superseded_bytes[0]);
    hq_json_object_end(&j);
    hq_json_object_end(&j);
    hq_json_end_document(&j, out);
}

static void
row_sizes(struct hq_table *t, const char *label, const uint64_t bytes[2])
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;

    hq_fmt_size(&cell, bytes[0]);
    hq_buf_cstr(&cell, " / ");
    hq_fmt_size(&cell, bytes[1]);
    hq_table_row(t, label, hq_buf_view(&cell), HQ_COLOR_NONE);
}

void
stream_print_summary(const struct stream_index *ix, const char *path, bool is_old, struct hq_out *out)
{
    HQ_AUTO(hq_table_fini) struct hq_table t;
    struct stream_summary s;

    stream_index_summary(ix, &s);
    hq_table_init_vertical(&t);
    if (out->mode == HQ_OUT_JSON) {
        summary_json(&s, path, is_old, out);
    } else if (out->mode == HQ_OUT_CLI) {
        hq_table_rowz(&t, is_old ? "Filename" : "Path", path);
        if (!is_old) {
            hq_table_rowf(&t, "Files", "%llu", (unsigned long long)s.file_count);
            hq_table_rowf(&t, "Jobs", "%llu", (unsigned long long)s.job_count);
        }
        hq_table_rowf(&t, "Tasks", "%llu", (unsigned long long)s.task_count);
        hq_table_rowf(&t, "Opened streams", "%llu", (unsigned long long)s.opened_count);
        row_sizes(&t, "Stdout/stderr size", s.bytes);
        hq_table_rowf(&t, "Superseded streams", "%llu", (unsigned long long)s.superseded_count);
        row_sizes(&t, "Superseded stdout/stderr size", s.superseded_bytes);
        hq_table_print(&t, out);
    }
}

void
stream_print_jobs(const struct stream_index *ix, struct hq_out *out)
{
    HQ_AUTO(hq_mem_freep) uint32_t *live = NULL;
    size_t count = stream_index_live(ix, (hq_job_id){0}, &live);
    hq_job_id last = {0};

    out->has_document = true; /* lines, no JSON, in every mode */
    for (size_t i = 0; i < count; i++) {
        const struct stream *s = &ix->streams[live[i]];
        if (i == 0 || s->job.v != last.v) {
            hq_out_line(out, "%u", s->job.v);
        }
        last = s->job;
    }
}

/* ---- show */
static unsigned
digits_of(uint32_t v)
{
    unsigned n = 1;

    while (v >= 10) {
        v /= 10;
        n++;
    }
    return n;
}

struct show {
    const struct stream_index *ix;
    const struct stream_select *sel;
    unsigned job_digits;
    unsigned task_digits;
};

static int
cmp_chunk(const void *a, const void *b, void *ctx)
{
    const struct show *show = ctx;
    uint32_t ia = *(const uint32_t *)a;
    uint32_t ib = *(const uint32_t *)b;
    const struct stream_chunk *x = &show->ix->chunks[ia];
    const struct stream_chunk *y = &show->ix->chunks[ib];
    const struct stream *sx = &show->ix->streams[x->stream_ix];
    const struct stream *sy = &show->ix->streams[y->stream_ix];

    if (x->at_ms != y->at_ms) {
        return x->at_ms < y->at_ms ? -1 : 1;
    }
    if (sx->job.v != sy->job.v) {
        return sx->job.v < sy->job.v ? -1 : 1;
    }
    if (sx->task != sy->task) {
        return sx->task < sy->task ? -1 : 1;
    }
    return ia < ib ? -1 : ia > ib; /* one task: the order in which it was read */
}

static void
put_header(const struct show *show, const struct stream *s, const struct stream_chunk *c, struct hq_out *out)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf head = HQ_BUF_INIT;

    if (!show->sel->is_old) {
        hq_buf_printf(&head, "%0*u.", (int)show->job_digits, s->job.v);
    }
    hq_buf_printf(&head, "%0*u:", (int)show->task_digits, s->task);
    if (c->is_end) {
        hq_buf_cstr(&head, " >");
    } else if (c->rank1 > 0) {
        hq_buf_printf(&head, "%u[%u]>", c->channel, c->rank1 - 1u);
    } else {
        hq_buf_printf(&head, "%u>", c->channel);
    }
    if (out->with_color) { /* backgrounds red, green, yellow, blue, magenta, cyan */
        hq_buf_printf(&out->buf, "\033[%um%.*s\033[0m", 41 + s->task % 6, HQ_STR_FMT(hq_buf_view(&head)));
    } else {
        hq_buf_str(&out->buf, hq_buf_view(&head));
    }
}

static int
show_chunk(const struct show *show, const struct stream_chunk *c, struct hq_out *out, struct hq_err *err)
{
    const struct stream *s = &show->ix->streams[c->stream_ix];

    put_header(show, s, c, out);
    if (c->is_end) {
        hq_buf_cstr(&out->buf, " stream closed\n");
        return 0;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf data = HQ_BUF_INIT;
    int rc = stream_index_read(show->ix, c, &data, err);
    if (rc < 0) {
        return rc;
    }
    hq_buf_byte(&out->buf, ' ');
    hq_buf_utf8_lossy(&out->buf, hq_buf_view(&data));
    if (out->buf.ptr[out->buf.len - 1] != '\n') {
        hq_buf_byte(&out->buf, '\n');
    }
    return 0;
}

/* Chunks to print, in no order yet. Close lines only in the old form, and there only where something was printed. */
static size_t
pick_chunks(const struct show *show, uint32_t **ret)
{
    const struct stream_index *ix = show->ix;
    const struct stream_select *sel = show->sel;
    uint32_t *v = hq_xcalloc(ix->chunk_count + 1, sizeof(*v));
    size_t n = 0;

    for (size_t i = 0; i < ix->stream_count; i++) {
        const struct stream *s = &ix->streams[i];
        bool is_printed = sel->show_empty;
        if (!s->is_live || (sel->job.v != 0 && s->job.v != sel->job.v)) {
            continue;
        }
        for (uint32_t at = s->first; at != STREAM_NO_CHUNK; at = ix->chunks[at].next) {
            const struct stream_chunk *c = &ix->chunks[at];
            bool is_data = c->size > 0 && (sel->channel < 0 || c->channel == sel->channel);
            is_printed = is_printed || is_data;
            if (is_data || (c->is_end && sel->is_old && is_printed)) {
                v[n++] = at;
            }
        }
    }
    *ret = v;
    return n;
}

int
stream_print_show(const struct stream_index *ix, const struct stream_select *sel, struct hq_out *out,
                  struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) uint32_t *chunks = NULL;
    struct show show = {.ix = ix, .sel = sel, .job_digits = 1, .task_digits = 1};
    size_t count = pick_chunks(&show, &chunks);
    int rc = 0;

    out->has_document = true; /* annotated text in every mode */
    for (size_t i = 0; i < ix->stream_count; i++) {
        show.job_digits = HQ_MAX(show.job_digits, digits_of(ix->streams[i].job.v));
        show.task_digits = HQ_MAX(show.task_digits, digits_of(ix->streams[i].task));
    }
    qsort_r(chunks, count, sizeof(*chunks), cmp_chunk, &show);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = show_chunk(&show, &ix->chunks[chunks[i]], out, err);
        flush_large(out);
    }
    return rc;
}

/* ---- cat, export */

/* The selected live streams in the order to print. */
static int
pick_streams(const struct stream_index *ix, const struct stream_select *sel, uint32_t **ret, size_t *ret_count,
             struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) uint32_t *v = NULL;
    size_t count = stream_index_live(ix, sel->job, &v);

    if (count == 0) {
        return hq_err_set(err, -ENOENT, "Job %u not found", sel->job.v);
    }
    if (sel->tasks != NULL) {
        struct hq_ranges_iter it = hq_ranges_iter(sel->tasks);
        uint32_t task;
        size_t n = 0;
        while (hq_ranges_next(&it, &task)) {
            const struct stream *s = stream_index_find(ix, sel->job, task);
            if (s == NULL) {
                return hq_err_set(err, -ENOENT, "Task %u not found", task);
            }
            v[n++] = (uint32_t)(s - ix->streams);
        }
        count = n;
    }
    *ret = v;
    *ret_count = count;
    v = NULL;
    return 0;
}

int
stream_print_cat(const struct stream_index *ix, const struct stream_select *sel, struct hq_out *out,
                 struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) uint32_t *streams = NULL;
    size_t count = 0;
    int rc = pick_streams(ix, sel, &streams, &count, err);

    for (size_t i = 0; rc == 0 && i < count && !sel->allow_unfinished; i++) {
        if (!ix->streams[streams[i]].is_finished) {
            rc = hq_err_set(err, -EBUSY, "Stream for task %u is not finished", ix->streams[streams[i]].task);
        }
    }
    if (rc < 0) {
        return rc;
    }
    out->has_document = true; /* bytes of the task in every mode */
    for (size_t i = 0; i < count; i++) {
        for (uint32_t at = ix->streams[streams[i]].first; at != STREAM_NO_CHUNK; at = ix->chunks[at].next) {
            if (ix->chunks[at].channel == sel->channel && !ix->chunks[at].is_end) {
                rc = stream_index_read(ix, &ix->chunks[at], &out->buf, err);
                if (rc < 0) {
                    return rc;
                }
                flush_large(out);
            }
        }
    }
    return 0;
}

static int
read_channel(const struct stream_index *ix, const struct stream *s, uint8_t channel, struct hq_buf *ret,
             struct hq_err *err)
{
    hq_buf_clear(ret);
    for (uint32_t at = s->first; at != STREAM_NO_CHUNK; at = ix->chunks[at].next) {
        if (ix->chunks[at].channel == channel && !ix->chunks[at].is_end) {
            int rc = stream_index_read(ix, &ix->chunks[at], ret, err);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}

int
stream_print_export(const struct stream_index *ix, const struct stream_select *sel, struct hq_out *out,
                    struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) uint32_t *streams = NULL;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    struct hq_json j;
    size_t count = 0;
    int rc = pick_streams(ix, sel, &streams, &count, err);

    if (rc < 0) {
        return rc;
    }
    hq_json_begin_document(&j, out);
    hq_json_array(&j);
    for (size_t i = 0; i < count; i++) {
        const struct stream *s = &ix->streams[streams[i]];
        hq_json_object(&j);
        hq_json_put_bool(&j, "finished", s->is_finished);
        hq_json_put_u64(&j, "id", s->task);
        for (int channel = sel->is_old ? 0 : 1; rc == 0 && channel >= 0; channel--) { /* the old form knows stdout only */
            rc = read_channel(ix, s, (uint8_t)channel, &text, err);
            hq_json_put_str(&j, channel == 0 ? "stdout" : "stderr", hq_buf_view(&text));
        }
        if (rc < 0) {
            return rc;
        }
        hq_json_object_end(&j);
        flush_large(out);
    }
    hq_json_array_end(&j);
    hq_json_end_document(&j, out);
    return 0;
}
