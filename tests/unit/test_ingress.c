/* Hostile and broken messages at the edge, and that good ones become the inputs they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/rng.h"
#include "hqd/convert.h"
#include "hqd/ingress.h"

static const struct hq_str incarnation = {.ptr = "0123456789abcdef", .len = 16};

struct world {
    struct hq_arena arena;
    struct uploads uploads;
    struct hq_buf bytes;
};

static int
setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    hq_arena_init(&w->arena, INGRESS_ARENA_BYTES_MAX);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    hq_arena_fini(&w->arena);
    uploads_fini(&w->uploads);
    hq_buf_fini(&w->bytes);
    test_free(w);
    return 0;
}

/* Packs, opens and turns into an input; the result of the first step that fails. */
static int
through(struct world *w, enum peer_door door, uint16_t type, const ProtobufCMessage *msg, struct input *ret,
        struct hq_err *err)
{
    struct ingress_msg m;
    hq_buf_clear(&w->bytes);
    assert_int_equal(hq_wire_pack(&w->bytes, type, 77, msg, NULL), 0);
    int rc = ingress_open(door, hq_buf_view(&w->bytes), &w->arena, &m, err);
    if (rc == 0) {
        assert_int_equal(m.head.request_id, 77);
        rc = ingress_input(&m, &w->uploads, incarnation, &w->arena, ret, err);
    }
    return rc;
}

static void
test_envelope(void **state)
{
    struct world *w = *state;
    Hq__Empty empty = HQ__EMPTY__INIT;
    struct ingress_msg m;
    struct hq_err err = {0};
    assert_int_equal(hq_wire_pack(&w->bytes, HQ__MESSAGE_TYPE__TYPE_SERVER_INFO, 5, &empty.base, NULL), 0);
    struct hq_str good = hq_buf_view(&w->bytes);
    assert_int_equal(ingress_open(PEER_CLIENTS, good, &w->arena, &m, &err), 0);
    assert_string_equal(m.row->name, "SERVER_INFO");
    /* the other door */
    assert_int_equal(ingress_open(PEER_WORKERS, good, &w->arena, &m, &err), -EACCES);
    assert_int_equal(m.head.request_id, 5); /* so that it can be answered */
    /* cut short */
    for (size_t n = 0; n < HQ_WIRE_HEAD_BYTES; n++) {
        assert_int_equal(ingress_open(PEER_CLIENTS, hq_str_sub(good, 0, n), &w->arena, &m, &err), -EPROTO);
    }
    /* not ours; another version */
    w->bytes.ptr[0] = 'X';
    assert_int_equal(ingress_open(PEER_CLIENTS, good, &w->arena, &m, &err), -EPROTO);
    w->bytes.ptr[0] = 'H';
    w->bytes.ptr[2]++;
    assert_int_equal(ingress_open(PEER_CLIENTS, good, &w->arena, &m, &err), -EPROTONOSUPPORT);
    assert_int_equal(m.head.request_id, 5);
    w->bytes.ptr[2]--;
    /* a type nobody knows, an answer's type, a type of the future */
    static const uint16_t types[] = {0, 1, 17, 99, 65535};
    for (size_t i = 0; i < HQ_ARRAY_LEN(types); i++) {
        hq_buf_clear(&w->bytes);
        assert_int_equal(hq_wire_pack(&w->bytes, types[i], 5, &empty.base, NULL), 0);
        assert_int_equal(ingress_open(PEER_CLIENTS, hq_buf_view(&w->bytes), &w->arena, &m, &err), -EBADMSG);
    }
}

/* ---- a good submit, to be spoilt */
struct submit {
    Hq__Submit m;
    Hq__SubmitPart part;
    Hq__TaskDesc desc;
    Hq__TaskDesc *descs[2];
    Hq__EnvVar env;
    Hq__EnvVar *envs[1];
    Hq__Stdio out;
    Hq__Mpi mpi;
    Hq__Request request;
    Hq__Variant variant;
    Hq__Variant *variants[33];
    Hq__RequestEntry entry;
    Hq__RequestEntry *entries[1];
    Hq__Ranges ids;
    Hq__Entries task_entries;
    Hq__GraphTasks graph;
    ProtobufCBinaryData args[2];
    uint32_t packed[6];
    uint32_t lens[3];
};

static ProtobufCBinaryData
bytes(const char *text)
{
    return conv_bytes(hq_str_from(text));
}

