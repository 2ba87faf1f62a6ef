#include "hqd/core/pack.h"

#include "common/mem.h"

#define ALIGN_BYTES ((size_t)8)

void *
pack_take(struct pack *p, size_t count, size_t item_bytes)
{
    size_t bytes;
    HQ_ASSERT(hq_mul_size(count, item_bytes, &bytes));
    bytes = (bytes + ALIGN_BYTES - 1) & ~(ALIGN_BYTES - 1);
    void *at = p->base == NULL ? NULL : p->base + p->used_bytes;
    HQ_ASSERT(hq_add_size(p->used_bytes, bytes, &p->used_bytes));
    return at;
}

void *
pack_copy(struct pack *p, const void *items, size_t count, size_t item_bytes)
{
    if (count == 0 || items == NULL) {
        return NULL;
    }
    void *at = pack_take(p, count, item_bytes);
    if (at != NULL) {
        memcpy(at, items, count * item_bytes);
    }
    return at;
}

struct hq_str
pack_str(struct pack *p, struct hq_str s)
{
    char *at = pack_copy(p, s.ptr, s.len, 1);
    return (struct hq_str){.ptr = at, .len = s.len};
}

struct hq_str *
pack_strs(struct pack *p, const struct hq_str *v, size_t count)
{
    struct hq_str *at = pack_take(p, count, sizeof(*at));
    for (size_t i = 0; i < count; i++) {
        struct hq_str s = pack_str(p, v[i]);
        if (at != NULL) {
            at[i] = s;
        }
    }
    return at;
}

struct hq_ranges
pack_ranges(struct pack *p, const struct hq_ranges *r)
{
    struct hq_range *v = pack_copy(p, r->v, r->count, sizeof(*v));
    return (struct hq_ranges){.v = v, .count = r->count, .cap = r->count};
}

static struct hq_variant
pack_variant(struct pack *p, const struct hq_variant *v)
{
    struct hq_variant copy = *v;
    copy.entries = pack_take(p, v->entry_count, sizeof(*copy.entries));
    for (size_t i = 0; i < v->entry_count; i++) {
        struct hq_request_entry e = v->entries[i];
        e.name = pack_str(p, e.name);
        if (copy.entries != NULL) {
            copy.entries[i] = e;
        }
    }
    return copy;
}

struct hq_request
pack_request(struct pack *p, const struct hq_request *r)
{
    struct hq_request copy = {.variant_count = r->variant_count};
    copy.variants = pack_take(p, r->variant_count, sizeof(*copy.variants));
    for (size_t i = 0; i < r->variant_count; i++) {
        struct hq_variant v = pack_variant(p, &r->variants[i]);
        if (copy.variants != NULL) {
            copy.variants[i] = v;
        }
    }
    return copy;
}

struct task_desc
pack_desc(struct pack *p, const struct task_desc *d)
{
    struct task_desc copy = *d;
    copy.args = pack_strs(p, d->args, d->arg_count);
    struct env_var *env = pack_take(p, d->env_count, sizeof(*env));
    for (size_t i = 0; i < d->env_count; i++) {
        struct env_var e = {.key = pack_str(p, d->env[i].key), .value = pack_str(p, d->env[i].value)};
        if (env != NULL) {
            env[i] = e;
        }
    }
    copy.env = env;
    copy.cwd = pack_str(p, d->cwd);
    copy.out.path = pack_str(p, d->out.path);
    copy.err.path = pack_str(p, d->err.path);
    copy.request = (struct hq_request){0};
    return copy;
}

static struct hq_pool
pack_pool(struct pack *p, const struct hq_pool *pool)
{
    struct hq_pool copy = *pool;
    copy.name = pack_str(p, pool->name);
    copy.groups = pack_take(p, pool->group_count, sizeof(*copy.groups));
    for (size_t i = 0; i < pool->group_count; i++) {
        struct hq_pool_group g = {.count = pool->groups[i].count};
        g.values = pack_strs(p, pool->groups[i].values, g.count);
        if (copy.groups != NULL) {
            copy.groups[i] = g;
        }
    }
    return copy;
}

struct hq_pools
pack_pools(struct pack *p, const struct hq_pools *pools)
{
    struct hq_pools copy = *pools;
    copy.v = pack_take(p, pools->count, sizeof(*copy.v));
    for (size_t i = 0; i < pools->count; i++) {
        struct hq_pool pool = pack_pool(p, &pools->v[i]);
        if (copy.v != NULL) {
            copy.v[i] = pool;
        }
    }
    copy.couplings = pack_copy(p, pools->couplings, pools->coupling_count, sizeof(*pools->couplings));
    return copy;
}

struct worker_config
pack_config(struct pack *p, const struct worker_config *c)
{
    struct worker_config copy = *c;
    copy.hostname = pack_str(p, c->hostname);
    copy.group = pack_str(p, c->group);
    copy.work_dir = pack_str(p, c->work_dir);
    copy.listen_address = pack_str(p, c->listen_address);
    copy.manager_job_id = pack_str(p, c->manager_job_id);
    copy.host_boot_id = pack_str(p, c->host_boot_id);
    copy.gpu_families = pack_strs(p, c->gpu_families, c->gpu_family_count);
    copy.addresses = pack_strs(p, c->addresses, c->address_count);
    copy.pools = pack_pools(p, &c->pools);
    return copy;
}

struct task_times
pack_times(struct pack *p, const struct task_times *t)
{
    struct task_times copy = *t;
    copy.started = pack_copy(p, t->started, t->count, sizeof(*t->started));
    copy.duration_ms = pack_copy(p, t->duration_ms, t->count, sizeof(*t->duration_ms));
    return copy;
}
