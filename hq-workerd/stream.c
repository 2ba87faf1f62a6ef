/* stream.c - pipes of streamed tasks and the thread that empties them while they run.
 *
 * A wake-up of the reader costs as much as the rest of a short task. So a new stream is fresh at first: nobody watches its
 * pipes, and the launcher that ends the task empties them. The reader wakes up by itself every FRESH_MS as long as there
 * are fresh ones, and watches those that are older. */
#include "hq-workerd/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/map.h"
#include "common/mem.h"
#include "hq-workerd/stream_file.h"

#define EVENTS_MAX 64
#define FRESH_MS 10                 /* a reader sees output at most twice that later */
#define PIPE_BYTES_LARGE (1 << 20)  /* of a pipe that was found full: fewer, larger moves */
#define MOVE_BYTES_FULL (64 * 1024) /* what a pipe holds at first */

struct stream {
    struct streams *all;
    TAILQ_ENTRY(stream) fresh;
    hq_ms opened_ms;
    uint64_t serial; /* 0 = fresh, in the list; else watched: key in the map, the reader knows streams by it alone */
    struct stream_file *file;
    struct hq_stream_record rec; /* job, task, instance */
    pthread_mutex_t lock;        /* held while a pipe is moved */
    int fds[2];                  /* our ends; -1 = none, or at its end */
    bool is_large[2];
    bool is_ranked;
    struct stream_frames frames[2];
    int rc; /* first failed write */
};

struct streams {
    struct stream_files *files;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    _Atomic bool is_busy; /* the last task that ended had filled a pipe: others like it may follow */
    pthread_mutex_t lock; /* guards all below */
    TAILQ_HEAD(, stream) fresh;
    struct hq_map watched; /* serial -> stream */
    uint64_t last_serial;
    bool is_resting; /* the reader sleeps until somebody wakes it */
    bool is_ending;
};

/* ---- moving; the stream's lock is held */

/* One move. Keeps reading after a failed write: the task must not hang on a full pipe. */
static int
move(struct stream *st, int channel)
{
    struct hq_stream_record r = st->rec;

    r.channel = (uint8_t)channel;
    r.at_ms = hq_clock_wall_ms();
    int n = st->is_ranked ? stream_file_move_frames(st->file, st->fds[channel], &r, &st->frames[channel])
                          : stream_file_move(st->file, st->fds[channel], &r);
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

/* Of a task that has ended: until a read comes back short. What a process that it left behind writes later is nobody's. */
static void
drain(struct stream *st, int channel)
{
    while (st->fds[channel] >= 0) {
        int n = move(st, channel);
        if (n < (int)STREAM_READ_BYTES) {
            hq_fs_closep(&st->fds[channel]);
        }
    }
    struct hq_stream_record r = st->rec;
    r.channel = (uint8_t)channel;
    r.at_ms = hq_clock_wall_ms();
    int rc = stream_file_flush_frames(st->file, &r, &st->frames[channel]);
    st->rc = st->rc == 0 ? rc : st->rc;
}

/* ---- fresh and watched; the lock of all is held */

/* Taking a pipe out of the epoll set cannot fail; a closed one has left by itself. */
static void
drop_events(struct stream *st)
{
    for (int c = 0; c < 2; c++) {
        if (st->fds[c] >= 0) {
            (void)epoll_ctl(st->all->epoll_fd, EPOLL_CTL_DEL, st->fds[c], NULL);
        }
    }
}

/* From fresh to watched. The reader cannot move it before the lock is free. */
static int
watch(struct stream *st)
{
    struct streams *s = st->all;
    st->serial = ++s->last_serial;
    int rc = hq_map_try_set(&s->watched, st->serial, (uint64_t)(uintptr_t)st);
    for (int c = 0; rc == 0 && c < 2; c++) {
        struct epoll_event ev = {.events = EPOLLIN, .data.u64 = st->serial << 1 | (unsigned)c};
        if (st->fds[c] >= 0 && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, st->fds[c], &ev) < 0) {
            rc = -errno;
        }
    }
    if (rc < 0) {
        drop_events(st);
        (void)hq_map_del(&s->watched, st->serial);
        st->serial = 0;
        return rc;
    }
    TAILQ_REMOVE(&s->fresh, st, fresh);
    return 0;
}

static void
add_fresh(struct streams *s, struct stream *st)
{
    st->opened_ms = hq_clock_ms();
    TAILQ_INSERT_TAIL(&s->fresh, st, fresh);
    if (atomic_load(&s->is_busy) && watch(st) == 0) {
        return;
    }
    if (s->is_resting) {
        s->is_resting = false;
        (void)eventfd_write(s->wake_fd, 1); /* the counter is small: cannot fail */
    }
}

/* ---- the reader thread */

