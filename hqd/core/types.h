/* types.h - plain structs that mirror proto/common.proto: what inputs, records, effects and queries share.
 *
 * Purpose    the core's vocabulary without a byte of protobuf. Column arrays have the layout that protobuf-c decodes
 *            to, and struct hq_range is one packed triplet, so the edge passes pointers on instead of converting.
 * Ownership  views: whoever fills a struct says how long its pointers live. The core copies what it keeps.
 *            A struct hq_ranges here is never freed by its reader (hq_ranges_fini is not called).
 * Units      *_ms without more words: wall clock or a span, as the field says; amounts and weights in 1/10000.
 * Limits     the edge has checked sizes, columns of equal length, counts and overflow: the core asserts them.
 */
#ifndef HQ_HQD_CORE_TYPES_H
#define HQ_HQD_CORE_TYPES_H

#include "common/id.h"
#include "common/mpi.h"
#include "common/pool.h"
#include "common/ranges.h"
#include "common/request.h"
#include "common/str.h"

#define STEP_KEY_BYTES 32

enum pin_mode {
    PIN_MODE_NONE = 0,
    PIN_MODE_TASKSET = 1,
    PIN_MODE_OMP = 2,
};

enum stdio_kind {
    STDIO_KIND_FILE = 0,
    STDIO_KIND_NONE = 1,
    STDIO_KIND_STREAM = 2,
};

struct stdio_desc {
    enum stdio_kind kind;
    struct hq_str path; /* FILE: with placeholders; empty = default path */
    bool remove_if_finished;
};

struct env_var {
    struct hq_str key;
    struct hq_str value;
};

#define CRASH_LIMIT_NEVER_RESTART 0u
#define CRASH_LIMIT_UNLIMITED UINT32_MAX

/* What is the same for all tasks that share it. */
struct task_desc {
    const struct hq_str *args;
    size_t arg_count; /* >= 1 */
    const struct env_var *env;
    size_t env_count;
    struct hq_str cwd;
    struct stdio_desc out;
    struct stdio_desc err;
    enum pin_mode pin;
    bool task_dir;
    bool has_stdin;
    uint64_t stdin_from;  /* graphs: only these bytes of the submit's stdin */
    uint64_t stdin_bytes; /* 0 = all of them */
    int64_t time_limit_ms; /* span; 0 = none */
    int32_t priority;
    uint32_t crash_limit; /* CRASH_LIMIT_* or the limit */
    struct hq_mpi mpi;
    struct hq_request request;
};

/* Entries (HQ_ENTRY) of tasks in the order of the ids they stand beside. */
struct task_entries {
    const uint32_t *lens;
    size_t count; /* 0 = the tasks have none */
    struct hq_str data;
};

/* Tasks of a graph: columns of `count` items; deps has the sum of dep_count. */
struct graph_tasks {
    const uint32_t *ids;
    const uint32_t *desc; /* index into all descs of the submit */
    const uint32_t *dep_count;
    size_t count;
    const uint32_t *deps; /* task ids of the same job */
    size_t dep_total;
};

/* One part of a submit; the lists of its parts follow one another. */
struct submit_part {
    const struct task_desc *descs;
    size_t desc_count;
    struct hq_ranges ids; /* array */
    struct task_entries entries;
    struct graph_tasks graph;
    struct hq_str stdin_data;
};

/* Times of tasks, columns beside ids. */
struct task_times {
    hq_wall_ms base_ms;
    const int64_t *started;      /* first: minus base_ms; next ones: minus the one before */
    const uint64_t *duration_ms; /* NULL when they have only started */
    size_t count;
};

enum worker_manager {
    WORKER_MANAGER_NONE = 0,
    WORKER_MANAGER_PBS = 1,
    WORKER_MANAGER_SLURM = 2,
};

enum worker_on_lost {
    WORKER_ON_LOST_RECONNECT = 0,
    WORKER_ON_LOST_STOP = 1,
    WORKER_ON_LOST_FINISH_RUNNING = 2,
};

