#include "tests/unit/build.h"

#include "common/mem.h"
#include "hqd/core/idlist.h"
#include "hqd/core/invariant.h"
#include "hqd/record_pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- core */
static const struct core_identity identity = {
    .server_uid = {.ptr = "abc123", .len = 6},
    .incarnation = {.ptr = "0123456789abcdef", .len = 16},
    .version = {.ptr = "1", .len = 1},
    .boot_id = {.ptr = "boot1", .len = 5},
    .host = {.ptr = "login", .len = 5},
    .pid = 7,
};

static struct core *
new_core(const struct core_conf *conf)
{
    struct core *core;
    struct hq_err err = {0};
    assert_int_equal(core_create(&core, conf, &err), 0);
    return core;
}

static void
keep_record(struct rig *r, const struct record *rec)
{
    size_t at = r->journal.len;
    record_pb_encode(rec, &r->fx.arena, &r->journal);
    hq_xgrow(&r->records, &r->record_cap, r->record_count + 1, sizeof(*r->records));
    r->records[r->record_count++] = (struct rig_record){.seq = rec->seq, .at = at, .len = r->journal.len - at};
}

/* Takes the effects over: records into the journal, all of it into the log. */
static void
take_effects(struct rig *r)
{
    for (size_t i = 0; i < r->fx.count; i++) {
        struct effect e = r->fx.v[i];
        if (e.kind == EFFECT_RECORD) {
            keep_record(r, &e.u.record);
            e.u.record.seq = 0; /* numbers would have to change with every test that grows */
        } else if (e.kind == EFFECT_TURN && e.u.turn.command_seq > 0) {
            r->command_seq[e.u.turn.worker.v] = e.u.turn.command_seq;
        }
        effect_print(&e, &r->log);
        hq_buf_byte(&r->log, '\n');
    }
    r->now.committed_seq = core_newest_seq(r->core);
}

void
rig_init_conf(struct rig *r, const struct core_conf *conf)
{
    *r = (struct rig){.conf = *conf, .now = {.mono_ms = 1000, .wall_ms = 1000000}, .uid = 1000};
    r->core = new_core(conf);
    hq_arena_init(&r->arena, 0);
    effects_init(&r->fx);
    core_resume(r->core, &identity, &r->now, &r->fx);
    take_effects(r);
    rig_clear(r);
}

void
rig_init(struct rig *r)
{
    rig_init_conf(r, &(struct core_conf){0});
}

void
rig_fini(struct rig *r)
{
    core_destroy(r->core);
    effects_fini(&r->fx);
    hq_arena_fini(&r->arena);
    hq_buf_fini(&r->log);
    hq_buf_fini(&r->journal);
    free(r->records);
}

void
rig_step(struct rig *r, const struct input *in)
{
    effects_clear(&r->fx);
    core_step(r->core, in, &r->now, &r->fx);
    take_effects(r);
}

void
rig_schedule(struct rig *r)
{
    effects_clear(&r->fx);
    core_schedule(r->core, &r->now, &r->fx);
    take_effects(r);
}

void
rig_wait(struct rig *r, hq_ms ms)
{
    hq_ms end = r->now.mono_ms + ms;
    while (core_next_timer(r->core) <= end) {
        hq_ms step = HQ_MAX(core_next_timer(r->core) - r->now.mono_ms, (hq_ms)0);
        r->now.mono_ms += step;
        r->now.wall_ms += step;
        rig_step(r, &(struct input){.kind = INPUT_TIMER});
        rig_schedule(r);
    }
    r->now.wall_ms += end - r->now.mono_ms;
    r->now.mono_ms = end;
}

void
rig_clear(struct rig *r)
{
    hq_buf_clear(&r->log);
}

