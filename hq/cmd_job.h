/* cmd_job.h - rows and run functions of the job commands, for the table in commands.c.
 *
 * Ownership  argument structs lie in the arena of the parser.
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_JOB_H
#define HQ_HQ_CMD_JOB_H

#include "hq/commands.h"
#include "hq/selector_wire.h"

/* ---- job list, and the older `hq jobs [STATE]` */
struct job_list_args {
    bool all;
    uint32_t filter; /* bits by hq_state_lower */
    bool verbose;
};
#define JOB_LIST_OPTS 3
extern const struct hq_opt job_list_opts[JOB_LIST_OPTS];
#define OLD_JOBS_OPTS 1
extern const struct hq_opt old_jobs_opts[OLD_JOBS_OPTS]; /* the same struct */
int cmd_job_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_job_summary_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err); /* no options */

/* ---- job info; a selector alone */
struct job_select_args {
    struct hq_selector jobs;
};
#define JOB_SELECT_OPTS 1
extern const struct hq_opt job_select_opts[JOB_SELECT_OPTS];
int cmd_job_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);  /* job_select_opts */
int cmd_job_close_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err); /* job_select_opts */

/* ---- job cancel */
struct job_cancel_args {
    struct hq_selector jobs;
    struct hq_str reason;
};
#define JOB_CANCEL_OPTS 2
extern const struct hq_opt job_cancel_opts[JOB_CANCEL_OPTS];
int cmd_job_cancel_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- job forget */
struct job_forget_args {
    struct hq_selector jobs;
    uint32_t filter; /* bits by the option's own word list */
};
#define JOB_FORGET_OPTS 3
extern const struct hq_opt job_forget_opts[JOB_FORGET_OPTS];
int cmd_job_forget_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- job open */
struct job_open_args {
    struct hq_str name;
    uint32_t max_fails;
};
#define JOB_OPEN_OPTS 2
extern const struct hq_opt job_open_opts[JOB_OPEN_OPTS];
int cmd_job_open_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- job task-ids */
struct job_task_ids_args {
    struct hq_selector jobs;
    uint32_t filter; /* bits by hq_state_lower */
};
#define JOB_TASK_IDS_OPTS 2
extern const struct hq_opt job_task_ids_opts[JOB_TASK_IDS_OPTS];
int cmd_job_task_ids_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- job cat */
struct job_cat_args {
    struct hq_selector jobs;
    struct hq_ranges tasks;
    uint32_t filter; /* bits by hq_state_lower */
    bool header;
    int stream; /* 0 stdout, 1 stderr */
};
#define JOB_CAT_OPTS 5
extern const struct hq_opt job_cat_opts[JOB_CAT_OPTS];
int cmd_job_cat_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

#endif
