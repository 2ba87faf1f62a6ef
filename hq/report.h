/* report.h - what a journal says over time, gathered record by record for `hq journal report`.
 *
 * Purpose    report_scan over all records finds the span; report_add over all of them again gathers; report_print (in
 *            report_page.c) writes the page.
 * Ownership  create/destroy; records are read during the call only.
 * Threads    pure.
 * Units      ms since the epoch; offsets of the filter from the first record, -1 = none.
 * Errors     -ENODATA "Empty journal", -EBADMSG "Journal does not start with server start event" or columns that do not fit.
 * Limits     kinds of workers, classes of tasks, jobs and workers shown are bounded; so is what one run of a task costs once
 *            more than REPORT_RUNS_MAX have ended (a million tasks: a few MB). A job's row and a graph's task cost memory.
 */
#ifndef HQ_HQ_REPORT_H
#define HQ_HQ_REPORT_H

#include "common/arena.h"
#include "common/err.h"
#include "common/map.h"
#include "hq/report_grid.h"

#include "proto/journal.pb-c.h"

#define REPORT_RUNS_MAX 4000u    /* drawn one by one; with more, workers show how many ran */
#define REPORT_KINDS_MAX 24u     /* different sets of resources; the last one takes the rest */
#define REPORT_CLASSES_MAX 100u  /* the last one takes the rest */
#define REPORT_JOBS_SHOWN 500u
#define REPORT_WORKERS_SHOWN 300u
#define REPORT_HEAT_CELLS 240u

struct report_pool { /* of a kind of workers */
    struct hq_str name;
    double amount;
    struct curve used; /* sum over workers of allocated / amount */
};
struct report_kind {
    char *text; /* "cpus:8, mem:15936.2" */
    struct report_pool *pools;
    size_t pool_count;
    struct stairs running;
};
struct report_worker {
    uint32_t id;
    uint32_t kind_ix;
    struct hq_str hostname;
    hq_wall_ms from_ms;
    hq_wall_ms until_ms; /* INT64_MAX = has not gone */
    const char *end;     /* why it went, NULL = it has not */
    uint64_t task_count;
    double busy_ms;      /* sum over its tasks of their time within the span */
    float *heat;         /* tasks that ran, mean over each of REPORT_HEAT_CELLS cells */
};
struct report_need { /* one entry of a request */
    struct hq_str name;
    double amount; /* < 0: all */
};
struct report_class {
    char *text; /* "cpus: 4 compact, min_time: 1h" */
    struct report_need *needs;
    size_t need_count;
    bool is_gang;
    struct spread finished;
    struct spread failed;
};
struct report_job {
    uint32_t id;
    struct hq_str name;
    bool is_open;
    uint64_t total, finished, failed, canceled, aborted;
    hq_wall_ms submitted_ms;
    hq_wall_ms first_ms; /* start of its first task, 0 = none */
    hq_wall_ms last_ms;  /* end of its last one */
    double sum_ms;       /* of all runs */
    uint64_t max_ms;
    struct report_submit *submits; /* newest first */
};
struct report_run { /* one execution of a task */
    uint32_t job, task, worker;
    uint32_t class_ix;
    hq_wall_ms from_ms, until_ms;
    bool is_failed, is_cut; /* cut: canceled, or its worker was lost */
    const uint32_t *nodes;  /* while it runs: all workers of a multi-node task */
    size_t node_count;
};

struct report {
    struct hq_arena arena;
    hq_wall_ms first_ms; /* of the first record */
    hq_wall_ms last_ms;
    uint64_t record_count;
    hq_ms start_ms; /* filter, -1 = none */
    hq_ms end_ms;
    struct grid grid;
    struct hq_str server_uid;
    struct stairs queued;
    struct report_kind *kinds;
    size_t kind_count, kind_cap;
    struct report_worker *workers;
    size_t worker_count, worker_cap;
    struct hq_map worker_ix; /* id -> index + 1 */
    struct report_class *classes;
    size_t class_count, class_cap;
    struct report_job *jobs;
    size_t job_count, job_cap;
    struct hq_map job_ix; /* id -> index + 1 */
    struct report_run *live;
    size_t live_count, live_cap;
    struct hq_map live_ix; /* job and task -> index + 1 */
    struct report_run *runs;
    size_t run_count, run_cap; /* run_count counts on behind REPORT_RUNS_MAX */
    struct hq_map allocations; /* queue and number -> workers asked for */
    struct report_parts *parts; /* of the submit that is not complete yet */
};

void report_init(struct report *r);
void report_fini(struct report *r);
HQ_MUST_CHECK int report_scan(struct report *r, const Hq__Record *rec, struct hq_err *err);
HQ_MUST_CHECK int report_begin(struct report *r, hq_ms start_ms, hq_ms end_ms, struct hq_err *err);
HQ_MUST_CHECK int report_add(struct report *r, const Hq__Record *rec, struct hq_err *err);
void report_finish(struct report *r); /* what has not ended lasts until the end of the span */

/* ---- report_submit.c: which class a task belongs to */
void report_submit_part(struct report *r, const Hq__SubmitPartStored *p);
void report_submit_done(struct report *r, struct report_job *job, const Hq__JobSubmitted *s);
void report_parts_free(struct report_parts *p);
void report_submits_fini(struct report_job *job); /* what lies outside the arena */
uint32_t report_class_of(const struct report_job *job, uint32_t task, uint32_t variant);

/* ---- report_page.c */
void report_print(const struct report *r, struct hq_buf *out);

#endif
