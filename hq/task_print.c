#include "hq/task_print.h"

#include "common/num.h"
#include "hq/desc_print.h"

#define LIST_ERROR_BYTES 16u /* an error in a list is cut at so many */
#define INFO_ERROR_BYTES 237u

void
task_paths_init(struct task_paths *p, const struct job_detail *d, struct hq_arena *arena)
{
    *p = (struct task_paths){
        .detail = d,
        .v = hq_arena_array(arena, d->desc_count + 1, sizeof *p->v),
        .is_made = hq_arena_array(arena, d->desc_count + 1, sizeof *p->is_made),
        .arena = arena,
    };
}

const struct paths *
task_paths_get(struct task_paths *p, uint32_t desc_id)
{
    if (desc_id >= p->detail->desc_count) {
        return NULL;
    }
    if (!p->is_made[desc_id]) {
        const Hq__SubmitInfo *submit = job_detail_submit(p->detail, desc_id);
        if (submit == NULL) {
            return NULL;
        }
        job_detail_paths(&p->v[desc_id], p->detail, submit, p->detail->descs[desc_id], p->arena);
        p->is_made[desc_id] = true;
    }
    return &p->v[desc_id];
}

static bool
is_ended_word(enum hq_task_state s)
{
    return s == HQ_STATE_FINISHED || s == HQ_STATE_FAILED;
}

/* Paths are shown of tasks that were started, but for aborted ones. */
static bool
has_paths(const struct task_row *row)
{
    return row->started_ms != 0 && row->state != HQ_STATE_ABORTED && row->state != HQ_STATE_WAITING;
}

/* ---- JSON */

static void
json_path(struct hq_json *j, const char *key, const struct path *path, const struct task_row *row,
          struct hq_buf *scratch)
{
    hq_buf_clear(scratch);
    paths_fmt_task(scratch, path, row->id, row->instance);
    hq_json_put_str(j, key, hq_buf_view(scratch));
}

static void
json_stdio(struct hq_json *j, const char *key, enum paths_stdio kind, const struct path *path,
           const struct task_row *row, struct hq_buf *scratch)
{
    if (kind == PATHS_FILE) {
        json_path(j, key, path, row, scratch);
    } else {
        hq_json_put_strz(j, key, kind == PATHS_NONE ? NULL : "<pipe>");
    }
}

void
task_json(struct hq_json *j, const struct task_row *row, const struct paths *paths)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf scratch = HQ_BUF_INIT;
    bool with_paths = has_paths(row) && paths != NULL;
    bool with_start = row->started_ms != 0 && (row->state == HQ_STATE_RUNNING || is_ended_word(row->state));
    hq_json_object(j);
    if (with_paths) {
        json_path(j, "cwd", &paths->cwd, row, &scratch);
    }
    if (row->state == HQ_STATE_FAILED) {
        hq_json_put_str(j, "error", row->error);
    }
    if (is_ended_word(row->state)) {
        hq_json_put_time(j, "finished_at", row->ended_ms != 0 ? row->ended_ms : row->failed_ms);
    }
    hq_json_put_u64(j, "id", row->id);
    if (with_start) {
        hq_json_put_time(j, "started_at", row->started_ms);
    }
    hq_json_put_str(j, "state", hq_str_from(hq_state_lower[row->state]));
    if (with_paths) {
        json_stdio(j, "stderr", paths->stderr_kind, &paths->to_stderr, row, &scratch);
        json_stdio(j, "stdout", paths->stdout_kind, &paths->to_stdout, row, &scratch);
    }
    if (with_start && row->node_count > 1) {
        hq_json_key(j, "workers");
        hq_json_array(j);
        for (size_t ix = 0; ix < row->node_count; ix++) {
            hq_json_u64(j, row->nodes[ix]);
        }
        hq_json_array_end(j);
    } else if (with_start) {
        hq_json_put_u64(j, "worker", row->node_count == 1 ? row->nodes[0] : row->worker);
    }
    hq_json_object_end(j);
}

