/* From arguments to the request of a submit: description, ids, names, warnings; and how it is cut into parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "hq/desc_print.h"
#include "hq/submit_build.h"
#include "hq/submit_send.h"

#define WORDS_MAX 40

static const struct hq_command submit_command = {.name = "submit",
                                                 .help = "Submit.",
                                                 .opts = submit_opts,
                                                 .opt_count = SUBMIT_OPTS,
                                                 .args_bytes = sizeof(struct submit_args)};

struct built {
    struct hq_arena arena;
    struct hq_parsed parsed;
    struct submit_input in;
    Hq__Submit *submit;
    struct hq_err err;
    int rc;
};

/* Words separated by '|'. */
static void
build_init(struct built *b, const char *line, bool has_entries)
{
    memset(b, 0, sizeof *b);
    hq_arena_init(&b->arena, 0);
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0;
    argv[argc++] = hq_arena_strz(&b->arena, HQ_STR("hq submit"));
    struct hq_str rest = hq_str_from(line);
    for (bool has_more = true; has_more;) {
        struct hq_str word;
        has_more = hq_str_split(&rest, '|', &word);
        assert_true(argc < WORDS_MAX);
        argv[argc++] = hq_arena_strz(&b->arena, word);
    }
    struct hq_optab tab = {.root = &submit_command, .arena = &b->arena};
    struct hq_buf text = HQ_BUF_INIT;
    enum hq_optab_end end =
        hq_optab_parse_command(&tab, &submit_command, "hq submit", argc, argv, &b->parsed, &text, NULL);
    if (end != HQ_OPTAB_RUN) {
        fail_msg("%s", text.ptr);
    }
    hq_buf_fini(&text);
    const struct submit_args *args = b->parsed.args;
    b->in = (struct submit_input){
        .args = args,
        .given = b->parsed.given,
        .submit_dir = HQ_STR("/home/u/work"),
        .command = args->command.v,
        .command_count = args->command.count,
        .has_entries = has_entries,
    };
    b->rc = submit_check(&b->in, &b->arena, &b->err);
    if (b->rc == 0) {
        b->rc = submit_build(&b->submit, &b->in, &b->arena, &b->err);
    }
}

static void
build_fini(struct built *b)
{
    hq_arena_fini(&b->arena);
}

static const struct {
    const char *line;
    const char *error;
} refused[] = {
    {"--job|1|--name|x|true", "Parameter --name is not allowed when submitting to an open job."},
    {"--job|1|--max-fails|1|true", "Parameter --max-fails is not allowed when submitting to an open job."},
    {"--job|1|--name|x|--max-fails|1|true", "Parameter --name is not allowed when submitting to an open job."},
    {"--name|a\tb|true", "name cannot have a newline or a tab"},
    {"--resource|a=1|--resource|a=2|true", "Resource 'a' defined more than once"},
    {"--cpus|2|--resource|cpus=2|true", "--cpus and --resource cpus=... cannot be combined"},
    {"--cwd|a/%{CWD}|true", "Working directory path cannot contain the working directory placeholder `%{CWD}`."},
};

static void
test_refused(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(refused); ix++) {
        struct built b;
        build_init(&b, refused[ix].line, false);
        assert_true(b.rc < 0);
        assert_string_equal(b.err.text, refused[ix].error);
        build_fini(&b);
    }
}

static void
test_too_large_command_is_refused(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "true", false);
    struct hq_buf big = HQ_BUF_INIT;
    hq_buf_rep(&big, 'x', HQ_ARGS_BYTES_MAX);
    struct hq_str words[] = {HQ_STR("true"), hq_buf_view(&big)};
    b.in.command = words;
    b.in.command_count = 2;
    assert_int_equal(submit_build(&b.submit, &b.in, &b.arena, &b.err), -E2BIG);
    hq_buf_fini(&big);
    build_fini(&b);
}

