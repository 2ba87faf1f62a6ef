#include "hq/cmd_server.h"

#include "common/access.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/serverdir.h"
#include "hq/client.h"
#include "hq/daemon_exec.h"

#include "proto/client.pb-c.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STOP_MS_MAX 30000 /* hqd lets queued answers leave, then closes its journal: far below that */
#define STOP_PAUSE_MS 20  /* between two questions to a hqd on another host */
#define WAIT_PAUSE_MS 250 /* between two attempts of server wait; the reference took 5 s */

const struct hq_opt server_info_opts[SERVER_INFO_OPTS] = {
    {.name = "stats", .at = offsetof(struct server_info_args, stats), .flags = HQ_OPT_OLD},
};

const struct hq_opt server_wait_opts[SERVER_WAIT_OPTS] = {
    {.name = "timeout",
     .parse = hq_opt_span,
     .at = offsetof(struct server_wait_args, timeout_ms),
     .def = "5m",
     .help = "Gives up after that long; at least one full attempt is made."},
};

#define A(field) offsetof(struct server_access_args, field)
const struct hq_opt server_access_opts[SERVER_ACCESS_OPTS] = {
    {.name = "client-port",
     .parse = hq_opt_port,
     .at = A(client_port),
     .flags = HQ_OPT_REQUIRED,
     .help = "Port that the server will use for clients."},
    {.name = "worker-port",
     .parse = hq_opt_port,
     .at = A(worker_port),
     .flags = HQ_OPT_REQUIRED,
     .help = "Port that the server will use for workers."},
    {.name = "host",
     .parse = hq_opt_str,
     .at = A(host),
     .complete = HQ_COMPLETE_HOST,
     .help = "Name of the server's host; this host's name unless given."},
    {.name = "client-host",
     .parse = hq_opt_str,
     .at = A(client_host),
     .complete = HQ_COMPLETE_HOST,
     .help = "The same for clients only."},
    {.name = "worker-host",
     .parse = hq_opt_str,
     .at = A(worker_host),
     .complete = HQ_COMPLETE_HOST,
     .help = "The same for workers only."},
    {.name = "client-file",
     .parse = hq_opt_str,
     .at = A(client_file),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Writes another file that admits clients only."},
    {.name = "worker-file",
     .parse = hq_opt_str,
     .at = A(worker_file),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Writes another file that admits workers only."},
    {.name = "ACCESS_FILE",
     .parse = hq_opt_str,
     .at = A(file),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .help = "The full file, for server start."},
};

const struct hq_opt server_dump_opts[SERVER_DUMP_OPTS] = {
    {.name = "PATH",
     .parse = hq_opt_str,
     .at = offsetof(struct server_dump_args, path),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .help = "File on the server's machine, relative to the server's directory."},
};

int
cmd_server_start_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    return daemon_exec(cli, p, "hqd", NULL, err);
}

/* ---- info */

static int
get_info(struct hq_cli *cli, Hq__ServerInfoAnswer **ret, struct hq_err *err)
{
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_SERVER_INFO,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_SERVER_INFO_ANSWER,
                             .answer = &hq__server_info_answer__descriptor};
    ProtobufCMessage *msg = NULL;
    int rc = client_call(cli, &q, &msg, err);
    if (rc == 0) {
        *ret = (Hq__ServerInfoAnswer *)(void *)msg;
    }
    return rc;
}

static struct hq_str
text_of(ProtobufCBinaryData d)
{
    return hq_str_make((const char *)d.data, d.len);
}

int
cmd_server_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p; /* no option with an effect */
    Hq__ServerInfoAnswer *a = NULL;
    int rc = get_info(cli, &a, err);
    if (rc < 0) {
        return rc;
    }
    struct hq_server_view v = {.server_uid = text_of(a->server_uid),
                               .client_host = text_of(a->client_host),
                               .client_port = (uint16_t)a->client_port,
                               .worker_host = text_of(a->worker_host),
                               .worker_port = (uint16_t)a->worker_port,
                               .version = text_of(a->version),
                               .pid = (int32_t)a->pid,
                               .started_at_ms = (hq_wall_ms)a->started_ms,
                               .journal_path = text_of(a->journal_path)};
    hq_server_view_print(&v, false, &cli->out);
    return 0;
}

/* ---- stop */

/* A pidfd of the hqd that owns the instance, if it runs on this host; else -1. */
static int
open_owner(const char *instance)
{
    struct hq_owner owner;
    struct hq_owner self;
    if (hq_owner_load(&owner, instance, NULL) < 0 || hq_owner_self(&self, NULL) < 0 ||
        hq_owner_judge(&owner, &self) != HQ_OWNER_ALIVE) {
        return -1;
    }
    int fd = (int)syscall(SYS_pidfd_open, owner.pid, 0);
    if (fd >= 0 && hq_owner_judge(&owner, &self) != HQ_OWNER_ALIVE) {
        (void)close(fd); /* the pid went to another process in between */
        return -1;
    }
    return fd;
}

static void
wait_closed(struct hq_cli *cli, int pidfd)
{
    hq_ms end_ms = hq_clock_ms() + STOP_MS_MAX;
    if (pidfd >= 0) {
        struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
        while (poll(&pfd, 1, (int)HQ_MAX(end_ms - hq_clock_ms(), 0)) < 0 && errno == EINTR) {
        }
        return;
    }
    Hq__ServerInfoAnswer *a;
    while (get_info(cli, &a, NULL) == 0 && hq_clock_ms() < end_ms) {
        client_reset(cli);                  /* an open connection would keep it up */
        (void)poll(NULL, 0, STOP_PAUSE_MS); /* another host: asking is the only way to know */
    }
}