/* ---- cells */

static void
fmt_makespan(struct hq_buf *b, const struct task_row *row, hq_wall_ms now_ms)
{
    if (row->started_ms == 0 || row->state == HQ_STATE_WAITING) {
        return;
    }
    hq_wall_ms end = row->ended_ms != 0 ? row->ended_ms : row->state == HQ_STATE_RUNNING ? now_ms : row->started_ms;
    hq_makespan_print(b, hq_ns_from_ms(HQ_MAX(end - row->started_ms, (hq_wall_ms)0)));
}

static struct hq_str
shown_error(const struct task_row *row)
{
    return row->state == HQ_STATE_FAILED ? row->error : HQ_STR_NULL;
}

void
task_list_init(struct task_list_print *l, bool with_job, bool is_verbose)
{
    static const struct hq_column columns[] = {{"Job ID", HQ_COLUMN_RIGHT},
                                               {"Task ID", HQ_COLUMN_RIGHT},
                                               {"State", 0},
                                               {"Worker", 0},
                                               {"Makespan", 0},
                                               {"Error", 0}};
    *l = (struct task_list_print){.with_job = with_job, .is_verbose = is_verbose};
    hq_table_init(&l->table, with_job ? columns : columns + 1, HQ_ARRAY_LEN(columns) - (with_job ? 0 : 1));
}

void
task_list_fini(struct task_list_print *l)
{
    hq_table_fini(&l->table);
}

static bool
is_worker_shown(const struct task_row *row)
{
    return row->state != HQ_STATE_WAITING && row->state != HQ_STATE_ABORTED && row->worker != 0;
}

/* Of several nodes: one name a line, root first. */
static void
fmt_workers(struct hq_buf *b, const struct task_row *row, const struct task_pages *pages)
{
    if (!is_worker_shown(row)) {
        return;
    }
    if (row->node_count > 1 && pages != NULL) {
        for (size_t ix = 0; ix < row->node_count; ix++) {
            hq_buf_printf(b, "%s%.*s", ix > 0 ? "\n" : "", HQ_STR_FMT(task_pages_host(pages, row->nodes[ix])));
        }
    } else {
        hq_buf_str(b, row->worker_host);
    }
}

static void
fmt_error(struct hq_buf *b, struct hq_str error, bool is_verbose, size_t bytes, bool *ret_cut)
{
    if (is_verbose) {
        hq_buf_str(b, error);
        return;
    }
    hq_fmt_cut(b, error, bytes);
    if (error.len >= bytes) {
        *ret_cut = true;
    }
}

void
task_list_add(struct task_list_print *l, uint32_t job, const struct task_row *row, const struct task_pages *pages)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    hq_wall_ms now_ms = (hq_wall_ms)pages->answer->now_ms;
    if (l->with_job) {
        hq_table_addf(&l->table, "%u", job);
    }
    hq_table_addf(&l->table, "%u", row->id);
    hq_table_add(&l->table, hq_str_from(hq_state_word(row->state)), hq_state_color(row->state));
    fmt_workers(&cell, row, pages);
    hq_table_add(&l->table, hq_buf_view(&cell), HQ_COLOR_NONE);
    hq_buf_clear(&cell);
    fmt_makespan(&cell, row, now_ms);
    hq_table_add(&l->table, hq_buf_view(&cell), HQ_COLOR_NONE);
    hq_buf_clear(&cell);
    fmt_error(&cell, shown_error(row), l->is_verbose, LIST_ERROR_BYTES, &l->has_cut);
    hq_table_add(&l->table, hq_buf_view(&cell), HQ_COLOR_RED);
}

/* ---- task info */

static void
row_date(struct hq_table *t, const char *label, hq_wall_ms at, int32_t offset_s)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    if (at != 0) {
        hq_date_local(&cell, at, offset_s);
    }
    hq_table_row(t, label, hq_buf_view(&cell), HQ_COLOR_NONE);
}

