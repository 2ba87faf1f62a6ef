/* conf.h - hqd's settings: one table for YAML, environment, flags, --print-config and the example file.
 *
 * Purpose    built-in < file (--config) < environment (HQD_*) < flag.
 * Ownership  texts lie in the arena given to conf_load.
 * Errors     "<file>:<line>: ..." as common/settings.h says.
 */
#ifndef HQ_HQD_CONF_H
#define HQ_HQD_CONF_H

#include "common/settings.h"
#include "common/start_opts.h"

struct hqd_conf {
    const char *host;          /* NULL = access file, else host name */
    int64_t client_port;       /* 0 = any */
    int64_t worker_port;
    int64_t idle_timeout_ms;   /* 0 = none */
    const char *journal;       /* absolute; NULL = in the instance directory */
    const char *access_file;   /* absolute; NULL = none */
    bool has_client_encryption;
    bool has_worker_encryption;
    bool has_local_socket;
    bool runs_allocd;          /* hq-allocd is started by hqd when a queue needs it */
    int64_t peer_gone_ms;
    int64_t return_grace_ms;
    int64_t stop_grace_ms;
};

#define HQD_SETTINGS 13
extern const struct hq_setting hqd_settings[HQD_SETTINGS];

/* Reads file, environment and flags into *ret; `settings` knows the origins then. */
HQ_MUST_CHECK int conf_load(struct hqd_conf *ret, struct hq_settings *settings, const struct hq_start *start,
                            char *const *envp, struct hq_arena *arena, struct hq_err *err);

#endif
