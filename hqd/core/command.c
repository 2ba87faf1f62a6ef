#include "hqd/core/command.h"

#include "hqd/core/job.h"
#include "hqd/core/step.h"
#include "hqd/core/submit.h"

struct hq_str
command_stdin(const struct task_desc *d, const struct submit *s)
{
    if (!d->has_stdin || d->stdin_bytes == 0) {
        return d->has_stdin ? s->stdin_data : HQ_STR_NULL;
    }
    return hq_str_sub(s->stdin_data, d->stdin_from, d->stdin_from + d->stdin_bytes);
}

static struct task_entries
entries_of(const struct submit *s, const struct hq_ranges *ids, struct hq_arena *arena)
{
    uint64_t n = s->entry_lens == NULL ? 0 : hq_ranges_size(ids);
    if (n == 0) {
        return (struct task_entries){0};
    }
    uint32_t *lens = hq_arena_array(arena, n, sizeof(*lens));
    size_t bytes = 0;
    size_t k = 0;
    uint32_t pos;
    struct hq_ranges_iter it = hq_ranges_iter(ids);
    for (uint32_t id; hq_ranges_next(&it, &id); k++) {
        HQ_ASSERT(idset_find(&s->ids, id, &pos));
        lens[k] = (uint32_t)submit_entry(s, pos).len;
        bytes += lens[k];
    }
    char *data = hq_arena_alloc(arena, bytes + 1);
    size_t at = 0;
    it = hq_ranges_iter(ids);
    for (uint32_t id; hq_ranges_next(&it, &id);) {
        HQ_ASSERT(idset_find(&s->ids, id, &pos));
        struct hq_str e = submit_entry(s, pos);
        if (e.len > 0) {
            memcpy(data + at, e.ptr, e.len);
        }
        at += e.len;
    }
    return (struct task_entries){.lens = lens, .count = k, .data = {.ptr = data, .len = bytes}};
}

/* NULL: that instance has ended since. */
static const struct gang *
gang_of(const struct job *job, const struct pending *p)
{
    const struct gang *gang = job_gang(job, p->gang_pos - 1);
    return gang != NULL && gang->instance == p->instance ? gang : NULL;
}

static bool
make_assign(const struct core *core, const struct worker *w, const struct job *job, const struct pending *p,
            struct hq_arena *arena, struct command_assign *a)
{
    const struct submit *s;
    const struct task_desc *desc = job_desc_by_id(job, p->desc_id, &s);
    *a = (struct command_assign){
        .job = job->id,
        .desc_id = p->desc_id,
        .instance = p->instance,
        .variant = p->variant,
        .ids = p->ids,
        .entries = entries_of(s, &p->ids, arena),
    };
    if (p->gang_pos == 0) {
        a->step = step_of_one(core, desc, p->variant, w, arena);
        return true;
    }
    const struct gang *gang = gang_of(job, p);
    if (gang == NULL) {
        return false;
    }
    a->step = step_of_gang(core, job, gang, 0, arena);
    struct hq_str *hosts = hq_arena_array(arena, gang->node_count, sizeof(*hosts));
    for (uint32_t i = 0; i < gang->node_count; i++) {
        hosts[i] = a->step->nodes[i].host;
    }
    a->node_hosts = hosts;
    a->node_count = gang->node_count;
    return true;
}

static bool
make_join(const struct core *core, const struct job *job, const struct pending *p, struct hq_arena *arena,
          struct command_join *j)
{
    const struct gang *gang = gang_of(job, p);
    if (gang == NULL) {
        return false;
    }
    const struct submit *s = job_submit_at(job, gang->pos);
    *j = (struct command_join){
        .job = job->id,
        .desc_id = p->desc_id,
        .task = job_task_id(job, gang->pos),
        .instance = gang->instance,
        .entry = s->entry_lens == NULL ? HQ_STR_NULL : submit_entry(s, gang->pos),
        .step = step_of_gang(core, job, gang, p->node_ix, arena),
    };
    return true;
}

bool
command_needs_job(enum command_kind kind)
{
    return kind == COMMAND_BODY || kind == COMMAND_ASSIGN || kind == COMMAND_JOIN || kind == COMMAND_STDIN_PART;
}

bool
command_make(const struct core *core, const struct worker *w, const struct pending *p, struct hq_arena *arena,
             struct command *c)
{
    const struct job *job = core_job(core, p->job);
    const struct submit *s = NULL;
    const struct task_desc *desc;
    struct hq_str stdin_data;
    *c = (struct command){.kind = p->kind};
    if (job == NULL && command_needs_job(p->kind)) {
        return false;
    }
    switch (p->kind) {
    case COMMAND_BODY:
        c->u.body.job = job->id;
        c->u.body.desc_id = p->desc_id;
        c->u.body.desc = job_desc_by_id(job, p->desc_id, &s);
        c->u.body.submit_dir = s->submit_dir;
        c->u.body.stream_dir = s->stream_dir;
        c->u.body.stdin_bytes = command_stdin(c->u.body.desc, s).len;
        return true;
    case COMMAND_ASSIGN:
        return make_assign(core, w, job, p, arena, &c->u.assign);
    case COMMAND_JOIN:
        return make_join(core, job, p, arena, &c->u.join);
    case COMMAND_LEAVE:
        c->u.leave = (struct command_leave){.job = {p->job}, .task = p->ids.v[0].first, .instance = p->instance};
        return true;
    case COMMAND_RETRACT:
    case COMMAND_CANCEL:
        c->u.tasks = (struct command_tasks){.job = {p->job}, .instance = p->instance, .ids = p->ids};
        return true;
    case COMMAND_FORGET_JOB:
        c->u.forget_job.v = p->job;
        return true;
    case COMMAND_STOP:
        c->u.stop = p->stop;
        return true;
    case COMMAND_OVERVIEW:
        c->u.overview_ms = (hq_ms)p->offset;
        return true;
    case COMMAND_STDIN_PART:
        desc = job_desc_by_id(job, p->desc_id, &s);
        stdin_data = command_stdin(desc, s);
        c->u.stdin_part = (struct command_stdin){
            .job = job->id,
            .submit = p->submit_ix,
            .offset = p->offset,
            .data = hq_str_sub(stdin_data, p->offset, p->offset + COMMAND_STDIN_PART_BYTES),
        };
        return true;
    }
    return false;
}
