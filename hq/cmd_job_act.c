#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq/client.h"
#include "hq/cmd_job.h"
#include "hq/desc_print.h"
#include "hq/job_print.h"
#include "hq/submit_args.h"

#include <stdio.h>
#include <unistd.h>

/* ---- options */

static int
parse_reason(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    if (value.len > HQ_REASON_BYTES_MAX) {
        return hq_err_set(err, -EINVAL, "Cancel reason must be shorter than %u you entered %zu.", HQ_REASON_BYTES_MAX,
                          value.len);
    }
    return hq_opt_str(opt, value, target, arena, err);
}

#define SELECTOR_ROW(type, text)                                                                                       \
    {                                                                                                                  \
        .name = "selector", .hint = "SELECTOR", .parse = selector_parse, .at = offsetof(struct type, jobs),            \
        .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED, .help = text                                                     \
    }

const struct hq_opt job_cancel_opts[JOB_CANCEL_OPTS] = {
    SELECTOR_ROW(job_cancel_args, "Jobs to cancel: last, all (those that wait or run), or ids like 1-3,7."),
    {.name = "reason",
     .parse = parse_reason,
     .at = offsetof(struct job_cancel_args, reason),
     .help = "Text that is kept with the job; at most 200 bytes."},
};

static const char *const forget_words[] = {"finished", "failed", "aborted", "canceled", NULL};
static const uint8_t forget_states[] = {HQ__JOB_STATE__JOB_FINISHED, HQ__JOB_STATE__JOB_FAILED,
                                        HQ__JOB_STATE__JOB_ABORTED, HQ__JOB_STATE__JOB_CANCELED};
_Static_assert(HQ_ARRAY_LEN(forget_states) + 1 == HQ_ARRAY_LEN(forget_words), "a state for each word");

const struct hq_opt job_forget_opts[JOB_FORGET_OPTS] = {
    SELECTOR_ROW(job_forget_args, "Jobs to forget: last, all, or ids like 1-3,7."),
    {.name = "filter",
     .parse = hq_opt_words,
     .at = offsetof(struct job_forget_args, filter),
     .values = forget_words,
     .flags = HQ_OPT_REPEAT,
     .help = "Forget only jobs in these states; all four by default."},
    {.name = "status",
     .parse = hq_opt_words,
     .at = offsetof(struct job_forget_args, filter),
     .values = forget_words,
     .instead = "--filter",
     .flags = HQ_OPT_REPEAT | HQ_OPT_OLD | HQ_OPT_HIDDEN,
     .help = "Older spelling of --filter."},
};

const struct hq_opt job_open_opts[JOB_OPEN_OPTS] = {
    {.name = "name",
     .parse = hq_opt_str,
     .at = offsetof(struct job_open_args, name),
     .def = "job",
     .help = "Name of the job."},
    {.name = "max-fails",
     .parse = hq_opt_u32,
     .at = offsetof(struct job_open_args, max_fails),
     .help = "Abort the job's other tasks once more than this many have failed."},
};

/* ---- cancel and close: one log line a job */

typedef void (*log_result_fn)(const Hq__JobResult *r);

static void
log_canceled(const Hq__JobResult *r)
{
    switch (r->kind) {
    case HQ__JOB_RESULT_KIND__JOB_RESULT_DONE:
        hq_log_info("Job %u canceled (%llu tasks canceled, %llu tasks already finished)", r->job,
                    (unsigned long long)r->canceled, (unsigned long long)r->ended_before);
        break;
    case HQ__JOB_RESULT_KIND__JOB_RESULT_NOT_FOUND:
        hq_log_error("Canceling job %u failed; job not found", r->job);
        break;
    case HQ__JOB_RESULT_KIND__JOB_RESULT_NOTHING_LEFT:
        hq_log_error("Canceling job %u failed; all tasks are already finished", r->job);
        break;
    default: /* refused, and kinds of later versions */
        hq_log_error("Canceling job %u failed; %.*s", r->job, HQ_STR_FMT(desc_str(r->text)));
        break;
    }
}

static void
log_closed(const Hq__JobResult *r)
{
    switch (r->kind) {
    case HQ__JOB_RESULT_KIND__JOB_RESULT_DONE:
        hq_log_info("Job %u closed", r->job);
        break;
    case HQ__JOB_RESULT_KIND__JOB_RESULT_NOT_FOUND:
        hq_log_error("Closing job %u failed; job not found", r->job);
        break;
    case HQ__JOB_RESULT_KIND__JOB_RESULT_NOTHING_LEFT:
        hq_log_error("Closing job %u failed; job is already closed", r->job);
        break;
    default: /* refused, and kinds of later versions */
        hq_log_error("Closing job %u failed; %.*s", r->job, HQ_STR_FMT(desc_str(r->text)));
        break;
    }
}

