#include "hq/cmd_job.h"
#include "hq/follow.h"
#include "hq/job_fetch.h"

#define AT(field) offsetof(struct job_list_args, field)
const struct hq_opt job_list_opts[JOB_LIST_OPTS] = {
    {.name = "all", .at = AT(all), .conflicts = "filter", .help = "Show all jobs, also those that have ended."},
    {.name = "filter",
     .parse = hq_opt_words,
     .at = AT(filter),
     .values = hq_state_lower,
     .flags = HQ_OPT_REPEAT,
     .help = "Show only jobs in these states."},
    {.name = "verbose", .at = AT(verbose), .help = "Show the reasons of canceled jobs too."},
};
const struct hq_opt old_jobs_opts[OLD_JOBS_OPTS] = {
    {.name = "state",
     .hint = "STATE",
     .parse = hq_opt_words,
     .at = AT(filter),
     .values = hq_state_lower,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REPEAT,
     .help = "Show only jobs in these states."},
};

int
cmd_job_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_list_args *args = p->args;
    struct job_set_query q = {.state_mask = args->filter};
    if (!args->all && args->filter == 0) {
        q.state_mask = 1u << HQ_STATE_WAITING | 1u << HQ_STATE_RUNNING | 1u << HQ_STATE_OPENED;
        q.plus_open = true;
    }
    struct job_set set;
    int rc = job_fetch_set(cli, &q, &set, &cli->arena, err);
    if (rc == 0) {
        struct job_list_print l = {
            .jobs = set.v, .count = set.count, .total_count = set.total_count, .is_verbose = args->verbose};
        job_print_list(&cli->out, &l);
    }
    return rc;
}

int
cmd_job_summary_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p;
    struct job_set set;
    int rc = job_fetch_set(cli, &(struct job_set_query){0}, &set, &cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    uint64_t counts[HQ_STATES] = {0};
    for (size_t ix = 0; ix < set.count; ix++) {
        counts[follow_job_state(set.v[ix])]++;
    }
    job_print_summary(&cli->out, counts);
    return 0;
}
