#include "hqd/sched/class.h"

#include "common/mem.h"
#include "hqd/core/pack.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

uint32_t
class_resource(const struct core *core, struct hq_str name)
{
    for (uint32_t i = 0; i < core->res_count; i++) {
        if (hq_str_is(name, core->res[i])) {
            return i;
        }
    }
    return RES_NONE;
}

static void
compile(const struct core *core, struct cls *cls)
{
    for (uint32_t i = 0; i < cls->variant_count; i++) {
        const struct hq_variant *from = &cls->request.variants[i];
        struct cls_variant *to = &cls->variants[i];
        for (uint32_t k = 0; k < to->need_count; k++) {
            const struct hq_request_entry *e = &from->entries[k];
            to->needs[k] = (struct need){
                .res = class_resource(core, e->name),
                .is_all = e->policy == HQ_POLICY_ALL,
                .amount = e->amount,
            };
        }
    }
}

static struct cls *
create(struct core *core, const struct hq_request *request, int32_t priority, uint64_t hash)
{
    struct cls *cls = hq_xalloc(sizeof(*cls));
    struct pack p = {0};
    (void)pack_request(&p, request); /* measures */
    cls->blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = cls->blob};
    cls->request = pack_request(&p, request);
    cls->id = core->next_class++;
    cls->hash = hash;
    cls->priority = priority;
    cls->variant_count = (uint32_t)request->variant_count;
    cls->variants = hq_xcalloc(cls->variant_count, sizeof(*cls->variants));
    for (uint32_t i = 0; i < cls->variant_count; i++) {
        const struct hq_variant *from = &cls->request.variants[i];
        struct cls_variant *to = &cls->variants[i];
        to->n_nodes = from->n_nodes;
        to->min_time_ms = from->min_time_ms;
        to->weight_x10000 = from->weight_x10000 == 0 ? 10000 : from->weight_x10000;
        to->need_count = (uint32_t)from->entry_count; /* of each node, which is taken whole */
        to->needs = hq_xcalloc(HQ_MAX(to->need_count, 1u), sizeof(*to->needs));
        cls->is_gang = cls->is_gang || from->n_nodes > 0;
    }
    compile(core, cls);
    return cls;
}

static void
destroy(struct cls *cls)
{
    hq_heap_fini(&cls->nodes);
    for (uint32_t i = 0; i < cls->variant_count; i++) {
        free(cls->variants[i].needs);
    }
    free(cls->variants);
    free(cls->blob);
    free(cls);
}

struct cls *
class_get(struct core *core, const struct hq_request *request, int32_t priority)
{
    uint64_t hash = hq_request_hash(request) * 31 + (uint32_t)priority;
    struct cls *first = hq_map_get_ptr(&core->classes, hash);
    for (struct cls *c = first; c != NULL; c = c->next_same) {
        if (c->priority == priority && hq_request_eq(&c->request, request)) {
            c->refs++;
            return c;
        }
    }
    struct cls *cls = create(core, request, priority, hash);
    cls->refs = 1;
    cls->next_same = first;
    hq_map_set_ptr(&core->classes, hash, cls);
    core->class_count++;
    return cls;
}

void
class_put(struct core *core, struct cls *cls)
{
    HQ_ASSERT(cls->refs > 0);
    if (--cls->refs > 0) {
        return;
    }
    HQ_ASSERT(cls->ready == 0);
    worker_forget_class(core, cls);
    struct cls *first = hq_map_get_ptr(&core->classes, cls->hash);
    if (first == cls && cls->next_same == NULL) {
        (void)hq_map_del(&core->classes, cls->hash);
    } else if (first == cls) {
        hq_map_set_ptr(&core->classes, cls->hash, cls->next_same);
    } else {
        while (first->next_same != cls) {
            first = first->next_same;
        }
        first->next_same = cls->next_same;
    }
    core->class_count--;
    destroy(cls);
}

bool
class_add_resources(struct core *core, const struct hq_pools *pools)
{
    bool any = false;
    for (size_t i = 0; i < pools->count; i++) {
        if (class_resource(core, pools->v[i].name) == RES_NONE) {
            core->res = hq_xrealloc(core->res, core->res_count + 1, sizeof(*core->res));
            core->res[core->res_count++] = hq_str_dupz(pools->v[i].name);
            any = true;
        }
    }
    uint64_t key;
    uint64_t value;
    for (size_t it = 0; any && hq_map_next(&core->classes, &it, &key, &value);) {
        for (struct cls *c = (struct cls *)(uintptr_t)value; c != NULL; c = c->next_same) {
            compile(core, c);
        }
    }
    return any;
}

int
class_order(const struct cls *a, const struct cls *b)
{
    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }
    return a->id == b->id ? 0 : a->id < b->id ? -1 : 1;
}

/* Index of the first active class that does not go before `cls`. */
static uint32_t
place_of(const struct core *core, const struct cls *cls)
{
    uint32_t low = 0;
    uint32_t high = core->active_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (class_order(core->active[mid], cls) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void
class_activate(struct core *core, struct cls *cls)
{
    if (core->active_count == core->active_cap) {
        core->active_cap = core->active_cap == 0 ? 8 : core->active_cap * 2;
        core->active = hq_xrealloc(core->active, core->active_cap, sizeof(struct cls *));
    }
    uint32_t ix = place_of(core, cls);
    memmove(&core->active[ix + 1], &core->active[ix], (core->active_count - ix) * sizeof(struct cls *));
    core->active[ix] = cls;
    core->active_count++;
}

void
class_deactivate(struct core *core, struct cls *cls)
{
    uint32_t ix = place_of(core, cls);
    HQ_ASSERT(ix < core->active_count && core->active[ix] == cls);
    core->active_count--;
    core->is_hungry = true; /* what was kept for it may start what others have queued */
    cls->waiting_from_ms = 0;
    cls->left = 0; /* passes look at `left` of classes that workers have, active or not */
    memmove(&core->active[ix], &core->active[ix + 1], (core->active_count - ix) * sizeof(struct cls *));
}
