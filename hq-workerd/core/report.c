/* report.c - four queues; packing sorts a turn's share of them into columns. */
#include "hq-workerd/core/report.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"

struct failed {
    struct report_task task;
    char *error;
    size_t error_len;
};
struct returned {
    uint32_t job_id, instance, variant;
    enum report_reason reason;
    struct hq_ranges ids;
};
struct notify {
    uint32_t job_id, task_id;
    char *message;
    size_t message_len;
};

struct task_list {
    struct report_task *v;
    size_t count, cap;
};

struct report {
    struct task_list started, finished;
    struct failed *failed;
    size_t failed_count, failed_cap;
    struct returned *returned;
    size_t returned_count, returned_cap;
    struct notify *notifies;
    size_t notify_count, notify_cap;
    size_t text_bytes; /* of failed */
};

struct report *
report_create(void)
{
    return hq_try_alloc(sizeof(struct report));
}

void
report_clear(struct report *r)
{
    for (size_t i = 0; i < r->failed_count; i++) {
        free(r->failed[i].error);
    }
    for (size_t i = 0; i < r->returned_count; i++) {
        hq_ranges_fini(&r->returned[i].ids);
    }
    for (size_t i = 0; i < r->notify_count; i++) {
        free(r->notifies[i].message);
    }
    r->started.count = r->finished.count = 0;
    r->failed_count = r->returned_count = r->notify_count = 0;
    r->text_bytes = 0;
}

void
report_destroy(struct report *r)
{
    if (r == NULL) {
        return;
    }
    report_clear(r);
    free(r->started.v);
    free(r->finished.v);
    free(r->failed);
    free(r->returned);
    free(r->notifies);
    free(r);
}

static int
task_list_push(struct task_list *l, const struct report_task *t)
{
    int rc = hq_try_grow(&l->v, &l->cap, l->count + 1, sizeof(*l->v));

    if (rc == 0) {
        l->v[l->count++] = *t;
    }
    return rc;
}

int
report_push_started(struct report *r, const struct report_task *t)
{
    return task_list_push(&r->started, t);
}

int
report_push_finished(struct report *r, const struct report_task *t)
{
    return task_list_push(&r->finished, t);
}

int
report_push_failed(struct report *r, const struct report_task *t, struct hq_str error)
{
    size_t len = HQ_MIN(error.len, (size_t)HQ_ERROR_TEXT_BYTES_MAX);
    int rc = hq_try_grow(&r->failed, &r->failed_cap, r->failed_count + 1, sizeof(*r->failed));
    char *text = rc == 0 ? hq_try_alloc(len + 1) : NULL;

    if (text == NULL) {
        return -ENOMEM;
    }
    if (len > 0) {
        memcpy(text, error.ptr, len);
    }
    r->failed[r->failed_count++] = (struct failed){.task = *t, .error = text, .error_len = len};
    r->text_bytes += len;
    return 0;
}

int
report_push_returned(struct report *r, uint32_t job_id, uint32_t instance, uint32_t variant, enum report_reason reason,
                     const struct hq_ranges *ids)
{
    int rc = hq_try_grow(&r->returned, &r->returned_cap, r->returned_count + 1, sizeof(*r->returned));

    if (rc < 0) {
        return rc;
    }
    struct returned *e = &r->returned[r->returned_count++];
    *e = (struct returned){.job_id = job_id, .instance = instance, .variant = variant, .reason = reason};
    for (size_t i = 0; i < ids->count; i++) {
        hq_ranges_add(&e->ids, ids->v[i].first, ids->v[i].count, ids->v[i].step);
    }
    return 0;
}

int
report_push_notify(struct report *r, uint32_t job_id, uint32_t task_id, struct hq_str message)
{
    if (r->notify_count >= HQ_REPORT_NOTIFIES_MAX || message.len > HQ_NOTIFY_BYTES_MAX) {
        return -ENOSPC;
    }
    int rc = hq_try_grow(&r->notifies, &r->notify_cap, r->notify_count + 1, sizeof(*r->notifies));
    char *text = rc == 0 ? hq_try_alloc(message.len + 1) : NULL;
    if (text == NULL) {
        return -ENOMEM;
    }
    if (message.len > 0) {
        memcpy(text, message.ptr, message.len);
    }
    r->notifies[r->notify_count++] =
        (struct notify){.job_id = job_id, .task_id = task_id, .message = text, .message_len = message.len};
    return 0;
}

size_t
report_count(const struct report *r)
{
    return r->started.count + r->finished.count + r->failed_count + r->returned_count;
}

bool
report_is_empty(const struct report *r)
{
    return report_count(r) == 0 && r->notify_count == 0;
}

