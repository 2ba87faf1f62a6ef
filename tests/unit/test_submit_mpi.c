/* Ranks as users give them: options, directives, job files; what is refused; what is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/eventjson_desc.h"
#include "common/placeholder.h"
#include "hq/desc_print.h"
#include "hq/jobfile.h"
#include "hq/submit_build.h"
#include "hq/submit_mpi.h"

#define WORDS_MAX 24

static const struct hq_command submit_command = {.name = "submit",
                                                 .help = "Submit.",
                                                 .opts = submit_opts,
                                                 .opt_count = SUBMIT_OPTS,
                                                 .args_bytes = sizeof(struct submit_args)};

/* What goes to hqd of a description: nodes, cpus, ranks. */
static void
print_desc(struct hq_buf *b, const Hq__TaskDesc *d)
{
    const Hq__Variant *v = d->request->variants[0];
    hq_buf_printf(b, "nodes=%u cpus=", v->n_nodes);
    if (v->n_entries > 0) {
        hq_amount_print(v->entries[0]->amount, b);
    }
    if (d->mpi != NULL) {
        hq_buf_printf(b, " mpi=%d ranks=%u per-node=%u cpus-per-rank=%u%s%s", (int)d->mpi->wire_up, d->mpi->ranks,
                      d->mpi->ranks_per_node, d->mpi->cpus_per_rank, d->mpi->oversubscribe ? " oversubscribe" : "",
                      d->mpi->tag_output ? " tag" : "");
    }
}

static struct hq_strv
words_of(const char *line, struct hq_arena *arena)
{
    struct hq_strv v = {0};
    struct hq_str rest = hq_str_from(line);
    struct hq_str word;
    for (bool has_more = rest.len > 0; has_more;) {
        has_more = hq_str_split(&rest, ' ', &word);
        hq_arena_grow(arena, &v.v, &v.cap, v.count + 1, sizeof *v.v);
        v.v[v.count++] = word;
    }
    return v;
}

/* Option parser, directives, rules, message: the description, or the first error. */
static void
submit_text(struct hq_buf *got, const char *line, const char *directives)
{
    struct hq_arena arena;
    struct hq_parsed parsed;
    struct hq_buf text = HQ_BUF_INIT;
    struct hq_err err = {0};
    char *argv[WORDS_MAX + 1] = {0};
    hq_arena_init(&arena, 0);
    struct hq_strv words = words_of(line, &arena);
    assert_true(words.count + 2 < WORDS_MAX);
    argv[0] = hq_arena_strz(&arena, HQ_STR("hq submit"));
    for (size_t i = 0; i < words.count; i++) {
        argv[i + 1] = hq_arena_strz(&arena, words.v[i]);
    }
    argv[words.count + 1] = hq_arena_strz(&arena, HQ_STR("prog"));
    struct hq_optab tab = {.root = &submit_command, .arena = &arena};
    if (hq_optab_parse_command(&tab, &submit_command, "hq submit", (int)words.count + 2, argv, &parsed, &text, NULL) !=
        HQ_OPTAB_RUN) {
        struct hq_str rest = hq_buf_view(&text);
        struct hq_str first;
        (void)hq_str_split(&rest, '\n', &first);
        hq_buf_str(got, first);
    } else {
        struct submit_args *args = parsed.args;
        struct submit_args dir = {0};
        uint64_t given = parsed.given;
        uint64_t dir_given = 0;
        words = words_of(directives, &arena);
        assert_true(hq_optab_parse_directives(submit_opts, SUBMIT_OPTS, words.v, words.count, &dir, &arena, &dir_given,
                                              &text, NULL));
        int rc = submit_args_merge(args, &given, &dir, dir_given, &arena, &err);
        struct submit_input in = {
            .args = args, .given = given, .submit_dir = HQ_STR("/w"), .command = args->command.v, .command_count = 1};
        Hq__Submit *s = NULL;
        rc = rc < 0 ? rc : submit_check(&in, &arena, &err);
        rc = rc < 0 ? rc : submit_build(&s, &in, &arena, &err);
        if (rc < 0) {
            hq_buf_cstr(got, err.text);
        } else {
            print_desc(got, s->part->descs[0]);
        }
    }
    hq_buf_fini(&text);
    hq_arena_fini(&arena);
}

