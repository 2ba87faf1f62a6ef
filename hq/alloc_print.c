#include "hq/alloc_print.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"
#include "common/out_json.h"
#include "common/out_table.h"
#include "hq/worker_read.h"

static struct hq_str
text_of(ProtobufCBinaryData d)
{
    return hq_str_make((const char *)d.data, d.len);
}

/* ---- list */
static void
print_list(const struct alloc_pages *w, struct hq_cli *cli)
{
    static const struct hq_column columns[] = {{"ID", HQ_COLUMN_PLAIN_HEAD},
                                               {"State", 0},
                                               {"Backlog size", 0},
                                               {"Max workers per alloc", 0},
                                               {"Max worker count", 0},
                                               {"Timelimit", 0},
                                               {"Manager", 0},
                                               {"Worker resources", 0},
                                               {"Name", 0},
                                               {"Args", 0}};
    HQ_AUTO(hq_table_fini) struct hq_table t;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_table_init(&t, columns, HQ_ARRAY_LEN(columns));
    for (size_t i = 0; i < w->first->n_queues; i++) {
        const Hq__AllocQueueInfo *q = w->first->queues[i];
        const Hq__AllocParams *p = q->params;
        hq_table_addf(&t, "%u", q->queue);
        hq_table_add(&t, q->is_paused ? HQ_STR("PAUSED") : HQ_STR("ACTIVE"), HQ_COLOR_NONE);
        hq_table_addf(&t, "%u", p->backlog);
        hq_table_addf(&t, "%u", p->max_workers_per_alloc);
        hq_table_addf(&t, "%u", p->max_worker_count);
        hq_buf_clear(&b);
        hq_duration_print(&b, hq_ns_from_ms((hq_ms)p->time_limit_ms));
        hq_table_add(&t, hq_buf_view(&b), HQ_COLOR_NONE);
        hq_table_addz(&t, p->manager == HQ__MANAGER__MANAGER_PBS ? "PBS" : "SLURM");
        hq_buf_clear(&b);
        struct hq_pools pools;
        if (q->known_pools != NULL && worker_read_pools(&pools, q->known_pools, &cli->arena, NULL) == 0) {
            hq_pools_print_summary(&pools, "; ", " ", &b);
        } else {
            hq_buf_cstr(&b, "<unknown>");
        }
        hq_table_add(&t, hq_buf_view(&b), HQ_COLOR_NONE);
        hq_table_add(&t, text_of(p->name), HQ_COLOR_NONE);
        hq_buf_clear(&b);
        for (size_t k = 0; k < p->n_additional_args; k++) {
            hq_buf_cstr(&b, k == 0 ? "" : ",");
            hq_buf_str(&b, text_of(p->additional_args[k]));
        }
        hq_table_add(&t, hq_buf_view(&b), HQ_COLOR_NONE);
    }
    hq_table_print(&t, &cli->out);
}

static void
json_texts(struct hq_json *j, const char *key, const ProtobufCBinaryData *v, size_t count)
{
    hq_json_key(j, key);
    hq_json_array(j);
    for (size_t i = 0; i < count; i++) {
        hq_json_str(j, text_of(v[i]));
    }
    hq_json_array_end(j);
}

static void
json_queue(struct hq_json *j, const Hq__AllocQueueInfo *q, struct hq_arena *arena)
{
    const Hq__AllocParams *p = q->params;
    struct hq_pools pools;
    hq_json_object(j);
    json_texts(j, "additional_args", p->additional_args, p->n_additional_args);
    hq_json_put_u64(j, "backlog", p->backlog);
    hq_json_put_u64(j, "id", q->queue);
    hq_json_key(j, "known_worker_resources");
    if (q->known_pools != NULL && worker_read_pools(&pools, q->known_pools, arena, NULL) == 0) {
        hq_pools_json(&pools, j);
    } else {
        hq_json_null(j);
    }
    hq_json_put_strz(j, "manager", p->manager == HQ__MANAGER__MANAGER_PBS ? "PBS" : "Slurm");
    hq_json_key(j, "max_worker_count");
    if (p->max_worker_count > 0) {
        hq_json_u64(j, p->max_worker_count);
    } else {
        hq_json_null(j);
    }
    hq_json_put_u64(j, "max_workers_per_alloc", p->max_workers_per_alloc);
    hq_json_key(j, "name");
    if (p->name.len > 0) {
        hq_json_str(j, text_of(p->name));
    } else {
        hq_json_null(j);
    }
    hq_json_put_strz(j, "state", q->is_paused ? "Paused" : "Active");
    hq_json_put_seconds(j, "timelimit", (int64_t)p->time_limit_ms);
    json_texts(j, "worker_args", p->worker_args, p->n_worker_args);
    hq_json_object_end(j);
}

