#include "hqd/core/job.h"

#include "common/mem.h"
#include "hqd/core/submit.h"
#include "hqd/sched/class.h"
#include "hqd/sched/ready.h"

#include <stdlib.h>

/* ---- life */
struct job *
job_create(struct core *core, hq_job_id id, struct hq_str name, struct hq_str submit_dir, uint32_t owner_uid)
{
    struct job *job = hq_xalloc(sizeof(*job));
    job->id = id;
    job->name = (struct hq_str){.ptr = hq_str_dupz(name), .len = name.len};
    job->submit_dir = (struct hq_str){.ptr = hq_str_dupz(submit_dir), .len = submit_dir.len};
    job->owner_uid = owner_uid;
    hq_map_init(&job->cross, core->conf.seed ^ id.v);
    return job;
}

static void
free_str(struct hq_str s)
{
    free((void *)(uintptr_t)s.ptr); /* the job's own heap copy, const only for readers */
}

void
job_free(struct core *core, struct job *job)
{
    if (job == NULL) {
        return;
    }
    for (uint32_t i = 0; i < job->submit_count; i++) {
        submit_free(job->submits[i]);
    }
    for (uint32_t i = 0; i < job->node_count; i++) {
        struct ready_node *node = job->nodes[i];
        ready_clear(core, node);
        class_put(core, node->cls);
        free(node);
    }
    for (size_t i = 0; i < job->gang_count; i++) {
        free(job->gangs[i].nodes);
    }
    free(job->submits);
    free(job->nodes);
    free(job->gangs);
    free(job->failures);
    free(job->cross_deps);
    hq_map_fini(&job->cross);
    idset_fini(&job->ids);
    task_table_fini(&job->tasks);
    free_str(job->name);
    free_str(job->submit_dir);
    free_str(job->cancel_reason);
    free(job);
}

struct job *
core_job(const struct core *core, uint32_t id)
{
    if (id < core->job_base || id - core->job_base >= core->job_cap) {
        return NULL;
    }
    return core->jobs[id - core->job_base];
}

void
job_insert(struct core *core, struct job *job)
{
    uint32_t id = job->id.v;
    if (core->job_count == 0) {
        core->job_base = id;
    }
    HQ_ASSERT(id >= core->job_base);
    uint32_t need = id - core->job_base + 1;
    if (need > core->job_cap) {
        uint32_t cap = HQ_MAX(need, core->job_cap + core->job_cap / 2 + 16);
        core->jobs = hq_xrealloc(core->jobs, cap, sizeof(struct job *));
        memset(core->jobs + core->job_cap, 0, (cap - core->job_cap) * sizeof(struct job *));
        core->job_cap = cap;
    }
    HQ_ASSERT(core->jobs[id - core->job_base] == NULL);
    core->jobs[id - core->job_base] = job;
    core->job_count++;
}

void
job_remove(struct core *core, struct job *job)
{
    core->jobs[job->id.v - core->job_base] = NULL;
    core->job_count--;
    /* Half of the array is in front of the oldest job: move it up. */
    uint32_t dead = 0;
    while (core->job_count > 0 && core->jobs[dead] == NULL) {
        dead++;
        if (dead > core->job_cap / 2) {
            break;
        }
    }
    if (dead > core->job_cap / 2 && dead > 1024) {
        memmove(core->jobs, core->jobs + dead, (core->job_cap - dead) * sizeof(struct job *));
        memset(core->jobs + core->job_cap - dead, 0, dead * sizeof(struct job *));
        core->job_base += dead;
    }
}

/* ---- lookups */
struct submit *
job_submit_at(const struct job *job, uint32_t pos)
{
    uint32_t low = 0;
    uint32_t high = job->submit_count;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (job->submits[mid]->first_pos <= pos) {
            low = mid;
        } else {
            high = mid;
        }
    }
    struct submit *s = job->submits[low];
    /* Submits without tasks share their first position with the next one. */
    while (pos - s->first_pos >= s->task_count) {
        HQ_ASSERT(low > 0);
        s = job->submits[--low];
    }
    return s;
}

hq_task_ix
job_task_id(const struct job *job, uint32_t pos)
{
    const struct idrun *r = idset_run_at(&job_submit_at(job, pos)->ids, pos);
    HQ_ASSERT(r != NULL);
    return r->first + (pos - r->pos) * r->step;
}

static uint32_t
desc_ix(const struct submit *s, uint32_t pos)
{
    return s->desc_of == NULL ? 0 : s->desc_of[pos - s->first_pos];
}

uint32_t
job_desc_id(const struct job *job, uint32_t pos)
{
    const struct submit *s = job_submit_at(job, pos);
    return s->first_desc + desc_ix(s, pos);
}

const struct task_desc *
job_desc(const struct job *job, uint32_t pos)
{
    const struct submit *s = job_submit_at(job, pos);
    return &s->descs[desc_ix(s, pos)];
}

const struct task_desc *
job_desc_by_id(const struct job *job, uint32_t desc_id, const struct submit **ret_submit)
{
    uint32_t low = 0;
    uint32_t high = job->submit_count;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (job->submits[mid]->first_desc <= desc_id) {
            low = mid;
        } else {
            high = mid;
        }
    }
    struct submit *s = job->submits[low];
    while (desc_id - s->first_desc >= s->desc_count) {
        HQ_ASSERT(low > 0);
        s = job->submits[--low];
    }
    *ret_submit = s;
    return &s->descs[desc_id - s->first_desc];
}

