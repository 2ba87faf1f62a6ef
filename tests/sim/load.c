#include "tests/sim/load.h"

#include "hqd/core/idlist.h"
#include "tests/sim/check.h"

#include <stdlib.h>

#define ASK_AGAIN_MS 2500
#define ARRAY_TASKS_MAX 120u
#define GRAPH_TASKS_MAX 50u

struct request {
    struct request *next;
    uint64_t id;
    struct input in;
    struct hq_arena arena;
    bool is_answered;
};

struct sim_job {
    uint32_t job;
    bool is_open;
    uint32_t next_id; /* ids from here on are unused */
};

struct load {
    struct request *requests;
    uint64_t next_id;
    struct sim_job *jobs;
    size_t job_count;
    size_t job_cap;
};

struct load *
load_create(struct world *w)
{
    struct load *l = hq_xalloc(sizeof(*l));
    l->next_id = w->seed % 1000 * 1000000 + 1;
    return l;
}

void
load_destroy(struct load *l)
{
    while (l->requests != NULL) {
        struct request *r = l->requests;
        l->requests = r->next;
        hq_arena_fini(&r->arena);
        free(r);
    }
    free(l->jobs);
    free(l);
}

static struct request *
find(const struct world *w, uint64_t id)
{
    struct request *r = w->load->requests;
    while (r != NULL && r->id != id) {
        r = r->next;
    }
    return r;
}

size_t
load_waiting(const struct world *w)
{
    size_t n = 0;
    for (const struct request *r = w->load->requests; r != NULL; r = r->next) {
        n += !r->is_answered;
    }
    return n;
}

/* ---- asking */
static void
request_arrives(struct world *w, void *ctx, uint64_t arg)
{
    struct request *r = ctx;
    (void)arg;
    if (w->core == NULL || world_disk_is_bad(w)) {
        return; /* no server, or it refuses changes: asked again later */
    }
    struct input in = r->in;
    in.from.handle = world_handle(w, &(struct asker){.request = r->id});
    (void)world_give(w, &in);
}

static void
ask(struct world *w, void *ctx, uint64_t arg)
{
    struct request *r = ctx;
    (void)arg;
    if (r->is_answered) {
        return;
    }
    for (int copies = world_is_repeated(w) ? 2 : 1; copies > 0; copies--) {
        hq_ms delay_ms = world_delay(w);
        if (delay_ms >= 0) {
            world_at(w, w->now_ms + delay_ms, request_arrives, r, 0);
        }
    }
    world_at(w, w->now_ms + ASK_AGAIN_MS, ask, r, 0);
}

static struct request *
new_request(struct world *w, enum input_kind kind)
{
    struct load *l = w->load;
    struct request *r = hq_xalloc(sizeof(*r));
    hq_arena_init(&r->arena, 0);
    r->id = l->next_id++;
    r->in = (struct input){.kind = kind, .from = {.request_id = r->id, .uid = 1000}};
    r->next = l->requests;
    l->requests = r;
    return r;
}

static void
add_job(struct load *l, uint32_t job, bool is_open)
{
    for (size_t i = 0; i < l->job_count; i++) {
        if (l->jobs[i].job == job) {
            return;
        }
    }
    hq_xgrow(&l->jobs, &l->job_cap, l->job_count + 1, sizeof(*l->jobs));
    l->jobs[l->job_count++] = (struct sim_job){.job = job, .is_open = is_open};
}

void
load_on_reply(struct world *w, uint64_t id, const struct reply *reply)
{
    struct request *r = find(w, id);
    if (r == NULL) {
        return;
    }
    if (reply->answer == ANSWER_SUBMITTED) {
        check_submitted(w, id, reply->job);
        if (!r->is_answered) {
            add_job(w->load, reply->job, r->in.kind == INPUT_JOB_OPEN);
        }
    }
    r->is_answered = true;
}

