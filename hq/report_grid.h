/* report_grid.h - values over time on a fixed grid, and the spread of durations: bounded memory whatever comes.
 *
 * Purpose    curves of `hq journal report`: sums of what lasts (mean over each cell), counters that step (last value of each
 *            cell), and quantiles of durations.
 * Ownership  _init/_fini; the grid is passed by value.
 * Threads    pure.
 * Units      ms; a cell is at least 1 ms long.
 * Limits     GRID_CELLS cells; quantiles are right to 2 %.
 */
#ifndef HQ_HQ_REPORT_GRID_H
#define HQ_HQ_REPORT_GRID_H

#include "common/id.h"
#include "common/str.h"

#define GRID_CELLS 1200u

struct grid {
    hq_wall_ms from_ms;
    hq_wall_ms until_ms; /* >= from_ms */
    int64_t cell_ms;
    size_t cells;
};
struct grid grid_make(hq_wall_ms from_ms, hq_wall_ms until_ms);
/* Clips to the grid; false: nothing of it lies there. */
bool grid_clip(const struct grid *g, hq_wall_ms *from_ms, hq_wall_ms *until_ms);
size_t grid_cell(const struct grid *g, hq_wall_ms at_ms); /* of a moment on the grid */

/* ---- sums of intervals */
struct curve {
    double *step; /* the level changes by that at the start of the cell */
    double *part; /* what only part of the cell has */
    double peak;  /* largest single value added: 0 = nothing was */
};
void curve_fini(struct curve *c);
/* `value` lasts from from_ms to until_ms. O(1). */
void curve_add(struct curve *c, const struct grid *g, hq_wall_ms from_ms, hq_wall_ms until_ms, double value);
/* [[seconds since from_ms, value], ...], a point where the value changes, one at the end. */
void curve_print(const struct curve *c, const struct grid *g, struct hq_buf *out);

/* ---- a counter */
struct stairs {
    hq_wall_ms *at_ms;
    double *value;
    size_t count;
    size_t cap;
    size_t value_cap;
    double now;
};
void stairs_fini(struct stairs *s);
/* In the order of time. Before the grid: only the value to begin with; behind it: nothing. */
void stairs_add(struct stairs *s, const struct grid *g, hq_wall_ms at_ms, double change);
void stairs_print(const struct stairs *s, const struct grid *g, struct hq_buf *out);

/* ---- spread */
struct spread {
    uint32_t *bucket;
    uint64_t count;
    uint64_t min_ms;
    uint64_t max_ms;
    double sum_ms;
};
void spread_fini(struct spread *s);
void spread_add(struct spread *s, uint64_t ms);
double spread_quantile_ms(const struct spread *s, double q); /* 0 with nothing in it */

#endif
