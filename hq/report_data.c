#include "hq/report_data.h"

#include "common/num.h"
#include "common/out_json.h"

#include <math.h>

/* A JSON string that may stand inside a script element: no "</script>" in it. */
static void
quote(struct hq_buf *out, struct hq_str s)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    hq_json_quote(&text, s);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '<') {
            hq_buf_cstr(out, "\\u003c");
        } else {
            hq_buf_byte(out, text.ptr[i]);
        }
    }
}

static void
quotef(struct hq_buf *out, const char *before, const char *text)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf both = HQ_BUF_INIT;

    hq_buf_printf(&both, "%s%s", before, text);
    quote(out, hq_buf_view(&both));
}

void
report_put_seconds(struct hq_buf *out, double ms)
{
    hq_num_f64_print(out, round(ms) / 1000.0);
}

void
report_data_curves(const struct report *r, struct hq_buf *out)
{
    hq_buf_cstr(out, "const queued_workers = ");
    stairs_print(&r->queued, &r->grid, out);
    hq_buf_cstr(out, ";\nconst running_workers = [");
    for (size_t i = 0; i < r->kind_count; i++) {
        hq_buf_cstr(out, i == 0 ? "{\"name\":" : ",\n{\"name\":");
        quotef(out, "Running workers ", r->kinds[i].text);
        hq_buf_cstr(out, ",\"points\":");
        stairs_print(&r->kinds[i].running, &r->grid, out);
        hq_buf_byte(out, '}');
    }
    hq_buf_cstr(out, "];\nconst utilization = [");
    bool is_first = true;
    for (size_t i = 0; i < r->kind_count; i++) {
        for (size_t k = 0; k < r->kinds[i].pool_count; k++) {
            const struct report_pool *p = &r->kinds[i].pools[k];
            HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
            if (p->used.step == NULL) {
                continue; /* nobody asked for it */
            }
            hq_buf_printf(&name, "%.*s alloc on ", HQ_STR_FMT(p->name));
            hq_buf_cstr(out, is_first ? "{\"name\":" : ",\n{\"name\":");
            quotef(out, name.ptr, r->kinds[i].text);
            hq_buf_cstr(out, ",\"points\":");
            curve_print(&p->used, &r->grid, out);
            hq_buf_byte(out, '}');
            is_first = false;
        }
    }
    hq_buf_cstr(out, "];\n");
}

static bool
is_used(const struct report_class *c)
{
    return c->finished.count + c->failed.count > 0;
}

static void
data_spread(struct hq_buf *out, const char *word, unsigned number, const struct spread *s, bool *is_first)
{
    static const struct {
        const char *key;
        double q;
    } keys[] = {{"q1", 0.25}, {"median", 0.5}, {"q3", 0.75}};

    if (s->count == 0) {
        return;
    }
    hq_buf_printf(out, "%s{\"name\":\"%s T%u\",\"count\":%llu,\"min\":", *is_first ? "" : ",\n", word, number,
                  (unsigned long long)s->count);
    report_put_seconds(out, (double)s->min_ms);
    for (size_t i = 0; i < HQ_ARRAY_LEN(keys); i++) {
        hq_buf_printf(out, ",\"%s\":", keys[i].key);
        report_put_seconds(out, spread_quantile_ms(s, keys[i].q));
    }
    hq_buf_cstr(out, ",\"max\":");
    report_put_seconds(out, (double)s->max_ms);
    hq_buf_cstr(out, ",\"mean\":");
    report_put_seconds(out, s->sum_ms / (double)s->count);
    hq_buf_byte(out, '}');
    *is_first = false;
}

static void
data_counts(const struct report *r, struct hq_buf *out, const char *name, bool is_failed)
{
    bool is_first = true;

    hq_buf_printf(out, "const %s = [", name);
    for (size_t i = 0; i < r->class_count; i++) {
        const struct report_class *c = &r->classes[i];
        if (is_used(c)) {
            hq_buf_printf(out, "%s%llu", is_first ? "" : ",",
                          (unsigned long long)(is_failed ? c->failed : c->finished).count);
            is_first = false;
        }
    }
    hq_buf_cstr(out, "];\n");
}

