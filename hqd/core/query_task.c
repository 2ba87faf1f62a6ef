/* Pages of tasks as columns, in ascending order of ids. */
#include "common/mem.h"
#include "hqd/core/job.h"
#include "hqd/core/query.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

#define ROW_BYTES 24u
#define ROW_IDS_BYTES 6u
#define ERROR_BYTES 2400u
#define NOT_FOUND_MAX 1000u
/* Of one page, however small the rows: others wait for it, some 1.5 ms. */
#define ROWS_MAX 16384u
#define ROWS_IDS_MAX 65536u

struct page_out {
    const struct core *core;
    const struct job *job;
    const struct query_task_page_args *args;
    struct hq_arena *arena;
    struct query_task_page *ret;
    struct idlist ids;
    size_t cap;
    size_t error_cap;
    size_t deps_cap;
    size_t nodes_cap;
    size_t not_found_cap;
    size_t bytes;
    const struct gang **gangs; /* of the job, by position; NULL = not needed yet */
    uint32_t *shown; /* worker ids in the column */
    size_t shown_count;
    size_t shown_cap;
};

static void
grow_columns(struct page_out *o)
{
    struct query_task_page *r = o->ret;
    if (r->count < o->cap) {
        return;
    }
    size_t cap = o->cap;
    size_t need = r->count + 1;
    size_t caps[6] = {cap, cap, cap, cap, cap, cap};
    hq_arena_grow(o->arena, &r->states, &caps[0], need, 1);
    if (!o->args->ids_only) {
        hq_arena_grow(o->arena, &r->instance, &caps[1], need, sizeof(*r->instance));
        hq_arena_grow(o->arena, &r->desc_id, &caps[2], need, sizeof(*r->desc_id));
        hq_arena_grow(o->arena, &r->worker, &caps[3], need, sizeof(*r->worker));
        hq_arena_grow(o->arena, &r->started_ms, &caps[4], need, sizeof(*r->started_ms));
        hq_arena_grow(o->arena, &r->ended_ms, &caps[5], need, sizeof(*r->ended_ms));
        caps[0] = HQ_MIN(caps[0], HQ_MIN(HQ_MIN(caps[1], caps[2]), HQ_MIN(caps[3], HQ_MIN(caps[4], caps[5]))));
    }
    o->cap = caps[0];
}

static void
note_worker(struct page_out *o, uint32_t id)
{
    if (o->shown_count > 0 && o->shown[o->shown_count - 1] == id) {
        return;
    }
    hq_arena_grow(o->arena, &o->shown, &o->shown_cap, o->shown_count + 1, sizeof(*o->shown));
    o->shown[o->shown_count++] = id;
}

static int
cmp_gang(const void *pa, const void *pb)
{
    const struct gang *a = *(const struct gang *const *)pa;
    const struct gang *b = *(const struct gang *const *)pb;
    if (a->pos != b->pos) {
        return a->pos < b->pos ? -1 : 1;
    }
    return a < b ? -1 : a > b; /* later runs stand behind earlier ones */
}

