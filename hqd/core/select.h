/* select.h - ids that a request means.
 *
 * Errors     -E2BIG more than SELECT_IDS_MAX ids named.
 */
#ifndef HQ_HQD_CORE_SELECT_H
#define HQ_HQD_CORE_SELECT_H

#include "hqd/core/state.h"

#define SELECT_IDS_MAX 1000000u /* a request that names more is refused */

struct select_ids {
    uint32_t *v; /* ascending, in the arena; existing or not when the user named them */
    size_t count;
};
/* ALL: every job that exists and that `want` (NULL = any) accepts. */
HQ_MUST_CHECK int select_jobs(const struct core *core, const struct selection *s, bool (*want)(const struct job *),
                              struct hq_arena *arena, struct select_ids *ret);
/* ALL: connected ones, or with `is_any` all that are known. */
HQ_MUST_CHECK int select_workers(const struct core *core, const struct selection *s, bool is_any,
                                 struct hq_arena *arena, struct select_ids *ret);

#endif
