/* link.c - turns with hqd.
 *
 * After every loss the worker registers again: the answer comes at once and tells whether hqd is the same, has been
 * restarted, or has given this worker up. Turns that hqd has not in its journal are then sent again with their numbers.
 * Calls of before the loss may still end; they carry the epoch in which they were made and are ignored. */
#include "hq-workerd/link.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/bridge.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/serverdir.h"
#include "common/wire.h"

#include "proto/common.pb-c.h"

#define LINK_OUT_MAX 2u
#define LINK_CALLS_MAX 8u            /* with those of earlier epochs */
#define LINK_EARLY_MAX 4u            /* answers that came before their predecessor */
#define LINK_REGISTER_MS 5000
#define LINK_REGISTER_EVERY_MS 500   /* sooner only with the pauses of a lost connection */
#define LINK_FIRST_MS_MAX 60000      /* how long a new worker tries to find hqd */
#define LINK_BACKOFF_MS_MIN 50
#define LINK_BACKOFF_MS_MAX 2000
#define LINK_ARENA_BYTES_MAX ((size_t)64 << 20)

struct turn {
    struct turn *next; /* ascending numbers */
    uint64_t seq;
    struct hq_buf news;
    enum link_reason leaving;
    bool is_unsettled;
    bool is_out;
    bool is_answered;
};

struct call { /* one request that is out */
    struct link *link;
    uint64_t epoch;
    uint64_t turn_seq; /* 0 = Register */
    bool is_used;
};

struct early {
    uint64_t command_seq;
    struct hq_buf message;
};

enum link_state {
    LINK_REGISTERING = 1,
    LINK_UP,
    LINK_WAITING, /* for the next attempt */
    LINK_READING, /* the access file */
    LINK_ENDED,   /* refused, or left */
};

struct reader { /* the helper thread's, then the loop's */
    struct link *link;
    struct hq_access access;
    struct hq_buf instance;
    int rc;
};

struct link {
    struct link_conf conf;
    enum link_state state;
    struct hq_net_client *client;
    struct hq_access access; /* what the client was made of */
    struct hq_bridge *bridge;
    pthread_t reader_thread;
    bool is_reading;
    ev_timer linger;
    ev_timer retry;
    struct hq_rng rng;
    hq_ms backoff_ms;
    hq_ms started_ms;
    hq_ms registered_ms; /* last time */
    uint64_t epoch;
    uint64_t next_request_id;
    struct call calls[LINK_CALLS_MAX];
    uint32_t out_count; /* turns of this epoch */
    struct turn *turns, **turns_tail;
    uint32_t turn_count;
    uint64_t next_turn_seq;
    uint64_t declared_seq; /* in the last Register: the first turn that follows it */
    uint64_t command_seq; /* carried out */
    struct early early[LINK_EARLY_MAX];
    uint32_t worker_id;
    unsigned char hqd_incarnation[LINK_ID_BYTES];
    hq_ms turn_timeout_ms;
    hq_ms last_news_ms;
    hq_ms linger_ms; /* as link_news was told last */
    int64_t probe_us; /* when the second turn was sent: the answer to the first comes at once */
    uint32_t round_trip_us;
    int64_t linger_us; /* how long news wait here, on average */
    enum link_reason leaving;
    bool is_settled; /* since the last Register all news from before it are told */
    bool is_lost;
};

static void link_attempt(struct link *l);
static void link_pump(struct link *l);

/* ---- turns kept until hqd has them */

static void
link_drop_turns(struct link *l, uint64_t up_to_seq)
{
    while (l->turns != NULL && l->turns->seq <= up_to_seq) {
        struct turn *t = l->turns;
        l->turns = t->next;
        l->turn_count--;
        hq_buf_fini(&t->news);
        free(t);
    }
    if (l->turns == NULL) {
        l->turns_tail = &l->turns;
    }
}

static struct turn *
link_find_turn(struct link *l, uint64_t seq)
{
    struct turn *t = l->turns;

    while (t != NULL && t->seq != seq) {
        t = t->next;
    }
    return t;
}

