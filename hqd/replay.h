/* replay.h - a journal read back into a core, and what is wrong with it.
 *
 * Purpose    restart: every good record goes through core_apply; the torn tail of a crash is found, not yet cut.
 * Ownership  ret->resume.index moves into journal_create, or is freed by replay_result_fini.
 * Threads    start-up only: reads files, blocks.
 * Errors     texts of the specification (output.md 4.1), ready for the user: -EBADMSG damage, foreign file, -ENODATA
 *            shorter than a head, -EPROTONOSUPPORT another version.
 */
#ifndef HQ_HQD_REPLAY_H
#define HQ_HQD_REPLAY_H

#include "hqd/core/core.h"
#include "hqd/journal.h"

struct replay_result {
    bool is_there;            /* false: there is no journal at that path */
    bool is_torn;             /* bytes behind the last good record; journal_create cuts them */
    uint64_t torn_bytes;
    uint64_t record_count;
    struct journal_resume resume;
};
/* Is there a journal at `path`? Finishes a replacement that a crash cut in half. */
HQ_MUST_CHECK int replay_probe(const char *path, bool *ret_is_there, struct hq_err *err);
HQ_MUST_CHECK int replay_run(struct core *core, const char *path, struct replay_result *ret, struct hq_err *err);
void replay_result_fini(struct replay_result *r);

#endif
