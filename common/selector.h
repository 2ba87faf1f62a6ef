/* selector.h - which jobs or workers a command means: last | all | ranges (spec section "Selectors").
 *
 * Ownership  struct hq_selector owns its ranges until hq_selector_fini.
 * Errors     -EINVAL with the user's text; as hq_ranges_parse.
 */
#ifndef HQ_COMMON_SELECTOR_H
#define HQ_COMMON_SELECTOR_H

#include "common/ranges.h"

enum hq_selector_kind {
    HQ_SELECT_RANGES = 0,
    HQ_SELECT_LAST = 1,
    HQ_SELECT_ALL = 2,
};

struct hq_selector {
    enum hq_selector_kind kind;
    struct hq_ranges ids; /* HQ_SELECT_RANGES only */
};

void hq_selector_fini(struct hq_selector *s); /* also the cleanup form */
/* JOBS: "last", "all" (refused like any other word when !with_all) or RANGES. */
HQ_MUST_CHECK int hq_selector_parse(struct hq_selector *ret, struct hq_str text, bool with_all, struct hq_err *err);
/* JOB1: "last" (*ret_last, *ret_id untouched) or one integer. */
HQ_MUST_CHECK int hq_selector_parse_one(struct hq_str text, bool *ret_last, uint32_t *ret_id, struct hq_err *err);

#endif
