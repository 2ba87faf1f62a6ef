/* manager.h - which batch allocation this worker runs in.
 *
 * Purpose    Slurm and PBS by their environment variables; the rest of the allocation's time by their tools.
 * Ownership  texts lie in the arena given.
 * Threads    start-up only: starts a program and waits for it (MANAGER_TOOL_MS_MAX).
 * Units      ms.
 * Errors     -EINVAL with the text of spec/workers.md 1.3 when a manager was asked for and is not there. A tool that fails
 *            is a warning: the worker then has no limit.
 */
#ifndef HQ_WORKERD_MANAGER_H
#define HQ_WORKERD_MANAGER_H

#include "common/arena.h"
#include "common/err.h"
#include "common/start_opts.h"

#define MANAGER_TOOL_MS_MAX 15000

struct manager_info {
    enum hq_manager_choice manager; /* NONE, PBS or SLURM */
    struct hq_str job_id;
    int64_t time_left_ms; /* 0 = unknown */
    uint64_t memory_mb;   /* 0 = unknown */
};

HQ_MUST_CHECK int manager_detect(struct manager_info *ret, enum hq_manager_choice choice, char *const *envp,
                                 struct hq_arena *arena, struct hq_err *err);

/* Pure, for tests: what the tools print. */
HQ_MUST_CHECK int manager_parse_slurm(struct hq_str text, int64_t *ret_left_ms, struct hq_err *err);
HQ_MUST_CHECK int manager_parse_pbs(struct hq_str text, struct hq_str job_id, int64_t *ret_left_ms, struct hq_err *err);

#endif
