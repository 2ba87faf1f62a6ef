/* net_local.c - the server's local socket: listening, accepting, closing. */
#include "common/net_local_priv.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

#define BACKLOG 128
#define ACCEPTS_PER_TURN 64u /* then the loop sees to its other work */
#define PAUSE_S 0.1          /* without descriptors: until the next accept */

/* ---- accepting */

static void
expire_arm(struct hq_local *l)
{
    const struct hq_local_conn *c = TAILQ_FIRST(&l->greeting);
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
    struct hq_local_conn *c;
    (void)loop;
    (void)revents;
    while ((c = TAILQ_FIRST(&l->greeting)) != NULL && hq_clock_ms() - c->since_ms >= HQ_HANDSHAKE_MS_MAX) {
        hq_local_conn_end(c);
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
    struct hq_local_conn *c = hq_try_alloc(sizeof(*c));
    if (c == NULL || send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL) != (ssize_t)sizeof(greeting)) {
        free(c); /* gone again: the buffer of a new socket has room for eight bytes */
        (void)close(fd);
        return;
    }
    *c = (struct hq_local_conn){.local = l, .fd = fd, .remote = remote, .since_ms = hq_clock_ms(), .out = HQ_BUF_INIT};
    do {
        c->id = HQ_LOCAL_ID | ++l->last_id;
    } while (hq_local_conn_find(l, c->id) != NULL);
    HASH_ADD(hh, l->conns, id, sizeof(c->id), c);
    TAILQ_INSERT_TAIL(&l->greeting, c, greeting);
    ev_init(&c->io, hq_local_conn_on_io);
    c->io.data = c;
    hq_local_conn_watch(c);
    if (++l->greeting_count > HQ_NET_GREETING_MAX) {
        hq_local_conn_end(TAILQ_FIRST(&l->greeting));
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
hq_local_close(struct hq_local *l, uint32_t id)
{
    struct hq_local_conn *c = hq_local_conn_find(l, id);
    if (c != NULL) {
        hq_local_conn_end(c);
    }
}

/* One look at each connection; true: some are left. */
static bool
linger_once(struct hq_local *l, int wait_ms)
{
    size_t n = 0;
    struct pollfd *polls = hq_xcalloc(HASH_COUNT(l->conns) + 1u, sizeof(*polls));
    struct hq_local_conn *c, *next;
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
        bool is_over = (seen & (POLLHUP | POLLERR | POLLNVAL)) != 0 || ((seen & POLLOUT) != 0 && hq_local_conn_flush(c) < 0);
        if ((seen & POLLIN) != 0) {
            is_over = is_over || recv(c->fd, byte, sizeof(byte), MSG_DONTWAIT) == 0; /* what it still asks is not heard */
        }
        if (is_over) {
            hq_local_conn_end(c);
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
    struct hq_local_conn *c, *next;
    hq_local_linger(l, 0);
    ev_timer_stop(l->conf.loop, &l->expire);
    HASH_ITER(hh, l->conns, c, next)
    {
        hq_local_conn_end(c);
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
