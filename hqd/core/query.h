/* query.h - read-only answers as plain structs.
 *
 * Purpose    the shell turns them into messages. Nothing here changes the core.
 * Ownership  arrays lie in the caller's arena; strings and descriptions point into the core and are valid until the
 * next call that may change it: encode at once. Units      times wall clock ms, 0 = never; versions are record numbers.
 * Errors     a job that does not exist gives false; everything else is data.
 * Limits     pages: `bytes_max` bounds the estimated size of a page (the caller passes HQ_PAGE_BYTES).
 * Cost       job list O(jobs shown); task page O(tasks looked at); watch O(jobs selected).
 */
#ifndef HQ_HQD_CORE_QUERY_H
#define HQ_HQD_CORE_QUERY_H

#include "common/arena.h"
#include "hqd/core/core.h"
#include "hqd/core/types.h"

struct query_server {
    uint64_t newest_seq;
    uint64_t job_count;
    hq_job_id last_job;       /* highest id ever given */
    hq_worker_id last_worker; /* highest id ever given */
    uint64_t worker_count;    /* connected */
    bool is_stopping;
};
void query_server(const struct core *core, struct query_server *ret);

struct query_job {
    hq_job_id job;
    struct hq_str name;
    struct job_counts counts;
    enum job_state_word state;
    bool is_open;
    bool has_cancel_reason;
    struct hq_str cancel_reason;
    uint32_t owner_uid;
    uint64_t version; /* newest record that changed it */
};

struct query_job_list_args {
    bool has_selection;
    struct selection jobs;
    uint32_t state_mask; /* 0 = every state */
    bool plus_open;
    hq_job_id after_job;
    size_t bytes_max;
};
struct query_job_list {
    struct query_job *jobs; /* ascending */
    size_t count;
    const uint32_t *not_found; /* first page only */
    size_t not_found_count;
    bool has_more;
    uint64_t total_count;
    hq_job_id last_job;
};
void query_job_list(const struct core *core, const struct query_job_list_args *args, struct hq_arena *arena,
                    struct query_job_list *ret);
bool query_job(const struct core *core, hq_job_id job, struct query_job *ret);

struct query_submit {
    struct hq_str submit_dir;
    struct hq_str stream_dir;
    hq_wall_ms submitted_ms;
    bool is_graph;
    struct hq_ranges ids; /* array: in the order given */
    uint64_t task_count;
    uint32_t first_desc;
    uint32_t desc_count;
};
struct query_failed {
    hq_task_ix task;
    hq_worker_id worker;
    struct hq_str worker_host; /* empty = not known any more */
    uint64_t error_seq;        /* number of the record that has the text (RECORD_TASK_FAILED); 0 = none */
};
struct query_job_detail {
    struct query_job info;
    bool has_max_fails;
    uint32_t max_fails;
    hq_wall_ms submitted_ms;
    hq_wall_ms finished_ms;
    struct query_submit *submits;
    size_t submit_count;
    const struct task_desc **descs; /* from desc_from on */
    size_t desc_count;
    uint32_t desc_next;          /* 0 = no more */
    struct query_failed *failed; /* the first 5 by id */
    size_t failed_count;
    struct hq_str *worker_hosts; /* the first 2 by worker id */
    size_t worker_host_count;
    uint32_t worker_count;
    struct hq_ranges task_ids; /* sorted runs */
};
bool query_job_detail(const struct core *core, hq_job_id job, uint32_t desc_from, size_t bytes_max,
                      struct hq_arena *arena, struct query_job_detail *ret);

