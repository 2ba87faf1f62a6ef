#include "hq/entries.h"

#include "common/mem.h"
#include "common/num.h"
#include "common/out_json.h"

#include <jansson.h>
#include <stdlib.h>

/* jansson reads; we print. Version 2.14 refuses integers beyond 63 bits, which are fine JSON: they are turned into
 * texts with a mark in front before it sees them, and back when they are printed. The mark begins with a NUL character,
 * and is made longer until the document does not contain it. */

#define MARK_TRIES 16u

struct big_numbers {
    char mark[8 + MARK_TRIES]; /* as in the JSON text: "\u0000n..." */
    struct hq_str decoded;     /* as jansson gives it: NUL, n... */
    char decoded_mem[2 + MARK_TRIES];
};

static bool
is_number_char(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* An integer token that needs more than 63 bits (by its length; what is that long and smaller comes back the same). */
static bool
is_big_integer(struct hq_str token)
{
    size_t digits = 0;
    for (size_t ix = 0; ix < token.len; ix++) {
        char c = token.ptr[ix];
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (c != '-' || ix > 0) {
            return false;
        }
    }
    bool has_leading_zero = digits > 1 && token.ptr[token.len - digits] == '0';
    return digits >= 19 && !has_leading_zero;
}

/* Copies `text` with its big integers marked; false when there is none (nothing to copy). */
static bool
mark_numbers(struct hq_buf *out, struct hq_str text, const struct big_numbers *b)
{
    size_t done = 0;
    bool in_string = false;
    for (size_t at = 0; at < text.len; at++) {
        char c = text.ptr[at];
        if (in_string) {
            at += c == '\\' ? 1 : 0;
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        size_t end = at;
        while (end < text.len && is_number_char(text.ptr[end])) {
            end++;
        }
        if (end == at) {
            continue;
        }
        if (is_big_integer(hq_str_sub(text, at, end))) {
            hq_buf_str(out, hq_str_sub(text, done, at));
            hq_buf_printf(out, "\"%s", b->mark);
            hq_buf_str(out, hq_str_sub(text, at, end));
            hq_buf_byte(out, '"');
            done = end;
        }
        at = end - 1;
    }
    if (done > 0) {
        hq_buf_str(out, hq_str_sub(text, done, text.len));
    }
    return done > 0;
}

static bool
choose_mark(struct big_numbers *b, struct hq_str text)
{
    memcpy(b->mark, "\\u0000", 6);
    for (size_t n = 1; n <= MARK_TRIES; n++) {
        memset(b->mark + 6, 'n', n);
        b->mark[6 + n] = '\0';
        if (hq_str_find(text, hq_str_from(b->mark)) < 0) {
            b->decoded_mem[0] = '\0';
            memset(b->decoded_mem + 1, 'n', n);
            b->decoded = hq_str_make(b->decoded_mem, n + 1);
            return true;
        }
    }
    return false;
}

/* ---- printing */

static void
print_big(struct hq_buf *out, struct hq_str digits)
{
    uint64_t u;
    int64_t i;
    double d;
    if (hq_num_u64(digits, &u, NULL) == 0) {
        hq_buf_u64(out, u);
    } else if (hq_num_i64(digits, &i, NULL) == 0) {
        hq_buf_i64(out, i);
    } else if (hq_num_f64(digits, &d, NULL) == 0) {
        hq_num_f64_print(out, d);
    } else {
        hq_buf_str(out, digits); /* beyond a double: the digits as they came */
    }
}

static void print_value(struct hq_buf *out, json_t *v, const struct big_numbers *b);

static int
by_key(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static void
print_object(struct hq_buf *out, json_t *object, const struct big_numbers *b)
{
    const char **keys = hq_xcalloc(json_object_size(object) + 1, sizeof *keys);
    size_t n = 0;
    for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it)) {
        keys[n++] = json_object_iter_key(it);
    }
    qsort(keys, n, sizeof *keys, by_key);
    hq_buf_byte(out, '{');
    for (size_t ix = 0; ix < n; ix++) {
        if (ix > 0) {
            hq_buf_byte(out, ',');
        }
        hq_json_quote(out, hq_str_from(keys[ix]));
        hq_buf_byte(out, ':');
        print_value(out, json_object_get(object, keys[ix]), b);
    }
    hq_buf_byte(out, '}');
    free(keys);
}

static void
print_string(struct hq_buf *out, struct hq_str s, const struct big_numbers *b)
{
    if (b->decoded.len > 0 && hq_str_starts(s, b->decoded)) {
        print_big(out, hq_str_sub(s, b->decoded.len, s.len));
    } else {
        hq_json_quote(out, s);
    }
}

/* Nesting is bounded by jansson (2048 levels). */
static void
print_value(struct hq_buf *out, json_t *v, const struct big_numbers *b)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        print_object(out, v, b);
        break;
    case JSON_ARRAY:
        hq_buf_byte(out, '[');
        for (size_t ix = 0; ix < json_array_size(v); ix++) {
            if (ix > 0) {
                hq_buf_byte(out, ',');
            }
            print_value(out, json_array_get(v, ix), b);
        }
        hq_buf_byte(out, ']');
        break;
    case JSON_STRING:
        print_string(out, hq_str_make(json_string_value(v), json_string_length(v)), b);
        break;
    case JSON_INTEGER:
        hq_buf_i64(out, json_integer_value(v));
        break;
    case JSON_REAL:
        hq_num_f64_print(out, json_real_value(v));
        break;
    case JSON_TRUE:
        hq_buf_cstr(out, "true");
        break;
    case JSON_FALSE:
        hq_buf_cstr(out, "false");
        break;
    case JSON_NULL:
        hq_buf_cstr(out, "null");
        break;
    }
}

