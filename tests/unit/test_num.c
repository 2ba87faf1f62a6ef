/* Numbers, durations and dates: valid and refused cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rng.h"

static struct hq_str
str_of(const char *s)
{
    return hq_str_from(s);
}

static void
test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc_u32, rc_u64, rc_i32, rc_i64;
        int64_t v;
    } cases[] = {
        {"0", 0, 0, 0, 0, 0},
        {"00012", 0, 0, 0, 0, 12},
        {"4294967295", 0, 0, -ERANGE, 0, 4294967295},
        {"4294967296", -ERANGE, 0, -ERANGE, 0, 4294967296},
        {"2147483647", 0, 0, 0, 0, 2147483647},
        {"-2147483648", -EINVAL, -EINVAL, 0, 0, -2147483648LL},
        {"-2147483649", -EINVAL, -EINVAL, -ERANGE, 0, -2147483649LL},
        {"9223372036854775807", -ERANGE, 0, -ERANGE, 0, INT64_MAX},
        {"9223372036854775808", -ERANGE, 0, -ERANGE, -ERANGE, 0},
        {"-9223372036854775808", -EINVAL, -EINVAL, -ERANGE, 0, INT64_MIN},
        {"-9223372036854775809", -EINVAL, -EINVAL, -ERANGE, -ERANGE, 0},
        {"18446744073709551616", -ERANGE, -ERANGE, -ERANGE, -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, -ERANGE, -ERANGE, -ERANGE, 0},
        {"99999999999999999999999999x", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"+5", -EINVAL, -EINVAL, 0, 0, 5},
        {"", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"-", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"+", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"--1", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {" 1", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"1 ", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"1_0", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"0x10", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"1.0", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"\xc3\xa4", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
        {"\xff", -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        uint32_t u32 = 77;
        uint64_t u64 = 77;
        int32_t i32 = 77;
        int64_t i64 = 77;
        struct hq_str s = str_of(cases[i].text);
        assert_int_equal(hq_num_u32(s, &u32, NULL), cases[i].rc_u32);
        assert_int_equal(hq_num_u64(s, &u64, NULL), cases[i].rc_u64);
        assert_int_equal(hq_num_i32(s, &i32, NULL), cases[i].rc_i32);
        assert_int_equal(hq_num_i64(s, &i64, NULL), cases[i].rc_i64);
        /* untouched on failure */
        assert_int_equal(u32, cases[i].rc_u32 == 0 ? (uint32_t)cases[i].v : 77);
        if (cases[i].rc_i32 == 0) {
            assert_int_equal(i32, cases[i].v);
        }
        if (cases[i].rc_i64 == 0) {
            assert_true(i64 == cases[i].v);
        } else {
            assert_true(i64 == 77);
        }
    }
}

static void
test_separators(void **state)
{
    (void)state;
    uint32_t v = 0;
    int32_t w = 0;
    assert_int_equal(hq_num_u32_sep(str_of("1_000"), &v, NULL), 0);
    assert_int_equal(v, 1000);
    assert_int_equal(hq_num_u32_sep(str_of("1___0"), &v, NULL), 0);
    assert_int_equal(v, 10);
    assert_int_equal(hq_num_u32_sep(str_of("7_"), &v, NULL), 0);
    assert_int_equal(v, 7);
    assert_int_equal(hq_num_u32_sep(str_of("_7"), &v, NULL), -EINVAL);
    assert_int_equal(hq_num_u32_sep(str_of("_"), &v, NULL), -EINVAL);
    assert_int_equal(hq_num_u32_sep(str_of("4_294_967_296"), &v, NULL), -ERANGE);
    assert_int_equal(hq_num_i32_sep(str_of("-1_0"), &w, NULL), 0);
    assert_int_equal(w, -10);
    assert_int_equal(hq_num_i32_sep(str_of("-_1"), &w, NULL), -EINVAL);
    /* a NUL byte is no digit */
    assert_int_equal(hq_num_u32_sep(hq_str_make("1\0002", 3), &v, NULL), -EINVAL);
}