/* ---- what is asked for */
/* A second variant, a time request, a weight. */
static void
enrich(struct world *w, struct hq_request *q, struct hq_arena *arena)
{
    if (world_chance(w, 1, 4)) {
        struct hq_variant *v = hq_arena_array(arena, 2, sizeof(*v));
        struct hq_request_entry *e = hq_arena_alloc(arena, sizeof(*e));
        *e = (struct hq_request_entry){.name = HQ_STR("cpus"), .amount = 4 * HQ_AMOUNT_ONE};
        v[0] = q->variants[0];
        v[1] = (struct hq_variant){.entries = e, .entry_count = 1, .weight_x10000 = 20000};
        q->variants = v;
        q->variant_count = 2;
    }
    if (world_chance(w, 1, 5)) {
        q->variants[0].min_time_ms = hq_rng_between(&w->rng, 100, 30000);
    }
    if (world_chance(w, 1, 6)) {
        q->variants[0].weight_x10000 = 1 + hq_rng_below(&w->rng, 30000);
    }
}

static struct hq_request *
random_cpus(struct world *w, struct hq_arena *arena)
{
    struct hq_request *q = hq_arena_alloc(arena, sizeof(*q));
    q->variants = hq_arena_array(arena, 1, sizeof(*q->variants));
    q->variant_count = 1;
    q->variants[0].weight_x10000 = 10000;
    if ((w->faults & LOAD_NODES) != 0 && world_chance(w, 1, 3)) {
        q->variants[0].n_nodes = 1 + (uint32_t)hq_rng_below(&w->rng, 3); /* as many as heal */
        return q;
    }
    if (world_chance(w, 1, 25)) {
        q->variants[0].n_nodes = 1 + (uint32_t)hq_rng_below(&w->rng, 2);
        return q;
    }
    q->variants[0].entries = hq_arena_array(arena, 1, sizeof(*q->variants[0].entries));
    q->variants[0].entry_count = 1;
    hq_amount amount = (1 + hq_rng_below(&w->rng, 3)) * HQ_AMOUNT_ONE;
    if (world_chance(w, 1, 10)) {
        amount = HQ_AMOUNT_ONE / 2;
    }
    q->variants[0].entries[0] = (struct hq_request_entry){.name = HQ_STR("cpus"), .amount = amount};
    if ((w->faults & LOAD_RICH) != 0) {
        enrich(w, q, arena);
    }
    return q;
}

static struct task_desc *
random_descs(struct world *w, size_t n, struct hq_arena *arena)
{
    static const struct hq_str args[] = {{.ptr = "sim", .len = 3}};
    static const uint32_t limits[] = {5, 5, 5, 1, 2, CRASH_LIMIT_NEVER_RESTART, CRASH_LIMIT_UNLIMITED};
    struct task_desc *d = hq_arena_array(arena, n, sizeof(*d));
    for (size_t i = 0; i < n; i++) {
        d[i] = (struct task_desc){
            .args = args,
            .arg_count = 1,
            .priority = world_chance(w, 1, 3) ? (int32_t)hq_rng_between(&w->rng, -2, 2) : 0,
            .crash_limit = limits[hq_rng_below(&w->rng, HQ_ARRAY_LEN(limits))],
            .request = *random_cpus(w, arena),
        };
        if ((w->faults & LOAD_NODES) != 0 && d[i].request.variants[0].n_nodes > 0) {
            d[i].mpi.is_on = world_chance(w, 2, 3);
            hq_mpi_demand(&d[i].mpi, &d[i].request.variants[0], arena); /* as the edge of hqd does */
        }
    }
    return d;
}

static struct sim_job *
random_job(struct world *w, bool only_open)
{
    struct load *l = w->load;
    for (int tries = 0; tries < 8 && l->job_count > 0; tries++) {
        struct sim_job *j = &l->jobs[hq_rng_below(&w->rng, l->job_count)];
        if (j->is_open || !only_open) {
            return j;
        }
    }
    return NULL;
}

