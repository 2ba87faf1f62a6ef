/* event.h - what launcher threads tell the agent: tasks started, tasks ended, a slot without work.
 *
 * Ownership  `error` is heap memory and goes with the event (run_event_fini).
 * Units      wall clock ms.
 */
#ifndef HQ_WORKERD_CORE_EVENT_H
#define HQ_WORKERD_CORE_EVENT_H

#include "common/id.h"
#include "common/str.h"

enum run_event_kind {
    RUN_STARTED = 1,
    RUN_ENDED,
    RUN_SLOT_IDLE, /* the slot's lane is empty: it waits to be resumed or closed */
};

enum run_end {
    RUN_END_FINISHED = 1,
    RUN_END_FAILED,
    RUN_END_NODE_LOST, /* failed because another node of the task is gone: hqd starts it again */
};

enum run_why { /* an end that we brought about */
    RUN_WHY_NONE = 0,
    RUN_WHY_TIME_LIMIT,
    RUN_WHY_UNWATCHED, /* its end could not be waited for */
    RUN_WHY_CANCEL,    /* nothing is reported of it */
};

struct run_event {
    enum run_event_kind kind;
    uint32_t slot_ix;
    uint64_t serial;
    uint64_t hidden_id; /* not 0: hqd hears nothing of it */
    uint32_t job_id;
    uint32_t task_id;
    uint32_t instance;
    uint32_t variant;
    hq_wall_ms started_ms; /* 0 = it failed before it started */
    hq_wall_ms ended_ms;
    int64_t time_limit_ms; /* started: of the task; 0 = none */
    enum run_end end;
    int exit_code; /* ended: as a shell shows it; -1 = it was not started */
    char *error; /* RUN_END_FAILED */
    size_t error_len;
};

#endif
