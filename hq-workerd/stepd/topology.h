/* topology.h - the machine of this node: found by the first step of a worker, read from a file by those after it.
 *
 * Purpose    looking at a machine takes some 15 ms of CPU time, most of it for PCI devices, and each rank's MPI library
 *            would do it again: it is done once, and saved beside the tasks' directories for later steps and for ranks. In the
 *            older format of hwloc, which all its versions know.
 * Ownership  the caller destroys the topology; texts lie in the arena.
 * Threads    main thread, before any other is there: the environment is changed for a moment.
 * Errors     of the machine only: a file that is missing, damaged or another user's does no harm.
 */
#ifndef HQ_STEPD_TOPOLOGY_H
#define HQ_STEPD_TOPOLOGY_H

#include "common/arena.h"
#include "common/err.h"

#include <hwloc.h>

struct topology_conf {
    const char *task_dir; /* in the worker's directory, where the file is looked for; NULL = there is none */
    const char *own_dir;  /* for a file of this step alone */
};
/* *ret_path: the file; NULL = it could not be saved. */
HQ_MUST_CHECK int topology_open(hwloc_topology_t *ret, const char **ret_path, const struct topology_conf *conf,
                                struct hq_arena *arena, struct hq_err *err);

#endif
