#include "hq/cmd_job.h"
#include "hq/job_fetch.h"
#include "hq/task_page.h"

const struct hq_opt job_task_ids_opts[JOB_TASK_IDS_OPTS] = {
    {.name = "selector",
     .hint = "SELECTOR",
     .parse = selector_parse,
     .at = offsetof(struct job_task_ids_args, jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Jobs: last, all, or ids like 1-3,7."},
    {.name = "filter",
     .parse = hq_opt_words,
     .at = offsetof(struct job_task_ids_args, filter),
     .values = hq_state_lower,
     .flags = HQ_OPT_REPEAT,
     .help = "Only tasks in these states."},
};

/* Where the ids of one job go: a line, or a JSON array. */
struct ids_sink {
    struct hq_json *json; /* NULL = text */
    struct hq_ranges_runs runs;
};

static void
add_page(struct ids_sink *sink, const struct hq_ranges *ids)
{
    for (size_t ix = 0; ix < ids->count; ix++) {
        const struct hq_range *r = &ids->v[ix];
        if (sink->json == NULL && r->step == 1) {
            hq_ranges_runs_add_run(&sink->runs, r->first, hq_range_last(r));
            continue;
        }
        for (uint32_t k = 0; k < r->count; k++) {
            uint32_t id = r->first + k * r->step;
            if (sink->json != NULL) {
                hq_json_u64(sink->json, id);
            } else {
                hq_ranges_runs_add(&sink->runs, id);
            }
        }
    }
}

static int
print_ids(struct hq_cli *cli, uint32_t job, uint32_t state_mask, struct ids_sink *sink, struct hq_err *err)
{
    struct task_pages pages;
    task_pages_init(&pages, cli, job, &(struct task_filter){.state_mask = state_mask, .ids_only = true});
    int rc;
    while ((rc = task_pages_next(&pages, err)) > 0) {
        add_page(sink, &pages.ids);
        if (sink->json != NULL) {
            hq_out_flush(&cli->out);
        }
    }
    task_pages_fini(&pages);
    return rc;
}

static int
print_text(struct hq_cli *cli, const struct job_set *set, uint32_t state_mask, struct hq_err *err)
{
    int rc = 0;
    for (size_t ix = 0; ix < set->count && rc == 0; ix++) {
        if (set->count > 1) {
            hq_out_printf(&cli->out, "%u: ", set->v[ix]->job);
        }
        HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
        struct ids_sink sink = {.runs = {.out = &line}};
        rc = print_ids(cli, set->v[ix]->job, state_mask, &sink, err);
        hq_ranges_runs_end(&sink.runs);
        hq_out_str(&cli->out, hq_buf_view(&line));
        hq_out_text(&cli->out, "\n");
    }
    return rc;
}

static int
print_json(struct hq_cli *cli, struct job_set *set, uint32_t state_mask, struct hq_err *err)
{
    struct hq_json j;
    job_set_order_as_text(set);
    hq_json_begin_document(&j, &cli->out);
    hq_json_object(&j);
    int rc = 0;
    for (size_t ix = 0; ix < set->count && rc == 0; ix++) {
        struct ids_sink sink = {.json = &j};
        hq_json_key_u64(&j, set->v[ix]->job);
        hq_json_array(&j);
        rc = print_ids(cli, set->v[ix]->job, state_mask, &sink, err);
        hq_json_array_end(&j);
    }
    hq_json_object_end(&j);
    hq_json_end_document(&j, &cli->out);
    return rc;
}

int
cmd_job_task_ids_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_task_ids_args *args = p->args;
    struct job_set set;
    int rc = job_fetch_set(cli, &(struct job_set_query){.jobs = &args->jobs}, &set, &cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    if (set.not_found_count > 0) {
        return hq_err_set(err, -ENOENT, "Error: Job Id not found");
    }
    return cli->out.mode == HQ_OUT_JSON ? print_json(cli, &set, args->filter, err)
                                        : print_text(cli, &set, args->filter, err);
}
