#include "hqd/core/deps.h"

#include "common/mem.h"
#include "hqd/core/job.h"
#include "hqd/sched/ready.h"

#include <stdlib.h>

#define CYCLE_TEXT "Task %u is part of dependency cycle or has an invalid dependencies"

/* ---- columns */
int
deps_flatten(struct graph_flat *ret, const struct submit_part *parts, size_t part_count)
{
    size_t count = 0;
    size_t total = 0;
    for (size_t i = 0; i < part_count; i++) {
        count += parts[i].graph.count;
        total += parts[i].graph.dep_total;
    }
    struct graph_flat g = {
        .ids = hq_try_calloc(count + 1, sizeof(uint32_t)),
        .desc = hq_try_calloc(count + 1, sizeof(uint32_t)),
        .dep_off = hq_try_calloc(count + 1, sizeof(uint32_t)),
        .deps = hq_try_calloc(total + 1, sizeof(uint32_t)),
        .count = (uint32_t)count,
    };
    if (g.ids == NULL || g.desc == NULL || g.dep_off == NULL || g.deps == NULL || total > UINT32_MAX ||
        count > UINT32_MAX) {
        deps_flat_fini(&g);
        return -ENOMEM;
    }
    uint32_t at = 0;
    uint32_t dep = 0;
    for (size_t i = 0; i < part_count; i++) {
        const struct graph_tasks *t = &parts[i].graph;
        const uint32_t *deps = t->deps;
        for (size_t k = 0; k < t->count; k++, at++) {
            g.ids[at] = t->ids[k];
            g.desc[at] = t->desc[k];
            g.dep_off[at] = dep;
            for (uint32_t j = 0; j < t->dep_count[k]; j++) {
                g.deps[dep++] = *deps++;
            }
        }
    }
    g.dep_off[at] = dep;
    *ret = g;
    return 0;
}

void
deps_flat_fini(struct graph_flat *g)
{
    free(g->ids);
    free(g->desc);
    free(g->dep_off);
    free(g->deps);
    *g = (struct graph_flat){0};
}

/* ---- checks of a request */
/* A task on a cycle: from any task left over, backwards through tasks left over, until one must repeat. */
static uint32_t
on_cycle(const struct graph_flat *g, const struct idset *set, const uint32_t *place_of, const uint32_t *open)
{
    uint32_t at = 0;
    while (open[at] == 0) {
        at++;
    }
    for (uint32_t steps = 0; steps < g->count; steps++) {
        for (uint32_t k = g->dep_off[at]; k < g->dep_off[at + 1]; k++) {
            uint32_t pos;
            if (idset_find(set, g->deps[k], &pos) && open[place_of[pos]] != 0) {
                at = place_of[pos];
                break;
            }
        }
    }
    return g->ids[at];
}

/* Kahn's algorithm, counting edges inside the graph only. place_of: position -> place in the columns. */
static int
check_cycles(const struct graph_flat *g, const struct idset *set, const uint32_t *place_of, struct hq_err *err)
{
    uint32_t n = g->count;
    uint32_t edges = g->dep_off[n];
    uint32_t *open = hq_try_calloc((size_t)n + 1, sizeof(*open)); /* dependencies not met */
    uint32_t *off = hq_try_calloc((size_t)n + 2, sizeof(*off));   /* successors by place */
    uint32_t *succ = hq_try_calloc((size_t)edges + 1, sizeof(*succ));
    uint32_t *queue = hq_try_calloc((size_t)n + 1, sizeof(*queue));
    int rc = open == NULL || off == NULL || succ == NULL || queue == NULL ? -ENOMEM : 0;
    uint32_t pos;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        for (uint32_t k = g->dep_off[i]; k < g->dep_off[i + 1]; k++) {
            if (idset_find(set, g->deps[k], &pos)) {
                off[place_of[pos] + 2]++;
                open[i]++;
            }
        }
    }
    for (uint32_t i = 2; rc == 0 && i < n + 2; i++) {
        off[i] += off[i - 1];
    }
    uint32_t tail = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        for (uint32_t k = g->dep_off[i]; k < g->dep_off[i + 1]; k++) {
            if (idset_find(set, g->deps[k], &pos)) {
                succ[off[place_of[pos] + 1]++] = i;
            }
        }
        if (open[i] == 0) {
            queue[tail++] = i;
        }
    }
    for (uint32_t head = 0; rc == 0 && head < tail; head++) {
        for (uint32_t k = off[queue[head]]; k < off[queue[head] + 1]; k++) {
            if (--open[succ[k]] == 0) {
                queue[tail++] = succ[k];
            }
        }
    }
    if (rc == 0 && tail < n) {
        rc = hq_err_set(err, -EINVAL, CYCLE_TEXT, on_cycle(g, set, place_of, open));
    } else if (rc < 0) {
        rc = hq_err_set(err, rc, "Not enough memory for the dependencies of this submit");
    }
    free(open);
    free(off);
    free(succ);
    free(queue);
    return rc;
}

