/* net_local_priv.h - the local socket's state, shared by net_local.c (accepting, life) and net_local_conn.c (bytes of a
 * connection). Private. */
#ifndef HQ_COMMON_NET_LOCAL_PRIV_H
#define HQ_COMMON_NET_LOCAL_PRIV_H

#include <ev.h>

#include "common/net_dial.h"
#include "common/net_local.h"

struct hq_local_conn {
    struct hq_local *local;
    uint32_t id;
    int fd;
    ev_io io;
    struct hq_remote remote;
    hq_ms since_ms;
    bool is_greeted; /* else in the list of those who have not */
    unsigned char *in;
    size_t in_len;
    size_t in_cap;
    struct hq_buf out;
    size_t out_at; /* sent of it */
    TAILQ_ENTRY(hq_local_conn) greeting;
    UT_hash_handle hh;
};

struct hq_local {
    struct hq_local_conf conf;
    char *path; /* NULL = abstract, or not bound */
    int fd;
    ev_io accept;
    ev_timer pause;  /* of accepting */
    ev_timer expire; /* of those who have not greeted */
    struct hq_local_conn *conns; /* uthash by id */
    TAILQ_HEAD(, hq_local_conn) greeting; /* oldest first */
    uint32_t greeting_count;
    uint32_t last_id;
    bool is_silent; /* lingering or ending: no callbacks */
};

/* net_local_conn.c */
struct hq_local_conn *hq_local_conn_find(struct hq_local *l, uint32_t id);
void hq_local_conn_end(struct hq_local_conn *c); /* frees c; on_gone comes from inside */
void hq_local_conn_watch(struct hq_local_conn *c); /* for what it waits for now */
int hq_local_conn_flush(struct hq_local_conn *c);  /* 0 all is out or waits, negative: it is done with */
void hq_local_conn_on_io(struct ev_loop *loop, ev_io *w, int revents);

#endif
