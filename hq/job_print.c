#include "hq/job_print.h"

#include "common/out_quiet.h"
#include "common/out_table.h"
#include "hq/desc_print.h"
#include "hq/follow.h"

#include <stdio.h>

#define NAME_BYTES_MAX 50 /* of a name in lists */

static void
print_id_document(struct hq_out *out, uint32_t job)
{
    struct hq_json j;
    hq_json_begin_document(&j, out);
    hq_json_object(&j);
    hq_json_put_u64(&j, "id", job);
    hq_json_object_end(&j);
    hq_json_end_document(&j, out);
}

void
job_print_submitted(struct hq_out *out, uint32_t job)
{
    switch (out->mode) {
    case HQ_OUT_CLI:
        hq_out_text(out, "Job submitted ");
        hq_out_word(out, HQ_COLOR_GREEN, "successfully");
        hq_out_line(out, ", job ID: %u", job);
        break;
    case HQ_OUT_JSON:
        print_id_document(out, job);
        break;
    case HQ_OUT_QUIET:
        hq_quiet_id(out, job);
        break;
    }
}

void
job_print_opened(struct hq_out *out, uint32_t job)
{
    char id[16];
    (void)snprintf(id, sizeof id, "%u", job);
    switch (out->mode) {
    case HQ_OUT_CLI:
        hq_out_text(out, "Job ");
        hq_out_word(out, HQ_COLOR_GREEN, id);
        hq_out_text(out, " is open.\n");
        break;
    case HQ_OUT_JSON:
        print_id_document(out, job);
        break;
    case HQ_OUT_QUIET:
        hq_quiet_id(out, job);
        break;
    }
}

/* ---- job list */

static void
list_table(struct hq_out *out, const struct job_list_print *l)
{
    static const struct hq_column columns[] = {
        {"ID", HQ_COLUMN_RIGHT}, {"Name", 0}, {"State", 0}, {"Tasks", 0}, {"Cancel Reason", 0}};
    HQ_AUTO(hq_table_fini) struct hq_table t;
    hq_table_init(&t, columns, l->is_verbose ? 5 : 4);
    bool has_open = false;
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
    for (size_t ix = 0; ix < l->count; ix++) {
        const Hq__JobInfo *job = l->jobs[ix];
        enum hq_task_state state = follow_job_state(job);
        has_open = has_open || job->is_open;
        hq_buf_clear(&name);
        hq_fmt_middle_cut(&name, desc_str(job->name), NAME_BYTES_MAX);
        hq_table_addf(&t, "%s%u", job->is_open ? "*" : "", job->job);
        hq_table_add(&t, hq_buf_view(&name), HQ_COLOR_NONE);
        hq_table_add(&t, hq_str_from(hq_state_word(state)), hq_state_color(state));
        hq_table_addf(&t, "%llu", (unsigned long long)follow_task_count(job));
        if (l->is_verbose) {
            hq_table_add(&t, job->has_cancel_reason ? desc_str(job->cancel_reason) : HQ_STR_NULL, HQ_COLOR_NONE);
        }
    }
    hq_table_print(&t, out);
    if (has_open) {
        hq_out_text(out, "* = Open jobs\n");
    }
    if (l->count < l->total_count) {
        bool is_one = l->total_count == 1;
        hq_out_line(out, "There %s %llu job%s in total. Use `--all` to display all jobs.", is_one ? "is" : "are",
                    (unsigned long long)l->total_count, is_one ? "" : "s");
    }
}

