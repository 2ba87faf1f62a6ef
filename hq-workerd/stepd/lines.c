#include "hq-workerd/stepd/lines.h"

void
lines_fini(struct lines *l)
{
    hq_buf_fini(&l->rest);
}

/* Passes on `rest` and then `data`, which begins where rest ends. */
static void
pass(struct lines *l, struct hq_str data, bool is_whole, struct hq_buf *out)
{
    if (!l->is_inside) {
        hq_buf_cstr(out, l->tag);
    }
    hq_buf_str(out, hq_buf_view(&l->rest));
    hq_buf_str(out, data);
    hq_buf_clear(&l->rest);
    l->is_inside = !is_whole;
}

void
lines_feed(struct lines *l, struct hq_str data, struct hq_buf *out)
{
    ptrdiff_t at;

    while ((at = hq_str_find_byte(data, '\n')) >= 0) {
        size_t len = (size_t)at + 1;
        pass(l, hq_str_sub(data, 0, len), true, out);
        data = hq_str_sub(data, len, data.len);
    }
    while (l->rest.len + data.len > LINES_BYTES_MAX) {
        size_t len = LINES_BYTES_MAX - l->rest.len;
        pass(l, hq_str_sub(data, 0, len), false, out);
        data = hq_str_sub(data, len, data.len);
    }
    hq_buf_str(&l->rest, data);
}

void
lines_end(struct lines *l, struct hq_buf *out)
{
    if (l->rest.len > 0) {
        pass(l, HQ_STR_NULL, false, out);
    }
    l->is_inside = false;
}
