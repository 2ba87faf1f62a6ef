/* start_opts.h - options of `hq server start` and `hq worker start`, shared by hq and the daemons, and what they print.
 *
 * Purpose    hq checks the arguments by these tables, then becomes the daemon, which parses them again and prints the
 *            server table or worker table itself. Global options are here too.
 * Ownership  argument structs borrow argv, environment and the arena given to the parser; views borrow from the caller.
 * Units      ms; utilization and amounts in 1/10000.
 */
#ifndef HQ_COMMON_START_OPTS_H
#define HQ_COMMON_START_OPTS_H

#include "common/optab.h"
#include "common/out.h"
#include "common/out_json.h"
#include "common/pool.h"

/* ---- global options */
struct hq_global_args {
    struct hq_str server_dir; /* as given; empty = default (hq_serverdir) */
    int colors;               /* enum hq_color_choice */
    int output_mode;          /* enum hq_out_mode */
    bool is_debug;
};
#define HQ_GLOBAL_OPTS 4
extern const struct hq_opt hq_global_opts[HQ_GLOBAL_OPTS];

/* ---- server start */
struct hq_server_start_args {
    struct hq_str host;   /* empty = access file, else host name */
    uint16_t client_port; /* 0 = any; ask hq_parsed_given(p, "client-port") */
    uint16_t worker_port;
    int64_t idle_timeout_ms;  /* 0 = none */
    struct hq_str journal;    /* empty = in the instance directory */
    int64_t journal_flush_ms; /* accepted, no effect */
    struct hq_str access_file;
    bool no_client_auth;
    bool no_worker_auth;
    int64_t scheduler_limit_ms; /* accepted, no effect */
    bool take_over;             /* resume although the host of the last run does not answer */
    struct hq_str config;       /* settings file, empty = none asked for */
    bool print_config;
};
#define HQ_SERVER_START_OPTS 15
extern const struct hq_opt hq_server_start_opts[HQ_SERVER_START_OPTS];

/* ---- worker start */
enum hq_detect { /* bits of --detect-resources, as hq_detect_words */
                 HQ_DETECT_CPUS = 1 << 0,
                 HQ_DETECT_MEM = 1 << 1,
                 HQ_DETECT_NVIDIA = 1 << 2,
                 HQ_DETECT_AMD = 1 << 3,
};
#define HQ_DETECT_ALL 15u
enum hq_manager_choice { /* --manager */
                         HQ_MANAGER_DETECT = 0,
                         HQ_MANAGER_NONE,
                         HQ_MANAGER_PBS,
                         HQ_MANAGER_SLURM,
};
enum hq_on_server_lost { /* --on-server-lost; the same numbers as in proto/common.proto */
                         HQ_LOST_RECONNECT = 0,
                         HQ_LOST_STOP = 1,
                         HQ_LOST_FINISH_RUNNING = 2,
};
struct hq_pool_list { /* of repeated --resource */
    struct hq_pool *v;
    size_t count;
    size_t cap;
};
struct hq_worker_start_args {
    struct hq_pool cpus;           /* ask hq_parsed_given(p, "cpus") */
    struct hq_pool_list resources; /* as given, unsorted, names may clash */
    struct hq_str coupling;        /* parsed later against all pools (hq_coupling_parse); its errors are exit 1 */
    uint32_t detect;               /* HQ_DETECT_* */
    bool no_hyper_threading;
    struct hq_str group;     /* empty = by manager, else "default" */
    int64_t idle_timeout_ms; /* ask hq_parsed_given(p, "idle-timeout"); else the server's */
    int64_t time_limit_ms;   /* 0 = by manager, else none */
    int64_t heartbeat_ms;
    int64_t overview_ms; /* 0 = off */
    uint32_t min_utilization_x10000;
    int manager;            /* enum hq_manager_choice */
    struct hq_str hostname; /* empty = the system's (ask hq_parsed_given) */
    int on_server_lost;     /* enum hq_on_server_lost */
    struct hq_str work_dir; /* empty = temporary directory */
    int64_t retract_check_ms;
    struct hq_str config;
    bool print_config;
};
#define HQ_WORKER_START_OPTS 20
extern const struct hq_opt hq_worker_start_opts[HQ_WORKER_START_OPTS];
const char *hq_on_server_lost_word(enum hq_on_server_lost v); /* "stop", ... */

