#include "common/net_local.h"

#include <ev.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/net_dial.h"

#define BACKLOG 128
#define ACCEPTS_PER_TURN 64u /* then the loop sees to its other work */
#define READS_PER_TURN 16u
#define READ_BYTES 4096u /* room for a read, at least */
#define PAUSE_S 0.1      /* without descriptors: until the next accept */

struct local_conn {
    struct hq_local *local;
    uint32_t id;
    int fd;
    ev_io io;
    struct hq_remote remote;
    hq_ms since_ms;
    bool is_greeted; /* else in the list of those who have not */
    unsigned char *in;
    size_t in_len;
    size_t in_cap;
    struct hq_buf out;
    size_t out_at; /* sent of it */
    TAILQ_ENTRY(local_conn) greeting;
    UT_hash_handle hh;
};

struct hq_local {
    struct hq_local_conf conf;
    char *path; /* NULL = abstract, or not bound */
    int fd;
    ev_io accept;
    ev_timer pause;  /* of accepting */
    ev_timer expire; /* of those who have not greeted */
    struct local_conn *conns; /* uthash by id */
    TAILQ_HEAD(, local_conn) greeting; /* oldest first */
    uint32_t greeting_count;
    uint32_t last_id;
    bool is_silent; /* lingering or ending: no callbacks */
};

/* ---- one connection */

static struct local_conn *
conn_find(struct hq_local *l, uint32_t id)
{
    struct local_conn *c = NULL;
    HASH_FIND(hh, l->conns, &id, sizeof(id), c);
    return c;
}

static void
conn_leave_greeting(struct local_conn *c)
{
    TAILQ_REMOVE(&c->local->greeting, c, greeting);
    c->local->greeting_count--;
}

static void
conn_end(struct local_conn *c)
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

static void
conn_watch(struct local_conn *c)
{
    int events = c->out.len > 0 ? EV_WRITE : EV_READ; /* who does not read is not read */
    if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events) {
        return;
    }
    ev_io_stop(c->local->conf.loop, &c->io);
    ev_io_set(&c->io, c->fd, events);
    ev_io_start(c->local->conf.loop, &c->io);
}

/* 0 all is out or waits, negative: the connection is done with. */
static int
conn_flush(struct local_conn *c)
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
conn_greet(struct local_conn *c)
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
conn_frames(struct local_conn *c, size_t at)
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
conn_take(struct local_conn *c)
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
conn_read(struct local_conn *c)
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

static void
conn_on_io(struct ev_loop *loop, ev_io *w, int revents)
{
    struct local_conn *c = w->data;
    (void)loop;
    int rc = 0;
    if ((revents & EV_WRITE) != 0) {
        rc = conn_flush(c);
        if (rc == 0 && c->out.len == 0) {
            rc = c->in_len > 0 ? conn_take(c) : 0; /* what it had asked before it stopped reading */
        }
    } else {
        rc = conn_read(c);
    }
    if (rc < 0) {
        conn_end(c);
    } else {
        conn_watch(c);
    }
}

/* ---- accepting */

static void
expire_arm(struct hq_local *l)
{
    const struct local_conn *c = TAILQ_FIRST(&l->greeting);
    if (c != NULL && !ev_is_active(&l->expire)) {
        hq_ms left_ms = c->since_ms + HQ_HANDSHAKE_MS_MAX - hq_clock_ms();
        ev_timer_set(&l->expire, (double)HQ_MAX(left_ms, (hq_ms)0) / 1e3 + 0.01, 0.);
        ev_timer_start(l->conf.loop, &l->expire);
    }
}

static void
on_expire(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct hq_local *l = w->data;
    struct local_conn *c;
    (void)loop;
    (void)revents;
    while ((c = TAILQ_FIRST(&l->greeting)) != NULL && hq_clock_ms() - c->since_ms >= HQ_HANDSHAKE_MS_MAX) {
        conn_end(c);
    }
    expire_arm(l);
}

static bool
is_welcome(const struct hq_local *l, int fd, struct hq_remote *ret)
{
    struct ucred cred = {.uid = UINT32_MAX};
    socklen_t len = sizeof(cred);
    *ret = (struct hq_remote){.is_local = true, .family = AF_UNIX, .addr = "local"};
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0;
    ret->uid = cred.uid;
    ret->pid = cred.pid;
    return is_known && (l->conf.uid == UINT32_MAX || cred.uid == l->conf.uid);
}