static void
options(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *directives;
        const char *want;
    } cases[] = {
        {"", "", "nodes=0 cpus=1"},
        {"--mpi", "", "nodes=0 cpus=1 mpi=0 ranks=0 per-node=0 cpus-per-rank=0"},
        {"--mpi=pmix", "", "nodes=0 cpus=1 mpi=1 ranks=0 per-node=0 cpus-per-rank=0"},
        {"--mpi pmi1", "", "nodes=0 cpus=1 mpi=2 ranks=0 per-node=0 cpus-per-rank=0"},
        {"--mpi=any", "", "nodes=0 cpus=1 mpi=0 ranks=0 per-node=0 cpus-per-rank=0"},
        {"--mpi --ranks 8", "", "nodes=0 cpus=8 mpi=0 ranks=8 per-node=0 cpus-per-rank=0"},
        {"--mpi --ranks 8 --cpus 8", "", "nodes=0 cpus=8 mpi=0 ranks=8 per-node=0 cpus-per-rank=0"},
        {"--mpi --ranks 3 --cpus-per-rank 2", "", "nodes=0 cpus=6 mpi=0 ranks=3 per-node=0 cpus-per-rank=2"},
        {"--mpi --ranks 8 --cpus all", "", "nodes=0 cpus=0 mpi=0 ranks=8 per-node=0 cpus-per-rank=0"},
        {"--mpi --ranks 8 --oversubscribe", "", "nodes=0 cpus=1 mpi=0 ranks=8 per-node=0 cpus-per-rank=0 oversubscribe"},
        {"--mpi --ranks 8 --resource cpus=9", "", "nodes=0 cpus=9 mpi=0 ranks=8 per-node=0 cpus-per-rank=0"},
        {"--nodes 4 --mpi --ranks-per-node 2 --tag-output", "",
         "nodes=4 cpus=1 mpi=0 ranks=0 per-node=2 cpus-per-rank=0 tag"},
        {"--nodes 4 --mpi --ranks 8 --stdout o.%{RANK} --stderr e.%{RANK}", "",
         "nodes=4 cpus=1 mpi=0 ranks=8 per-node=0 cpus-per-rank=0"},
        /* scripts */
        {"", "--mpi --nodes=2 --ranks=4", "nodes=2 cpus=1 mpi=0 ranks=4 per-node=0 cpus-per-rank=0"},
        {"--ranks 6", "--mpi=pmi1 --nodes=2 --ranks-per-node=4",
         "nodes=2 cpus=1 mpi=2 ranks=6 per-node=0 cpus-per-rank=0"},
        {"--mpi=pmix", "--mpi=pmi1 --oversubscribe --tag-output --cpus-per-rank=2",
         "nodes=0 cpus=1 mpi=1 ranks=0 per-node=0 cpus-per-rank=2 oversubscribe tag"},
        /* refused */
        {"--mpi=x", "", "error: invalid value 'x' for '--mpi <MPI>'"},
        {"--mpi --ranks 0", "", "error: invalid value '0' for '--ranks <COUNT>': must be at least 1"},
        {"--mpi --ranks-per-node x", "", "error: invalid value 'x' for '--ranks-per-node <COUNT>': invalid digit found in "
                                         "string"},
        {"--mpi --ranks 2 --ranks-per-node 1", "",
         "error: the argument '--ranks <COUNT>' cannot be used with '--ranks-per-node <COUNT>'"},
        {"--mpi --pin=omp", "", "error: the argument '--mpi <MPI>' cannot be used with '--pin <PIN>'"},
        {"--pin=omp", "--mpi", "--pin and --mpi cannot be combined: ranks are always bound"},
        {"--nodes 2 --cpus 4 --mpi", "", "error: the argument '--nodes <NODES>' cannot be used with '--cpus <CPUS>'"},
        {"--ranks 2", "", "--ranks has a meaning with --mpi only"},
        {"--ranks-per-node 2", "", "--ranks-per-node has a meaning with --mpi only"},
        {"--cpus-per-rank 2", "", "--cpus-per-rank has a meaning with --mpi only"},
        {"--oversubscribe", "", "--oversubscribe has a meaning with --mpi only"},
        {"--tag-output", "", "--tag-output has a meaning with --mpi only"},
        {"--stdout %{RANK}", "", "The placeholder `%{RANK}` in the stdout path needs an MPI task."},
        {"--stderr %{RANK}", "", "The placeholder `%{RANK}` in the stderr path needs an MPI task."},
        {"--nodes 3 --mpi --ranks 8", "", "8 ranks cannot be spread evenly over 3 nodes"},
        {"--mpi --ranks 8 --cpus 4", "",
         "8 ranks of 1 cpu need more than the 4 cpus of the task (oversubscribe allows it)"},
        {"--mpi --ranks 2", "--cpus=1", "2 ranks of 1 cpu need more than the 1 cpus of the task (oversubscribe allows it)"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
        submit_text(&got, cases[i].line, cases[i].directives);
        assert_string_equal(got.ptr, cases[i].want);
    }
}

