#include "common/placeholder.h"

static const char *const names[] = {
    [HQ_PH_JOB_ID] = "JOB_ID",         [HQ_PH_TASK_ID] = "TASK_ID",       [HQ_PH_INSTANCE_ID] = "INSTANCE_ID",
    [HQ_PH_SUBMIT_DIR] = "SUBMIT_DIR", [HQ_PH_SERVER_UID] = "SERVER_UID", [HQ_PH_CWD] = "CWD",
    [HQ_PH_RANK] = "RANK",
};
_Static_assert(HQ_ARRAY_LEN(names) == HQ_PLACEHOLDERS, "a placeholder without a name");

const char *
hq_placeholder_name(enum hq_placeholder p)
{
    return names[p];
}

static int
find_name(struct hq_str name) /* -1: none of ours */
{
    for (int i = 0; i < HQ_PLACEHOLDERS; i++) {
        if (hq_str_is(name, names[i])) {
            return i;
        }
    }
    return hq_str_is(name, "SERVER_ID") ? HQ_PH_SERVER_UID : -1; /* an older spelling */
}

/* Next "%{NAME}" from `from` on: its offset, name, and the offset behind it. */
static bool
next(struct hq_str text, size_t from, size_t *ret_at, struct hq_str *ret_name, size_t *ret_end)
{
    ptrdiff_t open = hq_str_find(hq_str_sub(text, from, text.len), HQ_STR("%{"));
    if (open < 0) {
        return false;
    }
    size_t at = from + (size_t)open;
    ptrdiff_t close = hq_str_find_byte(hq_str_sub(text, at + 2, text.len), '}');
    if (close < 0) {
        return false;
    }
    *ret_at = at;
    *ret_name = hq_str_sub(text, at + 2, at + 2 + (size_t)close);
    *ret_end = at + 2 + (size_t)close + 1;
    return true;
}

void
hq_placeholder_fill(struct hq_buf *out, struct hq_str text, const struct hq_placeholders *p)
{
    size_t done = 0;
    size_t at, end;
    struct hq_str name;
    for (size_t from = 0; next(text, from, &at, &name, &end); from = end) {
        int ix = find_name(name);
        if (ix < 0 || (p->known & HQ_PH_BIT(ix)) == 0) {
            continue;
        }
        hq_buf_str(out, hq_str_sub(text, done, at));
        hq_buf_str(out, p->values[ix]);
        done = end;
    }
    hq_buf_str(out, hq_str_sub(text, done, text.len));
}

void
hq_placeholder_fill_path(struct hq_buf *out, struct hq_str text, struct hq_str base, const struct hq_placeholders *p)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf filled = HQ_BUF_INIT;
    hq_placeholder_fill(&filled, text, p);
    if (filled.len == 0 || filled.ptr[0] != '/') {
        hq_buf_str(out, base);
        if (base.len > 0 && base.ptr[base.len - 1] != '/') {
            hq_buf_byte(out, '/');
        }
    }
    hq_buf_str(out, hq_buf_view(&filled));
}

uint32_t
hq_placeholder_bits(struct hq_str text)
{
    uint32_t bits = 0;
    size_t at, end;
    struct hq_str name;
    for (size_t from = 0; next(text, from, &at, &name, &end); from = end) {
        int ix = find_name(name);
        bits |= ix < 0 ? 0 : HQ_PH_BIT(ix);
    }
    return bits;
}

bool
hq_placeholder_next_unknown(struct hq_str text, uint32_t allowed, size_t *at, struct hq_str *ret_name)
{
    size_t start, end;
    struct hq_str name;
    for (size_t from = *at; next(text, from, &start, &name, &end); from = end) {
        int ix = find_name(name);
        if (ix < 0 || (allowed & HQ_PH_BIT(ix)) == 0) {
            *ret_name = name;
            *at = end;
            return true;
        }
    }
    *at = text.len;
    return false;
}
