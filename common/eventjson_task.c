#include "common/eventjson_priv.h"

#include "common/eventjson_desc.h"

#include <stdlib.h>

struct started {
    uint32_t job;
    uint32_t task;
    uint32_t instance;
    uint32_t variant;
    uint32_t worker;
    const uint32_t *nodes;
    size_t node_count;
    hq_wall_ms at;
};

static void
add_started(struct hq_eventjson_line *l, const struct started *s)
{
    hq_eventjson_begin(l, s->at);
    hq_json_put_u64(&l->j, "instance", s->instance);
    hq_json_put_u64(&l->j, "job", s->job);
    hq_json_put_u64(&l->j, "task", s->task);
    hq_json_put_strz(&l->j, "type", "task-started");
    if (s->variant > 0) {
        hq_json_put_u64(&l->j, "variant", s->variant);
    }
    if (s->node_count > 1) {
        hq_json_key(&l->j, "workers");
        hq_json_array(&l->j);
        for (size_t i = 0; i < s->node_count; i++) {
            hq_json_u64(&l->j, s->nodes[i]);
        }
        hq_json_array_end(&l->j);
    } else {
        hq_json_put_u64(&l->j, "worker", s->worker);
    }
    hq_eventjson_end(l, NULL);
    hq_map_set(&l->e->running, hq_map_key2(s->job, s->task), (uint64_t)s->instance + 1);
}

static bool
ids_ok(const Hq__Ranges *ids, uint64_t *ret_count)
{
    uint64_t count = 0;

    if (ids == NULL || ids->n_packed % 3 != 0) {
        return false;
    }
    for (size_t i = 0; i < ids->n_packed; i += 3) {
        uint64_t last = ids->packed[i] + (uint64_t)(ids->packed[i + 1] - 1) * ids->packed[i + 2];
        if (ids->packed[i + 1] == 0 || ids->packed[i + 2] == 0 || last > UINT32_MAX) {
            return false;
        }
        count += ids->packed[i + 1];
    }
    *ret_count = count;
    return true;
}

/* One task of a range with its times. */
struct span_item {
    uint32_t task;
    hq_wall_ms started;
    hq_wall_ms at; /* of the event that the sort is for */
    bool is_end;
};

static int
item_cmp(const void *a, const void *b)
{
    const struct span_item *x = a;
    const struct span_item *y = b;

    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    if (x->is_end != y->is_end) {
        return x->is_end ? 1 : -1; /* a start before an end of the same moment */
    }
    return x->task < y->task ? -1 : x->task > y->task;
}

/* Starts and ends of all tasks of a range, in the order of their times. *ret: heap, *ret_count items. */
static int
expand(const Hq__Ranges *ids, const Hq__TaskTimes *times, bool with_ends, struct span_item **ret, size_t *ret_count,
       struct hq_err *err)
{
    uint64_t count;
    size_t n = 0;
    size_t k = 0;
    hq_wall_ms at;

    if (!ids_ok(ids, &count) || times == NULL || times->n_started != count ||
        times->n_duration_ms != (with_ends ? count : 0)) {
        return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
    }
    struct span_item *v = calloc(count * 2 + 1, sizeof(*v));
    if (v == NULL) {
        return hq_err_set(err, -ENOMEM, "Out of memory");
    }
    at = (hq_wall_ms)times->base_ms;
    for (size_t i = 0; i < ids->n_packed; i += 3) {
        for (uint32_t c = 0; c < ids->packed[i + 1]; c++, k++) {
            uint32_t task = ids->packed[i] + c * ids->packed[i + 2];
            at = (hq_wall_ms)((uint64_t)at + (uint64_t)times->started[k]);
            v[n++] = (struct span_item){.task = task, .started = at, .at = at};
            if (with_ends) {
                v[n++] = (struct span_item){.task = task,
                                            .started = at,
                                            .at = (hq_wall_ms)((uint64_t)at + times->duration_ms[k]),
                                            .is_end = true};
            }
        }
    }
    qsort(v, n, sizeof(*v), item_cmp);
    *ret = v;
    *ret_count = n;
    return 0;
}

