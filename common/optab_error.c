#include "common/optab_text.h"

#include "common/parse.h"

/* Texts of errors. The wording is what scripts and people know from the reference program. */

static void
put_error(struct optab_parse *p, const char *text)
{
    optab_putz(&p->text, OPTAB_ERROR, "error:");
    optab_putz(&p->text, OPTAB_PLAIN, " ");
    optab_putz(&p->text, OPTAB_PLAIN, text);
}

static void
put_quoted(struct optab_parse *p, enum optab_style style, struct hq_str s)
{
    optab_putz(&p->text, OPTAB_PLAIN, "'");
    optab_put(&p->text, style, s);
    optab_putz(&p->text, OPTAB_PLAIN, "'");
}

static void
put_quoted_opt(struct optab_parse *p, enum optab_style style, const struct hq_opt *opt)
{
    optab_putz(&p->text, OPTAB_PLAIN, "'");
    optab_put_opt(&p->text, style, opt);
    optab_putz(&p->text, OPTAB_PLAIN, "'");
}

static void
put_tip(struct optab_parse *p, const char *text)
{
    optab_putz(&p->text, OPTAB_PLAIN, "  ");
    optab_putz(&p->text, OPTAB_GOOD, "tip:");
    optab_putz(&p->text, OPTAB_PLAIN, " ");
    optab_putz(&p->text, OPTAB_PLAIN, text);
}

static bool
end_error(struct optab_parse *p)
{
    if (!p->is_directive) {
        optab_putz(&p->text, OPTAB_PLAIN, "\nFor more information, try '");
        optab_putz(&p->text, OPTAB_LITERAL, "--help");
        optab_putz(&p->text, OPTAB_PLAIN, "'.\n");
    }
    p->end = HQ_OPTAB_USAGE;
    return false;
}

/* Jaro: common letters within half the longer length, and how many of them are out of order. O(len a x len b). */
double
optab_similarity(struct hq_str a, struct hq_str b)
{
    bool used_b[64] = {false};
    char in_a[64];
    size_t matches = 0;
    if (a.len == 0 || b.len == 0 || a.len > 64 || b.len > 64) {
        return a.len == b.len ? 1.0 : 0.0;
    }
    size_t longer = a.len > b.len ? a.len : b.len;
    size_t reach = longer / 2 > 0 ? longer / 2 - 1 : 0;
    for (size_t i = 0; i < a.len; i++) {
        size_t from = i > reach ? i - reach : 0;
        for (size_t k = from; k < b.len && k <= i + reach; k++) {
            if (!used_b[k] && a.ptr[i] == b.ptr[k]) {
                used_b[k] = true;
                in_a[matches++] = a.ptr[i];
                break;
            }
        }
    }
    if (matches == 0) {
        return 0.0;
    }
    size_t swapped = 0;
    size_t at = 0;
    for (size_t k = 0; k < b.len; k++) {
        if (used_b[k]) {
            swapped += in_a[at++] != b.ptr[k];
        }
    }
    double m = (double)matches;
    return (m / (double)a.len + m / (double)b.len + (m - (double)(swapped / 2)) / m) / 3.0;
}

#define SIMILAR 0.7

static void
best_of(const struct optab_parse *p, const struct hq_opt *opts, size_t count, struct hq_str word,
        const struct hq_opt **best, double *best_score)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        bool is_out = opt->name == NULL || (opt->flags & (HQ_OPT_POSITIONAL | HQ_OPT_HIDDEN | HQ_OPT_OLD)) != 0 ||
                      (p->is_directive && (opt->flags & HQ_OPT_DIRECTIVE) == 0);
        double score = is_out ? 0.0 : optab_similarity(word, hq_str_from(opt->name));
        if (score > SIMILAR && score >= *best_score) {
            *best = opt;
            *best_score = score;
        }
    }
}

static bool
has_positional(const struct optab_parse *p)
{
    for (size_t ix = 0; ix < p->opt_count; ix++) {
        if ((p->opts[ix].flags & HQ_OPT_POSITIONAL) != 0) {
            return true;
        }
    }
    return false;
}

