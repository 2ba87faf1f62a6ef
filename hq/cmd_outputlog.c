#include "hq/cmd_outputlog.h"

#include "common/mem.h"
#include "hq/stream_print.h"

#include <stdlib.h>

HQ_DEFINE_CLEANUP(struct stream_index, stream_index_destroy)

static const char *const channel_words[] = {"stdout", "stderr", NULL};

const struct hq_opt output_log_opts[OUTPUT_LOG_OPTS] = {
    {.name = "PATH",
     .parse = hq_opt_str,
     .at = offsetof(struct output_log_args, path),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .complete = HQ_COMPLETE_DIR,
     .help = "Directory of streamed output, or one file of it."},
    {.name = "server-uid",
     .hint = "SERVER_UID",
     .parse = hq_opt_str,
     .at = offsetof(struct output_log_args, server_uid),
     .help = "Reads only the output of this server's tasks."},
};

#define JOB_POSITIONAL                                                                                                 \
    {                                                                                                                  \
        .name = "JOB", .parse = hq_opt_id, .at = offsetof(struct output_log_select_args, job),                         \
        .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED, .help = "Job id."                                                \
    }
#define JOB_OPTION                                                                                                     \
    {                                                                                                                  \
        .name = "job", .hint = "JOB", .parse = hq_opt_id, .at = offsetof(struct output_log_select_args, job),          \
        .help = "Only the output of this job."                                                                         \
    }
#define CHANNEL_POSITIONAL                                                                                             \
    {                                                                                                                  \
        .name = "CHANNEL", .parse = hq_opt_word, .at = offsetof(struct output_log_select_args, channel),               \
        .values = channel_words, .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED, .help = "stdout or stderr."             \
    }
#define CHANNEL_OPTION                                                                                                 \
    {                                                                                                                  \
        .name = "channel", .hint = "CHANNEL", .parse = hq_opt_word,                                                    \
        .at = offsetof(struct output_log_select_args, channel), .values = channel_words,                               \
        .help = "Only this channel."                                                                                   \
    }
#define TASK_OPTION                                                                                                    \
    {                                                                                                                  \
        .name = "task", .hint = "TASK", .parse = hq_opt_ranges, .at = offsetof(struct output_log_select_args, tasks),  \
        .help = "Only these tasks, in this order."                                                                     \
    }
#define UNFINISHED_OPTION                                                                                              \
    {                                                                                                                  \
        .name = "allow-unfinished", .at = offsetof(struct output_log_select_args, allow_unfinished),                   \
        .help = "Prints what there is of tasks that have not ended."                                                   \
    }

const struct hq_opt output_log_show_opts[OUTPUT_LOG_SHOW_OPTS] = {JOB_OPTION, CHANNEL_OPTION};
const struct hq_opt output_log_cat_opts[OUTPUT_LOG_CAT_OPTS] = {JOB_POSITIONAL, CHANNEL_POSITIONAL, TASK_OPTION,
                                                               UNFINISHED_OPTION};
const struct hq_opt output_log_export_opts[OUTPUT_LOG_EXPORT_OPTS] = {JOB_POSITIONAL, TASK_OPTION};
const struct hq_opt old_log_show_opts[OLD_LOG_SHOW_OPTS] = {
    JOB_OPTION,
    CHANNEL_OPTION,
    {.name = "show-empty",
     .at = offsetof(struct output_log_select_args, show_empty),
     .help = "Tells the end of tasks that printed nothing, too."},
};
const struct hq_opt old_log_cat_opts[OLD_LOG_CAT_OPTS] = {CHANNEL_POSITIONAL, JOB_OPTION, TASK_OPTION,
                                                         UNFINISHED_OPTION};
const struct hq_opt old_log_export_opts[OLD_LOG_EXPORT_OPTS] = {JOB_OPTION, TASK_OPTION};

static int
open_index(struct hq_cli *cli, const struct hq_parsed *p, struct stream_index **ret, struct hq_err *err)
{
    const struct output_log_args *args = p->parent_args;

    return stream_index_create(ret, hq_arena_strz(&cli->arena, args->path), args->server_uid, err);
}

/* The old form names no job: there must be one, or --job. */
static int
only_job(const struct stream_index *ix, hq_job_id *ret, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) uint32_t *live = NULL;
    HQ_AUTO(hq_buf_fini) struct hq_buf ids = HQ_BUF_INIT;
    size_t count = stream_index_live(ix, (hq_job_id){0}, &live);
    size_t jobs = 0;

    for (size_t i = 0; i < count; i++) {
        hq_job_id job = ix->streams[live[i]].job;
        if (i > 0 && job.v == ix->streams[live[i - 1]].job.v) {
            continue;
        }
        hq_buf_printf(&ids, "%s%u", jobs++ > 0 ? ", " : "", job.v);
        *ret = job;
    }
    if (jobs > 1) {
        return hq_err_set(err, -EINVAL, "The log holds several jobs, choose one with --job: %s", ids.ptr);
    }
    return 0;
}

static int
selection(const struct stream_index *ix, const struct hq_parsed *p, struct stream_select *ret, struct hq_err *err)
{
    const struct output_log_select_args *args = p->args;

    *ret = (struct stream_select){.job = {args->job},
                                  .tasks = args->tasks.count > 0 ? &args->tasks : NULL,
                                  .channel = args->channel,
                                  .allow_unfinished = args->allow_unfinished,
                                  .is_old = p->cmd->kind == OUTPUT_LOG_OLD,
                                  .show_empty = args->show_empty};
    return ret->is_old && args->job == 0 ? only_job(ix, &ret->job, err) : 0;
}

int
cmd_output_log_summary_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct output_log_args *args = p->parent_args;
    HQ_AUTO(stream_index_destroyp) struct stream_index *ix = NULL;
    int rc = open_index(cli, p, &ix, err);

    if (rc == 0) {
        stream_print_summary(ix, hq_arena_strz(&cli->arena, args->path), p->cmd->kind == OUTPUT_LOG_OLD, &cli->out);
    }
    return rc;
}

int
cmd_output_log_jobs_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    HQ_AUTO(stream_index_destroyp) struct stream_index *ix = NULL;
    int rc = open_index(cli, p, &ix, err);

    if (rc == 0) {
        stream_print_jobs(ix, &cli->out);
    }
    return rc;
}

int
cmd_output_log_show_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    HQ_AUTO(stream_index_destroyp) struct stream_index *ix = NULL;
    struct stream_select sel;
    int rc = open_index(cli, p, &ix, err);

    if (rc == 0) {
        rc = selection(ix, p, &sel, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (!hq_parsed_given(p, "channel")) {
        sel.channel = -1;
    }
    cli->out.with_color = cli->out.with_color && cli->out.mode == HQ_OUT_CLI;
    return stream_print_show(ix, &sel, &cli->out, err);
}

int
cmd_output_log_cat_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    HQ_AUTO(stream_index_destroyp) struct stream_index *ix = NULL;
    struct stream_select sel;
    int rc = open_index(cli, p, &ix, err);

    if (rc == 0) {
        rc = selection(ix, p, &sel, err);
    }
    return rc < 0 ? rc : stream_print_cat(ix, &sel, &cli->out, err);
}

int
cmd_output_log_export_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    HQ_AUTO(stream_index_destroyp) struct stream_index *ix = NULL;
    struct stream_select sel;
    int rc = open_index(cli, p, &ix, err);

    if (rc == 0) {
        rc = selection(ix, p, &sel, err);
    }
    return rc < 0 ? rc : stream_print_export(ix, &sel, &cli->out, err);
}
