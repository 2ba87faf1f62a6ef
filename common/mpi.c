#include "common/mpi.h"

#include "common/limits.h"

static const struct hq_request_entry *
cpus_of(const struct hq_variant *v)
{
    for (size_t i = 0; i < v->entry_count; i++) {
        if (hq_str_is(v->entries[i].name, "cpus")) {
            return &v->entries[i];
        }
    }
    return NULL;
}

/* As the user fixed them; 0 = by cpus. */
static uint64_t
given_ranks(const struct hq_mpi *m, uint32_t node_count)
{
    return m->ranks > 0 ? m->ranks / HQ_MAX(node_count, 1u) : m->ranks_per_node;
}

uint32_t
hq_mpi_ranks(const struct hq_mpi *m, uint32_t node_count, uint32_t cpus)
{
    uint64_t n = given_ranks(m, node_count);
    if (n == 0) {
        n = cpus / HQ_MAX(m->cpus_per_rank, 1u);
    }
    return (uint32_t)HQ_MAX(n, (uint64_t)1);
}

uint32_t
hq_mpi_cpus(const struct hq_mpi *m, uint32_t node_count)
{
    if (m->oversubscribe) {
        return 0;
    }
    uint64_t n = HQ_MAX(given_ranks(m, node_count), (uint64_t)1) * HQ_MAX(m->cpus_per_rank, 1u);
    return (uint32_t)HQ_MIN(n, (uint64_t)UINT32_MAX);
}

static int
check_bounds(const struct hq_mpi *m, uint32_t nodes, struct hq_err *err)
{
    if (m->ranks > 0 && m->ranks_per_node > 0) {
        return hq_err_set(err, -EINVAL, "Ranks are given in total or per node, not both");
    }
    if (nodes > HQ_STEP_NODES_MAX) {
        return hq_err_set(err, -EINVAL, "An MPI task has at most %u nodes, not %u", HQ_STEP_NODES_MAX, nodes);
    }
    if (m->ranks % nodes != 0) {
        return hq_err_set(err, -EINVAL, "%u ranks cannot be spread evenly over %u nodes", m->ranks, nodes);
    }
    uint64_t total = given_ranks(m, nodes) * nodes;
    if (total > HQ_STEP_RANKS_MAX) {
        return hq_err_set(err, -EINVAL, "An MPI task has at most %u ranks, not %llu", HQ_STEP_RANKS_MAX,
                          (unsigned long long)total);
    }
    return 0;
}

int
hq_mpi_check(const struct hq_mpi *m, const struct hq_variant *v, struct hq_err *err)
{
    if (!m->is_on) {
        return 0;
    }
    int rc = check_bounds(m, HQ_MAX(v->n_nodes, 1u), err);
    const struct hq_request_entry *cpus = cpus_of(v);
    if (rc < 0 || v->n_nodes > 0) {
        return rc; /* hq_mpi_demand sees to the cpus of whole nodes */
    }
    if (cpus == NULL) {
        return hq_err_set(err, -EINVAL, "An MPI task needs cpus");
    }
    uint64_t need = (uint64_t)hq_mpi_cpus(m, 1) * HQ_AMOUNT_ONE;
    if (cpus->policy != HQ_POLICY_ALL && need > cpus->amount) {
        HQ_AUTO(hq_buf_fini) struct hq_buf has = HQ_BUF_INIT;
        hq_amount_print(cpus->amount, &has);
        uint32_t ranks = (uint32_t)HQ_MAX(given_ranks(m, 1), (uint64_t)1);
        return hq_err_set(err, -EINVAL, "%u rank%s of %u cpu%s %s more than the %.*s cpus of the task (oversubscribe allows it)",
                          ranks, ranks == 1 ? "" : "s", HQ_MAX(m->cpus_per_rank, 1u), m->cpus_per_rank > 1 ? "s" : "",
                          ranks == 1 ? "needs" : "need", HQ_STR_FMT(hq_buf_view(&has)));
    }
    return 0;
}

void
hq_mpi_demand(const struct hq_mpi *m, struct hq_variant *v, struct hq_arena *arena)
{
    hq_amount need = m->is_on && v->n_nodes > 0 ? (uint64_t)hq_mpi_cpus(m, v->n_nodes) * HQ_AMOUNT_ONE : 0;
    const struct hq_request_entry *had = cpus_of(v);
    if (need == 0 || (had != NULL && (had->policy == HQ_POLICY_ALL || had->amount >= need))) {
        return;
    }
    struct hq_request_entry *entries = hq_arena_array(arena, v->entry_count + 1, sizeof *entries);
    size_t n = 0;
    struct hq_request_entry cpus = {.name = HQ_STR("cpus"), .amount = need, .policy = HQ_POLICY_COMPACT};
    bool is_in = false;
    for (size_t i = 0; i < v->entry_count; i++) { /* sorted by name, as they came */
        bool is_cpus = &v->entries[i] == had;
        if (!is_in && hq_str_cmp(v->entries[i].name, cpus.name) >= 0) {
            entries[n++] = cpus;
            is_in = true;
        }
        if (!is_cpus) {
            entries[n++] = v->entries[i];
        }
    }
    if (!is_in) {
        entries[n++] = cpus;
    }
    v->entries = entries;
    v->entry_count = n;
}
