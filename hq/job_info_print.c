#include "hq/job_print.h"

#include "common/num.h"
#include "common/out_table.h"
#include "hq/desc_print.h"
#include "hq/follow.h"
#include "hq/selector_wire.h"

#include <stdio.h>

const Hq__SubmitInfo *
job_detail_submit(const struct job_detail *d, uint32_t desc_id)
{
    for (size_t ix = 0; ix < d->answer->n_submits; ix++) {
        const Hq__SubmitInfo *s = d->answer->submits[ix];
        if (desc_id >= s->first_desc && desc_id - s->first_desc < s->desc_count) {
            return s;
        }
    }
    return NULL;
}

void
job_detail_paths(struct paths *ret, const struct job_detail *d, const Hq__SubmitInfo *submit, const Hq__TaskDesc *desc,
                 struct hq_arena *arena)
{
    struct paths_job known = {
        .job = d->answer->info->job,
        .server_uid = desc_str(d->answer->server_uid),
        .submit_dir = desc_str(submit->submit_dir),
    };
    paths_init(ret, desc, &known, arena);
}

/* ---- the table */

struct counter {
    enum hq_task_state state;
    uint64_t count;
};

/* In the order of the cell. */
static void
counters_of(struct counter ret[6], const Hq__JobInfo *job)
{
    static const Hq__JobCounts none = HQ__JOB_COUNTS__INIT;
    const Hq__JobCounts *c = job->counts != NULL ? job->counts : &none;
    ret[0] = (struct counter){HQ_STATE_RUNNING, c->running};
    ret[1] = (struct counter){HQ_STATE_FAILED, c->failed};
    ret[2] = (struct counter){HQ_STATE_FINISHED, c->finished};
    ret[3] = (struct counter){HQ_STATE_CANCELED, c->canceled};
    ret[4] = (struct counter){HQ_STATE_WAITING, c->waiting};
    ret[5] = (struct counter){HQ_STATE_ABORTED, c->aborted};
}

static void
row_state(struct hq_table *t, const Hq__JobInfo *job, bool with_color)
{
    if (follow_task_count(job) == 1) {
        enum hq_task_state s = follow_job_state(job);
        hq_table_row(t, "State", hq_str_from(hq_state_word(s)), hq_state_color(s));
        return;
    }
    struct counter counters[6];
    counters_of(counters, job);
    struct hq_bar_counts bar = {.total = follow_task_count(job)};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(counters); ix++) {
        bar.by_state[counters[ix].state] = counters[ix].count;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    hq_fmt_bar(&cell, &bar, with_color);
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(counters); ix++) {
        if (counters[ix].count > 0) {
            char text[48];
            (void)snprintf(text, sizeof text, "%s (%llu)", hq_state_word(counters[ix].state),
                           (unsigned long long)counters[ix].count);
            hq_buf_byte(&cell, '\n');
            hq_color_add(&cell, with_color, hq_state_count_color(counters[ix].state), hq_str_from(text));
        }
    }
    hq_table_row(t, "State", hq_buf_view(&cell), HQ_COLOR_NONE);
}

/* As the user gave them: "2,5" does not become "2-5:3", and "1-10:3" stays. */
static void
fmt_given(struct hq_buf *out, const Hq__Ranges *r)
{
    for (size_t ix = 0; ix + 2 < r->n_packed; ix += 3) {
        struct hq_range range = {.first = r->packed[ix], .count = r->packed[ix + 1], .step = r->packed[ix + 2]};
        struct hq_ranges one = {.v = &range, .count = 1};
        hq_buf_cstr(out, ix > 0 ? "," : "");
        hq_ranges_print(&one, out);
    }
}

/* As sorted runs; a set of too many of them as it came. */
static void
fmt_runs(struct hq_buf *out, const Hq__Ranges *r)
{
    struct hq_ranges ids = HQ_RANGES_INIT;
    struct hq_ranges sorted = HQ_RANGES_INIT;
    if (selector_ranges_read(&ids, r, NULL) == 0 && hq_ranges_sorted(&sorted, &ids, NULL) == 0) {
        hq_ranges_print(&sorted, out);
    } else {
        fmt_given(out, r);
    }
    hq_ranges_fini(&ids);
    hq_ranges_fini(&sorted);
}

