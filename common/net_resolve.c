#include "common/net_resolve.h"

#include <arpa/inet.h>
#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bridge.h"
#include "common/mem.h"
#include "common/net.h"

#define HOST_BYTES 256
#define THREAD_STACK_BYTES (512u * 1024u)

struct hq_resolve {
    struct hq_bridge *bridge;
    hq_resolve_fn fn;
    void *ctx;
    char host[HOST_BYTES];
    uint16_t port;
    pthread_mutex_t lock; /* thr: guards the two below */
    bool is_dropped;      /* the owner is gone: the thread frees */
    bool is_done;         /* the thread is through: the owner frees */
    int rc;
    struct hq_addrs addrs;
};

static int
lookup(const char *host, uint16_t port, int flags, struct hq_addrs *ret)
{
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, service, &hints, &list) != 0) {
        return -EHOSTUNREACH;
    }
    ret->count = 0;
    for (const struct addrinfo *ai = list; ai != NULL && ret->count < HQ_RESOLVE_ADDRS_MAX; ai = ai->ai_next) {
        if (ai->ai_addrlen <= sizeof(ret->at[0].sa)) {
            struct hq_addr *a = &ret->at[ret->count++];
            memcpy(&a->sa, ai->ai_addr, ai->ai_addrlen);
            a->len = ai->ai_addrlen;
        }
    }
    freeaddrinfo(list);
    return ret->count > 0 ? 0 : -EHOSTUNREACH;
}

int
hq_resolve_number(const char *host, uint16_t port, struct hq_addrs *ret)
{
    return lookup(host, port, AI_NUMERICHOST, ret) == 0 ? 0 : -EINVAL;
}

int
hq_resolve_blocking(const char *host, uint16_t port, struct hq_addrs *ret)
{
    return lookup(host, port, 0, ret);
}

int
hq_net_addresses(const char *host, uint16_t port, struct hq_buf *out)
{
    struct hq_addrs found;
    int rc = hq_resolve_blocking(host, port, &found);
    for (size_t i = 0; rc == 0 && i < found.count; i++) {
        char ip[INET6_ADDRSTRLEN] = "?";
        const struct sockaddr_storage *sa = &found.at[i].sa;
        bool is_v6 = sa->ss_family == AF_INET6;
        const void *bytes = is_v6 ? (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr
                                  : (const void *)&((const struct sockaddr_in *)sa)->sin_addr;
        (void)inet_ntop(sa->ss_family, bytes, ip, sizeof(ip)); /* "?" stays */
        hq_buf_printf(out, is_v6 ? "%s[%s]:%u" : "%s%s:%u", i == 0 ? "" : ", ", ip, port);
    }
    return rc;
}

static void
resolve_free(struct hq_resolve *r)
{
    (void)pthread_mutex_destroy(&r->lock); /* nobody else is left */
    free(r);
}

static void
resolve_on_done(void *ctx, void *item)
{
    (void)item;
    struct hq_resolve *r = ctx;
    r->fn(r->ctx, r->rc, &r->addrs); /* may drop r */
}

static void *
resolve_main_thr(void *arg)
{
    struct hq_resolve *r = arg;
    struct hq_addrs addrs = {0};
    int rc = lookup(r->host, r->port, 0, &addrs);
    pthread_mutex_lock(&r->lock);
    r->rc = rc;
    r->addrs = addrs;
    r->is_done = true;
    bool is_dropped = r->is_dropped;
    if (!is_dropped) { /* inside the lock: the owner cannot take the bridge away meanwhile */
        hq_bridge_post_must_thr(r->bridge, resolve_on_done, r, NULL);
    }
    pthread_mutex_unlock(&r->lock);
    if (is_dropped) {
        resolve_free(r);
    }
    return NULL;
}

static int
start_thread(struct hq_resolve *r)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t old;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) {
        return -rc;
    }
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED); /* these cannot fail */
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loop's */
    rc = pthread_create(&thread, &attr, resolve_main_thr, r);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    return -rc;
}

int
hq_resolve_start(struct hq_resolve **ret, struct ev_loop *loop, const char *host, uint16_t port, hq_resolve_fn fn,
                 void *ctx)
{
    if (strlen(host) >= HOST_BYTES) {
        return -EHOSTUNREACH;
    }
    struct hq_resolve *r = hq_xalloc(sizeof(*r));
    r->fn = fn;
    r->ctx = ctx;
    r->port = port;
    memcpy(r->host, host, strlen(host) + 1);
    (void)pthread_mutex_init(&r->lock, NULL); /* cannot fail on Linux */
    int rc = hq_bridge_create(&r->bridge, loop, 1, NULL, NULL);
    if (rc == 0) {
        rc = start_thread(r);
    }
    if (rc < 0) {
        hq_bridge_destroy(r->bridge);
        resolve_free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void
hq_resolve_drop(struct hq_resolve *r)
{
    if (r == NULL) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->is_dropped = true;
    bool is_done = r->is_done;
    struct hq_bridge *bridge = r->bridge;
    pthread_mutex_unlock(&r->lock); /* from here on r is the thread's, unless that is through */
    hq_bridge_destroy(bridge);      /* the thread posts to it only before it sees the drop */
    if (is_done) {
        resolve_free(r);
    }
}