static void
row_path(struct hq_table *t, const char *label, enum paths_stdio kind, const struct path *path,
         const struct task_row *row)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    if (path != NULL && kind == PATHS_FILE) {
        paths_fmt_task(&cell, path, row->id, row->instance);
    } else if (path != NULL) {
        hq_buf_cstr(&cell, kind == PATHS_NONE ? "<None>" : "<Stream>");
    }
    hq_table_row(t, label, hq_buf_view(&cell), HQ_COLOR_NONE);
}

static void
rows_paths(struct hq_table *t, const struct task_row *row, const struct paths *paths)
{
    const struct paths *p = has_paths(row) ? paths : NULL;
    row_path(t, "Workdir", PATHS_FILE, p != NULL ? &p->cwd : NULL, row);
    row_path(t, "Stdout", p != NULL ? p->stdout_kind : PATHS_FILE, p != NULL ? &p->to_stdout : NULL, row);
    row_path(t, "Stderr", p != NULL ? p->stderr_kind : PATHS_FILE, p != NULL ? &p->to_stderr : NULL, row);
}

static void
rows_end(struct hq_table *t, const struct task_row *row, const struct task_info_print *info, bool *ret_cut)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    for (size_t ix = 0; ix < row->dep_count; ix++) {
        hq_buf_printf(&cell, "%s%u", ix > 0 ? "," : "", row->deps[ix]);
    }
    hq_table_row(t, "Dependencies", hq_buf_view(&cell), HQ_COLOR_NONE);
    hq_buf_clear(&cell);
    fmt_error(&cell, shown_error(row), info->is_verbose, INFO_ERROR_BYTES, ret_cut);
    hq_table_row(t, "Error", hq_buf_view(&cell), HQ_COLOR_RED);
}

void
task_print_info(struct hq_out *out, const struct task_row *row, const struct task_info_print *info,
                const struct task_pages *pages, bool *ret_cut)
{
    const Hq__TaskDesc *d = info->desc;
    HQ_AUTO(hq_table_fini) struct hq_table t;
    HQ_AUTO(hq_buf_fini) struct hq_buf cell = HQ_BUF_INIT;
    bool has_run = row->state != HQ_STATE_WAITING;
    hq_table_init_vertical(&t);
    hq_table_rowf(&t, "Task ID", "%u", row->id);
    hq_table_row(&t, "State", hq_str_from(hq_state_word(row->state)), hq_state_color(row->state));
    desc_row(&t, "Command", desc_fmt_command, d);
    desc_row(&t, "Environment", desc_fmt_env, d);
    fmt_workers(&cell, row, pages);
    hq_table_row(&t, "Worker", hq_buf_view(&cell), HQ_COLOR_NONE);
    row_date(&t, "Start", has_run ? row->started_ms : 0, info->utc_offset_s);
    row_date(&t, "End", has_run ? row->ended_ms : 0, info->utc_offset_s);
    hq_buf_clear(&cell);
    fmt_makespan(&cell, row, (hq_wall_ms)pages->answer->now_ms);
    hq_table_row(&t, "Makespan", hq_buf_view(&cell), HQ_COLOR_NONE);
    rows_paths(&t, row, info->paths);
    desc_row(&t, "Time limit", desc_fmt_time_limit, d);
    desc_row(&t, "Resources", desc_fmt_resources, d);
    hq_table_rowf(&t, "Priority", "%d", d->priority);
    desc_row_ranks(&t, d);
    hq_table_rowz(&t, "Pin", desc_pin_word(d));
    hq_table_rowz(&t, "Task dir", d->task_dir ? "yes" : "no");
    desc_row(&t, "Crash limit", desc_fmt_crash_limit, d);
    rows_end(&t, row, info, ret_cut);
    hq_table_print(&t, out);
}
