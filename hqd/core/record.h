/* record.h - the durable vocabulary as plain structs; mirrors proto/journal.proto one to one.
 *
 * Purpose    a record is a fact in the past tense with everything needed to apply it. core_step emits and applies them,
 *            the shell writes them, replay reads them back into core_apply.
 * Ownership  views into the effects' arena, the input or the core; see effect.h. core_apply copies what it keeps.
 * Units      seq counts from 1 without gaps, given by the core; time_ms wall clock, never decreasing.
 */
#ifndef HQ_HQD_CORE_RECORD_H
#define HQ_HQD_CORE_RECORD_H

#include "common/str.h"
#include "hqd/core/alloc_types.h"
#include "hqd/core/types.h"

enum record_kind { /* numbers are the field numbers of the oneof in journal.proto */
                   RECORD_SERVER_STARTED = 3,
                   RECORD_SERVER_STOPPED = 4,
                   RECORD_WORKER_CONNECTED = 5,
                   RECORD_WORKER_LOST = 6,
                   RECORD_WORKER_OVERVIEW = 7,
                   RECORD_JOB_OPENED = 8,
                   RECORD_SUBMIT_PART = 9,
                   RECORD_JOB_SUBMITTED = 10,
                   RECORD_JOB_CLOSED = 11,
                   RECORD_JOB_CANCELED = 12,
                   RECORD_JOB_FORGOTTEN = 13,
                   RECORD_JOB_COMPLETED = 14,
                   RECORD_JOB_IDLE = 15, /* published only: seq 0, never applied */
                   RECORD_TASKS_ASSIGNED = 16,
                   RECORD_TASKS_UNASSIGNED = 17,
                   RECORD_TASKS_STARTED = 18,
                   RECORD_TASKS_FINISHED = 19,
                   RECORD_TASK_FAILED = 20,
                   RECORD_TASKS_CANCELED = 21,
                   RECORD_TASKS_ABORTED = 22,
                   RECORD_TASKS_RESTARTED = 23,
                   RECORD_TASK_NOTIFIED = 24, /* published only: seq 0, never applied */
                   RECORD_COUNTERS = 25,
                   RECORD_JOB_SNAPSHOT = 26,
                   RECORD_ALLOC_QUEUE_CREATED = 27,
                   RECORD_ALLOC_QUEUE_REMOVED = 28,
                   RECORD_ALLOC_QUEUE_PAUSED = 29,
                   RECORD_ALLOC_QUEUE_RESUMED = 30,
                   RECORD_ALLOC_QUEUE_SHAPE = 31,
                   RECORD_ALLOCATION_PLANNED = 32,
                   RECORD_ALLOCATION_QUEUED = 33,
                   RECORD_ALLOCATION_STARTED = 34,
                   RECORD_ALLOCATION_FINISHED = 35,
                   RECORD_ALLOCATION_REFUSED = 36,
};
#define RECORD_KINDS 37

struct record_server_started {
    struct hq_str server_uid;
    struct hq_str incarnation;
    struct hq_str version;
    struct hq_str boot_id; /* another one than that of the run before, without an orderly end: the host crashed */
    struct hq_str host;
    uint32_t pid;
};

struct record_worker_connected {
    hq_worker_id worker;
    struct worker_config config;
    struct hq_str incarnation;
    hq_wall_ms started_ms;
};

struct record_worker_lost {
    hq_worker_id worker;
    enum lost_reason reason;
};

struct record_worker_overview {
    hq_worker_id worker;
    struct overview overview;
};

struct record_job_opened {
    hq_job_id job;
    struct hq_str name;
    bool has_max_fails;
    uint32_t max_fails;
    struct hq_str submit_dir;
    uint32_t owner_uid;
    uint64_t request_id;
};

struct record_submit_part {
    uint64_t upload_id;
    struct submit_part part;
};

