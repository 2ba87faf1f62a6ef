/* alloc status: what automatic allocation does right now, and what came of it. */
#include "hq/cmd_alloc.h"

#include "common/clock.h"
#include "common/num.h"
#include "common/out_json.h"
#include "common/out_table.h"
#include "hq/client.h"

static struct hq_str
text_of(ProtobufCBinaryData d)
{
    return hq_str_make((const char *)d.data, d.len);
}

static double
hours(uint64_t ms)
{
    return (double)ms / 3600000.0;
}

static uint64_t
idle_ms(const Hq__AllocQueueInfo *q)
{
    return q->granted_ms > q->used_ms ? q->granted_ms - q->used_ms : 0;
}

static void
daemon_text(const Hq__AllocListAnswer *a, struct hq_buf *b)
{
    struct hq_str problem = text_of(a->allocd_problem);
    if (a->is_allocd_there) {
        hq_buf_printf(b, "running, pid %u", a->allocd_pid);
    } else {
        hq_buf_cstr(b, a->n_queues == 0 ? "not needed" : "not running");
    }
    if (problem.len > 0) {
        hq_buf_printf(b, "; %.*s", HQ_STR_FMT(problem));
    }
}

static void
print_queue(const Hq__AllocQueueInfo *q, const Hq__AllocListAnswer *a, struct hq_out *out)
{
    HQ_AUTO(hq_table_fini) struct hq_table t;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_table_init_vertical(&t);
    hq_table_rowf(&t, "Queue", "%u", q->queue);
    struct hq_str reason = text_of(q->pause_reason);
    hq_buf_cstr(&b, q->is_paused ? "PAUSED" : "ACTIVE");
    if (reason.len > 0) {
        hq_buf_printf(&b, ": %.*s", HQ_STR_FMT(reason));
    }
    hq_table_row(&t, "State", hq_buf_view(&b), HQ_COLOR_NONE);
    hq_table_rowf(&t, "Allocations", "%u queued, %u running", q->queued_count, q->running_count);
    hq_table_rowf(&t, "Failures in a row", "%u submissions, %u allocations", q->submit_fails, q->alloc_fails);
    hq_buf_clear(&b);
    if (q->next_attempt_ms > a->now_ms) {
        hq_date_local(&b, (hq_wall_ms)q->next_attempt_ms, hq_clock_utc_offset_s((hq_wall_ms)q->next_attempt_ms));
    } else {
        hq_buf_cstr(&b, "when tasks need it");
    }
    hq_table_row(&t, "Next attempt", hq_buf_view(&b), HQ_COLOR_NONE);
    hq_table_rowf(&t, "Node-hours", "%.2f granted, %.2f used, %.2f idle", hours(q->granted_ms), hours(q->used_ms),
                  hours(idle_ms(q)));
    if (q->last_error.len > 0) {
        hq_table_row(&t, "Last error", text_of(q->last_error), HQ_COLOR_NONE);
    }
    for (size_t i = 0; i < q->n_allocations; i++) {
        const Hq__AllocationInfo *m = q->allocations[i];
        if (m->reason.len == 0) {
            continue;
        }
        struct hq_str id = text_of(m->allocation_id);
        struct hq_str why = text_of(m->reason);
        hq_table_rowf(&t, "Waits", "%.*s %.*s%s", HQ_STR_FMT(id), HQ_STR_FMT(why),
                      m->is_reason_permanent ? " (may never start)" : "");
    }
    hq_table_print(&t, out);
}

