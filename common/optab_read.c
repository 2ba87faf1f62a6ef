#include "common/optab_text.h"

/* Reads the words of one level: options with their values, positionals, the name of a sub-command. */

static struct optab_row
find_in(const struct hq_opt *opts, size_t count, bool is_global, struct hq_str name, char short_name)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        bool is_match =
            short_name != 0 ? opt->short_name == short_name : opt->name != NULL && hq_str_is(name, opt->name);
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

void *
optab_target(const struct optab_parse *p, struct optab_row row)
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
bool
optab_store(struct optab_parse *p, struct optab_row row, struct hq_str value)
{
    const struct hq_opt *opt = row.opt;
    if (value.len == 0 && (opt->values != NULL || (opt->flags & HQ_OPT_NONEMPTY) != 0)) {
        return optab_err_no_value(p, opt);
    }
    struct hq_err err = {0};
    if (opt->parse(opt, value, optab_target(p, row), p->arena, &err) < 0) {
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

/* The following word as value of `opt`. A word with a leading dash is one unless it is an option itself. */
static bool
next_value(struct optab_parse *p, const struct hq_opt *opt, struct optab_words *w, struct hq_str *ret)
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
read_option(struct optab_parse *p, struct optab_row row, const struct hq_str *glued, struct optab_words *w)
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
        *(bool *)optab_target(p, row) = true;
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
    return optab_store(p, row, value);
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
read_long(struct optab_parse *p, struct optab_words *w)
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
read_short(struct optab_parse *p, struct optab_words *w)
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
read_positional(struct optab_parse *p, struct optab_words *w)
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
        p->next_positional += (row.opt->flags & HQ_OPT_REPEAT) == 0; /* a list takes all bare words */
        return optab_store(p, row, w->v[w->ix]);
    }
    for (; w->ix < w->count; w->ix++) {
        if (!optab_store(p, row, w->v[w->ix])) {
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
bool
optab_read_level(struct optab_parse *p, struct optab_words *w, const struct hq_command **ret_sub)
{
    *ret_sub = NULL;
    for (; w->ix < w->count; w->ix++) {
        struct hq_str word = w->v[w->ix];
        bool is_fine;
        if (w->is_after_dashes || word.len < 2 || word.ptr[0] != '-') {
            const struct hq_command *sub = p->cmd != NULL && !w->is_after_dashes ? find_command(p->cmd, word) : NULL;
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
