/* A journal read back gives the same state; what is wrong with a file is told in the words of the manual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "hqd/core/query.h"
#include "hqd/record_pb.h"
#include "hqd/replay.h"

#define ID 0x0123456789abcdefu

struct world {
    char dir[64];
    char path[96];
    struct core *core;
    struct effects fx;
    struct hq_buf bytes;   /* of the file */
    uint64_t last_seq;
    uint64_t record_count;
    uint64_t handle;
    hq_wall_ms now_ms;
};

static const struct core_conf core_conf = {.seed = 1};

static void
add_head(struct hq_buf *b, uint32_t segment_ix, uint64_t first_seq)
{
    unsigned char head[HQ_RECORD_HEAD_BYTES];
    struct hq_record_head h = {.major = HQ_RECORD_MAJOR, .segment_ix = segment_ix, .first_seq = first_seq, .journal_id = ID};
    hq_record_head_pack(head, &h);
    hq_buf_add(b, head, sizeof head);
}

/* What the shell does with records. */
static void
journal(struct world *w)
{
    for (size_t i = 0; i < w->fx.count; i++) {
        if (w->fx.v[i].kind == EFFECT_RECORD) {
            const struct record *rec = &w->fx.v[i].u.record;
            HQ_AUTO(hq_buf_fini) struct hq_buf body = HQ_BUF_INIT;
            record_pb_encode(rec, &w->fx.arena, &body);
            hq_record_add(&w->bytes, w->last_seq, rec->seq, hq_buf_view(&body));
            w->last_seq = rec->seq;
            w->record_count++;
        }
    }
}

static struct core_now
now(struct world *w)
{
    w->now_ms += 10;
    return (struct core_now){.mono_ms = w->now_ms, .wall_ms = 1769860800000 + w->now_ms, .committed_seq = w->last_seq};
}

static void
step(struct world *w, struct input *in)
{
    struct core_now n = now(w);
    in->from.handle = ++w->handle;
    in->from.request_id = w->handle;
    effects_clear(&w->fx);
    core_step(w->core, in, &n, &w->fx);
    journal(w);
    effects_clear(&w->fx);
    core_schedule(w->core, &n, &w->fx);
    journal(w);
}

static void
resume(struct world *w, struct core *core)
{
    struct core_identity id = {.server_uid = HQ_STR("aB3xYz"), .incarnation = HQ_STR("0123456789abcdef"), .boot_id = HQ_STR("b")};
    struct core_now n = now(w);
    effects_clear(&w->fx);
    core_resume(core, &id, &n, &w->fx);
    journal(w);
}

static void
submit(struct world *w, const char *name, uint32_t count)
{
    const struct hq_str args[] = {HQ_STR("true")};
    struct hq_request_entry entries[] = {{.name = HQ_STR("cpus"), .amount = 10000}};
    struct hq_variant variants[] = {{.entries = entries, .entry_count = 1, .weight_x10000 = 10000}};
    struct task_desc desc = {
        .args = args, .arg_count = 1, .crash_limit = 5, .request = {.variants = variants, .variant_count = 1}};
    struct hq_range range = {.first = 1, .count = count, .step = 1};
    struct submit_part part = {.descs = &desc, .desc_count = 1, .ids = {.v = &range, .count = 1}};
    struct input in = {.kind = INPUT_SUBMIT,
                       .u.submit = {.name = hq_str_from(name), .submit_dir = HQ_STR("/"), .parts = &part, .part_count = 1}};
    step(w, &in);
}

static void
cancel(struct world *w, uint32_t job)
{
    struct hq_range range = {.first = job, .count = 1, .step = 1};
    struct input in = {.kind = INPUT_JOB_CANCEL,
                       .u.job_cancel = {.jobs = {.kind = SELECT_KIND_RANGES, .ids = {.v = &range, .count = 1}},
                                        .has_reason = true,
                                        .reason = HQ_STR("enough")}};
    step(w, &in);
}