/* A new turn with all news that fit in one. */
static struct turn *
link_make_turn(struct link *l)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct turn_news news;
    struct link_overview overview;
    struct turn *t = hq_try_alloc(sizeof(*t));

    if (t == NULL) {
        return NULL;
    }
    hq_arena_init(&arena, 0);
    report_pack(l->conf.report, &arena, &news);
    bool has_overview = l->conf.calls.take_overview(l->conf.calls.ctx, &overview);
    link_pack_news(&t->news, &news, has_overview ? &overview : NULL, &arena);
    t->seq = l->next_turn_seq++;
    if (report_is_empty(l->conf.report)) {
        l->is_settled = true;
        t->leaving = l->leaving;
    }
    t->is_unsettled = !l->is_settled;
    *l->turns_tail = t;
    l->turns_tail = &t->next;
    l->turn_count++;
    return t;
}

/* ---- calls */

static struct call *
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

static void
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

static void
link_refuse(struct link *l, const struct hq_err *err)
{
    l->epoch++;
    l->out_count = 0;
    l->state = LINK_ENDED;
    ev_timer_stop(l->conf.loop, &l->linger);
    ev_timer_stop(l->conf.loop, &l->retry);
    l->conf.calls.on_refused(l->conf.calls.ctx, err);
}

/* ---- registration */

static void
link_on_registered(struct link *l, struct hq_str payload)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct hq_wire_head head;
    struct link_registered r;
    struct hq_str body;
    struct hq_err err = {0};

    hq_arena_init(&arena, LINK_ARENA_BYTES_MAX);
    int rc = hq_wire_head(payload, &head, &body, &err);
    if (rc == 0 && head.type == HQ__MESSAGE_TYPE__TYPE_ERROR) {
        rc = link_read_error(body, &arena, &err);
        if (rc == -EAGAIN) {
            link_lose(l, rc, err.text);
            return;
        }
    } else if (rc == 0 && head.type != HQ__MESSAGE_TYPE__TYPE_REGISTERED) {
        rc = hq_err_set(&err, -EPROTO, "The server answered the registration with a message of type %u", head.type);
    } else if (rc == 0) {
        rc = link_read_registered(body, &arena, &r, &err);
    }
    if (rc < 0) {
        link_refuse(l, &err);
        return;
    }
    bool is_new = r.worker_id != l->worker_id;
    if (is_new) { /* nothing we did under the old id counts any more */
        link_drop_turns(l, UINT64_MAX);
        l->next_turn_seq = l->declared_seq; /* hqd waits for that one */
        report_clear(l->conf.report);
    }
    for (struct turn *t = l->turns; t != NULL; t = t->next) {
        t->is_out = t->is_answered = false;
        t->is_unsettled = t->next != NULL || !report_is_empty(l->conf.report);
    }
    for (size_t i = 0; i < LINK_EARLY_MAX; i++) {
        hq_buf_fini(&l->early[i].message);
        l->early[i] = (struct early){0};
    }
    l->is_settled = report_is_empty(l->conf.report);
    l->worker_id = r.worker_id;
    memcpy(l->hqd_incarnation, r.hqd_incarnation, LINK_ID_BYTES);
    l->command_seq = r.next_command_seq - 1;
    l->turn_timeout_ms = 2 * HQ_MAX(r.heartbeat_ms > 0 ? r.heartbeat_ms : l->conf.worker->heartbeat_ms, (hq_ms)250);
    l->state = LINK_UP;
    l->registered_ms = hq_clock_ms();
    l->backoff_ms = LINK_BACKOFF_MS_MIN;
    l->out_count = 0;
    l->epoch++;
    l->conf.calls.on_registered(l->conf.calls.ctx, &r, is_new);
    if (l->is_lost) {
        l->is_lost = false;
        l->conf.calls.on_back(l->conf.calls.ctx);
    }
    link_pump(l);
}

