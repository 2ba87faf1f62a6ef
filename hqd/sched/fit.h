/* fit.h - how many tasks of a class variant fit what is free.
 *
 * Purpose    sums only: the server decides the worker, the worker the indices, and may turn a placement down.
 * Units      amounts in 1/10000, signed: a worker may run more than was booked for a while.
 * Cost       O(resources of the variant).
 */
#ifndef HQ_HQD_SCHED_FIT_H
#define HQ_HQD_SCHED_FIT_H

#include "hqd/core/state.h"

/* Tasks that ask for nothing: no worker gets more of them than this at once. */
#define FIT_UNBOUNDED 1024u

/* At most `limit`. total is the worker's whole amounts, for `all`. */
uint32_t fit_count(const struct cls_variant *v, const int64_t *free, const int64_t *total, uint32_t res_count,
                   uint32_t limit);
/* On the worker when it is empty. */
uint32_t fit_total(const struct cls_variant *v, const struct worker *w);
/* Books n tasks (or gives them back, n < 0). */
void fit_book(const struct cls_variant *v, int64_t *free, const int64_t *total, uint32_t res_count, int64_t n);
/* Wall clock at which the worker's life ends; INT64_MAX = never. */
hq_wall_ms fit_life_end_ms(const struct worker *w);
bool fit_time(const struct cls_variant *v, const struct worker *w, hq_wall_ms now_ms);
bool fit_is_blocked(const struct worker *w, const struct cls *cls, uint32_t variant);
/* Any variant could run there when it is empty, in time and not blocked. */
bool fit_is_able(const struct cls *cls, const struct worker *w, hq_wall_ms now_ms);

#endif