/* Notes are hints of no interest to most tests. */
static char *
without_notes(const struct rig *r)
{
    struct hq_buf out = HQ_BUF_INIT;
    struct hq_str rest = hq_buf_view(&r->log);
    struct hq_str line;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, '\n', &line);
        if (!hq_str_starts(line, HQ_STR("note "))) {
            hq_buf_str(&out, line);
            hq_buf_byte(&out, '\n');
        }
    }
    return hq_buf_take(&out);
}

void
rig_expect(struct rig *r, const char *text)
{
    char *got = without_notes(r);
    struct hq_buf why = HQ_BUF_INIT;
    if (strcmp(got, text) != 0) {
        print_error("expected:\n%sgot:\n%s", text, got);
        fail();
    }
    free(got);
    if (!invariant_check(r->core, &why)) {
        fail_msg("%s", why.ptr);
    }
    hq_buf_fini(&why);
    rig_clear(r);
}

bool
rig_saw(const struct rig *r, const char *part)
{
    return r->log.ptr != NULL && strstr(r->log.ptr, part) != NULL;
}

/* ---- requests of tasks */
static struct hq_request *
request_of(struct rig *r, const char **names, const double *amounts, size_t n)
{
    struct hq_request *req = hq_arena_alloc(&r->arena, sizeof(*req));
    req->variants = hq_arena_array(&r->arena, 1, sizeof(*req->variants));
    req->variant_count = 1;
    req->variants[0].entries = hq_arena_array(&r->arena, n, sizeof(*req->variants[0].entries));
    req->variants[0].entry_count = n;
    req->variants[0].weight_x10000 = 10000;
    for (size_t i = 0; i < n; i++) {
        req->variants[0].entries[i] = (struct hq_request_entry){
            .name = hq_str_from(names[i]),
            .amount = amounts[i] < 0 ? 0 : (hq_amount)(amounts[i] * 10000 + 0.5),
            .policy = amounts[i] < 0 ? HQ_POLICY_ALL : HQ_POLICY_COMPACT,
        };
    }
    return req;
}

struct hq_request *
rig_cpus(struct rig *r, double cpus)
{
    const char *name = "cpus";
    return request_of(r, &name, &cpus, 1);
}

struct hq_request *
rig_two(struct rig *r, const char *name1, double amount1, const char *name2, double amount2)
{
    const char *names[] = {name1, name2};
    const double amounts[] = {amount1, amount2};
    return request_of(r, names, amounts, 2);
}

struct hq_request *
rig_nodes(struct rig *r, uint32_t n)
{
    struct hq_request *req = rig_cpus(r, 1);
    req->variants[0].n_nodes = n;
    req->variants[0].entry_count = 0;
    return req;
}

struct hq_ranges
rig_ranges(struct rig *r, const char *text)
{
    struct hq_ranges parsed = HQ_RANGES_INIT;
    struct hq_err err = {0};
    assert_int_equal(hq_ranges_parse(&parsed, hq_str_from(text), &err), 0);
    struct hq_ranges copy = {.count = parsed.count, .cap = parsed.count};
    copy.v = hq_arena_array(&r->arena, parsed.count, sizeof(*copy.v));
    memcpy(copy.v, parsed.v, parsed.count * sizeof(*copy.v));
    hq_ranges_fini(&parsed);
    return copy;
}

/* ---- clients */
static struct input
client_input(struct rig *r, enum input_kind kind)
{
    return (struct input){.kind = kind, .from = {.handle = ++r->handle, .uid = r->uid}};
}

static struct task_desc *
make_descs(struct rig *r, size_t n, const struct rig_job *j)
{
    static const struct hq_str args[] = {{.ptr = "/bin/true", .len = 9}};
    struct task_desc *d = hq_arena_array(&r->arena, n, sizeof(*d));
    const struct hq_request *req = j->request != NULL ? j->request : rig_cpus(r, j->cpus > 0 ? j->cpus : 1);
    for (size_t i = 0; i < n; i++) {
        d[i] = (struct task_desc){.args = args, .arg_count = 1, .priority = j->priority, .request = *req};
        d[i].crash_limit = j->never_restart ? CRASH_LIMIT_NEVER_RESTART : j->crash_limit == 0 ? 5 : j->crash_limit;
        d[i].mpi = j->mpi;
        hq_mpi_demand(&d[i].mpi, &d[i].request.variants[0], &r->arena); /* as the edge of hqd does */
        if (j->min_time_ms > 0) {
            d[i].request.variants[0].min_time_ms = j->min_time_ms;
        }
    }
    return d;
}