struct record_job_submitted {
    hq_job_id job;
    bool is_new;
    struct hq_str name; /* new job only */
    bool has_max_fails;
    uint32_t max_fails;
    struct hq_str submit_dir;
    struct hq_str stream_dir;
    uint32_t owner_uid;
    uint64_t request_id;
    uint64_t upload_id;      /* 0 = no RECORD_SUBMIT_PART before */
    uint32_t part_count;     /* parts before */
    struct submit_part part; /* the last part */
    bool is_graph;
    struct hq_ranges ids;   /* array: final ids of all parts in the order of the entries */
    struct hq_str own_name; /* attached submit: the name it would have had alone */
};

struct record_job {
    hq_job_id job;
};

struct record_job_canceled {
    hq_job_id job;
    bool has_reason;
    struct hq_str reason;
};

struct record_job_forgotten {
    struct hq_ranges jobs;
};

struct record_tasks_assigned {
    hq_worker_id worker; /* multi-node: the root */
    hq_job_id job;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    const uint32_t *nodes; /* multi-node: all workers, root first */
    size_t node_count;
};

struct record_tasks_unassigned {
    hq_worker_id worker;
    hq_job_id job;
    struct hq_ranges ids;
};

struct record_tasks_started {
    hq_worker_id worker;
    struct tasks_started tasks;
    const uint32_t *nodes;
    size_t node_count;
};

struct record_tasks_finished {
    hq_worker_id worker;
    struct tasks_finished tasks;
};

struct record_task_failed {
    hq_worker_id worker; /* none: failed by hqd before any worker had it */
    struct task_failed task;
};

struct record_tasks_ended { /* canceled, aborted */
    hq_job_id job;
    struct hq_ranges ids;
};

struct record_tasks_restarted {
    hq_job_id job;
    struct hq_ranges ids;
    bool is_crash;
};

struct record_task_notified {
    hq_worker_id worker;
    struct task_notify notify;
};

struct record_counters {
    uint32_t next_job;
    uint32_t next_worker;
    uint32_t next_queue;
    struct hq_str server_uid;
};

struct task_columns {
    uint32_t first; /* position of the first task in the order of submission */
    size_t count;
    const unsigned char *states; /* enum task_state of task.h: internal states, also assigned ones */
    const uint32_t *worker;
    const uint32_t *instance;
    const uint32_t *crashes;
    const int64_t *started;
    const int64_t *ended;
    const uint32_t *variant;
};

struct record_job_snapshot {
    hq_job_id job;
    hq_wall_ms submitted_ms;
    hq_wall_ms finished_ms;
    const struct task_columns *tasks;
    size_t tasks_count;
};

struct record {
    uint64_t seq; /* 0 = published only */
    hq_wall_ms time_ms;
    enum record_kind kind;
    union {
        struct record_server_started server_started;
        /* SERVER_STOPPED: nothing */
        struct record_worker_connected worker_connected;
        struct record_worker_lost worker_lost;
        struct record_worker_overview worker_overview;
        struct record_job_opened job_opened;
        struct record_submit_part submit_part;
        struct record_job_submitted job_submitted;
        struct record_job job; /* JOB_CLOSED, JOB_COMPLETED, JOB_IDLE */
        struct record_job_canceled job_canceled;
        struct record_job_forgotten job_forgotten;
        struct record_tasks_assigned tasks_assigned;
        struct record_tasks_unassigned tasks_unassigned;
        struct record_tasks_started tasks_started;
        struct record_tasks_finished tasks_finished;
        struct record_task_failed task_failed;
        struct record_tasks_ended tasks_ended; /* TASKS_CANCELED, TASKS_ABORTED */
        struct record_tasks_restarted tasks_restarted;
        struct record_task_notified task_notified;
        struct record_counters counters;
        struct record_job_snapshot job_snapshot;
        struct record_alloc_queue alloc_queue;             /* QUEUE_CREATED */
        struct record_alloc_queue_event alloc_queue_event; /* QUEUE_REMOVED, _PAUSED, _RESUMED */
        struct record_alloc_shape alloc_shape;
        struct record_allocation allocation; /* PLANNED to REFUSED */
    } u;
};

const char *record_kind_name(enum record_kind kind);
/* One line without a newline, for tests, the simulator and debug logs: "12 tasks-assigned worker=1 job=1 ids=0-9 ..."
 */
void record_print(const struct record *rec, struct hq_buf *out);

#endif