/* The request as JSON of its description, and its head as text. */
static void
test_full_request(void **state)
{
    (void)state;
    struct built b;
    build_init(
        &b,
        "--name=a b|--cwd|sub/dir|--env|A=1|--env|B|--env|C=x=y|--env|A=2|--stdout=out.txt|--stderr=none|--priority=-5|"
        "--max-fails|3|--time-limit|1h30m|--time-request=10:00|--crash-limit=unlimited|--cpus=4 "
        "compact!|--pin|omp|--|prog|-x|"
        "two words",
        false);
    assert_int_equal(b.rc, 0);
    const Hq__Submit *s = b.submit;
    assert_true(hq_str_is(desc_str(s->name), "a b"));
    assert_int_equal(s->job, 0);
    assert_true(s->has_max_fails && s->max_fails == 3);
    assert_true(hq_str_is(desc_str(s->submit_dir), "/home/u/work"));
    assert_int_equal(s->auto_count, 1);
    assert_int_equal(s->part->n_descs, 1);
    const Hq__TaskDesc *d = s->part->descs[0];
    assert_int_equal(d->n_args, 3);
    assert_true(hq_str_is(desc_str(d->args[2]), "two words"));
    assert_int_equal(d->n_env, 3);
    assert_true(hq_str_is(desc_str(d->env[0]->key), "A") && hq_str_is(desc_str(d->env[0]->value), "2"));
    assert_true(hq_str_is(desc_str(d->cwd), "sub/dir"));
    assert_int_equal(d->stdout->kind, HQ__STDIO_KIND__STDIO_FILE);
    assert_true(hq_str_is(desc_str(d->stdout->path), "out.txt"));
    assert_int_equal(d->stderr->kind, HQ__STDIO_KIND__STDIO_NONE);
    assert_int_equal(d->priority, -5);
    assert_int_equal(d->time_limit_ms, 5400000);
    assert_int_equal(d->crash_limit, SUBMIT_CRASH_UNLIMITED);
    assert_int_equal(d->pin, HQ__PIN_MODE__PIN_OMP);
    assert_int_equal(d->request->n_variants, 1);
    assert_int_equal(d->request->variants[0]->min_time_ms, 600000);
    assert_int_equal(d->request->variants[0]->weight, 10000);
    assert_int_equal(d->request->variants[0]->entries[0]->policy, HQ__POLICY__POLICY_FORCE_COMPACT);
    build_fini(&b);
}

static const struct {
    const char *line;
    const char *resources; /* as the table shows them */
    const char *stdio;     /* kinds of stdout and stderr */
} requests[] = {
    {"x", "cpus: 1 compact", "00"},
    {"--cpus|all|--weight|2.5|x", "cpus: all\n[weight: 2.5]", "00"},
    {"--resource|cpus=3|x", "cpus: 3 compact", "00"},
    {"--resource|gpus/nvidia=0.5|--resource|foo=2 scatter|--cpus|4 tight!|x",
     "cpus: 4 tight!\nfoo: 2 scatter\ngpus/nvidia: 0.5 compact", "00"},
    {"--nodes|2|x", "nodes: 2", "00"},
    {"--weight|429496.7295|x", "cpus: 1 compact\n[weight: 429496.72]", "00"},
    {"--weight|1.23456|x", "cpus: 1 compact\n[weight: 1.2346]", "00"},
    {"--stream|d|x", "cpus: 1 compact", "22"},
    {"--stream|d|--stdout|a|x", "cpus: 1 compact", "02"},
    {"--stream|d|--stdout|none|--stderr|:rm-if-finished|x", "cpus: 1 compact", "10"},
};

static void
test_requests(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(requests); ix++) {
        struct built b;
        build_init(&b, requests[ix].line, false);
        assert_int_equal(b.rc, 0);
        const Hq__TaskDesc *d = b.submit->part->descs[0];
        struct hq_buf text = HQ_BUF_INIT;
        desc_fmt_resources(&text, d);
        assert_string_equal(text.ptr, requests[ix].resources);
        hq_buf_clear(&text);
        hq_buf_printf(&text, "%d%d", (int)d->stdout->kind, (int)d->stderr->kind);
        assert_string_equal(text.ptr, requests[ix].stdio);
        hq_buf_fini(&text);
        build_fini(&b);
    }
}

