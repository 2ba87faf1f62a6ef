#include "hq/task_page.h"

#include "hq/client.h"
#include "hq/desc_print.h"
#include "hq/selector_wire.h"

_Static_assert((int)HQ_STATE_WAITING == HQ__TASK_STATE__TASK_WAITING &&
                   (int)HQ_STATE_RUNNING == HQ__TASK_STATE__TASK_RUNNING &&
                   (int)HQ_STATE_FINISHED == HQ__TASK_STATE__TASK_FINISHED &&
                   (int)HQ_STATE_FAILED == HQ__TASK_STATE__TASK_FAILED &&
                   (int)HQ_STATE_CANCELED == HQ__TASK_STATE__TASK_CANCELED &&
                   (int)HQ_STATE_ABORTED == HQ__TASK_STATE__TASK_ABORTED,
               "task states have the numbers of the wire");

void
task_pages_init(struct task_pages *p, struct hq_cli *cli, uint32_t job, const struct task_filter *filter)
{
    *p = (struct task_pages){.cli = cli, .job = job, .filter = *filter};
    hq_arena_init(&p->arena, 0);
}

void
task_pages_fini(struct task_pages *p)
{
    hq_arena_fini(&p->arena);
    hq_ranges_fini(&p->ids);
}

/* A column is empty (all 0), or has one value a row; descriptions may have one for all. */
static bool
is_column(size_t count, size_t rows)
{
    return count == 0 || count == rows;
}

int
task_pages_open(struct task_pages *p, const Hq__TaskPageAnswer *a, struct hq_err *err)
{
    struct hq_ranges ids = HQ_RANGES_INIT;
    int rc = a->ids != NULL ? selector_ranges_read(&ids, a->ids, err) : 0;
    if (rc < 0) {
        return rc;
    }
    uint64_t rows = hq_ranges_size(&ids);
    bool is_sound = rows == a->states.len && is_column(a->n_instance, rows) && is_column(a->n_worker, rows) &&
                    is_column(a->n_started, rows) && is_column(a->has_start.len, rows) &&
                    is_column(a->n_duration_ms, rows) && (a->n_desc_id == 1 || is_column(a->n_desc_id, rows));
    if (!is_sound) {
        hq_ranges_fini(&ids);
        return hq_err_set(err, -EPROTO, "The server's answer cannot be read: columns of different length");
    }
    hq_ranges_fini(&p->ids);
    p->ids = ids;
    p->iter = hq_ranges_iter(&p->ids);
    p->answer = a;
    p->row = p->error_ix = p->deps_ix = p->nodes_ix = 0;
    p->last_start_ms = 0;
    p->is_last = !a->has_more;
    return 1;
}

int
task_pages_next(struct task_pages *p, struct hq_err *err)
{
    if (p->is_last) {
        return 0;
    }
    Hq__TaskPageRequest req = HQ__TASK_PAGE_REQUEST__INIT;
    req.job = p->job;
    req.state_mask = p->filter.state_mask;
    req.ids_only = p->filter.ids_only;
    req.with_deps = p->filter.with_deps;
    if (p->answer != NULL && p->ids.count > 0) {
        const struct hq_range *last = &p->ids.v[p->ids.count - 1]; /* sorted runs: the page's last id is here */
        req.has_after = true;
        req.after_task = hq_range_last(last);
    }
    hq_arena_reset(&p->arena);
    if (p->filter.ids != NULL) {
        req.has_ids = true;
        req.ids = selector_ranges_wire(p->filter.ids, &p->arena);
    }
    ProtobufCMessage *answer = NULL;
    int rc = client_call(p->cli,
                         &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_TASK_PAGE,
                                                .request = &req.base,
                                                .answer_type = HQ__MESSAGE_TYPE__TYPE_TASK_PAGE_ANSWER,
                                                .answer = &hq__task_page_answer__descriptor,
                                                .arena = &p->arena},
                         &answer, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__TaskPageAnswer *a = (const Hq__TaskPageAnswer *)(const void *)answer;
    if (a->has_more && a->states.len == 0) {
        return hq_err_set(err, -EPROTO, "The server's answer cannot be read: an empty page that is not the last");
    }
    return task_pages_open(p, a, err);
}

struct hq_str
task_pages_host(const struct task_pages *p, uint32_t worker)
{
    size_t lo = 0;
    size_t hi = p->answer->n_workers; /* ascending by worker */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->answer->workers[mid]->worker < worker) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    bool is_there = lo < p->answer->n_workers && p->answer->workers[lo]->worker == worker;
    return is_there ? desc_str(p->answer->workers[lo]->host) : HQ_STR("N/A");
}

/* Times are columns of differences; both lists below are ascending by task, as the rows are. */
static void
fill_times(struct task_pages *p, struct task_row *row)
{
    const Hq__TaskPageAnswer *a = p->answer;
    unsigned flag = p->row < a->has_start.len ? a->has_start.data[p->row] : 0;
    if (flag == 0 || p->row >= a->n_started) {
        return;
    }
    p->last_start_ms += a->started[p->row];
    row->started_ms = p->last_start_ms;
    if (flag == 2 && p->row < a->n_duration_ms) {
        row->ended_ms = row->started_ms + (hq_wall_ms)a->duration_ms[p->row];
    }
}

static void
fill_lists(struct task_pages *p, struct task_row *row)
{
    const Hq__TaskPageAnswer *a = p->answer;
    while (p->error_ix < a->n_errors && a->errors[p->error_ix]->task < row->id) {
        p->error_ix++;
    }
    if (p->error_ix < a->n_errors && a->errors[p->error_ix]->task == row->id) {
        row->has_error = true;
        row->error = desc_str(a->errors[p->error_ix]->text);
        row->failed_ms = (hq_wall_ms)a->errors[p->error_ix]->at_ms;
    }
    while (p->deps_ix < a->n_deps && a->deps[p->deps_ix]->task < row->id) {
        p->deps_ix++;
    }
    if (p->deps_ix < a->n_deps && a->deps[p->deps_ix]->task == row->id) {
        row->deps = a->deps[p->deps_ix]->deps;
        row->dep_count = a->deps[p->deps_ix]->n_deps;
    }
    while (p->nodes_ix < a->n_nodes && a->nodes[p->nodes_ix]->task < row->id) {
        p->nodes_ix++;
    }
    if (p->nodes_ix < a->n_nodes && a->nodes[p->nodes_ix]->task == row->id) {
        row->nodes = a->nodes[p->nodes_ix]->workers;
        row->node_count = a->nodes[p->nodes_ix]->n_workers;
    }
}

bool
task_pages_row(struct task_pages *p, struct task_row *ret)
{
    const Hq__TaskPageAnswer *a = p->answer;
    struct task_row row = {0};
    if (a == NULL || !hq_ranges_next(&p->iter, &row.id)) {
        return false;
    }
    unsigned state = a->states.data[p->row];
    row.state = state <= HQ_STATE_ABORTED ? (enum hq_task_state)state : HQ_STATE_WAITING;
    row.instance = p->row < a->n_instance ? a->instance[p->row] : 0;
    if (a->n_desc_id > 0) {
        row.desc_id = a->desc_id[a->n_desc_id == 1 ? 0 : p->row];
    }
    row.worker = p->row < a->n_worker ? a->worker[p->row] : 0;
    row.worker_host = row.worker != 0 ? task_pages_host(p, row.worker) : HQ_STR_NULL;
    fill_times(p, &row);
    fill_lists(p, &row);
    p->row++;
    *ret = row;
    return true;
}
