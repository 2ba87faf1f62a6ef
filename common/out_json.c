#include "common/out_json.h"

#include "common/num.h"

#include <stdio.h>

void
hq_json_init(struct hq_json *j, struct hq_buf *out, bool is_pretty)
{
    j->out = out;
    j->is_pretty = is_pretty;
    j->depth = 0;
}

void
hq_json_begin_document(struct hq_json *j, struct hq_out *out)
{
    hq_json_init(j, &out->buf, true);
}

void
hq_json_end_document(struct hq_json *j, struct hq_out *out)
{
    HQ_ASSERT(j->depth == 0);
    hq_buf_byte(&out->buf, '\n');
    out->has_document = true;
}

static struct hq_json_level *
top(struct hq_json *j)
{
    return j->depth > 0 ? &j->level[j->depth - 1] : NULL;
}

static void
new_line(struct hq_json *j, size_t depth)
{
    if (j->is_pretty) {
        hq_buf_byte(j->out, '\n');
        hq_buf_rep(j->out, ' ', 2 * depth);
    }
}

/* Comma and indentation in front of an item of an array; in an object the key has done that. */
static void
before_value(struct hq_json *j)
{
    struct hq_json_level *l = top(j);
    if (l == NULL) {
        return;
    }
    if (l->is_object) {
        HQ_ASSERT(l->has_key);
        l->has_key = false;
        return;
    }
    if (l->has_items) {
        hq_buf_byte(j->out, ',');
    }
    l->has_items = true;
    new_line(j, j->depth);
}

static void
begin(struct hq_json *j, bool is_object, bool is_sorted)
{
    before_value(j);
    HQ_ASSERT(j->depth < HQ_JSON_DEPTH_MAX);
    struct hq_json_level *l = &j->level[j->depth++];
    l->is_object = is_object;
    l->is_sorted = is_sorted;
    l->has_items = false;
    l->has_key = false;
    l->last_key = HQ_STR_NULL;
    hq_buf_byte(j->out, is_object ? '{' : '[');
}

static void
end(struct hq_json *j, bool is_object)
{
    HQ_ASSERT(j->depth > 0);
    struct hq_json_level *l = top(j);
    HQ_ASSERT(l->is_object == is_object);
    HQ_ASSERT(!l->has_key);
    j->depth--;
    if (l->has_items) {
        new_line(j, j->depth);
    }
    hq_buf_byte(j->out, is_object ? '}' : ']');
}

void
hq_json_object(struct hq_json *j)
{
    begin(j, true, true);
}

void
hq_json_object_unsorted(struct hq_json *j)
{
    begin(j, true, false);
}

void
hq_json_object_end(struct hq_json *j)
{
    end(j, true);
}

void
hq_json_array(struct hq_json *j)
{
    begin(j, false, false);
}

void
hq_json_array_end(struct hq_json *j)
{
    end(j, false);
}

void
hq_json_key_str(struct hq_json *j, struct hq_str key)
{
    struct hq_json_level *l = top(j);
    HQ_ASSERT(l != NULL);
    HQ_ASSERT(l->is_object);
    HQ_ASSERT(!l->has_key);
    HQ_ASSERT(!l->is_sorted || !l->has_items || hq_str_cmp(l->last_key, key) < 0);
    if (l->has_items) {
        hq_buf_byte(j->out, ',');
    }
    l->has_items = true;
    l->has_key = true;
    l->last_key = key;
    new_line(j, j->depth);
    hq_json_quote(j->out, key);
    hq_buf_cstr(j->out, j->is_pretty ? ": " : ":");
}

void
hq_json_key(struct hq_json *j, const char *key)
{
    hq_json_key_str(j, hq_str_from(key));
}

void
hq_json_key_u64(struct hq_json *j, uint64_t key)
{
    struct hq_json_level *l = top(j);
    HQ_ASSERT(l != NULL);
    /* The last key may lie in the same storage: compare before it is written over. */
    char text[sizeof l->number_key];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)key);
    hq_json_key_str(j, hq_str_make(text, (size_t)len));
    memcpy(l->number_key, text, sizeof text);
    l->last_key = hq_str_make(l->number_key, (size_t)len);
}

void
hq_json_null(struct hq_json *j)
{
    before_value(j);
    hq_buf_cstr(j->out, "null");
}

void
hq_json_bool(struct hq_json *j, bool v)
{
    before_value(j);
    hq_buf_cstr(j->out, v ? "true" : "false");
}

void
hq_json_u64(struct hq_json *j, uint64_t v)
{
    before_value(j);
    hq_buf_u64(j->out, v);
}

