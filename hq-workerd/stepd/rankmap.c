#include "hq-workerd/stepd/rankmap.h"

#include <stdlib.h>

#include "common/mem.h"

struct pu {
    unsigned os_index;
    unsigned numa; /* logical index of its node */
    unsigned turn; /* how many of its core stand before it, if each rank takes one cpu and there are cores enough; else 0 */
    unsigned order;
};

static int
pu_cmp(const void *a, const void *b)
{
    const struct pu *x = a, *y = b;

    if (x->numa != y->numa) {
        return x->numa < y->numa ? -1 : 1;
    }
    if (x->turn != y->turn) {
        return x->turn < y->turn ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

static unsigned
pu_numa(hwloc_topology_t topology, hwloc_obj_t pu)
{
    int node = pu->nodeset == NULL ? -1 : hwloc_bitmap_first(pu->nodeset);
    hwloc_obj_t obj = node < 0 ? NULL : hwloc_get_numanode_obj_by_os_index(topology, (unsigned)node);

    return obj == NULL ? 0 : obj->logical_index;
}

/* Allowed cpus in the order in which they are dealt. */
static struct pu *
list_pus(const struct rankmap_conf *conf, bool by_core, size_t *ret_count, size_t *ret_cores)
{
    int weight = hwloc_bitmap_weight(conf->allowed);
    struct pu *pus = hq_xcalloc(weight > 0 ? (size_t)weight : 1, sizeof(*pus));
    size_t count = 0, cores = 0;
    hwloc_obj_t obj = NULL, last_core = NULL;
    unsigned turn = 0;

    while (count < (size_t)HQ_MAX(weight, 0) &&
           (obj = hwloc_get_next_obj_inside_cpuset_by_type(conf->topology, conf->allowed, HWLOC_OBJ_PU, obj)) != NULL) {
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(conf->topology, HWLOC_OBJ_CORE, obj);
        bool is_same = core != NULL && core == last_core;
        turn = is_same ? turn + 1 : 0;
        cores += !is_same;
        last_core = core;
        pus[count] = (struct pu){
            .os_index = obj->os_index,
            .numa = pu_numa(conf->topology, obj),
            .turn = by_core ? turn : 0,
            .order = (unsigned)count,
        };
        count++;
    }
    qsort(pus, count, sizeof(*pus), pu_cmp);
    *ret_count = count;
    *ret_cores = cores;
    return pus;
}

/* First free cpu from which on `want` free ones lie in one NUMA node, else the first free one. */
static size_t
find_place(const struct pu *pus, const bool *is_taken, size_t count, size_t want)
{
    size_t first_free = count, run = 0, start = 0;
    unsigned numa = 0;

    for (size_t i = 0; i < count; i++) {
        if (run > 0 && pus[i].numa != numa) {
            run = 0;
        }
        if (is_taken[i]) {
            continue;
        }
        first_free = HQ_MIN(first_free, i);
        start = run == 0 ? i : start;
        numa = pus[i].numa;
        if (++run == want) {
            return start;
        }
    }
    return first_free;
}

static void
deal(struct rankmap *m, const struct pu *pus, size_t count)
{
    bool *is_taken = hq_xcalloc(count, sizeof(*is_taken));

    for (uint32_t r = 0; r < m->rank_count; r++) {
        size_t left = m->cpus_per_rank;
        for (size_t i = find_place(pus, is_taken, count, left); i < count && left > 0; i++) {
            if (!is_taken[i]) {
                is_taken[i] = true;
                hwloc_bitmap_set(m->sets[r], pus[i].os_index);
                left--;
            }
        }
        HQ_ASSERT(left == 0); /* there were enough in all, and free ones before the place do not exist without one */
    }
    free(is_taken);
}

int
rankmap_make(struct rankmap *ret, const struct rankmap_conf *conf, struct hq_err *err)
{
    struct rankmap m = {.rank_count = conf->rank_count};
    size_t count, cores;
    struct pu *pus = list_pus(conf, false, &count, &cores);

    HQ_ASSERT(conf->rank_count > 0);
    uint64_t wanted = (uint64_t)HQ_MAX(conf->cpus_per_rank, 1u) * conf->rank_count;
    m.is_shared = wanted > count;
    m.cpus_per_rank = conf->cpus_per_rank > 0 ? conf->cpus_per_rank : HQ_MAX((uint32_t)count / conf->rank_count, 1u);
    if (count == 0 || (m.is_shared && !conf->can_share)) {
        free(pus);
        return count == 0 ? hq_err_set(err, -EINVAL, "No cpu is left for the ranks")
                          : hq_err_set(err, -ENOSPC, "%u ranks of %u cpus each do not fit %zu cpus", conf->rank_count,
                                       m.cpus_per_rank, count);
    }
    if (!m.is_shared && m.cpus_per_rank == 1 && conf->rank_count <= cores) {
        free(pus);
        pus = list_pus(conf, true, &count, &cores); /* a core each, before two share one */
    }
    m.sets = hq_xcalloc(conf->rank_count, sizeof(hwloc_cpuset_t));
    for (uint32_t r = 0; r < m.rank_count; r++) {
        m.sets[r] = m.is_shared ? hwloc_bitmap_dup(conf->allowed) : hwloc_bitmap_alloc();
    }
    if (!m.is_shared) {
        deal(&m, pus, count);
    }
    free(pus);
    *ret = m;
    return 0;
}

void
rankmap_fini(struct rankmap *m)
{
    for (uint32_t r = 0; r < m->rank_count && m->sets != NULL; r++) {
        hwloc_bitmap_free(m->sets[r]);
    }
    free(m->sets);
    *m = (struct rankmap){0};
}
