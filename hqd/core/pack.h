/* pack.h - deep copies of nested plain structs into one heap block.
 *
 * Purpose    a submit, a worker's configuration or an early turn becomes one allocation: measured first, then filled
 *            by the same code (base NULL = measuring).
 * Ownership  the caller frees the block; everything copied points into it.
 * Units      bytes; objects are aligned to 8.
 */
#ifndef HQ_HQD_CORE_PACK_H
#define HQ_HQD_CORE_PACK_H

#include "common/base.h"
#include "common/str.h"
#include "hqd/core/types.h"

struct pack {
    unsigned char *base; /* NULL while measuring */
    size_t used_bytes;
};

/* Room for `count` items; NULL while measuring. */
void *pack_take(struct pack *p, size_t count, size_t item_bytes);
/* A copy of the items; NULL while measuring or when there are none. */
void *pack_copy(struct pack *p, const void *items, size_t count, size_t item_bytes);
struct hq_str pack_str(struct pack *p, struct hq_str s);
struct hq_str *pack_strs(struct pack *p, const struct hq_str *v, size_t count);
struct hq_ranges pack_ranges(struct pack *p, const struct hq_ranges *r);
struct hq_request pack_request(struct pack *p, const struct hq_request *r);
/* Everything but `request`, which is shared by the class. */
struct task_desc pack_desc(struct pack *p, const struct task_desc *d);
struct worker_config pack_config(struct pack *p, const struct worker_config *c);
struct hq_pools pack_pools(struct pack *p, const struct hq_pools *pools);
struct task_times pack_times(struct pack *p, const struct task_times *t);

#endif
