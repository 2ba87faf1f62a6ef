#include "hq-workerd/stepd/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static void
sink_drop(struct sink *s)
{
    s->is_failed = true;
    hq_buf_clear(&s->queue);
    s->at = 0;
}

static size_t
sink_left(const struct sink *s)
{
    return s->queue.len - s->at;
}

/* Writes until the kernel takes no more, or with `wait` until at most `keep` bytes are left. */
static void
sink_push(struct sink *s, bool wait, size_t keep)
{
    while (sink_left(s) > 0 && (!wait || sink_left(s) > keep)) {
        ssize_t n = write(s->fd, s->queue.ptr + s->at, sink_left(s));
        if (n >= 0) {
            s->at += (size_t)n;
        } else if (errno == EAGAIN && wait) {
            struct pollfd p = {.fd = s->fd, .events = POLLOUT};
            (void)poll(&p, 1, -1);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            sink_drop(s);
        }
    }
    if (sink_left(s) == 0) {
        hq_buf_clear(&s->queue);
        s->at = 0;
        ev_io_stop(s->loop, &s->writable);
    } else {
        ev_io_start(s->loop, &s->writable);
    }
}

static void
sink_on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct sink *s = w->data;

    (void)loop;
    (void)revents;
    sink_push(s, false, 0);
    if (sink_left(s) == 0) {
        s->on_drained(s->ctx);
    }
}

void
sink_init(struct sink *s, struct ev_loop *loop, int fd, void (*on_drained)(void *ctx), void *ctx)
{
    struct stat st;

    *s = (struct sink){.loop = loop, .fd = fd, .on_drained = on_drained, .ctx = ctx};
    ev_io_init(&s->writable, sink_on_writable, fd, EV_WRITE);
    s->writable.data = s;
    /* A pipe is ours alone; a terminal may be shared with others who would not expect it. */
    if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        int flags = fcntl(fd, F_GETFL);
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* else writes wait: slower for the others, not wrong */
    }
}

void
sink_fini(struct sink *s)
{
    if (s->loop != NULL) {
        sink_push(s, true, 0);
        ev_io_stop(s->loop, &s->writable);
    }
    hq_buf_fini(&s->queue);
}

static void
put_le32(struct hq_buf *b, uint32_t v)
{
    for (int shift = 0; shift < 32; shift += 8) {
        hq_buf_byte(b, (char)(v >> shift & 0xff));
    }
}

/* What lies between the writes of sources. */
static void
sink_separate(struct sink *s, uint32_t source, struct hq_str data)
{
    if (s->is_framed) {
        hq_buf_cstr(&s->queue, "HQrk");
        put_le32(&s->queue, source);
        put_le32(&s->queue, (uint32_t)data.len);
        return;
    }
    if (s->is_open_line && s->source != source) {
        hq_buf_byte(&s->queue, '\n');
    }
    s->is_open_line = data.ptr[data.len - 1] != '\n';
    s->source = source;
}

void
sink_write(struct sink *s, uint32_t source, struct hq_str data)
{
    if (s->is_failed || data.len == 0) {
        return;
    }
    if (s->at > s->queue.len / 2) {
        memmove(s->queue.ptr, s->queue.ptr + s->at, sink_left(s));
        s->queue.len -= s->at;
        s->at = 0;
    }
    sink_separate(s, source, data);
    hq_buf_str(&s->queue, data);
    sink_push(s, false, 0);
    if (sink_left(s) > SINK_BYTES_MAX) {
        sink_push(s, true, SINK_HIGH_BYTES);
    }
}

bool
sink_is_full(const struct sink *s)
{
    return sink_left(s) > SINK_HIGH_BYTES;
}
