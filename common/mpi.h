/* mpi.h - the shape of a task of several ranks: how many there are, where, on how many cpus.
 *
 * Purpose    one answer for the command line, job files, hqd and hq-workerd; mirrors message Mpi of proto/common.proto.
 * Ownership  plain values.
 * Threads    pure.
 * Units      counts; amounts of a request in 1/10000.
 * Errors     -EINVAL with the sentence for the user.
 * Limits     HQ_STEP_NODES_MAX nodes, HQ_STEP_RANKS_MAX ranks of one task.
 */
#ifndef HQ_COMMON_MPI_H
#define HQ_COMMON_MPI_H

#include "common/arena.h"
#include "common/err.h"
#include "common/request.h"

enum hq_mpi_wire_up { /* numbers of MpiWireUp of proto/common.proto */
                      HQ_MPI_ANY = 0,
                      HQ_MPI_PMIX = 1,
                      HQ_MPI_PMI1 = 2,
};

struct hq_mpi {
    bool is_on;              /* false: one process, all else is zero */
    uint32_t ranks_per_node; /* 0 = not given. Neither given: as many as cpus allow */
    uint32_t ranks;          /* total; 0 = not given */
    uint32_t cpus_per_rank;  /* 0 = not given: an equal share of the cpus */
    bool oversubscribe;      /* more ranks than cpus */
    bool tag_output;
    enum hq_mpi_wire_up wire_up;
};

/* Ranks on one of `node_count` nodes that has `cpus` whole cpus; at least one. The shape was checked. */
uint32_t hq_mpi_ranks(const struct hq_mpi *m, uint32_t node_count, uint32_t cpus);
/* Cpus that one node needs for its ranks; 0: any number will do (--oversubscribe). */
uint32_t hq_mpi_cpus(const struct hq_mpi *m, uint32_t node_count);
/* The shape for one variant of a request: bounds, even spread, cpus where the variant names a number of them. */
HQ_MUST_CHECK int hq_mpi_check(const struct hq_mpi *m, const struct hq_variant *v, struct hq_err *err);
/* Nodes of a multi-node task must have the cpus that the ranks need: raises (or adds) the entry. Single nodes ask for
 * what the user said. Entries that change are copied to the arena. */
void hq_mpi_demand(const struct hq_mpi *m, struct hq_variant *v, struct hq_arena *arena);

#endif
