#include "common/net_conn_priv.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

#define BACKLOG_TRIES_MAX 64u /* about a second of a full queue on the local socket; then TCP */

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

void
hq_conn_enter(struct hq_conn *c)
{
    c->depth++;
}

bool
hq_conn_leave(struct hq_conn *c)
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

void
hq_conn_watch(struct hq_conn *c, int events)
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

void
hq_conn_fail(struct hq_conn *c, int rc)
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
        hq_conn_enter(c);
        c->conf.on_down(c->conf.ctx, rc);
        (void)hq_conn_leave(c); /* nothing is touched behind it */
    }
}

/* ---- dialing */

static void
conn_opened(struct hq_conn *c)
{
    const unsigned char greeting[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, (unsigned char)c->conf.own, 0, 0};
    c->state = CONN_GREETING;
    hq_buf_add(&c->out, greeting, sizeof(greeting));
    int rc = hq_conn_flush(c);
    if (rc < 0) {
        hq_conn_fail(c, rc);
        return;
    }
    hq_conn_watch(c, EV_READ);
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
            hq_conn_watch(c, EV_WRITE);
            return;
        }
        rc = fd;
    }
    hq_conn_fail(c, rc);
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
        hq_conn_fail(c, rc);
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
        hq_conn_fail(c, rc);
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
        hq_conn_fail(c, rc);
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
            hq_conn_fail(c, rc);
        }
        return;
    }
    if ((revents & EV_WRITE) != 0 && c->out.len > 0) {
        rc = hq_conn_flush(c);
        if (rc < 0) {
            hq_conn_fail(c, rc);
            return;
        }
        hq_conn_watch(c, rc > 0 ? EV_READ | EV_WRITE : EV_READ);
    }
    if ((revents & EV_READ) != 0) {
        hq_conn_read(c);
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
        hq_conn_fail(c, -ETIMEDOUT);
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
