#include "hq/report.h"

#include "common/mem.h"
#include "common/num.h"
#include "hq/report_data.h"
#include "hq/report_page.inc" /* report_css, report_js: made of hq/report.css and hq/report.js */

#include <stdio.h>
#include <stdlib.h>

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
    hq_buf_cstr(out, "<div class=\"wide\"><table "
                     "id=\"jobs\"><thead><tr><th>Job</th><th>Name</th><th>Tasks</th><th>Finished</th><th>Failed</th>"
                     "<th>Canceled</th><th>Aborted</th><th>Left</th><th>Submitted</th><th>Makespan</th><th>Task "
                     "time</th><th>Mean</th>"
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
    hq_buf_cstr(out, "<div class=\"wide\"><table "
                     "id=\"workers\"><thead><tr><th>Worker</th><th>Host</th><th>Resources</th><th>Connected</th>"
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

/* ---- the page */

static void
print_charts(const struct report *r, struct hq_buf *out)
{
    bool has_heat = r->run_count > REPORT_RUNS_MAX;

    hq_buf_cstr(out,
                "<section><h2>Global worker statistics</h2>\n<p class=\"soft\">Allocated resources are in whole "
                "workers: 1 is one worker "
                "that is fully used. Click a name to hide its line.</p>\n<div id=\"globalChart\"></div></section>\n");
    if (r->worker_count > 0) {
        hq_buf_cstr(out, "<section><h2>Tasks on workers</h2>\n<p class=\"soft\">");
        hq_buf_cstr(out,
                    has_heat
                        ? "How many tasks ran at once: the darker, the more."
                        : "Each box is one run of a task, coloured by job; red ones failed, pale ones were cut short.");
        hq_buf_cstr(out, "</p>\n<div id=\"lanesChart\"></div></section>\n");
    }
    hq_buf_cstr(
        out,
        "<section><h2>Task counts</h2>\n<div id=\"countsChart\"></div><div id=\"countsLegend\"></div></section>\n"
        "<section><h2>Task durations</h2>\n<p class=\"soft\">Line: shortest to longest; box: the middle half; mark and "
        "number: median.</p>\n<div id=\"durationsChart\"></div><div id=\"durationsLegend\"></div></section>\n");
}

void
report_print(const struct report *r, struct hq_buf *out)
{
    hq_buf_cstr(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\">\n<title>HQ Journal Report</title>\n<style>\n");
    put_lines(out, report_css, HQ_ARRAY_LEN(report_css));
    hq_buf_cstr(out, "</style>\n</head>\n<body>\n<main>\n<h1 class=\"report-title\">HQ Journal Report</h1>\n<p "
                     "class=\"soft\">Server ");
    html(out, r->server_uid);
    hq_buf_cstr(out, ", reported by hq " HQ_VERSION "</p>\n");
    print_cards(r, out);
    print_charts(r, out);
    print_jobs(r, out);
    print_workers(r, out);
    hq_buf_cstr(out, "</main>\n<script>\nconst span = ");
    report_put_seconds(out, (double)(r->grid.until_ms - r->grid.from_ms));
    hq_buf_cstr(out, ";\n");
    report_data_curves(r, out);
    report_data_classes(r, out);
    report_data_workers(r, out);
    report_data_runs(r, out);
    put_lines(out, report_js, HQ_ARRAY_LEN(report_js));
    hq_buf_cstr(out, "</script>\n</body>\n</html>\n");
}
