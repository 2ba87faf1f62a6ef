/* stream.c - pipes of streamed tasks and the thread that empties them while they run. */
#include "hq-workerd/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/map.h"
#include "common/mem.h"
#include "hq-workerd/stream_file.h"

#define EVENTS_MAX 64
#define PIPE_BYTES_LARGE (1 << 20)    /* of a pipe that was found full: fewer, larger moves */
#define MOVE_BYTES_FULL (64 * 1024)   /* what a pipe holds at first */

struct stream {
    struct streams *all;
    uint64_t serial;       /* key in the map; the reader knows streams by it alone */
    struct stream_file *file;
    struct hq_stream_record rec; /* job, task, instance */
    pthread_mutex_t lock;  /* held while a pipe is moved */
    int fds[2];            /* our ends; -1 = none, or at its end */
    bool is_large[2];
    int rc;                /* first failed write */
};

struct streams {
    struct stream_files *files;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    pthread_mutex_t lock;  /* guards the map and the counter */
    struct hq_map open;    /* serial -> stream */
    uint64_t last_serial;
};

/* ---- moving; the stream's lock is held */

/* One move. Keeps reading after a failed write: the task must not hang on a full pipe. */
static int
move(struct stream *st, int channel)
{
    struct hq_stream_record r = st->rec;

    r.channel = (uint8_t)channel;
    r.at_ms = hq_clock_wall_ms();
    int n = stream_file_move(st->file, st->fds[channel], &r);
    if (n >= MOVE_BYTES_FULL && !st->is_large[channel]) {
        /* refused beyond the user's limit: then it stays as it is */
        (void)fcntl(st->fds[channel], F_SETPIPE_SZ, PIPE_BYTES_LARGE);
        st->is_large[channel] = true;
    }
    if (n < 0 && n != -EAGAIN) {
        st->rc = st->rc == 0 ? n : st->rc;
        return 1;
    }
    return n;
}

static void
drain(struct stream *st, int channel)
{
    while (st->fds[channel] >= 0) {
        int n = move(st, channel);
        if (n == 0 || n == -EAGAIN) {
            hq_fs_closep(&st->fds[channel]);
        }
    }
}

/* ---- the reader thread */
static struct stream *
lock_open(struct streams *s, uint64_t serial)
{
    (void)pthread_mutex_lock(&s->lock); /* our own locks: cannot fail */
    struct stream *st = hq_map_get_ptr(&s->open, serial);
    if (st != NULL) {
        (void)pthread_mutex_lock(&st->lock); /* before it can be closed */
    }
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

static void *
reader_thr(void *arg)
{
    struct streams *s = arg;
    struct epoll_event ev[EVENTS_MAX];

    for (;;) {
        int n = epoll_wait(s->epoll_fd, ev, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u64 == 0) {
                return NULL; /* woken: the end */
            }
            int channel = (int)(ev[i].data.u64 & 1);
            struct stream *st = lock_open(s, ev[i].data.u64 >> 1);
            if (st == NULL) {
                continue; /* closed meanwhile */
            }
            if (st->fds[channel] >= 0 && move(st, channel) == 0) {
                hq_fs_closep(&st->fds[channel]); /* takes it out of the epoll set too */
            }
            (void)pthread_mutex_unlock(&st->lock);
        }
    }
}

static int
start_reader(struct streams *s)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0};
    sigset_t all, old;

    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll_fd < 0 || s->wake_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &ev) < 0) {
        return -errno;
    }
    (void)sigfillset(&all); /* signals belong to the loop's thread */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = -pthread_create(&s->thread, NULL, reader_thr, s);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int
streams_create(struct streams **ret, struct hq_err *err)
{
    struct streams *s = hq_xalloc(sizeof *s);

    s->epoll_fd = -1;
    s->wake_fd = -1;
    hq_map_init(&s->open, 0);
    int rc = -pthread_mutex_init(&s->lock, NULL);
    rc = rc < 0 ? rc : stream_files_create(&s->files, err);
    rc = rc < 0 ? rc : start_reader(s);
    if (rc < 0) {
        hq_fs_closep(&s->epoll_fd);
        hq_fs_closep(&s->wake_fd);
        stream_files_destroy(s->files);
        free(s);
        return hq_err_sys(err, rc, "Cannot start the reader of streamed output");
    }
    *ret = s;
    return 0;
}

