#include "common/request.h"

#include "common/limits.h"
#include "common/num.h"
#include "common/parse.h"

#include <stdlib.h>

#define WEIGHT_X10000_MAX ((uint64_t)UINT32_MAX)

static const char *const policy_names[] = {
    [HQ_POLICY_COMPACT] = "compact",    [HQ_POLICY_FORCE_COMPACT] = "compact!", [HQ_POLICY_TIGHT] = "tight",
    [HQ_POLICY_FORCE_TIGHT] = "tight!", [HQ_POLICY_SCATTER] = "scatter",        [HQ_POLICY_ALL] = "all",
};
_Static_assert(HQ_ARRAY_LEN(policy_names) == HQ_POLICIES, "a policy without a name");

const char *
hq_policy_name(enum hq_policy p)
{
    return policy_names[p];
}

static bool
is_name_char(char c)
{
    return hq_is_letter(c) || hq_is_digit(c) || c == '/';
}

bool
hq_resource_name_ok(struct hq_str name)
{
    if (name.len == 0 || !hq_is_letter(name.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < name.len; i++) {
        if (!is_name_char(name.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* ---- amounts and requests */

/* Offset behind the amount at `at`, where a digit stands; `at` when a point has no digits behind it. */
static size_t
amount_end(struct hq_str text, size_t at)
{
    size_t end = hq_parse_digits(text, at);
    if (end < text.len && text.ptr[end] == '.') {
        size_t fraction_end = hq_parse_digits(text, end + 1);
        return fraction_end == end + 1 ? at : fraction_end;
    }
    return end;
}

/* The amount in text[at, end); `context` names what is parsed, NULL = nothing. */
static int
amount_value(struct hq_str text, size_t at, size_t end, const char *context, hq_amount *ret, struct hq_err *err)
{
    uint64_t v;
    int rc = hq_num_x10000(hq_str_sub(text, at, end), &v, NULL);
    if (rc == 0 && v <= HQ_AMOUNT_MAX) {
        *ret = v;
        return 0;
    }
    return hq_parse_fault(err, text,
                          &(struct hq_parse_fault){.at = at,
                                                   .context = context,
                                                   .note = rc == -EDOM ? "Resource precision exceeded"
                                                                       : "Cannot parse as 4-byte unsigned integer"});
}

int
hq_amount_read(struct hq_str text, size_t *at, const char *context, hq_amount *ret, struct hq_err *err)
{
    size_t digits_end = hq_parse_digits(text, *at);
    if (digits_end == *at) {
        return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = *at, .context = "number"});
    }
    size_t end = amount_end(text, *at);
    if (end == *at) {
        return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = digits_end + 1, .context = "number"});
    }
    int rc = amount_value(text, *at, end, context, ret, err);
    if (rc == 0) {
        *at = end;
    }
    return rc;
}

int
hq_amount_parse(struct hq_str text, hq_amount *ret, struct hq_err *err)
{
    size_t at = 0;
    hq_amount v = 0;
    int rc = hq_amount_read(text, &at, NULL, &v, err);
    if (rc < 0) {
        return rc;
    }
    if (at < text.len) {
        bool has_point = hq_str_find_byte(hq_str_sub(text, 0, at), '.') >= 0;
        return hq_parse_fault(
            err, text,
            &(struct hq_parse_fault){.at = at,
                                     .expected = has_point ? "<end of input> or _" : ". or <end of input> or _"});
    }
    *ret = v;
    return 0;
}

/* A policy word at `at` up to the end of the text. `glued`: what else could have followed the amount without a blank.
 */
static int
read_policy(struct hq_str text, size_t at, const char *glued, enum hq_policy *ret, struct hq_err *err)
{
    static const enum hq_policy words[] = {HQ_POLICY_COMPACT, HQ_POLICY_SCATTER, HQ_POLICY_TIGHT};
    struct hq_str rest = hq_str_sub(text, at, text.len);
    for (size_t i = 0; i < HQ_ARRAY_LEN(words); i++) {
        struct hq_str name = hq_str_from(policy_names[words[i]]);
        size_t same = 0;
        while (same < rest.len && same < name.len && rest.ptr[same] == name.ptr[same]) {
            same++;
        }
        if (same == 0) {
            continue;
        }
        if (same < name.len) {
            const char expected[2] = {name.ptr[same], '\0'};
            return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = at + same, .expected = expected});
        }
        bool is_forced = same < rest.len && rest.ptr[same] == '!' && words[i] != HQ_POLICY_SCATTER;
        same += is_forced ? 1 : 0;
        if (same < rest.len) {
            return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = at + same, .expected = "<end of input>"});
        }
        *ret = is_forced ? (enum hq_policy)(words[i] + 1) : words[i];
        return 0;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf expected = HQ_BUF_INIT;
    hq_buf_printf(&expected, "%s or c or s or t", glued);
    return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = at, .expected = expected.ptr});
}
_Static_assert(HQ_POLICY_FORCE_COMPACT == HQ_POLICY_COMPACT + 1 && HQ_POLICY_FORCE_TIGHT == HQ_POLICY_TIGHT + 1,
               "a forced policy follows its plain one");