static void
test_ids(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "--array|1-10:3,20|x", false);
    const Hq__Ranges *ids = b.submit->part->ids;
    static const uint32_t want[] = {1, 4, 3, 20, 1, 1};
    assert_int_equal(ids->n_packed, HQ_ARRAY_LEN(want));
    assert_memory_equal(ids->packed, want, sizeof want);
    assert_int_equal(b.submit->auto_count, 0);
    build_fini(&b);
    build_init(&b, "--array|1-3|x", true); /* they choose entries */
    assert_null(b.submit->part->ids);
    assert_int_equal(b.submit->auto_count, 0);
    build_fini(&b);
    build_init(&b, "--job|7|x", false);
    assert_int_equal(b.submit->job, 7);
    assert_int_equal(b.submit->name.len, 1); /* readers of events see what the job would have been called */
    build_fini(&b);
}

static void
test_default_names(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"hostname", "hostname"},
                                           {"/usr/bin/env", "env"},
                                           {"./a/b/", "b"},
                                           {"a/.", "a"},
                                           {"..", "job"},
                                           {"a/..", "job"},
                                           {".", "job"},
                                           {"/", "job"},
                                           {"", "job"},
                                           {"a//", "a"}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(names); ix++) {
        assert_true(hq_str_is(submit_default_name(hq_str_from(names[ix][0])), names[ix][1]));
    }
}

/* ---- warnings */

static const struct {
    const char *line;
    uint64_t count;
    const char *texts;
} warnings[] = {
    {"x", 1, ""},
    {"--array|1-2|x", 2, ""},
    {"--array|1-499|x", 499, ""},
    {"--array|1-600|x", 600,
     "The job will create 1200 files for stdout and stderr. Consider using the `--stream` option to stream all outputs "
     "into a "
     "single file;"},
    {"--array|1-600|--stdout|none|x", 600, ""},
    {"--array|1-1000|--stderr|none|--stdout|%{TASK_ID}|x", 1000,
     "The job will create 1000 files for stdout. Consider using the `--stream` option to stream all outputs into a "
     "single file;"},
    {"--array|1-9999|--stream|d|x", 9999, ""},
    {"--stdout|out.txt|--array|1-2|x", 2,
     "You have submitted an array job, but the `stdout` path does not contain the task ID placeholder.\nIndividual "
     "tasks might "
     "thus overwrite the file. Consider adding `%{TASK_ID}` to the `--stdout` value.;"},
    {"--stdout|out.txt|x", 1, ""},
    {"--array|1-2|--cwd|%{TASK_ID}|--stdout|o|x", 2, ""},
    {"--array|1-2|--stderr|:rm-if-finished|x", 2, ""},
    {"--stdout|%{FOO}/%{TASK_ID}|x", 1, "Found unknown placeholder `FOO` in stdout path;"},
    {"--cwd|%{X}|--stderr|%{Y}%{}|--stream|%{Z}|x", 1,
     "Found unknown placeholders `Y`, `` in stderr path;Found unknown placeholder `Z` in log path;Found unknown "
     "placeholder `X` in "
     "working directory path;"},
    {"--stream|s-%{TASK_ID}|x", 1, "Found unknown placeholder `TASK_ID` in log path;"},
    {"--env|A=|--env|A=2|x", 1, "Some environment variables were ignored. Check if you haven't used duplicate keys.;"},
    {"--on-notify|c|x", 1, "The option `--on-notify` has no effect without `--wait` or `--progress`.;"},
    {"--on-notify|c|--progress|x", 1, ""},
    {"--each-line|e.txt|x", 0, "The file e.txt is empty: the job has no tasks;"},
    {"--each-line|e.txt|--array|7|x", 0, ""},
};