/* ---- reading */

static int
syntax_error(struct hq_err *err, const json_error_t *e)
{
    const char *what = e->text;
    switch (json_error_code(e)) {
    case json_error_premature_end_of_input:
        what = "EOF while parsing a value";
        break;
    case json_error_invalid_syntax:
        what = "expected value";
        break;
    case json_error_end_of_input_expected:
        what = "trailing characters";
        break;
    case json_error_numeric_overflow:
        what = "number out of range";
        break;
    default: /* jansson's own words */
        break;
    }
    return hq_err_set(err, -EINVAL, "%s at line %d column %d", what, e->line, e->column);
}

static int
add_elements(struct entries *e, const json_t *top, const struct hq_ranges *only, const struct big_numbers *b,
             struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    int rc = 0;
    for (size_t ix = 0; ix < json_array_size(top) && rc == 0; ix++) {
        if (only != NULL && !hq_ranges_has(only, (uint32_t)ix)) {
            continue;
        }
        hq_buf_clear(&text);
        print_value(&text, json_array_get(top, ix), b);
        rc = entries_add(e, hq_buf_view(&text), err);
        if (rc == 0 && only != NULL) {
            hq_ranges_add(&e->ids, (uint32_t)ix, 1, 1);
        }
    }
    return rc;
}

int
entries_from_json(struct entries *ret, struct hq_str text, const char *path, const struct hq_ranges *only,
                  struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf marked = HQ_BUF_INIT;
    struct big_numbers b = {0};
    struct hq_str input = text;
    if (choose_mark(&b, text) && mark_numbers(&marked, text, &b)) {
        input = hq_buf_view(&marked);
    } else {
        b.decoded = HQ_STR_NULL;
    }
    json_error_t failed;
    json_t *top = json_loadb(input.len > 0 ? input.ptr : "", input.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &failed);
    if (top == NULL) {
        return syntax_error(err, &failed);
    }
    struct entries e = {.has_ids = only != NULL};
    int rc;
    if (!json_is_array(top)) {
        rc = hq_err_set(err, -EINVAL, "%s: The top element of the provided JSON file has to be an array", path);
    } else {
        rc = add_elements(&e, top, only, &b, err);
    }
    json_decref(top);
    if (rc < 0) {
        entries_fini(&e);
        return rc;
    }
    *ret = e;
    return 0;
}
