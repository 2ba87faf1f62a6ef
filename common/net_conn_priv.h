/* net_conn_priv.h - a connection's state, shared by net_conn.c (dialing, life) and net_conn_io.c (bytes). Private. */
#ifndef HQ_COMMON_NET_CONN_PRIV_H
#define HQ_COMMON_NET_CONN_PRIV_H

#include <ev.h>

#include "common/net_conn.h"

enum conn_state {
    CONN_PAUSED,     /* timer: the next attempt */
    CONN_RESOLVING,  /* the thread asks for the name; timer: gives up */
    CONN_CONNECTING, /* writable: connected or not; timer: gives up */
    CONN_GREETING,   /* our greeting is out; timer: gives up */
    CONN_UP,
};

struct hq_conn {
    struct hq_conn_conf conf;
    char *ipc_path;
    char *host;
    enum conn_state state;
    bool is_local;
    int error;
    int fd; /* -1 = none */
    ev_io io;
    ev_timer timer;
    hq_ms pause_ms;
    uint32_t backlog_tries;
    struct hq_resolve *resolve;
    struct hq_addrs addrs;
    size_t addr_ix; /* the next to try */
    unsigned char *in;
    size_t in_len;
    size_t in_cap;
    struct hq_buf out;
    size_t out_at;  /* sent of it */
    uint32_t depth; /* callbacks that are running */
    bool is_dead;   /* destroyed by one of them: freed behind it */
};

/* net_conn.c */
void hq_conn_fail(struct hq_conn *c, int rc); /* this address or connection is done with; may free c */
void hq_conn_watch(struct hq_conn *c, int events);
/* Callbacks run between these two; false: c is gone. */
void hq_conn_enter(struct hq_conn *c);
bool hq_conn_leave(struct hq_conn *c);

/* net_conn_io.c */
int hq_conn_flush(struct hq_conn *c); /* 0 all is out, 1 something is left, or negative */
void hq_conn_read(struct hq_conn *c); /* what has come; may free c */

#endif