/* ---- info */
static const struct {
    const char *word;
    const char *json;
} states[] = {
    /* by Hq__AllocState; planned ones are not shown */
    {"QUEUED", "queued"}, {"QUEUED", "queued"}, {"RUNNING", "running"}, {"FINISHED", "finished"}, {"FAILED", "failed"},
};

static size_t
state_ix(const Hq__AllocationInfo *a)
{
    size_t ix = (size_t)a->state;
    return ix < HQ_ARRAY_LEN(states) ? ix : 0;
}

static void
add_date(struct hq_table *t, uint64_t at_ms)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    if (at_ms != 0) {
        hq_date_local(&b, (hq_wall_ms)at_ms, hq_clock_utc_offset_s((hq_wall_ms)at_ms));
    }
    hq_table_add(t, hq_buf_view(&b), HQ_COLOR_NONE);
}

static void
print_info(const struct alloc_pages *w, struct hq_cli *cli)
{
    static const struct hq_column columns[] = {{"ID", HQ_COLUMN_PLAIN_HEAD},
                                               {"State", 0},
                                               {"Working directory", 0},
                                               {"Worker count", 0},
                                               {"Queue time", 0},
                                               {"Start time", 0},
                                               {"Finish time", 0}};
    static const enum hq_color colors[] = {HQ_COLOR_YELLOW, HQ_COLOR_YELLOW, HQ_COLOR_CYAN, HQ_COLOR_GREEN,
                                           HQ_COLOR_RED};
    HQ_AUTO(hq_table_fini) struct hq_table t;
    hq_table_init(&t, columns, HQ_ARRAY_LEN(columns));
    for (size_t i = 0; i < w->count; i++) {
        const Hq__AllocationInfo *a = w->allocs[i];
        hq_table_add(&t, text_of(a->allocation_id), HQ_COLOR_NONE);
        hq_table_add(&t, hq_str_from(states[state_ix(a)].word), colors[state_ix(a)]);
        hq_table_add(&t, text_of(a->work_dir), HQ_COLOR_NONE);
        hq_table_addf(&t, "%u", a->worker_count);
        add_date(&t, a->queued_ms);
        add_date(&t, a->started_ms);
        add_date(&t, a->ended_ms);
    }
    hq_table_print(&t, &cli->out);
}

static void
json_info(const struct alloc_pages *w, struct hq_cli *cli)
{
    struct hq_json j;
    hq_json_begin_document(&j, &cli->out);
    hq_json_array(&j);
    for (size_t i = 0; i < w->count; i++) {
        const Hq__AllocationInfo *a = w->allocs[i];
        hq_json_object(&j);
        hq_json_put_time(&j, "ended_at", (hq_wall_ms)a->ended_ms);
        hq_json_put_str(&j, "id", text_of(a->allocation_id));
        hq_json_put_time(&j, "queued_at", (hq_wall_ms)a->queued_ms);
        hq_json_put_time(&j, "started_at", (hq_wall_ms)a->started_ms);
        hq_json_put_strz(&j, "status", states[state_ix(a)].json);
        hq_json_put_u64(&j, "target_worker_count", a->worker_count);
        hq_json_put_str(&j, "workdir", text_of(a->work_dir));
        hq_json_object_end(&j);
    }
    hq_json_array_end(&j);
    hq_json_end_document(&j, &cli->out);
}

/* Some reasons to wait never go away by themselves. */
static void
warn_permanent(const struct alloc_pages *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const Hq__AllocationInfo *a = w->allocs[i];
        if (a->is_reason_permanent && a->state == HQ__ALLOC_STATE__ALLOC_QUEUED) {
            struct hq_str id = text_of(a->allocation_id);
            struct hq_str reason = text_of(a->reason);
            hq_log_warn("Allocation %.*s may never start: %.*s", HQ_STR_FMT(id), HQ_STR_FMT(reason));
        }
    }
}

void
alloc_print_list(const struct alloc_pages *w, struct hq_cli *cli)
{
    struct hq_json j;
    switch (cli->out.mode) {
    case HQ_OUT_CLI:
        print_list(w, cli);
        break;
    case HQ_OUT_JSON:
        hq_json_begin_document(&j, &cli->out);
        hq_json_array(&j);
        for (size_t i = 0; i < w->first->n_queues; i++) {
            json_queue(&j, w->first->queues[i], &cli->arena);
        }
        hq_json_array_end(&j);
        hq_json_end_document(&j, &cli->out);
        break;
    case HQ_OUT_QUIET:
        break;
    }
}

void
alloc_print_info(const struct alloc_pages *w, struct hq_cli *cli)
{
    switch (cli->out.mode) {
    case HQ_OUT_CLI:
        print_info(w, cli);
        warn_permanent(w);
        break;
    case HQ_OUT_JSON:
        json_info(w, cli);
        break;
    case HQ_OUT_QUIET:
        break;
    }
}

const char *
alloc_state_word(const Hq__AllocationInfo *a)
{
    return states[state_ix(a)].json;
}
