/* ranks.h - the processes of one step on this node: start, watch, reap, end them with all they left behind.
 *
 * Purpose    a rank is a child of ours, ends with us (parent-death signal) and inherits the fds given. Processes that
 *            outlive their rank come to us (we are their subreaper) and are ended by ranks_sweep.
 * Ownership  owns pidfds. Argument and environment vectors are borrowed during ranks_start.
 * Threads    loop thread; it must not end before the process does (the parent-death signal is tied to it).
 * Errors     negative errno; the text of a failed start is the task's.
 */
#ifndef HQ_STEPD_RANKS_H
#define HQ_STEPD_RANKS_H

#include "common/err.h"
#include "common/id.h"

#include <hwloc.h>

#define RANKS_PMI_FD 3 /* number of the PMI-1 socket in a rank */

struct ev_loop;
struct ranks;

struct rank_end {
    int code;   /* exit status, or 128 + signal */
    int signal; /* 0 = none */
};
typedef void (*ranks_end_fn)(void *ctx, uint32_t local, struct rank_end end);

/* Makes us the subreaper of all our descendants. */
HQ_MUST_CHECK int ranks_create(struct ranks **ret, struct ev_loop *loop, uint32_t count, ranks_end_fn fn, void *ctx,
                               struct hq_err *err);
void ranks_destroy(struct ranks *r); /* NULL is fine; kills what runs */

struct rank_spec {
    char *const *argv;
    char *const *envp;
    hwloc_topology_t topology;
    hwloc_const_cpuset_t cpus; /* NULL = as we are */
    int stdio[3];              /* -1 = /dev/null */
    int pmi_fd;                /* -1 = none */
};
HQ_MUST_CHECK int ranks_start(struct ranks *r, uint32_t local, const struct rank_spec *spec, struct hq_err *err);
/* Has the process ended, though its end was not handed to us yet? */
bool ranks_has_ended(const struct ranks *r, uint32_t local);
uint32_t ranks_running(const struct ranks *r);
void ranks_signal(struct ranks *r, int sig); /* to all that run */
/* SIGKILL to every descendant that is left, until none is, at most timeout_ms. Ranks that ran are reaped silently. */
void ranks_sweep(struct ranks *r, hq_ms timeout_ms);

#endif
