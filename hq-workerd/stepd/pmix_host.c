/* pmix_host.c - libpmix calls us on its own thread; every such call copies what it needs, posts, and returns. */
#include "hq-workerd/stepd/pmix_host.h"

#include <ev.h>
#include <pmix.h>
#include <pmix_server.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/bridge.h"
#include "common/mem.h"
#include "hq-workerd/stepd/pmix_info.h"

#define BRIDGE_ITEMS 4096u
#define SMALL_STEP_RANKS 512u
#define SMALL_SEGMENT_BYTES "1048576" /* far over what one rank tells: that must fit into one file */

struct pmix_host {
    struct ev_loop *loop;
    struct hq_bridge *bridge;
    const struct pmix_ops *ops;
    void *ctx;
    pmix_nspace_t nspace;
    uint32_t rank_count;
};

enum call_kind {
    CALL_WIRED = 0,
    CALL_FINALIZED,
    CALL_CLOSED,
    CALL_SPAWN,
    CALL_ABORT,
    CALL_COLLECTIVE,
};
struct call { /* one up-call on its way to the loop; a collective lives until it is answered */
    enum call_kind kind;
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

static void
call_free(struct call *c)
{
    free(c->text);
    free(c->ranks);
    free(c->data);
    free(c);
}

static void
call_drop(void *ctx, void *item)
{
    (void)ctx;
    call_free(item);
}

static void
call_run(void *ctx, void *item)
{
    struct pmix_host *h = ctx;
    struct call *c = item;

    switch (c->kind) {
    case CALL_WIRED:
        h->ops->on_wired(h->ctx, c->rank);
        break;
    case CALL_FINALIZED:
        h->ops->on_finalized(h->ctx, c->rank);
        break;
    case CALL_CLOSED:
        h->ops->on_closed(h->ctx, c->rank);
        break;
    case CALL_SPAWN:
        h->ops->on_spawn(h->ctx, c->rank);
        break;
    case CALL_ABORT:
        h->ops->on_abort(h->ctx, c->rank, c->status, c->text);
        break;
    case CALL_COLLECTIVE: {
        struct pmix_fence fence = {
            .kind = c->collective,
            .token = (uint64_t)(uintptr_t)c,
            .ranks = c->ranks,
            .rank_count = c->rank_count,
            .data = hq_str_make(c->data, c->data_len),
        };
        h->ops->on_fence(h->ctx, &fence);
        return;
    }
    }
    call_free(c);
}

/* The server of this process; libpmix gives its callbacks no context. Set before the first of them, on the loop's thread. */
static struct pmix_host *
the_host(struct pmix_host *set)
{
    static struct pmix_host *host; /* lint: allow file-scope: see above */

    if (set != NULL) {
        __atomic_store_n(&host, set, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&host, __ATOMIC_ACQUIRE);
}

static struct call *
call_new_thr(enum call_kind kind, const pmix_proc_t *proc)
{
    struct call *c = hq_xalloc(sizeof(*c));

    c->kind = kind;
    c->host = the_host(NULL);
    c->rank = proc == NULL ? 0 : proc->rank;
    return c;
}

static void
call_post_thr(struct call *c)
{
    hq_bridge_post_must_thr(c->host->bridge, call_run, c->host, c);
}

static bool
is_ours_thr(const pmix_proc_t *proc)
{
    const struct pmix_host *h = the_host(NULL);

    return PMIX_CHECK_NSPACE(proc->nspace, h->nspace) && proc->rank < h->rank_count;
}

static pmix_status_t
on_connected_thr(const pmix_proc_t *proc, void *object, pmix_info_t info[], size_t info_count, pmix_op_cbfunc_t fn,
                 void *fn_ctx)
{
    (void)object;
    (void)info;
    (void)info_count;
    (void)fn;
    (void)fn_ctx;
    if (!is_ours_thr(proc)) {
        return PMIX_ERR_NOT_SUPPORTED;
    }
    call_post_thr(call_new_thr(CALL_WIRED, proc));
    return PMIX_OPERATION_SUCCEEDED;
}

static pmix_status_t
on_finalized_thr(const pmix_proc_t *proc, void *object, pmix_op_cbfunc_t fn, void *fn_ctx)
{
    (void)object;
    (void)fn;
    (void)fn_ctx;
    if (is_ours_thr(proc)) {
        call_post_thr(call_new_thr(CALL_FINALIZED, proc));
    }
    return PMIX_OPERATION_SUCCEEDED;
}

/* Whom the rank wants to end does not matter: a step ends as a whole. */
static pmix_status_t
on_abort_thr(const pmix_proc_t *proc, void *object, int status, const char text[], pmix_proc_t procs[],
             size_t proc_count, pmix_op_cbfunc_t fn, void *fn_ctx)
{
    (void)object;
    (void)procs;
    (void)proc_count;
    (void)fn;
    (void)fn_ctx;
    if (!is_ours_thr(proc)) {
        return PMIX_ERR_NOT_SUPPORTED;
    }
    struct call *c = call_new_thr(CALL_ABORT, proc);
    c->status = status;
    c->text = hq_xstrdup(text == NULL ? "" : text);
    call_post_thr(c);
    return PMIX_OPERATION_SUCCEEDED;
}

static pmix_status_t
on_spawn_thr(const pmix_proc_t *proc, const pmix_info_t info[], size_t info_count, const pmix_app_t apps[],
             size_t app_count, pmix_spawn_cbfunc_t fn, void *fn_ctx)
{
    (void)info;
    (void)info_count;
    (void)apps;
    (void)app_count;
    (void)fn;
    (void)fn_ctx;
    if (is_ours_thr(proc)) {
        call_post_thr(call_new_thr(CALL_SPAWN, proc));
    }
    return PMIX_ERR_NOT_SUPPORTED;
}

static int
rank_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Ranks of a collective, ascending, once each; none for all of the step. false: somebody who is not of the step. */
static bool
collect_ranks_thr(struct call *c, const pmix_proc_t procs[], size_t count)
{
    size_t kept = 0;

    c->ranks = hq_xcalloc(HQ_MAX(count, (size_t)1), sizeof(*c->ranks));
    for (size_t i = 0; i < count; i++) {
        if (procs[i].rank == PMIX_RANK_WILDCARD && PMIX_CHECK_NSPACE(procs[i].nspace, c->host->nspace)) {
            c->rank_count = c->host->rank_count;
            free(c->ranks);
            c->ranks = NULL;
            return true;
        }
        if (!is_ours_thr(&procs[i])) {
            return false;
        }
        c->ranks[i] = procs[i].rank;
    }
    qsort(c->ranks, count, sizeof(*c->ranks), rank_cmp);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || c->ranks[kept - 1] != c->ranks[i]) {
            c->ranks[kept++] = c->ranks[i];
        }
    }
    c->rank_count = kept;
    if (kept == 0 || kept == c->host->rank_count) {
        c->rank_count = c->host->rank_count;
        free(c->ranks);
        c->ranks = NULL;
    }
    return true;
}