static void
make_submit(struct submit *s)
{
    memset(s, 0, sizeof *s);
    hq__submit__init(&s->m);
    hq__submit_part__init(&s->part);
    hq__task_desc__init(&s->desc);
    hq__env_var__init(&s->env);
    hq__stdio__init(&s->out);
    hq__request__init(&s->request);
    hq__variant__init(&s->variant);
    hq__request_entry__init(&s->entry);
    hq__ranges__init(&s->ids);
    hq__entries__init(&s->task_entries);
    hq__graph_tasks__init(&s->graph);
    s->m.name = bytes("job");
    s->m.submit_dir = bytes("/tmp");
    s->m.part = &s->part;
    s->part.n_descs = 1;
    s->part.descs = s->descs;
    s->descs[0] = s->descs[1] = &s->desc;
    s->args[0] = bytes("true");
    s->args[1] = bytes("x");
    s->desc.n_args = 2;
    s->desc.args = s->args;
    s->env.key = bytes("KEY");
    s->env.value = bytes("v");
    s->envs[0] = &s->env;
    s->desc.n_env = 1;
    s->desc.env = s->envs;
    s->desc.stdout = &s->out;
    s->desc.crash_limit = 5;
    s->desc.request = &s->request;
    s->request.n_variants = 1;
    s->request.variants = s->variants;
    for (size_t i = 0; i < HQ_ARRAY_LEN(s->variants); i++) {
        s->variants[i] = &s->variant;
    }
    s->variant.n_entries = 1;
    s->variant.entries = s->entries;
    s->entries[0] = &s->entry;
    s->entry.name = bytes("cpus");
    s->entry.amount = 10000;
    s->part.ids = &s->ids;
    s->ids.packed = s->packed;
    s->ids.n_packed = 3;
    s->packed[0] = 1;
    s->packed[1] = 3;
    s->packed[2] = 1;
    s->lens[0] = s->lens[1] = s->lens[2] = 1;
    s->task_entries.lens = s->lens;
    s->task_entries.n_lens = 3;
    s->task_entries.data = bytes("abc");
}

static void no_part(struct submit *s) { s->m.part = NULL; }
static void no_desc(struct submit *s) { s->part.n_descs = 0; }
static void two_descs(struct submit *s) { s->part.n_descs = 2; }
static void no_args(struct submit *s) { s->desc.n_args = 0; }
static void empty_program(struct submit *s) { s->args[0].len = 0; }
static void nul_in_arg(struct submit *s) { s->args[1] = conv_bytes(hq_str_make("a\0b", 3)); }
static void nul_in_cwd(struct submit *s) { s->desc.cwd = conv_bytes(hq_str_make("/a\0b", 4)); }
static void env_with_equals(struct submit *s) { s->env.key = bytes("A=B"); }
static void unknown_pin(struct submit *s) { s->desc.pin = (Hq__PinMode)9; }
static void unknown_stdio(struct submit *s) { s->out.kind = (Hq__StdioKind)7; }
static void crash_limit(struct submit *s) { s->desc.crash_limit = HQ_CRASH_LIMIT_MAX + 1; }
static void
with_ranks(struct submit *s)
{
    hq__mpi__init(&s->mpi);
    s->desc.mpi = &s->mpi;
}
static void unknown_wire_up(struct submit *s) { with_ranks(s); s->mpi.wire_up = (Hq__MpiWireUp)3; }
static void ranks_twice(struct submit *s) { with_ranks(s); s->mpi.ranks = s->mpi.ranks_per_node = 1; }
static void ranks_pinned(struct submit *s) { with_ranks(s); s->desc.pin = HQ__PIN_MODE__PIN_OMP; }
static void too_many_ranks(struct submit *s) { with_ranks(s); s->mpi.ranks = 2; }
static void uneven_ranks(struct submit *s) { with_ranks(s); s->mpi.ranks = 3; s->variant.n_nodes = 2; }
static void no_request(struct submit *s) { s->desc.request = NULL; }
static void no_variant(struct submit *s) { s->request.n_variants = 0; }
static void many_variants(struct submit *s) { s->request.n_variants = 33; }
static void zero_amount(struct submit *s) { s->entry.amount = 0; }
static void unknown_policy(struct submit *s) { s->entry.policy = (Hq__Policy)6; }
static void bad_resource_name(struct submit *s) { s->entry.name = bytes("no name"); }
static void no_triplet(struct submit *s) { s->ids.n_packed = 2; }
static void zero_count(struct submit *s) { s->packed[1] = 0; }
static void zero_step(struct submit *s) { s->packed[2] = 0; }
static void ids_overflow(struct submit *s) { s->packed[0] = UINT32_MAX - 1; }
static void
ids_overlap(struct submit *s)
{
    s->ids.n_packed = 6;
    s->packed[3] = 3;
    s->packed[4] = 1;
    s->packed[5] = 1;
}
static void
too_many_tasks(struct submit *s)
{
    s->packed[1] = HQ_TASKS_PER_SUBMIT_MAX + 1;
}
static void
too_many_auto(struct submit *s)
{
    s->part.ids = NULL;
    s->m.auto_count = HQ_TASKS_PER_SUBMIT_MAX + 1;
}
static void
entries_differ(struct submit *s)
{
    s->part.entries = &s->task_entries;
    s->task_entries.n_lens = 2;
    s->task_entries.data = bytes("ab");
}
static void
entries_lie(struct submit *s)
{
    s->part.entries = &s->task_entries;
    s->lens[0] = UINT32_MAX;
}
static void
array_and_graph(struct submit *s)
{
    s->part.graph = &s->graph;
    s->graph.n_ids = s->graph.n_desc = s->graph.n_dep_count = 1;
    s->graph.ids = s->graph.desc = s->graph.dep_count = s->lens;
    s->graph.n_deps = 1;
    s->graph.deps = s->lens;
}
static void
graph_columns(struct submit *s)
{
    array_and_graph(s);
    s->m.is_graph = true;
    s->part.ids = NULL;
    s->graph.n_deps = 0;
}
static void
unknown_upload(struct submit *s)
{
    s->m.upload_id = 4711;
    s->m.part_count = 2;
}

