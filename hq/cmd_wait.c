#include "hq/cmd_wait.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"
#include "hq/job_fetch.h"
#include "hq/progress.h"

#define W(field) offsetof(struct job_wait_args, field)
#define P(field) offsetof(struct job_progress_args, field)
#define SELECTOR_HELP "Jobs: last, all, or IDs as in 1-3,7."
#define FAIL_HELP "Exit status 1 if a job failed or was canceled."

const struct hq_opt job_wait_opts[JOB_WAIT_OPTS] = {
    {.name = "SELECTOR",
     .parse = selector_parse,
     .at = W(jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = SELECTOR_HELP},
    {.name = "without-close",
     .at = W(without_close),
     .help = "Ends when all tasks have ended, though a job may be open."},
    {.name = "fail", .at = W(fail), .help = FAIL_HELP},
};
const struct hq_opt job_progress_opts[JOB_PROGRESS_OPTS] = {
    {.name = "SELECTOR",
     .parse = selector_parse,
     .at = P(jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = SELECTOR_HELP},
    {.name = "fail", .at = P(fail), .help = FAIL_HELP},
};
const struct hq_opt old_wait_opts[OLD_WAIT_OPTS] = {
    {.name = "SELECTOR",
     .parse = selector_parse,
     .at = P(jobs),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = SELECTOR_HELP},
};

static bool
all_done(const struct follow *f, bool without_close)
{
    for (size_t ix = 0; ix < f->state->n_jobs; ix++) {
        const Hq__JobInfo *job = f->state->jobs[ix];
        if (!(without_close ? follow_is_terminated(job) : follow_is_completed(job))) {
            return false;
        }
    }
    return true;
}

static void
log_missing(const struct follow *f)
{
    for (size_t ix = 0; ix < f->state->n_not_found; ix++) {
        hq_log_error("Job %u not found", f->state->not_found[ix]);
    }
}

/* Leaves the last state in *f. */
static int
wait_until(struct follow *f, bool without_close, struct hq_err *err)
{
    int rc = follow_next(f, 0, err);
    if (rc == 0) {
        log_missing(f);
    }
    while (rc == 0 && !all_done(f, without_close)) {
        rc = follow_next(f, 0, err);
    }
    return rc;
}

static int
fail_text(struct hq_err *err)
{
    return hq_err_set(err, -ECANCELED, "Some jobs have failed or have been canceled");
}

static bool
is_bad(const Hq__JobInfo *job)
{
    enum hq_task_state s = follow_job_state(job);
    return s == HQ_STATE_FAILED || s == HQ_STATE_CANCELED || s == HQ_STATE_ABORTED;
}

int
wait_for_jobs(struct hq_cli *cli, const struct hq_selector *jobs, bool without_close, bool with_fail,
              struct hq_err *err)
{
    struct follow f;
    follow_init(&f, cli, jobs);
    int rc = wait_until(&f, without_close, err);
    for (size_t ix = 0; rc == 0 && with_fail && ix < f.state->n_jobs; ix++) {
        rc = is_bad(f.state->jobs[ix]) ? fail_text(err) : 0;
    }
    follow_fini(&f);
    return rc;
}

int
cmd_job_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_wait_args *args = p->args;
    return wait_for_jobs(cli, &args->jobs, args->without_close, args->fail, err);
}

int
cmd_job_progress_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_progress_args *args = p->args;
    bool has_failed = false;
    bool has_canceled = false;
    int rc = progress_run(cli, &args->jobs, PROGRESS_NOW, &has_failed, &has_canceled, err);
    return rc == 0 && args->fail && (has_failed || has_canceled) ? fail_text(err) : rc;
}

/* ---- the forms of 0.18 */

struct outcome { /* of hq wait */
    uint64_t finished, failed, canceled, invalid;
    int64_t duration_ms;
};

