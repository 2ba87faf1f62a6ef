/* commands.h - the table of all commands, and what every command gets when it runs.
 *
 * Purpose    one const tree of struct hq_command; each cmd_*.c offers run functions and option tables for its rows.
 * Ownership  struct hq_cli lives in main for the whole run; commands may allocate from its arena and never free.
 * Threads    one.
 * Errors     a run function returns 0 (exit 0), a negative errno with the text in err (printed by main as the output
 *            mode wants it, exit 1), or a positive exit status when all has been said.
 */
#ifndef HQ_HQ_COMMANDS_H
#define HQ_HQ_COMMANDS_H

#include "common/optab.h"
#include "common/out.h"
#include "common/start_opts.h"

struct client;

struct hq_cli {
    struct hq_global_args globals;
    struct hq_out out;          /* stdout; flushed by main */
    struct hq_arena arena;      /* freed by the end of the process */
    struct client *client;      /* made by the first client_call */
    const struct hq_optab *tab; /* for completions and manual pages */
    int argc;
    char *const *argv;
    char *const *envp;
    bool is_stderr_tty;
};

extern const struct hq_command commands_root;

/* Value of an environment variable or NULL. */
const char *commands_env(const struct hq_cli *cli, const char *name);

/* ---- cmd_server.c */
int cmd_server_start_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_server_stop_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_server_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_server_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_server_generate_access_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_server_debug_dump_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
/* ---- cmd_worker.c */
int cmd_worker_start_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_worker_stop_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_worker_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_worker_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_worker_address_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_worker_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_worker_hwdetect_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
/* ---- cmd_wait.c */
int cmd_job_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_job_progress_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_old_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_old_progress_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
/* ---- cmd_misc.c */
int cmd_generate_completion_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_generate_manual_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- the option tables and run functions of submit, job and task commands are declared in submit_args.h, cmd_job.h
 * and cmd_task.h; commands.c puts them into the tree. */

#endif