static pmix_status_t
collective_thr(struct call *c, enum pmix_collective kind, const pmix_proc_t procs[], size_t count)
{
    c->collective = kind;
    if (!collect_ranks_thr(c, procs, count)) {
        call_free(c);
        return PMIX_ERR_NOT_SUPPORTED;
    }
    call_post_thr(c);
    return PMIX_SUCCESS;
}

static pmix_status_t
on_fence_thr(const pmix_proc_t procs[], size_t count, const pmix_info_t info[], size_t info_count, char *data,
             size_t data_len, pmix_modex_cbfunc_t fn, void *fn_ctx)
{
    struct call *c = call_new_thr(CALL_COLLECTIVE, NULL);

    (void)info;
    (void)info_count;
    c->data = data;
    c->data_len = data_len;
    c->modex_fn = fn;
    c->fn_ctx = fn_ctx;
    return collective_thr(c, PMIX_HOST_FENCE, procs, count);
}

static pmix_status_t
on_connect_thr(const pmix_proc_t procs[], size_t count, const pmix_info_t info[], size_t info_count,
               pmix_op_cbfunc_t fn, void *fn_ctx)
{
    struct call *c = call_new_thr(CALL_COLLECTIVE, NULL);

    (void)info;
    (void)info_count;
    c->op_fn = fn;
    c->fn_ctx = fn_ctx;
    return collective_thr(c, PMIX_HOST_CONNECT, procs, count);
}

