#include "common/selector.h"

#include "common/num.h"

void
hq_selector_fini(struct hq_selector *s)
{
    hq_ranges_fini(&s->ids);
    *s = (struct hq_selector){0};
}

int
hq_selector_parse(struct hq_selector *ret, struct hq_str text, bool with_all, struct hq_err *err)
{
    struct hq_selector s = {.kind = HQ_SELECT_RANGES};
    if (hq_str_is(text, "last")) {
        s.kind = HQ_SELECT_LAST;
    } else if (with_all && hq_str_is(text, "all")) {
        s.kind = HQ_SELECT_ALL;
    } else {
        int rc = hq_ranges_parse(&s.ids, text, err);
        if (rc < 0) {
            return rc;
        }
    }
    *ret = s;
    return 0;
}

int
hq_selector_parse_one(struct hq_str text, bool *ret_last, uint32_t *ret_id, struct hq_err *err)
{
    if (hq_str_is(text, "last")) {
        *ret_last = true;
        return 0;
    }
    int rc = hq_num_u32_sep(text, ret_id, err);
    if (rc == 0) {
        *ret_last = false;
    }
    return rc;
}