static void
row_tasks(struct hq_table *t, const Hq__JobDetailAnswer *a)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    uint64_t count = follow_task_count(a->info);
    bool is_given = a->n_submits == 1 && !a->submits[0]->is_graph;
    const Hq__Ranges *ids = is_given ? a->submits[0]->ids : a->task_ids;
    hq_buf_u64(&cell, count);
    if (count > 0 && ids != NULL && ids->n_packed >= 3) {
        hq_buf_cstr(&cell, "; Ids: ");
        if (is_given) {
            fmt_given(&cell, ids);
        } else {
            fmt_runs(&cell, ids);
        }
    }
    hq_table_row(t, "Tasks", hq_buf_view(&cell), HQ_COLOR_NONE);
}

static void
row_workers(struct hq_table *t, const Hq__JobDetailAnswer *a)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    for (size_t ix = 0; ix < a->n_worker_hosts; ix++) {
        hq_buf_printf(&cell, "%s%.*s", ix > 0 ? "," : "", HQ_STR_FMT(desc_str(a->worker_hosts[ix])));
    }
    if (a->worker_count > a->n_worker_hosts) {
        hq_buf_printf(&cell, ", … (%u total)", a->worker_count);
    }
    hq_table_row(t, "Workers", hq_buf_view(&cell), HQ_COLOR_NONE);
}

static void
row_stdio(struct hq_table *t, const char *label, enum paths_stdio kind, const struct path *path)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    if (kind == PATHS_FILE) {
        paths_fmt_shown(&cell, path);
    } else {
        hq_buf_cstr(&cell, kind == PATHS_NONE ? "<None>" : "<Stream>");
    }
    hq_table_row(t, label, hq_buf_view(&cell), HQ_COLOR_NONE);
}

/* Rows that only a job of one array has. */
static void
rows_of_array(struct hq_table *t, const struct job_detail *d, struct hq_arena *arena)
{
    const Hq__SubmitInfo *submit = d->answer->submits[0];
    if (submit->is_graph || d->desc_count == 0) {
        return;
    }
    const Hq__TaskDesc *desc = d->descs[0];
    struct paths paths;
    job_detail_paths(&paths, d, submit, desc, arena);
    desc_row(t, "Resources", desc_fmt_resources, desc);
    desc_row_ranks(t, desc);
    hq_table_rowz(t, "Pin", desc_pin_word(desc));
    hq_table_rowf(t, "Priority", "%d", desc->priority);
    desc_row(t, "Command", desc_fmt_command, desc);
    row_stdio(t, "Stdout", paths.stdout_kind, &paths.to_stdout);
    row_stdio(t, "Stderr", paths.stderr_kind, &paths.to_stderr);
    desc_row(t, "Environment", desc_fmt_env, desc);
    HQ_AUTO(hq_buf_fini) struct hq_buf cwd = HQ_BUF_INIT;
    paths_fmt_shown(&cwd, &paths.cwd);
    hq_table_row(t, "Working directory", hq_buf_view(&cwd), HQ_COLOR_NONE);
    desc_row(t, "Task time limit", desc_fmt_time_limit, desc);
    desc_row(t, "Crash limit", desc_fmt_crash_limit, desc);
}

static void
rows_of_times(struct hq_table *t, const Hq__JobDetailAnswer *a)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    hq_date_utc(&cell, (hq_wall_ms)a->submitted_ms);
    hq_table_row(t, "Submission date", hq_buf_view(&cell), HQ_COLOR_NONE);
    if (a->n_submits == 1) {
        hq_table_row(t, "Submission directory", desc_str(a->submits[0]->submit_dir), HQ_COLOR_NONE);
    }
    bool is_over = follow_is_completed(a->info) && a->finished_ms != 0;
    hq_wall_ms end = (hq_wall_ms)(is_over ? a->finished_ms : a->now_ms);
    hq_buf_clear(&cell);
    hq_makespan_print(&cell, hq_ns_from_ms(end - (hq_wall_ms)a->submitted_ms));
    hq_table_row(t, "Makespan", hq_buf_view(&cell), HQ_COLOR_NONE);
}

