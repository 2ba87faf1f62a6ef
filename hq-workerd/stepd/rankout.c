#include "hq-workerd/stepd/rankout.h"

#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "hq-workerd/stepd/lines.h"

#define READ_BYTES 65536u

struct channel {
    struct rankout *owner;
    uint32_t rank, number; /* number 1 or 2 */
    int read_fd, child_fd;
    ev_io readable;
    struct lines lines;
};

struct rankout {
    struct ev_loop *loop;
    rankout_fn fn;
    void *ctx;
    uint32_t count, first_rank;
    char *paths[2]; /* NULL = pipes */
    bool is_same;   /* one file for both */
    bool is_paused;
    struct hq_buf scratch, whole;
    struct channel v[]; /* two for each rank */
};

static void
channel_hand_on(struct channel *c, struct hq_buf *whole)
{
    struct rankout *o = c->owner;

    if (whole->len > 0) {
        o->fn(o->ctx, c->rank, c->number, hq_buf_view(whole));
        hq_buf_clear(whole);
    }
}

static void
channel_close(struct channel *c)
{
    struct rankout *o = c->owner;

    if (c->read_fd < 0) {
        return;
    }
    ev_io_stop(o->loop, &c->readable);
    hq_fs_closep(&c->read_fd);
    lines_end(&c->lines, &o->whole);
    channel_hand_on(c, &o->whole);
}

/* One read. false: nothing there now, or the end. */
static bool
channel_read(struct channel *c)
{
    struct rankout *o = c->owner;

    hq_buf_clear(&o->scratch);
    hq_buf_reserve(&o->scratch, READ_BYTES);
    ssize_t got = read(c->read_fd, o->scratch.ptr, READ_BYTES);
    if (got < 0) {
        return errno == EINTR;
    }
    if (got == 0) {
        channel_close(c);
        return false;
    }
    lines_feed(&c->lines, hq_str_make(o->scratch.ptr, (size_t)got), &o->whole);
    channel_hand_on(c, &o->whole);
    return true;
}

static void
channel_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    (void)channel_read(w->data); /* the watcher calls again while there is more */
}

static char *
path_take(struct hq_str path)
{
    return path.len == 0 ? NULL : hq_str_dupz(path);
}

int
rankout_create(struct rankout **ret, struct ev_loop *loop, const struct rankout_conf *conf, rankout_fn fn, void *ctx,
               struct hq_err *err)
{
    struct rankout *o = hq_try_alloc(sizeof(*o) + 2 * (size_t)conf->count * sizeof(o->v[0]));

    if (o == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot host %u ranks", conf->count);
    }
    o->loop = loop;
    o->fn = fn;
    o->ctx = ctx;
    o->count = conf->count;
    o->first_rank = conf->first_rank;
    o->paths[0] = path_take(conf->paths[0]);
    o->paths[1] = path_take(conf->paths[1]);
    o->is_same = conf->paths[0].len > 0 && hq_str_eq(conf->paths[0], conf->paths[1]);
    for (uint32_t i = 0; i < 2 * conf->count; i++) {
        struct channel *c = &o->v[i];
        *c = (struct channel){.owner = o, .rank = conf->first_rank + i / 2, .number = 1 + i % 2, .read_fd = -1, .child_fd = -1};
        if (conf->tag) {
            struct hq_buf tag = HQ_BUF_INIT;
            hq_buf_printf(&tag, "[%u] ", c->rank);
            HQ_ASSERT(tag.len < sizeof c->lines.tag);
            memcpy(c->lines.tag, tag.ptr, tag.len + 1);
            hq_buf_fini(&tag);
        }
    }
    *ret = o;
    return 0;
}

void
rankout_destroy(struct rankout *o)
{
    if (o == NULL) {
        return;
    }
    for (uint32_t i = 0; i < 2 * o->count; i++) {
        struct channel *c = &o->v[i];
        if (c->read_fd >= 0) {
            ev_io_stop(o->loop, &c->readable);
        }
        hq_fs_closep(&c->read_fd);
        hq_fs_closep(&c->child_fd);
        lines_fini(&c->lines);
    }
    free(o->paths[0]);
    free(o->paths[1]);
    hq_buf_fini(&o->scratch);
    hq_buf_fini(&o->whole);
    free(o);
}

