#include "common/pool.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/request.h"

#include <stdlib.h>

static int
by_name(const void *a, const void *b)
{
    const struct hq_pool *x = a;
    const struct hq_pool *y = b;
    return hq_str_cmp(x->name, y->name);
}

static int
by_bytes(const void *a, const void *b)
{
    const struct hq_str *x = a;
    const struct hq_str *y = b;
    return hq_str_cmp(*x, *y);
}

static int
by_size(const void *a, const void *b)
{
    const size_t *x = a;
    const size_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

bool
hq_pool_has_repeats(const struct hq_pool_group *groups, size_t group_count)
{
    size_t total = 0;
    for (size_t i = 0; i < group_count; i++) {
        total += groups[i].count;
    }
    HQ_AUTO(hq_mem_freep) struct hq_str *all = hq_xcalloc(total, sizeof *all);
    size_t at = 0;
    for (size_t i = 0; i < group_count; i++) {
        for (size_t k = 0; k < groups[i].count; k++) {
            all[at++] = groups[i].values[k];
        }
    }
    qsort(all, total, sizeof *all, by_bytes);
    for (size_t i = 1; i < total; i++) {
        if (hq_str_eq(all[i - 1], all[i])) {
            return true;
        }
    }
    return false;
}

int
hq_pools_sort(struct hq_pools *pools, struct hq_err *err)
{
    if (pools->count < 2) {
        return 0;
    }
    qsort(pools->v, pools->count, sizeof *pools->v, by_name);
    for (size_t i = 1; i < pools->count; i++) {
        if (hq_str_eq(pools->v[i - 1].name, pools->v[i].name)) {
            return hq_err_set(err, -EINVAL, "Resource %.*s defined twice", HQ_STR_FMT(pools->v[i].name));
        }
    }
    return 0;
}

/* ---- checks */

static size_t
value_count(const struct hq_pool *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->group_count; i++) {
        count += p->groups[i].count;
    }
    return count;
}

/* Shape of the groups of a list or of groups: sizes are bounded before anything is summed. */
static int
check_groups(const struct hq_pool *p, struct hq_err *err)
{
    bool is_shape_ok = p->kind == HQ_POOL_LIST ? p->group_count == 1 : p->group_count >= 2;
    if (!is_shape_ok || p->group_count > HQ_POOL_GROUPS_MAX) {
        return hq_err_set(err, -EINVAL, "Resource %.*s has %zu groups", HQ_STR_FMT(p->name), p->group_count);
    }
    size_t total = 0;
    for (size_t i = 0; i < p->group_count; i++) {
        if (p->groups[i].count > HQ_POOL_VALUES_MAX - total) {
            return hq_err_set(err, -E2BIG, "Resource %.*s has too many values (at most %u are allowed)",
                              HQ_STR_FMT(p->name), HQ_POOL_VALUES_MAX);
        }
        total += p->groups[i].count;
    }
    if (total == 0) {
        return hq_err_set(err, -EINVAL, "Resource %.*s is empty", HQ_STR_FMT(p->name));
    }
    for (size_t i = 0; i < p->group_count; i++) {
        if (p->groups[i].count == 0) {
            return hq_err_set(err, -EINVAL, "Resource %.*s has an empty group", HQ_STR_FMT(p->name));
        }
    }
    if (hq_pool_has_repeats(p->groups, p->group_count)) {
        return hq_err_set(err, -EINVAL, "Invalid resource definition for %.*s: GenericError(\"Non unique indices\")",
                          HQ_STR_FMT(p->name));
    }
    return 0;
}