static void
stop(struct world *w)
{
    struct input in = {.kind = INPUT_SERVER_STOP};
    step(w, &in);
}

static int
setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "%s", "/tmp/hq-test-replay-XXXXXX");
    if (mkdtemp(w->dir) == NULL || core_create(&w->core, &core_conf, NULL) < 0) {
        return -1;
    }
    snprintf(w->path, sizeof w->path, "%s/j", w->dir);
    effects_init(&w->fx);
    add_head(&w->bytes, 0, 1);
    resume(w, w->core);
    submit(w, "first", 10);
    submit(w, "second", 1000);
    cancel(w, 1);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"j", "j.new", "j.0"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(names); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", w->dir, names[i]);
        (void)unlink(name);
    }
    core_destroy(w->core);
    effects_fini(&w->fx);
    hq_buf_fini(&w->bytes);
    int rc = rmdir(w->dir);
    test_free(w);
    return rc;
}

static void
put(const struct world *w, const char *suffix, struct hq_str bytes)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", w->path, suffix);
    assert_int_equal(hq_fs_replace(name, bytes, 0600, NULL), 0);
}

static int
replay(const struct world *w, struct core **ret_core, struct replay_result *ret, struct hq_err *err)
{
    assert_int_equal(core_create(ret_core, &core_conf, NULL), 0);
    int rc = replay_run(*ret_core, w->path, ret, err);
    if (rc < 0) {
        core_destroy(*ret_core);
        *ret_core = NULL;
    }
    return rc;
}

static void
assert_same(const struct core *a, const struct core *b)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf ta = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf tb = HQ_BUF_INIT;
    query_dump(a, true, &ta);
    query_dump(b, true, &tb);
    assert_string_equal(ta.ptr, tb.ptr);
}

