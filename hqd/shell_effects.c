#include "hqd/shell_impl.h"

#include "common/clock.h"
#include "hqd/egress.h"
#include "hqd/record_pb.h"

static void
log_worker_lost(struct shell *s, const struct record_worker_lost *lost)
{
    /* Three words only, as the reference has them: a stop and an idle timeout close the connection as well. */
    static const char *const words[LOST_REASONS] = {
        [LOST_NONE] = "connection lost",
        [LOST_STOPPED] = "connection lost",
        [LOST_CONNECTION] = "connection lost",
        [LOST_HEARTBEAT] = "heartbeat lost",
        [LOST_IDLE] = "connection lost",
        [LOST_TIME_LIMIT] = "time limit reached",
    };
    const struct peer *p = peers_of_worker(&s->peers, lost->worker.v);
    if (p != NULL) {
        hq_log_info("Worker %u (%s) connection closed: %s", lost->worker.v, p->net.addr, words[lost->reason]);
    } else {
        hq_log_info("Worker %u did not come back: %s", lost->worker.v, words[lost->reason]);
    }
}

/* Is it worth an fdatasync of its own? Assignments and measurements are not: a power cut may take them. */
static bool
wants_commit(enum record_kind kind)
{
    return kind != RECORD_TASKS_ASSIGNED && kind != RECORD_WORKER_OVERVIEW;
}

static void
on_record(struct shell *s, const struct record *rec)
{
    if (rec->kind == RECORD_WORKER_LOST) {
        log_worker_lost(s, &rec->u.worker_lost);
    }
    alloc_turn_log(rec);
    hq_buf_clear(&s->record_bytes);
    record_pb_encode(rec, &s->fx.arena, &s->record_bytes);
    journal_append(s->journal, rec->seq, hq_buf_view(&s->record_bytes));
    s->wants_commit = s->wants_commit || wants_commit(rec->kind);
}

static void
put(struct shell *s, const struct effect *e, uint64_t handle)
{
    if (e->when == EFFECT_AFTER_COMMIT) {
        s->wants_commit = true;
    }
    const struct request *r = request_find(&s->peers, handle);
    hq_ms hold_ms = r != NULL && r->is_turn ? TURN_HOLD_MS : CLIENT_HOLD_MS;
    hq_ms late_ms = e->when == EFFECT_NOW ? INT64_MAX : hq_clock_ms() + hold_ms;
    outbox_put(&s->outbox, e->when, e->after_seq, late_ms, handle, &s->answer_bytes);
}

static void
on_answer(struct shell *s, const struct effect *e)
{
    const struct answer *a = &e->u.answer;
    const struct request *r = request_find(&s->peers, a->handle);
    if (r != NULL) {
        hq_buf_clear(&s->answer_bytes);
        egress_answer(&s->answer_bytes, r->request_id, a, &s->fx.arena);
        put(s, e, a->handle);
    }
}

static void
on_registered(struct shell *s, const struct effect *e)
{
    const struct registered *g = &e->u.registered;
    const struct request *r = request_find(&s->peers, g->handle);
    if (r == NULL) {
        return; /* it has gone again: the core hears of it, or already has */
    }
    if (g->code >= 0) {
        peers_set_worker(&s->peers, r->peer, g->worker.v);
        hq_log_info("Worker %u registered from %s", g->worker.v, r->peer->net.addr);
    }
    hq_buf_clear(&s->answer_bytes);
    egress_registered(&s->answer_bytes,
                      r->request_id,
                      g,
                      s->conf.identity.server_uid,
                      s->conf.identity.incarnation,
                      &s->fx.arena);
    put(s, e, g->handle);
}

static void
on_turn(struct shell *s, const struct effect *e)
{
    const struct turn_answer *t = &e->u.turn;
    const struct request *r = request_find(&s->peers, t->handle);
    if (t->code == -EPROTO) {
        hq_log_warn("Worker %u is dropped: it reports %.*s", t->worker.v, HQ_STR_FMT(t->text));
    }
    if (r != NULL) {
        hq_buf_clear(&s->answer_bytes);
        egress_turn(&s->answer_bytes, r->request_id, t, &s->fx.arena);
        put(s, e, t->handle);
    }
}

