/* link.c - turns with hqd.
 *
 * After every loss the worker registers again: the answer comes at once and tells whether hqd is the same, has been
 * restarted, or has given this worker up. Turns that hqd has not in its journal are then sent again with their numbers.
 * Calls of before the loss may still end; they carry the epoch in which they were made and are ignored. */
#include "hq-workerd/link_impl.h"

#include <signal.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/serverdir.h"

/* ---- calls */

struct call *
link_new_call(struct link *l, uint64_t turn_seq)
{
    for (size_t i = 0; i < HQ_ARRAY_LEN(l->calls); i++) {
        struct call *c = &l->calls[i];
        if (!c->is_used) {
            *c = (struct call){.link = l, .epoch = l->epoch, .turn_seq = turn_seq, .is_used = true};
            return c;
        }
    }
    return NULL;
}

void
link_lose(struct link *l, int rc, const char *what)
{
    if (l->state == LINK_ENDED || l->state == LINK_WAITING || l->state == LINK_READING) {
        return;
    }
    hq_log_debug("Lost hqd: %s rc=%d", what, rc);
    l->epoch++;
    l->out_count = 0;
    l->state = LINK_WAITING;
    if (!l->is_lost) {
        l->is_lost = true;
        l->conf.calls.on_lost(l->conf.calls.ctx);
    }
    if (l->state == LINK_WAITING) {
        ev_timer_set(&l->retry, (double)hq_rng_jitter(&l->rng, l->backoff_ms, 30) / 1000.0, 0.);
        ev_timer_start(l->conf.loop, &l->retry);
        l->backoff_ms = HQ_MIN(l->backoff_ms * 2, (hq_ms)LINK_BACKOFF_MS_MAX);
    }
}

void
link_end_refused(struct link *l, const struct hq_err *err)
{
    l->epoch++;
    l->out_count = 0;
    l->state = LINK_ENDED;
    ev_timer_stop(l->conf.loop, &l->linger);
    ev_timer_stop(l->conf.loop, &l->retry);
    l->conf.calls.on_refused(l->conf.calls.ctx, err);
}

/* ---- attempts */

static int
link_connect(struct link *l, struct hq_err *err)
{
    struct hq_net_client_conf conf = {.loop = l->conf.loop,
                                      .host = l->access.worker.host,
                                      .port = l->access.worker.port,
                                      .secret = l->access.worker.has_key ? l->access.worker.key : NULL,
                                      .role = HQ_ROLE_WORKER};

    hq_net_client_destroy(l->client); /* its calls end without a word */
    l->client = NULL;
    memset(l->calls, 0, sizeof l->calls);
    return hq_net_client_create(&l->client, &conf, err);
}

static bool
side_eq(const struct hq_access_side *a, const struct hq_access_side *b)
{
    return a->port == b->port && a->has_key == b->has_key && strcmp(a->host, b->host) == 0 &&
           (!a->has_key || memcmp(a->key, b->key, sizeof a->key) == 0);
}

/* On the loop, with what the helper thread has read. */
static void
link_on_read(void *ctx, void *item)
{
    struct link *l = ctx;
    struct reader *r = item;
    struct hq_err err = {0};

    if (l->is_reading) {
        (void)pthread_join(l->reader_thread, NULL);
        l->is_reading = false;
    }
    if (l->state == LINK_READING) {
        int rc = r->rc;
        bool is_same = rc == 0 && l->client != NULL && side_eq(&r->access.worker, &l->access.worker);
        if (rc == 0 && !is_same) {
            struct hq_access old = l->access;
            l->access = r->access;
            r->access = old;
            rc = link_connect(l, &err);
        }
        l->state = LINK_REGISTERING;
        if (rc == 0) {
            link_register(l);
        } else {
            link_lose(l, rc, "no access file");
        }
    }
    hq_access_fini(&r->access);
    hq_buf_fini(&r->instance);
    free(r);
}

static void *
link_read_thr(void *arg)
{
    struct reader *r = arg;

    r->rc = hq_serverdir_load_worker(&r->access, &r->instance, r->link->conf.server_dir, NULL);
    hq_bridge_post_must_thr(r->link->bridge, link_on_read, r->link, r);
    return NULL;
}

static void
link_attempt(struct link *l)
{
    sigset_t all, old;
    struct reader *r = l->is_reading ? NULL : hq_try_alloc(sizeof(*r));

    l->state = LINK_READING;
    if (r == NULL) {
        l->state = LINK_REGISTERING;
        link_lose(l, -ENOMEM, "cannot read the access file");
        return;
    }
    r->link = l;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&l->reader_thread, NULL, link_read_thr, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    l->is_reading = rc == 0;
    if (rc != 0) {
        free(r);
        l->state = LINK_REGISTERING;
        link_lose(l, -rc, "cannot start a thread");
    }
}

static void
link_on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct link *l = w->data;

    (void)loop;
    (void)revents;
    if (l->state == LINK_WAITING) {
        link_attempt(l);
    }
}

uint32_t
link_worker_id(const struct link *l)
{
    return l->worker_id;
}

/* ---- life */

int
link_create(struct link **ret, const struct link_conf *conf, const struct hq_access *access, struct hq_err *err)
{
    struct link *l = hq_try_alloc(sizeof(*l));

    if (l == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot connect to the server");
    }
    l->conf = *conf;
    l->turns_tail = &l->turns;
    l->next_turn_seq = 1;
    l->next_request_id = 1;
    l->backoff_ms = LINK_BACKOFF_MS_MIN;
    l->started_ms = hq_clock_ms();
    hq_rng_init(&l->rng, (uint64_t)hq_clock_us() ^ conf->worker->pid);
    ev_timer_init(&l->linger, link_on_linger, 0., 0.);
    ev_timer_init(&l->retry, link_on_retry, 0., 0.);
    l->linger.data = l->retry.data = l;
    hq_access_set_side(&l->access.worker, access->worker.host, access->worker.port,
                       access->worker.has_key ? access->worker.key : NULL);
    int rc = hq_bridge_create(&l->bridge, conf->loop, 16, NULL, err);
    if (rc == 0) {
        rc = link_connect(l, err);
    }
    if (rc < 0) {
        link_destroy(l);
        return rc;
    }
    link_register(l);
    *ret = l;
    return 0;
}

void
link_destroy(struct link *l)
{
    if (l == NULL) {
        return;
    }
    l->state = LINK_ENDED;
    if (l->is_reading) { /* a hung filesystem may hold it: main leaves by _exit in that case */
        (void)pthread_join(l->reader_thread, NULL);
        l->is_reading = false;
        (void)hq_bridge_drain(l->bridge);
    }
    ev_timer_stop(l->conf.loop, &l->linger);
    ev_timer_stop(l->conf.loop, &l->retry);
    hq_net_client_destroy(l->client);
    hq_bridge_destroy(l->bridge);
    link_drop_turns(l, UINT64_MAX);
    link_drop_early(l);
    hq_access_fini(&l->access);
    free(l);
}
