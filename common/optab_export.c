#include "common/optab_text.h"

/* Products of the command tree: shell completion, manual pages, the command reference in Markdown. All of them walk
 * the tree in the order of the tables and leave out what is hidden. */

typedef void (*visit_fn)(void *ctx, const struct hq_command *cmd, const char *path, unsigned depth);

static void
walk(const struct hq_command *cmd, const char *path, unsigned depth, struct hq_arena *arena, visit_fn fn, void *ctx)
{
    HQ_ASSERT(depth <= HQ_COMMAND_DEPTH_MAX);
    fn(ctx, cmd, path, depth);
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        const struct hq_command *sub = &cmd->subs[ix];
        if (sub->instead == NULL) {
            walk(sub, hq_arena_printf(arena, "%s %s", path, sub->name), depth + 1, arena, fn, ctx);
        }
    }
}

static bool
is_shown(const struct hq_opt *opt)
{
    return (opt->flags & (HQ_OPT_HIDDEN | HQ_OPT_OLD)) == 0;
}

static bool
wants_value(const struct hq_opt *opt)
{
    return opt->parse != NULL && opt->bare == NULL;
}

struct export
{
    const struct hq_optab *tab;
    struct hq_buf *out;
};

/* ---- bash: one case per command path; values by the option before the cursor */
static void
bash_words(struct hq_buf *b, const struct hq_opt *opts, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        if (!is_shown(&opts[ix]) || (opts[ix].flags & HQ_OPT_POSITIONAL) != 0) {
            continue;
        }
        if (opts[ix].name != NULL) {
            hq_buf_printf(b, " --%s", opts[ix].name);
        }
        if (opts[ix].short_name != 0) {
            hq_buf_printf(b, " -%c", opts[ix].short_name);
        }
    }
}

static void
bash_value(struct hq_buf *b, const struct hq_opt *opt)
{
    if (opt->values != NULL) {
        hq_buf_cstr(b, "words=\"");
        for (size_t ix = 0; opt->values[ix] != NULL; ix++) {
            hq_buf_printf(b, "%s%s", ix > 0 ? " " : "", opt->values[ix]);
        }
        hq_buf_cstr(b, "\"");
    } else if (opt->complete == HQ_COMPLETE_FILE) {
        hq_buf_cstr(b, "kind=-f");
    } else if (opt->complete == HQ_COMPLETE_DIR) {
        hq_buf_cstr(b, "kind=-d");
    } else if (opt->complete == HQ_COMPLETE_HOST) {
        hq_buf_cstr(b, "kind='-A hostname'");
    } else {
        hq_buf_cstr(b, "words=");
    }
}

static void
bash_values(struct hq_buf *b, const struct hq_opt *opts, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        if (is_shown(opt) && (opt->flags & HQ_OPT_POSITIONAL) == 0 && opt->name != NULL && wants_value(opt)) {
            hq_buf_printf(b, "                --%s) ", opt->name);
            bash_value(b, opt);
            hq_buf_cstr(b, " ;;\n");
        }
    }
}

static void
bash_command(void *ctx, const struct hq_command *cmd, const char *path, unsigned depth)
{
    struct export *e = ctx;
    (void)depth; /* the path says it */
    hq_buf_printf(e->out, "        \"%s\")\n            words=\"", path);
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        if (cmd->subs[ix].instead == NULL) {
            hq_buf_printf(e->out, "%s ", cmd->subs[ix].name);
        }
    }
    hq_buf_cstr(e->out, "-h --help");
    bash_words(e->out, cmd->opts, cmd->opt_count);
    bash_words(e->out, e->tab->globals, e->tab->global_count);
    hq_buf_cstr(e->out, "\"\n");
    for (size_t ix = 0; ix < cmd->opt_count; ix++) {
        if ((cmd->opts[ix].flags & HQ_OPT_POSITIONAL) != 0 && cmd->opts[ix].values != NULL) {
            hq_buf_cstr(e->out, "            words=\"$words");
            for (size_t v = 0; cmd->opts[ix].values[v] != NULL; v++) {
                hq_buf_printf(e->out, " %s", cmd->opts[ix].values[v]);
            }
            hq_buf_cstr(e->out, "\"\n");
        }
    }
    hq_buf_cstr(e->out, "            case \"$prev\" in\n");
    bash_values(e->out, cmd->opts, cmd->opt_count);
    bash_values(e->out, e->tab->globals, e->tab->global_count);
    hq_buf_cstr(e->out, "                *) ;;\n            esac ;;\n");
}

