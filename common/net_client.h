/* net_client.h - the client object, shared by net_client.c (life), net_call.c (calls in the loop) and net_ask.c (the
 * blocking form). Private.
 */
#ifndef HQ_COMMON_NET_CLIENT_H
#define HQ_COMMON_NET_CLIENT_H

#include "common/net_priv.h"

struct hq_calls; /* net_call.c */

struct hq_ask { /* net_ask.c: a connection of its own, made on first use */
    int fd;     /* -1 = none */
    bool is_local;
    bool has_greeted; /* our SP greeting is out */
    bool was_greeted; /* the server's came */
    uint32_t request_id;
    struct hq_chan chan;
    bool has_chan;
    size_t in_from; /* bytes received and not yet used: in[in_from..in_to) */
    size_t in_to;
    unsigned char in[4096];
};

struct hq_net_client {
    enum hq_role role;
    char *ipc_path; /* NULL = none */
    char *host;     /* NULL = none */
    uint16_t port;
    bool has_secret;
    unsigned char secret[HQ_SECRET_BYTES];
    struct hq_ask ask;
    struct hq_calls *calls; /* NULL: only for hq_net_ask */
};

void hq_ask_init(struct hq_ask *a);
void hq_ask_fini(struct hq_ask *a);
struct hq_calls *hq_calls_create(const struct hq_net_client *c, struct ev_loop *loop);
void hq_calls_destroy(struct hq_calls *calls);

#endif
