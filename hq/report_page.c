#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/out_json.h"
#include "hq/report.h"

#include "hq/report_page.inc" /* report_css, report_js: made of hq/report.css and hq/report.js */

/* The page is complete in itself: no address is loaded. Numbers stand in it as JSON under names that scripts know
 * (running_workers, utilization, queued_workers, finished_tasks, failed_tasks, durationsData). */

static void
put_lines(struct hq_buf *out, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hq_buf_cstr(out, lines[i]);
    }
}

static void
html(struct hq_buf *out, struct hq_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '<':
            hq_buf_cstr(out, "&lt;");
            break;
        case '>':
            hq_buf_cstr(out, "&gt;");
            break;
        case '&':
            hq_buf_cstr(out, "&amp;");
            break;
        case '"':
            hq_buf_cstr(out, "&quot;");
            break;
        default:
            hq_buf_byte(out, s.ptr[i]);
        }
    }
}

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

static void
put_seconds(struct hq_buf *out, double ms)
{
    hq_num_f64_print(out, round(ms) / 1000.0);
}

/* ---- head */

static void
card(struct hq_buf *out, const char *label, const char *value)
{
    hq_buf_cstr(out, "<div class=\"card\"><b>");
    html(out, hq_str_from(value));
    hq_buf_printf(out, "</b><span>%s</span></div>\n", label);
}

static void
card_count(struct hq_buf *out, const char *label, uint64_t n)
{
    char value[24];

    (void)snprintf(value, sizeof value, "%llu", (unsigned long long)n);
    card(out, label, value);
}

static void
card_span(struct hq_buf *out, const char *label, int64_t ms)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf value = HQ_BUF_INIT;

    hq_makespan_print(&value, hq_ns_from_ms(ms));
    card(out, label, value.ptr);
}

static void
print_filter(const struct report *r, struct hq_buf *out)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf value = HQ_BUF_INIT;
    bool has_both = r->start_ms >= 0 && r->end_ms >= 0;

    hq_buf_cstr(&value, has_both ? "between " : r->start_ms >= 0 ? "since " : "upto ");
    if (r->start_ms >= 0) {
        hq_makespan_print(&value, hq_ns_from_ms(r->start_ms));
    }
    hq_buf_cstr(&value, has_both ? " and " : "");
    if (r->end_ms >= 0) {
        hq_makespan_print(&value, hq_ns_from_ms(r->end_ms));
    }
    card(out, "Time filtering", value.ptr);
}

static void
print_cards(const struct report *r, struct hq_buf *out)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf at = HQ_BUF_INIT;
    uint64_t finished = 0, failed = 0;
    hq_wall_ms whole_ms = r->first_ms - r->first_ms % 1000;

    hq_date_utc(&at, whole_ms);
    if (r->first_ms != whole_ms) { /* "... 12:00:00.123 UTC" */
        at.len -= strlen(" UTC");
        hq_buf_printf(&at, ".%03d UTC", (int)(r->first_ms % 1000));
    }
    for (size_t i = 0; i < r->job_count; i++) {
        finished += r->jobs[i].finished;
        failed += r->jobs[i].failed;
    }
    hq_buf_cstr(out, "<div class=\"cards\">\n");
    card(out, "Server started", at.ptr);
    if (r->start_ms >= 0 || r->end_ms >= 0) {
        print_filter(r, out);
    }
    card_span(out, "Time shown", r->grid.until_ms - r->grid.from_ms);
    card_count(out, "Workers", r->worker_count);
    card_count(out, "Jobs", r->job_count);
    card_count(out, "Tasks finished", finished);
    card_count(out, "Tasks failed", failed);
    hq_buf_cstr(out, "</div>\n");
}

/* ---- tables */

static void
cell_count(struct hq_buf *out, uint64_t n)
{
    hq_buf_printf(out, "<td>%llu</td>", (unsigned long long)n);
}

static void
cell_span(struct hq_buf *out, double ms, bool has_value)
{
    hq_buf_cstr(out, "<td>");
    if (has_value) {
        hq_makespan_print(out, hq_ns_from_ms((hq_ms)HQ_MIN(ms, 9e15)));
    }
    hq_buf_cstr(out, "</td>");
}

static int
by_use(const void *pa, const void *pb)
{
    const struct report_job *a = *(const struct report_job *const *)pa;
    const struct report_job *b = *(const struct report_job *const *)pb;
    return a->sum_ms != b->sum_ms ? (a->sum_ms > b->sum_ms ? -1 : 1) : a->id < b->id ? -1 : a->id > b->id;
}

