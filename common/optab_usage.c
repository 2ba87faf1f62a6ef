#include "common/optab_text.h"

#include <ctype.h>

/* How options are shown, and the two forms of usage lines. */

static const char *const style_start[] = {
    [OPTAB_PLAIN] = "",
    [OPTAB_LITERAL] = "\x1b[1m",
    [OPTAB_HEADER] = "\x1b[1m\x1b[4m",
    [OPTAB_ERROR] = "\x1b[1m\x1b[31m",
    [OPTAB_BAD] = "\x1b[33m",
    [OPTAB_GOOD] = "\x1b[32m",
};

void
optab_put(struct optab_text *t, enum optab_style style, struct hq_str s)
{
    bool is_styled = t->with_color && style != OPTAB_PLAIN && s.len > 0;
    if (is_styled) {
        hq_buf_cstr(t->out, style_start[style]);
    }
    hq_buf_str(t->out, s);
    if (is_styled) {
        hq_buf_cstr(t->out, "\x1b[0m");
    }
}

void
optab_putz(struct optab_text *t, enum optab_style style, const char *s)
{
    optab_put(t, style, hq_str_from(s));
}

void
optab_hint(struct hq_buf *b, const struct hq_opt *opt)
{
    const char *s = opt->hint != NULL ? opt->hint : opt->name;
    bool is_made = opt->hint == NULL && (opt->flags & HQ_OPT_POSITIONAL) == 0;
    for (; s != NULL && *s != '\0'; s++) {
        char c = *s == '-' && is_made ? '_' : *s;
        hq_buf_byte(b, is_made ? (char)toupper((unsigned char)c) : c);
    }
}

void
optab_display(struct hq_buf *b, const struct hq_opt *opt)
{
    bool is_positional = (opt->flags & HQ_OPT_POSITIONAL) != 0;
    if (!is_positional && opt->name != NULL) {
        hq_buf_printf(b, "--%s", opt->name);
    } else if (!is_positional) {
        hq_buf_printf(b, "-%c", opt->short_name);
    }
    bool takes_value = opt->parse != NULL && (opt->bare == NULL || (opt->flags & HQ_OPT_OPTIONAL_VALUE) != 0);
    if (!is_positional && !takes_value) {
        return;
    }
    bool is_optional = is_positional && (opt->flags & HQ_OPT_REQUIRED) == 0;
    hq_buf_cstr(b, is_positional ? (is_optional ? "[" : "<") : " <");
    optab_hint(b, opt);
    hq_buf_cstr(b, is_optional ? "]" : ">");
    bool is_list = is_positional && (opt->flags & HQ_OPT_REPEAT) != 0;
    if ((opt->flags & HQ_OPT_TRAILING) != 0 || is_list) {
        hq_buf_cstr(b, "...");
    }
}

void
optab_put_opt(struct optab_text *t, enum optab_style style, const struct hq_opt *opt)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    optab_display(&b, opt);
    optab_put(t, style, hq_buf_view(&b));
}

/* In a usage line the option's name is literal, its value is not. */
static void
put_usage_opt(struct optab_text *t, const struct hq_opt *opt)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    optab_display(&b, opt);
    struct hq_str rest = hq_buf_view(&b);
    struct hq_str name;
    optab_putz(t, OPTAB_PLAIN, " ");
    if ((opt->flags & HQ_OPT_POSITIONAL) != 0) {
        optab_put(t, OPTAB_PLAIN, rest);
    } else if (hq_str_split(&rest, ' ', &name)) {
        optab_put(t, OPTAB_LITERAL, name);
        optab_putz(t, OPTAB_PLAIN, " ");
        optab_put(t, OPTAB_PLAIN, rest);
    } else {
        optab_put(t, OPTAB_LITERAL, name);
    }
}

