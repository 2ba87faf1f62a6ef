/* The state as text: canonical (equal text, equal state) for replay tests, or with everything for a person. */
#include "common/mem.h"
#include "hqd/core/alloc.h"
#include "hqd/core/job.h"
#include "hqd/core/query.h"
#include "hqd/core/worker.h"

#include <stdlib.h>

static void
dump_tasks(const struct job *job, struct hq_buf *out)
{
    for (uint32_t pos = 0; pos < job->tasks.task_count;) {
        struct task_page *p = task_table_peek(&job->tasks, pos);
        uint32_t end = HQ_MIN(job->tasks.task_count, pos - pos % TASK_PAGE_TASKS + TASK_PAGE_TASKS);
        if (p == NULL) {
            enum task_state state = task_state_at(&job->tasks, pos);
            if (state != TASK_WAITING) {
                for (uint32_t i = pos; i < end; i++) {
                    hq_buf_printf(out, "  task %u %s\n", job_task_id(job, i), task_state_name(state));
                }
            }
            pos = end;
            continue;
        }
        for (; pos < end; pos++) {
            uint32_t at = pos % TASK_PAGE_TASKS;
            enum task_state state = page_state(p)[at];
            if (state == TASK_WAITING && page_instance(p)[at] == 0 && page_crashes(p)[at] == 0) {
                continue; /* as if it had no page */
            }
            hq_buf_printf(out, "  task %u %s instance=%u crashes=%u", job_task_id(job, pos), task_state_name(state),
                          page_instance(p)[at], page_crashes(p)[at]);
            if (state != TASK_WAITING && page_worker(p)[at] != 0) {
                hq_buf_printf(out, " worker=%u variant=%u", page_worker(p)[at], page_variant(p)[at]);
            }
            if (page_started(p)[at] != 0) {
                hq_buf_printf(out, " started=%lld ended=%lld", (long long)page_started(p)[at],
                              (long long)page_ended(p)[at]);
            }
            hq_buf_byte(out, '\n');
        }
    }
}

static void
dump_ready(const struct job *job, struct hq_buf *out)
{
    for (uint32_t i = 0; i < job->node_count; i++) {
        const struct ready_node *node = job->nodes[i];
        for (uint32_t k = 0; k < node->set.count; k++) {
            const struct posrange *r = posset_range(&node->set, k);
            hq_buf_printf(out, "  ready class-priority=%d positions=%u+%u\n", node->cls->priority, r->first, r->count);
        }
    }
}

/* Ranks of descriptions, nodes of tasks. */
static void
dump_steps(const struct job *job, struct hq_buf *out)
{
    for (uint32_t id = 0; id < job->desc_count; id++) {
        const struct submit *s;
        const struct hq_mpi *m = &job_desc_by_id(job, id, &s)->mpi;
        if (m->is_on) {
            hq_buf_printf(out, "  ranks desc=%u total=%u per-node=%u cpus=%u%s%s wire-up=%d\n", id, m->ranks,
                          m->ranks_per_node, m->cpus_per_rank, m->oversubscribe ? " oversubscribe" : "",
                          m->tag_output ? " tag" : "", (int)m->wire_up);
        }
    }
    for (size_t i = 0; i < job->gang_count; i++) {
        const struct gang *g = &job->gangs[i];
        hq_buf_printf(out, "  multi-node position=%u instance=%u%s nodes=", g->pos, g->instance,
                      g->is_live ? " live" : "");
        for (uint32_t k = 0; k < g->node_count; k++) {
            hq_buf_printf(out, "%s%u", k == 0 ? "" : ",", g->nodes[k]);
        }
        hq_buf_byte(out, '\n');
    }
}