static int
check_edges(const struct job *job, const struct graph_flat *g, const struct idset *set, struct hq_err *err)
{
    for (uint32_t i = 0; i < g->count; i++) {
        for (uint32_t k = g->dep_off[i]; k < g->dep_off[i + 1]; k++) {
            uint32_t dep = g->deps[k];
            uint32_t pos;
            if (dep == g->ids[i]) {
                return hq_err_set(err, -EINVAL, CYCLE_TEXT, g->ids[i]);
            }
            if (idset_find(set, dep, &pos)) {
                continue;
            }
            if (job == NULL || !idset_find(&job->ids, dep, &pos)) {
                return hq_err_set(err, -EINVAL, CYCLE_TEXT, g->ids[i]);
            }
            enum task_state state = task_state_at(&job->tasks, pos);
            if (task_is_ended(state) && state != TASK_FINISHED) {
                return hq_err_set(err, -EINVAL, "Invalid dependency on %u", dep);
            }
        }
    }
    return 0;
}

int
deps_check(const struct job *job, const struct graph_flat *g, uint32_t desc_count, struct hq_err *err)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->desc[i] >= desc_count) {
            return hq_err_set(err, -EINVAL, "Task %u has no description", g->ids[i]);
        }
    }
    struct idset set = {0};
    uint32_t *order = NULL;
    uint32_t id = 0;
    int rc = idset_build_list(&set, g->ids, g->count, 0, &order, &id);
    if (rc == -EEXIST) {
        return hq_err_set(err, -EINVAL, "Task %u is defined multiple times", id);
    }
    if (rc < 0) {
        return hq_err_set(err, rc, "The task ids of this submit have too many gaps");
    }
    if (job != NULL && idset_common(&job->ids, &set, &id)) {
        rc = hq_err_set(err, -EEXIST, "Task %u already exists in job %u.", id, job->id.v);
    }
    if (rc == 0 && job != NULL && idset_merge_check(&job->ids, &set, &id) < 0) {
        rc = hq_err_set(err, -E2BIG, "The task ids of job %u would have too many gaps", job->id.v);
    }
    if (rc == 0) {
        rc = check_edges(job, g, &set, err);
    }
    if (rc == 0 && g->dep_off[g->count] > 0) {
        uint32_t *in_order = NULL;
        if (order == NULL) { /* ids were ascending: position and place are the same */
            in_order = hq_try_calloc((size_t)g->count + 1, sizeof(*in_order));
            for (uint32_t i = 0; in_order != NULL && i < g->count; i++) {
                in_order[i] = i;
            }
        }
        rc = order == NULL && in_order == NULL
                 ? hq_err_set(err, -ENOMEM, "Not enough memory for the dependencies of this submit")
                 : check_cycles(g, &set, order != NULL ? order : in_order, err);
        free(in_order);
    }
    free(order);
    idset_fini(&set);
    return rc;
}

/* ---- state */
static void
add_cross(struct job *job, uint32_t pred_pos, uint32_t succ_pos)
{
    hq_xgrow(&job->cross_deps, &job->cross_cap, job->cross_count + 1, sizeof(*job->cross_deps));
    uint32_t next = (uint32_t)hq_map_get(&job->cross, pred_pos, 0);
    job->cross_deps[job->cross_count++] = (struct cross_dep){.succ = succ_pos, .next = next};
    hq_map_set(&job->cross, pred_pos, job->cross_count);
}

static uint32_t
place_at(const struct submit *s, uint32_t i)
{
    return s->order == NULL ? i : s->order[i];
}

void
deps_build(struct job *job, struct submit *s, const struct graph_flat *g)
{
    uint32_t n = s->task_count;
    uint32_t edges = g->dep_off[g->count];
    if (edges == 0 || n == 0) {
        return;
    }
    struct deps *d = hq_xalloc(sizeof(*d));
    d->waiting = hq_xcalloc(n, sizeof(uint32_t));
    d->succ_off = hq_xcalloc((size_t)n + 2, sizeof(uint32_t));
    d->pred_off = hq_xcalloc((size_t)n + 1, sizeof(uint32_t));
    d->pred = hq_xcalloc(edges, sizeof(uint32_t));
    uint32_t inner = 0;
    uint32_t pred = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = place_at(s, i);
        d->pred_off[i] = pred;
        for (uint32_t k = g->dep_off[place]; k < g->dep_off[place + 1]; k++) {
            uint32_t pos;
            d->pred[pred++] = g->deps[k];
            if (idset_find(&s->ids, g->deps[k], &pos)) {
                d->succ_off[pos - s->first_pos + 2]++;
                d->waiting[i]++;
                inner++;
            } else if (idset_find(&job->ids, g->deps[k], &pos) && !task_is_ended(task_state_at(&job->tasks, pos))) {
                add_cross(job, pos, s->first_pos + i);
                d->waiting[i]++;
            }
        }
    }
    d->pred_off[n] = pred;
    d->succ = hq_xcalloc(HQ_MAX(inner, 1u), sizeof(uint32_t));
    for (uint32_t i = 2; i < n + 2; i++) {
        d->succ_off[i] += d->succ_off[i - 1];
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = d->pred_off[i]; k < d->pred_off[i + 1]; k++) {
            uint32_t pos;
            if (idset_find(&s->ids, d->pred[k], &pos)) {
                d->succ[d->succ_off[pos - s->first_pos + 1]++] = s->first_pos + i;
            }
        }
    }
    s->deps = d;
    job->has_deps = true;
}

