#include "hq/report.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/request.h"
#include "hq/desc_print.h"

/* Classes of tasks are told apart by their request as text. A submit keeps, for each of its descriptions, the class of each
 * variant; a graph with several descriptions also which task has which. */

struct class_row { /* of one description */
    uint32_t *class_ix; /* by variant */
    size_t count;
};
struct report_submit {
    struct report_submit *next;
    uint32_t *packed; /* ids as triplets: first, count, step */
    size_t packed_count;
    struct class_row *rows;
    size_t row_count;
    struct hq_map row_of; /* graph: task -> row; empty = row 0 */
};
struct report_parts {
    struct class_row *rows;
    size_t row_count, row_cap;
    struct hq_map row_of;
    uint64_t task_count; /* of a graph */
    bool is_mixed;       /* some task has another row than 0 */
};

/* ---- classes */

static void
print_variant(const Hq__Variant *v, struct hq_buf *out)
{
    if (v->n_nodes > 0) {
        hq_buf_printf(out, "nodes: %u", v->n_nodes);
    }
    for (size_t i = 0; v->n_nodes == 0 && i < v->n_entries; i++) {
        const Hq__RequestEntry *e = v->entries[i];
        hq_buf_cstr(out, i == 0 ? "" : ", ");
        hq_buf_str(out, desc_str(e->name));
        hq_buf_cstr(out, ": ");
        hq_request_print_amount(e->amount, (enum hq_policy)e->policy, out);
    }
    if (v->min_time_ms > 0) {
        hq_buf_cstr(out, ", min_time: ");
        hq_makespan_print(out, hq_ns_from_ms((hq_ms)HQ_MIN(v->min_time_ms, (uint64_t)INT64_MAX)));
    }
}

static uint32_t
add_class(struct report *r, const char *text, const Hq__Variant *v)
{
    struct report_class c = {.text = hq_arena_strz(&r->arena, hq_str_from(text)), .is_gang = v != NULL && v->n_nodes > 0};

    if (v != NULL) {
        c.needs = hq_arena_array(&r->arena, v->n_entries, sizeof(*c.needs));
        c.need_count = v->n_entries;
    }
    for (size_t i = 0; i < c.need_count; i++) {
        bool is_all = v->entries[i]->policy == HQ__POLICY__POLICY_ALL;
        c.needs[i] = (struct report_need){.name = hq_arena_str(&r->arena, desc_str(v->entries[i]->name)),
                                          .amount = is_all ? -1.0 : (double)v->entries[i]->amount / 10000.0};
    }
    hq_arena_grow(&r->arena, &r->classes, &r->class_cap, r->class_count + 1, sizeof(*r->classes));
    r->classes[r->class_count] = c;
    return (uint32_t)r->class_count++;
}

static uint32_t
find_class(struct report *r, const Hq__Variant *v)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    print_variant(v, &text);
    for (size_t i = 0; i < r->class_count; i++) {
        if (strcmp(r->classes[i].text, text.ptr == NULL ? "" : text.ptr) == 0) {
            return (uint32_t)i;
        }
    }
    if (r->class_count + 1 < REPORT_CLASSES_MAX) {
        return add_class(r, text.ptr == NULL ? "" : text.ptr, v);
    }
    return r->class_count < REPORT_CLASSES_MAX ? add_class(r, "other requests", NULL) : (uint32_t)r->class_count - 1;
}

/* ---- submits */

