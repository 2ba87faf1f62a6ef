#include "hqd/shell_impl.h"

#include "hqd/convert.h"
#include "hqd/egress.h"

/* Registrations and turns of workers. A turn is a long poll: the core keeps its handle until it has something to say. News
 * are taken also while the journal can't be written: their receipt waits for the disk, and so do new assignments, which
 * bounds what a worker can still report; heartbeats are answered. */

void
net_turn_on_request(void *shell, const struct hq_net_peer *net, const struct hq_net_req *req, struct hq_str payload)
{
    struct shell *s = shell;
    struct ingress_msg m;
    struct peer *p;
    uint64_t handle;
    if (!shell_receive(s, PEER_WORKERS, net, req, payload, &m, &p, &handle)) {
        return;
    }
    struct hq_err err = {0};
    struct input in;
    if (m.row->is_change && journal_refuses(s->journal, payload.len, &err)) {
        shell_refuse(s, handle, -EAGAIN, err.text);
        return;
    }
    if (ingress_input(&m, &p->uploads, s->conf.identity.incarnation, &s->conv_arena, &in, &err) < 0) {
        if (err.code != -ESTALE) {
            hq_log_warn("A message of a worker was refused: %s peer=%s", err.text, net->addr);
        }
        shell_refuse(s, handle, err.code, err.text);
        if (err.code != -ESTALE && m.row->input == INPUT_TURN && p->worker != 0) {
            hq_log_warn("Worker %u is dropped: its reports make no sense", p->worker);
            in = (struct input){.kind = INPUT_NONSENSE, .u.peer.worker = {p->worker}};
            shell_step(s, &in);
        }
        return;
    }
    if (in.kind == INPUT_TURN) {
        in.u.turn.handle = handle;
        /* The worker may come back through a new session. */
        if (p->worker != in.u.turn.worker.v && peers_of_worker(&s->peers, in.u.turn.worker.v) != NULL) {
            peers_set_worker(&s->peers, p, in.u.turn.worker.v);
        }
        struct hq_buf kept;
        if (peer_pop_answer(p, &kept)) { /* it waited for a turn */
            shell_send_kept(s, p, &kept);
        }
    } else {
        in.u.reg.handle = handle;
        peer_drop_answers(p);
    }
    shell_step(s, &in);
}

void
net_turn_on_gone(void *shell, uint64_t peer_id)
{
    struct shell *s = shell;
    uint32_t worker;
    peers_gone(&s->peers, PEER_WORKERS, peer_id, &worker);
    if (worker != 0) {
        struct input in = {.kind = INPUT_PEER_GONE, .u.peer.worker = {worker}};
        shell_step(s, &in);
    }
}
