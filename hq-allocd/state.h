/* state.h - what hq-allocd holds while it runs: hqd's state mirrored, and what is being done right now.
 *
 * Purpose    shared by its shell files (link.c, mirror.c, submit.c, files.c, look.c, lookup.c,
 *            cancel.c, strays.c, trial.c, shell.c). Nothing here must survive:
 *            whatever is found out becomes a report to hqd.
 * Ownership  struct allocd owns everything; runs of commands name allocations by queue and number, never by pointer.
 * Threads    loop thread.
 * Units      ms; _ms instants of the monotonic clock unless they came from hqd (wall clock).
 */
#ifndef HQ_HQ_ALLOCD_STATE_H
#define HQ_HQ_ALLOCD_STATE_H

#include <ev.h>
#include <sys/queue.h>

#include "common/net.h"
#include "hq-allocd/batch.h"
#include "hq-allocd/core/backoff.h"
#include "hq-allocd/core/plan.h"
#include "hq-allocd/core/track.h"
#include "hq-allocd/runner.h"

#include "proto/alloc.pb-c.h"

#define MANAGERS 2u /* PBS, Slurm */
#define INCARNATION_BYTES 16u
#define REFUSED_DIRS_KEPT 20u
#define USER_BYTES_MAX 256u

enum phase {                   /* of a planned allocation */
             PHASE_UNSURE = 0, /* it may have been submitted by an earlier process: look it up */
             PHASE_NEW,        /* ours, hqd has it on disk: submit */
             PHASE_WRITING,    /* its script; nothing is submitted yet */
             PHASE_SUBMITTING,
             PHASE_TOLD, /* a report is on its way */
};

struct lookup_state { /* look-up of an allocation whose submission nobody knows the end of */
    bool is_running;
    uint32_t misses;
    uint32_t tries;
    hq_ms first_miss_ms;
    hq_ms next_ms;
    char *why; /* what the submission said; NULL = nothing */
};

struct mirror_alloc {
    LIST_ENTRY(mirror_alloc) link;
    uint32_t number;
    Hq__AllocState state;
    uint32_t worker_count;
    uint32_t connected;
    uint32_t lost;
    char *id; /* NULL = none yet */
    char *dir;
    hq_wall_ms planned_ms;
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;
    bool is_stale; /* while a full answer is merged */
    enum phase phase;
    struct lookup_state look;
    struct track track;
    char *reason; /* as last reported */
    bool is_canceling;
    bool is_over_told; /* a report of its end is on its way */
    bool must_go;      /* requeued: cancel it */
    uint32_t cancel_tries;
    hq_ms next_cancel_ms;
};

struct mirror_queue {
    LIST_ENTRY(mirror_queue) link;
    struct hq_arena arena; /* of info */
    const Hq__AllocQueueInfo *info;
    uint32_t id;
    bool is_stale;
    uint32_t next_number;
    uint32_t plans_out; /* planned reports that hqd has not confirmed */
    uint32_t single;
    uint32_t ending;
    struct plan_nodes multi[64];
    size_t multi_count;
    hq_wall_ms next_attempt_ms; /* as last reported */
    bool is_pause_told;
    bool has_failed; /* a submission of this round was refused: so would the others be */
    LIST_HEAD(, mirror_alloc) allocs;
};

struct stray_watch { /* of one batch system */
    bool is_expected;
    bool is_running;
    uint32_t sweeps;
    hq_ms next_ms;
};

struct report {
    STAILQ_ENTRY(report) link;
    Hq__AllocReport m; /* its texts are heap copies */
    bool is_sent;
};

struct trial {
    LIST_ENTRY(trial) link;
    struct allocd *a;
    uint64_t id;
    const struct batch *batch;
    char *tmp; /* temporary server directory */
    char *script;
    char *job_id;
    bool is_reported;
};

struct allocd_conf {
    hq_ms tick_ms;
    hq_ms refresh_ms;
    uint32_t alloc_fails_max;
    hq_ms command_ms;    /* kill time-out of a command */
    hq_ms lookup_gap_ms; /* between two look-ups that find nothing */
    struct track_conf track;
};

struct allocd {
    struct ev_loop *loop;
    struct allocd_conf conf;
    const char *server_dir; /* as given */
    struct hq_buf instance; /* directory with access.json */
    struct hq_buf hq_path;
    struct runner *runner;
    struct hq_net_client *net;
    unsigned char incarnation[INCARNATION_BYTES];

    /* link */
    uint64_t request_id;
    unsigned char hqd_incarnation[INCARNATION_BYTES];
    bool has_hqd;
    uint64_t version;
    bool is_poll_out; /* a turn without reports is held by hqd */
    bool is_report_out;
    uint32_t failures; /* turns in a row */
    hq_ms next_turn_ms;
    struct hq_arena turn_arena;
    STAILQ_HEAD(, report) reports;
    char *problem; /* told with each turn; NULL = none */

    /* mirror */
    LIST_HEAD(, mirror_queue) queues;
    LIST_HEAD(, trial) trials;
    bool is_stopping; /* hqd ends: cancel everything */
    bool is_ending;   /* we end */
    int exit_status;

