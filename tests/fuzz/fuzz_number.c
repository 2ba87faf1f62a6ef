/* Numbers, sizes, durations, dates, and the placeholders of paths. What is accepted prints as something that reads back the
 * same. */
#include "tests/fuzz/fuzz.h"

#include "common/num.h"
#include "common/placeholder.h"

static int
try_integers(struct hq_str text, struct hq_err *err)
{
    uint32_t a = 0;
    uint64_t b = 0;
    int32_t c = 0;
    int64_t d = 0;
    struct hq_buf out = HQ_BUF_INIT;
    int rc = hq_num_u32(text, &a, err);
    if (rc == 0) {
        MUST(hq_num_u64(text, &b, NULL) == 0 && b == a && hq_num_u32_sep(text, &a, NULL) == 0 && a == b);
    }
    rc = hq_num_i64(text, &d, err);
    if (rc == 0) {
        int64_t again = 0;
        hq_buf_i64(&out, d);
        MUST(hq_num_i64(hq_buf_view(&out), &again, NULL) == 0 && again == d);
        MUST(hq_num_i64_sep(text, &again, NULL) == 0 && again == d);
    }
    rc = hq_num_u64_sep(text, &b, err);
    if (hq_num_i32_sep(text, &c, NULL) == 0) {
        MUST(hq_num_i64_sep(text, &d, NULL) == 0 && c == d);
    }
    hq_buf_fini(&out);
    return rc;
}

static int
try_fixed(struct hq_str text, struct hq_err *err)
{
    uint64_t v = 0;
    uint64_t again = 0;
    double x = 0;
    double y = 0;
    struct hq_buf out = HQ_BUF_INIT;
    if (hq_num_f64(text, &x, err) == 0) {
        hq_num_f64_print(&out, x);
        MUST(hq_num_f64(hq_buf_view(&out), &y, NULL) == 0 && (x < y || x > y) == false);
    }
    hq_buf_clear(&out);
    int rc = hq_num_x10000(text, &v, err);
    if (rc == 0) {
        hq_num_x10000_print(&out, v);
        MUST(hq_num_x10000(hq_buf_view(&out), &again, NULL) == 0 && again == v);
    }
    hq_buf_fini(&out);
    return rc;
}

static int
try_duration(struct hq_str text, bool is_cli, struct hq_err *err)
{
    int64_t ns = 0;
    int64_t again = 0;
    struct hq_buf out = HQ_BUF_INIT;
    int rc = is_cli ? hq_duration_parse_cli(text, &ns, err) : hq_duration_parse_human(text, &ns, err);
    if (rc == 0) {
        MUST(ns >= 0);
        hq_duration_print(&out, ns);
        MUST(hq_duration_parse_human(hq_buf_view(&out), &again, NULL) == 0 && again == ns);
        hq_makespan_print(&out, ns);
        hq_date_rfc3339(&out, ns / HQ_NS_PER_S, (uint32_t)(ns % HQ_NS_PER_S));
    }
    hq_buf_fini(&out);
    return rc;
}

static void
try_placeholders(struct hq_str text)
{
    struct hq_buf out = HQ_BUF_INIT;
    struct hq_placeholders values = {0};
    struct hq_str name;
    size_t at = 0;
    size_t seen = 0;
    uint32_t bits = hq_placeholder_bits(text);
    hq_placeholder_fill(&out, text, &values);
    while (hq_placeholder_next_unknown(text, bits, &at, &name)) {
        MUST(at <= text.len && ++seen <= text.len);
    }
    hq_buf_fini(&out);
}

void
fuzz_one(struct fuzz *f)
{
    struct hq_err err = {0};
    uint64_t bytes = 0;
    int rc = 0;
    switch (fuzz_byte(f) % 6) {
    case 0:
        rc = try_integers(f->text, &err);
        break;
    case 1:
        rc = try_fixed(f->text, &err);
        break;
    case 2:
        rc = try_duration(f->text, true, &err);
        break;
    case 3:
        rc = try_duration(f->text, false, &err);
        break;
    case 4:
        rc = hq_num_bytes(f->text, &bytes, &err);
        break;
    default:
        try_placeholders(f->text);
        break;
    }
    MUST_TELL(rc, err);
}
