#include "hq/explain_print.h"

#include "common/num.h"
#include "common/out_json.h"
#include "common/out_table.h"
#include "common/ranges.h"
#include "common/request.h"
#include "hq/desc_print.h"

#include <stdio.h>

/* ---- table. Items come by worker, then variant. */

/* End of the items of the same worker (and variant) as the one at `from`. */
static size_t
group_end(const Hq__TaskExplainAnswer *a, size_t from, bool by_variant)
{
    size_t ix = from;
    while (ix < a->n_items && a->items[ix]->worker == a->items[from]->worker &&
           (!by_variant || a->items[ix]->variant == a->items[from]->variant)) {
        ix++;
    }
    return ix;
}

static bool
is_runnable(const Hq__TaskExplainAnswer *a, size_t from, size_t to)
{
    for (size_t ix = from; ix < to; ix++) {
        if (!a->items[ix]->is_enough) {
            return false;
        }
    }
    return true;
}

struct verdict { /* of one worker */
    size_t fitting;
    size_t all;
};

static struct verdict
judge(const Hq__TaskExplainAnswer *a, size_t from, size_t to)
{
    struct verdict v = {0};
    for (size_t ix = from; ix < to; ix = group_end(a, ix, true)) {
        v.all++;
        v.fitting += is_runnable(a, ix, group_end(a, ix, true));
    }
    return v;
}

static void
fmt_provides(struct hq_buf *b, const Hq__ExplainItem *i)
{
    switch (i->kind) {
    case HQ__EXPLAIN_KIND__EXPLAIN_TIME:
        if (i->is_unlimited) {
            hq_buf_cstr(b, "unknown");
        } else {
            hq_makespan_print(b, hq_ns_from_ms((hq_ms)i->provided));
        }
        break;
    case HQ__EXPLAIN_KIND__EXPLAIN_NODES:
        hq_buf_printf(b, "group size %llu", (unsigned long long)i->provided);
        break;
    default: /* a resource */
        hq_amount_print(i->provided, b);
        break;
    }
}

static void
fmt_request(struct hq_buf *b, const Hq__ExplainItem *i)
{
    if (i->kind == HQ__EXPLAIN_KIND__EXPLAIN_TIME) {
        hq_makespan_print(b, hq_ns_from_ms((hq_ms)i->requested));
    } else if (i->kind == HQ__EXPLAIN_KIND__EXPLAIN_NODES) {
        hq_buf_u64(b, i->requested);
    } else {
        hq_amount_print(i->requested, b);
    }
}

struct cells { /* of one worker: lines of several variants below one another */
    struct hq_buf variant;
    struct hq_buf type;
    struct hq_buf provides;
    struct hq_buf request;
};

static void
new_line(struct hq_buf *b, bool is_first)
{
    if (!is_first) {
        hq_buf_byte(b, '\n');
    }
}

static void
colored(struct hq_buf *b, bool with_color, enum hq_color color, struct hq_str text)
{
    hq_color_add(b, with_color, color, text);
}

static void
add_item(struct cells *c, const Hq__TaskExplainAnswer *a, size_t ix, size_t from, bool with_color)
{
    const Hq__ExplainItem *i = a->items[ix];
    bool is_first = ix == from;
    bool is_head = is_first || a->items[ix - 1]->variant != i->variant;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    new_line(&c->variant, is_first);
    if (is_head) {
        hq_buf_u64(&text, i->variant);
        bool fits = is_runnable(a, ix, group_end(a, ix, true));
        colored(&c->variant, with_color, fits ? HQ_COLOR_NONE : HQ_COLOR_RED, hq_buf_view(&text));
        hq_buf_clear(&text);
    }
    bool is_resource = i->kind != HQ__EXPLAIN_KIND__EXPLAIN_TIME && i->kind != HQ__EXPLAIN_KIND__EXPLAIN_NODES;
    struct hq_str type = is_resource                                 ? desc_str(i->type)
                         : i->kind == HQ__EXPLAIN_KIND__EXPLAIN_TIME ? HQ_STR("time")
                                                                     : HQ_STR("nodes");
    new_line(&c->type, is_first);
    colored(&c->type, with_color, is_resource ? HQ_COLOR_CYAN : HQ_COLOR_MAGENTA, type);
    new_line(&c->provides, is_first);
    fmt_provides(&text, i);
    colored(&c->provides, with_color, HQ_COLOR_YELLOW, hq_buf_view(&text));
    hq_buf_clear(&text);
    new_line(&c->request, is_first);
    fmt_request(&text, i);
    colored(&c->request, with_color, i->is_enough ? HQ_COLOR_GREEN : HQ_COLOR_RED, hq_buf_view(&text));
}

