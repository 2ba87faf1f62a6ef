#include "hqd/journal_impl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"

#define RETRY_MS_MIN 50
#define RETRY_MS_MAX 2000

static void
progress_on_loop(void *ctx, void *item)
{
    struct journal *j = ctx;
    (void)item;
    pthread_mutex_lock(&j->mu);
    j->is_posted = false;
    bool is_stopping = j->is_stopping;
    pthread_mutex_unlock(&j->mu);
    if (!is_stopping) {
        j->conf.on_progress(j->conf.ctx);
    }
}

void
journal_post_progress_thr(struct journal *j)
{
    pthread_cond_broadcast(&j->progress);
    if (j->is_posted || j->is_stopping) {
        return;
    }
    j->is_posted = true;
    hq_bridge_post_must_thr(j->conf.bridge, progress_on_loop, j, NULL);
}

int
journal_write_all_thr(int fd, struct hq_str bytes, struct hq_err *err)
{
    int rc = hq_fs_write_all(fd, bytes.ptr, bytes.len);
    return rc < 0 ? hq_err_sys(err, rc, "Journal cannot be written") : 0;
}

int
journal_sync_dir_thr(const char *path, struct hq_err *err)
{
    int rc = hq_fs_sync_parent(path, err);
    return rc < 0 ? hq_err_prefix(err, "Cannot make the name `%s` durable", path) : 0;
}

int
journal_lock_fd_thr(int fd, const char *path, struct hq_err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
        return 0;
    }
    return hq_err_set(err, -EBUSY, "Journal `%s` is in use by another server", path);
}

int
journal_new_file_thr(const char *path, const struct hq_record_head *head, struct hq_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return hq_err_sys(err, -errno, "Journal cannot be written: `%s`", path);
    }
    unsigned char bytes[HQ_RECORD_HEAD_BYTES];
    hq_record_head_pack(bytes, head);
    int rc = journal_lock_fd_thr(fd, path, err);
    if (rc == 0) {
        rc = journal_write_all_thr(fd, hq_str_make((const char *)bytes, sizeof bytes), err);
    }
    if (rc < 0) {
        (void)close(fd);
        (void)unlink(path);
        return rc;
    }
    return fd;
}

void
journal_wake_worker(struct journal *j)
{
    if (j->idle_workers > 0) {
        pthread_cond_signal(&j->wake_worker);
    }
}

/* Both, in one call where the system takes them whole. */
static int
write_both(int fd, struct hq_str head, struct hq_str rest, struct hq_err *err)
{
    struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t)head.ptr, .iov_len = head.len},
                           {.iov_base = (void *)(uintptr_t)rest.ptr, .iov_len = rest.len}};
    ssize_t n;
    while ((n = writev(fd, iov, 2)) < 0 && errno == EINTR) {
    }
    if (n < 0) {
        return hq_err_sys(err, -errno, "Journal cannot be written");
    }
    size_t done = (size_t)n;
    if (done < head.len) {
        int rc = journal_write_all_thr(fd, hq_str_sub(head, done, head.len), err);
        if (rc < 0) {
            return rc;
        }
        done = head.len;
    }
    return journal_write_all_thr(fd, hq_str_sub(rest, done - head.len, rest.len), err);
}

/* mu held: batches that a commit covers are not needed any more. */
static void
drop_committed(struct journal *j)
{
    struct journal_chunk *c;
    while ((c = TAILQ_FIRST(&j->chunks)) != NULL && c->last_seq <= j->committed_seq) {
        HQ_ASSERT(c->is_written);
        TAILQ_REMOVE(&j->chunks, c, link);
        j->pending_bytes -= c->bytes.len;
        if (j->spare == NULL && c->bytes.cap <= JOURNAL_POINT_BYTES * 16u) {
            hq_buf_clear(&c->bytes);
            j->spare = c;
        } else {
            hq_buf_fini(&c->bytes);
            free(c);
        }
    }
}

