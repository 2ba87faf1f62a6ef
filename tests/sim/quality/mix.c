#include "tests/sim/quality/mix.h"

#include <string.h>

const char *
mix_family_name(enum mix_family family)
{
    static const char *const names[MIX_FAMILIES] = {"cpus", "gpus", "mem", "variants", "weights", "busy", "levels",
                                                    "large"};
    return names[family];
}

/* ---- making one */
static void
make_workers(struct mix *m, struct hq_rng *rng, enum mix_family family)
{
    bool is_large = family == MIX_LARGE;
    m->worker_count = (uint32_t)(is_large ? hq_rng_between(rng, 40, MIX_WORKERS_MAX) : hq_rng_between(rng, 2, 8));
    bool is_uniform = hq_rng_below(rng, 2) == 0;
    int64_t cpus = hq_rng_between(rng, 4, 16);
    int64_t gpus = hq_rng_between(rng, 1, 4);
    for (uint32_t i = 0; i < m->worker_count; i++) {
        struct mix_worker *w = &m->workers[i];
        *w = (struct mix_worker){0};
        if (!is_uniform) {
            cpus = hq_rng_between(rng, 3, 20);
            gpus = hq_rng_between(rng, 0, 4);
        }
        w->total[0] = cpus * 10000;
        w->total[1] = family == MIX_CPUS || family == MIX_WEIGHTS ? 0 : gpus * 10000;
        w->total[2] = family == MIX_MEM || is_large ? cpus * hq_rng_between(rng, 2, 6) * 10000 : 0;
        memcpy(w->free, w->total, sizeof(w->free));
        if (family == MIX_BUSY) {
            w->life_ms = hq_rng_below(rng, 3) == 0 ? 60000 * hq_rng_between(rng, 1, 20) : 0;
            for (uint32_t r = 0; r < 2 && hq_rng_below(rng, 3) > 0; r++) {
                w->free[r] -= 10000 * hq_rng_between(rng, 0, w->total[r] / 10000);
            }
        }
    }
}

static void
make_variant(struct mix_variant *v, struct hq_rng *rng, enum mix_family family)
{
    *v = (struct mix_variant){.weight = 10000};
    v->amount[0] = 10000 * hq_rng_between(rng, 1, hq_rng_below(rng, 2) == 0 ? 4 : 9);
    bool is_plain = family == MIX_CPUS || family == MIX_WEIGHTS;
    if (is_plain) {
        v->amount[0] = 5000 * hq_rng_between(rng, 5, 18);
    } else if (hq_rng_below(rng, 2) == 0) {
        v->amount[1] = hq_rng_below(rng, 2) == 0 ? 10000 * hq_rng_between(rng, 1, 3) : 2500 * hq_rng_between(rng, 1, 7);
    }
    if (family == MIX_MEM || family == MIX_LARGE) {
        v->amount[2] = v->amount[0] * hq_rng_between(rng, 1, 10);
    }
    if (family == MIX_WEIGHTS || (family == MIX_VARIANTS && hq_rng_below(rng, 3) == 0)) {
        v->weight = 500 * hq_rng_between(rng, 10, 40);
    }
    if (family == MIX_BUSY) {
        v->amount[0] = hq_rng_below(rng, 8) == 0 ? MIX_ALL : v->amount[0];
        v->min_time_ms = hq_rng_below(rng, 3) == 0 ? 60000 * hq_rng_between(rng, 1, 10) : 0;
    }
}

/* Counts so that all classes together want 1.0 to 2.5 times what is free. */
static void
make_counts(struct mix *m, struct hq_rng *rng)
{
    double share = ((double)hq_rng_between(rng, 10, 25) / 10) / m->class_count;
    for (uint32_t c = 0; c < m->class_count; c++) {
        struct mix_class *k = &m->classes[c];
        double most = 0; /* share of the scarcest resource that one task takes */
        for (uint32_t r = 0; r < MIX_RES; r++) {
            int64_t amount = k->variants[0].amount[r] == MIX_ALL ? 100000 : k->variants[0].amount[r];
            most = amount > 0 && m->free_sum[r] > 0 ? HQ_MAX(most, (double)amount / m->free_sum[r]) : most;
        }
        double want = most > 0 ? share * (double)hq_rng_between(rng, 5, 20) / 10 / most : 1;
        k->count = (uint32_t)HQ_MAX(1.0, want);
    }
}

static bool
is_repeated(const struct mix *m, uint32_t c)
{
    for (uint32_t i = 0; i < c; i++) {
        if (m->classes[i].priority == m->classes[c].priority &&
            m->classes[i].variant_count == m->classes[c].variant_count &&
            memcmp(m->classes[i].variants, m->classes[c].variants, sizeof(m->classes[c].variants)) == 0) {
            return true;
        }
    }
    return false;
}

static void
make_classes(struct mix *m, struct hq_rng *rng, enum mix_family family)
{
    m->class_count = (uint32_t)(family == MIX_LARGE ? MIX_CLASSES_MAX : hq_rng_between(rng, 2, 8));
    uint32_t high = family == MIX_LEVELS ? (m->class_count + 1) / 2 : 0;
    for (uint32_t c = 0; c < m->class_count; c++) {
        struct mix_class *k = &m->classes[c];
        do {
            *k = (struct mix_class){.priority = c < high ? 1 : 0, .variant_count = 1};
            if (family == MIX_VARIANTS) {
                k->variant_count = (uint32_t)hq_rng_between(rng, 1, MIX_VARIANTS_MAX);
            }
            for (uint32_t v = 0; v < k->variant_count; v++) {
                make_variant(&k->variants[v], rng, family);
            }
        } while (is_repeated(m, c)); /* equal ones would be one class of the product */
    }
    make_counts(m, rng);
    for (uint32_t c = 0; c < high; c++) {
        m->classes[c].count = HQ_MAX(m->classes[c].count / 3, 1u);
    }
}