void
hq_json_i64(struct hq_json *j, int64_t v)
{
    before_value(j);
    hq_buf_i64(j->out, v);
}

void
hq_json_f64(struct hq_json *j, double v)
{
    before_value(j);
    hq_num_f64_print(j->out, v);
}

void
hq_json_str(struct hq_json *j, struct hq_str v)
{
    before_value(j);
    hq_json_quote(j->out, v);
}

void
hq_json_strz(struct hq_json *j, const char *v)
{
    if (v == NULL) {
        hq_json_null(j);
    } else {
        hq_json_str(j, hq_str_from(v));
    }
}

void
hq_json_seconds(struct hq_json *j, int64_t ms)
{
    int64_t secs = ms / 1000;
    int64_t rest_ns = ms % 1000 * HQ_NS_PER_MS;
    hq_json_f64(j, (double)secs + (double)rest_ns * 1e-9);
}

void
hq_json_span(struct hq_json *j, int64_t ms)
{
    HQ_ASSERT(ms >= 0);
    hq_json_object(j);
    hq_json_put_i64(j, "nanos", ms % 1000 * HQ_NS_PER_MS);
    hq_json_put_i64(j, "secs", ms / 1000);
    hq_json_object_end(j);
}

void
hq_json_time(struct hq_json *j, hq_wall_ms at)
{
    before_value(j);
    hq_buf_byte(j->out, '"');
    if (j->is_pretty) {
        hq_date_rfc3339_nanos(j->out, at);
    } else {
        hq_date_rfc3339_ms(j->out, at);
    }
    hq_buf_byte(j->out, '"');
}

void
hq_json_put_str(struct hq_json *j, const char *key, struct hq_str v)
{
    hq_json_key(j, key);
    hq_json_str(j, v);
}

void
hq_json_put_strz(struct hq_json *j, const char *key, const char *v)
{
    hq_json_key(j, key);
    hq_json_strz(j, v);
}

void
hq_json_put_u64(struct hq_json *j, const char *key, uint64_t v)
{
    hq_json_key(j, key);
    hq_json_u64(j, v);
}

void
hq_json_put_i64(struct hq_json *j, const char *key, int64_t v)
{
    hq_json_key(j, key);
    hq_json_i64(j, v);
}

void
hq_json_put_bool(struct hq_json *j, const char *key, bool v)
{
    hq_json_key(j, key);
    hq_json_bool(j, v);
}

void
hq_json_put_null(struct hq_json *j, const char *key)
{
    hq_json_key(j, key);
    hq_json_null(j);
}

void
hq_json_put_seconds(struct hq_json *j, const char *key, int64_t ms)
{
    hq_json_key(j, key);
    hq_json_seconds(j, ms);
}

void
hq_json_put_time(struct hq_json *j, const char *key, hq_wall_ms at)
{
    hq_json_key(j, key);
    if (at == 0) {
        hq_json_null(j);
    } else {
        hq_json_time(j, at);
    }
}

static void
quote_byte(struct hq_buf *b, unsigned char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c == '"' || c == '\\') {
        hq_buf_byte(b, '\\');
        hq_buf_byte(b, (char)c);
    } else if (c < sizeof letters && letters[c] != '\0') {
        hq_buf_byte(b, '\\');
        hq_buf_byte(b, letters[c]);
    } else {
        hq_buf_printf(b, "\\u%04x", c);
    }
}

/* Nearly all texts: nothing to escape, nothing to check. */
static bool
is_plain(struct hq_str s)
{
    for (size_t ix = 0; ix < s.len; ix++) {
        unsigned char c = (unsigned char)s.ptr[ix];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            return false;
        }
    }
    return true;
}

void
hq_json_quote(struct hq_buf *b, struct hq_str s)
{
    if (is_plain(s)) {
        hq_buf_byte(b, '"');
        hq_buf_str(b, s);
        hq_buf_byte(b, '"');
        return;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf clean = HQ_BUF_INIT;
    if (!hq_str_is_utf8(s)) {
        hq_buf_utf8_lossy(&clean, s);
        s = hq_buf_view(&clean);
    }
    hq_buf_byte(b, '"');
    size_t from = 0;
    for (size_t ix = 0; ix < s.len; ix++) {
        unsigned char c = (unsigned char)s.ptr[ix];
        if (c < 0x20 || c == '"' || c == '\\') {
            hq_buf_str(b, hq_str_sub(s, from, ix));
            quote_byte(b, c);
            from = ix + 1;
        }
    }
    hq_buf_str(b, hq_str_sub(s, from, s.len));
    hq_buf_byte(b, '"');
}
