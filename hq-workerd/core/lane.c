/* lane.c - queue of batches with a cursor in the first one. */
#include "hq-workerd/core/lane.h"

#include <stdlib.h>

#include "common/mem.h"

struct batch *
batch_create(struct body *body)
{
    struct batch *b = hq_try_alloc(sizeof(*b));

    if (b == NULL) {
        return NULL;
    }
    atomic_init(&b->refs, 1);
    b->body = body_ref(body);
    b->latest_start_ms = HQ_LANE_NO_LIMIT;
    return b;
}

struct batch *
batch_ref(struct batch *b)
{
    unsigned before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

    HQ_ASSERT(before > 0);
    return b;
}

void
batch_unref(struct batch *b)
{
    if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    body_unref(b->body);
    hq_ranges_fini(&b->ids);
    free(b->entries);
    free(b->hosts);
    free(b->data);
    batch_unref(b->data_of);
    step_desc_unref(b->step);
    if (b->drop_hidden != NULL) {
        b->drop_hidden(b->hidden);
    }
    free(b);
}

void
lane_gone_list_fini(struct lane_gone_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        hq_ranges_fini(&l->v[i].ids);
    }
    free(l->v);
    *l = (struct lane_gone_list){0};
}

void
lane_init(struct lane *l)
{
    *l = (struct lane){0};
    l->tail = &l->head;
}

void
lane_fini(struct lane *l)
{
    while (l->head != NULL) {
        struct batch *b = l->head;
        l->head = b->next;
        batch_unref(b);
    }
    lane_init(l);
}

void
lane_push(struct lane *l, struct batch *b)
{
    HQ_ASSERT(b->next == NULL);
    b->size = (size_t)hq_ranges_size(&b->ids);
    b->taken_count = 0;
    HQ_ASSERT(b->size > 0);
    b->at = hq_ranges_iter(&b->ids);
    *l->tail = b;
    l->tail = &b->next;
    l->size += b->size;
}

static void
lane_drop_head(struct lane *l)
{
    struct batch *b = l->head;

    l->head = b->next;
    if (l->head == NULL) {
        l->tail = &l->head;
    }
    b->next = NULL;
    batch_unref(b);
}

enum lane_take
lane_take(struct lane *l, hq_wall_ms now_ms, struct lane_task *ret)
{
    struct batch *b = l->head;
    uint32_t id = 0;

    if (b == NULL) {
        HQ_ASSERT(l->size == 0);
        return LANE_EMPTY;
    }
    if (now_ms > b->latest_start_ms) {
        return LANE_TOO_LATE;
    }
    bool found = hq_ranges_next(&b->at, &id);
    HQ_ASSERT(found); /* an exhausted batch does not stay in the lane */
    *ret = (struct lane_task){.batch = batch_ref(b), .task_id = id};
    if (b->entries != NULL) {
        ret->entry = b->entries[b->taken_count];
    }
    b->taken_count++;
    l->size--;
    if (b->taken_count == b->size) {
        lane_drop_head(l);
    }
    return LANE_TAKEN;
}

void
lane_task_drop(struct lane_task *t)
{
    batch_unref(t->batch);
    *t = (struct lane_task){0};
}

/* A new batch with the chosen ids of `from`, sharing its texts. */
static struct batch *
batch_part(struct batch *from, const struct hq_ranges *ids, struct hq_str *entries)
{
    struct batch *b = batch_create(from->body);

    if (b == NULL) {
        return NULL;
    }
    b->instance = from->instance;
    b->variant = from->variant;
    b->latest_start_ms = from->latest_start_ms;
    b->data_of = batch_ref(from->data_of != NULL ? from->data_of : from); /* the owner itself: no chains */
    HQ_ASSERT(from->hidden == NULL); /* of one task: there are no parts */
    b->step = from->step == NULL ? NULL : step_desc_ref(from->step);
    b->ids = *ids;
    b->entries = entries;
    if (from->host_count > 0) {
        b->hosts = hq_try_calloc(from->host_count, sizeof(*b->hosts));
        if (b->hosts == NULL) {
            b->ids = HQ_RANGES_INIT; /* still the caller's */
            b->entries = NULL;
            batch_unref(b);
            return NULL;
        }
        memcpy(b->hosts, from->hosts, from->host_count * sizeof(*b->hosts));
        b->host_count = from->host_count;
    }
    return b;
}