struct ready_node *
job_node(const struct job *job, uint32_t pos)
{
    const struct submit *s = job_submit_at(job, pos);
    return s->desc_node[desc_ix(s, pos)];
}

struct ready_node *
job_node_get(struct core *core, struct job *job, const struct hq_request *request, int32_t priority)
{
    struct cls *cls = class_get(core, request, priority);
    for (uint32_t i = job->node_count; i > 0; i--) {
        if (job->nodes[i - 1]->cls == cls) {
            class_put(core, cls); /* one reference a node */
            return job->nodes[i - 1];
        }
    }
    struct ready_node *node = hq_xalloc(sizeof(*node));
    node->cls = cls;
    node->job = job;
    if (job->node_count == job->node_cap) {
        job->node_cap = job->node_cap == 0 ? 1 : job->node_cap * 2;
        job->nodes = hq_xrealloc(job->nodes, job->node_cap, sizeof(struct ready_node *));
    }
    job->nodes[job->node_count++] = node;
    return node;
}

void
job_add_ids(const struct job *job, uint32_t pos, uint32_t count, struct idlist *into)
{
    while (count > 0) {
        const struct submit *s = job_submit_at(job, pos);
        const struct idrun *r = idset_run_at(&s->ids, pos);
        HQ_ASSERT(r != NULL);
        uint32_t k = pos - r->pos;
        uint32_t n = HQ_MIN(count, r->count - k);
        idlist_add(into, r->first + k * r->step, n, r->step);
        pos += n;
        count -= n;
    }
}

/* ---- walking ids */
void
job_walk_init(struct job_walk *w, const struct job *job, const struct hq_ranges *ids)
{
    *w = (struct job_walk){.job = job, .ids = ids};
}

bool
job_walk_next(struct job_walk *w)
{
    while (w->ix < w->ids->count) {
        const struct hq_range *g = &w->ids->v[w->ix];
        if (w->done >= g->count) {
            w->ix++;
            w->done = 0;
            continue;
        }
        uint32_t id = g->first + w->done * g->step;
        const struct idrun *r = idset_run(&w->job->ids, id);
        w->k = w->k_next;
        if (r == NULL) {
            w->done++;
            w->k_next++;
            continue;
        }
        uint32_t at = (id - r->first) / r->step;
        uint32_t left = g->count - w->done;
        uint32_t n = g->step == r->step || left == 1 ? HQ_MIN(left, r->count - at) : 1;
        w->pos = r->pos + at;
        n = HQ_MIN(n, TASK_PAGE_TASKS - w->pos % TASK_PAGE_TASKS);
        if (w->job->submit_count > 1) {
            const struct submit *s = job_submit_at(w->job, w->pos);
            n = HQ_MIN(n, s->first_pos + s->task_count - w->pos);
        }
        w->count = n;
        w->done += n;
        w->k_next += n;
        return true;
    }
    return false;
}

/* ---- state */
bool
job_is_terminated(const struct job *job)
{
    return job->counts.waiting == 0 && job->counts.running == 0;
}

uint64_t
job_ended(const struct job *job)
{
    return job->counts.finished + job->counts.failed + job->counts.canceled + job->counts.aborted;
}

enum job_state_word
job_state(const struct job *job)
{
    if (job->counts.running > 0) {
        return JOB_WORD_RUNNING;
    }
    if (job->counts.waiting > 0) {
        return JOB_WORD_WAITING;
    }
    if (job->counts.failed > 0) {
        return JOB_WORD_FAILED;
    }
    if (job->counts.aborted > 0) {
        return JOB_WORD_ABORTED;
    }
    if (job->counts.canceled > 0) {
        return JOB_WORD_CANCELED;
    }
    return job->is_open ? JOB_WORD_OPENED : JOB_WORD_FINISHED;
}

void
job_changed(struct core *core, struct job *job)
{
    job->version = core->last_seq;
    if (job->is_changed) {
        return;
    }
    job->is_changed = true;
    hq_xgrow(&core->changed_jobs, &core->changed_cap, core->changed_count + 1, sizeof(*core->changed_jobs));
    core->changed_jobs[core->changed_count++] = job->id.v;
}

struct gang *
job_gang(const struct job *job, uint32_t pos)
{
    for (size_t i = job->gang_count; i > 0; i--) {
        if (job->gangs[i - 1].pos == pos && job->gangs[i - 1].is_live) {
            return &job->gangs[i - 1];
        }
    }
    return NULL;
}

/* Index of the first failure at or behind pos. */
static size_t
failure_place(const struct job *job, uint32_t pos)
{
    size_t low = 0;
    size_t high = job->failure_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (job->failures[mid].pos < pos) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void
job_add_failure(struct job *job, uint32_t pos, uint64_t seq)
{
    /* Nearly ascending in practice: few items move. */
    size_t ix = failure_place(job, pos);
    hq_xgrow(&job->failures, &job->failure_cap, job->failure_count + 1, sizeof(*job->failures));
    memmove(&job->failures[ix + 1], &job->failures[ix], (job->failure_count - ix) * sizeof(*job->failures));
    job->failures[ix] = (struct failure){.pos = pos, .seq = seq};
    job->failure_count++;
}

uint64_t
job_failure_seq(const struct job *job, uint32_t pos)
{
    size_t ix = failure_place(job, pos);
    return ix < job->failure_count && job->failures[ix].pos == pos ? job->failures[ix].seq : 0;
}
