/* step_conn.c - connections of this node: who they are, and those of hq-stepds. */
#include "hq-workerd/step_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"

/* ---- life */

static bool
conn_is_caller(const struct step_conn *c)
{
    return c->state == CONN_CALLER || c->state == CONN_CALLING || c->state == CONN_OVER;
}

void
conn_destroy(struct step_conn *c)
{
    struct steps *s = c->steps;

    if (c->step != NULL && c->step->ranks == c) {
        c->step->ranks = NULL;
    }
    *c->at = c->next;
    if (c->next != NULL) {
        c->next->at = c->at;
    }
    s->conn_count--;
    s->stream_count -= conn_is_caller(c);
    framed_destroy(c->framed);
    free(c);
}

/* It hung up, or talks nonsense. */
static void
conn_end(struct step_conn *c)
{
    struct step *st = c->step;
    bool was_ranks = c->state == CONN_RANKS, was_calling = c->state == CONN_CALLING;
    const struct step_rexec gone = {.what = STEP_MSG_REXEC_END, .stream = c->stream, .is_gone = true};
    uint32_t node = c->node;

    conn_destroy(c);
    if (was_calling) {
        step_send_rexec(st, node, &gone);
    } else if (was_ranks) {
        st->has_ranks_left = true;
        step_pause_links(st, false);
        step_check_ranks(st);
    }
}

void
conn_send(struct step_conn *c, struct hq_str frame)
{
    if (framed_send(c->framed, frame) < 0) {
        hq_log_warn("Out of memory: a message to a local process is lost"); /* it will be ended with its step */
    }
}

/* ---- hq-stepd */

static void
conn_check_room(struct step_conn *c)
{
    if (framed_queued(c->framed) > STEP_QUEUE_BYTES) {
        step_pause_links(c->step, true);
    }
}

void
step_to_ranks(struct step *st, struct hq_str frame)
{
    if (st->ranks != NULL) {
        conn_send(st->ranks, frame);
        conn_check_room(st->ranks);
    } else if (!st->has_ranks_left && !st->is_ranks_over) {
        unsigned char head[FRAMED_HEAD_BYTES];
        framed_put_le32(head, (uint32_t)frame.len);
        hq_buf_add(&st->early, head, sizeof head);
        hq_buf_str(&st->early, frame);
        if (st->early.len > STEP_QUEUE_BYTES) {
            step_pause_links(st, true);
        }
    }
}

static void
conn_send_early(struct step_conn *c)
{
    struct step *st = c->step;

    for (size_t at = 0; at < st->early.len;) {
        uint32_t len = framed_get_le32(st->early.ptr + at);
        at += FRAMED_HEAD_BYTES;
        conn_send(c, hq_str_make(st->early.ptr + at, len));
        at += len;
    }
    hq_buf_fini(&st->early);
    step_pause_links(st, false);
    conn_check_room(c);
}

/* "0,1,5"; a list with anything else than numbers counts as none. */
static size_t
parse_cpus(const char *list, struct hq_arena *arena, uint32_t **ret)
{
    struct hq_str rest = hq_str_from(list), word;
    uint32_t *v = hq_arena_array(arena, rest.len / 2 + 1, sizeof(*v));
    size_t count = 0;

    for (bool more = rest.len > 0; more; count++) {
        more = hq_str_split(&rest, ',', &word);
        if (hq_num_u32(word, &v[count], NULL) < 0) {
            return 0;
        }
    }
    *ret = v;
    return count;
}

static void
conn_send_start(struct step_conn *c, const struct launcher_task *t)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf frame = HQ_BUF_INIT;
    struct step *st = c->step;
    struct steps *s = c->steps;
    struct prepared p;
    uint32_t *granted = NULL;
    const struct prepare_task task = {.task = &t->task, .image = t->image};

    hq_arena_init(&arena, 0);
    prepare_paths(&task, &s->scratch, &p);
    size_t count = t->cpu_list == NULL ? 0 : parse_cpus(t->cpu_list, &arena, &granted);
    const struct step_start start = {
        .job = st->job,
        .task = st->task,
        .instance = st->instance,
        .desc = st->desc,
        .mpi = &st->body->mpi,
        .cpus = t->cpu_list == NULL ? s->conf.cpus : granted, /* of several nodes: all of them */
        .cpu_count = t->cpu_list == NULL ? s->conf.cpu_count : count,
        .out_path = hq_str_from(p.rank_out_path),
        .err_path = hq_str_from(p.rank_err_path),
        .server_uid = hq_str_from(t->image->server_uid),
        .is_out_framed = st->is_root && st->body->out.kind == BODY_STDIO_STREAM,
        .is_err_framed = st->is_root && st->body->err.kind == BODY_STDIO_STREAM,
    };
    step_msg_pack_start(&frame, &start);
    conn_send(c, hq_buf_view(&frame));
}

static int
conn_begin_ranks(struct step_conn *c, const struct launcher_task *t)
{
    const struct batch *b = t->task.batch;
    struct step *st = steps_find(c->steps, b->body->job_id, t->task.task_id, b->instance);

    if (!b->body->mpi.is_on) {
        return -EPERM;
    }
    if (st == NULL && b->hidden_id == 0 && b->step != NULL) { /* one node: nobody needed it before */
        int rc = steps_add(c->steps, b->body, t->task.task_id, b->instance, b->step, &st);
        if (rc < 0) {
            return rc;
        }
        st->is_root = true;
    }
    if (st == NULL || st->ranks_run != b->hidden_id || st->ranks != NULL || st->has_ranks_left) {
        return -EPERM; /* ranks know the token too, but there is one hq-stepd */
    }
    c->step = st;
    c->state = CONN_RANKS;
    st->ranks = c;
    framed_set_max(c->framed, HQ_STEP_MSG_BYTES_MAX);
    conn_send_start(c, t);
    conn_send_early(c);
    return 0;
}

