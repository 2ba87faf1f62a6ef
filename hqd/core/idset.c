#include "hqd/core/idset.h"

#include "common/limits.h"
#include "common/mem.h"

#include <stdlib.h>

struct pair {
    uint32_t id;
    uint32_t pos;
};

void
idset_fini(struct idset *s)
{
    free(s->v);
    *s = (struct idset){0};
}

/* Appends a run behind the last one, or lets the last one grow. */
static int
add_run(struct idset *s, struct idrun r)
{
    if (s->count > 0) {
        struct idrun *last = &s->v[s->count - 1];
        bool follows = r.pos == last->pos + last->count;
        uint32_t gap = r.first - idrun_last(last);
        if (follows && last->count == 1 && (r.count == 1 || r.step == gap)) {
            last->step = gap;
            last->count += r.count;
            return 0;
        }
        if (follows && gap == last->step && (r.count == 1 || r.step == gap)) {
            last->count += r.count;
            return 0;
        }
    }
    if (s->count >= HQ_RANGES_MAX) {
        return -E2BIG;
    }
    int rc = hq_try_grow(&s->v, &s->cap, s->count + 1, sizeof(*s->v));
    if (rc < 0) {
        return rc;
    }
    s->v[s->count++] = r;
    return 0;
}

static int
cmp_run(const void *pa, const void *pb)
{
    const struct idrun *a = pa;
    const struct idrun *b = pb;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int
cmp_pair(const void *pa, const void *pb)
{
    const struct pair *a = pa;
    const struct pair *b = pb;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Runs v[0..n) whose spans touch each other: id by id. */
static int
add_interleaved(struct idset *s, const struct idrun *v, size_t n, uint32_t *ret_id)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += v[i].count;
    }
    struct pair *pairs = hq_try_calloc(total, sizeof(*pairs));
    if (pairs == NULL) {
        return -ENOMEM;
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < v[i].count; j++) {
            pairs[k++] = (struct pair){.id = v[i].first + j * v[i].step, .pos = v[i].pos + j};
        }
    }
    qsort(pairs, total, sizeof(*pairs), cmp_pair);
    int rc = 0;
    for (k = 0; k < total && rc == 0; k++) {
        if (k > 0 && pairs[k].id == pairs[k - 1].id) {
            *ret_id = pairs[k].id;
            rc = -EEXIST;
        } else {
            rc = add_run(s, (struct idrun){.first = pairs[k].id, .count = 1, .step = 1, .pos = pairs[k].pos});
        }
    }
    free(pairs);
    return rc;
}

/* Sorts the runs (array is changed) into `ret`, which is empty; positions stay with their ids. */
static int
normalize(struct idset *ret, struct idrun *v, size_t n, uint32_t *ret_id)
{
    qsort(v, n, sizeof(*v), cmp_run);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t end = i + 1;
        uint32_t last = idrun_last(&v[i]);
        while (end < n && v[end].first <= last) {
            last = HQ_MAX(last, idrun_last(&v[end]));
            end++;
        }
        if (end == i + 1) {
            rc = add_run(ret, v[i]);
        } else {
            rc = add_interleaved(ret, &v[i], end - i, ret_id);
        }
        i = end;
    }
    if (rc < 0) {
        idset_fini(ret);
    }
    return rc;
}

/* Positions were places in the order written: renumbers them, tells where the places went. */
static int
number(struct idset *s, uint32_t first_pos, uint32_t **ret_order)
{
    bool in_order = true;
    uint64_t total = 0;
    for (size_t i = 0; i < s->count; i++) {
        in_order = in_order && s->v[i].pos == total;
        total += s->v[i].count;
    }
    uint32_t *order = NULL;
    if (ret_order != NULL && !in_order) {
        order = hq_try_calloc(total, sizeof(*order));
        if (order == NULL) {
            return -ENOMEM;
        }
    }
    uint32_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct idrun *r = &s->v[i];
        for (uint32_t j = 0; order != NULL && j < r->count; j++) {
            order[at + j] = r->pos + j;
        }
        r->pos = first_pos + at;
        at += r->count;
    }
    if (ret_order != NULL) {
        *ret_order = order;
    }
    return 0;
}

/* Runs that were kept apart only because the order written broke between them. */
static void
join_runs(struct idset *s)
{
    size_t kept = s->count == 0 ? 0 : 1;
    for (size_t i = 1; i < s->count; i++) {
        struct idset head = {.v = s->v, .count = kept, .cap = s->cap};
        struct idrun r = s->v[i];
        (void)add_run(&head, r); /* cannot fail: never more runs than before */
        kept = head.count;
    }
    s->count = kept;
}

static int
build(struct idset *ret, struct idrun *runs, size_t n, uint32_t first_pos, uint32_t **ret_order, uint32_t *ret_id)
{
    struct idset s = {0};
    int rc = normalize(&s, runs, n, ret_id);
    if (rc == 0) {
        rc = number(&s, first_pos, ret_order);
    }
    if (rc < 0) {
        idset_fini(&s);
        return rc;
    }
    join_runs(&s);
    *ret = s;
    return 0;
}

int
idset_build(struct idset *ret, const struct hq_ranges *ranges, uint32_t first_pos, uint32_t **ret_order,
            uint32_t *ret_id)
{
    struct idrun *runs = hq_try_calloc(HQ_MAX(ranges->count, (size_t)1), sizeof(*runs));
    if (runs == NULL) {
        return -ENOMEM;
    }
    uint32_t at = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        const struct hq_range *g = &ranges->v[i];
        HQ_ASSERT(g->count > 0 && g->step > 0);
        runs[i] = (struct idrun){.first = g->first, .count = g->count, .step = g->count == 1 ? 1 : g->step, .pos = at};
        at += g->count;
    }
    int rc = build(ret, runs, ranges->count, first_pos, ret_order, ret_id);
    free(runs);
    return rc;
}

