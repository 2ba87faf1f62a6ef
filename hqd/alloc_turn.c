#include "hqd/alloc_turn.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "hqd/convert.h"
#include "hqd/core/query_alloc.h"
#include "hqd/egress.h"
#include "hqd/egress_alloc.h"
#include "hqd/shell_impl.h"

#define LOOK_GAP_MS (1000 / ALLOC_LOOKS_PER_S)
#define SILENT_MS (2 * ALLOC_TURN_WAIT_MS_MAX)

void
alloc_turn_init(struct alloc_turn *t)
{
    *t = (struct alloc_turn){.looked_ms = INT64_MIN / 2};
}

void
alloc_turn_fini(struct alloc_turn *t)
{
    hq_buf_fini(&t->demand);
    free(t->problem);
    free(t->start_problem);
}

static void
set_text(char **to, struct hq_str from)
{
    free(*to);
    *to = from.len == 0 ? NULL : hq_str_dupz(from);
}

/* ---- messages */
static void
add_demand(struct shell *s, Hq__AllocTurnAnswer *m, struct hq_arena *arena)
{
    struct query_demand *v;
    struct core_now now = shell_now(s);
    query_demand(s->core, &now, arena, &v, &m->n_demand);
    m->demand = hq_arena_array(arena, m->n_demand, sizeof m->demand[0]);
    for (size_t i = 0; i < m->n_demand; i++) {
        Hq__AllocDemand *d = hq_arena_alloc(arena, sizeof *d);
        hq__alloc_demand__init(d);
        d->queue = v[i].queue.v;
        d->single = v[i].single;
        d->ending = v[i].ending;
        d->n_multi = v[i].multi_count;
        d->multi = hq_arena_array(arena, d->n_multi, sizeof d->multi[0]);
        for (size_t k = 0; k < d->n_multi; k++) {
            d->multi[k] = hq_arena_alloc(arena, sizeof *d->multi[k]);
            hq__alloc_nodes__init(d->multi[k]);
            d->multi[k]->nodes = v[i].multi[k].nodes;
            d->multi[k]->count = v[i].multi[k].count;
        }
        m->demand[i] = d;
    }
}

static void
add_trials(struct shell *s, Hq__AllocTurnAnswer *m, struct hq_arena *arena)
{
    struct query_alloc_trial *v;
    query_alloc_trials(s->core, arena, &v, &m->n_trials);
    m->trials = hq_arena_array(arena, m->n_trials, sizeof m->trials[0]);
    for (size_t i = 0; i < m->n_trials; i++) {
        m->trials[i] = hq_arena_alloc(arena, sizeof *m->trials[i]);
        hq__alloc_trial__init(m->trials[i]);
        m->trials[i]->trial = v[i].trial;
        m->trials[i]->params = conv_out_alloc_params(v[i].params, arena);
    }
}

/* The demand part alone, packed: to see whether it has changed. */
static void
pack_demand(const Hq__AllocTurnAnswer *m, struct hq_buf *out)
{
    Hq__AllocTurnAnswer alone;
    hq__alloc_turn_answer__init(&alone);
    alone.n_demand = m->n_demand;
    alone.demand = m->demand;
    size_t bytes = hq__alloc_turn_answer__get_packed_size(&alone);
    hq_buf_clear(out);
    hq_buf_reserve(out, bytes + 1);
    out->len = hq__alloc_turn_answer__pack(&alone, (uint8_t *)out->ptr);
}

static void
build_answer(struct shell *s, uint64_t since, Hq__AllocTurnAnswer *m, struct hq_arena *arena)
{
    struct alloc_turn *t = &s->alloc_turn;
    struct query_alloc_list list;
    hq__alloc_turn_answer__init(m);
    m->hqd_incarnation = conv_bytes(s->conf.identity.incarnation);
    m->version = query_alloc_version(s->core) + 1; /* 0 means: tell everything */
    m->is_full = since == 0;
    query_alloc_list(s->core,
                     &(struct query_alloc_args){.with_allocs = true,
                                                .with_planned = true,
                                                .with_removed = true,
                                                .only_live = true,
                                                .since = since == 0 ? 0 : since - 1,
                                                .bytes_max = SIZE_MAX,
                                                .now_ms = hq_clock_wall_ms()},
                     arena, &list);
    m->n_queues = list.count;
    m->queues = egress_alloc_queues(&list, arena);
    add_demand(s, m, arena);
    add_trials(s, m, arena);
    query_alloc_gone(s->core, since == 0 ? UINT64_MAX : since - 1, arena, &m->gone, &m->n_gone);
    m->is_stopping = t->is_draining || s->is_stopping;
    m->wants_status = t->wants_status;
    pack_demand(m, &t->demand);
    t->looked_ms = hq_clock_ms();
    t->is_look_due = false;
    t->wants_status = false;
}

