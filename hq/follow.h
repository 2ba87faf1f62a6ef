/* follow.h - waits for changes of selected jobs by long polls, through restarts of hqd.
 *
 * Purpose    one path for job wait, job progress, submit --wait and --progress.
 * Ownership  a state is valid until the next call of follow_next or follow_fini.
 * Errors     -ECONNRESET when hqd ended orderly; the same after FOLLOW_GONE_MS_MAX without a server.
 */
#ifndef HQ_HQ_FOLLOW_H
#define HQ_HQ_FOLLOW_H

#include "hq/commands.h"
#include "hq/selector_wire.h"

#define FOLLOW_GONE_MS_MAX 60000

struct follow {
    struct hq_cli *cli;
    struct hq_arena arena; /* of the present answer */
    Hq__Selector *jobs;    /* ids once the first answer has resolved the selector */
    uint64_t version;
    Hq__JobWatchAnswer *state; /* NULL before the first call */
    struct hq_ranges ids;
};

void follow_init(struct follow *f, struct hq_cli *cli, const struct hq_selector *jobs);
void follow_fini(struct follow *f);
/* The first call answers at once, later ones when something has changed. At most wait_ms (0 = 30 s) pass. */
HQ_MUST_CHECK int follow_next(struct follow *f, hq_ms wait_ms, struct hq_err *err);

/* What a JobInfo amounts to. */
bool follow_is_terminated(const Hq__JobInfo *job); /* nothing waiting, nothing running */
bool follow_is_completed(const Hq__JobInfo *job);  /* and closed */
enum hq_task_state follow_job_state(const Hq__JobInfo *job);
uint64_t follow_task_count(const Hq__JobInfo *job);

#endif
