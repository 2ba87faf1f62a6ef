/* net_pub.c - notes: hints that may be lost, one sender, many readers.
 *
 * Publisher: two PUB sockets, since local readers get plain notes and those on TCP sealed ones. It never waits: nng
 * keeps HQ_NET_SEND_QUEUE notes per reader and drops the oldest. Reader: the plain socket with its descriptor in the
 * loop (receive aios of SUB have a rare fault in nng 1.5.2).
 */
#include "common/net_priv.h"

#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>

#include <ev.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bridge.h"
#include "common/clock.h"
#include "common/mem.h"

#define NOTES_PER_TURN 256 /* then the loop sees to its other work */
#define PROBE_MS 1000

struct hq_net_pub {
    nng_socket tcp;
    nng_socket ipc;
    nng_listener tcp_listener;
    nng_listener ipc_listener;
    uint16_t port;
    bool has_secret;
    struct hq_seal_note_pub seal;
    uint32_t uid;         /* of ourselves: the only readers on ipc */
    pthread_mutex_t lock; /* thr: guards reader_count */
    uint32_t reader_count;
};

/* Readers never send; what they cost is a descriptor and a queue, so they are counted. */
static void
pub_on_pipe_thr(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct hq_net_pub *p = arg;
    pthread_mutex_lock(&p->lock);
    if (event == NNG_PIPE_EV_ADD_PRE) {
        p->reader_count++;
    } else if (p->reader_count > 0) {
        p->reader_count--;
    }
    bool is_full = p->reader_count > HQ_NET_SUBSCRIBERS_MAX;
    pthread_mutex_unlock(&p->lock);
    if (event != NNG_PIPE_EV_ADD_PRE) {
        return;
    }
    uint32_t uid = 0;
    int32_t pid = 0;
    bool is_foreign = hq_nng_peer_uid(pipe, &uid, &pid) && uid != p->uid && uid != 0;
    if (is_full || is_foreign) {
        (void)nng_pipe_close(pipe); /* safe here only */
    }
}

static int
pub_open(struct hq_net_pub *p, nng_socket *sock, const char *url, nng_listener *l, struct hq_err *err)
{
    int rv = nng_pub0_open(sock);
    if (rv != 0) {
        *sock = (nng_socket)NNG_SOCKET_INITIALIZER;
    }
    if (rv == 0) {
        rv = nng_socket_set_int(*sock, NNG_OPT_SENDBUF, HQ_NET_SEND_QUEUE);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(*sock, NNG_PIPE_EV_ADD_PRE, pub_on_pipe_thr, p);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(*sock, NNG_PIPE_EV_REM_POST, pub_on_pipe_thr, p);
    }
    if (rv != 0) {
        return hq_err_set(err, hq_nng_errno(rv), "Cannot open a socket: %s", nng_strerror(rv));
    }
    return hq_nng_listen(*sock, url, 0600, l, err);
}

static int
pub_listen(struct hq_net_pub *p, const char *host, const char *ipc_path, struct hq_err *err)
{
    char url[HQ_NNG_URL_BYTES];
    if (host != NULL) {
        int rc = hq_nng_url_tcp(url, host, 0, err);
        if (rc == 0) {
            rc = pub_open(p, &p->tcp, url, &p->tcp_listener, err);
        }
        int bound = 0;
        if (rc == 0 && nng_listener_get_int(p->tcp_listener, NNG_OPT_TCP_BOUND_PORT, &bound) != 0) {
            rc = hq_err_set(err, -EIO, "Cannot learn the port of %s", url);
        }
        if (rc < 0) {
            return rc;
        }
        p->port = (uint16_t)bound;
    }
    if (ipc_path != NULL) {
        int rc = hq_nng_url_ipc(url, ipc_path, err);
        return rc < 0 ? rc : pub_open(p, &p->ipc, url, &p->ipc_listener, err);
    }
    return 0;
}

