/* egress_alloc.h - queues and allocations as messages, for clients and for hq-allocd.
 *
 * Ownership  everything in the arena or pointed at.
 */
#ifndef HQ_HQD_EGRESS_ALLOC_H
#define HQ_HQD_EGRESS_ALLOC_H

#include "hqd/core/query_alloc.h"

#include "proto/alloc.pb-c.h"

Hq__AllocQueueInfo **egress_alloc_queues(const struct query_alloc_list *list, struct hq_arena *arena);

#endif
