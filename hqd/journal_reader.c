#include "hqd/journal_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

#define READ_ATTEMPTS 5
#define COPY_BYTES (1u << 20)
#define TAIL_BYTES (256u << 10) /* what the writer may copy while it writes nothing else */

/* The last point at or before after_seq. mu held. */
static struct journal_point
find_point(const struct journal *j, uint64_t after_seq)
{
    size_t low = 0;
    size_t high = j->index.count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (j->index.v[mid].last_seq <= after_seq) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return j->index.v[low];
}

/* Opens the journal at the record after `after_seq` (or a little before it). -EAGAIN: a prune came between. */
static int
open_at(struct journal *j, struct hq_record_reader *r, uint64_t after_seq, struct hq_err *err)
{
    pthread_mutex_lock(&j->mu);
    uint64_t journal_id = j->head.journal_id;
    struct journal_point at = find_point(j, after_seq);
    pthread_mutex_unlock(&j->mu);
    int rc = hq_record_reader_open(r, j->path, err);
    if (rc < 0) {
        return rc;
    }
    if (r->head.journal_id != journal_id) {
        return hq_err_set(err, -EAGAIN, "Journal was pruned meanwhile");
    }
    return hq_record_reader_seek(r, at.segment_ix, at.offset, at.last_seq, err);
}

static int
read_once(struct journal *j, struct journal_read *rd)
{
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader r = {.fd = -1};
    size_t next_wanted = 0;
    struct hq_record rec;
    rd->has_more = false;
    rd->last_seq = rd->after_seq;
    hq_buf_clear(&rd->out);
    int rc = open_at(j, &r, rd->wanted == NULL || rd->wanted_count == 0 ? rd->after_seq : rd->wanted[0] - 1, &rd->err);
    if (rc < 0) {
        return rc;
    }
    hq_record_reader_bound(&r, rd->until_seq, UINT64_MAX);
    while ((rc = hq_record_next(&r, &rec, &rd->err)) == 1) {
        if (rec.seq <= rd->after_seq) {
            continue;
        }
        if (rd->wanted != NULL) {
            while (next_wanted < rd->wanted_count && rd->wanted[next_wanted] < rec.seq) {
                next_wanted++;
            }
            if (next_wanted == rd->wanted_count) {
                return 0;
            }
            if (rd->wanted[next_wanted] != rec.seq) {
                continue;
            }
        }
        size_t before = rd->out.len;
        rd->take_thr(rd, rec.seq, rec.body);
        if (rd->out.len > rd->bytes_max && before > 0) {
            rd->out.len = before;
            rd->has_more = true;
            return 0;
        }
        rd->last_seq = rec.seq;
    }
    if (rc == 0 && rd->wanted == NULL) {
        rd->last_seq = HQ_MAX(rd->last_seq, rd->until_seq); /* numbers without a record: pruned, or never written */
    }
    return rc;
}

static void
read_done_on_loop(void *ctx, void *item)
{
    struct journal_read *rd = item;
    (void)ctx;
    rd->done(rd);
}

void *
journal_reader_main(void *arg)
{
    struct journal *j = arg;
    pthread_mutex_lock(&j->mu);
    while (!j->is_stopping) {
        struct journal_read *rd = j->reads;
        if (rd == NULL) {
            pthread_cond_wait(&j->wake_reader, &j->mu);
            continue;
        }
        j->reads = rd->next;
        if (j->reads == NULL) {
            j->reads_tail = &j->reads;
        }
        pthread_mutex_unlock(&j->mu);
        for (int i = 0; i < READ_ATTEMPTS; i++) {
            rd->rc = read_once(j, rd);
            if (rd->rc != -EAGAIN) {
                break;
            }
        }
        hq_bridge_post_must_thr(j->conf.bridge, read_done_on_loop, j, rd);
        pthread_mutex_lock(&j->mu);
    }
    pthread_mutex_unlock(&j->mu);
    return NULL;
}

void
journal_read_start(struct journal *j, struct journal_read *rd)
{
    rd->next = NULL;
    rd->rc = 0;
    pthread_mutex_lock(&j->mu);
    *j->reads_tail = rd;
    j->reads_tail = &rd->next;
    pthread_cond_signal(&j->wake_reader);
    pthread_mutex_unlock(&j->mu);
}

/* ---- prune */

static int
flush_copy(struct journal_switch *s, struct hq_buf *out, struct hq_err *err)
{
    int rc = journal_write_all_thr(s->fd, hq_buf_view(out), err);
    s->bytes += out->len;
    hq_buf_clear(out);
    return rc;
}

static int
scan_records(struct journal *j, const struct journal_prune *p, struct hq_err *err)
{
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader r = {.fd = -1};
    struct hq_record rec;
    int rc = open_at(j, &r, 0, err);
    if (rc < 0) {
        return rc;
    }
    hq_record_reader_bound(&r, p->until_seq, UINT64_MAX);
    while ((rc = hq_record_next(&r, &rec, err)) == 1) {
        p->scan_thr(p->ctx, rec.body);
    }
    return rc;
}

