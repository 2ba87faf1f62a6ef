/* step_route.c - frames of steps from node to node, and nodes that are gone. */
#include "hq-workerd/step_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

static void
step_receive(struct step *st, uint32_t from, struct hq_str frame)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct step_head head;
    struct step_rexec r;
    int rc = step_msg_peek(frame, &head);

    hq_arena_init(&arena, STEP_ARENA_BYTES);
    if (rc == 0 && (head.from != from || head.to != st->desc->node_ix)) {
        rc = -EPROTO;
    }
    if (rc == 0 && head.what >= STEP_MSG_REXEC_OPEN) {
        rc = step_msg_rexec(frame, &arena, &r);
        if (rc == 0 && r.is_for_run) {
            runs_on_rexec(st, from, &r);
        } else if (rc == 0) {
            conns_on_rexec(st, from, &r);
        }
    } else if (rc == 0 && st->body->mpi.is_on) {
        if (head.what == STEP_MSG_ABORT && st->is_root) {
            bool is_lost = false;
            rc = step_msg_abort_is_lost(frame, &arena, &is_lost);
            st->is_node_lost = st->is_node_lost || is_lost;
        }
        if (rc == 0) {
            step_to_ranks(st, frame);
        }
    }
    uint32_t dropped;
    if (rc < 0 && hq_ratelimit_pass(&st->steps->nonsense_log, hq_clock_ms(), &dropped)) {
        hq_log_warn("A message of another node makes no sense (%u more like it) job=%u task=%u node=%u", dropped, st->job,
                    st->task, from);
    }
}

/* ---- other nodes */

static void
on_frame(void *ctx, struct hq_str frame)
{
    struct step_link *l = ctx;

    step_receive(l->step, l->node, frame);
}

static void
on_room(void *ctx)
{
    struct step_link *l = ctx;

    step_resume_ranks(l->step);
}

static void
on_lost(void *ctx, const char *why)
{
    struct step_link *l = ctx;
    struct step *st = l->step;
    struct hq_str host = st->desc->nodes[l->node].host;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT, frame = HQ_BUF_INIT;

    hq_buf_printf(&text, "Node %.*s is lost: %s", HQ_STR_FMT(host), why);
    if (st->is_root) {
        hq_log_info("%s job=%u task=%u", text.ptr, st->job, st->task);
    } else { /* that is how the end of the task shows when it is faster than hqd's Leave */
        hq_log_debug("%s job=%u task=%u", text.ptr, st->job, st->task);
    }
    if (st->body->mpi.is_on) {
        st->is_node_lost = st->is_root;
        step_msg_pack_node_lost(&frame, st->desc->node_ix, l->node, hq_buf_view(&text));
        step_to_ranks(st, hq_buf_view(&frame));
    }
    runs_on_lost(st, l->node);
    conns_on_lost(st, l->node, hq_buf_view(&text));
    step_resume_ranks(st); /* nothing waits for that node any more */
}

static struct peer *
step_peer(struct step *st, uint32_t node)
{
    const struct step_desc *d = st->desc;

    if (st->links == NULL) {
        st->links = hq_try_calloc(d->node_count, sizeof(*st->links));
        if (st->links == NULL) {
            return NULL;
        }
    }
    struct step_link *l = &st->links[node];
    if (l->peer == NULL) {
        *l = (struct step_link){.step = st, .node = node};
        const struct peer_conf conf = {
            .name = {st->job, st->task, st->instance, d->node_ix, node},
            .key = d->keys[node],
            .node = &d->nodes[node],
            .ctx = l,
            .on_frame = on_frame,
            .on_room = on_room,
            .on_lost = on_lost,
        };
        if (peer_create(&l->peer, st->steps->peers, &conf) < 0) {
            l->peer = NULL;
        }
    }
    return l->peer;
}

struct peer *
steps_on_call(void *ctx, const struct peer_name *name)
{
    struct steps *s = ctx;
    struct step *st = steps_find(s, name->job, name->task, name->instance);

    if (st == NULL || name->called != st->desc->node_ix || name->caller >= st->desc->node_count ||
        name->caller == name->called) {
        return NULL;
    }
    return step_peer(st, name->caller);
}

bool
step_is_full(const struct step *st, uint32_t to)
{
    const struct peer *p = st->links == NULL || to == st->desc->node_ix ? NULL : st->links[to].peer;

    return p != NULL && peer_is_full(p);
}

void
step_pause_links(struct step *st, bool is_paused)
{
    for (uint32_t i = 0; st->links != NULL && i < st->desc->node_count; i++) {
        if (st->links[i].peer != NULL) {
            peer_pause(st->links[i].peer, is_paused);
        }
    }
}

void
step_close_links(struct step *st)
{
    for (uint32_t i = 0; st->links != NULL && i < st->desc->node_count; i++) {
        peer_destroy(st->links[i].peer);
    }
    free(st->links);
    st->links = NULL;
}

/* ---- sending */

static void
self_push(struct step *st, struct hq_str frame)
{
    struct steps *s = st->steps;
    struct self_frame *f = hq_xalloc(sizeof(*f));

    f->step = st;
    hq_buf_str(&f->frame, frame);
    *s->selves_tail = f;
    s->selves_tail = &f->next;
    ev_timer_start(s->conf.loop, &s->self_timer);
}

static struct self_frame *
self_pop(struct steps *s)
{
    struct self_frame *f = s->selves;

    if (f != NULL) {
        s->selves = f->next;
        s->selves_tail = s->selves == NULL ? &s->selves : s->selves_tail;
    }
    return f;
}

static void
self_free(struct self_frame *f)
{
    hq_buf_fini(&f->frame);
    free(f);
}

void
steps_on_selves(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct steps *s = w->data;
    struct self_frame *f;

    (void)loop;
    (void)revents;
    while ((f = self_pop(s)) != NULL) { /* bounded: each stream has a window */
        step_receive(f->step, f->step->desc->node_ix, hq_buf_view(&f->frame));
        self_free(f);
    }
}

void
steps_drop_selves(struct step *st)
{
    struct steps *s = st->steps;
    struct self_frame **at = &s->selves, *f;

    while ((f = *at) != NULL) {
        if (f->step == st) {
            *at = f->next;
            self_free(f);
        } else {
            at = &f->next;
        }
    }
    s->selves_tail = at;
}

void
step_send(struct step *st, uint32_t to, struct hq_str frame)
{
    if (to == st->desc->node_ix) {
        self_push(st, frame);
        return;
    }
    struct peer *p = step_peer(st, to);
    if (p == NULL) {
        hq_log_warn("Out of memory: a node of a task is not told job=%u task=%u node=%u", st->job, st->task, to);
        return;
    }
    (void)!peer_send(p, frame); /* what cannot be sent loses the link, and on_lost tells */
}

void
step_send_rexec(struct step *st, uint32_t to, const struct step_rexec *r)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf frame = HQ_BUF_INIT;

    step_msg_pack_rexec(&frame, st->desc->node_ix, to, r);
    step_send(st, to, hq_buf_view(&frame));
}
