/* cmd_submit.h - submit, job submit, job submit-file.
 *
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_SUBMIT_H
#define HQ_HQ_CMD_SUBMIT_H

#include "hq/commands.h"
#include "hq/submit_args.h"

int cmd_submit_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err); /* struct submit_args */

#endif