static void
print_job(const struct report_job *j, struct hq_buf *out)
{
    uint64_t ended = j->finished + j->failed + j->canceled + j->aborted;
    bool has_run = j->first_ms != 0;

    hq_buf_printf(out, "<tr><td>%s%u</td><td title=\"", j->is_open ? "*" : "", j->id);
    html(out, j->name);
    hq_buf_cstr(out, "\">");
    html(out, j->name);
    hq_buf_cstr(out, "</td>");
    cell_count(out, j->total);
    cell_count(out, j->finished);
    cell_count(out, j->failed);
    cell_count(out, j->canceled);
    cell_count(out, j->aborted);
    cell_count(out, j->total > ended ? j->total - ended : 0);
    hq_buf_cstr(out, "<td>");
    hq_date_utc(out, j->submitted_ms);
    hq_buf_cstr(out, "</td>");
    cell_span(out, (double)(j->last_ms - j->submitted_ms), has_run);
    cell_span(out, j->sum_ms, has_run);
    cell_span(out, j->sum_ms / (double)HQ_MAX(j->finished + j->failed, UINT64_C(1)), j->finished + j->failed > 0);
    cell_span(out, (double)j->max_ms, has_run);
    hq_buf_cstr(out, "</tr>\n");
}

static void
print_jobs(const struct report *r, struct hq_buf *out)
{
    size_t shown = HQ_MIN(r->job_count, (size_t)REPORT_JOBS_SHOWN);
    const struct report_job **v = hq_xcalloc(r->job_count + 1, sizeof(*v));

    for (size_t i = 0; i < r->job_count; i++) {
        v[i] = &r->jobs[i];
    }
    if (shown < r->job_count) {
        qsort(v, r->job_count, sizeof(*v), by_use);
    }
    hq_buf_cstr(out, "<section><h2>Jobs</h2>\n");
    if (shown < r->job_count) {
        hq_buf_printf(out, "<p class=\"soft\">The %zu of %zu jobs that used most time.</p>\n", shown, r->job_count);
    }
    hq_buf_cstr(out, "<div class=\"wide\"><table id=\"jobs\"><thead><tr><th>Job</th><th>Name</th><th>Tasks</th><th>Finished</th><th>Failed</th>"
                     "<th>Canceled</th><th>Aborted</th><th>Left</th><th>Submitted</th><th>Makespan</th><th>Task time</th><th>Mean</th>"
                     "<th>Longest</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < shown; i++) {
        print_job(v[i], out);
    }
    hq_buf_cstr(out, "</tbody></table></div></section>\n");
    free(v);
}

static void
print_workers(const struct report *r, struct hq_buf *out)
{
    size_t shown = HQ_MIN(r->worker_count, (size_t)REPORT_WORKERS_SHOWN);

    hq_buf_cstr(out, "<section><h2>Workers</h2>\n");
    if (shown < r->worker_count) {
        hq_buf_printf(out, "<p class=\"soft\">The first %zu of %zu.</p>\n", shown, r->worker_count);
    }
    hq_buf_cstr(out, "<div class=\"wide\"><table id=\"workers\"><thead><tr><th>Worker</th><th>Host</th><th>Resources</th><th>Connected</th>"
                     "<th>Lasted</th><th>End</th><th>Tasks</th><th>Tasks at once</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < shown; i++) {
        const struct report_worker *w = &r->workers[i];
        hq_wall_ms from_ms = w->from_ms, until_ms = w->until_ms;
        bool is_in = grid_clip(&r->grid, &from_ms, &until_ms);
        hq_buf_printf(out, "<tr><td>%u</td><td>", w->id);
        html(out, w->hostname);
        hq_buf_cstr(out, "</td><td>");
        html(out, hq_str_from(r->kinds[w->kind_ix].text));
        hq_buf_cstr(out, "</td><td>");
        hq_date_utc(out, w->from_ms);
        hq_buf_cstr(out, "</td>");
        cell_span(out, (double)(until_ms - from_ms), is_in);
        hq_buf_printf(out, "<td>%s</td>", w->end == NULL ? "" : w->end);
        cell_count(out, w->task_count);
        hq_buf_printf(out, "<td>%.2f</td></tr>\n", is_in ? w->busy_ms / (double)(until_ms - from_ms) : 0.0);
    }
    hq_buf_cstr(out, "</tbody></table></div></section>\n");
}

/* ---- numbers */

static void
data_curves(const struct report *r, struct hq_buf *out)
{
    hq_buf_cstr(out, "const queued_workers = ");
    steps_print(&r->queued, &r->grid, out);
    hq_buf_cstr(out, ";\nconst running_workers = [");
    for (size_t i = 0; i < r->kind_count; i++) {
        hq_buf_cstr(out, i == 0 ? "{\"name\":" : ",\n{\"name\":");
        quotef(out, "Running workers ", r->kinds[i].text);
        hq_buf_cstr(out, ",\"points\":");
        steps_print(&r->kinds[i].running, &r->grid, out);
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
    put_seconds(out, (double)s->min_ms);
    for (size_t i = 0; i < HQ_ARRAY_LEN(keys); i++) {
        hq_buf_printf(out, ",\"%s\":", keys[i].key);
        put_seconds(out, spread_quantile_ms(s, keys[i].q));
    }
    hq_buf_cstr(out, ",\"max\":");
    put_seconds(out, (double)s->max_ms);
    hq_buf_cstr(out, ",\"mean\":");
    put_seconds(out, s->sum_ms / (double)s->count);
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
            hq_buf_printf(out, "%s%llu", is_first ? "" : ",", (unsigned long long)(is_failed ? c->failed : c->finished).count);
            is_first = false;
        }
    }
    hq_buf_cstr(out, "];\n");
}