/* REQUEST from `at` to the end. */
static int
read_request(struct hq_str text, size_t at, hq_amount *ret_amount, enum hq_policy *ret_policy, struct hq_err *err)
{
    size_t word_end = at;
    while (word_end < text.len && (hq_is_letter(text.ptr[word_end]) || text.ptr[word_end] == '_' ||
                                   (word_end > at && hq_is_digit(text.ptr[word_end])))) {
        word_end++;
    }
    if (hq_str_is(hq_str_sub(text, at, word_end), "all")) {
        if (word_end < text.len) {
            return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = word_end, .expected = "<end of input>"});
        }
        *ret_amount = 0;
        *ret_policy = HQ_POLICY_ALL;
        return 0;
    }
    if (at == text.len || !hq_is_digit(text.ptr[at])) {
        return hq_parse_fault(
            err, text,
            &(struct hq_parse_fault){
                .at = at, .token_bytes = word_end - at, .context = word_end > at ? NULL : "number", .expected = "all"});
    }
    size_t end = at;
    hq_amount amount = 0;
    int rc = hq_amount_read(text, &end, NULL, &amount, err);
    if (rc < 0) {
        return rc;
    }
    enum hq_policy policy = HQ_POLICY_COMPACT;
    size_t policy_at = hq_parse_blanks(text, end);
    if (policy_at < text.len) {
        bool has_point = hq_str_find_byte(hq_str_sub(text, at, end), '.') >= 0;
        const char *glued = policy_at > end ? "<end of input>"
                            : has_point     ? "<end of input> or _"
                                            : ". or <end of input> or _";
        rc = read_policy(text, policy_at, glued, &policy, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (amount == 0) {
        return hq_parse_fault(err, text,
                              &(struct hq_parse_fault){.at = at, .note = "Zero resources cannot be requested"});
    }
    *ret_amount = amount;
    *ret_policy = policy;
    return 0;
}

int
hq_request_parse_amount(struct hq_str text, hq_amount *ret_amount, enum hq_policy *ret_policy, struct hq_err *err)
{
    return read_request(text, 0, ret_amount, ret_policy, err);
}

int
hq_request_parse_entry(struct hq_str text, struct hq_request_entry *ret, struct hq_arena *arena, struct hq_err *err)
{
    size_t name_end = 0;
    while (name_end < text.len && is_name_char(text.ptr[name_end])) {
        name_end++;
    }
    struct hq_str name = hq_str_sub(text, 0, name_end);
    if (!hq_resource_name_ok(name)) {
        return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = 0});
    }
    size_t at = hq_parse_blanks(text, name_end);
    if (at == text.len || text.ptr[at] != '=') {
        return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = at, .expected = "="});
    }
    struct hq_request_entry entry = {0};
    int rc = read_request(text, hq_parse_blanks(text, at + 1), &entry.amount, &entry.policy, err);
    if (rc < 0) {
        return rc;
    }
    entry.name = hq_arena_str(arena, name);
    *ret = entry;
    return 0;
}