static void
bash_paths(void *ctx, const struct hq_command *cmd, const char *path, unsigned depth)
{
    struct export *e = ctx;
    (void)depth; /* the path says it */
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        if (cmd->subs[ix].instead == NULL) {
            hq_buf_printf(e->out, "            \"%s,%s\") path=\"%s %s\" ;;\n", path, cmd->subs[ix].name, path,
                          cmd->subs[ix].name);
        }
    }
}

static void
export_bash(struct export *e)
{
    const char *root = e->tab->root->name;
    hq_buf_printf(
        e->out,
        "# bash completion for %s\n_%s()\n{\n    local cur prev path words kind i\n    COMPREPLY=()\n"
        "    cur=\"${COMP_WORDS[COMP_CWORD]}\"\n    prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        "    path=%s\n    for ((i = 1; i < COMP_CWORD; i++)); do\n        case \"$path,${COMP_WORDS[i]}\" in\n",
        root, root, root);
    walk(e->tab->root, root, 0, e->tab->arena, bash_paths, e);
    hq_buf_cstr(e->out, "            *) ;;\n        esac\n    done\n    case \"$path\" in\n");
    walk(e->tab->root, root, 0, e->tab->arena, bash_command, e);
    hq_buf_printf(e->out,
                  "        *) ;;\n    esac\n    if [[ -n \"$kind\" ]]; then\n"
                  "        # shellcheck disable=SC2086,SC2207\n"
                  "        COMPREPLY=($(compgen $kind -- \"$cur\"))\n        return 0\n    fi\n"
                  "    # shellcheck disable=SC2207\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                  "    return 0\n}\ncomplete -o nosort -o bashdefault -o default -F _%s %s\n",
                  root, root);
}

/* ---- zsh and fish quote their help texts in single quotes */
static void
put_single(struct hq_buf *b, const char *s, bool is_zsh)
{
    for (; s != NULL && *s != '\0'; s++) {
        if (*s == '\'') {
            hq_buf_cstr(b, is_zsh ? "'\\''" : "\\'");
        } else if (is_zsh && (*s == '[' || *s == ']' || *s == ':')) {
            hq_buf_byte(b, '\\');
            hq_buf_byte(b, *s);
        } else {
            hq_buf_byte(b, *s);
        }
    }
}

static void
zsh_action(struct hq_buf *b, const struct hq_opt *opt)
{
    if (opt->values != NULL) {
        hq_buf_byte(b, '(');
        for (size_t ix = 0; opt->values[ix] != NULL; ix++) {
            hq_buf_printf(b, "%s%s", ix > 0 ? " " : "", opt->values[ix]);
        }
        hq_buf_byte(b, ')');
    } else if (opt->complete == HQ_COMPLETE_FILE) {
        hq_buf_cstr(b, "_files");
    } else if (opt->complete == HQ_COMPLETE_DIR) {
        hq_buf_cstr(b, "_files -/");
    } else if (opt->complete == HQ_COMPLETE_HOST) {
        hq_buf_cstr(b, "_hosts");
    } else if (opt->complete == HQ_COMPLETE_COMMAND) {
        hq_buf_cstr(b, "_normal");
    }
}

