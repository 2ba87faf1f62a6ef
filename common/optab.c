#include "common/optab.h"

#include "common/mem.h"
#include "common/optab_text.h"

#include <string.h>

/* Reading goes word by word and stops at the first mistake, in the order that users know: unknown words, wrong values
 * and repetitions where they stand, then conflicts, then what is missing. One level of the tree is read at a time. */

uint64_t
hq_opt_bit(const struct hq_opt *opts, size_t count, const char *name)
{
    size_t ix = 0;
    while (ix < count && (opts[ix].name == NULL || strcmp(opts[ix].name, name) != 0)) {
        ix++;
    }
    HQ_ASSERT(ix < count); /* asked for an option that the table does not have */
    return (uint64_t)1 << ix;
}

bool
hq_parsed_given(const struct hq_parsed *p, const char *name)
{
    return (p->given & hq_opt_bit(p->cmd->opts, p->cmd->opt_count, name)) != 0;
}

const char *
hq_optab_env(char *const *envp, const char *name)
{
    size_t len = strlen(name);
    for (; envp != NULL && *envp != NULL; envp++) {
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            return *envp + len + 1;
        }
    }
    return NULL;
}

/* A flag's variable says true or false; the value of any other option is checked as if it had been typed. */
static bool
store_env(struct optab_parse *p, struct optab_row row, const char *text)
{
    if (row.opt->parse != NULL) {
        return optab_store(p, row, hq_str_from(text));
    }
    struct hq_err err = {0};
    struct hq_str value = hq_str_from(text);
    if (hq_opt_bool(row.opt, value, optab_target(p, row), p->arena, &err) < 0) {
        return optab_err_value(p, row.opt, value, &err);
    }
    return true;
}

/* Environment and defaults of one table, for rows that were not typed. */
static bool
fill_table(struct optab_parse *p, const struct hq_opt *opts, size_t count, bool is_global, uint64_t *given)
{
    for (size_t ix = 0; ix < count; ix++) {
        struct optab_row row = {.opt = &opts[ix], .ix = ix, .is_global = is_global};
        if ((*given >> ix & 1) != 0) {
            continue;
        }
        const char *text = row.opt->env != NULL ? hq_optab_env(p->tab->envp, row.opt->env) : NULL;
        if (text != NULL) {
            *given |= (uint64_t)1 << ix;
            if (!store_env(p, row, text)) {
                return false;
            }
        } else if (row.opt->def != NULL) {
            struct hq_err err = {0};
            int rc = row.opt->parse(row.opt, hq_str_from(row.opt->def), optab_target(p, row), p->arena, &err);
            HQ_ASSERT(rc >= 0); /* a default that its own parser refuses */
        }
    }
    return true;
}

static bool
names_row(const char *names, const struct hq_opt *opt)
{
    struct hq_str rest = hq_str_from(names);
    struct hq_str name;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, ' ', &name);
        if (opt->name != NULL && hq_str_is(name, opt->name)) {
            return true;
        }
    }
    return false;
}

static bool
check_conflicts(struct optab_parse *p)
{
    for (size_t i = 0; i < p->order_count; i++) {
        const struct hq_opt *opt = p->order[i].opt;
        const struct hq_opt *others[HQ_OPTS_MAX];
        size_t count = 0;
        for (size_t k = 0; k < p->order_count; k++) {
            const struct hq_opt *other = p->order[k].opt;
            if (k != i && count < HQ_OPTS_MAX &&
                (names_row(opt->conflicts, other) || names_row(other->conflicts, opt))) {
                others[count++] = other;
            }
        }
        if (count > 0) {
            return optab_err_conflict(p, opt, others, count);
        }
    }
    return true;
}

static bool
check_required(struct optab_parse *p)
{
    const struct hq_opt *missing[HQ_OPTS_MAX];
    size_t count = 0;
    for (size_t ix = 0; ix < p->opt_count; ix++) {
        if ((p->opts[ix].flags & HQ_OPT_REQUIRED) != 0 && (p->given >> ix & 1) == 0) {
            missing[count++] = &p->opts[ix];
        }
    }
    return count == 0 || optab_err_missing(p, missing, count);
}

static void
enter(struct optab_parse *p, const struct hq_command *cmd, const char *path)
{
    p->cmd = cmd;
    p->path = path;
    p->opts = cmd->opts;
    p->opt_count = cmd->opt_count;
    HQ_ASSERT(p->opt_count <= HQ_OPTS_MAX);
    p->args = hq_arena_alloc(p->arena, cmd->args_bytes > 0 ? cmd->args_bytes : 1);
    p->given = 0;
    p->typed = 0;
    p->global_typed = 0;
    p->order_count = 0;
    p->next_positional = 0;
}

