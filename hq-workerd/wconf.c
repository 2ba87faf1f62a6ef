/* wconf.c - the table of settings and how flags override it. */
#include "hq-workerd/wconf.h"

#include <stdio.h>

#include "common/fs.h"
#include "hq-workerd/launcher.h"

#define AT(field) offsetof(struct wconf, field)
#define TEN_YEARS_MS 315360000000

static const char *const lost_words[] = {"reconnect", "stop", "finish-running", NULL};

const struct hq_setting wconf_settings[WCONF_SETTINGS] = {
    {.name = "heartbeat",
     .kind = HQ_SET_MS,
     .at = AT(heartbeat_ms),
     .def = "8s",
     .min = 200,
     .max = 3600000,
     .env = "HQ_WORKERD_HEARTBEAT",
     .help = "Longest silence towards the server; after twice that long the worker counts as lost."},
    {.name = "idle-timeout",
     .kind = HQ_SET_MS,
     .at = AT(idle_timeout_ms),
     .def = "0",
     .min = 0,
     .max = TEN_YEARS_MS,
     .env = "HQ_WORKERD_IDLE_TIMEOUT",
     .help = "The worker stops after that long without a task; 0: as the server says."},
    {.name = "time-limit",
     .kind = HQ_SET_MS,
     .at = AT(time_limit_ms),
     .def = "0",
     .min = 0,
     .max = TEN_YEARS_MS,
     .env = "HQ_WORKERD_TIME_LIMIT",
     .help = "The worker stops after that long; 0: with its batch allocation, else never."},
    {.name = "overview-interval",
     .kind = HQ_SET_MS,
     .at = AT(overview_ms),
     .def = "0",
     .min = 0,
     .max = TEN_YEARS_MS,
     .env = "HQ_WORKERD_OVERVIEW_INTERVAL",
     .help = "Period of hardware readings; 0: none."},
    {.name = "retract-check-interval",
     .kind = HQ_SET_MS,
     .at = AT(retract_check_ms),
     .def = "30s",
     .min = 100,
     .max = TEN_YEARS_MS,
     .env = "HQ_WORKERD_RETRACT_CHECK_INTERVAL",
     .help = "How often queued tasks are checked against the time that is left."},
    {.name = "group",
     .kind = HQ_SET_STR,
     .at = AT(group),
     .env = "HQ_WORKERD_GROUP",
     .help = "Multi-node tasks stay within one group; without it the allocation's ID or \"default\"."},
    {.name = "work-dir",
     .kind = HQ_SET_PATH,
     .at = AT(work_dir),
     .env = "HQ_WORKERD_WORK_DIR",
     .help = "Directory for task directories, on a local disk; without it a temporary one."},
    {.name = "on-server-lost",
     .kind = HQ_SET_WORD,
     .at = AT(on_server_lost),
     .def = "reconnect",
     .words = lost_words,
     .env = "HQ_WORKERD_ON_SERVER_LOST",
     .help = "What happens to running tasks when the server is gone."},
    {.name = "launcher-threads",
     .kind = HQ_SET_INT,
     .at = AT(launcher_threads),
     .def = "0",
     .min = 0,
     .max = LAUNCHER_THREADS_MAX,
     .env = "HQ_WORKERD_LAUNCHER_THREADS",
     .help = "Threads that start tasks; 0: one per cpu, at most 16."},
};

static int
flag(struct hq_settings *s, const char *name, const char *value, struct hq_err *err)
{
    return hq_settings_flag(s, hq_str_from(name), hq_str_from(value), err);
}

static int
flag_ms(struct hq_settings *s, const struct hq_parsed *p, const char *name, int64_t ms, struct hq_err *err)
{
    char text[32];

    if (!hq_parsed_given(p, name)) {
        return 0;
    }
    (void)snprintf(text, sizeof text, "%lldms", (long long)ms);
    return flag(s, name, text, err);
}

static int
flag_text(struct hq_settings *s, const struct hq_parsed *p, const char *name, struct hq_str value,
          struct hq_arena *arena, struct hq_err *err)
{
    return hq_parsed_given(p, name) ? flag(s, name, hq_arena_strz(arena, value), err) : 0;
}

static int
flags(struct hq_settings *s, const struct hq_start *start, struct hq_arena *arena, struct hq_err *err)
{
    const struct hq_worker_start_args *a = start->parsed.args;
    const struct hq_parsed *p = &start->parsed;
    int rc = flag_ms(s, p, "heartbeat", a->heartbeat_ms, err);

    rc = rc < 0 ? rc : flag_ms(s, p, "idle-timeout", a->idle_timeout_ms, err);
    rc = rc < 0 ? rc : flag_ms(s, p, "time-limit", a->time_limit_ms, err);
    rc = rc < 0 ? rc : flag_ms(s, p, "overview-interval", a->overview_ms, err);
    rc = rc < 0 ? rc : flag_ms(s, p, "retract-check-interval", a->retract_check_ms, err);
    rc = rc < 0 ? rc : flag_text(s, p, "group", a->group, arena, err);
    if (rc == 0 && hq_parsed_given(p, "on-server-lost")) {
        rc = flag(s, "on-server-lost", hq_on_server_lost_word((enum hq_on_server_lost)a->on_server_lost), err);
    }
    if (rc == 0 && hq_parsed_given(p, "work-dir")) {
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        rc = hq_fs_absolute(&path, hq_arena_strz(arena, a->work_dir), err);
        rc = rc < 0 ? rc : flag(s, "work-dir", path.ptr, err);
    }
    return rc;
}

int
wconf_load(struct wconf *ret, struct hq_settings *settings, const struct hq_start *start, char *const *envp,
           struct hq_arena *arena, struct hq_err *err)
{
    const struct hq_worker_start_args *a = start->parsed.args;
    int rc = 0;

    *ret = (struct wconf){0};
    hq_settings_init(settings, wconf_settings, WCONF_SETTINGS, ret, arena);
    if (a->config.len > 0) {
        rc = hq_settings_file(settings, hq_arena_strz(arena, a->config), err);
    }
    rc = rc < 0 ? rc : hq_settings_env(settings, envp, err);
    rc = rc < 0 ? rc : flags(settings, start, arena, err);
    ret->is_idle_timeout_set = hq_parsed_given(&start->parsed, "idle-timeout") || ret->idle_timeout_ms > 0;
    return rc;
}
