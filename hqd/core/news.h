/* news.h - what a turn says about tasks, as records.
 *
 * Purpose    keeps what is true (this worker holds that instance), drops the rest, measures.
 * Cost       O(tasks named); when all of a group is true the record points to the columns of the turn.
 */
#ifndef HQ_HQD_CORE_NEWS_H
#define HQ_HQD_CORE_NEWS_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

/* NULL, or what the worker reports that cannot be, in words: it must be dropped. Late news of what ended, was taken away or
 * restarted meanwhile is heard every day and means nothing. */
HQ_MUST_CHECK const char *news_take(struct ctx *ctx, struct worker *w, const struct input_turn *t);
/* Those ids that worker w holds with that instance; with only_assigned: and that have not started. *ret_times (when not
 * NULL) are the columns of what is left. Returns how many. */
uint64_t news_filter(struct ctx *ctx, const struct job *job, const struct worker *w, uint32_t instance,
                     bool only_assigned, struct hq_ranges *ids, struct task_times *times);

#endif
