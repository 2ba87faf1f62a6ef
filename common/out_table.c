#include "common/out_table.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

static const struct hq_column vertical_columns[2] = {{.title = "", .flags = 0}, {.title = "", .flags = 0}};

void
hq_table_init(struct hq_table *t, const struct hq_column *columns, size_t column_count)
{
    HQ_ASSERT(column_count > 0 && column_count <= HQ_TABLE_COLUMNS_MAX);
    *t = (struct hq_table){.columns = columns, .column_count = column_count};
}

void
hq_table_init_vertical(struct hq_table *t)
{
    *t = (struct hq_table){.is_vertical = true, .columns = vertical_columns, .column_count = 2};
}

void
hq_table_fini(struct hq_table *t)
{
    free(t->cells);
    hq_buf_fini(&t->text);
    *t = (struct hq_table){0};
}

void
hq_table_add(struct hq_table *t, struct hq_str text, enum hq_color color)
{
    hq_xgrow(&t->cells, &t->cell_cap, t->cell_count + 1, sizeof *t->cells);
    t->cells[t->cell_count++] = (struct hq_table_cell){.at = t->text.len, .len = text.len, .color = color};
    hq_buf_str(&t->text, text);
}

void
hq_table_addz(struct hq_table *t, const char *text)
{
    hq_table_add(t, hq_str_from(text), HQ_COLOR_NONE);
}

HQ_PRINTF(2, 0) static void add_vprintf(struct hq_table *t, const char *fmt, va_list ap)
{
    size_t at = t->text.len;
    hq_buf_vprintf(&t->text, fmt, ap);
    hq_xgrow(&t->cells, &t->cell_cap, t->cell_count + 1, sizeof *t->cells);
    t->cells[t->cell_count++] = (struct hq_table_cell){.at = at, .len = t->text.len - at};
}

void
hq_table_addf(struct hq_table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_vprintf(t, fmt, ap);
    va_end(ap);
}

void
hq_table_row(struct hq_table *t, const char *label, struct hq_str value, enum hq_color color)
{
    HQ_ASSERT(t->is_vertical);
    hq_table_add(t, hq_str_from(label), HQ_COLOR_BOLD);
    hq_table_add(t, value, color);
}

void
hq_table_rowz(struct hq_table *t, const char *label, const char *value)
{
    hq_table_row(t, label, hq_str_from(value), HQ_COLOR_NONE);
}

void
hq_table_rowf(struct hq_table *t, const char *label, const char *fmt, ...)
{
    HQ_ASSERT(t->is_vertical);
    hq_table_add(t, hq_str_from(label), HQ_COLOR_BOLD);
    va_list ap;
    va_start(ap, fmt);
    add_vprintf(t, fmt, ap);
    va_end(ap);
}

static struct hq_str
cell_text(const struct hq_table *t, const struct hq_table_cell *cell)
{
    struct hq_str s = hq_str_make(t->text.ptr + cell->at, cell->len);
    if (s.len > 0 && s.ptr[s.len - 1] == '\n') {
        s.len--; /* a trailing newline adds no line */
    }
    return s;
}

static void
border(struct hq_buf *b, const size_t *widths, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        hq_buf_byte(b, '+');
        hq_buf_rep(b, '-', widths[ix] + 2);
    }
    hq_buf_cstr(b, "+\n");
}

static void
put_cell(struct hq_out *out, struct hq_str line, enum hq_color color, size_t width, bool is_right)
{
    size_t have = hq_str_width(line);
    size_t pad = width > have ? width - have : 0;
    /* A style begins after a reset: what a terminal shows never depends on the cell before. */
    hq_buf_cstr(&out->buf, out->with_color && color != HQ_COLOR_NONE ? "|\x1b[0m " : "| ");
    hq_buf_rep(&out->buf, ' ', is_right ? pad : 0);
    hq_color_add(&out->buf, out->with_color, color, line);
    hq_buf_rep(&out->buf, ' ', is_right ? 0 : pad);
    hq_buf_byte(&out->buf, ' ');
}

