/* measure.c - samples from /proc and the GPU tools. */
#include "hq-workerd/measure.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/proc.h"

#define MEASURE_CPUS_MAX 8192u
#define MEASURE_FILE_BYTES_MAX ((size_t)4 << 20)
#define MEASURE_TOOL_BYTES_MAX ((size_t)1 << 20)

struct measure {
    uint64_t *busy, *total, *busy_before, *total_before;
    float *percent;
    size_t cpu_count;
    struct hq_buf text;
    bool with_nvidia, with_amd;
    bool has_failed[2]; /* the tools, at their last run; by their thread */
    struct link_gpu gpus[MEASURE_GPUS_MAX]; /* as handed out; ids point into `shown` */
    struct measure_gpu shown[MEASURE_GPUS_MAX];
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards all below */
    struct measure_gpu found[MEASURE_GPUS_MAX];
    size_t found_count;
    bool is_busy;
};

struct measure *
measure_create(bool with_nvidia, bool with_amd)
{
    struct measure *m = hq_try_alloc(sizeof(*m));

    if (m == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    m->with_nvidia = with_nvidia;
    m->with_amd = with_amd;
    m->busy = hq_try_calloc(MEASURE_CPUS_MAX, sizeof(*m->busy));
    m->total = hq_try_calloc(MEASURE_CPUS_MAX, sizeof(*m->total));
    m->busy_before = hq_try_calloc(MEASURE_CPUS_MAX, sizeof(*m->busy_before));
    m->total_before = hq_try_calloc(MEASURE_CPUS_MAX, sizeof(*m->total_before));
    m->percent = hq_try_calloc(MEASURE_CPUS_MAX, sizeof(*m->percent));
    if (m->busy == NULL || m->total == NULL || m->busy_before == NULL || m->total_before == NULL || m->percent == NULL) {
        measure_destroy(m);
        return NULL;
    }
    return m;
}

void
measure_destroy(struct measure *m)
{
    if (m == NULL) {
        return;
    }
    if (m->has_thread) {
        (void)pthread_join(m->thread, NULL);
    }
    free(m->busy);
    free(m->total);
    free(m->busy_before);
    free(m->total_before);
    free(m->percent);
    hq_buf_fini(&m->text);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

/* The next word of a line; empty at its end. */
static struct hq_str
next_word(struct hq_str *line)
{
    size_t from = 0, to;

    while (from < line->len && (line->ptr[from] == ' ' || line->ptr[from] == '\t')) {
        from++;
    }
    to = from;
    while (to < line->len && line->ptr[to] != ' ' && line->ptr[to] != '\t') {
        to++;
    }
    struct hq_str word = hq_str_sub(*line, from, to);
    *line = hq_str_sub(*line, to, line->len);
    return word;
}

size_t
measure_parse_stat(struct hq_str text, uint64_t *busy, uint64_t *total, size_t cpu_max)
{
    size_t count = 0;
    struct hq_str line;

    for (bool more = true; more && count < cpu_max;) {
        more = hq_str_split(&text, '\n', &line);
        if (!hq_str_starts(line, HQ_STR("cpu")) || line.len < 4 || line.ptr[3] == ' ') {
            continue; /* the sum of all, or something else */
        }
        uint64_t all = 0, idle = 0, value;
        (void)next_word(&line);
        for (int k = 0; k < 8; k++) { /* user nice system idle iowait irq softirq steal */
            if (hq_num_u64(next_word(&line), &value, NULL) < 0) {
                break;
            }
            all += value;
            idle += k == 3 || k == 4 ? value : 0;
        }
        total[count] = all;
        busy[count++] = all - idle;
    }
    return count;
}

void
measure_parse_meminfo(struct hq_str text, uint64_t *ret_total, uint64_t *ret_available)
{
    struct hq_str line;

    *ret_total = *ret_available = 0;
    for (bool more = true; more;) {
        more = hq_str_split(&text, '\n', &line);
        uint64_t *ret = hq_str_starts(line, HQ_STR("MemTotal:"))       ? ret_total
                        : hq_str_starts(line, HQ_STR("MemAvailable:")) ? ret_available
                                                                       : NULL;
        uint64_t kib;
        if (ret != NULL) {
            (void)next_word(&line);
            *ret = hq_num_u64(next_word(&line), &kib, NULL) == 0 ? kib * 1024 : 0;
        }
    }
}

void
measure_parse_net(struct hq_str text, uint64_t ret[6])
{
    static const int columns[6] = {0, 1, 2, 8, 9, 10}; /* bytes, packets, errors received; the same sent */
    struct hq_str line, name;

    memset(ret, 0, 6 * sizeof(*ret));
    for (bool more = true; more;) {
        more = hq_str_split(&text, '\n', &line);
        if (!hq_str_split(&line, ':', &name)) {
            continue; /* headings */
        }
        for (int column = 0, k = 0; k < 6; column++) {
            uint64_t value;
            if (hq_num_u64(next_word(&line), &value, NULL) < 0) {
                break;
            }
            if (column == columns[k]) {
                ret[k++] += value;
            }
        }
    }
}

static void
gpu_set_id(struct measure_gpu *g, struct hq_str id)
{
    size_t len = HQ_MIN(id.len, sizeof g->id - 1);

    memcpy(g->id, id.ptr, len);
    g->id[len] = '\0';
}

/* "12 %", "100 MiB": the number in front. */
static bool
leading_number(struct hq_str text, double *ret)
{
    struct hq_str rest = hq_str_trim(text);

    return hq_num_f64(next_word(&rest), ret, NULL) == 0;
}

size_t
measure_parse_nvidia(struct hq_str text, struct measure_gpu *ret, size_t max)
{
    size_t count = 0;
    struct hq_str line, part[4];

    for (bool more = true; more && count < max;) {
        double load, used, all;
        more = hq_str_split(&text, '\n', &line);
        bool is_whole = true;
        for (int k = 0; k < 4; k++) {
            is_whole = hq_str_split(&line, ',', &part[k]) == (k < 3) && is_whole;
        }
        if (!is_whole || !leading_number(part[1], &load) || !leading_number(part[2], &used) ||
            !leading_number(part[3], &all)) {
            continue;
        }
        struct measure_gpu *g = &ret[count++];
        g->family = "Nvidia";
        gpu_set_id(g, hq_str_trim(part[0]));
        g->processor_percent = (float)load;
        g->memory_percent = all > 0 ? (float)(used / all * 100.0) : 0.0f;
    }
    return count;
}

static bool
json_number(const json_t *card, const char *key, double *ret)
{
    const char *text = json_string_value(json_object_get(card, key));

    return text != NULL && leading_number(hq_str_from(text), ret);
}

size_t
measure_parse_amd(struct hq_str text, struct measure_gpu *ret, size_t max)
{
    size_t count = 0;
    json_t *root = json_loadb(text.ptr == NULL ? "" : text.ptr, text.len, 0, NULL);
    const char *name;
    json_t *card;

    json_object_foreach (root, name, card) {
        const char *bus = json_string_value(json_object_get(card, "PCI Bus"));
        double load, memory;
        if (count < max && bus != NULL && json_number(card, "GPU use (%)", &load) &&
            json_number(card, "GPU memory use (%)", &memory)) {
            struct measure_gpu *g = &ret[count++];
            g->family = "Amd";
            gpu_set_id(g, hq_str_from(bus));
            g->processor_percent = (float)load;
            g->memory_percent = (float)memory;
        }
    }
    json_decref(root);
    return count;
}

static size_t
run_gpu_tool(char *const *argv, size_t (*parse)(struct hq_str, struct measure_gpu *, size_t), struct measure_gpu *ret,
             size_t max, bool *has_failed)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf errors = HQ_BUF_INIT;
    struct hq_proc_conf conf = {.path = argv[0], .argv = argv};
    struct hq_err err = {0};
    int status = 0;

    int rc = hq_proc_run(&conf, HQ_STR_NULL, &out, &errors, MEASURE_TOOL_BYTES_MAX, MEASURE_TOOL_MS_MAX, &status, &err);
    if (rc < 0 || status != 0) {
        if (!*has_failed) { /* once, not with every reading */
            hq_log_error("GPU readings failed: %s", rc < 0 ? err.text : hq_buf_view(&errors).len > 0 ? errors.ptr : argv[0]);
        }
        *has_failed = true;
        return 0;
    }
    *has_failed = false;
    return parse(hq_buf_view(&out), ret, max);
}

static void *
measure_gpus_thr(void *arg)
{
    static char nvidia[] = "nvidia-smi", csv[] = "--format=csv,noheader", /* lint: allow file-scope: argv is not const */
        query[] = "--query-gpu=pci.bus_id,utilization.gpu,memory.used,memory.total", rocm[] = "rocm-smi", json[] = "--json",
        use[] = "--showuse", bus[] = "--showbus", memory[] = "--showmemuse";
    struct measure *m = arg;
    struct measure_gpu found[MEASURE_GPUS_MAX];
    size_t count = 0;

    if (m->with_nvidia) {
        char *argv[] = {nvidia, csv, query, NULL};
        count += run_gpu_tool(argv, measure_parse_nvidia, found, MEASURE_GPUS_MAX, &m->has_failed[0]);
    }
    if (m->with_amd) {
        char *argv[] = {rocm, json, use, bus, memory, NULL};
        count += run_gpu_tool(argv, measure_parse_amd, found + count, MEASURE_GPUS_MAX - count, &m->has_failed[1]);
    }
    pthread_mutex_lock(&m->lock);
    memcpy(m->found, found, count * sizeof(*found));
    m->found_count = count;
    m->is_busy = false;
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* Hands out what the tools said last and starts them again. */
static void
measure_gpus(struct measure *m, struct link_overview *ret)
{
    sigset_t all, old;

    pthread_mutex_lock(&m->lock);
    bool is_busy = m->is_busy;
    size_t count = m->found_count;
    memcpy(m->shown, m->found, count * sizeof(*m->shown));
    m->is_busy = true;
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < count; i++) {
        m->gpus[i] = (struct link_gpu){.family = m->shown[i].family,
                                       .id = hq_str_from(m->shown[i].id),
                                       .processor_percent = m->shown[i].processor_percent,
                                       .memory_percent = m->shown[i].memory_percent};
    }
    ret->gpus = m->gpus;
    ret->gpu_count = count;
    if (is_busy) {
        return;
    }
    if (m->has_thread) {
        (void)pthread_join(m->thread, NULL); /* it has ended */
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    m->has_thread = pthread_create(&m->thread, NULL, measure_gpus_thr, m) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!m->has_thread) {
        m->is_busy = false; /* nobody else looks at it now */
    }
}

static struct hq_str
measure_read(struct measure *m, const char *path)
{
    hq_buf_clear(&m->text);
    return hq_fs_read(&m->text, path, MEASURE_FILE_BYTES_MAX, NULL) < 0 ? HQ_STR_NULL : hq_buf_view(&m->text);
}

void
measure_take(struct measure *m, hq_wall_ms now_ms, struct link_overview *ret)
{
    *ret = (struct link_overview){.at_ms = now_ms};
    m->cpu_count = measure_parse_stat(measure_read(m, "/proc/stat"), m->busy, m->total, MEASURE_CPUS_MAX);
    for (size_t i = 0; i < m->cpu_count; i++) {
        uint64_t total = m->total[i] - m->total_before[i], busy = m->busy[i] - m->busy_before[i];
        m->percent[i] = total > 0 && busy <= total ? (float)((double)busy * 100.0 / (double)total) : 0.0f;
    }
    memcpy(m->busy_before, m->busy, m->cpu_count * sizeof(*m->busy));
    memcpy(m->total_before, m->total, m->cpu_count * sizeof(*m->total));
    ret->cpu_percent = m->percent;
    ret->cpu_count = m->cpu_count;
    measure_parse_meminfo(measure_read(m, "/proc/meminfo"), &ret->memory_total, &ret->memory_free);
    measure_parse_net(measure_read(m, "/proc/net/dev"), ret->network);
    if (m->with_nvidia || m->with_amd) {
        measure_gpus(m, ret);
    }
}
