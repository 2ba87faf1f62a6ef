/* detect_gpu.c - GPUs from environment variables, else from the NVIDIA driver, else by the class of PCI devices. */
#include "hq-workerd/detect.h"

#include <dirent.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/start_opts.h"

#define NVIDIA_DIR "/proc/driver/nvidia/gpus"

/* PCI classes of devices made to compute. VGA controllers (0x0300) are left out: most of them only show a picture. */
#define PCI_CLASS_3D 0x0302u
#define PCI_CLASS_DISPLAY 0x0380u
#define PCI_CLASS_ACCELERATOR 0x1200u

static const struct gpu_family {
    const char *resource, *variable, *name, *driver;
    uint32_t bit;
    unsigned short vendor;
} families[] = {
    {"gpus/nvidia", "CUDA_VISIBLE_DEVICES", "NVIDIA", "nvidia", HQ_DETECT_NVIDIA, 0x10de},
    {"gpus/amd", "ROCR_VISIBLE_DEVICES", "AMD", "amdgpu", HQ_DETECT_AMD, 0x1002},
};
_Static_assert(HQ_ARRAY_LEN(families) == DETECT_GPU_POOLS, "a pool per family");

size_t
detect_gpu_labels(struct hq_str value, struct hq_str **ret, bool *ret_duplicate, struct hq_arena *arena)
{
    size_t count = 0, max = 1;
    struct hq_str one;

    *ret_duplicate = false;
    for (size_t i = 0; i < value.len; i++) {
        max += value.ptr[i] == ',';
    }
    if (max > HQ_POOL_VALUES_MAX) {
        return 0;
    }
    struct hq_str *labels = hq_arena_array(arena, max, sizeof(*labels));
    for (bool more = true; more;) {
        more = hq_str_split(&value, ',', &one);
        if (one.len == 0) {
            return 0;
        }
        for (size_t i = 0; i < count; i++) {
            if (hq_str_eq(labels[i], one)) {
                *ret_duplicate = true;
                return 0;
            }
        }
        labels[count++] = one;
    }
    *ret = labels;
    return count;
}

static const char *
env_get(char *const *envp, const char *name)
{
    size_t len = strlen(name);

    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            return *envp + len + 1;
        }
    }
    return NULL;
}

static bool
detect_by_variable(struct hq_pool *ret, const struct gpu_family *family, char *const *envp, struct hq_arena *arena)
{
    const char *text = env_get(envp, family->variable);
    bool is_duplicate;
    struct hq_str *labels;

    struct hq_str value = hq_arena_str(arena, hq_str_from(text));
    size_t count = detect_gpu_labels(value, &labels, &is_duplicate, arena);
    if (count > 0 || is_duplicate) {
        hq_log_info("Detected GPUs %s from `%s`", text, family->variable);
    }
    if (is_duplicate) {
        hq_log_warn("%s contains duplicates (%s)", family->variable, text);
    }
    if (count == 0) {
        return false;
    }
    struct hq_pool_group *group = hq_arena_alloc(arena, sizeof(*group));
    *group = (struct hq_pool_group){.values = labels, .count = count};
    *ret = (struct hq_pool){.name = hq_str_from(family->resource), .kind = HQ_POOL_LIST, .groups = group, .group_count = 1};
    return true;
}

static uint32_t
count_by_driver(void)
{
    DIR *dir = opendir(NVIDIA_DIR);
    uint32_t count = 0;
    struct dirent *e;

    if (dir == NULL) {
        return 0;
    }
    while ((e = readdir(dir)) != NULL) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

/* A device without its driver, or given to a virtual machine, computes nothing here. */
static bool
has_driver(const struct hwloc_pcidev_attr_s *pci, const char *driver)
{
    char path[80], target[256];

    (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%04x:%02x:%02x.%01x/driver", (unsigned)pci->domain,
                   (unsigned)pci->bus, (unsigned)pci->dev, (unsigned)pci->func);
    ssize_t len = readlink(path, target, sizeof target);
    if (len <= 0 || (size_t)len >= sizeof target) {
        return false;
    }
    target[len] = '\0';
    const char *name = strrchr(target, '/');
    return strcmp(name == NULL ? target : name + 1, driver) == 0;
}

static bool
computes(const struct hwloc_pcidev_attr_s *pci)
{
    return pci->class_id == PCI_CLASS_3D || pci->class_id == PCI_CLASS_DISPLAY || pci->class_id == PCI_CLASS_ACCELERATOR;
}

/* A look at devices takes tens of milliseconds; where no such driver is loaded there is nothing to see. */
static bool
may_have_devices(const struct gpu_family *family)
{
    char path[64];
    hwloc_topology_t topology;

    (void)snprintf(path, sizeof path, "/sys/bus/pci/drivers/%s", family->driver);
    if (access(path, F_OK) == 0 || hwloc_topology_init(&topology) < 0) {
        return true;
    }
    (void)hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    bool is_elsewhere = hwloc_topology_load(topology) == 0 && hwloc_topology_is_thissystem(topology) == 0;
    hwloc_topology_destroy(topology);
    return is_elsewhere;
}

static uint32_t
count_by_class(const struct gpu_family *family)
{
    hwloc_topology_t topology;
    hwloc_obj_t device = NULL;
    uint32_t count = 0;

    if (!may_have_devices(family) || hwloc_topology_init(&topology) < 0) {
        return 0;
    }
    (void)hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(topology) == 0) {
        bool is_here = hwloc_topology_is_thissystem(topology) != 0;
        while ((device = hwloc_get_next_pcidev(topology, device)) != NULL) {
            const struct hwloc_pcidev_attr_s *pci = &device->attr->pcidev;
            count += pci->vendor_id == family->vendor && computes(pci) && (!is_here || has_driver(pci, family->driver));
        }
    }
    hwloc_topology_destroy(topology);
    return count;
}

static bool
detect_by_count(struct hq_pool *ret, const struct gpu_family *family)
{
    const char *source = "procs";
    uint32_t count = family->bit == HQ_DETECT_NVIDIA ? count_by_driver() : 0;

    if (count == 0) {
        source = "PCI devices";
        count = count_by_class(family);
    }
    if (count == 0 || count > HQ_POOL_VALUES_MAX) {
        return false;
    }
    hq_log_info("Detected %u %s GPUs from %s", count, family->name, source);
    *ret = (struct hq_pool){.name = hq_str_from(family->resource), .kind = HQ_POOL_RANGE, .range_last = count - 1};
    return true;
}

size_t
detect_gpus(struct hq_pool ret[DETECT_GPU_POOLS], uint32_t wanted, char *const *envp, struct hq_arena *arena)
{
    size_t count = 0;

    for (size_t i = 0; i < HQ_ARRAY_LEN(families); i++) {
        const struct gpu_family *f = &families[i];
        if ((wanted & f->bit) == 0) {
            continue;
        }
        /* A variable without use, even an empty one, says that these GPUs are not for us to count. */
        count += env_get(envp, f->variable) != NULL ? detect_by_variable(&ret[count], f, envp, arena)
                                                    : detect_by_count(&ret[count], f);
    }
    return count;
}