/* One record: as many physical lines as its longest cell has. */
static void
put_record(struct hq_out *out, const struct hq_table *t, const struct hq_table_cell *cells, const size_t *widths)
{
    struct hq_str rest[HQ_TABLE_COLUMNS_MAX];
    for (size_t ix = 0; ix < t->column_count; ix++) {
        rest[ix] = cell_text(t, &cells[ix]);
    }
    bool has_more = true;
    while (has_more) {
        has_more = false;
        for (size_t ix = 0; ix < t->column_count; ix++) {
            struct hq_str line;
            has_more |= hq_str_split(&rest[ix], '\n', &line);
            put_cell(out, line, cells[ix].color, widths[ix], (t->columns[ix].flags & HQ_COLUMN_RIGHT) != 0);
        }
        hq_buf_cstr(&out->buf, "|\n");
    }
}

static void
measure(const struct hq_table *t, size_t *widths)
{
    for (size_t ix = 0; ix < t->column_count; ix++) {
        widths[ix] = hq_str_width(hq_str_from(t->columns[ix].title));
    }
    for (size_t ix = 0; ix < t->cell_count; ix++) {
        struct hq_str rest = cell_text(t, &t->cells[ix]);
        size_t *width = &widths[ix % t->column_count];
        for (bool has_more = true; has_more;) {
            struct hq_str line;
            has_more = hq_str_split(&rest, '\n', &line);
            *width = HQ_MAX(*width, hq_str_width(line));
        }
    }
}

void
hq_table_print(const struct hq_table *t, struct hq_out *out)
{
    HQ_ASSERT(t->cell_count % t->column_count == 0);
    size_t widths[HQ_TABLE_COLUMNS_MAX];
    measure(t, widths);
    border(&out->buf, widths, t->column_count);
    if (!t->is_vertical) {
        for (size_t ix = 0; ix < t->column_count; ix++) {
            bool is_plain = (t->columns[ix].flags & HQ_COLUMN_PLAIN_HEAD) != 0;
            put_cell(out, hq_str_from(t->columns[ix].title), is_plain ? HQ_COLOR_NONE : HQ_COLOR_BOLD, widths[ix],
                     false);
        }
        hq_buf_cstr(&out->buf, "|\n");
        border(&out->buf, widths, t->column_count);
    }
    for (size_t ix = 0; ix < t->cell_count; ix += t->column_count) {
        put_record(out, t, &t->cells[ix], widths);
        hq_out_text(out, ""); /* lets a long table out */
    }
    if (t->is_vertical || t->cell_count > 0) {
        border(&out->buf, widths, t->column_count);
    }
}

void
hq_fmt_size(struct hq_buf *b, uint64_t bytes)
{
    static const struct {
        uint64_t below;
        uint64_t unit;
        const char *name;
    } units[] = {
        {UINT64_C(2) << 20, UINT64_C(1) << 10, "KiB"},
        {UINT64_C(2) << 30, UINT64_C(1) << 20, "MiB"},
        {UINT64_MAX, UINT64_C(1) << 30, "GiB"},
    };
    if (bytes < 2048) {
        hq_buf_printf(b, "%llu B", (unsigned long long)bytes);
        return;
    }
    size_t ix = 0;
    while (ix + 1 < HQ_ARRAY_LEN(units) && bytes >= units[ix].below) {
        ix++;
    }
    hq_buf_printf(b, "%.2f %s", (double)bytes / (double)units[ix].unit, units[ix].name);
}

/* Bytes of the longest prefix of at most `columns` columns that ends between characters; at least one character. */
static size_t
prefix_of(struct hq_str s, size_t columns)
{
    size_t at = 0;
    while (at < s.len) {
        size_t next = at + 1;
        while (next < s.len && ((unsigned char)s.ptr[next] & 0xc0) == 0x80) {
            next++;
        }
        if (at > 0 && hq_str_width(hq_str_sub(s, 0, next)) > columns) {
            break;
        }
        at = next;
    }
    return at;
}

