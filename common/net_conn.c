#include "common/net_conn.h"

#include <ev.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/mem.h"

#define READ_BYTES 65536u     /* asked of the kernel at once; also what is kept between large frames */
#define READS_PER_TURN 64u    /* then the loop sees to its other work */
#define BACKLOG_TRIES_MAX 64u /* about a second of a full queue on the local socket; then TCP */

enum conn_state {
    CONN_PAUSED,     /* timer: the next attempt */
    CONN_RESOLVING,  /* the thread asks for the name; timer: gives up */
    CONN_CONNECTING, /* writable: connected or not; timer: gives up */
    CONN_GREETING,   /* our greeting is out; timer: gives up */
    CONN_UP,
};

struct hq_conn {
    struct hq_conn_conf conf;
    char *ipc_path;
    char *host;
    enum conn_state state;
    bool is_local;
    int error;
    int fd; /* -1 = none */
    ev_io io;
    ev_timer timer;
    hq_ms pause_ms;
    uint32_t backlog_tries;
    struct hq_resolve *resolve;
    struct hq_addrs addrs;
    size_t addr_ix; /* the next to try */
    unsigned char *in;
    size_t in_len;
    size_t in_cap;
    struct hq_buf out;
    size_t out_at;  /* sent of it */
    uint32_t depth; /* callbacks that are running */
    bool is_dead;   /* destroyed by one of them: freed behind it */
};

static void conn_fail(struct hq_conn *c, int rc);
static void conn_attempt(struct hq_conn *c);
static void conn_next_addr(struct hq_conn *c);

/* ---- helpers */

static void
conn_free(struct hq_conn *c)
{
    free(c->ipc_path);
    free(c->host);
    free(c->in);
    hq_buf_fini(&c->out);
    free(c);
}

/* Callbacks run between these two; false: c is gone. */
static void
conn_enter(struct hq_conn *c)
{
    c->depth++;
}

static bool
conn_leave(struct hq_conn *c)
{
    c->depth--;
    if (c->is_dead && c->depth == 0) {
        conn_free(c);
        return false;
    }
    return !c->is_dead;
}

static void
conn_timer(struct hq_conn *c, hq_ms wait_ms)
{
    ev_timer_stop(c->conf.loop, &c->timer);
    ev_now_update(c->conf.loop);
    ev_timer_set(&c->timer, (double)wait_ms / 1e3, 0.);
    ev_timer_start(c->conf.loop, &c->timer);
}

static void
conn_watch(struct hq_conn *c, int events)
{
    if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events) {
        return;
    }
    ev_io_stop(c->conf.loop, &c->io);
    ev_io_set(&c->io, c->fd, events);
    ev_io_start(c->conf.loop, &c->io);
}

static void
conn_close(struct hq_conn *c)
{
    hq_resolve_drop(c->resolve);
    c->resolve = NULL;
    ev_io_stop(c->conf.loop, &c->io);
    ev_timer_stop(c->conf.loop, &c->timer);
    if (c->fd >= 0) {
        (void)close(c->fd); /* nothing is lost by a failure */
    }
    c->fd = -1;
    c->in_len = 0;
    hq_buf_clear(&c->out);
    c->out_at = 0;
}

static void
conn_pause(struct hq_conn *c, hq_ms wait_ms)
{
    c->state = CONN_PAUSED;
    conn_timer(c, wait_ms);
}

/* This address or connection is done with; says so if it was up. */
static void
conn_fail(struct hq_conn *c, int rc)
{
    bool was_up = c->state == CONN_UP;
    bool is_dialing = c->state == CONN_CONNECTING || c->state == CONN_GREETING;
    bool has_more = is_dialing && (c->is_local ? c->host != NULL : c->addr_ix < c->addrs.count);
    bool was_local = c->is_local;
    conn_close(c);
    c->error = rc;
    if (has_more) {
        if (was_local) {
            c->is_local = false;
            c->backlog_tries = BACKLOG_TRIES_MAX; /* TCP now, in this attempt */
            conn_attempt(c);
        } else {
            conn_next_addr(c);
        }
        return;
    }
    c->backlog_tries = 0;
    conn_pause(c, c->pause_ms / 2 + (hq_ms)randombytes_uniform((uint32_t)c->pause_ms));
    c->pause_ms = HQ_MIN(c->pause_ms * 2, (hq_ms)HQ_CONN_PAUSE_MS_MAX);
    if (was_up) {
        conn_enter(c);
        c->conf.on_down(c->conf.ctx, rc);
        (void)conn_leave(c); /* nothing is touched behind it */
    }
}

/* ---- writing */

/* 0 all is out, 1 something is left, or negative */
static int
conn_flush(struct hq_conn *c)
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
        (void)conn_flush(c);
    }
    conn_watch(c, c->out.len > 0 ? EV_READ | EV_WRITE : EV_READ);
}

