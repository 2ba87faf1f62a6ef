/* net_local_conn.c - one connection of the local socket: greeting and frames in, frames out. */
#include "common/net_local_priv.h"

#include <string.h>
#include <unistd.h>

#include "common/mem.h"

#define READS_PER_TURN 16u /* then the loop sees to its other work */
#define READ_BYTES 4096u   /* room for a read, at least */

struct hq_local_conn *
hq_local_conn_find(struct hq_local *l, uint32_t id)
{
    struct hq_local_conn *c = NULL;
    HASH_FIND(hh, l->conns, &id, sizeof(id), c);
    return c;
}

static void
conn_leave_greeting(struct hq_local_conn *c)
{
    TAILQ_REMOVE(&c->local->greeting, c, greeting);
    c->local->greeting_count--;
}

void
hq_local_conn_end(struct hq_local_conn *c)
{
    struct hq_local *l = c->local;
    uint32_t id = c->id;
    bool is_told = c->is_greeted && !l->is_silent;
    ev_io_stop(l->conf.loop, &c->io);
    if (!c->is_greeted) {
        conn_leave_greeting(c);
    }
    HASH_DEL(l->conns, c);
    (void)close(c->fd); /* nothing is lost by a failure */
    free(c->in);
    hq_buf_fini(&c->out);
    free(c);
    if (is_told) {
        l->conf.on_gone(l->conf.ctx, id);
    }
}

void
hq_local_conn_watch(struct hq_local_conn *c)
{
    int events = c->out.len > 0 ? EV_WRITE : EV_READ; /* who does not read is not read */
    if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events) {
        return;
    }
    ev_io_stop(c->local->conf.loop, &c->io);
    ev_io_set(&c->io, c->fd, events);
    ev_io_start(c->local->conf.loop, &c->io);
}

int
hq_local_conn_flush(struct hq_local_conn *c)
{
    while (c->out_at < c->out.len) {
        ssize_t n = send(c->fd, c->out.ptr + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        c->out_at += n < 0 ? 0 : (size_t)n;
    }
    hq_buf_fini(&c->out);
    c->out = HQ_BUF_INIT;
    c->out_at = 0;
    return 0;
}

/* Bytes of the frame that begins at p; 0 = more is needed to know, negative: not a frame */
static int64_t
frame_bytes(const unsigned char *p, size_t len)
{
    uint64_t total = 0;
    if (len < HQ_SP_IPC_HEAD_BYTES) {
        return 0;
    }
    for (size_t ix = 1; ix < HQ_SP_IPC_HEAD_BYTES; ix++) {
        total = total << 8 | p[ix];
    }
    if (p[0] != 1) {
        return -EPROTO;
    }
    return total > HQ_FRAME_BYTES_MAX ? -EMSGSIZE : (int64_t)(total + HQ_SP_IPC_HEAD_BYTES);
}

static int
conn_greet(struct hq_local_conn *c)
{
    const unsigned char want[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, HQ_SP_REQ, 0, 0};
    if (memcmp(c->in, want, HQ_MIN(c->in_len, sizeof(want))) != 0) {
        return -EPROTO;
    }
    if (c->in_len >= sizeof(want)) {
        conn_leave_greeting(c);
        c->is_greeted = true;
        c->local->conf.on_open(c->local->conf.ctx, c->id, &c->remote);
    }
    return 0;
}

/* Hands out whole frames, as long as the peer takes the answers. Bytes used, or negative. */
static int64_t
conn_frames(struct hq_local_conn *c, size_t at)
{
    while (c->out.len == 0) {
        int64_t bytes = frame_bytes(c->in + at, c->in_len - at);
        if (bytes < 0) {
            return bytes;
        }
        if (bytes == 0 || (size_t)bytes > c->in_len - at) {
            break;
        }
        unsigned char *body = c->in + at + HQ_SP_IPC_HEAD_BYTES;
        size_t len = (size_t)bytes - HQ_SP_IPC_HEAD_BYTES;
        uint8_t route[8] = {(uint8_t)(c->id >> 24), (uint8_t)(c->id >> 16), (uint8_t)(c->id >> 8), (uint8_t)c->id};
        if (len < 4 || (body[0] & 0x80) == 0) { /* no request, or one that came by detours */
            return -EPROTO;
        }
        memcpy(route + 4, body, 4);
        c->local->conf.on_frame(c->local->conf.ctx, c->id, route, (char *)body + 4, len - 4);
        at += (size_t)bytes;
    }
    return (int64_t)at;
}

static int
conn_take(struct hq_local_conn *c)
{
    size_t at = 0;
    if (!c->is_greeted) {
        int rc = conn_greet(c);
        if (rc < 0 || !c->is_greeted) {
            return rc;
        }
        at = HQ_SP_GREETING_BYTES;
    }
    int64_t used = conn_frames(c, at);
    if (used < 0) {
        return (int)used;
    }
    c->in_len -= (size_t)used;
    if (c->in_len == 0) { /* who is silent costs no memory */
        free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    } else if (used > 0) {
        memmove(c->in, c->in + used, c->in_len);
    }
    return 0;
}

static int
conn_read(struct hq_local_conn *c)
{
    for (unsigned turn = 0; turn < READS_PER_TURN && c->out.len == 0; turn++) {
        int rc = hq_try_grow(&c->in, &c->in_cap, c->in_len + READ_BYTES, 1);
        if (rc < 0) {
            return rc;
        }
        size_t room = c->in_cap - c->in_len;
        ssize_t n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return conn_take(c); /* gives back what was meant for it */
        }
        if (n <= 0) {
            return n == 0 ? -ECONNRESET : -errno;
        }
        c->in_len += (size_t)n;
        rc = conn_take(c);
        if (rc < 0 || (size_t)n < room) { /* a short read: there is no more for now */
            return rc;
        }
    }
    return 0;
}

