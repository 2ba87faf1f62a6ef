/* tasksock.c - a few short connections. */
#include "hq-workerd/tasksock.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/num.h"
#include "hq-workerd/framed.h"

#define HEAD_BYTES_MAX 128u

struct peer {
    struct tasksock *owner;
    int fd; /* -1 = free */
    ev_io readable;
    ev_timer limit;
    size_t len;
    char text[HEAD_BYTES_MAX + HQ_NOTIFY_BYTES_MAX];
};

struct tasksock {
    struct ev_loop *loop;
    int fd;
    ev_io acceptable;
    char *path;
    bool is_bound;
    tasksock_notify_fn fn;
    tasksock_frames_fn frames;
    void *ctx;
    struct peer peers[TASKSOCK_PEERS_MAX];
    uint32_t peer_count;
};

static void
peer_close(struct peer *p)
{
    struct tasksock *t = p->owner;

    ev_io_stop(t->loop, &p->readable);
    ev_timer_stop(t->loop, &p->limit);
    hq_fs_closep(&p->fd);
    t->peer_count--;
    ev_io_start(t->loop, &t->acceptable); /* it may have been stopped for want of room */
}

static void
peer_answer(struct peer *p, const char *reason)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;

    if (reason == NULL) {
        hq_buf_cstr(&out, "ok\n");
    } else {
        hq_buf_printf(&out, "error %s\n", reason);
    }
    (void)!send(p->fd, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not listen misses it */
    peer_close(p);
}

/* The begin of a frame; false: no, or not known yet. */
static bool
peer_speaks_frames(const struct peer *p)
{
    return p->len >= FRAMED_HEAD_BYTES && framed_get_le32(p->text) <= HQ_STEP_MSG_BYTES_MAX;
}

static void
peer_hand_over(struct peer *p)
{
    const struct tasksock *t = p->owner;
    int fd = p->fd;

    ev_io_stop(t->loop, &p->readable);
    p->fd = -1; /* the callee's */
    peer_close(p);
    t->frames(t->ctx, fd, hq_str_make(p->text, p->len));
}

/* Answers as soon as the request is whole. */
static void
peer_look(struct peer *p)
{
    struct hq_str rest = hq_str_make(p->text, p->len), head, word, token;
    uint32_t len;

    if (!hq_str_split(&rest, '\n', &head)) {
        if (p->len >= HEAD_BYTES_MAX) {
            peer_answer(p, "bad request");
        }
        return;
    }
    if (head.len >= HEAD_BYTES_MAX || !hq_str_split(&head, ' ', &word) || !hq_str_is(word, "notify") ||
        !hq_str_split(&head, ' ', &token) || hq_num_u32(head, &len, NULL) < 0) {
        peer_answer(p, "bad request");
    } else if (len > HQ_NOTIFY_BYTES_MAX) {
        peer_answer(p, "message limit exceeded");
    } else if (rest.len >= len) {
        const struct tasksock *t = p->owner;
        peer_answer(p, t->fn(t->ctx, token, hq_str_sub(rest, 0, len)));
    }
}

static void
peer_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct peer *p = w->data;
    ssize_t got = recv(p->fd, p->text + p->len, sizeof p->text - p->len, MSG_DONTWAIT);

    (void)loop;
    (void)revents;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        peer_close(p);
        return;
    }
    p->len += (size_t)got;
    if (peer_speaks_frames(p) && p->owner->frames != NULL) {
        peer_hand_over(p);
    } else {
        peer_look(p);
    }
}

static void
peer_on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    peer_close(w->data);
}

static void
tasksock_on_connect(struct ev_loop *loop, ev_io *w, int revents)
{
    struct tasksock *t = w->data;

    (void)revents;
    if (t->peer_count == TASKSOCK_PEERS_MAX) {
        ev_io_stop(loop, w); /* the others wait in the backlog */
        return;
    }
    int fd = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    struct peer *p = t->peers;
    while (p->fd >= 0) {
        p++;
    }
    p->fd = fd;
    p->len = 0;
    t->peer_count++;
    ev_io_init(&p->readable, peer_on_readable, fd, EV_READ);
    ev_timer_init(&p->limit, peer_on_limit, (double)TASKSOCK_MS_MAX / 1000.0, 0.);
    p->readable.data = p->limit.data = p;
    ev_io_start(loop, &p->readable);
    ev_timer_start(loop, &p->limit);
}

static int
tasksock_bind(struct tasksock *t, const char *tmp_dir, struct hq_err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;

    hq_buf_printf(&path, "%s/hq-lc-", tmp_dir);
    for (int i = 0; i < 8; i++) {
        hq_buf_byte(&path, letters[randombytes_uniform(sizeof letters - 1)]);
    }
    if (path.len >= sizeof sa.sun_path) {
        return hq_err_set(err, -ENAMETOOLONG, "The path of the local socket is too long: %s", path.ptr);
    }
    memcpy(sa.sun_path, path.ptr, path.len);
    t->path = hq_buf_take(&path);
    t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode of the unbound socket becomes the file's: there is no moment in which others may connect. */
    if (t->fd < 0 || fchmod(t->fd, 0600) < 0 || bind(t->fd, (const struct sockaddr *)&sa, sizeof sa) < 0) {
        return hq_err_sys(err, -errno, "Cannot create the local socket %s", t->path);
    }
    t->is_bound = true;
    if (listen(t->fd, 64) < 0) {
        return hq_err_sys(err, -errno, "Cannot create the local socket %s", t->path);
    }
    return 0;
}

int
tasksock_create(struct tasksock **ret, struct ev_loop *loop, const char *tmp_dir, tasksock_notify_fn fn,
                tasksock_frames_fn frames, void *ctx, struct hq_err *err)
{
    struct tasksock *t = hq_try_alloc(sizeof(*t));

    if (t == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot create the local socket");
    }
    t->loop = loop;
    t->fd = -1;
    t->fn = fn;
    t->frames = frames;
    t->ctx = ctx;
    for (size_t i = 0; i < TASKSOCK_PEERS_MAX; i++) {
        t->peers[i].owner = t;
        t->peers[i].fd = -1;
    }
    int rc = tasksock_bind(t, tmp_dir, err);
    ev_io_init(&t->acceptable, tasksock_on_connect, t->fd, EV_READ);
    t->acceptable.data = t;
    if (rc < 0) {
        tasksock_destroy(t);
        return rc;
    }
    ev_io_start(loop, &t->acceptable);
    *ret = t;
    return 0;
}

void
tasksock_destroy(struct tasksock *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < TASKSOCK_PEERS_MAX; i++) {
        if (t->peers[i].fd >= 0) {
            peer_close(&t->peers[i]);
        }
    }
    if (t->fd >= 0) {
        ev_io_stop(t->loop, &t->acceptable);
    }
    hq_fs_closep(&t->fd);
    if (t->is_bound) {
        (void)unlink(t->path);
    }
    free(t->path);
    free(t);
}

const char *
tasksock_path(const struct tasksock *t)
{
    return t->path;
}
