/* state.h - private layout of the core's state; for hqd/core and hqd/sched only.
 *
 * Purpose    three kinds of fields, kept apart by comments:
 *            durable    a function of the records applied, the same after a replay (query_dump shows it);
 *            derived    a function of the durable ones (ready queues, counters, what a worker has free);
 *            link       what no record holds: held turns, outstanding commands, measurements. Rebuilt from what
 *                       workers say.
 * Ownership  the core owns all of it.
 * Threads    none.
 */
#ifndef HQ_HQD_CORE_STATE_H
#define HQ_HQD_CORE_STATE_H

#include "common/heap.h"
#include "common/map.h"
#include "hqd/core/core.h"
#include "hqd/core/idset.h"
#include "hqd/core/posset.h"
#include "hqd/core/task.h"

struct alloc;
struct cls;
struct idlist;
struct job;
struct worker;

/* ---- classes (hqd/sched/class.h) */
#define RES_NONE UINT32_MAX

struct need {
    uint32_t res; /* index into core->res; RES_NONE: no worker has ever had it */
    bool is_all;
    hq_amount amount;
};

struct cls_variant {
    struct need *needs; /* in the order of the request's entries */
    uint32_t need_count;
    uint32_t n_nodes;
    hq_ms min_time_ms;
    uint64_t weight_x10000;
};

/* Tasks of equal request, time request, weight and priority. */
struct cls {
    uint32_t id;   /* order of creation */
    uint32_t refs; /* ready nodes of jobs */
    uint64_t hash;
    struct cls *next_same; /* other classes with this hash */
    void *blob;            /* the request */
    struct hq_request request;
    int32_t priority;
    struct cls_variant *variants;
    uint32_t variant_count;
    bool is_gang; /* multi-node: one variant */
    /* derived */
    struct hq_heap nodes; /* ready nodes with tasks, by job id */
    uint64_t ready;
    uint64_t queued;       /* queued ahead on workers */
    uint32_t queued_ix;    /* in core->queued_classes, while queued > 0 */
    uint32_t worker_count; /* workers that have tasks of it */
    /* link */
    bool is_new;              /* tasks became ready since the last pass */
    hq_ms waiting_from_ms;    /* has tasks ready and got none started since; 0 = not seen by a pass yet */
    uint32_t reserved_worker; /* that the last pass kept for it; 0 = none */
    uint64_t left;            /* scratch of one pass: ready and not yet planned */
    uint64_t need;            /* scratch: tasks that dry workers could start */
    uint32_t planned_workers; /* scratch: workers that get their first tasks of it */
};

/* Ready tasks of one job in one class; lives as long as the job. */
struct ready_node {
    struct hq_heap_node heap; /* in cls->nodes while set is not empty */
    struct cls *cls;
    struct job *job;
    struct posset set;
};

/* ---- jobs */
struct deps {
    uint32_t *waiting;  /* by place in the submit: predecessors that have not finished */
    uint32_t *succ_off; /* count + 1 */
    uint32_t *succ;     /* positions */
    uint32_t *pred_off; /* count + 1; as the user gave them, for queries */
    uint32_t *pred;     /* task ids */
};

struct submit {
    void *blob; /* strings, descriptions, entries, ids as given */
    struct hq_str submit_dir;
    struct hq_str stream_dir;
    struct hq_str own_name;
    struct hq_str stdin_data;
    hq_wall_ms submitted_ms;
    uint64_t seq; /* of its record */
    bool is_graph;
    struct hq_ranges given_ids; /* array: in the order written */
    struct idset ids;
    uint32_t ix;
    uint32_t first_pos;
    uint32_t task_count;
    uint32_t first_desc;
    uint32_t desc_count;
    struct task_desc *descs; /* their requests are views of the class */
    struct ready_node **desc_node;
    uint32_t *desc_of;    /* graph: description of each place */
    uint32_t *order;      /* place in the order written; NULL = the same */
    uint32_t *entry_lens; /* NULL = no entries */
    uint64_t *entry_at;   /* offset of every 64th entry */
    struct hq_str entry_data;
    struct deps *deps; /* NULL = none */
};