static void
test_spoilt_submits(void **state)
{
    struct world *w = *state;
    static void (*const spoil[])(struct submit *) = {
        no_part,         no_desc,        two_descs,      no_args,       empty_program,     nul_in_arg,
        nul_in_cwd,      env_with_equals, unknown_pin,   unknown_stdio, crash_limit,
        no_request,      no_variant,     many_variants,  zero_amount,   unknown_policy,    bad_resource_name,
        no_triplet,      zero_count,     zero_step,      ids_overflow,  ids_overlap,       too_many_tasks,
        too_many_auto,   entries_differ, entries_lie,    array_and_graph, graph_columns,   unknown_upload,
        unknown_wire_up, ranks_twice,    ranks_pinned,   too_many_ranks, uneven_ranks,
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(spoil); i++) {
        struct submit s;
        make_submit(&s);
        spoil[i](&s);
        struct input in;
        struct hq_err err = {0};
        int rc = through(w, PEER_CLIENTS, HQ__MESSAGE_TYPE__TYPE_SUBMIT, &s.m.base, &in, &err);
        if (rc >= 0) {
            fail_msg("spoilt submit %zu was accepted", i);
        }
        assert_int_equal(rc, err.code);
        assert_true(strlen(err.text) > 5);
    }
}

/* Nodes must have the cpus of their ranks from here on. */
static void
test_ranks(void **state)
{
    struct world *w = *state;
    struct submit s;
    make_submit(&s);
    with_ranks(&s);
    s.mpi.ranks = 6;
    s.mpi.cpus_per_rank = 2;
    s.mpi.wire_up = HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMI1;
    s.variant.n_nodes = 3;
    struct input in;
    struct hq_err err = {0};
    if (through(w, PEER_CLIENTS, HQ__MESSAGE_TYPE__TYPE_SUBMIT, &s.m.base, &in, &err) < 0) {
        fail_msg("%s", err.text);
    }
    const struct task_desc *d = &in.u.submit.parts[0].descs[0];
    assert_true(d->mpi.is_on && d->mpi.ranks == 6 && d->mpi.cpus_per_rank == 2 && d->mpi.wire_up == HQ_MPI_PMI1);
    assert_int_equal(d->request.variants[0].entries[0].amount, 4 * HQ_AMOUNT_ONE);
}

