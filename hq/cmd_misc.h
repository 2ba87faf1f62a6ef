/* cmd_misc.h - rows of generate-completion and generate-manual, for the table in commands.c.
 *
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_MISC_H
#define HQ_HQ_CMD_MISC_H

#include "hq/commands.h"

struct completion_args {
    int shell;
};
#define COMPLETION_OPTS 1
extern const struct hq_opt completion_opts[COMPLETION_OPTS];

struct manual_args {
    bool markdown;
    struct hq_str date;
    struct hq_str pages;
};
#define MANUAL_OPTS 3
extern const struct hq_opt manual_opts[MANUAL_OPTS];

#endif
