#include "hqd/core/query.h"

#include "hqd/core/job.h"
#include "hqd/core/select.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

#define JOB_ROW_BYTES 96u
#define WORKER_ROW_BYTES 200u
#define FAILED_SHOWN 5u
#define HOSTS_SHOWN 2u

void
query_server(const struct core *core, struct query_server *ret)
{
    *ret = (struct query_server){
        .newest_seq = core->last_seq,
        .job_count = core->job_count,
        .last_job = {core->next_job - 1},
        .is_stopping = core->is_stopping,
    };
    for (size_t i = 0; i < core->worker_count; i++) {
        ret->worker_count += core->workers[i]->place == WORKER_HERE;
        ret->last_worker = core->workers[i]->id;
    }
}

/* ---- jobs */
static struct query_job
job_row(const struct job *job)
{
    return (struct query_job){
        .job = job->id,
        .name = job->name,
        .counts = job->counts,
        .state = job_state(job),
        .is_open = job->is_open,
        .has_cancel_reason = job->has_cancel_reason,
        .cancel_reason = job->cancel_reason,
        .owner_uid = job->owner_uid,
        .version = job->version,
    };
}

bool
query_job(const struct core *core, hq_job_id id, struct query_job *ret)
{
    const struct job *job = core_job(core, id.v);
    if (job == NULL) {
        return false;
    }
    *ret = job_row(job);
    return true;
}

/* Ids of a selection; too many named ones select nothing (the edge refuses them before). */
static struct select_ids
chosen(const struct core *core, const struct selection *s, struct hq_arena *arena)
{
    static const struct selection all = {.kind = SELECT_KIND_ALL};
    struct select_ids ids;
    if (select_jobs(core, s == NULL ? &all : s, NULL, arena, &ids) < 0) {
        ids = (struct select_ids){0};
    }
    return ids;
}

static const uint32_t *
missing_jobs(const struct core *core, const struct select_ids *ids, struct hq_arena *arena, size_t *ret_count)
{
    uint32_t *v = NULL;
    size_t cap = 0;
    size_t n = 0;
    for (size_t i = 0; i < ids->count; i++) {
        if (core_job(core, ids->v[i]) == NULL) {
            hq_arena_grow(arena, &v, &cap, n + 1, sizeof(*v));
            v[n++] = ids->v[i];
        }
    }
    *ret_count = n;
    return v;
}

void
query_job_list(const struct core *core, const struct query_job_list_args *args, struct hq_arena *arena,
               struct query_job_list *ret)
{
    *ret = (struct query_job_list){.total_count = core->job_count, .last_job = {core->next_job - 1}};
    struct select_ids ids = chosen(core, args->has_selection ? &args->jobs : NULL, arena);
    if (args->has_selection && args->after_job.v == 0) {
        ret->not_found = missing_jobs(core, &ids, arena, &ret->not_found_count);
    }
    size_t bytes = ret->not_found_count * 5;
    size_t cap = HQ_MIN(ids.count, args->bytes_max / JOB_ROW_BYTES + 1); /* the first row goes in however long it is */
    ret->jobs = hq_arena_array(arena, HQ_MAX(cap, (size_t)1), sizeof(*ret->jobs));
    for (size_t i = 0; i < ids.count; i++) {
        const struct job *job = ids.v[i] <= args->after_job.v ? NULL : core_job(core, ids.v[i]);
        if (job == NULL || (args->state_mask != 0 && (args->state_mask & 1u << job_state(job)) == 0 &&
                            !(args->plus_open && job->is_open))) {
            continue;
        }
        bytes += JOB_ROW_BYTES + job->name.len + job->cancel_reason.len;
        if (bytes > args->bytes_max && ret->count > 0) {
            ret->has_more = true;
            return;
        }
        HQ_ASSERT(ret->count < cap);
        ret->jobs[ret->count++] = job_row(job);
    }
}

