/* worker_read.h - workers of an answer as plain structs.
 *
 * Ownership  texts borrow the answer, arrays lie in the arena.
 * Errors     -EPROTO for what no hqd would send.
 */
#ifndef HQ_HQ_WORKER_READ_H
#define HQ_HQ_WORKER_READ_H

#include "common/start_opts.h"

#include "proto/client.pb-c.h"

HQ_MUST_CHECK int worker_read(struct hq_worker_view *ret, const Hq__WorkerInfo *w, struct hq_arena *arena,
                              struct hq_err *err);
HQ_MUST_CHECK int worker_read_pools(struct hq_pools *ret, const Hq__Pools *wire, struct hq_arena *arena,
                                    struct hq_err *err);

#endif
