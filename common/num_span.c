/* Spans of time: the clock form, the human form, and their printing. */
#include "common/num.h"
#include "common/parse.h"

#define DAY_S ((int64_t)86400)

/* All lengths are whole nanoseconds, the longest 31557600e9. */
static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},
    {"nsec", 1},
    {"nanos", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"usec", 1000},
    {"ms", HQ_NS_PER_MS},
    {"msec", HQ_NS_PER_MS},
    {"millis", HQ_NS_PER_MS},
    {"s", HQ_NS_PER_S},
    {"sec", HQ_NS_PER_S},
    {"secs", HQ_NS_PER_S},
    {"second", HQ_NS_PER_S},
    {"seconds", HQ_NS_PER_S},
    {"m", 60 * HQ_NS_PER_S},
    {"min", 60 * HQ_NS_PER_S},
    {"mins", 60 * HQ_NS_PER_S},
    {"minute", 60 * HQ_NS_PER_S},
    {"minutes", 60 * HQ_NS_PER_S},
    {"h", 3600 * HQ_NS_PER_S},
    {"hr", 3600 * HQ_NS_PER_S},
    {"hrs", 3600 * HQ_NS_PER_S},
    {"hour", 3600 * HQ_NS_PER_S},
    {"hours", 3600 * HQ_NS_PER_S},
    {"d", DAY_S *HQ_NS_PER_S},
    {"day", DAY_S *HQ_NS_PER_S},
    {"days", DAY_S *HQ_NS_PER_S},
    {"w", 7 * DAY_S *HQ_NS_PER_S},
    {"wk", 7 * DAY_S *HQ_NS_PER_S},
    {"wks", 7 * DAY_S *HQ_NS_PER_S},
    {"week", 7 * DAY_S *HQ_NS_PER_S},
    {"weeks", 7 * DAY_S *HQ_NS_PER_S},
    {"M", 2630016 * HQ_NS_PER_S},
    {"month", 2630016 * HQ_NS_PER_S},
    {"months", 2630016 * HQ_NS_PER_S},
    {"y", 31557600 * HQ_NS_PER_S},
    {"yr", 31557600 * HQ_NS_PER_S},
    {"yrs", 31557600 * HQ_NS_PER_S},
    {"year", 31557600 * HQ_NS_PER_S},
    {"years", 31557600 * HQ_NS_PER_S},
};

enum fault_kind {
    FAULT_NONE = 0,
    FAULT_EMPTY,
    FAULT_NUMBER, /* no digit where a number should start */
    FAULT_CHAR,
    FAULT_UNIT,
    FAULT_OVERFLOW,
};

struct fault {
    enum fault_kind kind;
    size_t at;
    struct hq_str unit;
    size_t unit_at;
    uint64_t value;
};

static size_t
unit_char_bytes(struct hq_str s, size_t at)
{
    if (at < s.len && hq_is_letter(s.ptr[at])) {
        return 1;
    }
    return hq_str_starts(hq_str_sub(s, at, s.len), HQ_STR("\xc2\xb5")) ? 2 : 0;
}

/* "12" or "12.5" at *at. Fractions keep 18 digits: less than a nanosecond of a year is cut off behind them. */
struct number {
    uint64_t whole;
    uint64_t fraction;
    uint64_t scale; /* fraction / scale */
};

static bool
read_number(struct hq_str s, size_t *at, struct number *ret, struct fault *fault)
{
    struct number n = {.scale = 1};
    bool fits = true;
    for (; *at < s.len && hq_is_digit(s.ptr[*at]); ++*at) {
        fits = fits && !__builtin_mul_overflow(n.whole, (uint64_t)10, &n.whole) &&
               !__builtin_add_overflow(n.whole, (uint64_t)(s.ptr[*at] - '0'), &n.whole);
    }
    if (*at < s.len && s.ptr[*at] == '.') {
        size_t first = ++*at;
        for (; *at < s.len && hq_is_digit(s.ptr[*at]); ++*at) {
            if (n.scale < UINT64_C(1000000000000000000)) {
                n.scale *= 10;
                n.fraction = n.fraction * 10 + (uint64_t)(s.ptr[*at] - '0');
            }
        }
        if (*at == first) {
            *fault = (struct fault){.kind = *at < s.len ? FAULT_CHAR : FAULT_NUMBER, .at = *at};
            return false;
        }
    }
    if (!fits) {
        *fault = (struct fault){.kind = FAULT_OVERFLOW};
        return false;
    }
    *ret = n;
    return true;
}

