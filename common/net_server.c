/* net_server.c - the server's socket: listening, receiving, closing. */
#include "common/net_server.h"

#include <nng/protocol/reqrep0/rep.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

/* ---- nng's threads */

struct pipe_added {
    uint32_t id;
    struct hq_remote remote;
};

static void
remote_fill(struct hq_remote *r, nng_pipe pipe)
{
    nng_sockaddr a;
    char ip[INET6_ADDRSTRLEN] = "?";
    *r = (struct hq_remote){.uid = UINT32_MAX};
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &a) != 0) {
        a.s_family = NNG_AF_UNSPEC;
    }
    if (a.s_family == NNG_AF_INET) {
        r->family = AF_INET;
        r->port = a.s_in.sa_port;
        memcpy(r->ip, &a.s_in.sa_addr, 4);
        (void)inet_ntop(AF_INET, r->ip, ip, sizeof(ip)); /* "?" stays */
        (void)snprintf(r->addr, sizeof(r->addr), "%s:%u", ip, ntohs(r->port));
    } else if (a.s_family == NNG_AF_INET6) {
        r->family = AF_INET6;
        r->port = a.s_in6.sa_port;
        memcpy(r->ip, a.s_in6.sa_addr, 16);
        (void)inet_ntop(AF_INET6, r->ip, ip, sizeof(ip));
        (void)snprintf(r->addr, sizeof(r->addr), "[%s]:%u", ip, ntohs(r->port));
    } else {
        (void)snprintf(r->addr, sizeof(r->addr), "?");
    }
}

static void server_on_added(void *ctx, void *item);
static void server_on_removed(void *ctx, void *item);
static void server_on_message(void *ctx, void *item);

/* ADD_PRE comes before any message of the connection; closing it is safe only here. */
static void
server_on_pipe_thr(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct hq_net_server *s = arg;
    uint32_t id = (uint32_t)nng_pipe_id(pipe);
    if (!hq_live_event_thr(&s->live, pipe, event)) {
        return;
    }
    if (event == NNG_PIPE_EV_REM_POST) {
        hq_bridge_post_must_thr(s->bridge, server_on_removed, s, (void *)(uintptr_t)id);
        return;
    }
    struct pipe_added *added = hq_try_alloc(sizeof(*added));
    if (added == NULL) {
        (void)nng_pipe_close(pipe);
        return;
    }
    added->id = id;
    remote_fill(&added->remote, pipe);
    hq_bridge_post_must_thr(s->bridge, server_on_added, s, added);
}

static void
server_on_receive_thr(void *arg)
{
    struct hq_net_receive *r = arg;
    if (nng_aio_result(r->aio) != 0) {
        return; /* the socket closes */
    }
    nng_msg *m = nng_aio_get_msg(r->aio);
    nng_aio_set_msg(r->aio, NULL);
    hq_bridge_post_must_thr(r->server->bridge, server_on_message, r, m); /* bounded by the number of receives */
}

/* ---- the loop's thread */

void
hq_server_bad(struct hq_net_server *s, const struct hq_remote *remote, const char *why)
{
    if (s->conf.on_bad_peer != NULL && !s->is_closing) {
        s->conf.on_bad_peer(s->conf.ctx, remote->addr, why);
    }
}

void
hq_server_gone(struct hq_net_server *s, uint64_t peer_id)
{
    if (peer_id != 0 && s->conf.on_peer_gone != NULL && !s->is_closing) {
        s->conf.on_peer_gone(s->conf.ctx, peer_id);
    }
}

static void
server_on_added(void *ctx, void *item)
{
    struct hq_net_server *s = ctx;
    struct pipe_added *added = item;
    bool is_added = !s->is_closing && hq_pipe_add(&s->table, added->id, &added->remote, hq_clock_ms()) != NULL;
    free(added);
    if (is_added) {
        hq_server_close_overdue(s);
        hq_server_expire_soon(s);
    }
}

static void
pipe_gone(struct hq_net_server *s, uint32_t id)
{
    struct hq_pipe *p = hq_pipe_find(&s->table, id);
    if (p != NULL) {
        uint64_t gone = hq_pipe_remove(&s->table, p, hq_clock_ms());
        hq_server_expire_soon(s);
        hq_server_trim_soon(s);
        hq_server_gone(s, gone);
    }
}

static void
server_on_removed(void *ctx, void *item)
{
    pipe_gone(ctx, (uint32_t)(uintptr_t)item);
}

