#include "common/ranges.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/parse.h"

#include <stdlib.h>

#define OVERLAP_CHECKS_MAX ((uint64_t)1 << 24) /* pairs of ranges that lie across each other; refused beyond */

void
hq_ranges_fini(struct hq_ranges *r)
{
    int saved = errno;
    free(r->v);
    errno = saved;
    *r = HQ_RANGES_INIT;
}

static void
push(struct hq_ranges *r, struct hq_range g)
{
    if (HQ_UNLIKELY(r->count == r->cap)) {
        hq_xgrow(&r->v, &r->cap, r->count + 1, sizeof *r->v);
    }
    r->v[r->count++] = g;
}

/* ---- overlap */

static int
by_first(const void *a, const void *b)
{
    const struct hq_range *x = a;
    const struct hq_range *y = b;
    if (x->first != y->first) {
        return x->first < y->first ? -1 : 1;
    }
    return x->count == y->count ? 0 : x->count < y->count ? -1 : 1;
}

static int64_t
gcd_with_inverse(int64_t a, int64_t b, int64_t *ret_x)
{
    int64_t x = 1;
    int64_t next_x = 0;
    while (b != 0) {
        int64_t q = a / b;
        int64_t r = a % b;
        int64_t t = x - q * next_x;
        a = b;
        b = r;
        x = next_x;
        next_x = t;
    }
    *ret_x = x;
    return a;
}

static uint64_t
remainder_of(int64_t a, int64_t modulus) /* never negative */
{
    HQ_ASSERT(modulus > 0);
    int64_t r = a % modulus;
    return (uint64_t)(r < 0 ? r + modulus : r);
}

/* Do two ranges share an id? The common ids of two stepped ranges repeat with the least common multiple of the
 * steps, so the first one at or behind both starts decides. O(log step). */
static bool
share_id(const struct hq_range *a, const struct hq_range *b)
{
    uint64_t low = HQ_MAX(a->first, b->first);
    uint64_t high = HQ_MIN(hq_range_last(a), hq_range_last(b));
    if (low > high) {
        return false;
    }
    if (a->step == 1 && b->step == 1) {
        return true;
    }
    int64_t inverse;
    int64_t step_a = a->step;
    int64_t step_b = b->step;
    int64_t g = gcd_with_inverse(step_a, step_b, &inverse);
    int64_t apart = (int64_t)b->first - (int64_t)a->first;
    if (apart % g != 0) {
        return false;
    }
    /* first + i * step_a with i = apart / g * inverse, modulo step_b / g */
    int64_t modulus = step_b / g;
    uint64_t i = remainder_of(apart / g, modulus) * remainder_of(inverse, modulus) % (uint64_t)modulus;
    uint64_t at = a->first + i * (uint64_t)step_a;
    uint64_t period = (uint64_t)step_a * (uint64_t)modulus;
    if (at < low) {
        at += (low - at + period - 1) / period * period;
    }
    return at <= high;
}

/* Are all ranges in ascending order, each behind the end of the one before? */
static bool
is_ascending(const struct hq_ranges *r)
{
    for (size_t i = 1; i < r->count; i++) {
        if (r->v[i].first <= hq_range_last(&r->v[i - 1])) {
            return false;
        }
    }
    return true;
}

/* 0 = no id twice, 1 = some id twice, -E2BIG = too many ranges lie across each other to tell.
 * O(n log n) and one check for each pair whose spans meet. */
static int
find_overlap(const struct hq_ranges *r)
{
    if (is_ascending(r)) {
        return 0;
    }
    HQ_AUTO(hq_mem_freep) struct hq_range *sorted = hq_xmemdup(r->v, r->count * sizeof *r->v);
    HQ_AUTO(hq_mem_freep) size_t *open = hq_xcalloc(r->count, sizeof(size_t)); /* places in sorted */
    size_t open_count = 0;
    uint64_t checks = 0;
    qsort(sorted, r->count, sizeof *sorted, by_first);
    for (size_t i = 0; i < r->count; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < open_count; k++) {
            const struct hq_range *other = &sorted[open[k]];
            if (hq_range_last(other) < sorted[i].first) {
                continue;
            }
            if (share_id(other, &sorted[i])) {
                return 1;
            }
            if (++checks > OVERLAP_CHECKS_MAX) {
                return -E2BIG;
            }
            open[kept++] = open[k];
        }
        open[kept] = i;
        open_count = kept + 1;
    }
    return 0;
}

