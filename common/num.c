#include "common/num.h"

#include "common/parse.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FLOAT_TEXT_BYTES_MAX 400u /* longer than the longest exact double */

static int
no_integer(struct hq_str s, struct hq_err *err)
{
    return hq_err_set(err, -EINVAL,
                      s.len == 0 ? "cannot parse integer from empty string" : "invalid digit found in string");
}

static int
too_large(struct hq_err *err)
{
    return hq_err_set(err, -ERANGE, "number too large to fit in target type");
}

static int
too_small(struct hq_err *err)
{
    return hq_err_set(err, -ERANGE, "number too small to fit in target type");
}

/* All digits of s up to `max`. A wrong character anywhere beats an overflow: it is no number at all then. */
static int
parse_digits(struct hq_str s, bool with_sep, uint64_t max, uint64_t *ret, struct hq_err *err)
{
    uint64_t v = 0;
    bool fits = true;
    if (s.len == 0 || !hq_is_digit(s.ptr[0])) {
        return no_integer(s, err);
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '_' && with_sep) {
            continue;
        }
        if (!hq_is_digit(c)) {
            return no_integer(s, err);
        }
        fits = fits && !__builtin_mul_overflow(v, (uint64_t)10, &v) &&
               !__builtin_add_overflow(v, (uint64_t)(c - '0'), &v) && v <= max;
    }
    if (!fits) {
        return too_large(err);
    }
    *ret = v;
    return 0;
}

