/* The grammar of a resource kind (spec section "Grammar of a resource kind"): one function per form, each leaves `at`
 * behind what it read. */
#include "common/limits.h"
#include "common/num.h"
#include "common/parse.h"
#include "common/pool.h"
#include "common/request.h"

#define CONTEXT_KIND "resource kind"
#define CONTEXT_NUMBER "number"

struct reader {
    struct hq_str text;
    size_t at;
    size_t kind_at; /* where the kind begins: faults of the whole kind are marked there */
    struct hq_arena *arena;
    struct hq_err *err;
};

static int
fault(const struct reader *r, const char *context, const char *expected)
{
    return hq_parse_fault(r->err, r->text,
                          &(struct hq_parse_fault){.at = r->at, .context = context, .expected = expected});
}

static int
fault_note(const struct reader *r, size_t at, const char *note)
{
    return hq_parse_fault(r->err, r->text, &(struct hq_parse_fault){.at = at, .context = CONTEXT_KIND, .note = note});
}

static bool
is_next(const struct reader *r, char c)
{
    return r->at < r->text.len && r->text.ptr[r->at] == c;
}

static void
skip_blanks(struct reader *r)
{
    r->at = hq_parse_blanks(r->text, r->at);
}

/* Blanks, c, blanks. `glued` is expected instead of `plain` when no blank stands before. */
static int
take(struct reader *r, char c, const char *context, const char *plain, const char *glued)
{
    size_t before = r->at;
    skip_blanks(r);
    if (!is_next(r, c)) {
        return fault(r, context, r->at == before ? glued : plain);
    }
    r->at++;
    skip_blanks(r);
    return 0;
}

static int
read_u32(struct reader *r, uint32_t *ret)
{
    size_t end = hq_parse_digits(r->text, r->at);
    if (end == r->at) {
        return fault(r, CONTEXT_NUMBER, NULL);
    }
    if (hq_num_u32_sep(hq_str_sub(r->text, r->at, end), ret, NULL) < 0) {
        return fault_note(r, r->at, "Cannot parse as 4-byte unsigned integer");
    }
    r->at = end;
    return 0;
}

/* ---- values */

static bool
is_bare(char c, char close)
{
    return c != ',' && c != '[' && c != ']' && c != '"' && c != close && c != ' ' && (c < '\t' || c > '\r');
}

static int
read_value(struct reader *r, char close, struct hq_str *ret)
{
    size_t from = r->at;
    if (is_next(r, '"')) {
        ptrdiff_t len = hq_str_find_byte(hq_str_sub(r->text, from + 1, r->text.len), '"');
        if (len < 0) {
            r->at = r->text.len;
            return fault(r, CONTEXT_KIND, "\"");
        }
        *ret = hq_arena_str(r->arena, hq_str_sub(r->text, from + 1, from + 1 + (size_t)len));
        r->at = from + (size_t)len + 2;
        return 0;
    }
    while (r->at < r->text.len && is_bare(r->text.ptr[r->at], close)) {
        r->at++;
    }
    if (r->at == from) {
        return fault(r, CONTEXT_KIND, NULL);
    }
    *ret = hq_arena_str(r->arena, hq_str_sub(r->text, from, r->at));
    return 0;
}

/* How many values there can be at most from here to the closing bracket: one more than commas. */
static size_t
count_values(const struct reader *r, char close)
{
    size_t count = 1;
    bool is_quoted = false;
    for (size_t i = r->at; i < r->text.len && (is_quoted || r->text.ptr[i] != close); i++) {
        is_quoted = is_quoted != (r->text.ptr[i] == '"');
        count += !is_quoted && r->text.ptr[i] == ',';
    }
    return count;
}

/* V, V, ... up to and including `close`; the opening bracket is behind us. */
static int
read_values(struct reader *r, char close, const char *empty_note, size_t empty_at, struct hq_pool_group *ret)
{
    const char expected[] = {',', ' ', 'o', 'r', ' ', close, '\0'};
    skip_blanks(r);
    if (is_next(r, close)) {
        return fault_note(r, empty_at, empty_note);
    }
    size_t room = count_values(r, close);
    if (room > HQ_POOL_VALUES_MAX) {
        return fault_note(r, r->kind_at, "Too many values");
    }
    struct hq_pool_group g = {.values = hq_arena_array(r->arena, room, sizeof *g.values)};
    for (;;) {
        HQ_ASSERT(g.count < room);
        int rc = read_value(r, close, &g.values[g.count]);
        if (rc < 0) {
            return rc;
        }
        g.count++;
        skip_blanks(r);
        if (is_next(r, close)) {
            r->at++;
            *ret = g;
            return 0;
        }
        if (!is_next(r, ',')) {
            return fault(r, CONTEXT_KIND, expected);
        }
        r->at++;
        skip_blanks(r);
    }
}

