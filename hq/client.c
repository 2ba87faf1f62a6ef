#include "hq/client.h"

#include "common/log.h"
#include "common/mem.h"
#include "common/net.h"
#include "common/serverdir.h"
#include "common/wire.h"

#include "proto/common.pb-c.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct client {
    struct hq_buf server_dir; /* absolute */
    struct hq_buf option;     /* " --server-dir <dir>" or empty */
    bool is_default;
    bool has_access;   /* access, instance, endpoint are loaded */
    bool has_answered; /* this connection has carried an answer */
    struct hq_access access;
    struct hq_buf instance;
    struct hq_endpoint endpoint;
    struct hq_net_client *net;
    uint64_t request_id;
};

static struct client *
client_get(struct hq_cli *cli)
{
    if (cli->client == NULL) {
        cli->client = hq_arena_alloc(&cli->arena, sizeof *cli->client);
        /* Ids are never used twice by anybody: hqd answers a known one from its record. */
        randombytes_buf(&cli->client->request_id, sizeof cli->client->request_id);
    }
    return cli->client;
}

int
client_server_dir(struct hq_cli *cli, const char **ret_dir, const char **ret_option, struct hq_err *err)
{
    struct client *c = client_get(cli);
    if (c->server_dir.len == 0) {
        struct hq_str given = cli->globals.server_dir;
        int rc = hq_serverdir_path(&c->server_dir, given.len > 0 ? given.ptr : NULL, &c->is_default, err);
        if (rc < 0) {
            return rc;
        }
        hq_serverdir_hint(&c->option, c->server_dir.ptr, c->is_default);
    }
    *ret_dir = c->server_dir.ptr;
    if (ret_option != NULL) {
        *ret_option = c->option.len > 0 ? c->option.ptr : "";
    }
    return 0;
}

int
client_prepare(struct hq_cli *cli, struct hq_err *err)
{
    struct client *c = client_get(cli);
    const char *dir;
    int rc = client_server_dir(cli, &dir, NULL, err);
    if (rc < 0 || c->has_access) {
        return rc;
    }
    hq_buf_clear(&c->instance);
    rc = hq_serverdir_load_client(&c->access, &c->instance, dir, c->is_default, err);
    if (rc < 0) {
        return rc;
    }
    /* A directory with a copied access file has none: then there is only TCP. */
    if (hq_endpoint_load(&c->endpoint, c->instance.ptr, NULL) < 0) {
        c->endpoint = (struct hq_endpoint){0};
    }
    c->has_access = true;
    return 0;
}

void
client_reset(struct hq_cli *cli)
{
    struct client *c = client_get(cli);
    hq_net_client_destroy(c->net);
    c->net = NULL;
    c->has_answered = false;
    if (c->has_access) {
        hq_access_fini(&c->access);
        hq_endpoint_fini(&c->endpoint);
        c->has_access = false;
    }
}

void
client_fini(struct hq_cli *cli)
{
    struct client *c = client_get(cli);
    client_reset(cli);
    hq_buf_fini(&c->server_dir);
    hq_buf_fini(&c->option);
    hq_buf_fini(&c->instance);
}

static int
make_net(struct client *c, const char *host, struct hq_err *err)
{
    struct hq_net_client_conf conf = {.ipc_path = c->endpoint.ipc,
                                      .host = host,
                                      .port = c->access.client.port,
                                      .secret = c->access.client.has_key ? c->access.client.key : NULL,
                                      .role = HQ_ROLE_CLIENT};
    hq_net_client_destroy(c->net);
    c->net = NULL;
    c->has_answered = false;
    return hq_net_client_create(&c->net, &conf, err);
}

static int
connect_once(struct hq_cli *cli, struct hq_err *err)
{
    struct client *c = client_get(cli);
    int rc = client_prepare(cli, err);
    if (rc < 0 || c->net != NULL) {
        return rc;
    }
    if (!c->access.client.has_key) {
        hq_log_warn("No client key: Unauthenticated and unencrypted connection to server");
    }
    return make_net(c, c->access.client.host, err);
}