static void
unknown_placeholder_elsewhere(void **state)
{
    (void)state;
    struct hq_strv warnings = {0};
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    submit_warn_unknown(&warnings, HQ_STR("o.%{RANK}"), HQ_PH_IN_STDIO, "stdout path", &arena);
    assert_int_equal(warnings.count, 0);
    submit_warn_unknown(&warnings, HQ_STR("d.%{RANK}"), HQ_PH_IN_CWD, "working directory path", &arena);
    submit_warn_unknown(&warnings, HQ_STR("d.%{RANK}"), HQ_PH_IN_STREAM, "log path", &arena);
    assert_int_equal(warnings.count, 2);
    hq_arena_fini(&arena);
}

/* ---- job files: both languages by the same keys */
static void
file_text(struct hq_buf *got, const char *text, bool is_yaml)
{
    struct hq_arena arena;
    struct doc doc;
    struct jobfile file = {0};
    struct hq_err err = {0};
    hq_arena_init(&arena, 0);
    struct hq_str s = hq_str_from(text);
    int rc = is_yaml ? doc_parse_yaml(&doc, s, &arena, &err) : doc_parse_toml(&doc, s, &arena, &err);
    rc = rc < 0 ? rc : jobfile_read(&file, &doc, "job.toml", &arena, &err);
    if (rc < 0) {
        struct hq_str rest = hq_str_from(err.text);
        for (struct hq_str line; rest.len > 0;) { /* the reason stands behind the marked line */
            (void)hq_str_split(&rest, '\n', &line);
            if (line.len > 0 && !hq_str_starts(line, HQ_STR("Deserial")) && !hq_str_starts(line, HQ_STR("In job")) &&
                hq_str_find(line, HQ_STR(" | ")) < 0 && !hq_str_is(line, "  |")) {
                hq_buf_str(got, line);
                break;
            }
        }
    } else {
        const struct jobfile_task *t = &file.tasks[0];
        Hq__TaskDesc d = HQ__TASK_DESC__INIT;
        d.request = submit_request_wire(&t->request, &arena);
        d.mpi = submit_mpi_wire(&t->mpi, &arena);
        print_desc(got, &d);
    }
    jobfile_fini(&file);
    hq_arena_fini(&arena);
}