static void
conn_add(struct hq_local *l, int fd)
{
    const unsigned char greeting[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, HQ_SP_REP, 0, 0};
    struct hq_remote remote;
    if (!is_welcome(l, fd, &remote)) {
        l->conf.on_foreign(l->conf.ctx, &remote);
        (void)close(fd);
        return;
    }
    struct local_conn *c = hq_try_alloc(sizeof(*c));
    if (c == NULL || send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL) != (ssize_t)sizeof(greeting)) {
        free(c); /* gone again: the buffer of a new socket has room for eight bytes */
        (void)close(fd);
        return;
    }
    *c = (struct local_conn){.local = l, .fd = fd, .remote = remote, .since_ms = hq_clock_ms(), .out = HQ_BUF_INIT};
    do {
        c->id = HQ_LOCAL_ID | ++l->last_id;
    } while (conn_find(l, c->id) != NULL);
    HASH_ADD(hh, l->conns, id, sizeof(c->id), c);
    TAILQ_INSERT_TAIL(&l->greeting, c, greeting);
    ev_init(&c->io, conn_on_io);
    c->io.data = c;
    conn_watch(c);
    if (++l->greeting_count > HQ_NET_GREETING_MAX) {
        conn_end(TAILQ_FIRST(&l->greeting));
    }
    expire_arm(l);
}

static void
on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
    struct hq_local *l = w->data;
    (void)revents;
    for (unsigned k = 0; k < ACCEPTS_PER_TURN; k++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            ev_io_stop(loop, w);
            ev_timer_set(&l->pause, PAUSE_S, 0.);
            ev_timer_start(loop, &l->pause);
        }
        if (fd < 0) {
            return; /* nobody is there; what ended in the queue is nobody either */
        }
        if (hq_net_fd_is_spare(fd)) {
            (void)close(fd);
        } else {
            conn_add(l, fd);
        }
    }
}

static void
on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct hq_local *l = w->data;
    (void)revents;
    ev_io_start(loop, &l->accept);
}

/* ---- life */

/* Nobody listens behind a file that is left of a process that died. */
static bool
is_stale(const struct sockaddr_un *un, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_refused = fd >= 0 && connect(fd, (const struct sockaddr *)un, len) < 0 && errno == ECONNREFUSED;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_refused;
}

static int
local_listen(struct hq_local *l, struct hq_err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *path = l->conf.path;
    char url[HQ_NNG_URL_BYTES];
    int rc = hq_nng_url_ipc(url, path, err); /* the same names as for the notes' socket, which is nng's */
    if (rc < 0) {
        return rc;
    }
    size_t path_len = strlen(path);
    bool is_file = path[0] != '@';
    memcpy(un.sun_path, path, path_len);
    un.sun_path[0] = is_file ? path[0] : '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len + (is_file ? 1 : 0));
    mode_t mode = l->conf.uid == UINT32_MAX ? 0666 : 0600; /* where that is not kept, the uid is checked */
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0 || fchmod(l->fd, mode) < 0) { /* before it has a name: nobody gets in between */
        return hq_err_sys(err, -errno, "Cannot listen on %s", url);
    }
    rc = bind(l->fd, (struct sockaddr *)&un, len);
    if (rc < 0 && errno == EADDRINUSE && is_file && is_stale(&un, len) && unlink(path) == 0) {
        rc = bind(l->fd, (struct sockaddr *)&un, len);
    }
    if (rc < 0) {
        return hq_err_sys(err, -errno, "Cannot listen on %s", url);
    }
    l->path = is_file ? hq_xstrdup(path) : NULL;
    if ((is_file && chmod(path, mode) < 0) || listen(l->fd, BACKLOG) < 0) {
        return hq_err_sys(err, -errno, "Cannot listen on %s", url);
    }
    return 0;
}