static void
test_same_state(void **state)
{
    struct world *w = *state;
    struct core *core;
    struct replay_result res = {0};
    struct hq_err err = {0};
    put(w, "", hq_buf_view(&w->bytes));
    if (replay(w, &core, &res, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_same(w->core, core);
    assert_int_equal(res.record_count, w->record_count);
    assert_int_equal(res.resume.last_seq, w->last_seq);
    assert_int_equal(res.resume.end_offset, w->bytes.len);
    assert_false(res.is_torn);
    assert_false(core_is_ended(core));
    assert_true(hq_str_is(core_server_uid(core), "aB3xYz"));
    assert_true(res.resume.index.count >= 1);
    replay_result_fini(&res);
    core_destroy(core);

    stop(w);
    put(w, "", hq_buf_view(&w->bytes));
    assert_int_equal(replay(w, &core, &res, &err), 0);
    assert_true(core_is_ended(core));
    replay_result_fini(&res);
    core_destroy(core);
}

static void
test_torn_tail(void **state)
{
    struct world *w = *state;
    struct core *core;
    struct replay_result res = {0};
    struct hq_err err = {0};
    for (size_t cut = 1; cut < 60; cut++) {
        put(w, "", hq_str_sub(hq_buf_view(&w->bytes), 0, w->bytes.len - cut));
        assert_int_equal(replay(w, &core, &res, &err), 0);
        assert_true(res.record_count < w->record_count);
        assert_true(res.resume.end_offset + res.torn_bytes == w->bytes.len - cut);
        assert_int_equal(res.is_torn, res.torn_bytes > 0);
        replay_result_fini(&res);
        core_destroy(core);
    }
}

static void
test_damage(void **state)
{
    struct world *w = *state;
    struct core *core;
    struct replay_result res = {0};
    struct hq_err err = {0};
    hq_record_add_mark(&w->bytes, ID, w->bytes.len);
    w->bytes.ptr[HQ_RECORD_HEAD_BYTES + 20] ^= 1;
    put(w, "", hq_buf_view(&w->bytes));
    assert_int_equal(replay(w, &core, &res, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "Deserialization error: Journal load error: "));
    assert_non_null(strstr(err.text, "at offset 40"));
    assert_non_null(strstr(err.text, "\nIt appears that the journal file is corrupted."));
}

static void
test_good_frame_with_a_bad_record(void **state)
{
    struct world *w = *state;
    struct core *core;
    struct replay_result res = {0};
    struct hq_err err = {0};
    hq_record_add(&w->bytes, w->last_seq, w->last_seq + 1, HQ_STR("\xff\xff no protobuf"));
    put(w, "", hq_buf_view(&w->bytes));
    assert_int_equal(replay(w, &core, &res, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "corrupted"));
}

static void
test_records_of_the_future_and_gaps(void **state)
{
    struct world *w = *state;
    struct core *core;
    struct replay_result res = {0};
    struct hq_err err = {0};
    hq_record_add(&w->bytes, w->last_seq, w->last_seq + 1, HQ_STR("\x10\x05\x82\x3f\x02\x08\x01")); /* kind 1008 */
    w->last_seq += 1;
    /* a job that a prune has dropped */
    struct record rec = {.kind = RECORD_JOB_COMPLETED, .time_ms = 1769860900000, .u.job.job = {77}};
    HQ_AUTO(hq_buf_fini) struct hq_buf body = HQ_BUF_INIT;
    record_pb_encode(&rec, &w->fx.arena, &body);
    hq_record_add(&w->bytes, w->last_seq, w->last_seq + 50, hq_buf_view(&body));
    put(w, "", hq_buf_view(&w->bytes));
    if (replay(w, &core, &res, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(res.resume.last_seq, w->last_seq + 50);
    replay_result_fini(&res);
    core_destroy(core);
}

static void
test_texts(void **state)
{
    struct world *w = *state;
    struct core *core;
    struct replay_result res = {0};
    const struct {
        struct hq_str bytes;
        const char *text;
    } cases[] = {
        {HQ_STR(""), "Error: failed to fill whole buffer"},
        {HQ_STR("HQJR"), "Error: failed to fill whole buffer"},
        {HQ_STR("hello, this is no journal\n"), "Error: Invalid journal format"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_err err = {0};
        put(w, "", cases[i].bytes);
        assert_true(replay(w, &core, &res, &err) < 0);
        assert_string_equal(err.text, cases[i].text);
    }
    w->bytes.ptr[8] = 9; /* major version */
    put(w, "", hq_buf_view(&w->bytes));
    struct hq_err err = {0};
    assert_int_equal(replay(w, &core, &res, &err), -EPROTONOSUPPORT);
    assert_string_equal(err.text, "Error: Cannot load newer journal file; journal file: 9.0, current HQ supports: 1.0");
}

static void
test_probe(void **state)
{
    struct world *w = *state;
    bool is_there = true;
    struct hq_err err = {0};
    assert_int_equal(replay_probe(w->path, &is_there, &err), 0);
    assert_false(is_there);
    put(w, ".new", hq_buf_view(&w->bytes)); /* alone: left by a start that died; not a journal yet */
    assert_int_equal(replay_probe(w->path, &is_there, &err), 0);
    assert_false(is_there);
    /* A crash between the two renames of a filesystem without hard links: the replacement is finished. */
    put(w, ".0", hq_buf_view(&w->bytes));
    HQ_AUTO(hq_buf_fini) struct hq_buf newer = HQ_BUF_INIT;
    add_head(&newer, 1, w->last_seq + 1);
    put(w, ".new", hq_buf_view(&newer));
    assert_int_equal(replay_probe(w->path, &is_there, &err), 0);
    assert_true(is_there);
    struct core *core;
    struct replay_result res = {0};
    assert_int_equal(replay(w, &core, &res, &err), 0);
    assert_same(w->core, core);
    assert_int_equal(res.resume.head.segment_ix, 1);
    replay_result_fini(&res);
    core_destroy(core);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_good_frame_with_a_bad_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_of_the_future_and_gaps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
