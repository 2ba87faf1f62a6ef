/* pool.h - what a worker has: list, range, groups, sum; coupling between groups.
 *
 * Purpose    grammar of spec/workers.md 2.2 and 2.5, and its printed forms.
 * Ownership  all memory lies in the arena given.
 * Units      sums in 1/10000.
 * Errors     -EINVAL with the texts of spec/workers.md.
 * Limits     HQ_RESOURCES_MAX pools, HQ_POOL_VALUES_MAX values in one, HQ_POOL_GROUPS_MAX groups.
 */
#ifndef HQ_COMMON_POOL_H
#define HQ_COMMON_POOL_H

#include "common/arena.h"
#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

enum hq_pool_kind {
    HQ_POOL_LIST = 0,
    HQ_POOL_RANGE = 1,
    HQ_POOL_GROUPS = 2,
    HQ_POOL_SUM = 3,
};

struct hq_pool_group {
    struct hq_str *values;
    size_t count;
};

struct hq_pool {
    struct hq_str name;
    enum hq_pool_kind kind;
    struct hq_pool_group *groups; /* LIST: one; GROUPS: two or more */
    size_t group_count;
    uint32_t range_first; /* RANGE, inclusive */
    uint32_t range_last;
    hq_amount sum; /* SUM */
};

struct hq_coupling {
    uint32_t resource1_ix, group1_ix; /* resources by their index in struct hq_pools */
    uint32_t resource2_ix, group2_ix;
    uint32_t weight;
};

struct hq_pools {
    struct hq_pool *v; /* sorted by name */
    size_t count;
    struct hq_coupling *couplings;
    size_t coupling_count;
};

/* KIND after "NAME=" or, with is_cpus, also a plain N. */
HQ_MUST_CHECK int hq_pool_parse(struct hq_pool *ret, struct hq_str name, struct hq_str kind, bool is_cpus,
                                struct hq_arena *arena, struct hq_err *err);
/* NAME "=" KIND, as --resource gives it: error marks stand under the whole text. */
HQ_MUST_CHECK int hq_pool_parse_def(struct hq_pool *ret, struct hq_str text, struct hq_arena *arena,
                                    struct hq_err *err);
/* R1[G1]:R2[G2][=W],... against the sorted pools. */
HQ_MUST_CHECK int hq_coupling_parse(struct hq_pools *pools, struct hq_str text, struct hq_arena *arena,
                                    struct hq_err *err);
/* Sorts by name; -EINVAL "Resource NAME defined twice". */
HQ_MUST_CHECK int hq_pools_sort(struct hq_pools *pools, struct hq_err *err);
/* Does a value occur twice in all groups together? O(n log n) */
bool hq_pool_has_repeats(const struct hq_pool_group *groups, size_t group_count);
/* Sizes, names, emptiness: for what comes from outside. */
HQ_MUST_CHECK int hq_pools_check(const struct hq_pools *pools, struct hq_err *err);
hq_amount hq_pool_size(const struct hq_pool *p); /* number of values (x 10000), or the sum */
void hq_pools_copy(struct hq_pools *ret, const struct hq_pools *pools, struct hq_arena *arena);
const struct hq_pool *hq_pools_find(const struct hq_pools *pools, struct hq_str name);
/* "cpus 2x64; mem 4.12 GiB": sep "; " and name_sep " " in lists; "\n" and ": " in infos. " [coupled]" where it is. */
void hq_pools_print_summary(const struct hq_pools *pools, const char *sep, const char *name_sep, struct hq_buf *out);
/* "[a,b]", "[[0,1],[2,3]]", "range(0-7)", "sum(7000.5)" */
void hq_pool_print_full(const struct hq_pool *p, struct hq_buf *out);

#endif
