/* convert.h - between protobuf structs and the core's plain ones, in both directions.
 *
 * Purpose    the only place that knows both vocabularies; ingress and replay come in through conv_in_*, egress and the
 *            journal go out through conv_out_*.
 * Ownership  nothing is copied that can be pointed at: results live as long as the source and the arena both do. Column
 *            arrays and packed ranges are the same bytes in both (types.h).
 * Errors     conv_in_*: -EINVAL with the reason; the bytes come from outside, every rule that types.h and input.h
 *            promise to the core is checked here. conv_out_* cannot fail.
 * Limits     limits.h.
 */
#ifndef HQ_HQD_CONVERT_H
#define HQ_HQD_CONVERT_H

#include "common/arena.h"
#include "common/err.h"
#include "hqd/core/effect.h"
#include "hqd/core/record.h"
#include "hqd/core/types.h"

#include "proto/client.pb-c.h"
#include "proto/common.pb-c.h"
#include "proto/journal.pb-c.h"
#include "proto/turn.pb-c.h"

static inline struct hq_str
conv_str(ProtobufCBinaryData b)
{
    return hq_str_make((const char *)b.data, b.len);
}
/* protobuf-c has no const; packing does not write. */
ProtobufCBinaryData conv_bytes(struct hq_str s);
static inline hq_ms
conv_ms(uint64_t v) /* spans and instants beyond 292 million years are cut, not wrapped */
{
    return v > (uint64_t)INT64_MAX ? INT64_MAX : (hq_ms)v;
}

/* ---- in. NULL messages count as empty ones where proto says nothing else. */
HQ_MUST_CHECK int conv_in_ranges(const Hq__Ranges *m, struct hq_ranges *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_selection(const Hq__Selector *m, struct selection *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_request(const Hq__Request *m, struct hq_arena *arena, struct hq_request *ret,
                                  struct hq_err *err);
HQ_MUST_CHECK int conv_in_desc(const Hq__TaskDesc *m, struct hq_arena *arena, struct task_desc *ret,
                               struct hq_err *err);
HQ_MUST_CHECK int conv_in_part(Hq__TaskDesc *const *descs, size_t desc_count, const Hq__Ranges *ids,
                               const Hq__Entries *entries, const Hq__GraphTasks *graph, ProtobufCBinaryData stdin_data,
                               struct hq_arena *arena, struct submit_part *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_config(const Hq__WorkerConfig *m, struct hq_arena *arena, struct worker_config *ret,
                                 struct hq_err *err);
/* Columns must have one value per id of `ids`; durations only when with_ends. */
HQ_MUST_CHECK int conv_in_times(const Hq__TaskTimes *m, uint64_t id_count, bool with_ends, struct task_times *ret,
                                struct hq_err *err);
HQ_MUST_CHECK int conv_in_started(const Hq__TasksStarted *m, struct tasks_started *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_finished(const Hq__TasksFinished *m, struct tasks_finished *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_failed(const Hq__TaskFailed *m, struct task_failed *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_returned(const Hq__TasksReturned *m, struct tasks_returned *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_notify(const Hq__Notify *m, struct task_notify *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_held(const Hq__HeldTasks *m, struct held_tasks *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_overview(const Hq__Overview *m, struct hq_arena *arena, struct overview *ret,
                                   struct hq_err *err);
HQ_MUST_CHECK int conv_in_lost(Hq__WorkerLostReason reason, enum lost_reason *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_pools(const Hq__Pools *m, struct hq_arena *arena, struct hq_pools *ret, struct hq_err *err);
HQ_MUST_CHECK int conv_in_alloc_params(const Hq__AllocParams *m, struct hq_arena *arena, struct alloc_params *ret,
                                       struct hq_err *err);
void conv_in_allocation(const Hq__AllocationEvent *m, struct record_allocation *ret);

HQ_MUST_CHECK int conv_in_mpi(const Hq__Mpi *m, struct hq_mpi *ret, struct hq_err *err);

/* ---- out: everything in the arena or pointed at */
Hq__Ranges *conv_out_ranges(const struct hq_ranges *r, struct hq_arena *arena);
Hq__Request *conv_out_request(const struct hq_request *r, struct hq_arena *arena);
ProtobufCBinaryData *conv_out_strs(const struct hq_str *v, size_t count, struct hq_arena *arena);
Hq__Mpi *conv_out_mpi(const struct hq_mpi *d, struct hq_arena *arena); /* NULL when it is off */
Hq__Step *conv_out_step(const struct step *s, struct hq_arena *arena); /* NULL stays NULL */
Hq__TaskDesc *conv_out_desc(const struct task_desc *d, struct hq_arena *arena);
Hq__Entries *conv_out_entries(const struct task_entries *e, struct hq_arena *arena); /* NULL when there are none */
Hq__GraphTasks *conv_out_graph(const struct graph_tasks *g, struct hq_arena *arena); /* NULL when there are none */
Hq__Pools *conv_out_pools(const struct hq_pools *p, struct hq_arena *arena);
Hq__AllocParams *conv_out_alloc_params(const struct alloc_params *p, struct hq_arena *arena);
Hq__AllocationEvent *conv_out_allocation(const struct record_allocation *a, struct hq_arena *arena);
Hq__WorkerConfig *conv_out_config(const struct worker_config *c, struct hq_arena *arena);
Hq__Overview *conv_out_overview(const struct overview *o, struct hq_arena *arena);
Hq__TaskTimes *conv_out_times(const struct task_times *t, struct hq_arena *arena);
Hq__HeldTasks *conv_out_held(const struct held_tasks *h, struct hq_arena *arena);
Hq__TasksStarted *conv_out_started(const struct tasks_started *t, struct hq_arena *arena);
Hq__TasksFinished *conv_out_finished(const struct tasks_finished *t, struct hq_arena *arena);
Hq__TaskFailed *conv_out_failed(const struct task_failed *t, struct hq_arena *arena);

#endif
