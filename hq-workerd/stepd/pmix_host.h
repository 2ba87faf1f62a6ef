/* pmix_host.h - the PMIx server of one step on this node. The only file that knows libpmix.
 *
 * Purpose    ranks find it by the environment of pmix_host_env; it tells who came and went and asks for fences.
 * Ownership  copies what it is given. Data handed to on_fence lives until that returns.
 * Threads    loop thread. libpmix calls us on a thread of its own; such calls only post to a bridge. pmix_host_drain runs
 *            what has been posted so far: before the end of a rank is judged.
 * Errors     negative errno, PMIx codes converted. -ENOSYS: no PMIx here.
 */
#ifndef HQ_STEPD_PMIX_HOST_H
#define HQ_STEPD_PMIX_HOST_H

#include "common/err.h"
#include "common/str.h"

struct ev_loop;
struct pmix_host;

enum pmix_collective { /* different ones on the same ranks do not meet */
    PMIX_HOST_FENCE = 0,
    PMIX_HOST_CONNECT,
    PMIX_HOST_DISCONNECT,
};

struct pmix_fence {
    enum pmix_collective kind;
    uint64_t token;        /* for pmix_host_fence_done */
    const uint32_t *ranks; /* ascending; NULL: all of the step */
    size_t rank_count;
    struct hq_str data;
};

struct pmix_ops {
    void (*on_wired)(void *ctx, uint32_t rank);     /* PMIx_Init */
    void (*on_finalized)(void *ctx, uint32_t rank); /* PMIx_Finalize */
    void (*on_closed)(void *ctx, uint32_t rank);    /* its connection ended in between */
    void (*on_spawn)(void *ctx, uint32_t rank);     /* it was refused */
    void (*on_abort)(void *ctx, uint32_t rank, int status, const char *text);
    void (*on_fence)(void *ctx, const struct pmix_fence *fence);
};

struct pmix_host_conf {
    const char *nspace;        /* the same on all nodes */
    const char *dir;           /* exists, ours alone; files of the server */
    const char *const *hosts;  /* by node */
    const uint32_t *ranks;     /* by node */
    uint32_t node_count, node_index;
    void *topology;            /* hwloc's */
};

/* Lives until the process ends: the library's own end may wait for ever for a rank that was killed in its handshake (seen
 * with 4.2.2), and its threads may call until then. The loop must live as long. */
HQ_MUST_CHECK int pmix_host_create(struct pmix_host **ret, struct ev_loop *loop, const struct pmix_host_conf *conf,
                                   const struct pmix_ops *ops, void *ctx, struct hq_err *err);
/* Variables that a rank of this node needs: heap vector of heap strings, NULL-terminated; pmix_host_env_free. */
HQ_MUST_CHECK int pmix_host_env(struct pmix_host *h, uint32_t rank, char ***ret, struct hq_err *err);
void pmix_host_env_free(char **env);
/* `data` of all nodes; copied. */
void pmix_host_fence_done(struct pmix_host *h, uint64_t token, struct hq_str data);
void pmix_host_drain(struct pmix_host *h);
/* All ranks have ended: what they asked to be removed then goes (shared memory of Open MPI). Waits at most timeout_ms. */
void pmix_host_forget(struct pmix_host *h, int timeout_ms);

#endif