static void
pack_answer(struct shell *s, uint64_t handle, uint64_t since, struct hq_buf *ret_bytes)
{
    const struct request *r = request_find(&s->peers, handle);
    struct hq_arena arena;
    Hq__AllocTurnAnswer m;
    hq_arena_init(&arena, 0);
    build_answer(s, since, &m, &arena);
    egress_pack(ret_bytes, HQ__MESSAGE_TYPE__TYPE_ALLOC_TURN_ANSWER, r == NULL ? 0 : r->request_id, &m.base);
    hq_arena_fini(&arena);
}

/* At the end of a turn of the loop: what the pass gave out is no demand any more. */
static void
release_held(struct shell *s)
{
    struct alloc_turn *t = &s->alloc_turn;
    uint64_t handle = t->held;
    struct hq_buf bytes = HQ_BUF_INIT;
    t->held = 0;
    if (handle == 0 || request_find(&s->peers, handle) == NULL) {
        return;
    }
    pack_answer(s, handle, t->held_version, &bytes);
    if (t->held_after_seq > s->committed_seq) {
        s->wants_commit = true;
        s->is_dirty = true;
        outbox_put(&s->outbox, EFFECT_AFTER_COMMIT, t->held_after_seq, INT64_MAX, handle, &bytes);
    } else {
        shell_answer_now(s, handle, hq_buf_view(&bytes));
        hq_buf_fini(&bytes);
    }
}

/* The next turn is here already: it gets the news. */
static void
dismiss_held(struct shell *s)
{
    struct alloc_turn *t = &s->alloc_turn;
    const struct request *r = t->held == 0 ? NULL : request_find(&s->peers, t->held);
    if (r != NULL) {
        Hq__AllocTurnAnswer m;
        hq__alloc_turn_answer__init(&m);
        m.hqd_incarnation = conv_bytes(s->conf.identity.incarnation);
        m.version = t->held_version;
        m.is_brief = true;
        hq_buf_clear(&s->answer_bytes);
        egress_pack(&s->answer_bytes, HQ__MESSAGE_TYPE__TYPE_ALLOC_TURN_ANSWER, r->request_id, &m.base);
        shell_answer_now(s, t->held, hq_buf_view(&s->answer_bytes));
    }
    t->held = 0;
}

/* ---- turns */
static bool
is_current(struct shell *s, const Hq__AllocTurn *m)
{
    struct alloc_turn *t = &s->alloc_turn;
    bool is_known = t->is_there && memcmp(t->incarnation, m->incarnation.data, INCARNATION_BYTES) == 0;
    bool is_new = !hq_str_eq(conv_str(m->hqd_incarnation), s->conf.identity.incarnation);
    if (!is_known && !is_new) {
        return false; /* one that was replaced */
    }
    if (!is_known) {
        memcpy(t->incarnation, m->incarnation.data, INCARNATION_BYTES);
        t->is_there = true;
        t->since_ms = hq_clock_wall_ms();
        set_text(&t->start_problem, HQ_STR_NULL);
        hq_log_debug("hq-allocd is there pid=%u", m->pid);
    }
    t->pid = m->pid;
    t->heard_ms = hq_clock_ms();
    set_text(&t->problem, hq_str_sub(conv_str(m->problem), 0, HQ_NAME_BYTES_MAX));
    return true;
}

static void
log_reports(const Hq__AllocTurn *m)
{
    for (size_t i = 0; i < m->n_reports; i++) {
        const Hq__AllocReport *r = m->reports[i];
        if ((int)r->kind == ALLOC_REPORT_LEFT) {
            hq_log_error("Allocation %.*s could not be cancelled: %.*s", (int)r->allocation_id.len,
                         (const char *)r->allocation_id.data, (int)r->text.len, (const char *)r->text.data);
        }
    }
}