/* mu held. */
static void
set_failing(struct journal *j, const struct hq_err *why)
{
    if (!j->is_failing) {
        j->retry_ms = 0;
        j->retry_at_ms = 0; /* the first attempt at a new file comes at once */
    }
    j->is_failing = true;
    j->why = *why;
    journal_wake_worker(j);
    journal_post_progress_thr(j);
}

/* mu held: waits for something to do, at most `ms` (negative: no bound). */
static void
wait_work(struct journal *j, hq_ms ms)
{
    j->idle_workers++;
    if (ms < 0) {
        pthread_cond_wait(&j->wake_worker, &j->mu);
        j->idle_workers--;
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&j->wake_worker, &j->mu, &until);
    j->idle_workers--;
}

/* Everything behind the last commit, in a file that nobody has ever written to. mu not held; nobody else uses fd. */
static int
write_new_file(struct journal *j, const char *tmp, const struct hq_record_head *head, uint64_t *ret_bytes,
               uint64_t *ret_seq, struct hq_err *err)
{
    (void)unlink(tmp);
    int fd = journal_new_file_thr(tmp, head, err);
    if (fd < 0) {
        return fd;
    }
    uint64_t bytes = HQ_RECORD_HEAD_BYTES;
    uint64_t seq = head->first_seq - 1;
    pthread_mutex_lock(&j->mu);
    struct journal_chunk *c = TAILQ_FIRST(&j->chunks); /* nobody removes chunks while we write and nobody syncs */
    pthread_mutex_unlock(&j->mu);
    int rc = 0;
    while (c != NULL && rc == 0) {
        HQ_ASSERT(c->before_seq == seq);
        rc = journal_write_all_thr(fd, hq_buf_view(&c->bytes), err);
        bytes += c->bytes.len;
        seq = c->last_seq;
        pthread_mutex_lock(&j->mu);
        c = TAILQ_NEXT(c, link);
        pthread_mutex_unlock(&j->mu);
    }
    if (rc == 0 && fdatasync(fd) < 0) {
        rc = hq_err_sys(err, -errno, "Journal cannot be written");
    }
    if (rc < 0) {
        (void)close(fd);
        (void)unlink(tmp);
        return rc;
    }
    *ret_bytes = bytes;
    *ret_seq = seq;
    return fd;
}

/* The old file keeps its bytes as PATH.N, the new one takes the name PATH. Where the filesystem has hard links, there is
 * a PATH at every moment; else replay_open() finishes what a crash left between the two renames. */
static int
swap_names(struct journal *j, const char *tmp, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *old = hq_record_segment_path(j->path, j->head.segment_ix, UINT32_MAX);
    (void)unlink(old); /* of an attempt that ended behind the link */
    if (link(j->path, old) < 0 && (errno == ENOENT || rename(j->path, old) < 0)) {
        return hq_err_sys(err, -errno, "Journal cannot be written: link `%s`", old);
    }
    if (rename(tmp, j->path) < 0) {
        int rc = hq_err_sys(err, -errno, "Journal cannot be written: rename `%s`", tmp);
        (void)rename(old, j->path); /* of two names of one file this keeps both: the next attempt removes one */
        return rc;
    }
    return 0;
}

/* mu held. The new file is the live one from now on; its records count once its name is durable. */
static void
adopt_file(struct journal *j, int fd, const struct hq_record_head *head, uint64_t bytes)
{
    if (j->fd >= 0) {
        (void)close(j->fd);
    }
    j->fd = fd;
    j->head = *head;
    j->file_bytes = j->synced_bytes = j->marked_bytes = j->reserved_bytes = bytes;
    journal_index_add(&j->index, head->first_seq - 1, HQ_RECORD_HEAD_BYTES, head->segment_ix);
}