static void
zsh_opts(struct hq_buf *b, const struct hq_opt *opts, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        if (!is_shown(opt)) {
            continue;
        }
        HQ_AUTO(hq_buf_fini) struct hq_buf hint = HQ_BUF_INIT;
        optab_hint(&hint, opt);
        hq_buf_cstr(b, " \\\n                '");
        if ((opt->flags & HQ_OPT_POSITIONAL) != 0) {
            hq_buf_cstr(b, (opt->flags & HQ_OPT_TRAILING) != 0 ? "*::" : ":");
            hq_buf_str(b, hq_buf_view(&hint));
            hq_buf_byte(b, ':');
            zsh_action(b, opt);
        } else {
            hq_buf_cstr(b, (opt->flags & HQ_OPT_REPEAT) != 0 ? "*" : "");
            if (opt->name != NULL) {
                hq_buf_printf(b, "--%s%s[", opt->name, wants_value(opt) ? "=" : "");
            } else {
                hq_buf_printf(b, "-%c[", opt->short_name);
            }
            put_single(b, opt->help, true);
            hq_buf_byte(b, ']');
            if (wants_value(opt)) {
                hq_buf_byte(b, ':');
                hq_buf_str(b, hq_buf_view(&hint));
                hq_buf_byte(b, ':');
                zsh_action(b, opt);
            }
        }
        hq_buf_byte(b, '\'');
    }
}

static void
zsh_command(void *ctx, const struct hq_command *cmd, const char *path, unsigned depth)
{
    struct export *e = ctx;
    (void)depth; /* the path says it */
    hq_buf_printf(e->out, "        '%s')\n", path);
    if (cmd->sub_count > 0) {
        hq_buf_cstr(e->out, "            commands=(");
        for (size_t ix = 0; ix < cmd->sub_count; ix++) {
            if (cmd->subs[ix].instead == NULL) {
                hq_buf_printf(e->out, "\n                '%s:", cmd->subs[ix].name);
                put_single(e->out, cmd->subs[ix].help, true);
                hq_buf_byte(e->out, '\'');
            }
        }
        hq_buf_cstr(e->out, ")\n            _describe command commands\n");
    }
    hq_buf_cstr(e->out, "            _arguments '(- *)'{-h,--help}'[Prints help.]'");
    zsh_opts(e->out, cmd->opts, cmd->opt_count);
    zsh_opts(e->out, e->tab->globals, e->tab->global_count);
    hq_buf_cstr(e->out, " ;;\n");
}

static void
export_zsh(struct export *e)
{
    const char *root = e->tab->root->name;
    hq_buf_printf(e->out,
                  "#compdef %s\n_%s() {\n    local path_so_far=%s i at=1\n    local -a commands\n"
                  "    for ((i = 2; i < CURRENT; i++)); do\n        case \"$path_so_far,${words[i]}\" in\n",
                  root, root, root);
    struct hq_buf *out = e->out;
    HQ_AUTO(hq_buf_fini) struct hq_buf paths = HQ_BUF_INIT;
    e->out = &paths;
    walk(e->tab->root, root, 0, e->tab->arena, bash_paths, e);
    e->out = out;
    struct hq_str rest = hq_buf_view(&paths);
    struct hq_str line;
    while (rest.len > 0) { /* the same table of paths under another variable name: "path" is zsh's own */
        (void)hq_str_split(&rest, '\n', &line);
        ptrdiff_t at = hq_str_find(line, HQ_STR(") path="));
        HQ_ASSERT(at > 0);
        hq_buf_str(out, hq_str_sub(line, 0, (size_t)at));
        hq_buf_cstr(out, ") path_so_far=");
        hq_buf_str(out, hq_str_sub(line, (size_t)at + 7, line.len - 3)); /* without " ;;" */
        hq_buf_cstr(out, "; at=$i ;;\n");
    }
    /* _arguments counts positionals from the word that named the command */
    hq_buf_cstr(out,
                "            *) ;;\n        esac\n    done\n    shift $((at - 1)) words\n    ((CURRENT -= at - 1))\n"
                "    case \"$path_so_far\" in\n");
    walk(e->tab->root, root, 0, e->tab->arena, zsh_command, e);
    hq_buf_printf(out, "    esac\n}\n_%s \"$@\"\n", root);
}

