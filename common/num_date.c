/* Dates from instants: days to year, month and day by the 400-year cycle that begins on March 1. */
#include "common/num.h"

#define DAY_S ((int64_t)86400)
#define CYCLE_DAYS ((int64_t)146097)
#define EPOCH_FROM_0000_03_01 ((int64_t)719468)

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct hq_date
hq_date_from(int64_t secs, uint32_t nanos)
{
    int64_t day_of_epoch = floor_div(secs, DAY_S);
    int64_t in_day = secs - day_of_epoch * DAY_S;
    int64_t days = day_of_epoch + EPOCH_FROM_0000_03_01;
    int64_t cycle = floor_div(days, CYCLE_DAYS);
    int64_t in_cycle = days - cycle * CYCLE_DAYS;
    int64_t year = (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    int64_t in_year = in_cycle - (365 * year + year / 4 - year / 100);
    int64_t march_month = (5 * in_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct hq_date){
        .year = year + cycle * 400 + (month <= 2),
        .month = (uint32_t)month,
        .day = (uint32_t)(in_year - (153 * march_month + 2) / 5 + 1),
        .hour = (uint32_t)(in_day / 3600),
        .minute = (uint32_t)(in_day / 60 % 60),
        .second = (uint32_t)(in_day % 60),
        .nanos = nanos,
    };
}

/* `digits` decimal digits of v. */
static void
put_digits(char *to, uint32_t v, unsigned digits)
{
    for (unsigned ix = digits; ix > 0; ix--) {
        to[ix - 1] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* Lists of a million tasks print two of these a task: usual years go without printf. */
static void
add_iso(struct hq_buf *out, const struct hq_date *d, char sep)
{
    if (d->year >= 0 && d->year <= 9999) {
        char text[] = "0000-00-00 00:00:00";
        put_digits(text, (uint32_t)d->year, 4);
        put_digits(text + 5, d->month, 2);
        put_digits(text + 8, d->day, 2);
        text[10] = sep;
        put_digits(text + 11, d->hour, 2);
        put_digits(text + 14, d->minute, 2);
        put_digits(text + 17, d->second, 2);
        hq_buf_add(out, text, sizeof text - 1);
        return;
    }
    hq_buf_printf(out, "%04lld-%02u-%02u%c%02u:%02u:%02u", (long long)d->year, d->month, d->day, sep, d->hour,
                  d->minute, d->second);
}

static struct hq_date
date_from_ms(hq_wall_ms at)
{
    int64_t secs = floor_div(at, 1000);
    return hq_date_from(secs, (uint32_t)(at - secs * 1000) * 1000000u);
}

void
hq_date_rfc3339(struct hq_buf *out, int64_t secs, uint32_t nanos)
{
    HQ_ASSERT(nanos < 1000000000u);
    struct hq_date d = hq_date_from(secs, nanos);
    add_iso(out, &d, 'T');
    if (nanos % 1000u != 0) {
        hq_buf_printf(out, ".%09u", nanos);
    } else if (nanos % 1000000u != 0) {
        hq_buf_printf(out, ".%06u", nanos / 1000u);
    } else if (nanos != 0) {
        hq_buf_printf(out, ".%03u", nanos / 1000000u);
    }
    hq_buf_byte(out, 'Z');
}

void
hq_date_rfc3339_ms(struct hq_buf *out, hq_wall_ms at)
{
    int64_t secs = floor_div(at, 1000);
    hq_date_rfc3339(out, secs, (uint32_t)(at - secs * 1000) * 1000000u);
}

void
hq_date_rfc3339_nanos(struct hq_buf *out, hq_wall_ms at)
{
    struct hq_date d = date_from_ms(at);
    char text[] = ".000000000Z";
    add_iso(out, &d, 'T');
    put_digits(text + 1, d.nanos, 9);
    hq_buf_add(out, text, sizeof text - 1);
}

void
hq_date_rfc3339_whole(struct hq_buf *out, hq_wall_ms at)
{
    hq_date_rfc3339(out, floor_div(at, 1000), 0);
}

void
hq_date_rfc3339_millis(struct hq_buf *out, hq_wall_ms at)
{
    struct hq_date d = date_from_ms(at);
    add_iso(out, &d, 'T');
    hq_buf_printf(out, ".%03uZ", d.nanos / 1000000u);
}

void
hq_date_utc(struct hq_buf *out, hq_wall_ms at)
{
    int64_t secs = floor_div(at, 1000);
    struct hq_date d = hq_date_from(secs + (at - secs * 1000 >= 500), 0);
    add_iso(out, &d, ' ');
    hq_buf_cstr(out, " UTC");
}

void
hq_date_local(struct hq_buf *out, hq_wall_ms at, int32_t utc_offset_s)
{
    struct hq_date d = hq_date_from(floor_div(at, 1000) + utc_offset_s, 0);
    hq_buf_printf(out, "%02u.%02u.%04lld %02u:%02u:%02u", d.day, d.month, (long long)d.year, d.hour, d.minute,
                  d.second);
}
