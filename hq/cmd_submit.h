/* cmd_submit.h - submit, job submit, job submit-file.
 *
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_SUBMIT_H
#define HQ_HQ_CMD_SUBMIT_H

#include "hq/commands.h"
#include "hq/notify.h"
#include "hq/submit_args.h"

int cmd_submit_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err); /* struct submit_args */

/* ---- job submit-file */
struct submit_file_args {
    struct hq_str path;
    uint32_t job;
    bool wait;
    bool progress;
    bool fail;
};
#define SUBMIT_FILE_OPTS 5
extern const struct hq_opt submit_file_opts[SUBMIT_FILE_OPTS];
int cmd_submit_file_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

/* --wait and --progress after a submit; neither: nothing happens. */
struct submit_wait {
    uint32_t job;
    bool is_waiting;
    bool with_progress;
    bool with_fail;        /* an error when tasks failed or were canceled */
    struct notify *notify; /* --on-notify, begun before the submit; NULL = none */
};
HQ_MUST_CHECK int submit_wait(struct hq_cli *cli, const struct submit_wait *w, struct hq_err *err);

#endif