void
shell_carry_out(struct shell *s)
{
    for (size_t i = 0; i < s->fx.count; i++) {
        const struct effect *e = &s->fx.v[i];
        switch (e->kind) {
        case EFFECT_RECORD:
            on_record(s, &e->u.record);
            break;
        case EFFECT_EVENT:
            follow_add_event(s, &e->u.record, e->after_seq);
            break;
        case EFFECT_ANSWER:
            on_answer(s, e);
            break;
        case EFFECT_REGISTERED:
            on_registered(s, e);
            break;
        case EFFECT_TURN:
            on_turn(s, e);
            break;
        case EFFECT_NOTE:
            publish_mark(&s->publish, &e->u.note, e->after_seq);
            break;
        case EFFECT_WORKER_GONE:
            peers_forget_worker(&s->peers, e->u.worker_gone.v);
            break;
        case EFFECT_STOP:
            shell_begin_stop(s);
            break;
        }
    }
}

void
shell_step(struct shell *s, const struct input *in)
{
    struct core_now now = shell_now(s);
    effects_clear(&s->fx);
    core_step(s->core, in, &now, &s->fx);
    shell_carry_out(s);
    s->is_dirty = true;
}

/* ---- answers */

static void
send_by(struct shell *s, const struct request *r, struct hq_str bytes)
{
    int rc = hq_net_answer(s->net[r->peer->door], &r->route, bytes);
    if (rc < 0) {
        hq_log_error("An answer could not be sent peer=%s bytes=%zu rc=%d", r->peer->net.addr, bytes.len, rc);
    }
}

void
shell_send(void *shell, uint64_t handle, struct hq_str bytes)
{
    struct shell *s = shell;
    struct request r;
    if (!request_close(&s->peers, handle, &r)) {
        return; /* its peer has gone */
    }
    struct request other;
    if (!r.is_spent) {
        send_by(s, &r, bytes);
    } else if (peer_take_route(r.peer, &other)) {
        send_by(s, &other, bytes); /* the envelope names the other turn's request; workers go by command numbers */
    } else {
        peer_keep_answer(r.peer, bytes);
    }
}

void
shell_send_kept(struct shell *s, struct peer *p, struct hq_buf *bytes)
{
    struct request r;
    if (peer_take_route(p, &r)) {
        send_by(s, &r, hq_buf_view(bytes));
    }
    hq_buf_fini(bytes);
}

/* An answer waits for the journal for too long. A worker must not take that for the end of hqd: it gets a heartbeat that says
 * nothing, and what was meant for it goes by its next turn. A client is told why it waits. */
hq_ms
shell_on_late(void *shell, uint64_t handle)
{
    struct shell *s = shell;
    const struct request *r = request_find(&s->peers, handle);
    if (r == NULL) {
        return INT64_MAX;
    }
    if (r->is_turn) {
        struct turn_answer heartbeat = {0};
        HQ_AUTO(hq_buf_fini) struct hq_buf bytes = HQ_BUF_INIT;
        egress_turn(&bytes, r->request_id, &heartbeat, &s->conv_arena);
        send_by(s, r, hq_buf_view(&bytes));
        request_spend(&s->peers, handle);
        return INT64_MAX;
    }
    struct hq_err why = {0};
    if (!journal_failing(s->journal, &why)) {
        return hq_clock_ms() + CLIENT_HOLD_MS; /* slow, but on its way */
    }
    if (r->peer->door == PEER_CLIENTS) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        hq_buf_printf(&text, "%s\nThe request takes effect as soon as it can be written.", why.text);
        shell_refuse(s, handle, why.code, text.ptr);
    }
    return INT64_MAX;
}

void
shell_answer_now(struct shell *s, uint64_t handle, struct hq_str bytes)
{
    shell_send(s, handle, bytes);
}

void
shell_answer_question(struct shell *s, uint64_t handle, struct hq_buf *bytes)
{
    uint64_t newest_seq = core_newest_seq(s->core);
    if (newest_seq <= s->committed_seq) {
        shell_send(s, handle, hq_buf_view(bytes));
        hq_buf_fini(bytes);
        return;
    }
    s->wants_commit = true;
    outbox_put_question(&s->outbox, newest_seq, hq_clock_ms() + QUESTION_WAIT_MS, handle, bytes);
    shell_arm_wait_timer(s);
}

void
shell_refuse(struct shell *s, uint64_t handle, int code, const char *text)
{
    const struct request *r = request_find(&s->peers, handle);
    if (r != NULL) {
        hq_buf_clear(&s->answer_bytes);
        egress_error(&s->answer_bytes, r->request_id, code, hq_str_from(text));
        shell_send(s, handle, hq_buf_view(&s->answer_bytes));
    }
}
