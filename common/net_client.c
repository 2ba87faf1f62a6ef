/* net_client.c - life of a client. */
#include "common/net_client.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

int
hq_net_client_create(struct hq_net_client **ret, const struct hq_net_client_conf *conf, struct hq_err *err)
{
    if (conf->ipc_path == NULL && conf->host == NULL) {
        return hq_err_set(err, -EINVAL, "No address of a server");
    }
    struct hq_net_client *c = hq_xalloc(sizeof(*c));
    c->role = conf->role;
    c->port = conf->port;
    c->ipc_path = conf->ipc_path == NULL ? NULL : hq_xstrdup(conf->ipc_path);
    c->host = conf->host == NULL ? NULL : hq_xstrdup(conf->host);
    if (conf->secret != NULL) {
        c->has_secret = true;
        memcpy(c->secret, conf->secret, sizeof(c->secret));
    }
    hq_ask_init(&c->ask);
    if (conf->loop != NULL) {
        int rc = hq_seal_start(err);
        if (rc < 0) {
            hq_net_client_destroy(c);
            return rc;
        }
        c->calls = hq_calls_create(c, conf->loop);
    }
    *ret = c;
    return 0;
}

void
hq_net_client_destroy(struct hq_net_client *c)
{
    if (c == NULL) {
        return;
    }
    hq_calls_destroy(c->calls);
    hq_ask_fini(&c->ask);
    free(c->ipc_path);
    free(c->host);
    sodium_memzero(c->secret, sizeof(c->secret));
    free(c);
}
