/* Turns with hqd: reports up, everything that changed down. */
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/serverdir.h"
#include "common/wire.h"
#include "hq-allocd/state.h"

#define POLL_MS 25000
#define ANSWER_MS 20000 /* beyond what hqd may hold */
#define AGAIN_MS_MIN 100
#define AGAIN_MS_MAX 5000
#define REPORTS_MAX 500u /* in one turn; the rest goes into the next */

/* ---- reports */
void
link_set_bytes(ProtobufCBinaryData *to, struct hq_str from)
{
    free(to->data);
    to->len = from.len;
    to->data = from.len == 0 ? NULL : hq_xmemdup(from.ptr, from.len);
}

Hq__AllocReport *
link_report(struct allocd *a, Hq__AllocReportKind kind, uint32_t queue, uint32_t number)
{
    struct report *r = hq_xalloc(sizeof *r);
    hq__alloc_report__init(&r->m);
    r->m.kind = kind;
    r->m.queue = queue;
    r->m.number = number;
    STAILQ_INSERT_TAIL(&a->reports, r, link);
    a->is_due = true;
    return &r->m;
}

bool
link_has_reports(const struct allocd *a)
{
    return !STAILQ_EMPTY(&a->reports);
}

static void
report_free(struct report *r)
{
    free(r->m.allocation_id.data);
    free(r->m.work_dir.data);
    free(r->m.text.data);
    free(r);
}

/* ---- the way to hqd: its ports, keys and socket may be others after each restart */
static int
connect_hqd(struct allocd *a, struct hq_err *err)
{
    HQ_AUTO(hq_access_fini) struct hq_access access = HQ_ACCESS_INIT;
    HQ_AUTO(hq_endpoint_fini) struct hq_endpoint endpoint = {0};
    if (a->net != NULL) {
        return 0;
    }
    hq_buf_clear(&a->instance);
    int rc = hq_serverdir_load_client(&access, &a->instance, a->server_dir, false, err);
    if (rc < 0) {
        return rc;
    }
    if (hq_endpoint_load(&endpoint, a->instance.ptr, NULL) < 0) {
        endpoint = (struct hq_endpoint){0}; /* then there is only TCP */
    }
    struct hq_net_client_conf conf = {.loop = a->loop,
                                      .ipc_path = endpoint.ipc,
                                      .host = access.client.host,
                                      .port = access.client.port,
                                      .secret = access.client.has_key ? access.client.key : NULL,
                                      .role = HQ_ROLE_CLIENT};
    return hq_net_client_create(&a->net, &conf, err);
}

static void
turn_failed(struct allocd *a, const char *why)
{
    hq_ms wait_ms = backoff_retry_ms(a->failures, AGAIN_MS_MIN, AGAIN_MS_MAX);
    if (a->failures++ == 0) {
        hq_log_debug("hqd does not answer: %s", why);
    }
    a->next_turn_ms = hq_clock_ms() + wait_ms;
    hq_net_client_destroy(a->net); /* calls that are out come to nothing */
    a->net = NULL;
    a->is_poll_out = false;
    a->is_report_out = false;
    struct report *r;
    STAILQ_FOREACH(r, &a->reports, link)
    {
        r->is_sent = false;
    }
    a->is_due = true;
}

/* ---- answers */
/* What the sent reports meant, now that hqd has them on disk. */
static void
take_acks(struct allocd *a, bool is_before_merge)
{
    struct report *next;
    for (struct report *r = STAILQ_FIRST(&a->reports); r != NULL; r = next) {
        next = STAILQ_NEXT(r, link);
        if (!r->is_sent) {
            continue;
        }
        if (is_before_merge) {
            if (r->m.kind == HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_REFUSED) {
                mirror_refused(a, r->m.queue, r->m.number);
            }
            continue;
        }
        if (r->m.kind == HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_PLANNED) {
            mirror_confirmed(a, r->m.queue, r->m.number);
        }
        STAILQ_REMOVE(&a->reports, r, report, link);
        report_free(r);
    }
}

static void
take_answer(struct allocd *a, const Hq__AllocTurnAnswer *m, bool is_ack)
{
    bool is_other = !a->has_hqd || m->hqd_incarnation.len != INCARNATION_BYTES ||
                    memcmp(a->hqd_incarnation, m->hqd_incarnation.data, INCARNATION_BYTES) != 0;
    if (m->hqd_incarnation.len == INCARNATION_BYTES) {
        memcpy(a->hqd_incarnation, m->hqd_incarnation.data, INCARNATION_BYTES);
        a->has_hqd = true;
    }
    if (is_other && !m->is_full) {
        a->version = 0; /* the next turn asks for everything */
        return;
    }
    if (is_ack) {
        take_acks(a, true);
    }
    if (!m->is_brief && (is_other || m->version >= a->version)) { /* answers may overtake each other */
        a->version = m->version;
        mirror_merge(a, m);
        for (size_t i = 0; i < m->n_trials; i++) {
            trial_begin(a, m->trials[i]);
        }
        if (m->wants_status) {
            look_soon(a);
        }
    }
    if (is_ack) {
        take_acks(a, false);
    }
}

