/* step_run.c - commands that another node (or this one) wants to be run here: pipes, windows, ends. */
#include "hq-workerd/step_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

#define READ_BYTES ((size_t)32768)

/* ---- life */

static struct step_run *
run_find(const struct step *st, uint32_t node, uint32_t stream)
{
    struct step_run *r = st->runs;

    while (r != NULL && (r->node != node || r->stream != stream)) {
        r = r->next;
    }
    return r;
}

static void
run_close(struct step_run *r, int channel)
{
    if (r->fds[channel] >= 0) {
        ev_io_stop(r->step->steps->conf.loop, &r->io[channel]);
        hq_fs_closep(&r->fds[channel]);
    }
}

void
step_run_destroy(struct step_run *r)
{
    for (int k = 0; k < 3; k++) {
        run_close(r, k);
    }
    *r->at = r->next;
    if (r->next != NULL) {
        r->next->at = r->at;
    }
    r->step->steps->stream_count--;
    hq_buf_fini(&r->in);
    free(r);
}

static void
run_kill(struct step_run *r)
{
    struct steps *s = r->step->steps;
    uint64_t hidden_id = r->hidden_id;

    step_run_destroy(r);
    s->conf.end_run(s->conf.ctx, hidden_id);
}

static void
send_end(struct step *st, uint32_t node, uint32_t stream, int exit_code, struct hq_str error)
{
    const struct step_rexec end = {
        .what = STEP_MSG_REXEC_END, .stream = stream, .exit_code = exit_code, .error = error};

    step_send_rexec(st, node, &end);
}

/* ---- output */

static void
send_data(struct step_run *r, int channel, struct hq_str data)
{
    const struct step_rexec m = {
        .what = STEP_MSG_REXEC_DATA, .stream = r->stream, .channel = (uint32_t)channel, .data = data};

    r->sent += data.len;
    step_send_rexec(r->step, r->node, &m);
}

/* True: there may be more. */
static bool
read_some(struct step_run *r, int channel)
{
    char text[READ_BYTES];
    ssize_t got = read(r->fds[channel], text, sizeof text);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return errno == EINTR;
    }
    if (got <= 0) {
        run_close(r, channel);
        send_data(r, channel, HQ_STR_NULL);
        return false;
    }
    send_data(r, channel, hq_str_make(text, (size_t)got));
    return true;
}

static void
set_reading(struct step_run *r)
{
    struct ev_loop *loop = r->step->steps->conf.loop;

    for (int k = 1; k < 3; k++) {
        if (r->fds[k] < 0) {
            continue;
        }
        if (r->sent < STEP_WINDOW_BYTES) {
            ev_io_start(loop, &r->io[k]);
        } else {
            ev_io_stop(loop, &r->io[k]);
        }
    }
}

/* The process is over: what it has left in the pipes, then the end. Who else holds them open is not waited for. */
static void
run_finish(struct step_run *r)
{
    for (int k = 1; k < 3; k++) {
        while (r->fds[k] >= 0 && r->sent < STEP_WINDOW_BYTES && read_some(r, k)) {
        }
    }
    set_reading(r);
    if (r->sent < STEP_WINDOW_BYTES) {
        send_end(r->step, r->node, r->stream, r->exit_code, HQ_STR_NULL);
        step_run_destroy(r);
    }
}

static void
on_output(struct ev_loop *loop, ev_io *w, int revents)
{
    struct step_run *r = w->data;
    int channel = w == &r->io[1] ? 1 : 2;

    (void)loop;
    (void)revents;
    if (r->is_over) {
        run_finish(r);
        return;
    }
    (void)read_some(r, channel);
    set_reading(r);
}

/* ---- stdin */

static void
run_ack(struct step_run *r)
{
    const struct step_rexec ack = {
        .what = STEP_MSG_REXEC_ACK, .stream = r->stream, .bytes = (uint32_t)r->taken, .is_stdin = true};

    if (r->taken > 0) {
        r->taken = 0;
        step_send_rexec(r->step, r->node, &ack);
    }
}

/* Gives its stdin what it takes. Who reads no more gets none: the rest is thrown away. */
static void
run_feed(struct step_run *r)
{
    while (r->fds[0] >= 0 && r->in_at < r->in.len) {
        ssize_t put = write(r->fds[0], r->in.ptr + r->in_at, r->in.len - r->in_at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0 && errno == EAGAIN) {
            ev_io_start(r->step->steps->conf.loop, &r->io[0]);
            return;
        }
        if (put < 0) {
            run_close(r, 0);
            break;
        }
        r->in_at += (size_t)put;
    }
    hq_buf_clear(&r->in);
    r->in_at = 0;
    if (r->is_in_ended) {
        run_close(r, 0);
    } else if (r->fds[0] >= 0) {
        ev_io_stop(r->step->steps->conf.loop, &r->io[0]);
    }
    run_ack(r);
}

static void
on_input(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    run_feed(w->data);
}

/* ---- start */