/* Copies what is kept of the records behind s->copied_seq up to until_seq; beyond asked_seq everything is kept. */
static int
copy_records(struct journal *j, struct journal_switch *s, const struct journal_prune *p, uint64_t until_seq,
             struct hq_err *err)
{
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader r = {.fd = -1};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    struct hq_record rec;
    int rc = open_at(j, &r, s->copied_seq, err);
    if (rc < 0) {
        return rc;
    }
    hq_record_reader_bound(&r, until_seq, UINT64_MAX);
    while ((rc = hq_record_next(&r, &rec, err)) == 1) {
        if (rec.seq <= s->copied_seq) {
            continue;
        }
        s->copied_seq = rec.seq;
        if (rec.seq <= p->until_seq && !p->keep_thr(p->ctx, rec.seq, rec.body)) {
            HQ_ASSERT(rec.seq != p->until_seq);
            continue;
        }
        journal_index_add(&s->index, s->copied_last_in_file, s->bytes + out.len, 0);
        hq_record_add(&out, s->copied_last_in_file, rec.seq, rec.body);
        s->copied_last_in_file = rec.seq;
        if (out.len >= COPY_BYTES && (rc = flush_copy(s, &out, err)) < 0) {
            return rc;
        }
    }
    return rc < 0 ? rc : flush_copy(s, &out, err);
}

static int
begin_copy(struct journal *j, struct journal_switch *s, struct hq_err *err)
{
    s->head = (struct hq_record_head){.major = HQ_RECORD_MAJOR, .minor = HQ_RECORD_MINOR, .first_seq = 1};
    if (getrandom(&s->head.journal_id, sizeof s->head.journal_id, 0) != (ssize_t)sizeof s->head.journal_id) {
        return hq_err_sys(err, -errno, "Cannot draw a journal id");
    }
    struct hq_buf name = HQ_BUF_INIT;
    hq_buf_printf(&name, "%s.tmp", j->path);
    s->tmp_path = hq_buf_take(&name);
    (void)unlink(s->tmp_path); /* of an earlier crash */
    s->fd = journal_new_file_thr(s->tmp_path, &s->head, err);
    s->bytes = HQ_RECORD_HEAD_BYTES;
    return s->fd < 0 ? s->fd : 0;
}

/* The record that must be kept is in the file: else the file could end with one that is dropped. */
static int
wait_written(struct journal *j, struct journal_prune *p)
{
    int rc = 0;
    pthread_mutex_lock(&j->mu);
    while (j->written_seq < p->until_seq && !j->is_failing && !j->is_stopping) {
        pthread_cond_wait(&j->progress, &j->mu);
    }
    if (j->is_failing) {
        p->err = j->why;
        rc = j->why.code;
    }
    pthread_mutex_unlock(&j->mu);
    return rc;
}

/* Copies until little is left, then lets the writer copy the rest between two batches. */
static int
prune_thr(struct journal *j, struct journal_prune *p, struct journal_switch *s)
{
    int rc = wait_written(j, p);
    if (rc == 0) {
        rc = begin_copy(j, s, &p->err);
    }
    if (rc == 0 && p->scan_thr != NULL) {
        rc = scan_records(j, p, &p->err);
    }
    for (bool is_near = false; rc == 0 && !is_near;) {
        pthread_mutex_lock(&j->mu);
        uint64_t until_seq = j->written_seq;
        uint64_t bytes = j->file_bytes;
        bool is_stopping = j->is_stopping;
        pthread_mutex_unlock(&j->mu);
        if (is_stopping) {
            return hq_err_set(&p->err, -ECANCELED, "The server is stopping");
        }
        rc = copy_records(j, s, p, until_seq, &p->err);
        pthread_mutex_lock(&j->mu);
        is_near = j->file_bytes < bytes || j->file_bytes - bytes < TAIL_BYTES;
        pthread_mutex_unlock(&j->mu);
    }
    if (rc < 0) {
        return rc;
    }
    pthread_mutex_lock(&j->mu);
    j->pruned = s;
    journal_wake_worker(j);
    while (!s->is_done && !j->is_stopping) {
        pthread_cond_wait(&j->progress, &j->mu);
    }
    rc = s->is_done ? s->rc : hq_err_set(&p->err, -ECANCELED, "The server is stopping");
    if (s->is_done && rc < 0) {
        p->err = s->err;
    }
    if (!s->is_done) {
        j->pruned = NULL;
    }
    journal_wake_worker(j);
    pthread_mutex_unlock(&j->mu);
    return rc;
}

static void
prune_done_on_loop(void *ctx, void *item)
{
    struct journal *j = ctx;
    struct journal_prune *p = item;
    if (!j->is_stopping) { /* else journal_destroy has joined it */
        pthread_join(j->pruner, NULL);
    }
    j->is_pruning = false;
    p->done(p, p->rc, &p->err);
}

static void *
pruner_main(void *arg)
{
    struct journal_prune *p = arg;
    struct journal *j = p->journal;
    struct journal_switch s = {.fd = -1};
    p->rc = prune_thr(j, p, &s);
    if (s.fd >= 0) {
        (void)close(s.fd);
    }
    if (p->rc < 0 && s.tmp_path != NULL) {
        (void)unlink(s.tmp_path);
    }
    free(s.tmp_path);
    journal_index_fini(&s.index);
    hq_bridge_post_must_thr(j->conf.bridge, prune_done_on_loop, j, p);
    return NULL;
}

int
journal_prune_start(struct journal *j, struct journal_prune *p, struct hq_err *err)
{
    if (j->is_pruning) {
        return hq_err_set(err, -EBUSY, "The journal is being pruned already");
    }
    p->journal = j;
    p->rc = 0;
    p->err = (struct hq_err){0};
    int rc = pthread_create(&j->pruner, NULL, pruner_main, p);
    if (rc != 0) {
        return hq_err_sys(err, -rc, "Cannot start a thread");
    }
    j->is_pruning = true;
    return 0;
}
