/* cmd_task.h - rows and run functions of the task commands, for the table in commands.c.
 *
 * Ownership  argument structs lie in the arena of the parser.
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_TASK_H
#define HQ_HQ_CMD_TASK_H

#include "hq/commands.h"
#include "hq/selector_wire.h"

/* ---- task list, and the older `hq job tasks` */
struct task_list_args {
    struct hq_selector jobs;
    struct hq_ranges tasks;
    uint32_t filter; /* bits by hq_state_lower */
    bool verbose;
};
#define TASK_LIST_OPTS 4
extern const struct hq_opt task_list_opts[TASK_LIST_OPTS];
int cmd_task_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- task info */
struct task_info_args {
    struct hq_selector job; /* one */
    struct hq_ranges tasks;
    bool verbose;
};
#define TASK_INFO_OPTS 3
extern const struct hq_opt task_info_opts[TASK_INFO_OPTS];
int cmd_task_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- task explain */
struct task_explain_args {
    struct hq_selector job; /* one */
    uint32_t task;
};
#define TASK_EXPLAIN_OPTS 2
extern const struct hq_opt task_explain_opts[TASK_EXPLAIN_OPTS];
int cmd_task_explain_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* ---- task notify */
struct task_notify_args {
    struct hq_str message;
};
#define TASK_NOTIFY_OPTS 1
extern const struct hq_opt task_notify_opts[TASK_NOTIFY_OPTS];
int cmd_task_notify_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

#endif
