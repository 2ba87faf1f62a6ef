/* request.h - resource requests: grammar, variants, canonical form.
 *
 * Purpose    what a task wants; the same struct from option to scheduler and worker.
 * Ownership  all memory lies in the arena given to the parser or copier.
 * Units      amounts in 1/10000 (hq_amount); weight in 1/10000; times in ms.
 * Errors     -EINVAL with the user's text (spec/cli.md 3.5, spec/workers.md 6).
 * Limits     HQ_VARIANTS_MAX variants, HQ_RESOURCES_MAX entries each.
 */
#ifndef HQ_COMMON_REQUEST_H
#define HQ_COMMON_REQUEST_H

#include "common/arena.h"
#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

enum hq_policy {
    HQ_POLICY_COMPACT = 0,
    HQ_POLICY_FORCE_COMPACT = 1,
    HQ_POLICY_TIGHT = 2,
    HQ_POLICY_FORCE_TIGHT = 3,
    HQ_POLICY_SCATTER = 4,
    HQ_POLICY_ALL = 5,
};
#define HQ_POLICIES 6

struct hq_request_entry {
    struct hq_str name; /* "cpus", "gpus/nvidia", ... */
    hq_amount amount;   /* 0 for HQ_POLICY_ALL */
    enum hq_policy policy;
};

struct hq_variant {
    struct hq_request_entry *entries; /* sorted by name, no name twice */
    size_t entry_count;
    uint32_t n_nodes;      /* 0 = single node; entries are ignored otherwise */
    int64_t min_time_ms;   /* time request; 0 = none */
    uint64_t weight_x10000; /* > 0; 10000 = 1.0 */
};

struct hq_request {
    struct hq_variant *variants;
    size_t variant_count; /* >= 1 */
};

/* NAME: letter (letter | digit | "/")*, ASCII. */
bool hq_resource_name_ok(struct hq_str name);
/* REQUEST := "all" | AMOUNT [policy]. Names the offence as the specification does. */
HQ_MUST_CHECK int hq_request_parse_amount(struct hq_str text, hq_amount *ret_amount, enum hq_policy *ret_policy,
                                          struct hq_err *err);
/* NAME "=" REQUEST */
HQ_MUST_CHECK int hq_request_parse_entry(struct hq_str text, struct hq_request_entry *ret, struct hq_arena *arena,
                                         struct hq_err *err);
/* Sorts the entries by name; -EINVAL "Resource '<name>' defined more than once". */
HQ_MUST_CHECK int hq_variant_sort(struct hq_variant *v, struct hq_err *err);
/* Checks bounds and rules that hold for every source (zero amounts, names, counts, nodes with one variant). */
HQ_MUST_CHECK int hq_request_check(const struct hq_request *r, struct hq_err *err);
void hq_request_copy(struct hq_request *ret, const struct hq_request *r, struct hq_arena *arena);
bool hq_request_eq(const struct hq_request *a, const struct hq_request *b);
uint64_t hq_request_hash(const struct hq_request *r);
/* "4 compact", "0.5 tight!", "all" */
void hq_request_print_amount(hq_amount amount, enum hq_policy policy, struct hq_buf *out);
/* "1", "0.5", "500.0123" */
void hq_amount_print(hq_amount a, struct hq_buf *out);
/* digits [ "." 1-4 digits ], "_" allowed: "Resource precision exceeded" beyond. */
HQ_MUST_CHECK int hq_amount_parse(struct hq_str text, hq_amount *ret, struct hq_err *err);
/* An amount at *at within a larger text; *at moves behind it. `context` (NULL = none) names what is parsed in errors. */
HQ_MUST_CHECK int hq_amount_read(struct hq_str text, size_t *at, const char *context, hq_amount *ret,
                                 struct hq_err *err);
/* --weight: a number > 0, kept to four decimals: "Resource weight has to be positive number". */
HQ_MUST_CHECK int hq_weight_parse(struct hq_str text, uint64_t *ret_x10000, struct hq_err *err);
const char *hq_policy_name(enum hq_policy p); /* "compact", "compact!", ..., "all" */

#endif