static pmix_status_t
on_disconnect_thr(const pmix_proc_t procs[], size_t count, const pmix_info_t info[], size_t info_count,
                  pmix_op_cbfunc_t fn, void *fn_ctx)
{
    struct call *c = call_new_thr(CALL_COLLECTIVE, NULL);

    (void)info;
    (void)info_count;
    c->op_fn = fn;
    c->fn_ctx = fn_ctx;
    return collective_thr(c, PMIX_HOST_DISCONNECT, procs, count);
}

/* The library noticed that a rank is gone, or has closed its connection, without PMIx_Finalize. */
static void
on_lost_thr(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t info_count,
            pmix_info_t results[], size_t result_count, pmix_event_notification_cbfunc_fn_t fn, void *fn_ctx)
{
    (void)id;
    (void)status;
    (void)info;
    (void)info_count;
    (void)results;
    (void)result_count;
    if (source != NULL && is_ours_thr(source)) {
        call_post_thr(call_new_thr(CALL_CLOSED, source));
    }
    if (fn != NULL) {
        fn(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, fn_ctx);
    }
}

static pmix_server_module_t
server_module(void)
{
    return (pmix_server_module_t){
        .client_connected2 = on_connected_thr,
        .client_finalized = on_finalized_thr,
        .abort = on_abort_thr,
        .spawn = on_spawn_thr,
        .fence_nb = on_fence_thr,
        .connect = on_connect_thr,
        .disconnect = on_disconnect_thr,
    };
}

/* libpmix keeps what ranks read in two shared files of 4 MiB at least, filled with zeros at the start: 8 MiB of our memory
 * and the time for it, for a few KiB of each rank. It adds files when one is full. Ranks inherit the size, as they must. */
static void
limit_segments(const struct pmix_host_conf *conf)
{
    uint64_t total = 0;

    for (uint32_t n = 0; n < conf->node_count; n++) {
        total += conf->ranks[n];
    }
    if (total <= SMALL_STEP_RANKS) {
        (void)setenv("NS_META_SEG_SIZE", SMALL_SEGMENT_BYTES, 0);
        (void)setenv("NS_DATA_SEG_SIZE", SMALL_SEGMENT_BYTES, 0);
    }
}

static int
server_open(const struct pmix_host_conf *conf, struct hq_err *err)
{
    struct pmix_list l = {0};
    pmix_topology_t topology = {.source = hq_xstrdup("hwloc"), .topology = conf->topology};
    pmix_rank_t self = conf->node_index;
    pmix_server_module_t module = server_module(); /* copied by libpmix */
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;

    limit_segments(conf);
    hq_buf_printf(&name, "%s-stepd", conf->nspace);
    pmix_list_add(&l, PMIX_SERVER_NSPACE, name.ptr, PMIX_STRING);
    pmix_list_add(&l, PMIX_SERVER_RANK, &self, PMIX_PROC_RANK);
    pmix_list_add(&l, PMIX_SERVER_TMPDIR, conf->dir, PMIX_STRING);
    pmix_list_add(&l, PMIX_SYSTEM_TMPDIR, conf->dir, PMIX_STRING);
    pmix_list_add(&l, PMIX_HOSTNAME, conf->hosts[conf->node_index], PMIX_STRING);
    if (conf->topology != NULL) {
        pmix_list_add(&l, PMIX_TOPOLOGY2, &topology, PMIX_TOPO);
    }
    pmix_status_t status = PMIx_server_init(&module, l.v, l.count);
    free(topology.source);
    pmix_list_fini(&l);
    if (status != PMIX_SUCCESS) {
        return pmix_info_error(err, "Cannot start the PMIx server", status);
    }
    pmix_status_t code = PMIX_ERR_LOST_CONNECTION;
    (void)PMIx_Register_event_handler(&code, 1, NULL, 0, on_lost_thr, NULL, NULL); /* else such a rank is not noticed */
    return 0;
}