void
job_print_failed(struct hq_out *out, const Hq__JobDetailAnswer *a)
{
    uint64_t count = a->info->counts != NULL ? a->info->counts->failed : 0;
    if (count == 0) {
        return;
    }
    static const struct hq_column columns[] = {{"Task ID", 0}, {"Worker", 0}, {"Error", 0}};
    HQ_AUTO(hq_table_fini) struct hq_table t;
    hq_table_init(&t, columns, HQ_ARRAY_LEN(columns));
    for (size_t ix = 0; ix < a->n_failed; ix++) {
        hq_table_addf(&t, "%u", a->failed[ix]->task);
        hq_table_add(&t, desc_str(a->failed[ix]->worker_host), HQ_COLOR_NONE);
        hq_table_add(&t, desc_str(a->failed[ix]->error), HQ_COLOR_RED);
    }
    hq_table_print(&t, out);
    if (a->n_failed < count) {
        hq_out_line(out, "%llu tasks failed. (%zu shown)", (unsigned long long)count, a->n_failed);
    } else {
        hq_out_line(out, "%llu tasks failed.", (unsigned long long)count);
    }
}

void
job_print_info(struct hq_out *out, const struct job_detail *d, struct hq_arena *arena)
{
    const Hq__JobDetailAnswer *a = d->answer;
    HQ_AUTO(hq_table_fini) struct hq_table t;
    hq_table_init_vertical(&t);
    hq_table_rowf(&t, "ID", "%u", a->info->job);
    hq_table_row(&t, "Name", desc_str(a->info->name), HQ_COLOR_NONE);
    row_state(&t, a->info, out->with_color);
    hq_table_row(&t, "Cancel Reason", a->info->has_cancel_reason ? desc_str(a->info->cancel_reason) : HQ_STR_NULL,
                 HQ_COLOR_NONE);
    hq_table_row(&t, "Session", a->info->is_open ? HQ_STR("open") : HQ_STR("closed"),
                 a->info->is_open ? HQ_COLOR_GREEN : HQ_COLOR_NONE);
    row_tasks(&t, a);
    row_workers(&t, a);
    if (a->n_submits == 1) {
        rows_of_array(&t, d, arena);
    }
    rows_of_times(&t, a);
    hq_table_print(&t, out);
    job_print_failed(out, a);
}

/* ---- JSON */

static void
json_submit(struct hq_json *j, const struct job_detail *d, const Hq__SubmitInfo *s, struct hq_arena *arena)
{
    hq_json_object(j);
    hq_json_key(j, s->is_graph ? "graph" : "array");
    if (s->is_graph) {
        hq_json_array(j);
    }
    for (uint64_t id = s->first_desc; id < (uint64_t)s->first_desc + s->desc_count && id < d->desc_count; id++) {
        struct paths paths;
        job_detail_paths(&paths, d, s, d->descs[id], arena);
        desc_json(j, d->descs[id], &paths, s->is_graph);
        if (!s->is_graph) {
            break; /* an array has one */
        }
    }
    if (s->is_graph) {
        hq_json_array_end(j);
    }
    hq_json_object_end(j);
}

void
job_json_detail(struct hq_json *j, const struct job_detail *d, struct hq_arena *arena)
{
    const Hq__JobDetailAnswer *a = d->answer;
    bool is_terminated = follow_is_terminated(a->info);
    /* An open job whose tasks have all ended has no end yet: the present time stands for it. */
    uint64_t finished_ms = a->finished_ms != 0 ? a->finished_ms : a->now_ms;
    hq_json_object(j);
    hq_json_put_time(j, "finished_at", is_terminated ? (hq_wall_ms)finished_ms : 0);
    hq_json_key(j, "info");
    job_json_info(j, a->info);
    hq_json_key(j, "max_fails");
    if (a->has_max_fails) {
        hq_json_u64(j, a->max_fails);
    } else {
        hq_json_null(j);
    }
    hq_json_put_time(j, "started_at", (hq_wall_ms)a->submitted_ms);
    hq_json_key(j, "submits");
    hq_json_array(j);
    for (size_t ix = 0; ix < a->n_submits; ix++) {
        json_submit(j, d, a->submits[ix], arena);
    }
    hq_json_array_end(j);
    hq_json_key(j, "tasks");
}
