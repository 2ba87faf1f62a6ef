/* eventjson_desc.h - the larger values inside event lines: worker configurations, submits, hardware readings.
 *
 * Purpose    of eventjson.c, some also of hq; every function writes one JSON value.
 * Errors     none: the caller has checked the message.
 */
#ifndef HQ_COMMON_EVENTJSON_DESC_H
#define HQ_COMMON_EVENTJSON_DESC_H

#include "common/out_json.h"

#include "proto/journal.pb-c.h"

struct hq_json_submit {
    const Hq__JobSubmitted *job;
    const Hq__TaskDesc *desc; /* first description of all parts; NULL = none */
    uint64_t graph_tasks;     /* of all parts */
};

static inline struct hq_str hq_pb_str(ProtobufCBinaryData b)
{
    return hq_str_make((const char *)b.data, b.len);
}
void hq_json_worker_config(struct hq_json *j, const Hq__WorkerConfig *c);
void hq_json_overview(struct hq_json *j, const Hq__Overview *o); /* the value of "hw-state" */
void hq_json_alloc_params(struct hq_json *j, const Hq__AllocParams *p);
void hq_json_submit_desc(struct hq_json *j, const struct hq_json_submit *s);

/* "mpi" and its object; nothing for a task of one process. */
void hq_json_put_mpi(struct hq_json *j, const Hq__Mpi *m);

#endif
