/* notify.h - submit --on-notify: runs a command for each notification of a job's tasks.
 *
 * Purpose    notify_begin before the submit, so that no notification is missed; notify_follow after it.
 * Ownership  words lie in the arena of hq.
 * Errors     a callback that fails is only logged. Following that breaks is logged too: the caller goes on waiting.
 * Limits     one callback at a time, in order of arrival; hqd keeps some 1,000 notifications for a slow reader.
 */
#ifndef HQ_HQ_NOTIFY_H
#define HQ_HQ_NOTIFY_H

#include "hq/commands.h"

struct notify {
    struct hq_cli *cli;
    struct hq_strv words;
    uint64_t after_seq;
};

HQ_MUST_CHECK int notify_begin(struct notify *n, struct hq_cli *cli, struct hq_str command, struct hq_err *err);
/* Until the job is completed, or until nothing can be followed any more. with_progress: draws the bar, too. */
void notify_follow(struct notify *n, uint32_t job, bool with_progress);

/* Words as a POSIX shell splits them (quotes, backslash; no expansion); text with an open quote is one word. */
void notify_split(struct hq_strv *ret, struct hq_str text, struct hq_arena *arena);

#endif