/* ---- kinds */

static int
read_list(struct reader *r, char close, struct hq_pool *pool)
{
    struct hq_pool_group group = {0};
    int rc = read_values(r, close, "List has to contain at least a single element", r->kind_at, &group);
    if (rc < 0) {
        return rc;
    }
    if (hq_pool_has_repeats(&group, 1)) {
        return fault_note(r, r->kind_at, "List items have to be unique");
    }
    pool->kind = HQ_POOL_LIST;
    pool->groups = hq_arena_alloc(r->arena, sizeof group);
    pool->groups[0] = group;
    pool->group_count = 1;
    return 0;
}

/* [V, ...], ... and the outer "]"; a group begins here. One group is a plain list. */
static int
read_groups(struct reader *r, struct hq_pool *pool)
{
    struct hq_pool_group groups[HQ_POOL_GROUPS_MAX] = {0};
    size_t count = 0;
    size_t value_count = 0;
    for (;;) {
        if (!is_next(r, '[')) {
            return fault(r, CONTEXT_KIND, "[");
        }
        if (count == HQ_POOL_GROUPS_MAX) {
            return fault_note(r, r->kind_at, "Too many groups");
        }
        size_t group_at = r->at++;
        int rc = read_values(r, ']', "Each group has to contain at least a single element", group_at, &groups[count]);
        if (rc < 0) {
            return rc;
        }
        if (hq_pool_has_repeats(&groups[count], 1)) {
            return fault_note(r, r->kind_at, "Group items have to be unique");
        }
        value_count += groups[count++].count;
        if (value_count > HQ_POOL_VALUES_MAX) {
            return fault_note(r, r->kind_at, "Too many values");
        }
        skip_blanks(r);
        if (is_next(r, ']')) {
            r->at++;
            break;
        }
        if (!is_next(r, ',')) {
            return fault(r, CONTEXT_KIND, ", or ]");
        }
        r->at++;
        skip_blanks(r);
    }
    pool->kind = count == 1 ? HQ_POOL_LIST : HQ_POOL_GROUPS;
    pool->groups = hq_arena_array(r->arena, count, sizeof *groups);
    memcpy(pool->groups, groups, count * sizeof *groups);
    pool->group_count = count;
    return 0;
}

/* A - B ) behind "range(". */
static int
read_range(struct reader *r, struct hq_pool *pool)
{
    int rc = read_u32(r, &pool->range_first);
    if (rc == 0) {
        rc = take(r, '-', CONTEXT_NUMBER, "-", "- or _");
    }
    if (rc == 0) {
        rc = read_u32(r, &pool->range_last);
    }
    if (rc == 0) {
        rc = take(r, ')', CONTEXT_NUMBER, ")", ") or _");
    }
    if (rc == 0 && pool->range_last < pool->range_first) {
        return fault_note(r, r->kind_at, "Start must be greater or equal to end");
    }
    pool->kind = HQ_POOL_RANGE;
    return rc;
}

static int
read_sum(struct reader *r, struct hq_pool *pool)
{
    pool->kind = HQ_POOL_SUM;
    int rc = hq_amount_read(r->text, &r->at, "sum", &pool->sum, r->err);
    return rc < 0 ? rc : take(r, ')', "sum", ")", ") or _");
}

/* A word, then "(". "list" and "indices" are older spellings of "[...]" and "range". */
static int
read_named(struct reader *r, struct hq_pool *pool)
{
    size_t end = r->at;
    while (end < r->text.len &&
           (hq_is_letter(r->text.ptr[end]) || hq_is_digit(r->text.ptr[end]) || r->text.ptr[end] == '_')) {
        end++;
    }
    struct hq_str word = hq_str_sub(r->text, r->at, end);
    bool is_range = hq_str_is(word, "range") || hq_str_is(word, "indices");
    bool is_sum = hq_str_is(word, "sum");
    if (!is_range && !is_sum && !hq_str_is(word, "list")) {
        return hq_parse_fault(
            r->err, r->text,
            &(struct hq_parse_fault){
                .at = r->at, .token_bytes = word.len, .context = CONTEXT_KIND, .expected = "range or sum"});
    }
    r->at = end;
    int rc = take(r, '(', CONTEXT_KIND, "(", "(");
    if (rc < 0) {
        return rc;
    }
    return is_range ? read_range(r, pool) : is_sum ? read_sum(r, pool) : read_list(r, ')', pool);
}

