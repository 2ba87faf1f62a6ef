#include "hq-workerd/stepd/uplink.h"

#include <ev.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/wire.h"

#define READ_BYTES 65536u
#define ARENA_BYTES_MAX ((size_t)8 << 20) /* a frame decoded: views and pointers beside its bytes */

struct uplink {
    struct ev_loop *loop;
    const struct uplink_ops *ops;
    void *ctx;
    int fd;
    ev_io readable, writable;
    struct hq_buf in, out;
    size_t in_at, out_at; /* what lies before has been used */
    struct hq_arena arena;
    bool is_gone;
};

static void
uplink_lost(struct uplink *u, const char *why)
{
    if (u->is_gone) {
        return;
    }
    u->is_gone = true;
    ev_io_stop(u->loop, &u->readable);
    ev_io_stop(u->loop, &u->writable);
    u->ops->on_gone(u->ctx, why);
}

static uint32_t
frame_length(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void
uplink_handle(struct uplink *u, struct hq_str body)
{
    ProtobufCMessage *msg = NULL;
    struct hq_err err = {0};

    hq_arena_reset(&u->arena);
    if (hq_wire_unpack(body, &hq__step_msg__descriptor, &u->arena, &msg, &err) < 0) {
        uplink_lost(u, err.text);
        return;
    }
    const void *typed = msg;
    u->ops->on_message(u->ctx, typed);
}

/* All whole frames that have arrived. */
static void
uplink_take_frames(struct uplink *u)
{
    while (!u->is_gone && u->in.len - u->in_at >= 4) {
        uint32_t len = frame_length(u->in.ptr + u->in_at);
        if (len > HQ_STEP_MSG_BYTES_MAX) {
            uplink_lost(u, "a frame is too long");
            return;
        }
        if (u->in.len - u->in_at - 4 < len) {
            break;
        }
        struct hq_str body = hq_str_make(u->in.ptr + u->in_at + 4, len);
        u->in_at += 4 + (size_t)len;
        uplink_handle(u, body);
    }
    if (u->in_at == u->in.len) {
        hq_buf_clear(&u->in);
        u->in_at = 0;
    } else if (u->in_at > READ_BYTES) {
        memmove(u->in.ptr, u->in.ptr + u->in_at, u->in.len - u->in_at);
        u->in.len -= u->in_at;
        u->in_at = 0;
    }
}

static void
uplink_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct uplink *u = w->data;

    (void)loop;
    (void)revents;
    hq_buf_reserve(&u->in, READ_BYTES);
    ssize_t got = recv(u->fd, u->in.ptr + u->in.len, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        uplink_lost(u, got == 0 ? "hq-workerd closed the connection" : hq_err_os(errno));
        return;
    }
    u->in.len += (size_t)got;
    uplink_take_frames(u);
}

/* Hands over what the kernel takes; the rest waits for the socket. */
static void
uplink_push(struct uplink *u)
{
    while (!u->is_gone && u->out_at < u->out.len) {
        ssize_t n = send(u->fd, u->out.ptr + u->out_at, u->out.len - u->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            ev_io_start(u->loop, &u->writable);
            return;
        }
        if (n < 0) {
            /* What the worker said before it left is read first: the reader finds the end. */
            ev_io_stop(u->loop, &u->writable);
            hq_buf_clear(&u->out);
            u->out_at = 0;
            return;
        }
        u->out_at += (size_t)n;
    }
    hq_buf_clear(&u->out);
    u->out_at = 0;
    ev_io_stop(u->loop, &u->writable);
}

static void
uplink_on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct uplink *u = w->data;

    (void)loop;
    (void)revents;
    uplink_push(u);
    if (u->out.len == 0 && !u->is_gone && u->ops->on_drained != NULL) {
        u->ops->on_drained(u->ctx);
    }
}

