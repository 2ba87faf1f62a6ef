#include "tests/unit/networld.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nng/nng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

const unsigned char world_secret[HQ_SECRET_BYTES] = "one secret of exactly 32 bytes..";
const unsigned char world_other_secret[HQ_SECRET_BYTES] = "another one of exactly 32 bytes.";

/* nng 1.5.2 forgets an answer that it hands to a connection in the moment it ends (the message's size, once in some forty
 * hang-ups with answers under way), and a listener that is closed while somebody greets. Everything else must be given
 * back. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
    return "leak:hq_server_msg\n"
           "leak:nni_listener_create\nleak:nni_listener_start\n"
           "leak:ipc_ep_accept_cb\nleak:ipc_listener_doaccept\n"
           "leak:tcptran_accept_cb\nleak:tcp_listener_doaccept\n";
}

/* ---- server */

static void
world_on_request(void *ctx, const struct hq_net_peer *peer, const struct hq_net_req *req, struct hq_str payload)
{
    struct world *w = ctx;
    hq_xgrow(&w->requests, &w->request_cap, w->request_count + 1, sizeof(*w->requests));
    struct world_request *r = &w->requests[w->request_count++];
    *r = (struct world_request){.req = *req, .peer = *peer};
    memcpy(r->text, payload.len == 0 ? "" : payload.ptr, HQ_MIN(payload.len, sizeof(r->text) - 1));
    if (w->mode == WORLD_ECHO) {
        assert_int_equal(hq_net_answer(w->server, req, payload), 0);
    } else if (w->mode == WORLD_KICK) {
        hq_net_kick(w->server, peer->id);
    }
}

static void
world_on_gone(void *ctx, uint64_t peer_id)
{
    struct world *w = ctx;
    hq_xgrow(&w->gone, &w->gone_cap, w->gone_count + 1, sizeof(*w->gone));
    w->gone[w->gone_count++] = peer_id;
}

static void
world_on_bad(void *ctx, const char *addr, const char *why)
{
    struct world *w = ctx;
    assert_non_null(addr);
    w->bad_count++;
    snprintf(w->bad_why, sizeof(w->bad_why), "%s", why);
}

/* nng closes a listener's descriptor a moment after it says so: its address may be taken for that long. */
static bool
world_listens(void *arg)
{
    struct world *w = arg;
    struct hq_err err = {0};
    int rc = hq_net_server_create(&w->server, &w->conf, &err);
    if (rc != 0 && rc != -EADDRINUSE) {
        fail_msg("%s", err.text);
    }
    return rc == 0;
}

static void
world_start(struct world *w)
{
    w->conf.port = w->port;
    assert_true(world_until(w, world_listens, w));
    w->port = hq_net_server_port(w->server);
}

void
world_open(struct world *w, enum world_door door, const unsigned char *secret)
{
    static unsigned serial;
    *w = (struct world){.loop = ev_loop_new(EVFLAG_AUTO)};
    assert_non_null(w->loop);
    bool is_abstract = door == WORLD_ABSTRACT;
    snprintf(w->ipc_path, sizeof(w->ipc_path), "%shq-test-net-%d-%u", is_abstract ? "@" : "/tmp/", (int)getpid(),
             serial++);
    w->conf = (struct hq_net_server_conf){
        .loop = w->loop,
        .role = HQ_ROLE_CLIENT,
        .host = (door & WORLD_TCP) != 0 ? "127.0.0.1" : NULL,
        .ipc_path = (door & (WORLD_IPC | WORLD_ABSTRACT)) != 0 ? w->ipc_path : NULL,
        .secret = secret,
        .ipc_uid = (uint32_t)geteuid(),
        .ctx = w,
        .on_request = world_on_request,
        .on_peer_gone = world_on_gone,
        .on_bad_peer = world_on_bad,
    };
    world_start(w);
}

void
world_close(struct world *w)
{
    hq_net_server_destroy(w->server, 0);
    ev_loop_destroy(w->loop);
    free(w->requests);
    free(w->gone);
}