/* ---- worker hwdetect: hq executes `hq-workerd hwdetect ARGS`; hq_start_parse with argv + 1 and these rows */
struct hq_hwdetect_args {
    bool no_hyper_threading;
};
#define HQ_HWDETECT_OPTS 1
extern const struct hq_opt hq_hwdetect_opts[HQ_HWDETECT_OPTS];

/* ---- a daemon's command line */
struct hq_start {
    struct hq_global_args globals;
    struct hq_parsed parsed;
    struct hq_out out;     /* mode and colours decided, stdout */
    struct hq_arena arena; /* holds parsed.args */
};
/* Parses argv[1..] of a daemon by `opts`; `path` stands in usage lines ("hqd"). Sets up `out` and the log level.
 * -1: go on with *ret (fini it at the end). Else the exit status: help (0) or a usage error (2) has been printed. */
int hq_start_parse(struct hq_start *ret, const char *path, const struct hq_opt *opts, size_t opt_count,
                   size_t args_bytes, int argc, char *const *argv, char *const *envp);
void hq_start_fini(struct hq_start *s);
/* Prints the error of a start as the output mode wants it and returns exit status 1. */
int hq_start_failed(struct hq_start *s, const struct hq_err *err);

/* ---- server table (spec section 2.1.1) */
struct hq_server_view {
    struct hq_str server_dir; /* empty = no row, null in JSON (server info) */
    struct hq_str server_uid;
    struct hq_str client_host;
    uint16_t client_port;
    struct hq_str worker_host;
    uint16_t worker_port;
    struct hq_str version;
    int32_t pid;
    hq_wall_ms started_at_ms;
    struct hq_str journal_path; /* as given, empty = none */
};
/* is_start: quiet mode prints the directory (server start) instead of nothing (server info). */
void hq_server_view_print(const struct hq_server_view *v, bool is_start, struct hq_out *out);

/* ---- worker table (spec section 2.4.3) */
enum hq_worker_state {
    HQ_WORKER_RUNNING = 0,
    HQ_WORKER_STOPPED,
    HQ_WORKER_CONNECTION_LOST,
    HQ_WORKER_HEARTBEAT_LOST,
    HQ_WORKER_IDLE_TIMEOUT,
    HQ_WORKER_TIME_LIMIT,
};
const char *hq_worker_state_word(enum hq_worker_state s); /* "CONNECTION LOST" */
enum hq_color hq_worker_state_color(enum hq_worker_state s);

struct hq_worker_view {
    uint32_t worker_id;
    enum hq_worker_state state;
    struct hq_str hostname;
    hq_wall_ms started_at_ms;
    hq_wall_ms ended_at_ms; /* 0 = connected */
    struct hq_str listen_address;
    struct hq_str work_dir;
    int64_t heartbeat_ms;
    int64_t idle_timeout_ms; /* 0 = None */
    int64_t overview_ms;     /* 0 = None */
    int64_t time_limit_ms;   /* 0 = None */
    uint32_t min_utilization_x10000;
    enum hq_on_server_lost on_server_lost;
    const struct hq_pools *pools;
    int32_t pid; /* 0 = N/A */
    struct hq_str group;
    int manager; /* HQ_MANAGER_NONE, _PBS, _SLURM */
    struct hq_str manager_job_id;
    bool has_last_task;
    uint32_t last_job_id;
    uint32_t last_task_id;
    hq_wall_ms last_task_at_ms;
    bool has_runtime; /* row Runtime Info; false at worker start and when gone */
    uint32_t assigned_tasks;
    uint32_t running_tasks;
    bool is_reserved;
    int multi_node; /* 0 no, 1 main node, 2 secondary node */
};
/* cli: one table. json: one element, inside an array that the caller has begun with `j`. quiet: nothing. */
void hq_worker_view_table(const struct hq_worker_view *v, struct hq_out *out);
void hq_worker_view_json(const struct hq_worker_view *v, struct hq_json *j);
/* What worker start prints of itself: a table, or an array of one element. */
void hq_worker_view_print_start(const struct hq_worker_view *v, struct hq_out *out);
/* {"coupling": ..., "resources": [...]} */
void hq_coupling_json(const struct hq_coupling *c, struct hq_json *j);
void hq_pools_json(const struct hq_pools *pools, struct hq_json *j);

#endif