/* mu held on entry and exit. One attempt to get away from a file that failed. */
static void
recover(struct journal *j)
{
    while (j->is_syncing) {
        pthread_cond_wait(&j->progress, &j->mu);
    }
    struct hq_record_head head = j->head;
    head.segment_ix++;
    head.first_seq = j->committed_seq + 1;
    pthread_mutex_unlock(&j->mu);

    struct hq_err err = {0};
    struct hq_buf name = HQ_BUF_INIT;
    hq_buf_printf(&name, "%s.new", j->path);
    HQ_AUTO(hq_mem_freep) char *tmp = hq_buf_take(&name);
    uint64_t bytes = 0;
    uint64_t seq = 0;
    int fd = head.segment_ix > HQ_RECORD_SEGMENTS_MAX
                 ? hq_err_set(&err, -EMFILE, "Journal cannot be written: it consists of too many files; prune it")
                 : write_new_file(j, tmp, &head, &bytes, &seq, &err);
    int rc = fd < 0 ? fd : swap_names(j, tmp, &err);
    bool is_swapped = rc == 0;
    if (is_swapped) {
        rc = journal_sync_dir_thr(j->path, &err);
    } else if (fd >= 0) {
        (void)close(fd);
    }

    pthread_mutex_lock(&j->mu);
    if (is_swapped) {
        adopt_file(j, fd, &head, bytes);
    }
    struct journal_chunk *c;
    TAILQ_FOREACH (c, &j->chunks, link) {
        c->is_written = rc == 0 && c->last_seq <= seq;
    }
    if (rc < 0) {
        j->why = err;
        j->retry_ms = j->retry_ms == 0 ? RETRY_MS_MIN : HQ_MIN(j->retry_ms * 2, (hq_ms)RETRY_MS_MAX);
        j->retry_at_ms = hq_clock_ms() + j->retry_ms;
        return;
    }
    j->written_seq = j->committed_seq = seq;
    drop_committed(j);
    j->is_failing = false;
    journal_post_progress_thr(j);
}

/* mu held on entry and exit. false: another hqd owns the journal. */
static bool
still_ours(struct journal *j)
{
    hq_ms now_ms = hq_clock_ms();
    if (j->conf.check_owner_thr == NULL || now_ms - j->wrote_at_ms < JOURNAL_QUIET_MS) {
        return true;
    }
    pthread_mutex_unlock(&j->mu);
    struct hq_err err = {0};
    int rc = j->conf.check_owner_thr(j->conf.ctx, &err);
    pthread_mutex_lock(&j->mu);
    if (rc < 0) {
        j->is_lost = true;
        j->why = err;
        journal_post_progress_thr(j);
    }
    return rc == 0;
}

static struct journal_chunk *
first_unwritten(struct journal *j)
{
    struct journal_chunk *c;
    TAILQ_FOREACH (c, &j->chunks, link) {
        if (!c->is_written) {
            return c;
        }
    }
    return NULL;
}

/* mu held on entry and exit. Writes one batch, led by a mark when a commit came since the last one. */
static void
write_chunk(struct journal *j, struct journal_chunk *c)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf mark = HQ_BUF_INIT;
    if (j->synced_bytes > j->marked_bytes) {
        hq_record_add_mark(&mark, j->head.journal_id, j->synced_bytes);
        j->marked_bytes = j->synced_bytes;
    }
    int fd = j->fd;
    pthread_mutex_unlock(&j->mu);
    struct hq_err err = {0};
    int rc = write_both(fd, hq_buf_view(&mark), hq_buf_view(&c->bytes), &err);
    pthread_mutex_lock(&j->mu);
    j->wrote_at_ms = hq_clock_ms();
    if (rc < 0) {
        set_failing(j, &err);
        return;
    }
    if (j->is_failing) {
        return; /* a commit failed meanwhile: this batch goes to the new file as well */
    }
    journal_index_add(&j->index, c->before_seq, j->file_bytes + mark.len, j->head.segment_ix);
    j->file_bytes += mark.len + c->bytes.len;
    j->written_seq = c->last_seq;
    c->is_written = true;
    if (j->tell_written_seq != 0 && j->written_seq >= j->tell_written_seq) {
        j->tell_written_seq = 0;
        journal_post_progress_thr(j);
    }
}