/* What hq-stepd says to us. The root's tells before it ends whether the task is to be started again. */
static int
conn_on_own_frame(struct step *st, const struct step_head *head, struct hq_str frame)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    bool is_lost = false;
    int rc = 0;

    hq_arena_init(&arena, STEP_ARENA_BYTES);
    if (head->what == STEP_MSG_ABORT) {
        rc = step_msg_abort_is_lost(frame, &arena, &is_lost);
        st->is_node_lost = st->is_node_lost || (is_lost && st->is_root);
    }
    return rc;
}

static int
conn_on_ranks_frame(struct step_conn *c, struct hq_str frame)
{
    struct step *st = c->step;
    struct step_head head;
    int rc = step_msg_peek(frame, &head);

    if (rc < 0 || head.from != st->desc->node_ix || head.to >= st->desc->node_count || head.what >= STEP_MSG_REXEC_OPEN) {
        return -EPROTO;
    }
    if (head.to == head.from) {
        return conn_on_own_frame(st, &head, frame);
    }
    st->has_ranks_said = st->has_ranks_said || head.what == STEP_MSG_ENDED || head.what == STEP_MSG_ABORT;
    step_send(st, head.to, frame);
    if (step_is_full(st, head.to)) {
        framed_pause(c->framed, true);
    }
    return 0;
}

void
step_resume_ranks(struct step *st)
{
    for (uint32_t i = 0; i < st->desc->node_count; i++) {
        if (step_is_full(st, i)) {
            return;
        }
    }
    if (st->ranks != NULL) {
        framed_pause(st->ranks->framed, false);
    }
}

/* ---- hello */

static struct step *
step_by_secret(struct steps *s, struct hq_str token)
{
    for (struct step *st = s->first; st != NULL; st = st->next) {
        if (hq_str_is(token, st->secret)) {
            return st;
        }
    }
    return NULL;
}

static int
conn_on_hello(struct step_conn *c, struct hq_str frame)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(launcher_task_fini) struct launcher_task t = {0};
    struct steps *s = c->steps;
    struct step_hello hello;

    hq_arena_init(&arena, STEP_ARENA_BYTES);
    int rc = step_msg_hello(frame, &arena, &hello);
    if (rc < 0) {
        return rc;
    }
    if (!launcher_find_secret(s->conf.launcher, hello.token, &t)) {
        return hello.is_rexec ? caller_begin(c, step_by_secret(s, hello.token)) : -EPERM;
    }
    const struct batch *b = t.task.batch;
    return hello.is_rexec ? caller_begin(c, steps_find(s, b->body->job_id, t.task.task_id, b->instance))
                          : conn_begin_ranks(c, &t);
}

static void
on_frame(void *ctx, unsigned char *body, size_t len)
{
    struct step_conn *c = ctx;
    struct hq_str frame = hq_str_make((const char *)body, len);
    int rc = 0;

    switch (c->state) {
    case CONN_HELLO:
        rc = conn_on_hello(c, frame);
        break;
    case CONN_RANKS:
        rc = conn_on_ranks_frame(c, frame);
        break;
    case CONN_CALLER:
    case CONN_CALLING:
    case CONN_OVER:
        rc = caller_on_frame(c, frame);
        break;
    }
    if (rc < 0) {
        uint32_t dropped;
        if (hq_ratelimit_pass(&c->steps->nonsense_log, hq_clock_ms(), &dropped)) {
            hq_log_warn("A local process sent what it may not send: %s (%u more like it)", hq_err_os(rc), dropped);
        }
        conn_end(c);
    }
}

static void
on_drained(void *ctx)
{
    struct step_conn *c = ctx;

    if (c->state == CONN_RANKS) {
        step_pause_links(c->step, false);
    } else {
        caller_on_drained(c);
    }
}

static void
on_end(void *ctx, int rc)
{
    (void)rc;
    conn_end(ctx);
}

void
steps_on_connect(struct steps *s, int fd, struct hq_str bytes)
{
    struct step_conn *c = s->conn_count >= STEP_CONNS_MAX ? NULL : hq_try_alloc(sizeof(*c));
    const struct framed_calls calls = {.ctx = c, .on_frame = on_frame, .on_drained = on_drained, .on_end = on_end};

    if (c == NULL || framed_create(&c->framed, s->conf.loop, fd, STEP_HELLO_BYTES_MAX, &calls) < 0) {
        (void)close(fd);
        free(c);
        return;
    }
    c->steps = s;
    c->state = CONN_HELLO;
    c->since_ms = hq_clock_ms();
    c->next = s->conns;
    c->at = &s->conns;
    if (c->next != NULL) {
        c->next->at = &c->next;
    }
    s->conns = c;
    s->conn_count++;
    if (framed_feed(c->framed, bytes) < 0) {
        conn_destroy(c);
    }
}

void
conns_on_time(struct steps *s, hq_ms now_ms)
{
    struct step_conn *next;

    for (struct step_conn *c = s->conns; c != NULL; c = next) {
        next = c->next;
        if (c->state == CONN_HELLO && now_ms - c->since_ms >= STEP_HELLO_MS) {
            conn_destroy(c);
        }
    }
}

hq_ms
conns_next_ms(const struct steps *s)
{
    hq_ms next = INT64_MAX;

    for (const struct step_conn *c = s->conns; c != NULL; c = c->next) {
        if (c->state == CONN_HELLO) {
            next = HQ_MIN(next, c->since_ms + STEP_HELLO_MS);
        }
    }
    return next;
}