static void
test_integer_texts(void **state)
{
    (void)state;
    struct hq_err err = {0};
    uint32_t u;
    int32_t i;
    assert_int_equal(hq_num_u32(str_of("x"), &u, &err), -EINVAL);
    assert_string_equal(err.text, "invalid digit found in string");
    assert_int_equal(hq_num_u32(str_of(""), &u, &err), -EINVAL);
    assert_string_equal(err.text, "cannot parse integer from empty string");
    assert_int_equal(hq_num_i32(str_of("99999999999"), &i, &err), -ERANGE);
    assert_string_equal(err.text, "number too large to fit in target type");
    assert_int_equal(hq_num_i32(str_of("-99999999999"), &i, &err), -ERANGE);
    assert_string_equal(err.text, "number too small to fit in target type");
}

static void
test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t v;
    } cases[] = {
        {"0", 0, 0},
        {"4096", 0, 4096},
        {"4_096B", 0, 4096},
        {"1K", 0, 1024},
        {"2KiB", 0, 2048},
        {"3 MiB", 0, 3145728},
        {"1T", 0, UINT64_C(1) << 40},
        {"16777215TiB", 0, UINT64_C(16777215) << 40},
        {"16777216TiB", -ERANGE, 0},
        {"1KB", -EINVAL, 0},
        {"1k", -EINVAL, 0},
        {"K", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        uint64_t v = 5;
        assert_int_equal(hq_num_bytes(str_of(cases[i].text), &v, NULL), cases[i].rc);
        assert_true(v == (cases[i].rc == 0 ? cases[i].v : 5));
    }
}

static void
test_fixed_point(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t v;
        const char *printed;
    } cases[] = {
        {"0", 0, 0, "0"},
        {"1", 0, 10000, "1"},
        {"0.5", 0, 5000, "0.5"},
        {"500.0123", 0, 5000123, "500.0123"},
        {"1.0001", 0, 10001, "1.0001"},
        {"1.5000", 0, 15000, "1.5"},
        {"1_0.1_2", 0, 101200, "10.12"},
        {"1844674407370955.1615", 0, UINT64_C(18446744073709551615), "1844674407370955.1615"},
        {"1844674407370955.1616", -ERANGE, 0, NULL},
        {"1.23456", -EDOM, 0, NULL},
        {"1.00000", -EDOM, 0, NULL},
        {"1.", -EINVAL, 0, NULL},
        {".5", -EINVAL, 0, NULL},
        {"1._5", -EINVAL, 0, NULL},
        {"1.5x", -EINVAL, 0, NULL},
        {"-1", -EINVAL, 0, NULL},
        {"", -EINVAL, 0, NULL},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        uint64_t v = 5;
        assert_int_equal(hq_num_x10000(str_of(cases[i].text), &v, NULL), cases[i].rc);
        if (cases[i].rc == 0) {
            HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
            assert_true(v == cases[i].v);
            hq_num_x10000_print(&b, v);
            assert_string_equal(b.ptr, cases[i].printed);
        }
    }
}

static void
test_float_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {"x", "inf",   "nan", "-inf", "0x10",  "1e", "1e+",
                                      ".", "1.2.3", " 1",  "1 ",   "1e400", "--1"};
    static const struct {
        const char *text;
        double v;
    } good[] = {{"1", 1.0}, {".5", 0.5}, {"5.", 5.0}, {"-2.5e3", -2500.0}, {"+1E-2", 0.01}, {"0", 0.0}};
    struct hq_err err = {0};
    double v = 0;
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        assert_true(hq_num_f64(str_of(bad[i]), &v, &err) < 0);
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(good); i++) {
        assert_int_equal(hq_num_f64(str_of(good[i].text), &v, &err), 0);
        assert_true(v == good[i].v);
    }
    assert_int_equal(hq_num_f64(str_of("x"), &v, &err), -EINVAL);
    assert_string_equal(err.text, "invalid float literal");
    assert_int_equal(hq_num_f64(hq_str_make("1\0", 2), &v, &err), -EINVAL);
    HQ_AUTO(hq_buf_fini) struct hq_buf huge = HQ_BUF_INIT;
    hq_buf_rep(&huge, '1', 100000);
    assert_int_equal(hq_num_f64(hq_buf_view(&huge), &v, &err), -EINVAL);
}