/* ---- reading */

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
            conn_fail(c, rc);
            return false;
        }
        at = HQ_SP_GREETING_BYTES;
        conn_enter(c);
        c->conf.on_up(c->conf.ctx, c->is_local);
        if (!conn_leave(c)) {
            return false;
        }
    }
    while (c->state == CONN_UP) {
        int64_t bytes = frame_bytes(c, c->in + at, c->in_len - at);
        if (bytes < 0) {
            conn_fail(c, (int)bytes);
            return false;
        }
        if (bytes == 0 || (size_t)bytes > c->in_len - at) {
            break;
        }
        size_t head = c->is_local ? 9 : 8;
        c->pause_ms = HQ_CONN_PAUSE_MS_MIN; /* it talks: the next loss is news again */
        conn_enter(c);
        c->conf.on_frame(c->conf.ctx, (char *)c->in + at + head, (size_t)bytes - head);
        if (!conn_leave(c)) {
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

static void
conn_read(struct hq_conn *c)
{
    for (unsigned turn = 0; turn < READS_PER_TURN; turn++) {
        if (!conn_grow(c)) {
            conn_fail(c, -ENOMEM);
            return;
        }
        size_t room = c->in_cap - c->in_len;
        ssize_t n = recv(c->fd, c->in + c->in_len, room, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            conn_fail(c, n == 0 ? -ECONNRESET : -errno);
            return;
        }
        c->in_len += (size_t)n;
        if (!conn_take(c) || (size_t)n < room) { /* a short read: there is no more for now */
            return;
        }
    }
}

/* ---- dialing */

static void
conn_opened(struct hq_conn *c)
{
    const unsigned char greeting[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, (unsigned char)c->conf.own, 0, 0};
    c->state = CONN_GREETING;
    hq_buf_add(&c->out, greeting, sizeof(greeting));
    int rc = conn_flush(c);
    if (rc < 0) {
        conn_fail(c, rc);
        return;
    }
    conn_watch(c, EV_READ);
}

static void
conn_next_addr(struct hq_conn *c)
{
    int rc = -EHOSTUNREACH;
    while (c->addr_ix < c->addrs.count) {
        int fd = hq_net_tcp_start(&c->addrs.at[c->addr_ix++]);
        if (fd >= 0) {
            c->fd = fd;
            c->state = CONN_CONNECTING;
            conn_timer(c, HQ_CONN_ATTEMPT_MS);
            conn_watch(c, EV_WRITE);
            return;
        }
        rc = fd;
    }
    conn_fail(c, rc);
}

static void
conn_on_resolved(void *ctx, int rc, const struct hq_addrs *addrs)
{
    struct hq_conn *c = ctx;
    if (rc == 0) {
        c->addrs = *addrs;
        c->addr_ix = 0;
    }
    hq_resolve_drop(c->resolve);
    c->resolve = NULL;
    if (rc < 0) {
        conn_fail(c, rc);
    } else {
        conn_next_addr(c);
    }
}

static void
conn_tcp(struct hq_conn *c)
{
    c->is_local = false;
    c->addr_ix = 0;
    if (hq_resolve_number(c->host, c->conf.port, &c->addrs) == 0) {
        conn_next_addr(c);
        return;
    }
    c->state = CONN_RESOLVING;
    int rc = hq_resolve_start(&c->resolve, c->conf.loop, c->host, c->conf.port, conn_on_resolved, c);
    if (rc < 0) {
        c->resolve = NULL;
        conn_fail(c, rc);
        return;
    }
    conn_timer(c, 2 * HQ_CONN_ATTEMPT_MS);
}

static void
conn_attempt(struct hq_conn *c)
{
    int rc = c->backlog_tries > 0 ? -ETIMEDOUT : -ECONNREFUSED;
    if (c->ipc_path != NULL && c->backlog_tries < BACKLOG_TRIES_MAX) {
        rc = hq_net_ipc_try(c->ipc_path, NULL);
        if (rc == -EAGAIN) {
            c->backlog_tries++;
            c->error = -ETIMEDOUT;
            conn_pause(c, hq_net_backlog_ms());
            return;
        }
    }
    if (rc >= 0) {
        c->fd = rc;
        c->is_local = true;
        conn_timer(c, HQ_CONN_ATTEMPT_MS);
        conn_opened(c);
    } else if (c->host != NULL) {
        conn_tcp(c);
    } else {
        conn_fail(c, rc);
    }
}

static void
conn_on_io(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    struct hq_conn *c = w->data;
    int rc = 0;
    if (c->state == CONN_CONNECTING) {
        rc = hq_net_tcp_result(c->fd);
        if (rc == 0) {
            conn_opened(c);
        } else {
            conn_fail(c, rc);
        }
        return;
    }
    if ((revents & EV_WRITE) != 0 && c->out.len > 0) {
        rc = conn_flush(c);
        if (rc < 0) {
            conn_fail(c, rc);
            return;
        }
        conn_watch(c, rc > 0 ? EV_READ | EV_WRITE : EV_READ);
    }
    if ((revents & EV_READ) != 0) {
        conn_read(c);
    }
}

static void
conn_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct hq_conn *c = w->data;
    if (c->state == CONN_PAUSED) {
        conn_attempt(c);
    } else {
        conn_fail(c, -ETIMEDOUT);
    }
}

/* ---- life */

struct hq_conn *
hq_conn_create(const struct hq_conn_conf *conf)
{
    HQ_ASSERT(conf->ipc_path != NULL || conf->host != NULL);
    struct hq_conn *c = hq_xalloc(sizeof(*c));
    c->conf = *conf;
    c->ipc_path = conf->ipc_path == NULL ? NULL : hq_xstrdup(conf->ipc_path);
    c->host = conf->host == NULL ? NULL : hq_xstrdup(conf->host);
    c->fd = -1;
    c->error = -ETIMEDOUT;
    c->pause_ms = HQ_CONN_PAUSE_MS_MIN;
    ev_init(&c->io, conn_on_io);
    c->io.data = c;
    ev_timer_init(&c->timer, conn_on_timer, 0., 0.);
    c->timer.data = c;
    conn_pause(c, 0); /* dials with the loop's next turn, so that no callback comes from inside */
    return c;
}

void
hq_conn_destroy(struct hq_conn *c)
{
    if (c == NULL) {
        return;
    }
    conn_close(c);
    if (c->depth > 0) {
        c->is_dead = true;
    } else {
        conn_free(c);
    }
}

bool
hq_conn_is_up(const struct hq_conn *c)
{
    return c->state == CONN_UP;
}

int
hq_conn_error(const struct hq_conn *c)
{
    return c->error;
}
