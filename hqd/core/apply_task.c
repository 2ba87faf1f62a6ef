#include "hqd/core/apply_task.h"

#include "common/mem.h"
#include "hqd/core/deps.h"
#include "hqd/core/job.h"
#include "hqd/core/worker.h"
#include "hqd/sched/ready.h"

/* ---- given to a worker */
static void
note_end(struct core *core, struct job *job)
{
    if (job_is_terminated(job) && !job->is_end_noted) {
        job->is_end_noted = true;
        hq_xgrow(&core->ended_jobs, &core->ended_cap, core->ended_count + 1, sizeof(*core->ended_jobs));
        core->ended_jobs[core->ended_count++] = job->id.v;
    }
}

static void
assign_gang(struct core *core, struct job *job, const struct record_tasks_assigned *rec, uint32_t pos)
{
    hq_xgrow(&job->gangs, &job->gang_cap, job->gang_count + 1, sizeof(*job->gangs));
    struct gang *gang = &job->gangs[job->gang_count++];
    *gang = (struct gang){.pos = pos, .instance = rec->instance, .is_live = true};
    gang->node_count = (uint32_t)rec->node_count;
    gang->nodes = hq_xmemdup(rec->nodes, rec->node_count * sizeof(*rec->nodes));
    worker_gang_begin(core, job, gang);
}

static void
assign_run(struct core *core, struct job *job, const struct record_tasks_assigned *rec, struct task_page *page,
           uint32_t pos, uint32_t n)
{
    struct ready_node *node = job_node(job, pos);
    struct worker *w = core_worker(core, rec->worker.v);
    uint32_t at = pos % TASK_PAGE_TASKS;
    for (uint32_t i = at; i < at + n; i++) {
        page_state(page)[i] = TASK_ASSIGNED;
        page_worker(page)[i] = rec->worker.v;
        page_instance(page)[i] = rec->instance;
        page_variant(page)[i] = (unsigned char)rec->variant;
        page_started(page)[i] = 0;
        page_ended(page)[i] = 0;
    }
    (void)ready_remove(core, node, pos, n);
    page->held += n;
    job->held += n;
    if (w != NULL) {
        w->held += n;
        worker_hold(core, w, job, pos, n);
        w->idle_from_ms = 0;
    }
    if (w != NULL && !node->cls->is_gang) {
        worker_book(core, w, node->cls, rec->variant, n);
    }
    if (rec->node_count > 0) {
        assign_gang(core, job, rec, pos);
    }
}

/* Positions of one page: cut into runs of waiting tasks of one class. */
static void
assign_stretch(struct core *core, struct job *job, const struct record_tasks_assigned *rec, uint32_t pos,
               uint32_t count)
{
    struct task_page *page = task_table_page(&job->tasks, pos);
    const unsigned char *state = page_state(page) + pos % TASK_PAGE_TASKS;
    for (uint32_t i = 0; i < count;) {
        if (state[i] != TASK_WAITING) {
            i++;
            continue;
        }
        const struct ready_node *node = job_node(job, pos + i);
        uint32_t n = 1;
        while (i + n < count && state[i + n] == TASK_WAITING && rec->node_count == 0 &&
               (job->node_count == 1 || job_node(job, pos + i + n) == node)) {
            n++;
        }
        if (rec->variant < node->cls->variant_count) {
            assign_run(core, job, rec, page, pos + i, n);
        }
        i += n;
    }
}

void
apply_tasks_assigned(struct core *core, const struct record_tasks_assigned *rec)
{
    struct job *job = core_job(core, rec->job.v);
    if (job == NULL) {
        return;
    }
    struct job_walk walk;
    job_walk_init(&walk, job, &rec->ids);
    while (job_walk_next(&walk)) {
        assign_stretch(core, job, rec, walk.pos, walk.count);
    }
    job->instance_max = HQ_MAX(job->instance_max, rec->instance);
}

/* ---- a task that a worker holds */
struct held {
    struct core *core;
    struct job *job;
    struct task_page *page;
    uint32_t at; /* place in the page */
    uint32_t pos;
};

