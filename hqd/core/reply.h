/* reply.h - answers to clients, and the memory of requests that may come again.
 *
 * Purpose    a client that lost its answer asks again with the same request id and gets the same answer. Submits and
 * opens are remembered through their records (a replay rebuilds them), the others while hqd lives: repeated after a
 *            restart they find nothing left to do.
 * Limits     ANSWERED_MAX requests, ANSWERED_RESULTS_MAX results in one.
 */
#ifndef HQ_HQD_CORE_REPLY_H
#define HQ_HQD_CORE_REPLY_H

#include "hqd/core/state.h"

/* True: the request was known and has been answered. */
bool reply_repeat(struct ctx *ctx, const struct input *in);
void reply_error(struct ctx *ctx, const struct input *in, int code, const char *fmt, ...) HQ_PRINTF(4, 5);
void reply_done(struct ctx *ctx, const struct input *in);
void reply_submitted(struct ctx *ctx, const struct input *in, hq_job_id job);
/* results: struct job_result, in the effects' arena. */
void reply_jobs(struct ctx *ctx, const struct input *in, const struct job_result *results, size_t count);
void reply_forgotten(struct ctx *ctx, const struct input *in, uint64_t forgotten, uint64_t ignored);
void reply_workers(struct ctx *ctx, const struct input *in, const struct worker_result *results, size_t count);

void reply_alloc_added(struct ctx *ctx, const struct input *in, hq_queue_id queue);

/* From records. */
void reply_remember_job(struct core *core, uint64_t request_id, uint32_t uid, hq_job_id job);
void reply_remember_queue(struct core *core, uint64_t request_id, uint32_t uid, hq_queue_id queue);
void reply_fini(struct core *core);

#endif