void
mix_make(struct mix *m, enum mix_family family, uint64_t seed)
{
    struct hq_rng rng;
    hq_rng_init(&rng, seed * MIX_FAMILIES + (uint64_t)family);
    memset(m, 0, sizeof(*m));
    make_workers(m, &rng, family);
    for (uint32_t w = 0; w < m->worker_count; w++) {
        for (uint32_t r = 0; r < MIX_RES; r++) {
            m->free_sum[r] += (double)m->workers[w].free[r];
        }
    }
    make_classes(m, &rng, family);
}

/* ---- what it is worth */
int64_t
mix_amount(const struct mix *m, uint32_t worker, const struct mix_variant *v, uint32_t res)
{
    return v->amount[res] == MIX_ALL ? m->workers[worker].total[res] : v->amount[res];
}

double
mix_value(const struct mix *m, uint32_t worker, const struct mix_variant *v)
{
    double sum = 0;
    for (uint32_t r = 0; r < MIX_RES; r++) {
        if (v->amount[r] != 0 && m->free_sum[r] > 0) {
            sum += (double)mix_amount(m, worker, v, r) / m->free_sum[r];
        }
    }
    return sum * (double)v->weight / 10000;
}

uint32_t
mix_fit(const struct mix *m, uint32_t worker, const struct mix_variant *v, const int64_t *free)
{
    const struct mix_worker *w = &m->workers[worker];
    int64_t n = UINT32_MAX;
    if (w->life_ms != 0 && v->min_time_ms > w->life_ms) {
        return 0;
    }
    for (uint32_t r = 0; r < MIX_RES; r++) {
        if (v->amount[r] == 0) {
            continue;
        }
        if (v->amount[r] == MIX_ALL && (w->total[r] == 0 || free[r] != w->total[r])) {
            return 0;
        }
        n = HQ_MIN(n, free[r] / mix_amount(m, worker, v, r));
    }
    return (uint32_t)n;
}

double
mix_plan_value(const struct mix *m, const struct mix_plan *p, int32_t priority)
{
    double sum = 0;
    for (uint32_t w = 0; w < m->worker_count; w++) {
        for (uint32_t c = 0; c < m->class_count; c++) {
            for (uint32_t v = 0; m->classes[c].priority == priority && v < m->classes[c].variant_count; v++) {
                sum += p->n[w][c][v] * mix_value(m, w, &m->classes[c].variants[v]);
            }
        }
    }
    return sum;
}

const char *
mix_plan_check(const struct mix *m, const struct mix_plan *p)
{
    uint64_t given[MIX_CLASSES_MAX] = {0};
    for (uint32_t w = 0; w < m->worker_count; w++) {
        int64_t free[MIX_RES];
        memcpy(free, m->workers[w].free, sizeof(free));
        for (uint32_t c = 0; c < m->class_count; c++) {
            for (uint32_t v = 0; v < m->classes[c].variant_count; v++) {
                const struct mix_variant *k = &m->classes[c].variants[v];
                if (p->n[w][c][v] > 0 && mix_fit(m, w, k, m->workers[w].free) == 0) {
                    return "a task where it can't run";
                }
                given[c] += p->n[w][c][v];
                for (uint32_t r = 0; r < MIX_RES; r++) {
                    free[r] -= k->amount[r] == 0 ? 0 : p->n[w][c][v] * mix_amount(m, w, k, r);
                }
            }
        }
        for (uint32_t r = 0; r < MIX_RES; r++) {
            if (free[r] < 0) {
                return "a worker that is given more than it has";
            }
        }
    }
    for (uint32_t c = 0; c < m->class_count; c++) {
        if (given[c] > m->classes[c].count) {
            return "more tasks than there are";
        }
    }
    return NULL;
}

/* ---- first fit */
void
mix_solve_first_fit(const struct mix *m, struct mix_plan *ret)
{
    static int64_t free[MIX_WORKERS_MAX][MIX_RES];
    memset(ret, 0, sizeof(*ret));
    for (uint32_t w = 0; w < m->worker_count; w++) {
        memcpy(free[w], m->workers[w].free, sizeof(free[w]));
    }
    for (uint32_t c = 0; c < m->class_count; c++) {
        uint32_t left = m->classes[c].count;
        for (uint32_t w = 0; w < m->worker_count; w++) {
            for (uint32_t v = 0; v < m->classes[c].variant_count; v++) {
                const struct mix_variant *k = &m->classes[c].variants[v];
                uint32_t n = HQ_MIN(left, mix_fit(m, w, k, free[w]));
                ret->n[w][c][v] += n;
                left -= n;
                for (uint32_t r = 0; r < MIX_RES; r++) {
                    free[w][r] -= k->amount[r] == 0 ? 0 : n * mix_amount(m, w, k, r);
                }
            }
        }
    }
}
