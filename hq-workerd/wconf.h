/* wconf.h - hq-workerd's settings: one table for YAML, environment, flags, --print-config and the example file.
 *
 * Purpose    built-in < file (--config) < environment (HQ_WORKERD_*) < flag. What describes one node's hardware (cpus,
 *            resources, coupling) is given by options only.
 * Ownership  texts lie in the arena given to wconf_load.
 * Errors     "<file>:<line>: ..." as common/settings.h says.
 */
#ifndef HQ_WORKERD_WCONF_H
#define HQ_WORKERD_WCONF_H

#include "common/settings.h"
#include "common/start_opts.h"

struct wconf {
    int64_t heartbeat_ms;
    int64_t idle_timeout_ms; /* 0 = the server's, unless is_idle_timeout_set */
    bool is_idle_timeout_set;
    int64_t time_limit_ms;   /* 0 = by manager, else none */
    int64_t overview_ms;     /* 0 = off */
    int64_t retract_check_ms;
    const char *group;       /* NULL = by manager, else "default" */
    const char *work_dir;    /* absolute; NULL = temporary directory */
    int on_server_lost;      /* enum hq_on_server_lost */
    int64_t launcher_threads; /* 0 = by the number of cpus */
};

#define WCONF_SETTINGS 9
extern const struct hq_setting wconf_settings[WCONF_SETTINGS];

/* Reads file, environment and flags into *ret; `settings` knows the origins then. */
HQ_MUST_CHECK int wconf_load(struct wconf *ret, struct hq_settings *settings, const struct hq_start *start,
                             char *const *envp, struct hq_arena *arena, struct hq_err *err);

#endif
