/* num.h - numbers, spans of time and dates as text, in both directions. Pure: no clock, no locale, no time zone.
 *
 * Purpose    strict integers, byte sizes, fixed point, durations, dates, shortest floats.
 * Units      spans in nanoseconds (int64_t: about 292 years) or ms; instants in ms since the epoch.
 * Errors     -EINVAL no number, -ERANGE does not fit; the text is what follows "invalid value 'x' for '--y <Y>': ".
 */
#ifndef HQ_COMMON_NUM_H
#define HQ_COMMON_NUM_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

/* ---- integers: the whole text, decimal, no blanks; a sign only where the type has one */
HQ_MUST_CHECK int hq_num_u32(struct hq_str s, uint32_t *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_num_u64(struct hq_str s, uint64_t *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_num_i32(struct hq_str s, int32_t *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_num_i64(struct hq_str s, int64_t *ret, struct hq_err *err);
/* The same with "_" after the first digit ("1_000", "7_"). */
HQ_MUST_CHECK int hq_num_u32_sep(struct hq_str s, uint32_t *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_num_u64_sep(struct hq_str s, uint64_t *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_num_i32_sep(struct hq_str s, int32_t *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_num_i64_sep(struct hq_str s, int64_t *ret, struct hq_err *err);

/* ---- other numbers */
/* Bytes: an integer ("_" allowed) with nothing, K, M, G, T, KiB, MiB, GiB, TiB or B behind it; powers of 1024. */
HQ_MUST_CHECK int hq_num_bytes(struct hq_str s, uint64_t *ret, struct hq_err *err);
/* digits [ "." 1-4 digits ], "_" after the first digit of each: value x 10000. -EDOM: more than four digits behind the point. */
HQ_MUST_CHECK int hq_num_x10000(struct hq_str s, uint64_t *ret, struct hq_err *err);
void hq_num_x10000_print(struct hq_buf *out, uint64_t v); /* "1", "0.5", "500.0123" */
/* A finite decimal number ("1", ".5", "-2.5e3"); no hexadecimal, no inf, no nan. "invalid float literal". */
HQ_MUST_CHECK int hq_num_f64(struct hq_str s, double *ret, struct hq_err *err);
/* Fewest digits that read back the same; integral values keep ".0"; not finite: "null". */
void hq_num_f64_print(struct hq_buf *out, double v);

/* ---- spans (spec section "Durations") */
#define HQ_NS_PER_MS ((int64_t)1000000)
#define HQ_NS_PER_S ((int64_t)1000000000)
/* Clock form "[[H:]M:]S", else human form. Texts "Could not parse PBS walltime. ...". */
HQ_MUST_CHECK int hq_duration_parse_cli(struct hq_str s, int64_t *ret_ns, struct hq_err *err);
/* Human form only: "1h", "3h 10m 5s", "1.5h", "0". Texts as "invalid character at 2". */
HQ_MUST_CHECK int hq_duration_parse_human(struct hq_str s, int64_t *ret_ns, struct hq_err *err);
/* "2years 1month 3days 4h 5m 6s 7ms 8us 9ns", zero "0s" (fdur). ns >= 0. */
void hq_duration_print(struct hq_buf *out, int64_t ns);
/* Truncated first: "3h 5m", "2m 3s", "1s 500ms" (hdur); negative "Invalid duration". */
void hq_makespan_print(struct hq_buf *out, int64_t ns);
static inline int64_t hq_ns_from_ms(hq_ms ms) /* saturates */
{
    int64_t ns;
    if (__builtin_mul_overflow(ms, HQ_NS_PER_MS, &ns)) {
        return ms < 0 ? INT64_MIN : INT64_MAX;
    }
    return ns;
}
static inline hq_ms hq_ms_from_ns_up(int64_t ns) /* rounded up: a limit of 1ns is not "none" */
{
    return ns / HQ_NS_PER_MS + (ns % HQ_NS_PER_MS > 0);
}

/* ---- dates (proleptic Gregorian, years 0 to 9999 and beyond) */
struct hq_date {
    int64_t year;
    uint32_t month, day;          /* from 1 */
    uint32_t hour, minute, second;
    uint32_t nanos;
};
struct hq_date hq_date_from(int64_t secs, uint32_t nanos); /* since the epoch, UTC */
/* "2026-01-31T12:00:00.123Z": 0, 3, 6 or 9 digits, the fewest that lose nothing. */
void hq_date_rfc3339(struct hq_buf *out, int64_t secs, uint32_t nanos);
void hq_date_rfc3339_ms(struct hq_buf *out, hq_wall_ms at);
/* The same without a fraction, and with always three digits (log lines). */
/* Always nine digits: the form of command results, which users' scripts know; our instants end in zeros. */
void hq_date_rfc3339_nanos(struct hq_buf *out, hq_wall_ms at);
void hq_date_rfc3339_whole(struct hq_buf *out, hq_wall_ms at);
void hq_date_rfc3339_millis(struct hq_buf *out, hq_wall_ms at);
void hq_date_utc(struct hq_buf *out, hq_wall_ms at); /* "2026-01-31 12:00:00 UTC", rounded to seconds */
/* "31.01.2026 12:00:00"; offset of the local zone from hq_clock_utc_offset_s(). */
void hq_date_local(struct hq_buf *out, hq_wall_ms at, int32_t utc_offset_s);

#endif
