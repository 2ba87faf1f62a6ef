/* net_pub.c - the sender of notes: hints that may be lost, one sender, many readers.
 *
 * Two PUB sockets, since local readers get plain notes and those on TCP sealed ones. It never waits: nng keeps
 * HQ_NET_NOTE_QUEUE notes per reader and drops the oldest. Readers on TCP show no key (the notes are sealed), so there
 * are few places for them: what a stranger can cost is bounded by that.
 */
#include "common/net_priv.h"

#include <nng/protocol/pubsub0/pub.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/net_live.h"

struct hq_net_pub {
    nng_socket tcp;
    nng_socket ipc;
    uint16_t port;
    bool has_secret;
    struct hq_seal_note_pub seal;
    uint32_t uid; /* of ourselves: the only readers on ipc */
    char *ipc_path;
    struct hq_live live_tcp;
    struct hq_live live_ipc;
};

/* Readers never send; what they cost is a descriptor and a queue, so they are counted. */
static void
pub_on_tcp_thr(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct hq_net_pub *p = arg;
    if (hq_live_event_thr(&p->live_tcp, pipe, event) && event == NNG_PIPE_EV_ADD_PRE &&
        hq_live_count_thr(&p->live_tcp) > HQ_NET_READERS_TCP_MAX) {
        (void)nng_pipe_close(pipe); /* safe here only */
    }
}

static void
pub_on_ipc_thr(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct hq_net_pub *p = arg;
    uint32_t uid = UINT32_MAX;
    int32_t pid = 0;
    if (!hq_live_event_thr(&p->live_ipc, pipe, event) || event != NNG_PIPE_EV_ADD_PRE) {
        return;
    }
    bool is_ours = hq_nng_peer_uid(pipe, &uid, &pid) && (uid == p->uid || uid == 0);
    if (!is_ours || hq_live_count_thr(&p->live_ipc) > HQ_NET_READERS_MAX) {
        (void)nng_pipe_close(pipe);
    }
}

static int
pub_open(struct hq_net_pub *p, nng_socket *sock, nng_pipe_cb cb, const char *url, struct hq_err *err)
{
    int rv = nng_pub0_open(sock);
    if (rv != 0) {
        *sock = (nng_socket)NNG_SOCKET_INITIALIZER;
    }
    if (rv == 0) {
        rv = nng_socket_set_int(*sock, NNG_OPT_SENDBUF, HQ_NET_NOTE_QUEUE);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(*sock, NNG_PIPE_EV_ADD_PRE, cb, p);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(*sock, NNG_PIPE_EV_REM_POST, cb, p);
    }
    if (rv != 0) {
        return hq_err_set(err, hq_nng_errno(rv), "Cannot open a socket: %s", nng_strerror(rv));
    }
    nng_listener l;
    int rc = hq_nng_listen(*sock, url, 0600, &l, err);
    int bound = 0;
    if (rc == 0 && nng_listener_get_int(l, NNG_OPT_TCP_BOUND_PORT, &bound) == 0) {
        p->port = (uint16_t)bound;
    }
    return rc;
}

static int
pub_listen(struct hq_net_pub *p, const char *host, const char *ipc_path, struct hq_err *err)
{
    char url[HQ_NNG_URL_BYTES];
    if (host != NULL) {
        int rc = hq_nng_url_tcp(url, host, 0, err);
        rc = rc < 0 ? rc : pub_open(p, &p->tcp, pub_on_tcp_thr, url, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (ipc_path != NULL) {
        int rc = hq_nng_url_ipc(url, ipc_path, err);
        return rc < 0 ? rc : pub_open(p, &p->ipc, pub_on_ipc_thr, url, err);
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
    hq_live_init(&p->live_tcp);
    hq_live_init(&p->live_ipc);
    p->ipc_path = ipc_path == NULL ? NULL : hq_xstrdup(ipc_path);
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

static bool
pub_close(nng_socket sock, struct hq_live *live, uint16_t port, const char *ipc_path)
{
    if (nng_socket_id(sock) <= 0) {
        return true;
    }
    bool is_free = hq_live_end(live, port, ipc_path);
    if (is_free) {
        (void)nng_close(sock); /* nothing to do about a failure */
    }
    return is_free;
}

void
hq_net_pub_destroy(struct hq_net_pub *p)
{
    if (p == NULL) {
        return;
    }
    bool is_free = pub_close(p->tcp, &p->live_tcp, p->port, NULL);
    is_free = pub_close(p->ipc, &p->live_ipc, 0, p->ipc_path) && is_free;
    sodium_memzero(&p->seal, sizeof(p->seal));
    free(p->ipc_path);
    if (is_free) { /* else nng is stuck and its callbacks may still come */
        hq_live_fini(&p->live_tcp);
        hq_live_fini(&p->live_ipc);
        free(p);
    }
}