/* Why a worker is gone (spec/workers.md 4.1). */
enum lost_reason {
    LOST_NONE = 0,
    LOST_STOPPED = 1,
    LOST_CONNECTION = 2,
    LOST_HEARTBEAT = 3,
    LOST_IDLE = 4,
    LOST_TIME_LIMIT = 5,
};
#define LOST_REASONS 6

struct worker_config {
    struct hq_str hostname;
    struct hq_str group;
    struct hq_str work_dir;
    struct hq_str listen_address;
    hq_ms heartbeat_ms;
    hq_ms idle_timeout_ms; /* 0 = the server's, unless is_idle_timeout_set */
    hq_ms time_limit_ms;   /* 0 = none */
    hq_ms overview_ms;     /* 0 = off */
    hq_ms retract_check_ms; /* shown only: the worker itself gives back what its life has become too short for */
    uint32_t min_utilization_x10000;
    enum worker_on_lost on_server_lost;
    enum worker_manager manager;
    struct hq_str manager_job_id;
    hq_ms manager_time_limit_ms;
    uint64_t manager_memory_mb;
    uint32_t pid;
    struct hq_pools pools;
    struct hq_str host_boot_id;
    const struct hq_str *gpu_families;
    size_t gpu_family_count;
    bool is_idle_timeout_set;
    const struct hq_str *addresses; /* numeric, without port, best first */
    size_t address_count;
};

struct gpu_load {
    struct hq_str family;
    struct hq_str id;
    float processor_percent;
    float memory_percent;
};

struct overview {
    hq_wall_ms at_ms;
    const float *cpu_percent;
    size_t cpu_count;
    uint64_t memory_total_bytes;
    uint64_t memory_free_bytes;
    const struct gpu_load *gpus;
    size_t gpu_count;
    const uint64_t *network; /* rx bytes, packets, errors; tx bytes, packets, errors; or NULL */
    size_t network_count;
};

/* Groups of a turn; also bodies of records. */
struct tasks_started {
    hq_job_id job;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    struct task_times times;
};

struct tasks_finished {
    hq_job_id job;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    struct task_times times; /* started and duration */
};

struct task_failed {
    hq_job_id job;
    hq_task_ix task;
    uint32_t instance;
    uint32_t variant;
    hq_wall_ms started_ms; /* 0 = failed before it started */
    hq_wall_ms ended_ms;
    struct hq_str error;
};

enum return_reason {
    RETURN_REASON_RETRACTED = 0,
    RETURN_REASON_REJECTED = 1,
    RETURN_REASON_NO_TIME = 2,
    RETURN_REASON_NODE_LOST = 3, /* --mpi: another node of the task is gone */
};

struct tasks_returned {
    hq_job_id job;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    enum return_reason reason;
};

struct task_notify {
    hq_job_id job;
    hq_task_ix task;
    struct hq_str message;
};

struct held_tasks {
    hq_job_id job;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    bool is_running;
    struct task_times times; /* running ones: their starts */
};

/* Which jobs or workers a request means. */
enum select_kind {
    SELECT_KIND_RANGES = 0,
    SELECT_KIND_LAST = 1,
    SELECT_KIND_ALL = 2,
};

struct selection {
    enum select_kind kind;
    struct hq_ranges ids;
};

/* Words and numbers of proto/client.proto. */
enum task_state_word {
    TASK_WORD_WAITING = 0,
    TASK_WORD_RUNNING = 1,
    TASK_WORD_FINISHED = 2,
    TASK_WORD_FAILED = 3,
    TASK_WORD_CANCELED = 4,
    TASK_WORD_ABORTED = 5,
};

enum job_state_word {
    JOB_WORD_RUNNING = 0,
    JOB_WORD_WAITING = 1,
    JOB_WORD_FAILED = 2,
    JOB_WORD_ABORTED = 3,
    JOB_WORD_CANCELED = 4,
    JOB_WORD_OPENED = 5,
    JOB_WORD_FINISHED = 6,
};

struct job_counts {
    uint64_t waiting;
    uint64_t running;
    uint64_t finished;
    uint64_t failed;
    uint64_t canceled;
    uint64_t aborted;
};

#endif
