#include "common/optab.h"

#include "common/mem.h"
#include "common/optab_text.h"

#include <string.h>

/* Reading goes word by word and stops at the first mistake, in the order that users know: unknown words, wrong values
 * and repetitions where they stand, then conflicts, then what is missing. One level of the tree is read at a time. */

uint64_t
hq_opt_bit(const struct hq_opt *opts, size_t count, const char *name)
{
    for (size_t ix = 0; ix < count; ix++) {
        if (opts[ix].name != NULL && strcmp(opts[ix].name, name) == 0) {
            return (uint64_t)1 << ix;
        }
    }
    HQ_ASSERT(!"option of that name");
    return 0;
}

bool
hq_parsed_given(const struct hq_parsed *p, const char *name)
{
    return (p->given & hq_opt_bit(p->cmd->opts, p->cmd->opt_count, name)) != 0;
}

static struct optab_row
find_in(const struct hq_opt *opts, size_t count, bool is_global, struct hq_str name, char short_name)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        bool is_match = short_name != 0 ? opt->short_name == short_name
                                        : opt->name != NULL && hq_str_is(name, opt->name);
        if (is_match && (opt->flags & HQ_OPT_POSITIONAL) == 0) {
            return (struct optab_row){.opt = opt, .ix = ix, .is_global = is_global};
        }
    }
    return (struct optab_row){0};
}

/* By long name, or by short name if that is not 0. */
static struct optab_row
find_row(const struct optab_parse *p, struct hq_str name, char short_name)
{
    struct optab_row row = find_in(p->opts, p->opt_count, false, name, short_name);
    if (row.opt == NULL && p->tab != NULL) {
        row = find_in(p->tab->globals, p->tab->global_count, true, name, short_name);
    }
    if (row.opt != NULL && p->is_directive && (row.opt->flags & HQ_OPT_DIRECTIVE) == 0) {
        row = (struct optab_row){0};
    }
    return row;
}

static void *
row_target(const struct optab_parse *p, struct optab_row row)
{
    char *base = row.is_global ? p->tab->global_args : p->args;
    return base + row.opt->at;
}

/* The row that an old spelling stands for, if it is one of the same table. */
static size_t
row_of_instead(const struct optab_parse *p, const struct hq_opt *opt, size_t own_ix)
{
    if ((opt->flags & HQ_OPT_OLD) != 0 && opt->instead != NULL && strncmp(opt->instead, "--", 2) == 0) {
        struct hq_str rest = hq_str_from(opt->instead + 2);
        struct hq_str name;
        (void)hq_str_split(&rest, '=', &name); /* without '=' it is all name */
        struct optab_row row = find_in(p->opts, p->opt_count, false, name, 0);
        return row.opt != NULL ? row.ix : own_ix;
    }
    return own_ix;
}

static void
hint_old(struct optab_parse *p, const struct hq_opt *opt)
{
    if ((opt->flags & HQ_OPT_OLD) == 0 || p->hints == NULL) {
        return;
    }
    if (opt->instead != NULL) {
        hq_buf_printf(p->hints, "Option --%s is an older spelling, use %s\n", opt->name, opt->instead);
    } else {
        hq_buf_printf(p->hints, "Option --%s has no effect any more\n", opt->name);
    }
}

/* Notes that a row was typed; false (error written) the second time. */
static bool
mark_typed(struct optab_parse *p, struct optab_row row)
{
    uint64_t *typed = row.is_global ? &p->global_typed : &p->typed;
    uint64_t bits = (uint64_t)1 << row.ix;
    if (!row.is_global) {
        bits |= (uint64_t)1 << row_of_instead(p, row.opt, row.ix);
    }
    if ((*typed & bits) != 0) {
        return (row.opt->flags & HQ_OPT_REPEAT) != 0 || optab_err_twice(p, row.opt);
    }
    *typed |= bits;
    if (!row.is_global) {
        p->given |= bits;
    }
    HQ_ASSERT(p->order_count < HQ_ARRAY_LEN(p->order));
    p->order[p->order_count++] = row;
    hint_old(p, row.opt);
    return true;
}

/* Stores one value; false with the error written. */
static bool
store(struct optab_parse *p, struct optab_row row, struct hq_str value)
{
    const struct hq_opt *opt = row.opt;
    if (value.len == 0 && (opt->values != NULL || (opt->flags & HQ_OPT_NONEMPTY) != 0)) {
        return optab_err_no_value(p, opt);
    }
    struct hq_err err = {0};
    if (opt->parse(opt, value, row_target(p, row), p->arena, &err) < 0) {
        return optab_err_value(p, opt, value, &err);
    }
    return true;
}

