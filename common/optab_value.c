#include "common/optab.h"

#include "common/num.h"

/* Parsers of values. Bounds are told in the words that users know: "70000 is not in 0..=65535". */

static int
in_range(struct hq_str value, int64_t max, int64_t *ret, struct hq_err *err)
{
    int64_t v = 0;
    int rc = hq_num_i64_sep(value, &v, err);
    if (rc < 0) {
        return rc;
    }
    if (v < 0 || v > max) {
        return hq_err_set(err, -ERANGE, "%.*s is not in 0..=%lld", HQ_STR_FMT(value), (long long)max);
    }
    *ret = v;
    return 0;
}

int
hq_opt_str(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* any text will do */
    (void)arena; /* the view is kept */
    (void)err;
    *(struct hq_str *)target = value;
    return 0;
}

int
hq_opt_strv(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* any text will do */
    (void)err;
    struct hq_strv *list = target;
    hq_arena_grow(arena, &list->v, &list->cap, list->count + 1, sizeof *list->v);
    list->v[list->count++] = value;
    return 0;
}

int
hq_opt_u32(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    int64_t v = 0;
    int rc = in_range(value, UINT32_MAX, &v, err);
    if (rc == 0) {
        *(uint32_t *)target = (uint32_t)v;
    }
    return rc;
}

int
hq_opt_id(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    return hq_num_u32_sep(value, target, err);
}

int
hq_opt_i32(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    return hq_num_i32_sep(value, target, err);
}

int
hq_opt_port(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    int64_t v = 0;
    int rc = in_range(value, UINT16_MAX, &v, err);
    if (rc == 0) {
        *(uint16_t *)target = (uint16_t)v;
    }
    return rc;
}

/* Index of the word, counted over the hidden words too; -1 = none. */
static int
word_index(const struct hq_opt *opt, struct hq_str word)
{
    size_t lists = (opt->flags & HQ_OPT_MORE_WORDS) != 0 ? 2 : 1;
    int index = 0;
    for (size_t ix = 0; lists > 0; ix++) {
        if (opt->values[ix] == NULL) {
            lists--;
        } else if (hq_str_is(word, opt->values[ix])) {
            return index;
        } else {
            index++;
        }
    }
    return -1;
}

int
hq_opt_word(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)arena; /* an index */
    int index = word_index(opt, value);
    if (index < 0) {
        return hq_err_set(err, -EINVAL, "unknown word");
    }
    *(int *)target = index;
    return 0;
}

int
hq_opt_words(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)arena; /* bits */
    uint32_t bits = 0;
    bool has_more = true;
    while (has_more) {
        struct hq_str word;
        has_more = hq_str_split(&value, ',', &word);
        int index = word_index(opt, word);
        if (index < 0) {
            return hq_err_set(err, -EINVAL, "%.*s", HQ_STR_FMT(word)); /* the one that is wrong */
        }
        bits |= UINT32_C(1) << index;
    }
    *(uint32_t *)target |= bits;
    return 0;
}

int
hq_opt_bool(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain value */
    bool is_true = hq_str_is(value, "true") || hq_str_is(value, "1");
    if (!is_true && value.len > 0 && !hq_str_is(value, "false") && !hq_str_is(value, "0")) {
        return hq_err_set(err, -EINVAL, "neither true nor false");
    }
    *(bool *)target = is_true;
    return 0;
}

int
hq_opt_span(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    int64_t ns = 0;
    int rc = hq_duration_parse_cli(value, &ns, err);
    if (rc == 0) {
        *(int64_t *)target = hq_ms_from_ns_up(ns);
    }
    return rc;
}

int
hq_opt_span_human(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                  struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    int64_t ns = 0;
    int rc = hq_duration_parse_human(value, &ns, err);
    if (rc == 0) {
        *(int64_t *)target = hq_ms_from_ns_up(ns);
    }
    return rc;
}

int
hq_opt_ranges(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    struct hq_ranges *to = target;
    HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
    int rc = hq_ranges_parse(&r, value, err);
    if (rc == 0) {
        *to = (struct hq_ranges){.v = hq_arena_array(arena, r.count, sizeof *r.v), .count = r.count};
        memcpy(to->v, r.v, r.count * sizeof *r.v);
    }
    return rc;
}

int
hq_opt_none(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt;
    (void)value; /* older options without effect take anything */
    (void)target;
    (void)arena;
    (void)err;
    return 0;
}