/* ---- parser */

#define CONTEXT "Integer range"

static int
read_number(struct hq_str text, size_t *at, const char *name, uint32_t *ret, struct hq_err *err)
{
    size_t first = *at;
    size_t end = hq_parse_digits(text, first);
    if (end == first) {
        return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = first, .context = "number"});
    }
    if (hq_num_u32_sep(hq_str_sub(text, first, end), ret, NULL) < 0) {
        return hq_parse_fault(
            err, text,
            &(struct hq_parse_fault){.at = first, .context = name, .note = "Cannot parse as 4-byte unsigned integer"});
    }
    *at = end;
    return 0;
}

/* What may follow at `*at` besides "," and the end. */
static int
unexpected(struct hq_str text, size_t at, const char *expected, struct hq_err *err)
{
    return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = at, .context = CONTEXT, .expected = expected});
}

/* One range at *at, which ends up behind it and the blanks that follow. */
static int
read_range(struct hq_str text, size_t *at, struct hq_range *ret, struct hq_err *err)
{
    size_t first_at = *at;
    uint32_t first = 0;
    uint32_t last = 0;
    uint32_t step = 1;
    bool has_last = false;
    bool has_step = false;
    int rc = read_number(text, at, "start", &first, err);
    if (rc == 0 && *at < text.len && text.ptr[*at] == '-') {
        ++*at;
        has_last = true;
        rc = read_number(text, at, "end", &last, err);
    }
    if (rc == 0 && *at < text.len && text.ptr[*at] == ':') {
        ++*at;
        has_step = true;
        rc = read_number(text, at, "step", &step, err);
    }
    if (rc < 0) {
        return rc;
    }
    size_t end = hq_parse_blanks(text, *at);
    if (end < text.len && text.ptr[end] != ',') {
        bool is_glued = end == *at;
        return unexpected(text, end,
                          !is_glued  ? ", or <end of input>"
                          : has_step ? ", or <end of input> or _"
                          : has_last ? ", or : or <end of input> or _"
                                     : ", or - or : or <end of input> or _",
                          err);
    }
    *at = end;
    last = has_last ? last : first;
    bool is_whole = first == 0 && last == UINT32_MAX && step == 1; /* 2^32 ids: a count has 32 bits */
    if (last < first || (has_step && (step == 0 || step > last - first)) || is_whole) {
        return hq_parse_fault(err, text,
                              &(struct hq_parse_fault){.at = first_at, .context = CONTEXT, .note = "Invalid range"});
    }
    uint32_t count = (last - first) / step + 1;
    *ret = (struct hq_range){.first = first, .count = count, .step = count == 1 ? 1 : step};
    return 0;
}

static int
too_many(struct hq_err *err)
{
    return hq_err_set(err, -E2BIG, "Too many ranges (at most %u are allowed)", HQ_RANGES_MAX);
}

static int
too_tangled(struct hq_err *err)
{
    return hq_err_set(err, -E2BIG, "Too many ranges lie across each other");
}