static bool
is_word_of(const struct hq_opt *opt, struct hq_str word)
{
    size_t lists = (opt->flags & HQ_OPT_MORE_WORDS) != 0 ? 2 : 1;
    for (size_t ix = 0; lists > 0; ix++) {
        if (opt->values[ix] == NULL) {
            lists--;
        } else if (hq_str_is(word, opt->values[ix])) {
            return true;
        }
    }
    return false;
}

struct words { /* what is left to read */
    const struct hq_str *v;
    size_t count;
    size_t ix;
    bool is_after_dashes;
};

/* The following word as value of `opt`. A word with a leading dash is one unless it is an option itself. */
static bool
next_value(struct optab_parse *p, const struct hq_opt *opt, struct words *w, struct hq_str *ret)
{
    if (w->ix + 1 >= w->count) {
        return optab_err_no_value(p, opt);
    }
    struct hq_str word = w->v[w->ix + 1];
    if (word.len > 1 && word.ptr[0] == '-') {
        struct hq_str name = hq_str_sub(word, 2, word.len);
        struct hq_str head;
        (void)hq_str_split(&name, '=', &head); /* without '=' the head is all of it */
        if (word.ptr[1] == '-') {
            if (head.len > 0 && find_row(p, head, 0).opt == NULL) {
                return optab_err_unknown(p, head, true);
            }
            return optab_err_no_value(p, opt);
        }
        if (word.ptr[1] == 'h' || find_row(p, HQ_STR_NULL, word.ptr[1]).opt != NULL) {
            return optab_err_no_value(p, opt);
        }
    }
    w->ix++;
    *ret = word;
    return true;
}

/* One option; `glued` is its value after '=' (or behind a short name), NULL = none. */
static bool
read_option(struct optab_parse *p, struct optab_row row, const struct hq_str *glued, struct words *w)
{
    const struct hq_opt *opt = row.opt;
    bool takes_value = opt->parse != NULL && (opt->bare == NULL || (opt->flags & HQ_OPT_OPTIONAL_VALUE) != 0);
    if (!takes_value && glued != NULL) {
        return optab_err_unneeded(p, opt, *glued);
    }
    if (!mark_typed(p, row)) {
        return false;
    }
    if (opt->parse == NULL) {
        *(bool *)row_target(p, row) = true;
        return true;
    }
    struct hq_str value = HQ_STR_NULL;
    if (!takes_value) {
        value = hq_str_from(opt->bare);
    } else if (glued != NULL) {
        value = *glued;
    } else if ((opt->flags & HQ_OPT_OPTIONAL_VALUE) != 0) {
        bool is_taken = w->ix + 1 < w->count && is_word_of(opt, w->v[w->ix + 1]);
        value = is_taken ? w->v[++w->ix] : hq_str_from(opt->bare);
    } else if (!next_value(p, opt, w, &value)) {
        return false;
    }
    return store(p, row, value);
}

static bool
end_with_help(struct optab_parse *p, bool is_long)
{
    hq_optab_help(p->tab, p->cmd, p->path, is_long, p->tab->color_out, p->text.out);
    p->end = HQ_OPTAB_INFO;
    return false;
}

static bool
end_with_version(struct optab_parse *p)
{
    hq_buf_printf(p->text.out, "%s\n", p->tab->version);
    p->end = HQ_OPTAB_INFO;
    return false;
}

static bool
has_version(const struct optab_parse *p)
{
    return p->tab != NULL && p->tab->version != NULL && p->cmd == p->tab->root;
}

static bool
read_long(struct optab_parse *p, struct words *w)
{
    struct hq_str word = w->v[w->ix];
    struct hq_str rest = hq_str_sub(word, 2, word.len);
    struct hq_str name;
    bool is_glued = hq_str_split(&rest, '=', &name);
    struct optab_row row = find_row(p, name, 0);
    if (row.opt != NULL) {
        return read_option(p, row, is_glued ? &rest : NULL, w);
    }
    if (p->tab != NULL && hq_str_is(name, "help") && !is_glued) {
        return end_with_help(p, true);
    }
    if (has_version(p) && hq_str_is(name, "version") && !is_glued) {
        return end_with_version(p);
    }
    return optab_err_unknown(p, name, true);
}