/* number x unit, rounded down to nanoseconds; false when it does not fit. */
static bool
scale_number(const struct number *n, int64_t unit_ns, int64_t *ret)
{
    __extension__ typedef unsigned __int128 wide;
    wide total = (wide)n->whole * (wide)unit_ns + (wide)n->fraction * (wide)unit_ns / n->scale;
    if (total > INT64_MAX) {
        return false;
    }
    *ret = (int64_t)total;
    return true;
}

/* One "<number> <unit>" at *at, where a digit stands. */
static bool
read_item(struct hq_str s, size_t *at, int64_t *total_ns, struct fault *fault)
{
    struct number n;
    if (!read_number(s, at, &n, fault)) {
        return false;
    }
    size_t unit_at = hq_parse_blanks(s, *at);
    size_t end = unit_at;
    for (size_t bytes; (bytes = unit_char_bytes(s, end)) > 0;) {
        end += bytes;
    }
    struct hq_str unit = hq_str_sub(s, unit_at, end);
    bool is_ended = end == s.len || hq_is_digit(s.ptr[end]) || hq_parse_blanks(s, end) > end;
    if (!is_ended) {
        *fault = (struct fault){.kind = FAULT_CHAR, .at = end};
        return false;
    }
    *at = end;
    for (size_t i = 0; i < HQ_ARRAY_LEN(units); i++) {
        int64_t ns;
        if (!hq_str_is(unit, units[i].name)) {
            continue;
        }
        if (!scale_number(&n, units[i].ns, &ns) || __builtin_add_overflow(*total_ns, ns, total_ns)) {
            *fault = (struct fault){.kind = FAULT_OVERFLOW};
            return false;
        }
        return true;
    }
    *fault = (struct fault){.kind = FAULT_UNIT, .unit = unit, .unit_at = unit_at, .value = n.whole};
    return false;
}

static bool
parse_human(struct hq_str s, int64_t *ret_ns, struct fault *fault)
{
    size_t at = hq_parse_blanks(s, 0);
    int64_t total_ns = 0;
    if (at == s.len) {
        *fault = (struct fault){.kind = FAULT_EMPTY};
        return false;
    }
    if (hq_str_is(hq_str_trim(s), "0")) {
        *ret_ns = 0;
        return true;
    }
    while (at < s.len) {
        if (!hq_is_digit(s.ptr[at])) {
            *fault = (struct fault){.kind = FAULT_NUMBER, .at = at};
            return false;
        }
        if (!read_item(s, &at, &total_ns, fault)) {
            return false;
        }
        at = hq_parse_blanks(s, at);
    }
    *ret_ns = total_ns;
    return true;
}

/* [[H:]M:]S with parts of any size. *ret_fits is false when it is of this form but too large. */
static bool
parse_clock(struct hq_str s, int64_t *ret_ns, bool *ret_fits)
{
    int64_t total_s = 0;
    *ret_fits = true;
    for (int parts = 0; parts < 3; parts++) {
        struct hq_str part;
        bool has_more = hq_str_split(&s, ':', &part);
        uint64_t v;
        int rc = hq_num_u64_sep(part, &v, NULL);
        if (rc == -EINVAL) {
            return false;
        }
        *ret_fits = *ret_fits && rc == 0 && v <= INT64_MAX && !__builtin_mul_overflow(total_s, (int64_t)60, &total_s) &&
                    !__builtin_add_overflow(total_s, (int64_t)v, &total_s);
        if (!has_more) {
            int64_t ns;
            *ret_fits = *ret_fits && !__builtin_mul_overflow(total_s, HQ_NS_PER_S, &ns);
            if (*ret_fits) {
                *ret_ns = ns;
            }
            return true;
        }
    }
    return false;
}

#define CLI_TEXT "Could not parse PBS walltime. Use either `HH:MM:SS` or humantime format (2hours): "