static void
add_rows(struct report *r, struct report_parts *p, const Hq__SubmitPartStored *part)
{
    for (size_t i = 0; i < part->n_descs; i++) {
        const Hq__Request *q = part->descs[i]->request;
        size_t count = q == NULL ? 0 : q->n_variants;
        struct class_row row = {.class_ix = hq_arena_array(&r->arena, count + 1, sizeof(uint32_t)), .count = count};
        for (size_t k = 0; k < count; k++) {
            row.class_ix[k] = find_class(r, q->variants[k]);
        }
        hq_arena_grow(&r->arena, &p->rows, &p->row_cap, p->row_count + 1, sizeof(*p->rows));
        p->rows[p->row_count++] = row;
    }
    const Hq__GraphTasks *g = part->graph;
    for (size_t i = 0; g != NULL && i < g->n_ids; i++) {
        uint32_t row = i < g->n_desc ? g->desc[i] : 0;
        hq_map_set(&p->row_of, g->ids[i], row);
        p->is_mixed = p->is_mixed || row != 0;
    }
    p->task_count += g == NULL ? 0 : g->n_ids;
}

static struct report_parts *
parts_get(struct report *r)
{
    if (r->parts == NULL) {
        r->parts = hq_xalloc(sizeof(*r->parts));
        hq_map_init(&r->parts->row_of, 0);
    }
    return r->parts;
}

void
report_parts_free(struct report_parts *p)
{
    if (p != NULL) {
        hq_map_fini(&p->row_of);
        free(p);
    }
}

void
report_submit_part(struct report *r, const Hq__SubmitPartStored *p)
{
    add_rows(r, parts_get(r), p);
}

static uint64_t
count_ids(const struct report_submit *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s->packed_count; i += 3) {
        count += s->packed[i + 1];
    }
    return count;
}

void
report_submit_done(struct report *r, struct report_job *job, const Hq__JobSubmitted *s)
{
    struct report_parts *p = parts_get(r);

    if (s->part != NULL) {
        add_rows(r, p, s->part);
    }
    struct report_submit *sub = hq_arena_alloc(&r->arena, sizeof(*sub));
    hq_map_init(&sub->row_of, 0);
    sub->rows = p->rows;
    sub->row_count = p->row_count;
    size_t packed = s->ids == NULL ? 0 : s->ids->n_packed / 3 * 3;
    sub->packed = hq_arena_array(&r->arena, packed + 1, sizeof(*sub->packed));
    sub->packed_count = packed;
    if (packed > 0) {
        memcpy(sub->packed, s->ids->packed, packed * sizeof(*sub->packed));
    }
    job->total += s->is_graph ? p->task_count : count_ids(sub);
    if (s->is_graph && (p->is_mixed || !s->is_new)) { /* of several submits, the oldest need not know its tasks */
        sub->row_of = p->row_of; /* moves */
        hq_map_init(&p->row_of, 0);
    }
    sub->next = job->submits;
    job->submits = sub;
    report_parts_free(p);
    r->parts = NULL;
}

static bool
has_id(const struct report_submit *s, uint32_t id)
{
    for (size_t i = 0; i < s->packed_count; i += 3) {
        uint32_t first = s->packed[i];
        uint32_t step = s->packed[i + 2] == 0 ? 1 : s->packed[i + 2];
        if (id >= first && (id - first) % step == 0 && (id - first) / step < s->packed[i + 1]) {
            return true;
        }
    }
    return false;
}

uint32_t
report_class_of(const struct report_job *job, uint32_t task, uint32_t variant)
{
    const struct report_submit *s = job == NULL ? NULL : job->submits;

    /* Almost always there is one submit; a graph knows its tasks by its map or has one description. */
    while (s != NULL && s->next != NULL && !has_id(s, task) && hq_map_find(&s->row_of, task) == NULL) {
        s = s->next;
    }
    if (s == NULL || s->row_count == 0) {
        return UINT32_MAX;
    }
    uint64_t row = hq_map_get(&s->row_of, task, 0);
    const struct class_row *c = &s->rows[row < s->row_count ? row : 0];
    return c->count == 0 ? UINT32_MAX : c->class_ix[variant < c->count ? variant : 0];
}

void
report_submits_fini(struct report_job *job)
{
    for (struct report_submit *s = job->submits; s != NULL; s = s->next) {
        hq_map_fini(&s->row_of);
    }
}