int
hq_ranges_parse(struct hq_ranges *ret, struct hq_str text, struct hq_err *err)
{
    HQ_AUTO(hq_ranges_fini) struct hq_ranges r = HQ_RANGES_INIT;
    size_t at = 0;
    for (;;) {
        struct hq_range g = {0};
        at = hq_parse_blanks(text, at);
        int rc = read_range(text, &at, &g, err);
        if (rc < 0) {
            return rc;
        }
        if (r.count == HQ_RANGES_MAX) {
            return too_many(err);
        }
        push(&r, g);
        if (at == text.len) {
            break;
        }
        at++; /* the comma */
    }
    int found = find_overlap(&r);
    if (found == 1) {
        return hq_parse_fault(err, text, &(struct hq_parse_fault){.at = 0, .note = "Ranges overlap"});
    }
    if (found < 0) {
        return too_tangled(err);
    }
    *ret = r;
    r = HQ_RANGES_INIT;
    return 0;
}

int
hq_ranges_check(const struct hq_ranges *r, struct hq_err *err)
{
    if (r->count > HQ_RANGES_MAX) {
        return too_many(err);
    }
    for (size_t i = 0; i < r->count; i++) {
        const struct hq_range *g = &r->v[i];
        uint64_t last = g->first + (uint64_t)(g->count - 1) * g->step;
        if (g->count == 0 || g->step == 0 || last > UINT32_MAX) {
            return hq_err_set(err, -EINVAL, "Invalid range");
        }
    }
    int found = find_overlap(r);
    if (found == 1) {
        return hq_err_set(err, -EINVAL, "Ranges overlap");
    }
    return found < 0 ? too_tangled(err) : 0;
}

/* ---- sets */

void
hq_ranges_add(struct hq_ranges *r, uint32_t first, uint32_t count, uint32_t step)
{
    HQ_ASSERT(count > 0);
    HQ_ASSERT(step > 0);
    step = count == 1 ? 1 : step;
    if (r->count > 0 && step == 1) {
        struct hq_range *last = &r->v[r->count - 1];
        if (last->step == 1 && first - last->first == last->count && count <= UINT32_MAX - last->count &&
            first > last->first) {
            last->count += count;
            return;
        }
    }
    push(r, (struct hq_range){.first = first, .count = count, .step = step});
}

uint64_t
hq_ranges_size(const struct hq_ranges *r)
{
    uint64_t size = 0;
    for (size_t i = 0; i < r->count; i++) {
        size += r->v[i].count;
    }
    return size;
}

bool
hq_ranges_has(const struct hq_ranges *r, uint32_t id)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct hq_range *g = &r->v[i];
        uint32_t apart = id - g->first; /* wraps to something large below the range */
        if (g->step == 1 ? apart < g->count : apart % g->step == 0 && apart / g->step < g->count) {
            return true;
        }
    }
    return false;
}

bool
hq_ranges_max(const struct hq_ranges *r, uint32_t *ret)
{
    uint32_t max = 0;
    for (size_t i = 0; i < r->count; i++) {
        max = HQ_MAX(max, hq_range_last(&r->v[i]));
    }
    if (r->count > 0) {
        *ret = max;
    }
    return r->count > 0;
}

uint32_t
hq_ranges_at(const struct hq_ranges *r, uint64_t k)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct hq_range *g = &r->v[i];
        if (k < g->count) {
            return g->first + (uint32_t)k * g->step;
        }
        k -= g->count;
    }
    HQ_ASSERT(false);
    return 0;
}

