/* cmd_doc.h - `hq doc`: where the manual is.
 *
 * Errors     as commands.h; -ENOENT when a page is neither installed nor has an address.
 */
#ifndef HQ_HQ_CMD_DOC_H
#define HQ_HQ_CMD_DOC_H

#include "hq/commands.h"

struct doc_args {
    int topic;
    bool open;
};
#define DOC_OPTS 2
extern const struct hq_opt doc_opts[DOC_OPTS];
int cmd_doc_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err);

#endif