/* A dependency on a task of an earlier submit of the job. */
struct cross_dep {
    uint32_t succ; /* position */
    uint32_t next; /* index + 1 of the next one of the same predecessor; 0 = end */
};

struct failure {
    uint32_t pos;
    uint64_t seq; /* of the record that has the text */
};

/* Workers of a multi-node task. */
struct gang {
    uint32_t pos;
    uint32_t instance;
    bool is_live; /* assigned or running */
    uint32_t node_count;
    uint32_t *nodes; /* root first */
};

struct job {
    hq_job_id id;
    /* durable */
    struct hq_str name; /* strings are heap memory of the job */
    struct hq_str submit_dir;
    bool is_open;
    bool has_max_fails;
    bool is_completed;
    bool has_cancel_reason;
    uint32_t max_fails;
    uint32_t owner_uid;
    uint32_t instance_floor; /* smallest number that a new run may get */
    uint32_t instance_max;   /* largest number given, or promised by a restart */
    uint64_t restart_seq;    /* newest record that restarted a task */
    struct hq_str cancel_reason;
    hq_wall_ms submitted_ms;
    hq_wall_ms finished_ms;
    uint64_t version; /* newest record that changed it */
    struct submit **submits;
    uint32_t submit_count;
    uint32_t submit_cap;
    uint32_t desc_count;
    struct idset ids;
    struct task_table tasks;
    struct failure *failures;
    size_t failure_count;
    size_t failure_cap;
    struct gang *gangs;
    size_t gang_count;
    size_t gang_cap;
    /* derived */
    struct job_counts counts;
    uint64_t held; /* assigned or running */
    bool has_deps; /* of some submit */
    struct ready_node **nodes;
    uint32_t node_count;
    uint32_t node_cap;
    struct hq_map cross; /* predecessor's position -> index + 1 into cross_deps */
    struct cross_dep *cross_deps;
    size_t cross_count;
    size_t cross_cap;
    /* link */
    bool is_changed;   /* in core->changed_jobs */
    bool is_end_noted; /* in core->ended_jobs */
};

/* ---- workers */
/* Tasks of one class and variant on one worker. Resources are booked for `placed` of them; `queued` ones wait there. */
struct worker_use {
    struct cls *cls;
    uint32_t variant;
    /* derived */
    uint32_t placed;
    uint32_t queued;
    uint32_t running;
    /* link: measured */
    uint64_t ended_count; /* since rate_from_ms */
    hq_ms rate_from_ms;   /* 0 = nothing measured */
    uint64_t rate_x1000;  /* tasks that end in 1000 s: smoothed */
    int64_t mean_ms_x16;  /* smoothed duration x 16; -1 = unknown */
    uint32_t planned;     /* scratch of one pass */
    uint32_t planned_ahead;
};

/* Positions that a worker was given; some may have ended meanwhile: the task's page knows. */
struct held_range {
    uint32_t job;
    uint32_t first;
    uint32_t count;
};

/* A placement that the worker turned down. */
struct worker_block {
    const struct cls *cls;
    uint32_t variant;
    bool is_forever; /* for lack of time */
};

enum timer_kind {
    TIMER_SILENT = 0, /* lost when nothing came */
    TIMER_ANSWER,     /* a held turn is answered */
    TIMER_IDLE,       /* idle timeout */
};
#define WORKER_TIMERS 3

struct timer {
    struct hq_heap_node node;
    struct worker *worker;
};

struct pending {
    struct pending *next;
    enum command_kind kind;
    uint32_t job;
    uint32_t desc_id;
    uint32_t instance;
    uint32_t variant;
    uint32_t submit_ix;
    uint32_t gang_pos; /* position + 1; 0 = no multi-node task */
    uint32_t node_ix;  /* join: place among its nodes */
    enum lost_reason stop;
    uint64_t offset; /* stdin part; overview interval */
    uint64_t bytes;
    struct hq_ranges ids; /* heap */
};

struct pending_list {
    struct pending *head;
    struct pending **tail;
};