static bool
find_held(struct core *core, struct job *job, uint32_t pos, struct held *ret)
{
    struct task_page *page = task_table_peek(&job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    *ret = (struct held){.core = core, .job = job, .page = page, .at = at, .pos = pos};
    return page != NULL && task_is_held(page_state(page)[at]);
}

/* The task leaves its worker; its page column `worker` keeps who it was. */
static void
unhold(struct held *h, bool was_running)
{
    struct worker *w = core_worker(h->core, page_worker(h->page)[h->at]);
    struct cls *cls = job_node(h->job, h->pos)->cls;
    h->page->held--;
    h->job->held--;
    if (w != NULL) {
        w->held--;
        w->running -= was_running;
        worker_dirty(h->core, w);
    }
    if (w != NULL && !cls->is_gang) {
        worker_unbook(h->core, w, cls, page_variant(h->page)[h->at], 1, was_running);
    }
    struct gang *gang = cls->is_gang ? job_gang(h->job, h->pos) : NULL;
    if (gang != NULL) {
        worker_gang_end(h->core, h->job, gang);
    }
}

static void
count_left(struct job *job, enum task_state state)
{
    if (state == TASK_RUNNING) {
        job->counts.running--;
    } else {
        job->counts.waiting--;
    }
}

static void
make_ready(struct core *core, struct job *job, uint32_t pos)
{
    const struct submit *s = job_submit_at(job, pos);
    if (s->deps == NULL || s->deps->waiting[pos - s->first_pos] == 0) {
        ready_add(core, job_node(job, pos), pos, 1);
    }
}

void
apply_restart_one(struct core *core, struct job *job, uint32_t pos, bool is_crash)
{
    struct held h;
    if (!find_held(core, job, pos, &h)) {
        return;
    }
    enum task_state state = page_state(h.page)[h.at];
    unhold(&h, state == TASK_RUNNING);
    count_left(job, state);
    job->counts.waiting++;
    page_state(h.page)[h.at] = task_next[state][TASK_ON_RESTART];
    uint32_t next = ++page_instance(h.page)[h.at];
    job->instance_max = HQ_MAX(job->instance_max, next);
    job->restart_seq = core->last_seq;
    page_started(h.page)[h.at] = 0;
    if (is_crash && page_crashes(h.page)[h.at] < UINT16_MAX) {
        page_crashes(h.page)[h.at]++;
    }
    make_ready(core, job, pos);
}

void
apply_tasks_restarted(struct core *core, const struct record_tasks_restarted *rec)
{
    struct job *job = core_job(core, rec->job.v);
    if (job == NULL) {
        return;
    }
    struct job_walk walk;
    job_walk_init(&walk, job, &rec->ids);
    while (job_walk_next(&walk)) {
        for (uint32_t i = 0; i < walk.count; i++) {
            apply_restart_one(core, job, walk.pos + i, rec->is_crash);
        }
    }
    job_changed(core, job);
}

void
apply_tasks_unassigned(struct core *core, const struct record_tasks_unassigned *rec)
{
    struct job *job = core_job(core, rec->job.v);
    if (job == NULL) {
        return;
    }
    struct job_walk walk;
    job_walk_init(&walk, job, &rec->ids);
    while (job_walk_next(&walk)) {
        for (uint32_t i = 0; i < walk.count; i++) {
            struct held h;
            if (find_held(core, job, walk.pos + i, &h) && page_state(h.page)[h.at] == TASK_ASSIGNED &&
                page_worker(h.page)[h.at] == rec->worker.v) {
                unhold(&h, false);
                page_state(h.page)[h.at] = task_next[TASK_ASSIGNED][TASK_ON_UNASSIGN];
                make_ready(core, job, walk.pos + i);
            }
        }
    }
}

static void
note_start(struct worker *w, const struct job *job, uint32_t pos, hq_wall_ms time_ms)
{
    if (w != NULL && time_ms >= w->last_started_ms) {
        w->last_job = job->id;
        w->last_task = job_task_id(job, pos);
        w->last_started_ms = time_ms;
    }
}

static void
start_one(struct held *h, struct worker *w, hq_wall_ms time_ms)
{
    struct cls *cls = job_node(h->job, h->pos)->cls;
    const struct gang *gang = cls->is_gang ? job_gang(h->job, h->pos) : NULL;
    page_state(h->page)[h->at] = task_next[TASK_ASSIGNED][TASK_ON_START];
    page_started(h->page)[h->at] = time_ms;
    h->job->counts.waiting--;
    h->job->counts.running++;
    for (uint32_t i = 0; gang != NULL && i < gang->node_count; i++) {
        note_start(core_worker(h->core, gang->nodes[i]), h->job, h->pos, time_ms);
    }
    if (w == NULL) {
        return;
    }
    w->running++;
    if (!cls->is_gang) {
        worker_start(h->core, w, cls, page_variant(h->page)[h->at], 1);
    }
    note_start(w, h->job, h->pos, time_ms);
}

void
apply_tasks_started(struct core *core, const struct record_tasks_started *rec)
{
    struct job *job = core_job(core, rec->tasks.job.v);
    struct worker *w = core_worker(core, rec->worker.v);
    if (job == NULL) {
        return;
    }
    struct job_walk walk;
    hq_wall_ms time_ms = rec->tasks.times.base_ms;
    uint64_t k = 0;
    job_walk_init(&walk, job, &rec->tasks.ids);
    while (job_walk_next(&walk)) {
        for (uint32_t i = 0; i < walk.count; i++) {
            struct held h;
            for (; k <= walk.k + i && k < rec->tasks.times.count; k++) {
                time_ms += rec->tasks.times.started[k];
            }
            if (find_held(core, job, walk.pos + i, &h) && page_state(h.page)[h.at] == TASK_ASSIGNED &&
                page_worker(h.page)[h.at] == rec->worker.v) {
                start_one(&h, w, time_ms);
            }
        }
    }
    job_changed(core, job);
}

/* ---- finished: the hot path */
struct finish {
    struct core *core;
    struct job *job;
    struct worker *w; /* NULL: not known any more */
    const struct record_tasks_finished *rec;
    hq_wall_ms time_ms; /* start of the task that was read last */
    uint64_t k;         /* columns read */
};

/* Tasks of one page and class. Returns how many were finished; *ret_running of them had been running. */
static uint32_t
finish_columns(struct finish *f, struct task_page *page, uint32_t at, uint32_t count, uint32_t *ret_running)
{
    const int64_t *started = f->rec->tasks.times.started;
    const uint64_t *duration = f->rec->tasks.times.duration_ms;
    unsigned char *state = page_state(page);
    const uint32_t *worker = page_worker(page);
    int64_t *started_ms = page_started(page);
    int64_t *ended_ms = page_ended(page);
    uint32_t done = 0;
    uint32_t running = 0;
    hq_wall_ms time_ms = f->time_ms;
    for (uint32_t i = at; i < at + count; i++, f->k++) {
        time_ms += started[f->k];
        if (!task_is_held(state[i]) || worker[i] != f->rec->worker.v) {
            continue;
        }
        running += state[i] == TASK_RUNNING;
        state[i] = TASK_FINISHED;
        started_ms[i] = time_ms;
        ended_ms[i] = time_ms + (hq_wall_ms)duration[f->k];
        done++;
    }
    f->time_ms = time_ms;
    *ret_running = running;
    return done;
}

static void
count_finished(struct finish *f, struct task_page *page, struct cls *cls, uint32_t variant, uint32_t done,
               uint32_t running)
{
    page->held -= done;
    f->job->held -= done;
    f->job->counts.running -= running;
    f->job->counts.waiting -= done - running;
    f->job->counts.finished += done;
    if (done == 0 || f->w == NULL) {
        return;
    }
    f->w->held -= done;
    f->w->running -= running;
    worker_dirty(f->core, f->w);
    if (!cls->is_gang) {
        worker_unbook(f->core, f->w, cls, variant, done, running);
    }
}

static void
finish_run(struct finish *f, struct task_page *page, struct cls *cls, uint32_t pos, uint32_t n)
{
    uint32_t at = pos % TASK_PAGE_TASKS;
    uint32_t variant = page_variant(page)[at];
    struct gang *gang = cls->is_gang ? job_gang(f->job, pos) : NULL;
    uint32_t running;
    uint32_t done = finish_columns(f, page, at, n, &running);
    count_finished(f, page, cls, variant, done, running);
    if (gang != NULL && done > 0) {
        worker_gang_end(f->core, f->job, gang);
    }
    for (uint32_t j = 0; f->job->has_deps && done > 0 && j < n; j++) {
        if (page_state(page)[at + j] == TASK_FINISHED) {
            deps_release(f->core, f->job, pos + j);
        }
    }
}

static void
finish_stretch(struct finish *f, uint32_t pos, uint32_t count)
{
    struct task_page *page = task_table_peek(&f->job->tasks, pos);
    if (page == NULL) {
        return;
    }
    const unsigned char *variant = page_variant(page) + pos % TASK_PAGE_TASKS;
    for (uint32_t i = 0; i < count;) {
        struct cls *cls = job_node(f->job, pos + i)->cls;
        uint32_t n = 1;
        while (i + n < count && !cls->is_gang && variant[i + n] == variant[i] &&
               (f->job->node_count == 1 || job_node(f->job, pos + i + n)->cls == cls)) {
            n++;
        }
        finish_run(f, page, cls, pos + i, n);
        i += n;
    }
}

void
apply_tasks_finished(struct core *core, const struct record_tasks_finished *rec)
{
    struct job *job = core_job(core, rec->tasks.job.v);
    if (job == NULL || rec->tasks.times.count < hq_ranges_size(&rec->tasks.ids)) {
        return;
    }
    struct finish f = {.core = core, .job = job, .rec = rec, .time_ms = rec->tasks.times.base_ms};
    f.w = core_worker(core, rec->worker.v);
    struct job_walk walk;
    job_walk_init(&walk, job, &rec->tasks.ids);
    while (job_walk_next(&walk)) {
        for (; f.k < walk.k; f.k++) {
            f.time_ms += rec->tasks.times.started[f.k];
        }
        finish_stretch(&f, walk.pos, walk.count);
        for (; f.k < walk.k + walk.count; f.k++) { /* a page that does not exist was not read */
            f.time_ms += rec->tasks.times.started[f.k];
        }
        note_start(f.w, job, walk.pos + walk.count - 1, f.time_ms);
    }
    job_changed(core, job);
    note_end(core, job);
}

/* ---- other ends */
/* Out of the worker or the ready queue, into a final state. */
static bool
end_task(struct core *core, struct job *job, uint32_t pos, enum task_event event)
{
    struct task_page *page = task_table_page(&job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    enum task_state state = page_state(page)[at];
    enum task_state next = task_next[state][event];
    struct held h;
    if (next == TASK_NONE) {
        return false;
    }
    if (find_held(core, job, pos, &h)) {
        unhold(&h, state == TASK_RUNNING);
    } else {
        (void)ready_remove(core, job_node(job, pos), pos, 1);
    }
    count_left(job, state);
    page_state(page)[at] = (unsigned char)next;
    return true;
}

void
apply_tasks_failed(struct core *core, const struct record_task_failed *rec)
{
    struct job *job = core_job(core, rec->task.job.v);
    uint32_t pos;
    if (job == NULL || !idset_find(&job->ids, rec->task.task, &pos) || !end_task(core, job, pos, TASK_ON_FAIL)) {
        return;
    }
    struct task_page *page = task_table_page(&job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    bool has_run = rec->task.started_ms != 0;
    page_started(page)[at] = rec->task.started_ms;
    page_ended(page)[at] = has_run ? rec->task.ended_ms : 0;
    page_worker(page)[at] = has_run ? rec->worker.v : 0;
    job->counts.failed++;
    job_add_failure(job, pos, core->last_seq);
    job_changed(core, job);
    note_end(core, job);
}

/* A whole page of tasks that nobody has seen: one byte instead of a page. */
static bool
end_page(struct core *core, struct job *job, uint32_t pos, uint32_t count, enum task_event event)
{
    uint32_t ix = pos / TASK_PAGE_TASKS;
    if (job->tasks.pages[ix] != NULL || pos % TASK_PAGE_TASKS != 0 || count != task_page_size(&job->tasks, ix) ||
        job->tasks.uniform[ix] != TASK_WAITING) {
        return false;
    }
    for (uint32_t i = 0; i < job->node_count; i++) {
        (void)ready_remove(core, job->nodes[i], pos, count);
    }
    job->tasks.uniform[ix] = task_next[TASK_WAITING][event];
    job->counts.waiting -= count;
    return true;
}

void
apply_tasks_ended(struct core *core, const struct record_tasks_ended *rec, enum task_event event, hq_wall_ms at_ms)
{
    struct job *job = core_job(core, rec->job.v);
    if (job == NULL) {
        return;
    }
    uint64_t *count = event == TASK_ON_CANCEL ? &job->counts.canceled : &job->counts.aborted;
    struct job_walk walk;
    job_walk_init(&walk, job, &rec->ids);
    while (job_walk_next(&walk)) {
        if (end_page(core, job, walk.pos, walk.count, event)) {
            *count += walk.count;
            continue;
        }
        for (uint32_t i = 0; i < walk.count; i++) {
            uint32_t pos = walk.pos + i;
            bool was_running = task_state_at(&job->tasks, pos) == TASK_RUNNING;
            bool has_ended = end_task(core, job, pos, event);
            *count += has_ended;
            if (has_ended && was_running) {
                page_ended(task_table_page(&job->tasks, pos))[pos % TASK_PAGE_TASKS] = at_ms;
            }
        }
    }
    job_changed(core, job);
    note_end(core, job);
}
