/* peer.c - links: what waits for one, who calls, who has fallen silent. */
#include "hq-workerd/peer_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

#define STALL_MS 1000 /* a tick that comes so late says that we ourselves were stopped */

/* ---- time */

static bool
peers_are_quiet(const struct peers *p)
{
    if (p->strangers != NULL) {
        return false;
    }
    for (const struct peer *peer = p->first; peer != NULL; peer = peer->next) {
        if (!peer->is_lost && (peer->tx != NULL || peer->dial.state != DIAL_NOT)) {
            return false;
        }
    }
    return true;
}

static void
peers_wake(struct peers *p)
{
    if (!ev_is_active(&p->tick)) {
        p->ticked_ms = hq_clock_ms();
        ev_now_update(p->conf.loop);
        ev_timer_again(p->conf.loop, &p->tick);
    }
}

/* May lose the peer. */
static void
peer_on_time(struct peer *peer, hq_ms now_ms)
{
    if (peer->error < 0) {
        peer_lose(peer, peer->error == -ENOBUFS ? "it takes nothing" : hq_err_os(peer->error));
        return;
    }
    if (peer->tx == NULL) {
        dial_on_time(peer, now_ms);
        return;
    }
    if (!peer->is_paused && now_ms - peer->heard_ms >= PEER_LOST_MS) {
        peer_lose(peer, "nothing was heard of it for 2 s");
        return;
    }
    if (now_ms - peer->sent_ms >= PEER_PING_MS && framed_queued(peer->tx->framed) == 0) {
        peer->sent_ms = now_ms;
        if (wire_send(peer->tx, HQ_STR_NULL) < 0) {
            peer_lose(peer, "out of memory");
        }
    }
}

static void
on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct peers *p = t->data;
    hq_ms now_ms = hq_clock_ms(), late_ms = now_ms - p->ticked_ms - PEER_TICK_MS;
    struct peer *next;

    (void)revents;
    p->ticked_ms = now_ms;
    while (p->strangers != NULL && now_ms - p->strangers->since_ms >= p->conf.stranger_ms) {
        stranger_drop(p->strangers);
    }
    for (struct peer *peer = p->first; peer != NULL; peer = next) {
        next = peer->next; /* peer may go, no other one does: on_lost is told of one node */
        if (!peer->is_lost) {
            peer->heard_ms += late_ms >= STALL_MS ? late_ms : 0;
            peer_on_time(peer, now_ms);
        }
    }
    if (p->is_expecting) {
        ev_io_start(loop, &p->callers); /* it may have been stopped for want of descriptors */
    }
    if (peers_are_quiet(p)) {
        ev_timer_stop(loop, t);
    }
}

/* ---- who calls */

void
stranger_take(struct wire *w)
{
    struct wire **at = &w->peers->strangers;

    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
    w->next = NULL;
    w->peers->stranger_count--;
}

void
stranger_drop(struct wire *w)
{
    stranger_take(w);
    wire_destroy(w);
}

static void
stranger_add(struct peers *p, int fd)
{
    struct wire *w, **at = &p->strangers;

    if (p->stranger_count == PEER_STRANGERS_MAX) {
        stranger_drop(p->strangers);
    }
    if (hq_net_tcp_result(fd) < 0) {
        (void)close(fd);
        return;
    }
    if (wire_create(&w, p, fd, WIRE_STRANGER) < 0) {
        return;
    }
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = w;
    p->stranger_count++;
    peers_wake(p);
}