static struct task_entries
make_entries(struct rig *r, const char *lines)
{
    struct task_entries e = {0};
    if (lines == NULL) {
        return e;
    }
    uint32_t *lens = hq_arena_array(&r->arena, strlen(lines) + 1, sizeof(*lens));
    struct hq_buf data = HQ_BUF_INIT;
    struct hq_str rest = hq_str_from(lines);
    struct hq_str line;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, '\n', &line);
        lens[e.count++] = (uint32_t)line.len;
        hq_buf_str(&data, line);
    }
    e.lens = lens;
    e.data = hq_arena_str(&r->arena, hq_buf_view(&data));
    hq_buf_fini(&data);
    return e;
}

void
rig_array(struct rig *r, const struct rig_job *j)
{
    struct input in = client_input(r, INPUT_SUBMIT);
    struct submit_part part = {.descs = make_descs(r, 1, j), .desc_count = 1, .entries = make_entries(r, j->entries)};
    if (j->ids != NULL) {
        part.ids = rig_ranges(r, j->ids);
    }
    in.from.request_id = j->request_id;
    in.u.submit = (struct input_submit){
        .job = {j->job},
        .name = HQ_STR("job"),
        .has_max_fails = j->has_max_fails,
        .max_fails = j->max_fails,
        .submit_dir = HQ_STR("/home/u"),
        .auto_count = j->count == 0 ? 1 : j->count,
        .parts = &part,
        .part_count = 1,
    };
    rig_step(r, &in);
}

static uint32_t
read_u32(const char **p)
{
    char *end;
    uint32_t v = (uint32_t)strtoul(*p, &end, 10);
    assert_ptr_not_equal(end, *p);
    *p = end;
    return v;
}

void
rig_graph(struct rig *r, uint32_t job, const char *text)
{
    size_t max = strlen(text) + 1;
    uint32_t *ids = hq_arena_array(&r->arena, max, sizeof(*ids));
    uint32_t *desc = hq_arena_array(&r->arena, max, sizeof(*desc));
    uint32_t *dep_count = hq_arena_array(&r->arena, max, sizeof(*dep_count));
    uint32_t *deps = hq_arena_array(&r->arena, max, sizeof(*deps));
    struct graph_tasks g = {.ids = ids, .desc = desc, .dep_count = dep_count, .deps = deps};
    for (const char *p = text; *p != '\0';) {
        ids[g.count] = read_u32(&p);
        while (*p == ':' || *p == ',') {
            p++;
            deps[g.dep_total++] = read_u32(&p);
            dep_count[g.count]++;
        }
        g.count++;
        while (*p == ' ') {
            p++;
        }
    }
    struct submit_part part = {.descs = make_descs(r, 1, &(struct rig_job){0}), .desc_count = 1, .graph = g};
    struct input in = client_input(r, INPUT_SUBMIT);
    in.u.submit =
        (struct input_submit){.job = {job}, .name = HQ_STR("graph"), .is_graph = true, .parts = &part, .part_count = 1};
    rig_step(r, &in);
}

void
rig_open(struct rig *r)
{
    struct input in = client_input(r, INPUT_JOB_OPEN);
    in.u.job_open.name = HQ_STR("open");
    rig_step(r, &in);
}

static struct selection
choose(struct rig *r, const char *ids)
{
    if (strcmp(ids, "all") == 0) {
        return (struct selection){.kind = SELECT_KIND_ALL};
    }
    if (strcmp(ids, "last") == 0) {
        return (struct selection){.kind = SELECT_KIND_LAST};
    }
    return (struct selection){.kind = SELECT_KIND_RANGES, .ids = rig_ranges(r, ids)};
}

