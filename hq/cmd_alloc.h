/* cmd_alloc.h - rows of the allocation commands, for the table in commands.c.
 *
 * Ownership  argument structs lie in the arena of the parser.
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_ALLOC_H
#define HQ_HQ_CMD_ALLOC_H

#include "hq/commands.h"

#include "proto/alloc.pb-c.h"

struct alloc_pool_text { /* as typed, and what it means */
    struct hq_str text;
    struct hq_pool pool;
};
struct alloc_pool_texts {
    struct alloc_pool_text *v;
    size_t count;
    size_t cap;
};

struct alloc_add_args {
    int64_t time_limit_ms;
    uint32_t backlog;
    uint32_t max_workers_per_alloc;
    uint32_t max_worker_count; /* 0 = none */
    struct hq_str name;
    struct alloc_pool_text cpus;
    struct alloc_pool_texts resources;
    struct hq_str coupling;
    struct hq_str group;
    struct hq_str detect;
    bool no_hyper_threading;
    struct hq_str overview;
    uint32_t min_utilization_x10000;
    int64_t idle_timeout_ms;
    struct hq_str on_server_lost;
    int64_t worker_time_limit_ms; /* 0 = the time limit */
    struct hq_str start_cmd;
    struct hq_str stop_cmd;
    struct hq_str wrap_cmd;
    bool no_dry_run;
    int64_t lead_time_ms; /* 0 = off */
    uint32_t keep_warm;
    bool compact;
    struct hq_strv extra;
};
#define ALLOC_ADD_OPTS 27
extern const struct hq_opt alloc_add_opts[ALLOC_ADD_OPTS];

struct alloc_queue_args {
    uint32_t queue;
    int filter; /* info: 0 = none (not given); index + 1 */
    bool is_forced;
};
#define ALLOC_QUEUE_OPTS 1
#define ALLOC_INFO_OPTS 2
#define ALLOC_REMOVE_OPTS 2
#define ALLOC_STATUS_OPTS 1
extern const struct hq_opt alloc_queue_opts[ALLOC_QUEUE_OPTS]; /* pause, resume */
extern const struct hq_opt alloc_info_opts[ALLOC_INFO_OPTS];
extern const struct hq_opt alloc_remove_opts[ALLOC_REMOVE_OPTS];
extern const struct hq_opt alloc_status_opts[ALLOC_STATUS_OPTS];

struct alloc_log_args {
    struct hq_str allocation;
    int channel; /* 0 stdout, 1 stderr */
};
#define ALLOC_LOG_OPTS 2
extern const struct hq_opt alloc_log_opts[ALLOC_LOG_OPTS];

/* cmd->kind of add and dry-run */
enum alloc_add_kind {
    ALLOC_ADD_PBS = 1,
    ALLOC_ADD_SLURM,
    ALLOC_TRIAL_PBS,
    ALLOC_TRIAL_SLURM,
};
int cmd_alloc_add_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_log_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_pause_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_resume_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_remove_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_alloc_status_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* alloc_build.c: options to the message, or the sentence of what is wrong with them. */
HQ_MUST_CHECK int alloc_build(Hq__AllocParams *ret, const struct alloc_add_args *args, bool is_pbs,
                              struct hq_arena *arena, struct hq_err *err);

#endif