int
hq_net_pub_create(struct hq_net_pub **ret, struct ev_loop *loop, const char *host, const char *ipc_path,
                  const unsigned char *secret, struct hq_err *err)
{
    (void)loop; /* sending never waits */
    int rc = hq_seal_start(err);
    if (rc < 0) {
        return rc;
    }
    struct hq_net_pub *p = hq_xalloc(sizeof(*p));
    (void)pthread_mutex_init(&p->lock, NULL); /* cannot fail on Linux */
    p->uid = (uint32_t)geteuid();
    if (secret != NULL) {
        p->has_secret = true;
        hq_seal_note_pub_init(&p->seal, secret);
    }
    struct hq_nng_mask mask;
    hq_nng_enter(&mask);
    rc = pub_listen(p, host, ipc_path, err);
    hq_nng_leave(&mask);
    if (rc < 0) {
        hq_net_pub_destroy(p);
        return rc;
    }
    *ret = p;
    return 0;
}

uint16_t
hq_net_pub_port(const struct hq_net_pub *p)
{
    return p->port;
}

/* A note that cannot be sent is lost, as notes may be. */
static void
pub_send(nng_socket sock, nng_msg *m)
{
    if (nng_sendmsg(sock, m, NNG_FLAG_NONBLOCK) != 0) {
        nng_msg_free(m);
    }
}

void
hq_net_pub_send(struct hq_net_pub *p, struct hq_str payload)
{
    HQ_ASSERT(payload.len <= HQ_NET_NOTE_BYTES_MAX);
    nng_msg *m = NULL;
    if (nng_socket_id(p->ipc) > 0 && nng_msg_alloc(&m, 0) == 0) {
        if (nng_msg_append(m, payload.ptr, payload.len) == 0) {
            pub_send(p->ipc, m);
        } else {
            nng_msg_free(m);
        }
    }
    if (nng_socket_id(p->tcp) <= 0) {
        return;
    }
    size_t over = p->has_secret ? HQ_SEAL_NOTE_HEAD_BYTES + HQ_SEAL_TAG_BYTES : 0;
    if (nng_msg_alloc(&m, payload.len + over) != 0) {
        return;
    }
    if (p->has_secret) {
        hq_seal_note_close(&p->seal, payload, nng_msg_body(m));
    } else if (payload.len > 0) {
        memcpy(nng_msg_body(m), payload.ptr, payload.len);
    }
    pub_send(p->tcp, m);
}

void
hq_net_pub_destroy(struct hq_net_pub *p)
{
    if (p == NULL) {
        return;
    }
    if (nng_socket_id(p->tcp) > 0) {
        (void)nng_close(p->tcp); /* nothing to do about a failure */
    }
    if (nng_socket_id(p->ipc) > 0) {
        (void)nng_close(p->ipc);
    }
    (void)pthread_mutex_destroy(&p->lock); /* no thread is left */
    sodium_memzero(&p->seal, sizeof(p->seal));
    free(p);
}

/* ---- reader */

struct hq_net_sub {
    struct ev_loop *loop;
    nng_socket sock;
    struct hq_bridge *bridge;
    ev_io io;
    bool is_sealed;
    struct hq_seal_note_sub seal;
    hq_net_note_fn fn;
    void *ctx;
    bool is_reading;
    bool is_dead; /* destroyed by its own callback */
};

static void
sub_on_connected(void *ctx, void *item)
{
    (void)item;
    struct hq_net_sub *s = ctx;
    s->fn(s->ctx, HQ_STR_NULL);
}

static void
sub_on_pipe_thr(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct hq_net_sub *s = arg;
    uint32_t uid = 0;
    int32_t pid = 0;
    if (event == NNG_PIPE_EV_ADD_POST) {
        hq_bridge_post_must_thr(s->bridge, sub_on_connected, s, NULL); /* reconnects are 50 ms apart */
    } else if (hq_nng_peer_uid(pipe, &uid, &pid) && !hq_net_uid_is_trusted(uid)) {
        (void)nng_pipe_close(pipe); /* ADD_PRE: safe */
    }
}

static void
sub_take(struct hq_net_sub *s, nng_msg *m)
{
    unsigned char text[HQ_NET_NOTE_BYTES_MAX];
    struct hq_str body = hq_str_make(nng_msg_body(m), nng_msg_len(m));
    if (s->is_sealed) {
        size_t len = 0;
        if (hq_seal_note_open(&s->seal, body, text, sizeof(text), &len) != 0) {
            return; /* forged, repeated or of another key: as good as lost */
        }
        body = hq_str_make((const char *)text, len);
    }
    if (body.len > 0 && body.len <= HQ_NET_NOTE_BYTES_MAX) {
        s->fn(s->ctx, body);
    }
}