/* Without a callback these calls wait for their end. */
static int
server_register(struct pmix_host *h, const struct pmix_host_conf *conf, struct hq_err *err)
{
    struct pmix_list l = {0};
    HQ_AUTO(hq_mem_freep) uint32_t *first = hq_xcalloc(conf->node_count, sizeof(*first));
    uint32_t self = conf->node_index;

    for (uint32_t n = 1; n < conf->node_count; n++) {
        first[n] = first[n - 1] + conf->ranks[n - 1];
    }
    h->rank_count = first[conf->node_count - 1] + conf->ranks[conf->node_count - 1];
    int rc = pmix_info_job(&l, conf, first, err);
    if (rc < 0) {
        pmix_list_fini(&l);
        return rc;
    }
    pmix_status_t status = PMIx_server_register_nspace(h->nspace, (int)conf->ranks[self], l.v, l.count, NULL, NULL);
    pmix_list_fini(&l);
    for (uint32_t r = 0; r < conf->ranks[self] && (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED); r++) {
        pmix_proc_t proc;
        PMIX_LOAD_PROCID(&proc, h->nspace, first[self] + r);
        status = PMIx_server_register_client(&proc, getuid(), getgid(), NULL, NULL, NULL);
    }
    if (status != PMIX_SUCCESS && status != PMIX_OPERATION_SUCCEEDED) {
        return pmix_info_error(err, "Cannot register the ranks", status);
    }
    return 0;
}

int
pmix_host_create(struct pmix_host **ret, struct ev_loop *loop, const struct pmix_host_conf *conf,
                 const struct pmix_ops *ops, void *ctx, struct hq_err *err)
{
    struct pmix_host *h = hq_xalloc(sizeof(*h));

    h->loop = loop;
    h->ops = ops;
    h->ctx = ctx;
    PMIX_LOAD_NSPACE(h->nspace, conf->nspace);
    int rc = hq_bridge_create(&h->bridge, loop, BRIDGE_ITEMS, call_drop, err);
    if (rc == 0) {
        (void)the_host(h);
        rc = server_open(conf, err);
    }
    if (rc == 0) {
        rc = server_register(h, conf, err);
    }
    if (rc < 0) {
        return rc; /* the library may have begun to call: nothing of it goes before the process */
    }
    *ret = h;
    return 0;
}

int
pmix_host_env(struct pmix_host *h, uint32_t rank, char ***ret, struct hq_err *err)
{
    pmix_proc_t proc;
    char **env = NULL;

    PMIX_LOAD_PROCID(&proc, h->nspace, rank);
    pmix_status_t status = PMIx_server_setup_fork(&proc, &env);
    if (status != PMIX_SUCCESS) {
        pmix_host_env_free(env);
        return pmix_info_error(err, "Cannot prepare a rank", status);
    }
    *ret = env;
    return 0;
}

void
pmix_host_env_free(char **env)
{
    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        free(env[i]);
    }
    free(env);
}

static void
release_data(void *data)
{
    free(data);
}

void
pmix_host_fence_done(struct pmix_host *h, uint64_t token, struct hq_str data)
{
    struct call *c = (struct call *)(uintptr_t)token; /* ours: it went out with on_fence */

    HQ_ASSERT(c->host == h);
    if (c->modex_fn != NULL) {
        char *copy = hq_xmemdup(data.ptr, data.len);
        c->modex_fn(PMIX_SUCCESS, copy, data.len, c->fn_ctx, release_data, copy);
    } else if (c->op_fn != NULL) {
        c->op_fn(PMIX_SUCCESS, c->fn_ctx);
    }
    call_free(c);
}

void
pmix_host_drain(struct pmix_host *h)
{
    (void)hq_bridge_drain(h->bridge);
}