    /* looks */
    bool is_looking[MANAGERS];
    hq_ms next_look_ms[MANAGERS]; /* not before: the batch system did not answer */
    uint32_t look_tries[MANAGERS];
    struct stray_watch strays[MANAGERS];
    char user[USER_BYTES_MAX]; /* "" = unknown */

    char *refused_dirs[REFUSED_DIRS_KEPT]; /* of the last failed submissions, for users to look into; older ones go */
    size_t refused_next;

    hq_ms planned_at_ms;
    struct ev_timer timer;
    struct ev_prepare turn_end;
    struct ev_signal sigterm;
    struct ev_signal sigint;
    bool is_due; /* something happened: look at everything at the end of this turn */
};

/* ---- link.c */
void link_init(struct allocd *a);
void link_fini(struct allocd *a);
/* Sends what is due; returns when to be called again. */
hq_ms link_progress(struct allocd *a, hq_ms now_ms);
/* A new report; texts are copied when it is filled by the report_* functions below. */
Hq__AllocReport *link_report(struct allocd *a, Hq__AllocReportKind kind, uint32_t queue, uint32_t number);
void link_set_bytes(ProtobufCBinaryData *to, struct hq_str from); /* heap copy */
bool link_has_reports(const struct allocd *a);

/* ---- mirror.c */
void mirror_merge(struct allocd *a, const Hq__AllocTurnAnswer *m);
/* hqd has the plan on disk; it is submitted now. */
void mirror_confirmed(struct allocd *a, uint32_t queue, uint32_t number);
/* hqd has forgotten it. */
void mirror_refused(struct allocd *a, uint32_t queue, uint32_t number);
void mirror_clear(struct allocd *a);
struct mirror_queue *mirror_queue(const struct allocd *a, uint32_t id);
struct mirror_alloc *mirror_alloc(const struct mirror_queue *q, uint32_t number);
bool mirror_is_live(const struct mirror_alloc *m);
const struct batch *mirror_batch(const struct mirror_queue *q);
uint32_t mirror_manager(const struct batch *b);                                    /* index into arrays of MANAGERS */
struct hq_str mirror_script(const struct mirror_alloc *m, struct hq_arena *arena); /* path of what is submitted */

/* ---- submit.c */
/* Plans, then submits what hqd has on disk. Returns when to be called again. */
hq_ms submit_progress(struct allocd *a, hq_ms now_ms);
/* It has an id: of the submission's answer, or found afterwards. */
void submit_accepted(struct allocd *a, struct mirror_alloc *m, uint32_t queue, struct hq_str id);
/* It was not submitted after all. */
void submit_lost(struct allocd *a, struct mirror_alloc *m, uint32_t queue);

/* ---- files.c */
struct files_script {
    uint32_t queue;
    uint32_t number;
    uint32_t nodes;
    const char *server_dir;
    const char *dir; /* of the allocation */
    bool is_trial;
};
void files_script(const struct allocd *a, const Hq__AllocParams *p, const struct files_script *what,
                  struct hq_buf *ret_text);
/* Blocks. Directory and script; *ret_path heap. */
int files_write_script(const char *dir, struct hq_str text, char **ret_path, struct hq_err *err);
typedef void (*files_fn)(struct allocd *a, uint32_t queue, uint32_t number, const char *path, const struct hq_err *err);
/* The same aside; then fn, with the path or NULL and the reason. */
void files_begin_script(struct allocd *a, const Hq__AllocParams *p, const struct files_script *what, files_fn fn);
void files_begin_job_id(struct allocd *a, const char *dir, struct hq_str id);
void files_begin_remove(struct allocd *a, const char *dir); /* of a failed submission */

/* ---- look.c */
#define LOOK_RETRY_MS_MIN 1000 /* a batch system that did not answer is asked again then, later and later */
#define LOOK_RETRY_MS_MAX 30000
/* Status, look-ups and cancels that are due; returns when to be called again. */
hq_ms look_progress(struct allocd *a, hq_ms now_ms);
void look_soon(struct allocd *a); /* a user asked */
/* Once per allocation. row: NULL = none. */
void look_tell_end(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m, bool is_failed, struct hq_str why,
                   const struct batch_row *row);

void look_begin(struct allocd *a, const struct batch *b); /* asks for the status of all its allocations */

/* ---- strays.c */
/* A job of ours may turn up that no allocation stands for: the next hour is watched. */
void strays_expect(struct allocd *a, const struct batch *b);
void strays_sweep(struct allocd *a, const struct batch *b, const struct batch_rows *rows); /* sorted or not */
void strays_swept(struct allocd *a, const struct batch *b, hq_ms now_ms);
hq_ms strays_progress(struct allocd *a, hq_ms now_ms);

/* ---- lookup.c, cancel.c */
void lookup_begin(struct allocd *a, struct mirror_queue *q, struct mirror_alloc *m);
/* queue 0: a job that belongs to no allocation. */
void cancel_begin(struct allocd *a, const struct batch *b, uint32_t queue, uint32_t number, struct hq_str id);

/* ---- trial.c */
void trial_begin(struct allocd *a, const Hq__AllocTrial *m);
void trial_clear(struct allocd *a);
/* Is that script one of a running trial? */
bool trial_owns(const struct allocd *a, struct hq_str script);
/* Left by an earlier process of this server: a trial that nobody cancelled. */
bool trial_is_stray(const struct allocd *a, struct hq_str script);

#endif