static void
sub_free(struct hq_net_sub *s)
{
    sodium_memzero(&s->seal, sizeof(s->seal));
    free(s);
}

static void
sub_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    struct hq_net_sub *s = w->data;
    s->is_reading = true;
    for (int count = 0; count < NOTES_PER_TURN && !s->is_dead; count++) {
        nng_msg *m = NULL;
        if (nng_recvmsg(s->sock, &m, NNG_FLAG_NONBLOCK) != 0) {
            break;
        }
        sub_take(s, m);
        nng_msg_free(m);
    }
    s->is_reading = false;
    if (s->is_dead) {
        sub_free(s);
    }
}

static int
sub_open(struct hq_net_sub *s, const char *url, struct hq_err *err)
{
    int fd = -1;
    int rv = nng_sub0_open(&s->sock);
    if (rv != 0) {
        s->sock = (nng_socket)NNG_SOCKET_INITIALIZER;
    }
    if (rv == 0) {
        rv = nng_socket_set_int(s->sock, NNG_OPT_RECVBUF, HQ_NET_SEND_QUEUE);
    }
    if (rv == 0) {
        rv = nng_socket_set(s->sock, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_PRE, sub_on_pipe_thr, s);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_POST, sub_on_pipe_thr, s);
    }
    if (rv == 0) {
        rv = nng_socket_get_int(s->sock, NNG_OPT_RECVFD, &fd);
    }
    if (rv != 0) {
        return hq_err_set(err, hq_nng_errno(rv), "Cannot open a socket: %s", nng_strerror(rv));
    }
    ev_io_init(&s->io, sub_on_readable, fd, EV_READ); /* never read, written or closed by us */
    s->io.data = s;
    ev_io_start(s->loop, &s->io);
    return hq_nng_dial(s->sock, url, err);
}

static int
sub_url(char url[HQ_NNG_URL_BYTES], const char *host, uint16_t port, const char *ipc_path, bool *ret_is_local,
        struct hq_err *err)
{
    int rc = -ECONNREFUSED;
    *ret_is_local = false;
    if (ipc_path != NULL) {
        rc = hq_net_ipc_probe(ipc_path, HQ_SP_SUB, hq_clock_ms() + PROBE_MS, err);
        if (rc == 0) {
            *ret_is_local = true;
            return hq_nng_url_ipc(url, ipc_path, err);
        }
    }
    return host == NULL ? rc : hq_nng_url_tcp(url, host, port, err);
}

int
hq_net_sub_create(struct hq_net_sub **ret, struct ev_loop *loop, const char *host, uint16_t port, const char *ipc_path,
                  const unsigned char *secret, hq_net_note_fn fn, void *ctx, struct hq_err *err)
{
    char url[HQ_NNG_URL_BYTES];
    bool is_local = false;
    int rc = hq_seal_start(err);
    if (rc == 0) {
        rc = sub_url(url, host, port, ipc_path, &is_local, err);
    }
    if (rc < 0) {
        return rc;
    }
    struct hq_net_sub *s = hq_xalloc(sizeof(*s));
    s->loop = loop;
    s->fn = fn;
    s->ctx = ctx;
    if (secret != NULL && !is_local) {
        s->is_sealed = true;
        hq_seal_note_sub_init(&s->seal, secret);
    }
    rc = hq_bridge_create(&s->bridge, loop, 16, NULL, err);
    if (rc == 0) {
        struct hq_nng_mask mask;
        hq_nng_enter(&mask);
        rc = sub_open(s, url, err);
        hq_nng_leave(&mask);
    }
    if (rc < 0) {
        hq_net_sub_destroy(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void
hq_net_sub_destroy(struct hq_net_sub *s)
{
    if (s == NULL) {
        return;
    }
    ev_io_stop(s->loop, &s->io);
    if (nng_socket_id(s->sock) > 0) {
        (void)nng_close(s->sock); /* nothing to do about a failure */
    }
    hq_bridge_destroy(s->bridge);
    if (s->is_reading) {
        s->is_dead = true;
    } else {
        sub_free(s);
    }
}
