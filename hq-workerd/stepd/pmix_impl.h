/* pmix_impl.h - what pmix_host.c and pmix_calls.c share: calls of libpmix on their way to the loop.
 *
 * Purpose    libpmix calls us on its own thread; every such call copies what it needs, posts, and returns.
 * Ownership  a call is freed once it has run; a collective lives until it is answered.
 * Threads    names ending in _thr run on libpmix's thread.
 */
#ifndef HQ_STEPD_PMIX_IMPL_H
#define HQ_STEPD_PMIX_IMPL_H

#include <pmix_server.h>

#include "common/bridge.h"
#include "hq-workerd/stepd/pmix_host.h"

struct pmix_host {
    struct ev_loop *loop;
    struct hq_bridge *bridge;
    const struct pmix_ops *ops;
    void *ctx;
    pmix_nspace_t nspace;
    uint32_t rank_count;
    bool *is_open_thr;   /* by rank: connected, and neither finalized nor lost */
    uint32_t open_count; /* of them; written on libpmix's thread, atomic */
    int event_fd;        /* an eventfd: one of them less, or the step is forgotten */
    bool is_forgotten;   /* atomic */
};

enum pmix_call_kind {
    PMIX_CALL_WIRED = 0,
    PMIX_CALL_FINALIZED,
    PMIX_CALL_CLOSED,
    PMIX_CALL_SPAWN,
    PMIX_CALL_ABORT,
    PMIX_CALL_COLLECTIVE,
};
struct pmix_call { /* one up-call on its way to the loop; a collective lives until it is answered */
    enum pmix_call_kind kind;
    struct pmix_host *host;
    uint32_t rank;
    int status;
    char *text;
    enum pmix_collective collective;
    uint32_t *ranks;
    size_t rank_count;
    char *data; /* libpmix's memory, ours since the call */
    size_t data_len;
    pmix_modex_cbfunc_t modex_fn;
    pmix_op_cbfunc_t op_fn;
    void *fn_ctx;
};

void pmix_host_wake_thr(struct pmix_host *h); /* whoever waits on event_fd */
void pmix_call_free(struct pmix_call *c);
void pmix_call_run(void *host, void *call); /* on the loop */

/* What we serve. From here on calls go to `h`. */
pmix_server_module_t pmix_calls_module(struct pmix_host *h);
/* An event handler: a rank is gone, or has closed its connection, without PMIx_Finalize. */
void pmix_calls_on_lost_thr(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[],
                            size_t info_count, pmix_info_t results[], size_t result_count,
                            pmix_event_notification_cbfunc_fn_t fn, void *fn_ctx);

#endif