/* "-v", "-vt5", "-t 5", "-t=5" */
static bool
read_short(struct optab_parse *p, struct words *w)
{
    struct hq_str word = w->v[w->ix];
    for (size_t at = 1; at < word.len; at++) {
        struct optab_row row = find_row(p, HQ_STR_NULL, word.ptr[at]);
        if (row.opt == NULL) {
            if (p->tab != NULL && word.ptr[at] == 'h') {
                return end_with_help(p, false);
            }
            if (has_version(p) && word.ptr[at] == 'V') {
                return end_with_version(p);
            }
            return optab_err_unknown(p, hq_str_sub(word, at, at + 1), false);
        }
        if (row.opt->parse == NULL) {
            if (!read_option(p, row, NULL, w)) {
                return false;
            }
            continue;
        }
        struct hq_str glued = hq_str_sub(word, at + 1, word.len);
        if (glued.len > 0 && glued.ptr[0] == '=') {
            glued = hq_str_sub(glued, 1, glued.len);
        }
        return read_option(p, row, at + 1 < word.len ? &glued : NULL, w);
    }
    return true;
}

/* Bare word: the next positional. The trailing one takes the rest. */
static bool
read_positional(struct optab_parse *p, struct words *w)
{
    while (p->next_positional < p->opt_count && (p->opts[p->next_positional].flags & HQ_OPT_POSITIONAL) == 0) {
        p->next_positional++;
    }
    if (p->next_positional >= p->opt_count) {
        return optab_err_extra(p, w->v[w->ix]);
    }
    struct optab_row row = {.opt = &p->opts[p->next_positional], .ix = p->next_positional};
    if (!mark_typed(p, row)) {
        return false;
    }
    if ((row.opt->flags & HQ_OPT_TRAILING) == 0) {
        p->next_positional++;
        return store(p, row, w->v[w->ix]);
    }
    for (; w->ix < w->count; w->ix++) {
        if (!store(p, row, w->v[w->ix])) {
            return false;
        }
    }
    return true;
}

static const struct hq_command *
find_command(const struct hq_command *cmd, struct hq_str word)
{
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        const struct hq_command *sub = &cmd->subs[ix];
        if (hq_str_is(word, sub->name)) {
            return sub;
        }
        for (size_t a = 0; sub->aliases != NULL && sub->aliases[a] != NULL; a++) {
            if (hq_str_is(word, sub->aliases[a])) {
                return sub;
            }
        }
    }
    return NULL;
}

/* Reads words up to the end or to the name of a sub-command (*ret_sub). */
static bool
read_level(struct optab_parse *p, struct words *w, const struct hq_command **ret_sub)
{
    *ret_sub = NULL;
    for (; w->ix < w->count; w->ix++) {
        struct hq_str word = w->v[w->ix];
        bool is_fine;
        if (w->is_after_dashes || word.len < 2 || word.ptr[0] != '-') {
            const struct hq_command *sub =
                p->cmd != NULL && !w->is_after_dashes ? find_command(p->cmd, word) : NULL;
            if (sub != NULL) {
                *ret_sub = sub;
                return true;
            }
            is_fine = read_positional(p, w);
        } else if (hq_str_is(word, "--")) {
            w->is_after_dashes = true;
            is_fine = true;
        } else if (word.ptr[1] == '-') {
            is_fine = read_long(p, w);
        } else {
            is_fine = read_short(p, w);
        }
        if (!is_fine) {
            return false;
        }
    }
    return true;
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
        return store(p, row, hq_str_from(text));
    }
    struct hq_err err = {0};
    struct hq_str value = hq_str_from(text);
    if (hq_opt_bool(row.opt, value, row_target(p, row), p->arena, &err) < 0) {
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
            int rc = row.opt->parse(row.opt, hq_str_from(row.opt->def), row_target(p, row), p->arena, &err);
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
            if (k != i && count < HQ_OPTS_MAX && (names_row(opt->conflicts, other) || names_row(other->conflicts, opt))) {
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
parse_tree(struct optab_parse *p, const struct hq_command *cmd, const char *path, struct words *w,
           struct hq_parsed *ret)
{
    uint64_t global_given = 0;
    enter(p, cmd, path);
    memset(ret, 0, sizeof *ret);
    for (;;) {
        const struct hq_command *sub = NULL;
        if (!read_level(p, w, &sub)) {
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
        enter(p, sub, hq_arena_printf(p->arena, "%s %s", p->path, sub->name));
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
    struct words w = {.v = v, .count = count, .ix = 1};
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
    struct words w = {.v = words, .count = word_count};
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
    if (!read_level(&p, &w, &sub) || !check_conflicts(&p)) {
        return false;
    }
    *ret_given = p.given;
    return true;
}