static void
print_outcome(struct hq_out *out, const struct outcome *o)
{
    const struct {
        uint64_t count;
        const char *word;
    } parts[] = {{o->finished, "finished"}, {o->failed, "failed"}, {o->canceled, "canceled"}, {o->invalid, "invalid"}};
    HQ_AUTO(hq_buf_fini) struct hq_buf span = HQ_BUF_INIT;
    hq_duration_print(&span, hq_ns_from_ms(o->duration_ms));
    hq_out_printf(out, "Wait finished in %s: ", span.ptr);
    bool has_one = false;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(parts); ix++) {
        if (parts[ix].count > 0) {
            hq_out_printf(out, "%s%llu job%s %s", has_one ? ", " : "", (unsigned long long)parts[ix].count,
                          parts[ix].count == 1 ? "" : "s", parts[ix].word);
            has_one = true;
        }
    }
    hq_out_text(out, "\n");
}

static void
json_outcome(struct hq_out *out, const struct outcome *o)
{
    struct hq_json j;
    hq_json_begin_document(&j, out);
    hq_json_object(&j);
    hq_json_put_u64(&j, "canceled", o->canceled);
    hq_json_put_seconds(&j, "duration", o->duration_ms);
    hq_json_put_u64(&j, "failed", o->failed);
    hq_json_put_u64(&j, "finished", o->finished);
    hq_json_put_u64(&j, "invalid", o->invalid);
    hq_json_object_end(&j);
    hq_json_end_document(&j, out);
}

static int
print_failed_jobs(struct hq_cli *cli, const struct follow *f, struct hq_err *err)
{
    int rc = 0;
    for (size_t ix = 0; rc == 0 && ix < f->state->n_jobs; ix++) {
        if (f->state->jobs[ix]->counts == NULL || f->state->jobs[ix]->counts->failed == 0) {
            continue;
        }
        struct job_detail d = {0};
        bool is_found = false;
        rc = job_fetch_detail(cli, f->state->jobs[ix]->job, false, &d, &is_found, &cli->arena, err);
        if (rc == 0 && is_found) {
            job_print_failed(&cli->out, d.answer);
        }
    }
    return rc;
}

static struct outcome
count_outcome(const struct follow *f)
{
    struct outcome o = {.invalid = f->state->n_not_found};
    for (size_t ix = 0; ix < f->state->n_jobs; ix++) {
        enum hq_task_state s = follow_job_state(f->state->jobs[ix]);
        o.failed += s == HQ_STATE_FAILED;
        o.canceled += s == HQ_STATE_CANCELED || s == HQ_STATE_ABORTED;
        o.finished += s == HQ_STATE_FINISHED;
    }
    return o;
}

int
cmd_old_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_progress_args *args = p->args;
    hq_ms start_ms = hq_clock_ms();
    struct follow f;
    follow_init(&f, cli, &args->jobs);
    int rc = wait_until(&f, false, err);
    if (rc == 0) {
        struct outcome o = count_outcome(&f);
        o.duration_ms = hq_clock_ms() - start_ms;
        switch (cli->out.mode) {
        case HQ_OUT_CLI:
            rc = print_failed_jobs(cli, &f, err);
            print_outcome(&cli->out, &o);
            break;
        case HQ_OUT_JSON:
            json_outcome(&cli->out, &o);
            break;
        case HQ_OUT_QUIET:
            break;
        }
        if (rc == 0 && o.failed + o.canceled > 0) {
            rc = fail_text(err);
        }
    }
    follow_fini(&f);
    return rc;
}

int
cmd_old_progress_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct job_progress_args *args = p->args;
    bool has_failed = false;
    bool has_canceled = false;
    int rc = progress_run(cli, &args->jobs, PROGRESS_OLD, &has_failed, &has_canceled, err);
    if (rc == 0 && has_failed) {
        return hq_err_set(err, -ECANCELED, "Some jobs have failed");
    }
    if (rc == 0 && has_canceled) {
        return hq_err_set(err, -ECANCELED, "Some jobs were canceled");
    }
    return rc;
}
