/* link_turns.c - turns kept until hqd's journal has them, their answers, and when the next one leaves. */
#include "hq-workerd/link_impl.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wire.h"

#include "proto/common.pb-c.h"

void
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

/* ---- answers */

static void
link_do_commands(struct link *l, struct link_answer *a)
{
    l->command_seq = a->command_seq;
    l->conf.calls.on_commands(l->conf.calls.ctx, a->commands, a->command_count);
}

void
link_drop_early(struct link *l)
{
    for (size_t i = 0; i < LINK_EARLY_MAX; i++) {
        hq_buf_fini(&l->early[i].message);
        l->early[i] = (struct early){0};
    }
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
void
link_pump(struct link *l)
{
    bool is_lazy = l->linger_ms > LINK_URGENT_MS && l->is_settled;

    if (l->state != LINK_UP) {
        return;
    }
    if (l->leaving != LINK_REASON_NONE || link_next_unsent(l) != NULL || (l->out_count == 0 && !is_lazy)) {
        link_send_news(l, l->leaving != LINK_REASON_NONE);
    }
    if (l->state == LINK_UP && l->out_count < LINK_OUT_MAX && (l->out_count == 0 || !report_is_empty(l->conf.report))) {
        link_start_linger(l, link_delay_ms(l)); /* what came while both turns were out */
    }
}

void
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
