/* framed.c - whole frames in, a queue of bytes out. */
#include "hq-workerd/framed.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/fs.h"
#include "common/mem.h"

#define READ_BYTES ((size_t)65536)   /* at once */
#define READS_PER_WAKE 8             /* then others have their turn */
#define KEEP_BYTES ((size_t)65536)   /* of an empty buffer */

struct bytes {
    unsigned char *v;
    size_t at, len, cap; /* v[at..len) counts */
};

struct framed {
    struct ev_loop *loop;
    struct framed_calls calls;
    int fd;
    size_t frame_bytes_max;
    ev_io readable, writable;
    struct bytes in, out;
    int rc;          /* negative: broken, on_end is due */
    bool is_paused;
    bool is_at_end;  /* nothing more is read */
    bool is_deaf;    /* the other side takes nothing more */
    bool was_told;   /* on_end was called */
    bool is_inside;  /* a callback is running: destroy only marks */
    bool is_dead;
};

uint32_t
framed_get_le32(const void *p)
{
    const unsigned char *b = p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

void
framed_put_le32(void *p, uint32_t v)
{
    unsigned char *b = p;

    for (unsigned i = 0; i < 4; i++) {
        b[i] = (unsigned char)(v >> (8 * i));
    }
}

/* Room for `more` bytes behind len; what was taken goes first when that is enough. */
static int
bytes_reserve(struct bytes *b, size_t more)
{
    size_t need;

    if (b->at > 0 && b->at >= b->len - b->at) { /* moves at most as much as was taken */
        memmove(b->v, b->v + b->at, b->len - b->at);
        b->len -= b->at;
        b->at = 0;
    }
    return hq_add_size(b->len, more, &need) ? hq_try_grow(&b->v, &b->cap, need, 1) : -ENOMEM;
}

static void
bytes_settle(struct bytes *b)
{
    if (b->at < b->len) {
        return;
    }
    b->at = b->len = 0;
    if (b->cap > KEEP_BYTES) {
        free(b->v);
        *b = (struct bytes){0};
    }
}

static void
framed_free(struct framed *f)
{
    free(f->in.v);
    free(f->out.v);
    free(f);
}

/* Delivers what is whole. False: f is gone, or has to wait. */
static bool
framed_deliver(struct framed *f)
{
    while (!f->is_paused && !f->is_dead && f->in.len - f->in.at >= FRAMED_HEAD_BYTES) {
        uint32_t len = framed_get_le32(f->in.v + f->in.at);
        if (len > f->frame_bytes_max) {
            f->rc = -EMSGSIZE; /* on_end comes when this wake-up is over */
            f->is_at_end = true;
            ev_feed_event(f->loop, &f->readable, EV_READ);
            return false;
        }
        if (f->in.len - f->in.at - FRAMED_HEAD_BYTES < len) {
            return true;
        }
        unsigned char *body = f->in.v + f->in.at + FRAMED_HEAD_BYTES;
        f->in.at += FRAMED_HEAD_BYTES + len;
        f->is_inside = true;
        f->calls.on_frame(f->calls.ctx, body, len);
        f->is_inside = false;
        if (f->is_dead) {
            framed_free(f);
            return false;
        }
    }
    return !f->is_paused;
}

/* How much to ask the socket for: the rest of a frame whose length is known, or some. */
static size_t
framed_wanted(const struct framed *f)
{
    size_t have = f->in.len - f->in.at;

    if (have < FRAMED_HEAD_BYTES) {
        return READ_BYTES;
    }
    return HQ_MAX(READ_BYTES, framed_get_le32(f->in.v + f->in.at) + FRAMED_HEAD_BYTES - have);
}

/* 1: there may be more; 0: not now; negative: broken. */
static int
framed_read(struct framed *f)
{
    int rc = bytes_reserve(&f->in, framed_wanted(f));

    if (rc < 0) {
        return rc;
    }
    ssize_t got = recv(f->fd, f->in.v + f->in.len, f->in.cap - f->in.len, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    if (got == 0) {
        f->is_at_end = true;
        return f->in.at < f->in.len ? -EPROTO : 0;
    }
    bool was_full = (size_t)got == f->in.cap - f->in.len;
    f->in.len += (size_t)got;
    return was_full ? 1 : 0;
}

static void
framed_tell_end(struct framed *f)
{
    if (f->was_told) {
        return;
    }
    f->was_told = true;
    ev_io_stop(f->loop, &f->readable);
    ev_io_stop(f->loop, &f->writable);
    f->is_inside = true;
    f->calls.on_end(f->calls.ctx, f->rc);
    f->is_inside = false;
    if (f->is_dead) {
        framed_free(f);
    }
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct framed *f = w->data;
    int rc = 1;

    (void)loop;
    (void)revents;
    if (f->rc == 0 && !framed_deliver(f)) { /* what a pause has left */
        return;
    }
    for (int i = 0; i < READS_PER_WAKE && rc > 0 && !f->is_at_end; i++) {
        rc = framed_read(f);
        if (rc < 0) {
            f->rc = rc;
            f->is_at_end = true;
        } else if (!framed_deliver(f)) {
            return;
        }
    }
    if (f->is_at_end) {
        framed_tell_end(f);
    } else {
        bytes_settle(&f->in);
    }
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct framed *f = w->data;

    (void)revents;
    framed_flush(f);
    if (framed_queued(f) > 0) {
        return;
    }
    ev_io_stop(loop, w);
    if (f->calls.on_drained != NULL) {
        f->is_inside = true;
        f->calls.on_drained(f->calls.ctx);
        f->is_inside = false;
        if (f->is_dead) {
            framed_free(f);
        }
    }
}

int
framed_create(struct framed **ret, struct ev_loop *loop, int fd, size_t frame_bytes_max, const struct framed_calls *calls)
{
    struct framed *f = hq_try_alloc(sizeof(*f));

    if (f == NULL) {
        return -ENOMEM;
    }
    f->loop = loop;
    f->calls = *calls;
    f->fd = fd;
    f->frame_bytes_max = frame_bytes_max;
    ev_io_init(&f->readable, on_readable, fd, EV_READ);
    ev_io_init(&f->writable, on_writable, fd, EV_WRITE);
    f->readable.data = f->writable.data = f;
    ev_io_start(loop, &f->readable);
    *ret = f;
    return 0;
}

void
framed_destroy(struct framed *f)
{
    if (f == NULL || f->is_dead) {
        return;
    }
    ev_io_stop(f->loop, &f->readable); /* takes a fed event away, too */
    ev_io_stop(f->loop, &f->writable);
    ev_clear_pending(f->loop, &f->readable);
    ev_clear_pending(f->loop, &f->writable);
    hq_fs_closep(&f->fd);
    f->is_dead = true;
    if (!f->is_inside) {
        framed_free(f);
    }
}

int
framed_feed(struct framed *f, struct hq_str bytes)
{
    int rc = bytes_reserve(&f->in, bytes.len);

    if (rc < 0 || bytes.len == 0) {
        return rc;
    }
    memcpy(f->in.v + f->in.len, bytes.ptr, bytes.len);
    f->in.len += bytes.len;
    ev_feed_event(f->loop, &f->readable, EV_READ);
    return 0;
}

void *
framed_put(struct framed *f, size_t len)
{
    HQ_ASSERT(len <= UINT32_MAX);
    if (bytes_reserve(&f->out, len + FRAMED_HEAD_BYTES) < 0) {
        return NULL;
    }
    unsigned char *at = f->out.v + f->out.len;
    framed_put_le32(at, (uint32_t)len);
    f->out.len += len + FRAMED_HEAD_BYTES;
    return at + FRAMED_HEAD_BYTES;
}

void
framed_flush(struct framed *f)
{
    if (f->is_deaf) {
        f->out.at = f->out.len;
    }
    while (framed_queued(f) > 0) {
        ssize_t put = send(f->fd, f->out.v + f->out.at, framed_queued(f), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0 && errno == EAGAIN) {
            ev_io_start(f->loop, &f->writable);
            return;
        }
        if (put < 0) { /* what the other side has sent before it went is still to be read; then comes the end */
            f->is_deaf = true;
            f->out.at = f->out.len;
            break;
        }
        f->out.at += (size_t)put;
    }
    bytes_settle(&f->out);
}

int
framed_send(struct framed *f, struct hq_str body)
{
    void *at = framed_put(f, body.len);

    if (at == NULL) {
        return -ENOMEM;
    }
    if (body.len > 0) {
        memcpy(at, body.ptr, body.len);
    }
    framed_flush(f);
    return 0;
}

size_t
framed_queued(const struct framed *f)
{
    return f->out.len - f->out.at;
}

void
framed_set_max(struct framed *f, size_t frame_bytes_max)
{
    f->frame_bytes_max = frame_bytes_max;
}

void
framed_pause(struct framed *f, bool is_paused)
{
    if (f->is_paused == is_paused || f->is_dead) {
        return;
    }
    f->is_paused = is_paused;
    if (is_paused) {
        ev_io_stop(f->loop, &f->readable);
    } else if (!f->was_told) {
        ev_io_start(f->loop, &f->readable);
        ev_feed_event(f->loop, &f->readable, EV_READ); /* frames that have come already */
    }
}