static void
fish_opts(struct export *e, const char *condition, const struct hq_opt *opts, size_t count)
{
    for (size_t ix = 0; ix < count; ix++) {
        const struct hq_opt *opt = &opts[ix];
        if (!is_shown(opt) || (opt->flags & HQ_OPT_POSITIONAL) != 0) {
            continue;
        }
        hq_buf_printf(e->out, "complete -c %s -n '%s'", e->tab->root->name, condition);
        if (opt->name != NULL) {
            hq_buf_printf(e->out, " -l %s", opt->name);
        }
        if (opt->short_name != 0) {
            hq_buf_printf(e->out, " -s %c", opt->short_name);
        }
        hq_buf_cstr(e->out, wants_value(opt) ? (opt->complete == HQ_COMPLETE_NONE ? " -x" : " -r") : "");
        if (opt->values != NULL) {
            hq_buf_cstr(e->out, " -a '");
            for (size_t v = 0; opt->values[v] != NULL; v++) {
                hq_buf_printf(e->out, "%s%s", v > 0 ? " " : "", opt->values[v]);
            }
            hq_buf_byte(e->out, '\'');
        }
        hq_buf_cstr(e->out, " -d '");
        put_single(e->out, opt->help, false);
        hq_buf_cstr(e->out, "'\n");
    }
}

static void
fish_command(void *ctx, const struct hq_command *cmd, const char *path, unsigned depth)
{
    struct export *e = ctx;
    HQ_AUTO(hq_buf_fini) struct hq_buf condition = HQ_BUF_INIT;
    hq_buf_printf(&condition, "__%s_at \"%s\"", e->tab->root->name, path);
    for (size_t ix = 0; ix < cmd->sub_count; ix++) {
        if (cmd->subs[ix].instead == NULL) {
            hq_buf_printf(e->out, "complete -c %s -f -n '%s' -a %s -d '", e->tab->root->name, condition.ptr,
                          cmd->subs[ix].name);
            put_single(e->out, cmd->subs[ix].help, false);
            hq_buf_cstr(e->out, "'\n");
        }
    }
    fish_opts(e, condition.ptr, cmd->opts, cmd->opt_count);
    if (depth == 0) {
        fish_opts(e, "true", e->tab->globals, e->tab->global_count);
        hq_buf_printf(e->out, "complete -c %s -s h -l help -d 'Prints help.'\n", e->tab->root->name);
    }
}

static void
fish_paths(void *ctx, const struct hq_command *cmd, const char *path, unsigned depth)
{
    struct export *e = ctx;
    (void)cmd;   /* its name is in the path */
    (void)depth; /* the path says it */
    hq_buf_printf(e->out, " '%s'", path);
}

static void
export_fish(struct export *e)
{
    const char *root = e->tab->root->name;
    hq_buf_printf(e->out, "# fish completion for %s\nset -g __%s_paths", root, root);
    walk(e->tab->root, root, 0, e->tab->arena, fish_paths, e);
    hq_buf_printf(e->out,
                  "\nfunction __%s_at\n    set -l path %s\n    for word in (commandline -opc)[2..-1]\n"
                  "        if contains -- \"$path $word\" $__%s_paths\n            set path \"$path $word\"\n"
                  "        end\n    end\n    test \"$path\" = \"$argv[1]\"\nend\n",
                  root, root, root);
    walk(e->tab->root, root, 0, e->tab->arena, fish_command, e);
}

bool
hq_optab_completion(const struct hq_optab *tab, const char *shell, struct hq_buf *out)
{
    static const struct {
        const char *shell;
        void (*fn)(struct export *e);
    } makers[] = {{"bash", export_bash}, {"zsh", export_zsh}, {"fish", export_fish}};
    struct export e = {.tab = tab, .out = out};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(makers); ix++) {
        if (strcmp(makers[ix].shell, shell) == 0) {
            makers[ix].fn(&e);
            return true;
        }
    }
    return false;
}
