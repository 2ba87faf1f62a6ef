/* input.h - everything that can happen to the core, as one tagged union.
 *
 * Purpose    the shell's ingress decodes, authenticates and validates bytes into one of these; core_step decides.
 * Ownership  all pointers are the caller's and must stay valid until the effects of that step are consumed
 *            (records may point into the input). The core copies what it keeps.
 * Units      handles are chosen by the shell, never 0, never used twice; they name a request that waits for an answer.
 *            Each handle is answered at most once by the core; see effect.h.
 * Limits     ingress has checked: sizes, grammar, request rules (hq_request_check), names, no zero amounts, columns of
 *            equal length, ranges without overflow, sets disjoint in themselves, HQ_TASKS_PER_SUBMIT_MAX.
 *            The core checks what needs state: rights, ids that exist already, dependencies, who holds which task.
 */
#ifndef HQ_HQD_CORE_INPUT_H
#define HQ_HQD_CORE_INPUT_H

#include "hqd/core/alloc_types.h"
#include "hqd/core/types.h"

enum input_kind {
    INPUT_SUBMIT = 1,
    INPUT_JOB_OPEN,
    INPUT_JOB_CLOSE,
    INPUT_JOB_CANCEL,
    INPUT_JOB_FORGET,
    INPUT_WORKER_STOP,
    INPUT_SERVER_STOP,
    INPUT_REGISTER,
    INPUT_TURN,
    INPUT_PEER_GONE,
    INPUT_PEER_BACK,
    INPUT_TIMER,
    INPUT_ALLOC_ADD,
    INPUT_ALLOC_PAUSE,
    INPUT_ALLOC_REMOVE,
    INPUT_ALLOC_REPORTS,
    INPUT_NONSENSE, /* what this worker's peer sent as a turn is none */
};
#define INPUT_KINDS 18

/* Who asks: client inputs only. */
struct input_client {
    uint64_t handle;
    uint64_t request_id; /* the same when the client asks again; 0 = never repeated */
    uint32_t uid;
};

struct input_submit {
    hq_job_id job; /* none = new job */
    struct hq_str name;
    bool has_max_fails;
    uint32_t max_fails;
    struct hq_str submit_dir;
    struct hq_str stream_dir;
    bool is_graph;
    uint32_t auto_count; /* array without ids and without entries: that many ids behind the highest of the job */
    const struct submit_part *parts; /* in order; the last one is the part inside the Submit message */
    size_t part_count;               /* >= 1 */
    uint64_t upload_id;              /* of the parts before the last; 0 = none */
};

struct input_job_open {
    struct hq_str name;
    bool has_max_fails;
    uint32_t max_fails;
    struct hq_str submit_dir;
};

struct input_job_select { /* close, and base of others */
    struct selection jobs;
};

struct input_job_cancel {
    struct selection jobs;
    bool has_reason;
    struct hq_str reason;
};

struct input_job_forget {
    struct selection jobs;
    uint32_t state_mask; /* bits by enum job_state_word; 0 = all completed states */
};

struct input_worker_select {
    struct selection workers; /* ALL = connected ones */
};

#define INCARNATION_BYTES 16

struct input_register {
    uint64_t handle;
    unsigned char incarnation[INCARNATION_BYTES]; /* of the hq-workerd process */
    hq_worker_id worker;                          /* none = never registered */
    struct worker_config config;
    const struct held_tasks *held;
    size_t held_count;
    uint64_t next_turn_seq; /* >= 1 */
    hq_wall_ms started_ms;
};

/* Ingress has checked the incarnation of hqd that the turn names. */
struct input_turn {
    uint64_t handle;
    hq_worker_id worker;
    uint64_t turn_seq;
    uint64_t ack_command_seq;
    const struct tasks_started *started;
    size_t started_count;
    const struct tasks_finished *finished;
    size_t finished_count;
    const struct task_failed *failed;
    size_t failed_count;
    const struct tasks_returned *returned;
    size_t returned_count;
    const struct task_notify *notifies;
    size_t notify_count;
    const struct overview *overview; /* NULL = none */
    enum lost_reason leaving;        /* not NONE: the worker ends after this turn */
    uint32_t round_trip_us;          /* 0 = unknown */
    bool is_unsettled;               /* more news from before the last Register follow in later turns */
};

/* The last connection of this worker's peer ended, or it has one again. A worker whose peer is not back within 2 s is
 * lost; a turn or a registration from it counts as back too. The shell maps peers to workers (it sees registrations).
 */
struct input_peer {
    hq_worker_id worker;
};

struct input {
    enum input_kind kind;
    struct input_client from; /* submit, open, close, cancel, forget, worker stop, server stop */
    union {
        struct input_submit submit;
        struct input_job_open job_open;
        struct input_job_select job_close;
        struct input_job_cancel job_cancel;
        struct input_job_forget job_forget;
        struct input_worker_select worker_stop;
        struct input_register reg;
        struct input_turn turn;
        struct input_peer peer;
        struct input_alloc_add alloc_add;
        struct input_alloc_pause alloc_pause;
        struct input_alloc_remove alloc_remove;
        struct input_alloc_reports alloc_reports;
        /* SERVER_STOP, TIMER: nothing */
    } u;
};

#endif