static void
server_on_message(void *ctx, void *item)
{
    struct hq_net_receive *r = ctx;
    struct hq_net_server *s = r->server;
    nng_msg *m = item;
    struct hq_pipe *p = hq_pipe_find(&s->table, (uint32_t)nng_pipe_id(nng_msg_get_pipe(m)));
    uint8_t route[8]; /* nng's header of a raw request: connection and request id, without intermediate hops */
    if (p != NULL && !p->is_kicked && !s->is_closing) {
        if (nng_msg_header_len(m) == sizeof(route)) {
            memcpy(route, nng_msg_header(m), sizeof(route));
            hq_server_handle(s, p, route, nng_msg_body(m), nng_msg_len(m));
        } else {
            hq_server_bad(s, &p->remote, "a message that came by detours");
            hq_pipe_kick(&s->table, p);
            hq_server_kick_soon(s);
        }
    }
    nng_msg_free(m);
    if (!s->is_closing) {
        nng_recv_aio(s->sock, r->aio);
    }
}

/* ---- the local socket's connections */

static void
local_on_foreign(void *ctx, const struct hq_remote *remote)
{
    hq_server_bad(ctx, remote, "a process of another user on the local socket");
}

static void
local_on_open(void *ctx, uint32_t id, const struct hq_remote *remote)
{
    struct hq_net_server *s = ctx;
    (void)hq_pipe_add(&s->table, id, remote, hq_clock_ms()); /* without memory: nobody hears what it says */
}

static void
local_on_frame(void *ctx, uint32_t id, const uint8_t route[8], char *body, size_t len)
{
    struct hq_net_server *s = ctx;
    struct hq_pipe *p = hq_pipe_find(&s->table, id);
    if (p != NULL && !p->is_kicked) {
        hq_server_handle(s, p, route, body, len);
    }
}

static void
local_on_gone(void *ctx, uint32_t id)
{
    pipe_gone(ctx, id);
}

void
hq_net_kick(struct hq_net_server *s, uint64_t peer_id)
{
    struct hq_peer *peer = hq_peer_find(&s->table, peer_id);
    if (peer != NULL) {
        hq_peer_forget(&s->table, peer);
        hq_server_kick_soon(s);
    }
}

/* ---- life */

static int
listen_tcp(struct hq_net_server *s, const char *host, uint16_t port, struct hq_err *err)
{
    char url[HQ_NNG_URL_BYTES];
    int rc = hq_nng_url_tcp(url, host, port, err);
    if (rc == 0) {
        rc = hq_nng_listen(s->sock, url, 0, &s->tcp, err);
    }
    int bound = 0;
    if (rc == 0 && nng_listener_get_int(s->tcp, NNG_OPT_TCP_BOUND_PORT, &bound) != 0) {
        rc = hq_err_set(err, -EIO, "Cannot learn the port of %s", url);
    }
    if (rc == 0) {
        s->port = (uint16_t)bound;
    }
    return rc;
}

static int
listen_local(struct hq_net_server *s, const char *path, struct hq_err *err)
{
    struct hq_local_conf conf = {.loop = s->conf.loop,
                                 .path = path,
                                 .uid = s->conf.ipc_uid,
                                 .ctx = s,
                                 .on_foreign = local_on_foreign,
                                 .on_open = local_on_open,
                                 .on_frame = local_on_frame,
                                 .on_gone = local_on_gone};
    return hq_local_create(&s->local, &conf, err);
}

static int
server_open(struct hq_net_server *s, const char *host, uint16_t port, struct hq_err *err)
{
    int rv = nng_rep0_open_raw(&s->sock);
    if (rv != 0) {
        s->sock = (nng_socket)NNG_SOCKET_INITIALIZER;
        return hq_err_set(err, hq_nng_errno(rv), "Cannot open a socket: %s", nng_strerror(rv));
    }
    if ((rv = nng_socket_set_int(s->sock, NNG_OPT_RECVBUF, HQ_NET_RECV_QUEUE)) != 0 ||
        (rv = nng_socket_set_int(s->sock, NNG_OPT_SENDBUF, HQ_NET_SEND_QUEUE)) != 0 ||
        (rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_PRE, server_on_pipe_thr, s)) != 0 ||
        (rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST, server_on_pipe_thr, s)) != 0) {
        return hq_err_set(err, hq_nng_errno(rv), "Cannot set up a socket: %s", nng_strerror(rv));
    }
    for (size_t ix = 0; ix < HQ_NET_RECEIVES; ix++) {
        struct hq_net_receive *r = &s->receives[ix];
        r->server = s;
        if ((rv = nng_aio_alloc(&r->aio, server_on_receive_thr, r)) != 0) {
            r->aio = NULL;
            return hq_err_set(err, hq_nng_errno(rv), "Cannot set up a socket: %s", nng_strerror(rv));
        }
    }
    int rc = host == NULL ? 0 : listen_tcp(s, host, port, err);
    for (size_t ix = 0; rc == 0 && ix < HQ_NET_RECEIVES; ix++) {
        nng_recv_aio(s->sock, s->receives[ix].aio);
    }
    return rc;
}

