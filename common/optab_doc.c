#include "common/optab_text.h"

/* Manual pages and the command reference. */

struct doc {
    const struct hq_optab *tab;
    struct hq_buf *out;
};

static bool
is_shown(const struct hq_opt *opt)
{
    return (opt->flags & (HQ_OPT_HIDDEN | HQ_OPT_OLD)) == 0;
}

static void
spelling(struct hq_buf *b, const struct hq_opt *opt)
{
    if (opt->short_name != 0 && opt->name != NULL) {
        hq_buf_printf(b, "-%c, ", opt->short_name);
    }
    optab_display(b, opt);
}

/* troff: a dot or quote at the start of a line and every backslash and dash mean something. */
static void
put_roff(struct hq_buf *b, struct hq_str s)
{
    for (size_t ix = 0; ix < s.len; ix++) {
        char c = s.ptr[ix];
        bool is_line_start = b->len == 0 || b->ptr[b->len - 1] == '\n';
        if (is_line_start && (c == '.' || c == '\'')) {
            hq_buf_cstr(b, "\\&");
        }
        if (c == '\\' || c == '-') {
            hq_buf_byte(b, '\\');
        }
        if (c == '\\') {
            hq_buf_byte(b, 'e');
        } else {
            hq_buf_byte(b, c);
        }
    }
}

static void
put_roffz(struct hq_buf *b, const char *s)
{
    put_roff(b, hq_str_from(s));
}

static void
roff_opts(struct hq_buf *out, const struct hq_opt *opts, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        if (!is_shown(opt)) {
            continue;
        }
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        spelling(&b, opt);
        hq_buf_cstr(out, ".TP\n\\fB");
        put_roff(out, hq_buf_view(&b));
        hq_buf_cstr(out, "\\fR\n");
        put_roffz(out, opt->help);
        if (opt->def != NULL) {
            hq_buf_cstr(out, " Default: ");
            put_roffz(out, opt->def);
            hq_buf_byte(out, '.');
        }
        if (opt->env != NULL) {
            hq_buf_cstr(out, " Environment: ");
            put_roffz(out, opt->env);
            hq_buf_byte(out, '.');
        }
        for (size_t v = 0; opt->values != NULL && opt->values[v] != NULL; v++) {
            hq_buf_cstr(out, v == 0 ? " One of " : ", ");
            put_roffz(out, opt->values[v]);
            hq_buf_cstr(out, opt->values[v + 1] == NULL ? "." : "");
        }
        hq_buf_byte(out, '\n');
    }
}

static void
roff_command(struct doc *d, const struct hq_command *cmd, const char *path, unsigned depth)
{
    HQ_ASSERT(depth <= HQ_COMMAND_DEPTH_MAX);
    HQ_AUTO(hq_buf_fini) struct hq_buf usage = HQ_BUF_INIT;
    hq_optab_usage(cmd, path, &usage);
    if (cmd->run != NULL) {
        hq_buf_cstr(d->out, ".SS ");
        put_roff(d->out, hq_buf_view(&usage));
        hq_buf_byte(d->out, '\n');
        put_roffz(d->out, cmd->help);
        hq_buf_byte(d->out, '\n');
        if (cmd->text != NULL) {
            hq_buf_cstr(d->out, ".PP\n");
            put_roffz(d->out, cmd->text);
            hq_buf_byte(d->out, '\n');
        }
        roff_opts(d->out, cmd->opts, cmd->opt_count);
    }
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        const struct hq_command *sub = &cmd->subs[ix];
        if (sub->instead == NULL) {
            roff_command(d, sub, optab_sub_path(d->tab->arena, cmd, path, sub->name), depth + 1);
        }
    }
}

/* "hq output-log <PATH> cat": hq-output-log-cat */
void
hq_optab_page_name(const char *path, struct hq_buf *out)
{
    for (const char *s = path; *s != '\0'; s++) {
        const char *skip = strncmp(s, " <", 2) == 0 ? strchr(s, '>') : NULL;
        if (skip != NULL) {
            s = skip;
        } else {
            hq_buf_byte(out, *s == ' ' ? '-' : *s);
        }
    }
}

