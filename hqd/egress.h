/* egress.h - the core's answers as messages: envelope and protobuf, ready to send.
 *
 * Purpose    effects and query results point into the core and hold for a moment only: they become bytes here, at once.
 * Ownership  bytes are appended to the caller's buffer; the arena is scratch memory.
 * Errors     none: what is too large for a message becomes an error message, and a log line, since pages are bounded.
 * Limits     HQ_MSG_BYTES_MAX.
 */
#ifndef HQ_HQD_EGRESS_H
#define HQ_HQD_EGRESS_H

#include "common/wire.h"
#include "hqd/core/effect.h"
#include "hqd/core/query.h"

/* Any message; -EMSGSIZE becomes TYPE_ERROR. */
void egress_pack(struct hq_buf *out, uint16_t type, uint64_t request_id, const ProtobufCMessage *msg);
void egress_error(struct hq_buf *out, uint64_t request_id, int code, struct hq_str text);
void egress_done(struct hq_buf *out, uint64_t request_id);

void egress_answer(struct hq_buf *out, uint64_t request_id, const struct answer *a, struct hq_arena *arena);
void egress_registered(struct hq_buf *out, uint64_t request_id, const struct registered *r, struct hq_str server_uid,
                       struct hq_str incarnation, struct hq_arena *arena);
void egress_turn(struct hq_buf *out, uint64_t request_id, const struct turn_answer *t, struct hq_arena *arena);

void egress_job_list(struct hq_buf *out, uint64_t request_id, const struct query_job_list *l);
void egress_job_watch(struct hq_buf *out, uint64_t request_id, const struct query_watch *w, struct hq_str incarnation);
void egress_worker_list(struct hq_buf *out, uint64_t request_id, const struct query_worker_list *l,
                        struct hq_arena *arena);
void egress_explain(struct hq_buf *out, uint64_t request_id, const struct query_explain *e, struct hq_arena *arena);
/* Both leave out the error texts: egress_*_add_error appends them behind, in any order, when the journal was read. */
void egress_job_detail(struct hq_buf *out, uint64_t request_id, const struct query_job_detail *d, hq_wall_ms now_ms,
                       struct hq_str server_uid, struct hq_arena *arena);
void egress_job_detail_add_failed(struct hq_buf *out, const struct query_failed *f, struct hq_str error);
void egress_task_page(struct hq_buf *out, uint64_t request_id, hq_job_id job, const struct query_task_page *p,
                      hq_wall_ms now_ms, struct hq_arena *arena);
void egress_task_page_add_error(struct hq_buf *out, hq_task_ix task, struct hq_str error, hq_wall_ms at_ms);

#endif
