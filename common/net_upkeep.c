/* net_upkeep.c - what the server does by and by: closes strangers and kicked connections, forgets orphans, gives memory
 * back. No timer runs while there is nothing to wait for.
 */
#include "common/net_server.h"

#include <malloc.h>

#include "common/clock.h"
#include "common/net_kick.h"

#define TRIM_COUNT_MIN 256 /* connections gone */
#define TRIM_CALM_MS 200   /* without another one: it has ebbed */
#define TRIM_MS_MAX 5000
#define SWEEP_MS_MIN 50 /* between two walks over our descriptors: a flood must not cost more than a few per cent */

void
hq_server_kick_soon(struct hq_net_server *s)
{
    if (!TAILQ_EMPTY(&s->table.kicks) && !ev_is_active(&s->sweep)) {
        hq_ms since_ms = hq_clock_ms() - s->swept_at_ms;
        hq_ms wait_ms = since_ms >= SWEEP_MS_MIN ? 0 : SWEEP_MS_MIN - since_ms;
        ev_timer_set(&s->sweep, (double)wait_ms / 1e3, 0.);
        ev_timer_start(s->conf.loop, &s->sweep);
    }
}

void
hq_server_expire_soon(struct hq_net_server *s)
{
    hq_ms wait_ms = hq_sessions_next_ms(&s->table, hq_clock_ms());
    if (wait_ms < 0) {
        ev_timer_stop(s->conf.loop, &s->expire);
        return;
    }
    double wait_s = (double)wait_ms / 1e3 + 0.01;
    if (!ev_is_active(&s->expire) || ev_timer_remaining(s->conf.loop, &s->expire) > wait_s + 1.) {
        ev_timer_stop(s->conf.loop, &s->expire);
        ev_timer_set(&s->expire, wait_s, 0.);
        ev_timer_start(s->conf.loop, &s->expire);
    }
}

void
hq_server_close_overdue(struct hq_net_server *s)
{
    struct hq_pipe *p;
    while ((p = hq_pipe_overdue(&s->table, hq_clock_ms())) != NULL) {
        hq_server_bad(s, &p->remote, "no valid message in time");
        hq_pipe_kick(&s->table, p);
    }
    hq_server_kick_soon(s);
}

static void
server_on_expire(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct hq_net_server *s = w->data;
    hq_server_close_overdue(s);
    hq_peer_expire(&s->table, hq_clock_ms());
    hq_server_expire_soon(s);
}

/* These are ours: no need to look for them. */
static void
close_local(struct hq_net_server *s)
{
    struct hq_pipe *p = TAILQ_FIRST(&s->table.kicks);
    while (p != NULL) {
        struct hq_pipe *next = TAILQ_NEXT(p, kicks);
        if (p->remote.is_local) {
            hq_local_close(s->local, p->id); /* takes it out of all tables */
        }
        p = next;
    }
}

static void
server_on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    struct hq_net_server *s = w->data;
    s->swept_at_ms = hq_clock_ms();
    close_local(s);
    if (!TAILQ_EMPTY(&s->table.kicks)) {
        hq_kick_sweep(&s->table, s->port);
    }
    hq_server_kick_soon(s);
}

/* nng keeps some kB per connection; the allocator keeps what a flood of them has left until it is told not to. That is
 * done when the flood has ebbed, or every TRIM_MS_MAX while it lasts. */
static void
server_on_trim(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)revents;
    struct hq_net_server *s = w->data;
    hq_ms now_ms = hq_clock_ms();
    bool is_calm = s->removed_count == s->trim_seen_count;
    if (is_calm || now_ms - s->trimmed_at_ms >= TRIM_MS_MAX) {
        s->trimmed_at_ms = now_ms;
        s->removed_count = 0;
        (void)malloc_trim(0); /* nothing to give back is fine */
        return;
    }
    s->trim_seen_count = s->removed_count;
    ev_timer_set(w, TRIM_CALM_MS / 1e3, 0.);
    ev_timer_start(loop, w);
}

void
hq_server_trim_soon(struct hq_net_server *s)
{
    if (++s->removed_count >= TRIM_COUNT_MIN && !ev_is_active(&s->trim)) {
        s->trim_seen_count = s->removed_count;
        ev_timer_set(&s->trim, TRIM_CALM_MS / 1e3, 0.);
        ev_timer_start(s->conf.loop, &s->trim);
    }
}

static void
upkeep_timer(ev_timer *w, void (*fn)(struct ev_loop *, ev_timer *, int), struct hq_net_server *s)
{
    ev_timer_init(w, fn, 0., 0.);
    w->data = s;
}

void
hq_server_upkeep_init(struct hq_net_server *s)
{
    upkeep_timer(&s->expire, server_on_expire, s);
    upkeep_timer(&s->sweep, server_on_sweep, s);
    upkeep_timer(&s->trim, server_on_trim, s);
    upkeep_timer(&s->retry, hq_server_on_retry, s);
}

void
hq_server_upkeep_fini(struct hq_net_server *s)
{
    ev_timer_stop(s->conf.loop, &s->expire);
    ev_timer_stop(s->conf.loop, &s->sweep);
    ev_timer_stop(s->conf.loop, &s->trim);
    ev_timer_stop(s->conf.loop, &s->retry);
}