void
hq_optab_man(const struct hq_optab *tab, const struct hq_command *cmd, const char *path, const char *date,
             struct hq_buf *out)
{
    struct doc d = {.tab = tab, .out = out};
    hq_buf_cstr(out, ".TH \"");
    hq_optab_page_name(path, out);
    hq_buf_printf(out, "\" \"1\" \"%s\" \"%s\" \"User commands\"\n.SH NAME\n", date,
                  tab->version != NULL ? tab->version : "");
    put_roffz(out, path);
    hq_buf_cstr(out, " \\- ");
    put_roffz(out, cmd->help);
    hq_buf_cstr(out, "\n.SH COMMANDS\n");
    roff_command(&d, cmd, path, 0);
    hq_buf_cstr(out, ".SH GLOBAL OPTIONS\n");
    roff_opts(out, tab->globals, tab->global_count);
    hq_buf_cstr(out, ".SH EXIT STATUS\n0 success; 1 an error, told on standard error; 2 a usage error.\n");
    if (cmd != tab->root) {
        hq_buf_printf(out, ".SH SEE ALSO\n%s(1)\n", tab->root->name);
    }
}

static int
walk(const struct hq_optab *tab, const struct hq_command *cmd, const char *path, hq_optab_visit_fn fn, void *ctx,
     struct hq_err *err)
{
    int rc = fn(ctx, cmd, path, err);
    for (size_t ix = 0; ix < cmd->sub_count && rc >= 0; ix++) {
        const struct hq_command *sub = &cmd->subs[ix];
        if (sub->instead == NULL) {
            rc = walk(tab, sub, optab_sub_path(tab->arena, cmd, path, sub->name), fn, ctx, err);
        }
    }
    return rc;
}

int
hq_optab_walk(const struct hq_optab *tab, hq_optab_visit_fn fn, void *ctx, struct hq_err *err)
{
    return walk(tab, tab->root, tab->root->name, fn, ctx, err);
}

static void
put_md(struct hq_buf *b, const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        if (*s == '|' || *s == '<' || *s == '*') {
            hq_buf_byte(b, '\\');
        }
        hq_buf_byte(b, *s);
    }
}

static void
md_opts(struct hq_buf *out, const struct hq_opt *opts, size_t count)
{
    bool has_head = false;
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        if (!is_shown(opt)) {
            continue;
        }
        if (!has_head) {
            hq_buf_cstr(out, "\n| option | default | environment | meaning |\n|---|---|---|---|\n");
            has_head = true;
        }
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        spelling(&b, opt);
        hq_buf_printf(out, "| `%s` | %s | %s | ", b.ptr, opt->def != NULL ? opt->def : "",
                      opt->env != NULL ? opt->env : "");
        put_md(out, opt->help);
        for (size_t v = 0; opt->values != NULL && opt->values[v] != NULL; v++) {
            hq_buf_printf(out, "%s`%s`%s", v == 0 ? " Values: " : ", ", opt->values[v],
                          opt->values[v + 1] == NULL ? "." : "");
        }
        hq_buf_cstr(out, " |\n");
    }
}

static void
md_command(struct doc *d, const struct hq_command *cmd, const char *path, unsigned depth)
{
    HQ_ASSERT(depth <= HQ_COMMAND_DEPTH_MAX);
    hq_buf_printf(d->out, "\n## `%s`\n\n%s\n\n```\n", path, cmd->help);
    hq_optab_usage(cmd, path, d->out);
    hq_buf_cstr(d->out, "\n```\n");
    if (cmd->text != NULL) {
        hq_buf_printf(d->out, "\n%s\n", cmd->text);
    }
    md_opts(d->out, cmd->opts, cmd->opt_count);
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        const struct hq_command *sub = &cmd->subs[ix];
        if (sub->instead == NULL) {
            md_command(d, sub, optab_sub_path(d->tab->arena, cmd, path, sub->name), depth + 1);
        }
    }
}

void
hq_optab_markdown(const struct hq_optab *tab, struct hq_buf *out)
{
    struct doc d = {.tab = tab, .out = out};
    hq_buf_printf(out,
                  "# Commands of `%s`\n\nThis page is written by `%s generate-manual --markdown`.\n\n"
                  "## Global options\n",
                  tab->root->name, tab->root->name);
    md_opts(out, tab->globals, tab->global_count);
    md_command(&d, tab->root, tab->root->name, 0);
}