static void
test_warnings(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(warnings); ix++) {
        struct built b;
        build_init(&b, warnings[ix].line, false);
        struct hq_strv texts = {0};
        submit_warnings(&texts, &b.in, warnings[ix].count, &b.arena);
        struct hq_buf got = HQ_BUF_INIT;
        for (size_t k = 0; k < texts.count; k++) {
            hq_buf_str(&got, texts.v[k]);
            hq_buf_byte(&got, ';');
        }
        assert_string_equal(got.ptr != NULL ? got.ptr : "", warnings[ix].texts);
        hq_buf_fini(&got);
        build_fini(&b);
    }
}

/* ---- parts: all lists put together again must be what went in */

struct gathered {
    uint32_t parts;
    size_t bytes_max;
    struct hq_ranges ids;
    struct hq_buf lens;
    struct hq_buf data;
    struct hq_buf stdin_data;
};

static int
gather(void *ctx, const Hq__SubmitPart *part, struct hq_err *err)
{
    struct gathered *g = ctx;
    (void)err;
    assert_int_equal(part->number, g->parts++);
    g->bytes_max = HQ_MAX(g->bytes_max, hq__submit_part__get_packed_size(part));
    for (size_t ix = 0; part->ids != NULL && ix + 2 < part->ids->n_packed; ix += 3) {
        hq_ranges_add(&g->ids, part->ids->packed[ix], part->ids->packed[ix + 1], part->ids->packed[ix + 2]);
    }
    if (part->entries != NULL) {
        hq_buf_add(&g->lens, part->entries->lens, part->entries->n_lens * sizeof(uint32_t));
        hq_buf_add(&g->data, part->entries->data.data, part->entries->data.len);
    }
    hq_buf_add(&g->stdin_data, part->stdin.data, part->stdin.len);
    return 0;
}

static void
gathered_fini(struct gathered *g)
{
    hq_ranges_fini(&g->ids);
    hq_buf_fini(&g->lens);
    hq_buf_fini(&g->data);
    hq_buf_fini(&g->stdin_data);
}

static void
split_and_compare(struct built *b, struct submit_load *load, struct gathered *g)
{
    load->head = b->submit;
    assert_int_equal(submit_split(load, 77, gather, g, &b->arena, &b->err), 0);
    uint32_t before = g->parts;
    assert_int_equal(b->submit->part_count, before);
    assert_int_equal(b->submit->upload_id, before > 0 ? 77 : 0);
    assert_true(hq__submit__get_packed_size(b->submit) < HQ_MSG_BYTES_MAX - HQ_PART_BYTES / 10);
    assert_int_equal(gather(g, b->submit->part, &b->err), 0);
    assert_true(g->bytes_max <= HQ_PART_BYTES + 1024);
    if (load->entries != NULL) {
        assert_int_equal(g->data.len, load->entries->data.len);
        assert_int_equal(g->lens.len, load->entries->count * sizeof(uint32_t));
        assert_true(g->data.len == 0 || memcmp(g->data.ptr, load->entries->data.ptr, g->data.len) == 0);
        assert_true(g->lens.len == 0 || memcmp(g->lens.ptr, load->entries->lens, g->lens.len) == 0);
    }
}

static void
test_small_submit_is_one_message(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "--each-line|f|x", true);
    struct entries e = {0};
    assert_int_equal(entries_add(&e, HQ_STR("one"), &b.err), 0);
    assert_int_equal(entries_add(&e, HQ_STR(""), &b.err), 0);
    struct submit_load load = {.entries = &e, .stdin_data = HQ_STR("hello")};
    struct gathered g = {0};
    split_and_compare(&b, &load, &g);
    assert_int_equal(g.parts, 1);
    assert_int_equal(g.stdin_data.len, 5);
    gathered_fini(&g);
    entries_fini(&e);
    build_fini(&b);
}

