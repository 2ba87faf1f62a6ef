#include "hqd/core/orders.h"

#include "common/limits.h"
#include "common/mem.h"
#include "hqd/core/command.h"
#include "hqd/core/job.h"
#include "hqd/core/step.h"
#include "hqd/core/submit.h"

#include <stdlib.h>

#define ORDERS_ANSWER_BYTES HQ_PAGE_BYTES
#define COMMAND_BYTES 64u /* fields and framing of one command, generous */
#define RANGE_BYTES 15u
#define KEY_BYTES (STEP_KEY_BYTES + 2u)
#define BODIES_SWEEP_MIN 64u

/* ---- queue */
void
orders_wake(struct core *core, struct worker *w)
{
    if (!w->is_talking) {
        w->is_talking = true;
        hq_xgrow(&core->talkers, &core->talker_cap, core->talker_count + 1, sizeof(struct worker *));
        core->talkers[core->talker_count++] = w;
    }
}

static struct pending *
push(struct core *core, struct worker *w, enum command_kind kind, bool is_urgent)
{
    struct pending *p = hq_xalloc(sizeof(*p));
    p->kind = kind;
    p->bytes = COMMAND_BYTES;
    *w->out.tail = p;
    w->out.tail = &p->next;
    if (is_urgent) {
        w->out_urgent++;
        orders_wake(core, w);
    }
    return p;
}

static void
free_pending(struct pending *p)
{
    hq_ranges_fini(&p->ids);
    free(p);
}

void
orders_free(struct pending_list *l)
{
    for (struct pending *p = l->head; p != NULL;) {
        struct pending *next = p->next;
        free_pending(p);
        p = next;
    }
    l->head = NULL;
    l->tail = &l->head;
}

void
orders_free_batch(struct batch *b)
{
    orders_free(&b->list);
    free(b);
}

/* Bodies of jobs that have ended are forgotten now and then, so that neither side collects them for ever. */
static void
sweep_bodies(struct core *core, struct worker *w)
{
    struct hq_map kept;
    hq_map_init(&kept, w->bodies.seed);
    uint64_t key;
    uint64_t value;
    uint32_t told = 0;
    for (size_t it = 0; hq_map_next(&w->bodies, &it, &key, &value);) {
        uint32_t id = (uint32_t)(key >> 32);
        const struct job *job = core_job(core, id);
        if (job != NULL && !job->is_completed) {
            hq_map_set(&kept, key, value);
        } else if (id != told) {
            push(core, w, COMMAND_FORGET_JOB, false)->job = id;
            told = id;
        }
    }
    hq_map_fini(&w->bodies);
    w->bodies = kept;
    w->bodies_sweep_at = 2 * kept.count + BODIES_SWEEP_MIN;
}

static uint64_t
desc_bytes(const struct task_desc *d)
{
    uint64_t n = d->cwd.len + d->out.path.len + d->err.path.len;
    for (size_t i = 0; i < d->arg_count; i++) {
        n += d->args[i].len + 8;
    }
    for (size_t i = 0; i < d->env_count; i++) {
        n += d->env[i].key.len + d->env[i].value.len + 16;
    }
    for (size_t i = 0; i < d->request.variant_count; i++) {
        n += 32 + 64 * d->request.variants[i].entry_count;
    }
    return n;
}

static void
push_body(struct core *core, struct worker *w, const struct job *job, uint32_t desc_id)
{
    uint64_t key = hq_map_key2(job->id.v, desc_id);
    if (hq_map_find(&w->bodies, key) != NULL) {
        return;
    }
    if (w->bodies.count >= HQ_MAX(w->bodies_sweep_at, (size_t)BODIES_SWEEP_MIN)) {
        sweep_bodies(core, w);
    }
    hq_map_set(&w->bodies, key, 1);
    const struct submit *s;
    const struct task_desc *d = job_desc_by_id(job, desc_id, &s);
    uint64_t stdin_bytes = command_stdin(d, s).len;
    for (uint64_t at = 0; at < stdin_bytes; at += COMMAND_STDIN_PART_BYTES) {
        struct pending *part = push(core, w, COMMAND_STDIN_PART, true);
        part->job = job->id.v;
        part->submit_ix = s->ix;
        part->desc_id = desc_id;
        part->offset = at;
        part->bytes += HQ_MIN((uint64_t)COMMAND_STDIN_PART_BYTES, stdin_bytes - at);
    }
    struct pending *p = push(core, w, COMMAND_BODY, true);
    p->job = job->id.v;
    p->desc_id = desc_id;
    p->bytes += desc_bytes(d) + s->submit_dir.len + s->stream_dir.len;
}

static struct pending *
push_assign(struct core *core, struct worker *w, const struct orders_assign *a)
{
    struct pending *p = push(core, w, COMMAND_ASSIGN, true);
    p->job = a->job->id.v;
    p->desc_id = a->desc_id;
    p->instance = a->instance;
    p->variant = a->variant;
    if (a->is_gang) {
        const struct gang *gang = job_gang(a->job, a->gang_pos);
        p->gang_pos = a->gang_pos + 1;
        p->bytes += step_bytes(core, gang) + (uint64_t)gang->node_count * KEY_BYTES;
    }
    return p;
}