void
alloc_turn_on_turn(struct shell *s, struct peer *peer, uint64_t handle, uint64_t request_id, const Hq__AllocTurn *m,
                   const struct input *in)
{
    struct alloc_turn *t = &s->alloc_turn;
    struct hq_err why = {0};
    (void)request_id;
    if (peer_uid(&s->peers, peer) != s->peers.owner_uid) {
        shell_refuse(s, handle, -EACCES, "Only the server's own user may manage allocations");
        return;
    }
    if (!is_current(s, m)) {
        shell_refuse(s, handle, -ESTALE, "Another hq-allocd has taken over");
        return;
    }
    if (m->n_reports > 0 && journal_refuses(s->journal, 0, &why)) {
        shell_refuse(s, handle, why.code, why.text);
        return;
    }
    uint64_t version = hq_str_eq(conv_str(m->hqd_incarnation), s->conf.identity.incarnation) ? m->version : 0;
    if (t->held != 0 && t->held_after_seq != 0) {
        release_held(s); /* two turns with reports: both are answered in full */
    }
    dismiss_held(s);
    t->held_after_seq = 0;
    if (m->n_reports > 0) {
        log_reports(m);
        shell_step(s, in);
        t->held_after_seq = core_newest_seq(s->core);
    }
    t->held = handle;
    t->held_version = version;
    t->held_until_ms = hq_clock_ms() + HQ_MIN((hq_ms)m->wait_ms, (hq_ms)ALLOC_TURN_WAIT_MS_MAX);
    t->is_look_due = true;
    shell_arm_wait_timer(s);
}

/* Has the demand changed since it was told? */
static bool
demand_changed(struct shell *s)
{
    struct alloc_turn *t = &s->alloc_turn;
    struct hq_arena arena;
    Hq__AllocTurnAnswer m;
    HQ_AUTO(hq_buf_fini) struct hq_buf now = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    hq__alloc_turn_answer__init(&m);
    add_demand(s, &m, &arena);
    pack_demand(&m, &now);
    hq_arena_fini(&arena);
    return !hq_str_eq(hq_buf_view(&now), hq_buf_view(&t->demand));
}

static bool
has_news(struct shell *s, hq_ms now_ms)
{
    struct alloc_turn *t = &s->alloc_turn;
    if (t->held_after_seq != 0 || t->held_version != query_alloc_version(s->core) + 1 || t->wants_status ||
        now_ms >= t->held_until_ms) {
        return true;
    }
    if (!t->is_look_due || now_ms - t->looked_ms < LOOK_GAP_MS) {
        return false;
    }
    t->is_look_due = false;
    t->looked_ms = now_ms;
    return demand_changed(s);
}

static void
end_drain(struct shell *s)
{
    struct alloc_turn *t = &s->alloc_turn;
    struct input in = {.kind = INPUT_SERVER_STOP, .from = t->stop};
    uint32_t left = query_alloc_live_count(s->core);
    if (left > 0) {
        hq_log_error("The server ends although %u allocations could not be cancelled", left);
    }
    t->is_draining = false;
    t->drain_until_ms = 0;
    shell_step(s, &in);
}

hq_ms
alloc_turn_progress(struct shell *s, hq_ms now_ms)
{
    struct alloc_turn *t = &s->alloc_turn;
    if (t->is_draining && (query_alloc_live_count(s->core) == 0 || now_ms >= t->drain_until_ms)) {
        end_drain(s);
    }
    if (t->is_there && now_ms - t->heard_ms > SILENT_MS) {
        t->is_there = false;
    }
    hq_ms next_ms = t->is_draining ? t->drain_until_ms : INT64_MAX;
    if (t->held == 0) {
        return next_ms;
    }
    if (has_news(s, now_ms) || s->is_stopping) {
        release_held(s);
        return next_ms;
    }
    next_ms = HQ_MIN(next_ms, t->held_until_ms);
    return t->is_look_due ? HQ_MIN(next_ms, t->looked_ms + LOOK_GAP_MS) : next_ms;
}

bool
alloc_turn_hold_stop(struct shell *s, const struct input_client *from)
{
    struct alloc_turn *t = &s->alloc_turn;
    if (s->is_stopping || t->is_draining || query_alloc_live_count(s->core) == 0) {
        return false; /* asked a second time: at once */
    }
    t->is_draining = true;
    t->stop = *from;
    t->drain_until_ms = hq_clock_ms() + ALLOC_DRAIN_MS_MAX;
    t->held_until_ms = 0; /* it is told now */
    shell_arm_wait_timer(s);
    return true;
}