/* Commands of one answer until the worker says that it has them. */
struct batch {
    struct batch *next;
    uint64_t command_seq;
    uint64_t turn_seq;
    struct pending_list list;
};

struct open_turn {
    uint64_t handle;
    uint64_t turn_seq;
};

struct early_turn {
    struct input_turn turn;
    void *blob;
};

struct receipt {
    uint64_t turn_seq;
    uint64_t seq; /* newest record after the turn */
};
#define RECEIPTS_MAX 32u

enum worker_place {
    WORKER_HERE = 0, /* registered with this run of hqd */
    WORKER_AWAY,     /* known from the journal, expected back */
    WORKER_LOST,
};

struct worker {
    hq_worker_id id;
    /* durable */
    void *blob;
    struct worker_config config;
    unsigned char incarnation[INCARNATION_BYTES];
    hq_wall_ms registered_ms;
    hq_wall_ms ended_ms;
    enum lost_reason reason;
    hq_job_id last_job;
    hq_task_ix last_task;
    hq_wall_ms last_started_ms;
    /* derived */
    enum worker_place place;
    uint32_t group; /* index into core->groups */
    uint32_t res_count;
    int64_t *total; /* by index of core->res */
    int64_t *free;  /* may be below zero for a while: the worker decides what really runs */
    struct worker_use *uses;
    uint32_t use_count;
    uint32_t use_cap;
    uint32_t held; /* assigned or running tasks, multi-node ones at their root */
    uint32_t running;
    struct held_range *ranges;
    size_t range_count;
    size_t range_cap;
    uint64_t covered;   /* positions in ranges */
    hq_job_id gang_job; /* multi-node task it works for; 0 = none */
    uint32_t gang_pos;
    bool is_root;
    uint32_t alloc_queue; /* allocation it came from; 0 = none of ours */
    uint32_t alloc_number;
    bool is_compact; /* of a queue whose work gathers where the least life is left */
    /* link */
    bool is_dirty;             /* something there was freed or changed: the next pass looks at it */
    bool is_talking;           /* in core->talkers */
    bool is_settling;          /* came back; its first turn tells what became of the rest */
    bool has_settled;          /* all it knew before its last Register is told: from here on it must say what can be */
    bool is_reserved;          /* kept for a class that needs much at once */
    bool is_doubted;           /* another node could not reach it, and it has said nothing since: no node for a task */
    bool is_retracting;        /* until command retract_seq is acknowledged */
    enum lost_reason stopping; /* told to stop, for this reason */
    uint64_t turn_seq;
    uint64_t command_seq;
    uint64_t retract_seq; /* 0 = not sent yet */
    struct open_turn open[2];
    uint32_t open_count;
    struct early_turn *early;
    struct pending_list out;
    uint32_t out_urgent;    /* commands in `out` that are worth an answer of their own */
    size_t bodies_sweep_at; /* number of bodies at which those of ended jobs are forgotten */
    struct idlist *cancel;  /* scratch while a job ends */
    struct batch *batches;  /* oldest first */
    struct receipt receipts[RECEIPTS_MAX];
    uint32_t receipt_count;
    uint64_t receipt_acked;  /* newest turn known to be on disk */
    uint64_t returned_turn;  /* newest turn that gave tasks back */
    struct hq_map bodies;    /* job, desc -> 1 */
    struct hq_map confirmed; /* while settling: job, position -> 1 */
    struct worker_block *blocks;
    size_t block_count;
    size_t block_cap;
    hq_ms heard_ms;
    hq_ms gone_at_ms; /* peer gone, or expected back after a restart: lost then; 0 = neither */
    hq_ms stop_at_ms; /* told to stop: dropped then; 0 = not told */
    hq_ms idle_from_ms;
    uint32_t round_trip_us;
    struct timer timers[WORKER_TIMERS];
    int64_t *plan_free; /* scratch of one pass */
    bool is_planned;    /* scratch */
};

