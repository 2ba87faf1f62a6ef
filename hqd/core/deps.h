/* deps.h - dependencies between tasks of a job.
 *
 * Purpose    waiting counters, compact successor lists, failure spread.
 * Ownership  struct deps belongs to its submit.
 * Units      positions; predecessors are kept as ids too, for queries.
 * Cost       check and build O(tasks + dependencies) and a search of the id runs each; 16 bytes a task, 8 a dependency.
 */
#ifndef HQ_HQD_CORE_DEPS_H
#define HQ_HQD_CORE_DEPS_H

#include "hqd/core/idlist.h"
#include "hqd/core/state.h"

/* All parts of a graph as one set of columns. */
struct graph_flat {
    uint32_t *ids;
    uint32_t *desc;
    uint32_t *dep_off; /* count + 1 */
    uint32_t *deps;
    uint32_t count;
};
HQ_MUST_CHECK int deps_flatten(struct graph_flat *ret, const struct submit_part *parts, size_t part_count);
void deps_flat_fini(struct graph_flat *g);

/* For requests: ids unique (also within the job), dependencies known, alive and without a cycle. job NULL = new.
 * Errors carry the user's text. */
HQ_MUST_CHECK int deps_check(const struct job *job, const struct graph_flat *g, uint32_t desc_count,
                             struct hq_err *err);
/* For records: s->ids and s->order are set, and the submit is in its job. Unknown dependencies are dropped. */
void deps_build(struct job *job, struct submit *s, const struct graph_flat *g);
/* Makes those tasks of the submit ready that wait for nothing. */
void deps_start(struct core *core, struct submit *s);
/* The task at pos has finished. */
void deps_release(struct core *core, struct job *job, uint32_t pos);
/* Positions of all tasks that depend on pos, directly or not, and have not ended; ascending, in the arena. */
size_t deps_descendants(const struct job *job, uint32_t pos, struct hq_arena *arena, uint32_t **ret);
void deps_free(struct deps *d);

#endif
