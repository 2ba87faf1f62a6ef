#include "hq/submit_send.h"

#include "common/limits.h"

/* A row of the columns: three numbers of five bytes at most, and its dependencies; a description once, with the first
 * task that has it. Descriptions are in the order of their first use, so a part holds a slice of them too. */
#define ROW_BYTES 15u
#define DEP_BYTES 5u
#define DESC_HEAD_BYTES 4u /* field and length of a description up to HQ_PART_BYTES */

struct slice { /* [from, to) of everything */
    size_t task_from, task_to;
    size_t desc_from, desc_to;
    size_t dep_from, dep_to;
    size_t bytes;
};

/* As many tasks from `at` on as fit into `bytes`. */
static struct slice
fit(const struct submit_graph *g, const struct slice *at, size_t bytes)
{
    struct slice s = {.task_from = at->task_to,
                      .task_to = at->task_to,
                      .desc_from = at->desc_to,
                      .desc_to = at->desc_to,
                      .dep_from = at->dep_to,
                      .dep_to = at->dep_to};
    while (s.task_to < g->count) {
        size_t need = ROW_BYTES + DEP_BYTES * (size_t)g->dep_count[s.task_to];
        bool is_new = g->desc[s.task_to] >= s.desc_to;
        if (is_new) {
            need += hq__task_desc__get_packed_size(g->descs[g->desc[s.task_to]]) + DESC_HEAD_BYTES;
        }
        if (s.bytes + need > bytes) {
            break;
        }
        s.bytes += need;
        s.dep_to += g->dep_count[s.task_to];
        s.desc_to += is_new;
        s.task_to++;
    }
    return s;
}

static void
fill(Hq__SubmitPart *p, const struct submit_graph *g, const struct slice *s, struct hq_arena *arena)
{
    Hq__GraphTasks *w = hq_arena_alloc(arena, sizeof *w);
    hq__graph_tasks__init(w);
    w->ids = g->ids + s->task_from;
    w->desc = g->desc + s->task_from;
    w->dep_count = g->dep_count + s->task_from;
    w->deps = g->deps + s->dep_from;
    w->n_ids = w->n_desc = w->n_dep_count = s->task_to - s->task_from;
    w->n_deps = s->dep_to - s->dep_from;
    p->graph = w;
    p->descs = g->descs + s->desc_from;
    p->n_descs = s->desc_to - s->desc_from;
}

int
submit_split_graph(struct submit_split_state *s, Hq__SubmitPart *last, struct hq_arena *head_arena, size_t *left)
{
    const struct submit_graph *g = s->load->graph;
    struct slice at = {0};
    struct slice rest = fit(g, &at, *left);
    while (rest.task_to < g->count) {
        struct slice next = fit(g, &at, HQ_PART_BYTES);
        if (next.task_to == next.task_from) {
            return hq_err_set(s->err, -E2BIG, "Task %u is too large for a message", g->ids[next.task_from]);
        }
        Hq__SubmitPart *p = submit_part_new(s);
        fill(p, g, &next, s->arena);
        int rc = submit_part_send(s, p);
        if (rc < 0) {
            return rc;
        }
        at = next;
        rest = fit(g, &at, *left);
    }
    fill(last, g, &rest, head_arena);
    *left -= rest.bytes;
    return 0;
}