void
world_restart(struct world *w)
{
    hq_net_server_destroy(w->server, 0);
    world_start(w);
}

/* ---- time */

static void
world_on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)t;
    (void)revents;
    ev_break(loop, EVBREAK_ONE);
}

bool
world_until(struct world *w, bool (*fn)(void *arg), void *arg)
{
    int64_t deadline_ms = hq_clock_ms() + WORLD_MS;
    ev_timer tick; /* only bounds how long one look at the loop may take */
    ev_timer_init(&tick, world_on_tick, 0.02, 0.02);
    ev_timer_start(w->loop, &tick);
    bool holds = fn(arg);
    while (!holds && hq_clock_ms() < deadline_ms) {
        ev_run(w->loop, EVRUN_ONCE);
        holds = fn(arg);
    }
    ev_timer_stop(w->loop, &tick);
    return holds;
}

struct count_wait {
    const size_t *count;
    size_t at_least;
};

static bool
is_counted(void *arg)
{
    const struct count_wait *c = arg;
    return *c->count >= c->at_least;
}

bool
world_until_count(struct world *w, const size_t *count, size_t at_least)
{
    struct count_wait c = {count, at_least};
    return world_until(w, is_counted, &c);
}

static bool
is_replied(void *arg)
{
    return ((struct world_reply *)arg)->is_done;
}

bool
world_until_done(struct world *w, struct world_reply *r)
{
    return world_until(w, is_replied, r);
}

void
world_turn(struct world *w, int64_t ms)
{
    ev_timer tick;
    ev_now_update(w->loop);
    ev_timer_init(&tick, world_on_tick, (double)ms / 1e3, 0.);
    ev_timer_start(w->loop, &tick);
    ev_run(w->loop, 0);
    ev_timer_stop(w->loop, &tick);
}

int
world_end(void **state)
{
    (void)state;
    nng_fini();
    return 0;
}

/* ---- clients */

