/* pmix_host.c - the server: begin, register, answer. */
#include "hq-workerd/stepd/pmix_host.h"

#include <errno.h>
#include <ev.h>
#include <pmix.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "hq-workerd/stepd/pmix_impl.h"
#include "hq-workerd/stepd/pmix_info.h"

#define BRIDGE_ITEMS 4096u
#define SMALL_STEP_RANKS 512u
#define SMALL_SEGMENT_BYTES "1048576" /* far over what one rank tells: that must fit into one file */

static void
call_drop(void *ctx, void *item)
{
    (void)ctx;
    pmix_call_free(item);
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
server_open(struct pmix_host *h, const struct pmix_host_conf *conf, struct hq_err *err)
{
    struct pmix_list l = {0};
    pmix_topology_t topology = {.source = hq_xstrdup("hwloc"), .topology = conf->topology};
    pmix_rank_t self = conf->node_index;
    pmix_server_module_t module = pmix_calls_module(h); /* copied by libpmix */
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
    (void)PMIx_Register_event_handler(&code, 1, NULL, 0, pmix_calls_on_lost_thr, NULL,
                                      NULL); /* else such a rank is not noticed */
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
    h->is_open_thr =
        hq_xalloc(h->rank_count * sizeof(*h->is_open_thr)); /* lives as long as the process, as libpmix does */
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
    h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->event_fd < 0) {
        return hq_err_sys(err, -errno, "Cannot make an eventfd");
    }
    int rc = hq_bridge_create(&h->bridge, loop, BRIDGE_ITEMS, call_drop, err);
    if (rc == 0) {
        rc = server_open(h, conf, err);
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
    struct pmix_call *c = (struct pmix_call *)(uintptr_t)token; /* ours: it went out with on_fence */

    HQ_ASSERT(c->host == h);
    if (c->modex_fn != NULL) {
        char *copy = hq_xmemdup(data.ptr, data.len);
        c->modex_fn(PMIX_SUCCESS, copy, data.len, c->fn_ctx, release_data, copy);
    } else if (c->op_fn != NULL) {
        c->op_fn(PMIX_SUCCESS, c->fn_ctx);
    }
    pmix_call_free(c);
}

void
pmix_host_drain(struct pmix_host *h)
{
    (void)hq_bridge_drain(h->bridge);
}

void
pmix_host_wake_thr(struct pmix_host *h)
{
    uint64_t one = 1;

    (void)!write(h->event_fd, &one, sizeof one); /* an eventfd takes it */
}

static void
on_forgotten_thr(pmix_status_t status, void *ctx)
{
    struct pmix_host *h = ctx;

    (void)status;
    __atomic_store_n(&h->is_forgotten, true, __ATOMIC_RELEASE);
    pmix_host_wake_thr(h);
}

static bool
are_all_gone(const struct pmix_host *h)
{
    return __atomic_load_n(&h->open_count, __ATOMIC_ACQUIRE) == 0;
}

static bool
is_forgotten(const struct pmix_host *h)
{
    return __atomic_load_n(&h->is_forgotten, __ATOMIC_ACQUIRE);
}

static void
wait_until(const struct pmix_host *h, bool (*is_so)(const struct pmix_host *h), hq_ms until_ms)
{
    struct pollfd p = {.fd = h->event_fd, .events = POLLIN};
    uint64_t count;

    for (hq_ms now_ms = hq_clock_ms(); !is_so(h) && now_ms < until_ms; now_ms = hq_clock_ms()) {
        if (poll(&p, 1, (int)(until_ms - now_ms)) > 0) {
            (void)!read(h->event_fd, &count, sizeof count);
        }
    }
}

#define GONE_MS_MAX 200 /* libpmix does not tell of every end, so this wait has a short bound of its own */

/* libpmix removes what a rank left when it sees the end of its connection; it must not have forgotten the rank by then. */
void
pmix_host_forget(struct pmix_host *h, int timeout_ms)
{
    hq_ms until_ms = hq_clock_ms() + timeout_ms;

    wait_until(h, are_all_gone, HQ_MIN(until_ms, hq_clock_ms() + GONE_MS_MAX));
    PMIx_server_deregister_nspace(h->nspace, on_forgotten_thr, h);
    wait_until(h, is_forgotten, until_ms);
}