/* ---- requests that may come again */
struct answered {
    uint64_t request_id;
    uint32_t uid;
    enum answer_kind kind;
    hq_job_id job;
    hq_queue_id queue;
    uint64_t forgotten;
    uint64_t ignored;
    void *results; /* struct job_result or struct worker_result, heap */
    size_t result_count;
};
#define ANSWERED_MAX 4096u         /* requests remembered; the oldest goes */
#define ANSWERED_RESULTS_MAX 1024u /* longer answers are not remembered: their repetition does no harm */

/* Parts of a submit that is being replayed. */
struct upload {
    uint64_t upload_id;
    void **blobs;
    struct submit_part *parts;
    size_t count;
    size_t cap;
    size_t blob_cap;
};

struct core {
    struct core_conf conf;
    /* durable */
    struct alloc *alloc; /* hqd/core/alloc.h */
    uint64_t last_seq;
    hq_wall_ms last_ms;
    char *server_uid;
    char *boot_id; /* NUL-terminated copy of the last server-started; NULL = none */
    size_t boot_id_len;
    bool is_ended; /* nothing, or an orderly end, was the last thing */
    uint32_t next_job;
    uint32_t next_worker;
    uint32_t next_queue;
    struct job **jobs; /* jobs[id - job_base]; NULL = forgotten */
    uint32_t job_base;
    uint32_t job_cap;
    uint32_t job_count;
    struct worker **workers; /* ascending by id */
    size_t worker_count;
    size_t worker_cap;
    struct upload upload;
    struct answered *answered; /* ring */
    uint32_t answered_next;
    uint32_t answered_count;
    struct hq_map answered_ix; /* request id -> slot + 1 */
    uint64_t forget_version;   /* newest record that forgot a job */
    uint64_t worker_version;   /* newest record about workers */
    /* derived */
    char **res; /* resource names that workers have had */
    uint32_t res_count;
    char **groups;
    uint32_t group_count;
    struct hq_map classes; /* hash -> struct cls chain */
    uint32_t class_count;
    uint32_t next_class;
    struct cls **active; /* classes with ready tasks: priority descending, then age */
    uint32_t active_count;
    uint32_t active_cap;
    struct cls **queued_classes; /* classes with queued-ahead tasks, in no order */
    uint32_t queued_class_count;
    uint32_t queued_class_cap;
    /* link */
    bool is_stopping;
    bool is_started;      /* core_resume was called */
    bool is_after_crash; /* the host had crashed: workers may hold what no record tells of */
    unsigned char step_key[STEP_KEY_BYTES];
    hq_ms quiet_until_ms; /* after a crash of the host nothing is given out before */
    struct hq_heap timers;
    struct hq_map by_incarnation; /* first 8 bytes -> worker, those that are not lost */
    struct worker **dirty;
    size_t dirty_count;
    size_t dirty_cap;
    struct worker **talkers; /* have something to say or two turns open */
    size_t talker_count;
    size_t talker_cap;
    uint32_t *changed_jobs; /* ids */
    size_t changed_count;
    size_t changed_cap;
    uint32_t *ended_jobs; /* ids of jobs that ran out of tasks during this step */
    size_t ended_count;
    size_t ended_cap;
    bool is_worker_changed;
    bool is_any_class_new;
    bool has_reservation; /* some worker is reserved */
    bool is_hungry;       /* a dry worker waits for the next look at queues of others */
    hq_ms steal_at_ms;    /* not before: looking at all queues is not free */
    hq_ms reserve_at_ms;  /* a class will have been passed over for too long then; 0 = none */
};

/* One call into the core. */
struct ctx {
    struct core *core;
    const struct core_now *now;
    struct effects *fx;
};

/* Gives number and time, applies, appends the effect. */
void core_emit(struct ctx *ctx, struct record *rec);
/* job-completed and job-idle of the jobs that ran out of tasks since the last call. */
void core_check_ends(struct ctx *ctx);
/* Published, not stored. */
void core_publish(struct ctx *ctx, struct record *rec);
/* apply.c: the door; never fails for records that the core made itself. */
int apply_record(struct core *core, const struct record *rec);

struct job *core_job(const struct core *core, uint32_t id);
struct worker *core_worker(const struct core *core, uint32_t id);

#endif
