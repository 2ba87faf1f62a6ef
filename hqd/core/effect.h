/* effect.h - what the core wants done, as an ordered list of data.
 *
 * Purpose    the shell carries effects out in order; tests compare their text.
 *            EFFECT_RECORD comes before whatever depends on it. Every other effect says how far the journal must be:
 *              NOW           leaves at once (heartbeat answers, refusals): it says nothing new;
 *              AFTER_WRITE   when the kernel has all records up to after_seq (assignments);
 *              AFTER_COMMIT  when the disk has them (submits, cancels, finals, registrations).
 * Ownership  everything in a list may point into its arena, the input of the step or the core's state, and is valid
 *            until the next call of core_step, core_schedule or core_resume, or effects_clear: the shell encodes at
 *            once and holds bytes, not effects.
 * Threads    loop thread.
 * Units      after_seq: number of the newest record emitted before the effect.
 */
#ifndef HQ_HQD_CORE_EFFECT_H
#define HQ_HQD_CORE_EFFECT_H

#include "common/arena.h"
#include "hqd/core/record.h"

enum effect_when {
    EFFECT_NOW = 0,
    EFFECT_AFTER_WRITE = 1,
    EFFECT_AFTER_COMMIT = 2,
};

enum effect_kind {
    EFFECT_RECORD = 1,  /* append to the journal */
    EFFECT_EVENT,       /* a record that is published to followers but not stored (job-idle, task-notify) */
    EFFECT_ANSWER,      /* to a client */
    EFFECT_REGISTERED,  /* to a worker's Register */
    EFFECT_TURN,        /* to a worker's turn */
    EFFECT_NOTE,        /* publish a hint */
    EFFECT_WORKER_GONE, /* the worker is lost: forget the mapping of its peer */
    EFFECT_STOP,        /* orderly end: commit, let answers leave, end the process */
};

enum answer_kind {
    ANSWER_ERROR = 0,   /* Error{code, text} */
    ANSWER_DONE,        /* Empty */
    ANSWER_SUBMITTED,   /* Submitted{job}: submit and open */
    ANSWER_JOB_RESULTS, /* close, cancel */
    ANSWER_FORGOTTEN,   /* JobForgotten */
    ANSWER_WORKER_RESULTS,
    ANSWER_ALLOC_ADDED, /* AllocAdded{queue} */
};

enum job_result_kind { /* as in client.proto */
                       JOB_RESULT_DONE = 0,
                       JOB_RESULT_NOT_FOUND = 1,
                       JOB_RESULT_NOTHING_LEFT = 2,
                       JOB_RESULT_REFUSED = 3,
};

struct job_result {
    hq_job_id job;
    enum job_result_kind kind;
    uint64_t canceled;
    uint64_t ended_before;
    struct hq_str text;
};

enum worker_result_kind {
    WORKER_RESULT_DONE = 0,
    WORKER_RESULT_NOT_FOUND = 1,
    WORKER_RESULT_STOPPED_BEFORE = 2,
    WORKER_RESULT_REFUSED = 3,
};

struct worker_result {
    hq_worker_id worker;
    enum worker_result_kind kind;
    struct hq_str text;
};

struct answer {
    uint64_t handle;
    enum answer_kind kind;
    int code;                      /* ERROR: negative errno */
    struct hq_str text;            /* ERROR: the sentence */
    hq_job_id job;                 /* SUBMITTED */
    hq_queue_id queue;             /* ALLOC_ADDED; none = a trial only */
    const struct job_result *jobs; /* JOB_RESULTS, ascending */
    size_t job_count;
    uint64_t forgotten; /* FORGOTTEN */
    uint64_t ignored;
    const struct worker_result *workers; /* WORKER_RESULTS, ascending */
    size_t worker_count;
};

struct command_leave {
    hq_job_id job;
    hq_task_ix task;
    uint32_t instance;
};

/* To a Register. code < 0: refused, with text. */
struct registered {
    uint64_t handle;
    int code;
    struct hq_str text;
    hq_worker_id worker;
    uint64_t next_command_seq;
    const struct held_tasks *drop; /* kill, say nothing more of them */
    size_t drop_count;
    hq_ms heartbeat_ms;
    bool is_member; /* works for this task of another worker; whatever else it worked for is over */
    struct command_leave member;
};