/* Appends the ids of v[0..count) as runs, ascending. -E2BIG when they are too many. */
static int
add_as_runs(struct hq_ranges *out, const struct hq_range *v, size_t count)
{
    HQ_AUTO(hq_ranges_fini) struct hq_ranges pieces = HQ_RANGES_INIT;
    uint64_t need = 0;
    for (size_t i = 0; i < count; i++) {
        need += v[i].step == 1 ? 1 : v[i].count;
    }
    if (need > HQ_RANGES_MAX) {
        return -E2BIG;
    }
    for (size_t i = 0; i < count; i++) {
        if (v[i].step == 1) {
            push(&pieces, v[i]);
            continue;
        }
        for (uint32_t k = 0; k < v[i].count; k++) {
            push(&pieces, (struct hq_range){.first = v[i].first + k * v[i].step, .count = 1, .step = 1});
        }
    }
    if (pieces.count == 0) {
        return 0;
    }
    qsort(pieces.v, pieces.count, sizeof *pieces.v, by_first);
    uint64_t from = pieces.v[0].first;
    uint64_t end = from + pieces.v[0].count;
    for (size_t i = 1; i < pieces.count; i++) {
        uint64_t piece_end = (uint64_t)pieces.v[i].first + pieces.v[i].count;
        /* all 2^32 ids need two runs: a count has 32 bits */
        if (pieces.v[i].first > end || HQ_MAX(end, piece_end) - from > UINT32_MAX) {
            push(out, (struct hq_range){.first = (uint32_t)from, .count = (uint32_t)(end - from), .step = 1});
            from = HQ_MAX(pieces.v[i].first, end);
        }
        end = HQ_MAX(end, piece_end);
    }
    push(out, (struct hq_range){.first = (uint32_t)from, .count = (uint32_t)(end - from), .step = 1});
    return 0;
}

int
hq_ranges_sorted(struct hq_ranges *ret, const struct hq_ranges *r, struct hq_err *err)
{
    HQ_AUTO(hq_ranges_fini) struct hq_ranges out = HQ_RANGES_INIT;
    if (add_as_runs(&out, r->v, r->count) < 0) {
        return too_many(err);
    }
    *ret = out;
    out = HQ_RANGES_INIT;
    return 0;
}

int
hq_ranges_ascending(struct hq_ranges *ret, const struct hq_ranges *r, struct hq_err *err)
{
    HQ_AUTO(hq_ranges_fini) struct hq_ranges out = HQ_RANGES_INIT;
    HQ_AUTO(hq_mem_freep) struct hq_range *sorted = hq_xmemdup(r->v, r->count * sizeof *r->v);
    if (r->count > 0) {
        qsort(sorted, r->count, sizeof *sorted, by_first);
    }
    for (size_t i = 0; i < r->count;) {
        uint32_t last = hq_range_last(&sorted[i]);
        size_t end = i + 1;
        while (end < r->count && sorted[end].first <= last) {
            last = HQ_MAX(last, hq_range_last(&sorted[end]));
            end++;
        }
        if (end == i + 1) {
            push(&out, sorted[i]);
        } else if (add_as_runs(&out, &sorted[i], end - i) < 0) {
            return too_many(err);
        }
        i = end;
    }
    *ret = out;
    out = HQ_RANGES_INIT;
    return 0;
}

/* ---- printing */

void
hq_ranges_print(const struct hq_ranges *r, struct hq_buf *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct hq_range *g = &r->v[i];
        if (i > 0) {
            hq_buf_byte(out, ',');
        }
        hq_buf_u64(out, g->first);
        if (g->count > 1) {
            hq_buf_byte(out, '-');
            hq_buf_u64(out, hq_range_last(g));
        }
        if (g->step > 1) {
            hq_buf_byte(out, ':');
            hq_buf_u64(out, g->step);
        }
    }
}

static void
print_run(struct hq_ranges_runs *s)
{
    if (s->printed) {
        hq_buf_byte(s->out, ',');
    }
    hq_buf_u64(s->out, s->first);
    if (s->last > s->first) {
        hq_buf_byte(s->out, '-');
        hq_buf_u64(s->out, s->last);
    }
    s->printed = true;
}

void
hq_ranges_runs_add_run(struct hq_ranges_runs *s, uint32_t first, uint32_t last)
{
    if (s->any && s->last < UINT32_MAX && first == s->last + 1) {
        s->last = last;
        return;
    }
    if (s->any) {
        print_run(s);
    }
    s->any = true;
    s->first = first;
    s->last = last;
}

void
hq_ranges_runs_add(struct hq_ranges_runs *s, uint32_t id)
{
    hq_ranges_runs_add_run(s, id, id);
}

void
hq_ranges_runs_end(struct hq_ranges_runs *s)
{
    if (s->any) {
        print_run(s);
    }
    s->any = false;
}
