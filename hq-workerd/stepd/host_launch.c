/* host_launch.c - the ranks of this node are started, each with what it needs to find the others. */
#include "hq-workerd/stepd/host_impl.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "hq-workerd/stepd/rankenv.h"

static void on_rank_end(void *ctx, uint32_t local, struct rank_end end);

static int
launch_rank(struct host *h, uint32_t local, struct hq_err *err)
{
    struct rank_spec spec = {
        .argv = h->argv,
        .topology = h->topology,
        .cpus = h->map.sets[local],
        .stdio = {-1, -1, -1},
        .pmi_fd = -1,
    };
    struct rankenv env = {
        .base = environ,
        .has_pmi1 = h->pmi1 != NULL,
        .pmi_fd = RANKS_PMI_FD,
        .rank = h->first_rank + local,
        .rank_count = h->rank_count,
        .local = local,
        .local_count = h->local_count,
        .threads = h->map.cpus_per_rank,
        .is_shared = h->map.is_shared,
        .topology_path = h->topology_path,
    };
    char **pmix_env = NULL;
    struct hq_arena arena;
    int rc = 0;

    hq_arena_init(&arena, 0);
    if (env.rank == 0) {
        spec.stdio[0] = STDIN_FILENO;
    }
    rc = rankout_open(h->out, local, &spec.stdio[1], err);
    if (rc == 0 && h->pmix != NULL) {
        rc = pmix_host_env(h->pmix, env.rank, &pmix_env, err);
        env.pmix = pmix_env;
    }
    if (rc == 0 && h->pmi1 != NULL) {
        spec.pmi_fd = pmi1_host_open(h->pmi1, local, err);
        rc = HQ_MIN(spec.pmi_fd, 0);
    }
    if (rc == 0) {
        spec.envp = rankenv_make(&env, &arena);
        rc = ranks_start(h->ranks, local, &spec, err);
    }
    rankout_started(h->out, local);
    if (h->pmi1 != NULL) {
        pmi1_host_started(h->pmi1, local);
    }
    pmix_host_env_free(pmix_env);
    hq_arena_fini(&arena);
    h->local[local].is_started = rc == 0;
    return rc;
}

int
host_launch(struct host *h, struct hq_err *err)
{
    int rc = ranks_create(&h->ranks, h->loop, h->local_count, on_rank_end, h, err);

    for (uint32_t i = 0; i < h->local_count && rc == 0; i++) {
        rc = launch_rank(h, i, err);
    }
    return rc;
}

/* A rank has ended by itself: is that how a rank of a world should end? */
static void
judge_end(struct host *h, uint32_t local, struct rank_end end)
{
    const struct host_rank *k = &h->local[local];
    uint32_t rank = h->first_rank + local;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    if (end.signal != 0) {
        host_fail_rank(h, rank, end.code, end.signal, NULL);
    } else if (end.code != 0) {
        host_fail_rank(h, rank, end.code, 0, NULL);
    } else if (k->is_wired && !k->is_finalized) {
        host_fail_rank(h, rank, 1, 0, "Ended with exit code 0 before MPI_Finalize.");
    } else if (!k->is_wired && h->rank_count > 1) {
        hq_buf_printf(&text,
                      "Ended without having joined the other %u ranks: it never called MPI_Init, or its MPI library "
                      "understands neither PMIx nor PMI-1 and each rank was a world of its own.",
                      h->rank_count - 1);
        host_fail_rank(h, rank, 1, 0, text.ptr);
    }
}

/* While all are told to end, ends are of our making. But when the reason is only the echo of another end, that one is still
 * sought: peers notice the closed connections of a process before it has quite ended. */
static bool
is_own_doing(const struct host *h, uint32_t local, struct rank_end end)
{
    if (!h->is_ending || h->local[local].is_own_end) {
        return true;
    }
    return h->first.is_set && h->first.is_echo && !h->is_killed && end.signal != SIGTERM;
}

static void
on_rank_end(void *ctx, uint32_t local, struct rank_end end)
{
    struct host *h = ctx;

    if (h->pmix != NULL) {
        pmix_host_drain(h->pmix); /* what it said before it ended */
    }
    h->local[local].has_ended = true;
    if (is_own_doing(h, local, end)) {
        judge_end(h, local, end);
    }
    host_look(h);
}