static void
link_on_register_reply(void *ctx, int rc, struct hq_str payload)
{
    struct call *c = ctx;
    struct link *l = c->link;
    bool is_now = c->epoch == l->epoch && l->state == LINK_REGISTERING;

    c->is_used = false;
    if (!is_now) {
        return;
    }
    if (rc == 0) {
        link_on_registered(l, payload);
        return;
    }
    bool is_first = l->worker_id == 0;
    struct hq_err err = {0};
    if (is_first && (rc == -EACCES || rc == -EPROTO || rc == -EPROTONOSUPPORT)) {
        (void)hq_err_set(&err, rc, "%s",
                         rc == -EACCES ? "Authentication failed" : "The server speaks another protocol");
        link_refuse(l, &err);
    } else if (is_first && hq_clock_ms() - l->started_ms >= LINK_FIRST_MS_MAX) {
        (void)hq_err_set(&err, rc, "Failed to connect to the server at %s:%u: %s", l->access.worker.host,
                         l->access.worker.port, hq_err_os(rc));
        link_refuse(l, &err);
    } else {
        link_lose(l, rc, "no answer to Register");
    }
}

static void
link_register(struct link *l)
{
    HQ_AUTO(link_held_list_fini) struct link_held_list held = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    struct hq_err err = {0};
    int rc = l->worker_id == 0 ? 0 : l->conf.calls.list_held(l->conf.calls.ctx, &held);

    l->epoch++;
    l->out_count = 0;
    l->state = LINK_REGISTERING;
    l->declared_seq = l->turns != NULL ? l->turns->seq : l->next_turn_seq;
    if (rc == 0) {
        rc = link_pack_register(&out, l->next_request_id++, l->conf.worker, l->worker_id, l->declared_seq, &held, &err);
    }
    struct call *c = link_new_call(l, 0);
    if (rc == 0 && c == NULL) {
        rc = -EBUSY;
    }
    if (rc == 0) {
        rc = hq_net_call(l->client, hq_buf_view(&out), LINK_REGISTER_MS, link_on_register_reply, c, &err);
    }
    if (rc < 0) {
        if (c != NULL) {
            c->is_used = false;
        }
        link_lose(l, rc, "cannot send Register");
    }
}

/* ---- answers */

static void
link_do_commands(struct link *l, struct link_answer *a)
{
    l->command_seq = a->command_seq;
    l->conf.calls.on_commands(l->conf.calls.ctx, a->commands, a->command_count);
}

/* Answers of two turns may come in the wrong order: the later one is kept until the earlier one is there. */
static void
link_keep_early(struct link *l, uint64_t seq, struct hq_str body)
{
    for (size_t i = 0; i < LINK_EARLY_MAX; i++) {
        if (l->early[i].command_seq == 0) {
            l->early[i].command_seq = seq;
            hq_buf_str(&l->early[i].message, body);
            return;
        }
    }
    link_lose(l, -EPROTO, "answers are missing"); /* hqd sends them again after the next Register */
}

static int
link_read_early(struct link *l, struct hq_arena *arena, struct link_answer *ret)
{
    for (size_t i = 0; i < LINK_EARLY_MAX; i++) {
        struct early *e = &l->early[i];
        if (e->command_seq == 0 || e->command_seq > l->command_seq + 1) {
            continue;
        }
        struct hq_buf message = e->message;
        bool is_next = e->command_seq == l->command_seq + 1;
        *e = (struct early){0};
        hq_arena_reset(arena);
        struct hq_str body = hq_arena_str(arena, hq_buf_view(&message));
        hq_buf_fini(&message);
        if (is_next) {
            return link_read_answer(body, arena, ret, NULL) == 0;
        }
    }
    return 0;
}

static void
link_leave_done(struct link *l)
{
    l->state = LINK_ENDED;
    l->epoch++;
    l->conf.calls.on_left(l->conf.calls.ctx);
}