struct query_task_page_args {
    hq_job_id job;
    bool has_ids;
    struct hq_ranges ids;
    uint32_t state_mask; /* bits by enum task_state_word; 0 = all */
    bool has_after;
    hq_task_ix after_task;
    bool ids_only;
    bool with_deps;
    size_t bytes_max;
};
struct query_task_deps {
    hq_task_ix task;
    const uint32_t *deps;
    size_t count;
};
struct query_task_nodes {
    hq_task_ix task;
    const uint32_t *workers; /* root first */
    size_t count;
};
struct query_task_error {
    hq_task_ix task;
    uint64_t seq; /* of the record with the text */
};
struct query_worker_name {
    hq_worker_id worker;
    struct hq_str host;
};
struct query_task_page {
    struct hq_ranges ids;  /* sorted runs; in the arena */
    size_t count;          /* rows */
    unsigned char *states; /* enum task_state_word */
    uint32_t *instance;
    uint32_t *desc_id;
    bool is_one_desc;       /* all rows have desc_id[0] */
    uint32_t *worker;       /* 0 = never started */
    hq_wall_ms *started_ms; /* 0 = never started */
    hq_wall_ms *ended_ms;   /* 0 = has not ended after a start */
    struct query_task_error *errors;
    size_t error_count;
    struct query_worker_name *workers; /* all in the column, ascending */
    size_t worker_count;
    struct query_task_deps *deps;
    size_t deps_count;
    struct query_task_nodes *nodes;
    size_t nodes_count;
    uint32_t *not_found; /* at most 1000 */
    size_t not_found_count;
    bool has_more;
};
/* false = no such job */
bool query_task_page(const struct core *core, const struct query_task_page_args *args, struct hq_arena *arena,
                     struct query_task_page *ret);

/* Long polls. Jobs of a selection that exist, ascending; *ret_version = newest record number.
 * Returns true when version is 0 or anything selected has changed since `version` (also a forgotten job). */
struct query_watch {
    uint64_t version;
    struct query_job *jobs;
    size_t count;
    const uint32_t *not_found;
    size_t not_found_count;
    bool is_stopping;
};
bool query_watch_changed(const struct core *core, const struct selection *jobs, uint64_t version);
void query_watch(const struct core *core, const struct selection *jobs, struct hq_arena *arena,
                 struct query_watch *ret);

struct query_worker {
    hq_worker_id worker;
    const struct worker_config *config;
    hq_wall_ms started_ms; /* registered */
    hq_wall_ms ended_ms;   /* 0 = connected */
    enum lost_reason reason;
    uint32_t assigned_tasks; /* resources are theirs; running included */
    uint32_t running_tasks;
    bool is_reserved;
    uint32_t multi_node; /* 0 no, 1 main node, 2 secondary */
    hq_job_id last_job;  /* of the task started last */
    hq_task_ix last_task;
    hq_wall_ms last_started_ms;
};
enum query_worker_filter {
    QUERY_WORKERS_ALL = 0,
    QUERY_WORKERS_RUNNING = 1,
    QUERY_WORKERS_OFFLINE = 2,
};
struct query_worker_list_args {
    bool has_selection;
    struct selection workers;
    enum query_worker_filter filter;
    hq_worker_id after_worker;
    size_t bytes_max;
};
struct query_worker_list {
    struct query_worker *workers; /* ascending */
    size_t count;
    const uint32_t *not_found;
    size_t not_found_count;
    bool has_more;
};
void query_worker_list(const struct core *core, const struct query_worker_list_args *args, struct hq_arena *arena,
                       struct query_worker_list *ret);

/* Where a task could run: by resources, time and group, not by load (hqd/sched/explain.c). O(workers x entries) */
enum query_explain_kind {
    QUERY_EXPLAIN_RESOURCE = 0, /* amounts; a request of all counts as 1 */
    QUERY_EXPLAIN_TIME = 1,     /* ms: life that is left */
    QUERY_EXPLAIN_NODES = 2,    /* connected workers of the group */
};
struct query_explain_item {
    hq_worker_id worker;
    uint32_t variant;
    enum query_explain_kind kind;
    struct hq_str name; /* of the resource */
    uint64_t provided;
    uint64_t requested;
    bool is_unlimited; /* time: the worker has no end */
    bool is_enough;
};
struct query_explain {
    hq_job_id job;
    hq_task_ix task;
    uint32_t dep_count;
    uint32_t waiting_deps;
    struct query_explain_item *items; /* by worker, then variant */
    size_t count;
};
enum query_explain_end {
    QUERY_EXPLAIN_FOUND = 0,
    QUERY_EXPLAIN_NO_JOB,
    QUERY_EXPLAIN_NO_TASK,
    QUERY_EXPLAIN_ENDED,
};
enum query_explain_end query_explain(const struct core *core, hq_job_id job, hq_task_ix task, hq_wall_ms now_ms,
                                     struct hq_arena *arena, struct query_explain *ret);

/* Canonical text of the durable state (two cores are equal when it is), or with everything else too. */
void query_dump(const struct core *core, bool is_durable_only, struct hq_buf *out);

#endif