int
hq_duration_parse_cli(struct hq_str s, int64_t *ret_ns, struct hq_err *err)
{
    struct fault fault = {0};
    bool fits;
    if (parse_clock(s, ret_ns, &fits)) {
        return fits ? 0 : hq_err_set(err, -ERANGE, CLI_TEXT "NumberOverflow");
    }
    if (parse_human(s, ret_ns, &fault)) {
        return 0;
    }
    switch (fault.kind) {
    case FAULT_EMPTY:
        return hq_err_set(err, -EINVAL, CLI_TEXT "Empty");
    case FAULT_NUMBER:
        return hq_err_set(err, -EINVAL, CLI_TEXT "NumberExpected(%zu)", fault.at);
    case FAULT_CHAR:
        return hq_err_set(err, -EINVAL, CLI_TEXT "InvalidCharacter(%zu)", fault.at);
    case FAULT_UNIT:
        return hq_err_set(err, -EINVAL, CLI_TEXT "UnknownUnit { start: %zu, end: %zu, unit: \"%.*s\", value: %llu }",
                          fault.unit_at, fault.unit_at + fault.unit.len, (int)HQ_MIN(fault.unit.len, (size_t)200),
                          fault.unit.ptr, (unsigned long long)fault.value);
    case FAULT_OVERFLOW:
        return hq_err_set(err, -ERANGE, CLI_TEXT "NumberOverflow");
    case FAULT_NONE:
        break;
    }
    HQ_ASSERT(fault.kind != FAULT_NONE);
    return -EINVAL;
}

int
hq_duration_parse_human(struct hq_str s, int64_t *ret_ns, struct hq_err *err)
{
    struct fault fault = {0};
    if (parse_human(s, ret_ns, &fault)) {
        return 0;
    }
    switch (fault.kind) {
    case FAULT_EMPTY:
        return hq_err_set(err, -EINVAL, "value was empty");
    case FAULT_NUMBER:
        return hq_err_set(err, -EINVAL, "expected number at %zu", fault.at);
    case FAULT_CHAR:
        return hq_err_set(err, -EINVAL, "invalid character at %zu", fault.at);
    case FAULT_UNIT:
        if (fault.unit.len == 0) {
            return hq_err_set(err, -EINVAL, "time unit needed, for example %llusec or %llums",
                              (unsigned long long)fault.value, (unsigned long long)fault.value);
        }
        return hq_err_set(err, -EINVAL,
                          "unknown time unit \"%.*s\", supported units: ns, us, ms, sec, min, hours, days, weeks, "
                          "months, years (and few variations)",
                          (int)HQ_MIN(fault.unit.len, (size_t)200), fault.unit.ptr);
    case FAULT_OVERFLOW:
        return hq_err_set(err, -ERANGE, "number is too large");
    case FAULT_NONE:
        break;
    }
    HQ_ASSERT(fault.kind != FAULT_NONE);
    return -EINVAL;
}

void
hq_duration_print(struct hq_buf *out, int64_t ns)
{
    static const struct {
        const char *name;
        bool has_plural;
        int64_t ns;
    } parts[] = {
        {"year", true, 31557600 * HQ_NS_PER_S},
        {"month", true, 2630016 * HQ_NS_PER_S},
        {"day", true, DAY_S * HQ_NS_PER_S},
        {"h", false, 3600 * HQ_NS_PER_S},
        {"m", false, 60 * HQ_NS_PER_S},
        {"s", false, HQ_NS_PER_S},
        {"ms", false, HQ_NS_PER_MS},
        {"us", false, 1000},
        {"ns", false, 1},
    };
    if (ns == 0) {
        hq_buf_cstr(out, "0s");
        return;
    }
    HQ_ASSERT(ns > 0);
    const char *sep = "";
    for (size_t i = 0; i < HQ_ARRAY_LEN(parts); i++) {
        int64_t n = ns / parts[i].ns;
        ns %= parts[i].ns;
        if (n == 0) {
            continue;
        }
        hq_buf_cstr(out, sep);
        hq_buf_i64(out, n);
        hq_buf_cstr(out, parts[i].name);
        if (parts[i].has_plural && n > 1) {
            hq_buf_byte(out, 's');
        }
        sep = " ";
    }
}

void
hq_makespan_print(struct hq_buf *out, int64_t ns)
{
    if (ns < 0) {
        hq_buf_cstr(out, "Invalid duration");
        return;
    }
    int64_t minute_ns = 60 * HQ_NS_PER_S;
    int64_t unit_ns = ns >= 60 * minute_ns ? minute_ns : ns >= minute_ns ? HQ_NS_PER_S : HQ_NS_PER_MS;
    hq_duration_print(out, ns - ns % unit_ns);
}