static int
check_pool(const struct hq_pool *p, struct hq_err *err)
{
    if (p->name.len > HQ_NAME_BYTES_MAX || !hq_resource_name_ok(p->name)) {
        HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
        hq_buf_quoted(&shown, hq_str_sub(p->name, 0, 200));
        return hq_err_set(err, -EINVAL, "Invalid resource name %s", shown.ptr);
    }
    if (p->kind == HQ_POOL_SUM && hq_str_is(p->name, "cpus")) {
        return hq_err_set(err, -EINVAL, "Resource kind `sum` cannot be used with CPUs. CPUs must have identity");
    }
    switch (p->kind) {
    case HQ_POOL_SUM:
        if (p->sum == 0) {
            return hq_err_set(err, -EINVAL, "Resource %.*s is empty", HQ_STR_FMT(p->name));
        }
        if (p->sum > HQ_AMOUNT_MAX) {
            return hq_err_set(err, -EINVAL, "Resource %.*s is too large", HQ_STR_FMT(p->name));
        }
        return 0;
    case HQ_POOL_RANGE:
        if (p->range_last < p->range_first) {
            return hq_err_set(err, -EINVAL, "Resource %.*s is empty", HQ_STR_FMT(p->name));
        }
        if (p->range_last - p->range_first >= HQ_POOL_VALUES_MAX) {
            return hq_err_set(err, -E2BIG, "Resource %.*s has too many values (at most %u are allowed)",
                              HQ_STR_FMT(p->name), HQ_POOL_VALUES_MAX);
        }
        return 0;
    case HQ_POOL_LIST:
    case HQ_POOL_GROUPS:
        return check_groups(p, err);
    }
    return hq_err_set(err, -EINVAL, "Unknown kind of resource %.*s", HQ_STR_FMT(p->name));
}

static bool
coupling_end_ok(const struct hq_pools *pools, uint32_t resource_ix, uint32_t group_ix)
{
    return resource_ix < pools->count && pools->v[resource_ix].kind == HQ_POOL_GROUPS &&
           group_ix < pools->v[resource_ix].group_count;
}

int
hq_pools_check(const struct hq_pools *pools, struct hq_err *err)
{
    if (pools->count > HQ_RESOURCES_MAX) {
        return hq_err_set(err, -E2BIG, "Too many resources (at most %u are allowed)", HQ_RESOURCES_MAX);
    }
    for (size_t i = 0; i < pools->count; i++) {
        int rc = check_pool(&pools->v[i], err);
        if (rc < 0) {
            return rc;
        }
        if (i > 0 && hq_str_cmp(pools->v[i - 1].name, pools->v[i].name) >= 0) {
            return hq_err_set(err, -EINVAL, "Resource %.*s defined twice", HQ_STR_FMT(pools->v[i].name));
        }
    }
    if (pools->coupling_count > HQ_COUPLINGS_MAX) {
        return hq_err_set(err, -E2BIG, "Too many couplings (at most %u are allowed)", HQ_COUPLINGS_MAX);
    }
    for (size_t i = 0; i < pools->coupling_count; i++) {
        const struct hq_coupling *c = &pools->couplings[i];
        if (!coupling_end_ok(pools, c->resource1_ix, c->group1_ix) ||
            !coupling_end_ok(pools, c->resource2_ix, c->group2_ix) || c->weight > UINT16_MAX) {
            return hq_err_set(err, -EINVAL, "Invalid coupling");
        }
    }
    return 0;
}

/* ---- sizes, copies, look-up */

hq_amount
hq_pool_size(const struct hq_pool *p)
{
    switch (p->kind) {
    case HQ_POOL_SUM:
        return p->sum;
    case HQ_POOL_RANGE:
        return ((hq_amount)p->range_last - p->range_first + 1) * HQ_AMOUNT_ONE;
    case HQ_POOL_LIST:
    case HQ_POOL_GROUPS:
        break;
    }
    return (hq_amount)value_count(p) * HQ_AMOUNT_ONE;
}

static void
copy_pool(struct hq_pool *ret, const struct hq_pool *p, struct hq_arena *arena)
{
    *ret = *p;
    ret->name = hq_arena_str(arena, p->name);
    ret->groups = hq_arena_array(arena, p->group_count, sizeof *ret->groups);
    for (size_t i = 0; i < p->group_count; i++) {
        const struct hq_pool_group *from = &p->groups[i];
        struct hq_pool_group *to = &ret->groups[i];
        to->count = from->count;
        to->values = hq_arena_array(arena, from->count, sizeof *to->values);
        for (size_t k = 0; k < from->count; k++) {
            to->values[k] = hq_arena_str(arena, from->values[k]);
        }
    }
}

