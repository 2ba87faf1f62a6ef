/* rankenv.h - the environment of a rank. Pure.
 *
 * Purpose    the task's environment without what another launcher left in it, then what libpmix, PMI-1 and Open MPI need.
 * Ownership  results live in the arena, or borrow what was given.
 */
#ifndef HQ_STEPD_RANKENV_H
#define HQ_STEPD_RANKENV_H

#include "common/arena.h"

struct rankenv {
    char *const *base;         /* the task's, NULL-terminated */
    char *const *pmix;         /* of pmix_host_env; NULL = not offered */
    bool has_pmi1;
    int pmi_fd;
    uint32_t rank, rank_count, local, local_count;
    uint32_t threads;          /* cpus of the rank */
    bool is_shared;            /* more ranks than cpus */
    const char *topology_path; /* file of hwloc's; NULL = each rank finds out by itself */
};
/* NULL-terminated. Variables that the user set are kept: OMP_NUM_THREADS, OMPI_MCA_*, HWLOC_*. */
char **rankenv_make(const struct rankenv *e, struct hq_arena *arena);

#endif
