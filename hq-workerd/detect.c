/* detect.c - cpus and memory by hwloc. */
#include "hq-workerd/detect.h"

#include <hwloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "hq-workerd/cgroup.h"

#define MIB ((uint64_t)1 << 20)

static int
detect_open(hwloc_topology_t *ret)
{
    if (hwloc_topology_init(ret) < 0) {
        return -ENOMEM;
    }
    /* Caches and devices cost most of the time and say nothing here. Packages and groups must stay: without them the
     * NUMA nodes hang on the whole machine and lose their cpusets. */
    (void)hwloc_topology_set_cache_types_filter(*ret, HWLOC_TYPE_FILTER_KEEP_NONE);
    (void)hwloc_topology_set_icache_types_filter(*ret, HWLOC_TYPE_FILTER_KEEP_NONE);
    (void)hwloc_topology_set_io_types_filter(*ret, HWLOC_TYPE_FILTER_KEEP_NONE);
    (void)hwloc_topology_set_type_filter(*ret, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(*ret) < 0) {
        hwloc_topology_destroy(*ret);
        return -EIO;
    }
    return 0;
}

static void
bitmap_labels(hwloc_const_bitmap_t set, struct hq_pool_group *ret, struct hq_arena *arena)
{
    int cpu, weight = hwloc_bitmap_weight(set);

    ret->count = 0;
    ret->values = hq_arena_array(arena, weight < 0 ? 0 : (size_t)weight, sizeof(*ret->values));
    for (cpu = hwloc_bitmap_first(set); cpu >= 0 && ret->count < (size_t)weight; cpu = hwloc_bitmap_next(set, cpu)) {
        ret->values[ret->count++] = hq_str_from(hq_arena_printf(arena, "%d", cpu));
    }
}

/* The first thread of each core that has one in `set`. */
static void
keep_first_threads(hwloc_topology_t topology, hwloc_bitmap_t set)
{
    hwloc_bitmap_t keep = hwloc_bitmap_alloc(), siblings = hwloc_bitmap_alloc();
    hwloc_obj_t core = NULL;

    if (keep == NULL || siblings == NULL) {
        hwloc_bitmap_free(keep);
        hwloc_bitmap_free(siblings);
        return;
    }
    (void)hwloc_bitmap_copy(keep, set);
    while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != NULL) {
        (void)hwloc_bitmap_and(siblings, core->cpuset, set);
        int first = hwloc_bitmap_first(siblings);
        if (first >= 0) {
            (void)hwloc_bitmap_clr(siblings, (unsigned)first);
            (void)hwloc_bitmap_andnot(keep, keep, siblings);
        }
    }
    (void)hwloc_bitmap_copy(set, keep);
    hwloc_bitmap_free(keep);
    hwloc_bitmap_free(siblings);
}

static void
print_groups(struct hq_buf *out, const struct hq_pool_group *groups, size_t count)
{
    hq_buf_byte(out, '[');
    for (size_t g = 0; g < count; g++) {
        hq_buf_cstr(out, g == 0 ? "\"" : ", \"");
        for (size_t i = 0; i < groups[g].count; i++) {
            hq_buf_cstr(out, i == 0 ? "" : ",");
            hq_buf_str(out, groups[g].values[i]);
        }
        hq_buf_byte(out, '"');
    }
    hq_buf_byte(out, ']');
}

struct cpu_groups {
    struct hq_pool_group *all;     /* per NUMA node, as the machine has them */
    struct hq_pool_group *allowed; /* what the process may use of them */
    uint32_t *node_ix; /* as the system counts them; UINT32_MAX: no node */
    size_t count;
    bool was_filtered;
};

/* One group out of the cpus of an object, as far as no group has them yet. */
static void
add_group(hwloc_topology_t topology, hwloc_obj_t from, hwloc_const_bitmap_t mask, bool one_per_core, hwloc_bitmap_t seen,
          struct cpu_groups *ret, struct hq_arena *arena)
{
    hwloc_bitmap_t set = hwloc_bitmap_dup(from->cpuset);

    if (set == NULL) {
        return;
    }
    (void)hwloc_bitmap_andnot(set, set, seen); /* memory of several kinds is near to the same cpus */
    (void)hwloc_bitmap_or(seen, seen, set);
    if (one_per_core) {
        keep_first_threads(topology, set);
    }
    if (!hwloc_bitmap_iszero(set)) { /* else memory without cpus of its own */
        bitmap_labels(set, &ret->all[ret->count], arena);
        (void)hwloc_bitmap_and(set, set, mask);
        bitmap_labels(set, &ret->allowed[ret->count], arena);
        ret->node_ix[ret->count] = from->type == HWLOC_OBJ_NUMANODE ? from->os_index : UINT32_MAX;
        ret->was_filtered = ret->was_filtered || ret->allowed[ret->count].count < ret->all[ret->count].count;
        ret->count++;
    }
    hwloc_bitmap_free(set);
}

