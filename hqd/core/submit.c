#include "hqd/core/submit.h"

#include "common/limits.h"
#include "common/mem.h"
#include "hqd/core/deps.h"
#include "hqd/core/job.h"
#include "hqd/core/owner.h"
#include "hqd/core/pack.h"
#include "hqd/core/reply.h"

#include <stdlib.h>

#define JOB_TASKS_MAX (UINT32_MAX - (1u << 20))
#define ENTRY_STRIDE 64u

/* ---- request */
struct totals {
    size_t descs;
    uint64_t ids;
    uint64_t entries;
    uint64_t graph;
};

static struct totals
count_parts(const struct submit_part *parts, size_t n)
{
    struct totals t = {0};
    for (size_t i = 0; i < n; i++) {
        t.descs += parts[i].desc_count;
        t.ids += hq_ranges_size(&parts[i].ids);
        t.entries += parts[i].entries.count;
        t.graph += parts[i].graph.count;
    }
    return t;
}

/* The ids of an array: those of the parts, or as many as needed behind the highest of the job. */
static int
array_ids(const struct job *job, const struct input_submit *sub, const struct totals *t, struct idlist *ids,
          struct hq_err *err)
{
    if (t->ids > 0) {
        if (t->entries > 0 && t->entries != t->ids) {
            return hq_err_set(err, -EINVAL, "The submit has %llu ids but %llu entries", (unsigned long long)t->ids,
                              (unsigned long long)t->entries);
        }
        for (size_t i = 0; i < sub->part_count; i++) {
            const struct hq_ranges *r = &sub->parts[i].ids;
            for (size_t k = 0; k < r->count; k++) {
                idlist_add(ids, r->v[k].first, r->v[k].count, r->v[k].step);
            }
        }
        return 0;
    }
    uint64_t count = t->entries > 0 ? t->entries : sub->auto_count;
    uint32_t last = 0;
    bool any = job != NULL && idset_max(&job->ids, &last);
    uint64_t first = any ? (uint64_t)last + 1 : 0;
    if (count > 0 && (count > HQ_TASKS_PER_SUBMIT_MAX || first + count - 1 > UINT32_MAX)) {
        return hq_err_set(err, -EOVERFLOW, "There are not enough task ids behind %u", last);
    }
    if (count > 0) {
        idlist_add(ids, (uint32_t)first, (uint32_t)count, 1);
    }
    return 0;
}

static int
check_array(const struct job *job, const struct hq_ranges *ids, struct hq_err *err)
{
    struct idset set = {0};
    uint32_t id = 0;
    int rc = idset_build(&set, ids, 0, NULL, &id);
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
    idset_fini(&set);
    return rc;
}

static int
check_tasks(const struct job *job, const struct input_submit *sub, struct idlist *ids, struct hq_err *err)
{
    struct totals t = count_parts(sub->parts, sub->part_count);
    int rc = 0;
    uint64_t tasks = t.graph;
    if (sub->is_graph) {
        struct graph_flat g = {0};
        rc = deps_flatten(&g, sub->parts, sub->part_count);
        rc = rc < 0 ? hq_err_set(err, rc, "Not enough memory for the tasks of this submit")
                    : deps_check(job, &g, (uint32_t)t.descs, err);
        deps_flat_fini(&g);
    } else {
        rc = t.descs == 1 ? array_ids(job, sub, &t, ids, err)
                          : hq_err_set(err, -EINVAL, "An array has one description, not %zu", t.descs);
        rc = rc < 0 ? rc : check_array(job, &ids->r, err);
        tasks = hq_ranges_size(&ids->r);
    }
    if (rc == 0 &&
        (tasks > HQ_TASKS_PER_SUBMIT_MAX || tasks + (job == NULL ? 0 : job->tasks.task_count) > JOB_TASKS_MAX)) {
        rc = hq_err_set(err, -E2BIG, "Too many tasks: one submit may have %u", HQ_TASKS_PER_SUBMIT_MAX);
    }
    return rc;
}