int
hq_weight_parse(struct hq_str text, uint64_t *ret_x10000, struct hq_err *err)
{
    double v = 0;
    bool is_endless = hq_str_is(text, "inf") || hq_str_is(text, "infinity"); /* no weight, though a float elsewhere */
    int rc = is_endless ? 0 : hq_num_f64(text, &v, err);
    if (rc < 0) {
        return rc;
    }
    /* 0.00001 would be kept as nothing */
    if (!(v * 10000.0 >= 1.0)) {
        return hq_err_set(err, -EINVAL, "Resource weight has to be positive number");
    }
    if (v * 10000.0 > (double)WEIGHT_X10000_MAX) {
        return hq_err_set(err, -ERANGE, "Resource weight is too large");
    }
    *ret_x10000 = (uint64_t)(v * 10000.0 + 0.5);
    return 0;
}

/* ---- whole requests */

static int
by_name(const void *a, const void *b)
{
    const struct hq_request_entry *x = a;
    const struct hq_request_entry *y = b;
    return hq_str_cmp(x->name, y->name);
}

static int
defined_twice(struct hq_str name, struct hq_err *err)
{
    return hq_err_set(err, -EINVAL, "Resource '%.*s' defined more than once", (int)HQ_MIN(name.len, (size_t)1024),
                      name.ptr);
}

int
hq_variant_sort(struct hq_variant *v, struct hq_err *err)
{
    if (v->entry_count < 2) {
        return 0;
    }
    qsort(v->entries, v->entry_count, sizeof *v->entries, by_name);
    for (size_t i = 1; i < v->entry_count; i++) {
        if (hq_str_eq(v->entries[i - 1].name, v->entries[i].name)) {
            return defined_twice(v->entries[i].name, err);
        }
    }
    return 0;
}

static int
check_entry(const struct hq_request_entry *e, struct hq_err *err)
{
    if (e->name.len > HQ_NAME_BYTES_MAX || !hq_resource_name_ok(e->name)) {
        HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
        hq_buf_quoted(&shown, hq_str_sub(e->name, 0, 200));
        return hq_err_set(err, -EINVAL, "Invalid resource name %s", shown.ptr);
    }
    if ((unsigned)e->policy >= HQ_POLICIES) {
        return hq_err_set(err, -EINVAL, "Unknown allocation policy of resource '%.*s'", HQ_STR_FMT(e->name));
    }
    if (e->policy != HQ_POLICY_ALL && e->amount == 0) {
        return hq_err_set(err, -EINVAL, "Zero resources cannot be requested");
    }
    if (e->amount > HQ_AMOUNT_MAX || (e->policy == HQ_POLICY_ALL && e->amount != 0)) {
        return hq_err_set(err, -EINVAL, "Invalid amount of resource '%.*s'", HQ_STR_FMT(e->name));
    }
    return 0;
}

static int
check_variant(const struct hq_variant *v, struct hq_err *err)
{
    if (v->entry_count > HQ_RESOURCES_MAX) {
        return hq_err_set(err, -E2BIG, "Too many resources in a request (at most %u are allowed)", HQ_RESOURCES_MAX);
    }
    if (v->weight_x10000 == 0 || v->weight_x10000 > WEIGHT_X10000_MAX) {
        return hq_err_set(err, -EINVAL, "Resource weight has to be positive number");
    }
    if (v->min_time_ms < 0) {
        return hq_err_set(err, -EINVAL, "Time request cannot be negative");
    }
    if (v->n_nodes == 0 && v->entry_count == 0) {
        return hq_err_set(err, -EINVAL, "Resource request is empty");
    }
    for (size_t i = 0; i < v->entry_count; i++) {
        int rc = check_entry(&v->entries[i], err);
        if (rc < 0) {
            return rc;
        }
        int order = i == 0 ? -1 : hq_str_cmp(v->entries[i - 1].name, v->entries[i].name);
        if (order == 0) {
            return defined_twice(v->entries[i].name, err);
        }
        if (order > 0) {
            return hq_err_set(err, -EINVAL, "Resources of a request are not sorted");
        }
    }
    return 0;
}

