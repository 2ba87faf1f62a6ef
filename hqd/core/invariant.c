#include "hqd/core/invariant.h"

#include "common/mem.h"
#include "hqd/core/job.h"
#include "hqd/core/step.h"
#include "hqd/core/worker.h"
#include "hqd/sched/fit.h"

#include <stdlib.h>

#define CHECK(cond, ...)                                                                                               \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            hq_buf_printf(out, __VA_ARGS__);                                                                           \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

/* What the tasks of a worker add up to, counted from the pages. */
struct tally {
    uint64_t held;
    uint64_t running;
};

struct sums {
    const struct core *core;
    struct tally *workers; /* by place in core->workers */
    struct hq_map uses;    /* worker, class id -> tasks held */
};

static size_t
place_of(const struct core *core, const struct worker *w)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        if (core->workers[i] == w) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool
check_task(struct sums *sums, const struct job *job, uint32_t pos, struct job_counts *counts, uint64_t *held,
           struct hq_buf *out)
{
    enum task_state state = task_state_at(&job->tasks, pos);
    const struct ready_node *node = job_node(job, pos);
    const struct submit *s = job_submit_at(job, pos);
    bool is_met = s->deps == NULL || s->deps->waiting[pos - s->first_pos] == 0;
    bool is_queued = posset_has(&node->set, pos);
    CHECK(is_queued == (state == TASK_WAITING && is_met), "job %u position %u: %s, deps %s, but %sin the ready queue",
          job->id.v, pos, task_state_name(state), is_met ? "met" : "open", is_queued ? "" : "not ");
    counts->waiting += state == TASK_WAITING || state == TASK_ASSIGNED;
    counts->running += state == TASK_RUNNING;
    counts->finished += state == TASK_FINISHED;
    counts->failed += state == TASK_FAILED;
    counts->canceled += state == TASK_CANCELED;
    counts->aborted += state == TASK_ABORTED;
    CHECK(state != TASK_FAILED || job_failure_seq(job, pos) != 0, "job %u position %u failed without a record",
          job->id.v, pos);
    if (!task_is_held(state)) {
        return true;
    }
    ++*held;
    struct task_page *p = task_table_peek(&job->tasks, pos);
    const struct worker *w = core_worker(sums->core, page_worker(p)[pos % TASK_PAGE_TASKS]);
    CHECK(w != NULL && w->place != WORKER_LOST, "job %u position %u is held by a worker that is gone", job->id.v, pos);
    struct tally *t = &sums->workers[place_of(sums->core, w)];
    t->held++;
    t->running += state == TASK_RUNNING;
    if (!node->cls->is_gang) {
        uint64_t key = hq_map_key2(w->id.v, node->cls->id * 32 + page_variant(p)[pos % TASK_PAGE_TASKS]);
        hq_map_set(&sums->uses, key, hq_map_get(&sums->uses, key, 0) + 1);
    }
    return true;
}

/* All nodes of a task of several ranks are there; each knows whom it works for. A plain one may go on with fewer. */
static bool
check_gang(const struct core *core, const struct job *job, const struct gang *gang, struct hq_buf *out)
{
    bool has_ranks = job_desc(job, gang->pos)->mpi.is_on;
    CHECK(task_is_held(task_state_at(&job->tasks, gang->pos)), "job %u position %u: its nodes are taken, it is not held",
          job->id.v, gang->pos);
    for (uint32_t i = 0; i < gang->node_count; i++) {
        const struct worker *w = core_worker(core, gang->nodes[i]);
        bool is_there = w != NULL && w->place != WORKER_LOST;
        CHECK(is_there || (i > 0 && !has_ranks), "job %u position %u goes on without node %u", job->id.v, gang->pos, i);
        CHECK(!is_there || (w->gang_job.v == job->id.v && w->gang_pos == gang->pos && w->is_root == (i == 0)),
              "job %u position %u: worker %u does not work for it", job->id.v, gang->pos, w->id.v);
    }
    return true;
}

static bool
check_job(struct sums *sums, const struct job *job, struct hq_buf *out)
{
    struct job_counts counts = {0};
    uint64_t held = 0;
    for (uint32_t pos = 0; pos < job->tasks.task_count; pos++) {
        if (!check_task(sums, job, pos, &counts, &held, out)) {
            return false;
        }
        uint32_t back;
        CHECK(idset_find(&job->ids, job_task_id(job, pos), &back) && back == pos, "job %u position %u: id leads to %u",
              job->id.v, pos, back);
    }
    CHECK(memcmp(&counts, &job->counts, sizeof(counts)) == 0, "job %u: counters differ from its tasks", job->id.v);
    CHECK(held == job->held, "job %u: %llu tasks held, counted %llu", job->id.v, (unsigned long long)job->held,
          (unsigned long long)held);
    uint64_t page_held = 0;
    for (uint32_t i = 0; i < job->tasks.page_count; i++) {
        page_held += job->tasks.pages[i] == NULL ? 0 : job->tasks.pages[i]->held;
    }
    CHECK(page_held == held, "job %u: pages count other held tasks", job->id.v);
    for (size_t i = 0; i < job->gang_count; i++) {
        if (job->gangs[i].is_live && !check_gang(sums->core, job, &job->gangs[i], out)) {
            return false;
        }
    }
    CHECK(!job->is_completed || (job_is_terminated(job) && !job->is_open), "job %u is completed too early", job->id.v);
    CHECK(job->is_completed || job->is_open || !job_is_terminated(job) || job->is_end_noted,
          "job %u should be completed", job->id.v);
    return true;
}