bool
optab_err_unknown(struct optab_parse *p, struct hq_str word, bool is_long)
{
    const struct hq_opt *best = NULL;
    double score = 0.0;
    bool is_passable = !p->is_directive && has_positional(p);
    HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
    hq_buf_cstr(&shown, is_long ? "--" : "-");
    hq_buf_str(&shown, word);
    if (is_long) {
        best_of(p, p->opts, p->opt_count, word, &best, &score);
        if (p->tab != NULL) {
            best_of(p, p->tab->globals, p->tab->global_count, word, &best, &score);
        }
    }
    put_error(p, "unexpected argument ");
    put_quoted(p, OPTAB_BAD, hq_buf_view(&shown));
    optab_putz(&p->text, OPTAB_PLAIN, " found\n");
    if (best != NULL || is_passable) {
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    if (best != NULL) {
        HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
        hq_buf_printf(&name, "--%s", best->name);
        put_tip(p, "a similar argument exists: ");
        put_quoted(p, OPTAB_GOOD, hq_buf_view(&name));
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    if (is_passable) {
        HQ_AUTO(hq_buf_fini) struct hq_buf dashed = HQ_BUF_INIT;
        hq_buf_cstr(&dashed, "-- ");
        hq_buf_str(&dashed, hq_buf_view(&shown));
        put_tip(p, "to pass ");
        put_quoted(p, OPTAB_BAD, hq_buf_view(&shown));
        optab_putz(&p->text, OPTAB_PLAIN, " as a value, use ");
        put_quoted(p, OPTAB_GOOD, hq_buf_view(&dashed));
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    if (is_long) {
        optab_put_usage_used(p, best, NULL, 0, false);
    } else {
        optab_put_usage(p);
    }
    return end_error(p);
}

bool
optab_err_extra(struct optab_parse *p, struct hq_str word)
{
    if (p->cmd != NULL && p->cmd->sub_count > 0 && !has_positional(p)) {
        return optab_err_command(p, word);
    }
    put_error(p, "unexpected argument ");
    put_quoted(p, OPTAB_BAD, word);
    optab_putz(&p->text, OPTAB_PLAIN, " found\n");
    optab_put_usage(p);
    return end_error(p);
}

static bool
is_shown(const struct hq_command *cmd)
{
    return cmd->instead == NULL;
}

bool
optab_err_command(struct optab_parse *p, struct hq_str word)
{
    const struct hq_command *similar[16];
    double scores[16];
    size_t count = 0;
    const char *tip = NULL;
    for (size_t ix = 0; ix < p->cmd->sub_count; ix++) {
        const struct hq_command *sub = &p->cmd->subs[ix];
        if (sub->run == NULL && sub->sub_count == 0 && hq_str_is(word, sub->name)) {
            tip = sub->instead;
        }
        double score = is_shown(sub) ? optab_similarity(word, hq_str_from(sub->name)) : 0.0;
        if (score <= SIMILAR || count == HQ_ARRAY_LEN(similar)) {
            continue;
        }
        size_t at = count++; /* the best one last */
        for (; at > 0 && scores[at - 1] > score; at--) {
            similar[at] = similar[at - 1];
            scores[at] = scores[at - 1];
        }
        similar[at] = sub;
        scores[at] = score;
    }
    put_error(p, "unrecognized subcommand ");
    put_quoted(p, OPTAB_BAD, word);
    optab_putz(&p->text, OPTAB_PLAIN, count > 0 || tip != NULL ? "\n\n" : "\n");
    if (count > 0) {
        put_tip(p, count == 1 ? "a similar subcommand exists: " : "some similar subcommands exist: ");
        for (size_t ix = 0; ix < count; ix++) {
            optab_putz(&p->text, OPTAB_PLAIN, ix > 0 ? ", " : "");
            put_quoted(p, OPTAB_GOOD, hq_str_from(similar[ix]->name));
        }
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    if (tip != NULL) {
        put_tip(p, tip);
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    optab_put_usage(p);
    return end_error(p);
}

bool
optab_err_no_command(struct optab_parse *p)
{
    if (p->order_count == 0) {
        hq_optab_help(p->tab, p->cmd, p->path, false, p->text.with_color, p->text.out);
        p->end = HQ_OPTAB_USAGE;
        return false;
    }
    optab_putz(&p->text, OPTAB_ERROR, "error:");
    optab_putz(&p->text, OPTAB_PLAIN, " ");
    put_quoted(p, OPTAB_BAD, hq_str_from(p->path));
    optab_putz(&p->text, OPTAB_PLAIN, " requires a subcommand but one was not provided\n  [subcommands: ");
    bool has_one = false;
    for (size_t ix = 0; ix < p->cmd->sub_count; ix++) {
        if (is_shown(&p->cmd->subs[ix])) {
            optab_putz(&p->text, OPTAB_PLAIN, has_one ? ", " : "");
            optab_putz(&p->text, OPTAB_GOOD, p->cmd->subs[ix].name);
            has_one = true;
        }
    }
    optab_putz(&p->text, OPTAB_PLAIN, "]\n");
    optab_put_usage(p);
    return end_error(p);
}

static void
put_possible(struct optab_parse *p, const char *const *values)
{
    optab_putz(&p->text, OPTAB_PLAIN, "\n  [possible values: ");
    for (size_t ix = 0; values[ix] != NULL; ix++) {
        optab_putz(&p->text, OPTAB_PLAIN, ix > 0 ? ", " : "");
        optab_putz(&p->text, OPTAB_GOOD, values[ix]);
    }
    optab_putz(&p->text, OPTAB_PLAIN, "]\n");
}

bool
optab_err_no_value(struct optab_parse *p, const struct hq_opt *opt)
{
    put_error(p, "a value is required for ");
    put_quoted_opt(p, OPTAB_LITERAL, opt);
    optab_putz(&p->text, OPTAB_PLAIN, " but none was supplied");
    if (opt->values != NULL) {
        put_possible(p, opt->values);
    } else {
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    return end_error(p);
}

bool
optab_err_value(struct optab_parse *p, const struct hq_opt *opt, struct hq_str value, const struct hq_err *err)
{
    struct hq_str reason = hq_str_from(err->text);
    if ((opt->flags & (HQ_OPT_RAW_ERROR | HQ_OPT_RAW_USAGE)) != 0) {
        put_error(p, err->text);
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
        p->end = HQ_OPTAB_USAGE;
        if ((opt->flags & HQ_OPT_RAW_USAGE) != 0) {
            optab_put_usage(p);
            return end_error(p);
        }
        return false;
    }
    put_error(p, "invalid value ");
    put_quoted(p, OPTAB_BAD, opt->parse == hq_opt_words ? reason : value);
    optab_putz(&p->text, OPTAB_PLAIN, " for ");
    put_quoted_opt(p, OPTAB_LITERAL, opt);
    static const char *const flag_words[] = {"true", "false", NULL};
    if (opt->values != NULL || opt->parse == NULL) {
        put_possible(p, opt->values != NULL ? opt->values : flag_words);
    } else {
        optab_putz(&p->text, OPTAB_PLAIN, ": ");
        if (p->text.with_color) {
            hq_parse_color(p->text.out, reason);
        } else {
            optab_put(&p->text, OPTAB_PLAIN, reason);
        }
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    return end_error(p);
}

bool
optab_err_unneeded(struct optab_parse *p, const struct hq_opt *opt, struct hq_str value)
{
    put_error(p, "unexpected value ");
    put_quoted(p, OPTAB_BAD, value);
    optab_putz(&p->text, OPTAB_PLAIN, " for ");
    put_quoted_opt(p, OPTAB_LITERAL, opt);
    optab_putz(&p->text, OPTAB_PLAIN, " found; no more were expected\n");
    optab_put_usage_used(p, NULL, NULL, 0, false);
    return end_error(p);
}

bool
optab_err_twice(struct optab_parse *p, const struct hq_opt *opt)
{
    put_error(p, "the argument ");
    put_quoted_opt(p, OPTAB_BAD, opt);
    optab_putz(&p->text, OPTAB_PLAIN, " cannot be used multiple times\n");
    optab_put_usage(p);
    return end_error(p);
}

bool
optab_err_conflict(struct optab_parse *p, const struct hq_opt *opt, const struct hq_opt *const *others, size_t count)
{
    put_error(p, "the argument ");
    put_quoted_opt(p, OPTAB_BAD, opt);
    optab_putz(&p->text, OPTAB_PLAIN, " cannot be used with");
    if (count == 1) {
        optab_putz(&p->text, OPTAB_PLAIN, " ");
        put_quoted_opt(p, OPTAB_BAD, others[0]);
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    } else {
        optab_putz(&p->text, OPTAB_PLAIN, ":\n");
        for (size_t ix = 0; ix < count; ix++) {
            optab_putz(&p->text, OPTAB_PLAIN, "  ");
            optab_put_opt(&p->text, OPTAB_BAD, others[ix]);
            optab_putz(&p->text, OPTAB_PLAIN, "\n");
        }
    }
    optab_put_usage_used(p, NULL, others, count, true);
    return end_error(p);
}

bool
optab_err_missing(struct optab_parse *p, const struct hq_opt *const *missing, size_t count)
{
    put_error(p, "the following required arguments were not provided:\n");
    for (size_t ix = 0; ix < count; ix++) {
        optab_putz(&p->text, OPTAB_PLAIN, "  ");
        optab_put_opt(&p->text, OPTAB_GOOD, missing[ix]);
        optab_putz(&p->text, OPTAB_PLAIN, "\n");
    }
    optab_put_usage_used(p, NULL, NULL, 0, true);
    return end_error(p);
}