static void
emit_submit(struct ctx *ctx, const struct input *in, hq_job_id id, bool is_new, const struct hq_ranges *ids)
{
    const struct input_submit *sub = &in->u.submit;
    for (size_t i = 0; i + 1 < sub->part_count; i++) {
        struct record part = {.kind = RECORD_SUBMIT_PART};
        part.u.submit_part = (struct record_submit_part){.upload_id = sub->upload_id, .part = sub->parts[i]};
        core_emit(ctx, &part);
    }
    struct record rec = {.kind = RECORD_JOB_SUBMITTED};
    rec.u.job_submitted = (struct record_job_submitted){
        .job = id,
        .is_new = is_new,
        .name = is_new ? sub->name : HQ_STR_NULL,
        .has_max_fails = is_new && sub->has_max_fails,
        .max_fails = sub->max_fails,
        .submit_dir = sub->submit_dir,
        .stream_dir = sub->stream_dir,
        .owner_uid = in->from.uid,
        .request_id = in->from.request_id,
        .upload_id = sub->part_count > 1 ? sub->upload_id : 0,
        .part_count = (uint32_t)(sub->part_count - 1),
        .part = sub->parts[sub->part_count - 1],
        .is_graph = sub->is_graph,
        .ids = *ids,
        .own_name = is_new ? HQ_STR_NULL : sub->name,
    };
    core_emit(ctx, &rec);
}

void
submit_on_request(struct ctx *ctx, const struct input *in)
{
    const struct input_submit *sub = &in->u.submit;
    struct core *core = ctx->core;
    HQ_ASSERT(sub->part_count > 0);
    if (reply_repeat(ctx, in)) {
        return;
    }
    bool is_new = sub->job.v == 0;
    struct job *job = is_new ? NULL : core_job(core, sub->job.v);
    if (!is_new && job == NULL) {
        reply_error(ctx, in, -ENOENT, "Job %u not found.", sub->job.v);
        return;
    }
    if (job != NULL && !owner_may_change(job, in->from.uid)) {
        struct hq_str why = owner_refusal(job, &ctx->fx->arena);
        reply_error(ctx, in, -EACCES, "Submitting to job %u failed; %.*s", job->id.v, HQ_STR_FMT(why));
        return;
    }
    struct hq_err err = {0};
    struct idlist ids = {.arena = &ctx->fx->arena};
    int rc = check_tasks(job, sub, &ids, &err);
    if (rc == 0 && job != NULL && !job->is_open) {
        rc = hq_err_set(&err, -EINVAL, "Job %u is not opened.", job->id.v);
    }
    if (rc == 0 && is_new && core->next_job == UINT32_MAX) {
        rc = hq_err_set(&err, -EOVERFLOW, "There are no job ids left.");
    }
    if (rc < 0) {
        reply_error(ctx, in, rc, "%s", err.text);
        return;
    }
    hq_job_id id = is_new ? (hq_job_id){core->next_job} : job->id;
    emit_submit(ctx, in, id, is_new, &ids.r);
    job = core_job(core, id.v);
    if (job->counts.waiting + job->counts.running == 0 && is_new) {
        job_check_end(ctx, job); /* an array without tasks */
    }
    reply_submitted(ctx, in, id);
}

/* ---- state */
struct packed_entries {
    uint32_t *lens;
    uint64_t *at;
    struct hq_str data;
};

static struct packed_entries
pack_entries(struct pack *p, const struct submit_part *parts, size_t n, uint64_t count)
{
    struct packed_entries e = {0};
    if (count == 0) {
        return e;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += parts[i].entries.data.len;
    }
    e.lens = pack_take(p, count, sizeof(*e.lens));
    e.at = pack_take(p, count / ENTRY_STRIDE + 1, sizeof(*e.at));
    char *data = pack_take(p, bytes, 1);
    e.data = (struct hq_str){.ptr = data, .len = bytes};
    if (p->base == NULL) {
        return e;
    }
    size_t k = 0;
    size_t used = 0;
    uint64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const struct task_entries *from = &parts[i].entries;
        for (size_t j = 0; j < from->count; j++, k++) {
            if (k % ENTRY_STRIDE == 0) {
                e.at[k / ENTRY_STRIDE] = offset;
            }
            e.lens[k] = from->lens[j];
            offset += from->lens[j];
        }
        if (from->data.len > 0) {
            memcpy(data + used, from->data.ptr, from->data.len);
            used += from->data.len;
        }
    }
    HQ_ASSERT(offset <= bytes);
    return e;
}

static struct hq_str
pack_stdin(struct pack *p, const struct submit_part *parts, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += parts[i].stdin_data.len;
    }
    char *data = pack_take(p, bytes, 1);
    size_t used = 0;
    for (size_t i = 0; p->base != NULL && i < n; i++) {
        if (parts[i].stdin_data.len > 0) {
            memcpy(data + used, parts[i].stdin_data.ptr, parts[i].stdin_data.len);
            used += parts[i].stdin_data.len;
        }
    }
    return (struct hq_str){.ptr = data, .len = bytes};
}