struct hq_net_client *
world_client(struct world *w, enum world_door door, const unsigned char *secret)
{
    struct hq_net_client *c = NULL;
    struct hq_net_client_conf conf = {
        .loop = w->loop,
        .host = door == WORLD_TCP ? "127.0.0.1" : NULL,
        .port = w->port,
        .ipc_path = door == WORLD_TCP ? NULL : w->ipc_path,
        .secret = secret,
        .role = HQ_ROLE_CLIENT,
    };
    struct hq_err err = {0};
    if (hq_net_client_create(&c, &conf, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return c;
}

static void
world_on_reply(void *ctx, int rc, struct hq_str payload)
{
    struct world_reply *r = ctx;
    assert_false(r->is_done); /* exactly once */
    r->is_done = true;
    r->rc = rc;
    r->len = payload.len;
    memcpy(r->text, payload.len == 0 ? "" : payload.ptr, HQ_MIN(payload.len, sizeof(r->text) - 1));
}

void
world_call(struct hq_net_client *c, const char *text, int64_t timeout_ms, struct world_reply *r)
{
    *r = (struct world_reply){0};
    struct hq_err err = {0};
    if (hq_net_call(c, hq_str_from(text), timeout_ms, world_on_reply, r, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_false(r->is_done); /* never from inside */
}

int
world_ask(struct world *w, struct hq_net_client *c, const char *text, struct world_reply *r)
{
    world_call(c, text, WORLD_MS - 500, r);
    assert_true(world_until_done(w, r));
    return r->rc;
}

static void *
asker_main(void *arg)
{
    struct world_asker *a = arg;
    a->rc = a->client != NULL ? 0 : hq_net_client_create(&a->client, &a->conf, &a->err);
    int64_t from_ms = hq_clock_ms();
    for (unsigned ix = 0; a->rc == 0 && ix < HQ_MAX(a->count, 1u); ix++) {
        free(a->answer);
        a->answer = NULL;
        a->rc = hq_net_ask(a->client, hq_str_make(a->payload, a->payload_len), a->timeout_ms, &a->answer,
                           &a->answer_len, &a->err);
    }
    a->took_ms = hq_clock_ms() - from_ms;
    if (!a->is_kept) {
        hq_net_client_destroy(a->client);
        a->client = NULL;
    }
    atomic_store(&a->is_done, true);
    return NULL;
}

static bool
is_asked(void *arg)
{
    return atomic_load(&((struct world_asker *)arg)->is_done);
}

void
world_asker_run(struct world *w, struct world_asker *a)
{
    if (a->timeout_ms == 0) {
        a->timeout_ms = WORLD_MS - 500;
    }
    atomic_store(&a->is_done, false);
    assert_int_equal(pthread_create(&a->thread, NULL, asker_main, a), 0);
    bool is_done = world_until(w, is_asked, a);
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    assert_true(is_done);
}

/* ---- raw peers */

static void
send_at_once(int fd)
{
    const int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

struct raw
raw_connect(struct world *w, bool is_ipc)
{
    struct raw r = {.is_ipc = is_ipc};
    if (is_ipc) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", w->ipc_path);
        r.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(r.fd, (struct sockaddr *)&un, sizeof(un)), 0);
    } else {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(w->port)};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        r.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(r.fd, (struct sockaddr *)&in, sizeof(in)), 0);
        send_at_once(r.fd);
    }
    return r;
}

void
raw_send(struct raw *r, const void *p, size_t len)
{
    const char *from = p;
    while (len > 0) {
        ssize_t n = send(r->fd, from, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return; /* the server was faster */
        }
        assert_true(n > 0);
        from += n;
        len -= (size_t)n;
    }
}

void
raw_greet(struct raw *r, unsigned char protocol)
{
    const unsigned char greeting[8] = {0, 'S', 'P', 0, 0, protocol, 0, 0};
    raw_send(r, greeting, sizeof(greeting));
}

static size_t
put_head(unsigned char *head, bool is_ipc, uint64_t total)
{
    size_t at = 0;
    if (is_ipc) {
        head[at++] = 1;
    }
    for (size_t ix = 0; ix < 8; ix++) {
        head[at++] = (unsigned char)(total >> (56 - 8 * ix));
    }
    return at;
}

void
raw_request(struct raw *r, uint32_t id, const void *body, size_t len)
{
    unsigned char head[16];
    size_t at = put_head(head, r->is_ipc, (uint64_t)len + 4);
    id |= UINT32_C(0x80000000);
    for (size_t ix = 0; ix < 4; ix++) {
        head[at++] = (unsigned char)(id >> (24 - 8 * ix));
    }
    raw_send(r, head, at);
    raw_send(r, body, len);
}

void
raw_close(struct raw *r)
{
    close(r->fd);
    r->fd = -1;
}

void
raw_reset(struct raw *r)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    raw_close(r);
}

bool
raw_is_closed(void *arg)
{
    struct raw *r = arg;
    char drop[4096];
    ssize_t n;
    while ((n = recv(r->fd, drop, sizeof(drop), MSG_DONTWAIT)) > 0) {
    }
    return n == 0 || (errno != EAGAIN && errno != EINTR);
}

