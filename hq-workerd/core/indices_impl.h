/* indices_impl.h - state shared by indices.c (take and give) and groups.c (which groups a request uses). */
#ifndef HQ_WORKERD_CORE_INDICES_IMPL_H
#define HQ_WORKERD_CORE_INDICES_IMPL_H

#include "common/limits.h"
#include "hq-workerd/core/indices.h"

/* Values of one pool are numbered in definition order; a group is a run of them. */
struct group {
    uint32_t first;      /* number of its first value */
    uint32_t size;
    uint32_t free_count; /* values that are whole and free */
};

struct pool_state {
    struct hq_str name;
    bool is_sum;
    hq_amount size;  /* all of it */
    hq_amount free;  /* total, broken values included */
    uint32_t value_count;
    struct hq_str *labels;
    hq_amount *left; /* per value: HQ_AMOUNT_ONE = whole and free, 0 = taken, else broken */
    uint32_t *stack; /* single group: free whole values, the next one last */
    uint32_t stack_count;
    struct group *groups;
    uint32_t group_count;
};

struct indices {
    struct hq_arena arena;
    struct pool_state *pools; /* sorted by name */
    size_t pool_count;
    struct hq_coupling *couplings;
    size_t coupling_count;
};

/* Largest broken remainder of a group that still holds `fraction`, and whether there is one. */
bool group_best_broken(const struct pool_state *p, const struct group *g, hq_amount fraction, uint32_t *ret_value);
hq_amount group_largest_broken(const struct pool_state *p, const struct group *g);

struct group_need { /* one compact or tight entry of a request */
    const struct pool_state *pool;
    uint32_t pool_ix;
    hq_amount amount;
    bool is_strict;
};
struct group_choice { /* per need: bytes, 1 = group chosen */
    uint8_t *chosen[HQ_RESOURCES_MAX];
};
/* Chooses groups for all needs together. False: they cannot hold it, or a strict need would be served worse than on the
 * empty worker. The arrays of *ret lie in the arena. */
bool groups_choose(const struct indices *ix, const struct group_need *needs, size_t count, struct hq_arena *arena,
                   struct group_choice *ret);

#endif