static void
add_failed(const struct core *core, const struct job *job, struct hq_arena *arena, struct query_job_detail *ret)
{
    ret->failed = hq_arena_array(arena, FAILED_SHOWN, sizeof(*ret->failed));
    for (size_t r = 0; r < job->ids.count && ret->failed_count < HQ_MIN((uint64_t)FAILED_SHOWN, job->counts.failed);
         r++) {
        const struct idrun *run = &job->ids.v[r];
        for (uint32_t k = 0; k < run->count && ret->failed_count < FAILED_SHOWN; k++) {
            uint32_t pos = run->pos + k;
            struct task_page *p = task_table_peek(&job->tasks, pos);
            if (p == NULL) {
                k += TASK_PAGE_TASKS - 1 - pos % TASK_PAGE_TASKS; /* nobody there has run */
                continue;
            }
            if (page_state(p)[pos % TASK_PAGE_TASKS] != TASK_FAILED) {
                continue;
            }
            const struct worker *w = core_worker(core, page_worker(p)[pos % TASK_PAGE_TASKS]);
            ret->failed[ret->failed_count++] = (struct query_failed){
                .task = run->first + k * run->step,
                .worker = {page_worker(p)[pos % TASK_PAGE_TASKS]},
                .worker_host = w == NULL ? HQ_STR_NULL : w->config.hostname,
                .error_seq = job_failure_seq(job, pos),
            };
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

struct distinct {
    struct hq_arena *arena;
    struct hq_map seen;
    uint32_t *v;
    size_t cap;
    size_t count;
    uint32_t last; /* mostly the next one too */
};

static void
add_distinct(struct distinct *d, uint32_t id)
{
    if (id == d->last || id == 0) {
        return;
    }
    d->last = id;
    if (hq_map_find(&d->seen, id) != NULL) {
        return;
    }
    hq_map_set(&d->seen, id, 1);
    hq_arena_grow(d->arena, &d->v, &d->cap, d->count + 1, sizeof(*d->v));
    d->v[d->count++] = id;
}

/* Distinct workers of tasks that have run. O(tasks that have run). */
static void
add_workers(const struct core *core, const struct job *job, struct hq_arena *arena, struct query_job_detail *ret)
{
    struct distinct d = {.arena = arena};
    hq_map_init(&d.seen, 0);
    for (uint32_t ix = 0; ix < job->tasks.page_count; ix++) {
        struct task_page *p = job->tasks.pages[ix];
        uint32_t size = p == NULL ? 0 : task_page_size(&job->tasks, ix);
        for (uint32_t i = 0; i < size; i++) {
            uint32_t worker = page_worker(p)[i];
            if (worker != d.last && page_started(p)[i] != 0) { /* mostly known without a look at the second column */
                add_distinct(&d, worker);
            }
        }
    }
    for (size_t i = 0; i < job->gang_count; i++) {
        const struct gang *gang = &job->gangs[i];
        struct task_page *p = task_table_peek(&job->tasks, gang->pos);
        bool has_run = p != NULL && page_started(p)[gang->pos % TASK_PAGE_TASKS] != 0;
        for (uint32_t k = 1; has_run && k < gang->node_count; k++) { /* the root is in the column */
            add_distinct(&d, gang->nodes[k]);
        }
    }
    hq_map_fini(&d.seen);
    if (d.count > 0) {
        qsort(d.v, d.count, sizeof(*d.v), cmp_id);
    }
    ret->worker_count = (uint32_t)d.count;
    ret->worker_hosts = hq_arena_array(arena, HOSTS_SHOWN, sizeof(*ret->worker_hosts));
    for (size_t i = 0; i < d.count && i < HOSTS_SHOWN; i++) {
        const struct worker *w = core_worker(core, d.v[i]);
        ret->worker_hosts[ret->worker_host_count++] = w == NULL ? HQ_STR_NULL : w->config.hostname;
    }
}

static size_t
desc_bytes(const struct task_desc *d)
{
    size_t n = 128 + d->cwd.len + d->out.path.len + d->err.path.len;
    for (size_t i = 0; i < d->arg_count; i++) {
        n += d->args[i].len + 5;
    }
    for (size_t i = 0; i < d->env_count; i++) {
        n += d->env[i].key.len + d->env[i].value.len + 12;
    }
    return n + 96 * d->request.variant_count;
}

static void
add_descs(const struct job *job, uint32_t from, size_t bytes_max, struct hq_arena *arena, struct query_job_detail *ret)
{
    size_t cap = 0;
    size_t bytes = 0;
    for (uint32_t id = from; id < job->desc_count; id++) {
        const struct submit *s;
        const struct task_desc *d = job_desc_by_id(job, id, &s);
        bytes += desc_bytes(d);
        if (bytes > bytes_max && ret->desc_count > 0) {
            ret->desc_next = id;
            return;
        }
        hq_arena_grow(arena, &ret->descs, &cap, ret->desc_count + 1, sizeof(const struct task_desc *));
        ret->descs[ret->desc_count++] = d;
    }
}

bool
query_job_detail(const struct core *core, hq_job_id id, uint32_t desc_from, size_t bytes_max, struct hq_arena *arena,
                 struct query_job_detail *ret)
{
    const struct job *job = core_job(core, id.v);
    if (job == NULL) {
        return false;
    }
    *ret = (struct query_job_detail){
        .info = job_row(job),
        .has_max_fails = job->has_max_fails,
        .max_fails = job->max_fails,
        .submitted_ms = job->submitted_ms,
        .finished_ms = job->finished_ms,
        .submit_count = job->submit_count,
    };
    ret->submits = hq_arena_array(arena, HQ_MAX(job->submit_count, 1u), sizeof(*ret->submits));
    size_t bytes = job->name.len + job->submit_count * 48;
    for (uint32_t i = 0; i < job->submit_count; i++) {
        const struct submit *s = job->submits[i];
        ret->submits[i] = (struct query_submit){
            .submit_dir = s->submit_dir,
            .stream_dir = s->stream_dir,
            .submitted_ms = s->submitted_ms,
            .is_graph = s->is_graph,
            .ids = s->given_ids,
            .task_count = s->task_count,
            .first_desc = s->first_desc,
            .desc_count = s->desc_count,
        };
        bytes += s->submit_dir.len + s->stream_dir.len + s->given_ids.count * 15;
    }
    add_descs(job, desc_from, bytes < bytes_max ? bytes_max - bytes : 0, arena, ret);
    add_failed(core, job, arena, ret);
    add_workers(core, job, arena, ret);
    struct idlist ids = {.arena = arena};
    for (size_t i = 0; i < job->ids.count; i++) {
        idlist_add(&ids, job->ids.v[i].first, job->ids.v[i].count, job->ids.v[i].step);
    }
    ret->task_ids = ids.r;
    return true;
}

/* ---- long polls */
bool
query_watch_changed(const struct core *core, const struct selection *jobs, uint64_t version)
{
    if (version == 0 || core->is_stopping) {
        return true;
    }
    if (version >= core->last_seq) {
        return false;
    }
    if (jobs->kind != SELECT_KIND_RANGES) {
        for (uint32_t i = 0; i < core->job_cap; i++) {
            if (core->jobs[i] != NULL && core->jobs[i]->version > version) {
                return true;
            }
        }
        return core->forget_version > version;
    }
    bool was_forgotten = core->forget_version > version;
    struct hq_ranges_iter it = hq_ranges_iter(&jobs->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        const struct job *job = core_job(core, id);
        if (job == NULL ? was_forgotten : job->version > version) {
            return true;
        }
    }
    return false;
}

void
query_watch(const struct core *core, const struct selection *jobs, struct hq_arena *arena, struct query_watch *ret)
{
    struct select_ids ids = chosen(core, jobs, arena);
    *ret = (struct query_watch){.version = core->last_seq, .is_stopping = core->is_stopping};
    ret->jobs = hq_arena_array(arena, HQ_MAX(ids.count, (size_t)1), sizeof(*ret->jobs));
    for (size_t i = 0; i < ids.count; i++) {
        const struct job *job = core_job(core, ids.v[i]);
        if (job != NULL) {
            ret->jobs[ret->count++] = job_row(job);
        }
    }
    ret->not_found = missing_jobs(core, &ids, arena, &ret->not_found_count);
}

/* ---- workers */
static struct query_worker
worker_row(const struct worker *w)
{
    struct query_worker row = {
        .worker = w->id,
        .config = &w->config,
        .started_ms = w->registered_ms,
        .ended_ms = w->ended_ms,
        .reason = w->reason,
        .assigned_tasks = worker_assigned(w),
        .running_tasks = w->running,
        .is_reserved = w->is_reserved,
        .multi_node = w->gang_job.v == 0 ? 0
                      : w->is_root       ? 1
                                         : 2,
        .last_job = w->last_job,
        .last_task = w->last_task,
        .last_started_ms = w->last_started_ms,
    };
    return row;
}

static bool
is_wanted(const struct worker *w, enum query_worker_filter filter)
{
    switch (filter) {
    case QUERY_WORKERS_ALL:
        return true;
    case QUERY_WORKERS_RUNNING:
        return w->place != WORKER_LOST;
    case QUERY_WORKERS_OFFLINE:
        return w->place == WORKER_LOST;
    }
    return false;
}

static size_t
worker_bytes(const struct worker *w)
{
    size_t n = WORKER_ROW_BYTES + w->config.hostname.len + w->config.work_dir.len + w->config.listen_address.len;
    for (size_t i = 0; i < w->config.pools.count; i++) {
        const struct hq_pool *pool = &w->config.pools.v[i];
        n += 32 + pool->name.len;
        for (size_t k = 0; k < pool->group_count; k++) {
            n += 4;
            for (size_t v = 0; v < pool->groups[k].count; v++) {
                n += pool->groups[k].values[v].len + 3;
            }
        }
    }
    return n;
}

void
query_worker_list(const struct core *core, const struct query_worker_list_args *args, struct hq_arena *arena,
                  struct query_worker_list *ret)
{
    static const struct selection all = {.kind = SELECT_KIND_ALL};
    struct select_ids ids;
    *ret = (struct query_worker_list){0};
    if (select_workers(core, args->has_selection ? &args->workers : &all, true, arena, &ids) < 0) {
        return;
    }
    uint32_t *missing = NULL;
    size_t missing_cap = 0;
    size_t cap = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < ids.count && !ret->has_more; i++) {
        const struct worker *w = core_worker(core, ids.v[i]);
        if (w == NULL && args->after_worker.v == 0) {
            hq_arena_grow(arena, &missing, &missing_cap, ret->not_found_count + 1, sizeof(*missing));
            missing[ret->not_found_count++] = ids.v[i];
        }
        if (w == NULL || w->id.v <= args->after_worker.v || !is_wanted(w, args->filter)) {
            continue;
        }
        bytes += worker_bytes(w);
        ret->has_more = bytes > args->bytes_max && ret->count > 0;
        if (!ret->has_more) {
            hq_arena_grow(arena, &ret->workers, &cap, ret->count + 1, sizeof(*ret->workers));
            ret->workers[ret->count++] = worker_row(w);
        }
    }
    ret->not_found = missing;
}