static int
ask_results(struct hq_cli *cli, uint16_t type, const ProtobufCMessage *req, const char *verb, log_result_fn log_result,
            struct hq_err *err)
{
    ProtobufCMessage *answer = NULL;
    int rc = client_call(cli,
                         &(struct client_query){.type = type,
                                                .request = req,
                                                .answer_type = HQ__MESSAGE_TYPE__TYPE_JOB_RESULTS,
                                                .answer = &hq__job_results__descriptor},
                         &answer, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__JobResults *a = (const Hq__JobResults *)(const void *)answer;
    for (size_t ix = 0; ix < a->n_results; ix++) {
        log_result(a->results[ix]);
    }
    if (a->n_results == 0) {
        hq_log_info("There is nothing to %s", verb);
    }
    return 0;
}

int
cmd_job_cancel_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_cancel_args *args = p->args;
    Hq__JobCancel req = HQ__JOB_CANCEL__INIT;
    req.jobs = selector_wire(&args->jobs, &cli->arena);
    req.has_reason = hq_parsed_given(p, "reason");
    req.reason = desc_bytes(args->reason);
    return ask_results(cli, HQ__MESSAGE_TYPE__TYPE_JOB_CANCEL, &req.base, "cancel", log_canceled, err);
}

int
cmd_job_close_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_select_args *args = p->args;
    Hq__JobSelect req = HQ__JOB_SELECT__INIT;
    req.jobs = selector_wire(&args->jobs, &cli->arena);
    return ask_results(cli, HQ__MESSAGE_TYPE__TYPE_JOB_CLOSE, &req.base, "close", log_closed, err);
}

/* ---- forget */

int
cmd_job_forget_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_forget_args *args = p->args;
    Hq__JobForget req = HQ__JOB_FORGET__INIT;
    uint32_t states[HQ_ARRAY_LEN(forget_states)];
    req.jobs = selector_wire(&args->jobs, &cli->arena);
    req.states = states;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(forget_states); ix++) {
        if (args->filter == 0 || (args->filter & (1u << ix)) != 0) {
            states[req.n_states++] = forget_states[ix];
        }
    }
    ProtobufCMessage *answer = NULL;
    int rc = client_call(cli,
                         &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_JOB_FORGET,
                                                .request = &req.base,
                                                .answer_type = HQ__MESSAGE_TYPE__TYPE_JOB_FORGOTTEN,
                                                .answer = &hq__job_forgotten__descriptor},
                         &answer, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__JobForgotten *a = (const Hq__JobForgotten *)(const void *)answer;
    char ignored[96] = "";
    if (a->ignored > 0) {
        (void)snprintf(ignored, sizeof ignored, ", %llu were ignored due to wrong state or invalid ID",
                       (unsigned long long)a->ignored);
    }
    hq_log_info("%llu job%s were forgotten%s", (unsigned long long)a->forgotten, a->forgotten == 1 ? "" : "s", ignored);
    return 0;
}

/* ---- open */

int
cmd_job_open_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_open_args *args = p->args;
    int rc = client_prepare(cli, err);
    if (rc == 0) {
        rc = submit_check_name(args->name, err);
    }
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_mem_freep) char *dir = getcwd(NULL, 0);
    if (dir == NULL) {
        return hq_err_sys(err, -errno, "Cannot get the current directory");
    }
    Hq__JobOpen req = HQ__JOB_OPEN__INIT;
    req.name = desc_bytes(args->name);
    req.has_max_fails = hq_parsed_given(p, "max-fails");
    req.max_fails = args->max_fails;
    req.submit_dir = desc_bytes(hq_str_from(dir));
    ProtobufCMessage *answer = NULL;
    rc = client_call(cli,
                     &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_JOB_OPEN,
                                            .request = &req.base,
                                            .answer_type = HQ__MESSAGE_TYPE__TYPE_SUBMITTED,
                                            .answer = &hq__submitted__descriptor},
                     &answer, err);
    if (rc == 0) {
        job_print_opened(&cli->out, ((const Hq__Submitted *)(const void *)answer)->job);
    }
    return rc;
}
