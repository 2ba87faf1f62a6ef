/* report.h - what has happened to tasks and was not told to hqd yet.
 *
 * Purpose    events come one by one and leave as columns: tasks of one job, instance and variant in ranges with two small
 *            numbers each. A start whose end is known when the turn is packed is not told by itself.
 * Ownership  report_push_failed and report_push_notify copy their texts. What report_pack returns lies in the arena given
 *            and is gone from the report: whoever packs keeps it until hqd has it.
 * Threads    loop thread. Pure.
 * Units      wall clock ms.
 * Errors     -ENOMEM: the event was not taken. Callers stop launching before that (report_is_full).
 * Limits     HQ_REPORT_EVENTS_MAX events, HQ_REPORT_TEXT_BYTES_MAX of error texts: full, no launches until hqd is back.
 *            HQ_REPORT_NOTIFIES_MAX notifications: more are dropped, they are hints. One turn: HQ_TURN_EVENTS_MAX events and
 *            HQ_TURN_TEXT_BYTES_MAX of texts; the rest goes into the next.
 */
#ifndef HQ_WORKERD_CORE_REPORT_H
#define HQ_WORKERD_CORE_REPORT_H

#include "common/arena.h"
#include "common/err.h"
#include "common/id.h"
#include "common/ranges.h"
#include "common/str.h"

struct report;

struct report_task { /* one event */
    uint32_t job_id;
    uint32_t task_id;
    uint32_t instance;
    uint32_t variant;
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;
};

enum report_reason { /* of returned tasks; the same numbers as in proto/turn.proto */
    REPORT_RETRACTED = 0,
    REPORT_REJECTED = 1,
    REPORT_NO_TIME = 2,
    REPORT_NODE_LOST = 3,
};

HQ_MUST_CHECK struct report *report_create(void); /* NULL without memory */
void report_destroy(struct report *r);            /* NULL is fine */

HQ_MUST_CHECK int report_push_started(struct report *r, const struct report_task *t);
HQ_MUST_CHECK int report_push_finished(struct report *r, const struct report_task *t);
HQ_MUST_CHECK int report_push_failed(struct report *r, const struct report_task *t, struct hq_str error);
HQ_MUST_CHECK int report_push_returned(struct report *r, uint32_t job_id, uint32_t instance, uint32_t variant,
                                       enum report_reason reason, const struct hq_ranges *ids);
HQ_MUST_CHECK int report_push_notify(struct report *r, uint32_t job_id, uint32_t task_id, struct hq_str message);

bool report_is_empty(const struct report *r);
size_t report_count(const struct report *r); /* events of tasks */
bool report_is_full(const struct report *r);
void report_clear(struct report *r); /* forgets everything: the worker was given up and has another id */

/* ---- one turn */
struct turn_group { /* starts or ends with status 0 */
    uint32_t job_id;
    uint32_t instance;
    uint32_t variant;
    uint32_t *ranges; /* triplets first, count, step */
    size_t range_len; /* numbers */
    size_t count;     /* tasks, in the order of the ranges */
    hq_wall_ms base_ms;
    int64_t *started; /* each minus the one before; the first minus base_ms */
    uint64_t *duration_ms;
};
struct turn_failed {
    struct report_task task;
    struct hq_str error;
};
struct turn_returned {
    uint32_t job_id;
    uint32_t instance;
    uint32_t variant;
    enum report_reason reason;
    uint32_t *ranges;
    size_t range_len;
};
struct turn_notify {
    uint32_t job_id;
    uint32_t task_id;
    struct hq_str message;
};
struct turn_news {
    struct turn_group *started;
    size_t started_count;
    struct turn_group *finished;
    size_t finished_count;
    struct turn_failed *failed;
    size_t failed_count;
    struct turn_returned *returned;
    size_t returned_count;
    struct turn_notify *notifies;
    size_t notify_count;
};
/* Takes as much as one turn holds. */
void report_pack(struct report *r, struct hq_arena *arena, struct turn_news *ret);

#endif