static void
add_worker(struct hq_table *t, const Hq__TaskExplainAnswer *a, size_t from, size_t to, bool with_color)
{
    struct cells c = {0};
    for (size_t ix = from; ix < to; ix++) {
        add_item(&c, a, ix, from, with_color);
    }
    struct verdict v = judge(a, from, to);
    hq_table_addf(t, "%u", a->items[from]->worker);
    if (v.fitting == 0) {
        hq_table_add(t, HQ_STR("No"), HQ_COLOR_RED);
    } else if (v.all == 1) {
        hq_table_add(t, HQ_STR("Yes"), HQ_COLOR_GREEN);
    } else {
        char text[48];
        (void)snprintf(text, sizeof text, "Yes (%zu/%zu)", v.fitting, v.all);
        hq_table_add(t, hq_str_from(text), HQ_COLOR_GREEN);
    }
    struct hq_buf *cells[] = {&c.variant, &c.type, &c.provides, &c.request};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cells); ix++) {
        hq_table_add(t, hq_buf_view(cells[ix]), HQ_COLOR_NONE);
        hq_buf_fini(cells[ix]);
    }
}

static void
print_dependencies(struct hq_out *out, const Hq__TaskExplainAnswer *a)
{
    char name[32];
    bool is_ready = a->waiting_deps == 0;
    (void)snprintf(name, sizeof name, "%u@%u", a->job, a->task);
    hq_out_text(out, "Task ");
    hq_out_word(out, HQ_COLOR_CYAN, name);
    hq_out_text(out, " is ");
    hq_out_word(out, HQ_COLOR_YELLOW, is_ready ? "ready" : "not ready");
    if (a->dep_count == 0) {
        hq_out_text(out, " to run because it has no dependencies.\n");
    } else if (is_ready) {
        hq_out_line(out, " to run because its all %u dependencies are finished.", a->dep_count);
    } else {
        hq_out_line(out, " to run, because %u/%u dependencies are not finished.", a->waiting_deps, a->dep_count);
    }
}

static void
print_workers(struct hq_out *out, const Hq__TaskExplainAnswer *a)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf ids = HQ_BUF_INIT;
    struct hq_ranges_runs runs = {.out = &ids};
    size_t count = 0;
    for (size_t ix = 0; ix < a->n_items; ix = group_end(a, ix, false)) {
        if (judge(a, ix, group_end(a, ix, false)).fitting > 0) {
            hq_ranges_runs_add(&runs, a->items[ix]->worker);
            count++;
        }
    }
    hq_ranges_runs_end(&runs);
    if (count == 0) {
        hq_out_text(out, "There is ");
        hq_out_word(out, HQ_COLOR_RED, "no worker");
        hq_out_text(out, " where the task can run.\n");
        return;
    }
    char text[32];
    (void)snprintf(text, sizeof text, "%zu", count);
    hq_out_text(out, "The task can run on ");
    hq_out_word(out, HQ_COLOR_GREEN, text);
    hq_out_text(out, count == 1 ? " worker: " : " workers: ");
    hq_out_word(out, HQ_COLOR_GREEN, ids.ptr);
    hq_out_text(out, "\n");
}

