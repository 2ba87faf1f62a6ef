#include "hq/report_grid.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/num.h"

/* ---- grid */

struct grid
grid_make(hq_wall_ms from_ms, hq_wall_ms until_ms)
{
    static const int64_t lengths[] = {1, 2, 5};
    int64_t span_ms = HQ_MAX(until_ms - from_ms, (hq_wall_ms)1);
    int64_t cell_ms = 1;

    for (int64_t tens = 1;; tens *= 10) { /* 1, 2, 5, 10, 20 ...: spans fit 63 bits, so does the length found */
        for (size_t i = 0; i < HQ_ARRAY_LEN(lengths); i++) {
            cell_ms = lengths[i] * tens;
            if (span_ms / cell_ms < (int64_t)GRID_CELLS) {
                return (struct grid){.from_ms = from_ms,
                                     .until_ms = from_ms + span_ms,
                                     .cell_ms = cell_ms,
                                     .cells = (size_t)((span_ms + cell_ms - 1) / cell_ms)};
            }
        }
    }
}

bool
grid_clip(const struct grid *g, hq_wall_ms *from_ms, hq_wall_ms *until_ms)
{
    *from_ms = HQ_MAX(*from_ms, g->from_ms);
    *until_ms = HQ_MIN(*until_ms, g->until_ms);
    return *from_ms < *until_ms;
}

size_t
grid_cell(const struct grid *g, hq_wall_ms at_ms)
{
    size_t cell = (size_t)((at_ms - g->from_ms) / g->cell_ms);
    return HQ_MIN(cell, g->cells - 1);
}

static double
seconds(int64_t ms)
{
    return (double)ms / 1000.0;
}

static void
print_point(struct hq_buf *out, bool is_first, double s, double value)
{
    hq_buf_printf(out, "%s[", is_first ? "" : ",");
    hq_num_f64_print(out, s);
    hq_buf_byte(out, ',');
    hq_num_f64_print(out, round(value * 10000.0) / 10000.0);
    hq_buf_byte(out, ']');
}

/* ---- sums of intervals */

void
curve_fini(struct curve *c)
{
    free(c->step);
    free(c->part);
    *c = (struct curve){0};
}

void
curve_add(struct curve *c, const struct grid *g, hq_wall_ms from_ms, hq_wall_ms until_ms, double value)
{
    if (!grid_clip(g, &from_ms, &until_ms)) {
        return;
    }
    if (c->step == NULL) {
        c->step = hq_xcalloc(g->cells + 1, sizeof(*c->step));
        c->part = hq_xcalloc(g->cells + 1, sizeof(*c->part));
    }
    size_t first = grid_cell(g, from_ms);
    size_t last = grid_cell(g, until_ms - 1);
    double cell_ms = (double)g->cell_ms;
    c->peak = HQ_MAX(c->peak, value);
    if (first == last) {
        c->part[first] += value * (double)(until_ms - from_ms) / cell_ms;
        return;
    }
    hq_wall_ms first_end_ms = g->from_ms + (hq_wall_ms)(first + 1) * g->cell_ms;
    hq_wall_ms last_start_ms = g->from_ms + (hq_wall_ms)last * g->cell_ms;
    c->part[first] += value * (double)(first_end_ms - from_ms) / cell_ms;
    c->part[last] += value * (double)(until_ms - last_start_ms) / cell_ms;
    c->step[first + 1] += value;
    c->step[last] -= value;
}

void
curve_print(const struct curve *c, const struct grid *g, struct hq_buf *out)
{
    double level = 0.0;
    double before = -1.0;
    bool is_first = true;

    hq_buf_byte(out, '[');
    for (size_t i = 0; c->step != NULL && i < g->cells; i++) {
        level += c->step[i];
        int64_t cell_end_ms = HQ_MIN((int64_t)(i + 1) * g->cell_ms, g->until_ms - g->from_ms);
        double share = (double)(cell_end_ms - (int64_t)i * g->cell_ms) / (double)g->cell_ms; /* the last cell may be short */
        double value = HQ_MAX(level + c->part[i] / share, 0.0); /* sums leave a little behind */
        if (fabs(value - before) > 1e-9) {
            print_point(out, is_first, seconds((int64_t)i * g->cell_ms), value);
            is_first = false;
        }
        before = value;
    }
    if (!is_first) {
        print_point(out, false, seconds(g->until_ms - g->from_ms), before);
    }
    hq_buf_byte(out, ']');
}

