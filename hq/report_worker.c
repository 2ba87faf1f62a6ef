#include "hq/report_priv.h"

#include "common/num.h"
#include "hq/desc_print.h"

#include <math.h>

static double
pool_amount(const Hq__Pool *p)
{
    size_t count = 0;

    if (p->kind == HQ__POOL_KIND__POOL_SUM) {
        return (double)p->sum / 10000.0;
    }
    if (p->kind == HQ__POOL_KIND__POOL_RANGE) {
        return (double)p->range_last - (double)p->range_first + 1.0;
    }
    for (size_t g = 0; g < p->n_groups; g++) {
        count += p->groups[g]->n_values;
    }
    return (double)count;
}

/* Memory differs by a little from node to node: one decimal, so that equal nodes are of one kind. */
static void
print_kind(const Hq__Pools *pools, struct hq_buf *out)
{
    for (size_t i = 0; pools != NULL && i < pools->n_pools; i++) {
        double tenths = floor(pool_amount(pools->pools[i]) * 10.0);
        hq_buf_cstr(out, i == 0 ? "" : ", ");
        hq_buf_str(out, desc_str(pools->pools[i]->name));
        hq_buf_byte(out, ':');
        hq_num_x10000_print(out, tenths < 1e15 && tenths > 0.0 ? (uint64_t)tenths * 1000 : 0);
    }
}

static uint32_t
find_kind(struct report *r, const Hq__Pools *pools)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    bool is_rest = r->kind_count + 1 >= REPORT_KINDS_MAX;

    print_kind(pools, &text);
    const char *name = text.ptr == NULL ? "" : text.ptr;
    for (size_t i = 0; i < r->kind_count; i++) {
        if (strcmp(r->kinds[i].text, name) == 0) {
            return (uint32_t)i;
        }
    }
    if (r->kind_count == REPORT_KINDS_MAX) {
        return REPORT_KINDS_MAX - 1;
    }
    struct report_kind k = {.text = hq_arena_strz(&r->arena, is_rest ? HQ_STR("other workers") : hq_str_from(name))};
    k.pool_count = pools == NULL || is_rest ? 0 : pools->n_pools;
    k.pools = hq_arena_array(&r->arena, k.pool_count + 1, sizeof(*k.pools));
    for (size_t i = 0; i < k.pool_count; i++) {
        k.pools[i].name = hq_arena_str(&r->arena, desc_str(pools->pools[i]->name));
        k.pools[i].amount = pool_amount(pools->pools[i]);
    }
    hq_arena_grow(&r->arena, &r->kinds, &r->kind_cap, r->kind_count + 1, sizeof(*r->kinds));
    r->kinds[r->kind_count] = k;
    return (uint32_t)r->kind_count++;
}

struct report_worker *
report_find_worker(const struct report *r, uint32_t id)
{
    uint64_t ix = hq_map_get(&r->worker_ix, id, 0);
    return ix == 0 ? NULL : &r->workers[ix - 1];
}

void
report_add_worker(struct report *r, const Hq__WorkerConnected *c, hq_wall_ms at_ms)
{
    struct report_worker w = {.id = c->worker, .from_ms = at_ms, .until_ms = INT64_MAX};

    if (report_find_worker(r, c->worker) != NULL) {
        return;
    }
    w.kind_ix = find_kind(r, c->config == NULL ? NULL : c->config->pools);
    if (c->config != NULL) {
        w.hostname = hq_arena_str(&r->arena, desc_str(c->config->hostname));
    }
    if (r->worker_count < REPORT_WORKERS_SHOWN) {
        w.heat = hq_arena_array(&r->arena, REPORT_HEAT_CELLS, sizeof(*w.heat));
    }
    hq_arena_grow(&r->arena, &r->workers, &r->worker_cap, r->worker_count + 1, sizeof(*r->workers));
    r->workers[r->worker_count++] = w;
    hq_map_set(&r->worker_ix, c->worker, r->worker_count);
    stairs_add(&r->kinds[w.kind_ix].running, &r->grid, at_ms, 1.0);
}

void
report_end_worker(struct report *r, struct report_worker *w, hq_wall_ms at_ms, const char *why)
{
    if (w != NULL && w->end == NULL) {
        w->until_ms = at_ms;
        w->end = why;
        stairs_add(&r->kinds[w->kind_ix].running, &r->grid, at_ms, -1.0);
    }
}

static void
add_heat(struct report *r, struct report_worker *w, hq_wall_ms from_ms, hq_wall_ms until_ms)
{
    double cell_ms = (double)(r->grid.until_ms - r->grid.from_ms) / REPORT_HEAT_CELLS;

    w->busy_ms += (double)(until_ms - from_ms);
    if (w->heat == NULL) {
        return;
    }
    double from = (double)(from_ms - r->grid.from_ms) / cell_ms;
    double until = (double)(until_ms - r->grid.from_ms) / cell_ms;
    for (size_t i = (size_t)from; i < REPORT_HEAT_CELLS && (double)i < until; i++) {
        w->heat[i] += (float)(HQ_MIN(until, (double)i + 1.0) - HQ_MAX(from, (double)i));
    }
}

/* What one task had of one worker. */
void
report_add_use(struct report *r, struct report_worker *w, const struct report_class *c, hq_wall_ms from_ms,
               hq_wall_ms until_ms)
{
    if (w == NULL || !grid_clip(&r->grid, &from_ms, &until_ms)) {
        return;
    }
    const struct report_kind *k = &r->kinds[w->kind_ix];
    add_heat(r, w, from_ms, until_ms);
    for (size_t i = 0; c != NULL && i < k->pool_count; i++) {
        struct report_pool *p = &k->pools[i];
        double share = c->is_gang ? 1.0 : 0.0;
        for (size_t n = 0; !c->is_gang && n < c->need_count; n++) {
            if (hq_str_eq(c->needs[n].name, p->name) && p->amount > 0.0) {
                share = c->needs[n].amount < 0.0 ? 1.0 : c->needs[n].amount / p->amount;
            }
        }
        if (share > 0.0) {
            curve_add(&p->used, &r->grid, from_ms, until_ms, share);
        }
    }
}