int
uplink_send(struct uplink *u, const Hq__StepMsg *msg)
{
    size_t len = protobuf_c_message_get_packed_size(&msg->base);

    if (len > HQ_STEP_MSG_BYTES_MAX) {
        return -EMSGSIZE;
    }
    if (u->is_gone) {
        return -EPIPE;
    }
    if (u->out_at > u->out.len / 2) {
        memmove(u->out.ptr, u->out.ptr + u->out_at, u->out.len - u->out_at);
        u->out.len -= u->out_at;
        u->out_at = 0;
    }
    unsigned char head[4] = {(unsigned char)len, (unsigned char)(len >> 8), (unsigned char)(len >> 16),
                             (unsigned char)(len >> 24)};
    hq_buf_add(&u->out, head, sizeof head);
    hq_buf_reserve(&u->out, len);
    u->out.len += protobuf_c_message_pack(&msg->base, (uint8_t *)u->out.ptr + u->out.len);
    uplink_push(u);
    return 0;
}

size_t
uplink_queued_bytes(const struct uplink *u)
{
    return u->out.len - u->out_at;
}

void
uplink_flush(struct uplink *u, hq_ms timeout_ms)
{
    hq_ms end_ms = hq_clock_ms() + timeout_ms;

    while (!u->is_gone && uplink_queued_bytes(u) > 0) {
        hq_ms left = end_ms - hq_clock_ms();
        struct pollfd p = {.fd = u->fd, .events = POLLOUT};
        if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR)) {
            return;
        }
        uplink_push(u);
    }
}

static int
uplink_connect(struct uplink *u, struct hq_str path, struct hq_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (path.len == 0 || path.len >= sizeof sa.sun_path) {
        return hq_err_set(err, -EINVAL, "HQ_ACCESS_KEY names no socket of a worker");
    }
    memcpy(sa.sun_path, path.ptr, path.len);
    u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* connect waits for room in the backlog */
    if (u->fd < 0 || connect(u->fd, (const struct sockaddr *)&sa, sizeof sa) < 0) {
        return hq_err_sys(err, -errno, "Cannot connect to the worker at %s", sa.sun_path);
    }
    return 0;
}

static int
uplink_hello(struct uplink *u, struct hq_str token, Hq__StepKind kind)
{
    Hq__StepHello hello = HQ__STEP_HELLO__INIT;
    Hq__StepMsg msg = HQ__STEP_MSG__INIT;
    HQ_AUTO(hq_mem_freep) char *copy = hq_xmemdup(token.ptr, token.len);

    hello.token.data = (uint8_t *)copy;
    hello.token.len = token.len;
    hello.kind = kind;
    hello.pid = (uint32_t)getpid();
    msg.what_case = HQ__STEP_MSG__WHAT_HELLO;
    msg.hello = &hello;
    return uplink_send(u, &msg);
}

int
uplink_create(struct uplink **ret, struct ev_loop *loop, const char *access_key, Hq__StepKind kind,
              const struct uplink_ops *ops, void *ctx, struct hq_err *err)
{
    struct uplink *u = hq_xalloc(sizeof(*u));
    struct hq_str token = hq_str_from(access_key), path;

    u->loop = loop;
    u->ops = ops;
    u->ctx = ctx;
    u->fd = -1;
    hq_arena_init(&u->arena, ARENA_BYTES_MAX);
    int rc = hq_str_split(&token, ':', &path) ? uplink_connect(u, path, err)
                                              : hq_err_set(err, -EINVAL, "HQ_ACCESS_KEY is not from a worker");
    ev_io_init(&u->readable, uplink_on_readable, u->fd, EV_READ);
    ev_io_init(&u->writable, uplink_on_writable, u->fd, EV_WRITE);
    u->readable.data = u->writable.data = u;
    if (rc == 0) {
        rc = uplink_hello(u, token, kind);
    }
    if (rc < 0) {
        uplink_destroy(u);
        return rc;
    }
    ev_io_start(loop, &u->readable);
    *ret = u;
    return 0;
}

void
uplink_destroy(struct uplink *u)
{
    if (u == NULL) {
        return;
    }
    ev_io_stop(u->loop, &u->readable);
    ev_io_stop(u->loop, &u->writable);
    hq_fs_closep(&u->fd);
    hq_buf_fini(&u->in);
    hq_buf_fini(&u->out);
    hq_arena_fini(&u->arena);
    free(u);
}
