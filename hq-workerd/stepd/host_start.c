/* host_start.c - a step begins on this node: its shape, its servers, its ranks. */
#include "hq-workerd/stepd/host_impl.h"
#include "hq-workerd/stepd/topology.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"

#define FDS_PER_RANK 6u /* pipes, PMI-1, pidfd, PMIx */
#define FDS_BESIDE 64u

static char *
text_of(struct host *h, const ProtobufCBinaryData *b)
{
    const void *p = b->data;

    return hq_arena_strz(&h->arena, hq_str_make(p, b->len));
}

/* What the worker says is checked here and nowhere behind. */
int
host_read_start(struct host *h, const Hq__StepStart *start, struct hq_err *err)
{
    uint64_t total = 0;

    if (start->n_nodes == 0 || start->n_nodes > HQ_STEP_NODES_MAX || start->node_index >= start->n_nodes ||
        start->mpi == NULL) {
        return hq_err_set(err, -EPROTO, "The worker described no step");
    }
    h->has_start = true;
    h->job = start->job;
    h->task = start->task;
    h->instance = start->instance;
    h->node_count = (uint32_t)start->n_nodes;
    h->self = start->node_index;
    h->wire_up = (uint32_t)start->mpi->wire_up;
    h->hosts = hq_arena_array(&h->arena, h->node_count, sizeof(*h->hosts));
    h->node_ranks = hq_arena_array(&h->arena, h->node_count, sizeof(*h->node_ranks));
    h->node_first = hq_arena_array(&h->arena, h->node_count, sizeof(*h->node_first));
    for (uint32_t n = 0; n < h->node_count; n++) {
        h->hosts[n] = text_of(h, &start->nodes[n]->host);
        h->node_ranks[n] = start->nodes[n]->ranks;
        h->node_first[n] = (uint32_t)total;
        total += start->nodes[n]->ranks;
        if (start->nodes[n]->ranks == 0 || total > HQ_STEP_RANKS_MAX) {
            return hq_err_set(err, -EPROTO, "The worker described a step of no ranks, or of more than %u",
                              HQ_STEP_RANKS_MAX);
        }
    }
    h->rank_count = (uint32_t)total;
    h->local_count = h->node_ranks[h->self];
    h->first_rank = h->node_first[h->self];
    for (uint32_t i = 0; i < HQ_STEP_FANOUT; i++) {
        uint32_t child = h->self * HQ_STEP_FANOUT + 1 + i;
        if (child < h->node_count) {
            h->children[h->child_count++] = (struct host_child){.node = child};
        }
    }
    h->nspace = hq_arena_printf(&h->arena, "hq-%s-%u-%u-%u", text_of(h, &start->server_uid), h->job, h->task,
                                h->instance);
    return 0;
}

/* The files of the PMIx server: in the task's directory, which the worker removes whatever becomes of us. */
static int
make_dir(struct host *h, struct hq_err *err)
{
    const char *task_dir = getenv("HQ_TASK_DIR"), *tmp_dir = getenv("TMPDIR");

    if (task_dir != NULL) {
        h->dir = hq_arena_printf(&h->arena, "%s/hq-stepd", task_dir);
        return hq_fs_mkdirs(h->dir, 0700, err);
    }
    h->dir = hq_arena_printf(&h->arena, "%s/hq-stepd-XXXXXX", tmp_dir == NULL ? "/tmp" : tmp_dir);
    if (mkdtemp(h->dir) == NULL) {
        int rc = hq_err_sys(err, -errno, "Cannot create a directory at %s", h->dir);
        h->dir = NULL;
        return rc;
    }
    return 0;
}

static int
open_topology(struct host *h, struct hq_err *err)
{
    const struct topology_conf conf = {.task_dir = getenv("HQ_TASK_DIR"), .own_dir = h->dir};
    int rc = topology_open(&h->topology, &h->topology_path, &conf, &h->arena, err);

    h->has_topology = rc == 0;
    return rc;
}

/* Granted cpus; without any (whole nodes) all that we may use. A worker may have been told of more cpus than its machine
 * has: such ranks share what there is. */
static int
map_ranks(struct host *h, const Hq__StepStart *start, struct hq_err *err)
{
    hwloc_cpuset_t mine = hwloc_bitmap_alloc(), allowed = hwloc_bitmap_alloc();

    if (hwloc_get_cpubind(h->topology, mine, HWLOC_CPUBIND_THREAD) < 0 || hwloc_bitmap_iszero(mine)) {
        hwloc_bitmap_fill(mine);
    }
    for (size_t i = 0; i < start->n_cpus; i++) {
        hwloc_bitmap_set(allowed, start->cpus[i]);
    }
    if (start->n_cpus == 0) {
        hwloc_bitmap_copy(allowed, mine);
    }
    int granted = hwloc_bitmap_weight(allowed);
    hwloc_bitmap_and(allowed, allowed, hwloc_topology_get_topology_cpuset(h->topology));
    uint64_t wanted = (uint64_t)HQ_MAX(start->mpi->cpus_per_rank, 1u) * h->local_count;
    bool is_invented = hwloc_bitmap_weight(allowed) < granted && wanted <= (uint64_t)granted;
    if (is_invented && hwloc_bitmap_iszero(allowed)) {
        hwloc_bitmap_and(allowed, mine, hwloc_topology_get_topology_cpuset(h->topology));
    }
    struct rankmap_conf conf = {
        .topology = h->topology,
        .allowed = allowed,
        .rank_count = h->local_count,
        .cpus_per_rank = start->mpi->cpus_per_rank,
        .can_share = start->mpi->oversubscribe || is_invented,
    };
    int rc = rankmap_make(&h->map, &conf, err);
    hwloc_bitmap_free(mine);
    hwloc_bitmap_free(allowed);
    return rc;
}