static void
test_no_entries_say_so(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "--each-line|f|x", true);
    struct entries e = {0};
    struct submit_load load = {.entries = &e};
    struct gathered g = {0};
    split_and_compare(&b, &load, &g);
    assert_non_null(b.submit->part->entries);
    assert_int_equal(b.submit->auto_count, 0);
    gathered_fini(&g);
    build_fini(&b);
}

static void
test_large_submits_are_cut(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "--each-line|f|x", true);
    struct hq_buf text = HQ_BUF_INIT;
    struct hq_ranges only = HQ_RANGES_INIT;
    for (uint32_t ix = 0; ix < 300000; ix++) {
        hq_buf_printf(&text, "line %u\n", ix);
    }
    hq_buf_rep(&text, 'x', HQ_ENTRY_BYTES_MAX);
    hq_ranges_add(&only, 0, 150000, 2);
    hq_ranges_add(&only, 299999, 2, 1);
    struct entries e;
    assert_int_equal(entries_from_lines(&e, &text, &only, &b.err), 0);
    assert_int_equal(e.count, 150002);
    struct hq_buf big = HQ_BUF_INIT;
    hq_buf_rep(&big, 's', 3 * HQ_PART_BYTES);
    struct submit_load load = {.entries = &e, .stdin_data = hq_buf_view(&big)};
    struct gathered g = {0};
    split_and_compare(&b, &load, &g);
    assert_true(g.parts > 4);
    assert_int_equal(g.stdin_data.len, big.len);
    assert_int_equal(hq_ranges_size(&g.ids), 150002);
    for (uint64_t k = 0; k < 150002; k += 50000) {
        assert_int_equal(hq_ranges_at(&g.ids, k), hq_ranges_at(&e.ids, k));
    }
    gathered_fini(&g);
    entries_fini(&e);
    hq_ranges_fini(&only);
    hq_buf_fini(&big);
    build_fini(&b);
}

/* 200,000 single ids: the array itself needs parts. */
static void
test_long_arrays_are_cut(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "--array|0|x", false);
    struct submit_args *args = b.parsed.args;
    struct hq_ranges ids = HQ_RANGES_INIT;
    for (uint32_t ix = 0; ix < 200000; ix++) {
        hq_ranges_add(&ids, ix % 2 == 0 ? ix * 7 : ix * 7 + 3, 1, 1);
    }
    args->array = ids;
    size_t ranges = ids.count;
    assert_int_equal(submit_build(&b.submit, &b.in, &b.arena, &b.err), 0);
    struct submit_load load = {0};
    struct gathered g = {0};
    split_and_compare(&b, &load, &g);
    assert_true(g.parts > 1);
    assert_true(ranges > HQ_PART_BYTES / 15);
    assert_int_equal(hq_ranges_size(&g.ids), hq_ranges_size(&args->array));
    assert_int_equal(hq_ranges_at(&g.ids, 199999), hq_ranges_at(&args->array, 199999));
    gathered_fini(&g);
    hq_ranges_fini(&ids);
    build_fini(&b);
}

static int
refuse(void *ctx, const Hq__SubmitPart *part, struct hq_err *err)
{
    (void)ctx;
    (void)part;
    return hq_err_set(err, -ECONNRESET, "Connection closed");
}

static void
test_refused_part_stops(void **state)
{
    (void)state;
    struct built b;
    build_init(&b, "x", false);
    struct hq_buf big = HQ_BUF_INIT;
    hq_buf_rep(&big, 's', 2 * HQ_PART_BYTES);
    struct submit_load load = {.head = b.submit, .stdin_data = hq_buf_view(&big)};
    assert_int_equal(submit_split(&load, 1, refuse, NULL, &b.arena, &b.err), -ECONNRESET);
    hq_buf_fini(&big);
    build_fini(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_large_command_is_refused),
        cmocka_unit_test(test_full_request),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_default_names),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_small_submit_is_one_message),
        cmocka_unit_test(test_no_entries_say_so),
        cmocka_unit_test(test_large_submits_are_cut),
        cmocka_unit_test(test_long_arrays_are_cut),
        cmocka_unit_test(test_refused_part_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