static void
data_classes(const struct report *r, struct hq_buf *out)
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

static void
data_workers(const struct report *r, struct hq_buf *out)
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
        put_seconds(out, (double)(from_ms - r->grid.from_ms));
        hq_buf_cstr(out, ",\"until\":");
        put_seconds(out, (double)(until_ms - r->grid.from_ms));
        for (size_t k = 0; with_heat && k < REPORT_HEAT_CELLS; k++) {
            hq_buf_printf(out, "%s%.4g", k == 0 ? ",\"heat\":[" : ",", (double)w->heat[k]);
        }
        hq_buf_cstr(out, with_heat ? "]}" : "}");
        is_first = false;
    }
    hq_buf_cstr(out, "];\n");
}

static void
data_runs(const struct report *r, struct hq_buf *out)
{
    bool is_first = true;

    hq_buf_cstr(out, "const runs = [");
    for (size_t i = 0; r->run_count <= REPORT_RUNS_MAX && i < r->run_count; i++) {
        const struct report_run *n = &r->runs[i];
        hq_wall_ms from_ms = HQ_MAX(n->from_ms, r->grid.from_ms);
        hq_wall_ms until_ms = HQ_MIN(n->until_ms, r->grid.until_ms);
        hq_buf_printf(out, "%s[%u,%u,%u,", is_first ? "" : ",", n->job, n->task, n->worker);
        put_seconds(out, (double)(from_ms - r->grid.from_ms));
        hq_buf_byte(out, ',');
        put_seconds(out, (double)(until_ms - r->grid.from_ms));
        hq_buf_printf(out, ",%d]", n->is_failed ? 1 : n->is_cut ? 2 : 0);
        is_first = false;
    }
    hq_buf_cstr(out, "];\n");
}

/* ---- the page */

static void
print_charts(const struct report *r, struct hq_buf *out)
{
    bool has_heat = r->run_count > REPORT_RUNS_MAX;

    hq_buf_cstr(out, "<section><h2>Global worker statistics</h2>\n<p class=\"soft\">Allocated resources are in whole workers: 1 is one worker "
                     "that is fully used. Click a name to hide its line.</p>\n<div id=\"globalChart\"></div></section>\n");
    if (r->worker_count > 0) {
        hq_buf_cstr(out, "<section><h2>Tasks on workers</h2>\n<p class=\"soft\">");
        hq_buf_cstr(out, has_heat ? "How many tasks ran at once: the darker, the more."
                                  : "Each box is one run of a task, coloured by job; red ones failed, pale ones were cut short.");
        hq_buf_cstr(out, "</p>\n<div id=\"lanesChart\"></div></section>\n");
    }
    hq_buf_cstr(out, "<section><h2>Task counts</h2>\n<div id=\"countsChart\"></div><div id=\"countsLegend\"></div></section>\n"
                     "<section><h2>Task durations</h2>\n<p class=\"soft\">Line: shortest to longest; box: the middle half; mark and "
                     "number: median.</p>\n<div id=\"durationsChart\"></div><div id=\"durationsLegend\"></div></section>\n");
}

void
report_print(const struct report *r, struct hq_buf *out)
{
    hq_buf_cstr(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\">\n<title>HQ Journal Report</title>\n<style>\n");
    put_lines(out, report_css, HQ_ARRAY_LEN(report_css));
    hq_buf_cstr(out, "</style>\n</head>\n<body>\n<main>\n<h1 class=\"report-title\">HQ Journal Report</h1>\n<p class=\"soft\">Server ");
    html(out, r->server_uid);
    hq_buf_cstr(out, ", reported by hq " HQ_VERSION "</p>\n");
    print_cards(r, out);
    print_charts(r, out);
    print_jobs(r, out);
    print_workers(r, out);
    hq_buf_cstr(out, "</main>\n<script>\nconst span = ");
    put_seconds(out, (double)(r->grid.until_ms - r->grid.from_ms));
    hq_buf_cstr(out, ";\n");
    data_curves(r, out);
    data_classes(r, out);
    data_workers(r, out);
    data_runs(r, out);
    put_lines(out, report_js, HQ_ARRAY_LEN(report_js));
    hq_buf_cstr(out, "</script>\n</body>\n</html>\n");
}
