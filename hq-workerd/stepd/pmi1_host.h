/* pmi1_host.h - PMI-1 for the ranks of this node: a socket each, the sentences of pmi1.h behind it.
 *
 * Ownership  owns our ends; a rank's end is closed by pmi1_host_started.
 * Threads    loop thread.
 * Errors     negative errno; what a rank does wrong comes by on_bad.
 */
#ifndef HQ_STEPD_PMI1_HOST_H
#define HQ_STEPD_PMI1_HOST_H

#include "common/err.h"
#include "common/str.h"

struct ev_loop;
struct pmi1_host;

struct pmi1_ops { /* ranks are numbers of the whole step */
    void (*on_wired)(void *ctx, uint32_t rank);
    void (*on_finalized)(void *ctx, uint32_t rank);
    void (*on_abort)(void *ctx, uint32_t rank, int status);
    void (*on_barrier)(void *ctx, struct hq_str puts); /* all ranks of the node wait */
    void (*on_bad)(void *ctx, uint32_t rank, const char *text); /* its socket is closed */
    void (*on_closed)(void *ctx, uint32_t rank);                /* between init and finalize */
};

struct pmi1_host_conf {
    uint32_t count, first_rank, total;
    const char *space;     /* name of the key-value space, the same on all nodes */
    const uint32_t *ranks; /* by node */
    uint32_t node_count;
};
HQ_MUST_CHECK int pmi1_host_create(struct pmi1_host **ret, struct ev_loop *loop, const struct pmi1_host_conf *conf,
                                   const struct pmi1_ops *ops, void *ctx, struct hq_err *err);
void pmi1_host_destroy(struct pmi1_host *h); /* NULL is fine */
HQ_MUST_CHECK int pmi1_host_open(struct pmi1_host *h, uint32_t local, struct hq_err *err); /* fd for the rank */
void pmi1_host_started(struct pmi1_host *h, uint32_t local);
/* The puts of all nodes: the barrier is over. */
HQ_MUST_CHECK int pmi1_host_barrier_done(struct pmi1_host *h, struct hq_str puts, struct hq_err *err);

#endif