/* "%{RANK}" wherever it stands; the other placeholders were filled in by the worker. */
static void
fill_rank(struct hq_buf *out, const char *text, uint32_t rank)
{
    static const char name[] = "%{RANK}";
    struct hq_str rest = hq_str_from(text);
    ptrdiff_t at;

    while ((at = hq_str_find(rest, HQ_STR("%{RANK}"))) >= 0) {
        hq_buf_str(out, hq_str_sub(rest, 0, (size_t)at));
        hq_buf_u64(out, rank);
        rest = hq_str_sub(rest, (size_t)at + sizeof name - 1, rest.len);
    }
    hq_buf_str(out, rest);
}

static int
channel_open_file(struct channel *c, const char *template, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    const char *what = c->number == 1 ? "stdout" : "stderr";

    fill_rank(&path, template, c->rank);
    char *slash = strrchr(path.ptr, '/');
    if (slash != NULL && slash != path.ptr) {
        *slash = '\0';
        int rc = hq_fs_mkdirs(path.ptr, 0777, err);
        if (rc < 0) {
            return hq_err_prefix(err, "Cannot create %s directory at %s", what, path.ptr);
        }
        *slash = '/';
    }
    c->child_fd = hq_fs_open(path.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666, err);
    return c->child_fd < 0 ? hq_err_prefix(err, "Creating stream file failed: %s", path.ptr) : 0;
}

static int
channel_open_pipe(struct channel *c, struct hq_err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return hq_err_sys(err, -errno, "Cannot make a pipe for rank %u", c->rank);
    }
    c->read_fd = fds[0];
    c->child_fd = fds[1];
    (void)fcntl(c->read_fd, F_SETFL, O_NONBLOCK); /* a pipe of ours: cannot fail */
    ev_io_init(&c->readable, channel_on_readable, c->read_fd, EV_READ);
    c->readable.data = c;
    if (!c->owner->is_paused) {
        ev_io_start(c->owner->loop, &c->readable);
    }
    return 0;
}

int
rankout_open(struct rankout *o, uint32_t local, int ret_fds[2], struct hq_err *err)
{
    struct channel *c = &o->v[2 * (size_t)local];
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++) {
        if (i == 1 && o->is_same) {
            c[1].child_fd = fcntl(c[0].child_fd, F_DUPFD_CLOEXEC, 3);
            rc = c[1].child_fd < 0 ? hq_err_sys(err, -errno, "Cannot copy a file descriptor") : 0;
        } else {
            rc = o->paths[i] != NULL ? channel_open_file(&c[i], o->paths[i], err) : channel_open_pipe(&c[i], err);
        }
    }
    if (rc == 0) {
        ret_fds[0] = c[0].child_fd;
        ret_fds[1] = c[1].child_fd;
    }
    return rc;
}

void
rankout_started(struct rankout *o, uint32_t local)
{
    hq_fs_closep(&o->v[2 * (size_t)local].child_fd);
    hq_fs_closep(&o->v[2 * (size_t)local + 1].child_fd);
}

void
rankout_pause(struct rankout *o, bool is_paused)
{
    if (o->is_paused == is_paused) {
        return;
    }
    o->is_paused = is_paused;
    for (uint32_t i = 0; i < 2 * o->count; i++) {
        struct channel *c = &o->v[i];
        if (c->read_fd >= 0 && is_paused) {
            ev_io_stop(o->loop, &c->readable);
        } else if (c->read_fd >= 0) {
            ev_io_start(o->loop, &c->readable);
        }
    }
}

void
rankout_finish(struct rankout *o)
{
    for (uint32_t i = 0; i < 2 * o->count; i++) {
        struct channel *c = &o->v[i];
        while (c->read_fd >= 0 && channel_read(c)) {
        }
        channel_close(c);
    }
}
