/* lane.h - tasks of one resource class that wait on this worker, in the order they were assigned.
 *
 * Purpose    a queue of batches (ranges of ids that share a body). Each launch takes the next id without allocating;
 *            retract and cancel take ids out of the middle.
 * Ownership  a lane holds one reference of each batch; a taken task holds another until lane_task_drop.
 * Threads    none inside: the launcher calls under its lock. Batch references may be dropped on any thread.
 * Units      latest_start_ms is wall clock (HQ_LANE_NO_LIMIT = none).
 * Errors     -ENOMEM: the lane is as before.
 */
#ifndef HQ_WORKERD_CORE_LANE_H
#define HQ_WORKERD_CORE_LANE_H

#include "common/ranges.h"
#include "hq-workerd/core/body.h"
#include "hq-workerd/core/stepdesc.h"

#define HQ_LANE_NO_LIMIT INT64_MAX

struct batch { /* fill all but refs and the positions, then lane_push */
    atomic_uint refs;
    struct batch *next;
    struct body *body; /* one reference */
    uint32_t instance;
    uint32_t variant;
    int64_t latest_start_ms; /* start only until then: the worker's end minus the time request */
    struct hq_ranges ids;
    struct hq_str *entries; /* one per id, or NULL; views into `data` */
    char *data;             /* heap */
    struct batch *data_of;  /* holds a reference when `entries` point into another batch's data */
    struct hq_str *hosts;   /* multi-node: root first; views into `data` */
    size_t host_count;
    struct step_desc *step; /* several nodes or ranks; one reference */
    uint64_t hidden_id;     /* not 0: our part of a task whose root is elsewhere, or a remote command: hqd hears nothing of it */
    void *hidden;           /* the launch path's own part of that */
    void (*drop_hidden)(void *hidden);
    struct hq_ranges_iter at; /* next id */
    size_t taken_count;
    size_t size;
};

HQ_MUST_CHECK struct batch *batch_create(struct body *body); /* takes a reference of the body; NULL without memory */
struct batch *batch_ref(struct batch *b);
void batch_unref(struct batch *b);
HQ_DEFINE_CLEANUP(struct batch, batch_unref)

struct lane {
    struct batch *head;
    struct batch **tail;
    uint64_t size; /* tasks waiting */
};

struct lane_task { /* one task taken out; the batch tells the rest */
    struct batch *batch; /* one reference; NULL = none */
    uint32_t task_id;
    struct hq_str entry;
};

enum lane_take {
    LANE_TAKEN = 0,
    LANE_EMPTY,
    LANE_TOO_LATE, /* the next one may not start any more: it stays */
};

struct lane_gone { /* what a withdrawal took out of one batch */
    uint32_t lane_ix; /* set by who keeps several lanes */
    uint32_t job_id;
    uint32_t instance;
    uint32_t variant;
    uint64_t hidden_id;
    struct hq_ranges ids;
};
struct lane_gone_list {
    struct lane_gone *v;
    size_t count;
    size_t cap;
};
void lane_gone_list_fini(struct lane_gone_list *l); /* also the cleanup form */

void lane_init(struct lane *l);
void lane_fini(struct lane *l);
void lane_push(struct lane *l, struct batch *b); /* takes over the caller's reference; ids must not be empty */
enum lane_take lane_take(struct lane *l, hq_wall_ms now_ms, struct lane_task *ret);
void lane_task_drop(struct lane_task *t);

struct lane_match { /* which tasks; a NULL set matches everything */
    uint32_t job_id;
    const struct hq_ranges *ids;
    bool has_ids; /* the agent's note */
    bool any_job;
    bool any_instance;
    bool has_lane; /* of one lane only, for who keeps several */
    uint32_t lane_ix;
    uint32_t instance;
    uint64_t hidden_id; /* that one only; 0 = whatever it is */
    hq_wall_ms too_late_at_ms; /* 0 = whatever its time; else only those whose latest start has passed by then */
};
/* Takes the matching tasks out and appends them to `gone`. */
HQ_MUST_CHECK int lane_withdraw(struct lane *l, const struct lane_match *match, struct lane_gone_list *gone);

#endif
