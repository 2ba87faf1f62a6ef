/* id.h - identities and units, each a type of its own so that a swap does not compile.
 *
 * Units      job, task, worker, queue ids and instance numbers are 32 bit, unsigned. Jobs and workers count from 1; 0 = none.
 */
#ifndef HQ_COMMON_ID_H
#define HQ_COMMON_ID_H

#include "common/base.h"

typedef struct {
    uint32_t v;
} hq_job_id; /* from 1; 0 = none */
typedef struct {
    uint32_t v;
} hq_worker_id; /* from 1; 0 = none */
typedef struct {
    uint32_t v;
} hq_queue_id; /* allocation queue, from 1; 0 = none */
typedef uint32_t hq_task_ix; /* id of a task within its job: any 32-bit value */

typedef int64_t hq_ms;       /* milliseconds of the monotonic clock, or a span of milliseconds */
typedef int64_t hq_wall_ms;  /* milliseconds since the epoch, UTC */
typedef uint64_t hq_amount;  /* resource amount in 1/10000 units */

#define HQ_AMOUNT_ONE ((hq_amount)10000)
#define HQ_AMOUNT_MAX ((hq_amount)UINT32_MAX * HQ_AMOUNT_ONE + (HQ_AMOUNT_ONE - 1))

#endif
