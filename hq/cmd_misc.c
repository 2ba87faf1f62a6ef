#include "hq/cmd_misc.h"

#include "common/fs.h"

#include <unistd.h>

/* The last two are known from other suites; for them there is a text that names the first three. */
#define SHELLS "bash", "zsh", "fish"
#define OTHER_SHELLS "elvish", "powershell"
static const char *const shell_words[] = {SHELLS, NULL, OTHER_SHELLS, NULL};
static const char *const shell_names[] = {SHELLS, OTHER_SHELLS}; /* by the index that the option gives */

const struct hq_opt completion_opts[COMPLETION_OPTS] = {
    {.name = "SHELL",
     .parse = hq_opt_word,
     .at = offsetof(struct completion_args, shell),
     .values = shell_words,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_MORE_WORDS,
     .help = "Shell that the script is for."},
};

const struct hq_opt manual_opts[MANUAL_OPTS] = {
    {.name = "markdown",
     .at = offsetof(struct manual_args, markdown),
     .help = "Prints the command reference as Markdown instead of a manual page."},
    {.name = "date",
     .parse = hq_opt_str,
     .at = offsetof(struct manual_args, date),
     .def = "",
     .help = "Date in the head of the manual page."},
    {.name = "pages",
     .parse = hq_opt_str,
     .at = offsetof(struct manual_args, pages),
     .conflicts = "markdown",
     .complete = HQ_COMPLETE_DIR,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Writes a page for each command into this directory instead of printing one for all."},
};

int
cmd_generate_completion_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct completion_args *args = p->args;
    static const char note[] = "Generating completion file for ";
    HQ_AUTO(hq_buf_fini) struct hq_buf said = HQ_BUF_INIT;
    if (!hq_optab_completion(cli->tab, shell_names[args->shell], &cli->out.buf)) {
        return hq_err_set(err, -EINVAL, "There are no completions for %s, only for bash, zsh and fish",
                          shell_names[args->shell]);
    }
    hq_buf_printf(&said, "%s%s...\n", note, shell_names[args->shell]);
    (void)!write(STDERR_FILENO, said.ptr, said.len); /* a remark: nothing depends on it */
    cli->out.has_document = true;                    /* the script is all, in every mode */
    return 0;
}

struct pages {
    const struct hq_optab *tab;
    const char *dir;
    const char *date;
};

/* hq_optab_visit_fn */
static int
write_page(void *ctx, const struct hq_command *cmd, const char *path, struct hq_err *err)
{
    const struct pages *pages = ctx;
    HQ_AUTO(hq_buf_fini) struct hq_buf file = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf page = HQ_BUF_INIT;
    hq_buf_printf(&file, "%s/", pages->dir);
    hq_optab_page_name(path, &file);
    hq_buf_cstr(&file, ".1");
    hq_optab_man(pages->tab, cmd, path, pages->date, &page);
    return hq_fs_replace(file.ptr, hq_buf_view(&page), 0644, err);
}

int
cmd_generate_manual_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct manual_args *args = p->args;
    if (args->pages.len > 0) {
        struct pages pages = {.tab = cli->tab,
                              .dir = hq_arena_strz(&cli->arena, args->pages),
                              .date = hq_arena_strz(&cli->arena, args->date)};
        int rc = hq_fs_mkdirs(pages.dir, 0755, err);
        return rc < 0 ? rc : hq_optab_walk(cli->tab, write_page, &pages, err);
    }
    cli->out.has_document = true; /* the page is all, in every mode */
    if (args->markdown) {
        hq_optab_markdown(cli->tab, &cli->out.buf);
    } else {
        const char *date = hq_arena_strz(&cli->arena, args->date);
        hq_optab_man(cli->tab, cli->tab->root, cli->tab->root->name, date, &cli->out.buf);
    }
    return 0;
}