static void
json_queue(struct hq_json *j, const Hq__AllocQueueInfo *q)
{
    hq_json_object(j);
    hq_json_put_u64(j, "alloc_fails", q->alloc_fails);
    hq_json_key(j, "granted_node_hours");
    hq_json_f64(j, hours(q->granted_ms));
    hq_json_put_u64(j, "id", q->queue);
    hq_json_key(j, "idle_node_hours");
    hq_json_f64(j, hours(idle_ms(q)));
    hq_json_key(j, "last_error");
    if (q->last_error.len > 0) {
        hq_json_str(j, text_of(q->last_error));
    } else {
        hq_json_null(j);
    }
    hq_json_put_time(j, "next_attempt_at", (hq_wall_ms)q->next_attempt_ms);
    hq_json_key(j, "pause_reason");
    if (q->pause_reason.len > 0) {
        hq_json_str(j, text_of(q->pause_reason));
    } else {
        hq_json_null(j);
    }
    hq_json_put_u64(j, "queued", q->queued_count);
    hq_json_put_u64(j, "running", q->running_count);
    hq_json_put_strz(j, "state", q->is_paused ? "Paused" : "Active");
    hq_json_put_u64(j, "submit_fails", q->submit_fails);
    hq_json_key(j, "used_node_hours");
    hq_json_f64(j, hours(q->used_ms));
    hq_json_key(j, "waiting");
    hq_json_array(j);
    for (size_t i = 0; i < q->n_allocations; i++) {
        const Hq__AllocationInfo *m = q->allocations[i];
        if (m->reason.len > 0) {
            hq_json_object(j);
            hq_json_put_str(j, "id", text_of(m->allocation_id));
            hq_json_put_bool(j, "is_permanent", m->is_reason_permanent);
            hq_json_put_str(j, "reason", text_of(m->reason));
            hq_json_object_end(j);
        }
    }
    hq_json_array_end(j);
    hq_json_object_end(j);
}

static void
print_json(const Hq__AllocListAnswer *a, struct hq_out *out)
{
    struct hq_json j;
    hq_json_begin_document(&j, out);
    hq_json_object(&j);
    hq_json_key(&j, "daemon");
    hq_json_object(&j);
    hq_json_put_bool(&j, "is_running", a->is_allocd_there);
    hq_json_put_u64(&j, "pid", a->allocd_pid);
    hq_json_key(&j, "problem");
    if (a->allocd_problem.len > 0) {
        hq_json_str(&j, text_of(a->allocd_problem));
    } else {
        hq_json_null(&j);
    }
    hq_json_object_end(&j);
    hq_json_key(&j, "queues");
    hq_json_array(&j);
    for (size_t i = 0; i < a->n_queues; i++) {
        json_queue(&j, a->queues[i]);
    }
    hq_json_array_end(&j);
    hq_json_object_end(&j);
    hq_json_end_document(&j, out);
}

int
cmd_alloc_status_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct alloc_queue_args *args = p->args;
    Hq__AllocList req = HQ__ALLOC_LIST__INIT;
    req.queue = args->queue;
    req.with_status = true;
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_ALLOC_LIST,
                             .request = &req.base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_ALLOC_LIST_ANSWER,
                             .answer = &hq__alloc_list_answer__descriptor};
    ProtobufCMessage *msg = NULL;
    int rc = client_call(cli, &q, &msg, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__AllocListAnswer *a = (const Hq__AllocListAnswer *)(const void *)msg;
    if (hq_parsed_given(p, "QUEUE") && (a->n_queues != 1 || args->queue == 0)) {
        return hq_err_set(err, -ENOENT, "Error: Queue %u not found", args->queue);
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    switch (cli->out.mode) {
    case HQ_OUT_CLI:
        daemon_text(a, &b);
        hq_out_line(&cli->out, "Automatic allocation: %s", b.ptr);
        for (size_t i = 0; i < a->n_queues; i++) {
            print_queue(a->queues[i], a, &cli->out);
        }
        break;
    case HQ_OUT_JSON:
        print_json(a, &cli->out);
        break;
    case HQ_OUT_QUIET:
        for (size_t i = 0; i < a->n_queues; i++) {
            hq_out_line(&cli->out, "%u %s", a->queues[i]->queue, a->queues[i]->is_paused ? "PAUSED" : "ACTIVE");
        }
        break;
    }
    return 0;
}