static void
fill_entries(struct submit_part *part, struct hq_arena *arena)
{
    size_t n = (size_t)hq_ranges_size(&part->ids);
    uint32_t *lens = hq_arena_array(arena, n, sizeof(*lens));
    struct hq_buf data = HQ_BUF_INIT;
    struct hq_ranges_iter it = hq_ranges_iter(&part->ids);
    size_t k = 0;
    for (uint32_t id; hq_ranges_next(&it, &id); k++) {
        size_t before = data.len;
        hq_buf_printf(&data, "%u;", id);
        lens[k] = (uint32_t)(data.len - before);
    }
    part->entries = (struct task_entries){.lens = lens, .count = n, .data = hq_arena_str(arena, hq_buf_view(&data))};
    hq_buf_fini(&data);
}

/* Ids in steps and out of order, with or without entries, or automatic ones. */
static void
fill_array(struct world *w, struct request *r, struct submit_part *part, struct sim_job *to)
{
    struct input_submit *s = &r->in.u.submit;
    uint32_t n = 1 + (uint32_t)hq_rng_below(&w->rng, ARRAY_TASKS_MAX);
    uint32_t base = to == NULL ? (uint32_t)hq_rng_below(&w->rng, 50) : to->next_id;
    part->descs = random_descs(w, 1, &r->arena);
    part->desc_count = 1;
    s->auto_count = n;
    if (to == NULL && world_chance(w, 1, 3)) {
        return;
    }
    struct idlist ids = {.arena = &r->arena};
    if (world_chance(w, 1, 3) && n > 3) {
        idlist_add(&ids, base + 1, n / 2, 2); /* odd ones first, interleaved with the even ones */
        idlist_add(&ids, base, n / 2, 2);
    } else {
        idlist_add(&ids, base, n, 1);
    }
    part->ids = ids.r;
    if (to != NULL) {
        to->next_id = base + n + 1;
    }
    if (world_chance(w, 1, 2)) {
        fill_entries(part, &r->arena);
    }
}

static void
fill_graph(struct world *w, struct request *r, struct submit_part *part, struct sim_job *to)
{
    uint32_t n = 2 + (uint32_t)hq_rng_below(&w->rng, GRAPH_TASKS_MAX);
    uint32_t base = to == NULL ? 1 : to->next_id;
    uint32_t *ids = hq_arena_array(&r->arena, n, sizeof(*ids));
    uint32_t *desc = hq_arena_array(&r->arena, n, sizeof(*desc));
    uint32_t *dep_count = hq_arena_array(&r->arena, n, sizeof(*dep_count));
    uint32_t *deps = hq_arena_array(&r->arena, (size_t)n * 4, sizeof(*deps));
    size_t total = 0;
    part->desc_count = 1 + (size_t)hq_rng_below(&w->rng, 3);
    part->descs = random_descs(w, part->desc_count, &r->arena);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = base + i;
        desc[i] = (uint32_t)hq_rng_below(&w->rng, part->desc_count);
        uint32_t want = (uint32_t)hq_rng_below(&w->rng, 3);
        for (uint32_t k = 0; k < want && i > 0; k++) {
            deps[total++] = base + (uint32_t)hq_rng_below(&w->rng, i);
            dep_count[i]++;
        }
        if (to != NULL && base > 0 && world_chance(w, 1, 6)) {
            deps[total++] = (uint32_t)hq_rng_below(&w->rng, base); /* of an earlier submit, perhaps unknown */
            dep_count[i]++;
        }
    }
    if (to != NULL) {
        to->next_id = base + n;
    }
    part->graph = (struct graph_tasks){
        .ids = ids, .desc = desc, .dep_count = dep_count, .count = n, .deps = deps, .dep_total = total};
    r->in.u.submit.is_graph = true;
}

