#include "hq/client.h"
#include "hq/cmd_task.h"
#include "hq/explain_print.h"

const struct hq_opt task_explain_opts[TASK_EXPLAIN_OPTS] = {
    {.name = "job_selector",
     .hint = "JOB_SELECTOR",
     .parse = selector_parse_one,
     .at = offsetof(struct task_explain_args, job),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Job: last, or an id."},
    {.name = "task_id",
     .hint = "TASK_ID",
     .parse = hq_opt_id,
     .at = offsetof(struct task_explain_args, task),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Task."},
};

int
cmd_task_explain_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct task_explain_args *args = p->args;
    Hq__TaskExplain req = HQ__TASK_EXPLAIN__INIT;
    req.is_last = args->job.kind == HQ_SELECT_LAST;
    req.job = req.is_last ? 0 : hq_ranges_at(&args->job.ids, 0);
    req.task = args->task;
    ProtobufCMessage *answer = NULL;
    int rc = client_call(cli,
                         &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_TASK_EXPLAIN,
                                                .request = &req.base,
                                                .answer_type = HQ__MESSAGE_TYPE__TYPE_TASK_EXPLAIN_ANSWER,
                                                .answer = &hq__task_explain_answer__descriptor},
                         &answer, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__TaskExplainAnswer *a = (const Hq__TaskExplainAnswer *)(const void *)answer;
    if (cli->out.mode == HQ_OUT_JSON) {
        explain_print_json(&cli->out, a);
    } else if (cli->out.mode == HQ_OUT_CLI) {
        explain_print_table(&cli->out, a);
    }
    return 0;
}