static void
dump_job(const struct job *job, struct hq_buf *out)
{
    hq_buf_printf(out, "job %u uid=%u %s%s submitted=%lld finished=%lld floor=%u max=%u name=\"", job->id.v,
                  job->owner_uid, job->is_open ? "open" : "closed", job->is_completed ? " completed" : "",
                  (long long)job->submitted_ms, (long long)job->finished_ms, job->instance_floor, job->instance_max);
    hq_buf_escaped(out, job->name);
    hq_buf_cstr(out, "\"");
    if (job->has_max_fails) {
        hq_buf_printf(out, " max-fails=%u", job->max_fails);
    }
    if (job->has_cancel_reason) {
        hq_buf_cstr(out, " canceled=\"");
        hq_buf_escaped(out, job->cancel_reason);
        hq_buf_cstr(out, "\"");
    }
    hq_buf_printf(out, " counts=%llu/%llu/%llu/%llu/%llu/%llu\n", (unsigned long long)job->counts.waiting,
                  (unsigned long long)job->counts.running, (unsigned long long)job->counts.finished,
                  (unsigned long long)job->counts.failed, (unsigned long long)job->counts.canceled,
                  (unsigned long long)job->counts.aborted);
    for (size_t i = 0; i < job->ids.count; i++) {
        const struct idrun *r = &job->ids.v[i];
        hq_buf_printf(out, "  ids %u+%u:%u at %u\n", r->first, r->count, r->step, r->pos);
    }
    for (size_t i = 0; i < job->failure_count; i++) {
        hq_buf_printf(out, "  failure position=%u record=%llu\n", job->failures[i].pos,
                      (unsigned long long)job->failures[i].seq);
    }
    dump_steps(job, out);
    dump_tasks(job, out);
    dump_ready(job, out);
}

static int
cmp_use(const void *pa, const void *pb)
{
    const struct worker_use *a = pa;
    const struct worker_use *b = pb;
    uint32_t ka = a->cls->id * 32 + a->variant;
    uint32_t kb = b->cls->id * 32 + b->variant;
    return ka < kb ? -1 : ka > kb;
}

static void
dump_worker(const struct core *core, const struct worker *w, bool is_durable_only, struct hq_buf *out)
{
    hq_buf_printf(out, "worker %u registered=%lld ended=%lld reason=%d held=%u running=%u last=%u@%u", w->id.v,
                  (long long)w->registered_ms, (long long)w->ended_ms, (int)w->reason, w->held, w->running,
                  w->last_job.v, w->last_task);
    if (w->gang_job.v != 0) {
        hq_buf_printf(out, " multi-node=%u@%u%s", w->gang_job.v, w->gang_pos, w->is_root ? " root" : "");
    }
    for (uint32_t r = 0; r < w->res_count; r++) {
        if (w->total[r] != 0) {
            hq_buf_printf(out, " %s=%lld/%lld", core->res[r], (long long)w->free[r], (long long)w->total[r]);
        }
    }
    hq_buf_byte(out, '\n');
    if (!is_durable_only) {
        hq_buf_printf(out, "  place=%d stopping=%d turn=%llu command=%llu open=%u outgoing=%u retracting=%d\n",
                      (int)w->place, (int)w->stopping, (unsigned long long)w->turn_seq,
                      (unsigned long long)w->command_seq, w->open_count, w->out_urgent, w->is_retracting);
    }
    struct worker_use *uses = hq_xcalloc(w->use_count + 1u, sizeof(*uses));
    if (w->use_count > 0) {
        memcpy(uses, w->uses, w->use_count * sizeof(*uses));
    }
    qsort(uses, w->use_count, sizeof(*uses), cmp_use);
    for (uint32_t i = 0; i < w->use_count; i++) {
        const struct worker_use *u = &uses[i];
        if (u->placed + u->queued > 0) {
            hq_buf_printf(out, "  class-priority=%d variant=%u placed=%u queued=%u running=%u", u->cls->priority,
                          u->variant, u->placed, u->queued, u->running);
            if (!is_durable_only) {
                hq_buf_printf(out, " mean_ms=%lld rate_x1000=%llu", (long long)(u->mean_ms_x16 / 16),
                              (unsigned long long)u->rate_x1000);
            }
            hq_buf_byte(out, '\n');
        }
    }
    free(uses);
}

void
query_dump(const struct core *core, bool is_durable_only, struct hq_buf *out)
{
    hq_buf_printf(out, "core record=%llu next_job=%u next_worker=%u ended=%d\n", (unsigned long long)core->last_seq,
                  core->next_job, core->next_worker, core->is_ended);
    for (uint32_t i = 0; i < core->job_cap; i++) {
        if (core->jobs[i] != NULL) {
            dump_job(core->jobs[i], out);
        }
    }
    alloc_dump(core, out);
    for (size_t i = 0; i < core->worker_count; i++) {
        dump_worker(core, core->workers[i], is_durable_only, out);
    }
}