/* Copies the records that came since the prune read the file, and puts the pruned file in its place. mu held. */
static void
switch_files(struct journal *j)
{
    struct journal_switch *s = j->pruned;
    while (j->is_syncing) {
        pthread_cond_wait(&j->progress, &j->mu);
    }
    uint64_t until_seq = j->written_seq;
    pthread_mutex_unlock(&j->mu);

    struct hq_err err = {0};
    struct hq_record_reader r = {.fd = -1};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    int rc = hq_record_reader_open(&r, j->path, &err);
    const struct journal_point *from = NULL;
    for (size_t i = 0; rc == 0 && i < j->index.count && j->index.v[i].last_seq <= s->copied_seq; i++) {
        from = &j->index.v[i]; /* only this thread changes the index */
    }
    if (rc == 0 && from != NULL) {
        rc = hq_record_reader_seek(&r, from->segment_ix, from->offset, from->last_seq, &err);
    }
    hq_record_reader_bound(&r, until_seq, UINT64_MAX);
    uint64_t in_file = s->copied_last_in_file;
    struct hq_record rec;
    while (rc == 0 && (rc = hq_record_next(&r, &rec, &err)) == 1) {
        rc = 0;
        if (rec.seq > s->copied_seq) {
            hq_record_add(&out, in_file, rec.seq, rec.body);
            in_file = rec.seq;
        }
    }
    hq_record_reader_close(&r);
    if (rc == 0 && in_file != until_seq) {
        rc = hq_err_set(&err, -EIO, "Journal ends at record %" PRIu64 " instead of %" PRIu64, in_file, until_seq);
    }
    if (rc == 0) {
        rc = journal_write_all_thr(s->fd, hq_buf_view(&out), &err);
    }
    if (rc == 0 && fdatasync(s->fd) < 0) {
        rc = hq_err_sys(&err, -errno, "Journal cannot be written");
    }
    if (rc == 0 && rename(s->tmp_path, j->path) < 0) {
        rc = hq_err_sys(&err, -errno, "Journal cannot be written: rename `%s`", s->tmp_path);
    }
    if (rc == 0) {
        rc = journal_sync_dir_thr(j->path, &err);
        for (uint32_t i = 0; rc == 0 && i < j->head.segment_ix; i++) {
            HQ_AUTO(hq_mem_freep) char *old = hq_record_segment_path(j->path, i, UINT32_MAX);
            (void)unlink(old); /* a file that stays is of another journal id: nobody reads it */
        }
    }

    pthread_mutex_lock(&j->mu);
    if (rc == 0) {
        int old_fd = j->fd;
        j->fd = s->fd;
        s->fd = old_fd;
        j->head = s->head;
        journal_index_add(&s->index, s->copied_last_in_file, s->bytes, 0);
        struct journal_index old_index = j->index;
        j->index = s->index;
        s->index = old_index;
        j->file_bytes = j->synced_bytes = j->marked_bytes = j->reserved_bytes = s->bytes + out.len;
        j->committed_seq = until_seq;
        drop_committed(j);
    }
    s->rc = rc;
    s->err = err;
    s->is_done = true;
    j->pruned = NULL;
    journal_post_progress_thr(j);
}

/* mu held. Are there fewer reserved bytes ahead than there should be? Then *ret_wait_ms says when to try again. */
static bool
reserve_is_due(const struct journal *j, hq_ms *ret_wait_ms)
{
    if (!j->can_reserve || j->reserved_bytes >= j->file_bytes + JOURNAL_RESERVE_BYTES / 2) {
        return false;
    }
    hq_ms now_ms = hq_clock_ms();
    if (j->is_tight && now_ms < j->reserve_at_ms) {
        *ret_wait_ms = *ret_wait_ms < 0 ? j->reserve_at_ms - now_ms : HQ_MIN(*ret_wait_ms, j->reserve_at_ms - now_ms);
        return false;
    }
    return true;
}

