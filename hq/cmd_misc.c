#include "hq/cmd_misc.h"

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

int
cmd_generate_manual_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)err; /* cannot fail */
    const struct manual_args *args = p->args;
    cli->out.has_document = true; /* the page is all, in every mode */
    if (args->markdown) {
        hq_optab_markdown(cli->tab, &cli->out.buf);
    } else {
        const char *date = hq_arena_strz(&cli->arena, args->date);
        hq_optab_man(cli->tab, cli->tab->root, cli->tab->root->name, date, &cli->out.buf);
    }
    return 0;
}