/* Everything that does not change, into one block. Called twice: to measure, to fill. */
static void
pack_submit(struct pack *p, struct submit *s, const struct record_job_submitted *rec, const struct submit_part *parts,
            size_t n)
{
    struct totals t = count_parts(parts, n);
    s->submit_dir = pack_str(p, rec->submit_dir);
    s->stream_dir = pack_str(p, rec->stream_dir);
    s->own_name = pack_str(p, rec->own_name);
    s->given_ids = pack_ranges(p, &rec->ids);
    s->descs = pack_take(p, t.descs, sizeof(*s->descs));
    s->desc_node = pack_take(p, t.descs, sizeof(struct ready_node *));
    s->desc_count = (uint32_t)t.descs;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < parts[i].desc_count; j++, k++) {
            struct task_desc d = pack_desc(p, &parts[i].descs[j]);
            if (s->descs != NULL) {
                s->descs[k] = d;
            }
        }
    }
    struct packed_entries e = pack_entries(p, parts, n, rec->is_graph ? 0 : t.entries);
    s->entry_lens = e.lens;
    s->entry_at = e.at;
    s->entry_data = e.data;
    s->stdin_data = pack_stdin(p, parts, n);
}

static void
set_classes(struct core *core, struct job *job, struct submit *s, const struct submit_part *parts, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < parts[i].desc_count; j++, k++) {
            const struct task_desc *d = &parts[i].descs[j];
            s->desc_node[k] = job_node_get(core, job, &d->request, d->priority);
            s->descs[k].request = s->desc_node[k]->cls->request;
        }
    }
}

static int
set_ids(struct job *job, struct submit *s, const struct record_job_submitted *rec, const struct graph_flat *g)
{
    uint32_t id;
    int rc = rec->is_graph
                 ? idset_build_list(&s->ids, g->ids, g->count, s->first_pos, &s->order, &id)
                 : idset_build(&s->ids, &rec->ids, s->first_pos, s->entry_lens == NULL ? NULL : &s->order, &id);
    if (rc == 0 && idset_common(&job->ids, &s->ids, &id)) {
        rc = -EEXIST;
    }
    if (rc == 0) {
        rc = idset_merge(&job->ids, &s->ids, &id);
    }
    s->task_count = (uint32_t)idset_size(&s->ids);
    return rc;
}

static void
set_columns(struct submit *s, const struct graph_flat *g)
{
    s->desc_of = hq_xcalloc(HQ_MAX(g->count, 1u), sizeof(*s->desc_of));
    for (uint32_t i = 0; i < s->task_count; i++) {
        uint32_t ix = g->desc[s->order == NULL ? i : s->order[i]];
        s->desc_of[i] = HQ_MIN(ix, s->desc_count - 1);
    }
}

void
submit_free(struct submit *s)
{
    if (s == NULL) {
        return;
    }
    idset_fini(&s->ids);
    deps_free(s->deps);
    free(s->desc_of);
    free(s->order);
    free(s->blob);
    free(s);
}

static void
add_submit(struct job *job, struct submit *s)
{
    if (job->submit_count == job->submit_cap) {
        job->submit_cap = job->submit_cap == 0 ? 1 : job->submit_cap * 2;
        job->submits = hq_xrealloc(job->submits, job->submit_cap, sizeof(struct submit *));
    }
    job->submits[job->submit_count++] = s;
    job->desc_count += s->desc_count;
    task_table_grow(&job->tasks, s->first_pos + s->task_count);
    job->counts.waiting += s->task_count;
}

/* A submit of parts that were checked when the record was made; a record that does not fit (hand-made) is refused. */
static int
build(struct core *core, struct job *job, const struct record_job_submitted *rec, const struct submit_part *parts,
      size_t n, hq_wall_ms at_ms)
{
    struct submit *s = hq_xalloc(sizeof(*s));
    struct graph_flat g = {0};
    struct pack p = {0};
    pack_submit(&p, s, rec, parts, n);
    s->blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = s->blob};
    pack_submit(&p, s, rec, parts, n);
    s->is_graph = rec->is_graph;
    s->submitted_ms = at_ms;
    s->seq = core->last_seq;
    s->ix = job->submit_count;
    s->first_pos = job->tasks.task_count;
    s->first_desc = job->desc_count;
    int rc = s->desc_count == 0 ? -EBADMSG : 0;
    if (rc == 0 && rec->is_graph) {
        rc = deps_flatten(&g, parts, n);
    }
    if (rc == 0) {
        rc = set_ids(job, s, rec, &g);
    }
    if (rc < 0) {
        deps_flat_fini(&g);
        submit_free(s);
        return rc;
    }
    if (rec->is_graph) {
        set_columns(s, &g);
    }
    set_classes(core, job, s, parts, n);
    add_submit(job, s);
    if (rec->is_graph) {
        deps_build(job, s, &g);
    }
    deps_flat_fini(&g);
    deps_start(core, s);
    return 0;
}