static void
test_good_submit(void **state)
{
    struct world *w = *state;
    struct submit s;
    make_submit(&s);
    s.part.entries = &s.task_entries;
    struct input in;
    struct hq_err err = {0};
    if (through(w, PEER_CLIENTS, HQ__MESSAGE_TYPE__TYPE_SUBMIT, &s.m.base, &in, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(in.kind, INPUT_SUBMIT);
    assert_true(hq_str_is(in.u.submit.name, "job"));
    assert_int_equal(in.u.submit.part_count, 1);
    const struct submit_part *p = &in.u.submit.parts[0];
    assert_int_equal(hq_ranges_size(&p->ids), 3);
    assert_int_equal(p->entries.count, 3);
    assert_true(hq_str_is(p->entries.data, "abc"));
    assert_int_equal(p->desc_count, 1);
    assert_true(hq_str_is(p->descs[0].args[0], "true"));
    assert_true(hq_str_is(p->descs[0].env[0].key, "KEY"));
    assert_int_equal(p->descs[0].request.variants[0].weight_x10000, 10000);
    assert_int_equal(p->descs[0].request.variants[0].entries[0].amount, 10000);
}

static void
test_uploads(void **state)
{
    struct world *w = *state;
    struct submit s;
    struct hq_err err = {0};
    make_submit(&s);
    HQ_AUTO(hq_buf_fini) struct hq_buf part = HQ_BUF_INIT;
    s.part.n_descs = 0; /* the description comes with the last part */
    assert_int_equal(hq_wire_pack_bare(&part, &s.part.base, 10000, NULL), 0);
    assert_int_equal(uploads_add(&w->uploads, 0, 0, hq_buf_view(&part), &err), -EINVAL);
    assert_int_equal(uploads_add(&w->uploads, 9, 1, hq_buf_view(&part), &err), -EINVAL);
    assert_int_equal(uploads_add(&w->uploads, 9, 0, hq_buf_view(&part), &err), 0);
    assert_int_equal(uploads_add(&w->uploads, 9, 0, hq_buf_view(&part), &err), 0); /* again: its answer was lost */
    assert_int_equal(uploads_add(&w->uploads, 9, 2, hq_buf_view(&part), &err), -EINVAL);
    s.packed[0] = 10;
    hq_buf_clear(&part);
    assert_int_equal(hq_wire_pack_bare(&part, &s.part.base, 10000, NULL), 0);
    assert_int_equal(uploads_add(&w->uploads, 9, 1, hq_buf_view(&part), &err), 0);

    s.part.n_descs = 1;
    s.packed[0] = 20;
    s.m.upload_id = 9;
    struct input in;
    s.m.part_count = 3;
    assert_int_equal(through(w, PEER_CLIENTS, HQ__MESSAGE_TYPE__TYPE_SUBMIT, &s.m.base, &in, &err), -ENOENT);
    s.m.part_count = 2;
    assert_int_equal(through(w, PEER_CLIENTS, HQ__MESSAGE_TYPE__TYPE_SUBMIT, &s.m.base, &in, &err), 0);
    assert_int_equal(in.u.submit.part_count, 3);
    assert_int_equal(in.u.submit.parts[1].ids.v[0].first, 10);
    assert_int_equal(in.u.submit.parts[2].ids.v[0].first, 20);

    /* new uploads push the oldest out */
    for (uint64_t id = 100; id < 100 + HQ_UPLOADS_PER_PEER_MAX; id++) {
        assert_int_equal(uploads_add(&w->uploads, id, 0, hq_buf_view(&part), &err), 0);
    }
    assert_int_equal(through(w, PEER_CLIENTS, HQ__MESSAGE_TYPE__TYPE_SUBMIT, &s.m.base, &in, &err), -ENOENT);
    uploads_drop(&w->uploads, 100);
    struct upload *u;
    assert_int_equal(uploads_find(&w->uploads, 100, 1, &u, &err), -ENOENT);
    assert_int_equal(uploads_find(&w->uploads, 101, 1, &u, &err), 0);
}

static void
test_turns(void **state)
{
    struct world *w = *state;
    uint32_t packed[] = {5, 2, 1};
    int64_t started[] = {0, 3};
    uint64_t durations[] = {1, 2};
    Hq__Turn turn = HQ__TURN__INIT;
    Hq__Ranges ids = HQ__RANGES__INIT;
    Hq__TaskTimes times = HQ__TASK_TIMES__INIT;
    Hq__TasksFinished f = HQ__TASKS_FINISHED__INIT;
    Hq__TasksFinished *finished[] = {&f};
    struct input in;
    struct hq_err err = {0};
    turn.worker_id = 3;
    turn.turn_seq = 9;
    turn.hqd_incarnation = bytes("another run of hqd");
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -ESTALE);
    turn.hqd_incarnation = conv_bytes(incarnation);
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), 0);
    assert_int_equal(in.u.turn.worker.v, 3);
    turn.turn_seq = 0;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
    turn.turn_seq = 10;
    ids.packed = packed;
    ids.n_packed = 3;
    times.started = started;
    times.n_started = 2;
    times.duration_ms = durations;
    times.n_duration_ms = 2;
    f.ids = &ids;
    f.times = &times;
    turn.finished = finished;
    turn.n_finished = 1;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), 0);
    assert_int_equal(in.u.turn.finished[0].times.count, 2);
    assert_int_equal(in.u.turn.finished[0].times.started[1], 3);
    times.n_duration_ms = 1;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
    times.n_duration_ms = 2;
    times.n_started = 0;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
    times.n_started = 2;
    f.times = NULL;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
    f.times = &times;
    f.ids = NULL;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
    f.ids = &ids;
    packed[1] = UINT32_MAX;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
    turn.n_finished = 0;
    turn.leaving = (Hq__WorkerLostReason)77;
    assert_int_equal(through(w, PEER_WORKERS, HQ__MESSAGE_TYPE__TYPE_TURN, &turn.base, &in, &err), -EINVAL);
}