int
hq_eventjson_add_starts(struct hq_eventjson_line *l, const Hq__TasksStartedRecord *r, struct hq_err *err)
{
    struct span_item *v = NULL;
    size_t n = 0;
    int rc;

    if (r->tasks == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    rc = expand(r->tasks->ids, r->tasks->times, false, &v, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        add_started(l, &(struct started){.job = r->tasks->job,
                                         .task = v[i].task,
                                         .instance = r->tasks->instance,
                                         .variant = r->tasks->variant,
                                         .worker = r->worker,
                                         .nodes = r->nodes,
                                         .node_count = r->n_nodes,
                                         .at = v[i].at});
    }
    free(v);
    return rc;
}

static void
add_task_line(struct hq_eventjson_line *l, const char *type, uint32_t job, uint32_t task, hq_wall_ms at)
{
    hq_eventjson_begin(l, at);
    hq_json_put_u64(&l->j, "job", job);
    hq_json_put_u64(&l->j, "task", task);
    hq_eventjson_end(l, type);
}

int
hq_eventjson_add_finished(struct hq_eventjson_line *l, const Hq__TasksFinishedRecord *r, struct hq_err *err)
{
    struct span_item *v = NULL;
    size_t n = 0;
    int rc;

    if (r->tasks == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without tasks");
    }
    rc = expand(r->tasks->ids, r->tasks->times, true, &v, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint64_t key = hq_map_key2(r->tasks->job, v[i].task);
        if (v[i].is_end) {
            hq_map_del(&l->e->running, key);
            add_task_line(l, "task-finished", r->tasks->job, v[i].task, v[i].at);
        } else if (hq_map_get(&l->e->running, key, 0) != (uint64_t)r->tasks->instance + 1) {
            add_started(l, &(struct started){.job = r->tasks->job,
                                             .task = v[i].task,
                                             .instance = r->tasks->instance,
                                             .variant = r->tasks->variant,
                                             .worker = r->worker,
                                             .at = v[i].at});
        }
    }
    free(v);
    return rc;
}

int
hq_eventjson_add_failed(struct hq_eventjson_line *l, const Hq__TaskFailedRecord *r, hq_wall_ms at, struct hq_err *err)
{
    const Hq__TaskFailed *t = r->task;

    if (t == NULL) {
        return hq_err_set(err, -EBADMSG, "A record without a task");
    }
    uint64_t key = hq_map_key2(t->job, t->task);
    if (t->started_ms != 0 && hq_map_get(&l->e->running, key, 0) != (uint64_t)t->instance + 1) {
        add_started(l, &(struct started){.job = t->job,
                                         .task = t->task,
                                         .instance = t->instance,
                                         .variant = t->variant,
                                         .worker = r->worker,
                                         .at = (hq_wall_ms)t->started_ms});
    }
    hq_map_del(&l->e->running, key);
    hq_eventjson_begin(l, t->ended_ms == 0 ? at : (hq_wall_ms)t->ended_ms);
    hq_json_put_str(&l->j, "error", hq_pb_str(t->error));
    hq_json_put_u64(&l->j, "job", t->job);
    hq_json_put_u64(&l->j, "task", t->task);
    hq_eventjson_end(l, "task-failed");
    return 0;
}

int
hq_eventjson_add_ended(struct hq_eventjson_line *l, const Hq__TasksEndedRecord *r, const char *type, hq_wall_ms at,
                       struct hq_err *err)
{
    uint64_t count;

    if (!ids_ok(r->ids, &count)) {
        return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
    }
    hq_eventjson_begin(l, at);
    hq_json_key(&l->j, "tasks");
    hq_json_array(&l->j);
    for (size_t i = 0; i < r->ids->n_packed; i += 3) {
        for (uint32_t c = 0; c < r->ids->packed[i + 1]; c++) {
            uint32_t task = r->ids->packed[i] + c * r->ids->packed[i + 2];
            hq_eventjson_put_task(&l->j, r->job, task);
            hq_map_del(&l->e->running, hq_map_key2(r->job, task));
            hq_eventjson_make_room(l);
        }
    }
    hq_json_array_end(&l->j);
    hq_eventjson_end(l, type);
    return 0;
}

/* Waiting again: no line, but the next start is a new one. */
int
hq_eventjson_forget_starts(struct hq_eventjson *e, const Hq__TasksRestarted *r, struct hq_err *err)
{
    uint64_t count;

    if (!ids_ok(r->ids, &count)) {
        return hq_err_set(err, -EBADMSG, "Columns of a record do not fit together");
    }
    for (size_t i = 0; i < r->ids->n_packed; i += 3) {
        for (uint32_t c = 0; c < r->ids->packed[i + 1]; c++) {
            hq_map_del(&e->running, hq_map_key2(r->job, r->ids->packed[i] + c * r->ids->packed[i + 2]));
        }
    }
    return 0;
}