static void
test_float_print(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {8.0, "8.0"},
        {0.5, "0.5"},
        {0.1, "0.1"},
        {-1.25, "-1.25"},
        {0.001, "0.001"},
        {1234.567, "1234.567"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3.0, "0.3333333333333333"},
        {(double)0.3f, "0.30000001192092896"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.5e300, "1.5e+300"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {0.0001, "0.0001"},
        {0.00001, "0.00001"},
        {0.000001, "1e-6"},
        {1.25e-7, "1.25e-7"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {INFINITY, "null"},
        {NAN, "null"},
        {9007199254740993.0, "9007199254740992.0"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_num_f64_print(&b, cases[i].v);
        assert_string_equal(b.ptr, cases[i].text);
    }
}

/* Whatever is printed reads back the same, and no shorter text does. */
static void
test_float_round_trip(void **state)
{
    (void)state;
    struct hq_rng rng;
    hq_rng_init(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = hq_rng_u64(&rng);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (i % 3 == 1) {
            v = (double)hq_rng_between(&rng, -2000000, 2000000) / 1000.0;
        } else if (i % 3 == 2) {
            v = hq_rng_f64(&rng) * 1000.0;
        }
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_num_f64_print(&b, v);
        if (!isfinite(v)) {
            assert_string_equal(b.ptr, "null");
            continue;
        }
        assert_true(strtod(b.ptr, NULL) == v);
        size_t digits = 0;
        size_t zeros = 0;
        bool started = false;
        for (const char *p = b.ptr; *p != '\0' && *p != 'e'; p++) {
            if (*p >= '0' && *p <= '9' && (started || *p != '0')) {
                started = true;
                digits++;
                zeros = *p == '0' ? zeros + 1 : 0;
            }
        }
        digits -= zeros;
        if (digits > 1) {
            char shorter[40];
            (void)snprintf(shorter, sizeof shorter, "%.*e", (int)digits - 2, v);
            assert_true(strtod(shorter, NULL) != v);
        }
    }
}

#define S HQ_NS_PER_S
#define PBS "Could not parse PBS walltime. Use either `HH:MM:SS` or humantime format (2hours): "

static void
test_duration_cli(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
        const char *error; /* behind PBS; NULL = good */
    } cases[] = {
        {"90", 90 * S, NULL},
        {"80:02", 4802 * S, NULL},
        {"02:03:04", 7384 * S, NULL},
        {"1_0", 10 * S, NULL},
        {"0:0:0", 0, NULL},
        {"100:100:100", 366100 * S, NULL},
        {"1.5h", 5400 * S, NULL},
        {"1.25h 0.5s", 4500 * S + S / 2, NULL},
        {"0.5s", S / 2, NULL},
        {"1h", 3600 * S, NULL},
        {"3h 10m 5s", 11405 * S, NULL},
        {"2h5m10s", 7510 * S, NULL},
        {"15days 2min 2s", (15 * 86400 + 122) * S, NULL},
        {"2 hours 5 minutes", 7500 * S, NULL},
        {"5s 1h", 3605 * S, NULL},
        {"1M 1m", (2630016 + 60) * S, NULL},
        {"1y", 31557600 * S, NULL},
        {"7\xc2\xb5s", 7000, NULL},
        {"3us", 3000, NULL},
        {" 1s ", S, NULL},
        {"0", 0, NULL},
        {"xx", 0, "NumberExpected(0)"},
        {"-1", 0, "NumberExpected(0)"},
        {"1x", 0, "UnknownUnit { start: 1, end: 2, unit: \"x\", value: 1 }"},
        {"1:2:3:4", 0, "InvalidCharacter(1)"},
        {"1:", 0, "InvalidCharacter(1)"},
        {":1", 0, "NumberExpected(0)"},
        {"1.5", 0, "UnknownUnit { start: 3, end: 3, unit: \"\", value: 1 }"},
        {"1s 2", 0, "UnknownUnit { start: 4, end: 4, unit: \"\", value: 2 }"},
        {"1 2h", 0, "UnknownUnit { start: 2, end: 2, unit: \"\", value: 1 }"},
        {"", 0, "Empty"},
        {"  ", 0, "Empty"},
        {"1s x", 0, "NumberExpected(3)"},
        {"99999999999999999999", 0, "NumberOverflow"},
        {"99999999999999999999s", 0, "NumberOverflow"},
        {"9223372036", 9223372036 * S, NULL},
        {"9223372037", 0, "NumberOverflow"},
        {"292years", INT64_C(292) * 31557600 * S, NULL},
        {"293years", 0, "NumberOverflow"},
        {"292years 292years", 0, "NumberOverflow"},
        {"5124095576030431:00:00", 0, "NumberOverflow"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        int64_t ns = -7;
        int rc = hq_duration_parse_cli(str_of(cases[i].text), &ns, &err);
        if (cases[i].error == NULL) {
            assert_int_equal(rc, 0);
            assert_true(ns == cases[i].ns);
        } else {
            char want[400];
            (void)snprintf(want, sizeof want, PBS "%s", cases[i].error);
            assert_true(rc < 0);
            assert_string_equal(err.text, want);
            assert_true(ns == -7);
        }
    }
}

static void
test_duration_human(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error; /* NULL = good */
    } cases[] = {
        {"0", NULL},
        {"10s", NULL},
        {"1h 30m", NULL},
        {"10", "time unit needed, for example 10sec or 10ms"},
        {"00:10", "invalid character at 2"},
        {"x", "expected number at 0"},
        {"", "value was empty"},
        {"1.s", "invalid character at 2"},
        {"1.", "expected number at 2"},
        {"1s,", "invalid character at 2"},
        {"1_0s", "invalid character at 1"},
        {"300years", "number is too large"},
        {"1fortnight",
         "unknown time unit \"fortnight\", supported units: ns, us, ms, sec, min, hours, days, weeks, months, "
         "years (and few variations)"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        int64_t ns = 0;
        int rc = hq_duration_parse_human(str_of(cases[i].text), &ns, &err);
        assert_int_equal(rc < 0, cases[i].error != NULL);
        if (cases[i].error != NULL) {
            assert_string_equal(err.text, cases[i].error);
        }
    }
    int64_t ns = 0;
    assert_true(hq_duration_parse_human(hq_str_make("1s\0", 3), &ns, NULL) < 0);
    assert_true(hq_duration_parse_human(str_of("1\xff"), &ns, NULL) < 0);
}

static void
test_duration_units(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *names;
    } groups[] = {
        {1, "ns nsec nanos"},
        {1000, "us \xc2\xb5s usec"},
        {1000000, "ms msec millis"},
        {S, "s sec secs second seconds"},
        {60 * S, "m min mins minute minutes"},
        {3600 * S, "h hr hrs hour hours"},
        {86400 * S, "d day days"},
        {604800 * S, "w wk wks week weeks"},
        {2630016 * S, "M month months"},
        {31557600 * S, "y yr yrs year years"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(groups); i++) {
        struct hq_str rest = str_of(groups[i].names);
        while (rest.len > 0) {
            struct hq_str name;
            HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
            int64_t ns = 0;
            hq_str_split(&rest, ' ', &name);
            hq_buf_cstr(&b, "3");
            hq_buf_str(&b, name);
            assert_int_equal(hq_duration_parse_human(hq_buf_view(&b), &ns, NULL), 0);
            assert_true(ns == 3 * groups[i].ns);
        }
    }
}

static void
test_duration_print(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *full;
        const char *makespan;
    } cases[] = {
        {0, "0s", "0s"},
        {20 * HQ_NS_PER_MS, "20ms", "20ms"},
        {S + 500 * HQ_NS_PER_MS, "1s 500ms", "1s 500ms"},
        {62 * S + 5, "1m 2s 5ns", "1m 2s"},
        {3 * 3600 * S + 5 * 60 * S + 7 * S, "3h 5m 7s", "3h 5m"},
        {7 * 86400 * S + 8 * 3600 * S + 9 * 60 * S, "7days 8h 9m", "7days 8h 9m"},
        {86400 * S, "1day", "1day"},
        {2630016 * S, "1month", "30days 10h 33m"},
        {2 * 2630016 * S, "2months", "1month 30days 10h 33m 24s"},
        {2 * 31557600 * S + 2630016 * S + 3 * 86400 * S + 4 * 3600 * S + 5 * 60 * S + 6 * S + 7008009,
         "2years 1month 3days 4h 5m 6s 7ms 8us 9ns", "2years 1month 3days 4h 4m 24s"},
        {999999, "999us 999ns", "0s"},
        {59 * S + 999999999, "59s 999ms 999us 999ns", "59s 999ms"},
        {INT64_MAX, "292years 3months 7days 16h 6m 28s 854ms 775us 807ns", "292years 3months 7days 16h 6m 12s"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf full = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf makespan = HQ_BUF_INIT;
        hq_duration_print(&full, cases[i].ns);
        hq_makespan_print(&makespan, cases[i].ns);
        assert_string_equal(full.ptr, cases[i].full);
        assert_string_equal(makespan.ptr, cases[i].makespan);
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_makespan_print(&b, -1);
    assert_string_equal(b.ptr, "Invalid duration");
    assert_true(hq_ns_from_ms(INT64_MAX) == INT64_MAX);
    assert_true(hq_ns_from_ms(INT64_MIN) == INT64_MIN);
    assert_true(hq_ms_from_ns_up(1) == 1);
    assert_true(hq_ms_from_ns_up(0) == 0);
    assert_true(hq_ms_from_ns_up(1000000) == 1);
    assert_true(hq_ms_from_ns_up(1000001) == 2);
}

static void
test_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t secs;
        uint32_t nanos;
        const char *text;
    } cases[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {-1, 0, "1969-12-31T23:59:59Z"},
        {1769860800, 123456789, "2026-01-31T12:00:00.123456789Z"},
        {1769860800, 120000000, "2026-01-31T12:00:00.120Z"},
        {1769860800, 123456000, "2026-01-31T12:00:00.123456Z"},
        {1769860800, 1, "2026-01-31T12:00:00.000000001Z"},
        {951782399, 0, "2000-02-28T23:59:59Z"},
        {951782400, 0, "2000-02-29T00:00:00Z"},
        {951868800, 0, "2000-03-01T00:00:00Z"},
        {4107542399, 0, "2100-02-28T23:59:59Z"},
        {4107542400, 0, "2100-03-01T00:00:00Z"},
        {253402300799, 0, "9999-12-31T23:59:59Z"},
        {-62167219200, 0, "0000-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_date_rfc3339(&b, cases[i].secs, cases[i].nanos);
        assert_string_equal(b.ptr, cases[i].text);
    }
}

/* Every day of 1200 years follows the one before. */
static void
test_date_calendar(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct hq_date d = hq_date_from(-62167219200, 0);
    for (int64_t day = 1; day < 438291; day++) {
        struct hq_date next = hq_date_from(-62167219200 + day * 86400, 0);
        bool is_leap = d.year % 4 == 0 && (d.year % 100 != 0 || d.year % 400 == 0);
        uint32_t length = lengths[d.month - 1] + (d.month == 2 && is_leap);
        if (d.day < length) {
            d.day++;
        } else {
            d.day = 1;
            d.month = d.month == 12 ? 1 : d.month + 1;
            d.year += d.month == 1;
        }
        assert_true(next.year == d.year && next.month == d.month && next.day == d.day);
    }
}

static void
test_date_cells(void **state)
{
    (void)state;
    struct {
        void (*print)(struct hq_buf *, hq_wall_ms);
        hq_wall_ms at;
        const char *text;
    } cases[] = {
        {hq_date_utc, 1769860800123, "2026-01-31 12:00:00 UTC"},
        {hq_date_utc, 1769860800500, "2026-01-31 12:00:01 UTC"},
        {hq_date_utc, -1, "1970-01-01 00:00:00 UTC"},
        {hq_date_rfc3339_ms, 1769860800120, "2026-01-31T12:00:00.120Z"},
        {hq_date_rfc3339_ms, 1769860800000, "2026-01-31T12:00:00Z"},
        {hq_date_rfc3339_nanos, 1769860800120, "2026-01-31T12:00:00.120000000Z"},
        {hq_date_rfc3339_whole, 1769860800999, "2026-01-31T12:00:00Z"},
        {hq_date_rfc3339_millis, 1769860800000, "2026-01-31T12:00:00.000Z"},
        {hq_date_rfc3339_millis, -1, "1969-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        cases[i].print(&b, cases[i].at);
        assert_string_equal(b.ptr, cases[i].text);
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_date_local(&b, 1769860800999, 5400);
    assert_string_equal(b.ptr, "31.01.2026 13:30:00");
    hq_buf_clear(&b);
    hq_date_local(&b, 0, -3600);
    assert_string_equal(b.ptr, "31.12.1969 23:00:00");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),       cmocka_unit_test(test_separators),
        cmocka_unit_test(test_integer_texts),  cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_fixed_point),    cmocka_unit_test(test_float_parse),
        cmocka_unit_test(test_float_print),    cmocka_unit_test(test_float_round_trip),
        cmocka_unit_test(test_duration_cli),   cmocka_unit_test(test_duration_human),
        cmocka_unit_test(test_duration_units), cmocka_unit_test(test_duration_print),
        cmocka_unit_test(test_dates),          cmocka_unit_test(test_date_calendar),
        cmocka_unit_test(test_date_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
