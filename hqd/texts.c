#include "hqd/shell_impl.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"
#include "hqd/core/query.h"
#include "hqd/egress.h"
#include "hqd/record_pb.h"

/* Error texts are in the journal only: an answer that shows some is finished when the reading thread has them. */

struct texts {
    struct journal_read rd; /* first */
    STAILQ_ENTRY(texts) link; /* while the newest one is not written yet */
    uint64_t newest_seq;
    struct shell *s;
    uint64_t handle;
    bool is_detail;
    struct hq_buf page;
    struct texts_want *want; /* ascending by task */
    size_t count;
    uint64_t *seqs;          /* ascending */
    struct hq_buf *texts;    /* by position in seqs */
    hq_wall_ms *at_ms;       /* the same: time of the record */
};

static int
cmp_seq(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t
find_seq(const struct texts *t, uint64_t seq)
{
    const uint64_t *at = bsearch(&seq, t->seqs, t->count, sizeof seq, cmp_seq);
    return at == NULL ? SIZE_MAX : (size_t)(at - t->seqs);
}

static void
take_thr(struct journal_read *rd, uint64_t seq, struct hq_str body)
{
    struct texts *t = (struct texts *)rd;
    size_t ix = find_seq(t, seq);
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct record rec;
    if (ix != SIZE_MAX && record_pb_decode(body, &arena, &rec, NULL) == 1 && rec.kind == RECORD_TASK_FAILED) {
        hq_buf_str(&t->texts[ix], rec.u.task_failed.task.error);
        t->at_ms[ix] = rec.time_ms;
    }
    hq_arena_fini(&arena);
}

static void
texts_done(struct journal_read *rd)
{
    struct texts *t = (struct texts *)rd;
    if (rd->rc < 0) {
        hq_log_error("Error texts could not be read: %s", rd->err.text);
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct texts_want *w = &t->want[i];
        size_t ix = find_seq(t, w->seq);
        struct hq_str text = ix == SIZE_MAX ? HQ_STR_NULL : hq_buf_view(&t->texts[ix]);
        if (t->page.len + text.len + 512 > HQ_MSG_BYTES_MAX) {
            break; /* pages are cut long before: only foreign texts could come here */
        }
        if (t->is_detail) {
            egress_job_detail_add_failed(&t->page,
                                         &(struct query_failed){.task = w->task,
                                                                .worker = {w->worker},
                                                                .worker_host = hq_str_from(w->host),
                                                                .error_seq = w->seq},
                                         text);
        } else {
            egress_task_page_add_error(&t->page, w->task, text, ix == SIZE_MAX ? 0 : t->at_ms[ix]);
        }
    }
    t->s->reads_out--;
    shell_answer_question(t->s, t->handle, &t->page);
    for (size_t i = 0; i < t->count; i++) {
        hq_buf_fini(&t->texts[i]);
    }
    hq_buf_fini(&rd->out);
    hq_buf_fini(&t->page);
    free(t->texts);
    free(t->at_ms);
    free(t->seqs);
    free(t->want);
    free(t);
}

static void
start(struct texts *t)
{
    t->rd.until_seq = t->newest_seq;
    journal_read_start(t->s->journal, &t->rd);
}

void
texts_progress(struct shell *s)
{
    struct texts *t;
    while ((t = STAILQ_FIRST(&s->texts_waiting)) != NULL && t->newest_seq <= s->written_seq) {
        STAILQ_REMOVE_HEAD(&s->texts_waiting, link);
        start(t);
    }
}

void
texts_answer(struct shell *s, uint64_t handle, struct hq_buf *page, const struct texts_want *want, size_t count,
             bool is_detail)
{
    if (count == 0) {
        shell_answer_question(s, handle, page);
        return;
    }
    struct texts *t = hq_xalloc(sizeof *t);
    t->s = s;
    t->handle = handle;
    t->is_detail = is_detail;
    t->page = *page;
    *page = HQ_BUF_INIT;
    t->want = hq_xmemdup(want, count * sizeof *want);
    t->count = count;
    t->seqs = hq_xcalloc(count, sizeof t->seqs[0]);
    t->texts = hq_xcalloc(count, sizeof t->texts[0]);
    t->at_ms = hq_xcalloc(count, sizeof t->at_ms[0]);
    for (size_t i = 0; i < count; i++) {
        t->seqs[i] = want[i].seq;
        t->newest_seq = HQ_MAX(t->newest_seq, want[i].seq);
    }
    qsort(t->seqs, count, sizeof t->seqs[0], cmp_seq);
    t->rd.wanted = t->seqs;
    t->rd.wanted_count = count;
    t->rd.bytes_max = SIZE_MAX;
    t->rd.take_thr = take_thr;
    t->rd.done = texts_done;
    s->reads_out++;
    if (t->newest_seq <= s->written_seq) {
        start(t);
    } else {
        STAILQ_INSERT_TAIL(&s->texts_waiting, t, link); /* a failure of this very moment */
    }
}