static void
stream_free(struct stream *st)
{
    hq_fs_closep(&st->fds[0]);
    hq_fs_closep(&st->fds[1]);
    stream_file_put(st->file);
    (void)pthread_mutex_destroy(&st->lock);
    free(st);
}

void
streams_destroy(struct streams *s)
{
    if (s == NULL) {
        return;
    }
    (void)eventfd_write(s->wake_fd, 1); /* the counter is zero: cannot fail */
    (void)pthread_join(s->thread, NULL);
    uint64_t serial, st;
    for (size_t it = 0; hq_map_next(&s->open, &it, &serial, &st);) {
        stream_free((struct stream *)(uintptr_t)st); /* its task outlives the worker */
    }
    hq_map_fini(&s->open);
    stream_files_destroy(s->files);
    hq_fs_closep(&s->epoll_fd);
    hq_fs_closep(&s->wake_fd);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void
streams_set_worker(struct streams *s, hq_worker_id worker)
{
    stream_files_set_worker(s->files, worker);
}

/* ---- streams */
static int
open_pipe(struct stream *st, int channel, int *ret_fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = st->serial << 1 | (unsigned)channel};
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    st->fds[channel] = fds[0];
    *ret_fd = fds[1];
    /* Ours alone: the child's end blocks as programs expect. */
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(st->all->epoll_fd, EPOLL_CTL_ADD, fds[0], &ev) < 0) {
        return -errno;
    }
    return 0;
}

/* From here on nobody else looks at it. */
static void
leave_map(struct stream *st)
{
    (void)pthread_mutex_lock(&st->all->lock);
    (void)hq_map_del(&st->all->open, st->serial);
    (void)pthread_mutex_unlock(&st->all->lock);
    (void)pthread_mutex_lock(&st->lock); /* waits for the reader */
    (void)pthread_mutex_unlock(&st->lock);
}

int
stream_open(struct streams *s, const struct stream_open *what, struct stream **ret, int ret_fds[2],
            struct hq_err *err)
{
    int child[2] = {-1, -1};
    struct stream *st = hq_try_alloc(sizeof *st);

    if (st == NULL) {
        return -ENOMEM;
    }
    st->all = s;
    st->fds[0] = st->fds[1] = -1;
    st->rec = (struct hq_stream_record){.job = what->job, .task = what->task, .instance = what->instance};
    int rc = -pthread_mutex_init(&st->lock, NULL);
    if (rc < 0) {
        free(st);
        return rc;
    }
    rc = stream_file_get(s->files, what->dir, what->server_uid, &st->file, err);
    if (rc == 0) {
        (void)pthread_mutex_lock(&s->lock);
        st->serial = ++s->last_serial;
        rc = hq_map_try_set(&s->open, st->serial, (uint64_t)(uintptr_t)st);
        (void)pthread_mutex_unlock(&s->lock);
        for (int c = 0; rc == 0 && c < 2; c++) {
            rc = what->with_channel[c] ? open_pipe(st, c, &child[c]) : 0;
        }
        if (rc < 0) {
            (void)hq_err_set(err, rc, "Streaming: Cannot make a pipe: %s", hq_err_os(rc));
        }
    }
    if (rc < 0) {
        hq_fs_closep(&child[0]);
        hq_fs_closep(&child[1]);
        stream_abandon(st);
        return rc;
    }
    ret_fds[0] = child[0];
    ret_fds[1] = child[1];
    *ret = st;
    return 0;
}

int
stream_close(struct stream *st)
{
    leave_map(st);
    drain(st, 0);
    drain(st, 1);
    st->rec.at_ms = hq_clock_wall_ms();
    int rc = stream_file_end(st->file, &st->rec);
    rc = st->rc < 0 ? st->rc : rc;
    stream_free(st);
    return rc;
}

void
stream_abandon(struct stream *st)
{
    if (st != NULL) {
        leave_map(st);
        stream_free(st);
    }
}
