/* report_priv.h - between the files of `journal report`: workers, runs, records of tasks.
 *
 * Purpose    report_worker.c keeps who was there and what of it was in use, report_run.c what ran and how it ended,
 *            report_task.c turns records of tasks into runs; report.c hands each record to them.
 * Ownership  everything belongs to the report.
 * Errors     -EBADMSG records that do not fit together.
 */
#ifndef HQ_HQ_REPORT_PRIV_H
#define HQ_HQ_REPORT_PRIV_H

#include "hq/report.h"

struct report_walk;
/* For each task of a record; times are 0 where it has none. */
typedef void (*report_walk_fn)(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms);

static inline bool
report_is_within(const struct report *r, hq_wall_ms at_ms)
{
    return at_ms >= r->grid.from_ms && at_ms <= r->grid.until_ms;
}

struct report_worker *report_find_worker(const struct report *r, uint32_t id);
void report_add_worker(struct report *r, const Hq__WorkerConnected *c, hq_wall_ms at_ms);
void report_end_worker(struct report *r, struct report_worker *w, hq_wall_ms at_ms, const char *why);
void report_add_use(struct report *r, struct report_worker *w, const struct report_class *c, hq_wall_ms from_ms,
                    hq_wall_ms until_ms);
struct report_job *report_find_job(const struct report *r, uint32_t id);
void report_end_run(struct report *r, const struct report_run *run);
bool report_take_live(struct report *r, uint32_t job, uint32_t task, struct report_run *ret);
void report_cut_live(struct report *r, uint32_t job, uint32_t task, hq_wall_ms at_ms);
void report_cut_all(struct report *r, hq_wall_ms at_ms);
void report_add_live(struct report *r, const struct report_run *run);
HQ_MUST_CHECK int report_add_started(struct report *r, const Hq__TasksStartedRecord *s, struct hq_err *err);
HQ_MUST_CHECK int report_add_finished(struct report *r, const Hq__TasksFinishedRecord *f, struct hq_err *err);
HQ_MUST_CHECK int report_add_failed(struct report *r, const Hq__TaskFailedRecord *f, struct hq_err *err);
HQ_MUST_CHECK int report_add_ended(struct report *r, uint32_t job, const Hq__Ranges *ids, hq_wall_ms at_ms,
                                   report_walk_fn take, struct hq_err *err);
void report_take_cancel(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms);
void report_take_abort(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms);
void report_take_restart(const struct report_walk *w, uint32_t task, hq_wall_ms started_ms, uint64_t duration_ms);

#endif
