/* submit.h - submits: checks of the request, shared descriptions, ids and entries in memory.
 *
 * Purpose    a submit is one block of shared data and a few runs of ids, whatever the number of its tasks. Only a graph
 * has columns by task. Ownership  the job owns its submits. Limits     HQ_TASKS_PER_SUBMIT_MAX; a job has fewer than
 * 2^32 - 2^20 tasks.
 */
#ifndef HQ_HQD_CORE_SUBMIT_H
#define HQ_HQD_CORE_SUBMIT_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

void submit_on_request(struct ctx *ctx, const struct input *in);
/* From records. */
void submit_apply_part(struct core *core, const struct record_submit_part *rec);
int submit_apply(struct core *core, const struct record_job_submitted *rec, hq_wall_ms at_ms);
void submit_upload_clear(struct core *core);
void submit_free(struct submit *s); /* NULL is fine */
/* Entry of the task at a position; empty when the submit has none. */
struct hq_str submit_entry(const struct submit *s, uint32_t pos);

#endif
