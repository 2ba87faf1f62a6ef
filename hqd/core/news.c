#include "hqd/core/news.h"

#include "common/mem.h"
#include "hqd/core/cancel.h"
#include "hqd/core/job.h"
#include "hqd/core/lost.h"
#include "hqd/core/worker.h"

#define MEAN_SHIFT 2 /* a new mean duration counts a quarter */

/* ---- filter */
struct filter {
    const struct job *job;
    const struct worker *w;
    uint32_t instance;
    bool only_assigned;
};

static bool
is_true(const struct filter *f, struct task_page *p, uint32_t at)
{
    unsigned char state = page_state(p)[at];
    return (state == TASK_ASSIGNED || (state == TASK_RUNNING && !f->only_assigned)) &&
           page_worker(p)[at] == f->w->id.v && page_instance(p)[at] == f->instance;
}

static uint64_t
count_true(const struct filter *f, const struct hq_ranges *ids)
{
    uint64_t n = 0;
    struct job_walk walk;
    job_walk_init(&walk, f->job, ids);
    while (job_walk_next(&walk)) {
        struct task_page *p = task_table_peek(&f->job->tasks, walk.pos);
        for (uint32_t i = 0; p != NULL && i < walk.count; i++) {
            n += is_true(f, p, walk.pos % TASK_PAGE_TASKS + i);
        }
    }
    return n;
}

struct sieve {
    struct idlist ids;
    int64_t *started;
    uint64_t *duration;
    uint64_t count;
    hq_wall_ms last_ms; /* start of the task kept last */
};

static void
keep(struct sieve *s, hq_task_ix id, hq_wall_ms start_ms, const uint64_t *duration)
{
    idlist_add(&s->ids, id, 1, 1);
    if (s->started != NULL) {
        s->started[s->count] = start_ms - s->last_ms;
        s->last_ms = start_ms;
    }
    if (duration != NULL) {
        s->duration[s->count] = *duration;
    }
    s->count++;
}

uint64_t
news_filter(struct ctx *ctx, const struct job *job, const struct worker *w, uint32_t instance, bool only_assigned,
            struct hq_ranges *ids, struct task_times *times)
{
    struct filter f = {.job = job, .w = w, .instance = instance, .only_assigned = only_assigned};
    uint64_t size = hq_ranges_size(ids);
    uint64_t good = count_true(&f, ids);
    HQ_ASSERT(times == NULL || times->count == size);
    if (good == size || good == 0) {
        return good;
    }
    struct hq_arena *arena = &ctx->fx->arena;
    struct sieve s = {.ids.arena = arena};
    if (times != NULL) {
        s.last_ms = times->base_ms;
        s.started = hq_arena_array(arena, good, sizeof(*s.started));
        s.duration = times->duration_ms == NULL ? NULL : hq_arena_array(arena, good, sizeof(*s.duration));
    }
    hq_wall_ms start_ms = times == NULL ? 0 : times->base_ms;
    uint64_t k = 0;
    struct hq_ranges_iter it = hq_ranges_iter(ids);
    for (uint32_t id; hq_ranges_next(&it, &id); k++) {
        uint32_t pos;
        start_ms += times == NULL ? 0 : times->started[k];
        struct task_page *p = idset_find(&job->ids, id, &pos) ? task_table_peek(&job->tasks, pos) : NULL;
        if (p != NULL && is_true(&f, p, pos % TASK_PAGE_TASKS) && s.count < good) {
            keep(&s, id, start_ms, times == NULL || times->duration_ms == NULL ? NULL : &times->duration_ms[k]);
        }
    }
    *ids = s.ids.r;
    if (times != NULL) {
        *times = (struct task_times){
            .base_ms = times->base_ms, .started = s.started, .duration_ms = s.duration, .count = s.count};
    }
    return s.count;
}

/* ---- nonsense */
/* Can an honest worker say that of a task which is not its own? Only when it lost it without knowing: then the task has
 * ended, or a higher instance. */
static const char *
doubt_task(const struct job *job, const struct worker *w, uint32_t instance, hq_task_ix id)
{
    uint32_t pos;
    if (!idset_find(&job->ids, id, &pos)) {
        return "a task that its job does not have";
    }
    struct task_page *p = task_table_peek(&job->tasks, pos);
    uint32_t at = pos % TASK_PAGE_TASKS;
    uint32_t newest = p == NULL ? 0 : page_instance(p)[at];
    enum task_state state = task_state_at(&job->tasks, pos);
    bool is_held = p != NULL && task_is_held(page_state(p)[at]);
    if (instance > newest) {
        return "an instance that nobody was given";
    }
    if (instance < newest || !(is_held || state == TASK_WAITING) || (is_held && page_worker(p)[at] == w->id.v)) {
        return NULL;
    }
    return "a task that it was not given";
}