enum command_kind {
    COMMAND_BODY = 1,
    COMMAND_ASSIGN,
    COMMAND_RETRACT,
    COMMAND_CANCEL,
    COMMAND_FORGET_JOB,
    COMMAND_STOP,
    COMMAND_OVERVIEW,
    COMMAND_STDIN_PART,
    COMMAND_JOIN,
    COMMAND_LEAVE,
};

struct command_body {
    hq_job_id job;
    uint32_t desc_id;
    const struct task_desc *desc;
    struct hq_str submit_dir;
    struct hq_str stream_dir;
    uint64_t stdin_bytes;
};

/* What the nodes of a task learn of one another (message Step). */
struct step_node {
    struct hq_str host;
    const struct hq_str *addresses;
    size_t address_count;
    uint32_t port; /* 0 = unknown */
    uint32_t ranks;
};

struct step {
    const struct step_node *nodes; /* root first */
    uint32_t node_count;
    uint32_t node_ix;                              /* of the receiver */
    const unsigned char (*keys)[STEP_KEY_BYTES]; /* for the pair with each node; its own is not used */
};

struct command_assign {
    hq_job_id job;
    uint32_t desc_id;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids;
    struct task_entries entries;
    const struct hq_str *node_hosts; /* multi-node, root first */
    size_t node_count;
    const struct step *step; /* multi-node or several ranks; NULL = neither */
};

struct command_join {
    hq_job_id job;
    uint32_t desc_id;
    hq_task_ix task;
    uint32_t instance;
    struct hq_str entry;
    const struct step *step;
};

struct command_tasks { /* retract, cancel */
    hq_job_id job;
    uint32_t instance; /* retract */
    struct hq_ranges ids;
};

struct command_stdin {
    hq_job_id job;
    uint32_t submit;
    uint64_t offset;
    struct hq_str data;
};

struct command {
    enum command_kind kind;
    union {
        struct command_body body;
        struct command_assign assign;
        struct command_tasks tasks; /* RETRACT, CANCEL */
        hq_job_id forget_job;
        enum lost_reason stop;
        hq_ms overview_ms;
        struct command_stdin stdin_part;
        struct command_join join;
        struct command_leave leave;
    } u;
};

/* To a turn. code < 0: TYPE_ERROR (-ESTALE: register again). */
struct turn_answer {
    uint64_t handle;
    hq_worker_id worker;
    int code;
    struct hq_str text;
    uint64_t command_seq; /* 0 = no commands */
    uint64_t ack_turn_seq;
    const struct command *commands;
    size_t command_count;
};

enum note_topic {
    NOTE_JOB = 0,    /* "job/ID" */
    NOTE_WORKER = 1, /* "worker" */
    NOTE_SERVER = 2, /* "server" */
};

struct note {
    enum note_topic topic;
    hq_job_id job;
};

struct effect {
    enum effect_kind kind;
    enum effect_when when;
    uint64_t after_seq;
    union {
        struct record record; /* RECORD, EVENT */
        struct answer answer;
        struct registered registered;
        struct turn_answer turn;
        struct note note;
        hq_worker_id worker_gone;
        /* STOP: nothing */
    } u;
};

struct effects {
    struct effect *v;
    size_t count;
    size_t cap;
    struct hq_arena arena;
    void **owned;
    size_t owned_count;
    size_t owned_cap;
};

void effects_init(struct effects *fx);
void effects_fini(struct effects *fx);  /* also the cleanup form */
void effects_clear(struct effects *fx); /* before each call into the core that fills it anew; keeps memory */
/* Frees heap memory that effects point into together with them. */
void effects_own(struct effects *fx, void *heap);
/* Appends; the core's use. The pointer is valid until the next one is added. */
struct effect *effects_add(struct effects *fx, enum effect_kind kind, enum effect_when when, uint64_t after_seq);
/* One line an effect, for tests and the simulator. */
void effect_print(const struct effect *e, struct hq_buf *out);
void effects_print(const struct effects *fx, struct hq_buf *out);

#endif
