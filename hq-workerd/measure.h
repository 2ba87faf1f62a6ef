/* measure.h - hardware readings of overviews: cpus, memory, network, GPUs.
 *
 * Purpose    one sample when asked; percentages are of the time since the sample before.
 * Ownership  a sample's memory belongs to the measure until the next one.
 * Threads    measure_take on the loop's thread reads /proc only. GPU tools run on a helper thread and may be slow: their
 *            last result is used.
 * Units      bytes; percent.
 * Errors     what cannot be read is left out.
 */
#ifndef HQ_WORKERD_MEASURE_H
#define HQ_WORKERD_MEASURE_H

#include "hq-workerd/link_msg.h"

#define MEASURE_GPUS_MAX 64u
#define MEASURE_TOOL_MS_MAX 10000

struct measure;

HQ_MUST_CHECK struct measure *measure_create(bool with_nvidia, bool with_amd); /* NULL without memory */
void measure_destroy(struct measure *m); /* waits for a tool that runs; NULL is fine */
void measure_take(struct measure *m, hq_wall_ms now_ms, struct link_overview *ret);

/* Pure, for tests: texts of /proc and of the tools. */
size_t measure_parse_stat(struct hq_str text, uint64_t *busy, uint64_t *total, size_t cpu_max);
void measure_parse_meminfo(struct hq_str text, uint64_t *ret_total, uint64_t *ret_available);
void measure_parse_net(struct hq_str text, uint64_t ret[6]);
struct measure_gpu {
    const char *family;
    char id[64];
    float processor_percent, memory_percent;
};
size_t measure_parse_nvidia(struct hq_str text, struct measure_gpu *ret, size_t max);
size_t measure_parse_amd(struct hq_str text, struct measure_gpu *ret, size_t max);

#endif
