/* net_conn_io.c - bytes of a connection: frames out, greeting and frames in. */
#include "common/net_conn_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/mem.h"

#define READ_BYTES 65536u  /* asked of the kernel at once; also what is kept between large frames */
#define READS_PER_TURN 64u /* then the loop sees to its other work */

int
hq_conn_flush(struct hq_conn *c)
{
    while (c->out_at < c->out.len) {
        ssize_t n = send(c->fd, c->out.ptr + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            return 1;
        }
        if (n < 0 && errno != EINTR) {
            return errno == EPIPE ? -ECONNRESET : -errno;
        }
        c->out_at += n < 0 ? 0 : (size_t)n;
    }
    hq_buf_clear(&c->out);
    c->out_at = 0;
    if (c->out.cap > READ_BYTES) {
        hq_buf_fini(&c->out);
        c->out = HQ_BUF_INIT;
    }
    return 0;
}

void
hq_conn_send(struct hq_conn *c, struct hq_str head, struct hq_str body)
{
    HQ_ASSERT(c->state == CONN_UP);
    unsigned char sp[9];
    size_t at = 0;
    if (c->is_local) {
        sp[at++] = 1;
    }
    uint64_t total = (uint64_t)head.len + body.len;
    for (size_t ix = 0; ix < 8; ix++) {
        sp[at++] = (unsigned char)(total >> (56 - 8 * ix));
    }
    bool was_empty = c->out.len == 0;
    hq_buf_add(&c->out, sp, at);
    hq_buf_str(&c->out, head);
    hq_buf_str(&c->out, body);
    if (was_empty) { /* a failure shows when the socket is read: no callback comes from inside */
        (void)hq_conn_flush(c);
    }
    hq_conn_watch(c, c->out.len > 0 ? EV_READ | EV_WRITE : EV_READ);
}

/* Bytes of the frame that begins at p, head included; 0 = more is needed to know, negative: not a frame */
static int64_t
frame_bytes(const struct hq_conn *c, const unsigned char *p, size_t len)
{
    size_t lead = c->is_local ? 1 : 0;
    if (len < lead + 8) {
        return 0;
    }
    uint64_t total = 0;
    for (size_t ix = 0; ix < 8; ix++) {
        total = total << 8 | p[lead + ix];
    }
    if (c->is_local && p[0] != 1) {
        return -EPROTO;
    }
    if (total > HQ_FRAME_BYTES_MAX) {
        return -EMSGSIZE;
    }
    return (int64_t)(total + lead + 8);
}

static int
conn_greeted(struct hq_conn *c)
{
    const unsigned char want[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, (unsigned char)c->conf.peer, 0, 0};
    if (memcmp(c->in, want, sizeof(want)) != 0) {
        return -EPROTO;
    }
    c->state = CONN_UP;
    c->error = 0;
    c->backlog_tries = 0;
    ev_timer_stop(c->conf.loop, &c->timer);
    return 0;
}

/* Hands out whole frames; false: c is gone or its connection has ended. */
static bool
conn_take(struct hq_conn *c)
{
    size_t at = 0;
    if (c->state == CONN_GREETING && c->in_len >= HQ_SP_GREETING_BYTES) {
        int rc = conn_greeted(c);
        if (rc < 0) {
            hq_conn_fail(c, rc);
            return false;
        }
        at = HQ_SP_GREETING_BYTES;
        hq_conn_enter(c);
        c->conf.on_up(c->conf.ctx, c->is_local);
        if (!hq_conn_leave(c)) {
            return false;
        }
    }
    while (c->state == CONN_UP) {
        int64_t bytes = frame_bytes(c, c->in + at, c->in_len - at);
        if (bytes < 0) {
            hq_conn_fail(c, (int)bytes);
            return false;
        }
        if (bytes == 0 || (size_t)bytes > c->in_len - at) {
            break;
        }
        size_t head = c->is_local ? 9 : 8;
        c->pause_ms = HQ_CONN_PAUSE_MS_MIN; /* it talks: the next loss is news again */
        hq_conn_enter(c);
        c->conf.on_frame(c->conf.ctx, (char *)c->in + at + head, (size_t)bytes - head);
        if (!hq_conn_leave(c)) {
            return false;
        }
        at += (size_t)bytes;
    }
    if (at > 0) {
        memmove(c->in, c->in + at, c->in_len - at);
        c->in_len -= at;
    }
    return true;
}

static bool
conn_grow(struct hq_conn *c)
{
    if (c->in_len == 0 && c->in_cap > 2 * READ_BYTES) { /* a large frame has passed */
        free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    }
    return hq_try_grow(&c->in, &c->in_cap, c->in_len + READ_BYTES, 1) == 0;
}

void
hq_conn_read(struct hq_conn *c)
{
    for (unsigned turn = 0; turn < READS_PER_TURN; turn++) {
        if (!conn_grow(c)) {
            hq_conn_fail(c, -ENOMEM);
            return;
        }
        size_t room = c->in_cap - c->in_len;
        ssize_t n = recv(c->fd, c->in + c->in_len, room, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            hq_conn_fail(c, n == 0 ? -ECONNRESET : -errno);
            return;
        }
        c->in_len += (size_t)n;
        if (!conn_take(c) || (size_t)n < room) { /* a short read: there is no more for now */
            return;
        }
    }
}