void
explain_print_table(struct hq_out *out, const Hq__TaskExplainAnswer *a)
{
    static const struct hq_column columns[] = {{"Worker Id", HQ_COLUMN_PLAIN_HEAD}, {"Runnable", HQ_COLUMN_PLAIN_HEAD},
                                               {"Variant", HQ_COLUMN_PLAIN_HEAD},   {"Type", HQ_COLUMN_PLAIN_HEAD},
                                               {"Provides", HQ_COLUMN_PLAIN_HEAD},  {"Request", HQ_COLUMN_PLAIN_HEAD}};
    print_dependencies(out, a);
    print_workers(out, a);
    if (a->n_items == 0) {
        return;
    }
    HQ_AUTO(hq_table_fini) struct hq_table t;
    hq_table_init(&t, columns, HQ_ARRAY_LEN(columns));
    for (size_t ix = 0; ix < a->n_items; ix = group_end(a, ix, false)) {
        add_worker(&t, a, ix, group_end(a, ix, false), out->with_color);
    }
    hq_table_print(&t, out);
}

/* ---- JSON */

static void
json_item(struct hq_json *j, const Hq__ExplainItem *i)
{
    hq_json_object(j);
    switch (i->kind) {
    case HQ__EXPLAIN_KIND__EXPLAIN_TIME:
        hq_json_key(j, "Time");
        hq_json_object(j);
        hq_json_key(j, "min_time");
        hq_json_span(j, (int64_t)i->requested);
        hq_json_key(j, "remaining_time");
        if (i->is_unlimited) {
            hq_json_null(j);
        } else {
            hq_json_span(j, (int64_t)i->provided);
        }
        break;
    case HQ__EXPLAIN_KIND__EXPLAIN_NODES:
        hq_json_key(j, "WorkerGroup");
        hq_json_object(j);
        hq_json_put_u64(j, "group_size", i->provided);
        hq_json_put_u64(j, "n_nodes", i->requested);
        break;
    default: /* a resource */
        hq_json_key(j, "Resources");
        hq_json_object(j);
        hq_json_put_u64(j, "request_amount", i->requested);
        hq_json_put_str(j, "resource", desc_str(i->type));
        hq_json_put_u64(j, "worker_amount", i->provided);
        break;
    }
    hq_json_object_end(j);
    hq_json_object_end(j);
}

static void
json_worker(struct hq_json *j, const Hq__TaskExplainAnswer *a, size_t from, size_t to)
{
    hq_json_object(j);
    hq_json_key(j, "variants");
    hq_json_array(j);
    for (size_t ix = from; ix < to;) {
        size_t end = group_end(a, ix, true);
        hq_json_array(j);
        for (; ix < end; ix++) {
            json_item(j, a->items[ix]);
        }
        hq_json_array_end(j);
    }
    hq_json_array_end(j);
    hq_json_put_u64(j, "worker_id", a->items[from]->worker);
    hq_json_object_end(j);
}

void
explain_print_json(struct hq_out *out, const Hq__TaskExplainAnswer *a)
{
    struct hq_json j;
    hq_json_begin_document(&j, out);
    hq_json_object(&j);
    hq_json_key(&j, "explanation");
    hq_json_object(&j);
    hq_json_put_u64(&j, "n_task_deps", a->dep_count);
    hq_json_put_u64(&j, "n_waiting_deps", a->waiting_deps);
    hq_json_key(&j, "workers");
    hq_json_array(&j);
    for (size_t ix = 0; ix < a->n_items; ix = group_end(a, ix, false)) {
        json_worker(&j, a, ix, group_end(a, ix, false));
    }
    hq_json_array_end(&j);
    hq_json_object_end(&j);
    hq_json_key(&j, "task_id");
    hq_json_object(&j);
    hq_json_put_u64(&j, "job_id", a->job);
    hq_json_put_u64(&j, "job_task_id", a->task);
    hq_json_object_end(&j);
    hq_json_object_end(&j);
    hq_json_end_document(&j, out);
}