void
orders_assign(struct core *core, struct worker *w, const struct orders_assign *a)
{
    push_body(core, w, a->job, a->desc_id);
    const struct submit *s;
    (void)job_desc_by_id(a->job, a->desc_id, &s);
    struct pending *p = push_assign(core, w, a);
    if (s->entry_lens == NULL) {
        p->ids = idlist_dup(&a->ids);
        p->bytes += a->ids.count * RANGE_BYTES;
        return;
    }
    /* Entries travel along: cut where an answer would grow too large. */
    struct hq_ranges_iter it = hq_ranges_iter(&a->ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        uint32_t pos;
        HQ_ASSERT(idset_find(&s->ids, id, &pos));
        uint64_t bytes = submit_entry(s, pos).len + RANGE_BYTES + 5;
        if (p->ids.count > 0 && p->bytes + bytes > ORDERS_ANSWER_BYTES) {
            p = push_assign(core, w, a);
        }
        hq_ranges_add(&p->ids, id, 1, 1);
        p->bytes += bytes;
    }
}

void
orders_join(struct core *core, struct worker *w, const struct job *job, const struct gang *gang, uint32_t node_ix)
{
    push_body(core, w, job, job_desc_id(job, gang->pos));
    struct pending *p = push(core, w, COMMAND_JOIN, true);
    p->job = job->id.v;
    p->desc_id = job_desc_id(job, gang->pos);
    p->instance = gang->instance;
    p->gang_pos = gang->pos + 1;
    p->node_ix = node_ix;
    const struct submit *s = job_submit_at(job, gang->pos);
    p->bytes += step_bytes(core, gang) + (uint64_t)gang->node_count * KEY_BYTES;
    p->bytes += s->entry_lens == NULL ? 0 : submit_entry(s, gang->pos).len;
}

void
orders_leave(struct core *core, struct worker *w, const struct job *job, const struct gang *gang)
{
    struct pending *p = push(core, w, COMMAND_LEAVE, true);
    p->job = job->id.v;
    p->instance = gang->instance;
    hq_ranges_add(&p->ids, job_task_id(job, gang->pos), 1, 1);
}

void
orders_retract(struct core *core, struct worker *w, hq_job_id job, uint32_t instance, const struct hq_ranges *ids)
{
    struct pending *p = push(core, w, COMMAND_RETRACT, true);
    p->job = job.v;
    p->instance = instance;
    p->ids = idlist_dup(ids);
    p->bytes += ids->count * RANGE_BYTES;
}

void
orders_cancel(struct core *core, struct worker *w, hq_job_id job, const struct hq_ranges *ids)
{
    struct pending *p = push(core, w, COMMAND_CANCEL, true);
    p->job = job.v;
    p->ids = idlist_dup(ids);
    p->bytes += ids->count * RANGE_BYTES;
}

void
orders_stop(struct core *core, struct worker *w, enum lost_reason reason)
{
    push(core, w, COMMAND_STOP, true)->stop = reason;
}

/* ---- answers */
uint64_t
orders_commit_seq(const struct core *core, const struct batch *b)
{
    uint64_t seq = 0;
    for (const struct pending *p = b->list.head; p != NULL; p = p->next) {
        const struct job *job = core_job(core, p->job);
        const struct submit *s;
        if (job == NULL || p->kind == COMMAND_STDIN_PART || !command_needs_job(p->kind)) {
            continue;
        }
        (void)job_desc_by_id(job, p->desc_id, &s);
        seq = HQ_MAX(seq, s->seq);
        if (p->kind != COMMAND_BODY && p->instance > 0) {
            seq = HQ_MAX(seq, job->restart_seq);
        }
    }
    return seq;
}

bool
orders_has_assign(const struct batch *b)
{
    for (const struct pending *p = b->list.head; p != NULL; p = p->next) {
        if (p->kind == COMMAND_ASSIGN) {
            return true;
        }
    }
    return false;
}

struct batch *
orders_take(struct worker *w, uint64_t turn_seq)
{
    struct batch *b = hq_xalloc(sizeof(*b));
    b->command_seq = ++w->command_seq;
    b->turn_seq = turn_seq;
    b->list.tail = &b->list.head;
    uint64_t bytes = 0;
    while (w->out.head != NULL) {
        struct pending *p = w->out.head;
        if (b->list.head != NULL && bytes + p->bytes > ORDERS_ANSWER_BYTES) {
            break;
        }
        bytes += p->bytes;
        w->out.head = p->next;
        p->next = NULL;
        *b->list.tail = p;
        b->list.tail = &p->next;
        if (p->kind == COMMAND_RETRACT) {
            w->retract_seq = b->command_seq;
        }
        if (p->kind != COMMAND_FORGET_JOB) {
            w->out_urgent--;
        }
    }
    if (w->out.head == NULL) {
        w->out.tail = &w->out.head;
    }
    struct batch **end = &w->batches;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = b;
    return b;
}