/* One line of the source. Cost O(n x columns). */
static void
wrap_line(struct hq_buf *b, struct hq_str s, size_t columns)
{
    while (hq_str_width(s) > columns) {
        size_t fits = prefix_of(s, columns);
        size_t cut = fits;
        if (s.ptr[cut] != ' ') {
            while (cut > 0 && s.ptr[cut - 1] != ' ') {
                cut--;
            }
        }
        if (cut == 0) {
            cut = fits; /* one word longer than the line */
        }
        size_t end = cut;
        while (end > 0 && s.ptr[end - 1] == ' ') {
            end--;
        }
        hq_buf_str(b, hq_str_sub(s, 0, end));
        hq_buf_byte(b, '\n');
        while (cut < s.len && s.ptr[cut] == ' ') {
            cut++;
        }
        s = hq_str_sub(s, cut, s.len);
    }
    hq_buf_str(b, s);
}

void
hq_fmt_wrapped(struct hq_buf *b, struct hq_str s, size_t columns)
{
    HQ_ASSERT(columns > 0);
    for (bool has_more = true; has_more;) {
        struct hq_str line;
        has_more = hq_str_split(&s, '\n', &line);
        wrap_line(b, line, columns);
        if (has_more) {
            hq_buf_byte(b, '\n');
        }
    }
}

void
hq_fmt_command(struct hq_buf *b, const struct hq_str *args, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        if (ix > 0) {
            hq_buf_byte(b, '\n');
        }
        hq_fmt_wrapped(b, args[ix], 80);
    }
}

/* Moves a cut back to the start of the character it lies in. */
static size_t
char_start(struct hq_str s, size_t at)
{
    while (at > 0 && at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80) {
        at--;
    }
    return at;
}

void
hq_fmt_middle_cut(struct hq_buf *b, struct hq_str s, size_t bytes_max)
{
    if (s.len <= bytes_max) {
        hq_buf_str(b, s);
        return;
    }
    HQ_ASSERT(bytes_max > 3);
    size_t tail = (bytes_max - 3) / 2;
    size_t head = bytes_max - 3 - tail;
    size_t from = s.len - tail;
    while (from < s.len && ((unsigned char)s.ptr[from] & 0xc0) == 0x80) {
        from++;
    }
    hq_buf_str(b, hq_str_sub(s, 0, char_start(s, head)));
    hq_buf_cstr(b, "...");
    hq_buf_str(b, hq_str_sub(s, from, s.len));
}

void
hq_fmt_cut(struct hq_buf *b, struct hq_str s, size_t bytes)
{
    if (s.len < bytes) {
        hq_buf_str(b, s);
        return;
    }
    hq_buf_str(b, hq_str_sub(s, 0, char_start(s, bytes)));
    hq_buf_cstr(b, "...");
}

#define BAR_COLUMNS 40u

void
hq_fmt_bar(struct hq_buf *b, const struct hq_bar_counts *c, bool with_color)
{
    static const enum hq_task_state order[] = {HQ_STATE_CANCELED, HQ_STATE_FAILED, HQ_STATE_FINISHED, HQ_STATE_RUNNING,
                                               HQ_STATE_ABORTED};
    char hashes[BAR_COLUMNS];
    uint64_t left = BAR_COLUMNS;
    memset(hashes, '#', sizeof hashes);
    hq_buf_byte(b, '[');
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(order) && c->total > 0; ix++) {
        uint64_t count = HQ_MIN(c->by_state[order[ix]], c->total);
        /* count <= total <= 2^28 tasks x jobs: no overflow; rounded up */
        uint64_t columns = HQ_MIN((count * BAR_COLUMNS + c->total - 1) / c->total, left);
        hq_color_add(b, with_color, hq_state_count_color(order[ix]), hq_str_make(hashes, (size_t)columns));
        left -= columns;
    }
    hq_buf_rep(b, '.', (size_t)left);
    hq_buf_byte(b, ']');
}
