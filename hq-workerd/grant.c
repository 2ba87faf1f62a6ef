/* grant.c - variables of spec section "Environment of a task: resources". */
#include "hq-workerd/grant.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/num.h"

#define GRANT_ENVS_PER_RESOURCE 5u /* values, old name, old name with its slash, and two special ones */
#define GRANT_CPU_MAX 65536u

void
grant_print_name(struct hq_buf *out, struct hq_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        hq_buf_byte(out, is_plain ? c : '_');
    }
}

static void
grant_add(struct grant *g, struct hq_buf *text)
{
    g->envs[g->env_count++] = hq_buf_take(text);
}

static void
grant_add_values(struct grant *g, const char *prefix, struct hq_str name, bool keep_name, struct hq_str list)
{
    struct hq_buf b = HQ_BUF_INIT;

    hq_buf_cstr(&b, prefix);
    if (keep_name) {
        hq_buf_str(&b, name);
    } else {
        grant_print_name(&b, name);
    }
    hq_buf_byte(&b, '=');
    hq_buf_str(&b, list);
    grant_add(g, &b);
}

static int
grant_set_cpus(struct grant *g, const struct grant_values *r)
{
    uint32_t cpu = 0, max = 0;

    for (size_t i = 0; i < r->count; i++) {
        if (hq_num_u32(r->values[i], &cpu, NULL) < 0 || cpu >= GRANT_CPU_MAX) {
            return 0; /* names, not numbers: nothing to bind to */
        }
        max = HQ_MAX(max, cpu);
    }
    g->cpus_bytes = CPU_ALLOC_SIZE(max + 1);
    g->cpus = hq_try_alloc(g->cpus_bytes);
    if (g->cpus == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < r->count; i++) {
        int rc = hq_num_u32(r->values[i], &cpu, NULL);
        HQ_ASSERT(rc == 0);
        CPU_SET_S(cpu, g->cpus_bytes, g->cpus);
    }
    return 0;
}

static int
grant_add_cpus(struct grant *g, const struct grant_values *r, struct hq_str list)
{
    struct hq_buf b = HQ_BUF_INIT;

    hq_buf_printf(&b, "HQ_CPUS=%.*s", HQ_STR_FMT(list));
    grant_add(g, &b);
    hq_buf_str(&b, list);
    g->cpu_list = hq_buf_take(&b);
    hq_buf_printf(&b, "OMP_PLACES={%.*s}", HQ_STR_FMT(list));
    g->omp_places = hq_buf_take(&b);
    if (r->amount % HQ_AMOUNT_ONE == 0) {
        hq_buf_printf(&b, "OMP_NUM_THREADS=%zu", r->count);
        g->omp_threads = hq_buf_take(&b);
    }
    return grant_set_cpus(g, r);
}

static int
grant_add_resource(struct grant *g, const struct grant_values *r)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf list = HQ_BUF_INIT;
    struct hq_str text;

    for (size_t i = 0; i < r->count; i++) {
        if (i > 0) {
            hq_buf_byte(&list, ',');
        }
        hq_buf_str(&list, r->values[i]);
    }
    text = hq_buf_view(&list);
    grant_add_values(g, "HQ_RESOURCE_VALUES_", r->name, false, text);
    grant_add_values(g, "HQ_RESOURCE_", r->name, false, text); /* as 0.18 called it */
    if (hq_str_find_byte(r->name, '/') >= 0) {
        grant_add_values(g, "HQ_RESOURCE_", r->name, true, text);
    }
    if (hq_str_is(r->name, "gpus/nvidia")) {
        grant_add_values(g, "CUDA_VISIBLE_DEVICES", HQ_STR_NULL, false, text);
    } else if (hq_str_is(r->name, "gpus/amd")) {
        grant_add_values(g, "ROCR_VISIBLE_DEVICES", HQ_STR_NULL, false, text);
    } else if (hq_str_is(r->name, "cpus")) {
        return grant_add_cpus(g, r, text);
    }
    return 0;
}

int
grant_create(struct grant **ret, const struct grant_values *resources, size_t count)
{
    struct grant *g = hq_try_alloc(sizeof(*g));
    int rc = 0;

    if (g == NULL) {
        return -ENOMEM;
    }
    g->envs = hq_try_calloc(count * GRANT_ENVS_PER_RESOURCE + 1, sizeof(*g->envs));
    if (g->envs == NULL) {
        free(g);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = grant_add_resource(g, &resources[i]);
    }
    if (rc < 0) {
        grant_free(g);
        return rc;
    }
    *ret = g;
    return 0;
}

void
grant_free(struct grant *g)
{
    if (g == NULL) {
        return;
    }
    for (size_t i = 0; i < g->env_count; i++) {
        free(g->envs[i]);
    }
    free(g->envs);
    hq_mem_freep(&g->omp_threads);
    hq_mem_freep(&g->omp_places);
    hq_mem_freep(&g->cpu_list);
    free(g->cpus);
    free(g);
}
