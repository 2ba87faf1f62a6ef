/* Ranges of ids and selectors. What is accepted prints as something that reads back the same, and no set takes memory by the
 * number of its ids. */
#include "tests/fuzz/fuzz.h"

#include "common/selector.h"

static bool
is_equal(const struct hq_ranges *a, const struct hq_ranges *b)
{
    bool is_same = a->count == b->count;
    for (size_t i = 0; is_same && i < a->count; i++) {
        is_same = a->v[i].first == b->v[i].first && a->v[i].count == b->v[i].count && a->v[i].step == b->v[i].step;
    }
    return is_same;
}

static void
check_sorted(const struct hq_ranges *r)
{
    struct hq_ranges sorted = HQ_RANGES_INIT;
    struct hq_ranges ascending = HQ_RANGES_INIT;
    struct hq_err err = {0};
    int rc = hq_ranges_ascending(&ascending, r, &err);
    MUST_TELL(rc, err);
    if (rc == 0) {
        MUST(hq_ranges_size(&ascending) == hq_ranges_size(r));
        for (size_t i = 1; i < ascending.count; i++) {
            MUST(ascending.v[i].first > hq_range_last(&ascending.v[i - 1]));
        }
    }
    rc = hq_ranges_size(r) <= 100000 ? hq_ranges_sorted(&sorted, r, &err) : 0;
    MUST_TELL(rc, err);
    for (size_t i = 0; rc == 0 && i < sorted.count; i++) {
        MUST(sorted.v[i].step == 1);
    }
    hq_ranges_fini(&sorted);
    hq_ranges_fini(&ascending);
}

static void
check_ranges(const struct hq_ranges *r)
{
    struct hq_ranges again = HQ_RANGES_INIT;
    struct hq_buf text = HQ_BUF_INIT;
    uint32_t max = 0;
    MUST(r->count > 0 && hq_ranges_check(r, NULL) == 0);
    MUST(hq_ranges_max(r, &max) && hq_ranges_has(r, max));
    MUST(hq_ranges_has(r, hq_ranges_at(r, hq_ranges_size(r) - 1)));
    hq_ranges_print(r, &text);
    MUST(hq_ranges_parse(&again, hq_buf_view(&text), NULL) == 0 && is_equal(r, &again));
    check_sorted(r);
    hq_buf_fini(&text);
    hq_ranges_fini(&again);
}

void
fuzz_one(struct fuzz *f)
{
    struct hq_ranges r = HQ_RANGES_INIT;
    struct hq_selector s = {0};
    struct hq_err err = {0};
    bool is_last = false;
    uint32_t id = 0;
    uint8_t which = fuzz_byte(f);
    int rc;
    switch (which % 4) {
    case 0:
        rc = hq_ranges_parse(&r, f->text, &err);
        if (rc == 0) {
            check_ranges(&r);
        }
        break;
    case 1:
    case 2:
        rc = hq_selector_parse(&s, f->text, which % 4 == 1, &err);
        if (rc == 0 && s.kind == HQ_SELECT_RANGES) {
            check_ranges(&s.ids);
        }
        break;
    default:
        rc = hq_selector_parse_one(f->text, &is_last, &id, &err);
        break;
    }
    MUST_TELL(rc, err);
    hq_ranges_fini(&r);
    hq_selector_fini(&s);
}