void
rig_close(struct rig *r, const char *ids)
{
    struct input in = client_input(r, INPUT_JOB_CLOSE);
    in.u.job_close.jobs = choose(r, ids);
    rig_step(r, &in);
}

void
rig_cancel(struct rig *r, const char *ids, const char *reason)
{
    struct input in = client_input(r, INPUT_JOB_CANCEL);
    in.u.job_cancel =
        (struct input_job_cancel){.jobs = choose(r, ids), .has_reason = reason != NULL, .reason = hq_str_from(reason)};
    rig_step(r, &in);
}

void
rig_forget(struct rig *r, const char *ids)
{
    struct input in = client_input(r, INPUT_JOB_FORGET);
    in.u.job_forget.jobs = choose(r, ids);
    rig_step(r, &in);
}

void
rig_stop_worker(struct rig *r, uint32_t worker)
{
    struct input in = client_input(r, INPUT_WORKER_STOP);
    struct hq_range one = {.first = worker, .count = 1, .step = 1};
    in.u.worker_stop.workers = (struct selection){.kind = SELECT_KIND_RANGES, .ids = {.v = &one, .count = 1}};
    rig_step(r, &in);
}

/* ---- restart */
static void
apply_all(struct rig *r, struct core *core)
{
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    for (size_t i = 0; i < r->record_count; i++) {
        struct record rec;
        struct hq_err err = {0};
        struct hq_str body = {.ptr = r->journal.ptr + r->records[i].at, .len = r->records[i].len};
        assert_int_equal(record_pb_decode(body, &arena, &rec, &err), 1);
        rec.seq = r->records[i].seq;
        if (core_apply(core, &rec, &err) < 0) {
            fail_msg("%s", err.text);
        }
        hq_arena_reset(&arena);
    }
    hq_arena_fini(&arena);
}

static struct core *
replay(struct rig *r)
{
    struct core *core = new_core(&r->conf);
    struct hq_buf was = HQ_BUF_INIT;
    struct hq_buf is = HQ_BUF_INIT;
    apply_all(r, core);
    query_dump(r->core, true, &was);
    query_dump(core, true, &is);
    assert_string_equal(was.ptr, is.ptr);
    hq_buf_fini(&was);
    hq_buf_fini(&is);
    return core;
}

void
rig_check_replay(struct rig *r)
{
    core_destroy(replay(r));
}

static void
resume(struct rig *r, const char *boot_id)
{
    struct core_identity id = identity;
    id.boot_id = hq_str_from(boot_id);
    r->now.wall_ms += 5000;
    r->now.mono_ms = 1000; /* another process, perhaps another boot: the clock begins anew */
    effects_clear(&r->fx);
    core_resume(r->core, &id, &r->now, &r->fx);
    take_effects(r);
}

void
rig_restart(struct rig *r, const char *boot_id)
{
    struct core *core = replay(r);
    core_destroy(r->core);
    r->core = core;
    resume(r, boot_id);
}

void
rig_reload(struct rig *r, const char *boot_id)
{
    apply_all(r, r->core);
    resume(r, boot_id);
}

void
rig_expect_counts(struct rig *r, uint32_t job, const char *text)
{
    struct query_job q;
    char got[160];
    assert_true(query_job(r->core, (hq_job_id){job}, &q));
    (void)snprintf(got, sizeof(got), "%llu/%llu/%llu/%llu/%llu/%llu", (unsigned long long)q.counts.waiting,
                   (unsigned long long)q.counts.running, (unsigned long long)q.counts.finished,
                   (unsigned long long)q.counts.failed, (unsigned long long)q.counts.canceled,
                   (unsigned long long)q.counts.aborted);
    assert_string_equal(got, text);
}
