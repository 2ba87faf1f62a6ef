#include "hqd/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/mem.h"
#include "hqd/journal_impl.h"

#define LOCK_ATTEMPTS 5

void
journal_index_add(struct journal_index *ix, uint64_t last_seq, uint64_t offset, uint32_t segment_ix)
{
    const struct journal_point *last = ix->count == 0 ? NULL : &ix->v[ix->count - 1];
    if (last != NULL && last->segment_ix == segment_ix && offset - last->offset < JOURNAL_POINT_BYTES) {
        return;
    }
    hq_xgrow(&ix->v, &ix->cap, ix->count + 1, sizeof ix->v[0]);
    ix->v[ix->count++] = (struct journal_point){.last_seq = last_seq, .offset = offset, .segment_ix = segment_ix};
}

void
journal_index_fini(struct journal_index *ix)
{
    free(ix->v);
    *ix = (struct journal_index){0};
}

/* A new journal: complete under another name first, so that no crash leaves one without a head. */
static int
make_file(struct journal *j, struct hq_err *err)
{
    j->head = (struct hq_record_head){.major = HQ_RECORD_MAJOR, .minor = HQ_RECORD_MINOR, .first_seq = 1};
    if (getrandom(&j->head.journal_id, sizeof j->head.journal_id, 0) != (ssize_t)sizeof j->head.journal_id) {
        return hq_err_sys(err, -errno, "Cannot draw a journal id");
    }
    struct hq_buf name = HQ_BUF_INIT;
    hq_buf_printf(&name, "%s.new", j->path);
    HQ_AUTO(hq_mem_freep) char *tmp = hq_buf_take(&name);
    (void)unlink(tmp); /* of an earlier crash */
    int fd = journal_new_file_thr(tmp, &j->head, NULL);
    int rc = fd;
    if (fd >= 0 && fdatasync(fd) < 0) {
        rc = -errno;
    }
    /* link, not rename: of two servers that make the same journal at once, one is told. */
    if (rc >= 0 && link(tmp, j->path) < 0 && (errno == EEXIST || rename(tmp, j->path) < 0)) {
        rc = -errno;
    }
    (void)unlink(tmp); /* its other name, or nothing */
    if (rc < 0) {
        (void)hq_err_sys(err, rc, "Cannot create event log file at `%s`", j->path);
    } else {
        rc = journal_sync_dir_thr(j->path, err);
    }
    if (rc < 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    j->fd = fd;
    j->file_bytes = j->synced_bytes = HQ_RECORD_HEAD_BYTES;
    return 0;
}

int
journal_lock(const char *path, struct hq_err *err)
{
    for (int i = 0; i < LOCK_ATTEMPTS; i++) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            return hq_err_sys(err, -errno, "Cannot create event log file at `%s`", path);
        }
        struct stat ours;
        struct stat named;
        int rc = journal_lock_fd_thr(fd, path, err);
        if (rc == 0 && fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino) {
            return fd;
        }
        (void)close(fd); /* replaced while we waited: the new one is locked by whoever did it */
        if (rc < 0) {
            return rc;
        }
    }
    return hq_err_set(err, -EBUSY, "Journal `%s` is in use by another server", path);
}

/* Goes on behind the last good record. */
static int
resume_file(struct journal *j, const struct journal_resume *from, struct hq_err *err)
{
    j->fd = from->fd;
    if (ftruncate(j->fd, (off_t)from->end_offset) < 0 || lseek(j->fd, (off_t)from->end_offset, SEEK_SET) < 0 ||
        fdatasync(j->fd) < 0) {
        return hq_err_sys(err, -errno, "Cannot go on writing journal file `%s`", j->path);
    }
    j->head = from->head;
    j->index = from->index;
    j->file_bytes = j->synced_bytes = from->end_offset;
    j->written_seq = j->committed_seq = j->appended_seq = j->want_seq = from->last_seq;
    return 0;
}

