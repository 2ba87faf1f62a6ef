#include "tests/sim/check.h"

#include "hqd/record_pb.h"
#include "tests/sim/node.h"

#include <stdlib.h>

struct check {
    struct hq_map finals;    /* job, task -> 1 */
    struct hq_map promised;  /* job, task -> 1 */
    struct hq_map started;   /* hash of job, task, instance -> 1 */
    struct hq_map requests;  /* request id -> job, from records */
    struct hq_map submitted; /* request id -> job, from answers */
};

struct check *
check_create(void)
{
    struct check *c = hq_xalloc(sizeof(*c));
    hq_map_init(&c->finals, 1);
    hq_map_init(&c->promised, 2);
    hq_map_init(&c->started, 3);
    hq_map_init(&c->requests, 4);
    hq_map_init(&c->submitted, 5);
    return c;
}

void
check_destroy(struct check *c)
{
    hq_map_fini(&c->finals);
    hq_map_fini(&c->promised);
    hq_map_fini(&c->started);
    hq_map_fini(&c->requests);
    hq_map_fini(&c->submitted);
    free(c);
}

static void
add_finals(struct world *w, uint32_t job, const struct hq_ranges *ids)
{
    struct hq_ranges_iter it = hq_ranges_iter(ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        uint64_t key = hq_map_key2(job, id);
        if (hq_map_find(&w->check->finals, key) != NULL) {
            world_fail(w, "%u@%u has two final records", job, id);
            return;
        }
        hq_map_set(&w->check->finals, key, 1);
    }
}

static void
add_request(struct world *w, uint64_t request, uint32_t job)
{
    if (request == 0) {
        return;
    }
    if (hq_map_find(&w->check->requests, request) != NULL) {
        world_fail(w, "request %llu was carried out twice", (unsigned long long)request);
        return;
    }
    hq_map_set(&w->check->requests, request, job);
}

static void
look_at(struct world *w, const struct record *rec)
{
    struct hq_range one = {.count = 1, .step = 1};
    struct hq_ranges single = {.v = &one, .count = 1};
    switch (rec->kind) {
    case RECORD_JOB_OPENED:
        add_request(w, rec->u.job_opened.request_id, rec->u.job_opened.job.v);
        return;
    case RECORD_JOB_SUBMITTED:
        add_request(w, rec->u.job_submitted.request_id, rec->u.job_submitted.job.v);
        return;
    case RECORD_TASKS_FINISHED:
        add_finals(w, rec->u.tasks_finished.tasks.job.v, &rec->u.tasks_finished.tasks.ids);
        return;
    case RECORD_TASK_FAILED:
        one.first = rec->u.task_failed.task.task;
        add_finals(w, rec->u.task_failed.task.job.v, &single);
        return;
    case RECORD_TASKS_CANCELED:
    case RECORD_TASKS_ABORTED:
        add_finals(w, rec->u.tasks_ended.job.v, &rec->u.tasks_ended.ids);
        return;
    default: /* the rest ends nothing */
        return;
    }
}

void
check_record(struct world *w, const struct record *rec)
{
    look_at(w, rec);
}

void
check_truncated(struct world *w)
{
    struct check *c = w->check;
    struct hq_arena arena;
    uint64_t key;
    uint64_t value;
    hq_map_clear(&c->finals);
    hq_map_clear(&c->requests);
    hq_arena_init(&arena, 0);
    for (size_t i = 0; i < w->record_count && !world_failed(w); i++) {
        struct record rec;
        struct hq_err err = {0};
        struct hq_str body = {.ptr = w->journal.ptr + w->records[i].at, .len = w->records[i].len};
        if (record_pb_decode(body, &arena, &rec, &err) != 1) {
            world_fail(w, "record can't be decoded: %s", err.text);
        } else {
            look_at(w, &rec);
        }
        hq_arena_reset(&arena);
    }
    hq_arena_fini(&arena);
    for (size_t it = 0; hq_map_next(&c->promised, &it, &key, &value);) {
        if (hq_map_find(&c->finals, key) == NULL) {
            world_fail(w, "the acknowledged end of %u@%u is lost", (uint32_t)(key >> 32), (uint32_t)key);
        }
    }
    for (size_t it = 0; hq_map_next(&c->submitted, &it, &key, &value);) {
        if (hq_map_get(&c->requests, key, 0) != value) {
            world_fail(w, "the acknowledged submit of job %llu is lost", (unsigned long long)value);
        }
    }
}

void
check_started(struct world *w, uint32_t job, uint32_t task, uint32_t instance)
{
    uint64_t key = (hq_map_key2(job, task) * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)instance * 0xc2b2ae3d27d4eb4full);
    if (hq_map_find(&w->check->started, key) != NULL) {
        world_fail(w, "instance %u of %u@%u was started twice", instance, job, task);
    }
    hq_map_set(&w->check->started, key, 1);
}

void
check_entries(struct world *w, const struct reply_command *c)
{
    if (c->entry_count == 0) {
        return;
    }
    struct hq_buf want = HQ_BUF_INIT;
    struct hq_ranges_iter it = hq_ranges_iter(&c->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        hq_buf_printf(&want, "%u;", id);
    }
    if (!hq_str_eq(hq_buf_view(&want), hq_str_make(c->entries, c->entry_bytes))) {
        world_fail(w, "job %u: entries %s do not belong to their tasks %s", c->job, c->entries, want.ptr);
    }
    hq_buf_fini(&want);
}

void
check_promised(struct world *w, uint32_t job, uint32_t task)
{
    uint64_t key = hq_map_key2(job, task);
    if (hq_map_find(&w->check->finals, key) == NULL) {
        return; /* that instance was superseded: another one will end the task */
    }
    hq_map_set(&w->check->promised, key, 1);
}

void
check_submitted(struct world *w, uint64_t request, uint32_t job)
{
    uint64_t known = hq_map_get(&w->check->submitted, request, job);
    if (known != job || hq_map_get(&w->check->requests, request, 0) != job) {
        world_fail(w, "request %llu is answered with job %u, before it was %llu", (unsigned long long)request, job,
                   (unsigned long long)known);
    }
    hq_map_set(&w->check->submitted, request, job);
}

bool
check_is_done(struct world *w)
{
    if (w->core == NULL) {
        return false;
    }
    struct hq_arena arena;
    struct query_job_list list;
    hq_arena_init(&arena, 0);
    struct query_job_list_args args = {.bytes_max = SIZE_MAX,
                                       .state_mask = 1u << JOB_WORD_RUNNING | 1u << JOB_WORD_WAITING};
    query_job_list(w->core, &args, &arena, &list);
    bool is_done = list.count == 0;
    hq_arena_fini(&arena);
    for (size_t i = 0; is_done && i < w->node_count; i++) {
        is_done = !node_is_member(w->nodes[i]);
    }
    return is_done;
}

void
check_print(struct world *w, struct hq_buf *out)
{
    if (w->core != NULL) {
        query_dump(w->core, false, out);
    }
    for (size_t i = 0; i < w->node_count; i++) {
        if (node_is_alive(w->nodes[i])) {
            node_print(w->nodes[i], out);
        }
    }
}
