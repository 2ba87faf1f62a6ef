#include "hq-workerd/stepd/pmi1_host.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/fs.h"
#include "common/mem.h"
#include "hq-workerd/stepd/pmi1.h"

struct client {
    struct pmi1_host *owner;
    uint32_t rank;
    int fd, child_fd;
    ev_io readable;
    struct pmi1_peer peer;
    struct hq_buf in;
};

struct pmi1_host {
    struct ev_loop *loop;
    const struct pmi1_ops *ops;
    void *ctx;
    struct pmi1 *pmi;
    uint32_t count, waiting;
    struct client v[];
};

static void
client_close(struct client *c)
{
    if (c->fd >= 0) {
        ev_io_stop(c->owner->loop, &c->readable);
        hq_fs_closep(&c->fd);
    }
}

static void
client_bad(struct client *c, const char *text)
{
    struct pmi1_host *h = c->owner;

    client_close(c);
    h->ops->on_bad(h->ctx, c->rank, text);
}

/* A rank asks one thing at a time and reads the answer: one that leaves the socket full is no rank. */
static bool
client_answer(struct client *c, struct hq_str text)
{
    if (text.len == 0 || send(c->fd, text.ptr, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)text.len) {
        return true;
    }
    if (errno == EPIPE || errno == ECONNRESET) {
        return true; /* it has closed its end: the reader finds that */
    }
    client_bad(c, "The PMI socket takes no answers");
    return false;
}

static void
host_barrier_in(struct pmi1_host *h)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf puts = HQ_BUF_INIT;

    if (++h->waiting == h->count) {
        pmi1_take_puts(h->pmi, &puts);
        h->ops->on_barrier(h->ctx, hq_buf_view(&puts));
    }
}

static void
client_line(struct client *c, struct hq_str line)
{
    struct pmi1_host *h = c->owner;
    HQ_AUTO(hq_buf_fini) struct hq_buf answer = HQ_BUF_INIT;
    enum pmi1_event event = PMI1_NOTHING;
    int32_t exit_code = 0;
    struct hq_err err = {0};

    if (pmi1_line(h->pmi, &c->peer, line, &answer, &event, &exit_code, &err) < 0) {
        client_bad(c, err.text);
        return;
    }
    switch (event) { /* told before the rank reads the answer: it may end right behind that */
    case PMI1_NOTHING:
    case PMI1_BARRIER:
        break;
    case PMI1_STARTED:
        h->ops->on_wired(h->ctx, c->rank);
        break;
    case PMI1_FINALIZED:
        h->ops->on_finalized(h->ctx, c->rank);
        break;
    case PMI1_ABORTED:
        h->ops->on_abort(h->ctx, c->rank, exit_code);
        break;
    }
    if (client_answer(c, hq_buf_view(&answer)) && event == PMI1_BARRIER) {
        host_barrier_in(h);
    }
}

static void
client_lines(struct client *c)
{
    struct hq_str rest = hq_buf_view(&c->in), line;

    while (c->fd >= 0 && hq_str_find_byte(rest, '\n') >= 0) {
        (void)hq_str_split(&rest, '\n', &line);
        client_line(c, line);
    }
    if (c->fd >= 0 && rest.len > PMI1_LINE_BYTES_MAX) {
        client_bad(c, "A PMI request is too long");
        return;
    }
    if (rest.len > 0 && rest.ptr != c->in.ptr) {
        memmove(c->in.ptr, rest.ptr, rest.len);
    }
    c->in.len = rest.len;
}

static void
client_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct client *c = w->data;
    struct pmi1_host *h = c->owner;

    (void)loop;
    (void)revents;
    hq_buf_reserve(&c->in, PMI1_LINE_BYTES_MAX);
    ssize_t got = recv(c->fd, c->in.ptr + c->in.len, PMI1_LINE_BYTES_MAX, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        bool is_inside = c->peer.state == PMI1_READY || c->peer.state == PMI1_IN_BARRIER;
        client_close(c);
        if (is_inside) {
            h->ops->on_closed(h->ctx, c->rank);
        }
        return;
    }
    c->in.len += (size_t)got;
    client_lines(c);
}

int
pmi1_host_create(struct pmi1_host **ret, struct ev_loop *loop, const struct pmi1_host_conf *conf,
                 const struct pmi1_ops *ops, void *ctx, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf mapping = HQ_BUF_INIT;
    struct pmi1_host *h = hq_try_alloc(sizeof(*h) + conf->count * sizeof(h->v[0]));

    if (h == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot host %u ranks", conf->count);
    }
    h->loop = loop;
    h->ops = ops;
    h->ctx = ctx;
    h->count = conf->count;
    pmi1_print_mapping(&mapping, conf->ranks, conf->node_count);
    h->pmi = pmi1_create(conf->total, hq_str_from(conf->space), hq_buf_view(&mapping));
    for (uint32_t i = 0; i < conf->count; i++) {
        h->v[i] = (struct client){.owner = h, .rank = conf->first_rank + i, .fd = -1, .child_fd = -1};
    }
    *ret = h;
    return 0;
}

void
pmi1_host_destroy(struct pmi1_host *h)
{
    if (h == NULL) {
        return;
    }
    for (uint32_t i = 0; i < h->count; i++) {
        client_close(&h->v[i]);
        hq_fs_closep(&h->v[i].child_fd);
        hq_buf_fini(&h->v[i].in);
    }
    pmi1_destroy(h->pmi);
    free(h);
}

int
pmi1_host_open(struct pmi1_host *h, uint32_t local, struct hq_err *err)
{
    struct client *c = &h->v[local];
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        return hq_err_sys(err, -errno, "Cannot make a PMI socket");
    }
    c->fd = fds[0];
    c->child_fd = fds[1];
    ev_io_init(&c->readable, client_on_readable, c->fd, EV_READ);
    c->readable.data = c;
    ev_io_start(h->loop, &c->readable);
    return c->child_fd;
}

void
pmi1_host_started(struct pmi1_host *h, uint32_t local)
{
    hq_fs_closep(&h->v[local].child_fd);
}

int
pmi1_host_barrier_done(struct pmi1_host *h, struct hq_str puts, struct hq_err *err)
{
    int rc = pmi1_add_puts(h->pmi, puts, err);

    h->waiting = 0;
    for (uint32_t i = 0; i < h->count && rc == 0; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
        pmi1_barrier_out(&h->v[i].peer, &out);
        if (h->v[i].fd >= 0) {
            (void)client_answer(&h->v[i], hq_buf_view(&out)); /* a bad one was reported */
        }
    }
    return rc;
}
