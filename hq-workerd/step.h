/* step.h - tasks of several nodes or ranks, as far as this node has a part in them.
 *
 * Purpose    the table of steps of this node: root of a task (Assign with Step) or one of its other nodes (Join). Carries
 *            frames between local hq-stepds and the other nodes, starts hq-stepd and remote commands as hidden runs,
 *            ends everything of a step that is over.
 * Ownership  borrows launcher and configuration; holds references of bodies, batches and descriptions.
 * Threads    loop thread.
 * Units      ms of the monotonic clock.
 * Errors     negative errno; what goes wrong with a step is told to its nodes and, by the root, to hqd.
 * Limits     STEP_CONNS_MAX local connections, STEP_STREAMS_MAX remote commands from or to this node; STEP_WINDOW_BYTES
 *            of each remote command are under way in each direction, then its source waits.
 */
#ifndef HQ_WORKERD_STEP_H
#define HQ_WORKERD_STEP_H

#include "hq-workerd/core/event.h"
#include "hq-workerd/core/lane.h"
#include "hq-workerd/core/stepdesc.h"
#include "hq-workerd/launcher.h"

#define STEP_CONNS_MAX 4096u
#define STEP_STREAMS_MAX 2048u
#define STEP_WINDOW_BYTES ((size_t)256 << 10)
#define STEP_HELLO_BYTES_MAX 256u /* of the first frame */
#define STEP_HELLO_MS 5000      /* a local connection that has not shown its token by then is closed */

struct ev_loop;
struct steps;

struct steps_conf {
    struct ev_loop *loop;
    int listen_fd;
    struct launcher *launcher;
    const uint32_t *cpus; /* of this node, os indices; borrowed */
    size_t cpu_count;
    void *ctx;
    /* Starts a hidden run; takes the batch. */
    int (*launch)(void *ctx, struct batch *batch);
    /* Ends all runs of the task instance, hidden ones too, and what they have left behind. */
    void (*end_task)(void *ctx, uint32_t job, uint32_t task, uint32_t instance);
    void (*end_run)(void *ctx, uint64_t hidden_id); /* one hidden run */
};

HQ_MUST_CHECK int steps_create(struct steps **ret, const struct steps_conf *conf, struct hq_err *err);
void steps_destroy(struct steps *s); /* NULL is fine; ends no runs */

/* ---- hqd */
/* The task is about to be queued here, and the other nodes may call. A known one is left as it is. */
HQ_MUST_CHECK int steps_add_root(struct steps *s, struct body *body, uint32_t task, uint32_t instance,
                                 struct step_desc *desc);
struct steps_join {
    struct body *body;
    uint32_t task, instance;
    struct hq_str entry; /* empty = none */
    struct step_desc *desc;
};
HQ_MUST_CHECK int steps_join(struct steps *s, const struct steps_join *j, struct hq_err *err);
void steps_leave(struct steps *s, uint32_t job, uint32_t task, uint32_t instance); /* an unknown one is fine */
void steps_leave_all(struct steps *s);
/* Everything that belongs to tasks of other workers is over, but for this membership (if has_member). */
void steps_on_registered(struct steps *s, bool has_member, uint32_t job, uint32_t task, uint32_t instance);

/* ---- launcher */
/* Before the agent sees the event: the end of a root whose other node is gone becomes RUN_END_NODE_LOST. */
void steps_judge(const struct steps *s, struct run_event *e);
void steps_on_event(struct steps *s, const struct run_event *e); /* after the agent: ends of roots and hidden runs */
void steps_on_gone(struct steps *s, const struct lane_gone *gone); /* taken back before they started */

/* ---- local connections */
/* `fd` has sent `bytes`, the begin of a frame; the socket is taken over. */
void steps_on_connect(struct steps *s, int fd, struct hq_str bytes);
/* Does the secret belong to a live step? (Remote commands carry it as HQ_ACCESS_KEY: they may outlive the run that began
 * them, not the step.) */
bool steps_check_secret(const struct steps *s, struct hq_str secret, uint32_t *ret_job, uint32_t *ret_task);

void steps_on_time(struct steps *s, hq_ms now_ms);
hq_ms steps_next_ms(const struct steps *s); /* INT64_MAX = nothing to do */
uint32_t steps_count(const struct steps *s); /* tasks that this node has a part in, as root or other */

#endif