int
hq_local_create(struct hq_local **ret, const struct hq_local_conf *conf, struct hq_err *err)
{
    struct hq_local *l = hq_xalloc(sizeof(*l));
    *l = (struct hq_local){.conf = *conf, .fd = -1};
    TAILQ_INIT(&l->greeting);
    ev_init(&l->accept, on_accept);
    ev_init(&l->pause, on_pause_over);
    ev_init(&l->expire, on_expire);
    l->accept.data = l->pause.data = l->expire.data = l;
    int rc = local_listen(l, err);
    l->conf.path = NULL;
    if (rc < 0) {
        hq_local_destroy(l);
        return rc;
    }
    ev_io_set(&l->accept, l->fd, EV_READ);
    ev_io_start(l->conf.loop, &l->accept);
    *ret = l;
    return 0;
}

void
hq_local_send(struct hq_local *l, const uint8_t route[8], struct hq_str body)
{
    uint32_t id = (uint32_t)route[0] << 24 | (uint32_t)route[1] << 16 | (uint32_t)route[2] << 8 | route[3];
    struct local_conn *c = conn_find(l, id);
    if (c == NULL) {
        return;
    }
    unsigned char head[HQ_SP_HEAD_BYTES_MAX] = {1};
    uint64_t total = (uint64_t)body.len + 4;
    for (size_t ix = 1; ix < HQ_SP_IPC_HEAD_BYTES; ix++) {
        head[ix] = (unsigned char)(total >> (8 * (HQ_SP_IPC_HEAD_BYTES - 1 - ix)));
    }
    memcpy(head + HQ_SP_IPC_HEAD_BYTES, route + 4, 4);
    bool was_empty = c->out.len == 0;
    hq_buf_add(&c->out, head, sizeof(head));
    hq_buf_str(&c->out, body);
    if (was_empty && conn_flush(c) < 0) {
        (void)shutdown(c->fd, SHUT_RDWR); /* it ends where its socket is looked at next: nobody is called from inside */
    }
    conn_watch(c);
}

void
hq_local_close(struct hq_local *l, uint32_t id)
{
    struct local_conn *c = conn_find(l, id);
    if (c != NULL) {
        conn_end(c);
    }
}

/* One look at each connection; true: some are left. */
static bool
linger_once(struct hq_local *l, int wait_ms)
{
    size_t n = 0;
    struct pollfd *polls = hq_xcalloc(HASH_COUNT(l->conns) + 1u, sizeof(*polls));
    struct local_conn *c, *next;
    for (c = l->conns; c != NULL; c = c->hh.next) {
        polls[n++] = (struct pollfd){.fd = c->fd, .events = c->out.len > 0 ? POLLOUT : POLLIN};
    }
    bool is_any = poll(polls, (nfds_t)n, wait_ms) > 0;
    n = 0;
    HASH_ITER(hh, l->conns, c, next)
    {
        char byte[256];
        short seen = is_any ? polls[n].revents : 0;
        n++;
        bool is_over = (seen & (POLLHUP | POLLERR | POLLNVAL)) != 0 || ((seen & POLLOUT) != 0 && conn_flush(c) < 0);
        if ((seen & POLLIN) != 0) {
            is_over = is_over || recv(c->fd, byte, sizeof(byte), MSG_DONTWAIT) == 0; /* what it still asks is not heard */
        }
        if (is_over) {
            conn_end(c);
        }
    }
    free(polls);
    return l->conns != NULL;
}

void
hq_local_linger(struct hq_local *l, hq_ms wait_ms)
{
    hq_ms deadline_ms = hq_clock_ms() + wait_ms;
    l->is_silent = true;
    ev_io_stop(l->conf.loop, &l->accept);
    ev_timer_stop(l->conf.loop, &l->pause);
    while (wait_ms > 0 && l->conns != NULL && linger_once(l, (int)HQ_MIN(wait_ms, (hq_ms)1000))) {
        wait_ms = deadline_ms - hq_clock_ms();
    }
}

void
hq_local_destroy(struct hq_local *l)
{
    if (l == NULL) {
        return;
    }
    struct local_conn *c, *next;
    hq_local_linger(l, 0);
    ev_timer_stop(l->conf.loop, &l->expire);
    HASH_ITER(hh, l->conns, c, next)
    {
        conn_end(c);
    }
    if (l->fd >= 0) {
        (void)close(l->fd);
    }
    if (l->path != NULL) {
        (void)unlink(l->path); /* gone already is fine */
    }
    free(l->path);
    free(l);
}