ssize_t
raw_peek(struct raw *r, void *buf, size_t cap)
{
    ssize_t n = recv(r->fd, buf, cap, MSG_DONTWAIT | MSG_PEEK);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

/* ---- the path */

struct path_end {
    struct path *path;
    bool is_to_server; /* what is read here goes to the server */
    int fd;            /* -1 = none */
    ev_io io;
    bool was_greeted;
    unsigned char *in;
    size_t in_len;
    size_t in_cap;
};

struct path {
    struct world *w;
    path_fn fn;
    void *ctx;
    int listen_fd;
    uint16_t port;
    ev_io accept;
    struct path_end client;
    struct path_end server;
};

static void
path_end_close(struct path_end *e)
{
    if (e->fd >= 0) {
        ev_io_stop(e->path->w->loop, &e->io);
        close(e->fd);
    }
    e->fd = -1;
    e->in_len = 0;
    e->was_greeted = false;
}

void
path_cut(struct path *p)
{
    path_end_close(&p->client);
    path_end_close(&p->server);
}

static void
path_write(struct path_end *to, const void *bytes, size_t len)
{
    struct raw r = {.fd = to->fd};
    if (to->fd >= 0) {
        raw_send(&r, bytes, len);
    }
}

void
path_inject(struct path *p, bool is_to_server, const void *body, size_t len)
{
    unsigned char head[8];
    struct path_end *to = is_to_server ? &p->server : &p->client;
    path_write(to, head, put_head(head, false, len));
    path_write(to, body, len);
}

/* Takes whole frames off the front; false: the connections were cut meanwhile. */
static bool
path_pass(struct path_end *e)
{
    struct path *p = e->path;
    struct path_end *to = e->is_to_server ? &p->server : &p->client;
    size_t at = 0;
    if (!e->was_greeted && e->in_len >= 8) {
        path_write(to, e->in, 8);
        e->was_greeted = true;
        at = 8;
    }
    while (e->was_greeted && e->in_len - at >= 8) {
        uint64_t len = 0;
        for (size_t ix = 0; ix < 8; ix++) {
            len = len << 8 | e->in[at + ix];
        }
        if (e->in_len - at - 8 < len) {
            break;
        }
        unsigned char *body = e->in + at + 8;
        enum path_verdict verdict = p->fn == NULL ? PATH_PASS : p->fn(p->ctx, p, e->is_to_server, body, (size_t)len);
        if (e->fd < 0) {
            return false;
        }
        if (verdict == PATH_PASS) {
            path_inject(p, e->is_to_server, body, (size_t)len);
        }
        at += 8 + (size_t)len;
    }
    memmove(e->in, e->in + at, e->in_len - at);
    e->in_len -= at;
    return true;
}

static void
path_on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct path_end *e = io->data;
    hq_xgrow(&e->in, &e->in_cap, e->in_len + 65536, 1);
    ssize_t n = recv(e->fd, e->in + e->in_len, 65536, 0);
    if (n <= 0) {
        path_cut(e->path);
        return;
    }
    e->in_len += (size_t)n;
    (void)path_pass(e); /* nothing is touched behind it */
}

static void
path_end_open(struct path_end *e, int fd)
{
    e->fd = fd;
    ev_io_init(&e->io, path_on_readable, fd, EV_READ);
    e->io.data = e;
    ev_io_start(e->path->w->loop, &e->io);
}

static void
path_on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct path *p = io->data;
    int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    path_cut(p); /* one client at a time */
    struct raw r = raw_connect(p->w, false);
    send_at_once(fd);
    path_end_open(&p->client, fd);
    path_end_open(&p->server, r.fd);
}

struct path *
path_open(struct world *w, path_fn fn, void *ctx)
{
    struct path *p = hq_xalloc(sizeof(*p));
    *p = (struct path){.w = w, .fn = fn, .ctx = ctx};
    p->client = (struct path_end){.path = p, .is_to_server = true, .fd = -1};
    p->server = (struct path_end){.path = p, .fd = -1};
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(in);
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listen_fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(p->listen_fd, 8), 0);
    assert_int_equal(getsockname(p->listen_fd, (struct sockaddr *)&in, &len), 0);
    p->port = ntohs(in.sin_port);
    ev_io_init(&p->accept, path_on_accept, p->listen_fd, EV_READ);
    p->accept.data = p;
    ev_io_start(w->loop, &p->accept);
    return p;
}

uint16_t
path_port(const struct path *p)
{
    return p->port;
}

void
path_close(struct path *p)
{
    path_cut(p);
    ev_io_stop(p->w->loop, &p->accept);
    close(p->listen_fd);
    free(p->client.in);
    free(p->server.in);
    free(p);
}
