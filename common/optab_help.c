#include "common/optab_text.h"

/* Help texts: the short one with one line per option, the long one with defaults, variables and words. */

#define HELP_COLUMN_MAX 30u /* longer spellings put their help on the next line */

static void
put_heading(struct optab_text *t, const char *text)
{
    optab_putz(t, OPTAB_PLAIN, "\n");
    optab_putz(t, OPTAB_HEADER, text);
    optab_putz(t, OPTAB_PLAIN, "\n");
}

/* "  -t, --time-limit <TIME_LIMIT>" */
static void
spelling(struct hq_buf *b, const struct hq_opt *opt)
{
    bool is_positional = (opt->flags & HQ_OPT_POSITIONAL) != 0;
    if (is_positional) {
        hq_buf_cstr(b, "  ");
    } else if (opt->short_name != 0 && opt->name != NULL) {
        hq_buf_printf(b, "  -%c, ", opt->short_name);
    } else {
        hq_buf_cstr(b, opt->name != NULL ? "      " : "  ");
    }
    optab_display(b, opt);
    if (!is_positional && (opt->flags & HQ_OPT_REPEAT) != 0) { /* a positional has its dots already */
        hq_buf_cstr(b, "...");
    }
}

static bool
is_listed(const struct hq_opt *opt, bool positional)
{
    return (opt->flags & (HQ_OPT_HIDDEN | HQ_OPT_OLD)) == 0 && ((opt->flags & HQ_OPT_POSITIONAL) != 0) == positional;
}

static void
put_column(struct optab_text *t, struct hq_str left, size_t width, const char *help)
{
    optab_put(t, OPTAB_LITERAL, left);
    if (left.len > width) {
        optab_putz(t, OPTAB_PLAIN, "\n");
        hq_buf_rep(t->out, ' ', width + 2);
    } else {
        hq_buf_rep(t->out, ' ', width + 2 - left.len);
    }
    optab_putz(t, OPTAB_PLAIN, help);
}

static void
put_details(struct optab_text *t, const struct hq_opt *opt)
{
    static const char indent[] = "\n          ";
    if (opt->def != NULL) {
        hq_buf_printf(t->out, "%s[default: %s]", indent, opt->def);
    }
    if (opt->env != NULL) {
        hq_buf_printf(t->out, "%s[environment: %s]", indent, opt->env);
    }
    for (size_t ix = 0; opt->values != NULL && opt->values[ix] != NULL; ix++) {
        hq_buf_printf(t->out, "%s%s", ix == 0 ? indent : ", ", ix == 0 ? "[possible values: " : "");
        hq_buf_cstr(t->out, opt->values[ix]);
        hq_buf_cstr(t->out, opt->values[ix + 1] == NULL ? "]" : "");
    }
}

static size_t
column_width(const struct hq_opt *opts, size_t count, bool positional, size_t width)
{
    for (size_t ix = 0; ix < count; ix++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        if (is_listed(&opts[ix], positional)) {
            spelling(&b, &opts[ix]);
            width = b.len > width && b.len <= HELP_COLUMN_MAX ? b.len : width;
        }
    }
    return width;
}

static void
put_opts(struct optab_text *t, const struct hq_opt *opts, size_t count, bool positional, bool is_long, size_t width)
{
    for (size_t ix = 0; ix < count; ix++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        if (!is_listed(&opts[ix], positional)) {
            continue;
        }
        spelling(&b, &opts[ix]);
        const char *help = opts[ix].help != NULL ? opts[ix].help : "";
        if (is_long) {
            optab_put(t, OPTAB_LITERAL, hq_buf_view(&b));
            hq_buf_printf(t->out, "\n          %s", help);
            put_details(t, &opts[ix]);
            optab_putz(t, OPTAB_PLAIN, "\n\n");
        } else {
            put_column(t, hq_buf_view(&b), width, help);
            optab_putz(t, OPTAB_PLAIN, "\n");
        }
    }
}

static void
put_fixed(struct optab_text *t, struct hq_str left, const char *help, bool is_long, size_t width)
{
    if (is_long) {
        optab_put(t, OPTAB_LITERAL, left);
        hq_buf_printf(t->out, "\n          %s\n\n", help);
    } else {
        put_column(t, left, width, help);
        optab_putz(t, OPTAB_PLAIN, "\n");
    }
}

static void
put_commands(struct optab_text *t, const struct hq_command *cmd)
{
    size_t width = 0;
    put_heading(t, "Commands:");
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        width = HQ_MAX(width, cmd->subs[ix].instead == NULL ? strlen(cmd->subs[ix].name) + 2 : 0);
    }
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        if (cmd->subs[ix].instead == NULL) {
            HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
            hq_buf_printf(&b, "  %s", cmd->subs[ix].name);
            put_column(t, hq_buf_view(&b), width, cmd->subs[ix].help);
            optab_putz(t, OPTAB_PLAIN, "\n");
        }
    }
}

void
hq_optab_help(const struct hq_optab *tab, const struct hq_command *cmd, const char *path, bool is_long, bool with_color,
              struct hq_buf *out)
{
    struct optab_text t = {.out = out, .with_color = with_color};
    bool has_positional = false;
    for (size_t ix = 0; ix < cmd->opt_count; ix++) {
        has_positional |= is_listed(&cmd->opts[ix], true);
    }
    optab_putz(&t, OPTAB_PLAIN, cmd->help);
    optab_putz(&t, OPTAB_PLAIN, "\n");
    if (is_long && cmd->text != NULL) {
        hq_buf_printf(out, "\n%s\n", cmd->text);
    }
    optab_putz(&t, OPTAB_PLAIN, "\n");
    optab_putz(&t, OPTAB_HEADER, "Usage:");
    optab_putz(&t, OPTAB_PLAIN, " ");
    hq_optab_usage(cmd, path, out);
    optab_putz(&t, OPTAB_PLAIN, "\n");
    if (cmd->sub_count > 0) {
        put_commands(&t, cmd);
    }
    if (has_positional) {
        put_heading(&t, "Arguments:");
        put_opts(&t, cmd->opts, cmd->opt_count, true, is_long, column_width(cmd->opts, cmd->opt_count, true, 12));
    }
    bool is_root = cmd == tab->root;
    size_t width = column_width(cmd->opts, cmd->opt_count, false, sizeof "  -V, --version");
    put_heading(&t, "Options:");
    put_opts(&t, cmd->opts, cmd->opt_count, false, is_long, width);
    put_fixed(&t, HQ_STR("  -h, --help"),
              is_long ? "Prints this text; -h prints a summary." : "Prints a summary; --help tells all.", is_long,
              width);
    if (is_root && tab->version != NULL) {
        put_fixed(&t, HQ_STR("  -V, --version"), "Prints the version.", is_long, width);
    }
    if (is_long && tab->global_count > 0) {
        optab_putz(&t, OPTAB_HEADER, "GLOBAL OPTIONS:");
        optab_putz(&t, OPTAB_PLAIN, "\n");
        put_opts(&t, tab->globals, tab->global_count, false, true, 0);
    }
    while (out->len >= 2 && out->ptr[out->len - 1] == '\n' && out->ptr[out->len - 2] == '\n') {
        out->len--; /* one newline ends the text */
    }
}
