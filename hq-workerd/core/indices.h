/* indices.h - exact resources of a worker: which cpus, GPUs and amounts belong to which task.
 *
 * Purpose    hqd decides by totals; here values get owners: groups (NUMA), policies, fractions, coupling, as
 *            spec/workers.md section 10 says.
 * Ownership  indices_create copies what it needs of the pools. An allocation is heap memory of the taker until
 *            indices_give, which frees it.
 * Threads    loop thread. Pure.
 * Units      amounts in 1/10000.
 * Errors     enum indices_take; -ENOMEM.
 * Limits     groups are chosen by a search that stops after INDICES_STEPS_MAX steps with the best choice so far.
 */
#ifndef HQ_WORKERD_CORE_INDICES_H
#define HQ_WORKERD_CORE_INDICES_H

#include "common/err.h"
#include "common/pool.h"
#include "common/request.h"

#define INDICES_STEPS_MAX 20000u

struct indices;

enum indices_take {
    INDICES_TAKEN = 0,
    INDICES_BUSY,    /* the free totals are less than the request */
    INDICES_REFUSED, /* they would do, but not with these groups, fractions or policies */
    INDICES_NEVER,   /* not even on the empty worker */
    INDICES_NO_MEMORY,
};

struct allocation_entry {
    struct hq_str name;   /* of the resource; the worker's memory */
    hq_amount amount;
    uint32_t pool_ix;
    uint32_t *value_ix;   /* indexed pools: whole values, then the partial one */
    uint32_t value_count; /* 0 for sums */
    hq_amount fraction;   /* of the last value; 0 = all are whole */
};

struct allocation {
    size_t entry_count;
    struct allocation_entry entries[]; /* in the order of the request */
};

HQ_MUST_CHECK int indices_create(struct indices **ret, const struct hq_pools *pools, struct hq_err *err);
void indices_destroy(struct indices *ix); /* NULL is fine */

HQ_MUST_CHECK enum indices_take indices_take(struct indices *ix, const struct hq_variant *v, struct allocation **ret);
void indices_give(struct indices *ix, struct allocation *a); /* frees it; NULL is fine */
/* Would it fit an empty worker? Policies and coupling aside. */
bool indices_can_ever(const struct indices *ix, const struct hq_variant *v);

/* Label of a value: "0", "GPU-abc"; the worker's memory. */
struct hq_str indices_value(const struct indices *ix, const struct allocation_entry *e, uint32_t k);
/* Everything is free and whole: for tests and checks. */
bool indices_is_all_free(const struct indices *ix);

#endif