static bool
group_goes_first(const struct cpu_groups *g, size_t a, size_t b, bool by_node)
{
    uint32_t cpu[2] = {0, 0};

    if (by_node) {
        return g->node_ix[a] < g->node_ix[b];
    }
    if (hq_num_u32(g->all[a].values[0], &cpu[0], NULL) < 0 || hq_num_u32(g->all[b].values[0], &cpu[1], NULL) < 0) {
        return false;
    }
    return cpu[0] < cpu[1];
}

static void
swap_groups(struct cpu_groups *g, size_t a, size_t b)
{
    struct hq_pool_group all = g->all[a], allowed = g->allowed[a];
    uint32_t node_ix = g->node_ix[a];

    g->all[a] = g->all[b];
    g->allowed[a] = g->allowed[b];
    g->node_ix[a] = g->node_ix[b];
    g->all[b] = all;
    g->allowed[b] = allowed;
    g->node_ix[b] = node_ix;
}

/* Users count groups as the system counts its nodes (coupling, policies); with cpus that have no node: by the first cpu. */
static void
sort_groups(struct cpu_groups *g)
{
    bool by_node = true;

    for (size_t i = 0; i < g->count; i++) {
        by_node = by_node && g->node_ix[i] != UINT32_MAX;
    }
    for (size_t i = 1; i < g->count; i++) {
        for (size_t k = i; k > 0 && group_goes_first(g, k, k - 1, by_node); k--) {
            swap_groups(g, k, k - 1);
        }
    }
}

/* A group per NUMA node. A cpuset may forbid the memory of a node and allow its cpus: these go by package. */
static void
read_groups(hwloc_topology_t topology, hwloc_const_bitmap_t mask, bool one_per_core, struct cpu_groups *ret,
            struct hq_arena *arena)
{
    static const hwloc_obj_type_t kinds[] = {HWLOC_OBJ_NUMANODE, HWLOC_OBJ_PACKAGE, HWLOC_OBJ_MACHINE};
    hwloc_bitmap_t seen = hwloc_bitmap_alloc();
    size_t max = 1;

    for (size_t k = 0; k < HQ_ARRAY_LEN(kinds); k++) {
        int count = hwloc_get_nbobjs_by_type(topology, kinds[k]);
        max += count > 0 ? (size_t)count : 0;
    }
    *ret = (struct cpu_groups){.all = hq_arena_array(arena, max, sizeof(*ret->all)),
                               .allowed = hq_arena_array(arena, max, sizeof(*ret->allowed)),
                               .node_ix = hq_arena_array(arena, max, sizeof(*ret->node_ix))};
    for (size_t k = 0; k < HQ_ARRAY_LEN(kinds) && seen != NULL; k++) {
        hwloc_obj_t o = NULL;
        while ((o = hwloc_get_next_obj_by_type(topology, kinds[k], o)) != NULL) {
            add_group(topology, o, mask, one_per_core, seen, ret, arena);
        }
    }
    hwloc_bitmap_free(seen);
    sort_groups(ret);
}

/* cpus of the affinity mask, within what cpusets allow; with another machine's topology: all allowed ones. */
static hwloc_bitmap_t
usable_cpus(hwloc_topology_t topology)
{
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();

    if (mask == NULL) {
        return NULL;
    }
    if (!hwloc_topology_is_thissystem(topology) || hwloc_get_cpubind(topology, mask, HWLOC_CPUBIND_PROCESS) < 0) {
        (void)hwloc_bitmap_copy(mask, hwloc_topology_get_allowed_cpuset(topology));
    }
    (void)hwloc_bitmap_and(mask, mask, hwloc_topology_get_allowed_cpuset(topology));
    return mask;
}

static void
cpus_by_number(struct hq_pool *ret)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    *ret = (struct hq_pool){.name = HQ_STR("cpus"),
                            .kind = HQ_POOL_RANGE,
                            .range_first = 0,
                            .range_last = count > 1 ? (uint32_t)(count - 1) : 0};
}