/* mu held on entry and exit. Comes last: nobody waits for it. */
static bool
reserve_work(struct journal *j, hq_ms *ret_wait_ms)
{
    if (j->is_writing || j->is_failing || j->is_lost || !reserve_is_due(j, ret_wait_ms)) {
        return false;
    }
    j->is_writing = true;
    uint64_t from = j->file_bytes;
    int fd = j->fd;
    pthread_mutex_unlock(&j->mu);
    int rc;
    while ((rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, JOURNAL_RESERVE_BYTES)) < 0 && errno == EINTR) {
    }
    rc = rc < 0 ? -errno : 0;
    pthread_mutex_lock(&j->mu);
    bool was_tight = j->is_tight;
    if (rc == 0) {
        j->reserved_bytes = from + JOURNAL_RESERVE_BYTES;
        j->is_tight = false;
        j->reserve_retry_ms = 0;
    } else if (rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG) {
        j->is_tight = true;
        (void)hq_err_sys(&j->reserve_why, rc, "Journal cannot be written");
        j->reserve_retry_ms =
            j->reserve_retry_ms == 0 ? RETRY_MS_MIN : HQ_MIN(j->reserve_retry_ms * 2, (hq_ms)RETRY_MS_MAX);
        j->reserve_at_ms = hq_clock_ms() + j->reserve_retry_ms;
    } else {
        j->can_reserve = false; /* not on this filesystem: a full disk is a failed write then */
        j->is_tight = false;
    }
    if (was_tight != j->is_tight) {
        journal_post_progress_thr(j);
    }
    j->is_writing = false;
    return true;
}

/* mu held. One piece of work that only one thread may do at a time; false: there is none, *ret_wait_ms = until when. */
static bool
write_work(struct journal *j, hq_ms *ret_wait_ms)
{
    struct journal_chunk *c = first_unwritten(j);
    bool is_retry_due = j->is_failing && hq_clock_ms() >= j->retry_at_ms;
    if (j->is_writing || j->is_lost) {
        return false;
    }
    if (j->is_failing && !is_retry_due) {
        *ret_wait_ms = HQ_MAX(j->retry_at_ms - hq_clock_ms(), (hq_ms)1);
        return false;
    }
    if (!j->is_failing && j->pruned == NULL && c == NULL) {
        return false;
    }
    j->is_writing = true;
    if (j->is_failing) {
        if (still_ours(j)) {
            recover(j);
        }
    } else if (j->pruned != NULL) {
        switch_files(j);
    } else if (still_ours(j)) {
        write_chunk(j, c);
    }
    j->is_writing = false;
    return true;
}

/* mu held. One fdatasync for all that was written by now. */
static bool
sync_work(struct journal *j)
{
    bool has_work = j->want_seq > j->committed_seq && j->written_seq > j->committed_seq && !j->is_failing &&
                    !j->is_lost && j->pruned == NULL && !j->is_syncing;
    if (!has_work) {
        return false;
    }
    uint64_t seq = j->written_seq;
    uint64_t bytes = j->file_bytes;
    int fd = j->fd;
    j->is_syncing = true;
    if (first_unwritten(j) != NULL) {
        journal_wake_worker(j); /* somebody else may write meanwhile */
    }
    pthread_mutex_unlock(&j->mu);
    int rc = fdatasync(fd) < 0 ? -errno : 0;
    pthread_mutex_lock(&j->mu);
    j->is_syncing = false;
    if (rc < 0) {
        struct hq_err err;
        (void)hq_err_sys(&err, rc, "Journal cannot be written");
        set_failing(j, &err);
    } else if (!j->is_failing) {
        j->committed_seq = seq;
        j->synced_bytes = bytes;
        drop_committed(j);
    }
    journal_post_progress_thr(j);
    return true;
}

void *
journal_worker_main(void *arg)
{
    struct journal *j = arg;
    pthread_mutex_lock(&j->mu);
    while (!j->is_stopping) {
        hq_ms until_ms = -1;
        if (!write_work(j, &until_ms) && !sync_work(j) && !reserve_work(j, &until_ms)) {
            wait_work(j, until_ms);
        }
    }
    pthread_mutex_unlock(&j->mu);
    return NULL;
}