/* The task's body with another program: the same environment and directories, no files. */
static struct body *
make_body(const struct step *st, const struct step_rexec *m)
{
    const struct body *from = st->body;
    struct body *b = body_create(from->job_id, from->desc_id);

    if (b == NULL) {
        return NULL;
    }
    b->args = hq_arena_array(&b->arena, 3, sizeof(*b->args));
    b->args[0] = HQ_STR("/bin/sh");
    b->args[1] = HQ_STR("-c");
    b->args[2] = hq_arena_str(&b->arena, m->command);
    b->arg_count = 3;
    b->env = hq_arena_array(&b->arena, from->env_count, sizeof(*b->env));
    for (size_t i = 0; i < from->env_count; i++) {
        b->env[i].key = hq_arena_str(&b->arena, from->env[i].key);
        b->env[i].value = hq_arena_str(&b->arena, from->env[i].value);
    }
    b->env_count = from->env_count;
    b->cwd = hq_arena_str(&b->arena, m->cwd);
    b->submit_dir = hq_arena_str(&b->arena, from->submit_dir);
    b->out.kind = b->err.kind = BODY_STDIO_NONE;
    b->is_remote = true;
    b->request.variants = hq_arena_array(&b->arena, 1, sizeof(*b->request.variants));
    b->request.variants[0] = (struct hq_variant){.n_nodes = 1, .weight_x10000 = 10000}; /* books nothing */
    b->request.variant_count = 1;
    return b;
}

/* Its ends of three pipes go into `hidden`, ours stay here. */
static int
make_pipes(struct step_run *r, struct hidden *hidden)
{
    for (int k = 0; k < 3; k++) {
        int ends[2], ours = k == 0 ? 1 : 0;
        if (pipe2(ends, O_CLOEXEC) < 0) {
            return -errno;
        }
        r->fds[k] = ends[ours];
        hidden->fds[k] = ends[1 - ours];
        if (fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0) {
            return -errno;
        }
        ev_io_init(&r->io[k], k == 0 ? on_input : on_output, r->fds[k], k == 0 ? EV_WRITE : EV_READ);
        r->io[k].data = r;
    }
    return 0;
}

static int
run_launch(struct step_run *r, const struct step_rexec *m)
{
    struct step *st = r->step;
    struct hidden *hidden = hidden_create();
    HQ_AUTO(body_unrefp) struct body *body = make_body(st, m);

    if (hidden == NULL || body == NULL) {
        hidden_destroy(hidden);
        return -ENOMEM;
    }
    memcpy(hidden->secret, st->secret, sizeof hidden->secret);
    int rc = make_pipes(r, hidden);
    struct batch *b = rc < 0 ? NULL : step_make_batch(st, body, hidden);
    if (b == NULL) {
        hidden_destroy(hidden);
        return rc < 0 ? rc : -ENOMEM;
    }
    r->hidden_id = b->hidden_id;
    return st->steps->conf.launch(st->steps->conf.ctx, b);
}

static int
run_open(struct step *st, uint32_t node, const struct step_rexec *m)
{
    struct steps *s = st->steps;

    if (run_find(st, node, m->stream) != NULL) {
        return -EEXIST;
    }
    struct step_run *r = s->stream_count >= STEP_STREAMS_MAX ? NULL : hq_try_alloc(sizeof(*r));
    if (r == NULL) {
        return -ENOMEM;
    }
    r->step = st;
    r->node = node;
    r->stream = m->stream;
    r->fds[0] = r->fds[1] = r->fds[2] = -1;
    r->next = st->runs;
    r->at = &st->runs;
    if (r->next != NULL) {
        r->next->at = &r->next;
    }
    st->runs = r;
    s->stream_count++;
    int rc = run_launch(r, m);
    if (rc < 0) {
        step_run_destroy(r);
        return rc;
    }
    set_reading(r);
    return 0;
}

/* ---- messages */

void
runs_on_rexec(struct step *st, uint32_t node, const struct step_rexec *m)
{
    struct step_run *r = run_find(st, node, m->stream);

    if (m->what == STEP_MSG_REXEC_OPEN) {
        bool has_zero = hq_str_find_byte(m->command, '\0') >= 0 || hq_str_find_byte(m->cwd, '\0') >= 0;
        int rc = has_zero ? -EINVAL : run_open(st, node, m);
        if (rc < 0) {
            send_end(st, node, m->stream, STEP_EXIT_LOST, hq_str_from(hq_err_os(rc)));
        }
        return;
    }
    if (r == NULL) {
        return; /* it is over: the caller will hear of it */
    }
    if (m->what == STEP_MSG_REXEC_END) {
        run_kill(r);
    } else if (m->what == STEP_MSG_REXEC_ACK) {
        r->sent -= HQ_MIN(r->sent, m->bytes);
        if (r->is_over) {
            run_finish(r);
        } else {
            set_reading(r);
        }
    } else if (r->in.len + m->data.len > 2 * (STEP_WINDOW_BYTES + READ_BYTES) + HQ_STEP_MSG_BYTES_MAX) {
        run_kill(r); /* more than the window allows: no caller of ours */
    } else {
        r->is_in_ended = r->is_in_ended || m->data.len == 0;
        r->taken += m->data.len;
        hq_buf_str(&r->in, m->data);
        run_feed(r);
    }
}

bool
runs_on_ended(struct step *st, uint64_t hidden_id, int exit_code, struct hq_str error)
{
    struct step_run *r = st->runs;

    while (r != NULL && r->hidden_id != hidden_id) {
        r = r->next;
    }
    if (r == NULL) {
        return false;
    }
    if (exit_code < 0) {
        send_end(st, r->node, r->stream, STEP_EXIT_LOST, error);
        step_run_destroy(r);
        return true;
    }
    r->is_over = true;
    r->exit_code = exit_code;
    run_close(r, 0);
    run_ack(r);
    run_finish(r);
    return true;
}

void
runs_on_lost(struct step *st, uint32_t node)
{
    struct step_run *next;

    for (struct step_run *r = st->runs; r != NULL; r = next) {
        next = r->next;
        if (r->node == node) {
            run_kill(r);
        }
    }
}
