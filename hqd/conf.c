#include "hqd/conf.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/fs.h"

#define AT(field) offsetof(struct hqd_conf, field)
#define MS_MAX 86400000
#define IDLE_MS_MAX 31557600000 /* a year */

const struct hq_setting hqd_settings[HQD_SETTINGS] = {
    {.name = "host",
     .kind = HQ_SET_STR,
     .at = AT(host),
     .env = "HQD_HOST",
     .help = "Name or address under which clients and workers reach this host; empty: its host name."},
    {.name = "client-port",
     .kind = HQ_SET_INT,
     .at = AT(client_port),
     .def = "0",
     .min = 0,
     .max = 65535,
     .env = "HQD_CLIENT_PORT",
     .help = "Port for clients; 0: any free one."},
    {.name = "worker-port",
     .kind = HQ_SET_INT,
     .at = AT(worker_port),
     .def = "0",
     .min = 0,
     .max = 65535,
     .env = "HQD_WORKER_PORT",
     .help = "Port for workers; 0: any free one."},
    {.name = "idle-timeout",
     .kind = HQ_SET_MS,
     .at = AT(idle_timeout_ms),
     .def = "0",
     .min = 0,
     .max = IDLE_MS_MAX,
     .env = "HQD_IDLE_TIMEOUT",
     .help = "Workers without a task for that long stop, unless they set a timeout of their own; 0: never."},
    {.name = "journal",
     .kind = HQ_SET_PATH,
     .at = AT(journal),
     .env = "HQD_JOURNAL",
     .help = "File of the journal; without it one in the instance directory."},
    {.name = "access-file",
     .kind = HQ_SET_PATH,
     .at = AT(access_file),
     .env = "HQD_ACCESS_FILE",
     .help = "Hosts, ports, keys and server UID come from this file (server generate-access)."},
    {.name = "client-encryption",
     .kind = HQ_SET_BOOL,
     .at = AT(has_client_encryption),
     .def = "true",
     .env = "HQD_CLIENT_ENCRYPTION",
     .help = "Clients that come by TCP must know the secret, and all they say is sealed."},
    {.name = "worker-encryption",
     .kind = HQ_SET_BOOL,
     .at = AT(has_worker_encryption),
     .def = "true",
     .env = "HQD_WORKER_ENCRYPTION",
     .help = "Workers must know the secret, and all they say is sealed."},
    {.name = "local-socket",
     .kind = HQ_SET_BOOL,
     .at = AT(has_local_socket),
     .def = "true",
     .env = "HQD_LOCAL_SOCKET",
     .help = "Clients on this host may use a local socket, where the kernel says who they are."},
    {.name = "run-allocd",
     .kind = HQ_SET_BOOL,
     .at = AT(runs_allocd),
     .def = "true",
     .env = "HQD_RUN_ALLOCD",
     .help = "Start hq-allocd as soon as there is an allocation queue; false: it is run as a service of its own."},
    {.name = "peer-gone",
     .kind = HQ_SET_MS,
     .at = AT(peer_gone_ms),
     .def = "2s",
     .min = 100,
     .max = MS_MAX,
     .env = "HQD_PEER_GONE",
     .help = "A worker whose connection ended and that is not back within this time is lost."},
    {.name = "return-grace",
     .kind = HQ_SET_MS,
     .at = AT(return_grace_ms),
     .def = "60s",
     .min = 100,
     .max = MS_MAX,
     .env = "HQD_RETURN_GRACE",
     .help = "After a restart, known workers have this long to come back with what they run."},
    {.name = "stop-grace",
     .kind = HQ_SET_MS,
     .at = AT(stop_grace_ms),
     .def = "60s",
     .min = 100,
     .max = MS_MAX,
     .env = "HQD_STOP_GRACE",
     .help = "A worker that was told to stop has this long to end."},
};

static int
flag(struct hq_settings *s, const char *name, const char *value, struct hq_err *err)
{
    return hq_settings_flag(s, hq_str_from(name), hq_str_from(value), err);
}

static int
path_flag(struct hq_settings *s, const char *name, struct hq_str path, struct hq_arena *arena, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf absolute = HQ_BUF_INIT;
    int rc = hq_fs_absolute(&absolute, hq_arena_strz(arena, path), err);
    return rc < 0 ? rc : flag(s, name, absolute.ptr, err);
}

static int
flags(struct hq_settings *s, const struct hq_start *start, struct hq_arena *arena, struct hq_err *err)
{
    const struct hq_server_start_args *a = start->parsed.args;
    const struct hq_parsed *p = &start->parsed;
    char text[32];
    int rc = 0;
    if (hq_parsed_given(p, "host")) {
        rc = flag(s, "host", hq_arena_strz(arena, a->host), err);
    }
    if (rc == 0 && hq_parsed_given(p, "client-port")) {
        (void)snprintf(text, sizeof text, "%u", a->client_port);
        rc = flag(s, "client-port", text, err);
    }
    if (rc == 0 && hq_parsed_given(p, "worker-port")) {
        (void)snprintf(text, sizeof text, "%u", a->worker_port);
        rc = flag(s, "worker-port", text, err);
    }
    if (rc == 0 && hq_parsed_given(p, "idle-timeout")) {
        (void)snprintf(text, sizeof text, "%" PRId64 "ms", a->idle_timeout_ms);
        rc = flag(s, "idle-timeout", text, err);
    }
    if (rc == 0 && a->journal.len > 0) {
        rc = path_flag(s, "journal", a->journal, arena, err);
    }
    if (rc == 0 && a->access_file.len > 0) {
        rc = path_flag(s, "access-file", a->access_file, arena, err);
    }
    if (rc == 0 && a->no_client_auth) {
        rc = flag(s, "client-encryption", "false", err);
    }
    if (rc == 0 && a->no_worker_auth) {
        rc = flag(s, "worker-encryption", "false", err);
    }
    return rc;
}

int
conf_load(struct hqd_conf *ret, struct hq_settings *settings, const struct hq_start *start, char *const *envp,
          struct hq_arena *arena, struct hq_err *err)
{
    const struct hq_server_start_args *a = start->parsed.args;
    hq_settings_init(settings, hqd_settings, HQD_SETTINGS, ret, arena);
    int rc = 0;
    if (a->config.len > 0) {
        rc = hq_settings_file(settings, hq_arena_strz(arena, a->config), err);
    }
    if (rc == 0) {
        rc = hq_settings_env(settings, envp, err);
    }
    return rc < 0 ? rc : flags(settings, start, arena, err);
}
