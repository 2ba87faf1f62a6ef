/* apply_task.h - the part of the door that moves tasks; for apply.c only.
 *
 * Purpose    each function is one kind of record. Ids that are unknown or not in a state that allows the change are
 *            skipped: journals are pruned, and a worker that was lost may be named by records that stayed.
 * Cost       O(tasks of the record); finishes of an array run over columns without a lookup by task.
 */
#ifndef HQ_HQD_CORE_APPLY_TASK_H
#define HQ_HQD_CORE_APPLY_TASK_H

#include "hqd/core/state.h"

void apply_tasks_assigned(struct core *core, const struct record_tasks_assigned *rec);
void apply_tasks_unassigned(struct core *core, const struct record_tasks_unassigned *rec);
void apply_tasks_started(struct core *core, const struct record_tasks_started *rec);
void apply_tasks_finished(struct core *core, const struct record_tasks_finished *rec);
void apply_tasks_failed(struct core *core, const struct record_task_failed *rec);
void apply_tasks_ended(struct core *core, const struct record_tasks_ended *rec, enum task_event event,
                       hq_wall_ms at_ms);
void apply_tasks_restarted(struct core *core, const struct record_tasks_restarted *rec);
void apply_restart_one(struct core *core, struct job *job, uint32_t pos, bool is_crash);

#endif