void
detect_cpus(struct hq_pool *ret, bool one_per_core, struct hq_arena *arena)
{
    hwloc_topology_t topology;
    struct cpu_groups g;
    size_t kept = 0;

    if (detect_open(&topology) < 0) {
        hq_log_warn("The topology of this machine cannot be read: cpus are only counted");
        cpus_by_number(ret);
        return;
    }
    hwloc_bitmap_t mask = usable_cpus(topology);
    if (mask == NULL) {
        hwloc_topology_destroy(topology);
        cpus_by_number(ret);
        return;
    }
    read_groups(topology, mask, one_per_core, &g, arena);
    hwloc_bitmap_free(mask);
    hwloc_topology_destroy(topology);
    if (g.was_filtered) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        hq_buf_cstr(&text, "Some cores were filtered by a CPU mask. All cores: ");
        print_groups(&text, g.all, g.count);
        hq_buf_cstr(&text, ". Allowed cores: ");
        print_groups(&text, g.allowed, g.count);
        hq_log_info("%s.", text.ptr);
    }
    for (size_t i = 0; i < g.count; i++) { /* a node that the mask has emptied is no group */
        if (g.allowed[i].count > 0) {
            g.allowed[kept++] = g.allowed[i];
        }
    }
    if (kept == 0) {
        cpus_by_number(ret);
        return;
    }
    *ret = (struct hq_pool){.name = HQ_STR("cpus"),
                            .kind = kept == 1 ? HQ_POOL_LIST : HQ_POOL_GROUPS,
                            .groups = g.allowed,
                            .group_count = kept};
}

/* Is the cpu the first thread of its core, as far as the machine knows it? */
static bool
is_first_thread(hwloc_topology_t topology, struct hq_str label)
{
    uint32_t cpu;

    if (hq_num_u32(label, &cpu, NULL) < 0) {
        return true;
    }
    hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(topology, cpu);
    hwloc_obj_t core = pu == NULL ? NULL : hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    return core == NULL || hwloc_bitmap_first(core->cpuset) == (int)cpu;
}

void
detect_drop_threads(struct hq_pool *pool, struct hq_arena *arena)
{
    hwloc_topology_t topology;
    struct hq_pool_group range;

    if (pool->kind == HQ_POOL_SUM || detect_open(&topology) < 0) {
        return;
    }
    if (pool->kind == HQ_POOL_RANGE) {
        range.count = pool->range_last - pool->range_first + 1;
        range.values = hq_arena_array(arena, range.count, sizeof(*range.values));
        for (size_t i = 0; i < range.count; i++) {
            range.values[i] = hq_str_from(hq_arena_printf(arena, "%u", pool->range_first + (uint32_t)i));
        }
        pool->groups = hq_arena_alloc(arena, sizeof(*pool->groups));
        pool->groups[0] = range;
        pool->group_count = 1;
        pool->kind = HQ_POOL_LIST;
    }
    size_t kept_groups = 0;
    for (size_t g = 0; g < pool->group_count; g++) {
        struct hq_pool_group *from = &pool->groups[g];
        size_t kept = 0;
        for (size_t i = 0; i < from->count; i++) {
            if (is_first_thread(topology, from->values[i])) {
                from->values[kept++] = from->values[i];
            }
        }
        from->count = kept;
        if (kept > 0) {
            pool->groups[kept_groups++] = *from;
        }
    }
    pool->group_count = kept_groups;
    pool->kind = kept_groups > 1 ? HQ_POOL_GROUPS : HQ_POOL_LIST;
    hwloc_topology_destroy(topology);
}

/* Memory of the nodes that a cpuset allows, or of another machine's topology; 0 = all that this machine has. The nodes' sizes
 * do not always add up to that (memory added to a running virtual machine), so they count only where they must. */
static uint64_t
memory_of_nodes(bool *ret_is_here)
{
    hwloc_topology_t topology;
    uint64_t bytes = 0;

    *ret_is_here = true;
    if (detect_open(&topology) < 0) {
        return 0;
    }
    *ret_is_here = hwloc_topology_is_thissystem(topology) != 0;
    if (!*ret_is_here ||
        !hwloc_bitmap_isequal(hwloc_topology_get_allowed_nodeset(topology), hwloc_topology_get_complete_nodeset(topology))) {
        bytes = hwloc_get_root_obj(topology)->total_memory;
    }
    hwloc_topology_destroy(topology);
    return bytes;
}

bool
detect_memory(struct hq_pool *ret, struct hq_arena *arena)
{
    bool is_here;
    uint64_t bytes = memory_of_nodes(&is_here), limit = is_here ? cgroup_memory_limit() : UINT64_MAX;

    (void)arena; /* a sum needs none */
    if (bytes == 0 && is_here) {
        long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
        bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
    }
    if (limit < bytes) {
        hq_log_info("A control group limits the memory of this process to %lluB", (unsigned long long)limit);
        bytes = limit;
    }
    if (bytes == 0) {
        hq_log_warn("The size of the memory cannot be detected");
        return false;
    }
    hq_log_info("Detected %lluB of memory (%.2f GiB)", (unsigned long long)bytes, (double)bytes / (double)(MIB * 1024));
    *ret = (struct hq_pool){.name = HQ_STR("mem"), .kind = HQ_POOL_SUM};
    ret->sum = bytes / MIB * HQ_AMOUNT_ONE + bytes % MIB * HQ_AMOUNT_ONE / MIB;
    return true;
}
