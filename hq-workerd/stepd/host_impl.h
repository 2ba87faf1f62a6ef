/* host_impl.h - parts of host.h: what host*.c share.
 *
 * Ownership  struct host owns everything in it.
 * Threads    loop thread.
 */
#ifndef HQ_STEPD_HOST_IMPL_H
#define HQ_STEPD_HOST_IMPL_H

#include <ev.h>

#include "common/arena.h"
#include "common/id.h"
#include "common/limits.h"
#include "hq-workerd/stepd/fence.h"
#include "hq-workerd/stepd/host.h"
#include "hq-workerd/stepd/pmi1_host.h"
#include "hq-workerd/stepd/pmix_host.h"
#include "hq-workerd/stepd/rankmap.h"
#include "hq-workerd/stepd/rankout.h"
#include "hq-workerd/stepd/ranks.h"
#include "hq-workerd/stepd/sink.h"
#include "hq-workerd/stepd/uplink.h"

#define HOST_NO_RANK UINT32_MAX
#define HOST_PMI1_TOKEN UINT64_MAX /* of the fence that is a PMI-1 barrier */

struct host_rank {
    bool is_started, is_wired, is_finalized, has_ended;
    bool is_closed; /* its PMI socket, in between */
    bool is_own_end; /* it had ended before we told all to end */
};

struct host_failure {
    bool is_set, is_node_lost;
    hq_wall_ms at_ms;
    uint32_t rank, node; /* HOST_NO_RANK: of the node as a whole */
    int32_t exit_code;
    uint32_t signal;
    bool is_echo; /* an MPI library gave up: most often because of another rank's end, which may be reported later */
    struct hq_buf text;
};

struct host_child { /* a neighbour below us in the tree */
    uint32_t node;
    bool is_up, has_ended;
};

struct host {
    struct ev_loop *loop;
    char *const *argv;
    struct hq_arena arena;
    struct uplink *link;

    /* the step, as the worker said; nothing of it before has_start */
    bool has_start;
    uint32_t job, task, instance, node_count, self, rank_count, first_rank, local_count;
    const char **hosts;         /* by node */
    uint32_t *node_ranks;       /* by node */
    uint32_t *node_first;       /* by node: its first rank */
    uint32_t wire_up;           /* Hq__MpiWireUp */
    char *nspace;
    char *dir;                  /* of the PMIx server; NULL = none */
    const char *topology_path;  /* of the machine, for ranks; NULL = none */

    struct host_child children[HQ_STEP_FANOUT];
    uint32_t child_count;

    hwloc_topology_t topology;
    bool has_topology;
    struct rankmap map;
    struct pmix_host *pmix;     /* NULL: not offered */
    struct pmi1_host *pmi1;     /* the same */
    struct fences *fences;
    struct ranks *ranks;
    struct rankout *out;
    struct sink sinks[2];       /* root only */
    struct host_rank *local;
    uint32_t local_ended;
    bool is_ready, has_gone_up, has_go, has_launched;
    bool is_local_done, is_done;

    bool is_ending;             /* all ranks are to end */
    bool is_killed;             /* SIGKILL was sent */
    bool is_told;               /* SIGINT, SIGTERM: the task is over for others' reasons */
    struct host_failure first;
    ev_timer hello_limit, grace, end_limit, closed_check;
    ev_signal on_int, on_term;
    int exit_code;
};

static inline bool host_is_root(const struct host *h)
{
    return h->self == 0;
}
static inline uint32_t host_parent(const struct host *h)
{
    return (h->self - 1) / HQ_STEP_FANOUT;
}

/* host.c */
void host_end_all(struct host *h, int sig); /* what runs here, by sig first */
/* Cancel, time limit, or the end of the worker: no failure of ours. */
void host_told(struct host *h, int sig, uint32_t told_by);
void host_look(struct host *h);    /* goes on with what is possible now */
uint32_t host_node_of(const struct host *h, uint32_t rank);

/* host_fail.c */
/* Something failed; the first one counts. Ends all ranks everywhere. */
void host_fail(struct host *h, const struct host_failure *why, uint32_t told_by);
void host_fail_node(struct host *h, const char *text); /* not of one rank */
void host_fail_rank(struct host *h, uint32_t rank, int exit_code, int signal, const char *text);
void host_tell_neighbours(struct host *h, uint32_t told_by); /* to end, but for who told us */
/* The worker reads the text of the task in $HQ_ERROR_FILENAME. */
void host_write_error(const struct host *h);

/* host_start.c */
HQ_MUST_CHECK int host_read_start(struct host *h, const Hq__StepStart *start, struct hq_err *err);
HQ_MUST_CHECK int host_prepare(struct host *h, const Hq__StepStart *start, struct hq_err *err); /* servers listen */
HQ_MUST_CHECK int host_launch(struct host *h, struct hq_err *err);
void host_clean(struct host *h); /* what would outlive the process */

/* host_msg.c */
void host_on_message(void *ctx, const Hq__StepMsg *msg);
void host_send(struct host *h, uint32_t to, Hq__StepMsg *msg); /* fills in from and to */
void host_send_up(struct host *h);
void host_send_go(struct host *h);
void host_send_ended(struct host *h);
void host_send_abort(struct host *h, uint32_t to);
void host_send_output(struct host *h, uint32_t rank, uint32_t channel, struct hq_str data, uint32_t to);
bool host_read_failure(const Hq__StepFailure *f, struct host_failure *ret); /* ret owns a text */

/* host_fence.c */
void host_on_fence(struct host *h, uint32_t from, const Hq__StepFence *fence);
extern const struct pmix_ops host_pmix_ops;
extern const struct pmi1_ops host_pmi1_ops;

#endif