static void
job_files(void **state)
{
    (void)state;
    static const struct {
        const char *keys; /* "key: value" lines; TOML gets = for the colons */
        const char *want;
    } cases[] = {
        {"mpi: true", "nodes=0 cpus=1 mpi=0 ranks=0 per-node=0 cpus-per-rank=0"},
        {"mpi: false", "nodes=0 cpus=1"},
        {"mpi: \"pmix\"", "nodes=0 cpus=1 mpi=1 ranks=0 per-node=0 cpus-per-rank=0"},
        {"mpi: \"pmi1\"\nranks: 4", "nodes=0 cpus=4 mpi=2 ranks=4 per-node=0 cpus-per-rank=0"},
        {"mpi: \"any\"\nranks_per_node: 2\ncpus_per_rank: 3\ntag_output: true\nstdout: \"o.%{RANK}\"",
         "nodes=0 cpus=6 mpi=0 ranks=0 per-node=2 cpus-per-rank=3 tag"},
        {"mpi: true\nranks: 4\noversubscribe: true",
         "nodes=0 cpus=1 mpi=0 ranks=4 per-node=0 cpus-per-rank=0 oversubscribe"},
        {"mpi: \"x\"", "unknown variant `x`, expected one of `any`, `pmix`, `pmi1`"},
        {"mpi: 1", "invalid type: integer `1`, expected a boolean or a string"},
        {"ranks: 4", "`ranks` has a meaning with `mpi` only"},
        {"mpi: false\nranks_per_node: 4", "`ranks_per_node` has a meaning with `mpi` only"},
        {"cpus_per_rank: 4", "`cpus_per_rank` has a meaning with `mpi` only"},
        {"oversubscribe: true", "`oversubscribe` has a meaning with `mpi` only"},
        {"tag_output: true", "`tag_output` has a meaning with `mpi` only"},
        {"mpi: true\nranks: 0", "must be at least 1"},
        {"mpi: true\nranks: -1", "invalid value: integer `-1`, expected u32"},
        {"mpi: true\npin: \"omp\"", "`pin` and `mpi` cannot be combined: ranks are always bound"},
        {"mpi: true\nranks: 4\nranks_per_node: 4", "Ranks are given in total or per node, not both"},
        {"stdout: \"%{RANK}\"", "The placeholder `%{RANK}` in the stdout path needs an MPI task."},
        {"stderr: \"%{RANK}\"", "The placeholder `%{RANK}` in the stderr path needs an MPI task."},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        for (int is_yaml = 0; is_yaml < 2; is_yaml++) {
            HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
            HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
            struct hq_str rest = hq_str_from(cases[i].keys);
            hq_buf_cstr(&text, is_yaml ? "task:\n- command: [prog]\n" : "[[task]]\ncommand = [\"prog\"]\n");
            for (struct hq_str value; rest.len > 0;) {
                (void)hq_str_split(&rest, '\n', &value);
                struct hq_str key;
                (void)hq_str_split(&value, ':', &key);
                hq_buf_printf(&text, "%s%.*s%c%.*s\n", is_yaml ? "  " : "", HQ_STR_FMT(key), is_yaml ? ':' : '=',
                              HQ_STR_FMT(value));
            }
            file_text(&got, text.ptr, is_yaml == 1);
            assert_string_equal(got.ptr, cases[i].want);
        }
    }
}

