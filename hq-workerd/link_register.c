/* link_register.c - Register and its answer. */
#include "hq-workerd/link_impl.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"

#include "proto/common.pb-c.h"

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
        link_end_refused(l, &err);
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
    link_drop_early(l);
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
        link_end_refused(l, &err);
    } else if (is_first && hq_clock_ms() - l->started_ms >= LINK_FIRST_MS_MAX) {
        (void)hq_err_set(&err, rc, "Failed to connect to the server at %s:%u: %s", l->access.worker.host,
                         l->access.worker.port, hq_err_os(rc));
        link_end_refused(l, &err);
    } else {
        link_lose(l, rc, "no answer to Register");
    }
}

void
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