/* The ids of an array, and their entries, in two parts as a large upload would bring them. */
static void
split_parts(struct world *w, struct request *r)
{
    struct input_submit *s = &r->in.u.submit;
    struct submit_part *two = hq_arena_array(&r->arena, 2, sizeof(*two));
    struct submit_part whole = s->parts[0];
    size_t half = whole.ids.count / 2;
    two[0] = (struct submit_part){.descs = whole.descs, .desc_count = whole.desc_count};
    two[0].ids = (struct hq_ranges){.v = whole.ids.v, .count = half};
    two[1].ids = (struct hq_ranges){.v = whole.ids.v + half, .count = whole.ids.count - half};
    if (whole.entries.count > 0) {
        size_t n = (size_t)hq_ranges_size(&two[0].ids);
        size_t bytes = 0;
        for (size_t i = 0; i < n; i++) {
            bytes += whole.entries.lens[i];
        }
        two[0].entries = (struct task_entries){
            .lens = whole.entries.lens, .count = n, .data = hq_str_sub(whole.entries.data, 0, bytes)};
        two[1].entries = (struct task_entries){.lens = whole.entries.lens + n,
                                               .count = whole.entries.count - n,
                                               .data = hq_str_sub(whole.entries.data, bytes, whole.entries.data.len)};
    }
    s->parts = two;
    s->part_count = 2;
    s->upload_id = hq_rng_u64(&w->rng) | 1;
}

static void
ask_submit(struct world *w, struct sim_job *to)
{
    struct request *r = new_request(w, INPUT_SUBMIT);
    struct submit_part *part = hq_arena_alloc(&r->arena, sizeof(*part));
    struct input_submit *s = &r->in.u.submit;
    s->job.v = to == NULL ? 0 : to->job;
    s->name = HQ_STR("sim");
    s->has_max_fails = to == NULL && world_chance(w, 1, 4);
    s->max_fails = (uint32_t)hq_rng_below(&w->rng, 4);
    s->parts = part;
    s->part_count = 1;
    if (world_chance(w, 1, 3)) {
        fill_graph(w, r, part, to);
    } else {
        fill_array(w, r, part, to);
    }
    if ((w->faults & LOAD_RICH) != 0 && !s->is_graph && part->ids.count > 1) {
        split_parts(w, r);
    }
    ask(w, r, 0);
}

static void
ask_about(struct world *w, enum input_kind kind, uint32_t id)
{
    struct request *r = new_request(w, kind);
    struct idlist ids = {.arena = &r->arena};
    idlist_add(&ids, id, 1, 1);
    struct selection s = {.kind = SELECT_KIND_RANGES, .ids = ids.r};
    switch (kind) {
    case INPUT_JOB_CLOSE:
        r->in.u.job_close.jobs = s;
        break;
    case INPUT_JOB_CANCEL:
        r->in.u.job_cancel = (struct input_job_cancel){.jobs = s, .has_reason = true, .reason = HQ_STR("simulated")};
        break;
    case INPUT_JOB_FORGET:
        r->in.u.job_forget.jobs = s;
        break;
    case INPUT_WORKER_STOP:
        r->in.u.worker_stop.workers = s;
        break;
    default:
        break;
    }
    ask(w, r, 0);
}

void
load_step(struct world *w)
{
    uint64_t dice = hq_rng_below(&w->rng, 100);
    struct sim_job *job = random_job(w, false);
    struct sim_job *open = random_job(w, true);
    if (dice < 45 || job == NULL) {
        ask_submit(w, NULL);
    } else if (dice < 60 && open != NULL) {
        ask_submit(w, open);
    } else if (dice < 68) {
        struct request *r = new_request(w, INPUT_JOB_OPEN);
        r->in.u.job_open.name = HQ_STR("open");
        ask(w, r, 0);
    } else if (dice < 76 && open != NULL) {
        open->is_open = false;
        ask_about(w, INPUT_JOB_CLOSE, open->job);
    } else if (dice < 88) {
        ask_about(w, INPUT_JOB_CANCEL, job->job);
    } else if (dice < 94) {
        ask_about(w, INPUT_JOB_FORGET, job->job);
    } else {
        struct query_server q = {0};
        if (w->core != NULL) {
            query_server(w->core, &q);
            ask_about(w, INPUT_WORKER_STOP, 1 + (uint32_t)hq_rng_below(&w->rng, HQ_MAX(q.last_worker.v, 1u)));
        }
    }
}

void
load_close_all(struct world *w)
{
    for (size_t i = 0; i < w->load->job_count; i++) {
        if (w->load->jobs[i].is_open) {
            w->load->jobs[i].is_open = false;
            ask_about(w, INPUT_JOB_CLOSE, w->load->jobs[i].job);
        }
    }
}
