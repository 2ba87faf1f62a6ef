#include "hq/entries.h"

#include "common/limits.h"
#include "common/mem.h"

#include <stdlib.h>

void
entries_fini(struct entries *e)
{
    hq_buf_fini(&e->data);
    free(e->lens);
    hq_ranges_fini(&e->ids);
    *e = (struct entries){0};
}

static int
add_len(struct entries *e, size_t len, struct hq_err *err)
{
    if (len > HQ_ENTRY_BYTES_MAX) {
        return hq_err_set(err, -E2BIG, "Entry %zu has %zu bytes; at most %u are possible", e->count, len,
                          HQ_ENTRY_BYTES_MAX);
    }
    if (e->count >= HQ_TASKS_PER_SUBMIT_MAX) {
        return hq_err_set(err, -E2BIG, "More than %u tasks in one submit", HQ_TASKS_PER_SUBMIT_MAX);
    }
    hq_xgrow(&e->lens, &e->cap, e->count + 1, sizeof *e->lens);
    e->lens[e->count++] = (uint32_t)len;
    return 0;
}

/* A variable ends at its first zero byte: the task would see a part and nobody would know. */
static int
check_bytes(struct hq_str entry, uint64_t number, struct hq_err *err)
{
    bool is_bad = entry.len > 0 && memchr(entry.ptr, '\0', entry.len) != NULL;
    return is_bad ? hq_err_set(err, -EINVAL, "Entry %llu has a zero byte, which no variable can hold",
                               (unsigned long long)number)
                  : 0;
}

int
entries_add(struct entries *e, struct hq_str entry, struct hq_err *err)
{
    int rc = check_bytes(entry, e->count, err);
    rc = rc < 0 ? rc : add_len(e, entry.len, err);
    if (rc == 0) {
        hq_buf_str(&e->data, entry);
    }
    return rc;
}

/* Walks a sorted set beside ascending numbers: no search per line. */
struct chosen {
    struct hq_ranges set; /* ascending, not interleaved */
    size_t ix;
    bool is_all;
};

static int
chosen_init(struct chosen *c, const struct hq_ranges *only, struct hq_err *err)
{
    *c = (struct chosen){.is_all = only == NULL};
    return only == NULL ? 0 : hq_ranges_ascending(&c->set, only, err);
}

static bool
chosen_has(struct chosen *c, uint64_t number)
{
    if (c->is_all) {
        return true;
    }
    while (c->ix < c->set.count) {
        const struct hq_range *r = &c->set.v[c->ix];
        if (r->first + (uint64_t)(r->count - 1) * r->step >= number) {
            return number >= r->first && (number - r->first) % r->step == 0;
        }
        c->ix++;
    }
    return false;
}

/* Moves the chosen lines together at the front of `data`. */
static int
pack_lines(struct entries *e, struct chosen *c, struct hq_err *err)
{
    size_t from = 0;
    size_t to = 0;
    bool has_zero = e->data.len > 0 && memchr(e->data.ptr, '\0', e->data.len) != NULL; /* once, not per line */
    for (uint64_t number = 0; from < e->data.len; number++) {
        const char *line = e->data.ptr + from;
        const char *end = memchr(line, '\n', e->data.len - from);
        size_t len = end != NULL ? (size_t)(end - line) : e->data.len - from;
        if (chosen_has(c, number)) {
            int rc = has_zero ? check_bytes(hq_str_make(line, len), number, err) : 0;
            rc = rc < 0 ? rc : add_len(e, len, err);
            if (rc < 0) {
                return rc;
            }
            memmove(e->data.ptr + to, line, len);
            to += len;
            if (!c->is_all) {
                hq_ranges_add(&e->ids, (uint32_t)number, 1, 1);
            }
        }
        from += len + (end != NULL);
    }
    e->data.len = to;
    return 0;
}

int
entries_from_lines(struct entries *ret, struct hq_buf *text, const struct hq_ranges *only, struct hq_err *err)
{
    struct chosen c;
    int rc = chosen_init(&c, only, err);
    if (rc < 0) {
        return rc;
    }
    struct entries e = {.data = *text, .has_ids = only != NULL};
    *text = HQ_BUF_INIT;
    rc = pack_lines(&e, &c, err);
    hq_ranges_fini(&c.set);
    if (rc < 0) {
        entries_fini(&e);
        return rc;
    }
    *ret = e;
    return 0;
}
