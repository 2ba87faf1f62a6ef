#include "hqd/shell_impl.h"

#include <stdlib.h>

#include "common/mem.h"
#include "hqd/core/query.h"
#include "hqd/core/query_alloc.h"
#include "hqd/egress.h"
#include "hqd/record_pb.h"

/* Prune: what is kept of the journal is decided here, from sets taken when the prune begins; the journal copies on its own
 * thread while hqd goes on. Dropped are all records of jobs that are completed, forgotten or unknown, and connections of
 * workers that are not connected. What a job that lives on says stays as it is, so that its history can still be read. The
 * last record of the part that is looked through is a checkpoint: it keeps the numbers of jobs and workers from being given
 * again. It must come last: a record of a job whose number the counters have passed would be taken for a repetition. */

struct pruning {
    struct journal_prune p; /* first */
    struct shell *s;
    uint64_t handle;
    uint64_t request_id;
    uint32_t last_job;      /* higher ones are newer than the prune: kept */
    uint32_t last_worker;
    uint32_t *jobs;         /* that live on, ascending */
    size_t job_count;
    size_t job_cap;
    uint32_t *workers;      /* connected, ascending */
    size_t worker_count;
    size_t worker_cap;
    uint32_t last_queue;
    uint32_t *queues;       /* that are still there, ascending */
    size_t queue_count;
    size_t queue_cap;
    struct hq_map uploads;  /* of submits that stay; pruning thread */
};

static int
cmp_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool
has_id(const uint32_t *ids, size_t count, uint32_t id)
{
    return count > 0 && bsearch(&id, ids, count, sizeof id, cmp_id) != NULL;
}

static bool
keeps_job(const struct pruning *g, uint32_t job)
{
    return job > g->last_job || has_id(g->jobs, g->job_count, job);
}

static void
scan_thr(void *ctx, struct hq_str body)
{
    struct pruning *g = ctx;
    struct record_peek p;
    if (record_pb_peek(body, &p) == 0 && p.kind == RECORD_JOB_SUBMITTED && p.upload_id != 0 && keeps_job(g, p.job)) {
        hq_map_set(&g->uploads, p.upload_id, 1);
    }
}

static bool
keeps(const struct pruning *g, const struct record_peek *p, uint64_t seq)
{
    switch (p->kind) {
    case RECORD_SERVER_STARTED:
    case RECORD_SERVER_STOPPED:
        return true;
    case RECORD_WORKER_CONNECTED:
    case RECORD_WORKER_LOST:
    case RECORD_WORKER_OVERVIEW:
        return p->worker > g->last_worker || has_id(g->workers, g->worker_count, p->worker);
    case RECORD_SUBMIT_PART:
        return hq_map_find(&g->uploads, p->upload_id) != NULL;
    case RECORD_COUNTERS:
        return seq == g->p.until_seq; /* older ones say less */
    case RECORD_JOB_FORGOTTEN:
        return false;
    case RECORD_JOB_OPENED:
    case RECORD_JOB_SUBMITTED:
    case RECORD_JOB_CLOSED:
    case RECORD_JOB_CANCELED:
    case RECORD_JOB_COMPLETED:
    case RECORD_JOB_IDLE:
    case RECORD_TASKS_ASSIGNED:
    case RECORD_TASKS_UNASSIGNED:
    case RECORD_TASKS_STARTED:
    case RECORD_TASKS_FINISHED:
    case RECORD_TASK_FAILED:
    case RECORD_TASKS_CANCELED:
    case RECORD_TASKS_ABORTED:
    case RECORD_TASKS_RESTARTED:
    case RECORD_TASK_NOTIFIED:
    case RECORD_JOB_SNAPSHOT:
        return keeps_job(g, p->job);
    case RECORD_ALLOC_QUEUE_CREATED:
    case RECORD_ALLOC_QUEUE_REMOVED:
    case RECORD_ALLOC_QUEUE_PAUSED:
    case RECORD_ALLOC_QUEUE_RESUMED:
    case RECORD_ALLOC_QUEUE_SHAPE:
    case RECORD_ALLOCATION_PLANNED:
    case RECORD_ALLOCATION_QUEUED:
    case RECORD_ALLOCATION_STARTED:
    case RECORD_ALLOCATION_FINISHED:
    case RECORD_ALLOCATION_REFUSED:
        return p->queue > g->last_queue || has_id(g->queues, g->queue_count, p->queue);
    }
    return true; /* of a later version */
}

