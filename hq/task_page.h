/* task_page.h - the tasks of a job, page by page, as rows.
 *
 * Purpose    reads the columns of TaskPageAnswer; never more than one page is held.
 * Ownership  a row's texts are valid until the next page is asked for.
 * Units      ms since the epoch, 0 = never.
 * Errors     those of client_call; -EPROTO columns that do not fit together.
 * Limits     a page of HQ_PAGE_BYTES.
 */
#ifndef HQ_HQ_TASK_PAGE_H
#define HQ_HQ_TASK_PAGE_H

#include "common/out.h"
#include "common/ranges.h"
#include "hq/commands.h"

#include "proto/client.pb-c.h"

struct task_row {
    uint32_t id;
    enum hq_task_state state;
    uint32_t instance;
    uint32_t desc_id;
    uint32_t worker;           /* 0 = never started, or not known */
    struct hq_str worker_host; /* "N/A" for an id without a name */
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;  /* of a task that ended after a start */
    hq_wall_ms failed_ms; /* of a failed task, also without a start */
    struct hq_str error;
    bool has_error;
    const uint32_t *nodes; /* multi-node: all workers, root first */
    size_t node_count;
    const uint32_t *deps;
    size_t dep_count;
};

struct task_filter {
    const struct hq_ranges *ids; /* NULL = all */
    uint32_t state_mask;         /* bits by enum hq_task_state; 0 = all */
    bool ids_only;
    bool with_deps;
};

struct task_pages {
    struct hq_cli *cli;
    uint32_t job;
    struct task_filter filter;
    struct hq_arena arena;            /* of the present page */
    const Hq__TaskPageAnswer *answer; /* NULL before the first page */
    bool is_last;
    /* position in the present page */
    struct hq_ranges ids;
    struct hq_ranges_iter iter;
    size_t row;
    size_t error_ix;
    size_t deps_ix;
    size_t nodes_ix;
    hq_wall_ms last_start_ms;
};

void task_pages_init(struct task_pages *p, struct hq_cli *cli, uint32_t job, const struct task_filter *filter);
void task_pages_fini(struct task_pages *p);
/* Asks for the next page: 1 there is one, 0 there was no further one. answer->job_found tells whether the job exists.
 */
HQ_MUST_CHECK int task_pages_next(struct task_pages *p, struct hq_err *err);
/* Puts an answer in place of one from hqd (used by task_pages_next). */
HQ_MUST_CHECK int task_pages_open(struct task_pages *p, const Hq__TaskPageAnswer *answer, struct hq_err *err);
/* Next row of the page; false at its end. */
bool task_pages_row(struct task_pages *p, struct task_row *ret);
/* Host of a worker in the page's names, "N/A" when it is not there. */
struct hq_str task_pages_host(const struct task_pages *p, uint32_t worker);

#endif
