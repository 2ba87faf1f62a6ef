/* rankout.h - stdout and stderr of the ranks of this node.
 *
 * Purpose    a rank writes into a file of its own (a path with %{RANK}) or into a pipe, which is read here and handed on
 *            in whole lines, tagged if so asked for.
 * Ownership  owns both ends of its pipes; the ends of a rank are closed by rankout_started.
 * Threads    loop thread.
 * Errors     negative errno; texts as of a task's output files.
 */
#ifndef HQ_STEPD_RANKOUT_H
#define HQ_STEPD_RANKOUT_H

#include "common/err.h"
#include "common/str.h"

struct ev_loop;
struct rankout;

typedef void (*rankout_fn)(void *ctx, uint32_t rank, uint32_t channel, struct hq_str data); /* channel 1, 2 */

struct rankout_conf {
    uint32_t count, first_rank;
    bool tag;
    struct hq_str paths[2]; /* stdout, stderr; empty: handed on */
};
HQ_MUST_CHECK int rankout_create(struct rankout **ret, struct ev_loop *loop, const struct rankout_conf *conf,
                                 rankout_fn fn, void *ctx, struct hq_err *err);
void rankout_destroy(struct rankout *o); /* NULL is fine */
/* Opens files or pipes for a rank: fds for its stdout and stderr. */
HQ_MUST_CHECK int rankout_open(struct rankout *o, uint32_t local, int ret_fds[2], struct hq_err *err);
void rankout_started(struct rankout *o, uint32_t local); /* or could not be started */
void rankout_pause(struct rankout *o, bool is_paused);
/* Nobody of the ranks runs any more: what is left in the pipes is handed on, unfinished lines too. */
void rankout_finish(struct rankout *o);

#endif