int
idset_build_list(struct idset *ret, const uint32_t *ids, size_t count, uint32_t first_pos, uint32_t **ret_order,
                 uint32_t *ret_id)
{
    struct idset written = {0};
    int rc = 0;
    /* Ascending stretches first, so that the usual list (0, 1, 2 ...) is one run and sorts at once. */
    for (size_t i = 0; i < count && rc == 0; i++) {
        bool ascends = i > 0 && ids[i] > ids[i - 1];
        struct idrun r = {.first = ids[i], .count = 1, .step = 1, .pos = (uint32_t)i};
        if (ascends) {
            rc = add_run(&written, r);
        } else {
            rc = hq_try_grow(&written.v, &written.cap, written.count + 1, sizeof(*written.v));
            if (rc == 0) {
                written.v[written.count++] = r;
            }
        }
    }
    uint32_t *order = NULL;
    if (rc == 0) {
        rc = build(ret, written.v, written.count, first_pos, &order, ret_id);
    }
    idset_fini(&written);
    if (rc == 0) {
        *ret_order = order;
    }
    return rc;
}

int
idset_merge(struct idset *into, const struct idset *more, uint32_t *ret_id)
{
    int rc = 0;
    if (more->count == 0) {
        return 0;
    }
    uint32_t last;
    if (!idset_max(into, &last) || more->v[0].first > last) {
        size_t before = into->count;
        struct idrun tail = before == 0 ? (struct idrun){0} : into->v[before - 1];
        for (size_t i = 0; i < more->count && rc == 0; i++) {
            rc = add_run(into, more->v[i]);
        }
        if (rc < 0) {
            into->count = before;
            if (before > 0) {
                into->v[before - 1] = tail;
            }
        }
        return rc;
    }
    size_t n = into->count + more->count;
    struct idrun *runs = hq_try_calloc(n, sizeof(*runs));
    if (runs == NULL) {
        return -ENOMEM;
    }
    memcpy(runs, into->v, into->count * sizeof(*runs));
    memcpy(runs + into->count, more->v, more->count * sizeof(*runs));
    struct idset merged = {0};
    rc = normalize(&merged, runs, n, ret_id);
    free(runs);
    if (rc == 0) {
        idset_fini(into);
        *into = merged;
    }
    return rc;
}

int
idset_merge_check(const struct idset *a, const struct idset *b, uint32_t *ret_id)
{
    if (a->count + b->count <= HQ_RANGES_MAX / 2 && !idset_common(a, b, ret_id)) {
        uint32_t last;
        if (!idset_max(a, &last) || b->count == 0 || b->v[0].first > last) {
            return 0; /* appended run by run */
        }
    }
    struct idset all = {0};
    int rc = idset_merge(&all, a, ret_id);
    if (rc == 0) {
        rc = idset_merge(&all, b, ret_id);
    }
    idset_fini(&all);
    return rc;
}

const struct idrun *
idset_run(const struct idset *s, uint32_t id)
{
    size_t low = 0;
    size_t high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->v[mid].first <= id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0) {
        return NULL;
    }
    const struct idrun *r = &s->v[low - 1];
    if (id > idrun_last(r) || (r->step != 1 && (id - r->first) % r->step != 0)) {
        return NULL;
    }
    return r;
}

bool
idset_find(const struct idset *s, uint32_t id, uint32_t *ret_pos)
{
    const struct idrun *r = idset_run(s, id);
    if (r == NULL) {
        return false;
    }
    *ret_pos = r->pos + (r->step == 1 ? id - r->first : (id - r->first) / r->step);
    return true;
}

bool
idset_common(const struct idset *a, const struct idset *b, uint32_t *ret_id)
{
    size_t i = 0;
    size_t j = 0;
    while (i < a->count && j < b->count) {
        const struct idrun *x = &a->v[i];
        const struct idrun *y = &b->v[j];
        uint32_t low = HQ_MAX(x->first, y->first);
        uint32_t high = HQ_MIN(idrun_last(x), idrun_last(y));
        if (low <= high) {
            /* Walk the run with fewer ids in the common span. */
            const struct idrun *walk = x->step >= y->step ? x : y;
            const struct idset *other = walk == x ? b : a;
            uint64_t id = low <= walk->first ? walk->first
                                             : walk->first + ((uint64_t)(low - walk->first) + walk->step - 1) /
                                                                 walk->step * walk->step;
            for (; id <= high; id += walk->step) {
                if (idset_run(other, (uint32_t)id) != NULL) {
                    *ret_id = (uint32_t)id;
                    return true;
                }
            }
        }
        if (idrun_last(x) < idrun_last(y)) {
            i++;
        } else {
            j++;
        }
    }
    return false;
}

const struct idrun *
idset_run_at(const struct idset *s, uint32_t pos)
{
    size_t low = 0;
    size_t high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->v[mid].pos <= pos) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || pos - s->v[low - 1].pos >= s->v[low - 1].count) {
        return NULL;
    }
    return &s->v[low - 1];
}

bool
idset_max(const struct idset *s, uint32_t *ret)
{
    if (s->count == 0) {
        return false;
    }
    *ret = idrun_last(&s->v[s->count - 1]);
    return true;
}

uint64_t
idset_size(const struct idset *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        n += s->v[i].count;
    }
    return n;
}