/* Of news that is not all true. */
static void
doubt(struct ctx *ctx, const struct worker *w, hq_job_id id, uint32_t instance, const struct hq_ranges *ids, const char **lie)
{
    const struct job *job = core_job(ctx->core, id.v);
    if (!w->has_settled || *lie != NULL) {
        return;
    }
    if (id.v == 0 || id.v >= ctx->core->next_job) {
        *lie = "a job that never was";
    }
    struct hq_ranges_iter it = hq_ranges_iter(ids);
    for (uint32_t task; job != NULL && *lie == NULL && hq_ranges_next(&it, &task);) {
        *lie = doubt_task(job, w, instance, task);
    }
}

/* ---- measurements: what prefill goes by */
static void
measure(struct ctx *ctx, struct worker *w, const struct job *job, const struct tasks_finished *g, uint64_t n)
{
    uint32_t pos;
    if (!idset_find(&job->ids, g->ids.v[0].first, &pos)) {
        return;
    }
    struct worker_use *use = worker_use_find(w, job_node(job, pos)->cls, g->variant);
    if (use == NULL) {
        return;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < g->times.count; i++) {
        sum += g->times.duration_ms[i];
    }
    int64_t mean_x16 = (int64_t)(sum * 16 / n);
    use->mean_ms_x16 =
        use->mean_ms_x16 < 0 ? mean_x16 : use->mean_ms_x16 + (mean_x16 - use->mean_ms_x16) / (1 << MEAN_SHIFT);
    use->ended_count += n;
    if (use->rate_from_ms == 0) {
        use->rate_from_ms = ctx->now->mono_ms;
    }
}

/* ---- groups */
static const struct gang *
gang_led_by(const struct job *job, const struct worker *w, hq_task_ix task)
{
    uint32_t pos;
    return w->is_root && idset_find(&job->ids, task, &pos) ? job_gang(job, pos) : NULL;
}

static void
take_started(struct ctx *ctx, struct worker *w, const struct tasks_started *g, const char **lie)
{
    struct job *job = core_job(ctx->core, g->job.v);
    struct record rec = {.kind = RECORD_TASKS_STARTED, .u.tasks_started = {.worker = w->id, .tasks = *g}};
    struct tasks_started *to = &rec.u.tasks_started.tasks;
    uint64_t n = job == NULL ? 0 : news_filter(ctx, job, w, g->instance, true, &to->ids, &to->times);
    if (n < hq_ranges_size(&g->ids)) {
        doubt(ctx, w, g->job, g->instance, &g->ids, lie);
    }
    if (n == 0) {
        return;
    }
    const struct gang *gang = gang_led_by(job, w, to->ids.v[0].first);
    if (gang != NULL) {
        rec.u.tasks_started.nodes = gang->nodes;
        rec.u.tasks_started.node_count = gang->node_count;
    }
    core_emit(ctx, &rec);
}

/* The end of a task that readers have not seen start: its start as a record of its own. Needed where more than the end
 * follows from it: a failure first aborts others, a multi-node task has nodes to name. */
static void
split_start(struct ctx *ctx, struct worker *w, const struct tasks_started *one)
{
    const char *lie = NULL; /* the end that follows says the same and is looked at */
    if (one->times.base_ms != 0) {
        take_started(ctx, w, one, &lie);
    }
}

static void
take_finished(struct ctx *ctx, struct worker *w, const struct tasks_finished *g, const char **lie)
{
    struct job *job = core_job(ctx->core, g->job.v);
    struct record rec = {.kind = RECORD_TASKS_FINISHED, .u.tasks_finished = {.worker = w->id, .tasks = *g}};
    struct tasks_finished *to = &rec.u.tasks_finished.tasks;
    if (job != NULL && gang_led_by(job, w, g->ids.v[0].first) != NULL) {
        struct tasks_started start = {
            .job = g->job, .instance = g->instance, .variant = g->variant, .ids = g->ids, .times = g->times};
        start.times.duration_ms = NULL;
        split_start(ctx, w, &start);
    }
    uint64_t n = job == NULL ? 0 : news_filter(ctx, job, w, g->instance, false, &to->ids, &to->times);
    if (n < hq_ranges_size(&g->ids)) {
        doubt(ctx, w, g->job, g->instance, &g->ids, lie);
    }
    if (n > 0) {
        core_emit(ctx, &rec);
        measure(ctx, w, job, to, n);
    }
}