static int
start_threads(struct journal *j, struct hq_err *err)
{
    /* Signals are the loop's. */
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&j->workers[0], NULL, journal_worker_main, j);
    if (rc == 0) {
        rc = pthread_create(&j->workers[1], NULL, journal_worker_main, j);
        HQ_ASSERT(rc == 0); /* start-up only: with one thread there is memory for three */
        rc = pthread_create(&j->reader, NULL, journal_reader_main, j);
        HQ_ASSERT(rc == 0);
        j->has_threads = true;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 ? 0 : hq_err_sys(err, -rc, "Cannot start the journal's threads");
}

int
journal_create(struct journal **ret, const struct journal_conf *conf, struct hq_err *err)
{
    struct journal *j = hq_xalloc(sizeof *j);
    j->conf = *conf;
    j->conf.resume = NULL;
    j->path = hq_xstrdup(conf->path);
    j->conf.path = j->path;
    j->fd = -1;
    TAILQ_INIT(&j->chunks);
    j->reads_tail = &j->reads;
    pthread_mutex_init(&j->mu, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake_worker, &attr);
    pthread_cond_init(&j->wake_reader, &attr);
    pthread_cond_init(&j->progress, &attr);
    pthread_condattr_destroy(&attr);
    int rc = conf->resume == NULL ? make_file(j, err) : resume_file(j, conf->resume, err);
    if (rc == 0) {
        journal_index_add(&j->index, j->head.first_seq - 1, HQ_RECORD_HEAD_BYTES, j->head.segment_ix);
        j->marked_bytes = j->synced_bytes;
        j->reserved_bytes = j->file_bytes;
        j->can_reserve = true;
        j->open_before_seq = j->appended_seq;
        rc = start_threads(j, err);
    }
    if (rc < 0) {
        journal_destroy(j);
        return rc;
    }
    *ret = j;
    return 0;
}

void
journal_destroy(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    if (j->has_threads) {
        pthread_mutex_lock(&j->mu);
        j->is_stopping = true;
        pthread_cond_broadcast(&j->wake_worker);
        pthread_cond_broadcast(&j->wake_reader);
        pthread_cond_broadcast(&j->progress);
        pthread_mutex_unlock(&j->mu);
        pthread_join(j->reader, NULL);
        pthread_join(j->workers[0], NULL);
        pthread_join(j->workers[1], NULL);
        if (j->is_pruning) {
            pthread_join(j->pruner, NULL);
        }
        (void)hq_bridge_drain(j->conf.bridge); /* what the threads posted still names us */
    }
    struct journal_chunk *c;
    while ((c = TAILQ_FIRST(&j->chunks)) != NULL) {
        TAILQ_REMOVE(&j->chunks, c, link);
        hq_buf_fini(&c->bytes);
        free(c);
    }
    if (j->spare != NULL) {
        hq_buf_fini(&j->spare->bytes);
        free(j->spare);
    }
    if (j->fd >= 0) {
        (void)close(j->fd);
    }
    pthread_mutex_destroy(&j->mu);
    pthread_cond_destroy(&j->wake_worker);
    pthread_cond_destroy(&j->wake_reader);
    pthread_cond_destroy(&j->progress);
    journal_index_fini(&j->index);
    hq_buf_fini(&j->open);
    free(j->path);
    free(j);
}

void
journal_append(struct journal *j, uint64_t seq, struct hq_str body)
{
    hq_record_add(&j->open, j->appended_seq, seq, body);
    j->appended_seq = seq;
}

void
journal_submit(struct journal *j, bool with_commit, bool tell_written)
{
    if (j->open.len == 0 && !with_commit && !tell_written) {
        return;
    }
    pthread_mutex_lock(&j->mu);
    bool has_work = j->open.len > 0;
    if (j->open.len > 0) {
        struct journal_chunk *c = j->spare != NULL ? j->spare : hq_xalloc(sizeof *c);
        j->spare = NULL;
        struct hq_buf empty = c->bytes;
        c->bytes = j->open;
        c->before_seq = j->open_before_seq;
        c->last_seq = j->appended_seq;
        c->is_written = false;
        j->open = empty;
        hq_buf_clear(&j->open);
        j->open_before_seq = j->appended_seq;
        j->pending_bytes += c->bytes.len;
        TAILQ_INSERT_TAIL(&j->chunks, c, link);
    }
    if (with_commit && j->want_seq < j->appended_seq) {
        j->want_seq = j->appended_seq;
        has_work = true;
    }
    if (tell_written) {
        j->tell_written_seq = j->appended_seq;
        if (j->written_seq >= j->tell_written_seq) {
            journal_post_progress_thr(j); /* written between the loop's last look and now */
        }
    }
    if (has_work) {
        journal_wake_worker(j);
    }
    pthread_mutex_unlock(&j->mu);
}

