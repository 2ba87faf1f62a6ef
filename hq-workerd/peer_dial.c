/* peer_dial.c - finds the other node: by name, then by its addresses, round and round until it answers or time is up. */
#include "hq-workerd/peer_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"

static void dial_next(struct peer *peer);

static void
dial_release(struct peer *peer)
{
    struct dial *d = &peer->dial;

    peer->peers->name_count -= d->resolve != NULL;
    hq_resolve_drop(d->resolve);
    d->resolve = NULL;
    if (d->fd >= 0) {
        ev_io_stop(peer->peers->conf.loop, &d->connected);
    }
    hq_fs_closep(&d->fd);
    if (peer->out != NULL && peer->out->state == WIRE_CALLED) {
        wire_destroy(peer->out);
        peer->out = NULL;
    }
}

void
dial_stop(struct peer *peer)
{
    dial_release(peer);
    peer->dial.state = DIAL_NOT;
}

static void
dial_set(struct peer *peer, enum dial_state state)
{
    peer->dial.state = state;
    peer->dial.attempt_ms = hq_clock_ms();
}

void
dial_failed(struct peer *peer, int rc)
{
    dial_release(peer);
    peer->dial.error = rc;
    peer->dial.addr_ix++;
    dial_next(peer);
}

static void
on_connected(struct ev_loop *loop, ev_io *w, int revents)
{
    struct peer *peer = w->data;
    struct dial *d = &peer->dial;
    int rc = hq_net_tcp_result(d->fd);

    (void)revents;
    ev_io_stop(loop, w);
    if (rc == 0) {
        int fd = d->fd;
        d->fd = -1;
        rc = wire_create(&peer->out, peer->peers, fd, WIRE_CALLED);
    }
    rc = rc < 0 ? rc : wire_call(peer->out, peer);
    if (rc < 0) {
        dial_failed(peer, rc);
    } else {
        dial_set(peer, DIAL_CALLING);
    }
}

/* Tries addresses from addr_ix on; none left: a pause. */
static void
dial_next(struct peer *peer)
{
    struct dial *d = &peer->dial;

    for (; d->addr_ix < d->addr_count; d->addr_ix++) {
        int fd = hq_net_tcp_start(&d->addrs[d->addr_ix]);
        if (fd < 0) {
            d->error = fd;
            continue;
        }
        d->fd = fd;
        ev_io_init(&d->connected, on_connected, fd, EV_WRITE);
        d->connected.data = peer;
        ev_io_start(peer->peers->conf.loop, &d->connected);
        dial_set(peer, DIAL_CONNECTING);
        return;
    }
    dial_set(peer, DIAL_PAUSING);
}

static void
dial_add(struct dial *d, const struct hq_addrs *addrs)
{
    for (size_t i = 0; i < addrs->count && d->addr_count < PEER_ADDRS_MAX; i++) {
        d->addrs[d->addr_count++] = addrs->at[i];
    }
}

static void
dial_add_numbers(struct peer *peer)
{
    const struct step_node *n = peer->conf.node;
    struct hq_addrs addrs;

    for (size_t i = 0; i < n->address_count; i++) {
        if (hq_resolve_number(n->addresses[i].ptr, n->port, &addrs) == 0) {
            dial_add(&peer->dial, &addrs);
        }
    }
    dial_next(peer);
}

static void
on_name(void *ctx, int rc, const struct hq_addrs *addrs)
{
    struct peer *peer = ctx;

    if (rc == 0) {
        dial_add(&peer->dial, addrs);
    } else {
        peer->dial.error = rc;
    }
    dial_release(peer);
    dial_add_numbers(peer);
}

void
dial_begin(struct peer *peer)
{
    struct dial *d = &peer->dial;
    struct peers *p = peer->peers;
    const struct step_node *n = peer->conf.node;
    struct hq_addrs addrs;

    if (d->state != DIAL_NOT) {
        return;
    }
    *d = (struct dial){.fd = -1, .begin_ms = hq_clock_ms(), .error = -EHOSTUNREACH};
    if (hq_resolve_number(n->host.ptr, n->port, &addrs) == 0) {
        dial_add(d, &addrs);
        dial_add_numbers(peer);
        return;
    }
    if (n->address_count > 0 && (p->name_count >= PEER_NAMES_MAX || d->begin_ms < p->names_again_ms)) {
        dial_add_numbers(peer);
        return;
    }
    dial_set(peer, DIAL_NAMING);
    int rc = hq_resolve_start(&d->resolve, p->conf.loop, n->host.ptr, n->port, on_name, peer);
    if (rc < 0) {
        d->resolve = NULL;
        d->error = rc;
        dial_add_numbers(peer);
        return;
    }
    p->name_count++;
}

void
dial_on_time(struct peer *peer, hq_ms now_ms)
{
    struct dial *d = &peer->dial;
    hq_ms age_ms = now_ms - d->attempt_ms;

    if (d->state == DIAL_NOT) {
        return;
    }
    if (now_ms - d->begin_ms >= peer->peers->conf.dial_ms) {
        int rc = d->error;
        char why[128];
        dial_stop(peer);
        (void)snprintf(why, sizeof why, "no connection: %s", hq_err_os(rc));
        peer_lose(peer, why);
        return;
    }
    switch (d->state) {
    case DIAL_NOT:
        break;
    case DIAL_NAMING:
        if (age_ms >= PEER_NAME_MS) {
            peer->peers->names_again_ms = now_ms + PEER_SLOW_MS;
            dial_release(peer);
            dial_add_numbers(peer);
        }
        break;
    case DIAL_CONNECTING:
    case DIAL_CALLING:
        if (age_ms >= PEER_ATTEMPT_MS) {
            dial_failed(peer, -ETIMEDOUT);
        }
        break;
    case DIAL_PAUSING:
        if (age_ms >= PEER_RETRY_MS) {
            d->addr_ix = 0;
            dial_next(peer);
        }
        break;
    }
}