/* The level is complete: environment, defaults, conflicts, required ones. */
static bool
finish_level(struct optab_parse *p)
{
    return fill_table(p, p->opts, p->opt_count, false, &p->given) && check_conflicts(p) && check_required(p);
}

static void
hint_command(const struct optab_parse *p, const struct hq_command *cmd, const char *path)
{
    if (cmd->instead != NULL && cmd->run != NULL) {
        hq_buf_printf(p->hints, "Command `%s` is an older spelling, use `%s`\n", path, cmd->instead);
    }
}

static enum hq_optab_end
parse_tree(struct optab_parse *p, const struct hq_command *cmd, const char *path, struct optab_words *w,
           struct hq_parsed *ret)
{
    uint64_t global_given = 0;
    enter(p, cmd, path);
    memset(ret, 0, sizeof *ret);
    for (;;) {
        const struct hq_command *sub = NULL;
        if (!optab_read_level(p, w, &sub)) {
            return p->end;
        }
        global_given |= p->global_typed;
        if (sub == NULL) {
            break;
        }
        if (!finish_level(p)) {
            return p->end;
        }
        if (sub->run == NULL && sub->sub_count == 0) {
            (void)optab_err_command(p, w->v[w->ix]);
            return p->end;
        }
        HQ_ASSERT(ret->word_count < HQ_COMMAND_DEPTH_MAX);
        ret->word_ix[ret->word_count++] = (int)w->ix;
        ret->parent_args = p->opt_count > 0 ? p->args : NULL;
        enter(p, sub, optab_sub_path(p->arena, p->cmd, p->path, sub->name));
        w->ix++;
    }
    if (p->cmd->run == NULL && p->cmd->sub_count > 0) {
        (void)optab_err_no_command(p);
        return p->end;
    }
    if (!fill_table(p, p->tab->globals, p->tab->global_count, true, &global_given) || !finish_level(p)) {
        return p->end;
    }
    hint_command(p, p->cmd, p->path);
    ret->cmd = p->cmd;
    ret->path = p->path;
    ret->args = p->args;
    ret->given = p->given;
    ret->typed = p->typed;
    return HQ_OPTAB_RUN;
}

enum hq_optab_end
hq_optab_parse_command(const struct hq_optab *tab, const struct hq_command *cmd, const char *path, int argc,
                       char *const *argv, struct hq_parsed *ret, struct hq_buf *text, struct hq_buf *hints)
{
    HQ_ASSERT(tab->global_count <= HQ_OPTS_MAX);
    size_t count = argc > 0 ? (size_t)argc : 0;
    struct hq_str *v = hq_arena_array(tab->arena, count + 1, sizeof *v);
    for (size_t ix = 0; ix < count; ix++) {
        v[ix] = hq_str_from(argv[ix]);
    }
    struct optab_words w = {.v = v, .count = count, .ix = 1};
    struct optab_parse p = {.tab = tab,
                            .arena = tab->arena,
                            .text = {.out = text, .with_color = tab->color_err},
                            .hints = hints,
                            .end = HQ_OPTAB_USAGE};
    return parse_tree(&p, cmd, path, &w, ret);
}

enum hq_optab_end
hq_optab_parse(const struct hq_optab *tab, int argc, char *const *argv, struct hq_parsed *ret, struct hq_buf *text,
               struct hq_buf *hints)
{
    return hq_optab_parse_command(tab, tab->root, tab->root->name, argc, argv, ret, text, hints);
}

bool
hq_optab_parse_directives(const struct hq_opt *opts, size_t count, const struct hq_str *words, size_t word_count,
                          void *args, struct hq_arena *arena, uint64_t *ret_given, struct hq_buf *text,
                          struct hq_buf *hints)
{
    HQ_ASSERT(count <= HQ_OPTS_MAX);
    struct optab_words w = {.v = words, .count = word_count};
    struct optab_parse p = {.opts = opts,
                            .opt_count = count,
                            .args = args,
                            .arena = arena,
                            .text = {.out = text},
                            .hints = hints,
                            .next_positional = count, /* none here */
                            .is_directive = true,
                            .end = HQ_OPTAB_USAGE};
    const struct hq_command *sub;
    if (!optab_read_level(&p, &w, &sub) || !check_conflicts(&p)) {
        return false;
    }
    *ret_given = p.given;
    return true;
}
