/* eventjson_priv.h - between the files of eventjson: one line, and the records of tasks.
 *
 * Purpose    eventjson_task.c prints what tasks did, eventjson.c all other records.
 * Ownership  a line belongs to the caller and lies on its stack.
 * Errors     as eventjson.h.
 */
#ifndef HQ_COMMON_EVENTJSON_PRIV_H
#define HQ_COMMON_EVENTJSON_PRIV_H

#include "common/eventjson.h"
#include "common/out_json.h"

struct hq_eventjson_line {
    struct hq_eventjson *e;
    struct hq_json j;
    struct hq_buf *out;
    hq_wall_ms at;
    uint64_t *count;
};

void hq_eventjson_begin(struct hq_eventjson_line *l, hq_wall_ms at);
void hq_eventjson_end(struct hq_eventjson_line *l, const char *type);
void hq_eventjson_make_room(struct hq_eventjson_line *l); /* between two values, too */
void hq_eventjson_put_task(struct hq_json *j, uint32_t job, uint32_t task);
HQ_MUST_CHECK int hq_eventjson_add_starts(struct hq_eventjson_line *l, const Hq__TasksStartedRecord *r,
                                          struct hq_err *err);
HQ_MUST_CHECK int hq_eventjson_add_finished(struct hq_eventjson_line *l, const Hq__TasksFinishedRecord *r,
                                            struct hq_err *err);
HQ_MUST_CHECK int hq_eventjson_add_failed(struct hq_eventjson_line *l, const Hq__TaskFailedRecord *r, hq_wall_ms at,
                                          struct hq_err *err);
HQ_MUST_CHECK int hq_eventjson_add_ended(struct hq_eventjson_line *l, const Hq__TasksEndedRecord *r, const char *type,
                                         hq_wall_ms at, struct hq_err *err);
HQ_MUST_CHECK int hq_eventjson_forget_starts(struct hq_eventjson *e, const Hq__TasksRestarted *r, struct hq_err *err);

#endif