static bool
check_bookings(const struct core *core, const struct worker *w, const struct sums *sums, struct hq_buf *out)
{
    int64_t *free_now = hq_xcalloc(w->res_count + 1, sizeof(*free_now));
    memcpy(free_now, w->total, w->res_count * sizeof(*free_now));
    uint64_t held = 0;
    uint64_t running = 0;
    bool is_same = true;
    for (uint32_t i = 0; i < w->use_count; i++) {
        const struct worker_use *use = &w->uses[i];
        uint64_t key = hq_map_key2(w->id.v, use->cls->id * 32 + use->variant);
        uint64_t have = (uint64_t)use->placed + use->queued;
        is_same = is_same && hq_map_get(&sums->uses, key, 0) == have && use->running <= use->placed;
        held += have;
        running += use->running;
        fit_book(&use->cls->variants[use->variant], free_now, w->total, w->res_count, use->placed);
    }
    bool is_booked = memcmp(free_now, w->free, w->res_count * sizeof(*free_now)) == 0;
    free(free_now);
    bool has_gang = w->gang_job.v != 0 && w->is_root;
    CHECK(is_same, "worker %u: uses differ from its tasks", w->id.v);
    CHECK(is_booked, "worker %u: free amounts differ from what is booked", w->id.v);
    CHECK(held + has_gang == w->held, "worker %u holds %u tasks, booked %llu", w->id.v, w->held,
          (unsigned long long)held);
    CHECK(running <= w->running && w->running <= running + has_gang, "worker %u: running tasks differ", w->id.v);
    for (uint32_t i = 0; i < w->use_count; i++) {
        const struct worker_use *use = &w->uses[i];
        const struct cls_variant *v = &use->cls->variants[use->variant];
        CHECK(use->queued == 0 || fit_count(v, w->free, w->total, w->res_count, 1) == 0,
              "worker %u: a queued task would fit", w->id.v);
    }
    CHECK(core->is_stopping || w->open_count <= HQ_ARRAY_LEN(w->open), "worker %u: too many open turns", w->id.v);
    return true;
}

static bool
check_worker(const struct core *core, const struct sums *sums, size_t ix, struct hq_buf *out)
{
    const struct worker *w = core->workers[ix];
    const struct tally *t = &sums->workers[ix];
    CHECK(t->held == w->held, "worker %u holds %u tasks, counted %llu", w->id.v, w->held, (unsigned long long)t->held);
    CHECK(t->running == w->running, "worker %u runs %u tasks, counted %llu", w->id.v, w->running,
          (unsigned long long)t->running);
    uint64_t covered = 0;
    for (size_t i = 0; i < w->range_count; i++) {
        covered += w->ranges[i].count;
    }
    CHECK(covered == w->covered && covered >= w->held, "worker %u: ranges do not cover what it holds", w->id.v);
    const struct gang *gang = worker_membership(core, w);
    CHECK(w->gang_job.v == 0 || w->is_root || gang != NULL, "worker %u works for a task that has ended", w->id.v);
    CHECK(gang == NULL || step_node_ix(gang, w->id) < gang->node_count, "worker %u works for a task it is no node of",
          w->id.v);
    return check_bookings(core, w, sums, out);
}

static bool
check_classes(const struct core *core, struct hq_buf *out)
{
    uint64_t key;
    uint64_t value;
    for (size_t it = 0; hq_map_next(&core->classes, &it, &key, &value);) {
        for (const struct cls *c = (const struct cls *)(uintptr_t)value; c != NULL; c = c->next_same) {
            uint64_t ready = 0;
            uint64_t queued = 0;
            uint32_t workers = 0;
            for (size_t i = 0; i < c->nodes.count; i++) {
                ready += HQ_CONTAINER(c->nodes.v[i].node, struct ready_node, heap)->set.size;
            }
            for (size_t i = 0; i < core->worker_count; i++) {
                const struct worker *w = core->workers[i];
                for (uint32_t k = 0; k < w->use_count; k++) {
                    queued += w->uses[k].cls == c ? w->uses[k].queued : 0;
                    workers += w->uses[k].cls == c && w->uses[k].placed + w->uses[k].queued > 0;
                }
            }
            CHECK(ready == c->ready, "class %u: %llu ready, counted %llu", c->id, (unsigned long long)c->ready,
                  (unsigned long long)ready);
            CHECK(queued == c->queued, "class %u: queued tasks differ", c->id);
            CHECK(workers == c->worker_count, "class %u: workers differ", c->id);
        }
    }
    for (uint32_t i = 1; i < core->active_count; i++) {
        CHECK(core->active[i - 1]->priority >= core->active[i]->priority, "active classes are not in order");
    }
    return true;
}

bool
invariant_check(const struct core *core, struct hq_buf *out)
{
    struct sums sums = {.core = core};
    sums.workers = hq_xcalloc(core->worker_count + 1, sizeof(*sums.workers));
    hq_map_init(&sums.uses, 1);
    bool ok = check_classes(core, out);
    for (uint32_t i = 0; ok && i < core->job_cap; i++) {
        ok = core->jobs[i] == NULL || check_job(&sums, core->jobs[i], out);
    }
    for (size_t i = 0; ok && i < core->worker_count; i++) {
        ok = check_worker(core, &sums, i, out);
    }
    hq_map_fini(&sums.uses);
    free(sums.workers);
    return ok;
}