static void
link_on_answer(struct link *l, struct turn *t, struct hq_str body)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct link_answer a;
    struct hq_err err = {0};

    hq_arena_init(&arena, LINK_ARENA_BYTES_MAX);
    if (link_read_answer(body, &arena, &a, &err) < 0) {
        hq_log_error("An answer of the server makes no sense: %s", err.text);
        link_lose(l, -EPROTO, "bad answer");
        return;
    }
    t->is_answered = true;
    bool has_left = t->leaving != LINK_REASON_NONE;
    link_drop_turns(l, HQ_MIN(a.ack_turn_seq, l->next_turn_seq - 1));
    if (l->probe_us != 0) {
        int64_t us = HQ_MAX(hq_clock_us() - l->probe_us, 1);
        l->round_trip_us = (uint32_t)HQ_MIN(l->round_trip_us == 0 ? us : ((int64_t)l->round_trip_us * 7 + us) / 8, 60000000);
        l->probe_us = 0;
    }
    if (has_left) {
        link_leave_done(l);
    }
    uint64_t epoch = l->epoch;
    if (a.command_seq > l->command_seq + 1) {
        link_keep_early(l, a.command_seq, body);
    } else if (a.command_seq == l->command_seq + 1) {
        link_do_commands(l, &a);
        struct link_answer next;
        while (l->epoch == epoch && link_read_early(l, &arena, &next) == 1) {
            link_do_commands(l, &next);
            link_answer_fini(&next);
        }
    }
    link_answer_fini(&a);
}

static void
link_on_turn_error(struct link *l, struct turn *t, struct hq_str body)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct hq_err err = {0};

    hq_arena_init(&arena, LINK_ARENA_BYTES_MAX);
    int rc = link_read_error(body, &arena, &err);
    if (l->leaving != LINK_REASON_NONE) { /* it knows that we go: the rest does not matter */
        link_leave_done(l);
        return;
    }
    hq_ms now_ms = hq_clock_ms();
    if (rc == -ESTALE && now_ms - l->registered_ms >= LINK_REGISTER_EVERY_MS) { /* restarted, or it has given us up */
        link_register(l);
        return;
    }
    if (rc != -EAGAIN && rc != -ESTALE) {
        hq_log_warn("The server refused a turn: %s seq=%llu", err.text, (unsigned long long)t->seq);
    }
    link_lose(l, rc, err.text);
}

static void
link_on_turn_reply(void *ctx, int rc, struct hq_str payload)
{
    struct call *c = ctx;
    struct link *l = c->link;
    struct turn *t = link_find_turn(l, c->turn_seq);
    bool is_now = c->epoch == l->epoch && l->state == LINK_UP;

    c->is_used = false;
    if (!is_now) {
        return;
    }
    l->out_count--;
    if (rc < 0) {
        link_lose(l, rc, "a turn was not answered");
        return;
    }
    struct hq_wire_head head;
    struct hq_str body;
    struct hq_err err = {0};
    if (hq_wire_head(payload, &head, &body, &err) < 0) {
        link_lose(l, -EPROTO, err.text);
        return;
    }
    if (t != NULL) { /* else an earlier answer acknowledged it already, without commands in this one that we lack */
        t->is_out = false;
    }
    struct turn gone = {.seq = c->turn_seq};
    if (head.type == HQ__MESSAGE_TYPE__TYPE_TURN_ANSWER) {
        link_on_answer(l, t != NULL ? t : &gone, body);
    } else {
        link_on_turn_error(l, t != NULL ? t : &gone, body);
    }
    link_pump(l);
}

/* ---- sending */

static bool
link_send(struct link *l, struct turn *t)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    struct hq_err err = {0};
    struct link_turn_head head = {.worker_id = l->worker_id,
                                  .hqd_incarnation = l->hqd_incarnation,
                                  .turn_seq = t->seq,
                                  .ack_command_seq = l->command_seq,
                                  .leaving = t->leaving,
                                  .round_trip_us = l->round_trip_us == 0 ? 0 : l->round_trip_us + (uint32_t)l->linger_us,
                                  .is_unsettled = t->is_unsettled};
    struct call *c = link_new_call(l, t->seq);
    int rc = c == NULL ? -EBUSY : link_pack_turn(&out, l->next_request_id++, &head, hq_buf_view(&t->news), &err);

    if (rc == 0) {
        rc = hq_net_call(l->client, hq_buf_view(&out), l->turn_timeout_ms, link_on_turn_reply, c, &err);
    }
    if (rc < 0) {
        if (c != NULL) {
            c->is_used = false;
        }
        link_lose(l, rc, "cannot send a turn");
        return false;
    }
    if (l->out_count == 1) {
        l->probe_us = hq_clock_us();
    }
    t->is_out = true;
    l->out_count++;
    return true;
}