static int
parse_signed(struct hq_str s, bool with_sep, int64_t max, int64_t *ret, struct hq_err *err)
{
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    bool has_sign = is_negative || (s.len > 0 && s.ptr[0] == '+');
    struct hq_str digits = has_sign ? hq_str_sub(s, 1, s.len) : s;
    uint64_t v;
    if (digits.len == 0 && has_sign) {
        return no_integer(s, err);
    }
    int rc = parse_digits(digits, with_sep, (uint64_t)max + (is_negative ? 1 : 0), &v, err);
    if (rc == -ERANGE && is_negative) {
        return too_small(err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = is_negative ? (int64_t)((uint64_t)0 - v) : (int64_t)v;
    return 0;
}

static int
parse_u32(struct hq_str s, bool with_sep, uint32_t *ret, struct hq_err *err)
{
    uint64_t v;
    int rc = parse_digits(s, with_sep, UINT32_MAX, &v, err);
    if (rc == 0) {
        *ret = (uint32_t)v;
    }
    return rc;
}

static int
parse_i32(struct hq_str s, bool with_sep, int32_t *ret, struct hq_err *err)
{
    int64_t v = 0;
    int rc = parse_signed(s, with_sep, INT32_MAX, &v, err);
    if (rc == 0) {
        *ret = (int32_t)v;
    }
    return rc;
}

int
hq_num_u32(struct hq_str s, uint32_t *ret, struct hq_err *err)
{
    return parse_u32(s, false, ret, err);
}

int
hq_num_u64(struct hq_str s, uint64_t *ret, struct hq_err *err)
{
    return parse_digits(s, false, UINT64_MAX, ret, err);
}

int
hq_num_i32(struct hq_str s, int32_t *ret, struct hq_err *err)
{
    return parse_i32(s, false, ret, err);
}

int
hq_num_i64(struct hq_str s, int64_t *ret, struct hq_err *err)
{
    return parse_signed(s, false, INT64_MAX, ret, err);
}

int
hq_num_u32_sep(struct hq_str s, uint32_t *ret, struct hq_err *err)
{
    return parse_u32(s, true, ret, err);
}

int
hq_num_u64_sep(struct hq_str s, uint64_t *ret, struct hq_err *err)
{
    return parse_digits(s, true, UINT64_MAX, ret, err);
}

int
hq_num_i32_sep(struct hq_str s, int32_t *ret, struct hq_err *err)
{
    return parse_i32(s, true, ret, err);
}

int
hq_num_i64_sep(struct hq_str s, int64_t *ret, struct hq_err *err)
{
    return parse_signed(s, true, INT64_MAX, ret, err);
}

int
hq_num_bytes(struct hq_str s, uint64_t *ret, struct hq_err *err)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {
        {"", 0},     {"B", 0},  {"K", 10},   {"KiB", 10}, {"M", 20},
        {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40},   {"TiB", 40},
    };
    size_t digits = hq_parse_digits(s, 0);
    struct hq_str unit = hq_str_trim(hq_str_sub(s, digits, s.len));
    uint64_t v;
    int rc = parse_digits(hq_str_sub(s, 0, digits), true, UINT64_MAX, &v, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(units); i++) {
        if (hq_str_is(unit, units[i].unit)) {
            if (v > UINT64_MAX >> units[i].shift) {
                return too_large(err);
            }
            *ret = v << units[i].shift;
            return 0;
        }
    }
    return hq_err_set(err, -EINVAL, "unknown unit, expected a number with B, KiB, MiB, GiB or TiB");
}

int
hq_num_x10000(struct hq_str s, uint64_t *ret, struct hq_err *err)
{
    size_t point = hq_parse_digits(s, 0);
    uint64_t whole = 0;
    int rc = parse_digits(hq_str_sub(s, 0, point), true, UINT64_MAX, &whole, err);
    if (rc < 0) {
        return rc;
    }
    uint64_t fraction = 0;
    unsigned decimals = 0;
    if (point < s.len) {
        struct hq_str digits = hq_str_sub(s, point + 1, s.len);
        if (s.ptr[point] != '.' || digits.len == 0 || hq_parse_digits(digits, 0) != digits.len) {
            return no_integer(s, err);
        }
        for (size_t i = 0; i < digits.len; i++) {
            if (digits.ptr[i] == '_') {
                continue;
            }
            if (++decimals > 4) {
                return hq_err_set(err, -EDOM, "more than four digits behind the point");
            }
            fraction = fraction * 10 + (uint64_t)(digits.ptr[i] - '0');
        }
    }
    for (; decimals < 4; decimals++) {
        fraction *= 10;
    }
    uint64_t v;
    if (__builtin_mul_overflow(whole, (uint64_t)10000, &v) || __builtin_add_overflow(v, fraction, &v)) {
        return too_large(err);
    }
    *ret = v;
    return 0;
}

void
hq_num_x10000_print(struct hq_buf *out, uint64_t v)
{
    hq_buf_u64(out, v / 10000);
    uint64_t fraction = v % 10000;
    if (fraction == 0) {
        return;
    }
    unsigned width = 4;
    while (fraction % 10 == 0) {
        fraction /= 10;
        width--;
    }
    hq_buf_printf(out, ".%0*u", (int)width, (unsigned)fraction);
}

/* Sign, digits with at most one point, exponent: the decimal part of what strtod would take. */
static bool
is_float(struct hq_str s)
{
    size_t at = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+') ? 1 : 0;
    size_t digits = 0;
    size_t points = 0;
    for (; at < s.len && (hq_is_digit(s.ptr[at]) || (s.ptr[at] == '.' && points == 0)); at++) {
        if (s.ptr[at] == '.') {
            points++;
        } else {
            digits++;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        at++;
        if (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+')) {
            at++;
        }
        if (at == s.len) {
            return false;
        }
        while (at < s.len && hq_is_digit(s.ptr[at])) {
            at++;
        }
    }
    return at == s.len;
}

int
hq_num_f64(struct hq_str s, double *ret, struct hq_err *err)
{
    char text[FLOAT_TEXT_BYTES_MAX + 1];
    if (s.len == 0) {
        return hq_err_set(err, -EINVAL, "cannot parse float from empty string");
    }
    if (!is_float(s) || s.len > FLOAT_TEXT_BYTES_MAX) {
        return hq_err_set(err, -EINVAL, "invalid float literal");
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    double v = strtod(text, NULL); /* no program of ours sets a locale */
    if (!isfinite(v)) {
        return too_large(err);
    }
    *ret = v;
    return 0;
}

/* Shortest digits of a finite v > 0 into `digits` (at least 18 bytes); v = 0.d1d2d3... x 10^*ret_point. */
static size_t
shortest_digits(double v, char *digits, int *ret_point)
{
    char text[40];
    for (int precision = 0; precision <= 16; precision++) {
        int len = snprintf(text, sizeof text, "%.*e", precision, v);
        HQ_ASSERT(len > 0);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    size_t count = 0;
    const char *p = text;
    for (; *p != 'e'; p++) {
        if (hq_is_digit(*p)) {
            digits[count++] = *p;
        }
    }
    int exponent = 0;
    for (const char *q = p + 2; *q != '\0'; q++) {
        exponent = exponent * 10 + (*q - '0');
    }
    *ret_point = (p[1] == '-' ? -exponent : exponent) + 1;
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    return count;
}

static void
add_digits(struct hq_buf *out, const char *digits, size_t count, int point)
{
    int n = (int)count;
    if (point > -5 && point <= 0) {
        hq_buf_cstr(out, "0.");
        hq_buf_rep(out, '0', (size_t)-point);
        hq_buf_add(out, digits, count);
    } else if (point > 0 && point <= 16) {
        size_t whole = (size_t)HQ_MIN(n, point);
        hq_buf_add(out, digits, whole);
        hq_buf_rep(out, '0', (size_t)point - whole);
        hq_buf_byte(out, '.');
        if (whole < count) {
            hq_buf_add(out, digits + whole, count - whole);
        } else {
            hq_buf_byte(out, '0');
        }
    } else {
        hq_buf_byte(out, digits[0]);
        if (count > 1) {
            hq_buf_byte(out, '.');
            hq_buf_add(out, digits + 1, count - 1);
        }
        hq_buf_printf(out, "e%+d", point - 1);
    }
}

void
hq_num_f64_print(struct hq_buf *out, double v)
{
    if (!isfinite(v)) {
        hq_buf_cstr(out, "null");
        return;
    }
    if (signbit(v)) {
        hq_buf_byte(out, '-');
        v = -v;
    }
    /* Seconds and milliseconds: a double equals at most one decimal of 15 digits, so that the first hit is the
     * shortest. */
    if (v < 1e12) {
        double thousands = rint(v * 1000.0);
        if (thousands / 1000.0 == v) {
            uint64_t n = (uint64_t)thousands;
            hq_buf_u64(out, n / 1000);
            unsigned rest = (unsigned)(n % 1000);
            char text[8];
            int len = snprintf(text, sizeof text, ".%03u", rest);
            while (len > 2 && text[len - 1] == '0') {
                len--;
            }
            hq_buf_add(out, text, (size_t)len);
            return;
        }
    }
    char digits[24] = {0};
    int point = 0;
    size_t count = shortest_digits(v, digits, &point);
    add_digits(out, digits, count, point);
}