static void
take_failed(struct ctx *ctx, struct worker *w, const struct task_failed *g, const char **lie)
{
    struct job *job = core_job(ctx->core, g->job.v);
    struct hq_range *one = hq_arena_array(&ctx->fx->arena, 1, sizeof(*one));
    *one = (struct hq_range){.first = g->task, .count = 1, .step = 1};
    struct hq_ranges ids = {.v = one, .count = 1};
    if (job != NULL && news_filter(ctx, job, w, g->instance, false, &ids, NULL) == 1) {
        static const int64_t at_base[] = {0};
        struct tasks_started start = {.job = g->job,
                                      .instance = g->instance,
                                      .variant = g->variant,
                                      .ids = ids,
                                      .times = {.base_ms = g->started_ms, .started = at_base, .count = 1}};
        split_start(ctx, w, &start);
        cancel_fail(ctx, job, w->id, g);
    } else {
        doubt(ctx, w, g->job, g->instance, &ids, lie);
    }
}

static void
block(struct worker *w, const struct cls *cls, uint32_t variant, bool is_forever)
{
    for (size_t i = 0; i < w->block_count; i++) {
        if (w->blocks[i].cls == cls && w->blocks[i].variant == variant) {
            w->blocks[i].is_forever = w->blocks[i].is_forever || is_forever;
            return;
        }
    }
    hq_xgrow(&w->blocks, &w->block_cap, w->block_count + 1, sizeof(*w->blocks));
    w->blocks[w->block_count++] = (struct worker_block){.cls = cls, .variant = variant, .is_forever = is_forever};
}

static void
take_returned(struct ctx *ctx, struct worker *w, const struct tasks_returned *g)
{
    struct job *job = core_job(ctx->core, g->job.v);
    struct record rec = {.kind = RECORD_TASKS_UNASSIGNED};
    rec.u.tasks_unassigned = (struct record_tasks_unassigned){.worker = w->id, .job = g->job, .ids = g->ids};
    bool is_lost = g->reason == RETURN_REASON_NODE_LOST;
    if (job == NULL || news_filter(ctx, job, w, g->instance, !is_lost, &rec.u.tasks_unassigned.ids, NULL) == 0) {
        return;
    }
    if (is_lost) {
        lost_node(ctx, w, job, &rec.u.tasks_unassigned.ids);
        return;
    }
    if (g->reason != RETURN_REASON_RETRACTED) {
        uint32_t pos;
        if (idset_find(&job->ids, rec.u.tasks_unassigned.ids.v[0].first, &pos)) {
            struct task_page *p = task_table_page(&job->tasks, pos);
            block(w, job_node(job, pos)->cls, page_variant(p)[pos % TASK_PAGE_TASKS],
                  g->reason == RETURN_REASON_NO_TIME);
        }
    }
    core_emit(ctx, &rec);
}

static void
take_notify(struct ctx *ctx, struct worker *w, const struct task_notify *g)
{
    if (core_job(ctx->core, g->job.v) == NULL) {
        return;
    }
    struct record rec = {.kind = RECORD_TASK_NOTIFIED, .u.task_notified = {.worker = w->id, .notify = *g}};
    core_publish(ctx, &rec);
}

static void
take_overview(struct ctx *ctx, struct worker *w, const struct overview *o)
{
    struct record rec = {.kind = RECORD_WORKER_OVERVIEW, .u.worker_overview = {.worker = w->id, .overview = *o}};
    if (w->config.overview_ms != 0) {
        core_emit(ctx, &rec); /* asked for when the worker was started: kept */
    } else {
        core_publish(ctx, &rec);
    }
}

const char *
news_take(struct ctx *ctx, struct worker *w, const struct input_turn *t)
{
    const char *lie = NULL;
    for (size_t i = 0; i < t->started_count; i++) {
        take_started(ctx, w, &t->started[i], &lie);
    }
    for (size_t i = 0; i < t->notify_count; i++) { /* before the ends: who follows a job stops at its completion */
        take_notify(ctx, w, &t->notifies[i]);
    }
    for (size_t i = 0; i < t->finished_count; i++) {
        take_finished(ctx, w, &t->finished[i], &lie);
    }
    for (size_t i = 0; i < t->failed_count; i++) {
        take_failed(ctx, w, &t->failed[i], &lie);
    }
    if (t->finished_count + t->failed_count > 0) {
        worker_unblock(w);
    }
    for (size_t i = 0; i < t->returned_count; i++) {
        take_returned(ctx, w, &t->returned[i]);
        w->returned_turn = t->turn_seq; /* also when it is old news: see link.c */
    }
    if (t->overview != NULL) {
        take_overview(ctx, w, t->overview);
    }
    return lie;
}