int
hq_net_server_create(struct hq_net_server **ret, const struct hq_net_server_conf *conf, struct hq_err *err)
{
    HQ_ASSERT(conf->on_request != NULL);
    int rc = hq_seal_start(err);
    if (rc < 0) {
        return rc;
    }
    struct hq_net_server *s = hq_xalloc(sizeof(*s));
    s->conf = *conf;
    if (conf->secret != NULL) {
        s->has_secret = true;
        memcpy(s->secret, conf->secret, sizeof(s->secret));
    }
    hq_sessions_init(&s->table);
    STAILQ_INIT(&s->held);
    hq_server_upkeep_init(s);
    hq_live_init(&s->live);
    ev_ref(conf->loop); /* a server keeps the loop alive */
    rc = hq_bridge_create(&s->bridge, conf->loop, HQ_NET_RECEIVES * 2, NULL, err);
    if (rc == 0) {
        struct hq_nng_mask mask;
        hq_nng_enter(&mask);
        rc = server_open(s, conf->host, conf->port, err);
        hq_nng_leave(&mask);
    }
    if (rc == 0 && conf->ipc_path != NULL) {
        rc = listen_local(s, conf->ipc_path, err);
    }
    s->conf.secret = NULL;
    s->conf.host = NULL;
    s->conf.ipc_path = NULL;
    if (rc < 0) {
        hq_net_server_destroy(s, 0);
        return rc;
    }
    *ret = s;
    return 0;
}

uint16_t
hq_net_server_port(const struct hq_net_server *s)
{
    return s->port;
}

/* nng does not say when an answer has left. Peers that got their last answer hang up: waits for that, for a while. */
static void
server_linger(struct hq_net_server *s, hq_ms wait_ms)
{
    hq_ms deadline_ms = hq_clock_ms() + wait_ms;
    bool is_done = false;
    if (s->local != NULL) {
        hq_local_linger(s->local, wait_ms);
        wait_ms = deadline_ms - hq_clock_ms();
    }
    for (hq_ms left_ms = wait_ms; !is_done && left_ms > 0; left_ms = deadline_ms - hq_clock_ms()) {
        hq_server_flush(s);
        is_done = hq_live_wait(&s->live, STAILQ_EMPTY(&s->held) ? left_ms : HQ_MIN(left_ms, (hq_ms)5));
    }
}

/* False: nng is stuck; the socket and what its callbacks touch must stay. */
static bool
server_shut(struct hq_net_server *s, hq_ms wait_ms)
{
    if (nng_socket_id(s->sock) <= 0) {
        return true;
    }
    server_linger(s, wait_ms);
    bool is_free = hq_live_end(&s->live, s->port, NULL);
    for (size_t ix = 0; ix < HQ_NET_RECEIVES && s->receives[ix].aio != NULL; ix++) {
        nng_aio_stop(s->receives[ix].aio); /* or nng_close may abort or hang under traffic */
    }
    if (is_free) {
        (void)nng_close(s->sock); /* nothing to do about a failure */
    }
    return is_free;
}

void
hq_net_server_destroy(struct hq_net_server *s, hq_ms wait_ms)
{
    if (s == NULL) {
        return;
    }
    s->is_closing = true;
    bool is_free = server_shut(s, wait_ms);
    for (size_t ix = 0; ix < HQ_NET_RECEIVES; ix++) {
        nng_aio_free(s->receives[ix].aio);
    }
    if (s->bridge != NULL) {
        (void)hq_bridge_drain(s->bridge); /* frees what was on its way */
        hq_bridge_destroy(s->bridge);
    }
    struct hq_net_held *h;
    while ((h = STAILQ_FIRST(&s->held)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->held, held);
        nng_msg_free(h->msg);
        free(h);
    }
    hq_local_destroy(s->local);
    hq_sessions_fini(&s->table);
    hq_server_upkeep_fini(s);
    ev_unref(s->conf.loop);
    sodium_memzero(s->secret, sizeof(s->secret));
    if (is_free) {
        hq_live_fini(&s->live);
        free(s);
    }
}
