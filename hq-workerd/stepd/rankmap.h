/* rankmap.h - which cpus each rank of a node gets.
 *
 * Purpose    deals the granted cpus to ranks in the order of the machine: neighbours in rank are neighbours in place, and a
 *            rank lies within one NUMA node wherever one has enough cpus left. O(cpus + ranks * NUMA nodes).
 * Ownership  the caller frees each set of *ret with hwloc_bitmap_free, then the array.
 * Units      cpus are os indices.
 * Errors     -EINVAL no cpu at all, -ENOSPC more cpus asked for than there are and sharing is not allowed.
 */
#ifndef HQ_STEPD_RANKMAP_H
#define HQ_STEPD_RANKMAP_H

#include "common/err.h"

#include <hwloc.h>

struct rankmap_conf {
    hwloc_topology_t topology;
    hwloc_const_cpuset_t allowed; /* granted to us */
    uint32_t rank_count;          /* > 0 */
    uint32_t cpus_per_rank;       /* 0 = an equal share */
    bool can_share;               /* too few cpus: all ranks on all of them, instead of an error */
};
struct rankmap {
    hwloc_cpuset_t *sets; /* by local rank */
    uint32_t rank_count;
    uint32_t cpus_per_rank;
    bool is_shared; /* ranks are not bound to cpus of their own */
};
HQ_MUST_CHECK int rankmap_make(struct rankmap *ret, const struct rankmap_conf *conf, struct hq_err *err);
void rankmap_fini(struct rankmap *m);

#endif
