/* The command tree: rules that every table must keep, and the documents that are written from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/fs.h"
#include "hq/commands.h"

#define OLD_OR_HIDDEN (HQ_OPT_OLD | HQ_OPT_HIDDEN)

static void
check_option(const struct hq_command *cmd, const struct hq_opt *opt)
{
    bool is_positional = (opt->flags & HQ_OPT_POSITIONAL) != 0;
    assert_true(opt->name != NULL || opt->short_name != 0);
    if ((opt->flags & OLD_OR_HIDDEN) == 0) {
        assert_non_null(opt->help);
        assert_int_equal(opt->help[strlen(opt->help) - 1], '.');
    }
    if (is_positional) {
        assert_null(opt->env);
        assert_null(opt->def);
    }
    if ((opt->flags & HQ_OPT_OPTIONAL_VALUE) != 0) {
        assert_non_null(opt->bare);
        assert_non_null(opt->values);
    }
    size_t size = opt->parse == NULL ? sizeof(bool) : 1;
    assert_true(opt->at + size <= cmd->args_bytes);
}

static void
check_names(const struct hq_command *cmd)
{
    for (size_t a = 0; a < cmd->opt_count; a++) {
        const char *name = cmd->opts[a].name; /* NULL: only a short one */
        for (size_t b = 0; b < a; b++) {
            const char *other = cmd->opts[b].name;
            assert_true(name == NULL || other == NULL || strcmp(name, other) != 0);
            assert_true(cmd->opts[a].short_name == 0 || cmd->opts[a].short_name != cmd->opts[b].short_name);
        }
        for (size_t g = 0; g < HQ_GLOBAL_OPTS; g++) {
            assert_true(name == NULL || strcmp(name, hq_global_opts[g].name) != 0);
        }
    }
}

static void
check_command(const struct hq_command *cmd, unsigned depth)
{
    bool has_optional = false;
    bool has_trailing = false;
    assert_true(depth < HQ_COMMAND_DEPTH_MAX);
    assert_int_equal(cmd->help[strlen(cmd->help) - 1], '.');
    assert_true(cmd->opt_count <= HQ_OPTS_MAX);
    check_names(cmd);
    for (size_t ix = 0; ix < cmd->opt_count; ix++) {
        check_option(cmd, &cmd->opts[ix]);
        if ((cmd->opts[ix].flags & HQ_OPT_POSITIONAL) != 0) {
            bool is_required = (cmd->opts[ix].flags & HQ_OPT_REQUIRED) != 0;
            assert_false(is_required && has_optional); /* could not be told apart */
            assert_false(has_trailing);                /* swallows all behind it */
            has_optional |= !is_required;
            has_trailing |= (cmd->opts[ix].flags & HQ_OPT_TRAILING) != 0;
        }
    }
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        for (size_t k = 0; k < ix; k++) {
            assert_string_not_equal(cmd->subs[ix].name, cmd->subs[k].name);
        }
        check_command(&cmd->subs[ix], depth + 1);
    }
}

static void
test_tree(void **state)
{
    (void)state;
    check_command(&commands_root, 0);
}

static void
table(struct hq_optab *tab, struct hq_global_args *globals, struct hq_arena *arena)
{
    hq_arena_init(arena, 0);
    *tab = (struct hq_optab){.root = &commands_root,
                             .globals = hq_global_opts,
                             .global_count = HQ_GLOBAL_OPTS,
                             .global_args = globals,
                             .version = "hyperqueue " HQ_VERSION,
                             .arena = arena};
}

/* Every command with nothing but its name: defaults are parsed (they must suit their own parsers), or a required
 * option is missed. */
static void
parse_bare(const struct hq_command *cmd, char **words, int count, bool misses_above)
{
    struct hq_arena arena;
    struct hq_global_args globals = {0};
    struct hq_optab tab;
    struct hq_parsed parsed;
    struct hq_buf text = HQ_BUF_INIT;
    struct hq_buf hints = HQ_BUF_INIT;
    table(&tab, &globals, &arena);
    words[count] = NULL;
    enum hq_optab_end end = hq_optab_parse(&tab, count, words, &parsed, &text, &hints);
    bool misses = misses_above; /* a required option, here or of a command above */
    for (size_t ix = 0; ix < cmd->opt_count; ix++) {
        misses |= (cmd->opts[ix].flags & HQ_OPT_REQUIRED) != 0;
    }
    assert_int_equal(end, misses || cmd->run == NULL ? HQ_OPTAB_USAGE : HQ_OPTAB_RUN);
    assert_int_equal(cmd->instead != NULL && end == HQ_OPTAB_RUN, hints.len > 0);
    hq_buf_fini(&text);
    hq_buf_fini(&hints);
    hq_arena_fini(&arena);
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        char sub[32];
        assert_true(strlen(cmd->subs[ix].name) < sizeof sub);
        memcpy(sub, cmd->subs[ix].name, strlen(cmd->subs[ix].name) + 1);
        words[count] = sub;
        parse_bare(&cmd->subs[ix], words, count + 1, misses);
    }
}

static void
test_every_command_parses(void **state)
{
    (void)state;
    char hq[] = "hq";
    char *words[HQ_COMMAND_DEPTH_MAX + 2] = {hq};
    parse_bare(&commands_root, words, 1, false);
}

/* docs/cli.md and docs/man/hq.1 are what the tables say; after a change: `make docs`. */
static void
test_documents(void **state)
{
    (void)state;
    struct hq_arena arena;
    struct hq_global_args globals = {0};
    struct hq_optab tab;
    struct hq_buf want = HQ_BUF_INIT;
    struct hq_buf have = HQ_BUF_INIT;
    table(&tab, &globals, &arena);
    hq_optab_markdown(&tab, &want);
    assert_int_equal(hq_fs_read(&have, "docs/cli.md", 1 << 20, NULL), 0);
    assert_string_equal(have.ptr, want.ptr);
    hq_buf_clear(&want);
    hq_buf_clear(&have);
    hq_optab_man(&tab, &commands_root, "hq", "", &want);
    assert_int_equal(hq_fs_read(&have, "docs/man/hq.1", 1 << 20, NULL), 0);
    assert_string_equal(have.ptr, want.ptr);
    hq_buf_fini(&want);
    hq_buf_fini(&have);
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_every_command_parses),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
