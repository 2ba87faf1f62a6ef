#include "hqd/sched/fit.h"

uint32_t
fit_count(const struct cls_variant *v, const int64_t *free, const int64_t *total, uint32_t res_count, uint32_t limit)
{
    uint32_t n = HQ_MIN(limit, v->need_count == 0 ? FIT_UNBOUNDED : UINT32_MAX);
    for (uint32_t i = 0; i < v->need_count; i++) {
        const struct need *need = &v->needs[i];
        if (need->res >= res_count || free[need->res] <= 0) {
            return 0;
        }
        if (need->is_all) {
            if (free[need->res] != total[need->res]) {
                return 0;
            }
            n = HQ_MIN(n, 1u);
            continue;
        }
        uint64_t have = (uint64_t)free[need->res];
        if (have < need->amount) {
            return 0;
        }
        if (n > 1) {
            uint64_t k = need->amount == HQ_AMOUNT_ONE ? have / HQ_AMOUNT_ONE : have / need->amount;
            n = (uint32_t)HQ_MIN((uint64_t)n, k);
        }
    }
    return n;
}

uint32_t
fit_total(const struct cls_variant *v, const struct worker *w)
{
    return fit_count(v, w->total, w->total, w->res_count, UINT32_MAX);
}

void
fit_book(const struct cls_variant *v, int64_t *free, const int64_t *total, uint32_t res_count, int64_t n)
{
    for (uint32_t i = 0; i < v->need_count; i++) {
        const struct need *need = &v->needs[i];
        if (need->res < res_count) {
            free[need->res] -= n * (need->is_all ? total[need->res] : (int64_t)need->amount);
        }
    }
}

hq_wall_ms
fit_life_end_ms(const struct worker *w)
{
    return w->config.time_limit_ms == 0 ? INT64_MAX : w->registered_ms + w->config.time_limit_ms;
}

bool
fit_time(const struct cls_variant *v, const struct worker *w, hq_wall_ms now_ms)
{
    if (v->min_time_ms == 0 || w->config.time_limit_ms == 0) {
        return true;
    }
    hq_wall_ms end_ms = fit_life_end_ms(w);
    return end_ms >= now_ms && v->min_time_ms <= end_ms - now_ms;
}

bool
fit_is_blocked(const struct worker *w, const struct cls *cls, uint32_t variant)
{
    for (size_t i = 0; i < w->block_count; i++) {
        if (w->blocks[i].cls == cls && w->blocks[i].variant == variant) {
            return true;
        }
    }
    return false;
}

bool
fit_is_able(const struct cls *cls, const struct worker *w, hq_wall_ms now_ms)
{
    for (uint32_t i = 0; i < cls->variant_count; i++) {
        if (fit_count(&cls->variants[i], w->total, w->total, w->res_count, 1) > 0 &&
            fit_time(&cls->variants[i], w, now_ms) && !fit_is_blocked(w, cls, i)) {
            return true;
        }
    }
    return false;
}