static bool
batch_matches(const struct batch *b, const struct lane_match *m)
{
    if ((!m->any_job && b->body->job_id != m->job_id) || (m->hidden_id != 0 && b->hidden_id != m->hidden_id)) {
        return false;
    }
    if (m->too_late_at_ms != 0 && m->too_late_at_ms <= b->latest_start_ms) {
        return false;
    }
    return m->any_instance || b->instance == m->instance;
}

/* Splits what has not been taken of `b` into kept and gone. */
static int
batch_split(const struct batch *b, const struct hq_ranges *ids, struct hq_ranges *kept, struct hq_str **ret_entries,
            struct hq_ranges *gone)
{
    size_t left = b->size - b->taken_count, ix = b->taken_count, kept_count = 0;
    struct hq_ranges_iter at = b->at;
    struct hq_str *entries = NULL;
    uint32_t id;

    if (b->entries != NULL) {
        entries = hq_try_calloc(left, sizeof(*entries));
        if (entries == NULL) {
            return -ENOMEM;
        }
    }
    for (; hq_ranges_next(&at, &id); ix++) {
        if (ids == NULL || hq_ranges_has(ids, id)) {
            hq_ranges_add(gone, id, 1, 1);
            continue;
        }
        hq_ranges_add(kept, id, 1, 1);
        if (entries != NULL) {
            entries[kept_count] = b->entries[ix];
        }
        kept_count++;
    }
    *ret_entries = entries;
    return 0;
}

/* Replaces *at by what is kept of it; `gone` gets the rest. 1 when nothing was kept: *at is the next batch then. */
static int
lane_withdraw_batch(struct lane *l, struct batch **at, const struct lane_match *match, struct lane_gone_list *list)
{
    struct batch *b = *at, *rest = NULL;
    struct hq_ranges kept = HQ_RANGES_INIT, gone = HQ_RANGES_INIT;
    struct hq_str *entries = NULL;
    int rc = hq_try_grow(&list->v, &list->cap, list->count + 1, sizeof(*list->v));

    if (rc == 0) {
        rc = batch_split(b, match->ids, &kept, &entries, &gone);
    }
    if (rc == 0 && kept.count > 0 && gone.count > 0) {
        rest = batch_part(b, &kept, entries);
        rc = rest == NULL ? -ENOMEM : 0;
    }
    if (rc < 0 || gone.count == 0) {
        hq_ranges_fini(&kept);
        hq_ranges_fini(&gone);
        free(entries);
        return rc;
    }
    list->v[list->count++] =
        (struct lane_gone){.job_id = b->body->job_id, .instance = b->instance, .variant = b->variant,
                           .hidden_id = b->hidden_id, .ids = gone};
    l->size -= hq_ranges_size(&gone);
    int went = rest == NULL;
    if (rest != NULL) {
        rest->size = (size_t)hq_ranges_size(&rest->ids);
        rest->at = hq_ranges_iter(&rest->ids);
        rest->next = b->next;
        *at = rest;
    } else {
        hq_ranges_fini(&kept);
        free(entries);
        *at = b->next;
    }
    b->next = NULL;
    batch_unref(b);
    return went;
}

int
lane_withdraw(struct lane *l, const struct lane_match *match, struct lane_gone_list *gone)
{
    struct batch **at = &l->head;
    int rc = 0;

    while (*at != NULL && rc >= 0) {
        rc = batch_matches(*at, match) ? lane_withdraw_batch(l, at, match, gone) : 0;
        if (rc == 0) {
            at = &(*at)->next;
        }
    }
    l->tail = &l->head; /* the last batch may be another one now */
    for (struct batch *b = l->head; b != NULL; b = b->next) {
        l->tail = &b->next;
    }
    return rc < 0 ? rc : 0;
}
