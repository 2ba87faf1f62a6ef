/* cmd_outputlog.h - output-log: summary, jobs, show, cat, export; and the older spelling `log` without job ids.
 *
 * Purpose    the option tables for the command tree, and what runs them.
 * Ownership  as commands.h says.
 * Errors     as commands.h says.
 */
#ifndef HQ_HQ_CMD_OUTPUTLOG_H
#define HQ_HQ_CMD_OUTPUTLOG_H

#include "hq/commands.h"

struct output_log_args { /* of `output-log` and `log` themselves */
    struct hq_str path;
    struct hq_str server_uid;
};
#define OUTPUT_LOG_OPTS 2
extern const struct hq_opt output_log_opts[OUTPUT_LOG_OPTS];

struct output_log_select_args { /* of all their sub-commands */
    uint32_t job;
    struct hq_ranges tasks;
    int channel;
    bool allow_unfinished;
    bool show_empty;
};
#define OUTPUT_LOG_SHOW_OPTS 2
extern const struct hq_opt output_log_show_opts[OUTPUT_LOG_SHOW_OPTS];
#define OUTPUT_LOG_CAT_OPTS 4
extern const struct hq_opt output_log_cat_opts[OUTPUT_LOG_CAT_OPTS];
#define OUTPUT_LOG_EXPORT_OPTS 2
extern const struct hq_opt output_log_export_opts[OUTPUT_LOG_EXPORT_OPTS];
#define OLD_LOG_SHOW_OPTS 3
extern const struct hq_opt old_log_show_opts[OLD_LOG_SHOW_OPTS];
#define OLD_LOG_CAT_OPTS 4
extern const struct hq_opt old_log_cat_opts[OLD_LOG_CAT_OPTS];
#define OLD_LOG_EXPORT_OPTS 2
extern const struct hq_opt old_log_export_opts[OLD_LOG_EXPORT_OPTS];

#define OUTPUT_LOG_OLD 1u /* kind of the commands below `log` */

int cmd_output_log_summary_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_output_log_jobs_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_output_log_show_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_output_log_cat_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_output_log_export_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

#endif
