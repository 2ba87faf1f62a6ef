/* ref_alloc.h - which values a task gets, the slow way: all choices of groups are tried.
 *
 * Purpose    a reference for hq-workerd/core/indices.c. It knows spec/workers.md section 10 and nothing of that file.
 * Ownership  all is the caller's; no heap.
 * Units      amounts in 1/10000.
 * Limits     small machines; at most two wants in one request.
 */
#ifndef HQ_TESTS_UNIT_REF_ALLOC_H
#define HQ_TESTS_UNIT_REF_ALLOC_H

#include "hq-workerd/core/indices.h"

enum { REF_POOLS = 2, REF_GROUPS = 4, REF_VALUES = 16, REF_COUPLINGS = 4 };

struct ref_pool {
    const char *name;
    int groups, size[REF_GROUPS];
    int values, group_of[REF_VALUES];
    unsigned left[REF_VALUES]; /* 10000 = whole, 0 = taken */
    int stack[REF_VALUES], stacked; /* one group: free whole values, the next one last */
};
struct ref_coupling {
    int pool[2], group[2];
    int weight;
};
struct ref_worker {
    struct ref_pool pools[REF_POOLS];
    int count;
    struct ref_coupling couplings[REF_COUPLINGS];
    int coupling_count;
};
struct ref_want {
    int pool;
    unsigned amount;
    enum hq_policy policy;
};
struct ref_grant {
    int pool, count, v[REF_VALUES];
    unsigned fraction;
};

/* Fills amounts of HQ_POLICY_ALL in; grants are set when the answer is INDICES_TAKEN. */
enum indices_take ref_take(struct ref_worker *w, struct ref_want *wants, int count, struct ref_grant *grants);
void ref_give(struct ref_worker *w, const struct ref_grant *grant);

#endif