/* ---- for clients */
void
alloc_turn_on_list(struct shell *s, uint64_t handle, uint64_t request_id, const Hq__AllocList *m)
{
    struct alloc_turn *t = &s->alloc_turn;
    struct query_alloc_list list;
    struct query_alloc_args args = {.queue = {m->queue},
                                    .allocation_id = conv_str(m->allocation_id),
                                    .with_allocs = m->queue != 0 || m->with_status != 0,
                                    .after_number = m->after_number,
                                    .bytes_max = HQ_PAGE_BYTES,
                                    .now_ms = hq_clock_wall_ms()};
    query_alloc_list(s->core, &args, &s->conv_arena, &list);
    Hq__AllocListAnswer a;
    hq__alloc_list_answer__init(&a);
    a.n_queues = list.count;
    a.queues = egress_alloc_queues(&list, &s->conv_arena);
    a.has_more = list.has_more;
    a.is_allocd_there = t->is_there;
    a.allocd_pid = t->is_there ? t->pid : 0;
    a.allocd_since_ms = t->is_there ? (uint64_t)t->since_ms : 0;
    a.allocd_problem = conv_bytes(hq_str_from(t->is_there ? t->problem : t->start_problem));
    a.now_ms = (uint64_t)args.now_ms;
    struct hq_buf bytes = HQ_BUF_INIT;
    egress_pack(&bytes, HQ__MESSAGE_TYPE__TYPE_ALLOC_LIST_ANSWER, request_id, &a.base);
    shell_answer_question(s, handle, &bytes);
    if (m->with_status) {
        t->wants_status = true;
        shell_arm_wait_timer(s);
    }
}

void
alloc_turn_not_there(struct shell *s, const char *why)
{
    struct query_alloc_trial *v;
    struct hq_arena arena;
    size_t count;
    hq_arena_init(&arena, 0);
    set_text(&s->alloc_turn.start_problem, hq_str_from(why));
    s->alloc_turn.is_there = false;
    query_alloc_trials(s->core, &arena, &v, &count);
    struct alloc_report *reports = hq_arena_array(&arena, count, sizeof *reports);
    for (size_t i = 0; i < count; i++) {
        reports[i] = (struct alloc_report){
            .kind = ALLOC_REPORT_TRIAL, .trial = v[i].trial, .a = {.is_failed = true, .text = hq_str_from(why)}};
    }
    if (count > 0) {
        struct input in = {.kind = INPUT_ALLOC_REPORTS, .u.alloc_reports = {.v = reports, .count = count}};
        shell_step(s, &in);
    }
    hq_arena_fini(&arena);
}

void
alloc_turn_log(const struct record *rec)
{
    const struct record_allocation *a = &rec->u.allocation;
    switch ((int)rec->kind) {
    case RECORD_ALLOCATION_QUEUED:
        hq_log_info("Queued %u worker(s) into queue %u: allocation ID %.*s", a->worker_count, a->queue.v,
                    HQ_STR_FMT(a->allocation_id));
        break;
    case RECORD_WORKER_CONNECTED:
        if (rec->u.worker_connected.config.manager != WORKER_MANAGER_NONE) {
            hq_log_info("Worker %u connected from allocation %.*s", rec->u.worker_connected.worker.v,
                        HQ_STR_FMT(rec->u.worker_connected.config.manager_job_id));
        }
        break;
    case RECORD_ALLOCATION_REFUSED:
        if (a->is_failed) {
            hq_log_error("Failed to submit allocation into queue %u: %.*s", a->queue.v, HQ_STR_FMT(a->text));
        } else {
            hq_log_warn("Allocation %u of queue %u was not submitted: %.*s", a->number, a->queue.v,
                        HQ_STR_FMT(a->text));
        }
        break;
    case RECORD_ALLOCATION_FINISHED:
        if (hq_str_is(a->text, "cancelled")) {
            hq_log_info("Allocation %.*s was removed", HQ_STR_FMT(a->allocation_id));
        } else if (a->text.len > 0) {
            hq_log_warn("Allocation %.*s ended: %.*s queue=%u", HQ_STR_FMT(a->allocation_id), HQ_STR_FMT(a->text),
                        a->queue.v);
        }
        break;
    case RECORD_ALLOC_QUEUE_PAUSED:
        if (rec->u.alloc_queue_event.text.len > 0) {
            hq_log_error("The queue %u had %.*s, it will be paused.", rec->u.alloc_queue_event.queue.v,
                         HQ_STR_FMT(rec->u.alloc_queue_event.text));
        }
        break;
    default:
        break;
    }
}
