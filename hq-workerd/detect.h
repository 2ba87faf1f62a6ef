/* detect.h - what this node has: cpus by NUMA node, memory, GPUs.
 *
 * Purpose    the resources of a worker that were not given by hand (spec/workers.md 2.4).
 * Ownership  pools lie in the arena given.
 * Threads    start-up only: reads /sys and /proc, logs what it found.
 * Units      memory in MiB with four decimals (hq_amount).
 * Errors     none: what cannot be detected is left out, cpus fall back to their number.
 */
#ifndef HQ_WORKERD_DETECT_H
#define HQ_WORKERD_DETECT_H

#include "common/arena.h"
#include "common/pool.h"

/* cpus this process may use, one group per NUMA node that has some. `one_per_core`: without hardware threads. */
void detect_cpus(struct hq_pool *ret, bool one_per_core, struct hq_arena *arena);
/* Keeps one hardware thread per core of a pool given by hand. Values that are no cpu of this machine stay. */
void detect_drop_threads(struct hq_pool *pool, struct hq_arena *arena);
/* The machine's memory, or what a cpuset or memory limit leaves of it. */
bool detect_memory(struct hq_pool *ret, struct hq_arena *arena);

#define DETECT_GPU_POOLS 2

/* GPUs by environment variable; where it is not set, NVIDIA ones by the driver's list, then those whose PCI class says that
 * they compute and that have their driver. Returns the number of pools. `wanted`: enum hq_detect bits. */
size_t detect_gpus(struct hq_pool ret[DETECT_GPU_POOLS], uint32_t wanted, char *const *envp, struct hq_arena *arena);
/* Pure: the labels of CUDA_VISIBLE_DEVICES and the like; 0 when the variable is no use, *ret_duplicate when one is twice. */
size_t detect_gpu_labels(struct hq_str value, struct hq_str **ret, bool *ret_duplicate, struct hq_arena *arena);

#endif
