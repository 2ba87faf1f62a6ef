/* Coupling of resource groups (spec section "Coupling"): syntax first, then what it names. */
#include <stdlib.h>

#include "common/limits.h"
#include "common/num.h"
#include "common/pool.h"

#define WEIGHT_DEFAULT 256u

struct end {
    struct hq_str resource;
    uint32_t group_ix;
};

/* For texts of the user inside sentences. */
#define SHOWN(s) (int)HQ_MIN((s).len, (size_t)200), (s).ptr

/* R[G]; *ret_rest is what stands behind the bracket. */
static int
read_end(struct hq_str text, struct end *ret, struct hq_str *ret_rest, struct hq_err *err)
{
    struct hq_str rest = text;
    struct hq_str name, group;
    uint32_t ix;
    if (!hq_str_split(&rest, '[', &name)) {
        return hq_err_set(err, -EINVAL, "Missing '['");
    }
    if (!hq_str_split(&rest, ']', &group)) {
        return hq_err_set(err, -EINVAL, "Missing ']'");
    }
    if (hq_num_u32(hq_str_trim(group), &ix, NULL) < 0 || ix >= HQ_POOL_GROUPS_MAX) {
        return hq_err_set(err, -EINVAL, "Invalid group index: %.*s", SHOWN(group));
    }
    *ret = (struct end){.resource = hq_str_trim(name), .group_ix = ix};
    *ret_rest = hq_str_trim(rest);
    return 0;
}

static int
read_item(struct hq_str item, struct end ends[2], uint32_t *ret_weight, struct hq_err *err)
{
    struct hq_str second = item;
    struct hq_str first, rest;
    if (!hq_str_split(&second, ':', &first)) {
        return hq_err_set(err, -EINVAL, "Missing ':'");
    }
    int rc = read_end(first, &ends[0], &rest, err);
    if (rc == 0 && rest.len > 0) {
        return hq_err_set(err, -EINVAL, "Unexpected text in coupling: %.*s", SHOWN(rest));
    }
    if (rc == 0) {
        rc = read_end(second, &ends[1], &rest, err);
    }
    if (rc < 0) {
        return rc;
    }
    uint32_t weight = WEIGHT_DEFAULT;
    if (rest.len > 0) {
        struct hq_str digits = hq_str_trim(hq_str_sub(rest, 1, rest.len));
        if (rest.ptr[0] != '=') {
            return hq_err_set(err, -EINVAL, "Unexpected text in coupling: %.*s", SHOWN(rest));
        }
        if (hq_num_u32(digits, &weight, NULL) < 0 || weight > UINT16_MAX) {
            return hq_err_set(err, -EINVAL, "Invalid weight: %.*s", SHOWN(digits));
        }
    }
    *ret_weight = weight;
    return 0;
}

static int
find_resource(const struct hq_pools *pools, struct hq_str name, uint32_t *ret_ix, struct hq_err *err)
{
    const struct hq_pool *p = hq_pools_find(pools, name);
    if (p == NULL) {
        return hq_err_set(err, -EINVAL, "Resource not found: %.*s", SHOWN(name));
    }
    *ret_ix = (uint32_t)(p - pools->v);
    return 0;
}

static int
check_group(const struct hq_pool *p, uint32_t group_ix, struct hq_err *err)
{
    if (p->kind != HQ_POOL_GROUPS) {
        return hq_err_set(err, -EINVAL, "Resource '%.*s' has only a single group", SHOWN(p->name));
    }
    if (group_ix >= p->group_count) {
        return hq_err_set(err, -EINVAL, "Invalid group id %u for resource '%.*s'", group_ix, SHOWN(p->name));
    }
    return 0;
}

static int
resolve(const struct hq_pools *pools, const struct end ends[2], struct hq_coupling *c, struct hq_err *err)
{
    uint32_t ix[2] = {0, 0};
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = find_resource(pools, ends[i].resource, &ix[i], err);
    }
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = check_group(&pools->v[ix[i]], ends[i].group_ix, err);
    }
    if (rc < 0) {
        return rc;
    }
    int low = ix[0] <= ix[1] ? 0 : 1; /* pools are sorted by name, and so are the ends */
    c->resource1_ix = ix[low];
    c->group1_ix = ends[low].group_ix;
    c->resource2_ix = ix[1 - low];
    c->group2_ix = ends[1 - low].group_ix;
    return 0;
}

static int
by_ends(const void *pa, const void *pb)
{
    const struct hq_coupling *a = pa;
    const struct hq_coupling *b = pb;
    const uint32_t x[] = {a->resource1_ix, a->group1_ix, a->resource2_ix, a->group2_ix};
    const uint32_t y[] = {b->resource1_ix, b->group1_ix, b->resource2_ix, b->group2_ix};
    for (size_t i = 0; i < HQ_ARRAY_LEN(x); i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

int
hq_coupling_parse(struct hq_pools *pools, struct hq_str text, struct hq_arena *arena, struct hq_err *err)
{
    size_t room = 1;
    for (size_t i = 0; i < text.len; i++) {
        room += text.ptr[i] == ',';
    }
    if (room > HQ_COUPLINGS_MAX) {
        return hq_err_set(err, -E2BIG, "Too many couplings (at most %u are allowed)", HQ_COUPLINGS_MAX);
    }
    struct hq_coupling *v = hq_arena_array(arena, room, sizeof *v);
    struct end *ends = hq_arena_array(arena, room * 2, sizeof *ends);
    struct hq_str rest = text;
    for (size_t i = 0; i < room; i++) {
        struct hq_str item;
        (void)hq_str_split(&rest, ',', &item); /* `room` counts the commas */
        int rc = read_item(hq_str_trim(item), &ends[2 * i], &v[i].weight, err);
        if (rc < 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < room; i++) {
        int rc = resolve(pools, &ends[2 * i], &v[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    qsort(v, room, sizeof *v, by_ends); /* the order of the words says nothing */
    for (size_t i = 1; i < room; i++) {
        if (by_ends(&v[i - 1], &v[i]) == 0) {
            return hq_err_set(err, -EINVAL, "Repeated coupling definition");
        }
    }
    pools->couplings = v;
    pools->coupling_count = room;
    return 0;
}