static void
put_positionals(struct optab_text *t, const struct hq_opt *opts, size_t count, bool has_subs)
{
    for (size_t ix = 0; ix < count; ix++) {
        if ((opts[ix].flags & HQ_OPT_POSITIONAL) != 0 && (opts[ix].flags & HQ_OPT_HIDDEN) == 0) {
            put_usage_opt(t, &opts[ix]);
        }
    }
    optab_putz(t, OPTAB_PLAIN, has_subs ? " <COMMAND>" : "");
}

const char *
optab_sub_path(struct hq_arena *arena, const struct hq_command *cmd, const char *path, const char *sub)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    struct optab_text t = {.out = &b};
    optab_putz(&t, OPTAB_PLAIN, path);
    put_positionals(&t, cmd->opts, cmd->opt_count, false);
    hq_buf_printf(&b, " %s", sub);
    return hq_arena_strz(arena, hq_buf_view(&b));
}

static void
put_required(struct optab_text *t, const struct hq_opt *opts, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        if ((opts[ix].flags & HQ_OPT_REQUIRED) != 0 && (opts[ix].flags & HQ_OPT_POSITIONAL) == 0) {
            put_usage_opt(t, &opts[ix]);
        }
    }
}

/* The general form: all options together as [OPTIONS]. */
static void
put_usage(struct optab_text *t, const struct hq_command *cmd, const char *path)
{
    optab_putz(t, OPTAB_LITERAL, path);
    optab_putz(t, OPTAB_PLAIN, " [OPTIONS]");
    put_required(t, cmd->opts, cmd->opt_count);
    put_positionals(t, cmd->opts, cmd->opt_count, cmd->sub_count > 0);
}

void
hq_optab_usage(const struct hq_command *cmd, const char *path, struct hq_buf *out)
{
    struct optab_text t = {.out = out};
    put_usage(&t, cmd, path);
}

static void
put_usage_head(struct optab_parse *p)
{
    optab_putz(&p->text, OPTAB_PLAIN, "\n");
    optab_putz(&p->text, OPTAB_HEADER, "Usage:");
    optab_putz(&p->text, OPTAB_PLAIN, " ");
    if (p->is_directive) {
        optab_putz(&p->text, OPTAB_PLAIN, "#HQ <hq submit parameters>");
    }
}

void
optab_put_usage(struct optab_parse *p)
{
    put_usage_head(p);
    if (!p->is_directive) {
        put_usage(&p->text, p->cmd, p->path);
    }
    optab_putz(&p->text, OPTAB_PLAIN, "\n");
}

static bool
is_one_of(const struct hq_opt *opt, const struct hq_opt *const *list, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        if (list[ix] == opt) {
            return true;
        }
    }
    return false;
}

void
optab_put_usage_used(struct optab_parse *p, const struct hq_opt *more, const struct hq_opt *const *less,
                     size_t less_count, bool is_forced)
{
    const struct hq_opt *used[2 * HQ_OPTS_MAX + 1];
    size_t count = 0;
    bool has_any = more != NULL || is_forced;
    for (size_t ix = 0; ix < p->order_count; ix++) {
        const struct hq_opt *opt = p->order[ix].opt;
        if ((opt->flags & (HQ_OPT_HIDDEN | HQ_OPT_OLD)) != 0 || is_one_of(opt, less, less_count)) {
            continue;
        }
        has_any = true;
        if ((opt->flags & (HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED)) == 0) {
            used[count++] = opt;
        }
    }
    if (!has_any || p->is_directive) {
        optab_put_usage(p);
        return;
    }
    if (more != NULL && (more->flags & HQ_OPT_REQUIRED) == 0) {
        used[count++] = more;
    }
    put_usage_head(p);
    optab_putz(&p->text, OPTAB_LITERAL, p->path);
    put_required(&p->text, p->opts, p->opt_count);
    for (size_t ix = 0; ix < count; ix++) {
        put_usage_opt(&p->text, used[ix]);
    }
    put_positionals(&p->text, p->opts, p->opt_count, p->cmd->sub_count > 0);
    optab_putz(&p->text, OPTAB_PLAIN, "\n");
}
