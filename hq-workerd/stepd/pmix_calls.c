/* pmix_calls.c - what libpmix asks for on its thread, taken to the loop. */
#include "hq-workerd/stepd/pmix_impl.h"

#include <stdlib.h>

#include "common/mem.h"

void
pmix_call_free(struct pmix_call *c)
{
    free(c->text);
    free(c->ranks);
    free(c->data);
    free(c);
}

void
pmix_call_run(void *ctx, void *item)
{
    struct pmix_host *h = ctx;
    struct pmix_call *c = item;

    switch (c->kind) {
    case PMIX_CALL_WIRED:
        h->ops->on_wired(h->ctx, c->rank);
        break;
    case PMIX_CALL_FINALIZED:
        h->ops->on_finalized(h->ctx, c->rank);
        break;
    case PMIX_CALL_CLOSED:
        h->ops->on_closed(h->ctx, c->rank);
        break;
    case PMIX_CALL_SPAWN:
        h->ops->on_spawn(h->ctx, c->rank);
        break;
    case PMIX_CALL_ABORT:
        h->ops->on_abort(h->ctx, c->rank, c->status, c->text);
        break;
    case PMIX_CALL_COLLECTIVE: {
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
    pmix_call_free(c);
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

static struct pmix_call *
call_new_thr(enum pmix_call_kind kind, const pmix_proc_t *proc)
{
    struct pmix_call *c = hq_xalloc(sizeof(*c));

    c->kind = kind;
    c->host = the_host(NULL);
    c->rank = proc == NULL ? 0 : proc->rank;
    return c;
}

static void
call_post_thr(struct pmix_call *c)
{
    hq_bridge_post_must_thr(c->host->bridge, pmix_call_run, c->host, c);
}

static bool
is_ours_thr(const pmix_proc_t *proc)
{
    const struct pmix_host *h = the_host(NULL);

    return PMIX_CHECK_NSPACE(proc->nspace, h->nspace) && proc->rank < h->rank_count;
}

static void
note_open_thr(uint32_t rank, bool is_open)
{
    struct pmix_host *h = the_host(NULL);

    if (h->is_open_thr[rank] != is_open) {
        h->is_open_thr[rank] = is_open;
        __atomic_store_n(&h->open_count, is_open ? h->open_count + 1 : h->open_count - 1, __ATOMIC_RELEASE);
        pmix_host_wake_thr(h);
    }
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
    note_open_thr(proc->rank, true);
    call_post_thr(call_new_thr(PMIX_CALL_WIRED, proc));
    return PMIX_OPERATION_SUCCEEDED;
}

static pmix_status_t
on_finalized_thr(const pmix_proc_t *proc, void *object, pmix_op_cbfunc_t fn, void *fn_ctx)
{
    (void)object;
    (void)fn;
    (void)fn_ctx;
    if (is_ours_thr(proc)) {
        note_open_thr(proc->rank, false);
        call_post_thr(call_new_thr(PMIX_CALL_FINALIZED, proc));
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
    struct pmix_call *c = call_new_thr(PMIX_CALL_ABORT, proc);
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
        call_post_thr(call_new_thr(PMIX_CALL_SPAWN, proc));
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
collect_ranks_thr(struct pmix_call *c, const pmix_proc_t procs[], size_t count)
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
collective_thr(struct pmix_call *c, enum pmix_collective kind, const pmix_proc_t procs[], size_t count)
{
    c->collective = kind;
    if (!collect_ranks_thr(c, procs, count)) {
        pmix_call_free(c);
        return PMIX_ERR_NOT_SUPPORTED;
    }
    call_post_thr(c);
    return PMIX_SUCCESS;
}

static pmix_status_t
on_fence_thr(const pmix_proc_t procs[], size_t count, const pmix_info_t info[], size_t info_count, char *data,
             size_t data_len, pmix_modex_cbfunc_t fn, void *fn_ctx)
{
    struct pmix_call *c = call_new_thr(PMIX_CALL_COLLECTIVE, NULL);

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
    struct pmix_call *c = call_new_thr(PMIX_CALL_COLLECTIVE, NULL);

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
    struct pmix_call *c = call_new_thr(PMIX_CALL_COLLECTIVE, NULL);

    (void)info;
    (void)info_count;
    c->op_fn = fn;
    c->fn_ctx = fn_ctx;
    return collective_thr(c, PMIX_HOST_DISCONNECT, procs, count);
}

/* The library noticed that a rank is gone, or has closed its connection, without PMIx_Finalize. */
void
pmix_calls_on_lost_thr(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[],
                       size_t info_count, pmix_info_t results[], size_t result_count,
                       pmix_event_notification_cbfunc_fn_t fn, void *fn_ctx)
{
    (void)id;
    (void)status;
    (void)info;
    (void)info_count;
    (void)results;
    (void)result_count;
    if (source != NULL && is_ours_thr(source)) {
        note_open_thr(source->rank, false);
        call_post_thr(call_new_thr(PMIX_CALL_CLOSED, source));
    }
    if (fn != NULL) {
        fn(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, fn_ctx);
    }
}

/* Only asked for what libpmix does not do by itself. It refuses to note files that are to be removed where we have none. */
static pmix_status_t
on_control_thr(const pmix_proc_t *proc, const pmix_proc_t targets[], size_t target_count, const pmix_info_t info[],
               size_t info_count, pmix_info_cbfunc_t fn, void *fn_ctx)
{
    (void)proc;
    (void)targets;
    (void)target_count;
    (void)info;
    (void)info_count;
    (void)fn;
    (void)fn_ctx;
    return PMIX_ERR_NOT_SUPPORTED;
}

pmix_server_module_t
pmix_calls_module(struct pmix_host *h)
{
    (void)the_host(h);
    return (pmix_server_module_t){
        .client_connected2 = on_connected_thr,
        .client_finalized = on_finalized_thr,
        .abort = on_abort_thr,
        .spawn = on_spawn_thr,
        .fence_nb = on_fence_thr,
        .connect = on_connect_thr,
        .disconnect = on_disconnect_thr,
        .job_control = on_control_thr,
    };
}
