#include "hqd/core/select.h"

#include <stdlib.h>

static int
cmp_id(const void *pa, const void *pb)
{
    const uint32_t *a = pa;
    const uint32_t *b = pb;
    return *a < *b ? -1 : *a > *b;
}

static int
named(const struct hq_ranges *ids, struct hq_arena *arena, struct select_ids *ret)
{
    uint64_t size = hq_ranges_size(ids);
    if (size > SELECT_IDS_MAX) {
        return -E2BIG;
    }
    uint32_t *v = hq_arena_array(arena, size, sizeof(*v));
    size_t n = 0;
    bool is_sorted = true;
    struct hq_ranges_iter it = hq_ranges_iter(ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        is_sorted = is_sorted && (n == 0 || v[n - 1] < id);
        v[n++] = id;
    }
    if (!is_sorted) {
        qsort(v, n, sizeof(*v), cmp_id);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            if (i == 0 || v[i] != v[i - 1]) {
                v[kept++] = v[i];
            }
        }
        n = kept;
    }
    *ret = (struct select_ids){.v = v, .count = n};
    return 0;
}

int
select_jobs(const struct core *core, const struct selection *s, bool (*want)(const struct job *),
            struct hq_arena *arena, struct select_ids *ret)
{
    *ret = (struct select_ids){0};
    switch (s->kind) {
    case SELECT_KIND_RANGES:
        return named(&s->ids, arena, ret);
    case SELECT_KIND_LAST:
        if (core->next_job > 1) {
            ret->v = hq_arena_array(arena, 1, sizeof(*ret->v));
            ret->v[ret->count++] = core->next_job - 1;
        }
        return 0;
    case SELECT_KIND_ALL:
        ret->v = hq_arena_array(arena, HQ_MAX(core->job_count, 1u), sizeof(*ret->v));
        for (uint32_t i = 0; i < core->job_cap; i++) {
            const struct job *job = core->jobs[i];
            if (job != NULL && (want == NULL || want(job))) {
                ret->v[ret->count++] = job->id.v;
            }
        }
        return 0;
    }
    return 0;
}

int
select_workers(const struct core *core, const struct selection *s, bool is_any, struct hq_arena *arena,
               struct select_ids *ret)
{
    *ret = (struct select_ids){0};
    switch (s->kind) {
    case SELECT_KIND_RANGES:
        return named(&s->ids, arena, ret);
    case SELECT_KIND_LAST:
        if (core->worker_count > 0) {
            ret->v = hq_arena_array(arena, 1, sizeof(*ret->v));
            ret->v[ret->count++] = core->workers[core->worker_count - 1]->id.v;
        }
        return 0;
    case SELECT_KIND_ALL:
        ret->v = hq_arena_array(arena, HQ_MAX(core->worker_count, (size_t)1), sizeof(*ret->v));
        for (size_t i = 0; i < core->worker_count; i++) {
            const struct worker *w = core->workers[i];
            if (is_any || w->place != WORKER_LOST) {
                ret->v[ret->count++] = w->id.v;
            }
        }
        return 0;
    }
    return 0;
}