uint64_t
journal_appended_seq(const struct journal *j)
{
    return j->appended_seq;
}

/* The small questions of the loop: one value each, read under the mutex. */
static uint64_t
peek(struct journal *j, const uint64_t *value)
{
    pthread_mutex_lock(&j->mu);
    uint64_t v = *value;
    pthread_mutex_unlock(&j->mu);
    return v;
}

uint64_t
journal_written_seq(struct journal *j)
{
    return peek(j, &j->written_seq);
}

uint64_t
journal_committed_seq(struct journal *j)
{
    return peek(j, &j->committed_seq);
}

uint64_t
journal_bytes(struct journal *j)
{
    return peek(j, &j->file_bytes);
}

static bool
peek_why(struct journal *j, const bool *flag, struct hq_err *ret_why)
{
    pthread_mutex_lock(&j->mu);
    bool is_set = *flag;
    if (is_set && ret_why != NULL) {
        *ret_why = j->why;
    }
    pthread_mutex_unlock(&j->mu);
    return is_set;
}

bool
journal_failing(struct journal *j, struct hq_err *ret_why)
{
    return peek_why(j, &j->is_failing, ret_why);
}

bool
journal_lost(struct journal *j, struct hq_err *ret_why)
{
    return peek_why(j, &j->is_lost, ret_why);
}

bool
journal_refuses(struct journal *j, size_t bytes, struct hq_err *ret_why)
{
    if (journal_failing(j, ret_why)) {
        return true;
    }
    pthread_mutex_lock(&j->mu);
    bool is_slow = j->pending_bytes > JOURNAL_PENDING_BYTES_MAX;
    uint64_t end = j->file_bytes + j->pending_bytes + j->open.len + bytes + JOURNAL_KEEP_BYTES;
    bool is_full = j->is_tight && end > j->reserved_bytes;
    if (is_full && ret_why != NULL) {
        *ret_why = j->reserve_why;
    }
    pthread_mutex_unlock(&j->mu);
    if (is_slow && !is_full) {
        (void)hq_err_set(ret_why, -EAGAIN, "The disk of the journal does not keep up");
    }
    return is_slow || is_full;
}

int
journal_finish(struct journal *j, hq_ms wait_ms, struct hq_err *err)
{
    journal_submit(j, true, false);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = 0;
    pthread_mutex_lock(&j->mu);
    while (j->committed_seq < j->appended_seq && rc == 0 && !j->is_lost) {
        rc = pthread_cond_timedwait(&j->progress, &j->mu, &until);
    }
    if (j->committed_seq >= j->appended_seq) {
        rc = 0;
        /* The last mark: damage to a closed journal is never taken for a torn tail. It only helps later readers, so
         * its failure is none of ours; nothing waits in the writer, so the file is ours for this moment. */
        HQ_AUTO(hq_buf_fini) struct hq_buf mark = HQ_BUF_INIT;
        hq_record_add_mark(&mark, j->head.journal_id, j->synced_bytes);
        if (j->marked_bytes < j->synced_bytes && !j->is_failing && j->pruned == NULL &&
            journal_write_all_thr(j->fd, hq_buf_view(&mark), NULL) == 0) {
            j->file_bytes += mark.len;
            j->marked_bytes = j->synced_bytes;
            if (ftruncate(j->fd, (off_t)j->file_bytes) == 0) { /* gives the reserve back */
                j->reserved_bytes = j->file_bytes;
                j->can_reserve = false;
            }
            (void)fdatasync(j->fd);
        }
    } else if (j->is_failing || j->is_lost) {
        rc = hq_err_set(err, j->why.code, "%s", j->why.text);
    } else {
        rc = hq_err_set(err, -ETIMEDOUT, "The journal was not written within %lld ms", (long long)wait_ms);
    }
    pthread_mutex_unlock(&j->mu);
    return rc;
}