void
job_json_info(struct hq_json *j, const Hq__JobInfo *job)
{
    static const Hq__JobCounts none = HQ__JOB_COUNTS__INIT;
    const Hq__JobCounts *c = job->counts != NULL ? job->counts : &none;
    hq_json_object(j);
    hq_json_key(j, "cancel_reason");
    if (job->has_cancel_reason) {
        hq_json_str(j, desc_str(job->cancel_reason));
    } else {
        hq_json_null(j);
    }
    hq_json_put_u64(j, "id", job->job);
    hq_json_put_bool(j, "is_open", job->is_open);
    hq_json_put_str(j, "name", desc_str(job->name));
    hq_json_put_u64(j, "task_count", follow_task_count(job));
    hq_json_key(j, "task_stats");
    hq_json_object(j);
    hq_json_put_u64(j, "aborted", c->aborted);
    hq_json_put_u64(j, "canceled", c->canceled);
    hq_json_put_u64(j, "failed", c->failed);
    hq_json_put_u64(j, "finished", c->finished);
    hq_json_put_u64(j, "running", c->running);
    hq_json_put_u64(j, "waiting", c->waiting);
    hq_json_object_end(j);
    hq_json_object_end(j);
}

void
job_print_list(struct hq_out *out, const struct job_list_print *l)
{
    struct hq_json j;
    switch (out->mode) {
    case HQ_OUT_CLI:
        list_table(out, l);
        break;
    case HQ_OUT_JSON:
        hq_json_begin_document(&j, out);
        hq_json_array(&j);
        for (size_t ix = 0; ix < l->count; ix++) {
            job_json_info(&j, l->jobs[ix]);
        }
        hq_json_array_end(&j);
        hq_json_end_document(&j, out);
        break;
    case HQ_OUT_QUIET:
        for (size_t ix = 0; ix < l->count; ix++) {
            hq_quiet_id_state(out, l->jobs[ix]->job, hq_state_word(follow_job_state(l->jobs[ix])));
        }
        break;
    }
}

/* ---- job summary */

void
job_print_summary(struct hq_out *out, const uint64_t counts[HQ_STATES])
{
    static const enum hq_task_state order[] = {HQ_STATE_RUNNING, HQ_STATE_WAITING,  HQ_STATE_FINISHED, HQ_STATE_FAILED,
                                               HQ_STATE_ABORTED, HQ_STATE_CANCELED, HQ_STATE_OPENED};
    static const enum hq_task_state by_title[] = {HQ_STATE_ABORTED,  HQ_STATE_CANCELED, HQ_STATE_FAILED,
                                                  HQ_STATE_FINISHED, HQ_STATE_OPENED,   HQ_STATE_RUNNING,
                                                  HQ_STATE_WAITING};
    _Static_assert(HQ_ARRAY_LEN(order) == HQ_STATES && HQ_ARRAY_LEN(by_title) == HQ_STATES, "every state");
    /* Opened jobs have a row only if there are any: scripts count the six others. */
    if (out->mode == HQ_OUT_JSON) {
        struct hq_json j;
        hq_json_begin_document(&j, out);
        hq_json_object(&j);
        for (size_t ix = 0; ix < HQ_STATES; ix++) {
            if (by_title[ix] != HQ_STATE_OPENED || counts[HQ_STATE_OPENED] > 0) {
                hq_json_put_u64(&j, hq_state_title(by_title[ix]), counts[by_title[ix]]);
            }
        }
        hq_json_object_end(&j);
        hq_json_end_document(&j, out);
        return;
    }
    static const struct hq_column columns[] = {{"Status", 0}, {"Count", HQ_COLUMN_RIGHT}};
    HQ_AUTO(hq_table_fini) struct hq_table t;
    hq_table_init(&t, columns, 2);
    for (size_t ix = 0; ix < HQ_STATES; ix++) {
        enum hq_task_state s = order[ix];
        if (s == HQ_STATE_OPENED && counts[s] == 0) {
            continue;
        }
        if (out->mode == HQ_OUT_QUIET) {
            hq_quiet_count(out, hq_state_word(s), counts[s]);
        } else {
            hq_table_add(&t, hq_str_from(hq_state_word(s)), hq_state_color(s));
            hq_table_addf(&t, "%llu", (unsigned long long)counts[s]);
        }
    }
    if (out->mode == HQ_OUT_CLI) {
        hq_table_print(&t, out);
    }
}