static void
shape_of_requests(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"[[task]]\ncommand = [\"p\"]\nmpi = true\nranks = 6\n[[task.request]]\nn_nodes = 3\n",
         "nodes=3 cpus= mpi=0 ranks=6 per-node=0 cpus-per-rank=0"},
        {"[[task]]\ncommand = [\"p\"]\nmpi = true\nranks = 6\n[[task.request]]\nn_nodes = 4\n",
         "6 ranks cannot be spread evenly over 4 nodes"},
        {"[[task]]\ncommand = [\"p\"]\nmpi = true\nranks = 6\n[[task.request]]\nresources = {cpus = 8}\n"
         "[[task.request]]\nresources = {cpus = 4}\n",
         "6 ranks of 1 cpu need more than the 4 cpus of the task (oversubscribe allows it)"},
        {"[[task]]\ncommand = [\"p\"]\nmpi = true\n[[task.request]]\nresources = {gpus = 8}\n", "An MPI task needs cpus"},
        {"[array]\nids = \"1-3\"\ncommand = [\"p\"]\nmpi = \"pmix\"\nranks = 2\n",
         "nodes=0 cpus=2 mpi=1 ranks=2 per-node=0 cpus-per-rank=0"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
        file_text(&got, cases[i].text, false);
        assert_string_equal(got.ptr, cases[i].want);
    }
}

/* ---- shown */
static void
shown_only_when_used(void **state)
{
    (void)state;
    Hq__Mpi mpi = HQ__MPI__INIT;
    Hq__TaskDesc d = HQ__TASK_DESC__INIT;
    static const struct {
        uint32_t ranks, per_node, cpus;
        bool over;
        Hq__MpiWireUp wire_up;
        const char *cell;
        const char *json;
    } cases[] = {
        {0, 0, 0, false, HQ__MPI_WIRE_UP__MPI_WIRE_UP_ANY, "as many as cpus allow",
         "{\"mpi\":{\"cpus_per_rank\":null,\"oversubscribe\":false,\"ranks\":null,\"ranks_per_node\":null,"
         "\"tag_output\":true,\"wire_up\":\"any\"}}"},
        {8, 0, 1, false, HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMIX, "8, 1 cpu each, PMIx",
         "{\"mpi\":{\"cpus_per_rank\":1,\"oversubscribe\":false,\"ranks\":8,\"ranks_per_node\":null,"
         "\"tag_output\":true,\"wire_up\":\"pmix\"}}"},
        {0, 4, 2, true, HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMI1, "4 per node, 2 cpus each, oversubscribed, PMI-1",
         "{\"mpi\":{\"cpus_per_rank\":2,\"oversubscribe\":true,\"ranks\":null,\"ranks_per_node\":4,"
         "\"tag_output\":true,\"wire_up\":\"pmi1\"}}"},
    };
    for (size_t i = 0; i <= HQ_ARRAY_LEN(cases); i++) {
        struct hq_out out;
        struct hq_table t;
        struct hq_json j;
        bool has_ranks = i < HQ_ARRAY_LEN(cases);
        if (has_ranks) {
            mpi.ranks = cases[i].ranks;
            mpi.ranks_per_node = cases[i].per_node;
            mpi.cpus_per_rank = cases[i].cpus;
            mpi.oversubscribe = cases[i].over;
            mpi.tag_output = true;
            mpi.wire_up = cases[i].wire_up;
        }
        d.mpi = has_ranks ? &mpi : NULL;
        hq_out_init(&out, HQ_OUT_CLI, false, -1);
        hq_table_init_vertical(&t);
        hq_table_rowz(&t, "Pin", "none");
        desc_row_ranks(&t, &d);
        hq_table_print(&t, &out);
        hq_table_fini(&t);
        if (has_ranks) {
            assert_non_null(strstr(out.buf.ptr, "| Ranks | "));
            assert_non_null(strstr(out.buf.ptr, cases[i].cell));
        } else {
            assert_null(strstr(out.buf.ptr, "Ranks"));
        }
        hq_out_fini(&out);
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        hq_json_init(&j, &b, false);
        hq_json_object(&j);
        hq_json_put_mpi(&j, d.mpi);
        hq_json_object_end(&j);
        assert_string_equal(b.ptr, has_ranks ? cases[i].json : "{}");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options),           cmocka_unit_test(unknown_placeholder_elsewhere),
        cmocka_unit_test(job_files),         cmocka_unit_test(shape_of_requests),
        cmocka_unit_test(shown_only_when_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