void
deps_free(struct deps *d)
{
    if (d == NULL) {
        return;
    }
    free(d->waiting);
    free(d->succ_off);
    free(d->succ);
    free(d->pred_off);
    free(d->pred);
    free(d);
}

static struct ready_node *
node_of(const struct submit *s, uint32_t i)
{
    return s->desc_node[s->desc_of == NULL ? 0 : s->desc_of[i]];
}

void
deps_start(struct core *core, struct submit *s)
{
    if (s->task_count == 0) {
        return;
    }
    if (s->desc_of == NULL && s->deps == NULL) {
        ready_add(core, s->desc_node[0], s->first_pos, s->task_count);
        return;
    }
    for (uint32_t i = 0; i < s->task_count; i++) {
        if (s->deps == NULL || s->deps->waiting[i] == 0) {
            ready_add(core, node_of(s, i), s->first_pos + i, 1);
        }
    }
}

static void
release_one(struct core *core, struct job *job, uint32_t pos)
{
    struct submit *s = job_submit_at(job, pos);
    uint32_t i = pos - s->first_pos;
    HQ_ASSERT(s->deps->waiting[i] > 0);
    if (--s->deps->waiting[i] == 0 && task_state_at(&job->tasks, pos) == TASK_WAITING) {
        ready_add(core, node_of(s, i), pos, 1);
    }
}

void
deps_release(struct core *core, struct job *job, uint32_t pos)
{
    struct submit *s = job_submit_at(job, pos);
    if (s->deps != NULL) {
        uint32_t i = pos - s->first_pos;
        for (uint32_t k = s->deps->succ_off[i]; k < s->deps->succ_off[i + 1]; k++) {
            release_one(core, job, s->deps->succ[k]);
        }
    }
    if (job->cross_count > 0) {
        uint32_t ix = (uint32_t)hq_map_get(&job->cross, pos, 0);
        for (; ix != 0; ix = job->cross_deps[ix - 1].next) {
            release_one(core, job, job->cross_deps[ix - 1].succ);
        }
    }
}

struct spread {
    const struct job *job;
    struct hq_arena *arena;
    unsigned char *seen; /* bits by position */
    uint32_t *v;
    size_t count;
    size_t cap;
};

static void
reach(struct spread *sp, uint32_t pos)
{
    unsigned char bit = (unsigned char)(1u << pos % 8);
    if ((sp->seen[pos / 8] & bit) != 0 || task_is_ended(task_state_at(&sp->job->tasks, pos))) {
        return;
    }
    sp->seen[pos / 8] |= bit;
    hq_arena_grow(sp->arena, &sp->v, &sp->cap, sp->count + 1, sizeof(*sp->v));
    sp->v[sp->count++] = pos;
}

static void
reach_successors(struct spread *sp, uint32_t pos)
{
    const struct submit *s = job_submit_at(sp->job, pos);
    uint32_t i = pos - s->first_pos;
    for (uint32_t k = s->deps == NULL ? 0 : s->deps->succ_off[i]; s->deps != NULL && k < s->deps->succ_off[i + 1];
         k++) {
        reach(sp, s->deps->succ[k]);
    }
    uint32_t ix = sp->job->cross_count == 0 ? 0 : (uint32_t)hq_map_get(&sp->job->cross, pos, 0);
    for (; ix != 0; ix = sp->job->cross_deps[ix - 1].next) {
        reach(sp, sp->job->cross_deps[ix - 1].succ);
    }
}

static int
cmp_pos(const void *pa, const void *pb)
{
    const uint32_t *a = pa;
    const uint32_t *b = pb;
    return *a < *b ? -1 : *a > *b;
}

size_t
deps_descendants(const struct job *job, uint32_t pos, struct hq_arena *arena, uint32_t **ret)
{
    if (!job->has_deps) {
        return 0;
    }
    struct spread sp = {.job = job, .arena = arena};
    sp.seen = hq_xalloc(job->tasks.task_count / 8 + 1);
    reach_successors(&sp, pos);
    for (size_t i = 0; i < sp.count; i++) {
        reach_successors(&sp, sp.v[i]);
    }
    free(sp.seen);
    if (sp.count > 0) {
        qsort(sp.v, sp.count, sizeof(*sp.v), cmp_pos);
    }
    *ret = sp.v;
    return sp.count;
}
