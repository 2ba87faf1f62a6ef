/* stream_file.c - files of streamed output: made, appended to, cut back after a failed write. */
#include "hq-workerd/stream_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "hq-workerd/output.h"

#define NAME_LETTERS 12
#define NAME_TRIES 8

struct stream_file {
    struct stream_files *set;
    struct stream_file *next;
    char *dir;
    char *path;
    uint32_t users;      /* under the set's lock, like the two below */
    bool is_given_up;    /* not found any more */
    hq_job_id job;       /* that asked last: it has seen the file in its place */
    pthread_mutex_t lock; /* guards all below */
    int fd;
    uint64_t end;        /* bytes of whole records */
    bool is_broken;      /* a torn record could not be cut off */
    char *buf;
};

struct stream_files {
    pthread_mutex_t lock;
    struct stream_file *head; /* most recently asked for first */
    _Atomic uint32_t worker;
};

static void
file_free(struct stream_file *f)
{
    hq_fs_closep(&f->fd);
    (void)pthread_mutex_destroy(&f->lock); /* nobody holds it */
    free(f->dir);
    free(f->path);
    free(f->buf);
    free(f);
}

int
stream_files_create(struct stream_files **ret, struct hq_err *err)
{
    struct stream_files *s = hq_xalloc(sizeof *s);
    int rc = pthread_mutex_init(&s->lock, NULL);

    if (rc != 0) {
        free(s);
        return hq_err_sys(err, -rc, "Cannot make a lock");
    }
    *ret = s;
    return 0;
}

void
stream_files_destroy(struct stream_files *s)
{
    if (s == NULL) {
        return;
    }
    while (s->head != NULL) {
        struct stream_file *f = s->head;
        s->head = f->next;
        file_free(f);
    }
    (void)pthread_mutex_destroy(&s->lock); /* nobody holds it */
    free(s);
}

void
stream_files_set_worker(struct stream_files *s, hq_worker_id worker)
{
    atomic_store(&s->worker, worker.v);
}

/* ---- making */
static void
random_name(char ret[NAME_LETTERS + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < NAME_LETTERS; i++) {
        ret[i] = letters[randombytes_uniform(sizeof letters - 1)];
    }
    ret[NAME_LETTERS] = '\0';
}

static int
write_head(struct stream_file *f, struct hq_str server_uid, uint32_t worker)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf head = HQ_BUF_INIT;

    hq_stream_head_pack(&(struct hq_stream_head){.server_uid = server_uid, .worker = {worker}}, &head);
    int rc = hq_fs_write_all(f->fd, head.ptr, head.len);
    f->end = head.len;
    return rc;
}

/* Names are drawn: two workers that share the directory never meet. */
static int
open_new(struct stream_file *f, struct hq_err *err)
{
    int rc = -EEXIST;

    for (int i = 0; rc == -EEXIST && i < NAME_TRIES; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        char name[NAME_LETTERS + 1];
        random_name(name);
        hq_buf_printf(&path, "%s/%s" HQ_STREAM_SUFFIX, f->dir, name);
        rc = hq_fs_open(path.ptr, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0666, NULL);
        if (rc >= 0) {
            f->path = hq_buf_take(&path);
        }
    }
    if (rc < 0) {
        return hq_err_set(err, rc, "Streaming: Cannot create a file in %s: %s", f->dir, hq_err_os(rc));
    }
    f->fd = rc;
    return 0;
}

static int
file_create(struct stream_files *s, const char *dir, struct hq_str server_uid, struct stream_file **ret,
            struct hq_err *err)
{
    struct stream_file *f = hq_try_alloc(sizeof *f);
    int rc = 0;

    if (f == NULL) {
        return -ENOMEM;
    }
    f->fd = -1;
    f->set = s;
    f->buf = hq_try_alloc(STREAM_READ_BYTES);
    f->dir = strdup(dir);
    if (f->buf == NULL || f->dir == NULL || pthread_mutex_init(&f->lock, NULL) != 0) {
        free(f->buf);
        free(f->dir);
        free(f);
        return -ENOMEM;
    }
    rc = output_mkdirs(dir);
    if (rc < 0) {
        HQ_AUTO(hq_buf_fini) struct hq_buf os = HQ_BUF_INIT;
        output_print_os(&os, rc);
        (void)hq_err_set(err, rc, "Error: Cannot create stream directory %s: %s", dir, os.ptr);
    } else {
        rc = open_new(f, err);
    }
    if (rc == 0) {
        rc = write_head(f, server_uid, atomic_load(&s->worker));
        if (rc < 0) {
            (void)hq_err_set(err, rc, "Streaming: Cannot write into %s: %s", dir, hq_err_os(rc));
        }
    }
    if (rc < 0) {
        file_free(f);
        return rc;
    }
    *ret = f;
    return 0;
}

