/* detect_gpu.c - GPUs from environment variables and the NVIDIA driver. */
#include "hq-workerd/detect.h"

#include <dirent.h>
#include <stdlib.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/start_opts.h"

#define NVIDIA_DIR "/proc/driver/nvidia/gpus"

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
detect_by_variable(struct hq_pool *ret, const char *resource, const char *variable, char *const *envp,
                   struct hq_arena *arena)
{
    const char *text = env_get(envp, variable);
    bool is_duplicate;
    struct hq_str *labels;

    if (text == NULL) {
        return false;
    }
    struct hq_str value = hq_arena_str(arena, hq_str_from(text));
    size_t count = detect_gpu_labels(value, &labels, &is_duplicate, arena);
    if (count > 0 || is_duplicate) {
        hq_log_info("Detected GPUs %s from `%s`", text, variable);
    }
    if (is_duplicate) {
        hq_log_warn("%s contains duplicates (%s)", variable, text);
    }
    if (count == 0) {
        return false;
    }
    struct hq_pool_group *group = hq_arena_alloc(arena, sizeof(*group));
    *group = (struct hq_pool_group){.values = labels, .count = count};
    *ret = (struct hq_pool){.name = hq_str_from(resource), .kind = HQ_POOL_LIST, .groups = group, .group_count = 1};
    return true;
}

static bool
detect_by_driver(struct hq_pool *ret)
{
    DIR *dir = opendir(NVIDIA_DIR);
    uint32_t count = 0;
    struct dirent *e;

    if (dir == NULL) {
        return false;
    }
    while ((e = readdir(dir)) != NULL) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    if (count == 0) {
        return false;
    }
    hq_log_info("Detected %u NVIDIA GPUs from procs", count);
    *ret = (struct hq_pool){.name = HQ_STR("gpus/nvidia"), .kind = HQ_POOL_RANGE, .range_last = count - 1};
    return true;
}

size_t
detect_gpus(struct hq_pool ret[2], uint32_t wanted, char *const *envp, struct hq_arena *arena)
{
    size_t count = 0;
    bool has_nvidia = false;

    if ((wanted & HQ_DETECT_NVIDIA) != 0) {
        has_nvidia = detect_by_variable(&ret[count], "gpus/nvidia", "CUDA_VISIBLE_DEVICES", envp, arena) ||
                     (env_get(envp, "CUDA_VISIBLE_DEVICES") == NULL && detect_by_driver(&ret[count]));
        count += has_nvidia;
    }
    if ((wanted & HQ_DETECT_AMD) != 0 &&
        detect_by_variable(&ret[count], "gpus/amd", "ROCR_VISIBLE_DEVICES", envp, arena)) {
        count++;
    }
    return count;
}