void
hq_pools_copy(struct hq_pools *ret, const struct hq_pools *pools, struct hq_arena *arena)
{
    struct hq_pools copy = {.count = pools->count, .coupling_count = pools->coupling_count};
    copy.v = hq_arena_array(arena, pools->count, sizeof *copy.v);
    for (size_t i = 0; i < pools->count; i++) {
        copy_pool(&copy.v[i], &pools->v[i], arena);
    }
    copy.couplings = hq_arena_array(arena, pools->coupling_count, sizeof *copy.couplings);
    for (size_t i = 0; i < pools->coupling_count; i++) {
        copy.couplings[i] = pools->couplings[i];
    }
    *ret = copy;
}

const struct hq_pool *
hq_pools_find(const struct hq_pools *pools, struct hq_str name)
{
    size_t low = 0;
    size_t high = pools->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = hq_str_cmp(pools->v[mid].name, name);
        if (order == 0) {
            return &pools->v[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

/* ---- printing */

/* "5x2 1x6": how many groups of each size, sizes ascending. */
static void
print_group_sizes(const struct hq_pool *p, struct hq_buf *out)
{
    HQ_AUTO(hq_mem_freep) size_t *sizes = hq_xcalloc(p->group_count, sizeof *sizes);
    for (size_t i = 0; i < p->group_count; i++) {
        sizes[i] = p->groups[i].count;
    }
    qsort(sizes, p->group_count, sizeof *sizes, by_size);
    const char *sep = "";
    for (size_t i = 0; i < p->group_count;) {
        size_t end = i;
        while (end < p->group_count && sizes[end] == sizes[i]) {
            end++;
        }
        hq_buf_printf(out, "%s%zux%zu", sep, end - i, sizes[i]);
        sep = " ";
        i = end;
    }
}

static void
print_count(const struct hq_pool *p, struct hq_buf *out)
{
    if (p->kind == HQ_POOL_GROUPS && p->group_count > 1) {
        print_group_sizes(p, out);
    } else if (p->kind == HQ_POOL_SUM && hq_str_is(p->name, "mem")) {
        double mib = (double)p->sum / (double)HQ_AMOUNT_ONE;
        if (mib < 512.0) {
            hq_buf_printf(out, "%.2f MiB", mib);
        } else {
            hq_buf_printf(out, "%.2f GiB", mib / 1024.0);
        }
    } else {
        hq_amount_print(hq_pool_size(p), out);
    }
}

void
hq_pools_print_summary(const struct hq_pools *pools, const char *sep, const char *name_sep, struct hq_buf *out)
{
    for (size_t i = 0; i < pools->count; i++) {
        bool is_coupled = false;
        for (size_t k = 0; k < pools->coupling_count && !is_coupled; k++) {
            is_coupled = pools->couplings[k].resource1_ix == i || pools->couplings[k].resource2_ix == i;
        }
        hq_buf_cstr(out, i == 0 ? "" : sep);
        hq_buf_str(out, pools->v[i].name);
        hq_buf_cstr(out, name_sep);
        print_count(&pools->v[i], out);
        hq_buf_cstr(out, is_coupled ? " [coupled]" : "");
    }
}

static void
print_values(const struct hq_pool_group *g, struct hq_buf *out)
{
    hq_buf_byte(out, '[');
    for (size_t i = 0; i < g->count; i++) {
        if (i > 0) {
            hq_buf_byte(out, ',');
        }
        hq_buf_str(out, g->values[i]);
    }
    hq_buf_byte(out, ']');
}

void
hq_pool_print_full(const struct hq_pool *p, struct hq_buf *out)
{
    switch (p->kind) {
    case HQ_POOL_SUM:
        hq_buf_cstr(out, "sum(");
        hq_amount_print(p->sum, out);
        hq_buf_byte(out, ')');
        return;
    case HQ_POOL_RANGE:
        if (p->range_first == p->range_last) {
            hq_buf_printf(out, "[%u]", p->range_first);
        } else {
            hq_buf_printf(out, "range(%u-%u)", p->range_first, p->range_last);
        }
        return;
    case HQ_POOL_LIST:
        print_values(&p->groups[0], out);
        return;
    case HQ_POOL_GROUPS:
        break;
    }
    hq_buf_byte(out, '[');
    for (size_t i = 0; i < p->group_count; i++) {
        hq_buf_cstr(out, i == 0 ? "" : ",");
        print_values(&p->groups[i], out);
    }
    hq_buf_byte(out, ']');
}