/* ---- a counter */

void
stairs_fini(struct stairs *s)
{
    free(s->at_ms);
    free(s->value);
    *s = (struct stairs){0};
}

void
stairs_add(struct stairs *s, const struct grid *g, hq_wall_ms at_ms, double change)
{
    if (at_ms > g->until_ms) {
        return;
    }
    s->now += change;
    at_ms = HQ_MAX(at_ms, g->from_ms);
    bool is_same = s->count > 0 && grid_cell(g, s->at_ms[s->count - 1]) == grid_cell(g, at_ms);
    if (!is_same) {
        hq_xgrow(&s->at_ms, &s->cap, s->count + 1, sizeof(*s->at_ms));
        hq_xgrow(&s->value, &s->value_cap, s->count + 1, sizeof(*s->value));
        s->at_ms[s->count++] = at_ms;
    }
    s->value[s->count - 1] = s->now;
}

void
stairs_print(const struct stairs *s, const struct grid *g, struct hq_buf *out)
{
    hq_buf_byte(out, '[');
    for (size_t i = 0; i < s->count; i++) {
        print_point(out, i == 0, seconds(s->at_ms[i] - g->from_ms), s->value[i]);
    }
    if (s->count > 0) {
        print_point(out, false, seconds(g->until_ms - g->from_ms), s->now);
    }
    hq_buf_byte(out, ']');
}

/* ---- spread: exact below SUB ms, then SUB buckets for each power of two */

#define SUB 64u
#define SUB_BITS 6u
#define BUCKETS (SUB * 40u)

static size_t
bucket_of(uint64_t ms)
{
    if (ms < SUB) {
        return (size_t)ms;
    }
    unsigned power = 63u - (unsigned)__builtin_clzll(ms);
    size_t bucket = (size_t)(power - SUB_BITS + 1) * SUB + (size_t)((ms >> (power - SUB_BITS)) - SUB);
    return HQ_MIN(bucket, (size_t)BUCKETS - 1);
}

/* The middle of a bucket. */
static double
bucket_ms(size_t bucket)
{
    if (bucket < SUB) {
        return (double)bucket;
    }
    unsigned shift = (unsigned)(bucket / SUB) - 1;
    uint64_t low = (uint64_t)(bucket % SUB + SUB) << shift;
    return (double)low + (double)((UINT64_C(1) << shift) - 1) / 2.0;
}

void
spread_fini(struct spread *s)
{
    free(s->bucket);
    *s = (struct spread){0};
}

void
spread_add(struct spread *s, uint64_t ms)
{
    if (s->bucket == NULL) {
        s->bucket = hq_xcalloc(BUCKETS, sizeof(*s->bucket));
        s->min_ms = UINT64_MAX;
    }
    s->bucket[bucket_of(ms)]++;
    s->count++;
    s->min_ms = HQ_MIN(s->min_ms, ms);
    s->max_ms = HQ_MAX(s->max_ms, ms);
    s->sum_ms += (double)ms;
}

double
spread_quantile_ms(const struct spread *s, double q)
{
    uint64_t seen = 0;
    uint64_t want = (uint64_t)(q * (double)(s->count > 0 ? s->count - 1 : 0)) + 1;

    if (s->count == 0) {
        return 0.0;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += s->bucket[i];
        if (seen >= want) {
            double ms = bucket_ms(i);
            return HQ_MIN(HQ_MAX(ms, (double)s->min_ms), (double)s->max_ms);
        }
    }
    return (double)s->max_ms;
}
