/* placeholder.h - %{JOB_ID} and friends in paths (spec section "Placeholders").
 *
 * Purpose    one pass over the original text; what is not known yet, or is no name of ours, stays as written.
 *            Inserted text is never scanned: both steps (submit, start) begin with the original text.
 * Ownership  values are views of the caller.
 */
#ifndef HQ_COMMON_PLACEHOLDER_H
#define HQ_COMMON_PLACEHOLDER_H

#include "common/str.h"

enum hq_placeholder {
    HQ_PH_JOB_ID = 0,
    HQ_PH_TASK_ID,
    HQ_PH_INSTANCE_ID,
    HQ_PH_SUBMIT_DIR,
    HQ_PH_SERVER_UID, /* also written SERVER_ID */
    HQ_PH_CWD,
    HQ_PH_RANK, /* filled in where ranks are started */
};
#define HQ_PLACEHOLDERS 7
#define HQ_PH_BIT(p) (1u << (p))
/* What each place may hold; anything else is "unknown" there. */
#define HQ_PH_IN_STDIO ((1u << HQ_PLACEHOLDERS) - 1)
#define HQ_PH_IN_CWD (HQ_PH_IN_STDIO & ~(HQ_PH_BIT(HQ_PH_CWD) | HQ_PH_BIT(HQ_PH_RANK)))
#define HQ_PH_IN_STREAM (HQ_PH_BIT(HQ_PH_JOB_ID) | HQ_PH_BIT(HQ_PH_SUBMIT_DIR) | HQ_PH_BIT(HQ_PH_SERVER_UID))

struct hq_placeholders {
    uint32_t known;                          /* bits: which values are set */
    struct hq_str values[HQ_PLACEHOLDERS];
};
static inline void hq_placeholders_set(struct hq_placeholders *p, enum hq_placeholder ix, struct hq_str value)
{
    p->known |= HQ_PH_BIT(ix);
    p->values[ix] = value;
}

const char *hq_placeholder_name(enum hq_placeholder p); /* "JOB_ID" */
/* Appends text with the known placeholders replaced. */
void hq_placeholder_fill(struct hq_buf *out, struct hq_str text, const struct hq_placeholders *p);
/* The same, and a result that is no absolute path gets `base` and "/" in front. */
void hq_placeholder_fill_path(struct hq_buf *out, struct hq_str text, struct hq_str base,
                              const struct hq_placeholders *p);
uint32_t hq_placeholder_bits(struct hq_str text); /* which of ours occur */
/* Next "%{NAME}" from *at on whose name is not among `allowed` bits; *at moves behind it. false at the end. */
bool hq_placeholder_next_unknown(struct hq_str text, uint32_t allowed, size_t *at, struct hq_str *ret_name);

#endif