bool
report_is_full(const struct report *r)
{
    return report_count(r) >= HQ_REPORT_EVENTS_MAX || r->text_bytes >= HQ_REPORT_TEXT_BYTES_MAX;
}

/* ---- packing */

static int
compare_keys(const struct report_task *a, const struct report_task *b)
{
    const uint32_t x[4] = {a->job_id, a->instance, a->variant, a->task_id};
    const uint32_t y[4] = {b->job_id, b->instance, b->variant, b->task_id};

    for (size_t i = 0; i < HQ_ARRAY_LEN(x); i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

static int
compare_tasks(const void *a, const void *b)
{
    return compare_keys(a, b);
}

static void
sort_tasks(struct report_task *v, size_t count)
{
    if (count > 1) {
        qsort(v, count, sizeof(*v), compare_tasks);
    }
}

/* Removes the first `count` of a list of `*total` items. */
static void
drop_front(void *v, size_t *total, size_t count, size_t item_bytes)
{
    *total -= count;
    if (count == 0 || *total == 0) {
        return;
    }
    memmove(v, (char *)v + count * item_bytes, *total * item_bytes);
}

/* Runs of ids with equal steps as triplets. `ids` ascending within a group, so steps are positive. */
static uint32_t *
pack_ranges(struct hq_arena *arena, const struct report_task *v, size_t count, size_t *ret_len)
{
    uint32_t *out = hq_arena_array(arena, count * 3, sizeof(*out));
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t *last = len == 0 ? NULL : &out[len - 3];
        if (last != NULL && last[1] == 1) {
            last[2] = v[i].task_id - last[0];
            last[1] = 2;
            /* Two ids make a range only if a third one follows, or if they are neighbours. */
            bool goes_on = i + 1 < count && v[i + 1].task_id - v[i].task_id == last[2];
            if (last[2] == 1 || goes_on) {
                continue;
            }
            last[1] = 1;
            last[2] = 1;
        } else if (last != NULL && v[i].task_id == last[0] + last[1] * last[2]) {
            last[1]++;
            continue;
        }
        out[len++] = v[i].task_id;
        out[len++] = 1;
        out[len++] = 1;
    }
    *ret_len = len;
    return out;
}

static void
pack_group(struct hq_arena *arena, const struct report_task *v, size_t count, bool with_end, struct turn_group *g)
{
    *g = (struct turn_group){.job_id = v[0].job_id, .instance = v[0].instance, .variant = v[0].variant, .count = count};
    g->ranges = pack_ranges(arena, v, count, &g->range_len);
    g->base_ms = v[0].started_ms;
    g->started = hq_arena_array(arena, count, sizeof(*g->started));
    g->duration_ms = with_end ? hq_arena_array(arena, count, sizeof(*g->duration_ms)) : NULL;
    hq_wall_ms before = g->base_ms;
    for (size_t i = 0; i < count; i++) {
        g->started[i] = v[i].started_ms - before;
        before = v[i].started_ms;
        if (with_end) { /* the wall clock may have been set back meanwhile */
            g->duration_ms[i] = v[i].ended_ms > v[i].started_ms ? (uint64_t)(v[i].ended_ms - v[i].started_ms) : 0;
        }
    }
}

static bool
same_group(const struct report_task *a, const struct report_task *b)
{
    return a->job_id == b->job_id && a->instance == b->instance && a->variant == b->variant;
}

static struct turn_group *
pack_groups(struct hq_arena *arena, const struct report_task *v, size_t count, bool with_end, size_t *ret_count)
{
    size_t group_count = 0, at = 0;

    for (size_t i = 0; i < count; i++) {
        group_count += i == 0 || !same_group(&v[i], &v[i - 1]);
    }
    struct turn_group *groups = hq_arena_array(arena, group_count, sizeof(*groups));
    for (size_t g = 0; g < group_count; g++) {
        size_t end = at + 1;
        while (end < count && same_group(&v[end], &v[at])) {
            end++;
        }
        pack_group(arena, &v[at], end - at, with_end, &groups[g]);
        at = end;
    }
    *ret_count = group_count;
    return groups;
}

/* Starts whose end goes into the same turn say nothing of their own. Both lists are sorted; returns what is left. */
static size_t
drop_ended(struct report_task *started, size_t started_count, const struct report_task *ended, size_t ended_count)
{
    size_t kept = 0, e = 0;

    for (size_t i = 0; i < started_count; i++) {
        while (e < ended_count && compare_keys(&ended[e], &started[i]) < 0) {
            e++;
        }
        if (e == ended_count || compare_keys(&ended[e], &started[i]) != 0) {
            started[kept++] = started[i];
        }
    }
    return kept;
}

/* Tasks that failed, in the order they did; returns how many go into this turn. */
static size_t
pack_failed(struct report *r, size_t room, struct hq_arena *arena, struct turn_news *ret)
{
    size_t count = 0, bytes = 0;

    while (count < r->failed_count && count < room && bytes + r->failed[count].error_len <= HQ_TURN_TEXT_BYTES_MAX) {
        bytes += r->failed[count++].error_len;
    }
    ret->failed = hq_arena_array(arena, count, sizeof(*ret->failed));
    ret->failed_count = count;
    for (size_t i = 0; i < count; i++) {
        struct failed *f = &r->failed[i];
        ret->failed[i].task = f->task;
        ret->failed[i].error = hq_arena_str(arena, hq_str_make(f->error, f->error_len));
        free(f->error);
    }
    r->text_bytes -= bytes;
    drop_front(r->failed, &r->failed_count, count, sizeof(*r->failed));
    return count;
}

static void
pack_returned(struct report *r, struct hq_arena *arena, struct turn_news *ret)
{
    size_t count = HQ_MIN(r->returned_count, (size_t)HQ_TURN_RETURNS_MAX), numbers = 0, taken = 0;

    ret->returned = hq_arena_array(arena, count, sizeof(*ret->returned));
    while (taken < count && (taken == 0 || numbers + 3 * r->returned[taken].ids.count <= 3 * HQ_TURN_EVENTS_MAX)) {
        struct returned *e = &r->returned[taken];
        struct turn_returned *t = &ret->returned[taken++];
        *t = (struct turn_returned){.job_id = e->job_id, .instance = e->instance, .variant = e->variant, .reason = e->reason};
        t->range_len = 3 * e->ids.count;
        t->ranges = hq_arena_array(arena, t->range_len, sizeof(*t->ranges));
        for (size_t k = 0; k < e->ids.count; k++) {
            t->ranges[3 * k] = e->ids.v[k].first;
            t->ranges[3 * k + 1] = e->ids.v[k].count;
            t->ranges[3 * k + 2] = e->ids.v[k].step;
        }
        numbers += t->range_len;
        hq_ranges_fini(&e->ids);
    }
    ret->returned_count = taken;
    drop_front(r->returned, &r->returned_count, taken, sizeof(*r->returned));
}

static void
pack_notifies(struct report *r, struct hq_arena *arena, struct turn_news *ret)
{
    size_t count = HQ_MIN(r->notify_count, (size_t)HQ_TURN_NOTIFIES_MAX);

    ret->notifies = hq_arena_array(arena, count, sizeof(*ret->notifies));
    ret->notify_count = count;
    for (size_t i = 0; i < count; i++) {
        struct notify *n = &r->notifies[i];
        ret->notifies[i].job_id = n->job_id;
        ret->notifies[i].task_id = n->task_id;
        ret->notifies[i].message = hq_arena_str(arena, hq_str_make(n->message, n->message_len));
        free(n->message);
    }
    drop_front(r->notifies, &r->notify_count, count, sizeof(*r->notifies));
}

void
report_pack(struct report *r, struct hq_arena *arena, struct turn_news *ret)
{
    /* Starts first: an end must never overtake the start of the same task into an earlier turn, while a start may
     * well go a turn ahead. */
    size_t started = HQ_MIN(r->started.count, (size_t)HQ_TURN_EVENTS_MAX);
    bool all_started = started == r->started.count;
    size_t finished = all_started ? HQ_MIN(r->finished.count, (size_t)HQ_TURN_EVENTS_MAX) : 0;

    *ret = (struct turn_news){0};
    size_t failed = all_started ? pack_failed(r, HQ_TURN_EVENTS_MAX, arena, ret) : 0;
    sort_tasks(r->started.v, started);
    sort_tasks(r->finished.v, finished);
    size_t kept = drop_ended(r->started.v, started, r->finished.v, finished);
    if (failed > 0 && kept > 0) {
        struct report_task *ended = hq_arena_array(arena, failed, sizeof(*ended));
        for (size_t i = 0; i < failed; i++) {
            ended[i] = ret->failed[i].task;
        }
        sort_tasks(ended, failed);
        kept = drop_ended(r->started.v, kept, ended, failed);
    }
    ret->started = pack_groups(arena, r->started.v, kept, false, &ret->started_count);
    ret->finished = pack_groups(arena, r->finished.v, finished, true, &ret->finished_count);
    drop_front(r->started.v, &r->started.count, started, sizeof(*r->started.v));
    drop_front(r->finished.v, &r->finished.count, finished, sizeof(*r->finished.v));
    pack_returned(r, arena, ret);
    pack_notifies(r, arena, ret);
}