int
cmd_server_stop_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p; /* no options */
    HQ_AUTO(hq_buf_fini) struct hq_buf instance = HQ_BUF_INIT;
    const char *dir;
    int rc = client_server_dir(cli, &dir, NULL, err);
    if (rc < 0) {
        return rc;
    }
    int pidfd = hq_serverdir_instance(&instance, dir, NULL) == 0 ? open_owner(instance.ptr) : -1;
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_SERVER_STOP, .answer_type = HQ__MESSAGE_TYPE__TYPE_DONE};
    rc = client_call(cli, &q, NULL, err);
    if (rc == 0) {
        hq_log_info("Stopping server");
        client_reset(cli); /* hqd waits for its peers to hang up */
        wait_closed(cli, pidfd);
    }
    if (pidfd >= 0) {
        (void)close(pidfd);
    }
    return rc;
}

/* ---- wait */

int
cmd_server_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct server_wait_args *args = p->args;
    HQ_AUTO(hq_buf_fini) struct hq_buf span = HQ_BUF_INIT;
    const char *dir;
    int rc = client_server_dir(cli, &dir, NULL, err);
    if (rc < 0) {
        return rc;
    }
    hq_duration_print(&span, hq_ns_from_ms(args->timeout_ms));
    hq_log_info("Waiting for server to become available (timeout: %s)...", span.ptr);
    hq_ms end_ms;
    if (__builtin_add_overflow(hq_clock_ms(), args->timeout_ms, &end_ms)) {
        end_ms = INT64_MAX;
    }
    Hq__ServerInfoAnswer *a;
    while (get_info(cli, &a, NULL) < 0) {
        hq_ms left_ms = end_ms - hq_clock_ms();
        if (left_ms <= 0) {
            return hq_err_set(err, -ETIMEDOUT,
                              "Timeout after %s: Could not connect to server at `%s`. Make sure that the server is "
                              "running.",
                              span.ptr, dir);
        }
        client_reset(cli); /* the next instance has another access file */
        (void)poll(NULL, 0, (int)HQ_MIN(left_ms, WAIT_PAUSE_MS));
    }
    hq_log_info("Successfully connected to server");
    return 0;
}

/* ---- generate-access */

static const char *
host_or(struct hq_cli *cli, struct hq_str special, struct hq_str general, const char *own)
{
    struct hq_str chosen = special.len > 0 ? special : general;
    return chosen.len > 0 ? hq_arena_strz(&cli->arena, chosen) : own;
}

static int
store_access(struct hq_cli *cli, const struct hq_access *a, struct hq_str file, struct hq_err *err)
{
    const char *path = hq_arena_strz(&cli->arena, file);
    hq_log_info("Storing access file as '%s'", path);
    return hq_access_store(a, path, err);
}

int
cmd_server_generate_access_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct server_access_args *args = p->args;
    unsigned char client_key[HQ_SECRET_BYTES];
    unsigned char worker_key[HQ_SECRET_BYTES];
    char own[256];
    if (gethostname(own, sizeof own) != 0 || strnlen(own, sizeof own) == sizeof own) {
        return hq_err_set(err, -ENAMETOOLONG, "This host has no usable name; use --host");
    }
    hq_access_new_key(client_key);
    hq_access_new_key(worker_key);
    HQ_AUTO(hq_access_fini) struct hq_access full = HQ_ACCESS_INIT;
    full.version = hq_xstrdup(HQ_VERSION);
    full.server_uid = hq_access_new_uid();
    hq_access_set_side(&full.client, host_or(cli, args->client_host, args->host, own), args->client_port, client_key);
    hq_access_set_side(&full.worker, host_or(cli, args->worker_host, args->host, own), args->worker_port, worker_key);
    int rc = store_access(cli, &full, args->file, err);
    struct hq_access part = full; /* borrows from `full` */
    part.server_uid = NULL;
    if (rc == 0 && args->client_file.len > 0) {
        part.worker.is_there = false;
        rc = store_access(cli, &part, args->client_file, err);
    }
    if (rc == 0 && args->worker_file.len > 0) {
        part.worker = full.worker;
        part.client.is_there = false;
        rc = store_access(cli, &part, args->worker_file, err);
    }
    explicit_bzero(&part, sizeof part);
    explicit_bzero(client_key, sizeof client_key);
    explicit_bzero(worker_key, sizeof worker_key);
    return rc;
}

/* ---- debug-dump */

int
cmd_server_debug_dump_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct server_dump_args *args = p->args;
    Hq__DebugDump req = HQ__DEBUG_DUMP__INIT;
    req.path.data = (uint8_t *)hq_arena_strz(&cli->arena, args->path);
    req.path.len = args->path.len;
    struct client_query q = {
        .type = HQ__MESSAGE_TYPE__TYPE_DEBUG_DUMP, .request = &req.base, .answer_type = HQ__MESSAGE_TYPE__TYPE_DONE};
    int rc = client_prepare(cli, err); /* no server at all: nothing is being dumped */
    if (rc < 0) {
        return rc;
    }
    hq_log_info("Dumping server state ...");
    rc = client_call(cli, &q, NULL, err);
    if (rc == 0) {
        hq_log_info("Dump finished");
    }
    return rc;
}
