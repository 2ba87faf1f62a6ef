/* alloc_types.h - queues of allocations as plain structs: what records, inputs and queries share.
 *
 * Ownership  views, as types.h says.
 * Units      ms; utilization in 1/10000.
 * Limits     the edge has checked sizes and that backlog, nodes and time limit are not zero.
 */
#ifndef HQ_HQD_CORE_ALLOC_TYPES_H
#define HQ_HQD_CORE_ALLOC_TYPES_H

#include "hqd/core/types.h"

struct alloc_params {
    enum worker_manager manager;
    hq_ms time_limit_ms; /* walltime */
    hq_ms idle_timeout_ms;
    hq_ms worker_time_limit_ms; /* 0 = the walltime */
    hq_ms lead_time_ms;         /* 0 = off */
    uint32_t backlog;
    uint32_t max_workers_per_alloc;
    uint32_t max_worker_count; /* 0 = no limit */
    uint32_t min_utilization_x10000;
    uint32_t keep_warm;
    bool is_compact; /* work gathers on the workers with the least life left */
    struct hq_str name;
    const struct hq_str *additional_args;
    size_t additional_arg_count;
    const struct hq_str *worker_args;
    size_t worker_arg_count;
    struct hq_str start_cmd;
    struct hq_str stop_cmd;
    struct hq_str wrap_cmd;
    bool has_pools;        /* the user described the workers */
    struct hq_pools pools; /* sorted by name */
};

enum alloc_state { /* as in alloc.proto */
                   ALLOC_PLANNED = 0,
                   ALLOC_QUEUED = 1,
                   ALLOC_RUNNING = 2,
                   ALLOC_FINISHED = 3,
                   ALLOC_FAILED = 4,
};
#define ALLOC_STATES 5

/* ---- bodies of records */
struct record_alloc_queue {
    hq_queue_id queue;
    struct alloc_params params;
    uint32_t owner_uid;
    uint64_t request_id;
};

struct record_alloc_queue_event {
    hq_queue_id queue;
    struct hq_str text;
};

struct record_alloc_shape {
    hq_queue_id queue;
    struct hq_pools pools;
};

struct record_allocation {
    hq_queue_id queue;
    uint32_t number;
    struct hq_str allocation_id;
    uint32_t worker_count;
    struct hq_str work_dir;
    bool is_failed;
    struct hq_str text;
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;
};

/* ---- inputs */
struct input_alloc_add {
    struct alloc_params params;
    bool with_trial;
    bool is_trial_only;
};

struct input_alloc_pause {
    hq_queue_id queue;
    bool is_pause; /* else resume */
};

struct input_alloc_remove {
    hq_queue_id queue;
    bool is_forced;
};

enum alloc_report_kind { /* as in alloc.proto */
                         ALLOC_REPORT_PLANNED = 1,
                         ALLOC_REPORT_QUEUED = 2,
                         ALLOC_REPORT_REFUSED = 3,
                         ALLOC_REPORT_STARTED = 4,
                         ALLOC_REPORT_FINISHED = 5,
                         ALLOC_REPORT_REASON = 6,
                         ALLOC_REPORT_PAUSED = 7,
                         ALLOC_REPORT_TRIAL = 8,
                         ALLOC_REPORT_LEFT = 9,
};
#define ALLOC_REPORT_KINDS 10

struct alloc_report {
    enum alloc_report_kind kind;
    struct record_allocation a; /* what the kind uses of it */
    uint64_t trial;
    bool is_permanent;
};

struct input_alloc_reports { /* ingress has checked who speaks */
    const struct alloc_report *v;
    size_t count;
};

#endif