/* How long to sleep, -1 = until woken; -ECANCELED at the end. */
static int
look_at_fresh(struct streams *s)
{
    (void)pthread_mutex_lock(&s->lock); /* our own locks: cannot fail */
    hq_ms due_ms = hq_clock_ms() - FRESH_MS;
    struct stream *st;
    while ((st = TAILQ_FIRST(&s->fresh)) != NULL && st->opened_ms <= due_ms && watch(st) == 0) {
        /* who cannot be watched, out of memory, is tried again the next time */
    }
    s->is_resting = TAILQ_EMPTY(&s->fresh);
    int wait_ms = s->is_ending ? -ECANCELED : s->is_resting ? -1 : FRESH_MS;
    (void)pthread_mutex_unlock(&s->lock);
    return wait_ms;
}

static struct stream *
lock_watched(struct streams *s, uint64_t serial)
{
    (void)pthread_mutex_lock(&s->lock);
    struct stream *st = hq_map_get_ptr(&s->watched, serial);
    if (st != NULL) {
        (void)pthread_mutex_lock(&st->lock); /* before it can be closed */
    }
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

static void
on_event(struct streams *s, uint64_t data)
{
    int channel = (int)(data & 1);
    struct stream *st = lock_watched(s, data >> 1);
    if (st == NULL) {
        return; /* closed meanwhile */
    }
    if (st->fds[channel] >= 0 && move(st, channel) == 0) {
        hq_fs_closep(&st->fds[channel]); /* takes it out of the epoll set too */
    }
    (void)pthread_mutex_unlock(&st->lock);
}

static void *
reader_thr(void *arg)
{
    struct streams *s = arg;
    struct epoll_event ev[EVENTS_MAX];

    for (int wait_ms; (wait_ms = look_at_fresh(s)) != -ECANCELED;) {
        int n = epoll_wait(s->epoll_fd, ev, EVENTS_MAX, wait_ms);
        for (int i = 0; i < n; i++) {
            eventfd_t woken;
            if (ev[i].data.u64 == 0) {
                (void)eventfd_read(s->wake_fd, &woken);
            } else {
                on_event(s, ev[i].data.u64);
            }
        }
    }
    return NULL;
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
    TAILQ_INIT(&s->fresh);
    hq_map_init(&s->watched, 0);
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
    (void)pthread_mutex_lock(&s->lock);
    s->is_ending = true;
    (void)pthread_mutex_unlock(&s->lock);
    (void)eventfd_write(s->wake_fd, 1); /* the counter is small: cannot fail */
    (void)pthread_join(s->thread, NULL);
    uint64_t serial, watched;
    for (size_t it = 0; hq_map_next(&s->watched, &it, &serial, &watched);) {
        stream_free((struct stream *)(uintptr_t)watched); /* its task outlives the worker */
    }
    for (struct stream *st; (st = TAILQ_FIRST(&s->fresh)) != NULL;) {
        TAILQ_REMOVE(&s->fresh, st, fresh);
        stream_free(st);
    }
    hq_map_fini(&s->watched);
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
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    st->fds[channel] = fds[0];
    *ret_fd = fds[1];
    /* Ours alone: the child's end blocks as programs expect. */
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* From here on nobody else looks at it. The lock of all is not held while the reader moves: its file may hang. */
static void
leave(struct stream *st)
{
    struct streams *s = st->all;
    (void)pthread_mutex_lock(&s->lock);
    bool is_watched = st->serial != 0;
    if (is_watched) {
        (void)hq_map_del(&s->watched, st->serial);
    } else {
        TAILQ_REMOVE(&s->fresh, st, fresh);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (is_watched) {
        (void)pthread_mutex_lock(&st->lock); /* waits for the reader */
        drop_events(st);
        (void)pthread_mutex_unlock(&st->lock);
    }
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
    st->is_ranked = what->is_ranked;
    st->fds[0] = st->fds[1] = -1;
    st->rec = (struct hq_stream_record){.job = what->job, .task = what->task, .instance = what->instance};
    int rc = -pthread_mutex_init(&st->lock, NULL);
    if (rc < 0) {
        free(st);
        return rc;
    }
    rc = stream_file_get(s->files, what->dir, what->server_uid, what->job, &st->file, err);
    if (rc == 0) {
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
        stream_free(st);
        return rc;
    }
    (void)pthread_mutex_lock(&s->lock);
    add_fresh(s, st);
    (void)pthread_mutex_unlock(&s->lock);
    ret_fds[0] = child[0];
    ret_fds[1] = child[1];
    *ret = st;
    return 0;
}

int
stream_close(struct stream *st)
{
    leave(st);
    drain(st, 0);
    drain(st, 1);
    atomic_store(&st->all->is_busy, st->is_large[0] || st->is_large[1]);
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
        leave(st);
        stream_free(st);
    }
}
