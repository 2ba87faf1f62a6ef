#include "hq-workerd/stepd/rexec.h"

#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/mem.h"
#include "hq-workerd/stepd/sink.h"
#include "hq-workerd/stepd/uplink.h"

#define READ_BYTES 65536u
#define CWD_BYTES 4096u
#define FLUSH_MS 500

struct rexec {
    struct ev_loop *loop;
    struct uplink *link;
    ev_io readable; /* stdin */
    struct sink sinks[2];
    int exit_code;
    bool is_ended;
};

static ProtobufCBinaryData
bytes_of(const void *p, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)p}; /* packing only reads */
}

static void
rexec_end(struct rexec *r, int exit_code)
{
    r->exit_code = exit_code;
    r->is_ended = true;
    ev_break(r->loop, EVBREAK_ALL);
}

static void
on_data(struct rexec *r, const Hq__RexecData *data)
{
    const void *p = data->data.data;

    if (data->channel == 1 || data->channel == 2) {
        sink_write(&r->sinks[data->channel - 1], 0, hq_str_make(p, data->data.len));
    }
}

static void
on_end(struct rexec *r, const Hq__RexecEnd *end)
{
    if (end->error.len > 0) {
        (void)fprintf(stderr, "hq-stepd: %.*s\n", (int)HQ_MIN(end->error.len, (size_t)HQ_ERROR_TEXT_BYTES_MAX),
                      (const char *)end->error.data);
        rexec_end(r, REXEC_EXIT_ERROR);
    } else {
        rexec_end(r, end->exit_code & 0xff);
    }
}

static void
on_message(void *ctx, const Hq__StepMsg *msg)
{
    struct rexec *r = ctx;

    switch ((int)msg->what_case) {
    case HQ__STEP_MSG__WHAT_REXEC_DATA:
        on_data(r, msg->rexec_data);
        break;
    case HQ__STEP_MSG__WHAT_REXEC_END:
        on_end(r, msg->rexec_end);
        break;
    default:
        break; /* of a newer worker */
    }
}

static void
on_gone(void *ctx, const char *why)
{
    struct rexec *r = ctx;

    if (!r->is_ended) {
        (void)fprintf(stderr, "hq-stepd: %s\n", why);
        rexec_end(r, REXEC_EXIT_ERROR);
    }
}

static void
send_data(struct rexec *r, const void *p, size_t len)
{
    Hq__RexecData data = HQ__REXEC_DATA__INIT;
    Hq__StepMsg msg = HQ__STEP_MSG__INIT;

    data.data = bytes_of(p, len);
    msg.what_case = HQ__STEP_MSG__WHAT_REXEC_DATA;
    msg.rexec_data = &data;
    (void)!uplink_send(r->link, &msg); /* a link that is gone is noticed by its reader */
}

static void
on_stdin(struct ev_loop *loop, ev_io *w, int revents)
{
    struct rexec *r = w->data;
    char buf[READ_BYTES];

    (void)revents;
    ssize_t got = read(STDIN_FILENO, buf, sizeof buf);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    send_data(r, buf, got > 0 ? (size_t)got : 0); /* nothing: the end */
    if (got <= 0 || uplink_queued_bytes(r->link) > REXEC_QUEUE_BYTES) {
        ev_io_stop(loop, w);
    }
    if (got <= 0) {
        ev_io_set(w, -1, EV_READ); /* on_drained shall not start it again */
    }
}

static void
on_drained(void *ctx)
{
    struct rexec *r = ctx;

    if (r->readable.fd >= 0) {
        ev_io_start(r->loop, &r->readable);
    }
}

static void
on_sink_drained(void *ctx)
{
    (void)ctx; /* what the worker sends is bounded by it */
}

/* Options of ssh and rsh that take a value in the next word. */
static bool
takes_value(const char *option)
{
    return option[1] != '\0' && option[2] == '\0' && strchr("bcDEeFIiJLlmOopQRSWw", option[1]) != NULL;
}

static char *const *
skip_options(char *const *args)
{
    while (*args != NULL && (*args)[0] == '-') {
        bool is_end = strcmp(*args, "--") == 0;
        args += takes_value(*args) && args[1] != NULL ? 2 : 1;
        if (is_end) {
            break;
        }
    }
    return args;
}

static void
send_open(struct rexec *r, const char *host, char *const *words)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf command = HQ_BUF_INIT;
    char cwd[CWD_BYTES];
    Hq__RexecOpen open = HQ__REXEC_OPEN__INIT;
    Hq__StepMsg msg = HQ__STEP_MSG__INIT;

    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0) {
            hq_buf_byte(&command, ' ');
        }
        hq_buf_cstr(&command, words[i]);
    }
    if (getcwd(cwd, sizeof cwd) == NULL) {
        cwd[0] = '\0'; /* then the other side stays where it is */
    }
    open.host = bytes_of(host, strlen(host));
    open.command = bytes_of(command.ptr, command.len);
    open.cwd = bytes_of(cwd, strlen(cwd));
    msg.what_case = HQ__STEP_MSG__WHAT_REXEC_OPEN;
    msg.rexec_open = &open;
    if (uplink_send(r->link, &msg) == -EMSGSIZE) {
        (void)fprintf(stderr, "hq-stepd: the command is too long\n");
        rexec_end(r, REXEC_EXIT_ERROR);
    }
}

static const struct uplink_ops link_ops = {
    .on_message = on_message,
    .on_gone = on_gone,
    .on_drained = on_drained,
};

int
rexec_run(char *const *args)
{
    struct rexec r = {.loop = ev_loop_new(EVFLAG_AUTO), .exit_code = REXEC_EXIT_ERROR};
    const char *key = getenv("HQ_ACCESS_KEY");
    struct hq_err err = {0};
    char *const *words = skip_options(args);

    if (r.loop == NULL || words[0] == NULL || words[1] == NULL) {
        (void)fprintf(stderr, "Usage: hq-stepd rexec HOST COMMAND...\n");
        return REXEC_EXIT_ERROR;
    }
    if (uplink_create(&r.link, r.loop, key == NULL ? "" : key, HQ__STEP_KIND__STEP_REXEC, &link_ops, &r, &err) < 0) {
        (void)fprintf(stderr, "hq-stepd: %s\n", err.text);
        return REXEC_EXIT_ERROR;
    }
    sink_init(&r.sinks[0], r.loop, STDOUT_FILENO, on_sink_drained, &r);
    sink_init(&r.sinks[1], r.loop, STDERR_FILENO, on_sink_drained, &r);
    ev_io_init(&r.readable, on_stdin, STDIN_FILENO, EV_READ);
    r.readable.data = &r;
    send_open(&r, words[0], words + 1);
    if (!r.is_ended) {
        ev_io_start(r.loop, &r.readable);
        ev_run(r.loop, 0);
    }
    sink_fini(&r.sinks[0]);
    sink_fini(&r.sinks[1]);
    uplink_destroy(r.link);
    ev_loop_destroy(r.loop);
    return r.exit_code;
}