static bool
keep_thr(void *ctx, uint64_t seq, struct hq_str body)
{
    struct pruning *g = ctx;
    struct record_peek p;
    return record_pb_peek(body, &p) < 0 || keeps(g, &p, seq); /* what can't be read is not ours to drop */
}

static void
add_id(uint32_t **ids, size_t *count, size_t *cap, uint32_t id)
{
    hq_xgrow(ids, cap, *count + 1, sizeof **ids);
    (*ids)[(*count)++] = id;
}

static void
take_sets(struct pruning *g)
{
    const struct core *core = g->s->core;
    struct query_server server;
    query_server(core, &server);
    g->last_job = server.last_job.v;
    g->last_worker = server.last_worker.v;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct query_job_list_args jobs = {.bytes_max = SIZE_MAX};
    struct query_job_list list;
    query_job_list(core, &jobs, &arena, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct query_job *j = &list.jobs[i];
        if (j->is_open || j->counts.waiting > 0 || j->counts.running > 0) {
            add_id(&g->jobs, &g->job_count, &g->job_cap, j->job.v);
        }
    }
    struct query_worker_list_args workers = {.filter = QUERY_WORKERS_RUNNING, .bytes_max = SIZE_MAX};
    struct query_worker_list found;
    query_worker_list(core, &workers, &arena, &found);
    for (size_t i = 0; i < found.count; i++) {
        add_id(&g->workers, &g->worker_count, &g->worker_cap, found.workers[i].worker.v);
    }
    const uint32_t *queues;
    size_t queue_count;
    g->last_queue = query_alloc_ids(core, &arena, &queues, &queue_count);
    for (size_t i = 0; i < queue_count; i++) {
        add_id(&g->queues, &g->queue_count, &g->queue_cap, queues[i]);
    }
    hq_arena_fini(&arena);
}

static void
pruning_free(struct pruning *g)
{
    hq_map_fini(&g->uploads);
    free(g->jobs);
    free(g->workers);
    free(g->queues);
    free(g);
}

static void
prune_done(struct journal_prune *p, int rc, const struct hq_err *err)
{
    struct pruning *g = (struct pruning *)p;
    struct shell *s = g->s;
    if (rc < 0) {
        hq_log_error("Journal could not be pruned: %s", err->text);
        shell_refuse(s, g->handle, rc, err->text);
    } else {
        hq_log_info("Journal was pruned bytes=%llu", (unsigned long long)journal_bytes(s->journal));
        hq_buf_clear(&s->answer_bytes);
        egress_done(&s->answer_bytes, g->request_id);
        shell_answer_now(s, g->handle, hq_buf_view(&s->answer_bytes));
    }
    pruning_free(g);
}

void
snapshot_prune(struct shell *s, uint64_t handle, uint64_t request_id)
{
    struct pruning *g = hq_xalloc(sizeof *g);
    g->s = s;
    g->handle = handle;
    g->request_id = request_id;
    hq_map_init(&g->uploads, handle);
    take_sets(g);
    struct core_now now = shell_now(s);
    effects_clear(&s->fx);
    core_checkpoint(s->core, &now, &s->fx);
    shell_carry_out(s);
    journal_submit(s->journal, true, false); /* what the sets know is in the file before it is read */
    g->p = (struct journal_prune){.ctx = g,
                                  .scan_thr = scan_thr,
                                  .keep_thr = keep_thr,
                                  .until_seq = journal_appended_seq(s->journal),
                                  .done = prune_done};
    struct hq_err err = {0};
    if (journal_prune_start(s->journal, &g->p, &err) < 0) {
        shell_refuse(s, handle, err.code, err.text);
        pruning_free(g);
    }
}