static int
read_answer(struct allocd *a, struct hq_str payload, bool is_ack, struct hq_err *err)
{
    struct hq_wire_head head;
    struct hq_str body;
    int rc = hq_wire_head(payload, &head, &body, err);
    if (rc < 0) {
        return rc;
    }
    ProtobufCMessage *msg = NULL;
    hq_arena_reset(&a->turn_arena);
    if (head.type == HQ__MESSAGE_TYPE__TYPE_ERROR) {
        rc = hq_wire_unpack(body, &hq__error__descriptor, &a->turn_arena, &msg, err);
        if (rc < 0) {
            return rc;
        }
        const Hq__Error *e = (const Hq__Error *)(const void *)msg;
        return hq_err_set(err, e->code < 0 ? e->code : -EREMOTEIO, "%.*s", (int)e->text.len,
                          (const char *)e->text.data);
    }
    if (head.type != HQ__MESSAGE_TYPE__TYPE_ALLOC_TURN_ANSWER) {
        return hq_err_set(err, -EPROTO, "hqd gave an answer of type %u", head.type);
    }
    rc = hq_wire_unpack(body, &hq__alloc_turn_answer__descriptor, &a->turn_arena, &msg, err);
    if (rc == 0) {
        take_answer(a, (const Hq__AllocTurnAnswer *)(const void *)msg, is_ack);
    }
    return rc;
}

static void
on_answer(struct allocd *a, int rc, struct hq_str payload, bool is_ack)
{
    struct hq_err err = {0};
    a->is_due = true;
    if (rc == 0) {
        rc = read_answer(a, payload, is_ack, &err);
    } else {
        (void)hq_err_set(&err, rc, "%s", hq_err_os(rc));
    }
    if (rc == 0) {
        a->failures = 0;
        return;
    }
    if (rc == -ESTALE) {
        hq_log_info("%s: this one ends", err.text);
        a->is_ending = true;
        ev_break(a->loop, EVBREAK_ALL);
        return;
    }
    turn_failed(a, err.text);
}

static void
on_poll(void *ctx, int rc, struct hq_str payload)
{
    struct allocd *a = ctx;
    a->is_poll_out = false;
    on_answer(a, rc, payload, false);
}

static void
on_report(void *ctx, int rc, struct hq_str payload)
{
    struct allocd *a = ctx;
    a->is_report_out = false;
    on_answer(a, rc, payload, true);
}

/* ---- turns */
static int
send_turn(struct allocd *a, bool with_reports, struct hq_err *err)
{
    Hq__AllocTurn m = HQ__ALLOC_TURN__INIT;
    Hq__AllocReport *list[REPORTS_MAX];
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    m.incarnation = (ProtobufCBinaryData){.data = a->incarnation, .len = INCARNATION_BYTES};
    m.pid = (uint32_t)getpid();
    if (a->has_hqd) {
        m.hqd_incarnation = (ProtobufCBinaryData){.data = a->hqd_incarnation, .len = INCARNATION_BYTES};
    }
    m.version = a->version;
    m.wait_ms = with_reports ? 0 : POLL_MS;
    m.problem =
        (ProtobufCBinaryData){.data = (uint8_t *)a->problem, .len = a->problem == NULL ? 0 : strlen(a->problem)};
    struct report *r = STAILQ_FIRST(&a->reports);
    for (; with_reports && r != NULL && m.n_reports < REPORTS_MAX; r = STAILQ_NEXT(r, link)) {
        r->is_sent = true;
        list[m.n_reports++] = &r->m;
    }
    m.reports = list;
    int rc = hq_wire_pack(&out, HQ__MESSAGE_TYPE__TYPE_ALLOC_TURN, ++a->request_id, &m.base, err);
    if (rc == 0) {
        rc = hq_net_call(a->net, hq_buf_view(&out), POLL_MS + ANSWER_MS, with_reports ? on_report : on_poll, a, err);
    }
    return rc;
}

hq_ms
link_progress(struct allocd *a, hq_ms now_ms)
{
    struct hq_err err = {0};
    if (now_ms < a->next_turn_ms) {
        return a->next_turn_ms;
    }
    int rc = connect_hqd(a, &err);
    if (rc == 0 && !a->is_report_out && link_has_reports(a)) {
        rc = send_turn(a, true, &err);
        a->is_report_out = rc == 0;
    }
    if (rc == 0 && !a->is_poll_out && !a->is_report_out) {
        rc = send_turn(a, false, &err);
        a->is_poll_out = rc == 0;
    }
    if (rc < 0) {
        turn_failed(a, err.text);
        return a->next_turn_ms;
    }
    return INT64_MAX;
}

void
link_init(struct allocd *a)
{
    STAILQ_INIT(&a->reports);
    hq_arena_init(&a->turn_arena, 64u << 20);
    randombytes_buf(a->incarnation, sizeof a->incarnation);
    randombytes_buf(&a->request_id, sizeof a->request_id);
}

void
link_fini(struct allocd *a)
{
    hq_net_client_destroy(a->net);
    while (!STAILQ_EMPTY(&a->reports)) {
        struct report *r = STAILQ_FIRST(&a->reports);
        STAILQ_REMOVE_HEAD(&a->reports, link);
        report_free(r);
    }
    hq_arena_fini(&a->turn_arena);
    free(a->problem);
}