/* The first turn that has to be sent (again), or NULL. */
static struct turn *
link_next_unsent(struct link *l)
{
    for (struct turn *t = l->turns; t != NULL; t = t->next) {
        if (!t->is_out && !t->is_answered) {
            return t;
        }
    }
    return NULL;
}

static bool
link_may_add(const struct link *l)
{
    return l->turn_count < HQ_UNACKED_TURNS_MAX || l->out_count == 0;
}

/* One turn is always at hqd; `with_news` sends what there is in a second one. */
static void
link_send_news(struct link *l, bool with_news)
{
    while (l->state == LINK_UP && l->out_count < LINK_OUT_MAX) {
        struct turn *t = link_next_unsent(l);
        bool has_news = !report_is_empty(l->conf.report) || l->leaving != LINK_REASON_NONE;
        if (t == NULL && (l->out_count == 0 || (with_news && has_news)) && link_may_add(l)) {
            t = link_make_turn(l);
            l->last_news_ms = has_news ? hq_clock_ms() : l->last_news_ms;
        }
        if (t == NULL || !link_send(l, t)) {
            return;
        }
    }
}

static void
link_start_linger(struct link *l, hq_ms delay_ms)
{
    double delay = (double)delay_ms / 1000.0;

    if (ev_is_active(&l->linger)) {
        if (ev_timer_remaining(l->conf.loop, &l->linger) <= delay) {
            return;
        }
        ev_timer_stop(l->conf.loop, &l->linger);
    }
    ev_now_update(l->conf.loop);
    ev_timer_set(&l->linger, delay, 0.);
    ev_timer_start(l->conf.loop, &l->linger);
}

/* When the next news may leave. */
static hq_ms
link_delay_ms(const struct link *l)
{
    if (l->linger_ms <= LINK_URGENT_MS) {
        return LINK_URGENT_MS;
    }
    return HQ_MAX(l->last_news_ms + l->linger_ms - hq_clock_ms(), (hq_ms)LINK_URGENT_MS);
}

/* After an answer. Under load the next turn waits for its share of news: hqd can say nothing meanwhile, for a few
 * milliseconds, and both sides are spared every second message. */
static void
link_pump(struct link *l)
{
    bool is_lazy = l->linger_ms > LINK_URGENT_MS && l->leaving == LINK_REASON_NONE && l->is_settled;

    if (l->state == LINK_UP && l->out_count == 0 && is_lazy && link_next_unsent(l) == NULL) {
        link_start_linger(l, link_delay_ms(l));
    } else {
        link_send_news(l, l->leaving != LINK_REASON_NONE);
    }
}

static void
link_on_linger(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    link_send_news(w->data, true);
}

void
link_news(struct link *l, hq_ms linger_ms)
{
    l->linger_ms = HQ_MIN(linger_ms, (hq_ms)LINK_LINGER_MS_MAX);
    if (l->state != LINK_UP || l->out_count >= LINK_OUT_MAX || report_is_empty(l->conf.report)) {
        return; /* the next answer, or registration, sends it */
    }
    l->linger_us = (l->linger_us * 7 + (int64_t)l->linger_ms * 1000) / 8;
    link_start_linger(l, link_delay_ms(l));
}

void
link_nudge(struct link *l)
{
    if (l->state == LINK_UP && l->out_count < LINK_OUT_MAX && link_next_unsent(l) == NULL && link_may_add(l)) {
        struct turn *t = link_make_turn(l);
        if (t != NULL) {
            (void)link_send(l, t); /* else it goes with the next attempt */
        }
    }
}

void
link_leave(struct link *l, enum link_reason reason)
{
    l->leaving = reason;
    link_pump(l);
}

uint32_t
link_worker_id(const struct link *l)
{
    return l->worker_id;
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
    for (size_t i = 0; i < LINK_EARLY_MAX; i++) {
        hq_buf_fini(&l->early[i].message);
    }
    hq_access_fini(&l->access);
    free(l);
}