/* ---- the set; its lock is held */
static void
drop_idle(struct stream_files *s)
{
    struct stream_file **at = &s->head;
    uint32_t idle = 0;

    while (*at != NULL) {
        struct stream_file *f = *at;
        if (f->users == 0 && (f->is_given_up || ++idle > STREAM_FILES_IDLE_MAX)) {
            *at = f->next;
            file_free(f);
        } else {
            at = &f->next;
        }
    }
}

static struct stream_file *
find(struct stream_files *s, const char *dir)
{
    for (struct stream_file **at = &s->head; *at != NULL; at = &(*at)->next) {
        struct stream_file *f = *at;
        if (!f->is_given_up && strcmp(f->dir, dir) == 0) {
            *at = f->next;
            f->next = s->head;
            s->head = f;
            return f;
        }
    }
    return NULL;
}

/* Users clear such directories, or move them away, and run a job again: its output belongs into a new file. */
static bool
is_in_place(const struct stream_file *f)
{
    struct stat named, ours;

    return stat(f->path, &named) == 0 && fstat(f->fd, &ours) == 0 && named.st_ino == ours.st_ino &&
           named.st_dev == ours.st_dev;
}

/* A file that is there already, or NULL. */
static struct stream_file *
get_known(struct stream_files *s, const char *dir, hq_job_id job)
{
    (void)pthread_mutex_lock(&s->lock); /* our own lock: cannot fail */
    struct stream_file *f = find(s, dir);
    bool is_seen = f != NULL && f->job.v == job.v;
    if (f != NULL) {
        f->users++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (f == NULL || is_seen) {
        return f;
    }
    bool is_good = is_in_place(f); /* without the lock, as it may hang: tasks that start meanwhile look as well */
    (void)pthread_mutex_lock(&s->lock);
    f->job = job;
    f->is_given_up = f->is_given_up || !is_good; /* who has it open goes on with it */
    (void)pthread_mutex_unlock(&s->lock);
    if (!is_good) {
        stream_file_put(f);
    }
    return is_good ? f : NULL;
}

int
stream_file_get(struct stream_files *s, const char *dir, struct hq_str server_uid, hq_job_id job,
                struct stream_file **ret, struct hq_err *err)
{
    struct stream_file *made = NULL;
    struct stream_file *f = get_known(s, dir, job);

    if (f != NULL) {
        *ret = f;
        return 0;
    }
    /* Made without the lock: a filesystem that hangs must not stop tasks of other directories. */
    int rc = file_create(s, dir, server_uid, &made, err);
    if (rc < 0) {
        return rc;
    }
    (void)pthread_mutex_lock(&s->lock);
    f = find(s, dir);
    if (f == NULL) {
        f = made;
        f->next = s->head;
        s->head = f;
        made = NULL;
    }
    f->users++;
    f->job = job;
    drop_idle(s);
    (void)pthread_mutex_unlock(&s->lock);
    if (made != NULL) { /* another thread was faster; nobody has seen this one */
        (void)unlink(made->path);
        file_free(made);
    }
    *ret = f;
    return 0;
}

void
stream_file_put(struct stream_file *f)
{
    if (f == NULL) {
        return;
    }
    struct stream_files *s = f->set;
    (void)pthread_mutex_lock(&s->lock);
    HQ_ASSERT(f->users > 0);
    f->users--;
    f->is_given_up = f->is_given_up || f->is_broken;
    drop_idle(s);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- appending; the file's lock is held */
static int
append(struct stream_file *f, const struct hq_stream_record *rec, char *data)
{
    unsigned char head[HQ_STREAM_RECORD_HEAD_BYTES];
    struct iovec iov[2] = {{head, sizeof head}, {data, rec->size}};
    size_t left = sizeof head + rec->size;
    int rc = 0;

    if (f->is_broken) {
        return -EIO;
    }
    hq_stream_record_pack(rec, data, head);
    while (left > 0) {
        ssize_t n = writev(f->fd, iov, 2);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = -errno;
            break;
        }
        left -= (size_t)n;
        for (size_t i = 0; i < 2 && n > 0; i++) {
            size_t k = HQ_MIN((size_t)n, iov[i].iov_len);
            iov[i].iov_base = (char *)iov[i].iov_base + k;
            iov[i].iov_len -= k;
            n -= (ssize_t)k;
        }
    }
    if (rc == 0) {
        f->end += sizeof head + rec->size;
    } else {
        f->is_broken = ftruncate(f->fd, (off_t)f->end) < 0;
    }
    return rc;
}

static ssize_t
fill(struct stream_file *f, int pipe_fd)
{
    ssize_t n;

    do {
        n = read(pipe_fd, f->buf, STREAM_READ_BYTES);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int
stream_file_move(struct stream_file *f, int pipe_fd, const struct hq_stream_record *rec)
{
    struct hq_stream_record r = *rec;

    (void)pthread_mutex_lock(&f->lock);
    int rc = (int)fill(f, pipe_fd);
    if (rc > 0) {
        r.size = (uint32_t)rc;
        int written = append(f, &r, f->buf);
        rc = written < 0 ? written : rc;
    }
    (void)pthread_mutex_unlock(&f->lock);
    return rc;
}

static uint32_t
get_le32(const unsigned char *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Takes what is there of a head; the frame begins when it is whole. */
static size_t
take_head(struct stream_frames *at, const char *data, size_t len)
{
    size_t n = HQ_MIN(len, (size_t)(STREAM_FRAME_HEAD_BYTES - at->head_len));

    memcpy(at->head + at->head_len, data, n);
    at->head_len += (uint32_t)n;
    if (at->head_len == STREAM_FRAME_HEAD_BYTES) {
        uint32_t rank = get_le32(at->head + 4);
        at->is_raw = memcmp(at->head, "HQrk", 4) != 0;
        at->left = get_le32(at->head + 8);
        at->rank1 = rank < UINT16_MAX ? (uint16_t)(rank + 1) : 0;
        at->head_len = 0;
    }
    return n;
}

static int
append_part(struct stream_file *f, const struct hq_stream_record *rec, uint16_t rank1, char *data, size_t len)
{
    struct hq_stream_record r = *rec;

    r.rank1 = rank1;
    r.size = (uint32_t)len;
    return append(f, &r, data);
}

int
stream_file_move_frames(struct stream_file *f, int pipe_fd, const struct hq_stream_record *rec, struct stream_frames *at)
{
    (void)pthread_mutex_lock(&f->lock);
    int rc = (int)fill(f, pipe_fd), written = 0;
    for (size_t k = 0, n, len = rc > 0 ? (size_t)rc : 0; k < len; k += n) {
        if (!at->is_raw && at->left == 0) {
            n = take_head(at, f->buf + k, len - k);
            if (at->is_raw) { /* what looked like a head is text */
                written = written < 0 ? written : append_part(f, rec, 0, (char *)at->head, STREAM_FRAME_HEAD_BYTES);
            }
            continue;
        }
        n = at->is_raw ? len - k : HQ_MIN(len - k, (size_t)at->left);
        at->left -= at->is_raw ? 0 : (uint32_t)n;
        written = written < 0 ? written : append_part(f, rec, at->is_raw ? 0 : at->rank1, f->buf + k, n);
    }
    (void)pthread_mutex_unlock(&f->lock);
    return written < 0 ? written : rc;
}

int
stream_file_flush_frames(struct stream_file *f, const struct hq_stream_record *rec, struct stream_frames *at)
{
    int rc = 0;

    if (at->head_len > 0) {
        (void)pthread_mutex_lock(&f->lock);
        rc = append_part(f, rec, 0, (char *)at->head, at->head_len);
        (void)pthread_mutex_unlock(&f->lock);
        at->head_len = 0;
    }
    return rc;
}

int
stream_file_end(struct stream_file *f, const struct hq_stream_record *rec)
{
    struct hq_stream_record r = *rec;

    r.kind = HQ_STREAM_END;
    r.size = 0;
    (void)pthread_mutex_lock(&f->lock);
    int rc = append(f, &r, f->buf);
    (void)pthread_mutex_unlock(&f->lock);
    return rc;
}