int
hq_request_check(const struct hq_request *r, struct hq_err *err)
{
    if (r->variant_count == 0) {
        return hq_err_set(err, -EINVAL, "Resource request is empty");
    }
    if (r->variant_count > HQ_VARIANTS_MAX) {
        return hq_err_set(err, -E2BIG, "Too many variants in a request (at most %u are allowed)", HQ_VARIANTS_MAX);
    }
    for (size_t i = 0; i < r->variant_count; i++) {
        int rc = check_variant(&r->variants[i], err);
        if (rc < 0) {
            return rc;
        }
        if (r->variants[i].n_nodes > 0 && r->variant_count > 1) {
            return hq_err_set(err, -EINVAL, "A multi-node request must have exactly one variant");
        }
    }
    return 0;
}

void
hq_request_copy(struct hq_request *ret, const struct hq_request *r, struct hq_arena *arena)
{
    struct hq_request copy = {.variant_count = r->variant_count};
    copy.variants = hq_arena_array(arena, r->variant_count, sizeof *copy.variants);
    for (size_t i = 0; i < r->variant_count; i++) {
        const struct hq_variant *from = &r->variants[i];
        struct hq_variant *to = &copy.variants[i];
        *to = *from;
        to->entries = hq_arena_array(arena, from->entry_count, sizeof *to->entries);
        for (size_t k = 0; k < from->entry_count; k++) {
            to->entries[k] = from->entries[k];
            to->entries[k].name = hq_arena_str(arena, from->entries[k].name);
        }
    }
    *ret = copy;
}

static bool
variant_eq(const struct hq_variant *a, const struct hq_variant *b)
{
    if (a->entry_count != b->entry_count || a->n_nodes != b->n_nodes || a->min_time_ms != b->min_time_ms ||
        a->weight_x10000 != b->weight_x10000) {
        return false;
    }
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct hq_request_entry *x = &a->entries[i];
        const struct hq_request_entry *y = &b->entries[i];
        if (x->amount != y->amount || x->policy != y->policy || !hq_str_eq(x->name, y->name)) {
            return false;
        }
    }
    return true;
}

bool
hq_request_eq(const struct hq_request *a, const struct hq_request *b)
{
    if (a->variant_count != b->variant_count) {
        return false;
    }
    for (size_t i = 0; i < a->variant_count; i++) {
        if (!variant_eq(&a->variants[i], &b->variants[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

uint64_t
hq_request_hash(const struct hq_request *r)
{
    uint64_t h = mix(0, r->variant_count);
    for (size_t i = 0; i < r->variant_count; i++) {
        const struct hq_variant *v = &r->variants[i];
        h = mix(mix(mix(h, v->n_nodes), (uint64_t)v->min_time_ms), v->weight_x10000);
        h = mix(h, v->entry_count);
        for (size_t k = 0; k < v->entry_count; k++) {
            const struct hq_request_entry *e = &v->entries[k];
            for (size_t c = 0; c < e->name.len; c++) {
                h = mix(h, (unsigned char)e->name.ptr[c]);
            }
            h = mix(mix(h, e->amount), (uint64_t)e->policy);
        }
    }
    return h;
}

void
hq_amount_print(hq_amount a, struct hq_buf *out)
{
    hq_num_x10000_print(out, a);
}

void
hq_request_print_amount(hq_amount amount, enum hq_policy policy, struct hq_buf *out)
{
    if (policy != HQ_POLICY_ALL) {
        hq_amount_print(amount, out);
        hq_buf_byte(out, ' ');
    }
    hq_buf_cstr(out, policy_names[policy]);
}