/* Random damage to a good message: never a crash, and whatever is accepted keeps the rules (the sanitizers watch). */
static void
test_random_damage(void **state)
{
    struct world *w = *state;
    struct submit s;
    make_submit(&s);
    s.part.entries = &s.task_entries;
    HQ_AUTO(hq_buf_fini) struct hq_buf good = HQ_BUF_INIT;
    assert_int_equal(hq_wire_pack(&good, HQ__MESSAGE_TYPE__TYPE_SUBMIT, 1, &s.m.base, NULL), 0);
    struct hq_rng rng;
    hq_rng_init(&rng, 20260131);
    for (int round = 0; round < 20000; round++) {
        hq_arena_reset(&w->arena);
        hq_buf_clear(&w->bytes);
        hq_buf_str(&w->bytes, hq_buf_view(&good));
        for (uint64_t n = 1 + hq_rng_below(&rng, 4); n > 0; n--) {
            uint64_t at = HQ_WIRE_HEAD_BYTES + hq_rng_below(&rng, good.len - HQ_WIRE_HEAD_BYTES);
            w->bytes.ptr[at] = (char)hq_rng_u64(&rng);
        }
        struct hq_str cut = hq_str_sub(hq_buf_view(&w->bytes), 0, good.len - hq_rng_below(&rng, 3));
        struct ingress_msg m;
        struct input in;
        struct hq_err err = {0};
        if (ingress_open(PEER_CLIENTS, cut, &w->arena, &m, &err) == 0 &&
            ingress_input(&m, &w->uploads, incarnation, &w->arena, &in, &err) == 0) {
            const struct submit_part *p = &in.u.submit.parts[0];
            assert_int_equal(p->desc_count, 1);
            assert_true(hq_ranges_size(&p->ids) == 0 || hq_ranges_size(&p->ids) == p->entries.count ||
                        p->entries.count == 0);
            assert_int_equal(hq_request_check(&p->descs[0].request, &err), 0);
        }
    }
}

/* Many empty messages in few bytes: decoded they must stay below the bound. */
static void
test_bomb(void **state)
{
    struct world *w = *state;
    struct hq_err err = {0};
    struct ingress_msg m;
    hq_buf_add(&w->bytes, "HQ\1\0", 4);
    hq_buf_add(&w->bytes, "\x14\0\0\0", 4); /* SUBMIT */
    hq_buf_rep(&w->bytes, '\0', 8);
    HQ_AUTO(hq_buf_fini) struct hq_buf part = HQ_BUF_INIT;
    for (int i = 0; i < 500000; i++) {
        hq_buf_add(&part, "\x1a\0", 2); /* SubmitPart.descs: an empty TaskDesc */
    }
    static const unsigned char head[] = {0x4a, 0xc0, 0x84, 0x3d}; /* Submit.part, 1,000,000 bytes */
    hq_buf_add(&w->bytes, head, sizeof head);
    hq_buf_str(&w->bytes, hq_buf_view(&part));
    assert_int_equal(ingress_open(PEER_CLIENTS, hq_buf_view(&w->bytes), &w->arena, &m, &err), -ENOMEM);
    assert_true(w->arena.total_bytes <= INGRESS_ARENA_BYTES_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_envelope, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spoilt_submits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_good_submit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uploads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
