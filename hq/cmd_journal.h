/* cmd_journal.h - journal export, replay, stream, flush, prune, report.
 *
 * Purpose    the option tables for the command tree, and what runs them.
 * Ownership  as commands.h says.
 * Errors     as commands.h says.
 */
#ifndef HQ_HQ_CMD_JOURNAL_H
#define HQ_HQ_CMD_JOURNAL_H

#include "hq/commands.h"

struct journal_export_args {
    struct hq_str path;
};
#define JOURNAL_EXPORT_OPTS 1
extern const struct hq_opt journal_export_opts[JOURNAL_EXPORT_OPTS];

struct journal_report_args {
    struct hq_str path;
    struct hq_str out_path;
    int64_t start_ms; /* ask hq_parsed_given */
    int64_t end_ms;
};
#define JOURNAL_REPORT_OPTS 4
extern const struct hq_opt journal_report_opts[JOURNAL_REPORT_OPTS];

int cmd_journal_export_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_journal_replay_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_journal_stream_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_journal_flush_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_journal_report_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);
int cmd_journal_prune_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

#endif
