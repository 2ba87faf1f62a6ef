/* net_ask.c - the blocking form of a request, for `hq`: a plain socket and the SP wire format, without nng.
 *
 * A process that asks once would pay more for an event loop and threads than for everything else (measured:
 * docs/decisions/002), and needs no reconnects. Greeting and first frame leave in one write.
 */
#include "common/net_client.h"
#include "common/net_dial.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

static const unsigned char sp_req[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, HQ_SP_REQ, 0, 0};
static const unsigned char sp_rep[HQ_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, HQ_SP_REP, 0, 0};

void
hq_ask_init(struct hq_ask *a)
{
    a->fd = -1;
}

static void
ask_close(struct hq_ask *a)
{
    if (a->fd >= 0) {
        (void)close(a->fd); /* nothing is lost by a failure */
    }
    a->fd = -1;
    a->has_greeted = false;
    a->was_greeted = false;
    a->in_from = 0;
    a->in_to = 0;
}

void
hq_ask_fini(struct hq_ask *a)
{
    ask_close(a);
    if (a->has_chan) {
        hq_chan_fini(&a->chan);
        a->has_chan = false;
    }
}

/* ---- connecting */

/* A connection that ended while nobody asked is no failure of the next question. */
static bool
ask_is_stale(const struct hq_ask *a)
{
    struct pollfd p = {.fd = a->fd, .events = POLLIN};
    if (poll(&p, 1, 0) <= 0) {
        return false;
    }
    char byte;
    return recv(a->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static int
ask_connect(struct hq_net_client *c, hq_ms deadline_ms, struct hq_err *err)
{
    struct hq_ask *a = &c->ask;
    if (a->fd >= 0 && !ask_is_stale(a)) {
        return 0;
    }
    ask_close(a);
    int fd = -ECONNREFUSED;
    bool is_local = c->ipc_path != NULL;
    if (is_local) {
        fd = hq_net_ipc_connect(c->ipc_path, deadline_ms, err);
    }
    if (fd < 0 && c->host != NULL) {
        is_local = false;
        fd = hq_net_tcp_connect(c->host, c->port, deadline_ms, err);
    }
    if (fd < 0) {
        return fd;
    }
    bool is_plain = is_local || !c->has_secret;
    if (!is_plain) {
        int rc = hq_seal_start(err);
        if (rc < 0) {
            (void)close(fd);
            return rc;
        }
    }
    a->fd = fd;
    if (a->has_chan && a->is_local == is_local) {
        return 0; /* the session survives the connection */
    }
    hq_chan_init(&a->chan, c->role, is_plain ? NULL : c->secret);
    a->has_chan = true;
    a->is_local = is_local;
    return 0;
}

/* ---- frames */

static int
ask_write(struct hq_ask *a, struct iovec *iov, size_t count, hq_ms deadline_ms)
{
    while (count > 0) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
        ssize_t n = sendmsg(a->fd, &m, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            int rc = errno == EINTR ? 0 : hq_net_wait_fd(a->fd, POLLOUT, deadline_ms);
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        if (n < 0) {
            return errno == EPIPE ? -ECONNRESET : -errno;
        }
        size_t done = (size_t)n;
        while (count > 0 && done >= iov->iov_len) {
            done -= iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + done;
            iov->iov_len -= done;
        }
    }
    return 0;
}

static int
ask_send(struct hq_ask *a, unsigned char *body, size_t len, hq_ms deadline_ms)
{
    unsigned char head[HQ_SP_GREETING_BYTES + HQ_SP_HEAD_BYTES_MAX];
    size_t at = 0;
    if (!a->has_greeted) {
        memcpy(head, sp_req, sizeof(sp_req));
        at = sizeof(sp_req);
        a->has_greeted = true;
    }
    if (a->is_local) {
        head[at++] = 1;
    }
    uint64_t total = (uint64_t)len + 4;
    for (size_t ix = 0; ix < 8; ix++) {
        head[at++] = (unsigned char)(total >> (56 - 8 * ix));
    }
    a->request_id = (a->request_id + 1) | UINT32_C(0x80000000);
    for (size_t ix = 0; ix < 4; ix++) {
        head[at++] = (unsigned char)(a->request_id >> (24 - 8 * ix));
    }
    struct iovec iov[2] = {{head, at}, {body, len}};
    return ask_write(a, iov, 2, deadline_ms);
}

/* At least one byte into the buffer, or straight into `out` when much is missing. */
static int
ask_read(struct hq_ask *a, unsigned char *out, size_t len, hq_ms deadline_ms)
{
    while (len > 0) {
        size_t ready = HQ_MIN(a->in_to - a->in_from, len);
        if (ready > 0) {
            memcpy(out, a->in + a->in_from, ready);
            a->in_from += ready;
            out += ready;
            len -= ready;
            continue;
        }
        bool is_direct = len >= sizeof(a->in);
        ssize_t n = recv(a->fd, is_direct ? out : a->in, is_direct ? len : sizeof(a->in), 0);
        if (n == 0) {
            return -ECONNRESET;
        }
        if (n < 0) {
            int rc = errno == EAGAIN ? hq_net_wait_fd(a->fd, POLLIN, deadline_ms) : errno == EINTR ? 0 : -errno;
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        if (is_direct) {
            out += n;
            len -= (size_t)n;
        } else {
            a->in_from = 0;
            a->in_to = (size_t)n;
        }
    }
    return 0;
}

static int
ask_greeting(struct hq_ask *a, hq_ms deadline_ms)
{
    unsigned char greeting[HQ_SP_GREETING_BYTES];
    int rc = a->was_greeted ? 0 : ask_read(a, greeting, sizeof(greeting), deadline_ms);
    if (rc == 0 && !a->was_greeted) {
        rc = memcmp(greeting, sp_rep, sizeof(greeting)) == 0 ? 0 : -EPROTO;
        a->was_greeted = rc == 0;
    }
    return rc;
}

/* The body of the answer to the last request: heap, ret_len bytes. */
static int
ask_receive(struct hq_ask *a, char **ret_body, size_t *ret_len, hq_ms deadline_ms)
{
    int rc = ask_greeting(a, deadline_ms);
    while (rc == 0) {
        unsigned char head[HQ_SP_HEAD_BYTES_MAX];
        size_t lead = a->is_local ? 1 : 0;
        rc = ask_read(a, head, lead + 12, deadline_ms);
        if (rc < 0) {
            return rc;
        }
        uint64_t total = 0;
        uint32_t id = 0;
        for (size_t ix = 0; ix < 8; ix++) {
            total = total << 8 | head[lead + ix];
        }
        for (size_t ix = 8; ix < 12; ix++) {
            id = id << 8 | head[lead + ix];
        }
        if ((lead == 1 && head[0] != 1) || total < 4 || total > HQ_FRAME_BYTES_MAX) {
            return -EPROTO;
        }
        size_t len = (size_t)total - 4;
        char *body = hq_try_alloc(len + 1);
        if (body == NULL) {
            return -ENOMEM;
        }
        rc = ask_read(a, (unsigned char *)body, len, deadline_ms);
        if (rc == 0 && id == a->request_id) {
            *ret_body = body;
            *ret_len = len;
            return 0;
        }
        free(body); /* a late answer to a question that was given up */
    }
    return rc;
}

/* ---- asking */

static int
ask_handshake(struct hq_ask *a, hq_ms deadline_ms, struct hq_err *err)
{
    unsigned char hello[HQ_FRAME_HELLO_BYTES];
    char *body = NULL;
    size_t len = 0;
    int rc = hq_chan_hello(&a->chan, hello);
    if (rc == 0) {
        rc = ask_send(a, hello, sizeof(hello), deadline_ms);
    }
    if (rc == 0) {
        rc = ask_receive(a, &body, &len, deadline_ms);
    }
    if (rc < 0) {
        return hq_err_sys(err, rc, "No session with the server");
    }
    rc = hq_chan_welcome(&a->chan, hq_str_make(body, len), err);
    free(body);
    return rc;
}

/* 0, HQ_CHAN_UNKNOWN or negative; *ref: in the earlier copy, out this one */
static int
ask_once(struct hq_ask *a, struct hq_str payload, struct hq_chan_ref *ref, hq_ms deadline_ms, char **ret_payload,
         size_t *ret_len, struct hq_err *err)
{
    int rc = a->chan.is_open ? 0 : ask_handshake(a, deadline_ms, err);
    if (rc < 0) {
        return rc;
    }
    size_t len = hq_chan_request_bytes(&a->chan, payload.len);
    HQ_AUTO(hq_mem_freep) unsigned char *out = hq_try_alloc(len);
    if (out == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot make a request of %zu bytes", len);
    }
    HQ_AUTO(hq_mem_freep) char *body = NULL;
    size_t body_len = 0;
    rc = hq_chan_request(&a->chan, payload, *ref, out, ref);
    if (rc == 0) {
        rc = ask_send(a, out, len, deadline_ms);
    }
    if (rc == 0) {
        rc = ask_receive(a, &body, &body_len, deadline_ms);
    }
    if (rc < 0) {
        return hq_err_sys(err, rc, "No answer from the server");
    }
    struct hq_str answer;
    rc = hq_chan_answer(&a->chan, *ref, body, body_len, &answer, err);
    if (rc != 0) {
        return rc;
    }
    memmove(body, answer.ptr, answer.len); /* the answer lies inside of body */
    body[answer.len] = '\0';
    *ret_payload = body;
    *ret_len = answer.len;
    body = NULL;
    return 0;
}

int
hq_net_ask(struct hq_net_client *c, struct hq_str payload, hq_ms timeout_ms, char **ret_payload, size_t *ret_len,
           struct hq_err *err)
{
    if (payload.len > HQ_MSG_BYTES_MAX) {
        return hq_err_set(err, -EMSGSIZE, "A message of %zu bytes is over the limit of %u", payload.len,
                          HQ_MSG_BYTES_MAX);
    }
    hq_ms deadline_ms = hq_clock_ms() + timeout_ms;
    int rc = ask_connect(c, deadline_ms, err);
    if (rc < 0) {
        return rc;
    }
    struct hq_chan_ref ref = {0};
    rc = ask_once(&c->ask, payload, &ref, deadline_ms, ret_payload, ret_len, err);
    if (rc == HQ_CHAN_UNKNOWN) {
        rc = ask_once(&c->ask, payload, &ref, deadline_ms, ret_payload, ret_len, err);
    }
    if (rc == HQ_CHAN_UNKNOWN) {
        rc = hq_err_set(err, -EPROTO, "The server forgot a session at once");
    }
    if (rc < 0) {
        ask_close(&c->ask); /* half an answer may still be on its way */
    }
    return rc;
}
