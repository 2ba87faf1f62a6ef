#include "hq/cmd_task.h"

#include "common/clock.h"
#include "common/log.h"
#include "hq/job_fetch.h"
#include "hq/task_print.h"

/* ---- task list */

const struct hq_opt task_list_opts[TASK_LIST_OPTS] = {
    {.name = "job_selector",
     .hint = "JOB_SELECTOR",
     .parse = selector_parse,
     .at = offsetof(struct task_list_args, jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Jobs: last, all, or ids like 1-3,7."},
    {.name = "tasks",
     .parse = hq_opt_ranges,
     .at = offsetof(struct task_list_args, tasks),
     .help = "Only these tasks."},
    {.name = "task-status",
     .parse = hq_opt_words,
     .at = offsetof(struct task_list_args, filter),
     .values = hq_state_lower,
     .flags = HQ_OPT_REPEAT,
     .help = "Only tasks in these states."},
    {.short_name = 'v', .at = offsetof(struct task_list_args, verbose), .help = "Show whole error messages."},
};

struct task_list {
    struct hq_cli *cli;
    struct task_filter filter;
    struct task_list_print table; /* cli mode */
    struct hq_json json;          /* json mode */
    struct hq_arena arena;        /* of one job */
    uint32_t *missing;            /* ids that no job so far has, ascending */
    size_t missing_count;
    bool has_missing; /* the first job has been looked at */
};

/* An id is unknown if none of the jobs has it: what is missing everywhere is kept. */
static void
keep_missing(struct task_list *l, const Hq__TaskPageAnswer *a)
{
    if (!l->has_missing) {
        l->has_missing = true;
        l->missing = hq_arena_array(&l->cli->arena, a->n_not_found + 1, sizeof *l->missing);
        for (size_t ix = 0; ix < a->n_not_found; ix++) {
            l->missing[l->missing_count++] = a->not_found[ix];
        }
        return;
    }
    size_t kept = 0;
    size_t at = 0;
    for (size_t ix = 0; ix < l->missing_count; ix++) {
        while (at < a->n_not_found && a->not_found[at] < l->missing[ix]) {
            at++;
        }
        if (at < a->n_not_found && a->not_found[at] == l->missing[ix]) {
            l->missing[kept++] = l->missing[ix];
        }
    }
    l->missing_count = kept;
}

static void
list_page(struct task_list *l, uint32_t job, struct task_pages *pages, struct task_paths *paths)
{
    struct hq_out *out = &l->cli->out;
    struct task_row row;
    while (task_pages_row(pages, &row)) {
        switch (out->mode) {
        case HQ_OUT_CLI:
            task_list_add(&l->table, job, &row, pages);
            break;
        case HQ_OUT_JSON:
            task_json(&l->json, &row, task_paths_get(paths, row.desc_id));
            break;
        case HQ_OUT_QUIET:
            hq_out_line(out, "%u.%u %s", job, row.id, hq_state_word(row.state));
            break;
        }
    }
    if (out->mode == HQ_OUT_JSON) {
        hq_out_flush(out); /* never more than a page in memory */
    }
}

static int
list_job(struct task_list *l, uint32_t job, struct hq_err *err)
{
    struct job_detail d = {0};
    bool is_found = true;
    struct task_paths paths = {0};
    bool is_json = l->cli->out.mode == HQ_OUT_JSON;
    int rc = is_json ? job_fetch_detail(l->cli, job, true, &d, &is_found, &l->arena, err) : 0;
    if (rc < 0 || !is_found) { /* not found: forgotten since it was selected */
        return rc;
    }
    if (is_json) {
        task_paths_init(&paths, &d, &l->arena);
        hq_json_key_u64(&l->json, job);
        hq_json_array(&l->json);
    }
    struct task_pages pages;
    task_pages_init(&pages, l->cli, job, &l->filter);
    for (bool is_first = true; (rc = task_pages_next(&pages, err)) > 0; is_first = false) {
        if (is_first) {
            keep_missing(l, pages.answer);
        }
        list_page(l, job, &pages, &paths);
    }
    task_pages_fini(&pages);
    if (is_json) {
        hq_json_array_end(&l->json);
    }
    return rc;
}

static int
list_jobs(struct task_list *l, struct job_set *set, struct hq_err *err)
{
    struct hq_out *out = &l->cli->out;
    if (out->mode == HQ_OUT_JSON) {
        job_set_order_as_text(set);
        hq_json_begin_document(&l->json, out);
        hq_json_object(&l->json);
    }
    int rc = 0;
    for (size_t ix = 0; ix < set->count && rc == 0; ix++) {
        rc = list_job(l, set->v[ix]->job, err);
        hq_arena_reset(&l->arena);
    }
    if (out->mode == HQ_OUT_JSON && rc == 0) {
        hq_json_object_end(&l->json);
        hq_json_end_document(&l->json, out);
    } else if (out->mode == HQ_OUT_JSON) {
        hq_buf_clear(&out->buf); /* what has not left yet gives way to the error document */
    } else if (out->mode == HQ_OUT_CLI && rc == 0) {
        hq_table_print(&l->table.table, out);
    }
    return rc;
}

int
cmd_task_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct task_list_args *args = p->args;
    struct job_set set;
    int rc = job_fetch_set(cli, &(struct job_set_query){.jobs = &args->jobs}, &set, &cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t ix = 0; ix < set.not_found_count; ix++) {
        hq_log_warn("Job %u not found", set.not_found[ix]);
    }
    struct task_list l = {.cli = cli};
    l.filter.ids = hq_parsed_given(p, "tasks") ? &args->tasks : NULL;
    l.filter.state_mask = args->filter;
    hq_arena_init(&l.arena, 0);
    task_list_init(&l.table, set.count != 1, args->verbose);
    rc = list_jobs(&l, &set, err);
    if (rc == 0 && l.table.has_cut) {
        hq_out_flush(&cli->out);
        hq_log_info("An error message was truncated. Use -v to display the full error.");
    }
    for (size_t ix = 0; ix < l.missing_count && rc == 0; ix++) {
        hq_log_warn("Task %u not found", l.missing[ix]);
    }
    task_list_fini(&l.table);
    hq_arena_fini(&l.arena);
    return rc;
}

/* ---- task info */

const struct hq_opt task_info_opts[TASK_INFO_OPTS] = {
    {.name = "job_selector",
     .hint = "JOB_SELECTOR",
     .parse = selector_parse_one,
     .at = offsetof(struct task_info_args, job),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Job: last, or an id."},
    {.name = "task_selector",
     .hint = "TASK_SELECTOR",
     .parse = hq_opt_ranges,
     .at = offsetof(struct task_info_args, tasks),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Tasks: ids like 1-3,7."},
    {.short_name = 'v', .at = offsetof(struct task_info_args, verbose), .help = "Show whole error messages."},
};

struct task_info {
    struct hq_cli *cli;
    const struct task_info_args *args;
    struct job_detail detail;
    struct task_paths paths;
    struct hq_json json;
    bool has_cut;
};

static void
info_row(struct task_info *t, const struct task_row *row, const struct task_pages *pages)
{
    const struct paths *paths = task_paths_get(&t->paths, row->desc_id);
    if (t->cli->out.mode == HQ_OUT_JSON) {
        task_json(&t->json, row, paths);
    } else if (t->cli->out.mode == HQ_OUT_CLI && row->desc_id < t->detail.desc_count) {
        struct task_info_print info = {
            .desc = t->detail.descs[row->desc_id],
            .paths = paths,
            .utc_offset_s = hq_clock_utc_offset_s((hq_wall_ms)pages->answer->now_ms),
            .is_verbose = t->args->verbose,
        };
        task_print_info(&t->cli->out, row, &info, pages, &t->has_cut);
    }
}

static int
info_pages(struct task_info *t, uint32_t job, struct hq_strv *not_found, struct hq_err *err)
{
    struct task_pages pages;
    struct hq_arena *arena = &t->cli->arena;
    task_pages_init(&pages, t->cli, job, &(struct task_filter){.ids = &t->args->tasks, .with_deps = true});
    int rc;
    for (bool is_first = true; (rc = task_pages_next(&pages, err)) > 0; is_first = false) {
        for (size_t ix = 0; is_first && ix < pages.answer->n_not_found; ix++) {
            hq_arena_grow(arena, &not_found->v, &not_found->cap, not_found->count + 1, sizeof *not_found->v);
            not_found->v[not_found->count++] = hq_str_from(hq_arena_printf(arena, "%u", pages.answer->not_found[ix]));
        }
        struct task_row row;
        while (task_pages_row(&pages, &row)) {
            info_row(t, &row, &pages);
        }
    }
    task_pages_fini(&pages);
    return rc;
}

static int
info_job(struct task_info *t, uint32_t job, struct hq_err *err)
{
    bool is_found;
    int rc = job_fetch_detail(t->cli, job, true, &t->detail, &is_found, &t->cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    if (!is_found) {
        hq_log_error("Cannot find job %u", job);
        return 0;
    }
    task_paths_init(&t->paths, &t->detail, &t->cli->arena);
    struct hq_out *out = &t->cli->out;
    if (out->mode == HQ_OUT_JSON) {
        hq_json_begin_document(&t->json, out);
        hq_json_array(&t->json);
    }
    struct hq_strv not_found = {0};
    rc = info_pages(t, job, &not_found, err);
    if (out->mode == HQ_OUT_JSON && rc == 0) {
        hq_json_array_end(&t->json);
        hq_json_end_document(&t->json, out);
    } else if (out->mode == HQ_OUT_JSON) {
        hq_buf_clear(&out->buf); /* gives way to the error document */
    }
    hq_out_flush(out);
    for (size_t ix = 0; ix < not_found.count && rc == 0; ix++) {
        hq_log_warn("Task %s not found", not_found.v[ix].ptr);
    }
    if (rc == 0 && t->has_cut) {
        hq_log_info("An error message(s) was truncated. Use -v to display the full error(s).");
    }
    return rc;
}

int
cmd_task_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    struct task_info t = {.cli = cli, .args = p->args};
    uint32_t job;
    bool is_found;
    int rc = job_fetch_one(cli, &t.args->job, &job, &is_found, err);
    if (rc == 0 && !is_found) {
        hq_log_error("No jobs were found");
        return 0;
    }
    return rc < 0 ? rc : info_job(&t, job, err);
}
