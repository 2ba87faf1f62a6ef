/* eventjson.h - journal records as the JSON lines of `journal export`, `stream` and `replay` (spec section "Event lines").
 *
 * Purpose    one record becomes no line (assignments, snapshots, ...), one, or one for each task of its ranges.
 *            A short task whose start was never reported on its own gets its task-started line from its end.
 * Ownership  the state owns a map of tasks that run; records are read during the call only.
 * Units      times never decrease from line to line: a start that was reported late carries the time of the line before.
 * Limits     one line may name all tasks of a job: with `full` set, memory does not grow with it.
 * Errors     -EBADMSG: columns that do not fit together (a damaged or foreign record); nothing of it is printed.
 */
#ifndef HQ_COMMON_EVENTJSON_H
#define HQ_COMMON_EVENTJSON_H

#include "common/err.h"
#include "common/id.h"
#include "common/map.h"
#include "common/str.h"

#include "proto/journal.pb-c.h"

struct hq_eventjson {
    struct hq_map running;   /* job and task -> instance + 1 whose task-started line was printed; a crash of hqd ends none */
    hq_wall_ms last_ms;      /* of the last line */
    uint64_t graph_tasks;    /* in parts of the submit that is not complete yet */
    struct hq_buf part_desc; /* packed first description of those parts */
    void (*full)(void *ctx); /* set it after init: `out` has grown to HQ_EVENTJSON_FULL_BYTES: writes it and empties it; */
    void *full_ctx;          /* NULL = a record's lines are kept, however long */
};
#define HQ_EVENTJSON_FULL_BYTES (1u << 18)

void hq_eventjson_init(struct hq_eventjson *e);
void hq_eventjson_fini(struct hq_eventjson *e);
/* Appends the lines of `rec` to `out`; adds their number to *count. */
HQ_MUST_CHECK int hq_eventjson_add(struct hq_eventjson *e, const Hq__Record *rec, struct hq_buf *out, uint64_t *count,
                                   struct hq_err *err);

#endif