void
hq_local_conn_on_io(struct ev_loop *loop, ev_io *w, int revents)
{
    struct hq_local_conn *c = w->data;
    (void)loop;
    int rc = 0;
    if ((revents & EV_WRITE) != 0) {
        rc = hq_local_conn_flush(c);
        if (rc == 0 && c->out.len == 0) {
            rc = c->in_len > 0 ? conn_take(c) : 0; /* what it had asked before it stopped reading */
        }
    } else {
        rc = conn_read(c);
    }
    if (rc < 0) {
        hq_local_conn_end(c);
    } else {
        hq_local_conn_watch(c);
    }
}

void
hq_local_send(struct hq_local *l, const uint8_t route[8], struct hq_str body)
{
    uint32_t id = (uint32_t)route[0] << 24 | (uint32_t)route[1] << 16 | (uint32_t)route[2] << 8 | route[3];
    struct hq_local_conn *c = hq_local_conn_find(l, id);
    if (c == NULL) {
        return;
    }
    unsigned char head[HQ_SP_HEAD_BYTES_MAX] = {1};
    uint64_t total = (uint64_t)body.len + 4;
    for (size_t ix = 1; ix < HQ_SP_IPC_HEAD_BYTES; ix++) {
        head[ix] = (unsigned char)(total >> (8 * (HQ_SP_IPC_HEAD_BYTES - 1 - ix)));
    }
    memcpy(head + HQ_SP_IPC_HEAD_BYTES, route + 4, 4);
    struct iovec parts[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)body.ptr, body.len}}; /* sending does not write */
    size_t sent = 0;
    if (c->out.len == 0) {
        const struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return; /* it ends where its socket is read next: nobody is called from inside */
        }
        sent = n < 0 ? 0 : (size_t)n;
    }
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(parts); ix++) { /* what the socket has not taken */
        size_t skip = HQ_MIN(sent, parts[ix].iov_len);
        if (skip < parts[ix].iov_len) {
            hq_buf_add(&c->out, (const char *)parts[ix].iov_base + skip, parts[ix].iov_len - skip);
        }
        sent -= skip;
    }
    hq_local_conn_watch(c);
}