static void
on_caller(struct ev_loop *loop, ev_io *io, int revents)
{
    struct peers *p = io->data;
    int fd;

    (void)revents;
    while ((fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (p->is_expecting) {
            stranger_add(p, fd);
        } else {
            (void)close(fd); /* nothing was read: nothing can be lost */
        }
    }
    if (errno == EMFILE || errno == ENFILE) {
        ev_io_stop(loop, io); /* tasks need the descriptors: callers wait in the kernel */
        peers_wake(p);
    }
}

int
peers_create(struct peers **ret, const struct peers_conf *conf, struct hq_err *err)
{
    struct peers *p = hq_try_alloc(sizeof(*p));

    if (p == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot wait for other nodes");
    }
    p->conf = *conf;
    p->conf.dial_ms = conf->dial_ms > 0 ? conf->dial_ms : PEER_DIAL_MS;
    p->conf.stranger_ms = conf->stranger_ms > 0 ? conf->stranger_ms : PEER_STRANGER_MS;
    ev_timer_init(&p->tick, on_tick, 0., (double)PEER_TICK_MS / 1000.0);
    ev_io_init(&p->callers, on_caller, conf->listen_fd, EV_READ);
    p->tick.data = p->callers.data = p;
    if (conf->listen_fd >= 0) {
        ev_io_start(conf->loop, &p->callers);
    }
    *ret = p;
    return 0;
}

void
peers_destroy(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    HQ_ASSERT(p->first == NULL);
    while (p->strangers != NULL) {
        stranger_drop(p->strangers);
    }
    ev_io_stop(p->conf.loop, &p->callers);
    ev_timer_stop(p->conf.loop, &p->tick);
    free(p);
}

void
peers_expect(struct peers *p, bool is_expecting)
{
    p->is_expecting = is_expecting;
    if (p->conf.listen_fd >= 0) {
        ev_io_start(p->conf.loop, &p->callers);
    }
}

/* ---- links */

int
peer_create(struct peer **ret, struct peers *p, const struct peer_conf *conf)
{
    struct peer *peer = hq_try_alloc(sizeof(*peer));

    if (peer == NULL) {
        return -ENOMEM;
    }
    peer->peers = p;
    peer->conf = *conf;
    peer->dial.fd = -1;
    memcpy(peer->key, conf->key, sizeof peer->key);
    peer->conf.key = NULL;
    peer->next = p->first;
    peer->at = &p->first;
    if (peer->next != NULL) {
        peer->next->at = &peer->next;
    }
    p->first = peer;
    *ret = peer;
    return 0;
}

/* Everything but the peer itself. */
static void
peer_release(struct peer *peer)
{
    struct wire *next;

    dial_stop(peer);
    for (struct wire *w = peer->peers->strangers; w != NULL; w = next) {
        next = w->next;
        if (w->peer == peer) {
            stranger_drop(w);
        }
    }
    wire_destroy(peer->out);
    wire_destroy(peer->in);
    peer->out = peer->in = peer->tx = NULL;
    free(peer->pending);
    peer->pending = NULL;
    peer->pending_len = peer->pending_cap = 0;
}

void
peer_destroy(struct peer *peer)
{
    if (peer == NULL) {
        return;
    }
    peer_release(peer);
    *peer->at = peer->next;
    if (peer->next != NULL) {
        peer->next->at = peer->at;
    }
    explicit_bzero(peer->key, sizeof peer->key);
    free(peer);
}

void
peer_lose(struct peer *peer, const char *why)
{
    if (!peer->is_lost) {
        peer->is_lost = true;
        peer_release(peer);
        peer->conf.on_lost(peer->conf.ctx, why);
    }
}

void
peer_on_wire_end(struct peer *peer, struct wire *w, int rc)
{
    if (w->state == WIRE_CALLED) {
        dial_failed(peer, rc);
        return;
    }
    peer_lose(peer, rc == -ECONNRESET ? "the connection has ended" : hq_err_os(rc));
}

/* ---- frames */

static int
peer_send_pending(struct peer *peer)
{
    size_t at = 0;
    int rc = 0;

    while (at < peer->pending_len && rc == 0) {
        uint32_t len = framed_get_le32(peer->pending + at);
        at += FRAMED_HEAD_BYTES;
        rc = wire_send(peer->tx, hq_str_make((const char *)peer->pending + at, len));
        at += len;
    }
    free(peer->pending);
    peer->pending = NULL;
    peer->pending_len = peer->pending_cap = 0;
    return rc;
}

void
peer_on_up(struct peer *peer, struct wire *w)
{
    framed_pause(w->framed, peer->is_paused);
    peer->heard_ms = hq_clock_ms();
    if (peer->tx == NULL) {
        peer->tx = w;
        peer->sent_ms = peer->heard_ms;
        (void)!peer_send_pending(peer); /* without memory the other side hears a gap and ends the link */
    }
    dial_stop(peer);
    peers_wake(peer->peers);
    peer_on_drained(peer, w);
}

void
peer_on_frame(struct peer *peer, struct hq_str frame)
{
    peer->heard_ms = hq_clock_ms();
    if (frame.len > 0) {
        peer->conf.on_frame(peer->conf.ctx, frame);
    }
}

void
peer_on_drained(struct peer *peer, struct wire *w)
{
    if (w == peer->tx && peer->was_full && !peer_is_full(peer)) {
        peer->was_full = false;
        peer->conf.on_room(peer->conf.ctx);
    }
}

static int
pending_add(struct peer *peer, struct hq_str frame)
{
    size_t need;

    if (!hq_add_size(peer->pending_len, frame.len + FRAMED_HEAD_BYTES, &need) ||
        hq_try_grow(&peer->pending, &peer->pending_cap, need, 1) < 0) {
        return -ENOMEM;
    }
    framed_put_le32(peer->pending + peer->pending_len, (uint32_t)frame.len);
    memcpy(peer->pending + peer->pending_len + FRAMED_HEAD_BYTES, frame.ptr, frame.len);
    peer->pending_len = need;
    return 0;
}

static size_t
peer_queued(const struct peer *peer)
{
    return peer->tx != NULL ? framed_queued(peer->tx->framed) : peer->pending_len;
}

int
peer_send(struct peer *peer, struct hq_str frame)
{
    int rc;

    HQ_ASSERT(frame.len > 0);
    if (peer->is_lost) {
        return -ENOTCONN;
    }
    if (frame.len > HQ_STEP_MSG_BYTES_MAX) {
        return -EMSGSIZE;
    }
    if (peer_queued(peer) > PEER_QUEUE_BYTES_MAX) {
        rc = -ENOBUFS;
    } else if (peer->tx != NULL) {
        peer->sent_ms = hq_clock_ms();
        rc = wire_send(peer->tx, frame);
    } else {
        rc = pending_add(peer, frame);
        dial_begin(peer);
        peers_wake(peer->peers);
    }
    peer->error = peer->error == 0 ? rc : peer->error; /* a link with a gap is none: the next tick ends it */
    peer->was_full = peer->was_full || peer_is_full(peer);
    return rc;
}

bool
peer_is_full(const struct peer *peer)
{
    return !peer->is_lost && peer_queued(peer) >= PEER_QUEUE_BYTES;
}

bool
peer_is_lost(const struct peer *peer)
{
    return peer->is_lost;
}

void
peer_pause(struct peer *peer, bool is_paused)
{
    if (peer->is_paused == is_paused) {
        return;
    }
    peer->is_paused = is_paused;
    peer->heard_ms = hq_clock_ms();
    if (peer->in != NULL) {
        framed_pause(peer->in->framed, is_paused);
    }
    if (peer->out != NULL && peer->out->state == WIRE_UP) {
        framed_pause(peer->out->framed, is_paused);
    }
}