int
submit_apply(struct core *core, const struct record_job_submitted *rec, hq_wall_ms at_ms)
{
    struct job *job = core_job(core, rec->job.v);
    if (rec->is_new && job == NULL && rec->job.v >= core->next_job) {
        job = job_create(core, rec->job, rec->name, rec->submit_dir, rec->owner_uid);
        job->has_max_fails = rec->has_max_fails;
        job->max_fails = rec->max_fails;
        job->submitted_ms = at_ms;
        job_insert(core, job);
        core->next_job = rec->job.v + 1;
    }
    if (job == NULL) {
        return 0; /* pruned */
    }
    struct upload *up = &core->upload;
    size_t before = rec->part_count;
    int rc = before == up->count && (before == 0 || rec->upload_id == up->upload_id) ? 0 : -EBADMSG;
    if (rc == 0) {
        struct submit_part *parts = hq_xcalloc(before + 1, sizeof(*parts));
        if (before > 0) {
            memcpy(parts, up->parts, before * sizeof(*parts));
        }
        parts[before] = rec->part;
        rc = build(core, job, rec, parts, before + 1, at_ms);
        free(parts);
    }
    submit_upload_clear(core);
    job_changed(core, job);
    reply_remember_job(core, rec->request_id, rec->owner_uid, rec->job);
    return rc;
}

/* ---- parts that wait for their submit */
static struct submit_part
pack_part(struct pack *p, const struct submit_part *part)
{
    struct submit_part copy = *part;
    struct task_desc *descs = pack_take(p, part->desc_count, sizeof(*descs));
    for (size_t i = 0; i < part->desc_count; i++) {
        struct task_desc d = pack_desc(p, &part->descs[i]);
        d.request = pack_request(p, &part->descs[i].request);
        if (descs != NULL) {
            descs[i] = d;
        }
    }
    copy.descs = descs;
    copy.ids = pack_ranges(p, &part->ids);
    copy.entries.lens = pack_copy(p, part->entries.lens, part->entries.count, sizeof(uint32_t));
    copy.entries.data = pack_str(p, part->entries.data);
    const struct graph_tasks *g = &part->graph;
    copy.graph.ids = pack_copy(p, g->ids, g->count, sizeof(uint32_t));
    copy.graph.desc = pack_copy(p, g->desc, g->count, sizeof(uint32_t));
    copy.graph.dep_count = pack_copy(p, g->dep_count, g->count, sizeof(uint32_t));
    copy.graph.deps = pack_copy(p, g->deps, g->dep_total, sizeof(uint32_t));
    copy.stdin_data = pack_str(p, part->stdin_data);
    return copy;
}

void
submit_upload_clear(struct core *core)
{
    struct upload *up = &core->upload;
    for (size_t i = 0; i < up->count; i++) {
        free(up->blobs[i]);
    }
    free(up->blobs);
    free(up->parts);
    *up = (struct upload){0};
}

void
submit_apply_part(struct core *core, const struct record_submit_part *rec)
{
    struct upload *up = &core->upload;
    if (up->count > 0 && up->upload_id != rec->upload_id) {
        submit_upload_clear(core); /* of a submit that a crash cut off */
    }
    struct pack p = {0};
    (void)pack_part(&p, &rec->part); /* measures */
    void *blob = hq_xalloc(p.used_bytes + 1);
    p = (struct pack){.base = blob};
    up->upload_id = rec->upload_id;
    hq_xgrow(&up->blobs, &up->blob_cap, up->count + 1, sizeof(void *));
    hq_xgrow(&up->parts, &up->cap, up->count + 1, sizeof(*up->parts));
    up->blobs[up->count] = blob;
    up->parts[up->count] = pack_part(&p, &rec->part);
    up->count++;
}

struct hq_str
submit_entry(const struct submit *s, uint32_t pos)
{
    if (s->entry_lens == NULL) {
        return HQ_STR_NULL;
    }
    uint32_t k = pos - s->first_pos;
    k = s->order == NULL ? k : s->order[k];
    uint64_t at = s->entry_at[k / ENTRY_STRIDE];
    for (uint32_t i = k - k % ENTRY_STRIDE; i < k; i++) {
        at += s->entry_lens[i];
    }
    return (struct hq_str){.ptr = s->entry_data.ptr + at, .len = s->entry_lens[k]};
}