static int
make_numbered(struct reader *r, uint32_t groups, uint32_t size, struct hq_pool *pool)
{
    if (groups == 0) {
        return fault_note(r, r->kind_at, "List has to contain at least a single element");
    }
    if (size == 0) {
        return fault_note(r, r->kind_at, "Each group has to contain at least a single element");
    }
    if (groups > HQ_POOL_GROUPS_MAX) {
        return fault_note(r, r->kind_at, "Too many groups");
    }
    if ((uint64_t)groups * size > HQ_POOL_VALUES_MAX) {
        return fault_note(r, r->kind_at, "Too many values");
    }
    pool->kind = groups == 1 ? HQ_POOL_LIST : HQ_POOL_GROUPS;
    pool->group_count = groups;
    pool->groups = hq_arena_array(r->arena, groups, sizeof *pool->groups);
    for (uint32_t g = 0; g < groups; g++) {
        pool->groups[g].count = size;
        pool->groups[g].values = hq_arena_array(r->arena, size, sizeof *pool->groups[g].values);
        for (uint32_t i = 0; i < size; i++) {
            pool->groups[g].values[i] = hq_str_from(hq_arena_printf(r->arena, "%u", g * size + i));
        }
    }
    return 0;
}

/* N, or NxM. `--cpus 0` is a sum of nothing, which the check of the pools refuses by name. */
static int
read_number(struct reader *r, bool is_cpus, struct hq_pool *pool)
{
    uint32_t n = 0;
    uint32_t size = 0;
    int rc = read_u32(r, &n);
    if (rc < 0) {
        return rc;
    }
    if (is_next(r, 'x')) {
        r->at++;
        rc = read_u32(r, &size);
        size_t end = hq_parse_blanks(r->text, r->at);
        if (rc == 0 && end < r->text.len) {
            return fault(r, CONTEXT_NUMBER, "<end of input> or _");
        }
        return rc < 0 ? rc : make_numbered(r, n, size, pool);
    }
    if (!is_cpus) {
        return fault(r, CONTEXT_NUMBER, "_ or x");
    }
    if (hq_parse_blanks(r->text, r->at) < r->text.len) {
        return fault(r, CONTEXT_NUMBER, "<end of input> or _ or x");
    }
    pool->kind = n == 0 ? HQ_POOL_SUM : HQ_POOL_RANGE;
    pool->range_last = n == 0 ? 0 : n - 1;
    return 0;
}

/* KIND from r->at to the end of the text. */
static int
read_kind(struct reader *r, bool is_cpus, struct hq_pool *pool)
{
    int rc;
    skip_blanks(r);
    r->kind_at = r->at;
    if (r->at < r->text.len && hq_is_digit(r->text.ptr[r->at])) {
        rc = read_number(r, is_cpus, pool);
        r->at = rc == 0 ? r->text.len : r->at;
    } else if (r->at < r->text.len && (hq_is_letter(r->text.ptr[r->at]) || r->text.ptr[r->at] == '_')) {
        rc = read_named(r, pool);
    } else if (is_next(r, '[')) {
        r->at++;
        skip_blanks(r);
        rc = is_next(r, '[') ? read_groups(r, pool) : read_list(r, ']', pool);
    } else {
        return fault(r, CONTEXT_NUMBER, "[ or range or sum");
    }
    if (rc < 0) {
        return rc;
    }
    skip_blanks(r);
    return r->at == r->text.len ? 0 : fault(r, CONTEXT_KIND, "<end of input>");
}

int
hq_pool_parse(struct hq_pool *ret, struct hq_str name, struct hq_str kind, bool is_cpus, struct hq_arena *arena,
              struct hq_err *err)
{
    struct hq_pool pool = {0};
    struct reader r = {.text = kind, .arena = arena, .err = err};
    int rc = read_kind(&r, is_cpus, &pool);
    if (rc < 0) {
        return rc;
    }
    pool.name = hq_arena_str(arena, name);
    *ret = pool;
    return 0;
}

int
hq_pool_parse_def(struct hq_pool *ret, struct hq_str text, struct hq_arena *arena, struct hq_err *err)
{
    static const char context[] = "resource name";
    struct hq_pool pool = {0};
    struct reader r = {.text = text, .arena = arena, .err = err};
    skip_blanks(&r);
    size_t from = r.at;
    if (from == text.len || !hq_is_letter(text.ptr[from])) {
        return fault(&r, context, "identifier");
    }
    while (r.at < text.len && (hq_is_letter(text.ptr[r.at]) || hq_is_digit(text.ptr[r.at]) || text.ptr[r.at] == '/')) {
        r.at++;
    }
    struct hq_str name = hq_str_sub(text, from, r.at);
    int rc = take(&r, '=', context, "=", "=");
    if (rc == 0) {
        rc = read_kind(&r, false, &pool);
    }
    if (rc < 0) {
        return rc;
    }
    pool.name = hq_arena_str(arena, name);
    *ret = pool;
    return 0;
}