/* The server's name means this host, but the way out to that name is blocked. */
static bool
is_own_host(const struct client *c)
{
    char name[256];
    return gethostname(name, sizeof name) == 0 && strnlen(name, sizeof name) < sizeof name &&
           strcmp(name, c->access.client.host) == 0;
}

static int
ask(struct client *c, const struct hq_buf *out, hq_ms timeout_ms, char **ret_payload, size_t *ret_len,
    struct hq_err *err)
{
    int rc = hq_net_ask(c->net, hq_buf_view(out), timeout_ms, ret_payload, ret_len, err);
    if (rc == -EHOSTUNREACH && !c->has_answered && is_own_host(c)) {
        rc = make_net(c, "localhost", err);
        if (rc == 0) {
            rc = hq_net_ask(c->net, hq_buf_view(out), timeout_ms, ret_payload, ret_len, err);
        }
    }
    return rc;
}

/* The sentence for what went wrong on the way. */
static int
ask_failed(struct hq_cli *cli, int rc, struct hq_err *err)
{
    const struct client *c = client_get(cli);
    if (c->has_answered && rc != -ETIMEDOUT) {
        return hq_err_set(err, -ECONNRESET, "Connection closed");
    }
    if (rc == -ECONNREFUSED || rc == -ETIMEDOUT) {
        (void)hq_err_set(err, rc, "%s", hq_err_os(rc));
    }
    (void)hq_err_wrap(err,
                      "Access token found but HQ server %s:%u is unreachable.\n"
                      "Try to (re)start the server using `hq server start%s`",
                      c->access.client.host, c->access.client.port, c->option.len > 0 ? c->option.ptr : "");
    return rc;
}

static int
read_error(struct hq_str body, struct hq_arena *arena, bool is_plain, struct hq_err *err)
{
    ProtobufCMessage *msg;
    int rc = hq_wire_unpack(body, &hq__error__descriptor, arena, &msg, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__Error *e = (const Hq__Error *)(const void *)msg;
    return hq_err_set(err, -EREMOTEIO, "%s%.*s", is_plain ? "" : "Error: ", (int)e->text.len,
                      (const char *)e->text.data);
}

static int
read_answer(const struct client_query *q, struct hq_str payload, struct hq_arena *arena, ProtobufCMessage **ret,
            struct hq_err *err)
{
    struct hq_wire_head head;
    struct hq_str body;
    int rc = hq_wire_head(payload, &head, &body, err);
    if (rc == -EPROTONOSUPPORT) {
        return hq_err_set(err, rc,
                          "Hyperqueue version mismatch detected.\n"
                          "The server speaks protocol %u, but the current protocol is %u.",
                          head.version, HQ_WIRE_VERSION);
    }
    if (rc < 0) {
        return rc;
    }
    if (head.type == HQ__MESSAGE_TYPE__TYPE_ERROR) {
        return read_error(body, arena, q->is_plain_error, err);
    }
    if (head.type != q->answer_type) {
        return hq_err_set(err, -EPROTO, "The server gave an answer of type %u to a request of type %u", head.type,
                          q->type);
    }
    return q->answer == NULL ? 0 : hq_wire_unpack(body, q->answer, arena, ret, err);
}

int
client_call(struct hq_cli *cli, const struct client_query *q, ProtobufCMessage **ret, struct hq_err *err)
{
    Hq__Empty empty = HQ__EMPTY__INIT;
    struct client *c = client_get(cli);
    int rc = connect_once(cli, err);
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    rc = hq_wire_pack(&out, q->type, ++c->request_id, q->request != NULL ? q->request : &empty.base, err);
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_mem_freep) char *payload = NULL;
    size_t len = 0;
    rc = ask(c, &out, q->wait_ms + CLIENT_ANSWER_MS_MAX, &payload, &len, err);
    if (rc < 0) {
        return ask_failed(cli, rc, err);
    }
    c->has_answered = true;
    return read_answer(q, hq_str_make(payload, len), q->arena != NULL ? q->arena : &cli->arena, ret, err);
}
