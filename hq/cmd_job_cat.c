#include "common/fs.h"
#include "common/log.h"
#include "hq/cmd_job.h"
#include "hq/job_fetch.h"
#include "hq/task_print.h"

#include <fcntl.h>
#include <unistd.h>

static const char *const stream_words[] = {"stdout", "stderr", NULL};

#define AT(field) offsetof(struct job_cat_args, field)
const struct hq_opt job_cat_opts[JOB_CAT_OPTS] = {
    {.name = "job_selector",
     .hint = "JOB_SELECTOR",
     .parse = selector_parse,
     .at = AT(jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Jobs: last, all, or ids like 1-3,7."},
    {.name = "tasks", .parse = hq_opt_ranges, .at = AT(tasks), .help = "Only these tasks."},
    {.name = "task-status",
     .parse = hq_opt_words,
     .at = AT(filter),
     .values = hq_state_lower,
     .flags = HQ_OPT_REPEAT,
     .help = "Only tasks in these states."},
    {.name = "print-task-header", .at = AT(header), .help = "Print a line with job and task in front of each output."},
    {.name = "stream",
     .hint = "STREAM",
     .parse = hq_opt_word,
     .at = AT(stream),
     .values = stream_words,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Which output: stdout or stderr."},
};

struct cat {
    struct hq_cli *cli;
    const struct job_cat_args *args;
    bool has_tasks;
    struct hq_arena arena; /* of one job */
    struct hq_buf path;
};

/* Copies a file to the output; what is wrong with it is only logged. */
static void
cat_file(struct cat *c, const char *path)
{
    char data[65536];
    struct hq_err why = {0};
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(path, O_RDONLY | O_NONBLOCK, 0, &why);
    if (fd < 0) {
        hq_log_warn("File at `%s` cannot be opened: %s", path, why.text);
        return;
    }
    for (;;) {
        ssize_t got = read(fd, data, sizeof data);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            hq_log_warn("Could not output contents of `%s`: %s", path, hq_err_os(errno));
        }
        if (got <= 0) {
            return;
        }
        hq_out_str(&c->cli->out, hq_str_make(data, (size_t)got));
    }
}

static void
cat_task(struct cat *c, uint32_t job, const struct task_row *row, const struct paths *paths)
{
    bool is_out = c->args->stream == 0;
    if (c->args->header) {
        hq_out_line(&c->cli->out, "# Job %u, task %u", job, row->id);
    }
    bool has_run = row->started_ms != 0 && row->state != HQ_STATE_WAITING && row->state != HQ_STATE_ABORTED;
    enum paths_stdio kind = paths == NULL ? PATHS_NONE : is_out ? paths->stdout_kind : paths->stderr_kind;
    if (!has_run || kind != PATHS_FILE) {
        hq_log_warn("Task %u has no `%s` stream associated with it", row->id, stream_words[c->args->stream]);
        return;
    }
    hq_buf_clear(&c->path);
    paths_fmt_task(&c->path, is_out ? &paths->to_stdout : &paths->to_stderr, row->id, row->instance);
    cat_file(c, c->path.ptr);
}

static int
cat_job(struct cat *c, uint32_t job, struct hq_err *err)
{
    struct job_detail d;
    bool is_found;
    int rc = job_fetch_detail(c->cli, job, true, &d, &is_found, &c->arena, err);
    if (rc < 0) {
        return rc;
    }
    if (!is_found) {
        hq_log_error("Job %u was not found", job);
        return 0;
    }
    if (c->cli->out.mode == HQ_OUT_JSON) {
        return hq_err_set(err, -EINVAL, "JSON output mode doesn't support job output");
    }
    struct task_paths paths;
    struct task_pages pages;
    struct task_filter filter = {.ids = c->has_tasks ? &c->args->tasks : NULL, .state_mask = c->args->filter};
    task_paths_init(&paths, &d, &c->arena);
    task_pages_init(&pages, c->cli, job, &filter);
    uint64_t count = 0;
    bool is_first = true;
    while ((rc = task_pages_next(&pages, err)) > 0) {
        for (size_t ix = 0; is_first && ix < pages.answer->n_not_found; ix++) {
            hq_log_warn("Task %u of job %u not found", pages.answer->not_found[ix], job);
        }
        is_first = false;
        struct task_row row;
        for (; task_pages_row(&pages, &row); count++) {
            cat_task(c, job, &row, task_paths_get(&paths, row.desc_id));
        }
    }
    if (rc == 0 && count == 0) {
        hq_log_warn("No tasks were selected for job %u, there is nothing to print", job);
    }
    task_pages_fini(&pages);
    return rc;
}

static int
cat_all(struct cat *c, struct hq_err *err)
{
    struct job_set set;
    int rc = job_fetch_set(c->cli, &(struct job_set_query){.jobs = &c->args->jobs}, &set, &c->cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    if (set.count == 0 && set.not_found_count == 0) {
        hq_log_error("No jobs were found");
    }
    for (size_t ix = 0; ix < set.not_found_count; ix++) {
        hq_log_error("Job %u was not found", set.not_found[ix]);
    }
    job_set_order(&set, &c->args->jobs, &c->cli->arena);
    for (size_t ix = 0; ix < set.count && rc == 0; ix++) {
        rc = cat_job(c, set.v[ix]->job, err);
        hq_arena_reset(&c->arena);
    }
    return rc;
}

int
cmd_job_cat_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    struct cat c = {.cli = cli, .args = p->args, .has_tasks = hq_parsed_given(p, "tasks")};
    hq_arena_init(&c.arena, 0);
    int rc = cat_all(&c, err);
    hq_arena_fini(&c.arena);
    hq_buf_fini(&c.path);
    return rc;
}
