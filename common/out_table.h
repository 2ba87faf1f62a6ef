/* out_table.h - tables of the cli mode and the formatters of their cells.
 *
 * Purpose    horizontal tables (header and records) and vertical ones (label and value), spec section "Tables".
 * Ownership  the table copies what it is given; hq_table_fini frees it.
 * Units      widths in terminal columns; escape sequences count 0, wide characters 2.
 * Limits     HQ_TABLE_COLUMNS_MAX columns; rows as memory allows (a page of an answer).
 */
#ifndef HQ_COMMON_OUT_TABLE_H
#define HQ_COMMON_OUT_TABLE_H

#include "common/out.h"

#define HQ_TABLE_COLUMNS_MAX 16u

enum hq_column_flag {
    HQ_COLUMN_RIGHT = 1 << 0,     /* cells right-aligned; headers are always left-aligned */
    HQ_COLUMN_PLAIN_HEAD = 1 << 1 /* header not bold */
};
struct hq_column {
    const char *title;
    uint32_t flags;
};

struct hq_table_cell {
    size_t at; /* offset and length in `text` */
    size_t len;
    enum hq_color color;
};
struct hq_table {
    bool is_vertical;
    const struct hq_column *columns; /* horizontal: static */
    size_t column_count;
    struct hq_table_cell *cells;
    size_t cell_count;
    size_t cell_cap;
    struct hq_buf text;
};

void hq_table_init(struct hq_table *t, const struct hq_column *columns, size_t column_count);
void hq_table_init_vertical(struct hq_table *t);
void hq_table_fini(struct hq_table *t); /* also the cleanup form */
/* Next cell, row by row. The text may hold newlines, and escape sequences of its own (then color is HQ_COLOR_NONE). */
void hq_table_add(struct hq_table *t, struct hq_str text, enum hq_color color);
void hq_table_addz(struct hq_table *t, const char *text);
void hq_table_addf(struct hq_table *t, const char *fmt, ...) HQ_PRINTF(2, 3);
/* Vertical: one row. */
void hq_table_row(struct hq_table *t, const char *label, struct hq_str value, enum hq_color color);
void hq_table_rowz(struct hq_table *t, const char *label, const char *value);
void hq_table_rowf(struct hq_table *t, const char *label, const char *fmt, ...) HQ_PRINTF(3, 4);
/* An empty horizontal table has no bottom border. Only whole rows may be there. */
void hq_table_print(const struct hq_table *t, struct hq_out *out);

/* ---- cell formatters (spec section "Cell formatters"); durations and dates are in common/num.h */
void hq_fmt_size(struct hq_buf *b, uint64_t bytes);                     /* "1230 B", "292.97 KiB", ... */
void hq_fmt_wrapped(struct hq_buf *b, struct hq_str s, size_t columns); /* word wrap; over-long words are broken */
void hq_fmt_command(struct hq_buf *b, const struct hq_str *args, size_t count); /* one argument a line, wrapped at 80 */
void hq_fmt_middle_cut(struct hq_buf *b, struct hq_str s, size_t bytes_max);    /* 24 bytes "..." 23 bytes for 50 */
void hq_fmt_cut(struct hq_buf *b, struct hq_str s,
                size_t bytes); /* s, or its first bytes and "..." if it has that many */

/* The bar: "[####....]" of 40 columns (spec section "The bar itself"). */
struct hq_bar_counts {
    uint64_t total;
    uint64_t by_state[HQ_STATES]; /* enum hq_task_state */
};
void hq_fmt_bar(struct hq_buf *b, const struct hq_bar_counts *c, bool with_color);

#endif