void
report_data_classes(const struct report *r, struct hq_buf *out)
{
    unsigned number = 0;
    bool is_first = true;

    data_counts(r, out, "finished_tasks", false);
    data_counts(r, out, "failed_tasks", true);
    hq_buf_cstr(out, "const task_classes = [");
    for (size_t i = 0; i < r->class_count; i++) {
        if (is_used(&r->classes[i])) {
            number++;
            hq_buf_printf(out, "%s{\"id\":\"T%u\",\"text\":", number == 1 ? "" : ",", number);
            quote(out, hq_str_from(r->classes[i].text));
            hq_buf_byte(out, '}');
        }
    }
    hq_buf_cstr(out, "];\nconst durationsData = [");
    number = 0;
    for (size_t i = 0; i < r->class_count; i++) {
        if (is_used(&r->classes[i])) {
            number++;
            data_spread(out, "Finished", number, &r->classes[i].finished, &is_first);
            data_spread(out, "Failed", number, &r->classes[i].failed, &is_first);
        }
    }
    hq_buf_cstr(out, "];\n");
}

void
report_data_workers(const struct report *r, struct hq_buf *out)
{
    bool with_heat = r->run_count > REPORT_RUNS_MAX;
    bool is_first = true;

    hq_buf_cstr(out, "const workers = [");
    for (size_t i = 0; i < HQ_MIN(r->worker_count, (size_t)REPORT_WORKERS_SHOWN); i++) {
        const struct report_worker *w = &r->workers[i];
        hq_wall_ms from_ms = w->from_ms, until_ms = w->until_ms;
        HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
        if (!grid_clip(&r->grid, &from_ms, &until_ms)) {
            continue;
        }
        hq_buf_printf(&name, "%u ", w->id);
        hq_buf_str(&name, w->hostname);
        hq_buf_printf(out, "%s{\"id\":%u,\"name\":", is_first ? "" : ",\n", w->id);
        quote(out, hq_buf_view(&name));
        hq_buf_cstr(out, ",\"title\":");
        quotef(out, "", r->kinds[w->kind_ix].text);
        hq_buf_cstr(out, ",\"from\":");
        report_put_seconds(out, (double)(from_ms - r->grid.from_ms));
        hq_buf_cstr(out, ",\"until\":");
        report_put_seconds(out, (double)(until_ms - r->grid.from_ms));
        for (size_t k = 0; with_heat && k < REPORT_HEAT_CELLS; k++) {
            hq_buf_printf(out, "%s%.4g", k == 0 ? ",\"heat\":[" : ",", (double)w->heat[k]);
        }
        hq_buf_cstr(out, with_heat ? "]}" : "}");
        is_first = false;
    }
    hq_buf_cstr(out, "];\n");
}

void
report_data_runs(const struct report *r, struct hq_buf *out)
{
    bool is_first = true;

    hq_buf_cstr(out, "const runs = [");
    for (size_t i = 0; r->run_count <= REPORT_RUNS_MAX && i < r->run_count; i++) {
        const struct report_run *n = &r->runs[i];
        hq_wall_ms from_ms = HQ_MAX(n->from_ms, r->grid.from_ms);
        hq_wall_ms until_ms = HQ_MIN(n->until_ms, r->grid.until_ms);
        hq_buf_printf(out, "%s[%u,%u,%u,", is_first ? "" : ",", n->job, n->task, n->worker);
        report_put_seconds(out, (double)(from_ms - r->grid.from_ms));
        hq_buf_byte(out, ',');
        report_put_seconds(out, (double)(until_ms - r->grid.from_ms));
        hq_buf_printf(out, ",%d]", n->is_failed ? 1 : n->is_cut ? 2 : 0);
        is_first = false;
    }
    hq_buf_cstr(out, "];\n");
}
