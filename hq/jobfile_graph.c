#include "hq/jobfile.h"

#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* Tasks by id, sorted once: a look-up afterwards is one step where ids have no gaps, else a binary search. */
struct by_id {
    uint32_t id;
    uint32_t ix; /* in jobfile.tasks */
};

static int
cmp_by_id(const void *pa, const void *pb)
{
    const struct by_id *a = pa;
    const struct by_id *b = pb;
    return (a->id > b->id) - (a->id < b->id);
}

static const struct by_id *
find(const struct by_id *v, size_t count, uint32_t id)
{
    struct by_id key = {.id = id};
    if (id >= v[0].id && id - v[0].id < count && v[id - v[0].id].id == id) {
        return &v[id - v[0].id];
    }
    return bsearch(&key, v, count, sizeof *v, cmp_by_id);
}

static int
number_tasks(struct jobfile *f, const struct hq_ranges *known, struct hq_err *err)
{
    uint32_t last = 0; /* automatic ids of a file begin at 1 */
    if (known != NULL) {
        (void)hq_ranges_max(known, &last); /* none: stays 0 */
    }
    for (size_t ix = 0; ix < f->task_count; ix++) {
        if (f->tasks[ix].has_id && f->tasks[ix].id > last) {
            last = f->tasks[ix].id;
        }
    }
    for (size_t ix = 0; ix < f->task_count; ix++) {
        if (!f->tasks[ix].has_id) {
            if (last == UINT32_MAX) {
                return hq_err_set(err, -EINVAL, "Error: No task id is left behind %u", last);
            }
            f->tasks[ix].id = ++last;
        }
    }
    return 0;
}

/* ---- cycles: depth first, without recursion; a task is grey while its dependencies are being looked at */

enum color {
    WHITE = 0,
    GREY,
    BLACK,
};
struct walk {
    const struct jobfile *f;
    const struct by_id *v;
    const struct hq_ranges *known;
    uint8_t *color;
    uint32_t *path;   /* indices of grey tasks, from the first one */
    size_t *next_dep; /* of each of them */
    size_t depth;
    struct hq_err *err;
};

static int
fail(struct walk *w, uint32_t task, const char *what, const char *detail)
{
    return hq_err_set(w->err, -EINVAL,
                      "Error: Task %u is part of dependency cycle or has an invalid dependencies\n%s%s", task, what,
                      detail);
}

/* "5 -> 7 -> 5": each depends on the next. Long cycles show their ends. */
static int
fail_cycle(struct walk *w, uint32_t again)
{
    enum { SHOWN = 10 };
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    size_t from = w->depth;
    while (from > 0 && w->path[from - 1] != again) {
        from--;
    }
    from--;
    size_t count = w->depth - from;
    for (size_t ix = from; ix < w->depth; ix++) {
        if (count > 2 * SHOWN && ix - from == SHOWN) {
            hq_buf_printf(&path, "... (%zu more) -> ", count - 2 * SHOWN);
            ix = w->depth - SHOWN;
        }
        hq_buf_printf(&path, "%u -> ", w->f->tasks[w->path[ix]].id);
    }
    hq_buf_u64(&path, w->f->tasks[again].id);
    return fail(w, w->f->tasks[again].id, "Each of these depends on the next: ", path.ptr);
}

static void
push(struct walk *w, uint32_t ix)
{
    w->color[ix] = GREY;
    w->path[w->depth] = ix;
    w->next_dep[w->depth] = 0;
    w->depth++;
}

static int
visit(struct walk *w, uint32_t start)
{
    push(w, start);
    while (w->depth > 0) {
        uint32_t ix = w->path[w->depth - 1];
        const struct jobfile_task *t = &w->f->tasks[ix];
        if (w->next_dep[w->depth - 1] == t->dep_count) {
            w->color[ix] = BLACK;
            w->depth--;
            continue;
        }
        uint32_t dep = t->deps[w->next_dep[w->depth - 1]++];
        const struct by_id *at = find(w->v, w->f->task_count, dep);
        if (at == NULL) {
            if (w->known == NULL || !hq_ranges_has(w->known, dep)) {
                char name[16];
                (void)snprintf(name, sizeof name, "%u", dep);
                return fail(w, t->id, "There is no task ", name);
            }
        } else if (w->color[at->ix] == GREY) {
            return fail_cycle(w, at->ix);
        } else if (w->color[at->ix] == WHITE) {
            push(w, at->ix);
        }
    }
    return 0;
}

static int
check_sorted(const struct jobfile *f, const struct by_id *v, const struct hq_ranges *known, struct hq_err *err)
{
    for (size_t ix = 1; ix < f->task_count; ix++) {
        if (v[ix].id == v[ix - 1].id) {
            return hq_err_set(err, -EINVAL, "Error: Task %u is defined multiple times", v[ix].id);
        }
    }
    struct walk w = {.f = f, .v = v, .known = known, .err = err};
    w.color = hq_xcalloc(f->task_count, sizeof *w.color);
    w.path = hq_xcalloc(f->task_count, sizeof *w.path);
    w.next_dep = hq_xcalloc(f->task_count, sizeof *w.next_dep);
    int rc = 0;
    for (size_t ix = 0; ix < f->task_count && rc == 0; ix++) {
        if (w.color[ix] == WHITE) {
            rc = visit(&w, (uint32_t)ix);
        }
    }
    free(w.color);
    free(w.path);
    free(w.next_dep);
    return rc;
}

int
jobfile_check_graph(struct jobfile *f, const struct hq_ranges *known, struct hq_err *err)
{
    int rc = number_tasks(f, known, err);
    if (rc < 0) {
        return rc;
    }
    struct by_id *v = hq_xcalloc(f->task_count, sizeof *v);
    for (size_t ix = 0; ix < f->task_count; ix++) {
        v[ix] = (struct by_id){.id = f->tasks[ix].id, .ix = (uint32_t)ix};
    }
    qsort(v, f->task_count, sizeof *v, cmp_by_id);
    rc = check_sorted(f, v, known, err);
    free(v);
    return rc;
}