static int
open_pmix(struct host *h, struct hq_err *err)
{
    struct pmix_host_conf conf = {
        .nspace = h->nspace,
        .dir = h->dir,
        .hosts = h->hosts,
        .ranks = h->node_ranks,
        .node_count = h->node_count,
        .node_index = h->self,
        .topology = h->topology,
    };

    if (h->wire_up == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMI1) {
        return 0;
    }
    return pmix_host_create(&h->pmix, h->loop, &conf, &host_pmix_ops, h, err);
}

static int
open_pmi1(struct host *h, struct hq_err *err)
{
    struct pmi1_host_conf conf = {
        .count = h->local_count,
        .first_rank = h->first_rank,
        .total = h->rank_count,
        .space = h->nspace,
        .ranks = h->node_ranks,
        .node_count = h->node_count,
    };

    if (h->wire_up == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMIX) {
        return 0;
    }
    return pmi1_host_create(&h->pmi1, h->loop, &conf, &host_pmi1_ops, h, err);
}

static void
on_sink_drained(void *ctx)
{
    struct host *h = ctx;

    if (h->out != NULL) {
        rankout_pause(h->out, false);
    }
}

static void
on_output(void *ctx, uint32_t rank, uint32_t channel, struct hq_str data)
{
    struct host *h = ctx;

    if (!host_is_root(h)) {
        host_send_output(h, rank, channel, data, host_parent(h));
        if (uplink_queued_bytes(h->link) > SINK_HIGH_BYTES) {
            rankout_pause(h->out, true); /* host.c resumes when the link has drained */
        }
        return;
    }
    sink_write(&h->sinks[channel - 1], rank, data);
    if (sink_is_full(&h->sinks[channel - 1])) {
        rankout_pause(h->out, true);
    }
}

static int
open_output(struct host *h, const Hq__StepStart *start, struct hq_err *err)
{
    struct rankout_conf conf = {
        .count = h->local_count,
        .first_rank = h->first_rank,
        .tag = start->mpi->tag_output,
        .paths = {hq_str_from(text_of(h, &start->stdout_path)), hq_str_from(text_of(h, &start->stderr_path))},
    };

    if (host_is_root(h)) {
        sink_init(&h->sinks[0], h->loop, STDOUT_FILENO, on_sink_drained, h);
        sink_init(&h->sinks[1], h->loop, STDERR_FILENO, on_sink_drained, h);
        h->sinks[0].is_framed = start->stdout_in_frames;
        h->sinks[1].is_framed = start->stderr_in_frames;
    }
    return rankout_create(&h->out, h->loop, &conf, on_output, h, err);
}

/* Only where the usual limit is too low: the ranks inherit it. */
static void
raise_fd_limit(const struct host *h)
{
    struct rlimit limit;
    rlim_t need = FDS_BESIDE + (rlim_t)h->local_count * FDS_PER_RANK;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < need && limit.rlim_max > limit.rlim_cur) {
        limit.rlim_cur = HQ_MIN(need, limit.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else opening fails with its own text */
    }
}

int
host_prepare(struct host *h, const Hq__StepStart *start, struct hq_err *err)
{
    raise_fd_limit(h);
    h->fences = fence_create(h->self);
    h->local = hq_arena_array(&h->arena, h->local_count, sizeof(*h->local));
    int rc = make_dir(h, err);
    if (rc == 0) {
        rc = open_topology(h, err);
    }
    if (rc == 0) {
        rc = map_ranks(h, start, err);
    }
    if (rc == 0) {
        rc = open_pmix(h, err);
    }
    if (rc == 0) {
        rc = open_pmi1(h, err);
    }
    if (rc == 0) {
        rc = open_output(h, start, err);
    }
    return rc;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    (void)remove(path); /* what cannot be removed stays: it is in the task's directory */
    return 0;
}

void
host_clean(struct host *h)
{
    if (h->out != NULL) {
        rankout_destroy(h->out);
    }
    ranks_destroy(h->ranks);
    pmi1_host_destroy(h->pmi1);
    if (h->pmix != NULL) {
        pmix_host_forget(h->pmix, HOST_FORGET_MS);
    }
    fence_destroy(h->fences);
    rankmap_fini(&h->map);
    if (h->dir != NULL) {
        (void)nftw(h->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}