/* The last run of the task on several nodes. Sorted once a page, then found by halving. */
static const struct gang *
gang_of(struct page_out *o, uint32_t pos)
{
    size_t count = o->job->gang_count;
    if (o->gangs == NULL) {
        o->gangs = hq_arena_array(o->arena, count, sizeof(*o->gangs));
        for (size_t i = 0; i < count; i++) {
            o->gangs[i] = &o->job->gangs[i];
        }
        qsort(o->gangs, count, sizeof(*o->gangs), cmp_gang);
    }
    size_t low = 0; /* becomes the first one behind those of `pos` */
    for (size_t high = count; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (o->gangs[mid]->pos <= pos) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 && o->gangs[low - 1]->pos == pos ? o->gangs[low - 1] : NULL;
}

static void
add_deps(struct page_out *o, hq_task_ix id, uint32_t pos)
{
    const struct submit *s = job_submit_at(o->job, pos);
    uint32_t i = pos - s->first_pos;
    if (s->deps == NULL || s->deps->pred_off[i] == s->deps->pred_off[i + 1]) {
        return;
    }
    hq_arena_grow(o->arena, &o->ret->deps, &o->deps_cap, o->ret->deps_count + 1, sizeof(*o->ret->deps));
    struct query_task_deps *d = &o->ret->deps[o->ret->deps_count++];
    *d = (struct query_task_deps){.task = id,
                                  .deps = &s->deps->pred[s->deps->pred_off[i]],
                                  .count = s->deps->pred_off[i + 1] - s->deps->pred_off[i]};
    o->bytes += 8 + 5 * d->count;
}

static void
add_row(struct page_out *o, hq_task_ix id, uint32_t pos, enum task_state state)
{
    struct query_task_page *r = o->ret;
    grow_columns(o);
    size_t k = r->count++;
    idlist_add(&o->ids, id, 1, 1);
    r->states[k] = (unsigned char)task_state_word(state);
    o->bytes += ROW_IDS_BYTES;
    if (o->args->ids_only) {
        return;
    }
    struct task_page *p = task_table_peek(&o->job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    bool has_run = p != NULL && page_started(p)[at] != 0 && state != TASK_WAITING && state != TASK_ASSIGNED;
    r->desc_id[k] = job_desc_id(o->job, pos);
    r->is_one_desc = r->is_one_desc && r->desc_id[k] == r->desc_id[0];
    r->instance[k] = p == NULL ? 0 : page_instance(p)[at];
    r->worker[k] = has_run ? page_worker(p)[at] : 0;
    r->started_ms[k] = has_run ? page_started(p)[at] : 0;
    r->ended_ms[k] = has_run && task_is_ended(state) ? page_ended(p)[at] : 0;
    o->bytes += ROW_BYTES;
    if (r->worker[k] != 0) {
        note_worker(o, r->worker[k]);
    }
    if (state == TASK_FAILED) {
        hq_arena_grow(o->arena, &r->errors, &o->error_cap, r->error_count + 1, sizeof(*r->errors));
        r->errors[r->error_count++] = (struct query_task_error){.task = id, .seq = job_failure_seq(o->job, pos)};
        o->bytes += ERROR_BYTES;
    }
    const struct gang *gang = has_run && o->job->gang_count > 0 ? gang_of(o, pos) : NULL;
    if (gang != NULL) {
        hq_arena_grow(o->arena, &r->nodes, &o->nodes_cap, r->nodes_count + 1, sizeof(*r->nodes));
        r->nodes[r->nodes_count++] =
            (struct query_task_nodes){.task = id, .workers = gang->nodes, .count = gang->node_count};
        for (uint32_t i = 0; i < gang->node_count; i++) {
            note_worker(o, gang->nodes[i]);
        }
        o->bytes += 8 + 5 * (size_t)gang->node_count;
    }
    if (o->args->with_deps) {
        add_deps(o, id, pos);
    }
}

/* True: the page is full. */
static bool
take_task(struct page_out *o, hq_task_ix id, uint32_t pos)
{
    enum task_state state = task_state_at(&o->job->tasks, pos);
    if (o->args->state_mask != 0 && (o->args->state_mask & 1u << task_state_word(state)) == 0) {
        return false;
    }
    size_t rows_max = o->args->ids_only ? ROWS_IDS_MAX : ROWS_MAX;
    if (o->ret->count > 0 && (o->bytes > o->args->bytes_max || o->ret->count >= rows_max)) {
        o->ret->has_more = true;
        return true;
    }
    add_row(o, id, pos, state);
    return false;
}

static bool
is_after(const struct query_task_page_args *args, uint32_t id)
{
    return !args->has_after || id > args->after_task;
}

static void
all_tasks(struct page_out *o)
{
    for (size_t r = 0; r < o->job->ids.count; r++) {
        const struct idrun *run = &o->job->ids.v[r];
        uint32_t k = 0;
        if (o->args->has_after && run->first <= o->args->after_task) {
            uint64_t skip = ((uint64_t)o->args->after_task - run->first) / run->step + 1;
            k = (uint32_t)HQ_MIN(skip, (uint64_t)run->count);
        }
        for (; k < run->count; k++) {
            if (take_task(o, run->first + k * run->step, run->pos + k)) {
                return;
            }
        }
    }
}

static int
cmp_id(const void *pa, const void *pb)
{
    const uint32_t *a = pa;
    const uint32_t *b = pb;
    return *a < *b ? -1 : *a > *b;
}

/* Named ids that exist, sorted. Only those of the job are collected: the list is bounded by its tasks. */
static void
named_tasks(struct page_out *o)
{
    uint32_t *v = NULL;
    size_t n = 0;
    size_t cap = 0;
    struct hq_ranges_iter it = hq_ranges_iter(&o->args->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        uint32_t pos;
        if (idset_find(&o->job->ids, id, &pos)) {
            if (is_after(o->args, id)) {
                hq_xgrow(&v, &cap, n + 1, sizeof(*v));
                v[n++] = id;
            }
        } else if (!o->args->has_after && o->ret->not_found_count < NOT_FOUND_MAX) {
            hq_arena_grow(o->arena, &o->ret->not_found, &o->not_found_cap, o->ret->not_found_count + 1,
                          sizeof(*o->ret->not_found));
            o->ret->not_found[o->ret->not_found_count++] = id;
            o->bytes += 5;
        } else if (it.ix < o->args->ids.count && o->ret->not_found_count >= NOT_FOUND_MAX && it.k > 0) {
            /* Enough are missing: jump over what lies behind the job's highest id. */
            uint32_t last;
            if (idset_max(&o->job->ids, &last) && id > last && o->args->ids.v[it.ix].step > 0) {
                it.ix++;
                it.k = 0;
            }
        }
    }
    if (n > 0) {
        qsort(v, n, sizeof(*v), cmp_id);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t pos;
        if ((i == 0 || v[i] != v[i - 1]) && idset_find(&o->job->ids, v[i], &pos) && take_task(o, v[i], pos)) {
            break;
        }
    }
    free(v);
}

static void
add_names(struct page_out *o)
{
    struct query_task_page *r = o->ret;
    if (o->shown_count == 0) {
        return;
    }
    qsort(o->shown, o->shown_count, sizeof(*o->shown), cmp_id);
    r->workers = hq_arena_array(o->arena, o->shown_count, sizeof(*r->workers));
    for (size_t i = 0; i < o->shown_count; i++) {
        if (i > 0 && o->shown[i] == o->shown[i - 1]) {
            continue;
        }
        const struct worker *w = core_worker(o->core, o->shown[i]);
        r->workers[r->worker_count++] =
            (struct query_worker_name){.worker = {o->shown[i]}, .host = w == NULL ? HQ_STR_NULL : w->config.hostname};
    }
}

bool
query_task_page(const struct core *core, const struct query_task_page_args *args, struct hq_arena *arena,
                struct query_task_page *ret)
{
    const struct job *job = core_job(core, args->job.v);
    *ret = (struct query_task_page){.is_one_desc = true};
    if (job == NULL) {
        return false;
    }
    struct page_out o = {.core = core, .job = job, .args = args, .arena = arena, .ret = ret, .ids.arena = arena};
    if (args->has_ids) {
        named_tasks(&o);
    } else {
        all_tasks(&o);
    }
    add_names(&o);
    ret->ids = o.ids.r;
    return true;
}
