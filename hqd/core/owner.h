/* owner.h - who may change what.
 *
 * Purpose    personal mode: the job's owner and root. Site mode with fair shares comes behind the same questions.
 */
#ifndef HQ_HQD_CORE_OWNER_H
#define HQ_HQD_CORE_OWNER_H

#include "hqd/core/state.h"

bool owner_may_change(const struct job *job, uint32_t uid);
/* "job belongs to user 1000" */
struct hq_str owner_refusal(const struct job *job, struct hq_arena *arena);

#endif
