#include "common/log.h"
#include "hq/cmd_job.h"
#include "hq/follow.h"
#include "hq/job_fetch.h"
#include "hq/task_print.h"

const struct hq_opt job_select_opts[JOB_SELECT_OPTS] = {
    {.name = "selector",
     .hint = "SELECTOR",
     .parse = selector_parse,
     .at = offsetof(struct job_select_args, jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Jobs: last, all, or ids like 1-3,7."},
};

#define TASKS_FLUSHED 10000u /* so many tasks take a while: what stands before them leaves at once */

struct job_info {
    struct hq_cli *cli;
    struct hq_arena arena; /* of one job */
    struct hq_json json;
};

/* The tasks of one job, page by page: never more than a page is in memory. */
static int
print_tasks(struct job_info *run, const struct job_detail *d, struct hq_err *err)
{
    struct task_pages pages;
    struct task_paths paths;
    task_paths_init(&paths, d, &run->arena);
    task_pages_init(&pages, run->cli, d->answer->info->job, &(struct task_filter){0});
    hq_json_array(&run->json);
    if (follow_task_count(d->answer->info) > TASKS_FLUSHED) {
        hq_out_flush(&run->cli->out);
    }
    int rc;
    while ((rc = task_pages_next(&pages, err)) > 0) {
        struct task_row row;
        while (task_pages_row(&pages, &row)) {
            task_json(&run->json, &row, task_paths_get(&paths, row.desc_id));
        }
        hq_out_flush(&run->cli->out);
    }
    hq_json_array_end(&run->json);
    task_pages_fini(&pages);
    return rc;
}

static int
print_job(struct job_info *run, uint32_t job, struct hq_err *err)
{
    struct hq_out *out = &run->cli->out;
    struct job_detail d;
    bool is_found;
    int rc = job_fetch_detail(run->cli, job, out->mode == HQ_OUT_JSON, &d, &is_found, &run->arena, err);
    if (rc == 0 && !is_found) {
        hq_log_error("Job %u not found", job);
    } else if (rc == 0 && out->mode == HQ_OUT_CLI) {
        job_print_info(out, &d, &run->arena);
    } else if (rc == 0 && out->mode == HQ_OUT_JSON) {
        job_json_detail(&run->json, &d, &run->arena);
        rc = print_tasks(run, &d, err);
        hq_json_object_end(&run->json);
    }
    hq_arena_reset(&run->arena);
    return rc;
}

static int
print_all(struct job_info *run, const struct hq_selector *jobs, struct hq_err *err)
{
    if (jobs->kind == HQ_SELECT_RANGES && hq_ranges_size(&jobs->ids) == 1) {
        return print_job(run, hq_ranges_at(&jobs->ids, 0), err);
    }
    struct job_set set;
    int rc = job_fetch_set(run->cli, &(struct job_set_query){.jobs = jobs}, &set, &run->cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t ix = 0; ix < set.not_found_count; ix++) {
        hq_log_error("Job %u not found", set.not_found[ix]);
    }
    job_set_order(&set, jobs, &run->cli->arena);
    for (size_t ix = 0; ix < set.count && rc == 0; ix++) {
        rc = print_job(run, set.v[ix]->job, err);
    }
    return rc;
}

int
cmd_job_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_select_args *args = p->args;
    struct job_info run = {.cli = cli};
    hq_arena_init(&run.arena, 0);
    bool is_json = cli->out.mode == HQ_OUT_JSON;
    if (is_json) {
        hq_json_begin_document(&run.json, &cli->out);
        hq_json_array(&run.json);
    }
    int rc = print_all(&run, &args->jobs, err);
    if (is_json && rc == 0) {
        hq_json_array_end(&run.json);
        hq_json_end_document(&run.json, &cli->out);
    } else if (is_json) {
        hq_buf_clear(&cli->out.buf); /* what has not left yet gives way to the error document */
    }
    hq_arena_fini(&run.arena);
    return rc;
}
